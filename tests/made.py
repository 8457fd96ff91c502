"""A small made-up benchmark in which the right model depends on the prompt, its files, and a store that holds it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.embedding import BUNDLED
from carrot_core.evaluation.runs import run_router
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.prices import Price, token_cost_usd
from carrot_core.store import Store

MODELS = ("acme/large", "acme/small", "zeta/mid")
PRICES = {"acme/large": Price(3.0, 15.0), "acme/small": Price(0.1, 0.4), "zeta/mid": Price(0.5, 1.5)}


def made(n: int = 300, seed: int = 0, dimensions: int = 384) -> Benchmark:
    """Two tasks of which each has a model that is best at it, and one expensive model nearly as good at both."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    centre = rng.normal(size=(2, dimensions))
    vectors = centre[kind] + rng.normal(scale=0.7, size=(n, dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chance = np.array([[0.85, 0.9, 0.2], [0.85, 0.2, 0.9]])[kind]
    tokens_in = np.repeat(rng.integers(20, 200, (n, 1)), 3, axis=1).astype(float)
    tokens_out = rng.integers(50, 400, (n, 3)).astype(float)
    ids = tuple(f"p{i:04d}" for i in range(n))
    return Benchmark(
        name="made",
        outcomes=Outcomes(
            ids,
            MODELS,
            (rng.random((n, 3)) < chance).astype(float),
            token_cost_usd(tokens_in, tokens_out, [PRICES[model] for model in MODELS]),
        ),
        texts=tuple(f"Question {i} of kind {k}" for i, k in enumerate(kind)),
        tasks=tuple(f"kind {k}" for k in kind),
        split=rng.choice(["train", "validation", "test"], n, p=[0.6, 0.2, 0.2]),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        prices=PRICES,
        vectors=vectors.astype(np.float32),
        encoder=BUNDLED,
        data_hash=f"{seed}-{n}",
    )


def long_frame(bench: Benchmark) -> pd.DataFrame:
    """The benchmark as the long table people bring: one row per prompt and model."""
    n, m = bench.outcomes.shape
    return pd.DataFrame(
        {
            "prompt_id": np.repeat(bench.prompt_ids, m),
            "prompt": np.repeat(np.array(bench.texts, dtype=object), m),
            "task": np.repeat(bench.tasks, m),
            "model": np.tile(bench.models, n),
            "score": bench.outcomes.score.ravel(),
            "input_tokens": bench.input_tokens.ravel(),
            "output_tokens": bench.output_tokens.ravel(),
            "cost_usd": bench.outcomes.cost_usd.ravel(),
        }
    )


def write_files(bench: Benchmark, folder: Path, name: str = "made") -> tuple[Path, Path]:
    """Result file and vector file of the benchmark."""
    results, vectors = folder / f"{name}.parquet", folder / f"{name}-vectors.parquet"
    long_frame(bench).to_parquet(results)
    assert bench.vectors is not None
    pd.DataFrame({"prompt_id": bench.prompt_ids, "embedding": list(bench.vectors)}).to_parquet(vectors)
    return results, vectors


def fill(store: Store, bench: Benchmark, *routers: str) -> Store:
    """The store, with the benchmark's files imported under its name and the routers fitted on it."""
    with tempfile.TemporaryDirectory() as folder:
        results, vectors = write_files(bench, Path(folder))
        store.save_benchmark(bench.name, read_long_table(results), replace=True, shadow=True)
        store.import_vectors(bench.name, vectors, BUNDLED)
    for router in routers:
        run_router(store, store.load(bench.name, encoder=BUNDLED), router)
    return store
