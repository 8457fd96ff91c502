"""Logs against a point, as a picture: how far each figure is off, in units of what matters."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.ground import axis, layout, shown
from carrot_core.figures.theme import THEMES, ThemeName, translucent
from carrot_core.text import visible

_ROW = 28  # pixels a figure
_MOST_ROWS = 16
_FURTHEST = 4.0  # tolerances drawn; beyond, a mark stands at the edge
_SYMBOLS = {"inside": "circle", "outside": "diamond", "too few": "circle-open"}
_COLORS = {"inside": 2, "outside": 0, "too few": 1}  # places in a theme's curves
_SAID = {"inside": "Inside", "outside": "Outside", "too few": "Too few to tell"}


def drift_exhibit(table: pd.DataFrame, words: Mapping[str, str], headline: str, name: str = "drift") -> Exhibit:
    """The differences of all figures, each divided by its tolerance.

    Parameters
    ----------
    table : one row a figure: what, difference, difference_low, difference_high, tolerance, verdict.
    words : of each figure by ``what``, as the reader sees them on hovering.
    headline : the check in one sentence.
    """
    known = table[table["difference"].notna()].head(_MOST_ROWS).reset_index(drop=True)
    ends = known[["difference", "difference_low", "difference_high"]].abs()
    beyond = ends.gt(_FURTHEST * known["tolerance"], axis=0).any(axis=None)
    return Exhibit(
        name=name,
        title="Logged minus promised",
        caption=(
            "Each line is the 95 % interval of a difference, logged minus promised, in units of the tolerance that is "
            "set; those of models' shares hold at 95 % for all models together. Outside: the line does not touch 0. "
            "Inside: it does, and is no longer than the shaded band. Too few to tell: neither, or too few calls."
            + (
                f" Nothing is drawn beyond ±{_FURTHEST:g}: what stands there lies or reaches further out."
                if beyond
                else ""
            )
        ),
        alt=f"{headline} " + " ".join(words[what] for what in known["what"]),
        table=table,
        draw=lambda theme: _figure(known, words, theme),
    )


def _figure(known: pd.DataFrame, words: Mapping[str, str], theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    place = list(range(len(known)))
    names = [shown(_said_of(visible(what)), 30) for what in known["what"]]
    scaled = {
        end: (known[f"difference{end}"] / known["tolerance"]).clip(-_FURTHEST, _FURTHEST)
        for end in ("", "_low", "_high")
    }
    figure.add_shape(
        type="rect", xref="x", yref="paper", x0=-1, x1=1, y0=0, y1=1, line={"width": 0}, layer="below",
        fillcolor=look.grid if theme == "print" else translucent(look.hull, 0.18),
    )  # fmt: skip
    for verdict, symbol in _SYMBOLS.items():
        here = known.index[known["verdict"] == verdict].tolist()
        color = look.curves[_COLORS[verdict]]
        value, low, high = (scaled[end].iloc[here] for end in ("", "_low", "_high"))
        figure.add_trace(
            go.Scatter(
                x=value, y=here, mode="markers", name=_SAID[verdict], showlegend=bool(here),
                marker={"symbol": symbol, "size": 10, "color": color, "line": {"color": color, "width": 2}},
                error_x={"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low,
                         "color": color, "thickness": 2, "width": 4},
                customdata=[shown(words[what]) for what in known["what"].iloc[here]],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )  # fmt: skip
    figure.add_vline(0, line={"color": look.ink, "width": 1, "dash": "dot"})
    reach = float(max(scaled["_high"].max(), -scaled["_low"].min(), 1.0)) * 1.08
    return figure.update_layout(
        layout(
            look,
            110 + _ROW * len(known),
            margin={"l": 8, "r": 16, "t": 16, "b": 50},
            xaxis=axis(look, "Difference ÷ tolerance", range=[-reach, reach]),
            yaxis=axis(look, tickvals=place, ticktext=names, autorange="reversed", automargin=True),
        )
    )


def _said_of(text: str) -> str:
    model = text.removeprefix("share of ")
    return text.capitalize() if model == text else f"by {model.rsplit('/', 1)[-1]}"
