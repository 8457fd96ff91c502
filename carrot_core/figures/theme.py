"""How every chart looks: colours for a light and a dark ground, greys for print, dashes, markers, axes and legends."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from plotly.colors import sample_colorscale, unlabel_rgb

ThemeName = Literal["light", "dark", "print"]  # print: black on white, told apart by dash, marker and pattern


@dataclass(frozen=True)
class Theme:
    """Colours for one ground. Lines and marks reach 3:1 against it, text 4.5:1 (WCAG 2.2).

    ``curves`` are the dashboard's ``chartCategoricalColors``, same hue at the same place in both themes.
    ``ramp`` is the stretch of Plotly's ``scale``, cheapest to dearest, that stays visible on the ground.
    """

    ground: str
    ink: str
    muted: str
    grid: str
    hull: str
    curves: tuple[str, ...]
    ramp: tuple[float, float]
    scale: str = "Viridis"


THEMES: dict[ThemeName, Theme] = {
    "light": Theme(
        ground="#ffffff",
        ink="#2f2d2b",
        muted="#5f636d",
        grid="#e6e8eb",
        hull="#80858f",
        curves=("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#4b1a99", "#6b3a00", "#1a1a1a"),
        ramp=(0.57, 0.0),
    ),
    "dark": Theme(
        ground="#171614",
        ink="#edebe8",
        muted="#a6abb5",
        grid="#2a2e37",
        hull="#8a909b",
        curves=("#e8743b", "#56b4e9", "#009e73", "#cc79a7", "#8a8aff", "#f0e442", "#ededed"),
        ramp=(0.95, 0.35),
    ),
    "print": Theme(
        ground="#ffffff",
        ink="#000000",
        muted="#404040",
        grid="#d9d9d9",
        hull="#707070",
        curves=("#000000",) * 7,
        ramp=(0.6, 1.0),
        scale="Greys",
    ),
}


@dataclass(frozen=True)
class LineStyle:
    """What tells one router's line from another's: place in ``Theme.curves``, Plotly dash, Plotly marker."""

    color: int
    dash: str
    symbol: str


_STYLES = (
    LineStyle(0, "solid", "circle"),
    LineStyle(1, "dash", "square"),
    LineStyle(2, "dashdot", "diamond"),
    LineStyle(3, "longdash", "triangle-up"),
    LineStyle(4, "longdashdot", "cross"),
    LineStyle(5, "4px,2px,1px,2px", "x"),
    LineStyle(6, "dot", "triangle-down"),
)


_FIXED = {
    "carrot-knn": 0,
    "carrot-linear": 1,
    "task-lookup": 2,
    "task-lookup-input": 2,
    "carrot-mlp": 3,
    "carrot-blend": 4,
    "carrot-encoder": 5,
    "cost-only": 5,
    "oracle": 6,
}


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """Style of each router by name; names without a fixed style take the free ones in order.

    So does the second of two names with the same one. Where there are more names than styles, colours come again with
    another dash and another marker.
    """
    owners = {_FIXED[name]: name for name in reversed(names) if name in _FIXED}
    fixed = {name: place for place, name in owners.items()}
    free = [place for place in range(len(_STYLES)) if place not in fixed.values()]
    unknown = [name for name in names if name not in fixed]
    places = dict(zip(unknown, free, strict=False)) | fixed
    again = {name: _again(*divmod(i, len(_STYLES))) for i, name in enumerate(unknown[len(free) :])}
    return {name: _STYLES[place] for name, place in places.items()} | again


def _again(round_: int, place: int) -> LineStyle:
    """A style whose colour is taken: with dash and marker of those further on, others in each round."""
    dash, marker = (_STYLES[(place + step * (round_ + 1)) % len(_STYLES)] for step in (2, 3))
    return LineStyle(_STYLES[place].color, dash.dash, marker.symbol)


def model_colors(cost_usd: Sequence[float], theme: ThemeName) -> list[str]:
    """Colour of each model by the rank of its cost, cheapest to dearest along the theme's ramp."""
    (first, last), scale = THEMES[theme].ramp, THEMES[theme].scale
    rank = np.argsort(np.argsort(cost_usd, kind="stable"), kind="stable")
    places = first + (last - first) * rank / max(len(rank) - 1, 1)
    return ["#{:02x}{:02x}{:02x}".format(*map(round, unlabel_rgb(c))) for c in sample_colorscale(scale, places)]


def counterparts(model_cost_usd: Sequence[float]) -> dict[str, str]:
    """Dark counterpart of every colour a light figure uses: a light figure recoloured is the dark one."""
    light, dark = THEMES["light"], THEMES["dark"]
    pairs = {getattr(light, name): getattr(dark, name) for name in ("ground", "ink", "muted", "grid", "hull")}
    pairs |= dict(zip(light.curves, dark.curves, strict=True))
    pairs |= {translucent(a): translucent(b) for a, b in zip(light.curves, dark.curves, strict=True)}
    return pairs | dict(zip(model_colors(model_cost_usd, "light"), model_colors(model_cost_usd, "dark"), strict=True))


def translucent(color: str, alpha: float = 0.16) -> str:
    """The colour of a band drawn under its line."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def shortened(name: str, most: int = 36) -> str:
    """A name cut to what fits; the hover text has all of it."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def plotly_text(text: str, most: int | None = None) -> str:
    """Text escaped for Plotly, which reads HTML, and cut to ``most`` characters where given."""
    return html.escape(text if most is None else shortened(text, most), quote=False)


def axis(look: Theme, title: str = "", **more: Any) -> dict[str, Any]:
    """An axis without a line; ``more`` overrides it."""
    base = {"title": title} if title else {}
    return base | {"gridcolor": look.grid, "zeroline": False, "color": look.ink} | more


def layout(look: Theme, height: int | None, **more: Any) -> dict[str, Any]:
    """A layout on whatever ground the page has, the legend above; ``more`` overrides it."""
    return {
        "template": None,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": look.ink, "size": 12},
        "hoverlabel": {"bgcolor": look.ground, "bordercolor": look.muted, "font": {"color": look.ink, "size": 12}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "height": height,
    } | more
