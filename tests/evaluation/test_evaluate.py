"""The protocol: what is learned, chosen and reported where, and that nothing leaks between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carrot_core.bootstrap import bootstrap_weights
from carrot_core.errors import CarrotError
from carrot_core.evaluation import data_hash, estimates_frame, evaluate, frontier_frame, judge, setting, versions
from carrot_core.frontier import sweep
from carrot_core.operating_point import best_within_budget, cheapest_reaching, operating_point
from carrot_core.outcomes import Outcomes
from tests.made import made
from tests.reference.frontier import choose


def with_scores(bench, rows, score):
    """The benchmark with other scores on some prompts."""
    table = bench.outcomes.score.copy()
    table[rows] = score
    old = bench.outcomes
    return replace(bench, outcomes=Outcomes(old.prompt_ids, old.models, table, old.cost_usd))


def test_choices_do_not_depend_on_test_outcomes():
    bench = made()
    spoiled = with_scores(bench, bench.split == "test", 0.0)
    one, other = evaluate(bench, replicates=20), evaluate(spoiled, replicates=20)
    assert one.best_single == other.best_single
    assert one.cost_unit_usd == other.cost_unit_usd
    np.testing.assert_array_equal(one.estimates["test"].score, other.estimates["test"].score)
    rates = [run.metrics["test"]["match_best_single"]["exchange_rate_per_usd"] for run in (one, other)]
    assert rates[0] == rates[1]
    assert other.metrics["test"]["routing_accuracy"] == 0.0


def test_estimates_do_not_depend_on_validation_outcomes():
    bench = made()
    spoiled = with_scores(bench, bench.split == "validation", 0.5)
    np.testing.assert_array_equal(
        evaluate(bench, replicates=5).estimates["test"].score, evaluate(spoiled, replicates=5).estimates["test"].score
    )


def elsewhere(bench):
    """The benchmark with texts that no other has."""
    return replace(bench, texts=tuple(f"Elsewhere: {text}" for text in bench.texts))


def test_prompts_that_are_judged_are_not_learned_from_elsewhere():
    source, bench = elsewhere(made(200, seed=1)), replace(made(80, seed=2), name="held out")
    both = replace(source, texts=(f" {bench.texts[3].upper()}\n", *source.texts[1:]))
    made_setting = setting(bench, both)
    assert made_setting.train.prompt_ids == source.prompt_ids[1:]
    assert made_setting.n_copies == 1
    assert evaluate(bench, fit_on=both, replicates=5).metrics["n_copies"] == 1
    with pytest.raises(CarrotError, match="no train prompts left"):
        setting(bench, bench)


def test_fitting_elsewhere_learns_from_all_of_it_and_judges_every_prompt():
    source, bench = elsewhere(made(200, seed=1)), replace(made(80, seed=2), name="held out")
    made_setting = setting(bench, source)
    assert made_setting.train.prompt_ids == source.prompt_ids
    assert made_setting.test.prompt_ids == bench.prompt_ids
    assert set(made_setting.inner_train.prompt_ids).isdisjoint(made_setting.validation.prompt_ids)
    assert set(made_setting.validation.prompt_ids) == set(source.part("validation").prompt_ids)
    run = evaluate(bench, fit_on=source, replicates=20)
    assert run.metrics["all"]["n_prompts"] == 80
    assert set(run.estimates) == {"all"}


def test_models_of_two_benchmarks_are_matched_by_name():
    source, bench = elsewhere(made(200, seed=1)), made(80, seed=2)
    shuffled = source.pool(source.models[::-1])
    np.testing.assert_allclose(
        evaluate(bench, fit_on=source, replicates=5).estimates["all"].score,
        evaluate(bench, fit_on=shuffled, replicates=5).estimates["all"].score,
    )


def test_figures_are_those_of_the_choices_themselves():
    bench = made()
    run = evaluate(bench, replicates=50)
    part, table = bench.part("test"), run.estimates["test"]
    rows = np.arange(len(part.prompt_ids))
    chosen = choose(table.score, table.cost_usd, 0.0, table.models)
    figures = run.metrics["test"]
    assert figures["routing_accuracy"] == pytest.approx(part.outcomes.score[rows, chosen].mean())
    assert figures["oracle"] == pytest.approx(part.outcomes.score.max(axis=1).mean())
    column = part.models.index(run.best_single)
    assert figures["best_single"] == pytest.approx(part.outcomes.score[:, column].mean())
    point = figures["match_best_single"]
    chosen = choose(table.score, table.cost_usd, point["exchange_rate_per_usd"] * (1 + 1e-12), table.models)
    assert point["score"]["value"] == pytest.approx(part.outcomes.score[rows, chosen].mean())
    saved = 1 - part.outcomes.cost_usd[rows, chosen].mean() / part.outcomes.cost_usd[:, column].mean()
    assert point["saving"]["value"] == pytest.approx(saved)
    alone = run.metrics["single_models"][part.models[1]]
    assert alone["score"] == pytest.approx(part.outcomes.score[:, 1].mean())
    assert alone["cost_usd"] == pytest.approx(part.outcomes.cost_usd[:, 1].mean())
    for name, (low, high) in figures["intervals"].items():
        if name in ("qnc", "cost_save"):  # may be infinite: not reached in every replicate
            low, high = -np.inf if low is None else low, np.inf if high is None else high
        assert low <= figures[name] <= high, name


def test_the_cheapest_point_that_reaches_a_score_is_found_or_said_not_to_exist():
    bench = made()
    frontier = sweep(setting(bench).baselines["oracle"]["test"], bench.part("test").outcomes)
    target = float(np.median(frontier.score))
    rate = cheapest_reaching(frontier, target)
    at = frontier.at(rate)
    assert frontier.score[at] >= target - 1e-12
    assert frontier.cost_usd[at] == frontier.cost_usd[frontier.score >= target].min()
    assert cheapest_reaching(frontier, 1.1) is None


def test_the_best_point_within_a_budget_is_found_or_said_not_to_exist():
    bench = made()
    frontier = sweep(setting(bench).estimates("carrot-knn")["test"], bench.part("test").outcomes)
    budget = float(np.median(frontier.cost_usd))
    at = frontier.at(best_within_budget(frontier, budget))
    assert frontier.cost_usd[at] <= budget
    assert frontier.score[at] == frontier.score[frontier.cost_usd <= budget].max()
    assert best_within_budget(frontier, 0.0) is None


def test_a_point_that_is_the_reference_saves_nothing():
    bench = made()
    part = bench.part("test")
    always = sweep(setting(bench).baselines["zero"]["test"], part.outcomes)
    chosen = always.models[always.choices(0.0)[0]]
    point = operating_point(always, 0.0, chosen, 1.0, bootstrap_weights(always.n_prompts, 50))
    assert (point.saving.value, point.saving.low, point.saving.high) == (0.0, 0.0, 0.0)
    assert (point.score_difference.value, point.lam) == (0.0, 0.0)


def test_prompts_without_text_are_left_out_and_counted():
    bench = made()
    silent = replace(bench, texts=(None, *bench.texts[1:]))
    assert setting(silent).n_without_text == 1
    without_any = replace(bench, texts=(None,) * len(bench.texts), vectors=None, encoder=None)
    assert setting(without_any).n_without_text == 0
    assert evaluate(without_any, "task-lookup", replicates=5).metrics["test"]["n_prompts"] == len(
        bench.part("test").texts
    )


def test_a_filter_shows_a_slice_and_leaves_the_router_alone():
    bench = made()
    whole = setting(bench)
    estimates = whole.estimates("carrot-knn")
    part = whole.narrowed(pool=bench.models[:2], tasks=["kind 0"])
    frontier = part.frontier(estimates, "test")
    assert frontier.models == bench.models[:2]
    assert set(frontier.estimates.prompt_ids) == {
        prompt_id
        for prompt_id, task in zip(bench.part("test").prompt_ids, bench.part("test").tasks, strict=True)
        if task == "kind 0"
    }
    np.testing.assert_array_equal(
        frontier.estimates.score, estimates["test"].pool(bench.models[:2]).score[np.array(whole.test.tasks) == "kind 0"]
    )


def test_tasks_nobody_has_are_said_to_leave_nothing():
    with pytest.raises(CarrotError, match="No validation prompt"):
        _ = setting(made()).narrowed(tasks=["ghost"]).best_single


def test_a_free_pool_has_no_trade_off():
    bench = made()
    old = bench.outcomes
    free = replace(bench, outcomes=Outcomes(old.prompt_ids, old.models, old.score, np.zeros(old.shape)))
    with pytest.raises(CarrotError, match="free"):
        evaluate(free, "zero")


def test_an_empty_split_is_said_to_be_missing():
    bench = made()
    with pytest.raises(CarrotError, match="no validation prompts"):
        setting(bench.rows(bench.split != "validation"))


def test_frames_hold_one_row_a_cell_and_one_a_breakpoint():
    bench = made(60)
    outcomes = with_scores(bench, np.array([0]), np.nan).outcomes
    table = setting(bench).estimates("carrot-knn")["test"]
    frame = estimates_frame(table, outcomes)
    assert list(frame) == ["prompt_id", "model", "est_score", "est_cost_usd", "score", "cost_usd"]
    assert len(frame) == table.score.size
    row = frame[(frame.prompt_id == table.prompt_ids[1]) & (frame.model == table.models[2])].iloc[0]
    assert row.est_score == table.score[1, 2]
    assert row.score == outcomes.score[outcomes.prompt_ids.index(table.prompt_ids[1]), 2]
    curve = frontier_frame(sweep(table, bench.outcomes), 0.01)
    assert list(curve) == ["exchange_rate_per_usd", "lam", "cost_usd", "score"]
    assert curve.exchange_rate_per_usd.is_monotonic_increasing
    assert curve.lam.between(0, 1).all()


def test_the_same_seed_gives_the_same_intervals():
    made_setting = setting(made())
    tables = made_setting.baselines["task-lookup"]
    assert judge(made_setting, tables, "test", replicates=50) == judge(made_setting, tables, "test", replicates=50)


def test_scores_without_costs_are_said_to_lack_costs():
    bench = made()
    old = bench.outcomes
    costless = replace(bench, outcomes=Outcomes(old.prompt_ids, old.models, old.score, np.full(old.shape, np.nan)))
    with pytest.raises(CarrotError, match="scores but no costs"):
        evaluate(costless, "zero")


def test_vectors_of_another_encoder_are_other_data():
    bench = made(60)
    assert data_hash(bench) == bench.data_hash
    assert "another/encoder" in data_hash(replace(bench, encoder="another/encoder"))
    assert "torch" in versions()
