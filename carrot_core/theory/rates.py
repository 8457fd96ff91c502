"""How fast the plug-in rule approaches the oracle rule as it learns from more prompts: simulated, beside the law."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from carrot_core.theory.world import FloatArray, World

SIZES = (100, 316, 1_000, 3_162, 10_000, 31_623, 100_000)
_POOL, _CLOSE, _CLEAR = 20_000, 1_200, 400  # prompts drawn in a repetition; tested close and clear ones
Progress = Callable[[int, int], None]


def predicted_slope(world: World) -> float:
    """Slope of log excess risk over log n: -γ(1 + α)/(2γ + d), for the smoothness and margin that the estimator
    assumes."""
    return -world.smoothness * (1 + world.margin) / (2 * world.smoothness + world.dimension)


def neighbours(n: int, world: World) -> int:
    """How many neighbours to average over: of the order n^(2γ/(2γ + d)), which balances bias and noise."""
    least = 1 if world.smoothness <= 1 else 2 * (world.dimension + 1)
    k = round(n ** (2 * world.smoothness / (2 * world.smoothness + world.dimension)))
    return int(min(n, max(least, k)))


def plug_in(world: World, n: int, at: FloatArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """(q,) models that the plug-in rule chooses at some points after learning from n prompts."""
    x = world.training_prompts(n, rng)
    # The estimate is linear in the outcomes, so utility can be estimated directly.
    observed = world.utility(*world.outcomes(x, rng))
    estimate = local_estimate(x, observed, at, neighbours(n, world), degree=int(world.smoothness > 1))
    chosen: NDArray[np.int64] = estimate.argmax(axis=1)
    return chosen


def repetitions(world: World) -> int:
    """Runs of each size: more in one dimension, where few boundary points decide and runs are quick."""
    return 24 if world.dimension == 1 else 10


def questions(world: World, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Fresh prompts and their weights, which sum to 1: most of them where the choice is close enough to go wrong.

    Of 20,000 fresh prompts, those whose best two utilities are within about four standard deviations of an estimate's
    noise are sampled separately from the others, and each part is weighted by its size.
    """
    queries = world.fresh_prompts(_POOL, rng)
    best = np.partition(world.true_utility(queries), -2, axis=1)
    close = best[:, -1] - best[:, -2] <= 1 / math.sqrt(neighbours(n, world))
    parts = [(np.flatnonzero(close), _CLOSE), (np.flatnonzero(~close), _CLEAR)]
    subsets = [rows[:most] for rows, most in parts]
    counts = [np.full(len(some), len(rows) / max(len(some), 1)) for some, (rows, _) in zip(subsets, parts, strict=True)]
    return queries[np.concatenate(subsets)], np.concatenate(counts) / _POOL


def utility_loss(world: World, chosen: NDArray[np.int64], at: FloatArray) -> FloatArray:
    """(q,) utility that each choice loses against the oracle rule, from the known Φ: no noise of outcomes."""
    utility = world.true_utility(at)
    short: FloatArray = utility.max(axis=1) - utility[np.arange(len(at)), chosen]
    return short


def excess_risk(world: World, n: int, repetition: int, seed: int = 0) -> float:
    """Excess risk of the plug-in rule on fresh prompts, after learning from n prompts drawn anew."""
    rng = np.random.default_rng([seed, n, repetition])
    at, counts = questions(world, n, rng)
    return float(utility_loss(world, plug_in(world, n, at, rng), at) @ counts)


