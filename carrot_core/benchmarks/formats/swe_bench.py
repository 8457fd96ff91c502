"""Results of SWE-bench by instance, and the trajectories of mini-SWE-agent and SWE-agent that say what they cost."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carrot_core.benchmarks.formats.head import Head, head_of
from carrot_core.benchmarks.formats.rows import Options, RowList, Rows, number
from carrot_core.benchmarks.formats.values import Place, document, first_of, inside, json_values, objects
from carrot_core.text import counted, last_user_text

_COSTS = ("cost", "instance_cost", "cost_usd", "total_cost")
_BOARD = "leaderboards[].results[].{}"


def is_swe_bench(head: Head) -> bool:
    """Results of instances (leaderboard, details, reports of the harness), trajectories of agents, or predictions."""
    return bool(_is_trajectory(head) or _is_predictions(head) or _tier(head))


def _of_instances(head: Head, key: str) -> set[str]:
    """Paths of the objects that stand under the name of an instance and have a key."""
    paths = {each.removesuffix(f".{key}") for each in head.keys if each.endswith(f".{key}")}
    return {each for each in paths if "__" in each and "[" not in each}


def _is_trajectory(head: Head) -> bool:
    return head.has("info.model_stats.instance_cost") or head.has("trajectory[].action", "trajectory[].observation")


def _is_predictions(head: Head) -> bool:
    return bool(_of_instances(head, "model_patch") & _of_instances(head, "model_name_or_path"))


def _tier(head: Head) -> int:
    """Which files of one run count first: 1 what states costs, 2 reports of instances, 3 of the run; 0 no results."""
    board = head.has(_BOARD.format("name"), _BOARD.format("resolved"))
    lines = head.has("instance_id", "resolved") or head.has("[].instance_id", "[].resolved")
    resolved = _of_instances(head, "resolved")
    if board or lines or resolved - _of_instances(head, "patch_exists"):
        return 1
    return 2 if resolved else 3 * head.has("resolved_ids", "submitted_ids")


def swe_bench_rows(paths: Sequence[Path], options: Options) -> Rows:
    """One row an instance: resolved is 1. The model is the one stated, on the leaderboard the name of the entry.

    What a file of results leaves open, a trajectory of the instance says: that of the nearest folder around both.
    """
    rows = RowList(options)
    heads = {path: head_of(path) for path in paths}
    results = sorted((tier, path) for path, head in heads.items() if (tier := _tier(head)))
    if not results:
        remedy = "Give the reports of the evaluation, too: per_instance_details.json or what the harness writes."
        raise Place(paths[0].name).error("does not say which instances are resolved", remedy)
    folders = {folder for _, path in results for folder in path.resolve().parents}
    attempts = [_attempt(path, folders) for path, head in heads.items() if _is_trajectory(head)]
    by_instance: dict[str, list[_Attempt]] = {}
    for attempt in attempts:
        by_instance.setdefault(attempt.instance_id, []).append(attempt)
    predictions = _Predictions(paths)
    tiers: dict[tuple[str, str], int] = {}
    used: set[Path] = set()
    for rows.run, (tier, path) in enumerate(results, 1):
        for place, stated, instance_id, details in _instances(path, tier, rows):
            stated = stated or predictions.model_of(path, instance_id)
            near = _nearest(by_instance.get(instance_id, []), path, stated or _model_of_report(path, tier))
            stated = stated or (near and near.model) or _model_of_report(path, tier)
            model = options.model_of(path, stated)
            if tiers.setdefault((model, instance_id), tier) < tier:
                continue  # a file that counts first has it
            if near:
                used.add(near.path)
            cells = {
                "input_tokens": first_of(details, "input_tokens", "prompt_tokens"),
                "output_tokens": first_of(details, "output_tokens", "completion_tokens"),
                "cost_usd": first_of(details, *_COSTS),
            }
            attempted = near.cells if near else {}
            rows.add(
                place,
                prompt_id=instance_id,
                model=model,
                score=details.get("resolved"),
                prompt=next((each.prompt for each in by_instance.get(instance_id, []) if each.prompt), None),
                **{name: attempted.get(name) if value is None else value for name, value in cells.items()},
            )
    if left := len(attempts) - len(used):
        rows.note(f"{left:,} trajectories belong to no instance with a result, and are not read.")
    return rows.rows()


@dataclass(frozen=True)
class _Attempt:
    """What a trajectory of mini-SWE-agent or SWE-agent records of one instance.

    ``home`` is the innermost folder around it that has results, too.
    """

    path: Path
    home: Path
    instance_id: str
    model: str | None
    prompt: str | None
    cells: Mapping[str, float | None]


def _attempt(path: Path, folders: Container[Path]) -> _Attempt:
    trajectory, place = document(path), Place(path.name)
    stats = inside(trajectory, "info.model_stats")
    messages = objects(first_of(trajectory, "messages", "history"))
    usages = [usage for each in messages if (usage := inside(each, "extra.response.usage")) is not None]
    sums = {
        "input_tokens": [number(inside(each, "prompt_tokens"), place, "prompt_tokens") for each in usages],
        "output_tokens": [number(inside(each, "completion_tokens"), place, "completion_tokens") for each in usages],
    }
    stated = {
        "input_tokens": number(inside(stats, "tokens_sent"), place, "tokens_sent"),
        "output_tokens": number(inside(stats, "tokens_received"), place, "tokens_received"),
        "cost_usd": number(inside(stats, "instance_cost"), place, "instance_cost"),
    }
    for name, counts in sums.items():
        if stated[name] is None and counts and None not in counts:
            stated[name] = sum(count for count in counts if count is not None)
    instance_id, model = trajectory.get("instance_id"), inside(trajectory, "info.config.model.model_name")
    request = next((each for each in messages if each.get("role") == "user"), None)
    return _Attempt(
        path,
        next(folder for folder in path.resolve().parents if folder in folders),
        instance_id if isinstance(instance_id, str) else path.name.partition(".traj")[0],
        model if isinstance(model, str) else None,
        last_user_text([request]) or None,
        stated,
    )


def _nearest(attempts: Sequence[_Attempt], path: Path, model: str | None) -> _Attempt | None:
    """The trajectory that has a file of results nearest to it; of several in one folder that of the model, if any."""
    for folder in path.resolve().parents:
        inner = [each for each in attempts if each.home == folder]
        named = [each for each in inner if model is not None and each.model == model]
        if inner:
            return (named or inner)[0] if len(named or inner) == 1 else None
    return None


def _model_of_report(path: Path, tier: int) -> str | None:
    """The model by which the harness names a report of a run, or the folder of an instance's; None of other files."""
    names = {2: path.resolve().parent.parent.name, 3: path.name.removesuffix(".json").rpartition(".")[0]}
    return names.get(tier, "").replace("__", "/") or None


