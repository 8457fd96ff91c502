"""``carrot bench``: speed on this machine, as ratios within one run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from carrot_core.cli.common import Group, Result, json_option, progress


@click.group(cls=Group)
def bench() -> None:
    """Measure speed on this machine, as ratios within one run."""


@bench.command("frontier")
@click.option("--prompts", multiple=True, type=int, default=(6_636, 1_000_000), show_default=True)
@click.option("--models", default=13, show_default=True)
@json_option
def frontier(prompts: Sequence[int], models: int) -> Result:
    """The exact sweep against the usual grid of 1,001 values of λ, and against one pass over the data."""
    from scripts.bench.frontier import report, run

    results = []
    for n_prompts in prompts:
        with progress(f"{n_prompts:,} x {models}", " steps") as advance:
            results.append(run(n_prompts, models, progress=advance))
    return results, "\n".join(report(result) for result in results)


@bench.command("record")
@click.argument("names", nargs=-1)
@json_option
def record_(names: Sequence[str]) -> Result:
    """Measure all NAMES (frontier, bootstrap, knn, live, …; default all): docs/benchmarks.md and its JSON."""
    from scripts.bench.record import PAGE, record

    return record(names, lambda line: click.echo(line, err=True)), f"Written: {PAGE}."


@bench.command("others")
@click.option("--prompts", default=48, show_default=True, help="Prompts, one call each.")
@json_option
def others(prompts: int) -> Result:
    """Typed prompts in RouteLLM and LLMRouter beside ours, each in a process of its own: time and memory."""
    from scripts.bench.others import report, run

    result = run(prompts)
    return result, report(result)


@bench.command("start")
@json_option
def start() -> Result:
    """Seconds of processes from their start to their end: `carrot --version`, and one prompt routed."""
    from scripts.bench.start import report, run

    result = run()
    return result, report(result)


@bench.command("bootstrap-curve")
@click.option("--prompts", default=1_000_000, show_default=True)
@click.option("--models", default=13, show_default=True)
@click.option("--replicates", default=1_000, show_default=True)
@json_option
def bootstrap_curve(prompts: int, models: int, replicates: int) -> Result:
    """Replicates of one curve of many prompts."""
    from scripts.bench.bootstrap import report_curve, run_curve

    result = run_curve(prompts, models, replicates)
    return result, report_curve(result)


@bench.command("knn")
@click.option("--prompts", default=8_000, show_default=True)
@click.option("--dimensions", default=384, show_default=True)
@click.option("--models", default=13, show_default=True)
@json_option
def knn(prompts: int, dimensions: int, models: int) -> Result:
    """CARROT-KNN's choice of k against the plain scikit-learn loop; same k and predictions are checked."""
    from scripts.bench.knn import report, run

    result = run(prompts, dimensions, models)
    return result, report(result)


@bench.command("bootstrap")
@click.option("--prompts", default=12_000, show_default=True)
@click.option("--models", default=14, show_default=True)
@click.option("--routers", default=8, show_default=True)
@click.option("--replicates", default=1_000, show_default=True)
@json_option
def bootstrap(prompts: int, models: int, routers: int, replicates: int) -> Result:
    """Every figure, band and paired difference of some routers, against sweeping each replicate anew."""
    from scripts.bench.bootstrap import report, run

    result = run(prompts, models, routers, replicates)
    return result, report(result)


@bench.command("import")
@click.option("--prompts", default=44_241, show_default=True)
@click.option("--models", default=13, show_default=True)
@json_option
def import_(prompts: int, models: int) -> Result:
    """Import made-up files of SPROUT's shape and size: seconds and peak memory, against 30 s and 2 GiB."""
    from scripts.bench.sprout_import import report, run

    with progress("Writing the files", " files") as advance:
        result = run(prompts, models, progress=advance)
    return result, report(result)


@bench.command("scene")
@click.option("--prompts", default=12_000, show_default=True)
@click.option("--models", default=14, show_default=True)
@json_option
def scene(prompts: int, models: int) -> Result:
    """A filter on the Frontier page: the same chart for another pool."""
    from scripts.bench.scene import report, run

    result = run(prompts, models)
    return result, report(result)


@bench.command("whatif")
@click.option("--prompts", default=12_000, show_default=True)
@click.option("--models", default=14, show_default=True)
@json_option
def whatif(prompts: int, models: int) -> Result:
    """A scenario on the What-if page, with drift and thresholds, against one sweep of the same prompts."""
    from scripts.bench.whatif import report, run

    result = run(prompts, models)
    return result, report(result)


@bench.command("browse")
@click.option("--prompts", default=44_241, show_default=True)
@click.option("--models", default=13, show_default=True)
@json_option
def browse(prompts: int, models: int) -> Result:
    """Turning pages of prompts on the Data page: from the table that is kept, against asking the database."""
    from scripts.bench.browse import report, run

    with progress("Writing the files", " files") as advance:
        result = run(prompts, models, progress=advance)
    return result, report(result)


@bench.command("live")
@click.option("--bench", "source", default="mmlu-pro-cot", show_default=True, help="Router, as for `carrot route`.")
@click.option("--prompts", default=48, show_default=True, help="One after the other.")
@click.option("--batched", default=1_000, show_default=True, help="In one call.")
@click.option("--clients", default=64, show_default=True, help="Of the HTTP API, at once; 0 leaves it out.")
@click.option("--seconds", default=60.0, show_default=True, help="For which they ask.")
@json_option
def live(source: str, prompts: int, batched: int, clients: int, seconds: float) -> Result:
    """Decisions on typed prompts against the bare encoder and two RoBERTa-base networks; HTTP under load."""
    from scripts.bench.live import report, run

    with progress("One prompt at a time", " prompts") as advance:
        result = run(source, prompts, batched, clients=clients, seconds=seconds, progress=advance)
    return result, report(result)


@bench.command("store")
@click.option("--vectors", default=600_000, show_default=True)
@click.option("--block", default=2_048, show_default=True, help="Vectors that arrive at once.")
@json_option
def store(vectors: int, block: int) -> Result:
    """Vectors arriving in blocks: what the last blocks cost beside the first; listing when nothing changed."""
    from scripts.bench.store import report, run

    result = run(vectors, block=block)
    return result, report(result)


@bench.command("bombs")
@click.option("--plain", is_flag=True, help="Without a process of its own, as the command line reads them.")
@json_option
def bombs(plain: bool) -> Result:
    """Small files that become large, in the way of an upload: seconds, memory and disk until each is refused."""
    from scripts.bench.bombs import report, run

    results = run(lambda name: click.echo(name, err=True), plain=plain)
    return {"bombs": results}, report(results)


@bench.command("users")
@click.option("--sessions", default=50, show_default=True, help="Users at once.")
@click.option("--seconds", default=300.0, show_default=True, help="For which they act.")
@click.option("--heavy/--no-heavy", default=True, show_default=True, help="Beside one who uploads and fits.")
@json_option
def users(sessions: int, seconds: float, heavy: bool) -> Result:
    """The dashboard under many users at once: errors, time of an action, memory."""
    from scripts.bench.users import report, run

    result = run(sessions, seconds, heavy=heavy)
    return result, report(result)
