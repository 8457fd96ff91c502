"""Metrics of a cost-accuracy curve, one definition each (``docs/method.md``, "Metrics").

All work on the common cost interval [cheapest, most expensive single model of the pool], so that curves of
different routers on the same prompts are comparable. Costs are mean US dollars per query, scores are
means in [0, 1]. Every function takes one curve of G points, or B bootstrap replicates of it as (B, G)
tables with one interval or target each, and returns one figure for each curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from carrot_core.frontier import FloatArray
from carrot_core.outcomes import LATENCY_LEVEL
from carrot_core.switches import _upper_hull

BUDGETS = 101  # evenly spaced budgets on the common interval, at which curves are compared
ARENA_BETA, ARENA_CHEAPEST, ARENA_EXPENSIVE = 0.1, 0.0044, 200.0  # US dollars per 1,000 queries


@dataclass(frozen=True)
class Metric:
    """Label, direction and unit of a figure.

    Attributes
    ----------
    label : name on pages and in reports.
    term : where ``docs/glossary.md`` defines it, the end of its address there.
    higher_is_better : direction.
    in_usd : whether it is in US dollars; any other figure is a fraction, shown times 100.
    """

    label: str
    term: str
    higher_is_better: bool = True
    in_usd: bool = False

    @property
    def times(self) -> float:
        """Factor by which a value is multiplied when shown."""
        return 1.0 if self.in_usd else 100.0


METRICS = {
    "routing_accuracy": Metric("accuracy at λ = 0", "routing-accuracy"),
    "peak": Metric("peak score", "peak"),
    "aiq_corrected": Metric("corrected AIQ", "corrected-aiq"),
    "aiq": Metric("AIQ", "aiq"),
    "aiq_chosen": Metric("chosen AIQ", "chosen-aiq"),
    "audc": Metric("AUDC", "audc"),
    "qnc": Metric("QNC", "qnc", higher_is_better=False),
    "cost_save": Metric("CostSave", "costsave"),
    "gap_oracle": Metric("Gap@O", "gap-o", higher_is_better=False),
    "gain_best_single": Metric("Gain@B", "gain-b"),
    "gain_random": Metric("Gain@R", "gain-r"),
    "pareto_dist": Metric("ParetoDist", "paretodist", higher_is_better=False),
    "arena": Metric("Arena score", "arena-score"),
    "cost_per_solved": Metric(
        "least cost per solved task", "cost-per-solved-task", higher_is_better=False, in_usd=True
    ),
    "matched_score_difference": Metric("score difference at the matched point", "matched-point"),
    "matched_saving": Metric("saving at the matched point", "saving-at-equal-score"),
    "apgr": Metric("APGR", "apgr"),
    "cpt_50": Metric("CPT(50 %)", "cpt", higher_is_better=False),
    "cpt_80": Metric("CPT(80 %)", "cpt", higher_is_better=False),
}
HEADLINE = "aiq_corrected"  # the metric that routers are compared in if only one is shown


def share_saved(cost_usd: npt.ArrayLike, reference_usd: npt.ArrayLike) -> FloatArray:
    """1 - cost / the reference's cost, of each pair; NaN where the reference is free, so that nothing can be saved."""
    cost, reference = np.asarray(cost_usd, np.float64), np.asarray(reference_usd, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reference > 0, 1 - cost / reference, np.nan)


