"""``carrot export`` and ``carrot point``: operating points as files, and logs compared with a point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core.cli.common import Group, OutFile, Result, as_document, column_option, json_option, open_store
from carrot_core.cli.route import decide_options, options_of
from carrot_core.errors import CarrotError
from carrot_core.number_formats import CostBasis, lam_text, money, pays, percent
from carrot_core.points.formats import FORMATS, format_for
from carrot_core.text import SENTENCE, visible

if TYPE_CHECKING:
    from carrot_core.benchmarks.log_table import Calls
    from carrot_core.points.drift import Drift
    from carrot_core.serving.point import PointFigures, PointFile
    from carrot_core.serving.profile import RouterProfile


OUTSIDE, TOO_FEW = 6, 7  # exit codes
_LOG_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SHARES = 12  # lines


@click.command()
@click.argument("file", type=_LOG_FILE, metavar="POINT")
@click.argument("logs", metavar="LOGS")
@click.option("--points", default=5.0, show_default=True, help="Tolerance of the accuracy, in points.")
@click.option("--percent", default=20.0, show_default=True, help="Tolerance of the cost, in per cent.")
@click.option("--share-points", default=10.0, show_default=True, help="Tolerance of a model's share, in points.")
@click.option("--free", multiple=True, metavar="MODEL", help="MODEL is free: its costs of 0 are real; repeat for more.")
@column_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def drift(
    context: click.Context,
    file: Path,
    logs: str,
    points: float,
    percent: float,
    share_points: float,
    free: tuple[str, ...],
    columns: dict[str, str],
    as_json: bool,
) -> None:
    """Compare logged calls with the test figures of POINT.

    LOGS is a file, or the name of a log that `carrot data import` stored: of LiteLLM, OpenTelemetry, Langfuse,
    OpenRouter, batches of OpenAI or Anthropic. A table (CSV, TSV, JSON lines or Parquet) has a row for each call. It
    needs the column model, the one that answered. Optional: prompt_id, score (0 to 1), cost_usd, input_tokens,
    output_tokens, prompt. Prompts serve only to detect those unlike the training data; nothing is stored or sent.

    The exit code is 0 if everything that can be compared is inside the tolerance, 6 if something is outside, and 7 if
    nothing is outside but the calls are too few to tell something, or nothing can be compared.

    \b
    carrot point drift point.json calls.parquet
    carrot point drift point.json calls.csv --column model=engine --points 3
    """
    from carrot_core.benchmarks.log_table import log_at, read_logs
    from carrot_core.points.drift import Tolerance
    from carrot_core.points.drift import drift as compare
    from carrot_core.serving.point import read_point

    point = read_point(file)
    calls = read_logs(log_at(logs), columns=columns or None, free={*free, *point.free})
    profile, without = _profile(point, calls)
    tolerance = Tolerance(points / 100, percent / 100, share_points / 100)
    report = compare(point, calls, profile=profile, tolerance=tolerance, without=without)
    click.echo(as_document(report.document()) if as_json else visible(_drift_report(report), keep=SENTENCE))
    context.exit({"inside": 0, "outside": OUTSIDE}.get(report.verdict, TOO_FEW))


def _profile(point: PointFile, calls: Calls) -> tuple[RouterProfile | None, str]:
    """The profile of the point's router if it is on this machine; else None and why not."""
    from carrot_core.errors import CarrotError
    from carrot_core.serving.loading import at_point, is_here

    if not calls.texts:
        return None, ""
    store = open_store()
    if not is_here(point.source, store):
        return None, f"Prompts unlike the training data are not counted: {point.source!r} is not on this machine."
    try:
        return at_point(point, store).profile, ""
    except CarrotError as error:
        return None, f"Prompts unlike the training data are not counted: {error}"


