"""What a file is, told by its beginning, never by its name, which anybody may change; and the first rows of a table."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import duckdb
import pandas as pd
import pyarrow as pa

from carrot_core import limits
from carrot_core.benchmarks.columns import COLUMN_LEVELS, as_text, quote
from carrot_core.benchmarks.encodings import encoding_of
from carrot_core.benchmarks.file_checks import (
    UNZIP_ERRORS,
    check_columns,
    check_is_table,
    check_text,
    first_bytes,
    is_visible,
    private_connection,
)
from carrot_core.benchmarks.parts import Part, parts_of, text_dialect
from carrot_core.benchmarks.reading import FOUND, Reading, check_file, first_rows, kind_of, packing_of
from carrot_core.benchmarks.table_file import PARQUET, RefusedError, unreadable
from carrot_core.errors import DataError, NotFoundError, Problem
from carrot_core.number_formats import size_text
from carrot_core.text import json_of_python

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_BOM = b"\xef\xbb\xbf"
# Strings (the last one may be cut off) and the marks between values; numbers and words need no look.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\],]', re.DOTALL)
_LEVELS = 6  # of keys in keys that are looked at
_DELIMITERS = ",;\t|"

Kind = Literal["json", "table", "zip", "pickle"]


@dataclass(frozen=True)
class Head:
    """What the first `limits.HEAD_BYTES` of a file show, after unpacking.

    Attributes
    ----------
    kind : "json" (one value or one a line), "table" (text with a header), "zip" or "pickle".
    keys : of the first JSON value, as paths: "results.results[].provider" is a key of the objects in a list.
    columns : names in the header of a table.
    members : names in a zip.
    """

    kind: Kind
    keys: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()

    def has(self, *names: str) -> bool:
        """Whether all are keys of the first value, or columns."""
        return set(names) <= (self.keys | self.columns)


def head_of(path: Path) -> Head:
    """Look at the beginning of a file.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        It cannot be unpacked, or is a zip with more in it than `carrot_core.limits` allows.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no file {path.name!r}.")
    with unpacked(path) as stream:
        start = stream.read(limits.HEAD_BYTES).removeprefix(_BOM).lstrip()
    if start.startswith(_ZIP):
        with open_zip(path) as archive:
            return Head("zip", members=frozenset(archive.namelist()))
    return _head(start)


def heads_in(path: Path) -> Iterator[Head]:
    """What the files in a zip begin with, but hidden ones; of one that cannot be unpacked, nothing.

    Raises
    ------
    DataError
        As `open_zip`.
    """
    with open_zip(path) as archive:
        for entry in filter(is_visible, archive.infolist()):
            try:
                with archive.open(entry) as file:
                    start = file.read(limits.HEAD_BYTES).removeprefix(_BOM).lstrip()
                    if start.startswith(_ZIP) and entry.file_size <= limits.UNPACKED_BYTES:
                        file.seek(0)
                        with zipfile.ZipFile(file) as inner:
                            yield Head("zip", members=frozenset(inner.namelist()[: limits.ZIP_ENTRIES]))
                        continue
            except UNZIP_ERRORS:
                continue  # who reads all of it says what is wrong
            yield _head(start)


