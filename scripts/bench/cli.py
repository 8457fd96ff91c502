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
    """Time the exact sweep against a grid.

    The grid is the usual one of 1,001 values of λ. One pass over the data is timed, too.
    """
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
    """Measure and write docs/benchmarks.md.

    NAMES are what to measure (frontier, bootstrap, knn, live, …), all by default; the figures are also stored as JSON.
    """
    from scripts.bench.record import PAGE, record

    return record(names, lambda line: click.echo(line, err=True)), f"Written: {PAGE}."


@bench.command("others")
@click.option("--prompts", default=48, show_default=True, help="Prompts, one call each.")
@json_option
def others(prompts: int) -> Result:
    """Compare with RouteLLM and LLMRouter.

    All answer the same typed prompts, each in a separate process: time and memory.
    """
    from scripts.bench.others import report, run

    result = run(prompts)
    return result, report(result)


@bench.command("start")
@json_option
def start() -> Result:
    """Time whole processes.

    They are `carrot --version` and one prompt routed, in seconds from start to end.
    """
    from scripts.bench.start import report, run

    result = run()
    return result, report(result)


@bench.command("bootstrap-curve")
@click.option("--prompts", default=1_000_000, show_default=True)
@click.option("--models", default=13, show_default=True)
@click.option("--replicates", default=1_000, show_default=True)
@json_option
def bootstrap_curve(prompts: int, models: int, replicates: int) -> Result:
    """Time the replicates of one long curve."""
    from scripts.bench.bootstrap import report_curve, run_curve

    result = run_curve(prompts, models, replicates)
    return result, report_curve(result)


@bench.command("knn")
@click.option("--prompts", default=8_000, show_default=True)
@click.option("--dimensions", default=384, show_default=True)
@click.option("--models", default=13, show_default=True)
@json_option
def knn(prompts: int, dimensions: int, models: int) -> Result:
    """Time CARROT-KNN's choice of k.

    It is compared with the plain scikit-learn loop, which must give the same k and predictions.
    """
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
    """Time the intervals of some routers.

    They are those of every figure, band and paired difference, against sweeping each replicate anew.
    """
    from scripts.bench.bootstrap import report, run

    result = run(prompts, models, routers, replicates)
    return result, report(result)


@bench.command("import")
@click.option("--prompts", default=44_241, show_default=True)
@click.option("--models", default=13, show_default=True)
@json_option
def import_(prompts: int, models: int) -> Result:
    """Import files as large as SPROUT.

    The files are made up. Seconds and peak memory are judged by 30 s and 2 GiB.
    """
    from scripts.bench.sprout_import import report, run

    with progress("Writing the files", " files") as advance:
        result = run(prompts, models, progress=advance)
    return result, report(result)


@bench.command("scene")
@click.option("--prompts", default=12_000, show_default=True)
@click.option("--models", default=14, show_default=True)
@json_option
def scene(prompts: int, models: int) -> Result:
    """Time a filter on the Frontier page.

    It draws the same chart for another pool.
    """
    from scripts.bench.scene import report, run

    result = run(prompts, models)
    return result, report(result)


@bench.command("whatif")
@click.option("--prompts", default=12_000, show_default=True)
@click.option("--models", default=14, show_default=True)
@json_option
def whatif(prompts: int, models: int) -> Result:
    """Time a scenario on the What-if page.

    Drift and thresholds are included; one sweep of the same prompts is timed beside it.
    """
    from scripts.bench.whatif import report, run

    result = run(prompts, models)
    return result, report(result)


@bench.command("browse")
@click.option("--prompts", default=44_241, show_default=True)
@click.option("--models", default=13, show_default=True)
@json_option
def browse(prompts: int, models: int) -> Result:
    """Time turning pages on the Data page.

    The pages of prompts come from the table in memory, or each from a query to the database.
    """
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
    """Time decisions on typed prompts.

    They are compared with the bare encoder and with two RoBERTa-base networks; then the HTTP API is put under load.
    """
    from scripts.bench.live import report, run

    with progress("One prompt at a time", " prompts") as advance:
        result = run(source, prompts, batched, clients=clients, seconds=seconds, progress=advance)
    return result, report(result)


@bench.command("store")
@click.option("--vectors", default=600_000, show_default=True)
@click.option("--block", default=2_048, show_default=True, help="Vectors that arrive at once.")
@json_option
def store(vectors: int, block: int) -> Result:
    """Time the store of vectors.

    Vectors arrive in blocks: the last blocks are compared with the first. Listing when nothing changed is timed, too.
    """
    from scripts.bench.store import report, run

    result = run(vectors, block=block)
    return result, report(result)


@bench.command("bombs")
@click.option("--plain", is_flag=True, help="Without a process of its own, as the command line reads them.")
@json_option
def bombs(plain: bool) -> Result:
    """Upload small files that become large.

    The figures are seconds, memory and disk until each is refused.
    """
    from scripts.bench.bombs import report, run

    results = run(lambda name: click.echo(name, err=True), plain=plain)
    return {"bombs": results}, report(results)


@bench.command("users")
@click.option("--sessions", default=50, show_default=True, help="Users at once.")
@click.option("--seconds", default=300.0, show_default=True, help="For which they act.")
@click.option("--heavy/--no-heavy", default=True, show_default=True, help="Beside one who uploads and fits.")
@json_option
def users(sessions: int, seconds: float, heavy: bool) -> Result:
    """Run many users on the dashboard.

    The figures are errors, the time of an action, and memory, while all act at once.
    """
    from scripts.bench.users import report, run

    result = run(sessions, seconds, heavy=heavy)
    return result, report(result)
