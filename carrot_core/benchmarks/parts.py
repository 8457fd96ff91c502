"""The files of one import, each in a form that DuckDB reads: text in UTF-8 or Parquet, written again if need be."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import duckdb

from carrot_core import limits
from carrot_core.benchmarks.cell_numbers import MEASURES, RIGHT_WORDS, decimal_sign
from carrot_core.benchmarks.columns import guess_columns
from carrot_core.benchmarks.conversion import arrow_as_parquet, plain_csv, sheet_as_csv, unzipped
from carrot_core.benchmarks.encodings import encoding_of, guess_encoding, transcoded
from carrot_core.benchmarks.file_checks import (
    NotUtf8Error,
    check_is_table,
    check_schema,
    check_text,
    first_bytes,
    is_table_name,
    memory_for,
)
from carrot_core.benchmarks.json_files import json_lines, plain_json_lines
from carrot_core.benchmarks.reading import (
    ENDINGS,
    PACKED,
    UTF8,
    Dialect,
    Reading,
    check_file,
    dialect_of,
    first_rows,
    kind_of,
    packing_of,
    short,
)
from carrot_core.errors import DataError, NotFoundError, Problem
from carrot_core.text import names_listed

_TEXTS = {".csv": "A table of text", ".jsonl": "JSON lines", ".json": "A JSON document"}
_LOOKED_AT = 100  # rows in which a decimal comma, or a quote behind a backslash, is noticed
_CELL = 80  # characters of a value in a note
_BINARIES = {".parquet": "Parquet", ".arrow": "Arrow", ".xlsx": "An XLSX workbook", ".zip": "A zip of tables"}
Paths = Path | Sequence[Path]
_NAMES_SHOWN = 3  # of several files, in the name of their source


@dataclass(frozen=True)
class Part:
    """One table of an import.

    Attributes
    ----------
    source : its name in a message.
    path, kind : what DuckDB reads: ".csv", ".jsonl" or ".parquet".
    names : of its columns as they stand in the file; of JSON lines, in the first one; none of Parquet.
    dialect : of a CSV.
    model : of every row, by `Reading.model_from`; None where a column says it.
    row_bytes : of the longest row, once it has been written again; else 0.
    notes : how it is read, where that is not as usual.
    unit : what a line of it was in the file.
    """

    source: str
    path: Path
    kind: str
    names: tuple[str, ...] = ()
    dialect: Dialect | None = None
    model: str | None = None
    row_bytes: int = 0
    notes: tuple[str, ...] = ()
    unit: str = "line"

    @property
    def pattern(self) -> str:
        """The path for DuckDB, which takes it for a pattern: "a[1].csv" would read "a1.csv"."""
        return glob.escape(str(self.path.resolve()))


def as_paths(paths: Paths) -> list[Path]:
    """One path or several, as a list."""
    return [paths] if isinstance(paths, Path) else list(paths)


def source_of(paths: Paths) -> str:
    """Name of one file or of several, without folders."""
    names = [path.name for path in as_paths(paths)]
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    return f"{len(names):,} files ({', '.join(names[:_NAMES_SHOWN])}{more})"


def all_files(paths: Sequence[Path]) -> list[Path]:
    """The files behind paths: those in a folder, but hidden ones and links; those that match a pattern (``*``, ``?``).

    Raises
    ------
    NotFoundError
        Nothing is there.
    DataError
        A folder holds more files than a folder of runs does.
    """
    files: list[Path] = []
    for path in paths:
        for match, inside in _behind(path):
            files += inside if match.is_dir() else [match]
        if len(files) > limits.FOLDER_FILES:
            most = f"has more than {limits.FOLDER_FILES:,} files"
            raise DataError(path.name, [Problem(most, "Name the files or a folder further in.")])
    return files


def tables_of(paths: Sequence[Path]) -> list[Path]:
    """The tables behind paths, as `all_files`: of a folder those whose name says so.

    Raises
    ------
    NotFoundError, DataError
        Nothing is there, or no table; more files than one import may have.
    """
    files: list[Path] = []
    for match, inside in chain.from_iterable(map(_behind, paths)):
        tables = [file for file in inside if is_table_name(file.name)] if match.is_dir() else [match]
        if not tables:
            raise NotFoundError(f"There is no table in {match.name!r}; there may be {', '.join(ENDINGS)}.")
        files += tables
    if len(files) > limits.ZIP_FILES:
        raise DataError(source_of(files), f"more than {limits.ZIP_FILES:,} files cannot be one import")
    return files


def _behind(path: Path) -> Iterator[tuple[Path, list[Path]]]:
    """What is there under a path or matches it as a pattern, each with the files in it where it is a folder."""
    matches = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    if not matches:
        raise NotFoundError(f"There is no file {str(path)!r}.")
    for match in matches:
        inside = sorted(match.rglob("*")) if match.is_dir() else []
        yield match, [file for file in inside if file.is_file() and not file.is_symlink() and file.name[0] != "."]


def parts_of(paths: Paths, folder: Path, reading: Reading) -> list[Part]:
    """Look at every file of an import, and write again what DuckDB does not read.

    Parameters
    ----------
    paths : the files.
    folder : for what is written; it must stay until the parts are read.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        A file is empty, damaged, beyond `carrot_core.limits`, or of no kind that is known.
    """
    files = [(path, path.name) for path in as_paths(paths)]
    parts: list[Part] = []
    while files:
        path, source = files.pop(0)
        check_file(path)
        place = folder / str(len(parts) + len(files))
        place.mkdir(exist_ok=True)
        head = first_bytes(path)
        check_is_table(path, head)
        kind = kind_of(path, head)
        if kind == ".zip":
            files = [(inside, f"{source}/{inside.name}") for inside in unzipped(path, place)] + files
            continue
        part = _part(path, source, kind, head, place, reading)
        is_nested = part.kind == ".jsonl" and any("." in own for own in reading.columns)
        parts.append((plain_part(part, place) if is_nested else None) or part)  # DuckDB lets a key be twice inside
    return _told_apart(parts, as_paths(paths))


def _told_apart(parts: list[Part], paths: Sequence[Path]) -> list[Part]:
    """The parts with the folder in the name of those that have one name."""
    names = [part.source for part in parts]
    if len(parts) != len(paths) or len(set(names)) == len(names):
        return parts
    return [replace(part, source=f"{path.parent.name}/{path.name}") for part, path in zip(parts, paths, strict=True)]


def _part(path: Path, source: str, kind: str, head: bytes, place: Path, reading: Reading) -> Part:
    model = _model_of(path, reading)
    if not head.strip():
        raise DataError(source, [Problem("the file is empty", "")])
    if kind in (".parquet", ".arrow"):
        out = path if kind == ".parquet" else place / "table.parquet"
        if kind == ".arrow":
            arrow_as_parquet(path, out)
        check_schema(out)
        return Part(source, out, ".parquet", model=model)
    if kind == ".xlsx":
        out = place / "sheet.csv"
        notes = sheet_as_csv(path, out, reading.columns)
        reading = Reading(separator=",", columns=reading.columns)
        return _text(out, source, ".csv", first_bytes(out), place, reading, model, notes)
    return _text(path, source, kind, head, place, reading, model, [])


def _text(
    path: Path, source: str, kind: str, head: bytes, place: Path, reading: Reading, model: str | None, notes: list[str]
) -> Part:
    """A part of a text file: in UTF-8, its dialect known, its size and columns checked."""
    encoding = encoding_of(path, head, reading)
    if encoding is None or encoding.name == UTF8:
        try:
            return _utf8(path, source, kind, head, place, reading, model, notes)
        except NotUtf8Error as error:
            encoding = None if encoding or error.cut else guess_encoding(path)
            if encoding is None:
                raise
    notes = [*notes, *filter(None, [encoding.note])]
    plain = transcoded(path, encoding.name, place / f"text{kind}")
    return _utf8(plain, source, kind, first_bytes(plain), place, reading, model, notes)


def _utf8(
    path: Path, source: str, kind: str, head: bytes, place: Path, reading: Reading, model: str | None, notes: list[str]
) -> Part:
    dialect, unit = None, "record" if kind == ".json" else "line"
    if kind == ".json":
        check_text(path, ".txt")
        out = place / "records.jsonl"
        notes, kind, path = [*notes, *json_lines(path, out)], ".jsonl", out
    elif kind == ".csv":
        dialect, usual = text_dialect(path, head, reading)
        if not reading.separator and dialect.separator != usual:
            notes = [*notes, f"The values are separated by {dialect.name}; --separator names another character."]
        text = head.decode(errors="ignore")
        rows = list(first_rows(text, dialect.separator, _LOOKED_AT, dialect.skip))
        _check_header(source, rows)
        cells = chain.from_iterable(rows)
        # A value in quotes has every quote twice, so it does not stand in the text as it is.
        if escaped := next((cell for cell in cells if '\\"' in cell and cell in text), ""):
            notes = [*notes, f"Backslashes before quotes are kept, as in {escaped[:_CELL]!r}: put quotes around it."]
        if dialect.has_title:
            line = dialect.skip + 1
            notes = [*notes, f"The names of the columns are in line {line:,}; what is above is not read."]
    names = check_text(path, kind, dialect)
    if names and not names[0]:
        notes = [*notes, "The first column has no name, as an index that pandas writes; it is called 'column0' here."]
    return Part(source, path, kind, tuple(names), dialect, model, 0, tuple(notes), unit)


def _check_header(source: str, rows: Sequence[Sequence[str]]) -> None:
    """Raise a `DataError` if the row below the header names measures too, as where a model's name spans columns."""
    (names, below), others = [*rows, [], []][:2], rows[2:]
    own = {at: cell for at, cell in enumerate(below[: len(names)]) if not any(cell in row[at:][:1] for row in others)}
    measures = [at for at, cell in own.items() if cell != names[at] and MEASURES & guess_columns([cell]).keys()]
    if len(measures) > 1 and not all(own[at].strip().casefold() in RIGHT_WORDS for at in measures):
        name, cell = names[measures[0]] or f"column{measures[0]}", short(below[measures[0]])
        what = "names a measure, so the names of the columns stand in two rows"
        remedy = "Keep one row of names: MODEL for a model's scores, beside it MODEL|cost_usd, MODEL|output_tokens …"
        raise DataError(source, [Problem(what, remedy, 1, name, cell)])


