"""The What-if page on a fitted benchmark: what changes, what a link brings, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.dashboard import views, whatif
from carrot_core.dashboard.shell import plain
from carrot_core.dashboard.whatif.results import describe_threshold, in_words
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.evaluation.runs import run_router
from carrot_core.number_formats import percent
from carrot_core.store import Store
from carrot_core.whatif.repricing import Threshold, threshold_figure
from carrot_core.whatif.scenario import Hypothetical, Scenario, parse_scenario, scenario_json
from tests import wording
from tests.made import long_frame, made, write_files
from tests.pages import reading

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = ("Points", "Tokens ×", "In $/M", "Out $/M")


@pytest.fixture(scope="module")
def home(filled_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A home folder with two benchmarks, of which one records dollars and latency only, CARROT-KNN fitted on both."""
    return filled_once("what-if", _fill)


def _fill(folder: Path) -> None:
    store = Store(folder / "carrot.duckdb")
    for name, bench, lost in (("made", made(), []), ("other", made(200, seed=4), ["input_tokens", "output_tokens"])):
        _, vectors = write_files(bench, folder, name)
        runs = long_frame(bench).drop(columns=lost)
        if name == "other":  # in the mean a cent or more a call, and less at the cheapest model
            runs["cost_usd"] *= 30
            runs["latency_s"] = runs["model"].map({"acme/large": 3.0, "acme/small": 0.5})
        runs.to_parquet(folder / f"{name}.parquet")
        store.save_benchmark(name, read_long_table(folder / f"{name}.parquet"))
        store.import_vectors(name, vectors, BUNDLED)
        run_router(store, load_embedded(store, name))


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(home))


def page(**query: str | list[str]) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params.update(query)
    app = app.switch_page("pages/whatif.py").run()
    assert not app.exception
    return app


def drifted(app: AppTest) -> dict[str, dict[str, str]]:
    """Rows of the table of points, by point."""
    return reading.folded(app, "Change of cost")


def in_address(app: AppTest) -> str:
    """The scenario that a link to the page would bring."""
    result = app.query_params["scenario"]
    return result if isinstance(result, str) else result[0]


def captions(app: AppTest) -> str:
    return " ".join(caption.value for caption in app.caption)


def test_nothing_changed_is_said_and_leaves_the_point_where_it_is() -> None:
    app = page()
    rows = drifted(app)
    assert plain("Nothing is changed yet") in captions(app)
    assert "Before" in rows
    assert "Same λ" not in rows
    assert plain("Same λ") in captions(app)
    assert "scenario" not in app.query_params


def test_a_factor_on_all_prices_moves_the_cost_and_goes_to_the_address() -> None:
    app = page(lam="0.3")
    app.number_input(key="wi_price_factor").set_value(2.0).run()
    assert not app.exception
    assert parse_scenario(in_address(app)) == Scenario(price_factor=2.0)
    app.session_state["rate"] = np.inf
    app.run()
    rows = drifted(app)  # at λ = 1 the cheapest model stays the cheapest
    assert rows["Same λ"]["Change of cost"].startswith("+100.0 %: +$")
    assert rows["Same λ"]["Change in points"].split(" [")[0] == "0.0"


def test_where_the_other_pages_have_other_figures_of_the_point_their_figures_are_told_with_why() -> None:
    matched = page(bench="other")
    view = views.view(next(info for info in Store().benchmarks() if info.name == "other"))
    verdict = view.verdict("carrot-knn", float(matched.session_state["rate"]))
    assert not drifted(matched)["Before"]["Accuracy"].startswith(percent(verdict.score.value))
    assert wording.OTHER_PAGES in captions(matched)
    basis = view.scene(("carrot-knn",), "carrot-knn").basis
    assert plain(f"{percent(verdict.score.value)} at {basis.text(verdict.cost_usd.value)}") in captions(matched)
    matched.session_state["rate"] = np.inf
    assert wording.OTHER_PAGES not in captions(matched.run())


