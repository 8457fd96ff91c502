"""The dashboard as `carrot app` serves it: what every response tells the browser, and pages that work under it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.store import Store
from tests import wording
from tests.browser.conftest import LAUNCHER, ROOT, Windows, click
from tests.tables import frames

LINK = "http://evil.example/x www.evil.example/x a@evil.example"
HARDENED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}


@pytest.fixture(scope="module")
def server(serve: Callable[..., str], home_of: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A public server of a fitted benchmark, and of one whose every text is an address."""
    home = tmp_path_factory.mktemp("public")
    shutil.copytree(home_of("carrot-knn"), home, dirs_exist_ok=True)
    tables = frames(n_prompts=12, n_models=2)
    linked = Frames(
        tables.prompts.assign(text=LINK, task=LINK),
        tables.models.replace("model-a", LINK),
        tables.outcomes.replace("model-a", LINK),
        Provenance(LINK, note=LINK),
        (LINK,),
    )
    Store(home / "carrot.duckdb").save_benchmark(LINK, linked)
    return serve(LAUNCHER, CARROT_HOME=str(home), CARROT_MODE="public")


PATHS = ("/", "/data", "/_stcore/health", "/static/none.js", "/api/v1/health", "/api/v1/none")


def test_every_response_tells_the_browser_what_it_must_not_do(server: str, window: Windows) -> None:
    """Tests of other files open every page under this policy; a violation is an error in the console and fails them."""
    request = window(1440).request
    for path in PATHS:
        headers = request.get(server + path).headers
        assert HARDENED.items() <= headers.items(), path
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "'unsafe-eval'" not in headers["content-security-policy"]
        assert "camera=()" in headers["permissions-policy"]
        assert "strict-transport-security" not in headers
        over_tls = request.get(server + path, headers={"X-Forwarded-Proto": "https"}).headers
        assert "max-age=" in over_tls["strict-transport-security"], path


def test_a_page_comes_with_the_style_of_today_and_a_file_as_it_is(server: str, window: Windows) -> None:
    request = window(1440).request
    style, as_a_page = (ROOT / "assets" / "page.css").read_text(), {"Accept": "text/html,*/*;q=0.8"}
    for path in ("/", "/data"):
        first = request.get(server + path, headers=as_a_page)
        again = request.get(server + path, headers={**as_a_page, "If-None-Match": first.headers["etag"]})
        assert style in first.text()
        assert (again.status, again.text()) == (200, first.text())
    assert request.get(f"{server}/_stcore/health", headers=as_a_page).text() == "ok"


def test_no_text_of_a_file_is_a_link_and_a_script_that_slips_into_a_page_does_not_run(
    server: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server}/data", ready="h1")
    expect(page.get_by_text("evil.example").first).to_be_visible()
    assert page.locator("a[href*='evil.example']").count() == 0
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.__xss = 1";
      document.body.append(script);
    }""")
    assert page.evaluate("window.__xss") is None
    open_page.forgive(page)  # type: ignore[attr-defined]


def test_a_visitor_keeps_a_point_that_another_does_not_see(server: str, open_page: Callable[..., Page]) -> None:
    mine = open_page(f"{server}/points?bench=made", ready="text=Keep this point")
    click(mine.get_by_role("button", name="Keep this point"))
    expect(mine.get_by_role("heading", name="Kept points (1)")).to_be_visible()
    other = open_page(f"{server}/points?bench=made", ready="text=Keep this point")
    expect(other.get_by_text(wording.NO_POINT)).to_be_visible()
    expect(other.get_by_role("button", name="Delete")).to_have_count(0)
