"""The page of benchmarks: written by the run, explains every number, and reckons a billion from the rates."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scripts.bench import frontier, record
from scripts.bench.page import page
from scripts.bench.planning import BILLION, CORE_HOUR_USD, USE, planning, works


def test_a_run_keeps_what_others_measured_and_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*name, "init", "-q"], check=True)
    subprocess.run([*name, "commit", "-q", "--allow-empty", "-m", "Begin"], check=True)
    small = (lambda: frontier.run(40, 3), frontier.report)
    monkeypatch.setattr(record, "BENCHES", {"frontier": small, "frontier, a million prompts": small})
    lines: list[str] = []
    record.record(["frontier"], lines.append, tmp_path)
    first = json.loads((tmp_path / record.JSON).read_text(encoding="utf-8"))
    assert list(first) == list(record.BENCHES)
    assert len(lines) == len(first)
    record.record(["frontier, a million prompts"], lines.append, tmp_path)
    second = json.loads((tmp_path / record.JSON).read_text(encoding="utf-8"))
    assert second["frontier"] == first["frontier"]
    assert second["frontier"]["machine"]["cores"] >= 1
    assert (tmp_path / record.PAGE).read_text(encoding="utf-8") == page(second)


def test_the_page_in_the_docs_is_that_of_the_json() -> None:
    document = json.loads((record.ROOT / record.JSON).read_text(encoding="utf-8"))
    assert list(document) == [name for name in record.BENCHES if name in document]
    assert (record.ROOT / record.PAGE).read_text(encoding="utf-8") == page(document)


def test_a_billion_takes_as_long_as_its_rate_says() -> None:
    document = {"live": {"result": {"batched_per_cpu_second": 50.0}}}
    (work,) = works(document)
    assert work.core_hours == BILLION / 50.0 / USE / 3600
    assert f"{work.core_hours * CORE_HOUR_USD:,.0f}" in planning(document)
