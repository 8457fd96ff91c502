"""The kinds of work on a block: a table in, a table out; plain functions of rows, alike on one machine and on many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from carrot_core import limits
from carrot_core.embedding import embed
from carrot_core.errors import CarrotError, DataError
from carrot_core.frontier import lam_of_rate, sweep
from carrot_core.outcomes import Estimates, FloatTable, Outcomes
from carrot_core.scale.blocks import Report, Results
from carrot_core.serving import CarrotRouter
from carrot_core.serving.files import decision_table
from carrot_core.serving.summary import decision_frame, distance_percentile
from carrot_core.store.vectors import ENCODER
from carrot_core.text import names_listed, prompt_text

SUMS, FRONTIER = "_sums", "frontier.parquet"
# Edges of the bins of a curve, score per US dollar: 1,000 per factor of ten, so neighbours differ by 0.23 %.
EDGES: FloatTable = np.append(10.0 ** (np.arange(-4_000, 10_001) / 1_000), np.inf)
_ROWS, _FRONTIER_ROWS = 4_096, 262_144


class Work(Protocol):
    """Work that is done on every block; it is pickled to the processes that do it.

    Attributes
    ----------
    name : name of the command.
    block_rows : default number of rows of a block.
    parts : folder of the results for the files of the blocks; "" for the folder itself.
    """

    name: str
    block_rows: int
    parts: str

    def columns(self, schema: pa.Schema) -> list[str]:
        """Columns to read of a file; raises a `CarrotError` if it lacks one or already has a column of the result."""
        ...

    def settings(self) -> dict[str, Any]:
        """Settings that the results depend on, beside the rows."""
        ...

    def __call__(self, table: pa.Table) -> tuple[pa.Table, int]:
        """The result of a block, and the number of rows that could not be used."""
        ...

    def finish(self, results: Results, reports: Mapping[int, Report]) -> dict[str, Any]:
        """Combine the results of all blocks, if the work has such a result; returns entries for the summary."""
        ...


@dataclass(frozen=True, kw_only=True)
class _RowByRow:
    """Work with a result for each row, in the order of the rows, beside the kept columns.

    A row whose prompt is missing, longer than `limits.PROMPT_CHARACTERS` or a chat without a text of the user has
    nulls and counts as unused.

    Parameters
    ----------
    column : column of the prompts: texts, or chat messages as lists of structs or JSON.
    keep : names of the columns to keep; None for all.
    """

    column: str = "prompt"
    keep: tuple[str, ...] | None = None
    name = ""
    block_rows = _ROWS
    parts = ""

    def new_columns(self) -> Sequence[str]:
        raise NotImplementedError

    def read_columns(self, schema: pa.Schema) -> list[str]:
        return [self.column]

    def columns(self, schema: pa.Schema) -> list[str]:
        to_keep = schema.names if self.keep is None else list(self.keep)
        needed = list(dict.fromkeys([*to_keep, *self.read_columns(schema)]))
        for name in needed:
            if schema.names.count(name) != 1:
                raise CarrotError(
                    f"There must be one column {name!r}; the file has: {names_listed(schema.names)}. Name the "
                    "column of the prompts with --column and those to keep with --keep."
                )
        if twice := [name for name in to_keep if name in self.new_columns()]:
            raise CarrotError(f"The column {twice[0]!r} is in the result and cannot be kept: name others with --keep.")
        return needed

    def settings(self) -> dict[str, Any]:
        return {"column": self.column, "keep": None if self.keep is None else list(self.keep)}

    def beside(self, table: pa.Table, rows: Sequence[int], answers: pa.Table) -> tuple[pa.Table, int]:
        """The kept columns beside the answers on some of the rows, with nulls on the other rows."""
        place = np.full(len(table), -1)
        place[list(rows)] = np.arange(len(rows))
        spread = answers.take(pa.array(place, mask=place < 0))
        result = table if self.keep is None else table.select(self.keep)
        for column in spread.schema:
            result = result.append_column(column, spread[column.name])
        return result.replace_schema_metadata(answers.schema.metadata), len(table) - len(rows)

    def finish(self, results: Results, reports: Mapping[int, Report]) -> dict[str, Any]:
        results.finish()
        return {}


def _usable(prompts: pa.ChunkedArray, column: str) -> dict[int, str]:
    """The text that is read of each usable prompt, by row."""
    texts = {}
    for row, prompt in enumerate(prompts.to_pylist()):
        try:
            text = None if prompt is None else prompt_text(prompt)
        except TypeError as error:
            raise DataError(f"column {column!r}", f"{error}; prompts are texts or chat messages") from error
        if text is not None and len(text) <= limits.PROMPT_CHARACTERS:
            texts[row] = text
    return texts


@dataclass(frozen=True, kw_only=True)
class Embed(_RowByRow):
    """Texts to unit vectors: a column ``embedding`` of float32 lists, the encoder's name in the schema."""

    encoder: str
    name = "embed"

    def new_columns(self) -> Sequence[str]:
        return ["embedding"]

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"encoder": self.encoder}

    def __call__(self, table: pa.Table) -> tuple[pa.Table, int]:
        texts = _usable(table[self.column], self.column)
        vectors = embed(list(texts.values()), self.encoder)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        answers = pa.table({"embedding": lists}).replace_schema_metadata({ENCODER: self.encoder})
        return self.beside(table, list(texts), answers)


