"""Fitted routers that answer typed prompts and files of prompts, and explain their decisions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Unpack, cast, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.embedding import Vectors, embed, readable
from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.paths import unit_of
from carrot_core.routers import Router
from carrot_core.serving.decision import Decisions, Explanation, Options, Terms, make_explanation, rate_at, terms_of
from carrot_core.serving.expectation import (
    Expectation,
    Prices,
    Task,
    expect,
    is_one,
    labels_of,
    prompt_texts,
    replace_prices,
    text_parts,
)
from carrot_core.serving.loading import load
from carrot_core.serving.point import PointFile, as_point_prices, figures_at, now, promise_at, write_point
from carrot_core.serving.profile import RouterProfile
from carrot_core.store import Store
from carrot_core.switches import sweep_tables
from carrot_core.text import Prompt


class CarrotRouter:
    """A fitted router that takes typed prompts.

    It may be used from several threads at once. Its decision on a prompt does not depend on the other prompts
    of the call (vectors agree to 1e-5).

    Attributes
    ----------
    name : name of the source it was loaded from.
    router : name of the router, "carrot-mlp" for those that ship.
    models : the pool.
    cost_unit_usd : u, US dollars.
    default_lam : λ used if a call names no point: that of the operating point it was loaded from, else the
        cheapest that is as good as the best single model on validation.
    profile : its training data, its prices, its curves and the coverage of its intervals.
    point : the operating point it was loaded from; its pool, prices and fallback are the defaults of a call.

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
        profile: RouterProfile,
        artefact: str,
        nearest: Callable[[Vectors], pd.DataFrame | None] | None = None,
        point: PointFile | None = None,
    ) -> None:
        self.name = name
        self.profile = profile
        self.artefact = artefact
        self.point = point
        self._fitted = fitted
        self._nearest = nearest

    @property
    def router(self) -> str:
        return self._fitted.name

    @property
    def models(self) -> tuple[str, ...]:
        return self._fitted.models_

    @property
    def task_labels(self) -> tuple[str, ...]:
        """Task labels of the training prompts, which ``task`` may name; empty if the router was fitted without them."""
        tasks = getattr(self._fitted, "tasks_", None)
        return () if tasks is None else tasks.labels_

    @property
    def cost_unit_usd(self) -> float:
        return self.profile.cost_unit_usd

    @property
    def default_lam(self) -> float:
        return self.profile.default_lam if self.point is None else self.point.lam

    @classmethod
    def load(
        cls,
        source: str | Path | PointFile,
        *,
        router: str | None = None,
        store: Store | None = None,
        use_task: bool = False,
    ) -> CarrotRouter:
        """Load a router by the name of a benchmark, or from a folder, the Hugging Face hub or an operating point.

        Parameters
        ----------
        source : a benchmark whose fitted head ships with the project or that is in the store (its router is
            fitted then), a folder that `carrot router save` wrote, "owner/name" on the hub, or an operating
            point (`point_file`) or its file (`save_point`).
        router : the router to fit on a benchmark in the store; by default the head that ships, else
            "carrot-knn". Any other source has one router, and ``router`` must be its name.
        store : the store of benchmarks; by default that of ``CARROT_HOME``.
        use_task : whether a router that is fitted on a benchmark with labels of several tasks reads them, as
            "carrot-linear", "carrot-mlp" and "carrot-blend" can; by default it is then "carrot-linear". It changes
            nothing about a router that is fitted already, such as a head that ships.

        Raises
        ------
        NotFoundError
            There is nothing of that name.
        DataError
            The source is damaged.
        CarrotError
            It cannot answer typed prompts, is not the router asked for, or needs an encoder that is not installed.
        """
        return cls(*load(source, router, store or Store(), use_task))

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
        budget : US dollars per 1,000 queries: the most accurate point that promises to stay within it
            (`carrot_core.promise`, 90 % confidence).
        target : accuracy, 0 to 1: the cheapest point that promises to reach it, likewise.
        mu : λ of the authors' wrapper, whose cost unit is $0.01.

        Raises
        ------
        CarrotError
            More than one is given, a value is out of bounds, or no point promises the budget or target.
        """
        return rate_at(self.profile, self.default_lam, lam=lam, budget=budget, target=target, mu=mu)

    def estimate(
        self,
        prompts: Sequence[Prompt],
        *,
        task: Task = None,
        pool: Sequence[str] | None = None,
        prices: Prices | None = None,
    ) -> pd.DataFrame:
        """Estimate score, tokens and cost of every model on every prompt: one row per prompt and model.

        Parameters
        ----------
        prompts : n prompts: texts, or lists of chat messages, of which the last text of the user is read.
        task : one of `task_labels` for all prompts, or one for each. Without a label, or with an unknown one, the
            estimate is the mean over the likely tasks of the prompt.
        pool : some of the models, at least one; None means those of the operating point the router was loaded from,
            else all.
        prices : other prices, by model: US dollars per million input and output tokens.

        Returns
        -------
        ``prompt`` (0 to n - 1), ``model``, ``est_score``, ``score_low``, ``score_high``, ``input_tokens``,
        ``est_output_tokens``, ``output_tokens_low``, ``output_tokens_high``, ``est_cost_usd``,
        ``cost_low_usd``, ``cost_high_usd``; NaN where the benchmark records no tokens.
        """
        terms, texts = self._terms(pool=pool, prices=prices), prompt_texts(prompts)
        return self._expect(texts, task, self._vectors(texts), terms.prices).table(terms.columns)

    def decide(self, prompts: Sequence[Prompt], *, task: Task = None, **options: Unpack[Options]) -> Decisions:
        """Choose a model for every prompt; the result has the estimates behind each choice.

        Parameters
        ----------
        prompts, task : n prompts and their labels, as for `estimate`.
        lam, budget, target, mu : the point, as for `rate`; by default λ is `default_lam`.
        pool, prices : as for `estimate`; with them a budget or a target cannot be solved.
        fallback : a model that answers in place of CARROT's choice if a prompt is unlike the training data; by
            default that of the operating point the router was loaded from; None switches it off.
        fallback_above : percentile of the distance to the training data, 0 to 100, from which it answers (99).
        """
        terms, texts = self._terms(**options), prompt_texts(prompts)
        return self._decide(self._expect(texts, task, self._vectors(texts), terms.prices), terms)

    @overload
    def route(self, prompts: str, *, task: Task = None, **options: Unpack[Options]) -> str: ...  # type: ignore[overload-overlap]
    @overload
    def route(self, prompts: Sequence[str], *, task: Task = None, **options: Unpack[Options]) -> list[str]: ...
    @overload
    def route(
        self, prompts: Prompt | Sequence[Prompt], *, task: Task = None, **options: Unpack[Options]
    ) -> str | list[str]: ...
    def route(
        self, prompts: Prompt | Sequence[Prompt], *, task: Task = None, **options: Unpack[Options]
    ) -> str | list[str]:
        """Name the model for one prompt, or one for each of several; options as for `decide`.

        A list of chat messages is one prompt.
        """
        if is_one(prompts):
            return self.decide([prompts], task=task, **options).models[0]
        return self.decide(cast(Sequence[Prompt], prompts), task=task, **options).models

    def explain(
        self, prompt: Prompt, *, task: Task = None, nearest: bool = True, part: int = 0, **options: Unpack[Options]
    ) -> Explanation:
        """Explain the decision on one prompt; options as for `decide`.

        ``nearest`` looks up the nearest training prompts; the first such call reads them from the store.
        ``part`` is the part of a long text that the encoder reads (`Explanation.parts`); the router learned from first
        parts, and all of the text counts for the cost. Raises a `CarrotError` if there is no such part.
        """
        terms, texts = self._terms(**options), prompt_texts([prompt])
        text = readable(texts[0], len(texts[0]))
        tokens, parts = text_parts(text, self.profile.encoder)
        if not 0 <= part < len(parts):
            raise CarrotError(f"The text has {len(parts)} parts to read, so there is no part {part}.")
        started = time.perf_counter()
        vectors = self._vectors([text[parts[part].start : parts[part].end]] if part else texts)
        embedded = time.perf_counter()
        expected = self._expect(texts, task, vectors, terms.prices)
        decision = self._decide(expected, terms)
        seconds = {"embed": embedded - started, "decide": time.perf_counter() - embedded}
        percentile = None if self.profile.distance is None else float(self._percentile(expected)[0])
        return make_explanation(
            decision,
            expected.table(terms.columns),
            percentile=percentile,
            unlike=percentile is not None and percentile >= terms.fallback_above,
            nearest=self._nearest(vectors[0]) if nearest and self._nearest and vectors is not None else None,
            prompt_tokens=tokens,
            parts=parts,
            part=part,
            seconds=seconds,
            unit=unit_of(self.profile.benchmark, self.profile.data_hash),
        )

    def at(self, point: PointFile) -> CarrotRouter:
        """Return a copy of this router with the settings of an operating point as its defaults."""
        return CarrotRouter(self.name, self._fitted, self.profile, self.artefact, self._nearest, point)

    def point_file(self, *, note: str = "", **options: Unpack[Options]) -> PointFile:
        """Return an operating point as a document; a router loaded from it decides alike. Options as for `decide`.

        Its figures were measured for the whole pool at the benchmark's prices, and are null for any other.
        """
        terms = self._terms(**options)
        pool = tuple(self.models[column] for column in terms.columns)
        prices = replace_prices(self.models, self.profile, terms.prices or {})
        measured = set(pool) == set(self.models) and prices == dict(self.profile.prices)
        figures = {name: figures_at(curve, terms.rate) for name, curve in self.profile.curves.items()}
        curve = self.profile.curves["test"]
        shares = dict(zip(curve.models, curve.shares([terms.rate])[0].tolist(), strict=True))
        return PointFile(
            created_at=now(),
            note=note,
            carrot_version=version("carrot-core"),
            source=self.name,
            router=self.router,
            artefact=self.artefact,
            benchmark=self.profile.benchmark,
            data_hash=self.profile.data_hash,
            lam=terms.lam,
            cost_unit_usd=self.cost_unit_usd,
            exchange_rate_per_usd=None if terms.lam == 1.0 else terms.rate,
            pool=pool,
            prices=as_point_prices(prices, pool),
            fallback=terms.fallback,
            fallback_above=terms.fallback_above,
            reference=self.profile.best_single,
            validation=figures["validation"] if measured else None,
            test=figures["test"] if measured else None,
            shares=shares if measured else None,
            promise=promise_at(self.profile.curves["validation"], terms.rate) if measured else None,
        ).sealed()

    def save_point(self, path: Path, *, note: str = "", **options: Unpack[Options]) -> PointFile:
        """Write `point_file` to a file."""
        point = self.point_file(note=note, **options)
        write_point(point, path)
        return point

    def estimates(self, bench: Benchmark) -> Estimates:
        """Estimate scores and costs on the prompts of a benchmark, with the input tokens recorded there."""
        return self._fitted.estimate(bench)

    def __reduce__(self) -> tuple[type[CarrotRouter], tuple[object, ...]]:
        """Pickle without the training prompts, which stay in the store of this machine."""
        return CarrotRouter, (self.name, self._fitted, self.profile, self.artefact, None, self.point)

    def warm(self) -> None:
        """Load the encoder, so that the first prompt does not wait for it."""
        self.decide(["warm"], lam=0.5)

    def _terms(self, **options: Unpack[Options]) -> Terms:
        return terms_of(self.models, self.profile, self.point, **options)

    def _vectors(self, texts: Sequence[str]) -> Vectors | None:
        return None if self.profile.encoder is None else embed(texts, self.profile.encoder)

    def _expect(self, texts: Sequence[str], task: Task, vectors: Vectors | None, prices: Prices | None) -> Expectation:
        labels = labels_of(task, len(texts), self.task_labels)
        return expect(self._fitted, self.profile, texts, vectors, prices, labels)

    def _decide(self, expected: Expectation, terms: Terms) -> Decisions:
        estimates = expected.estimates.pool([self.models[column] for column in terms.columns])
        swept = sweep_tables(estimates.score, estimates.cost_usd, estimates.models)
        chosen, fell_back = swept.choices(terms.rate).astype(np.intp), np.zeros(len(swept.start), dtype=bool)
        if terms.fallback is not None:
            fell_back = self._percentile(expected) >= terms.fallback_above
            chosen[fell_back] = estimates.models.index(terms.fallback)
        return Decisions(
            lam=terms.lam,
            exchange_rate_per_usd=terms.rate,
            cost_unit_usd=self.cost_unit_usd,
            estimates=estimates,
            input_tokens=expected.input_tokens[:, terms.columns],
            output_tokens=expected.output_tokens[:, terms.columns],
            chosen=chosen,
            fell_back=fell_back,
            labels=expected.labels,
            vectors=expected.bench.vectors,
            own_prices=dict(expected.bench.prices) != dict(self.profile.prices),
        )

    def _percentile(self, expected: Expectation) -> npt.NDArray[np.float64]:
        if expected.bench.vectors is None or self.profile.distance is None:
            raise CarrotError(f"{self.router} reads no vectors, so it cannot tell how unlike a prompt is.")
        percentile: npt.NDArray[np.float64] = self.profile.distance.percentile(expected.bench.vectors)
        return percentile
