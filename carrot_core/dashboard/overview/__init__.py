"""The Overview page: every router on every benchmark, in figures that are links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from urllib.parse import urlencode

import streamlit as st

from carrot_core.bootstrap import Interval
from carrot_core.dashboard import links, views
from carrot_core.dashboard.exhibits import folding_table
from carrot_core.dashboard.glossary import see
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.dashboard.stores import Version, labels
from carrot_core.figures.scene import label
from carrot_core.number_formats import percent
from carrot_core.store import BenchmarkInfo
from carrot_core.verdict import whole_percent

Standing = tuple[Interval | None, Interval | None, bool]  # of `_standings`


def leaderboard(benchmarks: Sequence[BenchmarkInfo]) -> None:
    """Every router on every benchmark: two tables, in which each figure is a link to this page on both."""
    columns = {}
    for name, info in zip(labels(benchmarks), benchmarks, strict=True):
        with errors_as_text():  # a benchmark with damaged results has no column
            view = views.view(info)
            columns[name] = _standings(view, view.version)
    routers = dict.fromkeys(router for column in columns.values() for router in column)
    by_saving, by_gain = links.tabs(["Saving at equal accuracy", "Gain over the best single model"], "board")
    own = [name for name in routers if name.startswith("carrot")]
    others = [name for name in routers if name not in own] if own else []
    for tab, saving in ((by_saving, True), (by_gain, False)):
        tab.markdown(_board(own or list(routers), columns, saving=saving))
        if others:
            with tab.expander(f"{len(others)} other router{'s' if len(others) > 1 else ''}"):
                st.markdown(_board(others, columns, saving=saving))
    by_saving.caption(
        "Of the dollars of the best single model, at the point chosen to be as good as it; a dash: no point can "
        f"promise to be. Arrow keys go from figure to figure. {see('saving-at-equal-score')}"
    )
    by_gain.caption(f"At λ = 0, as a part of the best single model's accuracy. {see('gain-b')}")


@st.cache_data(max_entries=64, show_spinner="Reading every benchmark's results …")
def _standings(_view: views.View, version: Version) -> dict[str, Standing]:
    """By router: the gain over the best single model, the saving at the point chosen to match it, and whether that
    point is measurably less accurate; None if there is no such figure. ``version`` is that of the results."""
    rows = {}
    for router in views.drawable(_view):
        figures, match = _view.figures(router) or {}, _view.matching_point(router)
        gain, ends = figures.get("gain_best_single"), figures.get("intervals", {}).get("gain_best_single")
        worse = match is not None and match.score_difference.high < 0
        rows[router] = (
            None if gain is None else Interval(gain, *(ends or (nan, nan))),
            None if match is None else match.saving,
            worse,
        )
    return rows


def _board(routers: Sequence[str], columns: Mapping[str, Mapping[str, Standing]], *, saving: bool) -> str:
    rows = [
        [
            plain(label(router)),
            *(_cell(router, each.get(router), name, saving=saving) for name, each in columns.items()),
        ]
        for router in routers
    ]
    return folding_table(["Router", *map(plain, columns)], rows)


def _cell(router: str, standing: Standing | None, benchmark: str, *, saving: bool) -> str:
    """A figure with its interval, as a link; Markdown."""
    gain, saved, worse = standing or (None, None, False)
    interval = saved if saving else gain
    if interval is None or not isfinite(interval.value):
        return "–"
    gained = percent(interval.value, interval.low, interval.high, signed=True)
    words = plain(whole_percent(interval) if saving else gained)
    text = words.replace(" ", "\u00a0").replace("\u00a0\\[", " \\[")  # lines break only before an interval
    address = urlencode({"bench": benchmark, "router": label(router)})
    return f"[{text}](?{address})" + (" less accurate" if saving and worse else "")
