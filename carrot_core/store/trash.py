"""The trash: benchmarks that were removed or replaced, kept `carrot_core.limits.TRASH_DAYS` days beside the store.

trash/
    20261130T110203.123456-3f9a0c1e/     one folder per removal
        about.json                       name of the benchmark, and whether it was removed or replaced
        benchmark/                       its folder
        runs/FOLDER/IMPORT/              routers on other benchmarks that were fitted on it
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from carrot_core import limits, paths
from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.modes import action, is_own
from carrot_core.roles_audit import Role
from carrot_core.store import runs
from carrot_core.store.database import translate_errors
from carrot_core.store.folder import Files, Folder, delete
from carrot_core.store.info import describe

if TYPE_CHECKING:
    from carrot_core.store import Store

REMOVED, _REPLACED = "removed", "replaced"
_TRASH, _ABOUT, _BENCHMARK, _RUNS = "trash", "about.json", "benchmark", "runs"
_STAMP = "%Y%m%dT%H%M%S.%f"
_PLACE = re.compile(r"(\d{8}T\d{6}(?:\.\d{6})?)-[0-9a-f]{8}")

_log = logging.getLogger(__name__)


class Removal(NamedTuple):
    """A benchmark in the trash: its name, when it was removed or replaced and which of both, and its folder there."""

    name: str
    at: datetime
    how: str
    place: Path


def put(folder: Folder, name: str, fitted: Sequence[Path]) -> None:
    """Move a benchmark and the runs that depend on it into the trash; delete them if the store is a session's.

    After an error all of it is in its old place. The benchmark goes first, so that a kill midway leaves it listed.
    """
    store = folder.path.parent
    if is_own(store):
        for path in fitted:
            delete(path)
        folder.remove()
        return
    with _place(store, name, REMOVED) as (place, undo):
        folder.remove(place / _BENCHMARK)
        undo.callback(folder.bring_back, place / _BENCHMARK)
        _put_runs(store, fitted, place, undo)


def put_replaced(folder: Folder, old: Path, fitted: Sequence[Path]) -> None:
    """Move an import that a newer one has replaced, and the runs that rest on it, into the trash; delete them where the
    store is a session's, or the trash does not take them, which the log then says."""
    store, newer = folder.path.parent, folder.files()
    name = folder.name if newer is None else _stated_name(newer, folder.name)
    if not is_own(store):
        try:
            with _place(store, name, _REPLACED) as (place, undo):
                (place / _BENCHMARK).mkdir()
                os.rename(old, place / _BENCHMARK / old.name)
                undo.callback(os.rename, place / _BENCHMARK / old.name, old)
                _put_runs(store, fitted, place, undo)
            return
        except StoreError as error:  # the new benchmark is in place already
            _log.warning("The former %r cannot be restored: %s", name, error)
    for path in (old, *fitted):
        delete(path)


@contextmanager
def _place(store: Path, name: str, how: str) -> Iterator[tuple[Path, ExitStack]]:
    """Give a new folder in the trash, and a stack of actions that move its content back after an error."""
    sweep(store)
    place = _folder(store) / f"{datetime.now(UTC):{_STAMP}}-{secrets.token_hex(4)}"
    with translate_errors(place), ExitStack() as undo:
        place.mkdir(parents=True)
        undo.callback(_discard, place)
        with paths.replacing(place / _ABOUT) as part:
            part.write_text(json.dumps({"name": name, "how": how}), encoding="utf-8")
        yield place, undo
        undo.pop_all()


def _put_runs(store: Path, fitted: Sequence[Path], place: Path, undo: ExitStack) -> None:
    for path in fitted:
        target = place / _RUNS / path.relative_to(store)
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # removed meanwhile
            os.rename(path, target)
            undo.callback(os.rename, target, path)


def removals(store: Store) -> list[Removal]:
    """Removals that can be restored, newest first; damaged ones are left out, and the log says so."""
    there = []
    for at, place in _places(store.path):
        if (place / _BENCHMARK).is_dir():
            try:
                about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
                how = about.get("how", REMOVED)  # which files of earlier versions do not say
                there.append(Removal(str(about["name"]), at, str(how), place))
            except (OSError, ValueError, AttributeError, KeyError) as error:
                _log.warning("The removal in %s cannot be restored: %s is damaged (%s).", place, _ABOUT, error)
    return there


