"""Stored operating points: the shelf, a folder with one file per point; and the difference of points or proportions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import hypot, nan, sqrt
from pathlib import Path
from time import time

import numpy as np
from filelock import FileLock

from carrot_core import limits, paths
from carrot_core.bootstrap import Interval, bootstrap_counts, weighted_means, weights_on
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.frontier import FloatArray, Frontier, rate_of_lam
from carrot_core.modes import action, check_write
from carrot_core.number_formats import without_nan
from carrot_core.operating_point import Point
from carrot_core.results import Results
from carrot_core.roles_audit import Role
from carrot_core.serving.point import PointFigures, PointFile, read_point, write_point
from carrot_core.verdict import name_among

_ID = re.compile(r"[0-9a-f]{16}")
_DELETED, _LOCK = ".deleted", ".lock"
_MOST_DAMAGED = 20


def shared_points() -> PointShelf:
    """The points of ``CARROT_HOME``, shared by all who use it."""
    return PointShelf(paths.home() / "points")


@dataclass(frozen=True)
class ShelfPoint:
    """A point and its id, which stays the same when its note changes."""

    id: str
    point: PointFile

    @property
    def name(self) -> str:
        """First line of its note; without one, its router, benchmark and λ."""
        return title_and_note(self.point)[0] or f"{self.point.router} on {self.point.benchmark}, λ {self.point.lam:.3f}"


def title_and_note(point: PointFile) -> tuple[str, str]:
    """First line of a point's note, cut to a name's length, and the other lines."""
    first, _, rest = point.note.partition("\n")
    return first.strip()[: limits.POINT_NAME], rest.strip()


@dataclass(frozen=True)
class Listing:
    """The points, newest first, and the reason for each damaged file, by its name."""

    points: tuple[ShelfPoint, ...]
    damaged: dict[str, str]


@dataclass(frozen=True)
class PointShelf:
    """Operating points in a folder that may not exist yet; several processes may use it at once."""

    folder: Path

    def listing(self) -> Listing:
        """All points, newest first; a file that cannot be read is listed as damaged."""
        points: list[ShelfPoint] = []
        damaged: dict[str, str] = {}
        for path in self._files():
            try:
                points.append(ShelfPoint(_check_id(path.stem), self.read(path.stem)))
            except CarrotError as error:
                if len(damaged) < _MOST_DAMAGED:
                    damaged[path.name] = str(error)
        points.sort(key=lambda entry: (entry.point.created_at, entry.id), reverse=True)
        return Listing(tuple(points), damaged)

    def path(self, id: str) -> Path:
        """Path of a point's file.

        Raises
        ------
        NotFoundError
            ``id`` is not an id.
        """
        return self.folder / f"{_check_id(id)}.json"

    def read(self, id: str) -> PointFile:
        """Read a kept point; errors as for `carrot_core.serving.point.read_point`."""
        path = self.path(id)
        try:
            state = path.stat()
        except FileNotFoundError as error:
            raise NotFoundError(f"The operating point {id} is not kept here (any more).") from error
        except OSError as error:
            raise CarrotError(f"Cannot read {path}: {error.strerror or error}.") from error
        return _read(path, state.st_ino, state.st_mtime_ns, state.st_size)

    def keep(self, point: PointFile) -> str:
        """Keep a point and return its id; a point that is kept already does not change.

        Raises
        ------
        CarrotError
            There are `carrot_core.limits.POINTS` already, or the folder cannot be written.
        """
        point = point.sealed()
        id = point.sha256[:16]
        with self._alone("keep a point", id):
            if not self.path(id).exists():
                self._room_for_one()
                self._write(id, point)
        return id

    def note(self, id: str, name: str, note: str) -> None:
        """Give a point another name and note; its decisions do not change."""
        with self._alone("rename a point", id):
            self._write(id, self.read(id).model_copy(update={"note": join_note(name, note)}).sealed())

    def delete(self, id: str) -> None:
        """Move a point where `restore` finds it; of these, old ones and the oldest of many are removed for good."""
        trash = self.folder / _DELETED
        with self._alone("delete a point", id, Role.ADMIN):
            trash.mkdir(exist_ok=True)
            self._move(self.path(id), trash / f"{id}.json")
            self._sweep()

    def restore(self, id: str) -> None:
        """Undo `delete`.

        Raises
        ------
        CarrotError
            The point was kept again meanwhile, perhaps under another name; the new one does not change.
        """
        with self._alone("restore a point", id, Role.ADMIN):
            source, target = self.folder / _DELETED / f"{_check_id(id)}.json", self.path(id)
            if source.exists() and target.exists():
                raise CarrotError("This operating point was kept again since it was deleted, and stays as it is now.")
            self._room_for_one()
            self._move(source, target)

    def deleted(self) -> list[tuple[ShelfPoint, datetime]]:
        """The points that `restore` can bring back, and when they were deleted, newest first."""
        trash = PointShelf(self.folder / _DELETED)
        times = []
        for record in trash.listing().points:
            with suppress(FileNotFoundError):  # restored meanwhile
                times.append((record, datetime.fromtimestamp(trash.path(record.id).stat().st_mtime, UTC)))
        return sorted(times, key=lambda entry: entry[1], reverse=True)

    def sweep(self, everything: bool = False) -> None:
        """Remove for good the points that were deleted too long ago, or all; raises the disk's own errors."""
        if (self.folder / _DELETED).exists():
            check_write(self.folder, Role.ADMIN)
            with FileLock(self.folder / _LOCK):
                self._sweep(everything)

    def _sweep(self, everything: bool = False) -> None:
        times = {path: path.stat().st_mtime for path in (self.folder / _DELETED).glob("*.json")}
        newest, oldest = sorted(times, key=times.__getitem__)[-limits.POINTS :], time() - limits.TRASH_DAYS * 86_400
        for path in times:
            if everything or path not in newest or times[path] < oldest:
                path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.glob("*.json") if path.is_file())
        except OSError as error:
            raise CarrotError(f"Cannot read {self.folder}: {error.strerror or error}.") from error

    def _room_for_one(self) -> None:
        if len(self._files()) >= limits.POINTS:
            raise CarrotError(f"{limits.POINTS} operating points are kept, and no more can be: delete one first.")

    def _write(self, id: str, point: PointFile) -> None:
        with paths.replacing(self.path(id)) as part:
            write_point(point, part)

    @staticmethod
    def _move(source: Path, target: Path) -> None:
        try:
            os.utime(source)  # first, so that a process killed between the two leaves no old file for `_sweep`
            os.replace(source, target)
        except FileNotFoundError as error:
            raise NotFoundError(f"The operating point {source.stem} is not there (any more).") from error

    @contextmanager
    def _alone(self, what: str, id: str, least: Role = Role.EDITOR) -> Iterator[None]:
        """Allow one writer at a time and log the action; errors of the disk become a `CarrotError`."""
        with action(what, id, self.folder, least):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with FileLock(self.folder / _LOCK):
                    yield
            except OSError as error:
                raise CarrotError(f"Cannot write {self.folder}: {error.strerror or error}.") from error


