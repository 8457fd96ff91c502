"""Embeddings in the store, keyed by the sha256 of the text and the name of the encoder."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from carrot_core.errors import CarrotError, DataError, NotFoundError, Problem
from carrot_core.store.content import text_hash
from carrot_core.store.database import rows

Vectors = npt.NDArray[np.float32]
# Length of the vectors of the encoder that ships with the project.
KNOWN_LENGTHS = {"all-MiniLM-L6-v2": 384}
_BATCH_ROWS = 2048


def checked(texts: Sequence[str], vectors: npt.ArrayLike) -> Vectors:
    """(k, d) float32, finite, one row a text."""
    table = np.ascontiguousarray(vectors, dtype=np.float32)
    if table.ndim != 2 or len(table) != len(texts) or (len(texts) and not table.shape[1]):
        raise CarrotError(f"Vectors of shape {table.shape} do not belong to {len(texts)} texts.")
    if not np.isfinite(table).all():
        raise CarrotError(f"The vector of {texts[int(np.argwhere(~np.isfinite(table))[0, 0])]!r} is not finite.")
    return table


def add(connection: duckdb.DuckDBPyConnection, encoder: str, texts: Sequence[str], vectors: Vectors) -> None:
    """Insert or replace; where a text is given twice its first vector counts."""
    there = rows(connection, "select len(vector) from embeddings where encoder = ? limit 1", encoder)
    if len(texts) and there not in ([], [(vectors.shape[1],)]):
        raise CarrotError(f"Vectors of {encoder!r} have {there[0][0]} numbers in the store, not {vectors.shape[1]}.")
    first = {text_hash(text): row for row, text in reversed(list(enumerate(texts)))}
    chosen = vectors[list(first.values())] if first else vectors[:0]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(chosen.ravel()), max(1, vectors.shape[1]))
    connection.register("incoming", pa.table({"text_sha256": list(first), "vector": lists}))
    connection.execute(
        "insert or replace into embeddings (text_sha256, encoder, vector) "
        "select text_sha256, ?, vector::float[] from incoming",
        [encoder],
    )
    connection.unregister("incoming")


def load(connection: duckdb.DuckDBPyConnection, benchmark: int, encoder: str) -> Vectors | None:
    """(n, d) vectors in the order of the prompts, NaN rows where there is no text; None unless all texts have one."""
    table: pa.Table = connection.sql(
        "select prompt, vector from prompts join embeddings using (text_sha256) "
        "where benchmark = $benchmark and encoder = $encoder",
        params={"benchmark": benchmark, "encoder": encoder},
    ).to_arrow_table()
    ((n_prompts, n_texts),) = rows(
        connection, "select count(*), count(text) from prompts where benchmark = ?", benchmark
    )
    if not n_texts or len(table) < n_texts:
        return None
    values = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = np.full((n_prompts, len(values) // len(table)), np.nan, dtype=np.float32)
    vectors[table["prompt"].to_numpy()] = values.reshape(len(table), -1)
    return vectors


def missing_texts(connection: duckdb.DuckDBPyConnection, benchmark: int, encoder: str) -> list[str]:
    """Distinct texts without a vector of that encoder, in the order of the prompts."""
    found = rows(
        connection,
        "select any_value(text) from prompts where benchmark = ? and text is not null and text_sha256 not in "
        "(select text_sha256 from embeddings where encoder = ?) group by text_sha256 order by min(prompt)",
        benchmark,
        encoder,
    )
    return [text for (text,) in found]


def delete_unshared(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Delete the vectors of the texts that only this benchmark has."""
    texts = "select text_sha256 from prompts join benchmarks using (benchmark) where text is not null and name"
    connection.execute(
        f"delete from embeddings where text_sha256 in ({texts} = ?) and text_sha256 not in ({texts} <> ?)",  # noqa: S608
        [name, name],
    )


def read_file(file: Path, encoder: str, wanted: Container[str]) -> tuple[list[str], Vectors]:
    """Ids and unit vectors of a Parquet file, those of wanted ids only; everything wrong is a `DataError`.

    Rows that are not wanted are not kept, so memory is bounded by what is wanted, whatever the file holds.
    """
    if not file.is_file():
        raise NotFoundError(f"There is no file {str(file)!r}.")
    found: dict[str, Vectors] = {}
    right, before = KNOWN_LENGTHS.get(encoder), 0
    for ids, lists in _batches(file):
        lengths = lists.value_lengths().fill_null(0).to_numpy()
        right = right or int(lengths[0]) or -1
        problems = [*_length_problems(lengths, encoder, right, before), *_id_problems(ids, found, before)]
        if problems:
            raise DataError(file.name, problems)
        values = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), -1)
        norms = np.linalg.norm(values, axis=1, keepdims=True)
        bad = ~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0)
        if bad.any():
            row, what = int(bad.argmax()), "not finite, or all zeros"
            raise DataError(file.name, [Problem(what, "", before + row + 1, "embedding", repr(ids[row]))])
        unit = (values / norms).astype(np.float32)
        found |= {name: unit[row].copy() for row, name in enumerate(ids) if name in wanted}
        before += len(ids)
    if not before:
        raise DataError(file.name, "the file has no rows")
    if not found:
        problem = Problem("no id is that of a prompt with text in this benchmark", "Is it the file of this benchmark?")
        raise DataError(file.name, [problem])
    return list(found), np.array(list(found.values()))


def _batches(file: Path) -> Iterator[tuple[list[Any], pa.ListArray]]:
    """Ids and lists of float64 of a few rows at a time."""
    try:
        with pq.ParquetFile(file) as source:
            for batch in source.iter_batches(_BATCH_ROWS, columns=["prompt_id", "embedding"]):
                yield batch["prompt_id"].cast(pa.string()).to_pylist(), batch["embedding"].cast(pa.list_(pa.float64()))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(file.name, f"is no Parquet file of prompt_id and embedding: {error}") from error


def _length_problems(lengths: npt.NDArray[np.int32], encoder: str, right: int, before: int) -> list[Problem]:
    wrong = lengths != right
    if not wrong.any():
        return []
    row = int(wrong.argmax())
    expected = f"vectors of {encoder!r} have {right} numbers" if right > 0 else "a vector has numbers"
    return [Problem(expected, "", before + row + 1, "embedding", f"{lengths[row]} numbers")]


def _id_problems(ids: list[str | None], found: Container[str], before: int) -> list[Problem]:
    """No id, or one that has a vector; of ids that are not wanted only those beside each other are looked at."""
    problems = []
    if None in ids:
        problems.append(Problem("no prompt id", "", before + ids.index(None) + 1, "prompt_id"))
    here: set[str | None] = set()
    for row, prompt_id in enumerate(ids):
        if prompt_id in here or prompt_id in found:
            message = "this prompt already has a vector"
            problems.append(Problem(message, "", before + row + 1, "prompt_id", repr(prompt_id)))
            break
        here.add(prompt_id)
    return problems
