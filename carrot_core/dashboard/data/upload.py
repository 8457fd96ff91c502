"""Upload results: preview the file, map its columns, see all its problems at once, and store it as a benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from carrot_core import limits
from carrot_core.benchmarks.columns import guess_with_paths, pairs_of
from carrot_core.benchmarks.encodings import ENCODINGS
from carrot_core.benchmarks.formats import Format
from carrot_core.benchmarks.formats.head import paths_in, truths_of
from carrot_core.benchmarks.long_wide_tables import OF_PROMPT, is_wide
from carrot_core.benchmarks.reading import ENDINGS, FOUND, PACKED, SEPARATORS, Reading
from carrot_core.benchmarks.table_file import PER_MODEL
from carrot_core.benchmarks.value_checks import RECOGNISED, REQUIRED
from carrot_core.dashboard import controls, work
from carrot_core.dashboard.data import (
    ask_call_costs,
    ask_free_models,
    ask_prices,
    in_words_of_the_page,
    is_about_reading,
    score_columns,
    show_problems,
    with_fields,
)
from carrot_core.dashboard.data.cards import NOTICE, free_name
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.dashboard.stores import ONLY_YOU, count_job, private_store, session_folder, upload_key
from carrot_core.errors import DataError, PricesNeededError
from carrot_core.number_formats import size_text
from carrot_core.paths import shipped
from carrot_core.prices.files import PriceList
from carrot_core.routers.base import WITHOUT_TEXTS
from carrot_core.store import BenchmarkInfo
from carrot_core.store.intake import Look, bring_in, look_at
from carrot_core.text import counted, names_listed, visible

if TYPE_CHECKING:
    from carrot_core.benchmarks.hub import HubFiles

TYPES = [ending.removeprefix(".") for ending in (*ENDINGS, *PACKED, ".eval")]
LAYOUTS = {
    "long": "Long: a row for each prompt and model",
    "wide": "Wide: a row for each prompt, a column for each model",
}
_ROWS = 5  # shown
_LOOKED_AT = 100  # rows in which a column of true and false is noticed
_SCALES = ["percent", "fraction", "1..5", "1..10", "0..10", "C/I", "yes/no", "pass/fail"]
_PAIRS = 6  # columns of models in a caption
_CELL = 120  # characters of a value in the preview
_ERRORS, _ZEROS = "upload:refused", "upload:zeros"


def upload_panel() -> None:
    """Upload a file of results as a benchmark that only this session sees until it is kept in the store."""
    st.write(
        "Files with one score for each prompt and model: text with any separator, JSON, Parquet, Arrow or XLSX, also "
        "packed (.gz, .zst, .zip). Several files become one benchmark. What you upload stays in this "
        "browser session and goes with it, unless you keep it."
    )
    st.download_button(
        "Download a template",
        lambda: shipped("template.csv").read_text(encoding="utf-8"),
        "carrot-template.csv",
        "text/csv",
        icon=":material/download:",
    )
    uploads = st.file_uploader(
        "Files of results",
        TYPES,
        accept_multiple_files=True,
        key=upload_key("upload"),
        help="The limits keep uploads from filling the server's memory, where a file is held until it is removed here: "
        f"those of one session together may have {size_text(limits.SESSION_BYTES)}, and one that would be more is "
        "refused (413) until another is removed. `carrot data import` reads larger ones from disk.",
    )
    if uploads:
        with errors_as_text():
            _bring_in(work.all_on_disk(uploads, "uploads"), work.id_of(uploads))


def hub_files_panel(fetched: HubFiles) -> None:
    """Map and load files that were fetched from the hub, as those of an upload."""
    paths = [file.path for file in fetched.files]
    digest = hashlib.sha256("".join(file.sha256 for file in fetched.files).encode()).hexdigest()
    st.caption(
        plain(f"{fetched.repo}, {counted(len(paths), 'file')} of commit {fetched.revision[:12]}. {fetched.note}")
    )
    with errors_as_text():
        _bring_in(paths, f"hub:{fetched.repo}:{digest[:16]}", fetched)


def _bring_in(paths: Sequence[Path], file_id: str, of_hub: HubFiles | None = None) -> None:
    look = _look(file_id, paths, FOUND, where=None, as_table=False)
    of_tool = look.of_tool if isinstance(look, Look) else None
    if of_tool and st.radio("Format", [of_tool.title, "A table"], key=f"format:{file_id}") == of_tool.title:
        _of_tool(of_tool, paths, file_id, of_hub)
        return
    error = look if isinstance(look, DataError) else st.session_state.get(_ERRORS, {}).get(file_id)
    reading, where = _reading(file_id, is_open=error is not None and is_about_reading(error))
    try:
        look = first_look(file_id, paths, reading, where=where, as_table=of_tool is not None)
    except DataError as refusal:
        raise in_words_of_the_page(refusal) from refusal
    first, names = look.first, [str(name) for name in look.first.columns]
    if look.fault:
        st.error(plain(with_fields(look.fault)), icon=":material/error:")
    st.dataframe(
        _preview(first[:_ROWS]), hide_index=True, alt=f"The first rows of the file, {len(names)} columns wide."
    )
    of_first = f"of {paths[0].name}, the first of {len(paths)} files" if len(paths) > 1 else ""
    st.caption(f"{look.how}, first rows {of_first}".rstrip().rstrip(",") + ".")
    scores = [] if is_wide([*names, *_pairs(names)]) else score_columns(first)
    layout = st.radio(
        "Layout",
        list(LAYOUTS),
        index=int(is_wide([*names, *_pairs(names)]) or bool(scores)),
        format_func=LAYOUTS.__getitem__,
        key=f"layout:{file_id}",
    )
    columns = _mapping(first, layout, file_id, reading)
    prices = PriceList({})
    prices.usd_per_call = ask_call_costs(scores, file_id) if scores and layout == "wide" else {}
    if "split" in {*names, *columns}:
        reading = replace(reading, own_split=_own_split(file_id))
    _load_panel(paths, file_id, layout, columns, reading, of_hub, prices, where=where)


def _own_split(file_id: str) -> bool:
    """Choose whether the file's own split is kept."""
    ways = {
        "Keep it": True,
        "Ignore it and split the prompts anew": False,
    }
    help = "If the split has only train and test, validation prompts are taken out of train."
    return ways[str(st.radio("The file's own split", list(ways), key=f"split:{file_id}", help=help))]


