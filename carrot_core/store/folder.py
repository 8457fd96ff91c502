"""The folder of one benchmark: which of its files count, who may write, and how one import replaces another.

carrot.store/
    locks/                        one file per benchmark
    NAME-HASH/                    one folder per benchmark
        3/                        its third import; readers take the highest number
            benchmark.duckdb      what was imported, never changed
            vectors-….duckdb      blocks of vectors, each added whole
            run-….duckdb          evaluated routers, each added whole
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote, unquote

from carrot_core import paths
from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.modes import check_write
from carrot_core.store.database import identity, locked, sync, translate_errors

MAIN = "benchmark.duckdb"
_LOCKS, _UNFINISHED, _REMOVED = "locks", ".writing", ".removed"
_SPILL = "carrot-"  # prefix of folders for data that do not fit into memory
_LONGEST = 120  # characters of a benchmark's name in that of its folder

Result = TypeVar("Result")


def check_name(name: str) -> None:
    """Refuse a benchmark name that is empty or has invisible characters."""
    if not name.strip() or not name.isprintable():
        raise CarrotError(f"{name!r} is no name for a benchmark: use letters, digits, '-' and '_'.")


def check_meaning(name: str, data_hash: str) -> None:
    """Refuse a name under which results of other data ship, since a name should mean one thing.

    Raises
    ------
    StoreError
        The name ships with the project for data of another hash.
    """
    if paths.shipped_data().get(name, data_hash) != data_hash:
        raise StoreError(
            f"Results of other data ship under the name {name!r}: use another name, or let the name mean yours "
            "everywhere, in place of what ships, with `--shadow`."
        )


def key(name: str) -> str:
    """Twelve hexadecimal digits that stand for a name in the name of a file."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Files(NamedTuple):
    """The files of a benchmark at one moment: the folder of its import, and the names in it, sorted."""

    folder: Path
    names: tuple[str, ...]

    @property
    def main(self) -> Path:
        """The file of the import."""
        return self.folder / MAIN

    def of(self, kind: str) -> list[Path]:
        """Files whose name starts with a prefix, in the order of their names."""
        return [self.folder / name for name in self.names if name.startswith(kind) and name.endswith(".duckdb")]