def measured(point: PointFile, results: Results) -> tuple[str, Point] | None:
    """Name of a point's router among the results of its benchmark, and the point with the figures that pages show.

    The figures in its file use its λ on every prompt; logs of calls at that λ are compared with them. If λ was chosen
    to match a model, pages show figures with each prompt at a λ that was chosen without that prompt.

    Returns
    -------
    None if its router is not measured there, or its pool or prices are its own.
    """
    if point.test is None or point.reference not in results.models:
        return None
    rate = rate_of_lam(point.lam, point.cost_unit_usd)
    name = name_among(results, point.router, rate, point.test.score, point.test.cost_usd)
    return None if name is None else (name, results.point_at(name, rate, point.reference))


def figures_of(point: PointFile, results: Results) -> PointFigures | None:
    """Test figures of a point as pages show them: from `measured`, else from its file."""
    known = measured(point, results)
    if point.test is None or known is None:
        return point.test
    score, cost = known[1].score, known[1].cost_usd
    ends = without_nan([score.low, score.high, cost.low, cost.high])
    return PointFigures(
        n_prompts=point.test.n_prompts, score=score.value, score_low=ends[0], score_high=ends[1],
        cost_usd=cost.value, cost_usd_low=ends[2], cost_usd_high=ends[3],
    )  # fmt: skip


