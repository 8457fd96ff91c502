"""Traces of applications: OpenTelemetry's spans and Langfuse's observations, of which calls of models are rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from carrot_core.benchmarks.formats.head import Head
from carrot_core.benchmarks.formats.rows import Options, RowList, Rows, seconds_between, tokens
from carrot_core.benchmarks.formats.traffic import (
    Cells,
    add_call,
    decoded,
    decoded_cell,
    read_calls,
    records,
    rows_of_calls,
)
from carrot_core.benchmarks.formats.values import Place, first_of, inside, objects

_CALLS = ("chat", "text_completion", "generate_content")  # operations of a span that are one call of a model
_OTLP_ERROR = (2, "STATUS_CODE_ERROR")
_LANGFUSE_MODELS = ("model", "providedModelName", "internalModel", "modelParameters", "provided_model_name")
_LANGFUSE_SUBJECTS = ("subject.kind", "observationId", "observation_id")  # what a score is of
_GENERATION = "GENERATION"
_TURNS = 1_000  # of a conversation in numbered attributes
_LEVELS = 8  # of lists in lists of an attribute


def is_otlp(head: Head) -> bool:
    """Spans as the OpenTelemetry collector writes them to a file."""
    return head.has("resourceSpans") or head.has("[].resourceSpans")


def otlp_rows(paths: Sequence[Path], options: Options) -> Rows:
    """Spans of single calls, by OpenTelemetry's names for generative AI; spans of agents and tools are left out."""
    rows = RowList(options)
    names = Counter(name for path in paths for _, span in _spans(path) for name in _otlp_scores(span))
    for path in paths:
        for place, span in _spans(path):
            score = rows.choose(names, place, "score", "OpenTelemetry") if names else ""
            cells = _otlp_call(span, score, rows)
            if cells is not None:
                add_call(rows, place, cells)
    return rows_of_calls(rows, paths[0])


