"""From the files of the real benchmarks to everything computed from them that ships."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.benchmarks.registry import read_any
from carrot_core.compare.studies import ROUTER, STUDIES
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.errors import DataError, NotFoundError
from carrot_core.evaluation import make_setting, versions
from carrot_core.evaluation.comparison import records
from carrot_core.evaluation.runs import compare_routers, kept_runs, settings_of
from carrot_core.evaluation.tables import small
from carrot_core.outcomes import Benchmark
from carrot_core.results import snapshot
from carrot_core.results.page import report
from carrot_core.results.recipes import RECIPES, Recipe
from carrot_core.routers.saving import save_router
from carrot_core.serving.loading import HEADS, SHIPPED_ROUTER
from carrot_core.serving.profile import companion_of
from carrot_core.store import Run, Store

COMPARISON = "comparison.json"
_COMPARED = ("figures", "differences", "pairs", "quality")  # tables of a comparison, too long for JSON
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
        runs = kept_runs(store, bench, compared.routers)
        validation_aiq = {name: _validation_aiq([runs[name][seed] for seed in seeds]) for name in compared.routers}
        # Pages draw the first ones: CARROT's own by their AIQ on validation, then the others.
        best_first = sorted(compared.routers, key=lambda name: (not name.startswith("carrot"), -validation_aiq[name]))
        taken = snapshot.take(
            bench,
            store.info(recipe.name),
            {name: store.load_run(runs[name][seeds[0]].run_id).estimates or {} for name in best_first},
        )
        studied = {}
        for study in STUDIES.values():
            with progress(f"Fitting {recipe.name} anew for {study.name}", " fits") as advance:
                studied[study.name] = study.make(settings_of(store, bench, seeds[: study.seeds]), ROUTER, advance)
        folder = data / snapshot.FOLDER / recipe.name
        snapshot.write(replace(taken, analyses={**taken.analyses, **studied}), folder)
        document = compared.document() | {"n_prompts": len(bench.prompt_ids), "validation_aiq": validation_aiq}
        for name in _COMPARED:
            del document[name]
            table = getattr(compared, name)  # not the document's, which has no infinity: a score never reached
            table = small([table], table.columns.tolist()) if name == "pairs" else table
            table.to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
        (folder / COMPARISON).write_text(text + "\n", encoding="utf-8")
        _write_head(bench, data / HEADS / recipe.name)


def write_report(data: Path, page: Path, recipes: Sequence[Recipe] = RECIPES) -> None:
    """Write ``docs/results.md`` from the comparisons beside the snapshots."""
    folders = {recipe.name: data / snapshot.FOLDER / recipe.name for recipe in recipes}
    made = {name: read_comparison(folder) for name, folder in folders.items() if (folder / COMPARISON).exists()}
    page.write_text(report(made, recipes), encoding="utf-8")


def read_comparison(folder: Path) -> dict[str, Any]:
    """What `carrot_core.evaluation.Comparison.document` gave, from the folder of a snapshot.

    Without its pairs where the snapshot is older than they are.
    """
    document: dict[str, Any] = json.loads((folder / COMPARISON).read_text(encoding="utf-8"))
    kept = {name: folder / f"{name}.parquet" for name in _COMPARED}
    return document | {name: records(pd.read_parquet(path)) for name, path in kept.items() if path.exists()}


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


def _write_head(bench: Benchmark, folder: Path) -> None:
    """The small router that a typed prompt is estimated with where the benchmark is not at hand."""
    made = make_setting(bench)
    about: Mapping[str, Any] = {
        "benchmark": bench.name,
        "data_hash": bench.data_hash,
        "fitted_on": f"{len(made.train.prompt_ids)} train prompts",
        "cost_unit_usd": made.cost_unit_usd,
        "best_single": made.best_single,
        "seed": 0,
        "versions": versions(),
    }
    fitted, estimates = made.fit(SHIPPED_ROUTER)
    save_router(fitted, folder, about, companion_of(made, fitted, estimates))
