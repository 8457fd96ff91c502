"""Several routers over several seeds: every figure with its interval, and every difference paired."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numba
import numpy as np
import pandas as pd

from carrot_core.bootstrap import Family, Interval, Measurement
from carrot_core.evaluation.measure import Figures, ReportSet, measure, report_set
from carrot_core.evaluation.missing import best_between
from carrot_core.evaluation.protocol import Setting
from carrot_core.evaluation.quality import quality_of
from carrot_core.evaluation.solve import chosen_hull, chosen_rates
from carrot_core.frontier import FloatArray
from carrot_core.metrics import METRICS, pareto_dist, pareto_front
from carrot_core.number_formats import without_nan
from carrot_core.outcomes import Estimates
from carrot_core.store import Run

MEAN = "mean"  # in the column "seed": the mean over seeds
BEST_SINGLE = "best-single-model"  # in the column "against": the best single model itself
AGAINST = ("task-lookup", "task-lookup-input", "cost-only", "carrot-knn")
UNFAIR = ("oracle", "cascade")  # they see outcomes, so they are left out of the joint Pareto front
_SINGLE_SCORES = ("routing_accuracy", "peak")  # metrics in which a router is compared with one model


@dataclass(frozen=True, eq=False)
class Candidate:
    """One router on one seed: its estimates of the prompts reported on, and the rates each round chose on validation.

    Attributes
    ----------
    rates, hull_rates : of `carrot_core.evaluation.measure.chosen_rates` and `chosen_hull`.
    """

    estimates: Estimates
    rates: Mapping[str, FloatArray]
    hull_rates: FloatArray

    @classmethod
    def of(cls, setting: Setting, estimates: Mapping[str, Estimates]) -> Candidate:
        """From estimates of validation prompts and of those reported on."""
        return cls(estimates[setting.report_on], chosen_rates(setting, estimates), chosen_hull(setting, estimates))

    @classmethod
    def of_run(cls, setting: Setting, run: Run) -> Candidate:
        """From a run with its tables."""
        tables = run.estimates or {}
        if "validation" in tables:
            return cls.of(setting, tables)
        figures = run.metrics[setting.report_on]  # fitted on another benchmark: no validation prompts here
        rates = {name: _infinite(rates) for name, rates in figures["chosen"].items()}
        return cls(tables[setting.report_on], rates, np.stack([_infinite(rates) for rates in figures["chosen_hull"]]))


def _infinite(rates: Sequence[float | None]) -> FloatArray:
    """Rates from JSON, where null is infinity."""
    return np.array([np.inf if rate is None else rate for rate in rates], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Routers on the same prompts, seed by seed and over all seeds.

    Attributes
    ----------
    benchmark, fit_on, report_on : benchmark learned from, and prompts reported on: "all", or "test" if the source has a
    split.
    models : the pool.
    routers : those that ran on every seed.
    seeds : of the routers.
    replicates : number of replicates behind every interval. protocol : one row a seed: seed, n_folds (0 where the
    source's split is used), n_train, n_validation (of one round
        of cross-fitting, the least), n_judged, n_incomplete, n_copies (prompts of ``fit_on`` left out because they are
        reported on), best_single (every model that some round chose), best_single_score,
        best_single_cost_usd, oracle_score, oracle_least and oracle_most (`best_between`), random_score, cheapest_usd,
        dearest_usd, cost_unit_usd; if cells were run several times, also oracle_luck (`ReportSet.oracle_luck`).
    figures : columns router, seed (a number as text, or "mean"), metric (of `carrot_core.metrics.METRICS`),
        value, low, high. NaN: not defined. Infinite: a score never reached (QNC), or nothing solved.
    differences : columns router, against, seed, metric, value, low, high, low_all, high_all: router minus
        ``against``, which is another router or, for scores, "best-single-model". low_all and high_all are the interval
        widened for the number of pairs (`carrot_core.bootstrap.Family`): those of all pairs of routers, and of every
        router and the best single model, hold together in one metric.
    pairs : columns router, other, metric, value, low, high, low_all, high_all: router minus ``other``, mean over
        seeds, for every pair of routers once, in the order of ``routers``.
    bands : columns router, exchange_rate_per_usd, cost_usd, score, low, high: each curve of the first seed at
        some of its points, with the 95 % interval of its score.
    quality : columns router, seed and those of `carrot_core.evaluation.quality.quality`.
    latency : of `carrot_core.evaluation.evaluate.latency_table`; empty where not measured.
    skipped : why a router could not run, by router.
    versions, data_hash : of the packages and the data behind the figures.
    """

    benchmark: str
    report_on: str
    models: tuple[str, ...]
    routers: tuple[str, ...]
    seeds: tuple[int, ...]
    replicates: int
    protocol: pd.DataFrame
    figures: pd.DataFrame
    differences: pd.DataFrame
    bands: pd.DataFrame
    quality: pd.DataFrame
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    latency: pd.DataFrame = field(default_factory=pd.DataFrame)
    fit_on: str | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    data_hash: str = ""

    def figure(self, router: str, metric: str, seed: int | str = MEAN) -> Interval | None:
        """One figure with its interval; None where it does not exist."""
        return _interval(self.figures, router=router, metric=metric, seed=str(seed))

    def difference(self, router: str, against: str, metric: str, seed: int | str = MEAN) -> Interval | None:
        """One paired difference with its interval; None where it does not exist."""
        return _interval(self.differences, router=router, against=against, metric=metric, seed=str(seed))

    def document(self) -> dict[str, Any]:
        """The whole result as plain JSON; None where a figure does not exist or is infinite."""
        tables = ("protocol", "figures", "differences", "pairs", "quality", "latency")
        return {
            "benchmark": self.benchmark,
            "fit_on": self.fit_on or self.benchmark,
            "evaluated_on": self.report_on,
            "models": list(self.models),
            "routers": list(self.routers),
            "skipped": dict(self.skipped),
            "seeds": list(self.seeds),
            "replicates": self.replicates,
            **{name: records(getattr(self, name)) for name in tables},
            "versions": dict(self.versions),
            "data_hash": self.data_hash,
        }


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame as plain JSON, one object a row."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [without_nan(row) for row in rows]


