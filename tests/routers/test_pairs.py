"""Routers of a pair: who suffices, which pair, and a curve that stands beside those of the whole pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.evaluation import evaluate, judge, setting
from carrot_core.frontier import sweep
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.routers import ZeroRouter, make_router
from carrot_core.routers.pairs import PAPER_PAIRS, PairRouter, default_pair, small_suffices
from tests.made import made

LARGE, SMALL = "acme/large", "acme/small"


class Known(PairRouter):
    """Says what it is given, and keeps what it is taught."""

    name = "known"

    def __init__(self, probability=0.5, large=LARGE, small=SMALL):
        super().__init__(large, small)
        self.probability = probability

    def _learn(self, prompts, suffices):
        self.taught = dict(zip(prompts.prompt_ids, suffices.tolist(), strict=True))

    def _probability(self, prompts):
        return np.broadcast_to(self.probability, len(prompts.prompt_ids)).astype(float)


def with_outcomes(bench: Benchmark, score=None, cost=None, models=None) -> Benchmark:
    old = bench.outcomes
    models = models or old.models
    prices = dict(zip(models, bench.prices.values(), strict=True))
    outcomes = Outcomes(
        old.prompt_ids, models, old.score if score is None else score, old.cost_usd if cost is None else cost
    )
    return replace(bench, outcomes=outcomes, prices=prices)


def test_the_small_model_suffices_where_it_scores_at_least_as_much():
    pairs = np.array([[1, 1], [1, 0], [0, 0], [0, 1], [0.4, 0.4], [0.5, 0.4], [0.4, 0.9]])
    assert small_suffices(pairs).tolist() == [True, False, True, True, True, False, True]


def test_only_prompts_with_both_outcomes_teach():
    bench = made(6)
    score = np.array([[1, 0, 1], [0, 1, 0], [np.nan, 1, 1], [1, np.nan, 1], [1, 1, np.nan], [0.3, 0.6, 0]])
    taught = Known().fit(with_outcomes(bench, score)).taught
    assert taught == {"p0000": False, "p0001": True, "p0004": True, "p0005": True}


def test_estimates_are_of_the_pair_alone_at_train_mean_costs():
    bench = made()
    table = Known(0.25).fit(bench).estimate(bench)
    assert table.models == (LARGE, SMALL)
    np.testing.assert_array_equal(table.score, np.tile([1.0, 0.25], (300, 1)))
    expected = bench.outcomes.pool((LARGE, SMALL)).cost_usd.mean(axis=0)
    np.testing.assert_allclose(table.cost_usd, np.tile(expected, (300, 1)))


def test_sweeping_the_rate_sweeps_the_threshold_from_end_to_end():
    bench = made()
    probability = np.random.default_rng(0).integers(0, 11, 300) / 10  # 0 and 1 among them
    router = Known(probability).fit(bench)
    frontier = sweep(router.estimate(bench), bench.outcomes)
    assert not frontier.choices(0.0).any()
    assert frontier.choices(np.inf).all()
    saved = router.cost_usd_[0] - router.cost_usd_[1]
    for threshold in np.arange(0.05, 1, 0.1):
        np.testing.assert_array_equal(frontier.choices((1 - threshold) / saved) == 1, probability >= threshold)


def test_a_pair_is_judged_on_the_prompts_and_the_interval_of_the_whole_pool():
    bench = made()
    score = bench.outcomes.score.copy()
    score[::7, 2] = np.nan  # not observed of the model outside the pair
    protocol = setting(with_outcomes(bench, score))
    tables = {split: Known(0.5).fit(bench).estimate(protocol.part(split)) for split in ("validation", "test")}
    pair, zero = (protocol.frontier(each, "test") for each in (tables, protocol.baselines["zero"]))
    assert pair.models == zero.models == bench.models
    assert pair.outcomes.prompt_ids == zero.outcomes.prompt_ids
    assert pair.n_prompts == zero.n_prompts == len(protocol.test.prompt_ids)
    means = zero.outcomes.score.mean(axis=0)
    assert pair.score.tolist() == pytest.approx([means[0], means[1]])
    assert pair.shares([0.0, np.inf]).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert np.isnan(pair.estimates.score[:, 2]).all()
    assert pair.est_score.tolist() == [1.0, 0.5]
    figures, others = (judge(protocol, each, "test", replicates=20) for each in (tables, protocol.baselines["zero"]))
    for name in ("best_single", "oracle", "n_prompts", "n_incomplete"):
        assert figures[name] == others[name]


def test_the_curve_is_that_of_a_pool_in_which_the_others_are_never_worth_it():
    bench = made()
    protocol = setting(bench)
    table = make_router("rorf", large=LARGE, small="zeta/mid").fit(protocol.train).estimate(protocol.test)
    frontier = protocol.frontier({"test": table}, "test")
    wide = table.widened(bench.models)
    hopeless = replace(wide, score=np.nan_to_num(wide.score, nan=-1.0), cost_usd=np.nan_to_num(wide.cost_usd, nan=1e3))
    expected = sweep(hopeless, protocol.test.outcomes)
    for name in ("exchange_rate_per_usd", "score", "cost_usd", "est_score", "est_cost_usd"):
        np.testing.assert_allclose(getattr(frontier, name), getattr(expected, name), rtol=1e-12, err_msg=name)


def test_a_filter_keeps_what_is_left_of_the_pair_or_says_that_nothing_is():
    bench = made()
    tables = {"test": Known(0.5).fit(bench).estimate(bench.part("test"))}
    one = setting(bench).narrowed(pool=[SMALL, "zeta/mid"]).frontier(tables, "test")
    assert one.shares([0.0]).tolist() == [[1, 0]]
    with pytest.raises(CarrotError, match=f"chooses among {LARGE}, {SMALL} only"):
        setting(bench).narrowed(pool=["zeta/mid"]).frontier(tables, "test")


@pytest.mark.parametrize("pair", PAPER_PAIRS)
def test_the_papers_pair_is_the_default_where_the_pool_holds_it(pair):
    bench = with_outcomes(made(), models=("another", *pair[::-1]))
    assert default_pair(bench) == pair


def test_elsewhere_the_default_is_the_zero_routers_first_step():
    for seed in range(8):
        bench = made(60, seed=seed)
        swept = sweep(ZeroRouter().fit(bench).estimate(bench), bench.outcomes)
        walked = [bench.models[swept.choices(rate)[0]] for rate in swept.exchange_rate_per_usd]
        assert default_pair(bench) == tuple(walked[:2])


def test_pairs_that_make_no_sense_are_refused():
    bench = made()
    with pytest.raises(CarrotError, match="large= and small="):
        Known(small=None).fit(bench)
    with pytest.raises(CarrotError, match="large= and small="):
        Known(small=LARGE).fit(bench)
    with pytest.raises(NotFoundError, match="ghost"):
        Known(small="ghost").fit(bench)
    with pytest.raises(CarrotError, match="the other way"):
        Known(large=SMALL, small=LARGE).fit(bench)
    score = np.ones((300, 3))
    score[::2, 0] = score[1::2, 1] = np.nan
    with pytest.raises(CarrotError, match="outcome of both"):
        Known().fit(with_outcomes(bench, score))
    with pytest.raises(CarrotError, match="most accurate and the cheapest"):
        default_pair(with_outcomes(bench, np.tile([0, 1, 0], (300, 1))))


@pytest.mark.parametrize("name", ["rorf", "routellm-mf"])
class TestRoutersOfVectors:
    def test_it_learns_where_the_small_model_suffices(self, name):
        bench = made(400)
        router = make_router(name, large=LARGE, small=SMALL).fit(bench.part("train"))
        test = bench.part("test")
        probability = router.estimate(test).score[:, 1]
        easy = np.array(test.tasks) == "kind 0"
        assert probability[easy].mean() > 0.75 > 0.5 > probability[~easy].mean()

    def test_alone_or_in_a_batch_is_the_same(self, name):
        bench = made(150)
        router = make_router(name).fit(bench)
        together = router.estimate(bench).score
        alone = [router.estimate(bench.rows(np.array([i]))).score[0] for i in range(0, 150, 10)]
        np.testing.assert_allclose(alone, together[::10], rtol=1e-12)

    def test_it_reads_no_outcome_and_no_task(self, name):
        bench = made(150)
        router = make_router(name).fit(bench)
        blank = replace(with_outcomes(bench, np.full((150, 3), np.nan)), tasks=("",) * 150)
        np.testing.assert_array_equal(router.estimate(blank).score, router.estimate(bench).score)

    @pytest.mark.parametrize("small_score", [0.0, 1.0])
    def test_one_answer_for_all_prompts_is_a_constant(self, name, small_score):
        bench = made(40)
        score = np.tile([0.5, small_score, 0.0], (40, 1))
        router = make_router(name, large=LARGE, small=SMALL).fit(with_outcomes(bench, score))
        np.testing.assert_allclose(router.estimate(bench).score[:, 1], small_score, atol=1e-15)

    def test_it_is_evaluated_like_any_other(self, name):
        bench = made()
        run = evaluate(bench, name, replicates=10)
        assert run.metrics["test"]["n_prompts"] == run.metrics["baselines"]["zero"]["n_prompts"]
        assert run.metrics["models"] == list(bench.models)
        assert len(run.estimates["test"].models) == 2

    def test_vectors_of_another_encoder_are_refused(self, name):
        router = make_router(name).fit(made(60))
        with pytest.raises(CarrotError, match="Fitted on vectors of"):
            router.estimate(replace(made(60), encoder="another"))
        with pytest.raises(CarrotError, match="no vectors yet"):
            make_router(name).fit(replace(made(60), vectors=None))
        with pytest.raises(CarrotError, match="task-lookup"):  # embedding cannot help where there is no text
            make_router(name).fit(replace(made(60), vectors=None, texts=(None,) * 60))


def test_parameters_out_of_bounds_are_named():
    with pytest.raises(CarrotError, match=r"rorf cannot be fitted on 'made': .*max_depth"):
        make_router("rorf", max_depth=0).fit(made(60))
    with pytest.raises(CarrotError, match="penalties above 0"):
        make_router("routellm-mf", penalties=[0.0])
    with pytest.raises(CarrotError, match="does not take these parameters: depth"):
        make_router("rorf", depth=3)
