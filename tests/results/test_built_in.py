"""Benchmarks that ship whole: what their files say, and that everything works on them from an empty home."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from carrot_core import CarrotRouter
from carrot_core.benchmarks.built_in import (
    BUILT_IN,
    ENCODER,
    FOLDER,
    card_of,
    folder_of,
    read_built_in,
    vectors_of_built_in,
)
from carrot_core.benchmarks.model_facts_arms import facts_of_row
from carrot_core.cli import main
from carrot_core.dashboard import live
from carrot_core.embedding import BUNDLED, embed
from carrot_core.evaluation import Setting, setting
from carrot_core.evaluation.protocol import split_by_seed
from carrot_core.figures.scene import alt_text
from carrot_core.number_formats import cost_basis
from carrot_core.paths import unit_of
from carrot_core.results.recipes import BUILT_IN_RECIPES, names_to_set_up, set_up
from carrot_core.results.source import stored_results
from carrot_core.serving import loading
from carrot_core.store import Store
from carrot_core.text import text_hash
from carrot_core.whatif import apply, whatif_scene
from carrot_core.whatif.scenario import Scenario
from scripts.results.build import make_built_in
from tests.tables import frames

ROOT = Path(__file__).resolve().parents[2]
OPENHANDS, MISGUIDED = "openhands-index", "misguided-attention"
QUESTION = "Model validation fails when a nested field has a default factory."
pytestmark = pytest.mark.slow
built_in = pytest.mark.parametrize("name", BUILT_IN)


@pytest.fixture(scope="module")
def home(filled_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A home in which `carrot setup` ran."""
    return filled_once("set-up", lambda folder: set_up(Store(folder / "carrot.duckdb")))


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("CARROT_HOME", str(home))
    return Store()


def cells(name: str, column: str) -> pd.DataFrame:
    """A column of the outcomes that ship: the mean of each cell, a row a prompt, a column a model."""
    outcomes = pd.read_parquet(folder_of(name) / "outcomes.parquet")
    return outcomes.pivot_table(index="prompt_id", columns="model", values=column, aggfunc="mean", dropna=False)


# The files


def test_figures_of_openhands_are_those_its_source_reports() -> None:
    """Those of SWE-bench as the leaderboard has them; reckoned here without any of our code."""
    score, cost = cells(OPENHANDS, "score"), cells(OPENHANDS, "cost_usd")
    assert score.shape == (933, 34)
    assert (int(score.notna().sum().sum()), int(cost.notna().sum().sum())) == (31_157, 31_157 - 256)
    swe_score, swe_cost = (table[table.index.str.startswith("swe-bench:")] for table in (score, cost))
    assert swe_score.mean().idxmax() == "claude-fable-5"
    assert swe_score["claude-fable-5"].mean() == pytest.approx(0.958, abs=5e-4)
    assert swe_cost["claude-fable-5"].mean() == pytest.approx(1.43, abs=5e-3)
    assert swe_score["DeepSeek-V4-Pro"].mean() == pytest.approx(0.732, abs=5e-4)
    assert swe_cost["DeepSeek-V4-Pro"].mean() == pytest.approx(0.040, abs=1e-3)
    assert swe_score.max(axis=1).mean() == pytest.approx(0.980, abs=5e-4)


def test_figures_of_misguided_attention_are_those_its_source_reports() -> None:
    score, tokens, cost = (cells(MISGUIDED, column) for column in ("score", "output_tokens", "cost_usd"))
    assert score.shape == (52, 58)
    runs = pd.read_parquet(folder_of(MISGUIDED) / "outcomes.parquet")
    assert len(runs) == 8_958
    means = runs.groupby("model")[["score", "output_tokens", "cost_usd"]].mean()
    for model, expected, n_tokens in (
        ("claude-sonnet-4", 0.465, 333), ("claude-4-sonnet-0522-thinking", 0.692, 2559),
        ("gemini-2.5-flash-preview-05-20", 0.413, 942), ("gemini-2.5-flash-preview-05-20:thinking", 0.635, 2423),
    ):  # fmt: skip
        assert means.loc[model, "score"] == pytest.approx(expected, abs=5e-4)
        assert means.loc[model, "output_tokens"] == pytest.approx(n_tokens, abs=0.6)
    assert int(tokens.notna().any().sum()) == 12
    prices = pd.read_csv(folder_of(MISGUIDED) / "prices.csv").set_index("model")
    assert set(cost.columns[cost.notna().any()]) == set(prices.index)
    runs = runs[runs["model"].isin(prices.index)].join(prices, on="model")
    paid = runs["input_tokens"] * runs["input_usd_per_mtok"] + runs["output_tokens"] * runs["output_usd_per_mtok"]
    np.testing.assert_allclose(runs["cost_usd"], paid / 1e6, rtol=1e-12)


