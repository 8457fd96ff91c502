"""How well routers predict and how well they choose when cost does not count: the columns of the paper's table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.analyses.frames import small
from carrot_core.evaluation import Setting
from carrot_core.evaluation.quality import usage_of
from carrot_core.frontier import FloatArray, Frontier
from carrot_core.outcomes import Estimates, positions
from carrot_core.uncertainty import Interval, draws, weighted_means

_COLUMNS = ["router", "metric", "value", "low", "high", "n_prompts", "n_models"]


def accuracy(made: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Figures of the authors' table for each router, on the prompts reported on with the whole pool observed.

    Returns
    -------
    Columns router, metric, value, low, high (95 % over prompts; NaN where not defined), n_prompts, n_models
    (that the router estimates). Metrics: binarised_accuracy (share of the cells on whose side of 0.5 the
    estimate is right), score_mae, r2 (all cells together, so it holds the differences between models too),
    routing_accuracy (at λ = 0), best_single (chosen on validation), oracle, cost_mae_usd and
    output_tokens_mae (mean absolute errors per call; NaN where a call's cost is known beforehand, where
    tokens were not recorded, and for a cascade, which pays for several calls). The first three say little of
    a router whose estimates only order models, as those of a pair or random ones do.
    """
    frames = []
    for name, table in routers.items():
        curve = made.frontier(table, made.report_on)
        sums = _of_prompts(made, curve)
        columns = np.column_stack(list(sums.values()))
        own, replicates = (
            _figures(dict(zip(sums, weighted_means(columns, weights).T, strict=True)))
            for weights in (np.ones((len(columns), 1)), draws(curve.n_prompts))
        )
        told = {metric: Interval.of(float(value[0]), replicates[metric]) for metric, value in own.items()}
        frame = pd.DataFrame([{"metric": metric, **vars(interval)} for metric, interval in told.items()])
        frames.append(frame.assign(router=name, n_prompts=curve.n_prompts, n_models=int(curve.known.sum())))
    return small(frames, _COLUMNS)


def _of_prompts(made: Setting, curve: Frontier) -> dict[str, FloatArray]:
    """(n,) sums over the cells of each prompt, of which all figures are made."""
    known, rows = curve.known, np.arange(curve.n_prompts)
    observed, estimated = curve.outcomes.score[:, known], curve.estimates.score[:, known]
    error = estimated - observed
    cells: dict[str, FloatArray] = {
        "right": ((estimated >= 0.5) == (observed >= 0.5)).astype(np.float64),
        "absolute": np.abs(error),
        "squared": error**2,
        "observed": observed,
        "observed_squared": observed**2,
        **_of_usage(made, curve, known),
    }
    choices = {
        "routing_accuracy": curve.outcomes.score[rows, curve.choices(0.0)],
        "best_single": curve.outcomes.score[:, curve.models.index(made.best_single)],
        "oracle": curve.outcomes.score.max(axis=1),
    }
    return (
        {name: table.sum(axis=1) for name, table in cells.items()}
        | {"cells": np.full(len(rows), known.sum())}
        | choices
    )


def _of_usage(made: Setting, curve: Frontier, known: npt.NDArray[np.bool_]) -> dict[str, FloatArray]:
    """(n, K) errors in dollars and output tokens, 0 in cells without one, and which cells have one."""
    bench = made.test.rows(positions(curve.outcomes.prompt_ids, made.test.prompt_ids, "prompt"))
    bench = bench.pool([model for model, has in zip(curve.models, known, strict=True) if has])
    usage, shape = bench.usage, bench.outcomes.shape
    errors = {"cost_usd": np.full(shape, np.nan), "output_tokens": np.full(shape, np.nan)}
    if not curve.estimates.cost_is_paid and usage != "input_only":
        cost_usd = curve.estimates.cost_usd[:, known]
        errors["cost_usd"] = np.abs(cost_usd - bench.outcomes.cost_usd)
        if usage == "output_tokens":
            errors["output_tokens"] = np.abs(usage_of(bench, cost_usd) - bench.output_tokens)
    return {
        f"{name}{part}": table
        for name, error in errors.items()
        for part, table in (("", np.nan_to_num(error)), ("_cells", (~np.isnan(error)).astype(np.float64)))
    }


def _figures(means: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """(B,) figures from (B,) means per prompt of the sums that `_of_prompts` gives."""
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
