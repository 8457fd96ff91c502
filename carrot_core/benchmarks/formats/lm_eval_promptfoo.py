"""lm-evaluation-harness (``samples_*.jsonl`` beside ``results_*.json``), and promptfoo's results."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from carrot_core.benchmarks.formats.head import Head, head_of
from carrot_core.benchmarks.formats.rows import Options, RowList, Rows, number, ranked
from carrot_core.benchmarks.formats.values import (
    Place,
    document,
    first_of,
    inside,
    json_values,
    objects,
    parse,
    table_cells,
)

_OF_SAMPLE = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", "task_name", "openrouter_stats",
}  # fmt: skip
_PROMPTFOO_TABLE = ("Status", "Score", "Named Scores", "Grader Reason")
_PROVIDER = re.compile(r"\[(?P<name>[^\]]+)\] (?P<prompt>.*)", re.DOTALL)  # above the answers in it
_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_PROMPTFOO_FAILED = 2  # failureReason: the call itself, not an assertion


def is_lm_eval(head: Head) -> bool:
    """Lines of samples, or the results beside them."""
    return head.has("doc_id", "doc", "arguments") or head.has("results", "configs", "n-shot")


def lm_eval_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a document; of several filters and metrics the first ones count, unless others are chosen.

    ``scorer`` is a metric, a filter, or both as the harness writes them: "exact_match,strict-match".
    """
    rows = RowList(options)
    samples = [path for path in paths if head_of(path).has("doc_id", "doc", "arguments")]
    if not samples:
        raise Place(paths[0].name).error("has no samples", "Run lm_eval with --log_samples, and give samples_*.jsonl.")
    for rows.run, path in enumerate(samples, 1):
        results = _results_of(path, paths, options)
        _lm_eval_file(path, options.model_of(path, _model_name(results)), results, rows)
    return rows.rows()


def _results_of(path: Path, paths: Sequence[Path], options: Options) -> Mapping[str, Any]:
    """The results that the harness wrote with a file of samples: of the same moment, else the only ones beside it."""
    if options.model_from not in (None, "column"):
        return {}
    beside = [each for each in path.parent.glob("results_*.json") if each.is_file() and not each.is_symlink()]
    results = [each for each in paths if each.suffix == ".json"]
    stamps = {each: each.name.removeprefix("results_").removesuffix(".json") for each in (*beside, *results)}
    matches = [each for each, stamp in stamps.items() if path.name.partition(".jsonl")[0].endswith(f"_{stamp}")]
    others = beside or results
    match = next(iter(matches), others[0] if len(others) == 1 else None)
    if match is None:
        remedy = "Keep results_*.json beside it, or name the model: --model-from NAME."
        raise Place(path.name).error("does not say which model answered, and no results_*.json fits", remedy)
    return document(match)


def _model_name(results: Mapping[str, Any]) -> object:
    """The model of a run; older releases have it in the text of its arguments only."""
    arguments = inside(results, "config.model_args")
    parts = (
        dict(part.split("=", 1) for part in arguments.split(",") if "=" in part) if isinstance(arguments, str) else {}
    )
    named = first_of(results, "model_name", "config.model_args.pretrained", "config.model_args.model")
    return named or parts.get("pretrained") or parts.get("model") or inside(results, "config.model")


def _lm_eval_file(path: Path, model: str, results: Mapping[str, Any], rows: RowList) -> None:
    task_of_name = path.name.removeprefix("samples_").rpartition("_")[0] or path.name.partition(".")[0]
    metric, filter_ = _choice(path, results, task_of_name, rows)
    for place, sample in json_values(path):
        if not isinstance(sample, Mapping):
            raise place.error("is no sample", "Export the run again.", sample)
        if _filter(sample) != filter_:
            continue
        stated, document_id = sample.get("task_name"), sample.get("doc_id")
        task = stated if isinstance(stated, str) else task_of_name
        if not isinstance(document_id, int | str):
            raise place.error("has no doc_id", "Export the run again.", document_id)
        stats = sample.get("openrouter_stats")
        rows.add(
            place,
            answer=_answer(sample),
            prompt_id=f"{task}:{document_id}",
            model=model,
            score=sample.get(metric),
            prompt=_prompt(sample),
            task=task,
            input_tokens=inside(stats, "prompt_tokens"),
            output_tokens=inside(stats, "completion_tokens"),
            cost_usd=inside(stats, "total_cost"),
        )


