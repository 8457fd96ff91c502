"""The inferred task: scikit-learn's probabilities, means of tasks, and nothing seen that is left out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from carrot_core.routers.blend import TaskPrior, left_out


def data(n=300, tasks=3, seed=0):
    rng = np.random.default_rng(seed)
    task = rng.integers(0, tasks, n)
    X = np.eye(4)[task] + 0.3 * rng.normal(size=(n, 4))
    score = (rng.random((n, 2)) < np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.5, 0.5]])[task]).astype(float)
    return X, task, score


@pytest.mark.parametrize("tasks", [2, 3])
def test_probabilities_are_those_of_scikit_learn(tasks):
    X, task, score = data(tasks=tasks)
    expected = LogisticRegression(C=10.0, max_iter=30).fit(X, task).predict_proba(X)
    np.testing.assert_allclose(TaskPrior().fit(X, task, score).probabilities(X), expected, atol=1e-6)


def test_means_are_of_the_observed_cells_of_each_task():
    X, task, score = data()
    score[::3, 0] = np.nan
    score[task == 2, 1] = np.nan
    prior = TaskPrior().fit(X, task, score)
    for number in range(3):
        assert prior.means_[number, 0] == pytest.approx(np.nanmean(score[task == number, 0]))
    assert prior.means_[2, 1] == pytest.approx(np.nanmean(score[:, 1]))  # never observed there


def test_a_task_without_prompts_and_a_single_task():
    X, task, score = data()
    only = task == 2
    prior = TaskPrior().fit(X[only], task[only], score[only])
    np.testing.assert_allclose(prior.probabilities(X), np.tile([0.0, 0.0, 1.0], (len(X), 1)))
    np.testing.assert_allclose(prior.probabilities(X) @ prior.means_, np.tile(score[only].mean(axis=0), (len(X), 1)))


def test_left_out_estimates_do_not_depend_on_the_outcome_of_the_prompt():
    X, task, score = data(n=60)
    probabilities, estimate = left_out(X, task, score, 5, 0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities.argmax(axis=1) == task).mean() > 0.9
    changed = score.copy()
    changed[7] = 1 - changed[7]
    np.testing.assert_array_equal(left_out(X, task, changed, 5, 0)[1][7], estimate[7])
