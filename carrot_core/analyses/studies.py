"""Tables that need routers fitted anew: how one grows with what it learns from, and what it does on tasks unseen.

They are no analyses of stored estimates, so they are made on demand, and for snapshots by ``carrot results``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from carrot_core.analyses.frames import small
from carrot_core.analyses.task_curves import TASKS
from carrot_core.evaluation import MEAN, Setting
from carrot_core.evaluation.learning import learning_curve
from carrot_core.evaluation.quality import POOLED
from carrot_core.evaluation.transfer import leave_one_task_out

ROUTER = "carrot-knn"  # the published procedure, and the quickest to fit
Settings = Mapping[int, Setting]
Progress = Callable[[int, int], None]
_LEARNING_METRICS = ("aiq", "audc", "routing_accuracy", "peak", "qnc", "gap_oracle", "arena")
_QUALITY = ("r2", "brier")
_TRANSFER_METRICS = ("aiq", "routing_accuracy")
_KEYS = ["size", "seed", "metric"]


@dataclass(frozen=True)
class Study:
    """One table that is made by fitting.

    Attributes
    ----------
    name : as snapshots keep it, in ``analysis-<name>.parquet``.
    seeds : how many seeds it is made over at most.
    make : from the protocol by seed, a router and what is called with (fits done, fits in all) to the frame.
    """

    name: str
    seeds: int
    make: Callable[[Settings, str, Progress | None], pd.DataFrame]


def learning(settings: Settings, router: str = ROUTER, progress: Progress | None = None) -> pd.DataFrame:
    """A router fitted on 100, 200, 400, … and all training prompts, judged on the same test prompts.

    Columns router, size (training prompts), seed (a number as text, or "mean"), metric, value, low, high (95 %
    interval over prompts), lost, lost_low, lost_high (the value minus that at all training prompts, paired). Metrics
    are of `carrot_core.metrics.METRICS`; "r2" and "brier" (of all predictions together) have no intervals.
    """
    curve = learning_curve(settings, router, progress=progress)
    kept = curve.figures[curve.figures["metric"].isin(_LEARNING_METRICS)]
    lost = curve.lost.rename(columns={"value": "lost", "low": "lost_low", "high": "lost_high"})
    pooled = curve.quality[curve.quality["model"] == POOLED]
    means = pooled.groupby("size", as_index=False)[list(_QUALITY)].mean().assign(seed=MEAN)
    predicted = pd.concat([pooled, means]).melt(["size", "seed"], list(_QUALITY), "metric", "value")
    table = pd.concat([kept.merge(lost, on=_KEYS, how="left"), predicted], ignore_index=True).assign(router=router)
    # Nothing is lost where all prompts are there.
    whole = table["metric"].isin(_LEARNING_METRICS) & (table["size"] == curve.sizes[-1])
    table.loc[whole, ["lost", "lost_low", "lost_high"]] = 0.0
    return small([table], ["router", *_KEYS, "value", "low", "high", "lost", "lost_low", "lost_high"])


def transfer(settings: Settings, router: str = ROUTER, progress: Progress | None = None) -> pd.DataFrame:
    """A router on each of the 12 largest tasks, fitted without that task's prompts, beside the usual fit.

    Columns router, task, n_tasks (that there are), n_prompts (over all seeds), metric ("aiq", "routing_accuracy"),
    left_out, usual, difference, low, high (left out minus usual, with its paired 95 % interval), means over seeds.
    Empty where there are fewer than two tasks.
    """
    columns = ["router", "task", "n_tasks", "n_prompts", "metric", "left_out", "usual", "difference", "low", "high"]
    counted = _counted(settings)
    if len(counted) < 2:
        return small([], columns)
    largest = sorted(counted, key=lambda task: (-counted[task], task))[:TASKS]
    narrowed = {seed: made.narrowed(tasks=largest) for seed, made in settings.items()}  # still learns from all
    table = leave_one_task_out(narrowed, router, progress=progress).by_task
    kept = table[(table["seed"] == MEAN) & table["metric"].isin(_TRANSFER_METRICS)]
    return small([kept.assign(router=router, n_tasks=len(counted))], columns)


def _counted(settings: Settings) -> Counter[str]:
    """Test prompts of each task, over all seeds."""
    return Counter(task for made in settings.values() for task in made.test.tasks if task)


STUDIES: dict[str, Study] = {
    made.name: made for made in (Study("learning", 3, learning), Study("transfer", 1, transfer))
}
