"""The SQL console: one read-only query on all benchmarks of a store, in a limited process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from carrot_core import limits
from carrot_core.benchmarks import NONE_STATED, NOT_EXPORTED
from carrot_core.errors import CarrotError, NotFoundError, sql_mistake
from carrot_core.store import Store
from carrot_core.store.info import BenchmarkInfo

_WORKER_LIMITS = {
    "process_bytes": limits.SQL_PROCESS_BYTES,
    "memory": limits.SQL_MEMORY,
    "value_characters": limits.SQL_VALUE_CHARACTERS,
    "answer_bytes": limits.SQL_ANSWER_BYTES,
}
_WORKER = Path(__file__).with_name("console_worker.py")
# Environment variables that a new Python process needs to start; the query's process gets no others.
_ENVIRONMENT = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_turns = threading.BoundedSemaphore(limits.SQL_AT_ONCE)  # queries at a time, over all threads


@dataclass(frozen=True, eq=False)
class Answer:
    """Rows of a query, and a note that says what was left out ("" if nothing was)."""

    frame: pd.DataFrame
    note: str


def query(
    store: Store, sql: str, *, max_rows: int = limits.SQL_ROWS, time_limit_s: float = limits.SQL_SECONDS
) -> Answer:
    """Answer one SELECT, WITH, DESCRIBE, SHOW or EXPLAIN query on the benchmarks of a store.

    Benchmarks are numbered in the order in which they were imported. Those that are damaged are left out, and
    the note of the answer names them.

    The query runs in a process of its own, without other statements, files, network or environment, with about
    2 GiB of memory, for at most ``time_limit_s`` seconds and ``max_rows`` rows. Texts whose source states no licence
    are replaced by `NOT_EXPORTED`, since an answer may be saved.

    Raises
    ------
    NotFoundError
        There is no benchmark yet.
    CarrotError
        DuckDB refuses the query, or the query exceeds a limit; the message says which.
    """
    infos = store.benchmarks()
    if not infos:
        note = _left_out(store.damaged(), ())
        raise NotFoundError(f"There is nothing to query yet; import a benchmark first. {note}".rstrip())
    if len(sql) > limits.SQL_CHARACTERS:
        raise CarrotError(f"The query has {len(sql):,} characters; at most {limits.SQL_CHARACTERS:,} are taken.")
    if not _turns.acquire(timeout=time_limit_s):
        raise CarrotError("Other queries are running; try again in a moment.")
    try:
        # DuckDB refuses lone surrogates.
        text = sql.encode("utf-8", "replace").decode()
        withheld = {"licence": NONE_STATED, "shown": NOT_EXPORTED}
        request = {"sql": text, "max_rows": max_rows, "withheld": withheld} | _WORKER_LIMITS
        result = _ask({"benchmarks": _files(store, infos), **request}, time_limit_s)
    finally:
        _turns.release()
    if "refused" in result:
        raise CarrotError(result["refused"])
    if "error" in result:
        raise CarrotError(str(sql_mistake("The query cannot be answered", result["error"], text)))
    notes = [_note(result["cut"], len(result["rows"])), _left_out(store.damaged(), result["left_out"])]
    return Answer(_frame(result["columns"], result["rows"]), " ".join(filter(None, notes)))


def _files(store: Store, infos: Sequence[BenchmarkInfo]) -> list[dict[str, Any]]:
    """For each benchmark: its name, its main file, the files of its vectors and the files of its runs."""
    listed = [(info.name, store.folder(info.name).files()) for info in infos]
    return [
        {
            "name": name,
            "main": str(files.main),
            "vectors": [str(path) for path in files.of("vectors-")],
            "run": [str(path) for path in files.of("run-")],
        }
        for name, files in listed
        if files is not None  # removed meanwhile
    ]


def _left_out(damaged: Iterable[str], unreadable: Iterable[str]) -> str:
    names = sorted({*damaged, *unreadable})
    return f"Damaged, and not all in the answer: {', '.join(names)} (`carrot data verify`)." if names else ""


def _ask(request: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
    try:
        ended = subprocess.run(  # noqa: S603  our own script, the query travels as data
            [sys.executable, "-I", str(_WORKER)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=time_limit_s,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CarrotError(f"The query was stopped after {time_limit_s:g} s: ask for less at a time.") from error
    if ended.returncode > 0 and "MemoryError" not in ended.stderr:
        raise RuntimeError(f"the console's process failed:\n{ended.stderr}")
    # DuckDB and Python sometimes end a process instead of reporting that it is out of memory.
    result: dict[str, Any] = json.loads(ended.stdout) if ended.returncode == 0 else {"memory": True}
    if "memory" in result:
        raise CarrotError(
            f"The query needs more memory than it may have ({limits.SQL_MEMORY}): ask for less at a time."
        )
    return result


def _note(cut: str, n_rows: int) -> str:
    return {
        "": "",
        "rows": f"Only the first {n_rows:,} rows are here: add a LIMIT or a condition to choose others.",
        "size": f"Only the first {n_rows:,} rows are here, since the answer is large: choose fewer columns or rows.",
        "text": f"Texts of more than {limits.SQL_VALUE_CHARACTERS:,} characters are cut.",
    }[cut]


def _frame(columns: list[str], rows: list[list[Any]]) -> pd.DataFrame:
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return pd.DataFrame({name: _column(list(column)) for name, column in zip(columns, values, strict=True)})


def _column(values: list[Any]) -> pd.Series[Any]:
    """A column of integers stays one despite missing values; a column of mixed types becomes text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return pd.Series(values, dtype="Int64")
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype=float)
    return pd.Series([None if value is None else str(value) for value in values], dtype=object)


def schema(store: Store) -> pd.DataFrame:
    """Tables and columns that a query can use: ``table``, ``column``, ``type``."""
    return query(
        store,
        'select table_name as "table", column_name as "column", lower(data_type) as "type" '
        "from duckdb_columns() where database_name = 'carrot' and not internal order by table_oid, column_index",
    ).frame
