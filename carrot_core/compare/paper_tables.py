"""The tables behind two of the paper's figures (CARROT, arXiv 2502.03261), for any routers.

`spider` (plot 1): the share of a reference model's score that a router reaches, task by task, at a small share of its
cost. The authors choose λ for every source on the test prompts themselves. A deployed router has one λ, chosen
beforehand: here on validation, to meet the budget over all prompts. `accuracy` (the table of CARROT-KNN): how well
routers predict, and choose if cost does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import LEAST_PROMPTS, Interval, bootstrap_counts, weighted_means, weights_on
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.evaluation.quality import usage_of
from carrot_core.evaluation.tables import small, task_labels
from carrot_core.frontier import FloatArray, Frontier, lam_of_rate
from carrot_core.operating_point import best_within_budget
from carrot_core.outcomes import Estimates, positions

BUDGET_SHARES = (0.1, 0.2, 0.3)
AUTHORS, HONEST = "authors", "honest"
PAPER_REFERENCE = "openai-gpt-4o"
_FIGURES = ("score", "score_share", "cost_usd", "cost_share", "reference_score", "reference_cost_usd", "lam")
_COLUMNS = ["router", "metric", "value", "low", "high", "n_prompts", "n_models"]


def spider(setting: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Score by task within shares of the reference model's mean cost, λ chosen in two ways.

    ``way`` "authors": for each task the best score on the prompts reported on at a cost within the share of the
    reference's cost on them. It has no interval, since λ was chosen on the same prompts. "honest": the one λ that
    scores best on validation within the share of the reference's cost over all validation prompts; a task may then cost
    more or less than its share. Both are exact, with no grid over λ.

    Returns
    -------
    Columns router, task ("" where prompts have none), way, budget_share (of `BUDGET_SHARES`), reference (a
    model: the paper's where it is in the pool, else the best single model on validation), n_prompts,
    exchange_rate_per_usd, lam, score, score_low, score_high, cost_usd, reference_score, reference_cost_usd,
    score_share with its interval (score ÷ reference_score, paired) and cost_share. If no point is within the share, the
    router's figures are NaN; so are intervals of tasks with fewer than `LEAST_PROMPTS` prompts.
    """
    reference = PAPER_REFERENCE if PAPER_REFERENCE in setting.models else setting.best_single
    column = setting.models.index(reference)
    curves = {name: setting.frontier(table, setting.report_on) for name, table in routers.items()}
    rates = {name: _honest_rates(setting.frontier(table, "validation"), column) for name, table in routers.items()}
    rows: list[dict[str, Any]] = []
    labels = task_labels(setting, next(iter(curves.values()))) if curves else np.empty(0)
    for task in sorted(set(labels)):  # the outer loop: all routers share the draws of a task
        for name, curve in curves.items():
            keys = {"router": name, "task": task, "reference": reference}
            here = curve.rows(np.asarray(labels == task))
            rows += [keys | row for row in _on_task(here, column, rates[name], setting.cost_unit_usd)]
    if not rows:
        raise CarrotError(f"No {setting.report_on} prompt has an outcome of all {len(setting.models)} models.")
    table = pd.DataFrame(rows)
    place = {name: k for k, name in enumerate(routers)}
    table = table.sort_values("router", key=lambda names: names.map(place), kind="stable", ignore_index=True)
    return table.astype({name: np.float32 for name in table.columns if name.startswith(_FIGURES)})


def _honest_rates(validation: Frontier, reference: int) -> list[float | None]:
    """For each budget the rate that scores best within it on validation; None if no point is within it."""
    cost_usd = float(validation.outcomes.cost_usd[:, reference].mean())
    return [best_within_budget(validation, share * cost_usd) for share in BUDGET_SHARES]


