"""How good predictions are: whether a score of 0.7 means right in 7 of 10, and how far off the predicted usage is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.curve import small
from carrot_core.evaluation import Setting
from carrot_core.evaluation import reliability as bins_of
from carrot_core.evaluation.quality import POOLED, Values, aligned, usage_by_round
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import (
    PATTERNS,
    THEMES,
    Theme,
    ThemeName,
    each,
    layout_with_axes,
    line_styles,
    model_names,
    names_of,
    router_names,
    translucent,
)
from carrot_core.number_formats import COUNT_HOVER, MONEY_HOVER, CostBasis, cost_basis
from carrot_core.outcomes import Estimates, positions
from carrot_core.text import short_names, visible

_RELIABILITY_COLUMNS = ["router", "model", "bin", "n", "mean_estimate", "mean_score"]


def reliability(setting: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Reliability diagrams of every router: `carrot_core.evaluation.reliability`, pooled and for each model.

    Columns router, model ("pooled" for all together), bin (0 to 9), n (outcomes), mean_estimate, mean_score.
    """
    frames = (bins_of(setting.test, table[setting.report_on]).assign(router=name) for name, table in routers.items())
    return small(frames, _RELIABILITY_COLUMNS)


BINS = 10
ALL = -1  # in the column "bin": all of a model's calls
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
_USAGE_COLUMNS = [
    "router",
    "model",
    "unit",
    "bin",
    "n",
    "predicted",
    *QUANTILES,
    *(f"ratio_{name}" for name in QUANTILES),
]