@dataclass(frozen=True, kw_only=True)
class Route(_RowByRow):
    """Texts to decisions, with the columns of `carrot_core.serving.summary.route_file`.

    Parameters
    ----------
    router : source of a router that answers typed prompts.
    task_column : column of task labels; None for "task" if the file has one.
    options : options of `CarrotRouter.decide`.
    """

    router: CarrotRouter
    task_column: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    name = "route"
    per_model = False

    def new_columns(self) -> Sequence[str]:
        names: list[str] = self._decide([], []).column_names
        return names

    def read_columns(self, schema: pa.Schema) -> list[str]:
        return [self.column, *([] if (task := self._task_in(schema)) is None else [task])]

    def _task_in(self, schema: pa.Schema) -> str | None:
        return self.task_column or ("task" if "task" in schema.names else None)

    def settings(self) -> dict[str, Any]:
        point = self.router.point_file(**self.options).model_dump(mode="json", exclude={"created_at", "sha256"})
        return super().settings() | {"task_column": self.task_column, "point": point}

    def __call__(self, table: pa.Table) -> tuple[pa.Table, int]:
        texts, task = _usable(table[self.column], self.column), self._task_in(table.schema)
        try:
            labels = [None] * len(table) if task is None else table[task].cast(pa.string()).to_pylist()
        except pa.ArrowException as error:
            raise DataError(f"column {task!r}", f"must hold task labels, which are texts: {error}") from error
        answers = self._decide(list(texts.values()), [labels[row] for row in texts])
        return self.beside(table, list(texts), answers)

    def _decide(self, texts: Sequence[str], tasks: Sequence[str | None]) -> pa.Table:
        decisions = self.router.decide(texts, task=tasks, **self.options)
        percentile = distance_percentile(self.router, decisions)
        ids = [""] * len(texts)
        frame = decision_frame(ids, None, decisions, percentile, self.per_model).drop(columns="prompt_id")
        return decision_table(frame)


