"""Figures of the law and the simulation: rates as lines, choices as maps, all worlds in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, Theme, ThemeName, axis, layout, whiskers
from carrot_core.number_formats import percent
from carrot_core.theory.rates import RateCurve, plug_in, predicted_slope, utility_loss
from carrot_core.theory.world import World

_SIDE = 72  # points along a side of a map
_BREACHES = {
    "none": "Assumptions hold",
    "no-margin": "No margin",
    "rough": "Rougher than assumed",
    "thin": "Thin training data",
}


def over_legend(look: Theme, height: int, **more: Any) -> dict[str, Any]:
    """A layout with the legend below."""
    below = {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"}
    return layout(look, height, **{"legend": below, "margin": {"l": 74, "r": 12, "t": 12, "b": 10}} | more)


def log_axis(look: Theme, title: str, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """A logarithmic axis from the least to the largest value; ticks at powers of ten, and 2 and 5 times if few."""
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ends = [math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.1]
    marks = [times * 10.0**p for p in powers for times in ((1, 2, 5) if ends[1] - ends[0] < 2.6 else (1,))]
    ticks = {"tickvals": marks, "ticktext": [f"{mark:,.6f}".rstrip("0").rstrip(".") for mark in marks]}
    return axis(look, title, type="log", range=ends, **ticks, **more)


def slope_words(curve: RateCurve) -> str:
    """Measured slope beside the predicted one, in a sentence."""
    measured, low, high = curve.slope()
    promised = predicted_slope(curve.world)
    if not math.isfinite(measured):
        return f"No slope: at some size nothing was lost; predicted slope {promised:.2f}."
    if not (math.isfinite(low) and math.isfinite(high)):
        return (
            f"Measured slope {measured:.2f}, without an interval, since at some size nothing was lost in some samples "
            f"of the repetitions; predicted slope {promised:.2f}."
        )
    inside = "contains" if low <= promised <= high else "does not contain"
    return (
        f"Measured slope {measured:.2f}, 95 % interval {low:.2f} to {high:.2f}; predicted slope {promised:.2f}, which "
        f"the interval {inside}."
    )


def rate_exhibit(curve: RateCurve, reference: RateCurve | None = None) -> Exhibit:
    """Excess risk against n, with the fitted and the predicted line.

    Parameters
    ----------
    reference : the same controls with all assumptions kept, drawn beside a world that breaks one.
    """
    curves = [curve] if reference is None else [curve, reference]
    table = pd.concat([one.table().assign(**asdict(one.world)) for one in curves], ignore_index=True)
    broken = reference is not None
    return Exhibit(
        name="theory-broken" if broken else "theory-rate",
        title="What a broken assumption does" if broken else "Excess risk against the number of training prompts",
        caption=(
            "Dots: mean utility lost against the oracle rule on fresh prompts, computed from the known scores and "
            f"costs, over {curve.excess.shape[1]} repetitions, with 95 % intervals. Both axes are logarithmic, so a "
            "power of n is a straight line. "
            + (
                "The dashed line is what the law predicts for the controls; where an assumption does not hold it "
                "promises nothing."
                if broken
                else "The solid line is fitted to the dots. The dashed one has the predicted slope; its height is set "
                "to the dots, for the law says how fast the excess falls and not from where."
            )
        ),
        alt=f"Excess risk falls from {curve.excess[0].mean():.2g} at n = {curve.sizes[0]:,} to "
        f"{curve.excess[-1].mean():.2g} at n = {curve.sizes[-1]:,}. {slope_words(curve)}"
        + (f" With all assumptions in place: {slope_words(reference)}" if reference is not None else ""),
        table=table,
        draw=lambda theme: _rates(curves, theme),
    )


def _rates(curves: Sequence[RateCurve], theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    values: list[float] = []
    for place, curve in enumerate(curves):
        table = curve.table()
        rows = table[table["excess"] > 0]
        if len(rows) < 2:
            continue
        name = _BREACHES[curve.world.breach] if len(curves) > 1 else "Measured"
        color = look.curves[place]
        values += [*rows["excess"], *rows["high"], *rows["low"][rows["low"] > 0]]
        figure.add_scatter(
            x=rows["n"],
            y=rows["excess"],
            error_y=whiskers(rows["excess"], rows["low"], rows["high"], color=color),
            mode="markers",
            marker={"color": color, "size": 9, "symbol": ("circle", "square")[place]},
            name=name,
            hovertemplate="n = %{x:,}: %{y:.3g}<extra></extra>",
        )
        slope = curve.slope()[0]
        if math.isfinite(slope):
            figure.add_scatter(
                x=rows["n"], y=_line(rows, slope), mode="lines", hoverinfo="skip",
                line={"color": color, "width": 2, "dash": ("solid", "dot")[place]}, name=f"fitted, slope {slope:.2f}",
            )  # fmt: skip
        if place == len(curves) - 1:
            promised = predicted_slope(curve.world)
            figure.add_scatter(
                x=rows["n"], y=_line(rows, promised), mode="lines", hoverinfo="skip",
                line={"color": look.ink, "width": 2, "dash": "dash"}, name=f"predicted, slope {promised:.2f}",
            )  # fmt: skip
    figure.update_layout(
        over_legend(look, 420),
        xaxis=log_axis(look, "Training prompts n", [size for curve in curves for size in curve.sizes]),
        yaxis=log_axis(look, "Excess risk (utility lost)", values or [1e-3, 1.0]),
    )
    return figure


def _line(rows: pd.DataFrame, slope: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A line with this slope through the middle of the dots."""
    log_n, log_excess = np.log(rows["n"].to_numpy(float)), np.log(rows["excess"].to_numpy())
    line: np.ndarray[Any, np.dtype[np.float64]] = np.exp(log_excess.mean() + slope * (log_n - log_n.mean()))
    return line


