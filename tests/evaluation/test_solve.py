"""From wishes to λ: exact on validation, reported on test, and honest where a wish cannot be had."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from carrot_core.bootstrap import bootstrap_counts, replicate_tables
from carrot_core.cli import main
from carrot_core.cli.solve import _report
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.evaluation import Setting, setting, single_models
from carrot_core.evaluation.solve import Goal, solve
from carrot_core.frontier import Frontier, rate_of_lam
from carrot_core.number_formats import NOTHING_SOLVED, cost_basis, points
from carrot_core.operating_point import mix_within_budget, solve_budget, solve_cap, solve_per_solved, solve_target
from carrot_core.outcomes import Estimates
from carrot_core.promise import Promise, promise_text
from carrot_core.results.source import StoredResults
from carrot_core.verdict import sentence, verdict_on
from tests.made import made, write_files


@pytest.fixture(scope="module")
def protocol() -> Setting:
    return setting(made(900))


@pytest.fixture(scope="module")
def estimates(protocol: Setting) -> dict[str, Estimates]:
    return protocol.estimates("carrot-linear")


@pytest.fixture(scope="module")
def validation(protocol: Setting, estimates: dict[str, Estimates]) -> Frontier:
    return protocol.frontier(estimates, "validation")


def spread(values: np.ndarray, count: int = 25) -> np.ndarray:
    return np.linspace(values.min(), values.max(), count)


def test_a_budget_gets_the_most_accurate_point_within_it(validation: Frontier) -> None:
    for budget in spread(validation.cost_usd):
        solution = solve_budget(validation, budget)
        at = validation.at(solution.exchange_rate_per_usd)
        within = validation.cost_usd <= budget + 1e-15
        assert not solution.shortfall
        assert validation.cost_usd[at] <= budget + 1e-15
        assert validation.score[at] == validation.score[within].max()


def test_a_target_gets_the_cheapest_point_that_reaches_it(validation: Frontier) -> None:
    for target in spread(validation.score):
        solution = solve_target(validation, target)
        at = validation.at(solution.exchange_rate_per_usd)
        assert not solution.shortfall
        assert validation.score[at] >= target - 1e-12
        assert validation.cost_usd[at] == validation.cost_usd[validation.score >= target - 1e-12].min()


def test_a_cap_gets_the_least_rate_at_which_no_choice_is_expected_to_cost_more(validation: Frontier) -> None:
    rows, estimated = np.arange(validation.n_prompts), validation.estimates.cost_usd
    highest = np.array([estimated[rows, validation.choices(rate)].max() for rate in validation.exchange_rate_per_usd])
    for cap in spread(highest)[1:]:
        solution = solve_cap(validation, cap)
        assert not solution.shortfall
        assert validation.at(solution.exchange_rate_per_usd) == int(np.flatnonzero(highest <= cap)[0])


def test_a_cost_per_solved_task_gets_the_most_accurate_point_within_it_or_the_least(validation: Frontier) -> None:
    table = pd.DataFrame({"score": validation.score, "cost": validation.cost_usd})
    ratio = table["cost"] / table["score"]
    for budget in spread(ratio.to_numpy()):
        solution = solve_per_solved(validation, budget)
        at = validation.at(solution.exchange_rate_per_usd)
        assert not solution.shortfall
        assert ratio[at] <= budget + 1e-15
        assert table["score"][at] == table["score"][ratio <= budget + 1e-15].max()
    least = solve_per_solved(validation)
    assert least.reached
    assert ratio[validation.at(least.exchange_rate_per_usd)] == ratio.min()
    below = solve_per_solved(validation, ratio.min() / 2)
    assert "the least is $" in below.shortfall
    assert below.exchange_rate_per_usd == least.exchange_rate_per_usd


def test_a_promised_cost_per_solved_task_has_the_margin_of_a_ratio(validation: Frontier) -> None:
    drawn = bootstrap_counts(validation.n_prompts, 2000)
    for rate in (0.0, 200.0, float("inf")):
        at, rows = validation.at(rate), np.arange(validation.n_prompts)
        choices = validation.choices(rate)
        cost, score = validation.paid_usd[rows, choices], validation.outcomes.score[rows, choices]
        ratios = (cost @ drawn) / (score @ drawn)
        assert validation.cost_per_solved_error_usd[at] == pytest.approx(ratios.std(), rel=0.1)
    sure = solve_per_solved(validation, confidence=0.9).promise
    surer = solve_per_solved(validation, confidence=0.99).promise
    assert sure is not None
    assert surer is not None
    assert sure.value < sure.bound < surer.bound


def test_where_nothing_is_solved_no_cost_per_solved_task_is_had() -> None:
    bench = made(200)
    hopeless = setting(replace(bench, outcomes=replace(bench.outcomes, score=np.zeros(bench.outcomes.shape))))
    solved = solve(hopeless, hopeless.baselines["zero"], Goal(least_per_solved=True), replicates=20)
    assert "no point solves any task" in solved.solution.shortfall
    document = json.loads(json.dumps(solved.document(), allow_nan=False))
    assert document["test"]["cost_per_solved_usd"] is None
    assert NOTHING_SOLVED in _report("made", "zero", solved, "The verdict.")


def test_what_cannot_be_had_gets_the_nearest_and_says_why(validation: Frontier) -> None:
    cheapest = solve_budget(validation, validation.cost_usd.min() / 2)
    assert validation.cost_usd[validation.at(cheapest.exchange_rate_per_usd)] == validation.cost_usd.min()
    assert "the least is $" in cheapest.shortfall
    for basis in (cost_basis(1.0, "task"), cost_basis(1e-4, "task")):  # in the dollars of the page, whatever its size
        assert basis.words in cheapest.on(basis).shortfall
        assert basis.solved.words in solve_per_solved(validation, 1e-9).on(basis).shortfall
    assert promise_text(Promise("cost_usd", 0.9, 1e-5, 2e-5, 100), cost_basis(1.0, "task")).endswith(
        "$0.0000200 per task"
    )
    best = solve_target(validation, 1.01)
    assert validation.score[validation.at(best.exchange_rate_per_usd)] == validation.score.max()
    assert "the most is" in best.shortfall
    assert "expected to cost more with every model" in solve_cap(validation, 0.0).shortfall


def test_a_mixture_uses_the_whole_budget_and_is_on_the_hull(validation: Frontier) -> None:
    count = 0
    for budget in spread(validation.cost_usd, 60):
        mix = mix_within_budget(validation, budget)
        if mix is None:
            continue
        count += 1
        cheap, expensive = (validation.at(rate) for rate in mix.exchange_rates_per_usd)
        share = mix.second_share
        assert 0 <= share <= 1
        cost = (1 - share) * validation.cost_usd[cheap] + share * validation.cost_usd[expensive]
        assert cost == pytest.approx(budget)
        assert mix.score == pytest.approx((1 - share) * validation.score[cheap] + share * validation.score[expensive])
        single = validation.at(solve_budget(validation, budget).exchange_rate_per_usd)
        assert mix.score > validation.score[single]
    assert count


def test_a_point_is_chosen_on_validation_and_reported_on_test(
    protocol: Setting, estimates: dict[str, Estimates], validation: Frontier
) -> None:
    solved = solve(protocol, estimates, Goal(match="acme/large"))
    rate = solved.solution.exchange_rate_per_usd
    assert solved.reference == "acme/large"
    column = validation.models.index("acme/large")
    assert validation.score[validation.at(rate)] >= validation.outcomes.score[:, column].mean() - 1e-12
    for split, point in solved.points.items():
        curve = protocol.frontier(estimates, split)
        assert point.score.value == pytest.approx(curve.score[curve.at(rate)])
        assert point.cost_usd.value == pytest.approx(curve.cost_usd[curve.at(rate)])
        assert point.score.low < point.score.value < point.score.high
        assert point.cost_per_solved_usd is not None
        assert point.cost_per_solved_usd.value == pytest.approx(point.cost_usd.value / point.score.value)
        assert point.cost_per_solved_usd.low < point.cost_per_solved_usd.value < point.cost_per_solved_usd.high
    reported = protocol.frontier(estimates, "test").at(rate)
    assert solved.at_lam == pytest.approx((curve.score[reported], curve.cost_usd[reported]))
    assert sum(solved.shares.values()) == pytest.approx(1)
    assert validation.at(rate_of_lam(solved.lam, solved.cost_unit_usd)) == validation.at(rate)


@pytest.mark.parametrize("goal", [{}, {"budget_usd": 1.0, "target_score": 0.5}])
def test_exactly_one_wish_is_solved(goal: dict[str, float]) -> None:
    with pytest.raises(CarrotError, match="Ask for one of"):
        Goal(**goal)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_wish_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(CarrotError, match="budget_usd must be"):
        Goal(budget_usd=value)


@pytest.mark.parametrize("target", [85.0, -0.1, float("nan")])
def test_a_target_that_is_no_part_of_1_is_refused(target: float) -> None:
    with pytest.raises(CarrotError, match="from 0 to 1"):
        Goal(target_score=target)


def test_against_a_free_model_there_is_nothing_to_save_and_json_has_no_infinity() -> None:
    bench = made(200)
    cost = bench.outcomes.cost_usd * (np.array(bench.models) != "acme/small")
    free = setting(replace(bench, outcomes=replace(bench.outcomes, cost_usd=cost)))
    solved = solve(free, free.baselines["zero"], Goal(target_score=0.5), "acme/small", replicates=20)
    document = json.loads(json.dumps(solved.document(), allow_nan=False))
    for split in ("validation", "test"):
        assert document[split]["saving"] is None
        assert document[split]["intervals"]["saving"] == [None, None]
    results = StoredResults("made", free, {"zero": free.baselines["zero"]})
    verdict = verdict_on(results, "zero", solved.reported, "acme/small")
    report = _report("made", "zero", solved, sentence(verdict))
    assert "small is free, so that nothing can be saved" in report
    assert "nan" not in report
    cheapest = free.frontier(free.baselines["zero"], "test")
    assert cheapest.cost_usd[-1] == 0
    drawn = replicate_tables(
        cheapest,
        cheapest.outcomes.score,
        cheapest.paid_usd,
        cheapest.exchange_rate_per_usd,
        bootstrap_counts(cheapest.n_prompts, 20),
    )
    assert (drawn[1][:, -1] == 0).all()


def test_a_model_to_match_must_be_in_the_pool(protocol: Setting, estimates: dict[str, Estimates]) -> None:
    with pytest.raises(NotFoundError, match="'nobody'"):
        solve(protocol, estimates, Goal(match="nobody"))


def test_what_is_solved_tells_the_latency_of_its_calls_where_that_is_recorded() -> None:
    bench = made(200)
    call_s = np.random.default_rng(1).random(bench.outcomes.shape)
    timed = setting(replace(bench, latency_s=call_s))
    solved = solve(timed, timed.baselines["zero"], Goal(rate_per_usd=0.0), replicates=20)
    (best,) = (column for column, model in enumerate(timed.models) if solved.shares[model] == 1)
    own = call_s[bench.split == "test", best]
    expected = {"mean_s": own.mean(), "p95_s": np.quantile(own, 0.95)}
    assert solved.document()["latency"] == pytest.approx(expected)
    assert single_models(timed)[timed.models[best]]["latency_p95_s"] == pytest.approx(expected["p95_s"])
    assert "Latency" in _report("made", "zero", solved, "")
    call_s[:, 0] = np.nan  # of a model of which nothing is known, nothing is known of a curve with it
    unknown = setting(replace(bench, latency_s=call_s))
    solved = solve(unknown, unknown.baselines["zero"], Goal(rate_per_usd=0.0), replicates=20)
    assert solved.document()["latency"] is None
    assert "Latency" not in _report("made", "zero", solved, "")
    assert "latency_s" not in single_models(unknown)[unknown.models[0]]


def test_models_that_answer_little_are_told_as_one(protocol: Setting) -> None:
    solved = solve(protocol, protocol.baselines["zero"], Goal(rate_per_usd=0.0), replicates=20)
    little = _report("made", "zero", replace(solved, shares={"big": 0.983, "one": 0.009, "two": 0.008}), "")
    assert "Answered by: big 98.3 %, 2 others 1.7 %" in little
    assert "one 0.9 %" in _report("made", "zero", replace(solved, shares={"big": 0.991, "one": 0.009}), "")


def test_shares_at_one_lam_are_told_from_figures_at_the_lam_of_each_round(protocol: Setting) -> None:
    solved = solve(protocol, protocol.baselines["zero"], Goal(rate_per_usd=0.0), replicates=20)
    assert "\nAnswered by: " in _report("made", "zero", solved, "")
    apart = replace(solved, at_lam=(0.5, solved.at_lam[1]))
    assert "\nAt λ 0 for every prompt, answered by: " in _report("made", "zero", apart, "")


def test_a_match_that_promises_no_more_than_the_model_says_so_without_a_number() -> None:
    words = [promise_text(Promise("score_difference", 0.9, bound, bound, 100)) for bound in (0.0, 0.004)]
    assert words[0].endswith("the model alone")
    assert words[1].endswith(f"the model alone {points(0.004)}")


@pytest.mark.slow
def test_the_command_line_solves(carrot_home, tmp_path) -> None:
    def carrot(*arguments, code=0):
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert done.exit_code == code, done.output
        return done.stdout

    results, vectors = write_files(made(), tmp_path)
    seconds = {"acme/large": 3.0, "acme/small": 0.5, "zeta/mid": 1.5}
    runs = pd.read_parquet(results)
    runs.assign(latency_s=runs["model"].map(seconds)).to_parquet(results)
    carrot("data", "import", results, "--name", "made", "--embeddings", vectors)
    document = json.loads(carrot("solve", "made", "--target", 0.7, "--json"))
    assert {"lam", "exchange_rate_per_usd", "cost_unit_usd", "reached"} <= set(document)
    assert document["validation"]["score"] >= 0.7
    for split in ("validation", "all"):
        for name in ("score", "cost_usd"):
            low, high = document[split]["intervals"][name]
            assert low <= document[split][name] <= high
    monthly = json.loads(carrot("solve", "made", "--budget-per-month", 50, "--queries-per-month", 100_000, "--json"))
    assert monthly == json.loads(carrot("solve", "made", "--budget-per-1k", 0.5, "--json"))
    even = ("solve", "made", "--confidence", 0.5, "--target")
    assert "Not reachable on validation" in carrot(*even, 1.0, "--router", "zero")
    assert "every second time" in carrot(*even, 0.7)
    assert "Not promised" in carrot("solve", "made", "--target", 1.0, "--router", "zero")
    assert "Promised" in carrot("solve", "made", "--target", 0.6)
    costs = []
    for confidence in (0.5, 0.99):
        solved = json.loads(carrot("solve", "made", "--target", 0.6, "--confidence", confidence, "--json"))
        assert solved["asked"] == {"target_score": 0.6, "confidence": confidence}
        assert solved["promise"]["confidence"] == confidence
        assert solved["promise"]["bound"] >= 0.6
        costs.append(solved["validation"]["cost_usd"])
    assert costs == sorted(costs)
    least, within = (
        json.loads(carrot("solve", "made", *wish, "--json")) for wish in (["--per-solved"], ["--budget-per-solved", 1])
    )
    assert least["asked"] == {"least_per_solved": True, "confidence": 0.9}
    assert least["promise"]["bound"] >= least["validation"]["cost_per_solved_usd"]
    assert within["validation"]["score"] >= least["validation"]["score"]
    assert "per 1k solved tasks" in carrot("solve", "made", "--per-solved")
    assert (
        "--queries-per-month go together"
        in CliRunner().invoke(main, ["solve", "made", "--budget-per-month", "1"]).output
    )
    fast = json.loads(carrot("solve", "made", "--target", 0.5, "--latency-p95", "2s", "--json"))
    assert set(fast["shares"]) == set(fast["pool"]) == {"acme/small", "zeta/mid"}
    assert 0.5 <= fast["latency"]["mean_s"] <= fast["latency"]["p95_s"] <= 1.5
    every = json.loads(carrot("solve", "made", "--target", 0.5, "--latency-p95", "3000ms", "--json"))
    assert set(every["pool"]) == set(seconds)
    assert "2 of 3 models" in carrot("solve", "made", "--target", 0.5, "--latency-p95", "2s")
    carrot("solve", "made", "--target", 0.5, "--latency-p95", "0.1s", code=1)
    carrot("solve", "made", "--target", 0.5, "--latency-p95", "fast", code=2)
    carrot("solve", "made", code=1)
