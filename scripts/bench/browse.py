"""What turning a page of prompts costs: from the table that is kept, against asking the database for each page."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.benchmarks import Provenance
from carrot_core.benchmarks.sprout import read_sprout
from carrot_core.prices import Price
from carrot_core.store import Store
from carrot_core.store.browse import Filter, matching, prompt_table
from scripts.bench.sprout_import import write_shards

PAGE_SIZE = 50
NAME = "made-up"
_PAGE = """
with judged as (
    select prompt, count(*) as n_models, count(*) filter (score >= 0.5) as n_right
    from outcomes group by prompt
)
select prompt_id from prompts join judged using (prompt)
where (not $disagree or (n_right > 0 and n_right < n_models))
order by prompt limit $size offset $start
"""


def run(
    n_prompts: int = 44_241, n_models: int = 13, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Median milliseconds of opening the list, of a filter, of a search and of turning a page, both ways.

    Returns
    -------
    dict
        ``open_ms`` (once for each benchmark), ``filter_ms`` and ``search_ms`` (once for each filter),
        ``page_ms``, ``database_page_ms``, ``speedup`` of a page; ``same`` is whether both show the same prompts.
    """
    with tempfile.TemporaryDirectory(prefix="carrot-bench-") as folder:
        store = _stored(Path(folder), n_prompts, n_models, progress)
        open_ms, table = _timed(lambda: prompt_table(store, NAME), 3)
        filter_ms, matches = _timed(lambda: matching(store, NAME, table, Filter(disagree=True)))
        search_ms, _ = _timed(lambda: matching(store, NAME, table, Filter("abc")))
        starts = np.linspace(0, max(len(matches) - PAGE_SIZE, 0), 9, dtype=int).tolist()
        from_table = [_timed(partial(_kept_page, table, matches, start)) for start in starts]
        from_database = [_timed(partial(_page, store, start), 3) for start in starts]
    page_ms, database_ms = (float(np.median([ms for ms, _ in pages])) for pages in (from_table, from_database))
    same = all(
        a["prompt_id"].tolist() == b["prompt_id"].tolist()
        for (_, a), (_, b) in zip(from_table, from_database, strict=True)
    )
    return {
        "n_prompts": n_prompts, "n_models": n_models, "open_ms": open_ms, "filter_ms": filter_ms,
        "search_ms": search_ms, "page_ms": page_ms, "database_page_ms": database_ms,
        "speedup": database_ms / page_ms, "same": same,
    }  # fmt: skip


def report(result: dict[str, Any]) -> str:
    """The result of `run` as one sentence to read."""
    return (
        f"{result['n_prompts']:,} prompts x {result['n_models']} models: a page {result['page_ms']:.1f} ms, from the "
        f"database {result['database_page_ms']:.0f} ms ({result['speedup']:.0f} times as long); the list is opened in "
        f"{result['open_ms']:.0f} ms, filtered in {result['filter_ms']:.1f} ms, searched in "
        f"{result['search_ms']:.0f} ms; same prompts: {'yes' if result['same'] else 'NO'}"
    )


def _stored(folder: Path, n_prompts: int, n_models: int, progress: Callable[[int, int], None] | None) -> Store:
    models = write_shards(folder, n_prompts, n_models, progress=progress)
    prices = {model: Price(1.0, 2.0, "made up", "made up") for model in models}
    frames = read_sprout(sorted(folder.glob("*.parquet")), prices=prices, provenance=Provenance(NAME))
    store = Store(folder / "carrot.duckdb")
    store.save_benchmark(NAME, frames)
    return store


def _kept_page(table: pd.DataFrame, matches: npt.NDArray[np.intp], start: int) -> pd.DataFrame:
    return table.iloc[matches[start : start + PAGE_SIZE]]


def _page(store: Store, start: int) -> pd.DataFrame:
    with store.reading(NAME) as connection:
        values = {"disagree": True, "size": PAGE_SIZE, "start": start}
        return connection.execute(_PAGE, values).df()


def _timed(work: Callable[[], Any], times: int = 7) -> tuple[float, Any]:
    """Median milliseconds, and what came of it."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return 1e3 * float(np.median(seconds)), result
