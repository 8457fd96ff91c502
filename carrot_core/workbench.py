"""What the command line and the pages both do with a store: load with vectors, run once, keep the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from carrot_core.embedding import BUNDLED, embed_benchmark
from carrot_core.errors import CarrotError, StoreError
from carrot_core.evaluation import Setting, data_hash, evaluate, setting_for, versions
from carrot_core.outcomes import SPLITS, Benchmark, Estimates
from carrot_core.routers import BASELINES, make_router
from carrot_core.store import Run, Store, run_id

if TYPE_CHECKING:
    from carrot_core.benchmarks.hub import FileProgress
    from carrot_core.store import BenchmarkInfo

Progress = Callable[[int, int], None]


def load_embedded(store: Store, name: str, encoder: str = BUNDLED, progress: Progress | None = None) -> Benchmark:
    """A benchmark with its vectors, computing those that are missing; one without any text has none."""
    bench = store.load(name, encoder=encoder)
    if bench.vectors is None and any(text is not None for text in bench.texts):
        embed_benchmark(store, name, encoder, progress=progress)
        bench = store.load(name, encoder=encoder)
    return bench


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
    from carrot_core.benchmarks.simulated_vectors import simulated_vectors

    if again or NAME not in {info.name for info in store.benchmarks()}:
        frames = simulate()
        store.save_benchmark(NAME, frames, replace=True)
        vectors = simulated_vectors(frames)
        if vectors is not None:
            store.add_vectors(BUNDLED, list(dict.fromkeys(frames.prompts["text"])), vectors)
    bench = load_embedded(store, NAME, progress=progress)
    return run_router(store, bench, again=again, progress=progress)


def pull(
    store: Store,
    source: str,
    name: str | None = None,
    *,
    revision: str | None = None,
    replace: bool = False,
    drop_chinese: bool = False,
    progress: FileProgress | None = None,
) -> BenchmarkInfo:
    """Fetch a benchmark of `carrot_core.benchmarks.hub_sources` from the hub and store it, without embedding it.

    Parameters
    ----------
    store : where to.
    source : "sprout", "sprout-o3mini", …
    name : in the store; that of the source by default.
    revision : branch, tag or commit of the data set; the newest by default.
    replace : replace a benchmark of the same name.
    drop_chinese : leave out RouterBench's Chinese tasks, as CARROT's authors do.
    progress : called with bytes done, bytes of the file and its name while files arrive.

    Raises
    ------
    NotFoundError, DataError, CarrotError
        As `carrot_core.benchmarks.hub.fetch` and the source's reader say.
    StoreError
        The name is taken and ``replace`` is False (said before anything is fetched), or the database cannot
        be written.
    """
    from carrot_core.benchmarks.hub import fetch
    from carrot_core.benchmarks.hub_sources import hub_source

    chosen, name = hub_source(source), name or source
    read = chosen.without_chinese if drop_chinese else chosen.read
    if read is None:
        raise CarrotError(f"{source!r} has no Chinese tasks to leave out: only RouterBench has. Pull it as it is.")
    if not replace and name in {info.name for info in store.benchmarks()}:
        raise StoreError(f"There is already a benchmark {name!r}: remove it first, or replace it.")
    fetched = fetch(chosen.repo, chosen.wanted, revision=revision, progress=progress)
    frames = read([file.path for file in fetched.files], fetched.provenance(chosen.licence))
    if fetched.said:
        frames = dataclasses.replace(frames, warnings=(fetched.said, *frames.warnings))
    return store.save_benchmark(name, frames, replace=replace)
