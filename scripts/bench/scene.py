"""What a filter on the Frontier page costs: the same chart on another pool, against loading it anew."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from carrot_core.evaluation import make_setting
from carrot_core.figures.frontier import frontier_figure
from carrot_core.figures.scene import compose
from carrot_core.outcomes import Benchmark, Estimates, Outcomes
from scripts.bench.frontier import made_up

PER_SPLIT = {"train": 1.5, "validation": 1.0, "test": 1.0}


def run(n_prompts: int = 12_000, n_models: int = 14, seed: int = 0) -> dict[str, Any]:
    """Median seconds to narrow the pool, sweep every curve again, redraw the band and build the figure."""
    sizes = {split: int(share * n_prompts) for split, share in PER_SPLIT.items()}
    est_score, est_cost, score, cost = made_up(sum(sizes.values()), n_models, seed)
    ids = tuple(f"p{i}" for i in range(len(score)))
    models = tuple(f"model-{j:02d}" for j in range(n_models))
    split = np.repeat(list(sizes), list(sizes.values()))
    tasks = tuple(f"task {i % 14}" for i in range(len(ids)))
    setting = make_setting(Benchmark("made up", Outcomes(ids, models, score, cost), ("text",) * len(ids), tasks, split))
    estimates = {
        name: Estimates(setting.part(name).prompt_ids, models, est_score[split == name], est_cost[split == name])
        for name in ("validation", "test")
    }

    def draw(pool: tuple[str, ...]) -> float:
        started = time.perf_counter()
        narrowed = setting.narrowed(pool=pool)
        frontier_figure(compose(narrowed, {"carrot-knn": estimates}, title="made up", active="carrot-knn"))
        narrowed.frontier(estimates, "validation").score  # noqa: B018  what budget and target are read from
        return time.perf_counter() - started

    first_s = draw(models)
    seconds = [draw(tuple(np.delete(models, j))) for j in range(5)]
    return {"n_prompts": n_prompts, "n_models": n_models, "first_s": first_s, "filter_s": float(np.median(seconds))}


def report(result: dict[str, Any]) -> str:
    """One sentence for people."""
    return (
        f"{result['n_prompts']:,} prompts x {result['n_models']} models: another pool takes "
        f"{1e3 * result['filter_s']:,.0f} ms, {result['filter_s'] / result['first_s']:.2f} times the first drawing"
    )
