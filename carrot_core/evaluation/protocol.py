"""The protocol: which prompts routers learn from, are chosen on and are reported on.

All compared routers come from one `Setting`: the same prompts, pool and choices for each, always with the baselines
(``docs/method.md``, "Protocol").

If the source has no split of its own, a setting is **cross-fitted**: the prompts are in K folds, and in round k a
router learns from all but two of them, choices are made on fold k + 1 and the report is about fold k. So every prompt
is judged once, by a router that never saw it, at a point chosen without it; figures rest on all prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from carrot_core.benchmarks.model_facts_arms import oracle_of_other_samples
from carrot_core.benchmarks.split import OTHER_SPLIT, folds, folds_of, split, text_order
from carrot_core.bootstrap import LEAST_PROMPTS
from carrot_core.errors import CarrotError
from carrot_core.evaluation.missing import donors_of, readable, refill, without_copies, without_costless, without_gaps
from carrot_core.frontier import FloatArray, Frontier, most_accurate, sweep
from carrot_core.outcomes import Benchmark, Estimates, positions
from carrot_core.routers import BASELINES, Router, make_router
from carrot_core.text import text_keys

WITHOUT_TASK = "_without_task"  # suffix of a split's name: estimates without the task label


@dataclass(frozen=True, eq=False)
class Setting:
    """The prompts a router learns from, is tuned on and is measured on, all with the same pool.

    Attributes
    ----------
    train : prompts of the final fit.
    inner_train : prompts of the fit that makes the validation estimates; none of ``validation``.
    validation : prompts on which λ, the cost unit and the best single model are chosen.
    test : prompts the report is about.
    everything : all prompts of the reported benchmark that a router can read.
    report_on : name of ``test`` in results: "test", or "all" for every prompt of a benchmark.
    n_without_text : prompts left out because a router cannot read them.
    n_copies : prompts of another benchmark left out of training because they are reported on.
    n_folds, fold : number of folds, and fold of each prompt by its id, if cross-fitted; then ``train``, ``validation``
        and ``test`` are all prompts: the router that serves learns from all, its λ is chosen by out-of-fold estimates.
    costless : models left out of the pool because none of their costs is recorded.
    """

    train: Benchmark
    inner_train: Benchmark
    validation: Benchmark
    test: Benchmark
    everything: Benchmark
    report_on: str = "test"
    n_without_text: int = 0
    n_copies: int = 0
    n_folds: int = 0
    fold: Mapping[str, int] = field(default_factory=dict)
    costless: tuple[str, ...] = ()

    @cached_property
    def rounds(self) -> tuple[Setting, ...]:
        """The rounds of cross-fitting with prompts to choose on or to report on; without any, this setting."""
        return tuple(self._round(number) for number in self._numbers.tolist()) if self.n_folds else (self,)

    @property
    def _numbers(self) -> npt.NDArray[np.intp]:
        """Ascending numbers of `rounds`."""
        return np.union1d(self._numbers_of("validation"), self._numbers_of("test"))

    def _numbers_of(self, split: str) -> npt.NDArray[np.intp]:
        """(n,) number of the round that chooses on, or reports on, each prompt of a split."""
        chosen_on = split.removesuffix(WITHOUT_TASK) == "validation"
        return (self._folds(self.part(split)) - int(chosen_on)) % self.n_folds

    def _round(self, number: int) -> Setting:
        after = (number + 1) % self.n_folds
        learned, validation, test = (self._folds(part) for part in (self.train, self.validation, self.test))
        train = self.train.rows(~np.isin(learned, (number, after)))
        chosen_on, judged = self.validation.rows(validation == after), self.test.rows(test == number)
        return replace(self, train=train, inner_train=train, validation=chosen_on, test=judged, n_folds=0, fold={})

    def _folds(self, part: Benchmark) -> npt.NDArray[np.intp]:
        return np.array([self.fold[prompt_id] for prompt_id in part.prompt_ids], dtype=np.intp)

    def round_of(self, split: str) -> npt.NDArray[np.intp]:
        """(n,) index in `rounds` of the round that chooses on, or reports on, each prompt of a split."""
        if not self.n_folds:
            return np.zeros(len(self.part(split).prompt_ids), dtype=np.intp)
        return np.searchsorted(self._numbers, self._numbers_of(split))

    @property
    def models(self) -> tuple[str, ...]:
        return self.test.models

    def part(self, split: str) -> Benchmark:
        return self.validation if split.removesuffix(WITHOUT_TASK) == "validation" else self.test

    @property
    def with_all_outcomes(self) -> Setting:
        """The same protocol on prompts with every outcome, for analyses that compare single outcomes."""
        parts = {name: getattr(self, name) for name in ("validation", "test")}
        if all(part.outcomes.complete.all() for part in parts.values()):
            return self
        if not all(part.outcomes.complete.any() for part in parts.values()):
            raise CarrotError(f"No prompt of {self.test.name!r} has an outcome of all {len(self.models)} models.")
        return replace(self, **{name: part.rows(part.outcomes.complete) for name, part in parts.items()})

    def narrowed(self, pool: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> Setting:
        """The same protocol with some of the models and, for choosing and reporting, some of the tasks.

        Routers still learn from all prompts: a filter shows a part of a router's results, not another router.
        """
        parts = {name: getattr(self, name) for name in ("train", "inner_train", "validation", "test", "everything")}
        if pool is not None:
            pools = {id(part): refill(part.pool(pool)) for part in parts.values()}  # several of them may be one
            parts = {name: pools[id(part)] for name, part in parts.items()}
        if tasks is not None:
            for name in ("validation", "test", "everything"):
                parts[name] = parts[name].rows(np.isin(parts[name].tasks, list(tasks)))
        return replace(self, **parts)

    def first(self, n_rounds: int) -> Setting:
        """The same protocol, reporting on the first rounds only, to save fits."""
        if not self.n_folds:
            return self
        chosen_on, judged = (self.part(name).rows(self.round_of(name) < n_rounds) for name in ("validation", "test"))
        return replace(self, validation=chosen_on, test=judged)

    @cached_property
    def _single(self) -> tuple[FloatArray, FloatArray]:
        """(M,) mean score and cost of each model on the validation prompts."""
        name, raw, outcomes = self.validation.name, self.validation.outcomes, self.validation.measured
        if not raw.prompt_ids:
            raise CarrotError(f"No validation prompt of {name!r} is left: choose fewer filters.")
        if outcomes.complete.all():
            return outcomes.score.mean(axis=0), outcomes.cost_usd.mean(axis=0)
        if np.isnan(raw.cost_usd).all() and not np.isnan(raw.score).all():
            raise CarrotError(
                f"{name!r} has scores but no costs, so there is no trade-off to show: import it with tokens and "
                "prices, or with cost_usd."
            )
        costless = [self.models[column] for column in np.flatnonzero(np.isnan(raw.cost_usd).all(axis=0))]
        if costless:
            raise CarrotError(
                f"{costless[0]!r} has no cost on any validation prompt of {name!r}: leave it out, or import it with a "
                "price or, if it really costs nothing, with --free."
            )
        unknown = [
            model
            for model, cells in zip(self.models, (raw.score + raw.cost_usd).T, strict=True)
            if np.isnan(cells).all()
        ]
        raise CarrotError(
            f"No validation prompt of {name!r} has an outcome of {', '.join(unknown)}: leave it out of the pool."
            if unknown
            else f"{name!r} has gaps in its outcomes that nothing stands in for: see carrot_core.evaluation.missing."
        )

    @cached_property
    def best_single(self) -> str:
        """Most accurate single model on validation (`most_accurate`)."""
        return self.models[most_accurate(*self._single, self.models)]

    @property
    def strength(self) -> dict[str, float]:
        """Mean validation score of each model."""
        return dict(zip(self.models, self._single[0].tolist(), strict=True))

    @cached_property
    def cost_unit_usd(self) -> float:
        """u: mean cost per query of the most expensive model of the pool on validation, in US dollars."""
        highest_usd = float(self._single[1].max())
        if highest_usd <= 0:
            raise CarrotError("Every model of the pool is free: there is no trade-off between cost and accuracy.")
        return highest_usd

    def fits(self, router: str, seed: int = 0, params: Mapping[str, Any] | None = None) -> tuple[Router, Router]:
        """A router fitted on ``train``, and one on ``inner_train``; the same object if these are the same prompts."""
        inner = make_router(router, seed, **dict(params or {})).fit(self.inner_train)
        if self.train is self.inner_train:
            return inner, inner
        return make_router(router, seed, **dict(params or {})).fit(self.train), inner

    def fit(
        self, router: str, seed: int = 0, params: Mapping[str, Any] | None = None
    ) -> tuple[Router, dict[str, Estimates]]:
        """A router fitted on ``train``, and its estimates by split: those of `tables`, or joined from all rounds."""
        fitted, inner = self.fits(router, seed, params)
        return fitted, self.estimates(router, seed, params) if self.n_folds else self.tables(fitted, inner)

    def tables(self, fitted: Router, inner: Router) -> dict[str, Estimates]:
        """Estimates by split: those of validation from the fit on ``inner_train``, those of the report on ``train``.

        A router that reads task labels also has estimates without labels, under `WITHOUT_TASK`.
        """
        parts = {"validation": (inner, self.validation), self.report_on: (fitted, self.test)}
        parts = {name: (by, part) for name, (by, part) in parts.items() if part.prompt_ids}
        if getattr(fitted, "tasks_", None) is not None:
            parts |= {
                name + WITHOUT_TASK: (by, replace(part, tasks=("",) * len(part.tasks)))
                for name, (by, part) in parts.items()
            }
        return {name: by.estimate(part) for name, (by, part) in parts.items()}

    def estimates(self, router: str, seed: int = 0, params: Mapping[str, Any] | None = None) -> dict[str, Estimates]:
        """Estimates of a router by split, from `fit`."""
        if not self.n_folds:
            return self.fit(router, seed, params)[1]
        return self.joined([each.estimates(router, seed, params) for each in self.rounds])

    def joined(
        self, tables: Sequence[Mapping[str, Estimates]], models: Sequence[str] | None = None
    ) -> dict[str, Estimates]:
        """Estimates by split, joined from all rounds: every prompt by a router that had not seen it.

        ``models`` are the models that may be estimated, in order; by default the pool.
        """
        if not self.n_folds:
            return dict(tables[0])
        return {
            split: Estimates.join(
                [t[split] for t in tables if split in t], self.part(split).prompt_ids, models or self.models
            )
            for split in dict.fromkeys(split for table in tables for split in table)
        }

    def own(self, estimates: Mapping[str, Estimates]) -> dict[str, Estimates]:
        """The part of the estimates by split that is of this setting's prompts."""
        tables = {}
        for name, table in estimates.items():
            ids = set(self.part(name).prompt_ids)
            tables[name] = table.rows(np.array([prompt_id in ids for prompt_id in table.prompt_ids], dtype=bool))
        return tables

    @cached_property
    def baselines(self) -> dict[str, dict[str, Estimates]]:
        """Estimates of every baseline, by name and split; without the oracle if no prompt has every outcome."""
        tables = {name: self.estimates(name) for name in BASELINES}
        return {name: by_split for name, by_split in tables.items() if all(t.prompt_ids for t in by_split.values())}

    def baseline(self, name: str) -> dict[str, Estimates]:
        """Estimates of one baseline by split; raises a `CarrotError` if there is none."""
        if name not in self.baselines:
            raise CarrotError(f"No prompt of {self.test.name!r} has an outcome of all {len(self.models)} models.")
        return self.baselines[name]

    @cached_property
    def oracle_luck(self) -> float | None:
        """Loss of the oracle's score at λ = 0 on samples by which it did not choose; None if unknown.

        It bounds the part of the score that is luck of single runs, on prompts that the whole pool answered several
        times.
        """
        curves = curves_of_other_samples(self.test)
        if not curves:
            return None
        rows = positions(curves[0].outcomes.prompt_ids, self.test.prompt_ids, "prompt")
        own = self.test.outcomes.score[rows].max(axis=1).mean()
        return float(own - np.mean([curve.score[0] for curve in curves]))

    def frontier(self, estimates: Mapping[str, Estimates], split: str) -> Frontier:
        """Exact curve of a router's stored estimates on the prompts and pool of this setting."""
        return self.curve(estimates[split], self.part(split))

    def curve(self, table: Estimates, part: Benchmark) -> Frontier:
        """Exact curve of estimates on some prompts of the benchmark, with the pool of this setting.

        All are measured on the same prompts; a router that chooses by outcomes on those it read (`Benchmark.whole`).
        """
        pool = [model for model in self.models if model in table.models]
        absent = ", ".join(model for model in table.models if model not in self.models)
        if not pool:
            raise CarrotError(f"A router chooses among {absent} only: add one to the pool, or leave its curve out.")
        if absent and table.cost_is_paid:
            raise CarrotError(f"A cascade calls {absent}, too: add to the pool, or leave its curve out.")
        ids, donors = set(part.prompt_ids), None
        mask = np.array([prompt_id in ids for prompt_id in table.prompt_ids], dtype=bool)
        table, outcomes, whole = table.pool(pool).rows(mask), part.measured, part.whole.pool(pool)
        reads_outcomes = table.cost_is_paid or np.array_equal(table.score, whole.score)
        if part.prompt_ids and not table.prompt_ids:
            raise CarrotError(f"No prompt of {part.name!r} has an outcome of all {len(self.models)} models.")
        if reads_outcomes and outcomes is not part.outcomes and table.prompt_ids == part.prompt_ids:
            outcomes, donors = part.whole, donors_of(part)
        curve = sweep(table, outcomes, self.models)
        rows = positions(curve.outcomes.prompt_ids, part.prompt_ids, "prompt")
        curve = replace(curve, donors=donors, keys=text_order(part)[rows])
        if part.latency_s is None or np.isnan(part.latency_s).all(axis=0).any():
            return curve
        return replace(curve, call_s=part.latency_s[np.ix_(rows, positions(self.models, part.models))])

    def n_incomplete(self, split: str) -> int:
        """Prompts on which some model of the pool was not observed."""
        return int((~self.part(split).outcomes.complete).sum())


