"""Cross-fitting: every prompt judged once, by a router that never saw it, at a point chosen without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrot_core.bootstrap import bootstrap_counts
from carrot_core.embedding import BUNDLED
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Candidate, Setting, compare, evaluate, make_setting, measure_router
from carrot_core.evaluation.measure import report_set
from carrot_core.evaluation.quality import quality, quality_of
from carrot_core.evaluation.runs import Trial, estimates_on, fitted_router, run_router
from carrot_core.evaluation.solve import Goal, chosen_hull, chosen_point, chosen_rates, solve, solve_rounds
from carrot_core.frontier import Frontier, sweep
from carrot_core.operating_point import Solution, rate_inside
from carrot_core.outcomes import Benchmark, Estimates, Outcomes
from carrot_core.routers import ZeroRouter
from carrot_core.switches import upper_hull
from tests.made import MODELS, fill, made

pytestmark = pytest.mark.slow


def ours(n: int = 150, **changes: object) -> Benchmark:
    """A benchmark whose source has no split; every tenth prompt repeats the text of the one before."""
    bench = made(n)
    texts = list(bench.texts)
    texts[10::10] = texts[9:-1:10]
    return replace(bench, texts=tuple(texts), split_is_ours=True, **changes)


@pytest.fixture(scope="module")
def whole() -> Setting:
    return make_setting(ours())


def test_every_prompt_is_judged_once_and_chosen_on_once_by_a_router_that_never_saw_its_text(whole: Setting) -> None:
    judged, chosen_on = [], []
    for each in whole.rounds:
        sides = [set(part.texts) for part in (each.train, each.validation, each.test)]
        assert sum(map(len, sides)) == len(set.union(*sides))
        assert each.inner_train is each.train
        assert {*each.train.prompt_ids, *each.validation.prompt_ids, *each.test.prompt_ids} == {*whole.test.prompt_ids}
        judged += each.test.prompt_ids
        chosen_on += each.validation.prompt_ids
    assert sorted(judged) == sorted(chosen_on) == sorted(whole.test.prompt_ids)
    for split, part in (("validation", whole.validation), (whole.report_on, whole.test)):
        for prompt_id, place in zip(part.prompt_ids, whole.round_of(split), strict=True):
            assert prompt_id in whole.rounds[place].part(split).prompt_ids
    assert whole.train is whole.everything  # what serves learns from all


def test_a_curve_knows_which_prompts_have_one_text(whole: Setting) -> None:
    curve = whole.frontier(whole.baselines["zero"], "validation")
    text_of = dict(zip(whole.validation.prompt_ids, whole.validation.texts, strict=True))
    for part in (curve, curve.rows(np.arange(curve.n_prompts) % 10 != 5)):
        assert part.keys is not None
        assert part.keys.dtype.kind == "i"  # a curve outlives its page's texts, which may be hundreds of megabytes
        texts = [text_of[prompt_id] for prompt_id in part.outcomes.prompt_ids]
        assert len(set(zip(part.keys, texts, strict=True))) == len(set(part.keys)) == len(set(texts)) < len(texts)


def slow_choice(score: np.ndarray, cost: np.ndarray, rate: float) -> int:
    value = score if rate == 0 else score - rate * cost
    best = np.flatnonzero(np.isclose(value, value.max(), rtol=0, atol=1e-12))
    return int(best[np.argmin(cost[best])])


def test_the_pooled_curve_is_every_prompt_at_the_choice_of_its_own_round(whole: Setting) -> None:
    curve = whole.frontier(whole.estimates("task-lookup"), whole.report_on)
    assert curve.outcomes.prompt_ids == whole.test.prompt_ids
    middles = (curve.exchange_rate_per_usd[:-1] + curve.exchange_rate_per_usd[1:]) / 2
    for rate in (0.0, *middles):
        sums = np.zeros(2)
        for each in whole.rounds:
            table = each.estimates("task-lookup")[each.report_on]
            for row, (score, cost) in enumerate(zip(table.score, table.cost_usd, strict=True)):
                model = slow_choice(score, cost, rate)
                sums += each.test.outcomes.score[row, model], each.test.outcomes.cost_usd[row, model]
        at = curve.at(rate)
        np.testing.assert_allclose(sums / curve.n_prompts, [curve.score[at], curve.cost_usd[at]])


def test_what_is_chosen_for_a_fold_does_not_depend_on_its_outcomes(whole: Setting) -> None:
    rng, number = np.random.default_rng(1), 2
    here = whole.round_of(whole.report_on) == number
    old = whole.test.outcomes
    score = np.where(here[:, None], rng.random(old.shape), old.score)
    other = make_setting(
        ours(outcomes=Outcomes(old.prompt_ids, old.models, score, old.cost_usd * (1 + 9 * here[:, None])))
    )
    tables = [each.estimates("task-lookup") for each in (whole, other)]
    for choose in (chosen_rates, chosen_hull):
        before, after = (choose(one.rounds[number], table) for one, table in zip((whole, other), tables, strict=True))
        np.testing.assert_equal(after, before)
    assert other.rounds[number].best_single == whole.rounds[number].best_single
    np.testing.assert_array_equal(tables[0]["all"].rows(here).score, tables[1]["all"].rows(here).score)
    assert (tables[0]["all"].score != tables[1]["all"].score).any()


@pytest.mark.parametrize("router", ["zero", "task-lookup"])
def test_figures_of_chosen_points_are_means_over_what_each_round_chose(whole: Setting, router: str) -> None:
    tables = whole.estimates(router)
    figures = measure_router(whole, tables, whole.report_on, replicates=20)
    alone = [measure_router(each, tables, each.report_on, replicates=5) for each in whole.rounds]
    sizes = [one["n_prompts"] for one in alone]
    assert figures["n_prompts"] == sum(sizes) == len(whole.test.prompt_ids)
    for metric in ("routing_accuracy", "peak", "best_single", "oracle"):
        assert figures[metric] == pytest.approx(np.average([one[metric] for one in alone], weights=sizes)), metric
    assert figures["intervals"]["aiq_chosen"][0] <= figures["aiq_chosen"] <= figures["aiq"] + 1e-12


def test_a_point_at_lambda_0_that_promises_nothing_has_the_figures_of_lambda_0(whole: Setting) -> None:
    """Regression: the first screen showed another accuracy at λ = 0 than the tables."""
    tables, best = whole.estimates("task-lookup"), whole.best_single
    counts = bootstrap_counts(len(whole.test.prompt_ids), replicates=20)
    at_rate = {}
    for rate in (0.0, 1.0):

        def choose(curve: Frontier, rate: float = rate) -> Solution:
            return Solution(rate if curve.n_prompts == len(whole.validation.prompt_ids) else 50.0, shortfall="none")

        at_rate[rate] = chosen_point(whole, tables, choose, best, counts)[1]
    curve = whole.frontier(tables, whole.report_on)
    assert at_rate[0.0].score.value == curve.score[curve.at(0.0)]
    assert at_rate[1.0].score.value != curve.score[curve.at(1.0)]


def test_the_chosen_hull_of_one_round_is_its_corners_and_of_several_the_best_at_every_common_price(
    whole: Setting,
) -> None:
    tables = whole.estimates("carrot-linear")
    curves = [each.frontier(tables, "validation") for each in whole.rounds]
    corners = []
    for each, curve in zip(whole.rounds, curves, strict=True):
        rates = np.sort([rate_inside(curve, corner) for corner in upper_hull(curve.cost_usd, curve.score).tolist()])
        np.testing.assert_array_equal(chosen_hull(each, tables), rates[None])
        corners.append(rates)
    hull = chosen_hull(whole, tables)
    assert hull.shape[0] == len(corners)
    for row, rates in zip(hull, corners, strict=True):
        assert (row[1:] >= row[:-1]).all()
        assert set(row) == set(rates)
    # Under any price the best step of all is the best corner of each.
    for price in (5.0, 100.0, 2000.0):
        steps = [
            np.mean(
                [c.score[c.at(rate)] - price * c.cost_usd[c.at(rate)] for c, rate in zip(curves, column, strict=True)]
            )
            for column in hull.T
        ]
        each_best = [max(c.score[c.at(rate)] - price * c.cost_usd[c.at(rate)] for rate in rates)
                     for c, rates in zip(curves, corners, strict=True)]  # fmt: skip
        assert max(steps) == pytest.approx(np.mean(each_best))


@given(st.integers(0, 5), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_steps_of_several_groups_are_the_choices_at_their_own_rates(seed: int, n_groups: int) -> None:
    rng = np.random.default_rng(seed)
    ids, models = tuple(f"p{i}" for i in range(30)), ("a", "b", "c")
    estimates = Estimates(ids, models, rng.random((30, 3)), rng.random((30, 3)))
    curve = sweep(estimates, Outcomes(ids, models, rng.random((30, 3)), rng.random((30, 3))))
    group = rng.integers(0, n_groups, 30)
    rates = np.sort(rng.choice(curve.exchange_rate_per_usd, (n_groups, 4)), axis=1)
    steps = curve.sweep.in_steps(rates, group)
    for step in range(4):
        own = np.array([curve.choices(rates[group[row], step])[row] for row in range(30)])
        np.testing.assert_array_equal(steps.choices(step), own)
        np.testing.assert_array_equal(curve.choices(rates[group, step]), own)


def pairs(whole: Setting) -> dict[str, Estimates]:
    """Estimates of a router that chooses between other two models in every other round."""
    tables = []
    for number, each in enumerate(whole.rounds):
        zero = each.estimates("zero")
        pool = [MODELS[0], MODELS[1 + number % 2]]
        tables.append({name: table.pool(pool) for name, table in zero.items()})
    return whole.joined(tables)


def test_rounds_may_choose_among_other_models(whole: Setting) -> None:
    tables = pairs(whole)
    curve = whole.frontier(tables, whole.report_on)
    parts = [each.frontier(each.own(tables), each.report_on) for each in whole.rounds]
    for rate in (0.0, 50.0, 1e4, np.inf):
        chosen = curve.choices(rate)
        for number, part in enumerate(parts):
            here = whole.round_of(whole.report_on) == number
            np.testing.assert_array_equal(chosen[here], part.choices(rate))
            assert MODELS[2 - number % 2] not in {MODELS[column] for column in chosen[here]}
    result = compare({0: whole}, {"pair": {0: Candidate.of(whole, tables)}}, replicates=5)
    assert result.figure("pair", "aiq").value > 0
    assert not np.isnan(result.quality["brier"]).any()


def test_the_means_to_beat_are_those_of_the_prompts_learned_from(whole: Setting) -> None:
    table = whole.estimates("zero")[whole.report_on]
    row = quality_of(whole, table).iloc[0]
    assert row["brier"] == pytest.approx(row["train_mean_brier"])
    assert row["usage_mae"] == pytest.approx(row["train_mean_usage_mae"], rel=0.02)
    (each, *_) = whole.rounds
    alone = each.own({each.report_on: table})[each.report_on]
    assert quality_of(each, alone).equals(quality(each.test, alone, each.train))


def test_where_rounds_choose_other_best_models_each_prompt_is_set_against_its_own() -> None:
    bench = ours()
    near = np.where(np.arange(150)[:, None] % 2 == 0, [[0.6, 0.1, 0.5]], [[0.4, 0.1, 0.5]])
    noise = np.random.default_rng(3).normal(scale=0.1, size=(150, 3))
    score = (near + noise).clip(0, 1)
    whole = make_setting(replace(bench, outcomes=Outcomes(bench.prompt_ids, MODELS, score, bench.outcomes.cost_usd)))
    on = report_set(whole, whole.report_on, 5)
    assert len(set(on.best_single)) == 2
    means = [each.test.outcomes.score[:, MODELS.index(each.best_single)].sum() for each in whole.rounds]
    assert on.reference[0][0] == pytest.approx(sum(means) / 150)


def test_a_goal_is_solved_on_all_prompts_and_reported_where_each_round_solves_it_on_its_own(whole: Setting) -> None:
    tables, goal = whole.estimates("carrot-linear"), Goal(budget_usd=0.0006)
    solved, rounds = solve(whole, tables, goal, replicates=20), solve_rounds(whole, tables, goal, replicates=20)
    validation = whole.frontier(tables, "validation")
    assert validation.cost_usd[validation.at(solved.solution.exchange_rate_per_usd)] <= 0.0006
    sizes = [len(each.test.prompt_ids) for each in whole.rounds]
    for figure in ("score", "cost_usd"):
        each = [getattr(one.reported, figure).value for one in rounds]
        assert getattr(solved.reported, figure).value == pytest.approx(np.average(each, weights=sizes))
    assert {one.cost_unit_usd for one in rounds} == {whole.cost_unit_usd}


@pytest.mark.parametrize("n", [12, 52, 75])
def test_small_benchmarks_are_judged_on_all_of_their_prompts(n: int) -> None:
    bench = made(n)
    rare = ("rare",) * 2 + bench.tasks[2:]
    run = evaluate(replace(bench, tasks=rare, split_is_ours=True), "task-lookup", replicates=20)
    assert run.metrics["report_on"] == "all"
    assert run.metrics["all"]["n_prompts"] == run.metrics["validation"]["n_prompts"] == n
    assert run.estimates["all"].prompt_ids == bench.prompt_ids


def test_a_source_with_a_split_keeps_it_unless_folds_are_asked_for() -> None:
    bench = made(60)
    assert not make_setting(bench).n_folds
    assert len(make_setting(bench, n_folds=4).rounds) == 4
    assert make_setting(replace(bench, split_is_ours=True)).n_folds == 5
    with pytest.raises(CarrotError, match="one benchmark"):
        make_setting(bench, made(80, seed=3), 5)


def test_the_first_rounds_alone_report_on_their_prompts(whole: Setting) -> None:
    first = whole.first(2)
    assert set(first.test.prompt_ids) == {key for each in whole.rounds[:2] for key in each.test.prompt_ids}
    assert [each.train.prompt_ids for each in first.rounds] == [each.train.prompt_ids for each in whole.rounds[:2]]
    assert first.estimates("zero")["all"].prompt_ids == first.test.prompt_ids


def test_what_serves_is_fitted_on_all_prompts_once_and_stored(store_of, monkeypatch) -> None:
    store = fill(store_of(), made(120))
    bench = store.load("made", encoder=BUNDLED)
    run = run_router(store, bench, "zero")
    assert run.n_folds == 5
    assert run.router_json is None
    learned: list[int] = []
    fit = ZeroRouter.fit
    monkeypatch.setattr(
        ZeroRouter, "fit", lambda self, train: learned.append(len(train.prompt_ids)) or fit(self, train)
    )
    fitted, estimates, setting = fitted_router(store, Trial(bench, "zero"))
    fitted_router(store, Trial(bench, "zero"))
    assert learned == [120]
    assert estimates["all"].prompt_ids == setting.test.prompt_ids == bench.prompt_ids
    np.testing.assert_allclose(fitted.score_, bench.outcomes.score.mean(axis=0))
    stored = store.load_run(run.run_id, router=True)
    assert stored.router_json is not None
    assert estimates_on(stored, bench, "train").prompt_ids == bench.part("train").prompt_ids


def test_a_run_whose_rounds_know_other_models_comes_back_as_it_was(store_of) -> None:
    store = fill(store_of(), made(60))
    bench = store.load("made", encoder=BUNDLED)
    run, whole = evaluate(bench, "zero", replicates=5), make_setting(bench)
    store.save_run(replace(run, estimates=pairs(whole)))
    tables = store.load_run(run.run_id).estimates
    for name, table in pairs(whole).items():
        assert tables[name].prompt_ids == table.prompt_ids
        np.testing.assert_array_equal(tables[name].score, table.score)
        np.testing.assert_array_equal(tables[name].cost_usd, table.cost_usd)
