"""Which files an earlier pull fetched whole, for when the hub cannot be asked.

Beside the files of a commit lies a list of them, as ``sha256sum`` prints it, one for each set of patterns.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Kept:
    """Files of one commit that are all here: sha256 by name, and the day they were fetched (UTC)."""

    commit: str
    sha256: Mapping[str, str]
    day: str


def sums(sha256: Mapping[str, str]) -> str:
    """One line "sha256  name" a file, in the order of their names."""
    return "".join(f"{sha256[name]}  {name}\n" for name in sorted(sha256))


def note(target: Path, wanted: Sequence[str], sha256: Mapping[str, str]) -> None:
    """Write down that every file of a commit that matches ``wanted`` is in ``target``."""
    path = target / _list_name(wanted)
    part = path.with_name(f"{path.name}.part")
    part.write_text(sums(sha256), encoding="utf-8")
    part.replace(path)  # a list is there whole or not at all


def newest(folder: Path, wanted: Sequence[str], revision: str | None) -> Kept | None:
    """The files fetched last, still whole; None where there are none, or not of that commit."""
    lists = [path for path in folder.glob(f"*/{_list_name(wanted)}") if revision in (None, path.parent.name)]
    for path in sorted(lists, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        lines = (line.partition("  ") for line in path.read_text(encoding="utf-8").splitlines())
        sha256 = {name: digest for digest, _, name in lines}
        if all(_has(path.parent.joinpath(*PurePosixPath(name).parts), digest) for name, digest in sha256.items()):
            day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
            return Kept(path.parent.name, sha256, day)
    return None


def file_sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _list_name(wanted: Sequence[str]) -> str:
    return f".{re.sub(r'[^A-Za-z0-9]+', '-', ' '.join(wanted)).strip('-')}.sha256"
