"""Which column of a file is which: guessed from names people commonly give, for them to confirm."""

from __future__ import annotations

import re
from collections.abc import Collection

# The first that a file has is taken. A cost is only guessed where its name says dollars: a unit is not guessed.
_SYNONYMS = {
    "prompt_id": (
        "promptid", "id", "questionid", "sampleid", "queryid", "exampleid", "itemid", "docid", "uid", "key",
    ),
    "model": ("model", "modelname", "modelid", "llm", "llmname", "engine"),
    "score": (
        "score", "correct", "iscorrect", "accuracy", "acc", "performance", "exactmatch", "passed", "quality",
    ),
    "prompt": ("prompt", "prompttext", "question", "input", "query", "instruction", "inputtext", "text"),
    "task": ("task", "taskname", "subject", "category", "evalname", "subtask", "topic"),
    "benchmark": ("benchmark", "benchmarkname", "dataset", "datasetname", "family", "suite"),
    "input_tokens": ("inputtokens", "numinputtokens", "prompttokens", "tokensin", "ninputtokens"),
    "output_tokens": ("outputtokens", "numoutputtokens", "completiontokens", "tokensout", "noutputtokens"),
    "cost_usd": ("costusd", "usd", "usdcost", "costinusd", "totalcostusd", "cost$", "costdollars", "dollars"),
    "split": ("split", "partition"),
}  # fmt: skip
_APART = re.compile(r"[\s_\-.()\[\]]+")


def guess_columns(names: Collection[str]) -> dict[str, str]:
    """The file's own name of each recognised column that can be told, by the recognised name.

    Case, spaces, hyphens and underscores do not count. A column is guessed for one name at most, and a
    column that has a recognised name to the letter is that one.
    """
    guessed: dict[str, str] = {}
    plain: dict[str, str] = {}
    for name in names:
        if name not in _SYNONYMS:
            plain.setdefault(_plain(name), name)
    for recognised, synonyms in _SYNONYMS.items():
        matches = [plain[synonym] for synonym in synonyms if synonym in plain]
        if recognised in names or matches:
            guessed[recognised] = recognised if recognised in names else matches[0]
    return guessed


def hint(missing: str, names: Collection[str]) -> str:
    """A sentence about the column that is probably meant; "" where none is."""
    source = guess_columns(names).get(missing)
    return f" If {source!r} is meant: --column {missing}={source}" if source else ""


def _plain(name: str) -> str:
    return _APART.sub("", name).casefold()
