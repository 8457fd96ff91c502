"""Parameters of fine-tuning an encoder, their bounds, and the encoder that "auto" stands for."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from carrot_core import limits
from carrot_core.embedding import BUNDLED
from carrot_core.errors import CarrotError

AUTO = "auto"
ONLINE = "roberta-base"  # the paper's encoder

_log = logging.getLogger("carrot_core")


@dataclass(frozen=True)
class Recipe:
    """Parameters of a fine-tuning.

    Attributes
    ----------
    encoder : str
        A Hugging Face hub id, a local folder, "all-MiniLM-L6-v2" (bundled), or "auto": ``roberta-base``, the
        paper's, if it is in the hub's cache on this machine or the hub answers, else the bundled one, with a warning in
        the log. The name of the encoder is stored with the router.
    trainer : {"loop", "transformers"}
        A plain PyTorch loop, or the Trainer of transformers (needs ``pip install 'carrot-core[trainer]'``).
    epochs : int
        Passes over the training prompts; 0 fits the head alone.
    batch_size : int
        Prompts of one step.
    learning_rate : float
        AdamW's peak rate; it rises linearly from 0 over the first tenth of the steps and falls linearly to 0.
    weight_decay : float
        Decay of weight matrices, not of biases and norms.
    max_length : int
        Most tokens read of a prompt, at most 512; the rest is cut off.
    held_out : float
        Share of the training prompts for early stopping and the correction of the usage, drawn by the seed; equal texts
        stay on one side.
    patience : int
        Epochs without a better loss on the held-out prompts before training ends.
    usage_weight : float
        Weight of the usage's loss beside that of the scores, which is 1.
    precision : {"auto", "float32", "bfloat16", "float16"}
        Precision of the passes through the network; the weights stay float32. "auto" is half precision on a GPU
        (bfloat16 if it supports that), else float32.
    device : str
        "auto" is CUDA, else MPS, else the CPU; or a device of torch by its name.
    checkpoints : str or None
        Folder for checkpoints: an interrupted fit resumes from the last one if called again with the same data and
        parameters. A checkpoint is removed after the fit.
    seed : int
        Seed of the held-out part, the order of the batches and dropout.
    """

    encoder: str = AUTO
    trainer: str = "loop"
    epochs: int = 3
    batch_size: int = 16
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    max_length: int = 512
    held_out: float = 0.1
    patience: int = 2
    usage_weight: float = 0.3
    precision: str = "auto"
    device: str = "auto"
    checkpoints: str | None = None
    seed: int = 0

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "encoder": [str],
        "trainer": [StrOptions({"loop", "transformers"})],
        "epochs": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_length": [Interval(Integral, 4, 512, closed="both")],
        "held_out": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "usage_weight": [Interval(Real, 0, None, closed="left")],
        "precision": [StrOptions({"auto", "float32", "bfloat16", "float16"})],
        "device": [str],
        "checkpoints": [str, None],
        "seed": [Interval(Integral, 0, 2**32 - 1, closed="both")],
    }

    @classmethod
    def of(cls, router: str, seed: int, params: dict[str, Any]) -> Self:
        """The recipe with these parameters; an unknown one raises TypeError, a value out of bounds a `CarrotError`."""
        recipe = cls(seed=seed, **params)
        values = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
        try:
            validate_parameter_constraints(cls._parameter_constraints, values, router)
        except ValueError as error:
            raise CarrotError(str(error)) from error
        return recipe


def chosen_encoder(name: str) -> str:
    """Resolve the encoder's name; "auto" by the rule of `Recipe`, with a note in the log."""
    if name != AUTO:
        return name
    if _at_hand(ONLINE):
        _log.info("encoder='auto' is %s", ONLINE)
        return ONLINE
    _log.warning(
        "The hub does not answer and %s is not on this machine: encoder='auto' is the bundled %s. "
        "Name an encoder to have the same one everywhere.",
        ONLINE,
        BUNDLED,
    )
    return BUNDLED


def _at_hand(repo: str) -> bool:
    """Whether the weights are in the local cache of the hub, or the hub answers."""
    from huggingface_hub import HfApi, errors, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(repo, "model.safetensors"), str):
        return True
    try:
        HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None).model_info(repo, timeout=limits.HUB_CARD_SECONDS)
    except (errors.OfflineModeIsEnabled, errors.HTTPError, OSError):  # type: ignore[attr-defined]
        return False
    return True
