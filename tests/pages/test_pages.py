"""Every page through the app's own frame: it runs, says what it is, and says so when there is nothing to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.dashboard import shell
from carrot_core.dashboard.shell import PAGES, plain
from carrot_core.embedding import BUNDLED
from carrot_core.errors import StoreError
from carrot_core.evaluation.runs import run_router
from carrot_core.paths import shipped
from carrot_core.prices import FREE
from carrot_core.results import shipped_snapshots
from carrot_core.store import Store
from tests import wording
from tests.made import long_frame, made, write_files
from tests.pages.reading import page_text

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<img src=x onerror=alert(1)> ![x](//host/x.png) :red[x] $x$"

# page, heading, and the labels it must show, by kind of element, once a router is fitted
TABLE: list[tuple[str, str, dict[str, list[str]]]] = [
    ("overview", "CARROT sends each prompt to the model worth its price", {"selectbox": ["Benchmark"]}),
    (
        "frontier",
        "Frontier",
        {
            "selectbox": ["Benchmark", "Reference model", "λ moves along", "Model to match"],
            "multiselect": ["Routers", "Pool (3 models)", "Tasks (2)"],
        },
    ),
    (
        "compare",
        "Compare",
        {
            "selectbox": ["Benchmark", "Metric"],
            "multiselect": [
                "Routers",
                "Pool (3 models)",
                "Tasks (2)",
                "Columns of the table",
                "The same routers on other benchmarks",
            ],
        },
    ),
    (
        "live",
        "Live prompt",
        {
            "selectbox": ["Benchmark", "Router", "Fallback model"],
            "multiselect": ["Pool (3 models)"],
            "slider": ["λ"],
            "number_input": [
                "Budget, $ per 1k calls (promised)",
                "Target accuracy, % (promised)",
                "Fall back from this percentile on",
            ],
        },
    ),
    (
        "whatif",
        "What-if",
        {
            "selectbox": ["Benchmark", "Router", "Model"],
            "multiselect": ["Pool (3 models)"],
            "slider": ["Input tokens from a cache", "Right answers it accepts", "Wrong answers it rejects"],
            "number_input": [
                "Factor on all prices",
                "Factor on output tokens",
                "Price of a cached token, % of another",
                "Router's own cost, $ per 1k calls",
            ],
        },
    ),
    (
        "points",
        "Operating points",
        {
            "selectbox": ["Benchmark", "Router", "Fallback model", "As good as a model, as cheap as possible"],
            "multiselect": ["Pool (3 models)"],
            "slider": ["λ"],
            "text_input": ["Name"],
            "text_area": ["Note"],
        },
    ),
    (
        "data",
        "Data",
        {
            "selectbox": ["Data set", "Benchmark", "Task", "Split"],
            "text_input": ["Search the prompts"],
            "toggle": ["Models disagree"],
            "text_area": ["Query"],
        },
    ),
    (
        "theory",
        "Theory",
        {"selectbox": ["Dimension d", "Smoothness γ", "Margin α", "λ of the simulation", "Models"]},
    ),
    ("method", "Method", {"text_input": ["Search"]}),
]

NEED_NO_DATA = {"method", "theory"}  # pages that show the same whatever is loaded


@pytest.fixture
def fitted(home_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder with one benchmark and CARROT-KNN fitted on it."""
    monkeypatch.setenv("CARROT_HOME", str(home_of("carrot-knn")))


