"""The curve of every router on each of the larger tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from carrot_core.analyses.frames import small
from carrot_core.breakdown import task_labels
from carrot_core.evaluation import Setting
from carrot_core.frontier import Frontier, lam_of_rate
from carrot_core.kept_curve import evenly
from carrot_core.outcomes import Estimates

TASKS, POINTS = 12, 25
_COLUMNS = [
    "router", "task", "n_tasks", "n_prompts", "lam", "score", "cost_usd", "best_single_score", "best_single_cost_usd"
]  # fmt: skip


def task_curves(made: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Score and cost of every router on the 12 largest tasks, at up to 25 λ of its own curve, the same on all tasks.

    Columns router, task, n_tasks (that there are), n_prompts (of the task), lam, score, cost_usd (means per query),
    best_single_score, best_single_cost_usd (of the best single model on the task's prompts).
    """
    curves = {name: made.frontier(table, made.report_on) for name, table in routers.items()}
    return small((_of_router(made, curve).assign(router=name) for name, curve in curves.items()), _COLUMNS)


def _of_router(made: Setting, curve: Frontier) -> pd.DataFrame:
    labels = task_labels(made, curve)
    counted = Counter(labels.tolist())
    largest = sorted(counted, key=lambda task: (-counted[task], task))[:TASKS]
    rates = evenly(curve.exchange_rate_per_usd, POINTS)
    rows, single = np.arange(curve.n_prompts), curve.models.index(made.best_single)
    chosen = [curve.choices(rate) for rate in rates]
    score, cost = (np.array([table[rows, j] for j in chosen]) for table in (curve.outcomes.score, curve.paid_usd))
    frames = []
    for task in largest:
        here = labels == task
        frames.append(
            pd.DataFrame(
                {
                    "task": task,
                    "n_tasks": len(counted),
                    "n_prompts": int(here.sum()),
                    "lam": lam_of_rate(rates, made.cost_unit_usd),
                    "score": score[:, here].mean(axis=1),
                    "cost_usd": cost[:, here].mean(axis=1),
                    "best_single_score": curve.outcomes.score[here, single].mean(),
                    "best_single_cost_usd": curve.outcomes.cost_usd[here, single].mean(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
