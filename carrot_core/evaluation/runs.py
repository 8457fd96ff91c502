"""Fits on a stored benchmark: one router or several over several seeds, each fit stored when it is done."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from carrot_core.embedding import BUNDLED, embed, load_embedded
from carrot_core.errors import CarrotError, NotFoundError
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
from carrot_core.evaluation.solve import Goal, Solved, solve
from carrot_core.outcomes import SPLITS, Benchmark, Estimates
from carrot_core.routers import BASELINES, BY_NAME_ONLY, ROUTERS, make_router
from carrot_core.store import Run, Store, run_id

if TYPE_CHECKING:
    pass


ALL = "all"


Progress = Callable[[int, int], None]


def compare_routers(
    store: Store,
    bench: Benchmark,
    routers: Sequence[str] = (ALL,),
    seeds: Sequence[int] = (0,),
    *,
    params: Mapping[str, Any] | None = None,
    fit_on: Benchmark | None = None,
    pool: Sequence[str] = (),
    again: bool = False,
    replicates: int = 1000,
    progress: Progress | None = None,
) -> Comparison:
    """Fit routers on several seeds and compare them; a fit that is stored already is used again.

    Seed s is the router's seed and, where the split is ours, that of the split: 0 is the split as stored, s
    the one that many seeds further. A source's own split stays, and only the routers' seed varies.

    Parameters
    ----------
    store : where every fit is kept, as a run, as soon as it is done.
    bench : prompts with vectors, as stored.
    routers : names; "all" is every router that needs neither a network nor hours.
    seeds : whole numbers from 0.
    params : of every router; give them with one router.
    fit_on : learn from all of this benchmark instead and judge on all prompts of ``bench``.
    pool : models to choose from; empty = all of the benchmark.
    again : fit also what is stored.
    replicates : bootstrap replicates behind every interval.
    progress : called with (steps done, steps in all): every fit is one, judging all of them one for each seed.

    Returns
    -------
    The comparison; routers that could not run stand in ``skipped`` with the reason.

    Raises
    ------
    NotFoundError
        No router of that name.
    CarrotError
        No seed or router is given, the benchmark has no prompts to judge on, or none of the routers could run.
    """
    names = routers_of(routers)
    settings = settings_of(store, bench, seeds, fit_on=fit_on, pool=pool)
    splits = _split_seeds(store, bench if fit_on is None else fit_on, seeds)
    for made in settings.values():
        made.cost_unit_usd  # noqa: B018  raises where nothing can be judged, before hours of fitting
    kept = {} if again else _kept(store, bench, fit_on)
    step = counter(progress, (len(names) + 1) * len(settings))
    ran: dict[str, dict[int, Run]] = {name: {} for name in names}
    skipped: dict[str, str] = {}
    for seed, made in settings.items():
        asked = {"params": dict(params or {}), "seed": seed, "pool": tuple(pool), "split_seed": splits[seed]}
        for name in names:
            if name in ran:
                try:
                    ran[name][seed] = _run(store, bench, name, fit_on, made, asked, kept)
                except (CarrotError, ImportError) as error:
                    skipped[name] = str(error)
                    del ran[name]
            step()
    if not ran:
        raise CarrotError(f"None of the routers could run. {' '.join(f'{n}: {why}' for n, why in skipped.items())}")
    candidates = {
        name: {seed: _candidate(store, run, settings[seed]) for seed, run in by_seed.items()}
        for name, by_seed in ran.items()
    }
    result = compare(settings, candidates, replicates=replicates, progress=lambda done, total: step())
    return replace(
        result,
        protocol=result.protocol.assign(split_seed=pd.array(list(splits.values()), "Int64")),
        latency=_latency(bench, settings, {name: by_seed[seeds[0]] for name, by_seed in ran.items()}),
        fit_on=None if fit_on is None else fit_on.name,
        skipped=skipped,
        versions=versions(),
        data_hash=data_hash(bench, fit_on),
    )


def kept_runs(store: Store, bench: Benchmark, routers: Sequence[str]) -> dict[str, dict[int, Run]]:
    """Runs on the whole pool that `compare_routers` would use again, by router and seed; without tables."""
    kept = _kept(store, bench, None)
    splits = _split_seeds(store, bench, sorted({run.seed for run in kept.values()}))
    found: dict[str, dict[int, Run]] = {}
    for name in routers:
        ids = {seed: run_id(bench.name, name, {}, seed, None, (), split_seed) for seed, split_seed in splits.items()}
        found[name] = {seed: kept[wanted] for seed, wanted in ids.items() if wanted in kept}
    return found


def routers_of(names: Sequence[str]) -> list[str]:
    """Routers by name, each once; "all" stands for all but those that are run only by name."""
    every = [name for name in ROUTERS if name not in BY_NAME_ONLY]
    found = dict.fromkeys(name for asked in names for name in (every if asked == ALL else [asked]))
    if not found:
        raise CarrotError("Name at least one router.")
    unknown = [name for name in found if name not in ROUTERS]
    if unknown:
        raise NotFoundError(f"No router {unknown[0]!r}; there are {', '.join(ROUTERS)}.")
    return list(found)


def settings_of(
    store: Store, bench: Benchmark, seeds: Sequence[int], *, fit_on: Benchmark | None = None, pool: Sequence[str] = ()
) -> dict[int, Setting]:
    """The protocol by seed, as in `compare_routers`; a `CarrotError` where there is no seed or one below 0."""
    if not seeds or min(seeds) < 0:
        raise CarrotError("Give at least one seed; a seed is a whole number from 0.")
    splits = _split_seeds(store, bench if fit_on is None else fit_on, seeds)
    return {seed: setting_for(bench, fit_on, pool, split_seed) for seed, split_seed in splits.items()}


def _split_seeds(store: Store, source: Benchmark, seeds: Sequence[int]) -> dict[int, int | None]:
    """Seed of the split by seed; None is the split as stored."""
    info = store.info(source.name)
    return {seed: None if info.has_own_split or seed == 0 else info.split_seed + seed for seed in seeds}


def seeds_of(store: Store, bench: Benchmark, run: Run) -> dict[int, Run]:
    """Stored runs like this one, its own seed and all others, as `compare_routers` keeps them; without tables.

    Only runs of these very data and versions count, and of the seed's own split. A run that learned from another
    benchmark keeps no validation estimates to solve anything on, so there are none like it.
    """
    if run.fit_on is not None:
        return {}
    asked = run.router, dict(run.params), sorted(run.pool)
    alike = [
        other
        for other in _same(store, bench, None)
        if other.fit_on is None and (other.router, dict(other.params), sorted(other.pool)) == asked
    ]
    splits = _split_seeds(store, bench, [other.seed for other in alike])
    found = {other.seed: other for other in reversed(alike) if other.split_seed == splits[other.seed]}
    return dict(sorted(found.items()))


def solve_seeds(
    store: Store, bench: Benchmark, run: Run, goal: Goal, reference: str | None = None, replicates: int = 1000
) -> dict[int, Solved]:
    """A goal solved on each stored seed's validation prompts and reported on its test prompts, by seed.

    Parameters
    ----------
    store, bench : where runs are kept, and the benchmark as stored.
    run : which router, parameters and pool; its other seeds are looked up (`seeds_of`).
    goal, reference, replicates : as for `carrot_core.evaluation.solve.solve`.
    """
    found = {}
    for seed, other in seeds_of(store, bench, run).items():
        made = setting_for(bench, None, other.pool, other.split_seed)
        found[seed] = solve(made, store.load_run(other.run_id).estimates or {}, goal, reference, replicates)
    return found


def seeds_command(run: Run) -> str:
    """The command that fits and keeps more seeds of a run, as a shell takes it."""
    words = ["carrot", "evaluate", run.benchmark, "--router", run.router]
    for key, value in run.params.items():
        words += ["--param", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    for model in run.pool:
        words += ["--pool", model]
    return shlex.join([*words, "--seeds", "0-4"])


def _same(store: Store, bench: Benchmark, fit_on: Benchmark | None) -> list[Run]:
    """Stored runs of these data by these versions, newest first."""
    asked = data_hash(bench, fit_on), versions()
    return [run for run in store.runs(bench.name) if (run.data_hash, dict(run.versions)) == asked]


def _kept(store: Store, bench: Benchmark, fit_on: Benchmark | None) -> dict[str, Run]:
    """Stored runs that a fit on these data, by these versions, would only repeat."""
    same = _same(store, bench, fit_on)
    # Older runs lack what is compared: the latency, and of another benchmark what was chosen there.
    return {
        run.run_id: run
        for run in same
        if "latency" in run.metrics and (run.fit_on is None or "chosen_hull" in run.metrics[run.metrics["report_on"]])
    }


def _run(
    store: Store,
    bench: Benchmark,
    name: str,
    fit_on: Benchmark | None,
    made: Setting,
    asked: Mapping[str, Any],
    kept: Mapping[str, Run],
) -> Run:
    """The run that is kept, or a new one, stored; without its tables."""
    wanted = run_id(bench.name, name, fit_on=None if fit_on is None else fit_on.name, **asked)
    if wanted in kept:
        return kept[wanted]
    run = evaluate(bench, name, fit_on=fit_on, made=made, **asked)
    store.save_run(run)
    return replace(run, estimates=None)


def _candidate(store: Store, run: Run, made: Setting) -> Candidate:
    """What a run needs to be compared; tables are read from the store, so that few are held at once."""
    tables = store.load_run(run.run_id).estimates or {}
    if "validation" in tables:
        return Candidate.of(made, tables)
    judged = run.metrics[made.report_on]  # of another benchmark, whose validation prompts were not kept
    rates = {name: _infinite(rate) for name, rate in judged["chosen"].items()}
    return Candidate(tables[made.report_on], rates, np.array([_infinite(rate) for rate in judged["chosen_hull"]]))


def _infinite(rate: float | None) -> float:
    """A rate as JSON has it, which knows no infinity."""
    return float("inf") if rate is None else rate


def _latency(bench: Benchmark, settings: Mapping[int, Setting], runs: Mapping[str, Run]) -> pd.DataFrame:
    measured = {name: run.metrics["latency"] for name, run in runs.items()}
    embed_s: list[float] = []
    if bench.encoder is not None and any(steps["reads_vectors"] for steps in measured.values()):
        prompts = timed_prompts(next(iter(settings.values())).test)
        embed_s = embed_latency(prompts, partial(embed, encoder=bench.encoder))
    return latency_table(measured, embed_s)


def run_router(
    store: Store,
    bench: Benchmark,
    router: str = "carrot-knn",
    *,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    fit_on: Benchmark | None = None,
    pool: Sequence[str] = (),
    again: bool = False,
    progress: Progress | None = None,
) -> Run:
    """The stored run of exactly this, on exactly these data and versions; else a new one, stored.

    Parameters are those of `carrot_core.evaluation.evaluate`; ``again`` fits even where a run is stored.
    """
    asked: dict[str, Any] = {"seed": seed, "params": dict(params or {}), "pool": tuple(pool)}
    if not again:
        stored = _stored(store, bench, router, fit_on, asked)
        if stored is not None:
            return stored
    run = evaluate(bench, router, fit_on=fit_on, progress=progress, **asked)
    store.save_run(run)
    return run


def _stored(store: Store, bench: Benchmark, router: str, fit_on: Benchmark | None, asked: dict[str, Any]) -> Run | None:
    wanted = run_id(
        bench.name, router, asked["params"], asked["seed"], None if fit_on is None else fit_on.name, asked["pool"]
    )
    for run in store.runs(bench.name):
        if run.run_id == wanted and run.data_hash == data_hash(bench, fit_on) and dict(run.versions) == versions():
            return store.load_run(wanted)
    return None


def newest_runs(store: Store, name: str) -> dict[str, Run]:
    """Newest stored run of every router fitted on the whole pool of a benchmark, without its tables.

    By the router's name with its parameters; baselines, and runs of other splits or benchmarks, are not among them.
    """
    found: dict[str, Run] = {}
    for run in store.runs(name):
        if run.fit_on is None and not run.pool and run.split_seed is None and run.router not in BASELINES:
            given = ", ".join(f"{key}={value}" for key, value in sorted(run.params.items()))
            found.setdefault(run.router + (f" ({given})" if given else ""), run)
    return dict(sorted(found.items()))


def estimates_on(run: Run, bench: Benchmark, split: str, fit_on: Benchmark | None = None) -> Estimates:
    """Estimates of a run on one split of ``bench``, or on "all" of it.

    Validation and test prompts come from the run. Train prompts are not in it: their estimates come from
    the router fitted on them and look better than the router is.
    """
    if split not in (*SPLITS, "all"):
        raise CarrotError(f"No split {split!r}; there are {', '.join(SPLITS)} and all.")
    stored = run.estimates or {}
    if split in stored:
        return stored[split]
    made = setting_for(bench, fit_on, run.pool, run.split_seed)
    judged = made.everything.part(split)
    return make_router(run.router, run.seed, **run.params).fit(made.train).estimate(judged)


def tables_of(run: Run, made: Setting) -> Mapping[str, Estimates]:
    """Estimates of a run by split; those of validation made again where the run judged another benchmark.

    Such a run keeps none of them, since its validation prompts are not those of the benchmark it is stored with.
    """
    stored = run.estimates or {}
    if "validation" in stored:
        return stored
    fitted = make_router(run.router, run.seed, **run.params).fit(made.inner_train)
    return {**stored, "validation": fitted.estimate(made.validation)}


def set_up(store: Store, *, again: bool = False, progress: Progress | None = None) -> Run:
    """The simulated benchmark with a fitted CARROT-KNN, built where it is missing."""
    from carrot_core.benchmarks.simulated import NAME, simulate
    from carrot_core.benchmarks.simulated.vectors import simulated_vectors

    if again or NAME not in {info.name for info in store.benchmarks()}:
        frames = simulate()
        store.save_benchmark(NAME, frames, replace=True)
        vectors = simulated_vectors(frames)
        if vectors is not None:
            store.add_vectors(BUNDLED, list(dict.fromkeys(frames.prompts["text"])), vectors, benchmark=NAME)
    bench = load_embedded(store, NAME, progress=progress)
    return run_router(store, bench, again=again, progress=progress)
