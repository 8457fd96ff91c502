"""Files of results from strangers, looked at and stored by a process of their own (`carrot_core.child`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from carrot_core import modes
from carrot_core.benchmarks.formats import FORMATS, Format, format_of_all
from carrot_core.benchmarks.formats.head import preview
from carrot_core.benchmarks.parts import how_read
from carrot_core.benchmarks.reading import FOUND, Reading
from carrot_core.benchmarks.registry import read_any
from carrot_core.child import Budget, in_child
from carrot_core.prices import Price, Tier
from carrot_core.store import BenchmarkInfo, Store
from carrot_core.store.maintenance import copy_benchmark

_STORE = "carrot.duckdb"
_CELL = 200  # characters of a value


@dataclass(frozen=True, eq=False)
class Look:
    """What the beginning of some files shows.

    Attributes
    ----------
    of_tool : the format of a tool they have; None for tables.
    how : in words, how the first is read; "" for a tool's.
    first : the first rows of the first as text, each value's beginning; empty for a tool's.
    """

    of_tool: Format | None
    how: str
    first: pd.DataFrame


def look_at(paths: Sequence[Path], rows: int, reading: Reading = FOUND, *, place: Path | None = None) -> Look:
    """Look at files of results without reading them whole.

    Parameters
    ----------
    rows : of the first file.
    place : folder for what the process writes.

    Raises
    ------
    NotFoundError, DataError
        As `carrot_core.benchmarks.formats.head.preview`, or the process took more than its budget.
    """
    request = {"paths": list(map(str, paths)), "rows": rows, "reading": asdict(reading)}
    with in_child(f"{__name__}:_look", request, Budget.of(paths), source=paths[0].name, place=place) as (_, answer):
        first = pd.DataFrame(answer["cells"], columns=pd.Index(answer["names"], dtype=object), dtype=object)
        return Look(FORMATS.get(answer["format"]), answer["how"], first)


def _look(_: Path, paths: Sequence[str], rows: int, reading: Mapping[str, Any]) -> dict[str, Any]:
    files, stated = list(map(Path, paths)), Reading(**reading)
    if (of_tool := format_of_all(files)) is not None:
        return {"format": of_tool.name, "how": "", "names": [], "cells": []}
    first = preview(files[0], rows, stated)
    cells = [[value[:_CELL] if isinstance(value, str) else None for value in row] for row in first.to_numpy().tolist()]
    return {"format": None, "how": how_read(files[0], stated), "names": list(map(str, first.columns)), "cells": cells}


def bring_in(
    store: Store,
    name: str,
    paths: Sequence[Path],
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    prices: Mapping[str, Price] | None = None,
    reading: Reading = FOUND,
    keep_zeros: bool = True,
    place: Path | None = None,
    **of_tool: Any,
) -> BenchmarkInfo | tuple[str, ...]:
    """Read files as `read_any` does and store them as a benchmark.

    Parameters
    ----------
    name : of the benchmark.
    format, columns, prices, reading, of_tool : as for `read_any`.
    keep_zeros : store them also where models have costs or tokens of 0, which count as not recorded.
    place : folder for what the process writes.

    Returns
    -------
    The description of the benchmark; or, where it is not stored, the models with such zeros.

    Raises
    ------
    NotFoundError, DataError, StoreError
        As `read_any` and `Store.save_benchmark`, or the process took more than its budget.
    """
    request = {
        "name": name,
        "paths": list(map(str, paths)),
        "prices": {model: asdict(price) for model, price in (prices or {}).items()},
        "reading": asdict(reading),
        "keep_zeros": keep_zeros,
        "options": {"format": format, "columns": dict(columns) if columns else None, **of_tool},
    }
    with in_child(f"{__name__}:_bring_in", request, Budget.of(paths), source=paths[0].name, place=place) as done:
        folder, zero_models = done
        if zero_models and not keep_zeros:
            return tuple(zero_models)
        return copy_benchmark(Store(folder / _STORE), name, store)


def _bring_in(
    folder: Path,
    name: str,
    paths: Sequence[str],
    prices: Mapping[str, Mapping[str, Any]],
    reading: Mapping[str, Any],
    keep_zeros: bool,
    options: Mapping[str, Any],
) -> list[str]:
    modes.add_session_folder(folder)
    frames = read_any(
        list(map(Path, paths)),
        prices={model: _price(price) for model, price in prices.items()},
        reading=Reading(**reading),
        **options,
    )
    if keep_zeros or not frames.zero_models:
        Store(folder / _STORE).save_benchmark(name, frames)
    return list(frames.zero_models)


def _price(price: Mapping[str, Any]) -> Price:
    return Price(**{**price, "tiers": tuple(Tier(*tier) for tier in price["tiers"])})
