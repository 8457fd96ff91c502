"""Many prompts on a page: lines or a file, the column that holds them, what comes of it, and the way back."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core import serving
from carrot_core.dashboard.live import batch
from carrot_core.errors import CarrotError
from tests import wording
from tests.pages import reading

pytestmark = pytest.mark.slow

PANEL = Path(__file__).resolve().parents[2] / "tests" / "browser" / "batch_app.py"


@pytest.fixture(autouse=True)
def _files_at_home(carrot_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(carrot_home))
    monkeypatch.setattr(serving, "embed", serving.embed)  # the page puts another in its place


def panel() -> AppTest:
    return AppTest.from_file(str(PANEL), default_timeout=60).run()


def decide(app: AppTest) -> AppTest:
    app.button(key="batch:run").click().run()
    assert not app.exception
    return app


def uploaded(name: str, content: bytes) -> AppTest:
    app = panel()
    app.segmented_control(key="batch:way").set_value(batch.UPLOAD).run()
    app.file_uploader[0].set_value((name, content, "text/plain"))
    return app.run()


def test_pasted_lines_are_decided_and_compared_with_every_model_alone() -> None:
    app = panel()
    app.text_area(key="batch:lines").set_value("one\n\n=two\nthree\u2028still three").run()
    decide(app)
    against, rows = reading.table(app, "Answered by"), reading.table(app, "prompt_id")
    assert against["Answered by"].tolist()[0] == "CARROT chooses"
    assert len(against) == 4
    assert against["CARROT's share"].sum() == pytest.approx(100)
    assert rows["prompt_id"].tolist() == ["1", "3", "4"]
    assert "3 prompts" in reading.page_text(app, "markdown")
    assert "validation prompts" in reading.page_text(app, "caption")


def test_decisions_of_other_settings_say_so() -> None:
    app = panel()
    app.text_area(key="batch:lines").set_value("one").run()
    decide(app)
    assert not app.info
    app.slider[0].set_value(0.9).run()
    assert "of other settings" in reading.page_text(app, "info")
    decide(app)
    assert not app.info
    assert set(reading.table(app, "lam")["lam"]) == {0.9}


def test_pasted_lines_outlast_a_look_at_the_upload() -> None:
    app = panel()
    app.text_area(key="batch:lines").set_value("one\ntwo").run()
    app.segmented_control(key="batch:way").set_value(batch.UPLOAD).run()
    assert not app.text_area
    app.segmented_control(key="batch:way").set_value(batch.PASTE).run()
    assert app.text_area(key="batch:lines").value == "one\ntwo"
    assert "2 prompts" in reading.page_text(decide(app), "markdown")


def test_a_file_may_call_its_prompts_otherwise() -> None:
    table = pd.DataFrame({"id": [1, 2], "Question": ["a", "b"]})
    app = uploaded("p.csv", table.to_csv(index=False).encode())
    (box,) = app.selectbox
    assert (box.label, box.value) == ("Column of the prompts", "Question")
    decide(app)
    assert len(reading.table(app, "prompt_id")) == 2


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "txt"])
def test_a_file_of_any_kind(kind: str) -> None:
    table, written = pd.DataFrame({"prompt": ["a", "b"], "prompt_id": ["\u202ex", "y"]}), io.BytesIO()
    table.to_parquet(written)
    content = {
        "jsonl": table.to_json(orient="records", lines=True).encode(),
        "parquet": written.getvalue(),
        "txt": b"a\nb\n",
    }
    app = uploaded(f"p.{kind}", content[kind])
    assert not app.selectbox
    decide(app)
    assert reading.table(app, "prompt_id")["prompt_id"].tolist() == (
        ["1", "2"] if kind == "txt" else ["⟨U+202E⟩x", "y"]
    )


def test_what_cannot_be_used_is_said() -> None:
    assert wording.NO_PROMPTS in reading.page_text(decide(panel()), "error")
    app = uploaded("p.csv", b"prompt_id,prompt\n1,a\n2,\n")
    assert not app.error
    decide(app)
    assert "row 2, column 'prompt'" in reading.page_text(app, "error")
    assert not app.dataframe
    app = uploaded("p.parquet", b"nothing")
    assert "cannot be read" in reading.page_text(app, "error")


def test_a_run_that_was_ended_keeps_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch, carrot_home: Path) -> None:
    app = panel()
    app.text_area(key="batch:lines").set_value("one\ntwo").run()
    app.session_state["batch:running"] = True  # what an interrupted script leaves behind
    app.run()
    assert "no decisions were kept" in reading.page_text(app, "info")
    assert not app.run().info


def test_a_refusal_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise CarrotError("no")

    monkeypatch.setattr(batch, "route_all", refuse)
    app = panel()
    app.text_area(key="batch:lines").set_value("one").run()
    assert reading.page_text(decide(app), "error") == "no"
    assert not app.run().info
