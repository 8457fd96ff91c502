"""CARROT-blend as a router: prompt vectors with the features of the text beside them, and tasks to learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.preprocessing import normalize

from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.routers.base import VectorRouter, vectors_of
from carrot_core.routers.blend import CarrotBlend
from carrot_core.routers.text_features import TextFeatures


class CarrotBlendRouter(VectorRouter):
    """CARROT with a blend of estimates from a prompt's vector, its text and the task both suggest.

    Task labels are read in training, to learn to infer the task, and never at decision time. Where the
    training prompts have vectors but no texts, vectors alone are used.
    """

    name: ClassVar[str] = "carrot-blend"

    def __init__(self, seed: int = 0, **params: Any) -> None:
        super().__init__(CarrotBlend(seed=seed, **params))

    def fit(self, train: Benchmark) -> Self:
        texts = [text for text in train.texts if text is not None]
        self.text_features_ = TextFeatures().fit(texts) if texts else None
        self.encoder_ = train.encoder
        return super().fit(self._with_text(train))

    def estimate(self, bench: Benchmark) -> Estimates:
        return super().estimate(self._with_text(bench))

    def _more_to_learn(self, train: Benchmark) -> dict[str, Any]:
        return {"tasks": np.array(train.tasks)}

    def _with_text(self, bench: Benchmark) -> Benchmark:
        vectors = vectors_of(bench, self.encoder_)
        if self.text_features_ is None:
            return bench
        texts = [text for text in bench.texts if text is not None]
        if len(texts) < len(bench.texts):
            raise CarrotError(
                f"{self.name} reads the text of a prompt beside its vector: leave out the prompts of "
                f"{bench.name!r} that have none."
            )
        beside = np.hstack([normalize(vectors), self.text_features_.transform(texts)])
        return replace(bench, vectors=beside.astype(np.float32))
