"""Bootstrap replicates of curves against re-sweeping the drawn prompts themselves."""

from __future__ import annotations

import numpy as np
import pytest

from carrot_core.bootstrap import (
    Family,
    Interval,
    bootstrap_counts,
    bootstrap_weights,
    rates_to_keep,
    replicate,
    weighted_means,
)
from carrot_core.frontier import sweep
from carrot_core.metrics import qnc
from carrot_core.outcomes import Estimates, Outcomes
from carrot_core.switches import upper_hull


@pytest.fixture
def frontier():
    rng = np.random.default_rng(5)
    est_score, est_cost = rng.random((60, 4)), rng.lognormal(size=(60, 4))
    score = (rng.random((60, 4)) < est_score).astype(float)
    ids, models = tuple(map(str, range(60))), tuple("abcd")
    return sweep(Estimates(ids, models, est_score, est_cost), Outcomes(ids, models, score, est_cost * 1.1))


def test_a_replicate_is_the_sweep_of_the_drawn_prompts(frontier):
    weights = bootstrap_weights(60, 20, seed=1)
    curves = replicate(frontier, weights, points=10_000)
    for b in range(20):
        drawn = np.repeat(np.arange(60), np.rint(weights[:, b] * 60).astype(int))
        rows = [
            (frontier.outcomes.score[i, j], frontier.outcomes.cost_usd[i, j])
            for rate in curves.exchange_rate_per_usd[:1]
            for i, j in zip(drawn, frontier.choices(rate)[drawn], strict=True)
        ]
        assert curves.score[b, 0] == pytest.approx(np.mean([score for score, _ in rows]))
        for g, rate in enumerate(curves.exchange_rate_per_usd):
            chosen = frontier.choices(rate)[drawn]
            assert curves.score[b, g] == pytest.approx(frontier.outcomes.score[drawn, chosen].mean())
            assert curves.cost_usd[b, g] == pytest.approx(frontier.outcomes.cost_usd[drawn, chosen].mean())


def test_a_router_that_is_its_reference_costs_what_it_costs_in_every_replicate(frontier):
    ids, models, weights = frontier.outcomes.prompt_ids, frontier.models, bootstrap_counts(60, 50, seed=3)
    flat = np.broadcast_to([0.0, 1.0, 0.0, 0.0], (60, 4))
    always_b = sweep(Estimates(ids, models, flat, np.ones((60, 4))), frontier.outcomes)
    curves = replicate(always_b, weights)
    single = weighted_means(np.column_stack([frontier.outcomes.score[:, 1], frontier.outcomes.cost_usd[:, 1]]), weights)
    np.testing.assert_allclose(qnc(curves.cost_usd, curves.score, single[:, 0], single[:, 1]), 1.0)


def test_counts_and_shares_are_the_same_weights(frontier):
    counts, shares = bootstrap_counts(60, 10, seed=4), bootstrap_weights(60, 10, seed=4)
    np.testing.assert_allclose(replicate(frontier, counts).score, replicate(frontier, shares).score)
    table = frontier.outcomes.cost_usd
    np.testing.assert_allclose(weighted_means(table, counts), (table.T @ shares).T)


def test_each_replicate_is_scaled_by_its_own_number_of_draws(frontier):
    some = bootstrap_counts(200, 30, seed=5)[:60]  # of 200 prompts drawn from, these 60 are judged
    assert (some.sum(axis=0) != 60).any()
    curves = replicate(frontier, some)
    chosen = frontier.outcomes.score[np.arange(60), frontier.choices(0.0)]
    np.testing.assert_allclose(curves.score[:, 0], [np.average(chosen, weights=some[:, b]) for b in range(30)])


def test_the_kept_rates_hold_the_ends_and_the_hull(frontier):
    subset = rates_to_keep(frontier, points=5)
    rates = frontier.exchange_rate_per_usd
    assert subset[0] == 0.0
    assert subset[-1] == rates[-1]
    assert set(rates[upper_hull(frontier.cost_usd, frontier.score)]) <= set(subset)


def test_weights_are_draws_with_replacement_and_the_same_for_the_same_seed():
    weights = bootstrap_weights(40, 200, seed=7)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0)
    np.testing.assert_allclose(weights * 40, np.rint(weights * 40), atol=1e-9)
    # A prompt is left out of a draw of n from n with probability about 1/e.
    assert (weights == 0).mean() == pytest.approx(np.exp(-1), abs=0.02)
    bootstrap_weights.cache_clear()
    np.testing.assert_array_equal(weights, bootstrap_weights(40, 200, seed=7))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(11)
    covered = 0
    for trial in range(200):
        draws = (rng.random(150) < 0.3).astype(float)
        interval = Interval.of(draws.mean(), draws @ bootstrap_weights(150, 300, seed=trial % 5))
        covered += interval.low <= 0.3 <= interval.high
    assert 180 <= covered <= 200