def cost_per_solved(cost_usd: npt.ArrayLike, score: npt.ArrayLike) -> FloatArray:
    """US dollars per solved task: mean cost ÷ mean score, of each pair; infinite where nothing is solved.

    A score between 0 and 1 solves that part of a task.
    """
    cost, solved = np.asarray(cost_usd, np.float64), np.asarray(score, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(solved <= 0, np.inf, cost / solved)


def latency_of_models(call_s: FloatArray) -> FloatArray:
    """(2, M) mean and `LATENCY_LEVEL` quantile of the seconds that each model's calls took.

    ``call_s`` (n, M), NaN where not recorded; a model without recorded calls gets NaN.
    """
    columns = [column[~np.isnan(column)] for column in call_s.T]
    figures = [(each.mean(), np.quantile(each, LATENCY_LEVEL)) if len(each) else (np.nan, np.nan) for each in columns]
    return np.array(figures).reshape(-1, 2).T


@numba.njit(cache=True, nogil=True)
def _aiq(cost, score, low, high):  # type: ignore[no-untyped-def]
    return _under(cost, score, _upper_hull(cost, score, np.argsort(cost, kind="mergesort")), low, high)


@numba.njit(cache=True, nogil=True)
def _aiq_of_points(cost, score, low, high):  # type: ignore[no-untyped-def]
    return _under(cost, score, np.argsort(cost, kind="mergesort"), low, high)


@numba.njit(cache=True, nogil=True)
def _under(cost, score, order, low, high):  # type: ignore[no-untyped-def]
    """Mean height on [low, high] of the line through points in an order of ascending cost."""
    if high <= low:
        value = 0.0
        for i in order:
            if cost[i] <= low:
                value = score[i]
        return value
    area, last = 0.0, order.size - 1
    for k in range(last + 1):
        x0, y0 = cost[order[k]], score[order[k]]
        x1, y1 = (high, y0) if k == last else (cost[order[k + 1]], score[order[k + 1]])
        a, b = max(x0, low), min(x1, high)
        if b > a:
            slope = (y1 - y0) / (x1 - x0)
            area += (b - a) * (y0 + slope * ((a + b) / 2 - x0))
    return area / (high - low)


@numba.njit(cache=True, nogil=True)
def _audc(cost, score, low, high):  # type: ignore[no-untyped-def]
    best, at, area = 0.0, low, 0.0
    for i in np.argsort(cost, kind="mergesort"):
        if cost[i] > max(low, high):
            break
        if high > low:
            step = max(cost[i], low)
            area += best * (step - at)
            at = step
        best = max(best, score[i])
    if high <= low:
        best = 0.0
        for i in range(cost.size):
            if cost[i] <= low:
                best = max(best, score[i])
        return best
    return (area + best * (high - at)) / (high - low)


@numba.njit(cache=True, nogil=True)
def _affordable(cost, score, budgets, out):  # type: ignore[no-untyped-def]
    order = np.argsort(cost, kind="mergesort")
    best, i = np.nan, 0
    for k in range(budgets.size):
        while i < order.size and cost[order[i]] <= budgets[k]:
            if not score[order[i]] <= best:
                best = score[order[i]]
            i += 1
        out[k] = best


@numba.njit(cache=True, nogil=True)
def _distance(points, front, span, out):  # type: ignore[no-untyped-def]
    """Mean distance of each row's points to that row's front, over evenly spaced budgets."""
    width = max(points.shape[1] - 1, 1)
    for b in range(points.shape[0]):
        total, served = 0.0, 0
        for k in range(points.shape[1]):
            if np.isnan(points[b, k]):
                continue
            nearest = np.inf
            for j in range(points.shape[1]):
                across, up = (k - j) / width, (points[b, k] - front[b, j]) / span[b]
                nearest = min(nearest, across * across + up * up)
            total += np.sqrt(nearest)
            served += 1
        out[b] = total / served if served else np.nan


def _each(area: Callable[..., float], cost: FloatArray, score: FloatArray, *bounds: npt.ArrayLike) -> FloatArray:
    """One figure for each row of (B, G) tables, each with its own bounds; of one curve, one number."""
    costs, scores = np.atleast_2d(cost), np.atleast_2d(score)
    wide = [np.broadcast_to(np.asarray(bound, dtype=np.float64), len(costs)) for bound in bounds]
    areas = np.array([area(*row) for row in zip(costs, scores, *wide, strict=True)])
    return areas if np.ndim(cost) > 1 else np.asarray(areas[0])


def aiq(cost_usd: FloatArray, score: FloatArray, lowest_usd: npt.ArrayLike, highest_usd: npt.ArrayLike) -> FloatArray:
    """Average improvement in quality: area under the non-decreasing convex hull over the interval ÷ its width.

    RouterBench (arXiv 2403.12031), on the pool's common interval instead of each hull's own. Left of the
    cheapest point of the curve the value is 0, since the router cannot serve that budget; right of its
    best point it stays at the peak. With one model, or all at one cost, it is the best affordable score.
    """
    return _each(_aiq, cost_usd, score, lowest_usd, highest_usd)


def aiq_of_points(
    cost_usd: FloatArray, score: FloatArray, lowest_usd: npt.ArrayLike, highest_usd: npt.ArrayLike
) -> FloatArray:
    """`aiq` of points that were chosen beforehand: each budget is served by mixing its two neighbours at random.

    The line goes through all points, also where one turned out worse than its neighbours' mixture, since the choice was
    made without knowing that.
    """
    return _each(_aiq_of_points, cost_usd, score, lowest_usd, highest_usd)


def audc(cost_usd: FloatArray, score: FloatArray, lowest_usd: npt.ArrayLike, highest_usd: npt.ArrayLike) -> FloatArray:
    """Area under the deferral curve: as `aiq`, but under the curve itself, without mixing points at random.

    At each budget the value is the best score on the curve that costs no more (UniRoute,
    arXiv 2502.08773, uses the same area; R2-Router rescales each curve by its own range).
    """
    return _each(_audc, cost_usd, score, lowest_usd, highest_usd)


def qnc(
    cost_usd: FloatArray, score: FloatArray, target_score: npt.ArrayLike, target_cost_usd: npt.ArrayLike
) -> FloatArray:
    """Query-normalised cost: least cost on the curve that reaches a score ÷ the cost of that reference.

    UniRoute (arXiv 2502.08773); the reference is the best single model. Infinite if never reached, no
    number if the reference is free.
    """
    # Curves are running sums: the same choices reached another way may differ in the last bits.
    reached = score >= np.asarray(target_score)[..., None] - 1e-12
    cost = np.where(reached, cost_usd, np.inf).min(axis=-1)
    reference = np.asarray(target_cost_usd, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = np.where(reference > 0, cost / reference, np.nan)
    return ratio


def affordable(cost_usd: FloatArray, score: FloatArray, budgets_usd: FloatArray) -> FloatArray:
    """(…, K) best score on each curve that costs at most each of K ascending budgets; NaN where nothing does."""
    costs, scores = np.atleast_2d(cost_usd), np.atleast_2d(score)
    budgets = np.broadcast_to(budgets_usd, (len(costs), np.shape(budgets_usd)[-1]))
    best = np.empty(budgets.shape)
    for row in range(len(costs)):
        _affordable(costs[row], scores[row], budgets[row], best[row])
    return best if np.ndim(cost_usd) > 1 else best[0]


def pareto_front(points: Sequence[FloatArray]) -> FloatArray:
    """(…, K) best score that any of several curves, read by `affordable`, has at each budget."""
    front: FloatArray = np.fmax.reduce(list(points))
    return front


def pareto_dist(points: FloatArray, front: FloatArray, score_span: npt.ArrayLike) -> FloatArray:
    """Mean Euclidean distance of a curve's points to the joint Pareto front of the curves compared.

    LLMRouterBench, whose norm is not published. Here: a point at each of `BUDGETS` evenly spaced budgets of
    the common interval (`affordable`), budgets the router cannot serve left out; cost in widths of the
    interval, score in spans between the worst and the best single model.

    Parameters
    ----------
    points, front : (…, K) of `affordable` and `pareto_front` at the same evenly spaced budgets.
    score_span : best minus worst single model's score; no number where it is 0.
    """
    rows = np.atleast_2d(points)
    span = np.broadcast_to(np.asarray(score_span, dtype=np.float64), len(rows))
    distances = np.empty(len(rows))
    _distance(rows, np.atleast_2d(front), np.where(span > 0, span, np.nan), distances)
    distances[~(span > 0)] = np.nan
    return distances if np.ndim(points) > 1 else np.asarray(distances[0])


def gap_to(score: npt.ArrayLike, oracle: npt.ArrayLike) -> FloatArray:
    """Gap@O of LLMRouterBench: (oracle - router) / oracle, at λ = 0."""
    return -gain_over(score, oracle)


def gain_over(score: npt.ArrayLike, reference: npt.ArrayLike) -> FloatArray:
    """Gain@B and Gain@R of LLMRouterBench: (router - reference) / reference, at λ = 0.

    The reference is the best single model or a model drawn evenly from the pool.
    """
    reference = np.asarray(reference, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain: FloatArray = np.where(reference > 0, (np.asarray(score) - reference) / reference, np.nan)
    return gain


def arena_score(score: npt.ArrayLike, cost_usd: npt.ArrayLike) -> FloatArray:
    """RouterArena's score of one point: (1 + β)·A·C / (β·A + C), with β = 0.1.

    C is the log of the cost per 1,000 queries, 0 at $200 and 1 at $0.0044, clamped in between.

    Parameters
    ----------
    score : A, mean score in [0, 1].
    cost_usd : mean US dollars per query.
    """
    high, low = np.log2(ARENA_EXPENSIVE), np.log2(ARENA_CHEAPEST)
    thousand = np.clip(1000 * np.asarray(cost_usd, dtype=np.float64), ARENA_CHEAPEST, ARENA_EXPENSIVE)
    cost = (high - np.log2(thousand)) / (high - low)
    accuracy = np.asarray(score, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (1 + ARENA_BETA) * accuracy * cost / (ARENA_BETA * accuracy + cost)
    return np.where(accuracy * cost > 0, mean, 0.0)


def recovered(score: FloatArray, weak: npt.ArrayLike, strong: npt.ArrayLike) -> FloatArray:
    """PGR of RouteLLM (arXiv 2406.18665): share of the gap from the weak to the strong model that is recovered."""
    weak, strong = (np.asarray(value, dtype=np.float64)[..., None] for value in (weak, strong))
    with np.errstate(divide="ignore", invalid="ignore"):
        share: FloatArray = np.where(strong > weak, (score - weak) / (strong - weak), np.nan)
    return share


def apgr(strong_share: FloatArray, pgr: FloatArray) -> FloatArray:
    """Area under PGR over the share of calls to the strong model, from 0 to 1 (RouteLLM); random is 0.5.

    The curve is joined to the two models themselves: PGR 0 at share 0 and 1 at share 1.
    """
    order = np.argsort(strong_share, axis=-1, kind="stable")
    share, gap = (np.take_along_axis(table, order, axis=-1) for table in (strong_share, pgr))
    ends = np.zeros((*share.shape[:-1], 1))
    share, gap = (np.concatenate([ends, table, ends + 1], axis=-1) for table in (share, gap))
    return np.asarray(np.trapezoid(gap, share, axis=-1))


def cpt(strong_share: FloatArray, pgr: FloatArray, target: float) -> FloatArray:
    """CPT(x) of RouteLLM: least share of calls to the strong model with PGR of at least x.

    A share of 1 recovers the whole gap, so the figure exists wherever the gap is defined.
    """
    least = np.where(pgr >= target - 1e-12, strong_share, 1.0).min(axis=-1)
    return np.where(np.isnan(pgr).any(axis=-1), np.nan, least)
