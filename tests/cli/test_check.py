"""``carrot data check`` and ``template``, and columns by hand on the command line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from carrot_core.benchmarks.formats import FORMATS
from carrot_core.cli import main
from carrot_core.paths import shipped
from carrot_core.store import Store
from tests.benchmarks.formats.truth import EXPECTED, FILES
from tests.tables import long_table


def carrot(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def bad_file(folder: Path) -> Path:
    table = long_table().astype(object)
    table.loc[2, "score"], table.loc[4, "cost_usd"], table.loc[5, "model"] = "=2", -1, ""
    table.to_csv(folder / "bad.csv", index=False)
    return folder / "bad.csv"


def test_problems_are_told_as_text_as_json_and_as_csv(tmp_path: Path) -> None:
    file, out = bad_file(tmp_path), tmp_path / "problems.csv"
    output = carrot("data", "check", file, "--out", out)
    assert output.exit_code == 4
    assert [line.split(":")[1].strip() for line in output.stdout.splitlines()] == [
        "row 6, column 'model'", "row 3, column 'score'", "row 5, column 'cost_usd'",
    ]  # fmt: skip
    rows = pd.read_csv(out, dtype=str)
    assert rows["row"].tolist() == ["6", "3", "5"]
    document = json.loads(carrot("data", "check", file, "--json").stdout)
    assert document["ok"] is False
    assert [problem["column"] for problem in document["problems"]] == ["model", "score", "cost_usd"]
    assert all(problem["remedy"] for problem in document["problems"])


def test_a_file_in_order_is_said_to_be_and_nothing_is_imported(tmp_path: Path, carrot_home: Path) -> None:
    output = carrot("data", "check", shipped("template.csv"))
    assert output.exit_code == 0
    assert "3 prompts x 3 models" in output.stdout
    assert json.loads(carrot("data", "check", shipped("template.csv"), "--json").stdout)["ok"] is True
    assert not Store().path.exists()


def test_the_template_is_in_order_and_is_not_written_over_a_file(tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    assert carrot("data", "template", "--out", out).exit_code == 0
    assert carrot("data", "check", out).exit_code == 0
    out.write_text("my results")
    refused = carrot("data", "template", "--out", out)
    assert refused.exit_code == 1
    assert "already there" in refused.stderr
    assert out.read_text() == "my results"
    assert carrot("data", "template").stdout.startswith("prompt_id,model,score")


def test_columns_are_mapped_by_hand(tmp_path: Path, carrot_home: Path) -> None:
    file = tmp_path / "t.csv"
    long_table().rename(columns={"prompt_id": "id", "score": "a=b"}).to_csv(file, index=False)
    mapping = ("--column", "prompt_id=id", "--column", "score=a=b")
    assert carrot("data", "check", file, *mapping).exit_code == 0
    assert carrot("data", "import", file, "--name", "t", *mapping).exit_code == 0
    assert Store().info("t").n_prompts == 6
    assert carrot("data", "check", file, "--column", "prompt_id").exit_code == 2


def test_files_of_one_model_each_with_scores_on_another_scale(tmp_path: Path, carrot_home: Path) -> None:
    for model, rows in long_table().assign(score=lambda table: 100 * table["score"]).groupby("model"):
        rows.drop(columns="model").to_csv(tmp_path / f"{model}.csv", index=False, sep="|", decimal=",")
    options = ["--model-from", "file", "--score", "percent"]
    result = carrot("data", "check", tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert "bars" in result.output
    result = carrot("data", "import", f"{tmp_path}/*.csv", "--name", "mine", *options)
    assert result.exit_code == 0, result.output
    assert "percent" in Store().benchmarks()[0].note
    assert carrot("data", "check", tmp_path / "none.csv").exit_code == 3


def test_every_example_of_a_format_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = [shlex.split(example["example"]) for example in json.loads(carrot("data", "formats", "--json").output)]
    assert len(examples) > 5
    for _, *words in examples:
        for word in words:
            if Path(word).suffix and "/" not in word:
                (tmp_path / word.replace("*", "some")).touch()
        command: click.Command = main
        while isinstance(command, click.Group):
            result = command.get_command(click.Context(command), words.pop(0))
            assert result is not None
            command = result
        assert command.make_context("example", words).params


def test_layout_can_be_overruled(tmp_path: Path) -> None:
    output = carrot("data", "check", shipped("template.csv"), "--format", "wide")
    assert output.exit_code == 4
    assert "no column belongs to a model" in output.stdout


def test_runs_of_a_tool_are_imported_from_their_folder(tmp_path: Path, carrot_home: Path) -> None:
    prices = tmp_path / "prices.csv"
    lines = [
        f"{model},{p['input_usd_per_million']},{p['output_usd_per_million']}" for model, p in EXPECTED["prices"].items()
    ]
    prices.write_text("\n".join(["model,input_usd_per_mtok,output_usd_per_mtok", *lines]))
    runs = FILES / "openai_evals"
    assert carrot("data", "check", runs, "--prices", prices).exit_code == 0
    imported = carrot("data", "import", runs, "--name", "quiz", "--prices", prices)
    assert imported.exit_code == 0, imported.output
    assert "8 prompts x 2 models" in imported.stdout
    other = carrot("data", "check", FILES / "promptfoo" / "quiz.results.json", "--scorer", "right")
    assert other.exit_code == 0, other.output
    assert "the score is right" in other.stdout


def test_a_gateways_log_is_kept_under_its_name_and_compared_by_it(tmp_path: Path, carrot_home: Path) -> None:
    report = carrot("data", "import", FILES / "litellm" / "spend_logs.csv", "--name", "spring", "--json")
    assert report.exit_code == 0, report.output
    assert json.loads(report.stdout)["calls"] == 8
    assert carrot("data", "import", FILES / "litellm" / "spend_logs.csv", "--name", "spring").exit_code == 1
    for stated in (("--seed", "7"), ("--shadow",), ("--embeddings", str(FILES))):
        of_store = carrot("data", "import", FILES / "litellm" / "spend_logs.csv", "--name", "summer", *stated)
        assert of_store.exit_code == 1
        assert stated[0] in of_store.output
    refused = carrot("data", "check", FILES / "litellm" / "spend_logs.csv")
    assert refused.exit_code == 4
    assert "point drift" in refused.stdout
    assert carrot("point", "drift", tmp_path / "none.json", "spring").exit_code != 0


def test_every_format_is_listed_with_a_command() -> None:
    listed = json.loads(carrot("data", "formats", "--json").stdout)
    assert {each["name"] for each in listed} >= {*FORMATS, "long", "wide", "routerbench"}
    assert all(each["example"].startswith("carrot ") for each in listed)


def _with_split(folder: Path, *sides: str) -> Path:
    """A file of 40 prompts whose split repeats these sides."""
    table = long_table(40)
    table["split"] = [sides[int(prompt[1:]) % len(sides)] for prompt in table["prompt_id"]]
    table.to_csv(folder / "split.csv", index=False)
    return folder / "split.csv"


@pytest.mark.parametrize("sides", [("train", "train", "train", "test"), ("train", "eval", "test")])
def test_a_split_that_does_not_serve_can_be_left_aside(carrot_home: Path, sides: tuple[str, ...]) -> None:
    file = _with_split(carrot_home, *sides)
    checked = carrot("data", "check", file)
    assert "--split derive" in checked.stdout
    assert "--split derive" not in carrot("data", "check", file, "--split", "derive").stdout
    derived = carrot("data", "import", file, "--name", "derived", "--split", "derive", "--json")
    assert derived.exit_code == 0, derived.output
    assert json.loads(derived.stdout)["split_rule"].startswith("70/15/15")
    assert set(Store().load("derived").split) == {"train", "validation", "test"}


def test_train_and_test_alone_are_kept_with_validation_out_of_train(carrot_home: Path) -> None:
    file = _with_split(carrot_home, "train", "train", "train", "test")
    imported = carrot("data", "import", file, "--name", "kept")
    assert imported.exit_code == 0, imported.output
    bench = Store().load("kept")
    assert [int(prompt[1:]) % 4 == 3 for prompt in bench.prompt_ids] == (bench.split == "test").tolist()
    assert {"train", "validation"} <= set(bench.split)
    assert carrot("solve", "kept", "--target", "0.2", "--router", "task-lookup").exit_code == 0


def test_without_test_prompts_the_remedy_is_told_where_they_are_missed(carrot_home: Path) -> None:
    file = _with_split(carrot_home, "train", "validation")
    assert "--split derive" in carrot("data", "import", file, "--name", "half").stdout
    missed = carrot("solve", "half", "--target", "0.2", "--router", "task-lookup")
    assert missed.exit_code != 0
    assert "--split derive" in missed.stderr
