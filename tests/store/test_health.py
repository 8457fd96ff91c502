"""Damaged databases: what is still readable is told apart, stays open, and moves into a new file."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner

from carrot_core.cli import main
from carrot_core.errors import CarrotError, NotFoundError, StoreError
from carrot_core.evaluation.runs import run_router
from carrot_core.store import Store
from carrot_core.store.health import rebuild, verify
from tests.tables import frames

NAMES = ("one", "three", "two")
SIZE = 30_000  # prompts: each benchmark fills blocks of its own


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return built(tmp_path_factory.mktemp("whole") / "carrot.duckdb", SIZE)


def built(path: Path, n_prompts: int) -> bytes:
    """A database of three benchmarks with vectors and a fitted baseline."""
    store = Store(path)
    for seed, name in enumerate(NAMES):
        store.save_benchmark(name, frames(n_prompts=n_prompts, n_models=4, seed=seed, split=True))
        texts = store.missing_texts(name, "mini")[:500]
        store.add_vectors("mini", texts, np.random.default_rng(seed).normal(size=(len(texts), 8)))
        run_router(store, store.load(name), "zero")
    return store.path.read_bytes()


@pytest.fixture
def store(whole: bytes, tmp_path: Path) -> Store:
    (tmp_path / "carrot.duckdb").write_bytes(whole)
    return Store(tmp_path / "carrot.duckdb")


def flip(store: Store, at: int) -> None:
    """Turn one bit of the file."""
    with store.path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def block_of(store: Store, name: str, table: str, column: str) -> int:
    """An offset in a block that holds values of one benchmark only."""
    with duckdb.connect(str(store.path), read_only=True) as connection:
        ((number,),) = connection.execute("select benchmark from benchmarks where name = ?", [name]).fetchall()
        blocks = {}
        for other, first, last in connection.execute(
            f"select benchmark, min(rowid), max(rowid) from {table} group by all"
        ).fetchall():
            segments = connection.execute(
                f"select block_id from pragma_storage_info('{table}') where column_name = '{column}' "
                "and segment_type <> 'VALIDITY' and block_id >= 0 and row_group_id * 122880 + start <= ? "
                "and row_group_id * 122880 + start + count > ?",
                [last, first],
            ).fetchall()
            blocks[other] = {block for (block,) in segments}
    own = blocks.pop(number) - set().union(*blocks.values())
    return 3 * 4096 + min(own) * 262_144 + 1000


def test_a_whole_database_is_found_whole(store: Store) -> None:
    assert [(finding.benchmark, finding.data, finding.computed) for finding in verify(store.path)] == [
        (name, "", "") for name in NAMES
    ]
    assert store.damaged() == {}


def test_changed_content_is_found_though_every_block_can_be_read(store: Store) -> None:
    with duckdb.connect(str(store.path)) as connection:
        connection.execute(
            "update outcomes set score = 0.123 where prompt = 17 and model = 1 "
            "and benchmark = (select benchmark from benchmarks where name = 'two')"
        )
    found = {finding.benchmark: finding.data for finding in verify(store.path)}
    assert found == {"one": "", "two": "The content is not what was stored.", "three": ""}


def test_damage_of_one_benchmark_leaves_the_others_open(store: Store) -> None:
    flip(store, block_of(store, "two", "outcomes", "score"))
    assert {info.name for info in store.benchmarks()} == set(NAMES)
    with pytest.raises(StoreError, match="carrot data rebuild"):
        store.load("two")
    for name in ("one", "three"):
        assert store.load(name).outcomes.shape == (SIZE, 4)
    assert [finding.benchmark for finding in verify(store.path) if finding.data] == ["two"]


@pytest.mark.slow
def test_whatever_block_is_damaged_each_benchmark_is_either_listed_or_named_as_damaged(
    store: Store, whole: bytes
) -> None:
    partly = 0
    for at in range(3 * 4096 + 1000, len(whole), 262_144):
        store.path.write_bytes(whole)
        flip(store, at)
        try:
            listed = {info.name for info in store.benchmarks()}
        except StoreError:
            continue
        damaged = store.damaged()
        assert listed | set(damaged) == set(NAMES)
        assert not listed & set(damaged)
        assert all(str(store.path) in reason for reason in damaged.values())
        partly += bool(damaged)
    assert partly, "no block was one that only some benchmarks need"


def test_rebuild_keeps_what_is_whole_and_puts_the_damaged_file_aside(store: Store, whole: bytes) -> None:
    runs = {name: [run.run_id for run in store.runs(name)] for name in NAMES}
    vectors = len(store.missing_texts("one", "mini"))
    expected = {info.name: info for info in store.benchmarks()}
    flip(store, block_of(store, "two", "outcomes", "score"))
    damaged = store.path.read_bytes()
    aside, findings = rebuild(store.path)
    assert aside.read_bytes() == damaged
    assert [finding.benchmark for finding in findings if finding.data] == ["two"]
    assert {info.name: info for info in store.benchmarks()} == {name: expected[name] for name in ("one", "three")}
    for name in ("one", "three"):
        assert [run.run_id for run in store.runs(name)] == runs[name]
        assert store.load_run(runs[name][0]).estimates is not None
    assert len(store.missing_texts("one", "mini")) == vectors
    store.save_benchmark("two", frames(seed=1))
    assert all(not finding.data for finding in verify(store.path))


def test_rebuild_of_what_holds_nothing_whole_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    store.save_benchmark("only", frames())
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("update outcomes set score = 0.5")
    before = store.path.read_bytes()
    with pytest.raises(StoreError, match="No benchmark"):
        rebuild(store.path)
    assert store.path.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["carrot.duckdb", "carrot.duckdb.lock"]


def test_nothing_to_verify_or_rebuild(tmp_path: Path) -> None:
    for use in (verify, rebuild):
        with pytest.raises(NotFoundError):
            use(tmp_path / "carrot.duckdb")


def test_the_commands_say_what_is_damaged_and_what_was_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(store.path.parent))
    flip(store, block_of(store, "two", "outcomes", "score"))
    said = CliRunner().invoke(main, ["data", "verify"])
    assert said.exit_code == 0, said.output
    assert "one: whole" in said.stdout
    assert "two: damaged" in said.stdout
    said = CliRunner().invoke(main, ["data", "rebuild"])
    assert said.exit_code == 0, said.output
    assert "has one, three" in said.stdout
    assert "import them again" in said.stdout


def uses(store: Store) -> list[Callable[[], object]]:
    return [
        store.benchmarks,
        store.damaged,
        *[lambda name=name: store.load(name, encoder="mini") for name in NAMES],
        *[lambda name=name: store.runs(name) for name in NAMES],
        lambda: verify(store.path),
        lambda: store.save_benchmark("new", frames(n_prompts=50, seed=9)),
    ]


@pytest.mark.slow
def test_one_bit_anywhere_is_an_error_of_ours_or_changes_nothing(tmp_path: Path) -> None:
    """In a process of its own each time: a crash of DuckDB must not pass for an error of ours."""
    store = Store(tmp_path / "carrot.duckdb")
    whole = built(store.path, 1500)
    rng, fates = random.Random(7), []
    headers = [rng.randrange(3 * 4096) for _ in range(10)]
    for at in headers + [rng.randrange(len(whole)) for _ in range(30)]:
        store.path.write_bytes(whole)
        flip(store, at)
        child = os.fork()
        if child == 0:
            os._exit(_fate(store))
        status = os.waitpid(child, 0)[1]
        assert os.WIFEXITED(status), f"a bit turned at {at} ends the process"
        fates.append(os.WEXITSTATUS(status))
        assert fates[-1] in (0, 1), f"a bit turned at {at} is no error of ours, or goes unnoticed"
    assert {0, 1} == set(fates)


def _fate(store: Store) -> int:
    """0: everything reads as it was; 1: an error of ours; 2: something else."""
    refused = 0
    try:
        for use in uses(store):
            try:
                found = use()
            except StoreError as error:
                refused = 1 if str(store.path) in str(error) else 2
            else:
                if isinstance(found, list) and found and hasattr(found[0], "data") and not refused:
                    refused = int(any(finding.data or finding.computed for finding in found))
    except BaseException:
        return 2
    return refused


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_an_error_that_names_it(store: Store, whole: bytes, share: float) -> None:
    store.path.write_bytes(whole[: int(share * len(whole))])

    def use() -> None:
        for name in NAMES:
            store.load(name)
        store.save_benchmark("new", frames(n_prompts=50, seed=9))

    with pytest.raises(CarrotError) as caught:
        use()
    assert str(store.path) in str(caught.value)
