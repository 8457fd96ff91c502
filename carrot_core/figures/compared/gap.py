"""What stands between routers and the oracle, as bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.analyses.decomposition import AIQ, GAP
from carrot_core.figures.compared.frame import HUNDRED, PATTERNS, each, layout, names_of, router_names
from carrot_core.figures.compose import label
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, ThemeName
from carrot_core.text import visible

WORDS = {
    "scores": "Observed scores",
    "costs": "Observed costs",
    "rest": "Only both together",
    "reach": "Models out of reach",
    "task_label": "The task label",
}


def gap_exhibit(table: pd.DataFrame, lam: float | None = None) -> Exhibit:
    """What would close the gap to the oracle, in AIQ or, at one λ, in utility.

    Parameters
    ----------
    table : `carrot_core.analyses.decomposition.decomposition` of the routers to show.
    lam : one of its λ; None for AIQ.
    """
    at = (table["measure"] == AIQ) if lam is None else np.isclose(table["lam"], lam)
    rows = table[at & table["part"].isin([*WORDS, "gap"])].reset_index(drop=True)
    what = "AIQ" if lam is None else f"utility at λ {lam:g}"
    gaps = rows[rows["part"] == "gap"]
    named = "; ".join(_sentence(rows, row.router, row.value) for row in each(gaps))
    return Exhibit(
        name="gap-to-oracle" + ("" if lam is None else f"-lam-{lam:g}".replace(".", "-")),
        title=f"Gap to the oracle in {what}",
        caption=f"Points of {what}, {HUNDRED}, that each router would gain if it knew more; the first four add up to "
        "its gap to the oracle. “Only both together” is what observed scores and costs bring jointly beyond their "
        "sum, and is negative where one makes the other needless. The task label stands beside: estimates moved to "
        "each task's training means. A score observed is one draw of a model's answer, luck included, so no router "
        "can close the whole gap.",
        alt=f"Gap to the oracle in {what}, times 100. {named}.",
        table=rows,
        draw=lambda theme: _bars(rows, what, theme),
    )


def _sentence(rows: pd.DataFrame, router: str, gap: float) -> str:
    of = rows[rows["router"] == router].dropna(subset=["value"])
    inside, apart = (
        ", ".join(f"{WORDS[row.part].lower()} {100 * row.value:+.1f}" for row in each(of[of["part"].isin(parts)]))
        for parts in (GAP, ["task_label"])
    )
    return f"{visible(label(router))}: {100 * gap:.1f}, of which {inside}{apart and f' (apart from it, {apart})'}"


def _bars(rows: pd.DataFrame, what: str, theme: ThemeName) -> go.Figure:
    look, routers = THEMES[theme], names_of(rows["router"])
    names = router_names(routers)
    figure = go.Figure()
    for place, (part, words) in enumerate(WORDS.items()):
        of = rows[rows["part"] == part].set_index("router").reindex(routers)
        if part not in GAP and of["value"].isna().all():
            continue  # no tasks
        color = look.curves[(1, 0, 2, 3, 4)[place]] if theme != "print" else ("#ffffff", "#bdbdbd")[place % 2]
        figure.add_trace(
            go.Bar(
                y=names, x=100 * of["value"], orientation="h", name=words,
                marker={"color": color, "line": {"color": look.ink, "width": 0.5},
                        "pattern": {"shape": PATTERNS[place], "bgcolor": color, "fgcolor": look.ink, "size": 6,
                                "solidity": 0.2}},
                error_x={"type": "data", "symmetric": False, "color": look.ink, "thickness": 1, "width": 2,
                         "array": 100 * (of["high"] - of["value"]).clip(lower=0),
                         "arrayminus": 100 * (of["value"] - of["low"]).clip(lower=0)},
                hovertemplate=f"%{{y}}, {words.lower()}: %{{x:+.2f}}<extra></extra>",
            )
        )  # fmt: skip
    return figure.update_layout(
        layout(
            look, 120 + 84 * len(routers), barmode="group", bargap=0.25,
            xaxis={"title": f"Points of {what}", "zeroline": True, "zerolinecolor": look.ink},
            yaxis={"autorange": "reversed", "type": "category", "showgrid": False},
        )
    )  # fmt: skip
