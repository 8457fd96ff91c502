"""Figures and tables on a page: an exhibit with its caption and downloads, and tables with columns of dollars."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from pandas.io.formats.style import Styler

from carrot_core.csv_latex import safe_csv
from carrot_core.dashboard import views
from carrot_core.dashboard.shell import errors_as_text, plain, theme
from carrot_core.dashboard.stores import PrivateInfo, Version, results_version
from carrot_core.evaluation.missing import gaps_by_model
from carrot_core.figures.exhibit import EXHIBIT_FORMATS, IMAGES, Exhibit, ExhibitFormat, browser
from carrot_core.figures.scene import NOT_KNOWN, Grouping
from carrot_core.figures.theme import ThemeName, model_looks
from carrot_core.number_formats import money, same_decimals
from carrot_core.results import Names, SnapshotInfo
from carrot_core.store import BenchmarkInfo
from carrot_core.store.info import RECORDED
from carrot_core.text import short_names, visible

_LABELS = {"csv": "Data (CSV)", "json": "Data (JSON)", "latex": "Table (LaTeX)", "html": "Page (HTML)"}
NO_TOOLS = {"displayModeBar": False}  # on a touch screen Plotly's toolbar always covers part of the chart
_PRINT: tuple[ThemeName, ...] = ("light", "print")


def file_stem(name: str) -> str:
    """A name reduced to characters that every system allows in file names."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40]


# Plotly's markers of models (`carrot_core.figures.theme.ModelLook`) as characters.
_MARKS = {
    "circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "triangle-down": "▼", "cross": "✚", "x": "✖",
    "circle-open": "○",
}  # fmt: skip
MARK = "\u2003"  # head of a column of marks, empty to the eye


MARK_COLUMN = {MARK: st.column_config.TextColumn(width=40)}


def marked(
    frame: pd.DataFrame, models: Sequence[str], palette: Sequence[str], grouping: Grouping | None, before: str = "Model"
) -> Styler:
    """A table with each row's model in its colour, before the model's column; where that is the first one and models
    have groups, with the group.

    Parameters
    ----------
    models : the model of each row.
    palette, grouping : those of the charts (`carrot_core.figures.scene.Scene`).
    """
    looks = model_looks(list(dict.fromkeys([*palette, *models])), theme(), grouping)
    place, frame = list(frame.columns).index(before), frame.reset_index(drop=True)
    frame.insert(place, MARK, [_MARKS[looks[model].marker] for model in models])
    if grouping is not None and place == 0 and grouping.by.capitalize() not in frame:
        groups = {model: name for name, of in grouping.groups for model in of}
        frame.insert(1, grouping.by.capitalize(), [groups.get(model, NOT_KNOWN) for model in models])
    return frame.style.apply(lambda _: [f"color: {looks[model].color}" for model in models], subset=[MARK])


def priced(table: pd.DataFrame | Styler, *columns: str, signed: bool = False) -> pd.DataFrame | Styler:
    """A table whose columns of dollars are written by `money` and still sort as numbers.

    Other columns of floats need a column format. A table too large for pandas to style is returned unchanged.
    """
    if isinstance(table, pd.DataFrame) and table.size > pd.get_option("styler.render.max_elements"):
        return table
    forms: dict[Any, str | Callable[[Any], str] | None] = {name: partial(money, signed=signed) for name in columns}
    return (table if isinstance(table, Styler) else table.style).format(forms, na_rep="–")


# Facts on a model, and the heads of their columns.
_PRICES = {"input_usd_per_mtok": "$/1M in", "output_usd_per_mtok": "$/1M out"}
_OF_PRICES = {"as_of": "Price as of", "source": "Price from"}
_KNOWN = {
    "model": "Model", **_PRICES, "provider": "Provider", "open_weights": "Open weights", "release_date": "Released",
    **_OF_PRICES,
}  # fmt: skip


def models_note(info: BenchmarkInfo) -> None:
    """The kind of costs, in a few words that open to each model's provider, release and price with date and source."""
    words = f"Costs: {plain(info.costs)}" if info.costs else "Models"
    with (
        st.popover(words, type="tertiary", icon=":material/sell:"),
        st.container(key="folding-known"),
        errors_as_text(),  # damaged prices of a snapshot must not break a page
    ):
        _models_table(info, results_version(info))


@st.cache_data(
    max_entries=64, show_spinner=False, hash_funcs=dict.fromkeys((BenchmarkInfo, SnapshotInfo, PrivateInfo), hash)
)
def _models_table(info: BenchmarkInfo, version: Version) -> None:
    """Draw the table of models; cached by the ``version`` of the data it is read from."""
    table = views.known_of_models(info)
    columns = {name: title for name, title in _KNOWN.items() if name in table and _says(table[name])}
    prices = [name for name in _PRICES if name in columns]
    of_all = {name: set(table.loc[table[prices].notna().any(axis=1), name]) for name in _OF_PRICES if name in columns}
    common = {name: str(next(iter(cells))) for name, cells in of_all.items() if len(cells) == 1}
    columns = {name: title for name, title in columns.items() if name not in (common if prices else _OF_PRICES)}
    words: dict[str, Callable[[Any], str]] = {name: same_decimals(table[name]).format for name in prices}
    words |= {"open_weights": lambda is_open: "yes" if is_open else "no"}
    rows = [
        [plain(words.get(name, visible)(row[name])) if _has_value(row[name]) else "" for name in columns]
        for row in table.to_dict("records")
    ]
    once = (f"{_OF_PRICES[name]}: {cell}." for name, cell in common.items())
    st.caption(plain(" ".join([_cost_words(info, prices), *once])))
    st.markdown(folding_table(list(map(plain, columns.values())), rows))


