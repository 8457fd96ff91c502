"""Description of a stored benchmark, the numbers it records, and the hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_numeric_dtype

from carrot_core import paths
from carrot_core.benchmarks.built_in import BUILT_IN
from carrot_core.benchmarks.model_facts_arms import FACTS, NOTHING, ModelFacts, facts_of_row
from carrot_core.prices import INFERRED, MORE_PRICES
from carrot_core.store.database import columns_of, identity, reading, rows
from carrot_core.text import counted

OWN_SPLIT = "the source's own split"
RECORDED = "recorded dollars"
NUMBERS = ["score", "input_tokens", "output_tokens", "cost_usd"]
MORE_NUMBERS = ["cached_input_tokens", "reasoning_tokens", "latency_s"]  # not recorded by many benchmarks
_TEXTS_AT_A_TIME, _NUMBERS_AT_A_TIME = 1 << 8, 1 << 20
_INFO = """
select b.* replace (strftime(loaded_at, '%Y-%m-%dT%H:%M:%S+00:00') as loaded_at), p.*, m.*, o.*,
       n_prompts * n_models - n_outcomes as n_missing
from benchmarks b
cross join (select count(*) as n_prompts, count(text) as n_with_text,
                   count(text_sha256) as n_readable,
                   count(*) - count(distinct duplicate_group) as n_duplicate_prompts from prompts) p
cross join (select count(*) as n_models, list(name order by model) as models from models) m
cross join (select count(*) as n_outcomes, count(input_tokens) as n_with_tokens{samples} from outcomes) o
"""
_SAMPLES = """, sum(n_samples - 1)::bigint as n_extra_runs, max(n_samples) as n_samples,
count(*) filter (n_samples > 1) as n_repeated, count(*) filter (score_variance > 0) as n_differing,
coalesce(sqrt(avg(score_variance)), 0) as score_spread
"""


@dataclass(frozen=True)
class BenchmarkInfo:
    """Description of a stored benchmark without its content.

    Attributes
    ----------
    name : name in the store.
    source, licence, sha256, note : provenance (see `carrot_core.benchmarks.Provenance`).
    loaded_at : UTC, ISO 8601.
    split_rule, split_seed : how train, validation and test were drawn.
    n_prompts, n_models, n_outcomes : sizes.
    n_missing : cells of the prompts x models table without an outcome.
    n_with_text : prompts whose text is known.
    n_duplicate_prompts : prompts that repeat the text of another one (copies beyond the first).
    data_hash : sha256 of the content.
    models : names, in order.
    warnings : warnings of the reader.
    n_extra_runs : runs beyond the first of each cell.
    n_samples : most runs of one cell.
    n_repeated, n_differing : cells with several runs, and those among them whose runs have different scores.
    score_spread : standard deviation of a score between runs of one cell: root of the mean variance of those cells.
    facts : facts on each model besides its price, in the order of ``models``; empty if none are known.
    n_readable : prompts that a router can read, since the text is known, or its hash, under which its vector is kept.
    costs : kind of its costs: "recorded dollars", or prices with their date if known.
    """

    name: str
    source: str
    licence: str
    sha256: str
    note: str
    loaded_at: str
    split_rule: str
    split_seed: int
    n_prompts: int
    n_models: int
    n_outcomes: int
    n_missing: int
    n_with_text: int
    n_duplicate_prompts: int
    data_hash: str
    models: tuple[str, ...]
    warnings: tuple[str, ...]
    n_extra_runs: int = 0
    n_samples: int = 1
    n_repeated: int = 0
    n_differing: int = 0
    score_spread: float = 0.0
    facts: tuple[ModelFacts, ...] = ()
    n_readable: int = 0
    costs: str = ""

    @property
    def ships(self) -> bool:
        """Whether it is a benchmark that ships whole with the project."""
        return self.name in BUILT_IN and paths.shipped_data()[self.name] == self.data_hash

    @property
    def unit(self) -> str:
        """What one outcome is, to which its costs refer."""
        return paths.unit_of(self.name, self.data_hash)

    @property
    def size_text(self) -> str:
        """Prompts and models in words."""
        return f"{counted(self.n_prompts, 'prompt')} x {counted(self.n_models, 'model')}"

    @property
    def samples_text(self) -> str:
        """How many runs a cell has and how far they differ; "" if every cell was run once."""
        if not self.n_repeated:
            return ""
        return (
            f"up to {self.n_samples} runs of a cell, {self.n_outcomes + self.n_extra_runs:,} in all; their scores "
            f"differ in {100 * self.n_differing / self.n_repeated:.0f} % of {self.n_repeated:,} cells with several "
            f"(standard deviation {self.score_spread:.3f} within a cell)"
        )

    @property
    def has_prompts(self) -> bool:
        """Whether its prompts are here, and not only results on them."""
        return True

    @property
    def facts_by_model(self) -> dict[str, ModelFacts]:
        """Facts by model; empty if none are known."""
        return dict(zip(self.models, self.facts, strict=False))

    @property
    def has_own_split(self) -> bool:
        """Whether the split is the source's, which no seed changes."""
        return self.split_rule.startswith(OWN_SPLIT)


