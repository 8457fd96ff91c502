"""Uploading: a look, a mapping, every problem at once, and a benchmark nobody else sees until it is kept."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.dashboard.data import is_about_reading, with_fields
from carrot_core.dashboard.data import upload as upload_page
from carrot_core.dashboard.stores import _SessionFolder
from carrot_core.dashboard.views import FIT
from carrot_core.embedding import BUNDLED
from carrot_core.errors import DataError, Problem, StoreError
from carrot_core.evaluation.runs import run_router
from carrot_core.outcomes import Benchmark
from carrot_core.paths import shipped
from carrot_core.store import Store, intake
from carrot_core.store.browse import model_summary
from carrot_core.store.intake import Look
from carrot_core.store.maintenance import copy_benchmark
from tests import wording
from tests.benchmarks.formats.truth import FILES
from tests.made import MODELS, fill, long_frame, made, write_files
from tests.pages import reading

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_this_process")]

ROOT = Path(__file__).resolve().parents[2]
PANEL = ROOT / "tests" / "browser" / "upload_app.py"


@pytest.fixture(autouse=True)
def _files_at_home(carrot_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(carrot_home))


def panel() -> AppTest:
    return AppTest.from_file(str(PANEL), default_timeout=60).run()


def upload(app: AppTest, name: str, content: bytes | pd.DataFrame) -> AppTest:
    """Give the panel a file; it shows the first rows and its guesses."""
    data = content if isinstance(content, bytes) else content.to_csv(index=False).encode()
    app.file_uploader[0].set_value((name, data, "text/csv"))
    return app.run()


def check(app: AppTest) -> AppTest:
    (button,) = [button for button in app.button if button.label == "Check and load"]
    return button.click().run()


def benchmark_texts(app: AppTest) -> str:
    return reading.page_text(app, "text")


def loaded(app: AppTest, name: str, bench: Benchmark) -> Store:
    """Give the session a benchmark, as if it had loaded the file, before its first page; returns its store."""
    app.session_state["carrot_session_folder"] = folder = _SessionFolder()
    store = Store(folder.path / "carrot.duckdb")
    long_frame(bench).to_parquet(table := folder.path / "table.parquet")
    store.save_benchmark(name, read_long_table(table))
    return store


def test_an_upload_is_looked_at_once_and_seen_by_its_session_alone_until_it_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[Path] = []

    def look_at(paths: list[Path], *rest: Any, **more: Any) -> Look:
        looks.extend(paths)
        return intake.look_at(paths, *rest, **more)

    monkeypatch.setattr(upload_page, "look_at", look_at)
    mine, other = panel(), panel()
    check(upload(mine, "results.csv", long_frame(made(20))))
    assert len(looks) == 1
    assert not mine.exception
    assert not mine.error
    assert benchmark_texts(mine) == "Loaded: results (only you)"
    assert benchmark_texts(other.run()) == "Loaded:"
    assert Store().benchmarks() == []
    keep(mine)
    assert benchmark_texts(mine) == benchmark_texts(other.run()) == "Loaded: results"
    upload(mine, "other.parquet", b"PAR1PAR1")
    assert not mine.exception
    assert mine.error
    assert len(looks) == 2


def test_guesses_can_be_corrected_and_are_used() -> None:
    table = long_frame(made(20)).rename(columns={"prompt_id": "Question ID", "model": "provider", "cost_usd": "paid"})
    rows = table.assign(good=lambda rows: rows["score"] > 0.5).drop(columns="score").to_dict("records")
    lines = "\n".join(json.dumps({**row, "provider": {"id": row["provider"]}}) for row in rows)
    app = upload(panel(), "t.jsonl", lines.encode())
    boxes = {box.label.removesuffix(" (optional)"): box for box in app.selectbox}
    guesses = [boxes[name].value for name in ("prompt_id", "model", "score", "cost_usd")]
    assert guesses == ["Question ID", "provider.id", "good", ""]
    boxes["cost_usd"].select("paid")
    check(app)
    assert all(box.value is not None for box in app.selectbox), "a box that is not set has nothing to clear"
    assert not app.error
    assert benchmark_texts(app) == "Loaded: t (only you)"


def test_several_files_become_one_benchmark_with_the_models_by_their_names() -> None:
    app, table = panel(), long_frame(made(30))
    app.file_uploader[0].set_value(
        [
            (f"{model}.csv", rows.drop(columns="model").to_csv(index=False, sep=";").encode(), "text/csv")
            for model, rows in table.groupby("model")
        ]
    )
    app.run()
    {box.label: box for box in app.selectbox}["Model"].select("file")
    app.run()
    assert "semicolons" in reading.page_text(app, "caption")
    check(app)
    assert not app.error
    (info,) = [line for line in reading.page_text(app, "success").split("\n") if "prompts x" in line]
    assert f"x {table['model'].nunique()} models" in info


def test_scores_by_a_rule() -> None:
    app = upload(panel(), "u.csv", long_frame(made(20)).assign(score=lambda rows: 100 * rows["score"]))
    check(app)
    assert "“Scores” percent" in " ".join(reading.table(app, "column")["remedy"])
    (fields,) = [box for box in app.expander if box.label == "How the files are read"]
    assert fields.proto.expanded
    {box.label: box for box in app.selectbox}["Scores"].select("percent")
    check(app.run())
    assert benchmark_texts(app) == "Loaded: u (only you)"


def test_columns_of_models_by_other_names_are_a_wide_table() -> None:
    text = "id,question,gpt-4o,mini,gpt-4o cost ($),mini cost ($)\n" + "".join(
        f"p{n},q {n},1,0,2,1\n" for n in range(9)
    )
    app = upload(panel(), "team.csv", text.encode())
    assert app.radio[0].value == "wide"
    assert "gpt-4o cost ($)" in reading.page_text(app, "caption")
    check(app)
    assert "9 prompts x 2 models" in reading.page_text(app, "success")


@pytest.mark.parametrize(
    ("remedy", "says"),
    [
        ("State the rule: --score percent.", "State the rule: “Scores” percent."),
        ("the metric is acc; --scorer takes another: f1.", "the metric is acc; “Score” takes another: f1."),
        ("Name it: --scores x, --model-from file.", "Name it: --scores x, “Model” file."),
        ("If 'id' is meant: --column prompt_id=id", "If 'id' is meant: “prompt_id”: id"),
        ("As in --column score=a.0.", "As in “score”: a.0."),
        ("Or --column 'a b|cost_usd=Cost ($)' --column x=y", "Or “a b|cost_usd”: Cost ($) “x”: y"),
        ("Rename it: --where \"split <> 'x'\".", "Rename it: “Rows” \"split <> 'x'\"."),
        ("`--split derive` leaves it aside.", "“The file's own split” leaves it aside."),
        ("--prices makes dollars of them.", "the page asks for their prices then."),
    ],
)
def test_remedies_name_the_fields_of_the_page(remedy: str, says: str) -> None:
    assert with_fields(remedy) == says
    fields_of_reading = any(f"“{field}”" in says for field in ("Scores", "Model", "Rows"))
    assert is_about_reading(DataError("t", [Problem("x", remedy)])) == fields_of_reading


def test_every_kind_of_problem_is_listed_and_can_be_downloaded() -> None:
    table = long_frame(made(30)).astype(object)
    table.loc[3, "score"], table.loc[7, "input_tokens"] = "=1+1", -1
    app = check(upload(panel(), "t.csv", table))
    assert not app.exception
    assert "2 kinds of problem" in reading.page_text(app, "error")
    rows = reading.table(app, "column")
    assert list(zip(rows["row"], rows["column"], strict=True)) == [("4", "score"), ("8", "input_tokens")]
    assert "Download the problems (CSV)" in [button.label for button in app.get("download_button")]
    assert benchmark_texts(app) == "Loaded:"


def test_prices_are_asked_for_and_never_assumed() -> None:
    table = long_frame(made(30)).drop(columns="cost_usd")
    app = check(upload(panel(), "t.csv", table))
    assert wording.NO_DOLLARS in reading.page_text(app, "warning")
    check(app)
    assert not app.exception
    assert benchmark_texts(app) == "Loaded:"


def test_list_prices_are_proposed_for_models_of_today_with_their_date() -> None:
    names = {"acme/large": "openai/gpt-5.2", "acme/small": "Claude Haiku 4.5", "zeta/mid": "gemini-2.5-flash"}
    table = long_frame(made(30)).drop(columns="cost_usd").replace({"model": names})
    app = check(upload(panel(), "t.csv", table))
    assert wording.NO_DOLLARS in reading.page_text(app, "warning")
    assert benchmark_texts(app) == "Loaded:"
    check(app)
    assert benchmark_texts(app) == "Loaded: t (only you)"
    models = model_summary(Store(app.session_state["carrot_session_folder"].path / "carrot.duckdb"), "t")
    price = models.set_index("model").loc["Claude Haiku 4.5", ["input_usd_per_mtok", "output_usd_per_mtok", "as_of"]]
    assert price.tolist() == [1, 5, "2026-11-20"]


def test_a_sheet_of_scores_alone_is_asked_what_a_call_of_each_model_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = made(30)
    sheet = pd.DataFrame(bench.outcomes.score > 0.5, columns=bench.models).assign(question=bench.texts)
    app = upload(panel(), "sheet.csv", sheet)
    assert next(box for box in app.radio if box.label == "Layout").value == "wide"
    assert wording.NO_COST_OF_A_CALL in reading.page_text(app, "warning")
    for costs in ({}, dict(zip(bench.models, (0.01, 0.002, 0.0005), strict=True))):  # AppTest cannot fill in a table

        def ask_call_costs(models: list[str], _: str, costs: dict[str, float] = costs) -> dict[str, float]:
            assert sorted(models) == sorted(bench.models)
            return costs

        monkeypatch.setattr(upload_page, "ask_call_costs", ask_call_costs)
        check(app.run())
        assert not app.exception
        assert ("sheet (only you)" in benchmark_texts(app)) == bool(costs)
    assert "$0.0005" in reading.page_text(app, "success")


def test_costs_of_0_count_only_for_a_model_that_is_said_to_be_free() -> None:
    table = long_frame(made(30))
    table.loc[table["model"] == "acme/small", "cost_usd"] = 0.0
    app = check(upload(panel(), "t.csv", table))
    assert "1 of the models" in reading.page_text(app, "warning")
    assert benchmark_texts(app) == "Loaded:"
    for name, free in (("paid", []), ("free", ["acme/small"])):
        next(box for box in app.multiselect if "free" in box.label).set_value(free)
        next(box for box in app.text_input if box.label == "Name of the benchmark").set_value(name)
        check(app)
        assert not app.exception
        assert f"{name} (only you)" in benchmark_texts(app)
        (notice,) = [text for text in reading.page_text(app, "success").split("\n") if "Loaded 30 prompts" in text]
        assert ("not recorded" in notice) == (not free)


def test_a_wide_table_is_seen_as_one() -> None:
    rows = {"prompt_id": [f"p{number}" for number in range(9)]}
    for model in ("a", "b"):
        rows |= {model: [0.5] * 9, f"{model}|cost_usd": [0.1] * 9}
    app = check(upload(panel(), "wide.csv", pd.DataFrame(rows)))
    assert app.radio[0].value == "wide"
    assert benchmark_texts(app) == "Loaded: wide (only you)"


@pytest.mark.parametrize(
    ("name", "content"), [("../../../x.csv", b"prompt_id\n"), ("\u202evsc.x" * 40 + ".csv", b"a,a\n1,2\n")]
)
def test_a_file_of_a_hostile_name_is_refused_in_words(name: str, content: bytes, carrot_home: Path) -> None:
    app = upload(panel(), name, content)
    if any(button.label == "Check and load" for button in app.button):
        check(app)
    assert not app.exception
    assert app.error
    assert not (carrot_home.parent / "x.csv").exists()


def keep(app: AppTest) -> AppTest:
    return reading.button(app, "Keep it in the store").click().run()


def test_a_name_that_cannot_be_used_is_told_and_another_is_offered() -> None:
    mine = AppTest.from_file(str(PANEL), default_timeout=60)
    loaded(mine, "same", made(20))
    for name in ("same", "other"):
        Store().save_benchmark(name, read_long_table(shipped("template.csv")))
    mine.run()
    for name, says in (("other", "already a benchmark"), (" ", "no name for a benchmark"), ("mine", None)):
        (box,) = [box for box in mine.text_input if box.label == "Name in the store"]
        assert says != "already a benchmark" or box.value == "same-2"
        box.set_value(name).run()
        keep(mine)
        assert not mine.exception
        if says is None:
            assert not mine.error
            assert benchmark_texts(mine) == "Loaded: mine, other, same"
        else:
            assert says in reading.page_text(mine, "error")
            assert benchmark_texts(mine) == "Loaded: other, same, same (only you)"


def test_a_name_taken_since_the_page_was_drawn_leads_to_another_and_it_is_told() -> None:
    mine = AppTest.from_file(str(PANEL), default_timeout=60)
    loaded(mine, "same", made(20))
    mine.run()
    Store().save_benchmark("same", read_long_table(shipped("template.csv")))
    keep(mine)
    assert not mine.exception
    assert benchmark_texts(mine) == "Loaded: same, same-2"
    assert "same-2" in reading.page_text(mine, "success")


@pytest.mark.parametrize("page", ["overview", "frontier", "data"])
def test_every_page_works_on_an_uploaded_benchmark(page: str) -> None:
    script = f"""
