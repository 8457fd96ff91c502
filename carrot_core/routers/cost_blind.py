"""RouterBench's routers: they predict scores for each prompt, but use one mean cost a model.

The difference to CARROT is what predicting costs gains.
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from carrot_core.outcomes import Benchmark, Estimates, FloatTable
from carrot_core.routers.base import VectorRouter, vectors_of
from carrot_core.routers.baselines import ZeroRouter


class CostBlindRouter(VectorRouter):
    """Scores of any estimator of prompt vectors, at each model's train mean cost (arXiv 2403.12031)."""

    def fit(self, train: Benchmark) -> Self:
        self.cost_usd_ = ZeroRouter().fit(train).cost_usd_
        return super().fit(train)

    def _usage_to_learn(self, train: Benchmark) -> FloatTable | None:
        return None

    def estimate(self, bench: Benchmark) -> Estimates:
        score = self.estimator.predict(vectors_of(bench, self.encoder_))
        return Estimates(bench.prompt_ids, self.models_, score, np.broadcast_to(self.cost_usd_, score.shape))


class RouterBenchKNN(CostBlindRouter):
    """Means over the 5, 10 or 40 nearest training prompts, RouterBench's numbers; chosen by cross-validation."""

    name = "routerbench-knn"

    def __init__(self, seed: int = 0, candidates: tuple[int, ...] = (5, 10, 40), **params: Any) -> None:
        from carrot_core.routers.knn import CarrotKNN

        super().__init__(CarrotKNN(seed=seed, candidates=candidates, **params))


class RouterBenchMLP(CostBlindRouter):
    """One network of 100 units a model, as RouterBench has it, but stopped early (see `ModelMLPs`)."""

    name = "routerbench-mlp"

    def __init__(self, seed: int = 0, **params: Any) -> None:
        super().__init__(ModelMLPs(seed=seed, **params))


class ModelMLPs:
    """A scikit-learn ``MLPRegressor`` for each model, on the prompts where it was observed.

    Parameters
    ----------
    hidden_layer_sizes, learning_rate_init, max_iter, early_stopping : those of ``MLPRegressor``.
        RouterBench's, but for the stopping: it trains for all 200 passes, which fits single prompts by heart
        and makes a weaker rival than need be.
    seed : int
        Of the first weights, the order of the prompts and the tenth of them that decides when to stop.

    Attributes
    ----------
    layers_ : for each model, for each layer, its (inputs, outputs) weights and (outputs,) biases.
    """

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (100,),
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        early_stopping: bool = True,
        seed: int = 0,
    ) -> None:
        self.settings = {
            "hidden_layer_sizes": tuple(hidden_layer_sizes),
            "learning_rate_init": learning_rate_init,
            "max_iter": max_iter,
            "early_stopping": early_stopping,
            "random_state": seed,
        }

    def fit(self, X: npt.NDArray[np.floating], y: FloatTable, usage: None = None) -> Self:
        """Learn the (n, M) scores of (n, d) vectors, NaN = not observed."""
        from sklearn.exceptions import ConvergenceWarning  # slow to import, and not needed to predict
        from sklearn.neural_network import MLPRegressor

        self.layers_ = []
        for score in y.T:
            mask = ~np.isnan(score)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is a setting, not an accident
                network = MLPRegressor(**self.settings).fit(X[mask], score[mask])
            self.layers_.append(list(zip(network.coefs_, network.intercepts_, strict=True)))
        return self

    def predict(self, X: npt.NDArray[np.floating]) -> FloatTable:
        """(m, M) scores of (m, d) vectors."""
        return np.column_stack([_forward(X, layers) for layers in self.layers_])


def _forward(X: npt.NDArray[np.floating], layers: list[tuple[FloatTable, FloatTable]]) -> FloatTable:
    """(m,) output of a network with ReLU between its layers."""
    values: FloatTable = X.astype(np.float64)
    for place, (weights, bias) in enumerate(layers):
        values = (np.maximum(values, 0.0) if place else values) @ weights + bias
    return values[:, 0]
