"""Routers that read the text itself: CARROT with a fine-tuned encoder, and the authors' published checkpoints.

The checkpoints are two RoBERTa classifiers, ``CARROT-LLM-Routing/Performance`` (multi-label) and
``CARROT-LLM-Routing/Cost`` (regression). Three things about them are known only from the code around them:

- **Order of the outputs.** The checkpoints were trained with the models in alphabetical order (`LABELS`); the wrapper
  published with them swaps the last two outputs, mixtral before llama-3-405b.
- **Unit.** The second network's outputs are thousands of output tokens.
- **Attention mask.** The wrapper passes none, so that its estimates of a prompt depend on the other prompts of the
  batch. Here the mask is always passed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from carrot_core.embedding import load_pretrained
from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, positions
from carrot_core.prices.files import shipped_prices
from carrot_core.routers.base import check_observed, texts_of, uncharged_tokens, usage_to_learn
from carrot_core.routers.criteria import UsageScale, contrasts, observed_mean
from carrot_core.routers.encoder import Recipe
from carrot_core.routers.pairs import PairRouter


class CarrotEncoder:
    """CARROT's encoder variant (arXiv 2502.03261): roberta-base, or any other encoder, fine-tuned on outcomes.

    One encoder with two linear heads: scores by multi-label cross-entropy (labels may be any number from 0 to
    1), usage (output tokens, or dollars if the benchmark has nothing else) by squared error on a log scale, with the
    bias of its inverse corrected on held-out prompts (`UsageScale`). Unobserved cells do not count. The heads are first
    fitted to the unchanged encoder; then everything is trained together, and the weights with the best loss on the
    held-out part of the training prompts are used. Last, the differences between models are shrunk towards those of
    their train means by one factor, fitted on the held-out prompts, since the best of many noisy estimates is too good
    (`shrink_`). Prices are applied afterwards.

    The authors train two encoders, one for scores and one for tokens, from random heads, on raw tokens, without
    shrinking.

    Parameters
    ----------
    seed : int
    **params
        Those of `carrot_core.routers.encoder.Recipe`.

    Attributes
    ----------
    encoder_ : str
        The encoder that was fine-tuned.
    network : Network
        The trained network.
    history_ : list of dict
        "step" and "held_out_loss" at the start and after each epoch.
    shrink_ : float
        Weight of the estimated differences between models against those of the train means, 0 to 1.
    usage_scale_ : UsageScale
        Its ``bias_`` is the bias of the usage before the correction, as a share; absent if only the input is charged.
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

    RouteLLM uses ``xlm-roberta-base`` with three classes (win, tie, loss) trained on human preferences; here scores
    take the place of preferences, a tie counts for the small model, and there is one output.
    ``encoder="xlm-roberta-base"`` gives RouteLLM's encoder.

    Parameters
    ----------
    seed : int
    large, small : str or None
        As for `PairRouter`.
    **params
        Those of `carrot_core.routers.encoder.Recipe`.
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


LABELS = (
    "aws-claude-3-5-sonnet-v1",
    "aws-titan-text-premier-v1",
    "openai-gpt-4o",
    "openai-gpt-4o-mini",
    "wxai-granite-3-2b-instruct-8k-max-tokens",
    "wxai-granite-3-8b-instruct-8k-max-tokens",
    "wxai-llama-3-1-70b-instruct",
    "wxai-llama-3-1-8b-instruct",
    "wxai-llama-3-2-1b-instruct",
    "wxai-llama-3-2-3b-instruct",
    "wxai-llama-3-3-70b-instruct",
    "wxai-llama-3-405b-instruct",
    "wxai-mixtral-8x7b-instruct-v01",
)
TOKENS_PER_OUTPUT = 1000.0
_MAX_TOKENS = 512


