"""The paper's figures on the Compare page: every one on data and on a snapshot, its options, and links."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.dashboard.compare import PAPER
from carrot_core.paper import PRESETS
from tests.pages.test_pages import ROOT, load_a_benchmark

pytestmark = pytest.mark.slow

SNAPSHOT = "mmlu-pro-cot (snapshot)"


def page(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for name, value in {"show": PAPER, **query}.items():
        app.query_params[name] = value
    return app.switch_page("pages/compare.py").run()


def page_text(app: AppTest) -> str:
    return " ".join(element.value for kind in ("info", "caption") for element in app.get(kind))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_figure_opens_by_its_link(preset, carrot_home: Path) -> None:  # type: ignore[no-untyped-def]
    app = page(bench=SNAPSHOT, figure=preset.title)
    assert not app.exception
    assert not app.error
    assert app.selectbox(key="figure").value == preset.title
    assert app.get("plotly_chart") or app.dataframe or "made without" in page_text(app)


def test_the_oracle_is_a_choice(carrot_home: Path) -> None:
    app = page(bench=SNAPSHOT, figure=PRESETS["zero-router"].title)
    assert "Oracle" not in app.get("plotly_chart")[0].proto.spec
    app = app.toggle(key="oracle").set_value(True).run()
    assert not app.exception
    assert "Oracle" in app.get("plotly_chart")[0].proto.spec


def test_a_figure_that_cannot_be_drawn_says_why(carrot_home: Path) -> None:
    load_a_benchmark()  # nothing is fitted on it
    for preset in PRESETS.values():
        app = page(bench="toy", figure=preset.title)
        assert not app.exception
        assert "carrot fit" in page_text(app)


def test_a_link_to_no_figure_opens_the_first_and_says_so(carrot_home: Path) -> None:
    app = page(bench=SNAPSHOT, figure="<script>alert(1)</script>")
    assert not app.exception
    assert app.selectbox(key="figure").value == next(iter(PRESETS.values())).title
    assert any("figure" in warning.value for warning in (*app.warning, *app.info))
