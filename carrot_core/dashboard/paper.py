"""The paper's figures on a page: choose one, see it with its words, take it away."""

from __future__ import annotations

import streamlit as st

from carrot_core.dashboard import compare_controls as choose
from carrot_core.dashboard import links
from carrot_core.dashboard.exhibits import show
from carrot_core.dashboard.shell import plain, theme
from carrot_core.dashboard.views import View
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.paper import PRESETS, NotDrawnError, Preset
from carrot_core.figures.paper.accuracy import METRICS
from carrot_core.figures.paper.shown import first_carrot
from carrot_core.figures.paper.spider import TITLES, spider_figure
from carrot_core.routers import BASELINES

_HEADS = {
    "row": "",
    "benchmark": "Benchmark",
    "n_test": "Test prompts",
    "models": "Models",
    **dict(
        zip(
            METRICS,
            (
                "Binarised accuracy",
                "Score MAE (lower is better)",
                "R²",
                "Accuracy at λ = 0",
                "Best single",
                "Oracle",
                "Cost MAE, $ a call (lower is better)",
                "Output tokens MAE (lower is better)",
            ),
            strict=True,
        )
    ),
}
_FORMATS = {"cost_mae_usd": "%.6f", "output_tokens_mae": "%.1f"}


def paper_figures(seen: View) -> None:
    """Show the figure chosen (``?figure=``), or say what it lacks on this benchmark."""
    for_figure, for_option = st.columns([2, 1], vertical_alignment="bottom")
    with for_figure:
        titles = {preset.title: preset for preset in PRESETS.values()}
        title = st.selectbox("Figure", list(titles), key="figure", bind="query-params")
        links.judge("figure", links.among(list(titles)), title)
    preset = titles[title]
    try:
        with for_option:
            options = _options(preset, seen)
        exhibit = preset.make(seen, **options)
    except NotDrawnError as why:
        st.info(plain(str(why)))
        return
    key = f"paper-{preset.name}"
    if exhibit.draw is None:
        show(exhibit, key=key, table=lambda: _table(exhibit, key))
    elif preset.name == "spider":
        show(exhibit, key=key, table=lambda: _side_by_side(exhibit, key))
    else:
        show(exhibit, key=key)


def _options(preset: Preset, seen: View) -> dict[str, object]:
    """What else there is to choose about a figure (``?of=``, ``?oracle=``)."""
    if "router" in preset.options:
        first = first_carrot(seen.fitted)
        return {"router": choose.one(list(dict.fromkeys((first, *seen.fitted, *BASELINES))))}
    if "oracle" in preset.options:
        return {"oracle": st.toggle("Draw the oracle", key="oracle", bind="query-params")}
    return {}


def _side_by_side(exhibit: Exhibit, key: str) -> None:
    """Both ways of choosing λ; one below the other where the page is narrow."""
    for way, column in zip(TITLES, st.columns(len(TITLES)), strict=True):
        figure = spider_figure(exhibit.table, theme(), (way,))
        column.plotly_chart(figure, key=f"{key}-{way}", theme=None, alt=f"{TITLES[way]}. {exhibit.alt}")


def _table(exhibit: Exhibit, key: str) -> None:
    columns = {
        name: st.column_config.NumberColumn(_HEADS[name], format=_FORMATS.get(name, "%.4f"))
        if name in METRICS
        else _HEADS[name]
        for name in exhibit.table.columns
        if name in _HEADS
    }
    st.dataframe(exhibit.table, hide_index=True, column_config=columns, alt=exhibit.alt, key=key)
