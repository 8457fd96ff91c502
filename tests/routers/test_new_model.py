"""A model with few scored prompts: what is filled in for it, and that it serves better than its own cells alone.

`python -m tests.routers.test_new_model FOLDER [BENCHMARK or N ...]` prints how much its error exceeds that of a fit on
all prompts, for the real benchmarks in a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from carrot_core.evaluation.learning import _with_few
from carrot_core.outcomes import Benchmark, FloatTable
from carrot_core.routers import make_router
from carrot_core.routers.regressor import FEW, Strength, _regression, with_new_models
from carrot_core.store import Store
from tests.made import MODELS, made
from tests.test_promise import RECIPE, benchmark

SIZES = (25, 50, 100, 200, 400)
MOST = 2400  # prompts of a benchmark


@pytest.fixture(scope="module")
def tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and usage of five models that are alike, and vectors that tell half of it."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 6))
    ease = vectors[:, :1] + rng.normal(size=(600, 1))
    score = 1 / (1 + np.exp(-ease - rng.normal(size=5) - 0.3 * rng.normal(size=(600, 5))))
    usage = np.exp(5 - ease + rng.normal(size=5) + 0.2 * rng.normal(size=(600, 5)))
    return score, usage, vectors


def hidden(table: np.ndarray, n_scored: int, model: int = 0) -> np.ndarray:
    few = table.copy()
    few[n_scored:, model] = np.nan
    return few


def test_unscored_cells_are_told_from_the_other_models(tables: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    score, usage, vectors = tables
    result, used = with_new_models(hidden(score, 30), hidden(usage, 30), vectors)
    assert used is not None
    np.testing.assert_array_equal(result[:30], score[:30])
    np.testing.assert_array_equal(result[:, 1:], score[:, 1:])
    np.testing.assert_array_equal(used[:30], usage[:30])
    assert ((result >= 0) & (result <= 1)).all()
    assert (used >= 0).all()
    for filled, truth in ((result, score), (used, usage)):
        of_own_cells = np.mean((truth[30:, 0] - truth[:30, 0].mean()) ** 2)
        assert np.mean((filled[30:, 0] - truth[30:, 0]) ** 2) < 0.25 * of_own_cells


@pytest.mark.parametrize(
    ("n_scored", "n_models"), [(300, 5), (30, 2)], ids=["half of all is not few", "no two others to learn from"]
)
def test_tables_without_a_new_model_come_back_as_they_are(
    n_scored: int, n_models: int, tables: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    assert n_scored <= FEW
    score, usage, vectors = (table[:, :n_models] for table in tables)
    few = hidden(score, n_scored)
    result, used = with_new_models(few, hidden(usage, n_scored), vectors)
    np.testing.assert_array_equal(result, few)
    np.testing.assert_array_equal(used, hidden(usage, n_scored))


def test_the_regression_is_a_ridge_on_the_other_models_and_the_vectors() -> None:
    rng = np.random.default_rng(1)
    others, unit, target = rng.normal(size=(40, 3)), rng.normal(size=(40, 4)), rng.normal(size=12)
    scored, rows = np.arange(12), np.arange(12, 40)
    result = _regression(others, unit, scored, rows, target, [Strength(0.5, 4.0, 9.0), Strength(1.0, 4.0, np.inf)])
    for share, features, expected in (
        (0.5, np.hstack([others / 2, unit / 3]), result[0]),
        (1.0, others / 2, result[1]),
    ):
        common = share * others.mean(axis=1)
        ridge = Ridge(alpha=1.0).fit(features[scored], target - common[scored])
        np.testing.assert_allclose(expected, ridge.predict(features[rows]) + common[rows], atol=1e-9)


def test_a_router_whose_new_model_has_few_cells_estimates_it_better_than_by_those_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = made(900, dimensions=16)
    new = MODELS.index("zeta/mid")
    order = np.random.default_rng(0).permutation(int((bench.split == "train").sum()))
    train, test = _with_few(bench.part("train"), "zeta/mid", order[25:]), bench.part("test")
    truth = np.where(np.array(test.tasks) == "kind 1", 0.9, 0.2)

    def error(on: Benchmark) -> float:
        return float(np.mean((make_router("carrot-linear").fit(on).estimate(test).score[:, new] - truth) ** 2))

    filled = error(train)
    monkeypatch.setattr("carrot_core.routers.regressor.FEW", 0)
    assert filled < error(train)


def _contrasts(table: FloatTable, column: int) -> FloatTable:
    """(n,) one model's score less the mean of the others'."""
    return table[:, column] - np.delete(table, column, axis=1).mean(axis=1)


def excess(
    bench: Benchmark, sizes: Sequence[int], n_models: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, list[float]]]:
    """For each number of scored prompts by how much the squared error of a new model's contrasts exceeds that of a fit
    on all: filled in, by its own cells alone, and by these of four times as many scored prompts.

    Means over ``n_models`` as the new one, from the best to the weakest, of `carrot-linear` on at most `MOST` prompts,
    a quarter of them to judge on.
    """
    order = np.random.default_rng(0).permutation(len(bench.prompt_ids))[:MOST]
    judged, learned = np.split(order, [len(order) // 4])
    train, test = bench.rows(learned), bench.rows(judged)
    by_score = np.argsort(-np.asarray(bench.measured.score.mean(axis=0)))
    columns = by_score[np.linspace(0, len(by_score) - 1, n_models).round().astype(int)].tolist()

    def error(column: int, n: int, few: int) -> float:
        monkeypatch.setattr("carrot_core.routers.regressor.FEW", few)
        router = make_router("carrot-linear").fit(_with_few(train, bench.models[column], range(n, len(learned))))
        apart = _contrasts(router.estimate(test).score, column) - _contrasts(test.measured.score, column)
        return float(np.mean(apart**2))

    full = {column: error(column, len(learned), 0) for column in columns}
    own = {n: np.mean([error(one, n, 0) - full[one] for one in columns]) for n in {*sizes, *(4 * n for n in sizes)}}
    for n in sizes:
        yield n, [float(np.mean([error(one, n, FEW) - full[one] for one in columns])), float(own[n]), float(own[4 * n])]


def test_a_new_model_whose_prompts_are_all_scored_errs_as_the_fit_on_all_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(excess(made(120, dimensions=4), [90], 1, monkeypatch)) == [(90, [0.0, 0.0, 0.0])]


def main(folder: Path, names: Sequence[str], sizes: Sequence[int]) -> None:
    """Print the excess in ten-thousandths on these benchmarks, at these numbers of scored prompts."""
    with TemporaryDirectory() as home, pytest.MonkeyPatch.context() as monkeypatch:
        store = Store(Path(home))
        for name in names:
            bench = benchmark(store, folder, name)
            for n, errors in excess(bench, sizes, 4 if name == "routerbench-subset" else 3, monkeypatch):
                print(f"| {name} | {n} | " + " / ".join(f"{1e4 * one:.0f}" for one in errors) + " |", flush=True)


if __name__ == "__main__":
    wishes = sys.argv[2:]
    numbers = [int(wish) for wish in wishes if wish.isdigit()]
    main(Path(sys.argv[1]), [wish for wish in wishes if not wish.isdigit()] or [*RECIPE], numbers or SIZES)
