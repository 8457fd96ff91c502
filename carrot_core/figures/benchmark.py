"""A benchmark before any routing: coverage, distributions of scores and output tokens, and groups of its models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from carrot_core.benchmarks.model_facts_arms import NOTHING, ModelFacts
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import NOT_KNOWN, Grouping
from carrot_core.figures.theme import (
    GROUP_MARKERS,
    THEMES,
    Theme,
    ThemeName,
    axis,
    layout,
    model_names,
    plotly_text,
    shortened,
)
from carrot_core.number_formats import percent
from carrot_core.text import visible

MOST_TASKS = 40  # rows of the coverage chart
_ROW = 24  # pixels
# Levels differ in lightness and in pattern, lowest level first.
_PATTERNS = ("", "/", "\\", "x", ".", "")


def _task_label(task: str) -> str:
    return plotly_text(visible(task) or "(no task)")


def _labels(models: list[str]) -> list[str]:
    return model_names(models, 28)


def _layout(look: Theme, rows: int) -> dict[str, Any]:
    return layout(look, 110 + _ROW * rows, margin={"l": 8, "r": 28, "t": 32, "b": 8})


def _axis(look: Theme, title: str = "", **more: Any) -> dict[str, Any]:
    return axis(look, title, linecolor=look.grid, automargin=True, **more)


def least_covered(coverage: pd.DataFrame, most: int = MOST_TASKS) -> list[str]:
    """The tasks with the most missing cells, worst first, then by name."""
    cells = coverage.assign(missing=coverage["n_prompts"] - coverage["n_observed"]).groupby("task")["missing"].sum()
    order = sorted(cells.index, key=lambda task: (-cells[task], task))
    return [str(task) for task in order[:most]]


def coverage_figure(coverage: pd.DataFrame, theme: ThemeName = "light") -> go.Figure:
    """Heat map of the share of prompts each model was observed on, models across and tasks down.

    Parameters
    ----------
    coverage : columns ``model``, ``task``, ``n_prompts``, ``n_observed``, ``share``
        (`carrot_core.store.browse.coverage`). The `MOST_TASKS` least covered tasks are drawn.
    """
    look = THEMES[theme]
    tasks = least_covered(coverage)
    share = coverage.pivot(index="task", columns="model", values="share").loc[tasks]
    counts = coverage.pivot(index="task", columns="model", values="n_observed").loc[tasks]
    of = dict(zip(coverage["task"], coverage["n_prompts"], strict=True))
    models = [str(model) for model in share.columns]
    figure = go.Figure(
        go.Heatmap(
            z=100 * share.to_numpy(),
            x=_labels(models),
            y=list(range(len(tasks))),  # by position: two labels may be cut to the same text
            customdata=[
                [f"{_task_label(task)}<br>{int(number):,} of {of[task]:,}" for number in row]
                for task, row in zip(tasks, counts.to_numpy(), strict=True)
            ],
            # Missing cells stand out from the ground, even one in a thousand.
            colorscale=[[0, look.curves[0]], [1 - 1e-6, _faint(look)], [1, look.grid]],
            zmin=0,
            zmax=100,
            xgap=1,
            ygap=1,
            showscale=False,  # it would take half of a phone's width; `coverage_caption` explains the colours
            hovertemplate="<b>%{x}</b><br>%{customdata} prompts observed (%{z:.1f} %)<extra></extra>",
        )
    )
    figure.update_layout(
        _layout(look, len(tasks) + 6),
        xaxis=_axis(look, type="category", tickangle=-45, showgrid=False, dtick=1),
        yaxis=_axis(
            look,
            autorange="reversed",
            showgrid=False,
            tickvals=list(range(len(tasks))),
            ticktext=[_task_label(shortened(task, 24)) for task in tasks],
        ),
    )
    return figure


def _faint(look: Theme) -> str:
    color: str = sample_colorscale([look.grid, look.curves[0]], [0.3])[0]
    return color


def coverage_caption(coverage: pd.DataFrame) -> str:
    """How to read the heat map; plain text."""
    n_tasks = coverage["task"].nunique()
    selection = f" The {MOST_TASKS} least covered of {n_tasks} tasks are drawn." if n_tasks > MOST_TASKS else ""
    return (
        "Faintest: every prompt of the task was observed; the stronger a cell, the more are missing. "
        f"The tasks with the most missing cells come first.{selection}"
    )


def coverage_text(coverage: pd.DataFrame) -> str:
    """The heat map in words."""
    by_model = coverage.groupby("model")[["n_observed", "n_prompts"]].sum()
    share = by_model["n_observed"] / by_model["n_prompts"]
    total = by_model["n_observed"].sum() / by_model["n_prompts"].sum()
    models, tasks = (
        f"{n} {noun}{'s' * (n != 1)}" for n, noun in ((share.size, "model"), (coverage["task"].nunique(), "task"))
    )
    return (
        f"Share of prompts with an outcome, {models} by {tasks}: "
        f"{percent(total)} of all cells. Least observed: {visible(str(share.idxmin()))}, {percent(share.min())}; "
        f"most: {visible(str(share.idxmax()))}, {percent(share.max())}."
    )


def score_figure(levels: pd.DataFrame, names: tuple[str, ...], theme: ThemeName = "light") -> go.Figure:
    """One bar for each model, divided by the share of its scores at each level; best model on top.

    Parameters
    ----------
    levels : columns ``model``, ``level``, ``n``, ``share`` (`carrot_core.store.browse.score_levels`).
    names : name of each level, lowest first.
    """
    look = THEMES[theme]
    models = _by_mean_level(levels)
    table = levels.pivot(index="model", columns="level", values="share").reindex(models).fillna(0.0)
    counts = levels.pivot(index="model", columns="level", values="n").reindex(models).fillna(0).astype(int)
    figure = go.Figure()
    for level in sorted(map(int, table.columns), reverse=True):
        # A full score stands out from the ground and starts at the axis, where lengths are easiest to compare.
        color = sample_colorscale([look.grid, look.curves[1]], [level / (len(names) - 1)])[0]
        figure.add_trace(
            go.Bar(
                x=100 * table[level],
                y=_labels(models),
                customdata=counts[level],
                orientation="h",
                name=names[level],
                marker={
                    "color": color,
                    "line": {"color": look.ground, "width": 1},
                    "pattern": {
                        "shape": _PATTERNS[level],
                        "bgcolor": color,
                        "fgcolor": look.muted,
                        "size": 7,
                        "solidity": 0.1,
                    },
                },
                hovertemplate=f"<b>%{{y}}</b><br>score {names[level]}: %{{x:.1f}} % (%{{customdata:,}})<extra></extra>",
            )
        )
    figure.update_layout(
        _layout(look, len(models)),
        barmode="stack",
        bargap=0.25,
        xaxis=_axis(look, title="Share of outcomes", range=[0, 100], dtick=20, ticksuffix=" %"),
        yaxis=_axis(look, type="category", autorange="reversed", showgrid=False, dtick=1),
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "traceorder": "normal", "title": {"text": "Score "}},
    )
    return figure


def _by_mean_level(levels: pd.DataFrame) -> list[str]:
    mean = (levels["level"] * levels["share"]).groupby(levels["model"]).sum()
    return [str(model) for model in sorted(mean.index, key=lambda model: (-mean[model], model))]


def score_text(levels: pd.DataFrame, names: tuple[str, ...]) -> str:
    """The bars in words: full and zero scores of the best and the worst model."""
    parts = []
    for model in dict.fromkeys((_by_mean_level(levels)[0], _by_mean_level(levels)[-1])):
        shares = levels[levels["model"] == model].set_index("level")["share"]
        low, high = shares.get(0, 0.0), shares.get(len(names) - 1, 0.0)
        parts.append(f"{visible(model)}: {percent(high, digits=0)} full score, {percent(low, digits=0)} zero")
    return f"How the scores of {levels['model'].nunique()} models are spread. " + "; ".join(parts) + "."


def token_figure(spread: pd.DataFrame, theme: ThemeName = "light") -> go.Figure:
    """One box for each model: output tokens at the 5th, 25th, 50th, 75th and 95th percentile; shortest on top.

    The axis is logarithmic if no model's 5th percentile is 0.

    Parameters
    ----------
    spread : columns ``model``, ``p05`` to ``p95`` (`carrot_core.store.browse.token_spread`).
    """
    look = THEMES[theme]
    log = bool(spread["p05"].min() > 0)
    figure = go.Figure(
        go.Box(
            y=_labels([str(model) for model in spread["model"]]),
            lowerfence=spread["p05"],
            q1=spread["p25"],
            median=spread["p50"],
            q3=spread["p75"],
            upperfence=spread["p95"],
            orientation="h",
            line={"color": look.curves[1], "width": 1.5},
            fillcolor="rgba(0,0,0,0)",
            hoverinfo="x+y",
            showlegend=False,
        )
    )
    figure.update_layout(
        _layout(look, len(spread)),
        xaxis=_axis(
            look,
            title="Output tokens a call",
            **(_log_ticks(float(spread["p95"].max())) if log else {}),
        ),
        yaxis=_axis(look, type="category", autorange="reversed", showgrid=False, dtick=1),
    )
    return figure


def _log_ticks(largest: float) -> dict[str, object]:
    """Whole numbers at 1, 2 and 5 times the powers of ten: Plotly's own are bare digits."""
    ticks = [step * 10**power for power in range(len(f"{largest:.0f}") + 1) for step in (1, 2, 5)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,}" for tick in ticks]}


