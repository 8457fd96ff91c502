"""Is routing learnable here? The gain of a task label, and of the text beyond it, over knowing nothing of a prompt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from carrot_core.bootstrap import Interval
from carrot_core.compare.gap import UTILITY, bars, figures_of, interval, measured
from carrot_core.evaluation import MEAN, Setting
from carrot_core.evaluation.measure import report_set
from carrot_core.evaluation.tables import LAMS, small, task_labels
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import HUNDRED, each, names_of
from carrot_core.metrics import HEADLINE
from carrot_core.outcomes import Estimates
from carrot_core.routers import BASELINES
from carrot_core.text import visible

_COLUMNS = ["router", "measure", "lam", "part", "value", "low", "high"]
_REPLICATES = 200
WORDS = {
    "task": "The task label over nothing",
    "text": "The text over the task label",
    "both": "The text over nothing",
}


def learnable(
    setting: Setting, routers: Mapping[str, Mapping[str, Estimates]], replicates: int = _REPLICATES
) -> pd.DataFrame:
    """Gain of every router over the zero router, split at the task lookup, with paired 95 % intervals.

    Columns router, measure ("aiq_corrected", or "utility" at one λ, as `carrot_core.compare.gap.decomposition` has
    them), lam (NaN for corrected AIQ), part, value, low, high. Parts: "task" (task lookup minus zero router) and "text"
    (router minus task lookup) add up to "both" (router minus zero router); "oracle" is the possible gain (oracle minus
    zero router), "share" is "both" ÷ "oracle". "task" and "text" are NaN with fewer than two tasks. Baselines, and
    routers that pay for several calls, are left out: they learn nothing from texts.
    """
    on = report_set(setting, setting.report_on, replicates)
    learned = {
        name: table
        for name, table in routers.items()
        if name not in BASELINES and not table[setting.report_on].cost_is_paid
    }
    curves = {
        name: setting.frontier(table, setting.report_on)
        for name, table in (*setting.baselines.items(), *learned.items())
        if name in (*learned, "zero", "task-lookup", "oracle")
    }
    figures = {name: figures_of(curve, setting, on) for name, curve in curves.items()}
    nothing = figures["zero"]
    oracle = figures.get("oracle", np.full_like(nothing, np.nan))  # none if no prompt has every outcome
    has_tasks = len(set(task_labels(setting, curves["zero"]))) > 1
    by_task = figures["task-lookup"] if has_tasks else np.full_like(nothing, np.nan)
    measures = [(HEADLINE, np.nan), *((UTILITY, lam) for lam in LAMS)]
    rows = []
    for name in learned:
        gain, reach = figures[name] - nothing, oracle - nothing
        share = np.divide(gain, reach, out=np.full_like(gain, np.nan), where=reach > 0)
        parts = {"task": by_task - nothing, "text": figures[name] - by_task, "both": gain, "oracle": reach}
        rows += [
            (name, *measure, part, *interval(values[:, column]))
            for part, values in {**parts, "share": share}.items()
            for column, measure in enumerate(measures)
        ]
    return small([pd.DataFrame(rows, columns=_COLUMNS)], _COLUMNS)


def slope(learning: pd.DataFrame) -> Interval | None:
    """Corrected AIQ gained by doubling the training prompts, with its paired interval, at the end of a learning curve.

    Between all training prompts and the largest size of at most half of them; None if the curve has no such size.

    Parameters
    ----------
    learning : `carrot_core.compare.studies.learning` of one router.
    """
    means = learning[(learning["metric"] == HEADLINE) & (learning["seed"] == MEAN)].dropna(subset=["lost"])
    whole = means["size"].max()
    half = means[means["size"] <= whole / 2]
    if half.empty:
        return None
    row = half.loc[half["size"].idxmax()]
    doublings = float(np.log2(whole / row["size"]))
    return Interval(*(-float(row[end]) / doublings for end in ("lost", "lost_high", "lost_low")))


def verdict(table: pd.DataFrame, router: str) -> str:
    """A plain sentence on whether routing is learnable here, about one router.

    Parameters
    ----------
    table : from `learnable`.
    """
    rows = table[(table["router"] == router) & table["lam"].isna()]
    parts = {row.part: Interval(row.value, row.low, row.high) for row in each(rows)}
    name, both, text, share = visible(label(router)), parts["both"], parts["text"], parts["share"]
    gain = f"{_points(both)} AIQ points over the zero router"
    if both.high < 0:
        return f"Routing by text does harm here: {name} gains {gain}."
    if not both.low > 0:
        return f"Routing cannot be told from not routing here: {name} gains {gain}, and 0 is inside."
    part = f"{100 * share.value:.0f} % of what the oracle gains"
    if np.isnan(text.value):
        return f"Routing is learnable here: {name} gains {gain}, {part}."
    beyond = f"{_points(text)} of them over the task label"
    if text.low > 0:
        return f"Routing is learnable here, beyond the task label: {name} gains {gain}, {part}, {beyond}."
    if text.high < 0:
        return f"A task label would do better than the text here: {name} gains {gain}, {part}, but {beyond}."
    return f"What is learned here is no more than the task: {name} gains {gain}, {part}, {beyond}, and 0 is inside."


def _points(gain: Interval) -> str:
    return f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"


def learnable_exhibit(table: pd.DataFrame, lam: float | None = None, learning: pd.DataFrame | None = None) -> Exhibit:
    """Gain of task label and text over knowing nothing, in corrected AIQ or, at one λ, in utility.

    Parameters
    ----------
    table : `learnable` of the routers to show.
    lam : one of its λ; None for the whole curve.
    learning : `carrot_core.compare.studies.learning` of one router, if there is one.
    """
    at, what = measured(table, lam)
    rows = table[at].reset_index(drop=True)
    sentences = " ".join(verdict(table, router) for router in names_of(table["router"]))
    doubled = None if learning is None else slope(learning)
    more = ""
    if learning is not None and doubled is not None:
        name = visible(label(str(learning["router"].iloc[0])))
        more = f" Twice the training prompts would bring {name} {_points(doubled)} AIQ points, by its last doubling."
    drawn = rows[rows["part"].isin(WORDS)]
    alt = "; ".join(
        f"{visible(label(row.router))}, {WORDS[row.part].lower()}: {100 * row.value:+.2f}"
        for row in each(drawn.dropna(subset=["value"]))
    )
    return Exhibit(
        name="learnable" + ("" if lam is None else f"-lam-{lam:g}".replace(".", "-")),
        title="Is routing learnable here?",
        caption=f"{sentences}{more} Points of {what}, {HUNDRED}, on the same prompts, with paired 95 % intervals. "
        "Nothing: the zero router; the task label: the task lookup, which no deployed router has.",
        alt=f"Points of {what} gained, times 100. {alt}.",
        table=rows,
        draw=lambda theme: bars(drawn, WORDS, what, theme),
    )
