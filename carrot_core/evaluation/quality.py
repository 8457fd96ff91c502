"""How well a router predicts scores, and tokens or dollars, beside the train mean of each model.

`accuracy` is the table of CARROT-KNN in the paper: how well routers predict, and choose if cost does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import Interval, bootstrap_counts, weighted_means
from carrot_core.curve import small
from carrot_core.evaluation.protocol import Setting
from carrot_core.frontier import FloatArray, Frontier
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Usage, positions
from carrot_core.prices import TOKENS_PER_PRICE, rates_of
from carrot_core.routers import ZeroRouter

POOLED = "pooled"
BINS = 10
Values = npt.NDArray[np.float64]


def quality_of(setting: Setting, estimates: Estimates) -> pd.DataFrame:
    """`quality` on the prompts a setting reports on; the means to beat are those of each prompt's round."""
    trains = [each.train for each in setting.rounds]
    return _quality(setting.test, estimates, trains, setting.round_of(setting.report_on))


def quality(bench: Benchmark, estimates: Estimates, train: Benchmark) -> pd.DataFrame:
    """Quality of the predictions, one row for each model and one over all of them.

    Parameters
    ----------
    bench : prompts with outcomes; every observed cell counts.
    estimates : of these prompts and perhaps others, of all or some of the models.
    train : prompts whose means are the predictor to beat.

    Returns
    -------
    Columns model ("pooled" for all together), n, n_usage (observed cells with a score, with tokens or
    dollars), r2, auc (of score >= 0.5), brier (mean squared error of the estimate cut to [0, 1]), ece (see
    `reliability`), usage_mae, usage_median_relative_error (output tokens; dollars where nothing else is
    recorded; NaN where only input is charged), usage_bias (mean error ÷ mean), and the same with the prefix
    train_mean_ for the mean of each model on the train prompts.
    """
    return _quality(bench, estimates, [train], np.zeros(len(bench.prompt_ids), dtype=np.intp))


