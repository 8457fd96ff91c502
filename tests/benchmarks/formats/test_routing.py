"""Results of routing benchmarks in the shapes that their own code writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carrot_core.benchmarks.formats import FORMATS, format_of
from carrot_core.benchmarks.formats.rows import Options
from carrot_core.benchmarks.parts import all_files
from carrot_core.benchmarks.reading import Reading
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import DataError


def run(model: str, score: float | None) -> dict[str, Any]:
    """What LLMRouterBench's storage writes for one model on one data set."""
    record = {
        "index": 7, "origin_query": "What is 1 + 1?", "prompt": "Solve: What is 1 + 1?", "prompt_tokens": 10,
        "completion_tokens": 20, "cost": 0.25, "score": score, "prediction": "2", "ground_truth": "2",
        "raw_output": "2", "extra_fields": {},
    }  # fmt: skip
    return {
        "performance": 1.0, "time_taken": 2.0, "prompt_tokens": 10, "completion_tokens": 20, "cost": 0.25, "counts": 1,
        "model_name": model, "dataset_name": "sums", "split": "test", "demo": False, "extra_metrics": {},
        "data_fingerprint": "", "records": [record, record | {"index": 8, "cost": 0.5}],
    }  # fmt: skip


def test_llm_router_bench_is_a_folder_of_runs(tmp_path: Path) -> None:
    for model in ("m1", "m2"):
        path = tmp_path / "sums" / "test" / model / f"sums-test-{model}-20260131_120000.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(run(model, 1.0), indent=2))
    frames = read_any(tmp_path)
    assert frames.prompts["prompt_id"].tolist() == ["sums/test:7", "sums/test:8"]
    assert frames.prompts["text"].tolist() == ["What is 1 + 1?"] * 2
    assert frames.outcomes["cost_usd"].tolist() == [0.25, 0.5, 0.25, 0.5]
    assert frames.outcomes["input_tokens"].tolist() == [10.0] * 4


def test_router_arena_keeps_what_was_not_evaluated_as_not_observed(tmp_path: Path) -> None:
    line = {
        "global_index": "ArcMMLU_655", "question": "Which?", "llm_selected": "acme/m1", "generated_answer": "C",
        "token_usage": {"input_tokens": 102, "output_tokens": 74, "total_tokens": 176}, "success": True,
        "provider": "openrouter", "error": None, "run_number": 1,
        "evaluation_result": {"extracted_answer": "C", "score": 1.0, "inference_cost": 0.001},
    }  # fmt: skip
    path = tmp_path / "acme_m1.jsonl"
    path.write_text(
        "\n".join(json.dumps(each) for each in (line, line | {"global_index": "MATH_2", "evaluation_result": None}))
    )
    each = format_of(path)
    assert each is not None
    frame = each.rows([path]).table.to_pandas()
    assert frame["score"].fillna(-1).tolist() == [1.0, -1.0]
    assert frame["task"].tolist() == ["ArcMMLU", "MATH"]
    assert frame.loc[0, ["input_tokens", "output_tokens", "cost_usd"]].tolist() == [102, 74, 0.001]


def test_swe_bench_reads_the_leaderboard_by_instance(tmp_path: Path) -> None:
    details = {
        "django__django-1": {"cost": 0.1, "api_calls": 3, "resolved": True},
        "sympy__sympy-2": {"cost": 0.2, "resolved": False},
    }
    results = [{"name": name, "resolved": 50.0, "per_instance_details": details} for name in ("A", "B")]
    boards = {"leaderboards": [{"name": "bash-only", "results": [*results, {"name": "C", "resolved": 1.0}]}]}
    path = tmp_path / "leaderboards.json"
    path.write_text(json.dumps(boards))
    frames = read_any(path)
    assert frames.models["model"].tolist() == ["A", "B"]
    assert frames.outcomes["score"].tolist() == [1.0, 0.0, 1.0, 0.0]
    assert frames.outcomes["cost_usd"].tolist() == [0.1, 0.2, 0.1, 0.2]


def test_swe_bench_takes_the_model_from_the_file_or_asks(tmp_path: Path) -> None:
    for model in ("m1", "m2"):
        (tmp_path / f"{model}.json").write_text(
            json.dumps(
                {"django__django-1": {"resolved": True, "cost": 0.1}, "sympy__sympy-2": {"resolved": False, "cost": 1}}
            )
        )
    (tmp_path / "m3.jsonl").write_text(
        "\n".join(json.dumps({"instance_id": f"sympy__sympy-{n}", "resolved": n == 2, "cost": n}) for n in (1, 2))
    )
    files = all_files([tmp_path])
    assert {each.name for path in files if (each := format_of(path))} == {"swe-bench"}
    with pytest.raises(DataError, match="--model-from"):
        FORMATS["swe-bench"].rows(files)
    frame = FORMATS["swe-bench"].rows(files, Options(model_from="file")).table.to_pandas()
    assert frame.groupby("model")["score"].sum().to_dict() == {"m1": 1.0, "m2": 1.0, "m3": 1.0}


def test_llm_router_bench_counts_the_newest_run_that_is_no_trial(tmp_path: Path) -> None:
    for stamp, score, demo in (
        ("20260131_120000", 1.0, False),
        ("20260201_120000", 0.0, False),
        ("20260301_120000", 1.0, True),
    ):
        (tmp_path / f"sums-test-m1-{stamp}.json").write_text(json.dumps(run("m1", score) | {"demo": demo}))
    rows = FORMATS["llmrouterbench"].rows(all_files([tmp_path]))
    assert rows.table["score"].to_pylist() == [0.0, 0.0]
    assert len(rows.notes) == 2


def test_a_problem_names_the_file_and_the_result_in_it(tmp_path: Path) -> None:
    for model, score in (("m1", 1.0), ("m2", 7.0)):
        (tmp_path / f"sums-test-{model}-20260131_120000.json").write_text(json.dumps(run(model, score)))
    with pytest.raises(DataError) as refused:
        read_any(tmp_path)
    (problem,) = refused.value.problems
    assert (problem.file, problem.row, problem.column) == ("sums-test-m2-20260131_120000.json", 1, "score")
    frames = read_any(tmp_path, reading=Reading(score="0..7"))
    assert sorted(set(frames.outcomes["score"])) == pytest.approx([1 / 7, 1.0])
