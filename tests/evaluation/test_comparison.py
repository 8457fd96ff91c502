"""Several routers over several seeds: against judging each alone and against sweeping drawn prompts anew."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from carrot_core.bootstrap import Interval
from carrot_core.errors import CarrotError
from carrot_core.evaluation import BEST_SINGLE, MEAN, Candidate, compare, judge, setting, split_by_seed
from carrot_core.evaluation.measure import measure, report_set
from carrot_core.evaluation.solve import chosen_hull
from carrot_core.evaluation.tables import cell, latex, text, tidy
from carrot_core.metrics import METRICS, aiq, aiq_of_points, audc, qnc
from carrot_core.outcomes import Estimates, Outcomes
from tests.made import made

pytestmark = pytest.mark.slow

SEEDS = (0, 1, 2)
ROUTERS = ("task-lookup", "zero", "oracle")


@pytest.fixture(scope="module")
def settings():
    bench = made(300)
    return {seed: setting(split_by_seed(bench, seed)) for seed in SEEDS}


@pytest.fixture(scope="module")
def result(settings):
    return compare(settings, candidates(settings, ROUTERS), replicates=60, against=("zero",))


def candidates(settings, routers):
    return {
        name: {seed: Candidate.of(one, one.estimates(name, seed)) for seed, one in settings.items()} for name in routers
    }


def pair_of(one, large, small, probability):
    """A binary router's estimates: 1 for the large model, a probability for the small one."""
    result = {}
    for split, part in (("validation", one.validation), ("test", one.test)):
        suffices = probability(part)
        score = np.column_stack([np.ones(len(suffices)), suffices])
        cost = np.broadcast_to([0.003, 0.0001], score.shape)
        result[split] = Estimates(part.prompt_ids, (large, small), score, cost)
    return result


def test_another_seed_is_another_split_of_the_same_prompts():
    bench = made(200)
    first, second = split_by_seed(bench, 1), split_by_seed(bench, 2)
    assert first.prompt_ids == second.prompt_ids
    assert (first.split != second.split).any()
    np.testing.assert_array_equal(first.split, split_by_seed(bench, 1).split)
    assert [int((first.split == name).sum()) for name in ("train", "validation", "test")] == [140, 30, 30]


@pytest.mark.parametrize(("seed", "name"), list(zip(SEEDS, ROUTERS, strict=True)))
def test_figures_of_a_seed_are_those_of_judging_it_alone(settings, result, seed, name):
    one = settings[seed]
    alone = judge(one, one.estimates(name, seed), "test", replicates=60)
    for metric in ("routing_accuracy", "aiq", "audc", "peak", "arena", "cost_per_solved", "gain_random"):
        figure = result.figure(name, metric, seed)
        assert figure.value == alone[metric]
        assert [figure.low, figure.high] == alone["intervals"][metric]


def test_the_mean_over_seeds_and_its_difference_are_those_of_the_seeds(result):
    for metric in ("routing_accuracy", "aiq"):
        values = [result.figure("task-lookup", metric, seed).value for seed in SEEDS]
        others = [result.figure("zero", metric, seed).value for seed in SEEDS]
        assert result.figure("task-lookup", metric).value == pytest.approx(np.mean(values))
        paired = result.difference("task-lookup", "zero", metric)
        assert paired.value == pytest.approx(np.mean(values) - np.mean(others))
        assert paired.low <= paired.value <= paired.high


def test_replicates_are_sweeps_of_the_drawn_prompts(settings):
    one = settings[1]
    estimates = one.estimates("task-lookup")
    on, curve = report_set(one, "test", 8), one.frontier(estimates, "test")
    hull_rates = chosen_hull(one, estimates)
    (rates,), at_zero = hull_rates, np.zeros(1)
    result = measure(curve, on, {"peak": at_zero, "arena": at_zero, "per_solved": at_zero}, hull_rates).by_metric
    column = one.models.index(one.best_single)
    for b in range(8):
        drawn = np.repeat(np.arange(curve.n_prompts), on.weights[:, 1 + b].astype(int))
        ids = tuple(f"{row} {i}" for i, row in enumerate(drawn))
        table = Estimates(ids, one.models, curve.estimates.score[drawn], curve.estimates.cost_usd[drawn])
        drawn_outcomes = Outcomes(ids, one.models, curve.outcomes.score[drawn], curve.outcomes.cost_usd[drawn])
        again = replace(one, test=replace(one.test.rows(np.arange(0)), **as_bench(drawn_outcomes)))
        anew = again.frontier({"test": table}, "test")
        single = drawn_outcomes.cost_usd.mean(axis=0)
        span, both = (single.min(), single.max()), (anew.cost_usd, anew.score)
        for metric, value in (
            ("routing_accuracy", anew.score[0]),
            ("cost_per_solved", anew.cost_usd[0] / anew.score[0]),
            ("aiq", aiq(anew.cost_usd, anew.score, *span)),
            ("aiq_chosen", aiq_of_points(*(each[[anew.at(rate) for rate in rates]] for each in both), *span)),
            ("audc", audc(anew.cost_usd, anew.score, *span)),
            ("qnc", qnc(anew.cost_usd, anew.score, drawn_outcomes.score[:, column].mean(), single[column])),
        ):
            assert result[metric].replicates[b] == pytest.approx(value), metric


