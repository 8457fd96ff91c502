"""From a benchmark to judged curves: fit on train, choose on validation, report on test.

Everything a figure or a page compares comes from one `Setting`: the same prompts, the same pool, the
same choices for every router, with the baselines always alongside (``docs/method.md``, "Protocol").
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.errors import CarrotError
from carrot_core.frontier import FloatArray, Frontier, lam_of_rate, sweep
from carrot_core.metrics import aiq, audc, qnc
from carrot_core.operating_point import cheapest_reaching, operating_point
from carrot_core.outcomes import Benchmark, Estimates, Outcomes, positions
from carrot_core.routers import BASELINES, make_router
from carrot_core.store import Run
from carrot_core.uncertainty import Interval, bootstrap_weights, replicate


@dataclass(frozen=True, eq=False)
class Setting:
    """The prompts a router learns from, is tuned on and is judged on, all with the same pool.

    Attributes
    ----------
    train : prompts of the final fit.
    inner_train : prompts of the fit that validation estimates come from: never those of ``validation``.
    validation : prompts on which λ, the cost unit and the best single model are chosen.
    test : prompts the report is about.
    everything : all prompts of the benchmark the report is about that a router can read.
    report_on : name of ``test`` in results: "test", or "all" for every prompt of a benchmark not learned from.
    n_without_text : prompts left out because a router cannot read them.
    """

    train: Benchmark
    inner_train: Benchmark
    validation: Benchmark
    test: Benchmark
    everything: Benchmark
    report_on: str = "test"
    n_without_text: int = 0

    @property
    def models(self) -> tuple[str, ...]:
        return self.test.models

    def part(self, split: str) -> Benchmark:
        return self.validation if split == "validation" else self.test

    def narrowed(self, pool: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> Setting:
        """The same protocol with some of the models and, for choosing and reporting, some of the tasks.

        Routers still learn from all prompts: a filter shows a slice of a router, not another router.
        """
        parts = {name: getattr(self, name) for name in ("train", "inner_train", "validation", "test", "everything")}
        if pool is not None:
            parts = {name: part.pool(pool) for name, part in parts.items()}
        if tasks is not None:
            for name in ("validation", "test", "everything"):
                parts[name] = parts[name].rows(np.isin(parts[name].tasks, list(tasks)))
        return replace(self, **parts)

    @cached_property
    def _single(self) -> tuple[FloatArray, FloatArray]:
        """(M,) mean score and cost of each model on the complete validation prompts."""
        outcomes = self.validation.outcomes
        if not outcomes.complete.any():
            if np.isnan(outcomes.cost_usd).all() and not np.isnan(outcomes.score).all():
                raise CarrotError(
                    f"{self.validation.name!r} has scores but no costs, so there is no trade-off to show: import it "
                    "with tokens and prices, or with cost_usd."
                )
            raise CarrotError(
                f"No validation prompt of {self.validation.name!r} has an outcome of all {len(self.models)} models: "
                "choose a smaller pool or fewer filters."
            )
        return outcomes.score[outcomes.complete].mean(axis=0), outcomes.cost_usd[outcomes.complete].mean(axis=0)

    @cached_property
    def best_single(self) -> str:
        """Most accurate single model on validation; ties: the cheapest, then the first by name."""
        score, cost = self._single
        return self.models[min(range(len(score)), key=lambda j: (-score[j], cost[j], self.models[j]))]

    @cached_property
    def cost_unit_usd(self) -> float:
        """u: mean cost per query of the dearest model of the pool on validation, in US dollars."""
        dearest = float(self._single[1].max())
        if dearest <= 0:
            raise CarrotError("Every model of the pool is free: there is no trade-off between cost and accuracy.")
        return dearest

    def estimates(self, router: str, seed: int = 0, params: Mapping[str, Any] | None = None) -> dict[str, Estimates]:
        """Estimates by split: validation (fitted on ``inner_train``) and the report's (fitted on ``train``)."""
        fitted = make_router(router, seed, **dict(params or {})).fit(self.inner_train)
        validation = fitted.estimate(self.validation)
        if self.train is not self.inner_train:
            fitted = make_router(router, seed, **dict(params or {})).fit(self.train)
        return {"validation": validation, self.report_on: fitted.estimate(self.test)}

    @cached_property
    def baselines(self) -> dict[str, dict[str, Estimates]]:
        """Estimates of every baseline, by name and split."""
        return {name: self.estimates(name) for name in BASELINES}

    def frontier(self, estimates: Mapping[str, Estimates], split: str) -> Frontier:
        """Exact curve of a router's stored estimates on the prompts and pool of this setting."""
        part, table = self.part(split), estimates[split].pool(self.models)
        wanted = set(part.prompt_ids)
        kept = np.array([prompt_id in wanted for prompt_id in table.prompt_ids], dtype=bool)
        return sweep(table.rows(kept), part.outcomes)


