"""Decide on many prompts, such as a file of them, in bounded memory, and sum the decisions up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.embedding import Progress, readable
from carrot_core.errors import CarrotError, DataError
from carrot_core.outcomes import FloatTable
from carrot_core.serving.decision import Decisions
from carrot_core.serving.files import CHUNK_PROMPTS, Prompts, Write, decision_file, open_prompts, prompts_from_lines
from carrot_core.serving.router import CarrotRouter
from carrot_core.serving.summary import Summary, Sums


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
    out : ``.parquet``, ``.csv`` or ``.jsonl``; it is there only once all is decided. A row a prompt:
        ``prompt_id``, ``model``, ``lam``, ``fell_back``, ``distance_percentile``, and what is expected of that
        model, ``est_score``, ``est_output_tokens``, ``est_cost_usd``; NaN where it is not known. Where labels are
        given, ``task``: the one that these rest on, null where there is none.
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
    """Decide on one prompt a line, read as they are needed; blank lines are left out, ids are line numbers.

    Parameters and errors as for `route_file`. How many there are is not known before the end: ``progress``
    is called with the number done twice.
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
    progress : called with (prompts done, prompts there are) after every chunk; what it raises ends the work.
    per_model : add ``<model>|est_score``, ``<model>|est_output_tokens``, ``<model>|est_cost_usd`` of every model.
    with_prompts : add ``prompt``.
    task : label of the prompts that have none of their own.
    most : prompts decided on together; the decisions do not depend on it.
    options : as for `CarrotRouter.decide`.

    Raises
    ------
    DataError
        There are no prompts, or one is not usable.
    """
    sums = Sums(router)
    labelled = prompts.has_tasks or task is not None
    for chunk in prompts.chunks(most):
        ids, texts, tasks = map(list, zip(*chunk, strict=True))
        decisions = router.decide(texts, task=[own or task for own in tasks], **options)
        sums.note_texts(texts)
        percentile = _percentile(router, decisions)
        frame = _frame(ids, texts if with_prompts else None, decisions, percentile, per_model)
        if labelled:
            frame["task"] = np.array([label or None for label in decisions.labels.used], dtype=object)
        write(frame)
        sums.add(decisions, percentile)
        if progress is not None:
            progress(sums.n_prompts, max(prompts.count, sums.n_prompts))
    if not sums.n_prompts:
        raise DataError(prompts.source, "has no prompts")
    return sums.summary()


def _percentile(router: CarrotRouter, decisions: Decisions) -> FloatTable:
    """(n,) distance to the training data as a percentile; NaN where the router has no vectors."""
    if router.profile.distance is None or decisions.vectors is None:
        return np.full(len(decisions.chosen), np.nan)
    return router.profile.distance.percentile(decisions.vectors)


def _frame(
    ids: Sequence[str | None],
    texts: Sequence[str] | None,
    decisions: Decisions,
    percentile: FloatTable,
    per_model: bool,
) -> pd.DataFrame:
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
