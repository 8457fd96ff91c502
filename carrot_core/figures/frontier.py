"""The chart of frontiers, and the placement of names on it so that they cover nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from carrot_core.curve import thin
from carrot_core.figures.scene import NOT_KNOWN, Band, Curve, Scene
from carrot_core.figures.theme import (
    THEMES,
    Theme,
    ThemeName,
    axis,
    cut_names,
    group_looks,
    layout,
    line_styles,
    plotly_text,
    scene_looks,
    translucent,
)
from carrot_core.frontier import FloatArray, lam_of_rate
from carrot_core.number_formats import DOLLAR_AXIS, LAM_HOVER, money_tick
from carrot_core.text import visible

NAME_LETTERS = 36  # most letters of a name beside a point
PLOT = (760.0, 320.0)  # pixels of the plot in which names are placed: a wide page's, smaller than a file's


def frontier_figure(
    scene: Scene, *, log_cost: bool = True, theme: ThemeName = "light", tolerance: float = 1e-4
) -> go.Figure:
    """The chart of a scene: accuracy in percent against US dollars on the scene's basis.

    Curves are drawn as `carrot_core.curve.thin` leaves them at ``tolerance``. Each trace's ``meta`` has its ``role``
    (band, curve, hull, cascades, group, models, best, and reference if that is another model) and, for lines and groups
    of models, its ``name``. A log axis is used only if every cost is above zero.
    """
    look, styles = THEMES[theme], line_styles([curve.name for curve in scene.curves])
    figure = go.Figure()
    band = scene.active_curve.band
    if band is not None:
        figure.add_trace(_band(scene, band, look.curves[styles[scene.active].color]))
    figure.add_trace(_hull(scene, look))
    for curve in sorted(scene.curves, key=lambda curve: curve.name == scene.active):
        style = styles[curve.name]
        points = thin(curve.frontier, tolerance)
        figure.add_trace(_line(scene, curve, points, look, look.curves[style.color], style.dash, style.symbol))
    if scene.cascades is not None:
        figure.add_trace(_cascades(scene, scene.cascades, look))
    figure.add_traces(_groups(scene, theme))
    figure.add_trace(_models(scene, [each.color for each in scene_looks(scene, theme)], look))
    if scene.reference != scene.best_single:  # one model is one mark
        figure.add_trace(_mark(scene, look, "reference", scene.reference, "Reference", "circle-open", 19))
    figure.add_trace(_mark(scene, look, "best", scene.best_single, "Best single", "star", 14))
    figure.update_layout(_layout(scene, look))
    if log_cost and scene.can_log:
        figure.update_xaxes(
            type="log", tickvals=(ticks := _log_ticks(scene)), ticktext=[money_tick(tick) for tick in ticks]
        )
    place_names(figure, cut_names(scene.models, NAME_LETTERS), first=scene.front)
    return figure


def _band(scene: Scene, band: Band, color: str) -> go.Scatter:
    return go.Scatter(
        x=scene.basis.calls * np.concatenate([band.cost_usd, band.cost_usd[::-1]]),
        y=100 * np.concatenate([band.score_high, band.score_low[::-1]]),
        fill="toself",
        fillcolor=translucent(color),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name="95 % interval",
        meta={"role": "band", "name": scene.active},
    )


def _hull(scene: Scene, look: Theme) -> go.Scatter:
    return go.Scatter(
        x=scene.basis.calls * scene.hull_cost_usd,
        y=100 * scene.hull_score,
        mode="lines",
        line={"color": look.hull, "width": 1.5, "dash": "dot"},
        name="Zero router",
        meta={"role": "hull", "name": ""},
        hovertemplate=f"<b>%{{fullData.name}}</b><br>{scene.basis.hover}<extra></extra>",
    )


def _cascades(scene: Scene, table: pd.DataFrame, look: Theme) -> go.Scatter:
    names = scene.short_names
    pairs = [
        f"{names[first]}, after a no {names[then]}" if then else names[first]
        for first, then in zip(table["first"], table["then"], strict=True)
    ]
    return go.Scatter(
        x=scene.basis.calls * table["cost_usd"].to_numpy(),
        y=100 * table["score"].to_numpy(),
        customdata=[plotly_text(pair) for pair in pairs],
        mode="lines+markers",
        line={"color": look.ink, "width": 1.25, "dash": "dashdot"},
        marker={"color": look.ink, "symbol": "diamond-open", "size": 6, "line": {"color": look.ink, "width": 1}},
        name="Cascades",
        meta={"role": "cascades", "name": ""},
        hovertemplate=f"<b>%{{customdata}}</b><br>{scene.basis.hover}<extra></extra>",
    )


def _line(
    scene: Scene, curve: Curve, points: npt.NDArray[np.intp], look: Theme, color: str, dash: str, symbol: str
) -> go.Scatter:
    frontier, active = curve.frontier, curve.name == scene.active
    return go.Scatter(
        x=scene.basis.calls * frontier.cost_usd[points],
        y=100 * frontier.score[points],
        customdata=lam_of_rate(frontier.exchange_rate_per_usd[points], scene.cost_unit_usd),
        mode="lines+markers",
        line={"color": color, "width": 3 if active else 1.75, "dash": dash},
        marker={
            "color": color,
            "symbol": symbol,
            "size": 7,
            "maxdisplayed": 7,
            "line": {"color": look.ground, "width": 1},
        },
        name=plotly_text(curve.label),
        meta={"role": "curve", "name": curve.name},
        hovertemplate=f"<b>%{{fullData.name}}</b><br>{scene.basis.hover}"
        f"<br>λ %{{customdata:{LAM_HOVER}}}<extra></extra>",
    )


def _groups(scene: Scene, theme: ThemeName) -> list[go.Scatter]:
    """The models' marks, a trace for each group, in place of those of `_models`."""
    looks = {} if scene.grouping is None else group_looks(scene.grouping, theme)
    return [
        go.Scatter(
            x=scene.basis.calls * scene.model_cost_usd[columns],
            y=100 * scene.model_score[columns],
            mode="markers",
            marker={
                "color": looks[name].color,
                "symbol": looks[name].marker,
                "size": 10,
                "line": {"color": THEMES[theme].ground if name != NOT_KNOWN else looks[name].color, "width": 1.5},
            },
            customdata=[plotly_text(visible(scene.models[column])) for column in columns],
            name=plotly_text(name),
            meta={"role": "group", "name": name},
            hovertemplate=f"<b>%{{customdata}}</b> ({plotly_text(name)})<br>{scene.basis.hover}<extra></extra>",
            cliponaxis=False,
        )
        for name, columns in scene.columns_by_group.items()
    ]


