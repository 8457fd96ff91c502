"""``carrot scale``: many prompts, from Parquet to Parquet, block by block, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from carrot_core.cli.common import Group, Result, json_option, progress
from carrot_core.cli.route import decide_options, load_router, options_of, router_options
from carrot_core.embedding import BUNDLED

if TYPE_CHECKING:
    from carrot_core.scale import Work
    from carrot_core.scale.blocks import Input

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(cls=Group)
def scale() -> None:
    """Work on more prompts than one run or one machine takes: Parquet in, Parquet out, block by block.

    \b
    carrot scale embed prompts/ --out vectors/
    carrot scale route s3://bucket/prompts/ --out s3://bucket/decisions/ --bench mmlu-pro-cot --address auto
    carrot scale estimate outcomes.parquet --out estimated/ --bench mmlu-pro-cot
    carrot scale frontier estimated/ --out curve/

    INPUT is a Parquet file or a folder of them: a path, s3://, gs://, hf://datasets/OWNER/NAME, or any protocol of
    fsspec as fsspec+PROTOCOL://. A file of --out is there only when it is whole; run the same command again after an
    interruption, and it goes on with the blocks that are not done. Without --address all is done in this process, with
    it on a cluster of Ray (`pip install 'carrot-core[scale]'`).
    """


def _place_options(command: Command) -> Command:
    for option in (
        click.option("--block-rows", type=click.IntRange(1), help="Most rows of a block, and of a file of --out."),
        click.option("--workers", type=click.IntRange(1), help="Most processes of Ray (default: one a GPU, or core)."),
        click.option("--address", help="Cluster of Ray: auto, HOST:PORT, ray://…, or local for one on this machine."),
        click.option("--out", required=True, metavar="FOLDER", help="Folder of the results: a path or an address."),
        click.argument("places", metavar="INPUT...", nargs=-1, required=True),
    ):
        command = option(command)
    return command


def _each_once(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _column_options(command: Command) -> Command:
    for option in (
        click.option(
            "--keep",
            multiple=True,
            callback=_each_once,
            metavar="COLUMN",
            help="Only this column of INPUT; repeat for more (default: all).",
        ),
        click.option("--column", default="prompt", show_default=True, help="Column of INPUT that has the prompts."),
    ):
        command = option(command)
    return command


def _router_and_columns(command: Command) -> Command:
    task = click.option("--task-column", help="Column of task labels (default: task, where there is one).")
    return _place_options(router_options(decide_options(_column_options(task(command)))))


@scale.command()
@_place_options
@_column_options
@click.option("--encoder", default=BUNDLED, show_default=True, help="Or a hub id, or a folder that every machine has.")
@json_option
def embed(column: str, keep: tuple[str, ...], encoder: str, **where: Any) -> Result:
    """Prompts to unit vectors: the columns of INPUT and ``embedding``, the encoder's name in the schema."""
    from carrot_core.scale import Embed

    return _run(lambda _: Embed(column=column, keep=keep or None, encoder=encoder), "Embedding", **where)


@scale.command()
@_router_and_columns
@json_option
def route(**options: Any) -> Result:
    """Prompts to models: the columns of INPUT and those that `carrot route --file` writes."""
    from carrot_core.scale import Route

    return _decide(Route, "Routing", **options)


@scale.command()
@_router_and_columns
@json_option
def estimate(**options: Any) -> Result:
    """Prompts to what is expected of every model: <model>|est_score, |est_output_tokens and |est_cost_usd.

    Of the options of the point, those of the pool and the prices matter.
    """
    from carrot_core.scale import Estimate

    return _decide(Estimate, "Estimating", **options)


def _decide(
    kind: Callable[..., Work],
    verb: str,
    *,
    bench: str | None,
    point: Any,
    router: str | None,
    column: str,
    task_column: str | None,
    keep: tuple[str, ...],
    places: tuple[str, ...],
    **options: Any,
) -> Result:
    where = {name: options.pop(name) for name in ("out", "address", "workers", "block_rows")}
    fitted, options = load_router(bench, point, router), options_of(**options)
    settings = {"router": fitted, "options": options, "task_column": task_column}
    return _run(lambda _: kind(column=column, keep=keep or None, **settings), verb, places, **where)


@scale.command()
@_place_options
@click.option(
    "--pool",
    multiple=True,
    callback=_each_once,
    metavar="MODEL",
    help="Only this model; repeat for more (default: all).",
)
@click.option(
    "--cost-unit-usd", type=click.FloatRange(0, min_open=True), help="u, for λ (default: the most expensive model)."
)
@json_option
def frontier(pool: tuple[str, ...], cost_unit_usd: float | None, **where: Any) -> Result:
    """Estimates beside outcomes to the curve, exact at the edges of bins: ``frontier.parquet`` in --out.

    INPUT has a row a prompt and for each model <model> (its score), <model>|cost_usd, <model>|est_score and
    <model>|est_cost_usd: what `carrot scale estimate` leaves of a wide table of outcomes. Columns as of `carrot
    frontier`; a row is exact at its rate, and two rates that follow one another differ by 0.23 % or more.
    """
    from carrot_core.scale import Curve
    from carrot_core.scale.work import pool_in

    def work(inputs: list[Input]) -> Work:
        return Curve(models=pool or pool_in(inputs[0].schema), cost_unit_usd=cost_unit_usd)

    return _run(work, "Summing", **where)


def _run(work: Callable[[list[Input]], Work], verb: str, places: tuple[str, ...], out: str, **options: Any) -> Result:
    from carrot_core.scale import find_inputs, run
    from carrot_core.scale.blocks import redact

    inputs = find_inputs(places)
    with progress(verb, " rows") as advance:
        document = run(work(inputs), inputs, out, **options, progress=advance)
    lines = [f"{document['rows']:,} rows in {document['blocks']:,} blocks are in {redact(out)}."]
    if document["done_before"]:
        lines.append(f"{document['done_before']:,} blocks were done before.")
    if document["unused"]:
        lines.append(f"{document['unused']:,} rows could not be used: no prompt, or not every model observed.")
    return {"out": redact(out), **document}, "\n".join(lines)
