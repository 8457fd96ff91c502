"""Scores by task at shares of a reference's cost: against every rate tried one by one, and the laws of both ways."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrot_core.compare.task_curves import AUTHORS, BUDGET_SHARES, HONEST, LEAST_PROMPTS, PAPER_REFERENCE, spider
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting, setting
from carrot_core.frontier import rate_of_lam
from carrot_core.operating_point import best_within_budget
from carrot_core.outcomes import Benchmark, Estimates, Outcomes
from tests.made import MODELS, made

ROUTERS = ("carrot-knn", "zero", "rorf", "task-lookup", "best-single")


@pytest.fixture(scope="module")
def bench() -> Setting:
    return setting(made(240))


@pytest.fixture(scope="module")
def routers(bench: Setting) -> dict[str, dict[str, Estimates]]:
    return {name: dict(bench.estimates(name)) for name in ROUTERS}


@pytest.fixture(scope="module")
def table(bench: Setting, routers: dict[str, dict[str, Estimates]]) -> pd.DataFrame:
    return spider(bench, routers)


def _rows(bench: Benchmark, table: Estimates) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Observed scores and costs of the estimates' prompts in the order of the estimates, and the tasks."""
    at = [bench.prompt_ids.index(prompt_id) for prompt_id in table.prompt_ids]
    columns = [bench.models.index(model) for model in table.models]
    outcomes = bench.outcomes
    return outcomes.score[at][:, columns], outcomes.cost_usd[at][:, columns], [bench.tasks[k] for k in at]


def _choose(table: Estimates, rate: float) -> list[int]:
    """The rule, prompt by prompt; an infinite rate looks at cost alone."""
    chosen = []
    for score, cost in zip(table.score.tolist(), table.cost_usd.tolist(), strict=True):
        value = [-c if rate == np.inf else s - rate * c for s, c in zip(score, cost, strict=True)]
        order = sorted(range(len(cost)), key=lambda j: (-value[j], cost[j], -score[j], table.models[j]))
        chosen.append(order[0])
    return chosen


def _rates(table: Estimates) -> list[float]:
    """A rate between every two at which any prompt's choice could change, and both ends."""
    switches = {0.0}
    for score, cost in zip(table.score.tolist(), table.cost_usd.tolist(), strict=True):
        for i in range(len(cost)):
            for j in range(len(cost)):
                if cost[i] > cost[j] and score[i] > score[j]:
                    switches.add((score[i] - score[j]) / (cost[i] - cost[j]))
    ascending = sorted(switches)
    return [0.0, *((a + b) / 2 for a, b in pairwise(ascending)), np.inf]


def _best(table: Estimates, score: np.ndarray, cost: np.ndarray, rows: list[int], budget: float) -> float:
    """Best mean score on some prompts of all rates whose mean cost there is within the budget."""
    best = float("nan")
    for rate in _rates(table):
        chosen = _choose(table, rate)
        if np.mean([cost[i, chosen[i]] for i in rows]) <= budget + 1e-15:
            best = np.fmax(best, np.mean([score[i, chosen[i]] for i in rows]))
    return float(best)


@pytest.mark.parametrize("router", ["carrot-knn", "rorf", "zero"])
def test_the_authors_way_is_the_best_of_all_rates_on_each_task(
    bench: Setting, routers: dict[str, dict[str, Estimates]], table: pd.DataFrame, router: str
) -> None:
    estimates = routers[router]["test"]
    score, cost, tasks = _rows(bench.test, estimates)
    reference = bench.test.models.index(bench.best_single)
    for row in table[(table["router"] == router) & (table["way"] == AUTHORS)].to_dict("records"):
        rows = [i for i, task in enumerate(tasks) if task == row["task"]]
        at = [bench.test.prompt_ids.index(estimates.prompt_ids[i]) for i in rows]
        whole = bench.test.outcomes.cost_usd[at, reference].mean()
        best = _best(estimates, score, cost, rows, row["budget_share"] * whole)
        assert row["score"] == pytest.approx(best, abs=1e-6, nan_ok=True)
        assert row["reference_cost_usd"] == pytest.approx(whole, rel=1e-6)
        assert row["reference_score"] == pytest.approx(bench.test.outcomes.score[at, reference].mean(), abs=1e-6)


