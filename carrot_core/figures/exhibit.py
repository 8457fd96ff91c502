"""A figure or table with its text and data, and its export in every format (images by a browser) and into folders."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import plotly
import plotly.graph_objects as go

from carrot_core.csv_latex import latex_table, safe_csv
from carrot_core.errors import CarrotError
from carrot_core.evaluation.comparison import records
from carrot_core.figures.theme import THEMES, ThemeName
from carrot_core.number_formats import plain

IMAGES = ("svg", "png", "pdf")
WIDTH, HEIGHT = 900, 560  # default size of a figure, in CSS pixels
_SCALE = 2  # PNG pixels for each pixel of the figure
_NO_BROWSER = (
    "PNG, SVG and PDF are drawn by Chromium or Chrome, and none was found on this machine. "
    "Install one, or take HTML, which needs none."
)


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A figure, or a table, with its text and its data.

    Attributes
    ----------
    name : name of its files, in lower-case letters, digits and hyphens.
    title : its content in a few words; plain text.
    caption : how to read it, in a few sentences; plain text.
    alt : the picture in words, with the figures that matter; plain text.
    table : the data behind it, one tidy frame; columns with units in their names.
    draw : function from a theme to the Plotly figure; None if the exhibit is a table.
    """

    name: str
    title: str
    caption: str
    alt: str
    table: pd.DataFrame
    draw: Callable[[ThemeName], go.Figure] | None = None


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ font: 15px/1.5 system-ui, sans-serif; color: {ink}; background: {ground}; max-width: 64rem;
  margin: 1.5rem auto; padding: 0 1rem }} h1 {{ font-size: 1.3rem }} .wide {{ overflow-x: auto }}
