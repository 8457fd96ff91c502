"""Every switch of a router's choice on every prompt as λ grows, computed exactly and without a grid.

For one prompt the rule ``argmax ŝ - r·ĉ`` walks, as the exchange rate r grows from 0 to infinity, down
the upper-left hull of its points (ĉ, ŝ): at most M - 1 switches, each at r = Δŝ/Δĉ. All prompts'
switches, sorted by r and summed, are the whole curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.hull_walk_tie_rule import Switches, by_rate, walk

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]

# Prompts in one thread's block: more than a page has, so that only large sweeps start threads.
_BLOCK = 50_000


def in_blocks(work: Callable[[slice], Any], size: int) -> list[Any]:
    """Results of ``work`` on each block of ``size`` rows, in threads if there are several blocks."""
    blocks = [slice(first, min(first + _BLOCK, size)) for first in range(0, max(size, 1), _BLOCK)]
    # Plain threads around kernels that release the GIL: numba's own fallback threading layer ends the
    # process when two sessions of a dashboard use it at once.
    if len(blocks) == 1:
        return [work(blocks[0])]
    with ThreadPoolExecutor(int(numba.config.NUMBA_NUM_THREADS)) as threads:
        return list(threads.map(work, blocks))


@numba.njit(cache=True, nogil=True)
def changes(table, prompt, source, target, change, count_change):  # type: ignore[no-untyped-def]
    """Write each switch's change to a sum over ``table``, and to the number of its summands that are not 0."""
    for e in range(prompt.size):
        before, after = np.float64(table[prompt[e], source[e]]), np.float64(table[prompt[e], target[e]])
        change[e] = after - before
        count_change[e] = np.int8(after != 0.0) - np.int8(before != 0.0)


@numba.njit(cache=True, nogil=True)
def in_order(values, order, out):  # type: ignore[no-untyped-def]
    """Write values in an order; a loop of its own, since one that also added them up would wait for each."""
    for e in range(order.size):
        out[e] = values[order[e]]


@numba.njit(cache=True, nogil=True)
def cells(table, column, out):  # type: ignore[no-untyped-def]
    """Write the cell of each row in the column that ``column`` has for it."""
    for i in range(column.size):
        out[i] = table[i, column[i]]


