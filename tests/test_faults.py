"""One broken file breaks itself alone: it is named where it is wanted, all else works, and mending it is enough.

Every kind of file of ``data/`` and of ``CARROT_HOME`` is cut, replaced by noise, removed and made unreadable, in a
process that has read it before.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient
from streamlit.testing.v1 import AppTest

from carrot_core import paths, theory
from carrot_core.api import answers, create_app, settings_of
from carrot_core.benchmarks.built_in import (
    card_of,
    folder_of,
    read_built_in,
    read_simulated,
    vectors_of_built_in,
    vectors_of_simulated,
)
from carrot_core.cli import main
from carrot_core.dashboard import stores
from carrot_core.dashboard.shell import plain
from carrot_core.errors import CarrotError, StoreError
from carrot_core.evaluation.runs import run_router
from carrot_core.points import shared_points
from carrot_core.results import damaged_snapshots, list_prices, shipped_snapshots
from carrot_core.results.snapshot import SnapshotResults, read, read_comparison
from carrot_core.serving import CarrotRouter
from carrot_core.serving.loading import shipped_head
from carrot_core.store import Store
from tests.points.test_difference import point
from tests.tables import frames, long_table, main_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
FAULTS = ("cut", "noise", "removed", "unreadable")
NAME, WHOLE = "frugalgpt-overruling", "openhands-index"


@contextmanager
def broken(file: Path, fault: str) -> Iterator[None]:
    """A file that is damaged for a while."""
    aside = file.with_name(f".{file.name}.aside")
    content = file.read_bytes()
    file.rename(aside)
    if fault == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif fault == "noise":
        file.write_bytes(random.Random(1).randbytes(len(content)))
    elif fault == "unreadable" and os.geteuid() == 0:
        file.mkdir()  # what even root cannot read
    elif fault == "unreadable":
        file.touch(mode=0)
    try:
        yield
    finally:
        if file.is_dir():
            file.rmdir()
        aside.replace(file)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what ships, made of links, in the place of the real one."""
    folder = tmp_path / "data"
    for part in ("snapshots", "heads", "benchmarks", "simulated", "theory"):
        shutil.copytree(paths.SHIPPED / part, folder / part, copy_function=lambda old, new: Path(new).symlink_to(old))
    (folder / "models.csv").symlink_to(paths.SHIPPED / "models.csv")
    monkeypatch.setattr(paths, "SHIPPED", folder)
    return folder


def snapshot() -> SnapshotResults:
    return read(paths.shipped("snapshots") / NAME)


