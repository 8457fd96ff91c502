"""Pages run without a browser, each test in a home of its own and with nothing left in Streamlit's caches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner


@pytest.fixture(scope="session", autouse=True)
def _components_listed_once() -> Iterator[None]:
    """Streamlit reads the metadata of every installed package whenever a page runs; here at the first one."""
    manifests = manifest_scanner.scan_component_manifests()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda: manifests)
        yield


@pytest.fixture(autouse=True)
def _own_home(carrot_home: Path) -> None:
    """Where a test sets no other home, its own."""


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    """Nothing of another test stands in Streamlit's caches."""
    yield from emptied_caches()


def emptied_caches() -> Iterator[None]:
    """The body of ``_fresh_caches``; files whose tests only read one home take it once, to compute its figures once."""
    yield
    st.cache_data.clear()
    st.cache_resource.clear()
