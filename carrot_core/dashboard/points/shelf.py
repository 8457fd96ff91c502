"""The kept operating points: a card each, to use, download, rename and delete; and files brought from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from carrot_core import limits
from carrot_core.dashboard import controls, views
from carrot_core.dashboard.data.upload import on_disk
from carrot_core.dashboard.exhibits import file_stem
from carrot_core.dashboard.points import keep as words
from carrot_core.dashboard.points.keep import DONE
from carrot_core.dashboard.points.places import all_points, benchmark_of, differs_here, place_for, router_at
from carrot_core.dashboard.shell import errors_as_text, known_benchmarks, plain
from carrot_core.dashboard.stores import labels
from carrot_core.errors import CarrotError
from carrot_core.figures.exhibit import browser
from carrot_core.figures.scene import DRAWN_BASELINES
from carrot_core.points.formats import FORMATS, Format
from carrot_core.points.shelf import PointShelf, ShelfPoint, shared_points, title_and_note
from carrot_core.serving.point import PointFile, read_point
from carrot_core.text import visible

_PER_ROW = 2
_PER_PAGE = 10
_DELETED, _REFUSED = "points:deleted", "points:refused"


def said() -> None:
    """What the last action did, and the way back from a deletion."""
    if done := st.session_state.pop(DONE, None):
        st.success(plain(done), icon=":material/check:")
    if deleted := st.session_state.pop(_DELETED, None):  # until the next action
        place, kept = deleted
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(plain(f"Deleted {visible(kept.name)}."), icon=":material/delete:")
            st.button("Undo", icon=":material/undo:", key="points:undo", on_click=_undo, args=(place, kept))


def _undo(place: PointShelf, kept: ShelfPoint) -> None:
    try:
        place.restore(kept.id)
    except CarrotError as error:
        st.toast(plain(str(error)), icon=":material/error:")
    else:
        st.session_state[DONE] = f"{visible(kept.name)} is back."


def bring_panel() -> None:
    """Take a point file from elsewhere, checked before anything of it is used."""
    st.write(
        "A file that this page, `carrot export` or the library wrote. It is checked before anything of it is used."
    )
    uploaded = st.file_uploader(
        "Operating point (JSON)", ["json"], key="points:upload", max_upload_size=limits.POINT_BYTES >> 20,
        help="Names, numbers and the sha256 over all of it must be in order.",
    )  # fmt: skip
    if uploaded is None:
        return
    with errors_as_text():
        point = read_point(on_disk(uploaded, "point-uploads"))
        st.markdown(plain(f"{words.made_of(point)}: {words.accuracy(point.test)} at {words.cost(point.test)} per 1k."))
        if st.button("Keep it here", type="primary", key="points:bring"):
            info = benchmark_of(point)
            place = shared_points() if info is None else place_for(info)
            place.keep(point)
            st.session_state[DONE] = f"Kept: {words.made_of(point)}."
            st.rerun()


def kept_points() -> list[tuple[PointShelf, ShelfPoint]]:
    """All points that this session sees, newest first; files that are none are told of."""
    found = []
    for place, listing in all_points():
        for name, reason in listing.damaged.items():
            st.error(plain(f"{visible(name)} is left out. {reason}"), icon=":material/broken_image:")
        found += [(place, kept) for kept in listing.points]
    return sorted(found, key=lambda entry: entry[1].point.created_at, reverse=True)


def shelf(found: Sequence[tuple[PointShelf, ShelfPoint]]) -> None:
    """A card a point, two a row where there is room."""
    pages = -(-len(found) // _PER_PAGE)
    at = st.pagination(pages, key="points:page") if pages > 1 else 1
    shown = found[(at - 1) * _PER_PAGE : at * _PER_PAGE]
    for start in range(0, len(shown), _PER_ROW):
        for column, entry in zip(st.columns(_PER_ROW), shown[start : start + _PER_ROW], strict=False):
            with column, st.container(border=True, height="stretch"):
                _card(*entry)


def _card(place: PointShelf, kept: ShelfPoint) -> None:
    point = kept.point
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"#### {plain(visible(kept.name))}", width="content")
        if place != shared_points():
            st.badge("only you", icon=":material/lock:", color="blue")
    st.markdown(plain(visible(words.made_of(point))))
    lines = {
        "Accuracy on test": words.accuracy(point.test),
        "Cost per 1k on test": words.cost(point.test),
        "Answered by": words.answered_by(point),
        "Prices": words.prices(point),
        "Made": words.when(point),
    }
    st.markdown("  \n".join(f":gray[{name}:] {plain(value)}" for name, value in lines.items()))
    if note := title_and_note(point)[1]:
        st.caption(plain(note))
    with errors_as_text():
        _actions(place, kept)
    if refused := st.session_state.get(_REFUSED, {}).get(kept.id):
        _refusal(kept, refused)


def _actions(place: PointShelf, kept: ShelfPoint) -> None:
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Use it", key=f"use:{kept.id}", icon=":material/check_circle:", on_click=_use, args=(place, kept),
            help="Sets benchmark, router, λ, pool, reference and fallback on all pages, once its router was found here "
            "unchanged.",
        )  # fmt: skip
        _downloads(place, kept)
        with st.popover("Rename", icon=":material/edit:", key=f"rename:{kept.id}"):
            _rename(place, kept)
        if st.button("Delete", key=f"delete:{kept.id}", icon=":material/delete:"):
            place.delete(kept.id)
            st.session_state[_DELETED] = (place, kept)
            st.rerun()


def _downloads(place: PointShelf, kept: ShelfPoint) -> None:
    """Every form of the point; all but the document itself are made from its router, which must be here unchanged."""
    with st.popover("Download", icon=":material/download:", key=f"download:{kept.id}", on_change="rerun") as opened:
        if not opened.open:
            return
        why = differs_here(place, kept.id)
        for form in FORMATS.values():
            if form.name == "json" or not (why or (form.name in ("png", "pdf") and browser() is None)):
                _download(place, kept, form)
        if browser() is None:
            st.caption("PNG and PDF need Chromium or Chrome on the machine that serves this page: none was found.")
        if why:
            st.caption(plain(f"The other forms are made from its router: {why}"))


def _download(place: PointShelf, kept: ShelfPoint, form: Format) -> None:
    def made() -> bytes:
        return form.make(router_at(place, kept.id), kept.point)

    st.download_button(
        f"{form.about[0].upper()}{form.about[1:]} ({form.name})",
        (kept.point.model_dump_json(indent=1) + "\n").encode() if form.name == "json" else made,
        f"{_stem(kept.point)}{form.ending}", form.media_type, key=f"{form.name}:{kept.id}", type="tertiary",
        on_click="ignore",  # it changes nothing, and a run would take the list away under the next click
    )  # fmt: skip


def _stem(point: PointFile) -> str:
    """Name of a downloaded file."""
    return f"{file_stem(point.benchmark)}-lam-{point.lam:.4g}"


def _rename(place: PointShelf, kept: ShelfPoint) -> None:
    name, note = title_and_note(kept.point)
    with st.form(f"points:rename:{kept.id}"):
        name = st.text_input("Name", name, max_chars=limits.POINT_NAME)
        note = st.text_area("Note", note, max_chars=limits.POINT_NOTE)
        if st.form_submit_button("Save"):
            place.note(kept.id, name, note)
            st.session_state[DONE] = "The name and note are saved."
            st.rerun()


def _refusal(kept: ShelfPoint, why: str) -> None:
    """Why a point is not used as it was, and its λ all the same where its benchmark is here."""
    st.warning(plain(f"Not used: {why}"), icon=":material/difference:")
    if benchmark_of(kept.point) is not None:
        st.button(
            "Set its benchmark and λ all the same", key=f"anyway:{kept.id}", on_click=_set_session, args=(kept.point,),
            help="What this machine has decides then; the figures on the card are not its.",
        )  # fmt: skip


def _use(place: PointShelf, kept: ShelfPoint) -> None:
    """Set the session to a point, unless something of it is another here, which is said instead."""
    try:
        why = differs_here(place, kept.id)
    except CarrotError as error:
        why = str(error)
    if not why and benchmark_of(kept.point) is None:
        why = f"There is no benchmark {kept.point.benchmark!r} here."
    if why:
        st.session_state[_REFUSED] = {kept.id: why}
    else:
        _set_session(kept.point)


def _set_session(point: PointFile) -> None:
    """Benchmark, router, λ, pool and fallback of a point, for all pages."""
    listed, info = known_benchmarks(), benchmark_of(point)
    assert info is not None  # the button is there only then
    seen, pool = views.view(info), () if point.test is not None else point.pool
    chosen: dict[str, object] = {
        "pool": list(pool),
        "tasks": [],
        "router": point.router,
        "fallback": point.fallback,
        "unlike": point.fallback_above,
        "reference": point.reference if point.reference in (pool or seen.models) else seen.best_single(pool),
    }
    if point.router in seen.fitted:  # else the Frontier page has no curve of it
        chosen |= {"routers": [point.router, *DRAWN_BASELINES], "along": point.router}
    controls.open_benchmark(labels(listed)[listed.index(info)], chosen)
    controls.set_lam(point.lam, point.cost_unit_usd)
    st.session_state.pop(_REFUSED, None)
    st.session_state[DONE] = f"In use: {words.made_of(point)}. Every page is at this point now."
