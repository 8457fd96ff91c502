"""Gaps in the outcomes: no prompt is lost, means are those of all prompts, intervals cover.

`python -m tests.evaluation.test_missing 1000` prints the coverage of that many draws.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from carrot_core.bootstrap import bootstrap_counts, replicate, weighted_means
from carrot_core.cli.evaluate import results_table
from carrot_core.compare.task_curves import spider
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Candidate, Setting, compare, evaluate, make_setting, stability, tables
from carrot_core.evaluation.measure import report_set
from carrot_core.evaluation.missing import (
    best_between,
    costless_note,
    donors_of,
    gaps_by_model,
    gaps_note,
    without_gaps,
)
from carrot_core.evaluation.solve import Goal
from carrot_core.figures.scene import caption, compose, label
from carrot_core.frontier import Frontier
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.points import paired
from carrot_core.results.source import StoredResults
from tests.made import made
from tests.points.test_difference import point

pytestmark = pytest.mark.slow

N, MODELS, TASKS = 300, 6, 4
MECHANISMS = ("by chance", "by task", "by the first model")
Flags = npt.NDArray[np.bool_]
Figures = npt.NDArray[np.float64]


def with_gaps(bench: Benchmark, observed: Flags) -> Benchmark:
    old = bench.outcomes
    score, cost = (np.where(observed, table, np.nan) for table in (old.score, old.cost_usd))
    return replace(bench, outcomes=Outcomes(old.prompt_ids, old.models, score, cost))


def world(rng: np.random.Generator, n: int = N) -> Benchmark:
    """Prompts that are hard for all models alike, tasks that suit some models, costs that grow with hardness."""
    task, hard = rng.integers(0, TASKS, n), rng.normal(size=n)
    skill = np.linspace(-0.5, 1.0, MODELS) + np.sin(np.arange(TASKS)[:, None] + np.arange(MODELS))
    score = (rng.logistic(size=(n, MODELS)) < skill[task] - hard[:, None]).astype(float)
    cost = np.exp(0.3 * hard[:, None] + 0.2 * rng.normal(size=(n, MODELS))) * np.geomspace(1e-4, 1e-2, MODELS)
    ids, names = tuple(map(str, range(n))), tuple(f"m{j}" for j in range(MODELS))
    return Benchmark("world", Outcomes(ids, names, score, cost), (None,) * n, tuple(f"t{t}" for t in task),
                     np.full(n, "test"))  # fmt: skip


def observed_cells(bench: Benchmark, mechanism: str, rng: np.random.Generator) -> Flags:
    """Which cells are there: by chance, by the task, or by how the first model, which is always there, did."""
    shape = bench.outcomes.shape
    if mechanism == "by chance":
        return rng.random(shape) > 0.1
    if mechanism == "by task":
        missing = 0.05 + 0.3 * (np.array(bench.tasks) == "t0")
    else:
        missing = np.where(bench.outcomes.score[:, 0] > 0.5, 0.03, 0.3)
    observed = rng.random(shape) > missing[:, None]
    observed[:, 0] = True
    return observed


def chosen(bench: Benchmark) -> npt.NDArray[np.intp]:
    """A router of the task alone."""
    return np.array([(3 * int(task[1])) % MODELS for task in bench.tasks])


def coverage(mechanism: str, draws: int, n: int = N, replicates: int = 200) -> tuple[Figures, Figures]:
    """(4,) share of the draws of n prompts whose 95 % interval holds the truth of 20,000, and the mean error.

    Of a router's score and cost, of its difference to a model, and of the best score of each prompt.
    """
    rng = np.random.default_rng(5)
    everyone = world(rng, 20_000)
    rows = np.arange(20_000)
    truth = _columns(everyone.outcomes, chosen(everyone), everyone.outcomes.score.max(axis=1)).mean(axis=0)
    inside, errors = np.zeros(len(truth)), np.zeros(len(truth))
    for _ in range(draws):
        sample = everyone.rows(rng.choice(rows, n, replace=False))
        filled = without_gaps(with_gaps(sample, observed_cells(sample, mechanism, rng)))
        counts = bootstrap_counts(n, replicates, int(rng.integers(1 << 30)))
        best = filled.whole.score.max(axis=1)
        columns = _columns(filled.measured, chosen(sample), best)
        means = weighted_means(columns, counts)
        means[:, -1] = weighted_means(best[:, None], counts[donors_of(filled)])[:, 0]
        low, high = np.quantile(means, [0.025, 0.975], axis=0)
        inside += (low <= truth) & (truth <= high)
        errors += columns.mean(axis=0) - truth
    return inside / draws, errors / draws


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_intervals_hold_the_mean_over_all_prompts(mechanism: str) -> None:
    inside, _ = coverage(mechanism, 20, replicates=100)
    assert (inside >= 0.8).all(), inside  # 95 % in expectation; fewer is one in 10,000


def test_leaving_prompts_out_would_keep_the_easy_ones() -> None:
    rng = np.random.default_rng(6)
    bench = world(rng, 4_000)
    complete = observed_cells(bench, "by the first model", rng).all(axis=1)
    choice = chosen(bench)
    score = bench.outcomes.score[np.arange(4_000), choice]
    assert score[complete].mean() > score.mean() + 0.05


def _columns(
    outcomes: Outcomes, choice: npt.NDArray[np.intp], best: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    rows = np.arange(len(choice))
    score, cost = outcomes.score[rows, choice], outcomes.cost_usd[rows, choice]
    return np.column_stack([score, cost, score - outcomes.score[:, -1], best])


def test_a_table_without_gaps_and_a_model_without_gaps_stay_as_they_are() -> None:
    bench = world(np.random.default_rng(0))
    assert without_gaps(bench) is bench
    observed = np.ones(bench.outcomes.shape, dtype=bool)
    observed[::5, 2] = False
    filled = without_gaps(with_gaps(bench, observed))
    others = [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(filled.measured.score[:, others], bench.outcomes.score[:, others])
    np.testing.assert_array_equal(filled.measured.cost_usd[:, others], bench.outcomes.cost_usd[:, others])
    assert np.isfinite(filled.measured.score).all()
    without = filled.pool(["m0", "m1"])
    assert without.measured is without.outcomes


def test_what_a_model_costs_in_prompts_is_told() -> None:
    bench = world(np.random.default_rng(1))
    observed = np.ones(bench.outcomes.shape, dtype=bool)
    observed[:30, 4] = observed[20:25, 1] = False
    table = gaps_by_model(with_gaps(bench, observed)).set_index("model")
    assert table["n_missing"].to_dict() == {"m4": 30, "m1": 5}
    assert table["n_complete_without"].to_dict() == {"m4": N - 5, "m1": N - 30}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_whoever_looks_at_outcomes_reads_those_that_are_there_and_a_like_prompts_where_none_is(mechanism: str) -> None:
    bench = world(np.random.default_rng(2), 2_000)
    gappy = without_gaps(with_gaps(bench, observed_cells(bench, mechanism, np.random.default_rng(3))))
    raw, whole, truth = gappy.outcomes, gappy.whole, bench.outcomes
    for name in ("score", "cost_usd"):
        cells, filled = getattr(raw, name), getattr(whole, name)
        np.testing.assert_array_equal(filled[~np.isnan(cells)], cells[~np.isnan(cells)])
        assert all(np.isin(filled[:, j], cells[:, j]).all() for j in range(MODELS))  # no value that nobody observed
    best, low, high = whole.score.max(axis=1), *best_between(gappy)
    assert low <= best.mean() <= high
    assert best.mean() == pytest.approx(truth.score.max(axis=1).mean(), abs=0.01)
    paid = [
        np.where(one.score == one.score.max(axis=1)[:, None], one.cost_usd, np.inf).min(1) for one in (whole, truth)
    ]
    assert paid[0].mean() == pytest.approx(paid[1].mean(), rel=0.15)
    donors = donors_of(gappy)
    known = np.where(np.isnan(raw.score), 0, raw.score).max(axis=1) == 1
    np.testing.assert_array_equal(donors[known], np.flatnonzero(known))  # nothing that a donor could decide


def test_a_best_score_that_few_complete_prompts_would_overstate_stays_within_what_is_possible() -> None:
    """A model that is rarely run, on prompts that others do not solve either: the complete ones are all easy."""
    rng, n = np.random.default_rng(9), 600
    hard = rng.random(n) < 0.3
    score = (rng.random((n, 3)) < np.where(hard, 0.05, 0.9)[:, None]).astype(float)
    observed = np.ones((n, 3), dtype=bool)
    observed[:, 2] = rng.random(n) < np.where(score[:, 0] == 1, 0.06, 0.02)
    ids = tuple(map(str, range(n)))
    outcomes = Outcomes(ids, ("a", "b", "c"), score, rng.uniform(1e-3, 1e-2, (n, 3)))
    gappy = without_gaps(with_gaps(Benchmark("few", outcomes, (None,) * n, ("t",) * n, np.full(n, "test")), observed))
    low, high = best_between(gappy)
    assert low <= gappy.whole.score.max(axis=1).mean() <= high
    assert high - low > 0.1
    complete = gappy.outcomes.score[gappy.outcomes.complete].max(axis=1).mean()
    truth = score.max(axis=1).mean()
    assert abs(gappy.whole.score.max(axis=1).mean() - truth) < abs(complete - truth)


def standing_in(n: int = 400, every: int = 10) -> tuple[Setting, Frontier]:
    """A setting of two models, of which the second was seen on each tenth prompt, and its oracle's curve."""
    rng, has_outcome = np.random.default_rng(4), np.arange(n) % every == 0
    score, cost = (rng.random((n, 2)) < 0.5).astype(float), rng.uniform(1e-4, 1e-2, (n, 2))
    ids = tuple(map(str, range(n)))
    bench = Benchmark("two", Outcomes(ids, ("a", "b"), score, cost), (None,) * n, ("t",) * n, np.full(n, "test"),
                      latency_s=rng.random((n, 2)))  # fmt: skip
    protocol = make_setting(with_gaps(bench, np.column_stack([np.ones(n, dtype=bool), has_outcome])), n_folds=3)
    return protocol, protocol.frontier(protocol.baseline("oracle"), "all")


