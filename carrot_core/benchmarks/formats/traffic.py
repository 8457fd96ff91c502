"""Logs of gateways and APIs: one call a row, with the model that answered and what is recorded of the call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from carrot_core.benchmarks.formats.head import Head, head_of
from carrot_core.benchmarks.formats.rows import Options, RowList, Rows, number, seconds_between
from carrot_core.benchmarks.formats.values import (
    Place,
    first_of,
    inside,
    json_values,
    objects,
    parse,
    table_rows,
)
from carrot_core.errors import DataError
from carrot_core.text import json_of_python

Cells = dict[str, object]
_FREE = ":free"  # at the end of the name of a model at no price
_NO_PROMPTS = ("embedding", "image", "speech", "transcription", "moderation", "rerank")  # in a kind of call


def read_calls(
    paths: Sequence[Path], options: Options, call: Callable[[Place, Mapping[str, Any], RowList], Cells | None]
) -> Rows:
    """Rows of every record for which a call comes back."""
    rows = RowList(options)
    for path in paths:
        for place, record in records(path):
            cells = call(place, record, rows)
            if cells is not None:
                add_call(rows, place, cells)
    return rows_of_calls(rows, paths[0])


def add_call(rows: RowList, place: Place, cells: Cells) -> None:
    """Add a call, which must name a model."""
    if not cells.get("model"):
        raise place.error("names no model", "Every call names the model that answered.")
    rows.add(place, **cells)


def rows_of_calls(rows: RowList, path: Path) -> Rows:
    """All calls; an error of the file where there is none."""
    if not rows:
        raise Place(path.name).error("has no call of a model", " ".join(rows.notes) or "Was the right file exported?")
    return rows.rows()


def records(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Rows of a table, or the objects in JSON: one a line, in a list, or in the list ``data`` of an object."""
    if head_of(path).kind == "table":
        yield from table_rows(path)
        return
    for place, value in json_values(path):
        listed = value if isinstance(value, list) else inside(value, "data")
        if isinstance(listed, list):
            for at, each in enumerate(objects(listed), 1):
                yield Place(place.file, f"entry {at:,}"), each
        elif isinstance(value, Mapping):
            yield place, value
        else:
            raise place.error("is no object", "Export the file again.", value)


def decoded(value: object) -> Any:
    """A cell of a table that holds JSON, as its value; any other text as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[", '"')):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def decoded_cell(record: Mapping[str, Any], place: Place, *names: str) -> Any:
    """The value of the first of some cells that is there; one that holds JSON, or what Python writes, as its value.

    Raises
    ------
    DataError
        It begins as JSON does and cannot be read, or has a key twice in one object.
    """
    name, value = next(((name, record[name]) for name in names if record.get(name) is not None), ("", None))
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return parse(value.encode(), replace(place, within=f"{place.within}, column {name!r}"))
    except DataError:
        is_json = decoded(value) is not value  # then a key is twice in it
        as_json = None if is_json else json_of_python(value)
        if as_json is None:
            raise
        return json.loads(as_json)


def is_litellm(head: Head) -> bool:
    """The columns of LiteLLM's table of spend, as a CSV or one object a line."""
    columns = ("request_id", "spend", "prompt_tokens", "completion_tokens", "startTime", "model")
    return head.has(*columns) or head.has(*(f"[].{name}" for name in columns))


def litellm_rows(paths: Sequence[Path], options: Options) -> Rows:
    """Calls of ``LiteLLM_SpendLogs``.

    The model is the one that answered, under the group it was called as where every group has one model of its own:
    deployments of one model have many names. A group with several models, as one that CARROT decides in, names none.
    """
    groups: dict[str, set[str]] = {}
    for path in paths:
        for _, record in records(path):
            if record.get("model_group") and record.get("status") != "failure":
                groups.setdefault(str(record["model_group"]), set()).add(str(record.get("model")))
    models = [model for answered in groups.values() for model in answered]
    one_each = 1 < len(groups) == len(models) == len(set(models))

    def call(place: Place, record: Mapping[str, Any], rows: RowList) -> Cells | None:
        cells = _litellm_call(place, record, rows)
        if cells is not None and one_each and record.get("model_group"):
            cells["model"] = record["model_group"]
            rows.note("Models have the names of the groups they were called as.")
        return cells

    return read_calls(paths, options, call)


