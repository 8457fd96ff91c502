"""Which price would make a router use a model: exactly, and as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.errors import CarrotError
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, ThemeName, axis, layout
from carrot_core.frontier import FloatArray, Frontier
from carrot_core.outcomes import positions
from carrot_core.text import short_names

_LEAST, _MOST = 1e-2, 1e2  # price factors drawn


@dataclass(frozen=True, eq=False)
class Threshold:
    """How cheap a model must get, all else equal, for a router to choose it.

    Attributes
    ----------
    model, exchange_rate_per_usd : which model, at which exchange rate.
    name : what the model is called among those of the pool.
    factor : (n,) descending: with its price times anything below this factor the model answers the prompt;
        at most 0 where it would not even for nothing, infinite where it would at any price.
    share : (n,) share of the queries that the prompts up to here make up.
    """

    model: str
    name: str
    exchange_rate_per_usd: float
    factor: FloatArray
    share: FloatArray

    def factor_for(self, share: float = 0.0) -> float | None:
        """Factor below which the model answers at least this share of the queries (0: at least one prompt).

        None where it would not even for nothing.
        """
        at = int(np.searchsorted(self.share, share - 1e-12)) if share > 0 else 0
        if at >= len(self.factor) or self.factor[at] <= 0:
            return None
        return float(self.factor[at])

    def share_at(self, factor: float) -> float:
        """Share of the queries that the model answers with its price just below this factor."""
        answered = int(np.searchsorted(-self.factor, -factor, side="right"))
        return float(self.share[answered - 1]) if answered else 0.0


def worth_using(curve: Frontier, model: str, exchange_rate_per_usd: float) -> Threshold:
    """Which change of a model's price would make a router use it, exactly.

    At rate r a model with predicted score ŝ and cost ĉ answers a prompt while r·f·ĉ < ŝ - v, with v the best
    predicted utility of the others: the largest such f is (ŝ - v) / (r·ĉ). At λ = 1 only the cost counts, and
    it is the cheapest other cost ÷ ĉ; at λ = 0 no price counts. Only predictions are used, no outcome.

    Raises
    ------
    NotFoundError
        The model is not in the pool.
    CarrotError
        The router never estimates it.
    """
    (column,) = positions([model], curve.models)
    estimates, rate, mask = curve.estimates, exchange_rate_per_usd, curve.has_estimates
    if not mask[column]:
        raise CarrotError(f"The router knows nothing of {model}, so no price makes it choose it.")
    others = [j for j in np.flatnonzero(mask) if j != column]
    cost, other_cost = estimates.cost_usd[:, column], estimates.cost_usd[:, others]
    with np.errstate(divide="ignore", invalid="ignore"):
        if np.isinf(rate):
            factor = other_cost.min(axis=1, initial=np.inf) / cost
        else:
            best = (estimates.score[:, others] - rate * other_cost).max(axis=1, initial=-np.inf)
            ahead = estimates.score[:, column] - best
            # Where its price does not count, being ahead is enough at any price.
            factor = np.where(rate * cost > 0, ahead / (rate * cost), np.where(ahead > 0, np.inf, -np.inf))
    weights = np.ones(curve.n_prompts) if curve.weights is None else curve.weights
    factor, weights = np.nan_to_num(factor, nan=0.0, posinf=np.inf, neginf=-np.inf)[weights > 0], weights[weights > 0]
    order = np.argsort(-factor, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    return Threshold(model, short_names(curve.models)[model], rate, factor[order], share)


def steps(threshold: Threshold) -> tuple[FloatArray, FloatArray]:
    """Price factors from `_LEAST` to `_MOST`, ascending, and the share of queries answered just below each."""
    in_range = threshold.factor[(threshold.factor > _LEAST) & (threshold.factor < _MOST)]
    factors = np.unique(np.concatenate([[_LEAST, 1.0, _MOST], in_range]))
    return factors, np.array([threshold.share_at(factor) for factor in factors])


def threshold_exhibit(threshold: Threshold, text: str) -> Exhibit:
    """How much a model is used at which price; ``text`` is the threshold in words."""
    factors, shares = steps(threshold)
    return Exhibit(
        "price-threshold",
        f"What would make {threshold.name} worth using",
        "Exact, from the predictions for each test prompt at the λ that is set, all else as after the scenario; "
        "no outcome is used. A model's price is meant for input and output alike.",
        text,
        pd.DataFrame({"model": threshold.model, "price_factor": factors, "share": shares}),
        lambda theme: threshold_figure(threshold, theme),
    )


def threshold_figure(threshold: Threshold, theme: ThemeName = "light") -> go.Figure:
    """Share of the queries a model answers against a factor on its price, at one exchange rate."""
    look = THEMES[theme]
    factors, shares = steps(threshold)
    figure = go.Figure(
        go.Scatter(
            x=factors,
            y=100 * shares,
            mode="lines",
            line={"color": look.curves[0], "width": 2.5, "shape": "vh"},
            hovertemplate="price × %{x:.3~g}: %{y:.1f} %<extra></extra>",
        )
    )
    now = {"text": "now", "textposition": "end", "textangle": 0, "xanchor": "left", "font": {"color": look.ink}}
    figure.add_vline(1.0, line={"color": look.hull, "dash": "dot"}, label=now)
    at = [0.01, 0.1, 0.5, 1, 2, 10, 100]
    ticks = {"type": "log", "tickvals": at, "ticktext": [f"×{tick:g}" for tick in at]}
    return figure.update_layout(
        layout(
            look,
            300,
            margin={"l": 60, "r": 10, "t": 25, "b": 50},
            xaxis=axis(look, "Price, as a factor on what it is after the scenario", **ticks),
            yaxis=axis(look, "Share of queries", rangemode="tozero", ticksuffix=" %"),
        )
    )
