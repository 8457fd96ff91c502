"""Tables bound to names: what they refuse, and that everything follows by name."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import carrot_core
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.frontier import most_accurate, sweep_tables
from carrot_core.outcomes import SCORE_RANGE, Benchmark, Estimates, Outcomes, beyond
from carrot_core.prices import Price

IDS, MODELS = ("p", "q", "r"), ("a", "b")


def outcomes(**changed):
    fields = {
        "prompt_ids": IDS,
        "models": MODELS,
        "score": [[1, 0], [0.5, np.nan], [0, 1]],
        "cost_usd": [[1, 2], [3, 4], [5, 6]],
    }
    return Outcomes(**{**fields, **changed})


def bench(**changed):
    fields = {
        "name": "made up",
        "outcomes": outcomes(cost_usd=np.ones((3, 2))),
        "texts": ("one", None, "three"),
        "tasks": ("t", "t", "u"),
        "split": np.array(["train", "validation", "test"]),
        "input_tokens": np.array([[10.0, 20.0], [30.0, np.nan], [50.0, 100.0]]),
        "output_tokens": np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]]),
        "prices": {"a": Price(1.0, 10.0), "b": Price(2.0, 20.0)},
    }
    return Benchmark(**{**fields, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"score": [[1, 0]]}, r"score is \(1, 2\); 3 prompts x 2 models"),
        ({"score": [[1.01, 0], [0, 0], [0, 0]]}, "score of 'a' on prompt 'p' is 1.01"),
        ({"cost_usd": [[1, 2], [3, -4], [5, 6]]}, "cost_usd of 'b' on prompt 'q' is -4"),
        ({"cost_usd": [[1, 2], [3, 4], [np.inf, 6]]}, "cost_usd of 'a' on prompt 'r' is inf"),
        ({"models": ("a", "a")}, "Model 'a' appears twice"),
        ({"prompt_ids": ("p", "q", "p")}, "Prompt 'p' appears twice"),
    ],
)
def test_a_wrong_table_is_refused_and_the_cell_named(changed, message):
    with pytest.raises(CarrotError, match=message):
        outcomes(**changed)


def test_estimates_have_no_missing_cell_but_any_finite_score():
    Estimates(IDS, MODELS, [[-1, 7]] * 3, [[0, 1]] * 3)
    with pytest.raises(CarrotError, match="score of 'b' on prompt 'p' is nan"):
        Estimates(IDS, MODELS, [[0, np.nan]] * 3, [[0, 1]] * 3)


def test_tables_are_copies_that_cannot_be_written():
    score = np.zeros((3, 2))
    table = outcomes(score=score)
    score[:] = 1
    assert table.score.sum() == 0
    with pytest.raises(ValueError, match="read-only"):
        table.score[0, 0] = 1


def test_pool_and_rows_follow_names():
    table = outcomes().pool(["b", "a"]).rows(np.array([2, 0]))
    assert (table.models, table.prompt_ids) == (("b", "a"), ("r", "p"))
    np.testing.assert_array_equal(table.cost_usd, [[6, 5], [2, 1]])


def test_a_part_is_as_strict_as_the_whole():
    part = outcomes().rows(np.array([2, 0])).pool(["a"])
    with pytest.raises(ValueError, match="read-only"):
        part.score[0, 0] = 1
    with pytest.raises(CarrotError, match="Prompt 'p' appears twice"):
        outcomes().rows(np.array([0, 0]))
    with pytest.raises(CarrotError, match="Model 'a' appears twice"):
        outcomes().pool(["a", "a"])


def test_an_unknown_model_is_an_error_that_lists_the_known():
    with pytest.raises(NotFoundError, match=r"No model 'c' here; known: a, b\."):
        outcomes().pool(["c"])


def test_the_store_s_schema_has_the_range_of_scores():
    (check,) = {
        result
        for file in (Path(carrot_core.__file__).parent / "store").rglob("*.sql")
        for result in re.findall(r"\bscore +double not null check \((.*)\)", file.read_text())
    }
    low, high = SCORE_RANGE
    scores = np.array([low - 1e-9, low, 0.5, high, high + 1e-9])
    with duckdb.connect() as connection:
        allowed = [
            connection.execute(f"select {check} from (select ?::double as score)", [x]).fetchone() for x in scores
        ]
    assert [one for (one,) in allowed] == (~beyond(scores, SCORE_RANGE)).tolist() == [False, True, True, True, False]


@given(st.data(), st.integers(1, 6))
def test_the_most_accurate_model_is_the_one_the_frontier_begins_with(data, m):
    """Few values, so that ties of score, of cost and of both come up."""
    table = st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=m, max_size=m).map(np.array)
    score, cost, names = data.draw(table), data.draw(table), tuple(data.draw(st.permutations("abcdef"[:m])))
    assert most_accurate(score, cost, names) == sweep_tables(score[None], cost[None], names).start[0]


def test_complete_prompts_have_every_score_and_cost():
    assert outcomes().complete.tolist() == [True, False, True]


def test_a_benchmark_keeps_everything_together():
    part = bench().rows(np.array([False, False, True])).pool(["b"])
    assert (part.prompt_ids, part.texts, part.tasks) == (("r",), ("three",), ("u",))
    assert (part.input_tokens.tolist(), part.prices) == ([[100.0]], {"b": Price(2.0, 20.0)})
    assert bench().part("validation").prompt_ids == ("q",)
    assert bench().part("all").prompt_ids == IDS


@pytest.mark.parametrize(
    "changed", [{"texts": ("one",)}, {"input_tokens": np.ones((2, 2))}, {"vectors": np.ones((2, 4))}]
)
def test_a_benchmark_of_unequal_lengths_is_refused(changed):
    with pytest.raises(CarrotError, match="made up"):
        bench(**changed)


def test_cost_is_tokens_times_prices_per_million():
    cost = bench().cost_usd_of(np.array([[1.0, 1.0]] * 3))
    np.testing.assert_allclose(cost[0], [(10 * 1 + 1 * 10) / 1e6, (20 * 2 + 1 * 20) / 1e6])


def test_a_negative_prediction_costs_the_input_alone():
    np.testing.assert_allclose(bench().cost_usd_of(np.full((3, 2), -9.0))[0], [10e-6, 40e-6])


def test_input_tokens_of_a_model_not_run_follow_its_tokeniser():
    # Model b counts twice as many tokens as a on the prompts where both ran.
    assert bench().charged_input_tokens[1, 1] == pytest.approx(60.0)


def test_what_has_to_be_predicted_depends_on_what_is_recorded():
    assert bench().usage == "output_tokens"
    assert bench(output_tokens=np.full((3, 2), np.nan)).usage == "input_only"
    assert bench(prices={"a": Price(1.0, 1.0)}).usage == "cost_usd"
    assert bench(prices={}).cost_usd_of(np.full((3, 2), 0.5)).tolist() == [[0.5, 0.5]] * 3
