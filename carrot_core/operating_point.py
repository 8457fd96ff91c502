"""One point of a curve: choose it on one set of prompts, and say with intervals what it does on another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isclose

import numpy as np
import numpy.typing as npt

from carrot_core.bootstrap import Interval, Weights, weighted_means, weights_on
from carrot_core.curve import SavedCurve
from carrot_core.frontier import FloatArray, Frontier, ReadableCurve, lam_of_rate
from carrot_core.metrics import cost_per_solved, share_saved
from carrot_core.number_formats import CostBasis, apart, cost_basis, money, percent
from carrot_core.promise import (
    EVEN,
    Bounds,
    Promise,
    confidence_text,
    cost_bounds,
    lead_bounds,
    score_bounds,
    solved_bounds,
)
from carrot_core.switches import upper_hull


def rate_inside(frontier: ReadableCurve, point: int) -> float:
    """A rate at which breakpoint ``point`` holds: 0 at the first, infinite at the last, else the middle.

    At the breakpoint itself, converting the rate to λ and back could round to the point before.
    """
    rates = frontier.exchange_rate_per_usd
    if point == 0:
        return 0.0
    return float("inf") if point == len(rates) - 1 else float((rates[point] + rates[point + 1]) / 2)


def same_rate(one: float, other: float) -> bool:
    """Whether two exchange rates are equal up to rounding of λ and the last digits in which two fits differ."""
    return one == other or isclose(one, other, rel_tol=1e-4)


def cheapest_reaching(frontier: ReadableCurve, target_score: float, least: FloatArray | None = None) -> float | None:
    """Exchange rate of the cheapest point of the curve with at least this score; None if there is none.

    ``least`` (K,) are the scores that the points promise, used in place of their means if given.
    """
    least = frontier.score if least is None else least
    return _rate_of_first(frontier, np.flatnonzero(least >= target_score - 1e-12), -least, frontier.cost_usd)


def best_within_budget(frontier: ReadableCurve, budget_usd: float, most: FloatArray | None = None) -> float | None:
    """Exchange rate of the most accurate point that costs at most this much a query; None if there is none.

    ``most`` (K,) are the costs that the points promise not to exceed, used in place of their means if given.
    """
    most = frontier.cost_usd if most is None else most
    return _rate_of_first(frontier, np.flatnonzero(most <= budget_usd + 1e-15), most, -frontier.score)


def _rate_of_first(
    frontier: ReadableCurve, points: npt.NDArray[np.intp], then: FloatArray, first: FloatArray
) -> float | None:
    """A rate at which the point with the least ``first`` holds; ties go to the least ``then``."""
    if not points.size:
        return None
    least = points[first[points] == first[points].min()]
    return rate_inside(frontier, int(least[then[least].argmin()]))


@dataclass(frozen=True)
class Solution:
    """The rate that solves a goal.

    Attributes
    ----------
    exchange_rate_per_usd : of the point, or of the one nearest to the goal.
    shortfall : why the goal is not reached, or cannot be promised, in words; empty if it is.
    promise : what the point promises; None if the goal is not a mean (a cap, or the rate itself).
    budget_usd : the budget that no point fits; None otherwise.
    """

    exchange_rate_per_usd: float
    shortfall: str = ""
    promise: Promise | None = None
    budget_usd: float | None = field(default=None, compare=False)

    @property
    def reached(self) -> bool:
        """Whether the goal is reached, with the confidence asked for."""
        return not self.shortfall

    def on(self, basis: CostBasis) -> Solution:
        """The same with its shortfall in the dollars of a page."""
        if self.budget_usd is None or self.promise is None:
            return self
        return replace(self, shortfall=_over_budget(self.budget_usd, self.promise, basis))


def solve_budget(
    frontier: ReadableCurve, budget_usd: float, confidence: float = EVEN, error: FloatArray | None = None
) -> Solution:
    """The most accurate point within a mean cost per query; if there is none, the one that promises the least cost.

    ``confidence`` and ``error`` are those of `solve_per_solved`, of the mean cost.
    """
    return _within(frontier, budget_usd, cost_bounds(frontier, confidence, error))


def solve_per_solved(
    frontier: ReadableCurve,
    budget_usd: float | None = None,
    confidence: float = EVEN,
    error: FloatArray | None = None,
) -> Solution:
    """The most accurate point within a cost per solved task; without a budget, or where no point is within it, the one
    that promises the least.

    Parameters
    ----------
    budget_usd : most mean cost ÷ mean score, US dollars.
    confidence : probability with which new prompts cost no more per solved task.
    error : (K,) standard errors of the ratio, in place of the curve's own (`carrot_core.promise.solved_error`).
    """
    bounds = solved_bounds(frontier, confidence, error)
    least = float(bounds.bound.min())
    if np.isfinite(least):
        return _within(frontier, least if budget_usd is None else budget_usd, bounds)
    least_mean = float(bounds.mean.min())
    nearest = _within(frontier, least_mean, replace(bounds, bound=bounds.mean))
    assert nearest.promise is not None
    few = "no cost per solved task can be promised from so few prompts"
    shortfall = "no point solves any task" if np.isinf(least_mean) else few
    return replace(nearest, shortfall=shortfall, promise=replace(nearest.promise, bound=least), budget_usd=None)


def _within(frontier: ReadableCurve, budget_usd: float, bounds: Bounds) -> Solution:
    """The most accurate point whose bound is within a budget; if there is none, the one with the least."""
    rate = best_within_budget(frontier, budget_usd, bounds.bound)
    if rate is not None:
        return Solution(rate, promise=bounds.at(frontier.at(rate)))
    least = float(bounds.bound.min())
    cheapest = best_within_budget(frontier, least, bounds.bound)
    assert cheapest is not None
    promise = bounds.at(frontier.at(cheapest))
    return Solution(cheapest, _over_budget(budget_usd, promise, cost_basis(least)), promise, budget_usd)


def _over_budget(budget_usd: float, promise: Promise, basis: CostBasis) -> str:
    """Why no point fits a budget, in words; ``promise`` is that of the point with the least cost."""
    budget, least = apart(lambda usd, digits: money(basis.calls * usd, digits=digits), budget_usd, promise.bound)
    wish = f"{budget} {(basis if promise.of == 'cost_usd' else basis.solved).words}"
    if promise.confidence == EVEN:
        return f"no point fits a budget of {wish}; the least is {least}"
    wish += f" with {confidence_text(promise.confidence)}"
    return f"no point can promise a budget of {wish}; the least that can be promised is {least}"


def solve_target(
    frontier: ReadableCurve, target_score: float, confidence: float = EVEN, error: FloatArray | None = None
) -> Solution:
    """The cheapest point with at least this score; if there is none, the one that promises the most.

    ``confidence`` and ``error`` are those of `solve_per_solved`, of the mean score.
    """
    bounds = score_bounds(frontier, confidence, error)
    rate = cheapest_reaching(frontier, target_score, bounds.bound)
    if rate is not None:
        return Solution(rate, promise=bounds.at(frontier.at(rate)))
    most = float(bounds.bound.max())
    best = cheapest_reaching(frontier, most, bounds.bound)
    target, reached = apart(lambda score, digits: percent(score, digits=digits - 1), target_score, most)
    assert best is not None
    shortfall = f"no point reaches {target}; the most is {reached}"
    if confidence > EVEN:
        shortfall = (
            f"no point can promise {target} with {confidence_text(confidence)}; the most that can be promised is "
            f"{reached}"
        )
    return Solution(best, shortfall, bounds.at(frontier.at(best)))


def match_model(frontier: Frontier, model: str, confidence: float = EVEN, error: FloatArray | None = None) -> Solution:
    """The cheapest point as good as a model alone; if there is none, the one that promises to fall least short.

    Parameters
    ----------
    frontier : on the prompts where points are chosen, those of validation.
    model : of the pool.
    confidence : probability with which the point scores no less than the model on the same new prompts.
    error : (K,) standard errors of the mean difference, in place of the curve's own.

    Raises
    ------
    NotFoundError
        The model is not in the pool.
    """
    bounds = lead_bounds(frontier, model, confidence, error)
    least = min(float(bounds.bound.max()), 0.0)
    rate = cheapest_reaching(frontier, least, bounds.bound)
    assert rate is not None
    promise = bounds.at(frontier.at(rate))
    if least >= -1e-12:
        return Solution(rate, promise=promise)
    if confidence == EVEN:
        return solve_target(frontier, frontier.strength[model])
    shortfall = (
        f"no point can promise to be as good with {confidence_text(confidence)}; the surest may fall "
        f"{percent(-least, unit='points')} short"
    )
    return Solution(rate, shortfall, promise)


def crossings_of_cap(frontier: Frontier, cap_usd: float) -> FloatArray:
    """(n,) rate from which each prompt's choice is expected to cost at most this: 0 if it always is, infinite if every
    model is expected to cost more.

    The expected cost of a prompt's choice only falls as the rate grows, so it crosses the cap at most once.
    """
    estimated, swept = frontier.estimates.cost_usd, frontier.sweep
    before, after = estimated[swept.prompt, swept.source], estimated[swept.prompt, swept.target]
    comes = (before > cap_usd) & (after <= cap_usd)
    crossing = np.zeros(frontier.n_prompts)
    crossing[swept.prompt[comes]] = swept.rate[comes]
    cheapest = estimated[np.arange(frontier.n_prompts), frontier.choices(float("inf"))]
    crossing[cheapest > cap_usd] = np.inf
    return crossing


def solve_cap(frontier: Frontier, cap_usd: float) -> Solution:
    """The least rate from which no prompt's choice is expected to cost more than this."""
    crossing = crossings_of_cap(frontier, cap_usd)
    if frontier.weights is not None:
        crossing = crossing[frontier.weights > 0]
    above = np.isinf(crossing)
    if not above.any():
        return Solution(rate_inside(frontier, frontier.at(float(crossing.max(initial=0.0)))))
    shortfall = f"{int(above.sum()):,} of {len(above):,} prompts are expected to cost more with every model"
    return Solution(rate_inside(frontier, len(frontier.exchange_rate_per_usd) - 1), shortfall)


