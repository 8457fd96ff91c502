"""Routers by name; each is a table of estimates to the sweep (``docs/method.md``, "Routers")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.routers.base import Router, VectorRouter
from carrot_core.routers.baselines import Oracle, TaskLookup, ZeroRouter

__all__ = ["BASELINES", "ROUTERS", "Oracle", "Router", "TaskLookup", "VectorRouter", "ZeroRouter", "make_router"]


class CarrotKNNRouter(VectorRouter):
    """CARROT with nearest-neighbour estimates (arXiv 2502.03261)."""

    name = "carrot-knn"

    def __init__(self, seed: int = 0, **params: Any) -> None:
        from carrot_core.routers.knn import CarrotKNN  # scikit-learn only where a router is fitted

        super().__init__(CarrotKNN(seed=seed, **params))


BASELINES: dict[str, Callable[..., Router]] = {"zero": ZeroRouter, "task-lookup": TaskLookup, "oracle": Oracle}
ROUTERS: dict[str, Callable[..., Router]] = {"carrot-knn": CarrotKNNRouter, **BASELINES}


def make_router(name: str, seed: int = 0, **params: Any) -> Router:
    """A fresh router by name, with its own parameters.

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
