"""One point of a curve: choose it on one set of prompts, and say with intervals what it does on another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carrot_core.frontier import FloatArray, Frontier, ReadableCurve, lam_of_rate
from carrot_core.uncertainty import Interval, Weights, weighted_means


def rate_inside(frontier: ReadableCurve, point: int) -> float:
    """A rate at which breakpoint ``point`` holds: 0 at the first, infinite at the last, else the middle.

    At the breakpoint itself the way from rate to λ and back could round to the point before.
    """
    rates = frontier.exchange_rate_per_usd
    if point == 0:
        return 0.0
    return float("inf") if point == len(rates) - 1 else float((rates[point] + rates[point + 1]) / 2)


def cheapest_reaching(frontier: ReadableCurve, target_score: float) -> float | None:
    """Exchange rate of the cheapest point of the curve with at least this score; None if there is none."""
    reached = np.flatnonzero(frontier.score >= target_score - 1e-12)
    return _rate_of_first(frontier, reached, -frontier.score, frontier.cost_usd)


def best_within_budget(frontier: ReadableCurve, budget_usd: float) -> float | None:
    """Exchange rate of the most accurate point that costs at most this much a query; None if there is none."""
    within = np.flatnonzero(frontier.cost_usd <= budget_usd + 1e-15)
    return _rate_of_first(frontier, within, frontier.cost_usd, -frontier.score)


def _rate_of_first(
    frontier: ReadableCurve, points: npt.NDArray[np.intp], then: FloatArray, first: FloatArray
) -> float | None:
    """A rate at which that of the points holds which is least in ``first``, among equal ones in ``then``."""
    if not points.size:
        return None
    return rate_inside(frontier, int(points[np.lexsort((then[points], first[points]))[0]]))


@dataclass(frozen=True, eq=False)
class Point:
    """One operating point: a rate chosen on validation, and what it does on the prompts reported on."""

    exchange_rate_per_usd: float
    lam: float
    score: Interval
    cost_usd: Interval
    score_difference: Interval
    saving: Interval


def operating_point(frontier: Frontier, rate: float, reference: str, cost_unit_usd: float, weights: Weights) -> Point:
    """Score and cost at a rate, and the paired difference and saving against one single model.

    ``weights`` are (n, B), as `carrot_core.uncertainty.draws` or `bootstrap_weights` give them.
    """
    rows, chosen = np.arange(frontier.n_prompts), frontier.choices(rate)
    column = frontier.models.index(reference)
    tables = (
        frontier.outcomes.score[rows, chosen],
        frontier.paid_usd[rows, chosen],
        frontier.outcomes.score[:, column],
        frontier.outcomes.cost_usd[:, column],
    )
    score, cost, ref_score, ref_cost = (table.mean() for table in tables)
    b_score, b_cost, b_ref_score, b_ref_cost = weighted_means(np.column_stack(tables), weights).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return Point(
            rate,
            float(lam_of_rate(rate, cost_unit_usd)),
            Interval.of(float(score), b_score),
            Interval.of(float(cost), b_cost),
            Interval.of(float(score - ref_score), b_score - b_ref_score),
            Interval.of(float(1 - cost / ref_cost), 1 - b_cost / b_ref_cost),
        )
