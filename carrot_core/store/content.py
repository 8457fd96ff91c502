"""A benchmark in the store: its frames in canonical order with split and hash, its file and its description."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.benchmarks import OPTIONAL, OUTCOME, Frames, Provenance
from carrot_core.benchmarks.costs import price_of_row
from carrot_core.benchmarks.model_facts import FACTS
from carrot_core.benchmarks.split import FRACTIONS, OTHER_SPLIT, duplicate_keys, split
from carrot_core.errors import CarrotError
from carrot_core.outcomes import SPLITS, Benchmark, Outcomes
from carrot_core.prices import MORE_PRICES
from carrot_core.store.database import append, columns_of, rows, writing
from carrot_core.store.info import OWN_SPLIT, models_frame
from carrot_core.text import (
    alike_warning,
    chat_messages,
    fingerprint,
    join_surrogates,
    prompt_text,
    text_hash,
    text_keys,
)

_BY_HASH = "by sha256 of seed and text"
_NUMBERS = ["score", "input_tokens", "output_tokens", "cost_usd"]
_MORE_NUMBERS = ["cached_input_tokens", "reasoning_tokens", "latency_s"]  # which many benchmarks do not record


@dataclass(frozen=True, eq=False)
class Content:
    """One benchmark as its tables' columns, without the benchmark's number.

    Prompts are sorted by id and models by name, so two loads of the same data are the same content.
    """

    prompts: pd.DataFrame
    models: pd.DataFrame
    outcomes: pd.DataFrame
    samples: pd.DataFrame
    split_rule: str
    data_hash: str
    warnings: tuple[str, ...]


def content_of(frames: Frames, split_seed: int) -> Content:
    """Put frames into canonical order, split them and hash them."""
    if frames.prompts.empty or frames.models.empty:
        raise CarrotError(f"{frames.provenance.source} has no prompts or no models; there is nothing to store.")
    models = frames.models.sort_values("model", ignore_index=True)
    prompts, rule, warnings = _with_split(frames.prompts.sort_values("prompt_id", ignore_index=True), split_seed)
    more = [name for name in _MORE_NUMBERS if name in frames.outcomes]
    columns: dict[str, Any] = {
        "prompt": pd.Index(prompts["prompt_id"]).get_indexer(frames.outcomes["prompt_id"]).astype(np.int32),
        "model": pd.Index(models["model"]).get_indexer(frames.outcomes["model"]).astype(np.int32),
        **{name: frames.outcomes[name].astype(np.float64) for name in (*_NUMBERS, *more)},
    }
    if "time" in frames.outcomes:
        columns["time"] = frames.outcomes["time"]
    outcomes = pd.DataFrame(columns, copy=False)
    outcomes, samples = _cells(outcomes, frames.outcomes.get("sample"))
    data_hash = content_hash(prompts, models, outcomes, samples)
    notes = tuple(dict.fromkeys((*frames.warnings, *warnings)))
    return Content(prompts, models, outcomes, samples, rule, data_hash, notes)


def _cells(runs: pd.DataFrame, names: pd.Series[str] | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a cell, the mean of its samples, and the runs behind it; none where every cell has one."""
    if names is None or not runs.duplicated(["prompt", "model"]).any():
        return runs.sort_values(["prompt", "model"], ignore_index=True), runs[:0].assign(sample="")
    samples = runs.assign(sample=names.fillna("").astype(object))
    samples = samples.sort_values(["prompt", "model", "sample"], ignore_index=True)
    cells = samples.groupby(["prompt", "model"], sort=True)
    outcomes = cells[[name for name in (*_NUMBERS, *_MORE_NUMBERS) if name in runs]].mean()
    if "time" in runs:
        outcomes["time"] = cells["time"].first()
    outcomes["n_samples"] = cells.size()
    for name, variance in (("score", "score_variance"), ("cost_usd", "cost_variance")):
        alike = cells[name].min() == cells[name].max()  # then it is 0 without rounding
        outcomes[variance] = cells[name].var().mask(alike & (cells[name].count() > 1), 0.0)
    return outcomes.reset_index(), samples