def find(store: Store, name: str, time: str | None = None) -> Removal | None:
    """The newest benchmark of a name in the trash, or the one of a time as the lists show it; None without any.

    Raises
    ------
    CarrotError
        Several went there at this time.
    """
    start = (time or "").removesuffix("UTC").strip().replace(" ", "T")
    fitting = [each for each in removals(store) if each.name == name and each.at.isoformat().startswith(start)]
    if time is not None and len(fitting) > 1:
        times = ", ".join(each.at.isoformat() for each in fitting)
        raise CarrotError(f"The trash has {len(fitting)} called {name!r} of {time!r}; choose one of {times}.")
    return fitting[0] if fitting else None


def restore(store: Store, removal: Removal) -> None:
    """Bring back a benchmark, and the runs that depend on it if their own benchmarks are unchanged.

    Raises
    ------
    NotFoundError
        It is no longer in the trash.
    StoreError
        There is a benchmark of that name again, or the one in the trash has another name.
    """
    with action("restore", removal.name, store.path, Role.ADMIN):
        source = removal.place / _BENCHMARK
        files = Folder(source).files()
        if files is None:
            raise NotFoundError(f"{removal.name!r} is not in the trash any more; `carrot data trash` lists what is.")
        if _stated_name(files, removal.name) != removal.name:
            raise StoreError(f"{source} is another benchmark than {removal.name!r}, so it stays there.")
        store.folder(removal.name).bring_back(source)
        for path in (removal.place / _RUNS).rglob("*.duckdb"):
            _bring_back_run(path, Folder(store.path / path.relative_to(removal.place / _RUNS).parts[0]))
        delete(removal.place)


def _stated_name(files: Files, default: str) -> str:
    """The name that a benchmark's own file states, or ``default`` if it cannot be read."""
    try:
        return describe(files.main).name
    except StoreError:  # a damaged one is restored as it is
        return default


def _bring_back_run(path: Path, folder: Folder) -> None:
    """Put a router back on its benchmark, unless that is gone, has other data now, or has a newer run."""
    try:
        with folder.adding() as files, translate_errors(path):
            target = files.folder / path.name
            (run,) = runs.list_runs(Files(path.parent, (path.name,)), folder.name) or (None,)
            # Its hash begins with that of the benchmark it is on (`carrot_core.evaluation.evaluate.data_hash`).
            fits = run is not None and run.data_hash.partition("+")[0] == describe(files.main).data_hash
            if fits and not target.exists():
                os.rename(path, target)
    except CarrotError as error:  # the benchmark is back already, and a router can be fitted again
        _log.warning("A router is not restored: %s", error)


def sweep(store: Path) -> None:
    """Delete benchmarks that have been in the trash for too long."""
    oldest = datetime.now(UTC) - timedelta(days=limits.TRASH_DAYS)
    for at, place in _places(store):
        if at < oldest:
            delete(place)


def empty(store: Store) -> None:
    """Delete all that was put into the trash, for good.

    Raises
    ------
    StoreError
        Files of it cannot be deleted.
    """
    with action("empty", "trash", store.path, Role.ADMIN):
        places = [place for _, place in _places(store.path)]
        for place in places:
            delete(place)
        if left := [place for place in places if place.exists()]:
            raise StoreError(f"{len(left)} of {len(places)} folders of the trash cannot be deleted: {left[0]} is one.")


def _places(store: Path) -> list[tuple[datetime, Path]]:
    """Time and folder of each removal, newest first; other files in the trash are left alone."""
    folder = _folder(store)
    try:
        places = list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{folder} cannot be looked at: {error.strerror}.") from error
    return sorted(((at, place) for place in places if (at := _time(place))), reverse=True)


def _time(place: Path) -> datetime | None:
    stamp = _PLACE.fullmatch(place.name)
    try:
        return None if stamp is None else datetime.fromisoformat(stamp[1]).replace(tzinfo=UTC)
    except ValueError:  # digits that are not a time
        return None


def _discard(place: Path) -> None:
    """Delete a folder of the trash unless it has something that could not be moved back."""
    if not any(place.rglob("*.duckdb")):
        delete(place)


def _folder(store: Path) -> Path:
    return store.parent / _TRASH
