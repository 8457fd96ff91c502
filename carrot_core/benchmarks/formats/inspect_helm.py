"""Inspect logs (``.eval``, a zip with a file for each sample, or ``.json``) and the folders of HELM's runs."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from carrot_core.benchmarks.formats.head import Head, head_of
from carrot_core.benchmarks.formats.rows import Options, RowList, Rows, number, prompt_text, tokens
from carrot_core.benchmarks.formats.values import (
    Place,
    document,
    document_and_items,
    first_of,
    inside,
    json_values,
    objects,
    zip_values,
)

_HEADER = re.compile(r"header\.json|_journal/start\.json")
_SAMPLE = re.compile(r"samples/[^/]+\.json")
# As Inspect's own value_to_float has them.
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_ATTACHED = "attachment://"
# In this order, where a run of HELM has several; no other measure of HELM is a score from 0 to 1 of an answer.
_HELM_SCORES = (
    "exact_match", "quasi_exact_match", "final_number_exact_match", "math_equiv_chain_of_thought", "math_equiv",
    "ifeval_strict_accuracy", "chain_of_thought_correctness", "prefix_exact_match", "quasi_prefix_exact_match",
    "quasi_leave_articles_exact_match", "f1_score", "rouge_l", "rouge_2", "bleu_4", "air_score", "safety_score",
)  # fmt: skip
_HELM_TOKENS = {
    "input_tokens": "num_prompt_tokens",
    "output_tokens": "num_output_tokens",
    "latency_s": "inference_runtime",
}


def is_inspect(head: Head) -> bool:
    """A zip with a header and samples, or JSON with the run's task and model under ``eval``."""
    in_zip = any(_HEADER.fullmatch(name) for name in head.members) and any(map(_SAMPLE.fullmatch, head.members))
    return in_zip or head.has("version", "eval.task", "eval.model", "eval.dataset")


def inspect_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row a sample and epoch; the scorer is the log's headline, else its first, unless one is chosen."""
    rows = RowList(options)
    for rows.run, path in enumerate(paths, 1):
        log, samples = _log(path)
        model, task = inside(log, "eval.model"), inside(log, "eval.task")
        if not isinstance(model, str) or not isinstance(task, str):
            raise Place(path.name).error("names no model or no task", "Was the run cut off before it began?")
        epochs = number(inside(log, "eval.config.epochs"), Place(path.name), "epochs")
        answers = [
            (place, _cells(sample, model, task, epochs, place, rows), _scores(sample)) for place, sample in samples
        ]
        scorer = _scorer(log, Counter(name for _, _, scores in answers for name in scores), task, path, rows)
        if (status := log.get("status")) not in (None, "success"):
            rows.note(f"{path.name}: the run ended with the status {status}; the samples that it finished are read.")
        unscored = 0
        for place, cells, scores in answers:
            score = _score(scores.get(scorer), scorer, place, rows)
            unscored += score is None
            rows.add(place, score=score, **cells)
        if unscored:
            rows.note(f"{path.name}: {unscored:,} samples ended in an error or without a score: not observed.")
    return rows.rows()


def _cells(
    sample: Mapping[str, Any], model: str, task: str, epochs: float | None, place: Place, rows: RowList
) -> dict[str, object]:
    return {
        "prompt_id": f"{task}:{_needed(sample, 'id', place)}",
        "model": model,
        "prompt": prompt_text(_attached(sample)),
        "task": task,
        "sample": sample.get("epoch") if epochs is None or epochs > 1 else None,
        "latency_s": sample.get("working_time"),
        "time": sample.get("started_at"),
        **_usage(sample, model, place, rows),
    }


def _log(path: Path) -> tuple[Mapping[str, Any], Iterator[tuple[Place, Mapping[str, Any]]]]:
    """A log without its samples, and its samples."""
    if head_of(path).kind == "zip":
        headers = {name: value for _, name, value in zip_values(path, _HEADER)}
        log = headers.get("header.json") or headers.get("_journal/start.json")
        samples = ((place, value) for place, _, value in zip_values(path, _SAMPLE))
    else:
        log, listed = document_and_items(path, "samples")
        first = next(listed, None)
        if first is None:
            raise Place(path.name).error("has no samples", "Inspect writes none with --no-log-samples.")
        samples = ((Place(path.name, f"sample {at:,}"), value) for at, value in enumerate(chain([first], listed), 1))
    return log if isinstance(log, Mapping) else {}, _checked(samples)


