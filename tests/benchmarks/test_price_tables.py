"""Price tables: the one that ships, the user's own, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carrot_core.benchmarks.costs import pricing_of
from carrot_core.errors import DataError
from carrot_core.paths import shipped
from carrot_core.prices import Price, Tier
from carrot_core.prices.files import match_name, own_prices_path, read_prices, shipped_prices
from tests.sprout_files import O3MINI

HEADER = "model,input_usd_per_mtok,output_usd_per_mtok,as_of,source\n"


def written(folder: Path, *rows: str) -> Path:
    path = folder / "prices.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def test_every_model_of_sprout_has_a_dated_price_with_its_source(carrot_home: Path) -> None:
    prices = shipped_prices()
    for model in O3MINI:
        assert prices[model].as_of == "2025-02"
        assert "2502.03261" in prices[model].source
    titan = prices["aws-titan-text-premier-v1"]
    assert (titan.input_usd_per_mtok, titan.output_usd_per_mtok) == (0.5, 1.5)
    assert (prices["openai-o3-mini"].input_usd_per_mtok, prices["openai-o3-mini"].output_usd_per_mtok) == (1.1, 4.4)


def test_list_prices_are_dated_positive_and_found_by_the_names_that_people_write(carrot_home: Path) -> None:
    prices = shipped_prices()
    listed = {name: price for name, price in prices.items() if name not in O3MINI}
    assert len(listed) > 200
    for price in listed.values():
        assert price.as_of == "2026-11-20"
        assert price.source.startswith("LiteLLM 1.110.2's price map: ")
        assert 0 < price.input_usd_per_mtok <= price.output_usd_per_mtok <= 1_000
        assert (price.cached_input_usd_per_mtok or 0) <= price.input_usd_per_mtok
    assert (prices["gpt-5.2"].input_usd_per_mtok, prices["gpt-5.2"].output_usd_per_mtok) == (1.75, 14)
    (tier,) = prices["gemini-2.5-pro"].tiers
    assert (tier.above_input_tokens, tier.input_usd_per_mtok, tier.output_usd_per_mtok) == (200_000, 2.5, 15)
    for name in ("openrouter/anthropic/claude-sonnet-4.5", "Claude Sonnet 4.5", "claude-sonnet-4-5-20250929"):
        assert match_name(name, listed).name.startswith("claude-sonnet-4-5")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"LLM,Input $/M,Output $/M\nm,1,2\n", "'Input $/M'"),
        (b"PK\x03\x04 and so on", "CSV"),
        (HEADER.encode() + b"m,1_0,2,,\n", "per million"),
        (HEADER.encode() + b"m,1,1,234,,5\n", "quotes"),
        (HEADER.strip().encode() + b",input_usd_per_mtok\nm,1,2,,,3\n", "Keep one"),
        (b'{"m": {"input_cost_per_token": 1, "input_cost_per_token": 2, "output_cost_per_token": 1}}', "Keep one"),
    ],
)
def test_what_is_no_price_file_comes_with_what_to_do(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_prices(path)
    assert says in caught.value.problems[0].remedy


def test_the_latest_of_several_dates_counts_wherever_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path, "m,2,2,2025-02-06,b", "m,3,3,2025-11,c", "m,1,1,2024,a", "other,9,9,,")
    prices = read_prices(path)
    assert (prices["m"].input_usd_per_mtok, prices["m"].as_of, prices["m"].source) == (3.0, "2025-11", "c")
    assert prices["other"].source == "prices.csv"


@pytest.mark.parametrize(
    ("rows", "row", "column"),
    [
        (("m,1,1,2025-02,a", "m,1,1,2025-02,b"), 2, "model"),
        (("m,1,1,,", "m,2,2,,"), 2, "model"),
        (("m,1,1,2025-02,a", "m,1,1,06/02/2025,a"), 2, "as_of"),
        (("m,1,cheap,2025-02,a",), 1, "output_usd_per_mtok"),
        (("m,-1,1,2025-02,a",), 1, "input_usd_per_mtok"),
        (("m,nan,1,2025-02,a",), 1, "input_usd_per_mtok"),
        (("m,1",), 1, "output_usd_per_mtok"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: tuple[str, ...], row: int, column: str) -> None:
    with pytest.raises(DataError) as caught:
        read_prices(written(tmp_path, *rows))
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [(row, column)]


@pytest.mark.parametrize(("separator", "decimal"), [(";", ","), (";", "."), ("\t", ",")])
def test_a_table_of_a_spreadsheet_in_another_language_is_read(tmp_path: Path, separator: str, decimal: str) -> None:
    path = tmp_path / "prices.csv"
    lines = [HEADER.strip().split(","), ["m", "0.5", "12", "2025", "a"], ["n", "1.25", ".4", "", "b, c"]]
    figures = [[cell.replace(".", decimal) for cell in line] for line in lines]
    path.write_text("\n".join(separator.join(line) for line in figures))
    prices = read_prices(path)
    assert (prices["m"].input_usd_per_mtok, prices["m"].output_usd_per_mtok) == (0.5, 12.0)
    assert (prices["n"].input_usd_per_mtok, prices["n"].output_usd_per_mtok) == (1.25, 0.4)
    assert prices["n"].source == "b, c"


def test_the_users_own_price_goes_before_the_shipped_one_whatever_its_date(carrot_home: Path) -> None:
    own_prices_path().write_text(HEADER + "openai-gpt-4o,7,8,2020,mine\nmy/model,1,1,,\n")
    prices = shipped_prices()
    assert (prices["openai-gpt-4o"].input_usd_per_mtok, prices["openai-gpt-4o"].source) == (7.0, "mine")
    assert "my/model" in prices
    assert prices["openai-gpt-4o-mini"].as_of == "2025-02"


def test_in_a_checkout_the_users_table_is_not_the_shipped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARROT_HOME", raising=False)
    assert own_prices_path() != shipped("prices.csv")


def test_prices_of_cached_reasoning_and_long_input_are_read_and_other_columns_named(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "model,input_usd_per_mtok,output_usd_per_mtok,cached_input_usd_per_mtok,reasoning_usd_per_mtok,"
        "input_usd_per_mtok_above_128k,output_usd_per_mtok_above_128k,input_usd_per_mtok_above_1m_tokens,batch_usd\n"
        "a,1,4,0.1,6,2,8,3,0.5\nb,1,4,,,,,,\nc,1,4,,,1,4,1,\n"
    )
    prices = read_prices(path)
    assert prices["a"].tiers == (Tier(128e3, 2.0, 8.0, 0.1), Tier(1e6, 3.0, 8.0, 0.1))
    assert (prices["a"].cached_input_usd_per_mtok, prices["a"].reasoning_usd_per_mtok) == (0.1, 6.0)
    assert prices["b"] == prices["c"] == Price(1.0, 4.0, "", "p.csv")
    assert any("batch_usd" in note for note in prices.notes)


@pytest.mark.parametrize(
    ("header", "row", "is_converted"),
    [
        ("input_usd_per_mtok,output_usd_per_mtok", "1.5e-7,6e-7", True),
        ("input_usd_per_token,output_usd_per_token", "1.5e-7,6e-7", True),
        ("input_cost_per_token,output_cost_per_token", "1.5e-7,6e-7", True),
        ("input_usd_per_mtok,output_usd_per_mtok", "0.15,0.6", False),
    ],
)
def test_prices_of_one_token_become_those_of_a_million(
    tmp_path: Path, header: str, row: str, is_converted: bool
) -> None:
    (path := tmp_path / "p.csv").write_text(f"model,{header}\nm,{row}\nfree,0,0\n")
    prices = read_prices(path)
    assert (prices["m"].input_usd_per_mtok, prices["m"].output_usd_per_mtok) == (0.15, 0.6)
    assert prices["free"].is_free
    assert any("per token" in note for note in prices.notes) == is_converted


def test_the_price_map_of_litellm_is_read(tmp_path: Path) -> None:
    entry = {"input_cost_per_token": 1.25e-6, "output_cost_per_token": 1e-5, "litellm_provider": "vertex_ai"}
    long = {"input_cost_per_token_above_200k_tokens": 2.5e-6, "output_cost_per_token_above_200k_tokens": 1.5e-5}
    document = {
        "sample_spec": {"input_cost_per_token": "a number", "output_cost_per_token": 0.0},
        "gemini-pro": entry | long | {"cache_read_input_token_cost": 1.25e-7, "input_cost_per_audio_token": 7e-7},
        "dall-e": {"input_cost_per_pixel": 1e-8},
        "free": {"input_cost_per_token": 0, "output_cost_per_token": 0},
    }
    (path := tmp_path / "map.json").write_text(json.dumps(document))
    prices = read_prices(path)
    assert set(prices) == {"gemini-pro", "free"}
    assert prices["gemini-pro"] == Price(1.25, 10.0, "", "map.json", 0.125, None, (Tier(2e5, 2.5, 15.0, 0.125),))
    assert prices.others["gemini-pro"] == ["input_cost_per_audio_token"]
    pricing = pricing_of(["google/gemini-pro", "x"], prices)
    assert pricing.by_model["google/gemini-pro"] == prices["gemini-pro"]
    assert any("input_cost_per_audio_token" in note for note in pricing.notes)


ENTRIES = {
    "gpt-4o": 1, "azure/gpt-4o": 2, "gpt-4o-2024-05-13": 3, "Anthropic/Claude-Opus-20240229": 4,
    "vertex_ai/claude-opus@20240229": 4, "eu.anthropic.claude-haiku-20240307-v1:0": 5, "x/alpha": 6, "y/alpha": 7,
    "command-r-03-2024": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o ", "gpt-4o"),  # the spaces stay in results, and go in a price file
        ("openrouter/openai/GPT-4o", "gpt-4o"),
        ("openrouter/azure/gpt-4o", "azure/gpt-4o"),
        ("openai/gpt-4o-2024-08-06", "gpt-4o"),
        ("openai/gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-latest", "gpt-4o"),
        ("GPT_4o", "gpt-4o"),
        ("claude-opus", "Anthropic/Claude-Opus-20240229"),
        ("anthropic.claude-haiku", "eu.anthropic.claude-haiku-20240307-v1:0"),
        ("claude-opus-20250514", ""),  # another release
        ("z/alpha", ""),  # two entries with different prices
        ("gpt-4o-mini", ""),
        ("gpt-4", ""),
    ],
)
def test_which_entry_of_a_price_file_is_a_models(model: str, name: str) -> None:
    assert match_name(model, ENTRIES).name == name


@pytest.mark.parametrize(
    ("model", "meant"), [("z/alpha", "x/alpha"), ("claude-opus-20250514", "Anthropic/Claude-Opus")]
)
def test_a_name_in_doubt_gets_a_did_you_mean(model: str, meant: str) -> None:
    assert any(name.startswith(meant) for name in match_name(model, ENTRIES).alternatives)
