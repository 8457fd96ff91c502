"""``carrot route``: prompts in, models out, in every form it is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from carrot_core import CarrotRouter
from carrot_core.cli import main
from carrot_core.cli.route import _report
from carrot_core.frontier import rate_of_lam
from carrot_core.number_formats import lam_text, pays
from carrot_core.outcomes import Estimates
from carrot_core.points.formats.report import as_html
from carrot_core.routers.saving import save_router
from carrot_core.serving.decision import Decisions, make_explanation
from carrot_core.serving.expectation import Labels, Part
from tests.made import MODELS, made
from tests.typed_prompts import served

HEAD = "mmlu-pro-cot"
PROMPT = "What is the derivative of x squared?"


@pytest.fixture
def router(carrot_home: Path) -> CarrotRouter:
    return CarrotRouter.load(HEAD)


def carrot(*arguments: Any, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["route", *map(str, arguments)], input=typed)


def test_a_prompt_gets_a_model(router: CarrotRouter) -> None:
    for point in ({"lam": 0.3}, {"budget": 0.2}, {"target": 0.68}, {"mu": 0.2}, {}):
        flags = [part for name, value in point.items() for part in (f"--{name}", value)]
        done = carrot(PROMPT, "--bench", HEAD, *flags)
        assert (done.exit_code, done.stdout.strip()) == (0, router.route(PROMPT, **point))


def test_json_is_one_object_a_prompt(router: CarrotRouter) -> None:
    done = carrot("--bench", HEAD, "--lam", ".3", "--json", typed=f"{PROMPT}\n\nAnother\n")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    decisions = router.decide([PROMPT], lam=0.3).records() + router.decide(["Another"], lam=0.3).records()
    assert records == [{"router": router.router, "use_task": bool(router.task_labels)} | each for each in decisions]


def test_an_explanation_says_why(router: CarrotRouter) -> None:
    done = carrot(PROMPT, "--bench", HEAD, "--explain")
    explanation = router.explain(PROMPT)
    assert explanation.sentence in done.stdout
    assert all(model in done.stdout for model in router.models)
    assert f"λ {lam_text(explanation.ribbon[-1].lam_from)} to 1: {explanation.ribbon[-1].model}" in done.stdout
    document = json.loads(carrot(PROMPT, "--bench", HEAD, "--explain", "--json").stdout)
    assert document["model"] == explanation.winner
    assert [row["model"] for row in document["estimates"]] == explanation.table["model"].tolist()
    assert document["ribbon"][0] == vars(explanation.ribbon[0])


@pytest.mark.parametrize("lam", [0, 0.3, 1])
def test_what_a_point_pays_is_told_in_the_same_words_at_every_rate(router: CarrotRouter, lam: float) -> None:
    rate = rate_of_lam(lam, router.cost_unit_usd)
    explanation = carrot(PROMPT, "--bench", HEAD, "--lam", lam, "--explain").stdout
    assert pays(rate) in explanation
    assert pays(rate) in as_html(router, router.point_file(lam=lam)).decode()
    assert "inf" not in explanation
    assert not re.search(r"\d[eE][+-]\d", explanation)
    document = json.loads(carrot(PROMPT, "--bench", HEAD, "--lam", lam, "--explain", "--json").stdout)
    assert document["exchange_rate_per_usd"] == (None if lam == 1 else rate)


def test_pool_prices_and_fallback(router: CarrotRouter) -> None:
    pool = router.models[:2]
    flags = ["--pool", pool[0], "--pool", pool[1], "--price", f"{pool[0]}=0,0", "--price", f"{pool[1]}=5,5"]
    assert carrot(PROMPT, "--bench", HEAD, "--lam", 1, *flags).stdout.strip() == pool[0]
    flags = ["--fallback", pool[1], "--fallback-above", 0]
    assert carrot(PROMPT, "--bench", HEAD, *flags).stdout.strip() == pool[1]


def test_a_file_of_prompts(router: CarrotRouter, tmp_path: Path) -> None:
    prompts = [PROMPT, "Another", "🥕"]
    pd.DataFrame({"question": prompts}).to_json(tmp_path / "in.jsonl", orient="records", lines=True)
    for ending in ("parquet", "csv", "jsonl"):
        out = tmp_path / f"out.{ending}"
        done = carrot(
            "--bench", HEAD, "--lam", ".3", "--file", tmp_path / "in.jsonl", "--column", "question", "--out", out
        )
        assert done.exit_code == 0, done.output
        read = {"parquet": pd.read_parquet, "csv": pd.read_csv, "jsonl": lambda path: pd.read_json(path, lines=True)}
        assert read[ending](out)["model"].tolist() == router.route(prompts, lam=0.3)


def test_lines_are_written_to_a_file_as_a_file_of_prompts_is(router: CarrotRouter, tmp_path: Path) -> None:
    prompts = [PROMPT, "Another"]
    for ending, lines, typed in (("csv", (), "\n".join([PROMPT, "", "Another"])), ("jsonl", prompts, "")):
        done = carrot(*lines, "--bench", HEAD, "--lam", ".3", "--out", tmp_path / f"out.{ending}", typed=typed)
        assert done.exit_code == 0, done.output
        assert "2 prompts at λ 0.3" in done.output
    assert pd.read_csv(tmp_path / "out.csv")["model"].tolist() == router.route(prompts, lam=0.3)
    assert pd.read_json(tmp_path / "out.jsonl", lines=True)["model"].tolist() == router.route(prompts, lam=0.3)


def test_lines_typed_have_the_ids_and_limits_of_a_files_lines(router: CarrotRouter, tmp_path: Path) -> None:
    lines = f"\ufeff{PROMPT}\n\n  \nAnother\n"
    (tmp_path / "in.txt").write_text(lines, encoding="utf-8")
    ways = (("file.csv", ("--file", tmp_path / "in.txt"), ""), ("typed.csv", (), lines))
    for name, flags, typed in ways:
        done = carrot(*flags, "--bench", HEAD, "--lam", ".3", "--out", tmp_path / name, typed=typed)
        assert done.exit_code == 0, done.output
    assert pd.read_csv(tmp_path / "typed.csv")["prompt_id"].tolist() == [1, 4]
    assert (tmp_path / "typed.csv").read_text() == (tmp_path / "file.csv").read_text()
    done = carrot("--bench", HEAD, "--lam", ".3", typed=f"{PROMPT}\n{'é' * 1_000_001}\n")
    assert done.exit_code == 4
    assert "standard input: row 2: a prompt has more than 1,000,000 characters" in done.stderr


def test_names_in_a_routers_files_do_not_steer_the_terminal() -> None:
    name = "acme/\x1b]0;owned\x07\u202e"
    estimates = Estimates(("p",), (name,), np.array([[0.5]]), np.array([[1e-4]]))
    tokens = np.array([[10.0]])
    unlabelled = Labels(("",), ("",))
    decision = Decisions(0.3, 1.0, 1.0, estimates, tokens, tokens, np.array([0]), np.array([False]), unlabelled)
    cells = {f"{one}{end}": 0.5 for one in ("score", "output_tokens", "cost") for end in ("_low", "_high")}
    cells |= {f"cost{end}_usd": 1e-4 for end in ("_low", "_high")} | {"est_score": 0.5, "est_cost_usd": 1e-4}
    table = pd.DataFrame([{"prompt": 0, "model": name, "est_output_tokens": 10.0, "input_tokens": 10.0, **cells}])
    explanation = make_explanation(
        decision, table, percentile=1.0, unlike=False, nearest=None, prompt_tokens=3,
        parts=(Part(0, 1, 3),), part=0, seconds={},
    )  # fmt: skip
    text = _report(explanation)
    assert text.count("acme/⟨U+001B⟩]0;owned⟨U+0007⟩⟨U+202E⟩") == 3  # sentence, table, ribbon
    assert not set("\x1b\x07\u202e") & set(text)


def test_an_operating_point(router: CarrotRouter, tmp_path: Path) -> None:
    router.save_point(tmp_path / "point.json", lam=0.4, pool=router.models[:4])
    document = json.loads(carrot(PROMPT, "--point", tmp_path / "point.json", "--json").stdout)
    assert document == document | router.decide([PROMPT], lam=0.4, pool=router.models[:4]).records()[0]


def test_the_fallback_of_a_point_can_be_switched_off(router: CarrotRouter, tmp_path: Path) -> None:
    path = tmp_path / "point.json"
    router.save_point(path, lam=0.4, fallback=router.models[0], fallback_above=0.0)
    for flags, fell_back in (((), True), (("--no-fallback",), False)):
        assert json.loads(carrot(PROMPT, "--point", path, *flags, "--json").stdout)["fell_back"] == fell_back


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([PROMPT, "--bench", HEAD, "--fallback", "x", "--no-fallback"], 2, "not both"),
        ([PROMPT], 2, "--bench NAME or --point FILE"),
        ([PROMPT, "--bench", HEAD, "--lam", "2"], 1, "lam must be from 0 to 1"),
        ([PROMPT, "--bench", HEAD, "--lam", ".1", "--budget", "1"], 1, "Give one of lam, budget"),
        ([PROMPT, "--bench", HEAD, "--pool", "nobody"], 3, "'nobody'"),
        ([PROMPT, "--bench", HEAD, "--price", "nobody"], 2, "MODEL=IN,OUT"),
        ([PROMPT, "--bench", "no such"], 3, "no such"),
        (["--bench", HEAD, "--file", __file__], 2, "--file needs --out"),
        ([PROMPT, "--bench", HEAD, "--file", __file__, "--out", "x.csv"], 2, "no PROMPT"),
        ([PROMPT, "--bench", HEAD, "--out", "x.xlsx"], 1, "x.xlsx"),
        ([PROMPT, "--bench", HEAD, "--out", f"{__file__}/o.csv"], 1, "Cannot write"),
        ([PROMPT, "--bench", HEAD, "--out", "x.csv", "--explain"], 2, "--explain"),
        ([PROMPT, "--bench", HEAD, "--router", "carrot-knn"], 3, "is not in the store"),
    ],
)
def test_a_refusal_says_what_to_do(carrot_home: Path, arguments: list[str], code: int, says: str) -> None:
    done = carrot(*arguments)
    assert (done.exit_code, says in done.output) == (code, True), done.output


class TestTaskLabels:
    @pytest.fixture
    def folder(self, carrot_home: Path) -> Path:
        """A saved router that reads task labels."""
        fitted = served(made(), use_task=True)
        save_router(fitted._fitted, carrot_home / "labelled", profile=fitted.profile)
        return carrot_home / "labelled"

    def test_a_known_label_is_used_and_an_unknown_one_is_told_of(self, folder: Path) -> None:
        router, point = CarrotRouter.load(folder), {"lam": 0.1}
        for label in (None, "kind 0", "kind 1", "Kind 1", "\x1b[31m<b>"):
            flags = [] if label is None else ["--task", label]
            done = carrot(PROMPT, "--bench", folder, "--lam", ".1", *flags)
            assert (done.exit_code, done.stdout.strip()) == (0, router.route(PROMPT, task=label, **point))
            known = label in (None, "kind 0", "kind 1")
            assert ("not among the 2" in done.stderr) == (not known)
            assert ("Router: carrot-linear, fitted with task labels" in done.stderr) == (label is not None)
            explained = carrot(PROMPT, "--bench", folder, "--explain", *flags).stdout
            assert ("Task label" in explained) == (label is not None)
            assert "Router: carrot-linear, fitted with task labels" in explained
            assert "\x1b" not in explained + done.stderr
            (record,) = map(json.loads, carrot(PROMPT, "--bench", folder, "--json", *flags).stdout.splitlines())
            assert record["task"] == (label if known else None)
            assert (record["router"], record["use_task"]) == ("carrot-linear", True)

    @pytest.mark.parametrize("column", ["task", "topic"])
    def test_a_file_has_a_column_of_labels(self, folder: Path, tmp_path: Path, column: str) -> None:
        labels = ["kind 0", "kind 1", None, "other"]
        table = pd.DataFrame({"prompt": [PROMPT] * 4, column: labels})
        table.to_parquet(tmp_path / "p.parquet")
        flags = [] if column == "task" else ["--task-column", column]
        flags += ["--file", tmp_path / "p.parquet", "--out", tmp_path / "d.parquet", "--lam", "0"]
        flags += [part for model in MODELS[1:] for part in ("--pool", model)]
        done = carrot("--bench", folder, *flags)
        assert done.exit_code == 0
        assert "labels of 1 prompts" in done.stdout
        assert "Router: carrot-linear, fitted with task labels" in done.stdout
        decided = pd.read_parquet(tmp_path / "d.parquet")
        assert decided["task"].fillna("").tolist() == ["kind 0", "kind 1", "", ""]
        expected = CarrotRouter.load(folder).route([PROMPT] * 4, task=labels, lam=0.0, pool=MODELS[1:])
        assert decided["model"].tolist() == expected
        assert expected[0] != expected[1]
        # A label of its own goes before the one of all.
        assert carrot("--bench", folder, "--task", "kind 1", *flags).exit_code == 0
        assert pd.read_parquet(tmp_path / "d.parquet")["task"].fillna("").tolist() == ["kind 0", "kind 1", "kind 1", ""]

    def test_a_column_that_is_not_there_is_named(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("prompt,topic\na,b\n")
        arguments = (
            "--bench",
            folder,
            "--file",
            tmp_path / "p.csv",
            "--out",
            tmp_path / "d.csv",
            "--task-column",
            "kind",
        )
        done = carrot(*arguments)
        assert done.exit_code != 0
        assert "kind" in done.stderr
        assert carrot("--bench", folder, "--task-column", "kind", PROMPT).exit_code == 2

    def test_a_router_that_reads_no_labels_says_so(self, router: CarrotRouter) -> None:
        done = carrot(PROMPT, "--bench", HEAD, "--task", "math", "--json")
        record = json.loads(done.stdout)
        assert record["task"] in (None, "math")
        assert (record["task"] is None) == (record["task_note"] is not None) == ("math" not in router.task_labels)