def slopes_exhibit(table: pd.DataFrame) -> Exhibit:
    """Measured against predicted slope of many worlds (`carrot_core.theory.slopes`)."""
    lawful = table[table["breach"] == "none"]
    inside = int(((lawful["low"] <= lawful["predicted"]) & (lawful["predicted"] <= lawful["high"])).sum())
    off = (lawful["measured"] - lawful["predicted"]).abs()
    broken = table[table["breach"] != "none"]
    return Exhibit(
        name="theory-slopes",
        title="Measured and predicted slopes of all simulated worlds",
        caption=(
            "One mark a world. On the diagonal the measured slope is the predicted one; bars are 95 % intervals over "
            "repetitions. Above the diagonal the rule learns more slowly than the law says: there stand the worlds "
            "that break an assumption (crosses). Small deviations remain where all holds: the law is about large n, "
            "and at these n constants still count, the more the higher the dimension."
        ),
        alt=(
            f"{len(lawful)} worlds that keep the assumptions: the predicted slope is inside the interval of the "
            f"measured one in {inside}, the mean difference is {off.mean():.2f} and the largest {off.max():.2f}. "
            f"In {len(broken)} worlds that break one the measured slope is above the predicted by "
            f"{(broken['measured'] - broken['predicted']).min():.2f} or more."
        ),
        table=table,
        draw=lambda theme: _slopes(table, theme),
    )


def _slopes(table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    ends = [float(min(table["predicted"].min(), table["low"].min())) - 0.04, float(table["high"].max()) + 0.04]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", hoverinfo="skip", line={"color": look.hull, "dash": "dash"}, name="as predicted"
    )
    groups = [(f"d = {d}", table[(table["dimension"] == d) & (table["breach"] == "none")]) for d in (1, 2, 3)]
    groups.append(("assumption broken", table[table["breach"] != "none"]))
    for place, (name, rows) in enumerate(groups):
        figure.add_scatter(
            x=rows["predicted"],
            y=rows["measured"],
            error_y=whiskers(rows["measured"], rows["low"], rows["high"], thickness=1.2),
            mode="markers",
            marker={
                "color": look.curves[(1, 2, 4, 0)[place]],
                "size": 9,
                "symbol": ("circle", "square", "triangle-up", "x")[place],
            },
            customdata=rows[["dimension", "smoothness", "margin", "breach"]],
            hovertemplate="d %{customdata[0]}, γ %{customdata[1]}, α %{customdata[2]}, %{customdata[3]}<br>"
            "predicted %{x:.2f}, measured %{y:.2f}<extra></extra>",
            name=name,
        )
    figure.update_layout(
        over_legend(look, 440), xaxis=axis(look, "Predicted slope", range=ends), yaxis=axis(look, "Measured slope")
    )
    return figure


