"""What the binary routers share: a large and a small model, and how likely the small one suffices.

A router of a pair chooses the small model where P(small suffices) is at least a threshold. With constant
costs that is the common rule on estimates of just the two models, 1 for the large one and the probability
for the small one, so sweeping λ sweeps the threshold over the full range: all prompts to the large model
at λ = 0, all to the small one at λ = 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates, FloatTable
from carrot_core.routers.base import vectors_of
from carrot_core.routers.baselines import ZeroRouter

# (large, small) of CARROT's experiments (arXiv 2502.03261), by the models' names in SPROUT, the Open LLM
# Leaderboard and RouterBench.
PAPER_PAIRS = (
    ("openai-gpt-4o", "openai-gpt-4o-mini"),
    ("Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
    ("gpt-4-1106-preview", "mistralai/mixtral-8x7b-chat"),
)


class PairRouter(ABC):
    """A router between two models of the pool.

    "Small suffices" on a prompt where its score is at least the large model's: a tie, also one at 0, is
    not worth the large model's price. It is learned from the prompts on which both were observed.
    Estimates are of the two models alone; no other is ever chosen.

    Parameters
    ----------
    large, small : str or None
        Names of the pair; None (both) takes `default_pair` of the training prompts.
    """

    name: ClassVar[str]
    models_: tuple[str, ...]

    def __init__(self, large: str | None = None, small: str | None = None) -> None:
        self.large, self.small = large, small

    def fit(self, train: Benchmark) -> Self:
        """Learn where the small model suffices.

        Raises
        ------
        CarrotError
            One name of the pair without the other, a model the pool lacks, a small model that is not the
            cheaper one, or no training prompt with an outcome of both.
        """
        self.models_ = self._pair(train)
        pair = train.pool(self.models_)
        seen = np.asarray(~np.isnan(pair.outcomes.score).any(axis=1))
        if not seen.any():
            raise CarrotError(
                f"No training prompt of {train.name!r} has an outcome of both {' and '.join(self.models_)}."
            )
        self.cost_usd_ = ZeroRouter().fit(pair).cost_usd_
        if self.cost_usd_[1] >= self.cost_usd_[0]:
            raise CarrotError(
                f"{self.models_[1]!r} is not cheaper than {self.models_[0]!r}: name the pair the other way."
            )
        self._learn(pair.rows(seen), small_suffices(pair.outcomes.score[seen]))
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        """Estimates of the pair: 1 and P(small suffices), at mean train costs."""
        # Just under 1 even where it is certain, so that λ = 0 is a threshold that no prompt passes.
        suffices = np.minimum(self._probability(bench), np.nextafter(1.0, 0.0))
        score = np.column_stack([np.ones(len(suffices)), suffices])
        return Estimates(bench.prompt_ids, self.models_, score, np.broadcast_to(self.cost_usd_, score.shape))

    def _pair(self, train: Benchmark) -> tuple[str, str]:
        if self.large is None and self.small is None:
            return default_pair(train)
        if self.large is None or self.small is None or self.large == self.small:
            raise CarrotError(f"{self.name} needs two models, large= and small=, or neither.")
        return self.large, self.small

    @abstractmethod
    def _learn(self, prompts: Benchmark, suffices: npt.NDArray[np.bool_]) -> None:
        """Fit on the (n,) prompts with both outcomes."""

    @abstractmethod
    def _probability(self, prompts: Benchmark) -> npt.NDArray[np.float64]:
        """(n,) P(small suffices) in [0, 1]: a probability, not a logit."""


class VectorPairRouter(PairRouter):
    """A router of a pair around a classifier of prompt vectors with ``fit(X, y)`` and ``predict_proba(X)``."""

    def __init__(self, classifier: Any, large: str | None = None, small: str | None = None) -> None:
        super().__init__(large, small)
        self.classifier = classifier

    def _learn(self, prompts: Benchmark, suffices: npt.NDArray[np.bool_]) -> None:
        self.encoder_ = prompts.encoder
        self.always_ = float(suffices[0]) if len(set(suffices.tolist())) == 1 else None
        if self.always_ is None:
            try:
                self.classifier.fit(vectors_of(prompts, self.encoder_), suffices)
            except ValueError as error:  # how scikit-learn refuses data and parameters
                raise CarrotError(f"{self.name} cannot be fitted on {prompts.name!r}: {error}") from error

    def _probability(self, prompts: Benchmark) -> npt.NDArray[np.float64]:
        vectors = vectors_of(prompts, self.encoder_)
        if self.always_ is not None:
            return np.full(len(vectors), self.always_)
        probability: npt.NDArray[np.float64] = self.classifier.predict_proba(vectors)[:, 1]
        return probability


def small_suffices(score: FloatTable) -> npt.NDArray[np.bool_]:
    """(n,) whether the small model's score is at least the large one's; (n, 2) scores, large and small."""
    suffices: npt.NDArray[np.bool_] = score[:, 1] >= score[:, 0]
    return suffices


def default_pair(train: Benchmark) -> tuple[str, str]:
    """(large, small): the published pair of this pool, else the first step down the single models' hull.

    The second rule is that of the zero router: the large model is the most accurate on the training
    prompts (ties: the cheapest), the small one the cheaper model that loses least accuracy per dollar saved.
    """
    for pair in PAPER_PAIRS:
        if set(pair) <= set(train.models):
            return pair
    zero = ZeroRouter().fit(train)
    score, cost = zero.score_, zero.cost_usd_
    large = int(np.lexsort([cost, -score])[0])
    cheaper = np.flatnonzero(cost < cost[large])
    if not cheaper.size:
        raise CarrotError(
            f"{train.models[large]!r} is both the most accurate and the cheapest model of {train.name!r}, so there is "
            "no pair to choose by default: name one with large= and small=."
        )
    rate = (score[large] - score[cheaper]) / (cost[large] - cost[cheaper])
    return train.models[large], train.models[cheaper[np.lexsort([cost[cheaper], rate])[0]]]


class RoRF(VectorPairRouter):
    """RoRF: a random forest on prompt vectors (Not Diamond, github.com/Not-Diamond/RoRF).

    Two labels here, four in the original, which counts a prompt on which both models fail for the large
    one; here the small one suffices there (see `PairRouter`).
    """

    name = "rorf"

    def __init__(self, seed: int = 0, large: str | None = None, small: str | None = None, **params: Any) -> None:
        from carrot_core.routers.forest import PackedForest

        super().__init__(PackedForest(seed=seed, **params), large, small)


class RouteLLMMF(VectorPairRouter):
    """RouteLLM's matrix factorisation, fitted on the pair's own outcomes (arXiv 2406.18665)."""

    name = "routellm-mf"

    def __init__(self, seed: int = 0, large: str | None = None, small: str | None = None, **params: Any) -> None:
        from carrot_core.routers.factorisation import PairFactorisation

        super().__init__(PairFactorisation(seed=seed, **params), large, small)
