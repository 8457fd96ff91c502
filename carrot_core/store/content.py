"""A benchmark in the store: its frames in canonical order with split and hash, its file and its description."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from carrot_core import limits
from carrot_core.benchmarks import OPTIONAL, OUTCOME, Frames, Provenance
from carrot_core.benchmarks.costs import price_of_row
from carrot_core.benchmarks.file_checks import memory_for, private_connection
from carrot_core.benchmarks.split import FRACTIONS, OTHER_SPLIT, draw, duplicate_keys, ends_of
from carrot_core.errors import CarrotError
from carrot_core.outcomes import SPLITS, Benchmark, Outcomes
from carrot_core.store.database import append, blocks_of, columns_of, create, joined, rows, writing
from carrot_core.store.info import (
    MORE_NUMBERS,
    NUMBERS,
    OWN_SPLIT,
    content_hash,
    models_frame,
    sample_tables_of,
    tables_of,
)
from carrot_core.text import (
    alike_note,
    chat_messages,
    counted,
    fingerprint,
    join_surrogates,
    prompt_text,
    text_hash,
    text_keys,
)

_BY_HASH = "by sha256 of seed and text"
_PROMPTS_AT_A_TIME, _RUNS_AT_A_TIME = 1 << 8, 1 << 18
_TEXT_BYTES = 4 << 20  # of prompts that are split and hashed at once; the last block read may exceed it
_STAGED = """
create temp table staged (
    prompt integer, prompt_id varchar, text varchar, messages varchar, text_sha256 varchar, task varchar,
    family varchar, own varchar, draw blob, whole bigint, beginning bigint
)
"""
# One row per distinct text: its place among the texts to divide, in the order of their draws, and its number in the
# order of the prompts.
_TEXTS = """
create temp table texts as
select draw, bool_or({divided}) as divided, row_number() over (order by min(prompt)) - 1 as number,
       row_number() over (partition by bool_or({divided}) order by draw) - 1 as place
from staged group by draw
"""
_PROMPTS = """
insert into prompts by name
select prompt, prompt_id, text, messages, text_sha256, task, family, number as duplicate_group,
       case when not ({divided}) then own when place < ? then 'train' when place < ? then 'validation' else 'test' end
       as split
from staged join texts using (draw) order by prompt
"""
_SHARED = """
select count(*) from (select 1 from prompts group by duplicate_group having count(distinct split) > 1)
"""
_CHATS = "select count(messages) from prompts"
_ALIKE = """
select coalesce(sum(n) filter (n > 1), 0)::bigint, coalesce(sum(n), 0)::bigint from (
    select count(*) as n from (select distinct whole, beginning from staged where text is not null) group by beginning
)
"""


@dataclass(frozen=True)
class Content:
    """Summary of a benchmark's tables: number of prompts, rule of their split, hash of the tables, and warnings."""

    n_prompts: int
    split_rule: str
    data_hash: str
    warnings: tuple[str, ...]


def content_of(frames: Frames, split_seed: int) -> Content:
    """The content that frames would have in the store, without storing them."""
    with memory_for(frames.provenance.source), private_connection(memory=limits.STORE_MEMORY) as connection:
        create(connection, "benchmark")
        return fill(connection, frames, split_seed)


def write(path: Path, name: str, frames: Frames, split_seed: int) -> Content:
    """Write the file of a benchmark."""
    origin = frames.provenance
    with writing(path, "benchmark") as connection, memory_for(origin.source):
        content = fill(connection, frames, split_seed)
        connection.execute(
            "insert into benchmarks values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                name, origin.source, origin.licence, origin.sha256, origin.note,
                datetime.now(UTC).replace(tzinfo=None), content.split_rule, split_seed, content.data_hash,
                list(content.warnings),
            ],
        )  # fmt: skip
        connection.execute("checkpoint")  # here, so that an error names a lack of memory
    return content


def fill(connection: duckdb.DuckDBPyConnection, frames: Frames, split_seed: int) -> Content:
    """Put frames into the empty tables of a benchmark, split and in canonical order, some rows at a time.

    Prompts are sorted by id and models by name, so two loads of the same data are the same content.
    """
    models = frames.models.sort_values("model", ignore_index=True)
    n_prompts, rule, warnings = _fill_prompts(connection, _prompts_of(frames), split_seed)
    if not n_prompts or models.empty:
        raise CarrotError(f"{frames.provenance.source} has no prompts or no models; there is nothing to store.")
    _fill_outcomes(connection, _runs_of(frames, models["model"]))
    models = models.rename(columns={"model": "name"})
    models.insert(0, "model", np.arange(len(models), dtype=np.int32))
    append(connection, "models", blocks_of(models))
    return Content(n_prompts, rule, content_hash(connection), tuple(dict.fromkeys((*frames.warnings, *warnings))))


