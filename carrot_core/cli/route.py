"""``carrot route``: prompts to models, at one operating point."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core import limits
from carrot_core.cli.common import Command, as_line, open_store, progress
from carrot_core.cli.solve import Share
from carrot_core.number_formats import CALL, CostBasis, cost_basis, lam_text, money, pays
from carrot_core.paths import unit_of
from carrot_core.text import visible

if TYPE_CHECKING:
    from carrot_core.serving import CarrotRouter
    from carrot_core.serving.decision import Explanation

SOURCE = "A benchmark with a fitted head or in the store, a folder of `carrot router save`, or owner/name on the hub."
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def decide_options(command: Command) -> Command:
    """The options of `CarrotRouter.decide`."""
    for option in (
        click.option(
            "--fallback-above", type=float, help="Percentile of distance from which the fallback answers (default: 99)."
        ),
        click.option("--no-fallback", is_flag=True, help="Never use a fallback, even if the point has one."),
        click.option("--fallback", metavar="MODEL", help="Model that answers prompts unlike the training data."),
        click.option(
            "--price",
            "prices",
            multiple=True,
            metavar="MODEL=IN,OUT",
            help="Prices in US dollars per million tokens; repeat for more.",
        ),
        click.option("--pool", multiple=True, metavar="MODEL", help="Only this model; repeat for more (default: all)."),
        click.option("--mu", type=float, help="λ with the cost unit of the authors' wrapper, $0.01."),
        click.option("--target", type=Share(), help="At least this accuracy, 0 to 1, 9 times in 10."),
        click.option("--budget", type=float, help="At most this many US dollars per 1,000 queries, 9 times in 10."),
        click.option(
            "--lam", type=float, help="λ, 0 to 1 (default: the cheapest point as good as the best single model)."
        ),
    ):
        command = option(command)
    return command


def router_options(command: Command) -> Command:
    """The options that name the router."""
    for option in (
        click.option(
            "--router", help="Router to fit on a benchmark in the store (default: the head that ships, else KNN)."
        ),
        click.option(
            "--point", type=_FILE, help="File of an operating point, in place of --bench and the options of the point."
        ),
        click.option("--bench", metavar="NAME", help=SOURCE),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...")
@router_options
@decide_options
@click.option("--file", "source", type=_FILE, help="File of prompts: CSV, TSV, JSONL, Parquet, .txt; needs --out.")
@click.option("--column", default="prompt", show_default=True, help="Column of --file with the prompts.")
@click.option("--task", metavar="LABEL", help="Task label of prompts without one.")
@click.option("--task-column", help="Column of --file with task labels (default: task, if it exists).")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the decisions to this file: .parquet, .csv or .jsonl.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Show every model's estimates, the ribbon of λ and the distance to the training data.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each prompt.")
def route(
    prompts: tuple[str, ...],
    bench: str | None,
    point: Path | None,
    router: str | None,
    source: Path | None,
    column: str,
    task: str | None,
    task_column: str | None,
    out: Path | None,
    explain: bool,
    as_json: bool,
    **point_options: Any,
) -> None:
    """Choose the model for each PROMPT.

    Without a PROMPT, it chooses one for every line of standard input.

    \b
    carrot route "What is 2 + 2?" --bench mmlu-pro-cot --lam .3
    carrot route "What is 2 + 2?" --bench mmlu-pro-cot --budget 0.2 --explain
    carrot route --file prompts.jsonl --out decisions.parquet --bench mmlu-pro-cot
    carrot route "What is 2 + 2?" --bench mmlu-pro-cot --task mmlu_pro_math
    carrot route "What is 2 + 2?" --bench mine --task math    on your benchmark with labels: carrot-linear, not KNN

    The command only names the model: it calls no model, sends nothing and stores no prompts.

    A PROMPT, also in --file, may be JSON of chat messages; the last text of the user is read.

    A task label must equal one of the benchmark's, letter by letter. Without one, or with another, the task is inferred
    from the prompt. With a label, and always with --explain and --json, the output names the router.
    """
    options = options_of(**point_options) | {"task": task}
    if source is not None and (out is None or prompts):
        raise click.UsageError("--file needs --out and no PROMPT.")
    if task_column is not None and source is None:
        raise click.UsageError("--task-column needs --file.")
    if out is not None and explain:
        raise click.UsageError("--explain prints to the terminal, so it does not work with --out.")
    fitted = load_router(bench, point, router, use_task=task is not None or task_column is not None)
    if out is not None:
        columns = {"column": column, "task_column": task_column}
        click.echo(_into_file(fitted, source, prompts, out, columns, options, as_json))
        return
    if task is not None and not (explain or as_json):
        click.echo(_router_line(fitted), err=True)
    from carrot_core.serving.files import prompts_from_lines

    for prompt in prompts or (text for _, text, _ in prompts_from_lines(_lines(), "standard input").rows):
        click.echo(_answer(fitted, prompt, options, explain, as_json))


def load_router(bench: str | None, point: Path | None, router: str | None, *, use_task: bool = False) -> CarrotRouter:
    """The router that `router_options` name; ``use_task`` as for `CarrotRouter.load`."""
    from carrot_core.serving import CarrotRouter

    source = point if bench is None else bench
    if source is None or None not in (bench, point):
        raise click.UsageError("Name a router: --bench NAME or --point FILE.")
    return CarrotRouter.load(source, router=router, store=open_store(), use_task=use_task)


def _lines() -> Iterator[str]:
    """Lines of standard input as they arrive; a line that is too long is read only far enough to see that."""
    if sys.stdin.isatty():
        click.echo("One prompt a line; end with Ctrl-D.", err=True)
    lines = iter(lambda: sys.stdin.buffer.readline(4 * (limits.PROMPT_CHARACTERS + 1)), b"")
    for number, line in enumerate(lines):
        yield line.decode("utf-8" if number else "utf-8-sig", errors="replace")


def options_of(
    pool: Sequence[str], prices: Sequence[str], fallback: str | None, no_fallback: bool, **options: Any
) -> dict[str, Any]:
    """The values of `decide_options` that are not left out, as `CarrotRouter.decide` takes them."""
    if no_fallback and fallback is not None:
        raise click.UsageError("Give --fallback or --no-fallback, not both.")
    options |= {"pool": list(pool) or None, "prices": dict(map(_price, prices)) or None, "fallback": fallback}
    return {name: value for name, value in options.items() if value is not None or (no_fallback and name == "fallback")}


def _price(text: str) -> tuple[str, tuple[float, float]]:
    model, _, amounts = text.rpartition("=")
    try:
        price_in, price_out = map(float, amounts.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not MODEL=IN,OUT", param_hint="--price") from error
    return model, (price_in, price_out)


def _answer(fitted: CarrotRouter, prompt: str, options: dict[str, Any], explain: bool, as_json: bool) -> str:
    if explain:
        explanation = fitted.explain(prompt, nearest=False, **options)
        document = _router_fields(fitted) | explanation.decision.records()[0] | _grounds(explanation)
        unit = unit_of(fitted.profile.benchmark, fitted.profile.data_hash)
        return as_line(document) if as_json else f"{_report(explanation, unit)}\n{_router_line(fitted)}"
    decisions = fitted.decide([prompt], **options)
    if as_json:
        return as_line(_router_fields(fitted) | decisions.records()[0])
    if note := decisions.labels.notes[0]:
        click.echo(note, err=True)
    return visible(decisions.models[0])


def _router_fields(fitted: CarrotRouter) -> dict[str, Any]:
    """The part of a document that says which router it is of, and whether that was fitted with task labels."""
    return {"router": fitted.router, "use_task": bool(fitted.task_labels)}


def _router_line(fitted: CarrotRouter) -> str:
    """The same as text."""
    return f"Router: {fitted.router}, fitted {'with' if fitted.task_labels else 'without'} task labels."


def _grounds(explanation: Explanation) -> dict[str, Any]:
    """The part of a decision's document that ``--explain`` adds; never the text of another prompt."""
    table = explanation.table.astype(object).where(explanation.table.notna(), None)
    return {
        "sentence": explanation.sentence,
        "runner_up": explanation.runner_up,
        "estimates": table.to_dict(orient="records"),
        "ribbon": [vars(segment) for segment in explanation.ribbon],
        "distance_percentile": explanation.distance_percentile,
        "unlike": explanation.unlike,
        "prompt_tokens": explanation.prompt_tokens,
        "read_tokens": explanation.read_tokens,
        "seconds": dict(explanation.seconds),
    }


