"""A benchmark from one store into another, with its vectors and its fitted routers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import duckdb
import pyarrow as pa

from carrot_core.errors import StoreError
from carrot_core.store.database import Database, rows
from carrot_core.store.listing import numbers
from carrot_core.store.records import BenchmarkInfo, Run
from carrot_core.store.store import Store, check_name

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


def copy_benchmark(source: Store, name: str, target: Store, new_name: str | None = None) -> BenchmarkInfo:
    """Copy a benchmark, with the vectors of its texts and the routers fitted on it alone.

    Parameters
    ----------
    source, name : which.
    target : where to.
    new_name : what it is called there; ``name`` by default.

    Raises
    ------
    NotFoundError
        ``source`` has no such benchmark.
    CarrotError
        ``new_name`` is no name.
    StoreError
        ``target`` has one of that name, or cannot be written.
    """
    called = name if new_name is None else new_name
    check_name(called)
    with source.reading(name) as (connection, number):
        parts = {table: _arrow(connection, query, number) for table, query in _PARTS.items()}
    if called != name:
        parts |= _renamed(parts, source.runs(name), called)
    with Database(target.path).write() as connection:
        if called in numbers(connection):
            raise StoreError(f"There is already a benchmark {called!r}: remove it first, or use another name.")
        ((number, run),) = rows(
            connection,
            "select (select coalesce(max(benchmark), 0) + 1 from benchmarks), (select coalesce(max(run), 0) from runs)",
        )
        for table, part in parts.items():
            changed = {"benchmark": f"{number}::integer", "run": f"(run + {run})::integer"}
            replaced = ", ".join(f"{value} as {key}" for key, value in changed.items() if key in part.column_names)
            _insert(connection, table, part, f"* replace ({replaced})" if replaced else "*")
    return target.info(called)


def _renamed(parts: Mapping[str, pa.Table], runs: Sequence[Run], name: str) -> dict[str, pa.Table]:
    """The parts in which the name of the benchmark stands: a run's identity is made of it too."""
    ids = {run.run_id: replace(run, benchmark=name).run_id for run in runs}
    changed = {"benchmarks": ("name", [name])}
    changed["runs"] = ("run_id", [ids[old] for old in parts["runs"]["run_id"].to_pylist()])
    return {
        table: parts[table].set_column(
            parts[table].schema.get_field_index(column), column, pa.array(values, pa.string())
        )
        for table, (column, values) in changed.items()
    }


def _arrow(connection: duckdb.DuckDBPyConnection, query: str, number: int) -> pa.Table:
    return connection.sql(query, params={"benchmark": number}).to_arrow_table()


def _insert(connection: duckdb.DuckDBPyConnection, table: str, part: pa.Table, chosen: str) -> None:
    connection.register("incoming", part)
    # A text may have its vector there already, of the same encoder: the same one.
    or_ignore = "or ignore " if table == "embeddings" else ""
    connection.execute(f"insert {or_ignore}into {table} by name select {chosen} from incoming")  # noqa: S608
    connection.unregister("incoming")