_GAPS_NAMED = 5  # models with gaps that are offered to be left out


def gaps_menu(view: views.View, pool: Names, tasks: Names) -> None:
    """Prompts without some model's outcome, in a few words that open to the models that lack most, each with a button
    that leaves it out of the pool; nothing without gaps, or where no model can be left out."""
    if not view.has_prompts:
        return
    judged = view.narrowed(pool, tasks).test
    rows, n_complete, n_prompts = gaps_by_model(judged), int(judged.outcomes.complete.sum()), len(judged.prompt_ids)
    if rows.empty or len(judged.models) < 2:
        return
    with st.popover(
        f"{n_prompts - n_complete:,} of {n_prompts:,} prompts with gaps", type="tertiary", icon=":material/rule:"
    ):
        st.caption(
            f"On {n_complete:,} of {n_prompts:,} prompts every model of the pool has an outcome. Elsewhere estimates, "
            "corrected by what was observed, stand in. Leaving out a model gives:"
        )
        names = short_names(judged.models)
        for model, n_missing, n_complete_without in rows.head(_GAPS_NAMED).itertuples(index=False):
            st.button(
                plain(f"Without {names[model]}, missing on {n_missing:,}: {n_complete_without:,} complete"),
                key=f"gaps:{model}", icon=":material/remove_circle:",
                on_click=_leave_out, args=(judged.models, model), type="tertiary",
            )  # fmt: skip
        if (others := len(rows) - _GAPS_NAMED) > 0:
            st.caption(f"{others} more models have gaps, of at most {rows['n_missing'][_GAPS_NAMED]:,} prompts each.")


def _leave_out(models: Names, model: str) -> None:
    st.session_state["pool"] = [other for other in models if other != model]


def _has_value(cell: Any) -> bool:
    return not pd.isna(cell) and cell != ""


def _says(column: pd.Series) -> bool:
    """Whether any cell of a column has a value."""
    return any(map(_has_value, column))


def folding_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; on a phone each row is a block, with the head of its column before each cell.

    Parameters
    ----------
    head : heads of the columns in Markdown, like the cells; the first column names the row.
    """
    lines = [head, ["---"] * len(head)]
    for first, *cells in rows:
        named = (f":gray[{title}] {cell}" if cell else "" for title, cell in zip(head[1:], cells, strict=True))
        lines.append([first, *named])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cost_words(info: BenchmarkInfo, prices: Sequence[str]) -> str:
    """Whether costs come from the prices below, in a sentence or two; ``prices`` are the columns that have any."""
    if info.costs.startswith(RECORDED):
        of_prices = "The prices below are for orientation: no" if prices else "No prices per token are known, so no"
        return f"Costs are the dollars recorded for each call. {of_prices} cost is computed from them."
    if prices:
        tokens = "input tokens" if prices == ["input_usd_per_mtok"] else "tokens"
        return f"If no dollars are recorded, a call costs its {tokens} times the prices below."
    return "The dollars of every call are known here; the prices per token behind them are not."


def csv_button(label: str, frame: Callable[[], pd.DataFrame], name: str) -> None:
    """Offer a table as CSV without formulas that a spreadsheet would run; it is built at the click."""
    st.download_button(label, lambda: safe_csv(frame()), f"{name}.csv", "text/csv", icon=":material/download:")


def show(exhibit: Exhibit, *, key: str, table: Callable[[], object] | None = None) -> None:
    """Draw an exhibit with its caption and its downloads.

    Parameters
    ----------
    key : unique on the page.
    table : draws the exhibit in place of the default figure or table.
    """
    if table is not None:
        table()
    elif exhibit.draw is not None:
        chart(exhibit.draw(theme()), key=key, alt=exhibit.alt)
    else:
        st.dataframe(exhibit.table, hide_index=True, alt=exhibit.alt, key=key)
    words, forms = st.columns([5, 1], vertical_alignment="top")
    words.caption(plain(exhibit.caption))
    with forms:
        take_away(exhibit, "Download", key=key)


def chart(figure: go.Figure, *, key: str, alt: str) -> None:
    """Draw a figure with its text in the page's font; the figure itself, which may be cached, stays as it is."""
    font = st.get_option("theme.font")
    on_page = go.Figure(figure).update_layout(font_family=font, hoverlabel_font_family=font)
    st.plotly_chart(on_page, key=key, theme=None, alt=alt, config=NO_TOOLS)


def take_away(exhibit: Exhibit, label: str, *, key: str) -> None:
    """A button that opens the list of an exhibit's downloads."""
    with st.popover(label, icon=":material/download:", type="tertiary", key=f"{key}:forms"):
        _downloads(exhibit, key)


def _downloads(exhibit: Exhibit, key: str) -> None:
    usable = [form for form in EXHIBIT_FORMATS.values() if exhibit.draw is not None or not form.of_figure]
    for form in usable:
        if form.name in IMAGES and browser() is None:
            continue
        for look in _PRINT if form.of_figure else ("light",):
            _button(exhibit, form, look, key)
    if exhibit.draw is not None and browser() is None:
        st.caption("PNG, SVG and PDF need Chromium or Chrome on the machine that serves this page: none was found.")


def _button(exhibit: Exhibit, form: ExhibitFormat, look: ThemeName, key: str) -> None:
    def content() -> bytes:
        return form.make(exhibit, look)

    label = _LABELS.get(form.name, f"Figure ({form.name.upper()})")
    ending = "-print" if look == "print" else ""
    st.download_button(
        label + (", black and white" if look == "print" else ""), content, f"{exhibit.name}{ending}{form.ending}",
        form.media_type, key=f"{key}:{form.name}:{look}", type="tertiary", on_click="ignore",
    )  # fmt: skip
