"""``carrot data``: bring results in, list them, embed them, remove them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core.cli.common import Group, Result, json_option, open_store, progress

if TYPE_CHECKING:
    from carrot_core.store import BenchmarkInfo

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Group)
def data() -> None:
    """Bring results in, list them, remove them."""


@data.command("import")
@click.argument("file", type=FILE)
@click.option("--name", required=True, help="Name of the benchmark in the store.")
@click.option("--where", metavar="PREDICATE", help="Keep these rows: SQL over the file's columns, as in kind = 'chat'.")
@click.option("--embeddings", type=FILE, help="Vectors computed before: Parquet with prompt_id, embedding.")
@click.option("--encoder", help="Encoder the vectors come from (default: the bundled MiniLM).")
@click.option("--prices", type=FILE, help="CSV of model, input_usd_per_mtok, output_usd_per_mtok, for files of tokens.")
@click.option("--seed", default=0, show_default=True, help="Seed of the split into train, validation and test.")
@click.option("--replace", is_flag=True, help="Replace a benchmark of the same name.")
@json_option
def import_(
    file: Path,
    name: str,
    where: str | None,
    embeddings: Path | None,
    encoder: str | None,
    prices: Path | None,
    seed: int,
    replace: bool,
) -> Result:
    """Import FILE (Parquet, CSV, TSV or JSONL): one row per prompt and model.

    Columns: prompt_id, model, score (0 to 1), and where there are any: prompt, task, benchmark,
    input_tokens, output_tokens, cost_usd, split.
    """
    from carrot_core.benchmarks.long_table import read_long_table
    from carrot_core.benchmarks.prices import read_prices
    from carrot_core.embedding import BUNDLED

    store = open_store()
    frames = read_long_table(file, where=where, prices=None if prices is None else read_prices(prices))
    info = store.save_benchmark(name, frames, split_seed=seed, replace=replace)
    lines = [f"Imported {info.n_prompts:,} prompts x {info.n_models} models as {name!r}: {info.n_outcomes:,} outcomes."]
    if info.n_missing:
        lines.append(f"{info.n_missing:,} cells of the table were not observed.")
    with_vectors = 0
    if embeddings is not None:
        with_vectors = store.import_vectors(name, embeddings, encoder or BUNDLED)
        lines.append(f"Vectors for {with_vectors:,} prompts.")
    lines += [f"Note: {warning}" for warning in info.warnings]
    return {**described(info), "n_with_vectors": with_vectors}, "\n".join(lines)


def described(info: BenchmarkInfo) -> dict[str, Any]:
    """What the store knows of a benchmark, as plain JSON."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(info).items()}


@data.command("list")
@json_option
def list_() -> Result:
    """List the benchmarks in the store."""
    infos = open_store().benchmarks()
    lines = [
        f"{info.name:24} {info.n_prompts:>8,} prompts  {info.n_models:>3} models  {info.source}  {info.note}".rstrip()
        for info in infos
    ]
    if not infos:
        lines = ["Nothing here yet: `carrot setup` builds the simulated benchmark, `carrot data import` brings yours."]
    return [described(info) for info in infos], "\n".join(lines)


@data.command()
@click.argument("name")
@json_option
def remove(name: str) -> Result:
    """Remove benchmark NAME and everything computed from it."""
    open_store().remove_benchmark(name)
    return {"removed": name}, f"Removed {name!r}."


@data.command()
@click.argument("name")
@click.option("--encoder", help="Hub id or local folder of a sentence encoder (default: the bundled MiniLM).")
@json_option
def embed(name: str, encoder: str | None) -> Result:
    """Compute the vectors that NAME lacks; an interrupted run goes on where it stopped."""
    from carrot_core.embedding import BUNDLED
    from carrot_core.workbench import load_embedded

    with progress(f"Embedding {name}", " texts") as advance:
        bench = load_embedded(open_store(), name, encoder or BUNDLED, advance)
    if bench.vectors is None:
        return {"name": name, "encoder": None}, f"{name!r} has no prompt texts to embed."
    return {"name": name, "encoder": bench.encoder}, f"{name!r} has its vectors of {bench.encoder}."
