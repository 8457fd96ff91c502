"""A benchmark and estimates at other prices, tokens and models, without a new fit; the price at which a model is
used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from carrot_core.errors import CarrotError
from carrot_core.evaluation.missing import without_gaps
from carrot_core.evaluation.protocol import Setting
from carrot_core.evaluation.quality import means_of, one_cost_a_model, usage_of
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, ThemeName, axis, layout
from carrot_core.frontier import FloatArray, Frontier
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Outcomes, Usage, pick, positions
from carrot_core.text import short_names
from carrot_core.whatif.scenario import Column

_LEAST, _MOST = 1e-2, 1e2  # range of price factors drawn


def reprice_setting(setting: Setting, models: list[Column]) -> Setting:
    """The setting with these columns as its models."""
    names = ("train", "inner_train", "validation", "test", "everything")
    parts = {id(part): part for part in (getattr(setting, name) for name in names)}  # two names may have the same part
    changed = {key: _reprice_part(part, models) for key, part in parts.items()}
    wholes = [without_gaps(changed[id(part)]) for part in (setting.everything, setting.train)]
    replaced: dict[str, Any] = {name: _corrected(changed[id(getattr(setting, name))], wholes) for name in names}
    return replace(setting, **replaced)


def _corrected(part: Benchmark, wholes: Sequence[Benchmark]) -> Benchmark:
    """The part with the corrected outcomes of the whole that it belongs to."""
    for whole in wholes:
        if whole.corrected is not None and set(part.prompt_ids) <= set(whole.prompt_ids):
            rows = positions(part.prompt_ids, whole.prompt_ids, "prompt")
            completed = None if whole.completed is None else whole.completed.rows(rows)
            corrected = whole.corrected.rows(rows)
            return replace(part, corrected=corrected, completed=completed, donor_of=whole.donor_of)
    return part


def _reprice_part(part: Benchmark, models: list[Column]) -> Benchmark:
    at = positions([model.base for model in models], part.models)
    old, tokens_in = part.outcomes, part.charged_input_tokens
    score = np.column_stack(
        [model.floor + model.slope * old.score[:, j] for j, model in zip(at, models, strict=True)]
    ).clip(0.0, 1.0)
    more = {name: getattr(part, name) for name in ("cached_input_tokens", "reasoning_tokens", "latency_s")}
    more = {name: None if table is None else table[:, at] for name, table in more.items()}
    cost = np.column_stack(
        [
            model.cost_usd(
                old.cost_usd[:, j],
                tokens_in[:, j],
                part.output_tokens[:, j],
                *(None if table is None else table[:, place] for table in list(more.values())[:2]),
            )
            for place, (j, model) in enumerate(zip(at, models, strict=True))
        ]
    )
    return replace(
        part,
        **more,
        outcomes=Outcomes(old.prompt_ids, tuple(model.name for model in models), score, cost),
        corrected=None,
        completed=None,
        input_tokens=part.input_tokens[:, at],
        output_tokens=part.output_tokens[:, at] * np.array([model.output_factor for model in models]),
        prices={model.name: model.price for model in models if model.price is not None},
    )


def reprice_estimates(
    setting: Setting, estimates: Mapping[str, Estimates], models: list[Column]
) -> dict[str, Estimates]:
    """Estimates of a router, by split, for the columns whose base it estimates.

    Raises
    ------
    CarrotError
        The router pays for several calls a prompt (a cascade), it estimates none of the models, or output
        tokens get a price whose predictions were never priced and so cannot be read back from dollars.
    """
    rounds = [_of_round(each, estimates, models) for each in setting.rounds]
    return setting.joined(rounds, [model.name for model in models])


def _of_round(setting: Setting, estimates: Mapping[str, Estimates], models: list[Column]) -> dict[str, Estimates]:
    """Estimates of one round of cross-fitting, whose router has its own training means."""
    tables = {}
    for split, table in setting.own(estimates).items():
        if table.prompt_ids:
            own = table.pool(
                pick(table.models, np.asarray(~np.isnan(table.score).all(axis=0)))
            )  # models that this round's router knows
            tables[split] = _reprice_table(setting, setting.part(split), own, models)
    return tables


def _reprice_table(setting: Setting, part: Benchmark, table: Estimates, models: list[Column]) -> Estimates:
    if table.cost_is_paid:
        raise CarrotError("A cascade pays for several calls a prompt, which cannot be repriced: take another router.")
    with_base = [model for model in models if model.base in table.models]
    if not with_base:
        raise CarrotError(f"The router chooses among {', '.join(table.models)} only: add one of them to the pool.")
    prompts = part.pool(table.models)
    if prompts.prompt_ids != table.prompt_ids:
        prompts = prompts.rows(positions(table.prompt_ids, prompts.prompt_ids, "prompt"))
    at = positions([model.base for model in with_base], table.models)
    cost = _of_means(setting, table, with_base, at) or _of_prompts(prompts, table, with_base, at, setting.test.usage)
    unpriced = [model.name for model, column in zip(with_base, cost, strict=True) if np.isnan(column).any()]
    if unpriced:
        raise CarrotError(
            f"{unpriced[0]!r} had no output price, so its predicted tokens cannot be read from its predicted dollars: "
            "leave its output price at 0, or fit the router on data with a price."
        )
    score = [model.floor + model.slope * table.score[:, j] for j, model in zip(at, with_base, strict=True)]
    names = tuple(model.name for model in with_base)
    return Estimates(table.prompt_ids, names, np.column_stack(score), np.column_stack(cost))


def _of_means(setting: Setting, table: Estimates, models: list[Column], at: npt.NDArray[np.intp]) -> list[FloatTable]:
    """Costs of a router that expects one cost for each model, moved with its mean over the train prompts; else empty.

    Such a router does not know a prompt's tokens, and must not learn them from a scenario.
    """
    if not one_cost_a_model(table.cost_usd):
        return []
    before = means_of(setting.train.outcomes.cost_usd)[positions([m.base for m in models], setting.train.models)]
    after = means_of(_reprice_part(setting.train, models).outcomes.cost_usd)
    return [
        table.cost_usd[:, j] * (new / old) if old > 0 else np.full(len(table.cost_usd), new)
        for j, old, new in zip(at, before, after, strict=True)
    ]


def _of_prompts(
    prompts: Benchmark, table: Estimates, models: list[Column], at: npt.NDArray[np.intp], usage: Usage
) -> list[FloatTable]:
    """Costs from a router's expected tokens on each prompt."""
    tokens_in, tokens_out = prompts.charged_input_tokens, usage_of(prompts, table.cost_usd, usage, table.output_tokens)
    return [
        model.cost_usd(table.cost_usd[:, j], tokens_in[:, j], tokens_out[:, j], of_expected=True)
        for j, model in zip(at, models, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Threshold:
    """How cheap a model must get, all else equal, for a router to choose it.

    Attributes
    ----------
    model, exchange_rate_per_usd : the model and the exchange rate.
    name : short name of the model among those of the pool.
    factor : (n,) descending: the model answers the prompt if its price is multiplied by less than this factor; at most
        0 if it would not even for free, infinite if it would at any price.
    share : (n,) cumulative share of the queries up to this prompt.
    """

    model: str
    name: str
    exchange_rate_per_usd: float
    factor: FloatArray
    share: FloatArray

    def factor_for(self, share: float = 0.0) -> float | None:
        """Factor below which the model answers at least this share of the queries (0: at least one prompt).

        None if it would not even for free.
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
    """The exact changes of a model's price at which a router would use it.

    At rate r a model with predicted score ŝ and cost ĉ answers a prompt while r·f·ĉ < ŝ - v, with v the best
    predicted utility of the others: the largest such f is (ŝ - v) / (r·ĉ). At λ = 1 only the cost counts, and f is the
    cheapest other cost ÷ ĉ; at λ = 0 no price counts. Only predictions are used, no outcome.

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
            # If its price does not count, it is used at any price wherever it is ahead.
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
    """Use of a model against its price; ``text`` is the threshold in words."""
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
