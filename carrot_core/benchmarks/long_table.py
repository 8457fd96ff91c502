"""Reader of the long table, one row a prompt and model: the bring-your-own format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.checks import RECOGNISED, create_views, problems
from carrot_core.benchmarks.costs import check_prices, cost_problems, with_costs
from carrot_core.benchmarks.table_file import TableFile, open_table, reason
from carrot_core.errors import DataError
from carrot_core.pricing import Price

_PROMPTS = """
select prompt_id, any_value(prompt) as text, coalesce(any_value(task), '') as task,
       coalesce(any_value(benchmark), '') as family, any_value(split) as split
from cells where score is not null group by prompt_id order by prompt_id
"""
_OUTCOMES = """
select prompt_id, model, score, input_tokens, output_tokens, cost_usd
from cells where score is not null order by row
"""


def read_long_table(path: Path, *, where: str | None = None, prices: Mapping[str, Price] | None = None) -> Frames:
    """Read Parquet, CSV, TSV or JSONL (also gzipped) with one row a prompt and model.

    Required columns: ``prompt_id``, ``model``, ``score`` (0 to 1). Recognised: ``prompt`` (text), ``task``,
    ``benchmark``, ``input_tokens``, ``output_tokens``, ``cost_usd`` (US dollars of the call), ``split``
    (train, validation or test). Others are only there for the predicate. Ids and names are compared
    exactly. A row without a score is not observed and is left out.

    Parameters
    ----------
    path : the file.
    where : SQL predicate over the file's columns that chooses rows, e.g. ``kind = 'chat'``.
    prices : price by model name, for cells without ``cost_usd``; input tokens are then needed, and
        without any output tokens only the input is charged, which a warning says.

    Returns
    -------
    Frames with prompts sorted by id, models by name, and outcomes in the order of the file.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        The file cannot be used; ``problems`` has one entry for each kind of thing wrong, with the first
        row (1-based in the file, the header not counted), column, value and remedy.
    """
    check_prices(prices or {})
    with open_table(path, RECOGNISED, others=bool(where)) as table:
        try:
            return _frames(table, path, where, prices or {})
        except duckdb.Error as error:
            raise DataError(path.name, f"cannot be read: {reason(error)}") from error


def _frames(table: TableFile, path: Path, where: str | None, prices: Mapping[str, Price]) -> Frames:
    create_views(table)
    if where:
        table.keep(where, "choosable")
    found = problems(table)
    found = [*found, *cost_problems(table, prices)]
    if found:
        raise DataError(path.name, found)
    prompts = _strings(table.connection.execute(_PROMPTS).df())
    outcomes = _strings(table.connection.execute(_OUTCOMES).df())
    outcomes, models, warnings = with_costs(outcomes, prices)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    note = f"rows where {where}" if where else ""
    return Frames(
        prompts,
        models,
        outcomes,
        Provenance(path.name, sha256, rows=len(outcomes), note=note),
        (*_row_warnings(table), *warnings),
    )


def _strings(frame: pd.DataFrame) -> pd.DataFrame:
    """Text columns as plain strings and None, whatever the frame library's default is."""
    for name in frame.columns:
        if frame[name].dtype != np.float64:
            values = frame[name].astype(object)
            frame[name] = values.where(values.notna(), None).astype(object)
    return frame


def _row_warnings(table: TableFile) -> list[str]:
    warnings = []
    unknown = [name for name in table.types if name not in RECOGNISED]
    if unknown:
        warnings.append(f"Columns that are not kept: {', '.join(unknown)}.")
    (unscored,) = table.connection.execute("select count(*) from cells where score is null").fetchall()[0]
    if unscored:
        warnings.append(f"{unscored:,} rows have no score; they count as not observed.")
    return warnings
