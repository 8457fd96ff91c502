"""Links that are stale, malformed or contradict themselves: the page opens, says once what it left out, and goes on."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from carrot_core.benchmarks.model_facts_arms import ModelFacts
from carrot_core.dashboard import links
from carrot_core.dashboard.shell import PAGES, plain
from tests import wording
from tests.pages.reading import lam_in_address

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<img src=x onerror=alert(1)> ![x](//host/x.png) :red[x] $x$"
LAM = ["nan", "1e400", "-0.1", "7", "0,5", "", "9" * 10_000, HOSTILE]
POOL = ["ghost/model", HOSTILE, "x" * 10_000]

# page, and for every parameter it reads: values that it cannot use
TABLE: dict[str, dict[str, list[str]]] = {
    "overview": {"bench": ["ghost", HOSTILE, ""], "lam": LAM[:1]},
    "frontier": {
        "bench": ["ghost", "made (only you)"],
        "routers": ["RoRF", "../../etc/passwd"],
        "along": ["RoRF", "oracle'"],
        "reference": ["ghost"],
        "pool": POOL,
        "tasks": ["'; drop table runs; --"],
        "lam": LAM,
    },
    "live": {
        "bench": ["ghost"], "router": ["RoRF"], "pool": POOL[:1], "fallback": ["ghost"], "lam": LAM[1:2],
        "unlike": ["nan", "12", "1e400", "x"],
    },
    "whatif": {
        "bench": ["ghost"], "router": ["RoRF"], "pool": POOL[:1], "candidate": ["ghost"], "lam": LAM[2:3],
        "scenario": ["{", '{"price_factor": -1}', '{"prices": {"ghost": {}}}', "[" * 10_000, HOSTILE],
    },
    "points": {
        "bench": ["ghost"], "router": ["RoRF"], "pool": POOL[:1], "fallback": ["ghost"], "unlike": ["x"],
        "lam": LAM[3:4],
    },
    "data": {
        "bench": ["ghost"], "view": ["Everything"], "task": ["ghost"], "split": ["all"], "disagree": ["perhaps"],
        "page": ["0", "99", "1.5", "x"], "pool": POOL[:1], "prompt": ["ghost", HOSTILE],
        "sql": ["select " + "1" * 30_000],
    },
    "compare": {
        "bench": ["ghost"], "compared": ["ghost", HOSTILE], "seed": ["seed 99"], "show": ["Everything"],
        "metric_of": ["ghost"], "metrics": ["ghost", "x" * 10_000], "beside": ["ghost"], "pool": POOL[:1],
        "tasks": ["ghost"],
    },
    "theory": {
        "part": ["Everything"], "sim_d": ["nan", "99"], "sim_gamma": ["1e400"], "sim_alpha": [HOSTILE],
        "sim_lam": ["0.55"], "sim_models": ["1" * 10_000],
    },
    "method": {"term": ["ghost", HOSTILE, "x" * 10_000], "words": ["x" * 10_000]},
}  # fmt: skip
PAGES_HERE = [entry.name for entry in PAGES]
# Every value is in one link: the first link of a page has the first value of each parameter, the next the second, ...
CASES = [
    pytest.param(
        page,
        {name: values[number] for name, values in TABLE[page].items() if number < len(values)},
        id=f"{page}-{number}",
    )
    for page in PAGES_HERE
    for number in range(max(map(len, TABLE[page].values())))
]


@pytest.fixture(autouse=True)
def _at_home(home_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARROT_HOME", str(home_of("carrot-knn")))


def open_app(page: str, /, **query: str | list[str]) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params.update(query)
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    assert not app.error
    return app


def notices(app: AppTest) -> list[str]:
    return [warning.value for warning in app.warning if "this link" in warning.value]


def test_every_page_is_in_this_table() -> None:
    assert set(PAGES_HERE) <= set(TABLE)


def test_every_widget_bound_to_the_address_checks_its_parameter() -> None:
    bindings, checks = set(), set()
    for path in [*(ROOT / "carrot_core" / "dashboard").rglob("*.py"), *(ROOT / "pages").glob("*.py")]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                words = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
                if words.get("bind") == "query-params":
                    bindings.add(words["key"])
                if ast.unparse(call.func).endswith(("check_parameter", "links.refuse", "check_several", "keep_models")):
                    checks.add(getattr(call.args[0], "value", None))
    assert bindings - checks == {"find"}  # any text can be searched for
    assert {"bench", "pool", "lam", "scenario", "term"} <= checks


@pytest.mark.parametrize(("page", "query"), CASES)
def test_what_cannot_be_used_is_named_once_in_one_notice_and_no_longer_than_a_line(
    page: str, query: dict[str, str]
) -> None:
    app = open_app(page, **query)
    (notice,) = notices(app)
    lines = notice.splitlines()[2:]
    assert sorted(line.split("**")[1] for line in lines) == sorted(query)
    for line in lines:
        assert line.startswith("- **")
        assert "Shown: " in line
        assert len(line) < 600
        assert not re.search(r"(?<!\\)[<\[$]", line)  # no markup of the value's own
    assert [name for name, value in query.items() if value and app.query_params.get(name) == value] == []
    if page == "frontier":
        assert 0 <= lam_in_address(app) <= 1
        defaults = {"bench": "made", "along": "carrot-knn", "reference": "", "pool": [], "tasks": []}
        assert {name: app.session_state[name] for name in defaults} == defaults
    if all(value == TABLE[page][name][0] for name, value in query.items()):  # once a page
        app.run()
        assert not app.exception
        assert notices(app) == []


def test_a_link_that_holds_says_nothing() -> None:
    app = open_app(
        "frontier", bench="made", routers=["CARROT-KNN", "Oracle"], along="Oracle", pool=["acme/large", "zeta/mid"],
        tasks="kind 1", reference="zeta/mid", lam="0.25",
    )  # fmt: skip
    assert notices(app) == []
    assert lam_in_address(app) == 0.25
    assert app.selectbox(key="along").value == "oracle"
    assert notices(open_app("live", bench="made", router="CARROT-KNN", fallback="acme/large", unlike="97.5")) == []
    assert notices(open_app("data", view="Models", split="test", disagree="true", page="1", utm_source="x")) == []
    assert notices(open_app("whatif", scenario='{"price_factor": 2}', candidate="zeta/mid")) == []
    assert notices(open_app("method", term="aiq", words="area")) == []


def test_parts_of_a_link_that_exclude_each_other_are_told() -> None:
    app = open_app("frontier", pool=["acme/large", "zeta/mid"], reference="acme/small")
    (notice,) = notices(app)
    assert f"**reference**: {plain('acme/small')} cannot be used" in notice
    assert app.selectbox(key="reference").value == ""


def test_a_choice_of_several_keeps_what_there_is() -> None:
    app = open_app("frontier", pool=["ghost/1", "acme/large", "ghost/2", "zeta/mid", "ghost/3", "ghost/4"])
    assert app.multiselect(key="pool").value == ["acme/large", "zeta/mid"]
    (notice,) = notices(app)
    assert wording.MORE_UNUSED in notice
    assert plain("acme/large, zeta/mid") in notice


def test_a_parameter_given_twice_takes_the_last() -> None:
    app = open_app("frontier", bench=["mmlu-pro-cot (snapshot)", "made"], lam=["0.1", "0.2"])
    (notice,) = notices(app)
    assert "**bench** occurs 2 times" in notice
    assert "**lam** occurs 2 times" in notice
    assert lam_in_address(app) == 0.2


def test_a_link_may_name_a_snapshot_without_its_mark() -> None:
    app = open_app("frontier", bench="routellm")
    assert app.selectbox(key="bench").value == "routellm (snapshot)"
    assert not notices(app)


def test_a_snapshot_says_that_it_has_no_pool_to_choose() -> None:
    (notice,) = notices(open_app("frontier", bench="mmlu-pro-cot (snapshot)", pool="acme/large", tasks="kind 1"))
    assert "**pool**" in notice
    assert "all tasks" in notice


def two_pickers() -> None:
    from carrot_core.benchmarks.model_facts_arms import ModelFacts
    from carrot_core.dashboard import controls, links

    facts = {"a": ModelFacts("west"), "b": ModelFacts("east"), "c": ModelFacts("west"), "west-1": ModelFacts("west")}
    links.begin()
    controls.pool(list(facts), facts)
    controls.reference(list(facts), "a", facts)
    links.end()


def test_a_provider_finds_its_models_and_the_address_names_the_models_alone() -> None:
    app = AppTest.from_function(two_pickers)
    app.query_params.update({"pool": ["c", "west-1"], "reference": "b"})
    app.run()
    of_pool, of_reference = app.multiselect(key="pool"), app.selectbox(key="reference")
    assert (of_pool.value, of_reference.value) == (["c", "west-1"], "b")
    assert of_pool.options == ["b · east", "a · west", "c · west", "west-1"]  # each beside its provider's others
    assert of_reference.options[1:] == of_pool.options
    of_pool.set_value(["a"])
    of_reference.set_value("c").run()
    assert (app.query_params["pool"], app.query_params["reference"]) == ("a", "c")
    of_pool.set_value([]).run()
    assert "pool" not in app.query_params
    assert not notices(app)


def picker_of_arms() -> None:
    from carrot_core.benchmarks.model_facts_arms import ModelFacts
    from carrot_core.dashboard import controls, links

    facts = {
        "m-low": ModelFacts("west", effort="low", base_model="m"),
        "m-high": ModelFacts("west", effort="high", base_model="m"),
        "k": ModelFacts("west", effort="high"),
        "z": ModelFacts("east"),
    }
    links.begin()
    links.st.caption(" ".join(controls.pool(list(facts), facts)))
    links.end()


def test_a_model_brings_all_its_arms_and_an_effort_chooses_among_them() -> None:
    app = AppTest.from_function(picker_of_arms).run()
    box = app.multiselect(key="pool")
    assert box.options == ["z · east", "k · west", "m · all 2 arms · west", "m-high · west", "m-low · west"]
    box.set_value(["\0m-high", "z"]).run()
    assert not app.exception
    assert app.caption[-1].value == "m-high m-low z"
    assert app.query_params["pool"] == ["m-high", "m-low", "z"]
    app.multiselect(key="efforts").set_value(["high"]).run()
    assert app.caption[-1].value == "m-high"


def test_models_go_with_the_reader_to_every_page_that_has_them() -> None:
    pool = ["acme/large", "zeta/mid"]
    app = open_app("frontier", pool=pool, reference="zeta/mid")
    for page in ("compare", "live", "data", "points", "whatif", "frontier"):
        app.query_params.clear()  # the navigation leaves them out
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception
        if page == "live":
            app.selectbox(key="fallback").set_value("zeta/mid").run()
        also = {"live": "fallback", "points": "fallback", "frontier": "reference"}
        parameters = {"pool": pool, **({also[page]: "zeta/mid"} if page in also else {})}
        assert {name: app.query_params.get(name) for name in parameters} == parameters
        assert app.multiselect(key="pool").value == pool


def test_different_models_have_different_words() -> None:
    names = ["gpt", "gpt · openai", "gpt · openai · x", "openai · gpt"]
    facts = {"gpt": ModelFacts("openai"), "gpt · openai": ModelFacts("x"), "openai · gpt": ModelFacts("openai")}
    words = [links.model_words(facts)(name) for name in [*names, "a", "a · b"]]
    assert words[0] == "gpt · openai"
    assert len(set(words)) == len(words)
    more = {"a": ModelFacts("b · c"), "a · b": ModelFacts("c")}
    assert links.model_words(more)("a") != links.model_words(more)("a · b")


def test_providers_stand_in_the_order_of_the_alphabet_however_they_are_spelled() -> None:
    facts = {"1": ModelFacts("Qwen"), "2": ModelFacts("google"), "3": ModelFacts("ai21"), "4": ModelFacts("Google")}
    assert links.by_provider(list(facts), facts) == ["3", "2", "4", "1"]


def picker_whose_default_moves() -> None:
    import streamlit as st

    from carrot_core.dashboard import links

    models, default = ["a", "b", "c"], st.session_state.get("default", "a")
    links.begin()
    links.open_at_models("candidate", models, default)
    choice = st.selectbox("Model", models, key="candidate", persist_state="session")
    links.keep_models("candidate", models, choice, default, "")
    links.end()


def test_a_choice_nobody_made_moves_with_the_default_and_stays_out_of_the_address() -> None:
    app = AppTest.from_function(picker_whose_default_moves).run()
    app.session_state["default"] = "b"
    app.run()
    assert (app.selectbox(key="candidate").value, app.query_params) == ("b", {})
    app.selectbox(key="candidate").set_value("c").run()
    app.session_state["default"] = "a"
    app.run()
    assert (app.selectbox(key="candidate").value, app.query_params) == ("c", {"candidate": "c"})
