"""Results a record at a time: OpenAI evals' logs, Every Eval Ever, LLMRouterBench and RouterArena."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from carrot_core.benchmarks.formats.head import Head, head_of
from carrot_core.benchmarks.formats.rows import Options, RowList, Rows, number, tokens
from carrot_core.benchmarks.formats.values import Place, document, first_of, inside, json_values, objects

_EEE = ("schema_version", "evaluation_id", "model_id", "evaluation_name", "sample_id")
_USAGE = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
_CHOICES = ("[].global_index", "[].prediction", "[].generated_result")


def is_every_eval_ever(head: Head) -> bool:
    """Records of single instances, or the summary of a run beside them."""
    return head.has(*_EEE) or head.has("schema_version", "evaluation_id", "evaluation_results", "model_info.id")


def every_eval_ever_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a record of an instance; several records of one instance are its samples."""
    rows = RowList(options)
    files = [path for path in paths if head_of(path).has(*_EEE)]
    if not files:
        remedy = "Give the JSON lines of single instances that detailed_evaluation_results names."
        raise Place(paths[0].name).error("has only the means of a run", remedy)
    answers: Counter[tuple[str, ...]] = Counter()
    for path in files:
        split = _eee_split(path)
        measures: dict[str, Counter[str]] = {}
        for _, record in _eee_records(path):
            task, measure = _eee_measure(record, split)
            measures.setdefault(task, Counter())[measure] += 1
        scores = {task: rows.choose(names, Place(path.name), "measure", task) for task, names in measures.items()}
        for place, record in _eee_records(path):
            task, measure = _eee_measure(record, split)
            if measure != scores[task]:
                continue
            model, sample_id = options.model_of(path, record.get("model_id")), str(record.get("sample_id"))
            answers[model, task, sample_id] += 1
            count = answers[model, task, sample_id]
            latency = number(inside(record, "performance.latency_ms"), place, "latency_ms")
            rows.add(
                place,
                answer=inside(record, "output.raw"),
                prompt_id=f"{task}:{sample_id}",
                model=model,
                score=None if record.get("error") else first_of(record, "evaluation.score", "evaluation.is_correct"),
                prompt=first_of(record, "input.raw"),
                task=task,
                sample=count if count > 1 else None,
                latency_s=None if latency is None else latency / 1000,
                **tokens(record.get("token_usage"), place),
            )
    return rows.rows()


def _eee_split(path: Path) -> set[str]:
    """Names before the last "/" that are tasks: the same sample stands under several names, one for each measure."""
    names: dict[tuple[str, str, str], str] = {}
    split = set()
    for _, record in _eee_records(path):
        name = str(record.get("evaluation_name"))
        task = name.rpartition("/")[0]
        sample = (task, str(record.get("sample_id")), str(inside(record, "input.raw")))
        if task and names.setdefault(sample, name) != name:
            split.add(task)
    return split


def _eee_measure(record: Mapping[str, Any], split: set[str]) -> tuple[str, str]:
    name = str(record.get("evaluation_name"))
    task = name.rpartition("/")[0]
    return (task if task in split else name), str(record.get("evaluation_result_id") or name)


