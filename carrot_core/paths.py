"""Paths of the user's files (``CARROT_HOME``) and of the files that ship with the project."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import CALL

PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = PACKAGE.parent
IN_CHECKOUT = (_CHECKOUT / "app.py").is_file() and (_CHECKOUT / "pyproject.toml").is_file()
SHIPPED = _CHECKOUT / "data" if IN_CHECKOUT else PACKAGE / "_data"
RESTORE = "Restore it: `git checkout data` in a checkout, else install CARROT again."
SUMS = "SHA256SUMS"  # of all files that ship; their makers write it, and so does `make sums` after a change by hand
_PARTS = (
    "snapshots/*/*", "heads/*/*", "benchmarks/*/*", "theory/*", "models.csv", "prices.csv", "template.csv",
    "simulated/*",
)  # fmt: skip
_DOCUMENTS = {"snapshots": "snapshot.json", "benchmarks": "card.json"}  # the document that describes a benchmark


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
    return SHIPPED / name


def shipped_data() -> dict[str, str]:
    """sha256 of the data that ship, and of the data behind the results that ship, by the name of their benchmark.

    It is "" if the document that states it is damaged, so that no data match.
    """
    everything = {name: about for folder in _DOCUMENTS for name, about in shipped_benchmarks(folder).items()}
    return {name: "" if isinstance(about, DataError) else about["data_hash"] for name, about in everything.items()}


def unit_of(name: str, data_hash: str) -> str:
    """What one outcome of a benchmark is, to which its costs refer: as its card says if it ships, else a call."""
    card = shipped_benchmarks("benchmarks").get(name)
    if card is None or isinstance(card, DataError) or card["data_hash"] != data_hash:
        return CALL
    return str(card.get("unit", CALL))


def shipped_benchmarks(folder: str) -> dict[str, dict[str, Any] | DataError]:
    """Document of each benchmark of ``snapshots`` or ``benchmarks``, by name; the error instead of a damaged one.

    A document is read again only when it has changed, so a repaired one counts at once.
    """
    descriptions: dict[str, dict[str, Any] | DataError] = {}
    place = shipped(folder)
    try:
        with os.scandir(place) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:  # there is no such folder, or it may not be listed
        names = []
    for name in names:
        document = place / name / _DOCUMENTS[folder]
        try:
            descriptions[name] = _about(document, file_state(document))
        except DataError as error:
            descriptions[name] = error
    return descriptions


@lru_cache(maxsize=128)
def _about(document: Path, _state: tuple[int, int, int]) -> dict[str, Any]:
    content = read_document(document)
    about: dict[str, Any] = content.get("benchmark", content)
    if not isinstance(about.get("data_hash"), str):
        raise damage(document, TypeError("it has no data_hash"))
    return about


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON document that ships.

    Raises
    ------
    DataError
        It is missing or damaged.
    """
    try:
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict):
            raise TypeError("it is no JSON object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise damage(path, error) from error
    return document


def file_state(path: Path) -> tuple[int, int, int]:
    """State of a file that ships, which changes when the file does: a key for caching its content.

    Raises
    ------
    DataError
        There is no such file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise damage(path, error) from error
    return status.st_ino, status.st_mtime_ns, status.st_size


def damage(path: Path, error: Exception) -> DataError:
    """The error for a file that ships and cannot be read: its name, the reason and the remedy."""
    return DataError(f"{path.parent.name}/{path.name}", [Problem(_fault(error), RESTORE)])


def _fault(error: Exception) -> str:
    why = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return "is missing" if isinstance(error, FileNotFoundError) else f"is damaged ({why.splitlines()[0][:200]})"


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Sequence[Path]) -> str:
    """Hash of a file's bytes; of several files, of their hashes in order."""
    digests = list(map(file_sha256, paths))
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def sums_of_shipped() -> str:
    """The text of `SUMS` for all files that ship, as they are now; `damaged_files` reads it."""
    names = sorted(path.relative_to(SHIPPED).as_posix() for part in _PARTS for path in SHIPPED.glob(part))
    return "".join(f"{file_sha256(SHIPPED / name)}  {name}\n" for name in names)


def damaged_files(sums: Path) -> dict[str, str]:
    """Problems of the files that a list beside them names, by name; empty if all are whole.

    A line of the list is ``sha256  name``; a list that cannot be read is a problem itself.
    """
    problems = {}
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        return {sums.name: _fault(error)}
    for sha256, _, name in (line.partition("  ") for line in lines):
        try:
            if file_sha256(sums.parent / name) != sha256:
                raise ValueError("it has changed since its sha256 was taken")
        except (OSError, ValueError) as error:
            problems[name] = _fault(error)
    return problems


def app_script() -> Path:
    """Path of the dashboard's entry script."""
    return (_CHECKOUT if IN_CHECKOUT else PACKAGE / "_app") / "app.py"


def document(name: str) -> Path:
    """Path of a file of the project's ``docs/`` folder that the dashboard shows."""
    return (_CHECKOUT / "docs" if IN_CHECKOUT else PACKAGE / "_docs") / name


def without_places(text: str) -> str:
    """Remove the paths of this program and its files from a text, for readers who should not know them."""
    places = {home(): "CARROT_HOME", PACKAGE.parent: "…", Path(tempfile.gettempdir()): "…"}
    for place, name in places.items():
        for spelling in {str(place.resolve()), str(place)}:
            text = text.replace(spelling, name)
    return text


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file that replaces ``path`` at the end, so readers see the old file or the whole new one.

    After an error the temporary file is removed and an existing file does not change.
    """
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):  # the file is gone after a success; an error of the writing must not be hidden
            part.unlink(missing_ok=True)
