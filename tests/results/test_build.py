"""The results that ship: made from files in one go, taken up where they stopped, and told no better than they are."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carrot_core import CarrotRouter
from carrot_core.benchmarks import built_in
from carrot_core.errors import DataError, NotFoundError
from carrot_core.results import FOLDER, shipped_snapshots, snapshot
from carrot_core.results.recipes import BUILT_IN_RECIPES, RECIPES, Recipe
from carrot_core.routers.saving import load_router
from carrot_core.serving.loading import HEADS, LABELLED_HEAD, SHIPPED_ROUTER, shipped_params
from carrot_core.store import Store
from scripts.results import build
from scripts.results.build import compare_built_in, make, write_report
from scripts.results.page import best_carrot, report
from tests.made import made, write_files

pytestmark = pytest.mark.slow

ROUTERS = ("carrot-knn", "carrot-linear", "cost-only", "task-lookup", "zero", "oracle")
SEEDS = (0, 1)
N = 90  # prompts


def quiet(what: str, unit: str) -> nullcontext[Any]:
    return nullcontext(lambda done, total: None)


RECIPE = Recipe("made-up", "made.parquet", "A made-up benchmark.", embeddings="made-vectors.parquet")


@pytest.fixture(scope="module")
def files(filled_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """What `make` wrote of a few prompts; its networks learn in a few steps, as how well they do is not looked at."""

    def fill(folder: Path) -> None:
        write_files(made(N), folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("carrot_core.routers.mlp._STEPS", 1)
            make(Store(folder / "carrot.duckdb"), folder, folder / "data", [RECIPE], SEEDS, ROUTERS, progress=quiet)

    return filled_once("results", fill)


@pytest.fixture
def data(files: Path) -> Path:
    return files / "data"


@pytest.fixture
def document(data: Path) -> dict[str, Any]:
    return build.read_comparison(data / FOLDER / RECIPE.name)


@pytest.fixture
def own_snapshot(data: Path) -> snapshot.SnapshotResults:
    return snapshot.read(data / FOLDER / RECIPE.name)


def test_snapshot_and_head_are_those_of_the_benchmark(data: Path) -> None:
    own_snapshot = snapshot.read(data / FOLDER / RECIPE.name)
    assert set(own_snapshot.routers) >= set(ROUTERS)
    assert all(name.startswith("carrot") for name in own_snapshot.routers[:2])
    bench = made(N)
    head = load_router(data / HEADS / RECIPE.name, models=bench.models)
    assert head.estimate(bench.part("test")).models == own_snapshot.models
    router = CarrotRouter.load(data / HEADS / RECIPE.name)
    assert router.task_labels == ("kind 0", "kind 1")
    served, own = own_snapshot.curve(LABELLED_HEAD), router.profile.curves["test"]
    assert LABELLED_HEAD not in own_snapshot.fitted
    np.testing.assert_array_equal(served.exchange_rate_per_usd, own.exchange_rate_per_usd)
    np.testing.assert_allclose(served.score, own.score, rtol=1e-6)


def test_a_head_reads_task_labels_where_there_are_several_to_tell() -> None:
    assert shipped_params(made(20).tasks) == {"use_task": True}
    assert shipped_params(["", "", "one"]) == {}


def test_nothing_is_fitted_again(data: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("fitted again")

    store = Store(files / "carrot.duckdb")
    before = store.version()
    monkeypatch.setattr("carrot_core.evaluation.runs.evaluate", refuse)
    make(store, files, files / "again", [RECIPE], SEEDS, ROUTERS, progress=quiet)
    assert store.version() == before
    for path in (data / FOLDER).rglob("*.parquet"):
        assert (files / "again" / path.relative_to(data)).read_bytes() == path.read_bytes()


def test_another_file_under_the_name_is_refused(data: Path, files: Path, tmp_path: Path) -> None:
    write_files(made(N, seed=1), tmp_path)
    with pytest.raises(DataError, match="read from another file"):
        make(Store(files / "carrot.duckdb"), tmp_path, tmp_path, [RECIPE], SEEDS, ROUTERS, progress=quiet)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"made\.parquet is missing"):
        make(Store(tmp_path / "carrot.duckdb"), tmp_path, tmp_path, [RECIPE], SEEDS, ROUTERS, progress=quiet)


def test_the_page_has_every_router_and_its_figures(data: Path, document: dict[str, Any], tmp_path: Path) -> None:
    write_report(data, tmp_path / "results.md", [RECIPE, RECIPES[0]])
    page = (tmp_path / "results.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| Task lookup"))
    (aiq,) = (
        row["value"]
        for row in document["figures"]
        if (row["router"], row["metric"], row["seed"]) == ("task-lookup", "aiq", "mean")
    )
    assert f"| {100 * aiq:.2f} [" in row
    assert "mmlu-pro-cot" not in page  # not made here
    assert "nan" not in page


def test_a_router_given_the_task_label_is_told_apart_from_itself_without(
    document: dict[str, Any], own_snapshot: snapshot.SnapshotResults
) -> None:
    rows = {(row["router"], row["against"]) for row in document["with_task"]}
    assert {("carrot-linear+task", "carrot-linear"), ("carrot-mlp+task", "carrot-mlp")} < rows
    assert {("carrot-linear+task", "task-lookup"), ("carrot-mlp+task", "task-lookup")} < rows
    assert not any("+task" in against for _, against in rows)
    document["with_task"] = [
        row | {"value": value, "low_all": value - 0.002, "high_all": value + 0.002}
        for row, value in zip(document["with_task"], [0.01, -0.01, 0.001] * len(rows), strict=False)
    ]
    page = report({RECIPE.name: document}, [RECIPE], {RECIPE.name: own_snapshot})
    assert "(+1.00 [+0.80, +1.20])" in page
    assert "not measurably different from" in page


def test_the_best_carrot_router_is_chosen_on_validation(document: dict[str, Any]) -> None:
    aiq = document["validation_aiq"]
    assert best_carrot(document) == max(("carrot-knn", "carrot-linear"), key=lambda name: aiq[name])
    worse = document | {"validation_aiq": aiq | {"carrot-knn": 0.9, "carrot-linear": 0.1, "oracle": 1.0}}
    assert best_carrot(worse) == "carrot-knn"


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.001, 0.02, "above"), (-0.02, -0.001, "below"), (-0.01, 0.01, "not measurably different from")],
)
def test_a_verdict_is_no_better_than_its_interval(
    document: dict[str, Any], own_snapshot: snapshot.SnapshotResults, low: float, high: float, says: str
) -> None:
    for row in document["differences"]:
        row.update(value=(low + high) / 2, low_all=low, high_all=high)
    page = report({RECIPE.name: document}, [RECIPE], {RECIPE.name: own_snapshot})
    assert f"is {says} the task lookup in corrected AIQ" in page
    assert f"{says} predicted cost alone in corrected AIQ" in page
    assert "the task lookup with input cost in corrected AIQ" not in page  # it did not run here


def test_a_qnc_that_is_never_reached_is_no_number(
    document: dict[str, Any], own_snapshot: snapshot.SnapshotResults
) -> None:
    rows = [row for row in document["figures"] if (row["router"], row["metric"]) == ("zero", "qnc")]
    for row in rows:
        row.update(value=None, low=None, high=None)
    results = {RECIPE.name: own_snapshot}
    assert "| never |" in next(
        line
        for line in report({RECIPE.name: document}, [RECIPE], results).splitlines()
        if line.startswith("| Zero router")
    )
    rows[0]["value"] = 0.5
    assert "reached on 1 of 2 seeds" in report({RECIPE.name: document}, [RECIPE], results)


def test_where_no_point_is_as_good_as_the_best_single_model_none_is_promised(
    document: dict[str, Any], own_snapshot: snapshot.SnapshotResults
) -> None:
    for about in own_snapshot.document["routers"].values():
        about["figures"]["match_best_single"] = None
    assert "can promise to be as good as" in report({RECIPE.name: document}, [RECIPE], {RECIPE.name: own_snapshot})


def test_results_of_an_earlier_protocol_do_not_stand_beside_others(document: dict[str, Any]) -> None:
    earlier = {name: value for name, value in document["protocol"][0].items() if name != "n_folds"}
    with pytest.raises(DataError, match="make them anew"):
        report({RECIPE.name: document | {"protocol": [earlier]}}, [RECIPE], {})


def test_every_snapshot_that_ships_has_a_recipe_a_head_and_a_place_on_the_page() -> None:
    root = Path(build.__file__).resolve().parents[2]
    page = (root / "docs" / "results.md").read_text()
    infos = shipped_snapshots()
    assert {info.name for info in infos} <= {recipe.name for recipe in RECIPES}
    for info in infos:
        document = build.read_comparison(info.folder)
        own_snapshot = snapshot.read(info.folder)
        assert (own_snapshot.info.data_hash, list(own_snapshot.models)) == (document["data_hash"], document["models"])
        head = load_router(root / "data" / HEADS / info.name, models=own_snapshot.models)
        assert head.name == SHIPPED_ROUTER
        assert f"## {info.name}\n" in page


def test_a_recipe_says_what_its_costs_are_and_of_when_its_models() -> None:
    for recipe in RECIPES:
        assert re.match(r"(recorded dollars|(list )?prices) of ", recipe.costs), recipe.name
        assert re.fullmatch(r"20\d\d(-\d\d)?", recipe.era)


def test_a_benchmark_that_ships_whole_is_compared_beside_its_files(tmp_path: Path) -> None:
    recipe = next(each for each in BUILT_IN_RECIPES if each.name == "misguided-attention")
    folder = tmp_path / built_in.FOLDER / recipe.name
    shutil.copytree(built_in.folder_of(recipe.name), folder)
    store = Store(tmp_path / "carrot.duckdb")
    compare_built_in(store, tmp_path, recipe, routers=("carrot-linear", "zero"), progress=quiet)
    document = build.read_comparison(folder)
    assert document["data_hash"] == built_in.card_of(folder).data_hash
    assert document["n_prompts"] == 52
    assert len(document["models"]) == 10  # those with a cost
    write_report(tmp_path, tmp_path / "results.md")
    assert "## misguided-attention\n" in (tmp_path / "results.md").read_text()
    built_in.write_card(replace(recipe.card, data_hash="another"), folder)
    with pytest.raises(DataError, match="remove it first"):
        compare_built_in(store, tmp_path, recipe, routers=("zero",), progress=quiet)


def test_what_ships_is_small() -> None:
    root = Path(build.__file__).resolve().parents[2]
    shipped = [path for folder in (FOLDER, HEADS) for path in (root / "data" / folder).rglob("*.*")]
    # 3 MB a benchmark: all of its curves with their errors, and the head that answers.
    assert sum(path.stat().st_size for path in shipped) < 3_200_000 * len(shipped_snapshots())
