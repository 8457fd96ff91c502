"""The look of every chart: colours for a light and a dark ground, greys for print, dashes, markers, axes and legends.

Also the names on charts: short, and all different.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from typing import Any, Literal

import numpy as np
import pandas as pd
from plotly.colors import sample_colorscale, unlabel_rgb

from carrot_core.figures.scene import NOT_KNOWN, Grouping, Scene, label
from carrot_core.metrics import METRICS
from carrot_core.number_formats import NO_END, PER_CALL, CostBasis, money
from carrot_core.text import short_names, visible

ThemeName = Literal["light", "dark", "print"]  # print: black on white, distinguished by dash, marker and pattern
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
PATTERNS = ("", "/", ".", "x", "-", "|", "+", "\\")  # patterns of areas and bars, distinguishable without colour
NO_TASK = "(no task)"
HUNDRED = "times 100 (50.0 here is 0.500 in downloads)"  # for figures of at most 1


@dataclass(frozen=True)
class Theme:
    """Colours for one ground. Lines and marks reach 3:1 against it, text 4.5:1 (WCAG 2.2).

    ``curves`` are the dashboard's ``chartCategoricalColors``, with the same hue at the same index in both themes.
    ``ramps`` colour the models, each from cheapest to most expensive: neighbours in cost alternate between them. Their
    hues differ from those of the curves. ``groups`` colour models by a fact on them; each also has a marker.
    """

    ground: str
    ink: str
    muted: str
    grid: str
    hull: str
    curves: tuple[str, ...]
    ramps: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]


THEMES: dict[ThemeName, Theme] = {
    "light": Theme(
        ground="#ffffff",
        ink="#2f2d2b",
        muted="#5f636d",
        grid="#e6e8eb",
        hull="#80858f",
        curves=("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#4b1a99", "#6b3a00", "#1a1a1a"),
        ramps=(("#87976f", "#1d2e00"), ("#a18aa6", "#3c1c44")),
        groups=("#a3195b", "#4a6d9c", "#747800", "#0f7b8a", "#9b5b4b", "#567d2b", "#8a5fb8"),
    ),
    "dark": Theme(
        ground="#171614",
        ink="#edebe8",
        muted="#a6abb5",
        grid="#2a2e37",
        hull="#8a909b",
        curves=("#e8743b", "#56b4e9", "#009e73", "#cc79a7", "#8a8aff", "#f0e442", "#ededed"),
        ramps=(("#d5e6ba", "#6e8446"), ("#f1d7f6", "#936f9c")),
        groups=("#ff85b3", "#9db8e0", "#d0cc5a", "#5fd0de", "#d69c8f", "#a9d472", "#c9a6f0"),
    ),
    "print": Theme(
        ground="#ffffff",
        ink="#000000",
        muted="#404040",
        grid="#d9d9d9",
        hull="#707070",
        curves=("#000000",) * 7,
        ramps=(("#8c8c8c", "#000000"),),
        groups=("#000000", "#404040", "#606060", "#202020", "#707070", "#505050", "#303030"),
    ),
}


@dataclass(frozen=True)
class LineStyle:
    """Distinguishing style of a router's line: index in ``Theme.curves``, Plotly dash, Plotly marker."""

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


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """Style of each router by name; names without a fixed style take the free ones in order.

    So does the second of two names with the same style. If there are more names than styles, colours repeat with
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
    """A style whose colour repeats, with the dash and marker of later styles, different in each round."""
    dash, marker = (_STYLES[(place + step * (round_ + 1)) % len(_STYLES)] for step in (2, 3))
    return LineStyle(_STYLES[place].color, dash.dash, marker.symbol)


@cache
def model_colors(n_models: int, theme: ThemeName) -> tuple[str, ...]:
    """Colours of a benchmark's models, cheapest to most expensive: the more expensive, the darker."""
    ramps, colors = THEMES[theme].ramps, []
    for place in range(n_models):
        (color,) = sample_colorscale(list(ramps[place % len(ramps)]), [place / max(n_models - 1, 1)])
        colors.append("#{:02x}{:02x}{:02x}".format(*map(round, unlabel_rgb(color))))
    return tuple(colors)


@dataclass(frozen=True)
class ModelLook:
    """How a model, or its group, looks everywhere: colour, angle of its hatching in CSS ("" for none), which is
    ``pattern`` in Plotly, and marker in Plotly."""

    color: str
    hatch: str
    pattern: str
    marker: str = "circle"