def test_thinking_on_and_off_are_one_model_at_two_efforts() -> None:
    models = read_built_in(folder_of(MISGUIDED)).models.set_index("model")
    for on, off in (
        ("claude-4-sonnet-0522-thinking", "claude-sonnet-4"),
        ("gemini-2.5-flash-preview-05-20:thinking", "gemini-2.5-flash-preview-05-20"),
    ):
        assert models.loc[on, "base_model"] == off
        assert (models.loc[on, "effort"], models.loc[off, "effort"]) == ("thinking", "off")


def test_costs_of_an_agents_runs_are_written_per_task(store: Store) -> None:
    results = stored_results(store, OPENHANDS)
    scene = results.scene(("carrot-knn",), "carrot-knn")
    assert {results.basis.unit, scene.basis.unit, store.info(OPENHANDS).unit} == {"task"}
    assert scene.basis.axis == "Cost per task (US dollars)"
    assert stored_results(store, MISGUIDED).basis.unit == store.info(MISGUIDED).unit == "call"
    assert unit_of(OPENHANDS, "of other data under its name") == "call"
    assert "call" not in alt_text(scene, 0.4)
    changed = apply(results.setting, results.estimates("carrot-knn"), Scenario(price_factor=0.01))
    assert {changed.basis, whatif_scene(changed, OPENHANDS, "carrot-knn").basis} == {cost_basis(0.001, "task")}


def test_no_text_of_openhands_ships() -> None:
    prompts = pd.read_parquet(folder_of(OPENHANDS) / "prompts.parquet")
    assert prompts["text"].isna().all()
    assert prompts["text_sha256"].nunique() == 500


def test_openhands_is_its_source_row_by_row(shared_data: Path) -> None:
    card = card_of(folder_of(OPENHANDS))
    source = pd.read_parquet(shared_data / card.file).sort_values(["prompt_id", "model"], ignore_index=True)
    ships = pd.read_parquet(folder_of(OPENHANDS) / "outcomes.parquet")
    ships = ships.sort_values(["prompt_id", "model"], ignore_index=True)
    for column in ("prompt_id", "model", "score", "cost_usd"):
        assert source[column].equals(ships[column].astype(source[column].dtype)), column
    listed = pd.read_csv(shared_data / OPENHANDS / "models.csv").set_index("model")
    prices = pd.read_csv(folder_of(OPENHANDS) / "prices.csv").set_index("model").reindex(listed.index)
    assert prices["input_usd_per_mtok"].equals(listed["input_usd_per_mtok"])
    assert prices["output_usd_per_mtok"].equals(listed["output_usd_per_mtok"])
    facts = pd.read_csv(folder_of(OPENHANDS) / "models.csv").set_index("model").reindex(listed.index)
    assert facts["release_date"].equals(listed["release_date"])
    assert facts["open_weights"].equals(listed["openness"] == "open_weights")


@built_in
def test_vectors_are_those_of_the_source_s_texts(name: str, shared_data: Path) -> None:
    source = pd.read_parquet(shared_data / card_of(folder_of(name)).file, columns=["prompt"])
    texts = source["prompt"].drop_duplicates().sample(3, random_state=0).tolist()
    hashes, vectors = vectors_of_built_in(folder_of(name))
    assert ENCODER == BUNDLED
    own = vectors[[hashes.index(text_hash(text)) for text in texts]]
    assert (np.sum(own * embed(texts), axis=1) > 0.9999).all()


