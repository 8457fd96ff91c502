"""The published matrix of the Open LLM Leaderboard v2: every model's rows go back into one order, provably."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from carrot_core.benchmarks.long_wide_tables import read_long_table
from carrot_core.benchmarks.open_llm import WORKERS, in_document_order, mean_correlation, read_open_llm
from carrot_core.benchmarks.registry import read_any, reader_for
from carrot_core.errors import DataError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_this_process")]
Scores = npt.NDArray[np.float64]


def as_published(name: str) -> str:
    return f"open-llm-leaderboard/{name.replace('/', '__')}-details"


def scrambled(scores: Scores, models: list[str]) -> Scores:
    """(M, n) scores by document, listed worker by worker: written apart from the reader's own way."""
    rows = []
    for row, model in zip(scores, models, strict=True):
        workers = WORKERS[model]
        rows.append([row[i] for rank in range(workers) for i in range(rank, len(row), workers)])
    return np.array(rows)


def matrix(truth: dict[str, tuple[Scores, list[str]]]) -> dict[str, object]:
    """The authors' dictionary of tasks in document order, IFEval's as they have it."""
    published: dict[str, object] = {}
    for task, (scores, models) in truth.items():
        rows = scrambled(scores, models)
        nested = {"correctness_prompt": rows, "weights_prompt": np.ones(rows.shape[1]), "correctness_inst": 1 - rows}
        correctness = nested if task == "ifeval" else rows
        published[f"leaderboard_{task}"] = {"correctness": correctness, "models": [as_published(m) for m in models]}
    return published


def matrices(n: int = 203, seed: int = 0) -> dict[str, tuple[Scores, list[str]]]:
    """Tasks whose documents are easy or hard for all models alike; n is no multiple of any worker count."""
    rng = np.random.default_rng(seed)
    models = sorted(WORKERS)
    truth = {}
    for task, pool in {"bbh_navigate": models, "mmlu_pro": models[:-1], "ifeval": models}.items():
        ease = rng.random(n)
        truth[task] = ((rng.random((len(pool), n)) < ease).astype(float), pool)
    return truth


def save(tree: object, folder: Path) -> Path:
    path = folder / "matrix.pickle"
    path.write_bytes(pickle.dumps(tree, protocol=5))
    return path


def scores_of(frames_outcomes: pd.DataFrame, task: str, models: list[str]) -> Scores:
    """(M, n) scores of a task, by document."""
    result = frames_outcomes[frames_outcomes["prompt_id"].str.startswith(f"{task}:")]
    document = result["prompt_id"].str.rpartition(":")[2].astype(int)
    return (
        result.assign(document=document).pivot(index="model", columns="document", values="score").loc[models].to_numpy()
    )


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 541])
def test_the_order_of_a_run_is_undone(workers: int, n: int) -> None:
    documents = np.arange(n, dtype=float)
    listed = np.array([i for rank in range(workers) for i in range(rank, n, workers)], dtype=float)
    assert np.array_equal(in_document_order(listed, workers), documents)


def test_the_original_comes_back_exactly(tmp_path: Path) -> None:
    truth = matrices()
    path = save(matrix(truth), tmp_path)
    assert reader_for(path) == "open-llm"
    frames = read_any(path)
    for task, (scores, models) in truth.items():
        assert np.array_equal(scores_of(frames.outcomes, task, models), scores)
    assert frames.models["model"].tolist() == sorted(WORKERS)
    assert len(frames.outcomes) == frames.provenance.rows == 203 * (19 + 18 + 19)
    prompts = frames.prompts.set_index("prompt_id")
    assert prompts.loc["mmlu_pro:7", ["task", "family"]].tolist() == ["mmlu_pro", "mmlu_pro"]
    assert prompts.loc["bbh_navigate:0", "family"] == "bbh"
    assert prompts["text"].isna().all()


def test_the_evidence_is_in_the_provenance_and_the_warnings(tmp_path: Path) -> None:
    truth = matrices()
    frames = read_open_llm(save(matrix(truth), tmp_path))
    before = np.mean([mean_correlation(scrambled(scores, models)) for scores, models in truth.values()])
    after = np.mean([mean_correlation(scores) for scores, _ in truth.values()])
    assert after > 0.25 > before
    evidence = f"mean correlation between models {before:.3f} as published, {after:.3f} restored"
    assert frames.provenance.note == evidence
    assert any(evidence in warning for warning in frames.warnings)
    assert any("no prompt, no tokens, no cost" in warning for warning in frames.warnings)


