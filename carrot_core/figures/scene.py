"""The content of a cost-accuracy chart, built from a benchmark with results, and the operating point in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import bootstrap_weights, replicate
from carrot_core.curve import unbeaten
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.evaluation.missing import costless_note, gaps_note
from carrot_core.frontier import FloatArray, Frontier, ReadableCurve, rate_of_lam
from carrot_core.metrics import latency_of_models, share_saved
from carrot_core.number_formats import CALL, CostBasis, cost_basis, lam_text, percent
from carrot_core.outcomes import Estimates, positions
from carrot_core.paths import unit_of
from carrot_core.routers import LABELS
from carrot_core.text import short_names, visible

NOT_KNOWN = "not known"  # group of the models without a fact


@dataclass(frozen=True, eq=False)
class Band:
    """95 % interval of a curve over prompts: (G,) costs in dollars per query, (G,) scores at both ends."""

    cost_usd: FloatArray
    score_low: FloatArray
    score_high: FloatArray


@dataclass(frozen=True, eq=False)
class Curve:
    """One router on the chart; ``name`` is its registered name, ``label`` its display name."""

    name: str
    label: str
    frontier: ReadableCurve
    band: Band | None = None


@dataclass(frozen=True)
class Grouping:
    """Models ``by`` a fact on them: groups by name, each with its models, in the order of time if ``in_order``."""

    by: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    in_order: bool = False


@dataclass(frozen=True, eq=False)
class Scene:
    """The content of one chart, on one set of prompts and one pool.

    Attributes
    ----------
    title : e.g. benchmark and split; a new title resets the reader's zoom.
    curves : routers and baselines drawn as lines, names unique.
    models : M names; ``model_score`` and ``model_cost_usd`` (M,) are their means per prompt.
    hull_cost_usd, hull_score : (H,) the zero router's hull, by ascending cost.
    best_single, reference : a model each; savings are against the reference.
    cost_unit_usd : u in λ = r·u / (1 + r·u), US dollars.
    active : name of the curve that λ moves along; the only one whose band is drawn.
    chosen_on : the active router's curve on validation, where budgets and targets are solved; None if unknown.
    n_dropped, n_incomplete : prompts left out because a model was not observed there, and prompts with estimates in
        place of such models' outcomes.
    costless : models that are not drawn, since none of their costs is recorded.
    absent : routers that are not drawn, since no prompt has every outcome, which they need.
    pool : models among which short names are unique, if more than those drawn.
    model_latency_s, hull_latency_s : (2, M) mean and 95th percentile of the seconds of each model's calls, and (H,)
        mean seconds along the hull; None if some model has none recorded.
    palette : models of the whole benchmark from cheapest to most expensive (`by_cost`), so that each has the same
        colour in every chart; if empty, the drawn models; models it lacks come last.
    cascades, verifier : Pareto-optimal pairs of a cheap and an expensive model, and single models
        (`carrot_core.routers.cascade.undominated`), and sensitivity and specificity of the verifier; None if not drawn.
    grouping : groups that colour the models in place of their costs, and that share areas of who answers.
    unit : what one outcome is, to which costs refer.

    Raises
    ------
    CarrotError
        The active curve, best single or reference is missing, or a model has no score or cost.
    """

    title: str
    curves: tuple[Curve, ...]
    models: tuple[str, ...]
    model_score: FloatArray
    model_cost_usd: FloatArray
    hull_cost_usd: FloatArray
    hull_score: FloatArray
    best_single: str
    reference: str
    cost_unit_usd: float
    n_prompts: int
    n_dropped: int
    active: str
    chosen_on: ReadableCurve | None = None
    n_incomplete: int = 0
    costless: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    model_latency_s: FloatArray | None = None
    hull_latency_s: FloatArray | None = None
    palette: tuple[str, ...] = ()
    cascades: pd.DataFrame | None = None
    verifier: tuple[float, float] | None = None
    grouping: Grouping | None = None
    unit: str = CALL

    def __post_init__(self) -> None:
        positions([self.active], [curve.name for curve in self.curves], "curve")
        positions([self.best_single, self.reference], self.models)
        if not len(self.models) == len(self.model_score) == len(self.model_cost_usd):
            raise CarrotError(f"{len(self.models)} models need as many scores and costs.")

    @property
    def active_curve(self) -> Curve:
        """The curve that λ moves along."""
        return next(curve for curve in self.curves if curve.name == self.active)

    @property
    def short_names(self) -> dict[str, str]:
        """Name of each model on the chart (`carrot_core.text.short_names`)."""
        return short_names(self.pool or self.models)

    @cached_property
    def front(self) -> list[int]:
        """Models that no other beats in both score and cost, the most accurate first; their names are placed first."""
        return [int(place) for place in unbeaten(self.model_cost_usd, self.model_score)[::-1]]

    @property
    def columns_by_group(self) -> dict[str, list[int]]:
        """Columns of the models on the chart by their group, those of none in the last; empty without a grouping."""
        if self.grouping is None:
            return {}
        groups = {**dict(self.grouping.groups), NOT_KNOWN: ()}
        group_of = {model: name for name, models in self.grouping.groups for model in models}
        own = [group_of.get(model, NOT_KNOWN) for model in self.models]
        return {name: [k for k, group in enumerate(own) if group == name] for name in groups if name in own}

    @property
    def shades(self) -> dict[str, int]:
        """Index of each model among the colours of the benchmark (`carrot_core.figures.theme.model_colors`)."""
        order = dict.fromkeys([*self.palette, *by_cost(self.models, self.model_cost_usd)])
        return {model: place for place, model in enumerate(order)}

    @property
    def basis(self) -> CostBasis:
        """Number of calls to which all costs of the chart refer."""
        return cost_basis(self.model_cost_usd, self.unit)

    @property
    def can_log(self) -> bool:
        """Whether every cost can be on a log axis; that of free models cannot."""
        curve_costs = [curve.frontier.cost_usd for curve in self.curves]
        curve_costs += [] if self.cascades is None else [self.cascades["cost_usd"].to_numpy()]
        costs = np.concatenate([self.model_cost_usd, self.hull_cost_usd, *curve_costs])
        return bool(costs.min() > 1e-9 * costs.max())  # running sums of zeros may leave rounding errors


def by_cost(models: Sequence[str], cost_usd: npt.ArrayLike) -> tuple[str, ...]:
    """Models from the cheapest to the most expensive."""
    return tuple(models[place] for place in np.argsort(cost_usd, kind="stable"))


@dataclass(frozen=True, eq=False)
class ReadOut:
    """One operating point: means per prompt, and the (M,) share of prompts each model answers."""

    lam: float
    exchange_rate_per_usd: float
    score: float
    cost_usd: float
    shares: FloatArray


def read_out(scene: Scene, lam: float) -> ReadOut:
    """The active curve at λ, exact."""
    frontier, rate = scene.active_curve.frontier, rate_of_lam(lam, scene.cost_unit_usd)
    point = frontier.at(rate)
    shares = np.zeros(len(scene.models))
    shares[positions(frontier.models, scene.models)] = frontier.shares([rate])[0]
    return ReadOut(lam, rate, float(frontier.score[point]), float(frontier.cost_usd[point]), shares)


def saving(scene: Scene, point: ReadOut, model: str) -> float | None:
    """1 - cost / the model's cost; None if the point scores less, or the model is free."""
    column = scene.models.index(model)
    # Curves are running sums: the same choices reached another way may differ in the last bits.
    if point.score < scene.model_score[column] - 1e-12:
        return None
    share = float(share_saved(point.cost_usd, scene.model_cost_usd[column]))
    return None if np.isnan(share) else share


