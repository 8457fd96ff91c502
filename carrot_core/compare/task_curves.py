"""Routers by task: their curve on each of the larger tasks, and the table of the paper's spider (plot 1).

`spider` has the share of a reference model's score that a router reaches, task by task, at a small share of its cost.
The authors choose λ for every source on the test prompts themselves. A deployed router has one λ, chosen beforehand:
here on validation, to meet the budget over all prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from carrot_core.bootstrap import LEAST_PROMPTS, Interval, bootstrap_counts, weighted_means, weights_on
from carrot_core.curve import evenly, small
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.evaluation.tables import task_labels
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
from carrot_core.frontier import FloatArray, Frontier, lam_of_rate
from carrot_core.number_formats import DOLLAR_AXIS, LAM_HOVER, CostBasis, cost_basis, percent
from carrot_core.operating_point import best_within_budget
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


def tasks_exhibit(table: pd.DataFrame, basis: CostBasis | None = None) -> Exhibit:
    """Every router's curve on each of the larger tasks, one small chart a task.

    Parameters
    ----------
    table : `carrot_core.compare.task_curves.task_curves` of the routers to show.
    basis : of the costs; by default that of their size.
    """
    basis = basis or cost_basis(table["cost_usd"])
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
        caption=f"Accuracy in per cent against dollars {basis.words} on each task's test "
        "prompts, axes of their own; a line is one router at up to 25 λ, the same λ on every task, and the star is "
        f"the best single model. Small tasks are noisy.{rest}",
        alt=f"Small charts of accuracy against cost for {len(tasks)} tasks. {best_of_each}.",
        table=table,
        draw=lambda theme: _tasks(table, tasks, theme, basis),
    )


def legend_of(table: pd.DataFrame, theme: ThemeName, basis: CostBasis | None = None) -> go.Figure:
    """The legend of all panels, by itself."""
    look = THEMES[theme]
    traces = _traces(table.groupby("router", sort=False).head(1), look, basis or cost_basis(table["cost_usd"]))
    figure = go.Figure([trace.update(x=[None], y=[None], showlegend=True) for trace in traces])
    hidden = {"visible": False}
    return figure.update_layout(
        # High enough for two names on a line, as on a narrow screen.
        layout_with_axes(
            look, 8 + 10 * len(traces), xaxis=hidden, yaxis=hidden, margin={"l": 0, "r": 0, "t": 0, "b": 0}
        ),
        legend={"orientation": "h", "y": 1, "yanchor": "top", "x": 0, "maxheight": 1},
    )


def task_figure(table: pd.DataFrame, task: str, theme: ThemeName, basis: CostBasis | None = None) -> go.Figure:
    """One task by itself, for screens too narrow for a row of charts."""
    look, here = THEMES[theme], table[table["task"] == task]
    figure = go.Figure(_traces(here, look, basis or cost_basis(table["cost_usd"]))).update_layout(
        layout_with_axes(
            look, 230, hovermode="closest", showlegend=False, margin={"l": 8, "r": 8, "t": 30, "b": 24},
            title={"text": _title(task, here), "font": {"size": 13}, "x": 0.5, "y": 0.97, "yanchor": "top"},
        )
    )  # fmt: skip
    figure.update_xaxes(**DOLLAR_AXIS, nticks=5)
    return figure.update_yaxes(nticks=5)


def _title(task: str, here: pd.DataFrame) -> str:
    return f"{task_name(task)} ({int(here['n_prompts'].iloc[0]):,})"


def _tasks(table: pd.DataFrame, tasks: list[str], theme: ThemeName, basis: CostBasis) -> go.Figure:
    look, columns = THEMES[theme], min(_CHARTS_A_ROW, len(tasks))
    lines = -(-len(tasks) // columns)
    parts = [table[table["task"] == task] for task in tasks]
    figure = make_subplots(
        lines, columns, horizontal_spacing=0.06, vertical_spacing=min(0.3 / lines, 0.2),
        subplot_titles=[_title(task, here) for task, here in zip(tasks, parts, strict=True)],
    )  # fmt: skip
    for place, here in enumerate(parts):
        for trace in _traces(here, look, basis):
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


BUDGET_SHARES = (0.1, 0.2, 0.3)
AUTHORS, HONEST = "authors", "honest"
PAPER_REFERENCE = "openai-gpt-4o"
_FIGURES = ("score", "score_share", "cost_usd", "cost_share", "reference_score", "reference_cost_usd", "lam")


def spider(setting: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Score by task within shares of the reference model's mean cost, λ chosen in two ways.

    ``way`` "authors": for each task the best score on the prompts reported on at a cost within the share of the
    reference's cost on them. It has no interval, since λ was chosen on the same prompts. "honest": the one λ that
    scores best on validation within the share of the reference's cost over all validation prompts; a task may then cost
    more or less than its share. Both are exact, with no grid over λ.

    Returns
    -------
    Columns router, task ("" where prompts have none), way, budget_share (of `BUDGET_SHARES`), reference (a
    model: the paper's where it is in the pool, else the best single model on validation), n_prompts,
    exchange_rate_per_usd, lam, score, score_low, score_high, cost_usd, reference_score, reference_cost_usd,
    score_share with its interval (score ÷ reference_score, paired) and cost_share. If no point is within the share, the
    router's figures are NaN; so are intervals of tasks with fewer than `LEAST_PROMPTS` prompts.
    """
    reference = PAPER_REFERENCE if PAPER_REFERENCE in setting.models else setting.best_single
    column = setting.models.index(reference)
    curves = {name: setting.frontier(table, setting.report_on) for name, table in routers.items()}
    rates = {name: _honest_rates(setting.frontier(table, "validation"), column) for name, table in routers.items()}
    rows: list[dict[str, Any]] = []
    labels = task_labels(setting, next(iter(curves.values()))) if curves else np.empty(0)
    for task in sorted(set(labels)):  # the outer loop: all routers share the draws of a task
        for name, curve in curves.items():
            keys = {"router": name, "task": task, "reference": reference}
            here = curve.rows(np.asarray(labels == task))
            rows += [keys | row for row in _on_task(here, column, rates[name], setting.cost_unit_usd)]
    if not rows:
        raise CarrotError(f"No {setting.report_on} prompt has an outcome of all {len(setting.models)} models.")
    table = pd.DataFrame(rows)
    place = {name: k for k, name in enumerate(routers)}
    table = table.sort_values("router", key=lambda names: names.map(place), kind="stable", ignore_index=True)
    return table.astype({name: np.float32 for name in table.columns if name.startswith(_FIGURES)})


