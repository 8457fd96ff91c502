"""A model with few scored prompts: what is filled in for it, and that it serves better than its own cells alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from carrot_core.evaluation.learning import _with_few
from carrot_core.outcomes import Benchmark
from carrot_core.routers import make_router
from carrot_core.routers.regressor import FEW, Strength, _regression, with_new_models
from tests.made import MODELS, made


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
