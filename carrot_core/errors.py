"""Errors a user can act on: what is wrong, where, and what to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
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


_FEWER_TERMS = "Use IN (…) for many values, list_sum([…]) for a long sum, or put a part into a subquery."
# What DuckDB says of SQL that a person wrote, and our own words for it: what is wrong, and what to do.
# {0}, {1} … are the names and values in its message.
_SQL_MISTAKES: tuple[tuple[str, str, str], ...] = (
    (
        r'Referenced column "(.*?)" (?:was )?not found|[Cc]olumn "(.*?)" does not exist on|have a column named "(.*?)"',
        'there is no column "{0}"',
        "{near}A text stands in single quotes: '{0}'.",
    ),
    (
        r'Referenced table "(.*?)" not found',
        'there is no table "{0}"',
        "{near}A name with a point in it stands in double quotes.",
    ),
    (
        r"(?:Table|View|Sequence|Type|Schema) with name (.*?) does not exist",
        'there is no table or type "{0}"',
        "{near}DESCRIBE or SHOW TABLES lists those of the console; a predicate has the file's columns alone.",
    ),
    (r"Function with name (.*?) does not exist", 'there is no function "{0}"', "{near}"),
    (r"Function \"(.*?)\" is a table function", '"{0}" gives a table, not a value', "It stands behind FROM."),
    (
        r"(?:syntax error at or near|Parser Error: .* at) \"(.*?)\"",
        'it is not SQL at "{0}"',
        "A word or an operator is missing or too many there.",
    ),
    (
        r"unterminated|syntax error at end of input",
        "a quote is not closed, or its end is missing",
        "Write '…' around a text and \"…\" around a name.",
    ),
    (
        r"only a single expression|not an expression list",
        "it is not one condition or expression",
        "Join conditions by AND or OR.",
    ),
    (r"Chained comparisons", "two comparisons stand side by side", "Write AND between them."),
    (
        r"SELECT clause without selection list",
        "it has no expression",
        "Write a condition over columns, as in score > 0.5, without WHERE.",
    ),
    (
        r"Could not convert string '(.*?)' to (\w+)(?: when casting from source column (\w+))?",
        "the text '{0}'{of_column} is no {kind}",
        "A text is compared with a text, in single quotes; try_cast(… as {1}) gives an empty value instead.",
    ),
    (
        r"No function matches the given name and argument types '(.*?)\((.*?)\)'",
        '"{0}" does not take {1}',
        "Turn a value into another type by cast(… as double) or cast(… as varchar).",
    ),
    (
        r"cannot contain (?:aggregates|window functions)|aggregate function calls|window functions? \w+ not allowed",
        "a sum, mean or count of rows cannot stand there",
        "Put it into a subquery, or behind HAVING.",
    ),
    (
        r'column "?(.*?)"? must appear in the GROUP BY',
        'the column "{0}" is neither grouped by nor summed up',
        "Add it to GROUP BY, or leave out the sum, mean or count.",
    ),
    (
        r'Ambiguous reference to column name "(.*?)"',
        'two tables have a column "{0}"',
        "Write the table's name in front of it.",
    ),
    (
        r"Permission Error|file system|Cannot access",
        "files, the network and settings are out of its reach",
        "Use its tables alone.",
    ),
    (r"Values were not provided", "a ? or $ stands for a value that is not stated", "Write the value itself."),
    (
        r"More than one row returned by a subquery",
        "a subquery gives several rows where one value is needed",
        "Add LIMIT 1, or write IN (…).",
    ),
    (
        r"(?:ORDER|GROUP BY) term out of range",
        "ORDER BY or GROUP BY counts a column that is not there",
        "Name the column.",
    ),
    (
        r"Out of Range|Overflow|out of range",
        "a number or a date is out of range",
        "Turn the number into a double by cast(… as double).",
    ),
    (
        r"Could not find key \"(.*?)\" in struct|Cannot extract field '(.*?)'",
        'there is no "{0}" inside that value',
        "{near}",
    ),
    # Of Python, which reads the query's tree, and of DuckDB.
    (r"recursion", "more than about 300 terms are joined by operators in it", _FEWER_TERMS),
    (r"expression depth limit of (\d+)", "more than {0} terms are joined by operators in it", _FEWER_TERMS),
    (r"Parser Error|Syntax Error", "it is not SQL", "Start from a part of it that works."),
    (r"Binder Error|Catalog Error", "a name or a type in it does not fit", "Start from a part of it that works."),
    (
        r"Conversion Error|Invalid Input Error",
        "a function in it does not take a value that it meets",
        "Start from a part of it that works.",
    ),
    (r"", "it cannot be evaluated", "Start from a part of it that works."),
)
_OURS = ("pg_", "duckdb_", "row of the file")  # names that no person writes
_SHOWN = 80  # characters of a name or value
_SQL_KINDS = {"BOOL": "condition", "DATE": "date", "TIMESTAMP": "date", "TIME": "time"}


def sql_mistake(what_fails: str, message: str, sql: str) -> Problem:
    """What is wrong with SQL that a person wrote, in our own words: DuckDB's may hold paths of the server.

    Parameters
    ----------
    what_fails : as in "the query cannot be answered".
    message : of DuckDB's error.
    sql : what the person wrote; where a name of the message stands in it is said where it stands there once.
    """
    pattern, what, remedy = next(each for each in _SQL_MISTAKES if re.search(each[0], message))
    match = re.search(pattern, message)
    names = [name[:_SHOWN] for name in (match.groups() if match else ()) if name is not None]
    candidates = re.search(r"\n(?:Candidate \w+|Candidates|Did you mean):? ?(.*)", message)
    near = [name for name in re.findall(r'"(.*?)"', candidates[1] if candidates else "") if not name.startswith(_OURS)]
    words = {
        "near": f"Near to it: {', '.join(near[:3])}. " if near else "",
        "of_column": f" of the column {names[2]!r}" if len(names) > 2 else "",
        "kind": _SQL_KINDS.get(names[1], "number") if len(names) > 1 else "",
    }
    where = _place_in(sql, names[0]) if names else ""
    return Problem(f"{what_fails}: {what.format(*names, **words)}{where}", remedy.format(*names, **words).strip())


def _place_in(sql: str, word: str) -> str:
    """Where a word stands in SQL, if it stands there once."""
    places = [each.start() for each in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", sql, re.IGNORECASE)]
    if not word or len(places) != 1:
        return ""
    line, character = sql.count("\n", 0, places[0]) + 1, places[0] - sql.rfind("\n", 0, places[0])
    return f" (line {line:,}, character {character:,})" if "\n" in sql else f" (character {character:,})"


def mapping_options(columns: Mapping[str, str]) -> str:
    """Options of the command line that take the file's own columns for the recognised ones."""
    return " ".join(f"--column {shlex.quote(f'{name}={own}')}" for name, own in columns.items())
