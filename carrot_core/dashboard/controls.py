"""Widgets the pages share; each is bound to the address, so that a link reopens the same view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from carrot_core.benchmarks.model_facts_arms import NOTHING, ModelFacts
from carrot_core.dashboard import links
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.shell import damaged_note
from carrot_core.dashboard.stores import labels
from carrot_core.dashboard.views import View, latency_p95_s
from carrot_core.figures.benchmark import model_groupings
from carrot_core.figures.scene import Grouping, drawn_baselines, label
from carrot_core.frontier import rate_of_lam, shortest_lam
from carrot_core.number_formats import lam_text
from carrot_core.serving.loading import LABELLED_HEAD, SHIPPED_ROUTER
from carrot_core.store import BenchmarkInfo
from carrot_core.text import visible

RATE = "rate"  # exchange rate of the session's point, in score per dollar
ROUTER = "router:in use"  # the session's router, by name; all pages share it, as they do the rate
_IS_SET = "rate:chosen"  # True once the reader or a link set the point; before, it is the first page's default
_PART = "rate:part"  # models and tasks in use where it opened
_DEFAULT_ROUTERS = 2  # fitted routers that are drawn by default
_DRAWN_ANYWAY = ("zero", "best-single")  # drawn already as the hull of the single models, and as one of them
# The filters of `pool` by facts on models, at values that every model passes.
NO_FILTERS: Mapping[str, object] = {
    "open_weights": False, "providers": [], "efforts": [], "released_after": None, "latency_p95": None,
}  # fmt: skip
_COST = "Cost"  # colours the models unless a fact is chosen
_STALE = "stale"  # widgets that have not been drawn since the benchmark changed
# Widgets whose options come from the benchmark.
_OF_BENCHMARK = (
    "pool", "tasks", "routers", "along", "reference", "router", "fallback", "candidate", "solve:model",
    "compared", "of", "areas", "model_of", "seed", "beside", "task_label", "rare", "color_by", *NO_FILTERS,
)  # fmt: skip


def benchmark(benchmarks: Sequence[BenchmarkInfo]) -> BenchmarkInfo:
    """Choose one of the loaded benchmarks (``?bench=``), the first one at first; damaged ones are named below."""
    names = labels(benchmarks)
    links.keep("bench", names[1:], {info.name: label for info, label in zip(benchmarks, names, strict=True)})
    label = st.selectbox(
        "Benchmark", names, key="bench", bind="query-params", on_change=_change_benchmark,
        help=tip("benchmark", "snapshot"),
    )  # fmt: skip
    links.check_parameter("bench", links.among([*names, *(info.name for info in benchmarks)]), label)
    damaged_note()
    return benchmarks[names.index(label)]


def _change_benchmark() -> None:
    """Reset the widgets whose options depend on the benchmark, and the point unless the reader or a link set it."""
    st.session_state[_STALE] = set(_OF_BENCHMARK)
    st.session_state.pop(ROUTER, None)
    if not st.session_state.get(_IS_SET):
        st.session_state.pop(RATE, None)
        st.query_params.pop("lam", None)


def reset_if_stale(key: str, default: object) -> None:
    """Set a widget to its default if the benchmark has changed since it was last drawn; call it just before drawing.

    The browser identifies a widget by its key, which is also its name in the address and cannot change. Deleting
    the widget's state is not enough: the browser would still show the old text.
    """
    if key in st.session_state.get(_STALE, ()):
        st.session_state[_STALE].remove(key)
        st.session_state[key] = default


def open_benchmark(label: str, choices: Mapping[str, object]) -> None:
    """Choose a benchmark for all pages as its box does, and set widgets by their keys; call before these are drawn."""
    if st.session_state.get("bench") != label:
        _change_benchmark()
    st.session_state.get(_STALE, set()).difference_update(choices)
    st.session_state.update({"bench": label, **choices})


def routers(fitted: Sequence[str], baselines: Sequence[str]) -> tuple[str, ...]:
    """Choose the curves to draw (``?routers=``); by default the first fitted routers and some baselines."""
    options = [*fitted, *(name for name in baselines if name not in _DRAWN_ANYWAY)]
    if links.went_back():
        st.session_state[ROUTER] = {label(name): name for name in options}.get(st.query_params.get("along", ""), "")
    own = in_use(options)
    default = list(dict.fromkeys([*([own] if own else []), *fitted[:_DEFAULT_ROUTERS], *drawn_baselines(options)]))
    reset_if_stale("routers", default)
    choice = st.multiselect(
        "Routers", options, default, format_func=label, key="routers", bind="query-params",
        placeholder="Choose a router", help=tip("router", "baseline"),
    )  # fmt: skip
    links.check_several("routers", options, choice, "no router", label)
    return tuple(choice)


def along(names: Sequence[str]) -> str:
    """Choose the router whose curve λ moves along (``?along=``); at first the session's."""
    reset_if_stale("along", names[0])
    open_at_router("along", names)
    choice = st.selectbox(
        "λ moves along", names, format_func=label, key="along", bind="query-params", help=tip("lambda"),
        on_change=use_router, args=("along",),
    )  # fmt: skip
    links.check_parameter("along", links.among([label(name) for name in names]), label(choice))
    return choice


