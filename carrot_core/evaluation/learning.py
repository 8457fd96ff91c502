"""How a router improves with more training prompts, and what it is worth on tasks it has never seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.evaluation.comparison import Candidate, Comparison, compare
from carrot_core.evaluation.evaluate import counter
from carrot_core.evaluation.protocol import Setting
from carrot_core.outcomes import Benchmark, Estimates, Outcomes, positions

FIRST, NEW_MODEL_FIRST = 100, 25  # prompts: the smallest size of each kind of curve
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """One router fitted on more and more prompts.

    Attributes
    ----------
    router : name.
    new_model : the model scored on some prompts only; None if all models have equally few.
    sizes : numbers of training prompts, or of scored prompts of the new model; the last is all of them.
    figures : columns size, seed (a number as text, or "mean"), metric, value, low, high.
    lost : the same columns: figure at a size minus figure at the last size, paired.
    quality : columns size, seed and those of `carrot_core.evaluation.quality.quality`; with a new model, only the error
        of its own estimates (no rows at size 0, where the router cannot choose it). The train mean beside it is that of
        all training prompts.
    comparison : source of the frames, with sizes as names of routers.
    """

    router: str
    new_model: str | None
    sizes: tuple[int, ...]
    comparison: Comparison

    @property
    def figures(self) -> pd.DataFrame:
        return _by_size(self.comparison.figures)

    @property
    def lost(self) -> pd.DataFrame:
        table = self.comparison.differences
        return _by_size(table[table["against"] == str(self.sizes[-1])].drop(columns="against"))

    @property
    def quality(self) -> pd.DataFrame:
        return _by_size(self.comparison.quality)


def sizes_to(most: int, first: int = FIRST) -> tuple[int, ...]:
    """``first``, twice that, and so on, and ``most``."""
    doubling = (first * 2**step for step in range(most.bit_length()))
    return (*(size for size in doubling if size < most), most)


def learning_curve(
    settings: Mapping[int, Setting],
    router: str,
    sizes: Sequence[int] = (),
    *,
    params: Mapping[str, Any] | None = None,
    replicates: int = 1000,
    progress: Progress | None = None,
) -> LearningCurve:
    """Fit a router on nested random subsets of the training prompts, and measure each fit on the same test prompts.

    Parameters
    ----------
    settings : by seed, which also draws the subsets.
    sizes : numbers of training prompts; by default 100, 200, 400, … and all.
    progress : called with (fits done, fits in all).
    """

    def part(setting: Setting, order: Sequence[int], n: int) -> Setting:
        few = setting.train.rows(np.sort(order[:n]).astype(np.intp))
        return replace(setting, train=few, inner_train=_unseen(few, setting))

    most = min(len(each.train.prompt_ids) for setting in settings.values() for each in setting.rounds)
    return _curve(settings, router, None, _check_sizes(sizes, most, FIRST), part, params, replicates, progress)


def new_model_curve(
    settings: Mapping[int, Setting],
    router: str,
    model: str,
    sizes: Sequence[int] = (),
    *,
    params: Mapping[str, Any] | None = None,
    replicates: int = 1000,
    progress: Progress | None = None,
) -> LearningCurve:
    """Fit a router with the outcomes of one model on some training prompts only, and those of all others on all of
    them.

    It shows how many prompts must be scored before a new model is of use to the pool. At 0 the model is not in the
    router's pool; the curve is measured on the same prompts and the same interval of costs.

    Parameters
    ----------
    settings : by seed, which also draws the scored prompts.
    model : the model treated as new.
    sizes : numbers of its scored prompts; by default 0, 25, 50, 100, … and all.
    progress : called with (fits done, fits in all).
    """

    def part(setting: Setting, order: Sequence[int], n: int) -> Setting:
        train = setting.train.pool([name for name in setting.models if name != model]) if n == 0 else setting.train
        few = train if n == 0 else _with_few(train, model, order[n:])
        return replace(setting, train=few, inner_train=_unseen(few, setting))

    unknown = [name for setting in settings.values() for name in [model] if name not in setting.models]
    if unknown:
        positions(unknown, next(iter(settings.values())).models)  # raises for an unknown model
    trains = [each.train.pool([model]) for setting in settings.values() for each in setting.rounds]
    scored = [int((~np.isnan(train.outcomes.score)).sum()) for train in trains]
    chosen = _check_sizes(sizes, min(scored), NEW_MODEL_FIRST)
    chosen = chosen if sizes else (0, *chosen)
    return _curve(settings, router, model, chosen, part, params, replicates, progress)


def _curve(
    settings: Mapping[int, Setting],
    router: str,
    model: str | None,
    sizes: tuple[int, ...],
    part: Callable[[Setting, Sequence[int], int], Setting],
    params: Mapping[str, Any] | None,
    replicates: int,
    progress: Progress | None,
) -> LearningCurve:
    step = counter(progress, len(sizes) * sum(len(setting.rounds) for setting in settings.values()))
    candidates: dict[str, dict[int, Candidate]] = {str(n): {} for n in sizes}
    for seed, setting in settings.items():
        tables: dict[int, list[Mapping[str, Estimates]]] = {n: [] for n in sizes}
        for each in setting.rounds:
            order = _order(each.train, model, seed)
            for n in sizes:
                tables[n].append(part(each, order, n).estimates(router, seed, params))
                step()
        for n in sizes:
            candidates[str(n)][seed] = Candidate.of(setting, setting.joined(tables[n]))
    result = compare(settings, candidates, replicates=replicates, against=[str(sizes[-1])])
    return LearningCurve(router, model, sizes, result)


def _order(train: Benchmark, model: str | None, seed: int) -> Sequence[int]:
    """Training prompts in random order; those on which the model has a score come first."""
    order: Sequence[int] = np.random.default_rng(seed).permutation(len(train.prompt_ids)).tolist()
    if model is None:
        return order
    unscored = np.isnan(train.pool([model]).outcomes.score[:, 0])
    return sorted(order, key=lambda row: bool(unscored[row]))


def _unseen(few: Benchmark, setting: Setting) -> Benchmark:
    """The prompts without those of validation, which are also training prompts if routers learn from another
    benchmark."""
    if setting.train is setting.inner_train:
        return few
    return few.rows(~np.isin(few.prompt_ids, setting.validation.prompt_ids))


def _with_few(train: Benchmark, model: str, hidden: Sequence[int]) -> Benchmark:
    """The benchmark without one model's outcomes on some prompts."""
    column, old = train.models.index(model), train.outcomes
    score, cost, tokens = (table.copy() for table in (old.score, old.cost_usd, train.output_tokens))
    for table in (score, cost, tokens):
        table[list(hidden), column] = np.nan
    few = Outcomes(old.prompt_ids, old.models, score, cost)
    return replace(train, outcomes=few, corrected=None, completed=None, output_tokens=tokens)


