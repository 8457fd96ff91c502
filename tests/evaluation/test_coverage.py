"""Intervals of AIQ hold what they promise: draws from a benchmark, whose truth is the AIQ on all of it.

`python -m tests.evaluation.test_coverage 500 [BENCHMARK or N ...]` prints bias and coverage of every estimator that was
tried, on the real benchmarks beside the checkout and at every number of prompts, or on those that are named.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from carrot_core.bootstrap import (
    LEVEL,
    LUCK,
    Measurement,
    bootstrap_counts,
    replicate,
    replicate_tables,
    weighted_means,
)
from carrot_core.evaluation.measure import areas
from carrot_core.frontier import FloatArray, Frontier, sweep
from carrot_core.metrics import aiq, aiq_of_points
from carrot_core.operating_point import rate_inside
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.results.recipes import RECIPES
from carrot_core.routers import ROUTERS
from carrot_core.store import Store
from scripts.results.files import load
from tests.conftest import SHARED_DATA
from tests.made import made

NAMES = ("mmlu-pro-cot", "routerbench-subset", "open-llm-leaderboard-v2")
ROUTER, OTHER = "carrot-linear", "task-lookup"
SIZES = (250, 1_500, 10_000)
FOLDS = (2, 10)
POINTS = 800  # of a curve, as in `carrot_core.evaluation.measure`
Rows = npt.NDArray[np.intp]


def population(bench: Benchmark, folds: int = 5) -> dict[str, Frontier]:
    """The curves of two routers on the complete prompts of a benchmark, each estimated without having been seen."""
    complete = bench.rows(bench.outcomes.complete)
    fold = np.random.default_rng(0).integers(0, folds, len(complete.prompt_ids))
    curves = {}
    for name in (ROUTER, OTHER):
        score, cost = np.empty((2, *complete.outcomes.shape))
        for k in range(folds):
            table = ROUTERS[name]().fit(complete.rows(fold != k)).estimate(complete.rows(fold == k)).pool(bench.models)
            score[fold == k], cost[fold == k] = table.score, table.cost_usd
        curves[name] = sweep(Estimates(complete.prompt_ids, bench.models, score, cost), complete.outcomes)
    return curves


def balanced(n_prompts: int, n: int, draws: int, rng: np.random.Generator) -> Rows:
    """(draws, n) prompts drawn with replacement, each equally often in all draws together.

    So the mean over the draws errs by bias alone (Davison, Hinkley and Schechtman 1986).
    """
    return rng.permutation(np.resize(rng.permutation(n_prompts), draws * n)).reshape(draws, n)


def drawn(everyone: Frontier, rows: Rows) -> Frontier:
    """The curve on some prompts, each as often as it was drawn; nothing is swept again."""
    counts = np.bincount(rows, minlength=everyone.n_prompts)
    return replace(everyone, weights=counts / counts.mean()).rows(counts > 0)


def estimators(everyone: Frontier, rows: Rows, others: Rows, replicates: int) -> dict[str, Measurement]:
    """AIQ on the drawn prompts in every way that was tried; ``others``: as many, on which points may be chosen."""
    curve, order, n = drawn(everyone, rows), np.argsort(rows), len(rows)
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    counts = np.column_stack([np.ones(n, np.uint8), bootstrap_counts(n, replicates)])
    weights = np.add.reduceat(counts[order], starts)
    single = weighted_means(curve.outcomes.cost_usd, weights)
    span = single.min(axis=1), single.max(axis=1)
    hull, corrected = areas(curve, replicate(curve, weights, POINTS), span).values()
    excess = (hull.value - corrected.value) / LUCK
    ways = {
        "AIQ": hull,
        "AIQ, basic interval": hull,
        "AIQ, bias-corrected interval": hull,
        "corrected AIQ": corrected,
        "corrected AIQ, interval of AIQ moved": Measurement(corrected.value, hull.replicates - excess * (1 + LUCK)),
        "AIQ less its replicates' excess": Measurement(hull.value - excess, corrected.replicates + excess * (LUCK - 1)),
    }
    if n < SIZES[-1]:
        rates = hull_rates(drawn(everyone, others))
        score, cost = replicate_tables(curve, curve.outcomes.score, curve.paid_usd, rates, weights)
        ways["points chosen on as many others"] = Measurement.of(aiq_of_points(cost, score, *span))
        for folds in FOLDS:
            value = cross_fitted(curve, np.add.reduceat(np.eye(folds)[np.arange(n) % folds][order], starts))
            ways[f"cross-fitted, {folds} folds"] = Measurement(value, corrected.replicates + (value - corrected.value))
    return ways


def hull_rates(curve: Frontier) -> FloatArray:
    """Ascending rates at the corners of a curve's hull."""
    return np.sort([rate_inside(curve, corner) for corner in curve.corners.tolist()])


def cross_fitted(curve: Frontier, folds: FloatArray, budgets: int = 201) -> float:
    """AIQ of points chosen on all folds but one and read on that one, put together budget by budget.

    ``folds``: (n, K) how often each prompt is in each fold.
    """
    tables = np.zeros((2, budgets))
    for k in range(folds.shape[1]):
        rest = folds.sum(axis=1) - folds[:, k]
        chosen_on = replace(curve, weights=rest / rest.mean())
        at, rates = chosen_on.cost_usd[chosen_on.corners], hull_rates(chosen_on)
        read = replicate_tables(curve, curve.outcomes.score, curve.paid_usd, rates, folds[:, [k]])
        budget = np.linspace(at[0], at[-1], budgets)
        tables += folds[:, k].sum() / folds.sum() * np.array([np.interp(budget, at, one[0, ::-1]) for one in read])
    single = curve.model_cost_usd
    return float(aiq_of_points(tables[1], tables[0], single.min(), single.max()))


