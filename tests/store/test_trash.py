"""The trash: what is removed comes back as it was, for a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from carrot_core import limits, modes
from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.points import PointShelf
from carrot_core.store import Store, runs, trash
from carrot_core.store.folder import Folder
from tests.points.test_difference import point
from tests.store.test_store import a_run, vectors_of
from tests.tables import frames

LONG_NAME = "результаты оценки маршрутизаторов"
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


def _restore(store: Store) -> None:
    """Bring back the one removal there is."""
    (removal,) = trash.removals(store)
    trash.restore(store, removal)


def replace(store: Store, name: str) -> None:
    """Import other data under the name."""
    store.save_benchmark(name, frames(seed=3), replace=True)


def _content(store: Store) -> dict[str, bytes]:
    return {str(path.relative_to(store.path)): path.read_bytes() for path in store.path.rglob("*.duckdb")}


def test_a_benchmark_comes_back_with_its_vectors_its_routers_and_those_fitted_on_it(two: Store) -> None:
    before = _content(two)
    two.remove_benchmark("first")
    assert [info.name for info in two.benchmarks()] == ["second"]
    assert not two.runs("second")
    assert [removal.name for removal in trash.removals(two)] == ["first"]
    _restore(two)
    assert _content(two) == before
    assert two.load("first", encoder="mini").vectors is not None
    assert not trash.removals(two)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("replace", [False, True])
def test_a_router_comes_back_only_to_the_data_it_was_measured_on(two: Store, replace: bool, seed: int) -> None:
    """Regression: the first import of a benchmark that was removed too had the folder of the old one."""
    two.remove_benchmark("first")
    if not replace:
        two.remove_benchmark("second")
    two.save_benchmark("second", frames(seed=seed), replace=replace)
    (removal,) = (each for each in trash.removals(two) if each.name == "first")
    trash.restore(two, removal)
    assert two.runs("first")
    assert bool(two.runs("second")) == (seed == 1)


def test_a_benchmark_with_a_name_too_long_for_a_folder_comes_back_under_it(store: Store) -> None:
    info = store.save_benchmark(LONG_NAME, frames(seed=1))
    store.remove_benchmark(LONG_NAME)
    assert [removal.name for removal in trash.removals(store)] == [LONG_NAME]
    _restore(store)
    assert store.info(LONG_NAME) == info


def test_what_lies_in_the_trash_under_another_name_stays_there(store: Store) -> None:
    store.remove_benchmark("first")
    (removal,) = trash.removals(store)
    with pytest.raises(StoreError, match="another"):
        trash.restore(store, removal._replace(name="fi…"))
    assert not store.benchmarks()
    assert trash.removals(store) == [removal]


def test_after_an_error_a_benchmark_and_what_rests_on_it_are_where_they_were(
    two: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk refuses")

    before = _content(two)
    monkeypatch.setattr(Folder, "remove", fail)
    with pytest.raises(StoreError, match="refuses"):
        two.remove_benchmark("first")
    assert _content(two) == before
    assert not list((two.path.parent / "trash").iterdir())


def test_what_is_no_removal_hinders_none_and_stays(store: Store) -> None:
    store.save_benchmark("second", frames(seed=1))
    store.remove_benchmark("first")
    (removal,) = trash.removals(store)
    (removal.place / "about.json").write_text("")
    strays = [removal.place.with_name(name) for name in ("photos-2001", "20019999T000000-00000000", "20010101-x")]
    for stray in strays:
        stray.mkdir()
    trash.sweep(store.path)
    store.remove_benchmark("second")
    assert [each.name for each in trash.removals(store)] == ["second"]
    assert all(stray.is_dir() for stray in strays)


def test_of_two_removals_of_a_name_each_comes_back_and_the_last_is_first(store: Store) -> None:
    older = store.info("first").data_hash
    store.remove_benchmark("first")
    newer = store.save_benchmark("first", frames(seed=3)).data_hash
    store.remove_benchmark("first")
    for data_hash, removal in zip([newer, older], trash.removals(store), strict=True):
        trash.restore(store, removal)
        assert store.info("first").data_hash == data_hash
        store.remove_benchmark("first")


def test_the_one_of_a_time_is_chosen_and_a_time_of_several_is_refused(store: Store) -> None:
    replace(store, "first")
    store.remove_benchmark("first")
    removed, replaced = trash.removals(store)
    assert [removed.how, replaced.how] == ["removed", "replaced"]
    assert trash.find(store, "first") == removed
    assert [trash.find(store, "first", each.at.isoformat()) for each in (removed, replaced)] == [removed, replaced]
    earlier = replaced.place.rename(replaced.place.with_name("20990101T110203.000001-00000000"))
    for time in ("2099-01-01 11:02:03 UTC", "2099-01-01T11:02:03"):
        earliest = trash.find(store, "first", time)
        assert earliest is not None
        assert (earliest.place, earliest.how) == (earlier, "replaced")
    assert trash.find(store, "first", "2098-01-01 11:02:03") is None
    with pytest.raises(CarrotError, match=r"2099-01-01T11:02:03\.000001"):
        trash.find(store, "first", "20")


def test_an_emptied_trash_leaves_what_is_no_removal(store: Store) -> None:
    store.remove_benchmark("first")
    (removal,) = trash.removals(store)
    stray = removal.place.with_name("photos-2001")
    stray.mkdir()
    trash.empty(store)
    assert list(stray.parent.iterdir()) == [stray]


def test_what_an_earlier_version_put_there_counts_as_removed(store: Store) -> None:
    store.remove_benchmark("first")
    (removal,) = trash.removals(store)
    (removal.place / "about.json").write_text('{"name": "first"}')
    assert trash.removals(store) == [removal]


def test_a_benchmark_of_the_name_that_is_there_stays(store: Store) -> None:
    store.remove_benchmark("first")
    store.save_benchmark("first", frames(seed=3))
    newer = store.info("first").data_hash
    with pytest.raises(StoreError, match="again"):
        _restore(store)
    assert store.info("first").data_hash == newer
    assert trash.removals(store)


def test_what_is_in_the_trash_no_more_is_told(store: Store) -> None:
    store.remove_benchmark("first")
    (removal,) = trash.removals(store)
    trash.restore(store, removal)
    with pytest.raises(NotFoundError, match="trash"):
        trash.restore(store, removal)


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


@pytest.mark.parametrize("act", [Store.remove_benchmark, replace])
def test_what_a_session_removes_or_replaces_is_gone(store: Store, act: Callable[[Store, str], None]) -> None:
    (old,) = _content(store)
    modes.add_session_folder(store.path.parent)
    try:
        act(store, "first")
    finally:
        modes.drop_session_folder(store.path.parent)
    assert not trash.removals(store)
    assert old not in _content(store)


def test_what_was_replaced_comes_back_once_the_new_one_is_removed(two: Store) -> None:
    before = _content(two)
    replace(two, "first")
    assert not two.runs("second")  # it was fitted on what is gone
    (removal,) = trash.removals(two)
    two.remove_benchmark("first")
    trash.restore(two, removal)
    assert _content(two) == before


def test_a_replacement_that_the_trash_does_not_take_leaves_nothing_of_the_old_one(two: Store) -> None:
    (two.path.parent / "trash").write_text("a file where the folder would be")
    replace(two, "first")
    assert not two.runs("second")
    assert len(_content(two)) == 2  # what was imported under either name


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_replacement_that_fails_before_it_counts_changes_nothing(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _content(two)
    monkeypatch.setattr(runs, "fitted_on", _stop)
    with pytest.raises(KeyboardInterrupt):
        replace(two, "first")
    assert _content(two) == before


@pytest.mark.parametrize("name", ["first", LONG_NAME])
def test_what_was_replaced_by_a_writer_that_was_killed_right_after_comes_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name != "first":
        store.save_benchmark(name, frames())
    older = store.info(name).data_hash
    with monkeypatch.context() as patch:
        patch.setattr(trash, "put_replaced", _stop)
        with pytest.raises(KeyboardInterrupt):
            replace(store, name)
    assert store.info(name).data_hash != older
    store.remove_benchmark(name)
    (former,) = (each for each in trash.removals(store) if not (each.place / "benchmark" / "2").exists())
    assert former.name == name
    trash.restore(store, former)
    assert store.info(name).data_hash == older


def test_whoever_is_killed_while_removing_leaves_no_data_that_are_not_listed(
    two: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves, rename = [], os.rename

    def killed(source: Path, target: Path) -> None:
        if "benchmark" in str(target) or "run-" in str(target):
            moves.append(target)
            if len(moves) == 2:
                os._exit(0)
        rename(source, target)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(os, "rename", killed)
        try:
            two.remove_benchmark("first")
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    (removal,) = trash.removals(two)
    assert all(path.is_relative_to(removal.place) for path in (two.path.parent / "trash").rglob("*.duckdb"))


def test_an_old_point_whose_deletion_was_ended_midway_is_kept_for_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, replace = PointShelf(tmp_path / "points"), os.replace
    id = shelf.keep(point())
    os.utime(shelf.path(id), (0, 0))

    def end(source: Path, target: Path) -> None:
        replace(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", end)
    with pytest.raises(KeyboardInterrupt):
        shelf.delete(id)
    shelf.sweep()
    assert [record.id for record, _ in shelf.deleted()] == [id]


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
    shelf.delete(ids[1])
    shelf.sweep(everything=True)
    assert not shelf.deleted()
