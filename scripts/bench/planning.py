"""What a billion prompts and a billion logged calls take, estimated from measured rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BILLION = 1_000_000_000
CORES = 64  # of the machine, or machines, that the hours are for
CORE_HOUR_USD = 0.05  # what large clouds ask on demand for a core and 4 GiB; by the spot a third
USE = 0.8  # of the cores' time that is work: reading, writing, starting and waiting take the rest

_HEAD = """## What a billion takes

`scripts/bench/planning.py` computes these figures from the rates above. Assumptions:

- **Work grows with the number of prompts** and is shared by blocks, none of which waits for another: ten times the
  prompts are ten times the core hours. Switches are sorted by radix, whose work grows in the same way.
- **A core does what a second of processor time did** where it was measured, so what else ran there does not count.
- **{use:.0%} of the cores' time is work**; reading, writing, starting and waiting take the rest.
- **{usd:.2f} US dollars an hour for a core** with 4 GiB of memory, about what large clouds ask on demand; storage,
  network and the answers of the models are not in it.
- Prompts are like those measured: embedding grows with their length.

| what | measured | a core | core hours | hours on {cores} cores | US dollars |
|---|---|---:|---:|---:|---:|
"""


@dataclass(frozen=True)
class Work:
    """A kind of work on a billion of things.

    Attributes
    ----------
    what : in words.
    measured : where its rate is from.
    per_core_s : things a second on one core.
    """

    what: str
    measured: str
    per_core_s: float

    @property
    def core_hours(self) -> float:
        return BILLION / self.per_core_s / USE / 3600


def planning(document: Mapping[str, Mapping[str, Any]]) -> str:
    """The table, of the kinds of work whose rate is in the document."""
    rows = [
        f"| {work.what} | {work.measured} | {_figure(work.per_core_s)}/s | {_figure(work.core_hours)} "
        f"| {_figure(work.core_hours / CORES)} | {_figure(work.core_hours * CORE_HOUR_USD)} |"
        for work in works(document)
    ]
    return "\n".join([_HEAD.format(use=USE, usd=CORE_HOUR_USD, cores=CORES).rstrip("\n"), *rows, ""])


def works(document: Mapping[str, Mapping[str, Any]]) -> Iterator[Work]:
    """The kinds of work whose rate was measured."""
    if "live" in document:
        yield Work(
            "prompts embedded, estimated and routed", "live", document["live"]["result"]["batched_per_cpu_second"]
        )
    if "knn" in document:
        knn = document["knn"]["result"]
        what = f"prompts with a vector, estimated by {knn['n']:,} neighbours"
        yield Work(what, "knn", knn["n"] // 4 / knn["carrot_seconds_predict_cpu"])
    if (name := "frontier, a million prompts") in document:
        curve = document[name]["result"]
        yield Work(
            f"prompts x {curve['n_models']} models on one exact curve", name, curve["n_prompts"] / curve["exact_cpu_s"]
        )
    if "import" in document:
        calls = document["import"]["result"]
        yield Work("logged calls imported with their checks", "import", calls["outcomes"] / calls["cpu_s"])


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
