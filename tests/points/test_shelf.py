"""Operating points kept as files: what is kept is found again, whatever else lies there and whoever else writes."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from carrot_core import CarrotRouter, limits
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.points import PointShelf, join_note, shared_points, title_and_note
from carrot_core.serving.point import PointFile, read_point, write_point
from tests.points.test_difference import point

HOSTILE = "<img src=x onerror=alert(1)> ![x](//host/x.png)\u202e\x00"


@pytest.fixture
def place(tmp_path: Path) -> PointShelf:
    return PointShelf(tmp_path / "points")


def kept_notes(place: PointShelf) -> list[str]:
    return [entry.point.note for entry in place.listing().points]


def test_nothing_is_kept_where_there_is_no_folder_and_looking_makes_none(place: PointShelf) -> None:
    assert place.listing().points == ()
    assert not place.folder.exists()


def test_shared_points_lie_in_the_home_folder(carrot_home: Path) -> None:
    id = shared_points().keep(point())
    assert (carrot_home / "points" / f"{id}.json").is_file()


def test_a_kept_point_is_the_file_that_everything_else_reads(place: PointShelf) -> None:
    head = CarrotRouter.load("mmlu-pro-cot").point_file(lam=0.2)
    id = place.keep(head)
    assert place.read(id) == read_point(place.path(id)) == head
    assert CarrotRouter.load(place.path(id)).default_lam == 0.2


def test_points_are_listed_newest_first(place: PointShelf) -> None:
    for day in (2, 3, 1):
        place.keep(point(note=str(day), created_at=f"2026-01-0{day}T00:00:00+00:00"))
    assert kept_notes(place) == ["3", "2", "1"]


def test_keeping_a_point_twice_keeps_one_and_loses_no_name(place: PointShelf) -> None:
    id = place.keep(point())
    place.note(id, "mine", "")
    assert place.keep(point()) == id
    assert kept_notes(place) == ["mine"]


def test_a_new_name_changes_nothing_but_the_note_and_the_seal(place: PointShelf) -> None:
    id = place.keep(point(note="before"))
    place.note(id, "After", "for\nthe night")
    after = place.read(id)
    assert title_and_note(after) == ("After", "for\nthe night")
    assert after.sha256 == after.digest
    assert after.model_copy(update={"note": "before"}).sealed() == point(note="before").sealed()


def test_an_undone_deletion_leaves_alone_what_was_kept_and_named_since(place: PointShelf) -> None:
    id = place.keep(point())
    place.delete(id)
    assert place.keep(point()) == id
    place.note(id, "the new name", "")
    with pytest.raises(CarrotError, match="kept again"):
        place.restore(id)
    assert kept_notes(place) == ["the new name"]


def test_a_name_of_the_same_length_is_read_anew_though_the_clock_stands_still(place: PointShelf) -> None:
    id = place.keep(point(note="one"))
    clock = place.path(id).stat()
    assert place.read(id).note == "one"
    place.note(id, "two", "")
    os.utime(place.path(id), ns=(clock.st_atime_ns, clock.st_mtime_ns))
    assert place.path(id).stat().st_size == clock.st_size
    assert place.read(id).note == "two"


def test_delete_and_restore_give_back_the_very_file(place: PointShelf) -> None:
    id, other = place.keep(point(note="one")), place.keep(point(note="two"))
    before = place.path(id).read_bytes()
    place.delete(id)
    assert [entry.id for entry in place.listing().points] == [other]
    with pytest.raises(NotFoundError):
        place.read(id)
    place.restore(id)
    assert place.path(id).read_bytes() == before


def test_what_is_gone_is_told(place: PointShelf) -> None:
    id = place.keep(point())
    with pytest.raises(NotFoundError):
        place.restore(id)
    place.delete(id)
    for act in (place.delete, place.read, lambda gone: place.note(gone, "x", "")):
        with pytest.raises(NotFoundError, match="any more"):
            act(id)


@pytest.mark.parametrize(
    "id", ["../../etc/passwd", "", ".", "a" * 15, "A" * 16, "0123456789abcde/", "0123456789abcdef\n", HOSTILE]
)
def test_no_id_reaches_another_file(place: PointShelf, id: str) -> None:
    place.keep(point())
    for act in (place.read, place.path, place.delete, place.restore, lambda bad: place.note(bad, "x", "y")):
        with pytest.raises(NotFoundError):
            act(id)


def test_damaged_files_stand_aside_with_their_reason(place: PointShelf) -> None:
    good = place.keep(point(note="good"))
    changed = place.keep(point(note="changed"))
    place.path(changed).write_text(place.path(changed).read_text().replace('"lam": 0.5', '"lam": 0.25'))
    (place.folder / "0000000000000000.json").write_bytes(b"\xff{")
    (place.folder / "1111111111111111.json").write_text("[" * 100_000)
    (place.folder / "2222222222222222.json").write_bytes(b" " * ((4 << 20) + 1))
    write_point(point().sealed(), place.folder / "by hand.json")
    (place.folder / "3333333333333333.json").mkdir()
    (place.folder / "4444444444444444.json").symlink_to(place.folder / "nowhere")
    (place.folder / ".0123.part").write_text("left by a crash")
    listing = place.listing()
    assert [entry.id for entry in listing.points] == [good]
    assert set(listing.damaged) == {
        f"{changed}.json", "0000000000000000.json", "1111111111111111.json", "2222222222222222.json", "by hand.json",
    }  # fmt: skip
    assert "changed" in listing.damaged[f"{changed}.json"]
    assert "too large" in listing.damaged["2222222222222222.json"]


def test_a_file_changed_outside_is_read_anew(place: PointShelf) -> None:
    id = place.keep(point(note="one"))
    assert place.read(id).note == "one"
    write_point(point(note="another").sealed(), place.path(id))
    os.utime(place.path(id), ns=(1, 1))
    assert place.read(id).note == "another"


def test_there_is_a_most(place: PointShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POINTS", 3)
    ids = [place.keep(point(note=str(n))) for n in range(3)]
    with pytest.raises(CarrotError, match="delete one first"):
        place.keep(point(note="one more"))
    assert place.keep(point(note="0")) == ids[0]
    place.delete(ids[0])
    place.keep(point(note="one more"))
    with pytest.raises(CarrotError, match="delete one first"):
        place.restore(ids[0])
    for round in range(5):
        place.delete(place.keep(point(note=f"round {round}")) if round else ids[1])
    assert len(list((place.folder / ".deleted").iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "points").write_text("a file")
    with pytest.raises(CarrotError, match="Cannot write"):
        PointShelf(tmp_path / "points").keep(point())


def test_two_writers_lose_nothing(place: PointShelf) -> None:
    def work(writer: int) -> None:
        for n in range(10):
            id = place.keep(point(note=f"{writer} {n}"))
            place.note(id, f"named {writer} {n}", "")
            if n % 2:
                PointShelf(place.folder).delete(id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert sorted(kept_notes(place)) == [f"named {writer} {n}" for writer in range(4) for n in range(0, 10, 2)]
    assert not place.listing().damaged
    assert not list(place.folder.glob(".*.part"))


@given(name=some.text(max_size=limits.POINT_NAME), note=some.text(max_size=200))
def test_any_name_and_note_make_a_note_that_is_read_back(name: str, note: str) -> None:
    text = join_note(name, note)
    copy = PointFile.model_validate_json(json.dumps(point(note=text).sealed().model_dump(mode="json")))
    assert copy.sha256 == copy.digest
    assert title_and_note(copy) == (" ".join(name.strip().splitlines()), note.strip())


@pytest.mark.parametrize(("name", "note"), [("x" * (limits.POINT_NAME + 1), ""), ("", "x" * 2_001)])
def test_names_and_notes_have_a_length(place: PointShelf, name: str, note: str) -> None:
    id = place.keep(point(note="before"))
    with pytest.raises(CarrotError, match="at most"):
        place.note(id, name, note)
    assert place.read(id).note == "before"


def test_hostile_notes_come_back_as_they_are(place: PointShelf) -> None:
    id = place.keep(point())
    place.note(id, HOSTILE, HOSTILE)
    assert title_and_note(place.read(id)) == (HOSTILE, HOSTILE)


def test_a_point_without_a_name_is_called_what_it_is(place: PointShelf) -> None:
    place.keep(point())
    assert place.listing().points[0].name == "carrot-knn on made, λ 0.500"
