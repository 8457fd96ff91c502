"""CARROT-linear: scores, or their log-odds, and log usage of a prompt are linear in its vector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.utils import check_array
from sklearn.utils._param_validation import StrOptions

from carrot_core.outcomes import SCORE_RANGE, beyond
from carrot_core.routers.criteria import Costs, UsageScale, contrast_loss, left_out_aiq
from carrot_core.routers.neighbours import FloatArray, IntArray
from carrot_core.routers.regressor import ScoreAndUsage, TableRegressor

# For vectors of length 1: from almost no shrinkage to the mean alone.
PENALTIES = tuple(float(penalty) for penalty in 10.0 ** np.arange(-2.0, 4.01, 0.5))


def check_penalties(penalties: npt.ArrayLike) -> FloatArray:
    """The distinct penalties, strongest first so that it wins a tie; all must be greater than 0."""
    candidates: FloatArray = np.unique(
        check_array(penalties, ensure_2d=False, dtype=np.float64, input_name="penalties")
    )
    if candidates[0] <= 0:
        raise ValueError(f"penalties must be greater than 0, got {candidates[0]:g}.")
    return candidates[::-1]


def least_error(table: FloatArray, estimates: FloatArray) -> IntArray:
    """(T,) index along A of the (A, n, T) estimates with the least squared error in each column."""
    best: IntArray = np.nansum((table - estimates) ** 2, axis=1).argmin(axis=0)
    return best


def leave_one_out(X: FloatArray, table: FloatArray, penalties: FloatArray) -> FloatArray:
    """(A, n, T) estimate of each cell by a ridge that has not seen its row, for A penalties.

    Unobserved cells are NaN, and so are columns with fewer than three observed cells. Equals scikit-learn's `RidgeCV`,
    which returns the predictions of every penalty only with a slow decomposition of X.
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
    patterns, group = np.unique(~np.isnan(table), axis=1, return_inverse=True)
    for number, mask in enumerate(patterns.T):
        yield np.flatnonzero(mask), np.flatnonzero(group == number)


_FOLDS = 5


def logistic_left_out(X: FloatArray, table: FloatArray, penalties: FloatArray) -> FloatArray:
    """(A, n, T) log-odds of each cell by a regression that has not seen its fold, for A penalties.

    Unobserved cells are NaN, and so are columns with fewer observed cells than folds.
    """
    estimates = np.full((len(penalties), *table.shape), np.nan)
    for column, score in enumerate(table.T):
        rows = np.flatnonzero(~np.isnan(score))
        if len(rows) < _FOLDS:
            continue
        for train, test in KFold(_FOLDS, shuffle=True, random_state=0).split(rows):
            fits = _fits(X[rows[train]], score[rows[train]], penalties)
            for estimate, (weights, intercept) in zip(estimates, fits, strict=True):
                estimate[rows[test], column] = X[rows[test]] @ weights + intercept
    return estimates


