"""Strict reading of request bodies, and one kind of document for every refusal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from email.message import Message
from typing import Any, NoReturn

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from carrot_core import limits
from carrot_core.errors import CarrotError, DataError, NotFoundError, StoreError
from carrot_core.text import SENTENCE, visible

KINDS = {
    400: "malformed",
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    422: "refused",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}
INTERNAL = "Something went wrong here; the server's log has it under this request's id."
_PLACE_CHARACTERS = 80
_MOST_PROBLEMS = 5


class Problem(BaseModel):
    """Why a request was not answered."""

    type: str = Field(description="Kind of the error, for programs.")
    message: str = Field(description="What was wrong, for people.")
    request_id: str = Field(description="Id of the request, also in the header X-Request-ID and in the log.")


class ErrorAnswer(BaseModel):
    """Body of every answer with a status of 400 or above."""

    error: Problem


class Refusal(HTTPException):
    """A refused request: status, reason and optional headers."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, headers)


def answer(status: int, message: str, request_id: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The error document as a response."""
    problem = Problem(type=KINDS.get(status, "refused"), message=message, request_id=request_id)
    return JSONResponse(ErrorAnswer(error=problem).model_dump(), status, headers)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, as FastAPI's ``responses`` takes them."""
    return {status: {"model": ErrorAnswer, "description": KINDS[status].replace("_", " ")} for status in statuses}


def handle_problems(app: FastAPI) -> None:
    """Answer every error of the app with the error document."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        message = error.detail if isinstance(error, Refusal) else _PLAIN.get(error.status_code, error.detail)
        return answer(error.status_code, message, request.state.request_id, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(422, _what_is_wrong(error), request.state.request_id)

    @app.exception_handler(CarrotError)
    async def not_possible(request: Request, error: CarrotError) -> JSONResponse:
        if isinstance(error, DataError | StoreError):  # a fault of the server's files: their paths stay private
            raise error
        status = 404 if isinstance(error, NotFoundError) else 422
        return answer(status, visible(str(error), SENTENCE), request.state.request_id)


_PLAIN = {
    404: "There is nothing at this address; /api/v1/openapi.json lists the routes.",
    405: "This address does not take this method; /api/v1/openapi.json lists the routes.",
}


def _what_is_wrong(error: RequestValidationError) -> str:
    """Where the body violates the schema, without the value itself, which may be a prompt."""
    problems = error.errors()
    messages = [f"{_place(problem['loc'])}: {problem['msg']}" for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        messages.append(f"and {len(problems) - _MOST_PROBLEMS} more")
    return "; ".join(messages)


def _place(location: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in location if part != "body"]
    return visible(".".join(parts)[:_PLACE_CHARACTERS]) or "body"


class StrictRequest(Request):
    """A request whose body is one JSON document of at most `carrot_core.limits.BODY_BYTES`."""

    async def body(self) -> bytes:
        """The body; refused during reading as soon as it is too large or too slow."""
        if not hasattr(self, "_body"):
            if _media_type(self.headers.get("content-type", "")) != "application/json":
                raise Refusal(415, "The body must be JSON: send it with the header 'Content-Type: application/json'.")
            try:
                async with asyncio.timeout(limits.BODY_SECONDS):
                    self._body = await self._bounded()
            except TimeoutError:
                raise Refusal(408, f"The body did not arrive within {limits.BODY_SECONDS:.0f} seconds.") from None
        return self._body

    async def json(self) -> Any:
        """Read the body with `strict_json`."""
        return strict_json(await self.body())

    async def _bounded(self) -> bytes:
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limits.BODY_BYTES:
            raise _too_large()
        body = bytearray()
        async for chunk in self.stream():
            body += chunk
            if len(body) > limits.BODY_BYTES:
                raise _too_large()
        return bytes(body)


class StrictRoute(APIRoute):
    """A route whose body is read by `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handler


def strict_json(body: bytes) -> Any:
    """Read a JSON document by RFC 8259, with each key of an object once.

    Raises
    ------
    Refusal
        Anything else: NaN and Infinity, a repeated key, too many levels or digits, another encoding.
    """
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_each_key_once, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise Refusal(400, "The body is not UTF-8.") from None
    except RecursionError:
        raise Refusal(400, "The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise Refusal(400, f"The body is not JSON: {error.msg} at character {error.pos:,}.") from None
    except ValueError:
        raise Refusal(400, "The body has a number of too many digits.") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise Refusal(400, "The body has an object with the same key twice.")
    return document


def _no_number(name: str) -> NoReturn:
    raise Refusal(400, f"The body has {name}, which is not a number in JSON.")


def _media_type(content_type: str) -> str:
    message = Message()
    message["content-type"] = content_type
    return message.get_content_type()


def _too_large() -> Refusal:
    return Refusal(413, f"The body is larger than {limits.BODY_BYTES:,} bytes; send the prompts in several requests.")
