"""Every page looks as it was approved, at both widths, light and dark; nothing of it moves, and all can read it.

``make approve`` takes what the pages look like now as approved, after somebody has looked at
``test-results/look``, where every picture that differs lies beside its approved one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from PIL import Image
from playwright.sync_api import Page

from carrot_core.dashboard.shell import PAGES
from tests import looks
from tests.browser.conftest import ROOT, Scheme, at_rest, click

APPROVED = Path(__file__).resolve().parent / "approved"
RESULTS = ROOT / "test-results" / "look"
APPROVE = os.environ.get("CARROT_APPROVE") == "1"
HEIGHTS = {1440: 2000, 390: 2400}  # what a picture shows of a page, from its top
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# In the dark only colours are other ones.
RULES: dict[Scheme, dict[str, Any]] = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}
FINDINGS = """options => axe.run(document, { resultTypes: ["violations"], ...options }).then(({ violations }) =>
  violations.filter(({ id, impact }) => ["serious", "critical"].includes(impact) || id === "heading-order")
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\\n${failureSummary}`)))"""
SNAPSHOT = "mmlu-pro-cot (snapshot)"
# What a page is opened with, where its plain address would not show what it is for.
QUERIES = {"overview": {"bench": SNAPSHOT}, "frontier": {"bench": SNAPSHOT}, "live": {"bench": SNAPSHOT}}
MENUS = {"overview": "Costs:", "live": "Pool, λ by budget", "data": "Remove"}  # open when axe-core looks
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


@dataclass
class Visit:
    """What a visit of a page at one width shows: by theme what it looks like and, on a desktop, what axe-core finds.

    ``shifts`` are those of its first drawing, each with its value first.
    """

    shifts: list[list[object]]
    pictures: dict[Scheme, Image.Image]
    findings: dict[Scheme, list[str]]


@pytest.fixture(scope="module")
def _visits() -> dict[tuple[str, int], Visit]:
    return {}


@pytest.fixture
def visit(open_plain: Callable[..., Page], _visits: dict[tuple[str, int], Visit]) -> Callable[[str, int], Visit]:
    """``visit(name, width)``: a page is opened once, for all that is told of it here."""

    def visited(name: str, width: int) -> Visit:
        if (name, width) not in _visits:
            first = name == PAGES[0].name  # is the first on a cold browser
            address = f"/{'' if first else name}?{urlencode(QUERIES.get(name, {}))}"
            before = (lambda page: None) if first else None
            _visits[name, width] = _look(open_plain(address, width=width, ready="h1", before=before), name, width)
        return _visits[name, width]

    return visited


def _look(page: Page, name: str, width: int) -> Visit:
    page.wait_for_timeout(500)  # charts arrive after the script has run
    shifts = page.evaluate("shifts")
    page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
    page.emulate_media(reduced_motion="reduce")
    page.add_style_tag(content=STILL)
    settled(page)
    if name == "live":
        click(page.locator(".prompt .examples button").first)
        page.get_by_text("Answered in").wait_for(timeout=60_000)
    pictures = {"light": picture(page, name, width, "light")}
    put_on(page, "dark")
    pictures["dark"] = picture(page, name, width, "dark")
    if width == min(HEIGHTS):
        return Visit(shifts, pictures, {})
    page.evaluate(AXE)
    in_the_dark = findings(page, name, "dark")
    put_on(page, "light")
    return Visit(shifts, pictures, {"light": findings(page, name, "light"), "dark": in_the_dark})


def put_on(page: Page, scheme: Scheme) -> None:
    """Change the theme, for which the script runs again."""
    runs = page.evaluate("scriptRuns")
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("runs => scriptRuns > runs", arg=runs)
    settled(page)


def findings(page: Page, name: str, scheme: Scheme) -> list[str]:
    """What axe-core calls serious or critical, and headings out of order; each with its element; a menu is open."""
    if name in MENUS and not page.get_by_test_id("stPopoverBody").is_visible():
        click(page.get_by_role("button", name=MENUS[name]).first)
    elif name == "frontier" and not page.get_by_role("option").first.is_visible():
        click(page.get_by_role("combobox", name="Benchmark"))
        page.get_by_role("option").first.wait_for()
    at_rest(page)
    return list(page.evaluate(FINDINGS, RULES[scheme]))


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


def approved(name: str, width: int, scheme: Scheme) -> Image.Image | None:
    path = APPROVED / f"{name}-{width}-{scheme}{looks.ENDING}"
    return Image.open(path).convert("RGB") if path.is_file() else None


def picture(page: Page, name: str, width: int, scheme: Scheme) -> Image.Image:
    """What a page looks like, as pictures are compared: as approved, or what it comes to rest at."""
    old = approved(name, width, scheme)
    before, new = b"", None
    for _ in range(24):  # charts arrive after the script has run
        settled(page)
        page.evaluate(STEADY)
        shot = page.screenshot(animations="disabled", caret="hide")
        new = looks.shrunk(shot, width)
        if shot == before or (old is not None and not looks.compare(new, old).why):
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
def test_page_looks_as_approved(visit: Callable[[str, int], Visit], name: str, width: int, scheme: Scheme) -> None:
    stem = f"{name}-{width}-{scheme}"
    for path in RESULTS.glob(f"{stem}*"):
        path.unlink()
    old, new = approved(name, width, scheme), visit(name, width).pictures[scheme]
    result = None if old is None else looks.compare(new, old)
    if result is not None and not result.why:
        return
    if APPROVE:
        looks.save(new, APPROVED / f"{stem}{looks.ENDING}")
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    new.save(RESULTS / f"{stem}.png")
    if old is None or result is None:
        pytest.fail(f"{stem} has no approved picture. Look at {RESULTS / stem}.png; `make approve` takes it.")
    sheet = RESULTS / f"{stem}-difference.png"
    looks.difference(new, old, result).save(sheet)
    pytest.fail(f"{stem}: {result.why}. Look at {sheet}; if it is meant, `make approve` takes it.")


@pytest.mark.parametrize("name", [entry.name for entry in PAGES])
@pytest.mark.parametrize("width", list(HEIGHTS))
def test_nothing_moves_when_the_rest_arrives(visit: Callable[[str, int], Visit], name: str, width: int) -> None:
    shifts = visit(name, width).shifts
    assert sum(value for value, *_ in shifts) <= 0.1, shifts


@pytest.mark.parametrize("scheme", list(RULES))
@pytest.mark.parametrize("name", [entry.name for entry in PAGES])
def test_axe_has_no_serious_finding(visit: Callable[[str, int], Visit], name: str, scheme: Scheme) -> None:
    assert not visit(name, max(HEIGHTS)).findings[scheme]


def test_axe_sees_inside_the_chart(open_plain: Callable[..., Page]) -> None:
    page = open_plain("/frontier")
    page.locator(".live .goals").evaluate("box => { box.style.opacity = 0.3 }")
    page.evaluate(AXE)
    findings = page.evaluate(FINDINGS, RULES["dark"])
    assert any(finding.startswith("color-contrast") for finding in findings)


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
