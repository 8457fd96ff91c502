"""What-if scenarios: against slow recomputation, laws that must hold, exact thresholds, and files that lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrot_core.bootstrap import bootstrap_counts
from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.evaluation import Setting, setting
from carrot_core.frontier import rate_of_lam
from carrot_core.outcomes import Benchmark, Estimates, Outcomes
from carrot_core.prices import Price
from carrot_core.whatif import BEFORE, MATCH, SAME_ACCURACY, SAME_BUDGET, SAME_LAM, WhatIf, apply, move_point
from carrot_core.whatif.repricing import worth_using
from carrot_core.whatif.scenario import Hypothetical, Scenario, ScenarioPrice, parse_scenario, scenario_json
from tests.made import MODELS, made

LARGE, SMALL, MID = MODELS
LAMS = (0.0, 0.05, 0.3, 0.6, 0.95, 1.0)


def dollars_only(bench: Benchmark) -> Benchmark:
    nothing = np.full(bench.outcomes.shape, np.nan)
    return replace(bench, prices={}, input_tokens=nothing, output_tokens=nothing)


@pytest.fixture(scope="module")
def protocol() -> Setting:
    return setting(made(600))


@pytest.fixture(scope="module")
def estimates(protocol: Setting) -> dict[str, Estimates]:
    return protocol.estimates("carrot-linear")


@pytest.fixture(scope="module")
def dollars() -> tuple[Setting, dict[str, Estimates]]:
    protocol = setting(dollars_only(made(300)))
    return protocol, protocol.estimates("carrot-linear")


def slow_choices(table: Estimates, rate: float) -> np.ndarray:
    """Most useful model of each prompt; at an infinite rate the cheapest."""
    return np.argmax(-table.cost_usd if np.isinf(rate) else table.score - rate * table.cost_usd, axis=1)


def test_every_number_is_that_of_a_slow_recomputation(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    scenario = Scenario(
        prices={LARGE: ScenarioPrice(input_usd_per_mtok=1, output_usd_per_mtok=4)},
        price_factor=1.5,
        provider_factors={"acme": 0.5},
        model_factors={SMALL: 3.0},
        output_token_factor=1.2,
        cached_share=0.4,
        cached_price_factor=0.25,
        task_weights={"kind 0": 3.0},
        call_usd=2e-5,
    )
    result = apply(protocol, estimates, scenario)
    price = {LARGE: (1 * 0.75, 4 * 0.75), SMALL: (0.1 * 2.25, 0.4 * 2.25), MID: (0.5 * 1.5, 1.5 * 1.5)}
    old = {
        model: (answer.input_usd_per_mtok, answer.output_usd_per_mtok) for model, answer in protocol.test.prices.items()
    }
    for split in ("validation", "test"):
        part, table = protocol.part(split), estimates[split]
        cost, expected = np.zeros(part.outcomes.shape), np.zeros(part.outcomes.shape)
        for i in range(len(part.prompt_ids)):
            for j, model in enumerate(MODELS):
                tokens_in, tokens_out = part.input_tokens[i, j], part.output_tokens[i, j]
                paid_in = tokens_in * price[model][0] * (0.6 + 0.4 * 0.25)
                cost[i, j] = (paid_in + 1.2 * tokens_out * price[model][1]) / 1e6
                predicted = (table.cost_usd[i, j] * 1e6 - tokens_in * old[model][0]) / old[model][1]
                expected[i, j] = (paid_in + 1.2 * max(predicted, 0.0) * price[model][1]) / 1e6
        weights = np.array([3.0 if task == "kind 0" else 1.0 for task in part.tasks])
        weights /= weights.sum()
        curve = result.after.curves[split]
        rows = np.arange(len(weights))
        for lam in LAMS:
            rate = rate_of_lam(lam, result.cost_unit_usd)
            chosen = slow_choices(Estimates(table.prompt_ids, table.models, table.score, expected), rate)
            at = curve.at(rate)
            assert curve.score[at] == pytest.approx(weights @ part.outcomes.score[rows, chosen])
            assert curve.cost_usd[at] == pytest.approx(weights @ cost[rows, chosen] + 2e-5)
            shares = [weights[chosen == j].sum() for j in range(3)]
            assert curve.shares([rate])[0] == pytest.approx(shares, abs=1e-12)
        assert curve.model_cost_usd == pytest.approx(weights @ cost)
        assert curve.model_score == pytest.approx(weights @ part.outcomes.score)


def same(one: WhatIf, other: WhatIf) -> None:
    for split in ("validation", "test"):
        first, second = one.after.curves[split], other.after.curves[split]
        for name in ("exchange_rate_per_usd", "score", "cost_usd"):
            assert np.array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(),
        Scenario(price_factor=1.0, provider_factors={"acme": 1.0}, model_factors={MID: 1.0}),
        Scenario(cached_share=0.7, cached_price_factor=1.0),
        Scenario(prices={MID: ScenarioPrice(input_usd_per_mtok=0.5, output_usd_per_mtok=1.5)}),
        Scenario(pool=MODELS),
    ],
)
def test_factors_of_1_change_nothing(scenario: Scenario, protocol: Setting, estimates: dict[str, Estimates]) -> None:
    result = apply(protocol, estimates, scenario)
    plain = protocol.frontier(estimates, "test")
    assert np.array_equal(result.after.report_curve.score, plain.score)
    assert np.array_equal(result.after.report_curve.cost_usd, plain.cost_usd)
    assert result.after.best_single == result.before.best_single == protocol.best_single
    rates = [rate_of_lam(lam, result.cost_unit_usd) for lam in LAMS]
    assert result.after.report_curve.shares(rates) == pytest.approx(plain.shares(rates))
    same(result, apply(protocol, estimates, Scenario()))


@settings(max_examples=25)
@given(factor=st.floats(0.01, 100))
def test_all_prices_times_a_factor_are_the_same_choices_at_the_rate_divided_by_it(
    factor: float, protocol: Setting, estimates: dict[str, Estimates]
) -> None:
    result = apply(protocol, estimates, Scenario(price_factor=factor))
    for lam in LAMS:
        rate = rate_of_lam(lam, result.cost_unit_usd)
        before, after = result.before.report_curve, result.after.report_curve
        assert np.array_equal(before.choices(rate), after.choices(rate / factor))
        assert after.cost_usd[after.at(rate / factor)] == pytest.approx(factor * before.cost_usd[before.at(rate)])


def test_a_router_that_expects_one_cost_a_model_still_does(protocol: Setting) -> None:
    """It knows nothing of a prompt's tokens: what a scenario does to its costs is what it does to their means."""
    blind = protocol.estimates("routerbench-knn")
    assert len(np.unique(blind["test"].cost_usd[:, 0])) == 1
    result = apply(protocol, blind, Scenario(price_factor=2.0))
    after = result.after.report_curve
    assert after.estimates.cost_usd == pytest.approx(2 * result.before.report_curve.estimates.cost_usd)
    for lam in LAMS:
        rate = rate_of_lam(lam, result.cost_unit_usd)
        assert (result.before.report_curve.choices(rate) == after.choices(rate / 2)).all()
    longer = apply(protocol, blind, Scenario(output_token_factor=3.0)).after
    zero = longer.setting.estimates("zero")["test"]
    assert longer.report_curve.estimates.cost_usd == pytest.approx(zero.cost_usd)


