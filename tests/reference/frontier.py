"""Slow and obvious versions of the exact sweep and of what is read off it."""

from __future__ import annotations

import numpy as np


def choose(est_score, est_cost, rate, names):
    """Model of every prompt by the definition: best utility, then cheapest or most accurate, then by name."""
    chosen = []
    for s, c in zip(est_score, est_cost, strict=True):
        if rate == np.inf:
            key = [(-c[j], s[j]) for j in range(len(s))]
        else:
            key = [(s[j] - rate * c[j], -c[j]) for j in range(len(s))]
        best = max(key)
        chosen.append(min((j for j in range(len(s)) if key[j] == best), key=lambda j: names[j]))
    return np.array(chosen)


def grid(est_score, est_cost, score, cost, unit, lams):
    """Mean observed (score, cost) at each λ by one argmax over the whole table."""
    rows = np.arange(len(score))
    points = []
    for lam in lams:
        picked = ((1 - lam) * est_score - lam * est_cost / unit).argmax(axis=1)
        points.append((score[rows, picked].mean(), cost[rows, picked].mean()))
    return np.array(points)


def hull_value(costs, scores, budget):
    """Best mean score of any random mix of two points whose mean cost is at most ``budget``."""
    best = -np.inf
    for ca, sa in zip(costs, scores, strict=True):
        for cb, sb in zip(costs, scores, strict=True):
            if ca <= budget <= cb:
                share = 0.0 if cb == ca else (budget - ca) / (cb - ca)
                best = max(best, sa + share * (sb - sa), sa)
            elif ca <= budget:
                best = max(best, sa)
    return best
