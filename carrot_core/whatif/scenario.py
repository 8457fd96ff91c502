"""A what-if scenario as a document, with other prices, tokens, tasks and models than recorded, and its models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from carrot_core import limits
from carrot_core.errors import CarrotError, DataError, Problem
from carrot_core.evaluation.protocol import Setting
from carrot_core.number_formats import percent
from carrot_core.outcomes import FloatTable, positions
from carrot_core.prices import Price, token_cost_usd

Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0, le=1000)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
UsdPerMtok = Annotated[float, Field(ge=0, le=1e6)]
Name = Annotated[str, Field(min_length=1, max_length=300)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ScenarioPrice(_Strict):
    """US dollars per million tokens."""

    input_usd_per_mtok: UsdPerMtok
    output_usd_per_mtok: UsdPerMtok


class Hypothetical(_Strict):
    """A model that nobody has run, described by its differences from one that was run.

    Attributes
    ----------
    name : its name; text before "/" is its provider.
    base : model of the benchmark whose answers, and so errors, it has.
    score_offset : its mean score on validation minus the base's. Each score, and each estimate, moves by the same share
        of its distance to 1 (or, downwards, to 0).
    token_factor : its output tokens ÷ the base's.
    price : by default the base's price before factors.
    """

    name: Name
    base: Name
    score_offset: float = Field(default=0.0, ge=-1, le=1)
    token_factor: float = Field(default=1.0, ge=0, le=1000)
    price: ScenarioPrice | None = None


class Scenario(_Strict):
    """Differences from the benchmark; everything else stays as recorded.

    Attributes
    ----------
    prices : in place of the recorded ones, by model.
    price_factor, provider_factors, model_factors : a model's price is multiplied by all three that name it;
        a provider is the text before "/" in a model's name.
    output_token_factor : factor on every model's output tokens, recorded and predicted.
    cached_share, cached_price_factor : share of the input tokens read from a provider's cache, and the price of such a
        token divided by that of another.
    task_weights : how often a task comes up compared to the benchmark; tasks not named have 1.
    pool : models of the benchmark that may be chosen; empty for all. Hypothetical models can always be chosen.
    hypothetical : models added.
    call_usd : fixed dollars for each call of the router, on top of the model's.
    """

    format: Literal[1] = 1
    prices: dict[Name, ScenarioPrice] = Field(default={}, max_length=1000)
    price_factor: Factor = 1.0
    provider_factors: dict[Name, Factor] = Field(default={}, max_length=1000)
    model_factors: dict[Name, Factor] = Field(default={}, max_length=1000)
    output_token_factor: Factor = 1.0
    cached_share: Share = 0.0
    cached_price_factor: Factor = 0.1
    task_weights: dict[str, Weight] = Field(default={}, max_length=10_000)
    pool: tuple[Name, ...] = Field(default=(), max_length=1000)
    hypothetical: tuple[Hypothetical, ...] = Field(default=(), max_length=20)
    call_usd: float = Field(default=0.0, ge=0, le=1000)

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        added = [model.name for model in self.hypothetical]
        for what, names in (("pool", self.pool), ("hypothetical", added)):
            twice = [name for name in names if list(names).count(name) > 1]
            if twice:
                raise ValueError(f"{what} names {twice[0]!r} twice")
        return self

    @property
    def input_factor(self) -> float:
        """Mean price of an input token, divided by that of one not in the cache."""
        return 1.0 - self.cached_share + self.cached_share * self.cached_price_factor

    def check(self, setting: Setting) -> None:
        """Check that everything named is in the benchmark.

        Raises
        ------
        NotFoundError
            A model, provider or task is not in the benchmark.
        CarrotError
            A hypothetical model has the name of a real one, or there are prices although only dollars are recorded.
        """
        added = [model.name for model in self.hypothetical]
        names = [*setting.models, *added]
        positions([*self.prices, *self.pool, *(model.base for model in self.hypothetical)], setting.models)
        positions(list(self.model_factors), names)
        positions(list(self.provider_factors), sorted({provider(name) for name in names}), "provider")
        positions(list(self.task_weights), sorted({*setting.validation.tasks, *setting.test.tasks}), "task")
        clashes = sorted(set(added) & set(setting.models))
        if clashes:
            raise CarrotError(f"The hypothetical model {clashes[0]!r} has the name of a real one: give it another.")
        priced = [*self.prices, *(model.name for model in self.hypothetical if model.price is not None)]
        if priced and setting.test.usage == "cost_usd":
            raise CarrotError(
                f"{setting.test.name!r} records dollars only, so no price per token can be set for {priced[0]!r}: "
                "give a factor on its costs (model_factors) in its place."
            )


def provider(model: str) -> str:
    """Text before "/" in a model's name; empty if there is none."""
    return model.partition("/")[0] if "/" in model else ""


def parse_scenario(document: bytes | str, name: str = "scenario") -> Scenario:
    """A scenario from its JSON.

    Raises
    ------
    DataError
        It is not the document of a scenario; every problem is listed.
    """
    if len(document) > limits.SCENARIO_BYTES:
        raise DataError(name, f"is larger than {limits.SCENARIO_BYTES:,} bytes, too large to be a scenario")
    try:
        return Scenario.model_validate_json(document)
    except ValidationError as error:
        raise DataError(name, [_problem(detail) for detail in error.errors(include_url=False)]) from error


def _problem(detail: Any) -> Problem:
    place = ".".join(str(part) for part in detail["loc"]) or "the document"
    return Problem(f"{place}: {detail['msg']}", "Correct it, or download the scenario again.")


def scenario_json(scenario: Scenario, indent: int | None = 1) -> str:
    """The document: its format and what differs from the benchmark."""
    document = {"format": scenario.format} | scenario.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(document, indent=indent, ensure_ascii=False)


@dataclass(frozen=True)
class Column:
    """One model of a scenario, described by a model of the benchmark.

    Attributes
    ----------
    name, base : its name, and that of the model whose tables it uses.
    price : US dollars per million tokens, cache included; None if only dollars are recorded.
    cost_factor : factor on dollars, if only they are recorded.
    output_factor : factor on output tokens.
    floor, slope : a score s becomes floor + slope·s.
    same_cost : whether its costs are the base's recorded ones.
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
        *,
        of_expected: bool = False,
    ) -> FloatTable:
        """(n,) dollars from the base's dollars and tokens, NaN where its dollars are.

        If the kinds of tokens of each call are not known (``of_expected``), their mean shares are used.
        """
        if self.same_cost:
            return recorded
        if self.price is None:
            return recorded * self.cost_factor
        factor = self.output_factor
        tokens_out = output_tokens * factor if factor > 0 else np.zeros(len(recorded))
        repriced = token_cost_usd(
            input_tokens[:, None],
            tokens_out[:, None],
            [self.price.expected if of_expected else self.price],
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
    """Floor and slope that move the base's mean score on validation by the offset, with all scores in [0, 1]."""
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
