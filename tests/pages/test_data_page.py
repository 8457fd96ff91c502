"""The Data page: cards and what they do, a benchmark looked into, prompts found and opened, SQL."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.benchmarks import NONE_STATED, NOT_EXPORTED, Frames, Provenance
from carrot_core.benchmarks.log_table import keep_log, kept_logs
from carrot_core.dashboard.data.details import PAGE_SIZE
from carrot_core.dashboard.shell import plain
from carrot_core.results import shipped_snapshots
from carrot_core.store import Store
from tests import wording
from tests.benchmarks.formats.test_traffic import SPEND, table
from tests.made import fill, made
from tests.tables import frames

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<img src=x onerror=alert(1)> ![x](//host/x.png) :red[x] $x$"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two benchmarks, only to be read: one with gaps and repeated texts, one whose every text tries to be markup."""
    store = Store(tmp_path_factory.mktemp("home") / "carrot.duckdb")
    store.save_benchmark("gaps", frames(n_prompts=3 * PAGE_SIZE, n_models=4, split=True))
    hostile = frames(n_prompts=12, n_models=2, seed=1)
    store.save_benchmark(
        "hostile",
        Frames(
            hostile.prompts.assign(text=HOSTILE, task=HOSTILE),
            hostile.models.replace("model-a", HOSTILE),
            hostile.outcomes.replace("model-a", HOSTILE),
            Provenance(f"{HOSTILE}.csv", note=HOSTILE),
            (f"{HOSTILE} was seen.",),
        ),
    )
    return store.path.parent


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(home))


