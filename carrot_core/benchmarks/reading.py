"""How a text file of a table is written: packing, kind, encoding and separator, as stated or found in its beginning.

And JSON documents that are too large to be held, read an item of a list at a time.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from carrot_core import limits
from carrot_core.benchmarks.columns import guess_columns
from carrot_core.errors import DataError, NotFoundError, Problem
from carrot_core.number_formats import size_text

ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather", ".xlsx", ".zip")
PACKED = (".gz", ".zst")  # endings of a packed file; what packs it is read from its first bytes
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", "^": "carets", "~": "tildes", ":": "colons",
              "\x1f": "unit separators"}  # fmt: skip
UTF8 = "utf-8"
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "pipe": "|", "space": " "}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SAMPLE_ROWS = 200
_SEP_LINE = re.compile(r"\A\ufeff?sep=(.)\r?\n", re.IGNORECASE)  # the first line of a spreadsheet's own CSV
_CHUNK = 1 << 20
LEVELS = 4  # of objects around a list
_DECODER = json.JSONDecoder()
Keys = tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """What a user states about files; None where it is to be found.

    Attributes
    ----------
    separator : one character between the values of a row of text.
    decimal : "." or ",".
    encoding : of text, as Python names it.
    score : rule that makes 0 to 1 of a score, see `carrot_core.benchmarks.cell_numbers`.
    model_from : "column", "file" (its name), "folder" (of the file), or the name of the model of every row.
    own_split : whether the files' own split is read; else it is left aside, whatever it holds.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    score: str | None = None
    model_from: str | None = None
    own_split: bool = True

    def __post_init__(self) -> None:
        if self.separator is not None:
            separator = _NAMES.get(self.separator.casefold(), self.separator)
            if len(separator) != 1 or separator in '"\r\n\0' or separator.isalnum():
                raise DataError("separator", f"{self.separator!r} cannot be one: give a single character, or tab")
            object.__setattr__(self, "separator", separator)
        if self.decimal not in (None, ".", ","):
            raise DataError("decimal sign", f"{self.decimal!r} cannot be one: give . or ,")
        if self.encoding is not None:
            object.__setattr__(self, "encoding", _encoding(self.encoding))


FOUND = Reading()


def _encoding(name: str) -> str:
    try:
        "a".encode(name)
        return UTF8 if codecs.lookup(name).name == UTF8 else name
    except (LookupError, ValueError) as error:
        raise DataError("encoding", f"there is none called {name!r}: try utf-8, utf-16 or cp1252") from error


def packing_of(path: Path) -> str | None:
    """What packs a file, "gzip" or "zstd", by its first bytes; None where nothing does."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((packing for magic, packing in _MAGIC.items() if head.startswith(magic)), None)


def kind_of(path: Path, head: bytes) -> str:
    """Kind of a file by its content: ".csv", ".jsonl", ".json", ".parquet", ".arrow", ".xlsx" or ".zip".

    Parameters
    ----------
    path : the file; its ending decides where the content leaves it open.
    head : its first bytes, unpacked.

    Raises
    ------
    DataError
        It is neither text nor a binary table that is known.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    ending = suffixes[-1] if suffixes else ""
    if head.startswith(b"PAR1") or ending == ".parquet":
        return ".parquet"
    if head.startswith((b"ARROW1", b"FEA1", b"\xff\xff\xff\xff")):
        return ".arrow"
    if head.startswith(b"PK\x03\x04"):
        return ".xlsx" if _holds_workbook(path) else ".zip"
    if head[:1000].count(0) > len(head[:1000]) / 10 and not text_encoding(head):
        raise DataError(path.name, "unknown type of file: it is no text, Parquet, Arrow, XLSX or zip")
    text = head.decode(text_encoding(head) or UTF8, errors="replace").lstrip("\ufeff \t\r\n")
    if text.startswith("[") and ending not in (".csv", ".tsv"):
        first, _, others = text.partition("\n")
        is_lines = ending in (".jsonl", ".ndjson") and others.strip() and _is_json(first)
        return ".jsonl" if is_lines else ".json"
    if text.startswith("{"):
        return _json_kind(text, ending)
    if ending in (".jsonl", ".ndjson"):
        return ".jsonl"
    return ".json" if ending == ".json" else ".csv"


def check_file(path: Path) -> None:
    """Raise a `NotFoundError` where there is no such file."""
    if not path.is_file():
        raise NotFoundError(f"There is no file {str(path)!r}.")


def _holds_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return "xl/workbook.xml" in file.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return path.suffix.lower() == ".xlsx"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_kind(text: str, ending: str) -> str:
    """JSON lines, where the first line is an object and no list of records is in it; else one document."""
    if ending in (".jsonl", ".ndjson"):
        return ".jsonl"
    lines = [line for line in text.split("\n", 2) if line.strip()]
    try:
        first = json.loads(lines[0])
    except (ValueError, RecursionError):
        return ".csv" if ending in (".csv", ".tsv") else ".json"
    return (
        ".jsonl" if len(lines) > 1 or not any(isinstance(value, (list, dict)) for value in first.values()) else ".json"
    )


def text_encoding(head: bytes) -> str | None:
    """The encoding that the first bytes of a text show beyond doubt: UTF-16 with or without its mark; else None."""
    for mark, name in _UTF16.items():
        if head.startswith(mark):
            return name
    pairs = head[: 2000 - 2000 % 2]
    if len(pairs) >= 8 and not pairs[0::2].count(0) and pairs[1::2].count(0) * 2 > 0.9 * len(pairs):
        return "utf-16-le"
    if len(pairs) >= 8 and not pairs[1::2].count(0) and pairs[0::2].count(0) * 2 > 0.9 * len(pairs):
        return "utf-16-be"
    return None


