"""Data: which benchmarks are loaded, from where, how complete; their prompts, and SQL on all of it."""

import streamlit as st

from carrot_core import modes
from carrot_core.benchmarks.built_in import SIMULATED
from carrot_core.dashboard import controls, links, shell
from carrot_core.dashboard.data import pull_panel, snapshots_list, sql_console
from carrot_core.dashboard.data.cards import cards, logs_list, show_notice, show_upload_notice, trash_list
from carrot_core.dashboard.data.details import details
from carrot_core.dashboard.data.upload import hub_files_panel, upload_panel
from carrot_core.roles_audit import Role
from carrot_core.store import Store

SEE, LOOK, ASK = "Benchmarks", "Look inside", "SQL"
OF_LOOK = {"view", "find", "task", "split", "disagree", "page", "prompt"}  # parameters of links that open this tab

shell.guard(__file__)
st.title("Data", anchor=False)
may_edit = modes.may(Role.EDITOR)
stored = Store().benchmarks()
opened = LOOK if OF_LOOK & set(st.query_params) else ASK if may_edit and "sql" in st.query_params else SEE
if stored and opened != SEE and not {"tab"} & {*st.session_state, *st.query_params}:
    st.session_state["tab"] = st.query_params["tab"] = opened
see, look, *ask = links.tabs([SEE, LOOK, *([ASK] if may_edit else [])], "tab")
with see:
    if not may_edit:
        shell.not_here("Your own results, data from the hub, fitted routers and SQL are")
    else:
        has_own = any(not info.ships and info.name != SIMULATED for info in stored)
        with st.expander("Add a benchmark", icon=":material/add:", expanded=not has_own):
            upload, pull = st.tabs(["Your own results", "From the Hugging Face hub"])
            with upload:
                upload_panel()
            with pull:
                pull_panel(hub_files_panel)
            show_upload_notice()
    show_notice()
    logs_list()
    trash_list()
    benchmarks = shell.loaded_benchmarks()
    shell.damaged_list(shell.damaged_benchmarks())
    cards(benchmarks)
    snapshots_list()
with look:
    details(controls.benchmark(benchmarks))
for tab in ask:
    with tab:
        sql_console()