def test_equal_weights_are_no_weights_and_a_weight_of_0_leaves_a_task_out(
    protocol: Setting, estimates: dict[str, Estimates]
) -> None:
    equal = apply(protocol, estimates, Scenario(task_weights={"kind 0": 7.0, "kind 1": 7.0}))
    same(equal, apply(protocol, estimates, Scenario()))
    alone = apply(protocol, estimates, Scenario(task_weights={"kind 0": 0.0})).after.report_curve
    only = protocol.narrowed(tasks=["kind 1"]).frontier(estimates, "test")
    for lam in LAMS:
        rate = rate_of_lam(lam, protocol.cost_unit_usd)
        assert alone.score[alone.at(rate)] == pytest.approx(only.score[only.at(rate)])
        assert alone.cost_usd[alone.at(rate)] == pytest.approx(only.cost_usd[only.at(rate)])
    with pytest.raises(CarrotError, match="weight 0"):
        apply(protocol, estimates, Scenario(task_weights={"kind 0": 0.0, "kind 1": 0.0}))


def test_a_pool_is_the_protocol_with_that_pool(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    result = apply(protocol, estimates, Scenario(pool=(MID, SMALL)))
    narrowed = protocol.narrowed(pool=[SMALL, MID])
    assert result.after.setting.models == (SMALL, MID)
    assert np.array_equal(result.after.report_curve.score, narrowed.frontier(estimates, "test").score)
    assert result.after.best_single == narrowed.best_single


def test_a_fixed_cost_moves_the_router_and_no_model(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    result = apply(protocol, estimates, Scenario(call_usd=1e-4))
    assert result.after.report_curve.cost_usd == pytest.approx(result.before.report_curve.cost_usd + 1e-4)
    assert np.array_equal(result.after.report_curve.model_cost_usd, result.before.report_curve.model_cost_usd)
    assert np.array_equal(result.after.hulls["test"].cost_usd, result.before.hulls["test"].cost_usd)


@settings(max_examples=25)
@given(offset=st.floats(-0.45, 0.15), tokens=st.floats(0.1, 10))
def test_a_hypothetical_model_has_its_offset_and_its_tokens(
    offset: float, tokens: float, protocol: Setting, estimates: dict[str, Estimates]
) -> None:
    price = ScenarioPrice(input_usd_per_mtok=0.5, output_usd_per_mtok=2.0)
    new = Hypothetical(name="acme/next", base=MID, score_offset=offset, token_factor=tokens, price=price)
    result = apply(protocol, estimates, Scenario(hypothetical=(new,), provider_factors={"acme": 0.5}))
    validation, reported_on = result.after.setting.validation, result.after.setting.test
    base = protocol.validation.outcomes.score[:, 2].mean()
    assert validation.outcomes.score[:, 3].mean() == pytest.approx(base + offset, abs=1e-12)
    paid = protocol.test.input_tokens[:, 2] * 0.25 + protocol.test.output_tokens[:, 2] * tokens * 1.0
    assert reported_on.outcomes.cost_usd[:, 3] == pytest.approx(paid / 1e6)
    assert reported_on.models == (*MODELS, "acme/next")
    assert any("errors are copied" in note for note in result.notes)


def test_a_copy_of_a_model_changes_no_score_and_no_cost(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    copy = Hypothetical(name="zeta/copy", base=MID)
    result = apply(protocol, estimates, Scenario(hypothetical=(copy,)))
    assert np.array_equal(result.after.report_curve.score, result.before.report_curve.score)
    assert np.array_equal(result.after.report_curve.cost_usd, result.before.report_curve.cost_usd)


def test_an_impossible_offset_says_what_is_possible(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    wrong = Hypothetical(name="new", base=LARGE, score_offset=0.9)
    with pytest.raises(CarrotError, match="offset must be from"):
        apply(protocol, estimates, Scenario(hypothetical=(wrong,)))


def test_the_point_is_left_alone_or_solved_again_on_validation(
    protocol: Setting, estimates: dict[str, Estimates]
) -> None:
    result = apply(protocol, estimates, Scenario(price_factor=2.0))
    rate = rate_of_lam(0.2, result.cost_unit_usd)
    rows = {row.what: row for row in move_point(result, rate, replicates=200)}
    assert list(rows) == [BEFORE, SAME_LAM, SAME_BUDGET, SAME_ACCURACY, MATCH]
    now = result.after.curves["validation"]
    before = rows[BEFORE]
    assert rows[SAME_LAM].lam == before.lam == pytest.approx(0.2)
    within = now.score[now.cost_usd <= before.validation_cost_usd + 1e-15]
    assert rows[SAME_BUDGET].validation_score == within.max()
    assert rows[SAME_ACCURACY].validation_cost_usd == pytest.approx(2 * before.validation_cost_usd, rel=0.2)
    assert rows[SAME_ACCURACY].validation_score >= before.validation_score - 1e-12
    for row in rows.values():
        assert row.score.low <= row.score.value <= row.score.high
        assert row.cost_usd.low <= row.cost_usd.value <= row.cost_usd.high
    free = move_point(apply(protocol, estimates, Scenario(call_usd=1.0)), rate, replicates=50)
    assert "budget" in next(row.shortfall for row in free if row.what == SAME_BUDGET)


def test_changes_of_a_point_are_paired(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    scenario = Scenario(price_factor=1.01, task_weights={"kind 0": 2.0}, call_usd=1e-6)
    result = apply(protocol, estimates, scenario)
    rate = rate_of_lam(0.2, result.cost_unit_usd)
    before, same, *_ = move_point(result, rate, replicates=200)
    for zero in (before.score_change, before.cost_change_usd):
        assert zero.low == zero.value == zero.high == 0
    # Slowly: the same draws of prompts, weighted on either side by its own task weights.
    curves = [(side.report_curve, side.report_curve.choices(rate)) for side in (result.before, result.after)]
    n, means = result.before.report_curve.n_prompts, np.empty((2, 200, 2))
    for place, (curve, choice) in enumerate(curves):
        rows = np.arange(n)
        values = np.column_stack([curve.outcomes.score[rows, choice], curve.paid_usd[rows, choice] + curve.call_usd])
        for b, counts in enumerate(bootstrap_counts(n, 200).T):
            means[place, b] = np.average(values, axis=0, weights=counts * curve.weights)
    low, high = np.quantile(means[1] - means[0], [0.025, 0.975], axis=0, method="weibull")
    assert (same.score_change.low, same.score_change.high) == pytest.approx((low[0], high[0]))
    assert (same.cost_change_usd.low, same.cost_change_usd.high) == pytest.approx((low[1], high[1]))
    assert same.score_change.value == pytest.approx(same.score.value - before.score.value)
    # One per cent on all prices is seen at once, where the two costs' own intervals overlap.
    result = move_point(apply(protocol, estimates, Scenario(price_factor=1.01)), 0.0, replicates=200)[1]
    assert result.cost_change_usd.low > 0
    assert result.cost_usd.low < result.cost_usd.value - result.cost_change_usd.value


def test_a_pool_that_makes_other_prompts_complete_is_paired_over_all_of_them(
    protocol: Setting, estimates: dict[str, Estimates]
) -> None:
    part = protocol.test
    score = part.outcomes.score.copy()
    score[::3, 0] = np.nan  # complete without the first model only
    holes = replace(part, outcomes=Outcomes(part.prompt_ids, part.models, score, part.outcomes.cost_usd))
    result = apply(replace(protocol, test=holes), estimates, Scenario(pool=(SMALL, MID)))
    assert result.after.report_curve.n_prompts > result.before.report_curve.n_prompts
    same = move_point(result, 0.0, replicates=100)[1]
    assert same.score_change.low <= same.score_change.value <= same.score_change.high
    assert same.score.value == pytest.approx(result.after.report_curve.score[0])


@pytest.mark.parametrize("lam", [0.02, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_just_below_the_threshold_a_model_is_used_and_just_above_it_is_not(
    lam: float, model: str, share: float, protocol: Setting, estimates: dict[str, Estimates]
) -> None:
    scenario = Scenario(task_weights={"kind 1": 2.5})
    result = apply(protocol, estimates, scenario)
    rate, column = rate_of_lam(lam, result.cost_unit_usd), MODELS.index(model)
    answer = worth_using(result.after.report_curve, model, rate)
    factor = answer.factor_for(share)
    assert result.after.report_curve.shares([rate])[0][column] == pytest.approx(answer.share_at(1.0), abs=1e-9)

    def used_at(factor: float) -> float:
        repriced = apply(protocol, estimates, scenario.model_copy(update={"model_factors": {model: factor}}))
        return float(repriced.after.report_curve.shares([rate])[0][column])

    if factor is None:
        assert used_at(1e-12) < max(share, 1e-12)
    elif np.isinf(factor):
        assert used_at(1e3) >= max(share - 1e-9, 1e-12)
    else:
        below, above = used_at(factor * (1 - 1e-6)), used_at(factor * (1 + 1e-6))
        assert below >= max(share - 1e-9, 1e-12)
        assert above < (share or 1e-12)


def test_at_lam_0_no_price_counts(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    curve = apply(protocol, estimates, Scenario()).after.report_curve
    for model in MODELS:
        answer = worth_using(curve, model, 0.0)
        assert set(answer.factor) <= {np.inf, -np.inf}
        assert answer.share_at(1.0) == pytest.approx(curve.shares([0.0])[0][MODELS.index(model)])


def test_dollars_scale_by_factors_and_take_no_prices(dollars: tuple[Setting, dict[str, Estimates]]) -> None:
    protocol, estimates = dollars
    result = apply(protocol, estimates, Scenario(model_factors={MID: 0.5}, output_token_factor=3.0))
    old, new = protocol.test.outcomes.cost_usd, result.after.setting.test.outcomes.cost_usd
    assert np.array_equal(new, old * [1.0, 1.0, 0.5])
    assert sum("Only dollars are recorded" in note for note in result.notes) == 2
    price = ScenarioPrice(input_usd_per_mtok=1, output_usd_per_mtok=1)
    with pytest.raises(CarrotError, match="records dollars only"):
        apply(protocol, estimates, Scenario(prices={MID: price}))


def test_where_only_input_is_charged_output_has_no_price() -> None:
    bench = made(300)
    cost = bench.input_tokens * [bench.prices[model].input_usd_per_mtok for model in MODELS] / 1e6
    outcomes = replace(bench.outcomes, cost_usd=cost)
    protocol = setting(replace(bench, outcomes=outcomes, output_tokens=np.full(cost.shape, np.nan)))
    price = ScenarioPrice(input_usd_per_mtok=6.0, output_usd_per_mtok=99.0)
    result = apply(protocol, protocol.estimates("carrot-linear"), Scenario(prices={LARGE: price}))
    assert result.after.setting.test.outcomes.cost_usd == pytest.approx(protocol.test.outcomes.cost_usd * [2, 1, 1])
    assert result.after.report_curve.estimates.cost_usd == pytest.approx(result.after.setting.test.outcomes.cost_usd)
    assert any("only the input is charged" in note for note in result.notes)


def test_a_cascade_is_refused(protocol: Setting) -> None:
    with pytest.raises(CarrotError, match="cascade"):
        apply(protocol, protocol.estimates("cascade"), Scenario(price_factor=2))


@pytest.mark.parametrize(
    ("scenario", "known"),
    [
        (Scenario(model_factors={"ghost": 2.0}), "No model 'ghost'"),
        (Scenario(pool=("ghost",)), "No model 'ghost'"),
        (Scenario(provider_factors={"ghost": 2.0}), "No provider 'ghost'"),
        (Scenario(task_weights={"ghost": 2.0}), "No task 'ghost'"),
        (Scenario(hypothetical=(Hypothetical(name="new", base="ghost"),)), "No model 'ghost'"),
    ],
)
def test_what_is_not_in_the_benchmark_is_named(
    scenario: Scenario, known: str, protocol: Setting, estimates: dict[str, Estimates]
) -> None:
    with pytest.raises(NotFoundError, match=known):
        apply(protocol, estimates, scenario)


def test_a_hypothetical_model_needs_a_name_of_its_own(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    with pytest.raises(CarrotError, match="name of a real one"):
        apply(protocol, estimates, Scenario(hypothetical=(Hypothetical(name=MID, base=LARGE),)))


def test_a_file_keeps_a_scenario_and_only_what_differs() -> None:
    new = Hypothetical(name="new", base=MID, price=ScenarioPrice(input_usd_per_mtok=0, output_usd_per_mtok=1))
    scenario = Scenario(price_factor=2.0, task_weights={"": 0.5}, pool=(LARGE,), hypothetical=(new,))
    assert parse_scenario(scenario_json(scenario).encode(), "scenario.json") == scenario
    assert scenario_json(Scenario(), indent=None) == '{"format": 1}'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "Invalid JSON"),
        ("[]", "the document"),
        ('{"format": 2}', "format"),
        ('{"price_factr": 2}', "price_factr: Extra inputs"),
        ('{"price_factor": -1}', "price_factor: Input should be greater"),
        ('{"price_factor": NaN}', "price_factor"),
        ('{"cached_share": 1.5}', "cached_share"),
        ('{"prices": {"x": {"input_usd_per_mtok": 1}}}', "prices.x.output_usd_per_mtok: Field required"),
        ('{"pool": ["a", "a"]}', "names 'a' twice"),
        ("[" * 5000, "Invalid JSON"),
        (" " * (2 << 20), "too large"),
    ],
    ids=range(11),
)
def test_a_file_that_is_no_scenario_says_what_is_wrong(document: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_scenario(document)


def test_a_free_model_can_get_a_price_since_its_tokens_are_stated(protocol: Setting) -> None:
    def free(part: Benchmark) -> Benchmark:
        cost = part.outcomes.cost_usd * (np.array(part.models) != SMALL)
        prices = {**part.prices, SMALL: Price(0.0, 0.0)}
        return replace(part, prices=prices, outcomes=replace(part.outcomes, cost_usd=cost))

    without = setting(free(made(600)))
    result = apply(
        without,
        without.estimates("carrot-linear"),
        Scenario(prices={SMALL: ScenarioPrice(input_usd_per_mtok=0.1, output_usd_per_mtok=0.4)}),
    )
    expected = protocol.estimates("carrot-linear")["test"].cost_usd
    np.testing.assert_allclose(result.after.report_curve.estimates.cost_usd, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(result.after.setting.test.outcomes.cost_usd, protocol.test.outcomes.cost_usd)


def test_rounds_of_cross_fitting_are_repriced_each_by_its_own_means() -> None:
    whole = setting(replace(made(150), split_is_ours=True))
    new = Hypothetical(name="new", base=MID, price=ScenarioPrice(input_usd_per_mtok=9, output_usd_per_mtok=9))
    twice = ScenarioPrice(input_usd_per_mtok=6, output_usd_per_mtok=30)
    scenario = Scenario(prices={LARGE: twice}, hypothetical=(new,))
    for router in ("zero", "task-lookup"):
        result = apply(whole, whole.estimates(router), scenario)
        table = result.after.report_curve.estimates
        assert table.models == (*MODELS, "new")
        for each in whole.rounds:
            alone = apply(each, each.estimates(router), scenario).after.report_curve
            here = np.isin(table.prompt_ids, each.test.prompt_ids)
            np.testing.assert_allclose(table.cost_usd[here][:, :3], alone.estimates.cost_usd[:, :3])
    zero = whole.estimates("zero")
    after = apply(whole, zero, scenario).after.report_curve.estimates
    np.testing.assert_allclose(after.cost_usd[:, 0], 2 * zero[whole.report_on].cost_usd[:, 0])