def boundary_exhibit(world: World, n: int, seed: int = 0) -> Exhibit:
    """Which model the oracle rule and the plug-in rule choose, over the square of a world of two dimensions."""
    rng = np.random.default_rng([seed, n])
    middle = (np.arange(_SIDE) + 0.5) / _SIDE
    at = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    oracle, chosen = world.true_utility(at).argmax(axis=1), plug_in(world, n, at, rng)
    missed = utility_loss(world, chosen, at)
    wrong = missed > 0
    there = missed[wrong].mean() if wrong.any() else 0.0
    table = pd.DataFrame(
        {"x1": at[:, 0], "x2": at[:, 1], "oracle": oracle + 1, "plug_in": chosen + 1, "utility_lost": missed}
    )
    return Exhibit(
        name="theory-boundary",
        title="What the oracle and the plug-in rule choose",
        caption=(
            f"Each point of the square is a prompt, its shade the model that answers it. Left, the oracle rule, which "
            f"knows the scores and costs; right, the plug-in rule after {n:,} training prompts. Marked is where the "
            "two differ: mostly near the boundary, where being wrong costs least."
        ),
        alt=(
            "Two maps of the square. The plug-in rule chooses another model than the oracle on "
            f"{percent(wrong.mean())} of it; there it loses {there:.3f} of utility on average, "
            f"{missed.mean():.4f} over the whole square."
        ),
        table=table,
        draw=lambda theme: _maps(table, world.n_models, theme),
    )


def _maps(table: pd.DataFrame, n_models: int, theme: ThemeName) -> go.Figure:
    look = THEMES[theme]
    far = look.curves[1] if theme != "print" else "#606060"
    shades = sample_colorscale([look.grid, far], np.linspace(0.1, 0.9, n_models))
    steps = [[edge, shades[m]] for m in range(n_models) for edge in (m / n_models, (m + 1) / n_models)]
    figure = make_subplots(1, 2, subplot_titles=("Oracle rule", "Plug-in rule"), horizontal_spacing=0.06)
    middle = sorted(table["x1"].unique())
    for column, rule in enumerate(("oracle", "plug_in"), 1):
        figure.add_heatmap(
            x=middle,
            y=middle,
            z=table[rule].to_numpy().reshape(_SIDE, _SIDE),
            zmin=0.5,
            zmax=n_models + 0.5,
            colorscale=steps,
            showscale=False,
            hovertemplate="model %{z}<extra></extra>",
            row=1,
            col=column,
        )
    wrong = np.where(table["utility_lost"] > 0, 1.0, np.nan).reshape(_SIDE, _SIDE)
    figure.add_heatmap(
        x=middle, y=middle, z=wrong, colorscale=[[0, look.curves[0]], [1, look.curves[0]]],
        showscale=False, hoverinfo="skip", row=1, col=2,
    )  # fmt: skip
    names = [f"model {model}" for model in range(1, n_models + 1)]
    for name, shade in zip([*names, "another than the oracle's"], [*shades, look.curves[0]], strict=True):
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=name,
            marker={"color": shade, "size": 12, "symbol": "square", "line": {"color": look.muted, "width": 1}},
        )  # fmt: skip
    ticks = {"range": [0, 1], "tickvals": [0, 0.5, 1], "showgrid": False, "constrain": "domain", "color": look.ink}
    figure.update_xaxes(ticks)
    figure.update_yaxes(ticks)
    figure.update_yaxes(showticklabels=False, col=2)
    figure.update_annotations(font={"size": 13, "color": look.ink})
    bottom = {"orientation": "h", "x": 0, "y": -0.1, "yanchor": "top"}
    figure.update_layout(over_legend(look, 440, legend=bottom, margin={"l": 30, "r": 8, "t": 56, "b": 10}))
    return figure