@dataclass(frozen=True)
class Folder:
    """The folder of one benchmark; it may not exist yet.

    Attributes
    ----------
    put_away : gets this folder, that of an import which a newer one has replaced, and runs that depend on the import;
        it moves or deletes the import and the runs. Without it a replaced import stays, and nobody reads it.
    """

    path: Path
    lock_timeout_s: float = 120.0
    put_away: Callable[[Folder, Path, Sequence[Path]], None] | None = None

    @classmethod
    def of(
        cls, store: Path, name: str, put_away: Callable[[Folder, Path, Sequence[Path]], None] | None = None
    ) -> Folder:
        """The folder of a benchmark by its name; different names have different folders."""
        return cls(store / f"{quote(name, safe='')[:_LONGEST]}-{key(name)}", put_away=put_away)

    @classmethod
    def all(cls, store: Path) -> list[Folder]:
        """The folders of all benchmarks of a store, in the order of their names."""
        try:
            paths = [entry.path for entry in os.scandir(store) if entry.is_dir() and entry.name != _LOCKS]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{store} cannot be looked at: {error.strerror}.") from error
        folders = [cls(Path(path)) for path in sorted(paths) if not path.endswith(_REMOVED)]
        return [folder for folder in folders if folder._is_there()]

    def _is_there(self) -> bool:
        try:
            return self.current() is not None
        except StoreError:  # reading it says why
            return True

    @property
    def name(self) -> str:
        """The benchmark's name from the folder's name, cut if long: for use when its file cannot be read."""
        start, _, stated = self.path.name.rpartition("-")
        name = unquote(start)
        return name if key(name) == stated else f"{name}…"

    def current(self) -> Path | None:
        """The folder of the newest import; None if there is no such benchmark."""
        try:
            numbers = [int(name) for name in os.listdir(self.path) if name.isdecimal()]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be looked at: {error.strerror}.") from error
        return self.path / str(max(numbers)) if numbers else None

    def files(self) -> Files | None:
        """The files at this moment; None if there is no such benchmark."""
        # A listing during a change may mix old and new files; two equal listings in a row do not.
        listing, again = self._list_files(), self._list_files()
        while listing != again:
            listing, again = again, self._list_files()
        return listing

    def _list_files(self) -> Files | None:
        current = self.current()
        try:
            return None if current is None else Files(current, tuple(sorted(os.listdir(current))))
        except FileNotFoundError:
            return self._list_files()  # a newer import is there, or none
        except OSError as error:
            raise StoreError(f"{current} cannot be looked at: {error.strerror}.") from error

    def read(self, work: Callable[[Files], Result]) -> Result:
        """Do ``work`` on the files of one moment; it is called again if they change meanwhile.

        Raises
        ------
        NotFoundError
            There is no such benchmark.
        """
        while True:
            files = self.files()
            if files is None:
                raise NotFoundError(f"There is no benchmark {self.name!r}.")
            try:
                return work(files)
            except (StoreError, FileNotFoundError):
                if self.files() == files:
                    raise

    def version(self) -> str:
        """Identity of the content, which changes with every write; "absent" if there is no such benchmark."""
        files = self.files()
        if files is None:
            return "absent"
        parts = [files.folder.name, *(f"{file.name} {identity(file)}" for file in files.of(""))]
        return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def state(self) -> str:
        """The version, or "unreadable" if the folder cannot be listed; reading it then says why."""
        try:
            return self.version()
        except StoreError:
            return "unreadable"

    @contextmanager
    def adding(self) -> Iterator[Files]:
        """Hold the lock for writing and give the present files, to which the caller may add."""
        with self._turn():
            files = self.files()
            if files is None:
                raise NotFoundError(f"There is no benchmark {self.name!r}.")
            yield files

    @contextmanager
    def replacing(self, fitted: Sequence[Path] = ()) -> Iterator[tuple[Path, Files | None]]:
        """Give an empty folder for a new import, and the present files, which it replaces unless there is an error.

        ``fitted`` are the runs that depend on the present files; until the end the caller may add to a list.
        """
        with self._turn(), translate_errors(self.path):
            self._sweep_others()
            old = self.files()
            number = 1 if old is None else int(old.folder.name) + 1
            new = self.path / f"{number}{_UNFINISHED}"
            new.mkdir(parents=True)
            try:
                yield new, old
                sync(new)
                os.rename(new, self.path / str(number))
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                if old is None:
                    self.path.rmdir()
                raise
            sync(self.path)
            sync(self.path.parent)
            if old is not None and self.put_away is not None:
                self.put_away(self, old.folder, fitted)
            self._sweep()

    def remove(self, target: Path | None = None) -> None:
        """Move the benchmark with everything that was computed from it to a place, or delete it."""
        with self._turn(), translate_errors(self.path):
            if self.current() is None:
                raise NotFoundError(f"There is no benchmark {self.name!r}.")
            os.rename(self.path, target or self.path.with_name(f"{self.path.name}{_REMOVED}"))
            sync(self.path.parent)
            self._sweep()

    def bring_back(self, source: Path) -> None:
        """Undo `remove`.

        Raises
        ------
        StoreError
            There is a benchmark of this name again.
        """
        with self._turn(), translate_errors(self.path):
            if self.current() is not None:
                raise StoreError(f"There is a benchmark {self.name!r} again: remove it first.")
            os.rename(source, self.path)
            sync(self.path.parent)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with locked(self.path.parent / _LOCKS / f"{self.path.name.rpartition('-')[2]}.lock", self.lock_timeout_s):
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Delete leftovers of killed writers and removed benchmarks, and put replaced imports away."""
        current = self.current()
        places = [(self.path.parent, lambda name: name.endswith(_REMOVED))]
        if current is not None:
            places.append((current, lambda name: _UNFINISHED in name or name.startswith(_SPILL)))
        if self.path.is_dir():
            places.append((self.path, lambda name: name.endswith(_UNFINISHED)))
        for place, is_left_over in places:
            for name in filter(is_left_over, os.listdir(place)):
                delete(place / name)
        if current is not None and self.put_away is not None:
            for old in (self.path / name for name in os.listdir(self.path) if _before(name, current)):
                self.put_away(self, old, ())

    def _sweep_others(self) -> None:
        """Delete leftovers of killed first imports of other benchmarks that nobody writes to now."""
        for path in self.path.parent.iterdir():
            other = Folder(path, lock_timeout_s=0)
            if path not in (self.path, self.path.parent / _LOCKS) and path.is_dir() and other.current() is None:
                with suppress(StoreError, OSError), other._turn():  # _turn has swept it by then
                    path.rmdir()


def _before(name: str, current: Path) -> bool:
    return name.isdecimal() and int(name) < int(current.name)


def delete(path: Path) -> None:
    """Delete a file or a folder; if it is open elsewhere and cannot be deleted, a later writer does it."""
    check_write(path)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
