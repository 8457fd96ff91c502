"""SQL on the shared store: read-only, within limits, with the schema beside it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from carrot_core import limits
from carrot_core.dashboard import links
from carrot_core.dashboard.exhibits import csv_button
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.store import Store
from carrot_core.store.console import Answer, query, schema

_ANSWER = "console:answer"
EXAMPLE = """select model, count(*) as prompts, avg(score) as score, 1000 * avg(cost_usd) as usd_per_1k
from results
group by model
order by score desc"""


@st.cache_data(max_entries=4, show_spinner=False)
def _schema(version: str, path: str) -> pd.DataFrame:
    return schema(Store())


@st.fragment
def sql_console() -> None:
    """A query (``?sql=``), its answer as a table and as CSV, and the list of tables."""
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
