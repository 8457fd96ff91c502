"""One kept point in question: whether logs still bear it out, and how sure it was from the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from carrot_core.benchmarks.column_names import guess_columns
from carrot_core.benchmarks.log_table import LOGGED, read_logs
from carrot_core.dashboard import views
from carrot_core.dashboard.data.upload import TYPES, first_rows, on_disk
from carrot_core.dashboard.exhibits import show
from carrot_core.dashboard.frontier.stability import stability_panel
from carrot_core.dashboard.glossary import see, tip
from carrot_core.dashboard.points.comparison import distinct_names
from carrot_core.dashboard.points.places import benchmark_of, differs_here, router_at
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.dashboard.tables import priced
from carrot_core.errors import DataError
from carrot_core.frontier import rate_of_lam
from carrot_core.number_formats import QUERIES
from carrot_core.points.drift import Drift, Tolerance, drift
from carrot_core.points.drift_report import about_models, describe, drift_exhibit, figures_of, headline
from carrot_core.points.shelf import PointShelf, ShelfPoint
from carrot_core.serving.point import PointFile
from carrot_core.serving.profile import Companion
from carrot_core.store import BenchmarkInfo
from carrot_core.text import visible

_FOUND = "drift:found"
_BOXES = 4  # a row
_ICONS = {"inside": ":material/check_circle:", "outside": ":material/error:", "too few": ":material/hourglass_empty:"}


def check_panel(found: Sequence[tuple[PointShelf, ShelfPoint]]) -> None:
    """Choose a kept point, and put it in question."""
    named = distinct_names([kept for _, kept in found])
    places = {kept.id: place for place, kept in found}
    name = str(st.selectbox("Point", list(named), format_func=visible, key="check"))
    kept = named[name]
    by_logs, sure = st.tabs(["Against logs", "How sure it is"], key="check:tabs", on_change="rerun")
    with by_logs, errors_as_text():
        _against_logs(places[kept.id], kept)
    with sure:
        if sure.open:
            with errors_as_text():
                _sure(kept.point)


def _against_logs(place: PointShelf, kept: ShelfPoint) -> None:
    if kept.point.test is None:
        st.info(
            "Nothing was measured on this point's pool or prices, so there is nothing to compare logs with. Keep a "
            "point of the whole pool at the benchmark's prices."
        )
        return
    st.write(
        "A file with a row for each call that was made: the model that answered, and of its score, dollars and tokens "
        "what is known. It stays in this browser session and goes with it."
    )
    uploaded = st.file_uploader(
        "Logs", TYPES, key="drift:file",
        help=tip("drift", also="CSV, TSV, JSON lines or Parquet. `carrot point drift` takes larger files."),
    )  # fmt: skip
    if uploaded is None:
        st.session_state.pop(_FOUND, None)
        return
    path = on_disk(uploaded, "logs")
    if not path.stat().st_size:
        raise DataError(path.name, "the file is empty")
    columns = _mapping([str(name) for name in first_rows(uploaded.file_id, path).columns], uploaded.file_id)
    if "model" not in columns:
        st.info("Choose the column that names the model that answered.")
    tolerance = _tolerance()
    asked = (kept.id, uploaded.file_id, tuple(sorted(columns.items())), tolerance)
    if st.button("Compare", type="primary", key="drift:run", disabled="model" not in columns):
        st.session_state[_FOUND] = (asked, _compared(place, kept, path, columns, tolerance))
    done, result = st.session_state.get(_FOUND, (None, None))
    if done == asked and result is not None:
        _results(result)


def _mapping(names: Sequence[str], file_id: str) -> dict[str, str]:
    """The file's own name of each column that is there, guessed and to be corrected."""
    guessed = guess_columns(names)
    chosen: dict[str, str] = {}
    for first in range(0, len(LOGGED), _BOXES):  # row by row, so that they stand in order on a phone, too
        for box, column in zip(st.columns(_BOXES), LOGGED[first : first + _BOXES], strict=False):
            options = [None, *names]
            needed = "" if column == "model" else " (optional)"
            source = box.selectbox(
                f"{column}{needed}", options, options.index(guessed.get(column)), key=f"drift:map:{file_id}:{column}",
                format_func=lambda name: "(none)" if name is None else visible(name),
            )  # fmt: skip
            if source is not None:
                chosen[column] = source
    return chosen