def _eee_records(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for place, record in json_values(path):
        if not isinstance(record, Mapping):
            raise place.error("is no record of an instance", "Export the file again.", record)
        yield place, record


def is_llm_router_bench(head: Head) -> bool:
    """The document of one model on one data set."""
    return head.has("model_name", "dataset_name", "records", "performance")


def llm_router_bench_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a record."""
    rows = RowList(options)
    newest: dict[tuple[str, str], tuple[Path, Mapping[str, Any]]] = {}
    for path in sorted(paths, key=_stamp):
        run = document(path)
        model, task = options.model_of(path, run.get("model_name")), f"{run.get('dataset_name')}/{run.get('split')}"
        if run.get("demo") is True:
            rows.note("Trial runs of a few records (demo) are left out.")
            continue
        if (model, task) in newest:
            rows.note("Of several runs of a model on one data set the newest counts.")
        newest[model, task] = (path, run)
    for (model, task), (path, run) in newest.items():
        records = objects(run.get("records"))
        if not records:
            raise Place(path.name).error("has no records", "Was the run cut off?")
        for at, record in enumerate(records, 1):
            rows.add(
                Place(path.name, f"record {at:,}"),
                prompt_id=f"{task}:{record.get('index', at)}",
                model=model,
                score=record.get("score"),
                prompt=first_of(record, "origin_query", "prompt"),
                task=task.partition("/")[0],
                input_tokens=record.get("prompt_tokens"),
                output_tokens=record.get("completion_tokens"),
                cost_usd=record.get("cost"),
            )
    return rows.rows()


def _stamp(path: Path) -> tuple[str, str]:
    """The moment at the end of a run's file name, by which its storage orders them."""
    return path.stem[-len("20260131_120000") :], path.name


def is_router_arena(head: Head) -> bool:
    """Lines of a model's cached results, or what a router chose."""
    return head.has("global_index", "llm_selected", "evaluation_result") or head.has(*_CHOICES)


def router_arena_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a question and run; a question that was not evaluated has no score."""
    rows = RowList(options)
    for path in paths:
        if head_of(path).has(*_CHOICES):
            if len(paths) == 1:
                remedy = "Give cached_results/, which has every model on every prompt."
                raise Place(path.name).error("has one model a prompt, the one that a router chose", remedy)
            rows.note(f"{path.name} has what a router chose, and is not read.")
            continue
        for place, line in _objects(path):
            index = line.get("global_index")
            if not isinstance(index, str):
                raise place.error("has no global_index", "Export the results again.", index)
            runs = line.get("run_number")
            failed = line.get("success") is False or inside(line, "evaluation_result.metric") == "error"
            rows.add(
                place,
                prompt_id=index,
                model=options.model_of(path, line.get("llm_selected")),
                score=None if failed else inside(line, "evaluation_result.score"),
                prompt=line.get("question"),
                task=index.rpartition("_")[0] or index,
                sample=runs if runs != 1 else None,
                input_tokens=None if failed else inside(line, "token_usage.input_tokens"),
                output_tokens=None if failed else inside(line, "token_usage.output_tokens"),
                cost_usd=None if failed else inside(line, "evaluation_result.inference_cost"),
            )
    return rows.rows()


def _objects(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for place, value in json_values(path):
        if not isinstance(value, Mapping):
            raise place.error("is no object", "Export the file again.", value)
        yield place, value


def is_openai_evals(head: Head) -> bool:
    """The line of the run's specification that a log starts with."""
    return head.has("spec", "spec.completion_fns", "spec.eval_name")


def openai_evals_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a sample of each log: a match is right or wrong, other evals have a number in their metrics."""
    rows = RowList(options)
    for rows.run, path in enumerate(paths, 1):
        spec: object = None
        events: dict[str, dict[str, list[tuple[Place, Mapping[str, Any]]]]] = {}
        for place, line in json_values(path):
            spec = first_of(line, "spec") or spec
            sample_id, kind, data = inside(line, "sample_id"), inside(line, "type"), inside(line, "data")
            if isinstance(sample_id, str) and isinstance(kind, str) and isinstance(data, Mapping):
                data = {**data, "created_at": inside(line, "created_at")}
                events.setdefault(sample_id, {}).setdefault(kind, []).append((place, data))
        functions = inside(spec, "completion_fns")
        model = options.model_of(path, functions[0] if isinstance(functions, list) and functions else None)
        task = str(inside(spec, "eval_name"))
        kind, _, key = rows.choose(_event_scores(events), Place(path.name), "score", task).partition(".")
        for sample_id, of_sample in events.items():
            calls = of_sample.get("sampling", [(Place(path.name, sample_id), {})])
            place, first = calls[0]
            scores = [number(scored.get(key), at, key) for at, scored in of_sample.get(kind, [])]
            observed = [score for score in scores if score is not None]
            rows.add(
                place,
                answer=first.get("sampled"),
                prompt_id=f"{task}:{sample_id}",
                model=model,
                score=sum(observed) / len(observed) if observed else None,
                prompt=first.get("prompt"),
                task=task,
                time=first.get("created_at"),
                **{name: _summed(calls, f"usage.{count}", rows) for name, count in _USAGE.items()},
            )
    return rows.rows()


def _event_scores(events: Mapping[str, Mapping[str, list[tuple[Place, Mapping[str, Any]]]]]) -> Counter[str]:
    """Kind of event and key in it of every number that may be the score, as "match.correct"."""
    names = Counter[str]()
    for of_sample in events.values():
        for kind in ("match", "metrics"):
            for _, data in of_sample.get(kind, []):
                keys = ("correct",) if kind == "match" else data
                names.update(f"{kind}.{key}" for key in keys if isinstance(data.get(key), bool | int | float))
    return names


def _summed(calls: Sequence[tuple[Place, Mapping[str, Any]]], path: str, rows: RowList) -> float | None:
    """Tokens of all calls of one sample; None where one has none."""
    counts = [number(inside(call, path), place, path) for place, call in calls]
    if len(counts) > 1:
        rows.note("Where a sample took several calls, its tokens are those of all of them.")
    return None if None in counts else sum(count for count in counts if count is not None)
