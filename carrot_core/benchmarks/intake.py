"""What a file must be before anything parses it: text in UTF-8, of a bounded size, with a sane number of columns.

Files are other people's: a few kilobytes may unpack to a terabyte, and a parser that has begun is hard to
stop. So the bytes are counted and looked at first, in one pass and a few megabytes of memory.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from carrot_core.errors import DataError, Problem

# Four times the largest upload: tables unpack to three to ten times their size, a bomb to a thousand.
MOST_UNPACKED_BYTES = 2 << 30
# Room for 500 models of a wide table with four columns each; more is a table that was turned on its side.
MOST_COLUMNS = 2_000
MOST_ROWS = 100_000_000
PACKED = {".gz": "gzip", ".zst": "zstd"}
_CHUNK = 1 << 20
_MOST_HEADER = 1 << 20  # bytes; 2,000 columns with names of 500 letters
_WIDE_CHARACTERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check_text(path: Path, kind: str) -> list[str]:
    """Look at a text file as a whole before it is parsed.

    Parameters
    ----------
    path : the file, which may be packed (`PACKED`).
    kind : ".csv", ".tsv", ".jsonl" or ".ndjson".

    Returns
    -------
    The names in its header, exactly as they are; for JSON lines the keys of the first line.

    Raises
    ------
    DataError
        It unpacks to too much or not at all, is not UTF-8, or has too many columns.
    """
    decode, start, place = codecs.getincrementaldecoder("utf-8")().decode, b"", _Place(kind)
    try:
        for chunk in _chunks(path):
            if not place.bytes and chunk.startswith(_WIDE_CHARACTERS):
                raise DataError(path.name, [_not_utf8("is UTF-16", None)])
            try:
                decode(chunk)
            except UnicodeDecodeError as error:
                raise DataError(path.name, [place.of(chunk, error)]) from error
            start = start if len(start) >= _MOST_HEADER else (start + chunk)[:_MOST_HEADER]
            place.pass_by(chunk)
            if path.suffix.lower() in PACKED and place.bytes > MOST_UNPACKED_BYTES:
                raise DataError(path.name, [_bomb()])
        try:
            decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise DataError(path.name, [place.of(b"", error)]) from error
    except OSError as error:
        raise DataError(path.name, [_damaged(path, error)]) from error
    names = _names(start, kind)
    check_columns(path, len(names))
    return names


def header(path: Path, kind: str) -> list[str]:
    """What `check_text` returns, from the beginning of the file alone."""
    try:
        return _names(next(_chunks(path), b""), kind)
    except OSError as error:
        raise DataError(path.name, [_damaged(path, error)]) from error


def check_columns(path: Path, columns: int) -> None:
    """At most `MOST_COLUMNS`, else a `DataError`."""
    if columns > MOST_COLUMNS:
        remedy = "One row is one prompt, or one prompt and model; leave out the columns that are neither."
        raise DataError(path.name, [Problem(f"has {columns:,} columns, the most is {MOST_COLUMNS:,}", remedy)])


def check_rows(path: Path, rows: int) -> None:
    """At most `MOST_ROWS`, else a `DataError`; a Parquet file of a few kilobytes may hold billions of equal rows."""
    if rows > MOST_ROWS:
        raise DataError(path.name, [Problem(f"has {rows:,} rows, the most is {MOST_ROWS:,}", "Keep a part of it.")])


def _chunks(path: Path) -> Iterator[bytes]:
    packed = PACKED.get(path.suffix.lower())
    with path.open("rb") as file:
        # An empty file is no gzip file to the reader; that it is empty is said elsewhere.
        stream = pa.input_stream(file, compression=packed) if packed and path.stat().st_size else file
        while chunk := stream.read(_CHUNK):
            yield chunk


class _Place:
    """Where in the file the pass has come to."""

    def __init__(self, kind: str) -> None:
        self.bytes = self.lines = 0
        self.header = kind in (".csv", ".tsv")
        self.quoted = False

    def pass_by(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        self.lines += chunk.count(b"\n")
        self.quoted = self.quoted or b'"' in chunk

    def of(self, chunk: bytes, error: UnicodeDecodeError) -> Problem:
        before = chunk[: error.start]
        lines = self.lines + before.count(b"\n") + 1
        # A quoted value may hold line ends: behind a quote a line of a CSV is no row.
        known = not self.header or not (self.quoted or b'"' in before)
        row = lines - self.header if known else 0
        return _not_utf8(f"is not UTF-8 in line {lines:,}", row or None)


def _not_utf8(what: str, row: int | None) -> Problem:
    return Problem(what, "Save it as UTF-8; spreadsheets call it “CSV UTF-8”.", row)


def _damaged(path: Path, error: OSError) -> Problem:
    reason = "its end is missing, or it is damaged" if path.suffix.lower() in PACKED else error.strerror
    return Problem(f"cannot be read: {reason}", "Pack or copy it again.")


def _bomb() -> Problem:
    most = f"{MOST_UNPACKED_BYTES >> 30} GiB"
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
