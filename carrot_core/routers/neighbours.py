"""Exact nearest neighbours by cosine, and means over them for many k at once; used by every search among prompts.

Ours and not scikit-learn's, whose float32 results change with the batch and the BLAS library (see the tests of
exactness and of batches). Distances of other kinds are the libraries': scipy's and scikit-learn's.

A float32 matrix product gives a shortlist; wherever its rounding could decide who is a neighbour, the similarity is
computed again in float64, with equal values ordered by training row. So the neighbours of a prompt depend neither on
the other prompts of its batch nor on the BLAS library, and are those of a float64 search.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

# Memory of one block of queries: its row of similarities to every training vector, and its results.
_BLOCK_BYTES = 64 * 2**20
_BINS = 1024
_THREADS = int(numba.config.NUMBA_NUM_THREADS)


class Vectors(NamedTuple):
    """Unit vectors in both precisions, (n, d); a zero vector stays zero (similarity 0 to everything)."""

    exact: FloatArray
    coarse: npt.NDArray[np.float32]

    def rows(self, rows: IntArray) -> Vectors:
        return Vectors(self.exact[rows], self.coarse[rows])


def unit_vectors(X: npt.NDArray[np.floating]) -> Vectors:
    from sklearn.preprocessing import normalize  # slow to import, and other parts of this module do not need it

    values = np.asarray(X, dtype=np.float64)
    exact: FloatArray = np.ascontiguousarray(normalize(values) if len(values) else values)
    return Vectors(exact, exact.astype(np.float32))


def nearest(queries: Vectors, train: Vectors, k: int) -> tuple[FloatArray, IntArray]:
    """The k nearest training rows of each of m queries, nearest first: cosine similarity and row, (m, k).

    Equally near rows are in row order; ``train`` has at least k rows.
    """
    borders, nothing = np.arange(1, k + 1), np.empty((len(train.exact), 0))
    blocks = search(queries, train, borders, nothing, np.empty(0))
    rows = np.concatenate([np.empty((0, k), np.intp), *(block.rows for block in blocks)])
    similarity = [cosines(query, train.exact, near) for query, near in zip(queries.exact, rows, strict=True)]
    return np.array(similarity, dtype=np.float64).reshape(-1, k), rows


class Block(NamedTuple):
    """Neighbours of some consecutive queries.

    ``rows`` (b, k) training rows, k the last border. Between two borders they are ordered by row, not by
    similarity. ``means`` (b, K, T) is the mean of each target over the first k neighbours for each border k.
    """

    queries: slice
    rows: IntArray
    means: FloatArray


def search(
    queries: Vectors, train: Vectors, borders: IntArray, targets: FloatArray, unobserved: FloatArray
) -> Iterator[Block]:
    """Neighbours of every query, and the means of ``targets`` over them, block by block.

    Parameters
    ----------
    queries, train : vectors of the same width.
    borders : (K,) ascending numbers of neighbours, the last at most the number of training rows.
    targets : (n, T) one row a training row; NaN cells are left out of the means.
    unobserved : (T,) value of a mean if none of the k neighbours has the cell.
    """
    n, width = train.exact.shape
    # Bounds the rounding of two float32 similarities of unit vectors, product and conversion, with their
    # order decided by the difference.
    tolerance = (width + 2) * float(np.finfo(np.float32).eps)
    from sklearn.utils import gen_even_slices

    k, cells = int(borders[-1]), len(borders) * targets.shape[1]
    rows = max(1, _BLOCK_BYTES // (4 * n + 8 * (k + cells)))
    with ThreadPoolExecutor(_THREADS) as threads:
        for start in range(0, len(queries.exact), rows):
            block = slice(start, min(start + rows, len(queries.exact)))
            exact = queries.exact[block]
            coarse = queries.coarse[block] @ train.coarse.T
            neighbours = np.empty((len(exact), k), dtype=np.intp)
            means = np.empty((len(exact), len(borders), targets.shape[1]))
            waiting = [
                threads.submit(
                    _search, coarse[part], exact[part], train.exact, borders, tolerance,
                    targets, unobserved, neighbours[part], means[part],
                )
                for part in gen_even_slices(len(exact), 4 * _THREADS)  # several blocks for each thread balance the load
            ]  # fmt: skip
            for part in waiting:
                part.result()
            yield Block(block, neighbours, means)


# Plain threads around kernels that release the GIL, not numba's own: its fallback threading layer ends
# the process when two sessions of the dashboard search at once.
@numba.njit(cache=True, nogil=True)
def _search(coarse, queries, train, borders, tolerance, targets, unobserved, neighbours, means):  # type: ignore[no-untyped-def]
    n = train.shape[0]
    bins, far, rows = np.empty(n, np.int16), np.empty(n), np.empty(n, np.intp)
    for q in range(coarse.shape[0]):
        size = _shortlist(coarse[q], borders[-1], tolerance, bins, far, rows)
        _order(far[:size], rows[:size])
        _settle_borders(queries[q], train, far[:size], rows[:size], borders, tolerance)
        far[: borders[-1]] = 0.0
        first = 0
        for k in borders:  # one order of summation, whatever the last digits of similarities
            _order(far[first:k], rows[first:k])
            first = k
        neighbours[q] = rows[: borders[-1]]
        _average(neighbours[q], borders, targets, unobserved, means[q])


@numba.njit(cache=True, nogil=True)
def _shortlist(similarity, k, tolerance, bins, far, rows):  # type: ignore[no-untyped-def]
    """Write every row that may be among the k nearest, and its negative similarity; returns their number.

    A histogram of the similarities finds the border and leaves the rows nearly sorted.
    """
    low, high = np.float64(similarity[0]), np.float64(similarity[0])
    for value in similarity:
        low, high = min(low, np.float64(value)), max(high, np.float64(value))
    scale = _BINS / (high - low) if high > low else 0.0
    count = np.zeros(_BINS + 1, np.int64)
    for row in range(similarity.size):
        bins[row] = int((similarity[row] - low) * scale)
        count[bins[row]] += 1
    border, size = _BINS, count[_BINS]
    while size < k:
        border -= 1
        size += count[border]
    edge = low + (border / scale - tolerance if scale > 0.0 else 0.0)
    lowest = max(0, int((edge - low) * scale))
    size = 0
    for b in range(_BINS, lowest - 1, -1):
        count[b], size = size, size + count[b]
    for row in range(similarity.size):
        if bins[row] >= lowest:
            at = count[bins[row]]
            far[at], rows[at] = -similarity[row], row
            count[bins[row]] += 1
    return size


@numba.njit(cache=True, nogil=True)
def _settle_borders(query, train, far, rows, borders, tolerance):  # type: ignore[no-untyped-def]
    """Make the first k rows the exact k nearest, for every border k.

    Rows nearer than the first outside row by more than the tolerance are certainly inside, and those farther than the
    last inside row by more than it are outside; those in between are sorted exactly. Overlapping stretches are sorted
    together.
    """
    start, end, low, high = 0, 0, 0, 0
    for k in borders:
        if k < far.size and far[k] - far[k - 1] <= tolerance:
            last_in, first_out = far[k - 1], far[k]
            while far[low] < first_out - tolerance:
                low += 1
            while high < far.size and far[high] <= last_in + tolerance:
                high += 1
            if low >= end:
                _settle(query, train, far[start:end], rows[start:end])
                start = low
            end = high
    _settle(query, train, far[start:end], rows[start:end])


@numba.njit(cache=True, nogil=True)
def _settle(query, train, far, rows):  # type: ignore[no-untyped-def]
    """Order ``rows`` in place by similarity in float64, equal ones by row."""
    for i in range(rows.size):
        far[i] = -_dot(query, train[rows[i]])
    _order(far, rows)


# Shell's sort, in place and short: numba's own sorts take half a minute to compile here, and as long to run.
@numba.njit(cache=True, nogil=True)
def _order(keys, rows):  # type: ignore[no-untyped-def]
    """Sort both in place by key, equal keys by row."""
    gap = 1
    while gap < rows.size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, rows.size):
            key, row, j = keys[i], rows[i], i
            while j >= gap and (keys[j - gap] > key or (keys[j - gap] == key and rows[j - gap] > row)):
                keys[j], rows[j] = keys[j - gap], rows[j - gap]
                j -= gap
            keys[j], rows[j] = key, row
        gap //= 3


@numba.njit(cache=True, nogil=True)
def cosines(query, train, rows):  # type: ignore[no-untyped-def]
    """(k,) similarity of one unit vector to some training rows, in [-1, 1]."""
    out = np.empty(rows.size)
    for i in range(rows.size):
        out[i] = min(1.0, max(-1.0, _dot(query, train[rows[i]])))
    return out


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@numba.njit(cache=True, nogil=True)
def _average(rows, borders, targets, unobserved, means):  # type: ignore[no-untyped-def]
    """Means of the observed cells over the first k rows, for every border k, in one pass."""
    width = targets.shape[1]
    total, count = np.zeros(width), np.zeros(width)
    first = 0
    for c in range(borders.size):
        for row in rows[first : borders[c]]:
            for t in range(width):
                if not np.isnan(targets[row, t]):
                    total[t] += targets[row, t]
                    count[t] += 1.0
        for t in range(width):
            means[c, t] = total[t] / count[t] if count[t] > 0.0 else unobserved[t]
        first = borders[c]