import runpy
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.dashboard.stores import private_benchmarks, private_store
from pathlib import Path
from carrot_core.store import Store
if not private_benchmarks():
    Store().save_benchmark("shared", read_long_table(Path({str(shipped("template.csv"))!r})))
    private_store().save_benchmark("mine", read_long_table(Path({str(_file())!r})))
runpy.run_path({str(ROOT / "pages" / f"{page}.py")!r})
"""
    app = AppTest.from_string(script, default_timeout=60)
    app.query_params["bench"] = "mine (only you)"
    app.run()
    assert not app.exception
    assert [error.value for error in app.error] == []
    if page != "data":
        assert app.selectbox(key="bench").options[:2] == ["shared", "mine (only you)"]


def test_a_router_can_be_fitted_on_an_upload_and_goes_along_when_it_is_kept(carrot_home: Path) -> None:
    source, target = Store(carrot_home / "a.duckdb"), Store(carrot_home / "b.duckdb")
    fill(source, made(120))
    run = run_router(source, source.load("made", encoder=BUNDLED))
    target.save_benchmark("other", read_long_table(shipped("template.csv")))
    copied = copy_benchmark(source, "made", target)
    assert copied == source.info("made")
    before, after = source.load("made", encoder=BUNDLED), target.load("made", encoder=BUNDLED)
    assert np.array_equal(before.outcomes.score, after.outcomes.score, equal_nan=True)
    assert np.array_equal(before.vectors, after.vectors)
    copy = target.load_run(run.run_id)
    assert copy.metrics == run.metrics
    assert np.array_equal(copy.estimates["all"].score, run.estimates["all"].score)
    with pytest.raises(StoreError, match="already a benchmark"):
        copy_benchmark(source, "made", target)
    renamed = copy_benchmark(source, "made", target, "renamed")
    assert (renamed.name, renamed.data_hash) == ("renamed", copied.data_hash)
    (again,) = target.runs("renamed")  # a run's identity has the name of its benchmark in it
    assert again.run_id != run.run_id
    assert np.array_equal(target.load_run(again.run_id).estimates["all"].score, run.estimates["all"].score)
    assert run_router(target, target.load("renamed", encoder=BUNDLED)).created_at == run.created_at


def test_the_folder_goes_with_the_session_and_what_a_killed_server_left_goes_too(carrot_home: Path) -> None:
    abandoned = carrot_home / "carrot-session-abandoned"
    abandoned.mkdir()
    (abandoned / "in-use.lock").touch()
    (abandoned / "carrot.duckdb").write_text("private")
    one, two = _SessionFolder(), _SessionFolder()
    assert not abandoned.exists()
    assert one.path.is_dir()
    assert two.path.is_dir()
    gone = one.path
    del one
    assert not gone.exists()
    assert two.path.is_dir()


@pytest.mark.parametrize("with_vectors", [False, True], ids=["without vectors", "with vectors"])
def test_a_router_is_fitted_on_an_upload_from_the_frontier_page(carrot_home: Path, with_vectors: bool) -> None:
    """Beside another benchmark with routers of its own, whose curves the page shows first."""
    fill(Store(), replace(made(60, seed=3), name="first"), "carrot-linear")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    store = loaded(app, "results", made(60))
    if with_vectors:
        _, vectors = write_files(made(60), carrot_home, "results")
        store.import_vectors("results", vectors, BUNDLED)
    app.switch_page("pages/frontier.py").run()
    app.multiselect(key="routers").set_value(["carrot-linear", "oracle"]).run()
    app.selectbox(key="bench").select("results (only you)").run()
    next(button for button in app.button if button.label == FIT).click().run()
    assert not app.exception
    assert app.multiselect(key="routers").options[0] == "CARROT-KNN"
    app.multiselect(key="routers").set_value(["carrot-knn"]).run()
    assert not app.exception
    assert app.selectbox(key="along").value == "carrot-knn"
    assert FIT not in [button.label for button in app.button]


def test_a_benchmark_too_small_to_fit_on_says_so_and_the_page_stands() -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    loaded(app, "results", made(12))
    app.switch_page("pages/frontier.py").run()
    app.selectbox(key="bench").select("results (only you)").run()
    next(button for button in app.button if button.label == FIT).click().run()
    assert not app.exception
    assert any("cannot be fitted" in error.value for error in app.error)
    assert app.multiselect(key="routers").value == ["task-lookup-input", "oracle"]


def _file() -> Path:
    path = Path(tempfile.gettempdir()) / "mine.csv"
    long_frame(made(60)).to_csv(path, index=False)
    return path


def test_the_results_of_a_tool_are_read_as_they_are_and_a_log_is_sent_on() -> None:
    files = FILES / "promptfoo"
    app = check(upload(panel(), "results.json", (files / "quiz.results.json").read_bytes()))
    assert not app.exception
    assert wording.SHAPE in reading.page_text(app, "success")
    app = upload(panel(), "log.csv", (FILES / "litellm" / "spend_logs.csv").read_bytes())
    (choice,) = [radio for radio in app.radio if radio.label == "Format"]
    choice.set_value("A table").run()
    assert not app.exception
    assert any(box.label == "prompt_id" for box in app.selectbox)
    app = upload(panel(), "log.csv", (FILES / "litellm" / "spend_logs.csv").read_bytes())
    assert not app.exception
    assert any("Operating points" in info.value for info in app.info)
    assert not any(button.key == "upload:check" for button in app.button)


def test_rows_are_chosen_by_a_predicate_and_a_mistake_in_it_is_named() -> None:
    app = upload(panel(), "results.csv", long_frame(made(40)))
    (rows,) = [box for box in app.text_input if box.label == "Rows"]
    rows.set_value("modle = 'a'").run()
    assert "modle" in reading.page_text(app, "error")
    assert len(app.dataframe) == 1
    check(app)
    assert "modle" in " ".join(reading.table(app, "remedy")["problem"])
    (rows,) = [box for box in app.text_input if box.label == "Rows"]
    rows.set_value(f"model <> '{MODELS[0]}'").run()
    check(app)
    assert f"40 prompts x {len(MODELS) - 1} models" in reading.page_text(app, "success")


def test_a_column_that_is_missing_is_chosen_in_its_box() -> None:
    app = check(upload(panel(), "results.csv", long_frame(made(40)).rename(columns={"model": "who of it"})))
    problems = reading.table(app, "remedy")
    assert "“model”" in str(problems.set_index("column")["remedy"]["model"])
    {box.label: box for box in app.selectbox}["model"].select("who of it")
    check(app)
    assert "results" in benchmark_texts(app)


def test_a_split_of_the_file_is_kept_or_left_aside_as_chosen() -> None:
    frame = long_frame(made(60)).assign(
        split=lambda rows: ["eval" if "5" in id else "train" for id in rows["prompt_id"]]
    )
    app = check(upload(panel(), "results.csv", frame))
    (choice,) = [radio for radio in app.radio if "split" in radio.label]
    assert f"“{choice.label}”" in " ".join(reading.table(app, "remedy")["remedy"])
    choice.set_value(choice.options[1]).run()
    check(app)
    assert not app.error
    assert "results" in benchmark_texts(app)
