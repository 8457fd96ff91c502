"""Token prices: from tokens to dollars and back; `carrot_core.prices.files` reads dated tables of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from carrot_core.errors import DataError

TOKENS_PER_PRICE = 1e6
INFERRED = "inferred from tokens and dollars"  # the source of a price that no file states
# Fields that few prices have.
MORE_PRICES = (
    "cached_input_usd_per_mtok", "reasoning_usd_per_mtok", "cached_input_share", "reasoning_share", "tiers",
)  # fmt: skip


class Tier(NamedTuple):
    """Prices of all tokens of a call with more input tokens than a bound, in US dollars per million tokens."""

    above_input_tokens: float
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None

    def scaled(self, input_factor: float, output_factor: float) -> Tier:
        """See `Price.scaled`."""
        cached = self.cached_input_usd_per_mtok
        return Tier(
            self.above_input_tokens,
            self.input_usd_per_mtok * input_factor,
            self.output_usd_per_mtok * output_factor,
            None if cached is None else cached * input_factor,
        )


@dataclass(frozen=True)
class Price:
    """List price of one model, in US dollars per million tokens.

    Attributes
    ----------
    as_of, source : its date and source; "" if not known.
    cached_input_usd_per_mtok : price of input read from a cache; None if it costs as much as other input.
    reasoning_usd_per_mtok : price of output that is reasoning; None if it costs as much as other output.
    tiers : prices of calls with a long input, ascending.
    cached_input_share, reasoning_share : expected share of the input that comes from a cache, and of the output that
        is reasoning, 0 to 1; None if not known, which counts as 0.
    """

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    as_of: str = ""
    source: str = ""
    cached_input_usd_per_mtok: float | None = None
    reasoning_usd_per_mtok: float | None = None
    tiers: tuple[Tier, ...] = ()
    cached_input_share: float | None = None
    reasoning_share: float | None = None

    def scaled(self, input_factor: float, output_factor: float) -> Price:
        """A copy with every price of input and of output multiplied by its factor."""
        cached, reasoning = self.cached_input_usd_per_mtok, self.reasoning_usd_per_mtok
        return replace(
            self,
            input_usd_per_mtok=self.input_usd_per_mtok * input_factor,
            output_usd_per_mtok=self.output_usd_per_mtok * output_factor,
            cached_input_usd_per_mtok=None if cached is None else cached * input_factor,
            reasoning_usd_per_mtok=None if reasoning is None else reasoning * output_factor,
            tiers=tuple(tier.scaled(input_factor, output_factor) for tier in self.tiers),
        )

    @property
    def expected(self) -> Price:
        """The expected price of a call with only total input and output known: one price of input and one of output,
        the means over the kinds of tokens by their shares."""
        cached, reasoning = self.cached_input_share or 0.0, self.reasoning_share or 0.0
        if not (cached or reasoning):
            return self

        def mean(at: Price | Tier) -> tuple[float, float]:
            of_input, of_output, of_cached, of_reasoning = _rates(self, at)
            mean_input = (1 - cached) * of_input + cached * of_cached
            return mean_input, (1 - reasoning) * of_output + reasoning * of_reasoning

        tiers = tuple(Tier(tier.above_input_tokens, *mean(tier)) for tier in self.tiers)
        return Price(*mean(self), self.as_of, self.source, tiers=tiers)

    def with_shares(
        self,
        input_tokens: npt.NDArray[np.float64],
        output_tokens: npt.NDArray[np.float64],
        cached_input_tokens: npt.NDArray[np.float64] | None = None,
        reasoning_tokens: npt.NDArray[np.float64] | None = None,
    ) -> Price:
        """A copy with the shares of the kinds of tokens, of those it has a price for, in some calls of the model.

        All tokens are (n,), NaN where not recorded.
        """
        of_cached = {self.cached_input_usd_per_mtok, *(tier.cached_input_usd_per_mtok for tier in self.tiers)}
        return replace(
            self,
            cached_input_share=_share(cached_input_tokens, input_tokens) if of_cached - {None} else None,
            reasoning_share=None if self.reasoning_usd_per_mtok is None else _share(reasoning_tokens, output_tokens),
        )

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Price:
        """A price from the plain values of its fields, as JSON has them."""
        return cls(**{**document, "tiers": tuple(Tier(*tier) for tier in document["tiers"])})

    @property
    def is_free(self) -> bool:
        """Whether no token costs anything."""
        return not any(_numbers_of(self))


def _share(part: npt.NDArray[np.float64] | None, whole: npt.NDArray[np.float64]) -> float | None:
    """Share of a kind of tokens in all tokens; unrecorded counts are 0."""
    total = np.nansum(whole)
    if part is None or np.isnan(part).all() or not total:
        return None
    return float(np.nansum(np.minimum(np.nan_to_num(part), whole)) / total)


FREE = Price(0.0, 0.0, source="said to be free")


class Rates(NamedTuple):
    """US dollars per million tokens of each kind: (M,), or (n, M) if a model has tiers."""

    input: npt.NDArray[np.float64]
    output: npt.NDArray[np.float64]
    cached: npt.NDArray[np.float64]
    reasoning: npt.NDArray[np.float64]


def rates_of(prices: Sequence[Price], input_tokens: npt.ArrayLike) -> Rates:
    """Rates of the tokens of (n, M) calls, by the number of their input tokens."""
    flat = np.array([_rates(price, price) for price in prices]).reshape(-1, len(Rates._fields)).T
    if not any(price.tiers for price in prices):
        return Rates(*flat)
    tokens = np.asarray(input_tokens)
    each = np.repeat(flat[:, None, :], len(tokens), axis=1)
    for column, price in enumerate(prices):
        for tier in price.tiers:
            each[:, tokens[:, column] > tier.above_input_tokens, column] = np.array(_rates(price, tier))[:, None]
    return Rates(*each)


def _rates(price: Price, at: Price | Tier) -> tuple[float, float, float, float]:
    cached, reasoning = at.cached_input_usd_per_mtok, price.reasoning_usd_per_mtok
    return (
        at.input_usd_per_mtok,
        at.output_usd_per_mtok,
        at.input_usd_per_mtok if cached is None else cached,
        at.output_usd_per_mtok if reasoning is None else reasoning,
    )


def _numbers_of(price: Price) -> list[float]:
    """Every figure of a price, in US dollars per million tokens."""
    tiers = [number for tier in price.tiers for number in tier[1:]]
    figures = (price.input_usd_per_mtok, price.output_usd_per_mtok)
    more = (price.cached_input_usd_per_mtok, price.reasoning_usd_per_mtok, *tiers)
    return [*figures, *(figure for figure in more if figure is not None)]


def check_prices(prices: Mapping[str, Price]) -> None:
    """Raise a `DataError` unless all prices are finite and at least 0."""
    for model, price in prices.items():
        for value in _numbers_of(price):
            if not (math.isfinite(value) and value >= 0):
                raise DataError("prices", f"the price of {model!r} is {value}; it must be a number from 0 up")


def token_cost_usd(
    input_tokens: npt.ArrayLike,
    output_tokens: npt.ArrayLike,
    prices: Sequence[Price],
    *,
    cached_input_tokens: npt.ArrayLike = 0.0,
    reasoning_tokens: npt.ArrayLike = 0.0,
) -> npt.NDArray[np.float64]:
    """Cost of each call in US dollars: the sum of tokens x price over the kinds of tokens, ÷ 1e6.

    Parameters
    ----------
    input_tokens, output_tokens : (n, M); NaN = not known, which makes the cost NaN unless the price is 0.
    prices : one per model, in column order.
    cached_input_tokens, reasoning_tokens : (n, M), or one number: how many of the input tokens came from a cache and
        how many of the output tokens are reasoning, for models with a price for them; NaN = none.
    """
    tokens_in, tokens_out = (np.asarray(table, dtype=np.float64) for table in (input_tokens, output_tokens))
    rates = rates_of(prices, tokens_in)
    cached = _at_own_price(cached_input_tokens, tokens_in, rates.cached != rates.input)
    reasoning = _at_own_price(reasoning_tokens, tokens_out, rates.reasoning != rates.output)
    of_input = _micro_usd(tokens_in - cached, rates.input) + _micro_usd(cached, rates.cached)
    of_output = _micro_usd(tokens_out - reasoning, rates.output) + _micro_usd(reasoning, rates.reasoning)
    cost_usd: npt.NDArray[np.float64] = (of_input + of_output) / TOKENS_PER_PRICE
    return cost_usd


def _at_own_price(part: npt.ArrayLike, whole: npt.NDArray[np.float64], differs: npt.NDArray[np.bool_]) -> Any:
    """The tokens, at most all, whose price differs from that of the others."""
    return np.where(differs, np.fmin(np.nan_to_num(part), whole), 0.0)


def _micro_usd(tokens: npt.NDArray[np.float64], rate: npt.NDArray[np.float64]) -> Any:
    return np.where(rate > 0, tokens, 0.0) * rate


def all_input_tokens(recorded: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, M) input tokens, with estimates for models that were not run and so have none recorded (NaN).

    Tokenisers differ by a nearly constant factor, so an unrecorded count is the mean of the other models' on that
    prompt times the model's own factor; exact where all share one tokeniser.
    """
    mask = ~np.isnan(recorded)
    if mask.all():
        return recorded
    whole = recorded[mask.all(axis=1)]
    factor = whole.mean(axis=0) / whole.mean() if whole.size else np.ones(recorded.shape[1])
    scaled = np.where(mask, recorded, 0.0) / factor
    with np.errstate(invalid="ignore"):
        length = scaled.sum(axis=1, keepdims=True) / mask.sum(axis=1, keepdims=True)
    return np.where(mask, recorded, length * factor)


