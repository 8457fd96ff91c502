"""Logistic regression of many models at once, on scores from 0 to 1 and where not every model ran on every prompt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from carrot_core.routers.neighbours import FloatArray

_FOLDS = 5


def left_out(X: FloatArray, table: FloatArray, penalties: FloatArray) -> FloatArray:
    """(A, n, T) log-odds of each cell by a regression that has not seen its fold, for A penalties.

    Unobserved cells are NaN, and so are those of a column with fewer observed ones than folds.
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


def coefficients(X: FloatArray, table: FloatArray, penalties: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights (d, T) and intercepts (T,) of the log-odds of each column with its own penalty, (T,)."""
    weights, intercept = np.zeros((X.shape[1], table.shape[1])), np.zeros(table.shape[1])
    for column, score in enumerate(table.T):
        seen = ~np.isnan(score)
        ((weights[:, column], intercept[column]),) = _fits(X[seen], score[seen], penalties[[column]])
    return weights, intercept


def _fits(X: FloatArray, score: FloatArray, penalties: FloatArray) -> Iterator[tuple[FloatArray, float]]:
    """Weights and intercept for each penalty; a score of s counts as s of a right answer and 1 - s of a wrong one."""
    right, wrong = score > 0, score < 1
    if not right.any() or not wrong.any():  # nothing to tell apart: as if one more answer had been half right
        yield from [(np.zeros(X.shape[1]), float(logit((score.sum() + 0.5) / (len(score) + 1))))] * len(penalties)
        return
    answers = np.concatenate([np.ones(right.sum()), np.zeros(wrong.sum())])
    counts = np.concatenate([score[right], 1 - score[wrong]])
    prompts = np.concatenate([X[right], X[wrong]])
    regression = LogisticRegression(max_iter=1000, warm_start=True)  # from one penalty's weights to the next's
    for penalty in penalties:
        fitted = regression.set_params(C=1 / penalty).fit(prompts, answers, counts)
        yield fitted.coef_[0].copy(), float(fitted.intercept_[0])
