"""The store when things go wrong or happen at once: kills, full disks, damaged files, readers and writers.

Damaged and foreign files are in `tests.store.test_files` and `tests.store.test_health`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pytest

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.errors import StoreError
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.store import Run, Store
from carrot_core.store.browse import Filter, matching, prompt_table
from carrot_core.store.database import reading, writing
from carrot_core.store.folder import MAIN, Folder
from tests.forks import FINISHED, KILLED, ROOT, Forks, moments
from tests.tables import frames, left_behind, long_table, main_file, write

pytestmark = pytest.mark.slow

# Writes that other processes do


@cache
def large() -> Frames:
    return frames(n_prompts=3000, n_models=6, seed=9)


def save(path: str, *names: str) -> None:
    for name in names:
        Store(Path(path)).save_benchmark(name, large())


def replace(path: str, seed: int) -> None:
    Store(Path(path)).save_benchmark("first", frames(seed=seed), replace=True)


def remove(path: str) -> None:
    Store(Path(path)).remove_benchmark("first")


def add_vectors(path: str, number: float) -> None:
    store = Store(Path(path))
    texts = store.missing_texts("first", "mini")
    for start in range(0, len(texts), 2):
        store.add_vectors("mini", texts[start : start + 2], np.full((2, 384), number), benchmark="first")
    store.gather_vectors("first")


# Swaps seen from inside one process


def test_reader_in_the_same_process_sees_a_swap_while_an_old_reader_lives(store: Store) -> None:
    total, sums = "select round(sum(score), 9) from outcomes", {}
    for seed in range(3):
        sums[seed] = [(round(frames(seed=seed).outcomes["score"].sum(), 9),)]
    with store.reading("first") as old:
        assert old.execute(total).fetchall() == sums[0]
        store.save_benchmark("first", frames(seed=1), replace=True)
        with store.reading("first") as new:
            assert new.execute(total).fetchall() == sums[1]
            store.save_benchmark("first", frames(seed=2), replace=True)
            with store.reading("first") as newest:
                assert newest.execute(total).fetchall() == sums[2]
            assert new.execute(total).fetchall() == sums[1]
            store.remove_benchmark("first")
            assert new.execute("select count(*) from prompts").fetchall() == [(20,)]
        assert old.execute(total).fetchall() == sums[0]
    assert left_behind(store) == ["trash"]


def test_version_is_the_benchmarks_own_and_changes_with_every_write_and_with_no_read(store: Store) -> None:
    store.save_benchmark("other", frames(seed=1))
    other, versions, everything = store.version("other"), [store.version("first")], [store.version()]
    texts, bench = store.missing_texts("first", "mini"), store.load("first")
    store.benchmarks()
    assert store.version("first") == versions[0]
    changes: list[Callable[[], object]] = [
        lambda: store.add_vectors("mini", texts[:1], np.ones((1, 2))),
        lambda: store.add_vectors("mini", texts[:1], np.ones((1, 2))),
        lambda: store.save_run(a_run(bench)),
        lambda: store.save_run(a_run(bench)),
        lambda: store.save_benchmark("first", frames(), replace=True),
        lambda: store.remove_benchmark("first"),
        lambda: store.save_benchmark("first", frames()),
    ]
    for change in changes:
        change()
        versions.append(store.version("first"))
        everything.append(store.version())
    assert len(set(versions)) == len(set(everything)) == 8
    with pytest.raises(StoreError, match="already"):
        store.save_benchmark("first", frames())
    assert (store.version("first"), store.version()) == (versions[-1], everything[-1])
    assert store.version("other") == other


def a_run(bench: Benchmark) -> Run:
    part = bench.part("test")
    table = Estimates(part.prompt_ids, part.models, np.ones(part.outcomes.shape), np.ones(part.outcomes.shape))
    return Run(
        benchmark=bench.name, router="carrot-knn", params={}, seed=0, versions={}, data_hash=bench.data_hash,
        cost_unit_usd=0.01, best_single="model-a", created_at="2026-01-02T03:04:05+00:00", estimates={"test": table},
    )  # fmt: skip


def _states(store: Store, but: str = "none") -> dict[Path, tuple[int, int, int]]:
    """What changes in a file that is written; being read changes nothing here."""
    files = [path for path in store.path.glob("*/*/*") if not path.parent.parent.name.startswith(but)]
    return {path: (entry.st_ino, entry.st_mtime_ns, entry.st_size) for path in files for entry in [path.stat()]}


def test_a_write_touches_the_files_of_its_benchmark_only(store: Store) -> None:
    for name in ("second", "third"):
        store.save_benchmark(name, frames(seed=1))
    texts = store.missing_texts("second", "mini")
    store.add_vectors("mini", texts, np.ones((len(texts), 2)), benchmark="second")
    before = _states(store, but="first")
    bench = store.load("first")
    store.add_vectors("mini", store.missing_texts("first", "mini"), np.ones((len(texts), 2)), benchmark="first")
    store.save_run(a_run(bench))
    store.save_benchmark("first", frames(seed=1), replace=True)
    store.copy_vectors("first", "mini")
    assert store.missing_texts("first", "mini") == []
    store.remove_benchmark("first")
    assert _states(store) == before


def test_reader_can_change_nothing_and_reach_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    secret = [1]  # a Python variable of the caller is no table either
    with store.reading("first") as connection:
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["carrot.store", "secret.csv"]
    assert left_behind(store) == ["secret.csv"]


def test_a_reader_is_used_again_and_still_reaches_the_files_of_its_own_folder_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save_benchmark("other", frames(seed=1))
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with store.reading("first"):
        pass
    with monkeypatch.context() as patch:
        patch.setattr(duckdb, "connect", lambda *_, **__: pytest.fail("a new instance"))
        with store.reading("first") as connection:
            assert connection.execute("select count(*) from prompts").fetchall() == [(20,)]
            for statement in (
                "delete from benchmarks",
                f"from read_csv('{tmp_path}/secret.csv')",
                f"attach '{main_file(store, 'other')}' as other (read_only)",
                "set enable_external_access = true",
            ):
                with pytest.raises(duckdb.Error):
                    connection.execute(statement)
    with pytest.raises(StoreError), store.reading("first") as connection:
        connection.execute("nonsense")
    with store.reading("first") as again:
        assert again is not connection


def test_a_reader_that_waits_holds_nothing_and_its_next_use_reads_what_replaced_the_file(store: Store) -> None:
    file = main_file(store)
    with reading(file) as first:
        assert first.execute("select count(*) from outcomes").fetchall() > [(0,)]
    used = "select coalesce(sum(memory_usage_bytes + temporary_storage_bytes), 0) from duckdb_memory()"
    assert first.execute(used).fetchall() == [(0,)]
    opened = Path("/proc/self/fd")
    assert not opened.exists() or str(file) not in {os.path.realpath(each) for each in opened.iterdir()}
    with writing(file, "benchmark"):  # empty tables in place of what was there
        pass
    with reading(file) as again:
        assert again is first
        assert again.execute("select count(*) from outcomes").fetchall() == [(0,)]
        for change in ("delete from prompts", "insert into schema_version values (9)", "drop table outcomes"):
            with pytest.raises(duckdb.Error, match="read-only"):
                again.execute(change)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
def test_a_process_forked_after_reading_reads_and_ends(store: Store) -> None:
    work = (
        "import os; from pathlib import Path; from carrot_core.store import Store\n"
        f"store = Store(Path({str(store.path)!r})); count = len(store.load('first').prompt_ids); child = os.fork()\n"
        "assert len(store.load('first').prompt_ids) == count == 20\n"
        "assert not child or os.waitpid(child, 0)[1] == 0"
    )
    subprocess.run([sys.executable, "-c", work], check=True, cwd=ROOT, timeout=100)


@pytest.mark.parametrize("name", ["it's", "[a]*?", "link"])
def test_a_home_of_any_name_is_read_again_and_again(store: Store, tmp_path: Path, name: str) -> None:
    if name == "link":
        (tmp_path / name).symlink_to(tmp_path)
    else:
        (tmp_path / name).mkdir()
        store.path.rename(tmp_path / name / store.path.name)
    file = main_file(Store(tmp_path / name / store.path.name), "first")
    for _ in range(2):
        with reading(tmp_path / name / file.relative_to(file.parents[2].parent)) as connection:
            assert connection.execute("select count(*) from prompts").fetchall() == [(20,)]


@pytest.mark.parametrize("ending", [".duckdb", ".store"])
def test_store_behind_a_link_is_where_the_link_points(tmp_path: Path, ending: str) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / f"carrot{ending}").symlink_to(tmp_path / "disk" / f"real{ending}")
    Store(tmp_path / "carrot.duckdb").save_benchmark("first", frames())
    assert (tmp_path / f"carrot{ending}").is_symlink()
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


def test_eight_readers_see_whole_versions_while_a_writer_imports_a_file_and_replaces(
    store: Store, tmp_path: Path
) -> None:
    file = write(long_table(300, ("small", "large", "other")), tmp_path / "results.parquet")
    done = threading.Event()

    def read_on() -> int:
        count = 0
        while not done.is_set() or count == 0:
            assert whole(store, "first", range(2))
            table = prompt_table(store, "first")
            assert len(matching(store, "first", table, Filter("text", disagree=True))) <= len(table) == 20
            actual = {info.name: info.n_outcomes for info in store.benchmarks()}
            assert actual in ({"first": len(frames().outcomes)}, {"first": len(frames().outcomes), "new": 900})
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read_on) for _ in range(8)]
        try:
            store.save_benchmark("new", read_long_table(file))
            store.save_benchmark("first", frames(seed=1), replace=True)
        finally:
            done.set()
        assert min(reader.result() for reader in readers) > 0
    assert left_behind(store) == ["results.parquet", "trash"]


def test_writers_in_threads_lose_nothing(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.save_benchmark(f"b{n}", frames(seed=n)), range(5)))
    assert {info.name for info in store.benchmarks()} == {"first", *(f"b{n}" for n in range(5))}


def test_writers_in_two_processes_lose_nothing(store: Store, forks: Forks) -> None:
    names = [[f"{name}{number}" for number in range(4)] for name in "ab"]
    forks.start(*((save, (str(store.path), *each)) for each in names))
    assert forks.ends() == [FINISHED] * 2
    result = {info.name: info for info in store.benchmarks()}
    assert list(result) == [*names[0], *names[1], "first"]
    assert len({result[name].data_hash for each in names for name in each}) == 1
    assert left_behind(store) == []


def test_writer_that_waits_too_long_says_so_and_neither_readers_nor_writers_elsewhere_wait(store: Store) -> None:
    folder = store.folder("first")
    with folder.replacing():
        assert store.load("first").outcomes.shape == (20, 3)
        for turn in (Folder(folder.path, lock_timeout_s=0.1).adding, Folder(folder.path, lock_timeout_s=0.1).replacing):
            with pytest.raises(StoreError, match="writing"), turn():
                pass
        store.save_benchmark("second", frames(seed=1))
        assert len(store.benchmarks()) == 2


# Interrupted

KILLS = 7  # spread evenly over the time that a write takes


def test_kill_at_any_moment_of_an_import_leaves_the_database_whole(store: Store, forks: Forks) -> None:
    duration = forks.duration(save, str(store.path), "whole")
    expected = {info.name: info for info in store.benchmarks()}
    fates = []
    for number, moment in enumerate(moments(duration, KILLS)):
        before = store.version()
        fate = forks.run(save, str(store.path), f"killed{number}", killed_after_s=moment)
        fates.append((fate, bool(left_behind(store))))
        now = {info.name: info for info in store.benchmarks()}
        new = now.pop(f"killed{number}", None)
        assert now == expected
        assert (new is None) == (store.version() == before)
        if new is not None:  # the kill came after the swap: then all of it is there
            assert (new.n_outcomes, new.data_hash) == (expected["whole"].n_outcomes, expected["whole"].data_hash)
            expected[new.name] = new
    assert any(fate == KILLED for fate, _ in fates)
    assert any(temporary for _, temporary in fates), "no kill fell into the writing"
    assert whole(store, "first", range(1))
    assert store.load("whole").outcomes.shape == (3000, 6)
    store.save_benchmark("after", frames(seed=1))
    assert left_behind(store) == []
    assert {info.name for info in store.benchmarks()} == {*expected, "after"}


def test_kill_at_any_moment_of_a_replacement_leaves_one_import_with_its_vectors(store: Store, forks: Forks) -> None:
    texts = store.missing_texts("first", "mini")
    store.add_vectors("mini", texts, np.ones((len(texts), 3)))
    duration = forks.duration(replace, str(store.path), 1)
    is_new = True
    for number, moment in enumerate(moments(duration, KILLS), 2):
        if is_new:
            store.save_benchmark("first", frames(), replace=True)
            store.add_vectors("mini", texts, np.ones((len(texts), 3)))
        before = store.version("first")
        forks.run(replace, str(store.path), number, killed_after_s=moment)
        is_new = store.version("first") != before
        assert whole(store, "first", range(number, number + 1) if is_new else range(1))
        assert len(store.missing_texts("first", "mini")) == (len(texts) if is_new else 0)  # no new text had a vector
    store.save_benchmark("first", frames(), replace=True)
    assert left_behind(store) == ["trash"]


def test_kill_at_any_moment_of_adding_vectors_leaves_whole_blocks(store: Store, forks: Forks) -> None:
    texts = store.missing_texts("first", "mini")[:8]
    tables = frames()
    tables.prompts["text"] = tables.prompts["text"].where(tables.prompts["text"].isin(texts), None)
    store.save_benchmark("first", tables, replace=True)
    duration = forks.duration(add_vectors, str(store.path), 1)
    numbers_left = set()
    for number, moment in enumerate(moments(duration, KILLS), 2):
        store.remove_benchmark("first")
        store.save_benchmark("first", tables)
        forks.run(add_vectors, str(store.path), number, killed_after_s=moment)
        missing = store.missing_texts("first", "mini")
        assert missing == texts[len(texts) - len(missing) :]
        assert len(missing) % 2 == 0
        numbers_left.add(len(missing))
        store.add_vectors("mini", missing, np.full((len(missing), 384), number), benchmark="first")
        vectors = store.load("first", encoder="mini").vectors
        assert vectors is not None
        assert set(np.unique(vectors[~np.isnan(vectors)])) == {number}
        assert left_behind(store) == ["trash"]
    assert len(numbers_left) > 2, "no kill fell between the blocks"


def test_kill_at_any_moment_of_a_removal_leaves_all_of_it_or_nothing(store: Store, forks: Forks) -> None:
    duration = forks.duration(remove, str(store.path))
    for moment in moments(duration, KILLS):
        if not store.benchmarks():
            store.save_benchmark("first", frames())
            texts = store.missing_texts("first", "mini")
            store.add_vectors("mini", texts, np.ones((len(texts), 3)), benchmark="first")
        forks.run(remove, str(store.path), killed_after_s=moment)
        if store.benchmarks():
            assert whole(store, "first", range(1))
            assert store.missing_texts("first", "mini") == []
    store.save_benchmark("other", frames())
    assert left_behind(store) == ["trash"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_error_in_the_middle_of_a_write_changes_nothing(store: Store, error: type[BaseException]) -> None:
    def interrupted(name: str) -> None:
        with store.folder(name).replacing() as (new, _), writing(new / MAIN, "benchmark") as connection:
            connection.execute("insert into schema_version values (2)")
            raise error

    before = store.version()
    for name in ("first", "second"):
        with pytest.raises(error):
            interrupted(name)
    assert store.version() == before
    assert left_behind(store) == []
    assert [path.name for path in store.path.iterdir() if path.name.startswith("second")] == []
    assert whole(store, "first", range(1))


@pytest.mark.parametrize("room", [1000, 300_000, 1_500_000])
def test_full_disk_is_an_error_and_the_old_file_stays(store: Store, forks: Forks, room: int) -> None:
    before, version = contents(store), store.version()
    message = forks.run(save, str(store.path), "big", room=room)
    assert str(store.path) in message
    assert contents(store) == before
    assert store.version() == version
    assert left_behind(store) == []


def contents(store: Store) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.path.rglob("*.duckdb")}


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
import numpy as np
from carrot_core.errors import StoreError
from carrot_core.store import Store
from tests.forks import FINISHED, KILLED, ROOT, Forks, moments
from tests.tables import frames, left_behind
store = Store(Path(sys.argv[1]) / "carrot.duckdb")
store.save_benchmark("first", frames())
version, noise = store.version(), np.random.default_rng(0).random((3000, 384))
for write in (
    lambda: store.save_benchmark("big", frames(n_prompts=3000, n_models=6)),
    lambda: store.save_benchmark("first", frames(n_prompts=3000, n_models=6), replace=True),
    lambda: store.add_vectors("mini", list(map(str, range(3000))), noise, benchmark="first"),
):
    try:
        write()
    except StoreError as error:
        print(error)
    assert left_behind(store) == [] and store.version() == version
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
    mount = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    process = subprocess.run(
        [*_IN_ITS_OWN_MOUNTS, mount, "sh", str(tmp_path), sys.executable, ON_A_SMALL_DISK],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert process.returncode == 0, process.stderr
    messages = process.stdout.lower().splitlines()
    assert len(messages) == 3
    assert all("carrot.store" in message and ("disk" in message or "space" in message) for message in messages)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file.*carrot\.store"):
        Store(tmp_path / "file" / "carrot.duckdb").save_benchmark("first", frames())
