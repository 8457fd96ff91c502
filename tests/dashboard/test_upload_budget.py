"""What the uploads of a session, and of all sessions, may take of the memory of the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from streamlit.runtime.state import SessionState

from carrot_core import limits
from carrot_core.dashboard import accounts, stores
from carrot_core.dashboard.stores import UploadBudget


class Server:
    """An app that keeps what is uploaded, as Streamlit does, behind the budget."""

    def __init__(self) -> None:
        self.stored_bytes: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()
        self.app = UploadBudget(self._keep)
        self.open: set[str] = {"one", "two"}
        self.states = {session: SessionState() for session in self.open}

    @property
    def uploaded_file_mgr(self) -> Server:
        return self

    @property
    def _session_mgr(self) -> Server:
        return self

    def get_session_info(self, session: str) -> SimpleNamespace:
        return SimpleNamespace(session=SimpleNamespace(session_state=self.states[session]))

    def is_active_session(self, session: str) -> bool:
        return session in self.open

    def close_session(self, session: str) -> None:
        self.open.discard(session)

    def remove_session_files(self, session: str) -> None:
        del self.stored_bytes[session]

    async def _keep(self, scope: Any, receive: Any, send: Any) -> None:
        await self.gate.wait()
        self.stored_bytes[scope["path"].split("/")[-2]] += int(dict(scope["headers"]).get(b"content-length", b"0"))
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def put(self, session: str, size: int | None, path: str = "/_stcore/upload_file", method: str = "PUT") -> int:
        """Upload so many bytes; the status of the answer."""
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        headers = [] if size is None else [(b"content-length", str(size).encode())]
        scope = {"type": "http", "method": method, "path": f"{path}/{session}/file", "headers": headers}
        await self.app(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
        return int(messages[0]["status"])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    app = Server()
    monkeypatch.setattr(stores, "upload_bytes", lambda: app.stored_bytes)
    monkeypatch.setattr(stores.runtime, "get_instance", lambda: app)
    monkeypatch.setattr(stores, "_LOOK_S", 0.01)
    monkeypatch.setattr(stores.st, "get_option", {"server.maxUploadSize": 500, stores._TTL: 0.1}.get)
    monkeypatch.setattr(limits, "SESSION_BYTES", 1000)
    monkeypatch.setattr(limits, "SESSIONS_BYTES", 1500)
    return app


def test_a_session_holds_so_much_and_no_more_until_it_removes_some(server: Server) -> None:
    async def visit() -> list[int]:
        statuses = [await server.put("one", 400) for _ in range(6)]
        server.stored_bytes["one"] -= 400
        return [*statuses, await server.put("one", 400)]

    assert asyncio.run(visit()) == [204, 204, 413, 413, 413, 413, 204]


def test_an_upload_that_stalls_is_over(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[Any] = []

    async def read(_scope: Any, receive: Any, send: Any) -> None:
        received.append(await receive())
        await send({"type": "http.response.start", "status": 500, "headers": []})

    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
    server.app = UploadBudget(read)
    assert asyncio.run(asyncio.wait_for(server.put("one", 400), 20)) == 500
    assert received == [{"type": "http.disconnect"}]


def test_uploads_that_are_still_coming_count_and_are_forgotten_afterwards(server: Server) -> None:
    async def visit() -> list[int]:
        server.gate.clear()
        coming = [asyncio.create_task(server.put("one", 400)) for _ in range(6)]
        await asyncio.sleep(0)
        server.gate.set()
        statuses = await asyncio.gather(*coming)
        server.stored_bytes.clear()
        return [*sorted(statuses), await server.put("one", 1000)]

    assert asyncio.run(visit()) == [204, 204, 413, 413, 413, 413, 204]


def test_all_sessions_together_hold_so_much(server: Server) -> None:
    async def visit() -> list[int]:
        return [await server.put(session, 800) for session in ("one", "two")]

    assert asyncio.run(visit()) == [204, 503]


def test_an_upload_without_a_length_counts_as_the_largest(server: Server) -> None:
    assert asyncio.run(server.put("one", None)) == 413


@pytest.mark.parametrize(("path", "method"), [("/api/v1", "PUT"), ("/_stcore/upload_file", "DELETE")])
def test_other_requests_pass(server: Server, path: str, method: str) -> None:
    assert asyncio.run(server.put("one", 5000, path, method)) == 204


def test_who_has_not_logged_in_to_a_team_sends_no_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_MODE", "team")
    assert asyncio.run(server.put("one", 5)) == 403
    pass_of_one = accounts._Pass()
    monkeypatch.setitem(accounts._passes, "one", pass_of_one)
    assert asyncio.run(server.put("one", 5)) == 204
    assert asyncio.run(server.put("two", 5)) == 403


def test_a_session_is_ended_with_its_uploads_once_its_page_cannot_come_back(server: Server) -> None:
    async def visit() -> None:
        for session in ("one", "two"):
            await server.put(session, 400)
            server.states[session]["upload"] = "a file"
            server.states[session]._new_widget_state.widget_metadata["chart"] = cast("Any", "its callback")
        server.open.discard("one")
        await asyncio.sleep(0.03)
        server.open.add("one")  # it was back in time
        await asyncio.sleep(0.2)
        assert set(server.stored_bytes) == {"one", "two"}
        server.open.discard("one")
        await asyncio.sleep(0.3)
        assert set(server.stored_bytes) == {"two"}
        assert {name for name, state in server.states.items() if "upload" in state} == {"two"}
        callbacks = {name: state._new_widget_state.widget_metadata for name, state in server.states.items()}
        assert callbacks == {"one": {}, "two": {"chart": "its callback"}}

    asyncio.run(visit())
