"""A drift check in words, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

import pandas as pd
import plotly.graph_objects as go

from carrot_core.bootstrap import Interval
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, ThemeName, axis, layout, plotly_text, translucent, whiskers
from carrot_core.number_formats import call_cost, cost_basis, money, percent, points
from carrot_core.points.drift import LEAST, SAME_PRICE, Drift, FigureCheck
from carrot_core.text import visible

_NAMED = 8  # models outside the pool
_ONCE = {
    "inside": "The logs agree with the point: every figure that could be judged is inside.",
    "outside": "The logs do not agree with the point: {}.",
    "too few": "The logs do not contradict the point, but they are too few to tell: {}.",
    "not known": "The logs have nothing that can be compared.",
}


def headline(drift: Drift) -> str:
    """The whole check in one sentence."""
    of_this = [one for one in (drift.score, drift.cost, drift.unlike) if one and one.verdict == drift.verdict]
    parts = [visible(one.what) for one in of_this]
    if drift.of_shares == drift.verdict:
        parts.append("the shares of the models")
    return _ONCE[drift.verdict].format(", ".join(parts))


def describe(one: FigureCheck) -> str:
    """Describe one figure: logged, on test, the difference and the verdict."""
    name = visible(one.what)
    if one.verdict == "not known":
        return f"{name}: not known, {one.why}."
    text = (
        f"{name}: {_amount(one, one.logged)} logged, {_amount(one, one.on_test)} on test, "
        f"difference {_difference(one)}: {verdict(one)}"
    )
    return f"{text}."


def verdict(one: FigureCheck) -> str:
    """The verdict on one figure, with the number of prompts needed if the logs are too few."""
    if one.verdict == "outside":
        return "outside" + (f", though by less than {_size(one, one.tolerance)}" if one.slight else "")
    if one.verdict != "too few":
        return one.verdict
    there = f"{one.n:,}"
    if round(one.n_even) < one.n:
        there += f", as good as {one.n_even:,.0f} sent equally often"
    if one.needed is not None:
        return f"too few prompts to tell ({there}; about {max(one.needed, LEAST):,} are needed)"
    if one.n_even < LEAST:
        return f"too few prompts to tell ({there}; {LEAST} at the very least)"
    return f"no number of prompts can tell {_size(one, one.tolerance)}: the test figure itself is not that sure"


def figures_of(drift: Drift) -> pd.DataFrame:
    """A row per figure: what, unit, logged, on_test, difference (and ends), tolerance, n_prompts, needed, verdict.

    ``promised`` is the former name of ``on_test``.
    """
    rows = []
    for one in drift.compared:
        row: dict[str, object] = {"what": one.what, "unit": one.unit}
        for name in ("logged", "on_test", "promised", "difference"):
            interval: Interval = getattr(one, name)
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows.append(
            row | {"tolerance": one.tolerance, "n_prompts": one.n, "needed": one.needed, "verdict": one.verdict}
        )
    return pd.DataFrame(rows)


def about_models(drift: Drift) -> list[str]:
    """Sentences on models outside the pool, and on models whose calls do not cost what the point's prices say."""
    rows = drift.models.to_dict("records")
    strange = [f"{visible(row['model'])} ({row['calls']:,} calls)" for row in rows if not row["in_pool"]]
    more = f" and {len(strange) - _NAMED:,} more" if len(strange) > _NAMED else ""
    lines = [f"Not in the point's pool: {', '.join(strange[:_NAMED])}{more}."] if strange else []
    for row in rows:
        name = visible(row["model"])
        ratio = row["price_ratio"]
        if not isnan(ratio) and abs(ratio - 1) > SAME_PRICE:
            text = f"{name}: calls cost {ratio:.4g} times what the point's prices say"
            if not isnan(row["input_usd_per_mtok"]):
                prices = money(row["input_usd_per_mtok"]), money(row["output_usd_per_mtok"])
                text += f"; they show {prices[0]} in and {prices[1]} out per million tokens"
            lines.append(f"{text}.")
    return lines


def _amount(one: FigureCheck, interval: Interval) -> str:
    if one.unit == "usd":
        return call_cost(interval.value, interval.low, interval.high)
    return percent(interval.value, interval.low, interval.high)


