"""Text features: what they see, that a row depends on its text alone, and that odd texts are legal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.routers.inputs import TextFeatures, _form_of

TEXTS = tuple(f"Solve the integral of x^{i} dx" for i in range(40)) + tuple(
    f"Which court heard case {i}?\nA. High\nB. Low" for i in range(40)
)


@pytest.fixture(scope="module")
def features() -> TextFeatures:
    return TextFeatures().fit(TEXTS)


def test_kinds_of_prompts_are_told_apart(features):
    result = features.transform(["Solve the integral of y^2 dy", "Which court heard this case?\nA. High\nB. Low"])
    train = features.transform(TEXTS)
    distance = np.linalg.norm(result[:, None] - train[None], axis=2)
    assert (distance.argmin(axis=1) // 40).tolist() == [0, 1]


def test_a_row_depends_on_its_text_alone(features):
    together = features.transform(TEXTS)
    for row in (0, 41, 79):
        np.testing.assert_allclose(features.transform([TEXTS[row]])[0], together[row], rtol=1e-10, atol=1e-12)


def test_the_form_is_what_is_counted():
    logs = [np.exp(value) - 1 for value in _form_of("What is 2+2?\nA. Four\nB. Five")[:6]]
    np.testing.assert_allclose(logs, [28, 7, 2, 2, 1, 2])
    assert _form_of("What is 2+2?\nA. Four\nB. Five")[10:12] == (2, 1)


@given(st.text(max_size=40))
def test_any_text_gives_finite_numbers(text):
    assert np.isfinite(TextFeatures().fit([*TEXTS[:3], text]).transform([text, ""])).all()


@pytest.mark.parametrize("texts", [["one"], ["", ""], ["the same"] * 5])
def test_few_empty_and_equal_texts_are_legal(texts):
    assert np.isfinite(TextFeatures().fit(texts).transform(["something else", ""])).all()
