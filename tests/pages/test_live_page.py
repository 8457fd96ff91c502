"""The Live prompt page: who answers typed prompts, what is said of them, and texts that are up to no good."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core import CarrotRouter
from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.dashboard import live
from carrot_core.dashboard.components import decision
from carrot_core.dashboard.components.decision import build_payload, likeness, textless
from carrot_core.embedding import BUNDLED
from carrot_core.errors import CarrotError
from carrot_core.figures.benchmark import model_groupings
from carrot_core.figures.theme import group_looks, scene_looks
from carrot_core.number_formats import money, percent
from carrot_core.results import shipped_snapshots
from carrot_core.results.snapshot import read
from carrot_core.serving.loading import PromptKind, shipped_heads, shipped_kinds
from carrot_core.store import Store
from carrot_core.text import SENTENCE, visible
from tests import wording
from tests.made import MODELS, fill, made, write_files
from tests.pages.reading import unescaped
from tests.typed_prompts import served

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HEAD = "mmlu-pro-cot"
QUESTION = "Which river flows through Vienna?"
Type = Callable[[str | None], None]


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Type:
    """What the box holds: a test without a browser cannot type into a component."""
    return lambda text: monkeypatch.setattr(live, "prompt_box", lambda examples: text)


@pytest.fixture
def loaded(store_of: Callable[..., Store]) -> Store:
    """A benchmark with texts and vectors, a router that reads prompts, one that reads outcomes and a baseline."""
    return store_of("carrot-knn", "routellm-mf", "zero")


def page(**query: str | list[str]) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params.update(query)
    app.switch_page("pages/live.py").run()
    assert not app.exception
    return app


def payload(app: AppTest) -> dict[str, Any]:
    """What the decision component is given."""
    (result,) = [
        part.proto for part in app.get("bidi_component") if part.proto.component_name == "carrot-core.decision"
    ]
    data: dict[str, Any] = json.loads(result.json)
    return data


def page_text(app: AppTest) -> str:
    elements = [element.value for element in (*app.caption, *app.info, *app.warning, *app.error)]
    parts = [part.proto for part in app.get("bidi_component") if part.proto.component_name == "carrot-core.decision"]
    text = "\n".join([*elements, *(line for part in parts for line in json.loads(part.json)["about"])])
    return unescaped(text)


def at(data: dict[str, Any], lam: float) -> dict[str, Any]:
    """The stretch that holds at λ, as the browser finds it."""
    stretch: dict[str, Any] = [part for part in data["stretches"] if part["from"] <= lam][-1]
    return stretch


def test_the_shipped_head_answers_where_nothing_is_loaded(type_in: Type) -> None:
    type_in(QUESTION)
    app = page()
    router = CarrotRouter.load(HEAD)
    data, explained = payload(app), router.explain(QUESTION)
    assert app.selectbox(key="router").value == "carrot-mlp"
    assert data["lam"] == router.default_lam
    stretch = at(data, data["lam"])
    assert stretch["sentence"] == explained.sentence
    assert data["models"][stretch["winner"]]["name"] == explained.winner
    assert data["models"][stretch["second"]]["name"] == explained.runner_up
    assert wording.NO_TEXTS in page_text(app)
    assert wording.ALL_READ in page_text(app)
    assert f"{100 * router.profile.coverage['score']:.1f} % held" in page_text(app)
    assert f"u = {money(router.cost_unit_usd)}" in page_text(app)


def test_the_door_to_this_page_opens_it_with_an_example_that_is_answered() -> None:
    app = page(**{"try": "1"})
    example = next(iter(shipped_kinds()["mmlu-pro-cot"].examples.values()))
    assert at(payload(app), 0.5)["sentence"] == CarrotRouter.load(HEAD).explain(example, lam=0.5).sentence
    assert "try" not in app.query_params


@pytest.mark.parametrize("pool", [None, 2, 1])
def test_the_browser_can_tell_the_choice_at_every_lam(pool: int | None) -> None:
    router = CarrotRouter.load(HEAD)
    models = router.models[:pool] if pool else None
    data = build_payload(router.explain(QUESTION, pool=models, lam=0.5))
    ends = [part["from"] for part in data["stretches"]]
    assert ends[0] == 0
    assert ends == sorted(ends)
    names = [entry["name"] for entry in data["models"]]
    # Not at the switches themselves: there two models are worth the same.
    for lam in [0.0, 1.0, *np.random.default_rng(3).random(9), *np.add(ends, 1e-9)]:
        explained, stretch = router.explain(QUESTION, pool=models, lam=float(lam)), at(data, lam)
        assert names[stretch["winner"]] == explained.winner, lam
        assert (stretch["second"] is None) == (explained.runner_up is None)
        assert stretch["second"] is None or names[stretch["second"]] == explained.runner_up
        assert stretch["sentence"] == visible(explained.sentence, SENTENCE)


def test_a_model_has_the_colour_of_the_charts_whatever_the_prompt() -> None:
    (results,) = (read(info.folder) for info in shipped_snapshots() if info.name == HEAD)
    scene, router = results.scene(("carrot-knn",), "carrot-knn"), CarrotRouter.load(HEAD)
    for text in (QUESTION, "Prove that the square root of 2 is irrational."):
        models = build_payload(router.explain(text), results.palette)["models"]
        for theme in ("light", "dark"):
            assert {model["name"]: model[theme] for model in models} == dict(
                zip(scene.models, (look.color for look in scene_looks(scene, theme)), strict=True)
            )
    (info,) = (info for info in shipped_snapshots() if info.name == HEAD)
    grouping = model_groupings(scene.models, info.facts_by_model)["Provider"]
    groups = {model: name for name, of in grouping.groups for model in of}
    models = build_payload(router.explain(QUESTION), results.palette, grouping)["models"]
    assert {model["name"]: model["group"] for model in models} == groups
    for theme in ("light", "dark"):
        assert all(model[theme] == group_looks(grouping, theme)[model["group"]].color for model in models)


def test_every_segment_of_the_ribbon_is_told_in_words() -> None:
    explained = CarrotRouter.load(HEAD).explain(QUESTION)
    data = build_payload(explained)
    assert len(data["segments"]) == len(explained.ribbon) > 1
    assert all(part.model in data["alt"] for part in explained.ribbon)
    assert (data["segments"][0]["from"], data["segments"][-1]["to"]) == (0.0, 1.0)


def test_a_task_label_changes_what_is_expected_and_one_of_the_address_is_checked(
    type_in: Type, loaded: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = made(150)
    hostile = "<b>law</b>"
    router = served(
        replace(bench, tasks=tuple(hostile if each == "kind 0" else each for each in bench.tasks)), use_task=True
    )
    monkeypatch.setattr(live, "load_router", lambda *names: router)
    type_in(QUESTION)
    app = page(bench="made")
    box = app.selectbox(key="task_label")
    assert (box.value, box.options) == (None, [hostile, "kind 1"])
    assert "Task label" not in page_text(app)
    before = payload(app)
    box.set_value("kind 1").run()
    assert payload(app) != before
    assert "Task label: kind 1." in page_text(app)
    assert at(payload(app), 0.5)["sentence"] == router.explain(QUESTION, task="kind 1", lam=0.5).sentence
    app = page(bench="made", task_label="Kind 1")
    assert app.selectbox(key="task_label").value is None
    assert any("task_label" in warning.value for warning in app.warning)
    assert page(bench="made", task_label=hostile).selectbox(key="task_label").value == hostile


def test_a_router_that_reads_no_label_offers_none(type_in: Type, loaded: Store) -> None:
    type_in(QUESTION)
    app = page(bench="made", task_label="kind 1")
    assert "task_label" not in [box.key for box in app.selectbox]
    assert any("task_label" in warning.value for warning in app.warning)


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_an_empty_prompt_says_what_to_do(text: str, type_in: Type) -> None:
    type_in(text)
    app = page()
    assert "Type a prompt above" in page_text(app)
    assert not [part for part in app.get("bidi_component") if part.proto.component_name == "carrot-core.decision"]


def test_a_prompt_that_is_too_long_is_refused_and_not_cut(type_in: Type) -> None:
    type_in(None)
    assert "longer than 200,000 characters" in page_text(page())


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)> ![x](//host/x.png) :red[x] $x$",
        "Why is the sky blue? " * 5000,
        "👩‍👩‍👧‍👦 🏳️‍🌈 ﷽ ‮gnihton‬ \u0000\u0007\u001b[31m \ud83d lone \udc00",
        "%s %d {0} {} \\n \\u0000 '; drop table prompts; --",
    ],
    ids=["markup", "100k", "unseen", "formats"],
)
def test_any_text_gets_an_answer(text: str, type_in: Type) -> None:
    type_in(text)
    app = page()
    assert not app.error
    assert "is expected to score" in at(payload(app), 0.5)["sentence"]
    if len(text) > 2000 and " " in text:
        assert wording.PART_READ in page_text(app)


def test_of_a_long_text_another_part_can_be_read(type_in: Type) -> None:
    text = "Which court hears appeals in patent cases? " * 40 + "Integrate x squared from 0 to 3. " * 40
    type_in(text)
    app = page()
    (part,) = [box for box in app.selectbox if box.label.startswith("Part of the text")]
    _, first, after = payload(app)["read"]
    assert text.startswith(first)
    assert first + after in text
    part.set_value(len(part.options) - 1).run()
    assert not app.exception
    before, last, after = payload(app)["read"]
    assert text.rstrip().endswith(last.rstrip())
    assert before + last in text
    assert after.strip() == ""
    type_in("Why?")
    app.run()
    assert payload(app)["read"] is None
    assert not [box for box in app.selectbox if box.label.startswith("Part of the text")]


def test_an_unlike_prompt_is_flagged_and_the_fallback_answers_at_every_lam(type_in: Type) -> None:
    type_in("zxq%%7 @@ ░░▒▓ 🜁🜂🜃🜄 qwrtz ;;;; plinth 000111000 ☂☂☂ {{{{")
    app = page(unlike="50.0")
    assert payload(app)["likeness"]["degree"] == 1
    other = CarrotRouter.load(HEAD).models[-1]
    app.selectbox(key="fallback").set_value(other).run()
    assert not app.exception
    data = payload(app)
    assert data["fellBack"]
    assert {data["models"][part["winner"]]["name"] for part in data["stretches"]} == {other}
    assert all("so the fallback answers" in part["sentence"] for part in data["stretches"])
    assert len(data["segments"]) > 1  # what CARROT would choose is still told
    app.number_input(key="unlike").set_value(100.0).run()
    if payload(app)["likeness"]["degree"] > 1:
        assert not payload(app)["fellBack"]


def test_likeness_has_degrees_and_the_lowest_is_what_a_fallback_answers() -> None:
    degrees = [likeness(percentile, 99.0)["degree"] for percentile in (0.0, 30.0, 80.0, 95.0, 98.9, 99.0, 100.0)]
    assert degrees == [4, 4, 3, 2, 2, 1, 1]
    assert likeness(60.0, 55.0)["degree"] == 1
    assert wording.LESS_LIKE in likeness(80.0, 99.0)["words"]
    assert likeness(None, 99.0) is None


@pytest.mark.parametrize("name", shipped_heads())
def test_a_benchmark_that_ships_says_what_it_is_and_its_examples_are_like_it(name: str) -> None:
    kind, router = shipped_kinds()[name], CarrotRouter.load(name)
    assert kind.about
    assert len(kind.examples) == 3
    for text in kind.examples.values():
        explained = router.explain(text, nearest=False)
        assert not explained.unlike
        assert explained.prompt_tokens == explained.read_tokens  # all of it is read


def test_examples_are_those_of_the_benchmark_of_others_its_own_prompts(loaded: Store) -> None:
    (head,) = [info for info in shipped_snapshots() if info.name == HEAD]
    assert live.prompt_kind(head) == shipped_kinds()[HEAD]
    own = live.prompt_kind(loaded.info("made"))
    texts = {*loaded.load("made").texts}
    assert own.examples
    assert {*own.examples.values()} <= texts
    stranger = replace(head, data_hash="other data under that name", n_readable=0)
    assert live.prompt_kind(stranger) == PromptKind("", {})


def test_a_pool_of_the_address_is_what_is_chosen_from(type_in: Type) -> None:
    type_in(QUESTION)
    models = sorted(CarrotRouter.load(HEAD).models)[:2]
    app = page(pool=models, lam="0.9")
    assert sorted(entry["name"] for entry in payload(app)["models"]) == models
    assert payload(app)["lam"] == 0.9
    assert QUESTION not in str(dict(app.query_params))
    app.slider(key="lam_slider").set_value(0.25).run()
    assert payload(app)["lam"] == 0.25
    assert app.query_params["lam"] == "0.25"


def test_loaded_data_show_what_was_nearest_and_what_models_scored_there(loaded: Store, type_in: Type) -> None:
    bench = loaded.load("made", encoder=BUNDLED)
    type_in(bench.texts[0])
    app = page()
    assert app.selectbox(key="router").options == ["CARROT-KNN"]  # neither what reads outcomes nor the baseline
    data = payload(app)
    near = data["nearest"]
    assert len(near) == 5
    assert [part["similarity"] for part in near] == sorted((part["similarity"] for part in near), reverse=True)
    scores, names = dict(zip(bench.texts, bench.outcomes.score, strict=True)), [m["name"] for m in data["models"]]
    for part in near:
        assert dict(zip(names, part["scores"], strict=True)) == dict(zip(MODELS, scores[part["text"]], strict=True))


def test_neighbours_without_texts_are_named_by_their_ids_and_the_page_says_why_once(loaded: Store) -> None:
    bench = loaded.load("made", encoder=BUNDLED)
    explanation = CarrotRouter.load("made", store=loaded).explain(bench.texts[0])
    assert explanation.nearest is not None
    assert not textless(explanation, ships=True)
    hidden = replace(explanation, nearest=explanation.nearest.assign(prompt=None))
    scores = dict(zip(bench.prompt_ids, bench.outcomes.score, strict=True))
    for part, prompt_id in zip(build_payload(hidden)["nearest"], hidden.nearest["prompt_id"], strict=True):
        assert part["text"].startswith(prompt_id)
        assert percent(scores[prompt_id].mean(), digits=0) in part["text"]
    assert "not passed on" in textless(hidden, ships=True)
    assert "not passed on" not in textless(hidden, ships=False) != ""


def test_the_shipped_head_stands_aside_for_other_data_of_its_name(loaded: Store, tmp_path: Path) -> None:
    results, _ = write_files(made(80), tmp_path, HEAD)
    loaded.save_benchmark(HEAD, read_long_table(results), shadow=True)
    app = page(bench=HEAD)
    assert wording.NO_ROUTER in page_text(app)
    assert [button.label for button in app.button] == ["Fit CARROT-KNN"]


def test_texts_of_training_prompts_are_never_markup(carrot_home: Path, type_in: Type) -> None:
    hostile = "<img src=x onerror=alert(1)> ![x](//host/x.png) \u202e"
    fill(Store(), replace(made(60), name="hostile", texts=tuple(f"{hostile} {i}" for i in range(60))), "carrot-knn")
    type_in(hostile)
    app = page(bench="hostile")
    for element in [*app.markdown, *app.caption, *app.info, *app.warning]:
        assert "<img" not in element.value
        assert "![x]" not in element.value
    assert all("\u202e" not in part["text"] for part in payload(app)["nearest"])


@pytest.mark.parametrize("message", ["text", {"text": 3, "length": 1}, {"text": "a"}, {"text": None, "length": 0}])
def test_what_is_no_text_is_refused(message: object) -> None:
    with pytest.raises(CarrotError, match="Reload the page"):
        decision._checked(message)


def test_a_length_is_never_below_the_text_s() -> None:
    assert decision._checked({"text": "abc", "length": 0})["length"] == 3
