"""The HTTP API: fitted routers answer typed prompts; the same routes serve alone or beside the dashboard."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, FastAPI, Query, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from carrot_core import __version__, limits
from carrot_core.api import answers
from carrot_core.api.answers import RETRY_S, Served, Source, Split, sources_of
from carrot_core.api.middleware import (
    ANY_HOST,
    CONTENT_TYPE_LATEST,
    NO_CONTENT_POLICY,
    AccessMiddleware,
    HardenedResponses,
    Metrics,
    Pace,
    Token,
    log,
    read_tokens,
)
from carrot_core.api.problems import Refusal, StrictRoute, error_responses, handle_problems
from carrot_core.api.schemas import (
    EstimateAnswer,
    EstimateQuestion,
    FrontierAnswer,
    HealthAnswer,
    ModelsAnswer,
    RouteAnswer,
    RouteQuestion,
)
from carrot_core.errors import CarrotError
from carrot_core.modes import LOOPBACK, is_loopback, is_shared
from carrot_core.paths import shipped
from carrot_core.serving import CarrotRouter
from carrot_core.serving.loading import HEADS, shipped_heads
from carrot_core.store import Store

__all__ = ["Served", "Settings", "create_app"]


THREADS = 4
TOKEN_VARIABLE = "CARROT_API_TOKEN"  # noqa: S105  the variable's name, not a token
TOKENS_VARIABLE = "CARROT_API_TOKENS"
_READERS = 2  # threads for requests without estimates, which never wait for the others
_DEFAULT = "mmlu-pro-cot"
T = TypeVar("T")


class Workers:
    """A bounded number of threads with a bounded queue."""

    def __init__(self, threads: int = THREADS, most_waiting: int = limits.WAITING) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="carrot-api")
        self._most = threads + most_waiting
        self._count = 0

    async def run(self, work: Callable[[], T], request: Request) -> T:
        """Run the work in a thread; refuses with 503 if too much work is waiting.

        Work that still waits when the client of its request is gone is not begun.
        """
        if self._count >= self._most:
            raise Refusal(503, "Too many requests are waiting; try again in a second.", {"Retry-After": "1"})
        self._count += 1
        job, gone = self._pool.submit(work), asyncio.create_task(_gone(request))
        result = asyncio.wrap_future(job)
        try:
            await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
            if not result.done() and job.cancel():
                raise Refusal(499, "The client is gone.")
            return await result
        finally:
            gone.cancel()
            self._count -= 1


async def _gone(request: Request) -> None:
    """Wait until the client of a request has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


PREFIX = "/api/v1"
DOCUMENT = f"{PREFIX}/openapi.json"
HEALTH, METRICS = f"{PREFIX}/health", f"{PREFIX}/metrics"
ROUTE, ESTIMATE = f"{PREFIX}/route", f"{PREFIX}/estimate"
_ABOUT = (
    "Asks a fitted CARROT router which model should answer a prompt. λ trades expected accuracy against expected "
    "cost; every answer has the estimates behind it. Prompts are neither kept nor logged."
)
RouterName = Annotated[str | None, Query(max_length=300, description="Name of a served router; by default the first.")]


@dataclass(frozen=True)
class Settings:
    """Settings of an app.

    Attributes
    ----------
    served : the routers.
    token : one more bearer token, which may do everything; None adds none.
    tokens : every route but the health check needs one of them; if both are None, none is needed.
    requests_a_minute : limit for one client; None sets no limit.
    allowed_hosts : host names that the server accepts; ``"*"`` for any.
    threads : number of requests worked on at once.
    """

    served: Served
    token: str | None = field(default=None, repr=False)
    allowed_hosts: Sequence[str] = LOOPBACK
    threads: int = THREADS
    tokens: tuple[Token, ...] | None = None
    requests_a_minute: int | None = None

    @property
    def accepted(self) -> tuple[Token, ...] | None:
        """All tokens; None if none is needed."""
        return self.tokens if self.token is None else (Token.of(self.token), *(self.tokens or ()))


