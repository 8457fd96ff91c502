"""Analyses of fitted routers beyond their curves: each is one table, for any set of routers.

An analysis takes the protocol and the estimates of routers by split, and returns a tidy frame with a column ``router``.
Pages compute it if the data are loaded and read it from a snapshot otherwise; figures are drawn from the frame alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from carrot_core.compare.gap import decomposition
from carrot_core.compare.learnable_losses import learnable, losses
from carrot_core.compare.model_shares_agreement import agreement, collapse
from carrot_core.compare.predictions import reliability, usage
from carrot_core.compare.task_curves import spider, task_curves
from carrot_core.evaluation import Setting
from carrot_core.evaluation.quality import accuracy
from carrot_core.outcomes import Estimates

Routers = Mapping[str, Mapping[str, Estimates]]


@dataclass(frozen=True)
class Analysis:
    """One table about routers.

    Attributes
    ----------
    name : name in snapshots, ``analysis-<name>.parquet``.
    make : function from the protocol and estimates by router and split to the frame.
    of_prompts : whether its rows are single prompts, which no snapshot contains.
    """

    name: str
    make: Callable[[Setting, Routers], pd.DataFrame]
    of_prompts: bool = False


ANALYSES: dict[str, Analysis] = {
    analysis.name: analysis
    for analysis in (
        Analysis("accuracy", accuracy),
        Analysis("agreement", agreement),
        Analysis("collapse", collapse),
        Analysis("decomposition", decomposition),
        Analysis("learnable", learnable),
        Analysis("reliability", reliability),
        Analysis("spider", spider),
        Analysis("task-curves", task_curves),
        Analysis("usage", usage),
        Analysis("losses", losses, of_prompts=True),
    )
}
SNAPSHOT_TABLES = tuple(name for name, analysis in ANALYSES.items() if not analysis.of_prompts)
