"""Many prompts at once, from lines or a file: the decisions, their totals and the downloads.

The decisions are made in turns with the work of others (`carrot_core.dashboard.work`); any action of the reader stops
them at the next step of the progress bar. Decisions of a stopped run are dropped, and the page says so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import streamlit as st

from carrot_core import limits, modes
from carrot_core.csv_latex import safe_csv
from carrot_core.dashboard import work
from carrot_core.dashboard.exhibits import file_stem, priced
from carrot_core.dashboard.glossary import see, tip
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.dashboard.stores import session_folder, upload_key
from carrot_core.errors import CarrotError
from carrot_core.number_formats import PERCENT_COLUMN, money_interval, percent
from carrot_core.serving import CarrotRouter
from carrot_core.serving.files import Prompts, decision_file, open_prompts, prompt_columns, prompts_from_lines
from carrot_core.serving.summary import ROUTED, Summary, route_all
from carrot_core.text import visible

TYPES = ["csv", "tsv", "jsonl", "ndjson", "parquet", "txt", "gz", "zst"]
PASTE, UPLOAD = "Paste lines", "Upload a file"
_STEP = 64  # prompts between two updates of the bar, at which a run can be stopped
_FIRST_ROWS = 20
_RUNNING, _RESULT = "batch:running", "batch:done"
_LINES, _PASTE = "batch:lines", "batch:pasted"


@dataclass(frozen=True)
class _Result:
    """A finished run and its settings, to notice later changes."""

    summary: Summary
    decisions: Path
    settings: tuple[object, ...]
    name: str
    limits: str


def batch_panel(
    router: CarrotRouter,
    *,
    lam: float,
    pool: tuple[str, ...] | None,
    fallback: str | None,
    fallback_above: float,
    task: str | None,
) -> None:
    """Decide on many prompts with the page's settings, and show the results."""
    source = _paste_box() if _source_kind() == PASTE else _upload_box()
    per_model = st.checkbox(
        "Also write what is expected of every model", key="batch:per_model", help="Three more columns for each model."
    )
    options = {"lam": lam, "pool": pool, "fallback": fallback, "fallback_above": fallback_above, "task": task}
    settings = (router.artefact, lam, pool, fallback, fallback and fallback_above, task)
    started = st.button("Decide", type="primary", key="batch:run")
    if st.session_state.pop(_RUNNING, False) and not started:
        st.info("The run stopped early; no decisions were kept.", icon=":material/cancel:")
    if started:
        st.session_state.pop(_RESULT, None)
        with errors_as_text():
            if source is None:
                raise CarrotError("There are no prompts yet: paste some or choose a file.")
            summary, decisions = _run(router, source, per_model=per_model, **options)
            name = f"{file_stem(router.profile.benchmark)}-decisions"
            st.session_state[_RESULT] = _Result(summary, decisions, settings, name, _limits(router))
        st.session_state.pop(_RUNNING, None)
    result = st.session_state.get(_RESULT)
    if result is not None:
        if result.settings != settings:
            st.info("These decisions are of other settings: press Decide again.")
        _results(result)


Source = Callable[[ExitStack], Prompts]


def _source_kind() -> str:
    if modes.is_public():
        return PASTE
    ways = [PASTE, UPLOAD]
    return str(st.segmented_control("Prompts", ways, default=PASTE, key="batch:way", required=True))


def _paste_box() -> Source | None:
    if _LINES not in st.session_state:  # Streamlit drops the text of a box that is not drawn
        st.session_state[_LINES] = st.session_state.get(_PASTE, "")
    text = st.session_state[_PASTE] = st.text_area(
        "Prompts, one a line",
        key=_LINES,
        height=160,
        max_chars=limits.PASTED_CHARACTERS,
        placeholder="What is the capital of France?\nProve that the square root of 2 is irrational.",
    )
    # Not `splitlines`, which also splits at Unicode's line separators.
    return (lambda stack: prompts_from_lines(text.split("\n"), "the pasted lines")) if text.strip() else None


def _upload_box() -> Source | None:
    upload = st.file_uploader(
        "File of prompts",
        TYPES,
        key=upload_key("batch:file"),
        help="CSV, TSV, JSON lines or Parquet with a column of prompts, or a .txt with one a line; text may be "
        "packed (.gz, .zst). `carrot route --file` takes larger files.",
    )
    st.caption(
        f"A prompt may have {limits.PROMPT_CHARACTERS:,} characters. A column `prompt_id` is kept; without it "
        "a prompt goes by its row. A column `task` has task labels. What you upload stays in this browser session "
        "and goes with it."
    )
    if upload is None:
        return None
    with errors_as_text():
        path = work.on_disk(upload, "prompts")
        column = _column(prompt_columns(path), upload.file_id)
        return lambda stack: stack.enter_context(open_prompts(path, column))
    return None


