"""Import benchmarks into the store: from the Hugging Face hub, and from files of strangers, which a process of its own
reads (`carrot_core.child`).

Some data sets of the hub are known by name; any other data set of tables is ``hf:OWNER/NAME``.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from carrot_core import modes
from carrot_core.benchmarks import NONE_STATED, Frames, Provenance
from carrot_core.benchmarks.formats import FORMATS, Format, format_of_all
from carrot_core.benchmarks.formats.head import preview
from carrot_core.benchmarks.parts import how_read
from carrot_core.benchmarks.reading import FOUND, Reading
from carrot_core.benchmarks.registry import fault_of, read_any
from carrot_core.child import Budget, in_child
from carrot_core.errors import CarrotError, DataError, NotFoundError, Problem, StoreError
from carrot_core.prices import Price
from carrot_core.prices.files import PriceList, shipped_prices
from carrot_core.store import BenchmarkInfo, Store
from carrot_core.store.maintenance import copy_benchmark

if TYPE_CHECKING:
    from carrot_core.benchmarks.hub import FileProgress, HubFiles

_STORE = "carrot.duckdb"
_CELL = 200  # characters of a value


@dataclass(frozen=True)
class HubSource:
    """One benchmark of the hub.

    Attributes
    ----------
    repo : "owner/name" of the data set.
    patterns : patterns of the files to fetch, the preferred first.
    read : function of their paths, in the order of their names, and their provenance that gives frames.
    about : one line for people: its content and the size of the download.
    licence : licence that the data set states.
    without_chinese : ``read`` that leaves out the Chinese tasks, if there are any.
    """

    repo: str
    patterns: tuple[str, ...]
    read: Callable[[Sequence[Path], Provenance], Frames]
    about: str
    licence: str = NONE_STATED
    without_chinese: Callable[[Sequence[Path], Provenance], Frames] | None = None


def _sprout(files: Sequence[Path], provenance: Provenance) -> Frames:
    from carrot_core.benchmarks.sprout import read_sprout

    return read_sprout(files, prices=shipped_prices(), provenance=provenance)


def _routerbench(files: Sequence[Path], provenance: Provenance, keep_chinese: bool = True) -> Frames:
    from carrot_core.benchmarks.routerbench import read_routerbench

    return read_routerbench(files[0], keep_chinese=keep_chinese, provenance=provenance)


HUB_SOURCES = {
    "sprout": HubSource(
        "CARROT-LLM-Routing/SPROUT", ("data/*.parquet",), _sprout, "44,241 prompts x 13 models, about 581 MB"
    ),
    "sprout-o3mini": HubSource(
        "CARROT-LLM-Routing/SPROUT-o3mini", ("data/*.parquet",), _sprout, "43,288 prompts x 14 models, with o3-mini"
    ),
    "routerbench-0shot": HubSource(
        "withmartian/routerbench",
        ("routerbench_0shot.pkl",),
        _routerbench,
        "36,497 prompts x 11 models, 100 MB; opened without running it",
        without_chinese=partial(_routerbench, keep_chinese=False),
    ),
    "routerbench-5shot": HubSource(
        "withmartian/routerbench",
        ("routerbench_5shot.pkl",),
        _routerbench,
        "the same prompts with five examples each x 11 models; opened without running it",
        without_chinese=partial(_routerbench, keep_chinese=False),
    ),
}


ANY = "hf:"  # in front of a data set's name
_TABLES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")


def fetch_data_set(
    source: str,
    config: str | None = None,
    split: str | None = None,
    *,
    revision: str | None = None,
    progress: FileProgress | None = None,
) -> HubFiles:
    """Fetch the tables of any data set of the hub, preferably Parquet.

    Parameters
    ----------
    source : "hf:OWNER/NAME".
    config, split : words that the paths of the files have, one behind the other.
    revision, progress : as for `pull`.

    Raises
    ------
    NotFoundError, DataError, CarrotError
        As for `carrot_core.benchmarks.hub.fetch`; no data set is named, or it has several configurations.
    """
    from carrot_core.benchmarks.hub import fetch

    repo = source.removeprefix(ANY)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise CarrotError(f"{source!r} names no data set: write hf:OWNER/NAME.")
    words = "".join(f"{glob.escape(word)}*" for word in (config, split) if word)
    fetched = fetch(repo, tuple(f"*{words}{ending}" for ending in _TABLES), revision=revision, progress=progress)
    folders = sorted({file.path.parent.name for file in fetched.files})
    if len(folders) > 1 and not config:
        several = f"has several configurations: {', '.join(folders[:20])}"
        raise DataError(repo, [Problem(several, "Name one as the configuration (--config).")])
    return fetched


def _of_hub(frames: Frames, provenance: Provenance) -> Frames:
    """Frames of fetched files, with where they are from."""
    note = "; ".join(filter(None, [provenance.note, frames.provenance.note]))
    return frames.noted(provenance=replace(provenance, rows=frames.provenance.rows, note=note))


def hub_source(name: str) -> HubSource:
    """The source with a name; the error for an unknown name lists the known ones."""
    if name not in HUB_SOURCES:
        raise NotFoundError(f"Nothing called {name!r} can be pulled; there are {', '.join(HUB_SOURCES)}.")
    return HUB_SOURCES[name]


def pull(
    store: Store,
    source: str,
    name: str | None = None,
    *,
    revision: str | None = None,
    replace: bool = False,
    drop_chinese: bool = False,
    shadow: bool = False,
    config: str | None = None,
    split: str | None = None,
    read: Callable[[Sequence[Path]], Frames] | None = None,
    split_seed: int = 0,
    progress: FileProgress | None = None,
) -> BenchmarkInfo:
    """Fetch a benchmark of `HUB_SOURCES` from the hub and store it, without embedding it.

    Parameters
    ----------
    store : the store to write to.
    source : "sprout", "sprout-o3mini", … or "hf:OWNER/NAME", any data set of tables.
    name : name in the store; that of the source by default.
    config, split, read : for "hf:…" only: words that the paths of its files have, and the function that reads the
        files; `carrot_core.benchmarks.registry.read_any` by default.
    revision : branch, tag or commit of the data set; the newest by default.
    replace : replace a benchmark of the same name.
    drop_chinese : leave out RouterBench's Chinese tasks, as CARROT's authors do.
    shadow : let the name mean this benchmark although results of other data ship under it.
    split_seed : of the split into train, validation and test.
    progress : called with bytes done, bytes of the file and its name while files arrive.

    Raises
    ------
    NotFoundError, DataError, CarrotError
        As for `carrot_core.benchmarks.hub.fetch` and the source's reader.
    StoreError
        The name is taken and ``replace`` is False (raised before anything is fetched), results of other data ship under
        it and ``shadow`` is False, or the database cannot be written.
    """
    from carrot_core.benchmarks.hub import fetch

    is_any = source.startswith(ANY)
    if not is_any and (config or split or read):
        raise CarrotError(f"{source!r} has its own files and columns; only hf:OWNER/NAME takes a choice of them.")
    name = name or (source.rpartition("/")[2] if is_any else source)
    chosen = None if is_any else hub_source(source)
    reader = chosen and (chosen.without_chinese if drop_chinese else chosen.read)
    if drop_chinese and reader is None:
        raise CarrotError(f"{source!r} has no Chinese tasks to leave out: only RouterBench has. Pull it as it is.")
    if not replace and name in {info.name for info in store.benchmarks()}:
        raise StoreError(f"There is already a benchmark {name!r}: remove it first, or replace it.")
    if chosen and reader:
        fetched = fetch(chosen.repo, chosen.patterns, revision=revision, progress=progress)
        frames = reader([file.path for file in fetched.files], fetched.provenance(chosen.licence))
    else:
        fetched = fetch_data_set(source, config, split, revision=revision, progress=progress)
        read = read or read_any
        frames = _of_hub(read([file.path for file in fetched.files]), fetched.provenance())
    if fetched.note:
        frames = frames.noted(warnings=(fetched.note, *frames.warnings))
    return store.save_benchmark(name, frames, split_seed=split_seed, replace=replace, shadow=shadow)


@dataclass(frozen=True, eq=False)
class Look:
    """The beginning of some files.

    Attributes
    ----------
    of_tool : the evaluation tool's format of the files; None for tables.
    how : how the first file is read, in words; "" for a tool's.
    fault : what is wrong with the predicate that chooses rows; "" where nothing shows it.
    first : first rows of the first file as text, with long values cut; empty for a tool's.
    """

    of_tool: Format | None
    how: str
    fault: str
    first: pd.DataFrame


def look_at(
    paths: Sequence[Path],
    rows: int,
    reading: Reading = FOUND,
    *,
    where: str | None = None,
    as_table: bool = False,
    place: Path | None = None,
) -> Look:
    """Look at files of results without reading them whole.

    Parameters
    ----------
    rows : number of rows of the first file.
    where : predicate that is to choose rows: only whether it can be used by the names of the columns is seen.
    as_table : whether files of a tool are looked at as tables.
    place : folder for what the process writes.

    Raises
    ------
    NotFoundError, DataError
        As for `carrot_core.benchmarks.formats.head.preview`, or the process exceeded its budget.
    """
    request: dict[str, Any] = {"paths": list(map(str, paths)), "rows": rows, "reading": asdict(reading)}
    request |= {"where": where or "", "as_table": as_table}
    with in_child(f"{__name__}:_look", request, Budget.of(paths), source=paths[0].name, place=place) as (_, answer):
        first = pd.DataFrame(answer["cells"], columns=pd.Index(answer["names"], dtype=object), dtype=object)
        return Look(FORMATS.get(answer["format"]), answer["how"], answer["fault"], first)


def _look(
    _: Path, paths: Sequence[str], rows: int, reading: Mapping[str, Any], where: str, as_table: bool
) -> dict[str, Any]:
    files, stated = list(map(Path, paths)), Reading(**reading)
    if not as_table and (of_tool := format_of_all(files)) is not None:
        return {"format": of_tool.name, "how": "", "fault": "", "names": [], "cells": []}
    first = preview(files[0], rows, stated)
    cells = [[value[:_CELL] if isinstance(value, str) else None for value in row] for row in first.to_numpy().tolist()]
    names = list(map(str, first.columns))
    fault = fault_of(where, names) if where else ""
    return {"format": None, "how": how_read(files[0], stated), "fault": fault, "names": names, "cells": cells}


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
    of_hub: HubFiles | None = None,
    place: Path | None = None,
    **of_tool: Any,
) -> BenchmarkInfo | tuple[str, ...]:
    """Read files as `read_any` does and store them as a benchmark.

    Parameters
    ----------
    name : name of the benchmark.
    format, columns, prices, reading, of_tool : as for `read_any`.
    keep_zeros : store the files even if models have costs or tokens of 0, which then count as not recorded.
    of_hub : what was fetched from the hub, if the files are of it.
    place : folder for what the process writes.

    Returns
    -------
    The description of the benchmark; if it is not stored, the models with such zeros instead.

    Raises
    ------
    NotFoundError, DataError, StoreError
        As for `read_any` and `Store.save_benchmark`, or the process exceeded its budget.
    """
    request = {
        "name": name,
        "paths": list(map(str, paths)),
        "prices": {model: asdict(price) for model, price in (prices or {}).items()},
        "usd_per_call": prices.usd_per_call if isinstance(prices, PriceList) else {},
        "reading": asdict(reading),
        "keep_zeros": keep_zeros,
        "provenance": asdict(of_hub.provenance()) if of_hub else None,
        "notes": [of_hub.note] if of_hub and of_hub.note else [],
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
    usd_per_call: Mapping[str, float],
    reading: Mapping[str, Any],
    keep_zeros: bool,
    provenance: Mapping[str, Any] | None,
    notes: Sequence[str],
    options: Mapping[str, Any],
) -> list[str]:
    modes.add_session_folder(folder)
    price_list = PriceList({model: Price.of_document(price) for model, price in prices.items()})
    price_list.usd_per_call = usd_per_call
    frames = read_any(
        list(map(Path, paths)),
        prices=price_list,
        reading=Reading(**reading),
        **options,
    )
    if provenance:
        frames = _of_hub(frames, Provenance(**provenance)).noted(warnings=(*notes, *frames.warnings))
    if keep_zeros or not frames.zero_models:
        Store(folder / _STORE).save_benchmark(name, frames)
    return list(frames.zero_models)
