"""Figures of a benchmark: they show the tables they are given, in both themes, and say it in words."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from carrot_core.figures.benchmark import (
    MOST_TASKS,
    coverage_caption,
    coverage_figure,
    coverage_text,
    least_covered,
    score_figure,
    score_text,
    token_figure,
    token_text,
)  # fmt: skip
from carrot_core.figures.theme import ThemeName
from carrot_core.store import Store
from carrot_core.store.browse import LEVELS, coverage, score_levels, token_spread
from tests.tables import frames

HOSTILE = "<img src=x onerror=alert(1)>"
THEMES: list[ThemeName] = ["light", "dark"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("figures") / "carrot.duckdb")
    store.save_benchmark("made", frames(n_prompts=60, n_models=3))
    return store


def cells(tasks: list[str], models: list[str]) -> pd.DataFrame:
    """Coverage of 10 prompts a task; model k misses k of them on every task, and one more on later tasks."""
    return pd.DataFrame(
        [
            {"model": model, "task": task, "n_prompts": 10, "n_observed": 10 - k - (at > 0)}
            for k, model in enumerate(models)
            for at, task in enumerate(tasks)
        ]
    ).assign(share=lambda table: table["n_observed"] / table["n_prompts"])


@pytest.mark.parametrize("theme", THEMES)
def test_coverage_shows_every_cell_where_its_labels_say(store: Store, theme: ThemeName) -> None:
    table = coverage(store, "made")
    figure = coverage_figure(table, theme)
    (heat,) = figure.data
    tasks = figure.layout.yaxis.ticktext
    for _, cell in table.iterrows():
        assert heat.z[tasks.index(cell["task"])][heat.x.index(cell["model"])] == pytest.approx(100 * cell["share"])


def test_coverage_tells_tasks_apart_whose_labels_are_cut_to_the_same_text() -> None:
    tasks = [f"a task with a very long name, number {number}" for number in range(3)]
    (heat,) = coverage_figure(cells(tasks, ["a", "b"])).data
    assert len(set(heat.y)) == 3
    assert all(task in "".join(map(str, heat.customdata)) for task in tasks)


def test_coverage_of_many_tasks_draws_the_worst() -> None:
    table = cells([f"task {number:03}" for number in range(MOST_TASKS + 20)], ["a", "b"])
    worst = table["task"].eq("task 050")
    table.loc[worst, ["n_observed", "share"]] = 0
    assert least_covered(table)[0] == "task 050"
    assert len(coverage_figure(table).layout.yaxis.ticktext) == MOST_TASKS
    assert f"{MOST_TASKS} least covered of {MOST_TASKS + 20}" in coverage_caption(table)


@pytest.mark.parametrize("theme", THEMES)
def test_scores_of_a_model_fill_its_bar(store: Store, theme: ThemeName) -> None:
    table = score_levels(store, "made")
    figure = score_figure(table, LEVELS, theme)
    for place in range(3):
        assert sum(bar.x[place] for bar in figure.data) == pytest.approx(100)
    assert [bar.name for bar in figure.data] == [LEVELS[level] for level in sorted(set(table["level"]), reverse=True)]
    assert len({(bar.marker.color, bar.marker.pattern.shape) for bar in figure.data}) == len(figure.data)


def test_token_boxes_are_the_quantiles(store: Store) -> None:
    table = token_spread(store, "made")
    (box,) = token_figure(table).data
    assert list(box.y) == table["model"].tolist()
    assert list(box.median) == table["p50"].tolist()
    assert list(box.upperfence) == table["p95"].tolist()


def test_tokens_of_zero_have_a_place_on_the_axis(store: Store) -> None:
    table = token_spread(store, "made")
    assert token_figure(table.assign(p05=0.0)).layout.xaxis.type != "log"
    assert token_figure(table.assign(p05=1.0)).layout.xaxis.type == "log"


def test_names_are_shown_and_never_markup(store: Store) -> None:
    table = cells([HOSTILE, "b"], [HOSTILE, "other/model", "another/model"])
    levels = score_levels(store, "made").replace("model-a", HOSTILE)
    tokens = token_spread(store, "made").replace("model-a", HOSTILE)
    for figure in (coverage_figure(table), score_figure(levels, LEVELS), token_figure(tokens)):
        assert "&lt;img" in str(figure)
        assert "<img" not in str(figure)
    hidden = "a\u202eb"
    assert "a⟨U+202E⟩b, 0" in coverage_text(cells(["t"], [hidden, "b"]).assign(n_observed=[0, 10]))
    (heat,) = coverage_figure(table).data
    assert list(heat.x)[1:] == ["another/model", "other/model"]


def test_models_that_are_numbers_are_names_all_the_same(store: Store) -> None:
    numbers = {"model-a": "2024-01-01", "model-b": "7", "model-c": "70"}
    levels, tokens = score_levels(store, "made").replace(numbers), token_spread(store, "made").replace(numbers)
    figure = coverage_figure(cells(["t"], list(numbers.values())))
    assert figure.layout.xaxis.type == "category"
    assert score_figure(levels, LEVELS).layout.yaxis.type == token_figure(tokens).layout.yaxis.type == "category"


def test_words_name_the_ends(store: Store, tmp_path: Path) -> None:
    levels = pd.DataFrame(
        [("good", 5, 9, 0.9), ("good", 0, 1, 0.1), ("bad", 5, 2, 0.2), ("bad", 0, 8, 0.8)],
        columns=["model", "level", "n", "share"],
    )
    words = score_text(levels, LEVELS)
    assert "good: 90 % full score, 10 % zero; bad: 20 % full score, 80 % zero" in words
    words = coverage_text(cells(["t", "u"], ["a", "b"]))
    assert "90.0 % of all cells" in words
    assert "Least observed: b, 85.0 %; most: a, 95.0 %" in words
    table = token_spread(store, "made")
    assert f"Lowest median: {table['model'].iloc[0]}" in token_text(table)