@pytest.mark.parametrize("router", ["carrot-knn", "rorf", "zero"])
def test_the_honest_way_takes_one_rate_that_is_best_on_validation(
    bench: Setting, routers: dict[str, dict[str, Estimates]], table: pd.DataFrame, router: str
) -> None:
    validation, test = routers[router]["validation"], routers[router]["test"]
    score, cost, _ = _rows(bench.validation, validation)
    budget = bench.validation.outcomes.cost_usd[:, bench.validation.models.index(bench.best_single)].mean()
    own = table[(table["router"] == router) & (table["way"] == HONEST)]
    for share, rows in own.groupby("budget_share"):
        best = _best(validation, score, cost, list(range(len(score))), share * budget)
        assert rows["exchange_rate_per_usd"].nunique(dropna=False) == 1
        rate = rows["exchange_rate_per_usd"].iloc[0]
        if np.isnan(best):
            assert rows["score"].isna().all()
            continue
        there = _choose(validation, rate)
        assert np.mean([score[i, j] for i, j in enumerate(there)]) == pytest.approx(best)
        chosen, (score_rows, paid, tasks) = _choose(test, rate), _rows(bench.test, test)
        for row in rows.to_dict("records"):
            here = [i for i, task in enumerate(tasks) if task == row["task"]]
            assert row["n_prompts"] == len(here)
            assert row["score"] == pytest.approx(np.mean([score_rows[i, chosen[i]] for i in here]), abs=1e-6)
            assert row["cost_usd"] == pytest.approx(np.mean([paid[i, chosen[i]] for i in here]), rel=1e-5)
            assert rate_of_lam(row["lam"], bench.cost_unit_usd) == pytest.approx(rate, rel=1e-3)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(60, 160))
def test_both_ways_keep_their_laws(seed: int, n: int) -> None:
    """What holds for any estimates.

    - The authors' point is within the budget on its task, and a larger budget never makes it worse.
    - On a task where the honest point is within that task's budget too, the authors' score is not below it:
      theirs is the best of all points there. Where the honest point spends more there, nothing need hold.
    - Of the same money on the same task, too, the best λ on test is never below the honest one.
    """
    made_of = setting(made(n, seed))
    rng = np.random.default_rng(seed)
    noisy = {}
    for split in ("validation", "test"):
        part = made_of.part(split)
        score = part.outcomes.score + rng.normal(scale=0.8, size=part.outcomes.shape)
        cost = part.outcomes.cost_usd * np.exp(rng.normal(scale=0.5, size=part.outcomes.shape))
        noisy[split] = Estimates(part.prompt_ids, part.models, score, cost)
    table = spider(made_of, {"noisy": noisy})
    sides = table.pivot(index=["task", "budget_share"], columns="way", values=["score", "cost_share"])
    authors, honest = (sides.xs(way, axis=1, level="way") for way in (AUTHORS, HONEST))
    budget = sides.index.get_level_values("budget_share").to_numpy()
    assert not (authors["cost_share"] > budget + 1e-6).any()
    for _, rows in authors["score"].groupby("task"):
        assert (np.diff(rows.fillna(-1.0).to_numpy()) >= -1e-6).all()
    within = honest["cost_share"] <= budget - 1e-6
    assert (authors["score"][within] >= honest["score"][within] - 1e-6).all()
    curve = made_of.frontier(noisy, "test")
    labels = np.array(made_of.test.tasks, dtype=object)
    for row in table[table["way"] == HONEST].dropna(subset="score").to_dict("records"):
        here = curve.rows(np.asarray(labels == row["task"]))
        rate = best_within_budget(here, here.cost_usd[here.at(row["exchange_rate_per_usd"])])
        assert rate is not None
        assert here.score[here.at(rate)] >= row["score"] - 1e-6


