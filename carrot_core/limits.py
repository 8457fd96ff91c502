"""Limits of files and requests: every number of bytes, rows, columns, levels and seconds, with its reason.

Files and requests come from strangers; code that reads one uses a limit from here. Each is set anew by the variable
``CARROT_LIMIT_`` and its name, or under its name in the TOML file that `CARROT_LIMITS` names; the variable wins.
docs/hosting.md has the table. ``.streamlit/config.toml`` cannot import it: a test compares its upload size with
`UPLOAD_MB`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carrot_core.errors import CarrotError

# Tables of results and prompts.
PUBLIC_UPLOAD_MB = 1  # on a public dashboard, which takes scenarios and no tables
UPLOAD_MB = 500  # a browser's upload stays in the server's memory until it is read; the command line reads from disk
SESSION_BYTES = 1 << 30  # of the uploads that a session has in the server's memory at once: two of the largest
SESSIONS_BYTES = 2 << 30  # of those of all sessions
SESSION_JOBS_A_MINUTE = 60  # files that a session has read; all at once, then one a second
UNPACKED_BYTES = 2 << 30  # four times the largest upload; tables unpack to 3 to 10 times their size, bombs to 1,000
UNPACKED_RATIO = 200  # of a packed file; text packs to a tenth or a fiftieth, a bomb to a thousandth
UNPACKED_FREE_BYTES = 32 << 20  # to which any packed file may unpack, whatever its ratio
COLUMNS = 2_000  # 500 models of a wide table with four columns each; with more, rows and columns are probably swapped
ROWS = 100_000_000  # a Parquet file of a few kilobytes may hold billions of equal rows
CELLS = 100_000_000  # prompts x models: some arrays of 0.8 GB each
ROW_BYTES = 32 << 20  # of a row of text; the longest prompts have some megabytes
SHEET_BYTES = 512 << 20  # of a workbook, unpacked
SHEET_CELLS = 10_000_000  # of a sheet; a spreadsheet has at most 17 billion, most of them empty
ZIP_FILES = 2_000  # in one zip, or in one import
HEADER_BYTES = 1 << 20  # 2,000 columns with names of 500 letters
TABLE_MEMORY = "1GiB"  # of DuckDB with a table or a benchmark; more goes to the disk. A CSV may not load below 512MiB
TABLE_SPILL = "16GiB"  # on that disk
STORE_MEMORY = "1GiB"  # as `TABLE_MEMORY`, of the storing of a benchmark, beside the table it is read from
PROMPTS_MEMORY = "512MiB"  # as `TABLE_MEMORY`, for a file of prompts, beside a router at work

# Files of evaluation tools and gateways: JSON, and zips of it.
HEAD_BYTES = 64 << 10  # by which the format is told
JSON_BYTES = 256 << 20  # of one value that is held; in memory it takes some ten times as much. More is read in a stream
JSON_MARKS = 32_000_000  # brackets and commas of one value: each may take a hundred bytes
TABLE_CELL_CHARACTERS = 16 << 20  # of one cell in the table of a gateway: a whole conversation
ZIP_ENTRIES = 200_000  # a log has one for each sample
ZIP_DIRECTORY_BYTES = 32 << 20  # of their list
FOLDER_FILES = 10_000  # in a folder of runs

# Logs of calls.
LOG_CALLS = 2_000_000  # a sample of this size is as good as all
LOG_MODELS = 1_000  # more names are another column
LOG_TEXTS = 2_000  # distinct prompts embedded to tell how many are unlike the training data; a minute
LOG_TEXT_CHARACTERS = 20_000  # of a prompt; encoders read less

PRICE_BYTES = 64 << 20  # of a price file; LiteLLM's map of all models has two megabytes

# Files of strangers, read in a process of their own. A small file has a small budget: a bomb is small.
READ_MEMORY_BYTES = 384 << 20  # of a process that reads an empty file; a third is Python and its libraries
READ_MEMORY_RATIO = 16  # bytes more for each byte of file: packed, then as text, as columns and as a table
READ_MOST_MEMORY_BYTES = 4 << 30
READ_DISK_BYTES = 192 << 20  # of its temporary folder
READ_DISK_RATIO = 20  # bytes more for each byte of file: unpacked, written again, spilled, and stored
READ_MOST_DISK_BYTES = 16 << 30
READ_SECONDS = 30.0  # on a busy machine the process starts in five
READ_SECONDS_A_MB = 1.0
READ_MOST_SECONDS = 600.0
READ_AT_ONCE = 2  # files of all sessions together; the next waits as long as it may take itself

# Pickles.
PICKLE_BYTES = 1 << 30  # the published files are below 0.3 GiB
PICKLE_INTEGER_BITS = 128  # a longer integer is no id and no figure, and takes long to print
PICKLE_RATIO = 4  # bytes of results for a byte of file; one text may stand in it a million times
PICKLE_LEVELS = 8  # of dictionaries in dictionaries; the published files have four

# Operating points and scenarios.
POINT_BYTES = 4 << 20  # a point of 1,000 models has half a megabyte
POINT_FILE_NOTE = 10_000  # characters of the note in a file
POINTS = 200  # on a shelf; each is read and listed at every visit
POINT_NAME, POINT_NOTE = 80, 2_000  # characters; of a point kept on the shelf
YAML_BYTES = 256 << 10  # read in pure Python, some 100 KiB a second
YAML_LEVELS = 20  # a point has three
SCENARIO_BYTES = 1 << 20  # 1,000 models at prices of their own have a tenth of it
ADDRESS_CHARACTERS = 1_500  # of a scenario in a page's address; browsers and mail programs cut addresses at about 2,000

# Prompts.
PROMPT_CHARACTERS = 1_000_000  # in a file; the longest context windows hold about as much
PASTED_CHARACTERS = 1_000_000  # of all prompts in the box of many
TYPED_CHARACTERS = 200_000  # of the prompt that is sent again as it is typed

# Requests to the API.
BODY_BYTES = 2 << 20  # 256 prompts of 8,000 characters
HEADER_SECONDS = 10.0  # in which a request's header must be there, the dashboard's too: half a one holds a connection
BODY_SECONDS = 30.0  # in which a body must be there, or the next part of an upload: a slow one holds a connection
REQUEST_PROMPTS = 256  # some ten seconds of embedding on two cores, if they are long
REQUEST_PROMPT_CHARACTERS = 100_000
REQUEST_EXPLAINED = 16  # each is embedded by itself
REQUEST_MODELS = 1_000
REQUEST_USD = 1e6  # of a price or a budget: more is a slip of units
REQUESTS_A_MINUTE = 300  # of a client of a public server; all at once, then five a second
WAITING = 512  # requests in the queue; later ones would wait for minutes

# People of a team's server, and what they remove.
LOGIN_HOURS = 24  # in which the claims of a login count; then it is asked for again
TRASH_DAYS = 30  # removed benchmarks and points can be restored
AUDIT_BYTES = 4 << 20  # of the audit log; a line has some 200
AUDIT_FILES = 5  # that and older ones: a hundred thousand changes
AUDIT_CHARACTERS = 300  # of a name in a line

# Heavy work of the dashboard's pages: fits, studies, batches, bootstraps, files.
WORK_AT_ONCE = 2  # of all sessions together; the next waits and is told how many come before
WORK_SLICE_SECONDS = 5.0  # in which a job runs before it lets others go first

# Queries of the SQL console, each in a process of its own.
SQL_CHARACTERS = 20_000
SQL_ROWS = 10_000  # as many as a table on a page scrolls through
SQL_SECONDS = 10.0
SQL_PROCESS_BYTES = 2 << 30  # address space of the process
SQL_MEMORY = "512MB"  # of DuckDB in it
SQL_VALUE_CHARACTERS = 10_000  # of one value of an answer
SQL_ANSWER_BYTES = 10_000_000
SQL_AT_ONCE = 2  # queries of all sessions together; the next waits as long as one may take

# Other machines.
HUB_SECONDS = 10.0  # of the hub's silence; without a network the error comes at once
HUB_CARD_SECONDS = 5.0  # likewise, for a model's revision, which an artefact can do without

# Options of the command line.
NUMBERS = 1_000  # in one range, such as 0-4


def unpacked_bytes(packed_bytes: int) -> int:
    """Bytes that a packed file may unpack to: by the ratio, more for small files, at most `UNPACKED_BYTES`."""
    return min(UNPACKED_BYTES, max(UNPACKED_FREE_BYTES, UNPACKED_RATIO * packed_bytes))


VARIABLE, PREFIX = "CARROT_LIMITS", "CARROT_LIMIT_"
_SIZE = re.compile(r"[1-9][0-9]{0,6}(MB|GB|TB|MiB|GiB|TiB)")
Value = int | float | str
DEFAULTS: dict[str, Value] = {
    name: value for name, value in globals().items() if name.isupper() and name not in ("VARIABLE", "PREFIX", "_SIZE")
}


class LimitError(CarrotError, SystemExit):
    """A limit has an invalid value. Limits are read on import: if uncaught, it ends the process with its text."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message


