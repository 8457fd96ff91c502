"""Requests and answers as pydantic models; the OpenAPI document is made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from carrot_core import limits
from carrot_core.prices import Price
from carrot_core.text import Prompt, last_user_text

Text = Annotated[str, Field(max_length=limits.REQUEST_PROMPT_CHARACTERS)]
Name = Annotated[str, Field(min_length=1, max_length=300)]
Label = Annotated[str, Field(max_length=300)]
UsdPerMtok = Annotated[float, Field(ge=0, le=limits.REQUEST_USD)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class PriceBody(_StrictModel):
    """List price of a model in US dollars per million tokens."""

    input_usd_per_mtok: UsdPerMtok
    output_usd_per_mtok: UsdPerMtok


class Message(BaseModel):
    """One message of a chat: its role, and a text or parts; other fields that a gateway sends are ignored."""

    model_config = ConfigDict(extra="allow", strict=True)

    role: str
    content: str | list[dict[str, Any]] | None = None


class Chat(_StrictModel):
    """A chat as a prompt: the last text of the user is read."""

    messages: list[Message]

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        text = last_user_text([message.model_dump() for message in self.messages])
        if not text:
            raise ValueError("no message has a text of the user")
        if len(text) > limits.REQUEST_PROMPT_CHARACTERS:
            raise ValueError(f"the user's text has more than {limits.REQUEST_PROMPT_CHARACTERS:,} characters")
        return self


def _kind_of(prompt: object) -> str:
    """Whether a prompt is meant as text or chat, so that an error is only about that kind."""
    return "chat" if isinstance(prompt, dict | Chat) else "text"


PromptBody = Annotated[Annotated[Text, Tag("text")] | Annotated[Chat, Tag("chat")], Discriminator(_kind_of)]


class Question(_StrictModel):
    """Prompts, the pool of models to choose from, and prices."""

    prompts: list[PromptBody] = Field(
        min_length=1,
        max_length=limits.REQUEST_PROMPTS,
        description='Texts, or chats as {"messages": [{"role": …, "content": …}, …]}.',
    )
    router: Name | None = Field(None, description="Name of a router served here; the default one if left out.")
    task: Label | list[Label | None] | None = Field(
        None,
        description="Task label of all prompts, or one for each: one of `tasks` of /models. Without a label, or with "
        "an unknown one, the task is inferred from the prompt.",
    )
    pool: list[Name] | None = Field(
        None,
        min_length=1,
        max_length=limits.REQUEST_MODELS,
        description="Models to choose among; all of the router's if left out.",
    )
    prices: dict[Name, PriceBody] | None = Field(
        None,
        max_length=limits.REQUEST_MODELS,
        description="Prices in place of those the router was fitted with, by model.",
    )

    @model_validator(mode="after")
    def _a_label_a_prompt(self) -> Self:
        if isinstance(self.task, list) and len(self.task) != len(self.prompts):
            raise ValueError("task has one label, or as many as there are prompts")
        return self

    @property
    def labels(self) -> list[str | None]:
        """One label per prompt."""
        return self.task if isinstance(self.task, list) else [self.task] * len(self.prompts)

    @property
    def read(self) -> list[Prompt]:
        """The prompts, as `CarrotRouter` takes them."""
        return [prompt if isinstance(prompt, str) else prompt.model_dump() for prompt in self.prompts]

    def choices(self) -> dict[str, object]:
        """The pool and the prices, as `CarrotRouter` takes them."""
        prices = {
            model: Price(price.input_usd_per_mtok, price.output_usd_per_mtok)
            for model, price in (self.prices or {}).items()
        }
        return {"pool": self.pool, "prices": prices or None}


class EstimateQuestion(Question):
    """Body of ``POST /api/v1/estimate``."""


class RouteQuestion(Question):
    """Body of ``POST /api/v1/route``: at most one of ``lam``, ``budget``, ``target`` and ``mu``."""

    lam: float | None = Field(None, ge=0, le=1, description="λ: 0 asks for accuracy alone, 1 for low cost alone.")
    budget: float | None = Field(None, ge=0, le=limits.REQUEST_USD, description="US dollars per 1,000 queries.")
    target: float | None = Field(None, ge=0, le=1, description="Accuracy to reach as cheaply as possible.")
    mu: float | None = Field(
        None, ge=0, le=1, description="λ of the authors' wrapper, whose cost unit is 0.01 dollars."
    )
    fallback: Name | None = Field(
        None,
        description="Model that answers prompts unlike the training data; by default that of the operating "
        "point served as this router; null switches it off.",
    )
    fallback_above: float | None = Field(
        None,
        ge=0,
        le=100,
        description="Percentile of distance from which the fallback answers; by default the router's, mostly 99.",
    )
    explain: bool = Field(
        False, description=f"Whether to explain each decision; then at most {limits.REQUEST_EXPLAINED} prompts."
    )

    @model_validator(mode="after")
    def _one_point(self) -> Self:
        if sum(value is not None for value in (self.lam, self.budget, self.target, self.mu)) > 1:
            raise ValueError("give one of lam, budget, target and mu, not several")
        if self.explain and len(self.prompts) > limits.REQUEST_EXPLAINED:
            raise ValueError(f"explain takes at most {limits.REQUEST_EXPLAINED} prompts")
        return self

    def choices(self) -> dict[str, object]:
        point = {name: getattr(self, name) for name in ("lam", "budget", "target", "mu", "fallback_above")}
        # null means no fallback, a missing field the default
        fallback = {"fallback": self.fallback} if "fallback" in self.model_fields_set else {}
        return super().choices() | point | fallback


class Expected(BaseModel):
    """Estimates of one model on one prompt."""

    est_score: float
    est_cost_usd: float
    est_output_tokens: float | None
    utility: float


class Decision(BaseModel):
    """One prompt's model; ``exchange_rate_per_usd`` is null if it is infinite, at λ = 1.

    ``task`` is the label that the estimates use, null if there is none; ``task_note`` says why a label of the request
    is not used.
    """

    model: str
    lam: float
    exchange_rate_per_usd: float | None
    cost_unit_usd: float
    fell_back: bool
    task: str | None
    task_note: str | None
    models: dict[str, Expected]
    explanation: ExplanationAnswer | None = None


class Stretch(BaseModel):
    """A stretch of λ in which one model is chosen."""

    model: str
    lam_from: float
    lam_to: float


class EstimateRow(BaseModel):
    """Estimates of one model on one prompt, with intervals; null if not known."""

    est_score: float
    score_low: float | None
    score_high: float | None
    input_tokens: float | None
    est_output_tokens: float | None
    output_tokens_low: float | None
    output_tokens_high: float | None
    est_cost_usd: float
    cost_low_usd: float | None
    cost_high_usd: float | None


class ExplanationAnswer(BaseModel):
    """The reasons for one decision."""

    sentence: str
    runner_up: str | None
    margin: float | None
    score_difference: float | None
    cost_difference_usd: float | None
    ribbon: list[Stretch]
    models: dict[str, EstimateRow]
    distance_percentile: float | None
    unlike: bool
    prompt_tokens: int
    read_tokens: int
    seconds: dict[str, float]


class RouteAnswer(BaseModel):
    """Answer of ``POST /api/v1/route``: one decision per prompt, in the order of the prompts."""

    request_id: str
    router: str
    decisions: list[Decision]


class EstimateAnswer(BaseModel):
    """Answer of ``POST /api/v1/estimate``: estimates of every model for each prompt, in their order.

    ``tasks`` and ``task_notes`` have for each prompt the ``task`` and ``task_note`` of `Decision`.
    """

    request_id: str
    router: str
    estimates: list[dict[str, EstimateRow]]
    tasks: list[str | None]
    task_notes: list[str | None]


class ModelPrice(BaseModel):
    """A dated list price."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    as_of: str
    source: str


