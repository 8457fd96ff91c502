"""The verdict on an operating point: how it compares with one model, and with mixtures that need no router."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isinf, isnan
from typing import Any, Literal, Protocol

import numpy as np

from carrot_core.bootstrap import LEAST_PROMPTS, Interval
from carrot_core.figures.scene import drawn_baselines, label
from carrot_core.frontier import ReadableCurve
from carrot_core.metrics import share_saved
from carrot_core.number_formats import percent, points, without_nan
from carrot_core.operating_point import Point
from carrot_core.serving.loading import measured_name
from carrot_core.switches import upper_hull
from carrot_core.text import short_names

Names = tuple[str, ...]
Standing = Literal["better", "same", "worse", "too few", "not known"]
SAME_WITHIN = 0.03  # score difference: "as well as" claims that no more is lost
_NOTHING = 0.005  # share of a cost: a smaller one rounds to 0 per cent
_ALONE = 0.995  # share of the prompts from which a model counts as the only one
ZERO = "zero"


class Curves(Protocol):
    """The part of `carrot_core.results.Results` that a verdict reads."""

    @property
    def name(self) -> str: ...
    @property
    def baselines(self) -> Names: ...
    @property
    def models(self) -> Names: ...
    @property
    def tasks(self) -> Names: ...
    @property
    def runnable(self) -> Names: ...

    def curve(self, router: str, split: str = "test", pool: Names = (), tasks: Names = ()) -> ReadableCurve:
        """One router's curve."""
        ...


@dataclass(frozen=True)
class Verdict:
    """How a router at one of its points compares with a model alone, on the prompts reported on.

    Attributes
    ----------
    benchmark, router, reference : by name.
    reference_name : short name of the reference among the models of the pool.
    lam : of the point.
    score, cost_usd : means per prompt, with 95 % intervals.
    difference : of the score to the reference's, paired; ends are NaN where they are not known.
    saving : share of the reference's cost; NaN where that is free.
    rivals : share of the same cost that mixing models blindly (the zero router) and a lookup by task would save at the
        same accuracy, by the baseline's name; minus infinity where one never reaches it, NaN as for the saving.
    n_prompts : number of prompts reported on.
    single : a model that alone is at least as accurate as the router and cheaper, by its short name, and the share of
        the reference's cost that it saves; None if there is none but the reference.
    """

    benchmark: str
    router: str
    reference: str
    reference_name: str
    lam: float
    score: Interval
    cost_usd: Interval
    difference: Interval
    saving: Interval
    rivals: dict[str, float]
    n_prompts: int
    single: tuple[str, float] | None = None

    @property
    def standing(self) -> Standing:
        """Better, worse, or the same as far as the interval of the difference allows.

        Too few prompts to tell if the interval includes 0 and reaches below -`SAME_WITHIN`, or if there are too few for
        any interval.
        """
        if self.n_prompts < LEAST_PROMPTS:
            return "too few"
        low, high = self.difference.low, self.difference.high
        if isnan(low) or isnan(high):
            return "not known"
        if low > 0 or high < 0:
            return "better" if low > 0 else "worse"
        return "same" if low >= -SAME_WITHIN else "too few"

    @property
    def is_reference(self) -> bool:
        """Whether every prompt goes to the reference itself, so that there is nothing to compare."""
        apart = (self.difference.value, self.difference.low, self.difference.high, self.saving.value)
        return all(abs(each) < 1e-9 for each in apart)

    def document(self) -> dict[str, Any]:
        """The verdict as plain JSON, with its sentence."""
        document: dict[str, Any] = without_nan(asdict(self))
        return {"standing": self.standing, **document, "sentence": sentence(self)}


def verdict_on(
    results: Curves, router: str, point: Point, reference: str, pool: Names = (), tasks: Names = ()
) -> Verdict:
    """The verdict on a router at a point, against a model, on a benchmark or on some of its models and tasks.

    Rivals are measured on the prompts reported on, where their cheapest mixture is known only afterwards, which favours
    them.

    Parameters
    ----------
    results : the benchmark; see `carrot_core.results.Results`.
    point : of the router, measured against the same reference (`Results.point_at`).
    """
    cost_share = 1 - point.saving.value  # of the reference's cost
    reference_usd = point.cost_usd.value / cost_share if cost_share > 0 else float("nan")
    lookups = [name for name in drawn_baselines(results.baselines) if name.startswith("task-lookup")]
    names = [ZERO, *lookups[:1]] if len(tasks or results.tasks) > 1 else [ZERO]
    costs = {
        name: cheapest_mixture(results.curve(name, "test", pool, tasks), point.score.value)
        for name in names
        if name in results.baselines and name != router
    }
    names_apart = short_names(results.models)
    single = _cheapest_single(results.curve(ZERO, "test", pool, tasks), point.score.value) if ZERO in costs else None
    ahead = single and single[0] != reference and single[1] < point.cost_usd.value and cost_share > 0
    return Verdict(
        results.name,
        router,
        reference,
        names_apart[reference],
        point.lam,
        point.score,
        point.cost_usd,
        point.score_difference,
        point.saving,
        {
            name: _saving_if_free(cost) if cost_share == 0 else float(share_saved(cost, reference_usd))
            for name, cost in costs.items()
        },
        results.curve(router, "test", pool, tasks).n_prompts,
        (names_apart[single[0]], float(share_saved(single[1], reference_usd))) if single and ahead else None,
    )


