"""What storing costs as a store grows: a block of vectors, the list of benchmarks, reading what was stored."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.store import Store

NAME, ENCODER = "made-up", "made-up"


def run(
    n_vectors: int = 600_000,
    length: int = 384,
    block: int = 2_048,
    n_benchmarks: int = 20,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Add vectors to one benchmark block by block, beside others that stay as they are.

    Returns
    -------
    dict
        Median milliseconds of a block among the first and the last tenth (``first_ms``, ``last_ms``, their ratio
        ``growth``), of a list of the benchmarks when nothing has changed (``list_ms``); seconds of gathering the
        blocks into one file (``gather_s``) and of loading the benchmark with its vectors before and after that
        (``load_blocks_s``, ``load_s``); ``others_same``: whether no other benchmark's version changed.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-bench-") as folder:
        store = Store(Path(folder) / "carrot.store")
        for number in range(n_benchmarks - 1):
            store.save_benchmark(f"other {number}", _frames(50))
        store.save_benchmark(NAME, _frames(n_vectors))
        others = [store.version(f"other {number}") for number in range(n_benchmarks - 1)]
        texts = store.missing_texts(NAME, ENCODER)
        rng = np.random.default_rng(0)
        seconds = []
        for start in range(0, n_vectors, block):
            part = texts[start : start + block]
            vectors = rng.standard_normal((len(part), length), dtype=np.float32)
            seconds.append(_seconds(partial(store.add_vectors, ENCODER, part, vectors, benchmark=NAME)))
            if progress is not None:
                progress(start + len(part), n_vectors)
        whole = seconds[: n_vectors // block]  # the last block may be a short one
        tenth = max(len(whole) // 10, 1)
        first_ms, last_ms = (1e3 * float(np.median(part)) for part in (whole[:tenth], whole[-tenth:]))
        load_blocks_s = _seconds(lambda: store.load(NAME, encoder=ENCODER))
        gather_s = _seconds(lambda: store.gather_vectors(NAME))
        load_s = _seconds(lambda: store.load(NAME, encoder=ENCODER))
        store.benchmarks()
        list_ms = 1e3 * float(np.median([_seconds(store.benchmarks) for _ in range(101)]))
        same = others == [store.version(f"other {number}") for number in range(n_benchmarks - 1)]
    return {
        "n_vectors": n_vectors, "length": length, "block": block, "n_benchmarks": n_benchmarks, "first_ms": first_ms,
        "last_ms": last_ms, "growth": last_ms / first_ms, "list_ms": list_ms, "gather_s": gather_s,
        "load_blocks_s": load_blocks_s, "load_s": load_s, "others_same": same,
    }  # fmt: skip


def report(result: dict[str, Any]) -> str:
    """The result of `run` as one sentence to read."""
    return (
        f"{result['n_vectors']:,} vectors of {result['length']} in blocks of {result['block']:,}: a block "
        f"{result['first_ms']:.0f} ms in the first tenth, {result['last_ms']:.0f} ms in the last "
        f"({result['growth']:.2f} times); {result['n_benchmarks']} benchmarks are listed in "
        f"{result['list_ms']:.2f} ms; the blocks are gathered in {result['gather_s']:.0f} s, loaded in "
        f"{result['load_blocks_s']:.1f} s before and {result['load_s']:.1f} s after; other benchmarks unchanged: "
        f"{'yes' if result['others_same'] else 'NO'}"
    )


def _frames(n_prompts: int) -> Frames:
    """Prompts with a text each and one model that is right on all."""
    ids = [f"prompt {number:07d}" for number in range(n_prompts)]
    return Frames(
        prompts=pd.DataFrame({"prompt_id": ids, "text": ids, "task": "", "family": "", "split": None}, dtype=object),
        models=pd.DataFrame(
            {"model": ["model"], "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0, "as_of": "", "source": ""}
        ),
        outcomes=pd.DataFrame(
            {"prompt_id": ids, "model": "model", "score": 1.0, "input_tokens": 1.0, "output_tokens": 1.0,
             "cost_usd": 1e-6}
        ),
        provenance=Provenance("made-up"),
        warnings=(),
    )  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
