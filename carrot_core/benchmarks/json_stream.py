"""JSON documents that are too large to be held, read an item of a list at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from carrot_core import limits
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text

_CHUNK = 1 << 20
LEVELS = 4  # of objects around a list
_DECODER = json.JSONDecoder()
Keys = tuple[str, ...]


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
