"""The pair's factorisation against its factors, learned one by one, and against cross-validation by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from carrot_core.errors import CarrotError
from carrot_core.routers.pairs import PairFactorisation


def data(n: int = 240, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    return X, rng.random(n) < 1 / (1 + np.exp(-(X @ np.arange(d) / 2 + 0.7)))


def strength_gap(x: np.ndarray, X: np.ndarray, k: int) -> np.ndarray:
    """δ(small, x) - δ(large, x), literally: w · (v * (W x + b)) for both models."""
    d = X.shape[1]
    W, (b, w, large, small) = x[: k * d].reshape(k, d), x[k * d :].reshape(4, k)
    inner = X @ W.T + b
    return (inner * small) @ w - (inner * large) @ w


@pytest.mark.parametrize("k", [1, 3])
def test_learning_the_factors_ends_at_the_same_probabilities(k):
    X, y = data()
    sign = np.where(y, -1.0, 1.0)

    def loss(x: np.ndarray) -> float:
        return float(np.logaddexp(0, sign * strength_gap(x, X, k)).mean())

    start = np.random.default_rng(1).normal(size=k * (X.shape[1] + 4))
    factors = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 10**6, "ftol": 1e-13}).x
    fitted = PairFactorisation(penalties=[1e-9]).fit(X, y)
    expected = 1 / (1 + np.exp(-strength_gap(factors, X, k)))
    np.testing.assert_allclose(fitted.predict_proba(X)[:, 1], expected, atol=2e-3)


def test_the_penalty_is_the_best_of_cross_validation():
    X, y = data()
    X = np.hstack([X, np.random.default_rng(2).normal(size=(len(X), 40))])  # noise that a penalty should shrink
    penalties = (0.01, 1.0, 30.0, 1000.0)
    losses = []
    for penalty in penalties:
        folds = []
        for train, test in StratifiedKFold(5, shuffle=True, random_state=3).split(X, y):
            share = LogisticRegression(C=1 / penalty, max_iter=1000).fit(X[train], y[train]).predict_proba(X[test])
            folds.append(-np.log(share[np.arange(len(test)), y[test].astype(int)]).mean())
        losses.append(np.mean(folds))
    assert 0 < np.argmin(losses) < 3
    assert PairFactorisation(penalties, seed=3).fit(X, y).penalty_ == penalties[int(np.argmin(losses))]


def test_probabilities_of_both_labels_add_up_and_match_the_base_rate():
    X, y = data()
    share = PairFactorisation(penalties=[1.0]).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert share[:, 1].mean() == pytest.approx(y.mean(), abs=1e-3)


def test_a_rare_label_takes_fewer_folds_and_a_single_one_the_largest_penalty():
    X, _ = data(30)
    assert PairFactorisation().fit(X, np.arange(30) < 2).penalty_ > 0
    assert PairFactorisation().fit(X, np.arange(30) < 1).penalty_ == pytest.approx(1e4)


@pytest.mark.parametrize("wrong", [{"penalties": []}, {"penalties": [1.0, -1.0]}, {"n_folds": 1}])
def test_parameters_that_make_no_sense_are_refused(wrong):
    with pytest.raises(CarrotError, match="penalties above 0 and at least 2 folds"):
        PairFactorisation(**wrong)
