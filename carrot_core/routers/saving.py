"""A fitted router as two files: ``router.json`` (names, settings, structure) and ``router.safetensors`` (numbers).

Nothing in them runs when they are read: JSON names the classes of `_CLASSES` and no others, and their
attributes are set without calling anything. Estimates are bound to model **names**.

A part of a router with files of its own (`WithFiles`: an encoder's weights and its tokenizer, as transformers writes
them) is in a folder beside the two; the hashes of its files are in the document.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from
from safetensors.numpy import save as tensors_as_bytes

from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.routers.base import Router, WithFiles

FORMAT = 1
_DOCUMENT, _NUMBERS = "router.json", "router.safetensors"
_FILE, _STORED = "file:", "the stored router"  # prefix of a file among the numbers; its name in errors

# Classes that a saved router may consist of, and their modules.
_CLASSES = {
    "BestSingle": "carrot_core.routers.baselines",
    "Calibration": "carrot_core.serving.intervals",
    "CarrotEncoder": "carrot_core.routers.encoder.router",
    "CarrotBlend": "carrot_core.routers.blend",
    "CarrotBlendRouter": "carrot_core.routers.blend",
    "CarrotGuarded": "carrot_core.routers.cascade",
    "CarrotKNN": "carrot_core.routers.knn",
    "CarrotKNNRouter": "carrot_core.routers",
    "CarrotLinear": "carrot_core.routers.linear",
    "CarrotLinearRouter": "carrot_core.routers",
    "CarrotMLP": "carrot_core.routers.mlp",
    "CarrotMLPRouter": "carrot_core.routers",
    "CarrotReleased": "carrot_core.routers.encoder.router",
    "Cascade": "carrot_core.routers.cascade",
    "CostOnly": "carrot_core.routers.baselines",
    "Distance": "carrot_core.serving.profile",
    "ModelMLPs": "carrot_core.routers.baselines",
    "Network": "carrot_core.routers.encoder.network",
    "PackedForest": "carrot_core.routers.pairs",
    "PairFactorisation": "carrot_core.routers.pairs",
    "InputTokens": "carrot_core.serving.profile",
    "KernelRidge": "carrot_core.routers.blend",
    "Price": "carrot_core.prices",
    "RandomRouter": "carrot_core.routers.baselines",
    "Recipe": "carrot_core.routers.encoder",
    "RoRF": "carrot_core.routers.pairs",
    "RouteLLMBert": "carrot_core.routers.encoder.router",
    "RouteLLMMF": "carrot_core.routers.pairs",
    "RouterBenchKNN": "carrot_core.routers.baselines",
    "RouterBenchMLP": "carrot_core.routers.baselines",
    "RouterProfile": "carrot_core.serving.profile",
    "SavedCurve": "carrot_core.curve",
    "ScoreInterval": "carrot_core.serving.intervals",
    "TaskLookup": "carrot_core.routers.baselines",
    "TaskInput": "carrot_core.routers.inputs",
    "TaskLookupInput": "carrot_core.routers.baselines",
    "TaskPrior": "carrot_core.routers.inputs",
    "TextFeatures": "carrot_core.routers.blend",
    "Tier": "carrot_core.prices",
    "UsageInterval": "carrot_core.serving.intervals",
    "UsageScale": "carrot_core.routers.criteria",
    "Vectors": "carrot_core.routers.neighbours",
    "ZeroRouter": "carrot_core.routers.baselines",
}
# Classes with another name in the files, so that every version can read them.
_NAME_IN_FILES = {"RouterProfile": "Companion", "SavedCurve": "KeptCurve"}
_CLASS_OF_NAME = {_NAME_IN_FILES.get(name, name): name for name in _CLASSES}


@dataclass
class _Parts:
    """Arrays and parts with folders that a router's JSON refers to, by their path in it."""

    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    folders: dict[str, WithFiles] = field(default_factory=dict)


def save_router(
    router: Router, folder: Path, about: Mapping[str, Any] | None = None, profile: object | None = None
) -> None:
    """Write a fitted router into a folder, replacing any router there.

    Parameters
    ----------
    router : fitted; the oracle, which knows only outcomes, cannot be saved.
    folder : created if it is missing.
    about : its origin (benchmark, data hash, seed, versions, …); stored unchanged.
    profile : data that typed prompts need, saved beside it (`carrot_core.serving.profile.RouterProfile`).

    Raises
    ------
    CarrotError
        The router is not fitted or cannot be saved, or the folder cannot be written.
    """
    document, parts = _document(router, about or {}, profile)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document["files"] = _write_folders(parts.folders, folder)
        for name, content in zip((_NUMBERS, _DOCUMENT), _with_hash(document, parts.arrays)[::-1], strict=True):
            part = folder / f"{name}.part"
            part.write_bytes(content)
            os.replace(part, folder / name)
    except OSError as error:
        raise CarrotError(f"Cannot write {folder}: {error.strerror or error}.") from error


