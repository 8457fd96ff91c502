"""Vectors of a benchmark's texts, by sha256 of the text and name of the encoder, in one file per block.

A block is written once, at a cost that does not grow with the store. `gather` merges the files.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from carrot_core.errors import CarrotError, DataError, NotFoundError, Problem, StoreError
from carrot_core.store.database import reading, reading_each, rows, translate_errors, writing
from carrot_core.store.folder import Files, delete, key

_log = logging.getLogger(__name__)
Vectors = npt.NDArray[np.float32]
# Length of the vectors of the encoder that ships with the project.
KNOWN_LENGTHS = {"all-MiniLM-L6-v2": 384}
ENCODER = "carrot.encoder"  # key under which the schema of a Parquet file of vectors may name their encoder
_BATCH_ROWS = 2048
_BLOCK_ROWS = 32_768  # in memory at a time


def check_vectors(texts: Sequence[str], vectors: npt.ArrayLike) -> Vectors:
    """The vectors as (k, d) float32; raises a `CarrotError` unless they are finite, with one row per text."""
    table = np.ascontiguousarray(vectors, dtype=np.float32)
    if table.ndim != 2 or len(table) != len(texts) or (len(texts) and not table.shape[1]):
        raise CarrotError(f"Vectors of shape {table.shape} do not belong to {len(texts)} texts.")
    if not np.isfinite(table).all():
        raise CarrotError(f"The vector of {texts[int(np.argwhere(~np.isfinite(table))[0, 0])]!r} is not finite.")
    return table


def segments(files: Files, encoder: str) -> list[Path]:
    """The files of a benchmark's vectors of an encoder, oldest first."""
    return files.of(_prefix(key(encoder)))


def _prefix(encoder_key: str) -> str:
    return f"vectors-{encoder_key}-"


def _parts(segment: Path) -> tuple[str, int, int]:
    """Parts of a file's name: key of the encoder, length of the vectors, number of the block."""
    _, encoder_key, width, place = segment.stem.split("-")
    return encoder_key, int(width), int(place)


def segment_path(folder: Path, encoder_key: str, width: int, place: int) -> Path:
    """The file of a block, named by the encoder's key, the length of the vectors and the number of the block."""
    return folder / f"{_prefix(encoder_key)}{width}-{place:06d}.duckdb"


def add(files: Files, encoder: str, hashes: Sequence[str], vectors: Vectors) -> None:
    """Write a block in a file of its own; if a hash occurs twice, its first vector counts."""
    if not hashes:
        return
    there, width = segments(files, encoder), vectors.shape[1]
    _, known_width, place = _parts(there[-1]) if there else ("", width, 0)
    if width != known_width:
        raise CarrotError(f"Vectors of {encoder!r} have {known_width} numbers in the store, not {width}.")
    first = {text: row for row, text in reversed(list(enumerate(hashes)))}
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors[list(first.values())].ravel()), width)
    block = pa.table({"text_sha256": list(first), "encoder": pa.repeat(encoder, len(first)), "vector": lists})
    with writing(segment_path(files.folder, key(encoder), width, place + 1), "vectors") as connection:
        _insert(connection, block)


def _insert(connection: duckdb.DuckDBPyConnection, block: pa.Table) -> None:
    connection.register("incoming", block)
    connection.execute("insert into embeddings by name from incoming")
    connection.unregister("incoming")


def gather(files: Files, folder: Path, hashes: Container[str] | None = None) -> None:
    """Write the newest vector of each text into one file per encoder in ``folder``; only of ``hashes`` unless None.

    An encoder that already has a single file there keeps it.
    """
    by_encoder: dict[tuple[str, int], list[Path]] = {}
    for segment in files.of("vectors-"):
        by_encoder.setdefault(_parts(segment)[:2], []).append(segment)
    for (encoder_key, width), old in by_encoder.items():
        if hashes is None and folder == files.folder and len(old) == 1:
            continue
        new = segment_path(folder, encoder_key, width, _parts(old[-1])[2] + 1)
        n_vectors = 0
        with writing(new, "vectors") as connection:
            for block in _newest(old, hashes):
                _insert(connection, block)
                n_vectors += len(block)
        if not n_vectors:
            delete(new)
        if folder == files.folder:
            for segment in old:
                delete(segment)


def keep(name: str, old: Files, new: Path, hashes: Container[str]) -> None:
    """Copy the readable vectors of a replaced benchmark into its new folder, only of these hashes."""
    try:
        gather(old, new, hashes)
    except StoreError as error:
        _log.warning("Vectors of the former %r cannot be read and have to be computed again: %s", name, error)


def _newest(old: Sequence[Path], selection: Container[str] | None) -> Iterator[pa.Table]:
    done: set[str] = set()
    for block in blocks(old):
        hashes = block["text_sha256"].to_pylist()
        chosen = [text not in done and (selection is None or text in selection) for text in hashes]
        done.update(hashes)
        yield block.filter(pa.array(chosen))


def blocks(old: Sequence[Path], query: str = "from embeddings", hashes: Sequence[str] = ()) -> Iterator[pa.Table]:
    """Rows of files, the newest file first, some at a time; the query may use the hashes in the table ``hashes``."""
    for segment, connection in reading_each(list(reversed(old))):
        connection.register("wanted", pa.table({"text_sha256": pa.array(hashes, pa.string())}))
        with translate_errors(segment):
            for batch in connection.sql(query).to_arrow_reader(_BLOCK_ROWS):
                yield pa.Table.from_batches([batch])


