"""One router on one benchmark: fit, choice and report by the protocol; and how long a decision takes."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from carrot_core.benchmarks.split import folds_of
from carrot_core.embedding import BUNDLED
from carrot_core.errors import CarrotError
from carrot_core.evaluation.measure import measure_router
from carrot_core.evaluation.protocol import Setting, make_setting
from carrot_core.metrics import latency_of_models
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.routers import Router
from carrot_core.routers.saving import can_be_saved, router_as_bytes
from carrot_core.store import Run
from carrot_core.switches import sweep_tables

TIMED_PROMPTS = 50
_version = cache(version)  # finding and parsing it takes milliseconds, at every search for a stored run


def timed_prompts(bench: Benchmark, n: int = TIMED_PROMPTS) -> Benchmark:
    """The same few prompts for every router, spread evenly over a benchmark."""
    rows = np.unique(np.linspace(0, len(bench.prompt_ids) - 1, min(n, len(bench.prompt_ids))).astype(np.intp))
    return bench.rows(rows)


def estimate_latency(router: Router, bench: Benchmark) -> dict[str, Any]:
    """Seconds per prompt to estimate and to choose, each prompt of ``bench`` alone.

    Returns
    -------
    "estimate_s" and "choose_s", one entry for each prompt, and "reads_vectors": whether embedding comes first.
    Prompts that the router cannot estimate (the oracle, if outcomes are missing) are left out.
    """
    seconds_by_step: dict[str, list[float]] = {"estimate_s": [], "choose_s": []}
    alone = [bench.rows(np.array([row], dtype=np.intp)) for row in range(len(bench.prompt_ids))]
    for prompt in alone[:1] + alone:  # the first prompt twice: its first run also loads and compiles
        started = time.perf_counter()
        table = router.estimate(prompt)
        estimated = time.perf_counter()
        if not table.prompt_ids:
            continue
        sweep_tables(table.score, table.cost_usd, table.models)
        chosen = time.perf_counter()
        seconds_by_step["estimate_s"].append(estimated - started)
        seconds_by_step["choose_s"].append(chosen - estimated)
    return {
        **{name: seconds[1:] for name, seconds in seconds_by_step.items()},
        "reads_vectors": _reads_vectors(router, alone),
    }


def _reads_vectors(router: Router, alone: Sequence[Benchmark]) -> bool:
    try:
        router.estimate(replace(alone[0], vectors=None, encoder=None))
    except CarrotError:
        return True
    return False


def embed_latency(bench: Benchmark, embed: Callable[[Sequence[str]], object]) -> list[float]:
    """Seconds to embed each prompt of ``bench`` alone; empty if no text is known."""
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


def evaluate(
    bench: Benchmark,
    router: str = "carrot-knn",
    *,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    fit_on: Benchmark | None = None,
    pool: tuple[str, ...] = (),
    n_folds: int | None = None,
    setting: Setting | None = None,
    replicates: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Fit one router, sweep it, and measure it beside the baselines; the run is ready to be stored.

    If the split is not the source's own, the router is cross-fitted: one fit in each round. The router that serves is
    fitted on all prompts, only when needed, by `carrot_core.evaluation.runs.fitted_router`.

    Parameters
    ----------
    bench : prompts with vectors.
    seed : of the router.
    params : of the router.
    fit_on : learn from all of this benchmark instead and report on all prompts of ``bench``.
    pool : models to choose from; empty = all of the benchmark.
    n_folds : cross-fit in as many folds; None = `carrot_core.evaluation.protocol.folds_of`.
    setting : `setting_for` of the same arguments; give it if several routers share one.
    replicates : bootstrap replicates behind every interval.
    progress : called with (steps done, steps in all).
    """
    setting = setting or setting_for(bench, fit_on, pool, n_folds)
    step = counter(progress, len(setting.rounds) + 2)
    tables: list[dict[str, Estimates]] = []
    for each in setting.rounds:
        fitted, inner = each.fits(router, seed, params)
        tables.append(each.tables(fitted, inner))
        step()
    latency = estimate_latency(fitted, timed_prompts(each.test))
    document, numbers = (None, None) if setting.n_folds else router_bytes(fitted, inner)
    estimates, report = setting.joined(tables), setting.report_on

    def figures_on(tables: Mapping[str, Estimates], split: str) -> dict[str, Any]:
        figures = measure_router(setting, tables, split, replicates=replicates)
        step()
        return figures

    return Run(
        benchmark=bench.name,
        router=router,
        params=dict(params or {}),
        seed=seed,
        fit_on=None if fit_on is None else fit_on.name,
        pool=pool,
        versions=versions(),
        data_hash=data_hash(bench, fit_on),
        created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        cost_unit_usd=setting.cost_unit_usd,
        best_single=setting.best_single,
        metrics={
            "report_on": report,
            "n_folds": folds_of(bench, fit_on, n_folds),
            "models": list(setting.models),
            "n_without_text": setting.n_without_text,
            "n_copies": setting.n_copies,
            "cost_is_paid": estimates[report].cost_is_paid,
            "latency": latency,
            "validation": figures_on(estimates, "validation"),
            report: figures_on(estimates, report),
            "baselines": _baselines(setting, replicates),
            "single_models": single_models(setting),
        },
        # Validation prompts of another benchmark are not stored with this one.
        estimates=estimates if fit_on is None else {report: estimates[report]},
        router_json=document,
        router_safetensors=numbers,
    )


