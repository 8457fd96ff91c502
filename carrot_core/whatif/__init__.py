"""What if: a router's frontier under other prices, tokens, tasks and models than a benchmark recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from carrot_core.bootstrap import Interval, bootstrap_counts, weighted_means
from carrot_core.errors import CarrotError
from carrot_core.evaluation.protocol import Setting, tasks_of
from carrot_core.figures.scene import Curve, Scene, by_cost, label
from carrot_core.frontier import FloatArray, Frontier, lam_of_rate, most_accurate
from carrot_core.number_formats import CostBasis, cost_basis
from carrot_core.operating_point import Solution, match_model, solve_budget, solve_target
from carrot_core.outcomes import Benchmark, Estimates, positions
from carrot_core.paths import unit_of
from carrot_core.promise import CONFIDENCE
from carrot_core.whatif.repricing import reprice_estimates, reprice_setting
from carrot_core.whatif.scenario import Scenario, columns


@dataclass(frozen=True, eq=False)
class Side:
    """A router on a benchmark as it is, or under a scenario.

    Attributes
    ----------
    setting : the protocol. curves, hulls : of the router and of the zero router, by split.
    best_single : most accurate single model on validation; ties: the cheapest, then the first by name.
    """

    setting: Setting
    curves: Mapping[str, Frontier]
    hulls: Mapping[str, Frontier]
    best_single: str

    @property
    def report_curve(self) -> Frontier:
        """The curve on the prompts reported on."""
        return self.curves[self.setting.report_on]


@dataclass(frozen=True, eq=False)
class WhatIf:
    """A router before and after a scenario.

    Attributes
    ----------
    cost_unit_usd : u of the benchmark as it is, on both sides: λ stands for the same exchange rate.
    notes : sentences on parts of the scenario that these data cannot show.
    """

    scenario: Scenario
    before: Side
    after: Side
    cost_unit_usd: float
    notes: tuple[str, ...]

    @property
    def basis(self) -> CostBasis:
        """The basis on which its costs are shown."""
        test = self.before.setting.test
        return cost_basis(self.after.report_curve.model_cost_usd, unit_of(test.name, test.data_hash))


def apply(setting: Setting, estimates: Mapping[str, Estimates], scenario: Scenario) -> WhatIf:
    """Frontiers of one fitted router before and after a scenario, on validation and on the prompts reported on.

    Parameters
    ----------
    setting : the protocol, with the whole pool.
    estimates : of the router by split; nothing is fitted again.
    scenario : what changes.

    Raises
    ------
    CarrotError
        As for `Scenario.check` and `reprice_estimates`; no prompt is left with a weight above 0.
    """
    scenario.check(setting)
    models = columns(setting, scenario)
    changed = reprice_setting(setting, models)
    return WhatIf(
        scenario,
        _side(setting, estimates, Scenario()),
        _side(changed, reprice_estimates(setting, estimates, models), scenario),
        setting.cost_unit_usd,
        tuple(_notes(setting, estimates, scenario)),
    )


def whatif_scene(changed: WhatIf, title: str, router: str) -> Scene:
    """One chart with the router's frontier before and after; models, hull and λ are those after."""
    after, curve, before = changed.after, changed.after.report_curve, changed.before.report_curve
    hull = after.hulls[after.setting.report_on]
    return Scene(
        title=title,
        curves=(
            Curve("after", f"{label(router)} after", curve),
            Curve("before", f"{label(router)} before", before),
        ),
        models=curve.models,
        model_score=curve.model_score,
        model_cost_usd=curve.model_cost_usd,
        hull_cost_usd=hull.cost_usd[::-1],
        hull_score=hull.score[::-1],
        best_single=after.best_single,
        reference=after.best_single,
        cost_unit_usd=changed.cost_unit_usd,
        n_prompts=curve.n_prompts,
        n_dropped=0,
        n_incomplete=after.setting.n_incomplete(after.setting.report_on),
        costless=after.setting.costless,
        active="after",
        chosen_on=changed.before.curves["validation"],
        palette=by_cost(before.models, before.model_cost_usd),
        unit=changed.basis.unit,
    )


def _side(setting: Setting, estimates: Mapping[str, Estimates], scenario: Scenario) -> Side:
    splits = ("validation", setting.report_on)
    curves = {split: _curve(setting, estimates, split, scenario, scenario.call_usd) for split in splits}
    zero = setting.estimates("zero")
    hulls = {split: _curve(setting, zero, split, scenario, 0.0) for split in splits}
    chosen = curves["validation"]
    best = most_accurate(chosen.model_score, chosen.model_cost_usd, setting.models)
    return Side(setting, curves, hulls, setting.models[best])


