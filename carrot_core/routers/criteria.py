"""Criteria for choosing settings: R² of scores or of contrasts between models, error of contrasts, and AIQ.

Definitions and reasons are in `carrot_core.routers.knn.CarrotKNN` and `carrot_core.routers.linear.CarrotLinear`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from carrot_core.metrics import aiq
from carrot_core.outcomes import Benchmark, Usage
from carrot_core.routers.neighbours import FloatArray, IntArray, Vectors, search
from carrot_core.switches import sweep_tables

_LEAST_PROMPTS = 50  # on which an AIQ tells more than noise


def observed_mean(table: FloatArray, axis: int = 0) -> FloatArray:
    """Mean of the cells that are not NaN along an axis, which is kept; NaN where there are none."""
    mask = ~np.isnan(table)
    total = np.sum(table, axis=axis, where=mask, keepdims=True)
    count = mask.sum(axis=axis, keepdims=True)
    mean: FloatArray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def fold_r2(
    vectors: Vectors, tables: list[FloatArray], contrasts: list[bool], ks: IntArray, train: IntArray, test: IntArray
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Of the fold ``test`` estimated from ``train`` with every k, for each table.

    Returns
    -------
    (K,) R², NaN if undefined; (K, M) sums of the estimates of the observed cells.
    """
    targets = np.hstack([table[train] for table in tables])
    train_means = observed_mean(targets)
    truths = [table[test] for table in tables]
    losses = [np.zeros((len(ks), truth.shape[1])) for truth in truths]
    sums = [np.zeros_like(loss) for loss in losses]
    ends = np.cumsum([truth.shape[1] for truth in truths])[:-1]
    for block in search(vectors.rows(test), vectors.rows(train), ks, targets, train_means[0]):
        means = np.split(block.means, ends, axis=2)
        for loss, total, truth, mean, contrast in zip(losses, sums, truths, means, contrasts, strict=True):
            loss += _loss(truth[block.queries], mean, contrast)
            total += np.nansum(np.where(np.isnan(truth[block.queries])[:, None, :], np.nan, mean), axis=0)
    baselines = np.split(train_means, ends, axis=1)
    return [_r2(*each) for each in zip(losses, truths, baselines, contrasts, strict=True)], sums


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


@dataclass(frozen=True)
class Costs:
    """What the training prompts cost, so that estimates of them can be judged by the curve they give.

    Attributes
    ----------
    cost_usd : (n, M) observed US dollars, NaN = not observed.
    expected_usd : US dollars of an (n, M) predicted usage; what is known before the call is in it as known.
    """

    cost_usd: FloatArray
    expected_usd: Callable[[FloatArray], FloatArray]

    @classmethod
    def of(cls, train: Benchmark, usage: Usage) -> Costs:
        """Of training prompts, with the usage that a router predicts."""
        return cls(train.outcomes.cost_usd, partial(train.cost_usd_of, usage=usage))


def left_out_aiq(score: FloatArray, estimate: FloatArray, usage: FloatArray | None, costs: Costs) -> float:
    """AIQ on the training prompts of (n, M) estimates of their scores and usage that have not seen them.

    Over prompts with every outcome and estimate; NaN where they are too few to tell anything. ``usage`` is None where
    the cost is known without it.
    """
    expected = costs.expected_usd(np.zeros(score.shape) if usage is None else usage)
    rows = np.isfinite(score + estimate + costs.cost_usd + expected).all(axis=1)
    if rows.sum() < _LEAST_PROMPTS:
        return float("nan")
    swept = sweep_tables(estimate[rows], expected[rows])
    single = costs.cost_usd[rows].mean(axis=0)
    return float(aiq(swept.mean_of(costs.cost_usd[rows]), swept.mean_of(score[rows]), single.min(), single.max()))
