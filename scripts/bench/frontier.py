"""The exact sweep against the grid of λ it replaces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from carrot_core.frontier import rate_of_lam
from carrot_core.switches import sweep_tables

FloatTable = npt.NDArray[np.float64]
GRID = np.linspace(0.0, 1.0, 1001)
_SOME = 20  # on a large table every so many steps of the grid are timed, and the whole is estimated from them
_LARGE = 100_000  # prompts
_TURNS = 7


def grid_step(tables: tuple[FloatTable, FloatTable, FloatTable, FloatTable], lam: float) -> tuple[float, float]:
    """Mean observed score and cost at one λ: one argmax over the whole (n, M) table."""
    est_score, est_cost, score, cost = tables
    chosen = np.argmax((1 - lam) * est_score - lam * est_cost, axis=1)
    rows = np.arange(len(chosen))
    return float(score[rows, chosen].mean()), float(cost[rows, chosen].mean())


def made_up(n_prompts: int, n_models: int, seed: int = 0) -> tuple[FloatTable, FloatTable, FloatTable, FloatTable]:
    """Tables of estimates and outcomes in which more expensive models are better, with log-normal costs near 1."""
    rng = np.random.default_rng(seed)
    ability = np.linspace(0.2, 0.8, n_models)
    price = np.geomspace(0.01, 1.0, n_models)
    # Not clipped to [0, 1]: at λ = 0 the grid would break ties by position, the sweep by cost.
    est_score = ability + rng.normal(0, 0.2, (n_prompts, n_models))
    est_cost = price * rng.lognormal(0, 0.4, (n_prompts, n_models))
    score = (rng.random((n_prompts, n_models)) < est_score).astype(np.float64)
    return est_score, est_cost, score, est_cost * rng.lognormal(0, 0.3, (n_prompts, n_models))


def run(
    n_prompts: int, n_models: int, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Time one sweep, the grid of 1,001 steps and one pass over the four tables, and compare results.

    Returns
    -------
    dict
        ``exact_s`` and ``one_pass_s`` are medians of 7 runs, turn about, by the clock; ``times_one_pass`` is the median
        of the ratios of each turn, and ``times_one_pass_cpu`` the same in seconds of processor time, of all threads.
    """
    tables = made_up(n_prompts, n_models, seed)
    sweep_tables(tables[0][:10], tables[1][:10]).mean_of(tables[2][:10])  # compiled before the clock starts

    def exact_sweep() -> tuple[Any, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        sweep = sweep_tables(tables[0], tables[1])
        return sweep.breakpoints, sweep.mean_of(tables[2]), sweep.mean_of(tables[3])

    turns = []
    for _ in range(_TURNS):
        (rates, score, cost), *exact = clocked(exact_sweep)
        _, *one_pass = clocked(lambda: sum(float(table.sum()) for table in tables))
        turns.append((exact, one_pass))
    (exact_s, exact_cpu_s), (pass_s, _) = np.median(turns, axis=0)
    ratio, ratio_cpu = np.median([np.divide(*turn) for turn in turns], axis=0)
    lams = GRID[:: _SOME if n_prompts > _LARGE else 1]
    started = time.perf_counter()
    grid = []
    for step, lam in enumerate(lams):
        grid.append(grid_step(tables, lam))
        if progress is not None:
            progress(step + 1, len(lams))
    grid_s = (time.perf_counter() - started) * len(GRID) / len(lams)
    at = [int(np.searchsorted(rates, rate_of_lam(float(lam), 1.0), side="right")) - 1 for lam in lams]
    difference = np.abs(np.column_stack([score[at], cost[at]]) - np.array(grid)).max()
    return {
        "n_prompts": n_prompts,
        "n_models": n_models,
        "breakpoints": len(rates),
        "exact_s": float(exact_s),
        "exact_cpu_s": float(exact_cpu_s),
        "grid_s": grid_s,
        "times_faster_than_grid": float(grid_s / exact_s),
        "one_pass_s": float(pass_s),
        "times_one_pass": float(ratio),
        "times_one_pass_cpu": float(ratio_cpu),
        "largest_difference_at_grid_points": float(difference),
    }


def clocked(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds by the clock, and seconds of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def timed(work: Callable[[], Any], repeat: int) -> tuple[Any, float]:
    """Result and median seconds of some runs."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return result, float(np.median(seconds))


def report(result: dict[str, Any]) -> str:
    """One paragraph for people."""
    return (
        f"{result['n_prompts']:,} prompts x {result['n_models']} models: exact sweep {result['exact_s'] * 1e3:,.1f} ms "
        f"({result['breakpoints']:,} breakpoints), grid of 1,001 λ {result['grid_s']:,.2f} s: "
        f"{result['times_faster_than_grid']:,.0f} times faster; {result['times_one_pass']:.1f} times one pass over "
        f"the four tables ({result['times_one_pass_cpu']:.1f} in processor time); largest difference at the "
        f"grid points {result['largest_difference_at_grid_points']:.1e}"
    )
