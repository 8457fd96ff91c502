"""``carrot results``: the computed files that ship, made from the benchmarks' files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from carrot_core.cli.common import Result, json_option, open_store, progress
from carrot_core.embedding import embed
from carrot_core.paths import PACKAGE, SUMS, shipped, sums_of_shipped
from carrot_core.results.recipes import BUILT_IN_RECIPES, RECIPES
from scripts.results.build import compare_built_in, make, make_built_in, write_report


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", multiple=True, metavar="NAME", help="Only this benchmark; repeat for more.")
@json_option
def results(folder: Path, only: tuple[str, ...]) -> Result:
    """Make what ships from the benchmarks' files in FOLDER.

    The command writes data/benchmarks, data/snapshots, data/heads and docs/results.md. It stores its runs in
    CARROT_HOME, so an interrupted run continues where it stopped.
    """
    whole = {recipe.card.name: recipe for recipe in BUILT_IN_RECIPES}
    by_name = {recipe.name: recipe for recipe in RECIPES}
    names = [name for name in (*whole, *by_name) if not only or name in only]
    unknown = set(only) - {*names}
    if unknown:
        raise click.BadParameter(f"no benchmark {min(unknown)!r}", param_hint="--only")
    store, data, page = open_store(), shipped("."), PACKAGE.parent / "docs" / "results.md"
    for name in names:
        if name in whole:
            with progress(f"Embedding {name}", " texts") as advance:
                make_built_in(folder, data, whole[name], partial(embed, progress=advance))
            compare_built_in(store, data, whole[name], progress=progress)
    make(store, folder, data, [by_name[name] for name in names if name in by_name], progress=progress)
    write_report(data, page)
    shipped(SUMS).write_text(sums_of_shipped(), encoding="utf-8")
    return {"benchmarks": names, "report": str(page)}, f"Wrote {data} and {page}."
