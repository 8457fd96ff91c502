"""Which router is better than which: figures with intervals and ranks, and every paired difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.compare.model_shares_agreement import grid
from carrot_core.evaluation import MEAN
from carrot_core.evaluation.comparison import UNFAIR
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import (
    HUNDRED,
    THEMES,
    ThemeName,
    diverging,
    each,
    layout_with_axes,
    line_styles,
    metric_label,
    metric_name,
    metric_text,
    metric_times,
    metric_unit,
    router_names,
)
from carrot_core.metrics import METRICS
from carrot_core.number_formats import DOLLAR_AXIS, PER_CALL, CostBasis
from carrot_core.routers import BASELINES
from carrot_core.text import visible

RANK_RULE = (
    "Rank 1: no router here is measurably better, which is to say that the interval of their paired difference, at "
    "which the intervals of all pairs hold together in 95 %, lies on one side of 0. Any other router comes one rank "
    "after the last of those that are measurably better, so none ranks above one that beats it, and routers that "
    "cannot be told apart may share a rank. Oracle and cascade see outcomes and have none."
)
NOT_CORRECTED = "These results are older than corrected pairs: each pair is judged as if it were the only one."
_ENDLESS = "A bar that runs to the edge has no end: in some samples the score is never reached."


def leads(pairs: pd.DataFrame, routers: Sequence[str], metric: str) -> pd.DataFrame:
    """True where the router of a row is measurably better than that of a column, both in the order of ``routers``.

    Those that see outcomes, and those without pairs in this metric, are left out.

    Parameters
    ----------
    pairs : `carrot_core.evaluation.Comparison.pairs`.
    """
    fair = [name for name in routers if name.split(" ")[0] not in UNFAIR]
    rows = pairs[(pairs["metric"] == metric) & pairs["router"].isin(fair) & pairs["other"].isin(fair)]
    sign = 1 if METRICS[metric].higher_is_better else -1
    low, high = (sign * rows[end] for end in _verdict_ends(rows)[::sign])
    present = [name for name in fair if name in {*rows["router"], *rows["other"]}]
    ahead = pd.DataFrame(False, index=present, columns=present)
    for better, worse in [
        *rows.loc[low > 0, ["router", "other"]].itertuples(index=False),
        *rows.loc[high < 0, ["other", "router"]].itertuples(index=False),
    ]:
        ahead.loc[better, worse] = True
    return ahead


def ranks(pairs: pd.DataFrame, routers: Sequence[str], metric: str) -> dict[str, int]:
    """Rank by router: 1 if by `leads` no router is better, else one more than the last rank of the better ones."""
    ahead = leads(pairs, routers, metric)
    reached = ahead.to_numpy(bool)
    for _ in ahead:
        reached = reached | (reached @ reached)
    reached = reached & ~reached.T  # routers in a cycle, which luck may cause, are not better than each other
    rank = np.ones(len(ahead), dtype=int)
    for _ in ahead:
        rank = 1 + np.where(reached, rank[:, None], 0).max(axis=0, initial=0)
    return dict(zip(ahead.index, rank.tolist(), strict=True))


def answer(pairs: pd.DataFrame, routers: Sequence[str], metric: str) -> str:
    """Which router is best, in a few sentences that claim no more than the pairs support; empty without pairs."""
    ahead = leads(pairs, routers, metric)
    if len(ahead) < 2:
        return ""
    title, rank = METRICS[metric].label, ranks(pairs, routers, metric)
    first = [name for name in ahead.index if rank[name] == 1]
    leader = f"In {title}, {_and(first)} " + (
        "is measurably better than every other router shown."
        if len(first) == 1 and ahead.loc[first[0]].sum() == len(ahead) - 1
        else "leads: no router shown is measurably better."
        if len(first) == 1
        else "cannot be told apart from the best; no router shown is measurably better."
    )
    learned = [name for name in ahead.index if name.split(" ")[0] not in BASELINES]
    return " ".join([leader, *(_beating(ahead, learned, rival, words) for rival, words in _RIVALS if rival in ahead)])


# Baselines that a router has to beat to be worthwhile, in words.
_RIVALS = (
    ("zero", "mixing models without reading the prompt"),
    ("task-lookup", "a lookup by task"),
    ("task-lookup-input", "a lookup by task that knows the cost of the input"),
    ("cost-only", "predicted cost alone"),
)


def _beating(ahead: pd.DataFrame, learned: Sequence[str], rival: str, words: str) -> str:
    """Sentence on how many of the learned routers are measurably better than a baseline."""
    better, worse = ([name for name in learned if table.loc[name, rival]] for table in (ahead, ahead.T))
    behind = f" {_and(worse)} {'is' if len(worse) == 1 else 'are'} measurably worse." if worse else ""
    if not learned:
        return ""
    if not better:
        return f"None beats {words}.{behind}"
    who = "All learned routers beat" if better == learned and len(learned) > 1 else _and(better) + " beat"
    return f"{who}{'s' if len(better) == 1 else ''} {words}.{behind}"


def _and(names: Sequence[str]) -> str:
    """Routers in words: "A", "A and B", "A, B and C"."""
    *others, last = (visible(label(name)) for name in names)
    return f"{', '.join(others)} and {last}" if others else last


def is_corrected(pairs: pd.DataFrame) -> bool:
    """Whether the pairs have intervals widened for their number: those of older snapshots have none."""
    return "low_all" in pairs.columns


def _verdict_ends(pairs: pd.DataFrame) -> tuple[str, str]:
    """Columns of the interval that decides whether a pair differs."""
    return ("low_all", "high_all") if is_corrected(pairs) else ("low", "high")


def standing(
    figures: pd.DataFrame, pairs: pd.DataFrame, routers: Sequence[str], metrics: Sequence[str], seed: str = MEAN
) -> pd.DataFrame:
    """One row a router: router, and for each metric its value, _low, _high, _rank.

    Sorted by rank in the first metric, then by value, best first; routers without a rank come last.
    """
    rows = figures[(figures["seed"] == seed) & figures["router"].isin(list(routers))]
    table = pd.DataFrame({"router": list(routers)})
    for metric in metrics:
        of = rows[rows["metric"] == metric].set_index("router")
        for name in ("value", "low", "high"):
            table[metric if name == "value" else f"{metric}_{name}"] = table["router"].map(of[name])
        placed = ranks(pairs, routers, metric) if len(pairs) else {}
        table[f"{metric}_rank"] = table["router"].map(placed).astype("Int64")
    first = metrics[0]
    order = [True, not METRICS[first].higher_is_better]
    return table.sort_values([f"{first}_rank", first], ascending=order, kind="stable", ignore_index=True)


def table_exhibit(table: pd.DataFrame, metrics: Sequence[str], over: str) -> Exhibit:
    """Several metrics of every router as a table; ``over`` names the prompts and seeds in a few words."""
    best = []
    for metric in metrics:
        leaders = table.loc[table[f"{metric}_rank"] == 1, "router"]
        if len(leaders):
            best.append(f"{METRICS[metric].label}: {', '.join(visible(label(name)) for name in leaders)}")
    return Exhibit(
        name="metrics",
        title=f"Metrics of {len(table)} routers, {over}",
        caption=f"{over}; figures, except US dollars, are {HUNDRED}, with 95 % intervals over prompts. {RANK_RULE}",
        alt=f"Metrics of {len(table)} routers, {over}. First in rank: {'; '.join(best) or 'not known'}.",
        table=table.assign(router=table["router"].map(lambda name: visible(label(name)))),
    )


def metric_exhibit(table: pd.DataFrame, metric: str, over: str, basis: CostBasis = PER_CALL) -> Exhibit:
    """One metric of every router as dots with intervals, best first; dollars are shown on a ``basis``."""
    higher, title = METRICS[metric].higher_is_better, metric_name(metric, basis)
    columns = {metric: "value", f"{metric}_low": "low", f"{metric}_high": "high", f"{metric}_rank": "rank"}
    finite = table[["router", *columns]].rename(columns=columns)
    finite = finite[np.isfinite(finite["value"])].sort_values("value", ascending=not higher, ignore_index=True)
    n_missing = len(table) - len(finite)
    absent = f" {n_missing} of the routers have no such figure." if n_missing else ""
    text = partial(metric_text, metric, basis=basis)
    named = "; ".join(
        f"{visible(label(row.router))} {text(row.value)}"
        + (f" ({text(row.low)} to {text(row.high)})" if _has_bar(row) else "")
        for row in each(finite)
    )
    endless = f" {_ENDLESS}" if _is_endless(finite) else ""
    return Exhibit(
        name=f"metric-{metric.replace('_', '-')}",
        title=f"{title}, {over}",
        caption=f"{title}, {metric_unit(metric)}, {over}, best on top; bars are 95 % intervals over "
        f"prompts. The number beside a dot is its rank: routers whose bars overlap may still differ, since the same "
        f"prompts are drawn for both.{endless}{absent}",
        alt=f"{title}{'' if METRICS[metric].in_usd else ' times 100'}: {named}.",
        table=finite,
        draw=lambda theme: _dots(finite, metric, basis, theme),
    )


def _has_bar(row: Any) -> bool:
    return not (np.isnan(row.low) and np.isnan(row.high))


def _is_endless(rows: pd.DataFrame) -> bool:
    """Whether a bar has an end that is not finite."""
    ends = rows[["low", "high"]]
    return bool((~np.isfinite(ends) & ~ends.isna().all(axis=1).to_numpy()[:, None]).any(axis=None))


def _with_interval(metric: str, row: Any, basis: CostBasis, *, signed: bool = False) -> str:
    text = partial(metric_text, metric, decimals=2, basis=basis, signed=signed)
    value, low, high = map(text, (row.value, row.low, row.high))
    return f"{value} [{low}, {high}]" if _has_bar(row) else value


def _edges(rows: pd.DataFrame, times: float) -> tuple[float, float]:
    """Ends of the chart, a little beyond all finite values, which are drawn multiplied by ``times``."""
    values = rows[["value", "low", "high"]].to_numpy(np.float64)
    values = times * values[np.isfinite(values)]
    room = 0.06 * float(np.ptp(values)) or times / 100
    return float(values.min()) - room, float(values.max()) + room


def _dots(rows: pd.DataFrame, metric: str, basis: CostBasis, theme: ThemeName) -> go.Figure:
    look, styles = THEMES[theme], line_styles(list(rows["router"]))
    names, place = router_names(list(rows["router"])), list(range(len(rows)))
    times = metric_times(metric, basis)
    edges = _edges(rows, times) if len(rows) else (0.0, times)
    colors = [look.curves[styles[name].color] for name in rows["router"]]
    figure = go.Figure()
    for row, color in zip(each(rows), colors, strict=True):
        if not _has_bar(row):
            continue
        ends = [times * end if np.isfinite(end) else edge for end, edge in zip((row.low, row.high), edges, strict=True)]
        figure.add_trace(
            go.Scatter(x=ends, y=[row.Index] * 2, mode="lines", line={"color": color, "width": 3}, hoverinfo="skip")
        )
    figure.add_trace(
        go.Scatter(
            x=times * rows["value"], y=place, mode="markers+text",
            text=["" if pd.isna(rank) else f"{rank}" for rank in rows["rank"]], textposition="top center",
            textfont={"color": look.muted, "size": 11},
            marker={"color": colors, "size": 10, "symbol": [styles[name].symbol for name in rows["router"]]},
            customdata=[
                f"{name}: {_with_interval(metric, row, basis)}"
                + ("" if pd.isna(row.rank) else f", rank {row.rank}")
                for name, row in zip(names, each(rows), strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )  # fmt: skip
    return figure.update_layout(
        layout_with_axes(
            look, 90 + 34 * len(rows), showlegend=False, hovermode="closest",
            xaxis={"title": metric_name(metric, basis), **DOLLAR_AXIS, "range": edges}
            if METRICS[metric].in_usd
            else {"title": f"{metric_name(metric)}, × 100", "range": edges},
            yaxis={"tickvals": place, "ticktext": names, "range": [len(rows) - 0.4, -0.8], "showgrid": False},
        )
    )  # fmt: skip


def square(pairs: pd.DataFrame, routers: Sequence[str], metric: str) -> pd.DataFrame:
    """Every ordered pair of the routers: columns router, other, value, low, high; router minus other.

    Low and high are those that hold for all pairs together, if the pairs have them.
    """
    rows = pairs[(pairs["metric"] == metric) & pairs["router"].isin(routers) & pairs["other"].isin(routers)]
    low, high = _verdict_ends(rows)
    rows = rows[["router", "other", "value"]].assign(low=rows[low], high=rows[high])
    turned = rows.rename(columns={"router": "other", "other": "router", "low": "high", "high": "low"})
    turned = turned.assign(**{name: -turned[name] for name in ("value", "low", "high")})
    place: Mapping[str, int] = {name: k for k, name in enumerate(routers)}
    both = pd.concat([rows, turned[rows.columns]], ignore_index=True)
    return both.sort_values(["router", "other"], key=lambda side: side.map(place), kind="stable", ignore_index=True)


def matrix_exhibit(
    pairs: pd.DataFrame, routers: Sequence[str], metric: str, over: str, basis: CostBasis = PER_CALL
) -> Exhibit:
    """Every router against every other in one metric: the paired difference, and whether it is measurable; dollars are
    shown on a ``basis``."""
    title = metric_label(metric, basis)
    table = square(pairs, list(routers), metric)
    sure = (table["low"] > 0) | (table["high"] < 0)
    together = ", at which those of all pairs hold together," if is_corrected(pairs) else ""
    direction = "" if METRICS[metric].higher_is_better else " Lower is better, so a negative difference is a lead."
    return Exhibit(
        name=f"differences-{metric.replace('_', '-')}",
        title=f"Paired differences in {title}, {over}",
        caption=f"Each cell is the row's {title} minus the column's, {metric_unit(metric)}, {over}. "
        f"Coloured: the 95 % interval of the paired difference{together} leaves out 0. In brackets, on the ground's "
        f"colour: it does not, so the two cannot be told apart.{direction}",
        alt=f"Paired differences in {title} between {len(routers)} routers; {int(sure.sum()) // 2} of "
        f"{len(table) // 2} pairs differ measurably.",
        table=table,
        draw=lambda theme: _matrix(table, metric, basis, theme),
    )


def _filled(value: Any, size: int) -> list[list[Any]]:
    return [[value] * size for _ in range(size)]


def _matrix(table: pd.DataFrame, metric: str, basis: CostBasis, theme: ThemeName) -> go.Figure:
    routers = list(dict.fromkeys(table["router"]))
    names = router_names(routers, 22)
    z, words, hover = (_filled(empty, len(routers)) for empty in (None, "", ""))
    place = {name: k for k, name in enumerate(routers)}
    for row in each(table):
        at = place[row.router], place[row.other]
        if np.isnan(row.value):
            continue
        sure = row.low > 0 or row.high < 0
        text = metric_text(metric, row.value, basis=basis, signed=True)
        z[at[0]][at[1]] = np.sign(row.value) * np.sqrt(abs(row.value)) if sure else 0.0  # so that small ones show
        words[at[0]][at[1]] = text if sure else f"({text})"
        hover[at[0]][at[1]] = f"{names[at[0]]} - {names[at[1]]}: {_with_interval(metric, row, basis, signed=True)}"
    most = max((abs(value) for line in z for value in line if value is not None), default=1.0) or 1.0
    return grid(
        names, theme, z=z, zmin=-most, zmax=most, colorscale=diverging(theme),
        text=words, texttemplate="%{text}", customdata=hover, hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def across_exhibit(tables: Mapping[str, pd.DataFrame], metric: str, basis: CostBasis = PER_CALL) -> Exhibit:
    """One metric of every router on several benchmarks, one column each; dollars are shown on a ``basis``.

    Parameters
    ----------
    tables : from `standing`, by benchmark.
    """
    routers = list(dict.fromkeys(name for table in tables.values() for name in table["router"]))
    names_table = pd.DataFrame({"router": [visible(label(name)) for name in routers]})
    for name, table in tables.items():
        of = table.set_index("router").reindex(routers)
        for end in ("", "_low", "_high"):
            names_table[name + end.replace("_", " ")] = of[metric + end].astype(float).to_numpy()
        names_table[f"{name} rank"] = of[f"{metric}_rank"].to_numpy()
    title = metric_name(metric, basis)
    return Exhibit(
        name=f"benchmarks-{metric.replace('_', '-')}",
        title=f"{title} on {len(tables)} benchmarks",
        caption=f"{title} on each benchmark, {metric_unit(metric)}, with 95 % intervals over prompts and "
        "ranks among the routers shown. Benchmarks differ in prompts, pools and costs: do not compare their figures.",
        alt=f"{title} of {len(routers)} routers on {', '.join(map(visible, tables))}.",
        table=names_table,
    )
