"""The store: benchmarks, vectors and evaluated routers in DuckDB files, one folder per benchmark."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace as with_changes
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy.typing as npt

from carrot_core import paths
from carrot_core.benchmarks import Frames
from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.modes import action, check_write
from carrot_core.outcomes import Benchmark
from carrot_core.roles_audit import Role
from carrot_core.store import content, runs, trash, vectors
from carrot_core.store.database import reading, rows
from carrot_core.store.folder import MAIN, Files, Folder, check_meaning, check_name
from carrot_core.store.info import BenchmarkInfo, describe
from carrot_core.store.maintenance import take_over
from carrot_core.store.runs import Run, run_id
from carrot_core.text import text_hash

__all__ = ["BenchmarkInfo", "Run", "Store", "run_id"]


_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Store:
    """Benchmarks, their vectors and evaluated routers: a folder of DuckDB files for each benchmark.

    Every method looks at the files anew, so an object can be shared by threads and always shows the newest
    content. Writers to one benchmark take turns; they never block a reader, nor a writer to another one.

    Parameters
    ----------
    path : the folder, or a database of version 0.2 (``….duckdb``): then the folder has the same name with ``.store``,
        and takes over the content of the database when the store is first used. By default ``carrot.duckdb`` in
        `carrot_core.paths.home`, so ``carrot.store``. Neither need exist.
    """

    def __init__(self, path: Path | None = None) -> None:
        # Resolve links, so that the folder lies beside the database itself and not beside a link to it.
        chosen = Path(path if path is not None else paths.home() / "carrot.duckdb").resolve()
        self._path = (chosen.with_suffix(".store") if chosen.suffix == ".duckdb" else chosen).resolve()
        self.old_file = self._path.with_suffix(".duckdb")

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    def version(self, name: str | None = None) -> str:
        """Identity of a benchmark's content, or of the whole store's; it changes with every write.

        It only lists the folder. Writes to other benchmarks do not change a benchmark's version.
        """
        if name is not None:
            return self.folder(name).version()
        parts = [f"{folder.path.name} {folder.state()}" for folder in self.folders()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] if parts else "absent"

    def folder(self, name: str) -> Folder:
        """The folder of a benchmark, which need not exist: for this package."""
        self.take_over()
        return Folder.of(self.path, name, trash.put_replaced)

    def folders(self) -> list[Folder]:
        """The folders of all benchmarks: for this package."""
        self.take_over()
        return Folder.all(self.path)

    def take_over(self) -> StoreError | None:
        """Take over a database of version 0.2, if there is one; returns the error if that fails, else None."""
        try:
            if self.old_file.exists():
                take_over(self.old_file, self.path)
        except StoreError as error:
            return error
        return None

    def shadows(self, name: str) -> bool:
        """Whether a name means a benchmark of this store although results of other data ship under it.

        Every command, page and server that takes a name follows this.
        """
        if not os.path.isdir(self.folder(name).path):  # the usual case; a folder that cannot be seen hides nothing
            return False
        shipped = paths.shipped_data().get(name)
        try:
            return shipped is not None and self.info(name).data_hash != shipped
        except NotFoundError:
            return False
        except StoreError:  # damaged: reading it says so
            return True

    def save_benchmark(
        self, name: str, frames: Frames, *, split_seed: int = 0, replace: bool = False, shadow: bool = False
    ) -> BenchmarkInfo:
        """Store a benchmark under a name, split into train, validation and test.

        The source's own split is kept; without one, prompts are split 70/15/15 with ``split_seed``. A benchmark that
        replaces another keeps the vectors of the texts that both have.

        Raises
        ------
        StoreError
            The name is taken and ``replace`` is False, results of other data ship under it and ``shadow`` is False,
            or the database cannot be written.
        """
        with action("replace" if replace else "import", name, self.path):
            check_name(name)
            return self._save(name, frames, split_seed, replace, shadow)

    def _save(self, name: str, frames: Frames, split_seed: int, replace: bool, shadow: bool) -> BenchmarkInfo:
        fitted: list[Path] = []
        with self.folder(name).replacing(fitted) as (new, old):
            if old is not None and not replace:
                raise StoreError(f"There is already a benchmark {name!r}: remove it first, or replace it.")
            if old is not None:
                check_write(self.path, Role.ADMIN)
            table = content.write(new / MAIN, name, frames, split_seed)
            if not shadow:
                check_meaning(name, table.data_hash)
            if old is not None:
                with reading(new / MAIN) as connection:
                    hashes = rows(connection, "select distinct text_sha256 from prompts where text_sha256 is not null")
                vectors.keep(name, old, new, {text for (text,) in hashes})
                fitted += runs.fitted_on(self.folders(), name)  # before the new one counts: an error changes nothing
        return self.info(name)

    def change_benchmark(self, name: str, change: Callable[[Frames], Frames], *, shadow: bool = False) -> BenchmarkInfo:
        """Store a changed benchmark; the vectors of its texts stay, and its runs on the old data are removed."""
        with action("change", name, self.path, Role.ADMIN):
            with self.reading(name) as connection:
                frames, seed = content.frames_of(connection)
            return self._save(name, change(frames), seed, True, shadow)

    def remove_benchmark(self, name: str) -> None:
        """Move a benchmark with its vectors and runs, and the runs of others that were fitted on it, to the trash."""
        with action("remove", name, self.path, Role.ADMIN):
            trash.put(self._existing(name), name, runs.fitted_on(self.folders(), name))

    def benchmarks(self) -> list[BenchmarkInfo]:
        """Descriptions of the readable benchmarks, by name; `damaged` has the others."""
        return [info for info in self._descriptions().values() if isinstance(info, BenchmarkInfo)]

    def damaged(self) -> dict[str, str]:
        """Why a benchmark cannot be described, or a router fitted on it cannot be read, by name; empty if all can.

        A database of version 0.2 that cannot be taken over has its own name, as has the store's folder if it cannot
        be listed.
        """
        reasons = {}
        for name, described in self._descriptions().items():
            if isinstance(described, StoreError):
                reasons[name] = str(described)
                continue
            with suppress(NotFoundError):  # removed meanwhile
                if errors := self._read(name, runs.damaged):
                    reasons[f"{name} (a fitted router)"] = " ".join(map(str, errors))
        return reasons

    def _descriptions(self) -> Mapping[str, BenchmarkInfo | StoreError]:
        described: dict[str, BenchmarkInfo | StoreError] = {}
        if (problem := self.take_over()) is not None:
            described[self.old_file.name] = problem
        try:
            folders = Folder.all(self.path)
        except StoreError as error:
            return described | {self.path.name: error}
        for folder in folders:
            try:
                info = folder.read(lambda files: describe(files.main))
                described[info.name] = info
            except NotFoundError:  # removed meanwhile
                continue
            except StoreError as error:
                described[folder.name] = error
        return dict(sorted(described.items()))

    @contextmanager
    def reading(self, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection to a benchmark's main file, for queries of this package.

        Raises
        ------
        NotFoundError
            No benchmark of that name; the message lists those there are.
        """
        with ExitStack() as stack:
            yield self._read(name, lambda files: stack.enter_context(reading(files.main)))

    def info(self, name: str) -> BenchmarkInfo:
        """Describe one benchmark."""
        return self._read(name, lambda files: describe(files.main))

    def load(self, name: str, *, encoder: str | None = None) -> Benchmark:
        """Read a benchmark: prompts in the order of their ids, models in the order of their names.

        With ``encoder`` the vectors are attached if every text has one of that encoder; else they are None.

        Raises
        ------
        NotFoundError
            No benchmark of that name; the message lists those there are.
        """

        def work(files: Files) -> Benchmark:
            with reading(files.main) as connection:
                bench = content.load(connection)
                hashes = rows(connection, "select text_sha256 from prompts order by prompt")
            table = None if encoder is None else vectors.load(files, encoder, [text for (text,) in hashes])
            return bench if table is None else with_changes(bench, vectors=table, encoder=encoder)

        return self._read(name, work)

    def missing_texts(self, name: str, encoder: str) -> list[str]:
        """Distinct texts of a benchmark without a vector of that encoder, in the order of the prompt ids."""
        return self._read(name, lambda files: vectors.missing_texts(files, encoder))

    def add_vectors(
        self, encoder: str, texts: Sequence[str], new: npt.ArrayLike, *, benchmark: str | None = None
    ) -> None:
        """Store (k, d) vectors of k texts as float32; a vector already there is replaced.

        They go to ``benchmark``, at a cost that does not grow with the store; by default to every benchmark that has
        one of the texts.

        Raises
        ------
        NotFoundError
            There is no such benchmark, or none that has one of the texts.
        """
        table = vectors.check_vectors(texts, new)
        hashes = [text_hash(text) for text in texts]
        if benchmark is not None:
            self._add(benchmark, encoder, hashes, table)
            return
        there = {info.name: self._read(info.name, vectors.texts).keys() for info in self.benchmarks()}
        for name, text_hashes in there.items():
            chosen = [row for row, text in enumerate(hashes) if text in text_hashes]
            self._add(name, encoder, [hashes[row] for row in chosen], table[chosen])
        if hashes and not any(text_hashes & set(hashes) for text_hashes in there.values()):
            raise NotFoundError(f"No benchmark in the store has one of these {len(hashes):,} texts.")

    def add_vectors_of_hashes(self, benchmark: str, encoder: str, hashes: Sequence[str], new: npt.ArrayLike) -> None:
        """Store (k, d) vectors of k texts by their `text_hash`; the texts themselves may be missing."""
        self._add(benchmark, encoder, hashes, vectors.check_vectors(hashes, new))

    def _add(self, name: str, encoder: str, hashes: Sequence[str], table: vectors.Vectors) -> None:
        with self._existing(name).adding() as files:
            vectors.add(files, encoder, hashes, table)

    def copy_vectors(self, name: str, encoder: str) -> None:
        """Copy the vectors that a benchmark lacks from other benchmarks with the same texts."""
        lacking = {text_hash(text) for text in self.missing_texts(name, encoder)}
        for folder in self.folders():
            if not lacking:
                return
            try:
                block = folder.read(partial(vectors.of_hashes, encoder=encoder, hashes=lacking))
            except NotFoundError:  # removed meanwhile
                continue
            except StoreError as error:
                _log.warning("Vectors of %r cannot be read, so none are taken from there: %s", folder.name, error)
                continue
            if block is not None:
                hashes, table = block
                self._add(name, encoder, hashes, table)
                lacking -= set(hashes)

    def gather_vectors(self, name: str) -> None:
        """Merge a benchmark's vectors into one file for each encoder, without replaced ones."""
        with self._existing(name).adding() as files:
            vectors.gather(files, files.folder)

    def import_vectors(self, name: str, file: Path, encoder: str) -> int:
        """Import vectors from a Parquet file or folder with ``prompt_id`` and ``embedding``; they get unit length.

        Ids that the benchmark does not have, or has without text, are left out.

        Returns
        -------
        Number of prompts of the benchmark that got a vector.

        Raises
        ------
        DataError
            No readable Parquet file, vectors of unequal length, a value that is not finite, an id twice,
            another length than the bundled encoder's, or no id of the benchmark.
        """
        with action("import vectors", name, self.path):
            with self.reading(name) as connection:
                texts = dict(rows(connection, "select prompt_id, text from prompts where text is not null"))
            ids, table = vectors.read_file(file, encoder, texts)
            self.add_vectors(encoder, [texts[prompt_id] for prompt_id in ids], table, benchmark=name)
            self.gather_vectors(name)
            return len(ids)

    def save_run(self, run: Run) -> None:
        """Store an evaluated router; a run of the same identity is replaced."""
        with (
            action("fit", f"{run.router} on {run.benchmark}", self.path),
            self._existing(run.benchmark).adding() as files,
        ):
            runs.save(files.main, files.folder, run)

    def runs(self, benchmark: str) -> list[Run]:
        """The runs on a benchmark, newest first, without their tables and fitted routers."""
        return self._read(benchmark, lambda files: runs.list_runs(files, describe(files.main).name))

    def load_run(self, run_id: str, *, router: bool = False) -> Run:
        """Load a run with its tables of estimates and, on demand, its fitted router, which may be large."""
        for folder in self.folders():
            try:
                files = folder.files()
            except StoreError:  # reading that benchmark says why
                continue
            if files is not None and runs.find(files, run_id) is not None:
                return folder.read(lambda files: runs.load(files, run_id, router))
        raise NotFoundError(f"There is no run {run_id[:12]!r} in the store; evaluate the router first.")

    def _existing(self, name: str) -> Folder:
        folder = self.folder(name)
        if folder.current() is None:
            raise self._not_here(name)
        return folder

    def _read(self, name: str, work: Callable[[Files], Result]) -> Result:
        return self._existing(name).read(work)

    def _not_here(self, name: str) -> CarrotError:
        if (problem := self.take_over()) is not None:
            return problem  # the benchmark may be in the old database
        names = [folder.name for folder in self.folders()]
        there = f"there are: {', '.join(names)}" if names else "none is loaded yet; import one first"
        return NotFoundError(f"There is no benchmark {name!r}; {there}.")
