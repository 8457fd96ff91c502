"""What is known of a stored benchmark beside its content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb
import pandas as pd
from pandas.api.types import is_numeric_dtype

from carrot_core import paths
from carrot_core.benchmarks.built_in import BUILT_IN
from carrot_core.benchmarks.model_facts import NOTHING, ModelFacts, facts_of_row
from carrot_core.store.database import columns_of, identity, reading

OWN_SPLIT = "the source's own split"
RECORDED = "recorded dollars"
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
    """Everything about a stored benchmark but its content.

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
    warnings : what the reader noticed.
    n_extra_runs : runs behind the outcomes beyond the first of a cell.
    n_samples : most runs of one cell.
    n_repeated, n_differing : cells with several runs, and those of them whose runs have different scores.
    score_spread : standard deviation of a score between runs of one cell: root of the mean variance of those cells.
    facts : what is known of each model besides its price, in the order of ``models``; empty if nothing is.
    n_readable : prompts that a router can read: the text is known, or its hash, by which its vector is kept.
    costs : what its costs are: "recorded dollars", or prices with their date as far as it is known.
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
    def samples_text(self) -> str:
        """How many runs a cell has and how far they differ; "" where every cell was run once."""
        if not self.n_repeated:
            return ""
        return (
            f"up to {self.n_samples} runs of a cell, {self.n_outcomes + self.n_extra_runs:,} in all; their scores "
            f"differ in {100 * self.n_differing / self.n_repeated:.0f} % of {self.n_repeated:,} cells with several "
            f"(standard deviation {self.score_spread:.3f} within a cell)"
        )

    @property
    def has_prompts(self) -> bool:
        """Whether its prompts are here, or only results of them."""
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
    """Description of the benchmark in a file; a look at the file's date where it was described before."""
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
    """What the costs of a benchmark with tokens are, from the prices of its models."""
    priced = models[models["input_usd_per_mtok"].notna()]
    if priced.empty:
        return RECORDED
    dates = sorted(set(priced["as_of"].dropna()) - {""})
    span = f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else "".join(dates)
    return f"prices of {span}" if dates else "undated prices"


def models_frame(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The models of a file as `Frames.models` has them, in their order; a file of an older schema lacks columns."""
    frame = connection.execute("select * exclude (model, name), name as model from models order by model").df()
    return frame.astype({name: object for name in frame if not is_numeric_dtype(frame[name])})
