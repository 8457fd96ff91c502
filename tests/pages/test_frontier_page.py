"""Overview and Frontier on a fitted benchmark: handles, filters, links and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.benchmarks.model_facts_arms import ModelFacts, with_facts
from carrot_core.compare.model_shares_agreement import share_figure
from carrot_core.dashboard import controls, exhibits, views
from carrot_core.dashboard.components.frontier_chart import build_payload
from carrot_core.dashboard.shell import plain
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.evaluation.runs import run_router
from carrot_core.figures.benchmark import model_groupings
from carrot_core.figures.theme import group_looks, model_looks
from carrot_core.frontier import lam_of_rate, rate_of_lam
from carrot_core.number_formats import lam_text, percent, same_decimals
from carrot_core.outcomes import Outcomes
from carrot_core.paper import PRESETS
from carrot_core.results import shipped_snapshots
from carrot_core.results.source import open_results
from carrot_core.store import Store
from carrot_core.store.info import RECORDED
from carrot_core.verdict import sentence
from tests import wording
from tests.made import MODELS, PRICES, fill, made, write_files
from tests.pages.reading import button, lam_in_address, page_text, table
from tests.pages.test_pages import load_a_benchmark

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BY_TASK = "By task"


@pytest.fixture(autouse=True)
def _at_home(home_of, monkeypatch):
    """The made-up benchmark, CARROT-KNN fitted on it; to be read only."""
    monkeypatch.setenv("CARROT_HOME", str(home_of("carrot-knn")))


@pytest.fixture
def store(_at_home, store_of, carrot_home, monkeypatch):
    """A store of the test's own with the same content."""
    monkeypatch.setenv("CARROT_HOME", str(carrot_home))
    return store_of("carrot-knn")


