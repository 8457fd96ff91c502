"""The store when things go wrong or happen at once: kills, full disks, damaged files, readers and writers.

Damaged and foreign files are in `tests.store.test_files` and `tests.store.test_health`.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pytest

from carrot_core.benchmarks.long_table import read_long_table
from carrot_core.errors import StoreError
from carrot_core.store import Store
from carrot_core.store.browse import Filter, matching, prompt_table
from carrot_core.store.database import Database
from tests.tables import frames, left_behind, long_table, write

ROOT = Path(__file__).resolve().parents[2]


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


# Swaps seen from inside one process


def test_reader_in_the_same_process_sees_a_swap_while_an_old_reader_lives(store: Store) -> None:
    database = Database(store.path)
    count = "select count(*) from benchmarks"
    with database.read() as old:
        assert old.execute(count).fetchall() == [(1,)]
        store.save_benchmark("second", frames(seed=1))
        with database.read() as new:
            assert new.execute(count).fetchall() == [(2,)]
            store.save_benchmark("third", frames(seed=2))
            assert [info.name for info in store.benchmarks()] == ["first", "second", "third"]
            assert new.execute(count).fetchall() == [(2,)]
        assert old.execute("select count(*) from outcomes").fetchall() == [(len(frames().outcomes),)]
        assert old.execute(count).fetchall() == [(1,)]


def test_version_changes_with_every_write_and_with_no_read(store: Store) -> None:
    seen = [store.version()]
    store.load("first")
    assert store.version() == seen[0]
    for change in (
        lambda: store.save_benchmark("second", frames(seed=1)),
        lambda: store.add_vectors("mini", ["a"], np.ones((1, 2))),
        lambda: store.remove_benchmark("second"),
    ):
        change()
        seen.append(store.version())
    assert len(set(seen)) == 4
    with pytest.raises(StoreError, match="already"):
        store.save_benchmark("first", frames())
    assert store.version() == seen[-1]


def test_reader_can_change_nothing_and_reach_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    secret = [1]  # a Python variable of the caller is no table either
    with Database(store.path).read() as connection:
        for statement in (
            "delete from benchmarks",
            "create table carrot.other (a integer)",
            f"from read_csv('{tmp_path}/secret.csv')",
            f"from '{tmp_path}/secret.csv'",
            f"copy benchmarks to '{tmp_path}/out.csv'",
            f"attach '{tmp_path}/other.duckdb' as other",
            "set enable_external_access = true",
            "set memory_limit = '1GB'",
            "install httpfs",
            "from secret",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
    assert secret == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["carrot.duckdb", "carrot.duckdb.lock", "secret.csv"]


def test_database_behind_a_link_is_replaced_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "carrot.duckdb").symlink_to(tmp_path / "disk" / "real.duckdb")
    Store(tmp_path / "carrot.duckdb").save_benchmark("first", frames())
    assert (tmp_path / "carrot.duckdb").is_symlink()
    assert len(Store(tmp_path / "disk" / "real.duckdb").benchmarks()) == 1


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "it's; a [folder]*"
    store = Store(folder / "carrot.duckdb")
    store.save_benchmark("first", frames())
    assert store.load("first").outcomes.shape == (20, 3)


# At once


def whole(store: Store, name: str, seeds: range) -> bool:
    """The benchmark is exactly one of those that were written, never a mixture."""
    score = store.load(name).outcomes.score
    return any(
        np.array_equal(
            score, frames(seed=seed).outcomes.set_index(["prompt_id", "model"])["score"].unstack(), equal_nan=True
        )
        for seed in seeds
    )


def test_readers_in_threads_see_whole_versions_while_a_writer_replaces(store: Store) -> None:
    done = threading.Event()

    def read_on() -> int:
        count = 0
        while not done.is_set() or count == 0:
            assert whole(store, "first", range(5))
            assert store.benchmarks()[0].n_prompts == 20
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read_on) for _ in range(3)]
        try:
            for seed in range(1, 5):
                store.save_benchmark("first", frames(seed=seed), replace=True)
        finally:
            done.set()
        assert min(reader.result() for reader in readers) > 0
    assert left_behind(store) == []


def test_writers_in_threads_lose_nothing(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.save_benchmark(f"b{n}", frames(seed=n)), range(8)))
    assert {info.name for info in store.benchmarks()} == {"first", *(f"b{n}" for n in range(8))}


SAVE = """
import sys
from pathlib import Path
from carrot_core.store import Store
from tests.tables import frames
n_prompts, n_models, times = map(int, sys.argv[3:])
for number in range(times):
    content = frames(n_prompts, n_models, seed=number)
    Store(Path(sys.argv[1])).save_benchmark(f"{sys.argv[2]}{number}", content)