def setting(bench: Benchmark, fit_on: Benchmark | None = None) -> Setting:
    """The protocol on one benchmark, or fitted on one and judged on all prompts of another.

    With ``fit_on``, routers learn from all of it, choices are made on its validation split with a fit
    that has not seen it, and the report is about every prompt of ``bench``; models are matched by name.
    """
    judged, dropped = _readable(bench)
    if fit_on is None:
        train = judged.part("train")
        made = Setting(train, train, judged.part("validation"), judged.part("test"), judged, "test", dropped)
    else:
        source, _ = _readable(fit_on.pool(bench.models))
        made = Setting(source, source.part("train"), source.part("validation"), judged, judged, "all", dropped)
    for name, part in (("train", made.train), ("validation", made.validation), ("test", made.test)):
        if not part.prompt_ids:
            raise CarrotError(f"{bench.name!r} has no {name} prompts left to work with.")
    return made


def _readable(bench: Benchmark) -> tuple[Benchmark, int]:
    """Prompts a router can read, and how many are left out; a benchmark without any text is kept whole."""
    has_text = np.array([text is not None for text in bench.texts], dtype=bool)
    if has_text.all() or not has_text.any():
        return bench, 0
    return bench.rows(has_text), int((~has_text).sum())


def judge(
    made: Setting, estimates: Mapping[str, Estimates], split: str, *, replicates: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """All figures of one router on one split, each with its interval; plain numbers, ready for JSON."""
    frontier = made.frontier(estimates, split)
    if frontier.n_prompts == 0:
        raise CarrotError(f"No {split} prompt has an outcome of all {len(made.models)} models of the pool.")
    weights = bootstrap_weights(frontier.n_prompts, replicates, seed)
    curve = replicate(frontier, weights)
    column = made.models.index(made.best_single)
    single_score, single_cost = frontier.outcomes.score.mean(axis=0), frontier.outcomes.cost_usd.mean(axis=0)
    best = frontier.outcomes.score.max(axis=1)
    span = float(single_cost.min()), float(single_cost.max())
    figures = {
        "routing_accuracy": Interval.of(float(frontier.score[0]), curve.score[:, 0]),
        "best_single": Interval.of(float(single_score[column]), curve.single_score[:, column]),
        "best_single_cost_usd": Interval.of(float(single_cost[column]), curve.single_cost_usd[:, column]),
        "oracle": Interval.of(float(best.mean()), best @ weights),
        "aiq": Interval.of(aiq(frontier.cost_usd, frontier.score, *span), curve.aiq()),
        "qnc": Interval.of(
            qnc(frontier.cost_usd, frontier.score, float(single_score[column]), float(single_cost[column])),
            curve.qnc(column),
        ),
    }
    values: dict[str, Any] = {name: figure.value for name, figure in figures.items()}
    values["peak"] = float(frontier.score.max())
    values["audc"] = audc(frontier.cost_usd, frontier.score, *span)
    values["cost_save"] = 1 - values["qnc"]
    target = made.frontier(estimates, "validation")
    rate = cheapest_reaching(target, float(target.outcomes.score[:, column].mean()))
    point = None if rate is None else operating_point(frontier, rate, made.best_single, made.cost_unit_usd, weights)
    return {
        **_without_nan(values),
        "n_prompts": frontier.n_prompts,
        "n_dropped": frontier.n_dropped,
        "intervals": {name: _without_nan([figure.low, figure.high]) for name, figure in figures.items()},
        "match_best_single": None if point is None else _without_nan(asdict(point)),
    }


def _without_nan(value: Any) -> Any:
    """NaN and infinity as None, since JSON has neither."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def evaluate(
    bench: Benchmark,
    router: str = "carrot-knn",
    *,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    fit_on: Benchmark | None = None,
    pool: tuple[str, ...] = (),
    replicates: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Fit one router, sweep it, and judge it beside the baselines; the result is ready to be stored.

    Parameters
    ----------
    bench : prompts with vectors.
    pool : models to choose from; empty = all of the benchmark.
    fit_on : learn from all of this benchmark instead and judge on all prompts of ``bench``.
    replicates : bootstrap replicates behind every interval.
    progress : called with (steps done, steps in all).
    """
    step = _steps(progress, 3 + len(BASELINES))
    made = setting(bench.pool(pool) if pool else bench, fit_on)
    estimates = made.baselines[router] if router in BASELINES else made.estimates(router, seed, params)
    report = made.report_on

    step()

    def judged(tables: Mapping[str, Estimates], split: str) -> dict[str, Any]:
        figures = judge(made, tables, split, replicates=replicates, seed=seed)
        step()
        return figures

    return Run(
        benchmark=bench.name,
        router=router,
        params=dict(params or {}),
        seed=seed,
        fit_on=None if fit_on is None else fit_on.name,
        pool=pool,
        versions=versions(),
        data_hash=data_hash(bench, fit_on),
        created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        cost_unit_usd=made.cost_unit_usd,
        best_single=made.best_single,
        metrics={
            "report_on": report,
            "models": list(made.models),
            "n_without_text": made.n_without_text,
            "validation": judged(estimates, "validation"),
            report: judged(estimates, report),
            "baselines": {name: judged(table, report) for name, table in made.baselines.items()},
            "single_models": single_models(made),
        },
        # Validation prompts of another benchmark are not this one's to keep.
        estimates=estimates if fit_on is None else {report: estimates[report]},
    )


def _steps(progress: Callable[[int, int], None] | None, total: int) -> Callable[[], None]:
    """A function that reports one more of ``total`` steps done."""
    done = iter(range(1, total + 1))
    return lambda: None if progress is None else progress(next(done), total)


def estimates_frame(estimates: Estimates, outcomes: Outcomes) -> pd.DataFrame:
    """Long table, one row per prompt and model: estimates beside what was observed (NaN = not observed)."""
    seen = outcomes.pool(estimates.models)
    seen = seen.rows(positions(estimates.prompt_ids, seen.prompt_ids, "prompt"))
    n, m = estimates.shape
    return pd.DataFrame(
        {
            "prompt_id": np.repeat(np.array(estimates.prompt_ids, dtype=object), m),
            "model": np.tile(np.array(estimates.models, dtype=object), n),
            "est_score": estimates.score.ravel(),
            "est_cost_usd": estimates.cost_usd.ravel(),
            "score": seen.score.ravel(),
            "cost_usd": seen.cost_usd.ravel(),
        }
    )


def frontier_frame(frontier: Frontier, cost_unit_usd: float) -> pd.DataFrame:
    """One row a breakpoint, ascending from rate 0; a row holds from its rate up to the next row's."""
    rates = frontier.exchange_rate_per_usd
    return pd.DataFrame(
        {
            "exchange_rate_per_usd": rates,
            "lam": lam_of_rate(rates, cost_unit_usd),
            "cost_usd": frontier.cost_usd,
            "score": frontier.score,
        }
    )


def single_models(made: Setting) -> dict[str, dict[str, float]]:
    """Mean score and cost per query of every model alone, on the complete prompts that are reported on."""
    outcomes = made.test.outcomes.rows(made.test.outcomes.complete)
    means = zip(made.models, outcomes.score.mean(axis=0), outcomes.cost_usd.mean(axis=0), strict=True)
    return {model: {"score": float(score), "cost_usd": float(cost)} for model, score, cost in means}


def data_hash(bench: Benchmark, fit_on: Benchmark | None = None) -> str:
    """Content a result rests on: of the benchmark judged, and of the one learned from where it is another."""
    return bench.data_hash if fit_on is None else f"{bench.data_hash}+{fit_on.data_hash}"


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, stored with every run."""
    packages = ("carrot-core", "numpy", "numba", "scikit-learn", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