@dataclass(frozen=True)
class Dialect:
    """How the rows of a CSV are written: the separator, and lines before the header that are no row."""

    separator: str
    skip: int = 0

    @property
    def name(self) -> str:
        """The separator in words."""
        return SEPARATORS.get(self.separator, repr(self.separator))


def dialect_of(head: str, ending: str, stated: str | None) -> Dialect:
    """Find the separator of a CSV: the one that cuts the first rows into as many values as the header, and most.

    Parameters
    ----------
    head : the beginning of the text.
    ending : ".tsv" where the file's name says so; its own separator wins a tie.
    stated : the separator if the user names it.
    """
    sep_line = _SEP_LINE.match(head)
    skip = 1 if sep_line else 0
    if stated or sep_line:
        return Dialect(stated or (sep_line.group(1) if sep_line else ","), skip)
    usual = "\t" if ending == ".tsv" else ","
    ranks = {separator: _rank(head, separator) for separator in dict.fromkeys((usual, *SEPARATORS))}
    best = max(ranks, key=lambda separator: ranks[separator])
    return Dialect(best if ranks[best] > ranks[usual] else usual)


def _rank(head: str, separator: str) -> tuple[bool, int, float, int]:
    """How well a separator explains the first rows: the larger, the better."""
    rows = list(first_rows(head, separator, _SAMPLE_ROWS))
    names = rows[0] if rows else []
    if len(names) < 2:
        return (False, 0, 0.0, 0)
    equal = sum(len(row) == len(names) for row in rows[1:]) / max(1, len(rows) - 1)
    return (equal > 0.5 or len(rows) == 1, len(guess_columns(names)), equal, len(names))


def first_rows(head: str, separator: str, count: int, skip: int = 0) -> Iterator[list[str]]:
    """The header and the first rows of a CSV, blank lines left out; the last row may be cut where the head ends."""
    csv.field_size_limit(limits.ROW_BYTES)
    lines = islice(io.StringIO(head.removeprefix("\ufeff"), newline=""), skip, None)
    try:
        yield from islice(filter(None, csv.reader(lines, delimiter=separator)), count + 1)
    except csv.Error:
        return  # the pass over all rows says what is wrong


def stream_values(name: str, text: IO[str]) -> Iterator[tuple[Keys, int | None, Any]]:
    """Every value in a document: its keys, its place in the list it is an item of (else None), and the value itself.

    Lists are cut into their items, and objects outside lists into what they hold, down to `LEVELS`.

    Parameters
    ----------
    name : of the file, for messages.

    Raises
    ------
    DataError
        It is no JSON or cut off; or one item is larger than a row may be.
    """
    characters = _Characters(name, text)
    yield from _walk(characters, ())
    if characters.peek():
        raise characters.error("there is more behind its end")


def _walk(characters: _Characters, keys: Keys) -> Iterator[tuple[Keys, int | None, Any]]:
    mark = characters.peek()
    if mark == "[":
        for index, _ in enumerate(characters.parts("[", "]")):
            yield keys, index, characters.value()
    elif mark == "{" and len(keys) < LEVELS:
        for _ in characters.parts("{", "}"):
            key = characters.value()
            if not isinstance(key, str):
                raise characters.error("a key is no text")
            characters.take(":")
            yield from _walk(characters, (*keys, key))
    else:
        yield keys, None, characters.value()


class _Characters:
    """Characters of a document, of which only some are in memory."""

    def __init__(self, name: str, text: IO[str]) -> None:
        self._name, self._text, self._buffer, self._at, self._before = name, text, "", 0, 0

    def error(self, what: str) -> DataError:
        where = f"cannot be read as JSON: {what}, character {self._before + self._at + 1:,}"
        return DataError(self._name, [Problem(where, "Write one array of objects, or one object a line.")])

    def _read(self, count: int = _CHUNK) -> bool:
        """Take more characters into memory, and those that are read out of it; whether there are more."""
        more = self._text.read(count)
        self._before += self._at
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(more)

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in " \t\r\n":
                    return self._buffer[self._at]
                self._at += 1
            if not self._read():
                return ""

    def take(self, mark: str) -> None:
        """Go past a mark."""
        there = self.peek()
        if there != mark:
            raise self.error(f"{mark} is missing" if there else "its end is missing")
        self._at += 1

    def parts(self, first: str, last: str) -> Iterator[None]:
        """Between its marks, stand before each part of a list or an object."""
        self.take(first)
        while self.peek() != last:
            yield
            if self.peek() != last:
                self.take(",")
                if self.peek() == last:
                    raise self.error("nothing is behind a comma")
        self.take(last)

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._grow():
                    raise self.error("no value is here, or its end is missing") from error
                continue
            # A number at the end of what is in memory may go on behind it.
            if end < len(self._buffer) or not self._grow():
                self._at = end
                return value

    def _grow(self) -> bool:
        """Read as much again as there is; whether there was more.

        Raises
        ------
        DataError
            The value that begins here is longer than a row may be.
        """
        length = len(self._buffer) - self._at
        if length > limits.ROW_BYTES:
            raise self.error(f"a value of more than {size_text(limits.ROW_BYTES)}, or no value, begins here")
        return self._read(max(_CHUNK, length))
