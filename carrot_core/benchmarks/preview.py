"""The first rows of a table file as text, without reading the others."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd

from carrot_core.benchmarks.columns import quote
from carrot_core.benchmarks.file_checks import check_columns, check_text, head_of, private_connection
from carrot_core.benchmarks.parts import Part, parts_of, text_dialect
from carrot_core.benchmarks.reading import FOUND, Reading, check_file, first_rows, kind_of, text_encoding
from carrot_core.benchmarks.table_file import PARQUET, RefusedError, unreadable
from carrot_core.errors import DataError


def column_names(path: Path, reading: Reading = FOUND) -> tuple[str, ...]:
    """Names of the columns, from the beginning of the file alone; for JSON lines the keys of the first one."""
    return tuple(preview(path, 0, reading).columns)


def preview(path: Path, rows: int, reading: Reading = FOUND) -> pd.DataFrame:
    """The first rows as text, without reading the others of a text or of Parquet.

    Raises
    ------
    NotFoundError, DataError
        As `open_table`, as far as the first rows show it.
    """
    check_file(path)
    head = head_of(path)
    kind = kind_of(path, head)
    encoding = reading.encoding or text_encoding(head)
    if kind == ".csv":
        text = head.decode(encoding or "utf-8", errors="replace")
        dialect, _ = text_dialect(path, text.encode(), reading)
        names, *cells = [[], *first_rows(text, dialect.separator, rows, dialect.skip)][1:] or [[]]
        check_columns(path, len(names))
        cells = [(row + [""] * len(names))[: len(names)] for row in cells[:rows]]
        return pd.DataFrame(cells, columns=pd.Index(_distinct(names), dtype=object), dtype=object)
    if kind == ".jsonl" and not encoding:
        check_text(path, kind, head=head)
        return _json_preview(head, rows)
    with tempfile.TemporaryDirectory(prefix="carrot-") as folder:
        part = parts_of(path, Path(folder), reading)[0]
        return _parquet_preview(part, rows) if part.kind == ".parquet" else preview(part.path, rows)


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns as DuckDB tells them apart: a column without one has its place, a name again a number."""
    distinct: list[str] = []
    for place, name in enumerate(names):
        stem = name or f"column{place}"
        free = (stem, *(f"{stem}_{number}" for number in range(1, len(names))))
        distinct.append(next(name for name in free if name not in distinct))
    return distinct


def _parquet_preview(part: Part, rows: int) -> pd.DataFrame:
    with private_connection() as connection:
        try:
            relation = connection.sql(f"from {PARQUET}", params={"path": part.pattern})
            check_columns(part.path, len(relation.columns))
            texts = ", ".join(f"{quote(name)}::varchar as {quote(name)}" for name in relation.columns)
            first: pd.DataFrame = relation.project(texts).limit(rows).df()
            return first
        except (duckdb.Error, RuntimeError) as error:
            raise DataError(part.source, [unreadable(RefusedError(part, error))]) from error


def _json_preview(head: bytes, rows: int) -> pd.DataFrame:
    records = []
    for line in head.decode("utf-8-sig", errors="replace").split("\n")[: rows + 1]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue  # cut by the end of the head, or wrong, which a reader of all lines says
        records += [record] if isinstance(record, dict) else []
    names = list(dict.fromkeys(name for record in records for name in record))
    cells = [[_text_of(record.get(name)) for name in names] for record in records[:rows]]
    return pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)


def _text_of(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