def _with_split(prompts: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, str, list[str]]:
    ids = [str(value) for value in prompts["prompt_id"]]
    whole = [None if pd.isna(value) else str(value) for value in prompts["text"]]
    texts, messages = _texts_and_messages(ids, whole)
    hashes = _hashes(texts, prompts.get("text_sha256"))
    keys = text_keys(texts, hashes)
    group, _ = pd.factorize(np.array(duplicate_keys(ids, keys), dtype=object))
    own = prompts["split"].to_numpy(dtype=np.str_) if prompts["split"].notna().all() else None
    side, rule, warnings = _sides(ids, keys, own, seed)
    full = prompts[["prompt_id", "task", "family"]].assign(
        prompt=np.arange(len(prompts), dtype=np.int32),
        text=pd.Series(texts, dtype=object),
        messages=pd.Series(messages, dtype=object),
        text_sha256=pd.Series(hashes, dtype=object),
        split=pd.Series(side, dtype=object),
        duplicate_group=group.astype(np.int32),
    )
    shared = 0 if own is None else int((full.groupby("duplicate_group")["split"].nunique() > 1).sum())
    if shared:
        warnings.append(f"{shared:,} texts stand on more than one side of the file's own split.")
    if n_chats := sum(value is not None for value in messages):
        warnings.append(
            f"{n_chats:,} prompts are chat messages: the last text of the user is what is embedded, all are kept."
        )
    alike = alike_warning({fingerprint(text) for text in texts if text is not None})
    return full, rule, [*warnings, *filter(None, [alike])]


def _hashes(texts: list[str | None], stated: pd.Series[str] | None) -> list[str | None]:
    """Hash of each text, as stated where the text is not here; None where nothing is known of it."""
    others = [None] * len(texts) if stated is None else stated.astype(object).where(stated.notna(), None)
    return [other if text is None else text_hash(text) for text, other in zip(texts, others, strict=True)]


def _texts_and_messages(ids: list[str], whole: list[str | None]) -> tuple[list[str | None], list[str | None]]:
    """What is read of each prompt, and the whole of those that are chats.

    Raises
    ------
    CarrotError
        A chat has no text of the user.
    """
    texts: list[str | None] = list(whole)
    messages: list[str | None] = [None] * len(whole)
    for place, prompt in enumerate(whole):
        chat = None if prompt is None else chat_messages(prompt)
        if chat is None:
            continue
        text = prompt_text(chat)
        if text is None:
            raise CarrotError(f"The prompt {ids[place]!r} is a list of chat messages without any text of the user.")
        texts[place], messages[place] = join_surrogates(text), json.dumps(list(chat))
    return texts, messages


def _sides(
    ids: list[str], texts: list[str | None], own: npt.NDArray[np.str_] | None, seed: int
) -> tuple[npt.NDArray[np.str_], str, list[str]]:
    """The (n,) split, the rule it follows and warnings; ``own`` is the source's split, ``texts`` may be `text_keys`.

    One with train and test alone gets its validation out of train: of the distinct texts there as large a share as
    in a split of ours.
    """
    if own is None:
        return split(ids, texts, seed=seed), f"{_percents(FRACTIONS)} of the distinct texts, {_BY_HASH}", []
    absent = [side for side in SPLITS if side not in own]
    if absent == ["validation"]:
        train = np.flatnonzero(own == "train")
        learned, chosen, _ = FRACTIONS
        shares = (learned / (learned + chosen), chosen / (learned + chosen), 0.0)
        side = own.astype("<U10")
        side[train] = split([ids[row] for row in train], [texts[row] for row in train], seed=seed, fractions=shares)
        how = f"train and validation {_percents(shares[:2])} of the distinct texts of its train, {_BY_HASH}"
        warning = f"The file's own split has no validation prompts: they are taken out of train. {OTHER_SPLIT}"
        return side, f"{OWN_SPLIT}, {how}", [warning]
    warnings = [f"The file's own split has no {' and no '.join(absent)} prompts. {OTHER_SPLIT}"] if absent else []
    return own, OWN_SPLIT, warnings


def _percents(shares: Sequence[float]) -> str:
    return "/".join(f"{100 * share:.0f}" for share in shares)


