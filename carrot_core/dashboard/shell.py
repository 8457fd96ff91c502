"""The frame around every page: table of pages, navigation, deep links, and display of errors."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer
from streamlit.errors import StreamlitAPIException
from streamlit.navigation.page import Page

from carrot_core import modes, paths
from carrot_core.benchmarks.built_in import SIMULATED
from carrot_core.dashboard import accounts, links
from carrot_core.dashboard.components import COMPONENT
from carrot_core.dashboard.glossary import in_words, link
from carrot_core.dashboard.links import plain as plain  # pages take it from here
from carrot_core.dashboard.stores import damaged_uploads, in_order, private_benchmarks
from carrot_core.errors import CarrotError
from carrot_core.figures.theme import ThemeName
from carrot_core.results import SnapshotInfo, damaged_snapshots, shipped_snapshots
from carrot_core.roles_audit import Role
from carrot_core.store import BenchmarkInfo, Store


@dataclass(frozen=True)
class PageEntry:
    """One page: its script is ``pages/<name>.py`` and its address ``/<name>``."""

    name: str
    title: str
    icon: str
    help: str


PAGES = (
    PageEntry("overview", "Overview", ":material/home:", "What routing saves on one benchmark, at a glance."),
    PageEntry(
        "frontier",
        "Frontier",
        ":material/show_chart:",
        "Every router's accuracy against its cost; drag λ and see what each model answers.",
    ),
    PageEntry(
        "compare",
        "Compare",
        ":material/compare_arrows:",
        "Routers side by side: figures with intervals and ranks, differences, what each gets wrong.",
    ),
    PageEntry("live", "Live prompt", ":material/edit_note:", "Type a prompt and see which model answers, and why."),
    PageEntry(
        "whatif",
        "What-if",
        ":material/tune:",
        "Change prices, tokens, tasks or models, and see the frontier and the point move.",
    ),
    PageEntry(
        "points",
        "Operating points",
        ":material/bookmarks:",
        "Keep points of a curve, see them side by side, download them, bring one back.",
    ),
    PageEntry("data", "Data", ":material/database:", "Which benchmarks are loaded, from where, and how complete."),
    PageEntry(
        "theory",
        "Theory",
        ":material/functions:",
        "How fast a router learns: the law, a simulation of it, and how many dimensions prompts fill.",
    ),
    PageEntry("method", "Method", ":material/menu_book:", "What every word means, and how the figures are made."),
)

_log = logging.getLogger(__name__)
_IN_APP = "carrot_in_app"
_GOTO = "goto"


def run() -> None:
    """Run the app; a server whose mode or address is refused shows why, on every page.

    The host name of a request is checked like the address: a proxy may forward requests from anywhere to localhost.
    """
    with errors_as_text():
        with _for_the_log():
            modes.check_address(st.get_option("server.address") or "")
            if host := st.context.headers.get("Host"):
                modes.check_address(urlsplit(f"//{host}").hostname or "")
            if modes.is_team():
                accounts.check_login()
        _run()


@contextmanager
def _for_the_log() -> Iterator[None]:
    """Write errors of the set-up to the log if others reach the server, since on the page strangers would read them."""
    try:
        yield
    except CarrotError as error:
        if not modes.is_shared():
            raise
        _log.error("%s", error)
        raise CarrotError("This server is not set up right; its log says why.") from error


def _run() -> None:
    """Draw the frame, then the page of the address."""
    assets = paths.app_script().parent / "assets"
    # Before the navigation: a page's own icon would become the tab's, fetched from Google's font server.
    st.set_page_config(page_icon=str(assets / "favicon.svg"), layout="wide")
    with _for_the_log():
        admitted = not modes.is_team() or accounts.admitted()
    if not admitted:
        return
    st.session_state[_IN_APP] = True
    home = PAGES[0].name
    pages = {
        entry.name: st.Page(
            f"pages/{entry.name}.py", title=entry.title, icon=entry.icon, help=entry.help,
            default=entry.name == home, url_path="" if entry.name == home else None,
        )
        for entry in PAGES
    }  # fmt: skip
    # Streamlit serves the default page only at "/": a hidden page at its own name redirects there.
    address = st.Page(lambda: None, title=PAGES[0].title, url_path=home, visibility="hidden")
    page = st.navigation([*pages.values(), address], position="top")
    _follow_deep_link(pages)
    if page is address:
        st.switch_page(pages[home], query_params=_query())
    st.set_page_config(f"{page.title} · CARROT")
    st.logo(str(assets / "logo.svg"), size="large")
    st.html(assets / "page.css")
    with st.container(key="frame", height=1, border=False):  # a line of one pixel until its style is loaded
        _frame()(key="frame:parts", data={"terms": in_words()}, on_ground_change=lambda: None)
    links.begin()
    try:
        page.run()
    finally:
        links.end()


@cache
def _frame() -> ComponentRenderer:
    """The button that copies the address, terms beside their links, and menus in the order of the Tab key."""
    html, css, js = ((COMPONENT / f"frame.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("carrot-core.frame", html=html, css=css, js=js)


def guard(page_file: str) -> None:
    """Restart a page through ``app.py`` if it runs without it; the first line of every page.

    Streamlit finds ``pages/`` by itself, so a server that has not run ``app.py`` yet answers a deep link with the
    bare page. The restart passes the page's name as one more query parameter and keeps the others.
    A page that runs without an app (a test, a notebook) simply goes on.

    Parameters
    ----------
    page_file : the page's ``__file__``.
    """
    if st.session_state.get(_IN_APP):
        return
    try:
        st.switch_page("app.py", query_params={**_query(), _GOTO: Path(page_file).stem})
    except StreamlitAPIException:
        return


def _follow_deep_link(pages: Mapping[str, Page]) -> None:
    if _GOTO not in st.query_params:
        return
    name = st.query_params[_GOTO]
    del st.query_params[_GOTO]
    if name in pages:
        st.switch_page(pages[name], query_params=_query())


def _query() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}


Door = tuple[str, str, str, dict[str, str]]  # page, words, icon, parameters of the address
# Next steps for a reader of the Overview.
_DOORS: tuple[Door, ...] = (
    ("live", "Try a prompt", ":material/edit_note:", {"try": "1"}),
    ("points", "Use this point", ":material/bookmark_add:", {}),
    ("data", "Your own results", ":material/upload:", {}),
)


def doors(entries: Sequence[Door] = _DOORS) -> None:
    """Links to what can be done next; nothing if the page runs without the app."""
    if st.session_state.get(_IN_APP):
        with st.container(horizontal=True, gap="xsmall", key="doors" if entries is _DOORS else None):
            for name, words, icon, query in entries:
                st.page_link(f"pages/{name}.py", label=words, icon=icon, width="content", query_params=query)


@contextmanager
def errors_as_text() -> Iterator[None]:
    """Show the message of a `CarrotError`; every other exception is a bug and is raised."""
    try:
        yield
    except CarrotError as error:
        st.error(plain(str(error)), icon=":material/error:")


def loaded_benchmarks() -> list[BenchmarkInfo]:
    """The loaded benchmarks, in the order of `all_benchmarks`. Without any, the page says what to do and stops."""
    return _require(in_order([*Store().benchmarks(), *private_benchmarks()]), "above")


def readable_benchmarks() -> list[BenchmarkInfo]:
    """`all_benchmarks`. Without any, the page says what to do and stops."""
    return _require(all_benchmarks(), "on the Data page")


def all_benchmarks() -> list[BenchmarkInfo]:
    """All benchmarks whose curves can be shown, loaded ones and snapshots that ship; pages open with the first.

    A snapshot whose name means other data of the store is left out.
    """
    store = Store()
    snapshots = [info for info in shipped_snapshots() if not store.shadows(info.name)]
    return in_order([*store.benchmarks(), *private_benchmarks(), *snapshots])


def damaged_benchmarks() -> dict[str, str]:
    """Why a benchmark, loaded or a snapshot, is left out everywhere, by its name: it cannot be read."""
    return damaged_snapshots() | Store().damaged() | damaged_uploads()


def damaged_note() -> None:
    """Say how many benchmarks are left out, which opens to their names, why and the remedy; nothing where none is."""
    if damaged := damaged_benchmarks():
        with st.popover(f"{len(damaged)} damaged", type="tertiary", icon=":material/broken_image:"):
            damaged_list(damaged)


def damaged_list(damaged: Mapping[str, str]) -> None:
    """Each damaged benchmark with the reason and the remedy; the others still work."""
    for name, reason in damaged.items():
        st.error(plain(f"{name} is damaged and left out. {reason}"), icon=":material/broken_image:")


def not_here(what: str) -> None:
    """Say, in a quiet line, what strangers and viewers cannot do, and where it is done."""
    whose = (
        "You are a viewer here; only editors can change things"
        if modes.is_team()
        else "This site is public and read-only"
    )
    st.caption(f":material/lock: {whose}. {what} on your own machine: `carrot app`.")


def _require(benchmarks: list[BenchmarkInfo], upload_place: str) -> list[BenchmarkInfo]:
    if not benchmarks:
        damaged_list(damaged_benchmarks())
    if not benchmarks and not modes.may(Role.EDITOR):
        st.info("There is nothing to show yet.")
        st.stop()
    if not benchmarks:
        st.info(
            "Nothing is loaded yet. `carrot setup` takes in the benchmarks that ship; "
            "`carrot data import FILE --name NAME` adds your own results. Then reload this page. "
            f"Or upload a file {upload_place}."
        )
        st.stop()
    return benchmarks


def kind_note(info: BenchmarkInfo) -> None:
    """Say that a benchmark is a snapshot without prompts, or simulated: a word that opens to a few sentences."""
    if isinstance(info, SnapshotInfo):
        kind = f"{info.era} models".strip()
        with st.popover(kind, type="tertiary", icon=":material/photo_camera:"):
            st.markdown(
                "The results are real; the prompts may not be passed on and are not here. λ, routers, budget and "
                "target work on the real curves. Leaving out models or tasks, looking at single prompts and fitting "
                "routers need the data: `carrot data import` or the Data page brings them. "
                + link("snapshot", "What a snapshot is")
            )
    if info.name == SIMULATED:
        with st.popover("Simulated: nothing here was measured", type="tertiary", icon=":material/science:"):
            st.markdown(
                "These models do not exist. The data are here so that everything can be tried offline; "
                "`carrot data import` brings real results. " + link("simulated", "What simulated means")
            )


def theme() -> ThemeName:
    """The reader's theme, for figures that Streamlit does not recolour itself."""
    return "dark" if st.context.theme.type == "dark" else "light"


def origin(info: BenchmarkInfo) -> str:
    """Where a benchmark comes from and how complete it is, in a sentence or two."""
    size = f"{info.n_prompts:,} prompts, {info.n_models} models, {info.n_outcomes:,} outcomes"
    source = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28}\b", r"\1", info.source)  # of a commit, what tells it from others
    text = f"{info.name}: {size} from {source}"
    note = re.sub(r"^rows where [^;]*", "some of its rows", info.note)  # that condition is SQL
    text += f" ({note})" if note else ""
    gaps = f" {info.n_missing:,} cells were not observed." if info.n_missing else " No cell is missing."
    caveat = f" {info.warnings[0]}" if info.ships else ""
    return f"{text}. Licence: {info.licence or 'not stated'}.{gaps} Split: {info.split_rule}.{caveat}"


@contextmanager
def file_progress() -> Iterator[Callable[[int, int, str], None]]:
    """A callback (bytes done, bytes of the file, its name) that draws how much of it has arrived, until the end."""
    bar = st.progress(0.0, "Asking the hub which files there are …")

    def arriving(done: int, total: int, name: str) -> None:
        share = min(done / total, 1.0) if total else 0.0
        bar.progress(share, plain(f"{name}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"))

    yield arriving
    bar.empty()