"""


@pytest.mark.parametrize("size", [(20, 3, 4), pytest.param((20_000, 5, 2), marks=pytest.mark.slow)], ids=str)
def test_writers_in_two_processes_lose_nothing(store: Store, size: tuple[int, int, int]) -> None:
    writers = [python(SAVE, store.path, name, *size) for name in "ab"]
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    n_prompts, n_models, times = size
    found = {info.name: info for info in store.benchmarks()}
    assert list(found) == [f"{name}{number}" for name in "ab" for number in range(times)] + ["first"]
    for number in range(times):  # the same content, whoever wrote it
        one, other = found[f"a{number}"], found[f"b{number}"]
        assert (one.n_prompts, one.n_models, one.data_hash) == (n_prompts, n_models, other.data_hash)
    assert left_behind(store) == []


def test_eight_readers_query_while_a_benchmark_is_imported_from_a_file(store: Store, tmp_path: Path) -> None:
    file = write(long_table(3000, ("small", "large", "other")), tmp_path / "results.parquet")
    done = threading.Event()

    def read_on() -> int:
        count = 0
        while not done.is_set() or count == 0:
            assert whole(store, "first", range(1))
            table = prompt_table(store, "first")
            assert len(matching(store, "first", table, Filter("text", disagree=True))) <= len(table) == 20
            found = {info.name: info.n_outcomes for info in store.benchmarks()}
            assert found in ({"first": len(frames().outcomes)}, {"first": len(frames().outcomes), "new": 9000})
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read_on) for _ in range(8)]
        try:
            store.save_benchmark("new", read_long_table(file))
        finally:
            done.set()
        assert min(reader.result() for reader in readers) > 0


def test_writer_that_waits_too_long_says_so_and_readers_never_wait(store: Store) -> None:
    with Database(store.path).write():
        assert store.load("first").outcomes.shape == (20, 3)
        with pytest.raises(StoreError, match="writing"), Database(store.path, lock_timeout_s=0.1).write():
            pass
    assert len(store.benchmarks()) == 1


# Interrupted


KILLED = """
import os, signal, sys, time
from pathlib import Path
import carrot_core.store.store
from carrot_core.store import Store
from tests.tables import frames
content = frames(n_prompts=3000, n_models=6, seed=9)
print("ready", flush=True)
for line in sys.stdin:  # imports cost a second, so every import to be killed is a fork of this process
    name, delay = line.split()
    child = os.fork()
    if child == 0:
        Store(Path(sys.argv[1])).save_benchmark(name, content)
        os._exit(0)
    if float(delay) >= 0:
        time.sleep(float(delay))
        os.kill(child, signal.SIGKILL)
    started = os.waitpid(child, 0)[1]
    print("killed" if os.WIFSIGNALED(started) else "finished", flush=True)
"""


def tell(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    print(line, file=process.stdin, flush=True)
    return process.stdout.readline().strip()


@pytest.fixture
def killer(store: Store) -> Iterator[subprocess.Popen[str]]:
    process = python(KILLED, store.path)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_kill_at_any_moment_of_an_import_leaves_the_database_whole(store: Store, killer: subprocess.Popen[str]) -> None:
    rng = random.Random(50)
    start = time.perf_counter()
    assert tell(killer, "whole -1") == "finished"
    duration = time.perf_counter() - start
    expected = {info.name: info for info in store.benchmarks()}
    fates = []
    for number in range(50):
        before = store.version()
        fate = tell(killer, f"killed{number} {rng.uniform(0, duration)}")
        fates.append((fate, bool(left_behind(store))))
        now = {info.name: info for info in store.benchmarks()}
        new = now.pop(f"killed{number}", None)
        assert now == expected
        assert (new is None) == (store.version() == before)
        if new is not None:  # the kill came after the swap: then all of it is there
            assert (new.n_outcomes, new.data_hash) == (expected["whole"].n_outcomes, expected["whole"].data_hash)
            expected[new.name] = new
        assert whole(store, "first", range(1))
        assert store.load("whole").outcomes.shape == (3000, 6)
    assert any(fate == "killed" for fate, _ in fates)
    assert any(temporary for _, temporary in fates), "no kill fell into the writing"
    store.save_benchmark("after", frames(seed=1))
    assert left_behind(store) == []
    assert {info.name for info in store.benchmarks()} == {*expected, "after"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_error_in_the_middle_of_a_write_changes_nothing(store: Store, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with Database(store.path).write() as connection:
            connection.execute("delete from benchmarks")
            raise error

    before = store.version()
    with pytest.raises(error):
        interrupted()
    assert store.version() == before
    assert left_behind(store) == []
    assert whole(store, "first", range(1))


FULL = """
import resource, sys
from pathlib import Path
from carrot_core.errors import StoreError
from carrot_core.store import Store
from tests.tables import frames
path, limit = Path(sys.argv[1]), int(sys.argv[2])
content = frames(n_prompts=20000, n_models=6)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    Store(path).save_benchmark("big", content)
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [-500_000, 50_000, 300_000, 1_500_000])
def test_full_disk_is_an_error_and_the_old_file_stays(store: Store, room: int) -> None:
    before, version = store.path.read_bytes(), store.version()
    process = python(FULL, store.path, max(1000, len(before) + room))
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert str(store.path) in said
    assert store.path.read_bytes() == before
    assert store.version() == version
    assert left_behind(store) == []


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from carrot_core.errors import StoreError
from carrot_core.store import Store
from tests.tables import frames, left_behind
store = Store(Path(sys.argv[1]) / "carrot.duckdb")
store.save_benchmark("first", frames())
before = store.path.read_bytes()
try:
    store.save_benchmark("big", frames(n_prompts=20000, n_models=6))
except StoreError as error:
    print(error)
assert store.path.read_bytes() == before
assert store.load("first").outcomes.shape == (20, 3)
assert left_behind(store) == []
"""
_IN_ITS_OWN_MOUNTS = ["unshare", "--map-root-user", "--mount", "sh", "-c"]


def _may_mount() -> bool:
    try:
        return subprocess.run([*_IN_ITS_OWN_MOUNTS, "mount -t tmpfs tmpfs /mnt"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not _may_mount(), reason="this machine lets nobody mount a disk of their own")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=6m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    process = subprocess.run(
        [*_IN_ITS_OWN_MOUNTS, mount, "sh", str(tmp_path), sys.executable, ON_A_SMALL_DISK],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert process.returncode == 0, process.stderr
    assert "carrot.duckdb" in process.stdout
    assert "disk" in process.stdout.lower() or "space" in process.stdout.lower()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file.*carrot\.duckdb"):
        Store(tmp_path / "file" / "carrot.duckdb").save_benchmark("first", frames())
