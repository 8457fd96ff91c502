"""Build everything that ships and is computed from the real benchmarks' files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.benchmarks import built_in
from carrot_core.benchmarks.built_in import Embed
from carrot_core.benchmarks.registry import read_any
from carrot_core.compare import ANALYSES, SNAPSHOT_TABLES
from carrot_core.compare.studies import STUDIES, make_study
from carrot_core.curve import SavedCurve, evenly, paired_errors, save_curve, small
from carrot_core.embedding import BUNDLED
from carrot_core.errors import DataError
from carrot_core.evaluation import Comparison, Setting, make_setting, measure_router, single_models, versions
from carrot_core.evaluation.comparison import AGAINST, MEAN, Candidate, compare, records
from carrot_core.evaluation.protocol import WITHOUT_TASK
from carrot_core.evaluation.runs import Trial, compare_routers, fitted_router, run_router, runs_by_seed, validation_aiq
from carrot_core.evaluation.tables import by_task, task_labels
from carrot_core.figures.scene import band
from carrot_core.frontier import FloatArray, Frontier
from carrot_core.metrics import HEADLINE
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.results import DOCUMENT, FOLDER
from carrot_core.results.recipes import BUILT_IN_RECIPES, RECIPES, BuiltInRecipe, Progress, Recipe
from carrot_core.results.snapshot import (
    ANALYSIS,
    COMPARED,
    COMPARISON,
    ERRORS,
    FORMAT,
    LATENCY,
    PAIRED_ERRORS,
    TABLES,
    SnapshotResults,
    read,
    read_comparison,
)
from carrot_core.routers import READS_TASK, Router
from carrot_core.routers.saving import save_router
from carrot_core.serving.loading import HEADS, LABELLED_HEAD, SHIPPED_ROUTER, shipped_params
from carrot_core.serving.profile import profile_of
from carrot_core.store import BenchmarkInfo, Store
from carrot_core.store.content import content_of
from scripts.results.files import load, priced, sha256_of, write_table
from scripts.results.page import WITH_TASK, best_carrot, report

_TASK_POINTS = 25
_EVERY = (*BUILT_IN_RECIPES, *RECIPES)


def make(
    store: Store,
    files: Path,
    data: Path,
    recipes: Sequence[Recipe] = RECIPES,
    seeds: Sequence[int] = (0,),
    routers: Sequence[str] = ("all",),
    *,
    progress: Callable[[str, str], AbstractContextManager[Progress]],
) -> None:
    """Import, fit and measure every benchmark, and write its snapshot and its head; a new call resumes an interrupted
    one.

    Parameters
    ----------
    store : where benchmarks and runs are stored meanwhile.
    files : folder of the benchmarks' files.
    data : folder in which ``snapshots/`` and ``heads/`` are written.
    seeds : of the routers; the snapshot is for the first.
    routers : by name, or "all" for those that run without a download.
    progress : called with a step's title and its unit; gives a function of (done, in all).
    """
    for recipe in recipes:
        with progress(f"Embedding {recipe.name}", " texts") as advance:
            bench = load(store, files, recipe, advance)
        with progress(f"Comparing routers on {recipe.name}", " steps") as advance:
            comparison = compare_routers(store, bench, routers, seeds, progress=advance)
        runs = runs_by_seed(store, bench, comparison.routers)
        aiq_by_router = validation_aiq(runs, seeds)
        # Pages draw the first ones: CARROT routers by their AIQ on validation, then the others.
        best_first = sorted(comparison.routers, key=lambda name: (not name.startswith("carrot"), -aiq_by_router[name]))
        with progress(f"Fitting the head of {recipe.name}", " steps") as advance:
            run_router(store, bench, SHIPPED_ROUTER, params=shipped_params(bench.tasks), progress=advance)
        head = fitted_router(store, Trial(bench, SHIPPED_ROUTER, params=shipped_params(bench.tasks)))
        snapshot = make_snapshot(
            bench,
            store.info(recipe.name),
            {name: store.load_run(runs[name][seeds[0]].run_id).estimates or {} for name in best_first},
            _as_served(head[1]),
        )
        studies = {}
        for study in STUDIES.values():
            with progress(f"Fitting {recipe.name} anew for {study.name}", " fits") as advance:
                studies[study.name] = make_study(study.name, make_setting(bench), advance)
        folder = data / FOLDER / recipe.name
        write(replace(snapshot, analyses={**snapshot.analyses, **studies}), folder)
        _write_comparison(store, bench, comparison, aiq_by_router, folder, progress)
        _write_head(bench, head, data / HEADS / recipe.name)


def compare_built_in(
    store: Store,
    data: Path,
    recipe: BuiltInRecipe,
    seeds: Sequence[int] = (0,),
    routers: Sequence[str] = ("all",),
    *,
    progress: Callable[[str, str], AbstractContextManager[Progress]],
) -> None:
    """Fit and measure every router on a benchmark that ships whole, and write their comparison beside it.

    Parameters are those of `make`; ``data`` has the files of `make_built_in`.
    """
    folder = data / built_in.FOLDER / recipe.name
    if recipe.name not in {info.name for info in store.benchmarks()}:
        store.save_benchmark(recipe.name, built_in.read_built_in(folder), shadow=True)
        store.add_vectors_of_hashes(recipe.name, BUNDLED, *built_in.vectors_of_built_in(folder))
    if store.info(recipe.name).data_hash != built_in.card_of(folder).data_hash:
        raise DataError(recipe.name, f"in the store is not what {folder} has; remove it first")
    bench = store.load(recipe.name, encoder=BUNDLED)
    with progress(f"Comparing routers on {recipe.name}", " steps") as advance:
        comparison = compare_routers(store, bench, routers, seeds, progress=advance)
    runs = runs_by_seed(store, bench, comparison.routers)
    _write_comparison(store, bench, comparison, validation_aiq(runs, seeds), folder, progress)


def _write_comparison(
    store: Store,
    bench: Benchmark,
    comparison: Comparison,
    validation_aiq: Mapping[str, float],
    folder: Path,
    progress: Callable[[str, str], AbstractContextManager[Progress]],
) -> None:
    document = comparison.document() | {"n_prompts": len(bench.prompt_ids), "validation_aiq": validation_aiq}
    routers = dict.fromkeys([best_carrot(document, READS_TASK), SHIPPED_ROUTER])
    others = [name for name in AGAINST if name in comparison.routers]
    with progress(f"Fitting {bench.name} anew with task labels", " fits") as advance:
        document["with_task"] = _with_task(store, bench, [*routers], others, comparison.seeds[0], advance)
    for name in COMPARED:
        del document[name]
        table = getattr(comparison, name)  # the document has no infinity (a score never reached)
        table = small([table], table.columns.tolist()) if name == "pairs" else table
        write_table(table, folder / f"{name}.parquet")
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / COMPARISON).write_text(text + "\n", encoding="utf-8")


def _with_task(
    store: Store, bench: Benchmark, routers: Sequence[str], others: Sequence[str], seed: int, progress: Progress
) -> list[dict[str, Any]]:
    """Differences in the headline metric of routers given the task label of every prompt, to the same router without
    it and to ``others``; none where the benchmark has no tasks to tell apart."""
    params = shipped_params(bench.tasks)
    if not params:
        return []
    plain = {name: run_router(store, bench, name, seed=seed) for name in dict.fromkeys([*others, *routers])}
    with_label = {
        name + WITH_TASK: run_router(store, bench, name, seed=seed, params=params, progress=progress)
        for name in routers
    }
    setting = make_setting(bench)
    runs = {
        name: {seed: Candidate.of_run(setting, store.load_run(run.run_id))}
        for name, run in (plain | with_label).items()
    }
    differences = compare({seed: setting}, runs, against=list(plain)).differences
    rows = differences["router"].isin(with_label) & (differences["metric"] == HEADLINE) & (differences["seed"] == MEAN)
    return records(differences[rows])


def make_built_in(files: Path, data: Path, recipe: BuiltInRecipe, embed: Embed) -> None:
    """Write a benchmark that ships whole, from its file and the existing tables of its models.

    Parameters
    ----------
    files : folder of the benchmarks' files.
    data : folder that has ``benchmarks/``.
    embed : function from texts to unit vectors of the bundled encoder.
    """
    path, folder = files / recipe.card.file, data / built_in.FOLDER / recipe.card.name
    card = replace(recipe.card, sha256=sha256_of(path))
    frames = priced(path, built_in.prices_of(folder)) if recipe.priced else read_any(path)
    built_in.write_built_in(frames, card, embed, folder, texts=recipe.texts)
    content = content_of(built_in.read_built_in(folder), split_seed=0)
    built_in.write_card(replace(card, data_hash=content.data_hash), folder)


def write_report(data: Path, page: Path, recipes: Sequence[Recipe | BuiltInRecipe] = _EVERY) -> None:
    """Write ``docs/results.md`` from the comparisons beside the benchmarks and the snapshots that ship."""
    folders = {
        recipe.name: data / (built_in.FOLDER if isinstance(recipe, BuiltInRecipe) else FOLDER) / recipe.name
        for recipe in recipes
    }
    documents = {name: read_comparison(folder) for name, folder in folders.items() if (folder / COMPARISON).exists()}
    snapshots = {name: read(folders[name]) for name in documents if (folders[name] / DOCUMENT).exists()}
    page.write_text(report(documents, recipes, snapshots), encoding="utf-8")


def _as_served(estimates: Mapping[str, Estimates]) -> dict[str, dict[str, Estimates]]:
    """The head's estimates without task labels, which most typed prompts lack, under the head's own name.

    Empty if it reads no labels: then it is the router of the same name among the others.
    """
    unlabelled = {
        name.removesuffix(WITHOUT_TASK): table for name, table in estimates.items() if name.endswith(WITHOUT_TASK)
    }
    return {LABELLED_HEAD: unlabelled} if unlabelled else {}


def _write_head(bench: Benchmark, head: tuple[Router, Mapping[str, Estimates], Setting], folder: Path) -> None:
    """Write the small router that estimates typed prompts if the benchmark is not available."""
    fitted, estimates, setting = head
    about: Mapping[str, Any] = {
        "benchmark": bench.name,
        "data_hash": bench.data_hash,
        "fitted_on": f"{len(setting.train.prompt_ids)} {'' if setting.n_folds else 'train '}prompts",
        "cost_unit_usd": setting.cost_unit_usd,
        "best_single": setting.best_single,
        "seed": 0,
        "versions": versions(),
    }
    save_router(fitted, folder, about, profile_of(setting, fitted, estimates))


def make_snapshot(
    bench: Benchmark,
    info: BenchmarkInfo,
    routers: Mapping[str, Mapping[str, Estimates]],
    heads: Mapping[str, Mapping[str, Estimates]] | None = None,
) -> SnapshotResults:
    """A snapshot of some fitted routers and all baselines on one benchmark.

    Parameters
    ----------
    bench : the benchmark.
    info : its description.
    routers : estimates by router and split, from `carrot_core.evaluation.evaluate`.
    heads : the same for other routers that ship fitted: their curves and figures are stored, without comparisons.
    """
    setting = make_setting(bench)
    compared = {**routers, **setting.baselines}
    estimates = {**routers, **(heads or {}), **setting.baselines}
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    about = {}
    for name, table in estimates.items():
        curves = {
            "validation": setting.frontier(table, "validation"),
            "test": setting.frontier(table, setting.report_on),
        }
        for split, curve in curves.items():
            points = save_curve(curve)
            parts["curves"].append(_points(points).assign(router=name, split=split))
            shares = _shares(points, paired_errors(curve, points.share_rates, setting.best_single))
            parts["shares"].append(shares.assign(router=name, split=split))
        parts["bands"].append(_band_table(curves["test"]).assign(router=name))
        parts["tasks"].append(_tasks(setting, curves["test"]).assign(router=name))
        figures = measure_router(setting, table, setting.report_on)
        del figures["chosen_hull"]  # hundreds of rates, of use only for comparisons with the prompts available
        about[name] = {
            "models": list(curves["test"].models),
            "n_prompts": {split: curve.n_prompts for split, curve in curves.items()},
            "n_points": {split: len(curve.exchange_rate_per_usd) for split, curve in curves.items()},
            "figures": figures,
        }
    oracle = setting.frontier(setting.baselines["oracle"], setting.report_on)
    document = {
        "format": FORMAT,
        "benchmark": asdict(info),
        "models": list(setting.models),
        "best_single": setting.best_single,
        "cost_unit_usd": setting.cost_unit_usd,
        "single_models": single_models(setting),
        "tasks": sorted(set(setting.test.tasks) - {""}),
        "n_prompts": oracle.n_prompts,
        "n_dropped": 0,
        "n_incomplete": setting.n_incomplete("test"),
        "n_without_text": setting.n_without_text,
        "versions": versions(),
        "routers": about,
    }
    tables = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
    return SnapshotResults(document, tables, {name: ANALYSES[name].make(setting, compared) for name in SNAPSHOT_TABLES})


def _points(curve: SavedCurve) -> pd.DataFrame:
    latency = {} if curve.latency_s is None else dict(zip(LATENCY, curve.latency_s.astype(np.float32), strict=True))
    return pd.DataFrame(
        {
            "exchange_rate_per_usd": curve.exchange_rate_per_usd,
            "score": curve.score.astype(np.float32),
            "cost_usd": curve.cost_usd.astype(np.float32),
            **latency,
        }
    )


def _shares(curve: SavedCurve, paired: FloatArray) -> pd.DataFrame:
    table = pd.DataFrame(curve.share, columns=list(curve.models))
    both = np.vstack([np.asarray(curve.errors), paired]).astype(np.float32)
    return table.assign(
        exchange_rate_per_usd=curve.share_rates, **dict(zip((*ERRORS, *PAIRED_ERRORS), both, strict=True))
    )


def _band_table(curve: Frontier) -> pd.DataFrame:
    interval = band(curve)
    columns = {"cost_usd": interval.cost_usd, "score_low": interval.score_low, "score_high": interval.score_high}
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
    """Write a snapshot into a folder, replacing any that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    analyses = {f"{ANALYSIS}{name}": table for name, table in snapshot.analyses.items()}
    for name, table in {**snapshot.tables, **analyses}.items():
        write_table(table, folder / f"{name}.parquet")
    text = json.dumps(snapshot.document, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / DOCUMENT).write_text(text + "\n", encoding="utf-8")
