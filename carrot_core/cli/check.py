"""``carrot data check`` and ``carrot data template``: a file of results before it is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from carrot_core.cli.common import Result, as_document, json_option
from carrot_core.errors import CarrotError, DataError
from carrot_core.paths import shipped
from carrot_core.text import SENTENCE, visible

if TYPE_CHECKING:
    import pandas as pd

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TEMPLATE = "template.csv"


def column_option(command: Command) -> Command:
    """``--column prompt_id=id``, repeatable; the command gets ``columns``."""
    return click.option(
        "--column",
        "columns",
        multiple=True,
        metavar="NAME=COLUMN",
        callback=_mapping,
        help="The file's own COLUMN that is NAME, as in prompt_id=id; repeat for more.",
    )(command)


def _mapping(_context: click.Context, _parameter: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for pair, (_, separator, column) in zip(pairs, split, strict=True):
        if not separator or not column:
            raise click.BadParameter(f"{pair!r} is not NAME=COLUMN")
    return {name: column for name, _, column in split}


@click.command()
@click.argument("file", type=FILE)
@click.option("--format", metavar="FORMAT", help="long, wide or another known one (default: told by the file).")
@click.option("--where", metavar="PREDICATE", help="Check these rows only: SQL over the file's columns.")
@click.option("--prices", type=FILE, help="CSV of model, input_usd_per_mtok, output_usd_per_mtok, for files of tokens.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="CSV to write the problems to.")
@column_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(
    context: click.Context,
    file: Path,
    format: str | None,
    where: str | None,
    prices: Path | None,
    out: Path | None,
    columns: dict[str, str],
    as_json: bool,
) -> None:
    """Say everything that is wrong with FILE, each kind of problem with row, column, value and remedy.

    Nothing is imported. The exit code is 0 where FILE can be imported and 4 where it cannot.
    """
    from carrot_core.benchmarks.prices import read_prices
    from carrot_core.benchmarks.registry import read_any
    from carrot_core.csv_out import problems_frame

    try:
        given = None if prices is None else read_prices(prices)
        frames = read_any(file, where=where, prices=given, format=format, columns=columns or None)
    except DataError as error:
        found = problems_frame(error)
        if out is not None:
            _write(found, out)
        # A problem is what was asked for: it goes to standard output, and the exit code says there is one.
        click.echo(
            as_document({"ok": False, "problems": found.to_dict("records")})
            if as_json
            else visible(str(error), keep=SENTENCE)
        )
        context.exit(DataError.exit_code)
    size = f"{len(frames.prompts):,} prompts x {len(frames.models)} models, {len(frames.outcomes):,} outcomes"
    lines = [f"{file.name} can be imported: {size}.", *(f"Note: {warning}" for warning in frames.warnings)]
    document = {"ok": True, "problems": [], "warnings": list(frames.warnings)}
    click.echo(as_document(document) if as_json else visible("\n".join(lines), keep=SENTENCE))


def _write(found: pd.DataFrame, out: Path) -> None:
    from carrot_core.csv_out import write_csv

    try:
        write_csv(found, out)
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write (default: printed).")
@json_option
def template(out: Path | None) -> Result:
    """A few made-up rows in the long format, to be filled with results of your own.

    The wide format has one row a prompt and, for each model, a column of its name with the scores beside
    <model>|cost_usd, <model>|output_tokens, <model>|input_tokens.
    """
    text = shipped(TEMPLATE).read_text(encoding="utf-8")
    if out is None:
        return {"template": text}, text.rstrip("\n")
    try:
        with out.open("x", encoding="utf-8") as file:  # never over a file with results in it
            file.write(text)
    except FileExistsError as error:
        raise CarrotError(f"{out} is already there; choose another name.") from error
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error
    return {"out": str(out)}, f"Wrote {out}. `carrot data check {out}` says whether it can be imported."
