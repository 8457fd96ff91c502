"""``carrot export`` and ``carrot point``: a point out, looked at, checked, compared, and used again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from carrot_core.cli import main
from carrot_core.serving.point import PointFile, write_point

HEAD = "mmlu-pro-cot"


@pytest.fixture
def exported(carrot_home: Path, tmp_path: Path) -> Path:
    assert carrot("export", HEAD, "--budget", 0.2, "--note", "for the team", "--out", tmp_path / "p.json")
    return tmp_path / "p.json"


def carrot(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_an_exported_point_is_shown_checked_and_used(exported: Path) -> None:
    document = json.loads(carrot("point", "show", exported, "--json"))
    assert document["validation"]["cost_usd"] <= 0.2 / 1000
    assert document["test"]["score_low"] < document["test"]["score"] < document["test"]["score_high"]
    output = carrot("point", "show", exported)
    assert "for the team" in output
    assert f"accuracy {100 * document['test']['score']:.2f}" in output
    assert "is whole" in carrot("point", "check", exported)
    prompt = "What is the derivative of x squared?"
    assert carrot("route", prompt, "--point", exported) == carrot("route", prompt, "--bench", HEAD, "--budget", 0.2)


def test_points_are_compared(exported: Path, tmp_path: Path) -> None:
    assert carrot("point", "diff", exported, exported) == "Both are the same point.\n"
    carrot("export", HEAD, "--lam", 1, "--pool", "google/gemini-1.5-pro-002", "--out", tmp_path / "q.json")
    output = carrot("point", "diff", exported, tmp_path / "q.json")
    assert "-> 1.0" in output
    assert "test: given -> none" in output
    assert "not measured" in carrot("point", "show", tmp_path / "q.json")


def test_nothing_in_a_point_steers_the_terminal(exported: Path, tmp_path: Path) -> None:
    odd = "\x1b]0;owned\x07\u202e"
    result = PointFile.model_validate_json(exported.read_bytes())
    changed = {"note": f"two\nlines{odd}", "pool": (*result.pool, f"acme/{odd}"), "fallback": odd, "created_at": odd}
    write_point(result.model_copy(update=changed).sealed(), tmp_path / "odd.json")
    for output in (
        carrot("point", "show", tmp_path / "odd.json"),
        carrot("point", "diff", exported, tmp_path / "odd.json"),
    ):
        assert not set("\x1b\x07\u202e") & set(output)
        assert "two\nlines⟨U+001B⟩]0;owned⟨U+0007⟩⟨U+202E⟩" in output
        assert "acme/⟨U+001B⟩]0;owned" in output


def test_what_is_no_point_is_refused(exported: Path, tmp_path: Path) -> None:
    exported.write_text(exported.read_text().replace('"note": "for the team"', '"note": "for others"'))
    for command in ("show", "check"):
        assert "was changed after it was exported" in carrot("point", command, exported, code=4)
    assert "must end in one of .json" in carrot("export", HEAD, "--out", tmp_path / "p.txt", code=2)
    assert "no such" in carrot("export", "no such", "--out", tmp_path / "p.json", code=3)
