"""Studies that fit routers anew: with fewer training prompts, and on tasks they have never seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from carrot_core.compare.task_curves import TASKS
from carrot_core.curve import small
from carrot_core.evaluation import MEAN, Setting
from carrot_core.evaluation.learning import learning_curve, leave_one_task_out
from carrot_core.evaluation.quality import POOLED
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import (
    HUNDRED,
    THEMES,
    ThemeName,
    each,
    layout_with_axes,
    line_styles,
    metric_name,
    task_name,
    translucent,
)
from carrot_core.metrics import HEADLINE, METRICS
from carrot_core.text import visible

ROUTER = "carrot-knn"  # the published router, and the quickest to fit
Settings = Mapping[int, Setting]
Progress = Callable[[int, int], None]
_LEARNING_METRICS = (HEADLINE, "aiq", "audc", "routing_accuracy", "peak", "qnc", "gap_oracle", "arena")
_QUALITY = ("r2", "brier")
_TRANSFER_METRICS = (HEADLINE, "aiq", "routing_accuracy")
_KEYS = ["size", "seed", "metric"]


@dataclass(frozen=True)
class Study:
    """One table that is computed by fitting.

    Attributes
    ----------
    name : name in snapshots, ``analysis-<name>.parquet``.
    rounds : most rounds of cross-fitting that it uses, since each costs many fits.
    make : function from the protocol by seed, a router and a callback of (fits done, fits in all) to the frame.
    """

    name: str
    rounds: int
    make: Callable[[Settings, str, Progress | None], pd.DataFrame]


def learning(settings: Settings, router: str = ROUTER, progress: Progress | None = None) -> pd.DataFrame:
    """A router fitted on 100, 200, 400, … and all training prompts, measured on the same test prompts.

    Columns router, size (training prompts), seed (a number as text, or "mean"), metric, value, low, high (95 %
    interval over prompts), lost, lost_low, lost_high (the value minus that at all training prompts, paired). Metrics
    are of `carrot_core.metrics.METRICS`; "r2" and "brier" (of all predictions together) have no intervals.
    """
    curve = learning_curve(settings, router, progress=progress)
    figures = curve.figures[curve.figures["metric"].isin(_LEARNING_METRICS)]
    lost = curve.lost.rename(columns={"value": "lost", "low": "lost_low", "high": "lost_high"})
    pooled = curve.quality[curve.quality["model"] == POOLED]
    means = pooled.groupby("size", as_index=False)[list(_QUALITY)].mean().assign(seed=MEAN)
    quality = pd.concat([pooled, means]).melt(["size", "seed"], list(_QUALITY), "metric", "value")
    table = pd.concat([figures.merge(lost, on=_KEYS, how="left"), quality], ignore_index=True).assign(router=router)
    # Nothing is lost with all prompts.
    whole = table["metric"].isin(_LEARNING_METRICS) & (table["size"] == curve.sizes[-1])
    table.loc[whole, ["lost", "lost_low", "lost_high"]] = 0.0
    return small([table], ["router", *_KEYS, "value", "low", "high", "lost", "lost_low", "lost_high"])


def transfer(settings: Settings, router: str = ROUTER, progress: Progress | None = None) -> pd.DataFrame:
    """A router on each of the 12 largest tasks, fitted without that task's prompts, beside the usual fit.

    Columns router, task, n_tasks (in all), n_prompts (over all seeds), metric ("aiq_corrected",
    "aiq", "routing_accuracy"), left_out, usual, difference, low, high (left out minus usual, with its paired 95 %
    interval), means over seeds. Empty with fewer than two tasks.
    """
    columns = ["router", "task", "n_tasks", "n_prompts", "metric", "left_out", "usual", "difference", "low", "high"]
    counts = _task_counts(settings)
    if len(counts) < 2:
        return small([], columns)
    largest = sorted(counts, key=lambda task: (-counts[task], task))[:TASKS]
    on_largest = {seed: setting.narrowed(tasks=largest) for seed, setting in settings.items()}  # still learns from all
    table = leave_one_task_out(on_largest, router, progress=progress).by_task
    means = table[(table["seed"] == MEAN) & table["metric"].isin(_TRANSFER_METRICS)]
    return small([means.assign(router=router, n_tasks=len(counts))], columns)


def _task_counts(settings: Settings) -> Counter[str]:
    """Test prompts of each task, over all seeds."""
    return Counter(task for setting in settings.values() for task in setting.test.tasks if task)


def make_study(name: str, setting: Setting, progress: Progress | None = None) -> pd.DataFrame:
    """One of `STUDIES` of the quickest router, on at most `Study.rounds` rounds of a setting."""
    study = STUDIES[name]
    return study.make({0: setting.first(study.rounds)}, ROUTER, progress)


STUDIES: dict[str, Study] = {
    study.name: study for study in (Study("learning", 3, learning), Study("transfer", 1, transfer))
}


def learning_exhibit(table: pd.DataFrame, metric: str = HEADLINE) -> Exhibit:
    """A metric against the number of training prompts, with its interval.

    Parameters
    ----------
    table : `carrot_core.compare.studies.learning` of one router.
    metric : one of its metrics.
    """
    means = table[(table["metric"] == metric) & (table["seed"] == MEAN)].sort_values("size", ignore_index=True)
    router, seeds = str(means["router"].iloc[0]), table.loc[table["seed"] != MEAN, "seed"].nunique()
    apart = means.loc[(means["lost_low"] > 0) | (means["lost_high"] < 0), "size"]
    same = means.loc[means["size"] > apart.max(), "size"] if len(apart) else means["size"]
    has_interval = means["lost_low"].notna().all() and len(same) > 1
    enough = f" From {same.min():,} prompts on, what is lost against all cannot be told from 0." if has_interval else ""
    values = "; ".join(f"{row.size:,} prompts {100 * row.value:.1f}" for row in each(means))
    return Exhibit(
        name=f"learning-{metric.replace('_', '-')}",
        title=f"Learning curve of {visible(label(router))}",
        caption=f"{visible(label(router))}: {metric_name(metric)}, {HUNDRED}, on the same test prompts after learning "
        "from more and more training prompts, each set within the next"
        f"{f', mean over {seeds} seeds' if seeds > 1 else ''}; the band is a 95 % interval over prompts.{enough}",
        alt=f"{metric_name(metric)} of {visible(label(router))} by number of training prompts: {values}.",
        table=means,
        draw=lambda theme: _learning(means, router, metric, theme),
    )


def _learning(means: pd.DataFrame, router: str, metric: str, theme: ThemeName) -> go.Figure:
    look, style = THEMES[theme], line_styles([router])[router]
    color, figure = look.curves[style.color], go.Figure()
    sizes = means["size"].astype(float)
    for end in ("high", "low"):
        figure.add_trace(
            go.Scatter(
                x=sizes, y=100 * means[end], mode="lines", line={"color": color, "width": 0.75, "dash": "dot"},
                fill="tonexty" if end == "low" else None, fillcolor=translucent(color), name="95 % interval",
                showlegend=end == "low", hoverinfo="skip",
            )
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=sizes, y=100 * means["value"], mode="lines+markers", name=METRICS[metric].label,
            line={"color": color, "width": 2}, marker={"color": color, "symbol": style.symbol, "size": 8},
            customdata=100 * means[["lost", "lost_low", "lost_high"]],
            hovertemplate="%{x:,} prompts: %{y:.2f}<br>against all: %{customdata[0]:+.2f} "
            "[%{customdata[1]:+.2f}, %{customdata[2]:+.2f}]<extra></extra>",
        )
    )  # fmt: skip
    return figure.update_layout(
        layout_with_axes(
            look, 400,
            xaxis={"title": "Training prompts", "type": "log", "tickvals": sizes.tolist(),
                   "ticktext": [f"{size:,}" for size in means["size"]], "tickangle": -40},
            yaxis={"title": f"{metric_name(metric)}, × 100"},
        )
    )  # fmt: skip


def transfer_exhibit(table: pd.DataFrame, metric: str = HEADLINE) -> Exhibit:
    """Figures on every task of the router that has never seen it, beside the router that has.

    Parameters
    ----------
    table : `carrot_core.compare.studies.transfer` of one router.
    metric : one of its metrics.
    """
    rows = table[table["metric"] == metric].sort_values("difference", ignore_index=True)
    router, total = str(rows["router"].iloc[0]), int(rows["n_tasks"].max())
    worse, better = int((rows["high"] < 0).sum()), int((rows["low"] > 0).sum())
    rest = f" The {len(rows)} largest of {total} tasks." if total > len(rows) else ""
    return Exhibit(
        name=f"new-tasks-{metric.replace('_', '-')}",
        title=f"{visible(label(router))} on tasks it has never seen",
        caption=f"{visible(label(router))}: {metric_name(metric)}, {HUNDRED}, on each task's test prompts: fitted "
        "without that task's prompts (hollow) and as usual (filled). Solid line: the 95 % interval of the paired "
        f"difference leaves out 0; dotted: it does not.{rest}",
        alt=f"{metric_name(metric)} of {visible(label(router))} on {len(rows)} tasks, fitted without and with the "
        f"task's prompts: measurably worse without them on {worse}, better on {better}. Largest loss: "
        f"{visible(str(rows['task'].iloc[0])) or 'no task'}, {100 * rows['difference'].iloc[0]:+.1f} points.",
        table=rows,
        draw=lambda theme: _transfer(rows, metric, theme),
    )


def _transfer(rows: pd.DataFrame, metric: str, theme: ThemeName) -> go.Figure:
    look, place = THEMES[theme], list(range(len(rows)))
    names = [f"{task_name(row.task)} ({row.n_prompts:,})" for row in each(rows)]
    lines = [
        f"{name}: {100 * row.left_out:.1f} without, {100 * row.usual:.1f} with<br>"
        f"{100 * row.difference:+.2f} [{100 * row.low:+.2f}, {100 * row.high:+.2f}]"
        for name, row in zip(names, each(rows), strict=True)
    ]
    figure = go.Figure()
    for row in each(rows):
        sure = row.high < 0 or row.low > 0
        figure.add_trace(
            go.Scatter(
                x=[100 * row.left_out, 100 * row.usual], y=[row.Index] * 2, mode="lines", showlegend=False,
                line={"color": look.muted, "width": 3 if sure else 1.5, "dash": "solid" if sure else "dot"},
                hoverinfo="skip",
            )
        )  # fmt: skip
    for column, words, symbol in (("left_out", "Task left out", "circle-open"), ("usual", "As usual", "circle")):
        figure.add_trace(
            go.Scatter(
                x=100 * rows[column], y=place, mode="markers", name=words, customdata=lines,
                marker={"symbol": symbol, "size": 10, "color": look.curves[0], "line": {"width": 2,
                        "color": look.curves[0]}},
                hovertemplate="%{customdata}<extra></extra>",
            )
        )  # fmt: skip
    return figure.update_layout(
        layout_with_axes(
            look, 110 + 28 * len(rows), hovermode="closest",
            xaxis={"title": f"{metric_name(metric)}, × 100"},
            yaxis={"tickvals": place, "ticktext": names, "autorange": "reversed", "showgrid": False},
        )
    )  # fmt: skip
