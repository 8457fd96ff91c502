"""The HTTP API over a router fitted on the made-up benchmark, with vectors made from the text at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from carrot_core import serving
from carrot_core.api import Served, Settings, create_app
from carrot_core.embedding import Vectors
from carrot_core.evaluation import setting
from carrot_core.serving import CarrotRouter
from carrot_core.serving.expectation import Part
from carrot_core.serving.profile import profile_of
from tests.made import made

URL = "http://localhost"
SECRET = "the-prompt-nobody-may-log"

Client = Callable[..., TestClient]


@cache
def made_router() -> CarrotRouter:
    """CARROT-KNN on the made-up benchmark."""
    made_setting = setting(made())
    fitted, estimates = made_setting.fit("carrot-knn")
    return CarrotRouter("made", fitted, profile_of(made_setting, fitted, estimates), "made artefact")


def text_vectors(texts: Sequence[str], encoder: str = "") -> Vectors:
    """Unit vectors that depend on the text alone."""
    drawn = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=384) for text in texts]
    return np.array([vector / np.linalg.norm(vector) for vector in drawn], dtype=np.float32).reshape(-1, 384)


@pytest.fixture(autouse=True)
def quick_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "embed", text_vectors)
    monkeypatch.setattr(serving, "text_parts", lambda text, encoder: (n := len(text.split()), (Part(0, len(text), n),)))


@pytest.fixture
def client_of() -> Client:
    """Clients of apps that serve the made-up router as "made" and "twin"; keywords are those of `Settings`."""

    def made_client(*, load: Callable[..., CarrotRouter] = lambda source: made_router(), **options: Any) -> TestClient:
        app = create_app(Settings(Served({"made": "made", "twin": "made"}, load), **options))
        return TestClient(app, base_url=URL, raise_server_exceptions=False)

    return made_client


@pytest.fixture
def client(client_of: Client) -> TestClient:
    return client_of()
