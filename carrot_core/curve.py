"""Save a curve at the points that matter, without its prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import Interval
from carrot_core.frontier import FloatArray, Frontier, ReadableCurve

MOST_POINTS = 500  # on an even grid, besides those that draw the line and those a budget or a target may choose
_TOLERANCE = 3e-4  # of the drawn line, see `thin`
_SHARE_POINTS = 300


@dataclass(frozen=True, eq=False)
class SavedCurve:
    """A `Frontier` reduced to some of its points, without its prompts.

    Attributes
    ----------
    models : M names.
    n_prompts, n_points : prompts behind it, breakpoints of the exact curve.
    exchange_rate_per_usd : (K,) ascending from 0; a point holds up to the next one's rate.
    score, cost_usd : (K,) means per prompt at these rates, as the exact curve has them.
    share_rates, share : (G,) ascending rates and (G, M) float32 share of the prompts each model answers there.
    errors : (2, G) standard errors of the mean score and cost at these rates; None if not saved.
    latency_s : (2, K) mean seconds of a call and their 95th percentile at the rates of the points; None if not saved.
    """

    models: tuple[str, ...]
    n_prompts: int
    n_points: int
    exchange_rate_per_usd: FloatArray
    score: FloatArray
    cost_usd: FloatArray
    share_rates: FloatArray
    share: npt.NDArray[np.floating]
    errors: FloatArray | None = None
    latency_s: FloatArray | None = None

    @property
    def score_error(self) -> FloatArray | None:
        """(K,) standard error of the mean score at the saved rate before each point; None if none were saved."""
        return None if self.errors is None else self.errors[0, self._saved_before(self.exchange_rate_per_usd)]

    @property
    def cost_error_usd(self) -> FloatArray | None:
        """(K,) the same of the mean cost, in US dollars."""
        return None if self.errors is None else self.errors[1, self._saved_before(self.exchange_rate_per_usd)]

    def _saved_before(self, rates: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Position of the saved rate at or before each rate."""
        return np.searchsorted(self.share_rates, np.asarray(rates), side="right") - 1

    @property
    def counted_switches(self) -> None:
        """Always None: single switches are not saved."""
        return None

    def at(self, exchange_rate_per_usd: float) -> int:
        """Index of the saved point that holds at this rate."""
        return int(np.searchsorted(self.exchange_rate_per_usd, exchange_rate_per_usd, side="right")) - 1

    def interval(self, exchange_rate_per_usd: float) -> tuple[Interval, Interval]:
        """Mean score and cost in US dollars at a rate, with normal 95 % intervals over prompts.

        The standard errors are those of the saved rate before it.
        """
        at = self.at(exchange_rate_per_usd)
        values = float(self.score[at]), float(self.cost_usd[at])
        errors = [float("nan")] * 2 if self.errors is None else self.errors_at(self.errors, exchange_rate_per_usd)
        score, cost = (Interval.of_normal(value, error) for value, error in zip(values, errors, strict=True))
        return score, cost

    def errors_at(self, errors: FloatArray, exchange_rate_per_usd: float) -> list[float]:
        """Standard errors at a rate: of (2, G) at the saved rates, those of the saved rate before it."""
        own: list[float] = errors[:, self._saved_before(exchange_rate_per_usd)].tolist()
        return own

    def shares(self, exchange_rates_per_usd: npt.ArrayLike) -> FloatArray:
        """(G, M) share of the prompts that each model answers, at the saved rate before each of G rates."""
        shares: FloatArray = self.share[self._saved_before(exchange_rates_per_usd)].astype(np.float64)
        return shares


def save_curve(curve: Frontier) -> SavedCurve:
    """Save a curve at an even grid of its points, those that draw its line, and the Pareto-optimal ones.

    A budget or a target can only choose a Pareto-optimal point; each is saved with the point after it, so that the
    saved curve gives the same choice as the whole one. Promises use the errors at the saved rates, so a choice by
    promises may be a neighbour of the whole curve's point.
    """
    last = len(curve.exchange_rate_per_usd) - 1
    even = np.linspace(0, last, min(MOST_POINTS, last + 1)).round().astype(np.intp)
    first = unbeaten(curve.cost_usd, curve.score)
    rows = np.unique(np.concatenate([even, thin(curve, _TOLERANCE), first, np.minimum(first + 1, last)]))
    rates = evenly(curve.exchange_rate_per_usd, _SHARE_POINTS)
    return SavedCurve(
        curve.models,
        curve.n_prompts,
        last + 1,
        curve.exchange_rate_per_usd[rows],
        curve.score[rows],
        curve.cost_usd[rows],
        rates,
        curve.shares(rates).astype(np.float32),
        np.array([_standard_errors(curve, rate) for rate in rates]).T,
        None if curve.latency_s is None else curve.latency_s[:, rows],
    )


