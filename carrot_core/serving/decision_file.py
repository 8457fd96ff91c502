"""Decisions written as they come, into a file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from carrot_core.csv_out import safe_csv
from carrot_core.errors import CarrotError

Write = Callable[[pd.DataFrame], None]
_TYPES = {"prompt_id": pa.string(), "prompt": pa.string(), "model": pa.string(), "fell_back": pa.bool_()}


@contextmanager
def decision_file(out: Path) -> Iterator[Write]:
    """A function that appends frames of the same columns to a file.

    They go to a file beside it, which takes its place at the end; when anything ends the writing before,
    nothing is left of it and a file that was there stays as it was.

    Parameters
    ----------
    out : ``.parquet``, ``.csv`` (as `safe_csv` writes it) or ``.jsonl`` (a flat object a line, null for NaN).

    Raises
    ------
    CarrotError
        Another ending, or it cannot be written.
    """
    kind = out.suffix.lower()
    if kind not in _WRITERS:
        raise CarrotError(f"Decisions are written as {', '.join(_WRITERS)}, not as {out.name!r}.")
    part = out.with_name(f"{out.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with _WRITERS[kind](part) as write:
            yield write
        os.replace(part, out)
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):  # what went wrong before is told
            part.unlink(missing_ok=True)


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    opened: list[pq.ParquetWriter] = []

    def write(frame: pd.DataFrame) -> None:
        schema = pa.schema([(name, _TYPES.get(name, pa.float64())) for name in frame.columns])
        if not opened:
            opened.append(pq.ParquetWriter(path, schema))
        opened[0].write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))

    try:
        yield write
    finally:
        for writer in opened:
            writer.close()


@contextmanager
def _text(path: Path, line_by_line: Callable[[pd.DataFrame, bool], str]) -> Iterator[Write]:
    # Lone surrogates, which a prompt can have, are no UTF-8: they are written as \\udcxx.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        yield lambda frame: print(line_by_line(frame, file.tell() == 0), end="", file=file)


def _csv(path: Path) -> contextlib.AbstractContextManager[Write]:
    return _text(path, lambda frame, first: safe_csv(frame, header=first))


def _jsonl(path: Path) -> contextlib.AbstractContextManager[Write]:
    return _text(path, lambda frame, _: "".join(f"{json.dumps(row)}\n" for row in _rows(frame)))


def _rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    # JSON has no NaN
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


_WRITERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Write]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
}