def _row(row: dict[Any, Any], basis: CostBasis) -> str:
    """One model of an explanation."""
    score = f"{row['est_score']:.2f} [{row['score_low']:.2f}, {row['score_high']:.2f}]"
    tokens = f"{row['est_output_tokens']:.0f} [{row['output_tokens_low']:.0f}, {row['output_tokens_high']:.0f}]"
    tokens = "not estimated" if "nan" in tokens else tokens
    cost = basis.text(row["est_cost_usd"], row["cost_low_usd"], row["cost_high_usd"])
    return f"{visible(row['model']):42} {score:>20} {tokens:>24} {cost:>36} {row['utility']:>9.4f}"


def _report(explanation: Explanation, unit: str = CALL) -> str:
    decision = explanation.decision
    basis = cost_basis(decision.estimates.cost_usd, unit)
    lines = [
        visible(explanation.sentence, keep=" "),
        f"λ {lam_text(decision.lam)}, cost unit {money(decision.cost_unit_usd)}: it pays "
        f"{pays(decision.exchange_rate_per_usd)}.",
        f"{'model':42} {'score (90 %)':>20} {'output tokens (90 %)':>24} {'cost (90 %)':>36} {'utility':>9}",
    ]
    lines += [_row(row, basis) for row in explanation.table.to_dict(orient="records")]
    lines.append("Chosen as λ goes from 0 to 1:")
    lines += [
        f"  λ {lam_text(part.lam_from)} to {lam_text(part.lam_to)}: {visible(part.model)}"
        for part in explanation.ribbon
    ]
    if explanation.distance_percentile is not None:
        unlike = "unlike anything in the training data: " if explanation.unlike else ""
        lines.append(f"Distance to the training data: {unlike}percentile {explanation.distance_percentile:.1f}.")
    label, note = decision.labels.used[0], decision.labels.notes[0]
    if label or note:
        lines.append(f"Task label: {visible(label) or note}")
    lines.append(f"{explanation.prompt_tokens:,} tokens; the encoder read {explanation.read_tokens:,}.")
    return "\n".join(lines)


def _into_file(
    fitted: CarrotRouter,
    source: Path | None,
    prompts: Sequence[str],
    out: Path,
    columns: dict[str, Any],
    options: dict[str, Any],
    as_json: bool,
) -> str:
    from carrot_core.serving.summary import route_file, route_lines

    with progress("Routing", " prompts") as advance:
        if source is None:
            summary = route_lines(fitted, prompts or _lines(), out, progress=advance, **options)
        else:
            summary = route_file(fitted, source, out, **columns, progress=advance, **options)
    if as_json:
        return as_line(_router_fields(fitted) | summary.document())
    return f"{summary.text()}\n{_router_line(fitted)}"
