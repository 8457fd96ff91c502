"""Descriptions of the stored benchmarks, one by one where a damaged file does not allow them all at once."""

from __future__ import annotations

import duckdb

from carrot_core.store.database import rows
from carrot_core.store.records import BenchmarkInfo

_INFO = """
select name, source, licence, sha256, note, strftime(loaded_at, '%Y-%m-%dT%H:%M:%S+00:00') as loaded_at,
       split_rule, split_seed, n_prompts, n_models, n_outcomes, n_prompts * n_models - n_outcomes as n_missing,
       n_with_text, n_prompts - n_texts as n_duplicate_prompts, data_hash, models, warnings
from benchmarks
join (select benchmark, count(*) as n_prompts, count(text) as n_with_text,
             count(distinct duplicate_group) as n_texts from prompts {only} group by all) using (benchmark)
join (select benchmark, count(*) as n_models, list(name order by model) as models
      from models {only} group by all) using (benchmark)
join (select benchmark, count(*) as n_outcomes from outcomes {only} group by all) using (benchmark)
order by name
"""


def numbers(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Number of every benchmark by its name, in the order of the names."""
    return dict(rows(connection, "select name, benchmark from benchmarks order by name"))


def infos(connection: duckdb.DuckDBPyConnection, only: int | None = None) -> list[BenchmarkInfo]:
    """Description of every benchmark, by name; of one by its number, touching only that one's blocks."""
    # Each table is narrowed by itself: DuckDB then skips, unread, the blocks of other benchmarks.
    narrowed = "" if only is None else f"where benchmark = {int(only)}"
    cursor = connection.execute(_INFO.format(only=narrowed))
    columns = [column[0] for column in cursor.description or ()]
    found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return [
        BenchmarkInfo(**{**row, "models": tuple(row["models"]), "warnings": tuple(row["warnings"])}) for row in found
    ]
