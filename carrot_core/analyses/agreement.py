"""How often two routers choose the same model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from carrot_core.analyses.frames import LAMS
from carrot_core.evaluation import Setting
from carrot_core.frontier import rate_of_lam
from carrot_core.outcomes import Estimates, pick


def agreement(made: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Share of the prompts reported on that two routers give to the same model, at the same λ.

    Columns router, other, lam, n_prompts, agreement (0 to 1). Every ordered pair is there, a router with itself
    too, so that part of the routers can be taken out of the table.
    """
    names = list(routers)
    curves = {name: made.frontier(table, made.report_on) for name, table in routers.items()}
    rows = []
    for lam in LAMS:
        rate = rate_of_lam(lam, made.cost_unit_usd)
        chosen = np.column_stack(
            [
                np.array(pick(curve.models, curve.choices(rate).astype(np.intp)), dtype=object)
                for curve in curves.values()
            ]
        )
        for i, name in enumerate(names):
            for j, other in enumerate(names):
                same = float((chosen[:, i] == chosen[:, j]).mean()) if len(chosen) else np.nan
                rows.append({"router": name, "other": other, "lam": lam, "n_prompts": len(chosen), "agreement": same})
    return pd.DataFrame(rows)
