"""The columns of the paper's table: each against the plain way to the same number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from carrot_core.benchmarks.registry import read_any
from carrot_core.embedding import BUNDLED
from carrot_core.evaluation import Setting, setting
from carrot_core.evaluation.quality import accuracy
from carrot_core.outcomes import Benchmark, Outcomes
from carrot_core.prices import Price
from carrot_core.results.recipes import RECIPES
from carrot_core.store import Store
from tests.made import made


def _with_a_gap(bench: Benchmark) -> Benchmark:
    """The benchmark with one test cell that was not observed."""
    score = bench.outcomes.score.copy()
    score[np.flatnonzero(bench.split == "test")[3], 1] = np.nan
    return replace(bench, outcomes=Outcomes(bench.prompt_ids, bench.models, score, bench.outcomes.cost_usd))


@pytest.fixture(scope="module")
def bench() -> Setting:
    return setting(_with_a_gap(made(240)))


def _figures(bench: Setting, router: str) -> pd.DataFrame:
    return accuracy(bench, {router: bench.estimates(router)}).set_index("metric")


def test_every_figure_is_what_it_says(bench: Setting) -> None:
    result, estimates = _figures(bench, "carrot-knn"), bench.estimates("carrot-knn")["test"]
    whole = bench.test.outcomes.complete
    assert (~whole).sum() == 1
    part = bench.test.rows(whole)
    at = [estimates.prompt_ids.index(prompt_id) for prompt_id in part.prompt_ids]
    guess, cost, truth = estimates.score[at], estimates.cost_usd[at], part.outcomes.score
    prices = np.array([(bench.test.prices[m].input_usd_per_mtok, bench.test.prices[m].output_usd_per_mtok)
                       for m in part.models])  # fmt: skip
    tokens = (cost * 1e6 - part.input_tokens * prices[:, 0]) / prices[:, 1]
    chosen = [sorted(range(3), key=lambda j: (-s[j], c[j]))[0] for s, c in zip(guess, cost, strict=True)]
    expected = {
        "binarised_accuracy": np.mean((guess >= 0.5) == (truth >= 0.5)),
        "score_mae": np.abs(guess - truth).mean(),
        "r2": r2_score(truth.ravel(), guess.ravel()),
        "routing_accuracy": np.mean([s[j] for s, j in zip(truth, chosen, strict=True)]),
        "best_single": truth[:, part.models.index(bench.best_single)].mean(),
        "oracle": truth.max(axis=1).mean(),
        "cost_mae_usd": np.abs(cost - part.outcomes.cost_usd).mean(),
        "output_tokens_mae": np.abs(tokens - part.output_tokens).mean(),
    }
    assert set(result.index) == set(expected)
    for metric, value in expected.items():
        assert result.loc[metric, "value"] == pytest.approx(value, rel=1e-5), metric
    assert set(result["n_prompts"]) == {len(part.prompt_ids)}
    assert set(result["n_models"]) == {3}
    assert (result["low"] <= result["value"]).all()
    assert (result["value"] <= result["high"]).all()


def test_the_oracle_makes_no_error(bench: Setting) -> None:
    result = _figures(bench, "oracle")["value"]
    assert result["binarised_accuracy"] == result["r2"] == 1.0
    assert result["score_mae"] == result["cost_mae_usd"] == 0.0
    assert result["routing_accuracy"] == result["oracle"]


def test_a_router_of_a_pair_is_judged_on_the_pair(bench: Setting) -> None:
    result = _figures(bench, "rorf")
    assert set(result["n_models"]) == {2}
    assert result.loc["oracle", "value"] == _figures(bench, "zero").loc["oracle", "value"]


def test_costs_known_beforehand_and_costs_of_several_calls_have_no_error(bench: Setting) -> None:
    """Where only the input is charged nothing is predicted; a cascade's costs are not those of one call."""
    plain = made(240)
    free = {model: Price(price.input_usd_per_mtok, 0.0) for model, price in plain.prices.items()}
    silent = replace(plain, output_tokens=np.full(plain.outcomes.shape, np.nan), prices=free)
    for result in (_figures(setting(silent), "zero"), _figures(bench, "cascade")):
        assert result.loc[["cost_mae_usd", "output_tokens_mae"], ["value", "low", "high"]].isna().all().all()


def test_dollars_alone_have_an_error_in_dollars() -> None:
    plain = replace(made(240), prices={})
    result = _figures(setting(plain), "carrot-knn")["value"]
    assert result["cost_mae_usd"] > 0
    assert np.isnan(result["output_tokens_mae"])


@pytest.mark.slow
def test_real_benchmark_figures_lie_where_they_can(shared_data: Path, tmp_path: Path) -> None:
    """A third of MMLU-Pro with chain of thought: what no bug in units, order of models or split leaves standing."""
    recipe = RECIPES[0]
    where = f"({recipe.where}) and hash(prompt_id) % 3 = 0"
    store = Store(tmp_path / "carrot.duckdb")
    store.save_benchmark("third", read_any(shared_data / recipe.file, where=where))
    store.import_vectors("third", shared_data / str(recipe.embeddings), BUNDLED)
    real = setting(store.load("third", encoder=BUNDLED))
    both = accuracy(real, {name: real.estimates(name) for name in ("carrot-knn", "zero")})
    knn, zero = (rows.set_index("metric")["value"] for _, rows in both.groupby("router", sort=False))
    assert knn["r2"] > zero["r2"] > 0
    assert knn["binarised_accuracy"] > zero["binarised_accuracy"] > 0.5
    assert knn["score_mae"] < zero["score_mae"]
    assert knn["output_tokens_mae"] < zero["output_tokens_mae"]
    assert knn["best_single"] == zero["best_single"] == zero["routing_accuracy"]
    assert knn["best_single"] - 0.01 < knn["routing_accuracy"] < knn["oracle"]
