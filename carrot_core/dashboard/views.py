"""What pages show of one benchmark, computed from its data or read from a snapshot of its results.

Everything is loaded once; keyed by the store and its version, so never stale nor another session's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd
import streamlit as st

from carrot_core.benchmarks.simulated import NAME as SIMULATED
from carrot_core.bootstrap import bootstrap_weights
from carrot_core.compare import ANALYSES
from carrot_core.dashboard.stores import Version, snapshot_version, version_of
from carrot_core.embedding import BUNDLED
from carrot_core.evaluation import Setting, make_setting
from carrot_core.evaluation.breakdown import by_task, flips, task_labels
from carrot_core.evaluation.runs import newest_runs
from carrot_core.figures.scene import Scene, compose
from carrot_core.frontier import Frontier, ReadableCurve
from carrot_core.operating_point import Point, cheapest_reaching, operating_point
from carrot_core.outcomes import Estimates
from carrot_core.results.snapshot import Snapshot, SnapshotInfo, read
from carrot_core.results.source import spectra_of
from carrot_core.routers import BASELINES
from carrot_core.store import BenchmarkInfo, Run, Store

SNAPSHOT_FIRST = "mmlu-pro-cot"  # what a page opens on where nothing of one's own is loaded
Names = tuple[str, ...]


class View(Protocol):
    """One benchmark as a page sees it.

    Attributes
    ----------
    fitted : names of the routers with results, learned ones first; baselines are drawn beside them.
    models, tasks : the whole pool, and all task labels.
    """

    @property
    def fitted(self) -> Names: ...
    @property
    def models(self) -> Names: ...
    @property
    def tasks(self) -> Names: ...

    def best_single(self, pool: Names = (), tasks: Names = ()) -> str:
        """Best single model on validation; an empty pool or choice of tasks is all of them."""
        ...

    def scene(
        self, routers: Names, active: str, pool: Names = (), tasks: Names = (), reference: str | None = None
    ) -> Scene:
        """One chart of some routers and baselines by name."""
        ...

    def chosen_on(self, router: str, pool: Names = (), tasks: Names = ()) -> ReadableCurve:
        """The curve on validation, where λ is chosen."""
        ...

    def matching_point(self, router: str) -> Point | None:
        """The cheapest point as good as the best single model on validation, as it does on test."""
        ...

    def by_task(self, scene: Scene, rate: float, pool: Names = (), tasks: Names = ()) -> tuple[pd.DataFrame, str]:
        """Slices of the active curve by task (see `breakdown.by_task`), and the model they are compared to."""
        ...

    def analysis(self, name: str, routers: Names) -> pd.DataFrame | None:
        """A table of `carrot_core.compare` for some routers and baselines; None where a snapshot has none."""
        ...

    def spectra(self) -> pd.DataFrame | None:
        """Spectra of the prompts' vectors; None where there are none."""
        ...


def view(info: BenchmarkInfo) -> View:
    """The view of a listed benchmark, whether its data are here or a snapshot only."""
    if isinstance(info, SnapshotInfo):
        version = snapshot_version(info)
        return SnapshotView(version, _snapshot(version))
    return StoredView(version_of(info), info.name)


def default_benchmark(benchmarks: Sequence[BenchmarkInfo]) -> BenchmarkInfo:
    """The benchmark a page opens on: one of the user's own, else a snapshot of real results, else the simulated."""

    def rank(info: BenchmarkInfo) -> tuple[bool, bool, bool]:
        snapshot = isinstance(info, SnapshotInfo)
        return info.name == SIMULATED, snapshot, snapshot and info.name != SNAPSHOT_FIRST

    return min(benchmarks, key=rank)


def opening_lam(seen: View, router: str) -> float:
    """λ a page opens at: as good as the best single model, as cheap as possible; 0.5 where that is out of reach."""
    point = seen.matching_point(router)
    return 0.5 if point is None else point.lam


@dataclass(frozen=True)
class StoredView:
    """A benchmark whose data are in a store."""

    version: Version
    name: str

    @property
    def made(self) -> Setting:
        return protocol(self.version, self.name)

    @property
    def fitted(self) -> Names:
        return tuple(runs(self.version, self.name))

    @property
    def models(self) -> Names:
        return self.made.models

    @property
    def tasks(self) -> Names:
        return tuple(sorted(set(self.made.test.tasks) - {""}))

    def best_single(self, pool: Names = (), tasks: Names = ()) -> str:
        return narrowed(self.version, self.name, pool, tasks).best_single

    def scene(
        self, routers: Names, active: str, pool: Names = (), tasks: Names = (), reference: str | None = None
    ) -> Scene:
        return _scene(self.version, self.name, routers, active, pool, tasks, reference)

    def chosen_on(self, router: str, pool: Names = (), tasks: Names = ()) -> Frontier:
        return _validation_frontier(self.version, self.name, router, pool, tasks)

    def matching_point(self, router: str) -> Point | None:
        return _matching_point(self.version, self.name, router)

    def by_task(self, scene: Scene, rate: float, pool: Names = (), tasks: Names = ()) -> tuple[pd.DataFrame, str]:
        frontier = self._frontier(scene)
        labels = task_labels(narrowed(self.version, self.name, pool, tasks), frontier)
        return by_task(frontier, labels, rate, scene.reference), scene.reference

    def flips(self, scene: Scene, before: float, after: float) -> pd.DataFrame:
        """Prompts of the active curve that get another model between two rates."""
        return flips(self._frontier(scene), before, after)

    def analysis(self, name: str, routers: Names) -> pd.DataFrame | None:
        return _analysis(self.version, self.name, name, routers)

    def spectra(self) -> pd.DataFrame | None:
        return _spectra(self.version, self.name)

    def _frontier(self, scene: Scene) -> Frontier:
        frontier = scene.active_curve.frontier
        assert isinstance(frontier, Frontier)  # `compose` made it
        return frontier


