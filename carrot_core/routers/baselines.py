"""Baselines: constants, lookups by task, cost alone, chance, the oracle, and RouterBench's rule at mean costs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from carrot_core.frontier import most_accurate
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Rows, Usage
from carrot_core.routers.base import VectorRouter, vectors_of


def _mean(table: FloatTable, rows: Rows) -> FloatTable:
    """(M,) mean of the observed cells; 0 for a model without any, so that it is never the best guess."""
    chosen = table[rows]
    mask = ~np.isnan(chosen)
    means: FloatTable = np.where(mask, chosen, 0.0).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)
    return means


def _comparable(train: Benchmark) -> Rows:
    """Prompts on which means of models can be compared: those with all models observed if there are any, else all."""
    complete = train.measured.complete
    return complete if complete.any() else np.ones(len(complete), dtype=bool)


class ZeroRouter:
    """Knows only each model's train mean; its sweep is the hull of the single models (RouterBench).

    Source: arXiv 2403.12031, "zero router".
    """

    name: ClassVar[str] = "zero"
    output_tokens_: FloatTable | None = None  # for a router saved without it

    def fit(self, train: Benchmark) -> Self:
        rows = _comparable(train)
        self.models_ = train.models
        self.score_ = _mean(train.measured.score, rows)
        self.cost_usd_ = _mean(train.measured.cost_usd, rows)
        self.output_tokens_ = _mean(train.output_tokens, rows) if train.usage == "output_tokens" else None
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        shape = (len(bench.prompt_ids), len(self.models_))
        return Estimates(
            bench.prompt_ids,
            self.models_,
            np.broadcast_to(self.score_, shape),
            np.broadcast_to(self.cost_usd_, shape),
            output_tokens=None if self.output_tokens_ is None else np.broadcast_to(self.output_tokens_, shape),
        )


class TaskLookup:
    """Knows each model's train mean per task, and reads the task label at decision time.

    A deployed router usually has no such label; the baseline shows how much of a gain comes from knowing the task. A
    task unseen in training gets the train means over all tasks.
    """

    name: ClassVar[str] = "task-lookup"

    def fit(self, train: Benchmark) -> Self:
        rows, tasks = _comparable(train), np.array(train.tasks, dtype=object)
        self.overall_ = ZeroRouter().fit(train)
        self.models_ = train.models
        self.means_ = {
            task: (
                _mean(train.measured.score, rows & (tasks == task)),
                _mean(train.measured.cost_usd, rows & (tasks == task)),
            )
            for task in sorted(set(tasks[rows]))
        }
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        return Estimates(bench.prompt_ids, self.models_, *self._means_of(bench))

    def _means_of(self, bench: Benchmark) -> tuple[FloatTable, FloatTable]:
        """(n, M) mean scores and costs of each prompt's task."""
        unseen = (self.overall_.score_, self.overall_.cost_usd_)
        means = [self.means_.get(task, unseen) for task in bench.tasks]
        score, cost = np.array(means).reshape(len(means), 2, len(self.models_)).swapaxes(0, 1)
        return score, cost


class TaskLookupInput(TaskLookup):
    """`TaskLookup` that also knows the input cost of each call; the rest of the cost is the mean of the task.

    It shows how much of a gain comes from knowing the task and the length of the prompt. If only dollars are recorded,
    the input cost is not known, and it is the task lookup itself.
    """

    name: ClassVar[str] = "task-lookup-input"

    def fit(self, train: Benchmark) -> Self:
        self.usage_, measured, known = train.usage, train.measured, _input_usd(train, train.usage)
        self.input_usd_ = _mean(known, _comparable(train))
        rest = measured.cost_usd - np.where(np.isnan(known), self.input_usd_, known)
        return super().fit(replace(train, outcomes=measured.with_values(measured.score, rest), corrected=None))

    def estimate(self, bench: Benchmark) -> Estimates:
        score, rest = self._means_of(bench)
        known = _input_usd(bench.pool(self.models_), self.usage_)
        cost_usd = np.maximum(rest + np.where(np.isnan(known), self.input_usd_, known), 0.0)
        return Estimates(bench.prompt_ids, self.models_, score, cost_usd)


def _input_usd(bench: Benchmark, usage: Usage) -> FloatTable:
    """(n, M) cost of each call's input; NaN if not known, for instance if the router learned from dollars alone."""
    if "cost_usd" in (usage, bench.usage):
        return np.full(bench.outcomes.shape, np.nan)
    return bench.cost_usd_of(np.zeros(bench.outcomes.shape))