def test_prompts_with_the_outcomes_of_another_are_drawn_with_it_wherever_there_is_an_interval() -> None:
    protocol, curve = standing_in()
    assert curve.donors is not None
    assert curve.keys is not None
    rows, drawn = np.arange(400), bootstrap_counts(400, 300)[curve.rows(np.ones(400, dtype=bool)).donors]
    gain = (curve.outcomes.score[rows, curve.choices(0.0)] - curve.outcomes.score[:, 0])[:, None]
    low, high = np.quantile(weighted_means(gain, drawn), [0.025, 0.975])
    row = tables.by_task(curve, protocol.test.tasks, 0.0, "a", 300).iloc[0]
    assert (row.difference_low, row.difference_high) == pytest.approx((low, high))
    assert curve.call_s is not None
    assert protocol.test.latency_s is not None
    np.testing.assert_array_equal(curve.call_s, protocol.test.latency_s)

    oracle = protocol.baseline("oracle")
    width = high - low
    shares = spider(protocol, {"oracle": oracle}).query("way == 'honest'").dropna(subset="score_low")
    ends = stability.by_task(protocol, oracle, Goal(cap_usd=1.0), 0.0, 300).iloc[0]
    alone = protocol.frontier(protocol.baselines["zero"], "all")
    apart = paired(point(lam=0.0), curve, point(lam=0.0), alone)
    assert apart is not None
    assert (shares.score_high - shares.score_low > width / 2).all()
    assert ends.score_high - ends.score_low > width / 2
    assert apart.score.high - apart.score.low > width / 2


