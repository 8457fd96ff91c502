"""``carrot evaluate`` over several routers and seeds, ``learning-curve`` and ``data leakage`` as a user meets them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from carrot_core.cli import main
from carrot_core.evaluation import runs

pytestmark = pytest.mark.slow


@pytest.fixture
def carrot(store_of, monkeypatch):
    """Run a command on a store that holds the made-up benchmark; returns its parsed JSON or its output."""
    monkeypatch.setattr(runs, "embed", lambda texts, encoder: np.zeros((len(texts), 384)))

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if "--json" in arguments and code == 0 else result.output

    store_of()
    return run


def test_several_routers_over_several_seeds(carrot, tmp_path):
    files = tmp_path / "figures.csv", tmp_path / "table.tex"
    arguments = ("evaluate", "made", "--routers", "carrot-knn,task-lookup", "--seeds", "0-1")
    document = carrot(*arguments, "--csv", files[0], "--latex", files[1], "--json")
    assert document["routers"] == ["carrot-knn", "task-lookup"]
    assert document["seeds"] == [0, 1]
    figures = pd.DataFrame(document["figures"])
    assert set(figures["seed"]) == {"0", "1", "mean"}
    assert {row["against"] for row in document["differences"]} == {"task-lookup", "carrot-knn", "best-single-model"}
    written = pd.read_csv(files[0], keep_default_na=False, na_values=["nan"])
    assert len(written) == len(figures) + len(document["differences"])
    assert files[1].read_text().count("carrot-knn") == 1
    output = carrot(*arguments)
    for words in ("mean over seeds 0, 1", "AIQ - task-lookup", "accuracy at λ = 0 - best-single-model", "p50 / p95"):
        assert words in output


def test_seeds_alone_are_for_the_one_router(carrot):
    document = carrot("evaluate", "made", "--router", "task-lookup", "--seeds", "1,0", "--json")
    assert (document["routers"], document["seeds"]) == (["task-lookup"], [1, 0])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--seeds", "four"), 2, "0-4 or 0,2,7"),
        *(
            (("--seeds", seeds), 2, "0-4 or 0,2,7")
            for seeds in ("4-0", "5-", "-5", "0,,1", "0,4-0", ",", "", "0-99999999")
        ),
        *((("--routers", names), 2, "empty name") for names in (",", "", "zero,", "zero,,task-lookup")),
        (("--routers", "zero", "--router", "zero"), 2, "not both"),
        (("--seeds", "0-1", "--seed", "3"), 2, "not both"),
        (("--again", "--leave-one-task-out"), 2, "always fits"),
        (("--routers", "zero,ghost"), 3, "ghost"),
        (("--routers", "zero,carrot-knn", "--param", "n_neighbors=3"), 2, "one router"),
        (("--routers", "zero", "--csv", "/nowhere/x.csv"), 2, "'/nowhere'"),
        (("--routers", "zero", "--leave-one-task-out"), 2, "one --router"),
    ],
)
def test_what_cannot_be_is_refused(carrot, arguments, code, message):
    assert message in carrot("evaluate", "made", *arguments, code=code)


def test_a_task_left_out(carrot, tmp_path):
    arguments = ("evaluate", "made", "--router", "task-lookup", "--leave-one-task-out")
    document = carrot(*arguments, "--csv", tmp_path / "tasks.csv", "--json")
    assert {row["task"] for row in document["by_task"]} == {"kind 0", "kind 1"}
    assert document["overall"]["routers"] == ["task left out", "task-lookup", "zero"]
    assert len(pd.read_csv(tmp_path / "tasks.csv")) == len(document["by_task"])
    assert "task left out (prompts)" in carrot(*arguments)


def test_a_learning_curve(carrot, tmp_path):
    arguments = ("learning-curve", "made", "--router", "task-lookup", "--seeds", "0", "--sizes", "20,100")
    document = carrot(*arguments, "--csv", tmp_path / "curve.csv", "--json")
    assert document["sizes"] == [20, 100]
    assert {row["size"] for row in document["figures"]} == {20, 100}
    assert len(pd.read_csv(tmp_path / "curve.csv")) == len(document["figures"])
    assert "training prompts" in carrot(*arguments)
    new = carrot(*arguments, "--new-model", "zeta/mid")
    assert "scored prompts of zeta/mid" in new
    assert "train mean" in new
    assert "ghost" in carrot(*arguments, "--new-model", "ghost", code=3)


def test_leakage(carrot, tmp_path):
    document = carrot("data", "leakage", "made", "--csv", tmp_path / "pairs.csv", "--json")
    assert document["n_prompts"] == {"train": 210, "validation": 45, "test": 45}
    assert {row["kind"] for row in document["counts"]} == {"same text", "cosine", "word triples"}
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == len(document["pairs"])
    assert "on another side of the split" in carrot("data", "leakage", "made", "--seed", "3")
