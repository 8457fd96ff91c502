"""Zero router, task lookup and oracle against what they are by definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.frontier import sweep, upper_hull
from carrot_core.outcomes import Outcomes
from carrot_core.routers import Oracle, TaskLookup, ZeroRouter, make_router
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
    with pytest.raises(NotFoundError, match="No router 'nearest'; there are carrot-knn, zero"):
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
