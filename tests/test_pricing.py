"""From tokens to dollars and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.prices import Price, infer_price, token_cost_usd

TOKENS_IN = np.array([100.0, 250.0, 40.0, 900.0])
TOKENS_OUT = np.array([10.0, 300.0, 77.0, 5.0])


def test_a_million_tokens_cost_their_price():
    assert token_cost_usd([[1e6]], [[2e6]], [Price(3.0, 15.0)]).tolist() == [[33.0]]


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_price_behind_tokens_and_dollars_is_found(cents_in, cents_out):
    price = Price(cents_in / 100, cents_out / 100)
    cost = token_cost_usd(TOKENS_IN[:, None], TOKENS_OUT[:, None], [price])[:, 0]
    found = infer_price(TOKENS_IN, TOKENS_OUT, cost)
    assert found is not None
    assert found.input_usd_per_mtok == pytest.approx(price.input_usd_per_mtok, abs=1e-6)
    assert found.output_usd_per_mtok == pytest.approx(price.output_usd_per_mtok, abs=1e-6)


def test_where_only_input_is_charged_the_input_price_is_found():
    found = infer_price(TOKENS_IN, None, TOKENS_IN * 0.9 / 1e6)
    assert found is not None
    assert (found.input_usd_per_mtok, found.output_usd_per_mtok) == (0.9, 0.0)


@pytest.mark.parametrize(
    ("tokens_out", "cost"),
    [
        (TOKENS_OUT, np.full(4, 0.01)),  # a flat fee
        (TOKENS_OUT, np.array([1e-4, 3e-4, 1e-4, 9.1e-4])),  # dollars of another tokeniser
        (TOKENS_IN * 2, TOKENS_IN / 1e6),  # proportional counts do not tell the two prices apart
        (TOKENS_OUT, np.full(4, np.nan)),
        (np.ones(4), np.full(4, 0.36)),  # one token out each time: a flat fee, not $360,000 a million
    ],
)
def test_dollars_no_price_explains_stay_dollars(tokens_out, cost):
    assert infer_price(TOKENS_IN, tokens_out, cost) is None
