"""CARROT: choose which model answers which prompt, with the whole cost-accuracy trade-off in view."""

from carrot_core.embedding import load_embedded
from carrot_core.errors import CarrotError, DataError, NotFoundError, StoreError
from carrot_core.evaluation import evaluate, setting
from carrot_core.evaluation.runs import compare_routers, run_router
from carrot_core.frontier import Frontier, sweep
from carrot_core.outcomes import Benchmark, Estimates, Outcomes
from carrot_core.routers import make_router
from carrot_core.serving import CarrotRouter
from carrot_core.store import Run, Store

__version__ = "0.2.0"

__all__ = [
    "Benchmark",
    "CarrotError",
    "CarrotRouter",
    "DataError",
    "Estimates",
    "Frontier",
    "NotFoundError",
    "Outcomes",
    "Run",
    "Store",
    "StoreError",
    "__version__",
    "compare_routers",
    "evaluate",
    "load_embedded",
    "make_router",
    "run_router",
    "setting",
    "sweep",
]
