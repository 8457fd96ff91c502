"""Errors of the API: one shape for all of them, without any text of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

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
        if isinstance(error, DataError | StoreError):  # a fault of the server's files: their place is not told
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
