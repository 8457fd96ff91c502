"""Parquet files anywhere as blocks of rows, and a folder of results that knows which blocks are done.

Files and folders are on this machine or at an address that Arrow opens: ``s3://``, ``gs://``, ``hf://``, or any
protocol of fsspec as ``fsspec+PROTOCOL://``.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from os.path import realpath
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of its transport, httpx or httpx2
from pyarrow import fs

from carrot_core.errors import CarrotError, DataError, NotFoundError

RUN, DONE = "_run.json", "_done"
_BATCH_ROWS = 1024  # decoded at a time
_PAGE_BYTES = 1 << 20  # read ahead in a column, since a row group may not fit into memory
_AT_ONCE = 16  # files whose end is read at the same time


@dataclass(frozen=True, eq=False)
class Input:
    """A Parquet file: the address it was named by, its path there, size in bytes, time of its last change in
    nanoseconds (0 if not known), rows of each row group, columns."""

    where: str
    path: str
    size: int
    changed_ns: int
    group_rows: tuple[int, ...]
    schema: pa.Schema

    def document(self) -> dict[str, Any]:
        """The facts by which a later run recognises the same file."""
        return {"path": self.path, "size": self.size, "changed_ns": self.changed_ns, "rows": sum(self.group_rows)}


@dataclass(frozen=True)
class Block:
    """Some rows of one row group of a file; blocks are numbered from 0 in the order of the rows."""

    number: int
    where: str
    path: str
    group: int
    first: int
    rows: int


@dataclass(frozen=True)
class Report:
    """Report on a block: number of rows, rows that could not be used, seconds of work."""

    rows: int
    unused: int
    seconds: float


def find_inputs(places: Sequence[str]) -> list[Input]:
    """Find the Parquet files of some files and folders, in the order of the places and of their paths.

    In folders, files that end in ``.parquet`` count at any depth, except names that begin with ``_`` or ``.``. A file
    in several places counts once.

    Raises
    ------
    NotFoundError, DataError, CarrotError
        There is no such file, it is not Parquet, a folder has no Parquet file, or the place cannot be reached.
    """
    named: dict[tuple[str, str], tuple[str, fs.FileSystem, fs.FileInfo]] = {}
    for where in places:
        for system, info in _files(where):
            named.setdefault(_identity(system, info.path), (where, system, info))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda each: _input(*each), named.values()))


def _files(where: str) -> list[tuple[fs.FileSystem, fs.FileInfo]]:
    with refusing(where):
        system, info = info_of(where)
        if info.type == fs.FileType.File:
            return [(system, info)]
        files = [(system, each) for each, _ in files_below(system, info.path, ".parquet")]
    if not files:
        raise DataError(redact(where), "has no .parquet file")
    return files


def info_of(where: str) -> tuple[fs.FileSystem, fs.FileInfo]:
    """File system of a place, and its information on the file or folder there."""
    system, path = open_place(where)
    info = system.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        raise NotFoundError(f"There is no file or folder {redact(where)!r}.")
    return system, info


def files_below(
    system: fs.FileSystem, folder: str, endings: str | tuple[str, ...]
) -> list[tuple[fs.FileInfo, tuple[str, ...]]]:
    """Files of a folder by the endings of their names, in the order of their paths, with the parts of the path in it.

    Names that begin with ``_`` or ``.``, and all files in such folders, are left out: programs write them.
    """
    depth = len(Path(folder).parts)
    below = sorted(system.get_file_info(fs.FileSelector(folder, recursive=True)), key=lambda each: each.path)
    files = [(each, Path(each.path).parts[depth:]) for each in below if each.type == fs.FileType.File]
    return [
        (each, parts)
        for each, parts in files
        if parts[-1].lower().endswith(endings) and not any(part.startswith(("_", ".")) for part in parts)
    ]


def _input(where: str, system: fs.FileSystem, info: fs.FileInfo) -> Input:
    with refusing(where), system.open_input_file(info.path) as file, pq.ParquetFile(file) as source:
        groups = tuple(source.metadata.row_group(group).num_rows for group in range(source.num_row_groups))
        return Input(where, info.path, info.size or 0, info.mtime_ns or 0, groups, source.schema_arrow)


def blocks_of(inputs: Sequence[Input], most_rows: int) -> list[Block]:
    """Divide all files into blocks of at most ``most_rows`` rows; none spans two row groups."""
    number = count()
    return [
        Block(next(number), each.where, each.path, group, first, min(most_rows, rows - first))
        for each in inputs
        for group, rows in enumerate(each.group_rows)
        for first in range(0, rows, most_rows)
    ]


def read_block(block: Block, columns_of: Callable[[pa.Schema], list[str]]) -> pa.Table:
    """Read a block's rows, with the columns that ``columns_of`` names; memory holds few other rows of its row group."""
    parts, before = [], 0
    with (
        refusing(block.where),
        open_place(block.where)[0].open_input_file(block.path) as file,
        pq.ParquetFile(file, buffer_size=_PAGE_BYTES, pre_buffer=False) as source,
    ):
        columns = columns_of(source.schema_arrow)
        batches = source.iter_batches(_BATCH_ROWS, row_groups=[block.group], columns=columns)
        while before < block.first + block.rows and (batch := next(batches, None)) is not None:
            start = max(block.first - before, 0)
            parts.append(batch.select(columns).slice(start, max(block.first + block.rows - before - start, 0)))
            before += len(batch)
    rows = sum(map(len, parts))
    if rows != block.rows:
        raise DataError(block.path, f"has {rows:,} of the {block.rows:,} rows of block {block.number} left")
    return pa.Table.from_batches(parts)


