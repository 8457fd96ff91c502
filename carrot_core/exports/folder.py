"""Exhibits of many benchmarks as files of one folder, all pictures drawn by one browser."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from carrot_core.errors import CarrotError
from carrot_core.exports.exhibit import EXHIBIT_FORMATS, figure_of
from carrot_core.exports.images import IMAGES, browser, write_images
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import ThemeName

ENDINGS = {form.ending[1:]: form for form in EXHIBIT_FORMATS.values()}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 60


def write_exhibits(
    exhibits: Sequence[tuple[str, Exhibit]], out: Path, endings: Sequence[str], style: ThemeName = "light"
) -> list[Path]:
    """Write exhibits in several forms; each file appears whole or not at all.

    Parameters
    ----------
    exhibits : with the name of the benchmark, which gets a folder (`folder_name`).
    out : folder, made where it is missing; files of the same names are replaced.
    endings : of `ENDINGS`; a table by itself has no picture.
    style : of what shows a figure; any but "light" stands in the file's name.

    Returns
    -------
    Paths of the files below ``out``.

    Raises
    ------
    CarrotError
        Pictures are wanted and there is no browser, said after all else was written; or a file cannot be written.
    """
    plain, pictures = ([end for end in endings if (end in IMAGES) == image] for image in (False, True))
    drawn = [(bench, exhibit) for bench, exhibit in exhibits if exhibit.draw is not None]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".figures-", dir=out) as part:
            made = [_write(Path(part), bench, exhibit, end, style) for bench, exhibit in exhibits for end in plain]
            files = _moved(made, Path(part), out)
            if pictures and drawn and browser() is None:
                raise CarrotError(
                    f"{', '.join(pictures).upper()} are drawn by Chromium or Chrome, and none was found on this "
                    f"machine. The other {len(files)} files are in {out}; install a browser for the pictures, or leave "
                    "these kinds out."
                )
            wanted = {_place(Path(part), *both, end, style): both[1] for both in drawn for end in pictures}
            write_images({path: figure_of(exhibit, style) for path, exhibit in wanted.items()})
            return files + _moved(list(wanted), Path(part), out)
    except OSError as error:
        raise CarrotError(f"Cannot write to {out}: {error.strerror or error}.") from error


def folder_name(bench: str) -> str:
    """A benchmark's name as a folder's: plain letters only; a name that is not so gets part of its hash, too."""
    safe = _UNSAFE.sub("-", bench).strip("-.")[:_LONGEST]
    marked = hashlib.sha256(bench.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return safe if safe and safe == bench else f"{safe}-{marked}".strip("-")


def _place(folder: Path, bench: str, exhibit: Exhibit, end: str, style: ThemeName) -> Path:
    marked = f"-{style}" if style != "light" and ENDINGS[end].of_figure else ""
    path = folder / folder_name(bench) / f"{exhibit.name}{marked}.{end}"
    path.parent.mkdir(exist_ok=True)
    return path


def _write(folder: Path, bench: str, exhibit: Exhibit, end: str, style: ThemeName) -> Path:
    path = _place(folder, bench, exhibit, end, style)
    path.write_bytes(ENDINGS[end].make(exhibit, style))
    return path


def _moved(made: Sequence[Path], part: Path, out: Path) -> list[Path]:
    """Files from the folder they were made in to where they belong; their paths below it."""
    names = [path.relative_to(part) for path in made]
    for path, name in zip(made, names, strict=True):
        (out / name).parent.mkdir(exist_ok=True)
        os.replace(path, out / name)
    return names
