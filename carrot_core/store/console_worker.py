"""Run one query on the files of a store, in a process of its own that may do nothing else.

A script that reads one JSON document from standard input and writes the answer to standard output. DuckDB
counts only part of the memory a query takes, and a single function call cannot be interrupted
(``range(1000000000)`` took 20 GB and 80 s under a limit of 512 MB and 3 s): only a process can be
held to its limits and ended.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

THREADS = 2
_SCHEMAS = Path(__file__).with_name("schema")
_FILES_IN_PLAN = re.compile(r'"DUCKDB_(?:DATABASES|SETTINGS)\s*"')
_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?(\s*\([^)]*\))?\s", re.IGNORECASE)


def _limit_process(process_bytes: int) -> None:
    if sys.platform == "win32":  # it has no such limits: only the time limit holds
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (process_bytes, process_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # nothing is written to any file
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each file of the store is open


def _open(
    benchmarks: Sequence[Mapping[str, Any]], withheld: Mapping[str, str], memory: str
) -> tuple[duckdb.DuckDBPyConnection, list[str]]:
    """Read-only views of the files on a locked connection, and the names of benchmarks with unreadable files.

    SQL cannot read any file, not even these.
    """
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": "",
            "memory_limit": memory,
            "threads": THREADS,
        }
    )
    unreadable = _show(connection, benchmarks, withheld)
    connection.execute("set enable_external_access = false")
    connection.execute("set disabled_filesystems = 'LocalFileSystem'")
    connection.execute("set lock_configuration = true")
    return connection, unreadable


_IMPORTED = ("benchmarks", "models", "prompts", "outcomes", "samples")


def _show(
    connection: duckdb.DuckDBPyConnection, benchmarks: Sequence[Mapping[str, Any]], withheld: Mapping[str, str]
) -> list[str]:
    """Create a view of each table over all files, without the texts that may not be passed on.

    The files have new random names each time, which no query can know.
    """
    connection.execute("attach ':memory:' as carrot")
    views = _Views(connection, f"file_{secrets.token_hex(16)}")
    for kind in ("vectors", "run"):  # empty, so that the tables exist even if no benchmark has any
        views.add_rows(kind, views.empty(kind))
    unreadable = []
    mains = []
    for benchmark in benchmarks:
        try:
            file = views.attached(benchmark["main"])
            loaded_at = connection.execute(f"select loaded_at from {file}.benchmarks").fetchall()  # noqa: S608  ours
            mains.append((loaded_at, file, benchmark))
        except duckdb.Error:
            unreadable.append(benchmark["name"])
    for number, (_, file, benchmark) in enumerate(sorted(mains, key=lambda main: main[0]), start=1):
        views.add_benchmark(file, number, withheld)
        for kind in ("vectors", "run"):
            for path in benchmark[kind]:
                try:
                    views.add_rows(kind, views.attached(path), number)
                except duckdb.Error:
                    unreadable.append(benchmark["name"])
    connection.execute("use carrot")
    for table, parts in sorted(views.parts.items(), key=lambda view: view[0] not in _IMPORTED):
        connection.execute(f'create view "{table}" as ' + " union all by name ".join(parts))
    return unreadable


class _Views:
    """Collects the parts of each table's view."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        self.parts: dict[str, list[str]] = {}
        self._connection, self._name, self._files, self._runs = connection, name, 0, 0

    def attached(self, path: str) -> str:
        """Attach a file read-only and return its name in SQL."""
        self._files += 1
        file, where = f"{self._name}_{self._files}", path.replace("'", "''")
        self._connection.execute(f"attach '{where}' as {file} (type duckdb, read_only)")
        return file

    def empty(self, kind: str) -> str:
        """Create a database in memory with the tables of such a file and return its name in SQL."""
        name = f"{self._name}_{kind}"
        self._connection.execute(f"attach ':memory:' as {name}; use {name}")
        self._connection.execute((_SCHEMAS / f"{kind}.sql").read_text(encoding="utf-8"))
        return name

    def add_benchmark(self, file: str, number: int, withheld: Mapping[str, str]) -> None:
        """Add the tables of an import."""
        stay = f"(select licence from {file}.benchmarks) = '{withheld['licence']}'"  # noqa: S608  ours
        # `concat` drops the column's statistics; `stats` would otherwise show the first characters of hidden texts.
        texts = ", ".join(
            f"case when {name} is not null then concat(case when {stay} then '{withheld['shown']}' else {name} end) "
            f"end as {name}"
            for name in self._texts_of(file)
        )
        there = f"select table_name from duckdb_tables() where database_name = '{file}'"  # noqa: S608  ours
        tables = {name for (name,) in self._connection.execute(there).fetchall()}
        for table in [name for name in _IMPORTED if name in tables]:  # files of the older schema have no samples
            columns = f"* replace ({texts})" if table == "prompts" else "*"
            self._add(table, f"select {number}::integer as benchmark, {columns}", file)
        self._add("results", "select *", file)
        if "schema_version" not in self.parts:
            self._add("schema_version", "select *", file)

    def _texts_of(self, file: str) -> list[str]:
        """Columns with texts of prompts; a file of the older schema has no ``messages``."""
        columns = "select column_name from duckdb_columns() where database_name = ? and table_name = 'prompts'"
        there = {name for (name,) in self._connection.execute(columns, [file]).fetchall()}
        return [name for name in ("text", "messages") if name in there]

    def add_rows(self, kind: str, file: str, number: int = 0) -> None:
        """Add the tables of a file of vectors or of a run."""
        if kind == "vectors":
            self._add("embeddings", f"select {number}::integer as benchmark, *", file)
            return
        run = f"{self._runs}::integer as run"
        self._add("runs", f"select {run}, run_id, {number}::integer as benchmark, * exclude (run_id)", file)
        self._add("estimates", f"select {run}, *", file)
        self._runs += 1

    def _add(self, table: str, select: str, file: str) -> None:
        self.parts.setdefault(table, []).append(f"{select} from {file}.{table}")


