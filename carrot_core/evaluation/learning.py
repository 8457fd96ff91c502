"""How a router grows with what it learns from: more training prompts, or more scored prompts of a new model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.evaluation.comparison import Candidate, Comparison, compare
from carrot_core.evaluation.protocol import Setting
from carrot_core.evaluation.running import counter
from carrot_core.outcomes import Benchmark, Outcomes, positions

FIRST = 100
NEW_MODEL_FIRST = 25
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """One router after learning from more and more.

    Attributes
    ----------
    router : name.
    new_model : the model of which only some prompts are scored; None where all models have as few.
    sizes : training prompts, or scored prompts of the new model; the last is all there are.
    figures : columns size, seed (a number as text, or "mean"), metric, value, low, high.
    lost : the same columns: figure at a size minus figure at all, paired.
    quality : columns size, seed and those of `carrot_core.evaluation.quality.quality`; where there is a new
        model, its rows are the error of its own estimates (none at size 0, where the router cannot choose it).
        The train mean beside them is that of all training prompts.
    comparison : what the frames are drawn from, with sizes as names of routers.
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
    """``first``, twice that, and so on, and all there are."""
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
    """Fit a router on random parts of the training prompts, each within the next, and judge it on the same test.

    Parameters
    ----------
    settings : by seed, which also draws the parts.
    sizes : numbers of training prompts; by default 100, 200, 400, … and all.
    progress : called with (fits done, fits in all).
    """

    def part(made: Setting, order: Sequence[int], n: int) -> Setting:
        few = made.train.rows(np.sort(order[:n]).astype(np.intp))
        return replace(made, train=few, inner_train=_unseen(few, made))

    most = min(len(made.train.prompt_ids) for made in settings.values())
    return _curve(settings, router, None, _checked(sizes, most, FIRST), part, params, replicates, progress)


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
    """Fit a router where one model has outcomes on some training prompts only, all others on all of them.

    It shows how many prompts have to be scored before a new model serves the pool. At 0 the model is not in
    the router's pool at all; the curve is judged on the same prompts and the same interval of costs.

    Parameters
    ----------
    settings : by seed, which also draws the scored prompts.
    model : the one that is taken as new.
    sizes : numbers of its scored prompts; by default 0, 25, 50, 100, … and all.
    progress : called with (fits done, fits in all).
    """

    def part(made: Setting, order: Sequence[int], n: int) -> Setting:
        train = made.train.pool([name for name in made.models if name != model]) if n == 0 else made.train
        few = train if n == 0 else _with_few(train, model, order[n:])
        return replace(made, train=few, inner_train=_unseen(few, made))

    unknown = [name for made in settings.values() for name in [model] if name not in made.models]
    if unknown:
        positions(unknown, next(iter(settings.values())).models)  # raises, naming the models there are
    scored = [int((~np.isnan(made.train.pool([model]).outcomes.score)).sum()) for made in settings.values()]
    chosen = _checked(sizes, min(scored), NEW_MODEL_FIRST)
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
    step = counter(progress, len(sizes) * len(settings))
    candidates: dict[str, dict[int, Candidate]] = {str(n): {} for n in sizes}
    for seed, made in settings.items():
        order = _order(made.train, model, seed)
        for n in sizes:
            fitted = part(made, order, n).estimates(router, seed, params)
            candidates[str(n)][seed] = Candidate.of(made, fitted)
            step()
    result = compare(settings, candidates, replicates=replicates, against=[str(sizes[-1])])
    return LearningCurve(router, model, sizes, result)


def _order(train: Benchmark, model: str | None, seed: int) -> Sequence[int]:
    """Training prompts in random order; those on which the model has a score come first."""
    order: Sequence[int] = np.random.default_rng(seed).permutation(len(train.prompt_ids)).tolist()
    if model is None:
        return order
    unscored = np.isnan(train.pool([model]).outcomes.score[:, 0])
    return sorted(order, key=lambda row: bool(unscored[row]))


def _unseen(few: Benchmark, made: Setting) -> Benchmark:
    """Without the validation prompts, which are among those learned from where another benchmark is judged."""
    if made.train is made.inner_train:
        return few
    return few.rows(~np.isin(few.prompt_ids, made.validation.prompt_ids))


def _with_few(train: Benchmark, model: str, hidden: Sequence[int]) -> Benchmark:
    """The benchmark without what one model did on some prompts."""
    column, old = train.models.index(model), train.outcomes
    score, cost, tokens = (table.copy() for table in (old.score, old.cost_usd, train.output_tokens))
    for table in (score, cost, tokens):
        table[list(hidden), column] = np.nan
    return replace(train, outcomes=Outcomes(old.prompt_ids, old.models, score, cost), output_tokens=tokens)


def _checked(sizes: Sequence[int], most: int, first: int) -> tuple[int, ...]:
    chosen = tuple(sorted(set(sizes))) or sizes_to(most, first)
    if chosen[-1] > most or chosen[0] < 0:
        raise CarrotError(f"Sizes go from 0 to {most:,}, the prompts there are to learn from; not {chosen}.")
    return chosen


def _by_size(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(router=table["router"].astype(int)).rename(columns={"router": "size"}).reset_index(drop=True)
