"""Token prices: from tokens to dollars and back, and dated price tables, the one that ships and the user's own."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from carrot_core import paths
from carrot_core.errors import DataError, Problem

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
    mask = np.isfinite(tokens).all(axis=1) & np.isfinite(cost_usd)
    tokens, cost_usd = tokens[mask], cost_usd[mask]
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


_NUMBERS = ("input_usd_per_mtok", "output_usd_per_mtok")
_DATE = re.compile(r"|\d{4}(-\d{2}(-\d{2})?)?")  # as texts they sort by time, and none before any


def read_prices(path: Path) -> dict[str, Price]:
    """Prices by model name from a CSV with ``model, input_usd_per_mtok, output_usd_per_mtok[, as_of, source]``.

    A model may have several rows of different dates; the latest counts.

    Raises
    ------
    DataError
        Missing columns, a model twice with the same date, a date that is none, or a price that is no number
        of at least 0; row and column are named.
    """
    rows = _rows(path)
    prices: dict[str, Price] = {}
    keys: set[tuple[str, str]] = set()
    problems: list[Problem] = []
    for number, row in enumerate(rows, start=1):
        model, as_of = row["model"], row.get("as_of") or ""
        faults = _problems(number, row, as_of, (model, as_of) in keys)
        keys.add((model, as_of))
        problems += faults
        if not faults and (model not in prices or prices[model].as_of < as_of):
            charged = [float(row[name]) for name in _NUMBERS]
            prices[model] = Price(charged[0], charged[1], as_of, row.get("source") or path.name)
    if problems:
        raise DataError(path.name, problems)
    return prices


def own_prices_path() -> Path:
    """The user's table, with the columns of the shipped one; it may not exist."""
    return paths.home() / "my_prices.csv"  # a name of its own: in a checkout the shipped table is in this folder too


def shipped_prices() -> dict[str, Price]:
    """Prices by model name from the shipped table, overridden by the user's own table whatever the dates.

    Raises
    ------
    DataError
        One of the tables cannot be used.
    """
    own = own_prices_path()
    return read_prices(paths.shipped("prices.csv")) | (read_prices(own) if own.exists() else {})


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(path.name, f"Not a readable CSV file: {error}") from error
    if not rows or any(name not in rows[0] for name in ("model", *_NUMBERS)):
        raise DataError(
            path.name,
            [Problem("No prices here", f"The columns are model, {', '.join(_NUMBERS)}, and as_of, source (optional).")],
        )
    return rows


def _problems(number: int, row: dict[str, str], as_of: str, again: bool) -> list[Problem]:
    problems = []
    if again:
        remedy = "Keep one row a model and date."
        problems.append(Problem("A model stands twice with the same date", remedy, number, "model", row["model"]))
    if not _DATE.fullmatch(as_of):
        problems.append(Problem("Not a date", "Write 2025, 2025-02 or 2025-02-06.", number, "as_of", as_of))
    for name in _NUMBERS:
        if not _is_price(row[name]):
            problems.append(Problem("Not a price", "Give US dollars per million tokens.", number, name, row[name]))
    return problems


def _is_price(text: str | None) -> bool:
    try:
        value = float(text or "")
    except ValueError:
        return False
    return math.isfinite(value) and value >= 0