def _models(scene: Scene, colors: list[str], look: Theme) -> go.Scatter:
    grouped = scene.grouping is not None
    return go.Scatter(
        x=scene.basis.calls * scene.model_cost_usd,
        y=100 * scene.model_score,
        mode="markers+text",
        marker={"color": colors, "size": 10, "opacity": 1 - grouped, "line": {"color": look.ground, "width": 1.5}},
        textfont={"size": 11, "color": look.muted},
        customdata=[plotly_text(visible(model)) for model in scene.models],
        name="Single models",
        showlegend=not grouped,
        meta={"role": "models", "name": ""},
        **(
            {"hoverinfo": "skip"}
            if grouped
            else {"hovertemplate": f"<b>%{{customdata}}</b><br>{scene.basis.hover}<extra></extra>"}
        ),
        cliponaxis=False,
    )


def _mark(scene: Scene, look: Theme, role: str, model: str, what: str, symbol: str, size: int) -> go.Scatter:
    at = scene.models.index(model)
    return go.Scatter(
        x=[scene.basis.calls * scene.model_cost_usd[at]],
        y=[100 * scene.model_score[at]],
        mode="markers",
        marker={"color": look.ink, "symbol": symbol, "size": size, "line": {"color": look.ink, "width": 1.5}},
        name=f"{what}: {plotly_text(scene.short_names[model])}",
        meta={"role": role, "name": ""},
        hoverinfo="skip",
        cliponaxis=False,
    )


def _layout(scene: Scene, look: Theme) -> dict[str, Any]:
    ticked = {"color": look.muted, "linecolor": look.grid, "tickcolor": look.grid, "ticks": "outside"}
    return layout(
        look,
        None,
        paper_bgcolor=look.ground,
        plot_bgcolor=look.ground,
        font={"color": look.muted, "size": 12},
        hovermode="closest",
        margin={"l": 56, "r": 24, "t": 16, "b": 52},
        xaxis=axis(look, scene.basis.axis, **ticked, **DOLLAR_AXIS),
        yaxis=axis(look, "Accuracy (%)", **ticked),
    )


def _log_ticks(scene: Scene) -> list[float]:
    """Costs on the axis at 1, 2 and 5 times the powers of ten, or at these alone: Plotly's own are bare digits."""
    low, high = np.log10(scene.basis.calls * np.array([scene.model_cost_usd.min(), scene.model_cost_usd.max()]))
    powers = range(int(np.floor(low)) - 1, int(np.ceil(high)) + 1)
    return [float(f"{step}e{power}") for power in powers for step in ((1, 2, 5) if high - low < 3.5 else (1,))]


