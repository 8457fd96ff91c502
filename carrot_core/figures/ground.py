"""What all figures stand on: ground, axes, hover text, legend, and words as Plotly shows them unchanged."""

from __future__ import annotations

import html
from typing import Any

from carrot_core.figures.theme import Theme


def shortened(name: str, most: int = 36) -> str:
    """A name cut to what fits; the hover text has all of it."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def shown(text: str, most: int | None = None) -> str:
    """Text, perhaps cut, as Plotly shows it unchanged: it reads the rest as HTML."""
    return html.escape(text if most is None else shortened(text, most), quote=False)


def axis(look: Theme, title: str = "", **more: Any) -> dict[str, Any]:
    """An axis without a line; ``more`` goes over it."""
    titled = {"title": title} if title else {}
    return titled | {"gridcolor": look.grid, "zeroline": False, "color": look.ink} | more


def layout(look: Theme, height: int | None, **more: Any) -> dict[str, Any]:
    """A layout on whatever ground the page has, the legend above; ``more`` goes over it."""
    return {
        "template": None,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": look.ink, "size": 12},
        "hoverlabel": {"bgcolor": look.ground, "bordercolor": look.muted, "font": {"color": look.ink, "size": 12}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "height": height,
    } | more
