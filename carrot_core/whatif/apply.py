"""What if: a router's frontier before and after a scenario, where its point goes, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from carrot_core.bootstrap import Interval, draws, weighted_means
from carrot_core.errors import CarrotError
from carrot_core.evaluation.protocol import Setting, tasks_of
from carrot_core.frontier import FloatArray, Frontier, ReadableCurve, lam_of_rate
from carrot_core.operating_point import Solution, solve_budget, solve_target
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, most_accurate, positions
from carrot_core.whatif.repricing import columns, reprice_estimates, reprice_setting
from carrot_core.whatif.scenario import Scenario


@dataclass(frozen=True, eq=False)
class WeightedCurve:
    """A frontier on another mix of its prompts, with a fixed cost per query; readable as a frontier is.

    Attributes
    ----------
    frontier : the exact sweep.
    weights : (n,) of its prompts, mean 1.
    call_usd : dollars added to every query that the router answers.
    """

    frontier: Frontier
    weights: FloatArray
    call_usd: float

    @property
    def models(self) -> tuple[str, ...]:
        return self.frontier.models

    @property
    def n_prompts(self) -> int:
        return self.frontier.n_prompts

    @property
    def exchange_rate_per_usd(self) -> FloatArray:
        return self.frontier.exchange_rate_per_usd

    @cached_property
    def score(self) -> FloatArray:
        """(K,) weighted mean of the observed scores."""
        return self.frontier.sweep.mean_of(self._weighted(self.frontier.outcomes.score))

    @cached_property
    def cost_usd(self) -> FloatArray:
        """(K,) weighted mean of the observed costs, the fixed one included."""
        paid = self.frontier.sweep.mean_of(self._weighted(self.frontier.paid_usd))
        return np.maximum(paid, 0.0) + self.call_usd

    def at(self, exchange_rate_per_usd: float) -> int:
        """Index of the breakpoint whose choices hold at this rate."""
        return self.frontier.at(exchange_rate_per_usd)

    def shares(self, exchange_rates_per_usd: npt.ArrayLike) -> FloatArray:
        """(G, M) weighted share of the prompts that each model answers at each of G ascending rates."""
        rates, sweep, m = np.asarray(exchange_rates_per_usd, dtype=np.float64), self.frontier.sweep, len(self.models)
        bins, weight = np.searchsorted(rates, sweep.rate) * m, self.weights[sweep.prompt]
        size = (len(rates) + 1) * m
        moved = np.bincount(bins + sweep.target, weight, size) - np.bincount(bins + sweep.source, weight, size)
        begun = np.bincount(sweep.start, self.weights, m)
        shares: FloatArray = begun + np.cumsum(moved.reshape(-1, m), axis=0, dtype=np.float64)[:-1]
        return np.maximum(shares, 0.0) / self.n_prompts

    @property
    def model_score(self) -> FloatArray:
        """(M,) weighted mean score of each model alone."""
        means: FloatArray = self.weights @ self.frontier.outcomes.score / self.n_prompts
        return means

    @property
    def model_cost_usd(self) -> FloatArray:
        """(M,) weighted mean cost of each model alone, without the router."""
        means: FloatArray = self.weights @ self.frontier.outcomes.cost_usd / self.n_prompts
        return means

    @property
    def readable(self) -> ReadableCurve:
        """The frontier itself where nothing is weighted or added: charts know more of it."""
        return self.frontier if self._even and self.call_usd == 0 else self

    @cached_property
    def _even(self) -> bool:
        return bool((self.weights == 1.0).all())

    def _weighted(self, table: FloatTable) -> FloatTable:
        return table if self._even else table * self.weights[:, None]


@dataclass(frozen=True, eq=False)
class Side:
    """A router on a benchmark as it is, or as a scenario has it.

    Attributes
    ----------
    made : the protocol.
    curves, hulls : of the router and of the zero router, by split.
    best_single : most accurate single model on validation; ties: the cheapest, then the first by name.
    """

    made: Setting
    curves: Mapping[str, WeightedCurve]
    hulls: Mapping[str, WeightedCurve]
    best_single: str

    @property
    def shown(self) -> WeightedCurve:
        """The curve on the prompts reported on."""
        return self.curves[self.made.report_on]


@dataclass(frozen=True, eq=False)
class WhatIf:
    """A router before and after a scenario.

    Attributes
    ----------
    cost_unit_usd : u of the benchmark as it is, on both sides: λ stands for the same exchange rate.
    notes : what the scenario asks for and these data cannot show, in words.
    """

    scenario: Scenario
    before: Side
    after: Side
    cost_unit_usd: float
    notes: tuple[str, ...]


def apply(made: Setting, estimates: Mapping[str, Estimates], scenario: Scenario) -> WhatIf:
    """Frontiers of one fitted router before and after a scenario, on validation and on the prompts reported on.

    Parameters
    ----------
    made : the protocol, with the whole pool.
    estimates : of the router by split; nothing is fitted again.
    scenario : what changes.

    Raises
    ------
    CarrotError
        As `Scenario.check` and `reprice_estimates` say; no prompt is left with a weight above 0.
    """
    scenario.check(made)
    models = columns(made, scenario)
    changed = reprice_setting(made, models)
    return WhatIf(
        scenario,
        _side(made, estimates, Scenario()),
        _side(changed, reprice_estimates(made, estimates, models), scenario),
        made.cost_unit_usd,
        tuple(_notes(made, estimates, scenario)),
    )


def _side(made: Setting, estimates: Mapping[str, Estimates], scenario: Scenario) -> Side:
    splits = ("validation", made.report_on)
    curves = {split: _curve(made, estimates, split, scenario, scenario.call_usd) for split in splits}
    zero = made.estimates("zero")
    hulls = {split: _curve(made, zero, split, scenario, 0.0) for split in splits}
    chosen = curves["validation"]
    best = most_accurate(chosen.model_score, chosen.model_cost_usd, made.models)
    return Side(made, curves, hulls, made.models[best])


def _curve(
    made: Setting, estimates: Mapping[str, Estimates], split: str, scenario: Scenario, call_usd: float
) -> WeightedCurve:
    frontier = made.frontier(estimates, split)
    if frontier.n_prompts == 0:
        raise CarrotError(f"No {split} prompt has an outcome of all {len(made.models)} models: choose a smaller pool.")
    return WeightedCurve(frontier, _weights(made.part(split), frontier, scenario), call_usd)


def _weights(part: Benchmark, frontier: Frontier, scenario: Scenario) -> FloatArray:
    """(n,) weights of a curve's prompts by their tasks, mean 1."""
    if not scenario.task_weights:
        return np.ones(frontier.n_prompts)
    weights = np.array([scenario.task_weights.get(task, 1.0) for task in tasks_of(part, frontier)])
    mean = weights.mean()
    if mean == 0:
        raise CarrotError("Every task that is left has the weight 0: give one of them a weight above 0.")
    scaled: FloatArray = weights / mean
    return scaled


