"""Shared fixtures: the real benchmarks beside the checkout, and a home folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from carrot_core.store import Store
from tests import routerbench_files, sprout_files
from tests.hub_server import ROUTERBENCH, SPROUT, VARIANT, Hub, serving
from tests.tables import frames

# Compilation and slow machines are not failures, and a red run must be red again for the next person.
settings.register_profile("carrot", deadline=None, derandomize=True)
settings.load_profile("carrot")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one small benchmark, "first"."""
    store = Store(tmp_path / "carrot.duckdb")
    store.save_benchmark("first", frames())
    return store


@pytest.fixture
def hub(carrot_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine with the data sets that can be pulled; ``HF_ENDPOINT`` names it."""
    files = {
        SPROUT: sprout_files.repository(),
        VARIANT: sprout_files.repository(sprout_files.O3MINI, spelling=" "),
        ROUTERBENCH: routerbench_files.repository(),
    }
    with serving(files) as server:
        server.plain = {"README.md", ".gitattributes"}
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
