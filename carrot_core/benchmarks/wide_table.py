"""Reader of the wide table: one row a prompt, one column of scores a model; same checks as the long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from carrot_core import limits
from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.columns import quote
from carrot_core.benchmarks.long_table import check_mapping, frames_of, refusing
from carrot_core.benchmarks.parts import Paths, as_paths
from carrot_core.benchmarks.preview import column_names
from carrot_core.benchmarks.reading import FOUND, Reading
from carrot_core.benchmarks.table_file import PER_MODEL, ROW, TableFile, open_table
from carrot_core.benchmarks.value_checks import NUMBERS, OF_RUN, TEXTS, size_problems, typed_as, with_numbers
from carrot_core.errors import DataError, Problem
from carrot_core.prices import Price

OF_PROMPT = ("prompt_id", *TEXTS, *OF_RUN)  # columns that are the row's, not a model's


def read_wide_table(
    paths: Paths,
    *,
    where: str | None = None,
    prices: Mapping[str, Price] | None = None,
    columns: Mapping[str, str] | None = None,
    reading: Reading = FOUND,
) -> Frames:
    """Read a table with one row a prompt, in one file or several.

    Required: ``prompt_id``, and for each model a column of its name with the scores (0 to 1) and at least
    one of ``<model>|cost_usd``, ``<model>|output_tokens`` and ``<model>|input_tokens`` beside it: that is
    how a model is told from any other column. There may be ``<model>|cached_input_tokens``,
    ``<model>|reasoning_tokens`` and ``<model>|latency_s``, too. Recognised: ``prompt``, ``task``, ``benchmark``,
    ``split``, ``sample`` and ``time``; with several samples a prompt has a row for each.
    An empty cell is not observed.

    Parameters, result and errors are those of `read_long_table`; a problem names row and column of the file.
    """
    check_mapping(paths, columns or {}, OF_PROMPT)
    headers = dict.fromkeys(name for path in as_paths(paths) for name in column_names(path, reading))
    names = (*OF_PROMPT, *_numbers(models_of(list(headers))))
    with open_table(paths, names, True, columns, reading=reading) as table, refusing(paths):
        if not reading.own_split:
            table.types.pop("split", None)
        models = models_of(table.types)
        table = with_numbers(table, _numbers(models), reading)
        faults = [*_alike(table), *_absent(table, models)]
        if faults:
            raise DataError(table.source, [table.located(fault) for fault in faults])
        if where:
            _create_choosable(table, models)
            table.keep(where, "choosable")
        long = _unfold(table, models)
        return frames_of(long, paths, where, prices or {}, _left_out(table, models))


def is_wide(names: Sequence[str]) -> bool:
    """Whether the columns are those of a wide table: some belong to a model, and none is a long table's."""
    return bool(models_of(names)) and not {"model", "score"} <= set(names)


def models_of(names: Mapping[str, str] | Sequence[str]) -> list[str]:
    """Models of a wide table by the columns that belong to one, in the order of the file."""
    parts = (name.rpartition("|") for name in names)
    return list(dict.fromkeys(model for model, bar, what in parts if bar and model and what in PER_MODEL))


def _numbers(models: Sequence[str]) -> list[str]:
    """The columns with a model's numbers."""
    return [column for model in models for column in _columns(model).values()]


def _columns(model: str) -> dict[str, str]:
    """The columns of a model by what they hold."""
    return {"score": model, **{what: f"{model}|{what}" for what in PER_MODEL}}


def _create_choosable(table: TableFile, models: Sequence[str]) -> None:
    """Create the view ``choosable``: the file with its numbers as numbers, for a predicate."""
    typed = ", ".join(
        f"{typed_as(what, quote(column), table.types[column], table.numbers)} as {quote(column)}"
        for model in models
        for what, column in _columns(model).items()
        if column in table.types
    )
    table.connection.execute(f"create view choosable as select * replace ({typed}) from file")  # noqa: S608


