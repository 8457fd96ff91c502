"""Solving beyond budget and target, and how sure a point is, on the Frontier page."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.dashboard import frontier, views
from carrot_core.dashboard.frontier import solve as solve_panel
from carrot_core.evaluation.solve import Goal, solve, solve_on
from carrot_core.frontier import rate_of_lam
from carrot_core.outcomes import SPLITS
from carrot_core.store import Store
from tests import wording
from tests.made import MODELS
from tests.pages.reading import page_text

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = "mmlu-pro-cot (snapshot)"
SURE = "How sure the point is"


@pytest.fixture(autouse=True)
def _at_home(home_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up benchmark and CARROT-KNN fitted on it; to be read only."""
    monkeypatch.setenv("CARROT_HOME", str(home_of("carrot-knn")))


def page(opened: str = "", **query: str | list[str]) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=90)
    app.query_params.update(query)
    if opened:
        app.session_state["detail"] = opened
    app = app.switch_page("pages/frontier.py").run()
    assert not app.exception
    return app


def set_goal(app: AppTest, wish: str, **values: object) -> AppTest:
    app.segmented_control(key="solve:wish").set_value(wish).run()
    for key, value in values.items():
        [box] = [box for box in [*app.selectbox, *app.number_input] if box.key == f"solve:{key}"]
        box.set_value(value)
    app.button(key="solve:set").click().run()
    assert not app.exception
    return app


def stored_view() -> views.View:
    return views.view(Store().info("made"))


@pytest.mark.parametrize(
    ("wish", "values", "goal", "words"),
    [
        (solve_panel.MATCH, {"model": MODELS[1]}, Goal(match=MODELS[1]), "as accurate as small alone"),
        (solve_panel.MONTH, {"dollars": 50.0, "queries": 100_000}, Goal(budget_usd=0.0005), "100,000 queries cost"),
        (solve_panel.SOLVED, {}, Goal(least_per_solved=True), "least cost per solved task, and promises at most"),
        (solve_panel.CAP, {"cap": 0.002}, Goal(cap_usd=0.002), "no validation prompt is expected to cost more than"),
    ],
)
def test_a_wish_sets_lam_as_the_library_solves_it(wish: str, values: dict[str, object], goal: Goal, words: str) -> None:
    app = set_goal(page(), wish, **values)
    made_here, curve = stored_view().narrowed(), stored_view().exact_curve("carrot-knn", "validation")
    assert curve.at(app.session_state["rate"]) == curve.at(solve_on(curve, goal).exchange_rate_per_usd)
    assert words in page_text(app, "caption")
    app.session_state["rate"] = rate_of_lam(0.987, made_here.cost_unit_usd)
    assert words not in page_text(app.run(), "caption")


def test_a_mixture_that_uses_a_budget_better_is_told_with_its_lams_and_share() -> None:
    curve, unit = stored_view().curve("carrot-knn", "validation"), stored_view().narrowed().cost_unit_usd
    for budget in np.linspace(curve.cost_usd.min(), curve.cost_usd.max(), 200):
        app_less = solve(stored_view().narrowed(), stored_view().estimates("carrot-knn"),
                         Goal(budget_usd=float(budget)), replicates=2)  # fmt: skip
        mix, single = app_less.mix, app_less.points["validation"].score.value
        if mix is not None and mix.score - single > 0.002:
            break
    else:
        pytest.fail("no budget of this curve is better used by a mixture")
    app = set_goal(page(), solve_panel.MONTH, dollars=round(1e6 * float(budget), 2), queries=1_000_000)
    assert "mixed at random" in page_text(app, "caption")
    assert f"{100 * mix.score:.1f} %" in page_text(app, "caption")
    assert unit > 0


def test_a_wish_out_of_reach_takes_the_nearest_and_says_so() -> None:
    app = set_goal(page(), solve_panel.CAP, cap=0.0)
    assert wording.MORE_WITH_EVERY_MODEL in page_text(app, "caption")
    assert app.session_state["rate"] == math.inf


def test_a_slice_is_solved_on_the_slice() -> None:
    app = set_goal(page(pool=list(MODELS[1:])), solve_panel.MATCH, model=MODELS[2])
    curve = stored_view().curve("carrot-knn", "validation", MODELS[1:])
    at = curve.at(app.session_state["rate"])
    assert curve.score[at] >= curve.outcomes.score[:, 1].mean() - 1e-12


def test_a_snapshot_solves_what_it_can_and_says_what_it_cannot() -> None:
    app = page(bench=SNAPSHOT, lam="0.9")
    app = set_goal(app, solve_panel.MONTH, dollars=10.0, queries=100_000)
    assert "100,000 queries cost" in page_text(app, "caption")
    app = set_goal(app, solve_panel.SOLVED)
    assert wording.LEAST_COST_PER_SOLVED in page_text(app, "caption")
    app.segmented_control(key="solve:wish").set_value(solve_panel.CAP).run()
    assert app.button(key="solve:set").disabled
    assert any("prompt by prompt" in info.value for info in app.info)
    before = app.session_state["rate"]
    app = set_goal(app, solve_panel.MATCH)
    assert app.session_state["rate"] != before
    assert len(app.selectbox(key="solve:model").options) == 1


def test_how_sure_the_point_is() -> None:
    app = page(SURE, lam="0.2")
    text = page_text(app, "markdown")
    assert "holds on test in" in text
    assert wording.IN_MOST_REPLICATES in text
    assert wording.IN_EACH_ROUND in text
    assert "2 tasks alone" in text
    for purpose in (frontier.ACCURACY, frontier.MATCH, frontier.AS_IS):
        app.segmented_control(key="frontier:sure:purpose").set_value(purpose).run()
        assert not app.exception
    assert any("λ is set" in element.value for element in app.markdown)


def test_every_round_stands_beside_the_point() -> None:
    app = page(SURE, lam="0.2")
    (table,) = [frame.value for frame in app.dataframe if "Round" in frame.value]
    assert table["Round"].tolist() == [1, 2, 3, 4, 5]
    app.multiselect(key="tasks").set_value(["kind 1"]).run()
    assert not app.exception


def test_a_snapshot_says_what_is_not_possible() -> None:
    assert any(wording.NOT_FROM_SNAPSHOT in info.value for info in page(SURE, bench=SNAPSHOT).info)


def test_nothing_is_solved_again_before_the_tab_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "stability", lambda *_: pytest.fail("solved for nobody"))
    app = page()
    assert set(SPLITS)
    assert "frontier:sure:purpose" not in [control.key for control in app.segmented_control]
