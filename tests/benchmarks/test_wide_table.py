"""The wide table: the same frames as the long one, and problems that name row and column of the wide file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.long_wide_tables import is_wide, read_long_table, read_wide_table
from carrot_core.benchmarks.registry import read_any, reader_for
from carrot_core.errors import DataError, PricesNeededError, Problem
from carrot_core.prices import Price
from tests.tables import long_table, write

NUMBERS = ("cost_usd", "output_tokens", "input_tokens")


def wide_table(n_prompts: int = 6, models: tuple[str, ...] = ("small", "large")) -> pd.DataFrame:
    """`long_table` with one row a prompt."""
    long = long_table(n_prompts, models)
    wide = long[["prompt_id", "prompt", "task", "benchmark"]].drop_duplicates(ignore_index=True)
    for model in models:
        rows = long[long["model"] == model].reset_index(drop=True)
        wide[model] = rows["score"]
        for name in NUMBERS:
            wide[f"{model}|{name}"] = rows[name]
    return wide


def text_of(path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(path, index=False)
    return path


def refused(path: Path, **options: Any) -> list[Problem]:
    with pytest.raises(DataError) as caught:
        read_wide_table(path, **options)
    return caught.value.problems


def assert_same(left: Frames, right: Frames) -> None:
    for name in ("prompts", "models", "outcomes"):
        pd.testing.assert_frame_equal(getattr(left, name), getattr(right, name))


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.csv.gz", "t.jsonl.zst"])
def test_wide_and_long_are_the_same_frames_in_every_format(tmp_path: Path, name: str) -> None:
    if name.endswith(".zst"):
        plain = write(wide_table(), tmp_path / name.removesuffix(".zst"))
        (tmp_path / name).write_bytes(pa.compress(plain.read_bytes(), codec="zstd", asbytes=True))
    else:
        write(wide_table(), tmp_path / name)
    assert reader_for(tmp_path / name) == "wide"
    assert_same(read_any(tmp_path / name), read_long_table(write(long_table(), tmp_path / "long.csv")))


@pytest.mark.parametrize(
    ("names", "wide"),
    [
        (["prompt_id", "a", "a|cost_usd"], True),
        (["id", "a", "a|output_tokens"], True),
        (["prompt_id", "model", "score"], False),
        (["prompt_id", "model", "score", "a|cost_usd"], False),
        (["prompt_id", "a", "b"], False),
        (["prompt_id", "a", "|cost_usd"], False),
    ],
)
def test_layout_is_told_by_the_columns(names: list[str], wide: bool) -> None:
    assert is_wide(names) is wide


@pytest.mark.parametrize(
    ("row", "column", "value", "says"),
    [
        (3, "large", "1.5", "must be from 0 to 1"),
        (2, "small", "good", "is not a number"),
        (4, "large|cost_usd", "-1", "must be from 0"),
        (5, "small|output_tokens", "many", "is not a number"),
        (2, "prompt_id", "p0", "stands on an earlier row"),
        (2, "prompt_id", "", "is empty"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_problem_names_row_and_column_of_the_wide_file(
    tmp_path: Path, name: str, row: int, column: str, value: str, says: str
) -> None:
    table = wide_table().astype(str).astype(object).drop(columns=["prompt", "task"])
    table.loc[row - 1, column] = value
    path = tmp_path / name
    if name == "t.csv":
        text_of(path, table)
    else:
        path.write_text("\n".join(json.dumps(line) for line in table.to_dict("records")))
    (problem,) = refused(path)
    assert (problem.row, problem.column, problem.value) == (row, column, repr(value))
    assert says in problem.message
    assert "such rows" not in problem.message


def test_every_kind_of_problem_is_told_at_once(tmp_path: Path) -> None:
    table = wide_table().astype(object)
    table.loc[[1, 3], "small"], table.loc[4, "large|cost_usd"], table.loc[5, "prompt_id"] = 7, "much", None
    result = refused(text_of(tmp_path / "t.csv", table))
    assert {(problem.row, problem.column) for problem in result} == {
        (2, "small"), (5, "large|cost_usd"), (6, "prompt_id"),
    }  # fmt: skip
    assert any("first of 2 such rows" in problem.message for problem in result)


def test_empty_cells_are_not_observed(tmp_path: Path) -> None:
    table = wide_table()
    table.loc[0, "small"] = float("nan")
    frames = read_any(text_of(tmp_path / "t.csv", table))
    assert len(frames.outcomes) == 11
    assert any("1 cell has no score" in warning for warning in frames.warnings)


def test_columns_that_are_no_models_are_named_not_taken_for_one(tmp_path: Path) -> None:
    frames = read_any(text_of(tmp_path / "t.csv", wide_table().assign(difficulty=0.5)))
    assert frames.models["model"].tolist() == ["large", "small"]
    assert any(warning.endswith(": difficulty.") for warning in frames.warnings)


def test_a_model_without_its_scores_is_missed(tmp_path: Path) -> None:
    (problem,) = refused(text_of(tmp_path / "t.csv", wide_table().drop(columns="large")))
    assert problem.column == "large"


def test_no_model_and_no_prompt_id(tmp_path: Path) -> None:
    result = refused(text_of(tmp_path / "t.csv", pd.DataFrame({"a": [1], "b": [0]})))
    assert [problem.column for problem in result] == ["prompt_id", None]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_models_whose_names_differ_in_case_only_are_not_mixed_up(tmp_path: Path, name: str) -> None:
    row = {"prompt_id": "a", "GPT": 1, "GPT|cost_usd": 0.1, "gpt": 0, "gpt|cost_usd": 0.2}
    table = pd.DataFrame([row])
    path = tmp_path / name
    if name == "t.parquet":
        table.to_parquet(path)
    elif name == "t.csv":
        text_of(path, table)
    else:
        path.write_text(json.dumps(row))
    assert "two columns" in refused(path)[0].message or "differs in case" in refused(path)[0].message


def test_names_equal_but_for_a_character_nobody_sees_are_two_models(tmp_path: Path) -> None:
    frames = read_any(text_of(tmp_path / "t.csv", wide_table(models=("gpt", "gpt\u200b", "\u202egpt"))))
    assert frames.models["model"].tolist() == ["gpt", "gpt\u200b", "\u202egpt"]


def test_prices_that_are_needed_are_asked_for_by_model(tmp_path: Path) -> None:
    path = text_of(tmp_path / "t.csv", wide_table().drop(columns=["small|cost_usd", "large|cost_usd"]))
    with pytest.raises(PricesNeededError) as caught:
        read_any(path)
    assert caught.value.models == ("small", "large")
    prices = {"small": Price(1, 2), "large": Price(3, 4)}
    pd.testing.assert_frame_equal(
        read_any(path, prices=prices).outcomes, read_long_table(write(long_table(), tmp_path / "l.csv")).outcomes
    )


def test_a_price_is_not_asked_for_where_there_are_no_tokens(tmp_path: Path) -> None:
    path = text_of(tmp_path / "t.csv", long_table()[["prompt_id", "model", "score"]])
    with pytest.raises(DataError) as caught:
        read_any(path)
    assert not isinstance(caught.value, PricesNeededError)


def test_predicate_chooses_rows_and_rows_keep_their_number(tmp_path: Path) -> None:
    table = wide_table().astype({"small": object})
    table.loc[[0, 3], "small"] = "bad"
    path = text_of(tmp_path / "t.csv", table)
    (problem,) = refused(path, where="task = 'odd'")
    assert (problem.row, problem.column) == (4, "small")
    assert len(read_wide_table(path, where="prompt_id in ('p1', 'p2')").prompts) == 2
    expected = int((long_table()["score"][1::2] > 0.5).sum())
    assert len(read_wide_table(path, where="large > 0.5 and small is not null").prompts) <= expected


def test_mapped_columns(tmp_path: Path) -> None:
    table = wide_table().rename(columns={"prompt_id": "Question ID", "prompt": "question"})
    path = text_of(tmp_path / "t.csv", table)
    frames = read_any(path, columns={"prompt_id": "Question ID", "prompt": "question"})
    assert_same(frames, read_long_table(write(long_table(), tmp_path / "l.csv")))
    table.loc[2, "Question ID"] = ""
    (problem,) = refused(text_of(path, table), columns={"prompt_id": "Question ID"})
    assert (problem.row, problem.column) == (3, "Question ID")


def test_a_row_for_each_sample_is_the_same_frames_as_long(tmp_path: Path) -> None:
    wide, long = wide_table().assign(**{"small|latency_s": 2.0, "large|latency_s": 3.0}), long_table()
    long["latency_s"] = np.where(long["model"] == "small", 2.0, 3.0)
    for table, name in ((wide, "wide.csv"), (long, "long.csv")):
        runs = [table.assign(sample=number, time=f"2026-01-0{number}") for number in (1, 2)]
        text_of(tmp_path / name, pd.concat(runs, ignore_index=True))
    columns = ["prompt_id", "model", "sample", "score", "cost_usd", "latency_s", "time"]
    left, right = (
        read(tmp_path / name).outcomes[columns].sort_values(columns, ignore_index=True)
        for read, name in ((read_wide_table, "wide.csv"), (read_long_table, "long.csv"))
    )
    assert len(left) == 24
    pd.testing.assert_frame_equal(left, right)
