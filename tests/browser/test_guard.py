"""A link to a page opens that page with its parameters, also as the first thing a server is ever asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from carrot_core.dashboard.shell import PAGES
from tests.browser.conftest import ROOT, at_rest, click

Serve = Callable[..., str]
APP = ROOT / "app.py"
MENU = [entry.title for entry in PAGES]


def links(page: Page) -> list[str]:
    """Titles in the menu, their icons left out."""
    return [text.rpartition("\n")[2] for text in page.get_by_test_id("stTopNavLink").all_inner_texts()]


def at_address(page: Page, path: str, query: str) -> None:
    """The page is there, with all that was asked for in its address; pages add what they opened with."""
    page.wait_for_url(lambda url: urlsplit(url).path == path, timeout=20_000)
    at_rest(page)
    assert parse_qs(query).items() <= parse_qs(urlsplit(page.url).query).items()


@pytest.mark.parametrize(
    ("address", "path", "heading"),
    [
        ("/data?bench=x&pool=a&pool=b", "/data", "Data"),
        ("/overview?bench=routellm+(snapshot)", "/", "CARROT sends each prompt"),
    ],
)
def test_first_link_to_a_fresh_server_keeps_page_and_parameters(
    serve: Serve, open_page: Callable[..., Page], tmp_path: Path, address: str, path: str, heading: str
) -> None:
    page = open_page(serve(APP, CARROT_HOME=str(tmp_path)) + address, ready="h1")
    at_address(page, path, urlsplit(address).query)
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
    assert links(page) == MENU
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_first_page_has_an_address_of_its_own_on_a_server_that_knows_its_pages(
    open_plain: Callable[..., Page],
) -> None:
    address = "bench=routellm+(snapshot)&lam=0.3"
    open_plain("/", ready="h1")
    page = open_plain(f"/overview?{address}", ready="h1")
    at_address(page, "/", address)
    expect(page.get_by_role("heading", level=1)).to_contain_text("CARROT sends each prompt")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert links(page) == MENU


def test_every_page_is_reached_by_the_menu_and_asks_no_other_host(open_plain: Callable[..., Page]) -> None:
    """Regression: with a page's icon as the tab's, the browser fetched it from a font server."""
    page = open_plain("/", ready="h1")
    for title in MENU[::-1]:
        click(page.get_by_test_id("stTopNav").get_by_role("link", name=title))
        expect(page).to_have_title(f"{title} · CARROT")
        at_rest(page)
