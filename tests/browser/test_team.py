"""A team's server, whose people log in at a provider of OpenID Connect on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from carrot_core import roles_audit
from carrot_core.store import Store
from tests.browser.conftest import LAUNCHER, Windows
from tests.tables import frames

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("oidc_provider_mock") is None, reason="the extra dev has the provider of logins"
)
_METADATA = "/.well-known/openid-configuration"
PEOPLE = {"ann": "admin", "vi": "viewer"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the server, with a benchmark."""
    home = tmp_path_factory.mktemp("team")
    Store(home / "carrot.duckdb").save_benchmark("ours", frames(n_prompts=30))
    return home


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Address of a provider of logins, which asks for a name and no password."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    for name in (*PEOPLE, "stranger"):
        claims = {"sub": name, "email": f"{name}@carrot.example", "email_verified": True}
        command += ["--user-claims", json.dumps(claims)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), urlopen(f"http://localhost:{port}{_METADATA}", timeout=5):
                    break
                time.sleep(0.1)
            yield f"http://localhost:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def address(home: Path, provider: str, serve: Callable[..., str]) -> str:
    """Address of the server."""
    lines = [f'"{name}@carrot.example" = "{role}"' for name, role in PEOPLE.items()]
    (home / "roles.toml").write_text("\n".join(["[people]", *lines]))
    (home / "secrets.toml").write_text(
        "[auth]\n"
        'redirect_uri = "http://localhost:{port}/oauth2callback"\n'
        f'cookie_secret = "{"x" * 48}"\n'
        'client_id = "carrot"\nclient_secret = "secret"\n'
        f'server_metadata_url = "{provider}{_METADATA}"\n'
    )
    return serve(
        LAUNCHER, CARROT_HOME=str(home), CARROT_MODE="team", CARROT_ROLES=str(home / "roles.toml"),
        STREAMLIT_SECRETS_FILES=str(home / "secrets.toml"),
    )  # fmt: skip


@pytest.fixture
def log_in(window: Windows, address: str) -> Iterator[Callable[[str], Page]]:
    """``log_in(name)``: a page of a browser in which somebody has logged in, and nobody else."""
    page = window(1440).new_page()

    def logged_in(name: str) -> Page:
        page.context.clear_cookies()
        page.goto(f"{address}/data")
        expect(page.get_by_text("This dashboard is a team's")).to_be_visible(timeout=60_000)
        expect(page.get_by_role("link", name="Overview")).to_have_count(0)
        page.get_by_role("button", name="Log in").click()
        page.get_by_placeholder("sub").fill(name)
        page.get_by_role("button", name="Authorize", exact=True).click()
        expect(page.get_by_role("button", name="Log out")).to_be_visible(timeout=60_000)
        return page

    yield logged_in
    page.context.clear_cookies()
    page.close()


def open_data(page: Page, address: str) -> None:
    page.goto(f"{address}/data")
    expect(page.get_by_role("tab", name="Look inside")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("heading", name="ours", exact=True)).to_be_visible()


def test_a_viewer_cannot_remove_what_an_admin_removes_and_restores(
    log_in: Callable[[str], Page], address: str, home: Path
) -> None:
    page = log_in("vi")
    open_data(page, address)
    expect(page.get_by_text("You are a viewer here")).to_be_visible()
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    page = log_in("ann")
    open_data(page, address)
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("ours is removed.")).to_be_visible()
    page.get_by_text("Trash (1)").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("ours is back.")).to_be_visible()
    lines = [json.loads(line) for line in (home / roles_audit.AUDIT).read_text().splitlines()]
    assert [tuple(line[key] for key in ("who", "what", "on", "result")) for line in lines] == [
        ("ann@carrot.example", "remove", "ours", "done"),
        ("ann@carrot.example", "restore", "ours", "done"),
    ]


def test_who_has_no_role_sees_nothing(log_in: Callable[[str], Page]) -> None:
    page = log_in("stranger")
    expect(page.get_by_text("has no role here")).to_be_visible()
    expect(page.get_by_role("link", name="Overview")).to_have_count(0)
    expect(page.get_by_role("heading")).to_have_count(1)
