"""Tiny encoders of random weights in the layout of the hub, so that no test needs a network or minutes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

WORDS = ("question", "of", "kind", "is", "a", "long", "one", "so", *map(str, range(400)))
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever else the machine does, and no threads that wait for one another."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_encoder(folder: Path) -> str:
    """A RoBERTa of 2 layers, 32 wide, with a tokenizer of words; the folder's name."""
    from transformers import RobertaModel

    _model(RobertaModel, folder)
    return str(folder)


def tiny_classifier(folder: Path, outputs: int, labels: Sequence[str] | None = None, seed: int = 0) -> str:
    """The same as a classifier, as CARROT's authors publish theirs; labels go into its configuration."""
    from transformers import RobertaForSequenceClassification

    named = (
        {}
        if labels is None
        else {"id2label": dict(enumerate(labels)), "label2id": {x: i for i, x in enumerate(labels)}}
    )
    _model(RobertaForSequenceClassification, folder, seed, num_labels=outputs, **named)
    return str(folder)


def _model(kind: type, folder: Path, seed: int = 0, **settings: object) -> None:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig

    vocabulary = {word: number for number, word in enumerate((*_SPECIAL, *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    special = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), _SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=60, **special).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = RobertaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
            initializer_range=0.3,
            **settings,
        )
        kind(config).save_pretrained(folder)
