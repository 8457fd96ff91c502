"""Import of a data set of SPROUT's shape and size: seconds and peak memory, answers left on the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from carrot_core.errors import CarrotError

LIMIT_S, LIMIT_BYTES = 30.0, 2 << 30
_SHARDS = (("train", 3, 0.70), ("validation", 1, 0.15), ("test", 1, 0.15))  # split, files, share of the prompts
# On Linux getrusage begins with the peak of the process that started this one; the status file does not.
_IMPORT = """
import json, re, resource, sys, time
from pathlib import Path
from carrot_core.benchmarks import Provenance
from carrot_core.benchmarks.sprout import read_sprout
from carrot_core.prices import Price
from carrot_core.store import Store
files, models = sorted(Path(sys.argv[1]).glob("*.parquet")), json.loads(sys.argv[2])
started = time.perf_counter()
prices = {model: Price(1.0, 2.0, "made up", "made up") for model in models}
frames = read_sprout(files, prices=prices, provenance=Provenance("made up"))
read_s = time.perf_counter() - started
info = Store(Path(sys.argv[1]) / "carrot.duckdb").save_benchmark("made-up", frames)
status = Path("/proc/self/status")
if status.exists():
    peak = int(re.search("VmHWM:[^0-9]*([0-9]+)", status.read_text())[1]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"read_s": read_s, "seconds": time.perf_counter() - started, "cpu_s": time.process_time(),
                  "peak_bytes": peak, "outcomes": info.n_outcomes}))
"""


def run(
    n_prompts: int = 44_241, n_models: int = 13, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Write five made-up shards into a temporary folder and import them in a process of their own.

    Returns
    -------
    dict
        ``read_s`` for the files, ``seconds`` for files and database together, without embedding;
        ``peak_bytes`` of resident memory, the interpreter and its libraries included; ``file_bytes``;
        ``within_limits``: under 30 s and under 2 GiB.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-bench-") as folder:
        models = write_shards(Path(folder), n_prompts, n_models, seed, progress)
        size = sum(path.stat().st_size for path in Path(folder).glob("*.parquet"))
        command = [sys.executable, "-c", _IMPORT, folder, json.dumps(models)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise CarrotError(f"The import failed: {ended.stderr.strip().splitlines()[-1]}")
        result: dict[str, Any] = json.loads(ended.stdout)
    within = result["seconds"] < LIMIT_S and result["peak_bytes"] < LIMIT_BYTES
    shape = {"n_prompts": n_prompts, "n_models": n_models, "file_bytes": size, "cores": os.cpu_count()}
    return {**shape, **result, "within_limits": within}


def write_shards(
    folder: Path, n_prompts: int, n_models: int, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Write SPROUT's five files with made-up numbers and texts; returns the names of the models."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(97, 123, 8_000_000, dtype=np.uint8)
    letters[rng.random(len(letters)) < 0.18] = 32
    noise = letters.tobytes().decode("ascii")
    models = [f"made-up-{number:02d}" for number in range(n_models)]
    counts = [max(1, round(n_prompts * share / files)) for _, files, share in _SHARDS for _ in range(files)]
    counts[0] += n_prompts - sum(counts)
    names = [f"{split}-{file:05d}-of-{files:05d}.parquet" for split, files, _ in _SHARDS for file in range(files)]
    for done, (name, count) in enumerate(zip(names, counts, strict=True), start=1):
        table = _shard(name, count, models, noise, rng)
        pq.write_table(table, folder / name, row_group_size=1000, use_dictionary=["dataset"])
        if progress is not None:
            progress(done, len(names))
    return models


def _shard(name: str, count: int, models: list[str], noise: str, rng: np.random.Generator) -> pa.Table:
    prompts = np.minimum(rng.lognormal(5.8, 1.2, count).astype(np.int64) + 20, 87_000)  # mean about 766 characters
    tokens_in = np.maximum(prompts // 4, 1)
    columns: dict[str, Any] = {
        "key": [f"{name}-{row}" for row in range(count)],
        "dataset": [
            ("lighteval/MATH/all", "openhermes/teknium", "TIGER-Lab/MMLU-Pro")[row % 3] for row in range(count)
        ],
        "dataset_level": pa.nulls(count, pa.string()),
        "dataset_idx": np.arange(count),
        "prompt": _texts(prompts, noise, rng),
        "golden_answer": _texts(np.full(count, 40), noise, rng),
    }
    for model in models:
        tokens_out = rng.lognormal(5.3, 0.8, count).astype(np.int64) + 1
        fields = {
            "num_input_tokens": pa.array(tokens_in),
            "num_output_tokens": pa.array(tokens_out),
            "response": _texts(tokens_out * 4, noise, rng),
            "score": pa.array(rng.integers(0, 11, count) / 10),
            "judge_response": _texts(np.full(count, 300), noise, rng),
        }
        columns[model] = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    return pa.table(columns)


def _texts(lengths: npt.NDArray[np.int64], noise: str, rng: np.random.Generator) -> pa.Array:
    starts = rng.integers(0, len(noise) - lengths.max(), len(lengths))
    return pa.array([noise[start : start + length] for start, length in zip(starts, lengths, strict=True)])


def report(result: dict[str, Any]) -> str:
    """The result of `run` as one line to read."""
    size, peak = result["file_bytes"] / 1e6, result["peak_bytes"] / 2**30
    return (
        f"{result['n_prompts']:,} prompts x {result['n_models']} models, files of {size:,.0f} MB: import without "
        f"embedding {result['seconds']:.1f} s (reading {result['read_s']:.1f} s), peak memory {peak:.2f} GiB, on "
        f"{result['cores']} cores; limits {LIMIT_S:g} s and {LIMIT_BYTES / 2**30:g} GiB: "
        f"{'met' if result['within_limits'] else 'NOT met'}"
    )
