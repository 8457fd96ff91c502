"""The cascade's curve against RouterBench's loop, one prompt and one budget at a time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.bootstrap import bootstrap_weights, replicate
from carrot_core.errors import CarrotError
from carrot_core.evaluation import evaluate, setting
from carrot_core.evaluation.runs import run_router
from carrot_core.evaluation.tables import by_task, task_labels
from carrot_core.frontier import sweep
from carrot_core.metrics import aiq
from carrot_core.operating_point import operating_point
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.routers.cascade import Cascade, undominated, verified_cascades
from carrot_core.store import Store
from tests.made import made, write_files


def of(score, cost) -> Benchmark:
    """A benchmark of these outcomes, models m0, m1, …"""
    score, cost = np.asarray(score, float), np.asarray(cost, float)
    n, m = score.shape
    outcomes = Outcomes([f"p{i}" for i in range(n)], [f"m{j}" for j in range(m)], score, cost)
    nothing = np.full((n, m), np.nan)
    return replace(made(n), outcomes=outcomes, prices={}, input_tokens=nothing, output_tokens=nothing)


def slowly(score, cost, accepts, budget) -> tuple[float, float]:
    """RouterBench's loop: mean score and cost of a cascade through the columns with a budget for each prompt."""
    total_score = total_cost = 0.0
    for i in range(len(score)):
        spent = 0.0
        for j in range(score.shape[1]):
            if cost[i, j] >= budget - spent and j > 0:
                break
            spent += cost[i, j]
            answer = score[i, j]
            if accepts[i, j]:
                break
        total_score += answer
        total_cost += spent
    return total_score / len(score), total_cost / len(score)


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([0.0, 0.2, 1.0]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_budget_gives_what_the_loop_gives(seed, m, error_rate, graded):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 11, (12, m)) / 10 if graded else rng.integers(0, 2, (12, m))
    # Whole cents, so that budgets between them are clear of rounding.
    bench = of(score, rng.integers(1, 30, (12, m)) / 100)
    cascade = Cascade(seed=seed, error_rate=error_rate, threshold=0.7).fit(bench)
    table = cascade.estimate(bench)
    frontier = sweep(table, bench.outcomes)
    called = bench.outcomes.pool(cascade.models_)
    accepts = cascade._accepts(called.prompt_ids, called.score)
    for budget in [0.001, *(rng.integers(1, 30 * m + 2, 10) / 100 + 0.005), 1e9]:
        at = frontier.at(1 / budget)
        expected = slowly(called.score, called.cost_usd, accepts, budget)
        assert (frontier.score[at], frontier.cost_usd[at]) == pytest.approx(expected, abs=1e-12)


def test_models_are_called_from_cheap_to_expensive_until_one_is_right():
    bench = of([[1, 1, 0], [1, 0, 0], [0, 0, 0]], [[9.0, 2.0, 1.0]] * 3)
    cascade = Cascade(error_rate=0.0, threshold=1.0).fit(bench)
    assert cascade.models_ == ("m2", "m1", "m0")
    frontier = sweep(cascade.estimate(bench), bench.outcomes)
    rows = np.arange(3)
    assert [frontier.models[j] for j in frontier.choices(0.0)] == ["m1", "m0", "m0"]
    assert frontier.paid_usd[rows, frontier.choices(0.0)].tolist() == [3.0, 12.0, 12.0]
    assert frontier.cost_usd[-1] == 1.0


def test_a_free_next_call_is_always_made():
    bench = of([[0, 1], [0, 1]], [[1.0, 0.0], [1.0, 5.0]])
    frontier = sweep(Cascade(error_rate=0.0).fit(bench).estimate(bench), bench.outcomes)
    assert frontier.choices(0.0).tolist() == [1, 1]
    assert frontier.choices(np.inf).tolist() == [1, 0]


def test_the_judge_errs_as_often_as_said_and_the_same_in_any_batch():
    bench = of(np.random.default_rng(0).integers(0, 2, (4000, 3)), np.ones((4000, 3)))
    cascade = Cascade(error_rate=0.15, threshold=1.0).fit(bench)
    pool_outcomes = bench.outcomes.pool(cascade.models_)
    wrong = cascade._accepts(pool_outcomes.prompt_ids, pool_outcomes.score) != (pool_outcomes.score == 1)
    assert wrong.mean(axis=0) == pytest.approx([0.15] * 3, abs=0.02)
    part = np.array([70, 3, 900])
    np.testing.assert_array_equal(cascade.estimate(bench.rows(part)).score, cascade.estimate(bench).rows(part).score)


def test_good_enough_is_the_best_twentieth_of_all_training_scores():
    bench = of(np.linspace(0, 1, 201)[:, None], np.ones((201, 1)))
    assert Cascade().fit(bench).threshold_ == pytest.approx(0.95)
    assert Cascade(threshold=0.4).fit(bench).threshold_ == 0.4


