"""The simulated benchmark: reproducible, complete, and a picture worth routing on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from carrot_core import paths
from carrot_core.benchmarks import Frames
from carrot_core.benchmarks.built_in import (
    ENCODER,
    SIMULATED,
    read_simulated,
    vectors_of_simulated,
    write_simulated,
)
from carrot_core.embedding import BUNDLED, embed
from carrot_core.errors import CarrotError
from carrot_core.store import Store
from carrot_core.text import text_hash
from scripts.simulated import GRADED, count_tokens, simulate

pytestmark = pytest.mark.slow

REAL_NAMES = {
    "claude", "command", "deepseek", "gemini", "gemma", "gpt", "granite", "grok", "llama", "mistral", "mixtral",
    "nova", "phi", "qwen", "titan", "yi",
}  # fmt: skip


@pytest.fixture(scope="module")
def frames() -> Frames:
    return simulate()


def _table(frames: Frames, column: str) -> npt.NDArray[np.float64]:
    return frames.outcomes[column].to_numpy().reshape(len(frames.prompts), len(frames.models))


def _assert_equal(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_dtype=False, check_exact=True)


def _digest(frames: Frames) -> str:
    tables = (frames.prompts, frames.models, frames.outcomes)
    return hashlib.sha256("".join(table.to_csv() for table in tables).encode()).hexdigest()


def test_same_seed_same_content_in_another_process() -> None:
    code = "from tests.bench.test_simulated import _digest, simulate; print(_digest(simulate(5, 300)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": "."},
    )
    assert done.stdout.strip() == _digest(simulate(5, 300))


def test_seeds_differ_in_prompts_and_answers_but_not_in_models() -> None:
    one, two = simulate(1, 2000), simulate(2, 2000)
    assert len(set(one.prompts["text"]) & set(two.prompts["text"])) < 100
    pd.testing.assert_frame_equal(one.models, two.models)
    means = [_table(frames, "score").mean(axis=0) for frames in (one, two)]
    np.testing.assert_allclose(*means, atol=0.05)
    assert (means[0] != means[1]).all()


def test_every_model_answers_every_prompt_once(frames: Frames) -> None:
    assert (len(frames.prompts), len(frames.models)) == (6000, 13)
    assert frames.prompts["prompt_id"].is_unique
    assert frames.models["model"].is_unique
    assert len(frames.outcomes) == 6000 * 13 == frames.provenance.rows
    assert not frames.outcomes.duplicated(["prompt_id", "model"]).any()
    assert frames.outcomes.notna().all(axis=None)
    assert frames.warnings == ()


def test_scores_are_right_or_wrong_or_tenths(frames: Frames) -> None:
    score = _table(frames, "score")
    graded = frames.prompts["family"].isin(GRADED).to_numpy()
    assert set(np.unique(score[~graded])) == {0.0, 1.0}
    np.testing.assert_array_equal(np.unique(score[graded]), np.round(np.arange(11) / 10, 1))


def test_cost_is_tokens_times_price(frames: Frames) -> None:
    prices = frames.models.set_index("model").loc[frames.outcomes["model"]]
    usd = frames.outcomes["input_tokens"].to_numpy() * prices["input_usd_per_mtok"].to_numpy() / 1e6
    usd += frames.outcomes["output_tokens"].to_numpy() * prices["output_usd_per_mtok"].to_numpy() / 1e6
    np.testing.assert_allclose(frames.outcomes["cost_usd"], usd, rtol=1e-12)


def test_tokens_are_whole_and_input_tokens_follow_the_text(frames: Frames) -> None:
    for column in ("input_tokens", "output_tokens"):
        tokens = _table(frames, column)
        assert (tokens >= 1).all()
        assert (tokens == np.round(tokens)).all()
    counted = np.array([count_tokens(text) for text in frames.prompts["text"]])
    reference = list(frames.models["model"]).index("alder-large")  # its tokenizer factor is 1
    np.testing.assert_array_equal(_table(frames, "input_tokens")[:, reference], counted)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("two words", 2), ("a, b!", 4), ("12345", 2), ("unbelievable", 2), ("snake_case", 3), (" \n ", 0)],
)
def test_count_tokens(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


def test_texts_are_short_and_nearly_all_distinct(frames: Frames) -> None:
    texts = frames.prompts["text"]
    assert 5900 < texts.nunique() < 6000
    assert frames.prompts.groupby("text")["task"].nunique().max() == 1
    tokens = texts.map(count_tokens)
    assert 40 < tokens.mean() < 120
    assert tokens.max() > 300


def test_at_least_six_families_of_several_tasks(frames: Frames) -> None:
    tasks = frames.prompts.groupby("family")["task"].nunique()
    assert len(tasks) >= 6
    assert tasks.min() >= 3
    assert frames.prompts["task"].value_counts().min() > 100


def test_longer_prompts_of_a_family_are_harder(frames: Frames) -> None:
    """Difficulty can be seen in the text: else no router could use it."""
    mean, length = _table(frames, "score").mean(axis=1), frames.prompts["text"].map(len)
    rank = length.groupby(frames.prompts["task"]).rank(pct=True).to_numpy()
    for family in frames.prompts["family"].unique():
        mine = (frames.prompts["family"] == family).to_numpy()
        assert mean[mine & (rank < 0.3)].mean() > mean[mine & (rank > 0.7)].mean() + 0.03


def test_models_fail_together(frames: Frames) -> None:
    between = np.corrcoef(_table(frames, "score").T)[np.triu_indices(13, 1)]
    assert 0.25 < between.mean() < 0.5
    assert between.min() > 0.1


def test_the_spread_of_models_is_that_of_a_real_pool(frames: Frames) -> None:
    score, usd = _table(frames, "score").mean(axis=0), _table(frames, "cost_usd").mean(axis=0)
    assert 0.83 < score.max() < 0.88
    assert 0.42 < score[usd.argmin()] < 0.5
    assert 50 < usd.max() / usd.min() < 200
    middle = usd < usd.max() / 10
    assert score[middle].max() > score[usd.argmax()] - 0.05
    assert _table(frames, "score").max(axis=1).mean() > score.max() + 0.08


def test_choosing_by_task_beats_the_best_single_model_out_of_sample(frames: Frames) -> None:
    score, task = _table(frames, "score"), frames.prompts["task"].to_numpy()
    odd = np.arange(6000) % 2 == 1
    best = score[odd].mean(axis=0).argmax()
    chosen = np.empty(6000, dtype=int)
    for name in set(task):
        chosen[task == name] = score[odd & (task == name)].mean(axis=0).argmax()
    gain = score[np.arange(6000), chosen] - score[:, best]
    assert gain[~odd].mean() > 0.01


def test_it_says_that_it_is_simulated_and_names_nobody(frames: Frames) -> None:
    assert (frames.provenance.source, frames.provenance.licence) == (SIMULATED, "Apache-2.0")
    assert "simulated" in frames.provenance.note
    assert not [name for name in frames.models["model"] if set(name.split("-")) & REAL_NAMES]


@pytest.mark.parametrize(("seed", "n_prompts"), [(-1, 10), (0, 0)])
def test_impossible_sizes_are_refused(seed: int, n_prompts: int) -> None:
    with pytest.raises(CarrotError, match="Seed"):
        simulate(seed, n_prompts)


def test_the_store_takes_it_as_it_is(frames: Frames, tmp_path: Path) -> None:
    store = Store(tmp_path / "carrot.duckdb")
    info = store.save_benchmark(SIMULATED, frames)
    assert (info.n_prompts, info.n_models, info.n_missing, info.n_with_text) == (6000, 13, 0, 6000)
    assert info.n_duplicate_prompts > 0
    assert info.warnings == ()
    bench = store.load(SIMULATED)
    assert bench.usage == "output_tokens"
    np.testing.assert_allclose(bench.cost_usd_of(bench.output_tokens), bench.outcomes.cost_usd, rtol=1e-12)


def test_one_prompt_is_a_benchmark() -> None:
    assert len(simulate(0, 1).outcomes) == 13


def test_the_tables_that_ship_are_those_of_the_first_seed(frames: Frames) -> None:
    shipped = read_simulated()
    assert shipped.provenance == frames.provenance
    for name in ("prompts", "models", "outcomes"):
        pd.testing.assert_frame_equal(
            getattr(shipped, name), getattr(frames, name), check_dtype=False, check_exact=True
        )


def test_shipped_vectors_are_those_of_a_fresh_embedding(frames: Frames) -> None:
    assert ENCODER == BUNDLED
    hashes, vectors = vectors_of_simulated()
    texts = frames.prompts["text"].unique()
    assert hashes == list(map(text_hash, texts))
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    some = np.random.default_rng(0).choice(len(texts), 40, replace=False)
    fresh = embed([texts[row] for row in some])
    np.testing.assert_allclose(vectors[some], fresh, atol=0.0015)
    assert (vectors[some] * fresh).sum(axis=1).min() > 0.9999


def test_what_is_written_is_read_and_vectors_of_other_texts_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SHIPPED", tmp_path)
    frames, folder = simulate(3, 50), tmp_path / SIMULATED
    texts = list(frames.prompts["text"].unique())
    drawn = np.random.default_rng(0).standard_normal((len(texts), 8)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    write_simulated(frames, lambda _: drawn, folder)
    _assert_equal(read_simulated().outcomes, frames.outcomes)
    np.testing.assert_allclose(vectors_of_simulated()[1], drawn, atol=0.01)
    frames.prompts.assign(text="another").to_parquet(folder / "prompts.parquet")
    with pytest.raises(CarrotError, match="of other texts"):
        vectors_of_simulated()
    (folder / "vectors.safetensors").write_bytes(b"not vectors")
    with pytest.raises(CarrotError, match=r"vectors\.safetensors: is damaged"):
        vectors_of_simulated()
