"""A cascade: ask the cheapest model, judge its answer, and ask the next one where it is not good enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates, FloatTable
from carrot_core.routers.baselines import ZeroRouter
from carrot_core.routers.draws import uniform

Flags = npt.NDArray[np.bool_]

# RouterBench accepts an answer that is among the best 5 % of all answers; with right-or-wrong scores, a right one.
ACCEPTED_QUANTILE = 0.95


class Cascade:
    """Models called from cheap to dear until a judge accepts an answer or the budget for the prompt is spent.

    **Not a router one could deploy**: the judge reads the observed score of each answer, as no judge at hand
    does, and errs at a stated rate. It shows what a cascade is worth with a judge that good. Its cost adds
    up over all models called.

    The swept exchange rate r is the inverse of the budget for one prompt: a next model is called only
    while the calls, with its own, cost less than 1/r dollars (an answer is worth one score unit). So at
    λ = 0 the budget is unlimited and at λ = 1 only the cheapest model is asked. RouterBench sweeps this
    budget over a grid and looks at the cost of the next call before making it; so does this.

    Parameters
    ----------
    seed : int
        Of the judge's errors.
    models : sequence of str, str or None
        Models of the cascade; None takes the whole pool, as RouterBench does. FrugalGPT calls about three.
        They are called in the order of their mean cost on the training prompts.
    error_rate : float in [0, 1]
        How often the judge says the opposite of what the score says; drawn for each prompt and model.
    threshold : float in [0, 1] or None
        Score from which an answer is good enough; None takes the 95 % quantile of all training scores, as
        RouterBench does.

    References
    ----------
    RouterBench, arXiv 2403.12031, section "cascading routers"; FrugalGPT, arXiv 2305.05176.
    """

    name: ClassVar[str] = "cascade"

    def __init__(
        self,
        seed: int = 0,
        models: Sequence[str] | None = None,
        error_rate: float = 0.1,
        threshold: float | None = None,
    ) -> None:
        for name, value in (("error_rate", error_rate), ("threshold", threshold)):
            if value is not None and not 0 <= value <= 1:
                raise CarrotError(f"{name} of a cascade must be from 0 to 1, not {value}.")
        self.seed, self.error_rate, self.threshold = seed, error_rate, threshold
        self.models = [models] if isinstance(models, str) else None if models is None else list(models)

    def fit(self, train: Benchmark) -> Self:
        """Put the models in the order of their mean cost, and settle what is good enough."""
        pool = train if self.models is None else train.pool(self.models)
        cost = ZeroRouter().fit(pool).cost_usd_
        self.models_ = tuple(sorted(pool.models, key=lambda model: (cost[pool.models.index(model)], model)))
        score = pool.outcomes.score
        known = score[~np.isnan(score)]
        if not known.size:
            raise CarrotError(f"No training prompt of {train.name!r} has a score of any of {', '.join(self.models_)}.")
        self.threshold_ = float(np.quantile(known, ACCEPTED_QUANTILE)) if self.threshold is None else self.threshold
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        """What each prefix of the cascade costs, and estimates whose sweep is the sweep of the budget.

        Only of prompts on which all models of the cascade were observed: it reads their outcomes.
        """
        seen = bench.outcomes.pool(self.models_)
        seen = seen.rows(seen.complete)
        paid = np.cumsum(seen.cost_usd, axis=1)
        worth = _worth(seen.cost_usd, paid, self._accepts(seen.prompt_ids, seen.score))
        return Estimates(seen.prompt_ids, self.models_, worth, paid, cost_is_paid=True)

    def _accepts(self, prompt_ids: Sequence[str], score: FloatTable) -> Flags:
        """(n, M) the judge's verdict on each model's answer."""
        errs = uniform(self.seed, prompt_ids, self.models_) < self.error_rate
        verdict: Flags = (score >= self.threshold_) ^ errs
        return verdict


def _worth(cost: FloatTable, paid: FloatTable, accepts: Flags) -> FloatTable:
    """(n, M) estimates by which the rule leaves the j-th model for the one before at rate 1 / ``paid[:, j]``.

    That takes steps of cost / paid between neighbours; models after the first accepted one add nothing.
    """
    # A free call is always made: its step must not be a tie.
    steps = np.maximum(np.divide(cost, paid, out=np.zeros_like(cost), where=paid > 0), np.finfo(np.float64).eps)
    called: Flags = np.cumsum(accepts, axis=1) - accepts == 0
    return np.cumsum(np.where(called, steps, 0.0), axis=1)
