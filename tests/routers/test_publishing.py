"""Routers to the hub and back, over the hub's own client and a stand-in of its routes; and their page."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from carrot_core.cli import main
from carrot_core.errors import CarrotError, DataError, NotFoundError
from carrot_core.outcomes import Benchmark
from carrot_core.routers import make_router
from carrot_core.routers.publishing import model_card, pull, push
from carrot_core.routers.saving import load_router, read_saved, save_router
from tests.encoders import tiny_encoder
from tests.made import MODELS, made, write_files
from tests.model_hub import COMMIT, ModelHub, model_hub

REPO = "someone/a-router"
# The hub's client sends a file the way its transport no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def bench() -> Benchmark:
    return made(120)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    with model_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # its store is not one of http
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield server


@pytest.fixture
def saved(bench: Benchmark, tmp_path: Path) -> Path:
    save_router(make_router("zero").fit(bench), tmp_path / "zero", {"benchmark": "made", "data_hash": "abc"})
    return tmp_path / "zero"


def test_a_router_comes_back_from_the_hub_as_it_went(
    hub: ModelHub, bench: Benchmark, saved: Path, tmp_path: Path
) -> None:
    assert push(saved, REPO, licence="mit") == f"{hub.url}/{REPO}"
    assert sorted(hub.files[REPO]) == ["README.md", "router.json", "router.safetensors"]
    assert hub.created[0]["organization"] == "someone"
    again = pull(REPO, tmp_path / "pulled")
    expected = load_router(saved).estimate(bench)
    np.testing.assert_array_equal(again.estimate(bench).score, expected.score)
    np.testing.assert_array_equal(again.estimate(bench).cost_usd, expected.cost_usd)


def test_an_encoder_goes_with_its_network_and_nothing_else(hub: ModelHub, bench: Benchmark, tmp_path: Path) -> None:
    encoder, folder = tiny_encoder(tmp_path / "tiny"), tmp_path / "router"
    fitted = make_router("carrot-encoder", encoder=encoder, epochs=0).fit(bench)
    save_router(fitted, folder)
    (folder / "network" / "notes.txt").write_text("private")
    push(folder, REPO)
    assert "network/notes.txt" not in hub.files[REPO]
    assert {"network/config.json", "network/model.safetensors", "network/tokenizer.json"} < set(hub.files[REPO])
    result = pull(REPO, tmp_path / "pulled").estimate(bench)
    np.testing.assert_allclose(result.score, fitted.estimate(bench).score, atol=1e-6)


def test_no_pickle_is_fetched(hub: ModelHub, saved: Path, tmp_path: Path) -> None:
    push(saved, REPO)
    hub.files[REPO] |= {"pytorch_model.bin": b"evil", "run.py": b"evil", "network/state.pkl": b"evil"}
    pull(REPO, tmp_path / "pulled")
    names = {path.name for path in (tmp_path / "pulled").rglob("*") if path.is_file()}
    assert not names & {"pytorch_model.bin", "run.py", "state.pkl"}


def test_a_damaged_file_is_refused(hub: ModelHub, saved: Path, tmp_path: Path) -> None:
    push(saved, REPO)
    hub.files[REPO]["router.safetensors"] = hub.files[REPO]["router.safetensors"][:-1] + b"x"
    with pytest.raises(DataError, match="not the numbers"):
        pull(REPO, tmp_path / "pulled")


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "a\\..\\b"])
def test_a_router_that_names_files_outside_is_not_pushed(hub: ModelHub, saved: Path, name: str) -> None:
    document = json.loads((saved / "router.json").read_text())
    (saved / "router.json").write_text(json.dumps(document | {"files": {name: "0" * 64}}))
    with pytest.raises(DataError, match="outside"):
        push(saved, REPO)
    with pytest.raises(DataError, match="outside"):
        load_router(saved)
    assert not hub.requests


def test_what_is_not_there_is_said(hub: ModelHub, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no model nobody/nothing"):
        pull("nobody/nothing", tmp_path / "pulled")
    push(saved, REPO)
    with pytest.raises(NotFoundError, match="no such revision"):
        pull(REPO, tmp_path / "pulled", revision="v9")
    hub.files["someone/else"] = {"README.md": b"no router"}
    with pytest.raises(NotFoundError, match="no saved router"):
        pull("someone/else", tmp_path / "else")
    with pytest.raises(NotFoundError, match="no saved router"):
        push(tmp_path / "empty", REPO)
    with pytest.raises(CarrotError, match="owner/name"):
        push(saved, "a/b/c")


def test_a_refusal_says_what_to_do(hub: ModelHub, saved: Path) -> None:
    hub.status = 403
    with pytest.raises(CarrotError, match=r"refuses someone/a-router \(403\).*hf auth login"):
        push(saved, REPO)


def test_a_licence_the_hub_does_not_know_is_said(hub: ModelHub, saved: Path) -> None:
    with pytest.raises(CarrotError, match=r"no such license.*one of its identifiers"):
        push(saved, REPO, licence="nonsense")


def test_an_unreachable_hub_is_no_old_copy(hub: ModelHub, saved: Path, tmp_path: Path, monkeypatch: Any) -> None:
    push(saved, REPO)
    pull(REPO, tmp_path / "pulled")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(CarrotError, match="cannot be reached"):
            pull(REPO, tmp_path / "pulled")


# The page


def document(saved: Path) -> dict[str, Any]:
    return read_saved(saved)[0]


def test_the_page_tells_models_data_figures_licence_and_limits(saved: Path) -> None:
    metrics = {
        "benchmark": "made",
        "evaluated_on": "test",
        "aiq": 0.6543,
        "n_prompts": 1457,
        "intervals": {"aiq": [0.6, 0.7]},
    }
    card = model_card(document(saved), REPO, "apache-2.0", metrics)
    assert card.startswith("---\n")
    header = card.split("---")[1]
    assert "license: apache-2.0" in header
    for words in (*MODELS, "abc", "0.6543 (95 % interval 0.6000 to 0.7000)", "1,457", "made, test", "## Limits", REPO):
        assert words in card


def test_the_page_says_what_was_not_stated(bench: Benchmark, tmp_path: Path) -> None:
    save_router(make_router("zero").fit(bench), tmp_path)
    card = model_card(document(tmp_path), REPO)
    assert "license" not in card.split("---")[1]
    assert "None was stated" in card
    assert "None were given" in card
    assert "Not stated by whoever saved it" in card


@pytest.mark.parametrize("name", ["carrot-knn", "zero"])
def test_the_page_never_holds_a_prompt(bench: Benchmark, tmp_path: Path, name: str) -> None:
    prompts = [text for text in bench.texts if text]
    save_router(
        make_router(name).fit(bench), tmp_path, {"benchmark": "made", "prompts": prompts, "example": prompts[0]}
    )
    card = model_card(document(tmp_path), REPO, metrics={"aiq": 0.5, "texts": prompts})
    assert not [text for text in prompts if text in card]
    assert ("vector, the scores and the usage of every training prompt" in card) == (name == "carrot-knn")


def test_names_in_the_page_do_nothing(saved: Path) -> None:
    odd = "a|b`<script>[x](http://x)\n# heading"
    card = model_card(document(saved) | {"models": [odd]}, REPO)
    assert "<script>" not in card
    assert "\n# heading" not in card
    assert "[x](http" not in card


# The command line


def test_save_push_and_pull_on_the_command_line(hub: ModelHub, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("CARROT_HOME", str(tmp_path))
    results, vectors = write_files(made(120), tmp_path)

    def carrot(*arguments: Any, code: int = 0) -> str:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.stdout

    carrot("data", "import", results, "--name", "made", "--embeddings", vectors)
    message = json.loads(carrot("router", "save", "made", tmp_path / "r", "--router", "zero", "--json"))
    assert (message["benchmark"], message["router"]) == ("made", "zero")
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"aiq": 0.4321}))
    pushed = carrot("router", "push", tmp_path / "r", REPO, "--licence", "mit", "--metrics", figures)
    assert pushed.strip().endswith(f"/{REPO}.")
    assert b"0.4321" in hub.files[REPO]["README.md"]
    pulled = json.loads(carrot("router", "pull", REPO, tmp_path / "p", "--revision", COMMIT, "--json"))
    assert pulled["models"] == list(MODELS)
    figures.write_text("no json")
    carrot("router", "push", tmp_path / "r", REPO, "--metrics", figures, code=4)
    carrot("router", "pull", "nobody/nothing", tmp_path / "q", code=3)
