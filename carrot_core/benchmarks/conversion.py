"""Tables that DuckDB does not read as they are, written as it reads them: workbooks, Arrow, zips, and other CSVs."""

from __future__ import annotations

import csv
import datetime
import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from carrot_core import limits
from carrot_core.benchmarks.columns import guess_columns
from carrot_core.benchmarks.file_checks import UNZIP_ERRORS, check_columns, is_table_name, is_visible, text_stream
from carrot_core.benchmarks.reading import ENDINGS, HEADER_ROWS, Dialect, Plain, header_row, row_too_long, short
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text
from carrot_core.text import counted, names_listed

_CHUNK = 1 << 20
_HIDDEN = re.compile(rb'<(?:\w+:)?(row|col)\b([^>]*\bhidden="(?:1|true)"[^>]*)')
_NO_WORKBOOK = Problem("cannot be read as a workbook", "Save it as XLSX again, or as CSV.")
_UNSAFE = re.compile(r"[^\w.\- =]")
_ESCAPED = re.compile(r'\\(["\\])')
_CHARACTER_BYTES = 4  # at most


def sheet_as_csv(path: Path, out: Path, columns: Collection[str] = ()) -> list[str]:
    """Write the sheet of a workbook (XLSX) that has a table as a CSV; returns notes.

    Of several sheets the one whose first row has the most columns with a meaning is taken, and named in a note.

    Raises
    ------
    DataError
        It is no workbook, beyond the limits, or has no table.
    """
    import openpyxl  # slow to import, and few files need it

    _check_workbook(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that are not read
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            headers = {sheet.title: _header(sheet, columns) for sheet in book.worksheets}
            titles = [title for title, (_, names) in headers.items() if names]
            if not titles:
                raise DataError(path.name, [Problem("the workbook is empty", "")])
            title = max(titles, key=lambda title: len(guess_columns(headers[title][1])))
            row, names = headers[title]
            check_columns(path, len(names))
            filled = _write_sheet(path, book[title], row, len(names), out)
            hidden = "hidden " if book[title].sheet_state != "visible" else ""
            hidden_parts = _hidden_parts(path, book[title]._worksheet_path)
            book.close()
            formulas = [] if len(filled) == len(names) else _formulas(path, title, row, names, filled)
    except DataError:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers do on a damaged file
        raise DataError(path.name, [_NO_WORKBOOK]) from error
    above = [f"The names of the columns are in row {row} of the sheet; what is above is not read."] if row > 1 else []
    others = ", ".join(other for other in headers if other != title)
    named = [f"The table is the {hidden}sheet {title!r}{f'; not read: {others}' if others else ''}."]
    return [*above, *(named if len(titles) > 1 or hidden else []), *hidden_parts, *formulas]


def _check_workbook(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            size = sum(member.file_size for member in file.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(path.name, [_NO_WORKBOOK]) from error
    most = min(limits.SHEET_BYTES, limits.unpacked_bytes(path.stat().st_size))
    if size > most:
        raise DataError(path.name, [Problem(f"unpacks to more than {size_text(most)}", "Save it as CSV.")])


def _header(sheet: Any, columns: Collection[str]) -> tuple[int, list[str]]:
    """Row and names of a sheet's columns, as `header_row` finds them; no names in an empty sheet."""
    rows = []
    for number, row in enumerate(sheet.iter_rows(max_row=HEADER_ROWS, values_only=True), 1):
        names = [_cell(value) for value in row]
        while names and not names[-1]:
            names.pop()
        rows += [(number, names)] if names else []
    return header_row(rows, columns) if rows else (1, [])


def _hidden_parts(path: Path, sheet: str) -> list[str]:
    """A note on rows and columns of a sheet that are hidden, as a filter does; they are read like the others."""
    from openpyxl.utils import get_column_letter

    places = {"row": list[str](), "column": list[str]()}
    with zipfile.ZipFile(path) as file, file.open(sheet.lstrip("/")) as xml:
        rest = b""
        while chunk := xml.read(_CHUNK):
            tags, mark, rest = (rest + chunk).rpartition(b"<")  # a long rest is text behind a tag, looked through once
            tags, rest = (tags + mark + rest, b"") if len(rest) > _CHUNK // 16 else (tags, mark + rest)
            for kind, attributes in _HIDDEN.findall(tags):
                ends = [int(end) for end in re.findall(rb'\b(?:r|min|max)="(\d{1,7})"', attributes)]
                names = (str(end) if kind == b"row" else get_column_letter(min(end, 16_384)) for end in ends if end)
                places["row" if kind == b"row" else "column"].append(":".join(dict.fromkeys(names)) or "?")
    listed = [f"{kind}{'s' * (len(at) > 1)} {names_listed(at, 5)}" for kind, at in places.items() if at]
    return [f"Hidden parts of the sheet are read like the others: {', '.join(listed)}."] if listed else []


def _formulas(path: Path, title: str, header: int, names: Sequence[str], filled: Collection[int]) -> list[str]:
    """A note on columns that are empty since their formulas have no stored values; ``filled`` are others' places."""
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True)
    cells = next(book[title].iter_rows(header + 1, header + 1, values_only=True), ())
    book.close()
    formulas = [at for at in range(len(cells)) if str(cells[at]).startswith("=")]
    empty = [names[at] for at in formulas if at < len(names) and at not in filled]
    what = "have formulas without stored values, so they are empty: save the workbook in a spreadsheet"
    return [f"Columns {names_listed(empty, 5)} {what}."] if empty else []


def _write_sheet(path: Path, sheet: Any, first: int, width: int, out: Path) -> set[int]:
    """Write the rows from that of the names on; returns the places of the columns with a value below it."""
    cells, filled = 0, set[int]()
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for row in sheet.iter_rows(min_row=first, max_col=width, values_only=True):
            if cells and len(filled) < width:
                filled.update(place for place, value in enumerate(row) if value is not None)
            cells += len(row)
            if cells > limits.SHEET_CELLS:
                most = f"{limits.SHEET_CELLS:,}"
                raise DataError(path.name, [Problem(f"has a sheet of more than {most} cells", "Save it as CSV.")])
            texts = [_cell(value) for value in row]
            if any(texts):
                writer.writerow(texts + [""] * (width - len(texts)))
    return filled


def _cell(value: Any) -> str:
    """A cell as text: numbers as they are written shortest, times as ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value.isoformat() if isinstance(value, (datetime.datetime, datetime.date, datetime.time)) else str(value)


def arrow_as_parquet(path: Path, out: Path) -> None:
    """Write an Arrow or Feather file as Parquet, a batch at a time.

    Raises
    ------
    DataError
        It cannot be read, has too many columns or rows, or unpacks to too much.
    """
    size = rows = 0
    most = limits.unpacked_bytes(path.stat().st_size)
    try:
        with path.open("rb") as file, pa.PythonFile(file, mode="r") as source:
            schema, batches = _batches(path, source)
            check_columns(path, len(schema))
            with pq.ParquetWriter(out, schema) as writer:
                for batch in batches:
                    batch.validate(full=True)  # offsets of a damaged file point outside of it
                    size, rows = size + batch.nbytes, rows + batch.num_rows
                    if size > most or rows > limits.ROWS:
                        raise DataError(path.name, [Problem("unpacks to more than the limit", "Keep a part of it.")])
                    writer.write_batch(batch)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(path.name, [Problem("cannot be read as Arrow", "Write it again, or as Parquet.")]) from error


def _batches(path: Path, source: pa.NativeFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    magic = source.read(6)
    source.seek(0)
    if magic == b"ARROW1":
        reader = ipc.open_file(source)
        return reader.schema, (reader.get_batch(number) for number in range(reader.num_record_batches))
    if magic.startswith(b"FEA1"):
        table = feather.read_table(path)
        return table.schema, iter(table.to_batches())
    stream = ipc.open_stream(source)
    return stream.schema, iter(stream)


def unzipped(
    path: Path, folder: Path, is_wanted: Callable[[zipfile.ZipInfo], bool] | None = None, most: int = limits.ZIP_FILES
) -> list[Path]:
    """Unpack files of a zip into a folder, under their own names and in their own folders; returns their paths.

    Parameters
    ----------
    is_wanted : which of them; by default the tables.
    most : files there may be.

    Raises
    ------
    DataError
        It is damaged, beyond the limits, needs a password, or has no such file.
    """
    files, size = [], 0
    room = limits.unpacked_bytes(path.stat().st_size)
    try:
        with zipfile.ZipFile(path) as archive:
            is_table = is_wanted or (lambda member: is_visible(member) and is_table_name(member.filename))
            members = list(filter(is_table, archive.infolist()))
            if len(members) > most:
                raise DataError(path.name, f"has {len(members):,} files, the most is {most:,}")
            for number, member in enumerate(members):
                # The names come from a stranger: they lose what is unsafe, and those that become one stay apart.
                parts = [_UNSAFE.sub("_", part).strip(".") or "_" for part in Path(member.filename).parts]
                out = folder.joinpath(*parts)
                out = folder.joinpath(str(number), *parts) if out.exists() else out
                out.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, out.open("xb") as file:
                    while chunk := source.read(_CHUNK):
                        size += file.write(chunk)
                        if size > room:
                            unpacked = f"unpacks to more than {size_text(room)}"
                            raise DataError(path.name, [Problem(unpacked, "Unpack it yourself.")])
                files.append(out)
    except UNZIP_ERRORS as error:
        remedy = "Pack it again, without a password."
        raise DataError(path.name, [Problem("cannot be unpacked: it is damaged or locked", remedy)]) from error
    if not files:
        raise DataError(path.name, [Problem("no table is in the zip", f"There may be {', '.join(ENDINGS)}.")])
    return files


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
        for number, line, row in _csv_rows(path, dialect, escaped):
            header = header or len(row)
            if len(row) == header + 1 and row[-1] == "":
                surplus, row = True, row[:-1]
            if len(row) != header:
                faults.add(number, line, header, row)
                continue
            if _CHARACTER_BYTES * sum(map(len, row)) > longest:
                longest = max(longest, len("".join(row).encode()) + sum(value.count('"') for value in row))
                if longest > limits.ROW_BYTES:
                    raise _BadRowsError(row_too_long(number, line))
            write(row)
    if problem := faults.problem(dialect):
        raise _BadRowsError(problem)
    return longest + 3 * header, surplus


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
        message = f"has {counted(len(values), 'value')} where the header has {header:,}, in line {line:,}{several}"
        more = len(values) > header
        remedy = (
            "If the names of the columns stand further down, remove what is above them; else name the separator."
            if more and header == 1
            else f"Put quotes around a value with {dialect.name} in it, or name another separator."
            if more
            else "Add what is missing, or an empty value for it."
        )
        return Problem(message, remedy, row, value=short(values[header] if more else values[-1]))


def _csv_rows(path: Path, dialect: Dialect, escaped: bool) -> Iterator[tuple[int, int, list[str]]]:
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
        return row_too_long(row, line)
    if "unexpected end" in error:
        return Problem(f"a quote in line {line:,} is not closed to the end of the file", "Close it.", where)
    remedy = "Write a quote inside a value twice, and quotes around the value."
    return Problem(f"a quote stands in the middle of a value, in line {line:,}", remedy, where)


def _lines(path: Path, skip: int, escaped: bool) -> Iterator[str]:
    """Lines of a text with their ends: line feed, carriage return or both."""
    with text_stream(path) as stream:
        for line in islice(stream, skip, None):
            yield _ESCAPED.sub(lambda escape: '""' if escape[1] == '"' else escape[1], line) if escaped else line
