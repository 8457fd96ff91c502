"""A pickle is opened in a process of its own, which no file can make take the caller down."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core import limits
from carrot_core.benchmarks.pickles import holds_dictionary, read_pickled_arrays, read_pickled_table
from carrot_core.errors import DataError, NotFoundError
from tests.pickle_files import PROTOCOLS, Calls, frame, values

pytestmark = pytest.mark.slow

# Written by the pandas in the name, with its numpy (1.21, 1.26, 2.2) and made-up values.
PICKLES = Path(__file__).parent


def refused(data: bytes, folder: Path) -> str:
    """What the refusal says, after making sure that it is one."""
    path = folder / "attack.pkl"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_pickled_table(path)
    return str(error.value)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("path", sorted(PICKLES.glob("*.pkl")), ids=lambda path: path.stem)
def test_frames_of_older_pandas_and_numpy_load_equal(path: Path) -> None:
    assert values(read_pickled_table(path)) == values(frame())


def test_the_archive_of_older_pickles_is_there() -> None:
    assert len(list(PICKLES.glob("*.pkl"))) == 6


@pytest.mark.usefixtures("in_this_process")
def test_only_wanted_columns_come_back_as_text_and_floats(tmp_path: Path) -> None:
    path = tmp_path / "frame.pkl"
    frame().assign(lists=[[1], [2], [3]]).to_pickle(path)
    table = read_pickled_table(path, lambda name: name in ("note", "n", "lists"))
    assert list(table) == ["n", "note"]
    assert table["note"].tolist() == ["x", None, "zß"]
    assert table["n"].dtype == np.float64


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nested_dictionaries_of_arrays_load_equal(protocol: int, tmp_path: Path) -> None:
    scores = np.arange(6.0).reshape(2, 3)
    tree = {"a": {"s": scores, "models": ["x", "y"]}, "b": {"c": {"f": np.asfortranarray(scores), "view": scores.T}}}
    path = tmp_path / "tree.pickle"
    path.write_bytes(pickle.dumps(tree, protocol=protocol))
    assert holds_dictionary(path)
    arrays = read_pickled_arrays(path)
    assert list(arrays) == [("a", "s"), ("a", "models"), ("b", "c", "f"), ("b", "c", "view")]
    assert np.array_equal(arrays["a", "s"], scores)
    assert np.array_equal(arrays["b", "c", "f"], scores)
    assert np.array_equal(arrays["b", "c", "view"], scores.T)
    assert arrays["a", "models"].tolist() == ["x", "y"]


def test_a_refusal_gives_the_name_and_that_nothing_ran(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    message = refused(pickle.dumps({"a": [Calls(os.system, f"touch {canary}")]}), tmp_path)
    assert f"attack.pkl: refused, and nothing of it was run: {os.system.__module__}.system" in message
    assert not canary.exists()


@pytest.mark.usefixtures("in_this_process")
def test_a_length_that_the_file_does_not_have(tmp_path: Path) -> None:
    for code in (b"\x8e", b"\x8d", b"\x96"):
        message = refused(b"\x80\x05" + code + struct.pack("<Q", 1 << 50) + b"abc.", tmp_path)
        assert "not a pickle that can be read" in message


def test_memory_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "sets.pkl"
    path.write_bytes(b"\x80\x04(" + b"\x8f" * 2_500_000 + b"l.")  # a set takes 216 bytes of memory
    with pytest.raises(DataError, match=r"needs more than .* MiB of memory"):
        read_pickled_table(path)


@pytest.mark.usefixtures("in_this_process")
def test_dictionaries_that_hold_one_array_a_million_times_are_refused_before_they_are_unfolded(tmp_path: Path) -> None:
    level: object = np.ones(3)
    for _ in range(8):
        level = {str(number): level for number in range(10)}
    path = tmp_path / "laughs.pkl"
    path.write_bytes(pickle.dumps(level))
    with pytest.raises(DataError, match="more arrays than bytes"):
        read_pickled_arrays(path)


@pytest.mark.usefixtures("in_this_process")
def test_one_text_a_hundred_times_does_not_come_back_a_hundred_times(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ["x" * 1_000_000] * 100}, dtype=object)
    data = pickle.dumps(table)
    assert len(data) < 2_000_000
    assert "far more than the file has" in refused(data, tmp_path)


def test_time_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tuple holds the last one twice; hashing it as a key takes 2^60 steps in a file of 250 bytes."""
    path = tmp_path / "doubling.pkl"
    path.write_bytes(b"\x80\x04})" + b"2\x86" * 60 + b"Ns.")
    monkeypatch.setattr(limits, "READ_SECONDS", 2.0)
    with pytest.raises(DataError, match="longer than 2 s"):
        read_pickled_table(path)


def test_depth_does_not_crash_the_reader(tmp_path: Path) -> None:
    assert "is no table" in refused(b"\x80\x04" + b"]" * 300_000 + b"a" * 299_999 + b".", tmp_path)


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.pkl"
    path.write_bytes(pickle.dumps(frame()))
    monkeypatch.setattr(limits, "PICKLE_BYTES", 100)
    with pytest.raises(DataError, match="more than the 100 a pickle may have"):
        read_pickled_table(path)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("data", [b"", b"PAR1", b"\x80\x05", b"\x80\x63.", b"\x00" * 50, b"]", b"a,b\n1,2\n"])
def test_what_is_no_pickle_is_said_to_be_none(data: bytes, tmp_path: Path) -> None:
    assert "attack.pkl: " in refused(data, tmp_path)


def test_a_missing_file_and_a_device_are_not_found(tmp_path: Path) -> None:
    for path in (tmp_path / "no.pkl", tmp_path):
        with pytest.raises(NotFoundError):
            read_pickled_arrays(path)


@pytest.mark.usefixtures("in_this_process")
def test_a_dictionary_where_a_table_is_wanted_and_the_reverse(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"a": np.ones(2)}))
    with pytest.raises(DataError, match="is no table"):
        read_pickled_table(path)
    path.write_bytes(pickle.dumps(frame()))
    with pytest.raises(DataError, match="something else than arrays"):
        read_pickled_arrays(path)
