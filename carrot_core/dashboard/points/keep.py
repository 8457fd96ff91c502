"""Keep an operating point: choose it, see its figures, give it a name; and the texts that describe a point."""

from __future__ import annotations

from dataclasses import asdict

import streamlit as st

from carrot_core import limits
from carrot_core.dashboard import controls, live, views
from carrot_core.dashboard.frontier import solve
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.live import DecisionOptions
from carrot_core.dashboard.points import place_for
from carrot_core.dashboard.shell import errors_as_text, plain, readable_benchmarks
from carrot_core.dashboard.stores import version_of
from carrot_core.figures.scene import label
from carrot_core.frontier import shortest_lam
from carrot_core.number_formats import call_cost, lam_text, percent
from carrot_core.points.shelf import join_note
from carrot_core.serving.loading import LABELLED_HEAD, SHIPPED_ROUTER, measured_name
from carrot_core.serving.point import PointFigures, PointFile
from carrot_core.serving.router import CarrotRouter
from carrot_core.store import BenchmarkInfo
from carrot_core.text import short_names, visible

NOTICE = "points:done"  # notice about the last action, shown once
NOT_MEASURED = "not measured"
_MOST_SHARES = 3


def describe_accuracy(figures: PointFigures | None) -> str:
    """Accuracy in per cent with its interval."""
    if figures is None:
        return NOT_MEASURED
    return percent(figures.score, figures.score_low, figures.score_high)


def describe_cost(figures: PointFigures | None) -> str:
    """Mean cost of a call with its interval."""
    if figures is None:
        return NOT_MEASURED
    return call_cost(figures.cost_usd, figures.cost_usd_low, figures.cost_usd_high)


def describe_models(point: PointFile) -> str:
    """The models that answer most of the test prompts."""
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
    """Choose a router and one of its points, see its figures, and keep it. Without a router, the page stops."""
    for_bench, for_router = st.columns(2)
    with for_bench:
        info = controls.benchmark(readable_benchmarks())
    with for_router:
        router = live.router_of(info)
    options = live.decision_options(router, info.facts_by_model, expanded=True)
    _match(info, router, options)
    live.note(info, router, options)
    with errors_as_text():
        point = router.point_file(**asdict(options))
        _expectation(point)
        with st.form("points:keep", clear_on_submit=True):
            name = st.text_input("Name", max_chars=limits.POINT_NAME, placeholder="Optional: a name for your list")
            note = st.text_area("Note", max_chars=limits.POINT_NOTE, height=68, placeholder="Optional: what it is for")
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
        "As good as a model, as cheap as possible", solve.matchable(view, router.models), format_func=visible,
        key="match", disabled=options.pool is not None, placeholder="Choose the model to match", on_change=_match_model,
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
    for_accuracy, for_cost, for_models = st.columns([1, 1, 2])
    for box, what, tell in (
        (for_accuracy, "Accuracy on test", describe_accuracy),
        (for_cost, "Cost on test", describe_cost),
    ):
        value, bracket, ends = tell(point.test).partition(" [")
        box.metric(what, value)
        box.caption(plain(f"{bracket}{ends} · on validation {tell(point.validation)}".strip()))
    for_models.markdown(plain(f"λ {lam_text(point.lam)}. Test prompts answered by {describe_models(point)}."))
    without = " Prompts that the fallback takes are counted with CARROT's choice." if point.fallback else ""
    for_models.caption(
        f"{point.test.n_prompts:,} test prompts, {point.validation.n_prompts if point.validation else 0:,} on "
        f"validation; 95 % intervals in brackets.{without}"
    )


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