def _difference(one: FigureCheck) -> str:
    if one.unit == "usd":
        basis = cost_basis(one.on_test.value)
        return basis.text(*vars(one.difference).values(), signed=True)
    return points(one.difference.value, one.difference.low, one.difference.high)


def _size(one: FigureCheck, amount: float) -> str:
    return call_cost(amount) if one.unit == "usd" else f"{100 * amount:.3g} points"


_ROW = 28  # pixels a figure
_MOST_ROWS = 16
_FURTHEST = 4.0  # tolerances drawn; a mark beyond is drawn at the edge
_SYMBOLS = {"inside": "circle", "outside": "diamond", "too few": "circle-open"}
_COLORS = {"inside": 2, "outside": 0, "too few": 1}  # places in a theme's curves
_VERDICTS = {"inside": "Inside", "outside": "Outside", "too few": "Too few to tell"}


def drift_exhibit(table: pd.DataFrame, words: Mapping[str, str], headline: str) -> Exhibit:
    """The differences of all figures, each divided by its tolerance.

    Parameters
    ----------
    table : one row per figure: what, difference, difference_low, difference_high, tolerance, verdict.
    words : text for each figure, by ``what``, shown on hovering.
    headline : the check in one sentence.
    """
    rows = table[table["difference"].notna()].head(_MOST_ROWS).reset_index(drop=True)
    ends = rows[["difference", "difference_low", "difference_high"]].abs()
    beyond = ends.gt(_FURTHEST * rows["tolerance"], axis=0).any(axis=None)
    return Exhibit(
        name="drift",
        title="Logged minus test",
        caption=(
            "Each line is the 95 % interval of a difference, logged minus test, in units of the tolerance that is "
            "set; those of models' shares hold at 95 % for all models together. Outside: the line does not touch 0. "
            "Inside: it does, and is no longer than the shaded band. Too few to tell: neither, or too few calls."
            + (
                f" Nothing is drawn beyond ±{_FURTHEST:g}: marks and lines at that edge lie or reach further out."
                if beyond
                else ""
            )
        ),
        alt=f"{headline} " + " ".join(words[what] for what in rows["what"]),
        table=table,
        draw=lambda theme: _figure(rows, words, theme),
    )


def _figure(rows: pd.DataFrame, words: Mapping[str, str], theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    place = list(range(len(rows)))
    names = [plotly_text(_row_name(visible(what)), 30) for what in rows["what"]]
    scaled = {
        end: (rows[f"difference{end}"] / rows["tolerance"]).clip(-_FURTHEST, _FURTHEST) for end in ("", "_low", "_high")
    }
    figure.add_shape(
        type="rect", xref="x", yref="paper", x0=-1, x1=1, y0=0, y1=1, line={"width": 0}, layer="below",
        fillcolor=look.grid if theme == "print" else translucent(look.hull, 0.18),
    )  # fmt: skip
    for verdict, symbol in _SYMBOLS.items():
        here = rows.index[rows["verdict"] == verdict].tolist()
        color = look.curves[_COLORS[verdict]]
        value, low, high = (scaled[end].iloc[here] for end in ("", "_low", "_high"))
        figure.add_trace(
            go.Scatter(
                x=value, y=here, mode="markers", name=_VERDICTS[verdict], showlegend=bool(here),
                marker={"symbol": symbol, "size": 10, "color": color, "line": {"color": color, "width": 2}},
                error_x=whiskers(value, low, high, color=color, thickness=2, width=4),
                customdata=[plotly_text(words[what]) for what in rows["what"].iloc[here]],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )  # fmt: skip
    figure.add_vline(0, line={"color": look.ink, "width": 1, "dash": "dot"})
    reach = float(max(scaled["_high"].max(), -scaled["_low"].min(), 1.0)) * 1.08
    return figure.update_layout(
        layout(
            look,
            110 + _ROW * len(rows),
            margin={"l": 8, "r": 16, "t": 16, "b": 50},
            xaxis=axis(look, "Difference ÷ tolerance", range=[-reach, reach]),
            yaxis=axis(look, tickvals=place, ticktext=names, autorange="reversed", automargin=True),
        )
    )


def _row_name(text: str) -> str:
    model = text.removeprefix("share of ")
    return text.capitalize() if model == text else f"by {model.rsplit('/', 1)[-1]}"
