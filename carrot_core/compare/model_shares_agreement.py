"""Which models routers choose: shares at every λ, how often two choose the same, collapse onto the most expensive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.bootstrap import LEAST_PROMPTS, bootstrap_weights
from carrot_core.curve import evenly, small
from carrot_core.evaluation import Setting
from carrot_core.evaluation.tables import LAMS
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import Scene, label
from carrot_core.figures.theme import (
    THEMES,
    ModelLook,
    ThemeName,
    axis,
    each,
    group_looks,
    layout,
    layout_with_axes,
    line_styles,
    names_of,
    plotly_text,
    rising,
    router_names,
    scene_looks,
    words_in_cells,
)
from carrot_core.frontier import FloatArray, Frontier, lam_of_rate, rate_of_lam
from carrot_core.number_formats import LAM_HOVER, lam_text, percent
from carrot_core.outcomes import Estimates, pick
from carrot_core.text import visible

RARE = (1, 2, 3)  # a prompt has rare solvers if at most so many models solve it
SOLVED = 0.5  # least score that solves a prompt
_SAME = 0.995  # share of equal choices from which two routers count as equal
_USED = 0.1  # share of the prompts from which on a router uses a model
_BUDGETS = 60  # points of a curve at which collapse is measured
_REPLICATES = 200


def agreement(setting: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Share of the prompts reported on for which two routers choose the same model, at the same λ.

    Columns router, other, lam, n_prompts, agreement (0 to 1). The table has every ordered pair, including a router with
    itself, so that it can be reduced to some of the routers.
    """
    names = list(routers)
    curves = {name: setting.frontier(table, setting.report_on) for name, table in routers.items()}
    rows = []
    for lam in LAMS:
        rate = rate_of_lam(lam, setting.cost_unit_usd)
        chosen = np.column_stack(
            [
                np.array(pick(curve.models, curve.choices(rate).astype(np.intp)), dtype=object)
                for curve in curves.values()
            ]
        )
        for i, name in enumerate(names):
            for j, other in enumerate(names):
                same = float((chosen[:, i] == chosen[:, j]).mean()) if len(chosen) else np.nan
                rows.append({"router": name, "other": other, "lam": lam, "n_prompts": len(chosen), "agreement": same})
    return pd.DataFrame(rows)


def agreement_exhibit(table: pd.DataFrame, lam: float) -> Exhibit:
    """Share of the prompts for which two routers choose the same model, at one λ.

    Parameters
    ----------
    table : `carrot_core.compare.model_shares_agreement.agreement` of the routers to show.
    lam : one of its λ.
    """
    rows = table[np.isclose(table["lam"], lam)].reset_index(drop=True)
    apart = rows[rows["router"] != rows["other"]].sort_values("agreement")
    extremes, same = "", len(apart) == 0 or apart["agreement"].iloc[0] >= _SAME
    if len(apart):
        least, most = apart.iloc[0], apart.iloc[-1]
        extremes = " " + "; ".join(
            f"{how}: {visible(label(row['router']))} and {visible(label(row['other']))}, "
            f"{percent(row['agreement'], digits=0)}"
            for how, row in (("Least", least), ("Most", most))
        )
    return Exhibit(
        name=f"agreement-lam-{lam:g}".replace(".", "-"),
        title=f"Agreement of choices at λ {lam_text(lam)}",
        caption=f"Share of the prompts that both routers give to the same model at λ {lam_text(lam)}, in per cent. "
        + (
            "No two of these routers differ in more than 0.5 % of them, so there is no picture to draw."
            if same
            else "Routers of the same accuracy may still disagree. A router with itself is left blank."
        ),
        alt=f"Share of prompts on which two routers choose the same model at λ {lam_text(lam)}.{extremes}",
        table=rows,
        draw=None if same else lambda theme: _agreement(rows, theme),
    )