def set_limits(environment: Mapping[str, str]) -> dict[str, Value]:
    """The limits that an environment sets, by name.

    Raises
    ------
    LimitError
        The file cannot be read as TOML; a name is not that of a limit; a value has another type than the limit, or is
        not above 0. The message has the file or variable, the name and the value.
    """
    values = {}
    if file := environment.get(VARIABLE):
        for key, value in _read(file).items():
            name = _known(key.upper(), f"{file}: {key}")
            values[name] = _checked(name, value, f"{file}: {key} = {value!r}")
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            name = _known(variable.removeprefix(PREFIX), variable)
            values[name] = _checked(name, _number(text), f"{variable}={text}")
    return values


def _read(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LimitError(f"{VARIABLE}={file} cannot be read as TOML: {error}.") from error


def _known(name: str, place: str) -> str:
    if name not in DEFAULTS:
        raise LimitError(f"{place}: there is no limit of this name; docs/hosting.md lists them.")
    return name


def _number(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _checked(name: str, value: Any, place: str) -> Value:
    default = DEFAULTS[name]
    if isinstance(default, str):
        if isinstance(value, str) and _SIZE.fullmatch(value):
            return value
        raise LimitError(f"{place}: give a size with its unit, as in {default}.")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise LimitError(f"{place}: give a number above 0, as in {default}.")
    if isinstance(default, int) and not isinstance(value, int):
        raise LimitError(f"{place}: give a whole number, as in {default}.")
    return type(default)(value)


globals().update(set_limits(os.environ))
