"""A run of many prompts in a browser: it shows how far it is, can be ended, and its files can be downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import HERE, at_rest, click


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server puts its temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture
def open_panel(serve: Callable[..., str], open_page: Callable[..., Page], temporary: Path) -> Callable[..., Page]:
    """Open the panel, where a prompt takes a while and one job runs at a time."""
    slow = {"SECONDS_A_PROMPT": "0.01", "CARROT_LIMIT_WORK_AT_ONCE": "1"}
    return lambda: open_page(serve(HERE / "batch_app.py", TMPDIR=str(temporary), **slow), ready="h1")


def _paste(page: Page, count: int) -> None:
    page.get_by_label("Prompts, one a line").fill("\n".join(f"question {number}" for number in range(count)))
    page.get_by_role("button", name="Decide").click()


def test_a_run_is_ended_by_its_button_where_it_waits_and_where_it_runs_and_leaves_nothing(
    open_panel: Callable[..., Page], temporary: Path
) -> None:
    before = set(temporary.rglob("decisions.parquet"))
    page, other = open_panel(), open_panel()
    _paste(page, 2000)
    _paste(other, 10)
    expect(other.get_by_text("1 job runs first")).to_be_visible(timeout=5_000)
    other.get_by_role("button", name="Cancel").click()
    expect(other.get_by_text("no decisions were kept")).to_be_visible(timeout=5_000)
    expect(page.get_by_text("of 2,000 prompts").or_(page.get_by_text("prompts", exact=False)).first).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("no decisions were kept")).to_be_visible(timeout=5_000)
    at_rest(page)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_text("Decisions (CSV)")).to_have_count(0)
    for _ in range(50):  # the page says so first, then its files go
        if not list(temporary.rglob("*.part")):
            break
        page.wait_for_timeout(100)
    assert not list(temporary.rglob("*.part"))
    assert set(temporary.rglob("decisions.parquet")) <= before


def test_decisions_are_downloaded(open_panel: Callable[..., Page], tmp_path: Path) -> None:
    page = open_panel()
    _paste(page, 50)
    expect(page.get_by_text("50 prompts: expected accuracy")).to_be_visible()
    at_rest(page)
    for kind in ("CSV", "Parquet"):
        with page.expect_download() as download:
            click(page.get_by_role("button", name=f"Decisions ({kind})"))
        download.value.save_as(tmp_path / kind)
    csv, parquet = pd.read_csv(tmp_path / "CSV"), pd.read_parquet(tmp_path / "Parquet")
    assert len(csv) == len(parquet) == 50
    assert csv["model"].tolist() == parquet["model"].tolist()
