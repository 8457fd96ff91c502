"""The paper's figures on a page: choose one, see it with its caption, download it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from carrot_core.dashboard import compare, links
from carrot_core.dashboard.exhibits import NO_TOOLS, show
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.shell import plain, theme
from carrot_core.dashboard.views import View
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.frontier import PLOT
from carrot_core.paper import PRESETS, NotDrawnError, Preset
from carrot_core.paper.accuracy import ROWS
from carrot_core.paper.curves import first_carrot
from carrot_core.paper.spider import TITLES, spider_figure
from carrot_core.text import short_names

_HEADS = {
    "n_test": "Test prompts",
    "models": "Models",
    "binarised_accuracy": "Binarised accuracy",
    "score_mae": "Score MAE (lower is better)",
    "r2": "R²",
    "routing_accuracy": "Accuracy at λ = 0",
    "best_single": "Best single model",
    "oracle": "Oracle",
    "cost_mae_usd": "Cost MAE, $ a call (lower is better)",
    "output_tokens_mae": "Output tokens MAE (lower is better)",
}
_FORMATS = {"n_test": ",.0f", "models": ",.0f", "cost_mae_usd": ".6f", "output_tokens_mae": ",.1f"}
# Labels beside points fit in a plot as wide as `frontier.PLOT`; a narrower one has them in the hover text only.
_NAMES = (
    "<style>.st-key-{key} {{ container-type: inline-size }}"
    f"@container (max-width: {PLOT[0] + 80:.0f}px) {{{{ .st-key-{{key}} .textpoint {{{{ display: none }}}} }}}}</style>"
)
_OWN = (
    "These figures have routers of their own, on the stored split: the routers and seeds above are for the other parts."
)


def paper_figures(view: View) -> None:
    """Choose a figure (``?figure=``) and show it, or say what it needs that this benchmark lacks."""
    for_figure, for_option = st.columns([2, 1], vertical_alignment="bottom")
    with for_figure:
        titles = {preset.title: preset for preset in PRESETS.values()}
        title = st.selectbox("Figure", list(titles), key="figure", bind="query-params")
        links.check_parameter("figure", links.among(list(titles)), title)
    preset = titles[title]
    st.caption(_OWN)
    try:
        with for_option:
            options = _options(preset, view)
        exhibit = preset.make(view, **options)
    except NotDrawnError as why:
        st.info(plain(str(why)))
        return
    key = f"paper-{preset.name}"
    if preset.name == "knn-accuracy":
        show(exhibit, key=key, table=lambda: _table(exhibit, key))
    elif preset.name == "spider" and exhibit.draw is not None:
        show(exhibit, key=key, table=lambda: _side_by_side(exhibit, key, view.models))
    else:
        if "oracle" in preset.options:
            st.html(_NAMES.format(key=key))
        show(exhibit, key=key)


def _options(preset: Preset, view: View) -> dict[str, object]:
    """Choose the options of a figure (``?of=``, ``?oracle=``)."""
    if "router" in preset.options:
        first = first_carrot(view.fitted)
        return {"router": compare.one(list(dict.fromkeys((first, *view.fitted, *view.baselines))))}
    if "oracle" in preset.options:
        oracle = st.toggle("Draw the oracle", key="oracle", bind="query-params", help=tip("oracle"))
        links.check_parameter("oracle", links.flag, "the oracle" if oracle else "no oracle")
        return {"oracle": oracle}
    return {}


def _side_by_side(exhibit: Exhibit, key: str, models: Sequence[str]) -> None:
    """The charts of both ways of choosing λ, one below the other on a narrow page."""
    reference = short_names(models)[exhibit.table["reference"].iloc[0]]
    for way, column in zip(TITLES, st.columns(len(TITLES)), strict=True):
        figure = spider_figure(exhibit.table, theme(), (way,), reference=reference)
        alt = f"{TITLES[way]}. {exhibit.alt}"
        column.plotly_chart(figure, key=f"{key}-{way}", theme=None, alt=alt, config=NO_TOOLS)


def _table(exhibit: Exhibit, key: str) -> None:
    """The table with a row for each figure, so that it fits on a narrow page."""
    rows = exhibit.table.set_index("row")
    cells = {
        head: [_cell(rows, row, name) for row in ROWS] for name, head in _HEADS.items() if name in exhibit.table.columns
    }
    table = pd.DataFrame.from_dict(cells, "index", columns=list(ROWS)).rename_axis("Figure").reset_index()
    display = pd.DataFrame({"Figure": table["Figure"], "Here": table[ROWS[0]]})
    display["95 % interval"] = [
        f"{low} to {high}" if low != high else "" for low, high in zip(table[ROWS[1]], table[ROWS[2]], strict=True)
    ]
    if ROWS[3] in rows.index:
        display["Published"] = table[ROWS[3]]
    st.dataframe(display, hide_index=True, alt=exhibit.alt, key=key, height="content")


def _cell(rows: pd.DataFrame, row: str, name: str) -> str:
    value = rows[name].get(row)
    return "" if value is None or pd.isna(value) else f"{float(value):{_FORMATS.get(name, '.4f')}}"
