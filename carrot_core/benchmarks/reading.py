"""How a text file of a table is written: packing, kind, encoding and separator, as stated or found in its beginning."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

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
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",  # before UTF-16, whose mark the first begins with
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_SAMPLE_ROWS = 200
HEADER_ROWS = 20  # in which the names of the columns are looked for
_SEP_LINE = re.compile(r"\A\ufeff?sep=(.)\r?\n", re.IGNORECASE)  # the first line of a spreadsheet's own CSV


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
    columns : own names of columns, or paths into them, by which the header is recognised.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    score: str | None = None
    model_from: str | None = None
    own_split: bool = True
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))  # JSON has lists
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
    """The encoding that the first bytes of a text show beyond doubt: UTF-32 with its mark, UTF-16 with or without; else
    None."""
    for mark, name in _MARKS.items():
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
    """How the rows of a CSV are written: the separator; lines, and rows, above the header; whether a title is there."""

    separator: str
    skip: int = 0
    skip_rows: int = 0
    has_title: bool = False

    @property
    def name(self) -> str:
        """The separator in words."""
        return SEPARATORS.get(self.separator, repr(self.separator))


def dialect_of(head: str, ending: str, stated: str | None, columns: Collection[str] = ()) -> Dialect:
    """Find the separator of a CSV: the one that cuts the first rows into as many values as the header, and most.

    Where one cuts the first row into names with a meaning, no title is looked for with another.

    Parameters
    ----------
    head : the beginning of the text.
    ending : ".tsv" where the file's name says so; its own separator wins a tie.
    stated : the separator if the user names it.
    columns : see `Reading`.
    """
    sep_line = _SEP_LINE.match(head)
    start = 1 if sep_line else 0
    usual = "\t" if ending == ".tsv" else ","
    separator = stated or (sep_line and sep_line.group(1))
    candidates = [separator] if separator else dict.fromkeys((usual, *SEPARATORS))
    looks = [_look(head, each, start, columns) for each in candidates]
    plain = [(rank, dialect) for rank, dialect in looks if not dialect.has_title]
    has_names = any(names > 0 for (_, names, *_), _ in plain)
    return max(plain if has_names else looks, key=lambda look: look[0])[1]


def _look(
    head: str, separator: str, start: int, columns: Collection[str]
) -> tuple[tuple[bool, int, float, int], Dialect]:
    """How well a separator explains the first rows (the larger, the better), and the dialect with it."""
    every = list(_numbered_rows(head, separator, start))
    rows = [(line, row) for line, row in every if any(cell.strip() for cell in row)]
    if not rows:
        return (False, 0, 0.0, 0), Dialect(separator, start, start)
    line, names = header_row(rows[:HEADER_ROWS], columns)
    has_title = line > rows[0][0]
    others = [row for number, row in rows if number > line]
    equal = sum(len(row) == len(names) for row in others) / max(1, len(others))
    # A title costs a name: one word in a row of data may be one by chance.
    rank = (
        equal > 0.5 or not (others or has_title),
        len(_names_with_meaning(names, columns)) - has_title,
        equal,
        len(names),
    )
    above = start + sum(number < line for number, _ in every)
    return rank if len(names) > 1 else (False, 0, 0.0, 0), Dialect(separator, line - 1, above, has_title)


def header_row(rows: Sequence[tuple[int, list[str]]], columns: Collection[str] = ()) -> tuple[int, list[str]]:
    """Number and names of the row with the names of the columns, of the first rows that are not blank.

    It is the first one unless that is a title, in which no name has a meaning: then the first one below it with more
    cells, most of which have a meaning, or below a title of one cell the one, as wide as most, of which most have.

    Parameters
    ----------
    columns : see `Reading`.
    """

    def cells(row: tuple[int, list[str]]) -> int:
        return sum(bool(cell.strip()) for cell in row[1])

    def meaning(row: tuple[int, list[str]]) -> int:
        return len(_names_with_meaning(row[1], columns))

    first = rows[0]
    # A header may lack the first name, of an index, or the last.
    most = [cells(row) - (len(row[1]) == len(first[1])) for row in rows]
    below = [row for row, many in zip(rows, most, strict=True) if cells(first) < many and meaning(row)]
    if meaning(first) or not below:
        return first
    clear = [row for row in below if 2 * meaning(row) > cells(row)]
    width = Counter(len(names) for _, names in rows).most_common(1)[0][0]
    likely = [row for row in below if cells(first) == 1 and len(row[1]) == width]
    return next(iter(clear), max(likely, key=lambda row: (meaning(row), cells(row), -row[0]), default=first))


def _names_with_meaning(names: Sequence[str], columns: Collection[str]) -> set[str]:
    """Those that are recognised, or that are stated as columns or as where paths begin."""
    stated = (name for name in names if name and any(f"{own}.".startswith(f"{name}.") for own in columns))
    return {*guess_columns(names).values(), *stated}


def _numbered_rows(head: str, separator: str, skip: int) -> Iterator[tuple[int, list[str]]]:
    """The first rows of a CSV, each with the line it begins in."""
    csv.field_size_limit(limits.ROW_BYTES)
    reader = csv.reader(islice(io.StringIO(head.removeprefix("\ufeff"), newline=""), skip, None), delimiter=separator)
    line = skip + 1
    try:
        for row in islice(reader, _SAMPLE_ROWS):
            yield line, row
            line = skip + reader.line_num + 1
    except csv.Error:
        return  # the pass over all rows says what is wrong


def first_rows(head: str, separator: str, count: int, skip: int = 0) -> Iterator[list[str]]:
    """The header and the first rows of a CSV, blank lines left out; the last row may be cut where the head ends."""
    csv.field_size_limit(limits.ROW_BYTES)
    lines = islice(io.StringIO(head.removeprefix("\ufeff"), newline=""), skip, None)
    try:
        yield from islice(filter(None, csv.reader(lines, delimiter=separator)), count + 1)
    except csv.Error:
        return  # the pass over all rows says what is wrong


_SHOWN = 80  # characters of a value in a message


def row_too_long(row: int, line: int, unit: str = "line") -> Problem:
    """Of a row of a text, 0 for the header."""
    most = size_text(limits.ROW_BYTES)
    return Problem(
        f"is longer than {most}, in {unit} {line:,}", "Cut its texts, or close the quote it has.", row or None
    )


class KeyTwiceError(Exception):
    """An object has a key twice."""


def distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of some pairs, for a JSON decoder; raises a `KeyTwiceError`."""
    if len(value := dict(pairs)) < len(pairs):
        raise KeyTwiceError(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return value


def key_twice(source: str, where: str | None, row: int | None, error: KeyTwiceError) -> DataError:
    """A `KeyTwiceError` with the place and the row of the object."""
    message = f"{where or 'the document'} has a key twice in one object"
    return DataError(source, [Problem(message, "Keep one of them.", row, str(error))])


def short(text: str) -> str:
    """A value as a message shows it."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


@dataclass(frozen=True)
class Plain:
    """A file written again.

    Attributes
    ----------
    path : comma-separated with every value in quotes, or JSON lines; UTF-8, lines end in a line feed.
    row_bytes : of the longest row.
    notes : what was lost or taken differently, in plain sentences.
    """

    path: Path
    row_bytes: int
    notes: tuple[str, ...] = ()
