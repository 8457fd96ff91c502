"""Operating points side by side, and how far each is from the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from carrot_core.bootstrap import Interval
from carrot_core.dashboard import tables
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.points import keep as words
from carrot_core.dashboard.points.places import data_of
from carrot_core.dashboard.shell import plain
from carrot_core.dashboard.stores import Version, version_of
from carrot_core.errors import CarrotError
from carrot_core.evaluation import make_setting
from carrot_core.figures.scene import label, short_name
from carrot_core.frontier import Frontier
from carrot_core.number_formats import QUERIES, lam_text, pays, percent
from carrot_core.points.difference import Difference, paired, unpaired
from carrot_core.points.shelf import ShelfPoint
from carrot_core.serving.point import PointFile
from carrot_core.serving.router import CarrotRouter
from carrot_core.store import Store
from carrot_core.text import visible

_AT_FIRST = 2
_NAMES_WIDE = 180  # pixels: on a phone the points need room, too
_MODELS_SHOWN = 5
_SHARE = 0.005  # of the prompts: less is told as "under 0.5 %"


def compare(kept: Sequence[ShelfPoint]) -> None:
    """Choose two points or more, and see them beside one another."""
    named = distinct_names(kept)
    opened = sorted(named, key=lambda name: named[name].point.test is None)  # those of which there is something to tell
    chosen = st.multiselect(
        "Compare", list(named), opened[:_AT_FIRST], format_func=visible, key="compare",
        placeholder="Choose points",
        help=tip("operating-point", "paired-difference", also="Differences are to the first one."),
    )  # fmt: skip
    if len(chosen) < _AT_FIRST:
        st.info("Choose at least two points to see them side by side.")
        return
    points = {name: named[name].point for name in chosen}
    shown = side_by_side(points)
    st.dataframe(
        shown.rename(columns=visible),
        column_config={"": st.column_config.TextColumn(pinned=True, width=_NAMES_WIDE)},
        hide_index=True,
        height="content",
        alt=f"What {len(points)} operating points are and do, one column a point.",
    )
    differences(points)
    tables.csv_button("Download this comparison (CSV)", lambda: figures_frame(points), "operating-points")


def distinct_names(kept: Sequence[ShelfPoint]) -> dict[str, ShelfPoint]:
    """Points by a name of their own: of those with the same name, each but the first has its id behind it."""
    named: dict[str, ShelfPoint] = {}
    for point in kept:
        named[point.name if point.name not in named else f"{point.name} ({point.id[:6]})"] = point
    return named


def side_by_side(points: Mapping[str, PointFile]) -> pd.DataFrame:
    """A row a property, a column a point; text."""
    rows = {
        "Router": lambda point: label(point.router),
        "Benchmark": lambda point: visible(point.benchmark),
        "λ": lambda point: lam_text(point.lam),
        "Pays": lambda point: pays(point.exchange_rate_per_usd),
        "Accuracy (test)": lambda point: words.accuracy(point.test),
        "$ per 1k (test)": lambda point: words.cost(point.test),
        "Accuracy (validation)": lambda point: words.accuracy(point.validation),
        "$ per 1k (validation)": lambda point: words.cost(point.validation),
        "Test prompts": lambda point: "" if point.test is None else f"{point.test.n_prompts:,}",
        "Pool": lambda point: f"{len(point.pool)} models",
        "Fallback": lambda point: "none" if point.fallback is None else short_name(point.fallback),
        "Prices as of": words.prices,
        "Made": words.when,
    }
    table = [[name, *(tell(point) for point in points.values())] for name, tell in rows.items()]
    for model in _main_models(list(points.values())):
        table.append([f"by {short_name(model)}", *(_share(point, model) for point in points.values())])
    return pd.DataFrame(table, columns=["", *points])


def _main_models(points: Sequence[PointFile]) -> list[str]:
    """The models that answer most, at whichever point."""
    most: dict[str, float] = {}
    for point in points:
        for model, share in (point.shares or {}).items():
            most[model] = max(share, most.get(model, 0.0))
    return [model for model in sorted(most, key=lambda model: -most[model]) if most[model] >= _SHARE][:_MODELS_SHOWN]


def _share(point: PointFile, model: str) -> str:
    if point.shares is None:
        return words.NOT_MEASURED
    if model not in point.shares:
        return "not in the pool"
    share = point.shares[model]
    return percent(share) if share >= _SHARE or share == 0 else "under 0.5 %"


def differences(points: Mapping[str, PointFile]) -> None:
    """Every point but the first, minus the first."""
    (first, base), *others = points.items()
    table, unmeasured = [], []
    for name, point in others:
        found = difference(point, base)
        if found is None:
            unmeasured.append(name)
        else:
            same = _same_test(point, base)
            how = "prompt by prompt" if found.paired else "of the means" if same else "of other data"
            table.append([visible(name), *_apart(found.score, 100), *_apart(found.cost_usd, QUERIES), how])
    st.markdown(f"**Difference to {plain(visible(first))} on test**")
    if table:
        _difference_table(table, visible(first))
    if unmeasured:
        st.caption(
            "Nothing was measured on a pool or prices of one's own, so there is no difference to tell for "
            + ", ".join(plain(visible(name)) for name in (unmeasured if base.test else [first]))
            + "."
        )


def _difference_table(table: list[list[object]], first: str) -> None:
    columns = ["Point", "Accuracy", "low", "high", "$ per 1k", "$ low", "$ high", "Measured"]
    accuracy, dollars = (
        st.column_config.NumberColumn(format=form, help=tip(of, "95-interval"))
        for form, of in (("%+.2f", "accuracy"), (None, "cost"))
    )
    st.dataframe(
        tables.priced(pd.DataFrame(table, columns=columns), *columns[4:7], signed=True),
        hide_index=True,
        column_config={
            "Point": st.column_config.TextColumn(pinned=True, width=_NAMES_WIDE),
            **dict.fromkeys(columns[1:4], accuracy),
            **dict.fromkeys(columns[4:7], dollars),
        },
        alt=f"How far each point is from {first} in accuracy points and dollars per 1k queries, with 95 % intervals.",
    )
    said = ["Accuracy in points, with 95 % intervals: one across 0 shows no difference."]
    measured = {row[-1] for row in table}
    if "prompt by prompt" in measured:
        said.append("Prompt by prompt: both points decided the same test prompts of the loaded data (bootstrap).")
    if "of the means" in measured:
        said.append(
            "Of the means: the errors of the two are taken as independent, which on the same prompts makes the "
            "interval wider than it need be; with the data loaded the points are compared prompt by prompt."
        )
    if "of other data" in measured:
        said.append(
            "Of other data: the points were measured on different prompts, so the difference may come from the prompts."
        )
    st.caption(" ".join(said))


def _same_test(one: PointFile, other: PointFile) -> bool:
    return (one.benchmark, one.data_hash) == (other.benchmark, other.data_hash)


def _apart(interval: Interval, factor: float) -> tuple[float, float, float]:
    return factor * interval.value, factor * interval.low, factor * interval.high


def difference(one: PointFile, other: PointFile) -> Difference | None:
    """One point minus another: prompt by prompt where their data and routers are here; None where not measured."""
    if one.test is None or other.test is None:
        return None
    found = None
    if _same_test(one, other):
        on_one, on_other = _test_curve(one), _test_curve(other)
        if on_one is not None and on_other is not None:
            found = paired(one, on_one, other, on_other)
    return found or unpaired(one.test, other.test)


def _test_curve(point: PointFile) -> Frontier | None:
    """The exact test curve of a point's router, where the data and that very router are here."""
    info = data_of(point)
    if info is None:
        return None
    try:
        return _measured(version_of(info), info.name, point.source, point.router, point.artefact)
    except CarrotError:
        return None  # the means are compared instead, and the table says so


@st.cache_resource(max_entries=8, show_spinner="Measuring on the test prompts …")
def _measured(version: Version, name: str, source: str, router: str, artefact: str) -> Frontier | None:
    store = Store(Path(version.path))
    loaded = CarrotRouter.load(source, router=router, store=store)
    if loaded.artefact != artefact:
        return None
    made = make_setting(store.load(name, encoder=loaded.companion.encoder))
    return made.frontier({"test": loaded.estimates(made.test)}, "test")


def figures_frame(points: Mapping[str, PointFile]) -> pd.DataFrame:
    """A row a point, full figures: what the side by side table rounds."""
    rows = []
    for name, point in points.items():
        row: dict[str, object] = {"point": name} | {
            field: getattr(point, field)
            for field in ("router", "benchmark", "lam", "exchange_rate_per_usd", "cost_unit_usd", "created_at")
        }
        for split in ("validation", "test"):
            figures = getattr(point, split)
            row |= {} if figures is None else {f"{split}_{key}": value for key, value in figures.model_dump().items()}
        rows.append(row | {f"share {model}": share for model, share in (point.shares or {}).items()})
    return pd.DataFrame(rows)
