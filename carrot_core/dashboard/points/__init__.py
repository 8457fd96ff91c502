"""The Operating points page: where points are stored, and keeping one, from this page and from others."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version

import streamlit as st

from carrot_core import limits, modes
from carrot_core.dashboard import controls, links, live, views
from carrot_core.dashboard.exhibits import models_note
from carrot_core.dashboard.frontier import solve
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.live import DecisionOptions
from carrot_core.dashboard.shell import all_benchmarks, errors_as_text, plain, readable_benchmarks
from carrot_core.dashboard.stores import PrivateInfo, session_folder, store_of, version_of
from carrot_core.errors import CarrotError
from carrot_core.figures.scene import label
from carrot_core.frontier import rate_of_lam, shortest_lam
from carrot_core.number_formats import CostBasis, lam_text, percent
from carrot_core.points import Listing, PointShelf, figures_of, join_note, shared_points
from carrot_core.roles_audit import Role
from carrot_core.serving import CarrotRouter
from carrot_core.serving.loading import LABELLED_HEAD, SHIPPED_ROUTER, measured_name, shipped_heads
from carrot_core.serving.point import PointFigures, PointFile
from carrot_core.store import BenchmarkInfo, Store
from carrot_core.text import short_names

_OWN = "points:own"  # set once the session has points of its own, so that listing creates no folder
NOTICE = "points:done"  # notice about the last action, shown once
NOT_MEASURED = "not measured"
_MOST_SHARES = 3


def place_for(info: BenchmarkInfo) -> PointShelf:
    """Folder for points of a benchmark: the shared one, or the session's for a private benchmark or for a person who
    may not change shared files.
    """
    if not isinstance(info, PrivateInfo) and modes.may(Role.EDITOR):
        return shared_points()
    st.session_state[_OWN] = True
    return own_points()


def own_points() -> PointShelf:
    """The points that only this session sees."""
    return PointShelf(session_folder() / "points")


def all_points() -> list[tuple[PointShelf, Listing]]:
    """Every folder with its points, the session's own first."""
    places = [own_points()] if _OWN in st.session_state else []
    return [(place, place.listing()) for place in (*places, shared_points())]


def pins(info: BenchmarkInfo, router: str, cost_unit_usd: float) -> list[tuple[str, float]]:
    """Name and λ, in a cost unit, of the kept points that lie on a router's curve on a benchmark; newest first."""
    points = [record for _, listing in all_points() for record in listing.points]
    return [
        (record.name, shortest_lam(rate_of_lam(record.point.lam, record.point.cost_unit_usd), cost_unit_usd))
        for record in points
        if (record.point.benchmark, record.point.data_hash) == (info.name, info.data_hash)
        and record.point.test is not None  # of the whole pool, as the curve is
        and measured_name(record.point.router, [router]) == router
    ]


def benchmark_of(point: PointFile) -> BenchmarkInfo | None:
    """The benchmark with a point's name, preferably one with the same data; None without one."""
    same = [info for info in all_benchmarks() if info.name == point.benchmark]
    return min(same, key=lambda info: info.data_hash != point.data_hash, default=None)


def data_of(point: PointFile) -> BenchmarkInfo | None:
    """The loaded benchmark with the same data as a point, if its router is available too; else None."""
    info = benchmark_of(point)
    if info is None or not info.has_prompts or info.data_hash != point.data_hash:
        return None
    return info if _has_router(point, info) else None


def _has_router(point: PointFile, info: BenchmarkInfo | None) -> bool:
    """Whether a point's router ships with the project or is fitted on this machine.

    A page loads no other router: a point file from elsewhere must not make it read folders, download or train.
    """
    if point.source in shipped_heads() and point.router == SHIPPED_ROUTER and not Store().shadows(point.source):
        return True
    return info is not None and point.source == info.name and point.router in live.servable(info)


def differs_here(place: PointShelf, id: str) -> str:
    """Differences between this machine and the one where a point was made, as text; empty if there are none."""
    point = place.read(id)
    info = benchmark_of(point)
    if not _has_router(point, info):
        return (
            f"Its router is {point.router!r} of {point.source!r}, which neither ships with the project nor is fitted "
            "on loaded data here. `carrot point check` looks for it in folders and on the hub."
        )
    try:
        router_at(place, id)
    except CarrotError as error:
        here = version("carrot-core")
        other = f" It was made by carrot-core {point.carrot_version}; this is {here}."
        return str(error) + (other if point.carrot_version != here else "")
    return ""


