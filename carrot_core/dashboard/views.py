"""The results a page shows, cached between reruns.

The cache key is the store or folder and its version, so a page never shows old results or those of another session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from carrot_core import modes
from carrot_core.benchmarks.model_facts_arms import NOTHING
from carrot_core.compare.model_shares_agreement import shares_exhibit
from carrot_core.dashboard import work
from carrot_core.dashboard.shell import errors_as_text, plain
from carrot_core.dashboard.stores import Version, cached_by_version, results_version, store_of
from carrot_core.embedding import Progress, load_embedded
from carrot_core.evaluation import Setting
from carrot_core.evaluation.runs import run_router
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import Grouping, Scene
from carrot_core.frontier import Frontier, ReadableCurve, rate_of_lam
from carrot_core.number_formats import CostBasis
from carrot_core.operating_point import Point, Solution
from carrot_core.outcomes import Estimates
from carrot_core.results import Names, Results, list_prices
from carrot_core.results.snapshot import read
from carrot_core.results.source import stored_results
from carrot_core.roles_audit import Role
from carrot_core.routers.base import NEED_NO_TEXTS
from carrot_core.routers.cascade import undominated, verified_cascades
from carrot_core.store import BenchmarkInfo, Run, Store
from carrot_core.store.browse import model_summary
from carrot_core.verdict import Verdict, verdict_on

FIT = "Fit CARROT-KNN"


@dataclass(frozen=True)
class View:
    """`Results` with a cache that is valid until the store or folder changes.

    Attributes
    ----------
    version : the store or snapshot folder of the results, with its version.
    name : name of the benchmark.
    has_prompts : True for a store, False for a snapshot's folder.
    part : the models and the tasks in it; all if empty.
    """

    version: Version
    name: str
    has_prompts: bool
    part: tuple[Names, Names] = ((), ())

    @property
    def can_filter(self) -> bool:
        return self.results.can_filter

    @property
    def fitted(self) -> Names:
        return self.results.fitted

    @property
    def runnable(self) -> Names:
        return self.results.runnable

    @property
    def baselines(self) -> Names:
        return self.results.baselines

    @property
    def models(self) -> Names:
        return self.results.models

    @property
    def tasks(self) -> Names:
        return self.results.tasks

    @property
    def cost_unit_usd(self) -> float:
        return self.results.cost_unit_usd

    @property
    def palette(self) -> Names:
        return self.results.palette

    @property
    def basis(self) -> CostBasis:
        return self.results.basis

    @property
    def results(self) -> Results:
        """The results behind the cache."""
        return _part(self) if any(self.part) else _results(self.version, self.name, self.has_prompts)

    def within(self, pool: Names = (), tasks: Names = ()) -> View:
        return replace(self, part=(pool, tasks))

    def best_single(self, pool: Names = (), tasks: Names = ()) -> str:
        return self.results.best_single(pool, tasks)

    def scene(
        self,
        routers: Names,
        active: str,
        pool: Names = (),
        tasks: Names = (),
        reference: str | None = None,
        verifier: tuple[float, float] | None = None,
        grouping: Grouping | None = None,
    ) -> Scene:
        """See `Results`; with cascades if a verifier's sensitivity and specificity are given."""
        return _scene(self, routers, active, pool, tasks, reference, verifier, grouping)

    def shares(self, *scene: Any) -> Exhibit:
        """Chart of the models' shares along the active curve of the `scene` of these arguments; each theme's is drawn
        once."""
        return _shares(self, *scene)

    def curve(self, router: str, split: str = "test", pool: Names = (), tasks: Names = ()) -> ReadableCurve:
        return self.results.curve(router, split, pool, tasks)

    def exact_curve(self, router: str, split: str, pool: Names = (), tasks: Names = ()) -> Frontier:
        return self.results.exact_curve(router, split, pool, tasks)

    def matching_point(self, router: str) -> Point | None:
        return _matching_point(self, router)

    def figures(self, router: str) -> Mapping[str, Any] | None:
        return self.results.figures(router)

    def point_at(
        self, router: str, rate: float, reference: str | None = None, pool: Names = (), tasks: Names = ()
    ) -> Point:
        return self.results.point_at(router, rate, reference, pool, tasks)

    def verdict(self, router: str, rate: float, reference: str = "", pool: Names = (), tasks: Names = ()) -> Verdict:
        """The verdict on a router's point, against the best single model by default."""
        return _verdict(self, router, rate, reference or self.best_single(pool, tasks), pool, tasks)

    def matchable(self, pool: Names = ()) -> Names:
        return self.results.matchable(pool)

    def match(self, router: str, model: str, pool: Names = (), tasks: Names = ()) -> Solution | None:
        return self.results.match(router, model, pool, tasks)

    def by_task(
        self, router: str, rate: float, reference: str | None = None, pool: Names = (), tasks: Names = ()
    ) -> tuple[pd.DataFrame, str]:
        return self.results.by_task(router, rate, reference, pool, tasks)

    def task_rate(self, router: str, rate: float) -> float:
        return self.results.task_rate(router, rate)

    def flips(self, router: str, before: float, after: float, pool: Names = (), tasks: Names = ()) -> pd.DataFrame:
        return self.results.flips(router, before, after, pool, tasks)

    def analysis(self, name: str, routers: Names) -> pd.DataFrame | None:
        return _analysis(self, name, routers)

    def spectra(self) -> pd.DataFrame | None:
        return _spectra(self)

    def seeds(self, routers: Names) -> tuple[int, ...]:
        return _seeds(self, routers)

    def comparison(self, routers: Names, seeds: tuple[int, ...]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
        return _comparison(self, routers, seeds)

    def narrowed(self, pool: Names = (), tasks: Names = ()) -> Setting:
        return self.results.narrowed(pool, tasks)

    def estimates(self, router: str, pool: Names = (), tasks: Names = ()) -> Mapping[str, Estimates]:
        return self.results.estimates(router, pool, tasks)

    def run(self, router: str) -> Run | None:
        return self.results.run(router)


def drawable(view: View) -> Names:
    """The routers that have a curve, those that can answer typed prompts here first: the first is the headline."""
    return tuple(dict.fromkeys([*view.runnable, *view.fitted]))


def view(info: BenchmarkInfo) -> View:
    """The results of a benchmark in their current version."""
    return View(results_version(info), info.name, info.has_prompts)


def latency_p95_s(view: View) -> dict[str, float]:
    """95th percentile of the seconds of each model's calls, for models with recorded latency; empty for a snapshot,
    whose pool is always whole."""
    table = _model_summary(view.version, view.name) if view.has_prompts else pd.DataFrame()
    if "latency_p95_s" not in table:
        return {}
    known = table[table["latency_p95_s"].notna()]
    return dict(zip(known["model"], known["latency_p95_s"].tolist(), strict=True))


def known_of_models(info: BenchmarkInfo) -> pd.DataFrame:
    """One row per model with its facts and prices and, for a store, the other columns of `model_summary`."""
    version, facts = results_version(info), info.facts_by_model
    if info.has_prompts:
        return _model_summary(version, info.name)
    table = pd.DataFrame([{"model": model} | asdict(facts.get(model, NOTHING)) for model in info.models])
    return table.merge(list_prices(Path(version.path)), on="model", how="left")


@st.cache_data(max_entries=32, show_spinner=False)
def _model_summary(version: Version, name: str) -> pd.DataFrame:
    return model_summary(Store(Path(version.path)), name)


def opening_rate(view: View, router: str, cost_unit_usd: float, pool: Names = (), tasks: Names = ()) -> float:
    """Exchange rate a page opens with, in score per dollar: that of the point that promises to match the best single
    model of the pool and tasks, else of the point most likely to, as in a serving router; without either in a
    snapshot, that of λ 0.5."""
    solution = view.match(router, view.best_single(pool, tasks), pool, tasks)
    return rate_of_lam(0.5, cost_unit_usd) if solution is None else solution.exchange_rate_per_usd


@cached_by_version(max_entries=8, show_spinner="Loading the benchmark and its fitted routers …")
def _results(version: Version, name: str, has_prompts: bool) -> Results:
    path = Path(version.path)
    return stored_results(Store(path), name) if has_prompts else read(path)


@cached_by_version(max_entries=8, show_spinner=False)
def _part(view: View) -> Results:
    return _results(view.version, view.name, view.has_prompts).within(*view.part)


@cached_by_version(max_entries=32, show_spinner=False)
def _scene(
    view: View,
    routers: Names,
    active: str,
    pool: Names,
    tasks: Names,
    reference: str | None,
    verifier: tuple[float, float] | None,
    grouping: Grouping | None,
) -> Scene:
    scene, able = view.results.scene(routers, active, pool, tasks, reference), {*view.runnable, *view.baselines}
    curves = [
        curve if curve.name in able else replace(curve, label=f"{curve.label} (research only)")
        for curve in scene.curves
    ]
    cascades = None
    if verifier is not None:
        cascades = undominated(verified_cascades(view.narrowed(pool, tasks).test.outcomes, *verifier))
    return replace(scene, curves=tuple(curves), cascades=cascades, verifier=verifier, grouping=grouping)


@cached_by_version(max_entries=32, show_spinner=False)
def _shares(view: View, *scene: Any) -> Exhibit:
    exhibit = shares_exhibit(_scene(view, *scene))
    assert exhibit.draw is not None
    return replace(exhibit, draw=cache(exhibit.draw))


@cached_by_version(max_entries=32, show_spinner=False)
def _matching_point(view: View, router: str) -> Point | None:
    return view.results.matching_point(router)


@cached_by_version(max_entries=64, show_spinner=False)
def _verdict(view: View, router: str, rate: float, reference: str, pool: Names, tasks: Names) -> Verdict:
    results = view.results
    return verdict_on(results, router, results.point_at(router, rate, reference, pool, tasks), reference, pool, tasks)


@work.cached(max_entries=32, show_spinner="Comparing routers …")
def _analysis(view: View, name: str, routers: Names) -> pd.DataFrame | None:
    return view.results.analysis(name, routers)


@cached_by_version(max_entries=8, show_spinner="Measuring the prompts' vectors …")
def _spectra(view: View) -> pd.DataFrame | None:
    return view.results.spectra()


@cached_by_version(max_entries=16, show_spinner=False)
def _seeds(view: View, routers: Names) -> tuple[int, ...]:
    return view.results.seeds(routers)


@work.cached(max_entries=8, show_spinner="Comparing routers …")
def _comparison(view: View, routers: Names, seeds: tuple[int, ...]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Fits nothing but baselines."""
    return view.results.comparison(routers, seeds)


def fit_button(info: BenchmarkInfo, besides: str = "") -> None:
    """Offer to fit CARROT-KNN on a benchmark without fitted routers; the page reruns when it is done.

    ``besides`` is a sentence on the content of the page meanwhile.
    """
    if not info.n_readable:
        st.info(f"{without_texts(info)} Choose another benchmark, or import one that has texts. {besides}".strip())
        return
    if not modes.may(Role.EDITOR):
        st.info(f"No router is fitted on {plain(info.name)}. {besides}".strip())
        return
    st.info(
        f"No router is fitted on {plain(info.name)} yet. CARROT-KNN is fitted in seconds once texts have vectors. "
        f"{besides}".strip()
    )
    if st.button(FIT, type="primary"):
        with errors_as_text():  # the rest of the page is shown below
            fit(info)
            st.rerun()


def without_texts(info: BenchmarkInfo) -> str:
    """Which routers cannot be fitted on prompts without texts, and which can; Markdown."""
    prompts = f"The prompts of {plain(info.name)} came without their texts"
    return f"{prompts}, so no router can learn from them. These need none: {NEED_NO_TEXTS}."


def fit(info: BenchmarkInfo) -> None:
    """Embed the prompts that have no vector yet and fit CARROT-KNN, with a progress bar."""
    store = store_of(info)
    with embedding_and_fitting() as (embedding, measuring):
        run_router(store, load_embedded(store, info.name, progress=embedding), progress=measuring)


@contextmanager
def embedding_and_fitting() -> Iterator[tuple[Progress, Progress]]:
    """A progress bar for work that embeds, then fits; gives the functions that show the progress of each."""
    with work.progress("Reading the prompts …", "fit:cancel") as show:

        def embedding(done: int, total: int) -> None:
            show(done / max(total, 1), f"Embedding prompts: {done:,} of {total:,}")

        def measuring(done: int, total: int) -> None:
            show(done / total, f"Fitting and measuring: step {done} of {total}")

        yield embedding, measuring
