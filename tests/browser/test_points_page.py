"""The Operating points page as people use it: keep, compare, rename, delete with undo, download, bring back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Download, Page, expect

from carrot_core import CarrotRouter
from carrot_core.points import PointShelf
from carrot_core.serving.point import read_point
from tests import wording
from tests.browser.conftest import at_rest, check_texts_and_widths, click, unfold
from tests.browser.homes import LONG, MARKUP

HEAD = "mmlu-pro-cot"


@pytest.fixture
def shelf(odd_app: str, odd_folder: Path) -> PointShelf:
    """Two kept points and no other, one of them with a name that is up to no good."""
    shelf = PointShelf(odd_folder / "points")
    for entry in shelf.listing().points:
        shelf.delete(entry.id)
    head = CarrotRouter.load(HEAD)
    shelf.keep(head.point_file(lam=0.1, note=f"{MARKUP}\n{MARKUP} {LONG}"))
    shelf.keep(head.point_file(lam=0.6, note=LONG))
    return shelf


@pytest.fixture
def open_points(open_odd: Callable[..., Page], shelf: PointShelf) -> Callable[..., Page]:
    """Open the page where these are kept."""
    return lambda: open_odd(f"/points?bench={HEAD} (snapshot)", ready="h1")


def at_work(page: Page) -> None:
    page.get_by_role("button", name="Keep this point").wait_for(timeout=60_000)
    at_rest(page)


def downloaded(page: Page, name: str) -> Download:
    """What a button of the first card's dialog of exports hands over; the dialog is opened where it is shut."""
    at_rest(page)
    button = page.get_by_role("button", name=name).first
    if not button.is_visible():
        page.get_by_role("button", name="Export", exact=True).first.click()
        button.wait_for()
        at_rest(page)
    with page.expect_download() as handed:
        button.click()
    return handed.value


def test_keep_compare_rename_delete_and_undo(open_points: Callable[..., Page], shelf: PointShelf) -> None:
    page = open_points()
    at_work(page)
    page.get_by_role("textbox", name="Name").first.fill("Night shift")
    click(page.get_by_role("button", name="Keep this point"))
    expect(page.get_by_text("Kept: CARROT-MLP")).to_be_visible()
    at_rest(page)
    expect(page.get_by_role("heading", name="Night shift")).to_be_visible()
    expect(page.get_by_role("textbox", name="Name").first).to_have_value("")
    expect(page.get_by_text("Kept points (3)")).to_be_visible()
    expect(page.get_by_text("Difference to")).to_be_visible()

    click(page.get_by_role("button", name="Rename").first)
    page.get_by_role("button", name="Save").wait_for()
    at_rest(page)
    page.get_by_role("textbox", name="Name").last.fill("Day shift")
    click(page.get_by_role("button", name="Save"))
    expect(page.get_by_role("heading", name="Day shift")).to_be_visible()
    at_rest(page)

    click(page.get_by_role("button", name="Delete").first)
    expect(page.get_by_text("Deleted Day shift.")).to_be_visible()
    expect(page.get_by_role("heading", name="Day shift")).to_have_count(0)
    click(page.get_by_role("button", name="Undo"))
    expect(page.get_by_role("heading", name="Day shift")).to_be_visible()
    assert len(shelf.listing().points) == 3


def test_a_download_is_the_point_and_comes_back(
    open_points: Callable[..., Page], shelf: PointShelf, tmp_path: Path
) -> None:
    page = open_points()
    at_work(page)
    file = tmp_path / "down.json"
    downloaded(page, "The document itself").save_as(file)
    assert read_point(file) in [entry.point for entry in shelf.listing().points]
    assert Path(downloaded(page, "Configuration of LiteLLM").path()).stat().st_size > 200
    click(page.get_by_role("tab", name="Describe it"))
    assert Path(downloaded(page, wording.PRINT_PAGE).path()).stat().st_size > 200
    click(page.get_by_role("dialog").get_by_role("button", name="Close"))

    for entry in shelf.listing().points:
        shelf.delete(entry.id)
    click(page.get_by_text(wording.BRING_POINT))
    at_rest(page)
    upload = page.get_by_test_id("stPopoverBody").locator("input[type=file]")
    upload.set_input_files(file)
    page.get_by_role("button", name="Keep it here").wait_for()
    click(page.get_by_role("button", name="Keep it here"))
    expect(page.get_by_text("Kept points (1)")).to_be_visible()
    changed = json.loads(file.read_text()) | {"lam": 0.9}
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    at_rest(page)
    upload.set_input_files(tmp_path / "changed.json")
    expect(page.get_by_text(wording.TAMPERED)).to_be_visible()


def test_hostile_and_long_names_are_shown_and_fit_and_a_point_in_use_is_that_of_the_other_pages(
    open_odd: Callable[..., Page], shelf: PointShelf
) -> None:
    page = open_odd(f"/points?{urlencode({'bench': MARKUP})}", ready="h1")
    at_work(page)
    unfold(page)
    check_texts_and_widths(page)
    click(page.get_by_role("button", name="Use it").first)
    expect(page.get_by_text("In use: CARROT-MLP")).to_be_visible(timeout=30_000)
    check_texts_and_widths(page)
    lam = page.url.split("lam=")[1].split("&")[0]
    assert lam in ("0.1", "0.6")
    click(page.get_by_test_id("stTopNav").get_by_role("link", name="Live prompt", exact=True))
    page.wait_for_url(lambda url: "/live" in url and f"lam={lam}" in url)
