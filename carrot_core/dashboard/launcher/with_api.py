"""Script that ``carrot app`` passes to ``streamlit run``: the dashboard with the API's routes beside it.

It has a folder of its own, since Streamlit puts a script's folder on the import path.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from carrot_core.api import create_app, log_to_stderr, settings_of, warning_of
from carrot_core.api.middleware import ANY_HOST, HardenedResponses, close_half_headers, log
from carrot_core.dashboard.stores import UploadBudget, sweep
from carrot_core.errors import CarrotError
from carrot_core.modes import by_operator, check_address, frame_ancestors
from carrot_core.paths import app_script
from carrot_core.points import shared_points
from carrot_core.store import Store, trash

_OF_A_COPY = (b"accept-encoding", b"if-none-match", b"if-modified-since")

sweep()
close_half_headers()
with by_operator():  # no visitor is served yet
    try:
        trash.sweep(Store().path)
        shared_points().sweep()
    except (CarrotError, OSError) as error:  # for instance because the home is read-only
        log.warning("What was removed long ago stays: %s", error)


def api_routes() -> list[BaseRoute]:
    """The routes of the API for an ``st.App``; its default router is loaded in the background.

    It accepts the host names that Streamlit accepts (``server.allowedHosts``; an empty list means any).
    """
    hosts, address = config.get_option("server.allowedHosts") or [ANY_HOST], config.get_option("server.address") or ""
    check_address(address)
    settings = settings_of((), None, tuple(hosts))
    log_to_stderr()
    if warning := warning_of(settings, address):
        log.warning(warning)
    settings.served.warm_in_background()
    return [Route("/api/{rest:path}", create_app(settings))]


def head() -> str:
    """What every page has from the start: the app's style, and the script that keeps the browser's history."""
    style, script = ((app_script().parent / "assets" / name).read_text("utf-8") for name in ("page.css", "history.js"))
    return f"<style>{style}</style><script>{script}</script>"


def content_policy() -> str:
    """The Content-Security-Policy of the dashboard: it allows what Streamlit needs, and nothing from another host.

    Scripts are files of this server, those that stand in the page (by their hashes), and modules that Streamlit makes
    of our components (``blob:``). Its styles stand in the page; pictures and fonts may, too.
    """
    page = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    inline = re.findall(r"<script>(.*?)</script>", head() + page, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline]
    sources = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", "blob:", *hashes]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": frame_ancestors(),
    }
    return "; ".join(f"{name} {value}" for name, value in sources.items())


class HeadOfPages:
    """Put `head` into the page that Streamlit sends, so that it is there before anything is drawn.

    Pages send the style too, but only with their elements, which would then move.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._head = app, f"{head()}</head>".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or "text/html" not in Headers(scope=scope).get("accept", "")
        ):
            await self._app(scope, receive, send)
            return
        page: list[Message] = []

        async def with_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                is_page = Headers(raw=message["headers"]).get("content-type", "").startswith("text/html")
            else:
                is_page = bool(page)
            if not is_page:  # for instance a download, which should not be held in memory
                await send(message)
                return
            page.append(message)
            if not message.get("more_body", message["type"] == "http.response.start"):
                start, *parts = page
                body = b"".join(part.get("body", b"") for part in parts).replace(b"</head>", self._head, 1)
                MutableHeaders(raw=start["headers"])["Content-Length"] = str(len(body))
                await send(start)
                await send({"type": "http.response.body", "body": body})

        # As plain text, and never from the browser's cache, where a page may have an older style.
        headers = [(name, value) for name, value in scope["headers"] if name not in _OF_A_COPY]
        await self._app({**scope, "headers": headers}, receive, with_head)


app = st.App(
    app_script(),
    routes=api_routes(),
    middleware=[
        Middleware(HardenedResponses, content_policy=content_policy()),
        Middleware(UploadBudget),
        Middleware(HeadOfPages),
    ],
)
