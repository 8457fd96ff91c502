"""Paths of the user's files (``CARROT_HOME``) and of the files that ship with the project."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = PACKAGE.parent
IN_CHECKOUT = (_CHECKOUT / "app.py").is_file() and (_CHECKOUT / "pyproject.toml").is_file()


def home() -> Path:
    """Folder of the database and the caches.

    ``CARROT_HOME`` if set; else ``data/`` in a checkout; else the user's data folder.
    """
    chosen = os.environ.get("CARROT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if IN_CHECKOUT:
        return _CHECKOUT / "data"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "carrot"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "carrot"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "carrot"


def shipped(name: str) -> Path:
    """Path of a file that ships in the project's ``data/`` folder."""
    return (_CHECKOUT / "data" if IN_CHECKOUT else PACKAGE / "_data") / name


@cache
def shipped_data() -> dict[str, str]:
    """sha256 of the data that ship, and of those behind the results that ship, by the name of their benchmark."""
    snapshots = sorted(shipped("snapshots").glob("*/snapshot.json"))
    hashes = {path.parent.name: json.loads(path.read_bytes())["benchmark"]["data_hash"] for path in snapshots}
    cards = sorted(shipped("benchmarks").glob("*/card.json"))
    return hashes | {path.parent.name: json.loads(path.read_bytes())["data_hash"] for path in cards}


def app_script() -> Path:
    """Path of the dashboard's entry script."""
    return (_CHECKOUT if IN_CHECKOUT else PACKAGE / "_app") / "app.py"


def document(name: str) -> Path:
    """Path of a file of the project's ``docs/`` folder that the dashboard shows."""
    return (_CHECKOUT / "docs" if IN_CHECKOUT else PACKAGE / "_docs") / name


def without_places(text: str) -> str:
    """A text without where this program and its files lie: for those who are not to know."""
    places = {home(): "CARROT_HOME", PACKAGE.parent: "…", Path(tempfile.gettempdir()): "…"}
    for place, name in places.items():
        for spelling in {str(place.resolve()), str(place)}:
            text = text.replace(spelling, name)
    return text


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary file that replaces ``path`` at the end, so readers see the old file or the whole new one.

    After an error the temporary file is removed and an existing file stays as it was.
    """
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):  # the file is gone after a success; an error of the writing must not be hidden
            part.unlink(missing_ok=True)
