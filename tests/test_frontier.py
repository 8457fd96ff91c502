"""The exact sweep against brute force, and the laws it must obey."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from carrot_core.curve import save_curve
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.frontier import lam_of_rate, rate_of_lam, shortest_lam, sweep
from carrot_core.hull_walk_tie_rule import by_rate
from carrot_core.operating_point import cheapest_reaching, rate_inside
from carrot_core.outcomes import Estimates, Outcomes
from carrot_core.switches import sweep_tables, upper_hull
from tests.reference import frontier as reference

# Multiples of 1/16: sums, differences and shifts are exact, so ties are real ties and not rounding.
SIXTEENTHS = st.integers(0, 16).map(lambda value: value / 16)


def names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{index:04d}" for index in range(count))


@st.composite
def problems(draw, max_prompts: int = 12, max_models: int = 6):
    """Estimated and observed tables with many ties, free models and duplicate models among them."""
    shape = (draw(st.integers(1, max_prompts)), draw(st.integers(1, max_models)))
    tables = [draw(arrays(np.float64, shape, elements=SIXTEENTHS)) for _ in range(4)]
    if shape[1] > 1 and draw(st.booleans()):
        for table in tables:
            table[:, 1] = table[:, 0]
    return tables


def frontier_of(est_score, est_cost, score, cost, models=None, ids=None):
    models = models or names("m", est_score.shape[1])
    ids = ids or names("p", est_score.shape[0])
    return sweep(Estimates(ids, models, est_score, est_cost), Outcomes(ids, models, score, cost))


def rates_to_try(frontier):
    """Rates strictly between breakpoints, and both ends."""
    r = frontier.exchange_rate_per_usd
    finite = r[np.isfinite(r)]
    return [0.0, *((finite[1:] + finite[:-1]) / 2), finite[-1] * 2 + 1, np.inf]


@given(arrays(np.int8, (12, 4), elements=st.integers(0, 10)), st.permutations([0.003, 0.01, 0.07, 0.9]))
def test_equal_switches_are_one_point_that_any_rate_within_it_gives(neighbours, costs):
    """Shares of ten neighbours at one cost a model: equal switches, whose rates differ in the last bits."""
    shares = neighbours / 10
    frontier = frontier_of(shares, np.tile(costs, (12, 1)), shares, np.tile(costs, (12, 1)))
    rates = frontier.exchange_rate_per_usd
    assert (rates[1:] > rates[:-1] * (1 + 1e-13)).all()
    for point in range(len(rates)):
        inside = rate_inside(frontier, point)
        assert frontier.at(inside) == point
        assert frontier.at(rate_of_lam(float(lam_of_rate(inside, 0.9)), 0.9)) == point
        rate = cheapest_reaching(frontier, frontier.score[point])
        assert rate is not None
        assert frontier.score[frontier.at(rate)] >= frontier.score[point] - 1e-12


def assert_reads_alike(curve, exact, call_usd=0.0):
    """Every reading of `ReadableCurve` at rates that both know, but how many prompts and points are behind it."""
    assert curve.models == exact.models
    rates = np.array(rates_to_try(exact))
    at, there = [curve.at(rate) for rate in rates], [exact.at(rate) for rate in rates]
    np.testing.assert_allclose(curve.score[at], exact.score[there], rtol=0, atol=1e-9)
    np.testing.assert_allclose(curve.cost_usd[at], exact.cost_usd[there] + call_usd, rtol=0, atol=1e-9)
    np.testing.assert_allclose(curve.shares(rates), exact.shares(rates), rtol=0, atol=1e-6)  # saved in 32 bits
    assert (curve.exchange_rate_per_usd[at] <= rates).all()


@given(problems(), st.data())
def test_latency_at_every_rate_is_that_of_the_chosen_calls_whose_latency_is_known(tables, data):
    call_s = data.draw(arrays(np.float64, tables[0].shape, elements=st.one_of(SIXTEENTHS, st.just(np.nan))))
    curve = replace(frontier_of(*tables), call_s=call_s)
    rows = np.arange(curve.n_prompts)
    for rate in rates_to_try(curve):
        seconds = call_s[rows, curve.choices(rate)]
        known = seconds[~np.isnan(seconds)]
        expected = [known.mean(), np.quantile(known, 0.95)] if len(known) else [np.nan, np.nan]
        np.testing.assert_allclose(curve.latency_s[:, curve.at(rate)], expected, rtol=0, atol=1e-12)
    saved = save_curve(curve)
    there = [curve.at(rate) for rate in saved.exchange_rate_per_usd]
    np.testing.assert_array_equal(saved.latency_s, curve.latency_s[:, there])
    assert frontier_of(*tables).latency_s is save_curve(frontier_of(*tables)).latency_s is None
    several_calls = replace(curve, estimates=replace(curve.estimates, cost_is_paid=True))
    assert several_calls.latency_s is None  # each of which takes its time


@given(problems())
def test_exact_even_sampled_and_saved_curves_read_alike(tables):
    exact = frontier_of(*tables)
    even = replace(exact, weights=np.ones(exact.n_prompts))
    sampled = replace(exact, means=(exact.score, exact.cost_usd))
    for curve in (even, sampled, save_curve(exact)):
        assert_reads_alike(curve, exact)
        assert (curve.n_prompts, curve.n_points) == (exact.n_prompts, exact.n_points)
    assert even.counted_switches is exact.counted_switches is exact.sweep
    assert save_curve(exact).counted_switches is None


@given(problems(), st.data())
def test_a_weighted_curve_reads_as_that_of_prompts_repeated_as_often(tables, data):
    counts = data.draw(arrays(np.int64, len(tables[0]), elements=st.integers(0, 3)).filter(np.any))
    call_usd = data.draw(SIXTEENTHS)
    repeated = frontier_of(*(np.repeat(table, counts, axis=0) for table in tables))
    weighted = replace(frontier_of(*tables), weights=counts / counts.mean(), call_usd=call_usd)
    assert_reads_alike(weighted, repeated, call_usd)
    for reading in ("model_score", "model_cost_usd"):
        np.testing.assert_allclose(getattr(weighted, reading), getattr(repeated, reading), atol=1e-9)
    for reading in ("est_score", "est_cost_usd"):
        for rate in rates_to_try(repeated):
            one, other = (getattr(curve, reading)[curve.at(rate)] for curve in (weighted, repeated))
            assert one == pytest.approx(other, abs=1e-9)
    assert (weighted.counted_switches is None) == bool(np.ptp(counts))
    some = np.arange(len(counts)) % 2 == 0
    if counts[some].any():
        rows = np.repeat(some, counts)
        assert_reads_alike(weighted.rows(some), repeated.rows(rows), call_usd)


@given(problems())
def test_equals_brute_force_at_every_rate(tables):
    frontier = frontier_of(*tables)
    rows = np.arange(len(tables[0]))
    for rate in rates_to_try(frontier):
        chosen = reference.choose(tables[0], tables[1], rate, frontier.models)
        at = frontier.at(rate)
        np.testing.assert_array_equal(frontier.choices(rate), chosen)
        assert frontier.score[at] == pytest.approx(tables[2][rows, chosen].mean(), abs=1e-12)
        assert frontier.cost_usd[at] == pytest.approx(tables[3][rows, chosen].mean(), abs=1e-12)
        assert frontier.est_cost_usd[at] == pytest.approx(tables[1][rows, chosen].mean(), abs=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_equals_the_grid_at_its_points(seed):
    rng = np.random.default_rng(seed)
    tables = [rng.random((40, 5)) for _ in range(4)]
    frontier = frontier_of(*tables)
    unit = tables[1].mean()
    lams = np.linspace(0, 0.999, 200)
    points = reference.grid(*tables, unit, lams)
    at = [frontier.at(rate_of_lam(lam, unit)) for lam in lams]
    np.testing.assert_allclose(np.column_stack([frontier.score[at], frontier.cost_usd[at]]), points, atol=1e-13)


@given(problems())
def test_ends_are_the_most_accurate_and_the_cheapest(tables):
    frontier = frontier_of(*tables)
    assert frontier.est_score[0] == pytest.approx(tables[0].max(axis=1).mean(), abs=1e-12)
    assert frontier.est_cost_usd[-1] == pytest.approx(tables[1].min(axis=1).mean(), abs=1e-12)


@given(problems())
def test_predicted_cost_and_score_never_rise_with_the_rate(tables):
    frontier = frontier_of(*tables)
    assert (np.diff(frontier.est_cost_usd) <= 1e-12).all()
    assert (np.diff(frontier.est_score) <= 1e-12).all()
    assert (np.diff(frontier.exchange_rate_per_usd) > 0).all()


def assert_same_curve(one, other):
    np.testing.assert_allclose(one.exchange_rate_per_usd, other.exchange_rate_per_usd, rtol=1e-12)
    np.testing.assert_allclose(one.score, other.score, atol=1e-12)
    np.testing.assert_allclose(one.cost_usd, other.cost_usd, atol=1e-12)


@given(problems(), st.randoms(use_true_random=False))
def test_order_of_prompts_and_models_does_not_matter(tables, random):
    n, m = tables[0].shape
    rows, columns = random.sample(range(n), n), random.sample(range(m), m)
    ids, models = names("p", n), names("m", m)
    shuffled = [table[np.ix_(rows, columns)] for table in tables]
    assert_same_curve(
        frontier_of(*tables),
        frontier_of(*shuffled, models=tuple(models[j] for j in columns), ids=tuple(ids[i] for i in rows)),
    )


@given(problems(), st.integers(-8, 8))
def test_a_shift_shared_by_all_models_changes_nothing(tables, shift):
    est_score, *rest = tables
    shifts = (np.arange(len(est_score)) % 3 - 1)[:, None] * shift / 16
    assert_same_curve(frontier_of(est_score, *rest), frontier_of(est_score + shifts, *rest))


@given(problems())
def test_prompts_given_twice_change_nothing(tables):
    assert_same_curve(frontier_of(*tables), frontier_of(*[np.vstack([table, table]) for table in tables]))


@given(problems(), st.integers(0, 3))
def test_prompts_with_an_unobserved_model_are_left_out_and_counted(tables, gaps):
    n = len(tables[0])
    gaps = min(gaps, n - 1)
    gapped = [table.copy() for table in tables]
    gapped[2][:gaps, 0] = np.nan
    frontier = frontier_of(*gapped)
    assert (frontier.n_dropped, frontier.n_prompts) == (gaps, n - gaps)
    assert_same_curve(frontier, frontier_of(*[table[gaps:] for table in tables]))


@given(problems())
def test_choices_and_shares_agree(tables):
    frontier = frontier_of(*tables)
    rates = frontier.exchange_rate_per_usd
    shares = frontier.shares(rates)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    for index, rate in enumerate(rates):
        chosen = frontier.choices(rate)
        np.testing.assert_allclose(shares[index], np.bincount(chosen, minlength=tables[0].shape[1]) / len(chosen))


@given(arrays(np.float64, (9, 3), elements=st.floats(1e-7, 1e-2)), arrays(np.float64, (9, 3), elements=SIXTEENTHS))
def test_where_nobody_pays_the_cost_is_0_whatever_was_paid_before(cost, score):
    cost[:, 2] = 0.0
    assert frontier_of(score, cost, score, cost).cost_usd[-1] == 0.0


@given(st.lists(st.tuples(st.sampled_from([0.0, 1e-9, 0.1, 0.3, 7e5, np.inf]), st.integers(0, 40)), max_size=300))
def test_rates_alike_in_32_bits_are_sorted_by_all_of_their_bits_and_equal_ones_stay_in_order(rates):
    values = np.array([rate * (1 + ulps * 2e-12) for rate, ulps in rates])
    ascending, order = by_rate(values)
    np.testing.assert_array_equal(order, np.argsort(values, kind="stable"))
    np.testing.assert_array_equal(ascending, values[order])  # apart by more than rounding: none is changed


def test_one_model_and_one_prompt():
    frontier = frontier_of(*[np.array([[0.5]])] * 4)
    assert frontier.exchange_rate_per_usd.tolist() == [0.0]
    assert (frontier.score.tolist(), frontier.cost_usd.tolist()) == ([0.5], [0.5])


def test_no_prompt_left_is_an_empty_curve_not_a_crash():
    frontier = frontier_of(np.ones((1, 2)), np.ones((1, 2)), np.full((1, 2), np.nan), np.ones((1, 2)))
    assert frontier.n_prompts == 0
    assert frontier.n_dropped == 1


def test_blocks_side_by_side_agree_with_one_thread(monkeypatch):
    rng = np.random.default_rng(3)
    est_score, est_cost = rng.random((2, 10_001, 7), dtype=np.float32)
    alone = sweep_tables(est_score, est_cost)
    monkeypatch.setattr("carrot_core.switches._BLOCK", 1000)
    side_by_side = sweep_tables(est_score, est_cost)
    for name in ("start", "rate", "prompt", "source", "target"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(side_by_side, name))


def test_outcomes_are_matched_by_name_and_id_not_by_position():
    est = Estimates(("a", "b"), ("x", "y"), [[0.9, 0.1], [0.2, 0.8]], np.ones((2, 2)))
    outcomes = Outcomes(("b", "c", "a"), ("y", "z", "x"), [[1, 0, 0], [0, 0, 0], [0, 0, 1]], np.arange(9).reshape(3, 3))
    frontier = sweep(est, outcomes)
    assert frontier.score[0] == 1.0
    assert frontier.cost_usd[0] == (8 + 0) / 2


def test_unknown_model_is_named():
    outcomes = Outcomes(("a",), ("x",), [[1.0]], [[1.0]])
    with pytest.raises(NotFoundError, match="ghost"):
        sweep(Estimates(("a",), ("ghost",), [[1.0]], [[1.0]]), outcomes)


def test_empty_pool_is_refused():
    with pytest.raises(CarrotError, match="at least one model"):
        sweep_tables(np.empty((2, 0)), np.empty((2, 0)))


@given(st.floats(0, 1), st.floats(1e-6, 1))
def test_lam_and_rate_are_inverse(lam, unit):
    assert float(lam_of_rate(rate_of_lam(lam, unit), unit)) == pytest.approx(lam, abs=1e-9)


@given(st.integers(0, 10**9), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_a_lam_that_was_set_comes_back_to_its_last_digit_and_other_rates_stay_what_they_are(billionths, unit, other):
    rate = rate_of_lam(billionths / 10**9, unit)
    assert shortest_lam(rate, unit) == billionths / 10**9
    assert rate_of_lam(shortest_lam(rate, other), other) == pytest.approx(rate, rel=1e-6)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12), st.integers(0, 20))
def test_hull_is_the_best_random_mix(points, budget):
    cost, score = np.array(points, dtype=float).T
    hull = upper_hull(cost, score)
    assert (np.diff(cost[hull]) > 0).all()
    assert (np.diff(score[hull]) > 0).all()
    if budget >= cost.min():
        assert np.interp(budget, cost[hull], score[hull]) == pytest.approx(reference.hull_value(cost, score, budget))
