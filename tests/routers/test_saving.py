"""Saved routers: what comes back estimates the same, and what is not whole is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.embedding import BUNDLED
from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.evaluation import evaluate
from carrot_core.evaluation.runs import Trial, fitted_router
from carrot_core.outcomes import Benchmark
from carrot_core.paths import shipped
from carrot_core.routers import BY_NAME_ONLY, ROUTERS, Router, make_router
from carrot_core.routers.saving import load_router, load_saved, router_as_bytes, router_from_bytes, save_router
from carrot_core.store import Store
from tests.forks import FINISHED, Forks
from tests.made import made, write_files

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_steps")]


@pytest.fixture(scope="module")
def bench() -> Benchmark:
    return made(200)


@pytest.fixture
def saved(bench: Benchmark, tmp_path: Path) -> Path:
    save_router(make_router("carrot-knn", seed=3).fit(bench.part("train")), tmp_path / "knn", {"seed": 3})
    return tmp_path / "knn"


def rewritten(folder: Path, **changes: Any) -> None:
    path = folder / "router.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# Those by name only have tests of their own: their defaults need a download, or minutes.
SAVED = sorted(set(ROUTERS) - {"oracle", *BY_NAME_ONLY})


@cache
def fitted_on_made(name: str) -> Router:
    return make_router(name).fit(made(200).part("train"))


def same_estimates(fitted: Router, test: Benchmark, folder: Path) -> None:
    save_router(fitted, folder)
    again = load_router(folder, models=fitted.models_[::-1])
    expected, result = (router.estimate(test) for router in (fitted, again))
    assert result.models == expected.models
    np.testing.assert_array_equal(result.score, expected.score)
    np.testing.assert_array_equal(result.cost_usd, expected.cost_usd)


@pytest.mark.parametrize("name", SAVED)
def test_what_was_saved_estimates_the_same(name: str, bench: Benchmark, tmp_path: Path) -> None:
    same_estimates(fitted_on_made(name), bench.part("test"), tmp_path)


@pytest.mark.parametrize("name", ["carrot-blend", "carrot-linear", "carrot-mlp"])
def test_what_reads_task_labels_estimates_the_same_with_and_without(
    name: str, bench: Benchmark, tmp_path: Path
) -> None:
    fitted, test = make_router(name, use_task=True).fit(bench.part("train")), bench.part("test")
    same_estimates(
        fitted, replace(test, tasks=tuple(task if i % 2 else "" for i, task in enumerate(test.tasks))), tmp_path
    )


def estimate_again(folder: str, names: list[str]) -> None:
    """What a server does after it was started again; a fit would raise."""
    store = Store()
    bench = store.load("made", encoder=BUNDLED)
    ROUTERS.clear()
    for name in names:
        table = fitted_router(store, Trial(bench, name))[0].estimate(bench.part("test"))
        np.savez(f"{folder}/{name}.npz", score=table.score, cost_usd=table.cost_usd)


def test_a_stored_router_decides_in_another_process_as_it_did_where_it_was_fitted(
    bench: Benchmark, carrot_home: Path, forks: Forks
) -> None:
    """To the last bit, and without a fit, whatever router it is."""
    results, vectors = write_files(bench, carrot_home)
    store = Store()
    store.save_benchmark("made", read_long_table(results))
    store.import_vectors("made", vectors, BUNDLED)
    stored = store.load("made", encoder=BUNDLED)
    run = evaluate(stored, "zero", replicates=5)
    for name in SAVED:
        document, numbers = router_as_bytes(fitted_on_made(name))
        store.save_run(replace(run, router=name, router_json=document, router_safetensors=numbers))
    home = str(carrot_home)
    assert forks.run(estimate_again, home, SAVED, environment={"CARROT_HOME": home}) == FINISHED
    for name in SAVED:
        before = fitted_on_made(name).estimate(stored.part("test"))
        with np.load(carrot_home / f"{name}.npz") as after:
            assert np.array_equal(after["score"], before.score), name
            assert np.array_equal(after["cost_usd"], before.cost_usd), name


def test_saving_again_replaces_it(bench: Benchmark, saved: Path) -> None:
    save_router(make_router("zero").fit(bench), saved)
    assert load_router(saved).name == "zero"
    assert sorted(path.name for path in saved.iterdir()) == ["router.json", "router.safetensors"]


def test_a_router_that_shipped_is_written_again_as_readers_of_that_time_know_it(tmp_path: Path) -> None:
    folder = shipped("heads") / "frugalgpt-overruling"
    router, profile, document = load_saved(folder)
    save_router(router, tmp_path, document["about"], profile)
    for name in ("router.json", "router.safetensors"):
        assert (tmp_path / name).read_bytes().strip() == (folder / name).read_bytes().strip()


def test_where_it_comes_from_is_kept(saved: Path) -> None:
    assert json.loads((saved / "router.json").read_text())["about"] == {"seed": 3}


def test_another_pool_is_refused(saved: Path, bench: Benchmark) -> None:
    with pytest.raises(CarrotError, match="another pool: 'acme/small'"):
        load_router(saved, models=[name for name in bench.models if name != "acme/small"])


def test_numbers_of_another_router_are_refused(saved: Path, bench: Benchmark, tmp_path: Path) -> None:
    other = tmp_path / "other"
    save_router(make_router("carrot-knn").fit(bench), other)
    (saved / "router.safetensors").write_bytes((other / "router.safetensors").read_bytes())
    with pytest.raises(DataError, match="not the numbers"):
        load_router(saved)


def test_what_a_run_keeps_is_refused_where_it_is_not_whole(bench: Benchmark) -> None:
    document, numbers = router_as_bytes(make_router("zero").fit(bench))
    for damaged in ((document, numbers[:-1] + b"\x01"), (document[:-9], numbers), ("{}", numbers)):
        with pytest.raises(DataError, match="the stored router"):
            router_from_bytes(*damaged)


def test_names_bound_in_another_order_are_refused(saved: Path, bench: Benchmark) -> None:
    rewritten(saved, models=list(bench.models[::-1]))
    with pytest.raises(DataError, match="do not belong together"):
        load_router(saved)


@pytest.mark.parametrize(
    "state",
    [
        {"$class": "os.system", "state": {"$dict": {}}},
        {"$class": "Popen", "state": {"$dict": {"args": "touch /tmp/ran"}}},
        {"$array": "nowhere"},
        {"$tuple": 3},
        {},
    ],
)
def test_a_state_that_names_anything_else_is_refused_and_runs_nothing(saved: Path, state: dict[str, Any]) -> None:
    rewritten(saved, state=state)
    with pytest.raises(DataError, match="damaged"):
        load_router(saved)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 1}', "[" * 100_000])
def test_a_document_that_is_none_is_refused(saved: Path, text: str) -> None:
    (saved / "router.json").write_text(text)
    with pytest.raises(DataError, match="not the document"):
        load_router(saved)


def test_a_later_format_is_named(saved: Path) -> None:
    rewritten(saved, format=2)
    with pytest.raises(DataError, match="format 2"):
        load_router(saved)


def test_half_a_router_is_not_one(saved: Path) -> None:
    (saved / "router.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"router\.safetensors is missing"):
        load_router(saved)


def test_what_cannot_be_saved_says_so(bench: Benchmark, tmp_path: Path) -> None:
    for router, says in ((make_router("zero"), "not fitted"), (make_router("oracle").fit(bench), "cannot be saved")):
        with pytest.raises(CarrotError, match=says):
            save_router(router, tmp_path)
