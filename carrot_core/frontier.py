"""The exact frontier: mean score and cost of a router for every λ at once, with no grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.outcomes import LATENCY_LEVEL, Estimates, FloatTable, Outcomes, positions
from carrot_core.switches import FloatArray as FloatArray
from carrot_core.switches import Sweep, sweep_tables, upper_hull


class ReadableCurve(Protocol):
    """What every kind of curve offers: one router's mean score and cost at every exchange rate.

    Either exact (`Frontier`) or saved from an exact one (`carrot_core.curve`).

    Attributes
    ----------
    models : M names.
    n_prompts, n_points : prompts behind it, breakpoints of the exact curve.
    exchange_rate_per_usd : (K,) score units per US dollar, from 0, ascending; point k holds on [r_k, r_k+1).
    score, cost_usd : (K,) mean score and mean cost per query in US dollars at these rates.
    score_error, cost_error_usd : (K,) standard errors of these means over prompts; None where they are not known.
    latency_s : (2, K) mean and `LATENCY_LEVEL` quantile of the chosen calls' recorded seconds; None if the latency of a
        call is not that of an answer.
    counted_switches : every switch; None if the curve does not store them, or if prompts do not count the same, so that
        counting switches does not give shares.
    """

    @property
    def models(self) -> tuple[str, ...]: ...
    @property
    def n_prompts(self) -> int: ...
    @property
    def n_points(self) -> int: ...
    @property
    def exchange_rate_per_usd(self) -> FloatArray: ...
    @property
    def score(self) -> FloatArray: ...
    @property
    def cost_usd(self) -> FloatArray: ...
    @property
    def score_error(self) -> FloatArray | None: ...
    @property
    def cost_error_usd(self) -> FloatArray | None: ...
    @property
    def latency_s(self) -> FloatArray | None: ...
    @property
    def counted_switches(self) -> Sweep | None: ...

    def at(self, exchange_rate_per_usd: float) -> int:
        """Index of the point that holds at this rate."""
        ...

    def shares(self, exchange_rates_per_usd: npt.ArrayLike) -> FloatArray:
        """(G, M) share of the prompts that each model answers at each of G ascending rates."""
        ...


@dataclass(frozen=True, eq=False)
class Frontier:
    """The exact curve of one router on one set of prompts.

    Attributes
    ----------
    estimates, outcomes : the complete prompts only, same prompts and models in both. Estimates of models
        that the router never chooses are NaN.
    n_dropped : prompts left out because a model of the pool was not observed there.
    sweep : every switch, sorted by rate.
    weights : (n,) weights of the prompts in every mean and share, mean 1; None if all count the same.
    call_usd : US dollars that every query costs in addition to its answer.
    means : (K,) scores and (K,) costs where one pass over the switches of many samples has them; None to sum them up.
    call_s : (n, M) seconds that each model's call took, NaN where not recorded; None where a model has none recorded.
    donors : (n,) row of the prompt that each prompt is drawn together with: its own, or that of its donor; None if
        all are drawn alone (`carrot_core.evaluation.missing`).
    keys : (n,) place of each prompt's text in a random order (`text_order`). None if only ids are known.
    """

    estimates: Estimates
    outcomes: Outcomes
    n_dropped: int
    sweep: Sweep
    weights: FloatArray | None = None
    call_usd: float = 0.0
    means: tuple[FloatArray, FloatArray] | None = None
    call_s: FloatTable | None = None
    donors: npt.NDArray[np.intp] | None = None
    keys: npt.NDArray[np.intp] | None = None

    @property
    def models(self) -> tuple[str, ...]:
        return self.outcomes.models

    @property
    def n_prompts(self) -> int:
        return self.outcomes.shape[0]

    @property
    def n_points(self) -> int:
        return len(self.exchange_rate_per_usd)

    @property
    def counted_switches(self) -> Sweep | None:
        """Every switch; None where prompts have weights, since a switch then moves more or less than one prompt."""
        return self.sweep if self._is_even else None

    @cached_property
    def exchange_rate_per_usd(self) -> FloatArray:
        """(K,) breakpoints: score units per US dollar, from 0, ascending; point k holds on [r_k, r_k+1)."""
        return self.sweep.breakpoints

    @cached_property
    def score(self) -> FloatArray:
        """(K,) mean observed score."""
        return self._mean_of(self.outcomes.score) if self.means is None else self.means[0]

    @cached_property
    def cost_usd(self) -> FloatArray:
        """(K,) mean observed cost per query in US dollars; need not fall with the rate, since routers err."""
        return np.maximum(self._mean_of(self.paid_usd), 0.0) + self.call_usd if self.means is None else self.means[1]

    @cached_property
    def latency_s(self) -> FloatArray | None:
        """(2, K) mean and `LATENCY_LEVEL` quantile of the seconds of the chosen calls; see `ReadableCurve`.

        None for a router that calls several models for one answer, and if prompts have weights.
        """
        if self.call_s is None or self.estimates.cost_is_paid or not self._is_even:
            return None
        known = self.sweep.mean_of((~np.isnan(self.call_s)).astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(known > 0, self.sweep.mean_of(np.nan_to_num(self.call_s)) / known, np.nan)
        return np.array([mean, self.sweep.quantile_of(self.call_s, LATENCY_LEVEL)])

    @cached_property
    def corners(self) -> npt.NDArray[np.int64]:
        """Points that are corners of the curve's hull, by ascending cost (`upper_hull`)."""
        return upper_hull(self.cost_usd, self.score)

    @cached_property
    def score_error(self) -> FloatArray:
        """(K,) standard error of the mean score over prompts."""
        return self._error_of(self.outcomes.score)

    @cached_property
    def cost_error_usd(self) -> FloatArray:
        """(K,) standard error of the mean cost over prompts, in US dollars."""
        return self._error_of(self.paid_usd)

    @cached_property
    def cost_per_solved_error_usd(self) -> FloatArray:
        """(K,) standard error over prompts of mean cost ÷ mean score, to first order; infinite where nothing is solved.

        It is the error of the mean of cost - ratio·score divided by the mean score, since the cost and the score of a
        prompt are correlated.
        """
        if self.n_prompts < 2:
            return np.full(self.n_points, np.inf)
        squares, score, cost = self.squares, self.outcomes.score, self.paid_usd + self.call_usd
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.cost_usd / self.score
            by_cost, by_both, by_score = (
                self.sweep.mean_of(squares[:, None] * one * other)
                for one, other in ((cost, cost), (cost, score), (score, score))
            )
            spread = by_cost - 2 * ratio * by_both + ratio**2 * by_score
            error = np.sqrt(np.maximum(spread, 0.0) / (self.n_prompts - 1)) / self.score
        return np.where(self.score > 0, error, np.inf)

    def lead_over(self, model: str) -> tuple[FloatArray, FloatArray]:
        """(K,) mean score minus that of a model alone, and its paired standard error.

        Wherever the router chooses another model at all, the error counts two more prompts, one won and one lost, since
        a few prompts may all score the same by luck.
        """
        (column,) = positions([model], self.models)
        apart = self.outcomes.score - self.outcomes.score[:, [column]]
        alone = self.sweep.mean_of(np.broadcast_to(np.arange(len(self.models)) == column, apart.shape).astype(float))
        luck = np.where(alone < 1.0, np.sqrt(2.0) / self.n_prompts, 0.0)
        return self.score - self.strength[model], np.hypot(self._error_of(apart), luck)

    @property
    def has_estimates(self) -> npt.NDArray[np.bool_]:
        """(M,) True for models of the pool that the router estimates on some prompt; it never chooses the others."""
        return np.asarray(~np.isnan(self.estimates.score).all(axis=0) | (self.n_prompts == 0))

    @property
    def paid_usd(self) -> FloatTable:
        """(n, M) cost of answering with each model: its call, or in a cascade all calls up to it."""
        return (self.estimates if self.estimates.cost_is_paid else self.outcomes).cost_usd

    @cached_property
    def est_score(self) -> FloatArray:
        """(K,) mean predicted score of the choices; never rises with the rate."""
        return self._mean_of(self.estimates.score)

    @cached_property
    def est_cost_usd(self) -> FloatArray:
        """(K,) mean predicted cost of the choices in US dollars; never rises with the rate."""
        return self._mean_of(self.estimates.cost_usd)

    @cached_property
    def model_score(self) -> FloatArray:
        """(M,) mean observed score of each model alone."""
        return self._mean_of_models(self.outcomes.score)

    @property
    def strength(self) -> dict[str, float]:
        """Mean observed score of each model alone, by its name."""
        return dict(zip(self.models, self.model_score.tolist(), strict=True))

    @cached_property
    def model_cost_usd(self) -> FloatArray:
        """(M,) mean observed cost of each model alone in US dollars, without the router."""
        return self._mean_of_models(self.outcomes.cost_usd)

    def rows(self, rows: npt.NDArray[np.bool_]) -> Frontier:
        """The curve on the prompts of an (n,) mask, without a new sweep; ``n_dropped`` does not change."""
        sharing = () if self.donors is None else np.unique(self.donors[rows], return_index=True, return_inverse=True)
        return replace(
            self,
            estimates=self.estimates.rows(rows),
            outcomes=self.outcomes.rows(rows),
            sweep=self.sweep.rows(rows),
            weights=None if self.weights is None else self.weights[rows] / self.weights[rows].mean(),
            means=None,
            call_s=None if self.call_s is None else self.call_s[rows],
            donors=sharing[1][sharing[2]] if sharing else None,
            keys=None if self.keys is None else self.keys[rows],
        )

    def at(self, exchange_rate_per_usd: float) -> int:
        """Index of the breakpoint whose choices hold at this rate."""
        return int(np.searchsorted(self.exchange_rate_per_usd, exchange_rate_per_usd, side="right")) - 1

    def choices(self, exchange_rate_per_usd: float | FloatArray) -> npt.NDArray[np.int16]:
        """(n,) column of the model chosen for each prompt, at this rate or at (n,) rates, one for each prompt."""
        return self.sweep.choices(exchange_rate_per_usd)

    def shares(self, exchange_rates_per_usd: npt.ArrayLike) -> FloatArray:
        """(G, M) share of the prompts that each model answers at each of G ascending rates."""
        rates, swept, m = np.asarray(exchange_rates_per_usd, dtype=np.float64), self.sweep, len(self.models)
        bins, size = np.searchsorted(rates, swept.rate) * m, (len(rates) + 1) * m
        each, first = (None, None) if self.weights is None else (self.weights[swept.prompt], self.weights)
        moved = np.zeros(size) + np.bincount(bins + swept.target, each, size)
        moved -= np.bincount(bins + swept.source, each, size)
        begun = np.bincount(swept.start, first, m)
        counts: FloatArray = begun + np.cumsum(moved.reshape(-1, m), axis=0)[:-1]
        return np.maximum(counts, 0.0) / max(self.n_prompts, 1)  # weights leave traces of rounding below 0

    @cached_property
    def _is_even(self) -> bool:
        return self.weights is None or bool((self.weights == 1.0).all())

    def _mean_of(self, table: FloatTable) -> FloatArray:
        """(K,) weighted mean of an (n, M) table under the choices at every breakpoint."""
        if self.weights is not None and not self._is_even:
            table = table * self.weights[:, None]
        return self.sweep.mean_of(table)

    def _error_of(self, table: FloatTable) -> FloatArray:
        """(K,) standard error of `_mean_of` a table over prompts; infinite if there is only one.

        A weight counts as importance: the more uneven the weights, the larger the error.
        """
        mean = self._mean_of(table)
        if self.n_prompts < 2:
            return np.full(len(mean), np.inf)
        scaled = table * (squares := self.squares)[:, None]
        spread = self.sweep.mean_of(scaled * table) - 2 * mean * self.sweep.mean_of(scaled) + mean**2 * squares.mean()
        error: FloatArray = np.sqrt(np.maximum(spread, 0.0) / (self.n_prompts - 1))
        return error

    @property
    def squares(self) -> FloatArray:
        """(n,) factor of squared deviations in a variance: weight squared, times the prompts of the donor."""
        squares = np.ones(self.n_prompts) if self.weights is None else self.weights**2
        return squares if self.donors is None else squares * np.bincount(self.donors)[self.donors]

    def _mean_of_models(self, table: FloatTable) -> FloatArray:
        """(M,) weighted mean of an (n, M) table's columns."""
        means: FloatArray = table.mean(axis=0) if self.weights is None else self.weights @ table / self.n_prompts
        return means


