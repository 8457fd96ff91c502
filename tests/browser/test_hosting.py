"""The dashboard as other sites serve it, under their names: Streamlit Community Cloud, a Space in the hub's page."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from carrot_core.dashboard.shell import PAGES
from deploy.space import variables
from tests import wording
from tests.browser.conftest import FLAGS, LAUNCHER, ROOT, Tab

COMMUNITY_CLOUD = "carrot.streamlit.app"
SPACE, HUB, STRANGER = "someone-carrot.hf.space", "https://huggingface.co", "https://stranger.example"
SITES = {"localhost", COMMUNITY_CLOUD, SPACE, *(urlsplit(site).hostname for site in (HUB, STRANGER))}
MENU = [entry.title for entry in PAGES]
CHART, FIRST_ANSWER = ".live .main-svg", 60_000  # milliseconds in which a server that has just started draws it


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a server with a certificate of its own; browsers ask the names of these sites for TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl, which makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    names = ["-newkey", "rsa:2048", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=test", "-days", "1"]
    subprocess.run(["openssl", "req", "-x509", "-nodes", *names], cwd=folder, check=True, capture_output=True)
    files = {"CERT": folder / "cert.pem", "KEY": folder / "key.pem"}
    return {f"STREAMLIT_SERVER_SSL_{kind}_FILE": str(path) for kind, path in files.items()}


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser's window for which these sites are on this machine, and any certificate will do."""
    here = f"--host-resolver-rules=MAP {COMMUNITY_CLOUD} 127.0.0.1, MAP {SPACE} 127.0.0.1"
    flags = [*FLAGS, here, "--ignore-certificate-errors", "--disable-features=LocalNetworkAccessChecks"]
    browser = chromium.browser_type.launch(executable_path=shutil.which("chromium"), args=flags)
    yield browser.new_context()
    browser.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which no script may fail, the console has no error and no host is asked but these sites."""
    tab = Tab(context.new_page(), SITES)
    yield tab.page
    tab.page.close()
    assert not tab.wrong


def called(address: str, name: str) -> str:
    """A server's address under another name."""
    return address.replace("localhost", name)


def keeps(url: str, path: str, query: str) -> bool:
    """Whether an address is that of a page with all that was asked for; pages add what they opened with."""
    parts = urlsplit(url)
    return parts.path == path and parse_qs(query).items() <= parse_qs(parts.query).items()


def check_menu(page: Page | FrameLocator) -> None:
    """The menu is whole, and nothing says that there is no such page."""
    expect(page.get_by_test_id("stTopNavLink")).to_contain_text(MENU)
    expect(page.get_by_test_id("stTopNavLink")).to_have_count(len(MENU))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_community_cloud_shows_a_public_site_that_its_secrets_ask_for(
    serve: Callable[..., str], tls: dict[str, str], page: Page, tmp_path: Path
) -> None:
    """There it is `streamlit run app.py`; secrets lie in the home folder and become variables.

    A link with parameters is the first thing this server is ever asked.
    """
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "secrets.toml").write_text('CARROT_MODE = "public"\n')
    address = serve(ROOT / "app.py", HOME=str(tmp_path), CARROT_HOME=str(tmp_path / "home"), **tls)
    query = "bench=x&pool=a&pool=b"
    page.goto(f"{called(address, COMMUNITY_CLOUD)}/data?{query}")
    expect(page.get_by_text(wording.READ_ONLY).first).to_be_visible(timeout=FIRST_ANSWER)
    assert keeps(page.url, "/data", query)
    check_menu(page)
    page.goto(called(address, COMMUNITY_CLOUD))
    page.locator(CHART).first.wait_for(timeout=FIRST_ANSWER)


def test_a_name_that_others_know_needs_a_mode_though_the_server_listens_on_localhost(
    serve: Callable[..., str], tls: dict[str, str], page: Page, tmp_path: Path
) -> None:
    """Behind a proxy everybody would be taken for the owner; on localhost there is only the owner.

    A link with parameters is the first thing this server is ever asked, and its home folder is empty.
    """
    address, query = serve(ROOT / "app.py", CARROT_HOME=str(tmp_path), **tls), "bench=x&pool=a&pool=b"
    page.goto(f"{address}/data?{query}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Data", timeout=FIRST_ANSWER)
    page.wait_for_url(lambda url: keeps(url, "/data", query))
    check_menu(page)
    page.goto(called(address, COMMUNITY_CLOUD))
    expect(page.get_by_text("CARROT_MODE=public")).to_be_visible()
    expect(page.get_by_role("heading")).to_have_count(0)


@pytest.fixture(scope="module")
def space(
    serve: Callable[..., str], tls: dict[str, str], home_of: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:  # fmt: skip
    """A server with the variables that `deploy/space.py` sets."""
    home = tmp_path_factory.mktemp("space")
    shutil.copytree(home_of("carrot-knn"), home, dirs_exist_ok=True)
    return serve(LAUNCHER, CARROT_HOME=str(home), **variables(SPACE), **tls)


def show_in_frame(page: Page, site: str, address: str) -> None:
    """Open a page of a site that shows the address in a frame."""
    body = f"<!doctype html><iframe src='{address}' width=1200 height=900></iframe>"
    page.route(f"{site}/**", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(f"{site}/spaces/someone/carrot")


def test_a_space_works_inside_the_page_of_the_hub(space: str, page: Page) -> None:
    """A link to the first page by its name is the first thing this server is ever asked."""
    query = "bench=routellm+(snapshot)"
    show_in_frame(page, HUB, f"{called(space, SPACE)}/overview?{query}")
    inside = page.frame_locator("iframe")
    inside.locator(CHART).first.wait_for(timeout=FIRST_ANSWER)
    expect(inside.get_by_role("heading", level=1)).to_contain_text("CARROT sends each prompt")
    page.frames[1].wait_for_url(lambda url: keeps(url, "/", query))
    check_menu(inside)
    inside.get_by_role("link", name="Frontier").first.click()
    expect(inside.get_by_role("heading", level=1, name="Frontier")).to_be_visible()
    expect(inside.locator(CHART).first).to_be_visible()


def test_a_space_is_shown_in_the_frame_of_no_other_site(space: str, context: BrowserContext) -> None:
    page = context.new_page()  # the refusal is an error in its console
    with page.expect_event("requestfailed") as failed:
        show_in_frame(page, STRANGER, called(space, SPACE))
    assert failed.value.url.startswith(called(space, SPACE))
    assert failed.value.failure == "net::ERR_BLOCKED_BY_RESPONSE"


def test_a_space_lets_the_hub_frame_its_pages_and_nobody_its_api(space: str, page: Page) -> None:
    headers = page.request.get(space, ignore_https_errors=True).headers
    assert f"frame-ancestors {HUB};" in f"{headers['content-security-policy']};"
    assert "x-frame-options" not in headers
    headers = page.request.get(f"{space}/api/v1/health", ignore_https_errors=True).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


def test_a_space_answers_to_its_own_name_alone(space: str, page: Page) -> None:
    for name, status in ((SPACE, 200), ("another-carrot.hf.space", 403)):
        health = page.request.get(f"{space}/api/v1/health", headers={"Host": name}, ignore_https_errors=True)
        assert health.status == status
