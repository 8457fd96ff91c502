"""Copies across a split: planted ones are found, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carrot_core.errors import CarrotError
from carrot_core.evaluation.leakage import leaks, normal
from tests.made import made

LONG = "The quick brown fox jumps over the lazy dog while seven wizards quietly brew a pot of strong jasmine tea "


@pytest.fixture
def bench():
    """Forty prompts without words in common, split in order: 20 train, 10 validation, 10 test."""
    whole = made(40)
    split = np.repeat(["train", "validation", "test"], [20, 10, 10])
    words = tuple(" ".join(f"w{row}x{place}" for place in range(8)) for row in range(40))
    vectors = np.eye(40, 384, dtype=np.float32)
    return replace(whole, split=split, texts=words, vectors=vectors)


def with_texts(bench, changed):
    return replace(bench, texts=tuple(changed.get(row, text) for row, text in enumerate(bench.texts)))


def counted(overlaps, kind):
    """Prompts with a copy: of train in validation, of train in test, of validation in test."""
    rows = overlaps.counts[overlaps.counts["kind"] == kind]
    return {(row.from_split, row.in_split): row.n_prompts for row in rows.itertuples()}


def test_prompts_with_nothing_in_common_have_no_copies(bench):
    overlaps = leaks(bench)
    assert overlaps.pairs.empty
    assert overlaps.counts["n_prompts"].eq(0).all()
    assert overlaps.n_prompts == {"train": 20, "validation": 10, "test": 10}


def test_the_same_text_is_found_whatever_its_case_and_spaces(bench):
    overlaps = leaks(
        with_texts(bench, {3: "What  is Two\nplus two?", 35: "what is two plus TWO?", 36: "What is two plus 2?"})
    )
    assert counted(overlaps, "same text") == {
        ("train", "validation"): 0,
        ("train", "test"): 1,
        ("validation", "test"): 0,
    }
    pair = overlaps.pairs[overlaps.pairs["kind"] == "same text"].iloc[0]
    assert (pair["from_prompt"], pair["in_prompt"]) == (bench.prompt_ids[3], bench.prompt_ids[35])
    row = overlaps.counts.query("kind == 'same text' and in_split == 'test' and from_split == 'train'").iloc[0]
    assert row["share"] == 0.1


def test_signs_are_words_too():
    assert normal("2 + 3") != normal("2 - 3")


def test_a_copy_within_one_side_is_no_leak(bench):
    assert leaks(with_texts(bench, {1: "the same", 2: "the same"})).pairs.empty


def test_near_copies_are_found_by_their_words(bench):
    overlaps = leaks(with_texts(bench, {0: LONG + "tonight", 25: LONG + "today", 38: LONG[:40]}))
    assert counted(overlaps, "word triples") == {
        ("train", "validation"): 1,
        ("train", "test"): 0,
        ("validation", "test"): 0,
    }
    (similarity,) = overlaps.pairs["similarity"]
    # 21 words, 19 triples each; the last one differs: 18 of 20 in common.
    assert similarity == pytest.approx(18 / 20)


def test_near_copies_are_found_by_their_vectors(bench):
    vectors = bench.vectors.copy()
    vectors[30] = 3 * (vectors[5] + 0.1 * vectors[30])  # cosine 1 / sqrt(1.01) = .995, whatever the length
    vectors[31] = vectors[6] + 0.5 * vectors[31]
    overlaps = leaks(replace(bench, vectors=vectors))
    assert list(counted(overlaps, "cosine").values()) == [0, 1, 0]
    assert overlaps.pairs["similarity"].tolist() == pytest.approx([1 / np.sqrt(1.01)])
    assert leaks(replace(bench, vectors=vectors), cosine=0.8).counts["n_prompts"].sum() == 2


def test_without_vectors_words_are_compared(bench):
    overlaps = leaks(replace(bench, vectors=None, encoder=None))
    assert overlaps.cosine is None
    assert set(overlaps.counts["kind"]) == {"same text", "word triples"}


def test_without_any_text_there_is_nothing_to_compare(bench):
    with pytest.raises(CarrotError, match="no prompt texts"):
        leaks(replace(bench, texts=(None,) * 40))


def test_our_own_split_keeps_identical_texts_on_one_side():
    from carrot_core.evaluation import split_by_seed

    bench = made(300)
    doubled = replace(bench, texts=tuple(f"Question {row // 2}" for row in range(300)))
    assert counted(leaks(split_by_seed(doubled, 4)), "same text")["train", "test"] == 0
