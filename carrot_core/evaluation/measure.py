"""All figures of one router on one set of prompts, on the prompts themselves and in every replicate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import (
    LEVEL,
    LUCK,
    CurveReplicates,
    Measurement,
    Weights,
    bootstrap_counts,
    rates_to_keep,
    replicate,
    replicate_tables,
    weighted_means,
    weights_on,
)
from carrot_core.errors import CarrotError
from carrot_core.evaluation.missing import best_between, donors_of
from carrot_core.evaluation.protocol import Setting, curves_of_other_samples
from carrot_core.evaluation.solve import chosen_hull, chosen_point, chosen_rates
from carrot_core.frontier import FloatArray, Frontier
from carrot_core.metrics import (
    BUDGETS,
    affordable,
    aiq,
    aiq_of_points,
    apgr,
    arena_score,
    audc,
    cost_per_solved,
    cpt,
    gain_over,
    gap_to,
    qnc,
    recovered,
    share_saved,
)
from carrot_core.number_formats import without_nan
from carrot_core.operating_point import (
    match_model,
)
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Outcomes, pick, positions
from carrot_core.promise import CONFIDENCE

_POINTS = 800  # points of a curve that are replicated


@dataclass(frozen=True, eq=False)
class ReportSet:
    """Data shared by all routers measured on the same prompts: outcomes of the pool and its single models.

    Arrays of figures have 1 + B rows: the prompts as they are, then B replicates.

    Attributes
    ----------
    outcomes : of the whole pool, without gaps (`Benchmark.measured`).
    weights : (n, 1 + B) how often each prompt counts: once, then as often as it was drawn.
    round_of : (n,) round of the protocol that reports on each prompt (`Setting.round_of`).
    best_single : name of the best single model of each round, chosen on its validation prompts.
    strength : mean validation score by model.
    part : all prompts of the split, with the samples of their cells.
    """

    outcomes: Outcomes
    weights: Weights
    round_of: npt.NDArray[np.intp]
    best_single: tuple[str, ...]
    strength: Mapping[str, float]
    part: Benchmark

    def means(self, table: FloatTable) -> FloatArray:
        """(1 + B, k) means of the columns of an (n, k) table."""
        return weighted_means(table, self.weights)

    @cached_property
    def single_score(self) -> FloatArray:
        return self.means(self.outcomes.score)

    @cached_property
    def single_cost_usd(self) -> FloatArray:
        return self.means(self.outcomes.cost_usd)

    @cached_property
    def oracle(self) -> FloatArray:
        """(1 + B,) mean of the best score of each prompt, NaN where no prompt has every outcome."""
        whole = self.part.whole
        best = np.where(whole.complete, whole.score.max(axis=1), np.nan)
        return weighted_means(best[:, None], self.weights[donors_of(self.part)])[:, 0]

    @cached_property
    def repeated(self) -> tuple[ReportSet, list[Frontier]] | None:
        """The prompts that the whole pool answered several times, and the curves of an oracle on them.

        Each curve is measured on a sample of every cell by which its oracle did not choose. None without such prompts.
        """
        curves = curves_of_other_samples(self.part)
        if not curves:
            return None
        rows = positions(curves[0].outcomes.prompt_ids, self.part.prompt_ids, "prompt")
        part = self.part.rows(rows)
        weights, round_of = self.weights[rows], self.round_of[rows]
        return replace(self, part=part, outcomes=part.outcomes, weights=weights, round_of=round_of), curves

    @cached_property
    def oracle_luck(self) -> FloatArray | None:
        """(1 + B,) loss of `oracle` on samples by which it did not choose; None if unknown."""
        if self.repeated is None:
            return None
        on, curves = self.repeated
        rows = np.arange(len(on.outcomes.prompt_ids))
        scores = [curve.outcomes.score[rows, curve.choices(0.0)] for curve in curves]
        return on.oracle - on.means(np.mean(scores, axis=0)[:, None])[:, 0]

    @cached_property
    def reference(self) -> tuple[FloatArray, FloatArray]:
        """(1 + B,) score and cost of the best single model, which each round chooses for its own prompts."""
        if len(set(self.best_single)) == 1:
            column = self.outcomes.models.index(self.best_single[0])
            return self.single_score[:, column], self.single_cost_usd[:, column]
        rows, columns = np.arange(len(self.round_of)), positions(self.best_single, self.outcomes.models)[self.round_of]
        both = np.column_stack([self.outcomes.score[rows, columns], self.outcomes.cost_usd[rows, columns]])
        score, cost = self.means(both).T
        return score, cost

    @property
    def interval_usd(self) -> tuple[FloatArray, FloatArray]:
        """(1 + B,) cost of the cheapest and of the most expensive single model."""
        return self.single_cost_usd.min(axis=1), self.single_cost_usd.max(axis=1)

    @cached_property
    def budgets_usd(self) -> FloatArray:
        """(1 + B, K) evenly spaced budgets on the common interval."""
        return np.linspace(*self.interval_usd, BUDGETS, axis=1)

    @cached_property
    def affordable(self) -> FloatArray:
        """(1 + B, K) best single model's score at each budget."""
        return affordable(self.single_cost_usd, self.single_score, self.budgets_usd)


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of one router by name, and the points of its curve for the joint Pareto front.

    Attributes
    ----------
    by_metric : by names of `carrot_core.metrics.METRICS`; absent where not defined for this router.
    affordable : (1 + B, K) best score at each budget.
    band : columns exchange_rate_per_usd, cost_usd, score, low, high: the curve at some of its points, with
        the 95 % interval of its score.
    """

    by_metric: dict[str, Measurement]
    affordable: FloatArray
    band: pd.DataFrame


def report_set(setting: Setting, split: str, replicates: int = 1000, seed: int = 0) -> ReportSet:
    """The `ReportSet` of one split of a setting.

    Replicates draw from all prompts of the benchmark, so that settings with other splits of it are
    resampled together.
    """
    part, everything = setting.part(split), setting.everything.prompt_ids
    outcomes = part.measured
    if not outcomes.complete.all():
        raise CarrotError(f"A model of the pool has no outcome on any {split} prompt.")
    position = {prompt_id: row for row, prompt_id in enumerate(everything)}
    if all(prompt_id in position for prompt_id in outcomes.prompt_ids):
        rows = np.array([position[prompt_id] for prompt_id in outcomes.prompt_ids], dtype=np.intp)
        counts = bootstrap_counts(len(everything), replicates, seed)[rows]
    else:  # choices made on another benchmark
        counts = bootstrap_counts(len(outcomes.prompt_ids), replicates, seed)
    weights = np.column_stack([np.ones(len(counts), counts.dtype), counts])
    singles = tuple(each.best_single for each in setting.rounds)
    return ReportSet(outcomes, weights, setting.round_of(split), singles, setting.strength, part)


def measure(curve: Frontier, on: ReportSet, rates: Mapping[str, FloatArray], hull_rates: FloatArray) -> Figures:
    """Every figure of one router except those that need the other routers.

    Parameters
    ----------
    curve : on the prompts of the report.
    on : the prompts and single models it is compared with.
    rates : from `chosen_rates`.
    hull_rates : from `chosen_hull`.
    """
    if curve.outcomes.prompt_ids != on.outcomes.prompt_ids:
        raise CarrotError("This router did not estimate the same prompts as the others, so it cannot be compared.")
    table = replicate(curve, on.weights, _POINTS)
    score, cost = table.score, table.cost_usd
    exact = curve.cost_usd, curve.score
    (low, high), (target, target_cost) = on.interval_usd, on.reference
    by_metric = {
        **_at_points(curve, on, rates),
        **areas(curve, table, on.interval_usd),
        "aiq_chosen": _of_chosen(curve, on, hull_rates),
        "audc": Measurement.on_curve(audc(*exact, low[0], high[0]), audc(cost, score, low, high)),
        "qnc": Measurement.on_curve(qnc(*exact, target[0], target_cost[0]), qnc(cost, score, target, target_cost)),
    }
    by_metric["cost_save"] = Measurement(1 - by_metric["qnc"].value, 1 - by_metric["qnc"].replicates)
    pair = pick(curve.models, curve.has_estimates)
    if len(pair) == 2:
        by_metric |= _of_pair(curve, on, sorted(pair, key=lambda model: on.strength[model]))
    return Figures(by_metric, affordable(cost, score, on.budgets_usd), _band(curve, table))


def _band(curve: Frontier, table: CurveReplicates) -> pd.DataFrame:
    rates, score = table.exchange_rate_per_usd, table.score[1:]
    at = np.searchsorted(curve.exchange_rate_per_usd, rates)
    low, high = np.quantile(score, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    columns = {"exchange_rate_per_usd": rates, "cost_usd": curve.cost_usd[at], "score": curve.score[at]}
    return pd.DataFrame({**columns, "low": low, "high": high})


def _at_points(curve: Frontier, on: ReportSet, rates: Mapping[str, FloatArray]) -> dict[str, Measurement]:
    """Figures of single points: at λ = 0, and at the rates that each round chose on validation."""
    rows, names = np.arange(curve.n_prompts), ["zero", *rates]
    chosen = [curve.choices(0.0), *(curve.choices(own[on.round_of]) for own in rates.values())]
    weights = weights_on(curve, on.weights)
    score, cost = (
        dict(zip(names, weighted_means(np.column_stack([table[rows, j] for j in chosen]), weights).T, strict=True))
        for table in (curve.outcomes.score, curve.paid_usd)
    )
    best, best_cost = on.reference
    figures = {
        "routing_accuracy": score["zero"],
        "gap_oracle": gap_to(score["zero"], on.oracle),
        "gain_best_single": gain_over(score["zero"], best),
        "gain_random": gain_over(score["zero"], on.single_score.mean(axis=1)),
        "peak": score["peak"],
        "arena": arena_score(score["arena"], cost["arena"]),
    }
    if "matched" in rates:
        figures["matched_saving"] = share_saved(cost["matched"], best_cost)
        figures["matched_score_difference"] = score["matched"] - best
    if "per_solved" in rates:
        figures["cost_per_solved"] = cost_per_solved(cost["per_solved"], score["per_solved"])
    return {name: Measurement.of(values) for name, values in figures.items()}


def areas(curve: Frontier, table: CurveReplicates, span: tuple[FloatArray, FloatArray]) -> dict[str, Measurement]:
    """AIQ, and AIQ minus the luck of its corners, which were chosen on the prompts they are measured on.

    Parameters
    ----------
    table : from `replicate`; its first row has every prompt once.
    span : (1 + B,) cost of the cheapest and of the most expensive single model in each row.
    """
    exact = aiq(curve.cost_usd, curve.score, *(end[0] for end in span))
    hull = aiq(table.cost_usd, table.score, *span)
    corners = np.searchsorted(table.exchange_rate_per_usd, curve.exchange_rate_per_usd[curve.corners])
    same = aiq_of_points(table.cost_usd[:, corners], table.score[:, corners], *span)
    luck = LUCK * float(np.mean(hull[1:] - same[1:]))
    return {
        "aiq": Measurement.on_curve(exact, hull),
        "aiq_corrected": Measurement(float(exact) - luck, same[1:] - luck),
    }


def _of_chosen(curve: Frontier, on: ReportSet, rates: FloatArray) -> Measurement:
    """AIQ of the points at these (R, G) rates of each round, which were chosen on other prompts."""
    walk, steps = replace(curve, sweep=curve.sweep.in_steps(rates, on.round_of)), np.arange(float(rates.shape[1]))
    score, cost = replicate_tables(walk, curve.outcomes.score, curve.paid_usd, steps, on.weights)
    return Measurement.of(aiq_of_points(cost, score, *on.interval_usd))


def _of_pair(curve: Frontier, on: ReportSet, pair: Sequence[str]) -> dict[str, Measurement]:
    """RouteLLM's figures of a router that chooses between a weak and a strong model.

    Empty if the strong model is not measurably better, since shares of a gap that may be 0 mean nothing.
    """
    weak, strong = (curve.models.index(model) for model in pair)
    if not Measurement.of(on.single_score[:, strong] - on.single_score[:, weak]).interval.low > 0:
        return {}
    calls = np.zeros(curve.outcomes.shape)
    calls[:, strong] = 1.0
    grid = rates_to_keep(curve, _POINTS)
    score, share = replicate_tables(curve, curve.outcomes.score, calls, grid, on.weights)
    ends = on.single_score[:, weak], on.single_score[:, strong]
    exact = curve.sweep.mean_of(calls), recovered(curve.score, ends[0][0], ends[1][0])
    on_grid = share, recovered(score, *ends)
    return {
        "apgr": Measurement.on_curve(apgr(*exact), apgr(*on_grid)),
        "cpt_50": Measurement.on_curve(cpt(*exact, 0.5), cpt(*on_grid, 0.5)),
        "cpt_80": Measurement.on_curve(cpt(*exact, 0.8), cpt(*on_grid, 0.8)),
    }


def measure_router(
    setting: Setting, estimates: Mapping[str, Estimates], split: str, *, replicates: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """All figures of one router on one split, each with its interval; plain numbers, ready for JSON."""
    on = report_set(setting, split, replicates, seed)
    rates, hull = chosen_rates(setting, estimates), chosen_hull(setting, estimates)
    curve = setting.frontier(estimates, split)
    figures = {
        **measure(curve, on, rates, hull).by_metric,
        "best_single": Measurement.of(on.reference[0]),
        "best_single_cost_usd": Measurement.of(on.reference[1]),
        "oracle": Measurement.of(on.oracle),
    }
    if on.oracle_luck is not None:
        figures["oracle_luck"] = Measurement.of(on.oracle_luck)
    intervals = {name: figure.interval for name, figure in figures.items()}
    solution, point = chosen_point(
        setting, estimates, lambda validation: match_model(validation, setting.best_single, CONFIDENCE),
        setting.best_single, on.weights[:, 1:], split,
    )  # fmt: skip
    return {
        **{name: without_nan(figure.value) for name, figure in intervals.items()},
        "n_prompts": curve.n_prompts,
        "n_incomplete": setting.n_incomplete(split),
        **dict(zip(("oracle_least", "oracle_most"), best_between(on.part), strict=True)),
        "intervals": {name: without_nan([figure.low, figure.high]) for name, figure in intervals.items()},
        "chosen": without_nan({name: own.tolist() for name, own in rates.items()}),
        "chosen_hull": without_nan(hull.tolist()),
        "match_best_single": without_nan(point) if solution.reached else None,
    }