def logistic_coefficients(X: FloatArray, table: FloatArray, penalties: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights (d, T) and intercepts (T,) of the log-odds of each column with its own penalty, (T,)."""
    weights, intercept = np.zeros((X.shape[1], table.shape[1])), np.zeros(table.shape[1])
    for column, score in enumerate(table.T):
        mask = ~np.isnan(score)
        ((weights[:, column], intercept[column]),) = _fits(X[mask], score[mask], penalties[[column]])
    return weights, intercept


def _fits(X: FloatArray, score: FloatArray, penalties: FloatArray) -> Iterator[tuple[FloatArray, float]]:
    """Weights and intercept for each penalty; a score of s counts as s of a right answer and 1 - s of a wrong one."""
    right, wrong = score > 0, score < 1
    if not right.any() or not wrong.any():  # all scores are equal: count one more answer that is half right
        yield from [(np.zeros(X.shape[1]), float(logit((score.sum() + 0.5) / (len(score) + 1))))] * len(penalties)
        return
    answers = np.concatenate([np.ones(right.sum()), np.zeros(wrong.sum())])
    counts = np.concatenate([score[right], 1 - score[wrong]])
    prompts = np.concatenate([X[right], X[wrong]])
    regression = LogisticRegression(max_iter=1000, warm_start=True)  # start from the previous penalty's weights
    for penalty in penalties:
        fitted = regression.set_params(C=1 / penalty).fit(prompts, answers, counts)
        yield fitted.coef_[0].copy(), float(fitted.intercept_[0])


class CarrotLinear(TableRegressor):
    """Ridge or logistic estimates of every model's score, and ridge estimates of its usage, on a prompt.

    Penalties are chosen by predictions of training prompts that the fit has not seen: one left out at a
    time for ridge regression, which has them in closed form, a fifth at a time for logistic regression.
    Usage is fitted on a log scale, one penalty a model, and brought back without bias
    (`carrot_core.routers.criteria.UsageScale`).

    Parameters
    ----------
    penalties : sequence of float
        Ridge penalties to choose from, for vectors of length 1; greater than 0.
    criterion : {"routing", "r2"}
        Criterion by which the penalty of the scores is chosen.

        - "routing": one penalty for all models, with the least squared error of the left-out
          **contrasts** between models (a score less the mean of the observed scores on that prompt).
          It shrinks differences between models toward the train means as far as left-out prompts require, so that noise
          does not decide the argmax. With a single model there are no contrasts, and it is the error of its scores. A
          fit that knows the prompts' costs takes the next stronger penalty if its left-out estimates have the better
          AIQ (`left_out_aiq`). Choosing among all penalties by AIQ is worse on a few hundred prompts, where AIQ is
          mostly noise and contrasts are not.
        - "r2": a penalty for each model, with the best R² of its own left-out scores.
    link : {"identity", "logistic"}
        "identity" fits the scores by ridge regression, "logistic" their log-odds by logistic regression,
        which stays within [0, 1] and takes about a minute on thousands of prompts.

    Attributes
    ----------
    penalty_ : (M,) chosen penalty of the scores.
    weights_, intercept_ : (d, M), (M,) scores of a vector x of length 1 (with the logistic link, their
        log-odds) are x @ weights_ + intercept_.
    penalty_usage_, weights_usage_, intercept_usage_ : the same of log usage; only after a fit with usage.
    usage_scale_ : UsageScale
        Between usage and its logs; ``bias_`` is the bias before correction. Only after a fit with usage.
    n_features_in_ : int
        Width d of the vectors.
    feature_names_in_ : (d,) array of str
        Column names of X; only where X has them.

    Notes
    -----
    NaN cells of y and usage are "not observed": a model is fitted on the prompts it has. Columns with the
    same prompts share one decomposition, so complete tables cost one regression.

    References
    ----------
    CARROT: A Cost Aware Rate Optimal Router, arXiv 2502.03261 (plug-in estimates; the criterion is ours).

    Examples
    --------
    >>> import numpy as np
    >>> from carrot_core.routers.linear import CarrotLinear
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 4))
    >>> score = np.column_stack([X[:, 0] > 0, X[:, 0] < 0]).astype(float)
    >>> linear = CarrotLinear().fit(X, score, usage=100.0 + 50.0 * np.abs(X[:, :2]))
    >>> linear.predict([[1.0, 0.0, 0.0, 0.0]]).argmax(axis=1)
    array([0])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "penalties": ["array-like"],
        "criterion": [StrOptions({"routing", "r2"})],
        "link": [StrOptions({"identity", "logistic"})],
    }

    def __init__(
        self, penalties: tuple[float, ...] = PENALTIES, criterion: str = "routing", link: str = "identity"
    ) -> None:
        self.penalties = penalties
        self.criterion = criterion
        self.link = link

    def learn(
        self, X: FloatArray, score: FloatArray, usage: FloatArray | None, costs: Costs | None = None
    ) -> ScoreAndUsage:
        self._has_usage = usage is not None
        penalties = check_penalties(self.penalties)
        logistic = self.link == "logistic"
        if logistic and beyond(score, SCORE_RANGE).any():
            raise ValueError('link="logistic" needs scores from 0 to 1.')
        left_out = expit(logistic_left_out(X, score, penalties)) if logistic else leave_one_out(X, score, penalties)
        left_out_usage = None if usage is None else self._learn_usage(X, usage, penalties)
        if self.criterion == "routing":
            least = int(np.argmin([contrast_loss(score, estimate) for estimate in left_out]))
            if least > 0 and costs is not None:
                stronger, own = (
                    left_out_aiq(score, left_out[place], left_out_usage, costs) for place in (least - 1, least)
                )
                least -= int(stronger > own)
            best = np.full(score.shape[1], least)
        else:
            best = least_error(score, left_out)
        self.penalty_ = penalties[best]
        fitted = logistic_coefficients if logistic else coefficients
        self.weights_, self.intercept_ = fitted(X, score, self.penalty_)
        return _chosen(left_out, best), left_out_usage

    def _learn_usage(self, X: FloatArray, usage: FloatArray, penalties: FloatArray) -> FloatArray:
        self.usage_scale_ = UsageScale().fit(usage)
        logs = self.usage_scale_.logs(usage)
        left_out = leave_one_out(X, logs, penalties)
        best = least_error(logs, left_out)
        self.penalty_usage_ = penalties[best]
        self.weights_usage_, self.intercept_usage_ = coefficients(X, logs, self.penalty_usage_)
        left_out_logs = _chosen(left_out, best)
        return self.usage_scale_.correct(left_out_logs, usage).usage(left_out_logs)

    def estimate(self, X: FloatArray) -> ScoreAndUsage:
        score = X @ self.weights_ + self.intercept_
        if self.link == "logistic":
            score = expit(score)
        if not self._has_usage:
            return score, None
        return score, self.usage_scale_.usage(X @ self.weights_usage_ + self.intercept_usage_)

    def fold(self, features: FloatArray) -> None:
        """Fold the (d', d) linear map from vectors to features, applied before `learn`, into the weights."""
        self.weights_ = features @ self.weights_
        if self._has_usage:
            self.weights_usage_ = features @ self.weights_usage_


def _chosen(estimates: FloatArray, best: IntArray) -> FloatArray:
    """(n, T) of the (A, n, T) estimates: for each column those with index ``best``."""
    chosen: FloatArray = np.take_along_axis(estimates, best[None, None, :], axis=0)[0]
    return chosen
