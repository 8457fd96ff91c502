"""Modes: who may listen where, every writer of shared files by mode and role, and the log of who changed what."""

from __future__ import annotations

import inspect
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from carrot_core import CarrotRouter, limits, modes
from carrot_core.benchmarks.hub import fetch
from carrot_core.benchmarks.log_table import keep_log
from carrot_core.cli import main
from carrot_core.errors import CarrotError, StoreError
from carrot_core.modes import FRAMED_BY, VARIABLE, check_address, frame_ancestors
from carrot_core.points import PointShelf, shared_points
from carrot_core.roles_audit import VARIABLE as ROLES
from carrot_core.roles_audit import Person, Role, Roles, roles
from carrot_core.store import Store, trash
from carrot_core.store.maintenance import copy_benchmark, rebuild
from tests.points.test_difference import point
from tests.store.test_store import a_run, vector_file
from tests.tables import frames

LOCAL = ("localhost", "127.0.0.1", "127.0.0.2", "::1")
ELSEWHERE = ("0.0.0.0", "::", "", "192.168.1.7", "carrot.example")


@pytest.fixture
def roles_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of roles of this server, in which Ann is an admin."""
    file = tmp_path / "roles.toml"
    file.write_text('[people]\n"Ann@carrot.example" = "admin"\n')
    monkeypatch.setenv(ROLES, str(file))
    return file


@pytest.mark.parametrize("address", LOCAL)
def test_this_machine_alone_needs_no_choice(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    check_address(address)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_where_others_reach_the_server_the_mode_is_to_be_chosen(
    monkeypatch: pytest.MonkeyPatch, roles_file: Path, address: str
) -> None:
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
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("the server was started"))
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: pytest.fail("the server was started"))
    monkeypatch.setenv(VARIABLE, setting)
    result = CliRunner().invoke(main, [command, *options])
    assert result.exit_code == 1
    assert VARIABLE in result.output
    assert "public" in result.output


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, ROLES),
        ("[people", "TOML"),
        ('people = "ann"', "people"),
        ('admins = ["ann"]', "default"),
        ('default = "owner"', "owner"),
        ('[people]\n"ann@carrot.example" = ["admin"]', "ann@"),
        ('[values]\nstaff = "editor"', "claim"),
        ('claim = "groups"', "values"),
    ],
)
@pytest.mark.parametrize("command", ["app", "serve"])
def test_no_team_is_served_without_roles_that_can_be_read(
    monkeypatch: pytest.MonkeyPatch, roles_file: Path, command: str, content: str | None, word: str
) -> None:
    monkeypatch.setattr("os.execve", lambda *_: pytest.fail("the server was started"))
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: pytest.fail("the server was started"))
    monkeypatch.setenv(VARIABLE, "team")
    if content is None:
        monkeypatch.delenv(ROLES)
    else:
        roles_file.write_text(content)
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 1
    assert word in result.output


ANN = {"email": "ann@Carrot.example", "email_verified": True}
GROUPS = Roles(
    {"ann@carrot.example": Role.VIEWER}, "access.groups", {"staff": Role.EDITOR, "owners": Role.ADMIN}, Role.VIEWER
)


@pytest.mark.parametrize(
    ("rules", "claims", "role"),
    [
        (GROUPS, ANN, Role.VIEWER),
        (GROUPS, {**ANN, "access": {"groups": ["owners"]}}, Role.VIEWER),  # a person's own line comes first
        (GROUPS, {"access": {"groups": ["others", "staff", "owners"]}}, Role.ADMIN),
        (GROUPS, {"access": {"groups": "staff"}}, Role.EDITOR),
        (GROUPS, {"access.groups": ["staff"]}, Role.EDITOR),  # a claim whose name has a dot
        (GROUPS, {"access": {"groups": [["owners"], None, 3]}}, Role.VIEWER),
        (GROUPS, {"access": "owners"}, Role.VIEWER),
        (Roles({"ann@carrot.example": Role.ADMIN}), ANN, Role.ADMIN),
        (Roles({"ann@carrot.example": Role.ADMIN}), {**ANN, "email_verified": False}, None),
        (Roles({"ann@carrot.example": Role.ADMIN}), {**ANN, "email_verified": "true"}, Role.ADMIN),
        (Roles({"ann@carrot.example": Role.ADMIN}), {**ANN, "email_verified": "false"}, None),
        (Roles({"ann@carrot.example": Role.VIEWER}, default=Role.EDITOR), {"email": ANN["email"]}, Role.VIEWER),
        (Roles({"ann@carrot.example": Role.ADMIN}, default=Role.EDITOR), {"email": ANN["email"]}, Role.EDITOR),
        (Roles({"ann@carrot.example": Role.ADMIN}), {"email": ANN["email"]}, None),  # anybody may have written it
        (Roles({"ann@carrot.example": Role.ADMIN}), {**ANN, "email": "bob@carrot.example"}, None),
        (Roles(), {"access": {"groups": ["owners"]}}, None),
    ],
)
def test_a_role_comes_of_the_verified_address_else_of_the_claim_else_of_the_default(
    rules: Roles, claims: dict[str, object], role: Role | None
) -> None:
    assert rules.of(claims) == role


def test_a_role_that_is_taken_away_is_gone_at_once(roles_file: Path) -> None:
    assert roles().of(ANN) == Role.ADMIN
    roles_file.write_text('[people]\n"ann@carrot.example" = "viewer"\n')
    assert roles().of(ANN) == Role.VIEWER
    roles_file.write_text("")
    assert roles().of(ANN) is None


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
    "restore a point": lambda store: shared_points().restore(shared_points().deleted()[0][0].id),
    "keep a log": lambda store: keep_log("log", []),
    "restore": lambda store: trash.restore(store, trash.removals(store)[0]),
    "empty the trash": lambda store: trash.empty(store),
    "fetch from the hub": lambda store: fetch("owner/name", ["*.parquet"]),
    "a router of the hub": lambda store: CarrotRouter.load("owner/name", store=store),
}


# What takes something away, or brings it back, needs an admin; all else an editor.
ADMINS = {
    "remove_benchmark",
    "change_benchmark",
    "replace",
    "rebuild",
    "delete a point",
    "restore a point",
    "restore",
    "empty the trash",
}
FAIL = {"fetch from the hub", "a router of the hub", "keep a log"}  # for want of a network, and of a file
SILENT = {"add_vectors", "add_vectors_of_hashes", "copy_vectors", "gather_vectors"}  # computed: no line in the log


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
    store.save_benchmark("gone", frames())
    store.remove_benchmark("gone")
    PointShelf(home / "points").delete(PointShelf(home / "points").keep(point(note="deleted")))
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


def _team(monkeypatch: pytest.MonkeyPatch, role: Role | None, name: str = "ann@carrot.example") -> None:
    """From now on this is a team's server, and somebody with a role acts."""
    monkeypatch.setenv(VARIABLE, "team")
    monkeypatch.setattr(modes, "_person_of_session", lambda: Person(name, role))


