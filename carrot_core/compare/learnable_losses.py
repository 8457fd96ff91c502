"""Is routing learnable here, and where is it lost?

`learnable` has the gain of a task label, and of the text beyond it, over knowing nothing of a prompt. `losses` has the
prompts on which a router's choice is worst, and the estimate responsible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import Interval
from carrot_core.compare.gap import UTILITY, bars, figures_of, interval, measured
from carrot_core.curve import small
from carrot_core.evaluation import MEAN, Setting
from carrot_core.evaluation.measure import report_set
from carrot_core.evaluation.tables import LAMS, task_labels
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import HUNDRED, each, names_of
from carrot_core.frontier import FloatArray, Frontier, rate_of_lam
from carrot_core.metrics import HEADLINE
from carrot_core.number_formats import lam_text
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, positions
from carrot_core.routers import BASELINES
from carrot_core.routers.neighbours import Vectors, nearest, unit_vectors
from carrot_core.text import visible

WORST = 25  # number of prompts for each router and λ
REASONS = {
    "score_too_high": "chosen model scored too high",
    "score_too_low": "best model scored too low",
    "cost_error": "costs misjudged",
}
NOT_IN_POOL = "best model not in its pool"


def losses(
    setting: Setting, routers: Mapping[str, Mapping[str, Estimates]], lams: Sequence[float] = LAMS, worst: int = WORST
) -> pd.DataFrame:
    """The prompts with the largest regret of every router at each λ, worst first.

    The utility of a model on a prompt is (1 - λ)·score - λ·cost/u, as observed; the regret is that of the best model of
    the pool minus that of the chosen one. Of equal regrets, those with the largest margin come first; of equally good
    models, the best is the one with the highest expected utility or, if none is estimated, the cheapest. Columns
    router, lam, prompt_id, task, regret, chosen, best; est_score_, score_, est_cost_usd_ and cost_usd_ of "chosen" and
    "best"; score_too_high (of the chosen model), score_too_low (of the best one), cost_error (of both) and margin
    (expected utility of its choice minus that of the best): regret = score_too_high + score_too_low + cost_error -
    margin. reason is the largest of the three, in words.
    """
    setting = setting.with_all_outcomes
    curves = {name: setting.frontier(table, setting.report_on) for name, table in routers.items()}
    frames = [_at(setting, curve, lam, worst).assign(router=name) for name, curve in curves.items() for lam in lams]
    table = pd.concat(frames, ignore_index=True)
    return table[["router", *table.columns.drop("router")]]


def _at(setting: Setting, curve: Frontier, lam: float, worst: int) -> pd.DataFrame:
    rows, unit = np.arange(curve.n_prompts), setting.cost_unit_usd
    score, cost = curve.outcomes.score, curve.paid_usd
    est_score, est_cost = curve.estimates.score, curve.estimates.cost_usd
    chosen = curve.choices(rate_of_lam(lam, unit)).astype(np.intp)
    utility = (1 - lam) * score - lam * cost / unit
    reachable = np.where(np.isnan(utility), -np.inf, utility)  # a cascade does not pay for models it does not call
    expected = (1 - lam) * est_score - lam * est_cost / unit
    best = _best(reachable, expected, cost)
    regret = utility[rows, best] - utility[rows, chosen]
    preferred = np.nan_to_num(expected[rows, chosen] - expected[rows, best])
    top = np.lexsort((rows, -preferred, -regret))[:worst]
    top = top[regret[top] > 0]
    sides = {"chosen": chosen[top], "best": best[top]}
    models, ids = np.array(curve.models, dtype=object), np.array(curve.outcomes.prompt_ids, dtype=object)
    tables = {"est_score": est_score, "score": score, "est_cost_usd": est_cost, "cost_usd": cost}
    columns: dict[str, FloatArray] = {
        f"{name}_{side}": table[top, model] for side, model in sides.items() for name, table in tables.items()
    }
    off = {name: (1 - lam) * (columns[f"est_score_{name}"] - columns[f"score_{name}"]) for name in sides}
    cost_errors = {name: lam / unit * (columns[f"est_cost_usd_{name}"] - columns[f"cost_usd_{name}"]) for name in sides}
    parts = {
        "score_too_high": off["chosen"],
        "score_too_low": -off["best"],
        "cost_error": cost_errors["best"] - cost_errors["chosen"],
    }
    table = pd.DataFrame(
        {
            "lam": lam,
            "prompt_id": ids[top],
            "task": task_labels(setting, curve)[top],
            "regret": regret[top],
            **{side: models[model] for side, model in sides.items()},
            **columns,
            **parts,
            "margin": sum(parts.values()) - regret[top],
        }
    )
    largest = np.array(list(REASONS.values()), dtype=object)[table[list(REASONS)].fillna(0.0).to_numpy().argmax(axis=1)]
    return table.assign(reason=np.where(table["est_score_best"].isna(), NOT_IN_POOL, largest))


def _best(utility: FloatArray, expected: FloatArray, cost_usd: FloatTable) -> npt.NDArray[np.intp]:
    """(n,) column of the largest utility; ties: the largest expected one, then the cheapest, then the first."""
    tied = utility == utility.max(axis=1, keepdims=True)
    expectation = np.where(tied & ~np.isnan(expected), expected, -np.inf)
    tied &= expectation == expectation.max(axis=1, keepdims=True)
    best: npt.NDArray[np.intp] = np.where(tied, cost_usd, np.inf).argmin(axis=1)
    return best


def distances(bench: Benchmark, prompt_ids: Sequence[str]) -> pd.DataFrame:
    """Distance of prompts to the training prompts: columns prompt_id, distance, percentile, nearest_prompt_id.

    The distance is 1 - cosine to the nearest training vector; the percentile is the share of validation prompts that
    are nearer to theirs. NaN and None if a prompt has no vector.
    """
    table = pd.DataFrame({"prompt_id": list(prompt_ids), "distance": np.nan, "percentile": np.nan})
    if bench.vectors is None:
        return table.assign(nearest_prompt_id=None)
    queries = bench.rows(positions(prompt_ids, bench.prompt_ids, "prompt"))
    train, validation = bench.part("train"), bench.part("validation")
    near, at = _nearest(queries, train)
    usual = np.sort(_nearest(validation, train)[0])
    usual = usual[~np.isnan(usual)]
    share = np.where(np.isnan(near), np.nan, np.searchsorted(usual, near) / max(len(usual), 1))
    ids = np.array([*train.prompt_ids, None], dtype=object)
    return table.assign(distance=near, percentile=100 * share, nearest_prompt_id=ids[at])


def _nearest(queries: Benchmark, train: Benchmark) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """1 - cosine to the nearest training vector, and its row; NaN and -1 if either side has no vector."""
    (directions, rows), (references, train_rows) = _with_vector(queries), _with_vector(train)
    near, at = np.full(len(queries.prompt_ids), np.nan), np.full(len(queries.prompt_ids), -1, dtype=np.intp)
    if len(rows) and len(train_rows):
        similarity, neighbours = nearest(directions, references, 1)
        near[rows], at[rows] = 1 - similarity[:, 0], train_rows[neighbours[:, 0]]
    return near, at


def _with_vector(bench: Benchmark) -> tuple[Vectors, npt.NDArray[np.intp]]:
    """Vectors of the prompts that have one, and their rows."""
    assert bench.vectors is not None
    rows = np.flatnonzero(~np.isnan(bench.vectors).any(axis=1))
    return unit_vectors(bench.vectors[rows]), rows


def losses_exhibit(rows: pd.DataFrame, router: str, lam: float) -> Exhibit:
    """The prompts with the largest regret of one router at one λ.

    Parameters
    ----------
    rows : from `carrot_core.compare.learnable_losses.losses`, of this router at this λ, perhaps with `distances`.
    """
    counts = rows["reason"].value_counts()
    reasons = ", ".join(f"{reason} on {n}" for reason, n in counts.items())
    return Exhibit(
        name=f"losses-{router.split(' ')[0]}-lam-{lam:g}".replace(".", "-"),
        title=f"Where {visible(label(router))} loses most at λ {lam_text(lam)}",
        caption="The prompts on which the choice was furthest from the best: regret is the utility of the best model "
        f"minus that of the chosen one, as observed, {HUNDRED}. It is the sum of how much the chosen model's score was "
        "estimated too high, the best one's too low and the costs wrongly, less the margin by which the router "
        "preferred its choice; the reason is the largest of the three. One answer each: some of it is luck.",
        alt=f"The {len(rows)} prompts on which {visible(label(router))} loses most at λ {lam_text(lam)}; {reasons}.",
        table=rows.reset_index(drop=True),
    )


_COLUMNS = ["router", "measure", "lam", "part", "value", "low", "high"]
_REPLICATES = 200
WORDS = {
    "task": "The task label over nothing",
    "text": "The text over the task label",
    "both": "The text over nothing",
}


def learnable(
    setting: Setting, routers: Mapping[str, Mapping[str, Estimates]], replicates: int = _REPLICATES
) -> pd.DataFrame:
    """Gain of every router over the zero router, split at the task lookup, with paired 95 % intervals.

    Columns router, measure ("aiq_corrected", or "utility" at one λ, as `carrot_core.compare.gap.decomposition` has
    them), lam (NaN for corrected AIQ), part, value, low, high. Parts: "task" (task lookup minus zero router) and "text"
    (router minus task lookup) add up to "both" (router minus zero router); "oracle" is the possible gain (oracle minus
    zero router), "share" is "both" ÷ "oracle". "task" and "text" are NaN with fewer than two tasks. Baselines, and
    routers that pay for several calls, are left out: they learn nothing from texts.
    """
    on = report_set(setting, setting.report_on, replicates)
    learned = {
        name: table
        for name, table in routers.items()
        if name not in BASELINES and not table[setting.report_on].cost_is_paid
    }
    curves = {
        name: setting.frontier(table, setting.report_on)
        for name, table in (*setting.baselines.items(), *learned.items())
        if name in (*learned, "zero", "task-lookup", "oracle")
    }
    figures = {name: figures_of(curve, setting, on) for name, curve in curves.items()}
    nothing = figures["zero"]
    oracle = figures.get("oracle", np.full_like(nothing, np.nan))  # none if no prompt has every outcome
    has_tasks = len(set(task_labels(setting, curves["zero"]))) > 1
    by_task = figures["task-lookup"] if has_tasks else np.full_like(nothing, np.nan)
    measures = [(HEADLINE, np.nan), *((UTILITY, lam) for lam in LAMS)]
    rows = []
    for name in learned:
        gain, reach = figures[name] - nothing, oracle - nothing
        share = np.divide(gain, reach, out=np.full_like(gain, np.nan), where=reach > 0)
        parts = {"task": by_task - nothing, "text": figures[name] - by_task, "both": gain, "oracle": reach}
        rows += [
            (name, *measure, part, *interval(values[:, column]))
            for part, values in {**parts, "share": share}.items()
            for column, measure in enumerate(measures)
        ]
    return small([pd.DataFrame(rows, columns=_COLUMNS)], _COLUMNS)


def slope(learning: pd.DataFrame) -> Interval | None:
    """Corrected AIQ gained by doubling the training prompts, with its paired interval, at the end of a learning curve.

    Between all training prompts and the largest size of at most half of them; None if the curve has no such size.

    Parameters
    ----------
    learning : `carrot_core.compare.studies.learning` of one router.
    """
    means = learning[(learning["metric"] == HEADLINE) & (learning["seed"] == MEAN)].dropna(subset=["lost"])
    whole = means["size"].max()
    half = means[means["size"] <= whole / 2]
    if half.empty:
        return None
    row = half.loc[half["size"].idxmax()]
    doublings = float(np.log2(whole / row["size"]))
    return Interval(*(-float(row[end]) / doublings for end in ("lost", "lost_high", "lost_low")))


def verdict(table: pd.DataFrame, router: str) -> str:
    """A plain sentence on whether routing is learnable here, about one router.

    Parameters
    ----------
    table : from `learnable`.
    """
    rows = table[(table["router"] == router) & table["lam"].isna()]
    parts = {row.part: Interval(row.value, row.low, row.high) for row in each(rows)}
    name, both, text, share = visible(label(router)), parts["both"], parts["text"], parts["share"]
    gain = f"{_points(both)} AIQ points over the zero router"
    if both.high < 0:
        return f"Routing by text does harm here: {name} gains {gain}."
    if not both.low > 0:
        return f"Routing cannot be told from not routing here: {name} gains {gain}, and 0 is inside."
    part = f"{100 * share.value:.0f} % of what the oracle gains"
    if np.isnan(text.value):
        return f"Routing is learnable here: {name} gains {gain}, {part}."
    beyond = f"{_points(text)} of them over the task label"
    if text.low > 0:
        return f"Routing is learnable here, beyond the task label: {name} gains {gain}, {part}, {beyond}."
    if text.high < 0:
        return f"A task label would do better than the text here: {name} gains {gain}, {part}, but {beyond}."
    return f"What is learned here is no more than the task: {name} gains {gain}, {part}, {beyond}, and 0 is inside."


def _points(gain: Interval) -> str:
    return f"{100 * gain.value:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"


def learnable_exhibit(table: pd.DataFrame, lam: float | None = None, learning: pd.DataFrame | None = None) -> Exhibit:
    """Gain of task label and text over knowing nothing, in corrected AIQ or, at one λ, in utility.

    Parameters
    ----------
    table : `learnable` of the routers to show.
    lam : one of its λ; None for the whole curve.
    learning : `carrot_core.compare.studies.learning` of one router, if there is one.
    """
    at, what = measured(table, lam)
    rows = table[at].reset_index(drop=True)
    sentences = " ".join(verdict(table, router) for router in names_of(table["router"]))
    doubled = None if learning is None else slope(learning)
    more = ""
    if learning is not None and doubled is not None:
        name = visible(label(str(learning["router"].iloc[0])))
        more = f" Twice the training prompts would bring {name} {_points(doubled)} AIQ points, by its last doubling."
    drawn = rows[rows["part"].isin(WORDS)]
    alt = "; ".join(
        f"{visible(label(row.router))}, {WORDS[row.part].lower()}: {100 * row.value:+.2f}"
        for row in each(drawn.dropna(subset=["value"]))
    )
    return Exhibit(
        name="learnable" + ("" if lam is None else f"-lam-{lam:g}".replace(".", "-")),
        title="Is routing learnable here?",
        caption=f"{sentences}{more} Points of {what}, {HUNDRED}, on the same prompts, with paired 95 % intervals. "
        "Nothing: the zero router; the task label: the task lookup, which no deployed router has.",
        alt=f"Points of {what} gained, times 100. {alt}.",
        table=rows,
        draw=lambda theme: bars(drawn, WORDS, what, theme),
    )
