"""The nouns of the project: what was observed, what was predicted, and the prompts they belong to.

All tables are (n, M), a row for each prompt and a column for each model. They have prompt ids and model **names**, so
that no value belongs to a model by its position alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.prices import Price, all_input_tokens, token_cost_usd

FloatTable = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_] | npt.NDArray[np.intp]
Usage = Literal["output_tokens", "input_only", "cost_usd"]
SPLITS = ("train", "validation", "test")
LATENCY_LEVEL = 0.95  # level of the latency quantile shown beside the mean: p95
SCORE_RANGE = (0.0, 1.0)  # bounds of an observed score, inclusive; the store's schema has the same


def positions(names: Sequence[str], available: Sequence[str], kind: str = "model") -> npt.NDArray[np.intp]:
    """Column of each wanted name; an unknown name raises an error that lists the known ones."""
    where = {name: index for index, name in enumerate(available)}
    missing = [name for name in names if name not in where]
    if missing:
        raise NotFoundError(f"No {kind} {missing[0]!r} here; known: {', '.join(list(available)[:20])}.")
    return np.array([where[name] for name in names], dtype=np.intp)


def beyond(values: FloatTable, bounds: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Which values lie outside of the bounds, such as `SCORE_RANGE`; NaN, "not observed", does not."""
    outside: npt.NDArray[np.bool_] = (values < bounds[0]) | (values > bounds[1])
    return outside


def pick(values: Sequence[str], rows: Rows) -> tuple[str, ...]:
    """Entries of a tuple of strings, selected by a mask or positions as in numpy."""
    return tuple(np.array(values, dtype=object)[rows])


def _unique(kind: str, names: Sequence[str]) -> tuple[str, ...]:
    named = tuple(str(name) for name in names)
    if len(set(named)) != len(named):
        raise CarrotError(f"{kind} {max(named, key=named.count)!r} appears twice.")
    return named


@dataclass(frozen=True, eq=False)
class _Tables:
    """Two (n, M) tables, scores and costs, bound to prompt ids and model names; validated once, read-only."""

    prompt_ids: tuple[str, ...]
    models: tuple[str, ...]
    score: FloatTable
    cost_usd: FloatTable

    _score_bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    _may_be_missing: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt_ids", _unique("Prompt", self.prompt_ids))
        object.__setattr__(self, "models", _unique("Model", self.models))
        object.__setattr__(self, "score", self._check("score", self._score_bounds))
        object.__setattr__(self, "cost_usd", self._check("cost_usd", (0.0, np.inf)))

    def _check(self, name: str, bounds: tuple[float, float]) -> FloatTable:
        table = np.array(getattr(self, name), dtype=np.float64, order="C")
        if table.shape != self.shape:
            raise CarrotError(f"{name} is {table.shape}; {self.shape[0]} prompts x {self.shape[1]} models expected.")
        wrong = beyond(table, bounds) | np.isinf(table)
        if not self._may_be_missing:
            wrong |= np.isnan(table)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise CarrotError(
                f"{name} of {self.models[column]!r} on prompt {self.prompt_ids[row]!r} is {table[row, column]}; "
                f"it must be a number from {bounds[0]:g} to {bounds[1]:g}."
            )
        table.flags.writeable = False
        return table

    @property
    def shape(self) -> tuple[int, int]:
        """(number of prompts, number of models)."""
        return len(self.prompt_ids), len(self.models)

    def rows(self, rows: Rows) -> Self:
        """The same models on some prompts (boolean mask or distinct integer positions)."""
        prompt_ids = pick(self.prompt_ids, rows)
        if rows.dtype != np.bool_:
            _unique("Prompt", prompt_ids)
        return self._at(rows, prompt_ids, self.models)

    def pool(self, models: Sequence[str]) -> Self:
        """The same prompts with some of the models, in the order asked for."""
        columns = positions(_unique("Model", models), self.models)
        return self._at((slice(None), columns), self.prompt_ids, tuple(models))

    def with_values(self, score: FloatTable, cost_usd: FloatTable, prompt_ids: tuple[str, ...] | None = None) -> Self:
        """The table with other values, unchecked, and other prompts if their ids are given."""
        return self._part(prompt_ids or self.prompt_ids, self.models, score=score, cost_usd=cost_usd)

    def _at(self, place: Any, prompt_ids: tuple[str, ...], models: tuple[str, ...]) -> Self:
        tables = {name: getattr(self, name, None) for name in ("score", "cost_usd", "output_tokens")}
        parts = {name: table[place] for name, table in tables.items() if table is not None}
        return self._part(prompt_ids, models, **parts)

    def _part(self, prompt_ids: tuple[str, ...], models: tuple[str, ...], **tables: FloatTable) -> Self:
        """Part of a valid table, without checking every cell again."""
        part = object.__new__(type(self))
        part.__dict__.update(prompt_ids=prompt_ids, models=models, cost_is_paid=getattr(self, "cost_is_paid", False))
        for name, table in tables.items():
            part.__dict__[name] = np.ascontiguousarray(table)
            part.__dict__[name].flags.writeable = False
        return part


