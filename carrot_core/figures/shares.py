"""Who answers at which λ: the share of prompts of every model of the pool along the active curve."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import Scene, label
from carrot_core.figures.theme import THEMES, ThemeName, axis, layout, model_colors, plotly_text
from carrot_core.frontier import rate_of_lam
from carrot_core.number_formats import lam_text, percent
from carrot_core.text import visible

_STEPS = 400
_PATTERNS = ("", "/", ".", "\\", "-", "+", "|")


def share_figure(scene: Scene, theme: ThemeName = "light") -> go.Figure:
    """Stacked shares over λ from 0 to 1, cheapest model at the bottom; independent of the λ that is set."""
    look = THEMES[theme]
    # Exact where it is drawn; most switches lie at small λ, so steps are finer there.
    even = np.linspace(0, 1, _STEPS + 1)
    lams = np.union1d(even, even**2)
    shares = scene.active_curve.frontier.shares([rate_of_lam(float(lam), scene.cost_unit_usd) for lam in lams])
    colors = model_colors(list(scene.model_cost_usd), theme)
    figure = go.Figure()
    answering = [int(column) for column in np.argsort(scene.model_cost_usd) if shares[:, column].max() > 0]
    for place, column in enumerate(answering):
        figure.add_trace(
            go.Scatter(
                x=lams,
                y=100 * shares[:, column],
                stackgroup="models",
                mode="lines",
                line={"width": 1, "color": look.ground, "shape": "hv"},
                fillcolor=colors[column],
                # Neighbours in cost have neighbouring colours: a pattern tells them apart.
                fillpattern={
                    "shape": _PATTERNS[place % len(_PATTERNS)],
                    "bgcolor": colors[column],
                    "fgcolor": look.ground,
                    "size": 10,
                    "solidity": 0.1,
                },
                name=plotly_text(scene.short_names[scene.models[column]]),
                hovertemplate="%{y:.1f} %",
            )
        )
    return figure.update_layout(
        layout(
            look,
            420,
            hovermode="x unified",
            legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
            margin={"l": 55, "r": 10, "t": 10, "b": 10},
            xaxis=axis(look, "λ", range=[0, 1]),
            yaxis=axis(look, "Share of prompts", range=[0, 100], ticksuffix=" %"),
        )
    )


def share_text(scene: Scene) -> str:
    """The chart in words: who answers at both ends and halfway."""
    parts = []
    for lam in (0.0, 0.5, 1.0):
        shares = scene.active_curve.frontier.shares([rate_of_lam(lam, scene.cost_unit_usd)])[0]
        order = [int(j) for j in np.argsort(-shares)[:3] if shares[j] > 0]
        named = ", ".join(f"{visible(scene.models[j])} {percent(shares[j], digits=0)}" for j in order)
        parts.append(f"at λ {lam_text(lam)}: {named}")
    return "Share of prompts each model answers; " + "; ".join(parts) + "."


def shares_exhibit(scene: Scene) -> Exhibit:
    """Who answers at which λ: the active curve of a scene."""
    name = scene.active
    return Exhibit(
        name=f"shares-{name.split(' ')[0]}",
        title=f"Who answers: {visible(label(name))}",
        caption=f"Share of the prompts that each model answers when {visible(label(name))} routes, at every λ; the "
        "cheapest model is at the bottom.",
        alt=f"{visible(label(name))}. {share_text(scene)}",
        table=_shares(scene),
        draw=lambda theme: share_figure(scene, theme),
    )


def _shares(scene: Scene) -> pd.DataFrame:
    lams = np.linspace(0, 1, 101)
    shares = scene.active_curve.frontier.shares([rate_of_lam(float(lam), scene.cost_unit_usd) for lam in lams])
    table = pd.DataFrame(shares, columns=list(scene.active_curve.frontier.models)).assign(lam=lams)
    return table.melt("lam", var_name="model", value_name="share").assign(router=scene.active)
