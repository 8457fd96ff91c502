"""Reader of SPROUT (arXiv 2502.03261): Parquet shards with one row a prompt and one struct column a model.

A struct holds the tokens and the score of a model's answer, and the answer itself, which is most of the
file. Only the numbers are read: Parquet stores each field of a struct apart, so the answers stay on disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.costs import price_table
from carrot_core.benchmarks.value_checks import bounds_of
from carrot_core.errors import DataError, NotFoundError, Problem
from carrot_core.outcomes import SPLITS, beyond
from carrot_core.prices import Price, token_cost_usd
from carrot_core.prices.files import own_prices_path
from carrot_core.text import counted

FIELDS = ("score", "num_input_tokens", "num_output_tokens")
# Published with either spelling.
_LEVEL, _INDEX = ("dataset_level", "dataset level"), ("dataset_idx", "dataset idx")
_SHARD = re.compile(rf"({'|'.join(SPLITS)})(?:-(\d+)-of-(\d+)(?:-[0-9a-f]+)?)?\.parquet")
# The six sources, as the authors tell them apart in `dataset` (e.g. "lighteval/MATH/all").
_FAMILIES = ("gpqa", "MuSR", "MMLU-Pro", "MATH", "openhermes", "ragbench")

Column = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Shard:
    """What is read of one file: the prompts, models by name, and (n, M) tables by field, NaN where nothing is."""

    prompts: pd.DataFrame
    models: tuple[str, ...]
    tables: dict[str, npt.NDArray[np.float64]]
    ignored: tuple[str, ...]


def read_sprout(files: Sequence[Path], *, prices: Mapping[str, Price], provenance: Provenance) -> Frames:
    """Read all shards of SPROUT or of its variant with o3-mini.

    Models are the columns whose type is a struct with the fields ``num_input_tokens``,
    ``num_output_tokens`` and ``score``; other columns and fields are left out. A prompt's id is its ``key``,
    or, where keys are absent or repeat, its data set, level and index. Its task is its data set, its family
    the source of that. A model without a score on a prompt counts as not observed.

    Parameters
    ----------
    files : the shards, named ``<split>-<n>-of-<N>.parquet`` or ``<split>.parquet``.
    prices : price by model name; every model needs one.
    provenance : where the files are from; ``rows`` is filled in.

    Returns
    -------
    Frames with the split of the file names.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        A shard is missing or cannot be used, or a model has no price. ``problems`` has one entry for each
        kind of thing wrong in the first such file, with row (1-based), column, value and remedy.
    """
    shards = [_read(path, split, prices) for path, split in _by_split(files, provenance.source)]
    for path, shard in zip(files, shards, strict=True):
        if shard.models != shards[0].models:
            odd = sorted(set(shard.models) ^ set(shards[0].models))
            raise DataError(path.name, f"has other models than the other files: {', '.join(odd)}")
    models = shards[0].models
    prompts = pd.concat([shard.prompts for shard in shards], ignore_index=True)
    prompts["prompt_id"], warnings = _ids(prompts)
    tables = {name: np.concatenate([shard.tables[name] for shard in shards]) for name in FIELDS}
    outcomes = _outcomes(prompts["prompt_id"], models, tables, [prices[model] for model in models])
    if outcomes.empty:
        raise DataError(provenance.source, "no model has a score on any prompt")
    ignored = dict.fromkeys(name for shard in shards for name in shard.ignored)
    return Frames(
        prompts[["prompt_id", "text", "task", "family", "split"]],
        price_table({model: prices[model] for model in models}),
        outcomes,
        replace(provenance, rows=len(outcomes)),
        (*warnings, *_warnings(outcomes, prompts, tables, list(ignored))),
    )


def _by_split(files: Sequence[Path], source: str) -> list[tuple[Path, str]]:
    """Each file with its split, none missing."""
    problems, shards = [], set()
    for path in files:
        if not path.is_file():
            raise NotFoundError(f"There is no file {str(path)!r}.")
        match = _SHARD.fullmatch(path.name)
        if match is None:
            raise DataError(path.name, f"the name must begin with {', '.join(SPLITS)}: it says the split")
        split, number, count = match[1], int(match[2] or 0), int(match[3] or 1)
        problems.append((path, split))
        shards.add((split, number, count))
    for split, _, count in sorted(shards):
        missing = [number for number in range(count) if (split, number, count) not in shards]
        if missing:
            raise DataError(source, f"shard {missing[0]:05d} of the {count} of {split} is missing; pull it or name it")
    if len(shards) < len(files) or not files:
        raise DataError(source, "there are two files for one shard" if files else "there are no files")
    return problems


def _read(path: Path, split: str, prices: Mapping[str, Price]) -> _Shard:
    try:
        with pq.ParquetFile(path) as file:
            return _project(file, path.name, split, prices)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            path.name, [Problem(f"cannot be read as Parquet: {str(error).splitlines()[0]}", "Pull the file again.")]
        ) from error


def _project(file: pq.ParquetFile, name: str, split: str, prices: Mapping[str, Price]) -> _Shard:
    types = {field.name: field.type for field in file.schema_arrow}
    models = tuple(sorted(column for column, kind in types.items() if _is_model(kind)))
    _check_models(name, types, models, prices)
    level, index = (next((column for column in names if column in types), None) for names in (_LEVEL, _INDEX))
    plain = [column for column in ("key", "dataset", level, index, "prompt") if column is not None and column in types]
    paths = [*plain, *(f"{model}.{field}" for model in models for field in FIELDS)]
    table = file.read(columns=paths)
    prompts = pd.DataFrame(
        {
            "key": _texts(table, "key"),
            "dataset": _texts(table, "dataset"),
            "level": _texts(table, level),
            "index": _texts(table, index),
            "text": [text or None for text in _texts(table, "prompt")],
            "split": split,
        },
        dtype=object,
    )
    prompts["task"] = [dataset or "" for dataset in prompts["dataset"]]
    prompts["family"] = [_family(task) for task in prompts["task"]]
    columns = {(model, field): _numbers(table, model, field, name) for model in models for field in FIELDS}
    problems = [problem for (model, field), column in columns.items() for problem in _wrong(column, model, field)]
    if problems:
        raise DataError(name, problems)
    tables = {field: np.column_stack([columns[model, field] for model in models]) for field in FIELDS}
    names = {*plain, *models, "golden_answer"}
    return _Shard(prompts, models, tables, tuple(column for column in types if column not in names))


def _is_model(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind)) and {field.name for field in kind} >= set(FIELDS)


def _check_models(
    name: str, types: Mapping[str, pa.DataType], models: Sequence[str], prices: Mapping[str, Price]
) -> None:
    if "prompt" not in types:
        raise DataError(name, [Problem("the column is missing", f"There are {', '.join(types)}.", column="prompt")])
    if len(models) < 2:
        raise DataError(
            name,
            f"has {len(models)} columns of models, that is structs with {', '.join(FIELDS)}; routing needs two or more",
        )
    unpriced = [model for model in models if model not in prices]
    if unpriced:
        raise DataError(
            name,
            [
                Problem(
                    f"there is no price for {', '.join(unpriced)}",
                    f"Write it in {own_prices_path()} (columns model, input_usd_per_mtok, output_usd_per_mtok, as_of).",
                    column=unpriced[0],
                )
            ],
        )


def _texts(table: pa.Table, column: str | None) -> list[str | None]:
    if column is None or column not in table.column_names:
        return [None] * len(table)
    texts: list[str | None] = pc.cast(table.column(column), pa.large_string()).to_pylist()
    return texts


def _numbers(table: pa.Table, model: str, field: str, name: str) -> Column:
    values = pc.struct_field(table.column(model), field)
    try:
        column: Column = pc.cast(
            values, pa.float64(), safe=False
        ).to_numpy()  # numbers that are too large are refused later
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            name, [Problem(f"is not a number: {error}", "It must be a column of numbers.", column=f"{model}.{field}")]
        ) from error
    return column


def _wrong(column: Column, model: str, field: str) -> Iterator[Problem]:
    low, high = bounds = bounds_of(field)
    remedy = "Divide percentages by 100." if field == "score" else "Correct the file."
    outside = beyond(column, bounds)
    checks = [(outside, f"must be from {low:.0f} to {high:,.0f}", remedy)]
    if field != "score":
        broken = ~outside & ~np.isnan(column) & (column != np.floor(column))
        checks.append((broken, "must be a whole number of tokens", remedy))
    for bad, message, remedy in checks:
        if bad.any():
            row = int(bad.argmax())
            many = f"{message} (first of {int(bad.sum()):,} such rows)" if bad.sum() > 1 else message
            yield Problem(many, remedy, row + 1, f"{model}.{field}", f"{column[row]:g}")


def _family(dataset: str) -> str:
    return next((family for family in _FAMILIES if family in dataset), dataset)


def _ids(prompts: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """Unique ids: the keys, or data set, level and index with a number behind those that repeat."""
    keys = prompts["key"]
    if keys.map(bool).all() and keys.is_unique:
        return keys, []
    parts = zip(prompts["dataset"], prompts["level"], prompts["index"], strict=True)
    names = pd.Series([":".join(part for part in row if part) or "prompt" for row in parts], dtype=object)
    again = names.groupby(names).cumcount()
    ids = names.where(again == 0, names + "#" + (again + 1).astype(str)).astype(object)
    why = "Keys repeat" if keys.map(bool).all() else "Not every prompt has a key"
    if not ids.is_unique:  # a data set whose own index looks like our numbers
        ids = pd.Series([f"{split}:{row}" for row, split in enumerate(prompts["split"])], dtype=object)
    return ids, [f"{why}, so prompts are named by data set, level and index."]


def _outcomes(
    ids: pd.Series, models: Sequence[str], tables: Mapping[str, npt.NDArray[np.float64]], prices: list[Price]
) -> pd.DataFrame:
    cost = token_cost_usd(tables["num_input_tokens"], tables["num_output_tokens"], prices)
    mask = ~np.isnan(tables["score"]).ravel()
    return pd.DataFrame(
        {
            "prompt_id": np.repeat(ids.to_numpy(dtype=object), len(models))[mask],
            "model": np.tile(np.array(models, dtype=object), len(ids))[mask],
            "score": tables["score"].ravel()[mask],
            "input_tokens": tables["num_input_tokens"].ravel()[mask],
            "output_tokens": tables["num_output_tokens"].ravel()[mask],
            "cost_usd": cost.ravel()[mask],
        }
    )


def _warnings(
    outcomes: pd.DataFrame,
    prompts: pd.DataFrame,
    tables: Mapping[str, npt.NDArray[np.float64]],
    ignored: Sequence[str],
) -> Iterator[str]:
    unscored, unpaid = int(np.isnan(tables["score"]).sum()), int(outcomes["cost_usd"].isna().sum())
    textless = int(prompts["text"].isna().sum())
    if ignored:
        yield f"Columns that are not kept: {', '.join(ignored)}."
    if unscored:
        yield f"{unscored:,} answers have no score; they count as not observed."
    if unpaid:
        lost = counted(unpaid, "outcome has", "outcomes have")
        yield f"{lost} no token counts and so no cost; only scores count there."
    if textless:
        yield f"{counted(textless, 'prompt has', 'prompts have')} no text."
