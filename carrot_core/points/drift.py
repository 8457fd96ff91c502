"""Whether an operating point still does what it did on test: logged calls against its test figures.

The rule is in ``docs/method.md``, "Drift": the difference of every figure, logged minus test, has a 95 %
interval that covers the luck of both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, hypot, nan, sqrt
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri, stdtrit

from carrot_core.benchmarks.log_table import Calls, FloatArray
from carrot_core.bootstrap import LEVEL, Interval
from carrot_core.embedding import embed
from carrot_core.errors import CarrotError
from carrot_core.number_formats import without_nan
from carrot_core.points import newcombe, wilson
from carrot_core.serving.point import PointFile
from carrot_core.serving.profile import RouterProfile

Verdict = Literal["inside", "outside", "too few", "not known"]
LEAST = 30  # distinct prompts: fewer give no verdict
SAME_PRICE = 0.01  # a model is named if its calls cost this much more or less than its price says
_Z = float(ndtri((1 + LEVEL) / 2))


@dataclass(frozen=True)
class Tolerance:
    """The least differences that matter: an interval wider than this cannot show that there is none.

    ``score`` and ``share`` are for accuracy and a model's share of the calls, as parts of 1; ``cost`` is for the mean
    cost, as a part of the point's cost on test.
    """

    score: float = 0.05
    cost: float = 0.2
    share: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise CarrotError(f"The tolerance of {name} must be a number above 0, not {value}.")


@dataclass(frozen=True)
class FigureCheck:
    """One figure of the logs beside that of the point on test.

    Attributes
    ----------
    what : "accuracy", "cost", "share of MODEL", "prompts unlike the training data".
    unit : "score", "usd" or "share".
    logged, on_test, difference : the last is logged minus test; with 95 % intervals, NaN if not known.
    tolerance : in the unit.
    n : distinct prompts behind the logged figure.
    n_even : effective number of prompts, as if each were sent equally often (`_effective_draws`); at most n.
    needed : about how many distinct prompts are enough if ``n`` are too few; else, or if no number is, None.
    verdict : whether the difference is inside the tolerance.
    why : why the figure is not known; "" if it is.
    """

    what: str
    unit: Literal["score", "usd", "share"]
    logged: Interval
    on_test: Interval
    difference: Interval
    tolerance: float
    n: int
    n_even: float
    needed: int | None
    verdict: Verdict
    why: str = ""

    @property
    def promised(self) -> Interval:
        """Former name of `on_test`."""
        return self.on_test

    @property
    def slight(self) -> bool:
        """Whether there is a difference, but surely one smaller than the tolerance."""
        ends = abs(self.difference.low), abs(self.difference.high)
        return self.verdict == "outside" and max(ends) < self.tolerance

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        fields = {
            name: getattr(self, name) for name in ("what", "unit", "tolerance", "n", "n_even", "needed", "verdict")
        }
        intervals = {name: getattr(self, name) for name in ("logged", "on_test", "promised", "difference")}
        return {**fields, "why": self.why or None, **without_nan(intervals)}


@dataclass(frozen=True, eq=False)
class Drift:
    """Logged calls against an operating point.

    Attributes
    ----------
    n_calls, n_prompts : calls in the logs, and distinct prompts among them.
    score, cost, shares, unlike : the compared figures; ``shares`` by model, and ``unlike`` None if the logs have no
        texts or the router has no encoder to measure them.
    models : one row per model that answered: model, in_pool, calls, cost_usd (mean), price_ratio (cost of its calls ÷
        their cost at the point's prices, NaN if unknown), input_usd_per_mtok and output_usd_per_mtok (the price
        inferred from its calls, if one fits).
    notes : limits of the comparison, in words.
    """

    n_calls: int
    n_prompts: int
    score: FigureCheck
    cost: FigureCheck
    shares: tuple[FigureCheck, ...]
    unlike: FigureCheck | None
    models: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def compared(self) -> tuple[FigureCheck, ...]:
        """Everything that was compared."""
        return (self.score, self.cost, *self.shares, *(() if self.unlike is None else (self.unlike,)))

    @property
    def of_shares(self) -> Verdict:
        """One verdict on the shares of all models."""
        return worst([share.verdict for share in self.shares])

    @property
    def verdict(self) -> Verdict:
        """One verdict on all: outside if any figure is, else too few if prompts are too few for any figure."""
        return worst([one.verdict for one in self.compared])

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        models = self.models.astype(object).where(self.models.notna(), None)
        return {
            "verdict": self.verdict,
            "n_calls": self.n_calls,
            "n_prompts": self.n_prompts,
            "score": self.score.document(),
            "cost": self.cost.document(),
            "shares": {"verdict": self.of_shares, "models": [share.document() for share in self.shares]},
            "unlike": None if self.unlike is None else self.unlike.document(),
            "models": models.to_dict("records"),
            "notes": list(self.notes),
        }


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of several verdicts; "not known" only if there is no other."""
    order: tuple[Verdict, ...] = ("outside", "too few", "inside", "not known")
    return min(verdicts, key=order.index, default="not known")


