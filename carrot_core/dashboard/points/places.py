"""Where operating points lie, and what of theirs is on this machine."""

from __future__ import annotations

from importlib.metadata import version

import streamlit as st

from carrot_core.dashboard.live import settings
from carrot_core.dashboard.shell import known_benchmarks
from carrot_core.dashboard.stores import PrivateInfo, session_folder, store_of
from carrot_core.errors import CarrotError
from carrot_core.points.shelf import Listing, PointShelf, shared_points
from carrot_core.serving.loading import SHIPPED_ROUTER, shipped_heads
from carrot_core.serving.point import PointFile
from carrot_core.serving.router import CarrotRouter
from carrot_core.store import BenchmarkInfo, Store

_OWN = "points:own"  # set once the session has points of its own, so that looking makes no folder


def place_for(info: BenchmarkInfo) -> PointShelf:
    """Where points of a benchmark are kept: those of the session's uploads with the session."""
    if not isinstance(info, PrivateInfo):
        return shared_points()
    st.session_state[_OWN] = True
    return own_points()


def own_points() -> PointShelf:
    """The points that only this session sees."""
    return PointShelf(session_folder() / "points")


def all_points() -> list[tuple[PointShelf, Listing]]:
    """Every place with what is kept there, the session's own first."""
    places = [own_points()] if _OWN in st.session_state else []
    return [(place, place.listing()) for place in (*places, shared_points())]


def benchmark_of(point: PointFile) -> BenchmarkInfo | None:
    """The listed benchmark a point is about: the one with its very data before others of the name."""
    same = [info for info in known_benchmarks() if info.name == point.benchmark]
    return min(same, key=lambda info: info.data_hash != point.data_hash, default=None)


def data_of(point: PointFile) -> BenchmarkInfo | None:
    """The loaded benchmark with a point's very data, where its router can be made ready in seconds; else None."""
    info = benchmark_of(point)
    if info is None or not info.has_prompts or info.data_hash != point.data_hash:
        return None
    return info if _at_hand(point, info) else None


def _at_hand(point: PointFile, info: BenchmarkInfo | None) -> bool:
    """Whether a point's router ships or is fitted here.

    A page loads no other: a file somebody sent must not make it read folders, fetch from the hub or train.
    """
    if point.source in shipped_heads() and point.router == SHIPPED_ROUTER:
        return True
    return info is not None and point.source == info.name and point.router in settings.servable(info)


def differs_here(place: PointShelf, id: str) -> str:
    """What is not on this machine as it was where a kept point was made, in words; empty where all is."""
    point = place.read(id)
    info = benchmark_of(point)
    if not _at_hand(point, info):
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
        It is another here than the one the point was made with.
    """
    info = benchmark_of(place.read(id))
    return CarrotRouter.load(place.path(id), store=store_of(info) if isinstance(info, PrivateInfo) else Store())
