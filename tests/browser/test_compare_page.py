"""The Compare page as people use it: its sections, a link that reopens one, names that are markup, a phone."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from carrot_core.dashboard.compare import GROUPS
from tests.browser.conftest import at_rest, check_texts_and_widths, click
from tests.browser.homes import MARKUP


@pytest.fixture
def open_compare(open_odd: Callable[..., Page]) -> Callable[..., Page]:
    """Open the page, on a benchmark whose every name is markup."""
    return lambda: open_odd(f"/compare?{urlencode({'bench': MARKUP})}", ready="[data-testid=stButtonGroup]")


def test_a_section_chosen_by_arrow_keys_is_in_the_link_and_opens_again(open_compare: Callable[..., Page]) -> None:
    page = open_compare()
    page.get_by_role("radio", name="Metrics").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_text("minus the column's")).to_be_visible()
    at_rest(page)
    page.goto(page.url)
    expect(page.get_by_role("radio", name="Differences")).to_be_checked()
    expect(page.get_by_text("minus the column's")).to_be_visible()


def test_names_are_text_and_nothing_is_wider_than_the_screen(open_compare: Callable[..., Page]) -> None:
    page = open_compare()
    for group, sections in GROUPS.items():
        click(page.get_by_role("radio", name=group, exact=True))
        for section in sections:
            click(page.get_by_role("radio", name=section, exact=True))
            expect(page.get_by_role("radio", name=section, exact=True)).to_be_checked()
            check_texts_and_widths(page)
    click(page.get_by_role("radio", name="Result", exact=True))
    page.set_viewport_size({"width": 390, "height": 844})
    at_rest(page)
    within = "box => [...box.querySelectorAll('*')].every(part => part.scrollWidth <= box.clientWidth)"
    assert page.locator(".st-key-folding-metrics").evaluate(within)  # nothing to scroll sideways
