"""A what-if as pictures: both frontiers in one scene, and how much a model is used at which price."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import Curve, Scene, short_name
from carrot_core.figures.theme import THEMES, ThemeName, axis, layout
from carrot_core.frontier import FloatArray
from carrot_core.whatif.apply import Threshold, WhatIf

_LEAST, _MOST = 1e-2, 1e2  # price factors drawn


def whatif_scene(changed: WhatIf, title: str) -> Scene:
    """One chart with the frontier before and after; models, hull and λ are those after."""
    after, curve = changed.after, changed.after.shown
    hull = after.hulls[after.made.report_on]
    return Scene(
        title=title,
        curves=(
            Curve("after", "After", curve.readable),
            Curve("before", "Before", changed.before.shown.readable),
        ),
        models=curve.models,
        model_score=curve.model_score,
        model_cost_usd=curve.model_cost_usd,
        hull_cost_usd=hull.cost_usd[::-1],
        hull_score=hull.score[::-1],
        best_single=after.best_single,
        reference=after.best_single,
        cost_unit_usd=changed.cost_unit_usd,
        n_prompts=curve.n_prompts,
        n_dropped=curve.frontier.n_dropped,
        active="after",
        chosen_on=changed.before.curves["validation"],
    )


def steps(threshold: Threshold) -> tuple[FloatArray, FloatArray]:
    """Price factors from `_LEAST` to `_MOST`, ascending, and the share of queries answered just below each."""
    drawn = threshold.factor[(threshold.factor > _LEAST) & (threshold.factor < _MOST)]
    factors = np.unique(np.concatenate([[_LEAST, 1.0, _MOST], drawn]))
    return factors, np.array([threshold.share_at(factor) for factor in factors])


def threshold_exhibit(threshold: Threshold, said: str) -> Exhibit:
    """How much a model is used at which price; ``said`` is the threshold in words."""
    factors, shares = steps(threshold)
    return Exhibit(
        "price-threshold",
        f"What would make {short_name(threshold.model)} worth using",
        "Exact, from the predictions for each test prompt at the λ that is set, all else as after the scenario; "
        "no outcome is used. A model's price is meant for input and output alike.",
        said,
        pd.DataFrame({"model": threshold.model, "price_factor": factors, "share": shares}),
        lambda theme: threshold_figure(threshold, theme),
    )


def threshold_figure(threshold: Threshold, theme: ThemeName = "light") -> go.Figure:
    """Share of the queries a model answers against a factor on its price, at one exchange rate."""
    look = THEMES[theme]
    factors, shares = steps(threshold)
    figure = go.Figure(
        go.Scatter(
            x=factors,
            y=100 * shares,
            mode="lines",
            line={"color": look.curves[0], "width": 2.5, "shape": "vh"},
            hovertemplate="price × %{x:.3~g}: %{y:.1f} %<extra></extra>",
        )
    )
    now = {"text": "now", "textposition": "end", "textangle": 0, "xanchor": "left", "font": {"color": look.ink}}
    figure.add_vline(1.0, line={"color": look.hull, "dash": "dot"}, label=now)
    at = [0.01, 0.1, 0.5, 1, 2, 10, 100]
    ticks = {"type": "log", "tickvals": at, "ticktext": [f"×{tick:g}" for tick in at]}
    return figure.update_layout(
        layout(
            look,
            300,
            margin={"l": 60, "r": 10, "t": 25, "b": 50},
            xaxis=axis(look, "Price, as a factor on what it is after the scenario", **ticks),
            yaxis=axis(look, "Share of queries", rangemode="tozero", ticksuffix=" %"),
        )
    )