class Results:
    """A folder with a Parquet file for each block, ``part-000000.parquet`` and so on in the order of the rows.

    A file is written under another name, renamed when it is whole, and then marked in ``_done``: so a killed process
    leaves no half file, a block that is done twice is one file, and a later run does only blocks without a mark.

    Parameters
    ----------
    where : the folder, a path or an address.
    parts : folder in it for the files of the blocks; "" for the folder itself.
    """

    def __init__(self, where: str, parts: str = "") -> None:
        self.where, self._parts = where, parts

    def begin(self, run: Mapping[str, Any]) -> dict[int, Report]:
        """Reports of the blocks that are done, by number; ``run`` describes the run whose results are here.

        Raises
        ------
        CarrotError
            The folder has other content, or cannot be reached.
        """
        document = json.loads(json.dumps(run))
        with refusing(self.where):
            system, folder = open_place(self.where)
            names = {info.base_name for info in system.get_file_info(fs.FileSelector(folder, allow_not_found=True))}
            if RUN not in names:  # it is written first, so a kill before it leaves nothing else
                if not all(map(_is_unfinished, names)):
                    raise CarrotError(f"{redact(self.where)!r} has other files in it: give --out a new folder.")
                system.create_dir(folder, recursive=True)
                self._write(RUN, json.dumps(document, indent=2).encode())
            before = json.loads(self._read(RUN))
            other = [name for name in document.keys() | before.keys() if document.get(name) != before.get(name)]
            if other:
                raise CarrotError(
                    f"{redact(self.where)!r} holds the results of another run ({', '.join(sorted(other))} differ, see "
                    f"{RUN} there): give --out another folder, or remove this one."
                )
            for place in (self._parts, DONE):
                system.create_dir(f"{folder}/{place}".rstrip("/"), recursive=True)
            marks = system.get_file_info(fs.FileSelector(f"{folder}/{DONE}"))
        # a machine that loses its power may leave an empty mark: that block is done again
        numbers = [int(info.base_name) for info in marks if info.base_name.isdigit() and info.size]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return dict(zip(numbers, threads.map(self._report, numbers), strict=True))

    def report(self, block: Block) -> Report | None:
        """The report of a block; None if it is not done."""
        with refusing(self.where):
            system, folder = open_place(self.where)
            mark = system.get_file_info(f"{folder}/{DONE}/{block.number:06}")
        return self._report(block.number) if mark.size else None

    def write(self, block: Block, table: pa.Table, report: Report) -> None:
        """Write the table of a block and mark the block as done."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        with refusing(self.where):
            self._write(self.part(block.number), sink.getvalue())
            self._write(f"{DONE}/{block.number:06}", json.dumps(asdict(report)).encode())

    def part(self, number: int) -> str:
        """Name of a block's file in the folder."""
        return f"{self._parts}/part-{number:06}.parquet".lstrip("/")

    def read_part(self, number: int) -> pa.Table:
        """The table of a block that is done."""
        with refusing(self.where):
            return pq.read_table(pa.BufferReader(self._read(self.part(number))))

    def finish(self, name: str = "", table: pa.Table | None = None) -> None:
        """Write the table of all blocks, if any, and delete unfinished files of killed processes."""
        with refusing(self.where):
            if table is not None:
                sink = pa.BufferOutputStream()
                pq.write_table(table, sink, compression="zstd")
                self._write(name, sink.getvalue())
            system, folder = open_place(self.where)
            for info in system.get_file_info(fs.FileSelector(folder, recursive=True)):
                if _is_unfinished(info.base_name):
                    system.delete_file(info.path)

    def _report(self, number: int) -> Report:
        return Report(**json.loads(self._read(f"{DONE}/{number:06}")))

    def _read(self, name: str) -> bytes:
        system, folder = open_place(self.where)
        with system.open_input_file(f"{folder}/{name}") as file:
            content: bytes = file.read()
        return content

    def _write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file atomically: no reader sees a part of it, even if several processes write it at once."""
        system, folder = open_place(self.where)
        place, _, base = f"{folder}/{name}".rpartition("/")
        unfinished = f"{place}/.{base}.{secrets.token_hex(4)}.part"
        with system.open_output_stream(unfinished) as file:
            file.write(content)
        system.move(unfinished, f"{place}/{base}")


def _is_unfinished(name: str) -> bool:
    """Whether a file is an unfinished one of a killed process."""
    return name.startswith(".") and name.endswith(".part")


def open_place(where: str) -> tuple[fs.FileSystem, str]:
    """File system of a place, and its path there."""
    if "://" in where:
        system, path = fs.FileSystem.from_uri(where)
        return system, path.rstrip("/")
    return fs.LocalFileSystem(), str(Path(where).absolute())


def _identity(system: fs.FileSystem, path: str) -> tuple[str, str]:
    """Identity of a file or folder, equal for all its names."""
    return system.type_name, realpath(path) if isinstance(system, fs.LocalFileSystem) else path.rstrip("/")


def lies_in(inner: str, outer: str) -> bool:
    """Whether ``inner`` is ``outer`` or below it, even by other names."""
    with refusing(inner):
        (kind, path), (other, above) = (_identity(*open_place(where)) for where in (inner, outer))
    return kind == other and f"{path}/".startswith(f"{above.rstrip('/')}/")


def redact(where: str) -> str:
    """Remove secrets from the address of a place: a password before the host, a signature at the end.

    A password may contain ``/`` and ``@``: after a name and a colon, all up to the last ``@`` counts as password.
    """
    return re.sub(r"(?s)(?<=://)(?:[^/@:]*:.*@|[^/@]*@)|\?.*$", "", where) if "://" in where else where


@contextmanager
def refusing(where: str) -> Iterator[None]:
    """Turn errors of Arrow about an unusable place or file into a `CarrotError`."""
    try:
        yield
    except (pa.ArrowException, OSError, ImportError, ValueError, HTTPError) as error:  # the last is the hub's
        reason = " ".join(str(error).replace(where, redact(where)).split())[:500].rstrip(".")
        raise CarrotError(f"{redact(where)!r} cannot be used: {reason}.") from error
