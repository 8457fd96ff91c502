"""Two people at one server: what one uploads the other never sees, until it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import wording
from tests.browser.conftest import HERE, at_rest, click
from tests.made import long_frame, made

UNSEEN = "\u202egnp.exe"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps what its sessions upload."""
    return tmp_path_factory.mktemp("sessions")


@pytest.fixture(scope="module")
def address(serve: Callable[..., str], sessions: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a server that forgets a session as soon as its page is closed, which others keep for a while."""
    return serve(
        HERE / "upload_app.py",
        CARROT_HOME=str(tmp_path_factory.mktemp("uploads")),
        TMPDIR=str(sessions),
        STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL="1",
    )


def upload(page: Page, file: Path) -> None:
    at_rest(page)
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Check and load").wait_for()
    click(page.get_by_role("button", name="Check and load"))
    at_rest(page)


def test_what_is_uploaded_is_private_until_it_is_kept_and_goes_with_the_session(
    address: str, open_page: Callable[..., Page], sessions: Path, tmp_path: Path
) -> None:
    before = set(sessions.iterdir())  # of a test before this one, which may go meanwhile

    def folders() -> set[Path]:
        return set(sessions.glob("carrot-session-*")) - before

    file = tmp_path / "results.csv"
    long_frame(made(60)).to_csv(file, index=False)
    mine, other = open_page(address, ready="h1"), open_page(address, ready="h1")
    upload(mine, file)
    expect(mine.get_by_text("Loaded: results (only you)")).to_be_visible()
    other.reload()
    at_rest(other)
    expect(other.get_by_text("only you")).to_have_count(0)
    assert len(folders()) == 1
    upload(other, file)
    expect(other.get_by_text("Loaded: results (only you)")).to_be_visible()
    click(mine.get_by_test_id("stPopover").filter(has_text="Keep").get_by_role("button"))
    click(mine.get_by_role("button", name="Keep it in the store"))
    expect(mine.get_by_text("Loaded: results", exact=True)).to_be_visible()
    click(other.get_by_test_id("stPopover").filter(has_text="Remove").get_by_role("button"))
    click(other.get_by_role("button", name="Remove it", exact=True))
    expect(other.get_by_text("Loaded: results", exact=True)).to_be_visible()
    mine.goto("about:blank")
    until = time.monotonic() + 60
    while len(folders()) > 1 and time.monotonic() < until:
        mine.wait_for_timeout(100)
    assert len(folders()) == 1


def test_a_name_that_turns_its_surroundings_around_is_shown_by_its_codes(
    address: str, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    table = long_frame(made(30))
    table = table.drop(columns="cost_usd").replace({"acme/large": UNSEEN})
    file = tmp_path / "turned.csv"
    table.to_csv(file, index=False)
    page = open_page(address, ready="h1", width=390)
    upload(page, file)
    page.get_by_text(wording.PRICE_COLUMN).wait_for()
    text = page.evaluate("document.documentElement.innerHTML")
    assert "\u202e" not in text
    assert "⟨U+202E⟩gnp.exe" in text
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
