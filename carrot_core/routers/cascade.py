"""Cascades: ask a cheap model, judge its answer, and ask the next if it is not good enough; and CARROT-guarded.

`Cascade` is RouterBench's and FrugalGPT's, a row of models with a judge that errs at random. `verified_cascades` are
those in practical use: two models with a verifier between them. `CarrotGuarded` deviates from the zero router's choice
only if left-out prompts showed that it pays.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import combinations, product
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from carrot_core.benchmarks.split import FOLDS, LEAST_FOLDS, folds
from carrot_core.errors import CarrotError
from carrot_core.frontier import most_accurate
from carrot_core.number_formats import money
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Outcomes
from carrot_core.routers import make_router
from carrot_core.routers.base import Router
from carrot_core.routers.baselines import ZeroRouter, uniform

Flags = npt.NDArray[np.bool_]

# RouterBench accepts an answer that is among the best 5 % of all answers; with right-or-wrong scores, a right one.
ACCEPTED_QUANTILE = 0.95
_log = logging.getLogger("carrot_core")
_Tables = tuple[FloatTable, FloatTable]
_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Exchange rates: 0, and 1/64 to 64 score units per u (mean cost of the most expensive model), evenly in logarithms.
_RATES = (0.0, *(2.0 ** np.arange(-6.0, 6.1, 0.5)).tolist())
_LOSS = 0.95  # quantile of the mean gain at one λ; below 0, the loss is measurable


class Cascade:
    """Models called from cheap to expensive until a judge accepts an answer or the budget for the prompt is spent.

    **Not deployable**: the judge reads the observed score of each answer, which no real judge knows, and errs at a
    stated rate. It shows what a cascade is worth with such a judge. Its cost is the sum over all models called.

    The swept exchange rate r is the inverse of the budget for one prompt: the next model is called only if all calls
    including its own cost less than 1/r dollars (an answer is worth one score unit). So at λ = 0 the budget is
    unlimited and at λ = 1 only the cheapest model is asked. As in RouterBench, which sweeps this budget over a grid,
    the cost of the next call is known before it is made.

    Parameters
    ----------
    seed : int
        Of the judge's errors.
    models : sequence of str, str or None
        Models of the cascade; None takes the whole pool, as RouterBench does. They are called in the order
        of their mean cost on the training prompts.
    n_models : int or None
        FrugalGPT's form: the list of at most this many of the models (FrugalGPT: 3) that scores best on the training
        prompts at a mean cost of at most ``budget_usd``. None calls them all.
    budget_usd : float or None
        Budget of that choice, US dollars per query; None takes the mean cost of the best model on the training prompts.
    error_rate : float in [0, 1]
        How often the judge contradicts the score; drawn for each prompt and model.
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
        n_models: int | None = None,
        budget_usd: float | None = None,
    ) -> None:
        if n_models is not None and n_models < 1:
            raise CarrotError(f"n_models of a cascade must be at least 1, not {n_models}.")
        for name, value in (("error_rate", error_rate), ("threshold", threshold)):
            if value is not None and not 0 <= value <= 1:
                raise CarrotError(f"{name} of a cascade must be from 0 to 1, not {value}.")
        self.seed, self.error_rate, self.threshold = seed, error_rate, threshold
        self.models = [models] if isinstance(models, str) else None if models is None else list(models)
        self.n_models, self.budget_usd = n_models, budget_usd

    def fit(self, train: Benchmark) -> Self:
        """Order the models by mean cost, and set the score from which an answer is accepted."""
        pool = train if self.models is None else train.pool(self.models)
        cost = ZeroRouter().fit(pool).cost_usd_
        self.models_ = tuple(sorted(pool.models, key=lambda model: (cost[pool.models.index(model)], model)))
        score = pool.outcomes.score
        values = score[~np.isnan(score)]
        if not values.size:
            raise CarrotError(f"No training prompt of {train.name!r} has a score of any of {', '.join(self.models_)}.")
        self.threshold_ = float(np.quantile(values, ACCEPTED_QUANTILE)) if self.threshold is None else self.threshold
        if self.n_models is not None:
            self.models_ = self._best_list(pool, self.n_models)
        return self

    def _best_list(self, train: Benchmark, n_models: int) -> tuple[str, ...]:
        """The best list within the budget on the training prompts; among equals the cheapest, then the shortest."""
        outcomes = train.outcomes.pool(self.models_)
        outcomes = outcomes.rows(outcomes.complete)
        if not outcomes.prompt_ids:
            raise CarrotError(f"No training prompt of {train.name!r} has an outcome of every model to choose from.")
        accepts = self._accepts(outcomes.prompt_ids, outcomes.score)
        best = most_accurate(outcomes.score.mean(axis=0), outcomes.cost_usd.mean(axis=0), outcomes.models)
        budget = float(outcomes.cost_usd[:, best].mean()) if self.budget_usd is None else self.budget_usd
        columns = range(len(self.models_))
        lists = [list(chosen) for size in range(1, n_models + 1) for chosen in combinations(columns, size)]
        results = [(*_call_in_turn(outcomes.score, outcomes.cost_usd, accepts, chosen), chosen) for chosen in lists]
        within = [each for each in results if each[1] <= budget]
        if not within:
            raise CarrotError(f"No list of models costs {money(budget)} a query or less on the training prompts.")
        chosen = max(within, key=lambda each: (each[0], -each[1]))[2]
        return tuple(self.models_[column] for column in chosen)

    def estimate(self, bench: Benchmark) -> Estimates:
        """The cost of each prefix of the cascade, and estimates whose sweep is the sweep of the budget.

        Only prompts on which all models of the cascade were observed are included, since it reads their outcomes.
        """
        outcomes = bench.whole.pool(self.models_)
        outcomes = outcomes.rows(outcomes.complete)
        paid = np.cumsum(outcomes.cost_usd, axis=1)
        worth = _worth(outcomes.cost_usd, paid, self._accepts(outcomes.prompt_ids, outcomes.score))
        return Estimates(outcomes.prompt_ids, self.models_, worth, paid, cost_is_paid=True)

    def _accepts(self, prompt_ids: Sequence[str], score: FloatTable) -> Flags:
        """(n, M) the judge's verdict on each model's answer."""
        errs = uniform(self.seed, prompt_ids, self.models_) < self.error_rate
        verdict: Flags = (score >= self.threshold_) ^ errs
        return verdict


