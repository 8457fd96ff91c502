"""What the points of a curve promise of new prompts, with what probability.

Other prompts keep a mean over the prompts a point was chosen on about every second time. A promise leaves a margin for
the luck of both (``docs/method.md``, "What a point promises").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carrot_core.benchmarks.split import random_order
from carrot_core.errors import CarrotError
from carrot_core.frontier import FloatArray, Frontier, ReadableCurve
from carrot_core.metrics import cost_per_solved
from carrot_core.number_formats import CostBasis, call_cost, percent, points, solved_cost

CONFIDENCE = 0.9  # of what a point promises, unless another is asked for
EVEN = 0.5  # the confidence of the mean as it is: new prompts keep it about every second time


@dataclass(frozen=True)
class Promise:
    """What a point promises of the mean over new prompts, drawn like those it was chosen on and as many.

    Attributes
    ----------
    of : "score", "cost_usd", "cost_per_solved" in US dollars, or "score_difference" to the model to match.
    confidence : probability with which it holds.
    value : the mean on the prompts it was chosen on.
    bound : the least score or difference, or the most cost, that is promised.
    n_prompts : how many prompts the mean is over.
    """

    of: str
    confidence: float
    value: float
    bound: float
    n_prompts: int


def check_confidence(confidence: float) -> float:
    """A probability with which something is promised.

    Raises
    ------
    CarrotError
        It is under 0.5, or no less than 1: nothing is sure.
    """
    if not EVEN <= confidence < 1:
        raise CarrotError(f"A confidence is a probability from 0.5 to under 1, not {confidence:g}{_meant(confidence)}.")
    return confidence


def _meant(value: float) -> str:
    """What a number above 1 is as a part of 1, if it was meant in per cent."""
    return f"; for {value:g} % write {value / 100:g}" if 1 < value <= 100 else ""


def check_target(target_score: float) -> float:
    """A least accuracy as a part of 1.

    Raises
    ------
    CarrotError
        It is not from 0 to 1.
    """
    if not 0 <= target_score <= 1:
        raise CarrotError(f"A target is an accuracy from 0 to 1, not {target_score:g}{_meant(target_score)}.")
    return target_score


@dataclass(frozen=True, eq=False)
class Bounds:
    """What every point of a curve promises of one mean; see `Promise`.

    ``mean`` and ``bound`` are (K,).
    """

    of: str
    confidence: float
    mean: FloatArray
    bound: FloatArray
    n_prompts: int

    def at(self, point: int) -> Promise:
        """The promise of one point."""
        mean, limit = float(self.mean[point]), float(self.bound[point])
        return Promise(self.of, self.confidence, mean, limit, self.n_prompts)


def least_of(
    mean: FloatArray, error: FloatArray | None, n_prompts: int, confidence: float, ahead: float = np.inf
) -> FloatArray:
    """(K,) what each point of a curve promises at least, so that the promise of a point chosen by it holds.

    The mean over as many new prompts varies as much as that over those at hand, so the margin is √2 standard errors
    times Student's quantile. Many points are looked at, and the cheapest that passes may pass by luck: so each promises
    no more than any point on the way to it from the surest one, and the choice is that of tests in a fixed order that
    end at the first failure. At a confidence of 0.5 it is the mean as it is.

    Parameters
    ----------
    mean, error : (K,) means over the prompts at hand, the larger the better, and their standard errors.
    n_prompts : how many prompts these are.
    ahead : most standard errors that a point is ahead of the goal, to leave out the luck in that (`_margin`).

    Raises
    ------
    CarrotError
        The errors are not known, and the confidence is above 0.5.
    """
    if check_confidence(confidence) == EVEN:
        return mean
    error = _present(error)
    at_default, least = (mean - _margin(n_prompts, level, ahead) * error for level in (CONFIDENCE, confidence))
    return _on_the_way(least, int(at_default.argmax()))


def targets_of(mean: FloatArray, error: FloatArray | None, n_prompts: int, confidence: float) -> FloatArray:
    """(K,) the highest target that each point of a curve promises; parameters and errors are those of `least_of`.

    A target near the highest mean is reached mostly by luck. If the surest point is ahead of it by z standard errors,
    it is truly ahead by about z - 1 / z: Tweedie's formula, with leads alike at every scale, since a target may be
    anywhere. So 1 / z is added to the margin, and T = mean - (q + 1 / z)·error with z = (m - T) / s is a quadratic
    equation in m - T. The surest point promises least of its own mean; far below it little is given away.
    """
    if check_confidence(confidence) == EVEN:
        return mean
    error = _present(error)
    at_default, quantile = (_margin(n_prompts, level) for level in (CONFIDENCE, confidence))
    surest = int((mean - (at_default + np.sqrt(at_default**2 + 4.0)) / 2 * error).argmax())
    below = quantile * error + mean[surest] - mean
    return _on_the_way(mean[surest] - (below + np.sqrt(below**2 + 4.0 * error[surest] * error)) / 2, surest)


def _present(error: FloatArray | None) -> FloatArray:
    """The errors of the means, without which nothing more than these can be promised."""
    if error is None:
        raise CarrotError("This curve was saved without the errors of its means, so no point of it can promise more.")
    return error


def _on_the_way(least: FloatArray, surest: int) -> FloatArray:
    """(K,) the least of each point and of those on the way to it from the surest one.

    The surest is the same for every confidence, so a higher one promises less everywhere.
    """
    before, after = np.minimum.accumulate(least[surest::-1])[::-1], np.minimum.accumulate(least[surest:])
    return np.concatenate([before, after[1:]])


def _margin(n_prompts: int, confidence: float, ahead: float = np.inf) -> float:
    """Standard errors between a mean and what is promised of it over as many new prompts.

    A point that is hardly ahead of its goal is so mostly by luck. If it is ``ahead`` by z standard errors, it is truly
    ahead by about z - 2 / z: Tweedie's formula, with leads as a Cauchy distribution has them, many near 0 and a few
    large. So 2 / z is added, and nothing passes from 1 on downwards.
    """
    from scipy.special import stdtrit  # only where something is promised

    return float(np.sqrt(2.0) * stdtrit(max(n_prompts - 1, 1), confidence)) + 2.0 / max(ahead, 1.0)


def score_bounds(curve: ReadableCurve, confidence: float, error: FloatArray | None = None) -> Bounds:
    """The least mean score that each point promises, also as a target; ``error`` (K,) stands in for the curve's own."""
    n = curve.n_prompts
    if error is None and confidence > EVEN:
        error = curve.score_error
    return Bounds("score", confidence, curve.score, targets_of(curve.score, error, n, confidence), n)


