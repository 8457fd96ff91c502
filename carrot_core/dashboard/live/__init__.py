"""The Live prompt page: the router that answers, λ, the pool and the fallback, and one typed prompt with its answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import streamlit as st

from carrot_core import limits, modes
from carrot_core.benchmarks.built_in import SIMULATED
from carrot_core.benchmarks.model_facts_arms import ModelFacts
from carrot_core.dashboard import controls, links, shell, views, work
from carrot_core.dashboard.components.decision import live_decision, prompt_box, textless
from carrot_core.dashboard.exhibits import csv_button
from carrot_core.dashboard.frontier.solve import handles, lam_slider
from carrot_core.dashboard.glossary import see, tip
from carrot_core.dashboard.shell import kind_note, plain
from carrot_core.dashboard.stores import Version, version_of
from carrot_core.embedding import readable
from carrot_core.errors import CarrotError
from carrot_core.figures.scene import label
from carrot_core.frontier import rate_of_lam, shortest_lam
from carrot_core.number_formats import lam_text, money, pays, percent
from carrot_core.paths import shipped_data
from carrot_core.roles_audit import Role
from carrot_core.serving import CarrotRouter
from carrot_core.serving.decision import Explanation
from carrot_core.serving.intervals import GROUP
from carrot_core.serving.loading import LABELLED_HEAD, SHIPPED_ROUTER, PromptKind, shipped_heads, shipped_kinds
from carrot_core.serving.profile import UNLIKE_FROM, RouterProfile
from carrot_core.store import BenchmarkInfo, Store
from carrot_core.store.browse import short_prompts
from carrot_core.text import SENTENCE, visible
from carrot_core.verdict import name_among, sentence


@dataclass(frozen=True)
class DecisionOptions:
    """The parameters of `CarrotRouter.decide` beside the prompt."""

    lam: float
    pool: tuple[str, ...] | None
    fallback: str | None
    fallback_above: float


def router_of(info: BenchmarkInfo) -> CarrotRouter:
    """Choose the router that answers (``?router=``). Without any, the page says what to do and stops."""
    names = servable(info)
    if not names:
        nothing_to_serve(info)
        st.stop()
    controls.reset_if_stale("router", names[0])
    controls.open_at_router("router", names)
    name = st.selectbox(
        "Router", names, format_func=label, key="router", bind="query-params",
        on_change=controls.use_router, args=("router",),
        help=tip("fitted-head", "router", also="A router that does not ship is fitted on the data when it is chosen."),
    )  # fmt: skip
    links.check_parameter("router", links.among([label(name) for name in names]), label(str(name)))
    other = st.session_state.get(controls.ROUTER)
    if other and controls.in_use(names) is None:
        st.caption(
            plain(f"{label(other)} cannot answer typed prompts here: this is {label(str(name))} at its exchange rate.")
        )
    return load_router(version_of(info), info.name, str(name))


def servable(info: BenchmarkInfo) -> list[str]:
    """Routers that can answer typed prompts, the best on validation first; a head that ships is always among them."""
    names = [SHIPPED_ROUTER if name == LABELLED_HEAD else name for name in views.view(info).runnable]
    if info.has_prompts and not info.n_readable:
        names = []
    return list(dict.fromkeys([*names, *([SHIPPED_ROUTER] if _head_fits(info) else [])]))


def _head_fits(info: BenchmarkInfo) -> bool:
    """Whether a head ships that was fitted on exactly these data."""
    return info.name in shipped_heads() and shipped_data().get(info.name) == info.data_hash


def nothing_to_serve(info: BenchmarkInfo) -> None:
    """Say that no router answers typed prompts here, and what to do."""
    links.check_parameter("router", links.among(()), "no router")
    if not info.has_prompts:
        st.info(
            f"No fitted head ships for {plain(info.name)}, and its data are not here. Choose another benchmark, or "
            "bring its data: `carrot data import` or the Data page."
        )
    else:
        views.fit_button(info)


@work.cached(max_entries=4, show_spinner="Making the router ready …")
def load_router(version: Version, name: str, router: str) -> CarrotRouter:
    """A router ready to answer; a thread loads its encoder and training prompts."""
    carrot_router = CarrotRouter.load(name, router=router, store=Store(Path(version.path)))
    threading.Thread(target=_warm, args=(carrot_router,), daemon=True).start()
    return carrot_router


def _warm(router: CarrotRouter) -> None:
    """Load the encoder and the training prompts while the reader is typing."""
    with suppress(CarrotError):  # the first prompt raises it again, and the page shows it
        router.explain("warm")


def decision_options(router: CarrotRouter, info: BenchmarkInfo, *, folded: bool = False) -> DecisionOptions:
    """Choose λ, pool and fallback, the same for one prompt and for many; ``folded`` in the page in place of a menu."""
    unit = router.cost_unit_usd
    lam = shortest_lam(controls.rate(rate_of_lam(router.default_lam, unit), unit), unit)
    about = "Pool, λ by budget, fallback"  # short enough for one line on a phone
    # Widgets of a popover are in the browser only while it is open: every widget there is redrawn at each answer.
    with st.expander(about) if folded else st.popover(about, icon=":material/tune:"):
        view = views.view(info)
        pool = controls.pool(router.models, info.facts_by_model, views.latency_p95_s(view))
        controls.color_by(view.models, info.facts_by_model)
        if pool:
            lam_slider(unit)
            st.caption(
                "A budget or a target is read off the curve of the whole pool. With some models left out, set λ "
                "instead."
            )
        else:
            handles(router.profile.curves["validation"], unit, view.basis)
        fallback, above = _fallback(router, pool or router.models, info.facts_by_model)
    return DecisionOptions(lam, pool or None, fallback, above)


def task_of(router: CarrotRouter) -> str | None:
    """Choose the task label of the prompts, if the router reads one (``?task_label=``)."""
    names = router.task_labels
    if not names:
        links.check_parameter("task_label", links.among(()), "no task label")
        return None
    controls.reset_if_stale("task_label", None)
    task = st.columns(2)[0].selectbox(
        "Task of the prompt", names, None, format_func=visible, key="task_label", bind="query-params",
        placeholder="Not known: inferred from the prompt",
        help=tip("task-label"),
    )  # fmt: skip
    links.check_parameter(
        "task_label", links.among(["", *map(visible, names)]), visible(task) if task else "no task label"
    )
    return task


def _fallback(router: CarrotRouter, pool: tuple[str, ...], facts: Mapping[str, ModelFacts]) -> tuple[str | None, float]:
    if router.profile.distance is None:
        st.caption("This router reads no vectors, so it has no distance to the training data and no fallback.")
        links.keep_models("fallback", (), None, None, "no fallback")
        return None, UNLIKE_FROM
    for_model, for_limit = st.columns([2, 1])
    controls.reset_if_stale("fallback", None)
    links.open_at_models("fallback", pool, None)
    words = links.model_words(facts)
    fallback = for_model.selectbox(
        "Fallback model", links.by_provider(pool, facts), None, format_func=words, key="fallback",
        persist_state="session", placeholder="None: CARROT always chooses", help=tip("fallback"),
    )  # fmt: skip
    above = for_limit.number_input(
        "Fall back from this percentile on", 50.0, 100.0, UNLIKE_FROM, 0.1, format="%.1f", key="unlike",
        bind="query-params", help=tip("distance-to-the-training-data"),
    )  # fmt: skip
    links.keep_models("fallback", pool, fallback, None, "no fallback")
    links.check_parameter("unlike", links.between(50, 100), f"{above:g}")
    return fallback, above


def note(info: BenchmarkInfo, router: CarrotRouter, options: DecisionOptions) -> None:
    """Captions: the verdict, the router, its models, λ as an exchange rate, and whether the data are simulated."""
    if info.name == SIMULATED:
        kind_note(info)
    rate, unit = rate_of_lam(options.lam, router.cost_unit_usd), money(router.cost_unit_usd)
    models = f"{len(options.pool)} of its" if options.pool else "its"
    if options.pool is None:
        st.caption(plain(_verdict(info, router, rate)))
    st.caption(
        plain(
            f"{label(router.router)} learned from {router.profile.n_train:,} prompts of {router.profile.benchmark} "
            f"and chooses among {models} {len(router.models)} models, as they answered there. "
            f"At λ {lam_text(options.lam)} it pays {pays(rate)} (cost unit u = {unit})."
        )
        + " "
        + see("lambda", "exchange-rate", "cost-unit")
    )


def _verdict(info: BenchmarkInfo, router: CarrotRouter, rate: float) -> str:
    """The verdict on the router's point by the results of its benchmark, if that router was measured there."""
    view, curve = views.view(info), router.profile.curves["test"]
    at = curve.at(rate)
    name = name_among(view.results, router.router, rate, float(curve.score[at]), float(curve.cost_usd[at]))
    if name is None:
        return f"It is not measured here how {label(router.router)} compares with a single model."
    return sentence(view.verdict(name, rate))