def _call_in_turn(score: FloatTable, cost: FloatTable, accepts: Flags, chosen: list[int]) -> tuple[float, float]:
    """Mean score and mean cost of calling these columns in turn until an answer is accepted, else all of them."""
    verdict = accepts[:, chosen]
    verdict[:, -1] = True
    answered, rows = verdict.argmax(axis=1), np.arange(len(verdict))
    paid = np.cumsum(cost[:, chosen], axis=1)
    return float(score[:, chosen][rows, answered].mean()), float(paid[rows, answered].mean())


def _worth(cost: FloatTable, paid: FloatTable, accepts: Flags) -> FloatTable:
    """(n, M) estimates by which the rule leaves the j-th model for the one before at rate 1 / ``paid[:, j]``.

    For that, neighbours differ by cost / paid; models after the first accepted one add nothing.
    """
    # A free call is always made: its step must not be a tie.
    steps = np.maximum(np.divide(cost, paid, out=np.zeros_like(cost), where=paid > 0), np.finfo(np.float64).eps)
    called: Flags = np.cumsum(accepts, axis=1) - accepts == 0
    return np.cumsum(np.where(called, steps, 0.0), axis=1)


def verified_cascades(outcomes: Outcomes, sensitivity: float, specificity: float) -> pd.DataFrame:
    """Every single model, and every cascade of a cheap model, a verifier, and an expensive one called if it rejects.

    Exact expectation over the errors of the verifier, which is free and whose errors are independent between answers;
    nothing is sampled. A score between 0 and 1 counts as the chance that an answer is right. Only prompts observed on
    every model count.

    Parameters
    ----------
    outcomes : n prompts x M models.
    sensitivity : how often the verifier accepts a right answer, 0 to 1.
    specificity : how often it rejects a wrong one, 0 to 1.

    Returns
    -------
    A row each, by cost: ``first``, ``then`` ("" for a single model), ``score``, ``cost_usd`` (both calls) and
    ``passed_on``, the share of the prompts on which the second model is asked.

    Raises
    ------
    CarrotError
        A rate beyond 0 and 1, or no prompt with an outcome of every model.
    """
    for name, value in (("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 <= value <= 1:
            raise CarrotError(f"The {name} of a verifier must be from 0 to 1, not {value}.")
    complete = outcomes.rows(outcomes.complete)
    n_prompts = len(complete.prompt_ids)
    if not n_prompts:
        raise CarrotError("No prompt has an outcome of every model, so no cascade can be measured.")
    score, cost, models = complete.score, complete.cost_usd, complete.models
    rejects = (1 - sensitivity) * score + specificity * (1 - score)
    pair_score = sensitivity * score.mean(axis=0)[:, None] + rejects.T @ score / n_prompts
    pair_cost = cost.mean(axis=0)[:, None] + rejects.T @ cost / n_prompts
    alone, passed_on = cost.mean(axis=0), rejects.mean(axis=0)
    rows = [(model, "", float(score[:, k].mean()), float(alone[k]), 0.0) for k, model in enumerate(models)]
    rows += [
        (models[j], models[k], float(pair_score[j, k]), float(pair_cost[j, k]), float(passed_on[j]))
        for j, k in np.argwhere(alone[:, None] < alone[None, :])
    ]
    table = pd.DataFrame(rows, columns=["first", "then", "score", "cost_usd", "passed_on"])
    return table.sort_values(["cost_usd", "score"], ascending=[True, False], kind="stable", ignore_index=True)


def undominated(table: pd.DataFrame) -> pd.DataFrame:
    """Pareto-optimal rows of `verified_cascades`: the corners of their frontier."""
    best_before = table["score"].cummax().shift(fill_value=-np.inf)
    return table[table["score"] > best_before].reset_index(drop=True)


class CarrotGuarded:
    """A CARROT router that follows its estimates as far as left-out training prompts support them.

    At every λ the zero router chooses the best single model by train means. The deviations of the estimates from the
    train means are scaled, those of scores by one factor and those of costs by another, so that a prompt gets another
    model only if the expected gain outweighs the average loss. The factors are chosen on the training prompts, each
    estimated by a fit that has not seen it, by the gain in utility over the zero router: among the pairs of factors
    whose gain over all λ together has a lower bound above 0, and that lose measurably at no λ, the pair with the
    highest lower bound. If there is none, both factors are 0: the router abstains and is the zero router.

    Parameters
    ----------
    seed : int
        Seed of the inner router, and of the folds.
    base : str
        Name of the inner router, a CARROT router.
    confidence : float
        Confidence of the one-sided lower bound, from 0.5 up to 1.
    n_folds : int
        Folds of the training prompts, at least 3; the inner router is fitted once more for each.
    **params
        Parameters of the inner router.

    Attributes
    ----------
    router_, means_ : the inner router and the zero router, fitted on all training prompts.
    score_factor_, cost_factor_ : float
        From 0, the train means, to 1, the estimates of the inner router.
    gain_, gain_low_ : float
        Mean gain over the zero router on the left-out training prompts, and its lower bound, in utility at λ evenly on
        a logarithmic scale of exchange rates; 0 where the router abstains.

    References
    ----------
    Thomas, Theocharous and Ghavamzadeh 2015, "High-confidence policy improvement": a policy replaces another only if
    the lower bound of its gain is above 0.
    """

    name: ClassVar[str] = "carrot-guarded"

    def __init__(
        self, seed: int = 0, base: str = "carrot-linear", confidence: float = 0.95, n_folds: int = FOLDS, **params: Any
    ) -> None:
        if base == self.name or not base.startswith("carrot-"):
            raise CarrotError(f"{self.name} guards another CARROT router, such as carrot-blend; not {base!r}.")
        if not 0.5 <= confidence < 1:
            raise CarrotError(f"confidence must be from 0.5 up to 1, not {confidence}.")
        if n_folds < LEAST_FOLDS:
            raise CarrotError(f"n_folds must be at least {LEAST_FOLDS}, not {n_folds}.")
        self.seed, self.base, self.confidence, self.n_folds, self.params = seed, base, confidence, n_folds, params
        self._within()  # raises for parameters that the inner router lacks

    def _within(self) -> Router:
        return make_router(self.base, self.seed, **self.params)

    @property
    def abstains(self) -> bool:
        """Whether every choice is the zero router's."""
        return self.score_factor_ == self.cost_factor_ == 0.0

    def fit(self, train: Benchmark) -> Self:
        self.router_, self.means_ = self._within().fit(train), ZeroRouter().fit(train)
        self.models_, self.encoder_ = train.models, train.encoder
        self.score_factor_ = self.cost_factor_ = self.gain_ = self.gain_low_ = 0.0
        estimates, means, outcomes = self._left_out(train)
        for factors in product(_FACTORS, _FACTORS) if len(outcomes[0]) else ():
            gains = _gains(_scaled(estimates, means, factors), means, outcomes)
            low = _bound(gains.mean(axis=0), 1 - self.confidence)
            if low > self.gain_low_ and (_bound(gains, _LOSS) >= 0).all():
                self.score_factor_, self.cost_factor_ = factors
                self.gain_, self.gain_low_ = float(gains.mean()), float(low)
        if self.abstains:
            _log.warning(
                "%s on %r: no gain over single models that the training prompts bear out, so it chooses as the zero "
                "router does.", self.name, train.name,
            )  # fmt: skip
        return self

    def estimate(self, bench: Benchmark) -> Estimates:
        means = self.means_.estimate(bench)
        if self.abstains:
            return means
        own = self.router_.estimate(bench)
        score, cost = _scaled(
            (own.score, own.cost_usd), (means.score, means.cost_usd), (self.score_factor_, self.cost_factor_)
        )
        tokens = own.output_tokens
        if tokens is not None and means.output_tokens is not None:
            tokens = means.output_tokens + self.cost_factor_ * (tokens - means.output_tokens)
        return Estimates(bench.prompt_ids, self.models_, score, cost, output_tokens=tokens)

    def _left_out(self, train: Benchmark) -> tuple[_Tables, _Tables, _Tables]:
        """Scores and costs, in mean costs of the most expensive model, of the training prompts with every outcome:
        estimates and train means by fits that have not seen the prompt, and outcomes.
        """
        fold = folds(train.prompt_ids, train.texts, train.tasks, self.n_folds, seed=self.seed)
        tables = np.full((2, 2, *train.outcomes.shape), np.nan)
        for here in (fold == number for number in set(fold.tolist())):
            learned, rest = train.rows(~here), train.rows(here)
            for table, router in zip(tables, (self._within(), ZeroRouter()), strict=True):
                left_out = router.fit(learned).estimate(rest)
                table[:, here] = left_out.score, left_out.cost_usd
        measured, unit = train.measured, float(self.means_.cost_usd_.max()) or 1.0  # all free: costs are 0 in any unit
        whole = measured.complete
        estimates, means = ((score[whole], cost[whole] / unit) for score, cost in tables)
        return estimates, means, (measured.score[whole], measured.cost_usd[whole] / unit)


def _scaled(estimates: _Tables, means: _Tables, factors: tuple[float, float]) -> _Tables:
    """Scores and costs from the means, at a factor of 0, to the estimates, at 1."""
    score, cost = (
        mean + factor * (table - mean) for table, mean, factor in zip(estimates, means, factors, strict=True)
    )
    return score, cost


def _gains(estimates: _Tables, means: _Tables, outcomes: _Tables) -> FloatTable:
    """(L, n) gain in observed utility of choices by the estimates over choices by the means, at each of the λ."""
    rows, gains = np.arange(len(outcomes[0])), []
    for rate in _RATES:
        chosen, single = ((score - rate * cost).argmax(axis=1) for score, cost in (estimates, means))
        utility = (outcomes[0] - rate * outcomes[1]) / (1.0 + rate)
        gains.append(utility[rows, chosen] - utility[rows, single])
    return np.array(gains)


def _bound(gains: FloatTable, quantile: float) -> FloatTable:
    """Normal quantile of the mean of n gains along the last axis."""
    bound: FloatTable = gains.mean(axis=-1) + ndtri(quantile) * gains.std(axis=-1) / np.sqrt(gains.shape[-1])
    return bound
