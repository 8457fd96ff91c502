"""A fitted router as two files: ``router.json`` (names, settings, structure) and ``router.safetensors`` (numbers).

Nothing in them runs when they are read: JSON names the classes of `_CLASSES` and no others, and their
attributes are set without calling anything. Estimates are bound to model **names**.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from
from safetensors.numpy import save as tensors_as_bytes

from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.routers.base import Router

FORMAT = 1
_DOCUMENT, _NUMBERS = "router.json", "router.safetensors"

# What a saved router may be made of, by the name it has in the file.
_CLASSES = {
    "CarrotKNN": "carrot_core.routers.knn",
    "CarrotKNNRouter": "carrot_core.routers",
    "Price": "carrot_core.pricing",
    "TaskLookup": "carrot_core.routers.baselines",
    "Vectors": "carrot_core.routers.neighbours",
    "ZeroRouter": "carrot_core.routers.baselines",
}


def save_router(router: Router, folder: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write a fitted router into a folder, over one that is there.

    Parameters
    ----------
    router : fitted; the oracle, which knows only outcomes, cannot be saved.
    folder : made where it is missing.
    about : where it comes from (benchmark, data hash, seed, versions, …); kept as it is.

    Raises
    ------
    CarrotError
        The router is not fitted or cannot be saved, or the folder cannot be written.
    """
    if not hasattr(router, "models_"):
        raise CarrotError(f"{type(router).__name__} is not fitted yet, so there is nothing to save.")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = _pack(router, "", arrays)
    numbers = tensors_as_bytes(arrays)
    document = {
        "format": FORMAT,
        "router": router.name,
        "models": list(router.models_),
        "about": dict(about or {}),
        "sha256": hashlib.sha256(numbers).hexdigest(),
        "state": tree,
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in ((_NUMBERS, numbers), (_DOCUMENT, text.encode())):
            part = folder / f"{name}.part"
            part.write_bytes(content)
            os.replace(part, folder / name)
    except OSError as error:
        raise CarrotError(f"Cannot write {folder}: {error.strerror or error}.") from error


def load_router(folder: Path, models: Sequence[str] | None = None) -> Router:
    """A router saved by `save_router`, ready to estimate.

    Parameters
    ----------
    folder : where it was saved.
    models : names it must know exactly, in any order; by default whatever it was fitted on.

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
    if hashlib.sha256(numbers).hexdigest() != document["sha256"]:
        raise DataError(str(folder / _NUMBERS), f"these are not the numbers that {_DOCUMENT} describes; save it again")
    fitted_on = document["models"]
    if models is not None and sorted(models) != sorted(fitted_on):
        odd = sorted(set(models) ^ set(fitted_on))
        raise CarrotError(f"{folder} was fitted on another pool: {odd[0]!r} is in one of the two only.")
    try:
        router: Router = _unpack(document["state"], tensors_from(numbers))
        whole = list(router.models_) == fitted_on and router.name == document["router"]
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(str(folder), f"is damaged ({error}); save it again") from error
    if not whole:
        raise DataError(str(folder), "names and numbers do not belong together; save it again")
    return router


def read_saved(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The document and the numbers of a saved router, checked only for being there and of a known format."""
    try:
        text, numbers = (folder / _DOCUMENT).read_bytes(), (folder / _NUMBERS).read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no saved router in {folder}: {Path(error.filename).name} is missing.") from error
    except OSError as error:
        raise CarrotError(f"Cannot read {folder}: {error.strerror or error}.") from error
    try:
        document = json.loads(text)
        version = document["format"]
        for name, kind in (("router", str), ("models", list), ("about", dict), ("sha256", str), ("state", dict)):
            if not isinstance(document[name], kind):
                raise TypeError(name)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(str(folder / _DOCUMENT), "is not the document of a saved router") from error
    if version != FORMAT:
        raise DataError(str(folder / _DOCUMENT), f"has format {version!r}; this version reads format {FORMAT}")
    return document, numbers


def _pack(value: Any, place: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """``value`` as JSON; its arrays go to ``arrays`` under the place they stand at."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OU":
            return {"$strings": value.tolist(), "shape": list(value.shape)}
        arrays[place] = np.ascontiguousarray(value)
        return {"$array": place}
    kind = type(value).__name__
    if kind in _CLASSES:
        state = value._asdict() if hasattr(value, "_fields") else vars(value)
        return {"$class": kind, "state": _pack(dict(state), place, arrays)}
    if isinstance(value, list | tuple):
        items = [_pack(item, f"{place}/{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"$dict": {key: _pack(item, f"{place}/{key}", arrays) for key, item in value.items()}}
    raise CarrotError(f"A router that holds a {kind} (at {place or 'its top'}) cannot be saved.")


def _unpack(node: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(node, list):
        return [_unpack(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    if "$array" in node:
        return arrays[node["$array"]]
    if "$strings" in node:
        return np.array(node["$strings"], dtype=object).reshape(node["shape"])
    if "$float" in node:
        return float(node["$float"])
    if "$tuple" in node:
        return tuple(_unpack(item, arrays) for item in node["$tuple"])
    if "$dict" in node:
        return {key: _unpack(item, arrays) for key, item in node["$dict"].items()}
    kind = getattr(import_module(_CLASSES[node["$class"]]), node["$class"])
    state = _unpack(node["state"], arrays)
    if hasattr(kind, "_fields"):
        return kind(**state)
    made = object.__new__(kind)
    made.__dict__.update(state)
    return made