def can_be_saved(router: Router) -> bool:
    """Whether this module knows how to save a router: not the oracle, which knows only outcomes."""
    return type(router).__name__ in _CLASSES


def router_as_bytes(router: Router, profile: object | None = None) -> tuple[str, bytes]:
    """A router as `save_router` writes it: a document and its numbers, with the files of parts among the numbers."""
    document, parts = _document(router, {}, profile)
    with tempfile.TemporaryDirectory() as folder:
        document["files"] = _write_folders(parts.folders, Path(folder))
        contents = {_FILE + name: np.fromfile(Path(folder, name), np.uint8) for name in document["files"]}
        text, numbers = _with_hash(document, parts.arrays | contents)
    return text.decode(), numbers


def router_from_bytes(document: str, numbers: bytes) -> tuple[Router, Any]:
    """The router of `router_as_bytes`, and its profile or None; errors as for `load_saved`."""
    described = _parse(document, _STORED)
    with tempfile.TemporaryDirectory() as folder:
        for name in described.get("files", {}):
            path = _inside(Path(folder), name)
            path.parent.mkdir(parents=True, exist_ok=True)
            tensors_from(numbers)[_FILE + name].tofile(path)
        return _restore(described, numbers, Path(folder), _STORED)


def _document(router: Router, about: Mapping[str, Any], profile: object) -> tuple[dict[str, Any], _Parts]:
    """The document of a router without the hashes, and the parts it refers to."""
    if not hasattr(router, "models_"):
        raise CarrotError(f"{type(router).__name__} is not fitted yet, so there is nothing to save.")
    return {
        "format": FORMAT,
        "router": router.name,
        "models": list(router.models_),
        "about": dict(about),
        "sha256": "",
        "state": _pack(router, "", parts := _Parts()),
        "companion": _pack(profile, "/companion", parts),
    }, parts