def content_hash(prompts: pd.DataFrame, models: pd.DataFrame, outcomes: pd.DataFrame, samples: pd.DataFrame) -> str:
    """sha256 of a benchmark's content, all tables in canonical order."""
    digest = hashlib.sha256()
    # A benchmark without any chat, or hash of a text that is not here, keeps the hash it had before these were known.
    chats = ["messages"] if "messages" in prompts and prompts["messages"].notna().any() else []
    hidden = ["text_sha256"] if (prompts["text"].isna() & prompts["text_sha256"].notna()).any() else []
    for frame, columns in (
        (prompts, ["prompt_id", "text", "task", "family", "split", *chats, *hidden]),
        (models, ["model", "as_of", "source"]),
    ):
        for column in columns:
            digest.update(json.dumps([column, frame[column].tolist()]).encode())
    for frame, columns in (
        (models, ["input_usd_per_mtok", "output_usd_per_mtok"]),
        (outcomes, ["prompt", "model", *_NUMBERS]),
    ):
        for column in columns:
            digest.update(_bytes(frame[column]))
    # What came later is named and counts where there is any of it: other benchmarks keep their hash.
    for column in [name for name in (*MORE_PRICES, *FACTS) if name in models and models[name].notna().any()]:
        values = [None if pd.isna(value) else value for value in models[column].tolist()]
        digest.update(json.dumps([column, values]).encode())
    _add_recorded(digest, outcomes, _MORE_NUMBERS, ["time"])
    if len(samples):
        _add_recorded(digest, samples, ["prompt", "model", *_NUMBERS, *_MORE_NUMBERS], ["sample", "time"])
    return digest.hexdigest()


def _add_recorded(digest: hashlib._Hash, frame: pd.DataFrame, numbers: Sequence[str], texts: Sequence[str]) -> None:
    for column in [name for name in (*numbers, *texts) if name in frame and frame[name].notna().any()]:
        if column in numbers:
            digest.update(column.encode() + _bytes(frame[column]))
        else:
            values = [value if isinstance(value, str) else None for value in frame[column]]
            digest.update(json.dumps([column, values]).encode())


def _bytes(numbers: pd.Series[float]) -> bytes:
    values = numbers.to_numpy(dtype="<f8") + 0.0  # -0.0 and 0.0 are one number
    values[np.isnan(values)] = np.nan  # and NaN has one pattern
    return values.tobytes()


def write(path: Path, name: str, frames: Frames, content: Content, split_seed: int) -> None:
    """Make the file of a benchmark."""
    origin, models = frames.provenance, content.models.rename(columns={"model": "name"})
    models.insert(0, "model", np.arange(len(models), dtype=np.int32))
    with writing(path, "benchmark") as connection:
        connection.execute(
            "insert into benchmarks values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                name, origin.source, origin.licence, origin.sha256, origin.note,
                datetime.now(UTC).replace(tzinfo=None), content.split_rule, split_seed, content.data_hash,
                list(content.warnings),
            ],
        )  # fmt: skip
        tables = {"models": models, "prompts": content.prompts, "outcomes": content.outcomes}
        for table, frame in (tables | {"samples": content.samples}).items():
            append(connection, table, frame)


def frames_of(connection: duckdb.DuckDBPyConnection) -> tuple[Frames, int]:
    """The frames behind a file, which make the same content again, and the seed of its split.

    A split that was drawn here is not in them: it is drawn again.
    """
    stated = ("source", "sha256", "licence", "note", "warnings", "split_rule", "split_seed")
    (row,) = rows(connection, f"select {', '.join(stated)} from benchmarks")  # noqa: S608  fixed names
    origin = dict(zip(stated, row, strict=True))
    prompts = connection.execute("select * replace (split::varchar as split) from prompts order by prompt").df()
    if "messages" in prompts:
        prompts["text"] = prompts["messages"].fillna(prompts["text"])
    if not origin["split_rule"].startswith(OWN_SPLIT):
        prompts["split"] = None
    has_samples = bool(columns_of(connection, "samples")) and rows(connection, "from samples limit 1")
    table, order = ("samples", ", sample") if has_samples else ("outcomes", "")
    runs = connection.execute(
        f"select prompt_id, m.name as model, r.* exclude (prompt, model) from {table} r join prompts using (prompt) "  # noqa: S608
        f"join models m on m.model = r.model order by r.prompt, r.model{order}"
    ).df()
    more = [name for name in OPTIONAL if name in runs and runs[name].notna().any()]
    frames = Frames(
        prompts=prompts[["prompt_id", "text", "text_sha256", "task", "family", "split"]].astype(object),
        models=models_frame(connection),
        outcomes=runs[[*OUTCOME, *more]],
        provenance=Provenance(**{name: origin[name] for name in stated[:4]}, rows=len(runs)),
        warnings=tuple(origin["warnings"]),
    )
    return frames, int(origin["split_seed"])


