"""Load a router for typed prompts: from a benchmark, a folder, the hub or an operating point."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from carrot_core import embedding, paths
from carrot_core.embedding import Vectors
from carrot_core.errors import CarrotError, DataError, NotFoundError, StoreError
from carrot_core.evaluation import make_setting
from carrot_core.evaluation.runs import Trial, fitted_router
from carrot_core.modes import action
from carrot_core.outcomes import Benchmark
from carrot_core.routers import READS_TASK, Router
from carrot_core.routers.neighbours import Vectors as UnitVectors
from carrot_core.routers.neighbours import unit_vectors
from carrot_core.routers.saving import load_saved
from carrot_core.serving.decision import nearest_prompts, terms_of
from carrot_core.serving.point import PointFile, is_point_name, read_point
from carrot_core.serving.profile import RouterProfile, profile_of
from carrot_core.store import Store
from carrot_core.store.browse import task_labels

HEADS = "heads"
SHIPPED_ROUTER = "carrot-mlp"  # small enough to ship, as fast as a few matrix products, answers without torch
LABELLED_HEAD = f"{SHIPPED_ROUTER} (shipped)"  # in results: one that reads task labels, on prompts without a label
_FITTED_HERE, _FITTED_WITH_TASK = "carrot-knn", "carrot-linear"


def measured_name(router: str, names: Collection[str]) -> str:
    """Name in results of a router that answers prompts."""
    return LABELLED_HEAD if router == SHIPPED_ROUTER and LABELLED_HEAD in names else router


def shipped_params(tasks: Iterable[str]) -> dict[str, bool]:
    """Parameters of the head that ships for a benchmark: it reads task labels if the prompts have several.

    ``tasks`` : labels of the prompts, "" for none.
    """
    return {"use_task": True} if len(set(tasks) - {""}) > 1 else {}


def shipped_heads() -> list[str]:
    """Names of the benchmarks whose fitted head ships with the project; loading a damaged one raises an error."""
    return sorted(folder.name for folder in paths.shipped(HEADS).glob("*/"))


@dataclass(frozen=True)
class PromptKind:
    """The kind of prompts of a benchmark, in a sentence (empty if it is not known), and examples by name."""

    about: str
    examples: Mapping[str, str]


@cache
def shipped_kinds() -> dict[str, PromptKind]:
    """The kind of prompts of each benchmark that ships; its examples are written by hand, none is in the data."""
    document = json.loads(paths.shipped("examples.json").read_bytes())
    return {
        name: PromptKind(entry["about"], {each["name"]: each["text"] for each in entry["examples"]})
        for name, entry in document.items()
    }


class Parts(NamedTuple):
    """Parts of a `carrot_core.serving.CarrotRouter`."""

    name: str
    fitted: Router
    profile: RouterProfile
    artefact: str
    nearest: Callable[[Vectors], pd.DataFrame | None]
    point: PointFile | None = None


def load(source: str | Path | PointFile, router: str | None, store: Store, use_task: bool) -> Parts:
    """See `carrot_core.serving.CarrotRouter.load`."""
    if isinstance(source, PointFile):
        parts, name = at_point(source, store), "the operating point"
    else:
        parts, name = _load_source(source, router, store, use_task), str(source)
    if router not in (None, parts.fitted.name):
        raise CarrotError(
            f"{name!r} is {parts.fitted.name}, not {router}: you can choose a router only for a benchmark in the store."
        )
    return parts


Kind = Literal["point", "folder", "benchmark", "hub"]


def kind_of(source: str | Path, hashes: Collection[str]) -> Kind | None:
    """Tell what a name or path refers to; None if there is nothing of that name.

    A `Path` is a file or a folder. Text is the name of a benchmark in the store (``hashes``) or of a head that
    ships; else a file, a folder, or owner/name on the hub.

    Raises
    ------
    CarrotError
        A benchmark and a file or folder both have this name.
    """
    name = str(source)
    named = isinstance(source, str) and (name in hashes or name in shipped_heads())
    saved, file = _exists(Path(source) / "router.json"), _exists(Path(source))
    if named and (saved or (file and is_point_name(name))):
        raise CarrotError(
            f"{name!r} is a benchmark and also a {'folder' if saved else 'file'} here: write './{name}' for the "
            f"{'folder' if saved else 'file'}, or run the command in another folder for the benchmark."
        )
    if named:
        return "benchmark"
    if saved:
        return "folder"
    if is_point_name(name) or (file and isinstance(source, Path)):
        return "point"
    on_hub = isinstance(source, str) and name.count("/") == 1 and not name.startswith((".", "/", "~"))
    return "hub" if on_hub else None


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long for a path
        return False


def _load_source(source: str | Path, router: str | None, store: Store, use_task: bool = False) -> Parts:
    """The router of a source; ``router`` names one if the source offers several."""
    name, hashes = str(source), {info.name: info.data_hash for info in store.benchmarks()}
    kind = kind_of(source, hashes)
    if kind == "point":
        return at_point(read_point(Path(source)), store, Path(source).name)
    if kind == "folder":
        return from_folder(Path(source), name, store)
    if kind == "benchmark":
        return _of_benchmark(name, hashes.get(name), router, store, use_task)
    if kind == "hub":
        return _from_hub(name, store)
    if name in (damaged := store.damaged()):
        raise StoreError(damaged[name])
    raise NotFoundError(
        f"There is no router {name!r}: no benchmark of that name is in the store, no fitted head ships for it "
        f"(there are {', '.join(shipped_heads())}), and it is no folder that `carrot router save` wrote."
    )


def _of_benchmark(name: str, data_hash: str | None, router: str | None, store: Store, use_task: bool) -> Parts:
    """The shipped head, unless the name means other data of the store (``data_hash``) or another router is named."""
    if name in shipped_heads() and router in (None, SHIPPED_ROUTER) and not store.shadows(name):
        return shipped_head(name, store)
    if data_hash is None:
        raise NotFoundError(
            f"{router} cannot be fitted on {name!r}: the benchmark is not in the store. The head that ships is "
            f"{SHIPPED_ROUTER}."
        )
    labelled = use_task and router in (None, *READS_TASK) and bool(shipped_params(task_labels(store, name)))
    default = _FITTED_WITH_TASK if labelled else _FITTED_HERE
    return _load_fitted(store.path, store.version(name), name, router or default, labelled)


def shipped_head(name: str, store: Store | None = None) -> Parts:
    """The fitted head that ships under a name, even if the store has a benchmark of that name."""
    return from_folder(paths.shipped(HEADS) / name, name, store or Store())


def is_here(source: str, store: Store) -> bool:
    """Whether a router's source is on this machine, so that loading it needs no network."""
    return kind_of(source, [info.name for info in store.benchmarks()]) in ("benchmark", "folder")