def _litellm_call(place: Place, record: Mapping[str, Any], rows: RowList) -> Cells | None:
    metadata = decoded_cell(record, place, "metadata")
    if record.get("status") == "failure" or inside(metadata, "status") == "failure":
        rows.note("Calls that failed are left out.")
        return None
    if str(record.get("cache_hit")).lower() == "true":
        rows.note("Answers from the gateway's own cache are left out: no model was called.")
        return None
    if any(kind in str(record.get("call_type")) for kind in _NO_PROMPTS):
        rows.note("Calls that are no chat and no completion are left out.")
        return None
    usage, more = inside(metadata, "usage_object"), inside(metadata, "additional_usage_values")
    duration = number(record.get("request_duration_ms"), place, "request_duration_ms")
    start, request = record.get("startTime"), decoded_cell(record, place, "proxy_server_request")
    return {
        "model": record.get("model"),
        "prompt": decoded(record.get("messages")) or first_of(request, "messages", "input"),
        "input_tokens": record.get("prompt_tokens"),
        "output_tokens": record.get("completion_tokens"),
        "cached_input_tokens": first_of(usage, "prompt_tokens_details.cached_tokens", "cache_read_input_tokens")
        or inside(more, "cache_read_input_tokens"),
        "reasoning_tokens": inside(usage, "completion_tokens_details.reasoning_tokens"),
        "cost_usd": record.get("spend"),
        "latency_s": seconds_between(start, record.get("endTime")) if duration is None else duration / 1000,
        "time": start,
    }


def is_openrouter(head: Head) -> bool:
    """The columns of OpenRouter's activity export."""
    return head.has("model_permaslug", "tokens_prompt", "tokens_completion", "cost_total")


def openrouter_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a generation."""
    return read_calls(paths, options, _openrouter_call)


def _openrouter_call(place: Place, record: Mapping[str, Any], rows: RowList) -> Cells | None:
    if str(record.get("cancelled")).lower() == "true":
        rows.note("Calls that were cancelled are left out.")
        return None
    duration = number(record.get("generation_time_ms"), place, "generation_time_ms")
    elsewhere = number(record.get("byok_usage_inference"), place, "byok_usage_inference")
    free = record.get("variant") == "free"  # as OpenRouter calls the model then: its price is another
    return {
        "model": f"{record.get('model_permaslug', '')}{_FREE if free else ''}",
        "input_tokens": record.get("tokens_prompt"),
        "output_tokens": record.get("tokens_completion"),
        "cached_input_tokens": record.get("tokens_cached"),
        "reasoning_tokens": record.get("tokens_reasoning"),
        "cost_usd": None if elsewhere else record.get("cost_total"),
        "latency_s": None if duration is None else duration / 1000,
        "time": record.get("created_at"),
    }


def is_api_usage(head: Head) -> bool:
    """Results of batches, lists of completions, and usage reports of OpenAI and Anthropic."""
    batch = head.has("custom_id", "response.body") or head.has("custom_id", "result.type")
    listed = head.has("object", "data[].object", "data[].usage") or head.has("object", "id", "model", "usage")
    report = head.has("data[].results") or head.has("usage_date_utc") or head.has("date", "requests", "usage")
    return batch or listed or report


def api_usage_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a call; sums over several calls are left out, and a file of nothing else is refused."""
    rows = RowList(options)
    for path in paths:
        for place, record in records(path):
            parts = objects(record.get("results")) if "results" in record else [record]
            for part in parts:
                cells = _api_call(place, part, rows, record.get("start_time"))
                if cells is not None:
                    rows.add(place, **cells)
    if not rows:
        remedy = "A log of single calls is needed, as a gateway or the result of a batch has it."
        raise Place(paths[0].name).error("has sums of calls only", remedy)
    return rows.rows()


def _api_call(place: Place, record: Mapping[str, Any], rows: RowList, start: object) -> Cells | None:
    answer = first_of(record, "response.body", "result.message")
    answer = answer if isinstance(answer, Mapping) else record
    calls = number(record.get("num_model_requests"), place, "num_model_requests")
    usage = answer.get("usage") if isinstance(answer.get("usage"), Mapping) else record
    sums = ("usage_date_utc", "uncached_input_tokens", "requests")
    if any(name in record for name in sums) or (calls is not None and calls != 1):
        rows.note("Sums over several calls are left out.")
        return None
    if not isinstance(answer.get("model"), str):
        rows.note("Calls that failed, and entries that are no call, are left out.")
        return None
    read, write = (number(inside(usage, f"cache_{name}_input_tokens"), place, name) for name in ("read", "creation"))
    tokens_in = number(first_of(usage, "input_tokens", "prompt_tokens"), place, "input_tokens")
    if tokens_in is not None:
        tokens_in += (read or 0) + (write or 0)  # Anthropic counts what its cache held beside the input
    cached = first_of(
        usage, "input_cached_tokens", "prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens"
    )
    return {
        "model": answer["model"],
        "prompt_id": record.get("custom_id"),
        "input_tokens": tokens_in,
        "output_tokens": first_of(usage, "output_tokens", "completion_tokens"),
        "cached_input_tokens": read if cached is None else cached,
        "reasoning_tokens": first_of(
            usage, "completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens"
        ),
        "time": first_of(answer, "created", "created_at") or start,
    }