def as_bench(outcomes):
    """What a benchmark of these outcomes needs beside them."""
    n, m = outcomes.shape
    return {
        "outcomes": outcomes,
        "texts": ("",) * n,
        "tasks": ("",) * n,
        "split": np.array(["test"] * n),
        "vectors": None,
        "input_tokens": np.ones((n, m)),
        "output_tokens": np.ones((n, m)),
    }


def test_seeds_share_what_was_drawn_of_the_prompts_they_share(settings):
    counts = {}
    for one in settings.values():
        on = report_set(one, "test", 20)
        for prompt_id, row in zip(on.outcomes.prompt_ids, on.weights, strict=True):
            assert counts.setdefault(prompt_id, row.tolist()) == row.tolist()
    assert len(counts) < sum(len(one.test.prompt_ids) for one in settings.values())


def test_a_router_of_a_pair_is_judged_on_the_same_ground_and_has_routellms_figures(settings):
    one = settings[0]
    certain = pair_of(one, "acme/large", "acme/small", lambda part: part.outcomes.score[:, 1])
    pair = {"pair": {0: Candidate.of(one, certain)}, **candidates({0: one}, ROUTERS)}
    result = compare({0: one}, pair, replicates=40, against=("zero",))
    assert result.figure("pair", "gap_oracle").value >= 0
    assert result.figure("zero", "apgr") is None
    # It calls the large model exactly where the small one fails: with less it cannot recover the whole gap.
    small = one.test.outcomes.score[:, 1]
    assert result.figure("pair", "cpt_80").value <= 1 - small.mean()
    assert result.figure("pair", "apgr").value > 0.5
    assert result.figure("pair", "routing_accuracy").value == pytest.approx(
        np.where(small == 1, 1.0, one.test.outcomes.score[:, 0]).mean()
    )


def test_a_pair_has_no_share_of_a_gap_that_may_be_0(settings):
    """The strong model's lead over the weak one is within what other prompts would change."""
    one = settings[0]
    pair = pair_of(one, "acme/small", "zeta/mid", lambda part: np.full(len(part.prompt_ids), 0.5))
    result = compare({0: one}, {"pair": {0: Candidate.of(one, pair)}}, replicates=200)
    assert abs(np.diff(one.test.outcomes.score[:, 1:].mean(axis=0)).item()) < 0.1
    assert result.figure("pair", "apgr") is None
    assert result.figure("pair", "routing_accuracy") is not None


def test_the_distance_to_the_front_lies_within_its_interval(result):
    for name in result.routers:
        actual = result.figure(name, "pareto_dist")
        assert actual is None or actual.low <= actual.value <= actual.high


def test_prompts_with_gaps_count_for_every_router():
    bench = made(200)
    score = bench.outcomes.score.copy()
    score[::7, 0] = np.nan
    old = bench.outcomes
    holes = replace(bench, outcomes=Outcomes(old.prompt_ids, old.models, score, old.cost_usd))
    one = setting(holes)
    result = compare({0: one}, candidates({0: one}, ("zero", "oracle", "carrot-knn")), replicates=20)
    assert result.protocol["n_incomplete"].item() == int((~one.test.outcomes.complete).sum()) > 0
    assert result.protocol["n_judged"].item() == len(one.test.prompt_ids)
    pair = pair_of(one, "zeta/mid", "acme/small", lambda part: np.full(len(part.prompt_ids), 0.5))
    with_pair = compare({0: one}, {"pair": {0: Candidate.of(one, pair)}}, replicates=20)
    assert with_pair.protocol["n_judged"].item() == result.protocol["n_judged"].item()


def test_a_table_of_other_prompts_cannot_be_compared(settings):
    one = settings[0]
    some = {split: table.rows(np.arange(10)) for split, table in one.estimates("zero").items()}
    with pytest.raises(CarrotError, match="same prompts"):
        compare({0: one}, {"some": {0: Candidate.of(one, some)}}, replicates=5)


