"""The gap between a router and the oracle, and its parts (``docs/method.md``, "Comparing routers")."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from carrot_core.bootstrap import Interval, replicate, weighted_means, weights_on
from carrot_core.curve import small
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.evaluation.measure import ReportSet, areas, report_set
from carrot_core.evaluation.tables import LAMS, task_labels
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import (
    HUNDRED,
    PATTERNS,
    THEMES,
    ThemeName,
    each,
    layout_with_axes,
    names_of,
    router_names,
    whiskers,
)
from carrot_core.frontier import FloatArray, Frontier, rate_of_lam, sweep
from carrot_core.metrics import HEADLINE, METRICS
from carrot_core.number_formats import lam_text
from carrot_core.outcomes import Estimates, FloatTable, pick, positions
from carrot_core.text import visible

GAP = ("scores", "costs", "rest", "reach")  # they add up to the gap
UTILITY = "utility"
_COLUMNS = ["router", "measure", "lam", "part", "value", "low", "high"]
_REPLICATES, _POINTS = 200, 300


def decomposition(
    setting: Setting, routers: Mapping[str, Mapping[str, Estimates]], replicates: int = _REPLICATES
) -> pd.DataFrame:
    """Each router's gap to the oracle, decomposed by what would close it, with paired 95 % intervals.

    Columns router, measure ("aiq_corrected", or "utility": mean of (1 - λ)·score - λ·cost/u at the choices of one λ),
    lam (NaN for corrected AIQ), part, value, low, high. Parts: "router" and "oracle" are the figures themselves; "gap"
    is their difference and the sum of "scores" (observed scores in place of the estimated ones), "costs" (observed
    costs in place of the estimated ones), "rest" (gain of both together beyond their sum; negative if one makes the
    other needless) and "reach" (models it does not choose among, and calls it pays for on the way). "task_label" is the
    router's gain if its estimates get each task's training means, NaN with fewer than two tasks. If cells were run
    several times, "luck" is the loss of the oracle's figure on samples by which the oracle did not choose: an upper
    bound on the part of the gap that no router can close.
    """
    setting = setting.with_all_outcomes
    on = report_set(setting, setting.report_on, replicates)
    oracle = figures_of(setting.frontier(setting.baselines["oracle"], setting.report_on), setting, on)
    luck = _luck(setting, on)
    return small((_of_router(name, setting, table, on, oracle, luck) for name, table in routers.items()), _COLUMNS)


def _luck(setting: Setting, on: ReportSet) -> dict[str, FloatArray]:
    """The part "luck", measured on the prompts that the whole pool answered several times; empty without any."""
    if on.repeated is None:
        return {}
    on, curves = on.repeated
    oracle = setting.frontier(setting.baselines["oracle"], setting.report_on)
    ids = set(on.outcomes.prompt_ids)
    here = oracle.rows(np.array([prompt_id in ids for prompt_id in oracle.outcomes.prompt_ids], dtype=bool))
    other = np.mean([figures_of(curve, setting, on) for curve in curves], axis=0)
    return {"luck": figures_of(here, setting, on) - other}


def _of_router(
    name: str,
    setting: Setting,
    estimates: Mapping[str, Estimates],
    on: ReportSet,
    oracle: FloatArray,
    luck: Mapping[str, FloatArray],
) -> pd.DataFrame:
    curve = setting.frontier(estimates, setting.report_on)
    figures = {part: figures_of(other, setting, on) for part, other in with_better(setting, curve).items()}
    scores, costs, both = (figures[part] - figures["router"] for part in ("scores", "costs", "both"))
    label = figures["task_label"] - figures["router"] if "task_label" in figures else np.full_like(oracle, np.nan)
    parts = {
        "router": figures["router"],
        "oracle": oracle,
        "gap": oracle - figures["router"],
        "scores": scores,
        "costs": costs,
        "rest": both - scores - costs,
        "reach": oracle - figures["both"],
        "task_label": label,
        **luck,
    }
    measures = [(HEADLINE, np.nan), *((UTILITY, lam) for lam in LAMS)]
    rows = [
        (name, measure, lam, part, *interval(values[:, column]))
        for part, values in parts.items()
        for column, (measure, lam) in enumerate(measures)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def with_better(setting: Setting, curve: Frontier) -> dict[str, Frontier]:
    """Curves of a router ("router") and of the same router with more knowledge, on the same prompts and pool.

    "scores", "costs", "both": observed values in place of its estimates. "task_label": its estimates shifted, within
    each task, to the means of that task's training prompts: scores by a summand, costs by a factor.
    """
    own = curve.estimates.pool(pick(curve.models, curve.has_estimates))
    outcomes = curve.outcomes.pool(own.models)
    paid = own.cost_usd if own.cost_is_paid else outcomes.cost_usd
    # A model that a router does not estimate on a prompt stays out of its reach there.
    score, paid = (np.where(np.isnan(own.score), np.nan, table) for table in (outcomes.score, paid))
    tables = {
        "router": (own.score, own.cost_usd),
        "scores": (score, own.cost_usd),
        "costs": (own.score, paid),
        "both": (score, paid),
    }
    tasks = task_labels(setting, curve)
    if len(set(tasks)) > 1:
        tables["task_label"] = _with_task_means(setting, own, tasks)
    return {
        part: sweep(own.with_values(score, cost), curve.outcomes, curve.models)
        for part, (score, cost) in tables.items()
    }


def _with_task_means(setting: Setting, own: Estimates, tasks: npt.NDArray[np.object_]) -> tuple[FloatTable, FloatTable]:
    lookup = setting.baselines["task-lookup"][setting.report_on].pool(own.models)
    lookup = lookup.rows(positions(own.prompt_ids, lookup.prompt_ids, "prompt"))
    score, cost = own.score.copy(), own.cost_usd.copy()
    for task in set(tasks):
        here = tasks == task
        score[here] += lookup.score[here] - own.score[here].mean(axis=0)
        mean = own.cost_usd[here].mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = own.cost_usd[here] * (lookup.cost_usd[here] / mean)
        cost[here] = np.where(mean > 0, scaled, lookup.cost_usd[here])
    return score, own.cost_usd if own.cost_is_paid else cost


def figures_of(curve: Frontier, setting: Setting, on: ReportSet) -> FloatArray:
    """(1 + B, 1 + L) corrected AIQ, and the mean utility at each λ: on the prompts themselves, then in every replicate.

    Raises
    ------
    CarrotError
        The curve is on other prompts than those reported on.
    """
    if curve.outcomes.prompt_ids != on.outcomes.prompt_ids:
        raise CarrotError("A router did not estimate the same prompts as the others, so it cannot be compared.")
    area = areas(curve, replicate(curve, on.weights, _POINTS), on.interval_usd)[HEADLINE]
    rows = np.arange(curve.n_prompts)
    utilities = []
    for lam in LAMS:
        chosen = curve.choices(rate_of_lam(lam, setting.cost_unit_usd))
        spent = curve.paid_usd[rows, chosen] / setting.cost_unit_usd
        utilities.append((1 - lam) * curve.outcomes.score[rows, chosen] - lam * spent)
    means = weighted_means(np.column_stack(utilities), weights_on(curve, on.weights))
    return np.column_stack([[area.value, *area.replicates], means])


def interval(values: FloatArray) -> tuple[float, float, float]:
    """Value, low and high of (1 + B,) values: first that on the prompts themselves, then the replicates."""
    figure = Interval.of(float(values[0]), values[1:])
    return figure.value, figure.low, figure.high


def measured(table: pd.DataFrame, lam: float | None) -> tuple[pd.Series[bool], str]:
    """Mask of the rows of the whole curve (None) or of one λ, and their measure in words: in old tables, AIQ itself."""
    if lam is not None:
        return pd.Series(np.isclose(table["lam"], lam), table.index), f"utility at λ {lam_text(lam)}"
    return table["lam"].isna(), METRICS["aiq" if (table["measure"] == "aiq").any() else HEADLINE].label


WORDS = {
    "scores": "Observed scores",
    "costs": "Observed costs",
    "rest": "Only both together",
    "reach": "Models out of reach",
    "task_label": "The task label",
    "luck": "Luck of single runs",
}


def gap_exhibit(table: pd.DataFrame, lam: float | None = None) -> Exhibit:
    """Parts of the gap to the oracle, in corrected AIQ or, at one λ, in utility.

    Parameters
    ----------
    table : `carrot_core.compare.gap.decomposition` of the routers to show.
    lam : one of its λ; None for the whole curve.
    """
    at, what = measured(table, lam)
    rows = table[at & table["part"].isin([*WORDS, "gap"])].reset_index(drop=True)
    gaps = rows[rows["part"] == "gap"]
    luck = rows.loc[rows["part"] == "luck", "value"]
    chance = (
        "Luck of single runs stands beside, too: what the oracle loses when it is read on samples that it did not "
        f"choose by. Up to {100 * luck.iloc[0]:.1f} points of each gap no router can close."
        if len(luck)
        else "A score observed is one draw of a model's answer, luck included, so no router can close the whole gap."
    )
    sentences = "; ".join(_sentence(rows, row.router, row.value) for row in each(gaps))
    return Exhibit(
        name="gap-to-oracle" + ("" if lam is None else f"-lam-{lam:g}".replace(".", "-")),
        title=f"Gap to the oracle in {what}",
        caption=f"Points of {what}, {HUNDRED}, that each router would gain if it knew more; the first four add up to "
        "its gap to the oracle. “Only both together” is what observed scores and costs bring jointly beyond their "
        "sum, and is negative where one makes the other needless. The task label stands beside: estimates moved to "
        "each task's training means. " + chance,
        alt=f"Gap to the oracle in {what}, times 100. {sentences}.",
        table=rows,
        draw=lambda theme: bars(rows, WORDS, what, theme),
    )


def _sentence(rows: pd.DataFrame, router: str, gap: float) -> str:
    of = rows[rows["router"] == router].dropna(subset=["value"])
    inside, apart = (
        ", ".join(f"{WORDS[row.part].lower()} {100 * row.value:+.1f}" for row in each(of[of["part"].isin(parts)]))
        for parts in (GAP, ["task_label", "luck"])
    )
    return f"{visible(label(router))}: {100 * gap:.1f}, of which {inside}{apart and f' (apart from it, {apart})'}"


def bars(rows: pd.DataFrame, parts: Mapping[str, str], what: str, theme: ThemeName) -> go.Figure:
    """A bar with its interval for every part of every router, parts in words; without parts that are NaN for all."""
    look, routers = THEMES[theme], names_of(rows["router"])
    names = router_names(routers)
    figure = go.Figure()
    for place, (part, words) in enumerate(parts.items()):
        of = rows[rows["part"] == part].set_index("router").reindex(routers)
        if of["value"].isna().all():
            continue  # no tasks
        color = look.curves[(1, 0, 2, 3, 4, 5)[place]] if theme != "print" else ("#ffffff", "#bdbdbd")[place % 2]
        figure.add_trace(
            go.Bar(
                y=names, x=100 * of["value"], orientation="h", name=words,
                marker={"color": color, "line": {"color": look.ink, "width": 0.5},
                        "pattern": {"shape": PATTERNS[place], "bgcolor": color, "fgcolor": look.ink, "size": 6,
                                "solidity": 0.2}},
                error_x=whiskers(
                    100 * of["value"],
                    100 * of["low"].clip(upper=of["value"]),
                    100 * of["high"].clip(lower=of["value"]),
                    color=look.ink, thickness=1, width=2,
                ),
                hovertemplate=f"%{{y}}, {words.lower()}: %{{x:+.2f}}<extra></extra>",
            )
        )  # fmt: skip
    return figure.update_layout(
        layout_with_axes(
            look, 120 + 84 * len(routers), barmode="group", bargap=0.25,
            xaxis={"title": f"Points of {what}", "zeroline": True, "zerolinecolor": look.ink},
            yaxis={"autorange": "reversed", "type": "category", "showgrid": False},
        )
    )  # fmt: skip