def settings_of(names: tuple[str, ...], token_variable: str | None, allowed_hosts: tuple[str, ...]) -> Settings:
    """Settings of a server. A public one needs tokens, even if none exist, and limits requests.

    Parameters
    ----------
    names : sources to serve, as `sources_of` reads them, loaded now; none means every head that ships, loaded on
        first use.
    token_variable : environment variable that has the token; by default `TOKEN_VARIABLE`, if it is set. The file
        that `TOKENS_VARIABLE` names has more.
    allowed_hosts : host names that the server accepts.

    Raises
    ------
    CarrotError
        A source cannot be loaded, a named variable is not set, or a host name is invalid.
    """
    for host in allowed_hosts:
        if "*" in host.removeprefix("*.") and host != ANY_HOST:
            raise CarrotError(f"{host!r} is not a host name: write a name, or *.domain for all below a domain.")
    served = Served(sources_of(names) if names else _shipped())
    for name in served.names if names else ():
        served.get(name)
    file, shared = os.environ.get(TOKENS_VARIABLE), is_shared()
    tokens = read_tokens(Path(file)) if file else () if shared else None
    return Settings(
        served, _token(token_variable), allowed_hosts, tokens=tokens,
        requests_a_minute=limits.REQUESTS_A_MINUTE if shared else None,
    )  # fmt: skip


_HOW_TOKENS = f"Set {TOKENS_VARIABLE} to a file of tokens, or {TOKEN_VARIABLE} to one."


