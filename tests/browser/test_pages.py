"""The Frontier and the Overview as people use them, on a fitted benchmark with hostile names in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.store import Store
from tests.browser.conftest import at_rest, check_texts_and_widths, choose, click, unfold
from tests.browser.homes import MARKUP
from tests.made import made, write_files


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_letting_go_of_any_handle_moves_the_others_and_the_address(open_odd: Callable[..., Page]) -> None:
    page = open_odd("/frontier?bench=1st&lam=0.9")
    live = page.get_by_role("slider", name="λ")
    live.focus()
    live.press("PageUp")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["lam"] != ["0.9"])
    at_rest(page)
    first = float(query(page)["lam"][0])
    assert first < 0.9  # more accurate
    budget, target = (page.get_by_role("spinbutton", name=name) for name in ("Budget", "Target"))
    before = float(budget.input_value())
    at_rest(page)
    target.fill("100")
    target.press("Enter")
    page.wait_for_url(lambda url: float(parse_qs(urlsplit(url).query)["lam"][0]) != first)
    at_rest(page)
    expect(page.locator(".live #lam")).to_have_attribute("title", f"λ = {query(page)['lam'][0].removesuffix('.0')}")
    assert float(budget.input_value()) > before
    expect(page.locator(".missed")).to_contain_text("the most is")


def test_a_link_reopens_exactly_what_is_seen(open_odd: Callable[..., Page]) -> None:
    page = open_odd("/frontier?bench=1st")
    click(page.get_by_text("Pool, tasks, curve and colours"))
    for model in ("acme/large", "zeta/mid"):
        choose(page.get_by_test_id("stMultiSelect").filter(has_text="Pool"), model)
        page.wait_for_url(lambda url, model=model: model in parse_qs(urlsplit(url).query).get("pool", []))
        at_rest(page)
    live = page.locator(".live [role=slider]").first
    live.press("Home")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["lam"] == ["1.0"])
    at_rest(page)
    assert query(page)["pool"] == ["acme/large", "zeta/mid"]
    text = live.get_attribute("aria-valuetext")
    page.goto(page.url)
    expect(live).to_have_attribute("aria-valuetext", str(text))


def test_another_benchmark_starts_unfiltered_at_the_same_exchange_rate(open_odd: Callable[..., Page]) -> None:
    page = open_odd("/frontier?bench=1st&pool=acme/small&pool=zeta/mid&lam=0.9")
    price = page.locator(".live #price").input_value()
    choose(page.get_by_test_id("stSelectbox").filter(has_text="Benchmark"), MARKUP)
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["lam"] != ["0.9"])  # another cost unit
    at_rest(page)
    assert "pool" not in query(page)
    expect(page.locator(".live #price")).to_have_value(price)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/frontier"])  # the files of the other pages have a test of theirs
def test_names_that_are_markup_are_shown_and_do_nothing(open_odd: Callable[..., Page], path: str) -> None:
    page = open_odd(f"{path}?{urlencode({'bench': MARKUP})}", ready="h1")
    unfold(page)
    check_texts_and_widths(page)


def test_the_exact_curve_can_be_downloaded(open_odd: Callable[..., Page], tmp_path: Path) -> None:
    page = open_odd("/frontier?bench=1st&detail=Data")
    with page.expect_download() as download:
        click(page.get_by_role("button", name="Download the curve"))
    rows = Path(download.value.path()).read_text().splitlines()
    assert rows[0] == "exchange_rate_per_usd,lam,cost_usd,score"
    assert len(rows) > 10


def test_an_import_beside_the_open_app_shows_on_the_next_run(
    open_odd: Callable[..., Page], odd_folder: Path, tmp_path: Path
) -> None:
    page = open_odd("/data", ready="h1")
    results, _ = write_files(made(60, seed=8), tmp_path, "late")
    store = Store(odd_folder / "carrot.duckdb")
    store.save_benchmark("late", read_long_table(results))
    menu = page.get_by_test_id("stTopNav")
    for name in ("Overview", "Data"):
        click(menu.get_by_role("link", name=name, exact=True))
        expect(page).to_have_title(f"{name} · CARROT")
    expect(page.get_by_test_id("stExpander").filter(has_text="late").first).to_be_visible()
    store.remove_benchmark("late")
