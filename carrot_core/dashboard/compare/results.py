"""Results for the Compare page: standings on other benchmarks, studies, and fitting more routers and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from carrot_core.compare.losses import distances
from carrot_core.compare.ranking import standing
from carrot_core.compare.studies import ROUTER, STUDIES
from carrot_core.dashboard import views
from carrot_core.dashboard.shell import plain
from carrot_core.dashboard.stores import store_of
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.evaluation.runs import ALL, compare_routers, settings_of
from carrot_core.figures.scene import label
from carrot_core.results.snapshot import Names
from carrot_core.routers import BASELINES
from carrot_core.store import BenchmarkInfo, Store
from carrot_core.text import visible

MOST_SEEDS = 5  # most seeds a page fits; more may be stored
_SKIPPED = "compare:skipped"


def standings_elsewhere(others: Mapping[str, BenchmarkInfo], routers: Names, metric: str) -> dict[str, pd.DataFrame]:
    """`carrot_core.compare.ranking.standing` by one metric on other benchmarks, by label.

    A benchmark on which none of the routers is fitted is left out, and the page says so.
    """
    tables = {}
    for title, info in others.items():
        view = views.view(info)
        there = tuple(name for name in routers if name in (*view.fitted, *BASELINES))
        if not there:
            name = plain(visible(title))
            st.info(f"None of the routers shown is fitted on {name}: fit one there, or add a baseline.")
            continue
        figures, pairs, _ = view.comparison(there, (0,))
        tables[title] = standing(figures, pairs, there, [metric])
    return tables


def fit_panel(info: BenchmarkInfo, fitted: Sequence[str], seeds: Sequence[int]) -> None:
    """Offer to fit all routers on some seeds. Every fit is stored at once, so a second press continues the work."""
    skipped: Mapping[str, str] = st.session_state.pop(_SKIPPED, {})
    for name, why in skipped.items():
        st.warning(plain(f"{label(name)} could not run. {why}"))
    with st.expander("Fit more routers and seeds", expanded=len(fitted) < 2):
        st.write(
            f"Fitted: {plain(', '.join(map(label, fitted)) or 'none')}. Baselines are always there. All other routers "
            "that need no download can be fitted here, which takes minutes to hours. Every fit is stored at once, and "
            "pressing again continues where it stopped."
        )
        n_seeds = st.number_input("Seeds to fit", 1, MOST_SEEDS, min(max(1, len(seeds)), MOST_SEEDS), key="fit_seeds")
        if st.button("Fit all routers", key="fit_all"):
            st.session_state[_SKIPPED] = _fit(info, int(n_seeds))
            st.rerun()


def _fit(info: BenchmarkInfo, seeds: int) -> Mapping[str, str]:
    bar, store = st.progress(0.0, "Reading the prompts …"), store_of(info)

    def embedding(done: int, total: int) -> None:
        bar.progress(done / max(total, 1), f"Embedding prompts: {done:,} of {total:,}")

    def measuring(done: int, total: int) -> None:
        bar.progress(done / total, f"Fitting and measuring: step {done} of {total}")

    bench = load_embedded(store, info.name, progress=embedding)
    return compare_routers(store, bench, (ALL,), range(seeds), progress=measuring).skipped


@st.cache_resource(max_entries=16, show_spinner=False)
def _studies(path: str, name: str, data_hash: str) -> dict[str, pd.DataFrame]:
    """Tables of studies by name, of one version of a benchmark; `study` fills it."""
    return {}


def study(info: BenchmarkInfo, view: views.View, name: str, what: str) -> pd.DataFrame | None:
    """A table of `carrot_core.compare.studies`; None if there is none yet, with a message and a button to make it."""
    if not view.has_prompts:
        table = view.analysis(name, (ROUTER,))
        if table is None or table.empty:
            st.info(f"This snapshot has no {what}.")
            return None
        return table
    tables = _studies(str(store_of(info).path), info.name, info.data_hash)
    if name not in tables:
        st.info(f"The {what} of {label(ROUTER)} is made by fitting it again several times: seconds to a few minutes.")
        if not st.button(f"Make the {what}", key=f"study:{name}", type="primary"):
            return None
        tables[name] = _make_study(info, name)
    if tables[name].empty:
        st.info("All prompts are of one task, so none can be left out.")
        return None
    return tables[name]


def _make_study(info: BenchmarkInfo, name: str) -> pd.DataFrame:
    bar, store = st.progress(0.0, "Reading the prompts …"), store_of(info)

    def fitting(done: int, total: int) -> None:
        bar.progress(done / total, f"Fitting: {done} of {total}")

    settings = settings_of(store, load_embedded(store, info.name), range(STUDIES[name].seeds))
    table = STUDIES[name].make(settings, ROUTER, fitting)
    bar.empty()
    return table


@st.cache_resource(max_entries=32, show_spinner="Looking for similar training prompts …")
def nearby(view: views.View, prompt_ids: Names) -> pd.DataFrame:
    """`carrot_core.compare.losses.distances` of some prompts; NaN if the benchmark has no vectors."""
    return distances(Store(Path(view.version.path)).load(view.name, encoder=BUNDLED), prompt_ids)
