"""A table file (Parquet, CSV, TSV, JSONL) in a private in-memory DuckDB, from where it cannot reach anything.

A file and a predicate are other people's: the file is read first, then every door is closed, then the
predicate is evaluated, as one expression over the columns.
"""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from carrot_core.benchmarks.sandbox import lock_down, private_connection
from carrot_core.errors import DataError, NotFoundError, Problem

ROW = "row of the file"  # 1-based position of a data row; a name no file is likely to use
_ALL = "sample_size = -1, hive_partitioning = false"  # types are found by looking at every row
_CSV = f"header = true, quote = '\"', escape = '\"', skip = 0, comment = '', {_ALL}"
_JSON = f"format = 'newline_delimited', records = true, map_inference_threshold = -1, {_ALL}"
_READERS = {
    ".parquet": "read_parquet($path, binary_as_string = true, hive_partitioning = false)",
    ".csv": f"read_csv($path, delim = ',', {_CSV})",
    ".tsv": f"read_csv($path, delim = '\t', {_CSV})",
    ".jsonl": f"read_json($path, {_JSON})",
    ".ndjson": f"read_json($path, {_JSON})",
}


@dataclass(frozen=True, eq=False)
class TableFile:
    """The rows of a file as the table ``file`` of a locked connection.

    Attributes
    ----------
    connection : holds the table ``file``: the loaded columns and `ROW`.
    types : DuckDB type by name of each column of the file, in its order.
    """

    source: str
    connection: duckdb.DuckDBPyConnection
    types: dict[str, str]

    def keep(self, where: str, view: str) -> None:
        """Delete the rows that do not satisfy a predicate over the columns of a view of ``file``.

        Raises
        ------
        DataError
            The predicate is not one expression DuckDB can evaluate here; its message is quoted.
        """
        try:
            kept = self.connection.table(view).filter(duckdb.SQLExpression(where))
            kept.project(quoted(ROW)).create("kept")
        except (duckdb.Error, RuntimeError) as error:
            raise DataError(self.source, f"the predicate {where!r} cannot be used: {reason(error)}") from error
        self.connection.execute(f"delete from file where {quoted(ROW)} not in (from kept)")  # noqa: S608


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def reason(error: Exception) -> str:
    """DuckDB's message on one line, its hints about DuckDB's own options left out."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines[:3] if line)[:400]


@contextmanager
def open_table(path: Path, known: Collection[str], others: bool) -> Iterator[TableFile]:
    """Load a file and close every door behind it.

    Parameters
    ----------
    path : the file.
    known : columns to load where there are; in a text format their values stay as they are written, so
        that no id is taken for a date and a bad value can be shown.
    others : load the other columns as well, in the types their values have.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        Not a readable file of the type its name says.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {str(path)!r}.")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".zst")]
    reader = _READERS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        raise DataError(path.name, "unknown type of file: use .parquet, .csv, .tsv or .jsonl")
    with private_connection() as connection:
        try:
            types = _load(connection, reader, path, known, others)
        except (duckdb.Error, RuntimeError) as error:
            raise DataError(path.name, [_unreadable(path, error)]) from error
        lock_down(connection)
        yield TableFile(path.name, connection, types)


def _load(
    connection: duckdb.DuckDBPyConnection, reader: str, path: Path, known: Collection[str], others: bool
) -> dict[str, str]:
    # The name is a pattern to DuckDB: without escaping, "a[1].csv" reads "a1.csv".
    parameters = {"path": glob.escape(str(path.resolve()))}
    types = {row[0]: row[1] for row in connection.execute(f"describe from {reader}", parameters).fetchall()}
    if not reader.startswith("read_parquet"):
        types = {name: "VARCHAR" if name in known else kind for name, kind in types.items()}
        stated = ", ".join(f"{quoted(name)}: {_literal(kind)}" for name, kind in types.items())
        reader = f"{reader[:-1]}, {'types' if reader.startswith('read_csv') else 'columns'} = {{{stated}}})"
    chosen = "".join(f"{quoted(name)}, " for name in types if others or name in known)
    connection.execute(
        f"create table file as select {chosen} row_number() over () as {quoted(ROW)} from {reader}",  # noqa: S608
        parameters,
    )
    return types


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unreadable(path: Path, error: Exception) -> Problem:
    return Problem(
        "the file is empty" if path.stat().st_size == 0 else f"cannot be read: {reason(error)}",
        "The name must end in the type the file has: .parquet, .csv, .tsv or .jsonl (.gz for a compressed text).",
    )
