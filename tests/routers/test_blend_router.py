"""The blend as a router: text beside vectors, no task label at decision time, and clear refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carrot_core.errors import CarrotError
from carrot_core.routers import make_router
from tests.made import made


@pytest.fixture(scope="module")
def bench():
    return made(200)


@pytest.fixture(scope="module")
def fitted(bench):
    return make_router("carrot-blend").fit(bench.part("train"))


def test_no_task_label_and_no_outcome_is_read(bench, fitted):
    test = bench.part("test")
    outcomes = replace(test.outcomes, score=1 - test.outcomes.score, cost_usd=test.outcomes.cost_usd * 2)
    blind = replace(test, tasks=("?",) * len(test.tasks), outcomes=outcomes)
    expected, result = fitted.estimate(test), fitted.estimate(blind)
    np.testing.assert_array_equal(result.score, expected.score)
    np.testing.assert_array_equal(result.cost_usd, expected.cost_usd)


def test_it_learns_which_model_is_right(bench, fitted):
    test = bench.part("test")
    chosen = fitted.estimate(test).score[:, 1:].argmax(axis=1)
    right = np.array([task.endswith("1") for task in test.tasks])
    assert (chosen == right).mean() > 0.9


def test_the_text_is_read_beside_the_vector(bench, fitted):
    test = bench.part("test")
    other = fitted.estimate(replace(test, texts=tuple(f"{text} {{x}} = 12?" for text in test.texts)))
    assert not np.allclose(other.score, fitted.estimate(test).score)


def test_prompts_without_text_are_refused_once_text_was_learned_from(bench, fitted):
    test = bench.part("test")
    with pytest.raises(CarrotError, match="reads the text"):
        fitted.estimate(replace(test, texts=(None, *test.texts[1:])))


def test_without_any_text_vectors_alone_are_used(bench):
    silent = replace(bench, texts=(None,) * len(bench.texts))
    router = make_router("carrot-blend").fit(silent.part("train"))
    assert router.text_features_ is None
    assert np.isfinite(router.estimate(silent.part("test")).score).all()
