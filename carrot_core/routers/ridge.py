"""Ridge regression of many models at once, also where not every model ran on every prompt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from sklearn.utils import check_array

from carrot_core.routers.neighbours import FloatArray, IntArray

# For vectors of length 1; from nearly none to nothing but the mean.
PENALTIES = tuple(float(penalty) for penalty in 10.0 ** np.arange(-2.0, 4.01, 0.5))


def checked_penalties(penalties: npt.ArrayLike) -> FloatArray:
    """The distinct penalties, strongest first so that it wins a tie; all must be greater than 0."""
    found: FloatArray = np.unique(check_array(penalties, ensure_2d=False, dtype=np.float64, input_name="penalties"))
    if found[0] <= 0:
        raise ValueError(f"penalties must be greater than 0, got {found[0]:g}.")
    return found[::-1]


def least_error(table: FloatArray, estimates: FloatArray) -> IntArray:
    """(T,) which of the (A, n, T) estimates has the least squared error in each column."""
    best: IntArray = np.nansum((table - estimates) ** 2, axis=1).argmin(axis=0)
    return best


def leave_one_out(X: FloatArray, table: FloatArray, penalties: FloatArray) -> FloatArray:
    """(A, n, T) estimate of each cell by a ridge that has not seen its row, for A penalties.

    Unobserved cells are NaN, and so are those of a column with fewer than three observed ones. As
    scikit-learn's `RidgeCV`, which keeps no predictions of every penalty without a slow decomposition of X.
    """
    left_out = np.full((len(penalties), *table.shape), np.nan)
    for rows, columns in _patterns(table):
        if len(rows) > 2:
            cells = np.ix_(np.arange(len(penalties)), rows, columns)
            left_out[cells] = _left_out(X[rows], table[np.ix_(rows, columns)], penalties)
    return left_out


def _left_out(X: FloatArray, table: FloatArray, penalties: FloatArray) -> FloatArray:
    """`leave_one_out` of a complete table, by the leverage of each row."""
    centred, deviation = X - X.mean(axis=0), table - table.mean(axis=0)
    variance, directions = np.linalg.eigh(centred.T @ centred)
    rotated = centred @ directions
    moment, squares = rotated.T @ deviation, rotated**2
    left_out = np.empty((len(penalties), *table.shape))
    for estimate, penalty in zip(left_out, penalties, strict=True):
        shrunk = 1.0 / (np.maximum(variance, 0.0) + penalty)
        residual = deviation - rotated @ (shrunk[:, None] * moment)
        estimate[:] = table - residual / (1.0 - 1.0 / len(X) - squares @ shrunk)[:, None]
    return left_out


def coefficients(X: FloatArray, table: FloatArray, penalties: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights (d, T) and intercepts (T,) of the ridge of each column with its own penalty, (T,)."""
    weights, intercept = np.zeros((X.shape[1], table.shape[1])), np.zeros(table.shape[1])
    for rows, columns in _patterns(table):
        ridge = Ridge(penalties[columns], solver="cholesky").fit(X[rows], table[np.ix_(rows, columns)])
        weights[:, columns], intercept[columns] = np.atleast_2d(ridge.coef_).T, ridge.intercept_
    return weights, intercept


def _patterns(table: FloatArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Observed rows and the columns that share them, so that these are one regression."""
    seen, group = np.unique(~np.isnan(table), axis=1, return_inverse=True)
    for number, mask in enumerate(seen.T):
        yield np.flatnonzero(mask), np.flatnonzero(group == number)
