"""Write list prices of today's models into data/prices.csv: ``python -m scripts.list_prices MAP VERSION DATE``.

``MAP`` is the price map inside a wheel of LiteLLM (``litellm/model_prices_and_context_window_backup.json``, MIT),
``VERSION`` the wheel's, ``DATE`` the day it was published. Rows from other sources stay as they are.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carrot_core import paths
from carrot_core.prices import Price
from carrot_core.prices.files import read_prices

# Makers that sell calls of their own models; what another host charges for open weights is not the model's price.
_MAKERS = {
    "ai21", "amazon_nova", "anthropic", "cohere_chat", "dashscope", "deepseek", "gemini", "minimax", "mistral",
    "moonshot", "openai", "xai", "zai",
}  # fmt: skip
_NO_TEXT = re.compile(r"^ft:|audio|image|live|realtime|robotics|search|speech|tts|voxtral|deep-research|computer-use")
_SOURCE = "LiteLLM"
_KINDS = ("input", "output", "cached_input", "reasoning")


def main(price_map: Path, version: str, date: str) -> None:
    """Write the table."""
    table = paths.shipped("prices.csv")
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["source"].startswith(_SOURCE)]
    source = f"{_SOURCE} {version}'s price map"
    rows += sorted(_rows(price_map, date, source), key=lambda row: row["model"].casefold())
    above = sorted({name for row in rows for name in row if "_above_" in name})
    names = ["model", *(f"{kind}_usd_per_mtok" for kind in _KINDS), *above, "as_of", "source"]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _rows(price_map: Path, date: str, source: str) -> Iterator[dict[str, str]]:
    """A row for each model of a maker; only the maker's own where another maker sells it too."""
    prices, entries = read_prices(price_map), json.loads(price_map.read_text(encoding="utf-8"))
    seen: set[str] = set()
    for name, price in sorted(prices.items(), key=lambda item: entries[item[0]]["litellm_provider"] == "dashscope"):
        bare = name.rsplit("/", 1)[-1]
        if bare not in seen and not price.is_free and _is_listed(name, entries[name]):
            seen.add(bare)
            yield {"model": bare, **_figures(price), "as_of": date, "source": f"{source}: {_provider(entries[name])}"}


def _provider(entry: dict[str, Any]) -> str:
    return str(entry["litellm_provider"]).removesuffix("_chat")


def _is_listed(name: str, entry: dict[str, Any]) -> bool:
    """Whether a maker sells calls of text at the price."""
    is_text = entry.get("mode") in ("chat", "responses") and not _NO_TEXT.search(name)
    return is_text and entry["litellm_provider"] in _MAKERS


def _figures(price: Price) -> dict[str, str]:
    """The figures of a price by column; a kind of tokens that costs as much as the others has none."""
    figures = {f"{kind}_usd_per_mtok": getattr(price, f"{kind}_usd_per_mtok") for kind in _KINDS}
    for tier in price.tiers:
        end = f"_above_{tier.above_input_tokens / 1000:g}k"
        figures |= {f"{kind}_usd_per_mtok{end}": getattr(tier, f"{kind}_usd_per_mtok") for kind in _KINDS[:3]}
    if price.reasoning_usd_per_mtok == price.output_usd_per_mtok:
        del figures["reasoning_usd_per_mtok"]
    return {name: f"{figure:.12g}" for name, figure in figures.items() if figure is not None}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