@numba.njit(cache=True)
def running_sum(nonzero, change, count_change, last_of_rate):  # type: ignore[no-untyped-def]
    """Compensated running sum of changes from the first value on, read after the last switch of each rate.

    The sums overwrite the changes, one at each rate; returns their number. ``nonzero`` is the number of summands that
    are not 0 before the first switch, ``count_change`` its change at each switch: a sum of zeros is exactly 0, whatever
    rounding the changes left.
    """
    total, lost = change[0], 0.0
    e = 0
    for k in range(last_of_rate.size):
        while e <= last_of_rate[k]:
            nonzero += count_change[e]
            step = change[e + 1] - lost
            after = total + step
            lost = (after - total) - step
            total = after
            e += 1
        change[k + 1] = total if nonzero else 0.0
    return last_of_rate.size + 1


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
    """Quantile of the chosen cells' values after the last switch of each rate; ``place`` is that of a cell among the
    ascending ``values``, -1 without a value. Linear between two values."""
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
    """All switches of n prompts as the exchange rate grows.

    Stored prompt by prompt, so that tables are read from front to back, together with their order by rate.

    Attributes
    ----------
    start : (n,) column of the model chosen at rate 0.
    rate : (E,) ascending, score units per US dollar; infinite where costs differ too little to divide.
    order : (E,) index of the switch at each of these rates.
    of_prompt, leaves, takes : (E,) row of the prompt, column of the model left and of the model taken, prompt by
        prompt.
    """

    start: npt.NDArray[np.int16]
    rate: FloatArray
    order: IntArray
    of_prompt: IntArray
    leaves: npt.NDArray[np.int16]
    takes: npt.NDArray[np.int16]

    @cached_property
    def prompt(self) -> IntArray:
        """(E,) row of the prompt, by rate."""
        return self.of_prompt[self.order]

    @cached_property
    def source(self) -> npt.NDArray[np.int16]:
        """(E,) column of the model left, by rate."""
        return self.leaves[self.order]

    @cached_property
    def target(self) -> npt.NDArray[np.int16]:
        """(E,) column of the model taken, by rate."""
        return self.takes[self.order]

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
        """(n,) column of the model chosen for each prompt, at this rate or at (n,) rates, one for each prompt."""
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
        """The same switches by the step at which they happen, for groups of prompts that each step through their own
        rates.

        Parameters
        ----------
        rates : (R, G) ascending exchange rates of each group; a group at step g has the rate ``rates[group, g]``.
        round_of : (n,) group of each prompt.

        Returns
        -------
        A sweep whose rates are step numbers, 0 to G - 1; later switches are left out.
        """
        step = np.empty(len(self.rate))
        group = round_of[self.prompt]
        for number, own in enumerate(rates):
            step[group == number] = np.searchsorted(own, self.rate[group == number])
        order = np.argsort(step, kind="stable")[: int((step < rates.shape[1]).sum())]
        return replace(self, rate=step[order], order=self.order[order])

    def in_columns(self, columns: npt.NDArray[np.intp]) -> Sweep:
        """The same switches in wider tables, in which model j has column ``columns[j]``."""
        column = columns.astype(np.int16)
        return replace(self, start=column[self.start], leaves=column[self.leaves], takes=column[self.takes])

    def rows(self, rows: npt.NDArray[np.bool_]) -> Sweep:
        """The switches of some of the prompts, an (n,) mask."""
        place, mask = np.cumsum(rows, dtype=np.int32) - 1, rows[self.of_prompt]
        new, inside = np.cumsum(mask, dtype=np.int32) - 1, mask[self.order]
        return Sweep(
            self.start[rows],
            self.rate[inside],
            new[self.order[inside]],
            place[self.of_prompt[mask]],
            self.leaves[mask],
            self.takes[mask],
        )

    def mean_of(self, table: npt.NDArray[np.floating]) -> FloatArray:
        """(K,) mean over prompts of an (n, M) table under the choices at every breakpoint."""
        first = np.empty(len(self.start), table.dtype)
        cells(table, self.start, first)
        switches, size = (self.of_prompt, self.leaves, self.takes), len(self.of_prompt)
        change, count_change = np.empty(size), np.empty(size, np.int8)
        sums, counts = np.empty(len(self.order) + 1), np.empty(len(self.order), np.int8)
        sums[0] = first.sum(dtype=np.float64)

        def write_changes(place: slice) -> None:
            changes(table, *(array[place] for array in switches), change[place], count_change[place])

        def sort(place: slice) -> None:
            in_order(change, self.order[place], sums[1:][place])
            in_order(count_change, self.order[place], counts[place])

        in_blocks(write_changes, size)
        in_blocks(sort, len(self.order))
        end = running_sum(int(np.count_nonzero(first)), sums, counts, self.last_of_rate)
        means: FloatArray = sums[:end] if 2 * end > len(sums) else sums[:end].copy()  # frees a mostly unused array
        means /= max(len(self.start), 1)
        return means

    def quantile_of(self, table: FloatArray, level: float) -> FloatArray:
        """(K,) quantile over prompts of an (n, M) table under the choices at every breakpoint.

        NaN cells do not count; linear between two values, as in NumPy; NaN where every chosen cell is NaN.
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
    by_name = np.argsort(np.array(models, dtype=object)) if models is not None else np.arange(m)
    start = np.empty(len(est_score), np.int16)

    def block(rows: slice) -> Switches:
        return walk(est_score[rows], est_cost_usd[rows], by_name, rows.start, start[rows])

    blocks = in_blocks(block, len(est_score))
    own_rate, *switches = (np.concatenate(arrays) for arrays in zip(*blocks, strict=True))
    rate, order = by_rate(own_rate)
    return Sweep(start, rate, order, *switches)


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

    RouterBench's hull (arXiv 2403.12031): all that mixing the points at random can reach.
    """
    hull: npt.NDArray[np.int64] = _upper_hull(cost_usd, score, np.argsort(cost_usd, kind="stable"))
    return hull
