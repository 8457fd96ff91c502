"""Checks of a file before it is parsed: UTF-8 text, limited size, limited number of columns.

Files come from strangers: a few kilobytes may unpack to a terabyte, and a running parser is hard to stop. So
the bytes are counted and checked first, in one pass and a few megabytes of memory.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from carrot_core import limits
from carrot_core.errors import DataError, Problem

PACKED = {".gz": "gzip", ".zst": "zstd"}
_CHUNK = 1 << 20
_NAME = re.compile(rb'(?<!\\)"\s*:')  # its end, in a JSON object
_SHORTEST_NAME = 4  # bytes, with quotes and a colon
_WIDE_CHARACTERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_text(path: Path, kind: str, *, head: bool = False) -> list[str]:
    """Look at a text file before it is parsed: at all of it, or at its first megabyte (``head``).

    Parameters
    ----------
    path : the file, which may be packed (`PACKED`).
    kind : ".csv", ".tsv", ".jsonl", ".ndjson", or ".txt", which has no columns.

    Returns
    -------
    The names in its header, exactly as they are; for JSON lines the keys of the first line; none for ".txt".

    Raises
    ------
    DataError
        It unpacks to too much or not at all, is not UTF-8, or has too many columns.
    """
    decode, start, place = codecs.getincrementaldecoder("utf-8")().decode, b"", _Place(kind)
    try:
        for chunk in islice(chunks(path), 1 if head else None):
            if not place.bytes and chunk.startswith(_WIDE_CHARACTERS):
                raise DataError(path.name, [_not_utf8("is UTF-16", None)])
            try:
                decode(chunk)
            except UnicodeDecodeError as error:
                raise DataError(path.name, [place.of(chunk, error)]) from error
            start = start if len(start) >= limits.HEADER_BYTES else (start + chunk)[: limits.HEADER_BYTES]
            place.pass_by(chunk)
            check_columns(path, place.names, " or more")
            if path.suffix.lower() in PACKED and place.bytes > limits.UNPACKED_BYTES:
                raise DataError(path.name, [_bomb()])
        try:
            decode(b"", final=not head)
        except UnicodeDecodeError as error:
            raise DataError(path.name, [place.of(b"", error)]) from error
    except OSError as error:
        raise DataError(path.name, [_damaged(path, error)]) from error
    names = [] if kind == ".txt" else _names(start, kind)
    check_columns(path, _distinct_names(start) if place.json else len(names))
    return names


def header(path: Path, kind: str) -> list[str]:
    """What `check_text` returns, from the beginning of the file alone."""
    try:
        return _names(next(chunks(path), b""), kind)
    except OSError as error:
        raise DataError(path.name, [_damaged(path, error)]) from error


def check_columns(path: Path, columns: int, more: str = "") -> None:
    """Raise a `DataError` above `carrot_core.limits.COLUMNS`; ``more`` says that not all were counted."""
    if columns > limits.COLUMNS:
        remedy = "One row is one prompt, or one prompt and model; leave out the columns that are neither."
        raise DataError(path.name, [Problem(f"has {columns:,} columns{more}, the most is {limits.COLUMNS:,}", remedy)])


def check_schema(path: Path) -> None:
    """Count the columns of a Parquet file before it is read; the parser refuses a file that is not Parquet."""
    try:
        leaves = pq.read_metadata(path).num_columns
        columns = leaves if leaves <= limits.COLUMNS else len(pq.read_schema(path))
    except (pa.ArrowException, OSError, ValueError):
        return
    check_columns(path, columns)


def check_rows(path: Path, rows: int) -> None:
    """Raise a `DataError` above `carrot_core.limits.ROWS`."""
    if rows > limits.ROWS:
        raise DataError(path.name, [Problem(f"has {rows:,} rows, the most is {limits.ROWS:,}", "Keep a part of it.")])


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked, about a megabyte at a time."""
    packed = PACKED.get(path.suffix.lower())
    with path.open("rb") as file:
        # The gzip reader would refuse an empty file; emptiness is reported elsewhere.
        stream = pa.input_stream(file, compression=packed) if packed and path.stat().st_size else file
        while chunk := stream.read(_CHUNK):
            yield chunk


class _Place:
    """Position of the pass in the file."""

    def __init__(self, kind: str) -> None:
        self.bytes = self.lines = 0
        self.header = kind in (".csv", ".tsv")
        self.json = kind in (".jsonl", ".ndjson")
        self.quoted = False
        self.names = 0  # of the widest JSON object that stands on one line
        self._names_of_line = 0

    def pass_by(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        self.lines += chunk.count(b"\n")
        self.quoted = self.quoted or b'"' in chunk
        if self.json:
            self._count_names(chunk)

    def _count_names(self, chunk: bytes) -> None:
        for place, part in enumerate(chunk.split(b"\n")):
            # Count only in lines long enough to have too many names.
            n_names = len(_NAME.findall(part)) if len(part) > _SHORTEST_NAME * limits.COLUMNS else 0
            self._names_of_line = n_names + (0 if place else self._names_of_line)
            self.names = max(self.names, self._names_of_line)

    def of(self, chunk: bytes, error: UnicodeDecodeError) -> Problem:
        before = chunk[: error.start]
        lines = self.lines + before.count(b"\n") + 1
        # A quoted value may hold line ends: after a quote, lines of a CSV are no longer rows.
        row_is_certain = not self.header or not (self.quoted or b'"' in before)
        row = lines - self.header if row_is_certain else 0
        return _not_utf8(f"is not UTF-8 in line {lines:,}", row or None)


def _not_utf8(what: str, row: int | None) -> Problem:
    return Problem(what, "Save it as UTF-8; spreadsheets call it “CSV UTF-8”.", row)


def _damaged(path: Path, error: OSError) -> Problem:
    reason = "its end is missing, or it is damaged" if path.suffix.lower() in PACKED else error.strerror
    return Problem(f"cannot be read: {reason}", "Pack or copy it again.")


def _bomb() -> Problem:
    most = f"{limits.UNPACKED_BYTES >> 30} GiB"
    return Problem(f"unpacks to more than {most}", "Unpack it yourself if you trust it, and import what comes out.")


def _names(start: bytes, kind: str) -> list[str]:
    text = start.decode("utf-8-sig", errors="ignore")
    if kind not in (".csv", ".tsv"):
        line = next((line for line in text.split("\n") if line.strip()), "")
        try:
            first = json.loads(line)
        except (ValueError, RecursionError):
            return []  # the parser says what is wrong with it
        return list(first) if isinstance(first, dict) else []
    try:
        return next(csv.reader(iter(text.splitlines(keepends=True)), delimiter="," if kind == ".csv" else "\t"), [])
    except csv.Error:
        return []  # likewise


def _distinct_names(start: bytes) -> int:
    """Number of distinct keys in the first lines; the parser refuses lines that are not JSON."""
    names = set[str]()
    for line in start.split(b"\n"):
        try:
            names.update(json.loads(line))
        except (ValueError, RecursionError, TypeError):
            continue
    return len(names)