def _on_task(here: Frontier, column: int, honest: list[float | None], cost_unit_usd: float) -> list[dict[str, Any]]:
    """Both ways at every budget on the prompts of one task."""
    reference = here.outcomes.score[:, column]
    cost_usd = float(here.outcomes.cost_usd[:, column].mean())
    facts = {
        "n_prompts": here.n_prompts,
        "reference_score": float(reference.mean()),
        "reference_cost_usd": cost_usd,
    }
    authors = [best_within_budget(here, share * cost_usd) for share in BUDGET_SHARES]
    intervals = _intervals(here, reference, honest)
    rows = []
    for share, theirs, ours, interval in zip(BUDGET_SHARES, authors, honest, intervals, strict=True):
        for way, rate in ((AUTHORS, theirs), (HONEST, ours)):
            row = {"way": way, "budget_share": share, **facts, **_at(here, rate, cost_unit_usd), **_no_interval()}
            row |= interval if way == HONEST else {}
            rows.append(row | _shares(row))
    return rows


def _at(here: Frontier, rate: float | None, cost_unit_usd: float) -> dict[str, float]:
    """Figures of one point of a curve; NaN if there is none."""
    if rate is None:
        return dict.fromkeys(("exchange_rate_per_usd", "lam", "score", "cost_usd"), np.nan)
    point, lam = here.at(rate), float(lam_of_rate(rate, cost_unit_usd))
    score, cost_usd = float(here.score[point]), float(here.cost_usd[point])
    return {"exchange_rate_per_usd": rate, "lam": lam, "score": score, "cost_usd": cost_usd}


def _shares(row: Mapping[str, Any]) -> dict[str, float]:
    of = {"score_share": ("score", "reference_score"), "cost_share": ("cost_usd", "reference_cost_usd")}
    return {name: row[part] / row[whole] if row[whole] > 0 else np.nan for name, (part, whole) in of.items()}


def _no_interval() -> dict[str, float]:
    return {f"{name}_{end}": np.nan for name in ("score", "score_share") for end in ("low", "high")}


def _intervals(here: Frontier, reference: FloatArray, rates: list[float | None]) -> list[dict[str, float]]:
    """95 % intervals over prompts of the score at each rate, and of its ratio to the reference's (paired)."""
    if here.n_prompts < LEAST_PROMPTS:
        return [{} for _ in rates]
    rows = np.arange(here.n_prompts)
    chosen = {rate: here.outcomes.score[rows, here.choices(rate)] for rate in rates if rate is not None}
    weights = weights_on(here, bootstrap_counts(here.n_prompts))
    replicates = weighted_means(np.column_stack([reference, *chosen.values()]), weights)
    by_rate: dict[float | None, dict[str, float]] = {None: {}}
    for place, (rate, score) in enumerate(chosen.items(), start=1):
        with np.errstate(divide="ignore", invalid="ignore"):
            share = Interval.of(1.0, replicates[:, place] / replicates[:, 0])
        mean = Interval.of(float(score.mean()), replicates[:, place])
        by_rate[rate] = {
            "score_low": mean.low,
            "score_high": mean.high,
            "score_share_low": share.low,
            "score_share_high": share.high,
        }
    return [by_rate[rate] for rate in rates]


