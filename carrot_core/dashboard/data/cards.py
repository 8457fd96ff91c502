"""A card for each benchmark of the store, the uploads of the session, and the panel that pulls data from the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from functools import partial
from itertools import chain, count
from pathlib import Path

import streamlit as st

from carrot_core import limits, modes
from carrot_core.benchmarks import NONE_STATED
from carrot_core.benchmarks.built_in import SIMULATED
from carrot_core.benchmarks.log_table import kept_logs, size_of_log
from carrot_core.benchmarks.model_facts_arms import KINDS, add_arms, arms_in, without_arms
from carrot_core.benchmarks.split import FOLDS
from carrot_core.dashboard import views
from carrot_core.dashboard.exhibits import file_stem
from carrot_core.dashboard.shell import doors, errors_as_text, plain
from carrot_core.dashboard.stores import (
    PrivateInfo,
    Version,
    private_benchmarks,
    private_store,
    store_of,
    version_of,
)
from carrot_core.evaluation.missing import costless_note, gaps_by_model, without_costless
from carrot_core.paths import shipped_data
from carrot_core.points import shared_points
from carrot_core.roles_audit import Role
from carrot_core.routers import BASELINES
from carrot_core.store import BenchmarkInfo, Store, trash
from carrot_core.store.browse import split_sizes
from carrot_core.store.maintenance import copy_benchmark
from carrot_core.text import visible

_PER_ROW = 3
_MOST_CALLS = 5  # of an arm that is offered
_GAPS_NAMED = 3  # models with gaps that a card names
_NOTICE = "cards:done"


def cards(benchmarks: Sequence[BenchmarkInfo]) -> None:
    """All cards, three in a row if there is room."""
    for start in range(0, len(benchmarks), _PER_ROW):
        for place, info in zip(st.columns(_PER_ROW), benchmarks[start : start + _PER_ROW], strict=False):
            with place, st.container(border=True, height="stretch"):
                _card(info)


@st.cache_data(max_entries=64, show_spinner=False)
def _sizes(version: Version, name: str) -> dict[str, int]:
    return split_sizes(Store(Path(version.path)), name)


@st.cache_data(max_entries=64, show_spinner=False)
def _fitted(version: Version, name: str) -> int:
    """Number of routers with results; several seeds or parameters of a router count once."""
    return len({run.router for run in Store(Path(version.path)).runs(name)} - set(BASELINES))


@st.cache_data(max_entries=64, show_spinner=False)
def _gaps(version: Version, name: str) -> str:
    """Models with costs that were not observed on all prompts, and on how many not, most first."""
    bench, costless = without_costless(Store(Path(version.path)).load(name))
    rows = gaps_by_model(bench).head(_GAPS_NAMED).itertuples()
    complete = int(bench.outcomes.complete.sum())
    named = (f"without {row.model}, not run on {row.n_missing:,}, {row.n_complete_without:,} would" for row in rows)
    note = f" {costless_note(costless)}" if costless else ""
    return f"{'; '.join([f'{complete:,} prompts have every outcome', *named])}.{note}"


def _card(info: BenchmarkInfo) -> None:
    version = version_of(info)
    fitted = _fitted(version, info.name)
    place = "own" if isinstance(info, PrivateInfo) else "shared"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"title:{place}:{info.name}"):
        st.markdown(f"## {plain(info.name)}", width="content")
        _badges(info, fitted)
    st.markdown(f"**{info.n_prompts:,}** prompts · **{info.n_models:,}** models · **{info.n_outcomes:,}** outcomes")
    st.markdown(fact_lines(({"About": info.note} if info.note else {}) | {"Licence": _licence(info)}))
    # Data that ship have been checked: their notes say only what figures do not show.
    notes, kind = len(info.warnings), "caveat" if info.ships else "note"
    counted = f" and {notes} {kind}{'' if notes == 1 else 's'}{'' if info.ships else ' from the import'}"
    with st.expander(f"Source, split, gaps, hash{counted if notes else ''}"):
        gaps_named = _gaps(version, info.name) if info.n_missing else ""
        st.markdown(fact_lines(_facts(info, _sizes(version, info.name), gaps_named)))
        name, value = ("file", info.sha256) if info.sha256 else ("content", info.data_hash)
        st.caption(f"sha256 of the {name}")
        st.code(value, language=None, wrap_lines=True)
        for warning in info.warnings:
            st.markdown(f"- {plain(warning)}")
    if modes.may(Role.EDITOR):
        _actions(info, fitted)


def _badges(info: BenchmarkInfo, fitted: int) -> None:
    if info.name == SIMULATED:
        st.badge("simulated", icon=":material/science:", color="violet")
    if isinstance(info, PrivateInfo):
        st.badge("only you", icon=":material/lock:", color="blue")
    if fitted:
        st.badge(f"{fitted} fitted" if fitted > 1 else "fitted", icon=":material/check:", color="green")


def _facts(info: BenchmarkInfo, sizes: dict[str, int], gaps_named: str) -> dict[str, str]:
    """Source of a benchmark, its split, missing cells and duplicates."""
    cells = info.n_prompts * info.n_models
    gaps = "none"
    if info.n_missing:
        gaps = f"{info.n_missing:,} of {cells:,} ({100 * info.n_missing / cells:.2g} %); {gaps_named}"
    sides = ", ".join(f"{side} {number:,}" for side, number in sizes.items())
    lines = {
        "Source": info.source,
        "Loaded": f"{info.loaded_at[:10]} {info.loaded_at[11:16]} UTC",
        "Split": f"{sides}; {info.split_rule}" if info.has_own_split else f"none of its own: judged in {FOLDS} folds",
        "Missing cells": gaps,
        "Repeated prompts": f"{info.n_duplicate_prompts:,}" if info.n_duplicate_prompts else "none",
    }
    if info.samples_text:
        lines["Samples"] = info.samples_text
    if info.n_with_text < info.n_prompts:
        by_hash = info.n_readable - info.n_with_text
        vectors = f"; vectors of {by_hash:,} are kept, so they can be routed" if by_hash else ""
        lines["Without text"] = f"{info.n_prompts - info.n_with_text:,}{vectors}"
    return lines


def fact_lines(facts: Mapping[str, str]) -> str:
    """Markdown with a line for each fact."""
    return "  \n".join(f":gray[{name}:] {plain(value)}" for name, value in facts.items())


def _licence(info: BenchmarkInfo) -> str:
    if info.licence == NONE_STATED:
        return f"{NONE_STATED}: its texts are shown here and are in no file CARROT writes"
    passed_on = "; may be passed on, and ships with the project" if info.ships else ""
    return f"{info.licence}{passed_on}" if info.licence else "not known"


def _actions(info: BenchmarkInfo, fitted: int) -> None:
    key = f"{'own' if isinstance(info, PrivateInfo) else 'shared'}:{info.name}"
    is_own = isinstance(info, PrivateInfo)
    with st.container(horizontal=True, gap="small"):
        fit_pressed = not fitted and st.button(
            views.FIT, key=f"fit:{key}", icon=":material/model_training:", disabled=not info.n_readable,
            help="Compute the missing vectors, then fit CARROT-KNN and measure it."
            if info.n_readable else views.without_texts(info),
        )  # fmt: skip
        removable = is_own or modes.may(Role.ADMIN)  # arms take the fitted routers away, too
        if info.n_repeated and removable:
            with st.popover("Arms", icon=":material/call_split:", key=f"arms:{key}"):
                _arms(info, key)
        gone = keep = False
        if is_own:
            with st.popover("Keep", icon=":material/save:", key=f"keep-of:{key}"):
                st.markdown("In the store it stays, and everybody who opens the dashboard sees it.")
                names = {other.name for other in Store().benchmarks()}
                name = _name_in_store(info.name, names) if info.name in names else info.name
                keep = st.button("Keep it in the store", key=f"keep:{info.name}", type="primary")
        if removable:
            with st.popover("Remove", icon=":material/delete:", key=f"remove:{key}"):
                back = "It cannot come back" if is_own else f"It can come back for {limits.TRASH_DAYS} days"
                st.markdown(
                    plain(
                        f"Remove {info.name} with its vectors and fitted routers? {back}; the file it came from stays "
                        "where it is."
                    )
                )
                gone = st.button("Remove it", key=f"really:{key}", type="primary")
    if fit_pressed:
        with errors_as_text():
            views.fit(info)
            st.session_state[_NOTICE] = f"CARROT-KNN is fitted on {info.name}."
            st.rerun()
    if gone:
        _do(partial(store_of(info).remove_benchmark, info.name), f"{info.name} is removed.")
    if keep:
        _do(partial(_keep, info.name, name), f"{name} is in the store now, for everybody who opens the dashboard.")


def _keep(name: str, name_in_store: str) -> None:
    copy_benchmark(private_store(), name, Store(), name_in_store)
    private_store().remove_benchmark(name)


def show_notice() -> None:
    """The notice about the last action."""
    if done := st.session_state.pop(_NOTICE, None):
        st.success(plain(done), icon=":material/check:")


def logs_list() -> None:
    """The logs that are kept, for people who may compare them with points."""
    if not modes.may(Role.EDITOR) or not (logs := kept_logs()):
        return
    with st.expander(f"Logs ({len(logs)})", icon=":material/receipt_long:"):
        st.caption("Calls that a gateway recorded: one model a prompt, so no router can be judged on them.")
        for name, path in logs.items():
            st.markdown(f"**{plain(name)}** · {plain(size_of_log(path))}")
        doors([("points", "Compare with an operating point", ":material/bookmark:", {})])


def trash_list() -> None:
    """Removed benchmarks and points that can be restored, newest first, for people who may restore them."""
    if not modes.may(Role.ADMIN):
        return
    benchmarks, points = trash.removals(Store()), shared_points().deleted()
    if not benchmarks and not points:
        return
    with st.expander(f"Trash ({len(benchmarks) + len(points)})", icon=":material/delete:"):
        st.caption(f"What is removed or replaced can come back for {limits.TRASH_DAYS} days.")
        for removal in benchmarks:
            if _restore_pressed("Benchmark", removal.name, removal.how, removal.at, removal.place.name):
                _do(partial(trash.restore, Store(), removal), f"{visible(removal.name)} is back.")
        for record, at in points:
            if _restore_pressed("Point", record.name, trash.REMOVED, at, record.id):
                _do(partial(shared_points().restore, record.id), f"{visible(record.name)} is back.")
        with st.popover("Empty", icon=":material/delete:", key="empty-trash"):
            st.markdown("Delete all of this for good? Nothing of it can come back.")
            gone = st.button("Empty the trash", key="really:trash", type="primary")
        if gone:
            _do(_empty_trash, "The trash is empty.")


def _empty_trash() -> None:
    trash.empty(Store())
    shared_points().sweep(everything=True)


def _restore_pressed(kind: str, name: str, how: str, at: datetime, key: str) -> bool:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":gray[{kind}] {plain(visible(name))} :gray[{plain(how)} {at:%Y-%m-%d %H:%M:%S} UTC]")
        return st.button("Restore", key=f"restore:{key}", icon=":material/undo:")


def _do(work: Callable[[], None], notice: str) -> None:
    with errors_as_text():
        work()
        st.session_state[_NOTICE] = notice
        st.rerun()


def _arms(info: BenchmarkInfo, key: str) -> None:
    """Choose the arms of several calls that a benchmark has as models of their own; none restores the original."""
    st.markdown(
        "The best, or the majority, of several answers of a model, as models of their own: computed from the runs that "
        "are here. Routers fitted here are removed, as they know nothing of them; choose none to undo this."
    )
    there = arms_in(info.models)
    options = [f"{kind}-of-{n}" for kind in KINDS for n in range(2, min(info.n_samples, _MOST_CALLS) + 1)]
    choice = st.multiselect(
        "Arms", list(dict.fromkeys([*options, *there])), list(there), key=f"arms-of:{key}", placeholder="No arms"
    )
    if st.button("Make them", key=f"make-arms:{key}", type="primary", disabled=set(choice) == set(there)):
        with errors_as_text():
            # If the benchmark ships, its name then means the one with these arms.
            new = store_of(info).change_benchmark(
                info.name, lambda frames: add_arms(without_arms(frames), choice), shadow=True
            )
            st.session_state[_NOTICE] = f"{info.name} has {new.n_models} models now."
            st.rerun()


NOTICE = "upload:done"


def free_name(path: Path) -> str:
    """A name for the benchmark of a file, different from those of the session and those that ship."""
    stem = file_stem(path.name.split(".")[0]) or "results"
    return _free(stem, {*shipped_data(), *(info.name for info in private_benchmarks())})


def show_upload_notice() -> None:
    """The notice about the last upload, which every page shows now, with links to those that answer a question."""
    text, has_texts = st.session_state.pop(NOTICE, ("", False))
    if text:
        st.success(plain(text), icon=":material/check:")
        prompt = [("live", "Try a prompt", ":material/edit_note:", {"try": "1"})] if has_texts else []
        doors([("frontier", "Open on Frontier", ":material/show_chart:", {}), *prompt])


def _name_in_store(name: str, names: Set[str]) -> str:
    choice = st.text_input(
        "Name in the store", _free(name, names), key=f"keep-as:{name}",
        help="The store has another benchmark of this name; both stay.",
    )  # fmt: skip
    return choice.strip()


def _free(name: str, names: Set[str]) -> str:
    """The name, with a number appended if it is in use."""
    numbered = (f"{name}-{number}" for number in count(2))
    return next(free for free in chain([name], numbered) if free not in names)
