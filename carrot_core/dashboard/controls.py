"""Widgets the pages share; each is bound to the address, so that a link reopens what is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from carrot_core.dashboard import links, views
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.shell import plain
from carrot_core.dashboard.stores import labels, store_of
from carrot_core.embedding import load_embedded
from carrot_core.evaluation.runs import run_router
from carrot_core.figures.scene import DRAWN_BASELINES, label
from carrot_core.frontier import ReadableCurve, lam_of_rate, rate_of_lam
from carrot_core.number_formats import QUERIES, lam_text
from carrot_core.operating_point import Solution, solve_budget, solve_target
from carrot_core.store import BenchmarkInfo
from carrot_core.text import visible

FIT = "Fit CARROT-KNN"
_DRAWN_AT_FIRST = 2
_COMPARED = ("compared", "of", "areas", "model_of", "seed", "beside")  # of the Compare page


def benchmark(benchmarks: Sequence[BenchmarkInfo]) -> BenchmarkInfo:
    """Choose one of the loaded benchmarks (``?bench=``)."""
    shown = labels(benchmarks)
    opened = benchmarks.index(views.default_benchmark(benchmarks))
    label = st.selectbox(
        "Benchmark", shown, opened, key="bench", bind="query-params", on_change=_forget_slice,
        help=tip("benchmark", "snapshot"),
    )  # fmt: skip
    links.judge("bench", links.among(shown), label)
    return benchmarks[shown.index(label)]


def _forget_slice() -> None:
    """Another benchmark has other routers, models and tasks: start at its own opening point, unfiltered."""
    for key in ("routers", "along", "reference", "router", "fallback", "lam", *_COMPARED):
        st.session_state.pop(key, None)
    st.session_state["pool"] = st.session_state["tasks"] = []
    st.query_params.pop("lam", None)


def routers(fitted: Sequence[str]) -> tuple[str, ...]:
    """Choose the curves to draw (``?routers=``); not all at first where there are many."""
    options, opened = [*fitted, *DRAWN_BASELINES], [*fitted[:_DRAWN_AT_FIRST], *DRAWN_BASELINES]
    chosen = st.multiselect(
        "Routers", options, opened, format_func=label, key="routers", bind="query-params",
        placeholder="Choose a router", help=tip("router", "baseline"),
    )  # fmt: skip
    _judge_several("routers", options, chosen, "no router", label)
    return tuple(chosen)


def along(shown: Sequence[str]) -> str:
    """Choose the curve λ moves along (``?along=``)."""
    chosen = str(
        st.selectbox(
            "λ moves along", shown, format_func=label, key="along", bind="query-params", help=tip("lambda")
        )
    )  # fmt: skip
    links.judge("along", links.among([label(name) for name in shown]), label(chosen))
    return chosen


# Models are listed by their full names: two makers' models may share the short one, and links name them.
def reference(models: Sequence[str], best_single: str) -> str:
    """Choose the model that savings are measured against (``?reference=``); the best single model at first."""
    chosen = str(
        st.selectbox(
            "Reference model", models, list(models).index(best_single), format_func=visible, key="reference",
            bind="query-params",
            help=tip("reference", "best-single-model"),
        )
    )  # fmt: skip
    links.judge("reference", links.among([visible(model) for model in models]), visible(chosen))
    return chosen


def pool_and_tasks(
    models: Sequence[str], tasks: Sequence[str], *, whole: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose models and tasks (``?pool=``, ``?tasks=``); nothing chosen means all.

    A snapshot is ``whole``: there it says that nothing can be left out.
    """
    if whole:
        on = f"all {len(tasks)} tasks" if len(tasks) > 1 else "its one task"
        st.caption(f"A snapshot shows the whole pool of {len(models)} models on {on}.")
        _judge_several("pool", (), (), "all models")
        _judge_several("tasks", (), (), "all tasks")
        return (), ()
    models_left = pool(models)
    chosen = st.multiselect(
        f"Tasks ({len(tasks)})", tasks, format_func=visible, key="tasks", bind="query-params", placeholder="All tasks"
    )
    _judge_several("tasks", tasks, chosen, "all tasks")
    return models_left, tuple(chosen)


def pool(models: Sequence[str]) -> tuple[str, ...]:
    """Choose models (``?pool=``); nothing chosen means all."""
    chosen = st.multiselect(
        f"Pool ({len(models)} models)", models, format_func=visible, key="pool", bind="query-params",
        placeholder="All models",
        help=tip("pool"),
    )  # fmt: skip
    _judge_several("pool", models, chosen, "all models")
    return tuple(chosen)


