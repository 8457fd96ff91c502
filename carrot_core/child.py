"""Work on files of strangers in a process of its own, with limits on memory, time and disk.

A file made to exhaust, hang or crash its reader takes down only that process. Results come back as files in a
temporary folder and one answer of JSON; nothing is ever unpickled.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carrot_core import limits
from carrot_core.errors import CarrotError, DataError, NotFoundError, PricesNeededError, Problem, StoreError
from carrot_core.number_formats import size_text

_START = "import sys; sys.path.insert(0, sys.argv[1]); from carrot_core.child import answer; answer(sys.argv[2])"
_REQUEST, _ANSWER, _OUTPUT = "request.json", "answer.json", "output.txt"
_LOOK_S = 0.02  # between two looks at the process: a thread can fill some 20 MB of memory meanwhile
# Memory that counts as data of a process although it is not touched: reserved addresses, the stacks of the threads of
# two DuckDB instances (one reads, one stores), of 64 MiB each, and what their allocators keep for later.
_BESIDE_BYTES = 384 << 20
_ERRORS = {kind.__name__: kind for kind in (CarrotError, NotFoundError, StoreError)}
_turns = threading.BoundedSemaphore(limits.READ_AT_ONCE)


@dataclass(frozen=True)
class Budget:
    """Limits of a process.

    Attributes
    ----------
    memory_bytes : memory. On Linux the kernel refuses more, and the parent process watches it.
    seconds : wall time; twice as many of the processor.
    disk_bytes : size of its folder; the kernel limits each file to it, and the parent process their sum.
    """

    memory_bytes: int
    seconds: float
    disk_bytes: int

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Budget:
        """Limits for reading some files: a base, and more for every byte of them."""
        size = sum(path.stat().st_size for path in paths)
        return cls(
            min(limits.READ_MOST_MEMORY_BYTES, limits.READ_MEMORY_BYTES + limits.READ_MEMORY_RATIO * size),
            min(limits.READ_MOST_SECONDS, limits.READ_SECONDS + limits.READ_SECONDS_A_MB * size / 1e6),
            min(limits.READ_MOST_DISK_BYTES, limits.READ_DISK_BYTES + limits.READ_DISK_RATIO * size),
        )


@contextmanager
def in_child(
    work: str, request: Mapping[str, Any], budget: Budget, *, source: str, place: Path | None = None
) -> Iterator[tuple[Path, Any]]:
    """Have a process do work; gives the folder it wrote to, which is deleted at the end, and its answer.

    Parameters
    ----------
    work : ``module:function``. It is called with a folder of its own and ``request``, and returns plain JSON.
    request : plain JSON.
    source : name of the file in messages.
    place : parent of the folder of the process; by default the system's for temporary files.

    Raises
    ------
    CarrotError
        The work raised it, of the same kind; or other files are being read for longer than this could take.
    DataError
        The process exceeded its budget, or crashed.
    """
    if not _turns.acquire(timeout=budget.seconds):
        raise CarrotError(f"{source}: other files are being read; try again in a moment.")
    try:
        with tempfile.TemporaryDirectory(prefix="reading-", dir=place, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            (folder / _REQUEST).write_text(json.dumps({"work": work, "budget": asdict(budget), "request": request}))
            code = _watched(folder, budget, source)
            output = (folder / _OUTPUT).read_text(encoding="utf-8", errors="replace")
            if not (folder / _ANSWER).exists():
                raise _ended(code, output, budget, source)
            reply = json.loads((folder / _ANSWER).read_text(encoding="utf-8"))
            if "error" in reply:
                raise _error(reply["error"])
            yield folder, reply["value"]
    finally:
        _turns.release()


def _watched(folder: Path, budget: Budget, source: str) -> int:
    """Run the process to its end, or end it if it exceeds its budget; returns its exit code."""
    spill = f"{max(1, budget.disk_bytes >> 20)}MiB"
    # Storing runs beside reading, from whose tables it takes rows; the rest is for Python.
    memory, beside = (f"{max(64, budget.memory_bytes * share // 5 >> 20)}MiB" for share in (2, 1))
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        # One thread and no reserve of addresses: the limit is for the file's own needs.
        "OPENBLAS_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_ARENA_MAX": "2",
        f"{limits.PREFIX}TABLE_SPILL": spill,
        f"{limits.PREFIX}TABLE_MEMORY": memory,
        f"{limits.PREFIX}PROMPTS_MEMORY": memory,
        f"{limits.PREFIX}STORE_MEMORY": beside,
    }
    deadline = time.monotonic() + budget.seconds
    with (folder / _OUTPUT).open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own code; the request travels as data
            [sys.executable, "-P", "-c", _START, str(Path(__file__).resolve().parents[1]), str(folder)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
        )  # fmt: skip
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise _too_much(source, f"takes longer than {budget.seconds:.0f} s to read")
                if _memory(process.pid) > budget.memory_bytes:
                    raise _too_much(source, _needs(budget))
                if _disk(folder) > budget.disk_bytes:
                    raise _too_much(source, _disk_needs(budget))
                time.sleep(_LOOK_S)
        finally:
            process.kill()
            process.wait()
    return process.returncode


def _memory(process: int) -> int:
    """Bytes of a process in memory; 0 if the system does not tell."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):  # it has ended, or there is no /proc: only the kernel's limit holds
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _disk(folder: Path) -> int:
    """Bytes that the files of a folder take on the disk."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                state = os.lstat(os.path.join(place, name))
            except FileNotFoundError:  # removed meanwhile
                continue
            size += getattr(state, "st_blocks", -(-state.st_size // 512)) * 512
    return size


def _needs(budget: Budget) -> str:
    return f"needs more than {size_text(budget.memory_bytes)} of memory to be read"


def _disk_needs(budget: Budget) -> str:
    return f"needs more than {size_text(budget.disk_bytes)} of disk to be read"


def _too_much(source: str, what: str) -> DataError:
    remedy = "Its size promises less; bring it in parts, or read it at the command line if you trust it."
    return DataError(source, [Problem(what, remedy)])


def _ended(code: int, output: str, budget: Budget, source: str) -> Exception:
    """The error for a process that ended without an answer."""
    if code in (-signal.SIGALRM, -signal.SIGXCPU):
        return _too_much(source, f"takes longer than {budget.seconds:.0f} s to read")
    if os.strerror(errno.EFBIG) in output:
        return _too_much(source, _disk_needs(budget))
    if code < 0 or any(word in output for word in ("MemoryError", "OutOfMemory", "bad_alloc")):
        # Libraries sometimes end a process instead of reporting that it is out of memory.
        return _too_much(source, f"ended its reader, or {_needs(budget)}")
    return RuntimeError(f"the process that read {source!r} failed:\n{output[-4000:]}")


def answer(folder_name: str) -> None:
    """In the process: do the work of the request in the folder, and write the answer there."""
    folder = Path(folder_name)
    document = json.loads((folder / _REQUEST).read_text(encoding="utf-8"))
    budget = Budget(**document["budget"])
    module, _, name = document["work"].partition(":")
    work = getattr(importlib.import_module(module), name)
    _hold(budget)
    try:
        result = {"value": work(folder, **document["request"])}
    except CarrotError as error:
        result = {"error": _described(error)}
    (folder / _ANSWER).write_text(json.dumps(result), encoding="utf-8")


def _hold(budget: Budget) -> None:
    """Let the system limit this process to its budget if it can, so that it holds even without the parent process."""
    if sys.platform == "win32":
        return
    import resource

    seconds, memory = int(budget.seconds) + 1, budget.memory_bytes + _BESIDE_BYTES
    for kind, most in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, 2 * seconds),
        (resource.RLIMIT_FSIZE, budget.disk_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]  # already lower if the parent process is limited itself
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (limit, limit))
    signal.alarm(seconds)
    os.nice(5)  # pages of the dashboard come first


def _described(error: CarrotError) -> dict[str, Any]:
    if not isinstance(error, DataError):
        kind = next((name for name, kind in _ERRORS.items() if type(error) is kind), CarrotError.__name__)
        return {"kind": kind, "message": str(error)}
    problems = [asdict(problem) for problem in error.problems]
    models = list(error.models) if isinstance(error, PricesNeededError) else None
    return {"where": error.where, "problems": problems, "models": models}


def _error(described: Mapping[str, Any]) -> CarrotError:
    if "kind" in described:
        return _ERRORS[described["kind"]](described["message"])
    problems = [Problem(**problem) for problem in described["problems"]]
    if described["models"] is not None:
        return PricesNeededError(described["where"], problems, described["models"])
    return DataError(described["where"], problems)