def of_hashes(files: Files, encoder: str, hashes: Collection[str]) -> tuple[list[str], Vectors] | None:
    """The hashes that have a vector, and their (k, d) vectors; None if none has."""
    query = "from embeddings semi join wanted using (text_sha256)"
    parts = list(blocks(segments(files, encoder), query, sorted(hashes)))
    table = pa.concat_tables(parts) if parts else None
    return (table["text_sha256"].to_pylist(), numbers(table)) if table else None


def load(files: Files, encoder: str, hashes: Sequence[str | None]) -> Vectors | None:
    """(n, d) vectors of n hashes, NaN rows for a hash of None; None unless all other hashes have a vector."""
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(hashes):
        if text is not None:
            rows_of.setdefault(text, []).append(row)
    vectors: Vectors | None = None
    for block in blocks(segments(files, encoder)):
        values = numbers(block)
        if vectors is None:
            vectors = np.full((len(hashes), values.shape[1]), np.nan, dtype=np.float32)
        pairs = [(row, at) for at, text in enumerate(block["text_sha256"].to_pylist()) for row in rows_of.pop(text, ())]
        if pairs:
            targets, sources = map(list, zip(*pairs, strict=True))
            vectors[targets] = values[sources]
    return None if rows_of else vectors


def numbers(block: pa.Table) -> Vectors:
    """The (k, d) vectors of a block."""
    values: Vectors = block["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(block), -1)


def texts(files: Files) -> dict[str, str]:
    """Distinct texts of a benchmark by their hash, in the order of the prompts."""
    query = (
        "select text_sha256, any_value(text) from prompts where text is not null "
        "group by text_sha256 order by min(prompt)"
    )
    with reading(files.main) as connection:
        return dict(rows(connection, query))


def missing_texts(files: Files, encoder: str) -> list[str]:
    """Distinct texts without a vector, in the order of the prompts."""
    there: set[str] = set()
    for segment, connection in reading_each(segments(files, encoder)):
        with translate_errors(segment):
            there.update(text for (text,) in rows(connection, "select text_sha256 from embeddings"))
    return [text for key, text in texts(files).items() if key not in there]


def read_file(file: Path, encoder: str, prompt_ids: Container[str]) -> tuple[list[str], Vectors]:
    """Read ids and unit vectors from a Parquet file or a folder of them, for ``prompt_ids`` only.

    Raises a `DataError` that lists all problems; the schema may not name another encoder (`ENCODER`). Other rows are
    dropped during reading, so memory does not depend on the size of the file.
    """
    files = sorted(file.glob("*.parquet")) if file.is_dir() else [file]
    if not files or not files[0].is_file():
        raise NotFoundError(f"There is no file {str(file)!r}.")
    vectors: dict[str, Vectors] = {}
    right, before = KNOWN_LENGTHS.get(encoder), 0
    for ids, lists in (batch for each in files for batch in _batches(each, encoder)):
        lengths = lists.value_lengths().fill_null(0).to_numpy()
        right = right or int(lengths[0]) or -1
        problems = [*_length_problems(lengths, encoder, right, before), *_id_problems(ids, vectors, before)]
        if problems:
            raise DataError(file.name, problems)
        values = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), -1)
        norms = np.linalg.norm(values, axis=1, keepdims=True)
        bad = ~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0)
        if bad.any():
            row, what = int(bad.argmax()), "not finite, or all zeros"
            raise DataError(file.name, [Problem(what, "", before + row + 1, "embedding", repr(ids[row]))])
        unit = (values / norms).astype(np.float32)
        vectors |= {name: unit[row].copy() for row, name in enumerate(ids) if name in prompt_ids}
        before += len(ids)
    if not before:
        raise DataError(file.name, "the file has no rows")
    if not vectors:
        problem = Problem("no id is that of a prompt with text in this benchmark", "Is it the file of this benchmark?")
        raise DataError(file.name, [problem])
    return list(vectors), np.array(list(vectors.values()))


def _batches(file: Path, encoder: str) -> Iterator[tuple[list[Any], pa.ListArray]]:
    """Ids and lists of float64 of a few rows at a time."""
    try:
        with pq.ParquetFile(file) as source:
            stated = (source.schema_arrow.metadata or {}).get(ENCODER.encode(), encoder.encode()).decode()
            if stated != encoder:
                raise DataError(file.name, f"has vectors of {stated!r}, not of {encoder!r}")
            for batch in source.iter_batches(_BATCH_ROWS, columns=["prompt_id", "embedding"]):
                yield batch["prompt_id"].cast(pa.string()).to_pylist(), batch["embedding"].cast(pa.list_(pa.float64()))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(file.name, f"is not a Parquet file of prompt_id and embedding: {error}") from error


def _length_problems(lengths: npt.NDArray[np.int32], encoder: str, right: int, before: int) -> list[Problem]:
    wrong = lengths != right
    if not wrong.any():
        return []
    row = int(wrong.argmax())
    expected = f"vectors of {encoder!r} have {right} numbers" if right > 0 else "a vector has numbers"
    return [Problem(expected, "", before + row + 1, "embedding", f"{lengths[row]} numbers")]


def _id_problems(ids: list[str | None], earlier: Container[str], before: int) -> list[Problem]:
    """Missing ids and repeated ids; ids that are not asked for are compared within a batch only."""
    problems = []
    if None in ids:
        problems.append(Problem("no prompt id", "", before + ids.index(None) + 1, "prompt_id"))
    here: set[str | None] = set()
    for row, prompt_id in enumerate(ids):
        if prompt_id in here or prompt_id in earlier:
            message = "this prompt already has a vector"
            problems.append(Problem(message, "", before + row + 1, "prompt_id", repr(prompt_id)))
            break
        here.add(prompt_id)
    return problems
