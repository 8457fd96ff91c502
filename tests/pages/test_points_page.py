"""The Operating points page: points are kept, compared, used, renamed, deleted, brought back; hostile files are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from carrot_core import CarrotRouter
from carrot_core.dashboard import views
from carrot_core.dashboard.points import describe_accuracy
from carrot_core.dashboard.points import test_figures as figures_of_pages
from carrot_core.dashboard.stores import upload_key
from carrot_core.errors import CarrotError
from carrot_core.paths import shipped
from carrot_core.points import ShelfPoint, shared_points, title_and_note
from carrot_core.points.formats import FORMATS
from carrot_core.results import Results
from carrot_core.results.snapshot import SnapshotResults, read
from carrot_core.serving.point import PointFile
from carrot_core.store import Store
from tests import wording
from tests.made import MODELS
from tests.pages.reading import lam_in_address, table, unescaped
from tests.points.test_difference import point

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HEAD = "mmlu-pro-cot"
SNAPSHOT = f"{HEAD} (snapshot)"
MARKUP = re.compile(r"(?<!\\)(<img|!\[x|:red)")  # not escaped
HOSTILE = "<img src=x onerror=alert(1)> ![x](//host/x.png) :red[x] $x$"


@pytest.fixture
def loaded(store_of: Callable[..., Store]) -> Store:
    """A benchmark with texts and vectors and two routers fitted on it."""
    return store_of("carrot-knn", "carrot-linear")


def page(name: str = "points", **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params.update(query)
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception
    return app


def click(app: AppTest, label: str, at: int = 0) -> AppTest:
    [button for button in app.button if button.label == label][at].click()
    app.run()
    assert not app.exception
    return app


def box(app: AppTest, label: str, at: int = 0) -> Any:
    return [box for box in [*app.text_input, *app.text_area] if box.label == label][at]


def page_text(app: AppTest) -> str:
    elements = [*app.success, *app.info, *app.warning, *app.error, *app.caption, *app.markdown]
    return unescaped("\n".join(element.value for element in elements))


def records() -> tuple[ShelfPoint, ...]:
    return shared_points().listing().points


def sent(app: AppTest, content: bytes, name: str = "point.json") -> AppTest:
    app.file_uploader(key=upload_key("points:upload")).upload(name, content, "application/json").run()
    assert not app.exception
    return app


def as_file(exported_point: PointFile) -> bytes:
    return exported_point.model_dump_json().encode()


def test_a_point_of_the_head_that_ships_is_kept_under_its_name() -> None:
    app = page(lam="0.1", bench=SNAPSHOT)
    box(app, "Name").set_value("Cheap")
    box(app, "Note").set_value("for the night")
    click(app, "Keep this point")
    assert wording.POINT_KEPT in page_text(app)
    (result,) = records()
    assert title_and_note(result.point) == ("Cheap", "for the night")
    expected = CarrotRouter.load(HEAD).point_file(lam=0.1)
    assert result.point.test == expected.test
    assert result.point.artefact == expected.artefact
    assert "# Cheap" in page_text(app)


def test_a_budget_a_target_and_a_model_to_match_are_solved_on_validation(loaded: Store) -> None:
    app = page(bench="made", router="carrot-knn")
    curve = CarrotRouter.load("made", router="carrot-knn").profile.curves["validation"]
    budget = 1000 * float(curve.cost_usd.mean())
    app.number_input(key="budget").set_value(budget).run()
    click(app, "Keep this point")
    assert records()[0].point.validation.cost_usd <= budget / 1000 + 1e-12
    app.selectbox(key="match").set_value(MODELS[1]).run()
    click(app, "Keep this point")
    assert len(records()) == 2
    solution = views.view(Store().info("made")).match("carrot-knn", MODELS[1])
    assert solution.reached
    at = curve.at(solution.exchange_rate_per_usd)
    matched = min(records(), key=lambda each: each.point.validation.cost_usd).point
    assert matched.validation.cost_usd == pytest.approx(curve.cost_usd[at])
    assert matched.promise is not None
    assert matched.promise.score_least < matched.validation.score
    assert app.selectbox(key="match").value is None
    assert f"as accurate as {MODELS[1].partition('/')[2]} alone" in page_text(app)
    app.slider(key="lam_slider").set_value(0.5).run()
    assert f"as accurate as {MODELS[1].partition('/')[2]} alone" not in page_text(app)


def test_two_points_on_loaded_data_are_compared_prompt_by_prompt(loaded: Store) -> None:
    for router, lam in (("carrot-knn", 0.1), ("carrot-linear", 0.8)):
        shared_points().keep(CarrotRouter.load("made", router=router).point_file(lam=lam, note=router))
    app = page(bench="made")
    side, apart = table(app, "carrot-knn"), table(app, "Measured")
    assert set(side.columns) == {"", "carrot-knn", "carrot-linear"}
    first = app.multiselect(key="compare").value[0]
    (row,) = apart.to_dict("records")
    assert row["Measured"] == "prompt by prompt"
    by_name = {each.point.note: each.point for each in records()}
    (other,) = set(by_name) - {first}
    # The kept curve is the exact one on so few prompts.
    assert row["Accuracy"] == pytest.approx(100 * (by_name[other].test.score - by_name[first].test.score))
    assert row["$ per 1k calls"] == pytest.approx(1000 * (by_name[other].test.cost_usd - by_name[first].test.cost_usd))
    assert row["low"] <= row["Accuracy"] <= row["high"]


def test_points_whose_data_are_not_here_are_compared_by_their_means() -> None:
    head = CarrotRouter.load(HEAD)
    for lam in (0.1, 0.8):
        shared_points().keep(head.point_file(lam=lam, note=f"{lam}"))
    shared_points().keep(CarrotRouter.load("routerbench-subset").point_file(lam=0.1, note="else"))
    app = page(bench=SNAPSHOT)
    app.multiselect(key="compare").set_value(["0.1", "0.8", "else"]).run()
    assert not app.exception
    assert list(table(app, "Measured")["Measured"]) == ["of the means", "of other data"]
    assert "independent" in page_text(app)


def test_a_point_on_a_pool_of_its_own_says_that_nothing_was_measured() -> None:
    head = CarrotRouter.load(HEAD)
    shared_points().keep(head.point_file(lam=0.1, note="whole"))
    shared_points().keep(head.point_file(lam=0.1, note="some", pool=head.models[:3]))
    app = page(bench=SNAPSHOT)
    assert "not measured" in table(app, "some")["some"].tolist()
    assert wording.NO_DIFFERENCE in page_text(app)


def test_rename_delete_and_undo() -> None:
    shared_points().keep(CarrotRouter.load(HEAD).point_file(lam=0.1, note="Old\nnote"))
    app = page(bench=SNAPSHOT)
    box(app, "Name", 1).set_value("New")
    click(app, "Save")
    assert title_and_note(records()[0].point) == ("New", "note")
    assert "# New" in page_text(app)
    click(app, "Delete")
    assert "Deleted New." in page_text(app)
    assert wording.NO_POINT in page_text(app)
    assert records() == ()
    click(app, "Undo")
    assert "New is back." in page_text(app)
    assert [each.name for each in records()] == ["New"]
    click(app, "Delete")
    app.slider(key="lam_slider").set_value(0.5).run()
    assert "Deleted New." not in page_text(app)
    assert "Undo" not in [button.label for button in app.button]


def test_undo_leaves_alone_a_point_that_was_kept_and_renamed_since() -> None:
    place, point = shared_points(), CarrotRouter.load(HEAD).point_file(lam=0.1, note="old")
    id = place.keep(point)
    app = page(bench=SNAPSHOT)
    click(app, "Delete")
    place.keep(point)  # by somebody else, or in another window
    place.note(id, "new", "")
    click(app, "Undo")
    assert [each.name for each in records()] == ["new"]
    assert "is back" not in page_text(app)


def test_a_point_is_used_on_every_page() -> None:
    shared_points().keep(CarrotRouter.load("routerbench-subset").point_file(lam=0.123))
    app = page(bench=SNAPSHOT)
    click(app, "Use it")
    assert wording.IN_USE in page_text(app)
    assert app.selectbox(key="bench").value == "routerbench-subset (snapshot)"
    assert app.query_params["lam"] == "0.123"
    assert app.slider(key="lam_slider").value == pytest.approx(0.123)
    assert app.session_state["along"] == app.session_state["routers"][0] == "carrot-mlp"
    assert app.session_state["reference"] == records()[0].point.reference


def test_a_point_with_a_pool_is_used_with_it_at_the_same_exchange_rate(loaded: Store) -> None:
    exported_point = CarrotRouter.load("made", router="carrot-linear").point_file(lam=0.4, pool=MODELS[1:])
    shared_points().keep(exported_point)
    app = page(bench="made")
    for key, value in (
        ("latency_p95", 2.0),
        ("providers", ["acme"]),
        ("open_weights", True),
        ("released_after", "2025"),
    ):
        app.session_state[key] = value
    click(app, "Use it")
    assert not any(app.session_state[key] for key in ("latency_p95", "providers", "open_weights", "released_after"))
    assert app.session_state["along"] == "carrot-linear"
    assert app.session_state["pool"] == list(MODELS[1:])
    app.switch_page("pages/frontier.py").run()
    assert not app.exception
    assert app.session_state["rate"] == pytest.approx(exported_point.exchange_rate_per_usd)
    assert app.selectbox(key="along").value == "carrot-linear"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"artefact": "0" * 64}, "fitted numbers"),
        ({"data_hash": "0" * 64}, "other data"),
        ({"source": "/etc"}, "neither ships with the project"),
        ({"source": "owner/name"}, "neither ships with the project"),
        ({"source": "made", "router": "carrot-encoder"}, "neither ships with the project"),
        ({"source": HOSTILE, "router": HOSTILE}, "neither ships with the project"),
        ({"pool": ("nobody/knows-it",)}, "nobody/knows-it"),
    ],
)
def test_a_point_of_something_else_says_what_differs_before_it_is_used(changed: dict[str, Any], words: str) -> None:
    other = CarrotRouter.load(HEAD).point_file(lam=0.1).model_copy(update=changed).sealed()
    shared_points().keep(other)
    app = page(bench=SNAPSHOT, lam="0.5")
    click(app, "Use it")
    assert words in page_text(app)
    assert app.query_params["lam"] == "0.5"
    click(app, wording.SET_ALL_THE_SAME)
    assert app.query_params["lam"] == "0.1"
    assert words not in page_text(app)


def test_a_point_of_a_benchmark_that_is_not_here_sets_nothing() -> None:
    shared_points().keep(point(benchmark=HOSTILE))
    app = page(bench=SNAPSHOT, lam="0.5")
    click(app, "Use it")
    assert "Not used" in page_text(app)
    assert wording.SET_ALL_THE_SAME not in [button.label for button in app.button]
    assert not app.error


def test_a_file_is_checked_and_kept() -> None:
    exported_point = CarrotRouter.load(HEAD).point_file(lam=0.3, note=f"{HOSTILE}\n{HOSTILE}")
    app = click(sent(page(bench=SNAPSHOT), as_file(exported_point)), "Keep it here")
    assert records()[0].point == exported_point
    assert HOSTILE in page_text(app)
    page_words = "".join(element.value for element in [*app.markdown, *app.caption])
    assert not MARKUP.search(page_words)


def test_files_that_are_no_points_are_refused_in_words() -> None:
    app, sealed = page(bench=SNAPSHOT), as_file(point().sealed())
    for content, words in (
        (b"", "point.json"),
        (b"\xff\xfe", "point.json"),
        (b"[" * 100_000, "point.json"),
        (b"{}", "Field required"),
        (json.dumps({HOSTILE: HOSTILE}).encode(), "Extra inputs"),
        (as_file(point()), wording.TAMPERED),
        (sealed.replace(b'"lam":0.5', b'"lam":0.4'), wording.TAMPERED),
        (sealed.replace(b'"lam":0.5', b'"lam":NaN'), "point.json"),
        (sealed.replace(b'"lam":0.5', b'"lam":5'), "lam"),
    ):
        errors = "".join(error.value for error in sent(app, content).error)
        assert words in errors.replace("\\", ""), content[:40]
        assert "Keep it here" not in [button.label for button in app.button]
        assert not MARKUP.search(errors)


def test_a_damaged_file_leaves_the_others_alone(carrot_home: Path) -> None:
    shared_points().keep(CarrotRouter.load(HEAD).point_file(lam=0.3, note="good"))
    (carrot_home / "points" / f"{'0' * 16}.json").write_text("{")
    app = page(bench=SNAPSHOT)
    assert "is left out" in page_text(app)
    assert "# good" in page_text(app)


def test_a_benchmark_whose_results_are_damaged_hides_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    head = CarrotRouter.load(HEAD)
    for lam in (0.1, 0.3):
        shared_points().keep(head.point_file(lam=lam))
    damaged = records()[0].point.benchmark
    app = page(bench="routerbench-subset (snapshot)")

    def results(self: views.View) -> Results:
        if self.name == damaged:
            raise CarrotError("A block cannot be read.")
        return read(Path(self.version.path))

    monkeypatch.setattr(views.View, "results", property(results))
    st.cache_data.clear()
    app.run()
    assert not app.exception
    for entry in records():
        assert f":gray[Accuracy:] {describe_accuracy(entry.point.test)}" in page_text(app)


def test_figures_are_read_once_whatever_the_note_and_the_time() -> None:
    one = CarrotRouter.load(HEAD).point_file(lam=0.1)
    other = one.model_copy(update={"note": "another", "created_at": "2026-01-01T00:00:00+00:00"}).sealed()
    st.cache_data.clear()
    figures = figures_of_pages(one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("carrot_core.dashboard.points.figures_of", lambda *_: pytest.fail("it was read again"))
        assert figures_of_pages(other) == figures


def test_every_form_is_there_where_the_router_is_with_a_command_for_its_very_file() -> None:
    id = shared_points().keep(CarrotRouter.load(HEAD).point_file(lam=0.3))
    app = page(bench=SNAPSHOT)
    assert not [button for button in app.get("download_button") if f":{id}" in button.proto.id]
    app.button(key=f"export:{id}").click().run()
    assert not app.exception
    forms = [button.proto.id for button in app.get("download_button") if f":{id}" in button.proto.id]
    assert len(forms) == len(FORMATS)
    commands = [code.value for code in app.code]
    assert all(any(form.file.format(stem=f"{HEAD}-lam-0.3") in one for one in commands) for form in FORMATS.values())


def test_the_frontier_page_keeps_the_point_it_shows() -> None:
    app = page("frontier", bench=SNAPSHOT, routers="CARROT-MLP", lam="0.07")
    click(app, "Keep this point")
    assert records()[0].point.lam == 0.07
    assert app.toast
    app.multiselect(key="routers").set_value(["carrot-blend"]).run()
    assert [button.disabled for button in app.button if button.label == "Keep this point"] == [True]


def _keep_of_an_upload() -> None:
    import streamlit as st

    from carrot_core.benchmarks.long_wide_tables import read_long_table
    from carrot_core.dashboard.points import keep
    from carrot_core.dashboard.points.shelf import list_points, shelf
    from carrot_core.dashboard.stores import private_benchmarks, private_store, session_folder
    from carrot_core.paths import shipped
    from tests.points.test_difference import point

    private_store().save_benchmark("toy", read_long_table(shipped("template.csv")))
    keep(private_benchmarks()[0], point(benchmark="toy", note="mine"))
    shelf(list_points())
    st.write(f"folder {session_folder()}")


def test_points_of_an_upload_stay_with_the_session(carrot_home: Path) -> None:
    app = AppTest.from_function(_keep_of_an_upload, default_timeout=60).run()
    assert not app.exception
    assert "# mine" in page_text(app)
    assert "only you" in page_text(app)
    folder = Path(next(each.value for each in app.markdown if each.value.startswith("folder ")).removeprefix("folder "))
    assert len(list((folder / "points").glob("*.json"))) == 1
    assert records() == ()
    assert not (carrot_home / "points").exists()


@pytest.mark.parametrize("reached", [True, False])
def test_on_a_snapshot_the_best_single_model_is_matched_or_said_to_be_out_of_reach(
    carrot_home: Path, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    app = page(bench=SNAPSHOT, lam="0.9")
    if not reached:
        monkeypatch.setattr(SnapshotResults, "matching_point", lambda snapshot, router: None)
    best = CarrotRouter.load(HEAD).profile.best_single
    app.selectbox(key="match").set_value(best).run()
    assert not app.exception
    results = read(shipped("snapshots") / HEAD)
    (served,) = results.runnable
    point = results.matching_point(served)
    assert point is None or point.lam == pytest.approx(CarrotRouter.load(HEAD).default_lam, rel=1e-5)
    matched = 0.9 if point is None else point.lam
    # The head and the snapshot come from two fits of the same router, which differ in the last digits.
    assert lam_in_address(app) == pytest.approx(matched if reached else 0.9)
    assert bool(app.toast) is not reached
