"""How stable an operating point is: solved again on bootstrap samples, on every task alone, and on every seed.

No curve is swept again. A sample of the validation prompts, or one of their tasks, is a vector of prompt weights; with
any weights, a curve is the same running sum over the same switches (`carrot_core.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import (
    LEAST_PROMPTS,
    Interval,
    Weights,
    bootstrap_counts,
    replicate_tables,
    weighted_means,
    weights_on,
)
from carrot_core.evaluation.comparison import records
from carrot_core.evaluation.protocol import Setting, tasks_of
from carrot_core.evaluation.solve import Goal, error_of, solve_on
from carrot_core.frontier import FloatArray, Frontier, lam_of_rate
from carrot_core.metrics import cost_per_solved
from carrot_core.number_formats import without_nan
from carrot_core.operating_point import crossings_of_cap, rate_inside
from carrot_core.outcomes import Estimates, positions
from carrot_core.promise import EVEN

_CELLS = 4_000_000  # cells of the table of one block of samples: breakpoints times samples
FEW = 30  # prompts; with fewer, a task says almost nothing about its λ
_SEED = 1  # seed of the draws of prompts reported on, which differ from those of validation


@dataclass(frozen=True, eq=False)
class SampleSolutions:
    """One goal solved on B samples (weightings) of the same prompts.

    Attributes
    ----------
    rate_per_usd : (B,) exchange rate of the point, or of the one nearest to the goal; NaN if all weights are 0.
    reached : (B,) whether a point reaches the goal.
    """

    rate_per_usd: FloatArray
    reached: npt.NDArray[np.bool_]


def solve_again(curve: Frontier, goal: Goal, weights: Weights) -> SampleSolutions:
    """Solve a goal exactly under each column of (n, B) weights of a curve's prompts, with no new sweep.

    Of points that differ only on prompts without weight, the first is taken; they are equal on the others. The margin
    for a confidence is that of the whole curve.
    """
    if goal.cap_usd is not None:
        return _cap_again(curve, goal.cap_usd, weights)
    rates, n_samples = curve.exchange_rate_per_usd, weights.shape[1]
    rate_per_usd, reached = np.full(n_samples, np.nan), np.zeros(n_samples, dtype=bool)
    error = error_of(curve, goal)
    step = max(_CELLS // len(rates), 1)
    for first in range(0, n_samples, step):
        block: Weights = weights_on(curve, weights[:, first : first + step]).copy()
        tables = replicate_tables(curve, curve.outcomes.score, curve.paid_usd, rates, block)
        for place, means in enumerate(zip(*tables, strict=True)):
            if np.isnan(means[0][0]):
                continue
            sample = replace(curve, weights=block[:, place] / block[:, place].mean(), means=means)
            solution = solve_on(sample, goal, error)
            rate_per_usd[first + place], reached[first + place] = solution.exchange_rate_per_usd, solution.reached
    return SampleSolutions(rate_per_usd, reached)


def _cap_again(curve: Frontier, cap_usd: float, weights: Weights) -> SampleSolutions:
    """The rate from which all prompts with a weight are under the cap."""
    crossing, weights = crossings_of_cap(curve, cap_usd), weights_on(curve, weights)
    last = np.max(np.where(weights > 0, crossing[:, None], -1.0), axis=0, initial=-1.0)
    within = np.array([np.nan if rate < 0 else _inside(curve, rate) for rate in last.tolist()])
    return SampleSolutions(within, np.isfinite(last) & (last >= 0))


def _inside(curve: Frontier, rate: float) -> float:
    return float("inf") if np.isinf(rate) else rate_inside(curve, curve.at(rate))


@dataclass(frozen=True, eq=False)
class Stability:
    """How stable an operating point is.

    Attributes
    ----------
    goal : goal of the point. A rate is not solved for: only its figures on test can vary.
    cost_unit_usd : u, which turns rates into λ.
    rate_per_usd, lam : the point.
    n_validation, n_reported : prompts it was chosen on, and prompts it is reported on.
    samples : one row a bootstrap sample: lam, exchange_rate_per_usd and reached (of the point chosen on this sample
        of the validation prompts), score and cost_usd (of that point on the prompts reported on), score_drawn,
        cost_usd_drawn and kept (on a sample of these prompts, too; whether the goal is met there).
    lam_interval : of λ over the samples.
    score, cost_usd : figures of the point, with 95 % intervals of the points chosen again.
    score_in_all, cost_usd_in_all : the same, with intervals that include the luck of the prompts reported on.
    tasks : one row for each task (`by_task`); empty if there are none.
    """

    goal: Goal
    cost_unit_usd: float
    rate_per_usd: float
    lam: float
    n_validation: int
    n_reported: int
    samples: pd.DataFrame
    lam_interval: Interval
    score: Interval
    cost_usd: Interval
    score_in_all: Interval
    cost_usd_in_all: Interval
    tasks: pd.DataFrame

    @property
    def is_solved(self) -> bool:
        """Whether the point was solved for, so that it would differ on other prompts."""
        return self.goal.rate_per_usd is None

    @property
    def success_share(self) -> float:
        """Share of the samples whose point meets the goal on test; NaN for a point that was set, not solved for."""
        return float(self.samples["kept"].mean()) if self.is_solved else float("nan")

    @property
    def reached(self) -> float:
        """Share of the samples in which the goal can be reached on validation."""
        return float(self.samples["reached"].mean())

    def document(self) -> dict[str, Any]:
        """Everything except the single samples, as plain JSON."""
        return {
            "asked": self.goal.document(),
            "replicates": len(self.samples),
            "lam": without_nan(self.lam_interval),
            "reached": self.reached if self.is_solved else None,
            "kept_on_test": self.success_share if self.is_solved else None,
            "chosen_again": {"score": without_nan(self.score), "cost_usd": without_nan(self.cost_usd)},
            "in_all": {"score": without_nan(self.score_in_all), "cost_usd": without_nan(self.cost_usd_in_all)},
            "tasks": records(self.tasks),
        }


def stability(setting: Setting, estimates: Mapping[str, Estimates], goal: Goal, replicates: int = 1000) -> Stability:
    """Solve a goal on validation, and again on bootstrap samples of it and on each task of it.

    Parameters
    ----------
    setting, estimates, goal : as for `carrot_core.evaluation.solve.solve`.
    replicates : samples.
    """
    validation, report = (setting.frontier(estimates, split) for split in ("validation", setting.report_on))
    solution, unit = solve_on(validation, goal), setting.cost_unit_usd
    rate, aim = solution.exchange_rate_per_usd, goal
    if goal.least_per_solved and solution.promise is not None and solution.reached:
        aim = Goal(per_solved_usd=solution.promise.bound)
    again = solve_again(validation, goal, bootstrap_counts(validation.n_prompts, replicates))
    samples = _samples(report, aim, again, unit, replicates)
    at = report.at(rate)
    score, cost, lam = float(report.score[at]), float(report.cost_usd[at]), float(lam_of_rate(rate, unit))
    return Stability(
        goal,
        unit,
        rate,
        lam,
        validation.n_prompts,
        report.n_prompts,
        samples,
        Interval.of(lam, samples["lam"].to_numpy()),
        Interval.of(score, samples["score"].to_numpy()),
        Interval.of(cost, samples["cost_usd"].to_numpy()),
        Interval.of(score, samples["score_drawn"].to_numpy()),
        Interval.of(cost, samples["cost_usd_drawn"].to_numpy()),
        by_task(setting, estimates, goal, rate, replicates),
    )


def _samples(
    report: Frontier, goal: Goal, again: SampleSolutions, cost_unit_usd: float, replicates: int
) -> pd.DataFrame:
    rates = again.rate_per_usd
    at = np.searchsorted(report.exchange_rate_per_usd, rates, side="right") - 1
    different, place = np.unique(rates, return_inverse=True)
    counts = bootstrap_counts(report.n_prompts, replicates, _SEED)
    tables = replicate_tables(report, report.outcomes.score, report.paid_usd, different, counts)
    rows = np.arange(replicates)
    score, cost = (table[rows, place] for table in tables)
    return pd.DataFrame(
        {
            "lam": lam_of_rate(rates, cost_unit_usd),
            "exchange_rate_per_usd": rates,
            "reached": again.reached,
            "kept": _meets_goal(report, goal, rates, counts, score, cost),
            "score": report.score[at],
            "cost_usd": report.cost_usd[at],
            "score_drawn": score,
            "cost_usd_drawn": cost,
        }
    )


def _meets_goal(
    report: Frontier, goal: Goal, rates: FloatArray, counts: Weights, score: FloatArray, cost_usd: FloatArray
) -> npt.NDArray[np.bool_]:
    """(B,) whether each point meets the goal on its drawn prompts, which have these mean scores and costs."""
    if goal.budget_usd is not None:
        return cost_usd <= goal.budget_usd + 1e-15
    if goal.per_solved_usd is not None:
        return np.asarray(cost_per_solved(cost_usd, score) <= goal.per_solved_usd + 1e-15)
    if goal.least_per_solved:  # no least cost can be promised here, so there is nothing to keep
        return np.zeros(len(cost_usd), dtype=bool)
    if goal.cap_usd is not None:
        crossing = crossings_of_cap(report, goal.cap_usd)[:, None]
        last = np.max(np.where(counts > 0, crossing, 0.0), axis=0)
        mask: npt.NDArray[np.bool_] = np.isfinite(last) & (rates >= last)
        return mask
    if goal.match is not None:
        (column,) = positions([goal.match], report.models)
        return score >= weighted_means(report.outcomes.score[:, [column]], counts)[:, 0] - 1e-12
    return score >= (0.0 if goal.target_score is None else goal.target_score) - 1e-12


def by_task(
    setting: Setting, estimates: Mapping[str, Estimates], goal: Goal, rate_per_usd: float, replicates: int = 1000
) -> pd.DataFrame:
    """The goal solved on each task alone, and the common point's figures there.

    Returns
    -------
    One row a task of the prompts reported on: task, n_validation, n_reported, lam_alone and reached_alone (solved on
    the means of the task's validation prompts, too few to promise much; NaN and None without any), score, score_low,
    score_high, cost_usd, cost_usd_low, cost_usd_high (of the common point on the task, 95 % intervals; NaN with fewer
    than `LEAST_PROMPTS`), score_alone, cost_usd_alone (of the task's own point). λ by the u of all tasks. Empty where
    prompts have no tasks.
    """
    validation, report = (setting.frontier(estimates, split) for split in ("validation", setting.report_on))
    validation_tasks, report_tasks = tasks_of(setting.validation, validation), tasks_of(setting.test, report)
    tasks = sorted(set(report_tasks.tolist()) - {""})
    weights = (
        np.stack([validation_tasks == task for task in tasks], axis=1) if tasks else np.empty((validation.n_prompts, 0))
    )
    whole = replace(validation, donors=None)  # no prompt of one task is drawn with one of another
    again = solve_again(whole, replace(goal, confidence=EVEN), weights.astype(np.uint8))
    rows = []
    for place, task in enumerate(tasks):
        here, own = report.rows(report_tasks == task), float(again.rate_per_usd[place])
        none = bool(np.isnan(own))
        score, cost = _intervals(here, rate_per_usd, replicates)
        alone = [np.nan, np.nan] if none else _outcomes_at(here, own).mean(axis=0).tolist()
        rows.append(
            {
                "task": task,
                "n_validation": int(weights[:, place].sum()),
                "n_reported": here.n_prompts,
                "lam_alone": np.nan if none else float(lam_of_rate(own, setting.cost_unit_usd)),
                "reached_alone": None if none else bool(again.reached[place]),
                **{f"score{end}": value for end, value in _ends(score)},
                **{f"cost_usd{end}": value for end, value in _ends(cost)},
                "score_alone": alone[0],
                "cost_usd_alone": alone[1],
            }
        )
    return pd.DataFrame(rows)


def _outcomes_at(curve: Frontier, rate: float) -> FloatArray:
    """(n, 2) score and cost of the choices."""
    rows, columns = np.arange(curve.n_prompts), curve.choices(rate)
    return np.column_stack([curve.outcomes.score[rows, columns], curve.paid_usd[rows, columns]])


def _intervals(curve: Frontier, rate: float, replicates: int) -> tuple[Interval, Interval]:
    table, means = _outcomes_at(curve, rate), np.full((1, 2), np.nan)
    if len(table) >= LEAST_PROMPTS:
        means = weighted_means(table, weights_on(curve, bootstrap_counts(len(table), replicates)))
    score, cost = (Interval.of(float(table[:, k].mean()), means[:, k]) for k in range(2))
    return score, cost


def _ends(interval: Interval) -> list[tuple[str, float]]:
    return [("", interval.value), ("_low", interval.low), ("_high", interval.high)]
