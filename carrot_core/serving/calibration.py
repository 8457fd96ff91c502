"""How far the means of many decisions lie from what was expected of them."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from carrot_core.frontier import FloatArray, Frontier, sweep_tables
from carrot_core.kept_curve import evenly
from carrot_core.outcomes import Estimates, Outcomes
from carrot_core.serving.intervals import LEVEL

_RATES = 300


class Between(NamedTuple):
    """A figure and the ends of its 90 % interval."""

    value: float
    low: float
    high: float


class Calibration:
    """Intervals for the mean score and the mean cost of n prompts, learned on validation prompts.

    A router that takes the best of several estimates takes the errors in its favour, too, so the mean of
    what it expects is off by something that depends on λ. On v validation prompts the error of each decision
    (observed minus expected) has a mean and a spread. The interval reaches from the expected mean to the one
    corrected by that error, and on both sides t · spread · sqrt(1/n + 1/v) further, which is how far the mean
    error of n prompts may lie from that of v others.

    Attributes
    ----------
    rates_ : (G,) exchange rates, score per US dollar, ascending from 0; each stands for those up to the next.
    score_errors_ : (2, G + M) mean and standard deviation of the error of a score, for the decisions at each
        rate and for each of M models used alone.
    cost_errors_ : (2, G + M) of the error in dollars, divided by the mean expected cost.
    n_prompts_ : v.
    """

    level: ClassVar[float] = LEVEL

    def fit(self, estimates: Estimates, outcomes: Outcomes, curve: Frontier) -> Self:
        """Learn from what was expected of v validation prompts and what was observed, along their curve."""
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
        """Mean score of n prompts of which ``expected`` is expected, in [0, 1]."""
        below, above = self._reach(self.score_errors_[:, at], n_prompts)
        return Between(*np.clip([expected, expected - below, expected + above], 0.0, 1.0).tolist())

    def cost_usd(self, expected: float, n_prompts: int, *, at: int) -> Between:
        """Mean or total cost of n prompts that are expected to cost that much, at least 0."""
        below, above = self._reach(self.cost_errors_[:, at], n_prompts)
        return Between(expected, expected * max(1.0 - below, 0.0), expected * (1.0 + above))

    def at_rate(self, exchange_rate_per_usd: float) -> int:
        """Which of the G + M stands for decisions at this rate."""
        return int(np.searchsorted(self.rates_, exchange_rate_per_usd, side="right")) - 1

    def at_model(self, column: int) -> int:
        """Which of the G + M stands for a model used alone."""
        return len(self.rates_) + column

    def _reach(self, error_and_spread: FloatArray, n_prompts: int) -> tuple[float, float]:
        """How far below and above what is expected the interval reaches."""
        error, spread = error_and_spread
        away = stdtrit(max(self.n_prompts_ - 1, 1), (1 + self.level) / 2)
        drawn = float(away * spread * np.sqrt(1 / n_prompts + 1 / self.n_prompts_))
        return drawn + max(-float(error), 0.0), drawn + max(float(error), 0.0)


def _error(errors: FloatArray, columns: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Mean and standard deviation of the observed errors of the chosen models."""
    chosen = errors[np.arange(len(errors)), columns]
    known = chosen[~np.isnan(chosen)]
    return (float(known.mean()), float(known.std(ddof=1))) if len(known) > 1 else (np.nan, np.nan)