def _of_tool(of_tool: Format, paths: Sequence[Path], file_id: str, of_hub: HubFiles | None) -> None:
    """Handle files of an evaluation tool, which have no columns to map, and refuse a log of calls."""
    if of_tool.kind == "traffic":
        st.info(
            f"{of_tool.title}: a log, in which one model answered each prompt. The page Operating points compares it "
            "with a point; `carrot data import` keeps it under a name."
        )
        return
    scorer = st.text_input(
        "Score", key=f"scorer:{file_id}", placeholder="(the first)",
        help="If the files have several scorers, metrics or filters, the one that counts. A note names them all.",
    )  # fmt: skip
    estimate = st.checkbox(
        "Estimate tokens that are not recorded", key=f"estimate:{file_id}",
        help="One for 4 characters of prompt and answer, for tools that record none.",
    )  # fmt: skip
    options = {"scorer": scorer.strip() or None, "estimate_tokens": estimate}
    _load_panel(paths, file_id, of_tool.name, {}, FOUND, of_hub, PriceList({}), **options)


def _load_panel(
    paths: Sequence[Path],
    file_id: str,
    layout: str,
    columns: Mapping[str, str],
    reading: Reading,
    of_hub: HubFiles | None,
    prices: PriceList,
    **of_tool: Any,
) -> None:
    """Ask for a name and missing settings, and load the files."""
    error = st.session_state.get(_ERRORS, {}).get(file_id)
    prices.update(ask_prices(error.models, file_id) if isinstance(error, PricesNeededError) else {})
    zero_models = st.session_state.get(_ZEROS, {}).get(file_id)
    prices.update(ask_free_models(zero_models, file_id) if zero_models else {})
    named_by = Path(of_hub.repo) if of_hub else paths[0]
    name = st.text_input("Name of the benchmark", free_name(named_by), key=f"name:{file_id}")
    if st.button("Check and load", type="primary", key="hub:check" if of_hub else "upload:check"):
        count_job()
        try:
            with work.spinner("Reading and checking every row …"):
                stored = bring_in(
                    private_store(), name.strip(), paths, format=layout, columns=columns, prices=prices,
                    reading=reading, keep_zeros=zero_models is not None, of_hub=of_hub, place=session_folder(),
                    **of_tool,
                )  # fmt: skip
        except DataError as new_error:
            st.session_state[_ERRORS] = {file_id: new_error.with_traceback(None)}
            st.rerun()
        # The form for prices stays until the file is loaded.
        st.session_state[_ERRORS] = {file_id: error if isinstance(error, PricesNeededError) else None}
        if isinstance(stored, BenchmarkInfo):
            _tell(stored)
        else:
            st.session_state[_ZEROS] = {file_id: stored}
        st.rerun()
    if error is not None:
        show_problems(error)


