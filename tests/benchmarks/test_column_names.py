"""Which column is which: guessed, named by hand, and told in the file's own words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carrot_core.benchmarks.columns import guess_columns, guess_with_paths, hint, pairs_of
from carrot_core.benchmarks.formats.head import column_names, preview
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.benchmarks.reading import Reading
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import DataError
from tests.tables import long_table, write

OTHER = {
    "prompt_id": "Question ID",
    "model": "llm",
    "score": "is correct",
    "prompt": "question",
    "cost_usd": "Cost (USD)",
}


@pytest.mark.parametrize(
    ("names", "guessed"),
    [
        (["prompt_id", "model", "score"], {"prompt_id": "prompt_id", "model": "model", "score": "score"}),
        (["Prompt ID", "LLM", "Is-Correct"], {"prompt_id": "Prompt ID", "model": "LLM", "score": "Is-Correct"}),
        (["question", "input"], {"prompt": "question"}),
        (["score", "accuracy"], {"score": "score"}),
        (["cost", "price", "total_cost"], {}),
        (["cost usd"], {"cost_usd": "cost usd"}),
        (["", "x"], {}),
        (
            ["Anfrage-Nr", "Anfrage", "Modell", "Bewertung", "Kategorie", "Kosten", "Kosten USD"],
            {
                "prompt_id": "Anfrage-Nr",
                "prompt": "Anfrage",
                "model": "Modell",
                "score": "Bewertung",
                "task": "Kategorie",
                "cost_usd": "Kosten USD",
            },
        ),
        (["promt_id", "modell", "scores"], {"model": "modell"}),
    ],
)
def test_guesses(names: list[str], guessed: dict[str, str]) -> None:
    assert guess_columns(names) == guessed


NO_SCORES = ["incorrect", "is_incorrect", "unsolved", "unresolved", "inaccuracy", "bypassed", "Not correct", "scorer"]


@pytest.mark.parametrize("name", [*NO_SCORES, "failed"])
def test_what_is_the_opposite_of_a_score_or_whose_it_is_is_none(name: str) -> None:
    assert "score" not in guess_with_paths(["id", "model", name], (), [name])
    assert not hint("score", ["id", "model", name])


def test_a_name_that_is_nearly_one_is_proposed_and_not_taken() -> None:
    names = ["promt_id", "llm", "scores", "prompt", "question"]
    assert guess_with_paths(names, ()) == {"model": "llm", "prompt": "prompt"}
    assert "--column prompt_id=promt_id" in hint("prompt_id", names)
    assert "--column score=scores" in hint("score", names)
    assert not hint("prompt_id", names[1:])  # a question is a prompt
    assert not hint("score", names, ["scores.a"])


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_mapped_table_is_the_table(tmp_path: Path, name: str) -> None:
    path = write(long_table().rename(columns=OTHER), tmp_path / name)
    mapped, plain = read_any(path, columns=OTHER), read_long_table(write(long_table(), tmp_path / "l.csv"))
    for part in ("prompts", "models", "outcomes"):
        pd.testing.assert_frame_equal(getattr(mapped, part), getattr(plain, part))
    assert mapped.warnings == plain.warnings


@pytest.mark.parametrize("columns", [OTHER, OTHER | {"task": "about.task"}])
def test_only_columns_that_are_not_mapped_are_called_not_kept(tmp_path: Path, columns: dict[str, str]) -> None:
    table = long_table().rename(columns=OTHER).assign(judge="x", about='{"task": "t"}').drop(columns="task")
    frames = read_any(write(table, tmp_path / "t.csv"), columns=columns, reading=Reading(score='"is correct"::double'))
    (note,) = [note for note in frames.warnings if "not kept" in note]
    assert note.endswith(": judge, about." if columns is OTHER else ": judge.")


def test_a_problem_names_the_column_as_the_file_does(tmp_path: Path) -> None:
    table = long_table().rename(columns=OTHER)
    table.loc[3, "is correct"] = 2
    with pytest.raises(DataError) as caught:
        read_any(write(table, tmp_path / "t.csv"), columns=OTHER)
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [(4, "is correct")]


def test_the_mapping_wins_over_a_column_of_the_recognised_name(tmp_path: Path) -> None:
    table = long_table().assign(better=lambda rows: 1 - rows["score"])
    frames = read_any(write(table, tmp_path / "t.csv"), columns={"score": "better"})
    assert frames.outcomes["score"].tolist() == table["better"].tolist()


def test_one_column_may_be_two_things(tmp_path: Path) -> None:
    table = long_table().drop(columns=["prompt_id"])
    frames = read_any(write(table, tmp_path / "t.csv"), columns={"prompt_id": "prompt", "prompt": "prompt"})
    assert frames.prompts["prompt_id"].tolist() == frames.prompts["text"].tolist()


def test_a_mapped_column_can_be_chosen_by(tmp_path: Path) -> None:
    path = write(long_table().rename(columns=OTHER), tmp_path / "t.csv")
    assert len(read_any(path, columns=OTHER, where="prompt_id = 'p1'").prompts) == 1
    assert len(read_any(path, columns=OTHER, where="\"Question ID\" = 'p1'").prompts) == 1


@pytest.mark.parametrize(
    ("columns", "says"), [({"score": "nowhere"}, "no such column"), ({"points": "score"}, "to map to")]
)
def test_a_mapping_that_cannot_be(tmp_path: Path, columns: dict[str, str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_any(write(long_table(), tmp_path / "t.csv"), columns=columns)


def test_a_missing_column_comes_with_the_one_probably_meant(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--column model=llm"):
        read_any(write(long_table().rename(columns={"model": "llm"}), tmp_path / "t.csv"))


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_missing_column_may_be_inside_objects(tmp_path: Path, name: str) -> None:
    records = [
        {"id": row["prompt_id"], "provider": {"id": row["model"]}, "result": {"grade": row["score"]}, "cost": 0.1}
        for row in long_table().to_dict("records")
    ]
    path = tmp_path / name
    if name == "t.csv":  # objects as JSON in a cell
        cells = [{key: json.dumps(value) if isinstance(value, dict) else value for key, value in record.items()}
                 for record in records]  # fmt: skip
        pd.DataFrame(cells).to_csv(path, index=False)
    elif name == "t.parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        path.write_text("\n".join(map(json.dumps, records)))
    with pytest.raises(DataError) as caught:
        read_any(path)
    remedies = {problem.column: problem.remedy for problem in caught.value.problems}
    assert "--column model=provider.id" in remedies["model"]
    assert "result.grade" in remedies["score"]
    columns = {"prompt_id": "id", "model": "provider.id", "score": "result.grade"}
    with pytest.raises(DataError, match="--column cost_usd=cost"):
        read_any(path, columns=columns)
    frames = read_any(path, columns=columns | {"cost_usd": "cost"})
    assert frames.models["model"].tolist() == ["large", "small"]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.jsonl.gz"])
def test_preview_shows_the_first_rows_as_text(tmp_path: Path, name: str) -> None:
    path = write(long_table(), tmp_path / name)
    assert column_names(path) == tuple(long_table().columns)
    first = preview(path, 2)
    assert first["model"].tolist() == ["small", "large"]
    assert all(isinstance(value, str) for value in first.iloc[0])


def test_a_missing_column_comes_with_one_that_is_nearly_called_so(tmp_path: Path) -> None:
    path = write(long_table().rename(columns={"prompt_id": "promt_id", "score": "Rating (1-5)"}), tmp_path / "t.csv")
    with pytest.raises(DataError) as caught:
        read_any(path)
    remedies = " ".join(problem.remedy for problem in caught.value.problems)
    assert "--column prompt_id=promt_id" in remedies
    assert "--column 'score=Rating (1-5)'" in remedies


def test_a_column_that_says_whose_it_is_comes_before_one_that_only_may_be() -> None:
    names = ["id", "m", "m|cost_usd", "m usd", "n", "n usd"]
    assert pairs_of(names, ["cost_usd"]) == {"n|cost_usd": "n usd"}


def test_pairs_of_score_and_cost_are_a_model_by_its_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,GPT-4o (accuracy),GPT-4o cost ($),o3_score,o3_cost_usd\np,1,0.5,0.25,2\nq,0,0.5,1,2\n")
    pairs = pairs_of(path.read_text().split("\n")[0].split(","), ["cost_usd"])
    assert pairs == {
        "GPT-4o|cost_usd": "GPT-4o cost ($)", "GPT-4o": "GPT-4o (accuracy)",
        "o3|cost_usd": "o3_cost_usd", "o3": "o3_score",
    }  # fmt: skip
    frames = read_any(path, columns={"prompt_id": "id", **pairs}, format="wide")
    assert frames.outcomes[["model", "score", "cost_usd"]].to_numpy().tolist() == [
        ["GPT-4o", 1.0, 0.5], ["o3", 0.25, 2.0], ["GPT-4o", 0.0, 0.5], ["o3", 1.0, 2.0],
    ]  # fmt: skip


def test_a_models_name_may_stand_behind_as_in_a_pivot_table() -> None:
    names = ["prompt_id", "score_gpt-4o", "score_o3", "cost_usd_gpt-4o", "cost_usd_o3", "note"]
    assert pairs_of(names, ["cost_usd", "output_tokens"]) == {
        "gpt-4o|cost_usd": "cost_usd_gpt-4o", "gpt-4o": "score_gpt-4o", "o3|cost_usd": "cost_usd_o3", "o3": "score_o3",
    }  # fmt: skip


def test_scores_that_say_so_are_read_in_a_wide_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt_id,m|score,m|cost_usd,n|score,n|cost_usd\np,1,0.5,0.25,2\n")
    assert read_any(path).outcomes["score"].tolist() == [1.0, 0.25]


def test_a_file_of_several_that_names_a_column_otherwise_is_named(tmp_path: Path) -> None:
    for name, column in (("a", "prompt_id"), ("b", "id")):
        (tmp_path / f"{name}.csv").write_text(f"{column},score,cost_usd\np,1,0.5\n")
    with pytest.raises(DataError) as caught:
        read_any(tmp_path, reading=Reading(model_from="file"))
    (problem,) = caught.value.problems
    assert (problem.file, problem.column) == ("b.csv", "prompt_id")
    assert "id, score" in problem.remedy


def test_a_rule_may_read_scores_of_several_files_from_several_columns(tmp_path: Path) -> None:
    for model, column in (("a", "score"), ("b", "acc")):
        (tmp_path / f"{model}.csv").write_text(f"prompt_id,model,{column},cost_usd\np,{model},1,0.5\n")
    assert read_any(tmp_path, reading=Reading(score="coalesce(score, acc)")).outcomes["score"].tolist() == [1, 1]


def test_columns_of_models_by_other_names_are_proposed_and_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,gpt-4o,gpt-4o mini,gpt-4o mini cost ($),gpt-4o Cost (USD),judge\np,1,0.5,0.25,2,x\n")
    with pytest.raises(DataError) as caught:
        read_any(path)
    remedy = " ".join(problem.remedy for problem in caught.value.problems if problem.column in ("prompt_id", "model"))
    options = [part for part in shlex.split(remedy) if "=" in part]
    columns = dict(option.split("=", 1) for option in options)
    assert columns == {
        "prompt_id": "id", "gpt-4o|cost_usd": "gpt-4o Cost (USD)", "gpt-4o mini|cost_usd": "gpt-4o mini cost ($)",
    }  # fmt: skip
    outcomes = read_any(path, columns=columns).outcomes.set_index("model")
    assert outcomes["cost_usd"].to_dict() == {"gpt-4o": 2, "gpt-4o mini": 0.25}
    assert outcomes["score"].to_dict() == {"gpt-4o": 1, "gpt-4o mini": 0.5}


def _without_ids(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with each prompt's first row twice, the second time wrong, and no ids."""
    again = frame.drop_duplicates("prompt_id").assign(score=0.0)
    return pd.concat([frame, again]).drop(columns="prompt_id")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_without_ids_equal_texts_are_one_prompt_and_repeats_are_samples(tmp_path: Path, name: str) -> None:
    whole = long_table()
    frames = read_any(write(_without_ids(whole), tmp_path / name))
    means = _without_ids(whole).groupby(["prompt", "model"])["score"].mean()
    texts = dict(zip(frames.prompts["prompt_id"], frames.prompts["text"], strict=True))
    cells = frames.outcomes.groupby(["prompt_id", "model"])["score"].mean()
    assert {(texts[prompt], model): score for (prompt, model), score in cells.items()} == pytest.approx(means.to_dict())
    assert len(texts) == whole["prompt"].nunique()
    assert any("repeat" in warning for warning in frames.warnings)


