"""What a router is worth on a kind of prompt it has never seen: every task left out of training in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.evaluation.comparison import Candidate, Comparison, compare
from carrot_core.evaluation.protocol import Setting
from carrot_core.evaluation.running import counter
from carrot_core.outcomes import Benchmark, Estimates

LEFT_OUT = "task left out"
_FLOOR = "zero"


@dataclass(frozen=True, eq=False)
class TaskTransfer:
    """A router that has never seen the task of a prompt, beside the same router that has.

    Attributes
    ----------
    router : name.
    overall : comparison of "task left out" (every prompt by the router fitted without its task), the router
        itself and the zero router, on all test prompts that have a task.
    by_task : one row for each task, seed and metric: task, n_prompts, seed, metric, left_out, usual,
        difference, low, high; left out minus usual, paired. Not of the matched point, which is chosen to match
        the best single model of all tasks.
    """

    router: str
    overall: Comparison
    by_task: pd.DataFrame


def leave_one_task_out(
    settings: Mapping[int, Setting],
    router: str,
    *,
    params: Mapping[str, Any] | None = None,
    replicates: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> TaskTransfer:
    """Fit a router once for each task without that task's prompts, and judge it on just them.

    Parameters
    ----------
    settings : by seed; learned from and judged on the same benchmark.
    progress : called with (fits done, fits in all).

    Raises
    ------
    CarrotError
        Fewer than two tasks.
    """
    tasks = sorted({task for made in settings.values() for task in made.test.tasks} - {""})
    if len(tasks) < 2:
        raise CarrotError("Leaving one task out needs prompts of at least two tasks; here all are of one.")
    settings = {seed: made.narrowed(tasks=tasks) for seed, made in settings.items()}
    step = counter(progress, len(settings) * (len(tasks) + 2))
    candidates: dict[str, dict[int, Candidate]] = {LEFT_OUT: {}, router: {}, _FLOOR: {}}
    for seed, made in settings.items():
        candidates[LEFT_OUT][seed] = Candidate.of(made, _without_own_task(made, router, seed, params, tasks, step))
        for name in dict.fromkeys([router, _FLOOR]):
            candidates[name][seed] = Candidate.of(made, made.estimates(name, seed, params if name == router else None))
            step()
    overall = compare(settings, candidates, replicates=replicates, against=[router, _FLOOR])
    parts = [_of_task(settings, candidates, router, task, replicates) for task in tasks]
    return TaskTransfer(router, overall, pd.concat([part for part in parts if part is not None], ignore_index=True))


def _without_own_task(
    made: Setting,
    router: str,
    seed: int,
    params: Mapping[str, Any] | None,
    tasks: list[str],
    step: Callable[[], None],
) -> dict[str, Estimates]:
    """Estimates of every prompt by the router that was fitted without its task."""
    found: dict[str, list[Estimates]] = {"validation": [], made.report_on: []}
    for task in tasks:
        learned = _of(made.train, task, False)
        judged = {"validation": _of(made.validation, task, True), made.report_on: _of(made.test, task, True)}
        some = [part for part in judged.values() if part.prompt_ids]  # a small task may lie on one side of the split
        without = replace(made, train=learned, inner_train=learned, validation=some[0], test=some[-1])
        for split, table in without.estimates(router, seed, params).items():
            if judged[split].prompt_ids:
                found[split].append(table)
        step()
    parts = {"validation": made.validation, made.report_on: made.test}
    return {split: _joined(tables, parts[split]) for split, tables in found.items()}


def _of(part: Benchmark, task: str, inside: bool) -> Benchmark:
    return part.rows((np.array(part.tasks, dtype=object) == task) == inside)


def _joined(tables: list[Estimates], part: Benchmark) -> Estimates:
    """Several tables of different prompts as one, in the order of the prompts of a benchmark."""
    ids = [prompt_id for table in tables for prompt_id in table.prompt_ids]
    row = {prompt_id: position for position, prompt_id in enumerate(ids)}
    order = np.array([row[prompt_id] for prompt_id in part.prompt_ids if prompt_id in row], dtype=np.intp)
    # Without another task a router may know the models in another order, or other ones.
    wide = [table.widened(part.models) for table in tables]
    score, cost = (np.concatenate([getattr(table, name) for table in wide]) for name in ("score", "cost_usd"))
    joined = Estimates(tuple(ids), part.models, score, cost, tables[0].cost_is_paid)
    return joined.rows(order)


def _of_task(
    settings: Mapping[int, Setting],
    candidates: Mapping[str, Mapping[int, Candidate]],
    router: str,
    task: str,
    replicates: int,
) -> pd.DataFrame | None:
    """Both routers on one task; None where it has no prompt with the whole pool observed."""
    narrowed = {seed: made.narrowed(tasks=[task]) for seed, made in settings.items()}
    complete = [part.outcomes.complete.any() for made in narrowed.values() for part in (made.validation, made.test)]
    if not all(complete):
        return None
    result = compare(
        narrowed, {name: candidates[name] for name in (LEFT_OUT, router)}, replicates=replicates, against=[router]
    )
    keys = ["seed", "metric"]
    values = result.figures.pivot(index=keys, columns="router", values="value").reset_index()
    paired = result.differences
    paired = paired[(paired["router"] == LEFT_OUT) & (paired["against"] == router)].rename(
        columns={"value": "difference"}
    )
    table = values.rename(columns={LEFT_OUT: "left_out", router: "usual"}).merge(
        paired[[*keys, "difference", "low", "high"]], on=keys
    )
    table = table[~table["metric"].str.startswith("matched")].reset_index(drop=True)
    table.insert(0, "task", task)
    table.insert(1, "n_prompts", int(result.protocol["n_judged"].sum()))
    return table