table {{ border-collapse: collapse }}
th, td {{ text-align: right; padding: .15rem .6rem; border-bottom: 1px solid {grid} }}
</style></head><body><h1>{title}</h1>
{body}
<p>{caption}</p></body></html>
"""


@dataclass(frozen=True)
class ExhibitFormat:
    """One file format of an exhibit.

    Attributes
    ----------
    name : common name; ``ending`` of its files, with the dot; ``media_type`` for downloads.
    about : its content in a few words.
    of_figure : whether it contains the figure, so that it needs a theme and a figure.
    make : function from the exhibit and a theme to the bytes of the file.
    """

    name: str
    ending: str
    media_type: str
    about: str
    of_figure: bool
    make: Callable[[Exhibit, ThemeName], bytes]


def figure_of(exhibit: Exhibit, theme: ThemeName) -> go.Figure:
    """A copy of the figure with a ground of its own, so that it can be used anywhere."""
    assert exhibit.draw is not None
    ground = THEMES[theme].ground
    return go.Figure(exhibit.draw(theme)).update_layout(paper_bgcolor=ground, plot_bgcolor=ground)


def as_csv(exhibit: Exhibit, _: ThemeName = "light") -> bytes:
    """The data as CSV, without cells that a spreadsheet would run as formulas."""
    return safe_csv(exhibit.table).encode("utf-8", "backslashreplace")


def as_json(exhibit: Exhibit, _: ThemeName = "light") -> bytes:
    """Title, text and data as one JSON document; null for a number that does not exist or is infinite."""
    words = {name: getattr(exhibit, name) for name in ("name", "title", "caption", "alt")}
    document = {**words, "columns": [str(name) for name in exhibit.table.columns], "rows": records(exhibit.table)}
    return (json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def as_latex(exhibit: Exhibit, _: ThemeName = "light") -> bytes:
    """The data as a booktabs table, the caption as a comment above it."""
    return latex_table(exhibit.table, f"{exhibit.title}\n{exhibit.caption}").encode()


def as_html(exhibit: Exhibit, theme: ThemeName = "light") -> bytes:
    """One page that loads nothing else: the interactive figure, or the table."""
    look = THEMES[theme]
    if exhibit.draw is None:
        body = f'<div class="wide">{exhibit.table.to_html(index=False, border=0, float_format=plain)}</div>'
    else:
        markup = figure_of(exhibit, theme).to_html(full_html=False, include_plotlyjs=True, include_mathjax=False)
        body = f'<div role="img" aria-label="{html.escape(exhibit.alt)}">{markup}</div>'
    words = {name: html.escape(getattr(exhibit, name)) for name in ("title", "caption")}
    return _PAGE.format(body=body, ink=look.ink, ground=look.ground, grid=look.grid, **words).encode()


@cache
def browser() -> str | None:
    """Path of the browser that draws images; None if there is none."""
    from choreographer.browsers.chromium import Chromium

    path: str | None = Chromium.find_browser(skip_local=False)
    return path


def image(figure: go.Figure, kind: str) -> bytes:
    """One figure in one of `IMAGES`; takes some seconds, mostly the browser's start.

    Raises
    ------
    CarrotError
        There is no browser on this machine.
    """
    import kaleido

    content: bytes = kaleido.calc_fig_sync(_with_size(figure), opts=_options(kind), kopts=_offline())
    return content


def image_of_svg(svg: bytes, size: tuple[int, int], kind: str) -> bytes:
    """An SVG of (width, height) pixels as PNG or PDF: the browser draws it on an empty figure."""
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    hidden = {"visible": False, "fixedrange": True}
    figure = go.Figure(layout={"width": size[0], "height": size[1], "xaxis": hidden, "yaxis": hidden})
    figure.update_layout(margin=dict.fromkeys("lrtb", 0), plot_bgcolor="rgba(0,0,0,0)")
    figure.add_layout_image(source=source, xref="paper", yref="paper", x=0, y=1, sizex=1, sizey=1)
    return image(figure, kind)


def write_images(figures: Mapping[Path, go.Figure]) -> None:
    """Write many figures with one browser; each file's ending determines its format.

    Raises
    ------
    CarrotError
        There is no browser on this machine.
    """
    import kaleido

    jobs = [
        {"fig": _with_size(figure), "path": str(path), "opts": _options(path.suffix[1:])}
        for path, figure in figures.items()
    ]
    if jobs:
        kaleido.write_fig_from_object_sync(jobs, kopts=_offline())


def _with_size(figure: go.Figure) -> go.Figure:
    """The figure with a size and, unless it has one, a white or dark ground (pages show it on their own)."""
    copy = go.Figure(figure)
    return copy.update_layout(width=copy.layout.width or WIDTH, height=copy.layout.height or HEIGHT)


def _options(kind: str) -> dict[str, Any]:
    return {"format": kind, "scale": _SCALE if kind == "png" else 1}


def _offline() -> dict[str, Any]:
    """Settings of the drawing page: Plotly from the installed package, no formula font from a host."""
    if browser() is None:
        raise CarrotError(_NO_BROWSER)
    library = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return {"plotlyjs": library, "mathjax": False, "path": browser()}


def _as_image(kind: str, exhibit: Exhibit, theme: ThemeName = "light") -> bytes:
    return image(figure_of(exhibit, theme), kind)


_MEDIA = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
EXHIBIT_FORMATS: dict[str, ExhibitFormat] = {
    form.name: form
    for form in (
        ExhibitFormat("csv", ".csv", "text/csv", "the data", False, as_csv),
        ExhibitFormat("json", ".json", "application/json", "the data with all words", False, as_json),
        ExhibitFormat("latex", ".tex", "application/x-tex", "the data as a table", False, as_latex),
        ExhibitFormat("html", ".html", "text/html", "the interactive figure with its caption", True, as_html),
        *(
            ExhibitFormat(kind, f".{kind}", _MEDIA[kind], "the figure", True, partial(_as_image, kind))
            for kind in IMAGES
        ),
    )
}

ENDINGS = {form.ending[1:]: form for form in EXHIBIT_FORMATS.values()}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 60


def write_exhibits(
    exhibits: Sequence[tuple[str, Exhibit]], out: Path, endings: Sequence[str], style: ThemeName = "light"
) -> list[Path]:
    """Write exhibits in several formats; each file appears complete or not at all.

    Parameters
    ----------
    exhibits : each with the name of its benchmark, which gets a folder (`folder_name`).
    out : folder, created if missing; files of the same names are replaced.
    endings : from `ENDINGS`; a table alone has no picture.
    style : theme of the formats with a figure; any except "light" is part of the file's name.

    Returns
    -------
    Paths of the files below ``out``.

    Raises
    ------
    CarrotError
        Images are requested without a browser (raised after all else is written), or a file cannot be written.
    """
    plain, pictures = ([end for end in endings if (end in IMAGES) == image] for image in (False, True))
    charts = [(bench, exhibit) for bench, exhibit in exhibits if exhibit.draw is not None]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".figures-", dir=out) as part:
            paths = [_write(Path(part), bench, exhibit, end, style) for bench, exhibit in exhibits for end in plain]
            files = _move_files(paths, Path(part), out)
            if pictures and charts and browser() is None:
                raise CarrotError(
                    f"{', '.join(pictures).upper()} are drawn by Chromium or Chrome, and none was found on this "
                    f"machine. The other {len(files)} files are in {out}; install a browser for the pictures, or leave "
                    "these kinds out."
                )
            targets = {_place(Path(part), *both, end, style): both[1] for both in charts for end in pictures}
            write_images({path: figure_of(exhibit, style) for path, exhibit in targets.items()})
            return files + _move_files(list(targets), Path(part), out)
    except OSError as error:
        raise CarrotError(f"Cannot write to {out}: {error.strerror or error}.") from error


def folder_name(bench: str) -> str:
    """Folder name for a benchmark: plain letters only; a name with others also gets part of its hash."""
    safe = _UNSAFE.sub("-", bench).strip("-.")[:_LONGEST]
    digest = hashlib.sha256(bench.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return safe if safe and safe == bench else f"{safe}-{digest}".strip("-")


def _place(folder: Path, bench: str, exhibit: Exhibit, end: str, style: ThemeName) -> Path:
    suffix = f"-{style}" if style != "light" and ENDINGS[end].of_figure else ""
    path = folder / folder_name(bench) / f"{exhibit.name}{suffix}.{end}"
    path.parent.mkdir(exist_ok=True)
    return path


def _write(folder: Path, bench: str, exhibit: Exhibit, end: str, style: ThemeName) -> Path:
    path = _place(folder, bench, exhibit, end, style)
    path.write_bytes(ENDINGS[end].make(exhibit, style))
    return path


def _move_files(paths: Sequence[Path], part: Path, out: Path) -> list[Path]:
    """Move files from one folder to another; returns their paths below it."""
    names = [path.relative_to(part) for path in paths]
    for path, name in zip(paths, names, strict=True):
        (out / name).parent.mkdir(exist_ok=True)
        os.replace(path, out / name)
    return names
