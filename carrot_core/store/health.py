"""Check that everything in the store can be read, and set aside the files that cannot."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd

from carrot_core.errors import NotFoundError, StoreError
from carrot_core.store.content import content_hash
from carrot_core.store.database import columns_of, reading, rows, translate_errors
from carrot_core.store.folder import Files, Folder
from carrot_core.store.info import models_frame
from carrot_core.store.store import Store

Progress = Callable[[int, int], None]
_PROMPTS = "select * replace (split::varchar as split) from prompts order by prompt"


@dataclass(frozen=True)
class Finding:
    """What is wrong with a benchmark's data and with its computed files (vectors, runs); "" if nothing is."""

    benchmark: str
    data: str
    computed: str


def verify(store: Store, progress: Progress | None = None) -> list[Finding]:
    """Read every benchmark of a store from end to end and compare it with the hash of its content.

    Raises
    ------
    NotFoundError
        There is nothing in the store.
    """
    folders = store.folders()
    if not folders:
        raise NotFoundError(f"There is no benchmark in {store.path} yet; import one first.")
    findings = []
    for number, folder in enumerate(folders, start=1):
        findings.append(folder.read(_finding))
        if progress is not None:
            progress(number, len(folders))
    return findings


def _finding(files: Files) -> Finding:
    computed = (problem for path in files.of("") if path != files.main and (problem := _problem(path, _read_rows)))
    return Finding(_name(files), _problem(files.main, _read_data), next(computed, ""))


def _name(files: Files) -> str:
    try:
        with reading(files.main) as connection:
            ((name,),) = rows(connection, "select name from benchmarks")
    except StoreError:
        return Folder(files.folder.parent).name
    return str(name)


def _problem(path: Path, read: Callable[[duckdb.DuckDBPyConnection], str]) -> str:
    """What is wrong with a file; "" if nothing is."""
    if not path.exists():
        raise FileNotFoundError(path)  # other files took its place meanwhile
    try:
        with reading(path) as connection:
            return read(connection)
    except StoreError as error:
        return str(error)


def _read_data(connection: duckdb.DuckDBPyConnection) -> str:
    cursor = connection.execute(_PROMPTS)
    names = [column[0] for column in cursor.description or ()]
    prompts = pd.DataFrame(cursor.fetchall(), columns=names, dtype=object)
    models = models_frame(connection)
    outcomes = connection.execute("from outcomes order by prompt, model").df()
    samples = "samples" if columns_of(connection, "samples") else "outcomes limit 0"
    runs = connection.execute(f"select * from {samples}").df()  # noqa: S608  fixed names
    ((stated,),) = rows(connection, "select data_hash from benchmarks")
    return "" if content_hash(prompts, models, outcomes, runs) == stated else "The content is not what was stored."


def _read_rows(connection: duckdb.DuckDBPyConnection) -> str:
    for (table,) in rows(connection, "select table_name from duckdb_tables() where database_name = 'carrot'"):
        for _ in connection.sql(f"from {table}").to_arrow_reader(10_000):
            pass
    return ""


def rebuild(store: Store, progress: Progress | None = None) -> tuple[Path | None, list[Finding]]:
    """Take every damaged file out of a store; if it is a benchmark's main file, the whole benchmark.

    Runs and vectors in damaged files have to be computed again; a benchmark has to be imported again.

    Returns
    -------
    The folder beside the store where the damaged files now are (None if none is damaged), and the findings.

    Raises
    ------
    NotFoundError
        There is nothing in the store.
    StoreError
        A file cannot be moved.
    """
    findings = verify(store, progress)
    aside = store.path.with_name(f"{store.path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    for folder in store.folders():
        with folder.adding() as files, translate_errors(folder.path):
            if _problem(files.main, _read_data):
                _move(folder.path, aside / folder.path.name)
                continue
            for file in files.of(""):
                if file != files.main and _problem(file, _read_rows):
                    _move(file, aside / folder.path.name / file.name)
    return (aside if aside.exists() else None), findings


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(path, target)
