"""Numbers in words: Python on the table of cases that the browser's formats are held to, too, and what only it does."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.io.formats.style import Styler

from carrot_core.bootstrap import Interval
from carrot_core.dashboard.exhibits import priced
from carrot_core.dashboard.links import plain
from carrot_core.figures.frontier import sides
from carrot_core.number_formats import (
    PER_1K,
    PER_CALL,
    CostBasis,
    apart,
    call_cost,
    cost_basis,
    lam_text,
    money,
    money_tick,
    pays,
    percent,
    points,
    same_decimals,
    seconds,
    without_nan,
)
from carrot_core.serving.intervals import Between

HERE = Path(__file__).parent
CASES = json.loads((HERE / "number_cases.json").read_text(encoding="utf-8"))
FORMATS = {
    "money": money,
    "money_tick": money_tick,
    "percent": lambda share, digits: percent(share, digits=digits),
    "lam": lam_text,
    "pays": pays,
    "seconds": seconds,
    "unbroken": plain,
    "cost": lambda usd, basis: CostBasis(**basis).text(usd),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_python_writes_numbers_as_the_table_says(kind: str) -> None:
    *values, texts = zip(*CASES[kind], strict=True)
    assert [FORMATS[kind](*case) for case in zip(*values, strict=True)] == list(texts)


def test_prices_below_each_other_have_the_decimals_of_the_one_that_needs_most() -> None:
    for prices, texts in (
        ([10.0, 0.6, 0.435], ["$10.000", "$0.600", "$0.435"]),
        ([25.0, 2.0, 1234.0, 0.0], ["$25.00", "$2.00", "$1,234.00", "$0.00"]),
    ):
        assert list(map(same_decimals([*prices, math.nan]).format, prices)) == texts


def test_names_stand_where_the_table_says() -> None:
    for case in json.loads((HERE / "label_cases.json").read_text(encoding="utf-8")):
        lines = [np.array(line, dtype=float) for line in case["lines"]]
        assert sides(np.array(case["points"], dtype=float), case["names"], lines, (760, 320)) == case["sides"], case


@given(st.floats(1e-12, 1e9), st.booleans())
def test_dollars_are_plain_digits_three_of_which_count(usd: float, below: bool) -> None:
    text = money(-usd if below else usd)
    assert text.startswith("-$" if below else "$")
    digits = text.lstrip("-$").replace(",", "")
    assert "e" not in text
    assert math.isclose(float(digits), usd, rel_tol=5.1e-3)
    assert sum(letter.isdigit() for letter in digits.lstrip("0.").rstrip("0").replace(".", "")) <= 3


def test_intervals_stand_behind_their_figure_where_they_are_known() -> None:
    assert percent(0.812, 0.79, 0.83) == "81.2 % [79.0, 83.0]"
    assert percent(0.812, None, None) == percent(0.812, math.nan, math.nan) == "81.2 %"
    assert points(-0.012, -0.03, 0.006) == "-1.2 points [-3.0, +0.6]"
    assert percent(0.5, -math.inf, 0.6) == "50.0 % [no end, 60.0]"
    assert call_cost(0.0012, -0.0001, 0.003) == "$1.20 per 1k calls [$0, $3.00]"
    assert call_cost(-0.012, -0.02, 0.003, signed=True) == "-$0.0120 per call [-$0.0200, +$0.00300]"
    assert call_cost(0.04, math.nan, math.nan) == "$0.0400 per call"
    assert call_cost(math.nan) == call_cost(None) == percent(None) == "not known"


def test_the_basis_follows_the_size() -> None:
    assert cost_basis([0.04, 2.0]) == cost_basis(0.01) == cost_basis([-0.5, math.nan]) == PER_CALL
    assert cost_basis([0.04, 2.0], "task").words == "per task"
    assert cost_basis(0.0099, "task").words == "per 1k tasks"
    assert {cost_basis(usd, "task").unit for usd in (2.0, 0.001)} == {"task"}
    assert call_cost(0.004, basis=cost_basis(2.0, "task")) == "$0.00400 per task"
    assert cost_basis([1e-5, 0.004, 0.3]) == cost_basis(0.0099) == cost_basis([]) == cost_basis(math.nan) == PER_1K


@given(st.floats(1e-6, 1e6))
def test_a_cost_is_told_by_its_words(usd: float) -> None:
    """From a thousandth of a dollar to a million of them per call; never a bare number of thousands."""
    amount, unit = call_cost(usd).removeprefix("$").split(" ", 1)
    calls = {"per call": 1, "per 1k calls": 1000}[unit]
    assert math.isclose(float(amount.replace(",", "")) / calls, usd, rel_tol=5.1e-3)


def test_two_amounts_have_the_digits_that_tell_them_apart() -> None:
    assert apart(lambda usd, digits: money(usd, digits=digits), 0.12341, 0.12345) == ("$0.1234", "$0.1235")
    assert apart(lambda usd, digits: money(usd, digits=digits), 1.0, 2.0) == ("$1.00", "$2.00")


def test_a_table_shows_dollars_in_words_and_keeps_them_as_numbers() -> None:
    frame = pd.DataFrame({"model": ["a", "b", "c"], "$ per 1k": [1234.5, 2e-7, np.nan]})
    table = priced(frame, "$ per 1k")
    assert isinstance(table, Styler)
    pd.testing.assert_frame_equal(table.data, frame)
    assert all(f">{text}<" in table.to_html() for text in ("$1,230", "$0.000000200", "–"))


def test_json_has_neither_nan_nor_infinity_and_an_interval_comes_back() -> None:
    document = without_nan(
        {"one": Interval(1.0, math.nan, math.inf), "two": [Between(0.5, -math.inf, 1.0)], "name": "x", "n": 3}
    )
    assert document["one"] == {"value": 1.0, "low": None, "high": None}
    assert document["two"] == [{"value": 0.5, "low": None, "high": 1.0}]
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    interval = Interval(0.5, 0.25, 0.75)
    assert Interval.of_document(without_nan(interval)) == interval
    assert math.isnan(Interval.of_document(document["one"]).low)
