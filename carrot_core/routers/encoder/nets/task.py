"""The learning task of a network: tokens, targets, batches and the loss."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import GroupShuffleSplit

from carrot_core.embedding import Tokens
from carrot_core.errors import CarrotError
from carrot_core.routers.encoder.nets.network import Module, collated, device_of, predicted
from carrot_core.routers.encoder.recipe import Recipe

WARMUP = 0.1  # of all steps, in which the learning rate rises
_BUCKET_BATCHES = 50  # shuffled together, then sorted by length: little padding, random all the same


@dataclass(frozen=True, eq=False)
class Task:
    """The learning task of a network.

    Attributes
    ----------
    tokens : token numbers of n prompts.
    targets : (n, k) float32, NaN = not observed: scores in [0, 1], then usage on a log scale.
    n_scores : how many of the k are scores.
    encoder : the one that is fine-tuned.
    train, held_out_rows : rows learned from, and rows that early stopping looks at.
    padding : token number that fills a batch up.
    recipe : how.
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
        """Of the passes through the network."""
        if self.recipe.precision != "auto":
            return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[
                self.recipe.precision
            ]
        if self.device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

    def precision(self) -> AbstractContextManager[Any]:
        """Mixed precision, where it is asked for."""
        return nullcontext() if self.dtype is torch.float32 else torch.autocast(self.device.type, self.dtype)

    def batch(self, rows: npt.NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token numbers, attention mask and targets of some rows."""
        ids, mask = collated([self.tokens[row] for row in rows], self.padding, self.device)
        return ids, mask, torch.from_numpy(self.targets[rows]).to(self.device)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the scores plus weighted half squared error of the usage, means of observed cells."""
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
        """Changes with the data and with every parameter that bears on the weights."""
        recipe = asdict(self.recipe) | {"checkpoints": None}
        digest = hashlib.sha256(repr((recipe, self.encoder, self.n_scores)).encode())
        for array in (self.targets, self.train, *self.tokens):
            digest.update(np.ascontiguousarray(array).tobytes() + b"|")
        return digest.hexdigest()[:16]


def _mean(cells: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (cells * mask).sum() / mask.sum().clamp(min=1)


def held_out(texts: Sequence[str], share: float, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows to learn from and rows to look at while learning; equal texts stay on one side."""
    if len(set(texts)) < 2:
        raise CarrotError("An encoder needs at least two different texts: one to learn from, one held out.")
    groups = np.unique(np.array(texts, dtype=object), return_inverse=True)[1]
    train, held_out_rows = next(GroupShuffleSplit(1, test_size=share, random_state=seed).split(groups, groups=groups))
    return train, held_out_rows
