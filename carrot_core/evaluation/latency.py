"""What a routed prompt waits for: embedding, estimating, choosing, each timed one prompt at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.frontier import sweep_tables
from carrot_core.outcomes import Benchmark
from carrot_core.routers import Router

TIMED_PROMPTS = 50


def timed_prompts(bench: Benchmark, n: int = TIMED_PROMPTS) -> Benchmark:
    """The same few prompts for every router, spread evenly over a benchmark."""
    rows = np.unique(np.linspace(0, len(bench.prompt_ids) - 1, min(n, len(bench.prompt_ids))).astype(np.intp))
    return bench.rows(rows)


def estimate_latency(router: Router, bench: Benchmark) -> dict[str, Any]:
    """Seconds per prompt to estimate and to choose, each prompt of ``bench`` alone.

    Returns
    -------
    "estimate_s" and "choose_s", one entry a prompt, and "reads_vectors": whether embedding comes before.
    Prompts for which the router has no estimate (the oracle's, where outcomes are missing) are left out.
    """
    found: dict[str, list[float]] = {"estimate_s": [], "choose_s": []}
    alone = [bench.rows(np.array([row], dtype=np.intp)) for row in range(len(bench.prompt_ids))]
    for prompt in alone[:1] + alone:  # the first one twice: it also loads and compiles
        started = time.perf_counter()
        table = router.estimate(prompt)
        estimated = time.perf_counter()
        if not table.prompt_ids:
            continue
        sweep_tables(table.score, table.cost_usd, table.models)
        chosen = time.perf_counter()
        found["estimate_s"].append(estimated - started)
        found["choose_s"].append(chosen - estimated)
    return {**{name: seconds[1:] for name, seconds in found.items()}, "reads_vectors": _reads_vectors(router, alone)}


def _reads_vectors(router: Router, alone: Sequence[Benchmark]) -> bool:
    try:
        router.estimate(replace(alone[0], vectors=None, encoder=None))
    except CarrotError:
        return True
    return False


def embed_latency(bench: Benchmark, embed: Callable[[Sequence[str]], object]) -> list[float]:
    """Seconds to embed each prompt of ``bench`` alone; none where no text is known."""
    texts = [text for text in bench.texts if text is not None]
    seconds = []
    for text in texts[:1] + texts:
        started = time.perf_counter()
        embed([text])
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def latency_table(measured: Mapping[str, Mapping[str, Any]], embed_s: Sequence[float] = ()) -> pd.DataFrame:
    """Median and 95th percentile of each step by router.

    Parameters
    ----------
    measured : `estimate_latency` by router.
    embed_s : `embed_latency` of the same prompts; without it there is no total for routers that read vectors.

    Returns
    -------
    Columns router, step ("embed", "estimate", "choose", "total"), p50_ms, p95_ms, n.
    """
    rows = []
    for router, steps in measured.items():
        parts = {"estimate": np.array(steps["estimate_s"]), "choose": np.array(steps["choose_s"])}
        if steps["reads_vectors"]:
            parts = {"embed": np.array(embed_s), **parts}
        if len({len(seconds) for seconds in parts.values()}) == 1:
            parts["total"] = np.sum(list(parts.values()), axis=0)
        for step, seconds in parts.items():
            if len(seconds):
                p50, p95 = 1e3 * np.quantile(seconds, [0.5, 0.95])
                rows.append((router, step, float(p50), float(p95), len(seconds)))
    return pd.DataFrame(rows, columns=["router", "step", "p50_ms", "p95_ms", "n"])
