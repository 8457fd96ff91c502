"""An exhibit on a page: the figure or table, how to read it, and every form to take it away in."""

from __future__ import annotations

import re
from collections.abc import Callable

import streamlit as st

from carrot_core.dashboard.shell import plain, theme
from carrot_core.figures.exhibit import EXHIBIT_FORMATS, IMAGES, Exhibit, ExhibitFormat, browser
from carrot_core.figures.theme import ThemeName

_LABELS = {"csv": "Data (CSV)", "json": "Data (JSON)", "latex": "Table (LaTeX)", "html": "Page (HTML)"}
NO_TOOLS = {"displayModeBar": False}  # on a touch screen Plotly's tools lie over the chart for good
_PRINT: tuple[ThemeName, ...] = ("light", "print")


def file_stem(name: str) -> str:
    """Of a name only what every system takes in the name of a file."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40]


def show(exhibit: Exhibit, *, key: str, table: Callable[[], object] | None = None) -> None:
    """Draw an exhibit with its caption and its downloads.

    Parameters
    ----------
    key : unique on the page.
    table : draws the table, or the figure in parts, where the plain one will not do.
    """
    if table is not None:
        table()
    elif exhibit.draw is not None:
        # Plotly's bar of tools lies over the chart on a phone, where it is always there.
        st.plotly_chart(exhibit.draw(theme()), key=key, theme=None, alt=exhibit.alt, config=NO_TOOLS)
    else:
        st.dataframe(exhibit.table, hide_index=True, alt=exhibit.alt, key=key)
    words, forms = st.columns([5, 1], vertical_alignment="top")
    words.caption(plain(exhibit.caption))
    with forms:
        take_away(exhibit, "Download", key=key)


def take_away(exhibit: Exhibit, label: str, *, key: str) -> None:
    """A button that opens every form of an exhibit to download."""
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
    def made() -> bytes:
        return form.make(exhibit, look)

    label = _LABELS.get(form.name, f"Figure ({form.name.upper()})")
    ending = "-print" if look == "print" else ""
    st.download_button(
        label + (", black and white" if look == "print" else ""), made, f"{exhibit.name}{ending}{form.ending}",
        form.media_type, key=f"{key}:{form.name}:{look}", type="tertiary", on_click="ignore",
    )  # fmt: skip