def _only_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether the SQL is one statement that only reads: SELECT, WITH, FROM, DESCRIBE, SHOW, or EXPLAIN of one."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        return False
    if statements[0].type == duckdb.StatementType.EXPLAIN:
        explained = _EXPLAIN.match(sql)
        return explained is not None and _only_reads(connection, sql[explained.end() :])
    return bool(statements[0].type == duckdb.StatementType.SELECT)


def _names_files(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether a query reads the tables or settings of DuckDB that hold the paths of the store's files.

    The plan has the functions behind every view and every text that is run as SQL, the tree of the query the others.
    """
    if explained := _EXPLAIN.match(sql):
        return _names_files(connection, sql[explained.end() :])
    (_, plan), *_ = connection.execute(f"explain (format json) {sql}").fetchall()
    return bool(_FILES_IN_PLAN.search(plan)) or _reads_settings(connection, _tree(connection, sql))


def _reads_settings(connection: duckdb.DuckDBPyConnection, tree: Any) -> bool:
    """Whether the tree of a query calls ``current_setting``, also in a text that ``query`` runs."""
    parts = [tree]
    while parts:  # a sum of hundreds of terms is a tree too deep for calls of calls
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        if not isinstance(part, dict):
            continue
        name = str(part.get("function_name", "")).casefold()
        if part.get("error") is True or name == "current_setting":  # an error: DuckDB cannot show the text as a tree
            return True
        if name == "query":
            try:
                text = part["arguments"][0]["expression"]["literal"]["text"]
            except (LookupError, TypeError):  # put together of other texts
                return True
            parts.append(_tree(connection, text))
        else:
            parts += part.values()
    return False


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    ((tree,),) = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
    return json.loads(tree)


def _plain(value: Any, most: int) -> tuple[Any, bool]:
    """Convert a value to JSON types, with text cut to ``most`` characters; also returns whether it was cut."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value, False
    if isinstance(value, Decimal):
        return float(value), False
    text = value if isinstance(value, str) else str(value)
    return (text[:most] + "…", True) if len(text) > most else (text, False)


def answer(
    benchmarks: Sequence[Mapping[str, Any]],
    sql: str,
    max_rows: int,
    withheld: Mapping[str, str],
    memory: str,
    value_characters: int,
    answer_bytes: int,
) -> dict[str, Any]:
    """Columns and rows of a query, and which limit ``cut`` them: "", "rows", "text" or "size".

    Each of ``benchmarks`` has a ``name``, the file ``main`` and the files ``vectors`` and ``run``; ``left_out`` in
    the answer names those with a file that cannot be opened. ``withheld`` has the ``licence`` of benchmarks whose
    texts stay in the file, and the text ``shown`` instead.
    """
    connection, unreadable = _open(benchmarks, withheld, memory)
    if not _only_reads(connection, sql):
        return {"refused": "Only one statement that reads is allowed: SELECT, WITH, DESCRIBE, SHOW or EXPLAIN."}
    if _names_files(connection, sql):
        return {"refused": "Where the server keeps its files, and its settings, cannot be queried."}
    relation = connection.sql(sql).limit(max_rows + 1)
    answer_rows: list[list[Any]] = []
    size, cut = 0, ""
    for row in relation.fetchall():
        cells = [_plain(value, value_characters) for value in row]
        size += len(json.dumps([value for value, _ in cells]))
        if len(answer_rows) == max_rows or size > answer_bytes:
            cut = "rows" if len(answer_rows) == max_rows else "size"
            break
        cut = "text" if any(short for _, short in cells) else cut
        answer_rows.append([value for value, _ in cells])
    return {"columns": relation.columns, "rows": answer_rows, "cut": cut, "left_out": unreadable}


def main() -> None:
    """Answer the query on standard input."""
    request = json.load(sys.stdin)
    _limit_process(request.pop("process_bytes"))
    try:
        result = answer(**request)
    except (duckdb.OutOfMemoryException, MemoryError):
        result = {"memory": True}
    except (duckdb.Error, RuntimeError) as error:
        result = {"error": str(error)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