def router_at(place: PointShelf, id: str) -> CarrotRouter:
    """The router of a kept point, at that point.

    Raises
    ------
    CarrotError
        The router on this machine is not the one the point was made with.
    """
    info = benchmark_of(place.read(id))
    return CarrotRouter.load(place.path(id), store=store_of(info) if isinstance(info, PrivateInfo) else Store())


def test_figures(point: PointFile) -> PointFigures | None:
    """Test figures of a point as every other page shows them; those in its file if its data are not here or cannot be
    read: the benchmark's own pages then show the error.
    """
    info = benchmark_of(point)
    if point.test is None or info is None or info.data_hash != point.data_hash:
        return point.test
    decides = point.router, point.lam, point.cost_unit_usd, point.reference, point.data_hash
    try:
        return _test_figures(views.view(info), (*decides, point.test.model_dump_json()), point)
    except CarrotError:
        return point.test


@st.cache_data(max_entries=256, show_spinner="Reading what the points do …")
def _test_figures(view: views.View, key: tuple[str | float, ...], _point: PointFile) -> PointFigures | None:
    """Cache `figures_of`; ``key`` has all fields of the point that it reads, so not its date and note."""
    return figures_of(_point, view.results)


def describe_accuracy(figures: PointFigures | None) -> str:
    """Accuracy in per cent with its interval."""
    if figures is None:
        return NOT_MEASURED
    return percent(figures.score, figures.score_low, figures.score_high)


def basis_of(point: PointFile) -> CostBasis:
    """The basis of a point's costs: that of its benchmark's pages if its data are here, else that of its own cost."""
    info = benchmark_of(point)
    if info is None or info.data_hash != point.data_hash:
        return point.basis
    try:
        return views.view(info).basis
    except CarrotError:
        return point.basis


def describe_cost(figures: PointFigures | None, basis: CostBasis) -> str:
    """Mean cost of a call with its interval."""
    if figures is None:
        return NOT_MEASURED
    return basis.text(figures.cost_usd, figures.cost_usd_low, figures.cost_usd_high)


def describe_models(point: PointFile) -> str:
    """The models that answer most of the prompts it was measured on."""
    if point.shares is None:
        return NOT_MEASURED
    most, names = sorted(point.shares.items(), key=lambda item: -item[1]), short_names(point.shares)
    parts = [f"{names[model]} {percent(share, digits=0)}" for model, share in most[:_MOST_SHARES] if share >= 0.005]
    rest = len([share for _, share in most[_MOST_SHARES:] if share >= 0.005])
    return ", ".join(parts) + (f" and {rest} more" if rest else "")


def describe_prices(point: PointFile) -> str:
    """The dates of its prices."""
    if not point.prices:
        return "costs in dollars, as recorded"
    dates = sorted({price.as_of for price in point.prices.values()} - {""})
    if not dates:
        return "no date given"
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def describe_point(point: PointFile) -> str:
    """Router, λ and benchmark in a line."""
    return f"{label(point.router)} at λ {lam_text(point.lam)} on {point.benchmark}"


def describe_date(point: PointFile) -> str:
    """The time a point was made, to the minute."""
    return f"{point.created_at[:16].replace('T', ' ')} UTC"


def keep_panel() -> None:
    """Choose a router and one of its points, see its figures, and keep it; without a router, say what to do."""
    for_bench, for_router, for_costs = st.columns([4, 4, 3], vertical_alignment="bottom")
    with for_bench:
        info = controls.benchmark(readable_benchmarks())
    if not live.servable(info):
        live.nothing_to_serve(info)
        return
    with for_router:
        router = live.router_of(info)
    with for_costs:
        models_note(info)
    for_figures, for_choice = st.columns([3, 2], gap="medium")  # a phone shows the figures first
    with for_choice:
        options = live.decision_options(router, info, folded=True)
        _match(info, router, options)
    with for_figures, errors_as_text():
        point = router.point_file(**asdict(options))
        _expectation(point)
        live.note(info, router, options)
        with for_choice, st.form("points:keep", clear_on_submit=True):
            for_name, for_note = st.columns(2)
            name = for_name.text_input("Name", max_chars=limits.POINT_NAME, placeholder="Optional")
            note = for_note.text_area("Note", max_chars=limits.POINT_NOTE, height=68, placeholder="Optional")
            submit = st.form_submit_button("Keep this point", type="primary", icon=":material/bookmark_add:")
        if submit:
            keep(info, router.point_file(note=join_note(name, note), **asdict(options)))
            st.rerun()


