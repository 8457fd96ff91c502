"""Files that are not what the store or a reader expects: damaged, foreign, of another version, half written.

What can still be read of a damaged database is in `tests.store.test_health`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from carrot_core.errors import NotFoundError, StoreError
from carrot_core.store import Store
from carrot_core.store.database import SCHEMA_VERSION
from tests.tables import frames, left_behind, main_file

pytestmark = pytest.mark.slow


def damage(kind: str) -> Callable[[bytes], bytes]:
    rng = np.random.default_rng(1)
    return {
        "empty": lambda whole: b"",
        "garbage": lambda whole: bytes(rng.integers(0, 256, len(whole), dtype=np.uint8)),
        "half": lambda whole: whole[: len(whole) // 2],
        "flipped": lambda whole: whole[:9000] + bytes(255 - byte for byte in whole[9000:]),
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "garbage", "half", "flipped"])
def test_damaged_file_is_named_with_what_to_do(store: Store, kind: str) -> None:
    file = main_file(store)
    file.write_bytes(damage(kind)(file.read_bytes()))
    for use in (lambda: store.info("first"), lambda: store.load("first")):
        with pytest.raises(StoreError, match="import the benchmark again") as caught:
            use()
        assert str(file) in str(caught.value)
    assert store.benchmarks() == []
    assert str(file) in store.damaged()["first"]
    with pytest.raises(StoreError, match="already"):
        store.save_benchmark("first", frames())
    store.save_benchmark("second", frames(seed=1))
    assert [info.name for info in store.benchmarks()] == ["second"]
    assert store.damaged().keys() == {"first"}
    store.save_benchmark("first", frames(), replace=True)
    assert store.load("first").outcomes.shape == (20, 3)
    assert store.damaged() == {}
    assert left_behind(store) == ["trash"]  # with what was replaced


@pytest.mark.parametrize("kind", ["half", "flipped"])
def test_damaged_vectors_are_an_error_where_they_are_wanted_and_can_be_replaced(store: Store, kind: str) -> None:
    texts = store.missing_texts("first", "mini")
    store.add_vectors("mini", texts, np.ones((len(texts), 3)))
    (file,) = main_file(store).parent.glob("vectors-*")
    file.write_bytes(damage(kind)(file.read_bytes()))
    with pytest.raises(StoreError) as caught:
        store.load("first", encoder="mini")
    assert str(file) in str(caught.value)
    assert store.load("first").outcomes.shape == (20, 3)
    assert store.load("first", encoder="other").vectors is None
    store.save_benchmark("second", frames())
    store.copy_vectors("second", "mini")  # there are none it could take
    assert store.missing_texts("second", "mini") == texts
    store.save_benchmark("first", frames(), replace=True)
    assert store.missing_texts("first", "mini") == texts


def test_a_damaged_benchmark_can_be_removed(store: Store) -> None:
    main_file(store).write_bytes(b"")
    store.remove_benchmark("first")
    assert (store.benchmarks(), store.damaged()) == ([], {})


@pytest.mark.parametrize(("version", "says"), [(SCHEMA_VERSION + 1, "update CARROT"), (1, "import again")])
def test_file_of_another_schema_version(store: Store, version: int, says: str) -> None:
    with duckdb.connect(str(main_file(store))) as connection:
        connection.execute("update schema_version set version = ?", [version])
    with pytest.raises(StoreError, match=says):
        store.load("first")
    assert says in store.damaged()["first"]


def unfinished(store: Store) -> Path:
    """A write-ahead log with one more model, as a program leaves it that is killed with the file open."""
    file, copy = main_file(store), store.path.with_name("elsewhere.duckdb")
    log, left = Path(f"{copy}.wal"), Path(f"{file}.wal")
    copy.write_bytes(file.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute("set wal_autocheckpoint = '1TB'")
        connection.execute("update benchmarks set note = 'changed'")
        left.write_bytes(log.read_bytes())
    copy.unlink()
    return left


def test_changes_another_program_left_unfinished_are_read_and_never_lost(store: Store) -> None:
    log = unfinished(store)
    file = main_file(store)
    before, after = file.read_bytes(), log.read_bytes()
    assert store.benchmarks()[0].note == "changed"
    store.add_vectors("mini", store.missing_texts("first", "mini")[:2], np.ones((2, 3)))
    store.save_benchmark("second", frames(seed=1))
    assert (file.read_bytes(), log.read_bytes()) == (before, after)
    with duckdb.connect(str(file)):  # that completes them
        pass
    assert [info.note for info in store.benchmarks()] == ["changed", "by hand"]


def test_left_over_log_of_another_file_is_named(store: Store) -> None:
    log = unfinished(store)
    stale = log.rename(store.path.with_name("stale"))
    store.remove_benchmark("first")
    store.save_benchmark("first", frames(seed=2))
    stale.rename(log)
    assert "benchmark.duckdb.wal" in store.damaged()["first"]
    log.write_bytes(b"")
    assert [info.name for info in store.benchmarks()] == ["first"]


def test_duckdb_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "carrot.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table precious as select 1 as a")
    store = Store(path)
    assert "not one of CARROT's" in store.damaged()["carrot.duckdb"]
    with pytest.raises(StoreError, match="not one of CARROT's"):  # it may be in there
        store.load("first")
    store.save_benchmark("first", frames())
    assert [info.name for info in store.benchmarks()] == ["first"]
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("from precious").fetchall() == [(1,)]


def test_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "carrot.duckdb").mkdir()
    assert Store(tmp_path / "carrot.duckdb").damaged().keys() == {"carrot.duckdb"}


def test_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "carrot.store").write_text("mine")
    store = Store(tmp_path / "carrot.duckdb")
    assert "carrot.store" in store.damaged()["carrot.store"]
    with pytest.raises(StoreError, match=r"carrot\.store"):
        store.save_benchmark("first", frames())
    assert (tmp_path / "carrot.store").read_text() == "mine"


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