def cost_bounds(curve: ReadableCurve, confidence: float, error: FloatArray | None = None) -> Bounds:
    """The most mean cost in US dollars that each point promises; ``error`` (K,) stands in for the curve's own."""
    n = curve.n_prompts
    if error is None and confidence > EVEN:
        error = curve.cost_error_usd
    return Bounds("cost_usd", confidence, curve.cost_usd, -least_of(-curve.cost_usd, error, n, confidence), n)


def solved_bounds(curve: ReadableCurve, confidence: float, error: FloatArray | None = None) -> Bounds:
    """The most US dollars per solved task that each point promises; ``error`` (K,) stands in for `solved_error`.

    Raises
    ------
    CarrotError
        The curve was saved without its prompts, and the confidence is above 0.5.
    """
    n, ratio = curve.n_prompts, cost_per_solved(curve.cost_usd, curve.score)
    if error is None and isinstance(curve, Frontier) and confidence > EVEN:
        error = solved_error(curve, confidence)
    return Bounds("cost_per_solved", confidence, ratio, -least_of(-ratio, error, n, confidence), n)


def solved_error(curve: Frontier, confidence: float) -> FloatArray:
    """(K,) standard errors of the cost per solved task and, at every point as much, of the luck of a choice by it.

    That is as much as makes the least that any point promises `least_solved_usd`; infinite where that is.
    """
    error = curve.cost_per_solved_error_usd
    if confidence == EVEN:
        return error
    least = least_solved_usd(curve, confidence)
    if np.isinf(least):
        return np.full(len(error), np.inf)
    own = float(solved_bounds(curve, confidence, error).bound.min())
    return error + max(least - own, 0.0) / _margin(curve.n_prompts, confidence)


