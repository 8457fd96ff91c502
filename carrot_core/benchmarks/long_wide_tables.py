"""Readers of the bring-your-own formats: the long table, one row a prompt and model, and the wide one, one a prompt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from carrot_core import limits
from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.columns import NEEDED, guess_columns, quote
from carrot_core.benchmarks.costs import (
    cost_problems,
    fill_costs,
    pricing_of,
    scored_models,
    unpriced,
    with_list_prices,
    without_zeros,
)
from carrot_core.benchmarks.formats.head import column_names, paths_in, preview
from carrot_core.benchmarks.formats.rows import Rows
from carrot_core.benchmarks.model_facts_arms import FACTS, facts_in, with_facts
from carrot_core.benchmarks.parts import Paths, as_paths, refusing, source_of
from carrot_core.benchmarks.reading import FOUND, Reading
from carrot_core.benchmarks.run_table import (
    RunTable,
    found_scores,
    scale_notes,
    split_notes,
    unscored_notes,
    with_call_costs,
    with_ids,
    with_runs,
)
from carrot_core.benchmarks.table_file import PER_MODEL, ROW, TableFile, open_rows, open_table, told_apart
from carrot_core.benchmarks.value_checks import (
    NUMBERS,
    OF_RUN,
    RECOGNISED,
    TEXTS,
    create_views,
    problems,
    size_problems,
    typed_as,
    with_numbers,
)
from carrot_core.errors import DataError, PricesNeededError, Problem, mapping_options
from carrot_core.paths import files_sha256
from carrot_core.prices import Price
from carrot_core.prices.files import cost_columns
from carrot_core.text import alike_names


def read_long_table(
    paths: Paths,
    *,
    where: str | None = None,
    prices: Mapping[str, Price] | None = None,
    columns: Mapping[str, str] | None = None,
    reading: Reading = FOUND,
) -> Frames:
    """Read a table with one row a prompt and model, in one file or several: Parquet, CSV, JSON and more.

    Required columns: ``prompt_id``, ``model``, ``score`` (0 to 1). Recognised: ``prompt`` (text), ``task``,
    ``benchmark``, ``input_tokens``, ``output_tokens``, ``cost_usd`` (US dollars of the call), ``split``
    (train, validation or test), ``sample`` (tells several runs of one prompt and model apart),
    ``cached_input_tokens`` (of the input tokens), ``reasoning_tokens`` (of the output tokens), ``latency_s``,
    ``time`` (ISO 8601, UTC where no zone is stated, or a number since 1970), and facts of the model
    (`carrot_core.benchmarks.model_facts_arms.ModelFacts`). Others are only there for the predicate. Ids and names are
    compared exactly. A row without a score is not observed and is left out.

    Parameters
    ----------
    path : the file.
    where : SQL predicate over the file's columns that chooses rows, e.g. ``kind = 'chat'``.
    prices : price by model name, for cells without ``cost_usd``; input tokens are then needed, and
        without any output tokens only the input is charged, which a warning says.
    columns : the file's own name of a recognised column, or the path into its objects, by the recognised name.
    reading : what is stated about the files; the rest is found.

    Returns
    -------
    Frames with prompts sorted by id, models by name, and outcomes in the order of the file.

    Raises
    ------
    NotFoundError
        No such file.
    PricesNeededError
        Nothing is wrong but that models have tokens and neither dollars nor a price.
    DataError
        The file cannot be used; ``problems`` has one entry for each kind of thing wrong, with the first
        row (1-based in the file, the header not counted), column, value and remedy.
    """
    check_mapping(paths, columns or {}, RECOGNISED)
    names, others = (*RECOGNISED, *FACTS), bool(where or reading.score)
    with open_table(paths, names, others, columns, reading=reading) as table, refusing(paths):
        if not table.types.keys() >= set(NEEDED):
            table = replace(table, paths=tuple(paths_in(preview(as_paths(paths)[0], 100, reading))))
        has_ids, table = "prompt_id" in table.types, told_apart(_prepared(with_ids(table), where, reading))
        table = table if has_ids else with_runs(table)
        unknown = _others(table, names)
        likely = {name: own for name, own in guess_columns(unknown).items() if name not in table.types}
        meant = f" If they are meant: {mapping_options(likely)}" if likely else ""
        warnings = [f"Columns that are not kept: {', '.join(unknown)}.{meant}"] if unknown else []
        facts = facts_in(table) if "model" in table.types else ({}, [])
        return with_facts(frames_of(table, paths, where, prices, warnings), *facts)


def read_rows(
    rows: Rows,
    paths: Sequence[Path],
    *,
    where: str | None = None,
    prices: Mapping[str, Price] | None = None,
    reading: Reading = FOUND,
) -> Frames:
    """Check the long rows that a reader of `formats` made of files, and put them into frames.

    Parameters
    ----------
    rows : what the reader found, and its notes.
    paths : the files.
    where, prices, reading : as for `read_long_table`.

    Raises
    ------
    PricesNeededError, DataError
        As `read_long_table`; a row is the place of a result in its file.
    """
    with open_rows(source_of(paths), rows.table, rows.starts, rows.places) as table, refusing(paths):
        table = _prepared(table, where, reading)
        return frames_of(table, paths, where, prices, rows.notes)


def _others(table: TableFile, names: Collection[str]) -> list[str]:
    """The file's columns that are none of some, by the file's own names; those that are mapped to one are left out."""
    known, mapped = set(names), [table.columns[name] for name in names if name in table.columns]
    others = [table.columns.get(name, name) for name in table.types if name not in known]
    others = [own for own in others if not any(f"{path}.".startswith(f"{own}.") for path in mapped)]
    nameless = {f"column{place}" for place, name in enumerate(table.named) if not name}
    return [f"{own} (it has no name)" if own in nameless else own for own in others]


def _prepared(table: TableFile, where: str | None, reading: Reading) -> TableFile:
    """A long table with its views and the rows that a predicate keeps."""
    table = with_numbers(table, NUMBERS, reading)
    if not reading.own_split:
        table.types.pop("split", None)
    create_views(table)
    if where:
        table.keep(where, "choosable")
    return table


def check_mapping(paths: Paths, columns: Mapping[str, str], names: Collection[str]) -> None:
    """Raise a `DataError` if a column is mapped to a name that is not recognised."""
    wrong = [name for name in columns if name not in names]
    if wrong:
        raise DataError(source_of(paths), f"there is no column {wrong[0]!r} to map to; there are {', '.join(names)}")


def frames_of(
    table: TableFile, paths: Paths, where: str | None, prices: Mapping[str, Price] | None, warnings: Sequence[str]
) -> Frames:
    """Check the cells of a table and make frames of them; needs the views of `create_views`, and empties the table."""
    prices = {} if prices is None else prices
    table = with_call_costs(table, prices)
    faults, models = problems(table), scored_models(table)
    pricing = with_list_prices(table, pricing_of(models, prices), prices)
    costs = [
        cost for cost in cost_problems(table, pricing) if cost.column not in {fault.column for fault in faults}
    ]  # unread is not missing
    located = [table.located(problem) for problem in [*faults, *costs]]
    if costs and not faults and (unpriced_models := unpriced(table, pricing)):
        raise PricesNeededError(table.source, located, unpriced_models)
    if located:
        raise DataError(table.source, located)
    scores, unscored = found_scores(table), unscored_notes(table)
    of_cells = [*scale_notes(table), *split_notes(table)]
    runs = RunTable(table)
    of_zeros, zero_models = without_zeros(runs, models, pricing.free)
    models_and_prices, of_costs = fill_costs(runs, models, pricing)
    note = "; ".join(part for part in (f"rows where {where}" if where else "", scores) if part)
    notes = [*table.notes, *of_cells, *([f"{scores[0].upper()}{scores[1:]}."] if scores else [])]
    return Frames.of_relations(
        *runs.relations(),
        models=models_and_prices,
        provenance=Provenance(table.source, files_sha256(as_paths(paths)), rows=len(runs), note=note),
        warnings=(
            *notes,
            *warnings,
            *alike_names(models),
            *runs.overlap_notes(),
            *runs.value_notes(),
            *unscored,
            *of_zeros,
            *of_costs,
        ),
        zero_models=zero_models,
    )


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

    Parameters, result and errors are those of `read_long_table`, and a column of a model may be mapped as
    ``<model>|cost_usd``; a problem names row and column of the file.
    """
    of_models = [name for name in columns or {} if models_of([name])] + cost_columns(prices)
    check_mapping(paths, columns or {}, [*OF_PROMPT, *of_models, *models_of(of_models)])
    headers = dict.fromkeys([name for path in as_paths(paths) for name in column_names(path, reading)] + of_models)
    scores = {model: f"{model}|score" for model in models_of(list(headers)) if model not in headers}
    columns = {model: own for model, own in scores.items() if own in headers} | dict(columns or {})
    names = (*OF_PROMPT, *_numbers(models_of(list(headers))))
    with open_table(paths, names, True, columns, reading=reading) as table, refusing(paths):
        if not reading.own_split:
            table.types.pop("split", None)
        has_ids, table = "prompt_id" in table.types, with_ids(table)
        models = models_of([*table.types, *cost_columns(prices)])
        table = with_numbers(table, _numbers(models), reading)
        faults = [*_alike(table), *_absent(table, models)]
        if faults:
            raise DataError(table.source, [table.located(fault) for fault in faults])
        if where:
            _create_choosable(table, models)
            table.keep(where, "choosable")
        long = _unfold(table if has_ids else with_runs(table), models)
        return frames_of(long, paths, where, prices, _left_out(table, models))


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
        remedy = "Every row of a wide table is one prompt."
        problems.append(Problem("the column is missing", remedy, column="prompt_id"))
    if not models:
        remedy = "Each model has its scores in a column of its name, and a column <model>|cost_usd beside it."
        problems.append(Problem("no column belongs to a model", remedy))
    scoreless = [model for model in models if model not in table.types]
    for model in scoreless[:1]:
        several = f" (first of {len(scoreless)} such models)" if len(scoreless) > 1 else ""
        problems.append(Problem(f"the column with the scores is missing{several}", "Add it.", column=model))
    return problems


def _left_out(table: TableFile, models: list[str]) -> list[str]:
    others = ", ".join(_others(table, [*OF_PROMPT, *_numbers(models)]))
    note = f"Columns that are not kept (a model has a column <model>|cost_usd beside it): {others}."
    return [note] if others else []


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