def usage(setting: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Observed against predicted usage, by tenths of the prediction, pooled and for each model.

    Columns router, model ("pooled" for all together), unit ("tokens" or "usd"), bin (tenth of the predictions,
    from 0; -1 for all), n (calls), predicted (median), p10, p50, p90 (quantiles of the observed usage), ratio_p10,
    ratio_p50, ratio_p90 (of observed ÷ predicted, if the prediction is not 0). Empty if only input is charged; a router
    whose costs are of several calls (a cascade) has no rows.
    """
    frames = [
        _of_router(setting, table[setting.report_on]).assign(router=name)
        for name, table in routers.items()
        if setting.test.usage != "input_only" and not table[setting.report_on].cost_is_paid
    ]
    return small(frames, _USAGE_COLUMNS)


def _of_router(setting: Setting, estimates: Estimates) -> pd.DataFrame:
    table, bench = aligned(setting.test, estimates)
    kind = bench.usage
    rounds = setting.round_of(setting.report_on)[positions(table.prompt_ids, setting.test.prompt_ids, "prompt")]
    observed, predicted = bench.usage_table(kind), usage_by_round(bench, table, rounds)
    columns = {POOLED: slice(None), **{model: slice(j, j + 1) for j, model in enumerate(table.models)}}
    rows = [
        {"model": model, **row}
        for model, column in columns.items()
        for row in _bins(predicted[:, column].ravel(), observed[:, column].ravel())
    ]
    return pd.DataFrame(rows).assign(unit="tokens" if kind == "output_tokens" else "usd")


def _bins(predicted: Values, observed: Values) -> list[dict[str, float]]:
    mask = ~np.isnan(predicted + observed)
    predicted, observed = predicted[mask], observed[mask]
    if not mask.any():
        return []
    inner = np.quantile(predicted, np.linspace(0, 1, BINS + 1)[1:-1])
    place = np.searchsorted(inner, predicted, side="right")
    bins = np.unique(place).tolist()
    rows = [_row(ALL, predicted, observed)] + [_row(b, predicted[place == b], observed[place == b]) for b in bins]
    return rows if len(bins) > 1 else rows[:1]


def _row(bin_: int, predicted: Values, observed: Values) -> dict[str, float]:
    some = predicted > 0
    ratio = observed[some] / predicted[some]
    at = list(QUANTILES.values())
    ratios = np.quantile(ratio, at) if some.any() else np.full(len(at), np.nan)
    return {
        "bin": bin_,
        "n": len(predicted),
        "predicted": float(np.median(predicted)),
        **dict(zip(QUANTILES, np.quantile(observed, at), strict=True)),
        **{f"ratio_{name}": value for name, value in zip(QUANTILES, ratios, strict=True)},
    }


_WIDE = 30  # both axes are logarithmic from this multiple of the least prediction on


def _of(model: str, table: pd.DataFrame) -> str:
    return "all models together" if model == POOLED else short_names(table["model"])[model]


def reliability_exhibit(table: pd.DataFrame, model: str = POOLED) -> Exhibit:
    """Mean observed score against mean estimate, in bins of the estimate.

    Parameters
    ----------
    table : `carrot_core.compare.predictions.reliability` of the routers to show.
    model : one of its models.
    """
    rows = table[table["model"] == model].reset_index(drop=True)
    off = (rows["mean_estimate"] - rows["mean_score"]).abs() * rows["n"]
    ece = off.groupby(rows["router"]).sum() / rows.groupby("router")["n"].sum()
    errors = "; ".join(f"{visible(label(name))} {100 * ece[name]:.1f}" for name in names_of(rows["router"]))
    return Exhibit(
        name="reliability",
        title=f"Reliability of the estimated scores, {_of(model, table)}",
        caption="Mean observed score of the outcomes whose estimate lies in each tenth from 0 to 1, against their mean "
        "estimate. On the dotted line estimates are right on average; below it they are too high. Larger marks hold "
        f"more outcomes. Expected calibration error, times 100: {errors}.",
        alt=f"Reliability diagram, {_of(model, table)}. Mean distance from the diagonal in points: {errors}.",
        table=rows,
        draw=lambda theme: _reliability(rows, theme),
    )


def _reliability(rows: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look, routers = THEMES[theme], names_of(rows["router"])
    styles, figure = line_styles(routers), go.Figure()
    figure.add_trace(_diagonal([0, 100], look))
    for router, name in zip(routers, router_names(routers), strict=True):
        of, style = rows[rows["router"] == router], styles[router]
        color = look.curves[style.color]
        figure.add_trace(
            go.Scatter(
                x=100 * of["mean_estimate"], y=100 * of["mean_score"], mode="lines+markers", name=name,
                line={"color": color, "dash": style.dash, "width": 1.75}, customdata=of["n"],
                marker={"color": color, "symbol": style.symbol, "size": 5 + 9 * np.sqrt(of["n"] / rows["n"].max())},
                hovertemplate="estimated %{x:.1f} %, observed %{y:.1f} %<br>%{customdata:,} outcomes"
                "<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    return figure.update_layout(
        layout_with_axes(
            look, 440, hovermode="closest",
            xaxis={"title": "Estimated score (%)", "range": [-2, 102]},
            yaxis={"title": "Observed score (%)", "range": [-2, 102]},
        )
    )  # fmt: skip


def _diagonal(ends: list[float], look: Theme) -> go.Scatter:
    return go.Scatter(
        x=ends, y=ends, mode="lines", line={"color": look.muted, "dash": "dot", "width": 1}, name="Estimates are right",
        hoverinfo="skip",
    )  # fmt: skip


def usage_exhibit(table: pd.DataFrame, router: str, model: str = POOLED, basis: CostBasis | None = None) -> Exhibit:
    """Observed usage of calls against the predictions of one router.

    Parameters
    ----------
    table : `carrot_core.compare.predictions.usage` with the router.
    model : one of its models.
    basis : of the costs; by default that of their size.
    """
    rows = table[(table["router"] == router) & (table["model"] == model)].reset_index(drop=True)
    tokens = bool((rows["unit"] == "tokens").all())
    basis = basis or cost_basis(rows["predicted"])
    what = "output tokens" if tokens else f"dollars {basis.words}"
    unit = (1, COUNT_HOVER) if tokens else (basis.calls, MONEY_HOVER)
    whole = rows[rows["bin"] == ALL].iloc[0]
    summary = (
        f"Half of all {basis.unit}s use less than {whole['ratio_p50']:.2f} times the prediction, and eight of ten from "
        f"{whole['ratio_p10']:.2f} to {whole['ratio_p90']:.2f} times"
    )
    bins = rows[rows["bin"] != ALL]
    bins = bins if len(bins) else rows
    return Exhibit(
        name="usage",
        title=f"Observed and predicted {what}: {visible(label(router))}, {_of(model, table)}",
        caption=f"{basis.unit.capitalize()}s sorted by the {what} predicted and cut into tenths: the median observed "
        f"(line) and the middle 80 % (band) of each. On the dotted line the prediction is right. {summary}.",
        alt=f"Observed against predicted {what} of {visible(label(router))}, {_of(model, table)}. {summary}.",
        table=rows,
        draw=lambda theme: _usage(bins, router, what, unit, theme),
    )


def _usage(bins: pd.DataFrame, router: str, what: str, unit: tuple[int, str], theme: ThemeName) -> go.Figure:
    """``unit`` is the factor on the drawn numbers, and their format in hover texts."""
    look, (times, form) = THEMES[theme], unit
    color = look.curves[line_styles([router])[router].color]
    x, figure = times * bins["predicted"], go.Figure()
    high, low = times * bins["p90"], times * bins["p10"]
    edge = {"color": color, "width": 1, "dash": "dot"}
    figure.add_trace(
        go.Scatter(x=x, y=high, mode="lines", line=edge, showlegend=False, name="90th percentile",
                   hovertemplate=f"90th percentile %{{y:{form}}}<extra></extra>")
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=x, y=low, mode="lines", line=edge, fill="tonexty", fillcolor=translucent(color),
                   name="Middle 80 % of calls", hovertemplate=f"10th percentile %{{y:{form}}}<extra></extra>")
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=x, y=times * bins["p50"], mode="lines+markers", name="Median observed", customdata=bins["n"],
                   line={"color": color, "width": 2}, marker={"size": 7, "color": color},
                   hovertemplate=f"predicted %{{x:{form}}}, observed %{{y:{form}}}<br>"
                                 "%{customdata:,} calls<extra></extra>")
    )  # fmt: skip
    figure.add_trace(_diagonal([float(x.min()), float(x.max())], look))
    wide = min(x.min(), low.min()) > 0 and x.max() > _WIDE * x.min()
    scale = {"type": "log", "dtick": 1} if wide else {"type": "linear"}
    return figure.update_layout(
        layout_with_axes(
            look, 420, hovermode="closest",
            xaxis={"title": f"Predicted {what} (median of each tenth)", **scale},
            yaxis={"title": f"Observed {what}", "rangemode": "normal" if wide else "tozero", **scale},
        )
    )  # fmt: skip


def ratios_exhibit(table: pd.DataFrame, router: str) -> Exhibit:
    """Observed ÷ predicted usage of every model, for one router."""
    rows = table[(table["router"] == router) & (table["bin"] == ALL) & (table["model"] != POOLED)]
    rows = rows.dropna(subset=["ratio_p50"]).sort_values("ratio_p50", ignore_index=True)
    what = "output tokens" if (rows["unit"] == "tokens").all() else "dollars"
    names = short_names(rows["model"])
    ratios = "; ".join(f"{names[row.model]} {row.ratio_p50:.2f}" for row in each(rows))
    return Exhibit(
        name="usage-by-model",
        title=f"Observed ÷ predicted {what} by model: {visible(label(router))}",
        caption=f"How many times the predicted {what} each model's calls used: median and middle 80 %. 1 is right; a "
        "call above it costs more than expected.",
        alt=f"Median of observed divided by predicted {what}, by model: {ratios}.",
        table=rows,
        draw=lambda theme: _ratios(rows, what, theme),
    )


def _ratios(rows: pd.DataFrame, what: str, theme: ThemeName) -> go.Figure:
    look, names = THEMES[theme], model_names(list(rows["model"]))
    figure = go.Figure(
        go.Bar(
            y=names, x=rows["ratio_p90"] - rows["ratio_p10"], base=rows["ratio_p10"], orientation="h",
            marker={"color": translucent(look.curves[1], 0.3), "line": {"color": look.curves[1], "width": 1},
                    "pattern": {"shape": PATTERNS[1] if theme == "print" else "", "fgcolor": look.muted}},
            name="Middle 80 % of calls", customdata=rows[["ratio_p10", "ratio_p90"]],
            hovertemplate="%{y}: %{customdata[0]:.2f} to %{customdata[1]:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=rows["ratio_p50"], y=names, mode="markers", name="Median",
            marker={"color": look.ink, "size": 9, "symbol": "diamond"},
            hovertemplate="%{y}: median %{x:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_vline(1, line={"color": look.muted, "dash": "dot", "width": 1.5})
    return figure.update_layout(
        layout_with_axes(
            look, 100 + 26 * len(rows), bargap=0.45,
            xaxis={"title": f"Observed ÷ predicted {what}", "rangemode": "tozero"},
            yaxis={"type": "category", "autorange": "reversed", "showgrid": False},
        )
    )  # fmt: skip
