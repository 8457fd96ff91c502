"""From the files of the real benchmarks to everything computed from them that ships."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.benchmarks.registry import read_any
from carrot_core.compare import ANALYSES, KEPT
from carrot_core.compare.studies import ROUTER, STUDIES
from carrot_core.curve import SavedCurve, evenly, keep
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.errors import DataError, NotFoundError
from carrot_core.evaluation import Setting, make_setting, measure_router, single_models, versions
from carrot_core.evaluation.breakdown import by_task, task_labels
from carrot_core.evaluation.runs import Trial, compare_routers, fitted_router, runs_by_seed, settings_of
from carrot_core.evaluation.tables import small
from carrot_core.figures.scene import band
from carrot_core.frontier import Frontier
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.results.page import report
from carrot_core.results.recipes import RECIPES, Recipe
from carrot_core.results.snapshot import (
    ANALYSIS,
    COMPARED,
    COMPARISON,
    DOCUMENT,
    FOLDER,
    FORMAT,
    TABLES,
    SnapshotResults,
    read_comparison,
)
from carrot_core.routers.saving import save_router
from carrot_core.serving.loading import HEADS, SHIPPED_ROUTER
from carrot_core.serving.profile import profile_of
from carrot_core.store import BenchmarkInfo, Run, Store

_SPLITS = ("validation", "test")
_TASK_POINTS = 25
Progress = Callable[[int, int], None]


def make(
    store: Store,
    files: Path,
    data: Path,
    recipes: Sequence[Recipe] = RECIPES,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    routers: Sequence[str] = ("all",),
    *,
    progress: Callable[[str, str], AbstractContextManager[Progress]],
) -> None:
    """Import, fit and judge every benchmark, and write its snapshot and its head; goes on where it stopped.

    Parameters
    ----------
    store : where benchmarks and runs are kept on the way.
    files : folder of the benchmarks' files.
    data : folder that gets ``snapshots/`` and ``heads/``.
    seeds : of splits and routers; the snapshot and the head are those of the first.
    routers : by name, or "all" that run without a download.
    progress : called with what begins and its unit; gives what is called with (done, in all).
    """
    for recipe in recipes:
        with progress(f"Embedding {recipe.name}", " texts") as advance:
            bench = _loaded(store, files, recipe, advance)
        with progress(f"Judging {recipe.name}", " steps") as advance:
            compared = compare_routers(store, bench, routers, seeds, progress=advance)
        runs = runs_by_seed(store, bench, compared.routers)
        validation_aiq = {name: _validation_aiq([runs[name][seed] for seed in seeds]) for name in compared.routers}
        # Pages draw the first ones: CARROT's own by their AIQ on validation, then the others.
        best_first = sorted(compared.routers, key=lambda name: (not name.startswith("carrot"), -validation_aiq[name]))
        taken = take(
            bench,
            store.info(recipe.name),
            {name: store.load_run(runs[name][seeds[0]].run_id).estimates or {} for name in best_first},
        )
        studied = {}
        for study in STUDIES.values():
            with progress(f"Fitting {recipe.name} anew for {study.name}", " fits") as advance:
                studied[study.name] = study.make(settings_of(store, bench, seeds[: study.seeds]), ROUTER, advance)
        folder = data / FOLDER / recipe.name
        write(replace(taken, analyses={**taken.analyses, **studied}), folder)
        document = compared.document() | {"n_prompts": len(bench.prompt_ids), "validation_aiq": validation_aiq}
        for name in COMPARED:
            del document[name]
            table = getattr(compared, name)  # not the document's, which has no infinity: a score never reached
            table = small([table], table.columns.tolist()) if name == "pairs" else table
            table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
        (folder / COMPARISON).write_text(text + "\n", encoding="utf-8")
        _write_head(store, bench, data / HEADS / recipe.name)


def write_report(data: Path, page: Path, recipes: Sequence[Recipe] = RECIPES) -> None:
    """Write ``docs/results.md`` from the comparisons beside the snapshots."""
    folders = {recipe.name: data / FOLDER / recipe.name for recipe in recipes}
    made = {name: read_comparison(folder) for name, folder in folders.items() if (folder / COMPARISON).exists()}
    page.write_text(report(made, recipes), encoding="utf-8")


def _loaded(store: Store, files: Path, recipe: Recipe, progress: Progress) -> Benchmark:
    """The benchmark with its vectors; a stored one of another file is an error, never taken for this one."""
    path = files / recipe.file
    if not path.exists():
        raise NotFoundError(f"{path} is missing: the results of {recipe.name!r} are made from it.")
    if recipe.name not in {info.name for info in store.benchmarks()}:
        store.save_benchmark(recipe.name, read_any(path, where=recipe.where, columns=recipe.columns or None))
        if recipe.embeddings is not None:
            store.import_vectors(recipe.name, files / recipe.embeddings, BUNDLED)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if store.info(recipe.name).sha256 != sha256:
        raise DataError(recipe.name, f"in the store was read from another file than {path}; remove it first")
    return load_embedded(store, recipe.name, progress=progress)


def _validation_aiq(runs: Sequence[Run]) -> float:
    """Mean AIQ on validation over the seeds of a router: what a choice between routers may look at."""
    return float(np.mean([run.metrics["validation"]["aiq"] for run in runs]))


def _write_head(store: Store, bench: Benchmark, folder: Path) -> None:
    """The small router that a typed prompt is estimated with where the benchmark is not at hand."""
    fitted, estimates, made = fitted_router(store, Trial(bench, SHIPPED_ROUTER))
    about: Mapping[str, Any] = {
        "benchmark": bench.name,
        "data_hash": bench.data_hash,
        "fitted_on": f"{len(made.train.prompt_ids)} train prompts",
        "cost_unit_usd": made.cost_unit_usd,
        "best_single": made.best_single,
        "seed": 0,
        "versions": versions(),
    }
    save_router(fitted, folder, about, profile_of(made, fitted, estimates))


def take(bench: Benchmark, info: BenchmarkInfo, routers: Mapping[str, Mapping[str, Estimates]]) -> SnapshotResults:
    """A snapshot of some fitted routers and all baselines on one benchmark.

    Parameters
    ----------
    bench : the benchmark with its stored split.
    info : its description.
    routers : estimates on validation and test by router, as `carrot_core.evaluation.evaluate` keeps them.
    """
    made = make_setting(bench)
    estimates = {**routers, **made.baselines}
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    described = {}
    for name, table in estimates.items():
        curves = {split: made.frontier(table, split) for split in _SPLITS}
        for split, curve in curves.items():
            kept = keep(curve)
            parts["curves"].append(_points(kept).assign(router=name, split=split))
            parts["shares"].append(_shares(kept).assign(router=name, split=split))
        parts["bands"].append(_band_table(curves["test"]).assign(router=name))
        parts["tasks"].append(_tasks(made, curves["test"]).assign(router=name))
        described[name] = {
            "models": list(curves["test"].models),
            "n_prompts": {split: curve.n_prompts for split, curve in curves.items()},
            "n_points": {split: len(curve.exchange_rate_per_usd) for split, curve in curves.items()},
            "figures": measure_router(made, table, "test"),
        }
    oracle = made.frontier(made.baselines["oracle"], "test")
    document = {
        "format": FORMAT,
        "benchmark": asdict(info),
        "models": list(made.models),
        "best_single": made.best_single,
        "cost_unit_usd": made.cost_unit_usd,
        "single_models": single_models(made),
        "tasks": sorted(set(made.test.tasks) - {""}),
        "n_prompts": oracle.n_prompts,
        "n_dropped": made.frontier(made.baselines["zero"], "test").n_dropped,
        "n_without_text": made.n_without_text,
        "versions": versions(),
        "routers": described,
    }
    tables = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    return SnapshotResults(document, tables, {name: ANALYSES[name].make(made, estimates) for name in KEPT})


def _points(curve: SavedCurve) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "exchange_rate_per_usd": curve.exchange_rate_per_usd,
            "score": curve.score.astype(np.float32),
            "cost_usd": curve.cost_usd.astype(np.float32),
        }
    )


def _shares(curve: SavedCurve) -> pd.DataFrame:
    table = pd.DataFrame(curve.share, columns=list(curve.models))
    return table.assign(exchange_rate_per_usd=curve.share_rates)


def _band_table(curve: Frontier) -> pd.DataFrame:
    drawn = band(curve)
    columns = {"cost_usd": drawn.cost_usd, "score_low": drawn.score_low, "score_high": drawn.score_high}
    return pd.DataFrame({name: values.astype(np.float32) for name, values in columns.items()})


def _tasks(setting: Setting, curve: Frontier) -> pd.DataFrame:
    tasks = task_labels(setting, curve)
    frames = [
        by_task(curve, tasks, rate, setting.best_single).assign(exchange_rate_per_usd=rate)
        for rate in evenly(curve.exchange_rate_per_usd, _TASK_POINTS)
    ]
    table = pd.concat(frames, ignore_index=True)
    small = table.select_dtypes("float64").columns.drop("exchange_rate_per_usd")
    return table.astype(dict.fromkeys(small, np.float32))


def write(snapshot: SnapshotResults, folder: Path) -> None:
    """Write a snapshot into a folder, over one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    analyses = {f"{ANALYSIS}{name}": table for name, table in snapshot.analyses.items()}
    for name, table in {**snapshot.tables, **analyses}.items():
        table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
    text = json.dumps(snapshot.document, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / DOCUMENT).write_text(text + "\n", encoding="utf-8")
