"""The simulation written out: one prompt, one neighbour, one level after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from carrot_core.theory.world import World


def zigzag(x: float, strokes: Sequence[int]) -> float:
    """Height at x of a path that goes up and down k times in the lower half of its heights, then in the upper."""
    if not strokes:
        return x
    k, rest = strokes[0], strokes[1:]
    piece = min(int(x * 2 * k), 2 * k - 1)
    inside = zigzag(x * 2 * k - piece, rest)
    if piece < k:
        return (inside if piece % 2 == 0 else 1 - inside) / 2
    return 0.5 + (inside if (piece - k) % 2 == 0 else 1 - inside) / 2


def local_fit(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64], k: int, degree: int
) -> NDArray[np.float64]:
    """Sort all points by distance, fit the polynomial to the first k by least squares, read it off in the middle."""
    out = []
    for point in at:
        nearest = sorted(range(len(x)), key=lambda row: math.dist(x[row], point))[:k]
        terms = [[1.0, *(x[row] - point)] if degree else [1.0] for row in nearest]
        out.append(np.linalg.lstsq(np.array(terms), y[nearest], rcond=None)[0][0])
    return np.array(out)


def excess(world: World, chosen: Sequence[int], at: NDArray[np.float64]) -> float:
    """Mean of what the oracle's model is worth more than the chosen one, prompt by prompt."""
    score, cost = world.phi(at)
    lost = []
    for row, model in enumerate(chosen):
        worth = [(1 - world.lam) * s - world.lam * c for s, c in zip(score[row], cost[row], strict=True)]
        lost.append(max(worth) - worth[model])
    return sum(lost) / len(lost)


def noise_alone(world: World, k: int, deviation: float, points: int = 200_000) -> float:
    """Excess risk of two models where the estimated gap is the true one plus normal noise: its integral.

    ``deviation`` is that of one prompt's observed gap; a mean of k has it divided by √k.
    """
    x = ((np.arange(points) + 0.5) / points)[:, None]
    gap = np.abs(world.steps(x)[:, 0])
    wrong = np.array([0.5 * math.erfc(z / math.sqrt(2)) for z in gap * math.sqrt(k) / deviation])
    return float((gap * wrong).mean())


def two_nn(vectors: NDArray[np.float64]) -> float:
    """1 / mean log of the second nearest distance over the nearest."""
    logs = []
    for row, point in enumerate(vectors):
        far = sorted(math.dist(point, other) for place, other in enumerate(vectors) if place != row)
        logs.append(math.log(far[1] / far[0]))
    return 1 / (sum(logs) / len(logs))
