"""A training under way in one safetensors file: nothing in it runs when it is read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from carrot_core.errors import CarrotError, DataError

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: weights, the best ones so far, AdamW's moments by parameter, and the rest."""

    weights: Tensors
    best: Tensors
    moments: dict[int, Tensors]
    state: dict[str, Any]


class Checkpoint:
    """The checkpoint of one training, in a folder that other trainings may share; without one, nothing is kept."""

    def __init__(self, folder: str | None, fingerprint: str) -> None:
        self.path = None if folder is None else Path(folder).expanduser() / f"{fingerprint}.safetensors"

    def write(
        self,
        weights: Mapping[str, torch.Tensor],
        best: Mapping[str, torch.Tensor],
        moments: Mapping[int, Mapping[str, torch.Tensor]],
        state: Mapping[str, Any],
    ) -> None:
        """Replace the file whole: a process killed meanwhile leaves the one before."""
        if self.path is None:
            return
        flat = {f"{number}/{name}": value for number, each in moments.items() for name, value in each.items()}
        parts = {"weights": weights, "best": best, "moments": flat}
        tensors = {
            f"{part}/{name}": value.detach().contiguous()
            for part, held in parts.items()
            for name, value in held.items()
        }
        part = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, part, {"state": json.dumps(state)})
            os.replace(part, self.path)
        except (OSError, SafetensorError) as error:
            raise CarrotError(f"The checkpoint {self.path} cannot be written: {error}.") from error

    def read(self, device: torch.device) -> Saved | None:
        """The last checkpoint, or None where there is none."""
        if self.path is None or not self.path.exists():
            return None
        found: dict[str, Tensors] = {"weights": {}, "best": {}, "moments": {}}
        try:
            with safe_open(self.path, "pt", str(device)) as file:
                state = json.loads(file.metadata()["state"])
                for key in file.keys():  # noqa: SIM118  (not a dict)
                    part, _, name = key.partition("/")
                    found[part][name] = file.get_tensor(key)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(str(self.path), f"is no checkpoint ({error}); delete it to start afresh") from error
        moments: dict[int, Tensors] = {}
        for name, tensor in found["moments"].items():
            number, _, key = name.partition("/")
            moments.setdefault(int(number), {})[key] = tensor
        return Saved(found["weights"], found["best"], moments, state)

    def remove(self) -> None:
        """Delete it: the training is through."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
