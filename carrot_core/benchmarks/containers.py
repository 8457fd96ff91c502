"""Files that hold tables in a form of their own (JSON documents, workbooks, Arrow, zip), turned into plain ones."""

from __future__ import annotations

import csv
import datetime
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from carrot_core import limits
from carrot_core.benchmarks.columns import guess_columns
from carrot_core.benchmarks.file_checks import check_columns, chunks, text_stream
from carrot_core.benchmarks.json_stream import LEVELS, stream_values
from carrot_core.benchmarks.reading import ENDINGS, HEADER_ROWS, PACKED, header_row
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text
from carrot_core.text import names_listed

# What the standard library raises of damaged zips, those with a password, and ways of packing it does not know.
UNZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)
_CHUNK = 1 << 20
_LISTS = 100  # of one document, that may be the table
_NAMED = 100  # records whose names tell what a list is
_NO_WORKBOOK = Problem("cannot be read as a workbook", "Save it as XLSX again, or as CSV.")
_UNSAFE = re.compile(r"[^\w.\- =]")
Record = dict[str, Any]


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
        document = json.loads(text)
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
            _write_sheet(path, book[title], row, len(names), out)
            book.close()
    except DataError:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers do on a damaged file
        raise DataError(path.name, [_NO_WORKBOOK]) from error
    above = [f"The names of the columns are in row {row} of the sheet; what is above is not read."] if row > 1 else []
    others = ", ".join(other for other in headers if other != title)
    return [*above, *([f"The table is the sheet {title!r}; not read: {others}."] if len(titles) > 1 else [])]


def _check_workbook(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            size = sum(member.file_size for member in file.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(path.name, [_NO_WORKBOOK]) from error
    most = min(limits.SHEET_BYTES, limits.unpacked_bytes(path.stat().st_size))
    if size > most:
        what = f"is a workbook that unpacks to more than {size_text(most)}"
        raise DataError(path.name, [Problem(what, "Save it as CSV.")])


def _header(sheet: Any, columns: Collection[str]) -> tuple[int, list[str]]:
    """Row and names of a sheet's columns, as `header_row` finds them; no names in an empty sheet."""
    rows = []
    for number, row in enumerate(sheet.iter_rows(max_row=HEADER_ROWS, values_only=True), 1):
        names = [_cell(value) for value in row]
        while names and not names[-1]:
            names.pop()
        rows += [(number, names)] if names else []
    return header_row(rows, columns) if rows else (1, [])


def _write_sheet(path: Path, sheet: Any, first: int, width: int, out: Path) -> None:
    cells = 0
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for row in sheet.iter_rows(min_row=first, max_col=width, values_only=True):
            cells += len(row)
            if cells > limits.SHEET_CELLS:
                most = f"{limits.SHEET_CELLS:,}"
                raise DataError(path.name, [Problem(f"has a sheet of more than {most} cells", "Save it as CSV.")])
            texts = [_cell(value) for value in row]
            if any(texts):
                writer.writerow(texts + [""] * (width - len(texts)))


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
            members = list(filter(is_wanted or _is_table, archive.infolist()))
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


def is_table_name(name: str) -> bool:
    """Whether the ending of a file's name is that of a table; hidden files are none."""
    path = Path(name)
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    return bool(suffixes) and suffixes[-1] in ENDINGS and not path.name.startswith((".", "_"))


def is_visible(member: zipfile.ZipInfo) -> bool:
    """Whether an entry of a zip is a file, and none that a system hides."""
    parts = Path(member.filename).parts
    return bool(parts) and not member.is_dir() and "__MACOSX" not in parts and not parts[-1].startswith(".")


def _is_table(member: zipfile.ZipInfo) -> bool:
    return is_visible(member) and is_table_name(member.filename)
