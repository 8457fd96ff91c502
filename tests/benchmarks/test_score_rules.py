"""Scores on other scales, by a stated rule; true and false, and what is said about scores that are not 0 to 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.reading import Reading
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import DataError, Problem
from tests.tables import long_table, write

pytestmark = pytest.mark.slow

FORMATS = ["t.csv", "t.jsonl", "t.parquet"]


def scored(tmp_path: Path, name: str, scores: list[Any]) -> Path:
    """A table with these scores, in turn, as values and not as text where the format has values."""
    table = long_table(n_prompts=12)
    table["score"] = pd.Series([scores[row % len(scores)] for row in range(len(table))], dtype=object)
    path = tmp_path / name
    if name.endswith(".jsonl"):
        path.write_text("\n".join(json.dumps(row) for row in table.to_dict("records")))
    elif name.endswith(".csv"):
        table.to_csv(path, index=False)
    else:
        table.infer_objects().to_parquet(path)
    return path


def read(path: Path, rule: str | None) -> Frames:
    return read_any(path, reading=Reading(score=rule))


def refused(path: Path, rule: str | None = None) -> Problem:
    with pytest.raises(DataError) as caught:
        read(path, rule)
    return caught.value.problems[0]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("scores", [[True, False], ["True", "FALSE"], [1, 0]])
def test_true_and_false_are_1_and_0_in_every_format(tmp_path: Path, name: str, scores: list[Any]) -> None:
    frames = read(scored(tmp_path, name, scores), None)
    assert frames.outcomes["score"].tolist() == [1.0, 0.0] * 12


RULES: list[tuple[str, list[Any], list[float]]] = [
    ("percent", [85, 12.5], [0.85, 0.125]),
    ("percent", ["85%", "12.5 %"], [0.85, 0.125]),
    ("1..10", [1, 5.5, 10], [0.0, 0.5, 1.0]),
    ("-1..1", [-1, 0, 0.5], [0.0, 0.5, 0.75]),
    ("0 .. 4", [3, 4], [0.75, 1.0]),
    ("C/I", ["C", "I", "c"], [1.0, 0.0, 1.0]),
    ("pass/fail", ["pass", " fail"], [1.0, 0.0]),
    ("true/false", [True, False], [1.0, 0.0]),
    ("fraction", ["3/5", "0 / 4", "4/4", "1", "0.25"], [0.6, 0.0, 1.0, 1.0, 0.25]),
    ("percent", ["50%", "0", "40"], [0.5, 0.0, 0.4]),
    ("score / 20", [5, 15], [0.25, 0.75]),
    ("case score when 'C' then 1 when 'P' then 0.5 else 0 end", ["C", "P", "N"], [1.0, 0.5, 0.0]),
    ("if(output_tokens > 1e6, 0, score)", [0.25, 1], [0.25, 1.0]),
]


@pytest.mark.parametrize(
    ("name", "rule", "scores", "expected"),
    [("t.csv", *each) for each in RULES] + [(name, *each) for name in FORMATS[1:] for each in RULES[::3]],
)
def test_a_rule_makes_0_to_1_and_is_kept(
    tmp_path: Path, name: str, rule: str, scores: list[Any], expected: list[float]
) -> None:
    frames = read(scored(tmp_path, name, scores), rule)
    assert frames.outcomes["score"].tolist() == [expected[row % len(expected)] for row in range(24)]
    assert rule in frames.provenance.note
    assert any(rule in warning for warning in frames.warnings)


def test_the_range_in_the_file_is_told(tmp_path: Path) -> None:
    note = read(scored(tmp_path, "t.csv", [2, 7.5, 9]), "1..10").provenance.note
    assert "2 to 9" in note
    note = read(scored(tmp_path, "t.csv", ["C", "I", "I"]), "C/I").provenance.note
    assert "8 times c" in note
    assert "16 times i" in note


REMEDIES: list[tuple[list[Any], str]] = [
    ([1, 7, 10], "--score 1..10"),
    ([1, 3, 5], "--score 1..5"),
    ([0, 55, 100], "--score percent"),
    ([-1, 1], "--score -1..1"),
    ([0, 450], "--score 0..450"),
    (["C", "I"], "--score C/I"),
    (["wrong", "right"], "--score right/wrong"),
    (["F", "T"], "--score T/F"),
    (["FALSCH", "WAHR"], "--score WAHR/FALSCH"),
    (["left", "up"], "--score left/up or up/left"),
    (["81%", "9%"], "--score percent"),
    (["good", "bad", "so so"], "SQL"),
    (["3/5", "4/5"], "--score fraction"),
    (["3/5", "1"], "--score fraction"),
    (["[0]", "[1]"], "--column score=score.0"),
    (["0x1"], "plain number"),
    (["\u0661", "\u0660"], "plain number"),
    (["#DIV/0!", "1"], "plain number"),
    (["0,5", "0.5"], "one decimal sign"),
    (["score", "1"], "stand here again"),
]


@pytest.mark.parametrize(
    ("name", "scores", "remedy"),
    [("t.csv", *each) for each in REMEDIES] + [(name, *each) for name in FORMATS[1:] for each in REMEDIES[::5]],
)
def test_the_remedy_is_a_rule_for_the_range_there_is(tmp_path: Path, name: str, scores: list[Any], remedy: str) -> None:
    problem = refused(scored(tmp_path, name, scores))
    assert remedy in problem.remedy
    assert "100" not in problem.remedy or remedy == "--score percent"
    assert problem.row is not None


def test_the_remedy_works(tmp_path: Path) -> None:
    for scores in ([1, 7, 10], [1, 3, 5], [0, 55, 100], [-1, 1], ["C", "I"], ["no", "yes"]):
        path = scored(tmp_path, "t.csv", scores)
        rule = refused(path).remedy.split("--score ")[1].split(" or ")[0].rstrip(".")
        assert set(read(path, rule).outcomes["score"]) >= {1.0}


@pytest.mark.parametrize(
    ("rule", "scores"),
    [
        ("1..10", [11, 2]),
        ("percent", [101]),
        ("C/I", ["P"]),
        ("score", [7]),
        ("percent", [0.85, "40%"]),
        ("percent", [1, "40%"]),
        ("fraction", ["2", "1/2"]),
        ("fraction", ["0/0", "1"]),
    ],
)
def test_what_a_rule_does_not_cover_is_told_by_row(tmp_path: Path, rule: str, scores: list[Any]) -> None:
    problem = refused(scored(tmp_path, "t.csv", scores), rule)
    assert (problem.row, problem.column) == (1, "score")
    assert str(scores[0]) in (problem.value or "")


@pytest.mark.parametrize(
    "rule",
    [
        "nope / 2",
        "1; drop table file",
        "(select count(*) from read_text('/etc/passwd'))",
        "10..1",
        "model",
        "3/5/4/5",
        "1/0",
        "A/B/C",
        "0.5",
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_in_words(tmp_path: Path, rule: str) -> None:
    with pytest.raises(DataError):
        read(scored(tmp_path, "t.csv", [1]), rule)


def test_a_rule_for_a_wide_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt_id,a,a|cost_usd,b,b|cost_usd\np,1,0.5,10,0.125\nq,true,1,,1\n")
    problem = refused(path, "1..10")
    assert (problem.row, problem.column, problem.value) == (2, "a", "'true'")
    path.write_text("prompt_id,a,a|cost_usd,b,b|cost_usd\np,1,0.5,10,0.125\n")
    assert read(path, "1..10").outcomes["score"].tolist() == [0.0, 1.0]
    assert "--score 1..10" in refused(path).remedy
    with pytest.raises(DataError, match="row for each model"):
        read(path, "score / 10")


def test_an_expression_sees_all_columns_and_comes_before_the_predicate(tmp_path: Path) -> None:
    path = write(long_table().assign(bleu=[50, 100] * 6).drop(columns="score"), tmp_path / "t.csv")
    frames = read_any(path, where="score < 1", reading=Reading(score="if(task = 'odd', 0.25, bleu / 100)"))
    assert set(frames.outcomes["score"]) == {0.25, 0.5}


@pytest.mark.parametrize(
    ("rule", "scores", "names"),
    [
        ("percent", [50, 0, 1, 80], ()),
        ("percent", [0.5, 50, 1, 80], ("small",)),
        ("percent", [0.5, 1, 1, 0], ("No score is above 1",)),
        ("percent", ["0.5%", "1 %"], ()),
        ("1..10", [1, 8], ("small",)),
        ("-1..1", [0.5, 1], ()),
        ("percent", [0, 50], ()),
    ],
)
def test_scores_of_another_scale_than_the_rule_come_with_a_note(
    tmp_path: Path, rule: str, scores: list[Any], names: tuple[str, ...]
) -> None:
    notes = " ".join(note for note in read(scored(tmp_path, "t.csv", scores), rule).warnings if "hold" in note)
    assert bool(notes) == bool(names)
    assert all(name in notes for name in names)
