"""``carrot theory``: the simulation of the rate and the dimensions of real vectors that ship, made anew."""

from __future__ import annotations

from pathlib import Path

import click

from carrot_core.cli.common import Result, json_option, progress
from carrot_core.errors import NotFoundError
from carrot_core.paths import shipped


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the tables (default: data/theory)."
)
@json_option
def theory(folder: Path, out: Path | None) -> Result:
    """Make data/theory: how fast the rule comes up to the oracle, and how many dimensions real prompts fill.

    FOLDER holds the benchmarks' files, as for `carrot results`; only their vectors are read. Takes some minutes.
    """
    from carrot_core.results.recipes import RECIPES
    from carrot_core.theory.kept import FOLDER, make

    files = {recipe.name: folder / recipe.embeddings for recipe in RECIPES if recipe.embeddings}
    vectors = {name: file for name, file in files.items() if file.exists()}
    if not vectors:
        raise NotFoundError(f"{folder} has none of the files of vectors: {', '.join(map(str, files.values()))}.")
    written = out or shipped(FOLDER)
    make(vectors, written, progress=progress)
    return {"vectors": list(vectors), "folder": str(written)}, f"Wrote {written}."
