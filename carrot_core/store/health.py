"""Whether everything in the database can still be read, and a new file made of what can."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from carrot_core.errors import NotFoundError, StoreError
from carrot_core.store.content import content_hash
from carrot_core.store.database import Database, rows
from carrot_core.store.listing import numbers

Progress = Callable[[int, int], None]
_OUTCOMES = """
select prompt, model, coalesce(score, 'nan') as score, coalesce(input_tokens, 'nan') as input_tokens,
       coalesce(output_tokens, 'nan') as output_tokens, coalesce(cost_usd, 'nan') as cost_usd
from outcomes where benchmark = ? order by prompt, model
"""
_MODELS = """
select name as model, as_of, source, coalesce(input_usd_per_mtok, 'nan') as input_usd_per_mtok,
       coalesce(output_usd_per_mtok, 'nan') as output_usd_per_mtok
from models where benchmark = ? order by model
"""
_PROMPTS = """
select prompt_id, text, task, family, split::varchar as split from prompts where benchmark = ? order by prompt
"""
# What belongs to one benchmark, and how its rows are found by the benchmark's number.
_PARTS = {
    **dict.fromkeys(("benchmarks", "models", "prompts", "outcomes"), "benchmark = {0}"),
    "embeddings": "text_sha256 in (select text_sha256 from prompts where benchmark = {0})",
    "runs": "benchmark = {0}",
    "estimates": "run in (select run from runs where benchmark = {0})",
}
_ESSENTIAL = 4  # parts without which there is no benchmark; the rest can be computed again


@dataclass(frozen=True)
class Finding:
    """Of one benchmark: what is wrong with its data, and with what was computed from them; "" where nothing is."""

    benchmark: str
    data: str
    computed: str


def verify(path: Path, progress: Progress | None = None) -> list[Finding]:
    """Read every benchmark of a database from end to end and compare it with the hash of its content.

    Raises
    ------
    NotFoundError, StoreError
        There is no file, or it cannot even be asked which benchmarks it holds.
    """
    database = Database(path)
    with database.read() as connection:
        known = numbers(connection)
    findings = []
    for done, (name, number) in enumerate(known.items(), start=1):
        findings.append(Finding(name, _problem(database, number, _read_data), _problem(database, number, _read_rest)))
        if progress is not None:
            progress(done, len(known))
    return findings


def _problem(database: Database, number: int, reading: Callable[[duckdb.DuckDBPyConnection, int], str]) -> str:
    try:
        with database.read() as connection:
            return reading(connection, number)
    except StoreError as error:
        return str(error)


def _read_data(connection: duckdb.DuckDBPyConnection, number: int) -> str:
    prompts = pd.DataFrame(
        rows(connection, _PROMPTS, number), columns=["prompt_id", "text", "task", "family", "split"], dtype=object
    )
    models = connection.execute(_MODELS, [number]).df().astype({"as_of": object, "source": object, "model": object})
    outcomes = pd.DataFrame(connection.execute(_OUTCOMES, [number]).fetchnumpy())
    ((stated,),) = rows(connection, "select data_hash from benchmarks where benchmark = ?", number)
    return "" if content_hash(prompts, models, outcomes) == stated else "The content is not what was stored."


def _read_rest(connection: duckdb.DuckDBPyConnection, number: int) -> str:
    for part in list(_PARTS)[_ESSENTIAL:]:
        _rows_of(connection, part, number)
    return ""


def _rows_of(connection: duckdb.DuckDBPyConnection, part: str, number: int) -> pa.Table:
    return connection.sql(f"from {part} where {_PARTS[part].format(number)}").to_arrow_table()


def rebuild(path: Path, progress: Progress | None = None) -> tuple[Path, list[Finding]]:
    """Put a new file in the place of a damaged one, with every benchmark whose data are whole.

    Runs and vectors come along where they can be read; else they have to be computed again.

    Returns
    -------
    Where the damaged file now is, and what was found in it.

    Raises
    ------
    StoreError
        The file cannot even be asked what it holds, or nothing can be kept; it stays where it is.
    """
    database = Database(path)
    if not path.exists():
        raise NotFoundError(f"There is no database at {path}.")
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    with database.explained(), database.locked(), _folder_beside(path) as folder:
        findings = verify(path, progress)
        if all(finding.data for finding in findings):
            raise StoreError(f"No benchmark in {path} can be kept: move the file away and import them again.")
        new = folder / path.name
        with Database(new).write() as target:
            for finding in findings:
                if not finding.data:
                    _copy(database, target, finding)
        _swap(new, path, aside)
    return aside, findings


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.", suffix=".writing") as folder:
        yield Path(folder)


def _copy(database: Database, target: duckdb.DuckDBPyConnection, finding: Finding) -> None:
    parts = list(_PARTS) if not finding.computed else list(_PARTS)[:_ESSENTIAL]
    with database.read() as source:
        number = numbers(source)[finding.benchmark]
        for part in parts:
            target.register("incoming", _rows_of(source, part, number))
            # Two benchmarks may share a text, and so its vector.
            target.execute(f"insert or ignore into {part} by name from incoming")
            target.unregister("incoming")


def _swap(new: Path, path: Path, aside: Path) -> None:
    try:
        os.link(path, aside)
    except OSError:  # no hard links here: for an instant there is no database
        os.replace(path, aside)
    os.replace(new, path)