def _notes(made: Setting, estimates: Mapping[str, Estimates], scenario: Scenario) -> list[str]:
    usage, notes = made.test.usage, []
    tokens = scenario.output_token_factor != 1 or any(model.token_factor != 1 for model in scenario.hypothetical)
    if usage == "cost_usd":
        if tokens or scenario.input_factor != 1:
            notes.append("Only dollars are recorded here: factors on tokens and the cached share change nothing.")
        if scenario.price_factor != 1 or scenario.provider_factors or scenario.model_factors:
            notes.append("Only dollars are recorded here: a price factor multiplies a call's whole cost.")
    if usage == "input_only":
        priced = any(price.output_usd_per_mtok > 0 for price in scenario.prices.values())
        if tokens or priced:
            notes.append("No output tokens are recorded here: only the input is charged, whatever output costs.")
    known = set(estimates[made.report_on].models)
    for model in scenario.hypothetical:
        if model.base in known:
            notes.append(f"{model.name} is wrong where {model.base} is: its errors are copied, not measured.")
        else:
            notes.append(f"The router knows nothing of {model.base}, so it never chooses {model.name}.")
    return notes


@dataclass(frozen=True)
class Moved:
    """Where an operating point is, or goes.

    Attributes
    ----------
    what : which point, in a few words.
    exchange_rate_per_usd, lam : the point.
    validation_score, validation_cost_usd : what it does where it was chosen.
    score, cost_usd : what it does on the prompts reported on, with 95 % intervals.
    score_change, cost_change_usd : after minus before, on the same resampled prompts: of 0 it says that nothing
        changed, where the two intervals of the figures themselves may overlap all the same.
    shortfall : why a goal is not reached; empty where it is.
    """

    what: str
    exchange_rate_per_usd: float
    lam: float
    validation_score: float
    validation_cost_usd: float
    score: Interval
    cost_usd: Interval
    score_change: Interval
    cost_change_usd: Interval
    shortfall: str = ""


