"""Routers by name; each is a table of estimates to the sweep (``docs/method.md``, "Routers")."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.outcomes import Benchmark
from carrot_core.routers.base import Router, VectorRouter
from carrot_core.routers.baselines import BestSingle, Oracle, RandomRouter, TaskLookup, TaskLookupInput, ZeroRouter

__all__ = [
    "BASELINES",
    "BY_NAME_ONLY",
    "ROUTERS",
    "Oracle",
    "Router",
    "TaskLookup",
    "TaskLookupInput",
    "VectorRouter",
    "ZeroRouter",
    "make_router",
]


class CarrotKNNRouter(VectorRouter):
    """CARROT with nearest-neighbour estimates (arXiv 2502.03261)."""

    name = "carrot-knn"

    def __init__(self, seed: int = 0, **params: Any) -> None:
        from carrot_core.routers.knn import CarrotKNN  # imports scikit-learn only when a router is fitted

        super().__init__(CarrotKNN(seed=seed, **params))


class CarrotLinearRouter(VectorRouter):
    """CARROT with ridge estimates tuned for the differences between models; nothing in it is random."""

    name = "carrot-linear"

    def __init__(self, seed: int = 0, use_task: bool = False, **params: Any) -> None:
        from carrot_core.routers.linear import CarrotLinear

        super().__init__(CarrotLinear(**params), use_task)

    def _more_to_learn(self, train: Benchmark) -> dict[str, Any]:
        from carrot_core.routers.criteria import Costs

        return {"costs": Costs.of(train, self.usage_)}


class CarrotMLPRouter(VectorRouter):
    """CARROT with an ensemble of small networks trained on the differences between models."""

    name = "carrot-mlp"

    def __init__(self, seed: int = 0, use_task: bool = False, **params: Any) -> None:
        from carrot_core.routers.mlp import CarrotMLP

        super().__init__(CarrotMLP(seed=seed, **params), use_task)


def _import_on_call(module: str, name: str) -> Callable[..., Router]:
    """A constructor that imports the router's module on its first call."""

    def make(**params: Any) -> Router:
        router: Router = getattr(import_module(module), name)(**params)
        return router

    return make


BASELINES: dict[str, Callable[..., Router]] = {
    "zero": ZeroRouter,
    "task-lookup": TaskLookup,
    "task-lookup-input": TaskLookupInput,
    "best-single": BestSingle,
    "oracle": Oracle,
}
ROUTERS: dict[str, Callable[..., Router]] = {
    "carrot-knn": CarrotKNNRouter,
    "carrot-linear": CarrotLinearRouter,
    "carrot-mlp": CarrotMLPRouter,
    "carrot-blend": _import_on_call("carrot_core.routers.blend", "CarrotBlendRouter"),
    "carrot-guarded": _import_on_call("carrot_core.routers.cascade", "CarrotGuarded"),
    "carrot-encoder": _import_on_call("carrot_core.routers.encoder.router", "CarrotEncoder"),
    "carrot-released": _import_on_call("carrot_core.routers.encoder.router", "CarrotReleased"),
    "routellm-bert": _import_on_call("carrot_core.routers.encoder.router", "RouteLLMBert"),
    "routellm-mf": _import_on_call("carrot_core.routers.pairs", "RouteLLMMF"),
    "rorf": _import_on_call("carrot_core.routers.pairs", "RoRF"),
    "routerbench-knn": _import_on_call("carrot_core.routers.baselines", "RouterBenchKNN"),
    "routerbench-mlp": _import_on_call("carrot_core.routers.baselines", "RouterBenchMLP"),
    "cascade": _import_on_call("carrot_core.routers.cascade", "Cascade"),
    "cost-only": _import_on_call("carrot_core.routers.baselines", "CostOnly"),
    "random": RandomRouter,
    **BASELINES,
}
# The routers' names as a reader sees them.
LABELS = {
    "carrot-knn": "CARROT-KNN",
    "carrot-linear": "CARROT-Linear",
    "carrot-mlp": "CARROT-MLP",
    "carrot-blend": "CARROT-Blend",
    "carrot-guarded": "CARROT-Guarded",
    "carrot-encoder": "CARROT-Encoder",
    "carrot-released": "CARROT as released",
    "routellm-bert": "RouteLLM-BERT",
    "zero": "Zero router",
    "task-lookup": "Task lookup",
    "task-lookup-input": "Task lookup with input cost",
    "cost-only": "Cost only",
    "oracle": "Oracle",
    "best-single": "Best single model",
    "random": "Random",
    "routellm-mf": "RouteLLM-MF",
    "rorf": "RoRF",
    "routerbench-knn": "RouterBench-KNN",
    "routerbench-mlp": "RouterBench-MLP",
    "cascade": "Cascade (judge knows the score)",
}
# Not among "all" routers: they need a download, or hours where there is no GPU.
BY_NAME_ONLY = ("carrot-encoder", "carrot-released", "routellm-bert")
# Routers that answer typed prompts: they estimate every model's accuracy from the prompt alone. Routers that read
# outcomes or a task label are left out, and so are binary ones, whose scores are chances that a small model suffices.
SERVABLE = (
    "carrot-knn",
    "carrot-linear",
    "carrot-mlp",
    "carrot-blend",
    "carrot-encoder",
    "carrot-released",
    "routerbench-knn",
    "routerbench-mlp",
    "zero",
)
READS_TASK = ("carrot-blend", "carrot-linear", "carrot-mlp")  # with the parameter use_task
SLOW_TO_FIT = ("carrot-encoder", "carrot-released")  # need a graphics card or hours: no page fits them


def make_router(name: str, seed: int = 0, **params: Any) -> Router:
    """A new router by name, with its own parameters.

    Raises
    ------
    NotFoundError
        No router of that name.
    CarrotError
        A parameter the router does not have.
    """
    if name not in ROUTERS:
        raise NotFoundError(f"No router {name!r}; there are {', '.join(ROUTERS)}.")
    if name in BASELINES and params:
        raise CarrotError(f"Router {name!r} has no parameters; {', '.join(params)} given.")
    try:
        return ROUTERS[name]() if name in BASELINES else ROUTERS[name](seed=seed, **params)
    except TypeError as error:
        raise CarrotError(f"Router {name!r} does not take these parameters: {', '.join(params)}.") from error