def test_every_figure_counts_all_calls():
    bench = made()
    protocol = setting(bench)
    tables = {split: Cascade().fit(protocol.train).estimate(protocol.part(split)) for split in ("validation", "test")}
    frontier = protocol.frontier(tables, "test")
    rows, chosen = np.arange(frontier.n_prompts), frontier.choices(0.0)
    spent = frontier.paid_usd[rows, chosen]
    assert (spent >= frontier.outcomes.cost_usd[rows, chosen]).all()
    assert spent.sum() > 1.05 * frontier.outcomes.cost_usd[rows, chosen].sum()
    assert frontier.cost_usd[0] == pytest.approx(spent.mean())
    weights = bootstrap_weights(frontier.n_prompts, 40)
    curves = replicate(frontier, weights)
    np.testing.assert_allclose(curves.cost_usd[:, 0], spent @ weights)
    point = operating_point(frontier, 0.0, protocol.best_single, protocol.cost_unit_usd, weights)
    assert point.cost_usd.value == pytest.approx(spent.mean())
    tasks = by_task(frontier, task_labels(protocol, frontier), 0.0, protocol.best_single, replicates=5)
    assert (tasks.cost_usd * tasks.n_prompts).sum() == pytest.approx(spent.sum())
    # Single models keep the price of one call, so the interval of costs is that of every other router.
    cost = protocol.test.outcomes.cost_usd.mean(axis=0)
    expected = aiq(frontier.cost_usd, frontier.score, cost.min(), cost.max())
    assert evaluate(bench, "cascade", replicates=5).metrics["test"]["aiq"] == pytest.approx(expected)


def test_a_stored_cascade_still_counts_all_calls(tmp_path: Path):
    store = Store(tmp_path / "store.duckdb")
    store.save_benchmark("made", read_long_table(write_files(made(120), tmp_path)[0]))
    bench = store.load("made")
    run_router(store, bench, "cascade", params={"error_rate": 0.05})
    again = run_router(store, bench, "cascade", params={"error_rate": 0.05})
    direct = setting(bench).estimates("cascade", params={"error_rate": 0.05})["all"]
    assert again.estimates["all"].cost_is_paid
    protocol = setting(bench)
    for name in ("score", "cost_usd"):
        np.testing.assert_allclose(
            getattr(protocol.frontier(again.estimates, "all"), name),
            getattr(protocol.frontier({"all": direct}, "all"), name),
        )


def test_only_observed_chains_are_estimated():
    bench = made()
    score = bench.outcomes.score.copy()
    score[::3, 0] = np.nan
    old = bench.outcomes
    gaps = replace(bench, outcomes=Outcomes(old.prompt_ids, old.models, score, old.cost_usd))
    assert len(Cascade().fit(gaps).estimate(gaps).prompt_ids) == 200
    assert len(Cascade(models=old.models[1:]).fit(gaps).estimate(gaps).prompt_ids) == 300
    tables = {"test": Cascade(models=old.models[1:]).fit(gaps).estimate(gaps.part("test"))}
    assert setting(gaps).frontier(tables, "test").n_prompts == len(gaps.part("test").prompt_ids)


def test_half_a_cascade_is_not_shown():
    bench = made()
    tables = {"test": Cascade().fit(bench).estimate(bench.part("test"))}
    with pytest.raises(CarrotError, match="calls zeta/mid, too"):
        setting(bench).narrowed(pool=bench.models[:2]).frontier(tables, "test")


def test_parameters_out_of_bounds_are_named():
    with pytest.raises(CarrotError, match=r"error_rate of a cascade must be from 0 to 1, not 1\.5"):
        Cascade(error_rate=1.5)
    with pytest.raises(CarrotError, match="threshold of a cascade"):
        Cascade(threshold=-0.1)
    with pytest.raises(CarrotError, match="ghost"):
        Cascade(models=["ghost"]).fit(made(20))


@pytest.mark.parametrize("error_rate", [0.0, 0.3])
@pytest.mark.parametrize("budget", [None, 0.02, 0.5])
def test_the_list_of_frugalgpt_is_the_best_of_all_lists_within_the_budget(error_rate, budget):
    rng = np.random.default_rng(5)
    bench = of(rng.random((80, 4)) < [0.3, 0.5, 0.6, 0.8], rng.random((80, 4)) * [0.01, 0.03, 0.1, 0.4] + 1e-3)
    cascade = Cascade(error_rate=error_rate, n_models=3, budget_usd=budget)
    fitted = cascade.fit(bench).models_
    whole = Cascade(error_rate=error_rate).fit(bench)
    score, cost = bench.outcomes.pool(whole.models_).score, bench.outcomes.pool(whole.models_).cost_usd
    accepts = whole._accepts(bench.prompt_ids, score)
    limit = cost[:, score.mean(axis=0).argmax()].mean() if budget is None else budget
    result = {}
    for size in (1, 2, 3):
        for chosen in itertools.combinations(range(4), size):
            total_score = total_cost = 0.0
            for row in range(len(score)):
                for column in chosen:
                    total_cost += cost[row, column]
                    if accepts[row, column] or column == chosen[-1]:
                        total_score += score[row, column]
                        break
            if total_cost / len(score) <= limit:
                result[tuple(whole.models_[column] for column in chosen)] = (total_score, -total_cost)
    assert fitted == max(result, key=result.get)