def drift(
    point: PointFile,
    calls: Calls,
    *,
    profile: RouterProfile | None = None,
    tolerance: Tolerance | None = None,
    without: str = "",
) -> Drift:
    """Compare logged calls with what a point does on test.

    Parameters
    ----------
    point : the point and its test figures.
    calls : the logged calls.
    profile : profile of the point's router, to recognise prompts unlike the training data if the logs have texts.
    tolerance : the least differences that matter.
    without : a note that says why there is no profile.

    Raises
    ------
    CarrotError
        Nothing was measured on the point's pool or prices.
    """
    if point.test is None or point.shares is None:
        raise CarrotError(
            "Nothing was measured on this point's pool or prices, so there is nothing to compare the logs with: "
            "export a point of the whole pool at the benchmark's prices."
        )
    tolerance, figures, calls = tolerance or Tolerance(), point.test, calls.named_as({*point.pool, *point.shares})
    by_price = calls.cost_at(point.token_prices)
    paid = np.where(np.isnan(calls.cost_usd), by_price, calls.cost_usd)
    on_test = Interval(figures.score, _or_nan(figures.score_low), _or_nan(figures.score_high))
    score = _means("accuracy", "score", calls.score, calls, on_test, figures.n_prompts, tolerance.score)
    on_test = Interval(figures.cost_usd, _or_nan(figures.cost_usd_low), _or_nan(figures.cost_usd_high))
    cost = _means("cost", "usd", paid, calls, on_test, figures.n_prompts, tolerance.cost * figures.cost_usd)
    shares, unlike = _shares(point, calls, tolerance.share), _unlike(point, calls, profile, tolerance.score)
    models = _models(point, calls, paid, by_price)
    notes = [*_notes(point, calls, paid, profile), without]
    n_prompts = len(np.unique(calls.prompt))
    return Drift(len(calls), n_prompts, score, cost, shares, unlike, models, tuple(filter(None, notes)))


def _or_nan(value: float | None) -> float:
    return nan if value is None else value


def _means(
    what: str,
    unit: Literal["score", "usd"],
    values: FloatArray,
    calls: Calls,
    on_test: Interval,
    n_test: int,
    tolerance: float,
) -> FigureCheck:
    """Check a mean over the calls whose value is known; all calls of one prompt are one draw."""
    mask = ~np.isnan(values)
    number, prompt = np.unique(calls.prompt[mask], return_inverse=True)
    n = len(number)
    if n == 0:
        unknown, why = Interval(nan, nan, nan), f"no {'score' if unit == 'score' else what} is logged"
        return FigureCheck(what, unit, unknown, on_test, unknown, tolerance, 0, 0, None, "not known", why)
    mean = float(values[mask].mean())
    off, even = np.bincount(prompt, values[mask] - mean), _effective_draws(prompt)
    spread = sqrt(float((off**2).sum()) * even) / int(mask.sum())  # of one draw
    test_error = (on_test.high - on_test.low) / (2 * _Z)
    if np.isnan(test_error):
        test_error = spread / sqrt(n_test)
    # If nothing changed, calls spread as its prompts do: calls that agree by chance do not make the mean surer.
    spread = max(spread, test_error * sqrt(n_test))
    error, quantile = spread / sqrt(even), float(stdtrit(max(even - 1, 1), (1 + LEVEL) / 2))
    half, apart = quantile * hypot(error, test_error), mean - on_test.value
    difference = Interval(apart, apart - half, apart + half)
    logged = Interval(mean, mean - quantile * error, mean + quantile * error)
    verdict = _verdict(even, difference, tolerance)
    n_needed = _needed(spread, _Z * test_error, tolerance, _Z, n / even) if verdict == "too few" else None
    return FigureCheck(what, unit, logged, on_test, difference, tolerance, n, even, n_needed, verdict)


def _effective_draws(prompt: npt.NDArray[np.intp]) -> float:
    """Effective number of draws, (Σk)² / Σk² for the k calls of each prompt (Kish 1965)."""
    calls = np.bincount(prompt).astype(float)
    return float(calls.sum() ** 2 / (calls**2).sum())


def _verdict(n: float, difference: Interval, tolerance: float) -> Verdict:
    if n < LEAST:
        return "too few"
    if difference.low > 0 or difference.high < 0:
        return "outside"
    return "inside" if (difference.high - difference.low) / 2 <= tolerance else "too few"


def _needed(spread: float, test_half: float, tolerance: float, quantile: float, repeats: float) -> int | None:
    """Number of distinct prompts for an interval no wider than the tolerance; None if no number is enough.

    ``spread`` is that of one draw, and ``repeats`` distinct prompts count as one draw.
    """
    room = tolerance**2 - test_half**2
    return None if room <= 0 else ceil(repeats * max(LEAST, (quantile * spread) ** 2 / room))


