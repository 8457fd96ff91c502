"""From a checked question to an answer, without HTTP: runs in a worker thread."""

from __future__ import annotations

import math
from typing import Any, Literal

import pandas as pd

from carrot_core.api.bodies import (
    CurvePoint,
    Decision,
    EstimateAnswer,
    EstimateQuestion,
    EstimateRow,
    ExplanationAnswer,
    FrontierAnswer,
    ModelPrice,
    ModelsAnswer,
    RouteAnswer,
    RouteQuestion,
    Stretch,
)
from carrot_core.errors import CarrotError
from carrot_core.frontier import lam_of_rate
from carrot_core.pricing import Price
from carrot_core.serving.decision import Explanation
from carrot_core.serving.router import CarrotRouter

Split = Literal["validation", "test"]


def route(router: CarrotRouter, name: str, question: RouteQuestion, request_id: str) -> RouteAnswer:
    """The model of every prompt, explained where that is asked for."""
    choices: dict[str, Any] = question.choices()
    if question.explain:
        explained = [router.explain(prompt, nearest=False, **choices) for prompt in question.prompts]
        decisions = [_explained(each) for each in explained]
    else:
        decisions = [Decision(**record) for record in router.decide(question.prompts, **choices).records()]
    return RouteAnswer(request_id=request_id, router=name, decisions=decisions)


def estimate(router: CarrotRouter, name: str, question: EstimateQuestion, request_id: str) -> EstimateAnswer:
    """What is expected of every model on every prompt."""
    choices: dict[str, Any] = question.choices()
    table = router.estimate(question.prompts, **choices)
    prompts = [_rows(part) for _, part in table.groupby("prompt", sort=True)]
    return EstimateAnswer(request_id=request_id, router=name, estimates=prompts)


def models(router: CarrotRouter, name: str, served: tuple[str, ...], request_id: str) -> ModelsAnswer:
    """The pool with its prices, and what the router was set to and measured at."""
    companion, prices, pool = router.companion, router.companion.prices, router.models
    if router.point is not None:  # an operating point has its own
        prices, pool = router.point.token_prices, router.point.pool
    return ModelsAnswer(
        request_id=request_id,
        router=name,
        served=list(served),
        method=router.router,
        benchmark=companion.benchmark,
        models={model: _price(prices.get(model)) for model in pool},
        cost_unit_usd=router.cost_unit_usd,
        default_lam=router.default_lam,
        best_single=companion.best_single,
        usage=companion.usage,
        coverage=dict(companion.coverage),
    )


def frontier(router: CarrotRouter, name: str, split: Split, request_id: str) -> FrontierAnswer:
    """The router's curve on validation, where λ is chosen, or on test, where it is judged.

    Raises
    ------
    CarrotError
        An operating point on a pool or at prices of its own.
    """
    if router.point is not None and router.point.test is None:
        raise CarrotError("This operating point has a pool or prices of its own, on which no curve was measured.")
    curve = router.companion.curves[split]
    lams = lam_of_rate(curve.exchange_rate_per_usd, router.cost_unit_usd)
    rows = zip(lams, curve.exchange_rate_per_usd, curve.score, curve.cost_usd, strict=True)
    return FrontierAnswer(
        request_id=request_id,
        router=name,
        split=split,
        n_prompts=curve.n_prompts,
        points=[
            CurvePoint(lam=float(lam), exchange_rate_per_usd=float(rate), score=float(score), cost_usd=float(cost))
            for lam, rate, score, cost in rows
        ],
    )


def _explained(explanation: Explanation) -> Decision:
    alone = explanation.runner_up is None
    return Decision(
        **explanation.decision.records()[0],
        explanation=ExplanationAnswer(
            sentence=explanation.sentence,
            runner_up=explanation.runner_up,
            margin=None if alone else explanation.margin,
            score_difference=None if alone else explanation.score_difference,
            cost_difference_usd=None if alone else explanation.cost_difference_usd,
            ribbon=[Stretch(model=s.model, lam_from=s.lam_from, lam_to=s.lam_to) for s in explanation.ribbon],
            models=_rows(explanation.table),
            distance_percentile=explanation.distance_percentile,
            unlike=explanation.unlike,
            prompt_tokens=explanation.prompt_tokens,
            read_tokens=explanation.read_tokens,
            seconds=dict(explanation.seconds),
        ),
    )


def _rows(table: pd.DataFrame) -> dict[str, EstimateRow]:
    """A row a model, by its name; what is not known is None, since JSON has no NaN."""
    cells = table[list(EstimateRow.model_fields)].to_dict("records")
    rows = ({name: None if math.isnan(value) else value for name, value in row.items()} for row in cells)
    return {model: EstimateRow.model_validate(row) for model, row in zip(table["model"], rows, strict=True)}


def _price(price: Price | None) -> ModelPrice | None:
    if price is None:
        return None
    return ModelPrice(
        input_usd_per_mtok=price.input_usd_per_mtok,
        output_usd_per_mtok=price.output_usd_per_mtok,
        as_of=price.as_of,
        source=price.source,
    )
