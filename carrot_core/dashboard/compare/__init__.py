"""The Compare page: widgets, each bound to the address, and the paper's figures of the benchmark."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st

from carrot_core.benchmarks.model_facts_arms import ModelFacts
from carrot_core.dashboard import controls, links
from carrot_core.dashboard.compare.results import accuracy_table
from carrot_core.dashboard.exhibits import chart, show
from carrot_core.dashboard.glossary import metric_meaning, tip
from carrot_core.dashboard.shell import plain, theme
from carrot_core.dashboard.views import View, drawable, opening_rate
from carrot_core.evaluation.quality import POOLED
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.frontier import PLOT
from carrot_core.figures.scene import drawn_baselines, label
from carrot_core.figures.theme import metric_name
from carrot_core.frontier import shortest_lam
from carrot_core.metrics import HEADLINE, METRICS
from carrot_core.paper import PRESETS, NotDrawnError, Preset
from carrot_core.paper.curves import first_carrot
from carrot_core.paper.spider import TITLES, spider_figure
from carrot_core.store import BenchmarkInfo
from carrot_core.text import short_names, visible

PAPER = "The paper's figures"
GROUPS = {
    "Result": ("Metrics", "Differences"),
    "Where": ("By task", "Where it loses", "Who answers"),
    "Why": ("Gap to oracle", "Learnable", "Predictions", "Learning", "New tasks"),
    PAPER: (PAPER,),
}
SECTIONS = tuple(section for sections in GROUPS.values() for section in sections)
_GROUP, _SECTION = "show:group", "show:section"
_ONE_OF: dict[str, Any] = {"required": True, "persist_state": "session", "label_visibility": "collapsed"}
ON_WHOLE = ("Learning", "New tasks", PAPER)  # sections of fits of their own, on the whole benchmark
_DEFAULT_FITTED = 4
_DEFAULT_METRICS = (HEADLINE, "aiq", "routing_accuracy", "cost_per_solved", "qnc")
_WHOLE = "all λ (AIQ)"


def routers(fitted: Sequence[str], baselines: Sequence[str]) -> tuple[str, ...]:
    """Choose the routers and baselines to compare (``?compared=``); by default those with a chance, and the zero."""
    options = [*fitted, *baselines]
    beside = [name for name in drawn_baselines(options) if name != "oracle"]
    default = list(dict.fromkeys([*fitted[:_DEFAULT_FITTED], *beside, "zero"]))
    return several("Routers", options, "compared", default)


def usable(names: Sequence[str], options: Collection[str]) -> tuple[str, ...]:
    """The routers that can choose among the pool; the page lists the others, and stops if none is left."""
    others = [_label(name) for name in names if name not in options]
    if others:
        why = "models that they choose among or call are left out, or no prompt here has every outcome they look at"
        st.caption(plain(f"Not shown, as {why}: {', '.join(others)}."))
    if len(others) == len(names):
        st.stop()
    return tuple(name for name in names if name in options)


def several(title: str, options: Sequence[str], key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
    """Choose some of the routers."""
    first = list(options[:2] if default is None else default)
    controls.reset_if_stale(key, first)
    choice = st.multiselect(
        title, options, first, format_func=_label, key=key, bind="query-params", placeholder="Choose a router"
    )
    links.check_parameter(
        key, links.among(list(map(_label, options))), ", ".join(map(_label, choice)) or "no router", many=True
    )
    return tuple(choice)


def one(options: Sequence[str]) -> str:
    """Choose one of the routers (``?of=``)."""
    controls.reset_if_stale("of", options[0])
    choice = str(st.selectbox("Router", options, format_func=_label, key="of", bind="query-params"))
    links.check_parameter("of", links.among(list(map(_label, options))), _label(choice))
    return choice


def _label(router: str) -> str:
    return visible(label(router))


def seeds(all_seeds: Sequence[int], *, whole: bool) -> tuple[int, ...]:
    """Choose one seed or the mean over all (``?seed=``), if there are several; for a snapshot (``whole``) the mean
    is the default."""
    every = tuple(all_seeds)
    if len(every) == 1:
        links.check_parameter("seed", links.among([seeds_words(every)]), seeds_words(every))
        return every
    options = [every, *((seed,) for seed in every)]
    words = [seeds_words(option) for option in options]
    first = 0 if whole else 1
    controls.reset_if_stale("seed", words[first])
    choice = st.selectbox(
        "Seeds", words, first, key="seed", bind="query-params",
        help=tip("seed", "split"),
    )  # fmt: skip
    links.check_parameter("seed", links.among(words), str(choice))
    return options[words.index(str(choice))]


def seeds_words(seeds: Sequence[int]) -> str:
    """Text that names the seeds."""
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"mean over seeds {', '.join(map(str, seeds))}"


def about(name: str, seeds: Sequence[int], all_seeds: Sequence[int]) -> str:
    """Title of a table's data: the benchmark, and the seeds if there are several."""
    return visible(name) if len(all_seeds) == 1 else f"{visible(name)}, {seeds_words(seeds)}"


