"""From tokens to dollars and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrot_core.prices import Price, Tier, infer_price, token_cost_usd

Tokens = npt.NDArray[np.float64]
TOKENS_IN = np.array([100.0, 250.0, 40.0, 900.0])
TOKENS_OUT = np.array([10.0, 300.0, 77.0, 5.0])


def test_a_million_tokens_cost_their_price():
    assert token_cost_usd([[1e6]], [[2e6]], [Price(3.0, 15.0)]).tolist() == [[33.0]]


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_price_behind_tokens_and_dollars_is_found(cents_in, cents_out):
    price = Price(cents_in / 100, cents_out / 100)
    cost = token_cost_usd(TOKENS_IN[:, None], TOKENS_OUT[:, None], [price])[:, 0]
    result = infer_price(TOKENS_IN, TOKENS_OUT, cost)
    assert result is not None
    assert result.input_usd_per_mtok == pytest.approx(price.input_usd_per_mtok, abs=1e-6)
    assert result.output_usd_per_mtok == pytest.approx(price.output_usd_per_mtok, abs=1e-6)


def test_where_only_input_is_charged_the_input_price_is_found():
    result = infer_price(TOKENS_IN, None, TOKENS_IN * 0.9 / 1e6)
    assert result is not None
    assert (result.input_usd_per_mtok, result.output_usd_per_mtok) == (0.9, 0.0)


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


@given(st.integers(10, 2_000), st.integers(1, 8), st.integers(0, 1_000))
def test_prices_are_found_behind_dollars_that_are_rounded_and_none_behind_others(cents_in, times, seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(20, 4_000, (40, 2)).astype(float)
    cost = tokens @ np.array([cents_in, cents_in * times]) / 1e8
    decimals = int(np.ceil(-np.log10(cost.std()))) + 2  # so that costs vary by 100 to 1,000 of the last one
    result = infer_price(tokens[:, 0], tokens[:, 1], np.round(cost, decimals))
    assert result is not None
    paid = tokens @ np.array([result.input_usd_per_mtok, result.output_usd_per_mtok]) / 1e6
    assert np.abs(paid - np.round(cost, decimals)).max() <= 0.51 * 10.0**-decimals
    others = np.round(cost * rng.uniform(0.9, 1.1, len(cost)), decimals)
    assert infer_price(tokens[:, 0], tokens[:, 1], others) is None
    assert infer_price(tokens[:5, 0], tokens[:5, 1], np.round(cost[:5], decimals)) is None


COUNTS = st.integers(0, 400_000)
PRICE = st.sampled_from([0.0, 0.125, 0.3, 1.25, 15.0])
MORE = st.none() | PRICE
TIERS = st.lists(st.builds(Tier, st.sampled_from([1e3, 1.28e5, 2e5]), PRICE, PRICE, MORE), max_size=3).map(
    lambda tiers: tuple(sorted(tiers, key=lambda tier: tier.above_input_tokens))
)
PRICES = st.builds(
    Price, PRICE, PRICE, cached_input_usd_per_mtok=MORE, reasoning_usd_per_mtok=MORE, tiers=TIERS
)  # fmt: skip
CALLS = st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), min_size=1, max_size=5)


def slow_cost_usd(price: Price, call: tuple[int, int, int, int]) -> float:
    """One call, token kind by token kind, as a bill reads."""
    tokens_in, tokens_out, cached, reasoning = call
    at: Price | Tier = price
    for tier in price.tiers:
        if tokens_in > tier.above_input_tokens:
            at = tier
    of_cached = at.input_usd_per_mtok if at.cached_input_usd_per_mtok is None else at.cached_input_usd_per_mtok
    of_reasoning = at.output_usd_per_mtok if price.reasoning_usd_per_mtok is None else price.reasoning_usd_per_mtok
    cached, reasoning = min(cached, tokens_in), min(reasoning, tokens_out)
    bill = (tokens_in - cached) * at.input_usd_per_mtok + cached * of_cached
    return (bill + (tokens_out - reasoning) * at.output_usd_per_mtok + reasoning * of_reasoning) / 1e6


@given(st.lists(PRICES, min_size=1, max_size=4), CALLS)
def test_every_kind_of_token_costs_its_own_price(prices: list[Price], calls: list[tuple[int, int, int, int]]) -> None:
    tokens = np.repeat(np.array(calls, dtype=float)[:, None, :], len(prices), axis=1)
    cost = token_cost_usd(
        tokens[..., 0], tokens[..., 1], prices, cached_input_tokens=tokens[..., 2], reasoning_tokens=tokens[..., 3]
    )
    np.testing.assert_allclose(cost, [[slow_cost_usd(price, call) for price in prices] for call in calls], rtol=1e-12)


@given(PRICES, CALLS, st.floats(0, 1), st.floats(0, 1))
def test_expected_and_recorded_dollars_agree_at_the_same_tokens(
    price: Price, calls: list[tuple[int, int, int, int]], cached: float, reasoning: float
) -> None:
    tokens_in, tokens_out, *kinds = np.array(calls, dtype=float).T
    alike = price.with_shares(tokens_in, tokens_out, cached * tokens_in, reasoning * tokens_out)
    paid = _cost(price, tokens_in, tokens_out, cached * tokens_in, reasoning * tokens_out)
    np.testing.assert_allclose(_cost(alike.expected, tokens_in, tokens_out), paid, rtol=1e-9)  # every call
    flat = replace(price, tiers=())
    various = flat.with_shares(tokens_in, tokens_out, *kinds)
    total = _cost(flat, tokens_in, tokens_out, *kinds).sum()
    assert _cost(various.expected, tokens_in, tokens_out).sum() == pytest.approx(total, rel=1e-9)  # all calls together


def _cost(
    price: Price, tokens_in: Tokens, tokens_out: Tokens, cached: Tokens | None = None, reasoning: Tokens | None = None
) -> Tokens:
    kinds = {"cached_input_tokens": cached, "reasoning_tokens": reasoning}
    more = {name: table[:, None] for name, table in kinds.items() if table is not None}
    return token_cost_usd(tokens_in[:, None], tokens_out[:, None], [price], **more)[:, 0]


def test_a_price_without_shares_is_what_is_expected() -> None:
    price = Price(1.0, 2.0, "2025", "a", 0.1, 4.0, (Tier(50.0, 3.0, 5.0, 0.5),))
    assert price.expected is price
    some = np.array([10.0, 20.0])
    assert price.with_shares(some, some) == price  # nothing recorded
    assert Price(1.0, 2.0).with_shares(some, some, some, some) == Price(1.0, 2.0)  # no price of its own


def test_tokens_that_cost_nothing_need_not_be_known() -> None:
    unknown = np.array([[np.nan]])
    assert token_cost_usd(unknown, unknown, [Price(0.0, 0.0)]).tolist() == [[0.0]]
    assert token_cost_usd([[1e6]], unknown, [Price(2.0, 0.0)]).tolist() == [[2.0]]
    assert np.isnan(token_cost_usd(unknown, [[1.0]], [Price(2.0, 0.0)])).all()


def test_a_scaled_price_costs_as_much_more() -> None:
    price = Price(1.0, 2.0, "2025", "a", 0.1, 4.0, (Tier(50.0, 3.0, 5.0, 0.5),))
    for tokens_in in (10.0, 100.0):
        calls = np.array([[tokens_in]]), np.array([[0.0]])
        assert token_cost_usd(*calls, [price.scaled(3.0, 7.0)]) == pytest.approx(3 * token_cost_usd(*calls, [price]))
    assert not price.is_free
    assert price.scaled(0.0, 0.0).is_free
