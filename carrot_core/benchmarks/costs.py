"""Dollars of every cell, as recorded or from prices and tokens; costs of 0; the price that recorded dollars imply."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.benchmarks.table_file import TableFile
from carrot_core.errors import Problem
from carrot_core.outcomes import positions
from carrot_core.prices import FREE, MORE_PRICES, Price, Tier, check_prices, infer_price, token_cost_usd
from carrot_core.prices.files import PriceList, match_name
from carrot_core.text import names_listed

PRICE_COLUMNS = ("input_usd_per_mtok", "output_usd_per_mtok", "as_of", "source")


@dataclass(frozen=True)
class Pricing:
    """The prices of a file's models.

    Attributes
    ----------
    by_model : price by the name of the model in the file of results.
    meant : for a model without a price, names of the price file that may be its own.
    absent : names of the price file that no model has, unless it is a map of all models there are.
    notes : what is to be said of the prices.
    """

    by_model: Mapping[str, Price]
    meant: Mapping[str, tuple[str, ...]]
    absent: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def free(self) -> frozenset[str]:
        """Models whose price is 0, so that their costs of 0 are meant."""
        return frozenset(model for model, price in self.by_model.items() if price.is_free)


def scored_models(table: TableFile) -> list[str]:
    """Models with a score, in the order of their names."""
    rows = table.connection.execute("select distinct model from cells where score is not null order by model")
    return [model for (model,) in rows.fetchall() if model is not None]


def pricing_of(models: Sequence[str], prices: Mapping[str, Price]) -> Pricing:
    """The price of each model, by the rule of `match_name`.

    Raises
    ------
    NotFoundError
        A model is said to be free that the file does not have.
    DataError
        A price below 0, or that is no number.
    """
    check_prices(prices)
    positions([name for name, price in prices.items() if price is FREE], models)
    figures = {name: replace(price, as_of="", source="") for name, price in prices.items()}
    matches = {model: match_name(model, figures) for model in models}
    names = {model: match.name for model, match in matches.items() if match.name}
    by_model = {model: prices[name] for model, name in names.items()}
    notes = list(prices.notes) if isinstance(prices, PriceList) else []
    renamed = [f"{model!r} has that of {name!r}" for model, name in names.items() if model != name]
    if renamed:
        notes.append(f"Prices by another name: {names_listed(renamed, 10)}.")
    meant = {model: match.meant for model, match in matches.items() if match.meant}
    doubtful = [f"{model!r} (did you mean {_either(others)}?)" for model, others in meant.items()]
    if doubtful:
        notes.append(f"No price is taken for {names_listed(doubtful, 10)}.")
    others = prices.others if isinstance(prices, PriceList) else {}
    ignored = sorted({column for name in names.values() for column in others.get(name, ())})
    if ignored:
        notes.append(f"Prices that are not used: {', '.join(ignored)}.")
    absent = () if others else tuple(sorted(set(prices) - set(names.values())))
    return Pricing(by_model, meant, absent, tuple(notes))


def _either(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def cost_problems(table: TableFile, pricing: Pricing) -> list[Problem]:
    """One problem that lists the models without dollars in any cell and without a way to compute them."""
    lost = _without_cost(table, pricing.by_model)
    if not lost:
        return []
    model, row, _ = lost[0]
    several = f" (first of {len(lost)} such models)" if len(lost) > 1 else ""
    lacking = "the tokens its price is for" if model in pricing.by_model else "a price"
    meant = f" Did you mean {_either(pricing.meant[model])} of the prices?" if model in pricing.meant else ""
    return [
        Problem(
            f"{model!r} has no cost_usd, and none can be computed without {lacking}{several}",
            "Add a column cost_usd, or input_tokens, output_tokens and a price for every model; "
            f"a free model is named by --free.{meant}{_where_dollars_may_be(table)}",
            row,
            table.column_of("cost_usd", model),
        )
    ]


def _where_dollars_may_be(table: TableFile) -> str:
    """A sentence that names a column of costs whose unit its name does not say; "" where there is none."""
    names = [] if table.wide or "cost_usd" in table.types else list(table.types)
    source = next((name for name in names if "cost" in name.casefold() or "price" in name.casefold()), None)
    return f" If {source!r} is in US dollars: --column {shlex.quote(f'cost_usd={source}')}" if source else ""


def unpriced(table: TableFile, pricing: Pricing) -> tuple[str, ...]:
    """Models with tokens and no dollars, if a price for each is all that is missing; else empty."""
    lost = _without_cost(table, pricing.by_model)
    return tuple(model for model, _, _ in lost) if all(usable for _, _, usable in lost) else ()


def _without_cost(table: TableFile, prices: Mapping[str, Price]) -> list[tuple[str, int, bool]]:
    """Model, its first row, and whether a price would do, of each model without any cost."""
    rows = table.connection.execute(
        "select model, min(row), count(*), count(input_tokens), count(output_tokens), count(input_tokens + "
        "output_tokens), (select count(output_tokens) > 0 from cells) from cells where score is not null "
        "group by model having count(cost_usd) = 0 order by min(cell)"
    ).fetchall()
    lost = []
    for model, row, every, with_input, with_output, with_both, output_counts in rows:
        price = prices.get(model)
        usable = with_both if output_counts else with_input
        if price is not None:
            needs_output = output_counts and price.output_usd_per_mtok > 0
            by_need = (every, with_output), (with_input, with_both)
            usable = by_need[price.input_usd_per_mtok > 0][needs_output]
        if price is None or not usable:
            lost.append((model, row, bool(usable) and price is None))
    return lost


def without_zeros(outcomes: pd.DataFrame, free: Collection[str]) -> tuple[pd.DataFrame, list[str], tuple[str, ...]]:
    """Take zeros that can hardly be meant as not recorded: tools write 0 for what they do not know.

    They are a model's costs if all of them are 0, and the tokens and cost of 0 of an answer without tokens that no
    dollars were paid for.

    Parameters
    ----------
    outcomes : a row a cell, with ``row``, that of the file.
    free : models whose zeros are meant.

    Returns
    -------
    The outcomes, what is to be said of them, and the models whose zeros were taken out.
    """
    numbers = {name: outcomes[name].to_numpy() for name in ("input_tokens", "output_tokens", "cost_usd")}
    changed: dict[str, npt.NDArray[np.float64]] = {}
    notes, models = [], []
    for name, places in outcomes.groupby("model", sort=True).indices.items():
        model, file_rows = str(name), outcomes["row"].to_numpy()[places]
        zero = {column: values[places] == 0 for column, values in numbers.items()}
        if model in free or not np.any(list(zero.values())):
            continue
        paid = numbers["cost_usd"][places] > 0  # dollars say that the call took place: its answer is empty
        tokenless, costless = (zero["input_tokens"] | zero["output_tokens"]) & ~paid, zero["cost_usd"]
        lost = {column: zero[column] & tokenless for column in numbers}
        if tokenless.any():
            notes.append(_note(f"Answers of {model!r} have 0 tokens", file_rows[tokenless], model))
        if (costless | np.isnan(numbers["cost_usd"][places])).all() and costless.any():
            notes.append(_note(f"Every cost of {model!r} is 0", file_rows[costless], model))
            lost["cost_usd"] = costless
        elif (costless & ~tokenless).any():
            rows = rows_listed(file_rows[costless & ~tokenless])
            notes.append(f"Some costs of {model!r} are 0 and others are not ({rows}): they stay as they are.")
        for column, mask in lost.items():
            if mask.any():
                changed.setdefault(column, numbers[column].copy())[places[mask]] = np.nan
        if np.any(list(lost.values())):
            models.append(model)
    return outcomes.assign(**changed), notes, tuple(models)


def _note(what: str, rows: npt.NDArray[np.int64], model: str) -> str:
    return f"{what} ({rows_listed(rows)}): taken as not recorded. If that is meant, import it with --free {model!r}."


def rows_listed(rows: npt.NDArray[np.int64], most: int = 5) -> str:
    """Rows of a file for a message: the first ones, and how many more."""
    first = ", ".join(f"{row:,}" for row in rows[:most])
    more = f" and {len(rows) - most:,} more" if len(rows) > most else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {first}{more}"


def with_costs(outcomes: pd.DataFrame, pricing: Pricing) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Fill in missing dollars and find each model's price.

    Returns
    -------
    outcomes with ``cost_usd`` filled where prices and tokens allow, one row of prices a model (sorted by
    name; NaN where no token price reproduces the dollars), and what is to be said about it.
    """
    input_only = bool(outcomes["output_tokens"].isna().all())
    cost = outcomes["cost_usd"].to_numpy(dtype=np.float64, copy=True)
    prices, by_model, ignored = pricing.by_model, dict[str, Price | None](), list(pricing.absent)
    for model, rows in outcomes.groupby("model", sort=True).indices.items():
        name = str(model)
        tokens = {
            column: outcomes[column].to_numpy()[rows, None]
            for column in ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
            if column in outcomes
        }
        missing = np.isnan(cost[rows])
        if name in prices and missing.any():
            charged = tokens | {"output_tokens": np.zeros((len(rows), 1))} if input_only else tokens
            cost[rows] = np.where(missing, token_cost_usd(prices=[prices[name]], **charged)[:, 0], cost[rows])
        elif name in prices and name not in pricing.free:
            ignored.append(name)
        if name in prices and (missing.all() or (name in pricing.free and not np.nansum(cost[rows]))):
            by_model[name] = prices[name].with_shares(**{column: table[:, 0] for column, table in tokens.items()})
        else:
            tokens_in, tokens_out = (tokens[column][:, 0] for column in ("input_tokens", "output_tokens"))
            by_model[name] = infer_price(tokens_in, None if input_only else tokens_out, cost[rows])
    notes = [*pricing.notes, *_notes(outcomes, cost, by_model, input_only, ignored)]
    return outcomes.assign(cost_usd=cost), price_table(by_model), notes


