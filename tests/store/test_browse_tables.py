"""The tables of the Data page against pandas on the same frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import CarrotError
from carrot_core.store import Store
from carrot_core.store.browse import (
    LEVELS,
    coverage,
    model_summary,
    models_within,
    score_levels,
    split_sizes,
    token_spread,
)
from tests.tables import frames

MADE = frames(n_prompts=90, n_models=4, seed=5, split=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The benchmark that is asked about, between two others; for reading only."""
    store = Store(tmp_path_factory.mktemp("tables") / "carrot.duckdb")
    for name, content in (("a", frames(seed=1)), ("made", MADE), ("z", frames(n_prompts=200, n_models=5, seed=2))):
        store.save_benchmark(name, content)
    return store


def test_split_sizes(store: Store) -> None:
    assert split_sizes(store, "made") == {"train": 30, "validation": 30, "test": 30}


def test_model_summary(store: Store) -> None:
    result = model_summary(store, "made").set_index("model")
    by_model = MADE.outcomes.groupby("model")
    assert list(result.index) == by_model["score"].mean().sort_values(ascending=False).index.tolist()
    for name in ("score", "cost_usd", "output_tokens"):
        pd.testing.assert_series_equal(result[name].sort_index(), by_model[name].mean(), check_names=False)
    assert result["n_observed"].sort_index().tolist() == by_model.size().tolist()
    assert result["coverage"].to_numpy() == pytest.approx((result["n_observed"] / 90).to_numpy())
    assert result["input_usd_per_mtok"].sort_index().tolist() == [1.0, 2.0, 3.0, 4.0]
    assert np.isnan(result.loc["model-a", "output_usd_per_mtok"])


def test_latency_of_models_is_that_of_pandas_on_the_function_calling_leaderboard(
    shared_data: Path, tmp_path: Path
) -> None:
    path, where = shared_data / "bfcl-2024-08" / "bfcl_2024_08.parquet", "model like 'gpt-4o%'"
    store = Store(tmp_path / "carrot.duckdb")
    store.save_benchmark("calls", read_any(path, where=where))
    table = model_summary(store, "calls").set_index("model").sort_index()
    calls = pd.read_parquet(path)
    runs = calls[calls["model"].str.startswith("gpt-4o")].groupby("model")["latency_s"]
    for name, expected in (("latency_s", runs.mean()), ("latency_p95_s", runs.quantile(0.95))):
        np.testing.assert_allclose(table[name], expected.sort_index(), rtol=1e-12)
    assert models_within(store, "calls", 2.0) == tuple(sorted(runs.quantile(0.95).loc[lambda p95: p95 <= 2.0].index))
    pool = ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13-FC")
    assert models_within(store, "calls", 2.0, pool) == pool[:1]
    with pytest.raises(CarrotError, match="fastest"):
        models_within(store, "calls", 0.5)


def test_without_any_latency_none_is_told_and_none_can_be_capped(store: Store) -> None:
    assert not {"latency_s", "latency_p95_s"} & set(model_summary(store, "made"))
    with pytest.raises(CarrotError, match="latency_s"):
        models_within(store, "made", 2.0)


def test_coverage_has_every_model_and_task_also_those_never_seen_together(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    tasks = MADE.prompts.set_index("prompt_id")["task"]
    cells = MADE.outcomes[
        ~((MADE.outcomes["model"] == "model-b") & (MADE.outcomes["prompt_id"].map(tasks) == "task 1"))
    ]
    store.save_benchmark("made", type(MADE)(MADE.prompts, MADE.models, cells, MADE.provenance))
    result = coverage(store, "made").set_index(["model", "task"])
    expected = cells.assign(task=cells["prompt_id"].map(tasks)).groupby(["model", "task"]).size()
    assert len(result) == 8
    assert result.loc[("model-b", "task 1"), "n_observed"] == 0
    for cell, number in expected.items():
        assert result.loc[cell, "n_observed"] == number
        assert result.loc[cell, "share"] == pytest.approx(number / 45)


def test_score_levels_put_0_and_1_apart_and_add_up(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    scores = np.resize([0.0, 0.1, 0.25, 0.5, 0.75, 0.99, 1.0], len(MADE.outcomes))
    outcomes = MADE.outcomes.assign(score=scores)
    store.save_benchmark("made", type(MADE)(MADE.prompts, MADE.models, outcomes, MADE.provenance))
    result = score_levels(store, "made")
    level = pd.cut(outcomes["score"], [-1, 0, 0.25, 0.5, 0.75, 1 - 1e-9, 1], labels=range(len(LEVELS))).astype(int)
    expected = outcomes.groupby(["model", level]).size()
    assert result.set_index(["model", "level"])["n"].to_dict() == expected.to_dict()
    assert result.groupby("model")["share"].sum().to_numpy() == pytest.approx(np.ones(4))


def test_token_spread_is_that_of_the_recorded_tokens(store: Store) -> None:
    result = token_spread(store, "made").set_index("model")
    by_model = MADE.outcomes.dropna(subset="output_tokens").groupby("model")["output_tokens"]
    assert result["n"].sort_index().tolist() == by_model.size().tolist()
    for name, share in (("p05", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95)):
        assert result[name].sort_index().to_numpy() == pytest.approx(by_model.quantile(share).to_numpy())
    assert result["p50"].is_monotonic_increasing


def test_a_benchmark_without_tokens_has_no_spread(tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    outcomes = MADE.outcomes.assign(output_tokens=np.nan)
    store.save_benchmark("made", type(MADE)(MADE.prompts, MADE.models, outcomes, MADE.provenance))
    assert token_spread(store, "made").empty
