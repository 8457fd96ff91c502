"""How often two routers choose the same model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.evaluation import Setting
from carrot_core.evaluation.tables import LAMS
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import (
    THEMES,
    ThemeName,
    layout_with_axes,
    names_of,
    rising,
    router_names,
    words_in_cells,
)
from carrot_core.frontier import rate_of_lam
from carrot_core.number_formats import lam_text, percent
from carrot_core.outcomes import Estimates, pick
from carrot_core.text import visible

_SAME = 0.995  # share of the prompts from which two routers choose alike


def agreement(setting: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Share of the prompts reported on that two routers give to the same model, at the same λ.

    Columns router, other, lam, n_prompts, agreement (0 to 1). Every ordered pair is there, a router with itself
    too, so that part of the routers can be taken out of the table.
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
    """Share of the prompts that two routers give to the same model, at one λ.

    Parameters
    ----------
    table : `carrot_core.compare.agreement.agreement` of the routers to show.
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
    look, routers = THEMES[theme], names_of(rows["router"])
    names = router_names(routers, 22)
    square = rows.pivot(index="router", columns="other", values="agreement").reindex(index=routers, columns=routers)
    shares = 100 * square.to_numpy(dtype=float, copy=True)
    np.fill_diagonal(shares, np.nan)
    figure = go.Figure(
        go.Heatmap(
            # From the lowest share, so that the cells differ, and over ten points at least, so that noise stays pale.
            x=names, y=names, z=shares, zmin=min(90.0, float(np.nanmin(shares))), zmax=100, colorscale=rising(theme),
            showscale=False, hoverongaps=False, xgap=1, ygap=1, texttemplate="%{z:.0f}",
            textfont=words_in_cells(theme, len(routers)), hovertemplate="%{y} and %{x}: %{z:.1f} %<extra></extra>",
        )
    )  # fmt: skip
    return figure.update_layout(
        layout_with_axes(
            look, 110 + 30 * len(routers), margin={"l": 8, "r": 16, "t": 16, "b": 8},
            xaxis={"side": "top", "tickangle": -40, "showgrid": False, "type": "category"},
            yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
        )
    )  # fmt: skip
