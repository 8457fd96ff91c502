"""The command line: parse, call the library, print. ``carrot --help`` is its manual."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from carrot_core import __version__, limits
from carrot_core.cli.common import PORT, Group, Result, json_option, open_store, progress
from carrot_core.errors import CarrotError
from carrot_core.modes import LOOPBACK, by_operator, check_address, is_public, is_team
from carrot_core.paths import PACKAGE, app_script

__all__ = ["main"]

# Commands in the order of their use, and the module of this package that holds each; "" is this one.
_MODULE_OF = {
    "data": "data",
    "setup": "",
    "fit": "fit",
    "evaluate": "evaluate",
    "learning-curve": "evaluate",
    "estimates": "fit",
    "frontier": "fit",
    "solve": "solve",
    "export": "point",
    "point": "point",
    "route": "route",
    "scale": "scale",
    "app": "",
    "serve": "",
    "figures": "results",
    "results": "results",
    "theory": "results",
    "bench": "",
    "router": "fit",
    "doctor": "check",
}


class _Commands(Group):
    """Commands that are imported when they are first asked for: no command waits for what others need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULE_OF)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _MODULE_OF and cmd_name not in self.commands:
            module = import_module(f"{__name__}.{_MODULE_OF[cmd_name]}".rstrip("."))
            self.add_command(getattr(module, cmd_name.replace("-", "_")))
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="carrot")
def main() -> None:
    """Choose which LLM answers which prompt, with the whole cost-accuracy trade-off in view.

    \b
    carrot data import results.parquet --name mine   your results into the store
    carrot evaluate mine                             CARROT-KNN beside every baseline
    carrot evaluate mine --routers all               every router on all prompts, paired intervals
    carrot frontier mine --out curve.csv             the exact curve, a row for each breakpoint
    carrot solve mine --budget-per-1k 0.5            λ for a budget, a target, a model to match
    carrot route "What is 2 + 2?" --bench mine       the model that should answer, and why (--explain)
    carrot serve                                     the same over HTTP
    carrot app                                       all of it in the browser

    Data and results are in CARROT_HOME (default in a checkout: data/).

    \b
    Exit codes: 0 success, 1 refused, 2 wrong usage, 3 not found, 4 bad data, 5 damaged files or
    a fault of the store; `point drift` also 6 unlike the test figures, 7 too few calls.
    """
    context = click.get_current_context()
    if context.invoked_subcommand not in (app.name, serve.name):  # those act for whoever asks
        context.with_resource(by_operator())


@click.command()
@click.option("--force", is_flag=True, help="Build again what exists.")
@json_option
def setup(force: bool) -> Result:
    """Store the benchmarks that ship and fit CARROT-KNN on them.

    The dashboard opens on the first of them.
    """
    from carrot_core.cli.fit import summary
    from carrot_core.results.recipes import set_up

    with progress("Preparing the benchmarks that ship", " steps") as advance:
        runs = set_up(open_store(), again=force, progress=advance)
    ready = ", ".join(f"{run.benchmark!r} with {run.router}" for run in runs)
    return {"benchmarks": list(map(summary, runs))}, f"Ready: {ready}. `carrot app` opens the dashboard."


@click.command()
@click.option("--port", type=PORT, default=8501, show_default=True, help="Port to listen on.")
@click.option("--address", default="localhost", show_default=True, help="Interface to listen on.")
def app(port: int, address: str) -> None:
    """Serve the dashboard, and the HTTP API under /api/v1.

    Ctrl-C stops the server. On an interface other than localhost you must set CARROT_MODE (public, team or personal).
    There the server answers to any name, unless STREAMLIT_SERVER_ALLOWED_HOSTS lists some.
    """
    check_address(address)
    script = app_script()
    click.echo(f"CARROT on http://{address}:{port}  (Ctrl-C stops it)", err=True)
    launcher = PACKAGE / "dashboard" / "launcher" / "with_api.py"
    server = ["streamlit", "run", str(launcher), f"--server.port={port}", f"--server.address={address}"]
    if address not in LOOPBACK and not os.environ.get("STREAMLIT_SERVER_ALLOWED_HOSTS"):
        server.append("--server.allowedHosts=*")
    server.append(f"--server.maxUploadSize={limits.PUBLIC_UPLOAD_MB if is_public() else limits.UPLOAD_MB}")
    os.chdir(script.parent)  # where Streamlit finds its configuration
    if is_team():
        from carrot_core.dashboard.accounts import check_login

        check_login()
    # By default every thread of every reader keeps memory of its own that nobody else can use.
    environment = {"MALLOC_ARENA_MAX": "2", **os.environ}
    os.execve(sys.executable, [sys.executable, "-m", *server], environment)  # noqa: S606  one process, so signals arrive


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def bench(words: tuple[str, ...]) -> None:
    """Measure speed on this machine (in a checkout only).

    The results are ratios within one run.
    """
    try:
        group = import_module("scripts.bench.cli").bench
    except ModuleNotFoundError as error:
        if error.name not in ("scripts", "scripts.bench", "scripts.bench.cli"):
            raise
        raise CarrotError("`carrot bench` needs a checkout of the project; the package does not have it.") from error
    group.main(args=list(words), prog_name="carrot bench", standalone_mode=False)


_SOURCES = "A benchmark, a folder of `carrot router save`, or owner/name on the hub, served as NAME; repeat for more."


@click.command()
@click.option("--port", type=PORT, default=8502, show_default=True, help="Port to listen on.")
@click.option("--address", default="localhost", show_default=True, help="Interface to listen on.")
@click.option(
    "--bench", "sources", multiple=True, metavar="[NAME=]SOURCE", help=f"{_SOURCES} Default: all heads that ship."
)
@click.option("--token-env", metavar="VARIABLE", help="Variable that has the token (default: CARROT_API_TOKEN).")
@click.option(
    "--allowed-host", "hosts", multiple=True, metavar="NAME", help="Name that the server answers to; repeat for more."
)
def serve(port: int, address: str, sources: tuple[str, ...], token_env: str | None, hosts: tuple[str, ...]) -> None:
    """Serve the HTTP API without the dashboard.

    \b
    carrot serve --bench mmlu-pro-cot
    curl localhost:8502/api/v1/route -H 'Content-Type: application/json' -d '{"prompts": ["What is 2 + 2?"]}'

    Ctrl-C stops the server. `carrot app` serves the same routes beside the dashboard.
    """
    import uvicorn

    from carrot_core.api import create_app, hosts_for, log_to_stderr, settings_of, warning_of

    check_address(address)
    settings = settings_of(sources, token_env, hosts_for(address, hosts))
    if settings.accepted == ():
        raise CarrotError(warning_of(settings, address))
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