def test_a_prompt_is_drawn_with_all_its_samples_since_a_second_draw_would_count_their_noise_twice():
    # The worst case: prompts are equally hard, so that all that differs between them is the noise of three samples.
    rng, (n, n_samples, replicates, trials) = np.random.default_rng(12), (100, 3, 200, 400)
    covered = covered_by_two_draws = 0
    weights = bootstrap_weights(n, replicates, seed=12)
    for _ in range(trials):
        samples = (rng.random((n, n_samples)) < 0.5).astype(float)
        means = samples.mean(axis=1)
        interval = Interval.of(means.mean(), means @ weights)
        covered += interval.low <= 0.5 <= interval.high
        drawn = rng.integers(0, n, (replicates, n, 1))
        again = samples[drawn, rng.integers(0, n_samples, (replicates, n, n_samples))].mean(axis=(1, 2))
        low, high = np.quantile(again, [0.025, 0.975])
        covered_by_two_draws += low <= 0.5 <= high
    assert 0.93 <= covered / trials <= 0.97
    assert covered_by_two_draws / trials > 0.97


def test_a_figure_mostly_undefined_has_no_interval():
    interval = Interval.of(0.5, np.array([np.nan, np.nan, 0.5]))
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


def test_a_score_never_reached_is_above_every_other():
    interval = Interval.of(0.5, np.array([0.4, 0.5, 0.6, np.inf] * 25))
    assert interval.low == 0.4
    assert interval.high == np.inf
    assert Interval.of(np.inf, np.full(10, np.inf)).low == np.inf


def test_one_figure_and_figures_that_move_together_need_no_wider_intervals():
    replicates = np.random.default_rng(0).gamma(2.0, size=999)
    alone = Interval.of(0.0, replicates)
    for figures in ([replicates], [replicates, 3 * replicates + 1], [replicates, np.full(999, 0.5)]):
        family = Family.of(figures)
        assert family.factor == pytest.approx(1, abs=1e-3)
        assert family.interval(replicates) == pytest.approx((alone.low, alone.high), rel=1e-3)
    assert Family.of([]).factor == 1


def test_intervals_of_a_family_hold_together_in_95_of_100_replicates():
    figures = np.random.default_rng(1).normal(size=(12, 999)) ** 3 + np.arange(12)[:, None]
    family = Family.of(list(figures))
    low, high = np.array([family.interval(one) for one in figures]).T[..., None]
    assert ((figures >= low) & (figures <= high)).all(axis=0).mean() == pytest.approx(0.95, abs=0.002)
    for one in figures:
        alone, (wide_low, wide_high) = Interval.of(0.0, one), family.interval(one)
        assert wide_low <= alone.low <= alone.high <= wide_high


def test_of_equal_figures_one_family_in_twenty_calls_some_pair_different():
    rng, called = np.random.default_rng(2), {"alone": 0, "together": 0}
    for _ in range(200):
        measured = rng.normal(size=6)  # six routers as good as each other, and replicates of what was measured
        routers = measured[:, None] + rng.normal(size=(6, 200))
        pairs = [routers[i] - routers[j] for i in range(6) for j in range(i)]
        family, alone = Family.of(pairs), Family(1.0)
        for name, of in (("together", family), ("alone", alone)):
            ends = [of.interval(pair) for pair in pairs]
            called[name] += any(low > 0 or high < 0 for low, high in ends)
    assert called["together"] <= 22  # 10 in expectation; more is one in 10,000
    assert called["alone"] > 50


def test_an_end_that_some_replicates_do_not_have_is_none_for_all_pairs():
    replicates = np.random.default_rng(3).normal(size=999)
    some = np.where(np.arange(999) < 5, np.inf, replicates)
    assert np.isfinite(Interval.of(0.0, some).high)
    low, high = Family.of([some, replicates]).interval(some)
    assert np.isfinite(low)
    assert high == np.inf
    assert Family(2.0).interval(np.full(999, np.inf)) == (np.inf, np.inf)
    assert np.isnan(Family(2.0).interval(np.full(999, np.nan))).all()