def part_words(name: str, pool: Sequence[str], tasks: Sequence[str], models: Sequence[str]) -> str:
    """A benchmark's name and, if only some models or tasks are chosen, the number of models and the tasks."""
    models_words = f"{len(models)} model{'s' if len(models) > 1 else ''}" if pool else ""
    tasks_words = ", ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks"
    return ", ".join(filter(None, (name, models_words, tasks_words)))


def section() -> str:
    """Choose a group and one of its sections to show (``?show=``, a section or a group)."""
    state, linked = st.session_state, st.query_params.get("show", "")
    if _GROUP not in state or links.went_back():
        section = GROUPS.get(linked, (linked if linked in SECTIONS else SECTIONS[0],))[0]
        state[_GROUP] = next(group for group, sections in GROUPS.items() if section in sections)
        state[_SECTION] = section
    with st.container(horizontal=True):
        group = st.segmented_control("Show", list(GROUPS), on_change=_open_group, key=_GROUP, **_ONE_OF)
        sections = GROUPS[group]
        choice = sections[0]
        if len(sections) > 1:
            choice = str(st.pills(f"Of {group}", sections, key=_SECTION, **_ONE_OF))
    links.check_parameter("show", links.among([*GROUPS, *SECTIONS]), choice)
    # Not bound to the address: Streamlit drops unknown values, and the sections change with the group.
    if choice == SECTIONS[0]:
        st.query_params.pop("show", None)
    elif st.query_params.get("show") != choice:
        st.query_params["show"] = choice
    return choice


def _open_group() -> None:
    st.session_state[_SECTION] = GROUPS[st.session_state[_GROUP]][0]


def metric(options: Collection[str] = METRICS) -> str:
    """Choose one metric (``?metric_of=``), and say below what it means."""
    choice = metric_alone(options)
    st.caption(metric_meaning(choice))
    return choice


def _first_metric(options: Collection[str]) -> str:
    return next(name for name in (HEADLINE, "aiq", *METRICS) if name in options)  # older snapshots lack one


def metric_alone(options: Collection[str]) -> str:
    """Choose one metric (``?metric_of=``)."""
    names, first = [name for name in METRICS if name in options], _first_metric(options)
    choice = st.selectbox(
        "Metric", names, names.index(first), format_func=metric_name, key="metric_of", bind="query-params"
    )
    links.check_parameter("metric_of", links.among(list(map(metric_name, names))), metric_name(choice))
    return choice


def metrics(options: Collection[str]) -> list[str]:
    """Choose the metrics of the table (``?metrics=``)."""
    options = [name for name in METRICS if name in options]
    default = [name for name in _DEFAULT_METRICS if name in options]
    choice = st.multiselect(
        "Columns of the table", options, default, format_func=metric_name, key="metrics",
        bind="query-params",
    )  # fmt: skip
    links.check_parameter(
        "metrics", links.among(list(map(metric_name, options))), ", ".join(map(metric_name, choice)), many=True
    )
    return choice


def lam(options: Sequence[float], view: View) -> float:
    """Choose one of the λ of the tables (``?at=``); it is the λ nearest to the session's point and moves the point.

    If no point is set, it opens at the λ nearest to the point that other pages open with.
    """
    return float(_lam_of([f"{value:g}" for value in options], "at", view))


def lam_or_whole(options: Sequence[float], view: View) -> float | None:
    """Choose one of the λ as `lam` does, or None for the whole curve (``?gap=``), which is first without a point."""
    choice = _lam_of([_WHOLE, *(f"{value:g}" for value in options)], "gap", view)
    return None if choice == _WHOLE else float(choice)


def _lam_of(words: list[str], key: str, view: View) -> str:
    state, lam, unit = st.session_state, controls.linked_lam(key), view.cost_unit_usd
    if lam is not None:
        controls.set_lam(lam, unit)
    point = shortest_lam(state[controls.RATE], unit) if controls.RATE in state else None
    if point is not None and (lam is not None or state.get(key) != _WHOLE):
        state[key] = _nearest(words, point)
    elif key not in state:
        state[key] = words[0] if words[0] == _WHOLE else _nearest(words, _opening_lam(view))
    # Not bound to the address: Streamlit would drop a value that another page set.
    choice = str(st.select_slider("λ", words, key=key, persist_state="session", on_change=_set_point, args=(key, unit)))
    links.check_parameter(key, links.among(words), choice)
    if choice == _WHOLE:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != choice:
        st.query_params[key] = choice
    if point is not None and choice not in (_WHOLE, f"{point:.4g}"):
        st.caption(f"Tables are made at these λ only. The point that is set is at λ {point:.4g}.")
    return choice


def _nearest(words: Sequence[str], lam: float) -> str:
    return min((word for word in words if word != _WHOLE), key=lambda word: abs(float(word) - lam))


