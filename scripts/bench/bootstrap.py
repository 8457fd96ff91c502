"""Bootstrap replicates from the sorted switches against sweeping the drawn prompts anew."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from carrot_core.bootstrap import bootstrap_counts, replicate
from carrot_core.evaluation import Candidate, Setting, make_setting
from carrot_core.evaluation.comparison import differences_frame, figures_frame, measure_together
from carrot_core.evaluation.measure import ReportSet, report_set
from carrot_core.frontier import Frontier, sweep
from carrot_core.metrics import aiq
from carrot_core.outcomes import Benchmark, Estimates, Outcomes
from carrot_core.switches import sweep_tables
from scripts.bench.frontier import clocked, made_up

RESWEPT = 5


def run(
    n_prompts: int = 12_000, n_models: int = 14, n_routers: int = 8, replicates: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Time every figure, band and paired difference of some routers, and the same AIQ by sweeping anew."""
    small, candidates = _make_routers(200, n_models, n_routers, seed)
    _measure_all(small, candidates, 20)  # compiled before the clock starts
    setting, candidates = _make_routers(n_prompts, n_models, n_routers, seed)
    bootstrap_counts.cache_clear()
    started = time.perf_counter()
    on, rows = _measure_all(setting, candidates, replicates)
    fast_s = time.perf_counter() - started
    started = time.perf_counter()
    slow = [_reswept(on, candidates, column) for column in range(1, 1 + RESWEPT)]
    slow_s = (time.perf_counter() - started) * replicates / RESWEPT
    fast = {name: rows[name]["aiq"].replicates[:RESWEPT] for name in candidates}
    return {
        "n_prompts": n_prompts,
        "n_models": n_models,
        "n_routers": n_routers,
        "replicates": replicates,
        "bootstrap_s": fast_s,
        "resweeping_s": slow_s,
        "times_faster": slow_s / fast_s,
        "largest_difference": max(abs(slow[b][name] - fast[name][b]) for b in range(RESWEPT) for name in candidates),
    }


def _measure_all(
    setting: Setting, candidates: dict[str, Candidate], replicates: int
) -> tuple[ReportSet, dict[str, Any]]:
    on = report_set(setting, "test", replicates)
    results = measure_together(setting, on, candidates)
    measured = {name: figures.by_metric for name, figures in results.items()}
    figures_frame({"0": measured}, list(candidates))
    differences_frame({"0": measured}, list(candidates), list(candidates)[:2])
    return on, measured


def _reswept(on: ReportSet, candidates: dict[str, Candidate], column: int) -> dict[str, float]:
    """AIQ of every router on the prompts of one draw, each as often as it was drawn."""
    sample = np.repeat(np.arange(len(on.weights)), on.weights[:, column].astype(np.intp))
    score, cost = on.outcomes.score[sample], on.outcomes.cost_usd[sample]
    single = cost.mean(axis=0)
    figures = {}
    for name, candidate in candidates.items():
        swept = sweep_tables(candidate.estimates.score[sample], candidate.estimates.cost_usd[sample])
        figures[name] = float(aiq(swept.mean_of(cost), swept.mean_of(score), single.min(), single.max()))
    return figures


def _make_routers(n_prompts: int, n_models: int, n_routers: int, seed: int) -> tuple[Setting, dict[str, Candidate]]:
    """A made-up benchmark whose prompts are all judged, and routers whose estimates differ by noise."""
    est_score, est_cost, score, cost = made_up(n_prompts + 20, n_models, seed)
    ids = tuple(f"p{i}" for i in range(len(score)))
    models = tuple(f"model-{j:02d}" for j in range(n_models))
    split = np.repeat(["train", "validation", "test"], [10, 10, n_prompts])
    setting = make_setting(
        Benchmark("made up", Outcomes(ids, models, score, cost), ("text",) * len(ids), ("",) * len(ids), split)
    )
    rng = np.random.default_rng(seed)
    candidates = {}
    for number in range(n_routers):
        noisy = est_score[20:] + rng.normal(0, 0.05 * number, (n_prompts, n_models))
        candidates[f"router {number}"] = Candidate(
            Estimates(setting.test.prompt_ids, models, noisy, est_cost[20:]),
            {"peak": np.array([0.0]), "arena": np.array([0.1]), "matched": np.array([0.1])},
            np.array([[0.0, 0.1, np.inf]]),
        )
    return setting, candidates


def run_curve(n_prompts: int = 1_000_000, n_models: int = 13, replicates: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Time the draws and the replicates of one curve, exact, and compare some of them with sweeping anew.

    Returns
    -------
    dict
        ``sweep_s`` of the curve, ``draws_s`` of how often each prompt is drawn in each replicate, ``curves_s`` of the
        replicates at ``n_rates`` of its rates; ``largest_difference`` of a score of two replicates from those of the
        drawn prompts.
    """
    replicate(_curve(20, n_models, seed), bootstrap_counts(20, 10))  # compiled before the clock starts
    curve, sweep_s, _ = clocked(lambda: _curve(n_prompts, n_models, seed))
    bootstrap_counts.cache_clear()
    counts, draws_s, draws_cpu_s = clocked(lambda: bootstrap_counts(n_prompts, replicates, seed))
    curves, curves_s, curves_cpu_s = clocked(lambda: replicate(curve, counts))
    bootstrap_counts.cache_clear()
    apart = []
    for column in range(2):
        again = curve.sweep.mean_of(curve.outcomes.score * counts[:, [column]].astype(float))
        at = [curve.at(rate) for rate in curves.exchange_rate_per_usd]
        apart.append(np.abs(again[at] - curves.score[column]).max())
    return {
        "n_prompts": n_prompts,
        "n_models": n_models,
        "replicates": replicates,
        "n_rates": len(curves.exchange_rate_per_usd),
        "sweep_s": sweep_s,
        "draws_s": draws_s,
        "curves_s": curves_s,
        "bootstrap_s": draws_s + curves_s,
        "bootstrap_cpu_s": draws_cpu_s + curves_cpu_s,
        "largest_difference": float(max(apart)),
    }


def _curve(n_prompts: int, n_models: int, seed: int) -> Frontier:
    est_score, est_cost, score, cost = made_up(n_prompts, n_models, seed)
    ids, models = tuple(map(str, range(n_prompts))), tuple(f"model-{j:02d}" for j in range(n_models))
    curve = sweep(Estimates(ids, models, est_score, est_cost), Outcomes(ids, models, score, cost))
    _ = curve.corners
    return curve


def report_curve(result: dict[str, Any]) -> str:
    """One sentence for people."""
    return (
        f"{result['n_prompts']:,} prompts x {result['n_models']} models, {result['replicates']:,} replicates of one "
        f"curve at {result['n_rates']} rates: draws {result['draws_s']:.1f} s, curves {result['curves_s']:.1f} s, "
        f"together {result['bootstrap_s']:.1f} s ({result['bootstrap_cpu_s']:.1f} s of processor), none binned; "
        f"largest difference {result['largest_difference']:.1e}"
    )


def report(result: dict[str, Any]) -> str:
    """One sentence for people."""
    return (
        f"{result['n_prompts']:,} prompts x {result['n_models']} models, {result['n_routers']} routers, "
        f"{result['replicates']:,} replicates: every figure, band and paired difference in "
        f"{result['bootstrap_s']:.2f} s; sweeping each draw anew would take {result['resweeping_s']:,.0f} s, "
        f"{result['times_faster']:,.0f} times as long; largest difference in AIQ {result['largest_difference']:.1e}"
    )
