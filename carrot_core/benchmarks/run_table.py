"""Prompts and runs of a long table as tables of its connection, on the disk where they are large; notes on cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import finalize

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_numeric_dtype

from carrot_core.benchmarks import OPTIONAL, OUTCOME, Relation
from carrot_core.benchmarks.cell_numbers import FRACTION, is_nothing
from carrot_core.benchmarks.columns import as_text, hint, literal, quote
from carrot_core.benchmarks.table_file import ROW, TableFile
from carrot_core.errors import DataError
from carrot_core.number_formats import money_tick
from carrot_core.outcomes import positions
from carrot_core.prices import Price
from carrot_core.prices.files import PriceList
from carrot_core.text import counted, names_listed

# Places stand for ids: a text for each of millions of rows would take most of the room.
_TABLES = """
create table prompts as
select (row_number() over (order by prompt_id) - 1)::integer as prompt, prompt_id, any_value(prompt) as text,
       coalesce(any_value(task), '') as task, coalesce(any_value(benchmark), '') as family, any_value(split) as split
from cells where score is not null group by prompt_id order by prompt_id;
create table models as
select (row_number() over (order by model) - 1)::integer as model, model as name
from cells where score is not null group by model order by model;
create table runs as
select cell, row, prompts.prompt, models.model, {columns} from cells
join prompts on prompts.prompt_id = cells.prompt_id join models on models.name = cells.model
where score is not null order by models.model, cell;
drop view cells; drop table file; drop table if exists numbers
"""
_SHOWN = 12  # words of a split in a note
_PAIRS = 5  # of ids in a note
_SPLITS = {"train": ("training",), "validation": ("val", "valid", "dev", "development"), "test": ("testing",)}
_SUMMARIES = ("average", "avg", "mean", "median", "total", "sum", "overall", "all", "max", "min", "std")
# Columns, what they are hardly ever above, and what is said of it.
_DOUBTS = (
    ("cached_input_tokens", "input_tokens", "all input_tokens, which count as cached then"),
    ("reasoning_tokens", "output_tokens", "all output_tokens, which count as reasoning then"),
    ("cost_usd", 1000, "$1,000 a call: US dollars may not be meant"),
    ("latency_s", 3600, "an hour: seconds may not be meant"),
)
_LEAST_SHARED = 0.05  # of the prompts, below which hardly any has two models
# An id without what tools change: capitals, spaces at its ends, ways to write one letter, and ".0" behind a number.
_PLAIN_ID = r"regexp_replace(lower(trim(nfc_normalize(prompt_id), e' \t\n\r')), '^(-?[0-9]+)\.0$', '\1')"
_PROMPTS = "select prompt_id, text, task, family, split from prompts order by prompt"


class RunTable:
    """The scored cells of a table with the views of `create_views`, which it takes the rows of, and the connection.

    Its table ``runs`` has a row a run: ``cell``, which tells the runs apart in the order of the file, ``row`` of the
    file, ``prompt`` and ``model``, their places among the sorted ids and names, and what is recorded of the run.

    Attributes
    ----------
    connection : closes with the last of this and its relations.
    """

    def __init__(self, table: TableFile) -> None:
        self.connection = table.connection
        self._columns = ", ".join((*OUTCOME[2:], *(name for name in OPTIONAL if name in table.types)))
        self.connection.execute(_TABLES.format(columns=self._columns))
        finalize(self, table.stack.pop_all().close)

    def __len__(self) -> int:
        (number,) = self.connection.execute("select count(*) from runs").fetchall()[0]
        return int(number)

    def overlap_notes(self) -> list[str]:
        """What is said where hardly a prompt has two models, or ids are nearly the same or read as nothing."""
        prompts, shared = self.connection.execute(
            "select count(*), count(*) filter (first < last) "
            "from (select min(model) as first, max(model) as last from runs group by prompt)"
        ).fetchall()[0]
        notes = []
        if shared < _LEAST_SHARED * prompts:
            few = f"{shared:,} of {prompts:,} prompts have" if shared else "No prompt has"
            notes.append(f"{few} an outcome of two models, so nothing compares them: do the ids of the prompts agree?")
        pairs = self.connection.execute(
            "select min(prompt_id), max(prompt_id) from prompts "  # noqa: S608  fixed text
            f"group by {_PLAIN_ID} having count(*) > 1 order by all limit {_PAIRS + 1}"
        ).fetchall()
        alike = names_listed([f"{first!r} and {last!r}" for first, last in pairs[:_PAIRS]])
        more = " and others" if len(pairs) > _PAIRS else ""
        for table, column in (("prompts", "prompt_id"), ("models", "name")):
            query = f"select {column} from {table} where {is_nothing(column)} order by 1"  # noqa: S608  fixed names
            if names := [repr(name) for (name,) in self.connection.execute(query).fetchall()]:
                notes.append(
                    f"Names of {table} that tools write for nothing are taken as names: {names_listed(names, 5)}."
                )
            query = (
                f"select {column} from {table} where lower(trim({column})) in ({', '.join(map(literal, _SUMMARIES))}) "  # noqa: S608
                f"or regexp_full_match({column}, '\\d{{4}}-\\d\\d-\\d\\d([T ]00:00:00)?') order by 1"
            )
            if names := [repr(name) for (name,) in self.connection.execute(query).fetchall()]:
                notes.append(
                    f"Names of {table} that read like a total, a mean or a date count like others: "
                    f"{names_listed(names, 5)}. Leave sums out; a spreadsheet makes a date of an id like 3-4."
                )
        return notes + ([f"Different prompts, though their ids are nearly the same: {alike}{more}."] if pairs else [])

    def value_notes(self) -> list[str]:
        """What is said of numbers that can hardly be meant, and of names with spaces at their ends."""
        there = self.connection.table("runs").columns
        notes = list[str]()
        for column, whole, says in _DOUBTS:
            if column not in there:
                continue
            query = f"select count(*), min(row) from runs where {column} > {whole}"  # noqa: S608  fixed names
            count, row = self.connection.execute(query).fetchall()[0]
            if count:
                values = counted(count, f"value of {column} is", f"values of {column} are")
                notes.append(f"{values} more than {says} (first in row {row:,}).")
        for table, column in (("prompts", "prompt_id"), ("models", "name")):
            query = f"select count(*), min({column}) from {table} where trim({column}, e' \t\n\r') <> {column}"  # noqa: S608
            count, name = self.connection.execute(query).fetchall()[0]
            if count:
                names = counted(count, f"name of {table} has", f"names of {table} have")
                notes.append(f"{names} spaces at an end, which stay: {name!r}.")
        return notes

    def recorded(self, columns: Sequence[str]) -> dict[str, int]:
        """How many runs have a value, by column, of those columns that there are."""
        there = [name for name in columns if name in self.connection.table("runs").columns]
        counts = ", ".join(f"count({name})" for name in there)
        (values,) = self.connection.execute(f"select {counts} from runs").fetchall()  # noqa: S608  fixed names
        return dict(zip(there, values, strict=True))

    def of_model(self, place: int, columns: Collection[str]) -> dict[str, npt.NDArray[Any]]:
        """Columns of a model's runs and the ``cell`` of each, in the order of the file; NaN where none is recorded."""
        query = f"select cell, {', '.join(columns)} from runs where model = ? order by cell"  # noqa: S608  fixed names
        runs = self.connection.execute(query, [place]).fetchnumpy()
        return {
            name: np.ma.filled(values, np.nan) if values.dtype == np.float64 else np.asarray(values)
            for name, values in runs.items()
        }

    def set_aside(self, cells: npt.NDArray[np.int64], columns: Mapping[str, npt.NDArray[np.float64]]) -> None:
        """Keep other numbers of some runs until `take_in`, always of the same columns; NaN is no number."""
        kinds = ", ".join(f"{name} double" for name in columns)
        self.connection.execute(f"create table if not exists changes (cell bigint, {kinds})")
        new = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
        self.connection.register("incoming", pa.table({"cell": cells, **new}))
        self.connection.execute("insert into changes by name from incoming")
        self.connection.unregister("incoming")

    def take_in(self) -> None:
        """Put the numbers that were set aside in the place of those of their runs, all at once."""
        described = self.connection.execute("select column_name from duckdb_columns() where table_name = 'changes'")
        names = [name for (name,) in described.fetchall() if name != "cell"]
        if names:
            new = ", ".join(f"if(changes.cell is null, runs.{name}, changes.{name}) as {name}" for name in names)
            self.connection.execute(
                f"create table changed as select runs.* replace ({new}) from runs left join changes using (cell) "  # noqa: S608
                "order by runs.model, runs.cell"
            )
            self.connection.execute("drop table runs; drop table changes; alter table changed rename to runs")

    def relations(self) -> tuple[Relation, Relation]:
        """Prompts and outcomes of `carrot_core.benchmarks.Frames`."""
        runs = f"select prompt, model, {self._columns} from runs"  # noqa: S608  fixed names
        return Relation(self.connection, _PROMPTS, self._prompts), Relation(self.connection, runs, self._outcomes)

    def _prompts(self) -> pd.DataFrame:
        with self.connection.cursor() as cursor:
            return _strings(cursor.execute(_PROMPTS).df())

    def _outcomes(self) -> pd.DataFrame:
        """The outcomes in the order of the file; rows share the texts of their ids."""
        query = f"select prompt, model, {self._columns} from runs order by cell"  # noqa: S608  fixed names
        with self.connection.cursor() as cursor:
            frame = _strings(cursor.execute(query).df())
            for name, ids in (("prompt", "prompt_id"), ("model", "name")):
                texts = cursor.execute(f"select {ids} from {name}s order by {name}").fetchall()  # noqa: S608
                shared = np.array([text for (text,) in texts], dtype=object)
                frame[name] = pd.Series(shared[frame[name]], dtype=object)
        return frame.rename(columns={"prompt": "prompt_id"})


