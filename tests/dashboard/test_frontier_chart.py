"""What the live chart is given, and how it stands on a page without a browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from carrot_core.curve import save_curve
from carrot_core.dashboard.components import frontier_chart, install_plotly_js
from carrot_core.dashboard.components.decision import axis_of
from carrot_core.dashboard.components.frontier_chart import build_payload
from carrot_core.errors import CarrotError
from carrot_core.figures.frontier import frontier_figure
from carrot_core.frontier import lam_of_rate
from carrot_core.operating_point import solve_budget, solve_target
from carrot_core.promise import CONFIDENCE
from tests.scenes import scene, timed

APP = Path(__file__).parents[1] / "browser" / "live_app.py"


def test_checkpoints_and_switches_give_the_shares_at_every_breakpoint() -> None:
    chart = scene(300)
    sent, frontier = build_payload(chart), chart.active_curve.frontier
    points, switches = sent["points"], sent["switches"]
    counts, stride = np.array(sent["checkpoints"]["counts"]), sent["checkpoints"]["stride"]
    truth = np.rint(frontier.shares(points["rate"]) * frontier.n_prompts)
    for k in range(len(points)):
        passed = switches.iloc[points["switches"][k // stride * stride] : points["switches"][k]]
        moved = np.bincount(passed["target"], minlength=14) - np.bincount(passed["source"], minlength=14)
        assert (counts[k // stride] + moved == truth[k]).all()


def test_an_axis_of_solved_tasks_has_a_place_for_every_point_or_is_not_offered() -> None:
    chart = scene(300)
    sent = build_payload(chart)
    models = next(k for k, trace in enumerate(sent["figure"]["data"]) if trace["meta"]["role"] == "models")
    assert sent["perSolved"][models] == pytest.approx(chart.basis.calls * chart.model_cost_usd / chart.model_score)
    hopeless = chart.model_score * (np.arange(len(chart.models)) > 0)
    assert build_payload(replace(chart, model_score=hopeless))["perSolved"] is None


def test_an_axis_of_latency_is_offered_where_that_is_known_of_every_model() -> None:
    chart = timed(scene(300))
    sent = build_payload(chart)
    assert chart.model_latency_s is not None
    roles = [trace["meta"]["role"] for trace in sent["figure"]["data"]]
    for role, places in zip(roles, sent["seconds"]["x"], strict=True):
        assert bool(places) == (role != "band")
    assert sent["seconds"]["x"][roles.index("models")] == pytest.approx(chart.model_latency_s[0])
    curve = chart.active_curve.frontier
    assert curve.latency_s is not None
    assert sent["points"][["latency", "p95"]].to_numpy() == pytest.approx(curve.latency_s.T, rel=1e-6)
    for trace, places in zip(frontier_figure(chart).data, sent["seconds"]["x"], strict=True):
        assert len(places) in (0, len(trace.y))  # as many as points, so that each stands at its own score
    for unknown in (scene(300), replace(chart, model_latency_s=None)):
        assert build_payload(unknown)["seconds"] is None


def test_a_long_curve_is_thinned_to_the_limit_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier_chart, "MAX_POINTS", 500)
    chart = scene(400)
    sent, frontier = build_payload(chart), chart.active_curve.frontier
    assert len(sent["points"]) == 500
    assert sent["points"]["score"].iloc[[0, -1]].to_numpy() == pytest.approx(frontier.score[[0, -1]])
    assert sent["switches"] is None
    assert "500 of its" in sent["note"]


@settings(max_examples=12)
@given(seed=st.integers(0, 20), share=st.floats(0, 1))
def test_the_steps_sent_are_what_a_budget_or_a_target_takes(seed: int, share: float) -> None:
    chart = scene(60, seed=seed)
    sent, curve, unit = build_payload(chart, "validation"), chart.chosen_on, chart.cost_unit_usd
    budgets, targets = sent["budgets"], sent["targets"]
    assert sent["promised"]
    for steps in (budgets, targets):
        assert (np.diff(steps["value"]) > 0).all()
    budget, target = (float(np.quantile(steps["value"], share)) for steps in (budgets, targets))
    within = budgets[budgets["value"] <= budget + 1e-15].iloc[-1]
    assert within["lam"] == lam_of_rate(solve_budget(curve, budget, CONFIDENCE).exchange_rate_per_usd, unit)
    reaching = targets[targets["value"] >= target - 1e-12].iloc[0]
    assert reaching["lam"] == lam_of_rate(solve_target(curve, target, CONFIDENCE).exchange_rate_per_usd, unit)


def test_without_a_validation_label_no_validation_curve_is_sent() -> None:
    assert build_payload(scene(60))["validation"] is None


def test_hash_changes_with_what_is_shown_and_with_nothing_else() -> None:
    chart = scene(200)
    same = build_payload(scene(200))["hash"]
    assert build_payload(chart)["hash"] == same
    for other in (replace(chart, title="Other"), replace(chart, reference=chart.models[0]), scene(200, seed=5)):
        assert build_payload(other)["hash"] != same


def test_chart_library_is_copied_once_and_renewed_when_it_differs(tmp_path: Path) -> None:
    copy = install_plotly_js(tmp_path)
    first = copy.stat()
    assert install_plotly_js(tmp_path).stat().st_mtime_ns == first.st_mtime_ns
    copy.write_text("an older version")
    assert install_plotly_js(tmp_path).stat().st_size == first.st_size
    assert [file.name for file in tmp_path.iterdir()] == ["plotly.min.js"]


def test_a_folder_that_cannot_hold_the_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(CarrotError, match="absent"):
        install_plotly_js(tmp_path / "absent")


def test_chart_stands_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APP.parents[2]))
    for _ in range(2):  # a second server in the same process knows the component too
        page = AppTest.from_file(str(APP), default_timeout=60).run()
        assert not page.exception
        assert [text.value for text in page.text] == ["runs 1 · λ 0.4"]


@pytest.mark.parametrize("lam", [float("nan"), -0.1, 1.5, "0.5", None])
def test_a_lam_that_is_not_one_is_refused(lam: object) -> None:
    checked: Callable[[dict[str, object]], float] = frontier_chart.check_lam
    with pytest.raises(CarrotError, match="from 0 to 1"):
        checked({"lam": lam})


def test_where_the_cost_never_falls_a_ribbon_is_placed_by_lambda() -> None:
    curve = replace(save_curve(scene(200).active_curve.frontier), latency_s=None)
    for flat in (np.ones(len(curve.cost_usd)), np.zeros(len(curve.cost_usd)), np.arange(1.0, len(curve.cost_usd) + 1)):
        axis = axis_of(replace(curve, cost_usd=flat), 1.0)
        assert (axis["place"][0], axis["place"][-1]) == (1, 0)
        assert axis == axis_of(None, 1.0)
    assert axis_of(curve, 1.0) != axis_of(None, 1.0)
