"""From what people want (a budget, an accuracy, a model to match) to λ: chosen on validation, reported on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from carrot_core.bootstrap import Weights, bootstrap_counts
from carrot_core.errors import CarrotError
from carrot_core.evaluation.protocol import Setting
from carrot_core.frontier import FloatArray, Frontier, lam_of_rate
from carrot_core.metrics import arena_score
from carrot_core.number_formats import without_nan
from carrot_core.operating_point import (
    Mix,
    Point,
    Solution,
    match_model,
    mix_within_budget,
    operating_point,
    rate_inside,
    solve_budget,
    solve_cap,
    solve_per_solved,
    solve_target,
)
from carrot_core.outcomes import Estimates, positions
from carrot_core.promise import CONFIDENCE, check_confidence, check_target, solved_error


@dataclass(frozen=True)
class Goal:
    """What an operating point must achieve; exactly one field is given.

    Attributes
    ----------
    budget_usd : most mean cost per query, US dollars.
    target_score : least accuracy, 0 to 1.
    match : a model to equal alone, as cheaply as possible.
    cap_usd : most expected cost of any single query, US dollars.
    rate_per_usd : the exchange rate itself, score per US dollar: the point is only reported, not solved for.
    per_solved_usd : most mean cost per solved task, US dollars.
    least_per_solved : True for the point with the least cost per solved task.
    confidence : probability with which new prompts meet the goal, 0.5 to under 1; at 0.5 the means of validation count
        unchanged. A cap and a rate promise nothing.
    """

    budget_usd: float | None = None
    target_score: float | None = None
    match: str | None = None
    cap_usd: float | None = None
    rate_per_usd: float | None = None
    confidence: float = CONFIDENCE
    per_solved_usd: float | None = None
    least_per_solved: bool = False

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        fields = self._wish
        if len(fields) != 1:
            raise CarrotError(
                "Ask for one of: a budget, a target accuracy, a model to match, a cap per query, a cost per solved "
                "task, an exchange rate."
            )
        if not fields.get("rate_per_usd", 0) >= 0:
            raise CarrotError(f"rate_per_usd must be a number of at least 0, not {fields['rate_per_usd']}.")
        for name in ("budget_usd", "cap_usd", "per_solved_usd"):
            if not 0 <= fields.get(name, 0) < float("inf"):
                raise CarrotError(f"{name} must be a number of at least 0, not {fields[name]}.")
        check_target(fields.get("target_score", 0.0))

    @property
    def _wish(self) -> dict[str, Any]:
        fields = {name: value for name, value in vars(self).items() if name != "confidence"}
        return {name: value for name, value in fields.items() if value is not None and value is not False}

    @property
    def is_mean(self) -> bool:
        """Whether the goal is about a mean over prompts, which can be promised with a confidence."""
        return self.cap_usd is None and self.rate_per_usd is None

    def document(self) -> dict[str, Any]:
        """The goal as plain JSON; an infinite rate (λ = 1) becomes null."""
        document: dict[str, Any] = without_nan(self._wish)
        return document | ({"confidence": self.confidence} if self.is_mean else {})


@dataclass(frozen=True, eq=False)
class SolvedGoal:
    """An operating point and its results.

    Attributes
    ----------
    goal, solution : the goal, and the rate that solves it on validation.
    lam, cost_unit_usd : λ and u.
    points : figures of the point on "validation" and on the prompts reported on, against ``reference``. In
        cross-fitting the point is solved on all prompts, and reported with the point that each round solves for on its
        own.
    shares : share of the queries reported on that each model answers.
    at_lam : score and cost, US dollars per query, on the prompts reported on, all at ``lam``. Without cross-fitting
        these are the means of the point.
    latency_s : mean and 95th percentile of the seconds of a call on the prompts reported on; None if not recorded.
    mix : mixture of two points that uses the budget (minus the point's margin) better on validation; None if one point
        is as good.
    """

    goal: Goal
    solution: Solution
    lam: float
    cost_unit_usd: float
    reference: str
    points: Mapping[str, Point]
    shares: Mapping[str, float]
    mix: Mix | None
    at_lam: tuple[float, float]
    latency_s: tuple[float, float] | None = None

    @property
    def reported(self) -> Point:
        """Figures of the point on the prompts reported on."""
        return next(point for split, point in self.points.items() if split != "validation")

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        rate = self.solution.exchange_rate_per_usd
        return {
            "asked": self.goal.document(),
            "reached": self.solution.reached,
            "why": self.solution.shortfall or None,
            "promise": None if self.solution.promise is None else without_nan(self.solution.promise),
            "lam": self.lam,
            "exchange_rate_per_usd": None if self.lam == 1.0 else rate,
            "cost_unit_usd": self.cost_unit_usd,
            "reference": self.reference,
            **{split: _figures(point) for split, point in self.points.items()},
            "at_lam": dict(zip(("score", "cost_usd"), self.at_lam, strict=True)),
            "shares": dict(self.shares),
            "latency": None
            if self.latency_s is None
            else without_nan(dict(zip(("mean_s", "p95_s"), self.latency_s, strict=True))),
            "mix": None if self.mix is None else self._mix(self.mix),
        }

    def _mix(self, mix: Mix) -> dict[str, Any]:
        lams = [float(lam_of_rate(rate, self.cost_unit_usd)) for rate in mix.exchange_rates_per_usd]
        return {
            "lams": lams,
            "share_of_second": mix.second_share,
            "validation": {"score": mix.score, "cost_usd": mix.cost_usd},
        }


def _figures(point: Point) -> dict[str, Any]:
    intervals = {
        "score": point.score,
        "cost_usd": point.cost_usd,
        "score_minus_reference": point.score_difference,
        "saving": point.saving,
    }
    if point.cost_per_solved_usd is not None:
        intervals["cost_per_solved_usd"] = point.cost_per_solved_usd
    figures = {name: interval.value for name, interval in intervals.items()}
    document: dict[str, Any] = without_nan(
        figures | {"intervals": {name: [interval.low, interval.high] for name, interval in intervals.items()}}
    )
    return document


def solve(
    setting: Setting,
    estimates: Mapping[str, Estimates],
    goal: Goal,
    reference: str | None = None,
    replicates: int = 1000,
) -> SolvedGoal:
    """Solve a goal on the validation prompts, exactly, and report it on the others.

    Parameters
    ----------
    setting : the protocol.
    estimates : of a router by split, from `carrot_core.evaluation.evaluate`.
    goal : the goal to solve.
    reference : model that savings are measured against; by default the one to match, else the best single model.

    Raises
    ------
    NotFoundError
        The model to match, or the reference, is not in the pool.
    """
    reference = reference or goal.match or setting.best_single
    positions([reference], setting.models)
    validation, report = (setting.frontier(estimates, split) for split in ("validation", setting.report_on))
    drawn, drawn_again = (bootstrap_counts(curve.n_prompts, replicates) for curve in (validation, report))
    solution, reported = chosen_point(setting, estimates, lambda curve: solve_on(curve, goal), reference, drawn_again)
    rate, unit = solution.exchange_rate_per_usd, setting.cost_unit_usd
    at, mix = report.at(rate), None
    if goal.budget_usd is not None and solution.promise is not None:
        margin = solution.promise.bound - solution.promise.value
        mix = mix_within_budget(validation, goal.budget_usd - margin)
    return SolvedGoal(
        goal,
        solution,
        float(lam_of_rate(rate, unit)),
        unit,
        reference,
        {"validation": operating_point(validation, rate, reference, unit, drawn), setting.report_on: reported},
        dict(zip(report.models, report.shares([rate])[0].tolist(), strict=True)),
        mix,
        (float(report.score[at]), float(report.cost_usd[at])),
        None if report.latency_s is None else tuple(report.latency_s[:, at].tolist()),
    )


def solve_on(validation: Frontier, goal: Goal, error: FloatArray | None = None) -> Solution:
    """The rate of a goal on a validation curve, or of the point nearest to it.

    ``error`` (K,) are standard errors of the mean that the goal is about, in place of the curve's own (`error_of`).
    """
    if goal.rate_per_usd is not None:
        return Solution(goal.rate_per_usd)
    if goal.budget_usd is not None:
        return solve_budget(validation, goal.budget_usd, goal.confidence, error)
    if goal.cap_usd is not None:
        return solve_cap(validation, goal.cap_usd)
    if goal.match is not None:
        return match_model(validation, goal.match, goal.confidence, error)
    if goal.per_solved_usd is not None or goal.least_per_solved:
        return solve_per_solved(validation, goal.per_solved_usd, goal.confidence, error)
    return solve_target(validation, 0.0 if goal.target_score is None else goal.target_score, goal.confidence, error)


def error_of(validation: Frontier, goal: Goal) -> FloatArray | None:
    """(K,) standard errors of the mean that a goal is about, at every point; None if it is not about a mean."""
    if not goal.is_mean:
        return None
    if goal.match is not None:
        return validation.lead_over(goal.match)[1]
    if goal.per_solved_usd is not None or goal.least_per_solved:
        return solved_error(validation, goal.confidence)
    return validation.score_error if goal.budget_usd is None else validation.cost_error_usd


def solve_rounds(
    setting: Setting,
    estimates: Mapping[str, Estimates],
    goal: Goal,
    reference: str | None = None,
    replicates: int = 1000,
) -> list[SolvedGoal]:
    """A goal solved separately in each round of cross-fitting, and reported on its prompts; empty without rounds.

    Parameters are those of `solve`; λ is in the cost unit of the whole setting.
    """
    reference = reference or goal.match or setting.best_single
    rounds = setting.rounds if setting.n_folds else ()
    unit, solved = setting.cost_unit_usd, [solve(each, estimates, goal, reference, replicates) for each in rounds]
    return [
        replace(one, lam=float(lam_of_rate(one.solution.exchange_rate_per_usd, unit)), cost_unit_usd=unit)
        for one in solved
    ]


def chosen_rates(setting: Setting, estimates: Mapping[str, Estimates]) -> dict[str, FloatArray]:
    """(R,) exchange rates of the operating points that each round chooses on its validation prompts.

    "peak": the most accurate point; ties: the cheapest. "arena": the best Arena score. "matched": the cheapest point
    that promises to be as good as the best single model (`CONFIDENCE`); absent if some round has none. "per_solved":
    the point with the least cost per solved task; absent if some round solves none.
    """
    each = [_chosen_rates(one, one.frontier(estimates, "validation")) for one in setting.rounds]
    return {name: np.array([rates[name] for rates in each]) for name in each[0] if all(name in r for r in each)}


def _chosen_rates(setting: Setting, curve: Frontier) -> dict[str, float]:
    arena = int(np.argmax(arena_score(curve.score, curve.cost_usd)))
    solutions = {
        "peak": solve_target(curve, float(curve.score.max())),
        "arena": Solution(rate_inside(curve, arena)),
        "matched": match_model(curve, setting.best_single, CONFIDENCE),
        "per_solved": solve_per_solved(curve),
    }
    return {name: solution.exchange_rate_per_usd for name, solution in solutions.items() if solution.reached}


def chosen_hull(setting: Setting, estimates: Mapping[str, Estimates]) -> FloatArray:
    """(R, G) ascending exchange rates of each round in G common steps along its validation curve's hull.

    At each price of a dollar in score units, a round takes the corner of its hull that is best at this price; a step is
    a price at which some round moves to another corner. This chooses the points on the mean of the rounds' hulls.
    """
    corners, slopes = [], []
    for curve in (one.frontier(estimates, "validation") for one in setting.rounds):
        hull = curve.corners
        corners.append(np.array([rate_inside(curve, corner) for corner in hull.tolist()]))
        slopes.append(np.diff(curve.score[hull]) / np.diff(curve.cost_usd[hull]))
    prices = np.unique(np.concatenate(slopes))
    steps = [np.append(np.searchsorted(-slope, -prices, side="right"), 0) for slope in slopes]
    return np.sort([rates[step] for rates, step in zip(corners, steps, strict=True)], axis=1)


def chosen_point(
    setting: Setting,
    estimates: Mapping[str, Estimates],
    choose: Callable[[Frontier], Solution],
    reference: str,
    weights: Weights,
    split: str = "",
) -> tuple[Solution, Point]:
    """A rate chosen on all validation prompts, and the figures of this choice on the prompts of a split.

    In cross-fitting the rate is that of the router that serves, and each prompt's figures are at the rate that its
    round chose by the same rule on its own validation prompts. Where nothing can be promised and λ = 0 is nearest, they
    are at λ = 0, which nobody has to choose and which tables report.

    Parameters
    ----------
    choose : function from a curve on validation prompts to a rate.
    reference : model that differences and savings are against.
    weights : as for `operating_point`.
    split : "validation", or by default the prompts reported on.
    """
    split, parts = split or setting.report_on, [setting, *(setting.rounds if setting.n_folds else ())]
    solution, *own = [choose(part.frontier(estimates, "validation")) for part in parts]
    rate, curve = solution.exchange_rate_per_usd, setting.frontier(estimates, split)
    if rate == 0 and not solution.reached:
        own = [solution] * len(own)
    rates = np.array([each.exchange_rate_per_usd for each in own or [solution]])[setting.round_of(split)]
    return solution, operating_point(curve, rate, reference, setting.cost_unit_usd, weights, rates, solution.promise)