def page(name: str) -> AppTest:
    """A page as the app shows it."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    return app.switch_page(f"pages/{name}.py").run()


def load_a_benchmark() -> None:
    """Twelve prompts and two models; a model name that tries to be markup."""
    prompts, models = [f"p{i}" for i in range(12)], ["steady", HOSTILE]
    cells = pd.MultiIndex.from_product([prompts, models], names=["prompt_id", "model"]).to_frame(index=False)
    frames = Frames(
        prompts=pd.DataFrame({"prompt_id": prompts, "text": None, "task": "", "family": "", "split": None}),
        models=pd.DataFrame(
            {"model": models, "input_usd_per_mtok": np.nan, "output_usd_per_mtok": np.nan, "as_of": "", "source": ""}
        ),
        outcomes=cells.assign(score=0.5, input_tokens=np.nan, output_tokens=np.nan, cost_usd=0.001),
        provenance=Provenance(source="results.csv"),
        warnings=(f"Model {HOSTILE} was seen.",),
    )
    Store().save_benchmark("toy", frames)


def test_every_page_in_the_menu_is_in_this_table() -> None:
    assert [entry.name for entry in PAGES] == [name for name, _, _ in TABLE]


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize(("name", "heading", "widgets"), TABLE)
def test_page_shows_its_heading_and_widgets(name: str, heading: str, widgets: dict[str, list[str]]) -> None:
    app = page(name)
    assert not app.exception
    assert not app.error
    assert [title.value for title in app.title] == [heading]
    assert {kind: [element.label for element in app.get(kind)] for kind in widgets} == widgets


def test_every_page_takes_a_benchmark_without_texts_routers_or_tasks() -> None:
    load_a_benchmark()
    for name, _, _ in TABLE:
        app = page(name)
        assert not app.exception, name
        assert not app.error, name


@pytest.mark.parametrize(("name", "heading", "widgets"), [row for row in TABLE if row[0] not in NEED_NO_DATA])
@pytest.mark.parametrize("ships", [True, False], ids=["as it ships", "with nothing at all"])
def test_page_without_data_says_what_to_do_next(
    name: str, heading: str, widgets: dict[str, list[str]], ships: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ships:
        monkeypatch.setattr(shell, "shipped_snapshots", list)
    app = page(name)
    assert not app.exception
    assert [title.value for title in app.title] == [heading]
    texts = "".join(element.value for element in (*app.info, *app.markdown))
    with_a_snapshot = {"data": "carrot setup", "live": "Type a prompt above", "points": wording.NO_POINT}.get(
        name, "the prompts may not be passed on"
    )
    assert (with_a_snapshot if ships else "carrot setup") in texts


@pytest.mark.parametrize("name", ["overview", "frontier"])
def test_a_snapshot_opens_where_nothing_else_is_loaded(name: str) -> None:
    Store().save_benchmark("simulated", read_long_table(shipped("template.csv")))
    assert page(name).selectbox(key="bench").value == "mmlu-pro-cot (snapshot)"
    Store().save_benchmark("mine", read_long_table(shipped("template.csv")))
    assert page(name).selectbox(key="bench").value == "mine"


def test_every_snapshot_has_a_working_frontier() -> None:
    app = page("frontier")
    for option in app.selectbox(key="bench").options:
        app.selectbox(key="bench").set_value(option).run()
        assert not app.exception
        assert not app.error
        app.session_state["rate"], app.session_state["detail"] = 250.0, "By task"
        app.run()
        assert not app.exception
        assert app.dataframe
        assert all(len(frame.value) for frame in app.dataframe)
        assert "pool" not in {element.key for element in app.multiselect}
        app.session_state["detail"] = "What a small step changes"
        assert any("holds no prompts" in info.value for info in app.run().info)


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize("name", [name for name, _, _ in TABLE])
def test_page_runs_without_the_app_around_it(name: str) -> None:
    assert not AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=60).run().exception


def test_an_error_of_ours_is_text_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Store) -> None:
        raise StoreError(f"The file is of another version: {HOSTILE}.")

    monkeypatch.setattr(Store, "benchmarks", refuse)
    app = page("data")
    assert not app.exception
    assert [error.value for error in app.error] == [plain(f"The file is of another version: {HOSTILE}.")]


def test_a_bug_is_not_dressed_up_as_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Store) -> None:
        raise ValueError("bug")

    monkeypatch.setattr(Store, "benchmarks", fail)
    app = page("data")
    assert len(app.exception) == 1
    assert not app.error


@pytest.mark.parametrize("query", [{"goto": "data", "lam": "0.3"}, {"goto": "nowhere", "lam": "0.3"}])
def test_a_deep_link_keeps_its_parameters_and_loses_only_the_detour(query: dict[str, str]) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params.update(query)
    app.run()
    assert {name: app.query_params[name] for name in app.query_params if name != "router"} == {"lam": "0.3"}
    assert page_text(app, "title").startswith("Data" if query["goto"] == "data" else "CARROT")


def test_every_page_works_with_a_model_that_is_free(carrot_home: Path) -> None:
    bench = made(60)
    cost = bench.outcomes.cost_usd * (np.array(bench.models) != "acme/small")
    table = long_frame(replace(bench, outcomes=replace(bench.outcomes, cost_usd=cost)))
    table.to_parquet(carrot_home / "free.parquet")
    store = Store()
    store.save_benchmark("free", read_long_table(carrot_home / "free.parquet", prices={"acme/small": FREE}))
    _, vectors = write_files(bench, carrot_home)
    store.import_vectors("free", vectors, BUNDLED)
    run_router(store, store.load("free", encoder=BUNDLED), "carrot-knn")
    for name in ("frontier", "compare", "live", "points", "whatif", "data"):
        app = page(name)
        assert app.selectbox(key="bench").value == "free"
        assert not app.exception, name
        assert not app.error, name


def test_a_commit_is_written_short_where_data_come_from() -> None:
    info = next(info for info in shipped_snapshots() if info.name == "mmlu-pro-cot")
    words = shell.origin(replace(info, source=f"host/of/it @ {'0123456789' * 4} of a day"))
    assert "host/of/it @ 012345678901 of a day" in words
