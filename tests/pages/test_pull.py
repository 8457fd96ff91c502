"""Pulling from the Data page: the button fetches, and what is wrong is said on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.store import Store
from carrot_core.store.intake import ANY
from tests import wording
from tests.hub_server import COMMIT, SPROUT, Hub, add_tables
from tests.pages.reading import page_text

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def page(source: str = "sprout") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/data.py").run()
    return app.selectbox(key="pull-source").set_value(source).run()


def press(app: AppTest) -> AppTest:
    app.button(key="pull").click().run()
    assert not app.exception
    return app


def test_the_button_pulls_into_the_store_and_a_card_shows_it(hub: Hub) -> None:
    app = press(page())
    assert not app.error
    assert [(info.name, info.source) for info in Store().benchmarks()] == [("sprout", f"{SPROUT}@{COMMIT}")]
    assert any(wording.PULLED in note.value.replace("\\", "") for note in app.success)
    text = "\n".join(element.value for element in app.markdown).replace("\\", "")
    assert wording.NO_LICENCE in text


def test_routerbench_without_its_chinese_tasks(hub: Hub) -> None:
    app = page("routerbench-5shot")
    app.checkbox(key="pull-without-chinese").check()
    press(app)
    (info,) = Store().benchmarks()
    assert (info.name, info.n_prompts) == ("routerbench-5shot", 8)


def test_a_benchmark_that_is_here_is_replaced_only_when_asked(hub: Hub) -> None:
    app = press(page())
    assert app.button(key="pull").disabled
    before = Store().version()
    app.checkbox(key="pull-replace").check().run()
    press(app)
    assert not app.error
    assert Store().version() != before
    assert len(Store().benchmarks()) == 1


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [(401, "", "hf auth login"), (404, "RepoNotFound", "There is no data set"), (503, "", "try again later")],
)
def test_what_the_hub_refuses_is_said_on_the_page(hub: Hub, status: int, error: str, says: str) -> None:
    hub.status, hub.error = status, error
    app = press(page())
    assert says in page_text(app, "error")
    assert Store().benchmarks() == []


def test_a_damaged_file_is_said_on_the_page(hub: Hub) -> None:
    hub.announced["data/test-00000-of-00001.parquet"] = b"short"
    app = press(page())
    assert "test-00000-of-00001.parquet" in page_text(app, "error")
    assert Store().benchmarks() == []


def test_any_data_set_is_fetched_mapped_and_loaded_for_the_session(hub: Hub) -> None:
    add_tables(hub)
    hub.licence = "cc-by-4.0"
    app = page(ANY)
    app.text_input(key="pull-repo").set_value("lab/routes").run()
    assert "one, two" in page_text(press(app), "error")
    app.text_input(key="pull-config").set_value("one").run()
    press(app)
    assert not app.error
    boxes = {box.label.removesuffix(" (optional)"): box for box in app.selectbox}
    for name, own in (("prompt_id", "q"), ("model", "llm"), ("score", "right")):
        boxes[name].select(own)
    app.button(key="hub:check").click().run()
    assert not app.exception
    assert not app.error
    assert "30 prompts x 2 models" in page_text(app, "success")
    assert Store().benchmarks() == []
    app.button(key="keep:routes").click().run()
    (info,) = Store().benchmarks()
    assert (info.name, info.source, info.licence) == ("routes", f"lab/routes@{COMMIT}", "cc-by-4.0")


def test_without_the_hub_the_page_says_what_it_read_instead(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    press(page())
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    app = page()
    app.checkbox(key="pull-replace").check().run()
    press(app)
    assert not app.error
    (note,) = [note.value for note in app.success if "Pulled" in note.value]
    assert wording.NO_HUB in note
    missing = press(page("routerbench-0shot"))
    assert "cannot be reached" in page_text(missing, "error")
