"""The readers by format, and the choice of a file's reader: by the format asked for, else by its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.long_table import read_long_table
from carrot_core.benchmarks.open_llm import read_open_llm
from carrot_core.benchmarks.pickles import holds_dictionary
from carrot_core.benchmarks.routerbench import read_routerbench
from carrot_core.benchmarks.table_file import column_names
from carrot_core.benchmarks.wide_table import is_wide, read_wide_table
from carrot_core.errors import DataError
from carrot_core.prices import Price


class Reader(Protocol):
    """A reader of one format; takes the file, a predicate over its columns or None, and prices by model or None."""

    def __call__(self, path: Path, *, where: str | None, prices: Mapping[str, Price] | None) -> Frames:
        """Read the file, or raise a `DataError`."""


READERS: dict[str, Reader] = {
    "long": read_long_table,
    "wide": read_wide_table,
    "routerbench": read_routerbench,
    "open-llm": read_open_llm,
}
PICKLES = (".pkl", ".pickle")
# Tables people bring, in which a column may have another name.
MAPPABLE = {"long": read_long_table, "wide": read_wide_table}


def reader_for(path: Path) -> str:
    """Name of the format a file most likely has."""
    if path.suffix.lower() in PICKLES:
        return "open-llm" if holds_dictionary(path) else "routerbench"
    return "wide" if is_wide(column_names(path)) else "long"


def read_any(
    path: Path,
    *,
    where: str | None = None,
    prices: Mapping[str, Price] | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    drop_chinese: bool = False,
) -> Frames:
    """Read a file of any known format.

    Parameters
    ----------
    path : the file.
    where, prices : as for `read_long_table`; a format that cannot use one says so.
    format : a name of `READERS`; by default the one `reader_for` finds.
    columns : the file's own name of a recognised column, by the recognised name; for the formats `MAPPABLE`.
    drop_chinese : leave out RouterBench's Chinese tasks, as CARROT's authors do.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        An unknown format, or a file that format cannot read.
    """
    chosen = format or reader_for(path)
    if chosen not in READERS:
        raise DataError(path.name, f"there is no format {chosen!r}: use one of {', '.join(READERS)}")
    if drop_chinese:
        if chosen != "routerbench":
            raise DataError(path.name, f"only RouterBench has Chinese tasks to leave out, and this is read as {chosen}")
        return read_routerbench(path, keep_chinese=False, where=where, prices=prices)
    if columns:
        if chosen not in MAPPABLE:
            raise DataError(path.name, f"the columns of the format {chosen!r} are fixed: none can be mapped")
        return MAPPABLE[chosen](path, where=where, prices=prices, columns=columns)
    return READERS[chosen](path, where=where, prices=prices)