def _strings(frame: pd.DataFrame) -> pd.DataFrame:
    """Text columns as plain strings and None, whatever pandas' default text type is."""
    for name in frame.columns:
        if not is_numeric_dtype(frame[name]):
            values = frame[name].astype(object)
            frame[name] = values.where(values.notna(), None).astype(object)
    return frame


def split_notes(table: TableFile) -> list[str]:
    """What is said of words that are read as a split."""
    if "split" not in table.types:
        return []
    rows = table.connection.execute(
        f"select distinct split::varchar as word, {split_word('split::varchar')} as name from file "  # noqa: S608
        "where word <> name order by name, word"
    ).fetchall()
    listed = [f"{word!r} is {name}" for word, name in rows]
    return [f"Splits by other words: {names_listed(listed, _SHOWN)}."] if listed else []


def found_scores(table: TableFile) -> str:
    """What the scores are in the file, for a note about the rule that reads them; "" without a rule."""
    rule = table.numbers.score
    if rule is None:
        return ""
    if rule.words:
        right, wrong = table.connection.execute(
            "select count(*) filter (score = 1), count(*) filter (score = 0) from cells"
        ).fetchall()[0]
        return f"scores by the rule {rule.text}: {right:,} times {rule.words[0]}, {wrong:,} times {rule.words[1]}"
    number = "raw_score::double" if rule.is_expression else table.numbers.plain("rtrim(raw_score, '% ')")
    number = "score" if rule.text == FRACTION else number
    low, high = table.connection.execute(f"select min({number}), max({number}) from cells").fetchall()[0]  # noqa: S608
    return "" if low is None else f"scores by the rule {rule.text}, found from {low:g} to {high:g}"


