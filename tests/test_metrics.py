"""Metrics on hand-made curves whose areas and costs can be worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.metrics import aiq, audc, qnc
from tests.reference.frontier import hull_value

COST = np.array([1.0, 2.0, 4.0])
SCORE = np.array([0.2, 0.6, 0.8])


def test_aiq_of_three_points_by_hand():
    # Trapezoids (0.2 + 0.6) / 2 over 1 and (0.6 + 0.8) / 2 over 2, on the width 3.
    assert aiq(COST, SCORE, 1.0, 4.0) == pytest.approx((0.4 + 1.4) / 3)


def test_audc_of_three_points_by_hand():
    # Steps: 0.2 from 1 to 2, 0.6 from 2 to 4.
    assert audc(COST, SCORE, 1.0, 4.0) == pytest.approx((0.2 + 1.2) / 3)


def test_a_point_below_the_hull_changes_aiq_by_nothing():
    assert aiq(np.append(COST, 3.0), np.append(SCORE, 0.1), 1.0, 4.0) == pytest.approx(aiq(COST, SCORE, 1.0, 4.0))


def test_budgets_below_the_cheapest_point_earn_nothing():
    assert aiq(COST, SCORE, 0.0, 4.0) == pytest.approx(1.8 / 4)
    assert audc(COST, SCORE, 0.0, 4.0) == pytest.approx(1.4 / 4)


def test_beyond_the_best_point_the_peak_holds():
    assert aiq(COST, SCORE, 1.0, 5.0) == pytest.approx((1.8 + 0.8) / 4)


def test_a_curve_outside_the_interval():
    assert aiq(COST, SCORE, 0.1, 0.5) == 0.0
    assert aiq(COST, SCORE, 5.0, 6.0) == pytest.approx(0.8)


def test_models_of_one_price_have_no_interval():
    assert aiq(COST, SCORE, 2.0, 2.0) == 0.6
    assert aiq(COST, SCORE, 0.5, 0.5) == 0.0
    assert audc(COST, SCORE, 2.0, 2.0) == 0.6


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=10),
    st.integers(0, 19),
    st.integers(1, 10),
)
def test_aiq_is_the_area_under_the_best_random_mix(points, low, width):
    cost, score = np.array(points, dtype=float).T
    # Costs are whole numbers, so the hull is straight between them and middles give the exact area.
    value = np.mean([max(hull_value(cost, score, low + step + 0.5), 0.0) for step in range(width)])
    assert aiq(cost, score, float(low), float(low + width)) == pytest.approx(value)
    assert audc(cost, score, float(low), float(low + width)) <= aiq(cost, score, float(low), float(low + width)) + 1e-9


def test_qnc_is_the_least_cost_that_reaches_the_reference():
    assert qnc(COST, SCORE, 0.5, 4.0) == 0.5
    assert qnc(COST, SCORE, 0.8, 4.0) == 1.0


def test_qnc_of_a_score_never_reached_is_no_number():
    assert np.isnan(qnc(COST, SCORE, 0.9, 4.0))
    assert np.isnan(qnc(COST, SCORE, 0.1, 0.0))