def no_neighbours(info: BenchmarkInfo) -> str:
    """Why nearest training prompts cannot be shown; Markdown."""
    beginning = "Nearest training prompts are not shown:"
    if not info.has_prompts:
        return (
            f"{beginning} those of {plain(info.name)} may not be passed on and are not here. "
            "`carrot data import` or the Data page brings them."
        )
    return f"{beginning} they have no vectors here. Fit a router on the Data page to compute them."


_RERUN = "live:moved"
_OPENING = 60  # characters of a part's name


def prompt_kind(info: BenchmarkInfo) -> PromptKind:
    """The kind of a benchmark that ships; of any other, some of its own prompts as examples."""
    kind = shipped_kinds().get(info.name)
    if kind is not None and shipped_data().get(info.name) == info.data_hash:
        return kind
    if not info.n_readable or modes.is_public():
        return PromptKind("", {})
    return PromptKind("", _own_prompts(version_of(info), info.name))


@st.cache_data(max_entries=16, show_spinner=False)
def _own_prompts(version: Version, name: str) -> dict[str, str]:
    prompts = short_prompts(Store(Path(version.path)), name)
    return {
        f"{place}: {visible(task)}" if task else f"Prompt {place}": text
        for place, (task, text) in enumerate(prompts, 1)
    }