BEFORE, SAME_LAM, SAME_BUDGET = "Before", "Same λ", "Same budget"
SAME_ACCURACY, MATCH = "Same accuracy", "As good as the best single model"


def drift(changed: WhatIf, exchange_rate_per_usd: float, replicates: int = 1000) -> list[Moved]:
    """The point at a rate before the scenario, and after it: left alone, or solved again for what it was for.

    Parameters
    ----------
    changed : both sides.
    exchange_rate_per_usd : of the point. Its budget and its accuracy are those it has on validation.
    replicates : bootstrap draws of the intervals.
    """
    was, now = (side.curves["validation"] for side in (changed.before, changed.after))
    at = was.at(exchange_rate_per_usd)
    best = now.model_score[now.models.index(changed.after.best_single)]
    solved = {
        SAME_LAM: Solution(exchange_rate_per_usd),
        SAME_BUDGET: solve_budget(now, float(was.cost_usd[at])),
        SAME_ACCURACY: solve_target(now, float(was.score[at])),
        MATCH: solve_target(now, float(best)),
    }
    ids = list(dict.fromkeys([*_ids(changed.before.shown), *_ids(changed.after.shown)]))
    base = _drawn(changed.before.shown, exchange_rate_per_usd, ids, replicates)
    unit = changed.cost_unit_usd
    found = [_moved(BEFORE, Solution(exchange_rate_per_usd), changed.before, unit, base, base)]
    for what, point in solved.items():
        drawn = _drawn(changed.after.shown, point.exchange_rate_per_usd, ids, replicates)
        found.append(_moved(what, point, changed.after, unit, drawn, base))
    return found


def _moved(
    what: str, solution: Solution, side: Side, cost_unit_usd: float, drawn: FloatArray, base: FloatArray
) -> Moved:
    rate, chosen = solution.exchange_rate_per_usd, side.curves["validation"]
    at, change = chosen.at(rate), drawn - base
    score, cost, score_change, cost_change = (
        Interval.of(float(column[0]), column[1:]) for column in (*drawn.T, *change.T)
    )
    return Moved(
        what,
        rate,
        float(lam_of_rate(rate, cost_unit_usd)),
        float(chosen.score[at]),
        float(chosen.cost_usd[at]),
        score,
        cost,
        score_change,
        cost_change,
        solution.shortfall,
    )


def _ids(curve: WeightedCurve) -> tuple[str, ...]:
    return curve.frontier.outcomes.prompt_ids