# Hatchings, as angle in CSS and pattern in Plotly.
_HATCHES = (("", ""), ("135deg", "/"), ("45deg", "\\"), ("90deg", "|"))


def model_looks(models: Sequence[str], theme: ThemeName, grouping: Grouping | None = None) -> dict[str, ModelLook]:
    """Look of each of the models of a benchmark, which are from the cheapest to the most expensive.

    With a grouping it is that of the model's group. Without, four neighbours of one ramp differ in hatching.
    """
    if grouping is not None:
        of_groups = group_looks(grouping, theme)
        own = {model: of_groups[name] for name, of in grouping.groups for model in of}
        return {model: own.get(model, of_groups[NOT_KNOWN]) for model in models}
    hatches = [_HATCHES[place // len(THEMES[theme].ramps) % len(_HATCHES)] for place in range(len(models))]
    colors = model_colors(len(models), theme)
    return {model: ModelLook(color, *hatch) for model, color, hatch in zip(models, colors, hatches, strict=True)}


def scene_looks(scene: Scene, theme: ThemeName) -> list[ModelLook]:
    """Look of each model of a scene by its own cost, whatever groups it has."""
    looks = model_looks(list(scene.shades), theme)
    return [looks[model] for model in scene.models]


GROUP_MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x")


def group_looks(grouping: Grouping, theme: ThemeName) -> dict[str, ModelLook]:
    """Look of each group, by its name: the later, the stronger, if they are in order."""
    look, names = THEMES[theme], [name for name, _ in grouping.groups if name != NOT_KNOWN]
    colors = _ramp(look.ramps[-1], len(names)) if grouping.in_order else look.groups
    looks = zip(names, cycle(colors), cycle(_HATCHES), cycle(GROUP_MARKERS), strict=False)
    own = {name: ModelLook(color, *hatch, marker) for name, color, hatch, marker in looks}
    return own | {NOT_KNOWN: ModelLook(look.hull, *_HATCHES[0], "circle-open")}


def _ramp(ends: tuple[str, str], n: int) -> list[str]:
    colors = sample_colorscale(list(ends), [place / max(n - 1, 1) for place in range(n)])
    return ["#{:02x}{:02x}{:02x}".format(*map(round, unlabel_rgb(color))) for color in colors]


def counterparts(n_models: int, grouping: Grouping | None = None) -> dict[str, str]:
    """Dark counterpart of every colour in a light figure of this many models; recolouring gives the dark figure."""
    light, dark = THEMES["light"], THEMES["dark"]
    pairs = {getattr(light, name): getattr(dark, name) for name in ("ground", "ink", "muted", "grid", "hull")}
    pairs |= dict(zip(light.curves, dark.curves, strict=True))
    pairs |= {translucent(a): translucent(b) for a, b in zip(light.curves, dark.curves, strict=True)}
    if grouping is not None:
        ours = (group_looks(grouping, theme).values() for theme in ("light", "dark"))
        pairs |= {a.color: b.color for a, b in zip(*ours, strict=True)}
    return pairs | dict(zip(model_colors(n_models, "light"), model_colors(n_models, "dark"), strict=True))


def translucent(color: str, alpha: float = 0.16) -> str:
    """The colour of a band drawn under its line."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def shortened(name: str, most: int = 36, at_end: int = 0) -> str:
    """A name cut to fit, before so many letters ``at_end``; the hover text has all of it."""
    return name if len(name) <= most else f"{name[: most - 1 - at_end]}…{name[len(name) - at_end :]}"


def plotly_text(text: str, most: int | None = None) -> str:
    """Text escaped for Plotly, which reads HTML, and cut to ``most`` characters where given."""
    return html.escape(text if most is None else shortened(text, most), quote=False)


def axis(look: Theme, title: str = "", **more: Any) -> dict[str, Any]:
    """An axis without a line; ``more`` overrides it."""
    base = {"title": title} if title else {}
    return base | {"gridcolor": look.grid, "zeroline": False, "color": look.ink} | more


def layout(look: Theme, height: int | None, **more: Any) -> dict[str, Any]:
    """A layout with a transparent ground and the legend above; ``more`` overrides it."""
    return {
        "template": None,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": look.ink, "size": 12},
        "hoverlabel": {"bgcolor": look.ground, "bordercolor": look.muted, "font": {"color": look.ink, "size": 12}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "height": height,
    } | more


def whiskers(value: pd.Series[Any], low: pd.Series[Any], high: pd.Series[Any], **style: Any) -> dict[str, Any]:
    """Error bars from the low to the high ends of intervals."""
    return {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low, **style}


def layout_with_axes(look: Theme, height: int, **more: Any) -> dict[str, Any]:
    """Ground, font, axes and legend that these figures share."""
    plain = axis(look, automargin=True, exponentformat="none")
    axes = {name: plain | more.pop(name, {}) for name in ("xaxis", "yaxis")}
    return layout(look, height, **{"margin": {"l": 8, "r": 16, "t": 16, "b": 48}} | axes | more)


def each(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows of a frame, with columns as attributes."""
    return iter(frame.itertuples())


def router_names(names: Sequence[str], most: int = 30) -> list[str]:
    """Different routers' names, safe for Plotly."""
    whole = [visible(label(name)) for name in names]
    return list(map(plotly_text, _apart([shortened(name, most) for name in whole], whole)))


def model_names(names: Sequence[str], most: int = 30) -> list[str]:
    """Different models' names, safe for Plotly."""
    return list(map(plotly_text, cut_names(names, most)))


def cut_names(names: Sequence[str], most: int = 30, *, middle: bool = False) -> list[str]:
    """Short names of different models (`carrot_core.text.short_names`), cut if they stay different; in the ``middle``
    the ends remain, which tell versions apart."""
    short = short_names(names)
    whole = [short[name] for name in names]
    return _apart([shortened(name, most, most // 2 * middle) for name in whole], whole)


def _apart(cut: list[str], whole: list[str]) -> list[str]:
    """Cut names, or whole ones if two would look the same: Plotly puts equal names into one row."""
    return [name if cut.count(name) == 1 else other for name, other in zip(cut, whole, strict=True)]


def task_name(name: str, most: int = 26) -> str:
    """A task's name, safe for Plotly."""
    return plotly_text(visible(name), most) if name else NO_TASK


def metric_label(metric: str, basis: CostBasis = PER_CALL) -> str:
    """Label of a metric; that of dollars names its basis."""
    return METRICS[metric].label.replace(PER_CALL.solved.words, basis.solved.words)


def metric_name(metric: str, basis: CostBasis = PER_CALL) -> str:
    """Label of a metric, with the direction if lower is better."""
    return metric_label(metric, basis) + ("" if METRICS[metric].higher_is_better else " (lower is better)")


def metric_times(metric: str, basis: CostBasis = PER_CALL) -> float:
    """Factor on a metric where it is shown."""
    return basis.calls if METRICS[metric].in_usd else METRICS[metric].times


def metric_text(
    metric: str, value: float, decimals: int = 1, *, basis: CostBasis = PER_CALL, signed: bool = False
) -> str:
    """Text for a value of a metric: times 100, or in US dollars on a basis; "no end" for an infinite one."""
    if not np.isfinite(value):
        return NO_END
    if METRICS[metric].in_usd:
        return money(basis.calls * value, signed=signed)
    return f"{METRICS[metric].times * value:{'+' if signed else ''}.{decimals}f}"


def metric_unit(metric: str) -> str:
    """Unit of a metric's numbers, in words."""
    return "in US dollars" if METRICS[metric].in_usd else HUNDRED


def diverging(theme: ThemeName) -> list[list[Any]]:
    """Colours from below 0 over the ground to above 0; in print, grey by magnitude, with the sign in the cell."""
    low, high = (_toned(theme, color) for color in (1, 0))
    return [[0.0, low], [0.5, THEMES[theme].ground], [1.0, high]]


def rising(theme: ThemeName) -> list[list[Any]]:
    """Colours from the ground to the strongest."""
    return [[0.0, THEMES[theme].ground], [1.0, _toned(theme, 1)]]


def _toned(theme: ThemeName, color: int, strength: float = 0.55) -> str:
    """A colour of the theme mixed with its ground, light (or dark) enough for text in ink to be readable on it."""
    look = THEMES[theme]
    ends = [[int(text[place : place + 2], 16) for place in (1, 3, 5)] for text in (look.ground, look.curves[color])]
    mixed = [round(ground + strength * (full - ground)) for ground, full in zip(*ends, strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def words_in_cells(theme: ThemeName, columns: int) -> dict[str, Any]:
    """Font of the text in a heat map's cells: 10 pixels for up to 8 columns, else as large as fits."""
    return {"color": THEMES[theme].ink} | ({"size": 10} if columns <= 8 else {})


def names_of(routers: pd.Series | list[str]) -> list[str]:
    """Routers of a column in order of first occurrence, each once."""
    return list(dict.fromkeys(routers))