def keep(info: BenchmarkInfo, point: PointFile) -> None:
    """Keep a point of a benchmark; the next run shows a notice."""
    place_for(info).keep(point)
    st.session_state[NOTICE] = f"Kept: {describe_point(point)}."


def _match(info: BenchmarkInfo, router: CarrotRouter, options: DecisionOptions) -> None:
    """Choose a model to match, which sets λ, and show the notice about the result."""
    st.session_state["match"] = None  # choosing a model sets λ once; the box then empties
    view = views.view(info)
    name = measured_name(router.router, view.runnable)
    st.selectbox(
        "As good as a model, as cheap as possible",
        links.by_provider(solve.matchable(view, router.models), info.facts_by_model),
        format_func=links.model_words(info.facts_by_model), key="match", disabled=options.pool is not None,
        placeholder="Choose the model to match", on_change=_match_model,
        args=(view, name, router), help=tip("matched-point", also="Sets λ."),
    )  # fmt: skip
    solve.show_notice(view, name, options.pool or (), (), st.session_state[controls.RATE], router.cost_unit_usd)


def _match_model(view: views.View, name: str, router: CarrotRouter) -> None:
    model = st.session_state["match"]
    if model is not None:
        solve.match(view, name, router.profile.curves["validation"], model, router.cost_unit_usd)


def _expectation(point: PointFile) -> None:
    """Accuracy, cost and shares of a point, with intervals."""
    if point.test is None:
        st.info(
            "Nothing was measured on this pool: the point will route as shown, but its accuracy and cost are untested."
        )
        return
    for_figures, for_models = st.columns(2)
    figures, basis = test_figures(point), basis_of(point)
    with for_figures, st.container(horizontal=True):
        for what, text in (("Accuracy", describe_accuracy(figures)), ("Cost", describe_cost(figures, basis))):
            value, _, ends = text.rstrip("]").partition(" [")
            number, per, unit = value.partition(" per ")  # beside the number the unit would be cut
            interval = f"95 %: {ends.replace(', ', ' to ')}" if ends else None
            st.metric(f"{what}{per}{unit}", number, interval, "off", delta_arrow="off", width="content")
    for_models.markdown(plain(f"λ {lam_text(point.lam)}. Answered by {describe_models(point)}."))
    without = " Prompts that the fallback takes are counted with CARROT's choice." if point.fallback else ""
    words = f"On {point.test.n_prompts:,} prompts, each judged by a router that had not seen it."
    if on := point.validation:
        there = f"{describe_accuracy(on)} at {describe_cost(on, basis)}"
        words += f" On {on.n_prompts:,} of validation {there}, 95 % in brackets."
    st.caption(plain(words + without))


def keep_button(info: BenchmarkInfo, router: str, rate_per_usd: float, *, whole: bool) -> None:
    """A button on another page to keep its point; disabled if the router cannot answer typed prompts here.

    ``whole`` is True if the page shows the whole pool on all tasks; only then are its figures those of the point.
    """
    served = SHIPPED_ROUTER if router == LABELLED_HEAD else router
    able = served in live.servable(info)
    does = "The Operating points page lists it, compares it with others, and downloads it."
    if not whole:
        does = "Kept from here is a point of all models on all tasks. The Operating points page keeps one of a pool."
    elif not able:
        does = f"{plain(label(router))} cannot answer typed prompts here, so no point of it can be kept."
    if st.button("Keep this point", icon=":material/bookmark_add:", help=does, disabled=not (whole and able)):
        with errors_as_text():
            carrot_router = live.load_router(version_of(info), info.name, served)
            keep(info, carrot_router.point_file(lam=shortest_lam(rate_per_usd, carrot_router.cost_unit_usd)))
            st.toast(plain(str(st.session_state[NOTICE])), icon=":material/bookmark_added:")
