"""What every sample file says, from ``expected.json``: the tests of readers and their fuzz compare with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from carrot_core.benchmarks.formats import FORMATS
from carrot_core.benchmarks.formats.rows import Options, Rows
from carrot_core.benchmarks.parts import all_files

FILES = Path(__file__).parents[2] / "files" / "formats"
EXPECTED: dict[str, Any] = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
Cell = dict[str, Any]


def read(name: str, *places: str, scorer: str | None = None, model_from: str | None = None) -> Rows:
    """Rows of sample files by one reader."""
    return FORMATS[name].rows(all_files([FILES / place for place in places]), Options(model_from, scorer))


def keys_of(frame: pd.DataFrame) -> list[str]:
    """The question of each row: the one whose text stands in its prompt, or whose key is its prompt's id."""
    texts = {key: prompt["text"] for key, prompt in EXPECTED["prompts"].items()}
    if "prompt" not in frame:
        return [str(prompt_id).rpartition(":")[2] for prompt_id in frame["prompt_id"]]
    plain = [_plain(prompt) for prompt in frame["prompt"]]
    return [next(key for key, text in texts.items() if text in prompt) for prompt in plain]


def _plain(prompt: str) -> str:
    return str(json.loads(prompt)[-1]["content"]) if prompt.startswith("[{") else prompt


def differences(rows: Rows, score: Callable[[Cell, int], float | None] | None, *columns: str) -> list[str]:
    """Every cell that is not what is expected.

    Parameters
    ----------
    score : the right score of a cell and its sample, from 1; None where there is none.
    columns : the others that must be right.
    """
    frame, wrong = rows.table.to_pandas(), []
    for key, row in zip(keys_of(frame), frame.to_dict("records"), strict=True):
        cell, sample = EXPECTED["cells"][key][row["model"]], int(str(row.get("sample") or 1).rpartition(".")[2])
        right = {column: cell[column] for column in columns}
        if score is not None:
            right["score"] = score(cell, sample)
        for column, value in right.items():
            same = pd.isna(row[column]) if value is None else abs(row[column] - value) < 1e-12
            wrong += [] if same else [f"{key} {row['model']} sample {sample}: {column} is {row[column]}, not {value}"]
    return wrong


def plain_score(cell: Cell, sample: int) -> float:
    """Right in any form."""
    return float(cell["score"] if sample == 1 else cell["score_second_sample"])


def strict_score(cell: Cell, _: int) -> float:
    """Right in the form that was asked for."""
    return float(cell["score_strict"])
