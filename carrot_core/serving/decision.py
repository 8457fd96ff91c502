"""A decision on typed prompts: which model, by how much, and for which λ it would be another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.embedding import MAX_TOKENS, Vectors
from carrot_core.frontier import lam_of_rate, sweep_tables
from carrot_core.outcomes import Estimates, FloatTable

QUERIES = 1000  # dollars are told per so many queries


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a router decides for n prompts among M models at one point.

    Attributes
    ----------
    lam, exchange_rate_per_usd, cost_unit_usd : the point: λ, r in score per US dollar, u in US dollars.
    estimates : (n, M) expected scores and costs.
    input_tokens, output_tokens : (n, M) expected; NaN where the cost is predicted without them.
    chosen : (n,) column of the model that answers.
    fell_back : (n,) whether that is the fallback, the prompt being unlike the training prompts.
    vectors : (n, d) of the prompts; None where the router reads none.
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
        """One plain document a prompt: the model, the point, and what was expected of every model."""
        return [self._record(row) for row in range(len(self.chosen))]

    def _record(self, row: int) -> dict[str, Any]:
        return {
            "model": self.estimates.models[self.chosen[row]],
            "lam": self.lam,
            # JSON has no infinity: λ = 1
            "exchange_rate_per_usd": self.exchange_rate_per_usd if self.lam < 1 else None,
            "cost_unit_usd": self.cost_unit_usd,
            "fell_back": bool(self.fell_back[row]),
            "models": {
                model: {
                    "est_score": float(self.estimates.score[row, column]),
                    "est_cost_usd": float(self.estimates.cost_usd[row, column]),
                    "est_output_tokens": _or_none(self.output_tokens[row, column]),
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
    """One decision, with all it rests on.

    Attributes
    ----------
    decision : of this prompt.
    table : a row a model, the best utility first: ``model``, ``est_score``, ``est_output_tokens``,
        ``est_cost_usd`` each with ``…_low`` and ``…_high``, ``input_tokens``, ``utility``.
    ribbon : which model for which λ, exact, from 0 to 1.
    winner, runner_up : chosen model, and the one with the best utility among the others (None in a pool of one).
    margin : of the winner's utility over the runner-up's; below 0 where the fallback answers.
    score_difference, cost_difference_usd : winner minus runner-up; NaN, as the margin, in a pool of one.
    sentence : the decision in words.
    distance_percentile : share of the validation prompts that are more like the training prompts, 0 to 100;
        None where the router has no vectors.
    unlike : whether that is at or above the limit.
    nearest : training prompts, the nearest first: ``similarity``, ``prompt``, ``task`` and what each model
        scored there; None where the training prompts are not here.
    prompt_tokens, read_tokens : tokens of the text, and how many of them the encoder read.
    seconds : what ``embed`` took, and ``decide``: estimating and choosing.
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
    read_tokens: int
    seconds: Mapping[str, float]


def ribbon(estimates: Estimates, cost_unit_usd: float) -> tuple[Segment, ...]:
    """The models chosen for the first prompt of a table as λ goes from 0 to 1, with the exact switches."""
    swept = sweep_tables(estimates.score[:1], estimates.cost_usd[:1], estimates.models)
    rates = swept.breakpoints
    chosen = [estimates.models[swept.choices(rate)[0]] for rate in rates]
    ends = [*lam_of_rate(rates, cost_unit_usd).tolist(), 1.0]
    return tuple(Segment(model, low, high) for model, (low, high) in zip(chosen, pairwise(ends), strict=True))


def explained(
    decision: Decisions,
    table: pd.DataFrame,
    *,
    percentile: float | None,
    unlike: bool,
    nearest: pd.DataFrame | None,
    prompt_tokens: int,
    seconds: Mapping[str, float],
) -> Explanation:
    """The explanation of a decision on one prompt from its table of estimates, in the order of the pool."""
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
        sentence=in_words(decision.estimates, *order[:2], fell_back=bool(decision.fell_back[0])),
        distance_percentile=percentile,
        unlike=unlike,
        nearest=nearest,
        prompt_tokens=prompt_tokens,
        read_tokens=min(prompt_tokens, MAX_TOKENS),
        seconds=seconds,
    )


def in_words(estimates: Estimates, winner: int, second: int | None = None, *, fell_back: bool) -> str:
    """A decision on one prompt for people who do not know what λ is.

    Parameters
    ----------
    winner, second : columns of the model that answers and of the one that comes after it.
    """
    models, score, cost = estimates.models, estimates.score[0], estimates.cost_usd[0]
    expected = 100 * min(max(score[winner], 0.0), 1.0)  # a linear estimate may leave the scale
    facts = f"{models[winner]} is expected to score {expected:.0f} % at {dollars(cost[winner])} per 1,000 such prompts."
    if fell_back:
        return f"This prompt is unlike the training data, so the fallback answers: {facts}"
    if second is None:
        return f"{facts} It is the only model of the pool."
    compared = _compared(100 * float(score[winner] - score[second]), float(cost[second] - cost[winner]))
    return f"{facts} Second comes {models[second]}, {compared}."


def _compared(points: float, saved_usd: float) -> str:
    """How the runner-up differs from the winner."""
    quality = f"{abs(points):.1f} points {'worse' if points > 0 else 'better'}" if abs(points) >= 0.05 else "as good"
    cost = f"{dollars(abs(saved_usd))} {'dearer' if saved_usd > 0 else 'cheaper'}" if saved_usd else "at the same cost"
    return f"{quality} and {cost}"


def dollars(usd: float) -> str:
    """US dollars of 1,000 queries that cost so much each, in three digits."""
    amount = QUERIES * usd
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:.3g}"


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
