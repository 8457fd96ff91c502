"""Home folders that servers of several files share: a plain one, and one of what is odd or two of a kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core import CarrotRouter
from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.evaluation.runs import compare_routers, run_router
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.points import PointShelf
from carrot_core.store import Store
from tests.made import MODELS, PRICES, fill, made, write_files
from tests.tables import frames

HOSTILE = "<img src=x onerror=window.__xss=1>"
MARKUP = f"{HOSTILE} ![x](//host/x.png) <script>window.__xss=1</script>"
LONG = "an-organisation-with-a-name/that-goes-on-for-ever-and-a-day-in-one-unbroken-word-8x22b-instruct-v0.3"


def _renamed(bench: Benchmark, models: tuple[str, ...]) -> Benchmark:
    old = bench.outcomes
    return replace(
        bench,
        outcomes=Outcomes(old.prompt_ids, models, old.score, old.cost_usd),
        prices=dict(zip(models, PRICES.values(), strict=True)),
    )


def _two_benchmarks() -> dict[str, Benchmark]:
    """Two benchmarks that share one model and no task."""
    second = _renamed(made(300, seed=5), ("other/huge", "acme/small", "other/tiny"))
    tasks = tuple(task.replace("kind", "sort") for task in second.tasks)
    return {
        "1st": made(300),
        "2nd": replace(second, tasks=tasks),
    }


BENCHMARKS = _two_benchmarks()  # by their names first in every list


def plain_home(home: Path) -> None:
    """Made-up results and two kept points."""
    fill(Store(home / "carrot.duckdb"), made(400), "carrot-knn")
    router, place = CarrotRouter.load("mmlu-pro-cot"), PointShelf(home / "points")
    with pytest.MonkeyPatch.context() as patch:  # they are listed by the time they were made
        for day, lam, name in ((2, 0.1, "Accurate"), (1, 0.6, "Cheap")):
            patch.setattr("carrot_core.serving.now", lambda day=day: f"2026-01-0{day}T00:00:00+00:00")
            place.keep(router.point_file(lam=lam, note=name))


def odd_home(home: Path) -> None:
    """`BENCHMARKS` with one router on both, on the first with a router and a seed more; two benchmarks of markup.

    CARROT-KNN is fitted on `MARKUP`, one of whose models has a long name; every text of the file "hostile" is markup.
    """
    store = Store(home / "carrot.duckdb")
    for name, bench in BENCHMARKS.items():
        results, vectors = write_files(bench, home, name)
        splits = np.repeat(bench.split, len(bench.models))
        pd.read_parquet(results).assign(split=splits).to_parquet(results)
        store.save_benchmark(name, read_long_table(results))
        store.import_vectors(name, vectors, BUNDLED)
    compare_routers(store, load_embedded(store, "1st"), ("carrot-knn", "carrot-linear"), range(2), replicates=20)
    run_router(store, load_embedded(store, "2nd"))
    plain = _renamed(made(300), (HOSTILE, MODELS[1], LONG))
    markup = replace(
        plain,
        name=MARKUP,
        texts=tuple(f"{HOSTILE} {text}" for text in plain.texts),
        tasks=tuple(f"{HOSTILE} task" if task == "kind 0" else task for task in plain.tasks),
    )
    fill(store, markup, "carrot-knn")
    tables = frames(n_prompts=120, n_models=3)
    texts = {
        "text": [f"{MARKUP} number {number}" for number in range(120)],
        "task": pd.Series([f"{MARKUP} {number % 2}" for number in range(120)], dtype=object),
    }
    store.save_benchmark(
        "hostile",
        Frames(
            tables.prompts.assign(**texts),
            tables.models.replace("model-a", MARKUP),
            tables.outcomes.replace("model-a", MARKUP),
            Provenance(f"{MARKUP}.csv", note=MARKUP),
            (MARKUP,),
        ),
    )
