"""Dollars of every cell, as recorded or from prices and tokens; costs of 0; the price that recorded dollars imply."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.benchmarks.run_table import RunTable
from carrot_core.benchmarks.table_file import TableFile
from carrot_core.errors import Problem, mapping_options
from carrot_core.outcomes import positions
from carrot_core.prices import FREE, MORE_PRICES, Price, Tier, check_prices, infer_price, token_cost_usd
from carrot_core.prices.files import Match, PriceList, match_name
from carrot_core.text import counted, names_listed

PRICE_COLUMNS = ("input_usd_per_mtok", "output_usd_per_mtok", "as_of", "source")


@dataclass(frozen=True)
class Pricing:
    """The prices of a file's models.

    Attributes
    ----------
    by_model : price by the name of the model in the file of results.
    alternatives : for a model without a price, names of the price file that may be its own.
    absent : names of the price file that no model has, unless it is a map of all models there are.
    notes : what is to be said of the prices.
    """

    by_model: Mapping[str, Price]
    alternatives: Mapping[str, tuple[str, ...]]
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
    matches = _matches(models, prices)
    names = {model: match.name for model, match in matches.items() if match.name}
    by_model = {model: prices[name] for model, name in names.items()}
    notes = list(prices.notes) if isinstance(prices, PriceList) else []
    renamed = [f"{model!r} has that of {name!r}" for model, name in names.items() if model != name]
    if renamed:
        notes.append(f"Prices by another name: {names_listed(renamed, 10)}.")
    alternatives = {model: match.alternatives for model, match in matches.items() if match.alternatives}
    doubtful = [f"{model!r} (did you mean {_either(others)}?)" for model, others in alternatives.items()]
    if doubtful:
        notes.append(f"No price is taken for {names_listed(doubtful, 10)}.")
    others = prices.others if isinstance(prices, PriceList) else {}
    ignored = sorted({column for name in names.values() for column in others.get(name, ())})
    if ignored:
        notes.append(f"Prices that are not used: {', '.join(ignored)}.")
    absent = () if others else tuple(sorted(set(prices) - set(names.values())))
    return Pricing(by_model, alternatives, absent, tuple(notes))


def _matches(models: Sequence[str], prices: Mapping[str, Price]) -> dict[str, Match]:
    figures = {name: replace(price, as_of="", source="") for name, price in prices.items()}
    return {model: match_name(model, figures) for model in models}


def with_list_prices(table: TableFile, pricing: Pricing, prices: Mapping[str, Price]) -> Pricing:
    """A pricing in which models that no price file names have list prices, if asked for; a note says which."""
    listed = prices.listed if isinstance(prices, PriceList) else {}
    models = [model for model in unpriced(table, pricing) if model not in pricing.alternatives] if listed else []
    matches = _matches(models, listed)
    of_list = {model: listed[match.name] for model, match in matches.items() if match.name}
    note = f"List prices: {names_listed([f'{model!r} ({price.as_of})' for model, price in of_list.items()], 10)}."
    alternatives = {model: match.alternatives for model, match in matches.items() if match.alternatives}
    return Pricing(
        {**pricing.by_model, **of_list},
        {**pricing.alternatives, **alternatives},
        pricing.absent,
        (*pricing.notes, note) if of_list else pricing.notes,
    )


def _either(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def cost_problems(table: TableFile, pricing: Pricing) -> list[Problem]:
    """One problem that lists the models without dollars in any cell and without a way to compute them."""
    if "model" not in table.types:
        tells = table.types.keys() & {"input_tokens", "output_tokens"}
        where = "" if tells else _where_dollars_may_be(table)
        return [Problem("the column is missing", where.strip(), column="cost_usd")] if where else []
    lost = _without_cost(table, pricing.by_model)
    if not lost:
        return []
    model, row, _ = lost[0]
    several = f" (first of {len(lost)} such models)" if len(lost) > 1 else ""
    lacking = "the tokens its price is for" if model in pricing.by_model else "a price"
    others = pricing.alternatives.get(model)
    question = f" Did you mean {_either(others)} of the prices?" if others else ""
    return [
        Problem(
            f"{model!r} has no cost_usd, and none can be computed without {lacking}{several}",
            "Add a column cost_usd, or input_tokens, output_tokens and a price for every model (see --list-prices); "
            f"or say what a call costs on average: --cost-per-call, --free.{question}{_where_dollars_may_be(table)}",
            row,
            table.column_of("cost_usd", model),
        )
    ]


def _where_dollars_may_be(table: TableFile) -> str:
    """A sentence that names a column of costs whose unit its name does not say; "" where there is none."""
    names = [] if table.wide or "cost_usd" in table.types else list(table.types)
    source = next(
        (name for name in names if re.search("cost|price|spend", name, re.I) and not _NO_DOLLARS.search(name)), None
    )
    return f" If {source!r} is in US dollars: {mapping_options({'cost_usd': source})}" if source else ""


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


_NO_DOLLARS = re.compile("cents?|eur|gbp|per_|1k|mtok", re.IGNORECASE)  # in the name of a cost that is none of a call
_TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
_PAID = ("input_tokens", "output_tokens", "cost_usd")


def without_zeros(runs: RunTable, models: Sequence[str], free: Collection[str]) -> tuple[list[str], tuple[str, ...]]:
    """Take zeros that can hardly be meant as not recorded: tools write 0 for what they do not know.

    They are a model's costs if all of them are 0, an answer's tokens of 0, and its cost of 0 beside them.

    Parameters
    ----------
    runs : whose zeros are taken out.
    models : names, sorted.
    free : models whose zeros are meant.

    Returns
    -------
    What is to be said of them, and the models whose zeros were taken out.
    """
    notes, of_zeros = list[str](), list[str]()
    zeros = " or ".join(f"{name} = 0" for name in _PAID)
    with_zeros = runs.connection.execute(f"select distinct model from runs where {zeros} order by model")  # noqa: S608
    for place in [place for (place,) in with_zeros.fetchall() if models[place] not in free]:
        model, own = models[place], runs.of_model(place, ("row", *_PAID))
        zero = {column: own[column] == 0 for column in _PAID}
        tokenless, costless = zero["input_tokens"] | zero["output_tokens"], zero["cost_usd"]
        lost = {column: zero[column] & tokenless for column in _PAID}
        if tokenless.any():
            notes.append(_note(f"Answers of {model!r} have 0 tokens", own["row"][tokenless], model))
        if (costless | np.isnan(own["cost_usd"])).all() and costless.any():
            notes.append(_note(f"Every cost of {model!r} is 0", own["row"][costless], model))
            lost["cost_usd"] = costless
        elif (costless & ~tokenless).any():
            rows = rows_listed(own["row"][costless & ~tokenless])
            notes.append(f"Some costs of {model!r} are 0 and others are not ({rows}): they stay as they are.")
        if np.any(list(lost.values())):
            of_zeros.append(model)
            runs.set_aside(own["cell"], {name: np.where(mask, np.nan, own[name]) for name, mask in lost.items()})
    runs.take_in()
    return notes, tuple(of_zeros)


def _note(what: str, rows: npt.NDArray[np.int64], model: str) -> str:
    return f"{what} ({rows_listed(rows)}): taken as not recorded. If that is meant, import it with --free {model!r}."


def rows_listed(rows: npt.NDArray[np.int64], most: int = 5) -> str:
    """Rows of a file for a message: the first ones, and how many more."""
    first = ", ".join(f"{row:,}" for row in rows[:most])
    more = f" and {len(rows) - most:,} more" if len(rows) > most else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {first}{more}"


def fill_costs(runs: RunTable, models: Sequence[str], pricing: Pricing) -> tuple[pd.DataFrame, list[str]]:
    """Fill in missing dollars of runs and find the price of each model; the models' names are sorted.

    Returns
    -------
    One row of prices a model (NaN where no token price reproduces the dollars), and what is to be said about it.
    """
    recorded = runs.recorded((*_TOKENS, "cost_usd"))
    costs = _Costs(pricing, recorded)
    for place, model in enumerate(models):
        own = runs.of_model(place, recorded)
        cost = costs.add(model, {name: own[name] for name in _TOKENS if name in own}, own["cost_usd"])
        if cost is not None:
            runs.set_aside(own["cell"], {"cost_usd": cost})
    runs.take_in()
    return price_table(costs.by_model), costs.notes()


def with_costs(outcomes: pd.DataFrame, pricing: Pricing) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """As `fill_costs`, of a frame of outcomes, which comes back with its dollars, then the prices and the notes."""
    columns = [name for name in _TOKENS if name in outcomes]
    costs = _Costs(pricing, {name: int(outcomes[name].notna().sum()) for name in columns})
    filled = outcomes["cost_usd"].to_numpy(dtype=np.float64, copy=True)
    for model, rows in outcomes.groupby("model", sort=True).indices.items():
        tokens = {name: outcomes[name].to_numpy()[rows] for name in columns}
        cost = costs.add(str(model), tokens, filled[rows])
        if cost is not None:
            filled[rows] = cost
    return outcomes.assign(cost_usd=filled), price_table(costs.by_model), costs.notes()


class _Costs:
    """Dollars and prices, one model after the other.

    Parameters
    ----------
    pricing : of the models.
    recorded : how many outcomes have a value in a column, by its name.

    Attributes
    ----------
    by_model : price of each model that was added, None where no token price reproduces its dollars.
    """

    def __init__(self, pricing: Pricing, recorded: Mapping[str, int]) -> None:
        self._pricing, self._recorded = pricing, recorded
        self._input_only = not recorded["output_tokens"]
        self._ignored, self._costless = list(pricing.absent), 0
        self.by_model: dict[str, Price | None] = {}

    def add(
        self, name: str, tokens: Mapping[str, npt.NDArray[np.float64]], cost: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64] | None:
        """Take in a model's (n,) tokens and dollars; the dollars with those of its price, None where none changes."""
        prices, missing, filled = self._pricing.by_model, np.isnan(cost), None
        if name in prices and missing.any():
            charged = {column: values[:, None] for column, values in tokens.items()}
            charged |= {"output_tokens": np.zeros((len(cost), 1))} if self._input_only else {}
            filled = np.where(missing, token_cost_usd(prices=[prices[name]], **charged)[:, 0], cost)
            cost = filled
        elif name in prices and name not in self._pricing.free:
            self._ignored.append(name)
        if name in prices and (missing.all() or (name in self._pricing.free and not np.nansum(cost))):
            self.by_model[name] = prices[name].with_shares(**tokens)
        else:
            tokens_out = None if self._input_only else tokens["output_tokens"]
            self.by_model[name] = infer_price(tokens["input_tokens"], tokens_out, cost)
        self._costless += int(np.isnan(cost).sum())
        return filled

    def notes(self) -> list[str]:
        """What is to be said of all models."""
        notes = list(self._pricing.notes)
        if self._ignored:
            listed = names_listed(sorted(self._ignored), 10)
            notes.append(f"Prices not used (no such model here, or its dollars are recorded): {listed}.")
        if not self._recorded["input_tokens"]:
            notes.append("No tokens are recorded: costs stay the dollars of the file and cannot be re-priced.")
        elif self._input_only:
            notes.append("No output tokens are recorded: a price can only be put on the input.")
        dollars = [name for name, price in self.by_model.items() if price is None]
        if self._recorded["input_tokens"] and dollars:
            notes.append(
                f"For {len(dollars)} of {len(self.by_model)} models no token price reproduces the dollars of the file, "
                f"so all costs stay dollars: {', '.join(dollars)}."
            )
        if self._costless:
            notes.append(f"{counted(self._costless, 'outcome has', 'outcomes have')} no cost; only scores count there.")
        prices = [price for price in self.by_model.values() if price is not None]
        if any(price.cached_input_usd_per_mtok is not None for price in prices):
            notes.append(self._of_part("cached_input_tokens", "input from a cache"))
        if any(price.reasoning_usd_per_mtok is not None for price in prices):
            notes.append(self._of_part("reasoning_tokens", "reasoning"))
        return notes

    def _of_part(self, column: str, what: str) -> str:
        """Whether a price of some of the tokens is used."""
        if self._recorded.get(column):
            return (
                f"The price of {what} is in the costs of the file, and by each model's share in what a router expects."
            )
        return f"The price of {what} is not used: there is no column {column}."


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
