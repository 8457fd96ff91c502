"""Price tables given by the user: one row a model, in US dollars per million tokens."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from carrot_core.errors import DataError, Problem
from carrot_core.pricing import Price

_NUMBERS = ("input_usd_per_mtok", "output_usd_per_mtok")


def read_prices(path: Path) -> dict[str, Price]:
    """Prices by model name from a CSV with ``model, input_usd_per_mtok, output_usd_per_mtok[, as_of]``.

    Raises
    ------
    DataError
        Missing columns, a model twice, or a price that is no number of at least 0; row and column are named.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(path.name, f"Not a readable CSV file: {error}") from error
    missing = [name for name in ("model", *_NUMBERS) if rows and name not in rows[0]]
    if not rows or missing:
        raise DataError(
            path.name, [Problem("No prices here", f"The columns are model, {', '.join(_NUMBERS)}, as_of (optional).")]
        )
    prices: dict[str, Price] = {}
    problems: list[Problem] = []
    for number, row in enumerate(rows, start=1):
        if row["model"] in prices:
            problems.append(Problem("A model stands twice", "Keep one row a model.", number, "model", row["model"]))
        for name in _NUMBERS:
            if not _is_price(row[name]):
                problems.append(Problem("Not a price", "Give US dollars per million tokens.", number, name, row[name]))
        if not problems:
            charged = [float(row[name]) for name in _NUMBERS]
            prices[row["model"]] = Price(charged[0], charged[1], row.get("as_of") or "", path.name)
    if problems:
        raise DataError(path.name, problems)
    return prices


def _is_price(text: str | None) -> bool:
    try:
        value = float(text or "")
    except ValueError:
        return False
    return math.isfinite(value) and value >= 0
