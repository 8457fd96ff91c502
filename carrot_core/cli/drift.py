"""``carrot point drift``: logs of what happened against what a point promised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carrot_core.cli.check import column_option
from carrot_core.cli.common import as_document, open_store
from carrot_core.text import SENTENCE, visible

if TYPE_CHECKING:
    from carrot_core.benchmarks.log_table import Calls
    from carrot_core.serving.companion import Companion
    from carrot_core.serving.drift import Drift
    from carrot_core.serving.point import PointFile

OUTSIDE, TOO_FEW = 6, 7  # exit codes
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SHARES = 12  # lines


@click.command()
@click.argument("file", type=_FILE, metavar="POINT")
@click.argument("logs", type=_FILE)
@click.option("--points", default=5.0, show_default=True, help="Accuracy points that matter.")
@click.option("--percent", default=20.0, show_default=True, help="Per cent of the cost that matter.")
@click.option("--share-points", default=10.0, show_default=True, help="Points of a model's share that matter.")
@column_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def drift(
    context: click.Context,
    file: Path,
    logs: Path,
    points: float,
    percent: float,
    share_points: float,
    columns: dict[str, str],
    as_json: bool,
) -> None:
    """Whether POINT still does what it promised, by LOGS: one row a call.

    LOGS (CSV, TSV, JSON lines or Parquet) has the column model, the one that answered, and of these what is known:
    prompt_id, score (0 to 1), cost_usd, input_tokens, output_tokens, prompt. Prompts are looked at only to tell
    whether they are unlike the training data; nothing is kept or sent.

    The exit code is 0 where all that can be compared is inside, 6 where something is outside, 7 where nothing is
    outside but the calls are too few to tell something, or nothing can be compared.

    \b
    carrot point drift point.json calls.parquet
    carrot point drift point.json calls.csv --column model=engine --points 3
    """
    from carrot_core.benchmarks.log_table import read_logs
    from carrot_core.serving.drift import Tolerance
    from carrot_core.serving.drift import drift as compare
    from carrot_core.serving.point import read_point

    point, calls = read_point(file), read_logs(logs, columns=columns or None)
    companion, without = _companion(point, calls)
    tolerance = Tolerance(points / 100, percent / 100, share_points / 100)
    found = compare(point, calls, companion=companion, tolerance=tolerance, without=without)
    click.echo(as_document(found.document()) if as_json else visible(_report(found), keep=SENTENCE))
    context.exit({"inside": 0, "outside": OUTSIDE}.get(found.verdict, TOO_FEW))


def _companion(point: PointFile, calls: Calls) -> tuple[Companion | None, str]:
    """What the point's router knows of its training data, where it is on this machine; else why it is not."""
    from carrot_core.errors import CarrotError
    from carrot_core.serving.loading import at_point, is_here

    if not calls.texts:
        return None, ""
    store = open_store()
    if not is_here(point.source, store):
        return None, f"Whether prompts are unlike the training data is not told: {point.source!r} is not here."
    try:
        return at_point(point, store).companion, ""
    except CarrotError as error:
        return None, f"Whether prompts are unlike the training data is not told: {error}"


def _report(found: Drift) -> str:
    from carrot_core.serving.drift_words import about_models, headline, told

    lines = [f"{headline(found)} ({found.n_calls:,} calls, {found.n_prompts:,} different prompts)"]
    lines += [told(found.score), told(found.cost)]
    lines += [f"  {told(share)}" for share in found.shares[:_SHARES]]
    if len(found.shares) > _SHARES:
        lines.append(f"  and {len(found.shares) - _SHARES} more models (--json has them).")
    if found.unlike is not None:
        lines.append(told(found.unlike))
    return "\n".join([*lines, *about_models(found), *(f"Note: {note}" for note in found.notes)])