@st.fragment
def one_prompt(info: BenchmarkInfo, router: CarrotRouter, options: DecisionOptions, task: str | None) -> None:
    """The prompt box with the answer below it; ``task`` is the label of the prompt."""
    if modes.is_team() and not modes.may(Role.VIEWER):  # a fragment runs without its page: the login may have ended
        return
    if st.session_state.pop(_RERUN, False):
        st.rerun()  # λ is shown outside this fragment too
    with shell.errors_as_text():
        kind = prompt_kind(info)
        if kind.about:
            st.caption(plain(f"{info.name}: {kind.about}"))
        text = prompt_box(kind.examples)
        if text is None:
            st.warning(
                f"The prompt is longer than {limits.TYPED_CHARACTERS:,} characters. Shorten it to get an answer."
            )
        elif not text.strip():
            st.info(
                "Type a prompt above, or click an example, to see which model should answer it, the expected score "
                "and cost of each model, and the λ at which the choice changes.",
                icon=":material/edit_note:",
            )
        else:
            answer(info, router, text, options, task)


def answer(info: BenchmarkInfo, router: CarrotRouter, text: str, options: DecisionOptions, task: str | None) -> None:
    """The decision on one prompt, with the estimates it is based on."""
    # Another text or encoder starts at the first part.
    part_key = f"live:part:{crc32(text.encode(errors='surrogatepass'))}:{router.name}:{router.router}"
    explanation = router.explain(text, task=task, part=st.session_state.get(part_key, 0), **vars(options))
    if len(explanation.parts) > 1:
        _choose_part(explanation, text, part_key)

    def set_lam(lam: float) -> None:
        controls.set_lam(lam, router.cost_unit_usd)
        st.session_state[_RERUN] = True

    # Texts that change with the prompt are part of the component, which is faster than Streamlit at redrawing them.
    lines = (_reading(explanation), _label(explanation), textless(explanation, ships=info.ships))
    about = [line for line in lines if line]
    curve = None if options.pool else router.profile.curves["test"]  # it is the whole pool's
    view = views.view(info)
    live_decision(
        explanation,
        lam=options.lam,
        key="live:decision",
        unlike_from=options.fallback_above,
        about=about,
        curve=curve,
        text=text,
        palette=view.palette,
        grouping=controls.grouping_in_use(view.models, info.facts_by_model),
        basis=view.basis,
        on_release=set_lam,
    )
    words = see("decision-ribbon", "utility", "margin", "conformal-interval", "distance-to-the-training-data")
    nearest = f"  \n{no_neighbours(info)}" if explanation.nearest is None else ""
    st.caption(f"{plain(_intervals(router.profile))}  \n{words}{nearest}")
    csv_button("Download this decision (CSV)", lambda: explanation.table, f"{router.name}-decision")


