"""Shared fixtures: the real benchmarks beside the checkout, and a home folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

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
