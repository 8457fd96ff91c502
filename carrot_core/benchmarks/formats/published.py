"""Results that others publish: Every Eval Ever, LLMRouterBench and RouterArena."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from carrot_core.benchmarks.formats.head import Head, head_of
from carrot_core.benchmarks.formats.reading import Place, document, first_of, inside, json_values, objects
from carrot_core.benchmarks.formats.rows import Options, RowList, Rows, number, tokens

_EEE = ("schema_version", "evaluation_id", "model_id", "evaluation_name", "sample_id")
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
