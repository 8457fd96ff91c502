"""A table file (Parquet, CSV, TSV, JSONL) in a private in-memory DuckDB without access to anything else.

Files and predicates come from strangers: the file is read first, then the connection is locked, then the
predicate is evaluated as one expression over the columns.
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd

from carrot_core import limits
from carrot_core.benchmarks.file_checks import PACKED, check_columns, check_rows, check_schema, check_text, header
from carrot_core.errors import DataError, NotFoundError, Problem

# Columns each model of a wide file may have.
PER_MODEL = ("input_tokens", "output_tokens", "cost_usd", "cached_input_tokens", "reasoning_tokens", "latency_s")
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
    types : DuckDB type by name of each column of the file, in its order; a mapped column goes by its new name.
    named : names of the columns as they stand in the file; of JSON lines, in its first line.
    wide : whether a row has the cells of all models.
    columns : the file's own name of a known column, by the known name, where it is another one.
    """

    source: str
    connection: duckdb.DuckDBPyConnection
    types: dict[str, str]
    named: tuple[str, ...] = ()
    wide: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)

    def column_of(self, name: str, model: str | None) -> str:
        """The file's own name of a recognised column; in a wide file, of a model's column."""
        if self.wide and name not in self.columns and model is not None:
            name = {"score": model, "model": model}.get(name, f"{model}|{name}" if name in PER_MODEL else name)
        return self.columns.get(name, name)

    def keep(self, where: str, view: str) -> None:
        """Delete the rows that do not satisfy a predicate over the columns of a view of ``file``.

        Raises
        ------
        DataError
            The predicate is not one expression DuckDB can evaluate here; its message is quoted.
        """
        try:
            matches = self.connection.table(view).filter(duckdb.SQLExpression(where))
            matches.project(quote(ROW)).create("kept")
        except (duckdb.Error, RuntimeError) as error:
            raise DataError(self.source, f"the predicate {where!r} cannot be used: {reason(error)}") from error
        self.connection.execute(f"delete from file where {quote(ROW)} not in (from kept)")  # noqa: S608


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def reason(error: Exception) -> str:
    """DuckDB's message on one line, its hints about DuckDB's own options left out."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines[:3] if line)[:400]


def kind_of(path: Path) -> str:
    """Type of a file by its ending, in lower case, ``.gz`` and ``.zst`` ignored.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        Not the ending of a type that is known.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {str(path)!r}.")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    kind = suffixes[-1] if suffixes else ""
    if kind not in _READERS:
        raise DataError(path.name, "unknown type of file: use .parquet, .csv, .tsv or .jsonl")
    return kind


@contextmanager
def open_table(
    path: Path,
    text_columns: Collection[str],
    others: bool,
    columns: Mapping[str, str] | None = None,
    memory: str = limits.TABLE_MEMORY,
) -> Iterator[TableFile]:
    """Load a file into a connection and lock the connection.

    Parameters
    ----------
    path : the file.
    text_columns : columns to load where there are; in a text format their values stay as they are written, so
        that no id is taken for a date and a bad value can be shown.
    others : load the other columns as well, in the types their values have.
    columns : the file's own name of a known column, by the known name.
    memory : what DuckDB may use, as it writes it; below 512MiB a CSV may not load.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        Not a readable file of the type its name says, or one beyond `carrot_core.limits`.
    """
    kind = kind_of(path)
    named = _looked_at(path, kind)
    with private_connection() as connection:
        try:
            connection.execute(f"set memory_limit = '{memory}'; set max_temp_directory_size = '{limits.TABLE_SPILL}'")
            types = _load(connection, kind, path, text_columns, others, columns or {})
            named = _parquet_names(connection, path) if kind == ".parquet" else named
        except (duckdb.Error, RuntimeError) as error:
            raise DataError(path.name, [_unreadable(path, error)]) from error
        lock_down(connection)
        yield TableFile(path.name, connection, types, tuple(named), columns=columns or {})


def _looked_at(path: Path, kind: str) -> list[str]:
    """Run `file_checks` on a file; the column names of a text file."""
    if kind == ".parquet":
        check_schema(path)
        return []
    return check_text(path, kind)