def compare(
    settings: Mapping[int, Setting],
    routers: Mapping[str, Mapping[int, Candidate]],
    *,
    replicates: int = 1000,
    against: Sequence[str] = AGAINST,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare fitted routers; no curve is swept again for a replicate.

    A replicate draws from all prompts of the benchmark; each seed uses the draws of the prompts it reports on. So
    seeds, whose test sets overlap, are resampled together, and differences are paired.

    Parameters
    ----------
    settings : by seed; all of one benchmark.
    routers : candidates by router and seed, every router on every seed.
    replicates : behind every interval.
    against : routers that the others are compared with, if present.
    progress : called with (seeds done, seeds in all).
    """
    measured: dict[str, dict[str, dict[str, Measurement]]] = {}
    protocol, quality_tables, bands = [], [], []
    for done, (seed, setting) in enumerate(settings.items(), start=1):
        on = report_set(setting, setting.report_on, replicates)
        candidates = {name: by_seed[seed] for name, by_seed in routers.items()}
        results = measure_together(setting, on, candidates)
        if not measured:
            bands = [figures.band.assign(router=name) for name, figures in results.items()]
        measured[str(seed)] = {name: figures.by_metric for name, figures in results.items()}
        measured[str(seed)][BEST_SINGLE] = dict.fromkeys(_SINGLE_SCORES, Measurement.of(on.reference[0]))
        protocol.append({"seed": seed, **facts(setting, on)})
        for name, candidate in candidates.items():
            table = quality_of(setting, candidate.estimates)
            quality_tables.append(table.assign(router=name, seed=str(seed)))
        if progress is not None:
            progress(done, len(settings))
    over = {**measured, MEAN: _mean(list(measured.values()))}
    first = next(iter(settings.values()))
    return Comparison(
        benchmark=first.test.name,
        report_on=first.report_on,
        models=first.models,
        routers=tuple(routers),
        seeds=tuple(settings),
        replicates=replicates,
        protocol=pd.DataFrame(protocol),
        figures=figures_frame(over, list(routers)),
        differences=differences_frame(over, list(routers), [*against, BEST_SINGLE]),
        bands=_in_front(pd.concat(bands, ignore_index=True), ["router"]),
        quality=_in_front(pd.concat(quality_tables, ignore_index=True), ["router", "seed"]),
        pairs=pairs_frame(over[MEAN], list(routers)),
    )


def measure_together(setting: Setting, on: ReportSet, candidates: Mapping[str, Candidate]) -> dict[str, Figures]:
    """Every figure of every router of one seed, on the prompts and in every replicate."""

    def one(candidate: Candidate) -> Figures:
        curve = setting.frontier({setting.report_on: candidate.estimates}, setting.report_on)
        return measure(curve, on, candidate.rates, candidate.hull_rates)

    with ThreadPoolExecutor(int(numba.config.NUMBA_NUM_THREADS)) as threads:
        results = dict(zip(candidates, threads.map(one, candidates.values()), strict=True))
    fair = {name: figures.affordable for name, figures in results.items() if name not in UNFAIR}
    front = pareto_front([*fair.values(), on.affordable])
    span = np.ptp(on.single_score, axis=1)
    for name, points in fair.items():
        results[name].by_metric["pareto_dist"] = Measurement.of(pareto_dist(points, front, span)).without_bias()
    return results


def facts(setting: Setting, on: ReportSet) -> dict[str, Any]:
    """Row of `Comparison.protocol` for one seed, without the seed."""
    (score, cost), between = on.reference, best_between(on.part)
    low, high = on.interval_usd
    return {
        "n_folds": setting.n_folds,
        "n_train": min(len(each.train.prompt_ids) for each in setting.rounds),
        "n_validation": min(len(each.validation.prompt_ids) for each in setting.rounds),
        "n_judged": len(on.outcomes.prompt_ids),
        "n_incomplete": setting.n_incomplete("test"),
        "n_copies": setting.n_copies,
        "best_single": ", ".join(dict.fromkeys(on.best_single)),
        "best_single_score": float(score[0]),
        "best_single_cost_usd": float(cost[0]),
        "oracle_score": float(on.oracle[0]),
        "oracle_least": between[0],
        "oracle_most": between[1],
        "random_score": float(on.single_score[0].mean()),
        "cheapest_usd": float(low[0]),
        "dearest_usd": float(high[0]),
        "cost_unit_usd": setting.cost_unit_usd,
        **({} if on.oracle_luck is None else {"oracle_luck": float(on.oracle_luck[0])}),
    }


def _mean(seeds: Sequence[Mapping[str, Mapping[str, Measurement]]]) -> dict[str, dict[str, Measurement]]:
    """Mean over seeds of every figure that exists on all of them, replicate by replicate."""
    return {
        router: {
            metric: Measurement(
                float(np.mean([seed[router][metric].value for seed in seeds])),
                np.mean([seed[router][metric].replicates for seed in seeds], axis=0),
            )
            for metric in seeds[0][router]
            if all(metric in seed[router] for seed in seeds)
        }
        for router in seeds[0]
    }


def figures_frame(over: Mapping[str, Mapping[str, Mapping[str, Measurement]]], routers: Sequence[str]) -> pd.DataFrame:
    """`Comparison.figures` from measurements by seed, router and metric."""
    rows = [
        (router, seed, metric, *_triple(figure))
        for router in routers
        for seed, by_router in over.items()
        for metric, figure in by_router[router].items()
    ]
    return pd.DataFrame(rows, columns=["router", "seed", "metric", "value", "low", "high"])


def differences_frame(
    over: Mapping[str, Mapping[str, Mapping[str, Measurement]]], routers: Sequence[str], against: Sequence[str]
) -> pd.DataFrame:
    """`Comparison.differences` from measurements by seed, router and metric."""
    families = {seed: _families(by_router, routers) for seed, by_router in over.items()}
    rows = [
        (router, other, seed, metric, *_both(figure - by_router[other][metric], families[seed][metric]))
        for router in routers
        for other in against
        for seed, by_router in over.items()
        if other != router and other in by_router
        for metric, figure in by_router[router].items()
        if metric in by_router[other]
    ]
    return pd.DataFrame(rows, columns=["router", "against", "seed", "metric", *_INTERVALS])


def pairs_frame(by_router: Mapping[str, Mapping[str, Measurement]], routers: Sequence[str]) -> pd.DataFrame:
    """`Comparison.pairs` from measurements by router and metric."""
    families = _families(by_router, routers)
    rows = [
        (router, other, metric, *_both(by_router[router][metric] - by_router[other][metric], families[metric]))
        for router, other in combinations(routers, 2)
        for metric in METRICS
        if metric in by_router[router] and metric in by_router[other]
    ]
    return pd.DataFrame(rows, columns=["router", "other", "metric", *_INTERVALS])


_INTERVALS = ("value", "low", "high", "low_all", "high_all")


def _families(by_router: Mapping[str, Mapping[str, Measurement]], routers: Sequence[str]) -> dict[str, Family]:
    """Family of each metric: the differences of all pairs of routers, and of every router and the best single model."""
    names = [*routers, *(name for name in by_router if name not in routers)]
    return {
        metric: Family.of([(one - other).replicates for one, other in combinations(figures, 2)])
        for metric in METRICS
        if (figures := [by_router[name][metric] for name in names if metric in by_router[name]])
    }


def _both(difference: Measurement, family: Family) -> tuple[float, ...]:
    return *_triple(difference), *family.interval(difference.replicates)


def _triple(figure: Measurement) -> tuple[float, float, float]:
    interval = figure.interval
    return interval.value, interval.low, interval.high


def _in_front(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return frame[[*columns, *frame.columns.drop(columns)]]


def _interval(frame: pd.DataFrame, **keys: str) -> Interval | None:
    rows = frame[np.logical_and.reduce([frame[name] == value for name, value in keys.items()])]
    return None if rows.empty else Interval(*(float(rows[name].iloc[0]) for name in ("value", "low", "high")))
