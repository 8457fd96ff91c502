"""The reader of long tables: what is accepted, what is refused and how it says so."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.benchmarks.table_file import open_table
from carrot_core.benchmarks.value_checks import RECOGNISED
from carrot_core.errors import DataError, NotFoundError, Problem
from carrot_core.prices import Price
from carrot_core.text import prompt_text
from tests.tables import long_table, write

PRICES = {"small": Price(1.0, 2.0), "large": Price(3.0, 4.0)}


def refused(path: Path, **options: Any) -> list[Problem]:
    with pytest.raises(DataError) as caught:
        read_long_table(path, **options)
    assert path.name in str(caught.value)
    return caught.value.problems


def with_value(column: str, row: int, value: object) -> pd.DataFrame:
    """The valid table with one value changed; row is 1-based."""
    table = long_table().astype({column: object})
    table.loc[row - 1, column] = value
    return table


def text_of(path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(path, index=False)
    return path


# What is accepted


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.tsv", "t.jsonl", "t.csv.gz", "t.jsonl.gz"])
def test_every_format_gives_the_same_frames(tmp_path: Path, name: str) -> None:
    frames = read_long_table(write(long_table(), tmp_path / name))
    table = long_table()
    assert frames.prompts["prompt_id"].tolist() == [f"p{number}" for number in range(6)]
    assert frames.prompts["text"].tolist() == table["prompt"].unique().tolist()
    assert frames.prompts["task"].tolist() == ["even", "odd"] * 3
    assert set(frames.prompts["family"]) == {"made"}
    assert frames.prompts["split"].tolist() == [None] * 6
    pd.testing.assert_frame_equal(
        frames.outcomes,
        table[frames.outcomes.columns].astype({"prompt_id": object, "model": object, "score": float})
        .astype({"input_tokens": float, "output_tokens": float}),
    )  # fmt: skip
    assert frames.warnings == ()


def test_price_behind_tokens_and_dollars_is_found(tmp_path: Path) -> None:
    models = read_long_table(write(long_table(), tmp_path / "t.parquet")).models
    assert models["model"].tolist() == ["large", "small"]
    assert models["input_usd_per_mtok"].tolist() == [3.0, 1.0]
    assert models["output_usd_per_mtok"].tolist() == [4.0, 2.0]


def test_dollars_no_token_price_explains_stay_dollars(tmp_path: Path) -> None:
    table = long_table().assign(cost_usd=lambda t: np.sqrt(t["cost_usd"]))
    frames = read_long_table(write(table, tmp_path / "t.parquet"))
    assert frames.models["input_usd_per_mtok"].isna().all()
    assert any("2 of 2 models" in warning for warning in frames.warnings)
    assert frames.outcomes["cost_usd"].tolist() == table["cost_usd"].tolist()


def test_given_prices_make_the_missing_dollars(tmp_path: Path) -> None:
    path = write(long_table().drop(columns="cost_usd"), tmp_path / "t.csv")
    frames = read_long_table(path, prices=PRICES)
    np.testing.assert_allclose(frames.outcomes["cost_usd"], long_table()["cost_usd"], rtol=1e-12)
    assert frames.models.set_index("model")["output_usd_per_mtok"].to_dict() == {"small": 2.0, "large": 4.0}


def test_without_output_tokens_only_the_input_is_charged_and_said_so(tmp_path: Path) -> None:
    path = write(long_table().drop(columns=["cost_usd", "output_tokens"]), tmp_path / "t.csv")
    frames = read_long_table(path, prices=PRICES)
    small = frames.outcomes[frames.outcomes["model"] == "small"]
    np.testing.assert_allclose(small["cost_usd"], small["input_tokens"] / 1e6)
    assert any("No output tokens" in warning for warning in frames.warnings)


def test_recorded_dollars_win_over_given_prices_and_it_is_said(tmp_path: Path) -> None:
    frames = read_long_table(write(long_table(), tmp_path / "t.csv"), prices={"small": Price(9, 9), "x": Price(1, 1)})
    assert frames.models.set_index("model").loc["small", "input_usd_per_mtok"] == 1.0
    assert any("not used" in warning and "small, x" in warning for warning in frames.warnings)


def test_some_missing_dollars_are_a_warning(tmp_path: Path) -> None:
    frames = read_long_table(write(with_value("cost_usd", 3, None), tmp_path / "t.csv"))
    assert math.isnan(frames.outcomes["cost_usd"][2])
    assert any("1 outcome has no cost" in warning for warning in frames.warnings)


def test_prompt_without_text_keeps_its_numbers(tmp_path: Path) -> None:
    table = long_table()
    table.loc[table["prompt_id"] == "p2", "prompt"] = None
    frames = read_long_table(write(table, tmp_path / "t.csv"))
    assert frames.prompts.set_index("prompt_id")["text"]["p2"] is None
    assert len(frames.outcomes) == 12


def test_text_given_on_one_row_of_a_prompt_is_enough(tmp_path: Path) -> None:
    frames = read_long_table(write(with_value("prompt", 1, None), tmp_path / "t.csv"))
    assert frames.prompts["text"][0] == long_table()["prompt"][0]


def test_rows_without_a_score_are_not_observed(tmp_path: Path) -> None:
    table = long_table()
    table.loc[[0, 1, 4], "score"] = np.nan
    frames = read_long_table(write(table, tmp_path / "t.parquet"))
    assert len(frames.outcomes) == 9
    assert "p0" not in set(frames.prompts["prompt_id"])
    assert any("3 rows have no score" in warning for warning in frames.warnings)


def test_a_row_without_a_score_may_repeat_an_answer(tmp_path: Path) -> None:
    table = pd.concat([long_table().assign(score=np.nan), long_table()])
    assert len(read_long_table(write(table, tmp_path / "t.parquet")).outcomes) == 12


def test_own_split_is_kept(tmp_path: Path) -> None:
    table = long_table().assign(split=lambda t: t["prompt_id"].map(lambda p: "test" if p > "p3" else "train"))
    frames = read_long_table(write(table, tmp_path / "t.csv"))
    assert frames.prompts["split"].tolist() == ["train"] * 4 + ["test"] * 2


def test_splits_by_their_usual_words(tmp_path: Path) -> None:
    words = ["Train", "training ", "VAL", "dev", "valid", "test"]
    table = long_table().assign(split=[word for word in words for _ in range(2)])
    frames = read_long_table(write(table, tmp_path / "t.csv"))
    assert frames.prompts["split"].tolist() == ["train"] * 2 + ["validation"] * 3 + ["test"]
    (note,) = [note for note in frames.warnings if "plit" in note]
    assert "'VAL' is validation" in note
    assert "'test'" not in note


def test_words_for_nothing_are_not_recorded(tmp_path: Path) -> None:
    words = ["NA", "n/a", "null", "None", "#N/A"]
    table = long_table().astype({"score": object, "cost_usd": object, "input_tokens": object})
    table.loc[:4, "score"] = table.loc[5:9, "cost_usd"] = table.loc[5:9, "input_tokens"] = words
    outcomes = read_long_table(write(table, tmp_path / "t.csv")).outcomes
    assert len(outcomes) == len(table) - 5
    assert outcomes[["cost_usd", "input_tokens"]].isna().sum().tolist() == [5, 5]


def test_dollars_may_have_their_sign(tmp_path: Path) -> None:
    table = long_table()
    ways = ("${}", "US$ {}", "{} USD", "{} $")
    signed = table.assign(cost_usd=[ways[row % 4].format(cost) for row, cost in enumerate(table["cost_usd"])])
    frames = read_long_table(write(signed, tmp_path / "t.csv"))
    assert frames.outcomes["cost_usd"].tolist() == table["cost_usd"].tolist()


@pytest.mark.parametrize(
    ("fact", "names"), [("effort", ["gpt/high", "gpt/low", "other"]), ("provider", ["high/gpt", "low/gpt", "other"])]
)
def test_one_model_by_several_efforts_or_providers_is_several_models(
    tmp_path: Path, fact: str, names: list[str]
) -> None:
    table = long_table(models=("high", "low", "other"))
    table[fact] = table["model"].where(table["model"] != "other", "")
    table["model"] = table["model"].where(table["model"] == "other", "gpt")
    frames = read_long_table(write(table, tmp_path / "t.csv"))
    assert frames.models["model"].tolist() == names
    assert frames.models["base_model"].tolist()[:2] == ["gpt", "gpt"]
    assert any(fact in note for note in frames.warnings)
    alone = read_long_table(tmp_path / "t.csv", where=f"model in ('gpt', 'other') and coalesce({fact}, '') <> 'low'")
    assert alone.models["model"].tolist() == ["gpt", "other"]  # what is left needs no other name
    one = table[(table[fact] == "") | ((table[fact] == "high") == (table["prompt_id"] < "p3"))]
    assert read_long_table(write(one, tmp_path / "o.csv")).models["model"].tolist() == ["gpt", "other"]


@pytest.mark.parametrize(("values", "words"), [((1, 2), ("1", "2")), ((True, False), ("true", "false"))])
@pytest.mark.parametrize("fact", ["effort", "provider"])
def test_efforts_and_providers_may_be_numbers_or_truths(
    tmp_path: Path, fact: str, values: tuple[object, object], words: tuple[str, str]
) -> None:
    table = long_table(models=("a", "b"))
    table[fact] = [values[0] if model == "a" else values[1] for model in table["model"]]
    frames = read_long_table(write(table.assign(model="gpt"), tmp_path / "t.parquet"))
    names = [f"gpt/{word}" if fact == "effort" else f"{word}/gpt" for word in words]
    assert frames.models["model"].tolist() == sorted(names)


def test_nearly_the_same_names_are_told(tmp_path: Path) -> None:
    table = long_table()
    table.loc[2, "model"] = "small "
    assert any("'small' and 'small '" in note for note in read_long_table(write(table, tmp_path / "t.csv")).warnings)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["p", "p", "q", "q"], None),
        (["a-1", "b-1", "a-2", "b-2"], "do the ids"),
        (["1", "1.0", "2", "2.0"], "'1' and '1.0'"),
        (["q", "Q ", "r", "r"], "'Q ' and 'q'"),
        (["caf\u00e9", "cafe\u0301", "r", "r"], "caf"),
    ],
)
def test_ids_of_prompts_that_do_not_agree_come_with_a_note(tmp_path: Path, ids: list[str], says: str | None) -> None:
    table = long_table(n_prompts=2)[["model", "score", "cost_usd"]].assign(prompt_id=ids)
    notes = [note for note in read_long_table(write(table, tmp_path / "t.csv")).warnings if "ids" in note]
    assert bool(notes) == bool(says)
    assert (says or "") in " ".join(notes)


def test_a_cost_that_cannot_be_read_is_not_missing(tmp_path: Path) -> None:
    (problem,) = refused(write(long_table().assign(cost_usd="€1"), tmp_path / "t.csv"))
    assert (problem.column, problem.value) == ("cost_usd", "'€1'")


def test_unknown_columns_are_named(tmp_path: Path) -> None:
    frames = read_long_table(write(long_table().assign(Score=1, judge="x"), tmp_path / "t.jsonl"))
    assert any("Score_1, judge" in w or "Score, judge" in w for w in frames.warnings), frames.warnings


def test_provenance_names_file_bytes_and_predicate(tmp_path: Path) -> None:
    path = write(long_table(), tmp_path / "t.parquet")
    provenance = read_long_table(path, where="prompt_id <> 'p0'").provenance
    assert provenance.source == "t.parquet"
    assert provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert provenance.rows == 10
    assert "prompt_id <> 'p0'" in provenance.note


def test_ids_and_names_are_kept_to_the_letter(tmp_path: Path) -> None:
    names = ["2024-1-1", " 2024-1-1", "2024-01-01", "é", "e\u0301", "1", "1.0", "<img src=x onerror=alert(1)>"]
    path = tmp_path / "t.jsonl"
    rows = [{"prompt_id": a, "model": b, "score": 1, "cost_usd": 0} for a in names for b in names]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    frames = read_long_table(path)
    assert sorted(frames.prompts["prompt_id"]) == sorted(frames.models["model"]) == sorted(names)


def test_integer_ids_and_true_false_scores_are_understood(tmp_path: Path) -> None:
    table = long_table().assign(
        prompt_id=lambda t: t["prompt_id"].str[1:].astype(int), score=lambda t: t["score"] > 0.4
    )
    frames = read_long_table(write(table, tmp_path / "t.parquet"))
    assert frames.prompts["prompt_id"].tolist() == list("012345")
    assert set(frames.outcomes["score"]) == {0.0, 1.0}


@pytest.mark.parametrize("name", ["a[1].csv", "a*.csv", "it's.csv", "wo rd.CSV"])
def test_file_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    write(long_table(n_prompts=2), tmp_path / "a1.csv")
    write(long_table(n_prompts=5), tmp_path / "plain.csv").rename(tmp_path / name)
    assert len(read_long_table(tmp_path / name).prompts) == 5


def test_folders_with_equal_signs_add_no_columns(tmp_path: Path) -> None:
    folder = tmp_path / "task=folder"
    folder.mkdir()
    frames = read_long_table(write(long_table().drop(columns="task"), folder / "t.parquet"))
    assert set(frames.prompts["task"]) == {""}


def test_columns_nobody_asked_for_are_not_loaded(tmp_path: Path) -> None:
    path = write(long_table().assign(response="x" * 1000), tmp_path / "t.parquet")
    with open_table(path, RECOGNISED, others=False) as table:
        loaded = table.connection.execute("describe file").fetchall()
    assert "response" in table.types
    assert "response" not in [row[0] for row in loaded]


# The predicate


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_predicate_chooses_rows_by_any_column(tmp_path: Path, name: str) -> None:
    table = long_table().assign(kind=lambda t: t["prompt_id"].map(lambda p: "chat" if p < "p3" else "base"))
    frames = read_long_table(write(table, tmp_path / name), where="kind = 'chat' and input_tokens < 12")
    assert frames.prompts["prompt_id"].tolist() == ["p0", "p1"]


def test_bad_rows_the_predicate_leaves_out_do_no_harm_and_rows_keep_their_number(tmp_path: Path) -> None:
    table = with_value("score", 2, 7.0)
    table.loc[9, "score"] = 8.0
    path = write(table.astype({"score": float}), tmp_path / "t.parquet")
    assert len(read_long_table(path, where="score <= 1").outcomes) == 10
    assert refused(path, where="prompt_id <> 'p0'")[0].row == 10


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("nope = 1", "nope"),
        ("scroe = 1", "score"),
        ("score >", 'at ">"'),
        ("1, 2", "one condition"),
        ("true; drop table file", "cannot be used"),
        ("true) or (true", 'at ")"'),
        ("true union select 1", "one condition"),
        ("sum(score) > 1", "subquery"),
        ("(select count(*) from read_csv('/etc/passwd')) > 0", "out of its reach"),
        ("(select count(*) from read_text('/etc/passwd')) > 0", "out of its reach"),
        ("exists (from '/etc/passwd')", "no table"),
        ("(select max(table) from table) > 0", "table"),
        ("(select count(*) from long_table) > 0", "long_table"),
        ("model = 1", "small"),
        ("?", "not stated"),
        ("\0", "no column"),
    ],
)
def test_predicate_that_cannot_be_used_says_why_in_our_own_words(tmp_path: Path, where: str, says: str) -> None:
    (problem,) = refused(write(long_table(), tmp_path / "t.parquet"), where=where)
    assert repr(where) in str(problem)
    assert says in str(problem)
    assert not re.search(r"Error:|LINE |Candidate|Did you mean|disabled by|row of the file", str(problem))


def test_predicate_no_row_satisfies(tmp_path: Path) -> None:
    (problem,) = refused(write(long_table(), tmp_path / "t.parquet"), where="score > 2")
    assert "no rows" in str(problem)


def test_predicate_by_chance_is_evaluated_once(tmp_path: Path) -> None:
    path = write(long_table(n_prompts=400), tmp_path / "t.parquet")
    frames = read_long_table(path, where="random() < 0.5")
    assert set(frames.outcomes["prompt_id"]) == set(frames.prompts["prompt_id"])
    assert 0 < len(frames.outcomes) < 800


# What is refused


BAD_VALUES = [
    ("score", 1.5, "must be from 0 to 1"),
    ("score", -0.1, "must be from 0 to 1"),
    ("score", math.inf, "must be from 0 to 1"),
    ("score", "good", "is not a number"),
    ("input_tokens", -1, "must be from 0"),
    ("input_tokens", "many", "is not a number"),
    ("output_tokens", -0.5, "must be from 0"),
    ("output_tokens", -math.inf, "must be from 0"),
    ("cost_usd", -1e-9, "must be from 0"),
    ("cost_usd", math.inf, "must be from 0"),
    ("cost_usd", 1e300, "must be from 0"),
    ("cost_usd", "€0.01", "is not a number"),
    ("prompt_id", None, "is empty"),
    ("prompt_id", "nan", "is empty"),
    ("prompt_id", " \t", "is empty"),
    ("model", None, "is empty"),
    ("model", "sm\0all", "NUL"),
    ("model", "small", "has already answered"),
    ("prompt", "another text", "differs from an earlier row"),
    ("task", "another task", "differs from an earlier row"),
    ("benchmark", "another", "differs from an earlier row"),
]


@pytest.mark.parametrize(
    ("name", "column", "value", "says"),
    [("t.csv", *bad) for bad in BAD_VALUES] + [("t.jsonl", *bad) for bad in BAD_VALUES[::3]],
)
def test_bad_value_is_named_with_row_and_column(
    tmp_path: Path, name: str, column: str, value: object, says: str
) -> None:
    table = with_value(column, 8, value)
    path = tmp_path / name
    if name == "t.csv":
        text_of(path, table)
    else:
        plain = table.replace({math.inf: "inf", -math.inf: "-inf"})
        path.write_text("\n".join(json.dumps(row) for row in plain.to_dict("records")))
    (problem,) = refused(path)
    assert (problem.row, problem.column) == (8, column)
    assert says in problem.message
    assert problem.remedy
    if value not in (None, " \t"):
        assert str(value).strip("\0")[:2] in (problem.value or "")


def test_parquet_names_row_and_column_too(tmp_path: Path) -> None:
    table = long_table(n_prompts=5000)
    table.loc[7776, "score"] = 1.01
    (problem,) = refused(write(table, tmp_path / "t.parquet"))
    assert (problem.row, problem.column, problem.value) == (7777, "score", "'1.01'")


def test_not_a_number_id_in_a_number_column(tmp_path: Path) -> None:
    table = long_table().assign(prompt_id=lambda t: t["prompt_id"].str[1:].astype(float))
    table.loc[4, "prompt_id"] = np.nan
    (problem,) = refused(write(table, tmp_path / "t.parquet"))
    assert (problem.row, problem.column) == (5, "prompt_id")


def test_every_kind_of_problem_is_told_at_once_with_its_count(tmp_path: Path) -> None:
    table = long_table().astype(object)
    table.loc[[2, 5], "score"] = 3
    table.loc[3, "cost_usd"] = -1
    table.loc[6, "input_tokens"] = "x"
    table.loc[11, "model"] = "small"
    table.loc[7, "model"] = None
    problems = refused(text_of(tmp_path / "t.csv", table))
    assert {(problem.row, problem.column) for problem in problems} == {
        (3, "score"), (4, "cost_usd"), (7, "input_tokens"), (12, "model"), (8, "model"),
    }  # fmt: skip
    assert "first of 2" in next(problem for problem in problems if problem.column == "score").message


@pytest.mark.parametrize(("value", "row"), [("eval", 3), (None, 3)])
def test_split_must_be_one_of_three_and_on_every_row(tmp_path: Path, value: str | None, row: int) -> None:
    table = long_table().assign(split="train")
    table.loc[[2, 3], "split"] = value
    problem = refused(text_of(tmp_path / "t.csv", table))[0]
    assert (problem.row, problem.column) == (row, "split")


def test_one_prompt_on_two_sides(tmp_path: Path) -> None:
    table = long_table().assign(split=["train", "test"] * 6)
    (problem,) = refused(text_of(tmp_path / "t.csv", table))
    assert (problem.row, problem.column) == (2, "split")


@pytest.mark.parametrize("column", ["prompt_id", "model", "score"])
def test_missing_column_lists_those_there_are(tmp_path: Path, column: str) -> None:
    problem = refused(write(long_table().drop(columns=[column, "prompt"]), tmp_path / "t.csv"))[0]
    assert problem.column == column
    assert "cost_usd" in problem.remedy


def test_one_model_is_no_pool(tmp_path: Path) -> None:
    (problem,) = refused(write(long_table(models=("only",)), tmp_path / "t.csv"))
    assert "'only'" in str(problem)


def test_no_score_at_all(tmp_path: Path) -> None:
    (problem,) = refused(write(long_table().assign(score=np.nan), tmp_path / "t.parquet"))
    assert "no row has a score" in str(problem)


@pytest.mark.parametrize(
    ("drop", "prices", "says"),
    [
        (["cost_usd"], None, "without a price"),
        (["cost_usd"], {"small": Price(1, 1)}, "'large'"),
        (["cost_usd", "input_tokens"], PRICES, "without the tokens"),
    ],
)
def test_cost_that_cannot_be_known(tmp_path: Path, drop: list[str], prices: dict[str, Price] | None, says: str) -> None:
    (problem,) = refused(write(long_table().drop(columns=drop), tmp_path / "t.csv"), prices=prices)
    assert says in str(problem)
    assert problem.column == "cost_usd"


def test_model_without_output_tokens_among_others_that_have_them(tmp_path: Path) -> None:
    table = long_table().drop(columns="cost_usd")
    table.loc[table["model"] == "large", "output_tokens"] = np.nan
    (problem,) = refused(write(table, tmp_path / "t.parquet"), prices=PRICES)
    assert "'large'" in str(problem)
    assert problem.row == 2


@pytest.mark.parametrize("price", [Price(-1, 1), Price(1, math.nan), Price(math.inf, 0)])
def test_price_that_is_none(tmp_path: Path, price: Price) -> None:
    with pytest.raises(DataError, match="price of 'small'"):
        read_long_table(write(long_table(), tmp_path / "t.csv"), prices={"small": price})


def test_table_too_large_to_lay_out(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select 'p' || range as prompt_id, 'm' || range as model, 1 as score, 0 as cost_usd "
            f"from range(20000)) to '{path}'"
        )
    (problem,) = refused(path)
    assert "20,000 models" in str(problem)


# Files that are none


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        read_long_table(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.pkl", "t.csv"])
def test_the_content_says_what_a_file_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x7fELF\2\1\1" + bytes(600))
    assert "unknown type" in str(refused(tmp_path / name)[0])
    text_of(tmp_path / name, long_table())
    assert len(read_long_table(tmp_path / name).outcomes) == len(long_table())


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"\x00" * 100, b"\xff\xfe\x00a", b"PAR1PAR1", b"{", b'"', b"[1, 2]\n", b"1\n2\n", b"a,b\n1\n"],
)
def test_file_that_is_not_what_its_name_says(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_header_without_rows(tmp_path: Path, name: str) -> None:
    assert refused(write(long_table()[:0], tmp_path / name))


def test_truncated_parquet(tmp_path: Path) -> None:
    whole = write(long_table(n_prompts=300), tmp_path / "w.parquet").read_bytes()
    for end in range(1, len(whole), max(1, len(whole) // 10)):
        (tmp_path / "t.parquet").write_bytes(whole[:end])
        assert "cannot be read" in str(refused(tmp_path / "t.parquet")[0])


@pytest.mark.slow
def test_parquet_with_flipped_bits_is_read_or_refused(tmp_path: Path) -> None:
    """Bits anywhere, and as many at its ends, which say where everything is."""
    whole, path = write(long_table(40), tmp_path / "w.parquet").read_bytes(), tmp_path / "t.parquet"
    rng = np.random.default_rng(0)
    ends = [*range(12), *range(len(whole) - 300, len(whole))]
    for at in [*rng.integers(0, len(whole), size=20), *rng.choice(ends, size=20)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(8)))]) + whole[at + 1 :])
        accepted_or_refused(path)


def accepted_or_refused(path: Path) -> Frames | None:
    """Frames that keep every promise, or a DataError; anything else fails the test."""
    try:
        frames = read_long_table(path)
    except DataError as error:
        assert error.problems  # noqa: PT017  either way out is right
        return None
    score = frames.outcomes["score"]
    assert score.between(0, 1).all()
    assert not frames.outcomes.duplicated(["prompt_id", "model"]).any()
    assert frames.prompts["prompt_id"].is_unique
    assert set(frames.outcomes["prompt_id"]) == set(frames.prompts["prompt_id"])
    assert set(frames.outcomes["model"]) == set(frames.models["model"])
    assert len(frames.models) > 1
    for name in ("input_tokens", "output_tokens", "cost_usd"):
        known = frames.outcomes[name].dropna()
        assert ((known >= 0) & np.isfinite(known)).all()
    return frames


NAMES = st.one_of(st.sampled_from(["a", "b", "", " ", "nan", "NULL", "a\0", "é", "1"]), st.text(max_size=4), st.none())
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 0.5, -1, 2, math.nan, math.inf, -0.0, 1e308, "0.5", "x", "", "1_0", "0x1", True, None, [1]]),
    st.floats(0, 1),
    st.integers(),
)
ROWS = st.fixed_dictionaries(
    {"prompt_id": NAMES, "model": NAMES, "score": NUMBERS},
    optional={
        "prompt": NAMES, "task": NAMES, "split": st.sampled_from(["train", "test", "", None, "x"]),
        "input_tokens": NUMBERS, "output_tokens": NUMBERS, "cost_usd": NUMBERS, "row": NUMBERS, "file": NAMES,
    },
)  # fmt: skip
FUZZ = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@FUZZ
@given(rows=st.lists(ROWS, max_size=8))
def test_any_json_lines_are_accepted_or_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    accepted_or_refused(path)


@FUZZ
@given(
    content=st.one_of(st.binary(max_size=200), st.text('prompt_idmodelscore,\n"{}:01.', max_size=200).map(str.encode))
)
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_any_bytes_are_accepted_or_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    accepted_or_refused(tmp_path / name)


@pytest.mark.slow
@settings(FUZZ, max_examples=10)
@given(kinds=st.lists(st.sampled_from(["BLOB", "DATE", "TIMESTAMP", "INTEGER[]", "STRUCT(a INTEGER)", "UUID", "HUGEINT",
                                       "DECIMAL(9,3)", "BOOLEAN", "FLOAT", "MAP(VARCHAR, INTEGER)", "TIME", "UTINYINT",
                                       "INTERVAL"]), min_size=9, max_size=9))  # fmt: skip
def test_any_column_type_is_accepted_or_refused(tmp_path: Path, kinds: list[str]) -> None:
    path = tmp_path / "t.parquet"
    columns = ["prompt_id", "model", "score", "prompt", "task", "split", "input_tokens", "output_tokens", "cost_usd"]
    nulls = ", ".join(f"null::{kind} as {name}" for name, kind in zip(columns, kinds, strict=True))
    filled = ", ".join(
        f"try_cast(try_cast(range % 2 as varchar) as {kind}) as {name}"
        for name, kind in zip(columns, kinds, strict=True)
    )
    with duckdb.connect() as connection:
        connection.execute(f"copy (select {filled} from range(4) union all select {nulls}) to '{path}'")
    accepted_or_refused(path)


# Real files


def read(shared_data: Path, name: str, **options: Any) -> Frames:
    return read_long_table(shared_data / name, **options)


def test_mmlu_pro_chat_models(shared_data: Path) -> None:
    chat = "kind = 'chat' and model <> 'deepseek-ai/DeepSeek-Coder-V2-Instruct'"
    frames = read(shared_data, "mmlu-pro-cot/mmlu_pro_cot.parquet", where=chat)
    assert len(frames.models) == 14
    prices = frames.models.set_index("model")
    assert prices.loc["google/gemini-1.5-pro-002", ["input_usd_per_mtok", "output_usd_per_mtok"]].tolist() == [
        1.25,
        5.0,
    ]
    assert prices["input_usd_per_mtok"].notna().all()
    rows = duckdb.sql(
        f"select prompt_id, model, score::double as score, cost_usd from "
        f"'{shared_data / 'mmlu-pro-cot/mmlu_pro_cot.parquet'}' where {chat}"
    ).fetchnumpy()
    assert frames.outcomes["prompt_id"].tolist() == rows["prompt_id"].tolist()
    assert frames.outcomes["model"].tolist() == rows["model"].tolist()
    assert frames.outcomes["score"].tolist() == rows["score"].tolist()
    assert frames.outcomes["cost_usd"].tolist() == rows["cost_usd"].tolist()


@pytest.mark.parametrize(
    ("name", "models", "priced", "says"),
    [
        ("routerbench-subset/routerbench_0shot.parquet", 11, 0, "No tokens are recorded"),
        ("open-llm-leaderboard-v2/open_llm_lb_v2.parquet", 19, 19, "No output tokens"),
        ("frugalgpt-overruling/overruling.parquet", 12, 0, "12 of 12 models"),
        ("routellm/routellm.parquet", 2, 2, "not kept: item, contaminated"),
    ],
)
def test_real_files(shared_data: Path, name: str, models: int, priced: int, says: str) -> None:
    frames = read(shared_data, name)
    assert len(frames.models) == models
    assert frames.models["input_usd_per_mtok"].notna().sum() == priced
    assert any(says in warning for warning in frames.warnings)


def test_scores_without_any_cost_need_prices(shared_data: Path) -> None:
    assert refused(shared_data / "llmrouter-9-models/llmrouter_9_models.parquet")[0].column == "cost_usd"


# Columns of a run


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_columns_of_a_run_are_read(tmp_path: Path, name: str) -> None:
    table = long_table().assign(latency_s=1.5, cached_input_tokens=3, reasoning_tokens=2, time="2026-01-01T02:00+02:00")
    frames = read_long_table(write(table, tmp_path / name))
    assert frames.warnings == ()
    for column, value in (("latency_s", 1.5), ("cached_input_tokens", 3), ("reasoning_tokens", 2)):
        assert set(frames.outcomes[column]) == {value}
    assert set(frames.outcomes["time"]) == {"2026-01-01T00:00:00.000000Z"}


@pytest.mark.parametrize(
    "text",
    ["1767225600", "1767225600000", "1767225600000000", "1767225600.0", "2026-01-01", "2026-01-01 00:00:00+0000"],
)
def test_one_instant_is_one_time_however_it_is_written(tmp_path: Path, text: str) -> None:
    frames = read_long_table(text_of(tmp_path / "t.csv", long_table().assign(time=text)))
    assert set(frames.outcomes["time"]) == {"2026-01-01T00:00:00.000000Z"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("time", "3.2"), ("time", "20260101"), ("time", "yesterday"), ("time", "2026-13-01"), ("latency_s", "-1"),
     ("reasoning_tokens", "many"), ("cached_input_tokens", "-2")],
)  # fmt: skip
def test_a_bad_value_of_a_run_is_named(tmp_path: Path, column: str, value: str) -> None:
    table = long_table().assign(**{column: "2026-01-01" if column == "time" else "1"})
    table.loc[3, column] = value
    (problem,) = refused(text_of(tmp_path / "t.csv", table))
    assert (problem.row, problem.column, problem.value) == (4, column, repr(value))


# Samples


def repeated(**columns: object) -> pd.DataFrame:
    """The valid table with a second run of every row, which scores otherwise."""
    again = long_table().assign(score=lambda table: 1 - table["score"])
    both = pd.concat([long_table(), again], ignore_index=True)
    return both.assign(**{name: np.repeat(values, len(again)) for name, values in columns.items()})


def test_runs_told_apart_by_a_sample_are_kept(tmp_path: Path) -> None:
    table = repeated(sample=["first", "second"])
    frames = read_long_table(write(table, tmp_path / "t.parquet"))
    assert frames.outcomes["sample"].tolist() == table["sample"].tolist()
    assert frames.outcomes["score"].tolist() == table["score"].tolist()
    assert len(frames.prompts) == 6


def test_runs_that_nothing_tells_apart_may_be_a_mistake(tmp_path: Path) -> None:
    (problem,) = refused(text_of(tmp_path / "t.csv", repeated()))
    assert (problem.row, problem.column) == (13, "model")
    assert "sample" in problem.remedy
    (problem,) = refused(text_of(tmp_path / "t.csv", repeated(epoch=[1, 2])))
    assert "--column sample=epoch" in problem.remedy
    assert len(read_long_table(tmp_path / "t.csv", columns={"sample": "epoch"}).outcomes) == 24


def test_one_sample_twice_is_refused(tmp_path: Path) -> None:
    table = repeated(sample=["1", "2"])
    table.loc[20, "sample"] = "1"
    (problem,) = refused(text_of(tmp_path / "t.csv", table))
    assert problem.row == 21


def test_more_samples_than_memory_has_room_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(repeated(sample=[1, 2]), tmp_path / "t.parquet")
    monkeypatch.setattr("carrot_core.limits.CELLS", 12)
    (problem,) = refused(path)
    assert "2 samples" in problem.message


def _chat(question: str, *earlier: str) -> list[dict[str, Any]]:
    turns = [{"role": "system", "content": "You are kind. " * 300}]
    turns += [
        {"role": "user" if place % 2 == 0 else "assistant", "content": text} for place, text in enumerate(earlier)
    ]
    return [*turns, {"role": "user", "content": question}]


def _chats(folder: Path, kind: str, chats: Sequence[Any]) -> Path:
    """A file of two models on some prompts, in the format that its ending says."""
    path = folder / f"chats.{kind}"
    rows = [
        {"prompt_id": f"p{at}", "model": model, "score": 1.0, "cost_usd": 0.1, "prompt": chat}
        for at, chat in enumerate(chats)
        for model in ("a", "b")
    ]
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        pd.DataFrame([{**row, "prompt": json.dumps(row["prompt"])} for row in rows]).to_csv(path, index=False)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_chats_are_read_whole_from_every_format(tmp_path: Path, kind: str) -> None:
    chats = [_chat("Why?"), _chat("Why?", "Hi", "Hello"), _chat("How? 🥕")]
    frames = read_long_table(_chats(tmp_path, kind, chats))
    assert [json.loads(text) for text in frames.prompts["text"]] == chats


def test_chats_in_parts_keep_the_parts_in_parquet(tmp_path: Path) -> None:
    parts = [
        [{"role": "user", "content": [{"type": "text", "text": f"Why {at}?"}, {"type": "image"}]}] for at in (0, 1)
    ]
    frames = read_long_table(_chats(tmp_path, "parquet", parts))
    assert [prompt_text(text) for text in frames.prompts["text"]] == ["Why 0?", "Why 1?"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_chat_without_words_of_the_user_is_named_by_its_row(tmp_path: Path, kind: str) -> None:
    silent = [{"role": "system", "content": "Be kind."}, {"role": "assistant", "content": "Yes."}]
    with pytest.raises(DataError) as refusal:
        read_long_table(_chats(tmp_path, kind, [_chat("Why?"), silent, silent, _chat("How?")]))
    (problem,) = refusal.value.problems
    assert (problem.row, problem.column) == (3, "prompt")
    assert "'user'" in problem.remedy


def test_a_row_holds_no_text_of_its_own(tmp_path: Path) -> None:
    outcomes = read_long_table(write(long_table(40), tmp_path / "t.csv")).outcomes
    for name in ("prompt_id", "model"):  # a text for each of millions of rows would take gigabytes
        assert len({id(value) for value in outcomes[name]}) == outcomes[name].nunique() < len(outcomes)


def test_a_sample_twice_is_not_told_to_be_what_it_is(tmp_path: Path) -> None:
    table = long_table().assign(sample=1)
    (problem,) = refused(write(pd.concat([table, table.head(1)]), tmp_path / "t.csv"))
    assert "in this sample too" in problem.message
    assert "--column sample=sample" not in problem.remedy