def _checked(samples: Iterator[tuple[Place, Any]]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for place, sample in samples:
        if not isinstance(sample, Mapping):
            raise place.error("is no sample", "Export the log again.", sample)
        yield place, sample


def _needed(sample: Mapping[str, Any], key: str, place: Place) -> str:
    value = sample.get(key)
    if not isinstance(value, str | int):
        raise place.error(f"has no {key}", "Export the log again.", value)
    return str(value)


def _scores(sample: Mapping[str, Any]) -> dict[str, object]:
    """Values of a sample's scorers; one with several values counts as several, "scorer.value"."""
    values: dict[str, object] = {}
    scores = sample.get("scores")
    for name, score in scores.items() if isinstance(scores, Mapping) and not sample.get("error") else ():
        value = inside(score, "value")
        values |= (
            {f"{name}.{part}": each for part, each in value.items()} if isinstance(value, Mapping) else {name: value}
        )
    return values


def _scorer(log: Mapping[str, Any], names: Mapping[str, int], task: str, path: Path, rows: RowList) -> str:
    if not names:
        return ""
    first = inside(log, "results.headline.score") or next(
        (each.get("name") for each in objects(inside(log, "eval.scorers"))), None
    )
    ranked = {name: names[name] for name in sorted(names, key=lambda name: name.partition(".")[0] != first)}
    return rows.choose(ranked, Place(path.name), "scorer", task)


def _score(value: object, scorer: str, place: Place, rows: RowList) -> float | None:
    if isinstance(value, str) and value in _LETTERS:
        rows.note("Inspect's letters are numbers: C (correct) 1, P (partial) 0.5, I (incorrect) and N (no answer) 0.")
        return _LETTERS[value]
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    return number(value, place, f"the score of {scorer!r}")


def _attached(sample: Mapping[str, Any]) -> object:
    """The input, its long texts put back in place."""
    attachments = sample.get("attachments")
    attachments = attachments if isinstance(attachments, Mapping) else {}

    def whole(text: object) -> object:
        attached = isinstance(text, str) and text.startswith(_ATTACHED)
        return attachments.get(str(text).removeprefix(_ATTACHED), text) if attached else text

    messages = sample.get("input")
    if isinstance(messages, list):
        return [
            {**each, "content": whole(each.get("content"))} if isinstance(each, dict) else each for each in messages
        ]
    return whole(messages)


def _usage(sample: Mapping[str, Any], model: str, place: Place, rows: RowList) -> dict[str, float | None]:
    """Tokens and dollars of the model itself; what a model that grades it used is not counted."""
    by_model = sample.get("model_usage")
    by_model = by_model if isinstance(by_model, Mapping) else {}
    usage = by_model.get(model)
    if usage is None and len(by_model) == 1:
        (usage,) = by_model.values()
    if len(by_model) > 1:
        rows.note("Tokens are those of the model that is evaluated; of models that grade it none are counted.")
    return {**tokens(usage, place), "cost_usd": number(inside(usage, "total_cost"), place, "total_cost")}


def is_helm(head: Head) -> bool:
    """Any file of a run's folder that tells model, prompts or scores."""
    return (
        head.has("adapter_spec", "request_states")
        or head.has("adapter_spec", "scenario_spec", "metric_specs")
        or head.has("[].instance_id", "[].stats")
        or head.has("[].instance_id", "[].predicted_text")
        or head.has("[].instance_id", "[].train_trial_index", "[].request")
        or head.has("[].input.text", "[].references", "[].split")
    )


def helm_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row an instance and trial; perturbed instances are left out."""
    rows = RowList(options)
    folders: dict[Path, None] = dict.fromkeys(path.resolve().parent for path in paths)
    for rows.run, folder in enumerate(folders, 1):
        _helm_run(folder, options, rows)
    return rows.rows()


def _helm_run(folder: Path, options: Options, rows: RowList) -> None:
    place = Place(folder.name)
    path, spec = folder / "scenario_state.json", _helm_document(folder, "run_spec.json")
    state, states = document_and_items(path, "request_states") if path.is_file() else ({}, iter(()))
    answers, perturbed = _helm_answers(states)
    if not (answers or perturbed):
        answers, perturbed = _helm_answers({"instance": each} for each in _helm_list(folder, "instances.json"))
    if not (answers or perturbed):
        remedy = "Give the folder of a run: scenario_state.json or instances.json, and per_instance_stats.json."
        raise place.error("has no prompts", remedy)
    model = options.model_of(
        folder / "run_spec.json", inside(state, "adapter_spec.model") or inside(spec, "adapter_spec.model")
    )
    task = str(first_of(spec, "name") or folder.name).partition(",model=")[0].partition(":model=")[0]
    predictions = list(_helm_list(folder, "display_predictions.json"))
    displays = [inside(each, "stats") for each in predictions]
    texts = {_helm_key(each, "instance_id"): each.get("predicted_text") for each in predictions}
    scores = _helm_stats(folder)
    counts = Counter(name for stats in scores.values() for name in stats)
    main = Counter(name for stats in displays if isinstance(stats, Mapping) for name in stats if name in counts)
    candidates = (*(name for name, _ in main.most_common(1)), *_HELM_SCORES, options.scorer)
    names = {name: counts[name] for name in candidates if name is not None and name in counts}
    score = rows.choose(names, place, "measure", task)
    trials = {trial for _, trial in answers}
    for at, ((instance_id, trial), (succeeded, answer, cells)) in enumerate(answers.items(), 1):
        stats = scores.get((instance_id, trial), {})
        rows.add(
            Place(folder.name, f"request {at:,}"),
            answer=texts.get((instance_id, trial)) if answer is None else answer,
            prompt_id=f"{task}:{instance_id}",
            model=model,
            score=stats.get(score) if succeeded else None,
            task=task,
            sample=trial if len(trials) > 1 else None,
            **cells,
            **{name: stats.get(measure) for name, measure in _HELM_TOKENS.items()},
        )
    if perturbed:
        rows.note(f"{folder.name}: {perturbed:,} requests of perturbed instances are left out.")


def _helm_document(folder: Path, name: str) -> Mapping[str, Any]:
    path = folder / name
    return document(path) if path.is_file() else {}


def _helm_list(folder: Path, name: str) -> Iterator[Mapping[str, Any]]:
    path = folder / name
    if path.is_file():
        yield from (each for _, value in json_values(path) for each in objects(value))


_Answer = tuple[bool, Any, dict[str, object]]  # whether it succeeded, its text, and more cells of its row


def _helm_answers(states: Iterable[Mapping[str, Any]]) -> tuple[dict[tuple[str, str], _Answer], int]:
    """The first request of each instance and trial, as those of a multiple choice share one score; and how many
    requests of perturbed instances there are beside them."""
    answers: dict[tuple[str, str], _Answer] = {}
    perturbed = 0
    for state in states:
        if inside(state, "instance.perturbation") is not None:
            perturbed += 1
            continue
        key, completions = _helm_key(state, "instance.id"), objects(inside(state, "result.completions"))
        if key not in answers:
            answers[key] = (
                inside(state, "result.success") is not False,
                completions[0].get("text") if completions else None,
                {
                    "prompt": first_of(state, "instance.input.text", "instance.input.messages", "request.prompt"),
                    "time": inside(state, "result.request_datetime"),
                },
            )
    return answers, perturbed


def _helm_key(entry: Mapping[str, Any], instance: str) -> tuple[str, str]:
    """Instance and trial."""
    return str(inside(entry, instance)), str(entry.get("train_trial_index", 0))


def _helm_stats(folder: Path) -> dict[tuple[str, str], dict[str, object]]:
    """Measures of each instance and trial, by name: of the instance statistics, else of the predictions shown."""
    name = "per_instance_stats.json" if (folder / "per_instance_stats.json").is_file() else "display_predictions.json"
    stats: dict[tuple[str, str], dict[str, object]] = defaultdict(dict)
    for at, each in enumerate(_helm_list(folder, name), 1):
        if each.get("perturbation") is not None:
            continue
        key = _helm_key(each, "instance_id")
        listed = each.get("stats")
        if isinstance(listed, Mapping):
            stats[key].update(listed)
        for stat in objects(listed):
            measure = inside(stat, "name.name")
            if isinstance(measure, str) and inside(stat, "name.perturbation") is None and stat.get("count"):
                if stat.get("mean") is None:
                    raise Place(name, f"entry {at:,}").error(f"has no mean of {measure!r}", "Run helm-summarize again.")
                stats[key][measure] = stat["mean"]
    if not stats:
        raise Place(folder.name).error("has no scores", "Keep per_instance_stats.json or display_predictions.json.")
    return stats
