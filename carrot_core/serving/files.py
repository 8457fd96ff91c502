"""Read files of prompts a chunk at a time; write files of decisions as they are made."""

from __future__ import annotations

import codecs
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from carrot_core import limits
from carrot_core.benchmarks.columns import as_text, quote
from carrot_core.benchmarks.file_checks import check_text, chunks
from carrot_core.benchmarks.formats.head import column_names
from carrot_core.benchmarks.parts import refusing
from carrot_core.benchmarks.reading import PACKED
from carrot_core.benchmarks.table_file import ROW, TableFile, open_table
from carrot_core.benchmarks.value_checks import NO_USER_TEXT, USER_TEXT_REMEDY, chat_problems
from carrot_core.csv_latex import safe_csv
from carrot_core.errors import CarrotError, DataError, NotFoundError, Problem
from carrot_core.number_formats import without_nan
from carrot_core.paths import replacing
from carrot_core.text import names_listed, prompt_text

CHUNK_PROMPTS = 512
_CHUNK_CHARACTERS = 4_000_000
_FETCH = 64  # rows
_ID, _PROMPT, _TASK = "prompt_id", "prompt", "task"
Row = tuple[str | None, str, str | None]  # id, text, task label


@dataclass(frozen=True)
class Prompts:
    """Prompts to be read once, from the first to the last.

    Attributes
    ----------
    source : name of the source in messages.
    count : number of prompts; 0 if it is not known beforehand.
    rows : id, text and task label of each prompt; the text of a chat is its messages as JSON.
    has_tasks : whether there are labels.
    """

    source: str
    count: int
    rows: Iterator[Row]
    has_tasks: bool = False

    def chunks(self, most: int = CHUNK_PROMPTS) -> Iterator[list[Row]]:
        """At most ``most`` rows at a time, fewer if their texts are long."""
        chunk: list[Row] = []
        characters = 0
        for row in self.rows:
            length = len(row[1]) + len(row[2] or "")
            if chunk and (len(chunk) >= most or characters + length > _CHUNK_CHARACTERS):
                yield chunk
                chunk, characters = [], 0
            chunk.append(row)
            characters += length
        if chunk:
            yield chunk


def prompts_from_lines(lines: Iterable[str], source: str = "the list") -> Prompts:
    """Read one prompt per line; its id is the line number, from 1. Blank lines are left out."""
    return Prompts(source, 0, _numbered(lines, source))


