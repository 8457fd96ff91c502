"""What a pickle's names are answered with: plain records, in place of pandas, numpy and pyarrow.

Every name that a pickled DataFrame or array refers to is answered with a stand-in of this module: a plain
record that checks what it is given. Nothing of pandas, numpy or pyarrow is called with what a stranger
wrote, so a name that is admitted is as harmless as one that is not. The stand-ins are turned into numpy
arrays and Arrow columns only after the whole file has been read, and only in the shapes known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array = npt.NDArray[Any]

_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|O8?|[US]\d{1,4}")


class RefusedError(Exception):
    """The pickle has something in it that a table of results has no use for."""


def refuse(what: str) -> NoReturn:
    """Stop, saying what was found."""
    raise RefusedError(what)


class _Record:
    """An object of the pickle: its class's arguments and its state, neither acted upon."""

    __slots__ = ("arguments", "state")

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: object) -> Self:
        record = super().__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __setstate__(self, state: object) -> None:
        self.state = state


class Frame(_Record):
    """pandas.DataFrame."""

    __slots__ = ()


class Manager(_Record):
    """What holds a frame's blocks and axes."""

    __slots__ = ()


class Block(_Record):
    """Some columns of a frame: values, their places, number of dimensions."""

    __slots__ = ()


class Index(_Record):
    """An index: its class, and by name what it is made of."""

    __slots__ = ()


class Strings(_Record):
    """A string array of pandas: its values as a numpy array of objects, or as Arrow's buffers."""

    __slots__ = ()


class _Inert(_Record):
    """What says nothing about the values: the class of an index, a dtype of strings."""

    __slots__ = ()


class _Function:
    """A name that is called. It cannot be given a state, unlike a Python function."""

    __slots__ = ("run",)

    def __init__(self, run: Callable[..., object]) -> None:
        self.run = run

    def __call__(self, *arguments: object) -> object:
        return self.run(*arguments)

    def __setstate__(self, state: object) -> None:
        refuse("sets attributes of a function")


class _Dtype:
    """A numpy dtype of numbers, truth values, fixed text or objects; nothing with fields."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            refuse(f"has an array of dtype {code!r:.80}")
        self.code, self.order = code, "="

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "=", "|"):
            refuse("has a dtype with an unknown state")
        if any(part is not None for part in state[2:5]):
            refuse("has an array with fields")
        self.order = state[1]

    @property
    def is_object(self) -> bool:
        return self.code.startswith("O")

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order.replace("|", "") + self.code)


class Ndarray:
    """An array: its shape is checked against the bytes or objects that are really there."""

    __slots__ = ("array",)

    def __init__(self, *_: object) -> None:
        self.array: Array = np.empty(0)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            refuse("has an array with an unknown state")
        _, shape, dtype, fortran, values = state
        self.array = _array(values, dtype, shape, "F" if fortran and not isinstance(values, list) else "C")


def _array(values: object, dtype: object, shape: object, order: object) -> Array:
    if (
        not isinstance(dtype, _Dtype)
        or not isinstance(shape, tuple)
        or not 0 <= len(shape) <= 2
        or order not in ("C", "F")
    ):
        refuse("has an array of unknown shape")
    if not all(type(length) is int and length >= 0 for length in shape):
        refuse("has an array of unknown shape")
    count = shape[0] * (shape[1] if len(shape) == 2 else 1) if shape else 1
    if dtype.is_object:
        if not isinstance(values, list) or len(values) != count:
            refuse(f"has an array said to have {count:,} values, which are not there")
        array = np.empty(count, dtype=object)
        array[:] = values
    else:
        if not isinstance(values, bytes | bytearray) or len(values) != count * dtype.numpy().itemsize:
            refuse(f"has an array said to have {count:,} values, which are not there")
        array = np.frombuffer(values, dtype=dtype.numpy())
    return array.reshape(shape, order="F" if order == "F" else "C")


def _from_buffer(values: object, dtype: object, shape: object, order: object, axes: object = None) -> Ndarray:
    result = Ndarray()
    if order == "K" and axes == (1, 0) and isinstance(shape, tuple):
        result.array = _array(values, dtype, shape, "C").T
    else:
        result.array = _array(values, dtype, shape, order)
    return result


def _scalar(dtype: object, value: object = None) -> object:
    return value if isinstance(dtype, _Dtype) and dtype.is_object else _array(value, dtype, (), "C").item()


def _encode(text: object, encoding: object = None) -> bytes:
    """How protocols below 3 write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        refuse("_codecs.encode with something else than bytes")
    return text.encode("latin1")