def test_tasks_add_up_to_the_whole_curve(
    bench: Setting, routers: dict[str, dict[str, Estimates]], table: pd.DataFrame
) -> None:
    for name, estimates in routers.items():
        curve = bench.frontier(estimates, "test")
        own = table[(table["router"] == name) & (table["way"] == HONEST)].dropna(subset="score")
        for _, rows in own.groupby("budget_share"):
            at = curve.at(rows["exchange_rate_per_usd"].iloc[0])
            assert np.average(rows["score"], weights=rows["n_prompts"]) == pytest.approx(curve.score[at], abs=1e-6)


def test_only_what_was_chosen_beforehand_has_an_interval(table: pd.DataFrame) -> None:
    ends = ["score_low", "score_high", "score_share_low", "score_share_high"]
    authors, honest = (table[(table["way"] == way) & table["score"].notna()] for way in (AUTHORS, HONEST))
    assert authors[ends].isna().all().all()
    assert honest["score"].between(honest["score_low"] - 1e-6, honest["score_high"] + 1e-6).all()
    assert len(authors)
    assert len(honest)


def test_tasks_of_a_few_prompts_have_no_interval() -> None:
    bench = made(200)
    few = setting(replace(bench, tasks=tuple("few" if i % 20 == 0 else "many" for i in range(200))))
    table = spider(few, {"task-lookup": few.baselines["task-lookup"]}).dropna(subset="score")
    honest = table[table["way"] == HONEST].set_index("task")
    assert (honest.loc[["few"], "n_prompts"] < LEAST_PROMPTS).all()
    assert honest.loc[["few"], ["score_low", "score_share_high"]].isna().all().all()
    assert honest.loc[["many"], ["score_low", "score_share_high"]].notna().all().all()


def test_the_papers_reference_is_taken_where_it_is_in_the_pool() -> None:
    bench = made(120)
    models = (*MODELS[:2], PAPER_REFERENCE)
    outcomes = Outcomes(bench.prompt_ids, models, bench.outcomes.score, bench.outcomes.cost_usd)
    best = setting(replace(bench, outcomes=outcomes, prices={}))
    assert best.best_single != PAPER_REFERENCE
    assert set(spider(best, {"zero": best.baselines["zero"]})["reference"]) == {PAPER_REFERENCE}


def test_a_pool_of_one_model_is_its_own_reference_and_out_of_reach() -> None:
    alone = setting(made(60).pool(MODELS[:1]))
    table = spider(alone, {"zero": alone.baselines["zero"]})
    assert table["score"].isna().all()  # the only point costs all of the reference's cost
    assert set(table["budget_share"]) == set(BUDGET_SHARES)


def test_prompts_without_a_task_are_one_task() -> None:
    bench = made(90)
    plain = setting(replace(bench, tasks=("",) * 90))
    assert set(spider(plain, {"zero": plain.baselines["zero"]})["task"]) == {""}


def test_without_a_complete_prompt_it_says_so(bench: Setting) -> None:
    with pytest.raises(CarrotError, match="No test prompt"):
        spider(bench, {})


def test_a_curve_on_some_prompts_is_the_sweep_of_these(
    bench: Setting, routers: dict[str, dict[str, Estimates]]
) -> None:
    for estimates in routers.values():
        whole = bench.frontier(estimates, "test")
        rows = np.arange(whole.n_prompts) % 3 == 1
        part = whole.rows(rows)
        for rate in (0.0, 10.0, 200.0, 1000.0, float("inf")):
            np.testing.assert_array_equal(part.choices(rate), whole.choices(rate)[rows])
            chosen = part.choices(rate)
            mean = part.outcomes.score[np.arange(part.n_prompts), chosen].mean()
            assert part.score[part.at(rate)] == pytest.approx(mean)
