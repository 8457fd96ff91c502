"""The bench of other packages' routers: what it needs, what it reports, and that ours is timed by the same code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from carrot_core.errors import CarrotError
from scripts.bench import others


def test_without_the_other_packages_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(CarrotError, match="make bench"):
        others.run(python=tmp_path / "python")


@pytest.mark.slow
def test_a_router_is_timed_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours alone, in a process of this Python: the other packages are not among the test environment's."""
    monkeypatch.setattr(others, "ROUTERS", dict.fromkeys([others.OURS], others.ROUTERS[others.OURS]))
    result = others.run(2, Path(sys.executable))
    assert result["times_carrot"] == {others.OURS: 1}
    assert all(result[figure][others.OURS] > 0 for figure in ("ms", "per_s", "cpu_ms", "peak_mib"))
    assert others.OURS in others.report(result)


def test_a_router_that_fails_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such package >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(CarrotError, match=rf"{others.OURS} .*no such package"):
        others.run(1, broken)