def token_text(spread: pd.DataFrame) -> str:
    """The boxes in words."""
    least, most = spread.iloc[int(spread["p50"].argmin())], spread.iloc[int(spread["p50"].argmax())]
    return (
        f"Output tokens of {len(spread)} models. Lowest median: {visible(least['model'])}, {least['p50']:,.0f} "
        f"(5 % to 95 %: {least['p05']:,.0f} to {least['p95']:,.0f}); highest: {visible(most['model'])}, "
        f"{most['p50']:,.0f} ({most['p05']:,.0f} to {most['p95']:,.0f})."
    )


def coverage_exhibit(coverage: pd.DataFrame) -> Exhibit:
    """The heat map of `coverage_figure` with its words and data."""
    return Exhibit(
        "coverage",
        "Which cells are missing",
        coverage_caption(coverage),
        coverage_text(coverage),
        coverage,
        lambda theme: coverage_figure(coverage, theme),
    )


def score_exhibit(levels: pd.DataFrame, names: tuple[str, ...]) -> Exhibit:
    """The bars of `score_figure` with their words and data."""
    return Exhibit(
        "scores",
        "How scores are spread",
        "One bar a model, divided by the share of its scores at each level; the best model is on top.",
        score_text(levels, names),
        levels.assign(level=levels["level"].map(lambda level: names[level])),
        lambda theme: score_figure(levels, names, theme),
    )


