"""The bundled encoder without transformers, since importing that takes longer than all other work on a first prompt.

A BERT encoder is PyTorch's own `torch.nn.TransformerEncoder` behind a sum of three embeddings (Devlin et al.,
2019, arXiv 1810.04805); only the names of the weights differ. Any other encoder is opened by transformers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

# PyTorch's names for the parts of a layer, and BERT's.
_PARTS = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}


class MiniLM(nn.Module):
    """Token numbers to the states of the last layer.

    Parameters
    ----------
    config : BERT's ``config.json``.
    weights : tensors by BERT's names.
    """

    words: Tensor
    positions: Tensor

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.dimension, epsilon = int(config["hidden_size"]), config["layer_norm_eps"]
        self.register_buffer("words", weights["embeddings.word_embeddings.weight"])
        # All tokens are of the first type: a text, not a pair.
        types = weights["embeddings.token_type_embeddings.weight"]
        self.register_buffer("positions", weights["embeddings.position_embeddings.weight"] + types[0])
        self.norm = nn.LayerNorm(self.dimension, epsilon)
        layer = nn.TransformerEncoderLayer(
            self.dimension,
            config["num_attention_heads"],
            config["intermediate_size"],
            activation=config["hidden_act"],
            layer_norm_eps=epsilon,
            batch_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, config["num_hidden_layers"], enable_nested_tensor=False)
        self.norm.load_state_dict({kind: weights[f"embeddings.LayerNorm.{kind}"] for kind in ("weight", "bias")})
        for number, into in enumerate(self.layers.layers):
            into.load_state_dict(_layer_weights(weights, f"encoder.layer.{number}"), assign=True)
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(k, t, d) states for (k, t) token numbers; ``mask`` is 0 after the end of a text."""
        embedded = nn.functional.embedding(ids, self.words) + self.positions[: ids.shape[1]]
        # Without a mask PyTorch's attention is faster, and most calls are for one text.
        states: Tensor = self.layers(self.norm(embedded), src_key_padding_mask=None if mask.all() else mask == 0)
        return states


def _layer_weights(weights: Mapping[str, Tensor], layer: str) -> dict[str, Tensor]:
    """Weights of one layer by PyTorch's names; query, key and value are one matrix there."""
    tensors = {}
    for kind in ("weight", "bias"):
        asking = [weights[f"{layer}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        tensors[f"self_attn.in_proj_{kind}"] = torch.cat(asking)
        tensors |= {f"{ours}.{kind}": weights[f"{layer}.{theirs}.{kind}"] for ours, theirs in _PARTS.items()}
    return tensors


def load(folder: Path) -> tuple[Tokenizer, MiniLM]:
    """Load the tokenizer, which neither cuts nor pads, and the model of a folder that transformers could load too."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return tokenizer, MiniLM(config, load_file(folder / "model.safetensors"))


class Encoder:
    """The tokenizer and the model of a folder, as `carrot_core.embedding` uses any encoder.

    May be used from several threads at once.
    """

    padding = 0

    def __init__(self, folder: Path, max_tokens: int, device: str) -> None:
        self.tokenizer, model = load(folder)
        self.states = model.to(device)
        self.dimension, self.max_tokens = model.dimension, max_tokens
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text, at most ``max_tokens``."""
        with self._lock:  # truncation is a setting of the tokenizer, for all threads
            self.tokenizer.enable_truncation(self.max_tokens)
            return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]

    def places(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token of the whole text, in characters."""
        with self._lock:
            self.tokenizer.no_truncation()
            places: list[tuple[int, int]] = self.tokenizer.encode(text).offsets
        return places
