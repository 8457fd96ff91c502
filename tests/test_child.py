"""Work in a process of its own: its answer, its errors, and its end where it takes more than its budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from carrot_core import limits
from carrot_core.child import Budget, in_child
from carrot_core.errors import CarrotError, DataError, NotFoundError, PricesNeededError, Problem, StoreError

WORK = """
import os, time
from pathlib import Path
from carrot_core.errors import *

def add(folder, a, b):
    Path(folder, "sum.txt").write_text(str(a + b))
    return {"sum": a + b, "temporary": os.environ["TMPDIR"] == str(folder)}

def fail(folder, kind):
    problem = Problem("is odd", "Make it even.", 3, "n", "7", "t.csv")
    raise {
        "data": DataError("t.csv", [problem, problem]),
        "prices": PricesNeededError("t.csv", [problem], ["a", "b"]),
        "missing": NotFoundError("There is none."),
        "store": StoreError("It is full."),
        "plain": CarrotError("No."),
        "bug": RuntimeError("a bug"),
    }[kind]

def remember(folder, touched):
    held = []
    while True:
        held.append(bytearray(8 << 20) if touched else [None] * (1 << 20))

def crash(folder):
    os.abort()

def sleep(folder):
    Path(folder, "started").touch()
    time.sleep(60)

def write(folder, at_a_time):
    number = 0
    while True:
        number += 1
        Path(folder, f"{number}.bin").write_bytes(bytes(at_a_time))
"""
SMALL = Budget(256 << 20, 30.0, 32 << 20)


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "work_of_a_test.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "code"), *sys.path]))


def run(tmp_path: Path, work: str, budget: Budget = SMALL, **request: object) -> object:
    """The answer of a process, whose folder must be gone afterwards."""
    place = tmp_path / "place"
    place.mkdir(exist_ok=True)
    try:
        with in_child(f"work_of_a_test:{work}", request, budget, source="t.csv", place=place) as (_, answer):
            return answer
    finally:
        assert list(place.iterdir()) == []


def test_the_answer_and_the_files_come_back_and_the_folder_goes(tmp_path: Path) -> None:
    with in_child("work_of_a_test:add", {"a": 1, "b": 2}, SMALL, source="t.csv", place=tmp_path) as (folder, answer):
        assert answer == {"sum": 3, "temporary": True}
        assert (folder / "sum.txt").read_text() == "3"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("data", DataError("t.csv", [Problem("is odd", "Make it even.", 3, "n", "7", "t.csv")] * 2)),
        ("prices", PricesNeededError("t.csv", [Problem("is odd", "Make it even.", 3, "n", "7", "t.csv")], ["a", "b"])),
        ("missing", NotFoundError("There is none.")),
        ("store", StoreError("It is full.")),
        ("plain", CarrotError("No.")),
        ("bug", RuntimeError("the process that read 't.csv' failed")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_comes_back_as_it_was(tmp_path: Path, kind: str, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        run(tmp_path, "fail", kind=kind)
    assert type(caught.value) is type(error)
    assert str(caught.value).startswith(str(error))
    assert getattr(caught.value, "models", None) == getattr(error, "models", None)


@pytest.mark.parametrize("touched", [True, False])
def test_memory_has_a_limit(tmp_path: Path, touched: bool) -> None:
    with pytest.raises(DataError, match="256 MiB of memory"):
        run(tmp_path, "remember", touched=touched)


@pytest.mark.parametrize("at_a_time", [1 << 20, 64 << 20], ids=["many files", "one file"])
def test_disk_has_a_limit(tmp_path: Path, at_a_time: int) -> None:
    with pytest.raises(DataError, match="32 MiB of disk"):
        run(tmp_path, "write", at_a_time=at_a_time)


def test_time_has_a_limit(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(DataError, match="longer than 2 s"):
        run(tmp_path, "sleep", Budget(256 << 20, 2.0, 32 << 20))
    assert time.monotonic() - start < 15


def test_a_crash_takes_down_the_process_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^t\.csv: ended its reader"):
        run(tmp_path, "crash")


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the process in /proc")
@pytest.mark.slow
def test_the_process_ends_in_its_time_though_who_started_it_was_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from carrot_core.child import *; "
        f"in_child('work_of_a_test:sleep', {{}}, Budget(256 << 20, 6.0, 1 << 25), source='', "
        f"place=Path({str(tmp_path)!r})).__enter__()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("reading-*/started")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    place = str(tmp_path).encode()
    assert _processes(place)
    while _processes(place):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _processes(word: bytes) -> list[str]:
    """Processes with a word in their command."""
    processes = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if word in command and b"carrot_core.child" in command:
            processes.append(path.parent.name)
    return processes


def test_a_budget_grows_with_the_file_to_a_bound(tmp_path: Path) -> None:
    (path := tmp_path / "t.csv").write_bytes(bytes(1_000_000))
    one = Budget.of([path])
    assert one.memory_bytes == limits.READ_MEMORY_BYTES + limits.READ_MEMORY_RATIO * 1_000_000
    assert one.seconds == limits.READ_SECONDS + limits.READ_SECONDS_A_MB
    assert one.disk_bytes == limits.READ_DISK_BYTES + limits.READ_DISK_RATIO * 1_000_000
    os.truncate(path, 1 << 40)
    assert Budget.of([path]).memory_bytes == limits.READ_MOST_MEMORY_BYTES
