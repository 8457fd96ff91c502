"""Small benchmarks made by hand for the tests of the reader and the store."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.store import Store


def long_table(n_prompts: int = 6, models: tuple[str, ...] = ("small", "large")) -> pd.DataFrame:
    """A valid long table with prices of 1 and 2 (small), 3 and 4 (large) … dollars per million tokens."""
    rows = []
    for prompt in range(n_prompts):
        for column, model in enumerate(models):
            tokens_in, tokens_out = 10 + prompt, 5 + (prompt * 7 + column) % 11
            rows.append(
                {
                    "prompt_id": f"p{prompt}",
                    "model": model,
                    "score": ((prompt + column) % 5) / 4,
                    "prompt": f'Question {prompt}, with a comma and a "quote"?',
                    "task": "even" if prompt % 2 == 0 else "odd",
                    "benchmark": "made",
                    "input_tokens": tokens_in,
                    "output_tokens": tokens_out,
                    "cost_usd": (tokens_in * (2 * column + 1) + tokens_out * (2 * column + 2)) / 1e6,
                }
            )
    return pd.DataFrame(rows)


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    """One for all files: to open another costs more than to write a small file."""
    return duckdb.connect()


def write(table: pd.DataFrame, path: Path) -> Path:
    """Write a frame in the format the name says, as DuckDB writes it."""
    kind = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv, delimiter '\t'", ".jsonl": "json"}
    suffix = [part for part in path.suffixes if part != ".gz"][-1]
    packed = ", compression gzip" if path.suffix == ".gz" else ""
    connection, where = _duckdb(), str(path).replace("'", "''")
    connection.register("given", table)
    connection.execute(f"copy (from given) to '{where}' (format {kind[suffix]}{packed})")
    connection.unregister("given")
    return path


def frames(n_prompts: int = 20, n_models: int = 3, seed: int = 0, split: bool = False) -> Frames:
    """Frames with missing cells, missing texts, repeated texts and missing tokens."""
    rng = np.random.default_rng(seed)
    ids = [f"id {number:05d}" for number in range(n_prompts)]
    models = [f"model-{chr(97 + column)}" for column in range(n_models)]
    texts = [None if number % 7 == 3 else f"text {seed} {number // 2 * 2}" for number in range(n_prompts)]
    sides = [("train", "validation", "test")[number % 3] if split else None for number in range(n_prompts)]
    cells = pd.DataFrame(
        [(prompt, model) for prompt in ids for model in models], columns=["prompt_id", "model"], dtype=object
    )
    for name, size in (("score", 1.0), ("input_tokens", 50.0), ("output_tokens", 90.0), ("cost_usd", 0.01)):
        cells[name] = rng.random(len(cells)) * size
    cells.loc[cells.index % 11 == 5, "output_tokens"] = np.nan
    rest = cells[cells.index % 13 != 7].sample(frac=1.0, random_state=seed)
    return Frames(
        prompts=pd.DataFrame(
            {
                "prompt_id": pd.Series(ids, dtype=object),
                "text": pd.Series(texts, dtype=object),
                "task": pd.Series([f"task {number % 2}" for number in range(n_prompts)], dtype=object),
                "family": pd.Series(["family"] * n_prompts, dtype=object),
                "split": pd.Series(sides, dtype=object),
            }
        ),
        models=pd.DataFrame(
            {
                "model": pd.Series(models, dtype=object),
                "input_usd_per_mtok": np.arange(n_models) + 1.0,
                "output_usd_per_mtok": [np.nan if column == 0 else 2.0 * column for column in range(n_models)],
                "as_of": pd.Series(["2026-01-01"] * n_models, dtype=object),
                "source": pd.Series(["made up"] * n_models, dtype=object),
            }
        ),
        outcomes=rest,
        provenance=Provenance("made.parquet", sha256="0" * 64, licence="CC0", rows=len(rest), note="by hand"),
        warnings=("one thing",),
    )


def main_file(store: Store, name: str = "first") -> Path:
    """The file of what was imported as a benchmark."""
    files = store.folder(name).files()
    assert files is not None
    return files.main


def left_behind(store: Store) -> list[str]:
    """What is in a store besides its finished files, and beside it."""
    finished = {*store.path.glob("*/*/*.duckdb"), *store.path.glob("locks/*.lock")}
    there = {path for path in store.path.rglob("*") if not path.is_dir()} - finished
    folders = {path for path in store.path.glob("*/*") if path.is_dir() and not path.name.isdecimal()}
    return sorted(path.name for path in there | folders | set(store.path.parent.iterdir()) - {store.path})
