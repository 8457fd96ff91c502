"""Sample files made with the tools themselves, each against the one truth they were made of."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from carrot_core import limits
from carrot_core.benchmarks.formats import FORMATS, format_of, format_of_all, read_format
from carrot_core.benchmarks.formats.rows import Options, Rows
from carrot_core.benchmarks.log_table import read_logs
from carrot_core.benchmarks.parts import all_files
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import DataError
from carrot_core.prices import Price
from carrot_core.prices.files import PriceList
from tests.benchmarks.formats.truth import EXPECTED, FILES, differences, keys_of, plain_score, read, strict_score

TOKENS = ("input_tokens", "output_tokens")
FOLDERS = {
    "inspect": "inspect", "lm_eval": "lm-eval", "promptfoo": "promptfoo", "openai_evals": "openai-evals",
    "every_eval_ever": "every-eval-ever", "helm": "helm", "litellm": "litellm", "opentelemetry": "otlp",
    "langfuse": "langfuse", "openrouter": "openrouter", "provider_usage": "api-usage",
    "llmrouterbench": "llmrouterbench", "routerarena": "routerarena", "swe_bench": "swe-bench",
}  # fmt: skip
SAMPLES = [(path, FOLDERS[folder]) for folder in FOLDERS for path in all_files([FILES / folder])]
PRICES = {model: Price(1.0, 2.0) for model in EXPECTED["prices"]}


@pytest.mark.parametrize(("path", "name"), SAMPLES, ids=lambda each: getattr(each, "name", each))
def test_a_file_is_told_by_its_content(path: Path, name: str, tmp_path: Path) -> None:
    assert (each := format_of(path)) is not None
    assert each.name == name
    renamed = tmp_path / "results.dat"
    shutil.copy(path, renamed)
    assert (again := format_of(renamed)) is not None
    assert again.name == name


def test_inspect_letters_are_scores_of_every_epoch() -> None:
    rows = read("inspect", "inspect/quiz_letters_other_mid.eval")
    assert rows.table.num_rows == 16
    assert differences(rows, plain_score, *TOKENS) == []
    assert any("form" in note for note in rows.notes)
    assert any("0.5" in note for note in rows.notes)


def test_inspect_takes_another_scorer_and_half_points() -> None:
    rows = read("inspect", "inspect/quiz_letters_acme_small.eval", scorer="form")

    def half(cell: dict[str, float], sample: int) -> float:
        return (cell["score"] + cell["score_strict"]) / 2

    first = Rows(rows.table.filter(pc.equal(rows.table["sample"], "1")))
    assert differences(first, half) == []
    with pytest.raises(DataError, match="right"):
        read("inspect", "inspect/quiz_letters_acme_small.eval", scorer="nothing")


def test_inspect_reads_numbers_dictionaries_and_dollars() -> None:
    rows = read("inspect", "inspect/quiz_numbers_other_mid.json", scorer="both.strict")
    assert differences(rows, strict_score, *TOKENS, "cost_usd") == []
    prompts = [json.loads(prompt) for prompt in rows.table["prompt"].to_pylist()]
    assert all([turn["role"] for turn in prompt] == ["system", "user"] for prompt in prompts)


@pytest.mark.parametrize("release", ["", "_0.3.100"])
def test_inspect_keeps_what_failed_as_not_observed(release: str) -> None:
    scores = read("inspect", f"inspect/quiz_failing_other_mid{release}.eval").table["score"].to_pylist()
    assert scores == [10.0, 5.0, None, None]


def test_runs_of_one_model_are_samples(tmp_path: Path) -> None:
    log = FILES / "inspect" / "quiz_letters_acme_small.eval"
    again = Path(shutil.copy(log, tmp_path))
    frame = FORMATS["inspect"].rows([log, again]).table.to_pandas()
    assert frame.groupby("prompt_id")["sample"].nunique().eq(4).all()


@pytest.mark.parametrize(("scorer", "score"), [(None, strict_score), ("flexible-extract", plain_score)])
def test_lm_eval_counts_one_filter(scorer: str | None, score: object) -> None:
    models = ("acme__small", "other__mid")
    places = [
        str(path.relative_to(FILES)) for model in models for path in (FILES / "lm_eval" / model).glob("*quiz_gen*")
    ]
    rows = read("lm-eval", *places, scorer=scorer)
    assert rows.table.num_rows == 16
    assert set(rows.table["model"].to_pylist()) == {"acme/small", "other/mid"}
    assert differences(rows, score) == []
    assert any("flexible-extract" in note and "strict-match" in note for note in rows.notes)


def test_lm_eval_reads_choices_and_chats() -> None:
    assert differences(read("lm-eval", *_places("lm_eval/acme__small", "*choice*")), plain_score) == []
    rows = read("lm-eval", *_places("lm_eval/chat/other__mid", "samples*"))
    assert keys_of(rows.table.to_pandas()) == ["q01", "q02", "q03"]


def test_lm_eval_without_its_results_asks_for_the_model(tmp_path: Path) -> None:
    (sample,) = (FILES / "lm_eval" / "other__mid").glob("samples*")
    path = shutil.copy(sample, tmp_path)
    with pytest.raises(DataError, match="--model-from"):
        FORMATS["lm-eval"].rows([Path(path)])
    rows = FORMATS["lm-eval"].rows([Path(path)], Options(model_from="mine"))
    assert set(rows.table["model"].to_pylist()) == {"mine"}


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_promptfoo_reads_scores_tokens_dollars_and_seconds(ending: str) -> None:
    rows = read("promptfoo", f"promptfoo/quiz.results.{ending}")
    assert rows.table.num_rows == 9
    assert differences(rows, plain_score, *TOKENS, "cost_usd", "latency_s") == []
    assert rows.table.to_pandas().groupby("prompt_id")["model"].nunique().eq(3).all()


@pytest.mark.parametrize(
    ("name", "place", "most"),
    [
        ("promptfoo", "promptfoo/quiz.results.json", 100),
        ("otlp", "opentelemetry/current.json", 100),
        ("langfuse", "langfuse/observations.json", 100),
        ("inspect", "inspect/quiz_numbers_other_mid.json", 100),
        ("helm", "helm", 2_000),  # what describes a run is held, its requests and figures are not
    ],
)
def test_a_document_too_large_to_be_held_reads_the_same(
    name: str, place: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = read(name, place)
    monkeypatch.setattr(limits, "JSON_BYTES", most)
    assert read(name, place).table.equals(right.table)
    with pytest.raises(DataError, match="JSON value"):
        read("llmrouterbench", "llmrouterbench")


def test_an_empty_label_of_promptfoo_is_none(tmp_path: Path) -> None:
    text = (FILES / "promptfoo" / "quiz.results.json").read_text(encoding="utf-8")
    path = tmp_path / "quiz.results.json"
    document = json.loads(text)
    for result in document["results"]["results"]:
        result["provider"]["label"] = ""
    path.write_text(json.dumps(document))
    ids = {result["provider"]["id"] for result in document["results"]["results"]}
    assert set(FORMATS["promptfoo"].rows([path]).table["model"].to_pylist()) == ids


def test_promptfoo_keeps_prompts_apart_and_failures_out() -> None:
    frame = read("promptfoo", "promptfoo/chat.results.json").table.to_pandas().set_index("model")
    assert frame["prompt_id"].nunique() == 2
    assert frame.loc["acme/large", "score"].tolist() == [0.5, 0.5]
    assert frame.loc["other/mid", ["score", "cost_usd"]].isna().all(axis=None)


def test_promptfoo_table_has_scores_and_texts_but_no_costs(tmp_path: Path) -> None:
    rows, right = read("promptfoo", "promptfoo/quiz.results.csv"), read("promptfoo", "promptfoo/quiz.results.json")
    assert differences(rows, plain_score) == []
    columns = ["prompt_id", "model", "score", "prompt"]
    texts = [each.table.to_pandas()[columns].sort_values(columns, ignore_index=True) for each in (rows, right)]
    pd.testing.assert_frame_equal(texts[0], texts[1])
    path = FILES / "promptfoo" / "quiz.results.csv"
    with pytest.raises(DataError, match="estimate-tokens"):
        read_any(path, prices=PRICES)
    frames = read_any(path, prices=PRICES, estimate_tokens=True)
    assert frames.outcomes["cost_usd"].gt(0).all()
    failed = tmp_path / "failed.csv"
    failed.write_text(path.read_text(encoding="utf-8").replace("PASS,1.00", "ERROR,0.00", 1), encoding="utf-8")
    assert FORMATS["promptfoo"].rows([failed]).table["score"].null_count == 1


def test_openai_evals_reads_matches_and_tokens() -> None:
    rows = read("openai-evals", "openai_evals")
    assert rows.table.num_rows == 16
    assert differences(rows, plain_score, "output_tokens") == []


def test_every_eval_ever_counts_one_measure_of_a_sample() -> None:
    rows = read("every-eval-ever", "every_eval_ever/quiz_samples.jsonl")
    assert differences(rows, plain_score, *TOKENS, "latency_s") == []
    rows = read("every-eval-ever", "every_eval_ever/data")
    assert rows.table.num_rows == 8
    assert differences(rows, strict_score) == []
    rows = read("every-eval-ever", "every_eval_ever/data", scorer="exact_match:flexible-extract")
    assert differences(rows, plain_score) == []


def test_helm_takes_the_measure_that_its_summary_shows(tmp_path: Path) -> None:
    rows = read("helm", "helm")
    assert rows.table.num_rows == 6
    assert differences(rows, plain_score) == []
    assert differences(read("helm", "helm/quiz_model=acme_small"), plain_score, "output_tokens", "latency_s") == []
    for name in ("instances.json", "display_predictions.json", "run_spec.json"):  # what is published of a run
        shutil.copy(FILES / "helm" / "quiz_model=acme_small" / name, tmp_path)
    assert differences(FORMATS["helm"].rows(all_files([tmp_path])), plain_score) == []


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_litellm_reads_calls_that_a_model_answered(ending: str) -> None:
    rows = read("litellm", f"litellm/spend_logs.{ending}")
    assert differences(rows, None, *TOKENS, "latency_s") == []
    frame = rows.table.to_pandas().assign(key=keys_of(rows.table.to_pandas())).set_index("key")
    assert frame.index.tolist() == ["q01", "q02", "q03", "q05", "q07", "q08", "q09", "q16"]
    dollars = {key: EXPECTED["cells"][key][model]["cost_usd"] for key, model in frame["model"].items()}
    dollars |= {"q08": 0.0006424} | dict.fromkeys(frame.index[frame["model"] == "other/mid"], 0.0)
    assert frame["cost_usd"].to_dict() == pytest.approx(dollars)
    calls = read_logs(FILES / "litellm" / f"spend_logs.{ending}")
    unpriced = calls.model == calls.models.index("other/mid")
    assert np.isnan(calls.cost_usd[unpriced]).all()
    assert any("other/mid" in note for note in calls.notes)


def test_litellm_groups_of_several_models_name_none(tmp_path: Path) -> None:
    lines = (FILES / "litellm" / "spend_logs.jsonl").read_text(encoding="utf-8").splitlines()
    calls = [json.loads(line) | {"model_group": "carrot"} for line in lines]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, calls)), encoding="utf-8")
    models = FORMATS["litellm"].rows([path]).table["model"].to_pylist()
    assert set(models) == {"acme-small", "acme-large", "other/mid"}


@pytest.mark.parametrize("name", ["current.json", "older_events.jsonl", "older_indexed.json"])
def test_spans_of_three_generations_are_calls(name: str) -> None:
    rows = read("otlp", f"opentelemetry/{name}")
    assert differences(rows, plain_score if name == "current.json" else None, *TOKENS, "latency_s") == []
    if name == "current.json":
        assert rows.table.num_rows == 6
        assert [value for value in rows.table["cached_input_tokens"].to_pylist() if value] == [12.0]


@pytest.mark.parametrize(
    "files", [("observations.json", "scores.json"), ("blob_observations.jsonl", "blob_scores.jsonl")]
)
def test_langfuse_joins_scores_to_calls(files: tuple[str, str]) -> None:
    rows = read("langfuse", *(f"langfuse/{name}" for name in files), scorer="right")
    assert differences(rows, plain_score, *TOKENS, "cost_usd", "latency_s") == []
    assert rows.table.num_rows >= 3
    alone = read("langfuse", f"langfuse/{files[0]}")
    assert "prompt" in alone.table.column_names
    assert alone.table["score"].null_count == alone.table.num_rows


def test_openrouter_tells_a_free_variant_and_leaves_out_what_was_cancelled() -> None:
    frame = read("openrouter", "openrouter/activity.csv").table.to_pandas()
    assert len(frame) == 6
    assert frame.loc[frame["model"].str.endswith(":free"), "cost_usd"].tolist() == [0.0]
    for key, row in zip(("q01", "q02", "q03", "q05", "q08", "q16"), frame.to_dict("records"), strict=True):
        cell = EXPECTED["cells"][key][row["model"].partition("-")[0]]
        assert (row["input_tokens"], row["output_tokens"]) == (cell["input_tokens"], cell["output_tokens"])
        assert row["latency_s"] == cell["latency_s"]


def test_provider_usage_is_read_where_it_is_of_one_call() -> None:
    rows = read("api-usage", "provider_usage/openai_completions_usage.json")
    assert rows.table.select(["model", *TOKENS]).to_pylist() == [
        {"model": "small", "input_tokens": 20, "output_tokens": 6},
        {"model": "large", "input_tokens": 20, "output_tokens": 78},
    ]
    with pytest.raises(DataError, match="sums"):
        read("api-usage", "provider_usage/anthropic_messages_usage.json")


def test_router_arena_reads_every_model_and_not_what_a_router_chose() -> None:
    rows = read("routerarena", "routerarena")
    assert differences(rows, lambda cell, _: None, "cost_usd") != []  # it has scores
    frame = rows.table.to_pandas()
    failed = frame[frame["score"].isna()]
    assert failed["model"].tolist() == ["acme/large"]
    observed = Rows(rows.table.filter(pc.is_valid(rows.table["score"])))
    assert differences(observed, plain_score, *TOKENS, "cost_usd") == []
    with pytest.raises(DataError, match="cached_results"):
        read("routerarena", "routerarena/predictions")


def test_llm_router_bench_reads_scores_tokens_and_dollars() -> None:
    rows = read("llmrouterbench", "llmrouterbench")
    full = {"small": "acme/small", "mid": "other/mid"}
    named = rows.table.set_column(
        rows.table.column_names.index("model"), "model", [[full[name] for name in rows.table["model"].to_pylist()]]
    )
    assert differences(Rows(named.filter(pc.is_valid(named["score"]))), plain_score, *TOKENS, "cost_usd") == []
    assert named["score"].null_count == 1


@pytest.mark.parametrize("left_out", [(), ("details",), ("details", "report.json"), ("details", "quiz.json")])
def test_swe_bench_joins_reports_with_predictions_and_trajectories(left_out: tuple[str, ...], tmp_path: Path) -> None:
    for path in all_files([FILES / "swe_bench"]):
        if not any(word in path.name for word in left_out):
            place = tmp_path / path.relative_to(FILES)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    rows = read_format(FORMATS["swe-bench"], all_files([tmp_path]))
    frame = rows.table.to_pandas()
    models = {"acme/small"} if "quiz.json" in left_out else {"acme/small", "other/mid"}
    assert sorted(zip(frame["model"], frame["prompt_id"], strict=True)) == [
        (model, f"quiz__quiz-{number}") for model in sorted(models) for number in (1, 2)
    ]
    for row in frame.to_dict("records"):
        cell = EXPECTED["cells"][f"q0{row['prompt_id'][-1]}"][row["model"]]
        assert row["score"] == cell["score"]
        assert EXPECTED["prompts"][f"q0{row['prompt_id'][-1]}"]["text"] in row["prompt"]
        recorded = not left_out or row["model"] == "acme/small"  # the other has no trajectories
        assert row["cost_usd"] == cell["cost_usd"] if recorded else np.isnan(row["cost_usd"])
        if row["model"] == "acme/small":  # two calls, of which the file's expectations count one
            assert (row["input_tokens"], row["output_tokens"]) == (20.0, 6.0)


def test_swe_bench_evaluations_that_failed_are_not_observed_and_empty_patches_are_wrong(tmp_path: Path) -> None:
    report = json.loads((FILES / "swe_bench/other_mid/other__mid.quiz.json").read_text(encoding="utf-8"))
    report |= {
        "resolved_ids": [],
        "unresolved_ids": [],
        "error_ids": ["quiz__quiz-1"],
        "empty_patch_ids": ["quiz__quiz-2"],
    }
    path = tmp_path / "other__mid.quiz.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    rows = read_format(FORMATS["swe-bench"], [path])
    assert rows.table.to_pydict()["score"] == [None, 0.0]
    assert set(rows.table.to_pydict()["model"]) == {"other/mid"}
    with pytest.raises(DataError, match="resolved"):
        read_format(FORMATS["swe-bench"], all_files([FILES / "swe_bench/acme_small/trajs"]))


def test_a_folder_of_runs_is_one_benchmark() -> None:
    frames = read_any(FILES / "openai_evals", prices=PRICES)
    assert len(frames.prompts) == 8
    assert frames.models["model"].tolist() == ["acme/small", "other/mid"]
    assert frames.outcomes["cost_usd"].notna().all()


def test_the_mean_cost_of_a_call_stands_for_tokens_that_a_tool_does_not_record() -> None:
    files = all_files([FILES / "lm_eval" / "acme__small", FILES / "lm_eval" / "other__mid"])
    prices = PriceList({})
    models = sorted(read_any(files, prices=PRICES, where="task = 'quiz_gen'", estimate_tokens=True).models["model"])
    prices.usd_per_call = {model: 0.25 * place for place, model in enumerate(models, 1)}
    outcomes = read_any(files, prices=prices, where="task = 'quiz_gen'").outcomes
    assert set(zip(outcomes["model"], outcomes["cost_usd"], strict=True)) == set(prices.usd_per_call.items())


def test_tokens_are_estimated_where_that_is_asked_for_and_none_are_recorded() -> None:
    files = all_files([FILES / "lm_eval" / "acme__small", FILES / "lm_eval" / "other__mid"])
    with pytest.raises(DataError, match="estimate-tokens"):
        read_any(files, prices=PRICES, where="task = 'quiz_gen'")
    frames = read_any(files, prices=PRICES, where="task = 'quiz_gen'", estimate_tokens=True)
    outcome = frames.outcomes.set_index(["prompt_id", "model"]).loc[("quiz_gen:0", "acme/small")]
    texts = ("Question: What is 17 + 25?\nAnswer:", EXPECTED["cells"]["q01"]["acme/small"]["response"])
    assert [outcome["input_tokens"], outcome["output_tokens"]] == [-(-len(text) // 4) for text in texts]
    assert outcome["cost_usd"] == pytest.approx((1.0 * outcome["input_tokens"] + 2.0 * outcome["output_tokens"]) / 1e6)
    assert any("estimated" in warning for warning in frames.warnings)
    published = read_any(FILES / "helm", prices=PRICES, estimate_tokens=True).outcomes
    assert published[published["model"] == "other/mid"][["output_tokens", "cost_usd"]].gt(0).all(axis=None)
    recorded = FORMATS["openai-evals"].rows(all_files([FILES / "openai_evals"]), Options(estimate_tokens=True))
    assert recorded.table.equals(read("openai-evals", "openai_evals").table)


def test_epochs_come_through_as_samples_of_one_outcome() -> None:
    logs = [FILES / "inspect" / f"quiz_letters_{model}.eval" for model in ("acme_small", "other_mid")]
    frames = read_any(logs, prices=PRICES)
    assert (len(frames.prompts), len(frames.models), len(frames.outcomes)) == (8, 2, 32)
    small = frames.outcomes[frames.outcomes["model"] == "acme/small"].set_index(["prompt_id", "sample"])["score"]
    for key, number in (("q03", 1), ("q03", 2), ("q04", 1)):
        right = plain_score(EXPECTED["cells"][key]["acme/small"], number)
        assert small[f"quiz_letters:{key}", str(number)] == right
    assert frames.outcomes["latency_s"].notna().all()
    assert frames.outcomes["time"].str.endswith("Z").all()


@pytest.mark.parametrize("tool", ["helm", "lm_eval", "swe_bench", "inspect", "llmrouterbench"])
def test_a_zip_with_several_runs_reads_as_their_folder(tool: str, tmp_path: Path) -> None:
    files = all_files([FILES / tool])
    path = tmp_path / "runs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._x", "x")
        for file in files:
            archive.write(file, file.relative_to(FILES))
    each = FORMATS[FOLDERS[tool]]
    assert format_of(path) is each
    rows, right = read_format(each, [path]), read_format(each, files)
    assert rows.table.equals(right.table)
    assert rows.notes == right.notes


def test_a_zip_of_tables_is_no_runs(tmp_path: Path) -> None:
    path = tmp_path / "tables.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/results.csv", "prompt_id,model,score\n1,m,1\n")
        archive.writestr("workbook.xlsx", b"PK\x03\x04 damaged")
    assert format_of(path) is None


def test_two_tools_in_one_import_are_refused() -> None:
    with pytest.raises(DataError, match="one after the other"):
        format_of_all(
            [FILES / "helm" / "quiz_model=acme_small" / "run_spec.json", *all_files([FILES / "openai_evals"])]
        )
    files = [FILES / "expected.json", *all_files([FILES / "openai_evals"])]
    rows = read_format(FORMATS["openai-evals"], files)
    assert rows.table.num_rows == 16
    assert any(note.startswith("1 ") for note in rows.notes)


def test_a_zip_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"eval": {"task": "t", "model": "m"}}))
        archive.writestr("samples/1_epoch_1.json", b'{"id": "' + b"a" * (64 << 20) + b'"}')
    with pytest.raises(DataError, match="unpacks"):
        FORMATS["inspect"].rows([path])


def test_a_zip_of_too_many_entries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ZIP_ENTRIES", 3)
    path = tmp_path / "many.eval"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            archive.writestr(f"samples/{number}_epoch_1.json", "{}")
    with pytest.raises(DataError, match="entries"):
        FORMATS["inspect"].rows([path])


@pytest.mark.parametrize("raw", ["[" * 100_000, '{"a":' * 100_000, '{"eval": {"task": ' + "9" * 5_000 + "}}"])
def test_json_no_program_should_parse_is_refused(tmp_path: Path, raw: str) -> None:
    path = tmp_path / "deep.json"
    path.write_text(raw)
    with pytest.raises(DataError):
        FORMATS["inspect"].rows([path])


@pytest.mark.parametrize(
    ("name", "old", "new", "key"),
    [
        ("openai_evals/quiz_acme_small.jsonl", '"correct": ', '"correct": false, "correct": ', "correct"),
        ("promptfoo/quiz.results.json", '"score": ', '"score": 0.5, "score": ', "score"),
        ("openrouter/activity.csv", "tokens_prompt", "tokens_completion", "tokens_completion"),
    ],
)
def test_a_key_or_a_column_twice_is_named_with_its_place(
    name: str, old: str, new: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / Path(name).name
    text = (FILES / name).read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    each = format_of(FILES / name)
    assert each is not None
    with pytest.raises(DataError, match="twice") as refused:
        read_format(each, [path])
    assert key in str(refused.value)


def _places(folder: str, pattern: str) -> list[str]:
    return [str(path.relative_to(FILES)) for path in (FILES / folder).glob(pattern)]
