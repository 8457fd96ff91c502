"""What pages show, loaded once; keyed by the store and its version, so never stale nor another session's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from carrot_core.benchmarks.simulated import NAME as SIMULATED
from carrot_core.dashboard.stores import Version, version_of
from carrot_core.evaluation import Setting, setting
from carrot_core.figures.compose import compose
from carrot_core.figures.scene import Scene
from carrot_core.frontier import Frontier
from carrot_core.operating_point import Point, cheapest_reaching, operating_point
from carrot_core.outcomes import Estimates
from carrot_core.routers import BASELINES
from carrot_core.store import BenchmarkInfo, Run, Store
from carrot_core.uncertainty import bootstrap_weights


def version(info: BenchmarkInfo) -> Version:
    """Identity of what the benchmark's store holds: another one after every import or fit, by whoever."""
    return version_of(info)


def default_benchmark(benchmarks: Sequence[BenchmarkInfo]) -> str:
    """The benchmark a page opens on: one of the user's own before the simulated one."""
    return next((info.name for info in benchmarks if info.name != SIMULATED), benchmarks[0].name)


@st.cache_resource(max_entries=4, show_spinner="Loading the benchmark …")
def protocol(version: Version, name: str) -> Setting:
    """A benchmark with its splits; pages need no vectors."""
    return setting(Store(Path(version.path)).load(name))


@st.cache_resource(max_entries=8, show_spinner="Loading fitted routers …")
def runs(version: Version, name: str) -> Mapping[str, Run]:
    """Newest run of every router fitted on the whole pool of a benchmark, by name with its parameters."""
    store, found = Store(Path(version.path)), dict[str, Run]()
    for run in store.runs(name):
        if run.fit_on is None and not run.pool and run.router not in BASELINES:
            found.setdefault(_run_name(run), run)
    return {title: store.load_run(run.run_id) for title, run in sorted(found.items())}


def _run_name(run: Run) -> str:
    given = ", ".join(f"{key}={value}" for key, value in sorted(run.params.items()))
    return run.router + (f" ({given})" if given else "")


@st.cache_resource(max_entries=32, show_spinner=False)
def narrowed(version: Version, name: str, pool: tuple[str, ...], tasks: tuple[str, ...]) -> Setting:
    """The protocol on some of the models and tasks; empty means all."""
    return protocol(version, name).narrowed(pool or None, tasks or None)


def estimates_of(version: Version, name: str, router: str) -> Mapping[str, Estimates]:
    """Estimates by split of a fitted router or a baseline."""
    fitted = runs(version, name)
    return fitted[router].estimates or {} if router in fitted else protocol(version, name).baselines[router]


@st.cache_resource(max_entries=32, show_spinner=False)
def scene(
    version: Version,
    name: str,
    routers: tuple[str, ...],
    active: str,
    pool: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    reference: str | None = None,
) -> Scene:
    """One chart of some routers and baselines by name."""
    return compose(
        narrowed(version, name, pool, tasks),
        {router: estimates_of(version, name, router) for router in routers if router not in BASELINES},
        title=name,
        active=active,
        reference=reference,
        baselines=[router for router in routers if router in BASELINES],
    )


@st.cache_resource(max_entries=32, show_spinner=False)
def validation_frontier(
    version: Version, name: str, router: str, pool: tuple[str, ...] = (), tasks: tuple[str, ...] = ()
) -> Frontier:
    """The curve that λ is chosen on."""
    return narrowed(version, name, pool, tasks).frontier(estimates_of(version, name, router), "validation")


def opening_lam(version: Version, name: str, router: str) -> float:
    """λ a page opens at: as good as the best single model, as cheap as possible; 0.5 where that is out of reach."""
    point = matching_point(version, name, router)
    return 0.5 if point is None else point.lam


def task_labels(made: Setting, frontier: Frontier) -> list[str]:
    """Task of every prompt of a frontier."""
    labels = dict(zip(made.test.prompt_ids, made.test.tasks, strict=True))
    return [labels[prompt_id] for prompt_id in frontier.outcomes.prompt_ids]


@st.cache_resource(max_entries=32, show_spinner=False)
def matching_point(version: Version, name: str, router: str) -> Point | None:
    """The cheapest point that is as good as the best single model on validation, as it does on test."""
    made = protocol(version, name)
    chosen = made.frontier(estimates_of(version, name, router), "validation")
    column = made.models.index(made.best_single)
    rate = cheapest_reaching(chosen, float(chosen.outcomes.score[:, column].mean()))
    if rate is None:
        return None
    shown = made.frontier(estimates_of(version, name, router), "test")
    weights = bootstrap_weights(shown.n_prompts)
    return operating_point(shown, rate, made.best_single, made.cost_unit_usd, weights)
