"""``carrot scale``: many prompts, from Parquet to Parquet, block by block, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from carrot_core.cli.common import Command, Group, Result, json_option, progress
from carrot_core.cli.route import decide_options, load_router, options_of, router_options
from carrot_core.embedding import BUNDLED

if TYPE_CHECKING:
    from carrot_core.scale import Work
    from carrot_core.scale.blocks import Input


@click.group(cls=Group)
def scale() -> None:
    """Embed, route or estimate many prompts, block by block.

    The commands read Parquet and write Parquet, in one process or on many machines.

    \b
    carrot scale embed prompts/ --out vectors/
    carrot scale route s3://bucket/prompts/ --out s3://bucket/decisions/ --bench mmlu-pro-cot --address auto
    carrot scale estimate outcomes.parquet --out estimated/ --bench mmlu-pro-cot
    carrot scale frontier estimated/ --out curve/

    INPUT is a Parquet file or a folder of them: a path, s3://, gs://, hf://datasets/OWNER/NAME, or any protocol of
    fsspec as fsspec+PROTOCOL://.

    A file appears in --out only when it is whole. After an interruption run the same command again: it continues with
    the blocks that are not done. Without --address the command works in this process, with --address on a cluster of
    Ray (`pip install 'carrot-core[scale]'`).
    """


def _place_options(command: Command) -> Command:
    for option in (
        click.option(
            "--block-rows", type=click.IntRange(1), help="At most this many rows in a block, and in a file of --out."
        ),
        click.option(
            "--workers",
            type=click.IntRange(1),
            help="At most this many processes of Ray (default: one a GPU, else one a core).",
        ),
        click.option("--address", help="Cluster of Ray: auto, HOST:PORT, ray://…, or local for this machine's cores."),
        click.option("--out", required=True, metavar="FOLDER", help="Folder for the results: a path or an address."),
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
            help="Keep only this column of INPUT; repeat for more (default: all).",
        ),
        click.option("--column", default="prompt", show_default=True, help="Column of INPUT with the prompts."),
    ):
        command = option(command)
    return command


def _router_and_columns(command: Command) -> Command:
    task = click.option("--task-column", help="Column of task labels (default: task, if it exists).")
    return _place_options(router_options(decide_options(_column_options(task(command)))))


@scale.command()
@_place_options
@_column_options
@click.option(
    "--encoder",
    default=BUNDLED,
    show_default=True,
    help="The bundled encoder, an id of the hub, or a folder that every machine has.",
)
@json_option
def embed(column: str, keep: tuple[str, ...], encoder: str, **where: Any) -> Result:
    """Add the vector of each prompt.

    The output has the columns of INPUT and `embedding`, a unit vector; the schema names the encoder.
    """
    from carrot_core.scale import Embed

    return _run(lambda _: Embed(column=column, keep=keep or None, encoder=encoder), "Embedding", **where)


@scale.command()
@_router_and_columns
@json_option
def route(**options: Any) -> Result:
    """Add the model that each prompt goes to.

    The output has the columns of INPUT and those that `carrot route --file` writes.
    """
    from carrot_core.scale import Route

    return _decide(Route, "Routing", **options)


@scale.command()
@_router_and_columns
@json_option
def estimate(**options: Any) -> Result:
    """Add the estimates of every model.

    The columns are <model>|est_score, <model>|est_output_tokens and <model>|est_cost_usd. Of the options of the point,
    only the pool and the prices have an effect.
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
    "--cost-unit-usd",
    type=click.FloatRange(0, min_open=True),
    help="Cost unit u of λ (default: mean cost of the most expensive model).",
)
@json_option
def frontier(pool: tuple[str, ...], cost_unit_usd: float | None, **where: Any) -> Result:
    """Compute the frontier from estimates beside outcomes.

    INPUT has a row for each prompt and, for each model, the columns <model> (its score), <model>|cost_usd,
    <model>|est_score and <model>|est_cost_usd. `carrot scale estimate` produces them from a wide table of outcomes.

    The result is `frontier.parquet` in --out, with the columns of `carrot frontier`. A row is exact at its rate; two
    consecutive rates differ by 0.23 % or more.
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
