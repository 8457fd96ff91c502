"""Whether a score of 0.7 means right in 7 of 10."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from carrot_core.analyses.frames import small
from carrot_core.evaluation import Setting
from carrot_core.evaluation import reliability as bins_of
from carrot_core.outcomes import Estimates

_COLUMNS = ["router", "model", "bin", "n", "mean_estimate", "mean_score"]


def reliability(made: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Reliability diagrams of every router: `carrot_core.evaluation.reliability`, pooled and for each model.

    Columns router, model ("pooled" for all together), bin (0 to 9), n (outcomes), mean_estimate, mean_score.
    """
    frames = (bins_of(made.test, table[made.report_on]).assign(router=name) for name, table in routers.items())
    return small(frames, _COLUMNS)
