"""The command line: parse, call the library, print. ``carrot --help`` is its manual."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core import __version__, limits
from carrot_core.cli.common import PORT, Group, Names, Result, json_option, open_store, progress
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.modes import LOOPBACK, by_operator, check_address, is_public, is_team
from carrot_core.paths import PACKAGE, SUMS, app_script, shipped, sums_of_shipped
from carrot_core.text import visible

if TYPE_CHECKING:
    from carrot_core.figures.exhibit import Exhibit
    from carrot_core.figures.theme import ThemeName
    from carrot_core.store import Store

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
    "figures": "",
    "results": "",
    "theory": "",
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
    _run_in_checkout("bench", words)


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def results(words: tuple[str, ...]) -> None:
    """Make what ships (in a checkout only)."""
    _run_in_checkout("results", words)


def _run_in_checkout(name: str, words: tuple[str, ...]) -> None:
    """Run a command of ``scripts/``, which the package does not have."""
    module = f"scripts.{name}.cli"
    try:
        command = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        raise CarrotError(f"`carrot {name}` needs a checkout of the project; the package does not have it.") from error
    command.main(args=list(words), prog_name=f"carrot {name}", standalone_mode=False)


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
    from carrot_core.api.middleware import close_half_headers

    check_address(address)
    close_half_headers()
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


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the tables (default: data/theory)."
)
@json_option
def theory(folder: Path, out: Path | None) -> Result:
    """Make data/theory, the tables of the Theory page.

    They show how fast the rule approaches the oracle, and how many dimensions real prompts fill. FOLDER has the
    benchmarks' files, as for `carrot results`; only their vectors are read. This takes some minutes.
    """
    from carrot_core.results.recipes import RECIPES
    from carrot_core.theory import FOLDER, make

    files = {recipe.name: folder / recipe.embeddings for recipe in RECIPES if recipe.embeddings}
    vectors = {name: file for name, file in files.items() if file.exists()}
    if not vectors:
        raise NotFoundError(f"{folder} has none of the files of vectors: {', '.join(map(str, files.values()))}.")
    written = out or shipped(FOLDER)
    make(vectors, written, progress=progress)
    if out is None:
        shipped(SUMS).write_text(sums_of_shipped(), encoding="utf-8")
    return {"vectors": list(vectors), "folder": str(written)}, f"Wrote {written}."


_STYLES = ("light", "dark", "print")
_ENDINGS = ("svg", "pdf", "png", "html", "csv", "json", "tex")


@click.command()
@click.argument("benches", nargs=-1, metavar="[BENCH]...")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to; created if it does not exist."
)
@click.option(
    "--style",
    type=click.Choice(_STYLES),
    default="light",
    show_default=True,
    help="Style of the figures; print is black on white.",
)
@click.option(
    "--format",
    "endings",
    type=Names(),
    default=",".join(_ENDINGS),
    show_default=True,
    help="File formats, separated by commas.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this figure; repeat for more.")
@click.option("--router", metavar="NAME", help="Router of the spider (default: CARROT-KNN).")
@click.option("--oracle", is_flag=True, help="Draw the oracle's curve too.")
@click.option("--list", "listing", is_flag=True, help="List the figures and the benchmarks; draw nothing.")
@json_option
def figures(
    benches: tuple[str, ...],
    out: Path | None,
    style: ThemeName,
    endings: tuple[str, ...],
    only: tuple[str, ...],
    listing: bool,
    **options: Any,
) -> Result:
    """Draw the paper's figures of BENCH.

    BENCH is a benchmark in the store or a snapshot that ships (default: all). Each benchmark gets a folder. SVG, PDF
    and PNG need Chromium or Chrome; the other files need nothing.
    """
    from carrot_core.paper import PRESETS
    from carrot_core.results.source import result_names

    store = open_store()
    if listing:
        return _list_figures(result_names(store))
    if out is None:
        raise click.UsageError("Give a folder with --out, or use --list.")
    for choice, allowed, option in ((endings, _ENDINGS, "--format"), (only, tuple(PRESETS), "--only")):
        unknown = [name for name in choice if name not in allowed]
        if unknown:
            raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(allowed)}", param_hint=option)
    from carrot_core.figures.exhibit import write_exhibits

    names = list(dict.fromkeys(benches)) or result_names(store)
    with progress("Computing", " benchmarks") as advance:
        exhibits, missing = _exhibits(store, names, only or tuple(PRESETS), options, advance)
    if not exhibits:
        raise CarrotError("\n".join(["There is nothing to draw.", *missing.values()]))
    files = write_exhibits(exhibits, out, endings, style)
    document = {
        "out": str(out),
        "files": [path.as_posix() for path in files],
        "not_drawn": [{"benchmark": bench, "figure": figure, "why": why} for (bench, figure), why in missing.items()],
    }
    notes = [f"{visible(bench)}: no {figure}. {why}" for (bench, figure), why in missing.items()]
    return document, "\n".join([f"Wrote {len(files)} files to {out}.", *notes])


def _exhibits(
    store: Store,
    names: Sequence[str],
    only: Sequence[str],
    options: dict[str, Any],
    advance: Callable[[int, int], None],
) -> tuple[list[tuple[str, Exhibit]], dict[tuple[str, str], str]]:
    """Exhibits by benchmark, and the reasons for those that are missing."""
    from carrot_core.paper import PRESETS
    from carrot_core.results.source import open_results

    settings = {name: value for name, value in options.items() if value is not None}
    exhibits: list[tuple[str, Exhibit]] = []
    missing: dict[tuple[str, str], str] = {}
    for done, bench in enumerate(names, start=1):
        results = open_results(store, bench)
        for name in only:
            try:
                exhibits.append((bench, PRESETS[name].make(results, **settings)))
            except CarrotError as why:
                missing[bench, name] = str(why)
        advance(done, len(names))
    return exhibits, missing


def _list_figures(benches: list[str]) -> Result:
    from carrot_core.paper import PRESETS

    wide = max(map(len, PRESETS)) + 2
    lines = [f"{preset.name:{wide}}{preset.title}" for preset in PRESETS.values()]
    document = {"figures": {preset.name: preset.title for preset in PRESETS.values()}, "benchmarks": benches}
    return document, "\n".join([*lines, "", f"Benchmarks: {', '.join(map(visible, benches)) or 'none'}."])
