"""Opening a pickle that somebody else wrote.

Python's own way of opening a pickle lets the file choose what is called. Here it is read, without running any of it,
into inert stand-ins (`records`), then into columns or named arrays, in a process of its own (`carrot_core.child`), and
what comes back is Arrow.
"""

from __future__ import annotations

import math
import mmap
import pickle
import pickletools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from carrot_core import limits
from carrot_core.benchmarks.pickles.records import (
    ADMITTED,
    Array,
    Block,
    Frame,
    Index,
    Manager,
    Ndarray,
    RefusedError,
    Strings,
    refuse,
)
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
# Instructions that name things by a register or an id, or that take parts from outside of the file.
_NO_OPCODES = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER", "INST", "OBJ"}


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


class _Unpickler(pickle.Unpickler):
    """A pickle's stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of an admitted name; the real thing is never looked up."""
        if (module, name) not in ADMITTED:
            refuse(f"{module}.{name}")
        return ADMITTED[module, name]

    def persistent_load(self, pid: object) -> Any:
        """A pickle of results refers to nothing outside of itself."""
        refuse(f"a persistent id {pid!r:.80}")


def scan(file: mmap.mmap) -> None:
    """Look at every instruction before any is followed.

    Raises
    ------
    RefusedError
        A name or an instruction that is not admitted, or a length that the file does not have.
    """
    for number, (opcode, argument, position) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
        size = argument if isinstance(argument, int) else 0
        if opcode.name in _NO_OPCODES:
            refuse(f"the instruction {opcode.name}")
        if opcode.name == "GLOBAL" and tuple(str(argument).split(" ", 1)) not in ADMITTED:
            refuse(str(argument).replace(" ", "."))
        if opcode.name == "FRAME" and size > len(file) - (position or 0):
            refuse(f"a frame of {size:,} bytes, longer than the file")
        if opcode.name.endswith("PUT") and size > number:
            refuse(f"the memory place {size:,}, of which no use is made")
        if size.bit_length() > limits.PICKLE_INTEGER_BITS:
            refuse("an integer beyond all numbers")


def load(path: Path) -> object:
    """Read a pickle: plain lists, dictionaries, numbers and text, and the stand-ins of `records`.

    Raises
    ------
    RefusedError
        As `scan`, or a stand-in was given what it does not take.
    """
    with path.open("rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            scan(mapped)
        return _Unpickler(file).load()


def columns(frame: object) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The columns of a pickled DataFrame: text or float64, None and NaN as null.

    Columns that hold anything else are left out, and so is the row index.
    """
    blocks, names = _parts(frame)
    items: dict[int, Any] = {}
    for values, places in blocks:
        positions = range(len(names))[places] if isinstance(places, slice) else places.tolist()
        rows = _rows_of_block(values)
        if len(rows) != len(positions):
            refuse("has a block whose columns are not counted right")
        items.update(zip(positions, rows, strict=True))
    if sorted(items) != list(range(len(names))) or len({len(values) for values in items.values()}) != 1:
        refuse("has columns that are missing or of different length")
    by_name = {name: _column(items[position]) for position, name in enumerate(names)}
    return {name: column for name, column in by_name.items() if column is not None}


def _parts(frame: object) -> tuple[list[tuple[Any, Any]], list[str]]:
    """Blocks (values, places) and column names."""
    state = frame.state if isinstance(frame, Frame) else None
    manager = (state.get("_mgr") or state.get("_data")) if isinstance(state, dict) else None
    if not isinstance(manager, Manager):
        refuse("is no table (a pandas DataFrame)")
    if manager.arguments:
        manager_blocks, axes = manager.arguments
        blocks = [block.arguments[:2] for block in manager_blocks if isinstance(block, Block)]
    else:  # before pandas 1.3
        contents = manager.state[3]["0.14.1"]
        axes, blocks = contents["axes"], [(block["values"], block["mgr_locs"]) for block in contents["blocks"]]
    names = axes[0].arguments[1].get("data") if isinstance(axes[0], Index) else None
    if names is None:
        refuse("has columns without names")
    texts = _rows_of_block(names)[0]
    texts = texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else texts.tolist()
    if not all(isinstance(name, str) for name in texts) or len(set(texts)) != len(texts):
        refuse("has columns without names, or two of one name")
    return [(values, _places(places)) for values, places in blocks], texts


def _places(places: object) -> slice | Array:
    if isinstance(places, slice):
        return places
    if isinstance(places, Ndarray) and places.array.ndim == 1 and places.array.dtype.kind in "iu":
        return places.array
    return refuse("has a block without a place")


def _rows_of_block(values: object) -> Sequence[Any]:
    """The columns of a block: rows of a matrix, or the one array of text."""
    if isinstance(values, Ndarray):
        return list(np.atleast_2d(values.array))
    if not isinstance(values, Strings) or values.state is None:
        refuse("has a column that is neither text nor numbers")
    parts = values.state.values() if isinstance(values.state, dict) else values.state
    for part in parts:
        if isinstance(part, Ndarray):
            return list(np.atleast_2d(part.array))
        if isinstance(part, pa.Array | pa.ChunkedArray):
            return [part]
    return refuse("has a column of text that is not there")


def _column(values: Any) -> pa.Array | pa.ChunkedArray | None:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.cast(pa.large_string())
    if values.dtype.kind in "biuf":
        return pa.array(values.astype(np.float64), from_pandas=True)
    cells = [None if value is None or (isinstance(value, float) and math.isnan(value)) else value for value in values]
    kinds = {type(value) for value in cells if value is not None}
    if kinds <= {str}:
        return pa.array(cells, pa.large_string())
    if kinds <= {int, float, bool}:
        return pa.array([None if value is None else float(value) for value in cells], pa.float64())
    return None


def leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Every array or list below nested dictionaries, with the keys that lead to it."""
    if isinstance(value, dict) and len(path) < limits.PICKLE_LEVELS and all(isinstance(key, str) for key in value):
        for key, part in value.items():
            yield from leaves(part, (*path, key))
    elif isinstance(value, Ndarray) and value.array.dtype.kind in "biuf":
        yield path, value.array.astype(np.float64)
    elif isinstance(value, list) and all(isinstance(part, str) for part in value):
        yield path, np.array(value, dtype=object)
    else:
        refuse(f"has something else than arrays of numbers and lists of text at {'/'.join(path) or 'its top'!r}")