@dataclass(frozen=True, eq=False)
class Outcomes(_Tables):
    """Observed score and cost of every model on every prompt; NaN = not observed.

    Attributes
    ----------
    prompt_ids : n unique strings.
    models : M unique model names.
    score : (n, M) in [0, 1].
    cost_usd : (n, M) US dollars for the call, at least 0.

    Raises
    ------
    CarrotError
        Shapes that disagree, names that repeat, values out of bounds.
    """

    _score_bounds: ClassVar[tuple[float, float]] = SCORE_RANGE
    _may_be_missing: ClassVar[bool] = True

    @cached_property
    def complete(self) -> npt.NDArray[np.bool_]:
        """(n,) True where the whole pool is observed, score and cost."""
        return np.asarray(~np.isnan(self.score + self.cost_usd).any(axis=1))


@dataclass(frozen=True, eq=False)
class Estimates(_Tables):
    """A router's estimates for every model on every prompt; same shape and units as `Outcomes`.

    Every cell is finite (a router that cannot estimate a prompt does not return it) and costs are at
    least 0; scores are not clamped, since only their differences matter to a decision.

    Attributes
    ----------
    cost_is_paid : whether ``cost_usd`` is the full cost of choosing a model, not that of its single call: a
        cascade also pays for every call before the one it answers with.
    output_tokens : (n, M) expected output tokens, if some are free and so cannot be computed from dollars; else None.
    """

    cost_is_paid: bool = False
    output_tokens: FloatTable | None = None

    def widened(self, models: Sequence[str]) -> Estimates:
        """The same estimates in a table of more models; NaN for the others, which are never chosen."""
        tokens = np.full(self.shape, np.nan) if self.output_tokens is None else self.output_tokens
        wide = np.full((3, len(self.prompt_ids), len(models)), np.nan)
        wide[:, :, positions(self.models, models)] = self.score, self.cost_usd, tokens
        return self._part(self.prompt_ids, tuple(models), score=wide[0], cost_usd=wide[1], output_tokens=wide[2])

    @staticmethod
    def join(tables: Sequence[Estimates], prompt_ids: Sequence[str], models: Sequence[str]) -> Estimates:
        """Tables of different prompts as one, in the order of these prompts and models.

        Only models that some table estimates are included; NaN, so never chosen, on the prompts of tables without them.
        """
        names = {model for table in tables for model in table.models}
        pool = tuple(model for model in models if model in names)
        wide = [table if table.models == pool else table.widened(pool) for table in tables]
        row = {prompt_id: place for place, prompt_id in enumerate(key for table in tables for key in table.prompt_ids)}
        order = np.array([row[prompt_id] for prompt_id in prompt_ids if prompt_id in row], dtype=np.intp)
        parts = {name: [getattr(table, name) for table in wide] for name in ("score", "cost_usd")}
        if any(table.output_tokens is not None for table in tables):
            tokens = [np.full(t.shape, np.nan) if t.output_tokens is None else t.output_tokens for t in wide]
            parts["output_tokens"] = tokens
        joined = {name: np.concatenate(part)[order] for name, part in parts.items()}
        return wide[0]._part(pick(tuple(row), order), pool, **joined)


