"""The curve of every router on each of the larger tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from carrot_core.curve import evenly
from carrot_core.evaluation import Setting
from carrot_core.evaluation.tables import small, task_labels
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import (
    THEMES,
    Theme,
    ThemeName,
    axis,
    each,
    layout_with_axes,
    line_styles,
    names_of,
    plotly_text,
    router_names,
    task_name,
)
from carrot_core.frontier import Frontier, lam_of_rate
from carrot_core.number_formats import DOLLAR_AXIS, LAM_HOVER, CostBasis, cost_basis, percent
from carrot_core.outcomes import Estimates
from carrot_core.text import visible

TASKS, POINTS = 12, 25
_COLUMNS = [
    "router", "task", "n_tasks", "n_prompts", "lam", "score", "cost_usd", "best_single_score", "best_single_cost_usd"
]  # fmt: skip


def task_curves(setting: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Score and cost of every router on the 12 largest tasks, at up to 25 λ of its own curve, the same on all tasks.

    Columns router, task, n_tasks (in all), n_prompts (of the task), lam, score, cost_usd (means per query),
    best_single_score, best_single_cost_usd (of the best single model on the task's prompts).
    """
    curves = {name: setting.frontier(table, setting.report_on) for name, table in routers.items()}
    return small((_of_router(setting, curve).assign(router=name) for name, curve in curves.items()), _COLUMNS)


