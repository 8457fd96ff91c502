"""CARROT with a fine-tuned transformers encoder: scores and usage of a prompt from its text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from carrot_core.outcomes import Benchmark, Estimates, FloatTable
from carrot_core.routers.base import check_observed, texts_of, uncharged_tokens, usage_to_learn
from carrot_core.routers.criteria import contrasts, observed_mean
from carrot_core.routers.encoder.recipe import Recipe
from carrot_core.routers.pairs import PairRouter
from carrot_core.routers.usage_scale import UsageScale


class CarrotEncoder:
    """CARROT's encoder variant (arXiv 2502.03261): roberta-base, or any other encoder, fine-tuned on outcomes.

    One encoder with two linear heads: scores by multi-label cross-entropy (labels may be any number from 0 to
    1), usage (output tokens, or dollars where the benchmark has nothing else) by squared error on a log scale
    whose bias on the way back is taken out on held-out prompts (`UsageScale`). Unobserved cells weigh nothing.
    The heads are first fitted to the encoder as it is; then all is trained together, and the weights with
    the best loss on the held-out part of the training prompts are kept. Last, the differences between models
    are drawn towards those of their train means by one factor, fitted on the held-out prompts: the best of
    many noisy estimates is otherwise too good (`shrink_`). Prices come afterwards.

    The authors train two encoders, one for scores and one for tokens, from random heads, on raw tokens, and
    draw nothing together.

    Parameters
    ----------
    seed : int
    **params
        Those of `carrot_core.routers.encoder.recipe.Recipe`.

    Attributes
    ----------
    encoder_ : str
        The encoder that was fine-tuned.
    network : Network
        The trained network.
    history_ : list of dict
        "step" and "held_out_loss" at the start and after each epoch.
    shrink_ : float
        What is left of the estimated differences between models beside those of the train means, 0 to 1.
    usage_scale_ : UsageScale
        Its ``bias_`` is the bias of the usage before the correction, as a share; absent where only the input
        is charged.
    """

    name: ClassVar[str] = "carrot-encoder"
    models_: tuple[str, ...]

    def __init__(self, seed: int = 0, **params: Any) -> None:
        self.recipe = Recipe.of(self.name, seed, params)

    def fit(self, train: Benchmark) -> Self:
        """Fine-tune on the texts and outcomes of ``train``.

        Raises
        ------
        CarrotError
            Prompts without text, a model never observed, or an encoder that cannot be loaded.
        """
        from carrot_core.routers.encoder.training import fine_tuned

        score = train.outcomes.score
        usage = np.empty((len(score), 0)) if train.usage == "input_only" else usage_to_learn(train)
        check_observed(train, usage)
        self.usage_scale_ = UsageScale().fit(usage)
        logs = self.usage_scale_.logs(usage)
        self.network, task, self.history_ = fine_tuned(
            texts_of(train), np.hstack([score, logs]), len(train.models), self.recipe
        )
        self.encoder_ = task.encoder
        self.models_, self.usage_, self.prices_ = train.models, train.usage, train.prices
        estimated, predicted_logs = self._outputs(train.rows(task.held_out_rows))
        self.usage_scale_.correct(predicted_logs, usage[task.held_out_rows])
        self.means_ = observed_mean(score)[0]
        self.shrink_ = _slope(estimated - self.means_, score[task.held_out_rows] - self.means_)
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        """Scores and costs in US dollars of every model on the texts of ``bench``."""
        pool = bench.pool(self.models_)
        bench = replace(pool, prices={**self.prices_, **pool.prices})
        score, logs = self._outputs(bench)
        score -= (1.0 - self.shrink_) * contrasts(score - self.means_)
        usage = np.zeros(score.shape) if self.usage_ == "input_only" else self.usage_scale_.usage(logs)
        tokens = uncharged_tokens(bench, usage, self.usage_)
        cost_usd = bench.cost_usd_of(usage, self.usage_)
        return Estimates(bench.prompt_ids, self.models_, score, cost_usd, output_tokens=tokens)

    def _outputs(self, bench: Benchmark) -> tuple[FloatTable, FloatTable]:
        """(n, M) scores and logs of usage."""
        outputs = self.network.outputs(texts_of(bench))
        m = len(self.models_)
        return sigmoid(outputs[:, :m]), outputs[:, m:]


def sigmoid(outputs: FloatTable) -> FloatTable:
    """Outputs as probabilities."""
    chance: FloatTable = 0.5 + 0.5 * np.tanh(outputs / 2)
    return chance


def _slope(estimated: FloatTable, observed: FloatTable) -> float:
    """Factor, 0 to 1, that brings the differences between models in one table nearest to those in the other."""
    estimates, truth = contrasts(np.where(np.isnan(observed), np.nan, estimated)), contrasts(observed)
    square = float(np.nansum(estimates**2))
    return float(np.clip(np.nansum(estimates * truth) / square, 0.0, 1.0)) if square > 0.0 else 1.0


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
        from carrot_core.routers.encoder.training import fine_tuned

        targets = suffices[:, None].astype(np.float64)
        self.network, task, self.history_ = fine_tuned(texts_of(prompts), targets, 1, self.recipe)
        self.encoder_ = task.encoder

    def _probability(self, prompts: Benchmark) -> npt.NDArray[np.float64]:
        probability: npt.NDArray[np.float64] = sigmoid(self.network.outputs(texts_of(prompts)))[:, 0]
        return probability
