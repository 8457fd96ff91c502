"""Inside a benchmark: its prompts (search, filter, page, one with all outcomes), models, gaps, scores and tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from carrot_core.dashboard import controls, links
from carrot_core.dashboard.exhibits import csv_button, priced, show
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.dashboard.stores import Version, cached_by_version, version_of
from carrot_core.dashboard.views import latency_p95_s, view
from carrot_core.errors import NotFoundError
from carrot_core.figures.benchmark import coverage_exhibit, score_exhibit, token_exhibit
from carrot_core.number_formats import PERCENT_COLUMN, SECONDS_COLUMN, cost_basis
from carrot_core.outcomes import SPLITS
from carrot_core.store import BenchmarkInfo, Store
from carrot_core.store.browse import (
    LEVELS,
    Filter,
    PromptView,
    coverage,
    matching,
    model_summary,
    one_prompt,
    prompt_table,
    score_levels,
    token_spread,
)
from carrot_core.text import visible

PAGE_SIZE = 50
_ANY = "Any"
_ROWS, _PAGE_ID = "prompts", "prompts:listed"
_LINE = 160  # characters of a text in the table
_QUERIES: dict[str, Callable[[Store, str], pd.DataFrame]] = {
    "models": model_summary, "coverage": coverage, "scores": score_levels, "tokens": token_spread,
}  # fmt: skip
_LATENCY = {"latency_s": "Mean latency", "latency_p95_s": "p95 latency"}
_FACTS = {
    "provider": "Provider", "open_weights": "Open weights", "release_date": "Released",
    "context_tokens": "Context tokens", "effort": "Effort", "base_model": "Base model",
}  # fmt: skip


# A cached resource, so not copied for every reader: no caller changes the table.
@cached_by_version(max_entries=4, show_spinner="Reading the prompts …")
def _all(version: Version, name: str) -> pd.DataFrame:
    return prompt_table(Store(Path(version.path)), name)


@cached_by_version(max_entries=64, show_spinner=False)
def _matches(version: Version, name: str, filter_: Filter) -> npt.NDArray[np.intp]:
    return matching(Store(Path(version.path)), name, _all(version, name), filter_)


@cached_by_version(max_entries=64, show_spinner=False)
def _tasks(version: Version, name: str) -> list[str]:
    return sorted(set(_all(version, name)["task"]) - {""})


@cached_by_version(max_entries=64, show_spinner=False)
def _prompt(version: Version, name: str, prompt_id: str) -> PromptView:
    return one_prompt(Store(Path(version.path)), name, prompt_id)


@st.fragment
def prompt_browser(info: BenchmarkInfo, models: Sequence[str]) -> None:
    """Find prompts (``?find=``, ``?task=``, ``?split=``, ``?disagree=``, ``?page=``), open one (``?prompt=``).

    An open prompt shows the outcomes of the chosen models; the table of prompts counts all models.
    """
    with errors_as_text():
        version = version_of(info)
        filter_ = _filter(version, info.name)
        matches = _matches(version, info.name, filter_)
        if not len(matches):
            st.info("No prompt matches. Use fewer words or remove a filter.")
            return
        prompt_id = _table(version, info, filter_, matches)
        if prompt_id is not None:
            _open(version, info, prompt_id, models)


def _first_page() -> None:
    st.session_state["page"] = 1


def _filter(version: Version, name: str) -> Filter:
    for_text, for_rest = st.columns([2, 3], vertical_alignment="bottom")
    text = for_text.text_input(
        "Search the prompts", key="find", bind="query-params", type="search", icon=":material/search:",
        placeholder="Words as they stand in the text", on_change=_first_page,
    )  # fmt: skip
    narrower = for_rest.container(horizontal=True, vertical_alignment="bottom")  # side by side on a phone too
    task = narrower.selectbox(
        "Task", [_ANY, *_tasks(version, name)], format_func=visible, key="task", bind="query-params",
        on_change=_first_page, width=200,
    )  # fmt: skip
    split = narrower.selectbox(
        "Split", [_ANY, *SPLITS], key="split", bind="query-params", on_change=_first_page, width=130
    )
    disagree = narrower.toggle(
        "Models disagree", key="disagree", bind="query-params", on_change=_first_page,
        help="Some models got the prompt right (a score of 0.5 or more) and some wrong.",
    )  # fmt: skip
    links.check_parameter("task", links.among([_ANY, *map(visible, _tasks(version, name))]), visible(task))
    links.check_parameter("split", links.among([_ANY, *SPLITS]), split)
    links.check_parameter("disagree", links.flag, "with and without agreement")
    return Filter(text or "", None if task == _ANY else task, None if split == _ANY else split, disagree)


def _table(version: Version, info: BenchmarkInfo, filter_: Filter, matches: npt.NDArray[np.intp]) -> str | None:
    """Show one page of prompts; returns the id of the prompt chosen in the table or named in the address."""
    pages = -(-len(matches) // PAGE_SIZE)
    place = st.container()
    at = st.pagination(pages, max_visible_pages=5, key="page", bind="query-params") if pages > 1 else 1
    links.check_parameter("page", links.between(1, pages, whole=True), f"page {at}")
    rows = _all(version, info.name).iloc[matches[(at - 1) * PAGE_SIZE : at * PAGE_SIZE]]
    first = (at - 1) * PAGE_SIZE + 1
    page_id = (version, info.name, filter_, at)
    if st.session_state.get(_PAGE_ID) != page_id:  # other prompts: clear the selected row
        st.session_state[_PAGE_ID], st.session_state[_ROWS] = page_id, {"selection": {"rows": []}}
    place.caption(f"Prompts {first:,} to {first + len(rows) - 1:,} of {len(matches):,}. Choose a row to read it whole.")
    event = place.dataframe(
        _readable(rows),
        hide_index=True,
        height=248,
        on_select="rerun",
        selection_mode="single-row",
        key=_ROWS,  # the same for every page: the browser then refills the table and builds no new one
        column_config={
            "Prompt": st.column_config.TextColumn(width="large"),
            "Split": st.column_config.TextColumn(width="small"),
            "Right": st.column_config.TextColumn(
                width="small", help="Models with a score of 0.5 or more, of those observed."
            ),
            "Mean score": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
        },
        alt=f"Prompts {first} to {first + len(rows) - 1} of {len(matches)}: start of the text, task, split, scores.",
    )
    if event.selection.rows:
        st.query_params["prompt"] = str(rows["prompt_id"].iloc[event.selection.rows[0]])
    return st.query_params.get("prompt")


def _readable(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of prompts; ids come first if no prompt has a text."""
    beginning = rows["text"].map(lambda text: "(no text)" if pd.isna(text) else " ".join(text.split())[:_LINE])
    text, ids = {"Prompt": beginning.map(lambda text: visible(text, " "))}, {"Id": rows["prompt_id"].map(visible)}
    without = rows["text"].isna().all()
    return pd.DataFrame(
        {
            **(ids if without else text),
            "Task": rows["task"].map(visible),
            "Split": rows["split"],
            "Right": [
                f"{right} of {n_models}" for right, n_models in zip(rows["n_right"], rows["n_models"], strict=True)
            ],
            "Mean score": 100 * rows["mean_score"],
            **({} if without else ids),
        }
    )


