"""The store: benchmarks, vectors and evaluated routers in DuckDB files, a folder a benchmark."""

from carrot_core.store.info import BenchmarkInfo
from carrot_core.store.runs import Run, run_id
from carrot_core.store.store import Store

__all__ = ["BenchmarkInfo", "Run", "Store", "run_id"]
