"""CSV without cells that a spreadsheet runs as formulas, and the problems of a file as a table.

A spreadsheet takes a cell that starts with ``=``, ``+``, ``-``, ``@`` (also of full width), a tab or a carriage return
for a formula and may run it. One that splits at semicolons or tabs sees a cell begin in the middle of a text, and is
not held by quotes there. Every CSV the project writes goes through `safe_csv`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from carrot_core.errors import DataError

# Where a cell may begin for some reader, which may drop quotes. Leading apostrophes are matched too, so that `restored`
# undoes exactly what `safe_csv` did.
_FORMULA = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=['\"]*[=+\-@＝＋－＠\t\r])")
_PROTECTED = re.compile(r"(?:^|(?<=[;\t\r\n]))'(?=['\"]*[=+\-@＝＋－＠\t\r])")


def safe_csv(frame: pd.DataFrame, *, header: bool = True) -> str:
    """A frame as CSV; text that a spreadsheet would take for a formula gets an apostrophe in front.

    Numbers, also negative ones, stay as they are. `restored` undoes it; Parquet and JSON never have it.
    """
    protected = _each_text(frame, _protected)
    text: str = protected.to_csv(index=False, header=header)
    # pandas does not quote a carriage return by itself, and the text after one would become a new cell.
    if "\r" not in text:
        return text
    return str(protected.to_csv(index=False, header=header, quoting=csv.QUOTE_NONNUMERIC))


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write `safe_csv` to a file, in UTF-8."""
    # Lone surrogates, which JSON can bring in, are no UTF-8: they are written as \\udcxx.
    path.write_text(safe_csv(frame), encoding="utf-8", errors="backslashreplace", newline="")


def restored(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame given to `safe_csv`, from the CSV read back; read ids as text, ``dtype={"prompt_id": str}``."""
    return _each_text(frame, lambda text: _PROTECTED.sub("", text))


def _protected(text: str) -> str:
    return _FORMULA.sub("'", text)


def _each_text(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    changed = frame.rename(columns=lambda name: change(str(name)))
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if not is_numeric_dtype(column) or is_bool_dtype(column):
            texts = column.astype(object).map(lambda value: change(value) if isinstance(value, str) else value)
            changed.isetitem(place, texts.array)
    return changed


def problems_frame(error: DataError) -> pd.DataFrame:
    """One row for each kind of problem: file, row, column, value, problem, remedy; text, "" where there is none."""
    return pd.DataFrame(
        [
            {
                "file": problem.file or error.where,
                "row": "" if problem.row is None else str(problem.row),
                "column": problem.column or "",
                "value": problem.value or "",
                "problem": problem.message,
                "remedy": problem.remedy,
            }
            for problem in error.problems
        ],
        dtype=object,
    )
