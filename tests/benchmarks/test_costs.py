"""Dollars of every cell: zeros that are not meant, models that are free, prices of long and cached input, facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.log_table import read_logs
from carrot_core.benchmarks.long_wide_tables import read_long_table, read_wide_table
from carrot_core.benchmarks.model_facts_arms import FACTS, ModelFacts, facts_of_row, read_model_facts, with_facts
from carrot_core.errors import DataError, NotFoundError
from carrot_core.evaluation.quality import usage_of
from carrot_core.prices import FREE, Price, Tier
from carrot_core.prices.files import PriceList
from carrot_core.store import Store
from carrot_core.store.browse import model_summary
from carrot_core.store.maintenance import verify
from tests.tables import long_table, write


def read(table: pd.DataFrame, folder: Path, **options: object) -> Frames:
    return read_long_table(write(table, folder / "t.csv"), **options)  # type: ignore[arg-type]


def costs(frames: Frames, model: str) -> pd.Series:
    return frames.outcomes.set_index("model").loc[model, "cost_usd"]


def zero_costs() -> pd.DataFrame:
    table = long_table()
    table.loc[table["model"] == "small", "cost_usd"] = 0.0
    return table


def test_costs_that_are_all_0_are_not_recorded_and_rows_and_remedy_are_named(tmp_path: Path) -> None:
    frames = read(zero_costs(), tmp_path)
    assert costs(frames, "small").isna().all()
    assert costs(frames, "large").gt(0).all()
    assert frames.zero_models == ("small",)
    (note,) = [note for note in frames.warnings if "'small' is 0" in note]
    assert "rows 1, 3, 5, 7, 9 and 1 more" in note
    assert "--free 'small'" in note


@pytest.mark.parametrize("price", [FREE, Price(0.0, 0.0, "2025-01", "a price file")])
def test_a_model_that_is_free_costs_0(tmp_path: Path, price: Price) -> None:
    frames = read(zero_costs(), tmp_path, prices={"small": price})
    assert costs(frames, "small").eq(0).all()
    assert frames.zero_models == ()
    row = frames.models.set_index("model").loc["small"]
    assert (row["input_usd_per_mtok"], row["output_usd_per_mtok"], row["source"]) == (0.0, 0.0, price.source)
    assert not any("not recorded" in note for note in frames.warnings)


def test_costs_of_0_give_way_to_a_price(tmp_path: Path) -> None:
    frames = read(zero_costs(), tmp_path, prices={"small": Price(1.0, 2.0)})
    np.testing.assert_array_equal(costs(frames, "small"), costs(read(long_table(), tmp_path), "small"))


def test_a_free_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="smal"):
        read(zero_costs(), tmp_path, prices=PriceList({}).with_free(["smal"]))


def test_an_answer_without_tokens_has_neither_tokens_nor_a_cost(tmp_path: Path) -> None:
    table = long_table()
    table.loc[2, ["input_tokens", "output_tokens", "cost_usd"]] = 0
    frames = read(table, tmp_path)
    cell = frames.outcomes.loc[2]
    assert cell[["input_tokens", "output_tokens", "cost_usd"]].isna().all()
    assert frames.outcomes["cost_usd"].isna().sum() == 1
    assert any("'small'" in note and "row 3" in note for note in frames.warnings)
    meant = read(table, tmp_path, prices={"small": FREE}).outcomes.loc[2]
    assert meant[["input_tokens", "output_tokens", "cost_usd"]].eq(0).all()


def test_0_tokens_beside_dollars_are_not_recorded_and_the_dollars_stay(tmp_path: Path) -> None:
    table = long_table()
    table.loc[2, "output_tokens"] = 0
    frames = read(table, tmp_path)
    assert np.isnan(frames.outcomes.loc[2, "output_tokens"])
    assert frames.outcomes["cost_usd"].tolist() == table["cost_usd"].tolist()
    assert any("'small' have 0 tokens (row 3)" in note and "--free" in note for note in frames.warnings)
    assert read(table, tmp_path, prices={"small": FREE}).outcomes.loc[2, "output_tokens"] == 0


def test_numbers_that_can_hardly_be_meant_are_told(tmp_path: Path) -> None:
    table = long_table().assign(cached_input_tokens=1e6, reasoning_tokens=1.0, latency_s=2.0)
    table.loc[3, "cost_usd"] = 2000.0
    table.loc[:1, "prompt_id"] += " "
    notes = [note for note in read(table, tmp_path).warnings if "first in row" in note or "spaces" in note]
    assert len(notes) == 3
    assert "cached_input_tokens" in notes[0]
    assert "cost_usd" in notes[1]
    assert "row 4" in notes[1]
    assert "spaces at an end" in notes[2]


def test_dollars_with_a_sign_and_commas_between_thousands_are_read(tmp_path: Path) -> None:
    table = long_table()
    table["cost_usd"] = [f"${1000 + at:,.2f}" for at in range(len(table))]
    assert read(table, tmp_path).outcomes["cost_usd"].tolist() == [1000.0 + at for at in range(len(table))]


def test_some_costs_of_0_stay_and_are_told(tmp_path: Path) -> None:
    table = long_table()
    table.loc[0, "cost_usd"] = 0.0
    frames = read(table, tmp_path)
    assert frames.outcomes.loc[0, "cost_usd"] == 0.0
    assert any("Some costs of 'small'" in note and "row 1" in note for note in frames.warnings)


def test_zeros_of_a_wide_table_are_not_recorded_either(tmp_path: Path) -> None:
    table = zero_costs()
    wide = table.pivot_table(index="prompt_id", columns="model", values="score").reset_index()
    for model, rows in table.groupby("model"):
        wide[f"{model}|cost_usd"] = rows["cost_usd"].to_numpy()
    frames = read_wide_table(write(wide, tmp_path / "w.csv"))
    assert frames.zero_models == ("small",)


def test_a_free_model_needs_no_tokens_beside_models_that_have_some(tmp_path: Path) -> None:
    table = long_table().drop(columns="cost_usd")
    table.loc[table["model"] == "small", ["input_tokens", "output_tokens"]] = np.nan
    frames = read(table, tmp_path, prices={"small": Price(0.0, 0.0), "large": Price(3.0, 4.0)})
    assert costs(frames, "small").eq(0).all()
    assert costs(frames, "large").gt(0).all()


def test_long_cached_and_reasoning_tokens_cost_what_the_price_says(tmp_path: Path) -> None:
    table = long_table().drop(columns="cost_usd").assign(cached_input_tokens=4.0, reasoning_tokens=2.0)
    table.loc[table.index % 3 == 0, "cached_input_tokens"] = np.nan
    price = Price(1.0, 2.0, "", "", 0.25, 8.0, (Tier(12.0, 3.0, 6.0, 0.5),))
    frames = read(table, tmp_path, prices={"small": price, "large": Price(1.0, 1.0)})
    rows = table[table["model"] == "small"]
    cached, long = rows["cached_input_tokens"].fillna(0), rows["input_tokens"] > 12
    reasoning = np.minimum(2.0, rows["output_tokens"])
    paid = (rows["input_tokens"] - cached) * np.where(long, 3, 1) + cached * np.where(long, 0.5, 0.25)
    paid += (rows["output_tokens"] - reasoning) * np.where(long, 6, 2) + reasoning * 8
    np.testing.assert_allclose(costs(frames, "small"), paid / 1e6)
    assert long.any()
    assert not long.all()


def test_what_a_router_expects_is_by_the_shares_of_the_results(tmp_path: Path) -> None:
    table = long_table(12).drop(columns="cost_usd").assign(cached_input_tokens=lambda rows: rows["input_tokens"] // 3)
    table["reasoning_tokens"] = table["output_tokens"] // 2
    price = Price(1.0, 2.0, cached_input_usd_per_mtok=0.25, reasoning_usd_per_mtok=8.0)
    store = Store(tmp_path / "store")
    store.save_benchmark("shares", read(table, tmp_path, prices={"small": price, "large": Price(3.0, 4.0)}))
    bench = store.load("shares")
    expected = bench.cost_usd_of(bench.output_tokens)
    np.testing.assert_allclose(expected.sum(axis=0), bench.outcomes.cost_usd.sum(axis=0))
    np.testing.assert_allclose(usage_of(bench, expected), bench.output_tokens)
    assert bench.prices["large"] == Price(3.0, 4.0)
    doubled = replace(bench, prices={model: each.scaled(2.0, 2.0) for model, each in bench.prices.items()})
    np.testing.assert_allclose(doubled.cost_usd_of(bench.output_tokens), 2 * expected)


def test_a_price_of_cached_input_without_such_a_column_is_told(tmp_path: Path) -> None:
    table = long_table().drop(columns="cost_usd")
    prices = {"small": Price(1.0, 2.0, cached_input_usd_per_mtok=0.1), "large": Price(1.0, 1.0)}
    assert any("cached_input_tokens" in note for note in read(table, tmp_path, prices=prices).warnings)


def test_every_price_and_fact_is_read_back_from_the_store(tmp_path: Path) -> None:
    table = long_table().drop(columns="cost_usd")
    prices = {"small": Price(1.0, 2.0, "2025", "s", 0.25, 8.0, (Tier(12.0, 3.0, 6.0), Tier(20.0, 4.0, 6.0, 0.5)))}
    prices["large"] = Price(3.0, 4.0, "2025", "s")
    store = Store(tmp_path / "store")
    plain = store.save_benchmark("plain", read(table, tmp_path, prices=prices))
    assert plain.facts == ()
    assert store.load("plain").prices == prices
    facts = tmp_path / "models.csv"
    facts.write_text(
        "model,provider,open_weights,release_date,context_tokens,effort,base_model\n"
        "SMALL,acme,yes,2025-02,128000,low,base\nother,x,no,2024,1,,\n"
    )
    more = store.save_benchmark("more", with_facts(read(table, tmp_path, prices=prices), read_model_facts(facts)))
    assert more.data_hash != plain.data_hash
    assert more.facts_by_model["small"].open_weights is True
    assert more.facts_by_model["small"].context_tokens == 128_000
    assert more.facts_by_model["large"].open_weights is None
    assert any("large" in note for note in more.warnings)
    assert model_summary(store, "more").set_index("model").loc["small", "provider"] == "acme"
    assert [finding.data for finding in verify(store)] == ["", ""]


def test_facts_stand_in_columns_of_the_results_unless_rows_differ(tmp_path: Path) -> None:
    table = long_table().assign(open_weights="true", provider="acme", release_date="last year")
    table.loc[table["model"] == "large", "provider"] = ["a", "b"] * 3
    frames = read(table, tmp_path)
    facts = {row["model"]: facts_of_row(row) for row in frames.models.to_dict("records")}
    assert (facts["small"].provider, facts["large"].provider) == ("acme", "")
    assert facts["small"].open_weights is facts["large"].open_weights is True
    assert facts["small"].release_date == ""
    assert any("'large' differ in provider" in note for note in frames.warnings)
    assert any("last year" in note for note in frames.warnings)


@pytest.mark.parametrize(
    ("released", "after", "is_later"),
    [
        ("2025-06-10", "2025-05", True),
        ("2025-06-10", "2025-06", False),
        ("2025-06-10", "2025-06-09", True),
        ("2025", "2025-06", False),
        ("2026", "2025-06", True),
        ("", "2025", False),
    ],
)
def test_a_release_is_later_in_the_precision_of_the_date_asked_for(released: str, after: str, is_later: bool) -> None:
    assert ModelFacts(release_date=released).is_released_after(after) == is_later


@pytest.mark.parametrize(
    ("rows", "row", "column"),
    [
        ("a,x,perhaps,2025,1", 1, "open_weights"),
        ("a,x,true,02/2025,1", 1, "release_date"),
        ("a,x,true,2025,many", 1, "context_tokens"),
        ("a,x,true,2025,1\na,x,true,2025,1", 2, "model"),
        (",x,true,2025,1", 1, "model"),
    ],
)
def test_a_bad_fact_is_named(tmp_path: Path, rows: str, row: int, column: str) -> None:
    (path := tmp_path / "m.csv").write_text(f"model,{','.join(FACTS[:4])}\n{rows}\n")
    with pytest.raises(DataError) as caught:
        read_model_facts(path)
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [(row, column)]


def test_spend_of_0_in_a_log_is_not_recorded_unless_the_model_is_free(tmp_path: Path) -> None:
    log = pd.DataFrame({"model": ["a", "b", "a"], "cost_usd": [0.0, 0.0, 0.2], "output_tokens": [5, 6, 0]})
    calls = read_logs(write(log, tmp_path / "log.csv"), free=["b"])
    np.testing.assert_array_equal(calls.cost_usd, [np.nan, 0.0, 0.2])
    np.testing.assert_array_equal(calls.output_tokens, [5.0, 6.0, np.nan])
    assert any("cost_usd of 'a'" in note and "row 1" in note for note in calls.notes)
    assert not any("'b'" in note for note in calls.notes)
