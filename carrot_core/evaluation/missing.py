"""Outcomes that were not observed: a table without gaps, with unbiased means over all prompts.

Leaving out every prompt with a gap wastes much of a benchmark: with 34 models and 1 % of the cells missing, 29 % of its
prompts. Instead, a cell's value is its prediction plus, if the cell was observed, the prediction's error divided by the
chance p that such a cell is observed::

    value = prediction + observed · (outcome - prediction) / p

This is the doubly robust (AIPW) estimator of Robins, Rotnitzky and Zhao (1994): its mean under any choice of models
that does not depend on the outcomes is right if the prediction or p is right, so bootstrap and differences work as on
observed outcomes. **Assumption**: whether a cell is missing depends on nothing but the model, the task, and what the
other models scored and cost on the prompt. A model without gaps keeps its outcomes to the last bit.

Routers that choose by the outcomes themselves (oracle, cascade) get no such values, since a choice by them would pick
errors: they are measured on results that were observed. A missing cell gets the result of a **donor**, one of the
prompts most like it on which the model was observed (a hot deck by predictive mean matching; Little 1988), so the best
score lies between what it is if all gaps failed and if all were solved (`best_between`). A prompt of which a donor
may decide the best score is drawn together with its donor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from carrot_core.evaluation.leakage import normal
from carrot_core.frontier import FloatArray
from carrot_core.outcomes import SCORE_RANGE, Benchmark, Outcomes, pick
from carrot_core.text import names_listed

LEAST_CHANCE = 0.02  # least chance of being observed; with a smaller one, a single cell would represent more than fifty
_FOLDS = 5
_NEAREST = 5  # prompts of which one is the donor
_MOST_DONORS = 20_000  # prompts among which donors are looked for
_COST_WEIGHT = 0.25  # of predicted costs, against predicted scores, in how like two prompts are
_RIDGE = 5.0  # weight, in prompts, of the mean over all tasks in the mean of one
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


def without_gaps(bench: Benchmark) -> Benchmark:
    """The benchmark with `Benchmark.corrected`, and `completed` if some prompt has every outcome, if it has gaps.

    A model without any outcome is left as it is. A cell is predicted from other folds of the prompts by ridge
    regression, and its chance of being observed by logistic regression, both on the prompt's task and the mean standing
    of the other models' scores and costs on it.
    """
    old = bench.outcomes
    observed = ~np.isnan(old.score + old.cost_usd)
    if observed.all():
        return bench
    fold = np.random.default_rng(0).permutation(len(observed)) % _FOLDS
    score, cost = old.score.copy(), old.cost_usd.copy()
    expected = np.stack([score, cost])
    models, known = np.arange(len(bench.models)), observed.any(axis=0)
    for model in models[known & ~observed.all(axis=0)].tolist():
        about, own = _features(bench, observed, known & (models != model)), observed[:, model]
        cells = np.column_stack([old.score[:, model], old.cost_usd[:, model]])
        predicted = _predicted(cells, about, own, fold).clip([SCORE_RANGE[0], 0.0], [SCORE_RANGE[1], np.inf])
        expected[:, :, model] = predicted.T
        errors = np.where(own[:, None], cells - predicted, 0.0)
        score[:, model], cost[:, model] = (predicted + errors / _chance(about, own)[:, None]).T
    bench = replace(bench, corrected=old.with_values(score, cost))
    if not observed.all(axis=1).any():
        return bench
    whole, donors = _completed(bench, observed, expected)
    apart = np.flatnonzero(donors != np.arange(len(donors))).tolist()
    return replace(bench, completed=whole, donor_of={old.prompt_ids[i]: old.prompt_ids[donors[i]] for i in apart})


def refill(pool: Benchmark) -> Benchmark:
    """The prompts with `Benchmark.completed` where it is only in this part of a pool that some have every outcome."""
    if pool.corrected is None or pool.completed is not None or not pool.outcomes.complete.any():
        return pool
    again = without_gaps(pool)
    return replace(pool, completed=again.completed, donor_of=again.donor_of)


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


def donors_of(bench: Benchmark) -> Rows:
    """(n,) row of the prompt that each prompt is drawn together with: its donor where a gap in this pool may matter for
    the best score, else itself."""
    score, place = bench.outcomes.score, {prompt_id: row for row, prompt_id in enumerate(bench.prompt_ids)}
    solved = np.where(np.isnan(score), SCORE_RANGE[0], score).max(axis=1) >= SCORE_RANGE[1]
    donors = np.arange(len(place))
    for row in np.flatnonzero(~solved & ~bench.outcomes.complete).tolist():
        donors[row] = place.get(bench.donor_of.get(bench.prompt_ids[row], ""), row)
    return donors


def best_between(bench: Benchmark) -> tuple[float, float]:
    """Mean of the best score of each prompt if every model failed where it was not observed, and if every one solved.

    A cell with a score but no cost counts as observed.
    """
    score = bench.outcomes.score
    low, high = (np.where(np.isnan(score), end, score).max(axis=1).mean() for end in SCORE_RANGE)
    return float(low), float(high)


def _completed(bench: Benchmark, observed: Flags, expected: FloatArray) -> tuple[Outcomes, Rows]:
    """`Benchmark.completed`, and the row of each prompt's donor, its own if it has none.

    A prompt gets all its missing cells from one donor where a prompt has them all: one of the `_NEAREST` whose
    predictions for these models, and whose best score among the other models, are nearest. ``expected`` are the (2, n,
    M) predictions. If the split is the source's own, donors are of the prompt's split.
    """
    old, rng = bench.outcomes, np.random.default_rng(0)
    score, cost, donors = old.score.copy(), old.cost_usd.copy(), np.arange(len(observed))
    known = observed.any(axis=0)
    usable = np.where(observed, old.score, SCORE_RANGE[0])
    side = np.zeros(len(observed)) if bench.split_is_ours else np.unique(bench.split, return_inverse=True)[1]
    spread = np.stack([np.nanstd(table, axis=0) for table in (old.score, old.cost_usd)])
    scaled = expected / np.where(spread > 0, spread, 1.0)[:, None] * np.array([1.0, _COST_WEIGHT])[:, None, None]
    gaps, pattern = np.unique(np.column_stack([side, ~observed & known]), axis=0, return_inverse=True)
    for number, (part, *missing) in enumerate(gaps):
        rows, columns = np.flatnonzero(pattern.ravel() == number), np.flatnonzero(missing)
        together = observed[:, columns].all(axis=1) & (side == part)
        for own in [columns] if together.any() else columns[:, None]:
            able = np.flatnonzero(observed[:, own].all(axis=1) & (side == part))
            if not len(own) or not len(able):
                continue
            others = np.delete(usable, columns, axis=1).max(axis=1, initial=SCORE_RANGE[0])
            about = np.column_stack([*scaled[:, :, own], np.sqrt(len(own)) * others])
            able = able if len(able) <= _MOST_DONORS else np.sort(rng.choice(able, _MOST_DONORS, replace=False))
            near = cKDTree(about[able]).query(about[rows], min(_NEAREST, len(able)))[1].reshape(len(rows), -1)
            donor = able[near[np.arange(len(rows)), rng.integers(near.shape[1], size=len(rows))]]
            for table, recorded in ((score, old.score), (cost, old.cost_usd)):
                own_cells = recorded[np.ix_(rows, own)]
                table[np.ix_(rows, own)] = np.where(np.isnan(own_cells), recorded[np.ix_(donor, own)], own_cells)
            donors[rows] = donor
    return old.with_values(score, cost), donors


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