def _standard_errors(curve: Frontier, rate: float) -> tuple[float, float]:
    rows, chosen = np.arange(curve.n_prompts), curve.choices(rate)
    spread = (np.std(table[rows, chosen]) for table in (curve.outcomes.score, curve.paid_usd))
    score, cost = (float(each / np.sqrt(curve.n_prompts)) for each in spread)
    return score, cost


def paired_errors(curve: Frontier, rates: FloatArray, reference: str) -> FloatArray:
    """(2, G) standard errors of the score difference to a model alone, and of the saving against it, at G rates.

    Both are paired, over each prompt's differences. The error of the saving uses the delta method; NaN if the model is
    free.
    """
    column, rows = curve.models.index(reference), np.arange(curve.n_prompts)
    score, cost = curve.outcomes.score[:, column], curve.outcomes.cost_usd[:, column]
    spread: FloatArray = np.full((2, len(rates)), np.nan)
    for at, rate in enumerate(rates):
        chosen = curve.choices(rate)
        paid = curve.paid_usd[rows, chosen]
        spread[0, at] = np.std(curve.outcomes.score[rows, chosen] - score)
        if cost.mean() > 0:
            spread[1, at] = np.std(paid - cost * paid.mean() / cost.mean()) / cost.mean()
    spread /= np.sqrt(curve.n_prompts)
    return spread


def evenly(rates: FloatArray, points: int) -> FloatArray:
    """At most ``points`` of the rates, evenly spaced by position, with both ends."""
    return rates[np.unique(np.linspace(0, len(rates) - 1, points).round().astype(np.intp))]


def unbeaten(cost_usd: FloatArray, score: FloatArray) -> npt.NDArray[np.intp]:
    """Positions, by ascending cost, of the Pareto-optimal points; of equal points the first.

    A budget or a target can choose no others.
    """
    order = np.lexsort((np.arange(len(score)), -score, cost_usd))
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(score[order])[:-1]])
    return order[score[order] > best_before]


def thin(frontier: ReadableCurve, tolerance: float = 1e-4) -> npt.NDArray[np.intp]:
    """Positions of the points that draw the same line (Douglas-Peucker, both ends kept).

    No point left out lies further from the line than ``tolerance`` of the curve's own extent, on a linear and on a log
    axis of cost, or of mean latency where it is known, alike: 1e-4 is a tenth of a pixel on a chart 1,000 pixels wide.
    """
    points = unit_box(frontier.cost_usd, frontier.score)
    if frontier.latency_s is not None:
        points = np.column_stack([points, unit_box(frontier.latency_s[0], frontier.score)[:, :2]])
    corners = np.unique([0, len(points) - 1])
    waiting = np.arange(1, len(points) - 1)  # points not yet known to be close enough to their chord
    while waiting.size:
        chord = np.searchsorted(corners, waiting) - 1
        distance = _distance_from_chord(points[waiting], points[corners[chord]], points[corners[chord + 1]])
        first = np.flatnonzero(np.diff(chord, prepend=-1))
        furthest = np.repeat(np.maximum.reduceat(distance, first), np.diff(np.append(first, chord.size)))
        too_far = furthest > tolerance
        split = too_far & (distance == furthest)
        corners, waiting = np.sort(np.concatenate([corners, waiting[split]])), waiting[too_far & ~split]
    return corners


def unit_box(cost_usd: FloatArray, score: FloatArray) -> FloatArray:
    """(K, 3) cost, log cost and score, each scaled to [0, 1]: a distance here bounds that on either axis."""
    positive = np.maximum(cost_usd, cost_usd[cost_usd > 0].min(initial=1.0))
    columns = np.column_stack([cost_usd, np.log(positive), score])
    extent = np.ptp(columns, axis=0)
    box: FloatArray = (columns - columns.min(axis=0)) / np.where(extent > 0, extent, 1.0)
    return box


def _distance_from_chord(points: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    chord, reach = end - start, points - start
    length = np.maximum(np.einsum("ij,ij->i", chord, chord), 1e-300)
    along = np.clip(np.einsum("ij,ij->i", reach, chord) / length, 0.0, 1.0)
    off = reach - along[:, None] * chord
    distance: FloatArray = np.sqrt(np.einsum("ij,ij->i", off, off))
    return distance


def small(frames: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """These columns of the frames, concatenated; fractions in single precision."""
    parts = list(frames)
    table = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    return table.astype(dict.fromkeys(table.select_dtypes("float64").columns, np.float32))
