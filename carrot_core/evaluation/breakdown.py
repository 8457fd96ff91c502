"""What stands behind one point of a curve: tasks, models, and the prompts that a small change of λ moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import LEAST_PROMPTS, bootstrap_weights
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.evaluation.protocol import tasks_of
from carrot_core.frontier import Frontier
from carrot_core.metrics import share_saved


def task_labels(setting: Setting, frontier: Frontier) -> npt.NDArray[np.object_]:
    """(n,) task of every prompt of a frontier on the prompts that the setting reports on."""
    return tasks_of(setting.test, frontier)


def by_task(
    frontier: Frontier,
    tasks: Sequence[str] | npt.NDArray[np.object_],
    exchange_rate_per_usd: float,
    reference: str,
    replicates: int = 300,
) -> pd.DataFrame:
    """One row per task at one rate: score, cost, and the difference to the reference model with its interval.

    Columns: task, n_prompts, score, cost_usd, reference_score, difference, difference_low, difference_high,
    saving (1 - cost / the reference's cost), most_used. ``tasks`` are in the order of the frontier's prompts.
    No interval (NaN) of a task with fewer than `LEAST_PROMPTS` prompts.
    """
    if len(tasks) != frontier.n_prompts:
        raise CarrotError(f"{len(tasks)} task labels for {frontier.n_prompts} prompts.")
    column = frontier.models.index(reference)
    chosen = frontier.choices(exchange_rate_per_usd)
    rows = np.arange(frontier.n_prompts)
    score, cost, paid = frontier.outcomes.score, frontier.outcomes.cost_usd, frontier.paid_usd
    records = []
    for task in sorted(set(tasks)):
        here = np.asarray(tasks, dtype=object) == task
        gain = score[rows, chosen][here] - score[here, column]
        low, high = np.nan, np.nan
        if len(gain) >= LEAST_PROMPTS:
            low, high = np.quantile(gain @ bootstrap_weights(len(gain), replicates), [0.025, 0.975])
        spent, reference_cost = paid[rows, chosen][here].mean(), cost[here, column].mean()
        records.append(
            {
                "task": task,
                "n_prompts": int(here.sum()),
                "score": score[rows, chosen][here].mean(),
                "cost_usd": spent,
                "reference_score": score[here, column].mean(),
                "difference": gain.mean(),
                "difference_low": low,
                "difference_high": high,
                "saving": float(share_saved(spent, reference_cost)),
                "most_used": frontier.models[np.bincount(chosen[here]).argmax()],
            }
        )
    return pd.DataFrame(records)


def flips(frontier: Frontier, rate_before: float, rate_after: float) -> pd.DataFrame:
    """One row per prompt that gets another model between two rates.

    Columns: prompt_id, model_before, model_after, score_before, score_after, cost_usd_before, cost_usd_after.
    """
    before, after = frontier.choices(rate_before), frontier.choices(rate_after)
    rows = np.flatnonzero(before != after)
    models, outcomes = np.array(frontier.models, dtype=object), frontier.outcomes
    return pd.DataFrame(
        {
            "prompt_id": np.array(outcomes.prompt_ids, dtype=object)[rows],
            "model_before": models[before[rows]],
            "model_after": models[after[rows]],
            "score_before": outcomes.score[rows, before[rows]],
            "score_after": outcomes.score[rows, after[rows]],
            "cost_usd_before": frontier.paid_usd[rows, before[rows]],
            "cost_usd_after": frontier.paid_usd[rows, after[rows]],
        }
    )


def flip_pairs(flips_table: pd.DataFrame) -> pd.DataFrame:
    """Number of flips by model before and model after, most first.

    Columns: model_before, model_after, n_prompts, better, worse (prompts whose score rose or fell),
    score_change, cost_change_usd (sums over the prompts).
    """
    change = flips_table["score_after"] - flips_table["score_before"]
    table = flips_table.assign(
        better=change > 0,
        worse=change < 0,
        score_change=change,
        cost_change_usd=flips_table["cost_usd_after"] - flips_table["cost_usd_before"],
    )
    counts = table.groupby(["model_before", "model_after"], sort=False).agg(
        n_prompts=("prompt_id", "size"),
        better=("better", "sum"),
        worse=("worse", "sum"),
        score_change=("score_change", "sum"),
        cost_change_usd=("cost_change_usd", "sum"),
    )
    return counts.reset_index().sort_values("n_prompts", ascending=False, ignore_index=True)