def scale_notes(table: TableFile) -> list[str]:
    """What is said of models without a score above 1, of those without a %, where the rule has a higher end."""
    rule = table.numbers.score
    if rule is None or rule.low < 0 or rule.high <= 1:
        return []
    number = table.numbers.plain("raw_score")
    rows = table.connection.execute(
        f"select model, max({number}) as most from cells group by model having most > 0 order by model"  # noqa: S608
    ).fetchall()
    low = [repr(model) for model, most in rows if most <= 1]
    if not low:
        return []
    if len(low) == len(rows):
        return [f"No score is above 1: does the rule {rule.text} hold, or are they from 0 to 1 as they are?"]
    return [f"No score of {names_listed(low, 5)} is above 1, and others are: does the rule {rule.text} hold for all?"]


def unscored_notes(table: TableFile) -> list[str]:
    """A note on cells without a score."""
    (unscored,) = table.connection.execute("select count(*) from cells where score is null").fetchall()[0]
    what = "cell" if table.wide else "row"
    have = counted(unscored, f"{what} has", f"{what}s have")
    return [f"{have} no score: not observed."] if unscored else []


def split_word(text: str) -> str:
    """SQL that reads a split by its usual words, in any case, and leaves any other word as it is."""
    listed = {name: ", ".join(map(literal, (name, *words))) for name, words in _SPLITS.items()}
    cases = " ".join(f"when lower(trim({text})) in ({words}) then {literal(name)}" for name, words in listed.items())
    return f"case {cases} else {text} end"


