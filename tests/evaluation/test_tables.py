"""Tasks and flips behind a point, against counting by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carrot_core.errors import CarrotError
from carrot_core.evaluation import setting
from carrot_core.evaluation.tables import by_task, flip_pairs, flips
from carrot_core.frontier import sweep
from tests.made import made


@pytest.fixture
def frontier_and_tasks():
    part = setting(made())
    return part.frontier(part.estimates("carrot-knn"), "test"), list(part.test.tasks)


def test_tasks_add_up_to_the_whole(frontier_and_tasks):
    frontier, tasks = frontier_and_tasks
    rate = float(np.median(frontier.exchange_rate_per_usd))
    slices = by_task(frontier, tasks, rate, frontier.models[0])
    at, weight = frontier.at(rate), slices.n_prompts / slices.n_prompts.sum()
    assert slices.n_prompts.sum() == frontier.n_prompts
    assert (slices.score * weight).sum() == pytest.approx(frontier.score[at])
    assert (slices.cost_usd * weight).sum() == pytest.approx(frontier.cost_usd[at])
    np.testing.assert_allclose(slices.difference, slices.score - slices.reference_score, atol=1e-12)
    assert (slices.difference_low <= slices.difference + 1e-12).all()
    assert (slices.difference <= slices.difference_high + 1e-12).all()


def test_the_latency_of_tasks_adds_up_to_that_of_the_whole(frontier_and_tasks):
    frontier, tasks = frontier_and_tasks
    assert "latency_s" not in by_task(frontier, tasks, 0.0, frontier.models[0])
    call_s = np.random.default_rng(0).random(frontier.outcomes.shape)
    timed = replace(frontier, call_s=call_s)
    slices = by_task(timed, tasks, 0.0, frontier.models[0])
    assert np.average(slices.latency_s, weights=slices.n_prompts) == pytest.approx(timed.latency_s[0, 0])
    unknown = by_task(replace(frontier, call_s=np.full_like(call_s, np.nan)), tasks, 0.0, frontier.models[0])
    assert unknown.latency_s.isna().all()


def test_a_handful_of_prompts_has_no_interval(frontier_and_tasks):
    frontier, tasks = frontier_and_tasks
    few = ["few"] * 9 + ["ten"] * 10 + tasks[19:]
    slices = by_task(frontier, few, 0.0, frontier.models[0]).set_index("task")
    assert slices.loc["few", ["difference_low", "difference_high"]].isna().all()
    assert slices.loc["ten", ["difference_low", "difference_high"]].notna().all()


def test_labels_for_other_prompts_are_refused(frontier_and_tasks):
    frontier, tasks = frontier_and_tasks
    with pytest.raises(CarrotError, match="task labels for"):
        by_task(frontier, tasks[:-1], 0.0, frontier.models[0])


def test_flips_explain_the_whole_change_between_two_rates(frontier_and_tasks):
    frontier, _ = frontier_and_tasks
    rates = frontier.exchange_rate_per_usd
    low, high = rates[len(rates) // 4], rates[len(rates) // 2]
    moved = flips(frontier, low, high)
    change = (moved.score_after - moved.score_before).sum() / frontier.n_prompts
    assert change == pytest.approx(frontier.score[frontier.at(high)] - frontier.score[frontier.at(low)])
    assert (moved.model_before != moved.model_after).all()
    pairs = flip_pairs(moved)
    assert pairs.n_prompts.sum() == len(moved)
    assert pairs.score_change.sum() == pytest.approx((moved.score_after - moved.score_before).sum())
    assert (pairs.better + pairs.worse <= pairs.n_prompts).all()


def test_nothing_flips_between_a_rate_and_itself(frontier_and_tasks):
    frontier, _ = frontier_and_tasks
    assert flips(frontier, 1.0, 1.0).empty
    assert flip_pairs(flips(frontier, 1.0, 1.0)).empty


def test_a_single_model_never_flips():
    bench = made(40).pool(["acme/small"])
    part = setting(bench)
    frontier = sweep(part.estimates("carrot-knn")["test"], part.test.outcomes)
    assert flips(frontier, 0.0, np.inf).empty
