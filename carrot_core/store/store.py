"""The store's front: save and load benchmarks, vectors and runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_numeric_dtype

from carrot_core import paths
from carrot_core.benchmarks import Frames
from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.prices import Price
from carrot_core.store import runs, vectors
from carrot_core.store.content import Content, content_of
from carrot_core.store.database import Database, rows
from carrot_core.store.listing import infos, numbers
from carrot_core.store.records import BenchmarkInfo, Run


class Store:
    """Benchmarks, embeddings and evaluated routers in one DuckDB file.

    Every method opens the file anew, so an object can be shared by threads and always shows the newest
    content; writers take turns and never block a reader.

    Parameters
    ----------
    path : the database file; ``carrot.duckdb`` in `carrot_core.paths.home` by default. It need not exist.
    """

    def __init__(self, path: Path | None = None) -> None:
        chosen = path if path is not None else paths.home() / "carrot.duckdb"
        self._database = Database(Path(chosen).resolve())  # through links: a swap must replace the file, not the link

    @property
    def path(self) -> Path:
        """The database file."""
        return self._database.path

    def version(self) -> str:
        """Identity of the content, at the price of one look at the file; another one after every write."""
        return self._database.version()

    def save_benchmark(self, name: str, frames: Frames, *, split_seed: int = 0, replace: bool = False) -> BenchmarkInfo:
        """Store a benchmark under a name, split into train, validation and test.

        The source's own split is kept; without one, prompts are split 70/15/15 with ``split_seed``.

        Raises
        ------
        StoreError
            The name is taken and ``replace`` is False, or the database cannot be written.
        """
        check_name(name)
        content = content_of(frames, split_seed)
        with self._database.write() as connection:
            if name in numbers(connection):
                if not replace:
                    raise StoreError(f"There is already a benchmark {name!r}: remove it first, or replace it.")
                _delete(connection, name)
            _insert(connection, name, frames, content, split_seed)
        return self.info(name)

    def remove_benchmark(self, name: str) -> None:
        """Delete a benchmark, the runs that rest on it, and the vectors of texts no other benchmark has."""
        with self._database.write() as connection:
            self._number(connection, name)
            vectors.delete_unshared(connection, name)
            _delete(connection, name)

    def benchmarks(self) -> list[BenchmarkInfo]:
        """What is stored and can be described, by name; empty where there is no database yet.

        Of a damaged file this is what can still be read; `damaged` has the rest.

        Raises
        ------
        StoreError
            The file is none of this version's, or too damaged to describe a single benchmark.
        """
        found = self._described()
        described = [info for info in found.values() if isinstance(info, BenchmarkInfo)]
        if found and not described:
            raise next(error for error in found.values() if isinstance(error, StoreError))
        return described

    def damaged(self) -> dict[str, str]:
        """Why a benchmark cannot be described, by its name; empty where all is well."""
        return {name: str(found) for name, found in self._described().items() if isinstance(found, StoreError)}

    def _described(self) -> Mapping[str, BenchmarkInfo | StoreError]:
        if not self.path.exists():
            return {}
        try:
            with self._database.read() as connection:
                return {info.name: info for info in infos(connection)}
        except StoreError:
            return self._one_by_one()

    def _one_by_one(self) -> dict[str, BenchmarkInfo | StoreError]:
        with self._database.read() as connection:
            known = numbers(connection)
        found: dict[str, BenchmarkInfo | StoreError] = {}
        for name, number in known.items():
            try:
                # A connection that met a damaged block may answer nothing more: each gets its own.
                with self._database.read() as connection:
                    found[name] = infos(connection, number)[0]
            except StoreError as error:
                found[name] = error
        return found

    @contextmanager
    def reading(self, name: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
        """A read-only connection and the number of a benchmark in it: for queries of this package.

        Raises
        ------
        NotFoundError
            No benchmark of that name; the message lists those there are.
        """
        if not self.path.exists():
            raise NotFoundError(_not_here(name, []))
        with self._database.read() as connection:
            yield connection, self._number(connection, name)

    def info(self, name: str) -> BenchmarkInfo:
        """Description of one benchmark."""
        known = {info.name: info for info in self.benchmarks()}
        if name not in known:
            raise NotFoundError(_not_here(name, list(known)))
        return known[name]

    def load(self, name: str, *, encoder: str | None = None) -> Benchmark:
        """Read a benchmark: prompts in the order of their ids, models in the order of their names.

        With ``encoder`` the vectors are attached if every text has one of that encoder; else they are None.

        Raises
        ------
        NotFoundError
            No benchmark of that name; the message lists those there are.
        """
        with self.reading(name) as (connection, number):
            prompts = rows(
                connection,
                "select prompt_id, text, task, split::varchar from prompts where benchmark = ? order by prompt",
                number,
            )
            models = rows(
                connection,
                "select name, input_usd_per_mtok, output_usd_per_mtok, as_of, source from models "
                "where benchmark = ? order by model",
                number,
            )
            tables = _tables(connection, number, (len(prompts), len(models)))
            ((data_hash,),) = rows(connection, "select data_hash from benchmarks where benchmark = ?", number)
            found = None if encoder is None else vectors.load(connection, number, encoder)
        ids, texts, tasks, splits = zip(*prompts, strict=True)
        names = tuple(str(row[0]) for row in models)
        return Benchmark(
            name=name,
            outcomes=Outcomes(ids, names, tables["score"], tables["cost_usd"]),
            texts=texts,
            tasks=tasks,
            split=np.array(splits, dtype=np.str_),
            input_tokens=tables["input_tokens"],
            output_tokens=tables["output_tokens"],
            prices={row[0]: Price(row[1], row[2], row[3], row[4]) for row in models if row[1] is not None},
            vectors=found,
            encoder=encoder if found is not None else None,
            data_hash=data_hash,
        )

    def missing_texts(self, name: str, encoder: str) -> list[str]:
        """Distinct texts of a benchmark without a vector of that encoder, in the order of the prompt ids."""
        with self._database.read() as connection:
            return vectors.missing_texts(connection, self._number(connection, name), encoder)

    def add_vectors(self, encoder: str, texts: Sequence[str], new: npt.ArrayLike) -> None:
        """Store (k, d) vectors of k texts as float32; a vector already there is replaced."""
        table = vectors.checked(texts, new)
        with self._database.write() as connection:
            vectors.add(connection, encoder, texts, table)

    def import_vectors(self, name: str, file: Path, encoder: str) -> int:
        """Take vectors from a Parquet file of ``prompt_id`` and ``embedding``, renormalised to unit length.

        Ids the benchmark does not know, or knows without text, are left out.

        Returns
        -------
        Number of prompts of the benchmark that got a vector.

        Raises
        ------
        DataError
            No readable Parquet file, vectors of unequal length, a value that is not finite, an id twice,
            another length than the bundled encoder's, or no id the benchmark knows.
        """
        texts = self._texts(name)
        ids, table = vectors.read_file(file, encoder, texts)
        self.add_vectors(encoder, [texts[prompt_id] for prompt_id in ids], table)
        return len(ids)

    def save_run(self, run: Run) -> None:
        """Store an evaluated router; a run of the same identity is replaced."""
        with self._database.write() as connection:
            runs.save(connection, self._number(connection, run.benchmark), run)

    def runs(self, benchmark: str) -> list[Run]:
        """The runs on a benchmark, newest first, without their tables."""
        with self._database.read() as connection:
            return runs.listed(connection, self._number(connection, benchmark))

    def load_run(self, run_id: str) -> Run:
        """A run with its tables of estimates."""
        with self._database.read() as connection:
            return runs.load(connection, run_id)

    def _texts(self, name: str) -> dict[str, str]:
        with self.reading(name) as (connection, number):
            found = rows(
                connection, "select prompt_id, text from prompts where benchmark = ? and text is not null", number
            )
        return dict(found)

    @staticmethod
    def _number(connection: duckdb.DuckDBPyConnection, name: str) -> int:
        known = numbers(connection)
        if name not in known:
            raise NotFoundError(_not_here(name, list(known)))
        return known[name]


def check_name(name: str) -> None:
    """Refuse a name of a benchmark that is empty or has something nobody sees."""
    if not name.strip() or not name.isprintable():
        raise CarrotError(f"{name!r} is no name for a benchmark: use letters, digits, '-' and '_'.")


def _not_here(name: str, known: Sequence[str]) -> str:
    there = f"there are: {', '.join(known)}" if known else "none is loaded yet; import one first"
    return f"There is no benchmark {name!r}; {there}."


def _tables(
    connection: duckdb.DuckDBPyConnection, number: int, shape: tuple[int, int]
) -> dict[str, npt.NDArray[np.float64]]:
    """(n, M) tables of a benchmark, NaN where there is no outcome or no number."""
    names = ("score", "input_tokens", "output_tokens", "cost_usd")
    numbers = ", ".join(f"coalesce({name}, 'nan') as {name}" for name in names)
    cells = connection.execute(
        f"select prompt, model, {numbers} from outcomes where benchmark = ?",  # noqa: S608  fixed names only
        [number],
    ).fetchnumpy()
    tables = {name: np.full(shape, np.nan) for name in names}
    for name in names:
        tables[name][cells["prompt"], cells["model"]] = cells[name]
    return tables


def _insert(
    connection: duckdb.DuckDBPyConnection, name: str, frames: Frames, content: Content, split_seed: int
) -> None:
    ((number,),) = rows(connection, "select coalesce(max(benchmark), 0) + 1 from benchmarks")
    origin = frames.provenance
    connection.execute(
        "insert into benchmarks values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            number, name, origin.source, origin.licence, origin.sha256, origin.note,
            datetime.now(UTC).replace(tzinfo=None), content.split_rule, split_seed, content.data_hash,
            list(content.warnings),
        ],
    )  # fmt: skip
    models = content.models.rename(columns={"model": "name"})
    models.insert(0, "model", np.arange(len(models), dtype=np.int32))
    for table, frame in (("models", models), ("prompts", content.prompts), ("outcomes", content.outcomes)):
        _append(connection, table, frame.assign(benchmark=number))


def _append(connection: duckdb.DuckDBPyConnection, table: str, frame: pd.DataFrame) -> None:
    """Insert a frame by column names; NaN and None become NULL."""
    # Types are stated: guessed from a sample, a column of texts that starts with many None is no text column.
    arrays = {
        str(name): pa.array(
            frame[name], type=None if is_numeric_dtype(frame[name]) else pa.large_string(), from_pandas=True
        )
        for name in frame.columns
    }
    connection.register("incoming", pa.table(arrays))
    connection.execute(f"insert into {table} by name from incoming")
    connection.unregister("incoming")


def _delete(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Remove a benchmark and every run evaluated or fitted on it: their numbers would describe other data."""
    number = numbers(connection)[name]
    gone = "select run from runs where benchmark = ? or fit_on = ?"
    connection.execute(f"delete from estimates where run in ({gone})", [number, name])  # noqa: S608
    connection.execute("delete from runs where benchmark = ? or fit_on = ?", [number, name])
    for table in ("outcomes", "prompts", "models", "benchmarks"):
        connection.execute(f"delete from {table} where benchmark = ?", [number])  # noqa: S608