def _saving_if_free(cost_usd: float) -> float:
    """Saving of a mixture if the point is free, so that the cost of the reference is not known."""
    return {0.0: 1.0, float("inf"): -float("inf")}.get(cost_usd, float("nan"))


def cheapest_mixture(curve: ReadableCurve, score: float) -> float:
    """Least mean cost in US dollars at which points of a curve, mixed at random, reach a score; infinite if never."""
    hull = upper_hull(curve.cost_usd, curve.score)
    heights = curve.score[hull]
    if score > heights[-1] + 1e-12:
        return float("inf")
    return float(np.interp(score, heights, curve.cost_usd[hull]))


def _cheapest_single(curve: ReadableCurve, score: float) -> tuple[str, float] | None:
    """The cheapest model on the hull of the zero router's curve with at least a score, and its mean cost in dollars."""
    corners = np.sort(upper_hull(curve.cost_usd, curve.score))
    shares = curve.shares(curve.exchange_rate_per_usd[corners])
    alone = (shares.max(axis=1) > _ALONE) & (curve.score[corners] >= score)
    if not alone.any():
        return None
    cheapest = int(np.flatnonzero(alone)[-1])  # rates ascend, so costs descend
    return curve.models[int(shares[cheapest].argmax())], float(curve.cost_usd[corners[cheapest]])


def name_among(results: Curves, router: str, rate: float, score: float, cost_usd: float) -> str | None:
    """Name of a router that answers prompts among results; None if it was not measured there.

    ``score`` and ``cost_usd`` are its own at the rate: the results must have the same there, up to single precision
    and the last digits in which two fits of one router differ.
    """
    name = measured_name(router, results.runnable)
    if name in results.runnable:
        curve = results.curve(name)
        at = curve.at(rate)
        if np.allclose([curve.score[at], curve.cost_usd[at]], [score, cost_usd], rtol=2e-3, atol=0):
            return name
    return None


def sentence(verdict: Verdict) -> str:
    """The verdict in one sentence, the same wherever it is read; plain text."""
    router, reference, prompts = label(verdict.router), verdict.reference_name, f"{verdict.n_prompts:,} prompts"
    if verdict.is_reference:
        return f"{router} sends every prompt to {reference} here: the same accuracy at the same cost."
    gap, saving = verdict.difference, verdict.saving
    difference = points(gap.value, gap.low, gap.high)
    if verdict.n_prompts < LEAST_PROMPTS:  # draws of so few prompts say nothing about other prompts
        difference, saving = points(gap.value), Interval(saving.value, saving.value, saving.value)
    compared = {
        "better": f"{router} answers better than {reference} ({difference})",
        "same": f"{router} answers as well as {reference} within noise ({difference})",
        "worse": f"{router} answers worse than {reference} ({difference})",
        "too few": f"{prompts} are too few to tell whether {router} answers as well as {reference} ({difference})",
        "not known": f"{router} scores {percent(abs(gap.value), unit='points')} "
        f"{'above' if gap.value >= 0 else 'below'} {reference} (no interval is kept here)",
    }[verdict.standing]
    on = "" if verdict.standing == "too few" else f", on {prompts}"
    return f"{compared} {_cost(saving, reference)}{on}{_rivals(verdict)}."


def _cost(saving: Interval, reference: str) -> str:
    if isnan(saving.value):
        return f"where {reference} is free, so that nothing can be saved"
    if saving.low <= 0 <= saving.high and abs(saving.value) >= _NOTHING:
        return f"at a cost that is not measurably different ({_less(saving)})"
    return f"for {_less(saving)}"


def _less(saving: Interval) -> str:
    """A saving as a part of the cost, with its interval."""
    if abs(saving.value) < _NOTHING:
        return "the same cost"
    if saving.value > 0:
        return f"{whole_percent(saving)} less"
    return f"{whole_percent(Interval(-saving.value, -saving.high, -saving.low))} more"


def whole_percent(share: Interval) -> str:
    """A share in whole per cent with its interval, without one that rounds to the share itself."""
    texts = {percent(end, digits=0) for end in (share.value, share.low, share.high)}
    return texts.pop() if len(texts) == 1 else percent(share.value, share.low, share.high, digits=0)


_RIVALS = {ZERO: "mixing models blindly"}


def _rivals(verdict: Verdict) -> str:
    rivals = {_RIVALS.get(name, "a lookup by task"): saving for name, saving in verdict.rivals.items()}
    if verdict.single is not None and verdict.single[1] - verdict.saving.value > _NOTHING:
        name, saving = verdict.single
        rivals = {f"{name} alone": saving, **{other: rivals[other] for other in rivals if other != _RIVALS[ZERO]}}
    clauses = [
        f"{rival} {_would(saving)}"
        + " (more than the router)" * (not isinf(saving) and saving - verdict.saving.value > _NOTHING)
        for rival, saving in rivals.items()
        if not isnan(saving)
    ]
    return f"; at that accuracy {' and '.join(clauses)}" if clauses else ""


def _would(saving: float) -> str:
    if isinf(saving):
        return "never gets there"
    if abs(saving) < _NOTHING:
        return "would save nothing"
    return f"would {'save' if saving > 0 else 'cost'} {percent(abs(saving), digits=0)}{'' if saving > 0 else ' more'}"
