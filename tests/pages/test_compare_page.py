"""Compare: every section, on data that are here and on a snapshot; what is fitted; nothing that a name can do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.benchmarks.model_facts_arms import ModelFacts, with_facts
from carrot_core.dashboard import views
from carrot_core.dashboard.compare import GROUPS, SECTIONS, results
from carrot_core.embedding import BUNDLED
from carrot_core.evaluation import make_setting
from carrot_core.evaluation.runs import compare_routers, run_router, runs_by_seed
from carrot_core.frontier import rate_of_lam
from carrot_core.number_formats import money, seconds
from carrot_core.paths import shipped
from carrot_core.results import shipped_snapshots
from carrot_core.results.source import stored_results
from carrot_core.store import Store
from tests import wording
from tests.made import MODELS, fill, made, write_files
from tests.pages.reading import folded, lam_in_address, page_text, table
from tests.pages.test_pages import HOSTILE, ROOT, load_a_benchmark

pytestmark = pytest.mark.slow

SNAPSHOT = "frugalgpt-overruling (snapshot)"


@pytest.fixture(scope="module")
def fitted(filled_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A benchmark with CARROT-KNN, CARROT-Linear and two seeds of both; for reading only."""

    def compare(home: Path) -> None:
        store = fill(Store(home / "carrot.duckdb"), made(150))
        bench = store.load("made", encoder=BUNDLED)
        compare_routers(store, bench, ("carrot-knn", "carrot-linear"), (0, 1), replicates=10)

    return filled_once("compared", compare)


def page(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    return app.switch_page("pages/compare.py").run()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_runs_on_data_and_on_a_snapshot(
    section: str, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARROT_HOME", str(fitted))
    for bench in ("made", SNAPSHOT):
        app = page(bench=bench, show=section)
        assert not app.exception, (bench, section)
        assert not app.error, (bench, section)
        assert app.get("plotly_chart") or app.dataframe or app.info, (bench, section)


def test_seeds_that_are_kept_can_be_chosen(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(fitted))
    app = page(bench="made")
    seeds = app.selectbox(key="seed")
    assert list(seeds.options) == [wording.MEAN_OVER_SEEDS, "seed 0", "seed 1"]
    alone = folded(app, "AIQ")
    app = seeds.select(wording.MEAN_OVER_SEEDS).run()
    assert not app.exception
    assert folded(app, "AIQ") != alone


def test_the_table_is_that_of_the_comparison(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(fitted))
    store = Store(fitted / "carrot.duckdb")
    bench = store.load("made", encoder=BUNDLED)
    expected = compare_routers(store, bench, ("carrot-knn", "carrot-linear"), (0,))
    figures = folded(page(bench="made"), "AIQ")
    for router, name in (("carrot-knn", "CARROT-KNN"), ("carrot-linear", "CARROT-Linear")):
        figure = expected.figure(router, "aiq")
        assert figure is not None
        interval = f"[{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
        assert figures[name]["AIQ"].startswith(f"{100 * figure.value:.2f} {interval}")
        assert {"QNC", "least cost per 1k solved tasks"} <= {*figures[name]}
        solved = expected.figure(router, "cost_per_solved")
        assert solved is not None
        assert figures[name]["least cost per 1k solved tasks"].startswith(money(1000 * solved.value))
        assert not any("latency" in column for column in figures[name])


def test_latency_stands_beside_the_metrics_where_it_is_recorded() -> None:
    figures = folded(page(bench="bfcl (snapshot)"), "AIQ")
    info = next(info for info in shipped_snapshots() if info.name == "bfcl")
    latency = views.view(info).curve("carrot-knn").latency_s
    assert latency is not None
    assert figures["CARROT-KNN"]["Mean latency at λ = 0"] == seconds(latency[0, 0])


def _aiq_of_knn(app: AppTest) -> float:
    return float(folded(app, "AIQ")["CARROT-KNN"]["AIQ"].split()[0])


def test_a_narrowed_pool_is_all_there_is_on_every_section(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(fitted))
    pool, (task, *_) = tuple(MODELS[:2]), views.view(Store().info("made")).tasks
    results_of = views.view(Store().info("made")).within(pool, (task,))
    for section in SECTIONS:
        app = page(bench="made", show=section, pool=pool, tasks=task)
        assert not app.exception, section
        assert not app.error, section
        if any(box.key == "model_of" for box in app.selectbox):
            assert set(app.selectbox(key="model_of").options[1:]) == set(pool)
    aiq = _aiq_of_knn(page(bench="made", pool=pool, tasks=task))
    curve = results_of.curve("carrot-knn")
    assert curve.models == pool
    assert curve.n_prompts == len(results_of.narrowed().test.prompt_ids)
    figures = results_of.comparison(("carrot-knn",), (0,))[0]
    expected = figures[(figures["metric"] == "aiq") & (figures["seed"] == "0")]["value"].item()
    assert aiq == pytest.approx(100 * expected, abs=0.006)
    assert aiq != pytest.approx(_aiq_of_knn(page(bench="made")), abs=0.02)
    assert results_of.figures("carrot-knn") is None  # what was stored is of the whole pool


def test_a_router_whose_models_are_left_out_is_not_among_the_rest(fitted: Path) -> None:
    results_of = stored_results(Store(fitted / "carrot.duckdb"), "made")
    knn = results_of.tables["carrot-knn"]
    one = {split: table.pool(MODELS[2:]) for split, table in knn.items()}
    paid = {split: replace(table, cost_is_paid=True) for split, table in knn.items()}
    both = replace(results_of, tables={"carrot-knn": knn, "one model": one, "calls all": paid})
    assert both.within(MODELS[:2]).fitted == ("carrot-knn",)
    assert both.within(MODELS[1:]).fitted == ("carrot-knn", "one model")
    assert both.within().fitted == both.fitted


def test_a_snapshot_says_that_it_cannot_be_narrowed() -> None:
    assert "shows the whole pool" in page_text(page(bench=SNAPSHOT), "caption")


def test_only_what_would_be_used_again_counts_as_kept(fitted: Path) -> None:
    store = Store(fitted / "carrot.duckdb")
    runs = runs_by_seed(store, store.load("made"), ("carrot-knn", "rorf"))
    assert sorted(runs["carrot-knn"]) == [0, 1]
    assert runs["rorf"] == {}
    assert runs["carrot-knn"][1].seed == 1


def test_a_snapshot_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    shipped = next(info for info in shipped_snapshots() if info.name == "routerbench-subset")
    info = replace(shipped, folder=tmp_path / "snapshot")
    shutil.copytree(shipped.folder, info.folder)
    before = set(views.view(info).comparison((), (0,))[0]["value"])
    path = info.folder / "comparison.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seeds": [0, 1]}))
    figures = pd.read_parquet(info.folder / "figures.parquet")
    figures.assign(value=0.25).to_parquet(info.folder / "figures.parquet")
    assert views.view(info).seeds(()) == (0, 1)
    assert set(views.view(info).comparison((), (0,))[0]["value"]) == {0.25} != before


