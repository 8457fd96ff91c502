"""Check a kept point: whether logs agree with it, and how far it moves on other prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from carrot_core import modes
from carrot_core.benchmarks.columns import guess_columns
from carrot_core.benchmarks.log_table import LOGGED, kept_logs, read_logs
from carrot_core.dashboard import links, views, work
from carrot_core.dashboard.data.upload import TYPES, first_look
from carrot_core.dashboard.exhibits import priced, show
from carrot_core.dashboard.frontier import stability_panel
from carrot_core.dashboard.glossary import see, tip
from carrot_core.dashboard.points import benchmark_of, differs_here, router_at
from carrot_core.dashboard.points.comparison import distinct_names
from carrot_core.dashboard.shell import errors_as_text, not_here, plain
from carrot_core.dashboard.stores import upload_key
from carrot_core.errors import DataError
from carrot_core.frontier import rate_of_lam
from carrot_core.number_formats import cost_basis
from carrot_core.points import PointShelf, ShelfPoint
from carrot_core.points.drift import Drift, Tolerance, drift
from carrot_core.points.drift_report import about_models, describe, drift_exhibit, figures_of, headline
from carrot_core.serving.point import PointFile
from carrot_core.serving.profile import RouterProfile
from carrot_core.store import BenchmarkInfo
from carrot_core.text import visible

_RESULT = "drift:found"
_BOXES = 4  # a row
_ICONS = {"inside": ":material/check_circle:", "outside": ":material/error:", "too few": ":material/hourglass_empty:"}


def check_panel(entries: Sequence[tuple[PointShelf, ShelfPoint]]) -> None:
    """Choose a kept point and check it against logs or other prompts."""
    by_name = distinct_names([record for _, record in entries])
    places = {record.id: place for place, record in entries}
    name = str(st.selectbox("Point", list(by_name), format_func=visible, key="check"))
    record = by_name[name]
    by_logs, sure = links.tabs(["Against logs", "How sure it is"], "check_by")
    with by_logs, errors_as_text():
        _against_logs(places[record.id], record)
    with sure:
        if sure.open:
            with errors_as_text():
                _sureness(record.point)


def _against_logs(place: PointShelf, record: ShelfPoint) -> None:
    if record.point.test is None:
        st.info(
            "Nothing was measured on this point's pool or prices, so there is nothing to compare logs with. Keep a "
            "point of the whole pool at the benchmark's prices."
        )
        return
    if modes.is_public():
        not_here("Logs are compared")
        return
    st.write(
        "A file with a row for each call: the model that answered, and its score, dollars and tokens as far as known. "
        "It stays in this browser session and is deleted with it."
    )
    logs = kept_logs()
    name = st.selectbox("Kept log", ["", *logs], format_func=_kept_name, key="drift:kept") if logs else ""
    upload = None
    if not name:
        upload = st.file_uploader(
            "Logs", TYPES, key=upload_key("drift:file"),
            help=tip("drift", also="A gateway's log or a table of calls. `carrot point drift` takes larger files."),
        )  # fmt: skip
    if not name and upload is None:
        st.session_state.pop(_RESULT, None)
        return
    if name:
        path, file_id, columns = logs[name], f"kept:{name}", {"model": "model"}
    else:
        assert upload is not None
        path, file_id = work.on_disk(upload, "logs"), upload.file_id
        columns = _columns(path, file_id)
    if "model" not in columns:
        st.info("Choose the column that names the model that answered.")
    tolerance = _tolerance()
    request = (record.id, file_id, tuple(sorted(columns.items())), tolerance)
    if st.button("Compare", type="primary", key="drift:run", disabled="model" not in columns):
        st.session_state[_RESULT] = (request, _compare_logs(place, record, path, columns, tolerance))
    last_request, result = st.session_state.get(_RESULT, (None, None))
    if last_request == request and result is not None:
        _results(result)


def _columns(path: Path, file_id: str) -> dict[str, str]:
    """The file's name of each log column; a gateway's log has known names."""
    if not path.stat().st_size:
        raise DataError(path.name, "the file is empty")
    look = first_look(file_id, [path])
    if look.of_tool is None:
        return _mapping([str(name) for name in look.first.columns], file_id)
    st.caption(f"{look.of_tool.title}.")
    return {"model": "model"}


def _kept_name(name: str) -> str:
    return visible(name) if name else "(a file)"


def _mapping(names: Sequence[str], file_id: str) -> dict[str, str]:
    """The file's name of each log column: guessed, and the reader can correct it."""
    guesses = guess_columns(names)
    sources: dict[str, str] = {}
    for first in range(0, len(LOGGED), _BOXES):  # row by row, so that a phone shows them in order
        for box, column in zip(st.columns(_BOXES), LOGGED[first : first + _BOXES], strict=False):
            options = ["", *names]  # None would be a value to clear
            needed = "" if column == "model" else " (optional)"
            source = box.selectbox(
                f"{column}{needed}", options, options.index(guesses.get(column, "")),
                format_func=lambda name: visible(name) if name else "(none)", key=f"drift:map:{file_id}:{column}",
            )  # fmt: skip
            if source:
                sources[column] = source
    return sources


