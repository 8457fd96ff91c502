"""CARROT as LiteLLM's routing strategy, with LiteLLM itself, in front of a server on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from carrot_core.benchmarks.built_in import BUILT_IN, folder_of
from carrot_core.benchmarks.model_facts_arms import read_model_facts
from carrot_core.errors import CarrotError
from carrot_core.gateways.litellm import CarrotStrategy
from carrot_core.outcomes import Estimates
from carrot_core.paths import shipped
from carrot_core.points.formats import FORMATS, _litellm_models
from carrot_core.serving import CarrotRouter
from carrot_core.serving.decision import Decisions
from carrot_core.serving.expectation import labels_of
from tests.openai_upstream import Upstream, upstream

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or importing LiteLLM asks GitHub for prices
# It waits seconds between retries.
os.environ |= {"INITIAL_RETRY_DELAY": "0.01", "MAX_RETRY_DELAY": "0.01", "JITTER": "0"}
litellm = pytest.importorskip("litellm", reason="an optional extra; `make litellm-tests` runs these")
CustomLogger = pytest.importorskip("litellm.integrations.custom_logger").CustomLogger

pytestmark = [
    # LiteLLM's own: a qualifier in its types, and names that its 1.109 renamed and still has.
    pytest.mark.filterwarnings("ignore:Items? .* on TypedDict class .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.filterwarnings("ignore:Router\\..* is deprecated:DeprecationWarning"),
]

SMALL, MIDDLE, LARGE = "small-8b", "middle-27b", "large-70b"
LISTED_ON = "2026-12-01"  # when the names of models were listed: those that LiteLLM calls retired then are left out
SECRET = "the launch code is 8265"
FAILURES = {"timeout": (200, 2), "429": (429, 0), "500": (500, 0), "401": (401, 0), "400": (400, 0)}
BACKUP = [{"carrot": ["backup"]}]


ON_ONE_LOOP = asyncio.Runner()  # connections belong to the loop they were opened on


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    yield
    ON_ONE_LOOP.close()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Callbacks and connections, which LiteLLM keeps for the whole process, of this test's own."""
    for when in ("success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback"):
        monkeypatch.setattr(litellm, when, [])
    monkeypatch.setattr(litellm, "callbacks", [])
    yield
    ON_ONE_LOOP.run(litellm.close_litellm_async_clients())
    litellm.in_memory_llm_clients_cache.flush_cache()


class StandIn:
    """Decides like a `CarrotRouter`, from a table of scores; costs are 0, so the best score wins."""

    name, models = "stand-in", (SMALL, MIDDLE, LARGE)

    def __init__(self, scores: Sequence[float] = (0.2, 0.6, 0.9), error: Exception | None = None) -> None:
        self.scores, self.error = np.array(scores), error
        self.seconds = 0.0
        self.prompts: list[str] = []
        self.tasks: list[str | None] = []
        self.options: list[dict[str, Any]] = []

    def decide(
        self, prompts: Sequence[str], task: str | None, pool: Sequence[str] | None = None, **options: Any
    ) -> Decisions:
        time.sleep(self.seconds)
        self.prompts += prompts
        self.tasks.append(task)
        self.options.append({"pool": pool, **options})
        if self.error is not None and len(self.prompts) > 1:  # the first is the strategy's own, when it is made
            raise self.error
        models = tuple(self.models if pool is None else pool)
        score = self.scores[[self.models.index(model) for model in models]][None]
        estimates, unknown = Estimates(("0",), models, score, np.zeros_like(score)), np.full_like(score, np.nan)
        labels, fell_back = labels_of(task, 1, ("math",)), np.array([False])
        return Decisions(0.3, 42.0, 0.01, estimates, unknown, unknown, score.argmax(axis=1), fell_back, labels)


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream() as provider:
        yield provider


def deployment(server: Upstream, model: str, group: str = "carrot", **extra: Any) -> dict[str, Any]:
    timeout_s = 0.1 if server.delay_s.get(model) else 20  # a busy machine is no failure
    params = {"model": f"openai/{model}", "api_base": server.url, "api_key": "none", "timeout": timeout_s}
    return {"model_name": group, "litellm_params": params, **extra}


