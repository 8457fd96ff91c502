"""Reader of the score matrix that CARROT's authors published for the Open LLM Leaderboard v2.

The file (``new_leaderboard_processed_20241205.pickle``) is a dictionary of 39 tasks, each with ``models`` (M
names) and ``correctness`` (M x n scores; for IFEval a dictionary, of which ``correctness_prompt`` is read).
A row of a model stands in the order in which that model's run listed its results: a run with W workers wrote
the documents 0, W, 2W, …, then 1, W+1, …, and W differs from model to model. Column i is therefore another
question for each model; here every row is put back into the order of the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.costs import pricing_of, with_costs
from carrot_core.benchmarks.pickles import read_pickled_arrays
from carrot_core.benchmarks.routerbench import choose
from carrot_core.errors import DataError, Problem
from carrot_core.outcomes import SCORE_RANGE, beyond
from carrot_core.paths import file_sha256
from carrot_core.prices import Price

Scores = npt.NDArray[np.float64]

# Workers of each model's run. IFEval fixes them without a look at any score: the number of instructions per
# item equals that of the document for 541 of 541 items at this count, and for about half at any other.
WORKERS = {
    "01-ai/Yi-34B-Chat": 1,
    "NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO": 4,
    "Qwen/QwQ-32B-Preview": 4,
    "Qwen/Qwen2-72B-Instruct": 1,
    "Qwen/Qwen2.5-72B-Instruct": 2,
    "Qwen/Qwen2.5-7B-Instruct": 8,
    "alpindale/WizardLM-2-8x22B": 1,
    "deepseek-ai/deepseek-llm-67b-chat": 1,
    "google/gemma-2-27b-it": 8,
    "google/gemma-2-9b-it": 8,
    "google/gemma-2b-it": 8,
    "meta-llama/Llama-2-13b-chat-hf": 8,
    "meta-llama/Meta-Llama-3.1-70B-Instruct": 4,
    "mistralai/Mistral-7B-Instruct-v0.1": 8,
    "mistralai/Mistral-7B-Instruct-v0.2": 8,
    "mistralai/Mistral-7B-Instruct-v0.3": 8,
    "mistralai/Mixtral-8x7B-Instruct-v0.1": 4,
    "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF": 2,
    "upstage/SOLAR-10.7B-Instruct-v1.0": 8,
}
FAMILIES = ("bbh", "gpqa", "ifeval", "math", "mmlu_pro", "musr")
# In standard deviations of the mean correlation of unrelated rows: chance does not reach it.
_CLEAR = 4.0
_NO_PROMPTS = (
    "This file has scores only: no prompt, no tokens, no cost. Routers need texts and costs: import the restored "
    "long table, which has both, or only use this for figures of scores."
)
_OVERLAP = "GPQA's three sets overlap, and without texts copies cannot be kept on one side of the split."


@dataclass(frozen=True, eq=False)
class _Task:
    """One task: its models and their (M, n) scores, as published."""

    name: str
    models: tuple[str, ...]
    scores: Scores

    @property
    def ordered_scores(self) -> Scores:
        """(M, n) scores in the order of the documents."""
        return np.stack(
            [in_document_order(row, WORKERS[model]) for model, row in zip(self.models, self.scores, strict=True)]
        )


def in_document_order(row: Scores, workers: int) -> Scores:
    """Undo the order of a run: (n,) scores listed worker by worker, to (n,) scores by document."""
    listed = np.concatenate([np.arange(rank, len(row), workers) for rank in range(workers)])
    restored = np.empty_like(row)
    restored[listed] = row
    return restored


def mean_correlation(scores: Scores) -> float:
    """Mean Pearson correlation of all pairs of (M, n) rows; a row without variation takes no part."""
    varied = scores[scores.std(axis=1) > 0]
    if len(varied) < 2:
        return float("nan")
    return float(np.corrcoef(varied)[np.triu_indices(len(varied), 1)].mean())


def read_open_llm(
    path: Path,
    *,
    where: str | None = None,
    prices: Mapping[str, Price] | None = None,
    provenance: Provenance | None = None,
) -> Frames:
    """Read the authors' matrix, every model's rows put back into the order of the documents.

    Models answer the same questions, so their scores correlate once rows are in one order: the mean
    correlation between models must rise by more than chance, and the provenance says from what to what.
    There is no way to read the matrix in the order it was published in.

    Parameters
    ----------
    path : the pickle; it is opened by `safe_pickle`.
    where : SQL predicate over the columns of the long format, see `choosing.choose`.
    prices : of no use here, as there are no tokens; a warning says so.
    provenance : where the file is from; by default its name and sha256.

    Returns
    -------
    Frames without split, texts and costs; ids are ``<task>:<document>``, as in the restored table.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        The pickle was refused, has another structure or a model whose order is unknown, or its rows do not
        agree better once restored.
    """
    tasks = _tasks(path)
    evidence = _evidence(tasks, path.name)
    outcomes = _outcomes(tasks)
    pricing = pricing_of(sorted(set(outcomes["model"])), prices or {})
    outcomes, models, warnings = with_costs(outcomes, pricing)
    origin = provenance or _provenance(path)
    frames = Frames(
        _prompts(tasks),
        models,
        outcomes,
        replace(origin, rows=len(outcomes), note="; ".join(part for part in (origin.note, evidence) if part)),
        (f"Rows were put back into document order, model by model: {evidence}.", _NO_PROMPTS, _OVERLAP, *warnings),
    )
    return choose(frames, where) if where else frames


def _tasks(path: Path) -> list[_Task]:
    arrays = read_pickled_arrays(path)
    tasks = [_task(name, arrays, path.name) for name in dict.fromkeys(keys[0] for keys in arrays if keys)]
    if not tasks:
        raise DataError(path.name, "there are no tasks in it")
    unknown = sorted({model for task in tasks for model in task.models} - set(WORKERS))
    if unknown:
        message = f"the order of the rows of {unknown[0]!r} is not known ({len(unknown)} such models)"
        raise DataError(
            path.name, [Problem(message, "Leave the model out, or bring scores by prompt as a long table.")]
        )
    return tasks


def _task(name: str, arrays: Mapping[tuple[str, ...], npt.NDArray[np.generic]], source: str) -> _Task:
    scores = arrays.get((name, "correctness"), arrays.get((name, "correctness", "correctness_prompt")))
    names = arrays.get((name, "models"))
    if scores is None or names is None or scores.dtype != np.float64 or scores.ndim != 2 or len(scores) != len(names):
        raise DataError(source, f"task {name!r} has no models with a row of correctness each")
    models = tuple(
        str(model).removeprefix("open-llm-leaderboard/").removesuffix("-details").replace("__", "/") for model in names
    )
    table = scores.astype(np.float64)
    if len(set(models)) != len(models) or np.isnan(table).any() or beyond(table, SCORE_RANGE).any():
        raise DataError(source, f"task {name!r} has a model twice, or a score that is not from 0 to 1")
    return _Task(name.removeprefix("leaderboard_"), models, table)


def _evidence(tasks: list[_Task], source: str) -> str:
    """The correlation between models before and after, or an error where it does not rise."""
    before = _mean_of_tasks([(mean_correlation(task.scores), task.scores.shape[1]) for task in tasks])
    after = _mean_of_tasks([(mean_correlation(task.ordered_scores), task.scores.shape[1]) for task in tasks])
    prompts = sum(task.scores.shape[1] for task in tasks)
    pairs = min(len(task.models) * (len(task.models) - 1) / 2 for task in tasks)
    if not after - before > _CLEAR / np.sqrt(max(prompts * pairs, 1)):
        message = f"document order takes the mean correlation between models from {before:.3f} to {after:.3f}"
        remedy = "It must rise clearly. Is this the published file, as published? A restored table is read as it is."
        raise DataError(source, [Problem(message, remedy)])
    return f"mean correlation between models {before:.3f} as published, {after:.3f} restored"


def _mean_of_tasks(values: list[tuple[float, int]]) -> float:
    numbers = [(value, weight) for value, weight in values if not np.isnan(value)]
    return sum(value * weight for value, weight in numbers) / max(sum(weight for _, weight in numbers), 1)


def _prompts(tasks: list[_Task]) -> pd.DataFrame:
    rows = [
        (prompt_id, None, task.name, next((name for name in FAMILIES if task.name.startswith(name)), ""), None)
        for task in tasks
        for prompt_id in _ids(task)
    ]
    prompts = pd.DataFrame(rows, columns=["prompt_id", "text", "task", "family", "split"], dtype=object)
    return prompts.sort_values("prompt_id", ignore_index=True)


def _ids(task: _Task) -> list[str]:
    return [f"{task.name}:{document}" for document in range(task.scores.shape[1])]


def _outcomes(tasks: list[_Task]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "prompt_id": np.tile(np.array(_ids(task), dtype=object), len(task.models)),
                "model": np.repeat(np.array(task.models, dtype=object), task.scores.shape[1]),
                "score": task.ordered_scores.ravel(),
            }
        )
        for task in tasks
    ]
    outcomes = pd.concat(parts, ignore_index=True).astype({"prompt_id": object, "model": object})
    return outcomes.assign(input_tokens=np.nan, output_tokens=np.nan, cost_usd=np.nan)


def _provenance(path: Path) -> Provenance:
    return Provenance(path.name, file_sha256(path))
