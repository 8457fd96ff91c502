"""Files of strangers: checked before they are parsed, and queried in a DuckDB instance that reaches nothing else.

Files come from strangers: a few kilobytes may unpack to a terabyte, and a running parser is hard to stop. So
the bytes are counted and checked first, in one pass and a few megabytes of memory.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from carrot_core import limits
from carrot_core.benchmarks.columns import OF_PYTHON, quote
from carrot_core.benchmarks.reading import ENDINGS, PACKED, Dialect, first_rows, packing_of, text_encoding
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text
from carrot_core.text import PYTHON_CHARACTERS, json_of_python

# What the standard library raises of damaged zips, those with a password, and ways of packing it does not know.
UNZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)
_CHUNK = 1 << 20
_CELL_SHOWN = 80  # characters of a cell in a note
_NAME = re.compile(rb'(?<!\\)"\s*:')  # its end, in a JSON object
# Beginnings of files that are often taken for tables: what they are, and what to do.
_OTHER_KINDS = (
    (b"\xd0\xcf\x11\xe0", "is an old workbook (.xls)", "Save it as XLSX or CSV."),
    (b"BZh", "is packed by bzip2", "Unpack it, or pack it by gzip or zstd."),
    (b"\xfd7zXZ", "is packed by xz", "Unpack it, or pack it by gzip or zstd."),
    (b"7z\xbc\xaf", "is packed by 7-Zip", "Unpack it, or pack it as a zip."),
    (b"%PDF", "is a PDF", "Export the table it shows as CSV."),
    (b"SQLite format 3", "is a database (SQLite)", "Export its table as CSV."),
    (b"Obj\x01", "is an Avro file", "Write it as Parquet."),
    (b"<!doctype html", "is a web page, not a table", "Was it saved from a page that asks to log in?"),
    (b"<html", "is a web page, not a table", "Was it saved from a page that asks to log in?"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file itself", "Get the file: git lfs pull."),
)
_SHORTEST_NAME = 4  # bytes, with quotes and a colon


def check_is_table(path: Path, head: bytes) -> None:
    """Raise a `DataError` of a file that is known to be something else than a table."""
    beginning = head[:64].removeprefix(codecs.BOM_UTF8).lstrip()
    for mark, what, remedy in _OTHER_KINDS:
        if beginning.startswith(mark) or (mark.startswith(b"<") and beginning.lower().startswith(mark)):
            raise DataError(path.name, [Problem(what, remedy)])
    if head[257:262] == b"ustar":
        raise DataError(path.name, [Problem("is a tar of files", "Unpack it, or pack the files as a zip.")])


class NotUtf8Error(DataError):
    """A text is not UTF-8; ``cut`` says that a character lacks its end, which no other encoding explains."""

    def __init__(self, where: str, problem: Problem, cut: bool) -> None:
        self.cut = cut
        super().__init__(where, [problem])


def check_text(path: Path, kind: str, dialect: Dialect | None = None, *, head: bytes | None = None) -> list[str]:
    """Look at a text file before it is parsed: at all of it, or at its beginning alone (``head``).

    Parameters
    ----------
    path : the file, which may be packed.
    kind : ".csv", ".jsonl", or ".txt", which has no columns.
    dialect : of a CSV.

    Returns
    -------
    The names in its header, exactly as they are; for JSON lines the keys of the first line; none for ".txt".

    Raises
    ------
    NotUtf8Error
        It is not UTF-8.
    DataError
        It unpacks to too much or not at all, or has too many columns.
    """
    decode, start, place = codecs.getincrementaldecoder("utf-8")().decode, b"", _Place(kind)
    packed, most = packing_of(path) is not None, limits.unpacked_bytes(path.stat().st_size)
    try:
        for chunk in chunks(path) if head is None else (head,):
            if not place.bytes and text_encoding(chunk):
                raise NotUtf8Error(path.name, _not_utf8("is UTF-16", None), cut=False)
            try:
                decode(chunk)
            except UnicodeDecodeError as error:
                raise NotUtf8Error(path.name, place.of(chunk, error), cut=False) from error
            start = start if len(start) >= limits.HEADER_BYTES else (start + chunk)[: limits.HEADER_BYTES]
            place.pass_by(chunk)
            check_columns(path, place.names, " or more")
            if packed and place.bytes > most:
                raise DataError(path.name, [_bomb(most)])
        try:
            decode(b"", final=head is None)
        except UnicodeDecodeError as error:
            raise NotUtf8Error(path.name, place.of(b"", error), cut=True) from error
    except OSError as error:
        raise DataError(path.name, [_damaged(path, error)]) from error
    names = [] if kind == ".txt" else header(start, kind, dialect)
    check_columns(path, _distinct_names(start) if place.json else len(names))
    return names


def first_bytes(path: Path) -> bytes:
    """The beginning of a file, unpacked: a megabyte, or all there is.

    Raises
    ------
    DataError
        It cannot be unpacked.
    """
    try:
        return next(chunks(path), b"")
    except OSError as error:
        raise DataError(path.name, [_damaged(path, error)]) from error


def header(head: bytes, kind: str, dialect: Dialect | None) -> list[str]:
    """The names of the columns in the beginning of a text; of JSON lines, the keys of the first."""
    text = head.decode("utf-8-sig", errors="ignore")
    if kind == ".csv" and dialect:
        return next(first_rows(text, dialect.separator, 0, dialect.skip), [])
    line = next((line for line in text.split("\n") if line.strip()), "")
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return []  # the parser says what is wrong with it
    return list(first) if isinstance(first, dict) else []


def check_columns(path: Path, columns: int, more: str = "") -> None:
    """Raise a `DataError` above `carrot_core.limits.COLUMNS`; ``more`` says that not all were counted."""
    if columns > limits.COLUMNS:
        remedy = "One row is one prompt, or one prompt and model; leave out the columns that are neither."
        raise DataError(path.name, [Problem(f"has {columns:,} columns{more}, the most is {limits.COLUMNS:,}", remedy)])


def check_schema(path: Path) -> None:
    """Count columns and bytes of a Parquet file before it is read; the parser refuses a file that is not Parquet."""
    try:
        metadata = pq.read_metadata(path)
        leaves = metadata.num_columns
        columns = leaves if leaves <= limits.COLUMNS else len(pq.read_schema(path))
        size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    except (pa.ArrowException, OSError, ValueError):
        return
    check_columns(path, columns)
    if size > (most := limits.unpacked_bytes(path.stat().st_size)):
        raise DataError(path.name, [_bomb(most)])


def check_rows(path: Path, rows: int) -> None:
    """Raise a `DataError` above `carrot_core.limits.ROWS`."""
    if rows > limits.ROWS:
        raise DataError(path.name, [Problem(f"has {rows:,} rows, the most is {limits.ROWS:,}", "Keep a part of it.")])


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked, about a megabyte at a time."""
    with byte_stream(path) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


