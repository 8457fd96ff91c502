"""Evaluated routers in the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.outcomes import Estimates, positions
from carrot_core.store.database import rows
from carrot_core.store.records import Run, to_json

_COLUMNS = (
    "b.name, router, params, seed, fit_on, pool, versions, r.data_hash, cost_unit_usd, best_single, metrics, "
    "strftime(created_at, '%Y-%m-%dT%H:%M:%S.%f+00:00')"
)
_FROM = "from runs r join benchmarks b using (benchmark)"


def save(connection: duckdb.DuckDBPyConnection, benchmark: int, run: Run) -> None:
    """Insert a run and its tables; a run of the same identity goes first."""
    old = "select run from runs where run_id = ?"
    connection.execute(f"delete from estimates where run in ({old})", [run.run_id])  # noqa: S608
    connection.execute("delete from runs where run_id = ?", [run.run_id])
    ((number,),) = rows(connection, "select coalesce(max(run), 0) + 1 from runs")
    connection.execute(
        "insert into runs values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            number, run.run_id, benchmark, run.router, to_json("params", dict(run.params)), run.seed, run.fit_on,
            list(run.pool), to_json("versions", dict(run.versions)), run.data_hash, run.cost_unit_usd,
            run.best_single, to_json("metrics", dict(run.metrics)), _utc(run.created_at),
        ],
    )  # fmt: skip
    names = _names(connection, benchmark)
    for split, table in (run.estimates or {}).items():
        _save_estimates(connection, number, split, table, *names)


def listed(connection: duckdb.DuckDBPyConnection, benchmark: int) -> list[Run]:
    """Runs on a benchmark, newest first, without their tables."""
    newest_first = f"select {_COLUMNS} {_FROM} where benchmark = ? order by created_at desc, run desc"
    return [_run(row) for row in rows(connection, newest_first, benchmark)]


def load(connection: duckdb.DuckDBPyConnection, run_id: str) -> Run:
    """One run with its tables."""
    found = rows(connection, f"select run, benchmark, {_COLUMNS} {_FROM} where run_id = ?", run_id)
    if not found:
        raise NotFoundError(f"There is no run {run_id[:12]!r} in the store; evaluate the router first.")
    ((number, benchmark, *row),) = found
    names = _names(connection, benchmark)
    splits = rows(connection, "select distinct split from estimates where run = ? order by split", number)
    run = _run(row)
    paid = bool(run.metrics.get("cost_is_paid"))  # one property of all its tables, kept with its figures
    tables = {split: _load_estimates(connection, number, split, *names, paid) for (split,) in splits}
    return replace(run, estimates=tables)


def _names(connection: duckdb.DuckDBPyConnection, benchmark: int) -> tuple[list[str], list[str]]:
    """Prompt ids and model names of a benchmark, by number."""
    ids = rows(connection, "select prompt_id from prompts where benchmark = ? order by prompt", benchmark)
    models = rows(connection, "select name from models where benchmark = ? order by model", benchmark)
    return [prompt_id for (prompt_id,) in ids], [name for (name,) in models]


def _save_estimates(
    connection: duckdb.DuckDBPyConnection, number: int, split: str, table: Estimates, ids: list[str], models: list[str]
) -> None:
    prompt = positions(table.prompt_ids, ids, "prompt").astype(np.int32)
    model = positions(table.models, models).astype(np.int32)
    frame = pd.DataFrame(
        {
            "prompt": np.repeat(prompt, len(model)),
            "model": np.tile(model, len(prompt)),
            "est_score": table.score.ravel(),
            "est_cost_usd": table.cost_usd.ravel(),
        }
    )
    connection.register("incoming", frame)
    connection.execute(
        "insert into estimates select ?, ?, prompt, model, est_score, est_cost_usd from incoming", [number, split]
    )
    connection.unregister("incoming")


def _load_estimates(
    connection: duckdb.DuckDBPyConnection, number: int, split: str, ids: list[str], models: list[str], paid: bool
) -> Estimates:
    cells = connection.execute(
        "select prompt, model, est_score, est_cost_usd from estimates where run = ? and split = ? "
        "order by prompt, model",
        [number, split],
    ).fetchnumpy()
    prompt, model = np.unique(cells["prompt"]), np.unique(cells["model"])
    shape = (len(prompt), len(model))
    return Estimates(
        tuple(ids[row] for row in prompt),
        tuple(models[column] for column in model),
        np.asarray(cells["est_score"]).reshape(shape),
        np.asarray(cells["est_cost_usd"]).reshape(shape),
        paid,
    )


def _run(row: Sequence[Any]) -> Run:
    name, router, params, seed, fit_on, pool, versions, data_hash, unit, best, metrics, created = row
    return Run(
        benchmark=name, router=router, params=json.loads(params), seed=seed, fit_on=fit_on, pool=tuple(pool),
        versions=json.loads(versions), data_hash=data_hash, cost_unit_usd=unit, best_single=best,
        metrics=json.loads(metrics), created_at=created,
    )  # fmt: skip


def _utc(moment: str) -> datetime:
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).replace(tzinfo=None)
    except ValueError as error:
        raise CarrotError(f"created_at of a run must be ISO 8601, not {moment!r}.") from error