def in_use(names: Sequence[str]) -> str | None:
    """The session's router if it is among ``names``; else None."""
    own = st.session_state.get(ROUTER, "")
    twins = {LABELLED_HEAD: SHIPPED_ROUTER, SHIPPED_ROUTER: LABELLED_HEAD}
    return next((name for name in (own, twins.get(own)) if name in names), None)


def use_router(key: str) -> None:
    """Make the router in a widget the session's."""
    st.session_state[ROUTER] = st.session_state[key]


def open_at_router(key: str, names: Sequence[str]) -> None:
    """Open a widget at the session's router, unless it has a value or the address sets one; call before drawing."""
    if key not in st.session_state and key not in st.query_params and (own := in_use(names)) is not None:
        st.session_state[key] = own


def router_in_use(names: Sequence[str]) -> str:
    """The session's router on a page without a widget for it: of the address (``?router=``), else the first name."""
    by_label = {label(name): name for name in names}
    linked = by_label.get(st.query_params.get("router", ""))
    if linked is not None and (ROUTER not in st.session_state or links.went_back()):
        st.session_state[ROUTER] = linked
    router = in_use(names) or names[0]
    links.check_parameter("router", links.among(by_label), label(router))
    st.query_params["router"] = label(router)
    return router


# Models are listed by full name: models of two makers may share a short name, and links use the full one.
def reference(models: Sequence[str], best_single: str, facts: Mapping[str, ModelFacts]) -> str:
    """Choose the model that savings are measured against (``?reference=``); at first the best single model of the
    pool and tasks. That option does not name the model, since the browser keeps an option's text if it changes."""

    words = links.model_words(facts)

    def name(model: str) -> str:
        return words(model) if model else "Best single model"

    reset_if_stale("reference", "")
    links.open_at_models("reference", models, "")
    choice = st.selectbox(
        "Reference model", ["", *links.by_provider(models, facts)], format_func=name, key="reference",
        persist_state="session", help=tip("reference", "best-single-model"),
    )  # fmt: skip
    links.keep_models("reference", models, choice, "", name(""))
    return choice or best_single


