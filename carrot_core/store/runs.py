"""Runs (evaluated routers), each a file in the folder of its benchmark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.outcomes import Estimates, pick, positions
from carrot_core.store.database import identity, reading, reading_each, rows, translate_errors, writing
from carrot_core.store.folder import Files, Folder, key

_HEADER = (
    "select router, params, seed, fit_on, pool, versions, data_hash, cost_unit_usd, best_single, metrics, "
    "strftime(created_at, '%Y-%m-%dT%H:%M:%S.%f+00:00') from runs"
)
_MOST_KNOWN = 4096
_row_cache: dict[tuple[Path, str], tuple[Any, ...]] = {}  # rows of runs by file and its identity


def to_json(what: str, value: Any) -> str:
    """Canonical JSON text; raises a `CarrotError` that names ``what`` for a value JSON cannot hold (NaN, an object)."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise CarrotError(f"{what} of a run must be plain JSON (None where not a number): {error}.") from error


def run_id(
    benchmark: str,
    router: str,
    params: Mapping[str, Any],
    seed: int,
    fit_on: str | None,
    pool: Sequence[str],
    n_folds: int = 0,
    split_seed: int | None = None,
) -> str:
    """Identity of a run: sha256 of the request, not of the result. The order of the pool does not matter."""
    request = [benchmark, router, dict(params), seed, fit_on, sorted(pool)]
    request += [{"n_folds": n_folds}] if n_folds else [] if split_seed is None else [split_seed]
    return hashlib.sha256(to_json("The identity", request).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Run:
    """One evaluated router.

    Attributes
    ----------
    benchmark, router, params, seed, fit_on, pool : the request, which determines the ``run_id``.
        ``fit_on`` is None when fitted on the train split of the benchmark itself; an empty ``pool`` means
        all models of the benchmark.
    versions : version by package name.
    data_hash : hash of the content of the benchmark.
    cost_unit_usd : u of the rule, US dollars.
    best_single : best single model on validation.
    created_at : UTC, ISO 8601.
    metrics : figures and the split they are for, as plain JSON; None if a figure does not exist.
    estimates : table by split name ("train", "validation", "test", "all"); None if not loaded.
    router_json, router_safetensors : the fitted router, as a document and its arrays; None if it was not
        stored or not loaded.
    """

    benchmark: str
    router: str
    params: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    data_hash: str
    cost_unit_usd: float
    best_single: str
    created_at: str
    fit_on: str | None = None
    pool: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    estimates: Mapping[str, Estimates] | None = None
    router_json: str | None = None
    router_safetensors: bytes | None = None

    @property
    def n_folds(self) -> int:
        """Folds of cross-fitting; 0 if the stored split was used, as in all runs until version 0.3."""
        return int(self.metrics.get("n_folds", 0))

    @cached_property
    def run_id(self) -> str:
        """sha256 of the identity (see `run_id`); runs until version 0.3 may have a split of their own seed."""
        split_seed = self.metrics.get("split_seed")
        identity = self.benchmark, self.router, self.params, self.seed, self.fit_on, self.pool
        return run_id(*identity, self.n_folds, split_seed)


def file_name(run_id: str, fit_on: str | None) -> str:
    """Name of a run's file; it has the key of the benchmark the router was fitted on, if that is another one."""
    return f"run-{run_id}{'' if fit_on is None else f'-{key(fit_on)}'}.duckdb"


def fitted_on(folders: Sequence[Folder], name: str) -> list[Path]:
    """Files of runs on other benchmarks whose routers were fitted on this one; they are invalid without it."""
    currents = [current for folder in folders if (current := folder.current()) is not None]
    return [path for current in currents for path in current.glob(f"run-*-{key(name)}.duckdb")]


def save(main: Path, folder: Path, run: Run) -> None:
    """Write a run with its tables; one of the same identity is replaced.

    ``main`` is the file of its benchmark, ``folder`` the place for the run's own file.
    """
    with reading(main) as connection:
        names = _names(connection)
    with writing(folder / file_name(run.run_id, run.fit_on), "run") as connection:
        connection.execute(
            "insert into runs values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                run.run_id, run.router, to_json("params", dict(run.params)), run.seed, run.fit_on, list(run.pool),
                to_json("versions", dict(run.versions)), run.data_hash, run.cost_unit_usd, run.best_single,
                to_json("metrics", dict(run.metrics)), _utc(run.created_at),
            ],
        )  # fmt: skip
        if run.router_json is not None or run.router_safetensors is not None:
            connection.execute("insert into fitted_routers values (?, ?)", [run.router_json, run.router_safetensors])
        for split, table in (run.estimates or {}).items():
            _save_estimates(connection, split, table, *names)


def list_runs(files: Files, benchmark: str) -> list[Run]:
    """Runs on a benchmark, newest first, without their tables and fitted routers; `damaged` has the others."""
    headers, _ = _headers(files.of("run-"))
    runs = [(_run(benchmark, row), path.stat().st_mtime_ns) for path, row in headers.items()]
    return [run for run, _ in sorted(runs, key=lambda pair: (pair[0].created_at, pair[1]), reverse=True)]