@dataclass(frozen=True)
class Mix:
    """Two points of a curve mixed at random, which together use a whole budget.

    Attributes
    ----------
    exchange_rates_per_usd : of the cheaper point and of the more expensive one.
    second_share : share of the queries, 0 to 1, that the more expensive one answers.
    score, cost_usd : of the mixture.
    """

    exchange_rates_per_usd: tuple[float, float]
    second_share: float
    score: float
    cost_usd: float


def mix_within_budget(frontier: ReadableCurve, budget_usd: float) -> Mix | None:
    """The best mixture of two points of the curve's hull at a budget; None where a single point is as good."""
    hull = upper_hull(frontier.cost_usd, frontier.score)
    cost, score = frontier.cost_usd[hull], frontier.score[hull]
    above = int(np.searchsorted(cost, budget_usd))
    single = best_within_budget(frontier, budget_usd)
    if single is None or above in (0, len(hull)):
        return None
    share = float((budget_usd - cost[above - 1]) / (cost[above] - cost[above - 1]))
    mean_score = float(score[above - 1] + share * (score[above] - score[above - 1]))
    if mean_score <= frontier.score[frontier.at(single)] + 1e-12:
        return None
    first, second = (rate_inside(frontier, int(hull[place])) for place in (above - 1, above))
    return Mix((first, second), share, mean_score, budget_usd)


