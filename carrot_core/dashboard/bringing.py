"""Benchmarks that are fetched from the Hugging Face hub at the user's request."""

from __future__ import annotations

import streamlit as st

from carrot_core.benchmarks.hub_sources import HUB_SOURCES
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.store import Store
from carrot_core.workbench import pull

_DONE = "pull:done"


def pull_panel() -> None:
    """Choose a data set of the hub and fetch it into the shared store, with progress file by file."""
    if done := st.session_state.pop(_DONE, None):
        st.success(plain(done), icon=":material/check:")
    source = st.selectbox(
        "Data set", list(HUB_SOURCES), format_func=lambda name: f"{name}: {HUB_SOURCES[name].about}", key="pull-source"
    )
    chosen = HUB_SOURCES[source]
    licence = (
        f"Licence: {chosen.licence}."
        if chosen.licence
        else "It states no licence: its rows stay with you, do not pass them on."
    )
    st.caption(plain(f"From {chosen.repo} on huggingface.co. {licence} An interrupted download goes on where it was."))
    if st.button(f"Pull {source}", icon=":material/download:", key="pull"):
        bar = st.progress(0.0, "Asking the hub which files there are …")

        def arriving(done: int, total: int, name: str) -> None:
            share = min(done / total, 1.0) if total else 0.0
            bar.progress(share, plain(f"{name}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"))

        with errors_as_text():
            info = pull(Store(), source, progress=arriving)
            st.session_state[_DONE] = f"Pulled {info.n_prompts:,} prompts x {info.n_models} models as {info.name!r}."
            st.rerun()
        bar.empty()
