"""The What-if page as people use it: editing a price, a link, a file brought back, names that are markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import at_rest, check_texts_and_widths, click, unfold
from tests.browser.homes import HOSTILE, MARKUP


@pytest.fixture
def open_whatif(open_odd: Callable[..., Page]) -> Callable[..., Page]:
    """Open the page on a benchmark whose every name is markup."""
    return lambda **query: open_odd(f"/whatif?{urlencode({'bench': MARKUP, **query})}")


def scenario_in(url: str) -> dict[str, object]:
    result: dict[str, object] = json.loads(parse_qs(urlsplit(url).query).get("scenario", ["{}"])[0])
    return result


def test_a_price_typed_into_the_table_moves_the_curve_and_a_file_brings_it_back(
    open_whatif: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_whatif()
    expect(page.get_by_text("Nothing is changed yet")).to_be_visible()
    at_rest(page)
    table = page.get_by_test_id("stDataFrame").first
    box = table.bounding_box()
    assert box is not None
    page.mouse.dblclick(box["x"] + 250, box["y"] + 52)  # input price of the first model
    typed = page.locator(".gdg-input")
    typed.fill("30")
    typed.press("Enter")
    page.wait_for_url(lambda url: "prices" in scenario_in(url))
    expect(page.get_by_text("Changed: prices set: 1.")).to_be_visible()
    prices = scenario_in(page.url)["prices"]
    assert isinstance(prices, dict)
    ((model, price),) = prices.items()
    assert price["input_usd_per_mtok"] == 30
    click(page.get_by_text("Save or load the scenario"))
    at_rest(page)
    with page.expect_download() as downloaded:
        page.get_by_role("button", name="Download the scenario").click()
    downloaded.value.save_as(tmp_path / "scenario.json")
    click(page.get_by_role("button", name="Reset all"))
    expect(page.get_by_text("Nothing is changed yet")).to_be_visible()
    at_rest(page)
    assert scenario_in(page.url) == {}
    page.locator("input[type=file]").set_input_files(tmp_path / "scenario.json")
    page.wait_for_url(lambda url: scenario_in(url).get("prices") == {model: price})
    expect(page.get_by_text("Changed: prices set: 1.")).to_be_visible()
    (tmp_path / "wrong.json").write_text('{"price_factor": -1}')
    at_rest(page)
    page.locator("input[type=file]").set_input_files(tmp_path / "wrong.json")
    expect(page.get_by_test_id("stAlert")).to_contain_text("price_factor")
    expect(page.get_by_text("Changed: prices set: 1.")).to_be_visible()


def test_a_scenario_in_a_link_opens_at_every_width_and_markup_stays_text(open_whatif: Callable[..., Page]) -> None:
    scenario = {"hypothetical": [{"name": "<b onclick=window.__xss=1>new", "base": HOSTILE, "score_offset": 0.05}]}
    page = open_whatif(scenario=json.dumps(scenario))
    expect(page.get_by_text("Changed: hypothetical models: 1.")).to_be_visible()
    unfold(page)
    click(page.get_by_role("tab", name="What would make"))
    expect(page.get_by_text("Exact, from the predictions")).to_be_visible()
    check_texts_and_widths(page)


def test_a_phone_shows_figures_then_settings_then_tables(open_whatif: Callable[..., Page]) -> None:
    page = open_whatif()
    page.set_viewport_size({"width": 390, "height": 844})
    at_rest(page)
    places = (
        page.locator(".live .plot"),
        page.get_by_role("spinbutton", name="Factor on all prices"),
        page.get_by_role("tab", name="Where the point goes"),
    )
    tops = [box["y"] for place in places if (box := place.bounding_box())]
    assert len(tops) == len(places)
    assert tops == sorted(tops)