def _check_sizes(sizes: Sequence[int], most: int, first: int) -> tuple[int, ...]:
    chosen = tuple(sorted(set(sizes))) or sizes_to(most, first)
    if chosen[-1] > most or chosen[0] < 0:
        raise CarrotError(f"Sizes go from 0 to {most:,}, the prompts there are to learn from; not {chosen}.")
    return chosen


def _by_size(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(router=table["router"].astype(int)).rename(columns={"router": "size"}).reset_index(drop=True)


LEFT_OUT = "task left out"
_FLOOR = "zero"


@dataclass(frozen=True, eq=False)
class TaskTransfer:
    """A router that has never seen a prompt's task, beside the same router that has seen it.

    Attributes
    ----------
    router : name.
    overall : comparison of "task left out" (every prompt by the router fitted without its task), the router
        itself and the zero router, on all test prompts that have a task.
    by_task : one row for each task, seed and metric: task, n_prompts, seed, metric, left_out, usual,
        difference, low, high; left out minus usual, paired. Without metrics of the matched point, which is chosen to
        match the best single model of all tasks.
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
    """Fit a router once for each task without that task's prompts, and measure it on those prompts.

    Parameters
    ----------
    settings : by seed; without a second benchmark to learn from.
    progress : called with (fits done, fits in all).

    Raises
    ------
    CarrotError
        Fewer than two tasks.
    """
    tasks = sorted({task for setting in settings.values() for task in setting.test.tasks} - {""})
    if len(tasks) < 2:
        raise CarrotError("Leaving one task out needs prompts of at least two tasks; here all are of one.")
    settings = {seed: setting.narrowed(tasks=tasks) for seed, setting in settings.items()}
    step = counter(progress, sum(len(setting.rounds) * len(tasks) + 2 for setting in settings.values()))
    candidates: dict[str, dict[int, Candidate]] = {LEFT_OUT: {}, router: {}, _FLOOR: {}}
    for seed, setting in settings.items():
        tables = [_without_own_task(each, router, seed, params, tasks, step) for each in setting.rounds]
        candidates[LEFT_OUT][seed] = Candidate.of(setting, setting.joined(tables))
        for name in dict.fromkeys([router, _FLOOR]):
            candidates[name][seed] = Candidate.of(
                setting, setting.estimates(name, seed, params if name == router else None)
            )
            step()
    overall = compare(settings, candidates, replicates=replicates, against=[router, _FLOOR])
    parts = [_of_task(settings, candidates, router, task, replicates) for task in tasks]
    return TaskTransfer(router, overall, pd.concat([part for part in parts if part is not None], ignore_index=True))


def _without_own_task(
    setting: Setting,
    router: str,
    seed: int,
    params: Mapping[str, Any] | None,
    tasks: list[str],
    step: Callable[[], None],
) -> dict[str, Estimates]:
    """Estimates of every prompt by the router that was fitted without its task."""
    by_split: dict[str, list[Estimates]] = {"validation": [], setting.report_on: []}
    for task in tasks:
        other_tasks = _of(setting.train, task, False)
        own_task = {"validation": _of(setting.validation, task, True), setting.report_on: _of(setting.test, task, True)}
        some = [part for part in own_task.values() if part.prompt_ids]  # a task may be on one side of the split
        if some:
            without = replace(setting, train=other_tasks, inner_train=other_tasks, validation=some[0], test=some[-1])
            for split, table in without.estimates(router, seed, params).items():
                if own_task[split].prompt_ids:
                    by_split[split].append(table)
        step()
    # Fits without different tasks may have the models in different orders, or different models.
    return {
        split: Estimates.join(tables, setting.part(split).prompt_ids, setting.models)
        for split, tables in by_split.items()
        if tables
    }


def _of(part: Benchmark, task: str, inside: bool) -> Benchmark:
    return part.rows((np.array(part.tasks, dtype=object) == task) == inside)


def _of_task(
    settings: Mapping[int, Setting],
    candidates: Mapping[str, Mapping[int, Candidate]],
    router: str,
    task: str,
    replicates: int,
) -> pd.DataFrame | None:
    """Figures of both routers on one task; None if a model of the pool was not observed on it."""
    on_task = {seed: setting.narrowed(tasks=[task]) for seed, setting in settings.items()}
    parts = [part for setting in on_task.values() for part in (setting.validation, setting.test)]
    if not all(part.prompt_ids and part.measured.complete.all() for part in parts):
        return None
    result = compare(
        on_task, {name: candidates[name] for name in (LEFT_OUT, router)}, replicates=replicates, against=[router]
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
