"""CSV for spreadsheets: no cell of text is a formula, and nothing is lost."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.csv_latex import problems_frame, restored, safe_csv, write_csv
from carrot_core.errors import DataError, Problem

ROOT = Path(__file__).resolve().parents[1]
TEXTS = st.one_of(
    st.text("=+-@＝＋－＠\t\r\n'\",;a1 ", max_size=6), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")


@given(texts=st.lists(TEXTS, min_size=1, max_size=6), name=TEXTS)
def test_no_cell_of_text_starts_like_a_formula_and_all_come_back(texts: list[str], name: str) -> None:
    frame = pd.DataFrame({name: pd.Series(texts, dtype=object)})
    read = list(csv.reader(io.StringIO(safe_csv(frame), newline="")))
    cells = [row[0] if row else "" for row in read]
    assert not [cell for cell in cells if cell.startswith(FORMULAS)]
    for other in ";\t":  # readers that split elsewhere, where our quotes are none
        lines = safe_csv(pd.DataFrame({"id": "p1", "text": texts})).replace("\r", "\n").split("\n")
        for rows in (line.split(other) for line in lines), csv.reader(lines, delimiter=other):
            assert not [cell for row in rows for cell in row if cell.startswith(FORMULAS)]
    back = restored(pd.DataFrame({cells[0]: pd.Series(cells[1:], dtype=object)}))
    assert [str(back.columns[0]), *back.iloc[:, 0]] == [name, *texts]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("abc;=cmd|' /C calc'!A0;x", "abc;'=cmd|' /C calc'!A0;x"),
        ('abc;"=1+1"', 'abc;\'"=1+1"'),
        ("＝1+1", "'＝1+1"),
        ("a\n＠SUM(1)", "a\n'＠SUM(1)"),
        ("a; -b, c - d = e", "a; -b, c - d = e"),
    ],
)
def test_a_formula_is_defused_wherever_a_reader_may_see_a_cell_begin(text: str, cell: str) -> None:
    (row,) = csv.reader(io.StringIO(safe_csv(pd.DataFrame([["p1", text]]), header=False), newline=""))
    assert row == ["p1", cell]


def test_numbers_stay_as_they_are(tmp_path: Path) -> None:
    frame = pd.DataFrame({"prompt_id": ["-7", "a"], "change": [-0.5, 1e-9], "right": [True, False]})
    write_csv(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "prompt_id,change,right\n'-7,-0.5,True\na,1e-09,False\n"
    back = restored(pd.read_csv(tmp_path / "t.csv", dtype={"prompt_id": str}))
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)


def test_a_value_that_is_no_text_is_left_alone() -> None:
    assert safe_csv(pd.DataFrame({"x": pd.Series(["=1", None, -1], dtype=object)})) == 'x\n\'=1\n""\n-1\n'


def test_problems_are_a_table_with_place_value_and_remedy() -> None:
    error = DataError("t.csv", [Problem("is bad", "Mend it.", 3, "score", "'x'"), Problem("no rows")])
    assert problems_frame(error).to_dict("records") == [
        {"file": "t.csv", "row": "3", "column": "score", "value": "'x'", "problem": "is bad", "remedy": "Mend it."},
        {"file": "t.csv", "row": "", "column": "", "value": "", "problem": "no rows", "remedy": ""},
    ]


@pytest.mark.parametrize("folder", ["carrot_core", "pages"])
def test_every_csv_goes_through_the_one_function(folder: str) -> None:
    # The readers write a copy of what they are given, for the next reader only.
    own = [ROOT / "carrot_core" / name for name in ("csv_latex.py", "benchmarks/conversion.py")]
    direct = [
        str(file)
        for file in (ROOT / folder).rglob("*.py")
        if file not in own and re.search(r"\.to_csv\(|csv\.(Dict)?[wW]riter\(", file.read_text(encoding="utf-8"))
    ]
    assert direct == []
