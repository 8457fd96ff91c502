"""Scenes for chart tests: prompts of varied difficulty, models of varied strength and price, a noisy router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from carrot_core.figures.scene import Band, Curve, Scene
from carrot_core.frontier import Frontier, rate_of_lam, sweep
from carrot_core.metrics import latency_of_models
from carrot_core.outcomes import Estimates, Outcomes
from carrot_core.switches import upper_hull

MODELS = tuple(
    f"{maker}/{name}"
    for maker, names in {
        "north": ("pine-1b", "pine-8b", "pine-70b", "pine-400b-instruct"),
        "river": ("brook", "creek-mini", "delta-large-2407", "delta-huge"),
        "atlas": ("quartz-3b", "slate-14b-chat", "basalt-72b", "granite-moe-8x22b"),
        "orbit": ("comet-flash", "nova-pro"),
    }.items()
    for name in names
)


def observed(
    n: int, models: Sequence[str] = MODELS, seed: int = 0, *, dollars: float = 1.0
) -> tuple[Outcomes, np.ndarray]:
    """Outcomes of n prompts, and the (n, M) probabilities of success behind them; ``dollars`` multiplies all costs."""
    rng = np.random.default_rng(seed)
    m = len(models)
    strength = np.linspace(-1.2, 1.8, m) + rng.normal(0, 0.35, m)
    price = dollars * 4e-5 * np.exp(np.linspace(0, 4.8, m) + rng.normal(0, 0.5, m))
    difficulty = rng.normal(0, 1.6, (n, 1))
    special = rng.normal(0, 0.7, (n, m))
    chance = 1 / (1 + np.exp(-(1.0 + strength - difficulty + special)))
    score = (rng.random((n, m)) < chance).astype(float)
    cost = price * np.exp(rng.normal(0, 0.5, (n, 1)) + rng.normal(0, 0.15, (n, m)))
    return Outcomes([f"p{i}" for i in range(n)], models, score, cost), chance


def router(outcomes: Outcomes, score: np.ndarray) -> Frontier:
    """Frontier of a router that expects these scores and every model's mean cost."""
    cost = np.broadcast_to(outcomes.cost_usd.mean(axis=0), outcomes.shape)
    return sweep(Estimates(outcomes.prompt_ids, outcomes.models, score, cost), outcomes)


def scene(
    n: int = 2000,
    models: Sequence[str] = MODELS,
    *,
    seed: int = 0,
    title: str = "Made-up · test",
    dollars: float = 1.0,
) -> Scene:
    """A whole chart: a noisy router with its band and its validation curve, a task lookup, the oracle, models, hull."""
    outcomes, chance = observed(n, models, seed, dollars=dollars)
    rng = np.random.default_rng(seed + 1)
    tasks = rng.integers(0, 6, n) + 6 * (chance.mean(axis=1) > 0.6)
    lookup = np.stack([chance[tasks == task].mean(axis=0) for task in range(12)])[tasks] if n > 100 else chance
    knn = router(outcomes, chance + rng.normal(0, 0.12, chance.shape))
    validation, chance_there = observed(max(n // 2, 1), models, seed + 100, dollars=dollars)
    score, cost = outcomes.score.mean(axis=0), outcomes.cost_usd.mean(axis=0)
    hull = upper_hull(cost, score)
    best = models[int(score.argmax())]
    unit = float(cost.max())
    rates = [rate_of_lam(lam, unit) for lam in np.linspace(0, 1, 101)]
    at = [knn.at(rate) for rate in rates]
    perfect = sweep(Estimates(outcomes.prompt_ids, models, outcomes.score, outcomes.cost_usd), outcomes)
    margin = 1.96 * np.sqrt(knn.score[at] * (1 - knn.score[at]) / n)
    band = Band(knn.cost_usd[at], knn.score[at] - margin, knn.score[at] + margin)
    return Scene(
        title=title,
        curves=(
            Curve("carrot-knn", "CARROT-KNN", knn, band),
            Curve("task-lookup", "Task lookup", router(outcomes, lookup)),
            Curve("oracle", "Oracle", perfect),
        ),
        models=tuple(models),
        model_score=score,
        model_cost_usd=cost,
        hull_cost_usd=cost[hull],
        hull_score=score[hull],
        best_single=best,
        reference=models[int(cost.argmax())],
        cost_unit_usd=unit,
        n_prompts=n,
        n_dropped=0,
        active="carrot-knn",
        chosen_on=router(validation, chance_there + rng.normal(0, 0.12, chance_there.shape)),
    )


def timed(base: Scene, seed: int = 5) -> Scene:
    """The same scene with the seconds that each call took: slow models are not the expensive ones."""
    shape = base.active_curve.frontier.n_prompts, len(base.models)
    rng = np.random.default_rng(seed)
    call_s = rng.permutation(np.geomspace(0.3, 20, shape[1])) * rng.lognormal(0, 0.4, shape)
    frontiers = [replace(curve.frontier, call_s=call_s) for curve in base.curves]
    curves = tuple(replace(curve, frontier=one) for curve, one in zip(base.curves, frontiers, strict=True))
    alone = latency_of_models(call_s)
    hull = upper_hull(base.model_cost_usd, base.model_score)
    return replace(base, curves=curves, model_latency_s=alone, hull_latency_s=alone[0, hull])