def test_no_draw_of_an_oracle_costs_less_than_the_cheapest_calls() -> None:
    bench = world(np.random.default_rng(2))
    gappy = with_gaps(bench, observed_cells(bench, "by the first model", np.random.default_rng(3)))
    setting = make_setting(replace(gappy, split=np.full(N, "train")), n_folds=3)
    curve, on = setting.frontier(setting.baseline("oracle"), "all"), report_set(setting, "all", 50)
    whole = gappy.outcomes.cost_usd[gappy.outcomes.complete]
    draws = replicate(curve, on.weights)
    assert (draws.cost_usd >= whole.min()).all()
    assert (draws.cost_usd <= whole.max()).all()
    assert draws.score[:, 0] == pytest.approx(on.oracle)  # at λ = 0, in every draw
    part = curve.rows(np.array(bench.tasks) == "t0")
    assert (part.cost_error_usd > 0).all()


def test_who_looks_at_outcomes_and_has_none_of_a_task_is_left_out_and_named() -> None:
    rng = np.random.default_rng(8)
    score, cost = (rng.random((120, 2)) < 0.5).astype(float), rng.uniform(1e-4, 1e-2, (120, 2))
    task, ids = np.repeat(["t1", "t2"], 60), tuple(map(str, range(120)))
    bench = Benchmark("two", Outcomes(ids, ("a", "b"), score, cost), (None,) * 120, tuple(task.tolist()),
                      np.full(120, "test"))  # fmt: skip
    has_outcome = np.ones((120, 2), dtype=bool)
    has_outcome[60:] = np.arange(60)[:, None] % 2 == [0, 1]
    protocol = make_setting(with_gaps(bench, has_outcome), n_folds=3)
    part, here = protocol.narrowed(None, ("t2",)), np.array(protocol.test.tasks) == "t2"
    assert part.frontier(protocol.baseline("oracle"), "all").n_prompts == 60  # the other task's prompts stand in
    oracle = {name: table.rows(~here) for name, table in protocol.baseline("oracle").items()}
    with pytest.raises(CarrotError, match="all 2 models"):
        part.frontier(oracle, "all")
    scene = compose(part, {"cascade": oracle}, title="", active="zero", baselines=["zero", "oracle"])
    assert [curve.name for curve in scene.curves] == ["zero", "oracle"]
    assert scene.absent == ("cascade",)
    assert label("cascade") in caption(scene)
    with pytest.raises(CarrotError, match="all 2 models"):
        compose(part, {"cascade": oracle}, title="", active="cascade", baselines=["zero"])
    stored = StoredResults("two", protocol, {"cascade": oracle}, {}, None)
    assert stored.fitted == ("cascade",)
    assert "oracle" in stored.baselines
    stored = stored.within((), ("t2",))
    assert stored.fitted == ()


