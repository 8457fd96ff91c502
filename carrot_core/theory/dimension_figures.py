"""Real prompts under the theory's eye: learning curves on its axes, and how many dimensions their vectors fill."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, ThemeName, axis, line_styles, plotly_text
from carrot_core.number_formats import percent
from carrot_core.text import visible
from carrot_core.theory.dimension import ESTIMATORS, METHODS, NEIGHBOURS, components_for
from carrot_core.theory.rate_figures import log_axis, over_legend

METRIC = "aiq"


def loss_table(curves: Mapping[str, pd.DataFrame], metric: str = METRIC) -> pd.DataFrame:
    """What a router loses with fewer training prompts, from the tables of `carrot_core.compare.studies.learning`.

    Columns: benchmark, router, n, loss, low, high (95 % interval, paired), all mean values over seeds; the size
    with all prompts, which loses nothing, is left out.
    """
    frames = []
    for benchmark, table in curves.items():
        rows = table[(table["metric"] == metric) & (table["seed"] == "mean")]
        rows = rows[rows["size"] < rows["size"].max()]
        frames.append(
            pd.DataFrame(
                {
                    "benchmark": benchmark,
                    "router": rows["router"],
                    "n": rows["size"],
                    "loss": -rows["lost"],
                    "low": -rows["lost_high"],
                    "high": -rows["lost_low"],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def learning_exhibit(curves: Mapping[str, pd.DataFrame]) -> Exhibit:
    """Learning curves of real benchmarks on the axes of the theory."""
    table = loss_table(curves)
    rows = table[table["loss"] > 0]
    slopes = {str(name): _slope(rows) for name, rows in rows.groupby("benchmark") if len(rows) > 1}
    slope_list = "; ".join(f"{visible(name)} {slope:.2f}" for name, slope in slopes.items())
    return Exhibit(
        name="theory-learning",
        title="Real learning curves on the same axes",
        caption=(
            "AIQ lost by CARROT-KNN fitted on n training prompts against the fit on all of them, on the same test "
            "prompts; bars are paired 95 % intervals. It is no excess risk: nobody knows a real oracle rule. As n "
            "comes near to all prompts the loss must reach 0, so curves bend down at the right; slopes there say "
            "little. A point at or below 0 has no place on a logarithmic axis and is in the data only; so is an "
            "interval's end there."
        ),
        alt=f"Log-log slopes of the AIQ lost against n, over all sizes drawn: {slope_list or 'none'}.",
        table=table,
        draw=lambda theme: _learning(rows, theme),
    )


def _slope(rows: pd.DataFrame) -> float:
    return float(np.polyfit(np.log(rows["n"]), np.log(rows["loss"]), 1)[0])


def _learning(points: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    names = list(dict.fromkeys(points["benchmark"]))
    least = float(points["loss"].min()) / 3 if len(points) else 1e-3
    for name, style in line_styles(names).items():
        rows = points[points["benchmark"] == name]
        figure.add_scatter(
            x=rows["n"],
            y=rows["loss"],
            error_y={
                "type": "data",
                "array": rows["high"] - rows["loss"],
                "arrayminus": rows["loss"] - rows["low"].clip(lower=least),
                "thickness": 1,
            },
            mode="lines+markers",
            line={"color": look.curves[style.color], "dash": style.dash, "width": 2},
            marker={"symbol": style.symbol, "size": 8},
            name=plotly_text(visible(name)),
            hovertemplate="%{x:,} prompts: %{y:.4f} lost<extra></extra>",
        )
    sizes = [*points["n"]] or [100, 1_000]
    values = [*points["loss"], *points["high"], least] if len(points) else [1e-3, 1e-1]
    figure.update_layout(
        over_legend(look, 440),
        xaxis=log_axis(look, "Training prompts n", sizes),
        yaxis=log_axis(look, "AIQ lost against all prompts", values),
    )
    return figure


def spectra_exhibit(table: pd.DataFrame) -> Exhibit:
    """Cumulative share of the variance by number of components, one panel a method, one line a benchmark.

    Parameters
    ----------
    table : columns ``benchmark``, ``method``, ``component``, ``cumulative``, ``n_vectors``
        (`carrot_core.theory.dimension.spectra`).
    """
    parts = []
    for (benchmark, method), rows in table.groupby(["benchmark", "method"], sort=False):
        half = components_for(rows, 0.5)
        last = rows.iloc[-1]
        summary = (
            f"half the variance in {half} components"
            if half
            else f"{last['component']} components hold {percent(last['cumulative'], digits=0)}"
        )
        parts.append(f"{visible(str(benchmark))}, {METHODS[str(method)]}: {summary}")
    return Exhibit(
        name="theory-spectra",
        title="Spectra of the vectors of real prompts",
        caption=(
            f"Share of the variance that the first components hold, of a random sample of {table['n_vectors'].max():,} "
            "prompts' MiniLM vectors (384 numbers each). PCA looks for flat directions. Kernel PCA (Gaussian kernel, "
            f"width the median distance) and Isomap (distances along the {NEIGHBOURS} nearest neighbours) allow the "
            "vectors to lie on something curved. A curve that rises fast says that few directions are enough."
        ),
        alt="; ".join(parts) + ".",
        table=table,
        draw=lambda theme: _spectra(table, theme),
    )


def _spectra(table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    from plotly.subplots import make_subplots

    look = THEMES[theme]
    methods = [method for method in METHODS if (table["method"] == method).any()]
    figure = make_subplots(1, len(methods), subplot_titles=[METHODS[m] for m in methods], shared_yaxes=True)
    styles = line_styles(list(dict.fromkeys(table["benchmark"])))
    for column, method in enumerate(methods, 1):
        for name, style in styles.items():
            rows = table[(table["benchmark"] == name) & (table["method"] == method)]
            figure.add_scatter(
                x=rows["component"],
                y=100 * rows["cumulative"],
                mode="lines",
                line={"color": look.curves[style.color], "dash": style.dash, "width": 2},
                name=plotly_text(visible(str(name))),
                legendgroup=str(name),
                showlegend=column == 1,
                hovertemplate="%{x} components: %{y:.1f} %<extra></extra>",
                row=1,
                col=column,
            )
    figure.update_xaxes(axis(look, range=[0, 101], tickvals=[1, 50, 100]))
    figure.update_xaxes(title="Components", col=(len(methods) + 1) // 2)
    figure.update_yaxes(axis(look, range=[0, 100]))
    figure.update_yaxes(title="Share of variance, %", col=1)
    figure.update_annotations(font={"size": 13, "color": look.ink})
    figure.update_layout(over_legend(look, 400, margin={"l": 55, "r": 18, "t": 30, "b": 10}))
    return figure


def dimension_exhibit(table: pd.DataFrame) -> Exhibit:
    """Estimates of the intrinsic dimension against the number of vectors (`carrot_core.theory.dimension.estimates`)."""
    full = table.sort_values("n_vectors").groupby(["benchmark", "estimator"], sort=False).last().reset_index()
    parts = [
        f"{visible(str(row.benchmark))}, {ESTIMATORS[str(row.estimator)]}: {row.dimension:.1f} "
        f"({row.low:.1f} to {row.high:.1f})"
        for row in full.itertuples()
    ]
    return Exhibit(
        name="theory-dimension",
        title="Intrinsic dimension of real prompts' vectors",
        caption=(
            "How many dimensions the vectors fill around a point, judged by distances to near neighbours: TwoNN by "
            "the nearest two, the Levina-Bickel estimate by twenty. Bars are 95 % bootstrap intervals over prompts. "
            "More vectors mean a closer look: where the estimate falls with n, prompts stand in tight groups "
            "(templates, variants of one question); where both settle, that is the dimension at that scale. Both run "
            "low when the true dimension is high: they find 16 to 18 for 20."
        ),
        alt="With all vectors: " + "; ".join(parts) + ".",
        table=table,
        draw=lambda theme: _dimensions(table, theme),
    )


def _dimensions(table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look, figure = THEMES[theme], go.Figure()
    styles = line_styles(list(dict.fromkeys(table["benchmark"])))
    for name, style in styles.items():
        for estimator, label in ESTIMATORS.items():
            rows = table[(table["benchmark"] == name) & (table["estimator"] == estimator)].sort_values("n_vectors")
            near = estimator == "two-nn"
            figure.add_scatter(
                x=rows["n_vectors"],
                y=rows["dimension"],
                error_y={
                    "type": "data",
                    "array": rows["high"] - rows["dimension"],
                    "arrayminus": rows["dimension"] - rows["low"],
                    "thickness": 1,
                },
                mode="lines+markers",
                line={"color": look.curves[style.color], "dash": "dot" if near else "solid", "width": 2},
                marker={"symbol": style.symbol + ("-open" if near else ""), "size": 8},
                name=f"{plotly_text(visible(str(name)))}, {label}",
                hovertemplate="%{x:,} vectors: %{y:.1f}<extra></extra>",
            )
    ticks = {
        "tickvals": [1_000, 2_000, 4_000, 8_000, 16_000],
        "ticktext": ["1,000", "2,000", "4,000", "8,000", "16,000"],
    }
    figure.update_layout(
        over_legend(look, 460),
        xaxis=axis(look, "Vectors", type="log", **ticks),
        yaxis=axis(look, "Dimension", rangemode="tozero"),
    )
    return figure
