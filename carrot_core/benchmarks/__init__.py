"""Readers of result files: each turns its source's format into the same validated frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # not at the top: the process that refuses a pickle ends before it needs them
    import duckdb
    import pandas as pd
    import pyarrow as pa

# Licence of data published without one: passing them on is not allowed. The texts of their prompts are shown and
# routed here, but are never written to a file that CARROT exports.
NONE_STATED = "none stated"
NOT_EXPORTED = "[not exported: its source states no licence]"

OUTCOME = ("prompt_id", "model", "score", "input_tokens", "output_tokens", "cost_usd")  # columns of every outcome
OPTIONAL = ("cached_input_tokens", "reasoning_tokens", "latency_s", "sample", "time")  # and of those that have them


@dataclass(frozen=True)
class Provenance:
    """Where a benchmark comes from.

    Attributes
    ----------
    source : file name or address, without folders.
    sha256 : of the file's bytes; "" where there is no file.
    licence : as the source states it; `NONE_STATED` where others published the data and stated none; "" for a
        file of the user's own, of which nothing is known.
    rows : rows that were kept.
    note : free text, e.g. "simulated" or the predicate that chose the rows.
    """

    source: str
    sha256: str = ""
    licence: str = ""
    rows: int = 0
    note: str = ""


@dataclass(frozen=True, eq=False)
class Relation:
    """Rows that DuckDB holds, on the disk where they are many: read some at a time, or whole as a frame.

    Attributes
    ----------
    connection : that holds them.
    query : of the rows as the store takes them: prompts in the order of their ids; runs with ``prompt`` and ``model``,
        their places among the sorted ids and names.
    frame : reads them as a frame of `Frames`; what it refers to keeps the connection open.
    """

    connection: duckdb.DuckDBPyConnection
    query: str
    frame: Callable[[], pd.DataFrame]

    def blocks(self, most_rows: int) -> Iterator[pa.Table]:
        """Some rows at a time."""
        import pyarrow as pa

        with self.connection.cursor() as cursor:  # of its own, so that threads may read at once
            for batch in cursor.sql(self.query).to_arrow_reader(most_rows):
                yield pa.Table.from_batches([batch])


@dataclass(frozen=True, eq=False)
class Frames:
    """What every reader returns: one benchmark, validated.

    Attributes
    ----------
    prompts : one row a prompt: ``prompt_id`` unique, ``text`` (None where unknown), ``task`` and
        ``family`` ("" where none), ``split`` ("train", "validation" or "test" where the source has its
        own split; else None on every row).
    models : one row a model: ``model`` unique, ``input_usd_per_mtok`` and ``output_usd_per_mtok`` (NaN
        where only dollars are known), ``as_of``, ``source``; `carrot_core.prices.MORE_PRICES` (``tiers`` as JSON)
        where prices have them (`carrot_core.prices.Price`).
    outcomes : one row a run, so one an observed cell unless prompts were run several times. The columns `OUTCOME`,
        ``score`` in [0, 1], and those of `OPTIONAL` that the source has: ``cached_input_tokens`` of the input tokens,
        ``reasoning_tokens`` of the output tokens, ``latency_s`` in seconds (NaN where not recorded), ``sample``, which
        tells the runs of a cell apart, and ``time``, ISO 8601 in UTC (texts, or None).
    provenance : where it comes from.
    warnings : what was noticed and did not stop the reader, in plain sentences.
    zero_models : models whose costs or tokens of 0 were taken as not recorded.
    """

    prompts: pd.DataFrame
    models: pd.DataFrame
    outcomes: pd.DataFrame
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    zero_models: tuple[str, ...] = ()

    @classmethod
    def of_relations(cls, prompts: Relation, outcomes: Relation, **others: Any) -> Frames:
        """Frames whose prompts and outcomes are read whole when somebody asks for them, not before."""
        frames = object.__new__(cls)
        vars(frames).update(others, _relations={"prompts": prompts, "outcomes": outcomes})
        return frames

    if not TYPE_CHECKING:  # else any name would be one of the class

        def __getattr__(self, name: str) -> Any:
            relation = self.relation(name)
            if relation is None:
                raise AttributeError(f"Frames have no {name!r}.")
            from carrot_core.benchmarks.file_checks import memory_for

            with memory_for(self.provenance.source):
                frame = relation.frame()
            return vars(self).setdefault(name, frame)  # of threads that read at once, all get the frame of the first

    def __getstate__(self) -> dict[str, Any]:
        """All tables, read: a connection can be neither copied nor pickled."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def relation(self, name: str) -> Relation | None:
        """The prompts or outcomes as DuckDB holds them; None where a reader made a frame, or one was asked for."""
        relations: dict[str, Relation] = vars(self).get("_relations", {})
        return None if name in vars(self) else relations.get(name)

    def noted(self, **changes: Any) -> Frames:
        """The same with other ``models``, ``provenance`` or ``warnings``; the other tables are not read for it."""
        frames = object.__new__(type(self))
        vars(frames).update(vars(self) | changes)
        return frames