class BestSingle:
    """Always the model with the best mean score on the training prompts (`most_accurate`).

    One point, not a curve. (The best single model that reports compare with is chosen on validation.)
    """

    name: ClassVar[str] = "best-single"

    def fit(self, train: Benchmark) -> Self:
        zero = ZeroRouter().fit(train)
        best = most_accurate(zero.score_, zero.cost_usd_, train.models)
        self.models_: tuple[str, ...] = (train.models[best],)
        self.score_, self.cost_usd_ = zero.score_[[best]], zero.cost_usd_[[best]]
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        shape = (len(bench.prompt_ids), 1)
        return Estimates(
            bench.prompt_ids,
            self.models_,
            np.broadcast_to(self.score_, shape),
            np.broadcast_to(self.cost_usd_, shape),
        )


class RandomRouter:
    """A model drawn at random for each prompt, at the train mean costs.

    Scores are uniform in [0, 1), independent over prompts and models. So at λ = 0 every model is equally likely (the
    random router of LLMRouterBench), and as λ grows expensive models are drawn more and more rarely, until only the
    cheapest is left. A router that is better at the same cost knows something of the prompt or the models. A draw is
    fixed by the seed, the prompt id and the model's name.
    """

    name: ClassVar[str] = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, train: Benchmark) -> Self:
        self.models_ = train.models
        self.cost_usd_ = ZeroRouter().fit(train).cost_usd_
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        score = uniform(self.seed, bench.prompt_ids, self.models_)
        return Estimates(bench.prompt_ids, self.models_, score, np.broadcast_to(self.cost_usd_, score.shape))


class Oracle:
    """Chooses by the outcomes themselves: on each prompt the cheapest of the best models (LLMRouterBench).

    If no model scores above 0, it chooses the cheapest of all. It estimates only prompts with the whole pool observed.
    No router can be above it at λ = 0.
    """

    name: ClassVar[str] = "oracle"

    def fit(self, train: Benchmark) -> Self:
        self.models_ = train.models
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        outcomes = bench.whole.pool(self.models_)
        outcomes = outcomes.rows(outcomes.complete)
        return Estimates(outcomes.prompt_ids, outcomes.models, outcomes.score, outcomes.cost_usd)


def uniform(seed: int, prompt_ids: Sequence[str], models: Sequence[str]) -> FloatTable:
    """(n, M) numbers in [0, 1), as if drawn independently for every seed, prompt id and model name."""
    with np.errstate(over="ignore"):  # arithmetic is modulo 2**64 on purpose
        mixed = _keys(f"prompt {seed}", prompt_ids)[:, None] ^ _keys(f"model {seed}", models)
        # The finaliser of SplitMix64 (Steele, Lea, Flood 2014): xor alone would leave the columns correlated.
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    numbers: FloatTable = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return numbers


def _keys(salt: str, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """(k,) a 64-bit hash of each name."""
    hashed = (blake2b(f"{salt} {name}".encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(hashed), dtype=np.uint64)


class CostOnly(VectorRouter):
    """Knows each model's train mean score and a prompt's cost: that of the input is known, the rest predicted.

    Scores are those of `ZeroRouter`, costs those of `carrot_core.routers.linear.CarrotLinear`: dollars where only
    they are recorded, the known cost where only the input is charged. It shows how much of a gain comes from knowing on
    which prompts an expensive model costs little more.
    """

    name: ClassVar[str] = "cost-only"

    def __init__(self, seed: int = 0) -> None:
        from carrot_core.routers.linear import CarrotLinear  # scikit-learn only where a router is fitted

        super().__init__(CarrotLinear())

    def fit(self, train: Benchmark) -> Self:
        self.score_ = ZeroRouter().fit(train).score_
        return super().fit(train)

    def estimate(self, bench: Benchmark) -> Estimates:
        table = super().estimate(bench)
        return replace(table, score=np.broadcast_to(self.score_, table.shape))


class CostBlindRouter(VectorRouter):
    """Scores of any estimator of prompt vectors, at each model's train mean cost (arXiv 2403.12031)."""

    output_tokens_: FloatTable | None = None  # for a router saved without it

    def fit(self, train: Benchmark) -> Self:
        means = ZeroRouter().fit(train)
        self.cost_usd_, self.output_tokens_ = means.cost_usd_, means.output_tokens_
        return super().fit(train)

    def _usage_to_learn(self, train: Benchmark) -> FloatTable | None:
        return None

    def estimate(self, bench: Benchmark) -> Estimates:
        score = self.estimator.predict(vectors_of(bench, self.encoder_))
        tokens = None if self.output_tokens_ is None else np.broadcast_to(self.output_tokens_, score.shape)
        cost_usd = np.broadcast_to(self.cost_usd_, score.shape)
        return Estimates(bench.prompt_ids, self.models_, score, cost_usd, output_tokens=tokens)


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
        RouterBench's, except for the stopping: RouterBench trains for all 200 passes, which overfits and makes a
        needlessly weak rival.
    seed : int
        Seed of the first weights, the order of the prompts and the tenth of them that decides when to stop.

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