@dataclass(frozen=True, eq=False)
class Point:
    """One operating point: a rate chosen on validation, and its figures on the prompts reported on.

    ``saving`` is NaN throughout where the reference is free. ``promise`` is the one it was chosen by; None if not
    known. ``cost_per_solved_usd`` is mean cost ÷ mean score, infinite where nothing is solved; None if not stored.
    """

    exchange_rate_per_usd: float
    lam: float
    score: Interval
    cost_usd: Interval
    score_difference: Interval
    saving: Interval
    promise: Promise | None = None
    cost_per_solved_usd: Interval | None = None


def operating_point(
    frontier: Frontier,
    rate: float,
    reference: str,
    cost_unit_usd: float,
    weights: Weights,
    own_rates: FloatArray | None = None,
    promise: Promise | None = None,
) -> Point:
    """Score and cost at a rate, and the paired difference and saving against one single model.

    ``weights`` are (n, B), from `carrot_core.bootstrap.bootstrap_counts` or `bootstrap_weights`; the curve has no
    weights of its own. If ``own_rates`` (n,) are given, each prompt's figures are at its own rate: the same choice made
    without the prompt.
    """
    rows, chosen = np.arange(frontier.n_prompts), frontier.choices(rate if own_rates is None else own_rates)
    column = frontier.models.index(reference)
    tables = (
        frontier.outcomes.score[rows, chosen],
        frontier.paid_usd[rows, chosen],
        frontier.outcomes.score[:, column],
        frontier.outcomes.cost_usd[:, column],
    )
    score, cost, ref_score, ref_cost = (table.mean() for table in tables)
    b_score, b_cost, b_ref_score, b_ref_cost = weighted_means(np.column_stack(tables), weights_on(frontier, weights)).T
    return Point(
        rate,
        float(lam_of_rate(rate, cost_unit_usd)),
        Interval.of(float(score), b_score),
        Interval.of(float(cost), b_cost),
        Interval.of(float(score - ref_score), b_score - b_ref_score),
        Interval.of(float(share_saved(cost, ref_cost)), share_saved(b_cost, b_ref_cost)),
        promise,
        Interval.of(float(cost_per_solved(cost, score)), cost_per_solved(b_cost, b_score)),
    )


def saved_point(
    curve: SavedCurve,
    rate: float,
    reference_score: float,
    reference_usd: float,
    cost_unit_usd: float,
    errors: FloatArray | None = None,
) -> Point:
    """`operating_point` of a saved curve, with normal intervals, against a model with this score and cost.

    ``errors`` are (2, G) paired standard errors of the difference and the saving at the curve's saved rates, NaN where
    not known; without them, neither has an interval.
    """
    score, cost = curve.interval(rate)
    own = [float("nan")] * 2 if errors is None else curve.errors_at(errors, rate)
    means = score.value - reference_score, float(share_saved(cost.value, reference_usd))
    difference, saving = (Interval.of_normal(mean, error) for mean, error in zip(means, own, strict=True))
    return Point(rate, float(lam_of_rate(rate, cost_unit_usd)), score, cost, difference, saving)