def _log(home: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (home / "audit.jsonl").read_text("ascii").splitlines()]


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("writer", [*WRITERS, *OTHER_WRITERS])
def test_a_writer_of_a_team_asks_for_its_role(
    shared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, role: Role | None
) -> None:
    least = Role.ADMIN if writer in ADMINS else Role.EDITOR
    allowed = role is not None and role >= least
    home = shutil.copytree(shared_home, tmp_path / "home") if allowed else shared_home
    monkeypatch.setenv("CARROT_HOME", str(home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    _team(monkeypatch, role)
    before, write = _files(home), (WRITERS | OTHER_WRITERS)[writer]
    if not allowed:
        with pytest.raises(StoreError, match="needs the role"):
            write(Store())
        after = _files(home)
        assert {name: after[name] for name in before} == before
        assert {name for name in after if not name.startswith("audit.")} == set(before)
        result = "refused"
    elif writer in FAIL:
        with pytest.raises(CarrotError):
            write(Store())
        result = "failed"
    else:
        write(Store())
        result = "done"
    if writer in SILENT:
        assert not (home / "audit.jsonl").exists()
    else:
        (line,) = _log(home)
        for left in home.glob("audit.*"):
            left.unlink()
        assert (line["who"], line["result"]) == ("ann@carrot.example", result)


def test_nobody_is_a_writer_of_a_team_but_who_has_logged_in(public: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "team")
    assert modes.person() is None
    with pytest.raises(StoreError, match="admin"):
        public.remove_benchmark("second")


@pytest.fixture
def team_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home of a team's server, empty."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("CARROT_HOME", str(home))
    return home


def test_the_log_says_who_did_what_and_when_and_no_name_forges_a_line(
    team_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = 'x"}\n{"who": "bob@carrot.example", "what": "remove"}\u2028\x85' + "x" * 1000
    _team(monkeypatch, Role.EDITOR, name=f"ann{forged}")
    with modes.action("import", forged, team_home):
        pass
    with pytest.raises(ValueError, match="text of a prompt"), modes.action("import", "mine", team_home):
        raise ValueError("text of a prompt")
    first, second = _log(team_home)
    assert first["who"] == f"ann{forged}"[: limits.AUDIT_CHARACTERS]
    assert first["on"] == forged[: limits.AUDIT_CHARACTERS]
    assert first["when"].endswith("+00:00")
    assert [first["result"], second["result"]] == ["done", "failed"]
    assert "prompt" not in (team_home / "audit.jsonl").read_text()
    assert stat.S_IMODE((team_home / "audit.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("most", [1, 3])
def test_the_log_is_bounded_and_loses_its_oldest_lines_first(
    team_home: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(limits, "AUDIT_BYTES", 500)
    monkeypatch.setattr(limits, "AUDIT_FILES", most)
    _team(monkeypatch, Role.EDITOR)
    for number in range(30):
        with modes.action("import", str(number), team_home):
            pass
    files = sorted(team_home.glob("audit*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    assert len(files) == most
    numbers = [int(json.loads(line)["on"]) for path in files for line in path.read_text().splitlines()]
    assert numbers == list(range(numbers[0], 30))
    assert all(path.stat().st_size <= 500 for path in files)


def test_whose_login_ends_during_an_action_is_in_its_line(team_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _team(monkeypatch, Role.EDITOR)
    with modes.action("import", "mine", team_home):
        monkeypatch.setattr(modes, "_person_of_session", lambda: None)
    assert [line["who"] for line in _log(team_home)] == ["ann@carrot.example"]


def test_nothing_is_done_that_cannot_be_logged(team_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _team(monkeypatch, Role.ADMIN)
    (team_home / "audit.jsonl").mkdir()
    with pytest.raises(StoreError, match="audit"), modes.action("remove", "mine", team_home):
        pytest.fail("it was done")


def test_a_part_of_an_action_asks_for_its_role_and_has_no_line(
    team_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _team(monkeypatch, Role.EDITOR)
    with (
        pytest.raises(StoreError, match="admin"),
        modes.action("change", "mine", team_home),
        modes.action("remove", "mine", team_home, Role.ADMIN),
    ):
        pytest.fail("it was done")
    assert [line["what"] for line in _log(team_home)] == ["change"]


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
