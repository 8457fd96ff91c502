"""The trash: what is removed comes back as it was, for a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carrot_core import limits, modes
from carrot_core.errors import NotFoundError, StoreError
from carrot_core.points import PointShelf
from carrot_core.store import Store, trash
from tests.points.test_difference import point
from tests.store.test_store import a_run, vectors_of
from tests.tables import frames

A_MONTH_AGO = "20010101T000000-00000000"


@pytest.fixture
def two(store: Store) -> Store:
    """ "first" with vectors and a router, and "second" with a router that was fitted on "first"."""
    store.save_benchmark("second", frames(seed=1))
    texts = store.missing_texts("first", "mini")
    store.add_vectors("mini", texts, vectors_of(texts), benchmark="first")
    store.save_run(a_run(store.load("first")))
    store.save_run(a_run(store.load("second"), fit_on="first"))
    return store


def _content(store: Store) -> dict[str, bytes]:
    return {str(path.relative_to(store.path)): path.read_bytes() for path in store.path.rglob("*.duckdb")}


def test_a_benchmark_comes_back_with_its_vectors_its_routers_and_those_fitted_on_it(two: Store) -> None:
    before = _content(two)
    two.remove_benchmark("first")
    assert [info.name for info in two.benchmarks()] == ["second"]
    assert not two.runs("second")
    assert [removal.name for removal in trash.removals(two)] == ["first"]
    trash.restore(two, "first")
    assert _content(two) == before
    assert two.load("first", encoder="mini").vectors is not None
    assert not trash.removals(two)


def test_a_router_stays_away_from_a_benchmark_that_was_replaced_meanwhile(two: Store) -> None:
    two.remove_benchmark("first")
    two.save_benchmark("second", frames(seed=2), replace=True)
    trash.restore(two, "first")
    assert two.runs("first")
    assert not two.runs("second")


def test_of_two_removals_of_a_name_the_last_comes_back(store: Store) -> None:
    store.remove_benchmark("first")
    (older,) = trash.removals(store)
    older.place.rename(older.place.with_name(f"{datetime.now(UTC) - timedelta(days=1):%Y%m%dT%H%M%S}-ffffffff"))
    newer = store.save_benchmark("first", frames(seed=3)).data_hash
    store.remove_benchmark("first")
    trash.restore(store, "first")
    assert store.info("first").data_hash == newer
    assert len(trash.removals(store)) == 1


def test_a_benchmark_of_the_name_that_is_there_stays(store: Store) -> None:
    store.remove_benchmark("first")
    store.save_benchmark("first", frames(seed=3))
    newer = store.info("first").data_hash
    with pytest.raises(StoreError, match="again"):
        trash.restore(store, "first")
    assert store.info("first").data_hash == newer
    assert trash.removals(store)


def test_what_is_in_no_trash_is_told(store: Store) -> None:
    with pytest.raises(NotFoundError, match="trash"):
        trash.restore(store, "first")


@pytest.mark.parametrize("act", [lambda store: trash.sweep(store.path), lambda store: store.remove_benchmark("second")])
def test_what_was_removed_too_long_ago_goes(store: Store, act: Callable[[Store], None]) -> None:
    store.save_benchmark("second", frames(seed=1))
    store.remove_benchmark("first")
    (removal,) = trash.removals(store)
    trash.sweep(store.path)
    assert removal.place.exists()
    old = removal.place.rename(removal.place.with_name(A_MONTH_AGO))
    act(store)
    assert not old.exists()
    assert "first" not in [each.name for each in trash.removals(store)]


def test_what_a_session_removes_is_gone(store: Store) -> None:
    modes.add_session_folder(store.path.parent)
    try:
        store.remove_benchmark("first")
    finally:
        modes.drop_session_folder(store.path.parent)
    assert not trash.removals(store)
    assert not list(store.path.rglob("*.duckdb"))


def test_a_deleted_point_is_listed_until_its_time_is_over(tmp_path: Path) -> None:
    shelf = PointShelf(tmp_path / "points")
    ids = [shelf.keep(point(note=note)) for note in ("one", "two")]
    for id in ids:
        shelf.delete(id)
    assert {record.name for record, _ in shelf.deleted()} == {"one", "two"}
    old = tmp_path / "points" / ".deleted" / f"{ids[0]}.json"
    os.utime(old, (0, old.stat().st_mtime - limits.TRASH_DAYS * 86_400 - 60))
    shelf.sweep()
    assert [record.name for record, _ in shelf.deleted()] == ["two"]
    shelf.restore(ids[1])
    assert [record.name for record in shelf.listing().points] == ["two"]