def join_note(name: str, note: str) -> str:
    """Join name and note to one text, which `title_and_note` splits again.

    Raises
    ------
    CarrotError
        One of them is too long.
    """
    # Lone surrogates are replaced: UTF-8 cannot encode them.
    name, note = (text.encode("utf-8", "replace").decode().strip() for text in (name, note))
    for what, text, most in (("name", name, limits.POINT_NAME), ("note", note, limits.POINT_NOTE)):
        if len(text) > most:
            raise CarrotError(f"A {what} has at most {most:,} characters; this one has {len(text):,}.")
    name = " ".join(name.splitlines())
    return f"{name}\n{note}" if note else name


def _check_id(id: str) -> str:
    if not _ID.fullmatch(id):
        raise NotFoundError(f"{id[:40]!r} is not the id of a kept operating point (16 digits and letters a to f).")
    return id


@lru_cache(maxsize=2 * limits.POINTS)
def _read(path: Path, _inode: int, _changed_ns: int, _size: int) -> PointFile:
    return read_point(path)


@dataclass(frozen=True)
class Difference:
    """One point minus another on test, per query; 95 % intervals, with NaN ends if the points have none.

    ``paired`` says whether both were measured prompt by prompt on the same prompts.
    """

    score: Interval
    cost_usd: Interval
    paired: bool


def paired(one: PointFile, on_one: Frontier, other: PointFile, on_other: Frontier) -> Difference | None:
    """Difference prompt by prompt, with bootstrap intervals; None if the curves are of different prompts.

    Parameters
    ----------
    one, other : the points.
    on_one, on_other : the exact test curves of their routers.
    """
    if on_one.outcomes.prompt_ids != on_other.outcomes.prompt_ids:
        return None
    counts = bootstrap_counts(on_one.n_prompts)
    (value, means), (other_value, other_means) = (
        (table.mean(axis=0), weighted_means(table, weights_on(curve, counts)))
        for curve, table in ((on_one, _chosen(one, on_one)), (on_other, _chosen(other, on_other)))
    )
    score, cost = map(Interval.of, (value - other_value).tolist(), (means - other_means).T)
    return Difference(score, cost, paired=True)


def _chosen(point: PointFile, curve: Frontier) -> FloatArray:
    """(n, 2) score and cost of the model that the point chooses for each prompt."""
    rows, chosen = np.arange(curve.n_prompts), curve.choices(rate_of_lam(point.lam, point.cost_unit_usd))
    return np.column_stack([curve.outcomes.score[rows, chosen], curve.paid_usd[rows, chosen]])


def unpaired(one: PointFigures, other: PointFigures) -> Difference:
    """Difference of two means, with their errors treated as independent.

    On the same prompts the interval is too wide: prompts that are hard for both points move both means together,
    and only a paired interval removes that.
    """
    return Difference(
        _apart(one.score, one.score_low, one.score_high, other.score, other.score_low, other.score_high),
        _apart(
            one.cost_usd, one.cost_usd_low, one.cost_usd_high, other.cost_usd, other.cost_usd_low, other.cost_usd_high
        ),
        paired=False,
    )


def _apart(
    one: float, one_low: float | None, one_high: float | None,
    other: float, other_low: float | None, other_high: float | None,
) -> Interval:  # fmt: skip
    value = one - other
    if one_low is None or one_high is None or other_low is None or other_high is None:
        return Interval(value, nan, nan)
    half = hypot((one_high - one_low) / 2, (other_high - other_low) / 2)
    return Interval(value, value - half, value + half)


def wilson(share: float, n: float, quantile: float) -> Interval:
    """Wilson's interval (1927) of a proportion of n draws.

    This is our own code because scipy refuses an n that is not whole, and repeated calls count as fractions of a draw.
    """
    squared = quantile**2 / n
    middle = (share + squared / 2) / (1 + squared)
    half = quantile * sqrt(share * (1 - share) / n + squared / (4 * n)) / (1 + squared)
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0))


def newcombe(one: Interval, other: Interval) -> Interval:
    """One proportion minus another, from Wilson's intervals (Newcombe 1998, method 10); valid near 0 and 1, too."""
    apart = one.value - other.value
    return Interval(
        apart,
        apart - hypot(one.value - one.low, other.high - other.value),
        apart + hypot(one.high - one.value, other.value - other.low),
    )
