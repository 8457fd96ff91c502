"""A pickle becomes what it holds; whatever else a pickle can be is refused, and nothing of it runs."""

from __future__ import annotations

import builtins
import functools
import io
import operator
import os
import pickle
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from carrot_core.benchmarks.pickles import columns, leaves, load
from carrot_core.benchmarks.pickles.records import RefusedError
from tests.pickle_files import PROTOCOLS, Calls, frame, stopped, values

NUMPY = "numpy._core.multiarray"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", ["default", "object", "python strings", "arrow strings", "concatenated", "reversed"])
def test_a_frame_of_the_installed_pandas_loads_equal(protocol: int, kind: str, tmp_path: Path) -> None:
    table = {
        "default": frame,
        "object": lambda: frame().astype(object),
        "python strings": lambda: frame().astype({"sample_id": pd.StringDtype("python"), "note": "str"}),
        "arrow strings": lambda: frame().astype({"sample_id": pd.StringDtype("pyarrow"), "note": "string"}),
        "concatenated": lambda: pd.concat([frame(), frame()[::-1]]),
        "reversed": lambda: frame().iloc[::-1, ::-1],
    }[kind]()
    path = tmp_path / "frame.pkl"
    path.write_bytes(pickle.dumps(table, protocol=protocol))
    opened = pa.table(columns(load(path))).to_pandas(types_mapper={pa.large_string(): pd.StringDtype("python")}.get)
    assert values(opened) == values(table)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("place", ["top", "list", "key", "deep", "cell", "attribute"])
def test_a_command_does_not_run_wherever_it_hides(protocol: int, place: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    attack = Calls(os.system, f"touch {canary}")
    table = frame()
    table.attrs = {"x": attack}
    hidden: object = {
        "top": attack,
        "list": [1, [2, attack]],
        "key": {(1, attack): 2},
        "deep": {"a": {"b": [{"c": (attack,)}]}},
        "cell": pd.DataFrame({"a": np.array([attack, "x"], dtype=object)}),
        "attribute": table,
    }[place]
    data = pickle.dumps(hidden, protocol=protocol)
    assert stopped(data, tmp_path) == f"{os.system.__module__}.system"
    assert not canary.exists()


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (eval, ("open('{canary}', 'w')",), "builtins.eval"),
        (exec, ("open('{canary}', 'w')",), "builtins.exec"),
        (builtins.__import__, ("os",), "builtins.__import__"),
        (getattr, (os, "system"), "builtins.getattr"),
        (open, ("{canary}", "w"), "io.open"),
        (functools.partial, (print,), "functools.partial"),
        (operator.attrgetter, ("system",), "operator.attrgetter"),
        (subprocess.Popen, (("touch", "{canary}"),), "subprocess.Popen"),
        (pickle.loads, (b"",), "_pickle.loads"),
        (pd.read_pickle, ("{canary}",), "read_pickle"),
        (pd.eval, ("1",), "eval"),
        (np.load, ("{canary}",), "numpy.load"),
        (np.fromfile, ("{canary}",), "fromfile"),
        (np.empty, (10**12,), "empty"),
        (load, (Path("x"),), "carrot_core.benchmarks.pickles.load"),
        (bytes.fromhex, ("00",), "builtins.getattr"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_other_function_is_called(
    function: Callable[..., Any], arguments: tuple[Any, ...], name: str, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    filled = [part.format(canary=canary) if isinstance(part, str) else part for part in arguments if part is not os]
    for protocol in PROTOCOLS:  # below 3 under the module's name in Python 2
        message = stopped(pickle.dumps([Calls(function, *filled)], protocol=protocol), tmp_path)
        assert (name if protocol > 2 else name.rpartition(".")[2]) in message
    assert not canary.exists()


def named(module: str, name: str) -> bytes:
    """The instructions that put a name on the stack, protocol 4."""
    return b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("pandas", "core.frame.com.np.load"),
        ("pandas", "DataFrame.eval"),
        ("pandas", "io.common.os.system"),
        ("numpy", "dtype.__class__"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy._core.numeric", "__dict__"),
        ("builtins", "slice.__init_subclass__"),
        ("pandas.core.internals.managers", "BlockManager.__init__.__globals__"),
        ("copyreg", "_reconstructor"),
        ("copyreg", "__newobj__"),
        ("_codecs", "decode"),
        ("carrot_core.benchmarks.pickles.records", "Frame"),
        ("__main__", "x"),
    ],
)
def test_a_path_through_an_admitted_name_leads_nowhere(module: str, name: str, tmp_path: Path) -> None:
    assert f"{module}.{name}" in stopped(b"\x80\x04" + named(module, name) + b")R.", tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (named(NUMPY, "_reconstruct") + b"}\x8c\x08__code__\x8c\x01xsb.", "attributes of a function"),
        (named(NUMPY, "_reconstruct") + b"N}\x8c\x01a\x8c\x01bs\x86b.", "attributes of a function"),
        (named("numpy", "dtype") + b"\x8c\x0bV1000000000\x85R.", "dtype 'V1000000000'"),
        (named("numpy", "dtype") + b"\x8c\x05i4,i4\x85R.", "dtype 'i4,i4'"),
        (named("numpy", "dtype") + b"]\x85R.", "dtype []"),
        (named("builtins", "bytearray") + b"\x8a\x06" + (10**12).to_bytes(6, "little") + b"\x85R.", "than bytes"),
        (named("_codecs", "encode") + b"\x8c\x01x\x8c\x03rot\x86R.", "_codecs.encode"),
        (named("builtins", "slice") + b"]]]\x87R.", "a slice of something else"),
        (b"Pos\n.", "the instruction PERSID"),
        (b"\x8c\x02os\x51.", "the instruction BINPERSID"),
        (b"\x82\x01.", "the instruction EXT1"),
        (b"(ios\nsystem\n.", "the instruction INST"),
        (b"\x97.", "the instruction NEXT_BUFFER"),
        (b"\x95" + struct.pack("<Q", 1 << 60) + b"N.", "longer than the file"),
        (b"Nr" + struct.pack("<I", 2**31 - 1) + b".", "memory place 2,147,483,647"),
        (b"\x8b" + struct.pack("<i", 64) + b"\x01" * 64 + b".", "an integer beyond all numbers"),
    ],
)
def test_what_only_hand_writing_produces_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    assert message in stopped(b"\x80\x05" + data, tmp_path)


def reconstructed(shape: object, raw: object) -> bytes:
    """An array of protocol 2 that claims a shape its values do not have."""
    buffer = io.BytesIO()
    honest = pickle.dumps(np.zeros(1) if isinstance(raw, bytes) else np.array([None]), protocol=2)
    assert honest.endswith(b".")

    class Claims(pickle.Pickler):
        def reducer_override(self, value: object) -> Any:
            if not isinstance(value, np.ndarray):
                return NotImplemented
            make, arguments, state = value.__reduce__()
            return make, arguments, (state[0], shape, state[2], False, raw)

    Claims(buffer, protocol=3).dump({"a": np.zeros(1) if isinstance(raw, bytes) else np.array([None])})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("shape", "raw"),
    [
        ((10**12,), b""),
        ((10**12,), []),
        ((2**32, 2**32), b""),
        ((-1,), b""),
        ((2.5,), b"\0" * 8),
        ((1,), b"\0" * 7),
        ((1, 1, 1), b"\0" * 8),
        ((10**9, 0), [None]),
    ],
)
def test_an_array_is_as_large_as_its_values_and_not_as_it_claims(shape: object, raw: object, tmp_path: Path) -> None:
    path = tmp_path / "claims.pkl"
    path.write_bytes(reconstructed(shape, raw))
    with pytest.raises(RefusedError, match="an array"):
        list(leaves(load(path)))


