"""Price files: the table that ships, the user's own, LiteLLM's map; and which model a price is of."""

from __future__ import annotations

import csv
import difflib
import json
import math
import re
from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from carrot_core import limits, paths
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text
from carrot_core.prices import FREE, TOKENS_PER_PRICE, Price, Tier
from carrot_core.text import names_listed

_KINDS = ("input", "output", "cached_input", "reasoning")
_LITELLM = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "output_cost_per_reasoning_token": "reasoning",
}
_COLUMN = re.compile(
    rf"(?:({'|'.join(_KINDS)})_usd_per_(mtok|token)|({'|'.join(_LITELLM)}))(?:_above_(\d+)([km]?)(?:_tokens)?)?"
)
_DECIMAL_COMMA = re.compile(r"\s*\d*,\d+\s*")
_DATE = re.compile(r"|\d{4}(-\d{2}(-\d{2})?)?")  # as texts they sort by time, an empty one first
# No model costs so little per million tokens, and none so much per token.
_LEAST_PER_MTOK = 1e-3


class Column(NamedTuple):
    """Meaning of a column of a price file: kind of tokens, tokens per price, and input from which it holds."""

    kind: str
    per_token: bool
    above: float


class PriceList(dict[str, Price]):
    """Prices by model name, with notes on their file.

    Attributes
    ----------
    notes : sentences on the whole file.
    others : names of a model's prices that are not used here, by model, if models have different ones.
    listed : list prices, for models that have none of their own here.
    usd_per_call : mean cost of a call of models whose results have neither dollars nor tokens.
    """

    def __init__(self, prices: Mapping[str, Price]) -> None:
        super().__init__(prices)
        self.notes: list[str] = []
        self.others: dict[str, list[str]] = {}
        self.listed: Mapping[str, Price] = {}
        self.usd_per_call: Mapping[str, float] = {}

    def with_free(self, models: Collection[str]) -> PriceList:
        """A copy with models that cost nothing."""
        table = PriceList({**self, **dict.fromkeys(models, FREE)})
        table.notes, table.others, table.listed = self.notes, self.others, self.listed
        table.usd_per_call = self.usd_per_call
        return table


def cost_columns(prices: Mapping[str, Price] | None) -> list[str]:
    """Names that columns of a wide table would have if they had the mean costs that are given."""
    return [f"{model}|cost_usd" for model in (prices.usd_per_call if isinstance(prices, PriceList) else ())]


def read_prices(path: Path) -> PriceList:
    """Prices by model name from a CSV, or from JSON as LiteLLM's price map.

    A row has ``model``, ``input_usd_per_mtok`` and ``output_usd_per_mtok``, and may have ``as_of``, ``source``,
    ``cached_input_usd_per_mtok``, ``reasoning_usd_per_mtok``, and any price of tokens with ``_above_200k`` (or another
    number) appended: the price of calls with more input tokens. ``…_usd_per_token`` and LiteLLM's names, such as
    ``input_cost_per_token``, are dollars of one token. A model may have several rows of different dates; the latest
    counts.

    Raises
    ------
    DataError
        Missing columns, a model twice with the same date, an invalid date, or a price that is not a number
        of at least 0; row and column are named.
    """
    rows, is_map = _rows(path)
    columns = {name: column for row in rows for name in row if name is not None and (column := _column(name))}
    prices: dict[str, Price] = {}
    keys: set[tuple[str, str]] = set()
    problems: list[Problem] = []
    per_token: set[str] = set()
    for number, row in enumerate(rows, start=1):
        model, as_of = str(row["model"]).strip(), str(row.get("as_of") or "")
        faults = _problems(number, row, as_of, (model, as_of) in keys, columns)
        keys.add((model, as_of))
        problems += faults
        if not faults and (model not in prices or prices[model].as_of < as_of):
            figures = {column: float(row[name]) for name, column in columns.items() if not _is_empty(row.get(name))}
            if _are_per_token(figures):
                per_token.add(model)
            prices[model] = _price(figures, model in per_token, as_of, str(row.get("source") or path.name))
    if problems:
        raise DataError(path.name, problems)
    table, used = PriceList(prices), {*columns, "model", "as_of", "source"}
    others = list(dict.fromkeys(name for row in rows for name in row if name and name not in used))
    if is_map:
        costs = [name for name in others if "cost" in name or "pric" in name]
        table.others = {str(row["model"]): [name for name in costs if row.get(name)] for row in rows}
    elif others:
        table.notes.append(f"Columns of {path.name} that are not used: {', '.join(others)}.")
    if any(column.per_token for column in columns.values()):
        table.notes.append(f"The prices of {path.name} are dollars per token; they are shown per million tokens.")
    if per_token:
        table.notes.append(
            f"Prices of {names_listed(sorted(per_token), 10)} in {path.name} are below ${_LEAST_PER_MTOK:g}, so they "
            "are taken as dollars per token."
        )
    return table


