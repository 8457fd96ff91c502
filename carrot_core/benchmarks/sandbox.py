"""DuckDB connections that cannot reach beyond what they were opened for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


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
            yield connection


def lock_down(connection: duckdb.DuckDBPyConnection) -> None:
    """From here on: no file beyond those already open, no change of settings."""
    connection.execute("set enable_external_access = false; set lock_configuration = true")