def has_columns(path: Path) -> bool:
    """Whether a file is a table and not a text with one prompt per line."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    return suffixes[-1:] != [".txt"]


def prompt_columns(path: Path) -> tuple[str, ...]:
    """Columns that may hold a file's prompts; none for ``.txt``.

    Raises
    ------
    NotFoundError, DataError
        As for `open_prompts`, as far as the beginning of the file shows.
    """
    return column_names(path) if has_columns(path) else ()


@contextmanager
def open_prompts(path: Path, column: str = _PROMPT, task_column: str | None = None) -> Iterator[Prompts]:
    """Open the prompts of a file and check them as the results of a benchmark are checked.

    Parameters
    ----------
    path : Parquet, CSV, TSV or JSON lines with a column of prompts, or ``.txt`` with one prompt per line; text also
        packed (.gz, .zst). A prompt is a text or a list of chat messages, as JSON, lists or structs.
        A column ``prompt_id`` is used unchanged; without one the id is the row, in ``.txt`` the line, from 1.
    column : name of the column of prompts.
    task_column : name of the column of task labels; by default "task" if the file has one.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        The file is damaged or beyond the limits, has no such column, or has a row without a prompt or with a chat
        without a text of the user.
    """
    if not has_columns(path):
        if task_column is not None:
            raise DataError(path.name, [Problem("a .txt has no columns", "Leave out the column of task labels.")])
        yield _lines_of(path)
        return
    named = {_PROMPT: column, _TASK: task_column or _TASK}
    mapped = {name: own for name, own in named.items() if name != own}
    with (
        open_table(path, (_PROMPT, _ID, _TASK), others=False, columns=mapped, memory=limits.PROMPTS_MEMORY) as table,
        refusing(path),
    ):
        _check(table, column)
        _check_tasks(table, task_column)
        (count,) = table.connection.execute("select count(*) from file").fetchall()[0]
        yield Prompts(path.name, count, _rows(table, count), has_tasks=_TASK in table.types)


def _check(table: TableFile, column: str) -> None:
    if not table.named:
        raise DataError(table.source, "the file is empty")
    if _PROMPT not in table.types:
        remedy = f"Name the column that has the prompts. The file has: {names_listed(table.types)}."
        raise DataError(table.source, [Problem("the column is missing", remedy, column=_PROMPT)])
    kind = table.types[_PROMPT]
    if "STRUCT(" in kind and "role" in kind:
        table.connection.execute(f"alter table file alter prompt set data type varchar using {as_text(_PROMPT, kind)}")
    elif kind != "VARCHAR":
        raise DataError(table.source, [Problem(f"holds {kind}, neither text nor chat messages", column=column)])
    rules = {
        "prompt is null": Problem("there is no prompt", "Fill it in or leave the row out.", column=column),
        f"length(prompt) > {limits.PROMPT_CHARACTERS}": _too_long(column),
    }
    problems = []
    for rule, problem in rules.items():
        first = f"select min({quote(ROW)}), count(*) from file where {rule}"  # noqa: S608
        row, rows = table.connection.execute(first).fetchall()[0]
        if rows:
            several = f" (first of {rows:,} such rows)" if rows > 1 else ""
            problems.append(Problem(f"{problem.message}{several}", problem.remedy, row, column))
    problems.extend(chat_problems(table, "file", quote(ROW)))
    if problems:
        raise DataError(table.source, problems)


def _check_tasks(table: TableFile, task_column: str | None) -> None:
    if task_column is not None and _TASK not in table.types:
        remedy = f"Name the column that has the task labels. The file has: {names_listed(table.types)}."
        raise DataError(table.source, [Problem("the column is missing", remedy, column=task_column)])


def _too_long(column: str | None = None, row: int | None = None) -> Problem:
    return Problem(f"a prompt has more than {limits.PROMPT_CHARACTERS:,} characters", "Shorten it.", row, column)


def _rows(table: TableFile, count: int) -> Iterator[Row]:
    """The rows in the order of the file, fetched from the database a few at a time."""
    prompt_id = _ID if _ID in table.types else quote(ROW)
    task = _TASK if _TASK in table.types else "null"
    window = (
        f"select {prompt_id}::varchar, prompt, {task}::varchar from file "  # noqa: S608
        f"where {quote(ROW)} > $first and {quote(ROW)} <= $first + {_FETCH} order by {quote(ROW)}"
    )
    for first in range(0, count, _FETCH):
        yield from table.connection.execute(window, {"first": first}).fetchall()


def _lines_of(path: Path) -> Prompts:
    if not path.is_file():
        raise NotFoundError(f"There is no file {str(path)!r}.")
    check_text(path, ".txt")
    count = sum(1 for _ in _numbered(_lines(path), path.name))
    return Prompts(path.name, count, _numbered(_lines(path), path.name))


def _lines(path: Path) -> Iterator[str]:
    decode, rest = codecs.getincrementaldecoder("utf-8-sig")().decode, ""
    for chunk in chunks(path):
        *whole, rest = (rest + decode(chunk)).split("\n")
        yield from whole
        # A longer line is refused, so the rest of it is not needed.
        rest = rest[: limits.PROMPT_CHARACTERS + 1]
    yield rest


def _numbered(lines: Iterable[str], source: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not isinstance(line, str):
            raise DataError(source, [Problem(f"is {type(line).__name__}, not text", row=number)])
        if len(line) > limits.PROMPT_CHARACTERS:
            raise DataError(source, [_too_long(row=number)])
        if prompt_text(line) is None:
            raise DataError(source, [Problem(NO_USER_TEXT, USER_TEXT_REMEDY, number)])
        if line.strip():
            yield str(number), line.rstrip("\r\n"), None


Write = Callable[[pd.DataFrame], None]
_TYPES = {
    **dict.fromkeys(("prompt_id", "prompt", "model", "task"), pa.string()),
    "fell_back": pa.bool_(),
}


@contextmanager
def decision_file(out: Path) -> Iterator[Write]:
    """Give a function that appends frames of the same columns to a file.

    They go to a temporary file, which takes the place of ``out`` at the end (`carrot_core.paths.replacing`).

    Parameters
    ----------
    out : ``.parquet``, ``.csv`` (as `safe_csv` writes it) or ``.jsonl`` (a flat object a line, null for NaN).

    Raises
    ------
    CarrotError
        ``out`` has another ending or cannot be written.
    """
    kind = out.suffix.lower()
    if kind not in _WRITERS:
        raise CarrotError(f"Decisions are written as {', '.join(_WRITERS)}, not as {out.name!r}.")
    try:
        with replacing(out) as part, _WRITERS[kind](part) as write:
            yield write
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error


def decision_table(frame: pd.DataFrame) -> pa.Table:
    """Convert a frame of decisions to Arrow; the types of its columns do not depend on the rows."""
    schema = pa.schema([(name, _TYPES.get(name, pa.float64())) for name in frame.columns])
    return pa.Table.from_pandas(frame, schema, preserve_index=False).replace_schema_metadata()


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    opened: list[pq.ParquetWriter] = []

    def write(frame: pd.DataFrame) -> None:
        table = decision_table(frame)
        if not opened:
            opened.append(pq.ParquetWriter(path, table.schema))
        opened[0].write_table(table)

    try:
        yield write
    finally:
        for writer in opened:
            writer.close()


@contextmanager
def _text(path: Path, line_by_line: Callable[[pd.DataFrame, bool], str]) -> Iterator[Write]:
    # A prompt can have lone surrogates, which UTF-8 cannot encode: they are written as \\udcxx.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        yield lambda frame: print(line_by_line(frame, file.tell() == 0), end="", file=file)


def _csv(path: Path) -> contextlib.AbstractContextManager[Write]:
    return _text(path, lambda frame, first: safe_csv(frame, header=first))


def _jsonl(path: Path) -> contextlib.AbstractContextManager[Write]:
    return _text(path, lambda frame, _: "".join(f"{json.dumps(row)}\n" for row in _decision_rows(frame)))


def _decision_rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [without_nan({str(name): value for name, value in row.items()}) for row in frame.to_dict("records")]


_WRITERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Write]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
}
