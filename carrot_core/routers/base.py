"""The interface of every router: fit on prompts with outcomes, estimate scores and costs of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Usage

if TYPE_CHECKING:
    from carrot_core.routers.inputs import TaskInput


NEED_NO_TEXTS = "task-lookup, zero, random"  # routers
WITHOUT_TEXTS = f"The prompts have no texts, which most routers read. These need none: {NEED_NO_TEXTS}."


class Router(Protocol):
    """Interface of a router for the sweep; only the oracle's ``estimate`` reads outcomes."""

    name: ClassVar[str]
    models_: tuple[str, ...]  # once fitted

    def fit(self, train: Benchmark) -> Self:
        """Learn from the prompts of ``train``; unobserved cells are NaN."""
        ...

    def estimate(self, bench: Benchmark) -> Estimates:
        """Expected score and cost of every model of the fitted pool on every prompt of ``bench``."""
        ...


class VectorRouter:
    """A router around an estimator with ``fit(X, y, usage)``, ``predict`` and ``predict_with_usage``.

    Predicts scores and token use from prompt vectors and applies prices afterwards, so that new prices
    need no refit (CARROT, arXiv 2502.03261).

    Parameters
    ----------
    estimator : fresh.
    use_task : read the task label of a prompt beside its vector, in training and at decision time. A prompt without a
        label, or with one that no training prompt had, gets the mean over its likely tasks
        (`carrot_core.routers.inputs`).

    Attributes
    ----------
    tasks_ : TaskInput, once fitted with ``use_task``; else None.
    """

    name: ClassVar[str]
    models_: tuple[str, ...]
    use_task = False  # of one that was saved without
    tasks_: TaskInput | None = None

    def __init__(self, estimator: Any, use_task: bool = False) -> None:
        self.estimator, self.use_task = estimator, use_task

    def fit(self, train: Benchmark) -> Self:
        self.models_, self.usage_, self.prices_ = train.models, train.usage, train.prices
        self.encoder_ = train.encoder
        vectors: npt.NDArray[np.floating] = vectors_of(train, train.encoder)
        usage = self._usage_to_learn(train)
        check_observed(train, usage)
        if self.use_task:
            from carrot_core.routers.inputs import TaskInput  # scikit-learn only where a router is fitted

            self.tasks_ = TaskInput().fit(vectors, train.tasks, train.outcomes.score)
            vectors = self.tasks_.beside(vectors, train.tasks)
        from carrot_core.routers.regressor import with_new_models

        try:
            score, usage = with_new_models(train.outcomes.score, usage, vectors)
            self.estimator.fit(vectors, score, usage=usage, **self._more_to_learn(train))
        except ValueError as error:  # scikit-learn's error for unusable data and parameters
            raise CarrotError(f"{self.name} cannot be fitted on {train.name!r}: {error}") from error
        return self

    def _more_to_learn(self, train: Benchmark) -> dict[str, Any]:
        """Further arguments of the estimator's ``fit``, from the training prompts, by parameter name."""
        return {}

    def _usage_to_learn(self, train: Benchmark) -> FloatTable | None:
        return None if train.usage == "input_only" else usage_to_learn(train)

    def estimate(self, bench: Benchmark) -> Estimates:
        vectors = vectors_of(bench, self.encoder_)
        bench = replace(bench.pool(self.models_), prices={**self.prices_, **bench.pool(self.models_).prices})
        score, used = (
            self._expected(vectors)
            if self.tasks_ is None
            else self.tasks_.estimate(self._expected, vectors, bench.tasks)
        )
        usage = np.zeros(bench.outcomes.shape) if used is None else used
        tokens = uncharged_tokens(bench, usage, self.usage_)
        cost_usd = bench.cost_usd_of(usage, self.usage_)
        return Estimates(bench.prompt_ids, self.models_, score, cost_usd, output_tokens=tokens)

    def _expected(self, vectors: npt.NDArray[np.floating]) -> tuple[FloatTable, FloatTable | None]:
        """(n, M) scores, and usage or None, of vectors like those that the estimator was fitted on."""
        if self.usage_ == "input_only":
            return self.estimator.predict(vectors), None
        score, usage = self.estimator.predict_with_usage(vectors)
        return score, usage


def vectors_of(bench: Benchmark, encoder: str | None) -> npt.NDArray[np.float32]:
    """(n, d) prompt vectors, of the encoder that the router was fitted on."""
    if bench.encoder != encoder:
        raise CarrotError(f"Fitted on vectors of {encoder!r}; {bench.name!r} has those of {bench.encoder!r}.")
    if bench.vectors is None and all(text is None for text in bench.texts):
        raise CarrotError(
            f"{bench.name!r} has no prompt texts, and this router reads them. These need none: --router "
            f"{NEED_NO_TEXTS}."
        )
    if bench.vectors is None or np.isnan(bench.vectors).any():
        raise CarrotError(
            f"Prompts of {bench.name!r} have no vectors yet: run `carrot data embed {bench.name}`, "
            "or leave out the prompts without text."
        )
    return bench.vectors


def usage_to_learn(train: Benchmark) -> FloatTable:
    """(n, M) `Benchmark.usage_table`; 0 for a model with free output that was never recorded, where any number will
    do."""
    table, of_tokens = train.usage_table(), train.usage == "output_tokens"
    free = np.array([of_tokens and train.prices[model].expected.output_usd_per_mtok == 0 for model in train.models])
    return np.where(free & np.isnan(table).all(axis=0), 0.0, table)


def uncharged_tokens(bench: Benchmark, predicted: FloatTable, usage: Usage) -> FloatTable | None:
    """The predicted usage table if it has output tokens that are free for some model; else None."""
    priced = [bench.prices[model].expected for model in bench.models] if usage == "output_tokens" else []
    return np.maximum(predicted, 0.0) if any(price.output_usd_per_mtok == 0 for price in priced) else None


def check_observed(train: Benchmark, usage: FloatTable | None) -> None:
    """Raise a `CarrotError` that names a model without any observed score or, in (n, M) ``usage``, any observed
    usage."""
    remedies = {
        "score": "leave that model out",
        "cost": "leave that model out, or import it with a price or, if it really costs nothing, with --free",
    }
    for (what, remedy), table in zip(remedies.items(), (train.outcomes.score, usage), strict=True):
        never = np.zeros(0, dtype=bool) if table is None else np.isnan(table).all(axis=0)
        if never.any():
            raise CarrotError(
                f"{train.models[int(never.argmax())]!r} has no {what} among the training prompts of {train.name!r}: "
                f"{remedy}."
            )


def texts_of(bench: Benchmark) -> list[str]:
    """The prompts' texts.

    Raises
    ------
    CarrotError
        A prompt has none.
    """
    texts = [text for text in bench.texts if text is not None]
    if len(texts) < len(bench.texts):
        raise CarrotError(
            f"{len(bench.texts) - len(texts):,} prompts of {bench.name!r} have no text to read: leave them out."
        )
    return texts


@runtime_checkable
class WithFiles(Protocol):
    """A part of a router that writes a folder of its own and reads it back."""

    def state(self) -> Mapping[str, Any]:
        """The values that the router's two files store."""
        ...

    def write_files(self, folder: Path) -> None:
        """Write the rest."""
        ...

    @classmethod
    def from_files(cls, folder: Path, state: Mapping[str, Any]) -> Self:
        """Rebuild the part; nothing in the folder may run."""
        ...
