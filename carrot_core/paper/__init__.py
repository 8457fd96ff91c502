"""The paper's figures (CARROT, arXiv 2502.03261) for any benchmark with results: `PRESETS` lists them by name.

This module also has the table of CARROT-KNN: how well it predicts, and how well it chooses if cost does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from carrot_core.benchmarks.open_llm import WORKERS
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.number_formats import percent
from carrot_core.paper.curves import (
    NotDrawnError,
    among,
    analysis_of,
    binary_routers,
    embedding_dimension,
    routerbench_rule,
    zero_router,
)
from carrot_core.paper.spider import spider
from carrot_core.results import Names, Results
from carrot_core.routers.encoder.router import LABELS as SPROUT_MODELS
from carrot_core.text import visible

METRICS = (
    "binarised_accuracy",
    "score_mae",
    "r2",
    "routing_accuracy",
    "best_single",
    "oracle",
    "cost_mae_usd",
    "output_tokens_mae",
)
_EMBEDDED = "They embed prompts with OpenAI's model"
ROWS = ("here", "here, 95 % from", "here, 95 % to", "published")
__all__ = ["PRESETS", "NotDrawnError", "Preset"]


@dataclass(frozen=True)
class PublishedFigures:
    """The authors' published figures of CARROT-KNN on one benchmark.

    Attributes
    ----------
    benchmark : the authors' name for it.
    models : names of the pool, which identify the benchmark.
    n_test : number of test prompts; None if not stated.
    figures : by name of `METRICS`, as published.
    note : why ours need not equal them; a sentence.
    """

    benchmark: str
    models: frozenset[str]
    n_test: int | None
    figures: Mapping[str, float]
    note: str


PUBLISHED = (
    PublishedFigures(
        "RouterBench 0-shot",
        frozenset(
            (
                "WizardLM/WizardLM-13B-V1.2",
                "claude-instant-v1",
                "claude-v1",
                "claude-v2",
                "gpt-3.5-turbo-1106",
                "gpt-4-1106-preview",
                "meta/code-llama-instruct-34b-chat",
                "meta/llama-2-70b-chat",
                "mistralai/mistral-7b-chat",
                "mistralai/mixtral-8x7b-chat",
                "zero-one-ai/Yi-34B-Chat",
            )
        ),
        7143,
        dict(zip(METRICS, (0.6884, 0.3298, 0.2459, 0.7870, 0.7851, 0.9169, 0.0001), strict=False)),
        f"{_EMBEDDED}, leave out the Chinese tasks and split 80 to 20: other prompts, so an order of size.",
    ),
    PublishedFigures(
        "SPROUT",
        frozenset(SPROUT_MODELS),
        6637,
        dict(zip(METRICS[:6], (0.7943, 0.2743, 0.2900, 0.8648, 0.8482, 0.9791), strict=True))
        | {"output_tokens_mae": 357.4},
        f"{_EMBEDDED}.",
    ),
    PublishedFigures(
        "Open LLM Leaderboard v2",
        frozenset(WORKERS) - {"upstage/SOLAR-10.7B-Instruct-v1.0"},
        None,
        {"best_single": 0.5649, "oracle": 0.9715},
        "Their rows were in another order for every model, so the oracle and all that is routed mean nothing there: "
        "no figure to aim at.",
    ),
)


def published_for(models: Sequence[str]) -> PublishedFigures | None:
    """The published figures on the benchmark with exactly these models; None if there are none."""
    return next((entry for entry in PUBLISHED if entry.models == set(models)), None)


def knn_accuracy(results: Results) -> Exhibit:
    """How well CARROT-KNN predicts, and how well it chooses at λ = 0.

    Raises
    ------
    NotDrawnError
        CARROT-KNN is not fitted, or a snapshot lacks this table.
    """
    routers: Names = among(results.fitted, ["carrot-knn"])
    if not routers:
        raise NotDrawnError("CARROT-KNN is not fitted on this benchmark (carrot fit BENCH fits it).")
    name = routers[0]
    scene = results.scene((name,), name)
    figures = analysis_of(results, "accuracy", (name,)).set_index("metric")
    entry = published_for(scene.models)
    table = _table(visible(scene.title), figures, entry)
    return Exhibit(
        "knn-accuracy",
        f"{label(name)}: predictions and choices ({visible(scene.title)})",
        _caption(table, entry, results.basis.unit),
        _alt(label(name), figures, entry),
        table,
    )


def _table(title: str, figures: pd.DataFrame, entry: PublishedFigures | None) -> pd.DataFrame:
    n, m = int(figures["n_prompts"].iloc[0]), int(figures["n_models"].iloc[0])
    rows: list[dict[str, Any]] = [
        {"row": row, "benchmark": title, "n_test": n, "models": m, **dict(figures[column].reindex(METRICS))}
        for row, column in zip(ROWS[:3], ("value", "low", "high"), strict=True)
    ]
    if entry is not None:
        about = {"row": ROWS[3], "benchmark": entry.benchmark, "n_test": entry.n_test, "models": len(entry.models)}
        rows.append(about | dict(entry.figures))
    table = pd.DataFrame(rows).astype({"n_test": "Int64", "models": "Int64"})
    metrics = [metric for metric in METRICS if metric in table and table[metric].notna().any()]
    return table[["row", "benchmark", "n_test", "models", *metrics]]


def _caption(table: pd.DataFrame, entry: PublishedFigures | None, unit: str) -> str:
    parts = [
        "On test prompts with an outcome of every model. Binarised accuracy: how often estimate and score lie on the "
        "same side of 0.5. MAE: mean absolute error. R² is over all models together, so it also holds what the means "
        "of the models tell. Routing accuracy is the score at λ = 0; the best single model was chosen on validation."
    ]
    if "cost_mae_usd" not in table:
        parts.append(f"Only input is charged here, so a {unit}'s cost is known beforehand and has no error.")
    elif "output_tokens_mae" not in table:
        parts.append(f"No output tokens are recorded, so the usage error is in dollars per {unit}.")
    if entry is None:
        parts.append("The authors published nothing on this benchmark.")
    else:
        parts.append(f"Published: the authors' row on {entry.benchmark}. {entry.note}")
    return " ".join(parts)


def _alt(router: str, figures: pd.DataFrame, entry: PublishedFigures | None) -> str:
    value = figures["value"]
    theirs = ""
    if entry is not None and "routing_accuracy" in entry.figures:
        theirs = f" Published on {entry.benchmark}: {percent(entry.figures['routing_accuracy'])}."
    return (
        f"{router} on {int(figures['n_prompts'].iloc[0]):,} test prompts: binarised accuracy "
        f"{percent(value['binarised_accuracy'])}, R² {np.round(value['r2'], 3):g}; at λ = 0 it scores "
        f"{percent(value['routing_accuracy'])}, the best single model {percent(value['best_single'])}, the "
        f"oracle {percent(value['oracle'])}.{theirs}"
    )


@dataclass(frozen=True)
class Preset:
    """One figure of the paper.

    Attributes
    ----------
    name : name in `carrot figures --only`, addresses of pages and file names.
    title : a few words, with its number in the paper.
    function : makes the exhibit from a benchmark with results, and ``options`` by keyword; raises `NotDrawnError`.
    options : "router": name of the router it is about; "oracle": whether the oracle's curve is drawn.
    """

    name: str
    title: str
    function: Callable[..., Exhibit]
    options: tuple[str, ...] = ()

    def make(self, results: Results, **options: Any) -> Exhibit:
        """The exhibit; options it does not have are ignored."""
        return self.function(results, **{name: options[name] for name in self.options if name in options})


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("spider", "By task at part of a model's cost (plot 1)", spider, ("router",)),
        Preset("binary-routers", "Against binary routers (plots 2 and 5)", binary_routers, ("oracle",)),
        Preset("routerbench-rule", "Against RouterBench's rule (plot 3)", routerbench_rule, ("oracle",)),
        Preset("zero-router", "RouterBench's rule and the zero router (plot 4)", zero_router, ("oracle",)),
        Preset("knn-accuracy", "Accuracy of CARROT-KNN (table)", knn_accuracy),
        Preset("embedding-dimension", "Dimension of the embeddings", embedding_dimension),
    )
}
