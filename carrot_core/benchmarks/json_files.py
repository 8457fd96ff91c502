"""JSON files as JSON lines: the list of records of a document, held or read by items; broken lines mended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from carrot_core import limits
from carrot_core.benchmarks.columns import guess_columns
from carrot_core.benchmarks.file_checks import byte_stream, chunks, text_stream
from carrot_core.benchmarks.reading import KeyTwiceError, Plain, distinct_keys, key_twice, row_too_long, short
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text
from carrot_core.text import names_listed

_CHUNK = 1 << 20
LEVELS = 4  # of objects around a list
_LISTS = 100  # of one document, that may be the table
_NAMED = 100  # records whose names tell what a list is
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
Keys = tuple[str, ...]
Record = dict[str, Any]
_DECODER = json.JSONDecoder(object_pairs_hook=distinct_keys)


def json_lines(path: Path, out: Path) -> list[str]:
    """Write the records of a JSON document (an array, or a list under a key) as JSON lines; returns notes.

    The list with the most columns that have a meaning is taken, of several such lists the longest.

    Raises
    ------
    DataError
        It is no JSON, too large, or holds no records.
    """
    parts, size = [], 0
    for chunk in chunks(path):
        size += len(chunk)
        if size > limits.JSON_BYTES:
            return _streamed(path, out)
        parts.append(chunk)
    text = b"".join(parts).decode("utf-8-sig")
    try:
        document = json.loads(text, object_pairs_hook=distinct_keys)
    except KeyTwiceError as error:
        _streamed(path, out)  # names the record
        raise key_twice(path.name, None, None, error) from error
    except json.JSONDecodeError as error:
        line = text.count("\n", 0, error.pos) + 1
        where = f"line {line:,}, character {error.colno:,}" if text[error.pos :].strip() else "its end is missing"
        remedy = "Write one array of objects, or one object a line."
        raise DataError(path.name, [Problem(f"cannot be read as JSON: {where}", remedy)]) from error
    except (RecursionError, ValueError) as error:
        raise DataError(path.name, "cannot be read: it is nested too deep, or holds a number too long") from error
    lists = list(_lists("", document, LEVELS)) or [("", [document] if isinstance(document, dict) and document else [])]
    if not lists[0][1]:
        remedy = "Write one array of objects, each with its columns by name."
        raise DataError(path.name, [Problem("holds no list of records", remedy)])
    ranks = [_rank(records) for _, records in lists]
    best = max(range(len(lists)), key=lambda at: (ranks[at], len(lists[at][1])))
    place, records = lists[best]
    others = [other for (other, _), rank in zip(lists, ranks, strict=True) if rank == ranks[best] and other != place]
    with out.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return _place_note(place, list(filter(None, others)))


def _place_note(place: str, others: Sequence[str] = ()) -> list[str]:
    beside = f"; not read: {names_listed(others, 5)}" if others else ""
    return [f"The records are the list under {place!r}{beside}."] if place else []


def _streamed(path: Path, out: Path) -> list[str]:
    """`json_lines` of a document that is too large to be held: every list of records is written, and one kept."""
    lists: dict[str, _RecordFile] = {}
    with text_stream(path) as text, ExitStack() as files:
        for keys, index, value in stream_values(path.name, text):
            place = ".".join(keys)
            if index == 0 and place in lists:
                raise DataError(path.name, [Problem(f"has the list {place!r} twice", "Write each key once.")])
            if index == 0 and len(lists) < _LISTS:
                lists[place] = _RecordFile(out.with_name(f"list-{len(lists)}.jsonl"), lists.get(_columns_beside(keys)))
                files.enter_context(lists[place].file)
            if index is not None and place in lists:
                lists[place].add(value)
    records = {place: each for place, each in lists.items() if each.count and each.is_table}
    if not records:
        what = f"is a JSON document of more than {size_text(limits.JSON_BYTES)} without a list of records"
        raise DataError(path.name, [Problem(what, "Write one array of objects, or one object a line.")])
    place = max(records, key=lambda place: (len(guess_columns(list(records[place].names))), records[place].count))
    records[place].path.rename(out)
    return _place_note(place.removesuffix("data").removesuffix(".") if records[place].columns else place)


def _columns_beside(keys: tuple[str, ...]) -> str:
    """Where the names of the columns are, of rows that are lists under "data"."""
    return ".".join((*keys[:-1], "columns")) if keys and keys[-1] == "data" else ""


class _RecordFile:
    """A list of a document as JSON lines, and what of it tells whether it is the table."""

    def __init__(self, path: Path, columns: _RecordFile | None) -> None:
        self.path, self.file = path, path.open("w", encoding="utf-8")
        self.columns = [str(name) for name in columns.first] if columns is not None else []
        self.count, self.is_table = 0, True
        self.names: dict[str, None] = {}
        self.first: list[Any] = []

    def add(self, value: Any) -> None:
        if len(self.first) < limits.COLUMNS:
            self.first.append(value)
        if isinstance(value, list) and len(value) == len(self.columns) > 0:
            value = dict(zip(self.columns, value, strict=True))
        self.is_table = self.is_table and isinstance(value, dict)
        if not self.is_table:
            return
        self.count += 1
        if self.count <= _NAMED:
            self.names |= dict.fromkeys(value)
        self.file.write(json.dumps(value) + "\n")


def _rank(records: Sequence[Record]) -> int:
    """How many columns of records have a meaning, those of a model in a wide table included."""
    return len(guess_columns({name.rpartition("|")[2] for record in records[:_NAMED] for name in record}))


def _lists(place: str, value: Any, levels: int) -> Iterator[tuple[str, Sequence[Record]]]:
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        yield place, value
    if isinstance(value, dict) and levels:
        columns, rows = value.get("columns"), value.get("data")
        if isinstance(columns, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows):
            names = [str(name) for name in columns]
            if rows and all(len(row) == len(names) for row in rows):
                yield place, [dict(zip(names, row, strict=True)) for row in rows]
        yield from _columns(place, value)
        for name, part in value.items():
            yield from _lists(f"{place}.{name}" if place else name, part, levels - 1)


def _columns(place: str, value: Record) -> Iterator[tuple[str, Sequence[Record]]]:
    """Records of an object of columns or of records (which gain a ``key``), as pandas writes them; of others none."""
    columns = list(value.values())
    if len(columns) > 1 and all(isinstance(column, dict) and column for column in columns):
        keys = list(columns[0])
        cells = [cell for column in columns for cell in column.values()]
        if all(list(column) == keys for column in columns) and not any(isinstance(cell, dict) for cell in cells):
            of_columns = [{name: value[name][key] for name in value} for key in keys]
            by_name = [{"key": name, **record} for name, record in value.items()]
            yield place, by_name if _rank(columns) > _rank(of_columns) else of_columns
    if len(columns) > 1 and all(isinstance(column, list) and len(column) == len(columns[0]) > 0 for column in columns):
        yield place, [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]


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
            yield keys, index, characters.value(index + 1)
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

    def value(self, row: int | None = None) -> Any:
        """The next value, whole; ``row`` is its number in a list."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except KeyTwiceError as error:
                raise key_twice(self._name, f"record {row:,}" if row else None, row, error) from error
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


