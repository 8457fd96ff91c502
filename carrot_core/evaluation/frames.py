"""Estimates and curves as tables to write to a file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from carrot_core.frontier import ReadableCurve, lam_of_rate
from carrot_core.outcomes import Estimates, Outcomes, positions


def estimates_frame(estimates: Estimates, outcomes: Outcomes) -> pd.DataFrame:
    """Long table, one row per prompt and model: estimates beside what was observed (NaN = not observed)."""
    seen = outcomes.pool(estimates.models)
    seen = seen.rows(positions(estimates.prompt_ids, seen.prompt_ids, "prompt"))
    n, m = estimates.shape
    return pd.DataFrame(
        {
            "prompt_id": np.repeat(np.array(estimates.prompt_ids, dtype=object), m),
            "model": np.tile(np.array(estimates.models, dtype=object), n),
            "est_score": estimates.score.ravel(),
            "est_cost_usd": estimates.cost_usd.ravel(),
            "score": seen.score.ravel(),
            "cost_usd": seen.cost_usd.ravel(),
        }
    )


def frontier_frame(frontier: ReadableCurve, cost_unit_usd: float) -> pd.DataFrame:
    """One row a breakpoint, ascending from rate 0; a row holds from its rate up to the next row's."""
    rates = frontier.exchange_rate_per_usd
    return pd.DataFrame(
        {
            "exchange_rate_per_usd": rates,
            "lam": lam_of_rate(rates, cost_unit_usd),
            "cost_usd": frontier.cost_usd,
            "score": frontier.score,
        }
    )
