"""Bootstrap over prompts: intervals of every figure and paired differences, without a new sweep.

A replicate is a vector of prompt weights. Curves are running sums over sorted switches, so all
replicates of a curve come from one pass over its switches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

from carrot_core.frontier import FloatArray, Frontier
from carrot_core.outcomes import FloatTable

LEVEL = 0.95
LUCK = 1 / (2 ** (3 / 4) - 1)  # excess of a hull over the true one, in units of its replicates' excess (docs/method.md)
LEAST_PROMPTS = 10  # fewest prompts for an interval of a slice; draws from fewer say nothing about other prompts
_DRAWS = 64  # replicates drawn at a time, before they are transposed into the rows of prompts
Weights = npt.NDArray[np.floating] | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap interval at `LEVEL`; low and high are NaN where it is not defined."""

    value: float
    low: float
    high: float

    @classmethod
    def of_document(cls, document: Mapping[str, float | None]) -> Interval:
        """The interval from its document (`carrot_core.number_formats.without_nan`); None becomes NaN."""
        return cls(**{name: float("nan") if value is None else value for name, value in document.items()})

    @classmethod
    def of(cls, value: float, replicates: npt.NDArray[np.floating]) -> Interval:
        """Percentile interval of the replicates around the value measured on the prompts themselves.

        An infinite replicate (a score never reached) counts as larger than all others.
        """
        defined = replicates[~np.isnan(replicates)]
        if defined.size < 0.5 * replicates.size or np.isnan(value):
            return cls(value, float("nan"), float("nan"))
        low, high = _quantiles(defined, _ENDS)
        return cls(value, float(low), float(high))

    @classmethod
    def of_normal(cls, value: float, error: float) -> Interval:
        """Normal interval from a standard error; its ends are NaN if the error is."""
        return cls(value, value - _Z * error, value + _Z * error)


_Z = 1.959964  # half of a 95 % interval, in standard errors
_ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def _quantiles(rows: npt.NDArray[np.floating], levels: npt.ArrayLike) -> FloatArray:
    """(L, …) quantiles along the last axis, without interpolation if some values are infinite.

    B values cut the line into B + 1 parts that a next one is equally likely to lie in ("weibull"), so that an interval
    from few replicates is not too short.
    """
    between: Literal["weibull", "nearest"] = "weibull" if np.isfinite(rows).all() else "nearest"
    ends: FloatArray = np.quantile(rows, np.asarray(levels), axis=-1, method=between)
    return ends


@dataclass(frozen=True)
class Family:
    """Figures whose intervals hold simultaneously, such as the differences of all pairs of routers in one metric.

    Each interval is stretched from the median of its replicates, to both sides by the same factor: the smallest with
    which every figure lies in its interval in 95 % of the replicates. Figures that always move together need no
    stretching.

    Attributes
    ----------
    factor : at least 1.
    """

    factor: float

    @classmethod
    def of(cls, figures: Sequence[FloatArray]) -> Family:
        """From the (B,) replicates of every figure; ends that are not finite are not stretched and do not count."""
        if not len(figures):
            return cls(1.0)
        table = np.array(figures)
        middle, *ends = (each[:, None] for each in _spread(table))
        with np.errstate(invalid="ignore", divide="ignore"):
            beyond = [np.where(np.isfinite(end - middle), (table - middle) / (end - middle), np.nan) for end in ends]
            farthest = np.fmax.reduce(np.where(np.isfinite(beyond), beyond, 0.0), axis=(0, 1))
        return cls(max(1.0, float(_quantiles(farthest, LEVEL))))

    def interval(self, replicates: FloatArray) -> tuple[float, float]:
        """Low and high of one of the figures; NaN if it has no interval."""
        middle, *ends = (float(each[0]) for each in _spread(replicates[None]))
        low, high = (end if np.isinf(middle) else middle + self.factor * (end - middle) for end in ends)
        return low, high


