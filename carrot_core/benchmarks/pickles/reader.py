"""Reading a pickle without running any of it: into stand-ins, then into columns or named arrays."""

from __future__ import annotations

import math
import mmap
import pickle
import pickletools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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
    Strings,
    refuse,
)

# Instructions that name things by a register or an id, or that take parts from outside of the file.
_NO_OPCODES = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER", "INST", "OBJ"}


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
    """Read a pickle: plain lists, dictionaries, numbers and text, and the stand-ins of this module.

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
        rows = _rows(values)
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
    texts = _rows(names)[0]
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


def _rows(values: object) -> Sequence[Any]:
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