def plain(server: Upstream, *models: str, **settings: Any) -> Any:
    """LiteLLM without CARROT; a group "backup" stands by where ``fallbacks`` name it."""
    pool = [deployment(server, model) for model in models or StandIn.models]
    settings = {"num_retries": 0, "retry_after": 0, **settings}
    return litellm.Router(model_list=[*pool, deployment(server, "backup", "backup")], **settings)


def routed(server: Upstream, carrot: Any, *models: str, strategy: dict[str, Any] | None = None, **settings: Any) -> Any:
    router = plain(server, *models, **settings)
    router.set_custom_routing_strategy(CarrotStrategy(router, carrot, **(strategy or {})))
    return router


def message(content: object, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


def ask_sync(router: Any, text: str = SECRET, group: str = "carrot", **more: Any) -> Any:
    return router.completion(model=group, messages=[message(text)], **more)


def ask_async(router: Any, text: str = SECRET, group: str = "carrot", **more: Any) -> Any:
    return ON_ONE_LOOP.run(router.acompletion(model=group, messages=[message(text)], **more))


both = pytest.mark.parametrize("ask", [ask_sync, ask_async])
Ask = Callable[..., Any]


def outcome(ask: Ask, router: Any) -> str:
    """Which model answered, or which exception came."""
    try:
        return str(ask(router).model)
    except Exception as error:
        return type(error).__name__


@both
def test_a_call_reaches_the_model_that_carrot_chose_and_nothing_more_is_sent(ask: Ask, server: Upstream) -> None:
    carrot, metadata = StandIn(), {}
    bare, chosen = plain(server, LARGE), routed(server, carrot, strategy={"lam": 0.3})
    ask(bare)
    assert ask(chosen, metadata=metadata).model == LARGE
    assert server.models == [LARGE, LARGE]
    assert server.bodies[0] == server.bodies[1]
    assert carrot.prompts[1:] == [SECRET]
    assert carrot.options[-1] == {"pool": None, "lam": 0.3}
    noted = metadata["carrot"]
    assert (noted["cause"], noted["sent_to"], noted["decision"]["lam"]) == ("utility", LARGE, 0.3)
    assert noted["decision"]["models"][SMALL]["est_score"] == 0.2
    assert SECRET not in str(noted)


def test_callbacks_find_the_decision(server: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[dict[str, Any]] = []
    monkeypatch.setattr(litellm, "success_callback", [lambda kwargs, *_: records.append(kwargs["litellm_params"])])
    ask_sync(routed(server, StandIn()))
    deadline = time.monotonic() + 5
    while not records and time.monotonic() < deadline:
        time.sleep(0.01)
    assert records[0]["metadata"]["carrot"]["sent_to"] == LARGE


@both
def test_other_groups_are_left_alone(ask: Ask, server: Upstream) -> None:
    carrot = StandIn()
    router = routed(server, carrot, SMALL)
    assert ask(router, group="backup").model == "backup"
    assert len(carrot.prompts) == 1


SETTINGS = [(0, (LARGE,), []), (2, StandIn.models, []), (2, (LARGE,), BACKUP), (0, StandIn.models, BACKUP)]


# Every pair: of the settings, and of each way to ask with each failure and with each row of settings.
@pytest.mark.parametrize(
    ("ask", "failure", "num_retries", "models", "fallbacks"),
    [
        ((ask_sync, ask_async)[(row + column) % 2], failure, *settings)
        for row, settings in enumerate(SETTINGS)
        for column, failure in enumerate(FAILURES)
    ],
)
def test_an_upstream_that_fails_fails_as_without_carrot(
    ask: Ask, failure: str, num_retries: int, models: tuple[str, ...], fallbacks: list[Any], server: Upstream
) -> None:
    status, delay_s = FAILURES[failure]
    server.status, server.delay_s = dict.fromkeys(models, status), dict.fromkeys(models, delay_s)
    settings = {"num_retries": num_retries, "fallbacks": fallbacks}
    expected = outcome(ask, plain(server, *models, **settings))
    requests = len(server.bodies)
    assert outcome(ask, routed(server, StandIn(), *models, **settings)) == expected
    assert len(server.bodies) == 2 * requests
    assert expected == "backup" if fallbacks else expected not in models


@both
@pytest.mark.parametrize("failure", ["timeout", "429", "500"])
def test_a_retry_goes_to_the_next_best_model(ask: Ask, failure: str, server: Upstream) -> None:
    server.status[LARGE], server.delay_s[LARGE] = FAILURES[failure]
    metadata: dict[str, Any] = {}
    assert ask(routed(server, StandIn(), num_retries=1), metadata=metadata).model == MIDDLE
    assert server.models == [LARGE, MIDDLE]
    assert metadata["carrot"]["sent_to"] == MIDDLE
    assert metadata["carrot"]["decision"]["model"] == LARGE


@both
def test_a_retry_goes_to_another_deployment_of_the_same_model_first(ask: Ask, server: Upstream) -> None:
    server.status["east"] = server.status["west"] = 500
    twins = [deployment(server, name, model_info={"carrot_model": LARGE}) for name in ("east", "west")]
    router = litellm.Router(model_list=[*twins, deployment(server, SMALL)], num_retries=2, retry_after=0)
    router.set_custom_routing_strategy(CarrotStrategy(router, StandIn()))
    assert ask(router).model == SMALL
    assert sorted(server.models[:2]) == ["east", "west"]


@both
def test_a_model_in_cooldown_is_passed_over(ask: Ask, server: Upstream) -> None:
    router = routed(server, StandIn(), cooldown_time=60)
    server.status[LARGE] = 429
    assert outcome(ask, router) == "RateLimitError"
    assert [ask(router).model for _ in range(3)] == [MIDDLE] * 3
    server.status[MIDDLE] = 429
    assert outcome(ask, router) == "RateLimitError"
    assert ask(router).model == SMALL
    server.status[SMALL] = 429
    assert outcome(ask, router) == "RateLimitError"
    requests = len(server.bodies)
    assert outcome(ask, router) == "RouterRateLimitError"  # all of them: LiteLLM's own refusal, nobody is asked
    assert len(server.bodies) == requests


def test_a_model_passed_over_leaves_no_trace_in_the_call() -> None:
    records: list[dict[str, Any]] = []

    class Router:
        """LiteLLM's selection, which uses up what a retry left for it and logs what it raises."""

        async_get_available_deployment = None

        def get_model_list(self, model_name: str) -> list[dict[str, Any]]:
            return [{"litellm_params": {"model": model}, "model_info": {"id": model}} for model in StandIn.models]

        def get_available_deployment(self, model: str, messages: Any, input: Any, specific: Any, kwargs: Any) -> Any:
            records.append(dict(kwargs))
            kwargs.pop("_target_order")
            if LARGE not in kwargs.pop("_excluded_deployment_ids"):
                raise ValueError("in cooldown")
            return self.get_model_list("")[1]

    kwargs = {"_target_order": 2, "_excluded_deployment_ids": ["a"], "litellm_logging_obj": "log", "metadata": {}}
    strategy = CarrotStrategy(Router(), StandIn())
    assert (
        strategy.get_available_deployment("carrot", [message("Why?")], request_kwargs=kwargs)["model_info"]["id"]
        == MIDDLE
    )
    assert records == [
        {"_target_order": 2, "_excluded_deployment_ids": ["a", SMALL, MIDDLE], "metadata": kwargs["metadata"]},
        {"_target_order": 2, "_excluded_deployment_ids": ["a", SMALL, LARGE], "metadata": kwargs["metadata"]},
    ]
    assert kwargs.keys() == {"litellm_logging_obj", "metadata"}


@both
def test_carrot_failing_is_no_failure_of_the_call(ask: Ask, server: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    metadata: dict[str, Any] = {}
    router = routed(server, StandIn(error=RuntimeError(f"cannot read {SECRET}")), strategy={"on_error": MIDDLE})
    with caplog.at_level(logging.DEBUG, logger="carrot_core"):
        assert ask(router, metadata=metadata).model == MIDDLE
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text
    assert (metadata["carrot"]["cause"], metadata["carrot"]["sent_to"]) == ("error: RuntimeError", MIDDLE)
    without = routed(server, StandIn(error=RuntimeError()))
    assert {ask(without).model for _ in range(30)} == set(StandIn.models)


@both
def test_nothing_to_read_leaves_the_choice_to_litellm(ask: Ask, server: Upstream) -> None:
    carrot, metadata = StandIn(), {}
    router = routed(server, carrot, strategy={"on_error": SMALL})
    assert ask(router, "  ", metadata=metadata).model == SMALL
    assert metadata["carrot"]["cause"] == "no text"
    assert len(carrot.prompts) == 1


@both
def test_metadata_of_the_caller_breaks_nothing(ask: Ask, server: Upstream) -> None:
    server.status[LARGE] = 500
    for theirs in ("text", {"deployment_ids": 3}, {"deployment_ids": [{}]}):
        metadata = {"carrot": theirs, "attempted_retries": 5}
        assert ask(routed(server, StandIn(), num_retries=1), metadata=metadata).model == MIDDLE


@pytest.mark.parametrize(
    ("ask", "label", "task", "used"),
    [
        (ask_sync, "math", "math", "math"), (ask_async, "math", "math", "math"), (ask_sync, SECRET, SECRET, None),
        (ask_async, 3, None, None), (ask_sync, ["math"], None, None), (ask_async, None, None, None),
    ],
)  # fmt: skip
def test_a_calls_task_label_reaches_carrot_and_an_odd_one_breaks_nothing(
    ask: Ask, server: Upstream, label: object, task: str | None, used: str | None
) -> None:
    carrot, metadata = StandIn(), {"carrot_task": label}
    assert ask(routed(server, carrot), metadata=metadata).model == LARGE
    assert carrot.tasks[1:] == [task]
    decision = metadata["carrot"]["decision"]  # type: ignore[index]
    assert (decision["task"], SECRET in str(decision)) == (used, False)
    assert (decision["task_note"] is not None) == (task is not None and used is None)


def test_twenty_calls_at_once_do_not_hold_up_the_event_loop(server: Upstream) -> None:
    carrot = StandIn()
    router = routed(server, carrot)
    carrot.seconds = 0.2

    async def calls() -> tuple[list[str], float]:
        tasks = [
            asyncio.create_task(
                router.acompletion(model="carrot", messages=[{"role": "user", "content": f"Number {n}"}])
            )
            for n in range(20)
        ]
        longest = 0.0
        while not all(task.done() for task in tasks):
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)
        return [(await task).model for task in tasks], longest

    models, longest = ON_ONE_LOOP.run(calls())
    assert models == [LARGE] * 20
    assert sorted(carrot.prompts[1:]) == sorted(f"Number {n}" for n in range(20))
    assert longest < 20 * 0.2 / 2  # one after the other on the loop would take 4 s


def test_deployments_are_named_by_their_model_with_or_without_provider_or_by_hand(server: Upstream) -> None:
    carrot = StandIn()
    named = deployment(server, "azure-east-1", model_info={"carrot_model": LARGE})
    router = litellm.Router(model_list=[deployment(server, SMALL), named])
    router.set_custom_routing_strategy(CarrotStrategy(router, carrot))
    assert ask_sync(router).model == "azure-east-1"
    assert carrot.options[-1]["pool"] == [SMALL, LARGE]


@both
def test_a_new_strategy_takes_the_place_of_the_old_one(ask: Ask, server: Upstream) -> None:
    old, new = StandIn(), StandIn((0.9, 0.6, 0.2))
    router = routed(server, old)
    router.set_custom_routing_strategy(CarrotStrategy(router, new))
    assert ask(router).model == SMALL
    assert (len(old.prompts), len(new.prompts)) == (1, 2)


def test_a_shipped_head_decides_for_real(carrot_home: Path, server: Upstream) -> None:
    carrot = CarrotRouter.load("mmlu-pro-cot")
    pool = ["google/gemini-1.5-pro-002", "meta-llama/Meta-Llama-3.1-8B-Instruct", "microsoft/Phi-3-mini-4k-instruct"]
    prompts = ["What is 2 + 2?", "Find the integral of x exp(-x^2) from 0 to infinity.", "Who wrote Faust? 😀 <b>"]
    lams = (0.0, 0.02, 0.3, 1.0)
    for lam in lams:
        router = routed(server, carrot, *pool, strategy={"lam": lam})
        for prompt in prompts:
            assert ask_async(router, prompt).model == ask_sync(router, prompt).model
    expected = [carrot.route(prompt, lam=lam, pool=pool) for lam in lams for prompt in prompts]
    assert server.models[::2] == expected
    assert len(set(expected)) > 1
    with pytest.raises(CarrotError, match="budget"):
        CarrotStrategy(plain(server, *pool), carrot, budget=1.0)


def _ids_at_makers() -> dict[str, str]:
    """LiteLLM's name of each model that ships and that it has under the same name at the model's maker."""
    makers = {"google": "gemini", "mistral": "mistral", "cohere": "cohere_chat", "alibaba": "dashscope"}
    found = {}
    for file in (shipped("models.csv"), *(folder_of(name) / "models.csv" for name in BUILT_IN)):
        for model, facts in read_model_facts(file).items():
            maker = makers.get(facts.provider or "", facts.provider or "")
            for name, entry in litellm.model_cost.items():
                own, same = name.removeprefix(f"{maker}/"), model.rsplit("/", 1)[-1]
                if (
                    (entry.get("litellm_provider"), own.lower()) == (maker, same.lower())
                    and not facts.effort
                    and litellm.get_llm_provider(f"{maker}/{own}")[:2] == (own, maker)
                    and entry.get("mode") in ("chat", "responses")
                    and entry.get("deprecation_date", "9") > LISTED_ON
                ):
                    found[model] = f"{maker}/{own}"
    return found


def test_an_exported_configuration_names_what_litellm_has() -> None:
    assert _litellm_models() == _ids_at_makers()


def test_an_exported_configuration_with_its_hook_decides_as_the_point(
    carrot_home: Path, tmp_path: Path, server: Upstream
) -> None:
    carrot = CarrotRouter.load("mmlu-pro-cot")
    point = carrot.point_file(lam=0.1, pool=carrot.models[4:8])
    for name, file in (("litellm", "config.yaml"), ("litellm-hook", "carrot_hook.py")):
        (tmp_path / file).write_bytes(FORMATS[name].make(carrot, point))
    pool = yaml.safe_load((tmp_path / "config.yaml").read_text())["model_list"]
    hook = runpy.run_path(str(tmp_path / "carrot_hook.py"))
    assert isinstance(hook["attach"], CustomLogger)

    with pytest.raises(litellm.BadRequestError, match="FILL-IN/"):
        litellm.Router(model_list=pool)
    for each in pool:
        name = each["litellm_params"]["model"].removeprefix("FILL-IN/")
        each["litellm_params"] = deployment(server, name)["litellm_params"]
    with pytest.raises(CarrotError, match=f"No deployment of 'carrot' is filled in for {point.pool[0]}"):
        hook["strategy"](litellm.Router(model_list=pool[1:]))

    router = litellm.Router(model_list=pool)
    router.set_custom_routing_strategy(hook["strategy"](router))
    prompts = [SECRET, "What is 2 + 2?", "Find the integral of x exp(-x^2) from 0 to infinity.", "Who wrote Faust?"]
    expected = carrot.at(point).route(prompts)
    assert [ask_sync(router, prompt).model for prompt in prompts] == expected == server.models


def test_what_cannot_work_is_refused_at_once(server: Upstream) -> None:
    with pytest.raises(CarrotError, match="no deployment with model_name 'nobody'"):
        CarrotStrategy(plain(server), StandIn(), group="nobody")
    with pytest.raises(CarrotError, match=r"deployments of 'carrot': openai/gpt-9\. .*carrot_model.*small-8b"):
        CarrotStrategy(plain(server, SMALL, "gpt-9"), StandIn())
    with pytest.raises(CarrotError, match="'large-70b', but the pool of 'carrot' is small-8b, middle-27b"):
        CarrotStrategy(plain(server, SMALL, MIDDLE), StandIn(), on_error=LARGE)
