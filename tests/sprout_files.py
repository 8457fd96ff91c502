"""Files in SPROUT's schema with made-up numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MODELS = (
    "aws-claude-3-5-sonnet-v1",
    "aws-titan-text-premier-v1",
    "openai-gpt-4o",
    "openai-gpt-4o-mini",
    "wxai-granite-3-2b-instruct-8k-max-tokens",
    "wxai-granite-3-8b-instruct-8k-max-tokens",
    "wxai-llama-3-1-70b-instruct",
    "wxai-llama-3-1-8b-instruct",
    "wxai-llama-3-2-1b-instruct",
    "wxai-llama-3-2-3b-instruct",
    "wxai-llama-3-3-70b-instruct",
    "wxai-llama-3-405b-instruct",
    "wxai-mixtral-8x7b-instruct-v01",
)
O3MINI = (*MODELS, "openai-o3-mini")
SHARDS = {
    "data/train-00000-of-00003.parquet": 12,
    "data/train-00001-of-00003.parquet": 11,
    "data/train-00002-of-00003.parquet": 11,
    "data/validation-00000-of-00001.parquet": 7,
    "data/test-00000-of-00001.parquet": 8,
}
DATASETS = ("lighteval/MATH/all", "openhermes/teknium", "TIGER-Lab/MMLU-Pro", "Idavidrein/gpqa/gpqa_extended")


def table(
    n: int, models: Sequence[str] = MODELS, first: int = 0, spelling: str = "_", response_chars: int = 60
) -> pa.Table:
    """One shard: n prompts, keys from ``first``, ``dataset_level`` or (spelling " ") ``dataset level``."""
    rng = np.random.default_rng(first)
    rows = range(first, first + n)
    columns: dict[str, Any] = {
        "key": list(rows),
        "dataset": [DATASETS[row % len(DATASETS)] for row in rows],
        f"dataset{spelling}level": [f"Level {row % 3}" for row in rows],
        f"dataset{spelling}idx": list(rows),
        "prompt": [f"What is {row} plus {row}?" for row in rows],
        "golden_answer": [str(2 * row) for row in rows],
    }
    for model in models:
        columns[model] = answers(
            score=rng.integers(0, 11, n) / 10,
            num_input_tokens=rng.integers(5, 50, n),
            num_output_tokens=rng.integers(5, 500, n),
            response=["x" * response_chars] * n,
        )
    return pa.table(columns)


def answers(**fields: Any) -> pa.StructArray:
    """A model's column, its fields in the order of the published files."""
    fields.setdefault("judge_response", pa.nulls(len(fields["score"]), pa.string()))
    order = ("num_input_tokens", "num_output_tokens", "response", "score", "judge_response")
    named = {name: pa.array(fields[name]) for name in order if name in fields}
    return pa.StructArray.from_arrays(list(named.values()), names=list(named))


def content(shard: pa.Table, **options: Any) -> bytes:
    """The bytes of a Parquet file."""
    out = io.BytesIO()
    pq.write_table(shard, out, **options)
    return out.getvalue()


def shards(models: Sequence[str] = MODELS, **options: Any) -> dict[str, pa.Table]:
    """The five tables by their path in the repository."""
    firsts = np.cumsum([0, *SHARDS.values()])
    return {
        path: table(n, models, int(first), **options) for (path, n), first in zip(SHARDS.items(), firsts, strict=False)
    }


def repository(models: Sequence[str] = MODELS, **options: Any) -> dict[str, bytes]:
    """A data set as the hub has it."""
    files = {path: content(shard) for path, shard in shards(models, **options).items()}
    return {"README.md": b"---\n---\n", ".gitattributes": b"*.parquet filter=lfs\n", **files}


def write(folder: Path, table: dict[str, pa.Table]) -> list[Path]:
    """Write shards into a folder; returns their paths."""
    paths = [folder / Path(name).name for name in table]
    for path, shard in zip(paths, table.values(), strict=True):
        pq.write_table(shard, path)
    return paths
