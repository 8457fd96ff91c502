"""Links in a real browser: the menu's, one that is stale or hostile, those to terms.

That a link is also the first thing a server is ever asked, `test_hosting` tests.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

from playwright.sync_api import Page, expect

from carrot_core.dashboard.shell import PAGES
from tests.browser.conftest import at_rest, check_texts_and_widths, click

MENU = [entry.title for entry in PAGES]
HOSTILE = "<img src=x onerror=window.__xss=1> ![x](//host/x.png)"


def test_a_hostile_link_is_told_once_and_its_address_is_put_right(open_plain: Callable[..., Page]) -> None:
    request = {
        "bench": HOSTILE,
        "lam": "1e400",
        "pool": [HOSTILE, "y" * 9000],
        "reference": "x" * 9000,
        "along": HOSTILE,
    }
    page = open_plain(f"/frontier?{urlencode(request, doseq=True)}")
    notice = page.get_by_test_id("stAlert").filter(has_text="Not all of this link could be followed")
    expect(notice).to_have_count(1)
    for name in request:
        expect(notice).to_contain_text(f"{name}: ")
    expect(notice).to_contain_text("<img src=x onerror=window.__xss=1>")
    assert len(notice.inner_text()) < 1500
    check_texts_and_widths(page)
    left = parse_qs(urlsplit(page.url).query)
    assert set(left) == {"lam"}
    assert 0 <= float(left["lam"][0]) <= 1
    live = page.locator(".live [role=slider]").first
    live.focus()
    live.press("PageUp")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["lam"] != left["lam"])
    at_rest(page)
    expect(notice).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("Frontier")


def test_a_term_is_told_beside_its_link_and_a_tip_leads_to_it(open_plain: Callable[..., Page]) -> None:
    page = open_plain("/frontier")
    click(page.get_by_text("How to read the chart", exact=True))
    address, link = page.url, page.get_by_role("link", name="Exchange rate")
    link.click()
    card = page.get_by_role("dialog").filter(has_text="Exchange rate")
    expect(card).to_contain_text("score units per dollar")
    assert (page.url, len(page.context.pages)) == (address, 1)
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(link).to_be_focused()
    page.get_by_test_id("stSelectbox").first.get_by_test_id("stTooltipIcon").hover()
    tip = page.get_by_test_id("stTooltipContent")
    expect(tip).to_contain_text("Benchmark")
    tip.get_by_role("link", name="More", exact=True).first.click()
    card = page.get_by_role("dialog", name="Benchmark")
    expect(card).to_be_visible()
    with page.context.expect_page() as opened:
        card.get_by_role("link").click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("Method")
    expect(opened.value.get_by_role("heading", level=2, name="Benchmark")).to_be_visible()


def test_the_menu_leads_to_every_page_and_a_pool_goes_along(open_plain: Callable[..., Page]) -> None:
    """Regression: with a page's icon as the tab's, the browser fetched it from a font server."""
    pool = ["acme/large", "zeta/mid"]
    page = open_plain(f"/frontier?{urlencode({'bench': 'made', 'pool': pool, 'reference': pool[1]}, doseq=True)}")
    filtered = ["Compare", "What-if", "Frontier"]
    for title in (*filtered, *(title for title in MENU if title not in filtered)):
        click(page.get_by_test_id("stTopNav").get_by_role("link", name=title, exact=True))
        expect(page).to_have_title(f"{title} · CARROT")
        at_rest(page)
        query = parse_qs(urlsplit(page.url).query)
        assert title not in filtered or query["pool"] == pool
        assert title != "Frontier" or query["reference"] == pool[1:]


def test_the_first_page_has_an_address_of_its_own_on_a_server_that_knows_its_pages(
    open_plain: Callable[..., Page],
) -> None:
    query = "bench=routellm+(snapshot)&lam=0.3"
    page = open_plain("/method", ready="h1")
    page.goto(page.url.replace("/method", f"/overview?{query}"))
    page.wait_for_url(lambda url: urlsplit(url).path == "/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("CARROT sends each prompt")
    at_rest(page)
    assert parse_qs(query).items() <= parse_qs(urlsplit(page.url).query).items()
    expect(page.get_by_role("dialog")).to_have_count(0)
    titles = page.get_by_test_id("stTopNavLink").all_inner_texts()
    assert [text.rpartition("\n")[2] for text in titles] == MENU  # their icons left out


def test_the_menu_keeps_the_benchmark_of_a_link(open_plain: Callable[..., Page]) -> None:
    """Regression: the first page after the link's own showed the first benchmark."""
    label = "mmlu-pro-cot (snapshot)"
    page = open_plain(f"/frontier?{urlencode({'bench': label})}")
    expect(page).to_have_title("Frontier · CARROT")  # a link into a page takes two runs; a click between them is lost
    for title in ("Compare", "Frontier"):
        at_rest(page)
        page.evaluate("history.replaceState(history.state, '', `${location.href}#late`)")  # as a script just before
        page.get_by_test_id("stTopNav").get_by_role("link", name=title, exact=True).click()
        expect(page).to_have_title(f"{title} · CARROT")
        at_rest(page)
        expect(page.get_by_role("combobox", name="Benchmark", exact=True)).to_have_value(label)
        assert parse_qs(urlsplit(page.url).query)["bench"] == [label]
    for step, title in ((page.go_back, "Compare"), (page.go_back, "Frontier"), (page.go_forward, "Compare")):
        step()
        expect(page).to_have_title(f"{title} · CARROT")
        at_rest(page)
        expect(page.get_by_role("combobox", name="Benchmark", exact=True)).to_have_value(label)
        assert parse_qs(urlsplit(page.url).query)["bench"] == [label]
