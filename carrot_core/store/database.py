"""One DuckDB file: written whole under another name and renamed into place, never changed afterwards.

DuckDB lets no process write to a file while another reads it, nor read it while another writes. Files that
are only added, replaced or removed as wholes avoid that: readers never wait and never see half a change, and
a crash at any instant leaves each file whole.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pandas as pd
import pyarrow as pa
from filelock import FileLock, Timeout
from pandas.api.types import is_numeric_dtype

from carrot_core import limits
from carrot_core.benchmarks.file_checks import is_out_of_memory, lock_down, private_connection
from carrot_core.errors import StoreError
from carrot_core.modes import check_write

SCHEMA_VERSION = 3
READABLE = (2, SCHEMA_VERSION)  # versions of schemas that can be read; the older one lacks some columns
_AT_A_TIME = 50  # files of one connection
_ROWS_AT_A_TIME = 1 << 20  # copied on their way into a file
_MOST_IDLE = 4  # instances that wait for their next use
_TO_READ = "80%"  # of the memory, as by default: DuckDB cannot move the values of a quantile to the disk
_SCHEMAS = Path(__file__).with_name("schema")


def rows(connection: duckdb.DuckDBPyConnection, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Every row of a query. Results are always fetched completely: an unfinished one blocks the connection."""
    return connection.execute(query, list(values)).fetchall()


def identity(path: Path) -> str:
    """A value that changes exactly when the content at the path changes (write-ahead log included)."""
    parts = []
    for file in (path, Path(f"{path}.wal")):
        try:
            status = file.stat()
        except FileNotFoundError:
            parts.append("absent")
        except OSError as error:
            raise StoreError(f"{file} cannot be looked at: {error.strerror}.") from error
        else:
            parts.append(f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}")
    return "+".join(parts)


