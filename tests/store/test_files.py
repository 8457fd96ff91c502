"""Files that are not what the store or a reader expects: damaged, foreign, of another version, half written.

What can still be read of a damaged database is in `tests.store.test_health`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from carrot_core.benchmarks.long_table import read_long_table
from carrot_core.errors import DataError, NotFoundError, StoreError
from carrot_core.store import Store
from tests.tables import frames, left_behind, long_table, write


def damage(kind: str) -> Callable[[bytes], bytes]:
    rng = np.random.default_rng(1)
    return {
        "empty": lambda whole: b"",
        "garbage": lambda whole: bytes(rng.integers(0, 256, len(whole), dtype=np.uint8)),
        "half": lambda whole: whole[: len(whole) // 2],
        "head": lambda whole: whole[:100],
        "flipped": lambda whole: whole[:9000] + bytes(255 - byte for byte in whole[9000:]),
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "garbage", "half", "head", "flipped"])
def test_damaged_file_is_named_with_what_to_do(store: Store, kind: str) -> None:
    store.path.write_bytes(damage(kind)(store.path.read_bytes()))
    for use in (
        store.benchmarks,
        lambda: store.load("first"),
        lambda: store.save_benchmark("second", frames(n_prompts=2000)),
    ):
        with pytest.raises(StoreError, match="import the benchmarks again") as caught:
            use()
        assert str(store.path) in str(caught.value)
    assert left_behind(store) == []


@pytest.mark.parametrize(("version", "says"), [(2, "update CARROT"), (0, "import again")])
def test_file_of_another_schema_version(store: Store, version: int, says: str) -> None:
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("update schema_version set version = ?", [version])
    for use in (store.benchmarks, lambda: store.save_benchmark("second", frames())):
        with pytest.raises(StoreError, match=says):
            use()


def unfinished(store: Store) -> Path:
    """A write-ahead log with one more model, as a program leaves it that is killed with the file open."""
    copy = store.path.with_name("elsewhere.duckdb")
    log, left = Path(f"{copy}.wal"), Path(f"{store.path}.wal")
    copy.write_bytes(store.path.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute("set wal_autocheckpoint = '1TB'")
        connection.execute("update benchmarks set note = 'changed'")
        left.write_bytes(log.read_bytes())
    copy.unlink()
    return left


def test_changes_another_program_left_unfinished_are_read_and_never_lost(store: Store) -> None:
    log = unfinished(store)
    before, after = store.path.read_bytes(), log.read_bytes()
    assert store.benchmarks()[0].note == "changed"
    with pytest.raises(StoreError, match="another program left unfinished"):
        store.save_benchmark("second", frames(seed=1))
    assert (store.path.read_bytes(), log.read_bytes()) == (before, after)
    with duckdb.connect(str(store.path)):  # as the message says
        pass
    store.save_benchmark("second", frames(seed=1))
    assert [info.note for info in store.benchmarks()] == ["changed", "by hand"]


def test_left_over_log_of_another_file_is_named(store: Store) -> None:
    log = unfinished(store)
    store.path.unlink()
    stale = log.rename(log.with_name("stale"))
    store.save_benchmark("first", frames(seed=2))
    stale.rename(log)
    with pytest.raises(StoreError, match=r"carrot\.duckdb\.wal"):
        store.benchmarks()
    log.write_bytes(b"")
    assert [info.name for info in store.benchmarks()] == ["first"]


# Damaged files to be imported


@pytest.mark.slow
def test_no_byte_of_a_parquet_file_can_be_damaged_into_anything_but_data_or_a_data_error(tmp_path: Path) -> None:
    file = write(long_table(40), tmp_path / "results.parquet")
    content, rng = file.read_bytes(), random.Random(3)
    cut = [content[: rng.randrange(len(content))] for _ in range(40)]
    ends = [*range(12), *range(len(content) - 300, len(content))]
    places = [rng.choice(ends) if number % 2 else rng.randrange(len(content)) for number in range(160)]
    flipped = [content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :] for at in places]
    refused = []
    for damaged in cut + flipped:
        file.write_bytes(damaged)
        try:
            read_long_table(file)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) >= len(cut)
    assert all("results.parquet" in message for message in refused)


def test_duckdb_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "carrot.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table precious as select 1 as a")
    store = Store(path)
    for use in (store.benchmarks, lambda: store.save_benchmark("first", frames())):
        with pytest.raises(StoreError, match="not one of CARROT's"):
            use()
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("from precious").fetchall() == [(1,)]


def test_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "carrot.duckdb").mkdir()
    with pytest.raises(StoreError):
        Store(tmp_path / "carrot.duckdb").benchmarks()


def test_use_without_a_database(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    for use in (
        lambda: store.runs("first"),
        lambda: store.load_run("0"),
        lambda: store.missing_texts("first", "mini"),
        lambda: store.remove_benchmark("first"),
    ):
        with pytest.raises(NotFoundError):
            use()
    assert store.benchmarks() == []