def first_look(
    file_id: str, paths: Sequence[Path], reading: Reading = FOUND, *, where: str | None = None, as_table: bool = False
) -> Look:
    """Preview the beginning of an upload, once for each upload and each way to read it."""
    look = _look(file_id, paths, reading, where=where, as_table=as_table)
    if isinstance(look, DataError):
        # A new error: the cached one would keep the frames of its traceback, and the files with them.
        raise DataError(look.where, look.problems)
    return look


@work.cached(scope="session", max_entries=16, show_spinner="Looking at the file …")
def _look(
    file_id: str, _paths: Sequence[Path], reading: Reading, *, where: str | None, as_table: bool
) -> Look | DataError:
    count_job()
    try:
        return look_at(_paths, _LOOKED_AT, reading, where=where, as_table=as_table, place=session_folder())
    except DataError as error:
        return DataError(error.where, error.problems)


def _reading(file_id: str, *, is_open: bool) -> tuple[Reading, str | None]:
    """Let the reader correct the detected format of the files, and choose rows by a predicate."""
    with st.expander("How the files are read", expanded=is_open):
        boxes = iter(st.columns(3)), iter(st.columns(2))
        with next(boxes[0]):
            separator = _stated("Separator", list(SEPARATORS), file_id, lambda sign: SEPARATORS.get(sign, sign))
        with next(boxes[0]):
            decimal = _stated("Decimal sign", [".", ","], file_id, {".": "point", ",": "comma"}.__getitem__)
        with next(boxes[0]):
            encoding = _stated("Encoding", ["utf-8", "utf-16", *ENCODINGS], file_id)
        with next(boxes[1]):
            score = _stated(
                "Scores", _SCALES, file_id, first="0 to 1, or true and false",
                help="What makes 0 to 1 of a score: a percentage, a fraction (3/5), a range, two words of which the "
                "first is 1, or an SQL expression over the columns, as in `bleu / 100`.",
            )  # fmt: skip
        with next(boxes[1]):
            model_from = _stated(
                "Model", ["file"], file_id, {"file": "the file's name"}.get, first="in a column of the files",
                help="Where the model's name is. Any other text is the name of the only model.",
            )  # fmt: skip
        where = st.text_input(
            "Rows", key=f"read:Rows:{file_id}", placeholder="(all)",
            help="SQL over the columns that chooses rows, as in `kind = 'chat'`.",
        )  # fmt: skip
    return Reading(separator, decimal, encoding, score, model_from), where.strip() or None