def describe(path: Path) -> BenchmarkInfo:
    """Describe the benchmark in a file; the description is cached until the file changes."""
    return _describe(path, identity(path))


@lru_cache(maxsize=1024)
def _describe(path: Path, _identity: str) -> BenchmarkInfo:
    with reading(path) as connection:
        samples = _SAMPLES if columns_of(connection, "samples") else ""
        cursor = connection.execute(_INFO.format(samples=samples))
        columns = [column[0] for column in cursor.description or ()]
        (row,) = cursor.fetchall()
        models = models_frame(connection)
    facts = tuple(facts_of_row(model) for model in models.to_dict("records"))
    values = dict(zip(columns, row, strict=True))
    costs = _costs(models) if values.pop("n_with_tokens") else RECORDED
    model_facts = facts if any(each != NOTHING for each in facts) else ()
    return BenchmarkInfo(
        **values | {name: tuple(values[name]) for name in ("models", "warnings")}, facts=model_facts, costs=costs
    )


def _costs(models: pd.DataFrame) -> str:
    """Kind of costs of a benchmark with tokens: dollars of its file, even if they show a price, or dated prices."""
    priced = models[models["input_usd_per_mtok"].notna() & (models["source"] != INFERRED)]
    if priced.empty:
        return RECORDED
    dates = sorted(set(priced["as_of"].dropna()) - {""})
    span = f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else "".join(dates)
    return f"prices of {span}" if dates else "undated prices"


