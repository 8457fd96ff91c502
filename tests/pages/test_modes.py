"""The destructive walk in all modes: what a visitor of a public dashboard cannot do, its owner can; a team by roles."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.runtime.secrets import Secrets
from streamlit.testing.v1 import AppTest

from carrot_core import limits, modes, roles_audit
from carrot_core.dashboard import accounts, views
from carrot_core.errors import CarrotError
from carrot_core.points import PointShelf, shared_points
from carrot_core.roles_audit import VARIABLE as ROLES
from carrot_core.roles_audit import Role
from carrot_core.store import Store, trash
from tests.made import long_frame, made
from tests.pages.reading import button, page_text
from tests.points.test_difference import point
from tests.tables import frames

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HEAD = "mmlu-pro-cot (snapshot)"
DESTRUCTIVE = {
    "data": {"Remove it", "Restore", "Empty the trash", "Check and load", "Keep it in the store"}
    | {views.FIT, "Pull sprout", "Run"},
    "points": {"Delete", "Save", "Keep it here"},
    "compare": {"Fit all routers", "Make the learning curve", "Make the leave-one-task-out result"},
    "frontier": {views.FIT},
    "live": {views.FIT},
    "whatif": {views.FIT},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark nothing is fitted on, and a point that somebody keeps; to be copied."""
    folder = tmp_path_factory.mktemp("home")
    Store(folder / "carrot.duckdb").save_benchmark("somebody's", frames(n_prompts=30))
    PointShelf(folder / "points").keep(point(note="somebody's point"))
    return folder


