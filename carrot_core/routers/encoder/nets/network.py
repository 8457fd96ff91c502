"""A transformers encoder with a linear head: from texts to one row of outputs a prompt.

The mean of the last layer over the attention mask, scaled to length √d, goes through the head. Padding
never counts, so that a prompt's outputs do not depend on the prompts beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from carrot_core.embedding import Tokens, batches, load_pretrained, no_bar, readable
from carrot_core.outcomes import FloatTable

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_BATCH_TEXTS = 64
_CHARACTERS_PER_TOKEN = 64
_NO_LENGTH = 100_000  # above it a tokenizer states no length


class Module(torch.nn.Module):
    """Encoder and head; ``forward`` takes token numbers and their attention mask, both (b, t)."""

    def __init__(self, encoder: Any, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Linear(encoder.config.hidden_size, outputs)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(b, d) mean over the mask, of length √d."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        summed = (hidden.float() * attention_mask.unsqueeze(-1)).sum(dim=1)
        features: torch.Tensor = torch.nn.functional.normalize(summed, dim=1) * hidden.shape[-1] ** 0.5
        return features

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(b, k) outputs."""
        outputs: torch.Tensor = self.head(self.features(input_ids, attention_mask))
        return outputs


class Network:
    """A tokenizer and a module, and how they are kept in files.

    In a saved router's folder the encoder and its tokenizer lie as transformers writes them, so that
    ``AutoModel.from_pretrained`` opens them; the head is among the router's own numbers.
    """

    def __init__(self, tokenizer: Any, module: Module, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.module = module
        self.max_length = max_length
        self._lock = threading.Lock()

    @classmethod
    def pretrained(cls, encoder: str, outputs: int, max_length: int) -> Self:
        """A pretrained encoder with a head of zeros."""
        tokenizer, model = load_pretrained(encoder)
        return cls(tokenizer, Module(model, outputs), max_length)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Token numbers of each text, cut to the length the network reads."""
        with self._lock:  # a fast tokenizer keeps its truncation settings in one place for all threads
            return tokenised(self.tokenizer, self.module.encoder.config, texts, self.max_length)

    def outputs(self, texts: Sequence[str]) -> FloatTable:
        """(n, k) outputs for n texts."""
        return predicted(self.module, self.tokens(texts), self.padding, self.module)

    @property
    def padding(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    def state(self) -> dict[str, Any]:
        """The head as arrays, and the length."""
        head = {name: tensor.cpu().numpy() for name, tensor in self.module.head.state_dict().items()}
        return {"head": head, "max_length": self.max_length}

    def write_files(self, folder: Path) -> None:
        """Write the encoder and its tokenizer as transformers does."""
        with no_bar():
            self.module.encoder.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    @classmethod
    def from_files(cls, folder: Path, state: Mapping[str, Any]) -> Self:
        """Rebuild the network from `state` and the files; weights come from safetensors only, and no code runs."""
        from transformers import AutoModel, AutoTokenizer

        safe = {"local_files_only": True, "trust_remote_code": False}
        with no_bar():
            tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            encoder = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **safe)
        module = Module(encoder, len(state["head"]["bias"]))
        module.head.load_state_dict({name: torch.from_numpy(array) for name, array in state["head"].items()})
        return cls(tokenizer, module.to(device_of("auto")).eval(), state["max_length"])


def tokenised(tokenizer: Any, config: Any, texts: Sequence[str], max_length: int) -> list[Tokens]:
    """Token numbers of each text, at most ``max_length`` and at most the model's number of positions."""
    longest = tokenizer.model_max_length
    if longest > _NO_LENGTH:
        # RoBERTa keeps two of its positions for padding.
        longest = getattr(config, "max_position_embeddings", max_length + 2) - 2
    length = min(max_length, longest)
    excerpts = [readable(text, _CHARACTERS_PER_TOKEN * length) for text in texts]
    encoded = tokenizer(excerpts, truncation=True, max_length=length)
    # Tokenizers without start and end marks give no token for an empty text.
    return [np.array(ids or [tokenizer.pad_token_id or 0], dtype=np.int64) for ids in encoded["input_ids"]]


def collated(tokens: Sequence[Tokens], padding: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token numbers padded to one length and their attention mask, (b, t) each."""
    ids = np.full((len(tokens), max(map(len, tokens))), padding, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def predicted(
    forward: Forward,
    tokens: Sequence[Tokens],
    padding: int,
    module: torch.nn.Module,
    precision: AbstractContextManager[Any] | None = None,
) -> FloatTable:
    """(n, k) outputs of ``forward`` on n tokenised texts, in their order; they are batched by length."""
    module.eval()
    device = next(module.parameters()).device
    batch_outputs: list[FloatTable] = []
    order: list[int] = []
    with torch.inference_mode(), precision or nullcontext():
        for rows in batches([len(ids) for ids in tokens], _BATCH_TEXTS):
            outputs = forward(*collated([tokens[row] for row in rows], padding, device))
            batch_outputs.append(outputs.float().cpu().numpy().astype(np.float64))  # MPS has no float64
            order.extend(rows)
    return np.concatenate(batch_outputs)[np.argsort(order)] if batch_outputs else np.empty((0, 0))


def device_of(name: str) -> torch.device:
    """A device by name; "auto" is CUDA, else MPS, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
