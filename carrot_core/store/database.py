"""The database file: one writer at a time builds the next version beside it, then swaps it in.

Readers never wait and never see half a change; a crash at any instant leaves the old file whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from carrot_core.benchmarks.table_file import lock_down, private_connection
from carrot_core.errors import NotFoundError, StoreError

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).with_name("schema.sql")


def rows(connection: duckdb.DuckDBPyConnection, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Every row of a query; results are always fetched to their end, an unfinished one blocks the connection."""
    return connection.execute(query, list(values)).fetchall()


@dataclass(frozen=True)
class Database:
    """A DuckDB file that is only ever replaced as a whole."""

    path: Path
    lock_timeout_s: float = 120.0

    def version(self) -> str:
        """Identity of the present file: another value exactly when other content was swapped in."""
        try:
            seen = self.path.stat()
        except FileNotFoundError:
            return "absent"
        except OSError as error:
            raise StoreError(f"{self.path} cannot be looked at: {error.strerror}.") from error
        return f"{seen.st_ino}-{seen.st_mtime_ns}-{seen.st_size}"

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection to the content of this moment; later swaps do not disturb it."""
        if not self.path.exists():
            raise NotFoundError(f"There is no database at {self.path} yet; import a benchmark first.")
        # DuckDB keeps one instance per path in a process: connecting to the path while an older
        # connection lives would return the content from before the swap. A private in-memory instance
        # that attaches the file opens it anew, so it always gets what the path names now.
        with self.explained(), private_connection() as connection:
            where = str(self.path).replace("'", "''")
            connection.execute(f"attach '{where}' as carrot (type duckdb, read_only)")
            connection.execute("use carrot")
            lock_down(connection)
            self._check_schema(connection)
            yield connection

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction on a copy; leaving without an error swaps the copy in.

        Raises
        ------
        StoreError
            Another writer holds the lock too long, the disk is full or refuses, the present file is
            not a database of this version, or the content breaks a constraint. The file stays as it was.
        """
        with self.explained(), self.locked(), self._workplace() as workplace:
            copy = workplace / "next.duckdb"
            self._refuse_unfinished()
            fresh = not self.path.exists()
            if not fresh:
                shutil.copyfile(self.path, copy)
            with private_connection(copy) as connection:
                lock_down(connection)
                if fresh:
                    connection.execute(SCHEMA.read_text(encoding="utf-8"))
                    connection.execute("insert into schema_version values (?)", [SCHEMA_VERSION])
                self._check_schema(connection)
                connection.begin()
                yield connection
                connection.commit()
                connection.execute("checkpoint")
            _sync(copy)
            os.replace(copy, self.path)
            _sync(self.path.parent)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The turn to write; what is written elsewhere may then take the file's place."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{self.path}.lock", timeout=self.lock_timeout_s)
        try:
            lock.acquire()
        except Timeout as error:
            raise StoreError(
                f"Another process has been writing to {self.path} for over {self.lock_timeout_s:g} s; try again later."
            ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """A folder of this writer's own beside the file; those of killed writers go first."""
        prefix, suffix = f"{self.path.name}.", ".writing"
        for left_over in self.path.parent.iterdir():
            if left_over.name.startswith(prefix) and left_over.name.endswith(suffix):
                shutil.rmtree(left_over, ignore_errors=True)
        workplace = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=self.path.parent))
        try:
            yield workplace
        finally:
            shutil.rmtree(workplace, ignore_errors=True)

    def _refuse_unfinished(self) -> None:
        """Changes another program left beside the file are no part of a copy of it: they would be lost."""
        beside = Path(f"{self.path}.wal")
        if beside.exists() and beside.stat().st_size:
            raise StoreError(
                f"{beside} holds changes that another program left unfinished. Open and close {self.path.name} with "
                "that program (or with DuckDB) to complete them, or move the .wal file away to drop them."
            )

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of DuckDB and of the disk become a `StoreError` that names the file and says what to do."""
        try:
            yield
        except (duckdb.Error, OSError) as error:
            raise StoreError(f"{self.path}: {_reason(error)}") from error

    def _check_schema(self, connection: duckdb.DuckDBPyConnection) -> None:
        try:
            ((found,),) = rows(connection, "select max(version) from schema_version")
        except duckdb.CatalogException:
            found = None
        if found is None:
            raise StoreError(f"{self.path} is a DuckDB file, but not one of CARROT's; choose another CARROT_HOME.")
        if found != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema version {found}, this program works with {SCHEMA_VERSION}: "
                + ("update CARROT." if found > SCHEMA_VERSION else "move the file away and import again.")
            )


def _sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: duckdb.Error | OSError) -> str:
    if isinstance(error, OSError):
        return f"cannot be written or read: {error.strerror or error}."
    first_line = str(error).splitlines()[0].rstrip(" .!")
    if isinstance(error, duckdb.ConstraintException):
        return f"the content breaks a rule of the database: {first_line}."
    return (
        f"cannot be used as a database: {first_line}. If the file is damaged, `carrot data verify` says what can "
        "still be read and `carrot data rebuild` keeps that; else move it away and import the benchmarks again "
        "(`carrot data import`)."
    )
