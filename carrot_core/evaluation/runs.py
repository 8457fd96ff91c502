"""Runs of one or several routers, on one or several seeds, on a stored benchmark; each is stored once measured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.benchmarks.split import FOLDS, folds_of
from carrot_core.embedding import embed
from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.evaluation import (
    Candidate,
    Comparison,
    Setting,
    compare,
    counter,
    data_hash,
    embed_latency,
    evaluate,
    latency_table,
    setting_for,
    timed_prompts,
    versions,
)
from carrot_core.evaluation.evaluate import router_bytes
from carrot_core.modes import is_own, may
from carrot_core.outcomes import SPLITS, Benchmark, Estimates
from carrot_core.roles_audit import Role
from carrot_core.routers import BASELINES, BY_NAME_ONLY, ROUTERS, Router
from carrot_core.routers.saving import router_from_bytes
from carrot_core.store import Run, Store, run_id

ALL = "all"
Progress = Callable[[int, int], None]
_log = logging.getLogger(__name__)


def compare_routers(
    store: Store,
    bench: Benchmark,
    routers: Sequence[str] = (ALL,),
    seeds: Sequence[int] = (0,),
    *,
    params: Mapping[str, Any] | None = None,
    fit_on: Benchmark | None = None,
    pool: Sequence[str] = (),
    n_folds: int | None = None,
    again: bool = False,
    replicates: int = 1000,
    progress: Progress | None = None,
) -> Comparison:
    """Fit routers and compare them; stored runs are used again.

    If the source has no split, they are cross-fitted (`carrot_core.evaluation.protocol`): figures rest on all prompts.

    Parameters
    ----------
    store : where the run of every router is stored as soon as it is measured.
    bench : prompts with vectors, as stored.
    routers : names; "all" is every router that needs neither a network nor hours.
    seeds : of the routers, whole numbers from 0; there is also the mean over them of every figure.
    params : of the router; only with a single router.
    fit_on : learn from all of this benchmark instead and report on all prompts of ``bench``.
    pool : models to choose from; empty = all of the benchmark.
    n_folds : cross-fit in as many folds; None = `carrot_core.evaluation.protocol.folds_of`.
    again : fit even if a run is stored. replicates : bootstrap replicates behind every interval.
    progress : called with (steps done, steps in all): one step for each router, and one for each seed's comparison.

    Returns
    -------
    The comparison; routers that could not run are in ``skipped`` with the reason.

    Raises
    ------
    NotFoundError
        No router of that name.
    CarrotError
        No seed or router is given, the benchmark has no prompts to report on, or none of the routers could run.
    """
    names = routers_of(routers)
    if not seeds or min(seeds) < 0:
        raise CarrotError("Give at least one seed; a seed is a whole number from 0.")
    setting = setting_for(bench, fit_on, pool, n_folds)
    setting.cost_unit_usd  # noqa: B018  raises where nothing can be measured, before hours of fitting
    reusable = {} if again else stored_runs(store, bench, fit_on)
    step = counter(progress, (len(names) + 1) * len(seeds))
    runs: dict[str, dict[int, Run]] = {name: {} for name in names}
    skipped: dict[str, str] = {}
    for seed in seeds:
        for name in names:
            if name in runs:
                trial = Trial(bench, name, seed, params or {}, fit_on, tuple(pool), n_folds)
                try:
                    run = reusable.get(trial.run_id) or _fit(store, trial, setting=setting)
                    runs[name][seed] = replace(run, estimates=None, router_json=None, router_safetensors=None)
                except (CarrotError, ImportError) as error:
                    skipped[name] = str(error)
                    del runs[name]
            step()
    if not runs:
        raise CarrotError(f"None of the routers could run. {' '.join(f'{n}: {why}' for n, why in skipped.items())}")
    candidates = {
        name: {seed: Candidate.of_run(setting, store.load_run(run.run_id)) for seed, run in by_seed.items()}
        for name, by_seed in runs.items()
    }
    every = dict.fromkeys(seeds, setting)
    result = compare(every, candidates, replicates=replicates, progress=lambda done, total: step())
    return replace(
        result,
        latency=_latency(bench, setting, {name: by_seed[seeds[0]] for name, by_seed in runs.items()}),
        fit_on=None if fit_on is None else fit_on.name,
        skipped=skipped,
        versions=versions(),
        data_hash=data_hash(bench, fit_on),
    )


@dataclass(frozen=True, eq=False)
class Trial:
    """One router to fit and measure in one run; parameters are those of `evaluate`."""

    bench: Benchmark
    router: str
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    fit_on: Benchmark | None = None
    pool: tuple[str, ...] = ()
    n_folds: int | None = None

    @property
    def run_id(self) -> str:
        """Id of its run."""
        fit_on = None if self.fit_on is None else self.fit_on.name
        n_folds = folds_of(self.bench, self.fit_on, self.n_folds)
        return run_id(self.bench.name, self.router, self.params, self.seed, fit_on, self.pool, n_folds)

    @property
    def setting(self) -> Setting:
        """The protocol it is fitted and measured by."""
        return setting_for(self.bench, self.fit_on, self.pool, self.n_folds)


def stored_runs(store: Store, bench: Benchmark, fit_on: Benchmark | None = None) -> dict[str, Run]:
    """Stored runs that a fit on exactly these data with these versions would repeat; by id, without tables.

    This is the one rule by which a stored run replaces a fit; `stored_run` applies it to a single trial.
    """
    rests_on = data_hash(bench, fit_on), versions()
    return {
        run.run_id: run
        for run in store.runs(bench.name)
        if (run.data_hash, dict(run.versions)) == rests_on and "latency" in run.metrics and _is_whole(run)
    }


def _is_whole(run: Run) -> bool:
    """Whether a run has all that its figures need: older ones may lack the choices, if they learned from another
    benchmark, or the donors of gaps."""
    figures = run.metrics[run.metrics["report_on"]]
    return (run.fit_on is None or "chosen_hull" in figures) and (
        not figures.get("n_incomplete") or "oracle_least" in figures
    )


def stored_run(store: Store, trial: Trial) -> Run | None:
    """The stored run of a trial, with its tables and any stored fitted router; None if there is no run."""
    if trial.run_id not in stored_runs(store, trial.bench, trial.fit_on):
        return None
    return store.load_run(trial.run_id, router=True)


def with_router(store: Store, trial: Trial, run: Run) -> Run:
    """The run with its fitted router, which is fitted and stored with it on first use.

    Cross-fitting measures a router without fitting the one that serves, and older versions stored none. If the store
    cannot be written, it is fitted each time.
    """
    if run.router_json is not None:
        return run
    document, numbers = router_bytes(*trial.setting.fits(trial.router, trial.seed, trial.params))
    run = replace(run, router_json=document, router_safetensors=numbers)
    if document is not None and (may(Role.EDITOR) or is_own(store.path)):
        try:
            store.save_run(run)
        except StoreError as error:  # a read-only store
            _log.warning("The router %s on %r is fitted again each time: %s", run.router, run.benchmark, error)
    return run


def _fit(store: Store, trial: Trial, **how: Any) -> Run:
    """Fit and store a new run; ``how`` are other parameters of `evaluate`."""
    run = evaluate(
        trial.bench,
        trial.router,
        seed=trial.seed,
        params=trial.params,
        fit_on=trial.fit_on,
        pool=trial.pool,
        n_folds=trial.n_folds,
        **how,
    )
    store.save_run(run)
    return run


def runs_by_seed(store: Store, bench: Benchmark, routers: Sequence[str]) -> dict[str, dict[int, Run]]:
    """Stored runs on the whole pool that `compare_routers` would use again, by router and seed; without tables."""
    runs = stored_runs(store, bench)
    return {name: _by_seed(runs, Trial(bench, name)) for name in routers}


def _by_seed(runs: Mapping[str, Run], trial: Trial) -> dict[int, Run]:
    """The runs of this trial on any seed."""
    ids = {seed: replace(trial, seed=seed).run_id for seed in sorted({run.seed for run in runs.values()})}
    return {seed: runs[identity] for seed, identity in ids.items() if identity in runs}


def routers_of(names: Sequence[str]) -> list[str]:
    """Names of routers, each once; "all" stands for all except those that run only by name."""
    every = [name for name in ROUTERS if name not in BY_NAME_ONLY]
    unique = dict.fromkeys(name for entry in names for name in (every if entry == ALL else [entry]))
    if not unique:
        raise CarrotError("Name at least one router.")
    unknown = [name for name in unique if name not in ROUTERS]
    if unknown:
        raise NotFoundError(f"No router {unknown[0]!r}; there are {', '.join(ROUTERS)}.")
    return list(unique)


def _latency(bench: Benchmark, setting: Setting, runs: Mapping[str, Run]) -> pd.DataFrame:
    latencies = {name: run.metrics["latency"] for name, run in runs.items()}
    embed_s: list[float] = []
    if bench.encoder is not None and any(steps["reads_vectors"] for steps in latencies.values()):
        prompts = timed_prompts(setting.test)
        embed_s = embed_latency(prompts, partial(embed, encoder=bench.encoder))
    return latency_table(latencies, embed_s)


def run_router(
    store: Store,
    bench: Benchmark,
    router: str = "carrot-knn",
    *,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    fit_on: Benchmark | None = None,
    pool: Sequence[str] = (),
    n_folds: int | None = None,
    again: bool = False,
    progress: Progress | None = None,
) -> Run:
    """The stored run of this router on exactly these data and versions; fitted and stored if there is none.

    Parameters are those of `carrot_core.evaluation.evaluate`; ``again`` fits even if a run is stored.
    """
    trial = Trial(bench, router, seed, params or {}, fit_on, tuple(pool), n_folds)
    run = None if again else stored_run(store, trial)
    return run or _fit(store, trial, progress=progress)


def fitted_router(store: Store, trial: Trial) -> tuple[Router, Mapping[str, Estimates], Setting]:
    """A router with its estimates by split and its protocol: from the stored run, else fitted now and not stored.

    The router is the one that serves: in cross-fitting it is fitted on all prompts, while the estimates are the
    rounds'.
    """
    setting, run = trial.setting, stored_run(store, trial)
    if run is None:
        return *setting.fit(trial.router, trial.seed, trial.params), setting
    return _fits(with_router(store, trial, run), setting)[0], tables_of(run, setting), setting


def _fits(run: Run, setting: Setting) -> tuple[Router, Router]:
    """The routers that `Setting.fits` returned for a run: stored with it, else fitted again."""
    if run.router_json is None or run.router_safetensors is None:
        return setting.fits(run.router, run.seed, run.params)
    fitted, inner = router_from_bytes(run.router_json, run.router_safetensors)
    return fitted, fitted if inner is None else inner


def newest_runs(store: Store, name: str) -> dict[str, Run]:
    """Newest stored run of every router fitted on the whole pool of a benchmark, without its tables.

    By the router's name with its parameters; without baselines, and without runs judged otherwise or fitted on another
    benchmark.
    """
    newest: dict[str, Run] = {}
    n_folds = 0 if store.info(name).has_own_split else FOLDS
    for run in store.runs(name):
        own = run.fit_on is None and not run.pool and run.n_folds == n_folds
        if own and run.metrics.get("split_seed") is None and run.router not in BASELINES:
            params = ", ".join(f"{key}={value}" for key, value in sorted(run.params.items()))
            newest.setdefault(run.router + (f" ({params})" if params else ""), run)
    return dict(sorted(newest.items()))


def estimates_on(run: Run, bench: Benchmark, split: str, fit_on: Benchmark | None = None) -> Estimates:
    """Estimates of a run on one split of ``bench``, or on "all" of it.

    A cross-fitted run has estimates of every prompt, each by a router that had not seen it. Any other run has estimates
    of validation and test prompts; those of train prompts are made by its router, which was fitted on them, and look
    better than the router is.
    """
    if split not in (*SPLITS, "all"):
        raise CarrotError(f"No split {split!r}; there are {', '.join(SPLITS)} and all.")
    stored = run.estimates or {}
    if run.n_folds:
        ids = set(bench.part(split).prompt_ids)
        return stored["all"].rows(np.array([prompt_id in ids for prompt_id in stored["all"].prompt_ids], dtype=bool))
    if split in stored:
        return stored[split]
    setting = setting_for(bench, fit_on, run.pool)
    return _fits(run, setting)[0].estimate(setting.everything.part(split))


def tables_of(run: Run, setting: Setting) -> Mapping[str, Estimates]:
    """Estimates of a run by split; those of validation are computed again if the run learned from another benchmark.

    Such a run does not store them, since its validation prompts are not in the benchmark it is stored with.
    """
    stored = run.estimates or {}
    if "validation" in stored:
        return stored
    return {**stored, "validation": _fits(run, setting)[1].estimate(setting.validation)}


def validation_aiq(runs: Mapping[str, Mapping[int, Run]], seeds: Sequence[int]) -> dict[str, float]:
    """Mean AIQ on validation over the seeds, by router: the figure by which routers may be chosen."""
    return {
        name: float(np.mean([by_seed[seed].metrics["validation"]["aiq"] for seed in seeds]))
        for name, by_seed in runs.items()
    }