def _column(names: tuple[str, ...], file_id: str) -> str:
    if not names or "prompt" in names:
        return "prompt"
    likely = ("prompt", "messages", "question", "text", "input", "instruction", "query")
    places = [place for place, name in enumerate(names) if name.casefold() in likely]
    return str(
        st.selectbox(
            "Column of the prompts",
            names,
            places[0] if places else 0,
            format_func=visible,
            key=f"batch:column:{file_id}",
        )
    )


def _run(router: CarrotRouter, source: Source, **options: Any) -> tuple[Summary, Path]:
    """Decide on all prompts, with a progress bar and a Cancel button."""
    st.session_state[_RUNNING] = True
    path = session_folder() / "decisions.parquet"
    with work.progress("Reading the prompts …", "batch:cancel") as show, ExitStack() as stack:

        def show_progress(done: int, total: int) -> None:
            show(done / total, f"{done:,} of {total:,} prompts" if total > done else f"{done:,} prompts")

        prompts = source(stack)
        write = stack.enter_context(decision_file(path))
        summary = route_all(router, prompts, write, progress=show_progress, most=_STEP, **options)
    return summary, path


def _results(result: _Result) -> None:
    summary = result.summary
    alone = summary.alone[summary.best_single]
    st.markdown(
        plain(
            f"{summary.n_prompts:,} prompts: expected accuracy {percent(*summary.routed.score)} for "
            f"{money_interval(*summary.routed.total_cost_usd)}. "
            f"{summary.best_single} alone: {percent(*alone.score)} for "
            f"{money_interval(*alone.total_cost_usd)}. Expected saving against it: {summary.saving_text()}."
        )
    )
    if summary.n_unlike:
        answered = f" The fallback answers {summary.n_fell_back:,} of them." if summary.n_fell_back else ""
        st.warning(
            f"{summary.n_unlike:,} prompts are unlike anything in the training data: for them these estimates are "
            f"little more than guesses.{answered}",
            icon=":material/explore_off:",
        )
    if summary.task_notes:
        st.info(plain(summary.labels_text()), icon=":material/label_off:")
    if summary.warning:
        st.warning(summary.warning, icon=":material/content_copy:")
    _against_one_model(summary)
    st.caption(f"{result.limits} {see('conformal-interval', 'distance-to-the-training-data', 'fallback')}")
    first = _first_rows(result.decisions)
    st.dataframe(first, hide_index=True, alt=f"The first {len(first)} decisions.")
    with st.container(horizontal=True):
        icon = ":material/download:"
        st.download_button(
            "Decisions (CSV)",
            lambda: safe_csv(pd.read_parquet(result.decisions)),
            f"{result.name}.csv",
            "text/csv",
            icon=icon,
            on_click="ignore",  # a rerun would lose the next click
        )
        st.download_button(
            "Decisions (Parquet)",
            lambda: result.decisions.read_bytes(),
            f"{result.name}.parquet",
            "application/vnd.apache.parquet",
            icon=icon,
            on_click="ignore",
        )


def _against_one_model(summary: Summary) -> None:
    table = summary.table()
    display = pd.DataFrame(
        {
            "Answered by": ["CARROT chooses", *(f"{visible(name)} alone" for name in table["model"][1:])],
            "CARROT's share": [None, *(100 * table["share"][1:])],
            "Accuracy": 100 * table["score"],
            "90 % low": 100 * table["score_low"],
            "90 % high": 100 * table["score_high"],
            "Total cost": table["total_cost_usd"],
            "$, 90 % low": table["total_cost_low_usd"],
            "$, 90 % high": table["total_cost_high_usd"],
        }
    )
    percents = st.column_config.NumberColumn(format=PERCENT_COLUMN, help=tip("accuracy"))
    totals = ("Total cost", "$, 90 % low", "$, 90 % high")
    st.dataframe(
        priced(display, *totals),
        hide_index=True,
        placeholder="–",
        column_config={
            "CARROT's share": st.column_config.NumberColumn(format=PERCENT_COLUMN, help=tip("share")),
            **dict.fromkeys(("Accuracy", "90 % low", "90 % high"), percents),
            **dict.fromkeys(totals, st.column_config.NumberColumn(help=tip("cost"))),
        },
        alt=f"Expected accuracy and total cost of {ROUTED}'s decisions and of each of {len(table) - 1} models alone.",
    )


def _limits(router: CarrotRouter) -> str:
    return (
        "Expected, not measured: nothing was sent to a model. 90 % intervals, learned from how far off such sums "
        f"were on {router.profile.calibration.n_prompts_:,} validation prompts; they hold for prompts like those."
    )


def _first_rows(path: Path) -> pd.DataFrame:
    frame: pd.DataFrame = next(pq.ParquetFile(path).iter_batches(_FIRST_ROWS)).to_pandas()
    for name in ("prompt_id", "model"):
        frame[name] = [None if text is None else visible(text) for text in frame[name]]
    return frame.set_axis([visible(str(name)) for name in frame.columns], axis=1)
