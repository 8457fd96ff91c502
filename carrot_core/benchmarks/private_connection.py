"""A DuckDB instance of its own for files and predicates of strangers, and rows chosen in it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from carrot_core.benchmarks import Frames
from carrot_core.errors import DataError


def reason(error: Exception) -> str:
    """What DuckDB says about an expression, on one line, without its own words about itself."""
    text = str(error).split("\nLINE ")[0].split("\nCandidate")[0]
    return re.sub(r"\A(?:Invalid Input|[A-Z][A-Za-z]+) (?:exception|Error): ", "", " ".join(text.split()))[:400]


@contextmanager
def private_connection(path: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB instance of its own, in memory or on a file nobody else has open.

    Nothing is fetched from a network, no Python variable is visible to a query, and what does not fit
    into memory goes to a temporary folder that is gone afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-", dir=path.parent if path else None) as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": spill,
        }
        with duckdb.connect(str(path) if path else ":memory:", config=config) as connection:
            connection.execute("set enable_progress_bar = false")  # DuckDB draws one on standard output after 2 s
            yield connection


def lock_down(connection: duckdb.DuckDBPyConnection) -> None:
    """Lock a connection: it can open no more files and change no settings."""
    connection.execute("set enable_external_access = false; set lock_configuration = true")


_CELLS = """
create view cells as select outcomes.*, prompts.text as prompt, prompts.task, prompts.family as benchmark,
prompts.split from outcomes join prompts using (prompt_id)
"""


def choose(frames: Frames, where: str) -> Frames:
    """Keep the outcomes that satisfy a predicate, with their prompts and models.

    Parameters
    ----------
    frames : what a reader returned.
    where : SQL predicate over the columns of the long format: prompt_id, model, score, prompt, task,
        benchmark, split, input_tokens, output_tokens, cost_usd.

    Raises
    ------
    DataError
        The predicate cannot be evaluated, or keeps fewer than two models.
    """
    rows = _matching_rows(frames, where)
    outcomes = frames.outcomes.iloc[rows].reset_index(drop=True)
    prompts = frames.prompts[frames.prompts["prompt_id"].isin(set(outcomes["prompt_id"]))].reset_index(drop=True)
    models = frames.models[frames.models["model"].isin(set(outcomes["model"]))].reset_index(drop=True)
    if len(models) < 2:
        raise DataError(frames.provenance.source, f"the predicate {where!r} keeps {len(models)} models; two are needed")
    note = "; ".join(part for part in (frames.provenance.note, f"rows where {where}") if part)
    provenance = replace(frames.provenance, rows=len(outcomes), note=note)
    return replace(frames, prompts=prompts, models=models, outcomes=outcomes, provenance=provenance)


def _matching_rows(frames: Frames, where: str) -> list[int]:
    with private_connection() as connection:
        numbered = frames.outcomes.assign(row=range(len(frames.outcomes)))
        connection.register("given_outcomes", numbered)
        connection.register("given_prompts", frames.prompts)
        connection.execute("create table outcomes as from given_outcomes; create table prompts as from given_prompts")
        connection.execute(_CELLS)
        lock_down(connection)
        try:
            matches = connection.table("cells").filter(duckdb.SQLExpression(where)).project("row").fetchall()
        except (duckdb.Error, RuntimeError) as error:
            message = f"the predicate {where!r} cannot be used: {reason(error)}"
            raise DataError(frames.provenance.source, message) from error
    return sorted(row for (row,) in matches)
