"""Which task a prompt belongs to, inferred from its vector: no task label is read at decision time."""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from carrot_core.routers.criteria import observed_mean
from carrot_core.routers.neighbours import FloatArray, IntArray

# Weak enough a penalty to be sure of a plain case; few steps, since late ones only sharpen what is sure.
_C, _STEPS = 10.0, 30


class TaskPrior:
    """Multinomial logistic regression from vectors to the training tasks, and what each task's models score.

    Attributes
    ----------
    weights_, intercept_ : (d, K), (K,) float32
        Log-probabilities up to a constant are x @ weights_ + intercept_; -inf for a task without prompts.
    means_ : (K, M)
        Train mean of each model on each task; its mean over all tasks where it was never observed on one.
    """

    def fit(self, X: FloatArray, tasks: IntArray, score: FloatArray) -> Self:
        """Learn from (n, d) vectors, n tasks numbered from 0, and (n, M) scores, NaN = not observed."""
        n_tasks = int(tasks.max()) + 1
        present = np.unique(tasks)
        self.weights_ = np.zeros((X.shape[1], n_tasks), np.float32)
        self.intercept_ = np.full(n_tasks, -np.inf, np.float32)
        self.intercept_[present] = 0.0
        if len(present) > 1:
            learned = present if len(present) > 2 else present[1:]  # of two, one is the other's complement
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
                model = LogisticRegression(C=_C, max_iter=_STEPS).fit(X, tasks)
            self.weights_[:, learned], self.intercept_[learned] = model.coef_.T, model.intercept_
        overall = observed_mean(score)
        self.means_ = np.tile(np.nan_to_num(overall), (n_tasks, 1))
        for task in present:
            mean = observed_mean(score[tasks == task])[0]
            self.means_[task] = np.where(np.isnan(mean), self.means_[task], mean)
        return self

    def probabilities(self, X: FloatArray) -> FloatArray:
        """(m, K) probability of each task."""
        probabilities: FloatArray = softmax(X @ self.weights_.astype(np.float64) + self.intercept_, axis=1)
        return probabilities


def left_out(X: FloatArray, tasks: IntArray, score: FloatArray, folds: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Task probabilities (n, K) and the scores they imply (n, M), by fits that have not seen the prompt."""
    probabilities, estimate = np.zeros((len(X), int(tasks.max()) + 1)), np.empty(score.shape)
    for train, held_out in KFold(min(folds, len(X)), shuffle=True, random_state=seed).split(X):
        prior = TaskPrior().fit(X[train], tasks[train], score[train])
        found = prior.probabilities(X[held_out])
        probabilities[held_out, : found.shape[1]] = found
        estimate[held_out] = found @ prior.means_
    return probabilities, estimate
