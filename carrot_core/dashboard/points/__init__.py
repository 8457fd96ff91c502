"""The Operating points page: where points are stored, and whether their data and routers are on this machine."""

from __future__ import annotations

from importlib.metadata import version

import streamlit as st

from carrot_core import modes
from carrot_core.dashboard import live
from carrot_core.dashboard.shell import all_benchmarks
from carrot_core.dashboard.stores import PrivateInfo, session_folder, store_of
from carrot_core.errors import CarrotError
from carrot_core.points.shelf import Listing, PointShelf, shared_points
from carrot_core.serving.loading import SHIPPED_ROUTER, shipped_heads
from carrot_core.serving.point import PointFile
from carrot_core.serving.router import CarrotRouter
from carrot_core.store import BenchmarkInfo, Store

_OWN = "points:own"  # set once the session has points of its own, so that listing creates no folder


def place_for(info: BenchmarkInfo) -> PointShelf:
    """Where points of a benchmark are kept: in the session for a private benchmark and on a public dashboard, else in
    the shared folder.
    """
    if not (isinstance(info, PrivateInfo) or modes.is_public()):
        return shared_points()
    st.session_state[_OWN] = True
    return own_points()


def own_points() -> PointShelf:
    """The points that only this session sees."""
    return PointShelf(session_folder() / "points")


def all_points() -> list[tuple[PointShelf, Listing]]:
    """Every place with its points, the session's own first."""
    places = [own_points()] if _OWN in st.session_state else []
    return [(place, place.listing()) for place in (*places, shared_points())]


def benchmark_of(point: PointFile) -> BenchmarkInfo | None:
    """The benchmark with a point's name, preferably one with the same data; None without one."""
    same = [info for info in all_benchmarks() if info.name == point.benchmark]
    return min(same, key=lambda info: info.data_hash != point.data_hash, default=None)


def data_of(point: PointFile) -> BenchmarkInfo | None:
    """The loaded benchmark with the same data as a point, if its router is available too; else None."""
    info = benchmark_of(point)
    if info is None or not info.has_prompts or info.data_hash != point.data_hash:
        return None
    return info if _has_router(point, info) else None


def _has_router(point: PointFile, info: BenchmarkInfo | None) -> bool:
    """Whether a point's router ships with the project or is fitted on this machine.

    A page loads no other router: a point file from elsewhere must not make it read folders, download or train.
    """
    if point.source in shipped_heads() and point.router == SHIPPED_ROUTER and not Store().shadows(point.source):
        return True
    return info is not None and point.source == info.name and point.router in live.servable(info)


def differs_here(place: PointShelf, id: str) -> str:
    """What differs on this machine from where a point was made, as text; empty if nothing does."""
    point = place.read(id)
    info = benchmark_of(point)
    if not _has_router(point, info):
        return (
            f"Its router is {point.router!r} of {point.source!r}, which neither ships with the project nor is fitted "
            "on loaded data here. `carrot point check` looks for it in folders and on the hub."
        )
    try:
        router_at(place, id)
    except CarrotError as error:
        here = version("carrot-core")
        other = f" It was made by carrot-core {point.carrot_version}; this is {here}."
        return str(error) + (other if point.carrot_version != here else "")
    return ""


def router_at(place: PointShelf, id: str) -> CarrotRouter:
    """The router of a kept point, at that point.

    Raises
    ------
    CarrotError
        The router on this machine is not the one the point was made with.
    """
    info = benchmark_of(place.read(id))
    return CarrotRouter.load(place.path(id), store=store_of(info) if isinstance(info, PrivateInfo) else Store())