def test_dollars_have_the_unit_of_the_chart_wherever_the_point_is() -> None:
    app = page(bench="other", lam="1")
    units = {name for frame in app.dataframe for name in frame.value if name.startswith("$ per")}
    assert units == {"$ per call"}
    assert all("Cost per call" in row for row in reading.folded(app, "On validation").values())


def test_a_cap_of_latency_narrows_the_pool_where_latency_is_recorded() -> None:
    app = page(bench="other", latency_p95="2")
    assert "1 of 3 models pass" in captions(app)
    next(button for button in app.button if button.label == "Reset all").click().run()
    assert app.number_input(key="latency_p95").value is None
    assert plain("Nothing is changed yet") in captions(app)
    assert "latency_p95" not in {box.key for box in page(bench="made").number_input}


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (Scenario(output_token_factor=2.0), "output tokens × 2"),
        (Scenario(cached_share=0.5), "50 % of the input cached"),
        (Scenario(call_usd=1e-5), "$0.0100 per 1k calls"),
        (Scenario(task_weights={"kind 0": 3.0}), "tasks weighted: 1"),
        (Scenario(provider_factors={"acme": 3.0}, model_factors={"zeta/mid": 0.5}), "providers with a factor: 1"),
        (
            Scenario(hypothetical=(Hypothetical(name="new", base="zeta/mid", score_offset=0.1),)),
            "hypothetical models: 1",
        ),
    ],
)
def test_a_link_reopens_its_scenario(scenario: Scenario, words: str) -> None:
    text = scenario_json(scenario, indent=None)
    app = page(scenario=text)
    assert not app.error
    assert not app.warning
    assert plain(words) in captions(app)
    assert in_address(app) == text
    assert app.session_state["wi_scenario"] == scenario


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("{", "Invalid JSON"),
        ('{"price_factor": -3}', "price_factor"),
        ('{"pool": ["ghost"]}', "ghost"),
        ('{"hypothetical": [{"name": "<script>alert(1)</script>", "base": "ghost"}]}', "ghost"),
        ("<script>alert(1)</script>", "Invalid JSON"),
    ],
)
def test_a_stale_or_hostile_link_is_left_out_with_a_notice(text: str, refused: str) -> None:
    app = page(scenario=text)
    assert not app.error
    assert refused in reading.page_text(app, "warning")
    assert plain("Nothing is changed yet") in captions(app)
    assert "scenario" not in app.query_params


def test_reset_brings_the_benchmark_back() -> None:
    app = page(scenario='{"price_factor": 3, "task_weights": {"kind 0": 2}}', pool=["acme/large", "zeta/mid"])
    assert plain(wording.POOL_OF_TWO) in captions(app)
    next(button for button in app.button if button.label == "Reset all").click().run()
    assert not app.exception
    assert plain("Nothing is changed yet") in captions(app)
    assert app.multiselect(key="pool").value == []
    assert app.number_input(key="wi_price_factor").value == 1.0


def test_what_cannot_be_is_text_beside_the_settings() -> None:
    app = page(scenario='{"hypothetical": [{"name": "new", "base": "acme/large", "score_offset": 0.9}]}')
    assert wording.OFFSET_RANGE in reading.page_text(app, "error")
    assert app.number_input(key="wi_price_factor").value == 1.0


def test_a_repeated_or_blank_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(" new ", "acme/large"), ("new", "acme/small"), ("  ", "acme/small"), ("other", "zeta/mid")]
    table = pd.DataFrame(rows, columns=["Name", "Base"]).assign(**dict.fromkeys(NUMBERS))
    original = whatif._editor

    def edited(name: str, *args: Any, **how: Any) -> pd.DataFrame:
        return table if name == "hypothetical" else original(name, *args, **how)

    monkeypatch.setattr(whatif, "_editor", edited)
    app = page()
    assert not app.error
    added = app.session_state["wi_scenario"].hypothetical
    assert [(model.name, model.base) for model in added] == [("new", "acme/large"), ("other", "zeta/mid")]
    assert "have one name" in captions(app)
    assert wording.NAME_AND_BASE in captions(app)
    assert drifted(app)


