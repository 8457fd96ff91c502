"""The routes of the HTTP API: what they answer is what the router says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from fastapi.testclient import TestClient

from carrot_core import __version__, limits
from carrot_core.api import Served, Settings, answers, create_app
from carrot_core.api.answers import sources_of
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.prices import Price
from carrot_core.serving import CarrotRouter
from tests.api.conftest import Client, made_router
from tests.made import MODELS, made
from tests.typed_prompts import served

OWN = {MODELS[0]: Price(2.0, 9.0)}
PROMPTS = ["What is the capital of France?", "", "Ünïcode 🥕 <b>&</b> \u202e", "x" * 100_000]


@pytest.mark.parametrize(
    "point", [{}, {"lam": 0.3}, {"lam": 1}, {"budget": 0.5}, {"target": 0.6}, {"mu": 0.2}], ids=str
)
def test_a_routed_prompt_has_the_routers_own_record(client: TestClient, point: dict[str, float]) -> None:
    answer = client.post("/api/v1/route", json={"prompts": PROMPTS, **point})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    expected = made_router().decide(PROMPTS, **point).records()
    assert [{**record, "explanation": None} for record in expected] == document["decisions"]
    assert document["router"] == "made"
    assert document["request_id"] == answer.headers["X-Request-ID"]


def test_pool_prices_and_fallback_reach_the_router(client: TestClient) -> None:
    pool, price = ["acme/large", "zeta/mid"], {"input_usd_per_mtok": 9, "output_usd_per_mtok": 90.5}
    body = {"prompts": PROMPTS, "lam": 0.4, "pool": pool, "prices": {"zeta/mid": price}}
    body |= {"fallback": "acme/large", "fallback_above": 0}
    document = client.post("/api/v1/route", json=body).json()["decisions"]
    expected = made_router().decide(
        PROMPTS, lam=0.4, pool=pool, prices={"zeta/mid": Price(9.0, 90.5)}, fallback="acme/large", fallback_above=0.0
    )
    assert [{**record, "explanation": None} for record in expected.records()] == document
    assert {decision["model"] for decision in document} == {"acme/large"}
    assert all(decision["fell_back"] for decision in document)


def test_the_fallback_of_a_point_is_left_in_place_or_switched_off(client_of: Client) -> None:
    router = made_router()
    point = router.at(router.point_file(lam=0.4, fallback=MODELS[0], fallback_above=0.0))
    client = client_of(load=lambda source: point)
    for body, fell_back in (({}, True), ({"fallback": None}, False), ({"fallback": MODELS[1]}, True)):
        answer = client.post("/api/v1/route", json={"prompts": ["a"], **body})
        assert [decision["fell_back"] for decision in answer.json()["decisions"]] == [fell_back]
    assert client.post("/api/v1/route", json={"prompts": ["a"], "pool": []}).status_code == 422


@pytest.fixture
def labelled(client_of: Client) -> tuple[TestClient, CarrotRouter]:
    """A client of a router that reads task labels, and the router."""
    router = served(made(), use_task=True)
    return client_of(load=lambda source: router), router


@pytest.mark.parametrize("more", [{}, {"explain": True}])
def test_task_labels_are_used_where_known_and_told_of_where_not(
    labelled: tuple[TestClient, CarrotRouter], more: dict[str, Any]
) -> None:
    client, router = labelled
    hostile = "<script>\u202e"
    labels = ["kind 0", "kind 1", None, "", "KIND 1", hostile]
    question = {"prompts": ["the same"] * len(labels), "lam": 0.0, "pool": list(MODELS[1:])}
    answer = client.post("/api/v1/route", json={**question, "task": labels, **more})
    decisions = answer.json()["decisions"]
    assert [each["task"] for each in decisions] == ["kind 0", "kind 1", None, None, None, None]
    assert [each["task_note"] is None for each in decisions] == [True] * 4 + [False] * 2
    assert "not among the 2" in decisions[4]["task_note"]
    assert hostile not in answer.text
    assert [each["model"] for each in decisions] == router.route(
        question["prompts"], task=labels, lam=0.0, pool=MODELS[1:]
    )
    assert decisions[0]["model"] != decisions[1]["model"]
    assert decisions[2]["models"] == decisions[4]["models"] == decisions[5]["models"]
    one = client.post("/api/v1/route", json={**question, "task": "kind 1", **more}).json()["decisions"]
    assert {each["task"] for each in one} == {"kind 1"}


def test_estimates_and_models_tell_of_task_labels(labelled: tuple[TestClient, CarrotRouter]) -> None:
    client, router = labelled
    assert client.get("/api/v1/models").json()["tasks"] == list(router.task_labels) == ["kind 0", "kind 1"]
    answer = client.post("/api/v1/estimate", json={"prompts": ["a", "a"], "task": ["kind 1", "x"]}).json()
    table = router.estimate(["a", "a"], task=["kind 1", "x"])
    assert answer["tasks"] == ["kind 1", None]
    assert [note is None for note in answer["task_notes"]] == [True, False]
    for number, rows in enumerate(answer["estimates"]):
        part = table[table["prompt"] == number]
        assert {model: row["est_score"] for model, row in rows.items()} == dict(
            zip(part["model"], part["est_score"], strict=True)
        )


@pytest.mark.parametrize("task", [["kind 0"], [], ["a", "b", "c"], 3, [1, 2], {"a": "b"}, "x" * 301])
def test_task_labels_of_another_shape_are_refused(labelled: tuple[TestClient, CarrotRouter], task: object) -> None:
    assert labelled[0].post("/api/v1/route", json={"prompts": ["a", "b"], "task": task}).status_code == 422


def test_estimates_are_the_routers_table(client: TestClient) -> None:
    document = client.post("/api/v1/estimate", json={"prompts": PROMPTS, "router": "twin"}).json()
    table = made_router().estimate(PROMPTS)
    assert document["router"] == "twin"
    assert len(document["estimates"]) == len(PROMPTS)
    for row in table.to_dict("records"):
        actual = document["estimates"][row.pop("prompt")][row.pop("model")]
        assert actual == {name: None if np.isnan(value) else value for name, value in row.items()}


def test_an_explanation_says_what_the_router_explains(client: TestClient) -> None:
    document = client.post("/api/v1/route", json={"prompts": PROMPTS[:2], "lam": 0.3, "explain": True}).json()
    for prompt, decision in zip(PROMPTS, document["decisions"], strict=False):
        expected, actual = made_router().explain(prompt, lam=0.3), decision["explanation"]
        assert decision["model"] == expected.winner
        assert actual["sentence"] == expected.sentence
        assert actual["runner_up"] == expected.runner_up
        assert actual["ribbon"][0]["lam_from"] == 0
        assert actual["ribbon"][-1]["lam_to"] == 1
        assert list(actual["models"]) == list(expected.table["model"])
        assert actual["prompt_tokens"] == expected.prompt_tokens
        assert "nearest" not in actual, "training prompts may not be passed on"


def test_a_pool_of_one_has_no_runner_up(client: TestClient) -> None:
    body = {"prompts": ["a"], "pool": ["zeta/mid"], "explain": True, "lam": 0.5}
    actual = client.post("/api/v1/route", json=body).json()["decisions"][0]["explanation"]
    assert [actual[name] for name in ("runner_up", "margin", "score_difference", "cost_difference_usd")] == [None] * 4


def test_models_tell_pool_prices_point_and_coverage(client: TestClient) -> None:
    document, router = client.get("/api/v1/models").json(), made_router()
    assert document["served"] == ["made", "twin"]
    assert list(document["models"]) == list(router.models)
    assert document["models"]["acme/large"] == {
        "input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0, "as_of": "", "source": "",
    }  # fmt: skip
    assert document["default_lam"] == router.default_lam
    assert document["cost_unit_usd"] == router.cost_unit_usd
    assert document["coverage"] == dict(router.profile.coverage)
    assert document["method"] == "carrot-knn"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_frontier_is_the_kept_curve(client: TestClient, split: str) -> None:
    document, curve = (
        client.get("/api/v1/frontier", params={"split": split}).json(),
        made_router().profile.curves[split],
    )
    assert [point["score"] for point in document["points"]] == curve.score.tolist()
    assert [point["cost_usd"] for point in document["points"]] == curve.cost_usd.tolist()
    lams = [point["lam"] for point in document["points"]]
    assert lams == sorted(lams)
    assert lams[0] == 0


def test_a_point_on_its_own_pool_and_prices_tells_these_and_no_curve(client_of: Client) -> None:
    router = made_router()
    whole, own = (router.at(router.point_file(lam=0.2, **more)) for more in ({}, {"pool": MODELS[:2], "prices": OWN}))
    client = client_of(load=lambda source: own)
    document = client.get("/api/v1/models").json()
    assert list(document["models"]) == list(MODELS[:2])
    assert document["models"][MODELS[0]]["output_usd_per_mtok"] == 9.0
    assert document["default_lam"] == 0.2
    answer = client.get("/api/v1/frontier")
    assert answer.status_code == 422
    assert "no curve was measured" in answer.json()["error"]["message"]
    client = client_of(load=lambda source: whole)
    assert list(client.get("/api/v1/models").json()["models"]) == list(router.models)
    assert client.get("/api/v1/frontier").status_code == 200


def test_health_goes_from_cold_to_ready() -> None:
    served = Served({"made": "made"}, lambda source: made_router())
    client = TestClient(create_app(Settings(served)), base_url="http://localhost")
    assert client.get("/api/v1/health").json()["status"] == "cold"
    served.warm()
    document = client.get("/api/v1/health").json()
    assert (document["status"], document["version"], document["served"]) == ("ready", __version__, ["made"])


def test_health_fails_where_the_router_cannot_be_loaded(caplog: pytest.LogCaptureFixture) -> None:
    def load(source: object) -> None:
        raise CarrotError("damaged")

    served = Served({"made": "made"}, load)  # type: ignore[arg-type]
    served.warm()
    answer = TestClient(create_app(Settings(served)), base_url="http://localhost").get("/api/v1/health")
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "unavailable")
    assert "damaged" in caplog.text


def test_health_names_the_parts_that_are_broken_and_recovers_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"one", "two"}

    def load(source: object) -> object:
        if str(source) in broken:
            raise CarrotError("damaged")
        return made_router()

    def health() -> tuple[int, object]:
        monkeypatch.setattr(answers, "RETRY_S", 0.0)
        answer = client.get("/api/v1/health")
        for thread in threading.enumerate():
            if thread.name == "carrot-mend":
                thread.join()
        return answer.status_code, answer.json().get("status")

    served = Served({"one": Path("one"), "two": Path("two")}, load)  # type: ignore[arg-type]
    client = TestClient(create_app(Settings(served)), base_url="http://localhost")
    served.warm()
    assert health() == (503, None)
    assert client.get("/api/v1/models", params={"router": "two"}).status_code == 503
    broken.remove("two")
    health()
    assert health() == (200, "degraded: one")
    assert client.get("/api/v1/models", params={"router": "two"}).status_code == 200
    assert client.get("/api/v1/models").status_code == 503
    broken.remove("one")
    health()
    assert health() == (200, "ready")
    assert client.get("/api/v1/models").status_code == 200


def test_a_router_is_loaded_once_and_only_by_a_name_that_is_served() -> None:
    calls: list[object] = []

    def load(source: object) -> object:
        calls.append(source)
        return made_router()

    served = Served({"a": "source of a", "b": "source of b"}, load)  # type: ignore[arg-type]
    assert served.resolve(None) == "a"
    for name in ("../../etc", "source of b", "owner/name", ""):
        with pytest.raises(NotFoundError):
            served.resolve(name)
    assert served.get("b") is served.get("b")
    assert calls == ["source of b"]


def test_sources_have_names_and_tell_no_path(tmp_path: Path) -> None:
    (tmp_path / "v1.2").mkdir()
    (tmp_path / "cheap.json").touch()
    assert list(sources_of((f"{tmp_path}/v1.2", f"{tmp_path}/cheap.json"))) == ["v1.2", "cheap"]
    assert sources_of(("mmlu-pro-cot", f"{tmp_path}", "mine=owner/name")) == {
        "mmlu-pro-cot": "mmlu-pro-cot",
        str(tmp_path).rpartition("/")[2]: str(tmp_path),
        "mine": "owner/name",
    }
    with pytest.raises(CarrotError, match="Two sources"):
        sources_of(("a=x", "a=y"))
    with pytest.raises(CarrotError, match="NAME=SOURCE"):
        sources_of(("=x",))


def test_the_document_describes_every_route_and_asks_no_other_host(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    schemathesis.openapi.from_dict(document).validate()
    paths = {f"/api/v1/{name}" for name in ("route", "estimate", "models", "frontier", "health", "metrics")}
    assert set(document["paths"]) == paths
    assert "securitySchemes" not in document["components"]
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["description"]
            for status, answer in operation["responses"].items():
                if status != "200":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
    for address in ("/docs", "/redoc", "/api/v1/docs"):
        assert client.get(address).status_code == 404


def test_explaining_is_bounded(client: TestClient) -> None:
    body = {"prompts": ["a"] * (limits.REQUEST_EXPLAINED + 1), "explain": True}
    assert client.post("/api/v1/route", json=body).status_code == 422


def test_a_chat_is_answered_as_its_last_question(client: TestClient) -> None:
    parts = [
        {"type": "text", "text": "What is the capital of France?"},
        {"type": "image_url", "image_url": {"url": "x"}},
    ]
    chat = {"messages": [{"role": "system", "content": "Be kind. " * 900}, {"role": "user", "content": parts}]}
    for route, key in (("route", "decisions"), ("estimate", "estimates")):
        answer = client.post(f"/api/v1/{route}", json={"prompts": [chat, PROMPTS[0]]})
        assert answer.status_code == 200, answer.text
        first, second = answer.json()[key]
        assert first == second


@pytest.mark.parametrize(
    "prompt",
    [
        {"messages": []},
        {"messages": [{"role": "system", "content": "secret"}]},
        {"messages": [{"role": "user", "content": "secret" * 100_000}]},
        {"messages": [{"role": "user", "content": "secret"}], "more": 1},
        {"role": "user", "content": "secret"},
        '[{"role": "assistant", "content": "secret"}]',
    ],
)
def test_a_chat_without_a_question_is_refused_without_a_word_of_it(client: TestClient, prompt: object) -> None:
    answer = client.post("/api/v1/route", json={"prompts": ["Why?", prompt]})
    assert answer.status_code == 422
    assert "secret" not in answer.text
    assert "1" in answer.json()["error"]["message"]
