"""Differences of two operating points: exact where paired, with intervals that say what they should."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
import pytest

from carrot_core.evaluation import setting
from carrot_core.frontier import Frontier, rate_of_lam
from carrot_core.points import paired, unpaired
from carrot_core.serving.point import PointFigures, PointFile
from tests.made import MODELS, made


def figures(score: float = 0.7, half: float | None = 0.02, cost_usd: float = 0.001) -> PointFigures:
    ends = {} if half is None else {"score_low": score - half, "score_high": score + half}
    none = dict.fromkeys(("score_low", "score_high", "cost_usd_low", "cost_usd_high"))
    costs = {} if half is None else {"cost_usd_low": cost_usd * (1 - half), "cost_usd_high": cost_usd * (1 + half)}
    return PointFigures(**{"n_prompts": 100, "score": score, "cost_usd": cost_usd} | none | ends | costs)


def point(**values: Any) -> PointFile:
    """A point of a benchmark that is made up."""
    fields: dict[str, Any] = {
        "created_at": "2026-01-01T00:00:00+00:00", "carrot_version": "0", "source": "made", "router": "carrot-knn",
        "artefact": "a", "benchmark": "made", "data_hash": "d", "lam": 0.5, "cost_unit_usd": 0.002,
        "exchange_rate_per_usd": 500.0, "pool": MODELS, "prices": {}, "fallback_above": 99.0, "reference": MODELS[0],
        "validation": figures(), "test": figures(), "shares": dict.fromkeys(MODELS, 1 / 3),
    }  # fmt: skip
    return PointFile(**fields | values)


@pytest.fixture(scope="module")
def curve() -> Frontier:
    protocol = setting(made(600))
    return protocol.frontier(protocol.estimates("carrot-knn"), "test")


def at(curve: Frontier, lam: float) -> tuple[PointFile, float, float]:
    """A point with what it does, prompt by prompt, added up slowly."""
    chosen = curve.choices(rate_of_lam(lam, 0.002))
    score = sum(curve.outcomes.score[i, j] for i, j in enumerate(chosen)) / len(chosen)
    cost = sum(curve.outcomes.cost_usd[i, j] for i, j in enumerate(chosen)) / len(chosen)
    return point(lam=lam), score, cost


def test_a_paired_difference_is_that_of_the_means(curve: Frontier) -> None:
    (one, one_score, one_cost), (other, other_score, other_cost) = at(curve, 0.05), at(curve, 0.9)
    result = paired(one, curve, other, curve)
    assert result is not None
    assert result.paired
    assert result.score.value == pytest.approx(one_score - other_score)
    assert result.cost_usd.value == pytest.approx(one_cost - other_cost)
    assert result.cost_usd.low < result.cost_usd.value < result.cost_usd.high
    back = paired(other, curve, one, curve)
    assert back is not None
    assert back.score.low == pytest.approx(-result.score.high)


def test_a_point_is_no_way_from_itself(curve: Frontier) -> None:
    one, _, _ = at(curve, 0.3)
    result = paired(one, curve, one, curve)
    assert result is not None
    assert (result.score.low, result.score.value, result.score.high) == (0, 0, 0)


def test_pairing_takes_out_what_both_find_hard(curve: Frontier) -> None:
    (one, one_score, _), (other, other_score, _) = at(curve, 0.2), at(curve, 0.3)
    both = paired(one, curve, other, curve)
    assert both is not None
    half = 1.96 * 0.45 / np.sqrt(curve.n_prompts)
    apart = unpaired(figures(one_score, half), figures(other_score, half))
    assert both.score.high - both.score.low < apart.score.high - apart.score.low


def test_other_prompts_are_not_paired(curve: Frontier) -> None:
    protocol = setting(made(500, seed=1))
    other = protocol.frontier(protocol.estimates("carrot-knn"), "test")
    fewer = replace(curve, outcomes=other.outcomes, estimates=other.estimates)
    assert paired(point(), curve, point(), fewer) is None


def test_independent_errors_add_in_quadrature() -> None:
    result = unpaired(figures(0.8, 0.03), figures(0.7, 0.04))
    assert not result.paired
    assert result.score.value == pytest.approx(0.1)
    assert (result.score.low, result.score.high) == pytest.approx((0.05, 0.15))


def test_without_intervals_the_difference_has_none() -> None:
    result = unpaired(figures(0.8, None), figures(0.7))
    assert result.score.value == pytest.approx(0.1)
    assert isnan(result.score.low)
    assert isnan(result.cost_usd.high)
