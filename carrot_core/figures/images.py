"""Plotly figures as PNG, SVG and PDF, drawn by the machine's own Chromium or Chrome where there is one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go

from carrot_core.errors import CarrotError

IMAGES = ("svg", "png", "pdf")
WIDTH, HEIGHT = 900, 560  # of a figure that sets none, in CSS pixels
_SCALE = 2  # pixels of a PNG for one of the figure's
_NO_BROWSER = (
    "PNG, SVG and PDF are drawn by Chromium or Chrome, and none was found on this machine. "
    "Install one, or take HTML, which needs none."
)


@cache
def browser() -> str | None:
    """Path of the browser that draws; None where there is none."""
    from choreographer.browsers.chromium import Chromium

    path: str | None = Chromium.find_browser(skip_local=False)
    return path


def image(figure: go.Figure, kind: str) -> bytes:
    """One figure in one of `IMAGES`; some seconds, most of them the browser's start.

    Raises
    ------
    CarrotError
        There is no browser on this machine.
    """
    import kaleido

    content: bytes = kaleido.calc_fig_sync(_sized(figure), opts=_options(kind), kopts=_offline())
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
    """Write many figures with one browser; each file's ending says its kind.

    Raises
    ------
    CarrotError
        There is no browser on this machine.
    """
    import kaleido

    jobs = [
        {"fig": _sized(figure), "path": str(path), "opts": _options(path.suffix[1:])}
        for path, figure in figures.items()
    ]
    if jobs:
        kaleido.write_fig_from_object_sync(jobs, kopts=_offline())


def _sized(figure: go.Figure) -> go.Figure:
    """The figure with a size and, unless it has one, a white or dark ground of its own: pages show it on theirs."""
    sized = go.Figure(figure)
    return sized.update_layout(width=sized.layout.width or WIDTH, height=sized.layout.height or HEIGHT)


def _options(kind: str) -> dict[str, Any]:
    return {"format": kind, "scale": _SCALE if kind == "png" else 1}


def _offline() -> dict[str, Any]:
    """Settings of the drawing page: Plotly from the installed package, no formula font from a host."""
    if browser() is None:
        raise CarrotError(_NO_BROWSER)
    library = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return {"plotlyjs": library, "mathjax": False, "path": browser()}
