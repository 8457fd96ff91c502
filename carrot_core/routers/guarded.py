"""CARROT-guarded: leaves the zero router's choice only where left-out prompts showed that leaving it pays."""

from __future__ import annotations

import logging
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np
from scipy.stats import norm

from carrot_core.benchmarks.split import FOLDS, LEAST_FOLDS, folds
from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates, FloatTable
from carrot_core.routers import make_router
from carrot_core.routers.base import Router
from carrot_core.routers.baselines import ZeroRouter

_log = logging.getLogger("carrot_core")

_Tables = tuple[FloatTable, FloatTable]

_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)
# With u the mean cost of the dearest model: 0, and 1/64 to 64 score units per u, evenly in logarithms.
_RATES = (0.0, *(2.0 ** np.arange(-6.0, 6.1, 0.5)).tolist())

_LOSS = 0.95  # quantile of the mean gain at one λ: where it is below 0, the loss is measurable


class CarrotGuarded:
    """A CARROT router that follows its estimates as far as left-out training prompts bear them out.

    At every λ the train means have a best single model, the zero router's choice. The departures of the estimates
    from the train means are scaled, those of scores by one factor and those of costs by another, so that a prompt
    leaves that model only where the expected gain outweighs what leaving it costs on average. The factors are chosen
    on the training prompts, each estimated by a fit that has not seen it, by the gain in utility over the zero router:
    among the pairs whose gain has a lower bound above 0, over all λ together, and that lose measurably at no λ, the
    pair with the highest lower bound. Where there is none, both factors are 0: the router abstains wholly and is the
    zero router.

    Parameters
    ----------
    seed : int
        Of the router within, and of the folds.
    base : str
        Name of the router within, a CARROT router.
    confidence : float
        Of the lower bound, from 0.5 up to 1, one-sided.
    n_folds : int
        Folds of the training prompts, at least 3; for each the router within is fitted once more.
    **params
        Parameters of the router within.

    Attributes
    ----------
    router_, means_ : the router within and the zero router, fitted on all training prompts.
    score_factor_, cost_factor_ : float
        From 0, the train means, to 1, the estimates of the router within.
    gain_, gain_low_ : float
        Mean gain over the zero router on the left-out training prompts, and its lower bound, in utility at λ evenly on
        a logarithmic scale of exchange rates; 0 where the router abstains.

    References
    ----------
    Thomas, Theocharous and Ghavamzadeh 2015, "High-confidence policy improvement": a policy is left for another only
    where the lower bound of the gain is above 0.
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
        self._within()  # refuses what the router within does not know

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
        """Scores and costs, in mean costs of the dearest model, of the training prompts with every outcome: estimates
        and train means by fits that have not seen the prompt, and outcomes.
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
    """Scores and costs between the means, at a factor of 0, and the estimates, at 1."""
    score, cost = (
        mean + factor * (table - mean) for table, mean, factor in zip(estimates, means, factors, strict=True)
    )
    return score, cost


def _gains(estimates: _Tables, means: _Tables, outcomes: _Tables) -> FloatTable:
    """(L, n) what the choices by the estimates gain over those by the means, in observed utility at each of the λ."""
    rows, gains = np.arange(len(outcomes[0])), []
    for rate in _RATES:
        chosen, single = ((score - rate * cost).argmax(axis=1) for score, cost in (estimates, means))
        utility = (outcomes[0] - rate * outcomes[1]) / (1.0 + rate)
        gains.append(utility[rows, chosen] - utility[rows, single])
    return np.array(gains)


def _bound(gains: FloatTable, quantile: float) -> FloatTable:
    """Normal quantile of the mean of n gains, the last axis."""
    bound: FloatTable = gains.mean(axis=-1) + norm.ppf(quantile) * gains.std(axis=-1) / np.sqrt(gains.shape[-1])
    return bound
