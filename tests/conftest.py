"""Shared fixtures: the real benchmarks beside the checkout, and a home folder of the test's own."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from carrot_core.benchmarks import pickles
from carrot_core.child import Budget
from carrot_core.evaluation import evaluate
from carrot_core.routers import mlp
from carrot_core.store import Store, intake
from tests import routerbench_files, sprout_files
from tests.forks import Forks, forking
from tests.hub_server import ROUTERBENCH, SPROUT, VARIANT, Hub, serving
from tests.made import fill, made
from tests.tables import frames

# Compilation and slow machines are not failures, and a red run must be red again for the next person.
settings.register_profile("carrot", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("carrot")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_finish() -> None:
    """What collection loaded stays to the end: each search for garbage would take half a second to go through it."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One process of a run compiles what numba does, and the others read it from its cache."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        with FileLock(tmp_path_factory.getbasetemp().parent / "compiled.lock"):
            evaluate(made(60), "carrot-knn", replicates=2)


@pytest.fixture
def shared_data() -> Path:
    """Folder of the real benchmarks; the test is skipped, saying so, where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real benchmarks (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture
def carrot_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh ``CARROT_HOME``."""
    monkeypatch.setenv("CARROT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``filled_once(name, fill)``: a folder that ``fill`` fills once for all processes of a run; for reading only."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, fill: Callable[[Path], object]) -> Path:
        place, done = base / name, base / f"{name}.done"
        with FileLock(base / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(place, ignore_errors=True)  # what an error left
                place.mkdir()
                fill(place)
                done.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def home_of(filled_once: Callable[[str, Callable[[Path], object]], Path]) -> Callable[..., Path]:
    """``home_of("carrot-knn")``: a home folder that holds "made" and this router fitted on it; for reading only."""

    @cache
    def home(*routers: str) -> Path:
        name = "-".join(("home", *routers))
        return filled_once(name, lambda folder: fill(Store(folder / "carrot.duckdb"), made(), *routers))

    return home


@pytest.fixture
def store_of(home_of: Callable[..., Path], carrot_home: Path) -> Callable[..., Store]:
    """``store_of("carrot-knn")``: the store of the test's own home, a copy of that of ``home_of``."""

    def store(*routers: str) -> Store:
        shutil.copytree(home_of(*routers), carrot_home, dirs_exist_ok=True)
        return Store()

    return store


@pytest.fixture(scope="session")
def first_saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a store with one small benchmark, "first"; to be copied."""
    store = Store(tmp_path_factory.mktemp("first") / "carrot.duckdb")
    store.save_benchmark("first", frames())
    return store.path


@pytest.fixture
def store(first_saved: Path, tmp_path: Path) -> Store:
    """A store of the test's own with one small benchmark, "first"."""
    return Store(shutil.copytree(first_saved, tmp_path / first_saved.name))


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Where work is started in other processes, to be killed or to run out of room."""
    with forking() as process:
        yield process


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickles and uploads are read in the test's own process: another costs a second where it is not the subject."""

    @contextmanager
    def here(
        work: str, request: dict[str, Any], budget: Budget, *, source: str, place: Path | None = None
    ) -> Iterator[tuple[Path, Any]]:
        module, _, name = work.partition(":")
        with tempfile.TemporaryDirectory(dir=place) as folder:
            answer = getattr(importlib.import_module(module), name)(Path(folder), **json.loads(json.dumps(request)))
            yield Path(folder), json.loads(json.dumps(answer))

    for reader in (pickles, intake):
        monkeypatch.setattr(reader, "in_child", here)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small networks of routers learn in one long step a pass where how well they learn is not the subject."""
    monkeypatch.setattr(mlp, "_STEPS", 1)
    monkeypatch.setattr(mlp, "_LEARNING_RATE", 0.05)


@cache
def _hub_files() -> dict[str, dict[str, bytes]]:
    return {
        SPROUT: sprout_files.repository(),
        VARIANT: sprout_files.repository(sprout_files.O3MINI, spelling=" "),
        ROUTERBENCH: routerbench_files.repository(),
    }


@pytest.fixture
def hub(carrot_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine with the data sets that can be pulled; ``HF_ENDPOINT`` names it."""
    with serving({name: dict(files) for name, files in _hub_files().items()}) as server:
        server.plain = {"README.md", ".gitattributes"}
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