def test_every_prompt_counts_and_no_router_beats_the_oracle() -> None:
    bench = made(300)
    observed = np.random.default_rng(4).random(bench.outcomes.shape) > 0.1
    run = evaluate(with_gaps(bench, observed), "carrot-knn", replicates=20)
    test = run.metrics["test"]
    assert test["n_prompts"] == int((bench.split == "test").sum())
    assert 0 < test["n_incomplete"] < test["n_prompts"]
    assert test["routing_accuracy"] <= test["oracle"] + 0.05
    assert run.metrics["baselines"]["oracle"]["routing_accuracy"] == pytest.approx(test["oracle"])


def test_one_router_and_several_stand_under_the_same_best_single_model_oracle_and_notes() -> None:
    bench = made(200)
    gappy = with_gaps(bench, np.random.default_rng(4).random(bench.outcomes.shape) > 0.1)
    gappy = replace(gappy, split_is_ours=True)
    setting, run = make_setting(gappy), evaluate(gappy, "zero", replicates=20)
    several = compare({0: setting}, {"zero": {0: Candidate.of_run(setting, run)}}, replicates=20)
    assert "$ per 1k solved tasks" in results_table(run, setting)  # the unit of the benchmark's pages
    notes = results_table(run, setting).splitlines()[1:3]
    assert notes == tables.text(several).splitlines()[1:3]
    assert all(each.best_single in notes[0] for each in setting.rounds)
    for figure in (run.metrics["all"]["best_single"], run.metrics["all"]["oracle"], *best_between(gappy)):
        assert f"{figure:.4f}" in notes[0]
    assert notes[1] == gaps_note(int((~gappy.outcomes.complete).sum()))


