"""``carrot theory``: the simulation of the rate and the dimensions of real vectors that ship, made anew."""

from __future__ import annotations

from pathlib import Path

import click

from carrot_core.cli.common import Result, json_option, progress
from carrot_core.errors import CarrotError
from carrot_core.paths import shipped


@click.command()
@click.argument("vectors", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the tables (default: data/theory)."
)
@json_option
def theory(vectors: tuple[Path, ...], out: Path | None) -> Result:
    """Simulate how fast the rule comes up to the oracle, and measure how many dimensions VECTORS fill.

    VECTORS are Parquet files with a column `embedding`, one row a prompt. Takes about a quarter of an hour.
    """
    from carrot_core.theory.kept import FOLDER, make

    named = {file.stem.replace("_", "-"): file for file in vectors}
    if len(named) < len(vectors):
        raise CarrotError("Two files of vectors have the same name, which would be their benchmark's.")
    folder = out or shipped(FOLDER)
    make(named, folder, progress=progress)
    return {"vectors": list(named), "folder": str(folder)}, f"Wrote {folder}."
