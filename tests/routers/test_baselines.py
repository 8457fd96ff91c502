"""Zero router, task lookup and oracle against what they are by definition."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from carrot_core.benchmarks.model_facts_arms import oracle_of_other_samples
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.frontier import sweep
from carrot_core.outcomes import Benchmark, FloatTable, Outcomes
from carrot_core.prices import token_cost_usd
from carrot_core.routers import (
    BestSingle,
    Oracle,
    RandomRouter,
    TaskLookup,
    TaskLookupInput,
    ZeroRouter,
    make_router,
)
from carrot_core.routers.baselines import uniform
from carrot_core.switches import upper_hull
from tests.made import made


def test_the_zero_router_sweeps_the_hull_of_the_single_models():
    bench = made()
    frontier = sweep(ZeroRouter().fit(bench).estimate(bench), bench.outcomes)
    score, cost = bench.outcomes.score.mean(axis=0), bench.outcomes.cost_usd.mean(axis=0)
    hull = upper_hull(cost, score)[::-1]
    np.testing.assert_allclose(frontier.score, score[hull])
    np.testing.assert_allclose(frontier.cost_usd, cost[hull])


def test_the_task_lookup_is_a_zero_router_per_task():
    bench = made()
    table = TaskLookup().fit(bench).estimate(bench)
    for task in set(bench.tasks):
        rows = np.array(bench.tasks) == task
        np.testing.assert_allclose(table.score[rows], np.tile(bench.outcomes.score[rows].mean(axis=0), (rows.sum(), 1)))


def test_a_task_unseen_in_training_gets_the_overall_means():
    bench = made()
    other = replace(bench, tasks=("something new",) * len(bench.tasks))
    table = TaskLookup().fit(bench).estimate(other)
    np.testing.assert_allclose(table.score[0], bench.outcomes.score.mean(axis=0))


def test_the_lookup_with_input_cost_knows_what_each_call_is_charged_for_its_input():
    bench = made()
    plain, table = (make_router(name).fit(bench).estimate(bench) for name in ("task-lookup", "task-lookup-input"))
    np.testing.assert_array_equal(table.score, plain.score)
    rows = np.array(bench.tasks) == "kind 1"
    tokens = np.tile(bench.output_tokens[rows].mean(axis=0), (rows.sum(), 1))
    prices = [bench.prices[model] for model in bench.models]
    np.testing.assert_allclose(table.cost_usd[rows], token_cost_usd(bench.input_tokens[rows], tokens, prices))
    np.testing.assert_allclose(table.cost_usd[rows].mean(axis=0), plain.cost_usd[rows].mean(axis=0))


def test_the_lookup_with_input_cost_is_exact_where_only_the_input_is_charged():
    bench = made()
    paid = bench.cost_usd_of(np.zeros(bench.outcomes.shape))
    charged = Outcomes(bench.prompt_ids, bench.models, bench.outcomes.score, paid)
    bench = replace(bench, outcomes=charged, output_tokens=np.full(paid.shape, np.nan))
    lookup = TaskLookupInput().fit(bench.part("train"))
    np.testing.assert_allclose(lookup.estimate(bench).cost_usd, paid)


def test_the_lookup_with_input_cost_takes_the_mean_input_where_none_is_known():
    bench = made()
    unknown = replace(bench, input_tokens=np.full(bench.outcomes.shape, np.nan))
    plain = TaskLookup().fit(bench).estimate(bench)
    for train, of in ((unknown, unknown), (unknown, bench)):
        np.testing.assert_array_equal(TaskLookupInput().fit(train).estimate(of).cost_usd, plain.cost_usd)
    means = TaskLookupInput().fit(bench).estimate(unknown).cost_usd
    assert len(np.unique(means, axis=0)) == len(set(bench.tasks))
    np.testing.assert_allclose(means.mean(axis=0), plain.cost_usd.mean(axis=0), rtol=0.05)


@pytest.mark.parametrize("priced", [True, False])
def test_cost_only_reads_the_cost_of_a_prompt_and_nothing_of_who_answers_it_well(priced: bool):
    bench = made() if priced else replace(made(), prices={})
    router, linear, zero = (make_router(name).fit(bench) for name in ("cost-only", "carrot-linear", "zero"))
    table = router.estimate(bench)
    np.testing.assert_array_equal(table.score, zero.estimate(bench).score)
    np.testing.assert_array_equal(table.cost_usd, linear.estimate(bench).cost_usd)
    if priced:
        longer = replace(bench, input_tokens=bench.input_tokens + 1000)
        more = [bench.prices[model].input_usd_per_mtok * 1e-3 for model in bench.models]
        np.testing.assert_allclose(router.estimate(longer).cost_usd - table.cost_usd, np.tile(more, (300, 1)))


def test_the_oracle_takes_the_cheapest_of_the_best_and_the_cheapest_where_all_fail():
    outcomes = Outcomes(
        ("p", "q", "r"), ("a", "b", "c"), [[1, 1, 0], [0, 0, 0], [0.4, 0.2, 0.5]], [[9, 5, 1], [9, 5, 1], [1, 1, 9]]
    )
    bench = replace(
        made(3),
        outcomes=outcomes,
        texts=("",) * 3,
        prices={},
        input_tokens=np.ones((3, 3)),
        output_tokens=np.ones((3, 3)),
    )
    frontier = sweep(Oracle().fit(bench).estimate(bench), outcomes)
    assert frontier.choices(0.0).tolist() == [1, 2, 2]


def test_no_router_beats_the_oracle_at_any_budget():
    bench = made()
    best = sweep(Oracle().fit(bench).estimate(bench), bench.outcomes)
    other = sweep(TaskLookup().fit(bench).estimate(bench), bench.outcomes)
    hull = upper_hull(best.cost_usd, best.score)
    reachable = np.interp(other.cost_usd, best.cost_usd[hull], best.score[hull])
    assert (other.score <= reachable + 1e-12).all()


def test_means_compare_models_on_the_same_prompts():
    # Model b ran on the two easy prompts only: over its own prompts it would look better than a.
    outcomes = Outcomes(("p", "q", "r", "s"), ("a", "b"), [[1, 1], [1, 0], [0, np.nan], [0, np.nan]], np.ones((4, 2)))
    bench = replace(made(4), outcomes=outcomes, input_tokens=np.ones((4, 2)), output_tokens=np.ones((4, 2)))
    assert ZeroRouter().fit(bench).score_.tolist() == [1.0, 0.5]


def test_unknown_routers_and_parameters_are_named():
    with pytest.raises(NotFoundError, match="No router 'nearest'; there are carrot-knn, "):
        make_router("nearest")
    with pytest.raises(CarrotError, match="'zero' has no parameters; k given"):
        make_router("zero", k=3)
    with pytest.raises(CarrotError, match="does not take these parameters: k"):
        make_router("carrot-knn", k=3)


def test_what_an_estimator_refuses_is_an_error_of_ours():
    with pytest.raises(CarrotError, match=r"carrot-knn cannot be fitted on 'made': .*5 sample"):
        make_router("carrot-knn").fit(made(5))
    with pytest.raises(CarrotError, match=r"carrot-knn cannot be fitted on 'made': .*criterion"):
        make_router("carrot-knn", criterion="luck").fit(made(50))


def test_the_best_single_is_one_model_and_one_point():
    bench = made()
    router = BestSingle().fit(bench)
    means = dict(zip(bench.models, bench.outcomes.score.mean(axis=0), strict=True))
    assert router.models_ == (max(means, key=lambda model: means[model]),)
    frontier = sweep(router.estimate(bench), bench.outcomes, bench.models)
    assert frontier.score.tolist() == pytest.approx([max(means.values())])


def test_equally_good_models_give_the_cheapest_as_the_best_single():
    bench = made(4)
    same = Outcomes(bench.prompt_ids, bench.models, np.ones((4, 3)), np.tile([3.0, 1.0, 2.0], (4, 1)))
    assert BestSingle().fit(replace(bench, outcomes=same)).models_ == (bench.models[1],)


def test_the_random_router_draws_evenly_without_cost_and_the_cheapest_at_any_price():
    bench = made(3000)
    frontier = sweep(RandomRouter(seed=1).fit(bench).estimate(bench), bench.outcomes)
    even, last = frontier.shares([0.0, np.inf])
    np.testing.assert_allclose(even, 1 / 3, atol=0.03)
    assert last.tolist() == (bench.models == np.array(["acme/small"])).astype(float).tolist()
    assert frontier.score[0] == pytest.approx(bench.outcomes.score.mean(), abs=0.03)


def test_a_draw_belongs_to_its_seed_prompt_and_model():
    ids, models = tuple(f"p{i}" for i in range(500)), ("a", "b", "c")
    drawn = uniform(0, ids, models)
    np.testing.assert_array_equal(uniform(0, ids[::-1], models[::-1]), drawn[::-1, ::-1])
    np.testing.assert_array_equal(uniform(0, ids[7:8], models[1:2]), drawn[7:8, 1:2])
    assert (uniform(1, ids, models) != drawn).mean() > 0.99


def test_draws_are_uniform_and_independent():
    drawn = uniform(3, [str(i) for i in range(20_000)], ["a", "b", "c"])
    assert ((drawn >= 0) & (drawn < 1)).all()
    counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
    assert ((counts - 3000) ** 2 / 3000).sum() < 43.8  # 99.9 % point of chi-squared with 19 degrees of freedom
    correlation = np.corrcoef(drawn.T)
    assert np.abs(correlation - np.eye(3)).max() < 0.03
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 0.03


# Samples of the same cell


def sampled(chance: FloatTable, counts: npt.NDArray[np.int64], seed: int = 0) -> Benchmark:
    """Every cell run some number of times, right with its chance; free of noise in its cost."""
    rng = np.random.default_rng(seed)
    n, m = chance.shape
    score = (rng.random((n, m, counts.max())) < chance[:, :, None]).astype(float)
    score[np.arange(counts.max()) >= counts[:, :, None]] = np.nan
    cost = np.broadcast_to(np.arange(1.0, m + 1)[:, None], score.shape)
    ids = tuple(f"p{row}" for row in range(n))
    return Benchmark(
        name="sampled",
        outcomes=Outcomes(ids, tuple("abcdefgh"[:m]), np.nanmean(score, axis=2), cost[:, :, 0]),
        texts=(None,) * n,
        tasks=("",) * n,
        split=np.full(n, "test"),
        sample_score=score,
        sample_cost_usd=np.where(np.isnan(score), np.nan, cost),
    )


def test_oracle_of_other_samples_chooses_by_the_rest_and_reads_what_it_left_out() -> None:
    counts = np.random.default_rng(1).integers(2, 5, (40, 3))
    counts[7, 1] = 1  # a prompt of which one cell was run once
    bench = sampled(np.random.default_rng(2).random((40, 3)), counts)
    others = [i for i in range(40) if i != 7]
    folds = oracle_of_other_samples(bench)
    assert len(folds) == 4
    assert bench.sample_score is not None
    for fold, (estimates, outcomes) in enumerate(folds):
        assert outcomes.prompt_ids == tuple(bench.prompt_ids[i] for i in others)
        for (row, i), j in product(enumerate(others), range(3)):
            runs = list(bench.sample_score[i, j, : counts[i, j]])
            left_out = runs.pop(fold % counts[i, j])
            assert outcomes.score[row, j] == left_out
            assert estimates.score[row, j] == pytest.approx(np.mean(runs))
    assert oracle_of_other_samples(replace(bench, sample_score=None, sample_cost_usd=None)) == []


def oracles(bench: Benchmark) -> tuple[float, float]:
    """Mean score of the oracle, and of the one read on other samples."""
    rows = np.arange(len(bench.prompt_ids))
    curves = [sweep(*fold) for fold in oracle_of_other_samples(bench)]
    other = np.mean([curve.outcomes.score[rows, curve.choices(0.0)] for curve in curves])
    return bench.outcomes.score.max(axis=1).mean(), float(other)


def test_an_oracle_over_luck_alone_gains_nothing_on_other_samples() -> None:
    naive, other = oracles(sampled(np.full((4000, 5), 0.5), np.full((4000, 5), 3)))
    assert naive > 0.8
    assert other == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("n_samples", [2, 4])
def test_the_oracle_of_true_means_lies_between_the_two(n_samples: int) -> None:
    chance = np.random.default_rng(3).beta(0.7, 0.7, (4000, 5))
    naive, other = oracles(sampled(chance, np.full((4000, 5), n_samples)))
    assert other < chance.max(axis=1).mean() < naive
