"""Every switch of a router's choice on every prompt as λ grows, computed exactly and without a grid.

For one prompt the rule ``argmax ŝ - r·ĉ`` walks, as the exchange rate r grows from 0 to infinity, down
the upper-left hull of its points (ĉ, ŝ): at most M - 1 switches, each at r = Δŝ/Δĉ. All prompts'
switches, sorted by r and summed, are the whole curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]

# Prompts one thread takes at a time: more than a page has, so that only large sweeps start threads.
_BLOCK = 50_000
# Rates nearer to each other than this share of them are one: equal switches differ by rounding in the last
# bits, and a rate converted to λ and back changes by about as much.
_SAME_RATE = 1e-12


@numba.njit(cache=True, inline="always")
def _best_at_zero(score, cost, rank, i):  # type: ignore[no-untyped-def]
    """Most accurate model of prompt i; ties: the cheapest, then the first by name."""
    best = 0
    for j in range(1, score.shape[1]):
        if (
            np.isnan(score[i, best])
            or score[i, j] > score[i, best]
            or (
                score[i, j] == score[i, best]
                and (cost[i, j] < cost[i, best] or (cost[i, j] == cost[i, best] and rank[j] < rank[best]))
            )
        ):
            best = j
    return best


@numba.njit(cache=True, inline="always")
def _next_on_hull(score, cost, rank, i, current):  # type: ignore[no-untyped-def]
    """Cheaper model reached first as the rate grows, and the rate; (-1, inf) at the cheapest.

    Equal rates: the cheapest of them, since the ones between never win on their own.
    """
    best, best_rate = -1, np.inf
    for j in range(score.shape[1]):
        saved = cost[i, current] - cost[i, j]
        if saved > 0.0:
            rate = (score[i, current] - score[i, j]) / saved
            if (
                best < 0
                or rate < best_rate
                or (
                    rate == best_rate
                    and (cost[i, j] < cost[i, best] or (cost[i, j] == cost[i, best] and _wins(score, rank, i, j, best)))
                )
            ):
                best, best_rate = j, rate
    return best, best_rate


@numba.njit(cache=True, inline="always")
def _wins(score, rank, i, j, best):  # type: ignore[no-untyped-def]
    return score[i, j] > score[i, best] or (score[i, j] == score[i, best] and rank[j] < rank[best])


@numba.njit(cache=True, nogil=True)
def _walk_block(est_score, est_cost, rank, start, rate, prompt, source, target):  # type: ignore[no-untyped-def]
    """Start model and switches of some prompts, numbered from 0; returns how many switches were written."""
    at = 0
    for i in range(len(est_score)):
        current = _best_at_zero(est_score, est_cost, rank, i)
        start[i] = current
        begun = at
        while True:
            j, r = _next_on_hull(est_score, est_cost, rank, i, current)
            if j < 0:
                break
            if at > begun and r <= rate[at - 1]:  # rounding bent the hull back by an ulp: one switch, not two
                target[at - 1] = j
            else:
                rate[at], prompt[at], source[at], target[at] = r, i, current, j
                at += 1
            current = j
    return at


def _walk(
    est_score: npt.NDArray[np.floating], est_cost: npt.NDArray[np.floating], rank: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.int16], list[npt.NDArray[Any]]]:
    """Start model of each prompt, and the arrays rate, prompt, source, target of all switches."""
    n, m = est_score.shape
    start = np.empty(n, np.int16)

    def block(first: int) -> list[npt.NDArray[Any]]:
        rows = slice(first, min(first + _BLOCK, n))
        room = (rows.stop - first) * max(m - 1, 1)
        events = [np.empty(room, kind) for kind in (np.float64, np.int32, np.int16, np.int16)]
        total = _walk_block(est_score[rows], est_cost[rows], rank, start[rows], *events)
        events[1] += first
        return [array[:total].copy() for array in events]

    # Plain threads around a kernel that releases the GIL: numba's own fallback threading layer ends the
    # process when two sessions of a dashboard use it at once.
    with ThreadPoolExecutor(int(numba.config.NUMBA_NUM_THREADS)) as threads:
        blocks = list((threads.map if n > _BLOCK else map)(block, range(0, max(n, 1), _BLOCK)))
    return start, [np.concatenate(arrays) for arrays in zip(*blocks, strict=True)]


@numba.njit(cache=True)
def _running(initial, table, prompt, source, target, last_of_rate, nonzero):  # type: ignore[no-untyped-def]
    """Compensated running sum of the changes in ``table``, read after the last switch of each rate.

    ``nonzero`` counts the first summands that are not 0: a sum of zeros is 0, whatever the changes to it left over.
    """
    out = np.empty(last_of_rate.size + 1, np.float64)
    total, lost = initial, 0.0
    out[0] = initial
    e = 0
    for k in range(last_of_rate.size):
        while e <= last_of_rate[k]:
            before, after = np.float64(table[prompt[e], source[e]]), np.float64(table[prompt[e], target[e]])
            change = after - before
            nonzero += (after != 0.0) - (before != 0.0)
            step = change - lost
            moved = total + step
            lost = (moved - total) - step
            total = moved
            e += 1
        out[k + 1] = total if nonzero else 0.0
    return out


@numba.njit(cache=True, inline="always")
def _count(tree, place, by):  # type: ignore[no-untyped-def]
    """Add to the number of values at a place, in a Fenwick tree of counts; places below 0 stand for no value."""
    at = place + 1
    while 0 < at < tree.size:
        tree[at] += by
        at += at & -at


@numba.njit(cache=True, inline="always")
def _kth(tree, k):  # type: ignore[no-untyped-def]
    """Place of the k-th smallest value, from 0, in a Fenwick tree of counts."""
    at, step = 0, 1
    while 2 * step < tree.size:
        step *= 2
    while step:
        if at + step < tree.size and tree[at + step] <= k:
            at += step
            k -= tree[at]
        step //= 2
    return at


@numba.njit(cache=True, nogil=True)
def _running_quantile(place, values, start, prompt, source, target, last_of_rate, level):  # type: ignore[no-untyped-def]
    """Quantile of the chosen cells' values after the last switch of each rate; ``place`` of a cell among the ascending
    ``values``, -1 without a value. Between two values it is read off the line."""
    out, tree, count = np.empty(last_of_rate.size + 1), np.zeros(values.size + 1, np.int64), 0
    for i in range(start.size):
        _count(tree, place[i, start[i]], 1)
        count += place[i, start[i]] >= 0
    e = 0
    for k in range(last_of_rate.size + 1):
        while k and e <= last_of_rate[k - 1]:
            before, after = place[prompt[e], source[e]], place[prompt[e], target[e]]
            _count(tree, before, -1)
            _count(tree, after, 1)
            count += (after >= 0) - (before >= 0)
            e += 1
        if count == 0:
            out[k] = np.nan
            continue
        at = level * (count - 1)
        low = int(at)
        below, above = values[_kth(tree, low)], values[_kth(tree, min(low + 1, count - 1))]
        out[k] = below + (at - low) * (above - below)
    return out


@dataclass(frozen=True, eq=False)
class Sweep:
    """All switches of n prompts as the exchange rate grows, sorted by rate.

    Attributes
    ----------
    start : (n,) column of the model chosen at rate 0.
    rate : (E,) ascending, score units per US dollar; infinite where costs differ too little to divide.
    prompt, source, target : (E,) row of the prompt, column of the model left and of the model taken.
    """

    start: npt.NDArray[np.int16]
    rate: FloatArray
    prompt: IntArray
    source: npt.NDArray[np.int16]
    target: npt.NDArray[np.int16]

    @cached_property
    def last_of_rate(self) -> npt.NDArray[np.int64]:
        """(K-1,) position of the last switch of each distinct rate above 0."""
        if self.rate.size == 0:
            return np.empty(0, np.int64)
        return np.append(np.flatnonzero(self.rate[1:] != self.rate[:-1]), self.rate.size - 1)

    @property
    def breakpoints(self) -> FloatArray:
        """(K,) rates at which anything changes, from 0; point k holds on [rate k, rate k+1)."""
        return np.concatenate([[0.0], self.rate[self.last_of_rate]])

    def choices(self, exchange_rate_per_usd: float | FloatArray) -> npt.NDArray[np.int16]:
        """(n,) column of the model chosen for each prompt at this rate, or at (n,) rates of their own."""
        chosen = self.start.copy()
        # A prompt's switches are in ascending order, so the last assignment wins.
        if np.ndim(exchange_rate_per_usd):
            done = self.rate <= np.asarray(exchange_rate_per_usd)[self.prompt]
            chosen[self.prompt[done]] = self.target[done]
        else:
            end = int(np.searchsorted(self.rate, exchange_rate_per_usd, side="right"))
            chosen[self.prompt[:end]] = self.target[:end]
        return chosen

    def in_steps(self, rates: FloatArray, round_of: npt.NDArray[np.intp]) -> Sweep:
        """The same switches, at the steps where groups of prompts take them that walk through rates of their own.

        Parameters
        ----------
        rates : (R, G) ascending exchange rates of each group; one that is at step g pays ``rates[group, g]``.
        round_of : (n,) group of each prompt.

        Returns
        -------
        A sweep whose rates are the numbers of steps, 0 to G - 1; later switches are left out.
        """
        step = np.empty(len(self.rate))
        group = round_of[self.prompt]
        for number, own in enumerate(rates):
            step[group == number] = np.searchsorted(own, self.rate[group == number])
        order = np.argsort(step, kind="stable")[: int((step < rates.shape[1]).sum())]
        return Sweep(self.start, step[order], self.prompt[order], self.source[order], self.target[order])

    def in_columns(self, columns: npt.NDArray[np.intp]) -> Sweep:
        """The same switches in wider tables, in which model j has column ``columns[j]``."""
        column = columns.astype(np.int16)
        return Sweep(column[self.start], self.rate, self.prompt, column[self.source], column[self.target])

    def rows(self, rows: npt.NDArray[np.bool_]) -> Sweep:
        """The switches of some of the prompts, an (n,) mask."""
        place, mask = np.cumsum(rows, dtype=np.int32) - 1, rows[self.prompt]
        return Sweep(self.start[rows], self.rate[mask], place[self.prompt[mask]], self.source[mask], self.target[mask])

    def mean_of(self, table: npt.NDArray[np.floating]) -> FloatArray:
        """(K,) mean over prompts of an (n, M) table under the choices at every breakpoint."""
        n = len(self.start)
        first = table[np.arange(n), self.start]
        switches = self.prompt, self.source, self.target, self.last_of_rate
        nonzero = int(np.count_nonzero(first))
        running: FloatArray = _running(float(first.sum(dtype=np.float64)), table, *switches, nonzero)
        return running / max(n, 1)

    def quantile_of(self, table: FloatArray, level: float) -> FloatArray:
        """(K,) quantile over prompts of an (n, M) table under the choices at every breakpoint.

        Of the cells that are not NaN, linear between two of them, as NumPy has it; NaN where none is chosen.
        """
        known = ~np.isnan(table)
        values, places = np.unique(table[known], return_inverse=True)
        place = np.full(table.shape, -1, np.int64)
        place[known] = places
        switches = self.prompt, self.source, self.target, self.last_of_rate
        quantile: FloatArray = _running_quantile(place, values, self.start, *switches, level)
        return quantile


def sweep_tables(
    est_score: npt.NDArray[np.floating],
    est_cost_usd: npt.NDArray[np.floating],
    models: Sequence[str] | None = None,
) -> Sweep:
    """All switches of the rule ``argmax est_score - rate * est_cost_usd``; (n, M) tables without NaN.

    ``models`` names the columns, so that full ties go to the first by name whatever their order.
    """
    m = est_score.shape[1]
    if m == 0:
        raise CarrotError("A pool needs at least one model.")
    rank = np.empty(m, np.int16)
    rank[np.argsort(np.array(models, dtype=object)) if models is not None else np.arange(m)] = np.arange(m)
    start, events = _walk(est_score, est_cost_usd, rank)
    order = np.argsort(events[0])
    rate, *rest = (array[order] for array in events)
    return Sweep(start, _without_rounding(rate), *rest)


def _without_rounding(rate: FloatArray) -> FloatArray:
    """Ascending rates; those that differ by rounding only become equal to the first of them."""
    with np.errstate(invalid="ignore"):  # from infinite to infinite
        apart = rate[1:] > rate[:-1] * (1 + _SAME_RATE)
    first = np.flatnonzero(np.concatenate([[True], apart])) if rate.size else np.empty(0, np.intp)
    return np.repeat(rate[first], np.diff(first, append=rate.size))


@numba.njit(cache=True)
def _upper_hull(cost, score, order):  # type: ignore[no-untyped-def]
    """Positions, by ascending cost, of the concave, rising upper hull of points given in cost order."""
    hull = np.empty(order.size, np.int64)
    size = 0
    for i in order:
        if size > 0 and score[i] <= score[hull[size - 1]]:
            continue  # costs more and is no better: below the non-decreasing hull
        while size > 0 and cost[hull[size - 1]] == cost[i]:
            size -= 1
        while size > 1:
            a, b = hull[size - 2], hull[size - 1]
            if (score[b] - score[a]) * (cost[i] - cost[a]) > (score[i] - score[a]) * (cost[b] - cost[a]):
                break
            size -= 1
        hull[size] = i
        size += 1
    return hull[:size]


def upper_hull(cost_usd: FloatArray, score: FloatArray) -> npt.NDArray[np.int64]:
    """Positions of the non-decreasing convex hull of (cost, score) points, by ascending cost.

    RouterBench's hull (arXiv 2403.12031): what is reached by mixing the points at random.
    """
    hull: npt.NDArray[np.int64] = _upper_hull(cost_usd, score, np.argsort(cost_usd, kind="stable"))
    return hull