def _directions(results: Mapping[str, Any], task: str) -> Mapping[str, Any]:
    """Whether more of a metric is better, by its name: one of which less is better is no score."""
    by_task = results.get("higher_is_better")
    directions = by_task.get(task) if isinstance(by_task, Mapping) else None
    return directions if isinstance(directions, Mapping) else {}


def _metrics(sample: Mapping[str, Any]) -> list[str]:
    """Names of the metrics with one number a sample, in the harness's order."""
    stated = sample["metrics"] if isinstance(sample.get("metrics"), list) else list(sample)
    names = [name for name in stated if isinstance(name, str) and name not in _OF_SAMPLE]
    return [name for name in names if isinstance(sample.get(name), bool | int | float)]


def _choice(path: Path, results: Mapping[str, Any], task: str, rows: RowList) -> tuple[str, str]:
    """Metric and filter, in the order of the run's results; the user's name may be either, or both with a comma."""
    metrics, filters = Counter[str](), Counter[str]()
    for _, sample in json_values(path):
        filters[_filter(sample)] += 1
        metrics.update(_metrics(sample) if isinstance(sample, Mapping) else ())
    of_task = inside(results, "results")
    of_task = of_task.get(task) if isinstance(of_task, Mapping) else None
    pairs = [name.partition(",") for name in of_task] if isinstance(of_task, Mapping) else []
    lower = [name for name, higher in _directions(results, task).items() if higher is False]
    metric, _, filter_ = (rows.options.scorer or "").partition(",")
    return (
        rows.choose(
            ranked(metrics, [pair[0] for pair in pairs], without=lower), Place(path.name), "metric", task, metric
        ),
        rows.choose(ranked(filters, [pair[2] for pair in pairs]), Place(path.name), "filter", task, filter_ or metric),
    )


def _filter(sample: object) -> str:
    return str(first_of(sample, "filter") or "none")


def _prompt(sample: Mapping[str, Any]) -> object:
    """What was sent: the first argument of the first request; of a multiple choice, without the choice."""
    arguments = sample.get("arguments")
    if isinstance(arguments, Mapping):  # {"gen_args_0": {"arg_0": ...}}; earlier a list of lists
        request = first_of(arguments, "gen_args_0.arg_0")
    else:
        first = arguments[0] if isinstance(arguments, list) and arguments else None
        request = first[0] if isinstance(first, list) and first else None
    # Chat messages are the JSON text of a list, in a list of one.
    return request[0] if isinstance(request, list) and len(request) == 1 else request


def _answer(sample: Mapping[str, Any]) -> object:
    """What the model wrote; of a multiple choice, which it does not write, the first choice."""
    resps = sample.get("resps")
    first = resps[0][0] if isinstance(resps, list) and resps and isinstance(resps[0], list) and resps[0] else None
    return first if isinstance(first, str) else first_of(sample, "arguments.gen_args_0.arg_1")


def is_promptfoo(head: Head) -> bool:
    """What ``promptfoo eval -o`` writes: one document, a line a result, or a table."""
    document_ = head.has("evalId", "results", "results.version") or head.has("results.results", "results.stats")
    return document_ or head.has("promptIdx", "testIdx", "provider", "success") or head.has(*_PROMPTFOO_TABLE)