@dataclass(frozen=True, kw_only=True)
class Estimate(Route):
    """Texts to estimates of every model: ``<model>|est_score``, ``|est_output_tokens``, ``|est_cost_usd``."""

    name = "estimate"
    per_model = True

    def _decide(self, texts: Sequence[str], tasks: Sequence[str | None]) -> pa.Table:
        table = super()._decide(texts, tasks)
        return table.select([name for name in table.column_names if "|est_" in name])


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Estimates beside outcomes to the exact curve at the edges of bins of the exchange rate (`EDGES`).

    A file has a row per prompt and, for each model, ``<model>`` (its score), ``<model>|cost_usd``,
    ``<model>|est_score`` and ``<model>|est_cost_usd``, as `Estimate` writes them beside a wide table of outcomes.
    A prompt without an outcome of some model, or without estimates, is not used. Each block is swept by
    `carrot_core.frontier.sweep`, and the sums of its switches in each bin are kept.

    Parameters
    ----------
    models : the pool.
    cost_unit_usd : u, for λ; None for the mean cost of the most expensive model on these prompts.
    """

    models: tuple[str, ...]
    cost_unit_usd: float | None = None
    name = "frontier"
    block_rows = _FRONTIER_ROWS
    parts = SUMS

    def _names(self) -> list[list[str]]:
        """Names of the columns of observed score and cost and of estimated score and cost, a list for each."""
        return [
            [f"{model}{ending}" for model in self.models] for ending in ("", "|cost_usd", "|est_score", "|est_cost_usd")
        ]

    def columns(self, schema: pa.Schema) -> list[str]:
        if not self.models:
            raise CarrotError(
                "There are no estimates: no column ends in '|est_score'. Run `carrot scale estimate` on these files, "
                "and give the folder it writes."
            )
        names = [name for table in self._names() for name in table]
        if wrong := [name for name in names if schema.names.count(name) != 1]:
            raise CarrotError(f"There must be one column {wrong[0]!r}; the file has: {names_listed(schema.names)}.")
        return names

    def settings(self) -> dict[str, Any]:
        return {"models": list(self.models), "cost_unit_usd": self.cost_unit_usd}

    def __call__(self, table: pa.Table) -> tuple[pa.Table, int]:
        score, cost, est_score, est_cost = (_matrix(table, names) for names in self._names())
        rows = ~np.isnan(score + cost + est_score + est_cost).any(axis=1)
        ids = tuple(map(str, np.flatnonzero(rows)))
        outcomes = Outcomes(ids, self.models, score[rows], cost[rows])
        curve = sweep(Estimates(ids, self.models, est_score[rows], est_cost[rows]), outcomes)
        switches, everyone = curve.sweep, np.arange(len(ids))
        bins, place = np.unique(np.searchsorted(EDGES, switches.rate), return_inverse=True)

        def sums(values: FloatTable) -> list[float]:
            """Sums at the start, for each model alone, and of the switches in each bin."""
            moved = values[switches.prompt, switches.target] - values[switches.prompt, switches.source]
            start = values[everyone, switches.start].sum()
            return [start, *values.sum(axis=0), *np.bincount(place, moved, len(bins))]

        kind = ["start", *["model"] * len(self.models), *["bin"] * len(bins)]
        numbers = [0, *range(len(self.models)), *bins]
        part = {"kind": kind, "number": pa.array(numbers, pa.int32())}
        part |= {"score": sums(outcomes.score), "cost_usd": sums(outcomes.cost_usd)}
        return pa.table(part), len(table) - len(ids)

    def finish(self, results: Results, reports: Mapping[int, Report]) -> dict[str, Any]:
        """Write ``frontier.parquet``, with the columns of ``carrot frontier``: a row for each bin that has a switch."""
        start, alone, moved = np.zeros(2), np.zeros((len(self.models), 2)), np.zeros((len(EDGES), 2))
        switched = np.zeros(len(EDGES), dtype=bool)
        for number in sorted(reports):  # in a fixed order, so that the sums are the same in every run
            table = results.read_part(number)
            kind, place = table["kind"].to_numpy(), table["number"].to_numpy()
            sums = np.column_stack([table["score"].to_numpy(), table["cost_usd"].to_numpy()])
            start += sums[kind == "start"].sum(axis=0)
            alone[place[kind == "model"]] += sums[kind == "model"]
            moved[place[kind == "bin"]] += sums[kind == "bin"]
            switched[place[kind == "bin"]] = True
        n_prompts = sum(report.rows - report.unused for report in reports.values())
        if not n_prompts:
            raise CarrotError("No prompt has the outcomes and the estimates of every model.")
        unit = self.cost_unit_usd or float(alone[:, 1].max()) / n_prompts
        if unit <= 0:
            raise CarrotError("Every model of the pool is free: there is no trade-off between cost and accuracy.")
        means = np.vstack([start, start + np.cumsum(moved, axis=0)[switched]]) / n_prompts
        rates = np.concatenate([[0.0], EDGES[switched]])
        columns = {"exchange_rate_per_usd": rates, "lam": lam_of_rate(rates, unit)}
        columns |= {"cost_usd": np.maximum(means[:, 1], 0.0), "score": means[:, 0]}
        results.finish(FRONTIER, pa.table(columns))
        scores = dict(zip(self.models, (alone[:, 0] / n_prompts).tolist(), strict=True))
        return {"n_prompts": n_prompts, "breakpoints": len(rates), "cost_unit_usd": unit, "model_scores": scores}


def pool_in(schema: pa.Schema) -> tuple[str, ...]:
    """Models that have estimates in a file."""
    ending = "|est_score"
    return tuple(name.removesuffix(ending) for name in schema.names if name.endswith(ending))


def _matrix(table: pa.Table, names: Sequence[str]) -> FloatTable:
    """(n, M) numbers of some columns, NaN for missing ones."""
    try:
        return np.column_stack([table[name].cast(pa.float64()).to_numpy() for name in names])
    except pa.ArrowException as error:
        raise DataError(f"columns {names_listed(names, 4)}", f"must hold numbers: {error}") from error
