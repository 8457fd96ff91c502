"""The HTTP API in the dashboard's process and on its port."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route
from streamlit import config

from carrot_core.api import create_app
from carrot_core.api.gate import ANY_HOST, log
from carrot_core.api.launching import log_to_stderr, settings_of, warning_of


def api_routes() -> list[BaseRoute]:
    """The routes of the API for an ``st.App``; its default router is made ready in the background.

    It answers to the names that Streamlit answers to (``server.allowedHosts``, where an empty list is any).
    """
    hosts = config.get_option("server.allowedHosts") or [ANY_HOST]
    settings = settings_of((), None, tuple(hosts))
    log_to_stderr()
    if warning := warning_of(settings, config.get_option("server.address") or "localhost"):
        log.warning(warning)
    settings.served.warm_in_background()
    return [Route("/api/{rest:path}", create_app(settings))]