def test_a_press_fits_all_routers_and_the_page_goes_on_with_them(
    store_of: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carrot_core.dashboard.compare.results.ALL", "carrot-linear")
    store_of("carrot-knn")
    app = page(bench="made")
    assert "CARROT-Linear" not in app.multiselect(key="compared").options
    assert "seed" not in {box.key for box in app.selectbox}  # there is one alone
    app = app.button(key="fit_all").click().run()
    assert not app.exception
    assert "CARROT-Linear" in app.multiselect(key="compared").options


def test_a_study_is_made_on_demand_and_kept(fitted: Path, carrot_home: Path) -> None:
    shutil.copytree(fitted, carrot_home, dirs_exist_ok=True)
    app = page(bench="made", show="New tasks")
    assert not app.get("plotly_chart")
    app = app.button(key="study:transfer").click().run()
    assert not app.exception
    assert app.get("plotly_chart")
    assert page(bench="made", show="New tasks").get("plotly_chart")  # no button again


def test_baselines_are_enough(carrot_home: Path) -> None:
    load_a_benchmark()
    for section in SECTIONS:
        app = page(bench="toy", show=section)
        assert not app.exception, section
        assert not any(HOSTILE in element.value for element in app.markdown), section


def test_a_snapshot_holds_no_prompts_to_lose() -> None:
    assert "it holds no prompts" in page_text(page(bench=SNAPSHOT, show="Where it loses"))


@pytest.mark.parametrize(
    ("section", "analysis"),
    [
        ("Gap to oracle", "gap to the oracle"),
        ("Learnable", "gains over knowing nothing"),
        ("Who answers", "agreement of choices"),
        ("By task", "curves of single tasks"),
    ],
)
def test_a_snapshot_without_an_analysis_says_so(
    section: str, analysis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = shutil.ignore_patterns("analysis-*")
    folder = "snapshots/frugalgpt-overruling"
    shutil.copytree(shipped(folder), tmp_path / folder, ignore=without)
    monkeypatch.setattr("carrot_core.results.shipped", lambda name: tmp_path / name)
    app = page(bench=SNAPSHOT, show=section)
    assert not app.exception
    assert f"keeps no {analysis}" in page_text(app)


def test_other_benchmarks_stand_beside(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(fitted))
    app = page(bench="made", beside=SNAPSHOT)
    assert not app.exception
    assert len(table(app, SNAPSHOT))


def test_own_results_under_a_shipped_name_take_its_place(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARROT_HOME", str(tmp_path))
    results, _ = write_files(made(30), tmp_path)
    Store().save_benchmark("frugalgpt-overruling", read_long_table(results), shadow=True)
    app = page(bench="frugalgpt-overruling")
    assert not app.exception
    names = app.selectbox(key="bench").options
    assert "frugalgpt-overruling" in names
    assert SNAPSHOT not in names


def test_a_benchmark_with_none_of_the_routers_is_left_out_in_words(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(fitted, tmp_path / "home")
    monkeypatch.setenv("CARROT_HOME", str(tmp_path / "home"))
    load_a_benchmark()
    app = page(bench="made", beside="toy", compared="CARROT-KNN")
    assert not app.exception
    assert wording.NONE_FITTED in page_text(app)
    assert not app.dataframe
    app.multiselect(key="compared").set_value(["carrot-knn", "zero"]).run()
    assert len(table(app, "toy"))


def test_no_usage_is_no_word_about_what_is_charged(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(shutil.copytree(fitted, tmp_path / "home"))
    monkeypatch.setenv("CARROT_HOME", str(home))
    run_router(Store(), Store().load("made", encoder=BUNDLED), "cascade")
    app = page(bench="made", show="Predictions")
    app.multiselect(key="compared").set_value(["cascade"]).run()
    assert not app.exception
    assert wording.NONE_PREDICTS in page_text(app)


def test_what_is_kept_of_data_goes_with_them(tmp_path: Path) -> None:
    studies = results._studies("store", "made", "one")
    assert results._studies("store", "made", "one") is studies
    assert results._studies("store", "made", "other") is not studies
    folder = Path(shutil.copytree(shipped("snapshots") / "frugalgpt-overruling", tmp_path / "snapshot"))
    info = replace(shipped_snapshots()[0], folder=folder)
    page_view = views.view(info)
    assert views.view(info) == page_view
    assert views.view(info).results is page_view.results
    os.utime(folder / "curves.parquet", ns=(0, 2**62))
    again = views.view(info)
    assert again != page_view
    assert again.results is not page_view.results


def test_no_router_is_an_empty_state(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(fitted))
    app = page(bench="made").multiselect(key="compared").set_value([]).run()
    assert not app.exception
    assert wording.CHOOSE_A_ROUTER in page_text(app)


def test_lam_is_the_session_s_point_and_sets_it(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(fitted))
    unit = make_setting(Store().load("made")).cost_unit_usd
    app = page(bench="made", show="Gap to oracle", gap="0.45")
    assert app.select_slider(key="gap").value == "0.45"
    rate = app.session_state["rate"]
    assert rate == rate_of_lam(0.45, unit)
    app.switch_page("pages/frontier.py").run()
    assert (app.session_state["rate"], lam_in_address(app)) == (rate, 0.45)
    app.session_state["rate"] = between = rate_of_lam(0.37, unit)
    app.session_state["show:group"], app.session_state["show:section"] = "Where", "Who answers"
    app.switch_page("pages/compare.py").run()
    assert not app.exception
    assert (app.select_slider(key="at").value, app.query_params["at"]) == ("0.35", "0.35")
    assert app.session_state["rate"] == between  # a look does not move it
    assert wording.POINT_IN_USE in page_text(app).replace("\\", "")
    app.select_slider(key="at").set_value("0.5").run()
    assert app.session_state["rate"] == rate_of_lam(0.5, unit)


def _choose_section() -> None:
    import streamlit as st

    from carrot_core.dashboard import compare, links

    links.begin()
    st.text(compare.section())


@pytest.mark.parametrize(
    ("show", "group", "section"),
    [(section, group, section) for group, sections in GROUPS.items() for section in sections]
    + [(group, group, sections[0]) for group, sections in GROUPS.items()],
)
def test_a_link_to_a_section_opens_it_in_its_group(show: str, group: str, section: str) -> None:
    app = AppTest.from_function(_choose_section)
    app.query_params["show"] = show
    app.run()
    assert not app.exception
    assert (app.session_state["show:group"], page_text(app, "text")) == (group, section)
    other = next(name for name in GROUPS if name != group)
    app.segmented_control(key="show:group").set_value(other).run()
    assert page_text(app, "text") == GROUPS[other][0]
    assert app.query_params.get("show", SECTIONS[0]) == GROUPS[other][0]


def test_efforts_of_one_model_stand_together_with_what_each_answers(carrot_home: Path) -> None:
    path, vectors = write_files(made(60), carrot_home)
    low, high, other = MODELS
    facts = {
        low: ModelFacts("acme", effort="low", base_model="m"),
        high: ModelFacts("acme", effort="high", base_model="m"),
        other: ModelFacts("zeta", base_model="m"),  # of another provider, so another model
    }
    store = Store()
    store.save_benchmark("efforts", with_facts(read_long_table(path), facts))
    store.import_vectors("efforts", vectors, BUNDLED)
    run_router(store, store.load("efforts", encoder=BUNDLED))
    app = page(bench="efforts", show="Who answers", areas="CARROT-KNN")
    assert not app.exception
    rows = next(frame.value for frame in app.dataframe if "Effort" in frame.value)
    assert rows[["Model", "Effort", "Arm"]].to_numpy().tolist() == [["m", "low", low], ["m", "high", high]]
    page_view = views.view(store.info("efforts"))
    rate = rate_of_lam(float(app.select_slider(key="at").value), page_view.cost_unit_usd)
    curve = page_view.curve("carrot-knn")
    shares = dict(zip(curve.models, curve.shares([rate])[0], strict=True))
    assert rows["Answers"].tolist() == pytest.approx([100 * shares[low], 100 * shares[high]])
