"""Maintain a store: verify it, set damaged files aside, copy a benchmark, take over a database of version 0.2."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from carrot_core.errors import NotFoundError, StoreError
from carrot_core.modes import action
from carrot_core.roles_audit import Role
from carrot_core.store import runs, vectors
from carrot_core.store.database import columns_of, locked, reading, rows, translate_errors, writing
from carrot_core.store.folder import MAIN, Files, Folder, check_meaning, check_name, key
from carrot_core.store.info import BenchmarkInfo, content_hash

if TYPE_CHECKING:
    from carrot_core.store import Store

_log = logging.getLogger(__name__)
_TABLES = ("benchmarks", "models", "prompts", "outcomes")
_OLD = (1,)  # version of the schema of CARROT 0.2, in which one file held everything
_LOCK_TIMEOUT_S = 600.0
_OF_ONE = "text_sha256 in (select text_sha256 from prompts where benchmark = ?)"
_OF_NO_BENCHMARK = """
select count(*) from embeddings where text_sha256 not in (select text_sha256 from prompts where text is not null)
"""


def copy_benchmark(source: Store, name: str, target: Store, new_name: str | None = None) -> BenchmarkInfo:
    """Copy a benchmark, with its vectors and the routers fitted on it alone.

    Parameters
    ----------
    source, name : the store and the name of the benchmark in it.
    target : store to copy to.
    new_name : its name there; ``name`` by default.

    Raises
    ------
    NotFoundError
        ``source`` has no such benchmark.
    CarrotError
        ``new_name`` is not a valid name.
    StoreError
        ``target`` has a benchmark of that name, results of other data ship under it, or it cannot be written.
    """
    called = name if new_name is None else new_name
    check_name(called)
    check_meaning(called, source.info(name).data_hash)
    with action("import", called, target.path), target.folder(called).replacing() as (new, old):
        if old is not None:
            raise StoreError(f"There is already a benchmark {called!r}: remove it first, or use another name.")
        source.folder(name).read(lambda files: _copy(files, source, name, new, called))
    return target.info(called)


def _copy(files: Files, source: Store, name: str, new: Path, called: str) -> None:
    with writing(new / MAIN, "benchmark", given=files.main) as connection:
        for table in (*_TABLES, "samples"):
            if columns_of(connection, table, "given"):
                connection.execute(f"insert into {table} by name from given.{table}")
        connection.execute("update benchmarks set name = ?", [called])
    vectors.gather(files, new)
    for run in reversed(runs.list_runs(files, name)):
        # A router fitted on another benchmark is not copied: that benchmark may be missing in the target.
        if run.fit_on is None:
            runs.save(new / MAIN, new, replace(runs.load(files, run.run_id), benchmark=called))


def take_over(old: Path, store: Path) -> None:
    """Move the benchmarks of a database of version 0.2 into a store; the database is then renamed ``….v1``.

    Each benchmark is moved whole or not at all, so the next call completes one that was interrupted. A benchmark whose
    name the store has already, or that is damaged, stays in the database; the log says so.

    Raises
    ------
    StoreError
        The file is not such a database, is damaged at its start, or the folder cannot be written.
    """
    if not os.access(old.parent, os.W_OK):
        raise StoreError(
            f"{old} is a database of version 0.2. It cannot be taken over into {store}, since that folder cannot be "
            "written: copy the file to a folder that can, and name that in CARROT_HOME."
        )
    # Programs of version 0.2 that write to the file take the same lock.
    with locked(Path(f"{old}.lock"), _LOCK_TIMEOUT_S), translate_errors(old):
        if not old.exists():  # another process took it over meanwhile
            return
        with reading(old, _OLD) as connection:
            benchmarks = rows(connection, "select name, benchmark, loaded_at from benchmarks order by benchmark")
            ((n_left,),) = rows(connection, _OF_NO_BENCHMARK)
        notes = [note for name, *which in benchmarks if (note := _take(old, Folder.of(store, name), name, *which))]
        if n_left:
            notes.append(f"{n_left:,} vectors of texts that no benchmark has are left out.")
        aside = _free(old.with_name(f"{old.name}.v1"))
        for file in (Path(f"{old}.wal"), old):
            if file.exists():
                os.rename(file, str(file).replace(str(old), str(aside)))
    _log.warning("%s of version 0.2 is taken over into %s, and is now %s. %s", old, store, aside.name, " ".join(notes))


def _free(path: Path) -> Path:
    """The path, with a number appended if something is there already."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _take(old: Path, folder: Folder, name: str, number: int, loaded_at: datetime) -> str:
    """Move one benchmark; returns the reason if it stays in the old file, else ""."""
    present = folder.current()
    if present is not None:
        with reading(present / MAIN) as connection:
            is_same = rows(connection, "select loaded_at from benchmarks") == [(loaded_at,)]
        return "" if is_same else f"{name!r} stays there, since the store has another one of that name."
    try:
        with folder.replacing() as (new, _):
            _take_parts(old, number, new)
    except StoreError as error:
        if not (problem := _problem_of_old(old, number)):  # the old file is readable, so writing failed
            raise error
        return f"{name!r} stays there, since it is damaged: {problem}"
    return ""


