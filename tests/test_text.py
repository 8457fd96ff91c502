"""Names from files: compared exactly, shown so that nothing in them is hidden."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.text import SENTENCE, visible

TRICKY = "a\u200b\u200d\u202e\u2066\u2068\u2069\u00ad\u115f\u3164\ufe0f\u2800\x00\t\n\x7f \u00a0⟨⟩U+20BEאع"
NAMES = st.one_of(st.text(), st.text(TRICKY, max_size=12))


@given(one=NAMES, other=NAMES)
def test_different_names_are_shown_differently(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


@given(name=NAMES)
def test_nothing_unseen_is_left(name: str) -> None:
    shown = visible(name)
    if any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in name):
        assert (shown[0], shown[-1]) == ("\u2068", "\u2069")
        shown = shown[1:-1]
    assert all(char == " " or not unicodedata.category(char).startswith(("C", "Z")) for char in shown)
    assert shown == shown.strip()
    assert "  " not in shown


@pytest.mark.parametrize(
    ("name", "shown"),
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
def test_ordinary_names_stay_and_unseen_characters_stand_by_their_codes(name: str, shown: str) -> None:
    assert visible(name) == shown


def test_a_sentence_keeps_its_lines_and_the_names_made_visible_before() -> None:
    unseen, rtl = visible("x\u200b"), visible("אב")
    sentence = f"One  line.\n Best: {unseen} and {rtl}\u202e."
    assert visible(sentence, SENTENCE) == sentence.replace("\u202e", "⟨U+202E⟩")
