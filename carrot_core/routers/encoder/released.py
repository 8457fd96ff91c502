"""The authors' published checkpoints: scores and output tokens of SPROUT's 13 models from a prompt's text.

Two RoBERTa classifiers, ``CARROT-LLM-Routing/Performance`` (multi-label) and ``CARROT-LLM-Routing/Cost``
(regression). Three things about them are known only from the code around them:

- **Order of the outputs.** The checkpoints were trained with the models in alphabetical order (`LABELS`); the
  wrapper published with them reads the last two outputs the other way round, mixtral before llama-3-405b.
- **Unit.** The second network's outputs are thousands of output tokens.
- **Attention mask.** The wrapper passes none, so that there a prompt's estimates change with the prompts it is
  batched with. Here the mask is always passed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from carrot_core.embedding import load_pretrained
from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, positions
from carrot_core.prices import shipped_prices
from carrot_core.routers.base import texts_of, uncharged_tokens
from carrot_core.routers.encoder.router import sigmoid

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

    It is trained already: ``fit`` only checks that it knows the models, and takes their prices. A pool may be
    any part of the 13 models. Where a benchmark has no input tokens they are counted with the checkpoints'
    tokenizer (the authors: with that of Llama 3.1). The authors' μ is λ with a cost unit of $0.01
    (`cost_unit_usd`).

    Parameters
    ----------
    seed : int
        Nothing here is random; every router takes one.
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
        """(n,) tokens of each text, whole."""
        tokenizer = _load_network(self.cost, self.tokenizer)[0]
        return np.array([len(ids) for ids in tokenizer(list(texts), verbose=False)["input_ids"]], dtype=np.float64)


@lru_cache(maxsize=4)
def _load_network(place: str, tokenizer: str) -> tuple[Any, Any, tuple[str, ...]]:
    """Tokenizer, network and the models' names in the order of its outputs."""
    loaded, model = load_pretrained(place, "AutoModelForSequenceClassification", tokenizer)
    return loaded, model.eval(), labels_of(model.config, place)


def labels_of(config: Any, place: str) -> tuple[str, ...]:
    """Model names in the order of the outputs: those the checkpoint states, else the order it was trained in."""
    stated = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    if not all(re.fullmatch(r"LABEL_\d+", label) for label in stated):
        return stated
    if len(stated) != len(LABELS):
        raise CarrotError(
            f"{place} has {len(stated)} outputs without names; the published checkpoints have {len(LABELS)}. "
            "Name them in id2label of its config.json."
        )
    return LABELS