def accuracy(setting: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Figures of the authors' table for each router, on the reported prompts with the whole pool observed.

    Returns
    -------
    Columns router, metric, value, low, high (95 % over prompts; NaN where not defined), n_prompts, n_models
    (that the router estimates). Metrics: binarised_accuracy (share of the cells with score and estimate on the same
    side of 0.5), score_mae, r2 (all cells together, so it holds the differences between models too), routing_accuracy
    (at λ = 0), best_single (chosen on validation), oracle, cost_mae_usd and output_tokens_mae (mean absolute errors per
    call; NaN where a call's cost is known beforehand, where tokens were not recorded, and for a cascade, which pays for
    several calls). The first three say little of a router whose estimates only order models, as those of a pair or
    random ones do.
    """
    setting, frames = setting.with_all_outcomes, []
    for name, table in routers.items():
        curve = setting.frontier(table, setting.report_on)
        sums = _of_prompts(setting, curve)
        columns = np.column_stack(list(sums.values()))
        own, replicates = (
            _figures(dict(zip(sums, weighted_means(columns, weights).T, strict=True)))
            for weights in (np.ones((len(columns), 1)), bootstrap_counts(curve.n_prompts))
        )
        intervals = {metric: Interval.of(float(value[0]), replicates[metric]) for metric, value in own.items()}
        frame = pd.DataFrame([{"metric": metric, **vars(interval)} for metric, interval in intervals.items()])
        frames.append(frame.assign(router=name, n_prompts=curve.n_prompts, n_models=int(curve.has_estimates.sum())))
    return small(frames, _COLUMNS)


def _of_prompts(setting: Setting, curve: Frontier) -> dict[str, FloatArray]:
    """(n,) sums over the cells of each prompt, from which all figures are computed."""
    mask, rows = curve.has_estimates, np.arange(curve.n_prompts)
    observed, estimated = curve.outcomes.score[:, mask], curve.estimates.score[:, mask]
    error = estimated - observed
    cells: dict[str, FloatArray] = {
        "right": ((estimated >= 0.5) == (observed >= 0.5)).astype(np.float64),
        "absolute": np.abs(error),
        "squared": error**2,
        "observed": observed,
        "observed_squared": observed**2,
        **_of_usage(setting, curve, mask),
    }
    choices = {
        "routing_accuracy": curve.outcomes.score[rows, curve.choices(0.0)],
        "best_single": curve.outcomes.score[:, curve.models.index(setting.best_single)],
        "oracle": curve.outcomes.score.max(axis=1),
    }
    return (
        {name: table.sum(axis=1) for name, table in cells.items()} | {"cells": np.full(len(rows), mask.sum())} | choices
    )


def _of_usage(setting: Setting, curve: Frontier, mask: npt.NDArray[np.bool_]) -> dict[str, FloatArray]:
    """(n, K) errors in dollars and output tokens, 0 in cells without one, and masks of the cells with one."""
    bench = setting.test.rows(positions(curve.outcomes.prompt_ids, setting.test.prompt_ids, "prompt"))
    bench = bench.pool([model for model, has in zip(curve.models, mask, strict=True) if has])
    usage, shape = bench.usage, bench.outcomes.shape
    errors = {"cost_usd": np.full(shape, np.nan), "output_tokens": np.full(shape, np.nan)}
    if not curve.estimates.cost_is_paid and usage != "input_only":
        estimates = curve.estimates.pool(bench.models)
        cost_usd, tokens = estimates.cost_usd, estimates.output_tokens
        errors["cost_usd"] = np.abs(cost_usd - bench.outcomes.cost_usd)
        if usage == "output_tokens":
            errors["output_tokens"] = np.abs(usage_of(bench, cost_usd, output_tokens=tokens) - bench.output_tokens)
    return {
        f"{name}{part}": table
        for name, error in errors.items()
        for part, table in (("", np.nan_to_num(error)), ("_cells", (~np.isnan(error)).astype(np.float64)))
    }


def _figures(means: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """(B,) figures from (B,) means per prompt of the sums of `_of_prompts`."""
    cells = means["cells"]
    spread = means["observed_squared"] / cells - (means["observed"] / cells) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "binarised_accuracy": means["right"] / cells,
            "score_mae": means["absolute"] / cells,
            "r2": np.where(spread > 0, 1 - means["squared"] / cells / spread, np.nan),
            "routing_accuracy": means["routing_accuracy"],
            "best_single": means["best_single"],
            "oracle": means["oracle"],
            "cost_mae_usd": means["cost_usd"] / means["cost_usd_cells"],
            "output_tokens_mae": means["output_tokens"] / means["output_tokens_cells"],
        }
