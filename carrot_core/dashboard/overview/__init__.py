"""The Overview page: the three figures of a verdict, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import isfinite, isnan
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from carrot_core.bootstrap import Interval
from carrot_core.dashboard import views
from carrot_core.dashboard.glossary import see, tip
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.dashboard.stores import labels
from carrot_core.figures.scene import label
from carrot_core.number_formats import NOTHING_TO_SAVE, CostBasis, lam_text, money, percent
from carrot_core.store import BenchmarkInfo
from carrot_core.verdict import Verdict, whole_percent

Standing = tuple[Interval | None, Interval | None, bool]  # of `views.standings`


def figure(
    place: DeltaGenerator, label: str, interval: Interval, text: Callable[[float], str], help: str | None = None
) -> None:
    """One number, formatted by ``text``, with its 95 % interval below it where it has one; ``help`` is a text of
    `carrot_core.dashboard.glossary.tip`."""
    value, low, high = (text(number) for number in (interval.value, interval.low, interval.high))
    place.metric(plain(label), value, help=help)
    place.caption("No interval is kept here." if isnan(interval.low) else plain(f"95 % interval {low} to {high}"))


def figures(places: tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator], verdict: Verdict, basis: CostBasis) -> None:
    """Accuracy, cost and saving of the point that a verdict is on; a dash where the reference costs nothing."""
    accuracy, cost, saving = places
    figure(accuracy, f"Accuracy at λ {lam_text(verdict.lam)}", verdict.score, percent, tip("accuracy", "lambda"))
    figure(cost, f"Cost {basis.words}", verdict.cost_usd, lambda usd: money(basis.calls * max(usd, 0.0)), tip("cost"))
    name, help = f"Saving against {verdict.reference_name}", tip("saving", "95-interval")
    if isfinite(verdict.saving.value):
        figure(saving, name, verdict.saving, partial(percent, digits=0), help)
    else:
        saving.metric(plain(name), "–", help=help)
        saving.caption(plain(f"{NOTHING_TO_SAVE.capitalize()}."))


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
    text = (whole_percent(interval) if saving else gained).replace(", ", ",\u00a0").replace(" %", "\u00a0%")
    address = urlencode({"bench": benchmark, "router": label(router)})
    return f"[{plain(text)}](?{address})" + (" less accurate" if saving and worse else "")
