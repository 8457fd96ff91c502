"""What a reader sees first, without scrolling, and how far the keyboard alone gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page

from tests.browser.conftest import ROOT, at_rest

OpenApp = Callable[..., Page]


@pytest.fixture
def open_app(serve: Callable[..., str], open_page: Callable[..., Page], filled_home: Path) -> OpenApp:
    """Open a page of the app on results of one's own, two kept points and what ships."""
    return lambda path, **how: open_page(serve(ROOT / "app.py", CARROT_HOME=str(filled_home)) + path, **how)


def first_screen(page: Page) -> dict[str, Locator]:
    """What the first screen of the Overview must hold, by what it is."""
    live = page.locator(".live")
    doors = {
        name: page.get_by_role("link", name=name) for name in ("Try a prompt", "Use this point", "Your own results")
    }
    return {
        "what CARROT is": page.get_by_role("heading", level=1),
        "verdict": page.get_by_test_id("stMarkdown").filter(has_text="mixing models blindly"),
        "accuracy": live.locator("[data-read=score]"),
        "cost": live.locator("[data-read=cost]"),
        "saving": live.locator("[data-read=reference]"),
        "chart": live.locator(".plot"),
        "slider": live.locator(".slider"),
        **doors,
    }


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
@pytest.mark.parametrize("bench", ["mmlu-pro-cot (snapshot)", "llmrouter-9-models (snapshot)"])
def test_the_answer_fits_the_first_screen(open_app: OpenApp, width: int, height: int, bench: str) -> None:
    page = open_app(f"/overview?bench={bench}", width=width)
    page.set_viewport_size({"width": width, "height": height})
    at_rest(page)
    for what, place in first_screen(page).items():
        box = place.bounding_box()
        assert box is not None, what
        assert box["y"] >= 0, what
        assert box["y"] + box["height"] <= height, (what, box)
        assert box["x"] + box["width"] <= width, (what, box)
    plot = page.locator(".live .plot").bounding_box()
    assert plot is not None
    assert plot["height"] >= 290
    saved = page.locator(".live [data-read=reference]").inner_text().removeprefix("costs ").removesuffix(" less")
    assert f"for {saved}" in first_screen(page)["verdict"].inner_text()
