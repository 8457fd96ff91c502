"""Price tables: the one that ships, the user's own, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from carrot_core.errors import DataError
from carrot_core.paths import shipped
from carrot_core.prices import own_prices_path, read_prices, shipped_prices
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


def test_the_users_own_price_goes_before_the_shipped_one_whatever_its_date(carrot_home: Path) -> None:
    own_prices_path().write_text(HEADER + "openai-gpt-4o,7,8,2020,mine\nmy/model,1,1,,\n")
    prices = shipped_prices()
    assert (prices["openai-gpt-4o"].input_usd_per_mtok, prices["openai-gpt-4o"].source) == (7.0, "mine")
    assert "my/model" in prices
    assert prices["openai-gpt-4o-mini"].as_of == "2025-02"


def test_in_a_checkout_the_users_table_is_not_the_shipped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARROT_HOME", raising=False)
    assert own_prices_path() != shipped("prices.csv")