def _stated(
    label: str,
    options: Sequence[str],
    file_id: str,
    words: Callable[[str], str | None] | None = None,
    *,
    first: str = "found in the file",
    help: str | None = None,
) -> str | None:
    """The reader's choice, or None; an answer that is not listed can be typed."""
    answer = st.selectbox(
        label,
        ["", *options],  # None would be a value to clear
        format_func=lambda option: visible((words and words(option)) or option) if option else first,
        accept_new_options=label != "Decimal sign",
        key=f"read:{label}:{file_id}",
        help=help,
    )
    return answer or None


def _preview(first: pd.DataFrame) -> pd.DataFrame:
    cut = first.map(lambda value: visible(value[:_CELL], " ") if isinstance(value, str) else "")
    return cut.set_axis([visible(str(name)) for name in first.columns], axis=1)


def _pairs(names: Sequence[str]) -> dict[str, str]:
    """Columns that belong to models by their names, if the table is not long."""
    is_long = {"model", "score"} <= guess_with_paths(names, ()).keys()
    return {} if is_long else pairs_of(names, PER_MODEL)


def _mapping(first: pd.DataFrame, layout: str, file_id: str, reading: Reading) -> dict[str, str]:
    """Map the file's columns to fields, guessed and corrected by the reader; columns already named so are left out."""
    names = [str(name) for name in first.columns]
    fields = RECOGNISED if layout == "long" else OF_PROMPT
    paths = paths_in(first)
    guesses = guess_with_paths(names, paths, truths_of(first))
    names += paths
    needed = [name for name in fields if name in REQUIRED and (name != "model" or not reading.model_from)]
    sources: dict[str, str | None] = {}
    for box, column in zip(st.columns(len(needed)), needed, strict=True):
        with box:
            sources[column] = _column_box(column, names, guesses, f"{layout}:{file_id}")
    optional = [name for name in fields if name not in REQUIRED]
    labels = [visible(guesses[name]) for name in optional if name in guesses]
    with st.expander(f"Other columns ({', '.join(labels) if labels else 'none recognised'})"):
        for at in range(0, len(optional), 3):
            for box, column in zip(st.columns(3), optional[at : at + 3], strict=False):
                with box:
                    sources[column] = _column_box(column, names, guesses, f"{layout}:{file_id}")
        if sources.get("cost_usd") is None and layout == "long":
            st.caption("A column is taken for a cost by itself only where its name says dollars; choose it if it is.")
    if layout == "wide":
        st.caption(
            "A model is a column of scores with `<model>|cost_usd`, `<model>|output_tokens` or "
            "`<model>|input_tokens` beside it."
        )
        sources |= (pairs := _pairs(names))
        if pairs:
            listed = [f"“{visible(source)}” is {visible(column)}" for column, source in pairs.items()]
            st.caption(f"By their names, {plain(names_listed(listed, _PAIRS))}.")
    return {name: source for name, source in sources.items() if source is not None and source != name}


def _column_box(column: str, names: Sequence[str], guesses: Mapping[str, str], key: str) -> str | None:
    options = ["", *names]
    choice = st.selectbox(
        column if column in REQUIRED else f"{column} (optional)",
        options,
        options.index(guesses.get(column, "")),
        format_func=lambda name: visible(name) if name else "(none)",
        key=f"map:{key}:{column}",
    )
    return choice or None


def _tell(info: BenchmarkInfo) -> None:
    """Store a notice about the new benchmark for the next run."""
    samples = f" Scores and costs are means: {info.samples_text}." if info.samples_text else ""
    warnings = samples + "".join(f" {warning}" for warning in info.warnings)
    warnings += "" if info.n_readable else f" {WITHOUT_TEXTS}"
    label = f"{info.name}{ONLY_YOU}"
    controls.open_benchmark(label, {})
    text = f"Loaded {info.size_text} as {info.name!r}. Every page shows it, as “{label}”.{with_fields(warnings)}"
    st.session_state[NOTICE] = text, info.n_readable > 0