@pytest.fixture
def store(_at_home: None, home: Path, carrot_home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of the test's own home, a copy of ``home``."""
    monkeypatch.setenv("CARROT_HOME", str(carrot_home))
    shutil.copytree(home, carrot_home, dirs_exist_ok=True)
    return Store()


def page(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page("pages/data.py").run()
    assert not app.exception
    return app


def page_text(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


def prompt_rows(app: AppTest) -> pd.DataFrame:
    """The table of prompts."""
    return next(frame.value for frame in app.dataframe if "Prompt" in frame.value)


def test_a_card_tells_where_a_benchmark_is_from_and_how_whole_it_is() -> None:
    info, text = Store().info("gaps"), page_text(page()).replace("\\", "")
    cells = info.n_prompts * info.n_models
    assert 0 < info.n_missing < cells
    assert f"**{info.n_prompts}** prompts · **4** models" in text
    assert ":gray[Source:] made.parquet" in text
    assert ":gray[About:] by hand" in text
    assert ":gray[Licence:] CC0" in text
    assert wording.OWN_SPLIT in text
    assert f":gray[Missing cells:] {info.n_missing} of {cells}" in text
    assert f":gray[Repeated prompts:] {info.n_duplicate_prompts}" in text
    assert ":gray[Licence:] not known" in text
    snapshots = [line for line in text.replace("\\", "").splitlines() if line.startswith("| ")][2:]
    for info in shipped_snapshots():  # stand beside the benchmarks, with what each allows
        (row,) = (line for line in snapshots if line.startswith(f"| {info.name} |"))
        assert f"{info.n_prompts:,}" in row
        assert row.rstrip(" |").endswith("yes")  # each has a router for typed prompts
        assert info.licence in row
        assert info.source in text
        assert info.caveats
        assert all(caveat in text for caveat in info.caveats)


@pytest.mark.parametrize("view", ["Prompts", "Models", "Missing cells", "Scores", "Output tokens"])
def test_every_view_shows_the_models_of_the_pool_only(view: str) -> None:
    app = page(bench="gaps", view=view, pool=["model-a", "model-b"], prompt="id 00000")
    if view in ("Prompts", "Models"):
        (models,) = (frame.value["Model"] for frame in app.dataframe if "Model" in frame.value)
        assert set(models) == {"model-a", "model-b"}
    else:
        assert any("2 models" in str(chart.proto) or "model-a" in str(chart.proto) for chart in app.get("plotly_chart"))
        assert not any("model-c" in str(chart.proto) for chart in app.get("plotly_chart"))


def test_texts_of_a_file_are_shown_and_never_markup() -> None:
    app = page(bench="hostile", prompt="id 00003")
    for element in [*app.markdown, *app.caption, *app.error, *app.info]:
        assert HOSTILE not in element.value
        assert "![x]" not in element.value
    assert plain(f"{HOSTILE} was seen.") in page_text(app)
    assert HOSTILE in [block.value for block in app.code]


def test_removing_asks_first_and_takes_the_benchmark_away(store: Store) -> None:
    app = page(bench="gaps", task="task 1")
    app.button(key="really:shared:gaps").click().run()
    assert not app.exception
    assert [info.name for info in store.benchmarks()] == ["hostile"]
    assert any("removed" in note.value for note in app.success)
    assert app.selectbox(key="bench").options == ["hostile"]


def test_arms_are_made_on_a_card_and_go_again(store: Store) -> None:
    once = frames(n_prompts=6)
    runs = pd.concat([once.outcomes.assign(sample=str(run)) for run in range(3)], ignore_index=True)
    before = store.save_benchmark("sampled", replace(once, outcomes=runs))
    app = page(bench="sampled")
    assert {widget.key for widget in app.multiselect if widget.key.startswith("arms-of:")} == {"arms-of:shared:sampled"}
    app.multiselect(key="arms-of:shared:sampled").set_value(["best-of-2"]).run()
    app.button(key="make-arms:shared:sampled").click().run()
    assert not app.exception
    assert not app.error
    assert len(store.info("sampled").models) == 2 * before.n_models
    app.multiselect(key="arms-of:shared:sampled").set_value([]).run()
    app.button(key="make-arms:shared:sampled").click().run()
    assert store.info("sampled").data_hash == before.data_hash


def test_fitting_from_a_card(store: Store, tmp_path: Path) -> None:
    fill(store, made(120))
    app = page(bench="made")
    app.button(key="fit:shared:made").click().run()
    assert not app.exception
    assert [run.router for run in store.runs("made")] == ["carrot-knn"]
    assert "fit:shared:made" not in [button.key for button in app.button]


def test_a_damaged_benchmark_is_named_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "damaged", lambda self: {"lost": f"{self.path}: a block cannot be read."})
    app = page()
    assert any(plain(wording.LEFT_OUT) in error.value for error in app.error)
    assert app.selectbox(key="bench").options == ["gaps", "hostile"]


@pytest.mark.parametrize(
    ("view", "shows"),
    [("Models", "Mean score"), ("Missing cells", None), ("Scores", None), ("Output tokens", None)],
)
def test_every_view_of_a_benchmark_whose_names_are_hostile(view: str, shows: str | None) -> None:
    app = page(bench="hostile", view=view)
    assert not app.error
    assert len(app.get("plotly_chart")) == (0 if shows else 1)
    assert any(shows in frame.value for frame in app.dataframe) == bool(shows) if shows else True
    assert any("CSV" in button.label for button in app.get("download_button"))


def test_views_of_a_benchmark_without_gaps_or_tokens_say_so(store: Store) -> None:
    whole = frames(n_prompts=6)
    cells = pd.MultiIndex.from_product(
        [whole.prompts["prompt_id"], whole.models["model"]], names=["prompt_id", "model"]
    )
    outcomes = cells.to_frame(index=False).assign(score=1.0, input_tokens=1.0, output_tokens=float("nan"), cost_usd=0.0)
    store.save_benchmark("whole", replace(whole, outcomes=outcomes))
    assert any("no cell is missing" in note.value for note in page(bench="whole", view="Missing cells").success)
    assert any("no output tokens" in note.value for note in page(bench="whole", view="Output tokens").info)


def test_search_and_filters_narrow_the_prompts() -> None:
    bench = Store().load("gaps")
    app = page(bench="gaps")
    assert len(prompt_rows(app)) == PAGE_SIZE
    app.text_input(key="find").set_value("TEXT 0 12").run()
    expected = [key for key, text in zip(bench.prompt_ids, bench.texts, strict=True) if "text 0 12" in (text or "")]
    assert prompt_rows(app)["Id"].tolist() == expected
    app.text_input(key="find").set_value("").run()
    app.selectbox(key="task").set_value("task 1").run()
    app.selectbox(key="split").set_value("test").run()
    assert set(prompt_rows(app)["Task"]) == {"task 1"}
    assert set(prompt_rows(app)["Split"]) == {"test"}
    app.toggle(key="disagree").set_value(True).run()
    right = prompt_rows(app)["Right"].str.split(" of ", expand=True).astype(int)
    assert len(right)
    assert ((right[0] > 0) & (right[0] < right[1])).all()


def test_nothing_found_says_so_and_a_search_is_no_pattern() -> None:
    assert any("No prompt matches" in note.value for note in page(bench="gaps", find="%").info)


def test_a_link_opens_a_page_of_prompts_and_a_prompt() -> None:
    app, bench = page(bench="gaps", page="3", prompt="id 00007"), Store().load("gaps")
    assert prompt_rows(app)["Id"].tolist() == list(bench.prompt_ids[2 * PAGE_SIZE :])
    assert bench.texts[7] in [block.value for block in app.code]
    outcomes = next(frame.value for frame in app.dataframe if "Tokens out" in frame.value)
    assert sorted(outcomes["Model"]) == sorted(bench.models)


def test_a_prompt_without_text_and_a_prompt_that_is_not_there() -> None:
    assert any(wording.NO_TEXT in note.value for note in page(bench="gaps", prompt="id 00003").info)
    app = page(bench="gaps", prompt="of another benchmark")
    assert not app.error
    assert "prompt" not in app.query_params


def test_a_filter_starts_again_at_the_first_page() -> None:
    app = page(bench="gaps", page="3")
    app.selectbox(key="split").set_value("train").run()
    assert any("Prompts 1 to 50" in caption.value for caption in app.caption)


def test_sql_is_answered_and_a_mistake_is_text(store: Store) -> None:
    app = page()
    app.text_area(key="sql").set_value("select count(*) as n from benchmarks").run()
    app.button(key="sql-run").click().run()
    assert any(frame.value.to_dict("list") == {"n": [2]} for frame in app.dataframe)
    assert not any("The query has changed" in info.value for info in app.info)
    app.text_area(key="sql").set_value("delete from benchmarks").run()
    assert any("The query has changed" in info.value for info in app.info)
    app.button(key="sql-run").click().run()
    assert not app.exception
    assert any(wording.ONE_STATEMENT in error.value for error in app.error)
    assert len(store.benchmarks()) == 2


def test_the_console_without_a_store_says_so_and_is_no_error(store: Store) -> None:
    for info in store.benchmarks():
        store.remove_benchmark(info.name)
    script = f"""
import runpy
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.dashboard.stores import private_benchmarks, private_store
from carrot_core.paths import shipped
if not private_benchmarks():
    private_store().save_benchmark("mine", read_long_table(shipped("template.csv")))
runpy.run_path({str(ROOT / "pages" / "data.py")!r})
"""
    app = AppTest.from_string(script, default_timeout=60).run()
    assert not app.exception
    assert not app.error
    assert any(wording.SHARED_IS_EMPTY in note.value for note in app.info)


def test_logs_that_are_kept_are_listed_with_their_size_and_a_damaged_one_hurts_no_other(
    store: Store, carrot_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "spend.csv").write_text(table(SPEND))
    keep_log("march", [tmp_path / "spend.csv"])
    (kept_logs()["march"].parent / "torn.parquet").write_bytes(b"PAR1")
    app = page()
    assert not app.exception
    (panel,) = [panel for panel in app.expander if panel.label == "Logs (2)"]
    texts = [block.value for block in panel.markdown]
    assert any("march" in text and "2 calls" in text for text in texts)
    assert any("torn" in text and "damaged" in text for text in texts)


def test_texts_without_a_licence_are_read_on_the_page_and_in_no_file(store: Store) -> None:
    published = frames(n_prompts=12)
    store.save_benchmark("published", replace(published, provenance=Provenance("x", licence=NONE_STATED)))
    text = published.prompts["text"][0]
    app = page(bench="published", prompt="id 00000")
    assert text in [block.value for block in app.code]
    app.text_area(key="sql").set_value(
        "select text from prompts join benchmarks using (benchmark) where name = 'published'"
    )
    app.run()
    app.button(key="sql-run").click().run()
    (answer,) = [frame.value for frame in app.dataframe if list(frame.value) == ["text"]]
    assert set(answer["text"].dropna()) == {NOT_EXPORTED}


def test_no_table_of_the_app_has_a_download_of_its_own() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["client"]["disableDataExport"]


def test_a_link_never_runs_its_query() -> None:
    app = page(sql="select 42 as answer")
    assert app.text_area(key="sql").value == "select 42 as answer"
    assert not any("answer" in frame.value for frame in app.dataframe)


def test_of_a_chat_the_question_and_all_messages_are_shown(store: Store) -> None:
    chat = [{"role": "system", "content": "Be kind. 🥕"}, {"role": "user", "content": "Which river?"}]
    chats = frames(n_prompts=12, n_models=2)
    store.save_benchmark("chats", replace(chats, prompts=chats.prompts.assign(text=json.dumps(chat))))
    app = page(bench="chats", prompt="id 00000")
    blocks = [block.value for block in app.code]
    assert "Which river?" in blocks
    assert chat in [json.loads(text) for text in blocks if text.startswith("[")]
