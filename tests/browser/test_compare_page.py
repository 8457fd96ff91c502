"""The Compare page as people use it: its sections, a link that reopens one, names that are markup, a phone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from carrot_core.dashboard.compare import GROUPS
from carrot_core.outcomes import Outcomes
from carrot_core.store import Store
from tests.browser.conftest import ROOT, at_rest, check_texts_and_widths, click
from tests.made import MODELS, PRICES, fill, made

APP = ROOT / "app.py"
HOSTILE = "<img src=x onerror=window.__xss=1>"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one benchmark, one of its models and one of its tasks hostile, CARROT-KNN fitted on it."""
    folder = tmp_path_factory.mktemp("home")
    store, plain = Store(folder / "carrot.duckdb"), made(300)
    names, old = (HOSTILE, *MODELS[1:]), plain.outcomes
    bench = replace(
        plain,
        outcomes=Outcomes(old.prompt_ids, names, old.score, old.cost_usd),
        prices=dict(zip(names, PRICES.values(), strict=True)),
        tasks=tuple(HOSTILE if task == "kind 0" else task for task in plain.tasks),
        texts=tuple(f"{HOSTILE} {text}" for text in plain.texts),
    )
    fill(store, bench, "carrot-knn")
    return folder


@pytest.fixture
def open_compare(serve: Callable[..., str], open_page: Callable[..., Page], home: Path) -> Callable[..., Page]:
    """Open the page on that store."""
    address = serve(APP, CARROT_HOME=str(home)) + "/compare"
    return lambda query="", **how: open_page(address + query, ready="[data-testid=stButtonGroup]", **how)


def test_a_section_chosen_is_in_the_link_and_opens_again(open_compare: Callable[..., Page]) -> None:
    page = open_compare()
    click(page.get_by_role("radio", name="Differences"))
    expect(page.get_by_text("minus the column's")).to_be_visible()
    at_rest(page)
    again = open_compare(f"?{page.url.split('?', 1)[1]}")
    expect(again.get_by_role("radio", name="Differences")).to_be_checked()
    expect(again.get_by_text("minus the column's")).to_be_visible()


def test_names_are_text_and_nothing_is_wider_than_the_screen(open_compare: Callable[..., Page]) -> None:
    page = open_compare()
    for group, sections in GROUPS.items():
        click(page.get_by_role("radio", name=group, exact=True))
        for section in sections:
            click(page.get_by_role("radio", name=section, exact=True))
            expect(page.get_by_role("radio", name=section, exact=True)).to_be_checked()
            check_texts_and_widths(page)


def test_the_arrow_keys_go_through_the_sections(open_compare: Callable[..., Page]) -> None:
    page = open_compare()
    page.get_by_role("radio", name="Metrics").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="Differences")).to_be_checked()