def own_prices_path() -> Path:
    """The user's table, with the columns of the shipped one; it may not exist."""
    return paths.home() / "my_prices.csv"  # not prices.csv: in a checkout the shipped table is in this folder too


def shipped_prices() -> dict[str, Price]:
    """Prices by model name from the shipped table; the user's own table overrides it whatever the dates.

    Raises
    ------
    DataError
        One of the tables cannot be used.
    """
    own = own_prices_path()
    return read_prices(paths.shipped("prices.csv")) | (read_prices(own) if own.exists() else {})


def _column(name: str) -> Column | None:
    """Meaning of a column; None if it is not a price of text tokens."""
    match = _COLUMN.fullmatch(name)
    if match is None:
        return None
    kind, per, litellm, above, unit = match.groups()
    threshold = float(above) * {"": 1.0, "k": 1e3, "m": 1e6}[unit] if above else 0.0
    return Column(kind or _LITELLM[litellm], per != "mtok", threshold)


def read_records(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The rows of a small file about models, by column, and whether it is JSON: a map by model, or a list of objects.

    Raises
    ------
    DataError
        The file is not CSV or JSON, or is too large.
    """
    try:
        if path.stat().st_size > limits.PRICE_BYTES:
            raise DataError(
                path.name, f"is larger than {size_text(limits.PRICE_BYTES)}, too large for a file of models"
            )
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                raise DataError(path.name, [Problem("Is a workbook or a zip, not a CSV", "Save its sheet as CSV.")])
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip()[:1] in ("{", "["):
            return _json_rows(json.loads(text, object_pairs_hook=lambda pairs: _distinct(path.name, pairs))), True
        return _csv_rows(path.name, text), False
    except UnicodeDecodeError as error:
        raise DataError(path.name, [Problem("Is not UTF-8", "Save it as CSV in UTF-8.")]) from error
    except (OSError, csv.Error, json.JSONDecodeError, RecursionError) as error:
        raise DataError(path.name, f"Not a readable CSV or JSON file: {error}") from error


def _distinct(source: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of some pairs; a `DataError` names a model or a price that is there twice with different values."""
    value = dict(pairs)
    for name, other in pairs if len(value) < len(pairs) else ():
        if other != value[name] and (isinstance(other, dict) or _column(name)):
            raise DataError(source, [Problem("is there twice", "Keep one of them.", column=name)])
    return value


def _csv_rows(source: str, text: str) -> list[dict[str, Any]]:
    """The rows of a CSV; its header shows the separator, and if that is not a comma, "0,1" is 0.1."""
    lines = text.splitlines(keepends=True)
    separator = max(",;\t", key=(lines or [""])[0].count)
    reader = csv.DictReader(lines, delimiter=separator, restkey="\0")
    _distinct(source, [(name, place) for place, name in enumerate(reader.fieldnames or ())])
    rows: list[dict[str, Any]] = list(reader)
    for number, row in enumerate(rows, 1):
        if surplus := [cell for cell in row.pop("\0", ()) if cell]:
            remedy = "Put quotes around a value with the separator in it, and write 1234.5 for 1,234.5."
            raise DataError(source, [Problem("has more values than the header", remedy, number, value=surplus[0])])
    if separator != ",":
        for row in rows:
            commas = [name for name, cell in row.items() if isinstance(cell, str) and _DECIMAL_COMMA.fullmatch(cell)]
            row.update({name: row[name].replace(",", ".") for name in commas})
    return rows


def _rows(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The rows of a price file, and whether it is a map; a map's models without token prices are left out."""
    rows, is_map = read_records(path)
    if is_map:
        rows = [row for row in rows if _has_prices(row)]
    if not rows or not _has_prices(rows[0]):
        remedy = "The columns are model, input_usd_per_mtok, output_usd_per_mtok, and as_of, source (optional)."
        there = (
            "" if is_map or not rows else f" It has {names_listed([repr(name) for name in rows[0] if name])}: rename"
        )
        raise DataError(path.name, [Problem("No prices here", f"{remedy}{there and f'{there} what is meant.'}")])
    return rows, is_map


def _json_rows(document: Any) -> list[dict[str, Any]]:
    """The entries of a map by model, or of a list of records, that are objects."""
    if isinstance(document, dict):
        entries = [{**entry, "model": name} for name, entry in document.items() if isinstance(entry, dict)]
        return [entry for entry in entries if entry["model"] != "sample_spec"]  # LiteLLM's description of the fields
    return [entry for entry in document if isinstance(entry, dict) and "model" in entry]


def _has_prices(row: Mapping[Any, Any]) -> bool:
    """Whether a row has the prices that all need; a map also lists models priced by the picture or the second."""
    columns = [column for name in row if name is not None and (column := _column(name))]
    return "model" in row and {"input", "output"} <= {column.kind for column in columns if not column.above}


def _problems(
    number: int, row: Mapping[str, Any], as_of: str, again: bool, columns: Mapping[str, Column]
) -> list[Problem]:
    problems = []
    if again:
        remedy = "Keep one row per model and date."
        problems.append(Problem("A model has two rows with the same date", remedy, number, "model", row["model"]))
    if not _DATE.fullmatch(as_of):
        problems.append(Problem("Not a date", "Write 2025, 2025-02 or 2025-02-06.", number, "as_of", as_of))
    for name, column in columns.items():
        needed = column.kind in _KINDS[:2] and not column.above
        cell = row.get(name)
        if (needed or not _is_empty(cell)) and not _is_price(cell):
            remedy = f"Give US dollars per {'token' if column.per_token else 'million tokens'}."
            problems.append(Problem("Not a price", remedy, number, name, None if cell is None else str(cell)))
    return problems


def _is_empty(cell: Any) -> bool:
    return cell is None or cell == ""


def _is_price(cell: Any) -> bool:
    if isinstance(cell, bool) or (isinstance(cell, str) and "_" in cell):  # Python reads 1_0 as 10
        return False
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return math.isfinite(value) and value >= 0


def _are_per_token(figures: Mapping[Column, float]) -> bool:
    """Whether prices in columns of a million tokens must be prices of one token."""
    positive = [value for column, value in figures.items() if value > 0 and not column.per_token]
    return bool(positive) and max(positive) < _LEAST_PER_MTOK


def _price(figures: Mapping[Column, float], per_token: bool, as_of: str, source: str) -> Price:
    """A model's price from the figures of its row, by column."""
    usd: dict[float, dict[str, float]] = {0.0: {}}
    for column, value in figures.items():
        # 15 digits: 1.5e-7 dollars a token are 0.15 a million, not 0.15000000000000002.
        per_mtok = float(f"{value * TOKENS_PER_PRICE:.15g}") if column.per_token or per_token else value
        usd.setdefault(column.above, {})[column.kind] = per_mtok
    base = usd.pop(0.0)
    tiers, below = [], base
    for above in sorted(usd):
        at = {**below, **usd[above]}
        if at != below:
            tiers.append(Tier(above, at["input"], at["output"], at.get("cached_input")))
        below = at
    return Price(
        base["input"], base["output"], as_of, source, base.get("cached_input"), base.get("reasoning"), tuple(tiers)
    )


class Match(NamedTuple):
    """A model's name in a file, "" if it has none, and names that may be meant instead."""

    name: str
    alternatives: tuple[str, ...]


_RELEASE = re.compile(
    r"[-@:](?:20\d{6}|20\d{2}-\d{2}-\d{2}|\d{2}-\d{2}|\d{4})(?=$|[-:])"  # a date, whole or in part
    r"|-latest$|-v\d+:\d+$"  # the second is Bedrock's
)
_BEDROCK = re.compile(r"^(?:[a-z][a-z0-9]*\.)+(?=[a-z])")  # us.anthropic.claude-3-haiku


def match_name(model: str, entries: Mapping[str, Hashable]) -> Match:
    """Find a model's entry in a file of prices or facts.

    It is the one of the same name; else, ignoring case, the one that is equal without providers
    ("openrouter/openai/gpt-4o" is "openai/gpt-4o", "gpt-4o", "azure/gpt-4o" in this order), also if its words are
    set apart by other signs ("Claude Sonnet 4.5" is "claude-sonnet-4-5"); else the one that is equal without
    providers and date of release ("-2024-08-06", "-20240229", "-0613", "-latest"), unless both have
    dates and these differ. If several entries are equal in this sense but have different content, none is taken.
    """
    for name in (model, model := model.strip()):
        if name in entries:
            return Match(name, ())
    undated = _undated(model)
    alike = [name for name in entries if _undated(name) == undated]
    candidates: list[list[str]] = []
    for stem in (model.casefold(), _RELEASE.sub("", model.casefold())):
        parts, bare = stem.split("/"), _bare(stem)
        tails = ["/".join(parts[start:]) for start in range(len(parts))]
        candidates += [[name for name in alike if name.casefold() == tail] for tail in tails]
        candidates += [[name for name in alike if _spaced(name.casefold()) == _spaced(tail)] for tail in tails]
        candidates.append([name for name in alike if _bare(name) == bare])
    candidates.append(alike if _bare(model) == undated else [])
    first = next((names for names in candidates if names), [])
    if len({entries[name] for name in first}) == 1:
        return Match(first[0], ())
    near = difflib.get_close_matches(undated, {_undated(name) for name in entries}, n=3, cutoff=0.8)
    alternatives = [*first, *alike, *(name for name in entries if _undated(name) in near)]
    return Match("", tuple(dict.fromkeys(alternatives))[:3])


def _bare(name: str) -> str:
    """A name without providers and capitals, its words set apart by hyphens."""
    return _spaced(_BEDROCK.sub("", name.casefold().rsplit("/", 1)[-1]))


def _spaced(name: str) -> str:
    return re.sub(r"[ ._]+", "-", name)


def _undated(name: str) -> str:
    """A name without providers, capitals and date of release."""
    return _RELEASE.sub("", _bare(name))
