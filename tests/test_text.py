"""Names from files: compared exactly, shown so that nothing in them is hidden."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.text import (
    _TOKEN,
    PYTHON_CHARACTERS,
    SENTENCE,
    alike_warning,
    counted,
    fingerprint,
    json_of_python,
    last_user_text,
    prompt_text,
    short_names,
    visible,
)

TRICKY = "a\u200b\u200d\u202e\u2066\u2068\u2069\u00ad\u115f\u3164\ufe0f\u2800\x00\t\n\x7f \u00a0⟨⟩U+20BEאع"
NAMES = st.one_of(st.text(), st.text(TRICKY, max_size=12))


@given(one=NAMES, other=NAMES)
def test_different_names_are_shown_differently(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


@given(name=NAMES)
def test_nothing_unseen_is_left(name: str) -> None:
    words = visible(name)
    if any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in name):
        assert (words[0], words[-1]) == ("\u2068", "\u2069")
        words = words[1:-1]
    assert all(char == " " or not unicodedata.category(char).startswith(("C", "Z")) for char in words)
    assert words == words.strip()
    assert "  " not in words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("meta/llama-3.1 70B é 模型", "meta/llama-3.1 70B é 模型"),
        ("gpt\u200b-4", "gpt⟨U+200B⟩-4"),
        ("\u202e4-tpg", "⟨U+202E⟩4-tpg"),
        ("a⟨U+200B⟩", "a⟨U+27E8⟩U+200B⟩"),
        (" gpt  4", "⟨U+0020⟩gpt ⟨U+0020⟩4"),
        ("\ud800", "⟨U+D800⟩"),
        ("", ""),
    ],
)
def test_ordinary_names_stay_and_unseen_characters_stand_by_their_codes(name: str, words: str) -> None:
    assert visible(name) == words


def test_a_sentence_keeps_its_lines_and_the_names_made_visible_before() -> None:
    unseen, rtl = visible("x\u200b"), visible("אב")
    sentence = f"One  line.\n Best: {unseen} and {rtl}\u202e."
    assert visible(sentence, SENTENCE) == sentence.replace("\u202e", "⟨U+202E⟩")


UNCLOSED = "{'role' " + "'" + r"\'" * 40_000
ODD = "It's \"so\"\n[{'role'"
ASK = {"role": "user", "content": "Why?"}
CALLS = [
    {"type": "reasoning", "id": "r", "summary": []},
    {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
    {"type": "function_call_output", "call_id": "c", "output": "1"},
]


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Why?", "Why?"),
        ("", ""),
        ("[1, 2] is a list", "[1, 2] is a list"),
        ('["Why?"]', '["Why?"]'),
        ('{"role": "user"}', '{"role": "user"}'),
        ('[{"role": "cook", "name": "Bo"}]', '[{"role": "cook", "name": "Bo"}]'),
        ("[" * 100_000, "[" * 100_000),
        ("[" + "9" * 10_000 + "]", "[" + "9" * 10_000 + "]"),
        ([{"role": "system", "content": "Be kind."}, ASK], "Why?"),
        ((ASK,), "Why?"),
        (np.array([ASK, {"role": "assistant", "content": "Because."}], dtype=object), "Why?"),
        ({"messages": [ASK]}, "Why?"),
        ({"conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Why?"}]}, "Why?"),
        ({"contents": [{"role": "user", "parts": [{"text": "Why?"}, {"inline_data": {}}]}]}, "Why?"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}]}, "Why?"),
        ({"contents": [{"role": "user", "parts": ["Why?"]}]}, "Why?"),
        ({"contents": [{"parts": [{"text": "Why?"}]}, {"role": "model", "parts": ["So."]}]}, "Why?"),
        ({"input": "Why?"}, "Why?"),
        ('{"input": "Why?", "x": 1}', "Why?"),
        ({"messages": None, "input": [ASK]}, "Why?"),
        ({"input": [ASK, *CALLS, {"role": "assistant", "content": "So."}]}, "Why?"),
        ('{"input": [{"type": "reasoning"}]}', '{"input": [{"type": "reasoning"}]}'),
        ('{"input": [1, 2]}', '{"input": [1, 2]}'),
        ('{"contents": [{"title": "One"}]}', '{"contents": [{"title": "One"}]}'),
        ('{"instruction": "Explain.", "input": "rain"}', '{"instruction": "Explain.", "input": "rain"}'),
        (json.dumps([{"type": "human", "content": "Why?"}, {"type": "ai", "content": "So."}]), "Why?"),
        (str([{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]), "Why?"),
        ('[{"from": "Oslo", "value": 3}]', '[{"from": "Oslo", "value": 3}]'),
        ('[{"type": "ai"}]', '[{"type": "ai"}]'),
        (str([{"role": "system", "content": None}, {"role": "user", "content": ODD}]), ODD),
        ("[{'role': 'user', 'content': {1}}]", "[{'role': 'user', 'content': {1}}]"),
        ("[{'role': 'user', 'content': {[1]: 2}}]", "[{'role': 'user', 'content': {[1]: 2}}]"),
        ("[{'role': 'user', 'content': open('/etc/passwd')}]", "[{'role': 'user', 'content': open('/etc/passwd')}]"),
        ("[{'role': " + "-" * 100_000 + "1}]", "[{'role': " + "-" * 100_000 + "1}]"),
        ("[{'role': " + "[" * 100_000, "[{'role': " + "[" * 100_000),
        (UNCLOSED, UNCLOSED),
        ("[{'role': " + "1" * 5_000 + "a", "[{'role': " + "1" * 5_000 + "a"),
        (json.dumps([ASK]), "Why?"),
        ([ASK, {"role": "assistant", "tool_calls": []}, {"role": "tool", "content": "{}"}], "Why?"),
        (" \n" + json.dumps({"model": "any", "messages": [ASK]}), "Why?"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}], "a"),
        ([{"role": "user", "content": np.array([{"type": "text", "text": "a"}], dtype=object)}], "a"),
        ([{"role": "system", "content": "Be kind."}], None),
        ([], None),
        ("[]", None),
        (json.dumps([{"role": "user", "content": " "}]), None),
    ],
)
def test_of_a_chat_the_last_text_of_the_user_is_read(prompt: Any, text: str | None) -> None:
    assert prompt_text(prompt) == text


@given(text=st.text(r"""'"\an""" + "\n", max_size=12))
def test_whatever_begins_like_a_string_of_python_is_passed_at_once(text: str) -> None:
    """What is passed as a whole is not looked at again from each of its quotes: the work is linear in the length."""
    assert not {"'", '"'} & set(_TOKEN.sub("", text))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (r"{'a': '\d\'\\\n'}", "\\d'\\\n"),
        ("{'a': Decimal('1.50')}", "1.50"),
        ("{'a': np.str_('nan')}", "nan"),
        ("{'a': np.float64(-inf)}", "-inf"),
        ("{'a': inf}", "inf"),
        ("{'a': -nan}", None),
        ("{'a': np.True_}", True),
        ("{'a': [" + "1," * (PYTHON_CHARACTERS // 2 - 10) + "1]}", [1] * (PYTHON_CHARACTERS // 2 - 9)),
        ("{'a': '" + "," * PYTHON_CHARACTERS + "'}", "," * PYTHON_CHARACTERS),
    ],
)
def test_a_value_of_python_is_read_as_it_is(cell: str, value: object) -> None:
    assert json.loads(json_of_python(cell) or "") == {"a": value}


