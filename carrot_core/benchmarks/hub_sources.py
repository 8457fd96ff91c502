"""Benchmarks that are pulled from the hub: which data set, which files, which reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from carrot_core.benchmarks import NONE_STATED, Frames, Provenance
from carrot_core.errors import NotFoundError


@dataclass(frozen=True)
class HubSource:
    """One benchmark of the hub.

    Attributes
    ----------
    repo : "owner/name" of the data set.
    wanted : patterns of the files to fetch.
    read : from their paths, in the order of their names, and their provenance to frames.
    about : one line for people: what it is and how much comes over the network.
    licence : as the data set states it.
    without_chinese : ``read`` that leaves out the Chinese tasks, where there are any.
    """

    repo: str
    wanted: tuple[str, ...]
    read: Callable[[Sequence[Path], Provenance], Frames]
    about: str
    licence: str = NONE_STATED
    without_chinese: Callable[[Sequence[Path], Provenance], Frames] | None = None


def _sprout(files: Sequence[Path], provenance: Provenance) -> Frames:
    from carrot_core.benchmarks.prices import shipped_prices
    from carrot_core.benchmarks.sprout import read_sprout

    return read_sprout(files, prices=shipped_prices(), provenance=provenance)


def _routerbench(files: Sequence[Path], provenance: Provenance, keep_chinese: bool = True) -> Frames:
    from carrot_core.benchmarks.routerbench import read_routerbench

    return read_routerbench(files[0], keep_chinese=keep_chinese, provenance=provenance)


HUB_SOURCES = {
    "sprout": HubSource(
        "CARROT-LLM-Routing/SPROUT", ("data/*.parquet",), _sprout, "44,241 prompts x 13 models, about 581 MB"
    ),
    "sprout-o3mini": HubSource(
        "CARROT-LLM-Routing/SPROUT-o3mini", ("data/*.parquet",), _sprout, "43,288 prompts x 14 models, with o3-mini"
    ),
    "routerbench-0shot": HubSource(
        "withmartian/routerbench",
        ("routerbench_0shot.pkl",),
        _routerbench,
        "36,497 prompts x 11 models, 100 MB; opened without running it",
        without_chinese=partial(_routerbench, keep_chinese=False),
    ),
    "routerbench-5shot": HubSource(
        "withmartian/routerbench",
        ("routerbench_5shot.pkl",),
        _routerbench,
        "the same prompts with five examples each x 11 models; opened without running it",
        without_chinese=partial(_routerbench, keep_chinese=False),
    ),
}


def hub_source(name: str) -> HubSource:
    """The source of that name; an unknown one is an error that lists those there are."""
    if name not in HUB_SOURCES:
        raise NotFoundError(f"Nothing called {name!r} can be pulled; there are {', '.join(HUB_SOURCES)}.")
    return HUB_SOURCES[name]