def _with_hash(document: dict[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> tuple[bytes, bytes]:
    """The document with the hash of its numbers, and the numbers."""
    numbers = tensors_as_bytes(dict(arrays))
    document["sha256"] = hashlib.sha256(numbers).hexdigest()
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False).encode(), numbers


def load_router(folder: Path, models: Sequence[str] | None = None) -> Router:
    """A router saved by `save_router`, ready to estimate; parameters and errors as for `load_saved`."""
    return load_saved(folder, models)[0]


def load_saved(folder: Path, models: Sequence[str] | None = None) -> tuple[Router, Any, dict[str, Any]]:
    """A router saved by `save_router`, its profile (None if saved without one) and ``router.json``.

    Parameters
    ----------
    folder : folder it was saved in.
    models : names that must be exactly its models, in any order; by default any models.

    Raises
    ------
    NotFoundError
        There is no saved router.
    DataError
        Its files are damaged, do not belong together, or are of a format this version does not know.
    CarrotError
        It was fitted on other models.
    """
    document, numbers = read_saved(folder)
    if models is not None and sorted(models) != sorted(document["models"]):
        odd = sorted(set(models) ^ set(document["models"]))
        raise CarrotError(f"{folder} was fitted on another pool: {odd[0]!r} is in one of the two only.")
    return *_restore(document, numbers, folder, str(folder)), document


def _restore(document: Mapping[str, Any], numbers: bytes, folder: Path, where: str) -> tuple[Router, Any]:
    """The router and its profile; ``where`` names their source in errors."""
    if hashlib.sha256(numbers).hexdigest() != document["sha256"]:
        raise DataError(where, f"these are not the numbers that {_DOCUMENT} describes; save it again")
    try:
        _check_files(folder, document.get("files", {}))
        # Copies, writable like the arrays of a fit, so that numba compiles one version for both.
        arrays = {name: array.copy() for name, array in tensors_from(numbers).items() if not name.startswith(_FILE)}
        router: Router = _unpack(document["state"], arrays, folder)
        profile = _unpack(document.get("companion"), arrays, folder)
        if (list(router.models_), router.name) != (document["models"], document["router"]):
            raise ValueError("names and numbers do not belong together")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DataError(where, f"is damaged ({error}); save it again") from error
    return router, profile


def read_saved(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The document and the numbers of a saved router; only their presence and format are checked."""
    try:
        text, numbers = (folder / _DOCUMENT).read_bytes(), (folder / _NUMBERS).read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no saved router in {folder}: {Path(error.filename).name} is missing.") from error
    except OSError as error:
        raise CarrotError(f"Cannot read {folder}: {error.strerror or error}.") from error
    return _parse(text, str(folder / _DOCUMENT)), numbers


def _parse(text: str | bytes, where: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(text)
        version = document["format"]
        for name, kind in (("router", str), ("models", list), ("about", dict), ("sha256", str), ("state", dict)):
            if not isinstance(document[name], kind):
                raise TypeError(name)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(where, "is not the document of a saved router") from error
    if version != FORMAT:
        raise DataError(where, f"has format {version!r}; this version reads format {FORMAT}")
    return document


def _write_folders(parts: Mapping[str, WithFiles], folder: Path) -> dict[str, str]:
    """Write the parts' folders, each complete before it replaces the old one; returns sha256 by path."""
    hashes: dict[str, str] = {}
    for name, part in parts.items():
        target, part_folder = folder / name, folder / f"{name}.part"
        shutil.rmtree(part_folder, ignore_errors=True)
        part.write_files(part_folder)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(part_folder, target)
        files = sorted(path for path in target.rglob("*") if path.is_file())
        hashes |= {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    return hashes


def _check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    for name, sha256 in hashes.items():
        if _sha256(_inside(folder, name)) != sha256:
            raise ValueError(f"{name} is not the file that {_DOCUMENT} describes")


def _inside(folder: Path, name: str) -> Path:
    """A path in the folder; names that lead out of it raise an error."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
        raise DataError(name, "lies outside of the router's folder")
    return folder / name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(document: Mapping[str, Any]) -> list[str]:
    """Paths of all files of a saved router, relative to its folder."""
    names = [_DOCUMENT, _NUMBERS, *document.get("files", {})]
    for name in names:
        _inside(Path(), name)
    return names


def _pack(value: Any, place: str, parts: _Parts) -> Any:
    """``value`` as JSON; its arrays and folders are added to ``parts``, keyed by their path in it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OU":
            return {"$strings": value.tolist(), "shape": list(value.shape)}
        parts.arrays[place] = np.ascontiguousarray(value)
        return {"$array": place}
    kind = type(value).__name__
    written = _NAME_IN_FILES.get(kind, kind)
    if kind in _CLASSES and isinstance(value, WithFiles):
        name = place.strip("/")
        parts.folders[name] = value
        return {"$files": written, "folder": name, "state": _pack(dict(value.state()), place, parts)}
    if kind in _CLASSES:
        state = value._asdict() if hasattr(value, "_fields") else vars(value)
        return {"$class": written, "state": _pack(dict(state), place, parts)}
    if isinstance(value, list | tuple):
        items = [_pack(item, f"{place}/{i}", parts) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"$dict": {key: _pack(item, f"{place}/{key}", parts) for key, item in value.items()}}
    raise CarrotError(f"A router that holds a {kind} (at {place or 'its top'}) cannot be saved.")


def _unpack(node: Any, arrays: Mapping[str, np.ndarray[Any, Any]], folder: Path) -> Any:
    if isinstance(node, list):
        return [_unpack(item, arrays, folder) for item in node]
    if not isinstance(node, dict):
        return node
    if "$array" in node:
        return arrays[node["$array"]]
    if "$strings" in node:
        return np.array(node["$strings"], dtype=object).reshape(node["shape"])
    if "$float" in node:
        return float(node["$float"])
    if "$tuple" in node:
        return tuple(_unpack(item, arrays, folder) for item in node["$tuple"])
    if "$dict" in node:
        return {key: _unpack(item, arrays, folder) for key, item in node["$dict"].items()}
    name = _CLASS_OF_NAME[node.get("$class") or node["$files"]]
    kind = getattr(import_module(_CLASSES[name]), name)
    state = _unpack(node["state"], arrays, folder)
    if "$files" in node:
        return kind.from_files(_inside(folder, node["folder"]), state)
    if hasattr(kind, "_fields"):
        return kind(**state)
    vars(restored := object.__new__(kind)).update(state)
    return restored
