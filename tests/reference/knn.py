"""Slow and obvious versions of the nearest-neighbour estimates and of the two criteria for k."""

from __future__ import annotations

import math

import numpy as np
from sklearn.model_selection import KFold


def nearest(train, query, k):
    """Training rows by cosine similarity, equal ones by row; a zero vector is at 0 from everything."""
    similarity = [cosine(row, query) for row in train]
    return sorted(range(len(train)), key=lambda i: (-similarity[i], i))[:k]


def cosine(a, b):
    lengths = norm(a), norm(b)
    if 0.0 in lengths:
        return 0.0
    return sum((x / lengths[0]) * (y / lengths[1]) for x, y in zip(a, b, strict=True))


def norm(a):
    return math.sqrt(sum(x * x for x in a))


def estimate(train, table, queries, k):
    """Mean of the observed cells among the k nearest; the train mean of the model where there are none."""
    out = []
    for query in queries:
        rows = nearest(train, query, k)
        row = []
        for model in range(table.shape[1]):
            observations = [table[i, model] for i in rows if not math.isnan(table[i, model])]
            row.append(np.mean(observations) if observations else np.nanmean(table[:, model]))
        out.append(row)
    return np.array(out)


def r2(truth, guess, train_mean):
    """R² of each model over its observed cells, averaged over models."""
    per_model = []
    for model in range(truth.shape[1]):
        observations = ~np.isnan(truth[:, model])
        y, y_hat = truth[observations, model], guess[observations, model]
        per_model.append(1.0 - np.sum((y - y_hat) ** 2) / np.sum((y - y.mean()) ** 2))
    return np.mean(per_model)


def routing(truth, guess, train_mean):
    """R² of the contrasts between models against those of the train means, pooled."""
    missed, spread = 0.0, 0.0
    for i in range(len(truth)):
        observed = [m for m in range(truth.shape[1]) if not math.isnan(truth[i, m])]
        for m in observed:
            real = truth[i, m] - np.mean([truth[i, other] for other in observed])
            expected = guess[i, m] - np.mean([guess[i, other] for other in observed])
            constant = train_mean[m] - np.mean([train_mean[other] for other in observed])
            missed += (real - expected) ** 2
            spread += (real - constant) ** 2
    return 1.0 - missed / spread


def cross_validate(X, table, ks, criterion, n_folds=5, seed=0):
    """Mean of the criterion over folds, for each k."""
    means = []
    for k in ks:
        folds = []
        for train, test in KFold(n_folds, shuffle=True, random_state=seed).split(X):
            guess = estimate(X[train], table[train], X[test], k)
            folds.append(criterion(table[test], guess, np.nanmean(table[train], axis=0)))
        means.append(np.mean(folds))
    return means
