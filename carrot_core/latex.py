"""LaTeX tables for a paper, with booktabs and all text escaped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from carrot_core.number_formats import plain
from carrot_core.text import SENTENCE, visible

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
    "[": "{[}",  # after the line before it would be that line's argument, as would be the star
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