def plain_json_lines(path: Path, source: str, out: Path, unit: str = "line") -> Plain:
    """Write JSON lines again without half surrogate pairs, which the fast reader refuses.

    A cell with half a pair, as an answer cut inside an emoji has, becomes null, which a note says. ``unit`` is what a
    line of it was in the file.

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
                raise DataError(source, [row_too_long(row, number, unit)])
            value, text = _object(line, f"{unit} {number:,}", row, source), line.strip()
            if _SURROGATE.search(line):
                columns = [name for name, cell in value.items() if _is_cut([name, cell])]
                lost += [(number, name) for name in columns]
                cells = {name: None if name in columns else cell for name, cell in value.items() if not _is_cut(name)}
                text = json.dumps(cells, ensure_ascii=False).encode() if columns else text
            file.write(text + b"\n")
            longest = max(longest, len(text))
    return Plain(out, longest, tuple(_loss(lost, unit)))


def _object(line: bytes, place: str, row: int, source: str) -> Record:
    """The object of a line; a `DataError` names the place where there is none."""
    text, remedy = line.decode().removeprefix("\ufeff").rstrip(), "Write one whole object a line, its columns by name."
    try:
        value = json.loads(text, object_pairs_hook=distinct_keys)
    except KeyTwiceError as error:
        raise key_twice(source, place, row, error) from error
    except json.JSONDecodeError as error:
        rest = text[error.pos :]
        where = f"from character {error.pos + 1:,} on" if rest else "its end is missing"
        message = f"{place} is not JSON, {where}"
        raise DataError(source, [Problem(message, remedy, row, value=short(rest or text[-20:]))]) from error
    except (RecursionError, ValueError) as error:
        message = f"{place} cannot be read: a value is nested too deep, or a number too long"
        raise DataError(source, [Problem(message, "Leave that value out.", row)]) from error
    if not isinstance(value, dict):
        raise DataError(source, [Problem(f"{place} is no JSON object", remedy, row, value=short(text))])
    return value


def _is_cut(value: Any) -> bool:
    """Whether half a surrogate pair is in a value."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _loss(lost: list[tuple[int, str]], unit: str) -> Iterator[str]:
    if lost:
        line, column = lost[0]
        name = column.encode(errors="replace").decode()
        several = f" (first of {len(lost):,})" if len(lost) > 1 else ""
        yield (
            f"{unit.capitalize()} {line:,}, column {name!r}{several}: the value has half of a character, as one cut "
            "inside an emoji has; it counts as empty."
        )