@dataclass(frozen=True)
class SnapshotView:
    """A benchmark of which only results are here: the whole pool, all tasks, no prompt by prompt."""

    version: Version
    snapshot: Snapshot = field(compare=False)

    @property
    def fitted(self) -> Names:
        return self.snapshot.fitted

    @property
    def models(self) -> Names:
        return self.snapshot.models

    @property
    def tasks(self) -> Names:
        return tuple(self.snapshot.document["tasks"])

    def best_single(self, pool: Names = (), tasks: Names = ()) -> str:
        return self.snapshot.best_single

    def scene(
        self, routers: Names, active: str, pool: Names = (), tasks: Names = (), reference: str | None = None
    ) -> Scene:
        return _kept_scene(self.version, routers, active, reference)

    def chosen_on(self, router: str, pool: Names = (), tasks: Names = ()) -> ReadableCurve:
        return self.snapshot.curve(router, "validation")

    def matching_point(self, router: str) -> Point | None:
        return self.snapshot.matching_point(router)

    def by_task(self, scene: Scene, rate: float, pool: Names = (), tasks: Names = ()) -> tuple[pd.DataFrame, str]:
        return self.snapshot.by_task(scene.active, rate), self.snapshot.best_single

    def task_rate(self, router: str, rate: float) -> float:
        """The rate that `by_task` is of, in place of the one asked for."""
        return self.snapshot.task_rate(router, rate)

    def analysis(self, name: str, routers: Names) -> pd.DataFrame | None:
        return self.snapshot.analysis(name, routers)

    def spectra(self) -> pd.DataFrame | None:
        return self.snapshot.spectra()


@st.cache_resource(max_entries=8, show_spinner=False)
def _snapshot(version: Version) -> Snapshot:
    return read(Path(version.path))


@st.cache_resource(max_entries=16, show_spinner=False)
def _kept_scene(version: Version, routers: Names, active: str, reference: str | None) -> Scene:
    return _snapshot(version).scene(routers, active, reference)


@st.cache_resource(max_entries=4, show_spinner="Loading the benchmark …")
def protocol(version: Version, name: str) -> Setting:
    """A benchmark with its splits; pages need no vectors."""
    return make_setting(Store(Path(version.path)).load(name))


@st.cache_resource(max_entries=8, show_spinner="Loading fitted routers …")
def runs(version: Version, name: str) -> Mapping[str, Run]:
    """Newest run of every router fitted on the whole pool of a benchmark, by name with its parameters."""
    store = Store(Path(version.path))
    return {title: store.load_run(run.run_id) for title, run in newest_runs(store, name).items()}


@st.cache_resource(max_entries=32, show_spinner=False)
def narrowed(version: Version, name: str, pool: Names, tasks: Names) -> Setting:
    """The protocol on some of the models and tasks; empty means all."""
    made = protocol(version, name)
    return made.narrowed(pool or None, tasks or None) if pool or tasks else made


def estimates_of(
    version: Version, name: str, router: str, pool: Names = (), tasks: Names = ()
) -> Mapping[str, Estimates]:
    """Estimates by split of a fitted router, or of a baseline on some of the models and tasks."""
    fitted = runs(version, name)
    if router in fitted:
        return fitted[router].estimates or {}
    return narrowed(version, name, pool, tasks).baselines[router]


@st.cache_resource(max_entries=32, show_spinner=False)
def _scene(
    version: Version, name: str, routers: Names, active: str, pool: Names, tasks: Names, reference: str | None
) -> Scene:
    return compose(
        narrowed(version, name, pool, tasks),
        {router: estimates_of(version, name, router) for router in routers if router not in BASELINES},
        title=name,
        active=active,
        reference=reference,
        baselines=[router for router in routers if router in BASELINES],
    )


@st.cache_resource(max_entries=32, show_spinner="Comparing routers …")
def _analysis(version: Version, name: str, analysis: str, routers: Names) -> pd.DataFrame:
    estimates = {router: estimates_of(version, name, router) for router in routers}
    return ANALYSES[analysis].make(protocol(version, name), estimates)


@st.cache_resource(max_entries=8, show_spinner="Measuring the prompts' vectors …")
def _spectra(version: Version, name: str) -> pd.DataFrame | None:
    return spectra_of(name, Store(Path(version.path)).load(name, encoder=BUNDLED).vectors)


@st.cache_resource(max_entries=32, show_spinner=False)
def _validation_frontier(version: Version, name: str, router: str, pool: Names, tasks: Names) -> Frontier:
    estimates = estimates_of(version, name, router, pool, tasks)
    return narrowed(version, name, pool, tasks).frontier(estimates, "validation")


@st.cache_resource(max_entries=32, show_spinner=False)
def _matching_point(version: Version, name: str, router: str) -> Point | None:
    made = protocol(version, name)
    chosen = made.frontier(estimates_of(version, name, router), "validation")
    column = made.models.index(made.best_single)
    rate = cheapest_reaching(chosen, float(chosen.outcomes.score[:, column].mean()))
    if rate is None:
        return None
    shown = made.frontier(estimates_of(version, name, router), "test")
    weights = bootstrap_weights(shown.n_prompts)
    return operating_point(shown, rate, made.best_single, made.cost_unit_usd, weights)
