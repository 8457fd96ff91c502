"""Memory of the server: what a session's own data take goes with the session, and what is freed is given back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import streamlit as st
from streamlit.runtime.caching import clear_session_resource_cache
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.testing.v1 import AppTest

from carrot_core.dashboard.stores import Version, cached_by_version, give_back_memory, session_folder

computed: list[str] = []
sessions: list[str] = []


@cached_by_version(max_entries=4, show_spinner=False)
def content(version: Version) -> str:
    computed.append(version.content)
    return version.content


def page() -> None:
    from tests.dashboard import test_memory

    test_memory.visit()


def visit() -> None:
    context = get_script_run_ctx()
    assert context is not None
    sessions.append(context.session_id)
    for path, name in ((session_folder() / "carrot.store", "own"), (Path("/srv/carrot.store"), "shared")):
        st.text(content(Version(str(path), name)))


def test_what_is_computed_of_an_upload_goes_with_its_page_and_the_rest_stays() -> None:
    script = AppTest.from_function(page)
    for _ in range(2):
        assert [text.value for text in script.run().text] == ["own", "shared"]
    assert computed == ["own", "shared"]
    clear_session_resource_cache(sessions[-1])  # as Streamlit does when a page closes
    script.run()
    assert computed == ["own", "shared", "own"]


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked")
def test_freed_memory_between_what_is_in_use_is_given_back() -> None:
    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    blocks: list[bytearray | None] = [bytearray(b"x") * 100_000 for _ in range(1_000)]
    blocks[:-1] = [None] * 999  # what lies before a block in use
    before = resident_mb()
    give_back_memory()
    assert resident_mb() < before - 50
