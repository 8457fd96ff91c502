"""Criteria for choosing the number of neighbours: R² on a held-out fold, of scores or of contrasts between models.

Definitions and reasons are in `carrot_core.routers.knn.CarrotKNN`.
"""

from __future__ import annotations

import numpy as np

from carrot_core.routers.neighbours import FloatArray, IntArray, Vectors, search


def observed_mean(table: FloatArray, axis: int = 0) -> FloatArray:
    """Mean of the cells that are not NaN along an axis, which is kept; NaN where there are none."""
    mask = ~np.isnan(table)
    total = np.sum(table, axis=axis, where=mask, keepdims=True)
    count = mask.sum(axis=axis, keepdims=True)
    mean: FloatArray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def fold_r2(
    vectors: Vectors, tables: list[FloatArray], contrasts: list[bool], ks: IntArray, train: IntArray, test: IntArray
) -> list[FloatArray]:
    """For each table, (K,) R² of the fold ``test`` estimated from ``train`` with every k; NaN if undefined."""
    targets = np.hstack([table[train] for table in tables])
    train_means = observed_mean(targets)
    truths = [table[test] for table in tables]
    losses = [np.zeros((len(ks), truth.shape[1])) for truth in truths]
    ends = np.cumsum([truth.shape[1] for truth in truths])[:-1]
    for block in search(vectors.rows(test), vectors.rows(train), ks, targets, train_means[0]):
        means = np.split(block.means, ends, axis=2)
        for loss, truth, mean, contrast in zip(losses, truths, means, contrasts, strict=True):
            loss += _loss(truth[block.queries], mean, contrast)
    baselines = np.split(train_means, ends, axis=1)
    return [_r2(*each) for each in zip(losses, truths, baselines, contrasts, strict=True)]


def _loss(truth: FloatArray, estimate: FloatArray, contrast: bool) -> FloatArray:
    """(K, M) squared errors summed over the (b, M) observed cells, for (b, K, M) estimates."""
    error = truth[:, None, :] - estimate
    if contrast:  # the contrast of the error is the error of the contrast
        error = error - observed_mean(error, axis=2)
    # A mean of equal numbers differs from them by rounding errors, which must not count for R².
    error[np.abs(error) <= 1e-12 * np.nanmax(np.abs(truth), initial=0.0)] = 0.0
    loss: FloatArray = np.nansum(error**2, axis=0)
    return loss


def _r2(loss: FloatArray, truth: FloatArray, train_means: FloatArray, contrast: bool) -> FloatArray:
    """(K,) R² from (K, M) losses: contrasts pooled over models, else averaged over models."""
    mask = ~np.isnan(truth - train_means)
    baseline = _loss(truth, (train_means if contrast else observed_mean(truth))[None], contrast)
    if contrast:
        defined = (mask.sum(axis=1) >= 2).any(keepdims=True)
        loss, baseline = loss.sum(axis=1, keepdims=True), baseline.sum(axis=1, keepdims=True)
    else:
        defined = mask.sum(axis=0) >= 2
    if not defined.any():
        return np.full(len(loss), np.nan)
    unexplained = np.divide(loss, baseline, out=(loss > 0.0).astype(np.float64), where=baseline > 0.0)
    r2: FloatArray = 1.0 - unexplained[:, defined].mean(axis=1)
    return r2


def mean_over_folds(r2: FloatArray) -> FloatArray:
    """(K,) mean over the folds that have a value."""
    defined = ~np.isnan(r2).any(axis=1)
    if not defined.any():
        raise ValueError("No fold has enough observed cells to choose k: give n_neighbors.")
    mean: FloatArray = r2[defined].mean(axis=0)
    return mean


def contrasts(table: FloatArray) -> FloatArray:
    """(n, M) table less the mean of each row's observed cells; NaN cells stay NaN."""
    return table - observed_mean(table, axis=1)


def contrast_loss(truth: FloatArray, estimate: FloatArray) -> float:
    """Squared error of the contrasts between models, summed over the cells that both tables have.

    With a single model there are no contrasts, and the loss is that of its scores.
    """
    error = truth - estimate
    if error.shape[1] > 1:
        error = contrasts(error)  # the contrast of the error is the error of the contrast
    return float(np.nansum(error**2))