def _open(version: Version, info: BenchmarkInfo, prompt_id: str, models: Sequence[str]) -> None:
    try:
        prompt = _prompt(version, info.name, prompt_id)
    except NotFoundError:  # the address is of another benchmark
        links.refuse("prompt", "No prompt has this id here.", "no prompt")
        del st.query_params["prompt"]
        return
    st.markdown(f"### {plain(prompt.prompt_id)}")
    st.caption(plain(f"{prompt.task or 'no task'} · {prompt.split}" + (f" · {prompt.family}" if prompt.family else "")))
    for_text, for_models = st.columns(2)
    with for_text:
        if prompt.text is None:
            st.info("There is no text for this prompt here.")
        else:
            # Never as markup, since strangers wrote the text.
            st.code(prompt.text, language=None, wrap_lines=True, height=440 if prompt.messages is None else 200)
            if prompt.messages is not None:
                st.caption("The last text of the user, which is what is read of this chat. All of its messages:")
                whole = json.dumps(json.loads(prompt.messages), indent=2, ensure_ascii=False)
                st.code(whole, language="json", wrap_lines=True, height=200)
    with for_models:
        _outcomes(prompt.outcomes[prompt.outcomes["model"].isin(models)])


def _outcomes(outcomes: pd.DataFrame) -> None:
    table = outcomes.sort_values(["score", "cost_usd", "model"], ascending=[False, True, True])
    display = pd.DataFrame(
        {
            "Model": table["model"].map(visible),
            "Score": table["score"],
            "Tokens in": table["input_tokens"],
            "Tokens out": table["output_tokens"],
            "Cost": table["cost_usd"],
        }
    )
    display = display.loc[:, display.notna().any()]
    n_observed = int(table["score"].notna().sum())
    st.dataframe(
        priced(display, *(name for name in ("Cost",) if name in display)),
        hide_index=True,
        height=440,
        column_config={
            "Score": st.column_config.NumberColumn(format="%.2f"),
            "Tokens in": st.column_config.NumberColumn(format="localized"),
            "Tokens out": st.column_config.NumberColumn(format="localized"),
        },
        alt=f"Score, tokens and cost of {len(table)} models on this prompt, {n_observed} of them observed.",
    )