def interval(way: str, figure: Measurement) -> tuple[float, float]:
    """The 95 % interval: of percentiles, unless the way's name says otherwise."""
    plain = figure.interval
    if way.endswith("basic interval"):
        return 2 * figure.value - plain.high, 2 * figure.value - plain.low
    if way.endswith("bias-corrected interval"):
        normal, below = NormalDist(), float(np.clip((figure.replicates < figure.value).mean(), 0.001, 0.999))
        ends = [normal.cdf(2 * normal.inv_cdf(below) + normal.inv_cdf(q)) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
        low, high = np.quantile(figure.replicates, ends)
        return float(low), float(high)
    return plain.low, plain.high


def simulate(curves: Mapping[str, Frontier], n: int, draws: int, replicates: int = 200, seed: int = 1) -> pd.DataFrame:
    """Every draw of n prompts: columns way, figure (a router or their difference), error, inside, width (points)."""
    rng, first = np.random.default_rng(seed), next(iter(curves.values()))
    span = first.model_cost_usd.min(), first.model_cost_usd.max()
    truth = [float(aiq(curve.cost_usd, curve.score, *span)) for curve in curves.values()]
    names, truth = [*curves, "difference"], [*truth, truth[0] - truth[1]]
    samples = [balanced(first.n_prompts, n, draws, rng) for _ in range(2)]
    rows = []
    for some, others in zip(*samples, strict=True):
        both = [estimators(curve, some, others, replicates) for curve in curves.values()]
        for way in both[0]:
            one, other = (ways[way] for ways in both)
            for name, figure, right in zip(names, (one, other, one - other), truth, strict=True):
                low, high = interval(way, figure)
                rows.append((way, name, 100 * (figure.value - right), low <= right <= high, 100 * (high - low)))
    return pd.DataFrame(rows, columns=["way", "figure", "error", "inside", "width"])


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Bias and spread in AIQ points, coverage in per cent and mean width by way and figure."""
    groups = table.assign(inside=100 * table["inside"]).groupby(["way", "figure"], sort=False)
    return groups.agg(bias=("error", "mean"), sd=("error", "std"), inside=("inside", "mean"), width=("width", "mean"))


@pytest.fixture(scope="module")
def curves() -> dict[str, Frontier]:
    """Two routers that know a little of the scores of a made-up benchmark, the second less."""
    table, rng = made(3_000).outcomes, np.random.default_rng(0)
    cost = np.broadcast_to(table.cost_usd.mean(axis=0), table.shape)
    guesses = {
        name: 0.3 * table.score + rng.normal(0, noise, table.shape) for name, noise in ((ROUTER, 0.3), (OTHER, 1))
    }
    return {
        name: sweep(Estimates(table.prompt_ids, table.models, guess, cost), table) for name, guess in guesses.items()
    }


@pytest.mark.slow
def test_corrected_aiq_is_right_on_average_and_its_intervals_hold_the_truth(curves: dict[str, Frontier]) -> None:
    table = summary(simulate(curves, 150, 60, 100)).drop(index="difference", level="figure")
    bias = table["bias"].unstack("figure")
    assert (bias.loc["AIQ"] > 0.4).all()
    assert (bias.loc["corrected AIQ"].abs() < 0.4 * bias.loc["AIQ"]).all()
    assert (bias.loc["cross-fitted, 2 folds"] < bias.loc["cross-fitted, 10 folds"]).all()
    assert (table.loc["corrected AIQ", "inside"] >= 80).all()  # 95 % in expectation; fewer is one in 10,000


def test_where_nothing_is_chosen_nothing_is_corrected(curves: dict[str, Frontier]) -> None:
    table = curves[ROUTER].outcomes
    one = sweep(
        Estimates(table.prompt_ids, table.models, np.ones(table.shape), np.tile([1.0, 0.5, 0.7], (3_000, 1))), table
    )
    ways = estimators(one, np.arange(3_000), np.arange(3_000), 20)
    assert one.n_points == 1
    assert ways["corrected AIQ"].value == ways["AIQ"].value
    np.testing.assert_allclose(ways["corrected AIQ"].replicates, ways["AIQ"].replicates, atol=1e-12)


def test_a_draw_of_all_prompts_is_the_benchmark_itself(curves: dict[str, Frontier]) -> None:
    curve = curves[ROUTER]
    again = drawn(curve, np.random.default_rng(0).permutation(3_000))
    np.testing.assert_allclose(again.score, curve.score, atol=1e-12)
    twice = drawn(curve, np.repeat(np.arange(100), 2))
    assert twice.score[0] == pytest.approx(curve.rows(np.arange(3_000) < 100).score[0])


def main(draws: int, names: Sequence[str], sizes: Sequence[int]) -> None:
    """The tables of docs/method.md, of some of the benchmarks and numbers of prompts."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "carrot.duckdb")
        for recipe in RECIPES:
            if recipe.name in names:
                curves = population(load(store, SHARED_DATA, recipe, lambda done, total: None))
                for n in sizes:
                    print(f"\n{recipe.name}, {n:,} prompts\n", summary(simulate(curves, n, draws)).round(3), flush=True)


if __name__ == "__main__":
    pd.set_option("display.width", 120, "display.max_rows", None, "display.max_columns", None)
    wishes = sys.argv[2:]
    numbers = [int(wish) for wish in wishes if wish.isdigit()]
    main(int(sys.argv[1]), [wish for wish in wishes if not wish.isdigit()] or NAMES, numbers or SIZES)