def _agreement(rows: pd.DataFrame, theme: ThemeName) -> go.Figure:
    routers = names_of(rows["router"])
    names = router_names(routers, 22)
    square = rows.pivot(index="router", columns="other", values="agreement").reindex(index=routers, columns=routers)
    shares = 100 * square.to_numpy(dtype=float, copy=True)
    np.fill_diagonal(shares, np.nan)
    return grid(
        names, theme,
        # Colours start at the lowest share, so that the cells differ, and span at least ten points, so that noise stays
        # pale.
        z=shares, zmin=min(90.0, float(np.nanmin(shares))), zmax=100, colorscale=rising(theme),
        texttemplate="%{z:.0f}", hovertemplate="%{y} and %{x}: %{z:.1f} %<extra></extra>",
    )  # fmt: skip


def grid(names: Sequence[str], theme: ThemeName, **cells: Any) -> go.Figure:
    """Coloured cells of routers against the same routers, with text in them.

    Parameters
    ----------
    cells : arguments of `plotly.graph_objects.Heatmap`: (n, n) values, their colours and their text.
    """
    figure = go.Figure(
        go.Heatmap(
            x=names, y=names, showscale=False, xgap=1, ygap=1, hoverongaps=False,
            textfont=words_in_cells(theme, len(names)), **cells,
        )
    )  # fmt: skip
    return figure.update_layout(
        layout_with_axes(
            THEMES[theme], 110 + 30 * len(names), margin={"l": 8, "r": 16, "t": 16, "b": 8},
            xaxis={"side": "top", "tickangle": -40, "showgrid": False, "type": "category"},
            yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
        )
    )  # fmt: skip


def collapse(
    setting: Setting, routers: Mapping[str, Mapping[str, Estimates]], replicates: int = _REPLICATES
) -> pd.DataFrame:
    """Share of an expensive model as each router's budget grows, and how often the router finds rare solvers.

    The model is the most expensive one that some router gives a tenth of the prompts at some point, since a model that
    no router uses shows nothing; without any such model, the most expensive of all. At up to 60 points along each
    curve. Columns router, dearest (that model), part, most, n_prompts, lam, budget (mean cost over that of this model
    alone), value, low, high. Part "dearest" is the share of the prompts that this model answers, with ``most`` 0. Part
    "rare" is about the prompts that at least one and at most ``most`` models solve: the share for which one of these is
    chosen, with its 95 % interval if they are enough; no rows if there is no such prompt.
    """
    setting = setting.with_all_outcomes
    columns = ["router", "dearest", "part", "most", "n_prompts", "lam", "budget", "value", "low", "high"]
    curves = {name: setting.frontier(table, setting.report_on) for name, table in routers.items()}
    peaks = [curve.shares(evenly(curve.exchange_rate_per_usd, _BUDGETS)).max(axis=0) for curve in curves.values()]
    cost = setting.test.outcomes.cost_usd.mean(axis=0)
    used = np.max(peaks, axis=0, initial=0.0) >= _USED
    expensive = int(np.where(used | ~used.any(), cost, -1.0).argmax())
    unit = setting.cost_unit_usd
    return small((_collapse_of(name, curve, expensive, unit, replicates) for name, curve in curves.items()), columns)


def _collapse_of(name: str, curve: Frontier, expensive: int, cost_unit_usd: float, replicates: int) -> pd.DataFrame:
    solves = curve.outcomes.score >= SOLVED
    rates = evenly(curve.exchange_rate_per_usd, _BUDGETS)
    chosen = np.array([curve.choices(rate) for rate in rates])
    points = pd.DataFrame(
        {
            "router": name,
            "dearest": curve.models[expensive],  # the name in snapshots
            "lam": lam_of_rate(rates, cost_unit_usd),
            "budget": curve.cost_usd[[curve.at(rate) for rate in rates]] / curve.model_cost_usd[expensive],
        }
    )
    answered = {"value": (chosen == expensive).mean(axis=1), "low": np.nan, "high": np.nan}
    frames = [points.assign(part="dearest", most=0, n_prompts=curve.n_prompts, **answered)]
    solvers, picked = solves.sum(axis=1), solves[np.arange(curve.n_prompts), chosen].astype(np.float64)
    for most in RARE:
        rare = picked[:, (solvers >= 1) & (solvers <= most)]
        if not (count := rare.shape[1]):
            continue  # no such prompt
        low = high = np.full(len(rates), np.nan)
        if count >= LEAST_PROMPTS:
            low, high = np.quantile(rare @ bootstrap_weights(count, replicates), [0.025, 0.975], axis=1)
        recall = points.assign(part="rare", most=most, n_prompts=count, value=rare.mean(axis=1), low=low, high=high)
        frames.append(recall)
    return pd.concat(frames, ignore_index=True)