def curves_of_other_samples(part: Benchmark) -> list[Frontier]:
    """Curves of `oracle_of_other_samples`; none on fewer prompts than an interval needs."""
    curves = [sweep(*fold) for fold in oracle_of_other_samples(part)]
    return curves if curves and curves[0].n_prompts >= LEAST_PROMPTS else []


def make_setting(bench: Benchmark, fit_on: Benchmark | None = None, n_folds: int | None = None) -> Setting:
    """The protocol on one benchmark, or fitted on one and measured on all prompts of another.

    A benchmark is judged by its source's own split; without one or with ``n_folds``, by cross-fitting. With ``fit_on``,
    routers learn from all of it, choices are made on its validation split with a fit that has not seen it, and the
    report is about every prompt of ``bench``; models are matched by name. Prompts of ``fit_on`` whose text is reported
    on are left out of it. Models without any cost are left out of the pool if others have costs.
    """
    target, n_unreadable = readable(bench)
    target, costless = without_costless(target)
    target = without_gaps(target)
    n_folds = folds_of(bench, fit_on, n_folds)
    if n_folds:
        fold = folds(target.prompt_ids, text_keys(target.texts, target.text_hashes), target.tasks, n_folds).tolist()
        place = dict(zip(target.prompt_ids, fold, strict=True))
        return Setting(target, target, target, target, target, "all", n_unreadable, 0, max(fold) + 1, place, costless)
    if fit_on is None:
        train = target.part("train")
        setting = Setting(train, train, target.part("validation"), target.part("test"), target, "test", n_unreadable)
    else:
        source, copies = without_copies(without_gaps(readable(fit_on.pool(target.models))[0]), target)
        setting = Setting(
            source, source.part("train"), source.part("validation"), target, target, "all", n_unreadable, copies
        )
    setting = replace(setting, costless=costless)
    for name, part in (("train", setting.train), ("validation", setting.validation), ("test", setting.test)):
        if not part.prompt_ids:
            raise CarrotError(
                f"{bench.name!r} has no {name} prompts left to work with. If its own split has none, import it again. "
                f"{OTHER_SPLIT}"
            )
    return setting


def split_by_seed(bench: Benchmark, seed: int) -> Benchmark:
    """The same prompts in another split: 70/15/15 train, validation and test of the distinct texts, by a seed."""
    return replace(bench, split=split(bench.prompt_ids, text_keys(bench.texts, bench.text_hashes), seed=seed))


def tasks_of(part: Benchmark, curve: Frontier) -> npt.NDArray[np.object_]:
    """(n,) task of each prompt of a curve on some of the benchmark's prompts."""
    task_of = dict(zip(part.prompt_ids, part.tasks, strict=True))
    return np.array([task_of[prompt_id] for prompt_id in curve.outcomes.prompt_ids], dtype=object)
