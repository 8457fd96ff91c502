"""The Data page as people use it: hostile prompts are read, pages turned, a prompt opened, SQL asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from carrot_core.store import Store
from tests import wording
from tests.browser.conftest import at_rest, check_texts_and_widths, click, unfold
from tests.browser.homes import MARKUP


@pytest.fixture
def open_data(open_odd: Callable[..., Page]) -> Callable[..., Page]:
    """Open the Data page on a benchmark whose every text is markup, with a query."""
    return lambda query="view=Prompts": open_odd(
        f"/data?bench=hostile&{query}", ready="[data-testid=stDataFrame] canvas"
    )


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_hostile_texts_are_shown_as_they_are_and_fit_and_removing_takes_two_steps(
    open_data: Callable[..., Page], odd_folder: Path
) -> None:
    page = open_data("prompt=id+00007")
    expect(page.locator("[data-testid=stCode]", has_text=f"{MARKUP} number 7")).to_be_visible()
    unfold(page)
    check_texts_and_widths(page)
    click(page.get_by_role("tab", name="Benchmarks"))
    expect(page.get_by_role("button", name="Remove it")).to_have_count(0)
    click(page.get_by_role("button", name="Remove").first)
    expect(page.get_by_role("button", name="Remove it")).to_be_visible()
    page.keyboard.press("Escape")
    assert len(Store(odd_folder / "carrot.duckdb").benchmarks()) == 4


def test_hostile_names_in_every_view(open_data: Callable[..., Page]) -> None:
    page = open_data("view=Models")
    for view in ("Models", "Missing cells", "Scores", "Output tokens"):
        choice = page.get_by_role("radio", name=view, exact=True)
        click(choice)
        expect(choice).to_be_checked()
        at_rest(page)
        expect(page.get_by_role("button", name="Download").first).to_be_visible()
        check_texts_and_widths(page)


def test_pages_are_turned_and_a_row_opens_its_prompt(open_data: Callable[..., Page]) -> None:
    page = open_data()
    click(page.locator("[data-testid=stPagination]").get_by_text("2", exact=True))
    expect(page.get_by_text(wording.NEXT_PROMPTS)).to_be_visible()
    at_rest(page)
    assert query(page)["page"] == ["2"]
    table = page.locator("[data-testid=stDataFrame]").first
    expect(table).to_be_visible()
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 55)
    expect(page.locator("[data-testid=stCode]", has_text=f"{MARKUP} number 50")).to_be_visible()
    at_rest(page)
    assert query(page)["prompt"] == ["id 00050"]
    # On another page no row is chosen: the prompt stays open, and the same place opens the prompt that is there now.
    click(page.locator("[data-testid=stPagination]").get_by_text("1", exact=True))
    expect(page.get_by_text(wording.FIRST_PROMPTS)).to_be_visible()
    at_rest(page)
    assert query(page)["prompt"] == ["id 00050"]
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 55)
    expect(page.locator("[data-testid=stCode]", has_text=f"{MARKUP} number 0")).to_be_visible()


def test_sql_is_answered_and_no_table_has_a_download_of_its_own(open_data: Callable[..., Page]) -> None:
    page = open_data("sql=select+count(*)+as+n+from+prompts")
    expect(page.get_by_role("textbox", name="Query")).to_have_value("select count(*) as n from prompts")
    click(page.get_by_role("button", name="Run"))
    expect(page.get_by_role("button", name="Download the answer (CSV)")).to_be_visible()
    expect(page.get_by_text("1 row.")).to_be_visible()
    at_rest(page)
    tables = page.locator("[data-testid=stDataFrame]:visible")
    assert tables.count() > 1
    for number in range(tables.count()):
        tables.nth(number).hover()
        expect(tables.nth(number).get_by_role("button", name="Fullscreen")).to_be_visible()
        expect(tables.nth(number).get_by_role("button", name="Download as CSV")).to_have_count(0)
