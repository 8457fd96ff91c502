"""Modes: who may listen where, and every writer of shared files in public mode."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from carrot_core import CarrotRouter, modes
from carrot_core.benchmarks.hub import fetch
from carrot_core.benchmarks.log_table import keep_log
from carrot_core.cli import main
from carrot_core.errors import CarrotError, StoreError
from carrot_core.modes import FRAMED_BY, VARIABLE, check_address, frame_ancestors
from carrot_core.points import PointShelf, shared_points
from carrot_core.store import Store
from carrot_core.store.maintenance import copy_benchmark, rebuild
from tests.points.test_difference import point
from tests.store.test_store import a_run, vector_file
from tests.tables import frames

LOCAL = ("localhost", "127.0.0.1", "127.0.0.2", "::1")
ELSEWHERE = ("0.0.0.0", "::", "", "192.168.1.7", "carrot.example")


@pytest.mark.parametrize("address", LOCAL)
def test_this_machine_alone_needs_no_choice(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    check_address(address)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_where_others_reach_the_server_the_mode_is_to_be_chosen(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(CarrotError, match=f"{VARIABLE}=public"):
        check_address(address)
    for choice in modes.Mode:
        monkeypatch.setenv(VARIABLE, choice)
        check_address(address)


@pytest.mark.parametrize("command", ["app", "serve"])
@pytest.mark.parametrize(("options", "setting"), [(("--address", "0.0.0.0"), ""), ((), "open")])
def test_no_server_starts_without_a_mode_that_fits(
    monkeypatch: pytest.MonkeyPatch, command: str, options: tuple[str, ...], setting: str
) -> None:
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("the server was started"))
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: pytest.fail("the server was started"))
    monkeypatch.setenv(VARIABLE, setting)
    result = CliRunner().invoke(main, [command, *options])
    assert result.exit_code == 1
    assert VARIABLE in result.output
    assert "public" in result.output


HUB = "https://huggingface.co"


def test_nobody_may_frame_the_dashboard_but_the_sites_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FRAMED_BY, raising=False)
    assert frame_ancestors() == "'none'"
    monkeypatch.setenv(FRAMED_BY, f"{HUB} https://carrot.example:8443")
    assert frame_ancestors() == f"{HUB} https://carrot.example:8443"


@pytest.mark.parametrize("site", ["*", "http://huggingface.co", "https://*.co", "https://a.example/x", "a.example"])
def test_a_pattern_or_a_site_without_tls_may_frame_nothing(monkeypatch: pytest.MonkeyPatch, site: str) -> None:
    monkeypatch.setenv(FRAMED_BY, f"{HUB} {site}")
    with pytest.raises(CarrotError, match=FRAMED_BY):
        frame_ancestors()


READERS = {
    "path", "version", "folder", "folders", "shadows", "benchmarks", "damaged", "reading", "info", "load",
    "missing_texts", "runs", "load_run", "take_over",  # which changes nothing without a database of version 0.2
}  # fmt: skip
TEXT, VECTORS = "text 0 0", np.ones((1, 384), dtype=np.float32)
WRITERS: dict[str, Callable[[Store], object]] = {
    "save_benchmark": lambda store: store.save_benchmark("third", frames()),
    "change_benchmark": lambda store: store.change_benchmark("first", lambda frames: frames),
    "remove_benchmark": lambda store: store.remove_benchmark("second"),
    "add_vectors": lambda store: store.add_vectors("e", [TEXT], VECTORS, benchmark="first"),
    "add_vectors_of_hashes": lambda store: store.add_vectors_of_hashes("first", "e", ["0" * 64], VECTORS),
    "copy_vectors": lambda store: store.copy_vectors("first", "e"),
    "gather_vectors": lambda store: store.gather_vectors("second"),
    "import_vectors": lambda store: store.import_vectors("first", store.path.parent / "vectors.parquet", "e"),
    "save_run": lambda store: store.save_run(a_run(store.load("first"))),
}
OTHER_WRITERS: dict[str, Callable[[Store], object]] = {
    "replace": lambda store: store.save_benchmark("first", frames(seed=1), replace=True),
    "copy": lambda store: copy_benchmark(store, "first", store, "copy"),
    "rebuild": rebuild,
    "keep a point": lambda store: shared_points().keep(point()),
    "rename a point": lambda store: shared_points().note(_only_point(), "mine", ""),
    "delete a point": lambda store: shared_points().delete(_only_point()),
    "restore a point": lambda store: shared_points().restore("0" * 16),
    "keep a log": lambda store: keep_log("log", []),
    "fetch from the hub": lambda store: fetch("owner/name", ["*.parquet"]),
    "a router of the hub": lambda store: CarrotRouter.load("owner/name", store=store),
}


def _only_point() -> str:
    (record,) = shared_points().listing().points
    return record.id


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two benchmarks of the same prompts, vectors of one, a run on one that was fitted on the other; a point."""
    home = tmp_path_factory.mktemp("home")
    store = Store(home / "carrot.duckdb")
    for name in ("first", "second"):
        store.save_benchmark(name, frames())
    store.add_vectors("e", [TEXT], VECTORS, benchmark="second")
    store.save_run(a_run(store.load("first"), fit_on="second"))
    PointShelf(home / "points").keep(point())
    vector_file(home / "vectors.parquet", ["id 00000"], [[1.0] * 384])
    return home


