"""Readers of result files: each turns its source's format into the same validated frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd  # not at the top: the process that refuses a pickle ends before it needs it

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