def models_frame(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The models of a file in order, as in `Frames.models`; a file of an older schema lacks columns."""
    frame = connection.execute("select * exclude (model, name), name as model from models order by model").df()
    return frame.astype({name: object for name in frame if not is_numeric_dtype(frame[name])})


def recorded(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Columns of numbers of a benchmark's outcomes: the usual ones, and others that have any value."""
    there = columns_of(connection, "outcomes")
    more = [name for name in MORE_NUMBERS if name in there]
    if not more:
        return NUMBERS
    ((*counts,),) = rows(connection, f"select {', '.join(f'count({name})' for name in more)} from outcomes")  # noqa: S608
    return [*NUMBERS, *(name for name, count in zip(more, counts, strict=True) if count)]


def sample_tables_of(
    connection: duckdb.DuckDBPyConnection, shape: tuple[int, int]
) -> dict[str, npt.NDArray[np.float64]]:
    """Scores and dollars of all samples, (n, M, S), NaN after a cell's last one; empty if each cell has one."""
    if not columns_of(connection, "samples"):
        return {}
    cells = connection.execute(
        "select prompt, model, row_number() over (partition by prompt, model order by sample) - 1 as place, score, "
        "coalesce(cost_usd, 'nan') as cost_usd from samples"
    ).fetchnumpy()
    if not len(cells["place"]):
        return {}
    tables = {}
    for name in ("score", "cost_usd"):
        tables[f"sample_{name}"] = np.full((*shape, int(np.max(cells["place"])) + 1), np.nan)
        tables[f"sample_{name}"][cells["prompt"], cells["model"], cells["place"]] = cells[name]
    return tables


def tables_of(connection: duckdb.DuckDBPyConnection, shape: tuple[int, int]) -> dict[str, npt.NDArray[np.float64]]:
    """(n, M) tables of a benchmark, NaN for a missing outcome or number."""
    names = recorded(connection)
    numbers = ", ".join(f"coalesce({name}, 'nan') as {name}" for name in names)
    cells = connection.execute(f"select prompt, model, {numbers} from outcomes").fetchnumpy()  # noqa: S608  fixed names
    tables = {name: np.full(shape, np.nan) for name in names}
    for name in names:
        tables[name][cells["prompt"], cells["model"]] = cells[name]
    return tables


def content_hash(connection: duckdb.DuckDBPyConnection) -> str:
    """sha256 of a benchmark's content, all tables of its file in canonical order, some rows at a time."""
    digest, models = hashlib.sha256(), models_frame(connection)
    of_prompts = ["prompt_id", "text", "task", "family", "split::varchar as split"]
    # Chats and hashes of missing texts came later: a benchmark without any keeps the hash that it had before.
    chats = "messages" in columns_of(connection, "prompts") and _any(connection, "prompts", "messages is not null")
    hidden = _any(connection, "prompts", "text is null and text_sha256 is not null")
    for column in [*of_prompts, *["messages"] * chats, *["text_sha256"] * hidden]:
        _add_texts(digest, connection, column, "prompts")
    for column in ("model", "as_of", "source"):
        digest.update(json.dumps([column, models[column].tolist()]).encode())
    for column in ("input_usd_per_mtok", "output_usd_per_mtok"):
        digest.update(_bytes(models[column].to_numpy(dtype=np.float64)))
    for column in ("prompt", "model", *NUMBERS):
        _add_numbers(digest, connection, column, "outcomes")
    # Later columns count, with their names, only if they have a value: other benchmarks keep their hash.
    for column in [name for name in (*MORE_PRICES, *FACTS) if name in models and models[name].notna().any()]:
        values = [None if pd.isna(value) else value for value in models[column].tolist()]
        digest.update(json.dumps([column, values]).encode())
    _add_recorded(digest, connection, "outcomes", MORE_NUMBERS, ["time"])
    _add_recorded(digest, connection, "samples", ["prompt", "model", *NUMBERS, *MORE_NUMBERS], ["sample", "time"])
    return digest.hexdigest()


def _any(connection: duckdb.DuckDBPyConnection, table: str, condition: str) -> bool:
    return bool(rows(connection, f"select 1 from {table} where {condition} limit 1"))  # noqa: S608  fixed text


def _add_recorded(
    digest: hashlib._Hash,
    connection: duckdb.DuckDBPyConnection,
    table: str,
    numbers: Sequence[str],
    texts: Sequence[str],
) -> None:
    """Add the columns that have a value, with their names."""
    there = columns_of(connection, table)
    for column in [name for name in (*numbers, *texts) if name in there]:
        if _any(connection, table, f"{column} is not null"):
            if column in numbers:
                digest.update(column.encode())
                _add_numbers(digest, connection, column, table)
            else:
                _add_texts(digest, connection, column, table)


def _add_texts(digest: hashlib._Hash, connection: duckdb.DuckDBPyConnection, column: str, table: str) -> None:
    """Add a column as JSON of its name and the list of its values."""
    digest.update(f"{json.dumps([column.partition(':')[0]])[:-1]}, [".encode())
    between = ""
    values = connection.sql(f"select {column} from {table}")  # noqa: S608  fixed text
    for block in values.to_arrow_reader(_TEXTS_AT_A_TIME):
        digest.update(f"{between}{json.dumps(block.column(0).to_pylist())[1:-1]}".encode())
        between = ", "
    digest.update(b"]]")


def _add_numbers(digest: hashlib._Hash, connection: duckdb.DuckDBPyConnection, column: str, table: str) -> None:
    values = connection.sql(f"select {column}::double from {table}")  # noqa: S608  fixed text
    for block in values.to_arrow_reader(_NUMBERS_AT_A_TIME):
        digest.update(_bytes(block.column(0).to_numpy(zero_copy_only=False)))


def _bytes(numbers: npt.NDArray[np.float64]) -> bytes:
    values = numbers.astype("<f8") + 0.0  # -0.0 and 0.0 are one number
    values[np.isnan(values)] = np.nan  # and NaN has one pattern
    return values.tobytes()
