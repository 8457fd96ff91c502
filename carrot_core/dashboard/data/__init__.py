"""The Data page: its snapshots, data from the hub, SQL on the shared store; what an upload asks for and refuses."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from carrot_core import limits, modes
from carrot_core.benchmarks import NONE_STATED
from carrot_core.benchmarks.columns import guess_with_paths
from carrot_core.benchmarks.costs import pricing_of
from carrot_core.benchmarks.formats.head import paths_in, truths_of
from carrot_core.benchmarks.value_checks import MISSING
from carrot_core.csv_latex import problems_frame, safe_csv
from carrot_core.dashboard import links
from carrot_core.dashboard.data.cards import fact_lines
from carrot_core.dashboard.exhibits import csv_button, folding_table
from carrot_core.dashboard.shell import all_benchmarks, errors_as_text, file_progress, plain
from carrot_core.errors import DataError, PricesNeededError
from carrot_core.number_formats import PRICE_COLUMN
from carrot_core.prices import FREE, Price
from carrot_core.prices.files import shipped_prices
from carrot_core.results import SnapshotInfo
from carrot_core.roles_audit import Role
from carrot_core.serving.loading import shipped_heads
from carrot_core.store import Store
from carrot_core.store.console import Answer, query, schema
from carrot_core.store.intake import ANY, HUB_SOURCES, fetch_data_set, pull
from carrot_core.text import visible

if TYPE_CHECKING:
    from carrot_core.benchmarks.hub import HubFiles

_ANSWER, _PULL_NOTICE, _FETCHED = "console:answer", "pull:done", "pull:files"
_LICENCE = "It states no licence, so the texts of its prompts stay on this machine, in no file that CARROT writes."
# Options of the command line, by the fields of the upload: those of how files are read, and others.
_READING = {
    "--score": "Scores", "--separator": "Separator", "--decimal": "Decimal sign", "--encoding": "Encoding",
    "--model-from": "Model", "--where": "Rows",
}  # fmt: skip
_FIELDS = {
    "--scorer": "Score", "--free": "Models that are free", "--cost-per-call": "US dollars per call",
    "--estimate-tokens": "Estimate tokens that are not recorded",
}  # fmt: skip
# Sentences of the command line that the page says otherwise.
_SENTENCES = {
    "--prices makes dollars of them": "the page asks for their prices then",
    " (see --list-prices)": "",
    " Or --cost-per-call says what a call of each model costs on average.": "",
    "or --cost-per-call MODEL USD says what a call of it costs": "or the layout “Wide” asks what a call of it costs",
    "`--split derive` leaves": "“The file's own split” leaves",
}
_OPTION = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*(?![\w-])")
_COLUMN = re.compile(r"--column (?:'([^'=]+)=([^']+)'|([^\s'=]+)=(\S*[^\s.,;:]))")
EXAMPLE = """select model, count(*) as prompts, avg(score) as score, 1000 * avg(cost_usd) as usd_per_1k
from results
group by model
order by score desc"""


def snapshots_list() -> None:
    """The snapshots: their sizes, costs, uses, sources and what ships of them; nothing without any."""
    snapshots = [info for info in all_benchmarks() if isinstance(info, SnapshotInfo)]
    if not snapshots:
        return
    st.header("Snapshots", anchor=False)
    st.caption(
        "Real results of which the prompts may not be passed on. Overview, Frontier, Compare and Operating points "
        "show them like any other; What-if, other pools and tasks, single prompts and fits need the data."
    )
    heads, rows = shipped_heads(), []
    for info in snapshots:
        size, can_answer = (f"{info.n_prompts:,}", f"{info.n_models:,}"), "yes" if info.name in heads else "no"
        rows.append([*map(plain, (info.name, *size, info.era, info.costs, info.licence)), can_answer])
    with st.container(key="folding-snapshots"):
        st.markdown(folding_table(["Snapshot", "Prompts", "Models", "Of", "Costs", "Licence", "Live prompt"], rows))
    with st.expander("Sources, dates, caveats and what ships"):
        st.markdown(
            "Of each snapshot ship figures, list prices and, where Live prompt says yes, a fitted router's weights. No "
            "prompt, no answer and no single result of a source ships, whatever its licence."
        )
        for info in snapshots:
            facts = {
                "Source": info.source,
                "Published": info.date or "not known",
                "Licence of the results": info.licence,
            }
            st.markdown(f"**{plain(info.name)}**  \n{fact_lines(facts)}")
            st.markdown("\n".join(f"- {plain(caveat)}" for caveat in info.caveats))


def pull_panel(files_panel: Callable[[HubFiles], None]) -> None:
    """Choose a data set of the hub and download it, with a progress bar for each file.

    A known one comes into the shared store. The files of any other are given to a panel, which maps and loads them.
    """
    if done := st.session_state.pop(_PULL_NOTICE, None):
        st.success(plain(done), icon=":material/check:")
    names = {info.name for info in Store().benchmarks()}
    source = st.selectbox(
        "Data set", [*HUB_SOURCES, ANY], key="pull-source",
        format_func=lambda name: f"{name}: {HUB_SOURCES[name].about}" if name != ANY else "Any other, by its name",
    )  # fmt: skip
    if source == ANY:
        _any_data_set(files_panel)
        return
    hub_source = HUB_SOURCES[source]
    licence = _LICENCE if hub_source.licence == NONE_STATED else f"Licence: {hub_source.licence}."
    st.caption(
        plain(
            f"From {hub_source.repo} on huggingface.co. {licence} An interrupted download continues where it stopped."
        )
    )
    drop_chinese = hub_source.without_chinese is not None and st.checkbox(
        "Leave out the Chinese tasks", key="pull-without-chinese", help="As CARROT's authors do: 16 tasks, 785 prompts."
    )
    replace = (
        source in names
        and modes.may(Role.ADMIN)
        and st.checkbox(plain(f"{source} is here already: replace it and the routers fitted on it"), key="pull-replace")
    )
    blocked = source in names and not replace
    if st.button(f"Pull {source}", icon=":material/download:", key="pull", disabled=blocked):
        with file_progress() as arriving, errors_as_text():
            info = pull(Store(), source, replace=replace, drop_chinese=drop_chinese, progress=arriving)
            notes = "".join(f"\n{note}" for note in info.warnings)
            st.session_state[_PULL_NOTICE] = f"Pulled {info.size_text} as {info.name!r}.{notes}"
            st.rerun()


def _any_data_set(files_panel: Callable[[HubFiles], None]) -> None:
    """Name a data set and a part of it, fetch its files and give them to a panel."""
    boxes = st.columns(3)
    repo = boxes[0].text_input("Name on the hub", key="pull-repo", placeholder="OWNER/NAME").strip()
    config = boxes[1].text_input(
        "Configuration", key="pull-config", placeholder="(all)", help="Only files with this word in their path."
    )
    split = boxes[2].text_input(
        "Split", key="pull-split", placeholder="(all)", help="Only files with this word behind it, such as test."
    )
    if st.button("Fetch its files", icon=":material/download:", key="pull", disabled=not repo):
        st.session_state.pop(_FETCHED, None)
        with file_progress() as arriving, errors_as_text():
            source = f"{ANY}{repo.removeprefix(ANY)}"
            fetched = fetch_data_set(source, config.strip(), split.strip(), progress=arriving)
            st.session_state[_FETCHED] = fetched
    if _FETCHED in st.session_state:
        files_panel(st.session_state[_FETCHED])


@st.cache_data(max_entries=4, show_spinner=False)
def _schema(version: str, path: str) -> pd.DataFrame:
    return schema(Store())


@st.fragment
def sql_console() -> None:
    """A query (``?sql=``), its answer as a table and as CSV, and the list of tables; for editors only."""
    if not modes.may(Role.EDITOR):  # a fragment runs without its page
        return
    with errors_as_text():
        store = Store()
        if not store.benchmarks():
            st.info("The console queries the shared store, which is empty. It cannot query uploads of a session.")
            return
        for_query, for_schema = st.columns([3, 2])
        with for_query:
            sql = st.text_area(
                "Query", EXAMPLE, key="sql", bind="query-params", height=190, max_chars=limits.SQL_CHARACTERS,
                help=f"One SELECT, WITH, DESCRIBE, SHOW or EXPLAIN. At most {limits.SQL_ROWS:,} rows, "
                f"{limits.SQL_SECONDS:g} s and {limits.SQL_MEMORY} of memory; no file and no network can be reached. "
                "An answer can be saved: it has no text of a prompt whose source states no licence.",
            )  # fmt: skip
            links.check_parameter("sql", lambda text: len(text) <= limits.SQL_CHARACTERS, "the example")
            if st.button("Run", type="primary", icon=":material/play_arrow:", key="sql-run"):
                st.session_state.pop(_ANSWER, None)
                with st.spinner("Running …"):
                    st.session_state[_ANSWER] = (sql, query(store, sql or ""))
        with for_schema:
            tables = _schema(store.version(), str(store.path))
            st.caption("Tables and columns; the view `results` has the names already joined.")
            st.dataframe(
                tables, hide_index=True, height=220, alt=f"{len(tables)} columns of the database: table, column, type."
            )
        if _ANSWER in st.session_state:
            question, answer = st.session_state[_ANSWER]
            if question != sql:
                st.info("The query has changed: this is the answer to the previous one. Press Run again.")
            _show(answer)


def _show(answer: Answer) -> None:
    frame = answer.frame
    st.dataframe(frame, hide_index=True, alt=f"The answer: {len(frame)} rows of {', '.join(map(str, frame.columns))}.")
    st.caption(plain(f"{len(frame):,} {'row' if len(frame) == 1 else 'rows'}. {answer.note}"))
    csv_button("Download the answer (CSV)", lambda: frame, "answer")


def ask_prices(models: Sequence[str], file_id: str) -> dict[str, Price]:
    """Ask for the prices of models without dollars in the file; returns those with both prices."""
    st.warning(
        f"The file has tokens and no dollars for {len(models)} of its models. What do they cost, in US dollars per "
        "million tokens? Without both prices a model cannot be loaded. A price with a date is a list price of that "
        "day; correct it where you paid another.",
        icon=":material/payments:",
    )
    listed = pricing_of(models, shipped_prices()).by_model
    unknown = Price(math.nan, math.nan)
    priced = [listed.get(model, unknown) for model in models]
    form = pd.DataFrame(
        {
            "Model": [visible(name) for name in models],
            "Input": [price.input_usd_per_mtok for price in priced],
            "Output": [price.output_usd_per_mtok for price in priced],
            "As of": [price.as_of for price in priced],
        }
    )
    dollars = st.column_config.NumberColumn(min_value=0.0, format=PRICE_COLUMN, help="US dollars per million tokens.")
    answers = st.data_editor(
        form,
        hide_index=True,
        disabled=["Model", "As of"],
        column_config={"Input": dollars, "Output": dollars},
        key=f"prices:{file_id}",
        alt="One row for each model without a price, to be filled in.",
    )
    numbers = answers[["Input", "Output"]].to_numpy(dtype=float)
    return {
        model: price
        if [price.input_usd_per_mtok, price.output_usd_per_mtok] == [input_, output]
        else Price(input_, output, source="given at the upload")
        for model, price, (input_, output) in zip(models, priced, numbers.tolist(), strict=True)
        if math.isfinite(input_) and math.isfinite(output)
    }


def score_columns(first: pd.DataFrame) -> list[str]:
    """Columns that look like scores of a model each by the first rows, in a table without models or costs."""
    guesses = guess_with_paths(list(map(str, first.columns)), paths_in(first), truths_of(first))
    if {"model", "cost_usd"} & guesses.keys():
        return []
    scores = truths_of(first)
    for name in first.columns:
        values = {str(value).strip() for value in first[name].dropna()} - {""}
        numbers = pd.to_numeric(pd.Series(sorted(values), dtype=object), errors="coerce")
        scores += [str(name)] if values and numbers.between(0, 1).all() else []
    models = [name for name in scores if name not in guesses.values()]
    return models if len(models) > 1 else []


def ask_call_costs(models: Sequence[str], file_id: str) -> dict[str, float]:
    """Ask which columns of scores are models and what a call of each costs; returns those with a cost."""
    st.warning(
        "The columns below hold scores, and none beside them what a call costs. What does a call of each model cost on "
        "average, in US dollars? A column without a cost is left out. A router then compares means: with the cost, or "
        "the tokens, of each call it can also tell which prompts are expensive.",
        icon=":material/payments:",
    )
    form = pd.DataFrame(
        {"Model": [visible(name) for name in models], "US dollars per call": math.nan}, range(len(models))
    )
    answers = st.data_editor(
        form,
        hide_index=True,
        disabled=["Model"],
        column_config={
            "US dollars per call": st.column_config.NumberColumn(
                min_value=0.0, format=PRICE_COLUMN, help="On average, over easy and hard prompts."
            )
        },
        key=f"per-call:{file_id}",
        alt="One row for each column of scores, to be filled in with the mean cost of a call.",
    )
    costs = dict(zip(models, answers["US dollars per call"].to_numpy(dtype=float).tolist(), strict=True))
    return {model: usd for model, usd in costs.items() if usd > 0}


def ask_free_models(models: Sequence[str], file_id: str) -> dict[str, Price]:
    """Ask which models with costs or tokens of 0 really cost nothing; returns their prices."""
    st.warning(
        f"{len(models)} of the models have costs or tokens of 0. Tools write 0 for what they do not know, so these "
        "count as not recorded, unless you say that a model is free. Then load the file again.",
        icon=":material/money_off:",
    )
    choice = st.multiselect(
        "Models that are free", models, format_func=visible, key=f"free:{file_id}", placeholder="None of them"
    )
    return dict.fromkeys(choice, FREE)


def with_fields(text: str) -> str:
    """A text with the fields of the page in place of the command line's options."""
    fields = {option: f"“{field}”" for option, field in (_READING | _FIELDS).items()}
    for sentence, own in _SENTENCES.items():
        text = text.replace(sentence, own)
    text = _OPTION.sub(lambda option: fields.get(option[0], option[0]), text)
    return _COLUMN.sub(lambda match: f"“{match[1] or match[3]}”: {match[2] or match[4]}", text)


