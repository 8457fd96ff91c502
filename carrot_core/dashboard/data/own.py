"""Benchmarks of the session: uploads that only it sees, to keep in the store or to remove."""

from __future__ import annotations

from collections.abc import Set
from itertools import chain, count
from pathlib import Path

import streamlit as st

from carrot_core.dashboard.exhibits import file_stem
from carrot_core.dashboard.shell import plain
from carrot_core.dashboard.stores import private_benchmarks, private_store
from carrot_core.paths import shipped_data
from carrot_core.store import Store
from carrot_core.store.migration import copy_benchmark

NOTICE = "upload:done"


def free_name(path: Path) -> str:
    """A name for the benchmark of a file that no other of the session has, and none that ships."""
    stem = file_stem(path.name.split(".")[0]) or "results"
    return _free(stem, {*shipped_data(), *(info.name for info in private_benchmarks())})


def own_benchmarks() -> None:
    """The session's uploads, each to keep in the store or to remove."""
    own = private_benchmarks()
    names = {info.name for info in Store().benchmarks()} if own else set()
    for info in own:
        with st.container(border=True):
            st.markdown(
                f"**{plain(info.name)}**  \n{info.n_prompts:,} prompts x {info.n_models} models. Only you see it."
            )
            name = _name_in_store(info.name, names) if info.name in names else info.name
            with st.container(horizontal=True):
                keep = st.button(
                    "Keep it in the store", key=f"keep:{info.name}", help="Everybody who opens it sees it."
                )
                drop = st.button("Remove", key=f"drop:{info.name}")
        if keep:
            copy_benchmark(private_store(), info.name, Store(), name)
            private_store().remove_benchmark(info.name)
            st.session_state[NOTICE] = f"{name!r} is in the store now, for everybody who opens the dashboard."
            st.rerun()
        if drop:
            private_store().remove_benchmark(info.name)
            st.rerun()


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