def with_ids(table: TableFile) -> TableFile:
    """The table with texts as ids of prompts where no column seems to have ids, and a ``sample`` for `with_runs`."""
    if "prompt_id" in table.types or "prompt" not in table.types or hint("prompt_id", table.named, table.paths):
        return table
    own, text = table.column_of("prompt", None), as_text("prompt", table.types["prompt"])
    missing = {"prompt_id", "sample"} - table.types.keys()
    others = [f"{name}::varchar" for name in ("task", "benchmark") if name in table.types]
    whole = f"concat_ws(chr(31), {', '.join([text, *others])})"
    added = (f"alter table file add column {name} varchar; " for name in missing)
    table.connection.execute(
        f"{''.join(added)}update file set prompt_id = left(md5({whole}), 16) where trim({text}) <> ''"  # noqa: S608
    )
    note = f"No column is a prompt_id: equal texts of {own!r}{' of one task' * bool(others)} are one prompt."
    types, columns = table.types | dict.fromkeys(missing, "VARCHAR"), {**table.columns, "prompt_id": own}
    return replace(table, types=types, columns=columns, notes=(*table.notes, note))


def with_runs(table: TableFile) -> TableFile:
    """The table of `with_ids` with the runs of a prompt and model numbered, in the order of the file."""
    if not {"prompt_id", "sample"} <= table.types.keys():
        return table
    run = f"row_number() over (partition by prompt_id{', model' * ('model' in table.types)} order by {quote(ROW)})"
    runs = f"select {quote(ROW)} as place, {run} as run from file where sample is null"  # noqa: S608
    table.connection.execute(f"update file set sample = run from ({runs}) where place = {quote(ROW)}")  # noqa: S608
    (again,) = table.connection.execute("select count(*) from file where sample <> '1'").fetchall()[0]
    rows = counted(again, "row repeats", "rows repeat")
    note = [f"{rows} a prompt{' and model' * ('model' in table.types)}: each is a sample."] if again else []
    return replace(table, notes=(*table.notes, *note))


def with_call_costs(table: TableFile, prices: Mapping[str, Price]) -> TableFile:
    """The table in which a call without dollars costs what is given for each call of its model.

    Raises
    ------
    NotFoundError
        A cost is given for a model that the table does not have.
    DataError
        A cost that is no positive number.
    """
    usd_per_call = prices.usd_per_call if isinstance(prices, PriceList) else {}
    if not usd_per_call:
        return table
    if wrong := [model for model, usd in usd_per_call.items() if not 0 < usd < float("inf")]:
        raise DataError(table.source, f"the cost of a call of {wrong[0]!r} must be a positive number; --free is for 0")
    models = [model for (model,) in table.connection.execute("select distinct model from cells").fetchall()]
    positions(list(usd_per_call), models)
    table.connection.execute("alter view cells rename to recorded; create table call_costs (name varchar, usd double)")
    table.connection.executemany("insert into call_costs values (?, ?)", list(usd_per_call.items()))
    table.connection.execute(
        "create view cells as select recorded.* replace (coalesce(cost_usd, usd) as cost_usd) "
        "from recorded left join call_costs on name = model"
    )
    texts = [f"{model!r} {money_tick(usd)}" for model, usd in usd_per_call.items()]
    note = f"Without dollars in the file, a call costs as given: {names_listed(texts, 10)}."
    return replace(table, types={**table.types, "cost_usd": "DOUBLE"}, notes=(*table.notes, note))
