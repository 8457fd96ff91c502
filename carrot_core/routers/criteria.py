"""Criteria by which settings are chosen (R², error of contrasts, AIQ), and the log scale that usage is learned on.

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

_LEAST_PROMPTS = 50  # prompts; with fewer, AIQ is mostly noise
# Share of a model's mean usage that counts as one unit, so that log1p works alike on tokens and dollars.
_UNIT = 0.01
# At most so many ranges of predicted usage are corrected separately, with at least so many held-out cells in each.
_RANGES, _LEAST_CELLS = 10, 50


def observed_mean(table: FloatArray, axis: int = 0) -> FloatArray:
    """Mean of the cells that are not NaN along an axis, which is not dropped; NaN where there are none."""
    mask = ~np.isnan(table)
    total = np.sum(table, axis=axis, where=mask, keepdims=True)
    count = mask.sum(axis=axis, keepdims=True)
    mean: FloatArray = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def fold_r2(
    vectors: Vectors, tables: list[FloatArray], contrasts: list[bool], ks: IntArray, train: IntArray, test: IntArray
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Scores of the fold ``test``, estimated from ``train`` with every k, for each table.

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
    # A mean of equal numbers differs from them by rounding errors, which must not affect R².
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
    """(n, M) table minus the mean of each row's observed cells; NaN cells stay NaN."""
    return table - observed_mean(table, axis=1)


def contrast_loss(truth: FloatArray, estimate: FloatArray) -> float:
    """Squared error of the contrasts between models, summed over the cells that both tables have.

    With a single model there are no contrasts, and the loss is the squared error of its scores.
    """
    error = truth - estimate
    if error.shape[1] > 1:
        error = contrasts(error)  # the contrast of the error is the error of the contrast
    return float(np.nansum(error**2))


@dataclass(frozen=True)
class Costs:
    """Costs of the training prompts, so that estimates of them can be judged by their curve.

    Attributes
    ----------
    cost_usd : (n, M) observed US dollars, NaN = not observed.
    expected_usd : function from (n, M) predicted usage to US dollars, with what is known before the call.
    """

    cost_usd: FloatArray
    expected_usd: Callable[[FloatArray], FloatArray]

    @classmethod
    def of(cls, train: Benchmark, usage: Usage) -> Costs:
        """From training prompts and the usage that a router predicts."""
        return cls(train.outcomes.cost_usd, partial(train.cost_usd_of, usage=usage))


def left_out_aiq(score: FloatArray, estimate: FloatArray, usage: FloatArray | None, costs: Costs) -> float:
    """AIQ on the training prompts of (n, M) estimates of their scores and usage by fits that have not seen them.

    Only prompts with every outcome and estimate count; NaN if they are too few. ``usage`` is None if the cost is known
    without it.
    """
    expected = costs.expected_usd(np.zeros(score.shape) if usage is None else usage)
    rows = np.isfinite(score + estimate + costs.cost_usd + expected).all(axis=1)
    if rows.sum() < _LEAST_PROMPTS:
        return float("nan")
    swept = sweep_tables(estimate[rows], expected[rows])
    single = costs.cost_usd[rows].mean(axis=0)
    return float(aiq(swept.mean_of(costs.cost_usd[rows]), swept.mean_of(score[rows]), single.min(), single.max()))


class UsageScale:
    """``log1p`` of usage in hundredths of each model's mean, and its bias-corrected inverse.

    Token counts are heavy-tailed, so regressions are fitted on logs; the exponential of a mean of logs
    is too low, by Jensen's inequality. Duan's smearing estimate (1983, JASA 78) corrects that by one factor for each
    model. But regressions err towards the mean: low usage is predicted too high and high usage too low, and a router
    sends an expensive model just the prompts on which its predicted cost is low. So the correction depends on the range
    of predicted usage: it makes the mean of held-out predictions equal the observed mean in each of ten ranges, as far
    as the observed means rise from range to range, and over all of them.

    Attributes
    ----------
    unit_ : (M,) usage that counts as 1 before the log.
    bends_ : for each model (2, K), ascending predicted logs and the corrections added to them; linear in between,
        constant beyond the ends. Empty until `correct` is called.
    factor_ : (M,) correction of 1 + usage/unit over all ranges; 1 until `correct` is called. 0 for a model that uses
        nothing, such as a free one where only dollars are recorded: its usage is 0 whatever is predicted.
    bias_ : (M,) mean of the uncorrected held-out predictions ÷ observed mean - 1, as a share.
    """

    bends_: tuple[FloatArray, ...] = ()  # for a scale saved without it

    def fit(self, usage: FloatArray) -> UsageScale:
        """Learn the unit of each model from (n, M) usage, at least 0; NaN = not observed."""
        if (usage < 0).any():
            raise ValueError("usage must be at least 0: tokens or dollars.")
        mean = observed_mean(usage)[0]
        self.unit_ = np.where(mean > 0.0, _UNIT * mean, 1.0)
        self.factor_ = np.where(mean == 0.0, 0.0, 1.0)
        return self

    def logs(self, usage: FloatArray) -> FloatArray:
        """(n, M) log1p of usage in units of each model."""
        logs: FloatArray = np.log1p(usage / self.unit_)
        return logs

    def correct(self, logs: FloatArray, usage: FloatArray) -> UsageScale:
        """Correct the bias, given held-out (n, M) predicted logs and the observed usage."""
        logs = np.where(np.isnan(usage), np.nan, logs)
        use = np.where(np.isnan(logs), np.nan, 1.0 + usage / self.unit_)
        predicted, observed = observed_mean(np.exp(logs))[0], observed_mean(use)[0]
        used = np.nan_to_num(observed - 1.0)
        self.bias_ = np.divide(predicted - observed, used, out=np.zeros(len(used)), where=used > 0.0)
        self.bends_ = tuple(
            _bend(*cells[:, ~np.isnan(cells).any(axis=0)]) for cells in np.stack([logs, use]).T.swapaxes(1, 2)
        )
        bent = observed_mean(np.exp(self._bent(logs)))[0]
        self.factor_ = np.where(np.isnan(observed) | (self.factor_ == 0.0), self.factor_, observed / bent)
        return self

    def usage(self, logs: FloatArray) -> FloatArray:
        """(n, M) usage, at least 0, of predicted logs."""
        usage: FloatArray = np.maximum(np.exp(self._bent(logs)) * self.factor_ - 1.0, 0.0) * self.unit_
        return usage

    def _bent(self, logs: FloatArray) -> FloatArray:
        bent = logs.copy()
        for column, bend in zip(bent.T, self.bends_, strict=False):
            column += np.interp(column, *bend)
        return bent


def _bend(logs: FloatArray, use: FloatArray) -> FloatArray:
    """(2, K) predicted logs and the corrections added to them, from k held-out cells; no correction if k is 0."""
    from sklearn.isotonic import isotonic_regression  # slow to import, and not needed to predict

    order = np.argsort(logs, kind="stable")
    ranges = np.array_split(order, int(np.clip(len(order) // _LEAST_CELLS, 1, _RANGES)))
    predicted, observed = (
        np.array([table[part].mean() if len(part) else 1.0 for part in ranges]) for table in (np.exp(logs), use)
    )
    at = np.log(predicted)
    bend: FloatArray = np.stack([at, np.log(isotonic_regression(observed)) - at])
    return bend
