"""The readers by format, and the choice of a file's reader: by the format asked for, else by its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import duckdb

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.columns import quote
from carrot_core.benchmarks.file_checks import lock_down, private_connection
from carrot_core.benchmarks.formats import FORMATS, Format, format_of_all, read_format
from carrot_core.benchmarks.formats.head import column_names, head_of
from carrot_core.benchmarks.formats.rows import Options, Rows
from carrot_core.benchmarks.long_wide_tables import is_wide, read_long_table, read_rows, read_wide_table
from carrot_core.benchmarks.open_llm import read_open_llm
from carrot_core.benchmarks.parts import Paths, all_files, as_paths, source_of, tables_of
from carrot_core.benchmarks.pickles import holds_dictionary
from carrot_core.benchmarks.reading import FOUND, Reading
from carrot_core.benchmarks.routerbench import is_routerbench, read_routerbench
from carrot_core.benchmarks.value_checks import RECOGNISED
from carrot_core.errors import DataError, Problem, sql_mistake
from carrot_core.prices import Price
from carrot_core.prices.files import cost_columns


class Reader(Protocol):
    """A reader of one format; takes the file, a predicate over its columns or None, and prices by model or None."""

    def __call__(self, path: Path, /, *, where: str | None, prices: Mapping[str, Price] | None) -> Frames:
        """Read the file, or raise a `DataError`."""


READERS: dict[str, Reader] = {
    "long": read_long_table,
    "wide": read_wide_table,
    "routerbench": read_routerbench,
    "open-llm": read_open_llm,
}
# What is read, by name: in words, and a command that imports one.
EXAMPLES = {
    "long": ("a row for each prompt and model", "carrot data import results.csv --name mine"),
    "wide": ("a row for each prompt, a column for each model", "carrot data import matrix.xlsx --name mine"),
    "long, a file a model": (
        "tables of one model each",
        "carrot data import runs/ --name mine --model-from file",
    ),
    "text": (
        "CSV, TSV, JSON lines, JSON; any separator, decimal sign and encoding; also .gz, .zst and .zip",
        "carrot data import export.csv --name mine --separator ';' --decimal , --encoding cp1252",
    ),
    "binary": ("Parquet, Arrow, Feather, XLSX", "carrot data import results.feather --name mine"),
    "objects": (
        "columns inside objects, scores on another scale",
        "carrot data import runs.jsonl --name mine --column input_tokens=usage.input_tokens --score 1..10",
    ),
    "routerbench": (
        "RouterBench's pickle, also packed, or its table as a CSV",
        "carrot data import routerbench_0shot.pkl --name routerbench",
    ),
    "open-llm": ("the Open LLM Leaderboard's matrix", "carrot data import leaderboard.pickle --name open-llm"),
} | {each.name: (each.title, each.example) for each in FORMATS.values()}
PICKLES = (".pkl", ".pickle")
# Tables people bring, in which a column may have another name.
MAPPABLE = {"long": read_long_table, "wide": read_wide_table}


def reader_for(path: Path, reading: Reading = FOUND, columns: Collection[str] = ()) -> str:
    """Name of the format a file most likely has, with columns that are mapped."""
    if (of_tool := format_of_all([path])) is not None:
        return of_tool.name
    head = head_of(path)
    if head.kind == "pickle" or path.suffix.lower() in PICKLES:
        return "open-llm" if holds_dictionary(path) else "routerbench"
    if is_routerbench(head):
        return "routerbench"
    return "wide" if is_wide([*column_names(path, reading), *columns]) else "long"


def read_any(
    path: Paths,
    *,
    where: str | None = None,
    prices: Mapping[str, Price] | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    drop_chinese: bool = False,
    reading: Reading = FOUND,
    scorer: str | None = None,
    estimate_tokens: bool = False,
) -> Frames:
    """Read a file of any known format, or several of one tool or several tables as one.

    Parameters
    ----------
    path : the file, or several, a folder or a pattern of them.
    where, prices : as for `read_long_table`; a format that cannot use one says so.
    format : a name of `READERS` or `FORMATS`; by default the one the files have.
    columns : the file's own name of a recognised column, by the recognised name; for the formats `MAPPABLE`.
    drop_chinese : leave out RouterBench's Chinese tasks, as CARROT's authors do.
    reading : how tables are written and what scores mean, as far as it is stated.
    scorer : which of several scorers, metrics or filters of a tool is the score.
    estimate_tokens : of a tool's texts, where it records none.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        An unknown format, or a file that format cannot read.
    """
    everything = all_files(as_paths(path))
    of_tool = format_of_all(everything) if format is None else FORMATS.get(format)
    files = tables_of(as_paths(path)) if of_tool is None else everything
    path = files[0]
    mapped = (*(columns or ()), *cost_columns(prices))
    chosen = of_tool.name if of_tool is not None else format or reader_for(path, reading, mapped)
    if chosen not in READERS and of_tool is None:
        raise DataError(path.name, f"there is no format {chosen!r}: use one of {', '.join((*READERS, *FORMATS))}")
    if drop_chinese and chosen != "routerbench":
        raise DataError(path.name, f"only RouterBench has Chinese tasks to leave out, and this is read as {chosen}")
    if columns and chosen not in MAPPABLE:
        raise DataError(path.name, f"the columns of the format {chosen!r} are fixed: none can be mapped")
    if of_tool is not None:
        check_evaluation(of_tool, source_of(files))
        rows = read_format(of_tool, files, Options(reading.model_from, scorer, estimate_tokens))
        if not cost_columns(prices):
            check_costs(rows, source_of(files))
        if format is None:
            rows = replace(rows, notes=(f"Read as {of_tool.title}; --format names another.", *rows.notes))
        return read_rows(rows, files, where=where, prices=prices, reading=reading)
    if scorer is not None or estimate_tokens:
        what = "has one score: there is no scorer to choose" if scorer else "is a table: its tokens are not estimated"
        raise DataError(path.name, f"the format {chosen!r} {what}")
    if drop_chinese:
        return read_routerbench(path, keep_chinese=False, where=where, prices=prices)
    if chosen in MAPPABLE:
        tables = path if len(files) == 1 else files
        return MAPPABLE[chosen](tables, where=where, prices=prices, columns=columns, reading=reading)
    if len(files) > 1:
        raise DataError(source_of(files), f"the format {chosen!r} is one file")
    if reading != FOUND:
        raise DataError(path.name, f"how to read the format {chosen!r} cannot be stated: it is fixed")
    return READERS[chosen](path, where=where, prices=prices)


def check_evaluation(of_tool: Format, source: str) -> None:
    """Raise a `DataError` of a log of calls, of which no benchmark can be made."""
    if of_tool.kind == "traffic":
        remedy = (
            "`carrot data import` keeps it as a log under --name, and `carrot point drift POINT NAME` or the page "
            "Operating points compares it with a point. If several models answered each prompt and its rows have "
            "scores, read it as a table: --format long with --column prompt=…, --column score=… and --column cost_usd=…"
        )
        what = f"is a log of calls ({of_tool.title}), not a table of scores, so it is no benchmark"
        raise DataError(source, [Problem(what, remedy)])


def check_costs(rows: Rows, source: str) -> None:
    """Raise a `DataError` of results without any token or dollar: no cost can be known."""
    if not {"input_tokens", "cost_usd"} & set(rows.table.column_names):
        remedy = (
            "--estimate-tokens takes one for 4 characters of prompt and answer; --prices makes dollars of them. "
            "Or --cost-per-call says what a call of each model costs on average."
        )
        raise DataError(source, [Problem("has no tokens and no dollars, so what a call cost is not known", remedy)])


def fault_of(where: str, names: Sequence[str]) -> str:
    """What is wrong with a predicate that is no SQL, or has a column that is not there."""
    columns = {name.casefold(): f"null::varchar as {quote(name)}" for name in (*names, *RECOGNISED)}
    with private_connection() as connection:
        lock_down(connection)
        try:
            connection.sql(f"select {', '.join(columns.values())}").filter(duckdb.SQLExpression(where))
        except (duckdb.Error, RuntimeError) as error:
            if re.search("Parser Error|Referenced column", str(error)):
                return str(sql_mistake(f"the predicate {where!r} cannot be used", str(error), where))
    return ""