def _head(start: bytes) -> Head:
    if start.startswith((b"{", b"[")):
        return Head("json", keys=_key_paths(start))
    if start.startswith(_PICKLE):
        return Head("pickle")
    return Head("table", columns=frozenset(_header(start)))


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, of a file packed by gzip or zstd those that come out, at most `limits.UNPACKED_BYTES`."""
    try:
        with path.open("rb") as file:
            packed = packing_of(path)
            if packed is None:
                yield file
            else:
                yield cast(BinaryIO, io.BufferedReader(_Counted(pa.input_stream(file, compression=packed), path)))
    except (OSError, pa.ArrowException, EOFError) as error:
        remedy = "Pack or copy it again; its end may be missing."
        raise DataError(path.name, [Problem("cannot be read or unpacked", remedy)]) from error


class _Counted(io.RawIOBase):
    """A packed stream that ends in an error where more comes out than a file may hold."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._name, self._bytes = stream, path.name, 0
        self._most = limits.unpacked_bytes(path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        chunk = self._stream.read(len(buffer))
        self._bytes += len(chunk)
        if self._bytes > self._most:
            what = f"unpacks to more than {size_text(self._most)}"
            raise DataError(self._name, [Problem(what, "Unpack it yourself if you trust it, and import a part.")])
        buffer[: len(chunk)] = chunk
        return len(chunk)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip whose list of entries is no longer than a log of results needs.

    Raises
    ------
    DataError
        No zip, or one with more than `limits.ZIP_ENTRIES` entries.
    """
    _check_directory(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        raise DataError(path.name, [Problem("is a damaged zip", "Copy it again; its end may be missing.")]) from error
    with archive:
        if len(archive.infolist()) > limits.ZIP_ENTRIES:
            raise _too_many(path)
        yield archive


def _check_directory(path: Path) -> None:
    """Refuse a list of entries that would fill the memory before it could be counted."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 128))
        tail = file.read()
    for mark, at, size in ((b"PK\x05\x06", 12, 4), (b"PK\x06\x06", 40, 8)):
        for place in re.finditer(re.escape(mark), tail):
            length = int.from_bytes(tail[place.start() + at : place.start() + at + size], "little")
            if length != (1 << 8 * size) - 1 and length > limits.ZIP_DIRECTORY_BYTES and length < path.stat().st_size:
                raise _too_many(path)


def _too_many(path: Path) -> DataError:
    remedy = "A log has an entry for each sample: split it."
    return DataError(path.name, [Problem(f"has more than {limits.ZIP_ENTRIES:,} entries", remedy)])


def _key_paths(start: bytes) -> frozenset[str]:
    """Paths of the keys of the first JSON value, as far as it goes; no other value of a file is looked at."""
    paths: set[str] = set()
    levels: list[str | None] = []  # path of each open object or list; None below `_LEVELS`
    objects: list[bool] = []
    key, is_key = "", False  # the key whose value comes next; whether a string is a key
    for token in _TOKEN.finditer(start):
        mark = token.group()
        if mark in (b"{", b"["):
            path = _child(levels, objects, key) if levels else ""
            levels.append(path if path is None or mark == b"{" else f"{path}[]")
            objects.append(mark == b"{")
            is_key = mark == b"{"
        elif mark in (b"}", b"]"):
            levels.pop()
            objects.pop()
            if not levels:
                break
            is_key = False
        elif mark == b",":
            is_key = bool(objects) and objects[-1]
        elif is_key:
            key, is_key = mark.strip(b'"').decode("utf-8", "replace"), False
            path = _child(levels, objects, key)
            if path is not None:
                paths.add(path)
    return frozenset(paths)


def _child(levels: list[str | None], objects: list[bool], key: str) -> str | None:
    path = levels[-1]
    if path is None or len(levels) > _LEVELS:
        return None
    return (f"{path}.{key}" if path else key) if objects[-1] else path


def _header(start: bytes) -> list[str]:
    line = start.decode("utf-8", "replace").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=line.count)
    try:
        return next(csv.reader(io.StringIO(line), delimiter=delimiter), [])
    except csv.Error:
        return []


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
    head = first_bytes(path)
    check_is_table(path, head)
    kind = kind_of(path, head)
    encoding = encoding_of(path, head, reading)
    if kind == ".csv":
        text = head.decode(encoding.name if encoding else "utf-8", errors="replace")
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
            kinds = zip(relation.columns, map(str, relation.types), strict=True)
            texts = ", ".join(f"{as_text(quote(name), kind)} as {quote(name)}" for name, kind in kinds)
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


def paths_in(first: pd.DataFrame) -> list[str]:
    """Paths to the single values of objects in the first rows of a file (text; objects as JSON): ["provider.id"]."""
    paths: dict[str, None] = {}
    for name in first.columns:
        for cell in first[name]:
            if isinstance(cell, str) and cell.lstrip().startswith("{"):
                try:
                    paths |= dict.fromkeys(_keys(str(name), json.loads(json_of_python(cell) or cell), COLUMN_LEVELS))
                except (ValueError, RecursionError):
                    continue  # a text that only begins like an object
    return list(paths)


def _keys(place: str, value: object, levels: int) -> Iterator[str]:
    """Paths to the single values in an object of JSON; none into a list."""
    for name, part in value.items() if isinstance(value, dict) and levels else ():
        if isinstance(part, dict):
            yield from _keys(f"{place}.{name}", part, levels - 1)
        elif not isinstance(part, list):
            yield f"{place}.{name}"


def _text_of(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def truths_of(first: pd.DataFrame) -> list[str]:
    """Columns of which the first rows hold true and false and nothing else."""
    truths = []
    for name in first.columns:
        values = {str(value).strip().casefold() for value in first[name].dropna()} - {""}
        truths += [str(name)] if values == {"true", "false"} else []
    return truths
