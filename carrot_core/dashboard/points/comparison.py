"""Operating points side by side, and how far each is from the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from carrot_core.bootstrap import Interval
from carrot_core.dashboard import work
from carrot_core.dashboard.exhibits import csv_button, priced
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.points import (
    NOT_MEASURED,
    basis_of,
    data_of,
    describe_accuracy,
    describe_cost,
    describe_date,
    describe_prices,
    test_figures,
)
from carrot_core.dashboard.shell import plain
from carrot_core.dashboard.stores import Version, version_of
from carrot_core.errors import CarrotError
from carrot_core.evaluation import make_setting
from carrot_core.evaluation.protocol import WITHOUT_TASK
from carrot_core.evaluation.runs import Trial, stored_run
from carrot_core.figures.scene import label
from carrot_core.frontier import Frontier
from carrot_core.number_formats import lam_text, pays, percent
from carrot_core.points import Difference, ShelfPoint, paired, unpaired
from carrot_core.serving import CarrotRouter
from carrot_core.serving.point import PointFile
from carrot_core.store import Store
from carrot_core.text import short_names, visible

_AT_FIRST = 2
_NAMES_WIDE = 180  # pixels; leaves room for the points on a phone
_MODELS_SHOWN = 5
_SHARE = 0.005  # of the prompts; a smaller share is shown as "under 0.5 %"


def compare(records: Sequence[ShelfPoint]) -> None:
    """Choose at least two points and see them side by side."""
    by_name = distinct_names(records)
    order = sorted(by_name, key=lambda name: by_name[name].point.test is None)  # measured points first
    for_choice, for_differences = st.columns([2, 3], gap="medium")
    choice = for_choice.multiselect(
        "Side by side", list(by_name), order[:_AT_FIRST], format_func=visible, key="compare",
        placeholder="Choose points",
        help=tip("operating-point", "paired-difference", also="Differences are to the first one."),
    )  # fmt: skip
    if len(choice) < _AT_FIRST:
        st.info("Choose at least two points to see them side by side.")
        return
    points = {name: by_name[name].point for name in choice}
    with for_differences:
        differences(points)
    with st.expander("All figures of these points"):
        st.dataframe(
            side_by_side(points).rename(columns=visible),
            column_config={"": st.column_config.TextColumn(pinned=True, width=_NAMES_WIDE)},
            hide_index=True,
            height="content",
            alt=f"What {len(points)} operating points are and do, one column a point.",
        )
        csv_button("Download this comparison (CSV)", lambda: figures_frame(points), "operating-points")


def distinct_names(records: Sequence[ShelfPoint]) -> dict[str, ShelfPoint]:
    """Points by unique name: of points with the same name, all but the first get their id appended."""
    by_name: dict[str, ShelfPoint] = {}
    for point in records:
        by_name[point.name if point.name not in by_name else f"{point.name} ({point.id[:6]})"] = point
    return by_name


def side_by_side(points: Mapping[str, PointFile]) -> pd.DataFrame:
    """A table of text with a row for each property and a column for each point."""
    names = short_names(model for point in points.values() for model in (*point.pool, *(point.shares or {})))
    rows = {
        "Router": lambda point: label(point.router),
        "Benchmark": lambda point: visible(point.benchmark),
        "λ": lambda point: lam_text(point.lam),
        "Pays": lambda point: pays(point.exchange_rate_per_usd),
        "Accuracy (test)": lambda point: describe_accuracy(test_figures(point)),
        "Cost (test)": lambda point: describe_cost(test_figures(point), basis_of(point)),
        "Accuracy (validation)": lambda point: describe_accuracy(point.validation),
        "Cost (validation)": lambda point: describe_cost(point.validation, basis_of(point)),
        "Test prompts": lambda point: "" if point.test is None else f"{point.test.n_prompts:,}",
        "Pool": lambda point: f"{len(point.pool)} models",
        "Fallback": lambda point: "none" if point.fallback is None else names[point.fallback],
        "Prices as of": describe_prices,
        "Made": describe_date,
    }
    table = [[name, *(tell(point) for point in points.values())] for name, tell in rows.items()]
    for model in _main_models(list(points.values())):
        table.append([f"by {names[model]}", *(_share(point, model) for point in points.values())])
    return pd.DataFrame(table, columns=["", *points])


def _main_models(points: Sequence[PointFile]) -> list[str]:
    """The models with the largest share at any point."""
    most: dict[str, float] = {}
    for point in points:
        for model, share in (point.shares or {}).items():
            most[model] = max(share, most.get(model, 0.0))
    return [model for model in sorted(most, key=lambda model: -most[model]) if most[model] >= _SHARE][:_MODELS_SHOWN]


def _share(point: PointFile, model: str) -> str:
    if point.shares is None:
        return NOT_MEASURED
    if model not in point.shares:
        return "not in the pool"
    share = point.shares[model]
    return percent(share) if share >= _SHARE or share == 0 else "under 0.5 %"


def differences(points: Mapping[str, PointFile]) -> None:
    """The difference of every other point to the first."""
    (first, base), *others = points.items()
    basis = basis_of(base)
    table, unmeasured = [], []
    for name, point in others:
        result = difference(point, base)
        if result is None:
            unmeasured.append(name)
        else:
            same = _same_test(point, base)
            how = "prompt by prompt" if result.paired else "of the means" if same else "of other data"
            table.append([visible(name), *_scale(result.score, 100), *_scale(result.cost_usd, basis.calls), how])
    st.markdown(f"**Difference to {plain(visible(first))}**")
    if table:
        _difference_table(table, visible(first), basis.words)
    if unmeasured:
        st.caption(
            "Nothing was measured on a pool or prices of one's own, so there is no difference to show for "
            + ", ".join(plain(visible(name)) for name in (unmeasured if base.test else [first]))
            + "."
        )


def _difference_table(table: list[list[object]], first: str, words: str) -> None:
    columns = ["Point", "Accuracy", "low", "high", f"$ {words}", "$ low", "$ high", "Measured"]
    accuracy, dollars = (
        st.column_config.NumberColumn(format=form, help=tip(of, "95-interval"))
        for form, of in (("%+.2f", "accuracy"), (None, "cost"))
    )
    st.dataframe(
        priced(pd.DataFrame(table, columns=columns), *columns[4:7], signed=True),
        hide_index=True,
        column_config={
            "Point": st.column_config.TextColumn(pinned=True, width=_NAMES_WIDE),
            **dict.fromkeys(columns[1:4], accuracy),
            **dict.fromkeys(columns[4:7], dollars),
        },
        alt=f"How far each point is from {first} in accuracy points and dollars {words}, with 95 % intervals.",
    )
    lines = ["Accuracy in points, with 95 % intervals: one across 0 shows no difference."]
    measured = {row[-1] for row in table}
    if "prompt by prompt" in measured:
        lines.append("Prompt by prompt: both points decided the same prompts of the loaded data (bootstrap).")
    if "of the means" in measured:
        lines.append(
            "Of the means: errors are taken as independent, so on the same prompts intervals are wider than they "
            "need be; load the data to compare prompt by prompt."
        )
    if "of other data" in measured:
        lines.append(
            "Of other data: the points were measured on different prompts, so the difference may come from the prompts."
        )
    st.caption(" ".join(lines))


def _same_test(one: PointFile, other: PointFile) -> bool:
    return (one.benchmark, one.data_hash) == (other.benchmark, other.data_hash)


def _scale(interval: Interval, factor: float) -> tuple[float, float, float]:
    return factor * interval.value, factor * interval.low, factor * interval.high


def difference(one: PointFile, other: PointFile) -> Difference | None:
    """One point minus another, prompt by prompt if their data and routers are here; None if one was not measured."""
    if one.test is None or other.test is None:
        return None
    result = None
    if _same_test(one, other):
        on_one, on_other = _test_curve(one), _test_curve(other)
        if on_one is not None and on_other is not None:
            result = paired(one, on_one, other, on_other)
    return result or unpaired(one.test, other.test)


def _test_curve(point: PointFile) -> Frontier | None:
    """The exact curve of a point's router on prompts it never saw; None if the data or the router are not here."""
    info = data_of(point)
    if info is None:
        return None
    try:
        return _load_test_curve(version_of(info), info.name, point.source, point.router, point.artefact)
    except CarrotError:
        return None  # the means are compared instead, and the table says so


@work.cached(max_entries=8, show_spinner="Measuring both points …")
def _load_test_curve(version: Version, name: str, source: str, router: str, artefact: str) -> Frontier | None:
    store = Store(Path(version.path))
    carrot_router = CarrotRouter.load(source, router=router, store=store)
    if carrot_router.artefact != artefact:
        return None
    bench = store.load(name, encoder=carrot_router.profile.encoder)
    setting = make_setting(bench)
    if not setting.n_folds:
        return setting.frontier({"test": carrot_router.estimates(setting.test)}, "test")
    # It learned from all prompts, so only the rounds of its run show how it does on prompts it never saw.
    run = stored_run(store, Trial(bench, router)) if source == name else None
    if run is None or run.estimates is None:
        return None
    blind = run.estimates.get(f"{setting.report_on}{WITHOUT_TASK}", run.estimates[setting.report_on])
    return setting.frontier({setting.report_on: blind}, setting.report_on)


def figures_frame(points: Mapping[str, PointFile]) -> pd.DataFrame:
    """The comparison with unrounded figures, a row for each point."""
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
