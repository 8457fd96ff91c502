"""Bootstrap over prompts: intervals of every figure and paired differences, with no new sweep.

A replicate is a vector of prompt weights. Curves are running sums over sorted switches, so all
replicates of a curve are one sparse matrix product (`Frontier.increments`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from carrot_core.frontier import FloatArray, Frontier, upper_hull
from carrot_core.metrics import aiq, qnc

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap interval at `LEVEL`; low and high are NaN where it is not defined."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, replicates: npt.NDArray[np.floating]) -> Interval:
        """Percentile interval of the replicates around the value measured on the prompts themselves."""
        defined = replicates[np.isfinite(replicates)]
        if defined.size < 0.5 * replicates.size or not np.isfinite(value):
            return cls(value, float("nan"), float("nan"))
        low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(value, float(low), float(high))


@lru_cache(maxsize=2)
def bootstrap_weights(n_prompts: int, replicates: int = 1000, seed: int = 0) -> FloatArray:
    """(n, B) weights, each column summing to 1: how often each prompt was drawn, over n draws.

    The same n and seed give the same weights, so figures of two routers on the same prompts are paired.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((n_prompts, replicates))
    for column in range(replicates):
        drawn = rng.integers(0, n_prompts, n_prompts, dtype=np.int32)
        weights[:, column] = np.bincount(drawn, minlength=n_prompts)
    weights /= max(n_prompts, 1)
    weights.flags.writeable = False
    return weights


@dataclass(frozen=True, eq=False)
class CurveReplicates:
    """Bootstrap replicates of one frontier at G rates, and of the pool's single models.

    Attributes
    ----------
    exchange_rate_per_usd : (G,) ascending.
    score, cost_usd : (B, G).
    single_score, single_cost_usd : (B, M).
    """

    exchange_rate_per_usd: FloatArray
    score: FloatArray
    cost_usd: FloatArray
    single_score: FloatArray
    single_cost_usd: FloatArray

    def band(self, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
        """(G,) lower and upper score at each rate."""
        low, high = np.quantile(self.score, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high

    def aiq(self) -> FloatArray:
        """(B,) AIQ of each replicate on its own common interval."""
        low, high = self.single_cost_usd.min(axis=1), self.single_cost_usd.max(axis=1)
        return np.array([aiq(*row) for row in zip(self.cost_usd, self.score, low, high, strict=True)])

    def qnc(self, reference: int) -> FloatArray:
        """(B,) QNC of each replicate against the single model in that column."""
        target, cost = self.single_score[:, reference], self.single_cost_usd[:, reference]
        return np.array([qnc(*row) for row in zip(self.cost_usd, self.score, target, cost, strict=True)])


def rates_to_keep(frontier: Frontier, points: int = 400) -> FloatArray:
    """Ascending rates that carry the curve: both ends, the hull's corners, and switches evenly by count."""
    rates = frontier.exchange_rate_per_usd
    even = np.linspace(0, len(rates) - 1, min(points, len(rates))).round().astype(np.int64)
    return rates[np.union1d(even, upper_hull(frontier.cost_usd, frontier.score))]


def replicate(frontier: Frontier, weights: FloatArray, points: int = 400) -> CurveReplicates:
    """Bootstrap replicates of a frontier from its sorted switches; ``weights`` as `bootstrap_weights` gives."""
    rates = rates_to_keep(frontier, points)

    def curves(table: FloatArray) -> FloatArray:
        return np.cumsum(frontier.increments(table, rates).T.tocsr() @ weights, axis=0).T

    outcomes = frontier.outcomes
    return CurveReplicates(
        rates,
        curves(outcomes.score),
        curves(outcomes.cost_usd),
        (outcomes.score.T @ weights).T,
        (outcomes.cost_usd.T @ weights).T,
    )
