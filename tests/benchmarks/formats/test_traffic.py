"""Logs of gateways and APIs: one call a row, sums and failures left out, and compared with a point."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from carrot_core.benchmarks.formats import FORMATS, format_of
from carrot_core.benchmarks.log_table import Calls, keep_log, kept_logs, log_at, read_logs, size_of_log
from carrot_core.benchmarks.registry import read_any
from carrot_core.cli import main
from carrot_core.errors import CarrotError, DataError, NotFoundError

USAGE = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}
SPEND = [
    {"request_id": "a", "call_type": "acompletion", "spend": 0.25, "total_tokens": 30, "prompt_tokens": 10,
     "completion_tokens": 20, "startTime": "2026-01-31T12:00:00+00:00", "endTime": "2026-01-31T12:00:01.500+00:00",
     "model": "openai/m1", "custom_llm_provider": "openai", "metadata": json.dumps({"usage_object": USAGE}),
     "messages": json.dumps([{"role": "user", "content": "What is 1 + 1?"}]), "status": "success",
     "cache_hit": "False"},
    {"request_id": "b", "call_type": "acompletion", "spend": 0.0, "total_tokens": 0, "prompt_tokens": 0,
     "completion_tokens": 0, "startTime": "2026-01-31T12:00:00+00:00", "endTime": "2026-01-31T12:00:01+00:00",
     "model": "openai/m1", "custom_llm_provider": "openai", "metadata": "{}", "messages": "{}", "status": "failure",
     "cache_hit": ""},
    {"request_id": "c", "call_type": "acompletion", "spend": 0.5, "total_tokens": 3, "prompt_tokens": 1,
     "completion_tokens": 2, "startTime": "2026-01-31 12:00:02", "endTime": "2026-01-31 12:00:04", "model": "m2",
     "custom_llm_provider": "azure", "metadata": "{}", "messages": "{}", "status": "success", "cache_hit": ""},
    {"request_id": "d", "call_type": "acompletion", "spend": 0.0, "total_tokens": 3, "prompt_tokens": 1,
     "completion_tokens": 2, "startTime": "2026-01-31 12:00:02", "endTime": "2026-01-31 12:00:04", "model": "m2",
     "custom_llm_provider": "azure", "metadata": "{}", "messages": "{}", "status": "success", "cache_hit": "True"},
]  # fmt: skip
ACTIVITY = [
    {"generation_id": "g1", "created_at": "2026-03-30 02:37:51.271", "cost_total": "0.01", "tokens_prompt": "100",
     "tokens_completion": "200", "tokens_reasoning": "50", "tokens_cached": "0", "model_permaslug": "openai/m1",
     "provider_name": "OpenAI", "cancelled": "false", "generation_time_ms": "1500"},
]  # fmt: skip
GENERATION = {
    "id": "o1", "traceId": "t1", "type": "GENERATION", "model": "m1", "startTime": "2026-01-31T12:00:00.000Z",
    "endTime": "2026-01-31T12:00:02.000Z", "input": [{"role": "user", "content": "What is 1 + 1?"}],
    "usageDetails": {"input": 6, "input_cached_tokens": 4, "output": 20, "total": 30}, "costDetails": {"total": 0.25},
    "scores": [{"name": "right", "value": 1}, {"name": "tone", "value": 0.5}],
}  # fmt: skip
OPENAI = {
    "id": "batch_req_1", "custom_id": "q1", "error": None,
    "response": {"status_code": 200, "body": {"object": "chat.completion", "model": "m1", "created": 1769860800,
                 "usage": {"prompt_tokens": 10, "completion_tokens": 20, **USAGE}}},
}  # fmt: skip
ANTHROPIC = {
    "custom_id": "q1",
    "result": {"type": "succeeded", "message": {"model": "m1", "usage": {
        "input_tokens": 5, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 4, "output_tokens": 20}}},
}  # fmt: skip


def lines(records: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(record) for record in records)


def table(records: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


LOGS = {
    "litellm.csv": ("litellm", table(SPEND)),
    "litellm.jsonl": ("litellm", lines(SPEND)),
    "litellm.json": ("litellm", json.dumps(SPEND)),
    "openrouter.csv": ("openrouter", table(ACTIVITY)),
    "langfuse.jsonl": ("langfuse", lines([GENERATION, GENERATION | {"type": "SPAN", "id": "o2"}])),
    "langfuse.json": ("langfuse", json.dumps({"data": [GENERATION], "meta": {}})),
    "langfuse.csv": (
        "langfuse", table([{key: json.dumps(cell) if isinstance(cell, list | dict) else cell
                            for key, cell in GENERATION.items()}]),
    ),
    "openai.jsonl": ("api-usage", lines([OPENAI, OPENAI | {"response": None, "error": {"code": "x"}}])),
    "anthropic.jsonl": ("api-usage", lines([ANTHROPIC])),
}  # fmt: skip


@pytest.fixture(params=list(LOGS))
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    path.write_text(LOGS[request.param][1], encoding="utf-8")
    return path


def test_a_log_is_told_by_its_content_and_every_call_is_read(log: Path) -> None:
    each = format_of(log)
    assert each is not None
    assert each.name == LOGS[log.name][0]
    calls = read_logs(log)
    first = int(np.flatnonzero(calls.model == [name.endswith("m1") for name in calls.models].index(True))[0])
    expected = (100, 200, 0.01) if each.name == "openrouter" else (10, 20, None if each.name == "api-usage" else 0.25)
    numbers = (calls.input_tokens[first], calls.output_tokens[first], calls.cost_usd[first])
    assert numbers == pytest.approx(tuple(np.nan if value is None else value for value in expected), nan_ok=True)
    assert calls.texts == () or calls.texts[0].endswith("What is 1 + 1?")


def test_calls_that_no_model_answered_are_left_out_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "spend.jsonl"
    path.write_text(lines(SPEND))
    calls = read_logs(path)
    assert len(calls) == 2
    assert len(calls.notes) == 2


def test_cached_and_reasoning_tokens_seconds_and_time_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "spend.csv"
    path.write_text(table(SPEND))
    row = FORMATS["litellm"].rows([path]).table.to_pylist()[0]
    assert (row["cached_input_tokens"], row["reasoning_tokens"], row["latency_s"]) == (4, 2, 1.5)
    assert row["time"] == "2026-01-31T12:00:00+00:00"


@pytest.mark.parametrize(
    ("name", "column"),
    [("litellm", "metadata"), ("litellm", "proxy_server_request"), ("langfuse", "scores"), ("langfuse", "usageDetails"),
     ("langfuse", "costDetails")],
)  # fmt: skip
def test_a_cell_of_json_that_is_cut_or_has_a_key_twice_is_named_and_python_s_is_read(
    tmp_path: Path, name: str, column: str
) -> None:
    """Regression: cached tokens, scores and dollars in such a cell were lost without a word."""
    record = SPEND[0] | {"proxy_server_request": "{}"} if name == "litellm" else GENERATION
    cells = {key: json.dumps(cell) if isinstance(cell, list | dict) else cell for key, cell in record.items()}
    path = tmp_path / "log.csv"
    whole = json.loads(str(cells[column]))
    texts = {"cut off": str(cells[column])[:-1], "twice": '{"a": 1, "a": 2}'}
    for says, text in texts.items():
        path.write_text(table([cells | {column: text}]))
        with pytest.raises(DataError, match=says) as caught:
            FORMATS[name].rows([path])
        assert repr(column) in str(caught.value)
    rows = []
    for text in (json.dumps(whole), repr(whole)):
        path.write_text(table([cells | {column: text}]))
        rows.append(FORMATS[name].rows([path]).table.to_pylist())
    assert rows[0] == rows[1]


def test_a_langfuse_score_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "observations.json"
    path.write_text(json.dumps([GENERATION]))
    rows = FORMATS["langfuse"].rows([path])
    assert rows.table["score"].to_pylist() == [1.0]
    assert any("tone" in note for note in rows.notes)


@pytest.mark.parametrize(
    "text",
    [
        "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens\n2026-01-01,m1,10,20\n",
        json.dumps({"object": "page", "data": [{"object": "bucket", "start_time": 1, "results": [
            {"model": "m1", "input_tokens": 100, "output_tokens": 20, "num_model_requests": 7}]}]}),
    ],
)  # fmt: skip
def test_sums_of_calls_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="sums"):
        read_logs(path)


def test_traffic_is_no_benchmark(tmp_path: Path) -> None:
    path = tmp_path / "spend.csv"
    path.write_text(table(SPEND))
    with pytest.raises(DataError, match="point drift"):
        read_any(path)


def test_models_are_told_without_their_provider_as_the_adapter_does() -> None:
    ones = np.ones(3)
    calls = Calls("log", ("azure/m1", "m2", "openai/m1"), np.array([0, 1, 2]), np.arange(3), ones, ones, ones, ones)
    named = calls.named_as(["m1", "m2"])
    assert named.models == ("m1", "m2")
    assert named.model.tolist() == [0, 1, 0]
    assert any("azure/m1 is m1" in note for note in named.notes)
    assert calls.named_as(["azure/m1", "openai/m1"]) is calls


def test_a_log_is_kept_under_a_name_and_compared_by_it(carrot_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "spend.csv"
    path.write_text(table(SPEND))
    count, notes = keep_log("in use", [path])
    assert (count, list(kept_logs())) == (2, ["in use"])
    assert size_of_log(kept_logs()["in use"]) == "2 calls"
    listed = CliRunner().invoke(main, ["data", "list"])
    assert listed.exit_code == 0
    assert "in use" in listed.output
    assert "2 calls" in listed.output
    assert any("failed" in note for note in notes)
    log, calls = read_logs(log_at("in use")), read_logs(log_at(str(path)))
    assert log.models == calls.models
    assert np.array_equal(log.cost_usd, calls.cost_usd)
    with pytest.raises(CarrotError, match="already"):
        keep_log("in use", [path])
    keep_log("in use", [path], replace=True)
    with pytest.raises(CarrotError, match="name"):
        keep_log("../out", [path])
    with pytest.raises(NotFoundError, match="in use"):
        log_at("other")


def test_a_log_that_is_kept_names_the_calls_whose_spend_is_0(carrot_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "spend.csv"
    path.write_text(table([{**row, "spend": 0} for row in SPEND]))
    _, notes = keep_log("free", [path])
    assert any("cost_usd" in note and "not recorded" in note and "row 1" in note for note in notes)


def test_a_bad_call_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "spend.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [SPEND[1], {**SPEND[0], "spend": -1}]))
    with pytest.raises(DataError, match="line 2: must be"):
        read_logs(path)


def test_true_is_no_count_of_tokens(tmp_path: Path) -> None:
    path = tmp_path / "spend.jsonl"
    path.write_text(lines([{**SPEND[0], "prompt_tokens": True}]))
    with pytest.raises(DataError, match=r"input_tokens is true or false \(found True\)"):
        read_logs(path)


def test_an_attribute_with_two_values_is_named_with_its_span(tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    counts = [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": count}} for count in ("10", "99")]
    model = {"key": "gen_ai.request.model", "value": {"stringValue": "m"}}
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [model, *counts]}]}]}]}))
    with pytest.raises(DataError, match=r"span 1: has an attribute twice.*input_tokens"):
        read_logs(path)


def test_messages_in_an_event_of_a_span_are_read(tmp_path: Path) -> None:
    def text(value: str) -> dict[str, str]:
        return {"stringValue": value}

    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Why?"}]}])
    event = {
        "name": "gen_ai.client.inference.operation.details",
        "attributes": [{"key": "gen_ai.input.messages", "value": text(messages)}],
    }
    span = {"attributes": [{"key": "gen_ai.request.model", "value": text("m1")}], "events": [event]}
    path = tmp_path / "spans.json"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    assert read_logs(path).texts == ("Why?",)


def test_a_table_is_not_kept_as_a_log(carrot_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("model,score\nm1,1\n")
    with pytest.raises(DataError, match="no log"):
        keep_log("mine", [path])
    assert kept_logs() == {}
