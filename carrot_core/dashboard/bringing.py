"""Benchmarks that are fetched from the Hugging Face hub at the user's request."""

from __future__ import annotations

import streamlit as st

from carrot_core.benchmarks import NONE_STATED
from carrot_core.benchmarks.hub_sources import HUB_SOURCES
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.store import Store
from carrot_core.workbench import pull

_DONE = "pull:done"
_LICENCE = "It states no licence, so the texts of its prompts stay on this machine, in no file that CARROT writes."


def pull_panel() -> None:
    """Choose a data set of the hub and fetch it into the shared store, with progress file by file."""
    if done := st.session_state.pop(_DONE, None):
        st.success(plain(done), icon=":material/check:")
    taken = {info.name for info in Store().benchmarks()}
    source = st.selectbox(
        "Data set", list(HUB_SOURCES), format_func=lambda name: f"{name}: {HUB_SOURCES[name].about}", key="pull-source"
    )
    chosen = HUB_SOURCES[source]
    licence = _LICENCE if chosen.licence == NONE_STATED else f"Licence: {chosen.licence}."
    st.caption(plain(f"From {chosen.repo} on huggingface.co. {licence} An interrupted download goes on where it was."))
    drop_chinese = chosen.without_chinese is not None and st.checkbox(
        "Leave out the Chinese tasks", key="pull-without-chinese", help="As CARROT's authors do: 16 tasks, 785 prompts."
    )
    replace = source in taken and st.checkbox(
        plain(f"{source} is here already: replace it and the routers fitted on it"), key="pull-replace"
    )
    blocked = source in taken and not replace
    if st.button(f"Pull {source}", icon=":material/download:", key="pull", disabled=blocked):
        bar = st.progress(0.0, "Asking the hub which files there are …")

        def arriving(done: int, total: int, name: str) -> None:
            share = min(done / total, 1.0) if total else 0.0
            bar.progress(share, plain(f"{name}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"))

        with errors_as_text():
            info = pull(Store(), source, replace=replace, drop_chinese=drop_chinese, progress=arriving)
            notes = "".join(f"\n{note}" for note in info.warnings)
            st.session_state[_DONE] = (
                f"Pulled {info.n_prompts:,} prompts x {info.n_models} models as {info.name!r}.{notes}"
            )
            st.rerun()
        bar.empty()
