"""A benchmark with its results: fitted in a store, or in a snapshot that ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import bootstrap_counts
from carrot_core.compare import ANALYSES
from carrot_core.embedding import BUNDLED
from carrot_core.errors import NotFoundError, StoreError
from carrot_core.evaluation import MEAN, Candidate, Setting, compare, make_setting
from carrot_core.evaluation.runs import newest_runs, runs_by_seed
from carrot_core.evaluation.solve import chosen_point
from carrot_core.evaluation.tables import by_task, flips, task_labels
from carrot_core.figures.scene import Scene, by_cost, compose
from carrot_core.frontier import Frontier
from carrot_core.number_formats import CostBasis, cost_basis
from carrot_core.operating_point import Point, Solution, match_model, operating_point, same_rate
from carrot_core.outcomes import Estimates
from carrot_core.paths import unit_of
from carrot_core.promise import CONFIDENCE
from carrot_core.results import Names, damaged_snapshots, shipped_snapshots
from carrot_core.results.snapshot import SnapshotResults, read
from carrot_core.routers import BASELINES, SERVABLE, SLOW_TO_FIT
from carrot_core.store import Run, Store
from carrot_core.theory.dimension import spectra_of

_CACHE_SIZE = 32  # settings and curves cached for each benchmark


@dataclass(frozen=True, eq=False)
class StoredResults:
    """A benchmark whose data are available, with the routers fitted on it.

    Attributes
    ----------
    name : of the benchmark.
    setting : the protocol.
    tables : estimates by split of every fitted router, by its name with parameters.
    runs : by the same names; empty if they were not stored.
    store : has vectors and runs of other seeds; None for a benchmark that is not stored.
    vectors : (n, d) of the prompts, if there is no store to read them from.
    is_part : whether it has only some models or tasks of the benchmark (`within`); it then has no stored figures, since
        these are of all of them.
    """

    name: str
    setting: Setting
    tables: Mapping[str, Mapping[str, Estimates]]
    runs: Mapping[str, Run] = field(default_factory=dict)
    store: Store | None = None
    vectors: npt.NDArray[np.float32] | None = None
    is_part: bool = False

    @property
    def has_prompts(self) -> bool:
        return True

    @property
    def can_filter(self) -> bool:
        return True

    @property
    def fitted(self) -> Names:
        return tuple(self.tables)

    @property
    def runnable(self) -> Names:
        able = [name for name in self.runs if name in SERVABLE and name not in (*SLOW_TO_FIT, *BASELINES)]
        return tuple(sorted(able, key=lambda name: -self.runs[name].metrics["validation"]["aiq"]))

    @property
    def baselines(self) -> Names:
        complete = self.setting.test.outcomes.complete.any()
        return tuple(name for name in BASELINES if complete or name != "oracle")

    @property
    def models(self) -> Names:
        return self.setting.models

    @property
    def tasks(self) -> Names:
        return tuple(sorted(set(self.setting.test.tasks) - {""}))

    @property
    def cost_unit_usd(self) -> float:
        return self.narrowed().cost_unit_usd

    @cached_property
    def palette(self) -> Names:
        singles = self.exact_curve("zero", "test")
        return by_cost(singles.models, singles.model_cost_usd)

    @property
    def basis(self) -> CostBasis:
        test = self.setting.test
        return cost_basis(self.exact_curve("zero", "test").model_cost_usd, unit_of(test.name, test.data_hash))

    def narrowed(self, pool: Names = (), tasks: Names = ()) -> Setting:
        return self._settings(pool, tasks) if pool or tasks else self.setting

    def within(self, pool: Names = (), tasks: Names = ()) -> StoredResults:
        if not (pool or tasks):
            return self
        setting = self.narrowed(pool, tasks)
        parts = {router: _within(setting, tables) for router, tables in self.tables.items()}
        tables = {router: part for router, part in parts.items() if part}
        runs = {router: run for router, run in self.runs.items() if router in tables}
        return replace(self, setting=setting, tables=tables, runs=runs, is_part=True)

    def estimates(self, router: str, pool: Names = (), tasks: Names = ()) -> Mapping[str, Estimates]:
        return self.tables[router] if router in self.tables else self.narrowed(pool, tasks).baseline(router)

    def run(self, router: str) -> Run | None:
        return self.runs.get(router)

    def best_single(self, pool: Names = (), tasks: Names = ()) -> str:
        return self.narrowed(pool, tasks).best_single

    def scene(
        self, routers: Names, active: str, pool: Names = (), tasks: Names = (), reference: str | None = None
    ) -> Scene:
        return compose(
            self.narrowed(pool, tasks),
            {name: self.tables[name] for name in routers if name not in BASELINES},
            title=self.name,
            active=active,
            reference=reference,
            baselines=[name for name in routers if name in BASELINES],
            palette=self.palette,
        )

    def curve(self, router: str, split: str = "test", pool: Names = (), tasks: Names = ()) -> Frontier:
        return self.exact_curve(router, split, pool, tasks)

    def exact_curve(self, router: str, split: str, pool: Names = (), tasks: Names = ()) -> Frontier:
        return self._curves(router, "validation" if split == "validation" else self.setting.report_on, pool, tasks)

    def matching_point(self, router: str) -> Point | None:
        solution = self.match(router, self.best_single())
        return self.point_at(router, solution.exchange_rate_per_usd) if solution.reached else None

    def figures(self, router: str) -> Mapping[str, Any] | None:
        return self.runs[router].metrics[self.setting.report_on] if router in self.runs and not self.is_part else None

    def point_at(
        self, router: str, rate: float, reference: str | None = None, pool: Names = (), tasks: Names = ()
    ) -> Point:
        setting, curve = self.narrowed(pool, tasks), self.exact_curve(router, "test", pool, tasks)
        against, counts = reference or setting.best_single, bootstrap_counts(curve.n_prompts)
        solution = self.match(router, against, pool, tasks)
        if not same_rate(rate, solution.exchange_rate_per_usd):
            return operating_point(curve, rate, against, setting.cost_unit_usd, counts)
        estimates = self.estimates(router, pool, tasks)
        return chosen_point(setting, estimates, lambda each: match_model(each, against, CONFIDENCE), against, counts)[1]

    def matchable(self, pool: Names = ()) -> Names:
        return pool or self.models

    def match(self, router: str, model: str, pool: Names = (), tasks: Names = ()) -> Solution:
        return match_model(self.exact_curve(router, "validation", pool, tasks), model, CONFIDENCE)

    def by_task(
        self, router: str, rate: float, reference: str | None = None, pool: Names = (), tasks: Names = ()
    ) -> tuple[pd.DataFrame, str]:
        setting, curve = self.narrowed(pool, tasks), self.exact_curve(router, "test", pool, tasks)
        against = reference or setting.best_single
        return by_task(curve, task_labels(setting, curve), rate, against), against

    def task_rate(self, router: str, rate: float) -> float:
        return rate

    def flips(self, router: str, before: float, after: float, pool: Names = (), tasks: Names = ()) -> pd.DataFrame:
        return flips(
            self.exact_curve(router, "test", pool, tasks), before, after, self.narrowed(pool, tasks).test.outcomes
        )

    def analysis(self, name: str, routers: Names) -> pd.DataFrame | None:
        return ANALYSES[name].make(self.setting, {router: self.estimates(router) for router in routers})

    def spectra(self) -> pd.DataFrame | None:
        vectors = self.vectors if self.store is None else self.store.load(self.name, encoder=BUNDLED).vectors
        return spectra_of(self.name, vectors)

    def seeds(self, routers: Names) -> tuple[int, ...]:
        """Seeds for which all of the routers have results, always including 0."""
        by_router = self._by_seed(tuple(name for name in routers if name not in BASELINES)).values()
        common = set.intersection(*(set(by_seed) for by_seed in by_router)) if by_router else set()
        return tuple(sorted(common | {0}))

    def comparison(self, routers: Names, seeds: tuple[int, ...]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        """Only baselines are fitted for it; a router without a run of a seed is represented by its newest run."""
        by_router = self._by_seed(routers)

        def tables(router: str, seed: int) -> Mapping[str, Estimates]:
            if router in BASELINES:
                return self.setting.baseline(router)
            run = by_router.get(router, {}).get(seed)
            if run is None or self.store is None:  # of other versions or with parameters, as on other pages
                return self.tables[router]
            tables = self.store.load_run(run.run_id).estimates or {}
            return _within(self.setting, tables) if self.is_part else tables

        candidates = {
            router: {seed: Candidate.of(self.setting, tables(router, seed)) for seed in seeds} for router in routers
        }
        comparison = compare(dict.fromkeys(seeds, self.setting), candidates)
        return comparison.figures, comparison.pairs, MEAN

    @cached_property
    def _settings(self) -> Callable[[Names, Names], Setting]:
        return lru_cache(_CACHE_SIZE)(lambda pool, tasks: self.setting.narrowed(pool or None, tasks or None))

    @cached_property
    def _curves(self) -> Callable[[str, str, Names, Names], Frontier]:
        return lru_cache(_CACHE_SIZE)(
            lambda router, split, pool, tasks: self.narrowed(pool, tasks).frontier(
                self.estimates(router, pool, tasks), split
            )
        )

    def _by_seed(self, routers: Names) -> Mapping[str, Mapping[int, Run]]:
        """Stored runs without parameters by router and seed."""
        if self.store is None:
            return {}
        return runs_by_seed(self.store, self.store.load(self.name), [router for router in routers if "(" not in router])


def _within(setting: Setting, estimates: Mapping[str, Estimates]) -> dict[str, Estimates]:
    """Estimates by split, reduced to the models and prompts of a setting; empty if they cannot be used on these.

    That is if all the router's models are left out, or one that a cascade calls, or if it has estimates of none of the
    prompts, as a router that needs every outcome.
    """
    tables = {}
    for split, table in setting.own(estimates).items():
        pool = [model for model in table.models if model in setting.models]
        if not pool or not table.prompt_ids or (table.cost_is_paid and len(pool) < len(table.models)):
            return {}
        tables[split] = table.pool(pool)
    return tables


def result_names(store: Store) -> list[str]:
    """Names of all benchmarks in a store, then of the snapshots that ship and are not in it."""
    stored = [info.name for info in store.benchmarks()]
    return [*stored, *(info.name for info in shipped_snapshots() if info.name not in stored)]


def stored_results(store: Store, name: str) -> StoredResults:
    """A benchmark of a store, without its vectors, and the newest run of every router fitted on its whole pool."""
    runs = {title: store.load_run(run.run_id) for title, run in newest_runs(store, name).items()}
    tables = {title: run.estimates or {} for title, run in runs.items()}
    return StoredResults(name, make_setting(store.load(name)), tables, runs, store)


def open_results(store: Store, name: str) -> StoredResults | SnapshotResults:
    """A benchmark of a store with the routers fitted on it; else the snapshot of that name.

    Raises
    ------
    NotFoundError
        There is neither.
    StoreError
        It is damaged.
    """
    if name in {info.name for info in store.benchmarks()}:
        return stored_results(store, name)
    folder = next((info.folder for info in shipped_snapshots() if info.name == name), None)
    if folder is None and (reason := {**damaged_snapshots(), **store.damaged()}.get(name)):
        raise StoreError(reason)
    if folder is None:
        raise NotFoundError(f"No benchmark {name!r}; there are {', '.join(result_names(store))}.")
    return read(folder)
