"""What the HTTP API turns down, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from starlette.types import Message

from carrot_core import limits
from carrot_core.api import Workers, answers, problems
from carrot_core.api.middleware import SCOPES, Pace, Token, read_tokens, token_of
from carrot_core.errors import CarrotError, DataError
from carrot_core.serving import CarrotRouter
from tests.api.conftest import SECRET, Client, made_router

JSON = {"Content-Type": "application/json"}
ROUTE = "/api/v1/route"
ONE = {"prompts": [SECRET]}


def _reason(answer: Any, status: int, kind: str) -> str:
    """The message of an error, whose shape is checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    error = answer.json()["error"]
    assert set(error) == {"type", "message", "request_id"}
    assert error["type"] == kind
    assert error["request_id"] == answer.headers["X-Request-ID"]
    assert SECRET not in answer.text
    return str(error["message"])


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "body: Field required"),
        (b"[]", "body: Input should be"),
        (b"{}", "prompts: Field required"),
        (b'{"prompts": []}', "prompts: List should have at least 1"),
        (json.dumps({"prompts": ["a"] * (limits.REQUEST_PROMPTS + 1)}).encode(), f"at most {limits.REQUEST_PROMPTS}"),
        (
            json.dumps({"prompts": [SECRET * limits.REQUEST_PROMPT_CHARACTERS][:1]})[
                : limits.REQUEST_PROMPT_CHARACTERS + 50
            ].encode()
            + b'"]}',
            "at most",
        ),
        (json.dumps({"prompts": SECRET}).encode(), "prompts: Input should be a valid list"),
        (json.dumps({"prompts": [{"role": SECRET}]}).encode(), "prompts.0.chat.messages: Field required"),
        (json.dumps({"prompts": ["a"], "pool": ["m"] * (limits.REQUEST_MODELS + 1)}).encode(), "pool"),
        (json.dumps({"prompts": ["a"], "pool": []}).encode(), "pool"),
        (json.dumps({"prompts": ["a"], "lam": "0.3"}).encode(), "lam: Input should be a valid number"),
        (json.dumps({"prompts": ["a"], "lam": True}).encode(), "lam"),
        (json.dumps({"prompts": ["a"], "lam": 1.01}).encode(), "lam"),
        (b'{"prompts": ["a"], "lam": 1e999}', "lam"),
        (b'{"prompts": ["a"], "budget": 1' + b"0" * 400 + b"}", "budget"),
        (json.dumps({"prompts": ["a"], "lam": 0.1, "mu": 0.1}).encode(), "not several"),
        (json.dumps({"prompts": ["a"], "temperature": 1}).encode(), "temperature: Extra inputs"),
        (b'{"prompts": ["a"], "\\ud800": 1}', "unable to parse"),
        (b'{"prompts": ["\\ud800"]}', "prompts.0"),
        (json.dumps({"prompts": ["a"], "prices": {"zeta/mid": {"input_usd_per_mtok": -1}}}).encode(), "prices"),
        (json.dumps({"prompts": ["a"], "pool": ["nobody"]}).encode(), "nobody"),
        (json.dumps({"prompts": ["a"], "pool": ["zeta/mid"] * 2}).encode(), "twice"),
        (json.dumps({"prompts": ["a"], "pool": ["zeta/mid"], "budget": 1}).encode(), "pool"),
        (json.dumps({"prompts": ["a"], "fallback": "nobody"}).encode(), "nobody"),
        (json.dumps({"prompts": ["a"], "budget": 0}).encode(), "budget"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_a_body_that_asks_for_what_cannot_be_is_refused_with_the_reason(
    client: TestClient, body: bytes, part: str
) -> None:
    answer = client.post(ROUTE, content=body, headers=JSON)
    status = answer.status_code
    assert part in _reason(answer, status, "not_found" if status == 404 else "refused")
    assert status == 422 or "nobody" in part


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"{", "not JSON"),
        (f'{{"prompts": ["{SECRET}"'.encode(), "not JSON"),
        (b"\xff\xfe", "UTF-8"),
        ('{"prompts": ["a"]}'.encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 500_000, "nested"),
        (b'{"a":' * 200_000, "nested"),
        (b'{"prompts": ["a"], "lam": NaN}', "NaN"),
        (b'{"prompts": ["a"], "lam": -Infinity}', "Infinity"),
        (b'{"prompts": ["a"], "lam": 0.1, "lam": 0.9}', "same key twice"),
        (b'{"prompts": ["a"], "prices": {"x": {}, "x": {}}}', "same key twice"),
        (b'{"prompts": ["a"], "lam": ' + b"9" * 5000 + b"}", "too many digits"),
    ],
)
def test_a_body_that_is_not_strict_json_is_malformed(client: TestClient, body: bytes, part: str) -> None:
    assert part in _reason(client.post(ROUTE, content=body, headers=JSON), 400, "malformed")


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
def test_only_json_by_name_is_read_so_no_form_of_a_web_page_gets_in(client: TestClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    _reason(client.post(ROUTE, content=json.dumps(ONE).encode(), headers=headers), 415, "unsupported_media_type")


def test_a_body_is_bounded_whether_or_not_it_says_its_size(client: TestClient) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50 * limits.BODY_BYTES:
            sent += 65_536
            yield b" " * 65_536

    _reason(client.post(ROUTE, content=b" " * (limits.BODY_BYTES + 1), headers=JSON), 413, "too_large")
    _reason(client.post(ROUTE, content=chunks(), headers=JSON), 413, "too_large")
    largest = json.dumps(ONE).encode().ljust(limits.BODY_BYTES)
    assert client.post(ROUTE, content=largest, headers=JSON).status_code == 200


def test_unknown_addresses_methods_and_routers(client: TestClient) -> None:
    for address in ("/", "/api", "/api/v1", "/api/v1/route/", "/api/v2/route", "/api/v1/nothing"):
        _reason(client.get(address), 404, "not_found")
    wrong = client.get(ROUTE)
    _reason(wrong, 405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"
    for name in ("nobody", "/etc/passwd", "owner/name", "http://example.org"):
        _reason(client.post(ROUTE, json=ONE | {"router": name}), 404, "not_found")
        _reason(client.get("/api/v1/models", params={"router": name}), 404, "not_found")
    _reason(client.get("/api/v1/frontier", params={"split": "train"}), 422, "refused")


@pytest.mark.parametrize("error", [ValueError(SECRET), DataError(f"/home/{SECRET}", "is damaged")], ids=["bug", "data"])
def test_what_goes_wrong_inside_stays_inside(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def decide(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(CarrotRouter, "decide", decide)
    message = _reason(client.post(ROUTE, json=ONE, headers={"X-Request-ID": "seen-1"}), 500, "internal")
    assert "log" in message
    assert "seen-1" in caplog.text
    assert type(error).__name__ in caplog.text
    assert "answers.py" in caplog.text
    assert SECRET not in caplog.text


def test_a_router_that_cannot_be_loaded_is_a_fault_of_the_server(client_of: Client) -> None:
    def load(source: object) -> CarrotRouter:
        raise DataError("/srv/private", "is damaged")

    answer = client_of(load=load).post(ROUTE, json=ONE)
    assert "private" not in _reason(answer, 503, "unavailable")


def test_no_prompt_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(logging.DEBUG, "carrot")
    client.post(ROUTE, json=ONE)
    client.post(ROUTE, json=ONE | {"explain": True})
    client.post("/api/v1/estimate", json=ONE)
    client.post(ROUTE, json={"prompts": SECRET})
    client.post(ROUTE, json={SECRET: 1})
    client.post(ROUTE, json=ONE | {"pool": [SECRET]})
    client.post(ROUTE, content=f'{{"prompts": ["{SECRET}'.encode(), headers=JSON)
    client.get(f"/api/v1/{SECRET}?{SECRET}={SECRET}", headers={"X-Request-ID": f"{SECRET} {SECRET}"})
    client.request(SECRET, ROUTE)
    lines = [record.getMessage() for record in caplog.records if record.name == "carrot.api"]
    assert len(lines) == 9
    assert lines[0].endswith("prompts=1 router=made")
    assert " POST /api/v1/route 200 " in lines[0]
    out = capfd.readouterr()
    assert SECRET not in "".join([*lines, out.out, out.err])
    assert SECRET not in client.get("/api/v1/metrics").text


def test_the_request_id_is_the_callers_where_it_is_plain(client: TestClient) -> None:
    health = "/api/v1/health"
    assert client.get(health, headers={"X-Request-ID": "job-7.a_B"}).headers["X-Request-ID"] == "job-7.a_B"
    ids = set()
    for odd in ("", "a b", "a" * 65, "<script>", "a\tb", "ü"):
        answer = client.get(health, headers={"X-Request-ID": odd.encode()})
        ids.add(answer.headers["X-Request-ID"])
    assert len(ids) == 6
    assert all(len(each) == 32 and each.isalnum() for each in ids)


def test_a_token_is_asked_for_everywhere_but_for_health(client_of: Client) -> None:
    client = client_of(token="s3cret-tøken")
    routes = ["/api/v1/models", "/api/v1/frontier", "/api/v1/metrics", "/api/v1/openapi.json", "/api/v1/nothing"]
    right = {"Authorization": "Bearer s3cret-tøken".encode()}
    for wrong in ({}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic s3cret"}, {"Authorization": "Bearer"}):
        for address in routes:
            answer = client.get(address, headers=wrong)
            _reason(answer, 401, "unauthorised")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        _reason(client.post(ROUTE, json=ONE, headers=wrong), 401, "unauthorised")
    assert client.get("/api/v1/health").status_code == 200
    assert [client.get(address, headers=right).status_code for address in routes] == [200, 200, 200, 200, 404]
    assert client.post(ROUTE, json=ONE, headers=right).status_code == 200
    assert "s3cret" not in client.get("/api/v1/openapi.json", headers=right).text
    document = client.get("/api/v1/openapi.json", headers=right).json()
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert "security" in document["paths"][ROUTE]["post"]
    assert "security" not in document["paths"]["/api/v1/health"]["get"]


def _token(name: str, *scopes: str) -> Token:
    return Token(name, hashlib.sha256(name.encode()).hexdigest(), frozenset(scopes))


def test_a_token_may_do_what_its_scopes_say_and_nothing_else(client_of: Client) -> None:
    addresses = {
        "route": [ROUTE, "/api/v1/estimate"],
        "read": ["/api/v1/models", "/api/v1/frontier", "/api/v1/openapi.json"],
        "metrics": ["/api/v1/metrics"],
    }
    assert tuple(addresses) == SCOPES
    client = client_of(tokens=(*(_token(scope, scope) for scope in SCOPES), _token("all", *SCOPES)))
    for scope, places in addresses.items():
        for name in (*SCOPES, "all"):
            for place in places:
                post = {"json": ONE} if scope == "route" else {}
                method, bearer = "POST" if post else "GET", {"Authorization": f"Bearer {name}"}
                answer = client.request(method, place, headers=bearer, **post)
                if name in (scope, "all"):
                    assert answer.status_code == 200, answer.text
                else:
                    assert scope in _reason(answer, 403, "forbidden")


def test_where_there_are_no_tokens_a_public_server_is_closed_but_for_health(client_of: Client) -> None:
    client = client_of(tokens=())
    for header in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
        _reason(client.get("/api/v1/models", headers=header), 401, "unauthorised")
    assert client.get("/api/v1/health").status_code == 200


def test_tokens_are_read_from_a_file_that_holds_none_of_them(tmp_path: Path) -> None:
    file, (one, two) = tmp_path / "tokens", (_token("ci", "route"), _token("boss", "read", "metrics"))
    file.write_text(f"# who may ask\nci route {one.sha256}\n\nboss  read,metrics  {two.sha256}  # all but prompts\n")
    tokens = read_tokens(file)
    assert tokens == (one, two)
    assert token_of("Bearer boss", tokens) == two
    assert token_of("bearer ci", tokens) == one
    for other in ("Bearer x", f"Bearer {one.sha256}", "Basic ci", "ci", ""):
        assert token_of(other, tokens) is None
    assert one.sha256 not in repr(tokens)


@pytest.mark.parametrize(
    "text",
    ["", "# none", "ci route secret-in-clear", "ci everything " + "0" * 64, 2 * f"ci read {64 * '0'}\n", "\udcff"],
)
def test_a_file_of_tokens_with_a_slip_is_refused_unquoted(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CarrotError) as error:
        read_tokens(file)
    assert "secret-in-clear" not in str(error.value)


def test_a_client_that_asks_too_often_is_told_when_to_come_back(client_of: Client) -> None:
    client = client_of(tokens=(_token("a", "read"), _token("b", "read")), requests_a_minute=2)
    mine, other = {"Authorization": "Bearer a"}, {"Authorization": "Bearer b"}
    assert [client.get("/api/v1/models", headers=mine).status_code for _ in range(2)] == [200, 200]
    answer = client.get("/api/v1/models", headers=mine)
    _reason(answer, 429, "too_many_requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert client.get("/api/v1/models", headers=other).status_code == 200
    assert client.get("/api/v1/health", headers=mine).status_code == 200
    assert [client.get("/api/v1/models").status_code for _ in range(3)] == [401, 401, 429]  # by the address


def test_a_pace_lets_as_many_through_as_it_says() -> None:
    now = 0.0
    pace = Pace(60, lambda: now)
    assert [pace.wait_s("a") for _ in range(60)] == [0.0] * 60
    assert pace.wait_s("a") == pytest.approx(1.0)
    assert pace.wait_s("b") == 0.0
    now += 10.0
    assert [pace.wait_s("a") for _ in range(10)] == [0.0] * 10
    assert pace.wait_s("a") == pytest.approx(1.0)
    now += 3600.0
    assert sum(pace.wait_s("a") == 0.0 for _ in range(100)) == 60


def test_what_needs_no_estimates_does_not_wait_behind_them(client_of: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, done = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        begun.set()
        done.wait(30)
        raise CarrotError("enough")

    monkeypatch.setattr(answers, "route", slow)
    with client_of(threads=1) as client, ThreadPoolExecutor(1) as pool:
        busy = pool.submit(client.post, ROUTE, json=ONE)
        assert begun.wait(30)
        assert client.get("/api/v1/models").status_code == 200
        assert not busy.done()
        done.set()
        assert busy.result(30).status_code == 422


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[", "localhost@evil.example"]
)
def test_another_name_pointed_at_this_machine_is_refused(client: TestClient, host: str) -> None:
    _reason(client.get("/api/v1/models", headers={"Host": host}), 403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8502", "127.0.0.1:1", "[::1]:8502", "localhost."])
def test_its_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/models", headers={"Host": host}).status_code == 200


def test_allowed_hosts_may_be_wildcards(client_of: Client) -> None:
    client = client_of(allowed_hosts=("*.example.org",))
    _reason(client.get("/api/v1/models", headers={"Host": "example.org"}), 403, "forbidden")
    assert client.get("/api/v1/models", headers={"Host": "a.example.org"}).status_code == 200
    _reason(client.get("/api/v1/models", headers={"Host": "localhost"}), 403, "forbidden")
    assert client_of(allowed_hosts=("*",)).get("/api/v1/models", headers={"Host": "any"}).status_code == 200


@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_no_web_page_is_answered(client: TestClient, page: dict[str, str]) -> None:
    for answer in (client.post(ROUTE, json=ONE, headers=page), client.get("/api/v1/models", headers=page)):
        _reason(answer, 403, "forbidden")
        assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = client.options(ROUTE, headers=page | {"Access-Control-Request-Method": "POST"})
    _reason(preflight, 403, "forbidden")


def test_metrics_count_requests_prompts_and_models(client: TestClient) -> None:
    message = client.post(ROUTE, json={"prompts": ["a", "b", "c"], "lam": 1}).json()
    client.get(f"/{SECRET}")
    (model,) = {decision["model"] for decision in message["decisions"]}
    text = client.get("/api/v1/metrics").text
    assert 'carrot_requests_total{route="/api/v1/route",status="200"} 1.0' in text
    assert 'carrot_requests_total{route="other",status="404"} 1.0' in text
    assert 'carrot_request_seconds_count{route="/api/v1/route"} 1.0' in text
    assert 'carrot_prompts_total{router="made"} 3.0' in text
    assert f'carrot_decisions_total{{model="{model}",router="made"}} 3.0' in text


def test_apps_count_for_themselves(client_of: Client) -> None:
    one, other = client_of(), client_of()
    one.post(ROUTE, json=ONE)
    assert "carrot_prompts_total{" not in other.get("/api/v1/metrics").text


def test_work_beyond_the_queue_is_turned_down() -> None:
    with pytest.raises(problems.Refusal) as refused:
        asyncio.run(Workers(threads=1, most_waiting=-1).run(made_router, _request(asyncio.Event())))
    assert refused.value.status_code == 503
    assert asyncio.run(Workers(threads=1, most_waiting=0).run(made_router, _request(asyncio.Event()))) is made_router()


def _request(gone: asyncio.Event) -> Request:
    """A request whose client closes the connection at an event."""

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def test_work_of_a_client_that_is_gone_is_not_begun_and_what_is_begun_counts_to_its_end() -> None:
    begun: list[str] = []

    async def ask() -> None:
        workers, free, gone = Workers(threads=1, most_waiting=1), threading.Event(), asyncio.Event()
        busy = asyncio.create_task(workers.run(lambda: free.wait(30), _request(gone)))
        waiting = asyncio.create_task(workers.run(lambda: begun.append("waiting"), _request(gone)))
        await asyncio.sleep(0.05)
        gone.set()
        with pytest.raises(problems.Refusal):
            await asyncio.wait_for(waiting, 10)
        next_one = asyncio.create_task(workers.run(lambda: begun.append("next"), _request(asyncio.Event())))
        await asyncio.sleep(0.05)
        with pytest.raises(problems.Refusal):  # one works, one waits
            await workers.run(made_router, _request(asyncio.Event()))
        free.set()
        assert await busy
        await next_one

    asyncio.run(ask())
    assert begun == ["next"]


def test_every_answer_is_kept_from_caches_and_guessing(client: TestClient) -> None:
    for answer in (client.post(ROUTE, json=ONE), client.get("/nothing")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_body_that_does_not_come_is_not_waited_for(client_of: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
    app, sent = client_of().app, []
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": ROUTE, "headers": headers, "query_string": b""}

    async def nothing() -> Any:
        await asyncio.sleep(60)

    async def keep(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, nothing, keep))  # type: ignore[arg-type]
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"]["type"] == "timeout"