# Every kind of file that ships, and what reads it.
USES: dict[str, Callable[[], object]] = {
    f"snapshots/{NAME}/snapshot.json": snapshot,
    f"snapshots/{NAME}/curves.parquet": lambda: snapshot().curve("oracle"),
    f"snapshots/{NAME}/shares.parquet": lambda: snapshot().curve("oracle"),
    f"snapshots/{NAME}/bands.parquet": lambda: snapshot().scene(("carrot-knn",), "carrot-knn"),
    f"snapshots/{NAME}/tasks.parquet": lambda: snapshot().by_task("carrot-knn", 1.0),
    f"snapshots/{NAME}/analysis-usage.parquet": lambda: snapshot().analysis("usage", ("carrot-knn",)),
    f"snapshots/{NAME}/comparison.json": lambda: snapshot().seeds(()),
    f"snapshots/{NAME}/figures.parquet": lambda: snapshot().comparison((), (0,)),
    f"snapshots/{NAME}/pairs.parquet": lambda: snapshot().comparison((), (0,)),
    f"snapshots/{NAME}/quality.parquet": lambda: read_comparison(paths.shipped("snapshots") / NAME),
    f"snapshots/{NAME}/differences.parquet": lambda: read_comparison(paths.shipped("snapshots") / NAME),
    "snapshots/routellm/list_prices.csv": lambda: list_prices(paths.shipped("snapshots") / "routellm"),
    f"heads/{NAME}/router.json": lambda: shipped_head(NAME),
    f"heads/{NAME}/router.safetensors": lambda: shipped_head(NAME),
    f"benchmarks/{WHOLE}/card.json": lambda: card_of(folder_of(WHOLE)),
    f"benchmarks/{WHOLE}/models.csv": lambda: read_built_in(folder_of(WHOLE)),
    f"benchmarks/{WHOLE}/prices.csv": lambda: read_built_in(folder_of(WHOLE)),
    f"benchmarks/{WHOLE}/prompts.parquet": lambda: read_built_in(folder_of(WHOLE)),
    f"benchmarks/{WHOLE}/outcomes.parquet": lambda: read_built_in(folder_of(WHOLE)),
    f"benchmarks/{WHOLE}/vectors.safetensors": lambda: vectors_of_built_in(folder_of(WHOLE)),
    "simulated/prompts.parquet": read_simulated,
    "simulated/models.parquet": read_simulated,
    "simulated/outcomes.parquet": read_simulated,
    "simulated/vectors.safetensors": vectors_of_simulated,
    "theory/runs.parquet": theory.slopes,
    "theory/spectra.parquet": theory.shipped_spectra,
    "theory/dimensions.parquet": theory.shipped_dimensions,
}
# A table that older snapshots lack may be missing, and half a table of text may read as a shorter one.
UNNOTICED = {
    "removed": ("analysis-", "figures", "pairs", "quality", "differences", "list_prices.csv"),
    "cut": ("models.csv", "prices.csv", "list_prices.csv"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("file", USES)
def test_a_broken_file_that_ships_is_named_where_it_is_read_and_hinders_nothing_else(
    file: str, fault: str, data: Path
) -> None:
    path, use = data / file, USES[file]
    use()
    with broken(path, fault):
        if not path.name.startswith(UNNOTICED.get(fault, ())):
            with pytest.raises(CarrotError, match=f"{path.name}|{path.parent.name}"):
                use()
        listed = {info.name for info in shipped_snapshots()}
        assert listed | damaged_snapshots().keys() == {folder.name for folder in data.glob("snapshots/*/")}
        assert damaged_snapshots().keys() == ({NAME} if path.name == "snapshot.json" else set())
        assert not Store().damaged()
        others = {name: use for name, use in USES.items() if Path(name).parent != Path(file).parent}
        for other in ("theory/spectra.parquet", f"heads/{NAME}/router.json", f"snapshots/{NAME}/snapshot.json"):
            if other in others:
                others[other]()
    use()


@pytest.mark.parametrize("lost", ["warnings", "models", "name", "n_prompts"])
def test_a_snapshot_whose_description_lacks_a_part_is_named(data: Path, lost: str) -> None:
    path = data / "snapshots" / NAME / "snapshot.json"
    document = json.loads(path.read_bytes())
    del document["benchmark"][lost]
    path.unlink()  # a link to the real one
    path.write_text(json.dumps(document))
    assert NAME not in {info.name for info in shipped_snapshots()}
    assert NAME in damaged_snapshots()


@pytest.mark.parametrize("fault", ["noise", "removed", "unreadable"])
def test_snapshots_do_without_the_facts_of_their_models(data: Path, fault: str) -> None:
    whole = shipped_snapshots()
    with broken(data / "models.csv", fault):
        assert [info.name for info in shipped_snapshots()] == [info.name for info in whole]
        assert damaged_snapshots().keys() == {"models.csv"}
    assert shipped_snapshots() == whole
    assert not damaged_snapshots()


def test_data_whose_document_is_broken_are_taken_for_no_data_of_the_store(data: Path, store: Store) -> None:
    store.save_benchmark(NAME, frames(seed=3), shadow=True)
    with broken(data / "snapshots" / NAME / "snapshot.json", "cut"):
        assert paths.shipped_data()[NAME] == ""
        assert store.shadows(NAME)
        assert not store.shadows(WHOLE)


# The store


@pytest.fixture
def two(carrot_home: Path, first_saved: Path) -> Store:
    """The store of the test's own home, with two benchmarks."""
    shutil.copytree(first_saved, carrot_home / "carrot.store")
    Store().save_benchmark("second", frames(seed=1))
    return Store()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_benchmark_is_named_and_the_others_are_listed(two: Store, fault: str) -> None:
    with broken(main_file(two), fault):
        assert [info.name for info in two.benchmarks()] == ["second"]
        assert two.damaged().keys() == {"first"}
        assert two.load("second").outcomes.shape == (20, 3)
    assert [info.name for info in two.benchmarks()] == ["first", "second"]
    assert not two.damaged()


@pytest.mark.parametrize("fault", ["cut", "noise", "unreadable"])
def test_a_broken_run_is_named_and_the_others_stay(store_of: Callable[..., Store], fault: str) -> None:
    store = store_of("carrot-knn", "carrot-linear")
    runs = store.runs("made")
    assert len(runs) == 2
    file = next(main_file(store, "made").parent.glob(f"run-{runs[0].run_id}*"))
    with broken(file, fault):
        assert [run.run_id for run in store.runs("made")] == [runs[1].run_id]
        assert store.damaged().keys() == {"made (a fitted router)"}
        assert file.name in store.damaged()["made (a fitted router)"]
    assert store.runs("made") == runs


def test_an_old_database_that_is_broken_hinders_nobody(two: Store, carrot_home: Path) -> None:
    (carrot_home / "carrot.duckdb").write_bytes(random.Random(1).randbytes(10_000))
    assert two.damaged().keys() == {"carrot.duckdb"}
    assert [info.name for info in two.benchmarks()] == ["first", "second"]
    assert not any(two.shadows(info.name) for info in shipped_snapshots())
    with pytest.raises(CarrotError, match=r"carrot\.duckdb"):
        two.load("third")  # it may be in there


# Pages


def page(name: str) -> AppTest:
    st.cache_data.clear()
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    return app.switch_page(f"pages/{name}.py").run()


@pytest.mark.parametrize("name", ["overview", "data"])
def test_a_page_names_what_is_broken_and_shows_the_rest(two: Store, data: Path, name: str) -> None:
    with broken(data / "snapshots" / NAME / "snapshot.json", "cut"), broken(main_file(two), "noise"):
        app = page(name)
        assert not app.exception
        listed = app.selectbox(key="bench").options
        assert "second" in listed
        assert not any(option.startswith(("first", NAME)) for option in listed)
        words = " ".join(error.value for error in app.error)
        assert plain(NAME) in words
        assert "first is damaged" in words
    app = page(name)
    assert not app.exception
    assert not app.error


# `carrot data verify` and `carrot doctor`


def carrot(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_the_list_of_what_ships_is_of_the_files_that_ship() -> None:
    assert paths.sums_of_shipped() == paths.shipped(paths.SUMS).read_text(), "after a change of data/: `make sums`"


def test_the_doctor_finds_every_kind_of_fault_in_every_kind_of_file(two: Store, carrot_home: Path, data: Path) -> None:
    for name in (paths.SUMS, "prices.csv", "template.csv"):
        shutil.copy(ROOT / "data" / name, data / name)
    texts = two.missing_texts("first", "mini")
    two.add_vectors("mini", texts, np.ones((len(texts), 3)), benchmark="first")
    run_router(two, two.load("second"), "zero")
    point_file = shared_points().path(shared_points().keep(point()))
    (carrot_home / "logs").mkdir()
    long_table(5).to_parquet(carrot_home / "logs" / "march.parquet")
    shutil.copy(data / "prices.csv", carrot_home / "my_prices.csv")
    router = Path(shutil.copytree(data / "heads" / NAME, carrot_home / "routers/owner/mine")) / "router.safetensors"
    assert carrot("doctor").exit_code == 0, carrot("doctor").output
    assert carrot("data", "verify").exit_code == 0
    vectors, run = (next(two.path.rglob(f"{kind}-*.duckdb")) for kind in ("vectors", "run"))
    prices, log = carrot_home / "my_prices.csv", carrot_home / "logs" / "march.parquet"
    own = {vectors: "benchmark first", run: "benchmark second", log: "log march", prices: "your prices"}
    own |= {router: "router owner/mine", point_file: f"operating point {point_file.name}"}
    # What computes itself anew may be gone, half a table of prices is one, and a folder is no point.
    unnoticed: dict[str, set[Path]] = {
        "removed": own.keys() - {router}, "cut": {prices}, "noise": set(),
        "unreadable": {point_file} if os.geteuid() == 0 else set(),
    }  # fmt: skip
    ships = [data / name for name in (*USES, "models.csv", "prices.csv", "template.csv")]
    for fault in FAULTS:
        noticed = {file: part for file, part in own.items() if file not in unnoticed[fault]}
        with ExitStack() as stack:
            for file in (*noticed, *ships):
                stack.enter_context(broken(file, fault))
            answer = carrot("doctor", "--json")
            assert answer.exit_code == StoreError.exit_code
            parts = {each["part"] for each in json.loads(answer.stdout)}
            assert parts == {*noticed.values(), *(f"data/{file.relative_to(data)}" for file in ships)}, fault
            assert carrot("data", "verify").exit_code == (0 if fault == "removed" else StoreError.exit_code)
    assert carrot("doctor").exit_code == 0


def test_what_cannot_be_used_is_set_aside_and_the_rest_stays(two: Store, carrot_home: Path) -> None:
    old = carrot_home / "carrot.duckdb"
    old.write_bytes(random.Random(1).randbytes(10_000))
    main_file(two).unlink()
    verified = carrot("data", "verify")
    assert verified.exit_code == StoreError.exit_code
    assert "carrot.duckdb: damaged" in verified.stdout
    assert "first: damaged" in verified.stdout
    assert carrot("data", "rebuild").exit_code == 0
    assert not old.exists()
    assert not two.damaged()
    assert [info.name for info in two.benchmarks()] == ["second"]
    assert carrot("data", "verify").exit_code == 0


def test_a_list_of_benchmarks_names_the_damaged_ones_too(two: Store) -> None:
    main_file(two).write_bytes(b"")
    listed = carrot("data", "list")
    assert listed.exit_code == 0
    assert "second" in listed.stdout
    assert "first is damaged" in listed.stderr


# The API


@pytest.mark.parametrize("file", ["router.json", "router.safetensors"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_head_is_named_by_the_health_check_which_recovers_when_it_is_mended(
    carrot_home: Path, data: Path, monkeypatch: pytest.MonkeyPatch, fault: str, file: str
) -> None:
    monkeypatch.setattr(CarrotRouter, "warm", lambda router: None)  # its encoder
    monkeypatch.setattr(answers, "RETRY_S", 0.0)
    for folder in data.glob("heads/*/"):
        if folder.name not in ("mmlu-pro-cot", NAME):
            shutil.rmtree(folder)
    with broken(data / "heads" / NAME / file, fault):
        settings = settings_of((), None, ("testserver",))
        client = TestClient(create_app(settings))
        settings.served.warm()
        assert client.get("/api/v1/health").json()["status"] == f"degraded: {NAME}"
        assert client.get("/api/v1/models").status_code == 200
        refused = client.get("/api/v1/models", params={"router": NAME})
        assert (refused.status_code, str(data) in refused.text) == (503, False)
    client.get("/api/v1/health")
    for thread in threading.enumerate():
        if thread.name == "carrot-mend":
            thread.join()
    assert client.get("/api/v1/health").json()["status"] == "ready"
    assert client.get("/api/v1/models", params={"router": NAME}).status_code == 200


def test_a_restarted_server_asks_for_files_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser still lists what it sent to the server before, by the key of the widget."""

    def key() -> str:
        script = "from carrot_core.dashboard.data.upload import upload_panel; upload_panel()"
        (widget,) = AppTest.from_string(script).run().file_uploader
        return str(widget.key)

    assert key() == key()
    before = key()
    monkeypatch.setattr(stores, "_SERVER", "another")
    assert key() != before
