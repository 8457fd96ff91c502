"""Guess which column of a file is which from common names; the user confirms the guess."""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd

# The first name that a file has is used. A cost or latency is only guessed if its name
# says dollars or seconds: units are never guessed.
_SYNONYMS = {
    "prompt_id": (
        "promptid", "id", "questionid", "sampleid", "queryid", "exampleid", "itemid", "docid", "uid", "key",
        "questionno", "questionnumber", "promptno", "promptnumber", "qid", "itemno",
    ),
    "model": ("model", "modelname", "modelid", "llm", "llmname", "engine"),
    "score": (
        "score", "correct", "iscorrect", "accuracy", "acc", "performance", "exactmatch", "passed", "quality",
        "success", "isright", "right", "solved", "resolved", "pass",
    ),
    "prompt": (
        "prompt", "prompttext", "messages", "question", "input", "query", "instruction", "inputtext", "text",
    ),
    "task": ("task", "taskname", "subject", "category", "evalname", "subtask", "topic"),
    "benchmark": ("benchmark", "benchmarkname", "dataset", "datasetname", "family", "suite"),
    "input_tokens": ("inputtokens", "numinputtokens", "prompttokens", "tokensin", "ninputtokens"),
    "output_tokens": ("outputtokens", "numoutputtokens", "completiontokens", "tokensout", "noutputtokens"),
    "cost_usd": ("costusd", "usd", "usdcost", "costinusd", "totalcostusd", "cost$", "costdollars", "dollars",
                 "priceusd", "usdprice", "priceinusd", "pricedollars", "costinusdollars", "totalusd"),
    "split": ("split", "partition"),
    "cached_input_tokens": (
        "cachedinputtokens", "inputtokenscached", "cachedtokens", "cachereadinputtokens", "cachereadtokens",
    ),
    "reasoning_tokens": ("reasoningtokens", "outputreasoningtokens", "thinkingtokens"),
    "latency_s": ("latencys", "latencyseconds", "latencysec", "durations", "durationseconds", "elapsedseconds"),
    "sample": ("sample", "samplenumber", "epoch", "run", "trial", "repeat", "repetition", "attempt", "replicate"),
    "time": ("time", "timestamp", "datetime", "createdat", "starttime"),
}  # fmt: skip
_APART = re.compile(r"[\s_\-.()\[\]]+")


def guess_columns(names: Collection[str], truths: Collection[str] = ()) -> dict[str, str]:
    """The file's own name of each recognised column that can be guessed, by the recognised name.

    Parameters
    ----------
    names : of the file's columns.
    truths : columns that hold true and false; the only one is the score where no name says what is.

    Case, spaces, hyphens and underscores do not matter. A column is guessed for one name at most; a column
    that already has a recognised name keeps it.
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
    if "score" not in guessed and len(truths) == 1:
        guessed["score"] = next(iter(truths))
    return guessed


def truths_of(first: pd.DataFrame) -> list[str]:
    """Columns of which the first rows hold true and false and nothing else."""
    truths = []
    for name in first.columns:
        values = {str(value).strip().casefold() for value in first[name].dropna()} - {""}
        truths += [str(name)] if values == {"true", "false"} else []
    return truths


def hint(missing: str, names: Collection[str]) -> str:
    """A sentence that names the column probably meant; "" if there is no guess."""
    source = guess_columns(names).get(missing)
    return f" If {source!r} is meant: --column {missing}={source}" if source else ""


def _plain(name: str) -> str:
    return _APART.sub("", name).casefold()
