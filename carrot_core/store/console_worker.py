"""One query on a database file, in a process of its own that may do nothing else.

Run as a script with one JSON document on standard input, the answer goes to standard output. DuckDB
counts only part of the memory a query takes, and a single function call cannot be interrupted
(``range(1000000000)`` took 20 GB and 80 s under a limit of 512 MB and 3 s): only a process can be
held to its limits and ended.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import duckdb

THREADS = 2
_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?(\s*\([^)]*\))?\s", re.IGNORECASE)


def _limit_process(process_bytes: int) -> None:
    if sys.platform == "win32":  # no such limits there: the time limit alone holds
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (process_bytes, process_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # nothing is written to any file
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _open(path: str, withheld: Mapping[str, str], memory: str) -> duckdb.DuckDBPyConnection:
    """Views of the database, read-only, with every door closed; not even its own file can be read as a file."""
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
    _show(connection, path.replace("'", "''"), withheld)
    connection.execute("set enable_external_access = false")
    connection.execute("set disabled_filesystems = 'LocalFileSystem'")
    connection.execute("set lock_configuration = true")
    return connection


def _show(connection: duckdb.DuckDBPyConnection, where: str, withheld: Mapping[str, str]) -> None:
    """A view of each table and view of the file, in which texts that are not to be passed on are not.

    The file goes by another name each time, which no query can know beforehand.
    """
    file = f"file_{secrets.token_hex(16)}"
    connection.execute(f"attach '{where}' as {file} (type duckdb, read_only)")
    connection.execute("attach ':memory:' as carrot")
    connection.execute("use carrot")
    stay = f"benchmark in (select benchmark from {file}.benchmarks where licence = '{withheld['licence']}')"  # noqa: S608  ours
    shown = f"case when {stay} then '{withheld['shown']}' else text end"
    # Through a function that knows no statistics: `stats` would tell the first characters of what is behind.
    text = f"case when text is not null then concat({shown}) end as text"
    columns = {"prompts": f"* replace ({text})"}
    tables = connection.execute(
        "select table_name from duckdb_tables() where database_name = $file union all "
        "select view_name from duckdb_views() where database_name = $file and not internal",
        {"file": file},
    )
    for (table,) in tables.fetchall():
        connection.execute(f'create view "{table}" as select {columns.get(table, "*")} from {file}."{table}"')  # noqa: S608  ours


def _only_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether it is one statement that reads: SELECT, WITH, FROM, DESCRIBE, SHOW, or EXPLAIN of one of them."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        return False
    if statements[0].type == duckdb.StatementType.EXPLAIN:
        explained = _EXPLAIN.match(sql)
        return explained is not None and _only_reads(connection, sql[explained.end() :])
    return bool(statements[0].type == duckdb.StatementType.SELECT)


def _plain(value: Any, most: int) -> tuple[Any, bool]:
    """A value as JSON holds it, text of at most so many characters, and whether it was cut."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value, False
    if isinstance(value, Decimal):
        return float(value), False
    text = value if isinstance(value, str) else str(value)
    return (text[:most] + "…", True) if len(text) > most else (text, False)


def answer(
    path: str,
    sql: str,
    max_rows: int,
    withheld: Mapping[str, str],
    memory: str,
    value_characters: int,
    answer_bytes: int,
) -> dict[str, Any]:
    """Columns and rows of a query, and by what they were ``cut``: "", "rows", "text" or "size".

    ``withheld`` has the ``licence`` of benchmarks whose texts stay in the file, and what is ``shown`` instead.
    """
    connection = _open(path, withheld, memory)
    if not _only_reads(connection, sql):
        return {"error": "Only one statement that reads is allowed: SELECT, WITH, DESCRIBE, SHOW or EXPLAIN."}
    relation = connection.sql(sql).limit(max_rows + 1)
    kept: list[list[Any]] = []
    size, cut = 0, ""
    for row in relation.fetchall():
        cells = [_plain(value, value_characters) for value in row]
        size += len(json.dumps([value for value, _ in cells]))
        if len(kept) == max_rows or size > answer_bytes:
            cut = "rows" if len(kept) == max_rows else "size"
            break
        cut = "text" if any(short for _, short in cells) else cut
        kept.append([value for value, _ in cells])
    return {"columns": relation.columns, "rows": kept, "cut": cut}


def main() -> None:
    """Answer the query on standard input."""
    asked = json.load(sys.stdin)
    _limit_process(asked.pop("process_bytes"))
    try:
        result = answer(**asked)
    except (duckdb.OutOfMemoryException, MemoryError):
        result = {"memory": True}
    except (duckdb.Error, RuntimeError) as error:
        result = {"error": str(error)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
