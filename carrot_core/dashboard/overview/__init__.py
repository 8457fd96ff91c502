"""The Overview page: every router on every benchmark, in figures that are links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from urllib.parse import urlencode

import streamlit as st

from carrot_core.bootstrap import Interval
from carrot_core.dashboard import views
from carrot_core.dashboard.glossary import see
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.dashboard.stores import labels
from carrot_core.figures.scene import label
from carrot_core.number_formats import percent
from carrot_core.store import BenchmarkInfo
from carrot_core.verdict import whole_percent

Standing = tuple[Interval | None, Interval | None, bool]  # of `views.standings`


def leaderboard(benchmarks: Sequence[BenchmarkInfo]) -> None:
    """Every router on every benchmark: two tables, in which each figure is a link to this page on both."""
    columns = {}
    for name, info in zip(labels(benchmarks), benchmarks, strict=True):
        with errors_as_text():  # one whose results are damaged has no column
            view = views.view(info)
            columns[name] = views.standings(view, view.version)
    routers = dict.fromkeys(router for column in columns.values() for router in column)
    by_saving, by_gain = st.tabs(["Saving at equal accuracy", "Gain over the best single model"])
    for tab, saving in ((by_saving, True), (by_gain, False)):
        lines = [_row("Router", map(plain, columns)), "|---" * (len(columns) + 1) + "|"]
        for router in routers:
            cells = (
                _cell(router, column[router], name, saving=saving) if router in column else "–"
                for name, column in columns.items()
            )
            lines.append(_row(plain(label(router)), cells))
        tab.markdown("\n".join(lines))
    by_saving.caption(
        "Of the dollars of the best single model, at the point chosen to be as good as it; a dash: no point can "
        f"promise to be. {see('saving-at-equal-score')}"
    )
    by_gain.caption(f"At λ = 0, as a part of the best single model's accuracy. {see('gain-b')}")


def _row(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"


def _cell(router: str, standing: Standing, benchmark: str, *, saving: bool) -> str:
    """A figure with its interval, as a link; Markdown."""
    gain, saved, worse = standing
    interval = saved if saving else gain
    if interval is None or not isfinite(interval.value):
        return "–"
    gained = percent(interval.value, interval.low, interval.high, signed=True)
    words = plain(whole_percent(interval) if saving else gained)
    text = words.replace(" ", "\u00a0").replace("\u00a0\\[", " \\[")  # a line ends before an interval only
    address = urlencode({"bench": benchmark, "router": label(router)})
    return f"[{text}](?{address})" + (" less accurate" if saving and worse else "")
