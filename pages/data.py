"""Data: which benchmarks are loaded, from where, how complete; their prompts, and SQL on all of it."""

import streamlit as st

from carrot_core import modes
from carrot_core.benchmarks.built_in import SIMULATED
from carrot_core.dashboard import controls, shell
from carrot_core.dashboard.data import details, snapshots_list, sql_console
from carrot_core.dashboard.data.cards import cards, pull_panel, show_notice, trash_list
from carrot_core.dashboard.data.upload import upload_panel
from carrot_core.roles_audit import Role
from carrot_core.store import Store

shell.guard(__file__)
st.title("Data", anchor=False)
if not modes.may(Role.EDITOR):
    shell.not_here("Your own results, data from the hub, fitted routers and SQL are")
else:
    has_own = any(not info.ships and info.name != SIMULATED for info in Store().benchmarks())
    with st.expander("Add a benchmark", icon=":material/add:", expanded=not has_own):
        upload, pull = st.tabs(["Your own results", "From the Hugging Face hub"])
        with upload:
            upload_panel()
        with pull:
            pull_panel()

show_notice()
trash_list()
benchmarks = shell.loaded_benchmarks()
shell.damaged_list(shell.damaged_benchmarks())
cards(benchmarks)
snapshots_list()

st.header("Look inside")
details(controls.benchmark(benchmarks))

if modes.may(Role.EDITOR):
    with st.expander("SQL", icon=":material/database:", expanded="sql" in st.query_params):
        sql_console()
