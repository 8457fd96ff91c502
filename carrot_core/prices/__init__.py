"""Token prices: from tokens to dollars and back, and dated price tables, the one that ships and the user's own."""

from carrot_core.prices.files import (
    PriceList,
    match_name,
    own_prices_path,
    read_prices,
    read_records,
    shipped_prices,
)
from carrot_core.prices.price import (
    FREE,
    MORE_PRICES,
    TOKENS_PER_PRICE,
    Price,
    Rates,
    Tier,
    check_prices,
    infer_price,
    rates_of,
    token_cost_usd,
)

__all__ = [
    "FREE",
    "MORE_PRICES",
    "TOKENS_PER_PRICE",
    "Price",
    "PriceList",
    "Rates",
    "Tier",
    "check_prices",
    "infer_price",
    "match_name",
    "own_prices_path",
    "rates_of",
    "read_prices",
    "read_records",
    "shipped_prices",
    "token_cost_usd",
]