def _opening_lam(view: View) -> float:
    unit, names = view.cost_unit_usd, drawable(view)
    return shortest_lam(opening_rate(view, names[0], unit), unit) if names else 0.5


def _set_point(key: str, cost_unit_usd: float) -> None:
    if st.session_state[key] != _WHOLE:
        controls.set_lam(float(st.session_state[key]), cost_unit_usd)


def rare(options: Sequence[int]) -> int:
    """Choose how many models at most solve a prompt with rare solvers (``?rare=``); 0 if there is no such prompt."""
    if not options:
        links.check_parameter("rare", links.among([]), "no prompt")
        st.caption("No prompt is solved by few models only.")
        return 0
    words = [f"{most:g}" for most in options]
    controls.reset_if_stale("rare", words[0])
    choice = st.segmented_control(
        "Solved by so many models at most", words, default=words[0], required=True, key="rare", bind="query-params",
        help=tip("rare-solver"),
    )  # fmt: skip
    links.check_parameter("rare", links.among(words), str(choice))
    return int(str(choice))


def beside(others: Mapping[str, BenchmarkInfo]) -> dict[str, BenchmarkInfo]:
    """Choose other benchmarks, by label, on which to see the same routers (``?beside=``)."""
    names = list(others)
    controls.reset_if_stale("beside", [])
    choice = st.multiselect(
        "The same routers on other benchmarks", names, key="beside", bind="query-params",
        placeholder="Choose benchmarks",
    )  # fmt: skip
    links.check_parameter("beside", links.among(names), ", ".join(map(visible, choice)) or "none", many=True)
    return {name: others[name] for name in choice}


def model(models: Sequence[str], facts: Mapping[str, ModelFacts]) -> str:
    """Choose one model or all together (``?model_of=``)."""
    of_model = links.model_words(facts)

    def words(name: str) -> str:
        return "All models together" if name == POOLED else of_model(name)

    controls.reset_if_stale("model_of", POOLED)
    links.open_at_models("model_of", models, POOLED)
    options = [POOLED, *links.by_provider(models, facts)]
    choice = str(st.selectbox("Model", options, format_func=words, key="model_of", persist_state="session"))
    links.keep_models("model_of", models, choice, POOLED, words(POOLED))
    return choice


# Labels beside points fit in a plot as wide as `frontier.PLOT`; a narrower one has them in the hover text only.
_NAMES = (
    "<style>.st-key-{key} {{ container-type: inline-size }}"
    f"@container (max-width: {PLOT[0] + 80:.0f}px) {{{{ .st-key-{{key}} .textpoint {{{{ display: none }}}} }}}}</style>"
)
_OWN = (
    "These figures have routers of their own, on the stored split: the routers and seeds above are for the other parts."
)


def paper_figures(view: View) -> None:
    """Choose a figure (``?figure=``) and show it, or say what it needs that this benchmark lacks."""
    for_figure, for_option = st.columns([2, 1], vertical_alignment="bottom")
    with for_figure:
        titles = {preset.title: preset for preset in PRESETS.values()}
        title = st.selectbox("Figure", list(titles), key="figure", bind="query-params")
        links.check_parameter("figure", links.among(list(titles)), title)
    preset = titles[title]
    st.caption(_OWN)
    try:
        with for_option:
            options = _options(preset, view)
        exhibit = preset.make(view, **options)
    except NotDrawnError as why:
        st.info(plain(str(why)))
        return
    key = f"paper-{preset.name}"
    if preset.name == "knn-accuracy":
        show(exhibit, key=key, table=lambda: accuracy_table(exhibit, key))
    elif preset.name == "spider" and exhibit.draw is not None:
        show(exhibit, key=key, table=lambda: _side_by_side(exhibit, key, view.models))
    else:
        if "oracle" in preset.options:
            st.html(_NAMES.format(key=key))
        show(exhibit, key=key)


def _options(preset: Preset, view: View) -> dict[str, object]:
    """Choose the options of a figure (``?of=``, ``?oracle=``)."""
    if "router" in preset.options:
        first = first_carrot(view.fitted)
        return {"router": one(list(dict.fromkeys((first, *view.fitted, *view.baselines))))}
    if "oracle" in preset.options:
        oracle = st.toggle("Draw the oracle", key="oracle", bind="query-params", help=tip("oracle"))
        links.check_parameter("oracle", links.flag, "the oracle" if oracle else "no oracle")
        return {"oracle": oracle}
    return {}


def _side_by_side(exhibit: Exhibit, key: str, models: Sequence[str]) -> None:
    """The charts of both ways of choosing λ, one below the other on a narrow page."""
    reference = short_names(models)[exhibit.table["reference"].iloc[0]]
    for way, column in zip(TITLES, st.columns(len(TITLES)), strict=True):
        figure = spider_figure(exhibit.table, theme(), (way,), reference=reference)
        alt = f"{TITLES[way]}. {exhibit.alt}"
        with column:
            chart(figure, key=f"{key}-{way}", alt=alt)