def _spans(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for place, record in records(path):
        for resource in objects(record.get("resourceSpans")):
            for scope in objects(first_of(resource, "scopeSpans", "instrumentationLibrarySpans")):
                for at, span in enumerate(objects(scope.get("spans")), 1):
                    where = Place(place.file, f"{place.within or 'document'}, span {at:,}")
                    listed = objects(span.get("attributes"))
                    keys = {(str(each.get("key")), str(each.get("value"))) for each in listed}
                    if twice := [key for key, count in Counter(key for key, _ in keys).items() if count > 1]:
                        raise where.error("has an attribute twice, with two values", "Keep one of them.", twice[0])
                    yield where, span


def _otlp_scores(span: Mapping[str, Any]) -> dict[str, object]:
    """Values by name of the evaluations that a span has as events."""
    events = (each for each in objects(span.get("events")) if each.get("name") == "gen_ai.evaluation.result")
    scores = [_attributes(each.get("attributes")) for each in events]
    name, value = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value"
    return {str(each.get(name)): each[value] for each in scores if value in each}


def _otlp_call(span: Mapping[str, Any], score: str, rows: RowList) -> Cells | None:
    attributes = _attributes(span.get("attributes"))
    request_model, answered = (attributes.get(f"gen_ai.{side}.model") for side in ("request", "response"))
    # A name with a version behind the one that was called is the same model.
    model = request_model if answered is None or str(answered).startswith(str(request_model)) else answered
    if model is None or attributes.get("gen_ai.operation.name", "chat") not in _CALLS:
        if any(key.startswith("gen_ai.") for key in attributes):
            rows.note("Spans of agents, tools and embeddings are left out.")
        return None
    if inside(span, "status.code") in _OTLP_ERROR:
        rows.note("Calls that failed are left out.")
        return None
    start = span.get("startTimeUnixNano")

    def usage(*names: str) -> object:
        return next(
            (attributes[f"gen_ai.usage.{name}"] for name in names if f"gen_ai.usage.{name}" in attributes), None
        )

    return {
        "model": model,
        "prompt": _otlp_prompt(attributes, span),
        "score": _otlp_scores(span).get(score),
        "input_tokens": usage("input_tokens", "prompt_tokens"),
        "output_tokens": usage("output_tokens", "completion_tokens"),
        "cached_input_tokens": usage("cache_read.input_tokens", "cache_read_input_tokens"),
        "reasoning_tokens": usage("reasoning.output_tokens", "reasoning_tokens"),
        "cost_usd": usage("cost", "total_cost"),
        "latency_s": seconds_between(start, span.get("endTimeUnixNano")),
        "time": start,
    }


def _attributes(listed: object) -> dict[str, Any]:
    return {str(each.get("key")): _any_value(each.get("value")) for each in objects(listed)}


def _any_value(value: object, level: int = 0) -> Any:
    """An OTLP value as a plain one; whole numbers stand there as text."""
    if not isinstance(value, Mapping) or level > _LEVELS:
        return None
    if "arrayValue" in value:
        listed = inside(value, "arrayValue.values")
        return [_any_value(each, level + 1) for each in listed] if isinstance(listed, list) else []
    if "kvlistValue" in value:
        pairs = objects(inside(value, "kvlistValue.values"))
        return {str(pair.get("key")): _any_value(pair.get("value"), level + 1) for pair in pairs}
    return next(iter(value.values()), None)


def _otlp_prompt(attributes: Mapping[str, Any], span: Mapping[str, Any]) -> object:
    """The messages sent: of the attribute of today, else of the events or numbered attributes of earlier releases."""
    events = {str(each.get("name")): _attributes(each.get("attributes")) for each in objects(span.get("events"))}
    attributes = events.get("gen_ai.client.inference.operation.details", {}) | dict(attributes)
    listed = decoded(attributes.get("gen_ai.input.messages") or events.get("gen_ai.content.prompt") or [])
    if isinstance(listed, Mapping):
        listed = decoded(listed.get("gen_ai.prompt"))
    instructions = _parts(decoded(attributes.get("gen_ai.system_instructions")))
    messages: list[Cells] = [{"role": "system", "content": instructions}] if instructions else []
    messages += [
        {"role": each.get("role"), "content": each["content"] if "content" in each else _parts(each.get("parts"))}
        for each in objects(listed)
    ]
    for name in ("gen_ai.system.message", "gen_ai.user.message"):
        if name in events:
            messages.append({"role": name.split(".")[1], "content": events[name].get("content")})
    for at in range(_TURNS):
        if f"gen_ai.prompt.{at}.content" not in attributes:
            break
        role, content = (attributes.get(f"gen_ai.prompt.{at}.{part}") for part in ("role", "content"))
        messages.append({"role": role, "content": content})
    return messages or None


def _parts(parts: object) -> str:
    texts = (first_of(part, "content", "text") for part in objects(parts) if part.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def is_langfuse(head: Head) -> bool:
    """Observations, with a type, a trace and the name of a model; or the scores exported beside them."""
    return any(
        (
            head.has(f"{place}id", f"{place}type", f"{place}{trace}")
            and any(head.has(f"{place}{name}") for name in _LANGFUSE_MODELS)
        )
        or any(head.has(f"{place}name", f"{place}value", f"{place}{name}") for name in _LANGFUSE_SUBJECTS)
        for place in ("", "[].", "data[].")
        for trace in ("traceId", "trace_id")
    )


def langfuse_rows(paths: Sequence[Path], options: Options) -> Rows:
    """Observations of the type generation, with the scores that stand in them or in a file beside them.

    A score of a trace counts for its only generation. Of several scores the first counts unless another is chosen.
    """
    of_observation: dict[str, dict[str, object]] = defaultdict(dict)
    of_trace: dict[str, dict[str, object]] = defaultdict(dict)
    generations = Counter[str]()
    for path in paths:
        for _, record in records(path):
            if any(first_of(record, name) is not None for name in _LANGFUSE_SUBJECTS) and "type" not in record:
                _langfuse_subject(record, of_observation, of_trace)
            generations[_trace(record)] += str(record.get("type")).upper() == _GENERATION

    def scores_of(place: Place, record: Mapping[str, Any]) -> dict[str, object]:
        alone = generations[_trace(record)] == 1
        beside = of_trace[_trace(record)] if alone else {}
        return {**beside, **_langfuse_scores(place, record), **of_observation[str(record.get("id"))]}

    names = Counter(name for path in paths for place, record in records(path) for name in scores_of(place, record))

    def call(place: Place, record: Mapping[str, Any], rows: RowList) -> Cells | None:
        if "type" not in record:
            return None
        scores = scores_of(place, record)
        score = rows.choose(names, place, "score", "Langfuse") if names else ""
        return _langfuse_call(place, record, scores.get(score), rows)

    return read_calls(paths, options, call)


def _trace(record: Mapping[str, Any]) -> str:
    return str(first_of(record, "traceId", "trace_id"))


def _langfuse_subject(
    record: Mapping[str, Any], of_observation: dict[str, dict[str, object]], of_trace: dict[str, dict[str, object]]
) -> None:
    """Put an exported score where it belongs; one in words is no number."""
    kind, value = str(first_of(record, "dataType", "data_type")), record.get("value")
    if kind in ("CATEGORICAL", "TEXT") or not isinstance(value, bool | int | float):
        return
    observation = first_of(record, "observationId", "observation_id")
    if inside(record, "subject.kind") == "observation":
        observation = inside(record, "subject.id")
    place = of_observation[str(observation)] if observation else of_trace[_trace(record)]
    place[str(record.get("name"))] = value


def _langfuse_scores(place: Place, record: Mapping[str, Any]) -> dict[str, object]:
    """Scores by name, written as a list of objects, or as a number or a list of numbers by name."""
    scores = decoded_cell(record, place, "scores")
    if isinstance(scores, Mapping):
        return {
            str(name): (sum(value) / len(value) if _numbers(value) else None) if isinstance(value, list) else value
            for name, value in scores.items()
        }
    return {str(each.get("name")): each.get("value") for each in objects(scores)}


def _numbers(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(each, int | float) for each in values)


def _langfuse_call(place: Place, record: Mapping[str, Any], score: object, rows: RowList) -> Cells | None:
    if str(record.get("type")).upper() != _GENERATION:
        rows.note("Observations that are no generation of a model are left out.")
        return None
    if str(record.get("level")).upper() == "ERROR":
        rows.note("Calls that failed are left out.")
        return None
    details = decoded_cell(record, place, "usageDetails", "usage_details", "usage")
    flat = {**record, "of": details, "usd": decoded_cell(record, place, "costDetails", "cost_details")}
    counts = {
        "input_tokens": first_of(flat, "of.input", "promptTokens", "inputUsage", "of.promptTokens"),
        "output_tokens": first_of(flat, "of.output", "completionTokens", "outputUsage", "of.completionTokens"),
        "total_tokens": first_of(flat, "of.total", "totalTokens", "totalUsage", "of.totalTokens"),
        "input_tokens_cache_read": first_of(details, "input_cached_tokens", "cache_read_input_tokens"),
        "input_tokens_cache_write": first_of(details, "input_cache_creation", "cache_creation_input_tokens"),
        "reasoning_tokens": first_of(details, "output_reasoning_tokens"),
    }
    start = first_of(record, "startTime", "start_time")
    seconds = seconds_between(start, first_of(record, "endTime", "end_time"))
    return {
        "model": first_of(record, "model", "providedModelName", "provided_model_name", "internalModel"),
        "prompt": _langfuse_prompt(record),
        "score": score,
        "cost_usd": first_of(flat, "totalCost", "total_cost", "calculatedTotalCost", "usd.total"),
        "latency_s": record.get("latency") if seconds is None else seconds,
        "time": start,
        **tokens(counts, place),
    }


def _langfuse_prompt(record: Mapping[str, Any]) -> object:
    request = decoded(record.get("input"))
    return (
        request["messages"] if isinstance(request, Mapping) and isinstance(request.get("messages"), list) else request
    )
