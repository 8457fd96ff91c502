"""A real Chromium against a real server, strict about what a page may do."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    TimeoutError,
    expect,
    sync_playwright,
)
from xdist.scheduler import LoadFileScheduling

from tests.browser.homes import odd_home, plain_home

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
LAUNCHER = ROOT / "carrot_core" / "dashboard" / "launcher" / "with_api.py"  # what `carrot app` runs
OF_ALL = {"PYTHONPATH": str(ROOT), "STREAMLIT_THEME_FONT": "sans-serif"}  # Streamlit's own font, everywhere the same
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Whether the script has ended since the page last asked for a run, from what goes over the wire: what Streamlit writes
# into the page comes later. A message is named by the number of its first field, after its hash and metadata. A server
# does not answer when a part of the page that is no more asks for a run, as one that runs every second may.
SCRIPT_ENDED = """(() => {
  const [RERUN_SCRIPT, NEW_SESSION, SCRIPT_FINISHED] = [11, 4, 6];
  const EARLY_FOR_RERUN = 2;
  const PATIENCE = 5000; // milliseconds
  let [state, asked] = ["asked for", Infinity];
  globalThis.scriptRuns = 0;
  globalThis.scriptEnded = () => state === "ended" || performance.now() - asked > PATIENCE;
  const message = (bytes) => {
    let at = 0;
    while (bytes[at] >> 3 === 1 || bytes[at] >> 3 === 2) {
      let [length, shift, byte] = [0, 0, 0];
      do {
        byte = bytes[++at];
        length |= (byte & 127) << shift;
        shift += 7;
      } while (byte & 128);
      at += 1 + length;
    }
    return [bytes[at] >> 3, bytes[at + 1]];
  };
  globalThis.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      this.addEventListener("message", ({ data }) => {
        const [kind, value] = message(new Uint8Array(data));
        if (kind === NEW_SESSION) {
          [state, asked] = ["running", Infinity];
          scriptRuns += 1;
        }
        if (kind === SCRIPT_FINISHED && state === "running" && value !== EARLY_FOR_RERUN) state = "ended";
      });
    }
    send(data) {
      if (message(data)[0] === RERUN_SCRIPT) {
        asked = state === "asked for" ? asked : performance.now();
        state = "asked for";
      }
      super.send(data);
    }
  };
})()"""
# Each shift of what is drawn with the places it moved: what an element is, its left and upper edge before and after.
SHIFTS = """globalThis.shifts = [];
const edges = ({ node, previousRect: before, currentRect: after }) =>
  [node?.dataset?.testid ?? node?.className ?? "", before.x, before.y, after.x, after.y];
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries()) {
    if (!hadRecentInput) shifts.push([value, ...sources.map(edges)]);
  }
}).observe({ type: "layout-shift", buffered: true });"""
# What is moved by frames, as a spinner or a notice is, is at its end at once: nobody waits, and nothing is drawn anew.
STILL = """{
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`*, *::before, *::after {
    animation-duration: 1ms !important; animation-delay: 0s !important; animation-iteration-count: 1 !important }`);
  document.adoptedStyleSheets.push(sheet);
}"""
DRAWN = """() => {
  const moving = document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime < Infinity);
  const still = Promise.allSettled(moving.map((one) => one.finished))
    .then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  return Promise.race([still, new Promise((done) => setTimeout(done, 5000))]).then(() => null);
}"""

Scheme = Literal["light", "dark"]

expect.set_options(timeout=20_000)


# Files whose tests ask the same server.
OF_ONE_SERVER = {
    "plain": {"test_first_screen.py", "test_links.py", "test_look.py"},
    "odd": {
        "test_compare_page.py",
        "test_controls.py",
        "test_data_page.py",
        "test_live_page.py",
        "test_pages.py",
        "test_points_page.py",
        "test_whatif_page.py",
    },
}


class _ByServer(LoadFileScheduling):
    """Gives a worker all files of one server, which else both would start and fill; any other file by itself."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        name = file.rpartition("/")[2]
        return next((server for server, files in OF_ONE_SERVER.items() if name in files), file)