def router_bytes(fitted: Router, inner: Router) -> tuple[str, bytes] | tuple[None, None]:
    """`Setting.fits` as JSON and safetensors, the second router only if it differs; None for the oracle."""
    if not can_be_saved(fitted):
        return None, None
    return router_as_bytes(fitted, None if inner is fitted else inner)


def setting_for(
    bench: Benchmark, fit_on: Benchmark | None = None, pool: Sequence[str] = (), n_folds: int | None = None
) -> Setting:
    """The setting of a benchmark on some of its models (empty: all), see `make_setting`."""
    return make_setting(bench.pool(pool) if pool else bench, fit_on, n_folds)


# Several routers in a row share one setting. Its baselines are freed with it: it may hold gigabytes.
_BASELINES: WeakKeyDictionary[Setting, dict[int, dict[str, Any]]] = WeakKeyDictionary()


def _baselines(setting: Setting, replicates: int) -> dict[str, Any]:
    """Figures of every baseline, by name."""
    by_replicates = _BASELINES.setdefault(setting, {})
    if replicates not in by_replicates:
        by_replicates[replicates] = {
            name: measure_router(setting, table, setting.report_on, replicates=replicates)
            for name, table in setting.baselines.items()
        }
    return by_replicates[replicates]


def counter(progress: Callable[[int, int], None] | None, total: int) -> Callable[[], None]:
    """A function that reports one more of ``total`` steps as done."""
    done = iter(range(1, total + 1))
    return lambda: None if progress is None else progress(next(done), total)


def single_models(setting: Setting) -> dict[str, dict[str, float]]:
    """Mean score and cost per query of every model alone, on the prompts that are reported on.

    Also latency_s and latency_p95_s, mean and 95th percentile in seconds, of models with recorded latency.
    """
    outcomes, call_s = setting.test.measured, setting.test.latency_s
    means = zip(setting.models, outcomes.score.mean(axis=0), outcomes.cost_usd.mean(axis=0), strict=True)
    figures = {model: {"score": float(score), "cost_usd": float(cost)} for model, score, cost in means}
    if call_s is not None:
        for model, (mean, p95) in zip(setting.models, latency_of_models(call_s).T.tolist(), strict=True):
            figures[model] |= {} if np.isnan(mean) else {"latency_s": mean, "latency_p95_s": p95}
    return figures


def data_hash(bench: Benchmark, fit_on: Benchmark | None = None) -> str:
    """Hash of the data behind a result: the benchmark reported on, and the one learned from if it is another.

    Includes the encoder unless it is the bundled one.
    """
    parts = [bench] if fit_on is None else [bench, fit_on]
    encoders = {part.encoder for part in parts} - {None, BUNDLED}
    return "+".join([*(part.data_hash for part in parts), *sorted(map(str, encoders))])


def versions() -> dict[str, str]:
    """Versions of the packages that the numbers depend on, stored with every run."""
    packages = ("carrot-core", "numpy", "numba", "scikit-learn", "scipy", "torch")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}