def place_names(
    figure: go.Figure, names: Sequence[str], size: tuple[float, float] = PLOT, first: Sequence[int] = ()
) -> None:
    """Write the models' names beside their points if they have room in a plot of this size (`sides`).

    An axis without a range covers all drawn values.
    """

    def pixels(x: Any, y: Any) -> FloatArray:
        at: FloatArray = np.column_stack([_part(figure, "x", x), _part(figure, "y", y)]) * size
        return at

    curves = [pixels(trace.x, trace.y) for trace in figure.data if trace.meta["role"] in ("curve", "hull", "cascades")]
    (models,) = (trace for trace in figure.data if trace.meta["role"] == "models")
    places = sides(pixels(models.x, models.y), names, curves, size, first)
    models.textposition = [side or "top center" for side in places]
    models.text = [plotly_text(name) if side else "" for name, side in zip(names, places, strict=True)]


def _part(figure: go.Figure, name: str, values: Any) -> FloatArray:
    """Positions along an axis as fractions of its length."""
    ground = figure.layout[f"{name}axis"]
    scale = np.log10 if ground.type == "log" else np.asarray
    ends = ground.range
    if ends is None:
        extent = np.concatenate([scale(np.asarray(trace[name], dtype=np.float64)) for trace in figure.data])
        ends = extent.min(), extent.max()
    low, high = (float(end) for end in ends)
    part: FloatArray = (scale(np.asarray(values, dtype=np.float64)) - low) / ((high - low) or 1.0)
    return part


# Placement of names in files. In the live chart, where the room changes with every zoom, components/labels.js does it.
# tests/label_cases.json checks that both choose the same sides.
LETTER, LINE = 6.6, 13.0  # pixels of a letter's width and a line's height at the names' size
_AWAY, _POINT = 7.5, 6.0  # pixels from a point's centre to its name and to its own rim
_STEP = 4.0  # pixels along a curve between the positions checked
SIDES = {
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}


def box(at: FloatArray, name: str, side: str) -> FloatArray:
    """Left, bottom, right and top of a name on a side of a point, in pixels."""
    half = np.array([LETTER * len(name), LINE]) / 2
    middle = at + np.array(SIDES[side]) * (half + _AWAY)
    return np.concatenate([middle - half, middle + half])


def sides(
    points: FloatArray,
    names: Sequence[str],
    curves: Sequence[FloatArray],
    size: tuple[float, float],
    first: Sequence[int] = (),
) -> list[str]:
    """Side of each point on which its name has room, off the curves if possible; "" if there is none.

    Points in ``first`` are placed first, in that order, then the highest points.

    Parameters
    ----------
    points : (M, 2) pixels to the right of and above the plot's lower left corner.
    names : M names; an empty one needs no room.
    curves : (K, 2) corners of each line, in the same pixels.
    size : width and height of the plot.
    """
    boxes = [np.concatenate([point - _POINT, point + _POINT]) for point in points]
    lines = np.concatenate([np.empty((0, 2)), *map(_along, curves)])
    positions = [""] * len(names)
    for k in dict.fromkeys([*first, *sorted(range(len(names)), key=lambda place: (-points[place, 1], place))]):
        places = {side: box(points[k], names[k], side) for side in SIDES} if names[k] else {}
        free = [side for side, at in places.items() if _inside(at, size) and not _overlaps(at, np.array(boxes))]
        if free:
            positions[k] = min(free, key=lambda side: _covered(places[side], lines))
            boxes.append(places[positions[k]])
    return positions


def _inside(at: FloatArray, size: tuple[float, float]) -> bool:
    return bool((at[:2] >= 0).all() and (at[2:] <= size).all())


def _overlaps(at: FloatArray, others: FloatArray) -> bool:
    return bool(((at[:2] < others[:, 2:]) & (at[2:] > others[:, :2])).all(axis=1).any())


def _covered(at: FloatArray, lines: FloatArray) -> int:
    return int(((lines > at[:2]) & (lines < at[2:])).all(axis=1).sum())


def _along(curve: FloatArray) -> FloatArray:
    """Positions along a line, at equal steps."""
    passed = np.concatenate([[0.0], np.hypot(*np.diff(curve, axis=0).T).cumsum()])
    at = np.arange(0.0, passed[-1] + _STEP, _STEP)
    return np.column_stack([np.interp(at, passed, curve[:, axis]) for axis in (0, 1)])
