"""Tables as text: CSV without cells that a spreadsheet runs as formulas, LaTeX with booktabs and all text escaped.

A spreadsheet takes a cell that starts with ``=``, ``+``, ``-``, ``@`` (also of full width), a tab or a carriage return
for a formula and may run it. One that splits at semicolons or tabs finds the start of a cell in the middle of a text,
even within quotes. Every CSV the project writes goes through `safe_csv`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from carrot_core.errors import DataError
from carrot_core.number_formats import plain
from carrot_core.text import SENTENCE, visible

# Places where a program may start a cell, perhaps ignoring quotes. Leading apostrophes match too, so that `restored`
# exactly undoes `safe_csv`.
_FORMULA = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=['\"]*[=+\-@＝＋－＠\t\r])")
_PROTECTED = re.compile(r"(?:^|(?<=[;\t\r\n]))'(?=['\"]*[=+\-@＝＋－＠\t\r])")


def safe_csv(frame: pd.DataFrame, *, header: bool = True) -> str:
    """Convert a frame to CSV; text that a spreadsheet would take for a formula gets an apostrophe in front.

    Numbers, also negative ones, do not change. `restored` undoes it; Parquet and JSON never have it.
    """
    protected = _each_text(frame, _protected)
    text: str = protected.to_csv(index=False, header=header)
    # pandas does not quote a carriage return by itself, and the text after one would become a new cell.
    if "\r" not in text:
        return text
    return str(protected.to_csv(index=False, header=header, quoting=csv.QUOTE_NONNUMERIC))


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write `safe_csv` to a file, in UTF-8."""
    # Lone surrogates, which JSON can have, cannot be encoded in UTF-8: they are written as \\udcxx.
    path.write_text(safe_csv(frame), encoding="utf-8", errors="backslashreplace", newline="")


def restored(frame: pd.DataFrame) -> pd.DataFrame:
    """Undo `safe_csv` in the frame read back from its CSV; read ids as text, ``dtype={"prompt_id": str}``."""
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
    """One row for each kind of problem: file, row, column, value, problem, remedy; text, "" for none."""
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


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "λ": r"$\lambda$",
    "−": "$-$",
    "²": r"$^2$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a row, LaTeX would read it and the star as arguments of the line end before
    "*": "{*}",
    **{letter: rf"\{letter}" for letter in "_%&#${}"},
}


def escape(words: str) -> str:
    """Text escaped for LaTeX, on one line."""
    plain = visible(words, SENTENCE).replace("\n", " ")
    return "".join(_LATEX.get(char, char) for char in plain)


def tabular(heads: Sequence[str], rows: Sequence[Sequence[str]], columns: str, comment: str = "") -> str:
    """A booktabs table of cells that are already LaTeX; ``comment`` goes in front, with ``%`` on each line."""
    lines = [f"% {line}" for line in comment.splitlines()]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rf"{' & '.join(heads)} \\", r"\midrule"]
    lines += [*(rf"{' & '.join(row)} \\" for row in rows), r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(lines)


def latex_table(frame: pd.DataFrame, comment: str = "") -> str:
    """A frame as a booktabs table: text left, numbers right with four significant digits, "--" for missing values."""
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    columns = "".join("r" if number else "l" for number in numeric)
    return tabular([escape(str(name)) for name in frame.columns], rows, columns, comment)


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "--"
        return plain(float(value)) if np.isfinite(value) else r"$\infty$" if value > 0 else r"$-\infty$"
    return "--" if value is None or value is pd.NA else escape(str(value))
