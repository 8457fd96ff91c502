"""`CarrotRouter`: typed prompts get the decisions of the rule, whatever is typed and however many at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrot_core import CarrotRouter
from carrot_core.cli.fit import save
from carrot_core.embedding import readable
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.evaluation import setting
from carrot_core.frontier import rate_of_lam
from carrot_core.operating_point import match_model, solve_budget, solve_target
from carrot_core.outcomes import Benchmark
from carrot_core.prices import Price, Tier, token_cost_usd
from carrot_core.promise import CONFIDENCE
from carrot_core.routers.saving import router_as_bytes, router_from_bytes
from carrot_core.serving.decision import Explanation, ribbon
from carrot_core.serving.point import read_point
from carrot_core.serving.profile import profile_of
from tests.made import MODELS, PRICES, made
from tests.typed_prompts import HOSTILE, served, typed

pytestmark = pytest.mark.slow

TEXTS = [f"Question {i} about {'roots ' * (i % 40)}" for i in range(16)] + list(HOSTILE.values())
FEW = TEXTS[10:20]


@pytest.fixture(scope="module")
def router() -> CarrotRouter:
    return typed()


def dollars_only(bench: Benchmark) -> Benchmark:
    nothing = np.full(bench.outcomes.shape, np.nan)
    return replace(bench, input_tokens=nothing, output_tokens=nothing, prices={})


def input_only(bench: Benchmark) -> Benchmark:
    return replace(bench, output_tokens=np.full(bench.outcomes.shape, np.nan))


@settings(max_examples=20)
@given(lam=st.floats(0, 1))
def test_the_choice_is_the_best_utility(lam: float) -> None:
    decisions = typed().decide(TEXTS[:6], lam=lam)
    for row, chosen in enumerate(decisions.chosen):
        score, cost = decisions.estimates.score[row], decisions.estimates.cost_usd[row]
        utility = (1 - lam) * score - lam * cost / decisions.cost_unit_usd
        np.testing.assert_allclose(decisions.utility[row], utility)
        assert utility[chosen] >= utility.max() - 1e-12


def test_a_prompt_gets_the_same_alone_and_among_others(router: CarrotRouter) -> None:
    together = router.decide(TEXTS, lam=0.2)
    for row, text in enumerate(TEXTS):
        alone = router.decide([text], lam=0.2)
        np.testing.assert_allclose(alone.estimates.score[0], together.estimates.score[row], atol=1e-5)
        np.testing.assert_allclose(alone.estimates.cost_usd[0], together.estimates.cost_usd[row], rtol=1e-4)
        assert alone.models == [together.models[row]]


def test_task_labels_are_one_for_all_or_one_a_prompt() -> None:
    router, texts = served(made(600), use_task=True), ["Question of kind", "Another"]
    assert router.task_labels == ("kind 0", "kind 1")
    both = router.decide(texts, task=["kind 1", None], lam=0.0)
    assert both.labels.used == ("kind 1", "")
    expected = router.decide(texts, task="kind 1", lam=0.0).estimates.score[0], router.decide(texts).estimates.score[1]
    np.testing.assert_allclose(both.estimates.score, expected, atol=1e-9)
    pool = MODELS[1:]
    assert [router.route("Another", task=kind, pool=pool, lam=0.0) for kind in router.task_labels] == list(pool)
    assert router.explain(texts[0], task="kind 1", lam=0.0).winner == both.models[0]
    assert router.route([]) == router.route([], task=[]) == []
    for wrong in (["kind 0"], [], ["kind 0", 3]):
        with pytest.raises(CarrotError, match=r"label"):
            router.decide(texts, task=wrong)


def test_a_label_that_cannot_be_used_is_said_to_be(router: CarrotRouter) -> None:
    reads = served(made(600), use_task=True)
    for label in ("kind 2", "KIND 0", "\u202e<b>", "x" * 10_000):
        unknown, without = (reads.decide(["a"], task=task) for task in (label, None))
        np.testing.assert_array_equal(unknown.estimates.score, without.estimates.score)
        assert "not among the 2" in unknown.labels.notes[0]
        assert label not in unknown.labels.notes[0]
        assert without.labels.notes == ("",)
        note = router.decide(["a"], task=label).labels.notes[0]
        assert "reads no task labels" in note
    assert router.task_labels == ()
    _, *arguments = note.split("`")[1].partition("router save")[2].split(" ")
    assert "use_task=true" in save.make_context("save", arguments).params["params"]  # a usage error if it cannot run


def test_intervals_and_curves_of_a_router_that_reads_labels_are_those_without_and_hold_with_them() -> None:
    bench = made(3000)
    protocol = setting(bench)
    fitted, estimates = protocol.fit("carrot-linear", params={"use_task": True})
    profile = profile_of(protocol, fitted, estimates)
    test = protocol.test
    blind = fitted.estimate(replace(test, tasks=("",) * len(test.tasks)))
    np.testing.assert_allclose(profile.curves["test"].score[0], protocol.curve(blind, test).score[0])
    for name in ("score", "usage", "score_with_task", "usage_with_task"):
        coverage = profile.coverage[name]
        assert coverage is not None
        assert abs(coverage - 0.9) < 0.08, name


def test_threads_get_what_one_gets(router: CarrotRouter) -> None:
    expected = [router.route(text, lam=0.1) for text in FEW]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda text: router.route(text, lam=0.1), FEW)) == expected


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_anything_typed_is_answered(router: CarrotRouter, text: str) -> None:
    explanation = router.explain(text)
    assert explanation.winner in MODELS
    numbers = explanation.table.drop(columns="model").to_numpy(dtype=float)
    assert np.isfinite(numbers).all()
    assert 0 <= (explanation.distance_percentile or 0) <= 100
    assert explanation.read_tokens <= 256


def test_another_part_of_a_long_text_can_be_read_and_all_of_it_is_paid_for(router: CarrotRouter) -> None:
    text = "Which rivers flow through Vienna, and why? " * 60 + "\ud83d\ude00 " + "def double(x): return 2 * x\n" * 40
    first = router.explain(text)
    assert (first.part, first.read_tokens) == (0, 256)
    bounds = [(part.start, part.end) for part in first.parts]
    assert bounds == sorted(bounds)
    assert all(part.n_tokens <= 256 for part in first.parts)
    last = len(first.parts) - 1
    assert last > 1
    other = router.explain(text, part=last)
    start, end, n_tokens = other.parts[last]
    assert other.read_tokens == n_tokens < 256
    readable_text = readable(text, len(text))
    assert readable_text[start:end].rstrip().endswith("2 * x")
    alone = router.explain(readable_text[start:end])

    def column(explained: Explanation, name: str) -> list[float]:
        return explained.table.set_index("model")[name].reindex(MODELS).tolist()

    assert column(other, "est_score") == pytest.approx(column(alone, "est_score"), abs=1e-5)
    assert column(other, "est_score") != pytest.approx(column(first, "est_score"), abs=1e-5)
    assert column(other, "input_tokens") == column(first, "input_tokens")
    with pytest.raises(CarrotError, match="no part"):
        router.explain(text, part=last + 1)


def test_a_short_text_is_one_part(router: CarrotRouter) -> None:
    for text in ("", "Why?"):
        explained = router.explain(text)
        assert [(part.start, part.end) for part in explained.parts] == [(0, len(text))]
        assert explained.read_tokens == explained.prompt_tokens


def test_no_prompts_are_no_decisions(router: CarrotRouter) -> None:
    assert router.route([]) == []
    assert router.estimate([]).empty


@pytest.mark.parametrize("prompts", [[None], ["a", 3], [b"bytes"]])
def test_what_is_no_text_is_refused(router: CarrotRouter, prompts: list) -> None:
    with pytest.raises(CarrotError, match=r"Prompt \d is \w+, neither"):
        router.route(prompts)
    with pytest.raises(CarrotError, match="list of prompts"):
        router.decide("one text")


def test_the_ribbon_is_exact(router: CarrotRouter) -> None:
    for text in TEXTS[::7]:
        parts = router.explain(text).ribbon
        assert (parts[0].lam_from, parts[-1].lam_to) == (0.0, 1.0)
        for before, after in pairwise(parts):
            assert before.lam_to == after.lam_from
            assert before.model != after.model
        for part in parts:
            assert router.route(text, lam=(part.lam_from + part.lam_to) / 2) == part.model
        assert router.route(text, lam=0.0) == parts[0].model
        assert router.route(text, lam=1.0) == parts[-1].model


def test_the_ribbon_of_a_pool_of_one(router: CarrotRouter) -> None:
    decisions = router.decide(["x"], pool=MODELS[:1])
    (part,) = ribbon(decisions.estimates, decisions.cost_unit_usd)
    assert (part.model, part.lam_from, part.lam_to) == (MODELS[0], 0.0, 1.0)
    assert "only model" in router.explain("x", pool=MODELS[:1]).sentence


def test_an_explanation_ranks_by_utility_and_tells_the_margin(router: CarrotRouter) -> None:
    explanation = router.explain(TEXTS[3], lam=0.1)
    assert explanation.winner == explanation.table["model"][0] == router.route(TEXTS[3], lam=0.1)
    assert explanation.table["utility"].is_monotonic_decreasing
    first, second = explanation.table.iloc[0], explanation.table.iloc[1]
    assert explanation.margin == pytest.approx(first["utility"] - second["utility"])
    assert explanation.score_difference == pytest.approx(first["est_score"] - second["est_score"])
    assert explanation.cost_difference_usd == pytest.approx(first["est_cost_usd"] - second["est_cost_usd"])
    assert explanation.winner in explanation.sentence
    assert str(explanation.runner_up) in explanation.sentence


def test_estimates_lie_in_their_intervals_and_cost_is_tokens_times_prices(router: CarrotRouter) -> None:
    table = router.estimate(FEW)
    assert len(table) == len(FEW) * len(MODELS)
    assert table["score_low"].le(table["score_high"]).all()
    for estimate, low, high in (
        ("est_output_tokens", "output_tokens_low", "output_tokens_high"),
        ("est_cost_usd", "cost_low_usd", "cost_high_usd"),
    ):
        assert (table[low] <= table[estimate] + 1e-12).all()
        assert (table[estimate] <= table[high] + 1e-12).all()
    price_in, price_out = (
        table["model"].map({name: getattr(price, side) for name, price in PRICES.items()})
        for side in ("input_usd_per_mtok", "output_usd_per_mtok")
    )
    cost = (table["input_tokens"] * price_in + table["est_output_tokens"] * price_out) / 1e6
    np.testing.assert_allclose(table["est_cost_usd"], cost, atol=1e-15)


def test_other_prices_change_cost_and_nothing_else(router: CarrotRouter) -> None:
    before = router.estimate(FEW)
    after = router.estimate(FEW, prices={"acme/small": Price(10.0, 7.0)})
    pd.testing.assert_frame_equal(router.estimate(FEW, prices={"acme/small": (10.0, 7.0)}), after)
    small = before["model"] == "acme/small"
    np.testing.assert_array_equal(after["est_score"], before["est_score"])
    np.testing.assert_array_equal(after["est_cost_usd"][~small], before["est_cost_usd"][~small])
    expected = (before["input_tokens"] * 10.0 + before["est_output_tokens"] * 7.0) / 1e6
    np.testing.assert_allclose(after["est_cost_usd"][small], expected[small], rtol=1e-9)


@pytest.mark.parametrize("price", [(-1.0, 1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_a_price_that_is_none_is_refused(router: CarrotRouter, price: tuple[float, float]) -> None:
    with pytest.raises(CarrotError, match="A price of 'acme/small' is"):
        router.route("x", prices={"acme/small": price})


def test_unknown_names_are_told(router: CarrotRouter) -> None:
    for options in ({"prices": {"nobody": (1.0, 1.0)}}, {"pool": ["nobody"]}, {"fallback": "nobody"}):
        with pytest.raises(NotFoundError, match="'nobody'"):
            router.route("x", **options)
    with pytest.raises(NotFoundError, match="'acme/large'"):
        router.route("x", pool=["acme/small"], fallback="acme/large")
    for pool in ([], "acme/small", ["acme/small", "acme/small"]):
        with pytest.raises(CarrotError, match="pool"):
            router.route("x", pool=pool)
    with pytest.raises(TypeError):
        router.route("x", lamb=0.3)  # type: ignore[call-arg]


def test_a_pool_only_leaves_models_out(router: CarrotRouter) -> None:
    pool = [MODELS[2], MODELS[0]]
    whole, part = router.decide(FEW, lam=0.1), router.decide(FEW, lam=0.1, pool=pool)
    assert part.estimates.models == tuple(pool)
    np.testing.assert_array_equal(part.estimates.score, whole.estimates.score[:, [2, 0]])
    assert set(part.models) <= set(pool)


def test_mu_is_the_authors_lambda(router: CarrotRouter) -> None:
    assert router.rate(mu=0.3) == pytest.approx(0.3 / 0.7 / 0.01)
    assert router.rate(mu=1.0) == float("inf")
    decisions = router.decide(FEW, mu=0.3)
    slow = (0.7 * decisions.estimates.score - 0.3 * decisions.estimates.cost_usd / 0.01).argmax(axis=1)
    np.testing.assert_array_equal(decisions.chosen, slow)


def test_budget_and_target_are_solved_on_the_exact_validation_curve(router: CarrotRouter) -> None:
    protocol = setting(made(900))
    curve = protocol.frontier(protocol.estimates("carrot-linear"), "validation")
    for share in (0.1, 0.4, 0.9):
        budget = curve.cost_usd.min() + share * np.ptp(curve.cost_usd)
        target = curve.score.min() + share * np.ptp(curve.score)
        for solution, name, value in (
            (solve_budget(curve, budget, CONFIDENCE), "budget", 1000 * budget),
            (solve_target(curve, target, CONFIDENCE), "target", target),
        ):
            if solution.reached:
                assert router.rate(**{name: value}) == solution.exchange_rate_per_usd
            else:
                with pytest.raises(CarrotError, match="can promise"):
                    router.rate(**{name: value})
    with pytest.raises(CarrotError, match="the least that can be promised is"):
        router.rate(budget=1e-9)
    with pytest.raises(CarrotError, match="the most that can be promised is"):
        router.rate(target=1.0)
    with pytest.raises(CarrotError, match="from 0 to 1"):
        router.rate(target=85)
    with pytest.raises(CarrotError, match="Give one of lam, budget"):
        router.rate(lam=0.5, budget=1.0)
    for options in ({"pool": MODELS[:2]}, {"prices": {MODELS[0]: (1.0, 1.0)}}):
        with pytest.raises(CarrotError, match="whole pool"):
            router.route("x", budget=1.0, **options)


def test_without_a_point_the_router_matches_the_best_single_model(router: CarrotRouter) -> None:
    protocol = setting(made(900))
    curve = protocol.frontier(protocol.estimates("carrot-linear"), "validation")
    solution = match_model(curve, protocol.best_single, CONFIDENCE)
    assert rate_of_lam(router.default_lam, router.cost_unit_usd) == pytest.approx(solution.exchange_rate_per_usd)
    assert router.decide(["x"]).lam == router.default_lam


@pytest.mark.parametrize("lam", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_lambda_out_of_bounds_is_refused(router: CarrotRouter, lam: float) -> None:
    for name in ("lam", "mu"):
        with pytest.raises(CarrotError, match=f"{name} must be from 0 to 1"):
            router.route("x", **{name: lam})


def test_the_fallback_answers_what_is_unlike_the_training_data(router: CarrotRouter) -> None:
    texts = TEXTS[:6]
    percentile = [router.explain(text).distance_percentile or 0.0 for text in texts]
    limit = float(np.median(percentile))
    decisions = router.decide(texts, lam=0.5, fallback="acme/large", fallback_above=limit)
    np.testing.assert_array_equal(decisions.fell_back, np.array(percentile) >= limit)
    plain = router.decide(texts, lam=0.5)
    for row, fell_back in enumerate(decisions.fell_back):
        assert decisions.models[row] == ("acme/large" if fell_back else plain.models[row])
    explanation = router.explain("x", lam=0.5, fallback="acme/large", fallback_above=0.0)
    assert (explanation.winner, explanation.unlike) == ("acme/large", True)
    assert "fallback answers" in explanation.sentence
    with pytest.raises(CarrotError, match="percentile from 0 to 100"):
        router.route("x", fallback="acme/large", fallback_above=101)


def test_records_are_plain_json(router: CarrotRouter) -> None:
    for lam in (0.0, 0.3, 1.0):
        (record,) = json.loads(json.dumps(router.decide(["x"], lam=lam).records(), allow_nan=False))
        assert record["model"] in MODELS
        assert record["lam"] == lam
        assert set(record["models"]) == set(MODELS)
        for cells in record["models"].values():
            assert set(cells) == {"est_score", "est_cost_usd", "est_output_tokens", "utility"}


def test_a_free_price_costs_nothing_and_leaves_the_tokens_known(router: CarrotRouter) -> None:
    charged, free = (
        table[table["model"] == MODELS[0]]
        for table in (router.estimate(FEW), router.estimate(FEW, prices={MODELS[0]: (0.0, 0.0)}))
    )
    tokens = ["est_output_tokens", "output_tokens_low", "output_tokens_high"]
    np.testing.assert_allclose(free[tokens], charged[tokens], rtol=1e-6)
    assert (free[["est_cost_usd", "cost_low_usd", "cost_high_usd"]] == 0).all(axis=None)


@pytest.mark.parametrize("price", [Price(0.0, 0.0), Price(0.1, 0.0)])
def test_a_model_that_was_free_when_it_was_run_can_be_served(price: Price) -> None:
    bench = made(300)
    prices = {**bench.prices, MODELS[0]: price}
    cost = token_cost_usd(bench.input_tokens, bench.output_tokens, [prices[model] for model in MODELS])
    table = served(replace(bench, prices=prices, outcomes=replace(bench.outcomes, cost_usd=cost))).estimate(FEW)
    assert table.loc[table["model"] == MODELS[0], "output_tokens_high"].notna().all()
    assert np.isfinite(table[["est_cost_usd", "cost_low_usd", "cost_high_usd"]]).all(axis=None)


def test_dollars_are_estimated_where_only_they_are_recorded() -> None:
    router = served(dollars_only(made(600)))
    table = router.estimate(FEW)
    assert table[["input_tokens", "est_output_tokens", "output_tokens_high"]].isna().all(axis=None)
    assert (table["cost_low_usd"] <= table["est_cost_usd"]).all()
    assert router.decide(["x"]).records()[0]["models"]["acme/small"]["est_output_tokens"] is None
    with pytest.raises(CarrotError, match="records dollars and no prices"):
        router.route("x", prices={"acme/small": (1.0, 1.0)})


def test_where_only_the_input_is_charged_the_cost_is_known() -> None:
    router = served(input_only(made(600)))
    table = router.estimate(TEXTS)
    np.testing.assert_array_equal(table["cost_low_usd"], table["cost_high_usd"])
    assert table["est_output_tokens"].isna().all()
    assert (table["est_cost_usd"] > 0).all() or (table["input_tokens"].eq(0) == table["est_cost_usd"].eq(0)).all()


@pytest.mark.parametrize("name", ["task-lookup", "oracle", "rorf", "cascade", "best-single"])
def test_routers_that_cannot_know_a_typed_prompt_are_refused(name: str) -> None:
    protocol = setting(made(300))
    fitted, estimates = protocol.fit(name)
    with pytest.raises(CarrotError, match="cannot answer typed prompts"):
        profile_of(protocol, fitted, estimates)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", ["carrot-knn", "carrot-mlp", "carrot-blend", "routerbench-knn", "zero"])
def test_every_other_router_answers(name: str) -> None:
    router = served(made(300), name)
    decisions = router.decide(TEXTS[:10], lam=0.1)
    assert np.isfinite(decisions.estimates.score).all()
    assert 0.5 < (router.profile.coverage["score"] or 0) <= 1


def at_prices(bench: Benchmark, prices: dict[str, Price]) -> Benchmark:
    cost = token_cost_usd(bench.input_tokens, bench.output_tokens, [prices[model] for model in bench.models])
    return replace(bench, prices=prices, outcomes=replace(bench.outcomes, cost_usd=cost))


ZEROS = st.sampled_from([0.0, 0.0, 0.1, 3.0, 15.0])
SETS = st.tuples(*[st.builds(Price, ZEROS, ZEROS)] * len(MODELS)).map(lambda each: dict(zip(MODELS, each, strict=True)))


@settings(max_examples=15)
@given(prices=SETS, lam=st.floats(0, 1))
def test_at_any_prices_0_among_them_decisions_are_finite_and_costs_exact(prices: dict[str, Price], lam: float) -> None:
    table = typed().estimate(TEXTS[:4], prices=prices)
    usual = typed().estimate(TEXTS[:4])
    for name in ("est_output_tokens", "output_tokens_low", "output_tokens_high"):
        np.testing.assert_allclose(table[name], usual[name], rtol=1e-6, atol=1e-6)
    for tokens, dollars in (("est_output_tokens", "est_cost_usd"), ("output_tokens_low", "cost_low_usd")):
        counts = [table[name].to_numpy().reshape(4, len(MODELS)) for name in ("input_tokens", tokens)]
        expected = token_cost_usd(*counts, [prices[model] for model in MODELS]).ravel()
        np.testing.assert_allclose(table[dollars], expected, rtol=1e-9, atol=1e-18)
    decisions = typed().decide(TEXTS[:4], prices=prices, lam=lam)
    assert np.isfinite(decisions.utility).all()
    free = table["model"].map(lambda model: prices[model].is_free)
    assert (table.loc[free, ["est_cost_usd", "cost_low_usd", "cost_high_usd"]] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("name", "price"),
    [(name, Price(0.0, 0.0)) for name in ("carrot-linear", "carrot-knn", "zero")]
    + [("carrot-linear", Price(0.1, 0.0)), ("carrot-linear", Price(0.0, 0.1))],
    ids=str,
)
def test_a_router_fitted_with_a_free_model_answers(name: str, price: Price, tmp_path: Path) -> None:
    prices = {**PRICES, "acme/small": price}
    router, priced = served(at_prices(made(300), prices), name), served(made(300), name)
    table, usual = router.estimate(TEXTS[:3]), priced.estimate(TEXTS[:3])
    assert np.isfinite(table.drop(columns=["prompt", "model"]).to_numpy(dtype=float)).all()
    # A router of means takes them from dollars where it can, at the mean input of the prompts asked.
    np.testing.assert_allclose(
        table["est_output_tokens"], usual["est_output_tokens"], rtol=0.1 if name == "zero" else 1e-6
    )
    point = router.save_point(tmp_path / "point.json", lam=0.2)
    assert read_point(tmp_path / "point.json").token_prices == dict(prices)
    assert point.test is not None
    assert router.explain(TEXTS[0], lam=0.4, nearest=False).winner in MODELS


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", ["carrot-linear", "carrot-blend", "zero"])
def test_a_free_model_costs_exactly_nothing_where_only_dollars_are_recorded(name: str) -> None:
    bench = dollars_only(made(300))
    cost = bench.outcomes.cost_usd.copy()
    cost[:, 1] = 0.0
    table = served(replace(bench, outcomes=replace(bench.outcomes, cost_usd=cost)), name).estimate(TEXTS[:4])
    dollars, free = ["est_cost_usd", "cost_low_usd", "cost_high_usd"], table["model"] == bench.models[1]
    assert (table.loc[free, dollars] == 0).all(axis=None)
    assert (table.loc[~free, "cost_high_usd"] > table.loc[~free, "cost_low_usd"]).all()


def test_a_free_model_whose_tokens_were_never_recorded_answers_at_no_cost() -> None:
    bench = at_prices(made(300), {**PRICES, "zeta/mid": Price(0.0, 0.0)})
    column = MODELS.index("zeta/mid")
    tokens = [table.copy() for table in (bench.input_tokens, bench.output_tokens)]
    for table in tokens:
        table[:, column] = np.nan
    router = served(replace(bench, input_tokens=tokens[0], output_tokens=tokens[1]))
    rows = router.estimate(TEXTS[:3]).set_index("model")
    assert rows.loc["zeta/mid", ["est_cost_usd", "cost_low_usd", "cost_high_usd"]].eq(0).all(axis=None)
    assert rows.loc["zeta/mid", "est_output_tokens"].isna().all()
    assert np.isfinite(rows.drop(index="zeta/mid").to_numpy(dtype=float)).all()


def test_prices_with_tiers_go_through_points_and_saved_routers(tmp_path: Path) -> None:
    tiered = Price(0.5, 1.5, "2025", "list", 0.05, 2.0, (Tier(100.0, 1.0, 3.0, 0.1),))
    router = served(at_prices(made(300), {**PRICES, "zeta/mid": tiered}), "carrot-knn")
    document, numbers = router_as_bytes(router._fitted, router.profile)
    _, profile = router_from_bytes(document, numbers)
    assert profile.prices == router.profile.prices
    router.save_point(tmp_path / "point.json", lam=0.1)
    again = read_point(tmp_path / "point.json")
    assert again.token_prices["zeta/mid"] == tiered
    flat = json.loads((tmp_path / "point.json").read_text())["prices"]["acme/small"]
    assert set(flat) == {"input_usd_per_mtok", "output_usd_per_mtok", "as_of", "source"}
    table = router.estimate(["short", "word " * 600]).set_index("model").loc["zeta/mid"]
    assert (table["input_tokens"] > 100).tolist() == [False, True]
    factor = np.array([1.0, 2.0])
    expected = (table["input_tokens"] * 0.5 + table["est_output_tokens"] * 1.5) * factor / 1e6
    np.testing.assert_allclose(table["est_cost_usd"], expected, rtol=1e-9)


def test_a_chat_is_decided_on_as_its_last_question(router: CarrotRouter) -> None:
    question, system = "Name the roots of x² = 4.", {"role": "system", "content": "You are kind. " * 400}
    messages = [system, {"role": "user", "content": question}]
    plain = router.decide([question, question, question], lam=0.2)
    chats = router.decide([messages, {"messages": messages}, json.dumps(messages)], lam=0.2)
    np.testing.assert_array_equal(chats.estimates.score, plain.estimates.score)
    pd.testing.assert_frame_equal(router.estimate([messages]), router.estimate([question]))
    assert router.route(messages, lam=0.2) == router.route(question, lam=0.2)
    assert router.route([messages, question], lam=0.2) == plain.models[:2]
    assert router.explain(messages, lam=0.2).sentence == router.explain(question, lam=0.2).sentence


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (["Why?", [{"role": "system", "content": "Be kind."}]], "Prompt 1 .* without any text of the user"),
        (["Why?", '[{"role": "assistant", "content": "Yes."}]'], "Prompt 1 .* without any text of the user"),
        (["Why?", {"role": "user", "content": "Why?"}], "Prompt 1 is dict"),
        ([{"role": "user", "content": "Why?"}], "list of prompts"),
        ({"messages": [{"role": "user", "content": "Why?"}]}, "list of prompts"),
    ],
)
def test_a_chat_that_cannot_be_read_is_refused(router: CarrotRouter, prompts: Any, message: str) -> None:
    with pytest.raises(CarrotError, match=message):
        router.decide(prompts)
