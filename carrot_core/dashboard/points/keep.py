"""Keep an operating point: solve it, see what it does in words and figures, give it a name."""

from __future__ import annotations

from dataclasses import asdict

import streamlit as st

from carrot_core import limits
from carrot_core.dashboard import controls, views
from carrot_core.dashboard.frontier import solve
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.live import settings
from carrot_core.dashboard.live.answer import Asked
from carrot_core.dashboard.points import keep as words
from carrot_core.dashboard.points.places import place_for
from carrot_core.dashboard.shell import errors_as_text, plain, readable_benchmarks
from carrot_core.dashboard.stores import version_of
from carrot_core.figures.scene import label, short_name
from carrot_core.frontier import shortest_lam
from carrot_core.number_formats import cost_text, lam_text, percent
from carrot_core.points.shelf import join_note
from carrot_core.serving.point import PointFigures, PointFile
from carrot_core.serving.router import CarrotRouter
from carrot_core.store import BenchmarkInfo
from carrot_core.text import visible

NOT_MEASURED = "not measured"


_MOST_SHARES = 3


def accuracy(figures: PointFigures | None) -> str:
    """Accuracy with its interval, per cent."""
    if figures is None:
        return NOT_MEASURED
    return percent(figures.score, figures.score_low, figures.score_high)


def cost(figures: PointFigures | None) -> str:
    """Cost per 1k queries with its interval."""
    if figures is None:
        return NOT_MEASURED
    return cost_text(figures.cost_usd, figures.cost_usd_low, figures.cost_usd_high)


def answered_by(point: PointFile) -> str:
    """The models that answer most of the test prompts."""
    if point.shares is None:
        return NOT_MEASURED
    most = sorted(point.shares.items(), key=lambda item: -item[1])
    told = [f"{short_name(model)} {percent(share, digits=0)}" for model, share in most[:_MOST_SHARES] if share >= 0.005]
    rest = len([share for _, share in most[_MOST_SHARES:] if share >= 0.005])
    return ", ".join(told) + (f" and {rest} more" if rest else "")


def prices(point: PointFile) -> str:
    """The dates of its prices."""
    if not point.prices:
        return "costs in dollars, as recorded"
    dates = sorted({price.as_of for price in point.prices.values()} - {""})
    if not dates:
        return "no date given"
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def made_of(point: PointFile) -> str:
    """Router, λ and benchmark in a line."""
    return f"{label(point.router)} at λ {lam_text(point.lam)} on {point.benchmark}"


def when(point: PointFile) -> str:
    """When it was made, to the minute."""
    return f"{point.created_at[:16].replace('T', ' ')} UTC"


DONE = "points:done"  # what the last action did, said once


def keep_panel() -> None:
    """Choose a router and a point of it, see what to expect, and keep it; ends the page where there is no router."""
    for_bench, for_router = st.columns(2)
    with for_bench:
        info = controls.benchmark(readable_benchmarks())
    with for_router:
        router = settings.router_of(info)
    asked = settings.asked_of(router, expanded=True)
    _match(info, router, asked)
    settings.note(info, router, asked)
    with errors_as_text():
        point = router.point_file(**asdict(asked))
        _expected(point)
        with st.form("points:keep", clear_on_submit=True):
            name = st.text_input("Name", max_chars=limits.POINT_NAME, placeholder="Optional: what you will know it by")
            note = st.text_area("Note", max_chars=limits.POINT_NOTE, height=68, placeholder="Optional: what it is for")
            kept = st.form_submit_button("Keep this point", type="primary", icon=":material/bookmark_add:")
        if kept:
            keep(info, router.point_file(note=join_note(name, note), **asdict(asked)))
            st.rerun()


def keep(info: BenchmarkInfo, point: PointFile) -> None:
    """Keep a point of a benchmark where it belongs, and say so on the next run."""
    place_for(info).keep(point)
    st.session_state[DONE] = f"Kept: {words.made_of(point)}."


def _match(info: BenchmarkInfo, router: CarrotRouter, asked: Asked) -> None:
    """Set λ to what is as good as one model on validation, as cheap as possible, and say which model that was."""
    st.session_state["match"] = None  # a handle that sets λ once, not a state
    seen = views.view(info)
    st.selectbox(
        "As good as a model, as cheap as possible", solve.matchable(seen, router.models), format_func=visible,
        key="match", disabled=asked.pool is not None, placeholder="Choose the model to match", on_change=_matched,
        args=(seen, router), help=tip("matched-point", also="Sets λ."),
    )  # fmt: skip
    solve.said(seen, router.router, asked.pool or (), (), st.session_state[controls.RATE], router.cost_unit_usd)


def _matched(seen: views.View, router: CarrotRouter) -> None:
    model = st.session_state["match"]
    if model is not None:
        solve.match(seen, router.router, router.companion.curves["validation"], model, router.cost_unit_usd)


def _expected(point: PointFile) -> None:
    """What the point does, with its intervals."""
    if point.test is None:
        st.info(
            "Nothing was measured on this pool: the point will route as shown, but its accuracy and cost are untested."
        )
        return
    for_accuracy, for_cost, for_models = st.columns([1, 1, 2])
    for box, what, tell in (
        (for_accuracy, "Accuracy on test", words.accuracy),
        (for_cost, "Cost per 1k queries on test", words.cost),
    ):
        value, bracket, ends = tell(point.test).partition(" [")
        box.metric(what, value)
        box.caption(plain(f"{bracket}{ends} · on validation {tell(point.validation)}".strip()))
    for_models.markdown(plain(f"λ {lam_text(point.lam)}. Test prompts answered by {words.answered_by(point)}."))
    without = " Prompts that the fallback takes are counted with CARROT's choice." if point.fallback else ""
    for_models.caption(
        f"{point.test.n_prompts:,} test prompts, {point.validation.n_prompts if point.validation else 0:,} on "
        f"validation; 95 % intervals in brackets.{without}"
    )


def keep_button(info: BenchmarkInfo, router: str, rate_per_usd: float, *, whole: bool) -> None:
    """Keep the point of the curve another page shows, where a router of that name answers typed prompts here.

    ``whole`` says that the page shows the whole pool on all tasks: a slice has other figures.
    """
    able = router in settings.servable(info)
    does = "The Operating points page lists it, compares it with others, and downloads it."
    if not whole:
        does = "Kept from here is a point of all models on all tasks. The Operating points page keeps one of a pool."
    elif not able:
        does = f"{plain(label(router))} cannot answer typed prompts here, so no point of it can be kept."
    if st.button("Keep this point", icon=":material/bookmark_add:", help=does, disabled=not (whole and able)):
        with errors_as_text():
            loaded = settings.loaded(version_of(info), info.name, router)
            keep(info, loaded.point_file(lam=shortest_lam(rate_per_usd, loaded.cost_unit_usd)))
            st.toast(plain(str(st.session_state[DONE])), icon=":material/bookmark_added:")