def test_a_list_nobody_can_afford_is_refused():
    bench = of(np.ones((5, 2)), np.full((5, 2), 0.1))
    with pytest.raises(CarrotError, match=r"No list of models costs \$0\.0500 a query"):
        Cascade(n_models=2, budget_usd=0.05).fit(bench)
    with pytest.raises(CarrotError, match="at least 1"):
        Cascade(n_models=0)


# Two models and a verifier


def by_every_verdict(bench: Benchmark, sensitivity: float, specificity: float) -> tuple[float, float]:
    """Mean score and cost of m0, then m1, over both verdicts on every answer, in turn; scores are 0 or 1."""
    score = cost = 0.0
    outcomes = bench.outcomes
    for (s0, s1), (c0, c1) in zip(outcomes.score, outcomes.cost_usd, strict=True):
        yes = sensitivity if s0 == 1 else 1 - specificity
        score += yes * s0 + (1 - yes) * s1
        cost += c0 + (1 - yes) * c1
    return score / len(outcomes.score), cost / len(outcomes.score)


def pair(table, first: str, then: str):
    (row,) = table[(table["first"] == first) & (table["then"] == then)].to_dict("records")
    return row


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_pair_with_a_verifier_is_the_mean_over_its_verdicts(seed: int, sensitivity: float, specificity: float):
    rng = np.random.default_rng(seed)
    bench = of(rng.integers(0, 2, (12, 2)), rng.uniform([0, 1], [1, 2], (12, 2)))
    row = pair(verified_cascades(bench.outcomes, sensitivity, specificity), "m0", "m1")
    assert (row["score"], row["cost_usd"]) == pytest.approx(by_every_verdict(bench, sensitivity, specificity))


def test_verifiers_at_the_ends():
    score, cost = np.array([[1, 1], [1, 0], [0, 1], [0, 0]]), np.tile([1.0, 5.0], (4, 1))
    outcomes = of(score, cost).outcomes
    perfect = pair(verified_cascades(outcomes, 1, 1), "m0", "m1")
    assert perfect == {"first": "m0", "then": "m1", "score": 0.75, "cost_usd": 1.0 + 2.5, "passed_on": 0.5}
    accepts_all, rejects_all = (pair(verified_cascades(outcomes, *rates), "m0", "m1") for rates in ((1, 0), (0, 1)))
    assert (accepts_all["score"], accepts_all["cost_usd"], accepts_all["passed_on"]) == (0.5, 1.0, 0.0)
    assert (rejects_all["score"], rejects_all["cost_usd"], rejects_all["passed_on"]) == (0.5, 6.0, 1.0)


def test_a_cell_of_several_runs_is_the_mean_over_pairs_of_runs():
    runs = [([1, 0, 0], [1, 1, 0]), ([0, 0, 1], [0, 1, 0])]
    means = of([[np.mean(cheap), np.mean(expensive)] for cheap, expensive in runs], np.tile([1.0, 2.0], (2, 1)))
    each = [pick for cheap, expensive in runs for pick in itertools.product(cheap, expensive)]
    expected = by_every_verdict(of(each, np.tile([1.0, 2.0], (len(each), 1))), 0.8, 0.7)
    row = pair(verified_cascades(means.outcomes, 0.8, 0.7), "m0", "m1")
    assert (row["score"], row["cost_usd"]) == pytest.approx(expected)


def test_single_models_stand_beside_cascades_and_no_row_of_the_front_is_beaten():
    rng = np.random.default_rng(0)
    bench = of(rng.integers(0, 2, (40, 5)), rng.uniform(0.1, 1, (40, 5)) * [1, 2, 4, 8, 16])
    table = verified_cascades(bench.outcomes, 0.9, 0.9)
    assert sorted(table.loc[table["then"] == "", "first"]) == list(bench.models)
    assert len(table) == 5 + 10  # the cheaper of two comes first
    front = undominated(table)
    assert (np.diff(front["score"]) > 0).all()
    assert (np.diff(front["cost_usd"]) > 0).all()
    for row in table.itertuples():
        assert ((front["cost_usd"] <= row.cost_usd) & (front["score"] >= row.score)).any()


@pytest.mark.parametrize(("rates", "what"), [((1.2, 1), "sensitivity"), ((1, -1), "specificity")])
def test_a_verifier_that_cannot_be_is_refused(rates, what):
    with pytest.raises(CarrotError, match=what):
        verified_cascades(of([[1, 0]], [[1, 2]]).outcomes, *rates)


def test_prompts_with_gaps_do_not_count():
    outcomes = of([[1, np.nan], [0, 1]], [[1, np.nan], [1, 2]]).outcomes
    assert pair(verified_cascades(outcomes, 1, 1), "m0", "m1")["score"] == 1
    with pytest.raises(CarrotError, match="every model"):
        verified_cascades(outcomes.rows(np.array([True, False])), 1, 1)
