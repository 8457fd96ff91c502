"""Reader of logs, one row a call, to compare with what an operating point promised."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from carrot_core import limits
from carrot_core.benchmarks.column_names import hint
from carrot_core.benchmarks.column_sources import names_listed
from carrot_core.benchmarks.costs import rows_listed
from carrot_core.benchmarks.long_table import check_mapping, refusing
from carrot_core.benchmarks.reading import FOUND
from carrot_core.benchmarks.table_file import TableFile, open_table
from carrot_core.benchmarks.value_checks import (
    NUMBERS,
    RECOGNISED,
    broken,
    cell_rules,
    create_views,
    violations,
    with_numbers,
)
from carrot_core.errors import DataError, Problem
from carrot_core.prices import Price, infer_price, token_cost_usd

LOGGED = ("model", "prompt_id", "score", "cost_usd", "input_tokens", "output_tokens", "prompt")

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
    texts : at most `carrot_core.limits.LOG_TEXTS` distinct prompts, cut to what an encoder may read; empty without any.
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
    """Read the calls of a file: Parquet, CSV, TSV or JSON lines, text also packed (.gz, .zst).

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
    with open_table(path, RECOGNISED, others=False, columns=columns) as table, refusing(path):
        table = with_numbers(table, NUMBERS, FOUND)
        create_views(table)
        problems = _problems(table)
        if problems:
            raise DataError(path.name, problems)
        return _without_zeros(_calls(table), free)


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


def _without_zeros(calls: Calls, free: Collection[str]) -> Calls:
    """Calls whose zeros are taken out and noted, but those of models that cost nothing."""
    others = np.isin(calls.model, [place for place, name in enumerate(calls.models) if name not in free])
    notes: list[str] = []

    def without(name: str, values: FloatArray) -> FloatArray:
        zero = others & (values == 0)
        for place in np.unique(calls.model[zero]):
            model, rows = calls.models[place], np.flatnonzero(zero & (calls.model == place)) + 1
            notes.append(
                f"{name} of {model!r} is 0 in {rows_listed(rows)}: taken as not recorded. If that is meant: "
                f"--free {model!r}."
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
    texts = table.connection.execute(
        f"select distinct left(prompt, {limits.LOG_TEXT_CHARACTERS}) as text from cells where prompt is not null "  # noqa: S608
        f"order by hash(text), text limit {limits.LOG_TEXTS}"
    ).fetchall()
    (n_texts,) = _one(table, f"select count(distinct left(prompt, {limits.LOG_TEXT_CHARACTERS})) from cells")  # noqa: S608
    numbers = {
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
        texts=tuple(text for (text,) in texts),
        n_texts=int(n_texts),
    )