@pytest.fixture
def public(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of a public server."""
    monkeypatch.setenv("CARROT_HOME", str(shared_home))
    monkeypatch.setenv(VARIABLE, "public")
    return Store()


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_method_of_a_store_is_known_to_read_or_to_write() -> None:
    methods = {name for name, _ in inspect.getmembers(Store) if not name.startswith("_")}
    assert methods == READERS | set(WRITERS)
    assert not READERS & set(WRITERS)


@pytest.mark.parametrize("writer", [*WRITERS, *OTHER_WRITERS])
def test_no_writer_changes_what_visitors_of_a_public_server_share(public: Store, writer: str) -> None:
    """Regression: a removal took away the runs of other benchmarks before it came to the lock."""
    before = _files(public.path.parent)
    with pytest.raises(StoreError, match="public"):
        (WRITERS | OTHER_WRITERS)[writer](public)
    assert _files(public.path.parent) == before


def test_a_public_server_leaves_a_database_of_version_0_2_where_it_is(
    public: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("CARROT_HOME", str(shutil.copytree(public.path.parent, home)))
    store = Store()
    store.old_file.write_bytes(b"what an old program kept")
    before = _files(home)
    assert "public" in str(store.take_over())
    assert _files(home) == before


def test_a_mode_that_is_none_opens_nothing(public: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "Personal")
    with pytest.raises(StoreError, match="public"):
        public.remove_benchmark("second")


def test_a_folder_of_a_session_is_its_own_until_the_session_is_over(public: Store, tmp_path: Path) -> None:
    own, shelf = Store(tmp_path / "carrot.duckdb"), PointShelf(tmp_path / "points")
    modes.add_session_folder(tmp_path)
    copy_benchmark(public, "first", own)
    shelf.delete(shelf.keep(point()))
    own.remove_benchmark("first")
    modes.drop_session_folder(tmp_path)
    with pytest.raises(StoreError, match="public"):
        shelf.keep(point())


def test_the_command_line_is_the_operators(public: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("CARROT_HOME", str(shutil.copytree(public.path.parent, home)))
    result = CliRunner().invoke(main, ["data", "remove", "second"])
    assert result.exit_code == 0, result.output
    assert [info.name for info in Store().benchmarks()] == ["first"]
    with pytest.raises(StoreError, match="public"):  # it was the command's alone
        Store().remove_benchmark("first")