def _prompts_of(frames: Frames) -> Iterator[pa.Table]:
    """Prompts in the order of their ids."""
    relation = frames.relation("prompts")
    if relation is not None:
        return relation.blocks(_PROMPTS_AT_A_TIME)
    return blocks_of(frames.prompts.sort_values("prompt_id", ignore_index=True), _PROMPTS_AT_A_TIME)


def _runs_of(frames: Frames, names: pd.Series[str]) -> Iterator[pa.Table]:
    """Runs with the places of their prompts among the sorted ids, and of their models among the sorted names."""
    relation = frames.relation("outcomes")
    if relation is not None:
        return relation.blocks(_RUNS_AT_A_TIME)
    ids, runs = frames.prompts["prompt_id"].sort_values(), frames.outcomes
    columns: dict[str, Any] = {
        "prompt": pd.Index(ids).get_indexer(pd.Index(runs["prompt_id"])).astype(np.int32),
        "model": pd.Index(names).get_indexer(pd.Index(runs["model"])).astype(np.int32),
        **{name: runs[name] for name in (*OUTCOME[2:], *OPTIONAL) if name in runs},
    }
    return blocks_of(pd.DataFrame(columns, copy=False))


def _fill_outcomes(connection: duckdb.DuckDBPyConnection, blocks: Iterable[pa.Table]) -> None:
    """Fill in one row per cell, the mean of its samples, and the samples unless every cell has only one."""
    connection.execute("create temp table runs as from samples limit 0")
    append(connection, "runs", blocks)
    several = "select 1 from runs group by prompt, model having count(*) > 1 and count(sample) > 0"
    if not rows(connection, f"select 1 where exists ({several})"):
        connection.execute("insert into outcomes by name select * exclude (sample) from runs order by prompt, model")
        _check_once(connection, "outcomes", "prompt, model")
    else:
        ordered = "select * replace (coalesce(sample, '') as sample) from runs order by prompt, model, sample"
        connection.execute(f"insert into samples by name {ordered}")
        _check_once(connection, "samples", "prompt, model, sample")
        some = "select * exclude (sample) from samples where prompt >= ? and prompt < ? order by prompt, model, sample"
        ((n_prompts, n_runs),) = rows(connection, "select max(prompt) + 1, count(*) from samples")
        step = max(1, n_prompts * _RUNS_AT_A_TIME // n_runs)
        for first in range(0, n_prompts, step):
            part = connection.execute(some, [first, first + step]).df()
            append(connection, "outcomes", blocks_of(_cells(part)))
    connection.execute("drop table runs")


def _check_once(connection: duckdb.DuckDBPyConnection, table: str, columns: str) -> None:
    """Raise an error if a sorted table repeats ``columns``; the index of a primary key would be held in memory."""
    pairs = f"select ({columns}) as own, lag(({columns})) over () as before from {table}"  # noqa: S608  fixed text
    ((count,),) = rows(connection, f"select count(*) from ({pairs}) where own = before")  # noqa: S608  fixed text
    if count:
        raise duckdb.ConstraintException(f"{count:,} rows of {table} repeat {columns} of another")


def _cells(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per cell, the mean of its runs."""
    cells = runs.groupby(["prompt", "model"], sort=True)
    # Each column alone: if columns are averaged together, how pandas rounds depends on their number.
    outcomes = pd.DataFrame({name: cells[name].mean() for name in (*NUMBERS, *MORE_NUMBERS)})
    outcomes["time"] = cells["time"].first()
    outcomes["n_samples"] = cells.size()
    for name, variance in (("score", "score_variance"), ("cost_usd", "cost_variance")):
        alike = cells[name].min() == cells[name].max()  # then it is 0 without rounding
        outcomes[variance] = cells[name].var().mask(alike & (cells[name].count() > 1), 0.0)
    return outcomes.reset_index()


def _fill_prompts(
    connection: duckdb.DuckDBPyConnection, blocks: Iterable[pa.Table], seed: int
) -> tuple[int, str, list[str]]:
    """Fill in prompts in the order of their ids; returns their number, the rule of their split, and warnings."""
    connection.execute(_STAGED)
    n = 0
    for block in joined(blocks, _TEXT_BYTES):
        append(connection, "staged", [_staged(block, n, seed)])
        n += len(block)
    rule, warnings = _divide(connection, n)
    ((shared,),) = rows(connection, _SHARED)
    if shared and rule.startswith(OWN_SPLIT):
        warnings.append(f"{counted(shared, 'text is', 'texts are')} on more than one side of the file's own split.")
    (((n_chats,),), (of_texts,)) = rows(connection, _CHATS), rows(connection, _ALIKE)
    if n_chats:
        chats = counted(n_chats, "prompt is a list of", "prompts are")
        warnings.append(f"{chats} chat messages: the last text of the user is what is embedded, all are kept.")
    connection.execute("drop table staged; drop table texts")
    return n, rule, [*warnings, *filter(None, [alike_note(*of_texts)])]


def _staged(block: pa.Table, first: int, seed: int) -> pa.Table:
    """Rows of the staging table for prompts numbered from ``first``, with the hashes that tell their texts apart."""
    columns = block.to_pydict()
    ids = columns["prompt_id"]
    texts, messages = _texts_and_messages(ids, columns["text"])
    hashes = [
        other if text is None else text_hash(text)
        for text, other in zip(texts, columns.get("text_sha256", [None] * len(ids)), strict=True)
    ]
    whole, beginning = zip(*(fingerprint(text or "") for text in texts), strict=True)
    return pa.table(
        {
            "prompt": pa.array(np.arange(first, first + len(ids), dtype=np.int32)),
            "prompt_id": block["prompt_id"],
            "text": pa.array(texts, pa.large_string()),
            "messages": pa.array(messages, pa.large_string()),
            "text_sha256": pa.array(hashes, pa.large_string()),
            "task": block["task"],
            "family": block["family"],
            "own": block["split"],
            "draw": pa.array([draw(seed, key) for key in duplicate_keys(ids, text_keys(texts, hashes))], pa.binary()),
            "whole": pa.array(whole, pa.int64()),
            "beginning": pa.array(beginning, pa.int64()),
        }
    )


def _texts_and_messages(ids: list[str], whole: list[str | None]) -> tuple[list[str | None], list[str | None]]:
    """The text of each prompt that is read, and all messages of those that are chats.

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


def _divide(connection: duckdb.DuckDBPyConnection, n: int) -> tuple[str, list[str]]:
    """Fill the table of prompts with their parts of the split; returns the rule of the split and warnings.

    If a source's own split has only train and test, validation is taken out of train, with the same ratio of distinct
    texts as in a split drawn here.
    """
    sides = dict(rows(connection, "select own, count(*) from staged where own is not null group by own"))
    absent = [side for side in SPLITS if side not in sides]
    divided, shares, rule, warnings = "false", FRACTIONS, OWN_SPLIT, list[str]()
    if sum(sides.values()) < n:
        divided, rule = "true", f"{_percents(FRACTIONS)} of the distinct texts, {_BY_HASH}"
    elif absent == ["validation"]:
        learned, chosen, _ = FRACTIONS
        divided, shares = "own = 'train'", (learned / (learned + chosen), chosen / (learned + chosen), 0.0)
        shares_drawn = f"train and validation {_percents(shares[:2])} of the distinct texts of its train, {_BY_HASH}"
        rule = f"{OWN_SPLIT}, {shares_drawn}"
        warnings = [f"The file's own split has no validation prompts: they are taken out of train. {OTHER_SPLIT}"]
    elif absent:
        warnings = [f"The file's own split has no {' and no '.join(absent)} prompts. {OTHER_SPLIT}"]
    connection.execute(_TEXTS.format(divided=divided))
    ((n_texts,),) = rows(connection, "select count(*) from texts where divided")
    connection.execute(_PROMPTS.format(divided=divided), list(map(int, ends_of(shares, n_texts)[:2])))
    return rule, warnings


def _percents(shares: Sequence[float]) -> str:
    return "/".join(f"{100 * share:.0f}" for share in shares)


def frames_of(connection: duckdb.DuckDBPyConnection) -> tuple[Frames, int]:
    """Read frames that make the same content again, and the seed of the split.

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
    """Load the benchmark of a file, without vectors."""
    prompts = rows(connection, "select prompt_id, text, text_sha256, task, split::varchar from prompts order by prompt")
    models = models_frame(connection).to_dict("records")
    shape = len(prompts), len(models)
    tables = tables_of(connection, shape)
    more: dict[str, Any] = {name: tables[name] for name in MORE_NUMBERS if name in tables}
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
        **(more | sample_tables_of(connection, shape)),
        prices={row["model"]: price for row in models if (price := price_of_row(row)) is not None},
        vectors=None,
        encoder=None,
        data_hash=data_hash,
        split_is_ours=not split_rule.startswith(OWN_SPLIT),
    )
