"""Prompts of the store against the same questions asked of a frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core.errors import NotFoundError
from carrot_core.store import Store
from carrot_core.store.browse import PREVIEW, Filter, matching, one_prompt, prompt_table
from tests.tables import frames

TEXTS = ["100% sure", "100 percent", "under_score", "underscore", "Größe", "GRÖSSE", "back\\slash", "x" * 5000, ""]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two benchmarks, for reading only: the filters of one must never see the other's prompts."""
    store = Store(tmp_path_factory.mktemp("browse") / "carrot.duckdb")
    tables = frames(n_prompts=120, n_models=4, seed=3, split=True)
    texts = [TEXTS[number % len(TEXTS)] for number in range(120)]
    texts[7] = None
    prompts = tables.prompts.assign(text=pd.Series(texts, dtype=object))
    scores = tables.outcomes.assign(score=tables.outcomes["score"].round())
    store.save_benchmark("made", replace(tables, prompts=prompts, outcomes=scores))
    store.save_benchmark("other", frames(n_prompts=50, seed=4))
    return store


def truth(store: Store, chosen: Filter) -> list[str]:
    """Ids that pass, found in Python."""
    bench = store.load("made")
    score = bench.outcomes.score
    right, counts = np.nansum(score >= 0.5, axis=1), (~np.isnan(score)).sum(axis=1)
    return [
        prompt_id
        for row, (prompt_id, text) in enumerate(zip(bench.prompt_ids, bench.texts, strict=True))
        if (not chosen.text or chosen.text.lower() in (text or "").lower())
        and chosen.task in (None, bench.tasks[row])
        and chosen.split in (None, bench.split[row])
        and (not chosen.disagree or 0 < right[row] < counts[row])
    ]


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(),
        Filter("100%"),
        Filter("UNDER_SCORE"),
        Filter("größe"),
        Filter("\\"),
        Filter("%"),
        Filter("'; drop table prompts; --"),
        Filter(task="task 1"),
        Filter(task="no such task"),
        Filter(split="test"),
        Filter(disagree=True),
        Filter("e", task="task 0", split="train", disagree=True),
    ],
    ids=repr,
)
def test_filters_find_what_python_finds_in_the_order_of_the_ids(store: Store, chosen: Filter) -> None:
    table = prompt_table(store, "made")
    assert table["prompt_id"].iloc[matching(store, "made", table, chosen)].tolist() == truth(store, chosen)


def test_the_table_counts_right_models_and_carries_only_the_beginning_of_a_text(store: Store) -> None:
    bench = store.load("made")
    table = prompt_table(store, "made")
    score = bench.outcomes.score
    assert table["n_models"].tolist() == (~np.isnan(score)).sum(axis=1).tolist()
    assert table["n_right"].tolist() == (np.nan_to_num(score) >= 0.5).sum(axis=1).tolist()
    assert table["mean_score"].to_numpy() == pytest.approx(np.nanmean(score, axis=1))
    assert table["text"].str.len().max() == PREVIEW
    assert (table["task"].tolist(), table["split"].tolist()) == (list(bench.tasks), bench.split.tolist())


def test_a_prompt_no_model_was_observed_on_is_in_the_table(tmp_path: Path) -> None:
    store, tables = Store(tmp_path / "carrot.duckdb"), frames(n_prompts=5)
    counts = tables.outcomes[tables.outcomes["prompt_id"] != "id 00002"]
    store.save_benchmark("gap", replace(tables, outcomes=counts))
    table = prompt_table(store, "gap")
    assert table.loc[2, ["n_models", "n_right"]].tolist() == [0, 0]
    assert np.isnan(table.loc[2, "mean_score"])
    assert 2 not in matching(store, "gap", table, Filter(disagree=True))


def test_a_lone_surrogate_is_searched_for_and_not_found(store: Store) -> None:
    assert not len(matching(store, "made", prompt_table(store, "made"), Filter("\ud800")))


def test_a_prompt_has_its_whole_text_and_a_row_for_every_model(store: Store) -> None:
    bench = store.load("made")
    for row in (0, 7, 8):
        result = one_prompt(store, "made", bench.prompt_ids[row])
        assert (result.text, result.task, result.split) == (bench.texts[row], bench.tasks[row], bench.split[row])
        assert result.outcomes["model"].tolist() == list(bench.models)
        for name, table in (("score", bench.outcomes.score), ("output_tokens", bench.output_tokens)):
            np.testing.assert_array_equal(result.outcomes[name].to_numpy(dtype=float), table[row])


def test_a_prompt_nobody_has(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no prompt 'x'"):
        one_prompt(store, "made", "x")
    with pytest.raises(NotFoundError, match="no benchmark 'gone'"):
        prompt_table(store, "gone")
