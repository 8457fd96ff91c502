"""Values in strangers' JSON, CSV and zips, bounded."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from carrot_core import limits
from carrot_core.benchmarks.file_checks import UNZIP_ERRORS
from carrot_core.benchmarks.formats.head import open_zip, unpacked
from carrot_core.benchmarks.json_files import Keys, stream_values
from carrot_core.benchmarks.reading import KeyTwiceError, distinct_keys
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text
from carrot_core.text import counted

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_ZSTD, _ENCRYPTED = 93, 1  # method and flag of an entry of a zip
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True)
class Place:
    """Where in which file a value stands, for messages."""

    file: str
    within: str = ""

    def error(self, message: str, remedy: str, value: object = None) -> DataError:
        text = None if value is None else repr(value)[:80]
        where = f"{self.within}: {message}" if self.within else message
        return DataError(self.file, [Problem(where, remedy, value=text)])


def inside(value: object, path: str) -> Any:
    """The value under a path of keys, "a.b.c"; None where a part is missing."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def first_of(value: object, *paths: str) -> Any:
    """The value under the first path that has one."""
    return next((inside_value for path in paths if (inside_value := inside(value, path)) is not None), None)


def objects(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; of anything else, none."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def parse(raw: bytes, place: Place) -> Any:
    """One JSON value.

    Raises
    ------
    DataError
        No JSON, not UTF-8, a key twice in one object, or larger or deeper than a program should parse.
    """
    if sum(raw.count(mark) for mark in (b",", b"[", b"{")) > limits.JSON_MARKS:
        raise place.error("has too many values in one JSON value", "Split it.")
    try:
        return json.loads(raw, object_pairs_hook=distinct_keys)
    except KeyTwiceError as error:
        raise place.error("has a key twice in one object", "Keep one of them.", str(error)) from error
    except (ValueError, RecursionError) as error:  # ValueError also of bytes that are not UTF-8
        deep = isinstance(error, RecursionError)
        reason = "is nested too deeply" if deep else "is not JSON, or cut off"
        raise place.error(reason, "Export the file again.") from error


def json_values(path: Path, whole: bool = False) -> Iterator[tuple[Place, Any]]:
    """Every JSON value of a file with its place: of JSON lines one a line, else the one that fills the file.

    A document that is too large to be held comes in pieces, unless ``whole``: for each item of its lists the objects
    around it, and the list with this item alone.

    Raises
    ------
    DataError
        As `parse`; or a value that must be held is longer than `limits.JSON_BYTES`.
    """
    with unpacked(path) as stream:
        first = stream.readline(limits.JSON_BYTES + 1).removeprefix(b"\xef\xbb\xbf")
        line = 1
        while first and not first.strip():
            first, line = stream.readline(limits.JSON_BYTES + 1), line + 1
        if not _is_value(first):
            text = first + stream.read(max(0, limits.JSON_BYTES + 1 - len(first)))
            if len(text) <= limits.JSON_BYTES:
                yield Place(path.name), parse(text, Place(path.name))
                return
            if whole:
                raise _too_long(path)
            yield from _pieces(path)
            return
        while first:
            if len(first) > limits.JSON_BYTES:
                raise _too_long(path)
            if first.strip():
                place = Place(path.name, f"line {line:,}")
                yield place, parse(first, place)
            first, line = stream.readline(limits.JSON_BYTES + 1), line + 1


def _is_value(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _pieces(path: Path) -> Iterator[tuple[Place, Any]]:
    """Each item of the lists in a document, in the objects that are around it."""
    for keys, index, value in _values(path):
        if index is not None:
            piece: Any = [value]
            for key in reversed(keys):
                piece = {key: piece}
            yield Place(path.name, f"item {index + 1:,}"), piece


def _values(path: Path) -> Iterator[tuple[Keys, int | None, Any]]:
    """`stream_values` of a document in a file, which may be packed."""
    with unpacked(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        try:
            yield from stream_values(path.name, text)
        except UnicodeDecodeError as error:
            raise Place(path.name).error("is not JSON: it is not UTF-8", "Export the file again.") from error


def _too_long(path: Path) -> DataError:
    most = f"has a JSON value of more than {size_text(limits.JSON_BYTES)}"
    return DataError(path.name, [Problem(most, "Split the run, or export it as JSON lines.")])


def document(path: Path) -> Mapping[str, Any]:
    """The one JSON object that a file is."""
    place, value = next(json_values(path, whole=True), (Place(path.name), None))
    if not isinstance(value, Mapping):
        raise place.error("holds no JSON object", "Export the file again.")
    return value


def document_and_items(path: Path, name: str) -> tuple[Mapping[str, Any], Iterator[Mapping[str, Any]]]:
    """The one JSON object that a file is, and the objects in one of its lists, which of a large file are not held."""
    with unpacked(path) as stream:
        is_large = len(stream.read(limits.JSON_BYTES + 1)) > limits.JSON_BYTES
    if not is_large:
        value = document(path)
        return value, iter(objects(value.get(name)))
    return _without(path, name), (
        item for _, piece in _pieces(path) if isinstance(piece, Mapping) for item in objects(piece.get(name))
    )


def _without(path: Path, name: str) -> Mapping[str, Any]:
    """The object that a file is, without its list of a name and whatever is empty."""
    whole: dict[str, Any] = {}
    for keys, index, value in _values(path):
        if not keys or keys[0] == name:
            continue
        place = whole
        for key in keys[:-1]:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        if index == 0:
            place[keys[-1]] = []
        if index is None:
            place[keys[-1]] = value
        else:
            place[keys[-1]].append(value)
    return whole


def table_rows(path: Path) -> Iterator[tuple[Place, dict[str, str]]]:
    """Rows of a CSV by column name, as `table_cells`; an empty cell is left out, and a column twice is refused."""
    cells = table_cells(path)
    header, names = next(cells, (Place(path.name), []))
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise header.error("names a column twice", "Keep one of them.", twice)
    for place, row in cells:
        yield place, {name: cell for name, cell in zip(names, row, strict=True) if cell}


def table_cells(path: Path) -> Iterator[tuple[Place, list[str]]]:
    """The header of a CSV, then the cells of each row, whatever its separator.

    Raises
    ------
    DataError
        Not UTF-8, or a row has other cells than the header.
    """
    csv.field_size_limit(limits.TABLE_CELL_CHARACTERS)
    with unpacked(path) as stream:
        try:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            first = text.readline()
            delimiter = max(",;\t|", key=first.count)
            rows = csv.reader(chain([first], text), delimiter=delimiter, strict=True)
            names = next(rows, [])
            yield Place(path.name, "header"), names
            for count, cells in enumerate(rows, 1):
                place = Place(path.name, f"row {count:,}")
                if not cells:
                    continue
                if len(cells) != len(names):
                    other = f"has {counted(len(cells), 'cell')}, the header {len(names):,}"
                    raise place.error(other, "Export the file again.")
                yield place, cells
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(path.name, [Problem("is no UTF-8 table", "Export the file again as UTF-8.")]) from error


def zip_values(path: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Place, str, Any]]:
    """Place, name and JSON value of the entries of a zip whose names match; no other is unpacked.

    Raises
    ------
    DataError
        The zip is damaged, an entry is no JSON, or more comes out than `carrot_core.limits` allows.
    """
    total, most = 0, limits.unpacked_bytes(path.stat().st_size)
    with open_zip(path) as archive:
        for entry in archive.infolist():
            if not pattern.fullmatch(entry.filename):
                continue
            place = Place(path.name, entry.filename)
            raw = _member(path, archive, entry, place)
            total += len(raw)
            if total > most:
                raise place.error(f"unpacks to more than {size_text(most)}", "Split the log.")
            yield place, entry.filename, parse(raw, place)


def _member(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Place) -> bytes:
    """The bytes of an entry; one packed by zstd, which the standard library does not know before Python 3.14, too."""
    most = min(limits.JSON_BYTES, max(1 << 20, entry.compress_size * limits.UNPACKED_RATIO))
    try:
        if entry.compress_type == _ZSTD:
            raw: bytes = pa.input_stream(pa.py_buffer(_packed(path, entry)), compression="zstd").read(most + 1)
            if len(raw) <= most and zlib.crc32(raw) != entry.CRC:
                raise zipfile.BadZipFile
        else:
            with archive.open(entry) as file:
                raw = file.read(most + 1)
    except (*UNZIP_ERRORS, pa.ArrowException) as error:
        raise place.error("cannot be unpacked", "Copy the file again; it may be damaged or locked.") from error
    if len(raw) > most:
        raise place.error("unpacks to far more than results do", "Do not open it unless you know where it is from.")
    return raw


def _packed(path: Path, entry: zipfile.ZipInfo) -> bytes:
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if signature != b"PK\x03\x04" or entry.flag_bits & _ENCRYPTED:
            raise zipfile.BadZipFile
        file.seek(name_length + extra_length, os.SEEK_CUR)
        return file.read(entry.compress_size)