def _spread(table: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Median and 95 % interval of each row of (P, B) replicates, NaN where it has none.

    An end is infinite if a replicate is infinite on its side, since no finite end would contain it.
    """
    levels = (0.5, *_ENDS)
    spread = np.full((3, len(table)), np.nan)
    finite = np.isfinite(table).all(axis=1)
    spread[:, finite] = _quantiles(table[finite], levels)
    for row in np.flatnonzero(~finite):
        defined = table[row, ~np.isnan(table[row])]
        if not np.isnan(Interval.of(0.0, table[row]).low):
            spread[:, row] = _quantiles(defined, levels)
            for end, extreme in ((1, defined.min()), (2, defined.max())):
                spread[end, row] = extreme if np.isinf(extreme) else spread[end, row]
    return spread[0], spread[1], spread[2]


@numba.njit(cache=True, nogil=True)
def _add_drawn(prompt, counts):  # type: ignore[no-untyped-def]
    for i in prompt:
        counts[i] += 1


@numba.njit(cache=True, nogil=True)
def _transpose(counts, by_prompt):  # type: ignore[no-untyped-def]
    """Rows to columns, a line of the processor's cache at a time."""
    for i in range(by_prompt.shape[0]):
        for b in range(by_prompt.shape[1]):
            by_prompt[i, b] = counts[b, i]


@lru_cache(maxsize=4)
def bootstrap_counts(n_prompts: int, replicates: int = 1000, seed: int = 0) -> npt.NDArray[np.uint8]:
    """(n, B) how often each prompt was drawn in each of B draws of n prompts with replacement.

    The same n and seed give the same draws, so figures of two routers on the same prompts are paired.
    """
    rng, by_prompt = np.random.default_rng(seed), np.empty((n_prompts, replicates), np.uint8)
    for first in range(0, replicates, _DRAWS):
        counts = np.zeros((min(_DRAWS, replicates - first), n_prompts), np.uint8)
        for row in counts:
            _add_drawn(rng.integers(0, n_prompts, n_prompts, dtype=np.int32), row)
        _transpose(counts, by_prompt[:, first : first + _DRAWS])
    by_prompt.flags.writeable = False
    return by_prompt


@lru_cache(maxsize=2)
def bootstrap_weights(n_prompts: int, replicates: int = 1000, seed: int = 0) -> FloatArray:
    """(n, B) weights, each column summing to 1: `bootstrap_counts` as shares."""
    weights: FloatArray = bootstrap_counts(n_prompts, replicates, seed).astype(np.float64)
    weights /= max(n_prompts, 1)
    weights.flags.writeable = False
    return weights


def weighted_means(table: FloatTable, weights: Weights) -> FloatArray:
    """(B, k) means of the columns of an (n, k) table under each column of (n, B) weights."""
    sums, totals = _weighted_sums(table, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: FloatArray = (sums / totals).T
    return means


def _weighted_sums(table: FloatTable, weights: Weights) -> tuple[FloatArray, FloatArray]:
    """(k, B) weighted sums of an (n, k) table's columns, and the (B,) sums of the weights."""
    sums = np.zeros((table.shape[1] + 1, weights.shape[1]))
    _sum_up(np.column_stack([table, np.ones(len(table))]), weights, sums)
    return sums[:-1], sums[-1]


# Not a matrix product: it reads the counts as they are, and BLAS threads would compete with ours.
@numba.njit(cache=True, nogil=True)
def _sum_up(table, weights, sums):  # type: ignore[no-untyped-def]
    for i in range(table.shape[0]):
        for j in range(table.shape[1]):
            value = table[i, j]
            for k in range(weights.shape[1]):
                sums[j, k] += value * np.float64(weights[i, k])


def weights_on(frontier: Frontier, weights: Weights) -> Weights:
    """(n, B) weights of a curve's prompts; a prompt with a donor's outcomes has the weight of its donor."""
    return weights if frontier.donors is None else weights[frontier.donors]


@dataclass(frozen=True, eq=False)
class CurveReplicates:
    """Bootstrap replicates of one frontier at G rates.

    Attributes
    ----------
    exchange_rate_per_usd : (G,) ascending.
    score, cost_usd : (B, G).
    """

    exchange_rate_per_usd: FloatArray
    score: FloatArray
    cost_usd: FloatArray

    def band(self, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
        """(G,) lower and upper score at each rate."""
        low, high = np.quantile(self.score, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high


def rates_to_keep(frontier: Frontier, points: int = 400) -> FloatArray:
    """Ascending rates that carry the curve: both ends, the hull's corners, and switches evenly by count."""
    rates = frontier.exchange_rate_per_usd
    even = np.linspace(0, len(rates) - 1, min(points, len(rates))).round().astype(np.int64)
    return rates[np.union1d(even, frontier.corners)]


@numba.njit(cache=True, nogil=True)
def _add_up(prompt, bins, first, second, weights, to_first, to_second):  # type: ignore[no-untyped-def]
    """Add each switch's weighted changes to its bin; both quantities in one pass over the weights."""
    for e in range(prompt.size):
        row, into, a, b = prompt[e], bins[e], first[e], second[e]
        for k in range(weights.shape[1]):
            weight = np.float64(weights[row, k])
            to_first[into, k] += a * weight
            to_second[into, k] += b * weight


def replicate(frontier: Frontier, weights: Weights, points: int = 400) -> CurveReplicates:
    """Bootstrap replicates of a frontier from its sorted switches.

    Parameters
    ----------
    frontier : the curve; n prompts.
    weights : (n, B) from `bootstrap_counts` or `bootstrap_weights`; each column is scaled to sum to 1.
    points : number of rates, besides the corners of the hull.
    """
    rates = rates_to_keep(frontier, points)
    score, cost = replicate_tables(frontier, frontier.outcomes.score, frontier.paid_usd, rates, weights)
    return CurveReplicates(rates, score, cost)


def replicate_tables(
    frontier: Frontier, first: FloatTable, second: FloatTable, rates: FloatArray, weights: Weights
) -> tuple[FloatArray, FloatArray]:
    """(B, G) means of two (n, M) tables under the frontier's choices at G ascending rates, in every replicate."""
    sweep = frontier.sweep
    bins = np.searchsorted(rates, sweep.rate)
    inside = slice(0, int(np.searchsorted(bins, len(rates))))
    prompt, source, target = sweep.prompt[inside], sweep.source[inside], sweep.target[inside]
    rows, weights = np.arange(frontier.n_prompts), weights_on(frontier, weights)
    begun, totals = _weighted_sums(np.column_stack([table[rows, sweep.start] for table in (first, second)]), weights)
    sums = [np.zeros((len(rates), weights.shape[1])) for _ in range(2)]
    ends = [(table[prompt, source], table[prompt, target]) for table in (first, second)]
    _add_up(prompt, bins[inside], *(after - before for before, after in ends), weights, *sums)
    for table, start, (before, after), total in zip((first, second), begun, ends, sums, strict=True):
        total[0] += start
        np.cumsum(total, axis=0, out=total)
        moved = np.bincount(bins[inside], (after != 0.0).astype(np.int8) - (before != 0.0), len(rates))
        nonzero = np.count_nonzero(table[rows, sweep.start]) + np.cumsum(moved)
        total[nonzero == 0] = 0.0  # exactly 0, without the rounding left by the changes
    with np.errstate(invalid="ignore", divide="ignore"):
        score, cost = (np.ascontiguousarray((total / totals).T) for total in sums)
    return score, cost


@dataclass(frozen=True, eq=False)
class Measurement:
    """One figure on the prompts themselves and in each of B bootstrap replicates."""

    value: float
    replicates: FloatArray

    @classmethod
    def of(cls, rows: FloatArray) -> Measurement:
        """From (1 + B,) values: first that on the prompts themselves, then the replicates."""
        return cls(float(rows[0]), rows[1:])

    @classmethod
    def on_curve(cls, exact: FloatArray, rows: FloatArray) -> Measurement:
        """From the figure of the exact curve and its (1 + B,) values on some of the curve's points.

        Replicates are shifted by the difference that the left-out points make to the figure itself.
        """
        shift = float(exact) - float(rows[0]) if np.isfinite(rows[0]) else 0.0
        return cls(float(exact), rows[1:] + shift)

    @property
    def interval(self) -> Interval:
        return Interval.of(self.value, self.replicates)

    def without_bias(self) -> Measurement:
        """Shift the replicates so that their mean is the value, for a figure that resampling inflates."""
        with np.errstate(invalid="ignore"):
            return Measurement(self.value, self.replicates - (self.replicates.mean() - self.value))

    def __sub__(self, other: Measurement) -> Measurement:
        """The paired difference, replicate by replicate."""
        with np.errstate(invalid="ignore"):  # both never reached: no difference
            return Measurement(float(np.subtract(self.value, other.value)), self.replicates - other.replicates)
