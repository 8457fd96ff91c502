"""RouteLLM's classifier: an encoder fine-tuned to say whether the small model of a pair suffices."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from carrot_core.outcomes import Benchmark
from carrot_core.routers.base import texts_of
from carrot_core.routers.encoder.recipe import Recipe
from carrot_core.routers.encoder.router import sigmoid
from carrot_core.routers.pairs import PairRouter


class RouteLLMBert(PairRouter):
    """RouteLLM's BERT classifier (arXiv 2406.18665), learned from scores as CARROT's authors do.

    RouteLLM's own is ``xlm-roberta-base`` with three classes (win, tie, loss) trained on human preferences;
    here scores take the place of preferences, a tie counts for the small model, and one output remains.
    Name RouteLLM's encoder with ``encoder="xlm-roberta-base"``.

    Parameters
    ----------
    seed : int
    large, small : str or None
        As for `PairRouter`.
    **params
        Those of `carrot_core.routers.encoder.recipe.Recipe`.
    """

    name: ClassVar[str] = "routellm-bert"

    def __init__(self, seed: int = 0, large: str | None = None, small: str | None = None, **params: Any) -> None:
        super().__init__(large, small)
        self.recipe = Recipe.of(self.name, seed, params)

    def _learn(self, prompts: Benchmark, suffices: npt.NDArray[np.bool_]) -> None:
        from carrot_core.routers.encoder.nets.training import fine_tuned

        targets = suffices[:, None].astype(np.float64)
        self.network, task, self.history_ = fine_tuned(texts_of(prompts), targets, 1, self.recipe)
        self.encoder_ = task.encoder

    def _probability(self, prompts: Benchmark) -> npt.NDArray[np.float64]:
        probability: npt.NDArray[np.float64] = sigmoid(self.network.outputs(texts_of(prompts)))[:, 0]
        return probability
