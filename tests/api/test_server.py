"""The API as it is started: alone without Streamlit, beside the dashboard, and with many clients at once."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from streamlit.web.server.app_discovery import discover_asgi_app

from carrot_core import limits
from carrot_core.api import TOKEN_VARIABLE, TOKENS_VARIABLE, hosts_for, settings_of, warning_of
from carrot_core.api.answers import Served
from carrot_core.api.middleware import close_half_headers
from carrot_core.cli import main
from carrot_core.errors import CarrotError
from carrot_core.modes import LOOPBACK, VARIABLE
from carrot_core.paths import PACKAGE, app_script
from carrot_core.serving.loading import shipped_heads
from scripts.bench.http_load import report, run

LAUNCHER = PACKAGE / "dashboard" / "launcher" / "with_api.py"
HEAD = "mmlu-pro-cot"
ONE = json.dumps({"prompts": ["What is 2 + 2?"], "lam": 0.3})


def test_the_api_alone_brings_neither_streamlit_nor_torch_along() -> None:
    code = (
        "import sys, carrot_core.cli; from carrot_core.api import create_app\n"
        "from carrot_core.api import settings_of\n"
        "create_app(settings_of((), None, ('localhost',))); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "fastapi" in loaded
    assert not loaded & {"streamlit", "torch", "transformers"}


def _serve(monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[Result, FastAPI, dict[str, Any]]:
    """``carrot serve`` with what it hands to uvicorn."""
    handed: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **settings: handed.update(app=app, **settings))
    monkeypatch.setattr(Served, "warm_in_background", lambda self: None)
    result = CliRunner().invoke(main, ["serve", *options])
    return result, handed.pop("app", None), handed


def test_serve_offers_what_ships_on_this_machine_only(monkeypatch: pytest.MonkeyPatch, carrot_home: Path) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    result, app, handed = _serve(monkeypatch)
    assert result.exit_code == 0, result.output
    assert (handed["host"], handed["port"], handed["access_log"], handed["ws"]) == ("localhost", 8502, False, "none")
    with TestClient(app, base_url="http://localhost") as client:
        served = client.get("/api/v1/health").json()["served"]
        assert served[0] == HEAD
        assert sorted(served) == shipped_heads()
        assert client.get("/api/v1/models", headers={"Host": "example.org"}).status_code == 403


def test_serve_takes_its_token_from_the_environment(monkeypatch: pytest.MonkeyPatch, carrot_home: Path) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    monkeypatch.setenv(VARIABLE, "personal")
    result, app, handed = _serve(
        monkeypatch, "--token-env", "MY_TOKEN", "--bench", f"mine={HEAD}", "--address", "0.0.0.0"
    )
    assert result.exit_code == 0, result.output
    assert "s3cret" not in result.output + repr(handed)
    client = TestClient(app, base_url="http://any.name")
    assert client.get("/api/v1/models").status_code == 401
    message = client.get("/api/v1/models", headers={"Authorization": "Bearer s3cret"}).json()
    assert (message["router"], message["served"]) == ("mine", ["mine"])


def test_a_public_api_starts_with_tokens_only(
    monkeypatch: pytest.MonkeyPatch, carrot_home: Path, tmp_path: Path
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setenv(VARIABLE, "public")
    result, app, _ = _serve(monkeypatch)
    assert (result.exit_code, app) == (1, None)
    assert TOKENS_VARIABLE in result.output
    digest = hashlib.sha256(b"s3cret").hexdigest()
    (tmp_path / "tokens").write_text(f"ci read {digest}\n")
    monkeypatch.setenv(TOKENS_VARIABLE, str(tmp_path / "tokens"))
    monkeypatch.setattr(limits, "REQUESTS_A_MINUTE", 5)
    result, app, _ = _serve(monkeypatch)
    assert result.exit_code == 0, result.output
    client, bearer = TestClient(app, base_url="http://localhost"), {"Authorization": "Bearer s3cret"}
    assert client.get("/api/v1/models").status_code == 401
    statuses = [client.get("/api/v1/models", headers=bearer).status_code for _ in range(10)]
    assert set(statuses) == {200, 429}


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [(("--bench", "nothing-there"), 3, "nothing-there"), (("--token-env", "NO_SUCH_VARIABLE"), 1, "NO_SUCH_VARIABLE")],
)
def test_serve_refuses_before_it_listens(
    monkeypatch: pytest.MonkeyPatch, carrot_home: Path, options: tuple[str, ...], code: int, part: str
) -> None:
    result, app, _ = _serve(monkeypatch, *options)
    assert result.exit_code == code
    assert part in result.output
    assert app is None


def test_a_port_that_is_taken_is_refused(carrot_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Served, "warm_in_background", lambda self: None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        result = CliRunner().invoke(main, ["serve", "--address", "127.0.0.1", "--port", port])
    assert result.exit_code == 1
    assert f"could not listen on 127.0.0.1:{port}" in result.output


def test_an_empty_token_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    assert settings_of((), None, LOOPBACK).token is None
    with pytest.raises(CarrotError, match="not set"):
        settings_of((), TOKEN_VARIABLE, LOOPBACK)


def test_other_addresses_answer_to_any_name_unless_names_are_given() -> None:
    assert hosts_for("localhost") == LOOPBACK
    assert hosts_for("0.0.0.0") == ("*",)
    assert hosts_for("0.0.0.0", ("router.example.org",)) == ("router.example.org",)
    for host in ("a*b.example.org", "*example.org"):
        with pytest.raises(CarrotError, match="not a host name"):
            settings_of((), None, (host,))


def test_streamlit_runs_the_launcher_as_an_app_and_app_py_as_a_script() -> None:
    assert discover_asgi_app(LAUNCHER).import_string == "with_api:app"
    assert not discover_asgi_app(app_script()).is_asgi_app


def _ask(port: int, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    connection.request(method, path, body, {"Content-Type": "application/json"} | headers)
    answer = connection.getresponse()
    message = answer.status, answer.read()
    connection.close()
    return message


HALF = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow"


def _rest(connection: socket.socket) -> bytes:
    """What arrives until the other side closes the connection."""
    data = b""
    try:
        while part := connection.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return data


def test_half_a_header_is_not_waited_for_and_a_slow_answer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(1.0 if scope["path"] == "/slow" else 0.0)
        await PlainTextResponse("answer")(scope, receive, send)

    monkeypatch.setattr(limits, "HEADER_SECONDS", 0.3)
    close_half_headers()
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning", timeout_keep_alive=30))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with ExitStack() as stack:
            half, again, slow = (
                stack.enter_context(socket.create_connection(listener.getsockname(), timeout=10)) for _ in range(3)
            )
            half.sendall(HALF)
            again.sendall(HALF + b": 1\r\n\r\n" + HALF)
            slow.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            start = time.monotonic()
            assert _rest(half) == b""
            assert _rest(again).count(b"answer") == 1
            assert time.monotonic() - start < 5
            assert _rest(slow).count(b"answer") == 1
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@pytest.mark.slow
def test_the_app_serves_pages_and_api_on_one_port(carrot_home: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-c", "from carrot_core.cli import main; main()", "app", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    environment["CARROT_LIMIT_HEADER_SECONDS"] = "2"
    with subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as process:
        try:
            for _ in range(600):
                try:
                    if b'"ready"' in _ask(port, "GET", "/api/v1/health")[1]:
                        break
                except OSError:
                    assert process.poll() is None
                time.sleep(0.1)
            assert _ask(port, "GET", "/_stcore/health") == (200, b"ok")
            assert b"<title>" in _ask(port, "GET", "/frontier")[1]
            status, body = _ask(port, "POST", "/api/v1/route", ONE)
            assert status == 200
            assert json.loads(body)["router"] == HEAD
            assert _ask(port, "POST", "/api/v1/route", ONE, Host="evil.example")[0] == 403
            assert _ask(port, "POST", "/api/v1/route", ONE, Origin="http://evil.example")[0] == 403
            status, body = _ask(port, "GET", "/api/nothing")
            assert status == 404
            assert json.loads(body)["error"]["type"] == "not_found"
            with socket.create_connection(("localhost", port), timeout=30) as half:
                half.sendall(HALF)
                assert _rest(half) == b""
            process.send_signal(signal.SIGINT)
            log = process.communicate(timeout=20)[1].decode()
        finally:
            process.kill()
    assert "POST /api/v1/route 200" in log
    assert "2 + 2" not in log


@pytest.mark.slow
def test_many_clients_at_once_get_through(carrot_home: Path) -> None:
    result = run(clients=64, seconds=0.5, source=HEAD)
    assert result["errors"] == 0, result["first_error"]
    assert result["requests"] >= 64
    assert "64 clients" in report(result)


@pytest.mark.parametrize(
    ("address", "token", "warns"), [("localhost", "", False), ("0.0.0.0", "", True), ("0.0.0.0", "secret", False)]
)
def test_a_server_that_others_reach_says_that_no_token_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, carrot_home: Path, address: str, token: str, warns: bool
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    monkeypatch.setenv(VARIABLE, "personal")
    result, _, _ = _serve(monkeypatch, "--address", address)
    assert ("Anyone who reaches this port may use" in result.output) is warns
    assert bool(warning_of(settings_of((), None, ("localhost",)), address)) is warns
