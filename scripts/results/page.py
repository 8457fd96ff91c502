"""``docs/results.md``: the tables of every benchmark, the published figures, and conclusions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isnan
from typing import Any

from carrot_core.errors import DataError
from carrot_core.figures.scene import label
from carrot_core.metrics import HEADLINE
from carrot_core.results.recipes import BuiltInRecipe, Recipe
from carrot_core.results.snapshot import SnapshotResults
from carrot_core.verdict import sentence, verdict_on

_HEAD = """\
# Results

`carrot results FOLDER` writes this page; do not edit it by hand. OpenHands Index and MisguidedAttention ship whole, in
`data/benchmarks/`. The other benchmarks may not be passed on and are not in this repository. The results computed from
them are in `data/snapshots/` (curves, shares, slices, figures) and `data/heads/` (fitted weights).

Every figure rests on **all prompts** of its benchmark, by cross-fitting in {folds} folds: each prompt is judged once,
by a router that never saw it, at points chosen without it ([method](method.md#cross-fitting)). The heads that ship are
fitted on all prompts.

How to read the tables (the [glossary](glossary.md) has the definitions):

- Accuracies and AIQ are in per cent. Brackets are 95 % bootstrap intervals over prompts. Differences are paired: the
  same prompts are drawn for both.
- AIQ and QNC use the curve of all prompts as a whole, so at each budget the points that did best on these prompts. AIQ
  is too high for that reason. **Corrected AIQ** leaves that luck out ([method](method.md#hindsight)), and routers are
  compared in it. **Chosen AIQ** uses points that each round fixed beforehand.
- A verdict (above, below) rests on intervals widened for the number of pairs of routers. The intervals in brackets are
  not widened, except those of routers that read the task label.
- AIQ counts 0 at budgets below a router's cheapest point, so a pair of models or a single model has little.
- A dash means that in some round the router never reaches the best single model on validation, so there is no such
  point to choose.
"""

_PUBLISHED = """\
## Beside published figures

None of these figures can be repeated here: SPROUT and the whole of RouterBench are not among the files used, and the
authors used OpenAI embeddings where these tables use MiniLM. They show the order of magnitude to expect.

| source | benchmark | what | figure |
|---|---|---|---|
| CARROT (arXiv 2502.03261) | RouterBench 0-shot, 7,143 test prompts | CARROT-KNN accuracy at λ = 0 | 78.70 % |
| | | best single model | 78.51 % |
| | | oracle | 91.69 % |
| | SPROUT, 6,637 test prompts, 13 models | CARROT-KNN accuracy at λ = 0 | 86.48 % |
| | | best single model | 84.82 % |
| | | oracle | 97.91 % |
| | SPROUT, MiniLM embeddings | λ chosen on validation, as good as GPT-4o | 21 % of its cost (read off a figure) |
| RouterArena (August 2026) | its own | CARROT's arena score, rank 24 of 31 | 63.87 |
| | | one well-chosen model | 75.75 |
| LLMRouterBench | its own | oracle by data set, against the best single model | +4.9 % |

- On the whole of RouterBench the published CARROT-KNN is .19 points above its best single model. On the subset here,
  1,642 prompts, a difference of that size cannot be measured.
- The published numbers on the Open LLM Leaderboard v2 come from rows in a different order for every model
  ([data.md](data.md)). The numbers here do not, so the two cannot be compared.
- Others also report that one well-chosen model is hard to beat, and that a task label alone has much of a router's
  gain. Every table here has both.
"""

_LIMITS = """\
## What these results do and do not show

- Differences of a few tenths of a point are within what another draw of prompts would change. An interval that
  includes 0 shows no difference; it does not show that there is none.
- The intervals are over prompts. They do not cover another pool of models, other prices or another mix of tasks.
- Any two rounds share some of the prompts that they learn from. Intervals draw prompts and leave the routers as they
  are: they show what other prompts would change, not what learning from other prompts would.
- AIQ on validation prompts decides which of several routers is shown first. These are all prompts, too.
- The task lookup reads the task label of every test prompt. A deployed router usually has no such label, so a router
  that equals the lookup has inferred the task from the text.
- Cost only knows only each model's mean score, and predicts costs as CARROT-Linear does. A router that equals it gains
  by knowing what prompts cost, not by knowing which model answers them well.
- Costs are those of the benchmark: recorded dollars, tokens at dated list prices, or the input alone if no output was
  recorded. They are not what a call costs today.
- The oracle knows every outcome, including the luck in a single answer. No router can be expected near it.
"""


def report(
    documents: Mapping[str, Mapping[str, Any]],
    recipes: Sequence[Recipe | BuiltInRecipe],
    snapshots: Mapping[str, SnapshotResults],
) -> str:
    """The page as Markdown.

    Parameters
    ----------
    documents : ``comparison.json`` of every benchmark by name, as `scripts.results.build.make` writes it.
    recipes : of the benchmarks; those without a document are left out.
    snapshots : results of the same benchmarks; without one, there is no verdict on the router that pages open with.

    Raises
    ------
    DataError
        A document is of an earlier version with another protocol, which cannot be compared.
    """
    entries = [recipe for recipe in recipes if recipe.name in documents]
    earlier = [entry.name for entry in entries if "n_folds" not in documents[entry.name]["protocol"][0]]
    if earlier:
        raise DataError(
            ", ".join(earlier),
            "has results of an earlier version, judged on five splits; make them anew with `carrot results FOLDER`",
        )
    folds = {row["n_folds"] for recipe in entries for row in documents[recipe.name]["protocol"]}
    parts = [
        _HEAD.format(folds=max(folds, default=0)),
        "## At a glance\n",
        _glance(documents, entries),
        _changes(documents, entries),
    ]
    parts += [_section(documents[recipe.name], recipe, snapshots.get(recipe.name)) for recipe in entries]
    return "\n".join([*parts, _PUBLISHED, _LIMITS])


# Figures of CARROT-Blend before cross-fitting: AIQ minus that of two others, and accuracy at λ = 0 minus that of the
# best single model; percentage points with the interval.
_BEFORE = {
    "mmlu-pro-cot": ((0.35, 0.08, 0.71), (0.40, -0.02, 0.76), (1.58, 0.91, 2.22)),
    "routerbench-subset": ((3.99, 2.40, 6.13), (1.92, 0.69, 3.45), (-0.51, -1.12, 0.04)),
    "open-llm-leaderboard-v2": ((1.10, 0.80, 1.43), (1.59, 1.12, 2.06), (0.09, -0.76, 0.92)),
    "routellm": ((0.44, 0.24, 0.67), (0.20, -0.01, 0.40), (0.55, 0.35, 0.76)),
    "llmrouter-9-models": ((0.39, -0.09, 0.98), (1.59, 0.80, 2.47), (4.17, 2.68, 5.41)),
    "frugalgpt-overruling": ((2.93, 2.49, 3.95), (1.44, 0.78, 2.26), (0.43, -0.33, 1.26)),
}

_WHY = """\
Before, each of five seeds drew its own split and judged 15 % of the prompts. These things differ now:

- **All prompts are judged**, so the intervals use 6.7 times as many prompts. A router learns from 60 % of them instead
  of 70 %, which makes it slightly worse.
- **The luck of the corners is left out.** At each budget, AIQ takes the points that did best on the prompts it is
  judged on; that luck is largest with few prompts. The tables have AIQ and corrected AIQ side by side.
- **Intervals of verdicts are widened** for the number of pairs, so fewer differences count as measurable.
- **The routers changed**: their expected cost of a call is calibrated on prompts they did not learn from.
- **There are two more baselines.** The gain over *cost only* is what a router knows about quality; the gain over *task
  lookup with input cost* is what the text shows beyond the label.
"""


def _changes(documents: Mapping[str, Mapping[str, Any]], recipes: Sequence[Recipe | BuiltInRecipe]) -> str:
    """CARROT-Blend before and after the protocol changed."""
    sides = (("task-lookup", HEADLINE), ("carrot-knn", HEADLINE), ("best-single-model", "routing_accuracy"))
    lines = [
        "## What changed\n",
        "CARROT-Blend, before and now: AIQ minus that of the task lookup and of CARROT-KNN (now corrected AIQ), and "
        "accuracy at λ = 0 minus that of the best single model. The intervals of now are the wider ones of verdicts.\n",
        "| benchmark | − task lookup, before | now | − CARROT-KNN, before | now | − best single, before | now |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in recipes:
        cells = [recipe.name]
        for before, (against, metric) in zip(_BEFORE.get(recipe.name, ()), sides, strict=False):
            earlier = before[0] / 100, before[1] / 100, before[2] / 100
            now = _difference(documents[recipe.name], "carrot-blend", against, metric, _ALL)
            cells += [f"{_SHORT[_standing(each)]}: {_points(each)}" for each in (earlier, now)]
        if len(cells) > 1:
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _WHY]) if len(lines) > 4 else ""


_SHORT = {"above": "above", "below": "below", "not measurably different from": "same"}


def best_carrot(document: Mapping[str, Any], among: Collection[str] = ()) -> str:
    """The CARROT router with the highest AIQ on validation: by the estimates on which λ is chosen.

    ``among`` are the routers to choose from; empty = all of CARROT's.
    """
    routers = [name for name in document["routers"] if name.startswith("carrot-") and (not among or name in among)]
    return str(max(routers, key=lambda name: document["validation_aiq"][name]))


def _glance(documents: Mapping[str, Mapping[str, Any]], recipes: Sequence[Recipe | BuiltInRecipe]) -> str:
    lines = [
        "The CARROT router with the best AIQ on validation, per benchmark:\n",
        "| benchmark | prompts x models | router | corrected AIQ | … − task lookup | … − task lookup with input cost | "
        "… − cost only | … − CARROT-KNN | AIQ | QNC | accuracy at λ = 0 − best single |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for recipe in recipes:
        document = documents[recipe.name]
        router = best_carrot(document)
        cells = [
            f"[{recipe.name}](#{recipe.name})",
            f"{document['n_prompts']:,} x {len(document['models'])}",
            label(router),
            _percent(_figure(document, router, HEADLINE)),
            *_against_rivals(document, router),
            _percent(_figure(document, router, "aiq")),
            _qnc(document, router),
            _points(_difference(document, router, "best-single-model", "routing_accuracy")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _section(document: Mapping[str, Any], recipe: Recipe | BuiltInRecipe, snapshot: SnapshotResults | None) -> str:
    name = recipe.name
    lines = [
        f"## {name}\n",
        f"{recipe.about} {document['n_prompts']:,} prompts x {len(document['models'])} models; best single model, as "
        f"each round chose it: {', '.join(dict.fromkeys(row['best_single'] for row in document['protocol']))}.\n",
        "| router | corrected AIQ | … − task lookup | … − task lookup with input cost | … − cost only | "
        "… − CARROT-KNN | AIQ | chosen AIQ | QNC | accuracy at λ = 0 | … − best single | "
        "saving, %, at the point chosen to match the best single | its accuracy − best single |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for router in sorted(document["routers"], key=lambda router: -document["validation_aiq"][router]):
        cells = [
            f"**{label(router)}**" if router == best_carrot(document) else label(router),
            _percent(_figure(document, router, HEADLINE)),
            *_against_rivals(document, router),
            _percent(_figure(document, router, "aiq")),
            _percent(_figure(document, router, "aiq_chosen")),
            _qnc(document, router),
            _percent(_figure(document, router, "routing_accuracy")),
            _points(_difference(document, router, "best-single-model", "routing_accuracy")),
            _percent(_figure(document, router, "matched_saving"), digits=0),
            _points(_figure(document, router, "matched_score_difference")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("\nIn the order of AIQ on validation; bold: the best CARROT router there.\n")
    lines += [] if snapshot is None else [_headline(snapshot)]
    lines += [_against_baselines(document), *_with_task(document)]
    if document["skipped"]:
        lines.append(
            "\nNot run: " + "; ".join(f"{label(who)} ({why})" for who, why in document["skipped"].items()) + "."
        )
    return "\n".join([*lines, ""])


# Older comparisons lack the two in the middle.
_RIVALS = {
    "task-lookup": "the task lookup",
    "task-lookup-input": "the task lookup with input cost",
    "cost-only": "predicted cost alone",
    "carrot-knn": "plain CARROT-KNN",
}


def _against_rivals(document: Mapping[str, Any], router: str) -> list[str]:
    """Differences of the headline metric to each rival."""
    return ["–" if router == rival else _points(_difference(document, router, rival, HEADLINE)) for rival in _RIVALS]


def _headline(snapshot: SnapshotResults) -> str:
    """The verdict of every page on the router that ships, at the point chosen to match the best single model."""
    router, best = (*snapshot.runnable, *snapshot.fitted)[0], snapshot.best_single()
    point = snapshot.matching_point(router)
    if point is None:
        return f"No point of {label(router)} can promise to be as good as {best}.\n"
    return f"{sentence(verdict_on(snapshot, router, point, best))}\n"


def _against_baselines(document: Mapping[str, Any]) -> str:
    """Sentence that compares the best CARROT router with the baselines, as far as the intervals allow."""
    router = best_carrot(document)
    clauses = []
    for against, what in _RIVALS.items():
        if router != against and against in document["routers"]:
            difference = _difference(document, router, against, HEADLINE, _ALL)
            clauses.append(f"{_standing(difference)} {what} in corrected AIQ")
    return f"Against what needs no router of its own, {label(router)} is {', '.join(clauses)}."


WITH_TASK = "+task"  # suffix of a router that is given the task label of every prompt


def _with_task(document: Mapping[str, Any]) -> list[str]:
    """The gain of a router that is given the task label of every prompt, as the task lookups are."""
    clauses: dict[str, list[str]] = {}
    for row in document["with_task"]:
        router = row["router"].removesuffix(WITH_TASK)
        what = "itself without it" if row["against"] == router else _RIVALS.get(row["against"])
        if what is not None:
            difference = (row["value"], *(row[end] for end in _ALL))
            clauses.setdefault(router, []).append(f"{_standing(difference)} {what} ({_points(difference)})")
    return [
        f"\nGiven the task label of every prompt (`use_task`), {label(router)} is, in corrected AIQ, {', '.join(each)}."
        for router, each in clauses.items()
    ]


def _standing(difference: tuple[float, float, float]) -> str:
    _, low, high = difference
    if isnan(low) or isnan(high) or low <= 0 <= high:
        return "not measurably different from"
    return "above" if low > 0 else "below"


def _figure(document: Mapping[str, Any], router: str, metric: str) -> tuple[float, float, float]:
    return _mean_row(row for row in document["figures"] if row["router"] == router and row["metric"] == metric)


def _difference(
    document: Mapping[str, Any], router: str, against: str, metric: str, ends: tuple[str, str] = ("low", "high")
) -> tuple[float, float, float]:
    sides = router, against, metric
    rows = (row for row in document["differences"] if (row["router"], row["against"], row["metric"]) == sides)
    return _mean_row(rows, ends)


def _mean_row(rows: Any, ends: tuple[str, str] = ("low", "high")) -> tuple[float, float, float]:
    """Value, low and high of the mean over seeds; NaN if there is none."""
    for row in rows:
        if row["seed"] == "mean":
            value, low, high = (float("nan") if row[name] is None else float(row[name]) for name in ("value", *ends))
            return value, low, high
    return float("nan"), float("nan"), float("nan")


_ALL = ("low_all", "high_all")  # interval ends widened for the number of pairs


def _percent(interval: tuple[float, float, float], digits: int = 2) -> str:
    value, low, high = (f"{100 * number:.{digits}f}" for number in interval)
    return _cell(interval, value, low, high)


def _points(interval: tuple[float, float, float]) -> str:
    value, low, high = (f"{100 * number:+.2f}" for number in interval)
    return _cell(interval, value, low, high)


def _qnc(document: Mapping[str, Any], router: str) -> str:
    """Mean over seeds with its interval; if some seed never reaches the best single model, the number that do."""
    rows = [row for row in document["figures"] if row["router"] == router and row["metric"] == "qnc"]
    values = [row["value"] for row in rows if row["seed"] != "mean" and row["value"] is not None]
    if len(values) < len(document["seeds"]):
        return f"reached on {len(values)} of {len(document['seeds'])} seeds" if values else "never"
    value, low, high = _mean_row(rows)
    ends = [("never" if isnan(end) else f"{end:.2f}") for end in (low, high)]
    return f"{value:.2f} [{', '.join(ends)}]"


def _cell(interval: tuple[float, float, float], value: str, low: str, high: str) -> str:
    if isnan(interval[0]):
        return "–"
    return value if isnan(interval[1]) or isnan(interval[2]) else f"{value} [{low}, {high}]"
