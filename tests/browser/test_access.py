"""Every page can be read and used by everybody: axe-core finds nothing serious, in both themes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from carrot_core.dashboard.shell import PAGES
from tests.browser.conftest import ROOT, Scheme, at_rest, click

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# In the dark only colours are other ones.
RULES: dict[Scheme, dict[str, Any]] = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}
FINDINGS = """options => axe.run(document, { resultTypes: ["violations"], ...options }).then(({ violations }) =>
  violations.filter(({ id, impact }) => ["serious", "critical"].includes(impact) || id === "heading-order")
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\\n${failureSummary}`)))"""


@pytest.fixture
def open_app(serve: Callable[..., str], open_page: Callable[..., Page], filled_home: Path) -> Callable[..., Page]:
    """Open a page of the app on results of one's own, two kept points and what ships."""
    return lambda path, **how: open_page(serve(ROOT / "app.py", CARROT_HOME=str(filled_home)) + path, **how)


def findings(page: Page, scheme: Scheme) -> list[str]:
    """What axe-core calls serious or critical, and headings out of order; each with its element."""
    page.locator("[data-testid=stHtml] style").wait_for(state="attached")  # assets/page.css may come last
    at_rest(page)
    page.evaluate(AXE)
    return list(page.evaluate(FINDINGS, RULES[scheme]))


@pytest.mark.parametrize("scheme", list(RULES))
@pytest.mark.parametrize("name", [entry.name for entry in PAGES])
def test_axe_has_no_serious_finding(open_app: Callable[..., Page], name: str, scheme: Scheme) -> None:
    page = open_app(f"/{name}", scheme=scheme, ready="h1")
    if name == "live":
        click(page.locator(".prompt .examples button").first)
        page.locator(".decision .sentence").wait_for(timeout=60_000)
        click(page.get_by_text("Pool, λ by budget"))
    elif name == "frontier":
        page.locator(".live .main-svg").first.wait_for(timeout=60_000)
        click(page.get_by_role("combobox", name="Benchmark"))
        page.get_by_role("option").first.wait_for()
    assert not findings(page, scheme)


def test_axe_sees_inside_the_chart(open_app: Callable[..., Page]) -> None:
    page = open_app("/frontier")
    page.locator(".live .goals").evaluate("box => { box.style.opacity = 0.3 }")
    assert any(finding.startswith("color-contrast") for finding in findings(page, "dark"))