def _instances(path: Path, tier: int, rows: RowList) -> Iterator[tuple[Place, str | None, str, Mapping[str, Any]]]:
    """Place, model, instance and what is known of it."""
    for place, value in json_values(path):
        boards = objects(inside(value, "leaderboards"))
        if boards:
            yield from _board_instances(place, boards, rows)
        elif tier == 3:
            yield from _reported(place, value, rows)
        elif isinstance(value, Mapping) and "instance_id" not in value:
            for instance_id, details in value.items():
                if isinstance(details, Mapping) and "resolved" in details:
                    yield Place(path.name, instance_id), None, instance_id, details
        else:
            for each in [value] if isinstance(value, Mapping) else objects(value):
                instance_id = each.get("instance_id")
                if not isinstance(instance_id, str):
                    raise place.error("has no instance_id", "Export the results again.", instance_id)
                stated = first_of(each, "model_name_or_path", "model")
                yield place, stated if isinstance(stated, str) else None, instance_id, each


def _reported(
    place: Place, report: object, rows: RowList
) -> Iterator[tuple[Place, str | None, str, Mapping[str, Any]]]:
    """Instances of the report of a run; one whose evaluation failed, or did not end, is not observed."""
    names = ("submitted", "resolved", "unresolved", "empty_patch", "infra_failure")
    lists = {name: inside(report, f"{name}_ids") for name in names}
    ids = {
        name: {str(each) for each in listed} if isinstance(listed, list) else set() for name, listed in lists.items()
    }
    wrong = (ids["unresolved"] | ids["empty_patch"]) - ids["infra_failure"]
    unknown = ids["submitted"] - ids["resolved"] - wrong
    for instance_id in sorted(ids["resolved"] | wrong | unknown):
        resolved = None if instance_id in unknown else instance_id in ids["resolved"]
        yield Place(place.file, instance_id), None, instance_id, {"resolved": resolved}
    if unknown:
        rows.note(f"{place.file}: {counted(len(unknown), 'instance')} whose evaluation failed: not observed.")


class _Predictions:
    """Models by instance, from the ``preds.json`` beside a file of results or in a folder around it."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._top = Path(os.path.commonpath([path.resolve().parent for path in paths]))
        self._models: dict[Path, dict[str, str]] = {}

    def model_of(self, path: Path, instance_id: str) -> str | None:
        for folder in path.resolve().parents:
            if not folder.is_relative_to(self._top):
                break
            if folder not in self._models:
                self._models[folder] = _predicting(folder / "preds.json")
            if self._models[folder]:
                return self._models[folder].get(instance_id)
        return None


def _predicting(path: Path) -> dict[str, str]:
    if not path.is_file() or path.is_symlink():
        return {}
    _, value = next(json_values(path, whole=True), (None, None))
    entries = list(value.values()) if isinstance(value, Mapping) else value
    return {
        str(each.get("instance_id")): str(each["model_name_or_path"])
        for each in objects(entries)
        if each.get("model_name_or_path")
    }


def _board_instances(
    place: Place, boards: Sequence[Mapping[str, Any]], rows: RowList
) -> Iterator[tuple[Place, str | None, str, Mapping[str, Any]]]:
    entries = {
        str(board.get("name")): [each for each in objects(board.get("results")) if each.get("per_instance_details")]
        for board in boards
    }
    names = {name: len(results) for name, results in entries.items() if results}
    board = rows.choose(names, place, "leaderboard with results of single instances", place.file)
    for entry in entries[board]:
        details = entry["per_instance_details"]
        for instance_id, each in details.items() if isinstance(details, Mapping) else ():
            if isinstance(each, Mapping):
                yield (
                    Place(place.file, f"{entry.get('name')}, {instance_id}"),
                    str(entry.get("name")),
                    instance_id,
                    each,
                )