def _drawn(curve: WeightedCurve, rate: float, ids: Sequence[str], replicates: int) -> FloatArray:
    """(1 + B, 2) mean score and cost of a curve at a rate: on its weighted prompts, and in B draws from ``ids``.

    ``ids`` are all prompts of the curves that are compared, so that these share the draws; a pool may make prompts
    complete that were not, or the other way round. A draw's weights are those of its prompts: means of weighted
    values over the mean of the weights.
    """
    frontier, rows = curve.frontier, positions(_ids(curve), ids, "prompt")
    table = np.zeros((len(ids), 3))
    picked = np.arange(frontier.n_prompts), frontier.choices(rate)
    paid = frontier.paid_usd[picked] + curve.call_usd
    values = np.column_stack([frontier.outcomes.score[picked], paid, np.ones(len(paid))])
    table[rows] = curve.weights[:, None] * values
    sums = np.vstack([table.mean(axis=0), weighted_means(table, draws(len(ids), replicates))])
    with np.errstate(invalid="ignore"):
        means: FloatArray = sums[:, :2] / sums[:, 2:]
    return means


@dataclass(frozen=True, eq=False)
class Threshold:
    """How cheap a model must get, all else equal, for a router to choose it.

    Attributes
    ----------
    model, exchange_rate_per_usd : which model, at which exchange rate.
    factor : (n,) descending: with its price times anything below this factor the model answers the prompt;
        at most 0 where it would not even for nothing, infinite where it would at any price.
    share : (n,) share of the queries that the prompts up to here make up.
    """

    model: str
    exchange_rate_per_usd: float
    factor: FloatArray
    share: FloatArray

    def factor_for(self, share: float = 0.0) -> float | None:
        """Factor below which the model answers at least this share of the queries (0: at least one prompt).

        None where it would not even for nothing.
        """
        reached = int(np.searchsorted(self.share, share - 1e-12)) if share > 0 else 0
        if reached >= len(self.factor) or self.factor[reached] <= 0:
            return None
        return float(self.factor[reached])

    def share_at(self, factor: float) -> float:
        """Share of the queries that the model answers with its price just below this factor."""
        answered = int(np.searchsorted(-self.factor, -factor, side="right"))
        return float(self.share[answered - 1]) if answered else 0.0


def worth_using(curve: WeightedCurve, model: str, exchange_rate_per_usd: float) -> Threshold:
    """Which change of a model's price would make a router use it, exactly.

    At rate r a model with predicted score ŝ and cost ĉ answers a prompt while r·f·ĉ < ŝ - v, with v the best
    predicted utility of the others: the largest such f is (ŝ - v) / (r·ĉ). At λ = 1 only the cost counts, and
    it is the cheapest other cost ÷ ĉ; at λ = 0 no price counts. Only predictions are used, no outcome.

    Raises
    ------
    NotFoundError
        The model is not in the pool.
    CarrotError
        The router never estimates it.
    """
    (column,) = positions([model], curve.models)
    estimates, rate = curve.frontier.estimates, exchange_rate_per_usd
    known = curve.frontier.known
    if not known[column]:
        raise CarrotError(f"The router knows nothing of {model}, so no price makes it choose it.")
    others = [j for j in np.flatnonzero(known) if j != column]
    cost, other_cost = estimates.cost_usd[:, column], estimates.cost_usd[:, others]
    with np.errstate(divide="ignore", invalid="ignore"):
        if np.isinf(rate):
            factor = other_cost.min(axis=1, initial=np.inf) / cost
        else:
            best = (estimates.score[:, others] - rate * other_cost).max(axis=1, initial=-np.inf)
            ahead = estimates.score[:, column] - best
            # Where its price does not count, being ahead is enough at any price.
            factor = np.where(rate * cost > 0, ahead / (rate * cost), np.where(ahead > 0, np.inf, -np.inf))
    counted = curve.weights > 0
    factor, weights = np.nan_to_num(factor[counted], nan=0.0, posinf=np.inf, neginf=-np.inf), curve.weights[counted]
    order = np.argsort(-factor, kind="stable")
    return Threshold(model, rate, factor[order], np.cumsum(weights[order]) / weights.sum())
