"""What ``carrot app`` hands to ``streamlit run``: the dashboard with the API's routes beside it.

In a folder of its own, since Streamlit puts a script's folder on the import path.
"""

from __future__ import annotations

import streamlit as st
from starlette.routing import BaseRoute, Route
from streamlit import config

from carrot_core.api import create_app
from carrot_core.api.app import log_to_stderr, settings_of, warning_of
from carrot_core.api.middleware import ANY_HOST, log
from carrot_core.modes import check_address
from carrot_core.paths import app_script


def api_routes() -> list[BaseRoute]:
    """The routes of the API for an ``st.App``; its default router is made ready in the background.

    It answers to the names that Streamlit answers to (``server.allowedHosts``, where an empty list is any).
    """
    hosts, address = config.get_option("server.allowedHosts") or [ANY_HOST], config.get_option("server.address") or ""
    check_address(address)
    settings = settings_of((), None, tuple(hosts))
    log_to_stderr()
    if warning := warning_of(settings, address):
        log.warning(warning)
    settings.served.warm_in_background()
    return [Route("/api/{rest:path}", create_app(settings))]


app = st.App(app_script(), routes=api_routes())
