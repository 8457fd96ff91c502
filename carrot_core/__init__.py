"""CARROT: choose which model answers which prompt, with the whole cost-accuracy trade-off in view.

A name of `__all__` is imported when it is first used: numpy, pandas and numba take a second to load, which a command
that needs none of them does not wait for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carrot_core.embedding import load_embedded
    from carrot_core.errors import CarrotError, DataError, NotFoundError, StoreError
    from carrot_core.evaluation import setting
    from carrot_core.evaluation.evaluate import evaluate
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

_MODULES = {
    "embedding": ("load_embedded",),
    "errors": ("CarrotError", "DataError", "NotFoundError", "StoreError"),
    "evaluation": ("evaluate", "setting"),
    "evaluation.runs": ("compare_routers", "run_router"),
    "frontier": ("Frontier", "sweep"),
    "outcomes": ("Benchmark", "Estimates", "Outcomes"),
    "routers": ("make_router",),
    "serving": ("CarrotRouter",),
    "store": ("Run", "Store"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