class ModelsAnswer(BaseModel):
    """Answer of ``GET /api/v1/models``.

    ``coverage`` is the share of test prompts whose observed value lies within the intervals, which are meant
    to contain it in ``nominal`` of cases; ``served`` are the names allowed for ``router``, ``tasks`` the labels
    allowed for ``task``, empty if the router reads none.
    """

    request_id: str
    router: str
    served: list[str]
    method: str
    benchmark: str
    models: dict[str, ModelPrice | None]
    cost_unit_usd: float
    default_lam: float
    best_single: str
    usage: Literal["output_tokens", "input_only", "cost_usd"]
    tasks: list[str]
    coverage: dict[str, float | None]


class CurvePoint(BaseModel):
    """A point of a curve: means per prompt; ``exchange_rate_per_usd`` holds up to the next point's."""

    lam: float
    exchange_rate_per_usd: float
    score: float
    cost_usd: float


class FrontierAnswer(BaseModel):
    """Answer of ``GET /api/v1/frontier``: the router's curve at the points kept with it."""

    request_id: str
    router: str
    split: Literal["validation", "test"]
    n_prompts: int
    points: list[CurvePoint]


class HealthAnswer(BaseModel):
    """Answer of ``GET /api/v1/health``."""

    request_id: str
    status: str = Field(
        description='"cold", "warming", "ready", or "degraded: " and the routers that cannot be loaded.'
    )
    version: str
    served: list[str]
