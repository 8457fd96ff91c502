"""Every page looks as it was approved: both widths, light and dark.

``make approve`` takes what the pages look like now as approved, after somebody has looked at
``test-results/look``, where every picture that differs lies beside its approved one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from PIL import Image
from playwright.sync_api import Page

from carrot_core.dashboard.shell import PAGES
from tests import looks
from tests.browser.conftest import ROOT, Scheme, Windows, at_rest, click

APPROVED = Path(__file__).resolve().parent / "approved"
RESULTS = ROOT / "test-results" / "look"
APPROVE = os.environ.get("CARROT_APPROVE") == "1"
HEIGHTS = {1440: 2000, 390: 2400}  # what a picture shows of a page, from its top
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SNAPSHOT = "mmlu-pro-cot (snapshot)"
# What a page is opened with, where its plain address would not show what it is for.
QUERIES = {"overview": {"bench": SNAPSHOT}, "frontier": {"bench": SNAPSHOT}, "live": {"bench": SNAPSHOT}}
STILL = """
*, *::before, *::after { animation: none !important; transition: none !important; caret-color: transparent !important }
[data-testid=stStatusWidget], [data-testid=stMainMenu] { visibility: hidden !important }
"""
# Times and dates of this run: whatever they are, the same stands there.
STEADY = r"""() => {
  const roots = [document.body]; // a component's own texts are under a root of its own
  for (const root of roots) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.shadowRoot) roots.push(node.shadowRoot);
      if (node.nodeType !== Node.TEXT_NODE) continue;
      const text = node.data
        .replace(/\b20\d\d-\d\d-\d\d \d\d:\d\d UTC/g, "2026-01-01 00:00 UTC")
        .replace(/Answered in \d+ ms: \d+ to read, \d+ to decide/g, "Answered in 9 ms: 6 to read, 3 to decide")
        .replace(/\b\d+(\.\d+)? (ms|s)\b/g, "9 $2");
      if (text !== node.data) node.data = text;
    }
  }
}"""


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], filled_home: Path) -> str:
    """A server on that home; Streamlit's own font, the same on every machine."""
    return serve(ROOT / "app.py", CARROT_HOME=str(filled_home), STREAMLIT_THEME_FONT="sans-serif")


@pytest.fixture(scope="module")
def pages(window: Windows) -> Iterator[Callable[[int, Scheme], Page]]:
    """``pages(width, scheme)``: the same page for all addresses."""
    opened: dict[tuple[int, Scheme], Page] = {}

    def page(width: int, scheme: Scheme) -> Page:
        if (width, scheme) not in opened:
            opened[width, scheme] = window(width, scheme, HEIGHTS[width]).new_page()
            opened[width, scheme].emulate_media(reduced_motion="reduce")
        return opened[width, scheme]

    yield page
    for one in opened.values():
        one.close()


def settled(page: Page) -> None:
    """Wait until the page, its charts and tables are drawn."""
    at_rest(page)
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner], [data-stale=true]')",
        timeout=30_000,
    )
    for waiting in page.get_by_text("Loading the chart").all():
        waiting.wait_for(state="hidden", timeout=30_000)
    page.evaluate("document.fonts.ready.then(() => null)")


def picture(page: Page, address: str, name: str, width: int, approved: Image.Image | None) -> Image.Image:
    """What a page looks like, as pictures are compared: as approved, or what it comes to rest at."""
    path = "" if name == PAGES[0].name else name
    page.goto(f"{address}/{path}?{urlencode(QUERIES.get(name, {}))}")
    page.locator("h1").first.wait_for(timeout=60_000)
    page.add_style_tag(content=STILL)
    settled(page)
    if name == "live":
        click(page.locator(".prompt .examples button").first)
        page.get_by_text("Answered in").wait_for(timeout=60_000)
    before, new = b"", None
    for _ in range(24):  # charts arrive after the script has run
        settled(page)
        page.evaluate(STEADY)
        shot = page.screenshot(animations="disabled", caret="hide")
        new = looks.shrunk(shot, width)
        if shot == before or (approved is not None and not looks.compare(new, approved).why):
            break
        before = shot
        page.wait_for_timeout(250)
    assert new is not None
    wrong = page.locator("[data-testid=stException]").or_(page.get_by_text("BidiComponent Error"))
    assert wrong.count() == 0, wrong.first.inner_text()  # never a picture to approve
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
    return new


@pytest.mark.parametrize("name", [entry.name for entry in PAGES])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", list(HEIGHTS))
def test_page_looks_as_approved(
    address: str, pages: Callable[[int, Scheme], Page], name: str, width: int, scheme: Scheme
) -> None:
    stem = f"{name}-{width}-{scheme}"
    path = APPROVED / f"{stem}{looks.ENDING}"
    for old in RESULTS.glob(f"{stem}*"):
        old.unlink()
    approved = Image.open(path).convert("RGB") if path.is_file() else None
    new = picture(pages(width, scheme), address, name, width, approved)
    result = None if approved is None else looks.compare(new, approved)
    if result is not None and not result.why:
        return
    if APPROVE:
        looks.save(new, path)
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    new.save(RESULTS / f"{stem}.png")
    if approved is None or result is None:
        pytest.fail(f"{stem} has no approved picture. Look at {RESULTS / stem}.png; `make approve` takes it.")
    sheet = RESULTS / f"{stem}-difference.png"
    looks.difference(new, approved, result).save(sheet)
    pytest.fail(f"{stem}: {result.why}. Look at {sheet}; if it is meant, `make approve` takes it.")


def test_pictures_are_of_pages_that_there_are_and_small() -> None:
    pictures = {
        f"{entry.name}-{width}-{scheme}{looks.ENDING}" for entry in PAGES for width in HEIGHTS for scheme in SCHEMES
    }
    stray = [path for path in APPROVED.glob("*") if path.name not in pictures]
    if APPROVE:
        for path in stray:
            path.unlink()
    else:
        assert not stray
    assert sum(path.stat().st_size for path in APPROVED.glob("*")) < 1_500_000
