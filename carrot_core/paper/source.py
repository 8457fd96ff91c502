"""What the paper's figures are drawn from: a benchmark with results, loaded or kept in a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.figures.scene import Scene

Names = tuple[str, ...]


class NotDrawnError(CarrotError):
    """A figure that this benchmark has not what it needs for; says what is missing and how to get it."""


class Shown(Protocol):
    """A benchmark with results.

    Attributes
    ----------
    fitted : names of the routers with results, perhaps with their parameters; baselines are always there too.
    """

    @property
    def fitted(self) -> Names: ...

    def scene(self, routers: Names, active: str) -> Scene:
        """One chart of some routers and baselines by name."""
        ...

    def analysis(self, name: str, routers: Names) -> pd.DataFrame | None:
        """A table of `carrot_core.compare`; None where a snapshot was made without it."""
        ...

    def spectra(self) -> pd.DataFrame | None:
        """Spectra of the prompts' vectors (`carrot_core.theory.dimension.spectra`) and benchmark; None without any."""
        ...


def among(fitted: Sequence[str], wanted: Sequence[str]) -> Names:
    """Fitted routers of the wanted kinds, whatever their parameters, in the order wanted."""
    return tuple(name for kind in wanted for name in fitted if name.partition(" ")[0] == kind)


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


def analysis_of(shown: Shown, name: str, routers: Names) -> pd.DataFrame:
    """A table that a figure cannot do without.

    Raises
    ------
    NotDrawnError
        A snapshot was made without it.
    """
    table = shown.analysis(name, routers)
    if table is None or table.empty:
        raise NotDrawnError(f"This snapshot was made without the table {name!r}: load the benchmark itself.")
    return table
