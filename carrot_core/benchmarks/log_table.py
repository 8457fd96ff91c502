"""Reader of logs, one row a call, to compare with what an operating point promised."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from carrot_core import limits
from carrot_core.benchmarks.columns import hint
from carrot_core.benchmarks.costs import rows_listed
from carrot_core.benchmarks.formats import FORMATS, format_of, format_of_all, read_format
from carrot_core.benchmarks.long_wide_tables import check_mapping
from carrot_core.benchmarks.parts import all_files, refusing, source_of
from carrot_core.benchmarks.reading import FOUND
from carrot_core.benchmarks.table_file import TableFile, open_rows, open_table
from carrot_core.benchmarks.value_checks import (
    NUMBERS,
    RECOGNISED,
    broken,
    cell_rules,
    create_views,
    violations,
    with_numbers,
)
from carrot_core.errors import CarrotError, DataError, NotFoundError, Problem
from carrot_core.modes import action
from carrot_core.paths import home, replacing
from carrot_core.prices import Price, infer_price, token_cost_usd
from carrot_core.roles_audit import Role
from carrot_core.text import counted, names_listed, prompt_text

LOGGED = ("model", "prompt_id", "score", "cost_usd", "input_tokens", "output_tokens", "prompt")

_NAME = re.compile(r"[\w][\w \-]{0,79}")
_AT_A_TIME = 64  # prompts held in memory

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calls:
    """n logged calls, in the order of the file.

    Attributes
    ----------
    source : name of the file.
    models : names of those that answered, by name.
    model, prompt : (n,) place in ``models``, and number of the distinct prompt; each call is its own prompt where
        the file has no prompt_id.
    score, cost_usd, input_tokens, output_tokens : (n,) as recorded, NaN where not.
    texts : of at most `carrot_core.limits.LOG_TEXTS` distinct prompts what an encoder may read; empty without any.
    n_texts : distinct prompts there are.
    notes : what was noticed in the file, in plain sentences.
    """

    source: str
    models: tuple[str, ...]
    model: npt.NDArray[np.intp]
    prompt: npt.NDArray[np.intp]
    score: FloatArray
    cost_usd: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    texts: tuple[str, ...] = ()
    n_texts: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.model)

    def named_as(self, models: Collection[str]) -> Calls:
        """The calls, a model by its name without the provider where ``models`` have only that: "openai/gpt-4o", gpt-4o.

        It is the rule by which the LiteLLM adapter finds the model of a deployment.
        """
        plain = {name: name.partition("/")[2] for name in self.models if name not in models}
        names = {name: short for name, short in plain.items() if short in models}
        if not names:
            return self
        renamed = [names.get(name, name) for name in self.models]
        order = sorted(set(renamed))
        places = np.array([order.index(name) for name in renamed], dtype=np.intp)
        pairs = ", ".join(f"{name} is {short}" for name, short in names.items())
        return replace(
            self,
            models=tuple(order),
            model=places[self.model],
            notes=(*self.notes, f"Models are told by their names without the provider: {pairs}."),
        )

    def cost_at(self, prices: Mapping[str, Price]) -> FloatArray:
        """(n,) dollars of each call by its tokens, at prices by model; NaN where tokens or price are not known."""
        cost_usd = np.full(len(self), np.nan)
        for place, name in enumerate(self.models):
            rows, price = self.model == place, prices.get(name)
            if price is not None:
                tokens = self.input_tokens[rows, None], self.output_tokens[rows, None]
                cost_usd[rows] = token_cost_usd(*tokens, [price])[:, 0]
        return cost_usd

    def price_of(self, rows: npt.NDArray[np.intp]) -> Price | None:
        """The price per token that the dollars and tokens of some calls imply; None if they imply none."""
        output = None if np.isnan(self.output_tokens).all() else self.output_tokens[rows]
        return infer_price(self.input_tokens[rows], output, self.cost_usd[rows])


def read_logs(path: Path, *, columns: Mapping[str, str] | None = None, free: Collection[str] = ()) -> Calls:
    """Read the calls of a file: a log of a gateway or API (`formats`), or a table as `open_table` reads it.

    ``model`` is needed: the model that answered. Recognised: ``prompt_id`` (a prompt that was sent several times
    counts as one draw), ``score`` (0 to 1, where known), ``cost_usd``, ``input_tokens``, ``output_tokens``,
    ``prompt`` (text). Other columns are not read.

    Parameters
    ----------
    columns : the file's own name of a recognised column, by the recognised name, where they differ.
    free : models that cost nothing: of others a cost of 0, and tokens of 0 of an answer, count as not recorded.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        It cannot be used; every kind of problem is listed with the first row it stands in.
    """
    check_mapping(path, columns or {}, LOGGED)
    with _opened(path, columns or {}) as (table, notes), refusing(path):
        calls = _without_zeros(_calls(_checked(table)), free, table.places)
        return replace(calls, notes=(*notes, *calls.notes))


def _checked(table: TableFile) -> TableFile:
    """The table with its views, once nothing is wrong with it."""
    table = with_numbers(table, NUMBERS, FOUND)
    create_views(table)
    problems = _problems(table)
    if problems:
        raise DataError(table.source, [table.located(problem) for problem in problems])
    return table


def is_log(paths: Sequence[Path], format: str | None = None) -> bool:
    """Whether files, by their content or by the format that is named, are logs of calls."""
    each = format_of_all(all_files(paths)) if format is None else FORMATS.get(format)
    return each is not None and each.kind == "traffic"


def keep_log(name: str, paths: Sequence[Path], replace: bool = False) -> tuple[int, tuple[str, ...]]:
    """Keep the calls in files of one gateway or API under a name, to be compared with points.

    Returns
    -------
    How many calls there are, and what the reader notes.

    Raises
    ------
    CarrotError
        The name is in use, or cannot be a file's.
    DataError
        No log, or one that cannot be used.
    """
    path = _folder() / f"{name}.parquet"
    with action("keep a log", name, path, Role.ADMIN if replace and path.exists() else Role.EDITOR):
        return _keep(name, path, paths, replace)


def _keep(name: str, path: Path, paths: Sequence[Path], replace: bool) -> tuple[int, tuple[str, ...]]:
    if not _NAME.fullmatch(name):
        raise CarrotError(f"{name!r} cannot be the name of a log: use letters, digits, spaces, - and _.")
    if path.exists() and not replace:
        raise CarrotError(f"There is a log {name!r} already: choose another name, or replace it.")
    files = all_files(paths)
    each = format_of_all(files)
    if each is None or each.kind != "traffic":
        raise DataError(source_of(files), "is no log of a gateway or API")
    rows = read_format(each, files)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_rows(source_of(files), rows.table, rows.starts, rows.places) as table, refusing(files):
        of_zeros = _without_zeros(_calls(_checked(table)), (), table.places).notes
    with replacing(path) as part:
        pq.write_table(rows.table, part)
    return rows.table.num_rows, (*rows.notes, *of_zeros)


def kept_logs() -> dict[str, Path]:
    """Files of the logs that are kept, by name."""
    return {path.stem: path for path in sorted(_folder().glob("*.parquet")) if not path.name.startswith(".")}


def size_of_log(path: Path) -> str:
    """How many calls a log that is kept has, in words; or that its file is damaged."""
    try:
        return counted(pq.read_metadata(path).num_rows, "call")
    except (OSError, pa.ArrowException):
        return "damaged: import it again with --replace"


def log_at(place: str) -> Path:
    """The file that a path or the name of a kept log stands for.

    Raises
    ------
    NotFoundError
        It is neither.
    """
    if Path(place).is_file():
        return Path(place)
    logs = kept_logs()
    if place not in logs:
        there = f"Logs that are kept: {', '.join(logs)}." if logs else "No log is kept."
        raise NotFoundError(f"There is no file and no log {place!r}. {there}")
    return logs[place]


def _folder() -> Path:
    return home() / "logs"


@contextmanager
def _opened(path: Path, columns: Mapping[str, str]) -> Iterator[tuple[TableFile, tuple[str, ...]]]:
    """The calls of a file as a table, and what its reader notes."""
    of_tool = None if columns else format_of(path)
    if of_tool is None:
        with open_table(path, RECOGNISED, others=False, columns=columns) as table:
            yield table, ()
    else:
        rows = read_format(of_tool, [path])
        with open_rows(path.name, rows.table, places=rows.places) as table:
            yield table, rows.notes


def _problems(table: TableFile) -> list[Problem]:
    if "model" not in table.types:
        listed = f"The file has: {names_listed(table.types)}.{hint('model', table.types)}"
        return [Problem("the column is missing", listed, column="model")]
    rules = broken(table, cell_rules(table.types, table.numbers))
    problems = [problem for rule in rules for problem in violations(table, rule)]
    if problems:
        return problems
    rows, models = _one(table, "select count(*), count(distinct model) from cells")
    if not rows:
        return [Problem("there are no rows", "A log has a row for each call.")]
    if rows > limits.LOG_CALLS:
        return [Problem(f"has {rows:,} calls, the most is {limits.LOG_CALLS:,}", "Keep a sample of them.")]
    if models > limits.LOG_MODELS:
        return [
            Problem(f"names {models:,} models, the most is {limits.LOG_MODELS:,}", "Was another column meant?", None)
        ]
    return []


def _one(table: TableFile, query: str) -> tuple[Any, ...]:
    (row,) = table.connection.execute(query).fetchall()
    return tuple(row)


def _without_zeros(calls: Calls, free: Collection[str], places: Sequence[str]) -> Calls:
    """Calls whose zeros are taken out and noted with their places, but those of models that cost nothing."""
    others = np.isin(
        calls.model,
        [place for place, name in enumerate(calls.models) if not {name, name.partition("/")[2]} & set(free)],
    )
    notes: list[str] = []

    def without(name: str, values: FloatArray) -> FloatArray:
        zero = others & (values == 0)
        for place in np.unique(calls.model[zero]):
            model, rows = calls.models[place], np.flatnonzero(zero & (calls.model == place)) + 1
            where = names_listed([places[row - 1] for row in rows.tolist()], 5) if places else rows_listed(rows)
            notes.append(
                f"{name} of {model!r} is 0 in {where}: taken as not recorded. If that is meant: "
                f"`carrot point drift` takes --free {model!r}."
            )
        return np.where(zero, np.nan, values)

    return replace(
        calls,
        cost_usd=without("cost_usd", calls.cost_usd),
        input_tokens=without("input_tokens", calls.input_tokens),
        output_tokens=without("output_tokens", calls.output_tokens),
        notes=tuple(notes),
    )


def _calls(table: TableFile) -> Calls:
    key = "prompt_id" if "prompt_id" in table.types else "cell"
    cells = table.connection.execute(
        f"select dense_rank() over (order by {key}) - 1 as prompt, dense_rank() over (order by model) - 1 as model, "  # noqa: S608
        "score, cost_usd, input_tokens, output_tokens from cells order by cell"
    ).fetchnumpy()
    names = table.connection.execute("select distinct model from cells order by model").fetchall()
    (n_texts,) = _one(table, "select count(distinct prompt) from cells")
    numbers: dict[str, FloatArray] = {
        name: np.ma.filled(np.ma.asarray(cells[name], dtype=np.float64), np.nan)
        for name in ("score", "cost_usd", "input_tokens", "output_tokens")
    }
    return Calls(
        table.source,
        tuple(name for (name,) in names),
        np.asarray(cells["model"], dtype=np.intp),
        np.asarray(cells["prompt"], dtype=np.intp),
        score=numbers["score"],
        cost_usd=numbers["cost_usd"],
        input_tokens=numbers["input_tokens"],
        output_tokens=numbers["output_tokens"],
        texts=tuple(_texts(table)),
        n_texts=int(n_texts),
    )


def _texts(table: TableFile) -> Iterator[str]:
    """What an encoder may read of some distinct prompts, always the same ones."""
    cursor = table.connection.execute(
        "select distinct prompt from cells where prompt is not null order by hash(prompt), prompt limit $most",
        {"most": limits.LOG_TEXTS},
    )
    while rows := cursor.fetchmany(_AT_A_TIME):  # a chat may be long, and little of it is read
        for (prompt,) in rows:
            if text := prompt_text(prompt):
                yield text[: limits.LOG_TEXT_CHARACTERS]
