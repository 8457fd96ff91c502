"""The kept operating points: a card each, to use, download, rename and delete; and points from uploaded files."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from carrot_core import limits, modes
from carrot_core.dashboard import controls, views, work
from carrot_core.dashboard.exhibits import file_stem
from carrot_core.dashboard.points import (
    NOTICE,
    all_points,
    basis_of,
    benchmark_of,
    describe_accuracy,
    describe_cost,
    describe_date,
    describe_models,
    describe_point,
    describe_prices,
    differs_here,
    place_for,
    router_at,
    test_figures,
)
from carrot_core.dashboard.shell import all_benchmarks, errors_as_text, plain
from carrot_core.dashboard.stores import labels, upload_key
from carrot_core.errors import CarrotError
from carrot_core.figures.exhibit import browser
from carrot_core.figures.scene import drawn_baselines
from carrot_core.points import PointShelf, ShelfPoint, shared_points, title_and_note
from carrot_core.points.formats import CHART, DESCRIBE, FORMATS, RUN, Format
from carrot_core.roles_audit import Role
from carrot_core.serving.point import PointFile, read_point
from carrot_core.text import visible

_PER_ROW = 2
_PER_PAGE = 10
_DELETION, _REFUSAL = "points:deleted", "points:refused"


def show_notice() -> None:
    """The notice about the last action, with an Undo button after a deletion."""
    if done := st.session_state.pop(NOTICE, None):
        st.success(plain(done), icon=":material/check:")
    if deletion := st.session_state.pop(_DELETION, None):  # until the next action
        place, record = deletion
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(plain(f"Deleted {visible(record.name)}."), icon=":material/delete:")
            st.button("Undo", icon=":material/undo:", key="points:undo", on_click=_undo, args=(place, record))


def _undo(place: PointShelf, record: ShelfPoint) -> None:
    try:
        place.restore(record.id)
    except CarrotError as error:
        st.toast(plain(str(error)), icon=":material/error:")
    else:
        st.session_state[NOTICE] = f"{visible(record.name)} is back."


def bring_panel() -> None:
    """Upload a point file; it is checked before any of it is used."""
    st.write(
        "A file that this page, `carrot export` or the library wrote. It is checked before anything of it is used."
    )
    upload = st.file_uploader(
        "Operating point (JSON)", ["json"], key=upload_key("points:upload"),
        max_upload_size=max(1, limits.POINT_BYTES >> 20),
        help="Names, numbers and the sha256 over all of it must be in order.",
    )  # fmt: skip
    if upload is None:
        return
    with errors_as_text():
        point = read_point(work.on_disk(upload, "point-uploads"))
        figures = test_figures(point)
        st.markdown(
            plain(
                f"{describe_point(point)}: {describe_accuracy(figures)} at {describe_cost(figures, basis_of(point))}."
            )
        )
        if st.button("Keep it here", type="primary", key="points:bring"):
            info = benchmark_of(point)
            place = shared_points() if info is None else place_for(info)
            place.keep(point)
            st.session_state[NOTICE] = f"Kept: {describe_point(point)}."
            st.rerun()


def list_points() -> list[tuple[PointShelf, ShelfPoint]]:
    """All points that this session sees, newest first; damaged files are reported on the page."""
    entries = []
    for place, listing in all_points():
        for name, reason in listing.damaged.items():
            st.error(plain(f"{visible(name)} is left out. {reason}"), icon=":material/broken_image:")
        entries += [(place, record) for record in listing.points]
    return sorted(entries, key=lambda entry: entry[1].point.created_at, reverse=True)


def shelf(entries: Sequence[tuple[PointShelf, ShelfPoint]]) -> None:
    """A card for each point, two in a row if there is room."""
    pages = -(-len(entries) // _PER_PAGE)
    at = st.pagination(pages, key="points:page") if pages > 1 else 1
    page = entries[(at - 1) * _PER_PAGE : at * _PER_PAGE]
    for start in range(0, len(page), _PER_ROW):
        for column, entry in zip(st.columns(_PER_ROW), page[start : start + _PER_ROW], strict=False):
            with column, st.container(border=True, height="stretch"):
                _card(*entry)


def _card(place: PointShelf, record: ShelfPoint) -> None:
    point, figures = record.point, test_figures(record.point)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"title:{record.id}"):
        st.markdown(f"### {plain(visible(record.name))}", width="content")
        if place != shared_points():
            st.badge("only you", icon=":material/lock:", color="blue")
        st.caption(plain(f"{visible(describe_point(point))}, {describe_date(point)}"), width="content")
    lines = {
        "Accuracy": describe_accuracy(figures),
        "Cost": f"{describe_cost(figures, basis_of(point))}; prices: {describe_prices(point)}",
        "Answered by": describe_models(point),
    }
    st.markdown("  \n".join(f":gray[{name}:] {plain(value)}" for name, value in lines.items()))
    if note := title_and_note(point)[1]:
        st.caption(plain(note))
    with errors_as_text():
        _actions(place, record)
    if reason := st.session_state.get(_REFUSAL, {}).get(record.id):
        _refusal(record, reason)


def _actions(place: PointShelf, record: ShelfPoint) -> None:
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Use it", key=f"use:{record.id}", icon=":material/check_circle:", on_click=_use, args=(place, record),
            help="Sets benchmark, router, λ, pool, reference and fallback on all pages, if its router is on this "
            "machine unchanged.",
        )  # fmt: skip
        if st.button("Export", icon=":material/download:", key=f"export:{record.id}"):
            _export(place, record)
        own = place != shared_points()
        if own or modes.may(Role.EDITOR):
            with st.popover("Rename", icon=":material/edit:", key=f"rename:{record.id}"):
                _rename(place, record)
        if (own or modes.may(Role.ADMIN)) and _delete_pressed(record, ask=modes.is_team() and not own):
            place.delete(record.id)
            st.session_state[_DELETION] = (place, record)
            st.rerun()


def _delete_pressed(record: ShelfPoint, *, ask: bool) -> bool:
    icon = ":material/delete:"
    if not ask:
        return st.button("Delete", key=f"delete:{record.id}", icon=icon)
    with st.popover("Delete", icon=icon, key=f"ask:{record.id}"):
        st.markdown(plain(f"Delete {visible(record.name)} for everybody? It can come back from the trash."))
        return st.button("Delete it", key=f"delete:{record.id}", type="primary")


@st.dialog("Take this point with you", width="large", icon=":material/download:")
def _export(place: PointShelf, record: ShelfPoint) -> None:
    """All formats in three groups, each with its command; every one but JSON needs the unchanged router here."""
    why = differs_here(place, record.id)
    for tab, group in zip(st.tabs([RUN, DESCRIBE, CHART]), (RUN, DESCRIBE, CHART), strict=True):
        with tab:
            if why and group != RUN:
                st.info(plain(f"This is made from its router: {why}"), icon=":material/difference:")
                continue
            if group != RUN:
                st.caption("The command line makes each of these from the JSON file.")
            forms = [form for form in FORMATS.values() if form.group == group and (form.name == "json" or not why)]
            for form in forms:
                if form.name not in ("png", "pdf") or browser() is not None:
                    _form(place, record, form, first=form is forms[0])
            if why:
                st.caption(plain(f"The other forms are made from its router: {why}"))
            if group == CHART and browser() is None:
                st.caption("PNG and PDF need Chromium or Chrome on the machine that serves this page: none was found.")


def _form(place: PointShelf, record: ShelfPoint, form: Format, *, first: bool) -> None:
    """A download with its commands; the first of a group stands out."""

    def content() -> bytes:
        return form.make(router_at(place, record.id), record.point)

    stem = _stem(record.point)
    for_file, for_commands = st.columns([2, 3], vertical_alignment="top")
    for_file.download_button(
        f"{form.about[0].upper()}{form.about[1:]} ({form.name})",
        (record.point.model_dump_json(indent=1) + "\n").encode() if form.name == "json" else content,
        form.file.format(stem=stem), form.media_type, key=f"{form.name}:{record.id}",
        type="primary" if first else "secondary", width="stretch", wrap=True,
        on_click="ignore",  # a rerun would close the dialog before the next click
    )  # fmt: skip
    with for_commands:
        for what, command in form.commands_for(stem).items():
            if form.group == RUN:
                st.caption(what)
            st.code(command, "sh", wrap_lines=True)


def _stem(point: PointFile) -> str:
    """Name of a downloaded file."""
    return f"{file_stem(point.benchmark)}-lam-{point.lam:.4g}"


def _rename(place: PointShelf, record: ShelfPoint) -> None:
    name, note = title_and_note(record.point)
    with st.form(f"points:rename:{record.id}"):
        name = st.text_input("Name", name, max_chars=limits.POINT_NAME)
        note = st.text_area("Note", note, max_chars=limits.POINT_NOTE)
        if st.form_submit_button("Save"):
            place.note(record.id, name, note)
            st.session_state[NOTICE] = "The name and note are saved."
            st.rerun()


def _refusal(record: ShelfPoint, why: str) -> None:
    """Why a point cannot be used, with a button to set its λ anyway if its benchmark is here."""
    st.warning(plain(f"Not used: {why}"), icon=":material/difference:")
    if benchmark_of(record.point) is not None:
        st.button(
            "Set its benchmark and λ all the same", key=f"anyway:{record.id}", on_click=_set_session,
            args=(record.point,),
            help="Then the router of this machine decides; the figures on the card are not of that router.",
        )  # fmt: skip


def _use(place: PointShelf, record: ShelfPoint) -> None:
    """Set the session to a point, or show what differs on this machine."""
    try:
        why = differs_here(place, record.id)
    except CarrotError as error:
        why = str(error)
    if not why and benchmark_of(record.point) is None:
        why = f"There is no benchmark {record.point.benchmark!r} here."
    if why:
        st.session_state[_REFUSAL] = {record.id: why}
    else:
        _set_session(record.point)


def _set_session(point: PointFile) -> None:
    """Set benchmark, router, λ, pool and fallback of all pages to those of a point."""
    benchmarks, info = all_benchmarks(), benchmark_of(point)
    assert info is not None  # the button is shown only then
    view, pool = views.view(info), () if point.test is not None else point.pool
    choices: dict[str, object] = {
        "pool": list(pool),
        **controls.NO_FILTERS,
        "tasks": [],
        "router": point.router,
        "fallback": point.fallback,
        "unlike": point.fallback_above,
        "reference": point.reference if point.reference in (pool or view.models) else view.best_single(pool),
    }
    beside = [name for name in drawn_baselines([*view.fitted, *view.baselines]) if name != point.router]
    if point.router in view.fitted:  # else the Frontier page has no curve of it
        choices |= {"routers": [point.router, *beside], "along": point.router}
    controls.open_benchmark(labels(benchmarks)[benchmarks.index(info)], choices)
    controls.set_lam(point.lam, point.cost_unit_usd)
    st.session_state.pop(_REFUSAL, None)
    st.session_state[NOTICE] = f"In use: {describe_point(point)}. Every page is at this point now."
