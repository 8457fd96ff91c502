"""A what-if answered from nothing kept, against the plain sweep of the same prompts."""

from __future__ import annotations

from typing import Any

import numpy as np

from carrot_core.evaluation import Setting, make_setting
from carrot_core.outcomes import Benchmark, Estimates, Outcomes
from carrot_core.prices import Price, token_cost_usd
from carrot_core.whatif import apply, move_point
from carrot_core.whatif.repricing import worth_using
from carrot_core.whatif.scenario import Hypothetical, Scenario
from scripts.bench.frontier import made_up, timed

TASKS = 12
LIMIT_S = 0.3


def protocol(n_prompts: int, n_models: int, seed: int = 0) -> tuple[Setting, dict[str, Estimates]]:
    """A made-up benchmark of so many prompts in each split, with tokens and prices, and a router's estimates."""
    n_prompts *= 3
    est_score, tokens_out, score, _ = made_up(n_prompts, n_models, seed)
    models = tuple(f"maker-{j % 4}/model-{j}" for j in range(n_models))
    prices = {model: Price(0.3 * 1.4**j, 1.2 * 1.4**j) for j, model in enumerate(models)}
    ids = tuple(f"p{i}" for i in range(n_prompts))
    tokens_in, tokens_out = np.full(score.shape, 120.0), np.ceil(400 * tokens_out)
    cost = token_cost_usd(tokens_in, tokens_out, list(prices.values()))
    tasks = tuple(f"task {i % TASKS}" for i in range(n_prompts))
    splits = np.array(["train", "validation", "test"])[np.arange(n_prompts) * 3 // n_prompts]
    outcomes = Outcomes(ids, models, score, cost)
    bench = Benchmark("made up", outcomes, (None,) * n_prompts, tasks, splits, tokens_in, tokens_out, prices)
    expected = Estimates(ids, models, est_score, cost)
    return make_setting(bench), {split: expected.rows(splits == split) for split in ("validation", "test")}


def run(n_prompts: int = 12_000, n_models: int = 14) -> dict[str, Any]:
    """Time a scenario that changes prices, tokens, tasks and models, with all the page shows of it."""
    setting, estimates = protocol(n_prompts, n_models)
    scenario = Scenario(
        price_factor=1.5,
        output_token_factor=1.1,
        cached_share=0.3,
        task_weights={"task 0": 3.0},
        hypothetical=(Hypothetical(name="new", base=setting.models[1], score_offset=0.05),),
        call_usd=1e-6,
    )
    rate = 0.5 / setting.cost_unit_usd

    def answered() -> None:
        changed = apply(setting, estimates, scenario)
        move_point(changed, rate)
        for model in changed.after.setting.models:
            worth_using(changed.after.report_curve, model, rate)

    def swept() -> None:
        for split in estimates:
            frontier = setting.frontier(estimates, split)
            assert len(frontier.score) == len(frontier.cost_usd)

    for work in (answered, swept):
        work()  # compiled before the clock starts
    _, whatif_s = timed(answered, repeat=5)
    _, sweep_s = timed(swept, repeat=5)
    return {
        "n_prompts": n_prompts,
        "n_models": n_models,
        "whatif_s": whatif_s,
        "limit_s": LIMIT_S,
        "sweep_s": sweep_s,
        "times_the_sweep": whatif_s / sweep_s,
    }


def report(result: dict[str, Any]) -> str:
    """One paragraph for people."""
    return (
        f"{result['n_prompts']:,} prompts a split x {result['n_models']} models: a what-if with its drift and "
        f"thresholds takes {1e3 * result['whatif_s']:.0f} ms (limit {1e3 * result['limit_s']:.0f} ms), "
        f"{result['times_the_sweep']:.1f} times the {1e3 * result['sweep_s']:.0f} ms of sweeping its prompts once"
    )