@contextmanager
def reading(
    path: Path, versions: Collection[int] = READABLE, others: Sequence[Path] = ()
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a file as it is now, with other files as ``file0``, ``file1`` and so on.

    It still works if the files are replaced or removed later. ``versions`` are the allowed versions of their schemas.
    An error in a query names the first file.
    """
    # DuckDB keeps one instance per path in a process: connecting to the path while an older
    # connection lives would return the content from before a replacement. A private in-memory instance
    # that attaches the file opens it anew, so it always gets what the path names now.
    files = {"carrot": path} | {f"file{number}": other for number, other in enumerate(others)}
    with translate_errors(path):
        reader = _reader(files, versions)
        with reader.life:
            reader.connection.execute("use carrot")
            yield reader.connection
            if _is_emptied(reader.connection):
                with _turn:
                    _idle.append(reader._replace(life=reader.life.pop_all()))
                    if len(_idle) > _MOST_IDLE:
                        _idle.pop(0).life.close()


class _Reader(NamedTuple):
    """A locked instance in memory that lives as long as ``life``; it can open and write files of some folders only.

    Stored files are attached to be read, but SQL could write others beside them, so it never runs a visitor's. The SQL
    console has an instance and a process of its own.
    """

    folders: frozenset[Path]
    connection: duckdb.DuckDBPyConnection
    life: ExitStack


_idle: list[_Reader] = []  # the last one used is the last
_turn = threading.Lock()


def _reader(files: Mapping[str, Path], versions: Collection[int]) -> _Reader:
    """An instance with these files: one that waits for its next use, or a new one, for which DuckDB takes 15 ms."""
    folders = frozenset(file.resolve().parent for file in files.values())
    with _turn:
        place = next((number for number, idle in enumerate(_idle) if idle.folders == folders), None)
        idle = None if place is None else _idle.pop(place)
    if idle is not None:
        try:
            _attach_all(idle.connection, files, versions)
        except StoreError:  # a new one says why, unless DuckDB took the name of a folder for a pattern
            idle.life.close()
        else:
            return idle
    with ExitStack() as stack:
        connection = stack.enter_context(private_connection(memory=_TO_READ))
        _attach_all(connection, files, versions)
        names = ", ".join(f"'{_quoted(folder)}'" for folder in folders)
        connection.execute(f"set allowed_directories = [{names}]")
        lock_down(connection)
        return _Reader(folders, connection, stack.pop_all())


def _attach_all(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Path], versions: Collection[int]) -> None:
    for name, file in files.items():
        _attach(connection, name, file, versions)


def _is_emptied(connection: duckdb.DuckDBPyConnection) -> bool:
    """Detach every file; False if the connection cannot be used again."""
    try:
        connection.execute("use memory")
        for (name,) in rows(connection, "select database_name from duckdb_databases() where path is not null"):
            connection.execute(f"detach {name}")
    except duckdb.Error:
        return False
    return True


def _close_idle() -> None:
    """Close the instances that wait, and remove their folders for what does not fit into memory."""
    with _turn:
        while _idle:
            _idle.pop().life.close()


atexit.register(_close_idle)
if hasattr(os, "register_at_fork"):  # threads of an instance, which a forked process lacks, are joined at its end
    os.register_at_fork(before=_close_idle)


def reading_each(paths: Sequence[Path]) -> Iterator[tuple[Path, duckdb.DuckDBPyConnection]]:
    """Read one file after another; they share most of the cost of a connection."""
    for start in range(0, len(paths), _AT_A_TIME):
        first, *others = paths[start : start + _AT_A_TIME]
        with reading(first, others=others) as connection:
            yield first, connection
            for number, path in enumerate(others):
                with translate_errors(path):
                    connection.execute(f"use file{number}")
                    yield path, connection


@contextmanager
def writing(
    path: Path, schema: str, versions: Collection[int] = READABLE, **others: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection on a new file; leaving without an error renames it to ``path``.

    There is no transaction, since one would hold all inserted rows in memory until its end.

    The caller must hold the lock for writing in the file's folder.

    Parameters
    ----------
    path : place of the file; an existing one is replaced.
    schema : "benchmark", "vectors" or "run".
    versions : allowed versions of the schemas of the ``others``.
    others : files to copy from, read-only under the names of their keywords.

    Raises
    ------
    StoreError
        The disk is full or refuses, or the content breaks a constraint. An existing file at ``path`` stays.
    """
    check_write(path)
    unfinished = path.with_name(f"{path.name}.writing")
    with translate_errors(path):
        try:
            with private_connection(unfinished, limits.STORE_MEMORY) as connection:
                for name, file in others.items():
                    _attach(connection, name, file, versions)
                lock_down(connection)
                create(connection, schema)
                yield connection
                connection.execute("checkpoint")
            sync(unfinished)
            os.replace(unfinished, path)
            sync(path.parent)
        finally:
            for remnant in (unfinished, Path(f"{unfinished}.wal")):
                remnant.unlink(missing_ok=True)


def create(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Create the empty tables of a file: "benchmark", "vectors" or "run"."""
    connection.execute((_SCHEMAS / f"{schema}.sql").read_text(encoding="utf-8"))
    connection.execute("insert into schema_version values (?)", [SCHEMA_VERSION])


def blocks_of(frame: pd.DataFrame, most_rows: int = _ROWS_AT_A_TIME) -> Iterator[pa.Table]:
    """Split a frame into blocks of rows; NaN and None become nulls."""
    for first in range(0, len(frame), most_rows):
        part = frame.iloc[first : first + most_rows]
        # Types are explicit: guessed from a sample, a column of texts that starts with many None would not be text.
        yield pa.table(
            {
                str(name): pa.array(
                    part[name], type=None if is_numeric_dtype(part[name]) else pa.large_string(), from_pandas=True
                )
                for name in part.columns
            }
        )


def joined(blocks: Iterable[pa.Table], most_bytes: int) -> Iterator[pa.Table]:
    """Join blocks of prompts to larger ones of about equal bytes, since a text may be short or of megabytes."""
    some, n_bytes = list[pa.Table](), 0
    for block in blocks:
        some.append(block)
        n_bytes += block.nbytes
        if n_bytes >= most_bytes:
            yield pa.concat_tables(some)
            some, n_bytes = [], 0
    if some:
        yield pa.concat_tables(some)


def append(connection: duckdb.DuckDBPyConnection, table: str, blocks: Iterable[pa.Table]) -> None:
    """Insert rows by column names."""
    for block in blocks:
        connection.register("incoming", block)
        connection.execute(f"insert into {table} by name from incoming")
        connection.unregister("incoming")


def columns_of(connection: duckdb.DuckDBPyConnection, table: str, database: str | None = None) -> set[str]:
    """Names of a table's columns in the file in use or another; empty if an older schema has no such table."""
    query = (
        "select column_name from duckdb_columns() where database_name = coalesce(?, current_database()) "
        "and table_name = ?"
    )
    return {name for (name,) in rows(connection, query, database, table)}


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _attach(connection: duckdb.DuckDBPyConnection, name: str, path: Path, versions: Collection[int]) -> None:
    with translate_errors(path):
        connection.execute(f"attach '{_quoted(path)}' as {name} (type duckdb, read_only)")
    try:
        ((stated,),) = rows(connection, f"select max(version) from {name}.schema_version")  # noqa: S608  ours
    except duckdb.CatalogException:
        stated = None
    if stated is None:
        raise StoreError(f"{path} is a DuckDB file, but not one of CARROT's; choose another CARROT_HOME.")
    if stated not in versions:
        raise StoreError(
            f"{path} has schema version {stated}, this program works with {' and '.join(map(str, versions))}: "
            + ("update CARROT." if stated > max(versions) else "move the file away and import again.")
        )


@contextmanager
def locked(lock: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock for writing, among threads and processes.

    Raises
    ------
    StoreError
        Another writer holds the lock for too long, the lock file cannot be created, or only the operator of a public
        server may write.
    """
    check_write(lock)
    turn = FileLock(lock, timeout=timeout_s)
    with translate_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            turn.acquire()
        except Timeout as error:
            raise StoreError(
                f"Another process has been writing here for over {timeout_s:g} s, says {lock}; try again later."
            ) from error
    try:
        yield
    finally:
        turn.release()


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn errors of DuckDB and of the disk into a `StoreError` that names the file and a remedy."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"{path}: {_reason(error)}") from error


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: duckdb.Error | OSError) -> str:
    if is_out_of_memory(error):
        return "more memory is needed to read or write it than there is."
    if isinstance(error, OSError):
        return f"cannot be written or read: {error.strerror or error}."
    if isinstance(error, duckdb.ConstraintException):
        return f"the content breaks a rule of the database: {str(error).splitlines()[0].rstrip(' .!')}."
    log = re.search(r"[\w.-]+\.wal\b", str(error))
    beside = f" with the log {log[0]} beside it" if log else ""
    return (
        f"cannot be used as a database{beside}. If the file is damaged, `carrot data verify` says what can "
        "still be read and `carrot data rebuild` sets aside what cannot; then import the benchmark again "
        "(`carrot data import`)."
    )
