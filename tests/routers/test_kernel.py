"""Kernel ridge by landmarks: with every prompt a landmark it is scikit-learn's."""

from __future__ import annotations

import numpy as np
from sklearn.kernel_ridge import KernelRidge as Reference
from sklearn.linear_model import Ridge

from carrot_core.routers.blend import KernelRidge


def data(n=80, d=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float16).astype(float)  # as landmarks are kept
    score = (rng.random((n, 3)) < 0.5 + 0.4 * np.sign(X[:, :3])).astype(float)
    return X, score, 100 * np.exp(X[:, :3])


def fitted(X, score, usage=None, tasks=None, n=500):
    kernel, tasks = KernelRidge(), np.empty((len(X), 0)) if tasks is None else tasks
    return kernel, kernel.fit_left_out(X, tasks, score, usage, n_landmarks=n, seed=0)


def test_all_landmarks_give_the_exact_kernel_ridge():
    X, score, _ = data()
    kernel, _ = fitted(X, score)
    penalty = kernel.linear_.penalty_[0]
    new = data(seed=1)[0]
    # An intercept beside an RBF kernel: the ridge on its exact features, by the centred kernel.
    values, directions = np.linalg.eigh(np.exp(-2.0 * ((X[:, None] - X[None]) ** 2).sum(axis=2)))
    mask = values > 1e-8 * values[-1]
    whiten = directions[:, mask] / np.sqrt(values[mask])
    features = [np.exp(-2.0 * ((Z[:, None] - X[None]) ** 2).sum(axis=2)) @ whiten for Z in (X, new)]
    expected = Ridge(penalty).fit(features[0], score).predict(features[1])
    result, usage = kernel.estimate(new, np.empty((80, 0)))
    assert usage is None
    np.testing.assert_allclose(result, expected, atol=1e-7)
    centred = score - score.mean(axis=0)
    plain = Reference(alpha=penalty, kernel="rbf", gamma=2.0).fit(X, centred).predict(new) + score.mean(axis=0)
    assert np.abs(result - plain).max() < 0.1  # the intercept aside, scikit-learn's own


def test_task_probabilities_stand_beside_the_similarities():
    X, score, _ = data()
    tasks = np.eye(2)[(score[:, 0] > 0).astype(int)]
    kernel, _ = fitted(X, score, tasks=tasks, n=20)
    same = np.repeat(X[:1], 2, axis=0)
    result, _ = kernel.estimate(same, np.eye(2))
    assert result[1, 0] - result[0, 0] > 0.3
    assert kernel.landmarks_.shape == (20, 5)


def test_left_out_estimates_and_usage():
    X, score, usage = data(n=200)
    kernel, (left_out, left_out_usage) = fitted(X, score, usage, n=60)
    inside, inside_usage = kernel.estimate(X, np.empty((200, 0)))
    assert ((score - left_out) ** 2).mean() > ((score - inside) ** 2).mean()
    np.testing.assert_allclose(left_out_usage.mean(axis=0), usage.mean(axis=0), rtol=1e-6)
    assert np.corrcoef(inside_usage[:, 0], usage[:, 0])[0, 1] > 0.9