def collapse_exhibit(table: pd.DataFrame, most: int = 0) -> Exhibit:
    """`collapse` onto an expensive model along each curve; with ``most`` from `RARE`, recall of rare solvers."""
    rows = table[table["most"] == most].reset_index(drop=True)
    by = "one model" if most == 1 else f"at most {most} models"
    named = visible(str(rows["dearest"].iloc[0]))
    title, what = "Collapse onto the most expensive model in use", plotly_text(f"Answered by {named}", 40)
    caption = f"Share of the prompts that {named} answers, " + (
        "the most expensive model that gets a tenth of the prompts from some router at some budget. A router that sees "
        "where cheap models do keeps it low."
        if (table.loc[table["most"] == 0, "value"] >= _USED).any()
        else "a model that none of these routers gives a tenth of the prompts at any budget."
    )
    if most:
        title, what = f"Prompts that {by} can solve", f"Solved, of those that {by} can"
        caption = (
            f"Of the {rows['n_prompts'].max():,} prompts that {by} of the pool can solve (a score of at "
            f"least {SOLVED:g}), the share on which the router picks one that does."
        )
    ends = each(rows.loc[rows.groupby("router", sort=False)["budget"].idxmax()])
    sentences = [
        f"{visible(label(end.router))} {percent(end.value)} at {percent(end.budget, digits=0)} of that model's cost"
        for end in ends
    ]
    return Exhibit(
        name=f"rare-solvers-{most}" if most else "collapse",
        title=title,
        caption=f"{caption} The budget is the mean cost, in per cent of what {named} costs.",
        alt=f"{title}, against budget, at the most expensive point of each curve: {'; '.join(sentences)}.",
        table=rows,
        draw=lambda theme: _along_budget(rows, what, theme),
    )


def _along_budget(rows: pd.DataFrame, what: str, theme: ThemeName) -> go.Figure:
    look, routers = THEMES[theme], names_of(rows["router"])
    styles, figure = line_styles(routers), go.Figure()
    for router, name in zip(routers, router_names(routers), strict=True):
        of, style = rows[rows["router"] == router].sort_values("budget"), styles[router]
        color = look.curves[style.color]
        figure.add_trace(
            go.Scatter(
                x=100 * of["budget"], y=100 * of["value"], mode="lines+markers", name=name, customdata=of["lam"],
                line={"color": color, "dash": style.dash, "width": 1.75},
                marker={"color": color, "symbol": style.symbol, "size": 7, "maxdisplayed": 7},
                hovertemplate=f"%{{y:.1f}} % at %{{x:.3~r}} % of the cost, λ %{{customdata:{LAM_HOVER}}}",
            )
        )  # fmt: skip
    ticks = {"ticksuffix": " %", "type": "log", "dtick": 1} if (rows["budget"] > 0).all() else {"ticksuffix": " %"}
    return figure.update_layout(
        layout_with_axes(
            look, 420, hovermode="closest",
            xaxis={"title": f"Budget, of the cost of {plotly_text(visible(str(rows['dearest'].iloc[0])))}", **ticks},
            yaxis={"title": what, "ticksuffix": " %", "range": [0, 102]},
        )
    )  # fmt: skip


_STEPS = 400
_SMALL = 0.01  # several models that answer less at every λ are drawn as one
_OWN_AREAS = 20  # most models with an area of their own: those that answer most at some λ