@cached_by_version(max_entries=32, show_spinner=False)
def _table_of(version: Version, name: str, what: str) -> pd.DataFrame:
    return _QUERIES[what](Store(Path(version.path)), name)


def _of(info: BenchmarkInfo, what: str, models: Sequence[str]) -> pd.DataFrame:
    """The rows of a table for some of the models."""
    table = _table_of(version_of(info), info.name, what)
    return table[table["model"].isin(models)].reset_index(drop=True)


def details(info: BenchmarkInfo) -> None:
    """Choose a view of a benchmark (``?view=``) and show it."""
    views = {
        "Prompts": prompt_browser, "Models": _models, "Missing cells": _missing, "Scores": _scores,
        "Output tokens": _tokens,
    }  # fmt: skip
    choice = st.segmented_control(
        "View", list(views), default="Prompts", key="view", bind="query-params", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    links.check_parameter("view", links.among(views), str(choice))
    with st.expander("Pool"):
        models = controls.pool(info.models, info.facts_by_model, latency_p95_s(view(info))) or info.models
    views[str(choice)](info, models)


def _models(info: BenchmarkInfo, models: Sequence[str]) -> None:
    table = _of(info, "models", models)
    basis = cost_basis(table["cost_usd"], info.unit)
    display = pd.DataFrame(
        {
            "Model": table["model"].map(visible),
            "Mean score": 100 * table["score"],
            f"$ {basis.words}": basis.calls * table["cost_usd"],
            "Output tokens": table["output_tokens"],
            **{title: table[name] for name, title in _LATENCY.items() if name in table},
            "Observed": 100 * table["coverage"],
            "$/1M in": table["input_usd_per_mtok"],
            "$/1M out": table["output_usd_per_mtok"],
            "Price as of": table["as_of"],
            "Price from": table["source"].map(_cell),
        }
        | {title: table[fact].map(_cell) for fact, title in _FACTS.items() if fact in table}
    )
    display = display[[name for name in display if (display[name].notna() & (display[name] != "")).any()]]
    st.dataframe(
        priced(display, *(name for name in (f"$ {basis.words}", "$/1M in", "$/1M out") if name in display)),
        hide_index=True,
        height="content",
        column_config={
            "Mean score": st.column_config.ProgressColumn(
                format=PERCENT_COLUMN, min_value=0, max_value=100, help=tip("score")
            ),
            "Output tokens": st.column_config.NumberColumn(format="%.0f", help="Mean of a call."),
            **dict.fromkeys(
                _LATENCY.values(), st.column_config.NumberColumn(format=SECONDS_COLUMN, help=tip("latency"))
            ),
            "Context tokens": st.column_config.NumberColumn(format="localized", help="The longest input."),
            "Observed": st.column_config.NumberColumn(
                format=PERCENT_COLUMN, help=tip("missing-cell", also="Share of the prompts with an outcome.")
            ),
        },
        alt=f"Mean score, mean cost, coverage and prices of the {len(table)} models of {visible(info.name)}.",
    )
    st.caption("Means are over the prompts a model was observed on: compare only models observed on the same ones.")
    csv_button("Download (CSV)", lambda: table, f"{info.name}-models")


def _cell(fact: object) -> object:
    return visible(fact) if isinstance(fact, str) else fact


def _missing(info: BenchmarkInfo, models: Sequence[str]) -> None:
    table = _of(info, "coverage", models)
    if (table["n_observed"] == table["n_prompts"]).all():
        st.success("Every model was observed on every prompt: no cell is missing.", icon=":material/check:")
    else:
        show(coverage_exhibit(table), key="coverage")


def _scores(info: BenchmarkInfo, models: Sequence[str]) -> None:
    table = _of(info, "scores", models)
    show(score_exhibit(table, LEVELS), key="scores")


def _tokens(info: BenchmarkInfo, models: Sequence[str]) -> None:
    table = _of(info, "tokens", models)
    if table.empty:
        st.info(plain(f"{info.name} records no output tokens."))
        return
    show(token_exhibit(table), key="tokens-spread")
