"""Made-up results in RouterBench's columns and types."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from carrot_core.benchmarks.routerbench import COST

MODELS = ("WizardLM/WizardLM-13B-V1.2", "claude-v1", "mistralai/mistral-7b-chat")
TASKS = ("mmlu-anatomy", "Chinese_character_riddles", "grade-school-math", "mtbench-math", "chinese_zodiac", "mbpp")


def published(n: int = 12, seed: int = 0) -> pd.DataFrame:
    """Made-up results in the columns and types of the published file."""
    rng = np.random.default_rng(seed)
    tasks = [TASKS[i % len(TASKS)] for i in range(n)]
    table = pd.DataFrame(
        {
            "sample_id": [f"{task}.val.{i}" for i, task in enumerate(tasks)],
            "prompt": [repr([f'It\'s question {i}\nof "{task}" – 猜']) for i, task in enumerate(tasks)],
            "eval_name": tasks,
        },
        dtype=object,
    )
    for model in MODELS:
        table[model] = rng.integers(0, 5, n) / 4
    for model in reversed(MODELS):
        table[f"{model}|model_response"] = [f"['{model} says {i}']" for i in range(n)]
    for model in reversed(MODELS):
        table[model + COST] = rng.uniform(1e-6, 1e-2, n)
    table["oracle_model_to_route_to"] = "no_model_correct"
    # As published: the first columns, scores among them, are one block of objects.
    return table.astype(dict.fromkeys(table.columns[:9], object))


def repository() -> dict[str, bytes]:
    """The data set as the hub has it: other results with five examples each."""
    files = {}
    for seed, name in enumerate(("routerbench_0shot.pkl", "routerbench_5shot.pkl")):
        out = io.BytesIO()
        published(seed=seed).to_pickle(out)
        files[name] = out.getvalue()
    return {"README.md": b"# RouterBench\n", **files}