def page(name: str, tab: str = "", **query: str | list[str]) -> AppTest:
    """A page of the app, with a tab of Frontier open that is not the first."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params.update(query)
    if tab:
        app.session_state["detail"] = tab
    app = app.switch_page(f"pages/{name}.py").run()
    assert not app.exception
    return app


def test_the_frontier_opens_at_the_point_that_matches_the_best_single_model():
    app = page("frontier")
    page_view = views.view(Store().info("made"))
    rate, unit = (
        views.opening_rate(page_view, "carrot-knn", page_view.results.cost_unit_usd),
        page_view.results.cost_unit_usd,
    )
    assert app.session_state["rate"] == rate
    assert lam_in_address(app) == pytest.approx(float(lam_of_rate(rate, unit)))
    choices = app.multiselect(key="routers")
    assert choices.options == ["CARROT-KNN", "Task lookup", "Task lookup with input cost", "Oracle"]
    assert choices.value == ["carrot-knn", "task-lookup-input", "oracle"]


def test_a_snapshot_says_which_lam_its_tasks_are_of():
    app = page("frontier", BY_TASK, bench="mmlu-pro-cot (snapshot)", lam="0.3456")
    page_view = views.view(next(info for info in shipped_snapshots() if info.name == "mmlu-pro-cot"))
    unit = page_view.scene(("zero",), "zero").cost_unit_usd
    lam_of_tasks = float(
        lam_of_rate(page_view.task_rate(app.selectbox(key="along").value, rate_of_lam(0.3456, unit)), unit)
    )
    message = f"these figures are of λ {lam_text(lam_of_tasks)}."
    assert lam_of_tasks != pytest.approx(0.3456, abs=1e-4)
    assert any(message in caption.value for caption in app.caption)
    app.session_state["rate"] = rate_of_lam(lam_of_tasks, unit)
    app.run()
    assert not any("these figures are of" in caption.value for caption in app.caption)


def test_pool_tasks_and_reference_narrow_the_scene():
    app = page("frontier", BY_TASK)
    app.multiselect(key="pool").set_value(["acme/large", "zeta/mid"]).run()
    assert not app.exception
    app.multiselect(key="tasks").set_value(["kind 1"]).run()
    assert not app.exception
    assert list(table(app, "Task")["Task"]) == ["kind 1"]
    assert not app.get("plotly_chart")  # of a tab that is closed
    assert app.selectbox(key="reference").options[1:] == ["acme/large", "zeta/mid"]


def test_what_is_known_of_models_narrows_the_pool_and_stands_in_the_address(store: Store, tmp_path: Path) -> None:
    results, _ = write_files(made(), tmp_path)
    known = ModelFacts(provider="north", open_weights=True, release_date="2025-06")
    facts = {"acme/small": known, "acme/large": replace(known, open_weights=False), "zeta/mid": ModelFacts("east")}
    frames = with_facts(read_long_table(results), facts)
    dated = frames.models.assign(as_of="2024-05", source="a dated list")
    store.save_benchmark("known", replace(frames, models=dated))

    def pool(**query: str) -> tuple[set[str], AppTest]:
        app = page("frontier", bench="known", **query)
        return {option.split(" · ")[0] for option in app.selectbox(key="reference").options[1:]}, app

    assert pool()[0] == {"acme/large", "acme/small", "zeta/mid"}
    app = pool()[1]
    facts = known_of_models(app)
    assert known_of_models(app.run()) == facts  # drawn again from what was sent
    (row,) = (line for line in facts.splitlines() if "acme/small" in line)
    price = same_decimals(price.input_usd_per_mtok for price in PRICES.values()).format(
        PRICES["acme/small"].input_usd_per_mtok
    )
    assert all(words in row for words in ("Provider] north", "Released] 2025-06", f"in] {price}"))
    captions = [each.value.replace("\\", "") for each in app.caption]
    assert any("2024-05" in words and "a dated list" in words for words in captions)  # of all, said once
    models, app = pool(providers="north", open_weights="true")
    assert models == {"acme/small"}
    assert app.multiselect(key="pool").options == ["zeta/mid · east", "acme/large · north", "acme/small · north"]
    app.checkbox(key="open_weights").set_value(False).run()
    assert app.selectbox(key="reference").options[1:] == ["acme/large · north", "acme/small · north"]
    assert pool(released_after="2025-06")[0] == {"acme/large", "acme/small", "zeta/mid"}  # none is, which is told
    assert any("No model passes" in warning.value for warning in pool(released_after="2025-06")[1].warning)
    assert pool(pool="zeta/mid", providers="east")[0] == {"zeta/mid"}


def test_models_that_are_too_slow_leave_the_pool(store: Store, tmp_path: Path) -> None:
    results, _ = write_files(made(), tmp_path)
    runs = pd.read_parquet(results)
    seconds = runs["model"].map({"acme/large": 3.0, "acme/small": 0.5, "zeta/mid": None})
    runs.assign(latency_s=seconds).to_parquet(results)
    store.save_benchmark("timed", read_long_table(results))
    app = page("frontier", bench="timed", latency_p95="2")
    assert app.number_input(key="latency_p95").value == 2
    assert set(app.selectbox(key="reference").options[1:]) == {"acme/small"}  # of zeta/mid it is not known
    app.number_input(key="latency_p95").set_value(3.0).run()
    assert set(app.selectbox(key="reference").options[1:]) == {"acme/large", "acme/small"}
    (models,) = (
        frame.value["Model"]
        for frame in page("data", bench="timed", latency_p95="2", view="Models").dataframe
        if "Model" in frame.value
    )
    assert list(models) == ["acme/small"]
    assert "latency" in page_text(page("frontier", bench="timed", latency_p95="-1"), "warning")
    assert "latency_p95" not in {box.key for box in page("frontier").number_input}


def test_cascades_are_drawn_where_they_are_chosen_and_a_snapshot_offers_none() -> None:
    app = page("frontier", cascades="true", sensitivity="80")
    assert wording.VERIFIER_ACCEPTS in page_text(app, "caption").replace("\\", "")
    app.checkbox(key="cascades").set_value(False).run()
    assert not app.exception
    assert "of the right answers" not in page_text(app, "caption")
    snapshot = page("frontier", bench="mmlu-pro-cot (snapshot)")
    assert "cascades" not in {box.key for box in snapshot.checkbox}


def test_a_pool_the_reference_is_not_in_falls_back_to_its_best_single():
    app = page("frontier")
    app.selectbox(key="reference").set_value("acme/small").run()
    app.multiselect(key="pool").set_value(["acme/large", "zeta/mid"]).run()
    assert not app.exception
    assert app.selectbox(key="reference").value == ""  # the best single model, whichever that is


def test_no_router_chosen_is_an_empty_state_not_an_error():
    app = page("frontier")
    app.multiselect(key="routers").set_value([]).run()
    assert not app.exception
    assert "at least one router" in page_text(app, "info")


def test_a_link_reopens_what_was_seen():
    app = page("frontier", bench="made", lam="0.25", pool=["acme/large", "acme/small"], reference="acme/small")
    unit = views.view(Store().info("made")).narrowed(("acme/large", "acme/small")).cost_unit_usd
    assert app.session_state["rate"] == rate_of_lam(0.25, unit)
    assert lam_in_address(app) == 0.25
    assert app.multiselect(key="pool").value == ["acme/large", "acme/small"]
    assert app.selectbox(key="reference").value == "acme/small"


def test_what_a_wish_came_to_is_said_only_of_what_it_was_about():
    app = page("frontier")
    app.selectbox(key="solve:model").set_value("zeta/mid").run()
    app.button(key="solve:set").click().run()
    rate = app.session_state["rate"]
    assert wording.CHEAPEST_AS_ACCURATE in page_text(app)
    app.selectbox(key="along").set_value("oracle").run()
    assert app.session_state["rate"] == rate
    assert wording.CHEAPEST_AS_ACCURATE not in page_text(app)
    app.selectbox(key="along").set_value("carrot-knn").run()
    assert wording.CHEAPEST_AS_ACCURATE in page_text(app)
    app.multiselect(key="tasks").set_value(["kind 1"]).run()
    assert not app.exception
    assert wording.CHEAPEST_AS_ACCURATE not in page_text(app)


def test_the_model_to_match_opens_at_the_best_of_what_is_chosen():
    app = page("frontier", tasks="kind 1")
    assert app.selectbox(key="solve:model").value == "zeta/mid"


@pytest.mark.parametrize("lam", [0.0, 0.987654321, 1.0])
def test_a_point_is_the_same_whatever_is_left_out_and_on_every_page(lam):
    page_view = views.view(Store().info("made"))
    of_all, of_some = page_view.cost_unit_usd, page_view.narrowed(("acme/small", "zeta/mid")).cost_unit_usd
    app, rate = page("frontier", lam=str(lam)), rate_of_lam(lam, of_all)
    app.multiselect(key="pool").set_value(["acme/small", "zeta/mid"]).run()
    for name, unit in (("frontier", of_some), ("live", of_all), ("whatif", of_all), ("points", of_all)):
        app.switch_page(f"pages/{name}.py").run()
        assert not app.exception
        assert app.session_state["rate"] == rate
        there = lam_in_address(app)
        assert there == pytest.approx(float(lam_of_rate(rate, unit)), rel=1e-12)
        again = page(name, lam=repr(there), pool=["acme/small", "zeta/mid"])
        assert again.session_state["rate"] == pytest.approx(rate, rel=1e-12)
    assert lam_in_address(app) == lam  # as it was set, to the last digit


@pytest.mark.parametrize("chosen", [True, False])
def test_another_benchmark_keeps_a_point_that_was_set_and_else_opens_at_its_own(chosen):
    app = page("frontier", bench="made", **({"lam": "0.3"} if chosen else {}))
    rate = app.session_state["rate"]
    app.selectbox(key="bench").set_value("mmlu-pro-cot (snapshot)").run()
    assert not app.exception
    own = views.view(next(info for info in shipped_snapshots() if info.name == "mmlu-pro-cot"))
    opened = views.opening_rate(own, app.selectbox(key="along").value, own.results.cost_unit_usd)
    assert app.session_state["rate"] == (rate if chosen else opened)
    assert opened != rate


def test_a_baseline_s_point_is_not_kept_and_the_button_says_why():
    (keep,) = [button for button in page("frontier").button if button.label == "Keep this point"]
    assert not keep.disabled
    app = page("frontier", along="Oracle")
    (keep,) = [button for button in app.button if button.label == "Keep this point"]
    assert keep.disabled
    assert "cannot answer typed prompts" in keep.help
    (keep,) = [button for button in page("frontier", tasks="kind 1").button if button.label == "Keep this point"]
    assert keep.disabled
    assert wording.ALL_MODELS_AND_TASKS in keep.help


def go(app: AppTest, name: str, bench: str) -> AppTest:
    """Another page of the same session, on the same benchmark and at the same router and rate."""
    there = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for key in (controls.ROUTER, controls.RATE):
        if key in app.session_state:
            there.session_state[key] = app.session_state[key]
    there.query_params["bench"] = bench
    there = there.switch_page(f"pages/{name}.py").run()
    assert not there.exception
    return there


def known_of_models(app: AppTest) -> str:
    """The table of what is known of models, with no sign escaped."""
    (text,) = (each.value for each in app.markdown if each.value.startswith("| Model |"))
    return str(text).replace("\\", "")


@pytest.mark.parametrize("bench", ["made", "mmlu-pro-cot (snapshot)"])
def test_overview_and_frontier_give_one_verdict_on_a_router_that_can_answer(bench: str) -> None:
    app = page("overview", bench=bench)
    infos = [*Store().benchmarks(), *shipped_snapshots()]
    info = next(info for info in infos if bench in (info.name, f"{info.name} (snapshot)"))
    assert info.costs in "".join(each.proto.popover.label for each in app.get("popover")).replace("\\", "")
    facts = known_of_models(app)
    assert len(facts.splitlines()) == 2 + info.n_models
    assert "$/1M in" in facts
    costs = wording.RECORDED_COSTS if info.costs.startswith(RECORDED) else wording.PRICED_COSTS
    assert costs in page_text(app, "caption")
    page_view = views.view(info)
    headline = views.drawable(page_view)[0]
    assert headline in page_view.runnable
    verdict = page_view.verdict(headline, app.session_state["rate"])
    texts = [f"**{plain(sentence(verdict))}**", plain(sentence(verdict))]
    assert texts[0] in [each.value for each in app.markdown]
    app = go(app, "frontier", bench)
    assert app.selectbox(key="along").value == headline
    assert texts[1] in [each.value for each in app.markdown]


def test_the_router_goes_from_page_to_page_and_one_that_cannot_answer_is_named() -> None:
    bench = "mmlu-pro-cot (snapshot)"
    app = page("frontier", bench=bench)
    app.selectbox(key="along").set_value("carrot-blend").run()
    app = go(app, "overview", bench)
    assert "**CARROT-Blend " in page_text(app, "markdown").replace("\\", "")
    app = go(app, "live", bench)
    assert app.selectbox(key="router").value == "carrot-mlp"
    assert wording.CANNOT_ANSWER in page_text(app, "caption").replace("\\", "")


def test_the_leaderboard_has_a_link_for_every_figure_and_it_opens_what_it_names() -> None:
    bench, router = "mmlu-pro-cot (snapshot)", "carrot-linear"
    app = page("overview", bench="made")
    boards = [each.value for each in app.markdown if each.value.startswith("| Router")]
    address = urlencode({"bench": bench, "router": "CARROT-Linear"})
    assert sum(f"(?{address})" in board for board in boards) == 2  # once in each tab
    page_view = views.view(next(info for info in shipped_snapshots() if info.name == "mmlu-pro-cot"))
    point = page_view.matching_point(router)
    assert point is not None
    assert plain(percent(point.saving.value, digits=0)).split()[0] in boards[0]
    assert "00A0" not in "".join(boards)
    there = page("overview", bench=bench, router="CARROT-Linear")
    assert "**CARROT-Linear " in page_text(there, "markdown").replace("\\", "")
    assert there.session_state[controls.RATE] == point.exchange_rate_per_usd
    where_from = page_text(there, "caption")
    assert "some of its rows" in where_from
    assert "kind" not in where_from  # no SQL


def test_a_snapshot_marks_curves_that_cannot_be_run_here() -> None:
    page_view = views.view(next(info for info in shipped_snapshots() if info.name == "mmlu-pro-cot"))
    scene = page_view.scene((page_view.runnable[0], "carrot-blend", "oracle"), page_view.runnable[0])
    assert ["research only" in curve.label for curve in scene.curves] == [False, True, False]


def test_the_overview_promises_nothing_of_a_baseline(store, tmp_path):
    results, _ = write_files(made(80, seed=3), tmp_path, "other")
    store.save_benchmark("another", read_long_table(results))
    app = page("overview", bench="another")
    assert "mixing models blindly" not in page_text(app, "markdown")
    assert "No router is fitted" in page_text(app, "info")
    assert "Below are the baselines" in page_text(app, "info")


def test_a_benchmark_without_texts_offers_no_fit_that_cannot_work(store):
    load_a_benchmark()
    for name in ("overview", "frontier", "whatif", "live"):
        app = page(name, bench="toy")
        assert "came without their texts" in page_text(app), name
        assert "Fit CARROT-KNN" not in [button.label for button in app.button], name
    (button,) = [button for button in page("data").button if button.key == "fit:shared:toy"]
    assert button.disabled


def test_a_benchmark_without_a_router_shows_baselines_and_offers_to_fit(store, tmp_path):
    results, _ = write_files(made(80, seed=3), tmp_path, "other")
    store.save_benchmark("another", read_long_table(results))
    app = page("frontier", bench="another")
    assert "No router is fitted" in page_text(app, "info")
    assert app.multiselect(key="routers").options == ["Task lookup", "Task lookup with input cost", "Oracle"]
    assert next(button.label for button in app.button) == "Fit CARROT-KNN"


def test_fitting_from_the_page_fits_and_shows_the_router(store):
    fill(store, replace(made(80, seed=3), name="another"))
    app = page("frontier", bench="another")
    button(app, "Fit CARROT-KNN").click().run()
    assert not app.exception
    assert "CARROT-KNN" in app.multiselect(key="routers").options


TWINS = ("azure/flash", "openrouter/flash", "zeta/mid")


def test_two_providers_of_one_model_are_told_apart_on_every_page():
    bench = made()
    outcomes = Outcomes(bench.prompt_ids, TWINS, bench.outcomes.score, bench.outcomes.cost_usd)
    prices = dict(zip(TWINS, bench.prices.values(), strict=True))
    fill(Store(), replace(bench, name="twins", outcomes=outcomes, prices=prices), "carrot-knn")
    overview = page("overview", bench="twins")
    scene = views.view(Store().info("twins")).scene(("carrot-knn",), "carrot-knn")
    best = scene.short_names[scene.best_single]
    assert best in ("azure/flash", "mid")
    assert f" {best} " in page_text(overview, "markdown")
    frontier = page("frontier", BY_TASK, bench="twins", reference="openrouter/flash")
    assert set(table(frontier, "Answered most by")["Answered most by"]) <= {"azure/flash", "openrouter/flash", "mid"}
    names = ["azure/flash", "openrouter/flash", "mid"]
    payload = build_payload(scene)
    assert [model["short"] for model in payload["models"]] == payload["texts"] == names
    assert {trace.name for trace in share_figure(scene).data} == set(names)
    draw = PRESETS["zero-router"].make(open_results(Store(), "twins")).draw
    assert draw is not None
    written = {name for trace in draw("print").data for name in (*(trace.text or ()), trace.name or "")}
    assert f"Best single: {best}" in written
    assert not {"flash", "Best single: flash"} & written


@pytest.fixture
def known(store: Store, tmp_path: Path) -> Store:
    """The store with a benchmark of models with facts, of which one has gaps."""
    results, vectors = write_files(made(), tmp_path)
    runs = pd.read_parquet(results)
    lost = (runs["model"] == "zeta/mid") & runs["prompt_id"].isin(runs["prompt_id"].unique()[:30])
    runs[~lost].to_parquet(results)
    facts = {
        "acme/large": ModelFacts("acme", open_weights=False),
        "acme/small": ModelFacts("acme", open_weights=True),
        "zeta/mid": ModelFacts("zeta", open_weights=True),
    }
    store.save_benchmark("known", with_facts(read_long_table(results), facts))
    store.import_vectors("known", vectors, BUNDLED)
    run_router(store, load_embedded(store, "known"))
    return store


def test_overview_is_of_the_models_that_pass_its_filters(known: Store) -> None:
    app = page("overview", bench="known", open_weights="true")
    pool = ("acme/small", "zeta/mid")
    view = views.view(known.info("known"))
    verdict = view.verdict("carrot-knn", float(app.session_state["rate"]), pool=pool)
    assert sentence(verdict) in page_text(app, "markdown")
    assert "2 of 3 models" in page_text(app, "caption")
    opened = [views.opening_rate(view, "carrot-knn", view.cost_unit_usd, models) for models in (pool, ())]
    assert app.session_state["rate"] == opened[0] != opened[1]
    app.checkbox(key="open_weights").set_value(False).run()
    assert app.session_state["rate"] == opened[1]
    assert sentence(verdict) not in page_text(app, "markdown")
    assert "of 3 models" not in page_text(app, "caption")


def test_a_fact_colours_the_models_of_a_page(known: Store) -> None:
    app = page("frontier", bench="known", color_by="Provider")
    assert app.selectbox(key="color_by").options == ["Cost", "Provider", "Open weights"]
    assert "coloured by provider" in page_text(app, "caption")
    assert "coloured by" not in page_text(page("frontier", bench="known"), "caption")
    assert "color_by" in page_text(page("frontier", bench="known", color_by="Effort"), "warning")


def test_a_fact_colours_the_models_of_tables_as_those_of_charts(known: Store) -> None:
    grouping = model_groupings(MODELS, known.info("known").facts_by_model)["Provider"]
    looks = group_looks(grouping, "light")
    app = page("whatif", bench="known", color_by="Provider")
    assert "coloured by provider" in page_text(app, "caption")
    providers = {model: provider for provider, models in grouping.groups for model in models}
    for column in ("Before", "Share now"):
        rows = table(app, column)
        assert dict(zip(rows["Model"], rows["Provider"], strict=True)) == providers
    frame = pd.DataFrame({"Model": MODELS})
    style = exhibits.marked(frame, MODELS, MODELS, grouping)
    html = style.to_html()
    assert all(looks[provider].color in html for provider in providers.values())
    assert style.data[exhibits.MARK].nunique() == len({*providers.values()})
    by_cost = exhibits.marked(frame[:1], MODELS[-1:], MODELS, None)
    assert model_looks(MODELS, "light")[MODELS[-1]].color in by_cost.to_html()
    assert list(by_cost.data.columns) == [exhibits.MARK, "Model"]
    stated = exhibits.marked(frame.assign(Provider="stated"), MODELS, MODELS, grouping)
    assert list(stated.data.columns) == [exhibits.MARK, "Model", "Provider"]


@pytest.mark.parametrize("name", ["frontier", "compare"])
def test_a_model_with_gaps_is_left_out_at_a_click(known: Store, name: str) -> None:
    app = page(name, bench="known")
    button(app, plain("Without mid, missing on 30: 300 complete")).click().run()
    assert not app.exception
    assert app.session_state["pool"] == ["acme/large", "acme/small"]
    assert not [each for each in app.button if each.label.startswith("Without")]