class CarrotReleased:
    """CARROT-RoBERTa as its authors published it (arXiv 2502.03261), its outputs bound to model names.

    It is already trained: ``fit`` only checks that it knows the models, and stores their prices. A pool may be any part
    of the 13 models. If a benchmark has no input tokens, they are counted with the checkpoints' tokenizer (the authors
    use that of Llama 3.1). The authors' μ is λ with a cost unit of $0.01 (`cost_unit_usd`).

    Parameters
    ----------
    seed : int
        Without effect, since nothing here is random; every router takes a seed.
    performance, cost : str
        Hub ids or local folders of the two networks.
    tokenizer : str
        Hub id or local folder of their tokenizer.
    """

    name: ClassVar[str] = "carrot-released"
    cost_unit_usd: ClassVar[float] = 0.01
    models_: tuple[str, ...]

    def __init__(
        self,
        seed: int = 0,
        performance: str = "CARROT-LLM-Routing/Performance",
        cost: str = "CARROT-LLM-Routing/Cost",
        tokenizer: str = "roberta-base",
    ) -> None:
        self.seed = seed
        self.performance, self.cost, self.tokenizer = performance, cost, tokenizer

    def fit(self, train: Benchmark) -> Self:
        """Check that both networks know every model of ``train``, and that each has a price.

        Raises
        ------
        CarrotError
            A model they do not know or that has no price, or networks that cannot be loaded.
        """
        for place in (self.performance, self.cost):
            positions(train.models, _load_network(place, self.tokenizer)[2], "output for model")
        prices = {**shipped_prices(), **train.prices}
        positions(train.models, tuple(prices), "price of model")
        self.prices_ = {model: prices[model] for model in train.models}
        self.models_ = train.models
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        """Scores in (0, 1) and costs in US dollars of every model on the texts of ``bench``."""
        pool = bench.pool(self.models_)
        texts = texts_of(pool)
        recorded = pool.charged_input_tokens
        input_tokens = np.where(np.isnan(recorded), self._count_tokens(texts)[:, None], recorded)
        priced = replace(pool, prices={**self.prices_, **pool.prices}, input_tokens=input_tokens)
        output_tokens = TOKENS_PER_OUTPUT * self._outputs(self.cost, texts)
        score = sigmoid(self._outputs(self.performance, texts))
        cost_usd = priced.cost_usd_of(output_tokens, "output_tokens")
        tokens = uncharged_tokens(priced, output_tokens, "output_tokens")
        return Estimates(pool.prompt_ids, self.models_, score, cost_usd, output_tokens=tokens)

    def _outputs(self, place: str, texts: Sequence[str]) -> FloatTable:
        """(n, M) outputs of one network in the order of the pool."""
        from carrot_core.routers.encoder.network import predicted, tokenised

        tokenizer, model, labels = _load_network(place, self.tokenizer)
        tokens = tokenised(tokenizer, model.config, texts, _MAX_TOKENS)
        outputs = predicted(
            lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits, tokens, tokenizer.pad_token_id, model
        )
        return outputs[:, positions(self.models_, labels)]

    def _count_tokens(self, texts: Sequence[str]) -> FloatTable:
        """(n,) number of tokens of each uncut text."""
        tokenizer = _load_network(self.cost, self.tokenizer)[0]
        return np.array([len(ids) for ids in tokenizer(list(texts), verbose=False)["input_ids"]], dtype=np.float64)


@lru_cache(maxsize=4)
def _load_network(place: str, tokenizer: str) -> tuple[Any, Any, tuple[str, ...]]:
    """Tokenizer, network and the models' names in the order of its outputs."""
    loaded, model = load_pretrained(place, "AutoModelForSequenceClassification", tokenizer)
    return loaded, model.eval(), labels_of(model.config, place)


def labels_of(config: Any, place: str) -> tuple[str, ...]:
    """Model names in the order of the outputs: from the checkpoint, else in the order of its training."""
    stated = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    if not all(re.fullmatch(r"LABEL_\d+", label) for label in stated):
        return stated
    if len(stated) != len(LABELS):
        raise CarrotError(
            f"{place} has {len(stated)} outputs without names; the published checkpoints have {len(LABELS)}. "
            "Name them in id2label of its config.json."
        )
    return LABELS