def from_folder(folder: Path, name: str, store: Store) -> Parts:
    """Load a saved router with its profile; its training prompts come from the store if they are there."""
    fitted, profile, document = load_saved(folder)
    if not isinstance(profile, RouterProfile):
        raise DataError(
            str(folder), "was saved without a profile for typed prompts: save it again with `carrot router save`"
        )
    # The encoder's name comes from a file, which is not reason enough to download it.
    if profile.encoder is not None and not embedding.is_here(profile.encoder):
        raise CarrotError(
            f"{name!r} reads prompts with the encoder {profile.encoder!r}, which is not on this machine. If you want "
            "it there, fetch it first: `hf download` with its name."
        )
    return Parts(name, fitted, profile, document["sha256"], _nearest_of(profile, store))


def _nearest_of(profile: RouterProfile, store: Store) -> Callable[[Vectors], pd.DataFrame | None]:
    """Make a function of a (d,) vector that gives its nearest training prompts (`nearest_prompts`), read once.

    The function returns None if the store lacks these data or their vectors.
    """

    @cache
    def train() -> tuple[Benchmark, UnitVectors] | None:
        hashes = {info.name: info.data_hash for info in store.benchmarks()}
        if hashes.get(profile.benchmark) != profile.data_hash:
            return None
        bench = make_setting(store.load(profile.benchmark, encoder=profile.encoder)).train
        return None if bench.vectors is None else (bench, unit_vectors(bench.vectors))

    return lambda vector: None if (there := train()) is None else nearest_prompts(vector, *there)


@lru_cache(maxsize=4)
def _load_fitted(path: Path, _version: str, name: str, router: str, use_task: bool) -> Parts:
    """Fit a router on a benchmark of a store; ``_version`` makes the cache notice changes.

    ``use_task`` is true only if the router can read labels and there are some, so that a fit is cached once.
    """
    from carrot_core.embedding import load_embedded

    store = Store(path)
    bench = load_embedded(store, name)
    params = {"use_task": True} if use_task else {}
    fitted, estimates, setting = fitted_router(store, Trial(bench, router, params=params))
    profile = profile_of(setting, fitted, estimates)
    # Not a hash of the numbers: the same fit differs in the last bits from machine to machine.
    made_of = " ".join([router, *params])
    artefact = hashlib.sha256(f"{made_of} {setting.train.data_hash} {version('carrot-core')}".encode()).hexdigest()
    return Parts(name, fitted, profile, artefact, _nearest_of(profile, store))


def at_point(point: PointFile, store: Store, name: str = "the operating point") -> Parts:
    """Load the router of an operating point; it must be the one that the point was made with.

    ``name`` is the point's name in errors.
    """
    if kind_of(point.source, [info.name for info in store.benchmarks()]) == "point":
        raise DataError(name, "names another operating point as its router")
    plain = _load_source(point.source, point.router, store)
    if plain.artefact != point.artefact and point.router in READS_TASK:  # made with the same router, fitted with labels
        plain = _load_source(point.source, point.router, store, use_task=True)
    for what, expected, actual in (
        ("router", point.router, plain.fitted.name),
        ("data", point.data_hash, plain.profile.data_hash),
        ("fitted numbers", point.artefact, plain.artefact),
        ("cost unit", point.cost_unit_usd, plain.profile.cost_unit_usd),
    ):
        if expected != actual:
            raise DataError(
                name, f"rests on other {what} ({expected}) than {point.source!r} has here ({actual}); export it again"
            )
    terms_of(plain.fitted.models_, plain.profile, point)  # raises now if the router does not know a model
    return plain._replace(point=point)


def _from_hub(repo: str, store: Store) -> Parts:
    from carrot_core.routers.publishing import pull

    folder = paths.home() / "routers" / repo
    with action("pull a router", repo, folder):
        pull(repo, folder)
    return from_folder(folder, repo, store)
