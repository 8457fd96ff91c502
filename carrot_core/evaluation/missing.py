"""Outcomes that were not observed: a table without gaps, with unbiased means over all prompts.

Leaving out every prompt with a gap wastes much of a benchmark: with 34 models and 1 % of the cells missing, 29 % of its
prompts. Instead, a cell's value is its prediction plus, if the cell was observed, the prediction's error divided by the
chance p that such a cell is observed::

    value = prediction + observed · (outcome - prediction) / p

This is the doubly robust (AIPW) estimator of Robins, Rotnitzky and Zhao (1994): its mean under any choice of models
that does not depend on the outcomes is right if the prediction or p is right, so bootstrap and differences work as on
observed outcomes. **Assumption**: whether a cell is missing depends on nothing but the model, the task, and what the
other models scored and cost on the prompt. A model without gaps keeps its outcomes to the last bit.

Routers that choose by the outcomes themselves (oracle, cascade) are measured on the prompts with every outcome, each of
which also represents some of the others (`standing_for_all`). They get no AIPW correction: it would multiply a prompt's
difference between best outcome and mean by 1/p, and mean costs of replicates would fall below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.evaluation.leakage import normal
from carrot_core.frontier import FloatArray
from carrot_core.outcomes import SCORE_RANGE, Benchmark, Estimates, Outcomes, pick, positions
from carrot_core.text import names_listed

LEAST_CHANCE = 0.02  # least chance of being observed; with a smaller one, a single cell would represent more than fifty
_FOLDS = 5
_RIDGE = 5.0  # weight, in prompts, of the mean over all tasks in the mean of one
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


def without_gaps(bench: Benchmark) -> Benchmark:
    """The benchmark with `Benchmark.corrected` if it has gaps; a model without any outcome is not corrected.

    A cell is predicted from other folds of the prompts by ridge regression, and its chance of being observed by
    logistic regression, both on the prompt's task and the mean standing of the other models' scores and costs on it.
    """
    old = bench.outcomes
    observed = ~np.isnan(old.score + old.cost_usd)
    if observed.all():
        return bench
    fold = np.random.default_rng(0).permutation(len(observed)) % _FOLDS
    score, cost = old.score.copy(), old.cost_usd.copy()
    models, known = np.arange(len(bench.models)), observed.any(axis=0)
    for model in models[known & ~observed.all(axis=0)].tolist():
        about, own = _features(bench, observed, known & (models != model)), observed[:, model]
        cells = np.column_stack([old.score[:, model], old.cost_usd[:, model]])
        predicted = _predicted(cells, about, own, fold).clip([SCORE_RANGE[0], 0.0], [SCORE_RANGE[1], np.inf])
        errors = np.where(own[:, None], cells - predicted, 0.0)
        score[:, model], cost[:, model] = (predicted + errors / _chance(about, own)[:, None]).T
    return replace(bench, corrected=old.with_values(score, cost))


def gaps_note(n_incomplete: int) -> str:
    """Sentence on what gaps in the outcomes mean for figures."""
    return (
        f"On {n_incomplete:,} prompts some model was not observed: estimates, corrected by what was observed, stand in "
        "(Method, “Missing outcomes”)."
    )


def without_costless(bench: Benchmark) -> tuple[Benchmark, tuple[str, ...]]:
    """The benchmark without models that have scores but no cost, and their names; unchanged if no model has a cost."""
    unknown = np.isnan(bench.outcomes.cost_usd).all(axis=0)
    costless = np.asarray(unknown & ~np.isnan(bench.outcomes.score).all(axis=0))
    if unknown.all() or not costless.any():
        return bench, ()
    return bench.pool(pick(bench.models, ~costless)), pick(bench.models, costless)


def costless_note(models: Sequence[str]) -> str:
    """Sentence that names the models that are in no curve because they have no cost."""
    return f"No cost is recorded of {names_listed(models, 3)}: in no curve."


def gaps_by_model(bench: Benchmark) -> pd.DataFrame:
    """Gaps of each model, most first: columns model, n_missing (its prompts without score or cost), n_complete_without
    (prompts with every outcome if the model is left out; the same count with all is `complete`).
    """
    observed = ~np.isnan(bench.outcomes.score + bench.outcomes.cost_usd)
    gaps = (~observed).sum(axis=1)
    rows = [
        (model, int((~own).sum()), int((gaps == ~own).sum()))
        for model, own in zip(bench.models, observed.T, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["model", "n_missing", "n_complete_without"])
    return table[table["n_missing"] > 0].sort_values(["n_missing", "model"], ascending=[False, True], ignore_index=True)


def standing_for_all(bench: Benchmark, estimates: Estimates) -> tuple[Estimates, Outcomes, Rows]:
    """For all prompts: estimates that depend on outcomes, the outcomes they are measured on, and `donors_of`.

    A prompt with a gap has the estimates and the outcomes of its donor, so that shares of models are right, too.

    Raises
    ------
    CarrotError
        No prompt has every outcome.
    """
    pool = bench.pool(estimates.models)
    if not pool.outcomes.complete.any():
        raise CarrotError(f"No prompt of {bench.name!r} has an outcome of all {len(pool.models)} models.")
    donors = donors_of(pool)
    place = {prompt_id: row for row, prompt_id in enumerate(estimates.prompt_ids)}
    rows = np.array([place[bench.prompt_ids[donor]] for donor in donors], dtype=np.intp)
    columns, measured = positions(estimates.models, bench.models), bench.measured
    score, cost = measured.score.copy(), measured.cost_usd.copy()
    score[:, columns] = bench.outcomes.score[np.ix_(donors, columns)]
    cost[:, columns] = bench.outcomes.cost_usd[np.ix_(donors, columns)]
    table = estimates.with_values(estimates.score[rows], estimates.cost_usd[rows], bench.prompt_ids)
    return table, bench.outcomes.with_values(score, cost), donors


def donors_of(bench: Benchmark) -> Rows:
    """(n,) row of each prompt's donor: the prompt itself or, if it has a gap, another prompt with every outcome.

    A prompt is the donor of 1/p prompts, with p its chance to be complete (by task, and by the models without gaps), so
    that means over all prompts are right if p is. If no prompt is complete, each is its own donor.
    """
    complete, donors = bench.outcomes.complete, np.arange(len(bench.prompt_ids))
    if complete.all() or not complete.any():
        return donors
    weight = np.zeros(len(donors))
    weight[complete] = _weights(bench)
    by_task = np.argsort(np.asarray(bench.tasks), kind="stable")  # so that most donors are of the same task
    whole, gaps = by_task[complete[by_task]], by_task[~complete[by_task]]
    beyond = np.cumsum(np.maximum(weight[whole] - 1, 0.0))  # prompts with this donor besides itself
    donors[gaps] = whole[np.searchsorted(beyond, (np.arange(len(gaps)) + 0.5) / len(gaps) * beyond[-1])]
    return donors


def _weights(bench: Benchmark) -> FloatArray:
    """Number of prompts that each prompt with every outcome represents, in their order; the sum is that of all
    prompts."""
    observed, complete = ~np.isnan(bench.outcomes.score + bench.outcomes.cost_usd), bench.outcomes.complete
    weight = 1 / _chance(_features(bench, observed, np.asarray(observed.all(axis=0))), complete)[complete]
    weight *= len(complete) / weight.sum()
    return weight


def _features(bench: Benchmark, observed: Flags, models: Flags) -> FloatArray:
    """(n, k) features of each prompt: its task, and the results of some of the models on it."""
    usable, columns = observed[:, models], []
    for table in (bench.outcomes.score, bench.outcomes.cost_usd):
        cells = np.where(usable, table[:, models], np.nan)
        spread = np.nanstd(cells, axis=0)
        off = (cells - np.nanmean(cells, axis=0)) / np.where(spread > 0, spread, 1.0)
        columns.append(np.where(usable, off, 0.0).sum(axis=1) / (usable.sum(axis=1) + 1))
    of_task = pd.get_dummies(pd.Series(bench.tasks), dtype=float).to_numpy()
    return np.column_stack([of_task, *columns])


def _chance(about: FloatArray, observed: Flags) -> FloatArray:
    """(n,) chance of being observed, by logistic regression."""
    from sklearn.linear_model import LogisticRegression

    chance: FloatArray = LogisticRegression().fit(about, observed).predict_proba(about)[:, 1]
    return chance.clip(LEAST_CHANCE, 1.0)


def _predicted(cells: FloatArray, about: FloatArray, observed: Flags, fold: Rows) -> FloatArray:
    """(n, 2) prediction of each prompt's score and cost from the prompts of other folds."""
    from sklearn.linear_model import Ridge

    predicted = np.empty_like(cells)
    for here in (fold == number for number in range(_FOLDS)):
        rows = observed & ~here if (observed & ~here).any() else observed
        predicted[here] = Ridge(alpha=_RIDGE).fit(about[rows], cells[rows]).predict(about[here])
    return predicted


def without_copies(source: Benchmark, target: Benchmark) -> tuple[Benchmark, int]:
    """The prompts whose text is not in the target, and the number left out."""
    texts = {normal(text) for text in target.texts if text is not None}
    hashes = set(target.text_hashes) - {None}
    new = np.array(
        [
            (text is None or normal(text) not in texts) and text_hash not in hashes
            for text, text_hash in zip_longest(source.texts, source.text_hashes)
        ],
        dtype=bool,
    )
    return (source, 0) if new.all() else (source.rows(new), int((~new).sum()))


def readable(bench: Benchmark) -> tuple[Benchmark, int]:
    """Prompts a router can read, and the number left out; a benchmark without any text is returned whole."""
    has_text = np.array([text is not None for text in bench.texts], dtype=bool)
    if has_text.all() or not has_text.any():
        return bench, 0
    return bench.rows(has_text), int((~has_text).sum())