def price_table(prices: Mapping[str, Price | None]) -> pd.DataFrame:
    """The rows of `carrot_core.benchmarks.Frames.models`: one a model, NaN where its price is not known."""
    unknown = Price(math.nan, math.nan)
    rows = [vars(price or unknown) for price in prices.values()]
    table = pd.DataFrame([{name: row[name] for name in PRICE_COLUMNS} for row in rows], columns=PRICE_COLUMNS)
    table.insert(0, "model", pd.Series(list(prices), dtype=object))
    if any(row[name] not in (None, ()) for row in rows for name in MORE_PRICES):
        for name in MORE_PRICES[:-1]:
            table[name] = pd.Series([row[name] for row in rows], dtype=np.float64)
        table["tiers"] = pd.Series([json.dumps(row["tiers"]) if row["tiers"] else None for row in rows], dtype=object)
    return table


def price_of_row(row: Mapping[Any, Any]) -> Price | None:
    """A price from its row in `price_table`, None or NaN where there is no number; None if it is not known."""
    columns = (*PRICE_COLUMNS, *MORE_PRICES)
    cells: dict[str, Any] = {name: row[name] for name in columns if name in row and not pd.isna(row[name])}
    if "input_usd_per_mtok" not in cells:
        return None
    tiers = tuple(Tier(*tier) for tier in json.loads(cells.pop("tiers", "[]")))
    return Price(**{"output_usd_per_mtok": math.nan, **cells}, tiers=tiers)


