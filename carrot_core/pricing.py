"""Token prices: from tokens to dollars, and from recorded dollars back to the price that was paid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TOKENS_PER_PRICE = 1e6


@dataclass(frozen=True)
class Price:
    """List price of one model, in US dollars per million tokens."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    as_of: str = ""
    source: str = ""


def token_cost_usd(
    input_tokens: npt.ArrayLike, output_tokens: npt.ArrayLike, prices: list[Price]
) -> npt.NDArray[np.float64]:
    """Cost of each call in US dollars: (input x input price + output x output price) / 1e6.

    Parameters are (n, M) token tables and one price a model, in column order.
    """
    price_in = np.array([price.input_usd_per_mtok for price in prices])
    price_out = np.array([price.output_usd_per_mtok for price in prices])
    used: npt.NDArray[np.float64] = np.asarray(input_tokens) * price_in + np.asarray(output_tokens) * price_out
    return used / TOKENS_PER_PRICE


def infer_price(
    input_tokens: npt.NDArray[np.float64],
    output_tokens: npt.NDArray[np.float64] | None,
    cost_usd: npt.NDArray[np.float64],
    relative_tolerance: float = 1e-6,
) -> Price | None:
    """Price that turns one model's tokens into exactly its recorded dollars, if one does.

    Many result files record tokens and dollars but not the price between them. Where one pair of
    prices reproduces every row to ``relative_tolerance`` it is what was charged; where none does
    (the provider's own token count, minimum charges) the answer is None and dollars stay dollars.
    """
    columns = [input_tokens] if output_tokens is None else [input_tokens, output_tokens]
    tokens = np.column_stack(columns).astype(np.float64)
    seen = np.isfinite(tokens).all(axis=1) & np.isfinite(cost_usd)
    tokens, cost_usd = tokens[seen], cost_usd[seen]
    if len(tokens) < 2 or np.linalg.matrix_rank(tokens) < tokens.shape[1]:
        return None
    if (np.ptp(tokens, axis=0) == 0).any():
        return None  # a count that never varies cannot tell a price from a flat fee
    solution, *_ = np.linalg.lstsq(tokens, cost_usd * TOKENS_PER_PRICE, rcond=None)
    paid = tokens @ solution / TOKENS_PER_PRICE
    scale = np.maximum(np.abs(cost_usd), cost_usd.mean() * 1e-3)
    if (np.abs(paid - cost_usd) > relative_tolerance * scale).any() or (solution < -1e-9).any():
        return None
    exact = [float(f"{max(value, 0.0):.6g}") for value in solution]
    output_price = exact[1] if output_tokens is not None else 0.0
    return Price(exact[0], output_price, source="inferred from tokens and dollars")
