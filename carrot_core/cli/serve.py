"""``carrot serve``: the HTTP API by itself, without the dashboard."""

from __future__ import annotations

import click

from carrot_core.cli.common import PORT
from carrot_core.errors import CarrotError

_SOURCES = "A benchmark, a folder of `carrot router save`, a hub id; NAME=SOURCE serves it under a name."


@click.command()
@click.option("--port", type=PORT, default=8502, show_default=True, help="Port to listen on.")
@click.option("--address", default="localhost", show_default=True, help="Interface to listen on.")
@click.option("--bench", "sources", multiple=True, metavar="[NAME=]SOURCE", help=f"{_SOURCES} Default: all that ship.")
@click.option("--token-env", metavar="VARIABLE", help="Environment variable with the token; default CARROT_API_TOKEN.")
@click.option("--allowed-host", "hosts", multiple=True, metavar="NAME", help="Name the server may be called by.")
def serve(port: int, address: str, sources: tuple[str, ...], token_env: str | None, hosts: tuple[str, ...]) -> None:
    """Answer prompts over HTTP; Ctrl-C stops it.

    \b
    carrot serve --bench mmlu-pro-cot
    curl localhost:8502/api/v1/route -H 'Content-Type: application/json' -d '{"prompts": ["What is 2 + 2?"]}'

    `carrot app` has the same routes beside the dashboard.
    """
    import uvicorn

    from carrot_core.api import create_app
    from carrot_core.api.app import hosts_for, log_to_stderr, settings_of, warning_of

    settings = settings_of(sources, token_env, hosts_for(address, hosts))
    click.echo(f"CARROT's API on http://{address}:{port}/api/v1  (Ctrl-C stops it)", err=True)
    click.echo(f"Routers: {', '.join(settings.served.names)}", err=True)
    if warning := warning_of(settings, address):
        click.echo(warning, err=True)
    log_to_stderr()
    settings.served.warm_in_background()
    try:
        uvicorn.run(
            create_app(settings),
            host=address,
            port=port,
            ws="none",
            lifespan="off",
            access_log=False,  # would log the raw query; the API logs its own line
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    except SystemExit as ended:  # uvicorn has already logged the reason
        raise CarrotError(f"The server could not listen on {address}:{port}.") from ended
