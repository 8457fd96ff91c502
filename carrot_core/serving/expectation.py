"""Estimates of a fitted router for every model on typed prompts, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.embedding import BUNDLED, MAX_TOKENS, Vectors, token_places
from carrot_core.errors import CarrotError
from carrot_core.evaluation.quality import usage_of
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, Outcomes, positions
from carrot_core.prices import Price
from carrot_core.routers import Router
from carrot_core.serving.profile import RouterProfile
from carrot_core.text import Prompt, is_chat, prompt_text

Prices = Mapping[str, Price | tuple[float, float]]
Task = str | Sequence[str | None] | None  # one for all prompts, or one per prompt; None if it is not known


class Labels(NamedTuple):
    """Task labels of n prompts.

    Attributes
    ----------
    used : the label that each estimate reads; "" if there is none.
    notes : why a label is not used, in a sentence that does not quote it; "" if it is used or there is none.
    """

    used: tuple[str, ...]
    notes: tuple[str, ...]


def labels_of(task: Task, n_prompts: int, known: Sequence[str]) -> Labels:
    """Labels of prompts for a router that knows some; raises a `CarrotError` unless there is one per prompt."""
    tasks = [task] * n_prompts if task is None or isinstance(task, str) else list(task)
    if len(tasks) != n_prompts:
        raise CarrotError(f"There are {len(tasks):,} task labels for {n_prompts:,} prompts: give one, or one for each.")
    unknown = (
        f"The label is not among the {len(known):,} of the training prompts; estimated without it."
        if known
        else "This router reads no task labels; estimated without it. On a benchmark with labels of several tasks, "
        "`carrot router save BENCH FOLDER --router carrot-linear --param use_task=true` writes one that does."
    )
    return Labels(
        tuple(label if label in known else "" for label in map(_text, tasks)),
        tuple(unknown if label and label not in known else "" for label in map(_text, tasks)),
    )


def _text(label: str | None) -> str:
    if label is not None and not isinstance(label, str):
        raise CarrotError(f"A task label is text, not {type(label).__name__}.")
    return label or ""


@dataclass(frozen=True, eq=False)
class Expectation:
    """Estimates of the whole pool on n typed prompts.

    Attributes
    ----------
    bench : the prompts.
    estimates : (n, M) scores and costs.
    input_tokens, output_tokens : (n, M), NaN if the cost is predicted without them.
    profile : profile of the router.
    labels : task labels of the prompts.
    """

    bench: Benchmark
    estimates: Estimates
    output_tokens: FloatTable
    profile: RouterProfile
    labels: Labels

    @property
    def input_tokens(self) -> FloatTable:
        return self.bench.input_tokens

    def table(self, columns: npt.NDArray[np.intp]) -> pd.DataFrame:
        """One row per prompt and model, for some of the models (`CarrotRouter.estimate`)."""
        low, high = self.profile.score_interval.interval(self.estimates.score)
        cells = {
            "est_score": self.estimates.score,
            "score_low": low,
            "score_high": high,
            "input_tokens": self.input_tokens,
            "est_output_tokens": self.output_tokens,
        } | self._usage_cells()
        n, names = len(low), np.array(self.estimates.models, dtype=object)[columns]
        flat = {name: table[:, columns].ravel() for name, table in cells.items()}
        return pd.DataFrame({"prompt": np.repeat(np.arange(n), len(columns)), "model": np.tile(names, n), **flat})

    def _usage_cells(self) -> dict[str, FloatTable]:
        """Cost, and the ends of the intervals of output tokens and cost."""
        cost, interval = self.estimates.cost_usd, self.profile.usage_interval
        low = high = np.full(cost.shape, np.nan)
        cost_low = cost_high = cost  # exact if only the input is charged
        if interval is not None and self.profile.usage == "cost_usd":
            cost_low, cost_high = interval.interval(cost)
        elif interval is not None:
            low, high = interval.interval(self.output_tokens)
            cost_low, cost_high = (self.bench.cost_usd_of(end, "output_tokens") for end in (low, high))
        return {
            "output_tokens_low": low,
            "output_tokens_high": high,
            "est_cost_usd": cost,
            "cost_low_usd": cost_low,
            "cost_high_usd": cost_high,
        }


def expect(
    fitted: Router,
    profile: RouterProfile,
    texts: Sequence[str],
    vectors: Vectors | None,
    prices: Prices | None = None,
    labels: Labels | None = None,
) -> Expectation:
    """Estimate every model of a router's pool on some texts.

    Parameters
    ----------
    texts : n prompts.
    vectors : (n, d) of the profile's encoder.
    prices : by model, in place of those of the profile.
    labels : labels of the prompts, if they have any.

    Raises
    ------
    NotFoundError
        A price of a model that is not in the pool.
    CarrotError
        An invalid price, or prices for a benchmark that records only dollars.
    """
    labels = labels_of(None, len(texts), ()) if labels is None else labels
    shape, count = (len(texts), len(fitted.models_)), profile.input_tokens
    nothing = np.full(shape, np.nan)
    bench = Benchmark(
        name="typed prompts",
        outcomes=Outcomes(tuple(map(str, range(len(texts)))), fitted.models_, nothing, nothing),
        texts=tuple(texts),
        tasks=labels.used,
        split=np.full(len(texts), "test"),
        input_tokens=nothing if count is None else count.predict(texts),
        prices=replace_prices(fitted.models_, profile, prices or {}),
        vectors=vectors,
        encoder=profile.encoder,
    )
    # Estimators refuse an empty list.
    estimates = fitted.estimate(bench) if texts else Estimates((), fitted.models_, nothing, nothing)
    has_tokens = profile.usage == "output_tokens"
    return Expectation(
        bench,
        estimates,
        _tokens_expected(profile, bench, estimates) if has_tokens and texts else nothing,
        profile,
        labels,
    )


def _tokens_expected(profile: RouterProfile, bench: Benchmark, estimates: Estimates) -> FloatTable:
    """(n, M) output tokens; NaN for models whose tokens were never recorded."""
    tokens = usage_of(bench, estimates.cost_usd, "output_tokens", estimates.output_tokens)
    has_tokens = profile.usage_interval is None or ~np.isnan(profile.usage_interval.low_)
    return np.where(has_tokens, tokens, np.nan)


def replace_prices(models: Sequence[str], profile: RouterProfile, prices: Prices) -> dict[str, Price]:
    """Prices of a pool: the profile's, overridden by ``prices``."""
    if prices and profile.usage == "cost_usd":
        raise CarrotError(f"{profile.benchmark!r} records dollars and no prices, so no other prices can be applied.")
    positions(list(prices), models)
    return {**profile.prices, **{model: as_price(model, price) for model, price in prices.items()}}


