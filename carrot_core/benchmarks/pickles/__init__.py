"""Opening a pickle that somebody else wrote.

Python's own way of opening a pickle lets the file choose what is called. Here it is read into inert records
(`reader`), in a process of its own with a limit on memory and time, and what comes back is Arrow: a file
made to exhaust, hang or crash its reader takes down nothing but that process.
"""

from __future__ import annotations

import os
import pickletools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from carrot_core.benchmarks.pickles.reader import columns, leaves, load
from carrot_core.benchmarks.pickles.records import Array, RefusedError, refuse
from carrot_core.benchmarks.reading import packing_of
from carrot_core.errors import DataError, NotFoundError, Problem
from carrot_core.limits import PICKLE_BYTES, PICKLE_MEMORY_BYTES, PICKLE_RATIO, PICKLE_SECONDS

if TYPE_CHECKING:
    import pandas as pd

_SMALL = 64 << 20
# Not the package's __init__, which loads every router: starting would take twice as long.
_START = (
    "import sys, types; package = sys.modules['carrot_core'] = types.ModuleType('carrot_core'); "
    "package.__path__ = [sys.argv.pop(1)]; "
    "from carrot_core.benchmarks.pickles import in_child; in_child(*sys.argv[1:])"
)
_LEAVES = pa.schema(
    [
        ("path", pa.list_(pa.string())),
        ("shape", pa.list_(pa.int64())),
        ("numbers", pa.list_(pa.float64())),
        ("texts", pa.list_(pa.string())),
    ]
)
_CHUNK = 1 << 20
_REMEDY = "Only tables and arrays of results are opened. Ask where the file comes from before opening it otherwise."


@dataclass(frozen=True)
class Limits:
    """What reading one pickle may take.

    Attributes
    ----------
    file_bytes : largest file.
    memory_bytes : address space of the process that reads it (enforced on Linux).
    seconds : wall-clock and processor time.
    """

    file_bytes: int = PICKLE_BYTES
    memory_bytes: int = PICKLE_MEMORY_BYTES
    seconds: int = PICKLE_SECONDS


LIMITS = Limits()


def holds_dictionary(path: Path) -> bool:
    """Whether a pickle starts as a dictionary; else it is taken for a table."""
    try:
        with _unpacked(path) as file:
            beginning = file.read(32)
    except OSError:
        return False  # damaged: the reader says so
    try:
        first = next(op.name for op, _, _ in pickletools.genops(beginning) if op.name not in ("PROTO", "FRAME"))
    except ValueError:
        return False  # no pickle: the reader says so
    return first in ("EMPTY_DICT", "DICT")


def read_pickled_table(
    path: Path, accept: Callable[[str], bool] = lambda name: True, limits: Limits = LIMITS
) -> pd.DataFrame:
    """The columns of a pickled pandas DataFrame that hold text or numbers.

    Parameters
    ----------
    path : the file.
    accept : by its name, whether a column is needed; others never become Python objects here.
    limits : what reading may take.

    Returns
    -------
    A frame with a row a row of the file, text as str and None, numbers as float64. Columns that hold
    anything else are left out, and so is the row index.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        No pickle, damaged, not a table, beyond the limits, or with a name in it that no table needs,
        which the message gives; nothing of it has run.
    """
    import pandas as pd  # not at the top: the process that refuses a pickle ends before it needs it

    with _open_result(path, "table", limits) as reader:
        names = [name for name in reader.schema.names if accept(name)]
        table = reader.read_all()
        # Text stays str and None, whatever type the pandas version would have for it.
        return pd.DataFrame({name: pd.Series(values := table[name].to_numpy(), dtype=values.dtype) for name in names})


def read_pickled_arrays(path: Path, limits: Limits = LIMITS) -> dict[tuple[str, ...], Array]:
    """The arrays of numbers (float64) and lists of text (objects) in nested dictionaries, by their keys.

    Raises
    ------
    NotFoundError, DataError
        As `read_pickled_table`.
    """
    with _open_result(path, "arrays", limits) as reader:
        rows = reader.read_all().to_pylist()
    return {
        tuple(row["path"]): np.array(row["texts"], dtype=object)
        if row["numbers"] is None
        else np.array(row["numbers"], dtype=np.float64).reshape(row["shape"])
        for row in rows
    }