def pool_and_tasks(
    models: Sequence[str],
    tasks: Sequence[str],
    facts: Mapping[str, ModelFacts],
    latency_p95_s: Mapping[str, float] | None = None,
    *,
    whole: bool = False,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose models, as `pool` does, and tasks (``?tasks=``); an empty choice means all.

    With ``whole`` (a snapshot) nothing can be left out, and a caption says so.
    """
    if whole:
        on = f"all {len(tasks)} tasks" if len(tasks) > 1 else "its one task"
        st.caption(f"A snapshot shows the whole pool of {len(models)} models on {on}.")
        _keep_whole()
        links.check_several("tasks", (), (), "all tasks")
        return (), ()
    models_left = pool(models, facts, latency_p95_s)
    reset_if_stale("tasks", [])
    choice = st.multiselect(
        f"Tasks ({len(tasks)})", tasks, format_func=visible, key="tasks", bind="query-params", placeholder="All tasks"
    )
    links.check_several("tasks", tasks, choice, "all tasks")
    return models_left, tuple(choice)


def _keep_whole() -> tuple[()]:
    """Check the parameters of a link to `pool` where no model can be left out; the empty choice."""
    links.keep_models("pool", (), [], [], "all models")
    for choose in (_open_weights, _released, _within):
        choose(())
    for key in ("providers", "efforts"):
        _some_of((), key)
    return ()


def models_menu(view: View, facts: Mapping[str, ModelFacts]) -> tuple[tuple[str, ...], Grouping | None]:
    """`pool` and `color_by` in a menu, with `pool_note` beside it."""
    with st.popover("Models", type="tertiary", icon=":material/filter_alt:"):
        models = pool(view.models, facts, latency_p95_s(view)) if view.can_filter else _keep_whole()
        grouping = color_by(view.models, facts)
    pool_note(models, view.models)
    return models, grouping


def pool_note(pool: Sequence[str], models: Sequence[str]) -> None:
    """Say how many models are in use, where some are left out."""
    if pool:
        st.caption(f"{len(pool)} of {len(models)} models", width="content")


def color_by(models: Sequence[str], facts: Mapping[str, ModelFacts]) -> Grouping | None:
    """Choose the fact that models are coloured and put together by (``?color_by=``); None for their costs."""
    options = [_COST, *model_groupings(models, facts)]
    reset_if_stale("color_by", _COST)
    choice = st.selectbox("Colour models by", options, key="color_by", bind="query-params") if options[1:] else _COST
    links.check_parameter("color_by", links.among(options), choice)
    return grouping_in_use(models, facts)


def grouping_in_use(models: Sequence[str], facts: Mapping[str, ModelFacts]) -> Grouping | None:
    """The groups that `color_by` made last, on whatever page."""
    return model_groupings(models, facts).get(st.session_state.get("color_by", _COST))


def pool(
    models: Sequence[str], facts: Mapping[str, ModelFacts], latency_p95_s: Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """Choose models (``?pool=``), and filter them by facts; an empty choice means all.

    ``latency_p95_s`` is the 95th percentile of the seconds of a model's calls, for models with recorded latency.
    """
    reset_if_stale("pool", [])
    links.open_at_models("pool", models, [])
    options, words, arms = links.with_arms(models, facts)
    choice = st.multiselect(
        f"Pool ({len(models)} models)", options, format_func=words, key="pool", persist_state="session",
        placeholder="All models", help=tip("pool"), on_change=_take_arms, args=(arms,),
    )  # fmt: skip
    links.keep_models("pool", models, choice, [], "all models")
    all_facts = [facts.get(model, NOTHING) for model in models]
    fast = _within([(latency_p95_s or {}).get(model) for model in models])
    of_provider = _some_of([fact.provider for fact in all_facts], "providers")
    of_effort = _some_of([fact.effort for fact in all_facts], "efforts")
    tests = _open_weights(all_facts), of_provider, of_effort, _released(all_facts), fast
    passes = [all(each) for each in zip(*tests, strict=True)]
    if all(passes):
        return tuple(choice)
    rest = tuple(model for model, fits in zip(models, passes, strict=True) if fits and model in (choice or models))
    if rest:
        st.caption(f"{len(rest)} of {len(choice or models)} models pass; models without this fact do not.")
    else:
        st.warning("No model passes these filters, so the filters are ignored.", icon=":material/filter_alt_off:")
    return rest or tuple(choice)


def _take_arms(arms: Mapping[str, Sequence[str]]) -> None:
    """Replace a model in the choice of the pool by its arms."""
    choice = st.session_state["pool"]
    st.session_state["pool"] = list(dict.fromkeys(model for option in choice for model in arms.get(option, (option,))))


def _open_weights(all_facts: Sequence[ModelFacts]) -> list[bool]:
    """Which models pass the choice of open weights (``?open_weights=``)."""
    only = False
    if any(fact.open_weights is not None for fact in all_facts):
        reset_if_stale("open_weights", False)
        only = st.checkbox("Open weights only", key="open_weights", bind="query-params")
    links.check_parameter("open_weights", links.flag, str(only).lower())
    return [fact.open_weights is True or not only for fact in all_facts]


def _some_of(values: Sequence[str], key: str) -> list[bool]:
    """Which models pass the choice of providers or efforts (``?providers=``, ``?efforts=``); ``values`` are theirs."""
    names, choice = sorted({*values} - {""}, key=str.casefold), []
    if names:
        reset_if_stale(key, [])
        choice = st.multiselect(
            key.capitalize(), names, format_func=visible, key=key, bind="query-params", placeholder=f"All {key}"
        )
    links.check_several(key, names, choice, f"all {key}")
    return [value in choice or not choice for value in values]


def _released(all_facts: Sequence[ModelFacts]) -> list[bool]:
    """Which models pass the choice of a date of release (``?released_after=``)."""
    dates, after = sorted({fact.release_date for fact in all_facts} - {""}), None
    if dates:
        reset_if_stale("released_after", None)
        after = st.selectbox(
            "Released after", dates, None, format_func=visible, key="released_after", bind="query-params",
            placeholder="Any date",
        )  # fmt: skip
    links.check_parameter("released_after", links.among(dates), after or "any date")
    return [after is None or fact.is_released_after(after) for fact in all_facts]


def _within(latency_p95_s: Sequence[float | None]) -> list[bool]:
    """Which models pass the cap of latency (``?latency_p95=``), in seconds."""
    most = None
    if any(seconds is not None for seconds in latency_p95_s):
        reset_if_stale("latency_p95", None)
        most = st.number_input(
            "p95 latency at most, seconds", 0.0, None, None, key="latency_p95", bind="query-params", format="%g",
            placeholder="Any latency", help=tip("latency"),
        )  # fmt: skip
    links.check_parameter("latency_p95", links.between(0, float("inf")), "any latency" if most is None else f"{most:g}")
    return [most is None or (seconds is not None and seconds <= most) for seconds in latency_p95_s]


def rate(opened_at_per_usd: float, cost_unit_usd: float, part: Sequence[str] | None = None) -> float:
    """Exchange rate of the session's point, in score per dollar, the same for all pages and all handles.

    It is the rate that was last set; before that, the λ of the address; without one, the page's default, again where
    ``part``, the models and tasks in use, changes. The address (``?lam=``) holds the rate as λ in the page's cost unit,
    so that links and the browser's back button restore it.
    """
    state, lam_of_link = st.session_state, linked_lam("lam")
    is_new = part is not None and tuple(part) != state.get(_PART, ()) and not state.get(_IS_SET)
    if lam_of_link is not None:
        set_lam(lam_of_link, cost_unit_usd)
    elif RATE not in state or is_new:
        state[RATE] = opened_at_per_usd
    if part is not None:
        state[_PART] = tuple(part)
    point = float(state[RATE])
    lam = shortest_lam(point, cost_unit_usd)
    links.check_parameter("lam", links.between(0, 1), lam_text(lam))
    there = links.lam_in_address("lam")
    if there is None or (there != lam and rate_of_lam(there, cost_unit_usd) != point):
        st.query_params["lam"] = repr(lam)
    return point


def linked_lam(name: str) -> float | None:
    """λ of the address if it sets the point, in a new session or after the browser's back button; else None."""
    return links.lam_in_address(name) if RATE not in st.session_state or links.went_back() else None


def set_rate(rate_per_usd: float) -> None:
    """Set the session's point to an exchange rate, in score per dollar."""
    st.session_state[RATE] = rate_per_usd
    st.session_state[_IS_SET] = True


def set_lam(lam: float, cost_unit_usd: float) -> None:
    """Set the session's point to a λ in a cost unit."""
    set_rate(rate_of_lam(lam, cost_unit_usd))