@pytest.mark.parametrize("cell", ["[" + "1," * (PYTHON_CHARACTERS // 2) + "1]", "{'a': open('x')}", r"['\x']"])
def test_a_value_of_python_that_is_too_long_or_not_plain_is_none(cell: str) -> None:
    assert json_of_python(cell) is None


@pytest.mark.parametrize("prompt", [3, None, ["Why?"], {"role": "user", "content": "Why?"}, b"Why?"])
def test_what_is_no_prompt_is_refused(prompt: Any) -> None:
    with pytest.raises(TypeError, match=type(prompt).__name__):
        prompt_text(prompt)


@given(texts=st.sets(st.text(max_size=30), min_size=1))
def test_texts_that_fit_the_window_are_never_called_alike(texts: set[str]) -> None:
    assert alike_warning({fingerprint(text) for text in texts}) == ""


@pytest.mark.parametrize(
    ("shared", "alike"), [("You are kind. " * 200, True), ("写" * 400, True), ("You are kind.", False)]
)
def test_texts_that_differ_beyond_the_window_are_called_alike(shared: str, alike: bool) -> None:
    texts = [f"{shared} Question {number}?" for number in range(40)] + [f"Alone {number}" for number in range(39)]
    assert bool(alike_warning({fingerprint(text) for text in texts})) == alike


@pytest.mark.parametrize(
    ("models", "short"),
    [
        (["google/gemini", "openai/gpt-5"], ["gemini", "gpt-5"]),
        (["azure/flash", "openrouter/flash", "google/gemini"], ["azure/flash", "openrouter/flash", "gemini"]),
        (
            ["eu/azure/flash", "us/azure/flash", "openrouter/flash"],
            ["eu/azure/flash", "us/azure/flash", "openrouter/flash"],
        ),
        (["openai/gpt-5:high", "openai/gpt-5:low"], ["gpt-5:high", "gpt-5:low"]),
        (["openai/gpt-5/high", "openai/gpt-5/low", "x/high"], ["gpt-5/high", "gpt-5/low", "x/high"]),
        (["flash", "azure/flash"], ["flash", "azure/flash"]),
        (["azure/flash", "azure/flash/"], ["azure/flash", "azure/flash/"]),
        (["/", "high", "a/b\u202e"], ["/", "high", "b⟨U+202E⟩"]),
    ],
)
def test_models_are_called_by_the_shortest_name_that_is_theirs_alone(models: list[str], short: list[str]) -> None:
    assert short_names(models) == dict(zip(models, short, strict=True))


@given(models=st.lists(st.text("ab/ ", min_size=1, max_size=6), unique=True, min_size=1, max_size=12))
def test_no_two_models_of_a_pool_have_one_short_name(models: list[str]) -> None:
    names = short_names([*models, *models])
    assert list(names) == models
    assert len(set(names.values())) == len(models)


def message(content: object, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([message("Be kind.", "system"), message("Why?")], "Why?"),
        ([message("Old"), message("Because.", "assistant"), message("New")], "New"),
        ([message("Why?"), message("{}", "tool")], "Why?"),
        ([message([{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}])], "a\nb"),
        ([message([{"type": "input_text", "text": "a"}])], "a"),
        ([message("Why?"), message([{"type": "tool_result"}])], "Why?"),
        ([message([{"type": "image_url"}])], ""),
        ([{"role": "user"}, message(None), message([{"type": "text"}])], ""),
        ([message("Because.", "assistant"), "no message"], ""),
        (["texts to embed"], ""),
        ("an input", "an input"),
        ([], ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_last_words_of_the_user_are_what_counts(messages: Any, text: str) -> None:
    assert last_user_text(messages) == text


def test_one_of_a_kind_is_counted_without_an_s() -> None:
    assert [counted(count, "cell") for count in (0, 1, 1234)] == ["0 cells", "1 cell", "1,234 cells"]
    assert [counted(count, "value is", "values are") for count in (1, 2)] == ["1 value is", "2 values are"]