def hosts_for(address: str, named: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Host names that a server on an address accepts: ``named``, else only loopback names on loopback, else any."""
    return named or (LOOPBACK if address in LOOPBACK else (ANY_HOST,))


def warning_of(settings: Settings, address: str) -> str:
    """A warning if other machines can use a server without a token, or nobody can use it; else ""."""
    if settings.accepted == ():
        return f"This API needs a token, and there is none: it answers only the health check. {_HOW_TOKENS}"
    if settings.accepted is not None or is_loopback(address):
        return ""
    return f"Anyone who reaches this port may use the API: set {TOKEN_VARIABLE} to require a token."


def log_to_stderr() -> None:
    """Print the API's log, one line a request, without any text of a prompt."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def _shipped() -> dict[str, Source]:
    names, store = sorted(shipped_heads(), key=lambda name: name != _DEFAULT), Store()
    # By folder, since a file here may have the same name; by name if that means a benchmark of the store.
    return {name: name if store.shadows(name) else shipped(HEADS) / name for name in names}


def _token(variable: str | None) -> str | None:
    token = os.environ.get(variable or TOKEN_VARIABLE)
    if variable is not None and not token:
        raise CarrotError(f"The environment variable {variable!r} should have the API's token, but is not set.")
    return token or None


def create_app(settings: Settings) -> FastAPI:
    """Make the API as an ASGI app; another app can mount it under ``/api``."""
    app = FastAPI(
        title="CARROT",
        description=_ABOUT,
        version=__version__,
        openapi_url=DOCUMENT,
        docs_url=None,  # its page would load scripts from another host
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI would send errors with their texts, which may quote a prompt, to OpenTelemetry if that is set up.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    services = _Services(settings.served, Metrics(), Workers(settings.threads), Workers(_READERS))
    secured = [] if settings.accepted is None else [Security(HTTPBearer(auto_error=False))]
    open_routes, routes = _open_routes(services), _routes(services)
    app.include_router(open_routes)
    app.include_router(routes, dependencies=secured)
    handle_problems(app)
    app.add_middleware(
        AccessMiddleware,
        routes={DOCUMENT, *(route.path for route in (*open_routes.routes, *routes.routes))},  # type: ignore[attr-defined]
        open_routes={HEALTH},
        scopes={ROUTE: "route", ESTIMATE: "route", METRICS: "metrics"},
        tokens=settings.accepted,
        pace=None if settings.requests_a_minute is None else Pace(settings.requests_a_minute),
        allowed_hosts=settings.allowed_hosts,
        metrics=services.metrics,
    )
    app.add_middleware(HardenedResponses, content_policy=NO_CONTENT_POLICY)
    return app


@dataclass(frozen=True)
class _Services:
    """Services that all routes share."""

    served: Served
    metrics: Metrics
    workers: Workers
    readers: Workers

    async def answer(
        self, request: Request, name: str | None, prompts: int, work: Callable[[CarrotRouter, str], BaseModel]
    ) -> Response:
        """Do the work in a thread and send its result with the time it took."""
        name = self.served.resolve(name)
        request.state.log_note = f" prompts={prompts} router={name}" if prompts else f" router={name}"
        lane = self.workers if prompts else self.readers
        document, seconds = await lane.run(lambda: self._work(name, work), request)
        if prompts:
            self.metrics.prompts(name, prompts)
        return Response(
            document, media_type="application/json", headers={"Server-Timing": f"work;dur={1e3 * seconds:.3f}"}
        )

    def _work(self, name: str, work: Callable[[CarrotRouter, str], BaseModel]) -> tuple[bytes, float]:
        try:
            router = self.served.get(name)
        except CarrotError as error:
            log.error("the router %r could not be loaded: %s", name, error)  # names files, no prompts
            raise Refusal(503, f"The router {name!r} cannot be loaded; the server's log says why.") from error
        started = time.perf_counter()
        answer = work(router, name)
        seconds = time.perf_counter() - started
        if isinstance(answer, RouteAnswer):
            self.metrics.decisions(name, [decision.model for decision in answer.decisions])
        return answer.model_dump_json().encode(), seconds


def _open_routes(services: _Services) -> APIRouter:
    api = APIRouter(prefix=PREFIX)

    @api.get("/health", response_model=HealthAnswer, responses=error_responses(403, 405, 503))
    async def health(request: Request) -> HealthAnswer:
        """State of the server: "ready" if a prompt is answered at once; needs no token."""
        services.served.mend()
        status = services.served.status
        if status == "failed":
            raise Refusal(503, "No router can be loaded; the server's log says why.", {"Retry-After": f"{RETRY_S:g}"})
        return HealthAnswer(
            request_id=request.state.request_id,
            status=status,
            version=__version__,
            served=list(services.served.names),
        )

    return api


def _routes(services: _Services) -> APIRouter:
    api = APIRouter(prefix=PREFIX, route_class=StrictRoute)
    errors = error_responses(401, 403, 404, 405, 422, 429, 500, 503)
    posted = error_responses(400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503)

    @api.post("/route", response_model=RouteAnswer, responses=posted)
    async def route(question: RouteQuestion, request: Request) -> Response:
        """Which model should answer each prompt, with the estimates behind the choice."""
        return await services.answer(
            request,
            question.router,
            len(question.prompts),
            lambda router, name: answers.route(router, name, question, request.state.request_id),
        )

    @api.post("/estimate", response_model=EstimateAnswer, responses=posted)
    async def estimate(question: EstimateQuestion, request: Request) -> Response:
        """Estimates of every model on each prompt, with intervals."""
        return await services.answer(
            request,
            question.router,
            len(question.prompts),
            lambda router, name: answers.estimate(router, name, question, request.state.request_id),
        )

    @api.get("/models", response_model=ModelsAnswer, responses=errors)
    async def models(request: Request, router: RouterName = None) -> Response:
        """The models of a router with their prices, its cost unit, its default λ and the coverage of its intervals."""
        return await services.answer(
            request,
            router,
            0,
            lambda loaded, name: answers.models(loaded, name, services.served.names, request.state.request_id),
        )

    @api.get("/frontier", response_model=FrontierAnswer, responses=errors)
    async def frontier(request: Request, router: RouterName = None, split: Split = "validation") -> Response:
        """A router's curve of score against cost, from λ = 0 to the lowest cost."""
        return await services.answer(
            request,
            router,
            0,
            lambda loaded, name: answers.frontier(loaded, name, split, request.state.request_id),
        )

    @api.get("/metrics", response_class=Response, responses={**errors, 200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Requests, their times, prompts and models chosen, for Prometheus."""
        return Response(services.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return api
