"""One router on one benchmark: fit on train, choose on validation, report on test."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from carrot_core.embedding import BUNDLED
from carrot_core.evaluation.judging import judge
from carrot_core.evaluation.latency import estimate_latency, timed_prompts
from carrot_core.evaluation.protocol import Setting, setting, split_by_seed
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.store import Run


def evaluate(
    bench: Benchmark,
    router: str = "carrot-knn",
    *,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    fit_on: Benchmark | None = None,
    pool: tuple[str, ...] = (),
    split_seed: int | None = None,
    made: Setting | None = None,
    replicates: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Fit one router, sweep it, and judge it beside the baselines; the result is ready to be stored.

    Parameters
    ----------
    bench : prompts with vectors.
    seed : of the router.
    params : of the router.
    fit_on : learn from all of this benchmark instead and judge on all prompts of ``bench``.
    pool : models to choose from; empty = all of the benchmark.
    split_seed : split the prompts anew with this seed; None = the split they have.
    made : the `setting_for` just this, where several routers share one.
    replicates : bootstrap replicates behind every interval.
    progress : called with (steps done, steps in all).
    """
    step = counter(progress, 3)
    made = made or setting_for(bench, fit_on, pool, split_seed)
    fitted, estimates = made.fit(router, seed, params)
    report = made.report_on
    latency = estimate_latency(fitted, timed_prompts(made.test))
    step()

    def judged(tables: Mapping[str, Estimates], split: str) -> dict[str, Any]:
        figures = judge(made, tables, split, replicates=replicates)
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
        cost_unit_usd=made.cost_unit_usd,
        best_single=made.best_single,
        metrics={
            "report_on": report,
            "split_seed": split_seed,
            "models": list(made.models),
            "n_without_text": made.n_without_text,
            "n_copies": made.n_copies,
            "cost_is_paid": estimates[report].cost_is_paid,
            "latency": latency,
            "validation": judged(estimates, "validation"),
            report: judged(estimates, report),
            "baselines": _baselines(made, replicates),
            "single_models": single_models(made),
        },
        # Validation prompts of another benchmark are not this one's to keep.
        estimates=estimates if fit_on is None else {report: estimates[report]},
    )


def setting_for(
    bench: Benchmark, fit_on: Benchmark | None = None, pool: Sequence[str] = (), split_seed: int | None = None
) -> Setting:
    """The setting of a benchmark on some of its models (empty: all), split anew where a seed is given."""
    judged = bench.pool(pool) if pool else bench
    if split_seed is not None:
        judged, fit_on = split_by_seed(judged, split_seed), fit_on and split_by_seed(fit_on, split_seed)
    return setting(judged, fit_on)


@lru_cache(maxsize=1)  # several routers in a row share one setting
def _baselines(made: Setting, replicates: int) -> dict[str, Any]:
    return {name: judge(made, table, made.report_on, replicates=replicates) for name, table in made.baselines.items()}


def counter(progress: Callable[[int, int], None] | None, total: int) -> Callable[[], None]:
    """A function that reports one more of ``total`` steps done."""
    done = iter(range(1, total + 1))
    return lambda: None if progress is None else progress(next(done), total)


def single_models(made: Setting) -> dict[str, dict[str, float]]:
    """Mean score and cost per query of every model alone, on the complete prompts that are reported on."""
    outcomes = made.test.outcomes.rows(made.test.outcomes.complete)
    means = zip(made.models, outcomes.score.mean(axis=0), outcomes.cost_usd.mean(axis=0), strict=True)
    return {model: {"score": float(score), "cost_usd": float(cost)} for model, score, cost in means}


def data_hash(bench: Benchmark, fit_on: Benchmark | None = None) -> str:
    """Content a result rests on: of the benchmark judged, and of the one learned from where it is another.

    With the encoder where the vectors are not the bundled one's.
    """
    parts = [bench] if fit_on is None else [bench, fit_on]
    encoders = {part.encoder for part in parts} - {None, BUNDLED}
    return "+".join([*(part.data_hash for part in parts), *sorted(map(str, encoders))])


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, stored with every run."""
    packages = ("carrot-core", "numpy", "numba", "scikit-learn", "scipy", "torch")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
