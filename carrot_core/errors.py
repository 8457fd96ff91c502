"""Errors a user can act on: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CarrotError(Exception):
    """Base class of all errors that a user can act on; the message is written for the user.

    ``exit_code`` is what the command line returns for this kind.
    """

    exit_code = 1


class NotFoundError(CarrotError):
    """A named benchmark, model, router or file does not exist."""

    exit_code = 3


@dataclass(frozen=True)
class Problem:
    """One problem of a file: its place, a message and the remedy."""

    message: str
    remedy: str = ""
    row: int | None = None  # 1-based data row, the header not counted
    column: str | None = None
    value: str | None = None
    file: str | None = None  # one of several that are read together

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                self.file or "",
                f"row {self.row:,}" if self.row is not None else "",
                f"column {self.column!r}" if self.column is not None else "",
            )
            if part
        )
        value = f" (found {self.value})" if self.value is not None else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{place + ': ' if place else ''}{self.message}{value}.{remedy}"


class DataError(CarrotError):
    """A file or table that cannot be used as it is.

    ``problems`` has one entry for each kind of problem.
    """

    exit_code = 4

    def __init__(self, where: str, problems: Sequence[Problem] | str) -> None:
        self.where = where
        self.problems = [Problem(problems)] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(f"{where}: {problem}" for problem in self.problems))


class PricesNeededError(DataError):
    """A file lacks only prices: some models have tokens and no dollars.

    ``models`` are their names; with a price for each, the file can be read.
    """

    def __init__(self, where: str, problems: Sequence[Problem], models: Sequence[str]) -> None:
        self.models = tuple(models)
        super().__init__(where, problems)


class StoreError(CarrotError):
    """The database cannot be read or written."""

    exit_code = 5