def test_a_scenario_that_cannot_be_leaves_the_chart_and_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whatif, "_hypothetical", lambda scenario: [{"name": "x" * 301, "base": "zeta/mid"}])
    app = page()
    assert wording.EARLIER_SCENARIO in reading.page_text(app, "error")
    assert drifted(app)
    assert "Reset all" in [button.label for button in app.button]
    assert app.get("download_button")


def test_the_scenario_survives_a_look_at_another_page() -> None:
    app = page()
    app.number_input(key="wi_price_factor").set_value(4.0).run()
    app.switch_page("pages/data.py").run()
    app.switch_page("pages/whatif.py").run()
    assert not app.exception
    assert app.number_input(key="wi_price_factor").value == 4.0


def test_another_benchmark_starts_with_nothing_changed() -> None:
    app = page(bench="made", scenario='{"price_factor": 3}')
    app.selectbox(key="bench").set_value("other").run()
    assert not app.exception
    assert plain("Nothing is changed yet") in captions(app)
    assert wording.NO_PRICES in captions(app)
    app.number_input(key="wi_price_factor").set_value(3.0).run()
    assert plain(wording.WHOLE_COST) in captions(app)


def test_a_snapshot_says_that_prompts_are_needed() -> None:
    app = page(bench="mmlu-pro-cot (snapshot)")
    assert any("needs the prompts" in info.value for info in app.info)
    assert not app.dataframe


@pytest.mark.parametrize(
    ("factor", "rate", "text"),
    [
        ([0.4, 0.2], 1.0, "below 0.4 times that price (-60.0 %); 10 % of them below 0.4"),
        ([-1.0, -2.0], 1.0, "even if it were free, it would answer no query"),
        ([np.inf, -np.inf], 0.0, "At λ = 0 no price counts: mid answers 50.0 %"),
        ([np.inf, 0.5], 1.0, "comes at any price"),
    ],
)
def test_a_threshold_in_words(factor: list[float], rate: float, text: str) -> None:
    assert text in describe_threshold(Threshold("zeta/mid", "mid", rate, np.array(factor), np.array([0.5, 1.0])))


def test_the_picture_of_a_threshold_steps_where_the_share_does() -> None:
    threshold = Threshold("zeta/mid", "mid", 1.0, np.array([2.0, 0.5, -1.0]), np.array([1, 2, 3]) / 3)
    line = threshold_figure(threshold).data[0]
    assert list(line.x) == [0.01, 0.5, 1.0, 2.0, 100.0]
    assert list(line.y) == pytest.approx([200 / 3, 200 / 3, 100 / 3, 100 / 3, 0])


def test_a_scenario_in_words() -> None:
    assert in_words(Scenario()) == wording.NOTHING_CHANGED
    assert in_words(Scenario(price_factor=0.5, pool=("a", "b"))) == wording.CHANGES


def test_cascades_with_a_verifier_follow_its_two_sliders() -> None:
    perfect, blind = (page(sensitivity="100", specificity=text) for text in ("100", "0"))
    tables = [next(f.value for f in app.dataframe if "After a no" in f.value) for app in (perfect, blind)]
    assert tables[0]["Accuracy"].max() > tables[1]["Accuracy"].max()
    assert (tables[0]["After a no"] != "–").any()
    assert set(tables[1]["After a no"]) == {"–"}  # it takes every answer, so nothing is gained over one model
    assert perfect.slider(key="sensitivity").value == 100
    (notice,) = [warning.value for warning in page(sensitivity="much").warning]
    assert "sensitivity" in notice