def sweep(estimates: Estimates, outcomes: Outcomes, models: Sequence[str] | None = None) -> Frontier:
    """Exact frontier of the estimates on the prompts where the whole pool is observed.

    Models are matched by name and prompts by id; the outcomes may hold more of both.

    Parameters
    ----------
    models : the pool; by default the models of the estimates. Others are never chosen, but must be observed on each
        prompt of the curve, as for every other router.

    Raises
    ------
    CarrotError
        No model, a model or prompt of the estimates that the outcomes lack, or no complete prompt.
    """
    outcomes = outcomes.pool(models or estimates.models)
    if outcomes.prompt_ids != estimates.prompt_ids:
        outcomes = outcomes.rows(positions(estimates.prompt_ids, outcomes.prompt_ids, "prompt"))
    n_dropped = int((~outcomes.complete).sum())
    if n_dropped:
        estimates, outcomes = estimates.rows(outcomes.complete), outcomes.rows(outcomes.complete)
    swept = sweep_tables(estimates.score, estimates.cost_usd, estimates.models)
    if outcomes.models != estimates.models:
        swept = swept.in_columns(positions(estimates.models, outcomes.models))
        estimates = estimates.widened(outcomes.models)
    return Frontier(estimates, outcomes, n_dropped, swept)


def most_accurate(score: npt.ArrayLike, cost_usd: npt.ArrayLike, models: Sequence[str]) -> int:
    """Column of the model with the highest score; ties: the cheapest, then the first by name (docs/method.md).

    It is what the rule chooses at λ = 0, for (M,) scores and costs without NaN.
    """
    rows = zip(np.negative(score).tolist(), np.asarray(cost_usd).tolist(), models, range(len(models)), strict=True)
    return min(rows)[-1]


