"""Laws of the split and of folds: identical texts together, order irrelevant, fractions exact, tasks in every fold."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.benchmarks.split import duplicate_keys, folds, split
from carrot_core.errors import CarrotError

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=40)


def ids_of(texts: list[str | None]) -> list[str]:
    return [f"p{number}" for number in range(len(texts))]


@given(TEXTS, st.integers())
def test_identical_texts_stand_on_one_side(texts: list[str | None], seed: int) -> None:
    side = split(ids_of(texts), texts, seed=seed)
    sides_of: dict[str, set[str]] = {}
    for text, name in zip(texts, side, strict=True):
        normal = unicodedata.normalize("NFC", text or "").strip()
        if normal:
            sides_of.setdefault(normal, set()).add(str(name))
    assert all(len(names) == 1 for names in sides_of.values())


@given(TEXTS, st.randoms(use_true_random=False))
def test_order_of_prompts_does_not_matter(texts: list[str | None], random: object) -> None:
    ids = ids_of(texts)
    order = list(range(len(texts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight = split(ids, texts, seed=3)
    shuffled = split([ids[row] for row in order], [texts[row] for row in order], seed=3)
    assert list(shuffled) == list(straight[order])


def test_distinct_texts_are_cut_at_the_exact_fractions() -> None:
    side = split(ids_of([None] * 200), [f"text {number % 100}" for number in range(200)])
    assert {name: int((side == name).sum()) for name in ("train", "validation", "test")} == {
        "train": 140,
        "validation": 30,
        "test": 30,
    }


def test_another_seed_gives_another_split() -> None:
    texts = [f"text {number}" for number in range(100)]
    assert list(split(ids_of(texts), texts, seed=0)) != list(split(ids_of(texts), texts, seed=1))


def test_split_of_a_text_does_not_depend_on_its_id() -> None:
    texts = [f"text {number}" for number in range(50)]
    renamed = [f"other {number}" for number in range(50)]
    assert list(split(ids_of(texts), texts)) == list(split(renamed, texts))


def test_white_space_around_and_unicode_form_make_no_new_text() -> None:
    keys = duplicate_keys(["a", "b", "c"], ["caf\u00e9", " cafe\u0301\n", "cafe"])
    assert keys[0] == keys[1] != keys[2]


def test_prompts_without_text_are_only_equal_to_themselves() -> None:
    assert len(set(duplicate_keys(["a", "b", "c", "d"], [None, None, "", "  "]))) == 4


def test_split_is_the_same_on_every_machine() -> None:
    texts = [f"text {number}" for number in range(12)]
    assert "".join(name[0] + name[1] for name in split(ids_of(texts), texts, seed=7)) == "trtrvatrtrtetrtrtrvatetr"


def test_no_prompts_no_split() -> None:
    assert split([], []).shape == (0,)


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.5, -0.5, 0.0)])
def test_fractions_that_are_none_are_refused(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(CarrotError, match="sum to 1"):
        split(["a"], ["b"], fractions=fractions)


def test_everything_can_go_into_one_side() -> None:
    assert np.all(split(["a", "b"], ["x", "y"], fractions=(0.0, 0.0, 1.0)) == "test")


PROMPTS = st.lists(st.tuples(st.one_of(st.none(), st.text("abcé", max_size=2)), st.sampled_from("xyz")), max_size=60)


@given(PROMPTS, st.integers(3, 6), st.integers())
def test_folds_keep_identical_texts_together_and_spread_every_task(
    prompts: list[tuple[str | None, str]], n_folds: int, seed: int
) -> None:
    texts, tasks = [text for text, _ in prompts], [task for _, task in prompts]
    keys = duplicate_keys(ids_of(texts), texts)
    if len(set(keys)) < 3:
        with pytest.raises(CarrotError, match="different prompts"):
            folds(ids_of(texts), texts, tasks, n_folds, seed=seed)
        return
    fold = folds(ids_of(texts), texts, tasks, n_folds, seed=seed).tolist()
    fold_of = dict(zip(keys, fold, strict=True))
    assert [fold_of[key] for key in keys] == fold
    n_folds = min(n_folds, len(fold_of))
    sizes = [list(fold_of.values()).count(number) for number in range(n_folds)]
    assert set(fold) == set(range(n_folds))
    assert max(sizes) - min(sizes) <= 1
    for task in set(tasks):
        # texts that are of no other task, so that they go with this one
        own = {key for key, other in zip(keys, tasks, strict=True) if other == task}
        own -= {key for key, other in zip(keys, tasks, strict=True) if other != task}
        if len(own) == len({key for key, other in zip(keys, tasks, strict=True) if other == task}) >= n_folds:
            assert {fold_of[key] for key in own} == set(range(n_folds))


@given(PROMPTS, st.randoms(use_true_random=False))
def test_order_of_prompts_does_not_matter_to_folds(prompts: list[tuple[str | None, str]], random: object) -> None:
    prompts = [*prompts, ("one", "x"), ("two", "y"), ("three", "x")]
    ids, order = ids_of([text for text, _ in prompts]), list(range(len(prompts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    texts, tasks = [text for text, _ in prompts], [task for _, task in prompts]
    straight = folds(ids, texts, tasks)
    shuffled = folds(*([values[row] for row in order] for values in (ids, texts, tasks)))
    assert list(shuffled) == list(straight[order])


def test_two_folds_leave_nothing_to_learn_from() -> None:
    with pytest.raises(CarrotError, match="at least 3 folds"):
        folds(["a", "b", "c"], ["x", "y", "z"], ["", "", ""], 2)
