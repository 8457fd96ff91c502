"""Who answers: how often routers agree, and every router's curve on every task."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from carrot_core.figures.compared.frame import each, layout, names_of, rising, router_names, task_name, words_in_cells
from carrot_core.figures.compose import label
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.ground import axis, shown
from carrot_core.figures.scene import QUERIES, Scene, money
from carrot_core.figures.shares import share_figure, share_text
from carrot_core.figures.theme import THEMES, Theme, ThemeName, line_styles
from carrot_core.frontier import rate_of_lam
from carrot_core.text import visible

_COLUMNS = 3


def agreement_exhibit(table: pd.DataFrame, lam: float) -> Exhibit:
    """Share of the prompts that two routers give to the same model, at one λ.

    Parameters
    ----------
    table : `carrot_core.analyses.agreement.agreement` of the routers to show.
    lam : one of its λ.
    """
    rows = table[np.isclose(table["lam"], lam)].reset_index(drop=True)
    apart = rows[rows["router"] != rows["other"]].sort_values("agreement")
    told = ""
    if len(apart):
        least, most = apart.iloc[0], apart.iloc[-1]
        told = " " + "; ".join(
            f"{how}: {visible(label(row['router']))} and {visible(label(row['other']))}, {100 * row['agreement']:.0f} %"
            for how, row in (("Least", least), ("Most", most))
        )
    return Exhibit(
        name=f"agreement-lam-{lam:g}".replace(".", "-"),
        title=f"Agreement of choices at λ {lam:g}",
        caption=f"Share of the prompts that both routers give to the same model at λ {lam:g}, in per cent. Routers of "
        "the same accuracy may still disagree.",
        alt=f"Share of prompts on which two routers choose the same model at λ {lam:g}.{told}",
        table=rows,
        draw=lambda theme: _agreement(rows, theme),
    )


def _agreement(rows: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look, routers = THEMES[theme], names_of(rows["router"])
    names = router_names(routers, 22)
    square = rows.pivot(index="router", columns="other", values="agreement").reindex(index=routers, columns=routers)
    figure = go.Figure(
        go.Heatmap(
            x=names, y=names, z=100 * square.to_numpy(), zmin=0, zmax=100, colorscale=rising(theme), showscale=False,
            xgap=1, ygap=1, texttemplate="%{z:.0f}",
            textfont=words_in_cells(theme, len(routers)), hovertemplate="%{y} and %{x}: %{z:.1f} %<extra></extra>",
        )
    )  # fmt: skip
    return figure.update_layout(
        layout(
            look, 110 + 30 * len(routers), margin={"l": 8, "r": 16, "t": 16, "b": 8},
            xaxis={"side": "top", "tickangle": -40, "showgrid": False, "type": "category"},
            yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
        )
    )  # fmt: skip


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


def tasks_exhibit(table: pd.DataFrame) -> Exhibit:
    """Every router's curve on each of the larger tasks, one small chart a task.

    Parameters
    ----------
    table : `carrot_core.analyses.task_curves.task_curves` of the routers to show.
    """
    tasks, total = names_of(table["task"]), int(table["n_tasks"].max())
    rest = f" The {len(tasks)} largest of {total} tasks are shown." if total > len(tasks) else ""
    best = table.loc[table.groupby("task", sort=False)["score"].idxmax()]
    told = "; ".join(
        f"{visible(row.task) or 'no task'} ({row.n_prompts:,} prompts): at best {100 * row.score:.0f} % by "
        f"{visible(label(row.router))}"
        for row in each(best)
    )
    return Exhibit(
        name="tasks",
        title="Every task by itself",
        caption="Accuracy in per cent against dollars per 1,000 queries on each task's test prompts, axes of their "
        "own; a line is one router at up to 25 λ, the same λ on every task, and the star is the best single "
        f"model. Small tasks are noisy.{rest}",
        alt=f"Small charts of accuracy against cost for {len(tasks)} tasks. {told}.",
        table=table,
        draw=lambda theme: _tasks(table, tasks, theme),
    )


def legend_of(table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    """The legend of all panels, by itself."""
    look = THEMES[theme]
    traces = _traces(table.groupby("router", sort=False).head(1), look)
    figure = go.Figure([trace.update(x=[None], y=[None], showlegend=True) for trace in traces])
    hidden = {"visible": False}
    return figure.update_layout(
        # High enough for two names a line, as on a narrow screen.
        layout(look, 8 + 10 * len(traces), xaxis=hidden, yaxis=hidden, margin={"l": 0, "r": 0, "t": 0, "b": 0}),
        legend={"orientation": "h", "y": 1, "yanchor": "top", "x": 0, "maxheight": 1},
    )


def task_figure(table: pd.DataFrame, task: str, theme: ThemeName) -> go.Figure:
    """One task by itself, where a row of charts would be too narrow."""
    look, here = THEMES[theme], table[table["task"] == task]
    figure = go.Figure(_traces(here, look)).update_layout(
        layout(
            look, 230, hovermode="closest", showlegend=False, margin={"l": 8, "r": 8, "t": 30, "b": 24},
            title={"text": _title(task, here), "font": {"size": 13}, "x": 0.5, "y": 0.97, "yanchor": "top"},
        )
    )  # fmt: skip
    figure.update_xaxes(tickprefix="$", nticks=5)
    return figure.update_yaxes(nticks=5)


def _title(task: str, here: pd.DataFrame) -> str:
    return f"{task_name(task)} ({int(here['n_prompts'].iloc[0]):,})"


def _tasks(table: pd.DataFrame, tasks: list[str], theme: ThemeName) -> go.Figure:
    look, columns = THEMES[theme], min(_COLUMNS, len(tasks))
    lines = -(-len(tasks) // columns)
    parts = [table[table["task"] == task] for task in tasks]
    figure = make_subplots(
        lines, columns, horizontal_spacing=0.06, vertical_spacing=min(0.3 / lines, 0.2),
        subplot_titles=[_title(task, here) for task, here in zip(tasks, parts, strict=True)],
    )  # fmt: skip
    for place, here in enumerate(parts):
        for trace in _traces(here, look):
            figure.add_trace(trace.update(showlegend=place == 0), row=place // columns + 1, col=place % columns + 1)
    figure.update_layout(layout(look, 110 + 200 * lines, hovermode="closest"))
    figure.update_annotations(font={"size": 12, "color": look.ink})
    small = axis(look, nticks=5, automargin=True, tickfont={"size": 10})
    figure.update_xaxes(small, tickprefix="$", exponentformat="none")
    figure.update_yaxes(small)
    return figure.update_layout(
        legend={"orientation": "h", "y": 1 + 46 / (200 * lines), "yanchor": "bottom", "x": 0}, margin={"t": 70}
    )


def _traces(here: pd.DataFrame, look: Theme) -> list[go.Scatter]:
    """Every router on one task, and the best single model."""
    routers = names_of(here["router"])
    styles, traces = line_styles(routers), []
    for router, name in zip(routers, router_names(routers), strict=True):
        rows, style = here[here["router"] == router], styles[router]
        color = look.curves[style.color]
        traces.append(
            go.Scatter(
                x=QUERIES * rows["cost_usd"], y=100 * rows["score"], mode="lines+markers", name=name,
                legendgroup=shown(router),
                customdata=rows["lam"], line={"color": color, "dash": style.dash, "width": 1.75},
                marker={"color": color, "symbol": style.symbol, "size": 4 if len(rows) > 1 else 9},
                hovertemplate="%{y:.1f} % at $%{x:.3~r}, λ %{customdata:.3~f}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    single = here.iloc[0]
    traces.append(
        go.Scatter(
            x=[QUERIES * single["best_single_cost_usd"]], y=[100 * single["best_single_score"]], mode="markers",
            name="Best single model", legendgroup="best single model",
            marker={"color": look.ink, "symbol": "star", "size": 10},
            hovertemplate=f"%{{y:.1f}} % at {money(QUERIES * float(single['best_single_cost_usd']))}"
            "<extra>Best single model</extra>",
        )
    )  # fmt: skip
    return traces