def lam_of_rate(exchange_rate_per_usd: npt.ArrayLike, cost_unit_usd: float) -> FloatArray:
    """λ in [0, 1] of an exchange rate, given the cost unit u in dollars: λ = r·u / (1 + r·u)."""
    scaled = np.asarray(exchange_rate_per_usd, dtype=np.float64) * cost_unit_usd
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(scaled), 1.0, scaled / (1.0 + scaled))


def rate_of_lam(lam: float, cost_unit_usd: float) -> float:
    """Exchange rate in score units per US dollar of λ in [0, 1]: r = λ / ((1 - λ)·u)."""
    if not 0.0 <= lam <= 1.0:
        raise CarrotError(f"λ must be from 0 to 1, not {lam}.")
    return float("inf") if lam == 1.0 else lam / ((1.0 - lam) * cost_unit_usd)


def shortest_lam(exchange_rate_per_usd: float, cost_unit_usd: float) -> float:
    """λ of an exchange rate with the fewest digits that give exactly this rate again, so that a λ set by hand is shown
    as it was entered; all digits if no λ gives exactly this rate.
    """
    lam = float(lam_of_rate(exchange_rate_per_usd, cost_unit_usd))
    rounded = (float(f"{lam:.{digits}g}") for digits in range(1, 18))
    return next((one for one in rounded if rate_of_lam(one, cost_unit_usd) == exchange_rate_per_usd), lam)