def _choose_part(explanation: Explanation, text: str, key: str) -> None:
    """Choose which part of a long text the encoder reads."""
    words = readable(text, len(text))
    count = len(explanation.parts)

    def name(place: int) -> str:
        start, end, _ = explanation.parts[place]
        return f"{place + 1} of {count}: {visible(words[start : min(end, start + _OPENING)], SENTENCE)} …"

    st.selectbox(
        "Part of the text that is read", range(count), format_func=name, key=key,
        help="The encoder reads one part at a time. The router learned from the beginnings of texts, so judge another "
        "part with care.",
    )  # fmt: skip


def _label(explanation: Explanation) -> str:
    """The task label that the estimates use, or why it is not used; empty if there is none."""
    labels = explanation.decision.labels
    return f"Task label: {labels.used[0]}." if labels.used[0] else labels.notes[0]


def _reading(explanation: Explanation) -> str:
    """How many tokens of the prompt were read, and the time it took."""
    tokens, read = explanation.prompt_tokens, explanation.read_tokens
    which = f"the first {read}" if explanation.part == 0 else f"{read} of them, not from the beginning"
    rest = f"the encoder reads {which}, the rest counts for the cost only" if tokens > read else "all read"
    embed, decide = (1000 * explanation.seconds[name] for name in ("embed", "decide"))
    return (
        f"{tokens:,} tokens, {rest}. Answered in {embed + decide:.0f} ms: {embed:.0f} to read, {decide:.0f} to decide."
    )


def _intervals(profile: RouterProfile) -> str:
    """What the intervals mean and how often they held on prompts that the router had not seen."""
    nominal, score, usage = (profile.coverage[name] for name in ("nominal", "score", "usage"))
    assert nominal is not None  # only usage may have no interval
    assert score is not None
    text = (
        f"Accuracy intervals: the mean score of {GROUP} prompts with such a prediction, in "
        f"{percent(nominal, digits=0)} of cases; on prompts it had not seen {percent(score)} held."
    )
    if usage is None:
        return f"{text} Only the input is charged here, and no output tokens are recorded: the cost has no interval."
    what = (
        "Cost intervals (dollars are recorded, no tokens)"
        if profile.usage == "cost_usd"
        else "Token and cost intervals"
    )
    return f"{text} {what}: one answer, in {percent(nominal, digits=0)} of cases; {percent(usage)} held."
