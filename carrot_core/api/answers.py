"""The routers of a server and the answers to checked requests, independent of HTTP."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from carrot_core.api.schemas import (
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
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.frontier import lam_of_rate
from carrot_core.number_formats import without_nan
from carrot_core.prices import Price
from carrot_core.serving import CarrotRouter
from carrot_core.serving.decision import Explanation
from carrot_core.serving.expectation import labels_of

Source = str | Path
RETRY_S = 5.0  # between two attempts to load a router that failed, while health checks arrive

log = logging.getLogger("carrot.api")


class Served:
    """The served routers by name; requests can reach no others.

    Parameters
    ----------
    sources : sources for `CarrotRouter.load`, by the name they are served under; the first is the default.
    load : function that loads one of them.

    Attributes
    ----------
    names : names of the served routers.
    """

    def __init__(
        self, sources: Mapping[str, Source], load: Callable[[Source], CarrotRouter] = CarrotRouter.load
    ) -> None:
        if not sources:
            raise CarrotError("There is no router to serve.")
        self.names = tuple(sources)
        self._state: Literal["cold", "warming", "ready"] = "cold"  # of the default router and its encoder
        self._broken: set[str] = set()  # names of those that failed to load at the last attempt
        self._tried_at = -RETRY_S
        self._sources = dict(sources)
        self._load = load
        self._loaded: dict[str, CarrotRouter] = {}
        self._locks = {name: threading.Lock() for name in sources}

    @property
    def status(self) -> str:
        """State of the routers.

        "cold", then "warming" while the default router and its encoder are loaded, then "ready"; "degraded: " with the
        names of those that cannot be loaded, while the others answer; "failed" if none can be loaded.
        """
        broken = [name for name in self.names if name in self._broken]
        if not broken:
            return self._state
        return "failed" if len(broken) == len(self.names) else f"degraded: {', '.join(broken)}"

    def resolve(self, name: str | None) -> str:
        """The name of a served router, the default one for None.

        Raises
        ------
        NotFoundError
            No router is served under that name.
        """
        if name is None:
            return self.names[0]
        if name not in self._sources:
            raise NotFoundError(f"No router is served under that name; there are: {', '.join(self.names)}.")
        return name

    def get(self, name: str) -> CarrotRouter:
        """The router served under a name, loaded on first use.

        Raises
        ------
        CarrotError
            It cannot be loaded.
        """
        with self._locks[name]:
            if name not in self._loaded:
                try:
                    self._loaded[name] = self._load(self._sources[name])
                except Exception:
                    self._broken.add(name)
                    raise
                self._broken.discard(name)
            return self._loaded[name]

    def warm(self) -> None:
        """Load the default router and its encoder, so that the first prompt does not wait for them, then every served
        folder, which is quick and shows which are damaged."""
        self._state = "warming"
        self._prepare(self.names[:1])
        self._state = "ready"
        self._prepare([name for name in self.names[1:] if isinstance(self._sources[name], Path)])

    def _prepare(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                router = self.get(name)
                if name == self.names[0]:
                    router.warm()
                self._broken.discard(name)
            except Exception as error:  # after any error the server goes on, and its health check reports it
                self._broken.add(name)
                log.error("the router %r could not be loaded: %s", name, error)

    def warm_in_background(self) -> None:
        """Run `warm` in another thread."""
        threading.Thread(target=self.warm, name="carrot-warm", daemon=True).start()

    def mend(self) -> None:
        """Try again, in another thread, to load routers that failed: their files may be repaired by now."""
        if self._broken and time.monotonic() >= self._tried_at + RETRY_S:
            self._tried_at = time.monotonic()
            broken = [name for name in self.names if name in self._broken]
            threading.Thread(target=self._prepare, args=(broken,), name="carrot-mend", daemon=True).start()


def sources_of(names: tuple[str, ...]) -> dict[str, Source]:
    """Sources by the name they are served under, from ``SOURCE`` or ``NAME=SOURCE`` on the command line.

    A folder or file without a name is served under its last part, so that no path is shown.

    Raises
    ------
    CarrotError
        Two sources have the same name.
    """
    sources: dict[str, Source] = {}
    for text in names:
        name, equals, source = text.partition("=")
        if not equals:
            path = Path(text)
            source, name = text, path.name if path.is_dir() else path.stem if path.exists() else text
        if not name or not source:
            raise CarrotError(f"{text!r} must be SOURCE or NAME=SOURCE.")
        if name in sources:
            raise CarrotError(f"Two sources would be served as {name!r}; give one another name: NAME=SOURCE.")
        sources[name] = source
    return sources


Split = Literal["validation", "test"]


def route(router: CarrotRouter, name: str, question: RouteQuestion, request_id: str) -> RouteAnswer:
    """The model of every prompt, with explanations if asked for."""
    choices: dict[str, Any] = question.choices()
    if question.explain:
        prompts = zip(question.read, question.labels, strict=True)
        explained = [router.explain(prompt, task=task, nearest=False, **choices) for prompt, task in prompts]
        decisions = [_decision_of(each) for each in explained]
    else:
        records = router.decide(question.read, task=question.labels, **choices).records()
        decisions = [Decision(**record) for record in records]
    return RouteAnswer(request_id=request_id, router=name, decisions=decisions)


def estimate(router: CarrotRouter, name: str, question: EstimateQuestion, request_id: str) -> EstimateAnswer:
    """Estimates of every model on every prompt."""
    choices: dict[str, Any] = question.choices()
    table = router.estimate(question.read, task=question.labels, **choices)
    labels = labels_of(question.labels, len(question.prompts), router.task_labels)
    return EstimateAnswer(
        request_id=request_id,
        router=name,
        estimates=[_rows(part) for _, part in table.groupby("prompt", sort=True)],
        tasks=[label or None for label in labels.used],
        task_notes=[note or None for note in labels.notes],
    )


def models(router: CarrotRouter, name: str, served: tuple[str, ...], request_id: str) -> ModelsAnswer:
    """The pool with its prices, and the router's settings and measured figures."""
    profile, prices, pool = router.profile, router.profile.prices, router.models
    if router.point is not None:  # an operating point has its own
        prices, pool = router.point.token_prices, router.point.pool
    return ModelsAnswer(
        request_id=request_id,
        router=name,
        served=list(served),
        method=router.router,
        benchmark=profile.benchmark,
        models={model: _price(prices.get(model)) for model in pool},
        cost_unit_usd=router.cost_unit_usd,
        default_lam=router.default_lam,
        best_single=profile.best_single,
        usage=profile.usage,
        tasks=list(router.task_labels),
        coverage=dict(profile.coverage),
    )


def frontier(router: CarrotRouter, name: str, split: Split, request_id: str) -> FrontierAnswer:
    """The router's curve on validation, where λ is chosen, or on test, where it is measured.

    Raises
    ------
    CarrotError
        The router is an operating point with a pool or prices of its own.
    """
    if router.point is not None and router.point.test is None:
        raise CarrotError("This operating point has a pool or prices of its own, on which no curve was measured.")
    curve = router.profile.curves[split]
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


def _decision_of(explanation: Explanation) -> Decision:
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
    """One row per model, by its name; None for unknown figures, since JSON has no NaN."""
    cells = table[list(EstimateRow.model_fields)].to_dict("records")
    rows = map(without_nan, cells)
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
