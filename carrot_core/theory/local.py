"""Local polynomial estimates on the nearest neighbours: a mean for smoothness up to 1, a plane above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from carrot_core.theory.zigzag import FloatArray

_GATHERED = 2_000_000  # neighbours held at once


def local_estimate(x: FloatArray, y: FloatArray, at: FloatArray, k: int, degree: int) -> FloatArray:
    """Least squares polynomial of the k nearest points, all of the same weight, read off in the middle.

    Parameters
    ----------
    x, y : (n, d) points and (n, m) values.
    at : (q, d) points to estimate at.
    degree : 0 is the mean of the k nearest, 1 fits a plane to them.

    Returns
    -------
    (q, m) estimates.
    """
    if x.shape[1] == 1:
        return _on_a_line(x[:, 0], y, at[:, 0], k, degree)
    tree, block = cKDTree(x, leafsize=64), max(1, _GATHERED // k)
    parts = []
    for first in range(0, len(at), block):
        here = at[first : first + block]
        found = tree.query(here, k)[1].reshape(len(here), k)
        mean = np.stack([column[found].mean(axis=1) for column in y.T], axis=1)
        parts.append(mean + _tilt(x[found] - here[:, None, :], y, found) if degree else mean)
    return np.concatenate(parts)


def _tilt(offset: FloatArray, y: FloatArray, found: NDArray[np.int64]) -> FloatArray:
    """(q, m) by how much the plane's height in the middle differs from the mean of its points."""
    middle = offset.mean(axis=1)
    spread = offset - middle[:, None, :]
    squares = np.einsum("qki,qkj->qij", spread, spread)
    lever = np.linalg.solve(squares, -middle[:, :, None])[:, :, 0]
    weight = np.einsum("qki,qi->qk", spread, lever)
    return np.stack([np.einsum("qk,qk->q", weight, column[found]) for column in y.T], axis=1)


def _on_a_line(x: FloatArray, y: FloatArray, at: FloatArray, k: int, degree: int) -> FloatArray:
    """The same in one dimension, where neighbours stand in a row and running sums do for every window."""
    order = np.argsort(x)
    x, y = x[order], y[order]
    first = _window(x, at, k)
    mean = _sums(y, first, k) / k
    if not degree:
        return mean
    centre = _sums(x[:, None], first, k) / k
    squares = _sums((x**2)[:, None], first, k) / k - centre**2
    slope = (_sums(x[:, None] * y, first, k) / k - centre * mean) / squares
    tilted: FloatArray = mean + slope * (at[:, None] - centre)
    return tilted


def _window(x: FloatArray, at: FloatArray, k: int) -> NDArray[np.int64]:
    """(q,) where the k nearest begin in sorted points: as far left as the point that a step would add is no nearer."""
    low, high = np.zeros(len(at), np.int64), np.full(len(at), len(x) - k)
    while (low < high).any():
        middle = np.minimum((low + high) // 2, len(x) - k - 1)
        onward = at - x[middle] > x[middle + k] - at
        low, high = np.where((low < high) & onward, middle + 1, low), np.where((low < high) & ~onward, middle, high)
    return low


def _sums(values: FloatArray, first: NDArray[np.int64], k: int) -> FloatArray:
    running = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    window: FloatArray = running[first + k] - running[first]
    return window
