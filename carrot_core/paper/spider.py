"""Plot 1 of CARROT (arXiv 2502.03261): the share of a model's score at part of its cost, task by task."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from functools import partial
from textwrap import wrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from carrot_core.bootstrap import LEAST_PROMPTS
from carrot_core.compare.task_curves import AUTHORS, HONEST
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import THEMES, Theme, ThemeName, layout, plotly_text, shortened
from carrot_core.number_formats import percent
from carrot_core.outcomes import positions
from carrot_core.paper.curves import NotDrawnError, analysis_of, first_carrot
from carrot_core.results import Results
from carrot_core.text import short_names, visible

MOST_TASKS, LEAST_TASKS = 16, 3  # most axes that are readable, and fewest of a spider
TITLES = {AUTHORS: "λ chosen per task on test (authors)", HONEST: "One λ chosen on validation (honest)"}
_STYLES = (("dot", "triangle-up"), ("dash", "square"), ("solid", "circle"))  # by budget, smallest first


def spider(results: Results, *, router: str | None = None) -> Exhibit:
    """Plot 1: both ways of choosing λ side by side, at 10, 20 and 30 % of the reference's cost.

    Parameters
    ----------
    results : of the benchmark.
    router : fitted router or baseline; CARROT-KNN by default.

    Raises
    ------
    NotFoundError
        There is no such router.
    NotDrawnError
        No prompt has a task, or a snapshot lacks this table.
    """
    name = router or first_carrot(results.fitted)
    positions([name], [*results.fitted, *results.baselines], "router")
    table = analysis_of(results, "spider", (name,)).drop(columns="router")
    tasks = [task for task in dict.fromkeys(table["task"]) if task]
    if not tasks:
        raise NotDrawnError("The prompts of this benchmark have no task labels, so there are no tasks to tell apart.")
    spokes = most_prompts(table)
    enough = len(spokes) >= LEAST_TASKS
    reference = visible(table["reference"].iloc[0])
    return Exhibit(
        "spider",
        f"{label(name)} at part of the cost of {reference}, by task",
        _caption(table, tasks, spokes, reference),
        _alt(table, label(name), reference),
        table,
        partial(spider_figure, table, reference=short_names(results.models)[table["reference"].iloc[0]])
        if enough
        else None,
    )


def most_prompts(table: pd.DataFrame, most: int = MOST_TASKS) -> list[str]:
    """At most this many tasks, those with the most prompts, by name; without the prompts that have no task."""
    sizes = table[table["task"] != ""].groupby("task")["n_prompts"].first()
    return sorted(sorted(sizes.index, key=lambda task: (-sizes[task], task))[:most])


def kept_share(table: pd.DataFrame, way: str, budget_share: float) -> tuple[float, float]:
    """Over all prompts: the share of the reference's score that is reached, and the share of its cost."""
    rows = table[(table["way"] == way) & np.isclose(table["budget_share"], budget_share)]
    n = rows["n_prompts"].to_numpy(np.float64)
    sums = {name: float((rows[name] * n).sum(skipna=False)) for name in
            ("score", "reference_score", "cost_usd", "reference_cost_usd")}  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.float64(sums["score"]) / sums["reference_score"]
        cost = np.float64(sums["cost_usd"]) / sums["reference_cost_usd"]
    return float(score), float(cost)


def spider_figure(
    table: pd.DataFrame, theme: ThemeName, ways: Sequence[str] = tuple(TITLES), *, reference: str
) -> go.Figure:
    """One radar chart for each way of choosing λ, with the reference and a line for each budget; scores in percent.

    Parameters
    ----------
    table : from `carrot_core.compare.task_curves.spider`, of one router; the tasks of `most_prompts` are drawn.
    reference : display name of the reference model.
    """
    look, table = THEMES[theme], table[table["task"].isin(most_prompts(table))]
    figure = make_subplots(cols=len(ways), specs=[[{"type": "polar"}] * len(ways)], horizontal_spacing=0.2)
    for place, way in enumerate(ways):
        for trace in _traces(table[table["way"] == way], look, plotly_text(reference)):
            figure.add_trace(trace.update(showlegend=place == 0), row=1, col=place + 1)
        where = figure.layout["polar" if place == 0 else f"polar{place + 1}"].domain.x
        figure.add_annotation(
            text=TITLES[way], x=sum(where) / 2, y=1, xref="paper", yref="paper", yshift=52, yanchor="bottom",
            xanchor="center", showarrow=False, font={"color": look.ink, "size": 13},
        )  # fmt: skip
    return _laid_out(figure, table, look)