def least_solved_usd(curve: Frontier, confidence: float) -> float:
    """The most US dollars per solved task that the point which promises the least of them keeps to.

    The point is chosen by the very figure it promises, so luck chooses too, and its own bound is too low. Each half
    of the prompts is judged at the point that the other half chooses, which no luck of its own helps. Its margin is on
    the logarithm, since few dear calls skew the ratio upwards. Of two ways to halve, the larger bound counts. Halves
    are by the hash of the text, which prompts of one text share, whatever the order of the prompts.

    Returns
    -------
    The bound, infinite where a half has no prompt or nothing is solved.
    """
    n, keys = curve.n_prompts, random_order(curve.outcomes.prompt_ids) if curve.keys is None else curve.keys
    place = np.unique(keys, return_inverse=True)[1]
    weights = np.ones(n) if curve.weights is None else curve.weights
    bounds = []
    for half in (place % 2 == 0, place // 2 % 2 == 0):
        if half.all() or not half.any():
            return float("inf")
        rates = np.empty(n)
        for one in (half, ~half):
            others = curve.rows(~one)
            bound = solved_bounds(others, confidence, others.cost_per_solved_error_usd).bound
            rates[one] = others.exchange_rate_per_usd[bound.argmin()]
        at = np.arange(n), curve.choices(rates)
        cost, score = curve.paid_usd[at] + curve.call_usd, curve.outcomes.score[at]
        solved = float(np.mean(weights * score))
        if not solved:
            return float("inf")
        ratio = float(np.mean(weights * cost)) / solved
        error = np.sqrt(np.mean(curve.squares * (cost - ratio * score) ** 2) / (n - 1)) / solved
        bounds.append(ratio if not ratio else ratio * np.exp(_margin(n, confidence) * error / ratio))
    return float(max(bounds))


def lead_bounds(curve: Frontier, model: str, confidence: float, error: FloatArray | None = None) -> Bounds:
    """The least mean score minus that of a model alone that each point promises; ``error`` as for the others.

    Raises
    ------
    NotFoundError
        The model is not in the pool.
    """
    lead, own_error = curve.lead_over(model)
    error = own_error if error is None else error
    ahead = float(np.max(lead[error > 0] / error[error > 0], initial=-np.inf))
    least = least_of(lead, error, curve.n_prompts, confidence, ahead)
    return Bounds("score_difference", confidence, lead, least, curve.n_prompts)


def default_confidence(curve: ReadableCurve) -> float:
    """`CONFIDENCE`; `EVEN` where a curve was saved without the errors that more needs."""
    return EVEN if curve.score_error is None or curve.cost_error_usd is None else CONFIDENCE


def confidence_text(confidence: float) -> str:
    """A confidence in words: 90 % confidence."""
    return f"{100 * confidence:.6g} % confidence"


def promise_text(promise: Promise, basis: CostBasis | None = None) -> str:
    """What is promised, in a sentence without its stop; costs are on a ``basis``, by default each on its own."""
    more = f" {points(promise.bound)}" if promise.of == "score_difference" and round(promise.bound, 3) else ""
    what = {
        "score": f"a mean score of at least {percent(promise.bound, digits=2)}",
        "cost_usd": f"a mean cost of at most {call_cost(promise.bound, basis=basis)}",
        "cost_per_solved": f"a mean cost of at most {solved_cost(promise.bound, basis=basis)}",
        "score_difference": f"a mean score of at least that of the model alone{more}",
    }[promise.of]
    return f"{confidence_text(promise.confidence)} that {promise.n_prompts:,} new prompts like these have {what}"