def in_words_of_the_page(error: DataError) -> DataError:
    """The same error with the fields of the page in its remedies."""
    boxes = [
        f"Choose it in the box “{problem.column}”. " if problem.message == MISSING else "" for problem in error.problems
    ]
    return DataError(
        error.where,
        [replace(each, remedy=box + with_fields(each.remedy)) for box, each in zip(boxes, error.problems, strict=True)],
    )


def is_about_reading(error: DataError) -> bool:
    """Whether a remedy is a field of how the files are read."""
    return any(not _READING.keys().isdisjoint(_OPTION.findall(problem.remedy)) for problem in error.problems)


def show_problems(error: DataError) -> None:
    """Every kind of problem of an upload, with the fields of the page that mend it."""
    if isinstance(error, PricesNeededError):
        return  # asked for above
    problems = problems_frame(in_words_of_the_page(error))
    of_file = ["file"] if problems["file"].nunique() > 1 else []
    kinds = (
        f"{len(problems)} kinds of problem, each with the first row it stands in"
        if len(problems) > 1
        else "one problem"
    )
    where = " The fields that correct it stand in “How the files are read” above." if is_about_reading(error) else ""
    st.error(f"The file cannot be used yet: {kinds}.{where}", icon=":material/error:")
    st.dataframe(
        problems[[*of_file, "row", "column", "problem", "remedy", "value"]].map(lambda value: visible(value, " ")),
        hide_index=True,
        column_config={
            "row": st.column_config.TextColumn("row", width="small", help="Of the file, the header not counted."),
            "column": st.column_config.TextColumn("column", width="small"),
            "problem": st.column_config.TextColumn("problem", width="medium"),
            "remedy": st.column_config.TextColumn("remedy", width="large"),
        },
        row_height=84,  # three lines; above 64 pixels Streamlit wraps what a cell holds
        alt="One row for each kind of problem: where it first stands, what it is and what to do.",
    )
    st.download_button("Download the problems (CSV)", lambda: safe_csv(problems), "problems.csv", "text/csv")
