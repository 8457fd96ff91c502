"""A benchmark and a router's estimates under a scenario: other prices, tokens and models, no new fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError
from carrot_core.evaluation.missing import without_gaps
from carrot_core.evaluation.protocol import Setting
from carrot_core.evaluation.quality import means_of, one_cost_a_model, usage_of
from carrot_core.number_formats import percent
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Outcomes, Usage, pick, positions
from carrot_core.prices import Price, token_cost_usd
from carrot_core.whatif.scenario import Hypothetical, Scenario, provider


@dataclass(frozen=True)
class Column:
    """One model of a scenario, described by a model of the benchmark.

    Attributes
    ----------
    name, base : its name and that of the model whose tables it has.
    price : US dollars per million tokens, cache included; None where only dollars are recorded.
    cost_factor : on dollars, where only they are recorded.
    output_factor : on output tokens.
    floor, slope : a score s becomes floor + slope·s.
    same_cost : whether its costs are the base's as they were recorded.
    """

    name: str
    base: str
    price: Price | None
    cost_factor: float
    output_factor: float
    floor: float
    slope: float
    same_cost: bool

    def cost_usd(
        self,
        recorded: FloatTable,
        input_tokens: FloatTable,
        output_tokens: FloatTable,
        cached_input_tokens: FloatTable | None = None,
        reasoning_tokens: FloatTable | None = None,
    ) -> FloatTable:
        """(n,) dollars from what is known of the base, NaN where its dollars are."""
        if self.same_cost:
            return recorded
        if self.price is None:
            return recorded * self.cost_factor
        factor = self.output_factor
        tokens_out = output_tokens * factor if factor > 0 else np.zeros(len(recorded))
        repriced = token_cost_usd(
            input_tokens[:, None],
            tokens_out[:, None],
            [self.price],
            cached_input_tokens=0.0 if cached_input_tokens is None else cached_input_tokens[:, None],
            reasoning_tokens=0.0 if reasoning_tokens is None else reasoning_tokens[:, None] * factor,
        )
        return np.where(np.isnan(recorded), np.nan, repriced[:, 0])


def columns(setting: Setting, scenario: Scenario) -> list[Column]:
    """The models of a scenario, those of the benchmark first, in its order."""
    real = [Hypothetical(name=name, base=name, price=scenario.prices.get(name)) for name in setting.models]
    pool = [model for model in real if not scenario.pool or model.name in scenario.pool]
    return [_column(setting, scenario, model) for model in [*pool, *scenario.hypothetical]]


def _column(setting: Setting, scenario: Scenario, model: Hypothetical) -> Column:
    usage = setting.test.usage
    factor = (
        scenario.price_factor
        * scenario.provider_factors.get(provider(model.name), 1.0)
        * scenario.model_factors.get(model.name, 1.0)
    )
    floor, slope = _floor_and_slope(setting, model)
    if usage == "cost_usd":
        return Column(model.name, model.base, None, factor, 1.0, floor, slope, factor == 1.0)
    recorded = setting.test.prices[model.base]
    stated = model.price or scenario.prices.get(model.base)
    price = recorded
    if stated is not None:
        price = Price(stated.input_usd_per_mtok, stated.output_usd_per_mtok, recorded.as_of, recorded.source)
    price = price.scaled(factor, factor).scaled(scenario.input_factor, 1.0 if usage == "output_tokens" else 0.0)
    tokens = scenario.output_token_factor * model.token_factor
    return Column(model.name, model.base, price, 1.0, tokens, floor, slope, price == recorded and tokens == 1.0)


def _floor_and_slope(setting: Setting, model: Hypothetical) -> tuple[float, float]:
    """Floor and slope that move the base's mean score on validation by the offset and keep all in [0, 1]."""
    if model.score_offset == 0:
        return 0.0, 1.0
    (column,) = positions([model.base], setting.models)
    mean = float(setting.validation.measured.score[:, column].mean())
    target = mean + model.score_offset
    if not 0 <= target <= 1:
        raise CarrotError(
            f"{model.name!r} would score {percent(target)} on validation: {model.base!r} has {percent(mean)}, "
            f"so the offset must be from {-100 * mean:.1f} to {100 - 100 * mean:.1f} points."
        )
    if model.score_offset > 0:
        floor = model.score_offset / (1 - mean)
        return floor, 1 - floor
    return 0.0, target / mean


def reprice_setting(setting: Setting, models: list[Column]) -> Setting:
    """The setting with these columns as its models."""
    names = ("train", "inner_train", "validation", "test", "everything")
    parts = {id(part): part for part in (getattr(setting, name) for name in names)}  # two of them may be one
    changed = {key: _reprice_part(part, models) for key, part in parts.items()}
    wholes = [without_gaps(changed[id(part)]) for part in (setting.everything, setting.train)]
    replaced: dict[str, Any] = {name: _corrected(changed[id(getattr(setting, name))], wholes) for name in names}
    return replace(setting, **replaced)


def _corrected(part: Benchmark, wholes: Sequence[Benchmark]) -> Benchmark:
    """The part with what stands in for its gaps, from the whole that it belongs to."""
    for whole in wholes:
        if whole.corrected is not None and set(part.prompt_ids) <= set(whole.prompt_ids):
            rows = positions(part.prompt_ids, whole.prompt_ids, "prompt")
            return replace(part, corrected=whole.corrected.rows(rows))
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
        input_tokens=part.input_tokens[:, at],
        output_tokens=part.output_tokens[:, at] * np.array([model.output_factor for model in models]),
        prices={model.name: model.price for model in models if model.price is not None},
    )


def reprice_estimates(
    setting: Setting, estimates: Mapping[str, Estimates], models: list[Column]
) -> dict[str, Estimates]:
    """What a router expects, by split, of those of these columns whose base it estimates.

    Raises
    ------
    CarrotError
        The router pays for several calls a prompt (a cascade), it estimates none of the models, or output
        tokens get a price whose predictions were never priced and so cannot be read back from dollars.
    """
    rounds = [_of_round(each, estimates, models) for each in setting.rounds]
    return setting.joined(rounds, [model.name for model in models])


def _of_round(setting: Setting, estimates: Mapping[str, Estimates], models: list[Column]) -> dict[str, Estimates]:
    """Of the prompts of one round of cross-fitting, whose router has training means of its own."""
    tables = {}
    for split, table in setting.own(estimates).items():
        if table.prompt_ids:
            own = table.pool(
                pick(table.models, np.asarray(~np.isnan(table.score).all(axis=0)))
            )  # that this round's router knows
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
    """Costs of a router that expects one cost a model: as its mean over the train prompts moves; else none.

    Such a router knows nothing of a prompt's tokens, and a scenario must not teach it.
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
    """Costs from the tokens that a router expects on each prompt."""
    tokens_in, tokens_out = prompts.charged_input_tokens, usage_of(prompts, table.cost_usd, usage, table.output_tokens)
    return [
        model.cost_usd(table.cost_usd[:, j], tokens_in[:, j], tokens_out[:, j])
        for j, model in zip(at, models, strict=True)
    ]