_DECIMALS = 10  # of dollars that are taken for rounded ones, at most
_LEAST_ROWS, _LEAST_UNITS = 20, 10.0  # and last decimals that dollars vary by; with less any price would fit


def infer_price(
    input_tokens: npt.NDArray[np.float64],
    output_tokens: npt.NDArray[np.float64] | None,
    cost_usd: npt.NDArray[np.float64],
    relative_tolerance: float = 1e-6,
) -> Price | None:
    """Price that turns one model's tokens into exactly its recorded dollars, if one does.

    Many result files record tokens and dollars but not the price between them. If one pair of
    prices reproduces every row, that pair was charged; if none does (the provider's own token count,
    minimum charges), the result is None and dollars stay dollars. A row is reproduced to
    ``relative_tolerance``; where dollars are rounded and vary by many of their last decimals, to half of
    the last one. Then several pairs may do, and one with few digits is taken.
    """
    columns = [input_tokens] if output_tokens is None else [input_tokens, output_tokens]
    tokens = np.column_stack(columns).astype(np.float64)
    mask = np.isfinite(tokens).all(axis=1) & np.isfinite(cost_usd)
    tokens, cost_usd = tokens[mask], cost_usd[mask]
    if len(tokens) < 2 or np.linalg.matrix_rank(tokens) < tokens.shape[1]:
        return None
    if (np.ptp(tokens, axis=0) == 0).any():
        return None  # a count that never varies cannot tell a price from a flat fee
    solution, *_ = np.linalg.lstsq(tokens, cost_usd * TOKENS_PER_PRICE, rcond=None)
    paid = tokens @ solution / TOKENS_PER_PRICE
    scale = np.maximum(np.abs(cost_usd), cost_usd.mean() * 1e-3)
    allowed = np.maximum(relative_tolerance * scale, rounding := _rounding_usd(cost_usd) * (1 + relative_tolerance))
    # The fit itself may be a little farther off than the prices that were charged.
    if (np.abs(paid - cost_usd) > allowed + rounding).any() or (solution < -1e-9).any():
        return None
    if not rounding:
        exact = tuple(float(f"{max(value, 0.0):.6g}") for value in solution)
    else:
        for exact in product(*map(_plain_prices, solution.tolist())):
            if (np.abs(tokens @ exact / TOKENS_PER_PRICE - cost_usd) <= allowed).all():
                break
        else:
            return None
    return Price(exact[0], 0.0 if output_tokens is None else exact[1], source=INFERRED)


def _plain_prices(price: float) -> list[float]:
    """Prices near one, those with the fewest digits first."""
    if price <= 0:
        return [0.0]
    steps = [10.0 ** (int(np.floor(np.log10(price))) - digit) for digit in range(6)]
    return [round((round(price / step) + off) * step, 12) for step in steps for off in (0, -1, 1)]


def _rounding_usd(cost_usd: npt.NDArray[np.float64]) -> float:
    """Half of the last decimal that dollars are written with; 0 where they are not rounded, or too few or too alike."""
    for decimals in range(_DECIMALS):
        shifted = cost_usd * 10.0**decimals
        if np.allclose(shifted, np.round(shifted), rtol=0, atol=1e-6):
            tells = len(shifted) >= _LEAST_ROWS and np.std(shifted) >= _LEAST_UNITS
            return 0.5 / 10.0**decimals if tells else 0.0
    return 0.0