def share_figure(scene: Scene, theme: ThemeName = "light") -> go.Figure:
    """Stacked shares over λ from 0 to 1, cheapest model at the bottom; independent of the λ that is set."""
    look = THEMES[theme]
    # Exact at the drawn λ; most switches are at small λ, so steps are finer there.
    even = np.linspace(0, 1, _STEPS + 1)
    lams = np.union1d(even, even**2)
    shares = scene.active_curve.frontier.shares([rate_of_lam(float(lam), scene.cost_unit_usd) for lam in lams])
    figure = go.Figure()
    areas = _areas(scene, shares, theme) if scene.grouping is None else _group_areas(scene, shares, theme)
    for name, share, its in areas:
        figure.add_trace(
            go.Scatter(
                x=lams,
                y=100 * share,
                stackgroup="models",
                mode="lines",
                line={"width": 1, "color": look.ground, "shape": "hv"},
                fillcolor=its.color,
                # Neighbours in cost have neighbouring colours: a pattern tells them apart.
                fillpattern={
                    "shape": its.pattern,
                    "bgcolor": its.color,
                    "fgcolor": look.ground,
                    "size": 10,
                    "solidity": 0.1,
                },
                name=plotly_text(name),
                hovertemplate="%{y:.1f} %",
            )
        )
    return figure.update_layout(
        layout(
            look,
            420,
            hovermode="x unified",
            legend={"orientation": "h", "y": -0.22, "yanchor": "top"},
            margin={"l": 55, "r": 10, "t": 10, "b": 10},
            xaxis=axis(look, "λ", range=[0, 1], title_standoff=4),
            yaxis=axis(look, "Share of prompts", range=[0, 100], ticksuffix=" %"),
        )
    )


def _areas(scene: Scene, shares: FloatArray, theme: ThemeName) -> list[tuple[str, FloatArray, ModelLook]]:
    """Name, share at each λ and look of every area, by cost; models that answer little are one area on top."""
    looks = scene_looks(scene, theme)
    by_cost, most = np.argsort(scene.model_cost_usd), shares.max(axis=0)
    own = [int(column) for column in np.argsort(-most, kind="stable")[:_OWN_AREAS] if most[column] >= _SMALL]
    rest = [int(column) for column in by_cost if most[column] > 0 and column not in own]
    if len(rest) == 1:
        own, rest = own + rest, []
    areas = [
        (scene.short_names[scene.models[column]], shares[:, column], looks[column])
        for column in by_cost
        if column in own
    ]
    of_rest = f"{len(rest)} other models", shares[:, rest].sum(axis=1), ModelLook(THEMES[theme].muted, "", "")
    return [*areas, of_rest] if rest else areas


def _group_areas(scene: Scene, shares: FloatArray, theme: ThemeName) -> list[tuple[str, FloatArray, ModelLook]]:
    """The areas of the groups of models."""
    assert scene.grouping is not None
    looks = group_looks(scene.grouping, theme)
    return [(name, shares[:, of].sum(axis=1), looks[name]) for name, of in scene.columns_by_group.items()]


def share_text(scene: Scene) -> str:
    """The chart in words: the shares at both ends and halfway."""
    parts = []
    for lam in (0.0, 0.5, 1.0):
        shares = scene.active_curve.frontier.shares([rate_of_lam(lam, scene.cost_unit_usd)])[0]
        order = [int(j) for j in np.argsort(-shares)[:3] if shares[j] > 0]
        named = ", ".join(f"{visible(scene.models[j])} {percent(shares[j], digits=0)}" for j in order)
        parts.append(f"at λ {lam_text(lam)}: {named}")
    return "Share of prompts each model answers; " + "; ".join(parts) + "."


def shares_exhibit(scene: Scene) -> Exhibit:
    """Shares of the models at each λ, for the active curve of a scene."""
    name = scene.active
    return Exhibit(
        name=f"shares-{name.split(' ')[0]}",
        title=f"Who answers: {visible(label(name))}",
        caption=f"Share of the prompts that each model answers when {visible(label(name))} routes, at every λ"
        + (f", together by {scene.grouping.by}." if scene.grouping else "; the cheapest model is at the bottom."),
        alt=f"{visible(label(name))}. {share_text(scene)}",
        table=_shares(scene),
        draw=lambda theme: share_figure(scene, theme),
    )


def _shares(scene: Scene) -> pd.DataFrame:
    lams = np.linspace(0, 1, 101)
    shares = scene.active_curve.frontier.shares([rate_of_lam(float(lam), scene.cost_unit_usd) for lam in lams])
    table = pd.DataFrame(shares, columns=list(scene.active_curve.frontier.models)).assign(lam=lams)
    return table.melt("lam", var_name="model", value_name="share").assign(router=scene.active)