def test_text_of_arrow_is_bounded_by_its_buffers(tmp_path: Path) -> None:
    """Offsets that point outside of the bytes would read other memory of the process."""
    honest = pickle.dumps(pd.DataFrame({"a": pd.array(["xy", "z"], dtype=pd.StringDtype("pyarrow"))}), protocol=5)
    offsets = struct.pack("<3q", 0, 2, 3)
    assert offsets in honest
    path = tmp_path / "attack.pkl"
    for wrong in (struct.pack("<3q", 0, 2, 1 << 40), struct.pack("<3q", 0, 2, -1), struct.pack("<3q", 5, 2, 3)):
        path.write_bytes(honest.replace(offsets, wrong))
        with pytest.raises(pa.ArrowInvalid):
            columns(load(path))


def test_an_end_cut_off_anywhere_is_noticed(tmp_path: Path) -> None:
    data = pickle.dumps(frame(), protocol=5)
    path = tmp_path / "cut.pkl"
    for length in range(1, len(data), 11):
        path.write_bytes(data[:length])
        with pytest.raises((RefusedError, ValueError)):
            load(path)


def test_a_flipped_bit_is_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    """Were a stand-in to trust what it is given, some flip would crash this process."""
    data = pickle.dumps(frame(), protocol=5)
    path = tmp_path / "flipped.pkl"
    rng = np.random.default_rng(0)
    opened = 0
    for _ in range(600):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            opened += len(columns(load(path))) > 0
        except Exception as error:  # which kind is open: the file may be wrong in any way
            assert str(error) or type(error)  # noqa: PT017
    assert 0 < opened < 600
