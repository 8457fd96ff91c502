"""One operating point, some prompts, every way to ask: the decisions are the same to the last one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from click.testing import CliRunner
from fastapi.testclient import TestClient
from streamlit.testing.v1 import AppTest

from carrot_core import CarrotRouter
from carrot_core.api import Served, Settings, create_app
from carrot_core.cli import main
from carrot_core.serving.decision import Decisions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HEAD = "mmlu-pro-cot"
COUNT = 60
ABOVE = 97.0
_SUBJECTS = (
    "a carrot", "the second law", "contract law", "photosynthesis", "a prime number", "an enzyme", "inflation",
    "the French Revolution", "a linked list", "supply and demand", "a torque of 3 Nm", "Kant", "the liver", "RSA",
)  # fmt: skip
_FRAMES = (
    "What is {} and why does it matter for {}?",
    "Which statement about {} is false, given {}? (A) none (B) all (C) some (D) two",
    "Prove or refute: {} implies {}.",
    "def f(x):\n# {} before {}".replace("\n", " "),
    "🥕 {} — {} ×{}?",
    "写一段关于 {} 和 {} 的文字",
    "{} {} <b>&amp;</b> ![x](y) $z$",
)


def prompts() -> list[str]:
    """Prompts of many topics, lengths and scripts, each on a line."""
    rng = np.random.default_rng(0)
    result: dict[str, None] = {}
    while len(result) < COUNT:
        frame, filler = str(rng.choice(_FRAMES)), " ".join(rng.choice(_SUBJECTS, int(rng.integers(0, 7))))
        words = [*rng.choice(_SUBJECTS, 2).tolist(), str(rng.integers(1000))]
        result[f"{frame.format(*words)} {filler}".strip()] = None
    return list(result)


@pytest.fixture(scope="module")
def router() -> CarrotRouter:
    return CarrotRouter.load(HEAD)


@pytest.fixture(scope="module")
def pool(router: CarrotRouter) -> tuple[str, ...]:
    return router.models[2:9]


@pytest.fixture(scope="module")
def point(router: CarrotRouter, pool: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A point with a pool and a fallback of its own."""
    path = tmp_path_factory.mktemp("point") / "point.json"
    router.save_point(path, lam=0.1, pool=pool, fallback=pool[0], fallback_above=ABOVE)
    return path


@pytest.fixture(scope="module")
def decided(point: Path) -> Decisions:
    """What Python decides, all prompts at once."""
    result = CarrotRouter.load(point).decide(prompts())
    # Several models, and the fallback for some but not for all: else all ways could agree by chance.
    assert len(set(result.models)) > 2
    assert 0 < result.fell_back.sum() < COUNT / 2
    return result


@pytest.fixture
def page(carrot_home: Path, monkeypatch: pytest.MonkeyPatch, pool: tuple[str, ...]) -> Iterator[AppTest]:
    """The Live prompt page at the point."""
    monkeypatch.setattr("tempfile.tempdir", str(carrot_home))
    st.cache_resource.clear()
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
    app.query_params.update(
        {"bench": f"{HEAD} (snapshot)", "lam": "0.1", "pool": list(pool), "fallback": pool[0], "unlike": str(ABOVE)}
    )
    yield app.switch_page("pages/live.py").run()
    st.cache_resource.clear()


def test_the_page_decides_as_the_point(page: AppTest, decided: Decisions) -> None:
    assert not page.exception
    page.session_state["prompts"] = "Many prompts"
    page.run()
    page.text_area(key="batch:lines").set_value("\n".join(prompts())).run()
    page.button(key="batch:run").click().run()
    assert not page.exception
    result = pd.read_parquet(page.session_state["batch:done"].decisions)
    assert result["model"].tolist() == decided.models
    assert result["fell_back"].tolist() == decided.fell_back.tolist()


def test_the_page_explains_the_decision_of_the_point(
    router: CarrotRouter, pool: tuple[str, ...], decided: Decisions
) -> None:
    """The call of `carrot_core.dashboard.live.answer`, one prompt at a time, as it is typed; every fifth."""
    options = {"lam": 0.1, "pool": pool, "fallback": pool[0], "fallback_above": ABOVE}
    explained = [router.explain(prompt, **options) for prompt in prompts()[::5]]
    assert [each.decision.models[0] for each in explained] == decided.models[::5]
    assert [each.unlike for each in explained] == decided.fell_back.tolist()[::5]


def test_the_command_line_decides_as_the_point(carrot_home: Path, point: Path, decided: Decisions) -> None:
    options = ["route", "--point", str(point), "--json"]
    done = CliRunner().invoke(main, options, input="\n".join(prompts()))
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["model"] for record in records] == decided.models
    assert [record["fell_back"] for record in records] == decided.fell_back.tolist()
    pd.DataFrame({"prompt": prompts()}).to_parquet(carrot_home / "in.parquet")
    files = ["--file", str(carrot_home / "in.parquet"), "--out", str(carrot_home / "out.parquet")]
    done = CliRunner().invoke(main, [*options, *files])
    assert done.exit_code == 0, done.output
    assert pd.read_parquet(carrot_home / "out.parquet")["model"].tolist() == decided.models


def test_the_api_decides_as_the_point(point: Path, decided: Decisions) -> None:
    client = TestClient(create_app(Settings(Served({"point": point}))), base_url="http://localhost")
    result: list[str] = []
    for first in range(0, COUNT, 100):
        answer = client.post("/api/v1/route", json={"prompts": prompts()[first : first + 100]})
        assert answer.status_code == 200, answer.text
        result += [each["model"] for each in answer.json()["decisions"]]
    assert result == decided.models
