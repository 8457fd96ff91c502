"""Metrics of a cost-accuracy curve, one definition each (``docs/method.md``, "Metrics").

All work on the common cost interval [cheapest, dearest single model of the pool], so that curves of
different routers on the same prompts are comparable. Costs are mean US dollars per query, scores are
means in [0, 1]. Every function takes one curve; `carrot_core.uncertainty` feeds it bootstrap replicates.
"""

from __future__ import annotations

import numpy as np

from carrot_core.frontier import FloatArray, upper_hull


def aiq(cost_usd: FloatArray, score: FloatArray, cheapest_usd: float, dearest_usd: float) -> float:
    """Average improvement in quality: area under the non-decreasing convex hull over the interval ÷ its width.

    RouterBench (arXiv 2403.12031), on the pool's common interval instead of each hull's own. Left of the
    cheapest point of the curve the value is 0, since the router cannot serve that budget; right of its
    best point it stays at the peak. With one model, or all at one cost, it is the best affordable score.
    """
    hull = upper_hull(cost_usd, score)
    x, y = cost_usd[hull], score[hull]
    if dearest_usd <= cheapest_usd:
        within = x <= cheapest_usd
        return float(y[within][-1]) if within.any() else 0.0
    first = max(x[0], cheapest_usd)
    if first >= dearest_usd:
        return 0.0
    knots = np.concatenate([[first], x[(x > first) & (x < dearest_usd)], [dearest_usd]])
    return float(np.trapezoid(np.interp(knots, x, y), knots) / (dearest_usd - cheapest_usd))


def audc(cost_usd: FloatArray, score: FloatArray, cheapest_usd: float, dearest_usd: float) -> float:
    """Area under the deferral curve: as `aiq`, but under the curve itself, without mixing points at random.

    At each budget the value is the best score on the curve that costs no more (UniRoute,
    arXiv 2502.08773, uses the same area; R2-Router rescales each curve by its own range).
    """
    order = np.argsort(cost_usd, kind="stable")
    x, y = cost_usd[order], np.maximum.accumulate(score[order])
    if dearest_usd <= cheapest_usd:
        within = x <= cheapest_usd
        return float(y[within][-1]) if within.any() else 0.0
    edges = np.concatenate([[cheapest_usd], np.clip(x, cheapest_usd, dearest_usd), [dearest_usd]])
    steps = np.concatenate([[0.0], y])
    return float(np.diff(edges) @ steps / (dearest_usd - cheapest_usd))


def qnc(cost_usd: FloatArray, score: FloatArray, target_score: float, target_cost_usd: float) -> float:
    """Query-normalised cost: least cost on the curve that reaches a score ÷ the cost of that reference.

    UniRoute (arXiv 2502.08773); the reference is the best single model. NaN if never reached.
    """
    # Curves are running sums: the same choices reached another way may differ in the last bits.
    reached = score >= target_score - 1e-12
    if not reached.any() or target_cost_usd <= 0:
        return float("nan")
    return float(cost_usd[reached].min() / target_cost_usd)