@pytest.hookimpl(optionalhook=True)  # where xdist is switched off
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """In place of xdist's own groups, which do not reach pytest 9.2: it ignores the names they are marked by."""
    return _ByServer(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder drives a browser; pictures come first, as one page is to be seen on a cold browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("browser")
    items.sort(key=lambda item: (HERE in item.path.parents, item.path.name != "test_look.py"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium or Chrome; Playwright's own where there is none."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class _Servers:
    folder: Path
    running: dict[tuple[object, ...], tuple[subprocess.Popen[bytes], str]] = field(default_factory=dict)

    def __call__(self, script: Path, **environment: str) -> str:
        """Address of a Streamlit server on ``script``; the same one for the same environment, which may ask for TLS."""
        key = (script, *sorted(environment.items()))
        if key not in self.running:
            self.running[key] = self._start(script, environment, self.folder / f"{len(self.running)}.log")
        return self.running[key][1]

    def _start(self, script: Path, environment: dict[str, str], log: Path) -> tuple[subprocess.Popen[bytes], str]:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | OF_ALL | {"CARROT_HOME": str(self.folder)} | environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        tls = "STREAMLIT_SERVER_SSL_CERT_FILE" in environment
        address = f"{'https' if tls else 'http'}://localhost:{port}"
        health, trust = f"{address}/_stcore/health", ssl._create_unverified_context() if tls else None
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(f"the server on {script.name} ended:\n{log.read_text()}")
            with contextlib.suppress(OSError), urlopen(health, timeout=5, context=trust):
                return process, address
            time.sleep(0.1)
        process.kill()
        process.wait()
        pytest.fail(f"the server on {script.name} did not answer:\n{log.read_text()}")

    def stop(self) -> None:
        for process, _ in self.running.values():
            process.terminate()
        for process, _ in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # a machine with much else to do
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """``serve(script, NAME="value")`` starts Streamlit on a free port and gives its address."""
    servers = _Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


Filled = Callable[[str, Callable[[Path], object]], Path]


def _app(serve: Callable[..., str], filled_once: Filled, name: str, content: Callable[[Path], None], own: Path) -> str:
    """Address of the app, as ``carrot app`` serves it, on a copy of a home that is filled once for all workers."""
    shutil.copytree(filled_once(name, content), own, dirs_exist_ok=True)
    return serve(LAUNCHER, CARROT_HOME=str(own))


@pytest.fixture(scope="session")
def plain_app(serve: Callable[..., str], filled_once: Filled, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the app on results of one's own, two kept points and what ships."""
    return _app(serve, filled_once, "plain-home", plain_home, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of ``odd_app``, for tests that change it; they leave its benchmarks as they were."""
    return tmp_path_factory.mktemp("odd")


@pytest.fixture(scope="session")
def odd_app(serve: Callable[..., str], filled_once: Filled, odd_folder: Path) -> str:
    """Address of the app on `homes.odd_home`."""
    return _app(serve, filled_once, "odd-home", odd_home, odd_folder)


@dataclass
class Tab:
    """A page and what went wrong in it: requests to other hosts than ``hosts``, errors of scripts and the console."""

    page: Page
    hosts: Collection[str | None] = ()
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self._requested(request.url))
        self.page.on("websocket", lambda socket: self._requested(socket.url))
        self.page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        self.page.on("console", lambda line: self.wrong.append(f"console: {line.text}") if _is_fault(line) else None)

    def _requested(self, url: str) -> None:
        if urlsplit(url).hostname not in (*self.hosts, None):
            self.wrong.append(f"request to another host: {url}")


def _is_fault(line: ConsoleMessage) -> bool:
    """Under a deep link Streamlit looks for the root of the app by trial: those misses are no fault of a page."""
    probing = "404 (Not Found)" in line.text and "/_stcore/" in line.location["url"]
    return line.type == "error" and not probing


Windows = Callable[..., BrowserContext]


@pytest.fixture(scope="session")
def window(chromium: Browser) -> Windows:
    """``window(width)``: the same one for every test, so that a browser reads Streamlit's scripts once."""

    @cache
    def opened(width: int) -> BrowserContext:
        phone = width < 600
        context = chromium.new_context(
            viewport={"width": width, "height": 1000}, has_touch=phone, is_mobile=phone,
            locale="en-GB", timezone_id="UTC",
        )  # fmt: skip
        context.add_init_script(f"{SCRIPT_ENDED};\n{SHIFTS};\n{STILL}")
        return context

    return opened


@dataclass
class _Pages:
    """Tabs that tests open. One of each width is used by one test after another: in a new one the browser compiles
    Streamlit's scripts again, which is most of the work of opening a page."""

    window: Windows
    idle: dict[int, Tab] = field(default_factory=dict)
    opened: list[Tab] = field(default_factory=list)
    _own: dict[int, Tab] = field(default_factory=dict)

    def __call__(
        self,
        url: str,
        *,
        width: int = 1440,
        scheme: Scheme = "light",
        ready: str = ".live .main-svg",
        before: Callable[[Page], None] | None = None,
    ) -> Page:
        """A page at rest; ``before`` sees it empty and new."""
        tab = None if before is not None else self.idle.pop(width, None)
        if tab is None:
            tab = Tab(self.window(width).new_page())
        if before is None:
            self._own.setdefault(width, tab)
        else:
            before(tab.page)
        tab.page.emulate_media(color_scheme=scheme)
        tab.hosts = {urlsplit(url).hostname}
        tab.wrong.clear()
        self.opened.append(tab)
        tab.page.goto(url)
        tab.page.locator(ready).first.wait_for(timeout=60_000)
        at_rest(tab.page)
        return tab.page

    def forgive(self, page: Page) -> None:
        """Drop what a test provoked on purpose."""
        next(tab.wrong for tab in self.opened if tab.page is page).clear()

    def check(self) -> None:
        """Fail on what went wrong; close every page but those that the next tests use."""
        opened, own, faults = self.opened, self._own, []
        self.opened, self._own = [], {}  # whatever goes wrong below
        for tab in opened:
            faults += tab.wrong
            if not tab.page.is_closed():
                faults += tab.page.locator("[data-testid=stException]").all_inner_texts()
        still_open = {width: tab for width, tab in own.items() if not tab.page.is_closed()}
        for context in {tab.page.context for tab in opened}:
            context.clear_cookies()  # a server refuses an upload with another one's
            for page in context.pages:
                if all(page is not tab.page for tab in (*still_open.values(), *self.idle.values())):
                    page.close()
        for width, tab in still_open.items():
            _empty(tab.page, width)
        self.idle |= still_open
        assert not faults, "\n".join(faults)


def _empty(page: Page, width: int) -> None:
    """Leave nothing of a test in a page."""
    page.unroute_all()
    if page.url.startswith("http"):  # an empty page has no store
        page.evaluate("() => { sessionStorage.clear(); localStorage.clear() }")
    page.goto("about:blank")
    page.mouse.move(0, 0)
    page.set_viewport_size({"width": width, "height": 1000})
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")


@pytest.fixture(scope="session")
def _tabs(window: Windows) -> _Pages:
    return _Pages(window)


@pytest.fixture
def open_page(_tabs: _Pages) -> Iterator[Callable[..., Page]]:
    """``open_page(url, width=, scheme=)``; the test fails on a request to another host or any error shown."""
    yield _tabs
    _tabs.check()


@pytest.fixture
def open_plain(plain_app: str, open_page: Callable[..., Page]) -> Callable[..., Page]:
    """``open_plain("/frontier?...")``: a page of the app on results of one's own, two kept points and what ships."""
    return lambda path, **how: open_page(plain_app + path, **how)


@pytest.fixture
def open_odd(odd_app: str, open_page: Callable[..., Page]) -> Callable[..., Page]:
    """``open_odd("/frontier?...")``: a page of the app on `homes.odd_home`."""
    return lambda path, **how: open_page(odd_app + path, **how)


def at_rest(page: Page) -> None:
    """Wait until the script has run, what moves has stopped (a list closes when an opening box scrolls it) and the
    browser has drawn; no longer than five seconds for the last two, which a browser may put off for ever.

    A link into a page runs its file first, under the file's name, and then the app.
    """
    for done in (False, True):
        page.wait_for_function(
            "() => scriptEnded() && !/^[a-z]+$/.test(document.title)"
            " && document.querySelector('[data-testid=stApp][data-test-script-state=notRunning]')",
            polling=20,
            timeout=60_000,
        )
        if not done:
            page.evaluate(DRAWN)


def click(place: Locator) -> None:
    """Click once the page is at rest: what is clicked while a page is drawn anew is lost."""
    at_rest(place.page)
    place.click()


def check_texts_and_widths(page: Page) -> None:
    """Texts that are markup did nothing, and nothing is wider than the screen, a desktop's or a phone's."""
    size = page.viewport_size
    for width in (390, 1440) if size and size["width"] == 390 else (1440, 390):
        page.set_viewport_size({"width": width, "height": 1000})
        at_rest(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_test_id("stMain").evaluate("it => it.scrollWidth") <= width
    assert page.evaluate("window.__xss") is None
    assert page.locator("img[src=x]").count() == 0


def unfold(page: Page) -> None:
    """Open every tab and every box of a page that is visible."""
    for tab in page.get_by_role("tab").all():
        click(tab)
    for box in page.get_by_test_id("stExpander").all():
        if box.is_visible():  # those in the other tabs are not
            click(box)


def choose(box: Locator, option: str) -> None:
    """Take an option of a box's list; a list that a redraw of the page closes is opened again."""
    choice = box.page.get_by_role("option", name=option, exact=True)
    for _ in range(10):
        at_rest(box.page)
        if not choice.is_visible():
            box.get_by_role("combobox").click()
        with contextlib.suppress(TimeoutError):
            choice.click(timeout=3000)
            return
    pytest.fail(f"the list never showed {option}")
