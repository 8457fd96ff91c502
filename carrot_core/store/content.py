"""Frames in the form the database holds: canonical order, numbered prompts and models, split, hashes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.split import FRACTIONS, duplicate_keys, split
from carrot_core.errors import CarrotError
from carrot_core.outcomes import SPLITS
from carrot_core.store.records import OWN_SPLIT

_NUMBERS = ["score", "input_tokens", "output_tokens", "cost_usd"]


def text_hash(text: str) -> str:
    """Key of a text among the embeddings: sha256 of its UTF-8 bytes, exactly as it is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, eq=False)
class Content:
    """One benchmark as its tables' columns, without the benchmark's number.

    Prompts are sorted by id and models by name, so two loads of the same data are the same content.
    """

    prompts: pd.DataFrame
    models: pd.DataFrame
    outcomes: pd.DataFrame
    split_rule: str
    data_hash: str
    warnings: tuple[str, ...]


def content_of(frames: Frames, split_seed: int) -> Content:
    """Put frames into canonical order, split them and hash them."""
    if frames.prompts.empty or frames.models.empty:
        raise CarrotError(f"{frames.provenance.source} has no prompts or no models; there is nothing to store.")
    models = frames.models.sort_values("model", ignore_index=True)
    prompts, rule, warnings = _with_split(frames.prompts.sort_values("prompt_id", ignore_index=True), split_seed)
    outcomes = frames.outcomes[_NUMBERS].astype(np.float64)
    outcomes.insert(0, "prompt", pd.Index(prompts["prompt_id"]).get_indexer(frames.outcomes["prompt_id"]))
    outcomes.insert(1, "model", pd.Index(models["model"]).get_indexer(frames.outcomes["model"]))
    outcomes = outcomes.astype({"prompt": np.int32, "model": np.int32})
    outcomes = outcomes.sort_values(["prompt", "model"], ignore_index=True)
    return Content(
        prompts, models, outcomes, rule, content_hash(prompts, models, outcomes), (*frames.warnings, *warnings)
    )


def _with_split(prompts: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, str, list[str]]:
    ids = [str(value) for value in prompts["prompt_id"]]
    texts = [None if pd.isna(value) else str(value) for value in prompts["text"]]
    group, _ = pd.factorize(np.array(duplicate_keys(ids, texts), dtype=object))
    own = bool(prompts["split"].notna().all())
    side = prompts["split"].to_numpy(dtype=np.str_) if own else split(ids, texts, seed=seed)
    full = prompts[["prompt_id", "task", "family"]].assign(
        prompt=np.arange(len(prompts), dtype=np.int32),
        text=pd.Series(texts, dtype=object),
        text_sha256=pd.Series([None if text is None else text_hash(text) for text in texts], dtype=object),
        split=pd.Series(side, dtype=object),
        duplicate_group=group.astype(np.int32),
    )
    percent = "/".join(f"{100 * share:.0f}" for share in FRACTIONS)
    rule = OWN_SPLIT if own else f"{percent} of the distinct texts, by sha256 of seed and text"
    return full, rule, _own_split_warnings(full) if own else []


def _own_split_warnings(prompts: pd.DataFrame) -> list[str]:
    """What an evaluation would trip over in a split that was made elsewhere."""
    warnings = []
    absent = [side for side in SPLITS if side not in set(prompts["split"])]
    if absent:
        warnings.append(f"The file's own split has no {' and no '.join(absent)} prompts.")
    shared = int((prompts.groupby("duplicate_group")["split"].nunique() > 1).sum())
    if shared:
        warnings.append(f"{shared:,} texts stand on more than one side of the file's own split.")
    return warnings


def content_hash(prompts: pd.DataFrame, models: pd.DataFrame, outcomes: pd.DataFrame) -> str:
    """sha256 of a benchmark's content, all three tables in canonical order."""
    digest = hashlib.sha256()
    for frame, columns in (
        (prompts, ["prompt_id", "text", "task", "family", "split"]),
        (models, ["model", "as_of", "source"]),
    ):
        for column in columns:
            digest.update(json.dumps([column, frame[column].tolist()]).encode())
    for frame, columns in (
        (models, ["input_usd_per_mtok", "output_usd_per_mtok"]),
        (outcomes, ["prompt", "model", *_NUMBERS]),
    ):
        for column in columns:
            values = frame[column].to_numpy(dtype="<f8") + 0.0  # -0.0 and 0.0 are one number
            values[np.isnan(values)] = np.nan  # and NaN has one pattern
            digest.update(values.tobytes())
    return digest.hexdigest()
