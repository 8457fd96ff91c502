"""Strict reading of request bodies: declared as JSON, limited in size and time, and unambiguous."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from carrot_core import limits
from carrot_core.api.problems import Refusal


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
        """The body as `strict_json` reads it."""
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
    """A JSON document as RFC 8259 has it, each key of an object once.

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