def load(connection: duckdb.DuckDBPyConnection) -> Benchmark:
    """The benchmark of a file, without vectors."""
    prompts = rows(connection, "select prompt_id, text, text_sha256, task, split::varchar from prompts order by prompt")
    models = models_frame(connection).to_dict("records")
    shape = len(prompts), len(models)
    tables = _tables(connection, shape)
    more: dict[str, Any] = {name: tables[name] for name in _MORE_NUMBERS if name in tables}
    ((name, data_hash, split_rule),) = rows(connection, "select name, data_hash, split_rule from benchmarks")
    ids, texts, hashes, tasks, splits = zip(*prompts, strict=True)
    return Benchmark(
        name=name,
        outcomes=Outcomes(ids, tuple(row["model"] for row in models), tables["score"], tables["cost_usd"]),
        texts=texts,
        text_hashes=hashes,
        tasks=tasks,
        split=np.array(splits, dtype=np.str_),
        input_tokens=tables["input_tokens"],
        output_tokens=tables["output_tokens"],
        **(more | _sample_tables(connection, shape)),
        prices={row["model"]: price for row in models if (price := price_of_row(row)) is not None},
        vectors=None,
        encoder=None,
        data_hash=data_hash,
        split_is_ours=not split_rule.startswith(OWN_SPLIT),
    )


def _sample_tables(connection: duckdb.DuckDBPyConnection, shape: tuple[int, int]) -> dict[str, npt.NDArray[np.float64]]:
    """Scores and dollars of all samples, (n, M, S), NaN behind a cell's last one; none where each has one."""
    if not columns_of(connection, "samples"):
        return {}
    cells = connection.execute(
        "select prompt, model, row_number() over (partition by prompt, model order by sample) - 1 as place, score, "
        "coalesce(cost_usd, 'nan') as cost_usd from samples"
    ).fetchnumpy()
    if not len(cells["place"]):
        return {}
    tables = {}
    for name in ("score", "cost_usd"):
        tables[f"sample_{name}"] = np.full((*shape, int(np.max(cells["place"])) + 1), np.nan)
        tables[f"sample_{name}"][cells["prompt"], cells["model"], cells["place"]] = cells[name]
    return tables


def recorded(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The numbers that a benchmark records of its outcomes: the usual ones, and of the others those it has any of."""
    there = columns_of(connection, "outcomes")
    more = [name for name in _MORE_NUMBERS if name in there]
    if not more:
        return _NUMBERS
    ((*counts,),) = rows(connection, f"select {', '.join(f'count({name})' for name in more)} from outcomes")  # noqa: S608
    return [*_NUMBERS, *(name for name, count in zip(more, counts, strict=True) if count)]


def _tables(connection: duckdb.DuckDBPyConnection, shape: tuple[int, int]) -> dict[str, npt.NDArray[np.float64]]:
    """(n, M) tables of a benchmark, NaN where there is no outcome or no number."""
    names = recorded(connection)
    numbers = ", ".join(f"coalesce({name}, 'nan') as {name}" for name in names)
    cells = connection.execute(f"select prompt, model, {numbers} from outcomes").fetchnumpy()  # noqa: S608  fixed names
    tables = {name: np.full(shape, np.nan) for name in names}
    for name in names:
        tables[name][cells["prompt"], cells["model"]] = cells[name]
    return tables
