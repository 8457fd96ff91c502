"""A function that is rough at every scale and everywhere alike, and yet takes every value equally often.

Each level cuts its piece into ``2·k`` equal parts: ``k`` strokes up and down through the lower half of its
heights, then ``k`` through the upper half, ``k`` odd. A part's heights shrink by 2 and its width by ``2·k``, so
the function is Hölder with exponent ``log 2 / log(2k)`` and no more, at every point; levels with different k give
every exponent between. Each level spends the same time in both halves, so ``zigzag(U)`` of a uniform U is uniform.
The family is that of the coordinates of Peano's curve (k = 3 in base 3 has exponent 1/2).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_LEAST = 0.25
_LEVELS = 16  # heights below 2^-16 are drawn straight


@lru_cache(maxsize=64)
def strokes(exponent: float) -> tuple[int, ...]:
    """``k`` of every level, chosen so that the mean exponent after each level is as close as it can be."""
    if not _LEAST <= exponent <= 1:
        raise ValueError(f"exponent must be between {_LEAST} and 1, not {exponent}")
    wanted, left, chosen = (1 / exponent - 1) * math.log(2), 0.0, []
    for _ in range(_LEVELS if exponent < 1 else 0):
        left += wanted
        chosen.append(2 * max(0, round((math.exp(left) - 1) / 2)) + 1)
        left -= math.log(chosen[-1])
    return tuple(chosen)


def zigzag(x: FloatArray, exponent: float) -> FloatArray:
    """Values in [0, 1] at points in [0, 1]; exponent 1 is the identity."""
    return _descend(x, exponent, integrated=False)


def zigzag_integral(x: FloatArray, exponent: float) -> FloatArray:
    """Integral of `zigzag` from 0: differentiable, with a derivative of that Hölder exponent and no more."""
    return _descend(x, exponent, integrated=True)


def _descend(x: FloatArray, exponent: float, integrated: bool) -> FloatArray:
    """Value or integral, digit by digit; below the last level the function is taken to be straight."""
    at = np.array(x, np.float64)
    integral = np.zeros_like(at)
    slope, width = np.ones_like(at), 1.0  # signed height and width of the piece that a point is in
    floor = np.zeros_like(at)  # the height at which it begins
    for k in strokes(exponent):
        at *= 2 * k
        part = np.minimum(np.floor(at), 2 * k - 1)
        at -= part
        upper = part >= k
        width /= 2 * k
        if integrated:
            # What the whole parts before this one add: heights of the lower half are 1/4 on average, of the upper 3/4.
            integral += width * (floor * part + slope * (0.25 * part + 0.5 * np.maximum(part - k, 0)))
        slope *= 0.5
        down = (part - k * upper) % 2 == 1
        floor += slope * (1.0 * upper + down)
        slope[down] *= -1
    if integrated:
        return integral + width * (floor * at + slope * at**2 / 2)
    value: FloatArray = floor + slope * at
    return value