def _tolerance() -> Tolerance:
    with st.expander("What difference matters"):
        boxes = st.columns(3)
        score = boxes[0].number_input("Accuracy points", 0.1, 100.0, 5.0, 0.5, key="drift:points")
        cost = boxes[1].number_input("Per cent of the cost", 0.1, 1000.0, 20.0, 1.0, key="drift:percent")
        share = boxes[2].number_input("Points of a model's share", 0.1, 100.0, 10.0, 1.0, key="drift:share")
        st.caption(f"An interval wider than this means too few calls to tell. {see('tolerance', 'drift')}")
    return Tolerance(score / 100, cost / 100, share / 100)


def _compared(
    place: PointShelf, kept: ShelfPoint, path: Path, columns: Mapping[str, str], tolerance: Tolerance
) -> Drift:
    with st.spinner("Reading and comparing every call …"):
        calls = read_logs(path, columns={name: source for name, source in columns.items() if source != name})
        companion, without = _companion(place, kept) if calls.texts else (None, "")
        return drift(kept.point, calls, companion=companion, tolerance=tolerance, without=without)


def _companion(place: PointShelf, kept: ShelfPoint) -> tuple[Companion | None, str]:
    """What the point's router knows of its training data, where that very router is here."""
    why = differs_here(place, kept.id)
    if why:
        return None, f"Whether prompts are unlike the training data is not told: {why}"
    return router_at(place, kept.id).companion, ""


def _results(found: Drift) -> None:
    tell = {"inside": st.success, "outside": st.error, "too few": st.warning}.get(found.verdict, st.info)
    size = f"{found.n_calls:,} calls, {found.n_prompts:,} different prompts."
    tell(plain(f"{headline(found)} {size}"), icon=_ICONS.get(found.verdict, ":material/info:"))
    for one in (found.score, found.cost, *(() if found.unlike is None else (found.unlike,))):
        st.markdown(f"- {plain(_capital(describe(one)))}")
    table = figures_of(found)
    show(drift_exhibit(table, {one.what: describe(one) for one in found.compared}, headline(found)), key="drift:figure")
    for line in about_models(found):
        st.warning(plain(line), icon=":material/payments:")
    _model_table(found)
    for note in found.notes:
        st.caption(plain(note))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _model_table(found: Drift) -> None:
    table = pd.DataFrame(
        {
            "Model": found.models["model"].map(visible),
            "Calls": found.models["calls"],
            "In the pool": found.models["in_pool"],
            "$ per 1k": QUERIES * found.models["cost_usd"],
            "Paid ÷ price": found.models["price_ratio"],
        }
    )
    with st.expander(f"Who answered ({len(table)} models)"):
        st.dataframe(
            priced(table, "$ per 1k"), hide_index=True,
            column_config={
                "Paid ÷ price": st.column_config.NumberColumn(
                    format="%.3f", help="What its calls cost, over what they would cost at the point's prices."
                ),
            },
            alt=f"One row for each of the {len(table)} models in the logs: calls, mean cost, and whether it costs what "
            "the point's prices say.",
        )  # fmt: skip


def _sure(point: PointFile) -> None:
    info = benchmark_of(point)
    if info is None:
        st.info(f"There is no benchmark {plain(visible(point.benchmark))} here, so nothing can be solved again.")
        return
    seen = views.view(info)
    why = _cannot(point, info, seen)
    if why:
        st.info(why)
        return
    rate = rate_of_lam(point.lam, point.cost_unit_usd)
    stability_panel(seen, point.router, rate, point.reference, key="check:sure")


def _cannot(point: PointFile, info: BenchmarkInfo, seen: views.View) -> str:
    """Why a point cannot be solved again on what is here; empty where it can, or a snapshot says so itself."""
    if not info.has_prompts:
        return ""
    if info.data_hash != point.data_hash:
        return "The benchmark of this name here has other data than the point was made on."
    if point.test is None:
        return "The point has a pool or prices of its own, on which its router was never measured."
    if point.router not in seen.fitted:
        return plain(
            f"{point.router} has no stored results on {visible(info.name)}: `carrot evaluate` makes and keeps them."
        )
    return ""
