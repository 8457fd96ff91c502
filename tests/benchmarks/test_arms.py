"""Arms of several calls against every subset of the samples, one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.model_facts_arms import (
    add_arms,
    arms_in,
    arms_of_models,
    best_of,
    facts_of_row,
    majority_of,
    without_arms,
)
from carrot_core.errors import DataError
from carrot_core.store import Store
from tests.tables import frames


def rows(binary: bool) -> np.ndarray:
    """(60, 5) samples, from one to five a row."""
    rng = np.random.default_rng(0)
    samples = rng.random((60, 5)) if not binary else rng.integers(0, 2, (60, 5)).astype(float)
    samples[np.arange(5) >= rng.integers(1, 6, 60)[:, None]] = np.nan
    return samples


@pytest.mark.parametrize("n", [2, 3, 4])
def test_an_arm_is_the_mean_over_all_subsets(n: int) -> None:
    for table, arm, of_subset in (
        (rows(False), best_of, max),
        (rows(True), best_of, max),
        (rows(True), majority_of, lambda subset: (np.sign(2 * sum(subset) - n) + 1) / 2),
    ):
        expected = [
            np.mean([of_subset(subset) for subset in combinations(row[~np.isnan(row)], n)])
            if (~np.isnan(row)).sum() >= n
            else np.nan
            for row in table
        ]
        np.testing.assert_allclose(arm(table, n), expected, atol=1e-12)


def repeated(n_samples: int = 3, split: bool = False) -> Frames:
    """Frames whose cells have several samples, but one cell with one."""
    tables = frames(split=split)
    rng = np.random.default_rng(1)
    runs = [
        tables.outcomes.assign(sample=str(number), score=rng.integers(0, 2, len(tables.outcomes)).astype(float))
        for number in range(n_samples)
    ]
    outcomes = pd.concat(runs, ignore_index=True)
    first = (outcomes["prompt_id"] == "id 00000") & (outcomes["model"] == "model-a") & (outcomes["sample"] != "0")
    return replace(tables, outcomes=outcomes[~first].reset_index(drop=True))


def test_arms_are_models_that_cost_their_calls() -> None:
    tables = repeated()
    table = add_arms(tables, ["best-of-2", "majority-of-3"])
    assert len(table.models) == 9
    assert table.models["model"].is_unique
    cells = table.outcomes.groupby(["model", "prompt_id"])[["score", "cost_usd", "output_tokens"]].mean()
    for model in tables.models["model"]:
        alone = cells.loc[model].drop(index="id 00000", errors="ignore")
        for arm, n in (("best-of-2", 2), ("majority-of-3", 3)):
            several = cells.loc[f"{model} {arm}"].drop(index="id 00000", errors="ignore")
            np.testing.assert_allclose(several[["cost_usd", "output_tokens"]], n * alone[["cost_usd", "output_tokens"]])
        best = cells.loc[f"{model} best-of-2"]["score"].reindex(alone.index)
        assert (best >= alone["score"] - 1e-12).all()
    assert "id 00000" not in cells.loc["model-a best-of-2"].index
    prices = table.models.set_index("model")["input_usd_per_mtok"]
    known = {row["model"]: facts_of_row(row) for row in table.models.to_dict("records")}
    arms = arms_of_models(list(known), known)
    assert {model: set(names) for model, names in arms.items()} == {
        model: {model, f"{model} best-of-2", f"{model} majority-of-3"} for model in tables.models["model"]
    }
    assert prices["model-b best-of-2"] == prices["model-b"]
    assert any("verifier" in warning for warning in table.warnings)


@pytest.mark.parametrize("split", [False, True])
def test_arms_of_what_is_stored_are_those_of_its_import_and_go_again(tmp_path: Path, split: bool) -> None:
    store, tables = Store(tmp_path / "store"), repeated(split=split)
    plain = store.save_benchmark("made", tables, split_seed=3)
    at_import = store.save_benchmark("with", add_arms(tables, ["best-of-2", "majority-of-3"]), split_seed=3)
    store.change_benchmark("made", lambda frames: add_arms(frames, ["best-of-2"]))
    both = store.change_benchmark("made", lambda frames: add_arms(frames, ["best-of-2", "majority-of-3"]))
    assert both.data_hash == at_import.data_hash
    assert set(both.warnings) == set(at_import.warnings)
    assert arms_in(both.models) == {
        arm: tuple(f"{model} {arm}" for model in tables.models["model"]) for arm in ("best-of-2", "majority-of-3")
    }
    again = store.change_benchmark("made", without_arms)
    assert replace(again, loaded_at="") == replace(plain, loaded_at="")


def test_only_the_name_of_another_model_makes_an_arm() -> None:
    assert arms_in(["a", "a best-of-2", "b majority-of-3", "a best-of-2 best-of-2", "a best-of-1"]) == {
        "best-of-2": ("a best-of-2", "a best-of-2 best-of-2")
    }


@pytest.mark.parametrize("arm", ["best-of-1", "worst-of-2", "best-of-4", "best"])
def test_an_arm_that_cannot_be_is_refused(arm: str) -> None:
    with pytest.raises(DataError):
        add_arms(repeated(), [arm])


def test_a_majority_needs_right_and_wrong() -> None:
    tables = repeated()
    tables.outcomes.loc[3, "score"] = 0.5
    assert len(add_arms(tables, ["best-of-2"]).models) == 6
    with pytest.raises(DataError, match="0 and 1"):
        add_arms(tables, ["majority-of-3"])