def test_a_model_without_any_outcome_is_named() -> None:
    bench = made(200)
    observed = np.ones(bench.outcomes.shape, dtype=bool)
    observed[:, 1] = False
    with pytest.raises(CarrotError, match=bench.models[1]):
        make_setting(with_gaps(bench, observed)).best_single  # noqa: B018


def test_a_model_without_any_cost_is_left_out_of_the_pool_and_named() -> None:
    bench = made(200)
    cost = bench.outcomes.cost_usd.copy()
    cost[:, 1] = np.nan
    dollarless = replace(bench, outcomes=bench.outcomes.with_values(bench.outcomes.score, cost))
    here, without = make_setting(dollarless), make_setting(bench.pool([bench.models[0], bench.models[2]]))
    assert here.costless == (bench.models[1],)
    assert (here.models, here.best_single, here.cost_unit_usd) == (
        without.models, without.best_single, without.cost_unit_usd
    )  # fmt: skip
    assert bench.models[1] in costless_note(here.costless)
    alone = replace(bench, outcomes=bench.outcomes.with_values(bench.outcomes.score, np.full_like(cost, np.nan)))
    with pytest.raises(CarrotError, match="no costs"):
        make_setting(alone).best_single  # noqa: B018


def test_without_a_prompt_that_has_every_outcome_all_but_the_oracle_is_measured() -> None:
    bench = made(300)
    observed = np.ones(bench.outcomes.shape, dtype=bool)
    observed[np.arange(300), np.arange(300) % 3] = False
    run = evaluate(with_gaps(bench, observed), "carrot-knn", replicates=20)
    assert run.metrics["test"]["n_prompts"] == run.metrics["test"]["n_incomplete"] == int((bench.split == "test").sum())
    assert run.metrics["test"]["oracle"] is None
    assert "oracle" not in run.metrics["baselines"]
    assert 0.5 < run.metrics["test"]["routing_accuracy"] < 1
    with pytest.raises(CarrotError, match="all 3 models"):
        make_setting(with_gaps(bench, observed)).baseline("oracle")


def test_a_model_without_any_outcome_spoils_no_pool_that_leaves_it_out() -> None:
    bench = made(300)
    observed = np.random.default_rng(7).random(bench.outcomes.shape) > 0.1
    observed[:, 1] = False
    rest = [bench.models[0], bench.models[2]]
    part = make_setting(with_gaps(bench, observed)).narrowed(pool=rest)
    assert part.best_single in rest
    assert part.frontier(part.baselines["zero"], "test").n_prompts == int((bench.split == "test").sum())
    oracle = part.frontier(part.baselines["oracle"], "test")
    assert oracle.n_prompts == len(part.test.prompt_ids)
    least, most = best_between(part.test)
    assert least <= report_set(part, "test", 1).oracle[0] == oracle.score.max() <= most


def test_in_a_part_of_the_pool_a_prompt_is_drawn_with_its_donor_where_a_gap_matters_there() -> None:
    whole = world(np.random.default_rng(3))
    observed = np.ones(whole.outcomes.shape, dtype=bool)
    observed[: N // 2, 1] = False
    part = make_setting(with_gaps(whole, observed), n_folds=5).narrowed(whole.models[:2]).test
    unsolved = np.nan_to_num(part.outcomes.score).max(axis=1) < 1
    apart = donors_of(part) != np.arange(len(part.prompt_ids))
    assert apart.tolist() == (unsolved & ~part.outcomes.complete).tolist()
    assert unsolved.any()


if __name__ == "__main__":
    for name in MECHANISMS:
        inside, errors = coverage(name, int(sys.argv[1]), n=500)
        print(name, "score, cost, difference, best:", inside.round(3), "errors:", errors.round(5), flush=True)
