"""A database of version 0.2 becomes a store: once, whole, and also when it is interrupted."""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from carrot_core.benchmarks import Frames
from carrot_core.errors import StoreError
from carrot_core.store import Store, database, maintenance
from carrot_core.store.maintenance import verify
from tests.tables import frames, left_behind

pytestmark = pytest.mark.slow

# Written by version 0.2: two imports of nearly the same texts and one of others, vectors of two encoders and of two
# texts that no benchmark has, runs.
OLD = Path(__file__).with_name("files") / "carrot-0.2.duckdb.gz"
SAME = "a/b: *ö*"
CONTENT: dict[str, Frames] = {
    "first": frames(),
    SAME: frames(n_prompts=12, n_models=2),
    "licensed": replace(
        frames(seed=4, split=True), provenance=replace(frames().provenance, licence="none stated")
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def old_file() -> bytes:
    return gzip.decompress(OLD.read_bytes())


@pytest.fixture
def home(carrot_home: Path, old_file: bytes) -> Path:
    (carrot_home / "carrot.duckdb").write_bytes(old_file)
    return carrot_home


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def check(store: Store, old: Path, names: set[str]) -> None:
    """Everything that the old file has of these benchmarks is in the store."""
    infos = {info.name: info for info in store.benchmarks()}
    assert set(infos) == names
    assert not any(finding.data or finding.computed for finding in verify(store))
    for name in names:
        number, seed, rule, data_hash, note = rows(
            old,
            f"select benchmark, split_seed, split_rule, data_hash, note from benchmarks where name = '{name}'",
        )[0]
        info, bench = infos[name], store.load(name)
        assert (info.split_seed, info.split_rule, info.data_hash, info.note) == (seed, rule, data_hash, note)
        assert info.licence == CONTENT[name].provenance.licence
        assert bench.texts == tuple(CONTENT[name].prompts["text"])
        assert bench.split.tolist() == [
            side
            for (side,) in rows(old, f"select split::varchar from prompts where benchmark = {number} order by prompt")
        ]
        expected = CONTENT[name].outcomes.set_index(["prompt_id", "model"])["score"].unstack()
        np.testing.assert_array_equal(bench.outcomes.score, expected.reindex(bench.prompt_ids)[list(bench.models)])
        for encoder in ("mini", "wide"):
            vectors = dict(
                rows(
                    old,
                    f"select text, vector from prompts join embeddings using (text_sha256) "
                    f"where benchmark = {number} and encoder = '{encoder}'",
                )
            )
            texts = list(dict.fromkeys(text for text in bench.texts if text is not None))
            assert store.missing_texts(name, encoder) == [text for text in texts if text not in vectors]
            table = store.load(name, encoder=encoder).vectors
            assert (table is not None) == (len(vectors) == len(texts))
            if table is not None:
                for text, vector in zip(bench.texts, table, strict=True):
                    assert text is None or vector.tolist() == vectors[text]
        stored = rows(
            old, f"select run, run_id, seed from runs where benchmark = {number} order by created_at desc, run desc"
        )
        assert [(run.run_id, run.seed) for run in store.runs(name)] == [row[1:] for row in stored]
        for run, run_id, _ in stored:
            tables = store.load_run(str(run_id)).estimates or {}
            cells = rows(
                old,
                f"select est_score, est_cost_usd from estimates where run = {run} and split = 'test' "
                "order by prompt, model",
            )
            flat = np.column_stack([tables["test"].score.ravel(), tables["test"].cost_usd.ravel()])
            assert flat.tolist() == [list(cell) for cell in cells]
            assert tables["test"].cost_is_paid == bool(store.load_run(str(run_id)).metrics["cost_is_paid"])


def test_everything_is_taken_over_once_and_the_old_file_stays(
    home: Path, old_file: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert {info.name for info in Store().benchmarks()} == set(CONTENT)
    assert "2 vectors" in caplog.text
    aside = home / "carrot.duckdb.v1"
    assert aside.read_bytes() == old_file
    assert not (home / "carrot.duckdb").exists()
    check(Store(), aside, set(CONTENT))
    assert [run.fit_on for run in Store().runs("licensed")] == ["first"]
    version = Store().version()
    Store().benchmarks()
    assert Store().version() == version
    Store().save_benchmark("first", frames(seed=1), replace=True)  # and a store like any other from here on
    assert Store().runs("licensed") == []


def test_a_takeover_that_is_killed_is_completed_by_the_next_use(home: Path, old_file: bytes) -> None:
    for place in (0, 2):
        child = os.fork()
        if child == 0:
            Store().benchmarks()
            os._exit(0)
        while len(list((home / "carrot.store").glob("*/1"))) < place or not list(home.glob("carrot.store/*/*.writing")):
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "the takeover is over before it could be killed"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        (aside,) = {*home.glob("carrot.duckdb"), *home.glob("carrot.duckdb.v1")}
        assert aside.read_bytes() == old_file
        assert {info.name: info.n_outcomes for info in Store().benchmarks()} == {
            name: len(content.outcomes) for name, content in CONTENT.items()
        }
        assert [len(Store().runs(name)) for name in CONTENT] == [2, 0, 1]
        assert [len(Store().missing_texts(name, "mini")) for name in CONTENT] == [0, 0, 0]
        assert left_behind(Store()) == ["carrot.duckdb.lock", "carrot.duckdb.v1"]
        shutil.rmtree(home / "carrot.store")
        os.replace(home / "carrot.duckdb.v1", home / "carrot.duckdb")


def test_who_comes_at_once_finds_all_of_it(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        listings = list(pool.map(lambda _: [info.name for info in Store().benchmarks()], range(8)))
    assert listings == [sorted(CONTENT)] * 8
    assert [path.name for path in home.glob("*.v1*")] == ["carrot.duckdb.v1"]


def test_a_damaged_benchmark_stays_in_the_old_file_and_is_named(
    home: Path, old_file: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take_parts = maintenance._take_parts

    def damaged(old: Path, number: int, new: Path) -> None:
        take_parts(old, number, new)
        if number == 1:
            raise StoreError("a block of it")

    monkeypatch.setattr(maintenance, "_take_parts", damaged)
    assert "a block of it" in Store().damaged()["carrot.duckdb"]  # all can be read: it is the writing that fails
    assert (home / "carrot.duckdb").read_bytes() == old_file
    monkeypatch.setattr(maintenance, "_problem_of_old", lambda old, number: "a block of it")
    assert [info.name for info in Store().benchmarks()] == sorted({*CONTENT} - {"first"})
    assert "'first' stays there" in caplog.text


def test_a_truncated_old_file_is_named_and_stays(home: Path, old_file: bytes) -> None:
    (home / "carrot.duckdb").write_bytes(old_file[:9000])
    assert "carrot.duckdb" in Store().damaged()["carrot.duckdb"]
    Store().save_benchmark("new", frames())
    assert [info.name for info in Store().benchmarks()] == ["new"]
    assert (home / "carrot.duckdb").read_bytes() == old_file[:9000]


@pytest.mark.parametrize(("version", "says"), [(3, "update CARROT"), (0, "import again")])
def test_an_old_file_of_another_version_stays(home: Path, version: int, says: str) -> None:
    with duckdb.connect(str(home / "carrot.duckdb")) as connection:
        connection.execute("update schema_version set version = ?", [version])
    assert says in Store().damaged()["carrot.duckdb"]
    assert (home / "carrot.duckdb").exists()
    assert not (home / "carrot.store").exists()


def test_changes_another_program_left_unfinished_come_along(home: Path) -> None:
    copy = home / "elsewhere.duckdb"
    copy.write_bytes((home / "carrot.duckdb").read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute("set wal_autocheckpoint = '1TB'")
        connection.execute("update benchmarks set note = 'changed'")
        (home / "carrot.duckdb.wal").write_bytes(Path(f"{copy}.wal").read_bytes())
    assert {info.note for info in Store().benchmarks()} == {"changed"}
    assert (home / "carrot.duckdb.v1.wal").exists()
    assert not (home / "carrot.duckdb.wal").exists()


def test_a_second_old_file_adds_what_the_store_has_not(
    home: Path, old_file: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Store().remove_benchmark("licensed")
    Store().save_benchmark("first", frames(seed=7), replace=True)
    data_hash = Store().info("first").data_hash
    (home / "carrot.duckdb").write_bytes(old_file)  # a program of version 0.2 wrote it anew
    assert {info.name for info in Store().benchmarks()} == set(CONTENT)
    assert Store().info("first").data_hash == data_hash
    assert "'first' stays there" in caplog.text
    assert len(list(home.glob("carrot.duckdb.v1*"))) == 2


def test_a_home_that_cannot_be_written_says_so_and_a_store_in_it_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert re.search(r"cannot be written.*CARROT_HOME", Store().damaged()["carrot.duckdb"])
    monkeypatch.undo()
    store = Store(home / "carrot.duckdb")
    run = store.runs("first")[0]
    monkeypatch.setattr(database.FileLock, "acquire", lambda lock: pytest.fail("a reader takes no turn"))
    for path in store.path.rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    assert store.load("first", encoder="mini").vectors is not None
    assert store.load_run(run.run_id).estimates is not None
    assert {info.name for info in store.benchmarks()} == set(CONTENT)
