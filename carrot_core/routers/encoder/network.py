"""A transformers encoder with a linear head, and its learning task: tokens, targets, batches, loss; its head alone."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import GroupShuffleSplit

from carrot_core.embedding import Tokens, batches, load_pretrained, no_bar, readable
from carrot_core.errors import CarrotError
from carrot_core.outcomes import FloatTable
from carrot_core.routers.encoder import Recipe

Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_BATCH_TEXTS = 64
_CHARACTERS_PER_TOKEN = 64
_NO_LENGTH = 100_000  # larger values mean that a tokenizer states no length


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
    """A tokenizer and a module, and their files.

    In a saved router's folder the encoder and its tokenizer are in the format of transformers, so that
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
        with self._lock:  # a fast tokenizer shares its truncation settings between threads
            return tokenised(self.tokenizer, self.module.encoder.config, texts, self.max_length)

    def outputs(self, texts: Sequence[str]) -> FloatTable:
        """(n, k) outputs for n texts."""
        return predicted(self.module, self.tokens(texts), self.padding, self.module)

    @property
    def padding(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    def state(self) -> dict[str, Any]:
        """The head as arrays, and the maximum length."""
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


WARMUP = 0.1  # share of the steps in which the learning rate rises
_BUCKET_BATCHES = 50  # shuffled together, then sorted by length: little padding, still random


@dataclass(frozen=True, eq=False)
class Task:
    """The learning task of a network.

    Attributes
    ----------
    tokens : token numbers of n prompts.
    targets : (n, k) float32, NaN = not observed: scores in [0, 1], then usage on a log scale.
    n_scores : number of scores among the k.
    encoder : name of the fine-tuned encoder.
    train, held_out_rows : rows learned from, and rows for early stopping.
    padding : token number that fills a batch up.
    recipe : parameters of the fine-tuning.
    """

    tokens: list[Tokens]
    targets: npt.NDArray[np.float32]
    n_scores: int
    encoder: str
    train: npt.NDArray[np.intp]
    held_out_rows: npt.NDArray[np.intp]
    padding: int
    recipe: Recipe

    @cached_property
    def device(self) -> torch.device:
        return device_of(self.recipe.device)

    @cached_property
    def dtype(self) -> torch.dtype:
        """Number type of the passes through the network."""
        if self.recipe.precision != "auto":
            return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[
                self.recipe.precision
            ]
        if self.device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

    def precision(self) -> AbstractContextManager[Any]:
        """Mixed precision, if requested."""
        return nullcontext() if self.dtype is torch.float32 else torch.autocast(self.device.type, self.dtype)

    def batch(self, rows: npt.NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token numbers, attention mask and targets of some rows."""
        ids, mask = collated([self.tokens[row] for row in rows], self.padding, self.device)
        return ids, mask, torch.from_numpy(self.targets[rows]).to(self.device)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the scores plus weighted half squared error of the usage, as means over observed cells."""
        mask = ~targets.isnan()
        values, k = targets.nan_to_num(), self.n_scores
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(
            outputs[:, :k].float(), values[:, :k], reduction="none"
        )
        square = (outputs[:, k:].float() - values[:, k:]) ** 2 / 2
        return _mean(entropy, mask[:, :k]) + self.recipe.usage_weight * _mean(square, mask[:, k:])

    def held_loss(self, module: Module) -> float:
        """Loss on the held-out rows."""
        outputs = predicted(
            module, [self.tokens[row] for row in self.held_out_rows], self.padding, module, self.precision()
        )
        return float(self.loss(torch.from_numpy(outputs), torch.from_numpy(self.targets[self.held_out_rows])))

    def epoch(self, number: int) -> Iterator[npt.NDArray[np.intp]]:
        """Rows of each batch of an epoch, in random order; a batch holds prompts of similar length."""
        rng, size = np.random.default_rng([self.recipe.seed, number]), self.recipe.batch_size
        order = rng.permutation(self.train)
        lengths = np.array([len(self.tokens[row]) for row in order])
        bucket = np.arange(len(order)) // (_BUCKET_BATCHES * size)
        order = order[np.lexsort([lengths, bucket])]
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        yield from (batches[i] for i in rng.permutation(len(batches)))

    @cached_property
    def steps_per_epoch(self) -> int:
        return -(-len(self.train) // self.recipe.batch_size)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the data and of every parameter that affects the weights."""
        recipe = asdict(self.recipe) | {"checkpoints": None}
        digest = hashlib.sha256(repr((recipe, self.encoder, self.n_scores)).encode())
        for array in (self.targets, self.train, *self.tokens):
            digest.update(np.ascontiguousarray(array).tobytes() + b"|")
        return digest.hexdigest()[:16]


def _mean(cells: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (cells * mask).sum() / mask.sum().clamp(min=1)


def held_out(texts: Sequence[str], share: float, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows to learn from and held-out rows; equal texts stay on one side."""
    if len(set(texts)) < 2:
        raise CarrotError("An encoder needs at least two different texts: one to learn from, one held out.")
    groups = np.unique(np.array(texts, dtype=object), return_inverse=True)[1]
    train, held_out_rows = next(GroupShuffleSplit(1, test_size=share, random_state=seed).split(groups, groups=groups))
    return train, held_out_rows


_STEPS = 200
_PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # penalties on the squared weights


def probe(module: Module, task: Task) -> None:
    """Fit the head alone.

    Linear probing, then fine-tuning: Kumar et al. 2022, arXiv 2202.10054. The penalty on the head's weights is that
    with the least loss on the held-out rows.
    """
    features = [_features(module, task, rows) for rows in (task.train, task.held_out_rows)]
    fits = [_head_fitted(module.head, task, features[0], penalty) for penalty in _PENALTIES]
    losses = []
    for fit in fits:
        module.head.load_state_dict(fit)
        with torch.inference_mode():
            losses.append(float(task.loss(module.head(features[1][0]), features[1][1])))
    module.head.load_state_dict(fits[int(np.argmin(losses))])


def _features(module: Module, task: Task, rows: npt.NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of the head for some rows, and their targets."""
    tokens = [task.tokens[row] for row in rows]
    outputs = predicted(module.features, tokens, task.padding, module, task.precision())
    return (
        torch.from_numpy(outputs).float().to(task.device),
        torch.from_numpy(task.targets[rows]).to(task.device),
    )


def _head_fitted(
    head: torch.nn.Linear, task: Task, features: tuple[torch.Tensor, torch.Tensor], penalty: float
) -> dict[str, torch.Tensor]:
    """Weights of the head with the least loss plus penalty."""
    for weight in head.parameters():
        torch.nn.init.zeros_(weight)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = task.loss(head(features[0]), features[1]) + penalty * (head.weight**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return copy.deepcopy(head.state_dict())
