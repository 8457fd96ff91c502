"""`CarrotRouter`: from the text of a prompt to the model that should answer it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.curve import KeptCurve
from carrot_core.embedding import BUNDLED, Vectors, embed, token_count
from carrot_core.errors import CarrotError
from carrot_core.frontier import lam_of_rate, rate_of_lam, sweep_tables
from carrot_core.operating_point import best_within_budget, cheapest_reaching
from carrot_core.outcomes import Benchmark, Estimates, positions
from carrot_core.routers import Router
from carrot_core.serving.decision import QUERIES, Decisions, Explanation, explained
from carrot_core.serving.expectation import Expectation, Prices, expect, priced
from carrot_core.serving.point import PointFigures, PointFile, as_point_prices, now, write_point
from carrot_core.serving.profile import UNLIKE_FROM, Companion

if TYPE_CHECKING:
    from carrot_core.store import Store

MU_UNIT_USD = 0.01  # the authors' wrapper
_NEAREST = 5


class Options(TypedDict, total=False):
    """What a decision may be asked with; see `CarrotRouter.decide`."""

    lam: float | None
    budget: float | None
    target: float | None
    mu: float | None
    pool: Sequence[str] | None
    prices: Prices | None
    fallback: str | None
    fallback_above: float | None


class _Asked(NamedTuple):
    """Options that were checked: the point, the columns of the pool, and what else was asked for."""

    rate: float
    lam: float
    columns: npt.NDArray[np.intp]
    prices: Prices | None
    fallback: str | None
    fallback_above: float


class CarrotRouter:
    """A fitted router that takes typed prompts.

    May be used from several threads at once. What it says of a prompt does not depend on the prompts it is
    given with (vectors agree to 1e-5).

    Attributes
    ----------
    name : what it was loaded from.
    router : name of the router, "carrot-mlp" for those that ship.
    models : the pool.
    cost_unit_usd : u, US dollars.
    default_lam : λ where none is asked for: that of the operating point it was loaded from, else the
        cheapest that is as good as the best single model on validation.
    companion : what it was fitted on, its prices, its curves, how far its intervals hold.
    point : the operating point it was loaded from, whose pool, prices and fallback hold where none are given.

    Examples
    --------
    >>> from carrot_core import CarrotRouter
    >>> router = CarrotRouter.load("mmlu-pro-cot")
    >>> router.route("What is the capital of France?", lam=1.0)
    'microsoft/Phi-3-mini-4k-instruct'
    """

    def __init__(
        self,
        name: str,
        fitted: Router,
        companion: Companion,
        artefact: str,
        train: Callable[[], Benchmark | None] = lambda: None,
        point: PointFile | None = None,
    ) -> None:
        self.name = name
        self.companion = companion
        self.artefact = artefact
        self.point = point
        self._fitted = fitted
        self._train = train

    @property
    def router(self) -> str:
        return self._fitted.name

    @property
    def models(self) -> tuple[str, ...]:
        return self._fitted.models_

    @property
    def cost_unit_usd(self) -> float:
        return self.companion.cost_unit_usd

    @property
    def default_lam(self) -> float:
        return self.companion.default_lam if self.point is None else self.point.lam

    @classmethod
    def load(cls, source: str | Path, *, router: str | None = None, store: Store | None = None) -> CarrotRouter:
        """A router by the name of a benchmark, from a folder, the Hugging Face hub, or an operating point.

        Parameters
        ----------
        source : a benchmark whose fitted head ships with the project or that is in the store (its router is
            fitted then), a folder that `carrot router save` wrote, "owner/name" on the hub, or the file of
            an operating point (`save_point`).
        router : the router to fit on a benchmark in the store; by default the head that ships, else
            "carrot-knn". Of any other source it must be the one that is there.
        store : where benchmarks are; by default that of ``CARROT_HOME``.

        Raises
        ------
        NotFoundError
            There is nothing of that name.
        DataError
            What is there is damaged.
        CarrotError
            It cannot answer typed prompts, is not the router asked for, or needs an encoder that is not here.
        """
        from carrot_core.serving.loading import load

        return load(source, router=router, store=store)

    def rate(
        self,
        *,
        lam: float | None = None,
        budget: float | None = None,
        target: float | None = None,
        mu: float | None = None,
    ) -> float:
        """Exchange rate, score per US dollar, of a point; infinite at λ = 1.

        Parameters
        ----------
        lam : λ, 0 to 1.
        budget : US dollars per 1,000 queries: the most accurate point of the validation curve within it.
        target : accuracy, 0 to 1: the cheapest point of the validation curve that reaches it.
        mu : λ of the authors' wrapper, whose cost unit is $0.01.

        Raises
        ------
        CarrotError
            More than one is given, a value out of bounds, a budget or target that no point reaches.
        """
        given = {"lam": lam, "budget": budget, "target": target, "mu": mu}
        asked = {name: float(value) for name, value in given.items() if value is not None}
        if len(asked) > 1:
            raise CarrotError(f"Give one of {', '.join(asked)}: each says by itself which point is meant.")
        name, value = next(iter(asked.items()), ("lam", self.default_lam))
        if name in ("lam", "mu"):
            if not 0.0 <= value <= 1.0:
                raise CarrotError(f"{name} must be from 0 to 1, not {value:g}.")
            return rate_of_lam(value, self.cost_unit_usd if name == "lam" else MU_UNIT_USD)
        curve = self.companion.curves["validation"]
        found = best_within_budget(curve, value / QUERIES) if name == "budget" else cheapest_reaching(curve, value)
        if found is None:
            nearest = QUERIES * curve.cost_usd.min() if name == "budget" else curve.score.max()
            raise CarrotError(f"No point on validation has {name} {value:g}; the nearest has {nearest:.4g}.")
        return found

    def estimate(
        self, prompts: Sequence[str], *, pool: Sequence[str] | None = None, prices: Prices | None = None
    ) -> pd.DataFrame:
        """What every model is expected to do on every prompt: a row a prompt and model.

        Parameters
        ----------
        prompts : n texts.
        pool : some of the models; all by default.
        prices : other prices, by model: US dollars per million input and output tokens.

        Returns
        -------
        ``prompt`` (0 to n - 1), ``model``, ``est_score``, ``score_low``, ``score_high``, ``input_tokens``,
        ``est_output_tokens``, ``output_tokens_low``, ``output_tokens_high``, ``est_cost_usd``,
        ``cost_low_usd``, ``cost_high_usd``; NaN where the benchmark records no tokens.
        """
        asked, texts = self._asked(pool=pool, prices=prices), _texts(prompts)
        return self._expect(texts, self._vectors(texts), asked.prices).table(asked.columns)

    def decide(self, prompts: Sequence[str], **options: Unpack[Options]) -> Decisions:
        """The model of every prompt, with the estimates it was chosen by.

        Parameters
        ----------
        prompts : n texts.
        lam, budget, target, mu : the point, as for `rate`; none means `default_lam`.
        pool, prices : as for `estimate`; with them a budget or a target cannot be solved.
        fallback : a model that answers in place of CARROT's choice where a prompt is unlike the training data.
        fallback_above : percentile of the distance to the training data, 0 to 100, from which it does (99).
        """
        asked, texts = self._asked(**options), _texts(prompts)
        return self._decide(self._expect(texts, self._vectors(texts), asked.prices), asked)

    @overload
    def route(self, prompts: str, **options: Unpack[Options]) -> str: ...  # type: ignore[overload-overlap]
    @overload
    def route(self, prompts: Sequence[str], **options: Unpack[Options]) -> list[str]: ...
    def route(self, prompts: str | Sequence[str], **options: Unpack[Options]) -> str | list[str]:
        """Name of the model for one prompt, or of each of several; options as for `decide`."""
        if isinstance(prompts, str):
            return self.decide([prompts], **options).models[0]
        return self.decide(prompts, **options).models

    def explain(self, prompt: str, *, nearest: bool = True, **options: Unpack[Options]) -> Explanation:
        """One decision with all it rests on; options as for `decide`.

        ``nearest`` looks up the nearest training prompts, for which they are read from the store the first time.
        """
        asked, texts = self._asked(**options), _texts([prompt])
        started = time.perf_counter()
        vectors = self._vectors(texts)
        embedded = time.perf_counter()
        expected = self._expect(texts, vectors, asked.prices)
        decision = self._decide(expected, asked)
        seconds = {"embed": embedded - started, "decide": time.perf_counter() - embedded}
        percentile = None if self.companion.distance is None else float(self._percentile(expected)[0])
        return explained(
            decision,
            expected.table(asked.columns),
            percentile=percentile,
            unlike=percentile is not None and percentile >= asked.fallback_above,
            nearest=self._nearest(vectors[0]) if nearest and vectors is not None else None,
            prompt_tokens=token_count(texts[0], self.companion.encoder or BUNDLED),
            seconds=seconds,
        )

    def at(self, point: PointFile) -> CarrotRouter:
        """The same router with the settings of an operating point as its own."""
        return CarrotRouter(self.name, self._fitted, self.companion, self.artefact, self._train, point)

    def point_file(self, *, note: str = "", **options: Unpack[Options]) -> PointFile:
        """An operating point as a document, from which `load` makes the same decisions; options as for `decide`.

        What it is expected to do is told for the whole pool at the benchmark's prices, on which it was measured.
        """
        asked = self._asked(**options)
        pool = tuple(self.models[column] for column in asked.columns)
        prices = priced(self.models, self.companion, asked.prices or {})
        measured = set(pool) == set(self.models) and prices == dict(self.companion.prices)
        figures = {name: _figures(curve, asked.rate) for name, curve in self.companion.curves.items()}
        curve = self.companion.curves["test"]
        shares = dict(zip(curve.models, curve.shares([asked.rate])[0].tolist(), strict=True))
        return PointFile(
            created_at=now(),
            note=note,
            carrot_version=version("carrot-core"),
            source=self.name,
            router=self.router,
            artefact=self.artefact,
            benchmark=self.companion.benchmark,
            data_hash=self.companion.data_hash,
            lam=asked.lam,
            cost_unit_usd=self.cost_unit_usd,
            exchange_rate_per_usd=None if asked.lam == 1.0 else asked.rate,
            pool=pool,
            prices=as_point_prices(prices, pool),
            fallback=asked.fallback,
            fallback_above=asked.fallback_above,
            reference=self.companion.best_single,
            validation=figures["validation"] if measured else None,
            test=figures["test"] if measured else None,
            shares=shares if measured else None,
        ).sealed()

    def save_point(self, path: Path, *, note: str = "", **options: Unpack[Options]) -> PointFile:
        """Write `point_file` to a file."""
        point = self.point_file(note=note, **options)
        write_point(point, path)
        return point

    def estimates(self, bench: Benchmark) -> Estimates:
        """What it estimates for the prompts of a benchmark, as they were recorded there."""
        return self._fitted.estimate(bench)

    def warm(self) -> None:
        """Load the encoder, so that the first prompt need not wait for it."""
        self.decide(["warm"], lam=0.5)

    def _asked(
        self,
        *,
        lam: float | None = None,
        budget: float | None = None,
        target: float | None = None,
        mu: float | None = None,
        pool: Sequence[str] | None = None,
        prices: Prices | None = None,
        fallback: str | None = None,
        fallback_above: float | None = None,
    ) -> _Asked:
        """Options checked; those not given are the operating point's."""
        if (budget is not None or target is not None) and (pool is not None or prices or self._point_is_its_own):
            raise CarrotError(
                "A budget or target is solved on the validation curve of the whole pool at the prices of the "
                "benchmark: with a pool or prices of your own, give lam or mu."
            )
        if lam is budget is target is mu is None:
            lam = self.default_lam
        rate = self.rate(lam=lam, budget=budget, target=target, mu=mu)
        # λ as it was given: the way to a rate and back may round.
        at = float(lam_of_rate(rate, self.cost_unit_usd)) if lam is None else float(lam)
        if self.point is not None:
            pool, fallback = pool or self.point.pool, fallback or self.point.fallback
            prices = {**self.point.token_prices, **(prices or {})}
            fallback_above = self.point.fallback_above if fallback_above is None else fallback_above
        columns, above = self._columns(pool), UNLIKE_FROM if fallback_above is None else fallback_above
        if fallback is not None:
            positions([fallback], [self.models[column] for column in columns])
        if not 0 <= above <= 100:
            raise CarrotError(f"fallback_above is a percentile from 0 to 100, not {above:g}.")
        return _Asked(rate, at, columns, prices, fallback, above)

    @property
    def _point_is_its_own(self) -> bool:
        """Whether the operating point has a pool or prices on which no curve was measured."""
        return self.point is not None and self.point.test is None

    def _columns(self, pool: Sequence[str] | None) -> npt.NDArray[np.intp]:
        if pool is None:
            return np.arange(len(self.models))
        if isinstance(pool, str) or not pool:
            raise CarrotError("A pool is a list of at least one model.")
        if len(set(pool)) < len(pool):
            raise CarrotError("A model stands twice in the pool.")
        return positions(pool, self.models)

    def _vectors(self, texts: Sequence[str]) -> Vectors | None:
        return None if self.companion.encoder is None else embed(texts, self.companion.encoder)

    def _expect(self, texts: Sequence[str], vectors: Vectors | None, prices: Prices | None) -> Expectation:
        return expect(self._fitted, self.companion, texts, vectors, prices)

    def _decide(self, expected: Expectation, asked: _Asked) -> Decisions:
        estimates = expected.estimates.pool([self.models[column] for column in asked.columns])
        swept = sweep_tables(estimates.score, estimates.cost_usd, estimates.models)
        chosen, fell_back = swept.choices(asked.rate).astype(np.intp), np.zeros(len(swept.start), dtype=bool)
        if asked.fallback is not None:
            fell_back = self._percentile(expected) >= asked.fallback_above
            chosen[fell_back] = estimates.models.index(asked.fallback)
        return Decisions(
            lam=asked.lam,
            exchange_rate_per_usd=asked.rate,
            cost_unit_usd=self.cost_unit_usd,
            estimates=estimates,
            input_tokens=expected.input_tokens[:, asked.columns],
            output_tokens=expected.output_tokens[:, asked.columns],
            chosen=chosen,
            fell_back=fell_back,
            vectors=expected.bench.vectors,
            own_prices=dict(expected.bench.prices) != dict(self.companion.prices),
        )

    def _percentile(self, expected: Expectation) -> npt.NDArray[np.float64]:
        if expected.bench.vectors is None or self.companion.distance is None:
            raise CarrotError(f"{self.router} reads no vectors, so how unlike a prompt is cannot be told.")
        percentile: npt.NDArray[np.float64] = self.companion.distance.percentile(expected.bench.vectors)
        return percentile

    def _nearest(self, vector: Vectors) -> pd.DataFrame | None:
        train = self._train()
        if train is None or train.vectors is None:
            return None
        similarity = train.vectors @ vector
        rows = np.argsort(-similarity, kind="stable")[:_NEAREST]
        near = train.rows(rows)
        scores = dict(zip(near.models, near.outcomes.score.T, strict=True))
        return pd.DataFrame({"similarity": similarity[rows], "prompt": near.texts, "task": near.tasks, **scores})


def _figures(curve: KeptCurve, rate: float) -> PointFigures:
    figures: dict[str, float | None] = {}
    for name, interval in zip(("score", "cost_usd"), curve.interval(rate), strict=True):
        ends = {f"{name}_low": interval.low, f"{name}_high": interval.high}
        figures |= {name: interval.value} | {end: None if np.isnan(value) else value for end, value in ends.items()}
    return PointFigures.model_validate({"n_prompts": curve.n_prompts, **figures})


def _texts(prompts: Sequence[str]) -> list[str]:
    if isinstance(prompts, str):
        raise CarrotError("Give a list of prompts, or one prompt to `route` or `explain`.")
    texts = list(prompts)
    wrong = next((row for row, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise CarrotError(f"Prompt {wrong} is {type(texts[wrong]).__name__}, not text.")
    return texts