def _curve(
    setting: Setting, estimates: Mapping[str, Estimates], split: str, scenario: Scenario, call_usd: float
) -> Frontier:
    frontier = setting.frontier(estimates, split)
    if frontier.n_prompts == 0:
        raise CarrotError(
            f"No {split} prompt has an outcome of all {len(setting.models)} models: choose a smaller pool."
        )
    return replace(frontier, weights=_weights(setting.part(split), frontier, scenario), call_usd=call_usd)


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


def _notes(setting: Setting, estimates: Mapping[str, Estimates], scenario: Scenario) -> list[str]:
    usage, notes = setting.test.usage, []
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
    models = set(estimates[setting.report_on].models)
    for model in scenario.hypothetical:
        if model.base in models:
            notes.append(f"{model.name} is wrong where {model.base} is: its errors are copied, not measured.")
        else:
            notes.append(f"The router knows nothing of {model.base}, so it never chooses {model.name}.")
    return notes


@dataclass(frozen=True)
class MovedPoint:
    """An operating point before or after a scenario.

    Attributes
    ----------
    what : name of the point in a few words.
    exchange_rate_per_usd, lam : the point.
    validation_score, validation_cost_usd : its figures on validation, where it was chosen.
    score, cost_usd : its figures on the prompts reported on, with 95 % intervals.
    score_change, cost_change_usd : after minus before, on the same resampled prompts: their intervals show whether
        there is a change, even if those of the figures themselves overlap.
    shortfall : why a goal is not reached; empty if it is.
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


def move_point(changed: WhatIf, exchange_rate_per_usd: float, replicates: int = 1000) -> list[MovedPoint]:
    """The point at a rate before the scenario, and after it: unchanged, or solved again for its budget or accuracy.

    Parameters
    ----------
    changed : both sides.
    exchange_rate_per_usd : of the point. Its budget and its accuracy are those it has on validation.
    replicates : number of bootstrap draws behind the intervals.
    """
    was, now = (side.curves["validation"] for side in (changed.before, changed.after))
    at = was.at(exchange_rate_per_usd)
    solutions = {
        SAME_LAM: Solution(exchange_rate_per_usd),
        SAME_BUDGET: solve_budget(now, float(was.cost_usd[at])),
        SAME_ACCURACY: solve_target(now, float(was.score[at])),
        MATCH: match_model(now, changed.after.best_single, CONFIDENCE),
    }
    ids = list(dict.fromkeys([*_ids(changed.before.report_curve), *_ids(changed.after.report_curve)]))
    base = _replicate_means(changed.before.report_curve, exchange_rate_per_usd, ids, replicates)
    unit = changed.cost_unit_usd
    points = [_move(BEFORE, Solution(exchange_rate_per_usd), changed.before, unit, base, base)]
    for what, point in solutions.items():
        means = _replicate_means(changed.after.report_curve, point.exchange_rate_per_usd, ids, replicates)
        points.append(_move(what, point.on(changed.basis), changed.after, unit, means, base))
    return points


def _move(
    what: str, solution: Solution, side: Side, cost_unit_usd: float, means: FloatArray, base: FloatArray
) -> MovedPoint:
    rate, chosen = solution.exchange_rate_per_usd, side.curves["validation"]
    at, change = chosen.at(rate), means - base
    score, cost, score_change, cost_change = (
        Interval.of(float(column[0]), column[1:]) for column in (*means.T, *change.T)
    )
    return MovedPoint(
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


def _ids(curve: Frontier) -> tuple[str, ...]:
    return curve.outcomes.prompt_ids


def _replicate_means(curve: Frontier, rate: float, ids: Sequence[str], replicates: int) -> FloatArray:
    """(1 + B, 2) mean score and cost of a curve at a rate: on its weighted prompts, and in B draws from ``ids``.

    ``ids`` are all prompts of the compared curves, so that these share the draws; with another pool, other prompts are
    complete. Prompts keep their weights in a draw: its figures are the mean of weighted values divided by the mean
    weight.
    """
    assert curve.weights is not None  # `_curve` gives them to every curve
    rows, table = positions(_ids(curve), ids, "prompt"), np.zeros((len(ids), 3))
    cells = np.arange(curve.n_prompts), curve.choices(rate)
    paid = curve.paid_usd[cells] + curve.call_usd
    values = np.column_stack([curve.outcomes.score[cells], paid, np.ones(len(paid))])
    table[rows] = curve.weights[:, None] * values
    sums = np.vstack([table.mean(axis=0), weighted_means(table, bootstrap_counts(len(ids), replicates))])
    with np.errstate(invalid="ignore"):
        means: FloatArray = sums[:, :2] / sums[:, 2:]
    return means
