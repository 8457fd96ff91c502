"""The Theory page: every part, worlds that ship and worlds that do not, links that cannot be followed."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.dashboard import theory
from tests.pages.reading import figure, page_text
from tests.theory.test_shipped import learned

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def open_app(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=90)
    app.query_params.update({"goto": "theory", **query})
    return app.run()


def charts(app: AppTest) -> int:
    return len(app.get("plotly_chart"))


@pytest.mark.parametrize(("part", "drawn"), list(zip(theory.PARTS, (2, 1, 1, 3, 0), strict=True)))
def test_every_part_draws_its_figures(part: str, drawn: int) -> None:
    app = open_app(part=part)
    assert not app.exception
    assert not app.error
    assert charts(app) == drawn
    assert not app.warning


def test_it_opens_on_what_ships_and_simulates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theory, "simulate", None)
    app = open_app()
    assert not app.exception
    assert figure(app, "Predicted slope") == "-0.50"
    assert figure(app, "To halve the excess") == "4.0 × prompts"


def test_another_world_is_simulated_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theory, "_QUICK", 316)
    app = open_app(sim_d="1", sim_lam="0.2", sim_models="3")
    assert not app.exception
    assert figure(app, "Predicted slope") == "-0.67"
    runs: list[int] = []
    monkeypatch.setattr(theory, "excess_risk", lambda *arguments: runs.append(1))
    app.selectbox(key="sim_d").set_value("2").run()
    assert runs or app.exception  # another world asks for runs of its own
    runs.clear()
    app.selectbox(key="sim_d").set_value("1").run()
    assert not app.exception
    assert not runs


def test_a_broken_world_and_its_counterpart_are_simulated_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theory, "_QUICK", 316)
    app = open_app(part="Broken assumption", sim_d="1", sim_models="3")
    assert not app.exception
    assert [toggle.value for toggle in app.toggle] == [False]
    assert charts(app) == 1


def test_a_margin_that_cannot_be_is_not_offered() -> None:
    app = open_app(part="Decision boundary", sim_gamma="1.0")
    assert app.selectbox(key="sim_alpha").options == ["0.5", "1.0"]
    app.selectbox(key="sim_alpha").set_value("0.5").run()
    app.selectbox(key="sim_gamma").set_value("2.0").run()
    assert not app.exception
    assert app.selectbox(key="sim_alpha").options == ["0.5", "1.0"]
    app.selectbox(key="sim_gamma").set_value("0.5").run()
    app.selectbox(key="sim_alpha").set_value("2.0").run()
    app.selectbox(key="sim_gamma").set_value("0.75").run()
    assert not app.exception
    assert app.selectbox(key="sim_alpha").value == "1.0"


def test_a_hostile_link_shows_the_default_and_says_so() -> None:
    app = open_app(part="<img src=x>", sim_d="9", sim_gamma="nan", sim_breach="none")
    assert not app.exception
    assert app.selectbox(key="sim_d").value == "2"
    assert "sim_d" in page_text(app, "warning")
    assert "<img" not in "".join(warning.value for warning in app.warning).replace("\\<img", "")


def test_learning_curves_go_by_what_a_snapshot_is_called() -> None:
    table = theory.snapshot_learning()
    assert table
    assert all(name.endswith(" (snapshot)") for name in table)


def test_learning_curves_of_snapshots_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theory, "_learning", lambda version: learned())
    app = open_app(part="Real prompts")
    assert not app.exception
    assert charts(app) == 3