def _of_router(setting: Setting, curve: Frontier) -> pd.DataFrame:
    labels = task_labels(setting, curve)
    counts = Counter(labels.tolist())
    largest = sorted(counts, key=lambda task: (-counts[task], task))[:TASKS]
    rates = evenly(curve.exchange_rate_per_usd, POINTS)
    rows, single = np.arange(curve.n_prompts), curve.models.index(setting.best_single)
    chosen = [curve.choices(rate) for rate in rates]
    score, cost = (np.array([table[rows, j] for j in chosen]) for table in (curve.outcomes.score, curve.paid_usd))
    frames = []
    for task in largest:
        here = labels == task
        frames.append(
            pd.DataFrame(
                {
                    "task": task,
                    "n_tasks": len(counts),
                    "n_prompts": int(here.sum()),
                    "lam": lam_of_rate(rates, setting.cost_unit_usd),
                    "score": score[:, here].mean(axis=1),
                    "cost_usd": cost[:, here].mean(axis=1),
                    "best_single_score": curve.outcomes.score[here, single].mean(),
                    "best_single_cost_usd": curve.outcomes.cost_usd[here, single].mean(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


_CHARTS_A_ROW = 3


def tasks_exhibit(table: pd.DataFrame) -> Exhibit:
    """Every router's curve on each of the larger tasks, one small chart a task.

    Parameters
    ----------
    table : `carrot_core.compare.task_curves.task_curves` of the routers to show.
    """
    tasks, total = names_of(table["task"]), int(table["n_tasks"].max())
    rest = f" The {len(tasks)} largest of {total} tasks are shown." if total > len(tasks) else ""
    best = table.loc[table.groupby("task", sort=False)["score"].idxmax()]
    best_of_each = "; ".join(
        f"{visible(row.task) or 'no task'} ({row.n_prompts:,} prompts): at best {percent(row.score, digits=0)} by "
        f"{visible(label(row.router))}"
        for row in each(best)
    )
    return Exhibit(
        name="tasks",
        title="Every task by itself",
        caption=f"Accuracy in per cent against dollars {cost_basis(table['cost_usd']).words} on each task's test "
        "prompts, axes of their own; a line is one router at up to 25 λ, the same λ on every task, and the star is "
        f"the best single model. Small tasks are noisy.{rest}",
        alt=f"Small charts of accuracy against cost for {len(tasks)} tasks. {best_of_each}.",
        table=table,
        draw=lambda theme: _tasks(table, tasks, theme),
    )


def legend_of(table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    """The legend of all panels, by itself."""
    look = THEMES[theme]
    traces = _traces(table.groupby("router", sort=False).head(1), look, cost_basis(table["cost_usd"]))
    figure = go.Figure([trace.update(x=[None], y=[None], showlegend=True) for trace in traces])
    hidden = {"visible": False}
    return figure.update_layout(
        # High enough for two names on a line, as on a narrow screen.
        layout_with_axes(
            look, 8 + 10 * len(traces), xaxis=hidden, yaxis=hidden, margin={"l": 0, "r": 0, "t": 0, "b": 0}
        ),
        legend={"orientation": "h", "y": 1, "yanchor": "top", "x": 0, "maxheight": 1},
    )


def task_figure(table: pd.DataFrame, task: str, theme: ThemeName) -> go.Figure:
    """One task by itself, for screens too narrow for a row of charts."""
    look, here = THEMES[theme], table[table["task"] == task]
    figure = go.Figure(_traces(here, look, cost_basis(table["cost_usd"]))).update_layout(
        layout_with_axes(
            look, 230, hovermode="closest", showlegend=False, margin={"l": 8, "r": 8, "t": 30, "b": 24},
            title={"text": _title(task, here), "font": {"size": 13}, "x": 0.5, "y": 0.97, "yanchor": "top"},
        )
    )  # fmt: skip
    figure.update_xaxes(**DOLLAR_AXIS, nticks=5)
    return figure.update_yaxes(nticks=5)


def _title(task: str, here: pd.DataFrame) -> str:
    return f"{task_name(task)} ({int(here['n_prompts'].iloc[0]):,})"


def _tasks(table: pd.DataFrame, tasks: list[str], theme: ThemeName) -> go.Figure:
    look, columns = THEMES[theme], min(_CHARTS_A_ROW, len(tasks))
    lines = -(-len(tasks) // columns)
    parts = [table[table["task"] == task] for task in tasks]
    figure = make_subplots(
        lines, columns, horizontal_spacing=0.06, vertical_spacing=min(0.3 / lines, 0.2),
        subplot_titles=[_title(task, here) for task, here in zip(tasks, parts, strict=True)],
    )  # fmt: skip
    for place, here in enumerate(parts):
        for trace in _traces(here, look, cost_basis(table["cost_usd"])):
            figure.add_trace(trace.update(showlegend=place == 0), row=place // columns + 1, col=place % columns + 1)
    figure.update_layout(layout_with_axes(look, 110 + 200 * lines, hovermode="closest"))
    figure.update_annotations(font={"size": 12, "color": look.ink})
    small = axis(look, nticks=5, automargin=True, tickfont={"size": 10})
    figure.update_xaxes(small, **DOLLAR_AXIS)
    figure.update_yaxes(small)
    return figure.update_layout(
        legend={"orientation": "h", "y": 1 + 46 / (200 * lines), "yanchor": "bottom", "x": 0}, margin={"t": 70}
    )


def _traces(here: pd.DataFrame, look: Theme, basis: CostBasis) -> list[go.Scatter]:
    """Every router on one task, and the best single model."""
    routers = names_of(here["router"])
    styles, traces = line_styles(routers), []
    for router, name in zip(routers, router_names(routers), strict=True):
        rows, style = here[here["router"] == router], styles[router]
        color = look.curves[style.color]
        traces.append(
            go.Scatter(
                x=basis.calls * rows["cost_usd"], y=100 * rows["score"], mode="lines+markers", name=name,
                legendgroup=plotly_text(router),
                customdata=rows["lam"], line={"color": color, "dash": style.dash, "width": 1.75},
                marker={"color": color, "symbol": style.symbol, "size": 4 if len(rows) > 1 else 9},
                hovertemplate=f"{basis.hover}, λ %{{customdata:{LAM_HOVER}}}<extra>%{{fullData.name}}</extra>",
            )
        )  # fmt: skip
    single = here.iloc[0]
    traces.append(
        go.Scatter(
            x=[basis.calls * single["best_single_cost_usd"]], y=[100 * single["best_single_score"]], mode="markers",
            name="Best single model", legendgroup="best single model",
            marker={"color": look.ink, "symbol": "star", "size": 10},
            hovertemplate=f"%{{y:.1f}} % at {basis.text(float(single['best_single_cost_usd']))}"
            "<extra>Best single model</extra>",
        )
    )  # fmt: skip
    return traces
