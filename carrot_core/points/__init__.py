"""How far two operating points, or two proportions, are apart, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, nan, sqrt

import numpy as np

from carrot_core.bootstrap import Interval, bootstrap_counts, weighted_means
from carrot_core.frontier import FloatArray, Frontier, rate_of_lam
from carrot_core.serving.point import PointFigures, PointFile


@dataclass(frozen=True)
class Difference:
    """One point minus another on test, per query; 95 % intervals, NaN ends where the points came without them.

    ``paired`` says whether both were measured prompt by prompt on the same prompts.
    """

    score: Interval
    cost_usd: Interval
    paired: bool


def paired(one: PointFile, on_one: Frontier, other: PointFile, on_other: Frontier) -> Difference | None:
    """The difference prompt by prompt, by the bootstrap; None where the curves are of other prompts.

    Parameters
    ----------
    one, other : the points.
    on_one, on_other : the exact test curves of their routers.
    """
    if on_one.outcomes.prompt_ids != on_other.outcomes.prompt_ids:
        return None
    apart = np.column_stack(_chosen(one, on_one)) - np.column_stack(_chosen(other, on_other))
    replicates = weighted_means(apart, bootstrap_counts(len(apart)))
    score, cost = (Interval.of(float(apart[:, k].mean()), replicates[:, k]) for k in range(2))
    return Difference(score, cost, paired=True)


def _chosen(point: PointFile, curve: Frontier) -> tuple[FloatArray, FloatArray]:
    """(n,) score and cost of the model that the point chooses for each prompt."""
    rows, chosen = np.arange(curve.n_prompts), curve.choices(rate_of_lam(point.lam, point.cost_unit_usd))
    return curve.outcomes.score[rows, chosen], curve.paid_usd[rows, chosen]


def unpaired(one: PointFigures, other: PointFigures) -> Difference:
    """The difference of two means whose errors are taken as independent.

    On the same prompts this is careful: what both points find hard makes their means move together, which a
    paired interval takes out.
    """
    return Difference(
        _apart(one.score, one.score_low, one.score_high, other.score, other.score_low, other.score_high),
        _apart(
            one.cost_usd, one.cost_usd_low, one.cost_usd_high, other.cost_usd, other.cost_usd_low, other.cost_usd_high
        ),
        paired=False,
    )


def _apart(
    one: float, one_low: float | None, one_high: float | None,
    other: float, other_low: float | None, other_high: float | None,
) -> Interval:  # fmt: skip
    value = one - other
    if one_low is None or one_high is None or other_low is None or other_high is None:
        return Interval(value, nan, nan)
    half = hypot((one_high - one_low) / 2, (other_high - other_low) / 2)
    return Interval(value, value - half, value + half)


def wilson(share: float, n: float, quantile: float) -> Interval:
    """A proportion of n draws with Wilson's interval (1927).

    Our own since n need not be whole: repeated calls are worth a fraction of a draw, which scipy refuses.
    """
    squared = quantile**2 / n
    middle = (share + squared / 2) / (1 + squared)
    half = quantile * sqrt(share * (1 - share) / n + squared / (4 * n)) / (1 + squared)
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0))


def newcombe(one: Interval, other: Interval) -> Interval:
    """One proportion minus another, from Wilson's intervals (Newcombe 1998, method 10): holds near 0 and 1, too."""
    apart = one.value - other.value
    return Interval(
        apart,
        apart - hypot(one.value - one.low, other.high - other.value),
        apart + hypot(one.high - one.value, other.value - other.low),
    )
