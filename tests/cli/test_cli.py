"""The command line as a user meets it: every command, its JSON, its files and its refusals."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from carrot_core import limits
from carrot_core.benchmarks.built_in import read_built_in
from carrot_core.cli import main
from carrot_core.cli.data import import_, pull
from carrot_core.paths import shipped
from carrot_core.store import Store
from tests.made import MODELS, long_frame, made, write_files

pytestmark = pytest.mark.slow


@pytest.fixture
def carrot(carrot_home):
    """Run a command; returns its parsed JSON, or its output where it has none."""

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if "--json" in arguments and code == 0 else result.output

    return run


@pytest.fixture
def fitted(carrot, store_of):
    """A store that holds the made-up benchmark with CARROT-KNN fitted on it."""
    store_of("carrot-knn")
    return carrot


@pytest.fixture
def imported(carrot, store_of):
    """A store that holds the made-up benchmark with its vectors."""
    store_of()
    return carrot


def test_help_names_every_command(carrot):
    for command in ("data", "fit", "evaluate", "frontier", "solve", "route", "export", "point", "serve", "app"):
        assert command in carrot("--help")
        assert carrot(command, "--help")


@pytest.mark.parametrize("group", [(), ("bench",), ("data",), ("point",), ("router",), ("scale",)])
def test_a_list_of_commands_shows_the_help_of_each_whole(carrot, group):
    _, _, commands = carrot(*group, "--help").partition("Commands:\n")
    assert commands
    assert "..." not in commands


@pytest.mark.parametrize("name", ["bench", "results"])
@pytest.mark.parametrize("missing", ["scripts", "cli"])
def test_what_only_a_checkout_can_do_says_so_without_one(carrot, monkeypatch, name, missing):
    for module in [module for module in sys.modules if module.partition(".")[0] == "scripts"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "scripts" if missing == "scripts" else f"scripts.{name}.cli", None)
    assert "needs a checkout" in carrot(name, "--help", code=1)


@pytest.mark.parametrize(
    ("address", "listed", "any_name"),
    [
        ("localhost", None, False),
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("0.0.0.0", None, True),
        ("0.0.0.0", "carrot.example localhost", False),
    ],
)
def test_the_dashboard_answers_to_any_name_only_where_it_was_put_for_others(monkeypatch, address, listed, any_name):
    started, environment = [], {}

    def start(_: str, arguments: list[str], variables: dict[str, str]) -> None:
        started.extend(arguments)
        environment.update(variables)

    monkeypatch.setattr("os.execve", start)
    if any_name:
        monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    monkeypatch.setattr("os.chdir", lambda _: None)
    monkeypatch.delenv("STREAMLIT_SERVER_ALLOWED_HOSTS", raising=False)
    monkeypatch.setenv("CARROT_MODE", "public" if any_name else "personal")
    if listed:
        monkeypatch.setenv("STREAMLIT_SERVER_ALLOWED_HOSTS", listed)
    assert CliRunner().invoke(main, ["app", "--address", address]).exit_code == 0
    assert f"--server.address={address}" in started
    assert ("--server.allowedHosts=*" in started) == any_name
    most = limits.PUBLIC_UPLOAD_MB if any_name else limits.UPLOAD_MB
    assert f"--server.maxUploadSize={most}" in started
    assert environment["MALLOC_ARENA_MAX"] == ("7" if any_name else "2")  # that of who runs it counts


@pytest.mark.parametrize("command", ["app", "serve"])
@pytest.mark.parametrize("port", ["0", "99999", "-1"])
def test_a_port_that_is_none_is_wrong_usage(command, port):
    result = CliRunner().invoke(main, [command, "--port", port])
    assert result.exit_code == 2
    assert "1<=x<=65535" in result.stderr


def test_import_list_remove(carrot, tmp_path):
    results, vectors = write_files(made(), tmp_path)
    info = carrot("data", "import", results, "--name", "made", "--embeddings", vectors, "--json")
    assert (info["n_prompts"], info["n_models"], info["n_with_vectors"]) == (300, 3, 300)
    assert info["models"] == list(MODELS)
    assert [entry["name"] for entry in carrot("data", "list", "--json")] == ["made"]
    carrot("data", "import", results, "--name", "made", "--replace")
    carrot("data", "remove", "made")
    assert carrot("data", "list", "--json") == []
    there = carrot("data", "trash", "--json")
    assert [(each["kind"], each["name"], each["how"]) for each in there] == [
        ("benchmark", "made", "removed"),
        ("benchmark", "made", "replaced"),
    ]
    carrot("data", "restore", "made", "--at", there[1]["removed_at"])
    assert carrot("data", "list", "--json") == [{key: value for key, value in info.items() if key != "n_with_vectors"}]
    assert [each["how"] for each in carrot("data", "trash", "--json")] == ["removed"]
    refusal = CliRunner().invoke(main, ["data", "trash", "--empty"], input="n\n")
    assert refusal.exit_code == 1
    assert len(carrot("data", "trash", "--json")) == 1
    assert carrot("data", "trash", "--empty", "--yes", "--json") == {"deleted": 1}
    assert carrot("data", "trash", "--json") == []


def test_arms_of_what_is_stored_are_added_listed_and_removed(carrot, tmp_path):
    table = pd.concat([long_frame(made()).assign(sample=run) for run in "ab"])
    table.to_csv(tmp_path / "runs.csv", index=False)
    before = carrot("data", "import", tmp_path / "runs.csv", "--name", "runs", "--json")
    assert carrot("data", "arms", "runs", "--json")["arms"] == {}
    assert "best-of-2" in carrot("data", "arms", "runs", "best-of-2")
    assert carrot("data", "arms", "runs", "--json")["arms"] == {"best-of-2": [f"{model} best-of-2" for model in MODELS]}
    assert carrot("data", "arms", "runs", "--remove", "--json")["data_hash"] == before["data_hash"]
    assert "best-of-3" in carrot("data", "arms", "runs", "best-of-3", code=4)


def test_the_command_that_adds_arms_is_one_that_a_benchmark_that_ships_accepts(carrot, carrot_home):
    Store().save_benchmark("misguided-attention", read_built_in(shipped("benchmarks") / "misguided-attention"))
    (command,) = re.findall("`carrot ([^`]*)`", carrot("data", "arms", "misguided-attention"))
    carrot(*command.split())
    assert "best-of-2" in carrot("data", "arms", "misguided-attention", "--json")["arms"]


def test_the_predicate_keeps_some_rows(carrot, tmp_path):
    results, _ = write_files(made(), tmp_path)
    info = carrot("data", "import", results, "--name", "two", "--where", "model <> 'acme/large'", "--json")
    assert info["models"] == ["acme/small", "zeta/mid"]


def test_a_file_of_tokens_needs_prices(carrot, tmp_path):
    results, prices = tmp_path / "tokens.csv", tmp_path / "prices.csv"
    long_frame(made()).drop(columns="cost_usd").to_csv(results, index=False)
    assert "a price for every model" in carrot("data", "import", results, "--name", "tokens", code=4)
    prices.write_text(
        "model,input_usd_per_mtok,output_usd_per_mtok\nacme/large,3,15\nacme/small,0.1,0.4\nzeta/mid,0.5,1.5\n"
    )
    carrot("data", "import", results, "--name", "tokens", "--prices", prices)
    prices.write_text("model,input_usd_per_mtok,output_usd_per_mtok\nacme/large,cheap,15\n")
    error = carrot("data", "import", results, "--name", "again", "--prices", prices, code=4)
    assert "row 1, column 'input_usd_per_mtok'" in error


def test_list_prices_are_taken_only_when_asked_for_and_only_where_dollars_and_own_prices_lack(carrot, tmp_path):
    results, prices = tmp_path / "tokens.csv", tmp_path / "prices.csv"
    names = {"acme/large": "openai/gpt-5.2", "acme/small": "Claude Haiku 4.5", "zeta/mid": "gpt-5-mini"}
    table = long_frame(made()).replace({"model": names})
    table.loc[table["model"] != "gpt-5-mini", "cost_usd"] = None
    table.to_csv(results, index=False)
    assert "--list-prices" in carrot("data", "import", results, "--name", "listed", code=4)
    prices.write_text("model,input_usd_per_mtok,output_usd_per_mtok\nclaude-haiku-4-5,7,8\n")
    options = ["--list-prices", "--prices", prices, "--json"]
    (note,) = [
        each for each in carrot("data", "import", results, "--name", "listed", *options)["warnings"] if "List" in each
    ]
    assert "'openai/gpt-5.2' (2026-11-20)" in note
    assert "gpt-5-mini" not in note  # its dollars are recorded
    of_list, own = (
        table[table["model"] == model].set_index("prompt_id") for model in ("openai/gpt-5.2", "Claude Haiku 4.5")
    )
    stored = Store().load("listed").outcomes
    costs = pd.DataFrame(stored.cost_usd, stored.prompt_ids, stored.models)
    tokens = [
        of_list[["input_tokens", "output_tokens"]] @ [1.75e-6, 14e-6],
        own[["input_tokens", "output_tokens"]] @ [7e-6, 8e-6],
    ]
    for model, expected in zip(("openai/gpt-5.2", "Claude Haiku 4.5"), tokens, strict=True):
        np.testing.assert_allclose(costs[model], expected.loc[costs.index], rtol=1e-9)


def test_a_sheet_of_scores_alone_becomes_a_benchmark_with_the_mean_cost_of_a_call(carrot, tmp_path):
    path, bench = tmp_path / "sheet.csv", made()
    sheet = pd.DataFrame(bench.outcomes.score, columns=MODELS).assign(question=bench.texts, difficulty=0.5)
    sheet.to_csv(path, index=False)
    assert "--cost-per-call MODEL USD" in carrot("data", "import", path, "--name", "sheet", code=4)
    costs = [
        each
        for model, usd in zip(MODELS, (0.01, 0.002, 0.00005), strict=True)
        for each in ("--cost-per-call", model, usd)
    ]
    options = ["--name", "sheet", "--column", "prompt=question"]
    notes = " ".join(carrot("data", "import", path, *options, *costs, "--json")["warnings"])
    assert "'acme/large' $0.01" in notes
    assert "'zeta/mid' $0.00005" in notes  # no scientific notation
    assert "difficulty" in notes  # left out
    stored = Store().load("sheet")
    assert stored.models == MODELS
    order = [stored.texts.index(text) for text in bench.texts]
    np.testing.assert_array_equal(stored.outcomes.score[order], bench.outcomes.score)
    np.testing.assert_array_equal(np.unique(stored.outcomes.cost_usd, axis=0), [[0.01, 0.002, 0.00005]])
    for wrong in (["other", 1.0], ["acme/large", "nan"], ["acme/large", -1.0]):
        assert "Traceback" not in carrot("data", "import", path, *options, *costs, "--cost-per-call", *wrong, code=4)


def test_evaluate_prints_every_figure_with_its_interval(imported):
    document = imported("evaluate", "made", "--json")
    for figure in ("routing_accuracy", "best_single", "oracle", "aiq", "qnc"):
        assert isinstance(document[figure], float), figure
        low, high = document["intervals"][figure]
        assert low <= document[figure] <= high
    assert document["best_single_model"] in MODELS
    assert set(document["baselines"]) == {"zero", "task-lookup", "task-lookup-input", "best-single", "oracle"}
    table = imported("evaluate", "made")
    for word in ("carrot-knn", "zero", "task-lookup", "oracle", "lower is better", "95 % intervals"):
        assert word in table


def test_a_stored_run_is_used_again_and_fit_makes_a_new_one(imported, monkeypatch):
    first = imported("evaluate", "made", "--json")
    with monkeypatch.context() as patch:
        patch.setattr("carrot_core.evaluation.runs.evaluate", lambda *a, **k: pytest.fail("fitted twice"))
        assert imported("evaluate", "made", "--json") == first
    assert imported("fit", "made", "--json")["aiq"] == first["aiq"]


def test_replaced_data_are_fitted_again(fitted, tmp_path):
    first = fitted("evaluate", "made", "--json")
    results, vectors = write_files(made(seed=9), tmp_path)
    fitted("data", "import", results, "--name", "made", "--embeddings", vectors, "--replace")
    assert fitted("evaluate", "made", "--json")["data_hash"] != first["data_hash"]


def test_parameters_and_pool_reach_the_router(imported):
    document = imported(
        "evaluate", "made", "--param", "criterion=routing", "--param", "n_neighbors=8",
        "--pool", "acme/large", "--pool", "zeta/mid", "--json",
    )  # fmt: skip
    assert document["params"] == {"criterion": "routing", "n_neighbors": 8}
    assert document["models"] == ["acme/large", "zeta/mid"]
    assert "KEY=VALUE" in imported("evaluate", "made", "--param", "k", code=2)
    assert "does not take these parameters: k" in imported("evaluate", "made", "--param", "k=3", code=1)


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".json"])
def test_estimates_hold_a_row_per_prompt_and_model(fitted, tmp_path, ending):
    out = tmp_path / f"estimates{ending}"
    document = fitted("estimates", "made", "--split", "test", "--out", out, "--json")
    frame = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".json": pd.read_json}[ending](out)
    assert list(frame) == ["prompt_id", "model", "est_score", "est_cost_usd", "score", "cost_usd"]
    assert len(frame) == document["rows"] == document["n_prompts"] * 3


def test_all_splits_together_are_every_prompt(fitted, tmp_path):
    counts = [
        fitted("estimates", "made", "--split", split, "--out", tmp_path / "e.parquet", "--json")["n_prompts"]
        for split in ("train", "validation", "test", "all")
    ]
    assert sum(counts[:3]) == counts[3] == 300


def test_the_written_frontier_is_the_sweep_of_the_written_estimates(fitted, tmp_path):
    fitted("estimates", "made", "--out", tmp_path / "e.parquet")
    document = fitted("frontier", "made", "--out", tmp_path / "f.csv", "--json")
    curve, cells = pd.read_csv(tmp_path / "f.csv"), pd.read_parquet(tmp_path / "e.parquet")
    assert list(curve) == ["exchange_rate_per_usd", "lam", "cost_usd", "score"]
    tables = {
        name: cells.pivot(index="prompt_id", columns="model", values=name).to_numpy() for name in cells.columns[2:]
    }
    rows = np.arange(document["n_prompts"])
    middles = (curve.exchange_rate_per_usd[:-1].to_numpy() + curve.exchange_rate_per_usd[1:].to_numpy()) / 2
    for index in range(0, len(middles), 7):
        chosen = (tables["est_score"] - middles[index] * tables["est_cost_usd"]).argmax(axis=1)
        assert curve.score[index] == pytest.approx(tables["score"][rows, chosen].mean())
        assert curve.cost_usd[index] == pytest.approx(tables["cost_usd"][rows, chosen].mean())
    unit = document["cost_unit_usd"]
    rate = curve.exchange_rate_per_usd
    np.testing.assert_allclose(curve.lam, rate * unit / (1 + rate * unit))


def test_fit_on_another_benchmark_judges_every_prompt(imported, tmp_path):
    results, vectors = write_files(made(90, seed=4), tmp_path, "held")
    imported("data", "import", results, "--name", "held", "--embeddings", vectors)
    document = imported("evaluate", "held", "--fit-on", "made", "--json")
    assert (document["evaluated_on"], document["n_prompts"], document["fit_on"]) == ("all", 90, "made")
    assert document["n_copies"] > 0
    text = imported("evaluate", "held", "--fit-on", "made")
    assert f"{document['n_copies']} prompts of made are left out of training" in text
    written = imported("estimates", "held", "--fit-on", "made", "--split", "all", "--out", tmp_path / "e.csv", "--json")
    assert written["n_prompts"] == 90
    some = imported("estimates", "held", "--fit-on", "made", "--split", "test", "--out", tmp_path / "t.csv", "--json")
    whole, part = pd.read_csv(tmp_path / "e.csv"), pd.read_csv(tmp_path / "t.csv")
    assert some["n_prompts"] < 90
    joined = part.merge(whole, on=["prompt_id", "model"], suffixes=("", "_all"))
    np.testing.assert_allclose(joined.est_score, joined.est_score_all)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("evaluate", "ghost"), 3, "ghost"),
        (("evaluate", "made", "--router", "nearest"), 3, "there are carrot-knn"),
        (("evaluate", "made", "--pool", "ghost/model"), 3, "ghost/model"),
        (("frontier", "made", "--out", "curve.xlsx"), 2, ".parquet"),
        (("frontier", "made", "--out", "/nowhere/curve.csv"), 2, "'/nowhere'"),
        # Refused before the benchmark is so much as looked for.
        (("frontier", "ghost", "--out", "curve"), 2, "'--out'"),
        (("evaluate", "ghost", "--csv", "x.txt"), 2, "'--csv'"),
        (("evaluate", "ghost", "--latex", "/nowhere/x.tex"), 2, "'--latex'"),
        (("learning-curve", "ghost", "--csv", "/nowhere/x.csv"), 2, "'--csv'"),
        (("data", "leakage", "ghost", "--csv", "x.tsv"), 2, "'--csv'"),
        (("export", "ghost", "--out", "/nowhere/point.json"), 2, "'--out'"),
        (("solve", "made", "--target", "60%"), 2, "write 0.6"),
        (("solve", "made", "--target", "85"), 1, "write 0.85"),
        (("data", "remove", "ghost"), 3, "ghost"),
        (("data", "import", "no-such-file.csv", "--name", "x"), 3, "no-such-file.csv"),
    ],
)
def test_a_refusal_says_what_and_exits_with_its_code(imported, arguments, code, words):
    output = imported(*arguments, code=code)
    assert words in output
    assert "Traceback" not in output


def test_a_name_that_is_taken_is_refused_without_replace(imported, tmp_path):
    results, _ = write_files(made(), tmp_path)
    assert "replace" in imported("data", "import", results, "--name", "made", code=5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("frontier", "--prompts", "300"), "times faster"),
        (("knn", "--prompts", "300", "--dimensions", "8"), "same estimates: yes"),
        (("scene", "--prompts", "100"), "times the first drawing"),
        (("whatif", "--prompts", "100"), "thresholds takes"),
        (("bootstrap", "--prompts", "200", "--routers", "2", "--replicates", "20"), "times as long"),
    ],
)
def test_benches_run_and_report(carrot, arguments, words):
    assert words in carrot("bench", *arguments)


def test_samples_are_counted_where_a_benchmark_is_imported_and_listed(carrot, tmp_path):
    table = long_frame(made(40))
    again = table.assign(sample=2, score=np.where(np.arange(len(table)) % 4 == 0, 1 - table["score"], table["score"]))
    pd.concat([table.assign(sample=1), again]).to_parquet(tmp_path / "runs.parquet")
    arguments = ("data", "import", tmp_path / "runs.parquet", "--name", "runs", "--arm", "best-of-2")
    info = carrot(*arguments, "--json")
    assert (info["n_extra_runs"], info["n_repeated"], info["n_differing"]) == (120, 120, 30)
    assert info["n_models"] == 2 * len(MODELS)
    assert any("verifier" in warning for warning in info["warnings"])
    assert "25 %" in carrot(*arguments, "--replace")
    assert "25 %" in carrot("data", "list")
    assert carrot("data", "list", "--json")[0]["score_spread"] == info["score_spread"] > 0


def test_an_import_without_texts_names_the_routers_that_need_none(carrot, tmp_path):
    long_frame(made(40)).drop(columns="prompt").to_csv(tmp_path / "runs.csv", index=False)
    assert "task-lookup" in carrot("data", "import", tmp_path / "runs.csv", "--name", "textless")
    long_frame(made(40)).to_csv(tmp_path / "runs.csv", index=False)
    assert "task-lookup" not in carrot("data", "import", tmp_path / "runs.csv", "--name", "with texts")


def test_the_hub_takes_the_options_that_files_take():
    of_files, of_hub = ({each.name for each in command.params} for command in (import_, pull))
    assert of_files - of_hub == {"places"}
