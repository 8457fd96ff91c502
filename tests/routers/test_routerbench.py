"""RouterBench's rule: predicted scores at each model's mean cost."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from carrot_core.errors import CarrotError
from carrot_core.outcomes import Outcomes
from carrot_core.routers import make_router
from carrot_core.routers.baselines import ModelMLPs
from carrot_core.routers.knn import CarrotKNN
from tests.made import made


def with_gaps(bench):
    score = bench.outcomes.score.copy()
    score[::5, 0] = np.nan
    old = bench.outcomes
    return replace(bench, outcomes=Outcomes(old.prompt_ids, old.models, score, old.cost_usd))


@pytest.mark.parametrize("name", ["routerbench-knn", "routerbench-mlp"])
class TestBoth:
    def test_costs_know_the_model_and_nothing_of_the_prompt(self, name):
        bench = with_gaps(made(200))
        train, test = bench.part("train"), bench.part("test")
        table = make_router(name).fit(train).estimate(test)
        expected = train.outcomes.cost_usd[train.outcomes.complete].mean(axis=0)
        np.testing.assert_allclose(table.cost_usd, np.tile(expected, (len(test.prompt_ids), 1)))

    def test_scores_know_the_prompt(self, name):
        bench = with_gaps(made(300))
        table = make_router(name).fit(bench.part("train")).estimate(bench.part("test"))
        first = np.array(bench.part("test").tasks) == "kind 0"
        assert (table.score[first, 1] > table.score[first, 2]).mean() > 0.9
        assert (table.score[~first, 1] < table.score[~first, 2]).mean() > 0.9

    def test_output_tokens_are_not_needed(self, name):
        bench = made(100)
        silent = replace(bench, output_tokens=np.full((100, 3), np.nan), prices={})
        expected, result = (make_router(name).fit(each).estimate(each) for each in (bench, silent))
        np.testing.assert_array_equal(result.score, expected.score)

    def test_what_cannot_be_fitted_is_said(self, name):
        with pytest.raises(CarrotError, match=f"{name} cannot be fitted on 'made'"):
            make_router(name).fit(made(2))


def test_neighbours_are_routerbenchs():
    bench = made(200)
    router = make_router("routerbench-knn", seed=2).fit(bench)
    expected = CarrotKNN(candidates=(5, 10, 40), seed=2).fit(bench.vectors, bench.outcomes.score)
    assert router.estimator.n_neighbors_ == expected.n_neighbors_
    np.testing.assert_array_equal(router.estimate(bench).score, expected.predict(bench.vectors))


@pytest.mark.parametrize("hidden", [(7,), (5, 4)])
def test_networks_are_scikit_learns_one_a_model(hidden):
    bench = with_gaps(made(120, dimensions=16))
    X, y = bench.vectors, bench.outcomes.score
    result = ModelMLPs(hidden, max_iter=15, seed=4).fit(X, y).predict(X)
    for column in range(3):
        mask = ~np.isnan(y[:, column])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network = MLPRegressor(hidden_layer_sizes=hidden, max_iter=15, early_stopping=True, random_state=4)
            network.fit(X[mask], y[mask, column])
        np.testing.assert_allclose(result[:, column], network.predict(X), rtol=1e-5, atol=1e-6)