def _traces(table: pd.DataFrame, look: Theme, reference: str) -> list[go.Scatterpolar]:
    """The reference, then the budgets, each a closed line over the tasks."""
    tasks = list(dict.fromkeys(table["task"]))
    axis = pd.DataFrame({"label": axis_labels(tasks), "name": [plotly_text(visible(task)) for task in tasks]})
    first = table.drop_duplicates("task").set_index("task").loc[tasks]
    lines = [_line(axis, first["reference_score"], reference, look.hull, "solid", None)]
    shares = sorted(set(table["budget_share"]))
    for share, (dash, symbol), color in zip(shares, _STYLES, look.curves[2::-1], strict=True):
        score = table[table["budget_share"] == share].set_index("task").loc[tasks, "score"]
        lines.append(_line(axis, score, f"{percent(share, digits=0)} of its cost", color, dash, symbol))
    return lines


def _line(
    axis: pd.DataFrame, score: pd.Series[float], name: str, color: str, dash: str, symbol: str | None
) -> go.Scatterpolar:
    around = [*range(len(axis)), 0]
    return go.Scatterpolar(
        theta=axis["label"].iloc[around],
        r=100 * score.to_numpy(np.float64)[around],
        text=axis["name"].iloc[around],
        mode="lines" if symbol is None else "lines+markers",
        line={"color": color, "dash": dash, "width": 3 if symbol is None else 2},
        marker={"color": color, "symbol": symbol, "size": 6},
        name=name,
        legendgroup=name,
        hovertemplate="<b>%{fullData.name}</b><br>%{text}: %{r:.1f} %<extra></extra>",
    )


def axis_labels(tasks: Sequence[str]) -> list[str]:
    """Names of tasks short enough for an axis, without their common prefix, and all different."""
    common = os.path.commonprefix(list(tasks)) if len(tasks) > 1 else ""  # noqa: RUF071  by letter
    cut = max(common.rfind(mark) for mark in "_-/:. ") + 1
    whole = [visible(task[cut:].replace("_", " ")) or visible(task) for task in tasks]
    short = ["<br>".join(map(plotly_text, _lines(name))) for name in whole]
    if len(set(short)) == len(short):
        return short
    return [f"{place}. {name}" for place, name in enumerate(short, start=1)]


def _lines(name: str) -> list[str]:
    """A name in at most three short lines: its beginning and, if that is not all of it, its end."""
    lines = [shortened(line, 16) for line in wrap(name, 13, break_long_words=False)]
    return lines if len(lines) <= 3 else [lines[0], f"…{lines[-2]}", lines[-1]]