def _take_parts(old: Path, number: int, new: Path) -> None:
    with writing(new / MAIN, "benchmark", _OLD, old=old) as connection:
        for table in _TABLES:
            connection.execute(
                f"insert into {table} by name select * exclude (benchmark) from old.{table} where benchmark = ?",  # noqa: S608
                [number],
            )
    with reading(old, _OLD) as connection:
        lengths = f"select encoder, max(len(vector)) from embeddings where {_OF_ONE} group by encoder"  # noqa: S608
        encoders = rows(connection, lengths, number)
        fitted = rows(connection, "select run, run_id, fit_on from runs where benchmark = ? order by run", number)
    for encoder, length in encoders:
        path = vectors.segment_path(new, key(encoder), length, 1)
        with writing(path, "vectors", _OLD, old=old) as connection:
            own = _OF_ONE.replace("from ", "from old.")
            connection.execute(
                f"insert into embeddings by name from old.embeddings where {own} and encoder = ?",
                [number, encoder],
            )
    for run, run_id, fit_on in fitted:
        with writing(new / runs.file_name(run_id, fit_on), "run", _OLD, old=old) as connection:
            for table, others in (("runs", "run, benchmark"), ("estimates", "run")):
                connection.execute(
                    f"insert into {table} by name select * exclude ({others}) from old.{table} where run = ?",  # noqa: S608
                    [run],
                )


def _problem_of_old(old: Path, number: int) -> str:
    """The problem with one benchmark's part of an old file; "" if all of it can be read."""
    wheres = {
        **dict.fromkeys((*_TABLES, "runs"), "benchmark = ?"),
        "embeddings": _OF_ONE,
        "estimates": "run in (select run from runs where benchmark = ?)",
    }
    try:
        for table, where in wheres.items():
            with reading(old, _OLD) as connection:
                connection.sql(f"from {table} where {where}", params=[number]).to_arrow_table()
    except StoreError as error:
        return str(error)
    return ""


Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """Problems of a benchmark's data and of its computed files (vectors, runs); "" if there are none."""

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
    old, folders = store.take_over(), store.folders()
    if not folders and old is None:
        raise NotFoundError(f"There is no benchmark in {store.path} yet; import one first.")
    findings = [] if old is None else [Finding(store.old_file.name, str(old), "")]
    for number, folder in enumerate(folders, start=1):
        try:
            findings.append(folder.read(_finding))
        except StoreError as error:  # its files cannot even be listed
            findings.append(Finding(folder.name, str(error), ""))
        if progress is not None:
            progress(number, len(folders))
    return findings


def _finding(files: Files) -> Finding:
    computed = (problem for path in files.of("") if path != files.main and (problem := _problem(path, _read_rows)))
    return Finding(_name(files), _problem_of_data(files), next(computed, ""))


def _problem_of_data(files: Files) -> str:
    if MAIN not in files.names:
        return f"{files.main} is missing: import the benchmark again."
    return _problem(files.main, _read_data)


def _name(files: Files) -> str:
    try:
        with reading(files.main) as connection:
            ((name,),) = rows(connection, "select name from benchmarks")
    except StoreError:
        return Folder(files.folder.parent).name
    return str(name)


def _problem(path: Path, read: Callable[[duckdb.DuckDBPyConnection], str]) -> str:
    """The problem with a file; "" if there is none."""
    if not path.exists():
        raise FileNotFoundError(path)  # other files took its place meanwhile
    try:
        with reading(path) as connection:
            return read(connection)
    except StoreError as error:
        return str(error)


def _read_data(connection: duckdb.DuckDBPyConnection) -> str:
    ((stated,),) = rows(connection, "select data_hash from benchmarks")
    return "" if content_hash(connection) == stated else "The content is not what was stored."


def _read_rows(connection: duckdb.DuckDBPyConnection) -> str:
    for (table,) in rows(connection, "select table_name from duckdb_tables() where database_name = 'carrot'"):
        for _ in connection.sql(f"from {table}").to_arrow_reader(10_000):
            pass
    return ""


def rebuild(store: Store, progress: Progress | None = None) -> tuple[Path | None, list[Finding]]:
    """Move every damaged file out of a store; if it is a benchmark's main file, the whole benchmark.

    A damaged database of version 0.2 is moved too, but not a database of another program.

    Runs and vectors in damaged files have to be computed again; a benchmark has to be imported again.

    Returns
    -------
    The folder beside the store that has the damaged files now (None if there are none), and the findings.

    Raises
    ------
    NotFoundError
        There is nothing in the store.
    StoreError
        A file cannot be moved.
    """
    with action("rebuild", "the store", store.path, Role.ADMIN):
        return _rebuild(store, progress)


def _rebuild(store: Store, progress: Progress | None) -> tuple[Path | None, list[Finding]]:
    findings = verify(store, progress)
    aside = store.path.with_name(f"{store.path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    old = store.take_over()
    if old is not None and isinstance(old.__cause__, duckdb.Error):
        for path in (Path(f"{store.old_file}.wal"), store.old_file):
            if path.exists():
                _move(path, aside / path.name)
    for folder in store.folders():
        with folder.adding() as files, translate_errors(folder.path):
            if _problem_of_data(files):
                _move(folder.path, aside / folder.path.name)
                continue
            for file in files.of(""):
                if file != files.main and _problem(file, _read_rows):
                    _move(file, aside / folder.path.name / file.name)
    return (aside if aside.exists() else None), findings


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(path, target)