def token_exhibit(spread: pd.DataFrame) -> Exhibit:
    """The boxes of `token_figure` with their words and data."""
    return Exhibit(
        "output-tokens",
        "How output tokens are spread",
        "Box: the middle half of the calls, with the median; whiskers: from the 5th to the 95th percentile.",
        token_text(spread),
        spread,
        lambda theme: token_figure(spread, theme),
    )


def model_groupings(models: Sequence[str], facts: Mapping[str, ModelFacts]) -> dict[str, Grouping]:
    """Groupings of models by each fact that tells some of them apart, by their titles; the largest groups first."""
    known = {model: facts.get(model, NOTHING) for model in models}
    weights = {True: "open", False: "closed", None: ""}
    period = _quarter if _tells_quarters(known.values()) else _year
    of = {
        "Provider": {model: fact.provider for model, fact in known.items()},
        "Open weights": {model: weights[fact.open_weights] for model, fact in known.items()},
        "Release": {model: period(fact.release_date) for model, fact in known.items()},
        "Effort": {model: fact.effort for model, fact in known.items()},
    }
    return {title: _grouping(title, groups) for title, groups in of.items() if len(set(groups.values())) > 1}


def _grouping(title: str, group_of: Mapping[str, str]) -> Grouping:
    """Models by their group; those without one, and the smallest of too many groups, come last together."""
    in_order, groups = title == "Release", dict[str, list[str]]()
    for model, group in group_of.items():
        groups.setdefault(visible(group), []).append(model)
    unknown = groups.pop("", [])
    names = sorted(groups) if in_order else sorted(groups, key=lambda name: (-len(groups[name]), name.casefold()))
    most = len(names) if in_order or len(names) <= len(GROUP_MARKERS) else len(GROUP_MARKERS) - 1
    entries = [(name, tuple(groups[name])) for name in names[:most]]
    if rest := names[most:]:
        entries.append((f"{len(rest)} other {title.lower()}s", tuple(model for name in rest for model in groups[name])))
    if unknown:
        entries.append((NOT_KNOWN, tuple(unknown)))
    return Grouping(title.lower(), tuple(entries), in_order)


def _tells_quarters(facts: Iterable[ModelFacts]) -> bool:
    """Whether all known dates of release have a month, within so few quarters that each can be a group."""
    dates = {fact.release_date for fact in facts} - {""}
    return all(len(date) > 4 for date in dates) and len(set(map(_quarter, dates))) <= len(GROUP_MARKERS)


def _quarter(date: str) -> str:
    return date and f"{date[:4]} Q{(int(date[5:7]) + 2) // 3}"


def _year(date: str) -> str:
    return date[:4]
