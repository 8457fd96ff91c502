"""Dollars of every cell, as recorded or from prices and tokens; and the price that recorded dollars imply."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from carrot_core.benchmarks.table_file import TableFile
from carrot_core.errors import DataError, Problem
from carrot_core.prices import Price, infer_price, token_cost_usd


def check_prices(prices: Mapping[str, Price]) -> None:
    """Raise a `DataError` unless all prices are finite and at least 0."""
    for model, price in prices.items():
        for value in (price.input_usd_per_mtok, price.output_usd_per_mtok):
            if not (math.isfinite(value) and value >= 0):
                raise DataError("prices", f"the price of {model!r} is {value}; it must be a number from 0 up")


def cost_problems(table: TableFile, prices: Mapping[str, Price]) -> list[Problem]:
    """One problem that lists the models without dollars in any cell and without a way to compute them."""
    lost = _without_cost(table, prices)
    if not lost:
        return []
    model, row, _ = lost[0]
    several = f" (first of {len(lost)} such models)" if len(lost) > 1 else ""
    lacking = "the tokens its price is for" if model in prices else "a price"
    return [
        Problem(
            f"{model!r} has no cost_usd, and none can be computed without {lacking}{several}",
            "Add a column cost_usd, or input_tokens, output_tokens and a price for every model.",
            row,
            table.column_of("cost_usd", model),
        )
    ]


def unpriced(table: TableFile, prices: Mapping[str, Price]) -> tuple[str, ...]:
    """Models with tokens and no dollars, if a price for each is all that is missing; else empty."""
    lost = _without_cost(table, prices)
    return tuple(model for model, _, _ in lost) if all(usable for _, _, usable in lost) else ()


def _without_cost(table: TableFile, prices: Mapping[str, Price]) -> list[tuple[str, int, bool]]:
    """Model, its first row, and whether a price would do, of each model without any cost."""
    rows = table.connection.execute(
        "select model, min(row), count(cost_usd), "
        "count(*) filter (input_tokens is not null and (output_tokens is not null "
        "or (select count(output_tokens) from cells) = 0)) "
        "from cells where score is not null group by model order by min(cell)"
    ).fetchall()
    return [
        (model, row, bool(usable) and model not in prices)
        for model, row, paid, usable in rows
        if not paid and (model not in prices or not usable)
    ]


def with_costs(outcomes: pd.DataFrame, prices: Mapping[str, Price]) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Fill in missing dollars and find each model's price.

    Returns
    -------
    outcomes with ``cost_usd`` filled where prices and tokens allow, one row of prices a model (sorted by
    name; NaN where no token price reproduces the dollars), and what is to be said about it.
    """
    input_only = bool(outcomes["output_tokens"].isna().all())
    cost = outcomes["cost_usd"].to_numpy(dtype=np.float64, copy=True)
    by_model: dict[str, Price | None] = {}
    unused = set(prices) - set(outcomes["model"])
    for model, rows in outcomes.groupby("model", sort=True).indices.items():
        name = str(model)
        tokens_in = outcomes["input_tokens"].to_numpy()[rows]
        tokens_out = None if input_only else outcomes["output_tokens"].to_numpy()[rows]
        missing = np.isnan(cost[rows])
        if name in prices and missing.any():
            paid_for = np.zeros(len(rows)) if tokens_out is None else tokens_out
            priced = token_cost_usd(tokens_in[:, None], paid_for[:, None], [prices[name]])[:, 0]
            cost[rows] = np.where(missing, priced, cost[rows])
        elif name in prices:
            unused.add(name)
        by_model[name] = (
            prices[name] if name in prices and missing.all() else infer_price(tokens_in, tokens_out, cost[rows])
        )
    warnings = _cost_warnings(outcomes, cost, by_model, input_only, unused)
    return outcomes.assign(cost_usd=cost), _price_table(by_model), warnings


def _price_table(prices: Mapping[str, Price | None]) -> pd.DataFrame:
    unknown = Price(math.nan, math.nan)
    table = pd.DataFrame([vars(price or unknown) for price in prices.values()])
    table.insert(0, "model", pd.Series(list(prices), dtype=object))
    return table


def _cost_warnings(
    outcomes: pd.DataFrame,
    cost: np.ndarray[tuple[int], np.dtype[np.float64]],
    prices: Mapping[str, Price | None],
    input_only: bool,
    unused: set[str],
) -> list[str]:
    warnings = []
    has_tokens = bool(outcomes["input_tokens"].notna().any())
    if unused:
        warnings.append(
            f"Prices not used (no such model here, or its dollars are recorded): {', '.join(sorted(unused))}."
        )
    if not has_tokens:
        warnings.append("No tokens are recorded: costs stay the dollars of the file and cannot be re-priced.")
    elif input_only:
        warnings.append("No output tokens are recorded: a price can only be put on the input.")
    dollars = [name for name, price in prices.items() if price is None]
    if has_tokens and dollars:
        warnings.append(
            f"For {len(dollars)} of {len(prices)} models no token price reproduces the dollars of the file, so all "
            f"costs stay dollars: {', '.join(dollars)}."
        )
    if np.isnan(cost).any():
        warnings.append(f"{int(np.isnan(cost).sum()):,} outcomes have no cost; they count where only scores matter.")
    return warnings
