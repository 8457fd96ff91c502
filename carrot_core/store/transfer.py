"""A benchmark from one store into another, with its vectors and its fitted routers."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from carrot_core.errors import StoreError
from carrot_core.store.database import Database, rows
from carrot_core.store.listing import numbers
from carrot_core.store.records import BenchmarkInfo
from carrot_core.store.store import Store

_OF_BENCHMARK = ("benchmarks", "models", "prompts", "outcomes")
_HERE = "select text_sha256 from prompts where benchmark = $benchmark"
# A router that learned from another benchmark stays behind: its source may not be where it would go.
_OWN_RUNS = "select run from runs where benchmark = $benchmark and fit_on is null"
_PARTS = {
    **{table: f"from {table} where benchmark = $benchmark" for table in _OF_BENCHMARK},
    "embeddings": f"from embeddings where text_sha256 in ({_HERE})",
    "runs": "from runs where benchmark = $benchmark and fit_on is null",
    "estimates": f"from estimates where run in ({_OWN_RUNS})",
}


def copy_benchmark(source: Store, name: str, target: Store) -> BenchmarkInfo:
    """Copy a benchmark under its name, with the vectors of its texts and the routers fitted on it alone.

    Raises
    ------
    NotFoundError
        ``source`` has no such benchmark.
    StoreError
        ``target`` has one of that name, or cannot be written.
    """
    with source.reading(name) as (connection, number):
        parts = {table: _arrow(connection, query, number) for table, query in _PARTS.items()}
    with Database(target.path).write() as connection:
        if name in numbers(connection):
            raise StoreError(f"There is already a benchmark {name!r}: remove it first, or use another name.")
        ((number, run),) = rows(
            connection,
            "select (select coalesce(max(benchmark), 0) + 1 from benchmarks), (select coalesce(max(run), 0) from runs)",
        )
        for table, part in parts.items():
            changed = {"benchmark": f"{number}::integer", "run": f"(run + {run})::integer"}
            replaced = ", ".join(f"{value} as {key}" for key, value in changed.items() if key in part.column_names)
            _insert(connection, table, part, f"* replace ({replaced})" if replaced else "*")
    return target.info(name)


def _arrow(connection: duckdb.DuckDBPyConnection, query: str, number: int) -> pa.Table:
    return connection.sql(query, params={"benchmark": number}).to_arrow_table()


def _insert(connection: duckdb.DuckDBPyConnection, table: str, part: pa.Table, chosen: str) -> None:
    connection.register("incoming", part)
    # A text may have its vector there already, of the same encoder: the same one.
    or_ignore = "or ignore " if table == "embeddings" else ""
    connection.execute(f"insert {or_ignore}into {table} by name select {chosen} from incoming")  # noqa: S608
    connection.unregister("incoming")
