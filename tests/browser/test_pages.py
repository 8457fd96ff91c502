"""The Frontier and the Overview as people use them, on a fitted benchmark with hostile names in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.dashboard.shell import PAGES
from carrot_core.outcomes import Outcomes
from carrot_core.store import Store
from tests.browser.conftest import LAUNCHER, ROOT, at_rest, check_texts_and_widths, choose, click
from tests.made import MODELS, PRICES, fill, made, write_files

APP = ROOT / "app.py"
HOSTILE = "<img src=x onerror=window.__xss=1>"
LONG = "an-organisation-with-a-name/that-goes-on-for-ever-and-a-day-in-one-unbroken-word-8x22b-instruct-v0.3"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a plain benchmark and a hostile one, CARROT-KNN fitted on both."""
    folder = tmp_path_factory.mktemp("home")
    store = Store(folder / "carrot.duckdb")
    plain = made(400)
    names = (HOSTILE, MODELS[1], LONG)
    old = plain.outcomes
    hostile = replace(
        plain,
        outcomes=Outcomes(old.prompt_ids, names, old.score, old.cost_usd),
        texts=(f"{HOSTILE} {HOSTILE}", *plain.texts[1:]),
        tasks=(f"{HOSTILE} task", *plain.tasks[1:]),
        prices=dict(zip(names, PRICES.values(), strict=True)),
    )
    for name, bench in (("plain", plain), ("hostile", hostile)):
        fill(store, replace(bench, name=name), "carrot-knn")
    return folder


@pytest.fixture
def open_app(serve: Callable[..., str], open_page: Callable[..., Page], home: Path) -> Callable[..., Page]:
    """Open a page of the app on that store."""
    return lambda path, **how: open_page(serve(APP, CARROT_HOME=str(home)) + path, **how)


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_letting_go_of_any_handle_moves_the_others_and_the_address(open_app: Callable[..., Page]) -> None:
    page = open_app("/frontier?bench=plain&lam=0.9")
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


# Each shift with the places it moved: what an element is, its left and upper edge before and after.
SHIFTS = """globalThis.shifts = [];
const edges = ({ node, previousRect: before, currentRect: after }) =>
  [node?.dataset?.testid ?? node?.className ?? "", before.x, before.y, after.x, after.y];
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries()) {
    if (!hadRecentInput) shifts.push([value, ...sources.map(edges)]);
  }
}).observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_moves_when_the_rest_arrives(
    serve: Callable[..., str], open_page: Callable[..., Page], home: Path, width: int
) -> None:
    """As `carrot app` serves it: every page, the first one on a cold browser."""
    address, moves = serve(LAUNCHER, CARROT_HOME=str(home)), {}
    page = open_page(address, width=width, ready="h1", before=lambda page: page.add_init_script(SHIFTS))
    for entry in PAGES:
        if entry is not PAGES[0]:
            page.goto(f"{address}/{entry.name}?bench=plain")
            page.locator("h1").first.wait_for(timeout=60_000)
            at_rest(page)
        page.wait_for_timeout(500)  # charts arrive after the script has run
        moves[entry.name] = page.evaluate("shifts")
    assert not {name: shifts for name, shifts in moves.items() if sum(value for value, *_ in shifts) > 0.1}


def test_a_link_reopens_exactly_what_is_seen(open_app: Callable[..., Page]) -> None:
    page = open_app("/frontier?bench=plain")
    click(page.get_by_text("Pool, tasks and curve"))
    for model in ("acme/large", "zeta/mid"):
        choose(page.get_by_test_id("stMultiSelect").filter(has_text="Pool"), model)
        page.wait_for_url(lambda url, model=model: model in parse_qs(urlsplit(url).query).get("pool", []))
        at_rest(page)
    live = page.locator(".live [role=slider]").first
    live.press("Home")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["lam"] == ["1.0"])
    at_rest(page)
    assert query(page)["pool"] == ["acme/large", "zeta/mid"]
    again = open_app("/frontier?" + urlsplit(page.url).query)
    said = ".live [role=slider]"
    assert again.locator(said).first.get_attribute("aria-valuetext") == page.locator(said).first.get_attribute(
        "aria-valuetext"
    )


def test_another_benchmark_starts_unfiltered_at_the_same_exchange_rate(open_app: Callable[..., Page]) -> None:
    page = open_app("/frontier?bench=plain&pool=acme/small&pool=zeta/mid&lam=0.9")
    price = page.locator(".live #price").input_value()
    choose(page.get_by_test_id("stSelectbox").filter(has_text="Benchmark"), "hostile")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["lam"] != ["0.9"])  # another cost unit
    at_rest(page)
    assert "pool" not in query(page)
    expect(page.locator(".live #price")).to_have_value(price)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/frontier", "/live", "/whatif", "/points", "/data"])
def test_names_that_are_markup_are_shown_and_do_nothing(open_app: Callable[..., Page], path: str) -> None:
    page = open_app(f"{path}?bench=hostile", ready="h1")
    for tab in page.get_by_role("tab").all():
        click(tab)
    for box in page.get_by_test_id("stExpander").all():
        if box.is_visible():  # those in the other tabs are not
            click(box)
    check_texts_and_widths(page)


def test_the_exact_curve_can_be_downloaded(open_app: Callable[..., Page], tmp_path: Path) -> None:
    page = open_app("/frontier?bench=plain")
    click(page.get_by_role("tab", name="Data"))
    page.get_by_role("button", name="Download the curve").wait_for()
    with page.expect_download() as download:
        click(page.get_by_role("button", name="Download the curve"))
    rows = Path(download.value.path()).read_text().splitlines()
    assert rows[0] == "exchange_rate_per_usd,lam,cost_usd,score"
    assert len(rows) > 10


def test_an_import_beside_the_open_app_shows_on_the_next_run(
    open_app: Callable[..., Page], home: Path, tmp_path: Path
) -> None:
    page = open_app("/data", ready="h1")
    results, _ = write_files(made(60, seed=8), tmp_path, "late")
    Store(home / "carrot.duckdb").save_benchmark("late", read_long_table(results), replace=True)
    menu = page.get_by_test_id("stTopNav")
    for name in ("Overview", "Data"):
        click(menu.get_by_role("link", name=name, exact=True))
        expect(page).to_have_title(f"{name} · CARROT")
    expect(page.get_by_test_id("stExpander").filter(has_text="late").first).to_be_visible()