def _names(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def caption(scene: Scene, *, hull: bool = True) -> str:
    """How to read the chart, in a few sentences; plain text. ``hull``: whether that of the zero router is drawn."""
    left_out = (
        f" {scene.n_dropped:,} more are left out because not every model of the pool was observed there."
        if scene.n_dropped
        else ""
    )
    left_out += f" {gaps_note(scene.n_incomplete)}" if scene.n_incomplete else ""
    left_out += f" {costless_note(scene.costless)}" if scene.costless else ""
    if scene.absent:
        who = _names([label(name) for name in scene.absent])
        left_out += f" Not drawn: {who}; no prompt has an outcome of all {len(scene.models)} models."
    band = " The band is a 95 % interval over prompts." if scene.active_curve.band is not None else ""
    by = f"coloured by {scene.grouping.by}" if scene.grouping else "the more expensive the darker"
    mixes = "; the thin dotted line without marks mixes them without looking at the prompt."
    return (
        f"Each line is one router at every λ, on {scene.n_prompts:,} prompts, each judged by a router that had not "
        f"seen it; up and to the left is better.{left_out}"
        f" Dots are single models, {by}{mixes if hull else '.'}{band}{_of_cascades(scene)}"
    )


def _of_cascades(scene: Scene) -> str:
    if scene.cascades is None or scene.verifier is None:
        return ""
    accepts, rejects = (percent(rate, digits=0) for rate in scene.verifier)
    on = "" if not scene.n_incomplete else " and measured on the prompts with every outcome"
    return (
        f" Cascades ask an expensive model after a verifier's no to a cheap one; it accepts {accepts} of the right "
        f"answers and rejects {rejects} of the wrong ones, and is free. Both calls are paid. Pairs are chosen on the "
        f"prompts that they are drawn on{on}, so they are a little too good."
    )


def alt_text(scene: Scene, lam: float | None = None) -> str:
    """The chart in words, for readers who cannot see it; with the operating point if λ is given."""
    best = scene.models.index(scene.best_single)
    lines = [
        f"{curve.label} reaches {percent(curve.frontier.score.max())}"
        f" at {scene.basis.text(curve.frontier.cost_usd[curve.frontier.score.argmax()])}"
        for curve in scene.curves
    ]
    routers = _names([curve.label for curve in scene.curves])
    text = (
        f"{scene.title}: accuracy against cost for {routers} and {len(scene.models)} single models."
        f" At their best, {'; '.join(lines)}. Best single model: {visible(scene.best_single)},"
        f" {percent(scene.model_score[best])} at {scene.basis.text(scene.model_cost_usd[best])}."
    )
    if lam is None:
        return text
    point = read_out(scene, lam)
    return f"{text} At λ {lam_text(lam)}: {percent(point.score)} at {scene.basis.text(point.cost_usd)}."


BAND_REPLICATES = 200
DRAWN_BASELINES = ("task-lookup-input", "cost-only", "oracle")


def drawn_baselines(names: Sequence[str]) -> list[str]:
    """Baselines among ``names`` that a chart draws at first; the plain task lookup only without the other one."""
    lookup = "task-lookup-input" if "task-lookup-input" in names else "task-lookup"
    return [name for name in (lookup, *DRAWN_BASELINES[1:]) if name in names]


def label(name: str) -> str:
    """Display name of a router, whose name may have parameters: ``carrot-knn (criterion=routing)``."""
    router, space, parameters = name.partition(" ")
    return LABELS.get(router, router) + space + parameters


def compose(
    setting: Setting,
    routers: Mapping[str, Mapping[str, Estimates]],
    *,
    title: str,
    active: str,
    reference: str | None = None,
    baselines: Sequence[str] = DRAWN_BASELINES,
    palette: tuple[str, ...] = (),
) -> Scene:
    """Scene of some routers and baselines on the prompts that the setting reports on.

    Parameters
    ----------
    routers : stored estimates by router and split.
    active : router or baseline that λ moves along.
    reference : model that savings are measured against; the best single model by default.
    palette : as in `Scene`.
    """
    tables = {**routers, **{name: setting.baselines[name] for name in baselines if name in setting.baselines}}
    ids = set(setting.test.prompt_ids)
    absent = [name for name, table in tables.items() if ids.isdisjoint(table[setting.report_on].prompt_ids)]
    absent += [name for name in baselines if name not in tables]
    if active in absent:
        raise CarrotError(
            f"No {setting.report_on} prompt has an outcome of all {len(setting.models)} models: "
            "choose a smaller pool or fewer filters."
        )
    curves = {name: setting.frontier(table, setting.report_on) for name, table in tables.items() if name not in absent}
    if active not in curves:
        raise CarrotError(f"{label(active)} is not among the curves: {', '.join(map(label, curves))}.")
    active_curve = curves[active]
    zero = setting.frontier(setting.baselines["zero"], setting.report_on)
    return Scene(
        title=title,
        curves=tuple(
            Curve(name, _in_legend(name, setting), curve, band(curve) if name == active else None)
            for name, curve in curves.items()
        ),
        models=active_curve.models,
        model_score=active_curve.outcomes.score.mean(axis=0),
        model_cost_usd=active_curve.outcomes.cost_usd.mean(axis=0),
        hull_cost_usd=zero.cost_usd[::-1],
        hull_score=zero.score[::-1],
        best_single=setting.best_single,
        reference=reference or setting.best_single,
        cost_unit_usd=setting.cost_unit_usd,
        n_prompts=active_curve.n_prompts,
        n_dropped=0,
        n_incomplete=setting.n_incomplete(setting.report_on),
        costless=setting.costless,
        absent=tuple(absent),
        active=active,
        chosen_on=setting.frontier(tables[active], "validation"),
        model_latency_s=None if active_curve.call_s is None else latency_of_models(active_curve.call_s),
        hull_latency_s=None if zero.latency_s is None else zero.latency_s[0, ::-1],
        palette=palette,
        unit=unit_of(setting.test.name, setting.test.data_hash),
    )


def _in_legend(name: str, setting: Setting) -> str:
    """Name of a curve in the legend; that of the oracle has the share of luck in its score, if known."""
    if name != "oracle" or setting.oracle_luck is None:
        return label(name)
    return f"{label(name)} (up to {100 * setting.oracle_luck:.1f} points of it luck)"


def band(frontier: Frontier) -> Band:
    """The 95 % interval of a curve's score, at some of its points."""
    curves = replicate(frontier, bootstrap_weights(frontier.n_prompts, BAND_REPLICATES), points=200)
    low, high = curves.band()
    at = [frontier.at(rate) for rate in curves.exchange_rate_per_usd]
    return Band(frontier.cost_usd[at], low, high)
