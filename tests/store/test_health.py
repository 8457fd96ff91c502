"""Damaged databases: what is still readable is told apart, stays open, and moves into a new file."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner

from carrot_core.cli import main
from carrot_core.errors import NotFoundError, StoreError
from carrot_core.evaluation.runs import run_router
from carrot_core.store import Store
from carrot_core.store.maintenance import rebuild, verify
from tests.tables import frames, main_file

pytestmark = pytest.mark.slow

NAMES = ("one", "three", "two")
SIZE = 2000  # prompts: enough for several blocks


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of benchmarks with vectors and a fitted baseline."""
    store = Store(tmp_path_factory.mktemp("whole") / "carrot.store")
    for seed, name in enumerate(NAMES):
        store.save_benchmark(name, frames(n_prompts=SIZE, n_models=4, seed=seed, split=True))
        texts = store.missing_texts(name, "mini")[:500]
        store.add_vectors("mini", texts, np.random.default_rng(seed).normal(size=(len(texts), 8)), benchmark=name)
        run_router(store, store.load(name), "zero")
    return store.path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Store:
    shutil.copytree(whole, tmp_path / "carrot.store")
    return Store(tmp_path / "carrot.store")


def flip(file: Path, at: int) -> None:
    """Turn one bit of a file."""
    with file.open("r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 4]))


def block_of(file: Path, table: str, column: str) -> int:
    """An offset in a block that holds values of one column."""
    with duckdb.connect(str(file), read_only=True) as connection:
        ((block,),) = connection.execute(
            f"select min(block_id) from pragma_storage_info('{table}') where column_name = '{column}' "
            "and segment_type <> 'VALIDITY' and block_id >= 0"
        ).fetchall()
    return 3 * 4096 + int(block) * 262_144 + 1000


def computed(store: Store, name: str, kind: str) -> Path:
    """A file of what was computed from a benchmark."""
    return next(main_file(store, name).parent.glob(f"{kind}-*"))


def test_a_whole_database_is_found_whole(store: Store) -> None:
    assert [(finding.benchmark, finding.data, finding.computed) for finding in verify(store)] == [
        (name, "", "") for name in NAMES
    ]
    assert store.damaged() == {}


def test_changed_content_is_found_though_every_block_can_be_read(store: Store) -> None:
    with duckdb.connect(str(main_file(store, "two"))) as connection:
        connection.execute("update outcomes set score = 0.123 where prompt = 17 and model = 1")
    result = {finding.benchmark: finding.data for finding in verify(store)}
    assert result == {"one": "", "two": "The content is not what was stored.", "three": ""}


def test_damage_of_one_benchmark_leaves_the_others_open(store: Store) -> None:
    flip(two := main_file(store, "two"), block_of(two, "outcomes", "score"))
    assert {info.name for info in store.benchmarks()} == set(NAMES)
    with pytest.raises(StoreError, match="carrot data rebuild"):
        store.load("two")
    for name in ("one", "three"):
        assert store.load(name).outcomes.shape == (SIZE, 4)
    assert [finding.benchmark for finding in verify(store) if finding.data] == ["two"]


def test_damage_of_what_was_computed_leaves_the_benchmark_whole(store: Store) -> None:
    vectors, run = computed(store, "one", "vectors"), computed(store, "two", "run")
    flip(vectors, block_of(vectors, "embeddings", "vector"))
    flip(run, block_of(run, "estimates", "est_score"))
    assert {info.name for info in store.benchmarks()} == set(NAMES)
    findings = {finding.benchmark: (finding.data, str(store.path) in finding.computed) for finding in verify(store)}
    assert findings == {"one": ("", True), "two": ("", True), "three": ("", False)}


def test_whatever_block_is_damaged_each_benchmark_is_either_listed_or_named_as_damaged(store: Store) -> None:
    damaged_once = 0
    file = main_file(store, "two")
    whole = file.read_bytes()
    for at in [100, *range(3 * 4096 + 1000, len(whole), 262_144)]:
        file.write_bytes(whole)
        flip(file, at)
        listed, damaged = {info.name for info in store.benchmarks()}, store.damaged()
        assert listed | set(damaged) == set(NAMES)
        assert set(damaged) == {"one", "two", "three"} - listed <= {"two"}
        assert all(str(file) in reason for reason in damaged.values())
        damaged_once += bool(damaged)
    assert damaged_once, "no block was one that the description needs"


def test_rebuild_keeps_what_is_whole_and_puts_damaged_files_aside(store: Store) -> None:
    runs = {name: [run.run_id for run in store.runs(name)] for name in NAMES}
    missing = len(store.missing_texts("one", "mini"))
    expected = {info.name: info for info in store.benchmarks()}
    two, run = main_file(store, "two"), computed(store, "three", "run")
    flip(two, block_of(two, "outcomes", "score"))
    flip(run, block_of(run, "estimates", "est_score"))
    damaged = {path: path.read_bytes() for path in (two, run)}
    before = store.version("one")
    aside, findings = rebuild(store)
    assert aside is not None
    assert [finding.benchmark for finding in findings if finding.data] == ["two"]
    assert [finding.benchmark for finding in findings if finding.computed] == ["three"]
    assert next(aside.rglob(two.name)).read_bytes() == damaged[two]
    assert next(aside.rglob(run.name)).read_bytes() == damaged[run]
    assert {info.name: info for info in store.benchmarks()} == {name: expected[name] for name in ("one", "three")}
    assert store.version("one") == before
    assert [run.run_id for run in store.runs("one")] == runs["one"]
    assert store.load_run(runs["one"][0]).estimates is not None
    assert store.runs("three") == []
    assert len(store.missing_texts("one", "mini")) == missing
    store.save_benchmark("two", frames(seed=1))
    assert not any(finding.data or finding.computed for finding in verify(store))
    assert rebuild(store)[0] is None


def test_rebuild_of_what_holds_nothing_whole_sets_it_aside(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    store.save_benchmark("only", frames())
    with duckdb.connect(str(main_file(store, "only"))) as connection:
        connection.execute("update outcomes set score = 0.5")
    before = main_file(store, "only").read_bytes()
    aside, findings = rebuild(store)
    assert aside is not None
    assert [finding.benchmark for finding in findings if finding.data] == ["only"]
    assert next(aside.rglob("benchmark.duckdb")).read_bytes() == before
    assert (store.benchmarks(), store.damaged()) == ([], {})


def test_nothing_to_verify_or_rebuild(tmp_path: Path) -> None:
    for use in (verify, rebuild):
        with pytest.raises(NotFoundError):
            use(Store(tmp_path / "carrot.duckdb"))


def test_the_commands_say_what_is_damaged_and_what_was_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(store.path.parent))
    flip(two := main_file(store, "two"), block_of(two, "outcomes", "score"))
    message = CliRunner().invoke(main, ["data", "verify"])
    assert message.exit_code == StoreError.exit_code, message.output
    assert "one: whole" in message.stdout
    assert "two: damaged" in message.stdout
    message = CliRunner().invoke(main, ["data", "rebuild"])
    assert message.exit_code == 0, message.output
    assert "has one, three" in message.stdout
    assert "two; import them again" in message.stdout
    assert CliRunner().invoke(main, ["data", "rebuild", "--json"]).exit_code == 0


def uses(store: Store) -> list[Callable[[], object]]:
    return [
        store.benchmarks,
        store.damaged,
        *[lambda name=name: store.load(name, encoder="mini") for name in ("one", "two")],
        *[lambda name=name: store.runs(name) for name in ("one", "two")],
        lambda: verify(store),
        lambda: store.save_benchmark("new", frames(n_prompts=50, seed=9), replace=True),
    ]


def test_one_bit_anywhere_is_an_error_of_ours_or_changes_nothing(store: Store) -> None:
    """In a process of its own each time: a crash of DuckDB must not pass for an error of ours."""
    rng, fates = random.Random(7), []
    for file in (main_file(store, "two"), computed(store, "two", "vectors"), computed(store, "two", "run")):
        whole = file.read_bytes()
        for at in (rng.randrange(3 * 4096), rng.randrange(len(whole))):
            file.write_bytes(whole)
            flip(file, at)
            child = os.fork()
            if child == 0:
                os._exit(_fate(store, file))
            status = os.waitpid(child, 0)[1]
            assert os.WIFEXITED(status), f"a bit turned at {at} of {file.name} ends the process"
            fates.append(os.WEXITSTATUS(status))
            assert fates[-1] in (0, 1), f"a bit turned at {at} of {file.name} is no error of ours, or goes unnoticed"
        file.write_bytes(whole)
    assert {0, 1} == set(fates)


def _fate(store: Store, file: Path) -> int:
    """0: everything reads as it was; 1: an error of ours; 2: something else, or another benchmark suffers."""
    refused = 0
    try:
        for use in uses(store):
            try:
                result = use()
            except StoreError as error:
                refused = 1 if str(file) in str(error) else 2
            else:
                if isinstance(result, list) and result and hasattr(result[0], "data") and not refused:
                    refused = int(any(finding.data or finding.computed for finding in result))
    except BaseException:
        return 2
    return refused
