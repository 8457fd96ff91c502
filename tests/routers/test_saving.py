"""Saved routers: what comes back estimates the same, and what is not whole is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.outcomes import Benchmark
from carrot_core.paths import shipped
from carrot_core.routers import BY_NAME_ONLY, ROUTERS, make_router
from carrot_core.routers.saving import load_router, load_saved, save_router
from tests.made import made


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
@pytest.mark.parametrize("name", sorted(set(ROUTERS) - {"oracle", *BY_NAME_ONLY}))
def test_what_was_saved_estimates_the_same(name: str, bench: Benchmark, tmp_path: Path) -> None:
    fitted = make_router(name).fit(bench.part("train"))
    save_router(fitted, tmp_path)
    again = load_router(tmp_path, models=fitted.models_[::-1])
    expected, found = (router.estimate(bench.part("test")) for router in (fitted, again))
    assert found.models == expected.models
    np.testing.assert_array_equal(found.score, expected.score)
    np.testing.assert_array_equal(found.cost_usd, expected.cost_usd)


def test_saving_again_replaces_it(bench: Benchmark, saved: Path) -> None:
    save_router(make_router("zero").fit(bench), saved)
    assert load_router(saved).name == "zero"
    assert sorted(path.name for path in saved.iterdir()) == ["router.json", "router.safetensors"]


def test_a_router_that_shipped_is_written_again_as_readers_of_that_time_know_it(tmp_path: Path) -> None:
    folder = shipped("heads") / "frugalgpt-overruling"
    router, companion, document = load_saved(folder)
    save_router(router, tmp_path, document["about"], companion)
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