def _judge_several(
    name: str, options: Sequence[str], chosen: Sequence[str], otherwise: str, shown: Callable[[str], str] = visible
) -> None:
    links.judge(name, links.among(list(map(shown, options))), ", ".join(map(shown, chosen)) or otherwise, many=True)


def lam(opened_at: float) -> float:
    """λ of the session: where it was moved to, else what the address says, else where the page opens.

    One value for all pages and all handles, and always in the address (``?lam=``).
    """
    if "lam" not in st.session_state:
        set_lam(_lam_in(st.query_params.get("lam"), opened_at))
        links.judge("lam", links.between(0, 1), lam_text(st.session_state["lam"]))
    text = repr(st.session_state["lam"])
    if st.query_params.get("lam") != text:  # writing the address anew would undo what was just chosen elsewhere
        st.query_params["lam"] = text
    return float(st.session_state["lam"])


def _lam_in(text: str | None, otherwise: float) -> float:
    try:
        asked = float(text or "")
    except ValueError:
        return otherwise
    return asked if 0.0 <= asked <= 1.0 else otherwise


def set_lam(value: float) -> None:
    """Move λ, from whichever handle."""
    st.session_state["lam"] = value


def handles(chosen_on: ReadableCurve, cost_unit_usd: float) -> None:
    """λ, budget and target accuracy: three plain handles on one point of the validation curve.

    Whichever moves, the other two follow.
    """
    at = chosen_on.at(rate_of_lam(st.session_state["lam"], cost_unit_usd))
    st.session_state["budget"] = float(f"{QUERIES * chosen_on.cost_usd[at]:.4g}")
    st.session_state["target"] = float(f"{100 * chosen_on.score[at]:.2f}")
    for_lam, for_budget, for_target = st.columns([2, 1, 1])
    with for_lam:
        lam_slider()
    for_budget.number_input(
        "Budget, $ per 1k (validation)", 0.0, key="budget", format="%.4g", on_change=_spend,
        args=(chosen_on, cost_unit_usd), help=tip("budget"),
    )  # fmt: skip
    for_target.number_input(
        "Target accuracy, % (validation)", 0.0, 100.0, key="target", format="%.2f", step=0.5, on_change=_reach,
        args=(chosen_on, cost_unit_usd), help=tip("target"),
    )  # fmt: skip


def lam_slider() -> None:
    """λ alone, where no validation curve is known."""
    st.session_state["lam_slider"] = st.session_state["lam"]
    st.slider(
        "λ", 0.0, 1.0, step=0.001, format="%.3f", key="lam_slider", on_change=_slide,
        help=tip("lambda"),
    )  # fmt: skip


def _slide() -> None:
    set_lam(st.session_state["lam_slider"])


def _spend(frontier: ReadableCurve, cost_unit_usd: float) -> None:
    _take(solve_budget(frontier, st.session_state["budget"] / QUERIES), cost_unit_usd)


def _reach(frontier: ReadableCurve, cost_unit_usd: float) -> None:
    _take(solve_target(frontier, st.session_state["target"] / 100), cost_unit_usd)


def _take(solution: Solution, cost_unit_usd: float) -> None:
    if solution.shortfall:
        st.toast(plain(f"On validation {solution.shortfall}: took the nearest."))
    set_lam(float(lam_of_rate(solution.exchange_rate_per_usd, cost_unit_usd)))


def fit_button(info: BenchmarkInfo, besides: str = "") -> None:
    """Offer to fit CARROT-KNN where no router is fitted, with progress; the page starts again when it is done.

    ``besides`` says what the page shows all the same.
    """
    if not info.n_with_text:
        st.info(f"{without_texts(info)} Choose another benchmark, or import one that has texts. {besides}".strip())
        return
    st.info(
        f"No router is fitted on {plain(info.name)} yet. CARROT-KNN is fitted in seconds once texts have vectors. "
        f"{besides}".strip()
    )
    if st.button(FIT, type="primary"):
        fit(info)
        st.rerun()


def without_texts(info: BenchmarkInfo) -> str:
    """Why no router can be fitted on prompts without texts; Markdown."""
    return f"The prompts of {plain(info.name)} came without their texts, so no router can learn from them."


def fit(info: BenchmarkInfo) -> None:
    """Embed what has no vector yet and fit CARROT-KNN, under a progress bar."""
    bar, store = st.progress(0.0, "Reading the prompts …"), store_of(info)

    def embedding(done: int, total: int) -> None:
        bar.progress(done / max(total, 1), f"Embedding prompts: {done:,} of {total:,}")

    def judging(done: int, total: int) -> None:
        bar.progress(done / total, f"Fitting and judging: step {done} of {total}")

    run_router(store, load_embedded(store, info.name, progress=embedding), progress=judging)