def damaged(files: Files) -> list[StoreError]:
    """One error for each run's file that cannot be read."""
    return _headers(files.of("run-"))[1]


def _headers(paths: Sequence[Path]) -> tuple[dict[Path, tuple[Any, ...]], list[StoreError]]:
    """The row of each readable file, and the errors of the others; rows are cached until the file changes."""
    keys = {path: (path, identity(path)) for path in paths}
    headers = {path: row for path, key in keys.items() if (row := _row_cache.get(key)) is not None}
    new, errors = [path for path in paths if path not in headers], list[StoreError]()
    try:
        headers |= _rows_of(new)
    except StoreError:  # read each by itself, which is slower
        for path in new:
            try:
                headers |= _rows_of([path])
            except StoreError as error:
                if not path.exists():
                    raise  # other files took its place meanwhile
                errors.append(error)
    if len(_row_cache) > _MOST_KNOWN:
        _row_cache.clear()
    _row_cache.update({keys[path]: row for path, row in headers.items()})
    return headers, errors


def _rows_of(paths: Sequence[Path]) -> dict[Path, tuple[Any, ...]]:
    headers = {}
    for path, connection in reading_each(paths):
        with translate_errors(path):
            (headers[path],) = rows(connection, _HEADER)
    return headers


def find(files: Files, run_id: str) -> Path | None:
    """The file of a run; None if there is no such run."""
    paths = [*files.of(f"run-{run_id}.duckdb"), *files.of(f"run-{run_id}-")]
    return paths[0] if paths else None


def load(files: Files, run_id: str, router: bool = False) -> Run:
    """Load a run with its tables and, on demand, its fitted router."""
    path = find(files, run_id)
    if path is None:
        raise NotFoundError(f"There is no run {run_id[:12]!r} in the store; evaluate the router first.")
    with reading(files.main) as connection:
        ((benchmark,),) = rows(connection, "select name from benchmarks")
        names = _names(connection)
    with reading(path) as connection:
        (row,) = rows(connection, _HEADER)
        splits = rows(connection, "select distinct split from estimates order by split")
        fitted = rows(connection, "from fitted_routers") if router else []
        run = _run(benchmark, row)
        paid = bool(run.metrics.get("cost_is_paid"))  # one property of all its tables, stored with its figures
        tables = {split: _load_estimates(connection, split, *names, paid) for (split,) in splits}
    document, arrays = fitted[0] if fitted else (None, None)
    return replace(run, estimates=tables, router_json=document, router_safetensors=arrays)


def _names(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], list[str]]:
    """Prompt ids and model names of a benchmark, by number."""
    ids = rows(connection, "select prompt_id from prompts order by prompt")
    models = rows(connection, "select name from models order by model")
    return [prompt_id for (prompt_id,) in ids], [name for (name,) in models]


def _save_estimates(
    connection: duckdb.DuckDBPyConnection, split: str, table: Estimates, ids: list[str], models: list[str]
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
    if table.output_tokens is not None:
        frame["est_output_tokens"] = table.output_tokens.ravel()
    frame = frame[frame["est_score"].notna()]  # a round of cross-fitting may choose among other models than another
    connection.register("incoming", frame)
    connection.execute("insert into estimates by name select ? as split, * from incoming", [split])
    connection.unregister("incoming")


def _load_estimates(
    connection: duckdb.DuckDBPyConnection, split: str, ids: list[str], models: list[str], paid: bool
) -> Estimates:
    cells = connection.execute("from estimates where split = ? order by prompt, model", [split]).fetchnumpy()
    prompt, row = np.unique(cells["prompt"], return_inverse=True)
    model, column = np.unique(cells["model"], return_inverse=True)
    tables = np.full((3, len(prompt), len(model)), np.nan)
    for table, name in zip(tables, ("est_score", "est_cost_usd", "est_output_tokens"), strict=True):
        table[row, column] = np.ma.filled(np.ma.asarray(cells.get(name, np.nan), dtype=np.float64), np.nan)
    prompt_ids, names = [ids[place] for place in prompt], [models[place] for place in model]
    pools, pool_of = np.unique(~np.isnan(tables[0]), axis=0, return_inverse=True)
    parts = []
    for number, pool in enumerate(pools):
        here = pool_of.ravel() == number
        score, cost, tokens = tables[:, here][:, :, pool]
        free = None if np.isnan(tokens).all() else tokens
        parts.append(Estimates(pick(prompt_ids, here), pick(names, pool), score, cost, paid, free))
    return parts[0] if len(parts) == 1 else Estimates.join(parts, prompt_ids, names)


def _run(name: str, row: Sequence[Any]) -> Run:
    router, params, seed, fit_on, pool, versions, data_hash, unit, best, metrics, created = row
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
