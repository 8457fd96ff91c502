"""The readers by format, and the choice of a file's reader: by the format asked for, else by its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.long_table import read_long_table
from carrot_core.benchmarks.open_llm import read_open_llm
from carrot_core.benchmarks.parts import Paths, as_paths, files_of, source_of
from carrot_core.benchmarks.pickles import holds_dictionary
from carrot_core.benchmarks.reading import FOUND, Reading
from carrot_core.benchmarks.routerbench import read_routerbench
from carrot_core.benchmarks.table_file import column_names
from carrot_core.benchmarks.wide_table import is_wide, read_wide_table
from carrot_core.errors import DataError
from carrot_core.prices import Price


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
    "routerbench": ("RouterBench's pickle", "carrot data import routerbench_0shot.pkl --name routerbench"),
    "open-llm": ("the Open LLM Leaderboard's matrix", "carrot data import leaderboard.pickle --name open-llm"),
}
PICKLES = (".pkl", ".pickle")
# Tables people bring, in which a column may have another name.
MAPPABLE = {"long": read_long_table, "wide": read_wide_table}


def reader_for(path: Path, reading: Reading = FOUND) -> str:
    """Name of the format a file most likely has."""
    if path.suffix.lower() in PICKLES:
        return "open-llm" if holds_dictionary(path) else "routerbench"
    return "wide" if is_wide(column_names(path, reading)) else "long"


def read_any(
    path: Paths,
    *,
    where: str | None = None,
    prices: Mapping[str, Price] | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    drop_chinese: bool = False,
    reading: Reading = FOUND,
) -> Frames:
    """Read a file of any known format, or several tables as one.

    Parameters
    ----------
    path : the file, or several, a folder or a pattern of tables.
    where, prices : as for `read_long_table`; a format that cannot use one says so.
    format : a name of `READERS`; by default the one `reader_for` finds.
    columns : the file's own name of a recognised column, by the recognised name; for the formats `MAPPABLE`.
    drop_chinese : leave out RouterBench's Chinese tasks, as CARROT's authors do.
    reading : how tables are written and what their scores mean, as far as it is stated.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        An unknown format, or a file that format cannot read.
    """
    files = files_of(as_paths(path))
    path, chosen = files[0], format or reader_for(files[0], reading)
    if chosen not in READERS:
        raise DataError(path.name, f"there is no format {chosen!r}: use one of {', '.join(READERS)}")
    if drop_chinese:
        if chosen != "routerbench":
            raise DataError(path.name, f"only RouterBench has Chinese tasks to leave out, and this is read as {chosen}")
        return read_routerbench(path, keep_chinese=False, where=where, prices=prices)
    if chosen in MAPPABLE:
        tables = path if len(files) == 1 else files
        return MAPPABLE[chosen](tables, where=where, prices=prices, columns=columns, reading=reading)
    if len(files) > 1:
        raise DataError(source_of(files), f"the format {chosen!r} is one file")
    if columns or reading != FOUND:
        stated = "the columns of" if columns else "how to read"
        raise DataError(path.name, f"{stated} the format {chosen!r} cannot be stated: it is fixed")
    return READERS[chosen](path, where=where, prices=prices)