def promptfoo_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a test and provider; the score is that of all assertions, or a named one.

    A test that was run again (``--repeat``) has the same prompt and variables: its answers are samples.
    """
    rows = RowList(options)
    tests = _Repeats()
    for path in paths:
        results = _promptfoo_results(path)
        if head_of(path).kind == "table":
            rows.note("promptfoo's CSV has no tokens, no dollars and scores of two decimals; its JSON has all.")
        names = Counter(name for _, each in results for name in ("score", "success", *_named(each)))
        score = rows.choose(names, Place(path.name), "score", "promptfoo")
        for at, (place, result) in enumerate(results):
            _promptfoo_row(place, at, result, score, tests, path, rows)
    return rows.rows()


def _promptfoo_results(path: Path) -> list[tuple[Place, Mapping[str, Any]]]:
    if head_of(path).kind == "table":
        return list(_promptfoo_table(path))
    results: list[tuple[Place, Mapping[str, Any]]] = []
    for place, value in json_values(path):
        listed = objects(inside(value, "results.results"))
        results += [(Place(path.name, f"result {at:,}"), each) for at, each in enumerate(listed, len(results) + 1)]
        if isinstance(value, Mapping) and "testIdx" in value:
            results.append((place, value))
    if not results:
        raise Place(path.name).error("has no results", "Export it again: promptfoo export eval ID -o results.json")
    return results


def _promptfoo_table(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Results as the JSON has them, of promptfoo's CSV: a row a test, and for each provider an answer and its score."""
    rows = table_cells(path)
    _, names = next(rows)
    ends = [*(at for at, name in enumerate(names) if name == "Status"), len(names) + 1]
    for at, (place, cells) in enumerate(rows):
        variables = {
            name: cell for name, cell in zip(names[: ends[0] - 1], cells, strict=False) if name != "Description"
        }
        for start, end in pairwise(ends):
            of_provider = dict(zip(names[start : end - 1], cells[start : end - 1], strict=True))
            provider = _PROVIDER.fullmatch(names[start - 1])
            if provider is None:
                raise place.error("names no provider above an answer", "Export it again.", names[start - 1])
            status, template = of_provider["Status"], provider["prompt"]
            prompt = "".join(
                variables.get(part, f"{{{{{part}}}}}") if turn % 2 else part
                for turn, part in enumerate(_VARIABLE.split(template))
            )
            yield (
                place,
                {
                    "provider": provider["name"],
                    "prompt": {"raw": prompt},
                    "vars": variables,
                    "testIdx": at,
                    "score": of_provider.get("Score"),
                    "success": {"PASS": True, "FAIL": False}.get(status),
                    "namedScores": parse((of_provider.get("Named Scores") or "{}").encode(), place),
                    "failureReason": _PROMPTFOO_FAILED if status not in ("PASS", "FAIL") else 0,
                    "response": {"output": cells[start - 1]},
                },
            )


class _Repeats:
    """Id of each distinct test, and how often a model was asked it."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._answers: Counter[tuple[str, str]] = Counter()

    def id_of(self, test: str, index: object) -> str:
        """Its index in the file; another test of the same index, as of a second prompt, has a number behind it."""
        if test not in self._ids:
            self._counts[str(index)] += 1
            count = self._counts[str(index)]
            self._ids[test] = str(index) if count == 1 else f"{index}.{count}"
        return self._ids[test]

    def sample(self, prompt_id: str, model: str) -> int | None:
        self._answers[prompt_id, model] += 1
        count = self._answers[prompt_id, model]
        return count if count > 1 else None


def _named(result: Mapping[str, Any]) -> list[str]:
    scores = result.get("namedScores")
    return list(scores) if isinstance(scores, Mapping) else []


def _promptfoo_row(
    place: Place, at: int, result: Mapping[str, Any], score: str, tests: _Repeats, path: Path, rows: RowList
) -> None:
    provider = result.get("provider")
    stated = provider if isinstance(provider, str) else inside(provider, "label") or inside(provider, "id")
    model = rows.options.model_of(path, stated)
    raw = inside(result, "prompt.raw")
    test = [raw, first_of(result, "vars", "testCase.vars"), inside(result, "testCase.assert")]
    prompt_id = tests.id_of(json.dumps(test, sort_keys=True), result.get("testIdx", at))
    failed = result.get("failureReason") == _PROMPTFOO_FAILED or (
        result.get("error") and not result.get("gradingResult")
    )
    if failed:
        rows.note("Tests whose call failed are not observed.")
    response = result.get("response")
    cached = inside(response, "cached") is True
    if cached:
        rows.note("Answers from promptfoo's own cache have no tokens, dollars or latency of a call.")
    usage, named = inside(response, "tokenUsage"), result.get("namedScores")
    latency = number(result.get("latencyMs"), place, "latencyMs")
    call: dict[str, object] = {
        "input_tokens": inside(usage, "prompt"),
        "output_tokens": inside(usage, "completion"),
        "reasoning_tokens": inside(usage, "completionDetails.reasoning"),
        "cached_input_tokens": inside(usage, "completionDetails.cacheReadInputTokens"),
        "cost_usd": first_of(result, "response.cost", "cost"),
        "latency_s": None if latency is None else latency / 1000,
    }
    rows.add(
        place,
        prompt_id=prompt_id,
        model=model,
        score=None if failed else first_of(named, score) if score in _named(result) else result.get(score),
        answer=None if failed else inside(response, "output"),
        prompt=raw,
        sample=tests.sample(prompt_id, model),
        **({} if cached or failed else call),
    )
