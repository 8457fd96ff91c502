"""The trash: benchmarks that were removed, kept `carrot_core.limits.TRASH_DAYS` days beside the store.

trash/
    20261130T110203-3f9a0c1e/     one folder a removal
        about.json                name of the benchmark
        benchmark/                its folder
        runs/FOLDER/IMPORT/       routers on other benchmarks that were fitted on it
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from carrot_core import limits
from carrot_core.errors import NotFoundError
from carrot_core.modes import action, is_own
from carrot_core.roles import Role
from carrot_core.store.database import translate_errors
from carrot_core.store.folder import Folder, delete

if TYPE_CHECKING:
    from carrot_core.store import Store

_TRASH, _ABOUT, _BENCHMARK, _RUNS = "trash", "about.json", "benchmark", "runs"
_STAMP = "%Y%m%dT%H%M%S"


class Removal(NamedTuple):
    """A benchmark in the trash: its name, when it was removed, and its folder there."""

    name: str
    at: datetime
    place: Path


def put(store: Path, folder: Folder, runs: Sequence[Path]) -> None:
    """Move a benchmark and the runs that rest on it into the trash; delete them where the store is a session's."""
    if is_own(store):
        for path in runs:
            delete(path)
        folder.remove()
        return
    sweep(store)
    place = _folder(store) / f"{datetime.now(UTC):{_STAMP}}-{secrets.token_hex(4)}"
    with translate_errors(place):
        place.mkdir(parents=True)
        (place / _ABOUT).write_text(json.dumps({"name": folder.name}), encoding="utf-8")
        for path in runs:
            target = place / _RUNS / path.relative_to(store)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # removed meanwhile
                os.rename(path, target)
        folder.remove(place / _BENCHMARK)


def removals(store: Store) -> list[Removal]:
    """What can come back, newest first."""
    try:
        places = sorted(_folder(store.path).iterdir(), reverse=True)
    except FileNotFoundError:
        return []
    return [Removal(_name(place), _time(place), place) for place in places if (place / _BENCHMARK).is_dir()]


def restore(store: Store, name: str) -> None:
    """Bring back the benchmark of a name that was removed last, and what rests on it where that is as it was.

    Raises
    ------
    NotFoundError
        None of that name is in the trash.
    StoreError
        There is a benchmark of that name again.
    """
    with action("restore", name, store.path, Role.ADMIN):
        place = next((each.place for each in removals(store) if each.name == name), None)
        if place is None:
            raise NotFoundError(f"There is no benchmark {name!r} in the trash; `carrot data trash` lists what is.")
        store.folder(name).bring_back(place / _BENCHMARK)
        with translate_errors(place):
            for path in (place / _RUNS).rglob("*.duckdb"):
                target = store.path / path.relative_to(place / _RUNS)
                if target.parent.is_dir():  # else its benchmark is gone, or is of other data now
                    os.rename(path, target)
            shutil.rmtree(place)


def sweep(store: Path) -> None:
    """Delete what has been in the trash for too long."""
    oldest = datetime.now(UTC) - timedelta(days=limits.TRASH_DAYS)
    for place in _folder(store).glob("*-*"):
        if _time(place) < oldest:
            delete(place)


def _folder(store: Path) -> Path:
    return store.parent / _TRASH


def _name(place: Path) -> str:
    with translate_errors(place):
        return str(json.loads((place / _ABOUT).read_text(encoding="utf-8"))["name"])


def _time(place: Path) -> datetime:
    return datetime.strptime(place.name.partition("-")[0], _STAMP).replace(tzinfo=UTC)