def _shares(point: PointFile, calls: Calls, tolerance: float) -> tuple[FigureCheck, ...]:
    """Check each model's share of the calls; the intervals hold for all models together (Bonferroni)."""
    assert point.test is not None
    assert point.shares is not None
    names = list(dict.fromkeys([*point.shares, *calls.models]))
    counts = dict(zip(calls.models, np.bincount(calls.model, minlength=len(calls.models)).tolist(), strict=True))
    quantile = float(ndtri(1 - (1 - LEVEL) / (2 * len(names))))
    sizes, on_test = (len(np.unique(calls.prompt)), _effective_draws(calls.prompt)), point.shares
    rows = [(name, counts.get(name, 0) / len(calls), on_test.get(name, 0.0)) for name in names]
    rows.sort(key=lambda row: -max(row[1:]))
    return tuple(
        _proportion(f"share of {name}", share, sizes, stated, point.test.n_prompts, tolerance, quantile)
        for name, share, stated in rows
    )


def _proportion(
    what: str, share: float, sizes: tuple[int, float], stated: float, n_stated: int, tolerance: float, quantile: float
) -> FigureCheck:
    """Check the difference of two proportions (`newcombe`).

    ``sizes`` are the numbers of distinct prompts and of effective ones (`FigureCheck.n_even`).
    """
    n, even = sizes
    logged, on_test = wilson(share, even, quantile), wilson(stated, n_stated, quantile)
    difference = newcombe(logged, on_test)
    verdict = _verdict(even, difference, tolerance)
    middle = (logged.low + logged.high) / 2
    half = (on_test.high - on_test.low) / 2
    needed = _needed(sqrt(middle * (1 - middle)), half, tolerance, quantile, n / even) if verdict == "too few" else None
    return FigureCheck(what, "share", logged, on_test, difference, tolerance, n, even, needed, verdict)


def _unlike(point: PointFile, calls: Calls, profile: RouterProfile | None, tolerance: float) -> FigureCheck | None:
    """Check the share of logged prompts unlike the training data against that of validation prompts."""
    if profile is None or profile.distance is None or profile.encoder is None or not calls.texts:
        return None
    percentile = profile.distance.percentile(embed(list(calls.texts), profile.encoder))
    share = float((percentile >= point.fallback_above).mean())
    stated, n_stated = 1 - point.fallback_above / 100, len(profile.distance.validation_)
    what, n = "prompts unlike the training data", len(calls.texts)
    return _proportion(what, share, (n, n), stated, n_stated, tolerance, _Z)


def _models(point: PointFile, calls: Calls, paid: FloatArray, by_price: FloatArray) -> pd.DataFrame:
    rows = []
    for place, name in enumerate(calls.models):
        here = np.flatnonzero(calls.model == place)
        both = here[~np.isnan(calls.cost_usd[here] + by_price[here])]
        due = float(by_price[both].sum())
        price = calls.price_of(here)
        costs = paid[here][~np.isnan(paid[here])]
        rows.append(
            {
                "model": name,
                "in_pool": name in point.pool,
                "calls": len(here),
                "cost_usd": float(costs.mean()) if len(costs) else nan,
                "price_ratio": float(calls.cost_usd[both].sum()) / due if due > 0 else nan,
                "input_usd_per_mtok": nan if price is None else price.input_usd_per_mtok,
                "output_usd_per_mtok": nan if price is None else price.output_usd_per_mtok,
            }
        )
    return pd.DataFrame(rows).sort_values("calls", ascending=False, ignore_index=True)


def _notes(point: PointFile, calls: Calls, paid: FloatArray, profile: RouterProfile | None) -> list[str]:
    notes = list(calls.notes)
    scored, priced = (int((~np.isnan(values)).sum()) for values in (calls.score, paid))
    for n_logged, what in ((scored, "score"), (priced, "cost")):
        if 0 < n_logged < len(calls):
            notes.append(
                f"{n_logged:,} of {len(calls):,} calls have a {what}: unless picked at random, their mean is off."
            )
    from_tokens = int((np.isnan(calls.cost_usd) & ~np.isnan(paid)).sum())
    if from_tokens:
        notes.append(f"{from_tokens:,} calls have tokens and no dollars: they are taken at the point's prices.")
    if point.fallback is not None:
        notes.append("The test figures leave the fallback out: prompts it takes are counted with CARROT's choice.")
    if point.test is not None and point.test.score_low is None:
        notes.append("The point is without intervals: the spread of its test prompts is taken to be that of the logs.")
    if calls.texts and profile is not None and profile.distance is None:
        notes.append("The router reads no vectors, so it cannot tell how unlike prompts are.")
    if calls.n_texts > len(calls.texts):
        notes.append(f"{len(calls.texts):,} of {calls.n_texts:,} different prompts were checked for being unlike.")
    return notes