def _tolerance() -> Tolerance:
    with st.expander("What difference matters"):
        boxes = st.columns(3)
        score = boxes[0].number_input("Accuracy points", 0.1, 100.0, 5.0, 0.5, key="drift:points")
        cost = boxes[1].number_input("Per cent of the cost", 0.1, 1000.0, 20.0, 1.0, key="drift:percent")
        share = boxes[2].number_input("Points of a model's share", 0.1, 100.0, 10.0, 1.0, key="drift:share")
        st.caption(f"An interval wider than this means too few calls to tell. {see('tolerance', 'drift')}")
    return Tolerance(score / 100, cost / 100, share / 100)


def _compare_logs(
    place: PointShelf, record: ShelfPoint, path: Path, columns: Mapping[str, str], tolerance: Tolerance
) -> Drift:
    with work.spinner("Reading and comparing every call …"):
        renamed = {name: source for name, source in columns.items() if source != name}
        calls = read_logs(path, columns=renamed, free=record.point.free)
        profile, without = _profile(place, record) if calls.texts else (None, "")
        return drift(record.point, calls, profile=profile, tolerance=tolerance, without=without)


def _profile(place: PointShelf, record: ShelfPoint) -> tuple[RouterProfile | None, str]:
    """The profile of the point's router, or None and the reason if that router is not on this machine."""
    why = differs_here(place, record.id)
    if why:
        return None, f"Prompts cannot be compared with the training data: {why}"
    return router_at(place, record.id).profile, ""


def _results(result: Drift) -> None:
    show_message = {"inside": st.success, "outside": st.error, "too few": st.warning}.get(result.verdict, st.info)
    size = f"{result.n_calls:,} calls, {result.n_prompts:,} different prompts."
    show_message(plain(f"{headline(result)} {size}"), icon=_ICONS.get(result.verdict, ":material/info:"))
    for one in (result.score, result.cost, *(() if result.unlike is None else (result.unlike,))):
        st.markdown(f"- {plain(_capital(describe(one)))}")
    table = figures_of(result)
    show(
        drift_exhibit(table, {one.what: describe(one) for one in result.compared}, headline(result)), key="drift:figure"
    )
    for line in about_models(result):
        st.warning(plain(line), icon=":material/payments:")
    _model_table(result)
    for note in result.notes:
        st.caption(plain(note))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _model_table(result: Drift) -> None:
    basis = cost_basis(result.models["cost_usd"])
    table = pd.DataFrame(
        {
            "Model": result.models["model"].map(visible),
            "Calls": result.models["calls"],
            "In the pool": result.models["in_pool"],
            f"$ {basis.words}": basis.calls * result.models["cost_usd"],
            "Paid ÷ price": result.models["price_ratio"],
        }
    )
    with st.expander(f"Who answered ({len(table)} models)"):
        st.dataframe(
            priced(table, f"$ {basis.words}"), hide_index=True,
            column_config={
                "Paid ÷ price": st.column_config.NumberColumn(
                    format="%.3f", help="What its calls cost, over what they would cost at the point's prices."
                ),
            },
            alt=f"One row for each of the {len(table)} models in the logs: calls, mean cost, and whether it costs what "
            "the point's prices say.",
        )  # fmt: skip


def _sureness(point: PointFile) -> None:
    info = benchmark_of(point)
    if info is None:
        st.info(f"There is no benchmark {plain(visible(point.benchmark))} here, so nothing can be solved again.")
        return
    view = views.view(info)
    why = _why_not(point, info, view)
    if why:
        st.info(why)
        return
    rate = rate_of_lam(point.lam, point.cost_unit_usd)
    stability_panel(view, point.router, rate, point.reference, key="check:sure")


def _why_not(point: PointFile, info: BenchmarkInfo, view: views.View) -> str:
    """Why a point cannot be solved again here; empty if it can, and for snapshots, whose panel says why."""
    if not info.has_prompts:
        return ""
    if info.data_hash != point.data_hash:
        return "The benchmark of this name here has other data than the point was made on."
    if point.test is None:
        return "The point has a pool or prices of its own, on which its router was never measured."
    if point.router not in view.fitted:
        return plain(
            f"{point.router} has no stored results on {visible(info.name)}: `carrot evaluate` makes and keeps them."
        )
    return ""