def _laid_out(figure: go.Figure, table: pd.DataFrame, look: Theme) -> go.Figure:
    low, high = score_range(table)
    step, between = 5 if high - low <= 20 else 10 if high - low <= 40 else 20, 90 - 180 / table["task"].nunique()
    figure.update_polars(
        bgcolor="rgba(0,0,0,0)",
        radialaxis={
            "range": [low, high],
            "dtick": step,
            "tick0": low,
            "ticksuffix": " %",
            "angle": between,  # the first two tasks
            "tickangle": between,  # upright
            "gridcolor": look.grid,
            "linecolor": look.grid,
            "tickfont": {"size": 10, "color": look.muted},
        },
        angularaxis={
            "type": "category",
            "gridcolor": look.grid,
            "linecolor": look.hull,
            "direction": "clockwise",
            "rotation": 90,
            "tickfont": {"size": 11, "color": look.ink},
        },
    )
    return figure.update_layout(
        layout(
            look,
            490,
            legend={"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0.5, "xanchor": "center"},
            margin={"l": 84, "r": 84, "t": 96, "b": 24},
        )
    )


def score_range(table: pd.DataFrame) -> tuple[float, float]:
    """Percent at the centre and at the rim: multiples of ten around all drawn values, the same for both ways."""
    scores = 100 * np.concatenate([table["score"].dropna(), table["reference_score"]])
    low, high = 10 * np.floor(scores.min() / 10), 10 * np.ceil(scores.max() / 10)
    return float(max(low - 10 * (low == scores.min()), 0)), float(min(max(high, low + 10), 100))


def _caption(table: pd.DataFrame, tasks: Sequence[str], spokes: Sequence[str], reference: str) -> str:
    shares = [f"{100 * share:.0f}" for share in sorted(set(table["budget_share"]))]
    parts = [
        f"Score that the router reaches on each task at {', '.join(shares[:-1])} and {shares[-1]} % of the mean cost "
        f"of {reference}, beside {reference} alone.",
        "The authors' way takes for each task the λ that does best on the very test prompts it reports, so it "
        "shows what could have been had. The honest way chooses one λ on validation to meet the budget over all "
        "prompts; a task may cost more or less than its share.",
    ]
    if len(spokes) < LEAST_TASKS:
        parts.append(
            f"A spider needs {LEAST_TASKS} tasks; there {'is 1' if len(tasks) == 1 else 'are 2'} here, "
            "so this is a table."
        )
    else:
        low, _ = score_range(table[table["task"].isin(spokes)])
        parts.append(f"The centre is {low:.0f} %.")
    if len(spokes) < len(tasks):
        parts.append(f"The {len(spokes)} tasks with the most prompts are drawn; the data have all {len(tasks)}.")
    return " ".join([*parts, *_margin(table), *_unreached(table)])


def _margin(table: pd.DataFrame) -> list[str]:
    """Sentences on the width of the honest way's intervals."""
    half = 50 * (table["score_high"] - table["score_low"]).dropna()
    few = int(table.loc[table["n_prompts"] < LEAST_PROMPTS, "task"].nunique())
    sentences = []
    if not half.empty:
        between = " to ".join(dict.fromkeys(f"±{end:.1f}" for end in (half.min(), half.max())))
        sentences.append(
            f"The honest way's 95 % intervals over the prompts of a task, in the data, reach {between} points; the "
            "authors' way has none, since it chose on the same prompts."
        )
    if few:
        sentences.append(
            f"{few} task{'s have' if few > 1 else ' has'} fewer than {LEAST_PROMPTS} prompts and no interval."
        )
    return sentences


def _unreached(table: pd.DataFrame) -> list[str]:
    """Sentences on budgets below all of the router's points, where nothing is drawn."""
    sentences = []
    for way, where in ((AUTHORS, "on some tasks"), (HONEST, "on validation")):
        rows = table[(table["way"] == way) & table["score"].isna()]
        shares = [percent(share, digits=0) for share in sorted(set(rows["budget_share"]))]
        if shares:
            sentences.append(
                f"No λ costs as little as {' or '.join(shares)} of the reference {where}: nothing is drawn there."
            )
    return sentences


def _alt(table: pd.DataFrame, router: str, reference: str) -> str:
    clauses = []
    for share in sorted(set(table["budget_share"])):
        (theirs, _), (ours, cost) = (kept_share(table, way, share) for way in (AUTHORS, HONEST))
        if np.isnan(ours):
            clauses.append(f"at {percent(share, digits=0)} no λ chosen on validation is within the budget")
        else:
            best = "" if np.isnan(theirs) else f", {percent(theirs)} with λ chosen per task on test"
            clauses.append(
                f"at {percent(share, digits=0)} it keeps {percent(ours)} of the score for "
                f"{percent(cost, digits=0)} of the cost with one λ chosen on validation{best}"
            )
    n = table["task"].nunique()
    return (
        f"{router} at part of the cost of {reference}, on {n} task{'s' * (n != 1)}. "
        f"Over all prompts, {'; '.join(clauses)}."
    )
