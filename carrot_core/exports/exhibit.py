"""An exhibit in the forms that people take it in: its data, and its figure."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import plotly.graph_objects as go

from carrot_core.csv_out import safe_csv
from carrot_core.evaluation.comparison import records
from carrot_core.exports.images import IMAGES, image
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, ThemeName
from carrot_core.latex_out import latex_table

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
    """One form of an exhibit.

    Attributes
    ----------
    name : as people know it; ``ending`` of its files, with the dot; ``media_type`` for downloads.
    about : what is in it, in a few words.
    of_figure : whether it holds the figure, and so has a theme and needs a figure.
    make : from the exhibit and a theme to the bytes of the file.
    """

    name: str
    ending: str
    media_type: str
    about: str
    of_figure: bool
    make: Callable[[Exhibit, ThemeName], bytes]


def figure_of(exhibit: Exhibit, theme: ThemeName) -> go.Figure:
    """The figure on a ground of its own, so that it can stand anywhere."""
    assert exhibit.draw is not None
    ground = THEMES[theme].ground
    return exhibit.draw(theme).update_layout(paper_bgcolor=ground, plot_bgcolor=ground)


def as_csv(exhibit: Exhibit, _: ThemeName = "light") -> bytes:
    """The data as CSV that no spreadsheet runs."""
    return safe_csv(exhibit.table).encode("utf-8", "backslashreplace")


def as_json(exhibit: Exhibit, _: ThemeName = "light") -> bytes:
    """Title, words and data as one JSON document; null where a number does not exist or is infinite."""
    words = {name: getattr(exhibit, name) for name in ("name", "title", "caption", "alt")}
    document = {**words, "columns": [str(name) for name in exhibit.table.columns], "rows": records(exhibit.table)}
    return (json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def as_latex(exhibit: Exhibit, _: ThemeName = "light") -> bytes:
    """The data as a booktabs table, the caption as a comment above it."""
    return latex_table(exhibit.table, f"{exhibit.title}\n{exhibit.caption}").encode()


def as_html(exhibit: Exhibit, theme: ThemeName = "light") -> bytes:
    """One page that needs no host: the figure, alive, or the table."""
    look = THEMES[theme]
    if exhibit.draw is None:
        body = f'<div class="wide">{exhibit.table.to_html(index=False, border=0, float_format="{:.4g}".format)}</div>'
    else:
        drawn = figure_of(exhibit, theme).to_html(full_html=False, include_plotlyjs=True, include_mathjax=False)
        body = f'<div role="img" aria-label="{html.escape(exhibit.alt)}">{drawn}</div>'
    words = {name: html.escape(getattr(exhibit, name)) for name in ("title", "caption")}
    return _PAGE.format(body=body, ink=look.ink, ground=look.ground, grid=look.grid, **words).encode()


def _as_image(kind: str, exhibit: Exhibit, theme: ThemeName = "light") -> bytes:
    return image(figure_of(exhibit, theme), kind)


_MEDIA = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
EXHIBIT_FORMATS: dict[str, ExhibitFormat] = {
    made.name: made
    for made in (
        ExhibitFormat("csv", ".csv", "text/csv", "the data", False, as_csv),
        ExhibitFormat("json", ".json", "application/json", "the data with all words", False, as_json),
        ExhibitFormat("latex", ".tex", "application/x-tex", "the data as a table", False, as_latex),
        ExhibitFormat("html", ".html", "text/html", "the figure, alive, with its caption", True, as_html),
        *(
            ExhibitFormat(kind, f".{kind}", _MEDIA[kind], "the figure", True, partial(_as_image, kind))
            for kind in IMAGES
        ),
    )
}
