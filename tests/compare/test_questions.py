"""What the Compare page is drawn from: each table against a slow, obvious way to the same numbers, and its laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from carrot_core.bootstrap import replicate
from carrot_core.compare.gap import GAP, decomposition, gap_exhibit, with_better
from carrot_core.compare.learnable_losses import (
    NOT_IN_POOL,
    REASONS,
    distances,
    learnable,
    learnable_exhibit,
    losses,
    slope,
    verdict,
)
from carrot_core.compare.model_shares_agreement import collapse
from carrot_core.compare.predictions import ALL, reliability, usage
from carrot_core.compare.studies import learning, transfer
from carrot_core.compare.task_curves import task_curves
from carrot_core.evaluation import MEAN, Setting, setting, split_by_seed
from carrot_core.evaluation.measure import areas, report_set
from carrot_core.evaluation.protocol import curves_of_other_samples
from carrot_core.evaluation.tables import LAMS
from carrot_core.figures.scene import compose
from carrot_core.frontier import lam_of_rate, rate_of_lam
from carrot_core.metrics import HEADLINE
from carrot_core.outcomes import Benchmark, Estimates
from tests.evaluation.test_missing import with_gaps
from tests.made import MODELS, made

pytestmark = pytest.mark.slow

NAMES = ("carrot-knn", "zero", "task-lookup", "oracle", "best-single")
Tables = dict[str, dict[str, Estimates]]


@pytest.fixture(scope="module")
def bench() -> Setting:
    return setting(made(300))


@pytest.fixture(scope="module")
def routers(bench: Setting) -> Tables:
    return {name: dict(bench.estimates(name, 0)) for name in NAMES}


@pytest.fixture(scope="module")
def taken_apart(bench: Setting, routers: Tables) -> pd.DataFrame:
    return decomposition(bench, routers, replicates=20)


def run_again(one: Benchmark, n_samples: int = 3) -> Benchmark:
    """Every cell run several times, right with the chance that its one score is moved to."""
    rng = np.random.default_rng(0)
    chance = 0.2 + 0.6 * one.outcomes.score[:, :, None]
    samples = (rng.random((*one.outcomes.shape, n_samples)) < chance).astype(float)
    cost = np.repeat(one.outcomes.cost_usd[:, :, None], n_samples, axis=2)
    outcomes = replace(one.outcomes, score=samples.mean(axis=2))
    return replace(one, outcomes=outcomes, sample_score=samples, sample_cost_usd=cost)


def test_luck_of_single_runs_is_what_the_oracle_loses_on_other_samples() -> None:
    bench = setting(run_again(made(300)))
    routers = {name: dict(bench.estimates(name, 0)) for name in ("zero", "best-single")}
    table = decomposition(bench, routers, replicates=20)
    assert set(table.loc[table["part"] == "luck", "router"]) == set(routers)
    part = bench.test
    assert part.sample_score is not None
    cheapest_first = np.lexsort((np.zeros(part.outcomes.shape), part.outcomes.cost_usd))
    lost = []
    for i, order in enumerate(cheapest_first):
        for s in range(3):
            others = np.delete(part.sample_score[i], s, axis=1).mean(axis=1)
            chosen = order[np.argmax(others[order])]
            lost.append(part.outcomes.score[i].max() - part.sample_score[i, chosen, s])
    at_zero = table[(table["part"] == "luck") & (table["lam"] == 0)]
    assert len(at_zero) == 2
    np.testing.assert_allclose(at_zero["value"], np.mean(lost), atol=1e-12)
    assert (at_zero["low"] > 0).all()
    assert bench.oracle_luck == pytest.approx(np.mean(lost))
    assert curves_of_other_samples(bench.test)
    assert not curves_of_other_samples(bench.test.rows(np.arange(9)))  # too few to tell
    curves = {curve.name: curve.label for curve in compose(bench, {}, title="", active="oracle").curves}
    assert f"{100 * np.mean(lost):.1f}" in curves["oracle"]
    assert "luck" in gap_exhibit(table).caption.lower()


def choice(one: Setting, estimates: Estimates, lam: float) -> dict[str, str]:
    """The model each prompt gets, one by one."""
    rate, answer = rate_of_lam(lam, one.cost_unit_usd), {}
    for prompt, score, cost in zip(estimates.prompt_ids, estimates.score, estimates.cost_usd, strict=True):
        utility = [-c if rate == np.inf else s - rate * c for s, c in zip(score, cost, strict=True)]
        tie = [s if rate == np.inf else -c for s, c in zip(score, cost, strict=True)]
        best = min(range(len(utility)), key=lambda j: (-utility[j], -tie[j], estimates.models[j]))
        answer[prompt] = estimates.models[best]
    return answer


def cell(one: Setting, prompt: str, model: str) -> tuple[float, float]:
    outcomes, row = one.test.outcomes, one.test.prompt_ids.index(prompt)
    column = outcomes.models.index(model)
    return float(outcomes.score[row, column]), float(outcomes.cost_usd[row, column])


def value(table: pd.DataFrame, router: str, part: str, lam: float | None = None) -> float:
    rows = table[(table["router"] == router) & (table["part"] == part)]
    return float(rows[rows["lam"].isna() if lam is None else np.isclose(rows["lam"], lam)]["value"].item())


def test_collapse_and_rare_solvers_are_counted_prompt_by_prompt(bench: Setting, routers: Tables) -> None:
    table = collapse(bench, routers, replicates=50)
    outcomes, models = bench.test.outcomes, bench.models
    by_cost = [models[j] for j in np.argsort(-outcomes.cost_usd.mean(axis=0))]
    peaks = dict.fromkeys(models, 0.0)
    for tables in routers.values():
        curve = bench.frontier(tables, "test")
        for rate in curve.exchange_rate_per_usd:
            answered = [models[j] for j in curve.choices(rate)]
            peaks |= {model: max(peak, answered.count(model) / len(answered)) for model, peak in peaks.items()}
    expensive = next(model for model in by_cost if peaks[model] >= 0.1)
    assert set(table["dearest"]) == {expensive}
    solvers = {
        prompt: {model for model, score in zip(models, scores, strict=True) if score >= 0.5}
        for prompt, scores in zip(outcomes.prompt_ids, outcomes.score, strict=True)
    }
    for name in ("carrot-knn", "zero"):
        curve = bench.frontier(routers[name], "test")
        for row in table[table["router"] == name].groupby(["part", "most"]).nth([0, 7, -1]).itertuples():
            (rate,) = (rate for rate in curve.exchange_rate_per_usd if np.isclose(lam_of(bench, rate), row.lam))
            picked = {p: models[j] for p, j in zip(curve.outcomes.prompt_ids, curve.choices(rate), strict=True)}
            few = [prompt for prompt, those in solvers.items() if 1 <= len(those) <= row.most]
            hits = (
                [picked[p] in solvers[p] for p in few]
                if row.part == "rare"
                else [m == expensive for m in picked.values()]
            )
            assert row.n_prompts == len(hits)
            assert row.value == pytest.approx(np.mean(hits), abs=1e-6)
            spent = np.mean([cell(bench, prompt, model)[1] for prompt, model in picked.items()])
            alone = np.mean([cell(bench, prompt, expensive)[1] for prompt in picked])
            assert row.budget == pytest.approx(spent / alone, rel=1e-5)
    rare = table[table["part"] == "rare"]
    assert rare["value"].between(rare["low"] - 1e-6, rare["high"] + 1e-6).all()
    oracle = rare[rare["router"] == "oracle"].groupby("most")["value"].max()
    assert (oracle == 1).all()


def test_collapse_is_drawn_for_the_most_expensive_model_that_a_router_uses(bench: Setting) -> None:
    """A model that costs most and is never right: whichever router is drawn, its share would be 0."""
    outcomes = bench.test.outcomes
    score, cost = outcomes.score.copy(), outcomes.cost_usd.copy()
    score[:, 0], cost[:, 0] = 0.0, 10 * cost.max()
    part = replace(bench.test, outcomes=outcomes.with_values(score, cost))
    setting = replace(
        bench, train=part, inner_train=part, validation=part, test=part, everything=part, report_on="test"
    )
    table = collapse(setting, {name: setting.estimates(name) for name in ("zero", "oracle")}, replicates=10)
    assert cost.mean(axis=0).argmax() == 0
    assert set(table["dearest"]) == {outcomes.models[1 + int(cost[:, 1:].mean(axis=0).argmax())]}
    assert table.loc[table["part"] == "dearest", "value"].max() >= 0.1
    unused = collapse(
        setting.narrowed(outcomes.models[:1]), {"zero": setting.narrowed(outcomes.models[:1]).estimates("zero")}
    )
    assert set(unused["dearest"]) == {outcomes.models[0]}


def lam_of(bench: Setting, rate: float) -> float:
    return float(lam_of_rate(rate, bench.cost_unit_usd))


def test_utilities_are_those_of_choosing_prompt_by_prompt(
    bench: Setting, routers: Tables, taken_apart: pd.DataFrame
) -> None:
    knn, oracle = routers["carrot-knn"]["test"], routers["oracle"]["test"]
    better = {
        "router": knn,
        "scores": Estimates(knn.prompt_ids, MODELS, oracle.score, knn.cost_usd),
        "costs": Estimates(knn.prompt_ids, MODELS, knn.score, oracle.cost_usd),
    }
    for lam in LAMS:
        utility = {}
        for part, table in better.items():
            outcomes = [cell(bench, prompt, model) for prompt, model in choice(bench, table, lam).items()]
            utility[part] = np.mean([(1 - lam) * s - lam * c / bench.cost_unit_usd for s, c in outcomes])
        assert value(taken_apart, "carrot-knn", "router", lam) == pytest.approx(utility["router"], abs=1e-6)
        for part in ("scores", "costs"):
            gain = utility[part] - utility["router"]
            assert value(taken_apart, "carrot-knn", part, lam) == pytest.approx(gain, abs=1e-6)


def test_aiq_is_that_of_the_curves(bench: Setting, routers: Tables, taken_apart: pd.DataFrame) -> None:
    on = report_set(bench, "test", 20)
    curve = bench.frontier(routers["carrot-knn"], "test")
    for part, other in with_better(bench, curve).items():
        area = areas(other, replicate(other, on.weights, 300), on.interval_usd)[HEADLINE].value
        base = 0.0 if part == "router" else value(taken_apart, "carrot-knn", "router")
        if part != "both":
            assert value(taken_apart, "carrot-knn", part) == pytest.approx(area - base, abs=1e-6)


def test_parts_add_up_to_the_gap_and_the_oracle_has_none(taken_apart: pd.DataFrame) -> None:
    wide = taken_apart.pivot(index=["router", "measure", "lam"], columns="part", values="value")
    np.testing.assert_allclose(wide[list(GAP)].sum(axis=1), wide["gap"], atol=1e-6)
    np.testing.assert_allclose(wide["oracle"] - wide["router"], wide["gap"], atol=1e-6)
    assert (wide.loc["oracle"][["gap", *GAP]].abs() < 1e-6).all(axis=None)
    assert (wide["gap"] > -1e-6).all()
    assert (wide["reach"] > -1e-6).all()  # a smaller pool is no better one


def test_the_task_label_makes_the_zero_router_the_task_lookup(taken_apart: pd.DataFrame) -> None:
    for lam in (None, *LAMS):
        label = value(taken_apart, "zero", "router", lam) + value(taken_apart, "zero", "task_label", lam)
        assert label == pytest.approx(value(taken_apart, "task-lookup", "router", lam), abs=1e-6)
        assert value(taken_apart, "task-lookup", "task_label", lam) == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module")
def gained(bench: Setting, routers: Tables) -> pd.DataFrame:
    return learnable(bench, routers, replicates=20)


def test_gains_are_differences_of_the_figures_that_the_gap_is_of(
    gained: pd.DataFrame, taken_apart: pd.DataFrame
) -> None:
    assert set(gained["router"]) == {"carrot-knn"}  # baselines are what it is measured against
    for lam in (None, *LAMS):
        knn, zero, lookup, oracle = (
            value(taken_apart, name, "router", lam) for name in ("carrot-knn", "zero", "task-lookup", "oracle")
        )
        expected = {
            "task": lookup - zero,
            "text": knn - lookup,
            "both": knn - zero,
            "oracle": oracle - zero,
            "share": (knn - zero) / (oracle - zero) if oracle > zero else np.nan,
        }
        for part, gain in expected.items():
            assert value(gained, "carrot-knn", part, lam) == pytest.approx(gain, abs=1e-5, nan_ok=True), (part, lam)


def test_without_tasks_all_that_is_gained_is_of_the_text(routers: Tables) -> None:
    plain = made(300)
    unlabelled = setting(replace(plain, tasks=("",) * len(plain.prompt_ids)))
    table = learnable(unlabelled, {"carrot-knn": routers["carrot-knn"]}, replicates=5)
    assert table.loc[table["part"].isin(["task", "text"]), "value"].isna().all()
    assert table.loc[table["part"] == "both", "value"].notna().all()
    assert "learnable" in verdict(table, "carrot-knn")
    assert learnable(unlabelled, {"zero": unlabelled.baselines["zero"]}, replicates=5).empty


def test_gains_rest_on_prompts_with_gaps_too() -> None:
    bench = made(300)
    observed = np.ones(bench.outcomes.shape, dtype=bool)
    observed[np.random.default_rng(0).random(300) < 0.4, 0] = False
    gappy = setting(with_gaps(bench, observed))
    tables = gappy.estimates("carrot-knn")
    table = learnable(gappy, {"carrot-knn": tables}, replicates=5)
    own, zero = (gappy.frontier(each, gappy.report_on) for each in (tables, gappy.baselines["zero"]))
    assert own.n_prompts > gappy.test.outcomes.complete.sum()
    gain = float(own.score[0] - zero.score[0])  # utility at λ = 0
    assert value(table, "carrot-knn", "both", 0.0) == pytest.approx(gain, abs=1e-5)


def with_gain(both: float, text: float) -> pd.DataFrame:
    """Gains of one router, each known to within a point."""
    parts = {"both": both, "text": text, "share": both}
    rows = [("carrot-knn", HEADLINE, np.nan, part, mid, mid - 0.01, mid + 0.01) for part, mid in parts.items()]
    return pd.DataFrame(rows, columns=["router", "measure", "lam", "part", "value", "low", "high"])


def test_verdicts_differ_where_the_intervals_do() -> None:
    gains = [(-0.05, 0.0), (0.0, 0.0), (0.05, -0.05), (0.05, 0.0), (0.05, 0.05)]
    sentences = [verdict(with_gain(*gain), "carrot-knn") for gain in gains]
    assert len(set(sentences)) == len(gains)
    assert all("CARROT-KNN" in sentence for sentence in sentences)
    learned = ["is learnable" in sentence for sentence in sentences]
    assert learned == [False, False, False, False, True]  # only what the text tells beyond the task


def test_the_slope_is_what_a_doubling_of_the_prompts_brings() -> None:
    sizes, rows = (100, 200, 400, 800, 1000), []
    for size in sizes:
        lost = 0.01 * np.log2(size / sizes[-1])
        rows.append(("carrot-knn", size, MEAN, HEADLINE, 0.7 + lost, lost, lost - 0.002, lost + 0.002))
    table = pd.DataFrame(rows, columns=["router", "size", "seed", "metric", "value", "lost", "lost_low", "lost_high"])
    answer = slope(table)
    assert answer is not None
    assert answer.value == pytest.approx(0.01)
    assert answer.low < answer.value < answer.high
    assert (answer.high - answer.low) * np.log2(1000 / 400) == pytest.approx(0.004)  # of the step from 400 to all
    assert slope(table[table["size"] > 500]) is None
    assert f"{100 * answer.value:+.2f}" in learnable_exhibit(with_gain(0.05, 0.05), learning=table).caption


def test_of_equal_losses_the_surest_choice_comes_first_and_the_best_is_what_it_might_have_known(
    bench: Setting, routers: Tables
) -> None:
    table = losses(bench, {"carrot-knn": routers["carrot-knn"]}, [0.0])
    assert table["regret"].nunique() == 1
    assert table["margin"].is_monotonic_decreasing
    assert table["margin"].iloc[0] > table["margin"].iloc[-1]
    place = {prompt_id: row for row, prompt_id in enumerate(bench.test.prompt_ids)}
    for row in table.itertuples():
        scores = dict(zip(MODELS, bench.test.outcomes.score[place[row.prompt_id]], strict=True))
        expected = dict(zip(MODELS, routers["carrot-knn"]["test"].score[place[row.prompt_id]], strict=True))
        right = [model for model in MODELS if scores[model] == max(scores.values())]
        assert expected[row.best] == max(expected[model] for model in right)


def test_without_tasks_no_label_buys_anything(routers: Tables) -> None:
    plain = made(300)
    unlabelled = setting(replace(plain, tasks=("",) * len(plain.prompt_ids)))
    table = decomposition(unlabelled, {"zero": routers["zero"]}, replicates=5)
    assert table.loc[table["part"] == "task_label", "value"].isna().all()
    assert table.loc[table["part"] != "task_label", "value"].notna().all()


def test_intervals_hold_the_value(taken_apart: pd.DataFrame) -> None:
    known = taken_apart[taken_apart["measure"] == HEADLINE].dropna(subset=["value"])
    assert (known["low"] <= known["high"]).all()
    assert ((known["value"] >= known["low"] - 0.05) & (known["value"] <= known["high"] + 0.05)).all()


def test_reliability_counts_in_bins(bench: Setting, routers: Tables) -> None:
    table = reliability(bench, routers)
    knn = routers["carrot-knn"]["test"]
    column = MODELS.index("zeta/mid")
    truth = dict(zip(bench.test.prompt_ids, bench.test.outcomes.score[:, column], strict=True))
    pairs = [(e, truth[p]) for p, e in zip(knn.prompt_ids, knn.score[:, column], strict=True)]
    for row in table[(table["router"] == "carrot-knn") & (table["model"] == "zeta/mid")].itertuples():
        inside = [(e, s) for e, s in pairs if min(int(min(max(e, 0), 1) * 10), 9) == row.bin]
        assert row.n == len(inside)
        assert row.mean_score == pytest.approx(np.mean([s for _, s in inside]), abs=1e-6)
    assert table.groupby(["router", "model"])["n"].sum()["carrot-knn", "pooled"] == knn.score.size


def test_usage_bins_hold_all_calls_and_their_quantiles(bench: Setting, routers: Tables) -> None:
    table = usage(bench, routers)
    knn = table[(table["router"] == "carrot-knn") & (table["model"] == "acme/large")]
    whole, bins = knn[knn["bin"] == ALL].iloc[0], knn[knn["bin"] != ALL]
    observed = bench.test.output_tokens[:, MODELS.index("acme/large")]
    assert whole["n"] == bins["n"].sum() == len(observed)
    assert whole["p50"] == pytest.approx(np.median(observed))
    assert bins["predicted"].is_monotonic_increasing
    assert set(table["unit"]) == {"tokens"}
    oracle = table[table["router"] == "oracle"]
    np.testing.assert_allclose(oracle[["ratio_p10", "ratio_p50", "ratio_p90"]], 1, rtol=1e-4)


def test_one_prediction_for_all_calls_has_no_bins(bench: Setting, routers: Tables) -> None:
    known = replace(bench, test=replace(bench.test, prices={}))  # dollars only, so the zero router's are constant
    zero = usage(known, {"zero": routers["zero"]})
    assert set(zero["unit"]) == {"usd"}
    assert set(zero.loc[zero["model"] != "pooled", "bin"]) == {ALL}
    assert set(zero.loc[zero["model"] == "pooled", "bin"]) > {ALL}


def test_usage_has_no_rows_where_only_input_is_charged(routers: Tables) -> None:
    free = made(300)
    silent = setting(replace(free, output_tokens=np.full(free.output_tokens.shape, np.nan)))
    table = usage(silent, {"zero": dict(silent.estimates("zero"))})
    assert len(table) == 0
    assert "ratio_p50" in table.columns


def test_task_curves_weighted_by_prompts_are_the_whole_curve(bench: Setting, routers: Tables) -> None:
    table = task_curves(bench, routers)
    for router in NAMES:
        curve = bench.frontier(routers[router], "test")
        rows = table[table["router"] == router]
        assert (rows["n_tasks"] == 2).all()
        for lam, point in rows.groupby("lam"):
            at = curve.at(rate_of_lam(float(lam), bench.cost_unit_usd) * (1 + 1e-6))
            weight = point["n_prompts"] / curve.n_prompts
            near = curve.score[max(at - 1, 0) : at + 2]
            assert np.abs(near - (weight * point["score"]).sum()).min() < 1e-5


def test_losses_are_the_worst_prompts_and_their_errors_add_up(bench: Setting, routers: Tables) -> None:
    table = losses(bench, routers)
    for lam in (0.0, 0.3, 1.0):
        chosen = choice(bench, routers["carrot-knn"]["test"], lam)
        regrets = {}
        for prompt, model in chosen.items():
            utility = {
                name: (1 - lam) * s - lam * c / bench.cost_unit_usd
                for name in MODELS
                for s, c in [cell(bench, prompt, name)]
            }
            regrets[prompt] = max(utility.values()) - utility[model]
        rows = table[(table["router"] == "carrot-knn") & (table["lam"] == lam)]
        worst = sorted(regrets.values(), reverse=True)[: len(rows)]
        np.testing.assert_allclose(rows["regret"], worst, atol=1e-12)
        for row in rows.itertuples():
            assert row.regret == pytest.approx(regrets[row.prompt_id])
            assert row.chosen == chosen[row.prompt_id]
    known = table.dropna(subset=["est_score_best"])
    parts = known[list(REASONS)].sum(axis=1)
    np.testing.assert_allclose(parts - known["margin"], known["regret"], atol=1e-12)
    assert (known["margin"] > -1e-12).all()  # the router preferred what it chose
    assert "oracle" not in set(table["router"])
    single = table[(table["router"] == "best-single") & (table["chosen"] != table["best"])]
    assert set(single["reason"]) == {NOT_IN_POOL}


def test_distances_are_to_the_nearest_training_prompt() -> None:
    bench = made(120)
    prompts = bench.part("test").prompt_ids[:5]
    table = distances(bench, prompts)
    assert bench.vectors is not None
    unit = bench.vectors / np.linalg.norm(bench.vectors, axis=1, keepdims=True)
    train = np.flatnonzero(bench.split == "train")
    for row in table.itertuples():
        cosines = unit[train] @ unit[bench.prompt_ids.index(row.prompt_id)]
        assert row.distance == pytest.approx(1 - cosines.max(), abs=1e-6)
        assert row.nearest_prompt_id == bench.prompt_ids[train[cosines.argmax()]]
        assert 0 <= row.percentile <= 100
    assert distances(replace(bench, vectors=None), prompts)["distance"].isna().all()


def test_a_prompt_without_a_vector_has_no_distance() -> None:
    bench = made(120)
    assert bench.vectors is not None
    vectors, prompt = bench.vectors.copy(), bench.part("test").prompt_ids[0]
    vectors[bench.prompt_ids.index(prompt)] = np.nan
    row = distances(replace(bench, vectors=vectors), [prompt]).iloc[0]
    assert np.isnan(row["distance"])
    assert np.isnan(row["percentile"])
    assert row["nearest_prompt_id"] is None


@pytest.fixture(scope="module")
def two_seeds() -> dict[int, Setting]:
    bench = made(400)
    return {0: setting(bench), 1: setting(split_by_seed(bench, 1))}


def test_learning_ends_with_all_prompts_and_no_loss(two_seeds: dict[int, Setting]) -> None:
    table = learning(two_seeds, "carrot-knn")
    assert set(table["router"]) == {"carrot-knn"}
    aiqs = table[(table["metric"] == "aiq") & (table["seed"] == MEAN)]
    assert aiqs["size"].is_monotonic_increasing
    last = aiqs["size"].max()
    assert last == min(len(one.train.prompt_ids) for one in two_seeds.values())
    assert aiqs.set_index("size").loc[last, "lost"] == 0
    np.testing.assert_allclose(aiqs["lost"], aiqs["value"] - aiqs["value"].iloc[-1], atol=1e-6)
    assert {"r2", "brier"} < set(table["metric"])


def test_transfer_has_both_fits_of_every_task(two_seeds: dict[int, Setting]) -> None:
    table = transfer({0: two_seeds[0]}, "carrot-knn")
    assert set(table["task"]) == {"kind 0", "kind 1"}
    assert set(table["metric"]) == {HEADLINE, "aiq", "routing_accuracy"}
    np.testing.assert_allclose(table["left_out"] - table["usual"], table["difference"], atol=1e-6)


def test_a_task_without_validation_prompts_can_be_left_out(two_seeds: dict[int, Setting]) -> None:
    seed = two_seeds[0]
    tasks = np.array(seed.validation.tasks)
    only = replace(seed, validation=seed.validation.rows(tasks == "kind 0"))
    assert set(transfer({0: only}, "carrot-knn")["task"]) == {"kind 0"}


def test_one_task_cannot_be_left_out() -> None:
    bench: Benchmark = made(60)
    assert transfer({0: setting(replace(bench, tasks=("one",) * 60))}, "zero").empty