def _alike(table: TableFile) -> list[Problem]:
    """The database does not tell upper from lower case in a column's name; a model's name is compared exactly."""
    first: dict[str, str] = {}
    for name in filter(None, table.named):
        same = first.setdefault(name.casefold(), name)
        if same is not name:
            remedy = "Rename one, or bring a long table, where names are compared to the letter."
            return [Problem(f"is the name of two columns (the other one is {same!r})", remedy, column=name)]
    renamed = [name for name in table.types if name not in table.named and _renamed(name) in first]
    return [Problem("stands beside a column that differs in case only", "Rename one.", column=name) for name in renamed]


def _renamed(name: str) -> str:
    """The name of a column before DuckDB appended a number to make it unique."""
    stem, _, number = name.rpartition("_")
    return stem.casefold() if number.isdecimal() else ""


def _absent(table: TableFile, models: list[str]) -> list[Problem]:
    problems = []
    if "prompt_id" not in table.types:
        problems.append(
            Problem("the column is missing", "Every row of a wide table is one prompt.", column="prompt_id")
        )
    if not models:
        remedy = "Each model has its scores in a column of its name, and a column <model>|cost_usd beside it."
        problems.append(Problem("no column belongs to a model", remedy))
    scoreless = [model for model in models if model not in table.types]
    for model in scoreless[:1]:
        several = f" (first of {len(scoreless)} such models)" if len(scoreless) > 1 else ""
        problems.append(Problem(f"the column with the scores is missing{several}", "Add it.", column=model))
    return problems


def _left_out(table: TableFile, models: list[str]) -> list[str]:
    columns = {*OF_PROMPT, *_numbers(models)}
    others = [table.columns.get(name, name) for name in table.types if name not in columns]
    if not others:
        return []
    return [f"Columns that are not kept (a model has a column <model>|cost_usd beside it): {', '.join(others)}."]


def _unfold(table: TableFile, models: list[str]) -> TableFile:
    """Create the views for the checks of the long table: one row a cell, with the row of the wide file."""
    (rows,) = table.connection.execute("select count(*) from file").fetchall()[0]
    if faults := size_problems(rows, len(models)):
        raise DataError(table.source, faults)
    numbers = ", ".join(f"{name} double" for name in NUMBERS) + "".join(f", raw_{name} varchar" for name in NUMBERS)
    table.connection.execute(f"create table numbers (cell bigint, row bigint, model varchar, {numbers})")
    for place, model in enumerate(models):
        _insert(table, place, model)
    of_prompt = ", ".join(f"{typed_as(name, name, table.types.get(name))} as {name}" for name in OF_PROMPT)
    of_prompt += f", {'time' if 'time' in table.types else 'null'}::varchar as raw_time"
    prompts = f"select {quote(ROW)} as row, {of_prompt} from file"  # noqa: S608
    table.connection.execute(f"create view cells as select * from numbers join ({prompts}) using (row)")  # noqa: S608
    present = {what for model in models for what in PER_MODEL if f"{model}|{what}" in table.types}
    long = dict.fromkeys(("prompt_id", "model", "score", *sorted(present)), "VARCHAR")
    return replace(table, wide=True, types=long | {name: "VARCHAR" for name in OF_PROMPT if name in table.types})


def _insert(table: TableFile, place: int, model: str) -> None:
    columns = _columns(model)
    typed = [typed_as(name, quote(column), table.types.get(column), table.numbers) for name, column in columns.items()]
    raw = [f"{quote(column)}::varchar" if column in table.types else "null" for column in columns.values()]
    names = ", ".join([*columns, *(f"raw_{name}" for name in columns)])
    table.connection.execute(
        f"insert into numbers (cell, row, model, {names}) select {quote(ROW)} * {limits.COLUMNS} + {place}, "  # noqa: S608
        f"{quote(ROW)}, $model, {', '.join([*typed, *raw])} from file",
        {"model": model},
    )
