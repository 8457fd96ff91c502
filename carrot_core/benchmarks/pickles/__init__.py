"""Opening a pickle that somebody else wrote.

Python's own way of opening a pickle lets the file choose what is called. Here it is read into inert records
(`reader`), in a process of its own (`carrot_core.child`), and what comes back is Arrow.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from carrot_core import limits
from carrot_core.benchmarks.pickles.reader import columns, leaves, load
from carrot_core.benchmarks.pickles.records import Array, RefusedError, refuse
from carrot_core.benchmarks.reading import packing_of
from carrot_core.child import Budget, in_child
from carrot_core.errors import DataError, NotFoundError, Problem

if TYPE_CHECKING:
    import pandas as pd

_SMALL = 64 << 20
_LEAVES = pa.schema(
    [
        ("path", pa.list_(pa.string())),
        ("shape", pa.list_(pa.int64())),
        ("numbers", pa.list_(pa.float64())),
        ("texts", pa.list_(pa.string())),
    ]
)
_CHUNK, _OUT = 1 << 20, "out.arrow"
_REMEDY = "Only tables and arrays of results are opened. Ask where the file comes from before opening it otherwise."


def holds_dictionary(path: Path) -> bool:
    """Whether a pickle starts as a dictionary; else it is taken for a table."""
    try:
        with _unpacked(path) as file:
            beginning = file.read(32)
    except OSError:
        return False  # damaged: the reader says so
    try:
        first = next(op.name for op, _, _ in pickletools.genops(beginning) if op.name not in ("PROTO", "FRAME"))
    except ValueError:
        return False  # no pickle: the reader says so
    return first in ("EMPTY_DICT", "DICT")


def read_pickled_table(path: Path, accept: Callable[[str], bool] = lambda name: True) -> pd.DataFrame:
    """The columns of a pickled pandas DataFrame that hold text or numbers.

    Parameters
    ----------
    path : the file.
    accept : by its name, whether a column is needed; others never become Python objects here.

    Returns
    -------
    A frame with a row a row of the file, text as str and None, numbers as float64. Columns that hold
    anything else are left out, and so is the row index.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        No pickle, damaged, not a table, beyond the limits, or with a name in it that no table needs,
        which the message gives; nothing of it has run.
    """
    import pandas as pd  # not at the top: the process that refuses a pickle ends before it needs it

    with _open_result(path, "table") as reader:
        names = [name for name in reader.schema.names if accept(name)]
        table = reader.read_all()
        # Text stays str and None, whatever type the pandas version would have for it.
        return pd.DataFrame({name: pd.Series(values := table[name].to_numpy(), dtype=values.dtype) for name in names})


def read_pickled_arrays(path: Path) -> dict[tuple[str, ...], Array]:
    """The arrays of numbers (float64) and lists of text (objects) in nested dictionaries, by their keys.

    Raises
    ------
    NotFoundError, DataError
        As `read_pickled_table`.
    """
    with _open_result(path, "arrays") as reader:
        rows = reader.read_all().to_pylist()
    return {
        tuple(row["path"]): np.array(row["texts"], dtype=object)
        if row["numbers"] is None
        else np.array(row["numbers"], dtype=np.float64).reshape(row["shape"])
        for row in rows
    }


@contextmanager
def _open_result(path: Path, kind: str) -> Iterator[pa.RecordBatchFileReader]:
    """What the process that reads the pickle left behind."""
    if not path.is_file():
        raise NotFoundError(f"There is no file {str(path)!r}.")
    size = path.stat().st_size
    if not 0 < size <= limits.PICKLE_BYTES:
        large = f"has {size:,} bytes, more than the {limits.PICKLE_BYTES:,} a pickle may have"
        raise DataError(path.name, "the file is empty" if size == 0 else large)
    request = {"path": str(path), "kind": kind}
    with (
        in_child(f"{__name__}:_read", request, Budget.of([path]), source=path.name) as (folder, _),
        pa.OSFile(str(folder / _OUT)) as file,
        pa.ipc.open_file(file) as reader,
    ):
        yield reader


def _unpacked(path: Path) -> pa.NativeFile:
    return pa.input_stream(str(path), compression=packing_of(path))


def _unpack(path: Path, plain: Path) -> None:
    """Copy a pickle, unpacked where it is packed; one that is larger than a pickle may be is refused."""
    most = min(limits.PICKLE_BYTES, limits.unpacked_bytes(path.stat().st_size))
    try:
        with _unpacked(path) as source, plain.open("wb") as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                if target.tell() > most:
                    raise DataError(path.name, f"unpacks to more than the {most:,} bytes a pickle may have")
    except OSError as error:
        raise DataError(path.name, [Problem("cannot be unpacked", "Copy it again; its end may be missing.")]) from error


def _read(folder: Path, path: str, kind: str) -> None:
    """In a process of its own: read a pickle into an Arrow file."""
    plain, name = folder / "in.pkl", Path(path).name
    _unpack(Path(path), plain)
    try:
        value = load(plain)
        table = pa.table(columns(value)) if kind == "table" else _rows(value, plain.stat().st_size)
        if table.nbytes > limits.PICKLE_RATIO * plain.stat().st_size + _SMALL:
            refuse(f"{table.nbytes:,} bytes of results, far more than the file has")
        with pa.OSFile(str(folder / _OUT), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    except RefusedError as error:
        raise DataError(name, [Problem(f"refused, and nothing of it was run: {error}", _REMEDY)]) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can break its reader in any way, and this process is for that
        what = f"not a pickle that can be read: {str(error)[:200] or type(error).__name__}"
        raise DataError(name, [Problem(what, _REMEDY)]) from error


def _rows(value: object, size: int) -> pa.Table:
    """The arrays of a pickle of some bytes; dictionaries may hold one array a million times, and are refused then."""
    rows: list[dict[str, object]] = []
    for path, array in leaves(value):
        if len(rows) > size:
            refuse("has more arrays than bytes")
        texts = array.tolist() if array.dtype == object else None
        numbers = None if array.dtype == object else array.ravel()
        rows.append({"path": list(path), "shape": list(array.shape), "numbers": numbers, "texts": texts})
    return pa.Table.from_pylist(rows, _LEAVES)