@contextmanager
def byte_stream(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked."""
    packing = packing_of(path)
    with path.open("rb") as file:
        yield io.BufferedReader(pa.input_stream(file, compression=packing), _CHUNK) if packing else file


@contextmanager
def text_stream(path: Path) -> Iterator[IO[str]]:
    """The lines of a file in UTF-8, unpacked, each with the line end it has."""
    with byte_stream(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        yield text


class _Place:
    """Position of the pass in the file."""

    def __init__(self, kind: str) -> None:
        self.bytes = self.lines = 0
        self.header = kind == ".csv"
        self.json = kind == ".jsonl"
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
    remedy = "Name its encoding, as in --encoding cp1252, or save it as UTF-8; spreadsheets call it “CSV UTF-8”."
    return Problem(what, remedy, row)


def _damaged(path: Path, error: OSError) -> Problem:
    reason = "its end is missing, or it is damaged" if packing_of(path) else error.strerror or "the disk refuses it"
    return Problem(f"cannot be read: {reason}", "Pack or copy it again.")


def _bomb(most: int) -> Problem:
    remedy = "Unpack it yourself if you trust it, and import what comes out."
    return Problem(f"unpacks to more than {size_text(most)}", remedy)


def _distinct_names(start: bytes) -> int:
    """Number of distinct keys in the first lines; the parser refuses lines that are not JSON."""
    names = set[str]()
    for line in start.split(b"\n"):
        try:
            names.update(json.loads(line))
        except (ValueError, RecursionError, TypeError):
            continue
    return len(names)


def is_out_of_memory(error: Exception) -> bool:
    """Whether DuckDB says that it lacks memory: itself, through Arrow, or of what it could not write for it."""
    words = ("Out of Memory", "bad allocation", "Allocation failure")
    return isinstance(error, duckdb.OutOfMemoryException) or any(word in str(error) for word in words)


@contextmanager
def memory_for(source: str) -> Iterator[None]:
    """Turn DuckDB's lack of memory into a `DataError` of what is read or stored."""
    try:
        yield
    except (duckdb.Error, OSError) as error:  # Arrow's reader makes an OSError of DuckDB's
        if not is_out_of_memory(error):
            raise
        what = f"needs more than {limits.TABLE_MEMORY} of memory to be read, or {limits.STORE_MEMORY} to be stored"
        remedy = "Bring it in parts, or import it at the command line with `TABLE_MEMORY` and `STORE_MEMORY` raised."
        raise DataError(source, [Problem(what, remedy)]) from error


@contextmanager
def private_connection(
    path: Path | None = None, memory: str = limits.TABLE_MEMORY
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB instance of its own, in memory or on a file nobody else has open.

    Nothing is fetched from a network, no Python variable is visible to a query, and what does not fit
    into ``memory`` goes to a temporary folder that is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-", dir=path.parent if path else None) as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": spill,
            "memory_limit": memory,
            "max_temp_directory_size": limits.TABLE_SPILL,
            "arrow_large_buffer_size": True,  # else the texts of one block of rows have 2 GiB at most
        }
        with duckdb.connect(str(path) if path else ":memory:", config=config) as connection:
            connection.execute("set enable_progress_bar = false")  # DuckDB draws one on standard output after 2 s
            yield connection


def lock_down(connection: duckdb.DuckDBPyConnection) -> None:
    """Lock a connection: it can change no settings, and open no more files but in its allowed directories, if any."""
    connection.execute("set enable_external_access = false; set lock_configuration = true")


def is_table_name(name: str) -> bool:
    """Whether the ending of a file's name is that of a table; hidden files are none."""
    path = Path(name)
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    return bool(suffixes) and suffixes[-1] in ENDINGS and not path.name.startswith((".", "_"))


def is_visible(member: zipfile.ZipInfo) -> bool:
    """Whether an entry of a zip is a file, and none that a system hides."""
    parts = Path(member.filename).parts
    return bool(parts) and not member.is_dir() and "__MACOSX" not in parts and not parts[-1].startswith(".")


@dataclass
class Unread:
    """Cells that a path leads into and that hold no object: how many, and the first."""

    count: int = 0
    first: str = ""

    def notes(self, connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> list[str]:
        """What is said of them, and of paths without a value in any row of ``file``: of ``columns`` by their names."""
        notes = []
        if self.count:
            several = f" (first of {self.count:,} such cells)" if self.count > 1 else ""
            most = f"of plain values and at most {PYTHON_CHARACTERS:,} characters beside its texts"
            what = f"is neither JSON nor an object as Python writes it, {most}, so no path leads into it"
            notes.append(f"The cell {self.first!r}{several} {what}; it counts as empty.")
        counts = {own: f"select count({quote(name)}) from file" for name, own in columns.items()}  # noqa: S608
        empty = [own for own, count in counts.items() if connection.execute(count).fetchall() == [(0,)]]
        return notes + [f"No row has a value at {own!r}: is that where it stands?" for own in empty]


def read_python_objects(connection: duckdb.DuckDBPyConnection) -> Unread:
    """Let a connection read what Python writes as JSON; returns what counts the cells it cannot read."""
    unread = Unread()

    def json_text(text: str | None) -> str | None:
        written = json_of_python(text) if text else None
        if text and text.strip() and written is None:
            unread.count, unread.first = unread.count + 1, unread.first or text[:_CELL_SHOWN]
        return written

    text = duckdb.sqltype("varchar")
    connection.create_function(OF_PYTHON, json_text, [text], text, null_handling="special")  # type: ignore[call-overload]
    return unread
