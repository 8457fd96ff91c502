"""Vectors of the default simulated benchmark, shipped so that a fresh machine need not embed 6,000 prompts.

The file holds one row a distinct text in the order of first appearance: ``values`` (k, d) int8 and
``scale`` (k,) float32, a vector being ``values x scale``; its metadata name the encoder and the texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.simulated import simulate
from carrot_core.errors import CarrotError
from carrot_core.paths import shipped

FILE = "simulated_vectors.safetensors"
ENCODER = "all-MiniLM-L6-v2"
_LARGEST = 127  # of an int8

Vectors = npt.NDArray[np.float32]


def simulated_vectors(frames: Frames, path: Path | None = None) -> Vectors | None:
    """Vectors of the distinct texts of `frames`, if they are the texts the shipped file was made from.

    Rounded to 8 bits: no number is off by more than 0.0015, every cosine with the exact vector is above
    0.9999, and 99.6 % of the ten nearest neighbours stay the same.

    Parameters
    ----------
    frames : a benchmark, as `simulate` returns it.
    path : another file in place of the shipped one.

    Returns
    -------
    (k, 384) float32 of unit length by the encoder all-MiniLM-L6-v2, one row a distinct text in the order
    of first appearance; None where the texts are others or no file is there.

    Raises
    ------
    CarrotError
        The file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    file = path or shipped(FILE)
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="numpy") as content:
            if content.metadata() != _metadata(distinct_texts(frames)):
                return None
            values, scale = content.get_tensor("values"), content.get_tensor("scale")
    except SafetensorError as error:
        raise CarrotError(f"{file.name} cannot be read ({error}); restore it from the project's data/.") from error
    return _unit(values * scale[:, None])


def write_simulated_vectors(embed: Callable[[list[str]], Vectors], path: Path | None = None) -> Path:
    """Write the shipped file anew, by an encoder that maps k texts to (k, d) unit vectors; returns its path."""
    from safetensors.numpy import save_file

    file, texts = path or shipped(FILE), distinct_texts(simulate())
    vectors = embed(texts)
    scale = (np.abs(vectors).max(axis=1) / _LARGEST).astype(np.float32)
    values = np.round(vectors / scale[:, None]).astype(np.int8)
    save_file({"values": values, "scale": scale}, file, _metadata(texts))
    return file


def distinct_texts(frames: Frames) -> list[str]:
    """Every text once, in the order of first appearance."""
    return list(dict.fromkeys(frames.prompts["text"].dropna()))


def _metadata(texts: list[str]) -> dict[str, str]:
    digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
    return {"encoder": ENCODER, "texts": str(len(texts)), "texts_sha256": digest}


def _unit(vectors: Vectors) -> Vectors:
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled
