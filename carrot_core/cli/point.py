"""``carrot export`` and ``carrot point``: operating points as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core.cli.common import Group, OutFile, Result, json_option, open_store
from carrot_core.cli.drift import drift
from carrot_core.cli.route import asked_options, decide_options
from carrot_core.errors import CarrotError
from carrot_core.exports import FORMATS, format_for
from carrot_core.text import SENTENCE, visible

if TYPE_CHECKING:
    from carrot_core.serving.point import PointFigures, PointFile

_QUERIES = 1000
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("bench")
@click.option("--router", help="Router to fit on a benchmark in the store (default: the head that ships, else KNN).")
@decide_options
@click.option("--note", default="", help="Words to keep with it.")
@click.option("--out", required=True, type=OutFile(), help="File to write.")
@click.option(
    "--format", "name", type=click.Choice(list(FORMATS)), help="Of the file (default: what its name ends in)."
)
@json_option
def export(bench: str, router: str | None, note: str, out: Path, name: str | None, **asked: Any) -> Result:
    """Write an operating point of BENCH (or of a saved router, owner/name on the hub, a point's file) to a file.

    \b
    carrot export mmlu-pro-cot --lam .1 --out point.json       the point itself (also .yaml)
    carrot export mmlu-pro-cot --lam .1 --out report.html      one page to print
    carrot export point.json --out route.py                    a script that routes prompts
    carrot export point.json --out curve.csv                   the curve it lies on (also .parquet)
    carrot export point.json --format litellm --out config.yaml
    carrot export point.json --format litellm-hook --out carrot_hook.py
    carrot route "What is 2 + 2?" --point point.json
    """
    from carrot_core.serving.router import CarrotRouter

    try:
        wanted = format_for(out.name, name)
    except CarrotError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    fitted = CarrotRouter.load(bench, router=router, store=open_store())
    options = {option: value for option, value in asked_options(**asked).items() if value is not None}
    made = None if options or note else fitted.point  # a point's file, asked for nothing new, is exported as it is
    made = made or fitted.point_file(note=note, **options)
    content = wanted.make(fitted, made)
    try:
        out.write_bytes(content)
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error
    return made.model_dump(mode="json"), f"Wrote λ {made.lam:.6g} of {made.router} on {made.source!r} to {out}."


@click.group(cls=Group)
def point() -> None:
    """Look at operating points that `carrot export` wrote."""


@point.command()
@click.argument("file", type=_FILE)
@json_option
def show(file: Path) -> Result:
    """What FILE says: the router, λ, the pool, and what to expect."""
    from carrot_core.serving.point import read_point

    made = read_point(file)
    return made.model_dump(mode="json"), _report(made)


@point.command()
@click.argument("file", type=_FILE)
@json_option
def check(file: Path) -> Result:
    """Load FILE's router here, and say whether it is the one the point was made with."""
    from carrot_core.serving.router import CarrotRouter

    fitted = CarrotRouter.load(file, store=open_store())
    document = {"file": str(file), "router": fitted.router, "artefact": fitted.artefact, "whole": True}
    return (
        document,
        f"{file} is whole: {fitted.router} of {visible(fitted.name)} is here and decides as when it was exported.",
    )


@point.command()
@click.argument("one", type=_FILE)
@click.argument("other", type=_FILE)
@json_option
def diff(one: Path, other: Path) -> Result:
    """What two points do not share."""
    from carrot_core.serving.point import differences, read_point

    found = differences(read_point(one), read_point(other))
    lines = [
        f"{visible(name, keep=' ')}: {_short(before)} -> {_short(after)}" for name, (before, after) in found.items()
    ]
    return {name: list(values) for name, values in found.items()}, "\n".join(lines) or "The two are the same point."


point.add_command(drift)


def _short(value: Any) -> str:
    """A value on half a line: of a table only that it is there."""
    if isinstance(value, dict):
        return "given"
    if isinstance(value, list):
        return ", ".join(visible(str(item)) for item in value)
    return "none" if value in (None, "") else visible(str(value), keep=SENTENCE)


def _report(made: PointFile) -> str:
    worth = "any" if made.exchange_rate_per_usd is None else f"{made.exchange_rate_per_usd:.4g}"
    lines = [
        f"{visible(made.router)} of {visible(made.source)}, exported {visible(made.created_at)} by carrot-core "
        f"{visible(made.carrot_version)}",
        f"λ {made.lam:.6g}, cost unit ${made.cost_unit_usd:.4g}: a dollar is worth {worth} score",
        f"pool: {', '.join(map(visible, made.pool))}",
    ]
    if made.fallback:
        lines.append(f"fallback from percentile {made.fallback_above:g} of distance: {visible(made.fallback)}")
    for name, figures in (("validation", made.validation), ("test", made.test)):
        lines.append(f"{name}: " + ("not measured on this pool or these prices" if figures is None else _told(figures)))
    used = sorted((made.shares or {}).items(), key=lambda item: -item[1])
    if used:
        lines.append(
            "answered by: " + ", ".join(f"{visible(model)} {100 * share:.1f} %" for model, share in used if share)
        )
    return "\n".join([*lines, *([f"note: {visible(made.note, keep=SENTENCE)}"] if made.note else [])])


def _told(figures: PointFigures) -> str:
    score = _interval(100 * figures.score, figures.score_low, figures.score_high, 100, ".2f")
    cost = _interval(_QUERIES * figures.cost_usd, figures.cost_usd_low, figures.cost_usd_high, _QUERIES, ".4g")
    return f"accuracy {score} %, cost per 1k queries $ {cost} ({figures.n_prompts:,} prompts)"


def _interval(value: float, low: float | None, high: float | None, factor: float, form: str) -> str:
    ends = "" if low is None or high is None else f" [{factor * low:{form}}, {factor * high:{form}}]"
    return f"{value:{form}}{ends}"