def _load(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    path: Path,
    text_columns: Collection[str],
    others: bool,
    columns: Mapping[str, str],
) -> dict[str, str]:
    reader = _READERS[kind]
    # DuckDB takes the name for a pattern: without escaping, "a[1].csv" reads "a1.csv".
    parameters = {"path": glob.escape(str(path.resolve()))}
    description = connection.execute(f"describe from {reader}", parameters).fetchall()
    check_columns(path, len(description))
    types = {row[0]: row[1] for row in description}
    _check_mapping(path, columns, types)
    if kind == ".parquet":
        row_count = "select coalesce(sum(num_rows), 0) from parquet_file_metadata($path)"
        check_rows(path, connection.execute(row_count, parameters).fetchall()[0][0])
    else:
        asis = {*text_columns, *columns.values()}
        types = {name: "VARCHAR" if name in asis else kind for name, kind in types.items()}
        columns_text = ", ".join(f"{quote(name)}: {_literal(kind)}" for name, kind in types.items())
        reader = f"{reader[:-1]}, {'types' if kind in ('.csv', '.tsv') else 'columns'} = {{{columns_text}}})"
    # A column is left out if the mapping gives its name to another column.
    mapped_names = {name.casefold() for name in columns}
    rest = {name: kind for name, kind in types.items() if name.casefold() not in mapped_names}
    selection = [f"{quote(source)} as {quote(name)}" for name, source in columns.items()]
    selection += [quote(name) for name in rest if others or name in text_columns]
    connection.execute(
        f"create table file as select {', '.join([*selection, 'row_number() over ()'])} as {quote(ROW)} "  # noqa: S608
        f"from {reader}",
        parameters,
    )
    mapped = set(columns.values())
    return {name: types[source] for name, source in columns.items()} | {
        name: kind for name, kind in rest.items() if name not in mapped
    }


def _parquet_names(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """Names of the columns as they stand in the file: DuckDB renames those that differ in case only."""
    # The schema is a tree written depth first; the columns are the children of its root.
    tree = iter(
        connection.execute(
            "select name, coalesce(num_children, 0) from parquet_schema($path)",
            {"path": glob.escape(str(path.resolve()))},
        ).fetchall()
    )
    names, open_branches = [], [next(tree)[1]]
    for name, children in tree:
        if len(open_branches) == 1:
            names.append(name)
        open_branches[-1] -= 1
        open_branches.append(children)
        while len(open_branches) > 1 and not open_branches[-1]:
            open_branches.pop()
    return names


def column_names(path: Path) -> tuple[str, ...]:
    """Names of the columns, from the beginning of the file alone; for JSON lines the keys of the first one."""
    kind = kind_of(path)
    return tuple(preview(path, 0).columns) if kind == ".parquet" else tuple(header(path, kind))


def preview(path: Path, rows: int) -> pd.DataFrame:
    """The first rows as text, without reading the others.

    Raises
    ------
    NotFoundError, DataError
        As `open_table`, as far as the first rows show it.
    """
    kind = kind_of(path)
    reader = _READERS[kind].replace(_ALL, f"sample_size = {limits.PREVIEW_ROWS}, hive_partitioning = false")
    # The reader takes minutes over hundreds of thousands of columns, so they are counted before.
    if kind in (".csv", ".tsv"):
        check_columns(path, len(header(path, kind)))
        reader = f"{reader[:-1]}, all_varchar = true)"
    elif kind == ".parquet":
        check_schema(path)
    else:
        check_text(path, kind, head=True)
    parameters = {"path": glob.escape(str(path.resolve()))}
    with private_connection() as connection:
        try:
            names = [row[0] for row in connection.execute(f"describe from {reader}", parameters).fetchall()]
            check_columns(path, len(names))
            texts = ", ".join(f"{quote(name)}::varchar as {quote(name)}" for name in names)
            return connection.execute(f"select {texts} from {reader} limit {rows:d}", parameters).df()  # noqa: S608
        except (duckdb.Error, RuntimeError) as error:
            raise DataError(path.name, [_unreadable(path, error)]) from error


def _check_mapping(path: Path, columns: Mapping[str, str], types: Collection[str]) -> None:
    absent = [(name, source) for name, source in columns.items() if source not in types]
    if absent:
        listed = f"The file has: {names_listed(types)}."
        raise DataError(
            path.name,
            [Problem(f"there is no such column to take for {name}", listed, column=source) for name, source in absent],
        )


def names_listed(names: Collection[str], most: int = 40) -> str:
    """Names for a message: the first ones, and how many more."""
    first = ", ".join(list(names)[:most])
    return f"{first} and {len(names) - most:,} more" if len(names) > most else first


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unreadable(path: Path, error: Exception) -> Problem:
    return Problem(
        "the file is empty" if path.stat().st_size == 0 else f"cannot be read: {reason(error)}",
        "The name must end in the type the file has: .parquet, .csv, .tsv or .jsonl (.gz or .zst for a packed text).",
    )


@contextmanager
def private_connection(path: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB instance of its own, in memory or on a file nobody else has open.

    Nothing is fetched from a network, no Python variable is visible to a query, and what does not fit
    into memory goes to a temporary folder that is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-", dir=path.parent if path else None) as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": spill,
        }
        with duckdb.connect(str(path) if path else ":memory:", config=config) as connection:
            connection.execute("set enable_progress_bar = false")  # DuckDB draws one on standard output after 2 s
            yield connection


def lock_down(connection: duckdb.DuckDBPyConnection) -> None:
    """Lock a connection: it can open no more files and change no settings."""
    connection.execute("set enable_external_access = false; set lock_configuration = true")
