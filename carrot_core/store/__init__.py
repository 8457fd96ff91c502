"""The store: benchmarks, vectors and evaluated routers in one DuckDB file."""

from carrot_core.store.records import BenchmarkInfo, Run, run_id
from carrot_core.store.store import Store

__all__ = ["BenchmarkInfo", "Run", "Store", "run_id"]