def test_without_ids_and_texts_there_is_no_prompt(tmp_path: Path) -> None:
    path = write(long_table().drop(columns=["prompt_id", "prompt"]), tmp_path / "t.csv")
    with pytest.raises(DataError) as error:
        read_any(path)
    assert "prompt_id" in {problem.column for problem in error.value.problems}


def test_a_column_that_may_have_ids_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--column prompt_id=id"):
        read_any(write(long_table().rename(columns={"prompt_id": "id"}), tmp_path / "t.csv"))


def test_a_list_is_no_id_and_its_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = {"prompt_id": [{"role": "user", "content": "Hi"}], "model": "m", "score": 1}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError) as error:
        read_any(path)
    assert "prompt_id" in {problem.column for problem in error.value.problems}


def test_one_line_has_all_options_for_columns_of_other_names(tmp_path: Path) -> None:
    whole = long_table()
    path = write(
        whole.drop(columns=["input_tokens", "output_tokens"]).rename(columns=OTHER | {"cost_usd": "spend"}),
        tmp_path / "t.csv",
    )
    with pytest.raises(DataError) as error:
        read_any(path)
    words = [shlex.split(problem.remedy) for problem in error.value.problems]
    line = max(words, key=lambda each: each.count("--column"))
    options = [line[at + 1] for at, word in enumerate(line) if word == "--column"]
    columns = dict(option.split("=", 1) for option in options)
    assert any("cost_usd=spend" in each for each in words)
    frames = read_any(path, columns=columns | {"cost_usd": "spend"})
    own = read_any(write(whole.drop(columns=["input_tokens", "output_tokens"]), tmp_path / "whole.csv"))
    pd.testing.assert_frame_equal(frames.outcomes, own.outcomes)


def test_a_column_that_is_left_out_and_probably_meant_comes_with_its_option(tmp_path: Path) -> None:
    frames = read_any(write(long_table().rename(columns={"prompt": "Question"}), tmp_path / "t.csv"))
    assert any("--column prompt=Question" in warning for warning in frames.warnings)