def _quality(
    bench: Benchmark, estimates: Estimates, trains: Sequence[Benchmark], round_of: npt.NDArray[np.intp]
) -> pd.DataFrame:
    pools = [train.pool(estimates.models) for train in trains]
    estimates, observed = aligned(bench, estimates)
    round_of = round_of[positions(estimates.prompt_ids, bench.prompt_ids, "prompt")]
    usage = observed.usage
    mean_score = np.stack([ZeroRouter().fit(pool).score_ for pool in pools])[round_of]
    mean_usage = np.stack([means_of(pool.usage_table(usage)) for pool in pools])[round_of]
    expected = usage_by_round(observed, estimates, round_of)
    predicted = {"": (estimates.score, expected), "train_mean_": (mean_score, mean_usage)}
    score = observed.outcomes.score
    used = np.full(score.shape, np.nan) if usage == "input_only" else observed.usage_table(usage)
    rows = []
    for name, column in _columns(estimates).items():
        cells = score[:, column].ravel(), used[:, column].ravel()
        row: dict[str, Any] = {"model": name}
        for prefix, (est_score, est_usage) in predicted.items():
            figures = _of_scores(cells[0], est_score[:, column].ravel())
            figures |= _of_usage(cells[1], est_usage[:, column].ravel())
            row |= {prefix + key if key not in ("n", "n_usage") else key: value for key, value in figures.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def usage_of(
    bench: Benchmark, cost_usd: FloatTable, usage: Usage | None = None, output_tokens: FloatTable | None = None
) -> FloatTable:
    """Output tokens behind (n, M) estimated dollars, or the dollars themselves where only they are recorded.

    A router that expects one cost for each model expects a mean prompt: its tokens are those of a call with the mean
    input. Free tokens cannot be computed from dollars: they are ``output_tokens``, (n, M) from the router; NaN without
    it.
    """
    if (usage or bench.usage) != "output_tokens":
        return cost_usd
    tokens_in = bench.charged_input_tokens
    if one_cost_a_model(cost_usd):
        tokens_in = np.broadcast_to(means_of(tokens_in), tokens_in.shape)
    rates = rates_of([bench.prices[model].expected for model in bench.models], tokens_in)
    with np.errstate(divide="ignore", invalid="ignore"):
        tokens = (cost_usd * TOKENS_PER_PRICE - tokens_in * rates.input) / rates.output
    free = np.nan if output_tokens is None else output_tokens
    return np.where(rates.output > 0, np.maximum(tokens, 0.0), free)


def usage_by_round(bench: Benchmark, estimates: Estimates, round_of: npt.NDArray[np.intp]) -> FloatTable:
    """`usage_of` estimates of these prompts, by round of cross-fitting, (n,), since each round has its own means."""
    expected = np.empty(estimates.shape)
    for here in (round_of == number for number in np.unique(round_of)):
        own, part = estimates.rows(here), bench if here.all() else bench.rows(here)
        expected[here] = usage_of(part, own.cost_usd, output_tokens=own.output_tokens)
    return expected


def one_cost_a_model(cost_usd: FloatTable) -> bool:
    """Whether (n, M) estimated dollars are the same for every prompt, as means are."""
    return len(cost_usd) > 1 and bool((cost_usd == cost_usd[:1]).all())


def means_of(table: FloatTable) -> Values:
    """(M,) means of the observed cells of each column; NaN where there is none."""
    mask = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        means: Values = np.where(mask, table, 0.0).sum(axis=0) / mask.sum(axis=0)
    return means


def _of_scores(observed: Values, estimated: Values) -> dict[str, float]:
    from sklearn.metrics import r2_score, roc_auc_score  # takes seconds to load, which pages that only draw avoid

    mask = ~np.isnan(observed) & ~np.isnan(estimated)
    truth, guess = observed[mask], estimated[mask]
    right = truth >= 0.5
    return {
        "n": int(mask.sum()),
        "r2": float(r2_score(truth, guess)) if len(truth) > 1 else np.nan,
        "auc": float(roc_auc_score(right, guess)) if 0 < right.sum() < len(right) else np.nan,
        "brier": float(np.mean((np.clip(guess, 0, 1) - truth) ** 2)) if len(truth) else np.nan,
        "ece": _ece(_bins(truth, guess)),
    }


def _of_usage(observed: Values, estimated: Values) -> dict[str, float]:
    from sklearn.metrics import mean_absolute_error

    mask = ~np.isnan(observed) & ~np.isnan(estimated)
    truth, guess = observed[mask], estimated[mask]
    if not mask.any():
        return {"n_usage": 0, "usage_mae": np.nan, "usage_median_relative_error": np.nan, "usage_bias": np.nan}
    some = truth > 0
    relative = np.abs(guess[some] - truth[some]) / truth[some]
    return {
        "n_usage": int(mask.sum()),
        "usage_mae": float(mean_absolute_error(truth, guess)),
        "usage_median_relative_error": float(np.median(relative)) if some.any() else np.nan,
        "usage_bias": float((guess - truth).mean() / truth.mean()) if truth.mean() > 0 else np.nan,
    }


def reliability(bench: Benchmark, estimates: Estimates, bins: int = BINS) -> pd.DataFrame:
    """Reliability diagram: observed against estimated scores, in bins of equal width.

    Returns
    -------
    Columns model ("pooled" for all together), bin (0 to bins - 1 of the estimate cut to [0, 1]), n,
    mean_estimate, mean_score; bins without a prompt are left out. The expected calibration error is the mean
    of abs(mean_estimate - mean_score) weighted with n.
    """
    estimates, observed = aligned(bench, estimates)
    score = observed.outcomes.score
    frames = []
    for name, column in _columns(estimates).items():
        truth, guess = score[:, column].ravel(), estimates.score[:, column].ravel()
        mask = ~np.isnan(truth) & ~np.isnan(guess)
        table = _bins(truth[mask], guess[mask], bins)
        frames.append(table.assign(model=name))
    return pd.concat(frames, ignore_index=True)[["model", "bin", "n", "mean_estimate", "mean_score"]]


def aligned(bench: Benchmark, estimates: Estimates) -> tuple[Estimates, Benchmark]:
    """Both on their common prompts and models, in the same order."""
    ids = set(bench.prompt_ids)
    estimates = estimates.rows(np.array([prompt_id in ids for prompt_id in estimates.prompt_ids], dtype=bool))
    observed = bench.pool(estimates.models)
    return estimates, observed.rows(positions(estimates.prompt_ids, observed.prompt_ids, "prompt"))


def _columns(estimates: Estimates) -> dict[str, list[int]]:
    """Columns of all models together, and of each."""
    every = list(range(len(estimates.models)))
    return {POOLED: every, **{model: [j] for j, model in zip(every, estimates.models, strict=True)}}


def _bins(truth: Values, guess: Values, bins: int = BINS) -> pd.DataFrame:
    cut = np.clip(guess, 0.0, 1.0)
    cells = pd.DataFrame({"mean_estimate": cut, "mean_score": truth})
    groups = cells.groupby(np.minimum((cut * bins).astype(int), bins - 1))
    table = groups.mean()
    table.insert(0, "n", groups.size())
    return table.rename_axis("bin").reset_index()


def _ece(bins: pd.DataFrame) -> float:
    if bins.empty:
        return float("nan")
    return float(np.average((bins["mean_estimate"] - bins["mean_score"]).abs(), weights=bins["n"]))


_ACCURACY = ["router", "metric", "value", "low", "high", "n_prompts", "n_models"]


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
        sums = _sums_of_prompts(setting, curve)
        columns = np.column_stack(list(sums.values()))
        own, replicates = (
            _accuracy_figures(dict(zip(sums, weighted_means(columns, weights).T, strict=True)))
            for weights in (np.ones((len(columns), 1)), bootstrap_counts(curve.n_prompts))
        )
        intervals = {metric: Interval.of(float(value[0]), replicates[metric]) for metric, value in own.items()}
        frame = pd.DataFrame([{"metric": metric, **vars(interval)} for metric, interval in intervals.items()])
        frames.append(frame.assign(router=name, n_prompts=curve.n_prompts, n_models=int(curve.has_estimates.sum())))
    return small(frames, _ACCURACY)


def _sums_of_prompts(setting: Setting, curve: Frontier) -> dict[str, FloatArray]:
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
        **_usage_errors(setting, curve, mask),
    }
    choices = {
        "routing_accuracy": curve.outcomes.score[rows, curve.choices(0.0)],
        "best_single": curve.outcomes.score[:, curve.models.index(setting.best_single)],
        "oracle": curve.outcomes.score.max(axis=1),
    }
    return (
        {name: table.sum(axis=1) for name, table in cells.items()} | {"cells": np.full(len(rows), mask.sum())} | choices
    )


def _usage_errors(setting: Setting, curve: Frontier, mask: npt.NDArray[np.bool_]) -> dict[str, FloatArray]:
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


def _accuracy_figures(means: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """(B,) figures from (B,) means per prompt of the sums of `_sums_of_prompts`."""
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
