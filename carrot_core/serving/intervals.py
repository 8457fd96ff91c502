"""Intervals around estimates: split-conformal for one prompt, and for means over many decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from carrot_core.curve import evenly
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.evaluation.quality import usage_of
from carrot_core.frontier import FloatArray, Frontier
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Outcomes, Usage
from carrot_core.routers.criteria import UsageScale
from carrot_core.switches import sweep_tables

LEVEL = 0.9
GROUP = 50  # prompts
_ROUNDING = 1e-5  # of a logarithm: error that rounding causes in an estimate of a usage that all calls share
_LEAST_VARIANCE = 0.02  # of one score: near 0 and 1 the estimate errs more than p(1 - p) allows


class ScoreInterval:
    """Interval that holds the mean score of `GROUP` prompts with a given estimate in 90 % of cases.

    One answer is mostly right or wrong, so an interval for it would be nearly all of [0, 1]. Validation
    prompts of each model, sorted by estimate, are cut into groups of `GROUP`. How far a group's mean score
    lies from its mean estimate, in units of sqrt(p(1 - p)/GROUP), is pooled over models, and its quantile is
    the width. The correction for a finite sample counts the groups of one model only, since those of
    different models hold the same prompts; with fewer than nine of them it is the largest distance observed.

    Attributes
    ----------
    width_ : half the interval in units of sqrt(p(1 - p)/GROUP).
    """

    level: ClassVar[float] = LEVEL

    def fit(self, predicted: FloatTable, observed: FloatTable) -> Self:
        """Learn the width from (n, M) estimates and observed scores of validation prompts; NaN = not observed.

        Raises
        ------
        CarrotError
            No score is observed.
        """
        distances = _group_distances(predicted, observed)
        self.width_ = _quantile(distances, LEVEL, max(len(predicted) // GROUP, 1))
        return self

    def interval(self, predicted: FloatTable) -> tuple[FloatTable, FloatTable]:
        """Lower and upper ends, (n, M) in [0, 1], for estimates of any models."""
        centre = np.clip(predicted, 0.0, 1.0)
        half = self.width_ * _spread(centre, GROUP)
        return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)

    def coverage(self, predicted: FloatTable, observed: FloatTable) -> float:
        """Share of groups of other prompts, formed as in `fit`, whose mean score lies in the interval."""
        return float(np.mean(_group_distances(predicted, observed) <= self.width_))


class UsageInterval:
    """Interval that holds the usage of one call, output tokens or dollars, in 90 % of cases.

    Ratios of observed to predicted usage (differences of ``log1p`` of hundredths of the model's mean, so
    that calls with almost no usage do not count infinitely much) are sorted for each model; the interval
    leaves out 5 % of them on each side. If every call uses the same, it is as wide as rounding.

    Attributes
    ----------
    scale_ : the logarithm and its inverse.
    low_, high_ : (M,) offsets from the logarithm of a prediction; NaN for a model without observed usage.
    """

    level: ClassVar[float] = LEVEL

    def fit(self, predicted: FloatTable, observed: FloatTable) -> Self:
        """Learn from (n, M) predicted and observed usage of validation prompts, at least 0; NaN = not observed."""
        self.scale_ = UsageScale().fit(observed)
        errors = self.scale_.logs(observed) - self.scale_.logs(predicted)
        self.high_ = np.array([_upper(column) for column in errors.T]) + _ROUNDING
        self.low_ = -np.array([_upper(-column) for column in errors.T]) - _ROUNDING
        return self

    def interval(self, predicted: FloatTable) -> tuple[FloatTable, FloatTable]:
        """Lower and upper ends, (n, M) at least 0, in the unit of ``predicted``."""
        logs = self.scale_.logs(predicted)
        return self.scale_.usage(logs + self.low_), self.scale_.usage(logs + self.high_)

    def coverage(self, predicted: FloatTable, observed: FloatTable) -> float:
        """Share of observed calls of other prompts that lie in their interval."""
        low, high = self.interval(predicted)
        mask = ~np.isnan(observed + low)
        return float(np.mean(((low <= observed) & (observed <= high))[mask]))

    def columns(self, index: npt.NDArray[np.intp]) -> UsageInterval:
        """The interval for some of the models, in the order of ``index``."""
        part = UsageInterval()
        part.low_, part.high_, part.scale_ = self.low_[index], self.high_[index], UsageScale()
        part.scale_.unit_, part.scale_.factor_ = self.scale_.unit_[index], self.scale_.factor_[index]
        return part


def _group_distances(predicted: FloatTable, observed: FloatTable) -> npt.NDArray[np.float64]:
    """Distance of each group's mean score from its mean estimate, in units of its spread, for every model."""
    distances = []
    for estimates, scores in zip(np.clip(predicted, 0.0, 1.0).T, observed.T, strict=True):
        scored = np.flatnonzero(~np.isnan(scores))
        order = scored[np.argsort(estimates[scored], kind="stable")]
        for group in np.array_split(order, max(len(order) // GROUP, 1)):
            if len(group):
                mean = estimates[group].mean()
                distances.append(abs(scores[group].mean() - mean) / _spread(mean, len(group)))
    if not distances:
        raise CarrotError("No scores are observed on these prompts, so no interval can be learned or checked.")
    return np.array(distances)


def _spread(p: FloatTable, size: int) -> FloatTable:
    """Standard deviation of the mean of n scores of 0 or 1 with mean p; other scores vary less."""
    spread: FloatTable = np.sqrt(np.maximum(p * (1.0 - p), _LEAST_VARIANCE) / size)
    return spread


def _upper(errors: npt.NDArray[np.float64]) -> float:
    """Quantile that one more error exceeds in at most half of the cases that the interval may miss."""
    observed = errors[~np.isnan(errors)]
    return _quantile(observed, (1.0 + LEVEL) / 2, len(observed)) if len(observed) else np.nan


def _quantile(values: npt.NDArray[np.float64], share: float, independent: int) -> float:
    """Value that one more value stays below with probability ``share``; the largest if there are too few."""
    return float(np.quantile(values, min(share * (1 + 1 / independent), 1.0), method="inverted_cdf"))


_RATES = 300


class Between(NamedTuple):
    """A figure and the ends of its 90 % interval."""

    value: float
    low: float
    high: float


class Calibration:
    """Intervals for the mean score and the mean cost of n prompts, learned on validation prompts.

    A router that takes the best of several estimates also picks errors in its favour, so its expected mean
    is biased by an amount that depends on λ. On v validation prompts the error of each decision
    (observed minus expected) has a mean and a spread. The interval reaches from the expected mean to the one
    corrected by that error, and on both sides t · spread · sqrt(1/n + 1/v) further, which is how far the mean
    error of n prompts may lie from that of v others.

    Attributes
    ----------
    rates_ : (G,) exchange rates, score per US dollar, ascending from 0; each covers those up to the next.
    score_errors_ : (2, G + M) mean and standard deviation of the error of a score, for the decisions at each
        rate and for each of M models used alone.
    cost_errors_ : (2, G + M) likewise for the error in dollars, divided by the mean expected cost.
    n_prompts_ : v.
    """

    level: ClassVar[float] = LEVEL

    def fit(self, estimates: Estimates, outcomes: Outcomes, curve: Frontier) -> Self:
        """Learn from estimates and outcomes of v validation prompts, along their curve."""
        rates = evenly(curve.exchange_rate_per_usd, _RATES)
        sweep = sweep_tables(estimates.score, estimates.cost_usd, estimates.models)
        n, m = estimates.score.shape
        chosen = [sweep.choices(rate).astype(np.intp) for rate in rates]
        chosen += [np.full(n, column) for column in range(m)]
        score = outcomes.score - estimates.score
        cost = outcomes.cost_usd - estimates.cost_usd
        self.rates_, self.n_prompts_ = rates, n
        self.score_errors_ = np.array([_error(score, columns) for columns in chosen]).T
        expected = [estimates.cost_usd[np.arange(n), columns].mean() for columns in chosen]
        in_dollars = np.array([_error(cost, columns) for columns in chosen]).T
        self.cost_errors_ = np.divide(in_dollars, expected, out=np.zeros_like(in_dollars), where=np.array(expected) > 0)
        return self

    def score(self, expected: float, n_prompts: int, *, at: int) -> Between:
        """Mean score of n prompts whose estimates have the mean ``expected``, in [0, 1]."""
        below, above = self._reach(self.score_errors_[:, at], n_prompts)
        return Between(*np.clip([expected, expected - below, expected + above], 0.0, 1.0).tolist())

    def cost_usd(self, expected: float, n_prompts: int, *, at: int) -> Between:
        """Mean or total cost of n prompts that are estimated to cost ``expected``, at least 0."""
        below, above = self._reach(self.cost_errors_[:, at], n_prompts)
        return Between(expected, expected * max(1.0 - below, 0.0), expected * (1.0 + above))

    def at_rate(self, exchange_rate_per_usd: float) -> int:
        """Column (of G + M) of the decisions at a rate."""
        return int(np.searchsorted(self.rates_, exchange_rate_per_usd, side="right")) - 1

    def at_model(self, column: int) -> int:
        """Column (of G + M) of a model used alone."""
        return len(self.rates_) + column

    def _reach(self, error_and_spread: FloatArray, n_prompts: int) -> tuple[float, float]:
        """How far the interval reaches below and above the expected value."""
        error, spread = error_and_spread
        away = stdtrit(max(self.n_prompts_ - 1, 1), (1 + self.level) / 2)
        half_width = float(away * spread * np.sqrt(1 / n_prompts + 1 / self.n_prompts_))
        return half_width + max(-float(error), 0.0), half_width + max(float(error), 0.0)


def _error(errors: FloatArray, columns: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Mean and standard deviation of the observed errors of the chosen models."""
    column_errors = errors[np.arange(len(errors)), columns]
    observed = column_errors[~np.isnan(column_errors)]
    return (float(observed.mean()), float(observed.std(ddof=1))) if len(observed) > 1 else (np.nan, np.nan)


def intervals_of(part: Benchmark, table: Estimates) -> tuple[ScoreInterval, UsageInterval | None]:
    """Intervals learned on validation prompts; no usage interval if only the input is charged."""
    score = ScoreInterval().fit(table.score, part.outcomes.score)
    if part.usage == "input_only":
        return score, None
    return score, UsageInterval().fit(*predicted_and_observed(part, table, part.usage))


def coverage_of(
    setting: Setting, estimates: Mapping[str, Estimates], reported: Mapping[str, Estimates]
) -> dict[str, float | None]:
    """Share of reported outcomes within the intervals that the validation prompts of their round gave.

    Parameters
    ----------
    estimates, reported : by split: estimates that the intervals are learned from, and those that they are put on.
    """
    scores: list[float | None] = []
    usages: list[float | None] = []
    for each in setting.rounds:
        score, usage = intervals_of(each.validation, each.own(estimates)["validation"])
        table, part = each.own(reported)[setting.report_on], each.test
        scores.append(score.coverage(table.score, part.outcomes.score))
        usages.append(None if usage is None else usage.coverage(*predicted_and_observed(part, table, part.usage)))
    return {"score": mean_over_rounds(scores, setting), "usage": mean_over_rounds(usages, setting)}


def mean_over_rounds(shares: Sequence[float | None], setting: Setting) -> float | None:
    """Mean over the prompts of all rounds of a share measured in each; None if it was not measured."""
    known = [share for share in shares if share is not None]
    return float(np.average(known, weights=[len(each.test.prompt_ids) for each in setting.rounds])) if known else None


def predicted_and_observed(part: Benchmark, estimates: Estimates, usage: Usage) -> tuple[FloatTable, FloatTable]:
    """(n, M) predicted and observed usage."""
    return usage_of(part, estimates.cost_usd, usage, estimates.output_tokens), part.usage_table(usage)