def text_dialect(path: Path, head: bytes, reading: Reading) -> tuple[Dialect, str]:
    """Dialect of a CSV in UTF-8 by its beginning, and the separator that its name lets expect."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    ending = suffixes[-1] if suffixes else ""
    dialect = dialect_of(head.decode(errors="ignore"), ending, reading.separator, reading.columns)
    return dialect, "\t" if ending == ".tsv" else ","


def how_read(path: Path, reading: Reading) -> str:
    """How a file is read, in words, by its beginning: its kind, and of a text the separator and the encoding."""
    head = first_bytes(path)
    kind = kind_of(path, head)
    if kind not in _TEXTS:
        return _BINARIES[kind]
    known = encoding_of(path, head, reading)
    encoding = known.name if known else UTF8
    text = head.decode(encoding, errors="replace")
    dialect, _ = text_dialect(path, text.encode(), reading)
    if kind != ".csv":
        return f"{_TEXTS[kind]}, {encoding.upper()}"
    rows = first_rows(text, dialect.separator, _LOOKED_AT, dialect.skip)
    sign = reading.decimal or decimal_sign(cell for row in rows for cell in row)
    comma = ", decimal comma" if sign == "," else ""
    return f"{_TEXTS[kind]} separated by {dialect.name}, {encoding.upper()}{comma}"


def _model_of(path: Path, reading: Reading) -> str | None:
    if reading.model_from in (None, "column"):
        return None
    if reading.model_from == "file":
        name = path.name
        while any(name.lower().endswith(ending) for ending in (*ENDINGS, *PACKED)):
            name = name[: name.rindex(".")]
        return name or path.name
    return path.resolve().parent.name if reading.model_from == "folder" else reading.model_from


def plain_part(part: Part, folder: Path) -> Part | None:
    """A text that DuckDB refuses, written again; None where that has been done, or it is no text.

    Raises
    ------
    DataError
        A row is at fault.
    """
    if part.kind == ".parquet" or part.row_bytes:
        return None
    out = folder / f"plain-{len(list(folder.iterdir()))}{part.kind}"
    if part.kind == ".csv" and part.dialect is not None:
        plain = plain_csv(part.path, part.source, part.dialect, out)
    else:
        plain = plain_json_lines(part.path, part.source, out, part.unit)
    return replace(
        part,
        path=plain.path,
        dialect=None if part.dialect is None else Dialect(","),
        row_bytes=max(1, plain.row_bytes),
        notes=(*part.notes, *plain.notes),
    )


def check_alike(
    source: str, parts: Sequence[Part], columns: Sequence[Collection[str]], needed: Collection[str]
) -> None:
    """Raise a `DataError` if some of several files lack a needed column that others have; each has its columns."""
    for part, own in zip(parts, columns, strict=True):
        lacks = [name for name in needed if name not in own and any(name in other for other in columns)]
        if lacks:
            remedy = f"The file has: {names_listed(part.names or own)}. Give it the names that the others have."
            raise DataError(source, [Problem("the column is missing here", remedy, column=lacks[0], file=part.source)])


def packed_by(part: Part) -> str:
    """DuckDB's name of what packs a text."""
    return packing_of(part.path) or "none"


@contextmanager
def refusing(paths: Paths) -> Iterator[None]:
    """Turn DuckDB's errors about a file's content into a `DataError`."""
    try:
        with memory_for(source_of(paths)):
            yield
    except duckdb.Error as error:
        problem = Problem("cannot be read: a value in it is damaged", "Write or copy the file again.")
        raise DataError(source_of(paths), [problem]) from error