def _honest_rates(validation: Frontier, reference: int) -> list[float | None]:
    """For each budget the rate that scores best within it on validation; None if no point is within it."""
    cost_usd = float(validation.outcomes.cost_usd[:, reference].mean())
    return [best_within_budget(validation, share * cost_usd) for share in BUDGET_SHARES]


def _on_task(here: Frontier, column: int, honest: list[float | None], cost_unit_usd: float) -> list[dict[str, Any]]:
    """Both ways at every budget on the prompts of one task."""
    reference = here.outcomes.score[:, column]
    cost_usd = float(here.outcomes.cost_usd[:, column].mean())
    facts = {
        "n_prompts": here.n_prompts,
        "reference_score": float(reference.mean()),
        "reference_cost_usd": cost_usd,
    }
    authors = [best_within_budget(here, share * cost_usd) for share in BUDGET_SHARES]
    intervals = _intervals(here, reference, honest)
    rows = []
    for share, theirs, ours, interval in zip(BUDGET_SHARES, authors, honest, intervals, strict=True):
        for way, rate in ((AUTHORS, theirs), (HONEST, ours)):
            row = {"way": way, "budget_share": share, **facts, **_at(here, rate, cost_unit_usd), **_no_interval()}
            row |= interval if way == HONEST else {}
            rows.append(row | _shares(row))
    return rows


def _at(here: Frontier, rate: float | None, cost_unit_usd: float) -> dict[str, float]:
    """Figures of one point of a curve; NaN if there is none."""
    if rate is None:
        return dict.fromkeys(("exchange_rate_per_usd", "lam", "score", "cost_usd"), np.nan)
    point, lam = here.at(rate), float(lam_of_rate(rate, cost_unit_usd))
    score, cost_usd = float(here.score[point]), float(here.cost_usd[point])
    return {"exchange_rate_per_usd": rate, "lam": lam, "score": score, "cost_usd": cost_usd}


def _shares(row: Mapping[str, Any]) -> dict[str, float]:
    of = {"score_share": ("score", "reference_score"), "cost_share": ("cost_usd", "reference_cost_usd")}
    return {name: row[part] / row[whole] if row[whole] > 0 else np.nan for name, (part, whole) in of.items()}


def _no_interval() -> dict[str, float]:
    return {f"{name}_{end}": np.nan for name in ("score", "score_share") for end in ("low", "high")}


def _intervals(here: Frontier, reference: FloatArray, rates: list[float | None]) -> list[dict[str, float]]:
    """95 % intervals over prompts of the score at each rate, and of its ratio to the reference's (paired)."""
    if here.n_prompts < LEAST_PROMPTS:
        return [{} for _ in rates]
    rows = np.arange(here.n_prompts)
    chosen = {rate: here.outcomes.score[rows, here.choices(rate)] for rate in rates if rate is not None}
    weights = weights_on(here, bootstrap_counts(here.n_prompts))
    replicates = weighted_means(np.column_stack([reference, *chosen.values()]), weights)
    by_rate: dict[float | None, dict[str, float]] = {None: {}}
    for place, (rate, score) in enumerate(chosen.items(), start=1):
        with np.errstate(divide="ignore", invalid="ignore"):
            share = Interval.of(1.0, replicates[:, place] / replicates[:, 0])
        mean = Interval.of(float(score.mean()), replicates[:, place])
        by_rate[rate] = {
            "score_low": mean.low,
            "score_high": mean.high,
            "score_share_low": share.low,
            "score_share_high": share.high,
        }
    return [by_rate[rate] for rate in rates]
