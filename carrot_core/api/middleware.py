"""Middleware before every route of the API: access and rates, request ids, the log, metrics, no tracebacks.

Clients are known by their tokens (`Token`), or else by their addresses.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import re
import time
import traceback
import uuid
from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from carrot_core import limits
from carrot_core.api.problems import INTERNAL, Refusal, answer
from carrot_core.errors import CarrotError

__all__ = ["CONTENT_TYPE_LATEST", "Metrics", "Pace", "Token"]

SCOPES = ("route", "read", "metrics")  # prompts; models, curves and the document of routes; figures of the server
_LINE = re.compile(r"(\S{1,80})\s+([a-z,]+)\s+([0-9a-f]{64})")
_MOST_CLIENTS = 10_000  # remembered at a time; the one idle for longest is forgotten
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
ANY_HOST = "*"
NO_CONTENT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HARDENED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # addresses of pages show what somebody looks at
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_UNFRAMED = {"X-Frame-Options": "DENY"}  # for browsers that do not read frame-ancestors; it cannot name a site
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
log = logging.getLogger("carrot.api")
_NOTHING = object()
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


@dataclass(frozen=True)
class Token:
    """A token of a client: its name, for the log; the sha256 of the token; and what it may do, of `SCOPES`."""

    name: str
    sha256: str = field(repr=False)
    scopes: frozenset[str] = frozenset(SCOPES)

    @classmethod
    def of(cls, secret: str, name: str = "token") -> Token:
        """The token with that text, which may do everything."""
        return cls(name, _sha256(secret.encode()))


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Tokens of a file: a line each with name, scopes and sha256 of the token; ``#`` starts a comment.

    Raises
    ------
    CarrotError
        The file cannot be read, or has no token, an invalid line, or a name twice. No line is quoted.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CarrotError(f"The file of tokens {path} cannot be read.") from error
    tokens: dict[str, Token] = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        parts = _LINE.fullmatch(text)
        scopes = frozenset(parts[2].split(",")) if parts else frozenset()
        if parts is None or not scopes <= set(SCOPES):
            raise CarrotError(
                f"{path}, line {number}: write a name, scopes of {','.join(SCOPES)} with commas between them, and the "
                "sha256 of the token in 64 hexadecimal digits."
            )
        if parts[1] in tokens:
            raise CarrotError(f"{path}, line {number}: the name {parts[1]!r} occurs twice.")
        tokens[parts[1]] = Token(parts[1], parts[3], scopes)
    if not tokens:
        raise CarrotError(f"The file of tokens {path} has none.")
    return tuple(tokens.values())


def token_of(authorization: str, tokens: Iterable[Token]) -> Token | None:
    """The token of an ``Authorization`` header, or None, in a time that does not depend on which one it is."""
    scheme, _, secret = authorization.partition(" ")
    digest = _sha256(secret.strip().encode("latin-1"))
    same = [token for token in tokens if hmac.compare_digest(token.sha256, digest)]
    return same[0] if same and scheme.lower() == "bearer" else None


def _sha256(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


class Pace:
    """Limit of requests per client and minute, which may all come at once."""

    def __init__(self, requests_a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = requests_a_minute, clock
        self._clients: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # requests left, and the time in seconds of that count

    def wait_s(self, client: str) -> float:
        """Count a request of a client; returns 0 if it may be answered, else the seconds until one may."""
        now, a_second = self._clock(), self._most / 60
        left, then = self._clients.pop(client, (float(self._most), now))
        left = min(left + (now - then) * a_second, float(self._most))
        allowed = left >= 1
        self._clients[client] = (left - allowed, now)
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / a_second


class Metrics:
    """Counters and the histogram of one app, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("carrot_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "carrot_request_seconds", "From request to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._prompts = Counter("carrot_prompts", "Prompts estimated or decided.", ["router"], registry=registry)
        self._decisions = Counter("carrot_decisions", "Models chosen.", ["router", "model"], registry=registry)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def prompts(self, router: str, number: int) -> None:
        """Count the prompts of one request."""
        self._prompts.labels(router).inc(number)

    def decisions(self, router: str, models: Sequence[str]) -> None:
        """Count the models chosen in one request."""
        for model, number in Tally(models).items():
            self._decisions.labels(router, model).inc(number)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


@cache
def close_half_headers() -> None:
    """Let every HTTP server of this process close connections whose request is without its whole header for long.

    Uvicorn has no such limit, and Streamlit lets nobody choose uvicorn's protocol, so the protocol itself is changed.
    A kept connection without a byte of the next request is closed earlier, by uvicorn.
    """
    protocol: Any = AutoHTTPProtocol
    accept = protocol.connection_made

    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        accept(self, transport)
        asyncio.get_running_loop().call_later(limits.HEADER_SECONDS, _close_half_header, self, None)

    protocol.connection_made = connection_made


def _close_half_header(connection: Any, answered: object) -> None:
    """Close a connection that has waited for a header since the last look, when ``answered`` was its latest request."""
    transport, request = connection.transport, connection.cycle
    if transport.is_closing() or transport.get_protocol() is not connection:  # it is over, or now a WebSocket
        return
    waits = request is None or request.response_complete
    if waits and request is answered:
        transport.abort()
        return
    latest = request if waits else _NOTHING
    asyncio.get_running_loop().call_later(limits.HEADER_SECONDS, _close_half_header, connection, latest)


class HardenedResponses:
    """ASGI middleware that tells browsers, with every response, what they must not do with it.

    Parameters
    ----------
    app : the app it wraps; a header that it sets itself stays.
    content_policy : Content-Security-Policy of its responses.
    """

    def __init__(self, app: ASGIApp, content_policy: str) -> None:
        self._app = app
        self._headers = {**_HARDENED, "Content-Security-Policy": content_policy}
        if "frame-ancestors 'none'" in content_policy:
            self._headers |= _UNFRAMED

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A browser takes no notice of it over plain HTTP, so it does not matter who says that TLS ends before us.
        tls = "https" in (scope.get("scheme"), Headers(scope=scope).get("x-forwarded-proto"))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (self._headers | (_OVER_TLS if tls else {})).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


class AccessMiddleware:
    """ASGI middleware around the API.

    Parameters
    ----------
    app : the app it wraps.
    routes : known addresses; any other is counted and logged as "other", so that no text from outside becomes
        a label or a log line.
    open_routes : those that need no token and have no limit of requests.
    scopes : scope of `carrot_core.api.middleware.SCOPES` that an address needs; any other address needs "read".
    tokens : ``Authorization: Bearer`` must have one of them; None needs none.
    pace : limit of requests of a client, known by its token's name or else its address; None sets no limit.
    allowed_hosts : host names that this server accepts, in the form of Streamlit's ``server.allowedHosts``.
    metrics : counters of the requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Collection[str],
        open_routes: Collection[str],
        scopes: Mapping[str, str],
        tokens: Sequence[Token] | None,
        pace: Pace | None,
        allowed_hosts: Sequence[str],
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._routes = frozenset(routes)
        self._open = frozenset(open_routes)
        self._scopes, self._tokens, self._pace = scopes, tokens, pace
        self._hosts = TrustedHostMiddleware(_host_is_ours, _patterns(allowed_hosts), www_redirect=False)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, headers, status = time.perf_counter(), Headers(scope=scope), 0
        request_id = _request_id(headers)
        scope.setdefault("state", {}).update(request_id=request_id, log_note="", host_is_ours=False)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update({"X-Request-ID": request_id, "Cache-Control": "no-store"})
            await send(message)

        try:
            await self._hosts(scope, receive, _unsent)
            refusal = self._refusal(scope, headers)
            if refusal is None:
                await self._app(scope, receive, sending)
            else:
                response = answer(refusal.status_code, refusal.detail, request_id, refusal.headers)
                await response(scope, receive, sending)
        except Exception as error:
            # Without the error's own text, which may quote a prompt.
            log.error("%s %s\n%s", request_id, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            if not status:
                await answer(500, INTERNAL, request_id)(scope, receive, sending)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        if not scope["state"]["host_is_ours"]:
            return Refusal(403, "This server does not accept that host name; start it with the name allowed.")
        # Browsers send the page's origin with its requests; no page may use this API, whatever its origin.
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return Refusal(403, "This API answers programs, not web pages.")
        return None if scope["path"] in self._open else self._refusal_of_client(scope, headers)

    def _refusal_of_client(self, scope: Scope, headers: Headers) -> Refusal | None:
        token = token_of(headers.get("authorization", ""), self._tokens or ())
        address = (scope.get("client") or ("",))[0]
        wait_s = self._pace.wait_s(f"token {token.name}" if token else f"address {address}") if self._pace else 0.0
        if wait_s:
            return Refusal(429, "Too many requests in a minute.", {"Retry-After": str(math.ceil(wait_s))})
        if self._tokens is None:
            return None
        if token is None:
            return Refusal(401, "A bearer token is needed.", {"WWW-Authenticate": "Bearer"})
        needed = self._scopes.get(scope["path"], "read")
        if needed not in token.scopes:
            return Refusal(403, f"This token may not do that: it lacks the scope {needed!r}.")
        return None

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._routes else "other"
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        state = scope["state"]
        self._metrics.count_request(route, status, seconds)
        quiet = route in self._open and status == 200  # health checks come every few seconds
        level = logging.DEBUG if quiet else logging.INFO
        line = (state["request_id"], method, route, status, 1e3 * seconds, state["log_note"])
        log.log(level, "%s %s %s %d %.1f ms%s", *line)


def _request_id(headers: Headers) -> str:
    request_id = headers.get("x-request-id", "")
    return request_id if _PLAIN_ID.fullmatch(request_id) else uuid.uuid4().hex


def _patterns(hosts: Sequence[str]) -> list[str]:
    """Host names as `TrustedHostMiddleware` compares them: IPv6 in brackets, and each also with a final dot."""
    names = [f"[{host}]" if ":" in host and not host.startswith("[") else host for host in hosts]
    return [*names, *(f"{name}." for name in names if name != ANY_HOST)]


async def _host_is_ours(scope: Scope, _receive: Receive, _send: Send) -> None:
    scope["state"]["host_is_ours"] = True


async def _unsent(_message: Message) -> None:
    """Drop the plain-text refusal of `TrustedHostMiddleware`; the API's own error document is sent instead."""
