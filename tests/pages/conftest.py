"""Pages run without a browser, each test in a home of its own unless it only reads one that others read too."""

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


@pytest.fixture(scope="module", autouse=True)
def _fresh_caches() -> Iterator[None]:
    """Tests of one file share what Streamlit caches of a home; nothing of another file's stands there."""
    yield
    st.cache_data.clear()
    st.cache_resource.clear()