@built_in
def test_a_second_making_gives_the_same_benchmark(name: str, shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks" / name
    folder.mkdir(parents=True)
    for table in ("models.csv", "prices.csv"):
        shutil.copy(folder_of(name) / table, folder)
    (recipe,) = [each for each in BUILT_IN_RECIPES if each.card.name == name]
    make_built_in(shared_data, tmp_path, recipe, lambda texts: np.eye(len(texts), 384, dtype=np.float32) + 0.01)
    assert card_of(folder) == card_of(folder_of(name))


@built_in
def test_every_model_has_a_provider_and_every_price_a_date_and_a_source(name: str) -> None:
    models = read_built_in(folder_of(name)).models.to_dict("records")
    assert all(facts_of_row(row).provider for row in models)
    priced = [row for row in models if not np.isnan(row["input_usd_per_mtok"])]
    assert priced
    assert all(row["as_of"] and row["source"] for row in priced)


# In the store


def test_the_setting_up_stores_exactly_what_ships(store: Store) -> None:
    for name in BUILT_IN:
        info = store.info(name)
        assert info.ships
        assert info.data_hash == card_of(folder_of(name)).data_hash
        assert info.n_readable == info.n_prompts
        assert info.licence == card_of(folder_of(name)).licence


@built_in
def test_outcomes_come_back_as_they_ship(store: Store, name: str) -> None:
    bench = store.load(name, encoder=BUNDLED)
    for column, table in (("score", bench.outcomes.score), ("cost_usd", bench.outcomes.cost_usd)):
        own = cells(name, column).reindex(index=bench.prompt_ids, columns=bench.models).to_numpy()
        np.testing.assert_allclose(table, own, rtol=1e-12)
    assert bench.vectors is not None
    assert np.isfinite(bench.vectors).all()


def test_a_second_setting_up_fits_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carrot_core.evaluation.runs._fit", lambda *_, **__: pytest.fail("fits again"))
    assert [run.benchmark for run in set_up(store)] == [*BUILT_IN, "simulated"]


def test_a_benchmark_of_the_users_own_under_the_name_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    store.save_benchmark(OPENHANDS, frames(), shadow=True)
    assert OPENHANDS not in names_to_set_up(store)
    assert not store.info(OPENHANDS).ships


@pytest.mark.parametrize("seed", [None, 3])
def test_copies_of_a_text_that_is_not_here_stay_on_one_side(store: Store, seed: int | None) -> None:
    bench = store.load(OPENHANDS)
    assert set(bench.texts) == {None}
    part = bench if seed is None else split_by_seed(bench, seed)
    sides = pd.Series(part.split).groupby(list(bench.text_hashes)).nunique()
    assert len(sides) == 500
    assert (sides == 1).all()


def test_best_single_and_oracle_are_those_of_pandas(store: Store) -> None:
    """On the prompts with every outcome, where nothing has to be estimated."""
    here = setting(store.load(OPENHANDS, encoder=BUNDLED))
    whole = here.with_all_outcomes
    score = cells(OPENHANDS, "score").loc[list(whole.test.prompt_ids)]
    oracle = whole.frontier(whole.baselines["oracle"], whole.report_on)
    assert float(oracle.score[0]) == pytest.approx(float(score.max(axis=1).mean()), abs=1e-12)
    single = whole.test.outcomes.score.mean(axis=0)
    np.testing.assert_allclose(single, score[list(whole.models)].mean().to_numpy(), rtol=1e-12)
    on_validation = cells(OPENHANDS, "score").loc[list(here.validation.prompt_ids)].mean()
    assert here.best_single == on_validation.idxmax()


def test_models_without_a_cost_are_in_no_curve_and_their_samples_are_kept(store: Store) -> None:
    bench = store.load(MISGUIDED, encoder=BUNDLED)
    here, costs = setting(bench), cells(MISGUIDED, "cost_usd")
    assert set(here.models) == set(costs.columns[costs.notna().any()])
    assert {*here.models, *here.costless} == set(bench.models)
    best = cells(MISGUIDED, "score")[list(here.models)].mean().idxmax()
    assert here.best_single == best
    assert bench.sample_score is not None
    assert bench.sample_score.shape == (52, 58, 5)


# From the command line and on the pages


@pytest.fixture
def carrot(store: Store) -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


@built_in
def test_a_public_server_answers_a_typed_prompt_with_what_setup_has_fitted(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the router that serves was fitted again at each start, as a public server may not store it."""
    monkeypatch.setenv("CARROT_MODE", "public")
    monkeypatch.setattr(Setting, "fits", lambda *_: pytest.fail("a router was fitted"))
    monkeypatch.setattr(Setting, "fit", lambda *_: pytest.fail("a router was fitted"))
    loading._load_fitted.cache_clear()
    explained = CarrotRouter.load(name, router="carrot-knn", store=store).explain(QUESTION)
    assert ("per task" in explained.sentence) == (name == OPENHANDS)
    table = explained.table
    assert explained.winner in set(table["model"]) <= set(cells(name, "score").columns)
    assert table["est_score"].between(0, 1).all()
    assert (table["est_cost_usd"] > 0).all()


@built_in
def test_it_is_solved_exported_and_asked_like_any(name: str, carrot: Callable[..., Any], tmp_path: Path) -> None:
    solved = carrot("solve", name, "--target", "0.6")
    assert 0 <= solved["lam"] <= 1
    point = tmp_path / "point.json"
    carrot("export", name, "--lam", solved["lam"], "--out", point)
    for source in (name, point):
        assert carrot("route", QUESTION, "--bench", source)["model"] in cells(name, "score")


@pytest.fixture
def open_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    def opened(page: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
        app.query_params.update(query)
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception
        assert not app.error
        return app

    return opened


@pytest.mark.parametrize("page", ["overview", "frontier", "whatif", "compare"])
def test_the_app_opens_on_the_first_benchmark_that_ships(page: str, open_page: Callable[..., AppTest]) -> None:
    assert open_page(page).session_state["bench"] == BUILT_IN[0]


def test_the_live_page_answers_with_models_of_the_pool(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "prompt_box", lambda examples: QUESTION)
    page = open_page("live")
    assert page.session_state["bench"] == BUILT_IN[0]
    parts = [part.proto for part in page.get("bidi_component")]
    (answer,) = [json.loads(part.json) for part in parts if part.component_name == "carrot-core.decision"]
    names = [entry["name"] for entry in answer["models"]]
    assert names[answer["stretches"][0]["winner"]] in set(cells(BUILT_IN[0], "score").columns)


def test_the_chart_says_which_models_are_left_out_for_want_of_a_cost(open_page: Callable[..., AppTest]) -> None:
    page_words = "\n".join(element.value for element in open_page("frontier", bench=MISGUIDED).caption)
    assert "No cost is recorded of DeepHermes" in page_words.replace("\\", "")
    assert "and 45 more" in page_words


def test_the_data_page_shows_the_card(open_page: Callable[..., AppTest]) -> None:
    page = open_page("data")
    assert page.session_state["bench"] == BUILT_IN[0]
    page_words = "\n".join(element.value for element in page.markdown).replace("\\", "")
    for name in BUILT_IN:
        card = card_of(folder_of(name))
        for what in (card.licence, card.date, "may be passed on", *card.caveats):
            assert what in page_words, what


# What ships


def shipped_files() -> dict[str, int]:
    """Bytes of each file under version control in ``data/``, by its path from there."""
    listing = subprocess.run(["git", "ls-files", "data"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("no checkout, so what is under version control is not known")
    return {line.removeprefix("data/"): (ROOT / line).stat().st_size for line in listing.stdout.splitlines()}


def licences() -> dict[str, str]:
    """The last column of the table in ``data/README.md`` by the pattern of paths in its first."""
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {re.sub("<[^>]*>", "*", row[0].strip(" `")): row[-1].strip() for row in rows}


def test_every_file_that_ships_is_listed_once_with_a_licence_under_which_it_may() -> None:
    table, files = licences(), [name for name in shipped_files() if name != "README.md"]
    for name in files:
        rows = [pattern for pattern in table if fnmatch(name, pattern + ("*" if pattern.endswith("/") else ""))]
        assert len(rows) == 1, f"data/{name} stands in the rows {rows} of data/README.md"
        assert re.search(r"Apache-2\.0|\bMIT\b|CC0-1\.0|prices are facts", table[rows[0]]), rows[0]
    for pattern in table:
        assert any(fnmatch(name, pattern + "*") for name in files), f"data/README.md lists {pattern}, which is not here"


@built_in
def test_the_table_of_files_states_the_licence_of_a_benchmark_as_its_card_does(name: str) -> None:
    assert card_of(folder_of(name)).licence in licences()[f"{FOLDER}/{name}/"]


def test_the_readme_has_the_figures_of_the_results() -> None:
    results, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/results.md", "README.md"))
    glance = {row[0]: row for row in re.findall(r"^\| \[([\w-]+)\]\(#[\w-]+\) \| (.+) \|$", results, re.MULTILINE)}
    _, _, text = readme.partition("## What it found")
    rows = [
        line.strip("| ").split(" | ") for line in text.partition("\n## ")[0].splitlines() if "[" in line and "|" in line
    ]
    for name, gain, accuracy, qnc in rows:
        cells = glance[name][1].split(" | ")
        assert (gain, accuracy, qnc) == (cells[3], cells[-1], cells[-2]), name
    assert sorted(glance) == sorted(row[0] for row in rows)
    above = sum(float(row[1].partition("[")[2].partition(",")[0]) > 0 for row in rows)
    assert f"On {above} of {len(rows)}, the gain" in text


def test_what_ships_whole_is_small() -> None:
    """12 MB more than the 11.4 MB there were before benchmarks shipped whole; the wheel packs them again."""
    files = shipped_files()
    assert sum(size for name, size in files.items() if name.startswith(f"{FOLDER}/")) < 3_000_000
    assert sum(files.values()) < 11_400_000 + 12_000_000