def test_a_matrix_in_order_already_is_refused(tmp_path: Path) -> None:
    restored = {
        f"leaderboard_{task}": {"correctness": scores, "models": [as_published(m) for m in models]}
        for task, (scores, models) in matrices().items()
    }
    with pytest.raises(DataError, match="It must rise clearly"):
        read_open_llm(save(restored, tmp_path))


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_have_nothing_in_common_are_refused(seed: int, tmp_path: Path) -> None:
    """Of unrelated rows the correlation rises by chance in every other matrix."""
    rng = np.random.default_rng(seed)
    models = sorted(WORKERS)
    tree = {"leaderboard_mmlu_pro": {"correctness": rng.integers(0, 2, (19, 500)).astype(float), "models": models}}
    with pytest.raises(DataError, match="must rise clearly"):
        read_open_llm(save(tree, tmp_path))


def test_a_model_whose_order_is_unknown_is_refused(tmp_path: Path) -> None:
    tree = matrix(matrices())
    tree["leaderboard_mmlu_pro"]["models"][0] = as_published("acme/new")  # type: ignore[index]
    with pytest.raises(DataError, match="the order of the rows of 'acme/new' is not known"):
        read_open_llm(save(tree, tmp_path))


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"leaderboard_x": {"correctness": np.ones((2, 3))}},
        {"leaderboard_x": {"models": ["a", "b"]}},
        {"leaderboard_x": {"correctness": np.ones(3), "models": ["a"]}},
        {"leaderboard_x": {"correctness": np.ones((2, 3)), "models": ["a"]}},
        {"leaderboard_x": {"correctness": ["a", "b"], "models": ["a", "b"]}},
        {"leaderboard_x": {"correctness": np.full((2, 3), 1.5), "models": ["a", "b"]}},
        {"leaderboard_x": {"correctness": np.full((2, 3), np.nan), "models": ["a", "b"]}},
        {"leaderboard_x": {"correctness": np.ones((2, 3)), "models": ["a", "a"]}},
        [np.ones(3)],
    ],
)
def test_another_structure_is_refused(tree: object, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read_open_llm(save(tree, tmp_path))


def test_a_row_without_variation_takes_no_part_in_the_correlation() -> None:
    scores = np.array([[0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]], dtype=float)
    assert mean_correlation(scores) == pytest.approx(1)
    assert np.isnan(mean_correlation(scores[1:]))


def test_the_real_matrix_comes_back_exactly(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "open-llm-leaderboard-v2"
    names = ["prompt_id", "item", "model", "score"]
    long = pd.concat(
        [pd.read_parquet(folder / f"{name}.parquet", columns=names) for name in ("open_llm_lb_v2", "scores_only")]
    )
    truth = {}
    for task, rows in long.groupby(long["prompt_id"].str.rpartition(":")[0]):
        table = rows.pivot(index="model", columns="item", values="score")
        truth[str(task)] = (table.to_numpy(np.float64), [str(name) for name in table.index])
    outcomes = read_open_llm(save(matrix(truth), tmp_path)).outcomes
    by_task = dict(list(outcomes.groupby(outcomes["prompt_id"].str.rpartition(":")[0])))
    assert set(by_task) == set(truth)
    for task, (scores, models) in truth.items():
        assert np.array_equal(scores_of(by_task[task], task, models), scores)
    scores, models = truth["mmlu_pro"]
    assert mean_correlation(scores) == pytest.approx(0.381, abs=0.01)
    assert mean_correlation(scrambled(scores, models)) == pytest.approx(0.094, abs=0.01)


def test_the_restored_table_reads_as_a_long_table(shared_data: Path) -> None:
    frames = read_any(shared_data / "open-llm-leaderboard-v2" / "open_llm_lb_v2.parquet", where="benchmark = 'ifeval'")
    assert set(frames.models["model"]) == set(WORKERS)


def test_scores_alone_are_refused_with_what_is_needed(shared_data: Path) -> None:
    with pytest.raises(DataError) as error:
        read_long_table(shared_data / "open-llm-leaderboard-v2" / "scores_only.parquet")
    assert "has no cost_usd" in str(error.value)
    assert "Add a column cost_usd, or input_tokens, output_tokens and a price for every model" in str(error.value)
