"""Metrics on hand-made curves whose areas and costs can be worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.metrics import (
    affordable,
    aiq,
    apgr,
    arena_score,
    audc,
    cost_per_solved,
    cpt,
    gain_over,
    gap_to,
    pareto_dist,
    pareto_front,
    qnc,
    recovered,
    share_saved,
)
from tests.reference.frontier import hull_value

COST = np.array([1.0, 2.0, 4.0])
SCORE = np.array([0.2, 0.6, 0.8])


def test_aiq_of_three_points_by_hand():
    # Trapezoids (0.2 + 0.6) / 2 over 1 and (0.6 + 0.8) / 2 over 2, on the width 3.
    assert aiq(COST, SCORE, 1.0, 4.0) == pytest.approx((0.4 + 1.4) / 3)


def test_audc_of_three_points_by_hand():
    # Steps: 0.2 from 1 to 2, 0.6 from 2 to 4.
    assert audc(COST, SCORE, 1.0, 4.0) == pytest.approx((0.2 + 1.2) / 3)


def test_a_free_reference_leaves_nothing_to_save():
    np.testing.assert_equal(share_saved([1.0, 3.0, 0.0, 1.0], [4.0, 2.0, 0.0, 0.0]), [0.75, -0.5, np.nan, np.nan])


def test_what_a_solved_task_costs_has_no_end_where_nothing_is_solved():
    np.testing.assert_equal(
        cost_per_solved([3.0, 3.0, 0.0, 1.0, 0.0], [0.75, 1.0, 0.5, 0.0, 0.0]), [4, 3, 0, np.inf, np.inf]
    )


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


def test_qnc_of_a_score_never_reached_is_infinite_and_of_a_free_reference_no_number():
    assert qnc(COST, SCORE, 0.9, 4.0) == np.inf
    assert np.isnan(qnc(COST, SCORE, 0.1, 0.0))


@pytest.mark.parametrize("metric", [aiq, audc, qnc])
def test_a_table_of_curves_gives_what_each_curve_gives_alone(metric):
    rng = np.random.default_rng(0)
    cost, score = rng.random((5, 30)), rng.random((5, 30))
    first, second = rng.random(5) * 0.3, 0.5 + rng.random(5) * 0.5
    np.testing.assert_allclose(
        metric(cost, score, first, second), [metric(cost[i], score[i], first[i], second[i]) for i in range(5)]
    )


def test_the_zero_routers_curve_has_the_hull_of_the_single_models_as_its_area():
    # RouterBench's zero router mixes single models: its AIQ is the area under their hull. By hand: the points
    # (1, .2), (2, .3), (3, .8) have the hull (1, .2) to (3, .8), area 1.0 over the width 2.
    assert aiq(np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.3, 0.8]), 1.0, 3.0) == pytest.approx(0.5)


def test_routerbenchs_published_hull():
    # RouterBench 0-shot as digitised: GPT-3.5 .610 @ $.00024, Yi .656 @ .00019, mixtral .558 @ .00014, GPT-4 .787
    # @ .00332. GPT-3.5 costs more and is worse than Yi, so the hull goes mixtral, Yi, GPT-4.
    cost, score = np.array([0.00024, 0.00019, 0.00014, 0.00332]), np.array([0.610, 0.656, 0.558, 0.787])
    by_hand = (0.00005 * (0.558 + 0.656) / 2 + 0.00313 * (0.656 + 0.787) / 2) / 0.00318
    assert aiq(cost, score, 0.00014, 0.00332) == pytest.approx(by_hand)


def test_the_arena_score_of_carrot_is_the_published_one():
    assert arena_score(0.6721, 2.06 / 1000) == pytest.approx(0.6387, abs=5e-5)


def test_the_arena_score_clamps_costs_and_is_zero_without_accuracy():
    assert arena_score(0.5, 1.0) == 0.0  # $1,000 per 1,000 queries: C = 0
    assert arena_score(0.5, 0.0) == arena_score(0.5, 0.0044 / 1000) == pytest.approx(1.1 * 0.5 / (0.05 + 1))
    assert arena_score(0.0, 0.001) == 0.0


def test_gains_and_gap_by_hand():
    assert gap_to(0.6, 0.8) == pytest.approx(0.25)
    assert gain_over(0.6, 0.5) == pytest.approx(0.2)
    assert np.isnan(gain_over(0.6, 0.0))


def test_the_best_affordable_score_by_hand():
    budgets = np.array([0.5, 1.0, 1.5, 2.0, 9.0])
    np.testing.assert_array_equal(affordable(COST, SCORE, budgets), [np.nan, 0.2, 0.2, 0.6, 0.8])


def test_the_distance_to_the_joint_front_by_hand():
    # Two budgets, at 0 and 1 of the interval. B is the front at both; A is .3 of the span below it at the first.
    a, b = np.array([0.2, 0.8]), np.array([0.5, 0.8])
    front = pareto_front([a, b])
    assert pareto_dist(b, front, 1.0) == 0.0
    assert pareto_dist(a, front, 1.0) == pytest.approx(0.15)
    assert pareto_dist(a, front, 0.5) == pytest.approx(0.3)
    assert pareto_dist(np.array([np.nan, 0.8]), front, 1.0) == 0.0
    assert np.isnan(pareto_dist(a, front, 0.0))


def test_a_point_is_measured_to_the_nearest_point_of_the_front_not_to_the_one_above():
    front = np.array([0.5, 0.5, 1.0])
    # The last point, at (1, .5), is .5 from (.5, .5) and from (1, 1); a step below would be 0 away.
    assert pareto_dist(np.array([np.nan, np.nan, 0.5]), front, 1.0) == pytest.approx(0.5)


def test_pgr_apgr_and_cpt_by_hand():
    # Weak .4, strong .8. Half of the calls to the strong model recover 3/4 of the gap.
    share, pgr = np.array([1.0, 0.5, 0.0]), recovered(np.array([0.8, 0.7, 0.4]), 0.4, 0.8)
    np.testing.assert_allclose(pgr, [1.0, 0.75, 0.0])
    assert apgr(share, pgr) == pytest.approx(0.5 * 0.375 + 0.5 * 0.875)
    assert cpt(share, pgr, 0.5) == 0.5
    assert cpt(share, pgr, 0.8) == 1.0
    assert cpt(share, pgr, 0.0) == 0.0


def test_a_random_mix_of_two_models_has_apgr_one_half():
    share = np.linspace(0, 1, 11)
    assert apgr(share, recovered(0.3 + 0.4 * share, 0.3, 0.7)) == pytest.approx(0.5)


def test_where_the_strong_model_is_no_better_nothing_is_recovered():
    gap = recovered(np.array([0.5, 0.4]), 0.5, 0.5)
    assert np.isnan(gap).all()
    assert np.isnan(cpt(np.array([1.0, 0.0]), gap, 0.5))
