"""Where a router loses: the prompts on which its choice is worst, and the estimate responsible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.evaluation import Setting
from carrot_core.evaluation.tables import LAMS, task_labels
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import label
from carrot_core.figures.theme import HUNDRED
from carrot_core.frontier import FloatArray, Frontier, rate_of_lam
from carrot_core.number_formats import lam_text
from carrot_core.outcomes import Benchmark, Estimates, FloatTable, positions
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
    hoped = np.where(tied & ~np.isnan(expected), expected, -np.inf)
    tied &= hoped == hoped.max(axis=1, keepdims=True)
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
    rows : from `carrot_core.compare.losses.losses`, of this router at this λ, perhaps with `distances`.
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