@pytest.fixture(params=["personal", "public"])
def mode(request: pytest.FixtureRequest, home: Path, carrot_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The mode of a server whose home is a copy of ``home``."""
    shutil.copytree(home, carrot_home, dirs_exist_ok=True)
    monkeypatch.setenv(modes.VARIABLE, request.param)
    return str(request.param)


@pytest.fixture
def public(home: Path, carrot_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Home of a public server; nothing in it has changed at the end."""
    shutil.copytree(home, carrot_home, dirs_exist_ok=True)
    monkeypatch.setenv(modes.VARIABLE, "public")
    before = _files(carrot_home)
    yield carrot_home
    assert _files(carrot_home) == before


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params.update(query)
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception
    return app


def _pressed(app: AppTest, label: str) -> AppTest:
    button(app, label).click()
    app.run()
    assert not app.exception
    return app


def _labels(app: AppTest) -> set[str]:
    return {button.label for button in app.button}


@pytest.mark.parametrize("name", DESTRUCTIVE)
def test_a_public_page_offers_nothing_that_changes_what_others_see(public: Path, name: str) -> None:
    for show in ("Learning", "New tasks") if name == "compare" else ("",):
        app = page(name, bench="somebody's", show=show)
        assert not _labels(app) & DESTRUCTIVE[name]
        assert not app.get("file_uploader") or name == "whatif"  # a scenario is the session's


def test_the_owner_removes_a_benchmark_and_a_visitor_does_not(mode: str) -> None:
    app = page("data")
    if mode == "personal":
        _pressed(app, "Remove it")
        assert not Store().benchmarks()
    else:
        assert "Remove it" not in _labels(app)
        assert "read-only" in page_text(app)
        assert Store().benchmarks()


def test_the_owner_deletes_a_point_and_a_visitor_does_not(mode: str) -> None:
    app = page("points", bench=HEAD)
    assert "somebody's point" in page_text(app, "markdown")
    if mode == "personal":
        _pressed(app, "Delete")
        assert not shared_points().listing().points
        _pressed(app, "Undo")
    else:
        assert not _labels(app) & {"Delete", "Save"}
    (record,) = shared_points().listing().points
    assert record.point.note == "somebody's point"


def test_a_point_a_visitor_keeps_is_theirs_alone(public: Path) -> None:
    app = page("points", bench=HEAD, lam="0.1")
    _pressed(app, "Keep this point")
    assert "Kept points (2)" in [header.value for header in app.header]
    other = page("points", bench=HEAD)
    assert "Kept points (1)" in [header.value for header in other.header]
    _pressed(app, "Delete")  # their own
    assert "Kept points (1)" in [header.value for header in app.header]


def test_an_upload_of_a_visitor_reaches_no_store(public: Path) -> None:
    """Were the panel of uploads drawn on a public dashboard, what it brings would stay in the session."""
    app = AppTest.from_file(str(ROOT / "tests" / "browser" / "upload_app.py"), default_timeout=60).run()
    rows = long_frame(made(20)).to_csv(index=False).encode()
    app.file_uploader[0].set_value(("<img src=x>.csv", rows, "text/csv"))
    before = [info.name for info in Store().benchmarks()]
    _pressed(app.run(), "Check and load")
    assert "(only you)" in page_text(app, "text")
    assert not any("Keep" in button.label for button in app.button)
    assert [info.name for info in Store().benchmarks()] == before


def test_a_fault_tells_no_visitor_where_files_lie(mode: str, carrot_home: Path) -> None:
    (main,) = carrot_home.glob("carrot.store/*/*/benchmark.duckdb")
    main.write_bytes(b"noise")
    text = page_text(page("data"), "error")
    assert "damaged" in text
    assert (str(carrot_home) in text) == (mode == "personal")


@pytest.mark.parametrize("setting", ["Team", "open"])
def test_a_mode_that_is_not_there_is_refused_on_every_page(
    monkeypatch: pytest.MonkeyPatch, carrot_home: Path, setting: str
) -> None:
    monkeypatch.setenv(modes.VARIABLE, setting)
    for name in ("overview", "data"):
        app = page(name)
        assert "log" in page_text(app, "error")
        assert not app.title


def test_a_server_that_others_reach_shows_nothing_until_the_mode_is_chosen(
    monkeypatch: pytest.MonkeyPatch, carrot_home: Path
) -> None:
    monkeypatch.delenv(modes.VARIABLE, raising=False)
    option = st.get_option
    monkeypatch.setattr(st, "get_option", lambda name: "0.0.0.0" if name == "server.address" else option(name))
    app = page("overview")
    assert f"{modes.VARIABLE}=public" in page_text(app, "error")
    assert not app.title


EDITORS = {"Save", "Pull sprout", "Run", views.FIT, "Fit all routers"}
ADMINS = {"Remove it", "Restore", "Delete it", "Empty the trash"}


@pytest.fixture
def team(home: Path, carrot_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home of a team's server, with a benchmark in its trash; Ann is an admin, Ed an editor, others are viewers."""
    shutil.copytree(home, carrot_home, dirs_exist_ok=True)
    store = Store()
    store.save_benchmark("gone", frames(n_prompts=30))
    store.remove_benchmark("gone")
    (tmp_path / "roles.toml").write_text('default = "viewer"\n[people]\n"ann@x.org" = "admin"\n"ed@x.org" = "editor"')
    monkeypatch.setenv(ROLES, str(tmp_path / "roles.toml"))
    monkeypatch.setenv(modes.VARIABLE, "team")
    monkeypatch.setattr(accounts, "check_login", lambda: None)
    return carrot_home


def member(name: str, page_name: str, **claims: object) -> AppTest:
    """A page of somebody who has logged in."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.user = {"is_logged_in": True, "email": f"{name}@x.org", "email_verified": True, "iat": time.time(), **claims}
    app.query_params["bench"] = "somebody's" if page_name == "compare" else HEAD
    app.switch_page(f"pages/{page_name}.py").run()
    assert not app.exception
    return app


@pytest.mark.parametrize("name", ["data", "points", "compare"])
def test_pages_of_a_team_offer_what_the_role_may_do(team: Path, name: str) -> None:
    everything = {role: _labels(member(person, name)) for role, person in zip(Role, ("vi", "ed", "ann"), strict=True)}
    assert not everything[Role.VIEWER] & (EDITORS | ADMINS)
    assert not everything[Role.EDITOR] & ADMINS
    assert everything[Role.EDITOR] & EDITORS
    assert everything[Role.ADMIN] >= everything[Role.EDITOR] & EDITORS
    assert bool(everything[Role.ADMIN] & ADMINS) == (name != "compare")


def test_an_admin_removes_and_brings_back_and_the_log_says_so(team: Path) -> None:
    app = member("ann", "data")
    _pressed(app, "Remove it")
    assert not Store().benchmarks()
    app.button(key=next(each.key for each in app.button if each.label == "Restore")).click().run()
    assert [info.name for info in Store().benchmarks()] == ["somebody's"]
    _pressed(app, "Empty the trash")
    assert not trash.removals(Store())
    lines = [json.loads(line) for line in (team / roles_audit.AUDIT).read_text().splitlines()]
    assert [(line["who"], line["what"], line["on"], line["result"]) for line in lines] == [
        ("ann@x.org", "remove", "somebody's", "done"),
        ("ann@x.org", "restore", "somebody's", "done"),
        ("ann@x.org", "empty", "trash", "done"),
    ]


def test_a_point_that_a_viewer_keeps_is_theirs_alone(team: Path) -> None:
    app = member("vi", "points")
    _pressed(app, "Keep this point")
    assert len(shared_points().listing().points) == 1
    assert "Kept points (2)" in [header.value for header in app.header]


@pytest.mark.parametrize(
    ("claims", "button_label"),
    [
        ({"is_logged_in": False}, "Log in"),
        ({"iat": time.time() - limits.LOGIN_HOURS * 3600 - 60}, "Log in"),
        ({"iat": None}, "Log in"),
        ({"email_verified": False}, "Log out"),
    ],
)
def test_who_has_no_login_or_no_role_sees_nothing(team: Path, claims: dict[str, object], button_label: str) -> None:
    (team / "roles.toml").write_text('[people]\n"ann@x.org" = "admin"')
    app = member("ann", "data", **claims)
    assert _labels(app) == {button_label}
    assert "somebody" not in page_text(app)


@pytest.mark.parametrize(("place", "call"), [("data", "sql_console()"), ("live", "one_prompt(None, None, None, None)")])
def test_a_part_that_runs_without_its_page_shows_nothing_after_the_login(team: Path, place: str, call: str) -> None:
    name = call.partition("(")[0]
    app = AppTest.from_string(f"from carrot_core.dashboard.{place} import {name}\n{call}", default_timeout=60).run()
    assert not app.exception
    assert not page_text(app)
    assert not app.text_area


def test_what_is_wrong_with_a_server_is_told_in_its_log_and_to_no_stranger(
    team: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (team / "roles.toml").write_text('[people]\n"ann@x.org" = "owner"')
    text = page_text(member("ann", "data", is_logged_in=False)) + page_text(member("ann", "data"))
    assert "log" in text
    assert "ann@x.org" not in text
    assert str(team) not in text
    assert "ann@x.org" in caplog.text


def test_who_has_a_role_no_more_may_send_no_files(team: Path) -> None:
    app = member("ed", "points")  # every test's session has one id
    (session,) = set(accounts._passes)
    assert accounts.may_upload(session)
    member("ed", "points", is_logged_in=False)
    assert not accounts.may_upload(session)
    assert accounts._PASS in app.session_state


def test_an_address_that_anybody_may_have_written_is_no_name_in_the_log(team: Path) -> None:
    (team / "roles.toml").write_text('claim = "groups"\n[values]\nowners = "admin"')
    app = member("ann", "data", email_verified=False, groups=["owners"], sub="1234")
    _pressed(app, "Remove it")
    (line,) = [json.loads(line) for line in (team / roles_audit.AUDIT).read_text().splitlines()]
    assert line["who"] == "1234 (ann@x.org, not verified)"


def test_a_team_without_a_provider_of_logins_is_refused(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for secrets in ({}, {"auth": {"client_id": "carrot", "cookie_secret": "x"}}):
        monkeypatch.setattr(st, "secrets", secrets)
        with pytest.raises(CarrotError, match="client_secret"):
            accounts.check_login()


def test_a_file_of_secrets_that_cannot_be_read_is_called_that(
    team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    (tmp_path / "secrets.toml").write_text("[auth")
    monkeypatch.setattr(st, "secrets", Secrets())
    monkeypatch.setattr(st.config, "get_option", lambda name: [str(tmp_path / "secrets.toml")])
    with pytest.raises(CarrotError, match=r"secrets\.toml"):
        accounts.check_login()
