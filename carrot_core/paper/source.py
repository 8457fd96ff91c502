"""What the paper's figures need of a benchmark with results, and what they say where it is missing."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.results.source import Names, Results


class NotDrawnError(CarrotError):
    """A figure that this benchmark has not what it needs for; says what is missing and how to get it."""


def among(fitted: Sequence[str], kinds: Sequence[str]) -> Names:
    """Fitted routers of the wanted kinds, whatever their parameters, in the order wanted."""
    return tuple(name for kind in kinds for name in fitted if name.partition(" ")[0] == kind)


def first_carrot(fitted: Sequence[str]) -> str:
    """The router a figure is about: CARROT-KNN, else another of CARROT's, else any.

    Raises
    ------
    NotDrawnError
        No router is fitted.
    """
    ours = [*among(fitted, ["carrot-knn"]), *(name for name in fitted if name.startswith("carrot-")), *fitted]
    if not ours:
        raise NotDrawnError("No router is fitted on this benchmark yet (carrot fit BENCH fits CARROT-KNN).")
    return ours[0]


def analysis_of(results: Results, name: str, routers: Names) -> pd.DataFrame:
    """A table that a figure cannot do without.

    Raises
    ------
    NotDrawnError
        A snapshot was made without it.
    """
    table = results.analysis(name, routers)
    if table is None or table.empty:
        raise NotDrawnError(f"This snapshot was made without the table {name!r}: load the benchmark itself.")
    return table