# Tables that only some benchmarks have.
_NOT_ALWAYS = ("cached_input_tokens", "reasoning_tokens", "latency_s", "sample_score", "sample_cost_usd")


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Prompts with all their data: the input of every router and every evaluation.

    Attributes
    ----------
    name : name in the store.
    outcomes : (n, M) observed scores and costs.
    texts, tasks : n prompt texts (None where the source has none) and task labels ("" where none).
    split : (n,) one of "train", "validation", "test".
    input_tokens, output_tokens : (n, M), NaN where not recorded.
    cached_input_tokens, reasoning_tokens, latency_s : (n, M) likewise, of the input and of the output tokens, and
        seconds; None where none is recorded.
    sample_score, sample_cost_usd : (n, M, S) of every run of a cell, NaN behind its last one, where cells were run
        several times; ``outcomes`` then has their means. None where every cell was run once.
    prices : price by model name; empty where the source records only dollars.
    vectors : (n, d) float32 embeddings, NaN rows for prompts without a known text; None before embedding.
    encoder : name of the encoder the vectors come from.
    data_hash : sha256 of the content in the store.
    text_hashes : sha256 of each text, even of one that is not here; None for an unknown one, empty if none is known.
    corrected, completed, donor_of : outcomes without gaps, on which routers are measured, `completed` for those that
        choose by outcomes, and donors that prompts are drawn together with (`evaluation.missing`); None without gaps.
    split_is_ours : whether ``split`` was drawn on import; then judged by cross-fitting (`Setting` of the protocol).
    """

    name: str
    outcomes: Outcomes
    texts: tuple[str | None, ...]
    tasks: tuple[str, ...]
    split: npt.NDArray[np.str_]
    input_tokens: FloatTable = field(default_factory=lambda: np.empty((0, 0)))
    output_tokens: FloatTable = field(default_factory=lambda: np.empty((0, 0)))
    prices: Mapping[str, Price] = field(default_factory=dict)
    vectors: npt.NDArray[np.float32] | None = None
    encoder: str | None = None
    data_hash: str = ""
    cached_input_tokens: FloatTable | None = None
    reasoning_tokens: FloatTable | None = None
    latency_s: FloatTable | None = None
    sample_score: FloatTable | None = None
    sample_cost_usd: FloatTable | None = None
    corrected: Outcomes | None = None
    completed: Outcomes | None = None
    donor_of: Mapping[str, str] = field(default_factory=dict)
    text_hashes: tuple[str | None, ...] = ()
    split_is_ours: bool = False

    def __post_init__(self) -> None:
        n, _ = self.outcomes.shape
        for name in ("input_tokens", "output_tokens"):
            if getattr(self, name).size == 0:
                object.__setattr__(self, name, np.full(self.outcomes.shape, np.nan))
        for name in ("input_tokens", "output_tokens", *_NOT_ALWAYS):
            if getattr(self, name) is not None and getattr(self, name).shape[:2] != self.outcomes.shape:
                raise CarrotError(f"{name} of {self.name!r} is not {self.outcomes.shape}.")
        columns = {"texts": self.texts, "tasks": self.tasks, "split": self.split, "vectors": self.vectors}
        for name, column in {**columns, "text_hashes": self.text_hashes or self.texts}.items():
            if column is not None and len(column) != n:
                raise CarrotError(f"{name} of {self.name!r} has {len(column)} entries for {n} prompts.")

    @property
    def models(self) -> tuple[str, ...]:
        return self.outcomes.models

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        return self.outcomes.prompt_ids

    @property
    def measured(self) -> Outcomes:
        """The outcomes on which routers are measured: `corrected`, or the observed ones if there are no corrections."""
        return self.outcomes if self.corrected is None or self.outcomes.complete.all() else self.corrected

    @property
    def whole(self) -> Outcomes:
        """The outcomes that an oracle reads: `completed`, or the observed ones if nothing was filled in."""
        return self.outcomes if self.completed is None or self.outcomes.complete.all() else self.completed

    def _parts(self, place: Any) -> dict[str, Any]:
        """Some rows or columns of the optional tables, by name."""
        tables = {name: getattr(self, name) for name in _NOT_ALWAYS}
        return {name: table[place] for name, table in tables.items() if table is not None}

    def rows(self, rows: Rows) -> Benchmark:
        """Some of the prompts, with all that belongs to them."""
        return replace(
            self,
            outcomes=self.outcomes.rows(rows),
            corrected=None if self.corrected is None else self.corrected.rows(rows),
            completed=None if self.completed is None else self.completed.rows(rows),
            texts=pick(self.texts, rows),  # type: ignore[arg-type]
            text_hashes=pick(self.text_hashes, rows) if self.text_hashes else (),  # type: ignore[arg-type]
            tasks=pick(self.tasks, rows),
            split=self.split[rows],
            input_tokens=self.input_tokens[rows],
            output_tokens=self.output_tokens[rows],
            **self._parts(rows),
            vectors=None if self.vectors is None else self.vectors[rows],
        )

    def part(self, split: str) -> Benchmark:
        """The prompts of one split; "all" is every prompt."""
        return self if split == "all" else self.rows(self.split == split)

    def pool(self, models: Sequence[str]) -> Benchmark:
        """Some of the models, in the order asked for; prices and tokens follow by name."""
        columns = positions(models, self.models)
        return replace(
            self,
            outcomes=self.outcomes.pool(models),
            corrected=None if self.corrected is None else self.corrected.pool(models),
            completed=None if self.completed is None else self.completed.pool(models),
            input_tokens=self.input_tokens[:, columns],
            output_tokens=self.output_tokens[:, columns],
            **self._parts((slice(None), columns)),
            prices={model: self.prices[model] for model in models if model in self.prices},
        )

    @cached_property
    def usage(self) -> Usage:
        """The quantity a router predicts to compute the cost of a call.

        "output_tokens" if prices and tokens are recorded; "input_only" if only the input is charged, so that the cost
        is known beforehand; "cost_usd" if the source has only dollars.
        """
        if any(model not in self.prices for model in self.models) or np.isnan(self.input_tokens).all():
            return "cost_usd"
        return "input_only" if np.isnan(self.output_tokens).all() else "output_tokens"

    @cached_property
    def charged_input_tokens(self) -> FloatTable:
        """(n, M) input tokens, also for models that were not run."""
        return all_input_tokens(self.input_tokens)

    def usage_table(self, usage: Usage | None = None) -> FloatTable:
        """(n, M) observed values of the predicted usage, in the unit of its name; NaN = not observed."""
        usage = usage or self.usage
        if usage == "cost_usd":
            return self.outcomes.cost_usd
        return self.output_tokens if usage == "output_tokens" else np.zeros(self.outcomes.shape)

    def cost_usd_of(self, predicted: FloatTable, usage: Usage | None = None) -> FloatTable:
        """(n, M) dollars from a predicted usage table, clamped at 0; input tokens are known before the call.

        The cached and reasoning parts of a call are not known: prices are averages weighted with the shares of these
        tokens.
        """
        predicted = np.maximum(predicted, 0.0)
        if (usage or self.usage) == "cost_usd":
            return predicted
        return token_cost_usd(
            self.charged_input_tokens, predicted, [self.prices[model].expected for model in self.models]
        )
