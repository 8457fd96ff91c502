"""How far off the predicted usage of a call is: output tokens, or dollars where nothing else is recorded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from carrot_core.analyses.frames import small
from carrot_core.evaluation import Setting
from carrot_core.evaluation.quality import POOLED, Values, aligned, usage_of
from carrot_core.outcomes import Estimates

BINS = 10
ALL = -1  # in the column "bin": all of a model's calls
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
_COLUMNS = ["router", "model", "unit", "bin", "n", "predicted", *QUANTILES, *(f"ratio_{name}" for name in QUANTILES)]


def usage(made: Setting, routers: Mapping[str, Mapping[str, Estimates]]) -> pd.DataFrame:
    """Observed against predicted usage, by tenths of the prediction, pooled and for each model.

    Columns router, model ("pooled" for all together), unit ("tokens" or "usd"), bin (tenth of the predictions,
    from 0; -1 for all), n (calls), predicted (median), p10, p50, p90 (quantiles of what was observed), ratio_p10,
    ratio_p50, ratio_p90 (of observed ÷ predicted, where something was predicted). Empty where only input is
    charged; a router whose costs are of several calls (a cascade) has no rows.
    """
    frames = [
        _of_router(made, table[made.report_on]).assign(router=name)
        for name, table in routers.items()
        if made.test.usage != "input_only" and not table[made.report_on].cost_is_paid
    ]
    return small(frames, _COLUMNS)


def _of_router(made: Setting, estimates: Estimates) -> pd.DataFrame:
    table, bench = aligned(made.test, estimates)
    kind = bench.usage
    observed, predicted = bench.usage_table(kind), usage_of(bench, table.cost_usd, kind)
    columns = {POOLED: slice(None), **{model: slice(j, j + 1) for j, model in enumerate(table.models)}}
    rows = [
        {"model": model, **row}
        for model, column in columns.items()
        for row in _bins(predicted[:, column].ravel(), observed[:, column].ravel())
    ]
    return pd.DataFrame(rows).assign(unit="tokens" if kind == "output_tokens" else "usd")


def _bins(predicted: Values, observed: Values) -> list[dict[str, float]]:
    seen = ~np.isnan(predicted + observed)
    predicted, observed = predicted[seen], observed[seen]
    if not seen.any():
        return []
    inner = np.quantile(predicted, np.linspace(0, 1, BINS + 1)[1:-1])
    place = np.searchsorted(inner, predicted, side="right")
    kept = np.unique(place).tolist()
    rows = [_row(ALL, predicted, observed)] + [_row(b, predicted[place == b], observed[place == b]) for b in kept]
    return rows if len(kept) > 1 else rows[:1]


def _row(bin_: int, predicted: Values, observed: Values) -> dict[str, float]:
    some = predicted > 0
    ratio = observed[some] / predicted[some]
    at = list(QUANTILES.values())
    ratios = np.quantile(ratio, at) if some.any() else np.full(len(at), np.nan)
    return {
        "bin": bin_,
        "n": len(predicted),
        "predicted": float(np.median(predicted)),
        **dict(zip(QUANTILES, np.quantile(observed, at), strict=True)),
        **{f"ratio_{name}": value for name, value in zip(QUANTILES, ratios, strict=True)},
    }