def test_the_best_router_is_on_the_joint_front_and_the_oracle_is_no_part_of_it(settings, result):
    assert result.figure("oracle", "pareto_dist") is None
    alone = compare(settings, candidates(settings, ("task-lookup",)), replicates=5)
    assert alone.figure("task-lookup", "pareto_dist").value < result.figure("zero", "pareto_dist").value


def test_routers_that_see_outcomes_are_no_part_of_the_front(settings):
    one = {0: settings[0]}
    best = Candidate.of(settings[0], settings[0].estimates("oracle"))
    honest, lookup = candidates(one, ("task-lookup",)), candidates(one, ("task-lookup",))
    result = compare(one, {"cascade": {0: best}, **honest}, replicates=5)
    assert result.figure("cascade", "pareto_dist") is None
    alone = compare(one, lookup, replicates=5)
    assert result.figure("task-lookup", "pareto_dist") == alone.figure("task-lookup", "pareto_dist")


def test_against_the_best_single_model_scores_are_compared(settings, result):
    one = settings[0]
    column = one.models.index(one.best_single)
    expected = result.figure("oracle", "routing_accuracy", 0).value - one.test.outcomes.score[:, column].mean()
    assert result.difference("oracle", BEST_SINGLE, "routing_accuracy", 0).value == pytest.approx(expected)
    assert result.difference("oracle", BEST_SINGLE, "aiq", 0) is None


def test_the_document_is_plain_json(result):
    document = json.loads(json.dumps(result.document(), allow_nan=False))
    assert document["routers"] == list(ROUTERS)
    assert {row["seed"] for row in document["figures"]} == {"0", "1", "2", MEAN}
    assert {row["metric"] for row in document["figures"]} <= set(METRICS)
    assert set(result.bands.columns) == {"router", "exchange_rate_per_usd", "cost_usd", "score", "low", "high"}


def test_the_tables_show_every_router_and_say_what_is_never_reached(result):
    output = text(replace(result, skipped={"cascade": "It needs something."}))
    for words in (*ROUTERS, "AIQ", "QNC (lower is better)", "best-single-model", "train means", "Not run: cascade. It"):
        assert words in output
    assert cell(Interval(0.5, 0.4, np.inf)) == "0.5000 [0.4000, never]"
    assert cell(None) == "-"
    paper = latex(result)
    assert paper.count(r"\\") == len(ROUTERS) + 1
    assert r"accuracy at $\lambda$ = 0" in paper
    rows = tidy(result)
    assert len(rows) == len(result.figures) + len(result.differences)
    assert set(rows["against"]) == {"", "zero", BEST_SINGLE}


def test_a_score_not_reached_on_some_seeds_is_counted(result):
    table = result.figures.copy()
    hit = (table["router"] == "zero") & (table["metric"] == "qnc")
    table.loc[hit & table["seed"].isin(["0", "2", MEAN]), "value"] = np.inf
    table.loc[hit & (table["seed"] == "1"), "value"] = 0.5
    assert "never on 2 of 3 seeds" in text(replace(result, figures=table))


def test_predictions_of_a_part_of_the_pool_are_not_set_beside_those_of_all(settings):
    one = settings[0]
    pair = pair_of(one, "acme/large", "acme/small", lambda part: np.full(len(part.prompt_ids), 0.5))
    both = {"pair": {0: Candidate.of(one, pair)}, **candidates({0: one}, ("zero",))}
    output = text(compare({0: one}, both, replicates=5)).partition("predictions")[2]
    assert "zero" in output
    assert "pair " not in output
    alone = text(compare({0: one}, {"pair": both["pair"]}, replicates=5))
    assert "predictions" not in alone


def test_every_pair_is_there_once_and_is_the_difference_of_both(result):
    pairs = result.pairs
    assert set(zip(pairs["router"], pairs["other"], strict=True)) == set(combinations(ROUTERS, 2))
    for row in pairs[pairs["metric"] == "aiq"].itertuples():
        apart = result.figure(row.router, "aiq").value - result.figure(row.other, "aiq").value
        assert row.value == pytest.approx(apart)
        pair = result.difference(row.router, row.other, "aiq")
        assert pair is None or (pair.low, pair.high) == (row.low, row.high)
        assert row.low_all <= row.low <= row.high <= row.high_all


def test_both_tables_widen_a_pair_alike(result):
    keys = ["router", "other", "metric"]
    means = result.differences.query("seed == 'mean'").rename(columns={"against": "other"})
    both = result.pairs.merge(means, on=keys, suffixes=("", "_again"))
    assert len(both)
    for end in ("low_all", "high_all"):
        np.testing.assert_array_equal(both[end], both[f"{end}_again"])
    accuracy = result.differences.query("against == @BEST_SINGLE and metric == 'routing_accuracy'")
    assert (accuracy["low_all"] < accuracy["low"]).any()