def _notes(
    outcomes: pd.DataFrame,
    cost: npt.NDArray[np.float64],
    prices: Mapping[str, Price | None],
    input_only: bool,
    ignored: Sequence[str],
) -> list[str]:
    notes = []
    has_tokens = bool(outcomes["input_tokens"].notna().any())
    if ignored:
        listed = names_listed(sorted(ignored), 10)
        notes.append(f"Prices not used (no such model here, or its dollars are recorded): {listed}.")
    if not has_tokens:
        notes.append("No tokens are recorded: costs stay the dollars of the file and cannot be re-priced.")
    elif input_only:
        notes.append("No output tokens are recorded: a price can only be put on the input.")
    dollars = [name for name, price in prices.items() if price is None]
    if has_tokens and dollars:
        notes.append(
            f"For {len(dollars)} of {len(prices)} models no token price reproduces the dollars of the file, so all "
            f"costs stay dollars: {', '.join(dollars)}."
        )
    if np.isnan(cost).any():
        notes.append(f"{int(np.isnan(cost).sum()):,} outcomes have no cost; they count where only scores matter.")
    if any(price and price.cached_input_usd_per_mtok is not None for price in prices.values()):
        notes.append(_of_part(outcomes, "cached_input_tokens", "input from a cache"))
    if any(price and price.reasoning_usd_per_mtok is not None for price in prices.values()):
        notes.append(_of_part(outcomes, "reasoning_tokens", "reasoning"))
    return notes


def _of_part(outcomes: pd.DataFrame, column: str, what: str) -> str:
    """Whether a price of some of the tokens is used."""
    if column in outcomes and outcomes[column].notna().any():
        return f"The price of {what} is in the costs of the file, and by each model's share in what a router expects."
    return f"The price of {what} is not used: there is no column {column}."
