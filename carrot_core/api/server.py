"""What both launchers do, the one of the API alone and the one beside the dashboard."""

from __future__ import annotations

import logging
import os

from carrot_core.api.answers import Served, Source, sources_of
from carrot_core.api.app import Settings
from carrot_core.api.middleware import ANY_HOST, LOOPBACK
from carrot_core.errors import CarrotError
from carrot_core.paths import shipped
from carrot_core.serving.loading import HEADS, shipped_heads

TOKEN_VARIABLE = "CARROT_API_TOKEN"  # noqa: S105  the variable's name, not a token
_DEFAULT = "mmlu-pro-cot"


def settings_of(names: tuple[str, ...], token_variable: str | None, allowed_hosts: tuple[str, ...]) -> Settings:
    """Settings of a server.

    Parameters
    ----------
    names : what to serve, as `sources_of` reads it, loaded now; none means every head that ships, loaded when
        they are asked for.
    token_variable : environment variable that holds the token; by default `TOKEN_VARIABLE`, if it is set.
    allowed_hosts : names the server may be called by.

    Raises
    ------
    CarrotError
        A source that cannot be loaded, a variable that is named and not set, a host that is no name.
    """
    for host in allowed_hosts:
        if "*" in host.removeprefix("*.") and host != ANY_HOST:
            raise CarrotError(f"{host!r} is no name of a host: write a name, or *.domain for all below a domain.")
    served = Served(sources_of(names) if names else _shipped())
    for name in served.names if names else ():
        served.get(name)
    return Settings(served, _token(token_variable), allowed_hosts)


def hosts_for(address: str, named: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names a server on this address may be called by: any where it was put on another address by hand."""
    return named or (LOOPBACK if address in LOOPBACK else (ANY_HOST,))


def warning_of(settings: Settings, address: str) -> str:
    """What to say where others than this machine may ask without a token; empty elsewhere."""
    if settings.token is not None or address in LOOPBACK:
        return ""
    return f"Whoever reaches this port may ask: set {TOKEN_VARIABLE} to ask for a token."


def log_to_stderr() -> None:
    """Print the API's log, one line a request, without anything of the prompts."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("carrot.api")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def _shipped() -> dict[str, Source]:
    names = shipped_heads()
    # By their folders: under their names the store may have data of its own.
    return {name: shipped(HEADS) / name for name in sorted(names, key=lambda name: name != _DEFAULT)}


def _token(variable: str | None) -> str | None:
    token = os.environ.get(variable or TOKEN_VARIABLE)
    if variable is not None and not token:
        raise CarrotError(f"The environment variable {variable!r} is to hold the API's token and is not set.")
    return token or None