def _bytes(value: object = b"") -> bytes:
    """``bytes`` and ``bytearray`` of what is there; of a number they would make room for as many."""
    if not isinstance(value, bytes | bytearray):
        refuse("bytes made of something else than bytes")
    return bytes(value)


def _slice(*bounds: object) -> slice:
    if len(bounds) != 3 or not all(bound is None or type(bound) is int for bound in bounds):
        refuse("has a slice of something else than numbers")
    return slice(*bounds)


def _arrow_strings(parts: object) -> pa.Array:
    """Arrow's strings from their buffers, every offset checked against what is there."""
    if not isinstance(parts, tuple) or len(parts) != 7 or parts[0] not in _ARROW_TEXT:
        refuse("has an Arrow array of something else than text")
    kind, length, _, offset, buffers, *_ = parts
    if type(length) is not int or type(offset) is not int or min(length, offset) < 0 or not isinstance(buffers, list):
        refuse("has an Arrow array of unknown shape")
    if len(buffers) != 3 or not all(buffer is None or isinstance(buffer, bytes) for buffer in buffers):
        refuse("has an Arrow array of unknown shape")
    arrow_buffers = [None if buffer is None else pa.py_buffer(buffer) for buffer in buffers]
    array = pa.Array.from_buffers(_ARROW_TEXT[kind], length, arrow_buffers, offset=offset)
    array.validate(full=True)
    return array


def _chunks(arrays: object, _: object = None) -> pa.ChunkedArray:
    if not isinstance(arrays, list) or not all(isinstance(array, pa.Array) for array in arrays):
        refuse("has Arrow chunks of something else than arrays")
    return pa.chunked_array(arrays or [pa.array([], pa.large_string())])


def _alias(name: object) -> str:
    return name if isinstance(name, str) else refuse("has an Arrow type without a name")


_ARROW_TEXT = {"string": pa.string(), "large_string": pa.large_string()}
_BUILTINS = ("builtins", "__builtin__")
_NUMPY = ("numpy.core", "numpy._core")
_INDEXES = ("pandas", "pandas.core.indexes.base", "pandas.core.indexes.numeric", "pandas.core.indexes.range")
_STRINGS = ("pandas", "pandas.arrays", "pandas.core.arrays.string_", "pandas.core.arrays.string_arrow")


def _admitted() -> dict[tuple[str, str], object]:
    """Stand-in by module and name, for pandas 1 to 3 and numpy 1 and 2."""
    places: list[tuple[tuple[str, ...], str, object]] = [
        (("pandas", "pandas.core.frame"), "DataFrame", Frame),
        (("pandas.core.internals.managers", "pandas.core.internals"), "BlockManager", Manager),
        (("pandas._libs.internals",), "_unpickle_block", Block),
        (("pandas.core.indexes.base",), "_new_Index", Index),
        *((_INDEXES, name, _Inert) for name in ("Index", "RangeIndex", "Int64Index", "UInt64Index", "Float64Index")),
        *((_STRINGS, name, Strings) for name in ("StringArray", "StringArrayNumpySemantics")),
        *((_STRINGS, name, Strings) for name in ("ArrowStringArray", "ArrowStringArrayNumpySemantics")),
        (("pandas._libs.arrays",), "__pyx_unpickle_NDArrayBacked", _Function(lambda *_: Strings())),
        (_STRINGS, "StringDtype", _Inert),
        (("pandas", "pandas._libs.missing"), "NA", None),
        (("pyarrow.lib",), "_restore_array", _Function(_arrow_strings)),
        (("pyarrow.lib",), "chunked_array", _Function(_chunks)),
        (("pyarrow.lib",), "py_buffer", _Function(_bytes)),
        (("pyarrow.lib",), "type_for_alias", _Function(_alias)),
        (("numpy",), "ndarray", Ndarray),
        (("numpy",), "dtype", _Dtype),
        (tuple(f"{core}.multiarray" for core in _NUMPY), "_reconstruct", _Function(lambda *_: Ndarray())),
        (tuple(f"{core}.multiarray" for core in _NUMPY), "scalar", _Function(_scalar)),
        (tuple(f"{core}.numeric" for core in _NUMPY), "_frombuffer", _Function(_from_buffer)),
        (("_codecs",), "encode", _Function(_encode)),
        *((_BUILTINS, name, _Function(_bytes)) for name in ("bytes", "bytearray")),
        (_BUILTINS, "slice", _Function(_slice)),
    ]
    return {(module, name): stand_in for modules, name, stand_in in places for module in modules}


ADMITTED = _admitted()
