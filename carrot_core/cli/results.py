"""``carrot results``: everything computed from the real benchmarks that ships, from their files."""

from __future__ import annotations

from pathlib import Path

import click

from carrot_core.cli.common import Result, json_option, open_store, progress
from carrot_core.errors import CarrotError
from carrot_core.paths import IN_CHECKOUT, PACKAGE, shipped


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", multiple=True, metavar="NAME", help="Only this benchmark; repeat for more.")
@json_option
def results(folder: Path, only: tuple[str, ...]) -> Result:
    """Make data/snapshots, data/heads and docs/results.md from the benchmarks' files in FOLDER.

    Runs are kept in the store (CARROT_HOME): an interrupted run goes on where it stopped.
    """
    from carrot_core.results.making import make, write_report
    from carrot_core.results.recipes import RECIPES

    if not IN_CHECKOUT:
        raise CarrotError("Results are made in a checkout of the project, whose files they are.")
    unknown = set(only) - {recipe.name for recipe in RECIPES}
    if unknown:
        raise click.BadParameter(f"no benchmark {min(unknown)!r}", param_hint="--only")
    recipes = [recipe for recipe in RECIPES if not only or recipe.name in only]
    data, page = shipped("."), PACKAGE.parent / "docs" / "results.md"
    make(open_store(), folder, data, recipes, progress=progress)
    write_report(data, page)
    return {"benchmarks": [recipe.name for recipe in recipes], "report": str(page)}, f"Wrote {data} and {page}."
