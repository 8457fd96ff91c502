"""Who learns from which prompts, what is chosen where, and what the report is about.

Everything that is compared comes from one `Setting`: the same prompts, the same pool, the same choices
for every router, with the baselines always alongside (``docs/method.md``, "Protocol").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from carrot_core.benchmarks.split import OTHER_SPLIT, split
from carrot_core.bootstrap import LEAST_PROMPTS
from carrot_core.errors import CarrotError
from carrot_core.evaluation.leakage import normal
from carrot_core.evaluation.missing import standing_for_all, without_gaps
from carrot_core.frontier import FloatArray, Frontier, sweep
from carrot_core.outcomes import Benchmark, Estimates, most_accurate, pick, positions, text_keys
from carrot_core.routers import BASELINES, Router, make_router
from carrot_core.routers.baselines import oracle_of_other_samples


@dataclass(frozen=True, eq=False)
class Setting:
    """The prompts a router learns from, is tuned on and is measured on, all with the same pool.

    Attributes
    ----------
    train : prompts of the final fit.
    inner_train : prompts of the fit that validation estimates come from: never those of ``validation``.
    validation : prompts on which λ, the cost unit and the best single model are chosen.
    test : prompts the report is about.
    everything : all prompts of the benchmark the report is about that a router can read.
    report_on : name of ``test`` in results: "test", or "all" for every prompt of a benchmark not learned from.
    n_without_text : prompts left out because a router cannot read them.
    n_copies : prompts of another benchmark left out of training because they are reported on.
    """

    train: Benchmark
    inner_train: Benchmark
    validation: Benchmark
    test: Benchmark
    everything: Benchmark
    report_on: str = "test"
    n_without_text: int = 0
    n_copies: int = 0

    @property
    def models(self) -> tuple[str, ...]:
        return self.test.models

    def part(self, split: str) -> Benchmark:
        return self.validation if split == "validation" else self.test

    @property
    def with_all_outcomes(self) -> Setting:
        """The same protocol where every outcome is there, for what compares single outcomes."""
        parts = {name: getattr(self, name) for name in ("validation", "test")}
        if all(part.outcomes.complete.all() for part in parts.values()):
            return self
        if not all(part.outcomes.complete.any() for part in parts.values()):
            raise CarrotError(f"No prompt of {self.test.name!r} has an outcome of all {len(self.models)} models.")
        return replace(self, **{name: part.rows(part.outcomes.complete) for name, part in parts.items()})

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
        """u: mean cost per query of the dearest model of the pool on validation, in US dollars."""
        dearest = float(self._single[1].max())
        if dearest <= 0:
            raise CarrotError("Every model of the pool is free: there is no trade-off between cost and accuracy.")
        return dearest

    def fits(self, router: str, seed: int = 0, params: Mapping[str, Any] | None = None) -> tuple[Router, Router]:
        """A router fitted on ``train``, and one on ``inner_train``: the same where these are the same prompts."""
        inner = make_router(router, seed, **dict(params or {})).fit(self.inner_train)
        if self.train is self.inner_train:
            return inner, inner
        return make_router(router, seed, **dict(params or {})).fit(self.train), inner

    def fit(
        self, router: str, seed: int = 0, params: Mapping[str, Any] | None = None
    ) -> tuple[Router, dict[str, Estimates]]:
        """A router fitted on ``train``, and its estimates by split, see `tables`."""
        fitted, inner = self.fits(router, seed, params)
        return fitted, self.tables(fitted, inner)

    def tables(self, fitted: Router, inner: Router) -> dict[str, Estimates]:
        """Estimates by split: those of validation from the fit on ``inner_train``, those of the report on ``train``."""
        return {"validation": inner.estimate(self.validation), self.report_on: fitted.estimate(self.test)}

    def estimates(self, router: str, seed: int = 0, params: Mapping[str, Any] | None = None) -> dict[str, Estimates]:
        """Estimates of a router by split, as `fit` gives them."""
        return self.fit(router, seed, params)[1]

    @cached_property
    def baselines(self) -> dict[str, dict[str, Estimates]]:
        """Estimates of every baseline, by name and split; none of the oracle where no prompt has every outcome."""
        tables = {name: self.estimates(name) for name in BASELINES}
        return {name: by_split for name, by_split in tables.items() if all(t.prompt_ids for t in by_split.values())}

    def baseline(self, name: str) -> dict[str, Estimates]:
        """Estimates of one baseline by split; a `CarrotError` where there is none."""
        if name not in self.baselines:
            raise CarrotError(f"No prompt of {self.test.name!r} has an outcome of all {len(self.models)} models.")
        return self.baselines[name]

    @cached_property
    def oracle_luck(self) -> float | None:
        """What the oracle's score at λ = 0 loses on samples it did not choose by; None where that cannot be told.

        It is the most of the score that may be luck of single runs, on the prompts that the whole pool answered
        several times.
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

        A router may choose among some of the pool only; it is measured on the same prompts as all others. One that
        has estimates only where all outcomes are there looks at them: those prompts stand for all (`standing_for_all`).
        """
        pool = [model for model in self.models if model in table.models]
        absent = ", ".join(model for model in table.models if model not in self.models)
        if not pool:
            raise CarrotError(f"A router chooses among {absent} only: add one to the pool, or leave its curve out.")
        if absent and table.cost_is_paid:
            raise CarrotError(f"A cascade calls {absent}, too: add to the pool, or leave its curve out.")
        ids = set(part.prompt_ids)
        mask = np.array([prompt_id in ids for prompt_id in table.prompt_ids], dtype=bool)
        table, outcomes, complete = table.pool(pool).rows(mask), part.measured, part.pool(pool).outcomes.complete
        if not complete.all() and table.prompt_ids == pick(part.prompt_ids, complete):
            table, outcomes = standing_for_all(part, table)
        return sweep(table, outcomes, self.models)

    def n_incomplete(self, split: str) -> int:
        """Prompts on which some model of the pool was not observed."""
        return int((~self.part(split).outcomes.complete).sum())


def curves_of_other_samples(part: Benchmark) -> list[Frontier]:
    """Curves of `oracle_of_other_samples`; none where they stand on fewer prompts than an interval needs."""
    curves = [sweep(*fold) for fold in oracle_of_other_samples(part)]
    return curves if curves and curves[0].n_prompts >= LEAST_PROMPTS else []


def make_setting(bench: Benchmark, fit_on: Benchmark | None = None) -> Setting:
    """The protocol on one benchmark, or fitted on one and measured on all prompts of another.

    With ``fit_on``, routers learn from all of it, choices are made on its validation split with a fit
    that has not seen it, and the report is about every prompt of ``bench``; models are matched by name. Prompts
    of ``fit_on`` whose text is reported on are left out of it.
    """
    target, n_unreadable = _readable(bench)
    target = without_gaps(target)
    if fit_on is None:
        train = target.part("train")
        setting = Setting(train, train, target.part("validation"), target.part("test"), target, "test", n_unreadable)
    else:
        source, copies = _without_copies(without_gaps(_readable(fit_on.pool(bench.models))[0]), target)
        setting = Setting(
            source, source.part("train"), source.part("validation"), target, target, "all", n_unreadable, copies
        )
    for name, part in (("train", setting.train), ("validation", setting.validation), ("test", setting.test)):
        if not part.prompt_ids:
            raise CarrotError(
                f"{bench.name!r} has no {name} prompts left to work with. If its own split has none, import it again. "
                f"{OTHER_SPLIT}"
            )
    return setting


def split_by_seed(bench: Benchmark, seed: int) -> Benchmark:
    """The same prompts in another train, validation and test: 70/15/15 of the distinct texts by a seed."""
    return replace(bench, split=split(bench.prompt_ids, text_keys(bench.texts, bench.text_hashes), seed=seed))


def tasks_of(part: Benchmark, curve: Frontier) -> npt.NDArray[np.object_]:
    """(n,) task of each of a curve's prompts, which are some of the benchmark's."""
    task_of = dict(zip(part.prompt_ids, part.tasks, strict=True))
    return np.array([task_of[prompt_id] for prompt_id in curve.outcomes.prompt_ids], dtype=object)


def _without_copies(source: Benchmark, target: Benchmark) -> tuple[Benchmark, int]:
    """The prompts whose text is not in the target, and how many are left out."""
    texts = {normal(text) for text in target.texts if text is not None}
    hashes = set(target.text_hashes) - {None}
    new = np.array(
        [
            (text is None or normal(text) not in texts) and text_hash not in hashes
            for text, text_hash in zip_longest(source.texts, source.text_hashes)
        ],
        dtype=bool,
    )
    return (source, 0) if new.all() else (source.rows(new), int((~new).sum()))


def _readable(bench: Benchmark) -> tuple[Benchmark, int]:
    """Prompts a router can read, and how many are left out; a benchmark without any text is kept whole."""
    has_text = np.array([text is not None for text in bench.texts], dtype=bool)
    if has_text.all() or not has_text.any():
        return bench, 0
    return bench.rows(has_text), int((~has_text).sum())
