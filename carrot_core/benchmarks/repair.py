"""Text files that the fast reader refuses, written again in the one way it reads; or the row that is at fault.

These passes over all rows are slow, so they come only after the fast reader has refused a file.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from carrot_core import limits
from carrot_core.benchmarks.file_checks import byte_stream, text_stream
from carrot_core.benchmarks.reading import Dialect
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text

_ESCAPED = re.compile(r'\\(["\\])')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CHARACTER_BYTES = 4  # at most
_SHOWN = 80  # characters of a value in a message


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


def plain_csv(path: Path, source: str, dialect: Dialect, out: Path) -> Plain:
    """Write the rows of a CSV again, whatever its line ends and its way to write a quote inside a value.

    Raises
    ------
    DataError
        Rows have more or fewer values than the header, a quote is not closed or stands inside a value, or a row is
        too long; the first one is named by row and line.
    """
    problems = []
    for escaped in (False, True):
        try:
            row_bytes, surplus = _write_csv(path, dialect, escaped, out)
        except _BadRowsError as error:
            problems.append(error.problem)
            continue
        notes = ["Quotes inside values are written with a backslash; they are read as quotes."] if escaped else []
        notes += ["Every row ends in a separator with no value behind it, which is left out."] if surplus else []
        return Plain(out, row_bytes, tuple(notes))
    # Of both ways to write a quote, the one that gets further is the file's own.
    raise DataError(source, [max(problems, key=lambda problem: problem.row or 0)])


class _BadRowsError(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def _write_csv(path: Path, dialect: Dialect, escaped: bool, out: Path) -> tuple[int, bool]:
    """Write the rows; returns the bytes of the longest, and whether rows have an empty value more than the header."""
    longest, surplus, header, faults = 0, False, 0, _Faults()
    with out.open("w", encoding="utf-8", newline="") as file:
        write = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow
        for number, line, row in _rows(path, dialect, escaped):
            header = header or len(row)
            if len(row) == header + 1 and row[-1] == "":
                surplus, row = True, row[:-1]
            if len(row) != header:
                faults.add(number, line, header, row)
                continue
            if _CHARACTER_BYTES * sum(map(len, row)) > longest:
                longest = max(longest, len("".join(row).encode()) + sum(value.count('"') for value in row))
                if longest > limits.ROW_BYTES:
                    raise _BadRowsError(_too_long(number, line))
            write(row)
    if problem := faults.problem(dialect):
        raise _BadRowsError(problem)
    return longest + 3 * header, surplus


def _too_long(row: int, line: int) -> Problem:
    most = size_text(limits.ROW_BYTES)
    return Problem(f"is longer than {most}, in line {line:,}", "Cut its texts, or close the quote it has.", row or None)


class _Faults:
    """Rows with another number of values than the header: the first one, and how many."""

    def __init__(self) -> None:
        self.count = 0
        self.first: tuple[int, int, int, list[str]] | None = None

    def add(self, row: int, line: int, header: int, values: list[str]) -> None:
        self.count += 1
        self.first = self.first or (row, line, header, values)

    def problem(self, dialect: Dialect) -> Problem | None:
        if self.first is None:
            return None
        row, line, header, values = self.first
        several = f" (first of {self.count:,} such rows)" if self.count > 1 else ""
        message = f"has {len(values):,} values where the header has {header:,}, in line {line:,}{several}"
        more = len(values) > header
        remedy = (
            "If the names of the columns stand further down, remove what is above them; else name the separator."
            if more and header == 1
            else f"Put quotes around a value with {dialect.name} in it, or name another separator."
            if more
            else "Add what is missing, or an empty value for it."
        )
        return Problem(message, remedy, row, value=_short(values[header] if more else values[-1]))


def _rows(path: Path, dialect: Dialect, escaped: bool) -> Iterator[tuple[int, int, list[str]]]:
    """Row (0 is the header), line it begins in, and values of each row; blank lines are left out."""
    csv.field_size_limit(limits.ROW_BYTES)
    reader = csv.reader(_lines(path, dialect.skip, escaped), delimiter=dialect.separator, strict=True)
    number, line = -1, 1
    while True:
        line = reader.line_num + dialect.skip + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _BadRowsError(_quoting(str(error), number + 1, line)) from error
        if row:
            number += 1
            yield number, line, row


def _quoting(error: str, row: int, line: int) -> Problem:
    where = row or None
    if "field larger" in error:
        return _too_long(row, line)
    if "unexpected end" in error:
        return Problem(f"a quote in line {line:,} is not closed to the end of the file", "Close it.", where)
    remedy = "Write a quote inside a value twice, and quotes around the value."
    return Problem(f"a quote stands in the middle of a value, in line {line:,}", remedy, where)


def _lines(path: Path, skip: int, escaped: bool) -> Iterator[str]:
    """Lines of a text with their ends: line feed, carriage return or both."""
    with text_stream(path) as stream:
        for line in islice(stream, skip, None):
            yield _ESCAPED.sub(lambda escape: '""' if escape[1] == '"' else escape[1], line) if escaped else line


def plain_json_lines(path: Path, source: str, out: Path) -> Plain:
    """Write JSON lines again without half surrogate pairs, which the fast reader refuses.

    A cell with half a pair, as an answer cut inside an emoji has, becomes null, which a note says.

    Raises
    ------
    DataError
        A line is no JSON object, or too long; it is named by its number.
    """
    longest, lost, row = 0, list[tuple[int, str]](), 0
    with out.open("wb") as file, byte_stream(path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            row += 1
            if len(line) > limits.ROW_BYTES:
                raise DataError(source, [_too_long(row, number)])
            value, text = _object(line, number, row, source), line.strip()
            if _SURROGATE.search(line):
                columns = [name for name, cell in value.items() if _is_cut([name, cell])]
                lost += [(number, name) for name in columns]
                cells = {name: None if name in columns else cell for name, cell in value.items() if not _is_cut(name)}
                text = json.dumps(cells, ensure_ascii=False).encode() if columns else text
            file.write(text + b"\n")
            longest = max(longest, len(text))
    return Plain(out, longest, tuple(_loss(lost)))


def _object(line: bytes, number: int, row: int, source: str) -> dict[str, Any]:
    """The object of a line; a `DataError` names the line where there is none."""
    text, remedy = line.decode().removeprefix("\ufeff").rstrip(), "Write one whole object a line, its columns by name."
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :]
        where = f"from character {error.pos + 1:,} on" if rest else "its end is missing"
        message = f"line {number:,} is not JSON, {where}"
        raise DataError(source, [Problem(message, remedy, row, value=_short(rest or text[-20:]))]) from error
    except (RecursionError, ValueError) as error:
        message = f"line {number:,} cannot be read: a value is nested too deep, or a number too long"
        raise DataError(source, [Problem(message, "Leave that value out.", row)]) from error
    if not isinstance(value, dict):
        raise DataError(source, [Problem(f"line {number:,} is no JSON object", remedy, row, value=_short(text))])
    return value


def _is_cut(value: Any) -> bool:
    """Whether half a surrogate pair is in a value."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _loss(lost: list[tuple[int, str]]) -> Iterator[str]:
    if lost:
        line, column = lost[0]
        name = column.encode(errors="replace").decode()
        several = f" (first of {len(lost):,})" if len(lost) > 1 else ""
        yield (
            f"Line {line:,}, column {name!r}{several}: the value has half of a character, as one cut inside an emoji "
            "has; it counts as empty."
        )


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