def as_price(model: str, value: Price | tuple[float, float]) -> Price:
    """Check a price or make one of two numbers; raises a `CarrotError` unless both are finite and at least 0."""
    price = value if isinstance(value, Price) else Price(float(value[0]), float(value[1]))
    for usd in (price.input_usd_per_mtok, price.output_usd_per_mtok):
        if not 0.0 <= usd < float("inf"):
            raise CarrotError(f"A price of {model!r} is {usd}; it must be US dollars per million tokens, at least 0.")
    return price


def is_one(prompts: Prompt | Sequence[Prompt]) -> TypeGuard[Prompt]:
    """Whether this is one prompt and not a list of prompts; an empty list is a list of prompts."""
    return isinstance(prompts, str | Mapping) or (len(prompts) > 0 and is_chat(prompts))


class Part(NamedTuple):
    """A part of a text that an encoder can read at once: its characters, and its tokens with the marks around them."""

    start: int
    end: int
    n_tokens: int


def text_parts(text: str, encoder: str | None) -> tuple[int, tuple[Part, ...]]:
    """Tokens of a text, and the parts of it that an encoder can read, one after the other; at least one.

    The first is the part that `carrot_core.embedding.embed` reads. It is the only one if the encoder is None or its
    tokenizer does not give the places of tokens. If the encoder is None, tokens are those of the bundled encoder.

    Parameters
    ----------
    text : output of `carrot_core.embedding.readable`.
    """
    places = token_places(text, encoder or BUNDLED)
    words = [place for place in places if place[1] > place[0]]
    marks = len(places) - len(words)
    if encoder is None or len(places) <= MAX_TOKENS or not words:
        return len(places), (Part(0, len(text), min(len(places), MAX_TOKENS)),)
    size = MAX_TOKENS - marks
    parts = [words[start : start + size] for start in range(0, len(words), size)]
    return len(places), tuple(Part(part[0][0], part[-1][1], len(part) + marks) for part in parts)


def prompt_texts(prompts: Sequence[Prompt]) -> list[str]:
    """The text of each prompt that a router reads."""
    if is_one(prompts):
        raise CarrotError("Give a list of prompts, or one prompt to `route` or `explain`.")
    texts = []
    for row, prompt in enumerate(prompts):
        try:
            text = prompt_text(prompt)
        except TypeError as error:
            raise CarrotError(f"Prompt {row} {error}.") from error
        if text is None:
            raise CarrotError(f"Prompt {row} is a list of chat messages without any text of the user.")
        texts.append(text)
    return texts