@contextmanager
def _open_result(path: Path, kind: str, limits: Limits) -> Iterator[pa.RecordBatchFileReader]:
    """What the process that reads the pickle left behind."""
    if not path.is_file():
        raise NotFoundError(f"There is no file {str(path)!r}.")
    size = path.stat().st_size
    if not 0 < size <= limits.file_bytes:
        large = f"has {size:,} bytes, more than the {limits.file_bytes:,} a pickle may have"
        raise DataError(path.name, "the file is empty" if size == 0 else large)
    with tempfile.TemporaryDirectory(prefix="carrot-") as folder:
        out, plain = Path(folder, "out.arrow"), Path(folder, "in.pkl")
        _unpack(path, plain, limits)
        problem = _run([kind, str(plain), str(out), str(limits.memory_bytes), str(limits.seconds)], limits)
        if problem:
            raise DataError(path.name, [Problem(problem, _REMEDY)])
        with pa.OSFile(str(out)) as file, pa.ipc.open_file(file) as reader:
            yield reader


def _unpacked(path: Path) -> pa.NativeFile:
    return pa.input_stream(str(path), compression=packing_of(path))


def _unpack(path: Path, plain: Path, limits: Limits) -> None:
    """Copy a pickle, unpacked where it is packed; one that is larger than a pickle may be is refused."""
    try:
        with _unpacked(path) as source, plain.open("wb") as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                if target.tell() > limits.file_bytes:
                    large = f"unpacks to more than the {limits.file_bytes:,} bytes a pickle may have"
                    raise DataError(path.name, large)
    except OSError as error:
        raise DataError(path.name, [Problem("cannot be unpacked", "Copy it again; its end may be missing.")]) from error


def _run(arguments: list[str], limits: Limits) -> str:
    """Read a pickle in another process; "" or what was wrong with it."""
    package = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-P", "-c", _START, str(package), *arguments]
    # One thread and no reserve of addresses: the limit is for the file's own needs.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=limits.seconds, env=environment, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"reading it took longer than {limits.seconds} s and was stopped"
    if done.returncode == 0:
        return ""
    message = done.stdout.decode("utf-8", "replace").strip()
    return message or f"the process that read it ended with code {done.returncode}: {_last_line(done.stderr)}"


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"


def in_child(kind: str, path: str, out: str, memory_bytes: str, seconds: str) -> None:
    """Read a pickle into an Arrow file; on failure print one sentence and exit with 1."""
    _limit(int(memory_bytes), int(seconds))
    try:
        value = load(Path(path))
        table = pa.table(columns(value)) if kind == "table" else _rows(value)
        if table.nbytes > PICKLE_RATIO * os.path.getsize(path) + _SMALL:
            refuse(f"{table.nbytes:,} bytes of results, far more than the file has")
        with pa.OSFile(out, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    except RefusedError as error:
        print(f"refused, and nothing of it was run: {error}")
    except MemoryError:
        print(f"it needs more than {int(memory_bytes) / (1 << 30):.3g} GiB of memory")
    except Exception as error:  # a damaged file can break its reader in any way, and this process is for that
        print(f"not a pickle that can be read: {str(error)[:200] or type(error).__name__}")
    else:
        return
    sys.exit(1)


def _limit(memory_bytes: int, seconds: int) -> None:
    """Let the system stop this process where it knows how."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _rows(value: object) -> pa.Table:
    names = [
        {
            "path": list(path),
            "shape": list(array.shape),
            "numbers": None if array.dtype == object else array.ravel(),
            "texts": array.tolist() if array.dtype == object else None,
        }
        for path, array in leaves(value)
    ]
    return pa.Table.from_pylist(names, _LEAVES)