@dataclass(frozen=True, eq=False)
class RateCurve:
    """Excess risk against n.

    Attributes
    ----------
    world : what was simulated.
    excess : (sizes, repetitions).
    """

    world: World
    sizes: tuple[int, ...]
    excess: FloatArray

    def slope(self, first: int = 0, replicates: int = 1000) -> tuple[float, float, float]:
        """Slope of log mean excess over log n with its 95 % bootstrap interval over repetitions.

        Only sizes from ``first`` on count. NaN, no slope, if the plug-in rule lost nothing at all.
        """
        used = np.array(self.sizes) >= first
        draws, n = self.excess[used], self.excess.shape[1]
        samples = np.random.default_rng(0).integers(n, size=(replicates, used.sum(), n))
        means = np.take_along_axis(np.broadcast_to(draws, (replicates, *draws.shape)), samples, axis=2).mean(axis=2)
        log_n = np.log10(np.array(self.sizes)[used])
        lever = (log_n - log_n.mean()) / ((log_n - log_n.mean()) ** 2).sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = np.quantile(np.log10(means) @ lever, [0.025, 0.975])
            return float(np.log10(draws.mean(axis=1)) @ lever), float(low), float(high)

    def table(self, replicates: int = 1000) -> pd.DataFrame:
        """One row a size: n, neighbours, excess, low, high (95 % bootstrap over repetitions)."""
        rng, n = np.random.default_rng(0), self.excess.shape[1]
        means = self.excess[:, rng.integers(n, size=(replicates, n))].mean(axis=2)
        low, high = np.quantile(means, [0.025, 0.975], axis=1)
        return pd.DataFrame(
            {
                "n": self.sizes,
                "neighbours": [neighbours(size, self.world) for size in self.sizes],
                "excess": self.excess.mean(axis=1),
                "low": low,
                "high": high,
            }
        )


def simulate(
    world: World,
    sizes: Sequence[int] = SIZES,
    repeats: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    one: Callable[[World, int, int, int], float] = excess_risk,
) -> RateCurve:
    """Excess risk for every size and repetition.

    Parameters
    ----------
    repeats : of each size; `repetitions` by default.
    progress : called with (runs done, runs in all).
    one : computes one run; a caller that stores runs passes its own function.
    """
    excess = np.zeros((len(sizes), repeats or repetitions(world)))
    for done, (row, repetition) in enumerate(np.ndindex(excess.shape)):
        excess[row, repetition] = one(world, sizes[row], repetition, seed)
        if progress is not None:
            progress(done + 1, excess.size)
    return RateCurve(world, tuple(sizes), excess)


_GATHERED = 2_000_000  # neighbours in memory at once


def local_estimate(x: FloatArray, y: FloatArray, at: FloatArray, k: int, degree: int) -> FloatArray:
    """Value at the centre of the least-squares polynomial through the k nearest points, with equal weights.

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
        nearest = tree.query(here, k)[1].reshape(len(here), k)
        mean = np.stack([column[nearest].mean(axis=1) for column in y.T], axis=1)
        parts.append(mean + _tilt(x[nearest] - here[:, None, :], y, nearest) if degree else mean)
    return np.concatenate(parts)


def _tilt(offset: FloatArray, y: FloatArray, nearest: NDArray[np.int64]) -> FloatArray:
    """(q, m) difference of the plane's height at the centre from the mean of its points."""
    middle = offset.mean(axis=1)
    spread = offset - middle[:, None, :]
    squares = np.einsum("qki,qkj->qij", spread, spread)
    lever = np.linalg.solve(squares, -middle[:, :, None])[:, :, 0]
    weight = np.einsum("qki,qi->qk", spread, lever)
    return np.stack([np.einsum("qk,qk->q", weight, column[nearest]) for column in y.T], axis=1)


def _on_a_line(x: FloatArray, y: FloatArray, at: FloatArray, k: int, degree: int) -> FloatArray:
    """`local_estimate` in one dimension, where neighbours are consecutive and one running sum serves every window."""
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
    """(q,) first of the k nearest in sorted points: the leftmost window that a step to the right would not bring
    nearer."""
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


METRIC = "aiq"


def loss_table(curves: Mapping[str, pd.DataFrame], metric: str = METRIC) -> pd.DataFrame:
    """Loss of a router with fewer training prompts, from the tables of `carrot_core.compare.studies.learning`.

    Columns: benchmark, router, n, loss, low, high (95 % interval, paired), all means over seeds; without the size with
    all prompts, which loses nothing.
    """
    frames = []
    for benchmark, table in curves.items():
        rows = table[(table["metric"] == metric) & (table["seed"] == "mean")]
        rows = rows[rows["size"] < rows["size"].max()]
        frames.append(
            pd.DataFrame(
                {
                    "benchmark": benchmark,
                    "router": rows["router"],
                    "n": rows["size"],
                    "loss": -rows["lost"],
                    "low": -rows["lost_high"],
                    "high": -rows["lost_low"],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
