"""Figures of the Compare page: ranks and differences keep their laws; all draw in every theme, whatever names say."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrot_core.compare import ANALYSES
from carrot_core.compare.gap import GAP, WORDS, gap_exhibit
from carrot_core.compare.learnable_losses import learnable_exhibit, losses_exhibit
from carrot_core.compare.model_shares_agreement import agreement_exhibit, collapse_exhibit, shares_exhibit
from carrot_core.compare.predictions import ratios_exhibit, reliability_exhibit, usage_exhibit
from carrot_core.compare.ranking import (
    across_exhibit,
    answer,
    is_corrected,
    matrix_exhibit,
    metric_exhibit,
    ranks,
    square,
    standing,
    table_exhibit,
)
from carrot_core.compare.studies import learning, learning_exhibit, transfer, transfer_exhibit
from carrot_core.compare.task_curves import legend_of, task_figure, tasks_exhibit
from carrot_core.evaluation import Candidate, Comparison, Setting, compare, setting
from carrot_core.figures.exhibit import Exhibit, as_csv, as_html, as_json, as_latex, figure_of
from carrot_core.figures.scene import compose, label
from carrot_core.figures.theme import THEMES, model_names, router_names
from carrot_core.metrics import METRICS
from carrot_core.number_formats import PER_1K
from carrot_core.outcomes import Estimates
from tests.made import made

pytestmark = pytest.mark.slow

NAMES = ("carrot-knn", "zero", "task-lookup", "oracle")
HOSTILE = "<img src=x onerror=alert(1)>"
FAIR = ("a", "b", "c", "d")
ends = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)


def pairs_of(intervals: list[list[float]], metric: str) -> pd.DataFrame:
    rows = [
        (one, other, metric, (low + high) / 2, low, high, low, high)
        for (one, other), (low, high) in zip(combinations(FAIR, 2), intervals, strict=True)
    ]
    return pd.DataFrame(rows, columns=["router", "other", "metric", "value", "low", "high", "low_all", "high_all"])


@given(st.lists(ends, min_size=6, max_size=6), st.sampled_from(["aiq", "qnc"]))
def test_no_router_ranks_above_one_that_beats_it(intervals: list[list[float]], metric: str) -> None:
    pairs, sign = pairs_of(intervals, metric), 1 if METRICS[metric].higher_is_better else -1
    beaten: dict[str, set[str]] = {name: set() for name in FAIR}
    for row in pairs.itertuples():
        if row.low > 0 or row.high < 0:
            better, worse = (row.router, row.other)[:: sign if row.low > 0 else -sign]
            beaten[worse].add(better)
    rank = ranks(pairs, FAIR, metric)
    for name in FAIR:
        assert rank[name] > 1 or all(rank[other] == 1 for other in beaten[name])
        above = {other for other in beaten[name] if rank[other] < rank[name]}
        circle = {other for other in beaten[name] if rank[other] == rank[name]}
        assert above | circle == beaten[name]
        assert all(beaten[other] for other in circle)  # only a circle of routers, each ahead of the next, shares a rank
    assert set(rank.values()) == set(range(1, max(rank.values()) + 1))


def test_the_answer_claims_no_more_than_the_pairs_bear_out() -> None:
    names = ("carrot-knn", "carrot-mlp", "zero", "task-lookup")
    rows = [(one, other, "aiq", 0.0, *interval, *interval) for (one, other), interval in {
        ("carrot-knn", "carrot-mlp"): (-0.1, 0.1), ("carrot-knn", "zero"): (0.1, 0.2),
        ("carrot-knn", "task-lookup"): (-0.1, 0.1), ("carrot-mlp", "zero"): (0.1, 0.3),
        ("carrot-mlp", "task-lookup"): (-0.3, -0.1), ("zero", "task-lookup"): (-0.2, -0.1),
    }.items()]  # fmt: skip
    pairs = pd.DataFrame(rows, columns=["router", "other", "metric", "value", "low", "high", "low_all", "high_all"])
    assert ranks(pairs, names, "aiq") == {"carrot-knn": 1, "carrot-mlp": 2, "zero": 3, "task-lookup": 1}
    says = answer(pairs, names, "aiq")
    assert "CARROT-KNN and Task lookup cannot be told apart" in says
    assert "All learned routers beat mixing models without reading the prompt" in says
    assert "None beats a lookup by task. CARROT-MLP is measurably worse" in says
    alone = pairs[pairs["other"] == "zero"].assign(router="carrot-knn").head(1)
    assert "is measurably better than every other" in answer(alone, names, "aiq")
    assert answer(alone, ("carrot-knn",), "aiq") == ""


@settings(max_examples=30)
@given(ends)
def test_two_routers_tie_exactly_where_the_interval_covers_zero(interval: list[float]) -> None:
    pairs = pairs_of([interval] * 6, "aiq")
    result = ranks(pairs, ("a", "b"), "aiq")
    assert (result["a"] == result["b"]) == (interval[0] <= 0 <= interval[1])


def test_a_pair_that_differs_alone_but_not_among_all_ties() -> None:
    pairs = pairs_of([[0.1, 0.3]] * 6, "aiq")
    assert ranks(pairs, FAIR, "aiq") == {"a": 1, "b": 2, "c": 3, "d": 4}
    together = pairs.assign(low_all=-0.1, high_all=0.5)
    assert set(ranks(together, FAIR, "aiq").values()) == {1}
    table = square(together, FAIR, "aiq")
    assert ((table["low"] < 0) & (table["high"] > 0)).all()
    older = pairs.drop(columns=["low_all", "high_all"])  # of a snapshot written before
    assert ranks(older, FAIR, "aiq") == ranks(pairs, FAIR, "aiq")
    assert not is_corrected(older)
    assert is_corrected(pairs)


def test_those_that_see_outcomes_have_no_rank_and_move_none(compared: Comparison) -> None:
    result = ranks(compared.pairs, NAMES, "aiq")
    assert "oracle" not in result
    assert result == ranks(compared.pairs, [name for name in NAMES if name != "oracle"], "aiq")


@settings(max_examples=30)
@given(st.lists(ends, min_size=6, max_size=6))
def test_the_square_is_antisymmetric(intervals: list[list[float]]) -> None:
    table = square(pairs_of(intervals, "aiq"), FAIR, "aiq").set_index(["router", "other"])
    assert len(table) == 12
    for one, other in combinations(FAIR, 2):
        there, back = table.loc[(one, other)], table.loc[(other, one)]
        assert there["value"] == -back["value"]
        assert (there["low"], there["high"]) == (-back["high"], -back["low"])


@pytest.fixture(scope="module")
def bench() -> Setting:
    return setting(made(150))


@pytest.fixture(scope="module")
def routers(bench: Setting) -> dict[str, dict[str, Estimates]]:
    return {name: dict(bench.estimates(name, 0)) for name in NAMES}


@pytest.fixture(scope="module")
def compared(bench: Setting, routers: dict[str, dict[str, Estimates]]) -> Comparison:
    return compare(
        {0: bench}, {name: {0: Candidate.of(bench, table)} for name, table in routers.items()}, replicates=50
    )


@pytest.fixture(scope="module")
def exhibits(bench: Setting, routers: dict[str, dict[str, Estimates]], compared: Comparison) -> dict[str, Exhibit]:
    tables = {name: analysis.make(bench, routers) for name, analysis in ANALYSES.items()}
    table = standing(compared.figures, compared.pairs, NAMES, ["aiq", "qnc"])
    lost = tables["losses"]
    lost = lost[(lost["router"] == "carrot-knn") & (lost["lam"] == 0.3)]
    made_ones = [
        metric_exhibit(table, "aiq", "made"),
        metric_exhibit(table, "qnc", "made"),
        table_exhibit(table, ["aiq", "qnc"], "made"),
        matrix_exhibit(compared.pairs, NAMES, "aiq", "made"),
        across_exhibit({"made": table, HOSTILE: table.iloc[:2]}, "aiq"),
        gap_exhibit(tables["decomposition"]),
        gap_exhibit(tables["decomposition"], 0.3),
        collapse_exhibit(tables["collapse"]),
        collapse_exhibit(tables["collapse"], 1),
        learnable_exhibit(tables["learnable"], None, grown := learning({0: bench}, "carrot-knn")),
        learnable_exhibit(tables["learnable"], 0.3),
        agreement_exhibit(tables["agreement"], 0.3),
        shares_exhibit(compose(bench, {}, title="made", active="zero", baselines=["zero"])),
        tasks_exhibit(tables["task-curves"]),
        reliability_exhibit(tables["reliability"]),
        reliability_exhibit(tables["reliability"], "acme/small"),
        usage_exhibit(tables["usage"], "carrot-knn"),
        ratios_exhibit(tables["usage"], "carrot-knn"),
        losses_exhibit(lost, "carrot-knn", 0.3),
        learning_exhibit(grown),
        transfer_exhibit(transfer({0: bench}, "carrot-knn")),
    ]
    return {f"{place}-{one.name}": one for place, one in enumerate(made_ones)}


def test_every_one_draws_in_every_theme_and_goes_out_in_every_form(exhibits: dict[str, Exhibit]) -> None:
    for name, exhibit in exhibits.items():
        assert exhibit.caption, name
        assert exhibit.alt, name
        assert len(exhibit.table), name
        for form in (as_csv, as_json, as_latex, as_html):
            assert form(exhibit), name
        if exhibit.draw is not None:
            for theme in THEMES:
                assert figure_of(exhibit, theme).data, (name, theme)


def test_print_has_no_colour(exhibits: dict[str, Exhibit]) -> None:
    """Every colour of a figure for print is a grey."""
    for name, exhibit in exhibits.items():
        if exhibit.draw is None:
            continue
        drawn = exhibit.draw("print").update_layout(template=None)  # Plotly's own, of which nothing is drawn
        for code in set(re.findall(r'"#([0-9a-f]{6})"', drawn.to_json())):
            assert len({code[i : i + 2] for i in (0, 2, 4)}) == 1, (name, code)


def test_the_gap_is_told_in_words_and_bars(exhibits: dict[str, Exhibit]) -> None:
    exhibit = next(one for one in exhibits.values() if one.name == "gap-to-oracle")
    rows = exhibit.table.set_index(["router", "part"])["value"]
    assert f"CARROT-KNN: {100 * rows['carrot-knn', 'gap']:.1f}" in exhibit.alt
    assert exhibit.draw is not None
    bars = {trace.name: trace for trace in exhibit.draw("light").data}
    assert set(bars) == set(WORDS.values()) - {WORDS["luck"]}  # every cell was run once
    assert len({trace.marker.pattern.shape for trace in bars.values()}) == len(bars)
    np.testing.assert_allclose(bars["Observed costs"].x[0], 100 * rows["carrot-knn", "costs"])


def test_the_gap_in_words_has_all_its_parts_and_the_task_label_apart(exhibits: dict[str, Exhibit]) -> None:
    for exhibit in (one for one in exhibits.values() if one.name.startswith("gap-to-oracle")):
        rows = exhibit.table[exhibit.table["router"] == "carrot-knn"].set_index("part")["value"]
        parts = ", ".join(f"{WORDS[part].lower()} {100 * rows[part]:+.1f}" for part in GAP)
        label = f" (apart from it, the task label {100 * rows['task_label']:+.1f})" if "task_label" in rows else ""
        assert f"of which {parts}{label}" in exhibit.alt


ALIKE = ("routerbench-knn (n_neighbors=10)", "routerbench-knn (n_neighbors=40)")


def test_names_that_look_alike_when_cut_stay_apart() -> None:
    assert router_names(["carrot-knn", *ALIKE], 22) == ["CARROT-KNN", *(label(name) for name in ALIKE)]
    assert model_names(["a/x", "b/x", "b/y"]) == ["a/x", "b/x", "y"]
    square_of = pd.DataFrame([(one, other, 0.3, 0.5) for one in ALIKE for other in ALIKE])
    square_of.columns = pd.Index(["router", "other", "lam", "agreement"])
    drawn = agreement_exhibit(square_of, 0.3).draw
    assert drawn is not None
    (heat,) = drawn("light").data
    assert len(set(heat.x)) == len(set(heat.y)) == 2


def test_a_metric_in_dollars_is_written_in_dollars_and_not_times_100() -> None:
    metric = "cost_per_solved"
    table = pd.DataFrame(
        [("a", 0.05, 0.04, 0.0625, 1), ("b", 1.5, 1.25, np.inf, 2)],
        columns=["router", *(f"{metric}{end}" for end in ("", "_low", "_high", "_rank"))],
    )
    exhibit = metric_exhibit(table, metric, "made")
    assert exhibit.alt.endswith("a $0.0500 ($0.0400 to $0.0625); b $1.50 ($1.25 to no end).")
    assert "× 100" not in exhibit.caption
    assert exhibit.draw is not None
    *_, dots = exhibit.draw("light").data
    assert tuple(dots.x) == (0.05, 1.5)
    cheap = metric_exhibit(table, metric, "made", PER_1K)
    assert cheap.alt.startswith("least cost per 1k solved tasks")
    assert "a $50.0 ($40.0 to $62.5)" in cheap.alt
    assert cheap.draw is not None
    *_, dots = cheap.draw("light").data
    assert tuple(dots.x) == (50, 1500)


def test_an_interval_without_an_end_runs_to_the_edge() -> None:
    table = pd.DataFrame(
        [("a", 0.2, 0.1, 0.4, 1), ("b", 0.6, 0.3, np.inf, 2), ("c", 0.7, np.nan, np.nan, 3)],
        columns=["router", "qnc", "qnc_low", "qnc_high", "qnc_rank"],
    )
    exhibit = metric_exhibit(table, "qnc", "made")
    assert exhibit.alt.endswith("a 20.0 (10.0 to 40.0); b 60.0 (30.0 to no end); c 70.0.")
    assert "A bar that runs to the edge has no end" in exhibit.caption
    assert exhibit.draw is not None
    figure = exhibit.draw("light")
    closed, endless, dots = figure.data
    assert tuple(closed.x) == (10.0, 40.0)
    assert tuple(endless.x) == (30.0, figure.layout.xaxis.range[1])
    assert endless.x[1] > 70
    assert [text.partition(": ")[2] for text in dots.customdata] == [
        "20.00 [10.00, 40.00], rank 1", "60.00 [30.00, no end], rank 2", "70.00, rank 3",
    ]  # fmt: skip
    assert "edge" not in metric_exhibit(table.iloc[[0, 2]], "qnc", "made").caption


def test_a_cell_that_is_no_difference_is_in_brackets_and_uncoloured(compared: Comparison) -> None:
    exhibit = matrix_exhibit(compared.pairs, NAMES, "aiq", "made")
    assert exhibit.draw is not None
    (heat,) = exhibit.draw("light").data
    for i, one in enumerate(NAMES):
        for j, other in enumerate(NAMES):
            if i == j:
                assert heat.text[i][j] == ""
                continue
            row = exhibit.table[(exhibit.table["router"] == one) & (exhibit.table["other"] == other)].iloc[0]
            sure = row["low"] > 0 or row["high"] < 0
            assert (heat.z[i][j] != 0) == sure
            assert heat.text[i][j].startswith("(") != sure


def test_names_from_files_are_text(bench: Setting, routers: dict[str, dict[str, Estimates]]) -> None:
    tasks = ANALYSES["task-curves"].make(bench, routers).replace({"task": {"kind 0": HOSTILE}})
    used = ANALYSES["usage"].make(bench, routers).replace({"model": {"acme/large": HOSTILE}})
    moved = transfer({0: bench}, "carrot-knn").replace({"task": {"kind 0": HOSTILE}})
    drawn: list[Callable[[], object]] = [
        lambda: figure_of(tasks_exhibit(tasks), "light"),
        lambda: task_figure(tasks, HOSTILE, "light"),
        lambda: legend_of(tasks.assign(router=HOSTILE), "light"),
        lambda: figure_of(ratios_exhibit(used, "carrot-knn"), "light"),
        lambda: figure_of(transfer_exhibit(moved), "light"),
    ]
    for figure in drawn:
        assert "<img" not in figure().to_json().replace("\\u003c", "<")  # type: ignore[attr-defined]
