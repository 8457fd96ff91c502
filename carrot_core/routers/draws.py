"""Random numbers that belong to a prompt and a model, whatever else is asked in the same batch."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from carrot_core.outcomes import FloatTable


def uniform(seed: int, prompt_ids: Sequence[str], models: Sequence[str]) -> FloatTable:
    """(n, M) numbers in [0, 1), as if drawn independently for every seed, prompt id and model name."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        mixed = _keys(f"prompt {seed}", prompt_ids)[:, None] ^ _keys(f"model {seed}", models)
        # The finaliser of SplitMix64 (Steele, Lea, Flood 2014): xor alone would leave columns alike.
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    drawn: FloatTable = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return drawn


def _keys(salt: str, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """(k,) a 64-bit hash of each name."""
    hashed = (blake2b(f"{salt} {name}".encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(hashed), dtype=np.uint64)