def _drift_report(result: Drift) -> str:
    from carrot_core.points.drift_report import about_models, describe, headline

    lines = [f"{headline(result)} ({result.n_calls:,} calls, {result.n_prompts:,} different prompts)"]
    lines += [describe(result.score), describe(result.cost)]
    lines += [f"  {describe(share)}" for share in result.shares[:_SHARES]]
    if len(result.shares) > _SHARES:
        lines.append(f"  and {len(result.shares) - _SHARES} more models (--json has them).")
    if result.unlike is not None:
        lines.append(describe(result.unlike))
    return "\n".join([*lines, *about_models(result), *(f"Note: {note}" for note in result.notes)])


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("bench")
@click.option("--router", help="Router to fit on a benchmark in the store (default: the head that ships, else KNN).")
@decide_options
@click.option("--note", default="", help="Note to store in the file.")
@click.option("--out", required=True, type=OutFile(), help="File to write.")
@click.option(
    "--format", "name", type=click.Choice(list(FORMATS)), help="Format of the file (default: by the end of its name)."
)
@json_option
def export(bench: str, router: str | None, note: str, out: Path, name: str | None, **point_options: Any) -> Result:
    """Write an operating point to a file.

    BENCH is a benchmark, a folder of `carrot router save`, owner/name on the hub, or the file of a point.

    \b
    carrot export mmlu-pro-cot --lam .1 --out point.json       the point itself (also .yaml)
    carrot export mmlu-pro-cot --lam .1 --out report.html      one page to print
    carrot export point.json --out route.py                    a script that routes prompts
    carrot export point.json --out curve.csv                   the curve it lies on (also .parquet)
    carrot export point.json --format litellm --out config.yaml
    carrot export point.json --format litellm-hook --out carrot_hook.py
    carrot route "What is 2 + 2?" --point point.json
    """
    from carrot_core.serving import CarrotRouter

    try:
        export_format = format_for(out.name, name)
    except CarrotError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    carrot = CarrotRouter.load(bench, router=router, store=open_store())
    options = options_of(**point_options)
    point = None if options or note else carrot.point  # without options a point's file is exported unchanged
    point = point or carrot.point_file(note=note, **options)
    content = export_format.make(carrot, point)
    try:
        out.write_bytes(content)
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error
    return point.model_dump(
        mode="json"
    ), f"Wrote λ {lam_text(point.lam, 6)} of {point.router} on {point.source!r} to {out}."


@click.group(cls=Group)
def point() -> None:
    """Show, check and compare files of operating points."""


@point.command()
@click.argument("file", type=_FILE)
@json_option
def show(file: Path) -> Result:
    """Show FILE: the router, λ, the pool and the expected figures."""
    from carrot_core.serving.point import read_point

    point = read_point(file)
    return point.model_dump(mode="json"), _report(point)


@point.command()
@click.argument("file", type=_FILE)
@json_option
def check(file: Path) -> Result:
    """Check that the router of FILE is the one of the export."""
    from carrot_core.serving import CarrotRouter

    fitted = CarrotRouter.load(file, store=open_store())
    document = {"file": str(file), "router": fitted.router, "artefact": fitted.artefact, "whole": True}
    return (
        document,
        f"{file} is whole: {fitted.router} of {visible(fitted.name)} is on this machine and decides as at export.",
    )


@point.command()
@click.argument("one", type=_FILE)
@click.argument("other", type=_FILE)
@json_option
def diff(one: Path, other: Path) -> Result:
    """List the fields in which two points differ."""
    from carrot_core.serving.point import differences, read_point

    changes = differences(read_point(one), read_point(other))
    lines = [
        f"{visible(name, keep=' ')}: {_short(before)} -> {_short(after)}" for name, (before, after) in changes.items()
    ]
    return {name: list(values) for name, values in changes.items()}, "\n".join(lines) or "Both are the same point."


point.add_command(drift)


def _short(value: Any) -> str:
    """A value as short text; tables are not written out."""
    if isinstance(value, dict):
        return "given"
    if isinstance(value, list):
        return ", ".join(visible(str(item)) for item in value)
    return "none" if value in (None, "") else visible(str(value), keep=SENTENCE)


def _report(point: PointFile) -> str:
    from carrot_core.serving.point import promise_of

    lines = [
        f"{visible(point.router)} of {visible(point.source)}, exported {visible(point.created_at)} by carrot-core "
        f"{visible(point.carrot_version)}",
        f"λ {lam_text(point.lam, 6)}, cost unit {money(point.cost_unit_usd)}: "
        f"it pays {pays(point.exchange_rate_per_usd)}",
        f"pool: {', '.join(map(visible, point.pool))}",
    ]
    if point.fallback:
        lines.append(f"fallback from percentile {point.fallback_above:g} of distance: {visible(point.fallback)}")
    for name, figures in (("validation", point.validation), ("test", point.test)):
        lines.append(
            f"{name}: "
            + ("not measured on this pool or these prices" if figures is None else _figures_text(figures, point.basis))
        )
    if point.promise:
        lines.append(promise_of(point.promise, point.basis))
    used = sorted((point.shares or {}).items(), key=lambda item: -item[1])
    if used:
        lines.append(
            "answered by: " + ", ".join(f"{visible(model)} {percent(share)}" for model, share in used if share)
        )
    return "\n".join([*lines, *([f"note: {visible(point.note, keep=SENTENCE)}"] if point.note else [])])


def _figures_text(figures: PointFigures, basis: CostBasis) -> str:
    score = percent(figures.score, figures.score_low, figures.score_high, digits=2)
    cost = basis.text(figures.cost_usd, figures.cost_usd_low, figures.cost_usd_high)
    return f"accuracy {score}, cost {cost} ({figures.n_prompts:,} prompts)"
