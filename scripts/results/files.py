"""The files that what ships is made from, and the tables that ship."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype

from carrot_core.benchmarks import OUTCOME, Frames, Provenance
from carrot_core.benchmarks.costs import pricing_of, with_costs
from carrot_core.benchmarks.formats.rows import CHARACTERS
from carrot_core.benchmarks.registry import read_any
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.errors import DataError, NotFoundError
from carrot_core.outcomes import Benchmark
from carrot_core.paths import file_sha256
from carrot_core.prices import Price
from carrot_core.results.recipes import Progress, Recipe
from carrot_core.store import Store


def load(store: Store, files: Path, recipe: Recipe, progress: Progress) -> Benchmark:
    """The benchmark with its vectors; raises if the stored one was read from another file."""
    path = files / recipe.file
    sha256 = sha256_of(path)
    if recipe.name not in {info.name for info in store.benchmarks()}:
        frames = read_any(path, where=recipe.where, columns=recipe.columns or None)
        store.save_benchmark(recipe.name, frames, shadow=True)  # shipped tables are computed anew here
        if recipe.embeddings is not None:
            store.import_vectors(recipe.name, files / recipe.embeddings, BUNDLED)
    if store.info(recipe.name).sha256 != sha256:
        raise DataError(recipe.name, f"in the store was read from another file than {path}; remove it first")
    return load_embedded(store, recipe.name, progress=progress)


def sha256_of(path: Path) -> str:
    if not path.exists():
        raise NotFoundError(f"{path} is missing: what ships of it is made from it.")
    return file_sha256(path)


def priced(path: Path, prices: Mapping[str, Price]) -> Frames:
    """Frames of a table of runs with texts and output tokens; models may lack tokens or a price."""
    runs = pd.read_parquet(path)
    runs["output_tokens"] = runs["output_tokens"].astype(np.float64)
    estimated = -(-runs["prompt"].str.len() // CHARACTERS)
    runs = runs.assign(input_tokens=estimated.where(runs["output_tokens"].notna()), cost_usd=np.nan)
    outcomes = runs[[*OUTCOME]].assign(sample=runs["sample"].astype(str))
    outcomes, table, _ = with_costs(outcomes, pricing_of(sorted(set(runs["model"])), prices))
    prompts = runs.drop_duplicates("prompt_id").rename(columns={"prompt": "text", "benchmark": "family"})
    prompts = prompts[["prompt_id", "text", "task", "family"]].assign(split=None)
    return Frames(prompts, table, outcomes, Provenance(path.name))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as small Parquet: floats are split by byte position, which halves the size of whole curves."""
    floats = [name for name in table if is_float_dtype(table[name])]
    table.to_parquet(
        path,
        index=False,
        compression="zstd",
        compression_level=19,
        use_dictionary=table.columns.difference(floats).tolist(),
        column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
    )
