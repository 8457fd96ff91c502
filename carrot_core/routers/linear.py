"""CARROT-linear: scores, or their log-odds, and log usage of a prompt are linear in its vector."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import expit
from sklearn.utils._param_validation import StrOptions

from carrot_core.routers.contrasts import contrast_loss
from carrot_core.routers.logistic import coefficients as logistic_coefficients
from carrot_core.routers.logistic import left_out as logistic_left_out
from carrot_core.routers.neighbours import FloatArray, IntArray
from carrot_core.routers.ridge import PENALTIES, checked_penalties, coefficients, least_error, leave_one_out
from carrot_core.routers.tables import ScoreAndUsage, TableRegressor
from carrot_core.routers.usage_scale import UsageScale


class CarrotLinear(TableRegressor):
    """Ridge or logistic estimates of every model's score, and ridge estimates of its usage, on a prompt.

    Penalties are chosen by predictions of training prompts that the fit has not seen: one left out at a
    time for ridge regression, which has them in closed form, a fifth at a time for logistic regression.
    Usage is fitted on a log scale, one penalty a model, and brought back without bias
    (`carrot_core.routers.usage_scale.UsageScale`).

    Parameters
    ----------
    penalties : sequence of float
        Ridge penalties to choose from, for vectors of length 1; greater than 0.
    criterion : {"routing", "r2"}
        What the penalty of the scores is chosen by.

        - "routing": one penalty for all models, with the least squared error of the left-out
          **contrasts** between models (a score less the mean of the observed scores on that prompt).
          It shrinks what models differ by toward the train means as far as prompts not seen ask for, so
          that the argmax is not won by noise. With a single model there are no contrasts, and it is
          the error of its scores.
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
        Between usage and its logs; ``bias_`` is what was corrected. Only after a fit with usage.
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

    def learn(self, X: FloatArray, score: FloatArray, usage: FloatArray | None) -> ScoreAndUsage:
        self._has_usage = usage is not None
        penalties = checked_penalties(self.penalties)
        logistic = self.link == "logistic"
        if logistic and (np.nanmin(score) < 0 or np.nanmax(score) > 1):
            raise ValueError('link="logistic" needs scores from 0 to 1.')
        left_out = expit(logistic_left_out(X, score, penalties)) if logistic else leave_one_out(X, score, penalties)
        if self.criterion == "routing":
            errors = [contrast_loss(score, estimate) for estimate in left_out]
            best = np.full(score.shape[1], np.argmin(errors))
        else:
            best = least_error(score, left_out)
        self.penalty_ = penalties[best]
        fitted = logistic_coefficients if logistic else coefficients
        self.weights_, self.intercept_ = fitted(X, score, self.penalty_)
        left_out_usage = None if usage is None else self._learn_usage(X, usage, penalties)
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
        """Take over the (d', d) linear map by which vectors were made into features before `learn`."""
        self.weights_ = features @ self.weights_
        if self._has_usage:
            self.weights_usage_ = features @ self.weights_usage_


def _chosen(estimates: FloatArray, best: IntArray) -> FloatArray:
    """(n, T) of the (A, n, T) estimates, for each column those of its own choice."""
    chosen: FloatArray = np.take_along_axis(estimates, best[None, None, :], axis=0)[0]
    return chosen
