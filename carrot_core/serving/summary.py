"""Decide on many prompts, a block at a time; sum the decisions up and compare them with one model for all prompts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.embedding import Progress, readable
from carrot_core.errors import CarrotError, DataError
from carrot_core.metrics import share_saved
from carrot_core.number_formats import NOTHING_TO_SAVE, lam_text, money_interval, percent, without_nan
from carrot_core.outcomes import FloatTable
from carrot_core.serving import CarrotRouter
from carrot_core.serving.decision import Decisions
from carrot_core.serving.files import CHUNK_PROMPTS, Prompts, Write, decision_file, open_prompts, prompts_from_lines
from carrot_core.serving.intervals import Between
from carrot_core.serving.profile import UNLIKE_FROM
from carrot_core.text import Prompt, alike_warning, fingerprint, prompt_text, visible

ROUTED = "CARROT"
_FINGERPRINTS = 10_000  # prompts whose beginnings are compared


def route_file(
    router: CarrotRouter,
    path: Path,
    out: Path,
    *,
    column: str = "prompt",
    task_column: str | None = None,
    **options: Any,
) -> Summary:
    """Decide on every prompt of a file and write the decisions, in the order of the file.

    Parameters
    ----------
    path, column, task_column : the prompts and their task labels (`carrot_core.serving.files.open_prompts`).
    out : ``.parquet``, ``.csv`` or ``.jsonl``, written only after all decisions. One row per prompt:
        ``prompt_id``, ``model``, ``lam``, ``fell_back``, ``distance_percentile``, and the estimates of that
        model, ``est_score``, ``est_output_tokens``, ``est_cost_usd``; NaN if unknown. If prompts have labels, also
        ``task``: the label that the estimates read, null for none.
    options : ``progress``, ``per_model``, ``with_prompts`` and ``most`` as for `route_all`, and those of
        `CarrotRouter.decide`.

    Raises
    ------
    NotFoundError, DataError
        The file cannot be used, or has no prompts.
    CarrotError
        The decisions cannot be written, or an option is wrong.
    """
    if out.resolve() == path.resolve():
        raise CarrotError(f"The decisions would overwrite the prompts in {str(path)!r}: give another file.")
    with decision_file(out) as write, open_prompts(path, column, task_column) as prompts:
        return route_all(router, prompts, write, **options)


def route_lines(router: CarrotRouter, lines: Iterable[str], out: Path, **options: Any) -> Summary:
    """Decide on one prompt per line, read when needed; blank lines are left out, ids are line numbers.

    Parameters and errors as for `route_file`. The number of prompts is not known before the end, so ``progress``
    is called with the number done as both arguments.
    """
    with decision_file(out) as write:
        return route_all(router, prompts_from_lines(lines), write, **options)


def route_all(
    router: CarrotRouter,
    prompts: Prompts,
    write: Write,
    *,
    progress: Progress | None = None,
    per_model: bool = False,
    with_prompts: bool = False,
    task: str | None = None,
    most: int = CHUNK_PROMPTS,
    **options: Any,
) -> Summary:
    """Decide on prompts chunk by chunk.

    Parameters
    ----------
    write : called with the frame of each chunk, columns as for `route_file`.
    progress : called with (prompts done, all prompts) after every chunk; an exception in it ends the work.
    per_model : add ``<model>|est_score``, ``<model>|est_output_tokens``, ``<model>|est_cost_usd`` of every model.
    with_prompts : add ``prompt``.
    task : label for prompts without one of their own.
    most : prompts decided on together; the decisions do not depend on it.
    options : as for `CarrotRouter.decide`.

    Raises
    ------
    DataError
        There are no prompts, or one of them cannot be used.
    """
    sums = Sums(router)
    labelled = prompts.has_tasks or task is not None
    for chunk in prompts.chunks(most):
        ids, texts, tasks = map(list, zip(*chunk, strict=True))
        decisions = router.decide(texts, task=[own or task for own in tasks], **options)
        sums.note_texts(texts)
        percentile = distance_percentile(router, decisions)
        frame = decision_frame(ids, texts if with_prompts else None, decisions, percentile, per_model)
        if labelled:
            frame["task"] = np.array([label or None for label in decisions.labels.used], dtype=object)
        write(frame)
        sums.add(decisions, percentile)
        if progress is not None:
            progress(sums.n_prompts, max(prompts.count, sums.n_prompts))
    if not sums.n_prompts:
        raise DataError(prompts.source, "has no prompts")
    return sums.summary()


def distance_percentile(router: CarrotRouter, decisions: Decisions) -> FloatTable:
    """(n,) distance to the training data as a percentile; NaN if the router has no vectors."""
    if router.profile.distance is None or decisions.vectors is None:
        return np.full(len(decisions.chosen), np.nan)
    return router.profile.distance.percentile(decisions.vectors)


def decision_frame(
    ids: Sequence[str | None],
    texts: Sequence[str] | None,
    decisions: Decisions,
    percentile: FloatTable,
    per_model: bool,
) -> pd.DataFrame:
    """One row per decision, with the columns that `route_file` writes; ``texts`` fill ``prompt`` unless None."""
    models, rows = decisions.estimates.models, np.arange(len(ids))
    tables = {
        "est_score": decisions.estimates.score,
        "est_output_tokens": decisions.output_tokens,
        "est_cost_usd": decisions.estimates.cost_usd,
    }
    columns: dict[str, Any] = {"prompt_id": ids}
    if texts is not None:
        columns["prompt"] = [readable(text, len(text)) for text in texts]
    columns |= {
        "model": decisions.models,
        "lam": decisions.lam,
        "fell_back": decisions.fell_back,
        "distance_percentile": percentile,
    }
    columns |= {name: table[rows, decisions.chosen] for name, table in tables.items()}
    if per_model:
        for at, model in enumerate(models):
            columns |= {f"{model}|{name}": table[:, at] for name, table in tables.items()}
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class Expected:
    """Expected mean score and total cost in US dollars of answering all prompts in one way."""

    score: Between
    total_cost_usd: Between


@dataclass(frozen=True, eq=False)
class Summary:
    """Summary of the decisions on n prompts.

    The 90 % intervals are those of `carrot_core.serving.intervals.Calibration`: they hold for prompts like
    the benchmark's. They were learned on decisions of the whole pool at the benchmark's prices, so decisions of
    another pool, at other prices or of a fallback have none (NaN), and at other prices no cost has one.

    Attributes
    ----------
    n_prompts, n_fell_back : prompts, and those that the fallback answers.
    n_unlike : prompts at the 99th percentile of distance or above; None if the router has no vectors.
    lam, exchange_rate_per_usd : the point.
    share : share of the prompts, by model of the pool.
    calibrated : whether the decisions have intervals.
    routed : expected figures of the decisions.
    alone : expected figures of each model of the pool if it answered everything.
    best_single : the model to compare with: the best single one on validation or, if that is not in the
        pool, the one with the highest expected score.
    saving : share of the best single model's cost that the decisions save; below 0 if they cost more. Its
        interval treats the errors of the two costs as independent.
    warning : a sentence on odd prompts; "" if there is nothing odd.
    task_notes : prompts whose task label is not used, by the reason.
    """

    n_prompts: int
    n_fell_back: int
    n_unlike: int | None
    lam: float
    exchange_rate_per_usd: float
    share: dict[str, float]
    calibrated: bool
    routed: Expected
    alone: dict[str, Expected]
    best_single: str
    saving: Between
    warning: str = ""
    task_notes: Mapping[str, int] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """A row for the decisions (``model`` is "CARROT") and one for each model alone, the most expensive first.

        ``model``, ``share`` (of the prompts, in CARROT's decisions), ``score``, ``score_low``, ``score_high``,
        ``total_cost_usd``, ``total_cost_low_usd``, ``total_cost_high_usd``.
        """
        by_cost = sorted(self.alone, key=lambda model: -self.alone[model].total_cost_usd.value)
        ways = [(ROUTED, 1.0, self.routed), *((model, self.share[model], self.alone[model]) for model in by_cost)]
        names = ["model", "share", "score", "score_low", "score_high"]
        names += ["total_cost_usd", "total_cost_low_usd", "total_cost_high_usd"]
        return pd.DataFrame(
            [(name, share, *way.score, *way.total_cost_usd) for name, share, way in ways], columns=names
        )

    def document(self) -> dict[str, Any]:
        """The summary as a plain document; null stands for unknown and infinite figures."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        plain: dict[str, Any] = without_nan(document | {"warning": self.warning or None})
        return plain

    def saving_text(self) -> str:
        """The saving against the best single model, with its interval, in words."""
        return NOTHING_TO_SAVE if math.isnan(self.saving.value) else percent(*self.saving)

    def text(self) -> str:
        """The summary as text."""
        routed, alone = self.routed, self.alone[self.best_single]
        best = visible(self.best_single)
        used = sorted((model for model in self.share if self.share[model]), key=lambda model: -self.share[model])
        lines = [
            f"{self.n_prompts:,} prompts at λ {lam_text(self.lam)}. Expected, with 90 % intervals:",
            f"  CARROT: accuracy {percent(*routed.score)}, total cost {money_interval(*routed.total_cost_usd)}",
            f"  {best} alone: accuracy {percent(*alone.score)}, total cost {money_interval(*alone.total_cost_usd)}",
            f"  saving against it: {self.saving_text()}",
            "Answered by: " + ", ".join(f"{visible(model)} {percent(self.share[model])}" for model in used) + ".",
        ]
        if not self.calibrated:
            lines.append(
                "No interval is known for CARROT here: intervals were learned on the whole pool at the "
                "benchmark's prices, without a fallback."
            )
        if self.n_unlike:
            fallback = f"; the fallback answers {self.n_fell_back:,}" if self.n_fell_back else ""
            lines.append(
                f"{self.n_unlike:,} are unlike anything in the training data{fallback}; for them the figures promise "
                "nothing."
            )
        return "\n".join([*lines, *filter(None, [self.warning, self.labels_text()])])

    def labels_text(self) -> str:
        """How many task labels are not used, and why; "" if all are used."""
        return " ".join(f"Task labels of {count:,} prompts: {note}" for note, count in self.task_notes.items())


class Sums:
    """Running sums over the decisions; their size does not grow with the number of prompts."""

    def __init__(self, router: CarrotRouter) -> None:
        self._router = router
        self.n_prompts = self._fell_back = self._unlike = 0
        self._alone: FloatTable = np.zeros((3, 1))  # of each model: prompts it answers, score, dollars
        self._routed: FloatTable = np.zeros(2)  # score, dollars
        self._fingerprints: set[tuple[int, int]] = set()
        self._task_notes: Counter[str] = Counter()

    def note_texts(self, prompts: Iterable[Prompt]) -> None:
        """Remember how prompts begin, for the first `_FINGERPRINTS` only: enough to notice that they are alike."""
        if self._router.profile.encoder is not None and len(self._fingerprints) < _FINGERPRINTS:
            self._fingerprints |= {fingerprint(prompt_text(prompt) or "") for prompt in prompts}

    def add(self, decisions: Decisions, percentile: FloatTable) -> None:
        """Add the decisions on some prompts of one pool and point, with their (n,) percentiles of distance."""
        estimates, chosen = decisions.estimates, decisions.chosen
        tables, rows = (estimates.score, estimates.cost_usd), np.arange(len(chosen))
        count = np.bincount(chosen, minlength=len(estimates.models))
        self._alone = self._alone + np.array([count, *(table.sum(axis=0) for table in tables)])
        self._routed = self._routed + np.array([table[rows, chosen].sum() for table in tables])
        self._own_prices = decisions.own_prices
        self._models, self._lam, self._rate = estimates.models, decisions.lam, decisions.exchange_rate_per_usd
        self.n_prompts += len(chosen)
        self._fell_back += int(decisions.fell_back.sum())
        self._unlike += int((percentile >= UNLIKE_FROM).sum())
        self._task_notes.update(filter(None, decisions.labels.notes))

    def summary(self) -> Summary:
        """Summary of all prompts that were added, at least one."""
        profile, (counts, scores, costs) = self._router.profile, self._alone
        alone = {
            model: self._expected(score, cost, model)
            for model, score, cost in zip(self._models, scores, costs, strict=True)
        }
        best = max(alone, key=lambda model: (model == profile.best_single, alone[model].score.value))
        routed = self._expected(self._routed[0], self._routed[1], None)
        return Summary(
            n_prompts=self.n_prompts,
            n_fell_back=self._fell_back,
            n_unlike=None if profile.distance is None else self._unlike,
            lam=self._lam,
            exchange_rate_per_usd=self._rate,
            share={model: float(n / self.n_prompts) for model, n in zip(self._models, counts, strict=True)},
            calibrated=self._calibrated,
            routed=routed,
            alone=alone,
            best_single=best,
            saving=_saving(routed.total_cost_usd, alone[best].total_cost_usd),
            warning=alike_warning(self._fingerprints),
            task_notes=dict(self._task_notes),
        )

    def _expected(self, score: float, cost_usd: float, model: str | None) -> Expected:
        """Expected figures from sums over the prompts, of ``model`` alone or as routed (None)."""
        n, calibration = self.n_prompts, self._router.profile.calibration
        mean, total = float(score) / n, float(cost_usd)
        at = calibration.at_rate(self._rate)
        if model is not None:
            at = calibration.at_model(self._router.models.index(model))
        elif not self._calibrated:
            return Expected(_bare(mean), _bare(total))
        cost = _bare(total) if self._own_prices else calibration.cost_usd(total, n, at=at)
        return Expected(calibration.score(mean, n, at=at), cost)

    @property
    def _calibrated(self) -> bool:
        whole = set(self._models) == set(self._router.models)
        return whole and not self._own_prices and not self._fell_back


def _bare(value: float) -> Between:
    """A figure without an interval."""
    return Between(value, math.nan, math.nan)


def _saving(routed: Between, alone: Between) -> Between:
    """1 - routed/alone, with an interval from the relative errors of both, as if they were independent."""
    saved = float(share_saved(routed.value, alone.value))
    if math.isnan(saved):
        return Between(saved, saved, saved)
    ratio = routed.value / alone.value
    if not routed.value:
        return Between(1.0, 1.0, 1.0)
    up = ratio * math.hypot(routed.high / routed.value - 1, 1 - alone.low / alone.value)
    down = ratio * math.hypot(1 - routed.low / routed.value, alone.high / alone.value - 1)
    return Between(1 - ratio, 1 - ratio - up, min(1 - ratio + down, 1.0))
