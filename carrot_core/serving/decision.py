"""A decision on typed prompts: its options, the chosen model, the margin, and the choice at every other λ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, TypedDict, Unpack, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.embedding import Vectors
from carrot_core.errors import CarrotError
from carrot_core.frontier import lam_of_rate, rate_of_lam
from carrot_core.number_formats import CALL, PER_1K, CostBasis, call_cost, cost_basis, percent, without_nan
from carrot_core.operating_point import solve_budget, solve_target
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, positions
from carrot_core.promise import check_target, default_confidence
from carrot_core.routers.neighbours import Vectors as UnitVectors
from carrot_core.routers.neighbours import nearest, unit_vectors
from carrot_core.serving.expectation import Labels, Part, Prices
from carrot_core.serving.point import PointFile
from carrot_core.serving.profile import UNLIKE_FROM, RouterProfile
from carrot_core.switches import sweep_tables

MU_UNIT_USD = 0.01  # cost unit of the authors' wrapper
_NEAREST = 5


class Options(TypedDict, total=False):
    """Options of a decision; see `CarrotRouter.decide`."""

    lam: float | None
    budget: float | None
    target: float | None
    mu: float | None
    pool: Sequence[str] | None
    prices: Prices | None
    fallback: str | None
    fallback_above: float | None


class Terms(NamedTuple):
    """Checked options of a decision: the point, the columns of the pool, prices, fallback and its percentile."""

    rate: float
    lam: float
    columns: npt.NDArray[np.intp]
    prices: Prices | None
    fallback: str | None
    fallback_above: float


def terms_of(
    models: Sequence[str], profile: RouterProfile, point: PointFile | None, **options: Unpack[Options]
) -> Terms:
    """Check options and fill in missing ones from the operating point.

    An option that is None is missing, except for the fallback: None switches it off.

    Raises
    ------
    NotFoundError
        A model that the router does not know, or a fallback outside the pool.
    CarrotError
        A value out of bounds, an empty pool, more than one way to name the point, or a budget or target although no
        curve was measured.
    """
    if unknown := options.keys() - Options.__optional_keys__:
        raise TypeError(f"A decision has no option {min(unknown)!r}.")
    values = cast(Options, {name: each for name, each in options.items() if each is not None or name == "fallback"})
    own: Options = {}
    if point is not None:
        own = {"pool": point.pool, "fallback": point.fallback, "fallback_above": point.fallback_above}
    measured = "pool" not in values and not values.get("prices") and (point is None or point.test is not None)
    if not measured and ("budget" in values or "target" in values):
        raise CarrotError(
            "A budget or target is solved on the validation curve of the whole pool at the prices of the "
            "benchmark: with a pool or prices of your own, give lam or mu."
        )
    default = profile.default_lam if point is None else point.lam
    lam, budget, target, mu = values.get("lam"), values.get("budget"), values.get("target"), values.get("mu")
    rate = rate_at(profile, default, lam=lam, budget=budget, target=target, mu=mu)
    if lam is None:
        # Keep the λ of the call: converting it to a rate and back may round.
        solved = any(way is not None for way in (budget, target, mu))
        lam = float(lam_of_rate(rate, profile.cost_unit_usd)) if solved else default
    terms = own | values
    columns, fallback, above = _columns(terms.get("pool"), models), terms.get("fallback"), terms.get("fallback_above")
    if fallback is not None:
        positions([fallback], [models[column] for column in columns])
    above = UNLIKE_FROM if above is None else above
    if not 0 <= above <= 100:
        raise CarrotError(f"fallback_above is a percentile from 0 to 100, not {above:g}.")
    prices = values.get("prices")
    if point is not None:
        prices = {**point.token_prices, **(prices or {})}
    return Terms(rate, float(lam), columns, prices, fallback, above)


def rate_at(profile: RouterProfile, default_lam: float, **ways: float | None) -> float:
    """Exchange rate of a point; all ``ways`` to name it but one are None, or all (`CarrotRouter.rate`)."""
    values = {name: float(value) for name, value in ways.items() if value is not None}
    if len(values) > 1:
        raise CarrotError(f"Give one of {', '.join(values)}: each says by itself which point is meant.")
    name, value = next(iter(values.items()), ("lam", default_lam))
    if name in ("lam", "mu"):
        if not 0.0 <= value <= 1.0:
            raise CarrotError(f"{name} must be from 0 to 1, not {value:g}.")
        return rate_of_lam(value, profile.cost_unit_usd if name == "lam" else MU_UNIT_USD)
    curve = profile.curves["validation"]
    confidence = default_confidence(curve)
    if name == "budget":
        solution = solve_budget(curve, value / PER_1K.calls, confidence)
    else:
        solution = solve_target(curve, check_target(value), confidence)
    if solution.shortfall:
        raise CarrotError(f"On validation {solution.shortfall}.")
    return solution.exchange_rate_per_usd


def _columns(pool: Sequence[str] | None, models: Sequence[str]) -> npt.NDArray[np.intp]:
    if pool is None:
        return np.arange(len(models))
    if isinstance(pool, str) or not pool:
        raise CarrotError("A pool is a list of at least one model; leave it out for the router's own.")
    if len(set(pool)) < len(pool):
        raise CarrotError("A model is in the pool twice.")
    return positions(pool, models)


@dataclass(frozen=True, eq=False)
class Decisions:
    """A router's decisions on n prompts among M models at one point.

    Attributes
    ----------
    lam, exchange_rate_per_usd, cost_unit_usd : the point: λ, r in score per US dollar, u in US dollars.
    estimates : (n, M) expected scores and costs.
    input_tokens, output_tokens : (n, M) expected; NaN where the cost is predicted without them.
    chosen : (n,) column of the model that answers.
    fell_back : (n,) whether the fallback answers because the prompt is unlike the training prompts.
    labels : task labels of the prompts.
    vectors : (n, d) of the prompts; None if the router reads none.
    own_prices : whether prices other than the benchmark's were given.
    """

    lam: float
    exchange_rate_per_usd: float
    cost_unit_usd: float
    estimates: Estimates
    input_tokens: FloatTable
    output_tokens: FloatTable
    chosen: npt.NDArray[np.intp]
    fell_back: npt.NDArray[np.bool_]
    labels: Labels
    vectors: Vectors | None = None
    own_prices: bool = False

    @property
    def models(self) -> list[str]:
        """The model of each prompt."""
        return [self.estimates.models[column] for column in self.chosen]

    @cached_property
    def utility(self) -> FloatTable:
        """(n, M) (1 - λ)·score - λ·cost/u."""
        utility: FloatTable = (
            1 - self.lam
        ) * self.estimates.score - self.lam * self.estimates.cost_usd / self.cost_unit_usd
        return utility

    def records(self) -> list[dict[str, Any]]:
        """One plain document per prompt: the model, the point, and the estimates of every model."""
        return [self._record(row) for row in range(len(self.chosen))]

    def _record(self, row: int) -> dict[str, Any]:
        return {
            "model": self.estimates.models[self.chosen[row]],
            "lam": self.lam,
            "exchange_rate_per_usd": without_nan(self.exchange_rate_per_usd),
            "cost_unit_usd": self.cost_unit_usd,
            "fell_back": bool(self.fell_back[row]),
            "task": self.labels.used[row] or None,
            "task_note": self.labels.notes[row] or None,
            "models": {
                model: {
                    "est_score": float(self.estimates.score[row, column]),
                    "est_cost_usd": float(self.estimates.cost_usd[row, column]),
                    "est_output_tokens": without_nan(float(self.output_tokens[row, column])),
                    "utility": float(self.utility[row, column]),
                }
                for column, model in enumerate(self.estimates.models)
            },
        }


@dataclass(frozen=True)
class Segment:
    """A stretch of λ in which one model is chosen."""

    model: str
    lam_from: float
    lam_to: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """One decision and its reasons.

    Attributes
    ----------
    decision : the decision on this prompt.
    table : one row per model, the best utility first: ``model``, ``est_score``, ``est_output_tokens``,
        ``est_cost_usd`` each with ``…_low`` and ``…_high``, ``input_tokens``, ``utility``.
    ribbon : the chosen model at each λ from 0 to 1, exact.
    winner, runner_up : chosen model, and the one with the best utility among the others (None in a pool of one).
    margin : the winner's utility minus the runner-up's; may be below 0 if the fallback answers.
    score_difference, cost_difference_usd : winner minus runner-up; like the margin NaN in a pool of one.
    sentence : the decision in words.
    distance_percentile : share of the validation prompts that are more like the training prompts, 0 to 100;
        None if the router has no vectors.
    unlike : whether that is at or above the limit.
    nearest : training prompts, the nearest first: ``similarity``, ``prompt_id``, ``prompt``, ``task`` and each model's
        score there; None if the training prompts are not on this machine.
    prompt_tokens : tokens of the text.
    parts, part : the parts of the text, each as long as the encoder can read at once (`text_parts`),
        and the index of the one that it read.
    seconds : time for ``embed``, and for ``decide`` (estimating and choosing).
    """

    decision: Decisions
    table: pd.DataFrame
    ribbon: tuple[Segment, ...]
    winner: str
    runner_up: str | None
    margin: float
    score_difference: float
    cost_difference_usd: float
    sentence: str
    distance_percentile: float | None
    unlike: bool
    nearest: pd.DataFrame | None
    prompt_tokens: int
    parts: tuple[Part, ...]
    part: int
    seconds: Mapping[str, float]

    @property
    def read_tokens(self) -> int:
        """Number of tokens that the encoder read."""
        return self.parts[self.part].n_tokens


def ribbon(estimates: Estimates, cost_unit_usd: float) -> tuple[Segment, ...]:
    """The models chosen for the first prompt of a table as λ goes from 0 to 1, with the exact λ of each switch."""
    swept = sweep_tables(estimates.score[:1], estimates.cost_usd[:1], estimates.models)
    rates = swept.breakpoints
    chosen = [estimates.models[swept.choices(rate)[0]] for rate in rates]
    ends = [*lam_of_rate(rates, cost_unit_usd).tolist(), 1.0]
    return tuple(Segment(model, low, high) for model, (low, high) in zip(chosen, pairwise(ends), strict=True))


def make_explanation(
    decision: Decisions,
    table: pd.DataFrame,
    *,
    percentile: float | None,
    unlike: bool,
    nearest: pd.DataFrame | None,
    prompt_tokens: int,
    parts: tuple[Part, ...],
    part: int,
    seconds: Mapping[str, float],
    unit: str = CALL,
) -> Explanation:
    """Explain a decision on one prompt by its table of estimates, which is in the order of the pool; costs are per
    ``unit``."""
    utility, winner = decision.utility[0], int(decision.chosen[0])
    order = [winner, *(row for row in np.argsort(-utility, kind="stable") if row != winner)]
    ranked = table.drop(columns="prompt").assign(utility=utility).iloc[order].reset_index(drop=True)
    compared = ranked[["utility", "est_score", "est_cost_usd"]].to_numpy()
    margin, score, cost = compared[0] - compared[1] if len(compared) > 1 else np.full(3, np.nan)
    return Explanation(
        decision=decision,
        table=ranked,
        ribbon=ribbon(decision.estimates, decision.cost_unit_usd),
        winner=ranked["model"][0],
        runner_up=ranked["model"][1] if len(ranked) > 1 else None,
        margin=float(margin),
        score_difference=float(score),
        cost_difference_usd=float(cost),
        sentence=in_words(decision.estimates, *order[:2], fell_back=bool(decision.fell_back[0]), unit=unit),
        distance_percentile=percentile,
        unlike=unlike,
        nearest=nearest,
        prompt_tokens=prompt_tokens,
        parts=parts,
        part=part,
        seconds=seconds,
    )


def nearest_prompts(vector: Vectors, train: Benchmark, train_vectors: UnitVectors) -> pd.DataFrame:
    """The training prompts nearest to a (d,) vector, as `Explanation.nearest` has them."""
    similarity, rows = nearest(unit_vectors(vector[None]), train_vectors, min(_NEAREST, len(train.prompt_ids)))
    near = train.rows(rows[0])
    scores = dict(zip(near.models, near.outcomes.score.T, strict=True))
    named = {"similarity": similarity[0], "prompt_id": near.prompt_ids, "prompt": near.texts, "task": near.tasks}
    return pd.DataFrame(named | scores)


def in_words(
    estimates: Estimates,
    winner: int,
    second: int | None = None,
    *,
    fell_back: bool,
    basis: CostBasis | None = None,
    unit: str = CALL,
) -> str:
    """Describe a decision on one prompt to people who do not know what λ is.

    Parameters
    ----------
    winner, second : columns of the model that answers and of the runner-up.
    basis : of the costs; by default each is on that of its size, per ``unit``.
    """

    def dollars(usd: float) -> str:
        return call_cost(usd, basis=basis or cost_basis(usd, unit))

    models, score, cost = estimates.models, estimates.score[0], estimates.cost_usd[0]
    expected = percent(min(max(score[winner], 0.0), 1.0), digits=0)  # a linear estimate may leave the scale
    facts = f"{models[winner]} is expected to score {expected} at {dollars(cost[winner])}."
    if fell_back:
        return f"This prompt is unlike the training data, so the fallback answers: {facts}"
    if second is None:
        return f"{facts} It is the only model of the pool."
    points, saved_usd = 100 * float(score[winner] - score[second]), float(cost[second] - cost[winner])
    quality = f"{abs(points):.1f} points {'worse' if points > 0 else 'better'}" if abs(points) >= 0.05 else "as good"
    apart = f"{dollars(abs(saved_usd))} {'more expensive' if saved_usd > 0 else 'cheaper'}"
    return f"{facts} Second comes {models[second]}, {quality} and {apart if saved_usd else 'at the same cost'}."
