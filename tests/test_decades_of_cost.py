"""Costs from a billionth of a dollar to a thousand dollars a call: plain digits, a unit, and no $0 for what costs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carrot_core.dashboard import frontier
from carrot_core.evaluation.tables import by_task
from carrot_core.figures import alt_text, frontier_figure, read_out
from carrot_core.number_formats import call_cost, pays, solved_cost
from carrot_core.points.formats import FORMATS
from carrot_core.serving import CarrotRouter
from carrot_core.store import Store
from tests.made import fill, made
from tests.scenes import scene

DECADES = range(-9, 4)
SCIENTIFIC = re.compile(r"(?<![\w.])\d[\d.,]*[eE][+-]?\d+(?!\w)")  # and no part of a hash
NOTHING = re.compile(r"\$0(\.0*)?(?![\d.])")


def check(text: str, *, unit: bool = True) -> None:
    """No number of a text is in scientific notation, and no amount is 0; its amounts have a unit."""
    assert "$" in text
    assert not SCIENTIFIC.search(text), text
    assert not NOTHING.search(text), text
    assert not unit or re.search(r"per (1k )?(call|solved|query)|a (query|call|month)", text), text


@pytest.mark.parametrize("decade", DECADES)
def test_charts_read_outs_and_tables_write_costs_of_every_size(decade: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chart = scene(200, dollars=10.0**decade / 4e-5)
    curve = chart.active_curve.frontier
    check(alt_text(chart, 0.3))
    figure = frontier_figure(chart)
    for tick in figure.layout.xaxis.ticktext:
        check(tick, unit=False)
    check(f"$ {figure.layout.xaxis.title.text}")
    point = read_out(chart, 0.3)
    for text in (
        chart.basis.text(point.cost_usd),
        call_cost(point.cost_usd),
        solved_cost(point.cost_usd / point.score),
    ):
        check(text)
    check(pays(point.exchange_rate_per_usd))
    tables: list[Any] = []
    monkeypatch.setattr(frontier.st, "dataframe", lambda table, **_: tables.append(table))
    slices = by_task(curve, ["a", "b"] * 100, point.exchange_rate_per_usd, chart.reference, replicates=10)
    frontier.task_table(slices, chart.reference, chart)
    (table,) = tables
    dollars = [name for name in table.data if name.startswith("$")]
    assert len(dollars) == 2
    html = table.to_html()
    for cell in re.findall(r">(\$[^<]*)<", html):
        check(f"{cell} {dollars[0]}") if cell not in dollars else None


@pytest.mark.slow
@pytest.mark.parametrize("decade", [-9, -5, -1, 3])
def test_exports_of_a_point_write_costs_of_every_size(decade: int, tmp_path: Path) -> None:
    bench = made(60)
    outcomes = bench.outcomes
    cost = outcomes.cost_usd * 10.0**decade / outcomes.cost_usd.mean()
    store = Store(tmp_path / "carrot.duckdb")
    fill(store, replace(bench, outcomes=outcomes.with_values(outcomes.score, cost)), "carrot-knn")
    router = CarrotRouter.load("made", router="carrot-knn", store=store)
    point = router.point_file(lam=0.3)
    made_of = {name: form.make(router, point) for name, form in FORMATS.items() if name not in ("png", "pdf")}
    check(re.sub(r"<svg.*?</svg>", "", made_of["html"].decode(), flags=re.DOTALL))
    for text in re.findall(r"<text[^>]*>([^<]*\$[^<]*)<", made_of["svg"].decode()):
        check(text, unit=False)
    comments = "\n".join(re.findall(r"#.*", made_of["litellm-hook"].decode()))
    assert not SCIENTIFIC.search(comments)
    document, curve = json.loads(made_of["json"]), pd.read_csv(BytesIO(made_of["csv"]))
    # Files for programs keep every digit, in dollars per call as the names of their fields say.
    assert 0 < document["test"]["cost_usd"] == pytest.approx(10.0**decade, rel=5)
    assert (curve["cost_usd"] > 0).all()
