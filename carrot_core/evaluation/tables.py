"""Results as tables: a point of a curve by task, a comparison as text and LaTeX, estimates and curves as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.bootstrap import LEAST_PROMPTS, Interval, bootstrap_counts, weighted_means, weights_on
from carrot_core.csv_latex import escape, tabular
from carrot_core.errors import CarrotError
from carrot_core.evaluation.comparison import BEST_SINGLE, MEAN, UNFAIR, Comparison
from carrot_core.evaluation.learning import TaskTransfer
from carrot_core.evaluation.missing import gaps_note
from carrot_core.evaluation.protocol import Setting, tasks_of
from carrot_core.evaluation.quality import POOLED
from carrot_core.frontier import FloatArray, Frontier, ReadableCurve, lam_of_rate
from carrot_core.metrics import HEADLINE, METRICS, share_saved
from carrot_core.number_formats import money
from carrot_core.outcomes import Estimates, Outcomes, positions


def task_labels(setting: Setting, frontier: Frontier) -> npt.NDArray[np.object_]:
    """(n,) task of every prompt of a frontier on the prompts that the setting reports on."""
    return tasks_of(setting.test, frontier)


def by_task(
    frontier: Frontier,
    tasks: Sequence[str] | npt.NDArray[np.object_],
    exchange_rate_per_usd: float,
    reference: str,
    replicates: int = 300,
) -> pd.DataFrame:
    """One row per task at one rate: score, cost, and the difference to the reference model with its interval.

    Columns: task, n_prompts, score, cost_usd, reference_score, difference, difference_low, difference_high,
    saving (1 - cost / the reference's cost), most_used and, if latency is recorded, latency_s (mean seconds of the
    calls with recorded latency). ``tasks`` are in the order of the frontier's prompts. Intervals of tasks with fewer
    than `LEAST_PROMPTS` prompts are NaN.
    """
    if len(tasks) != frontier.n_prompts:
        raise CarrotError(f"{len(tasks)} task labels for {frontier.n_prompts} prompts.")
    column = frontier.models.index(reference)
    chosen = frontier.choices(exchange_rate_per_usd)
    rows = np.arange(frontier.n_prompts)
    score, cost, paid = frontier.outcomes.score, frontier.outcomes.cost_usd, frontier.paid_usd
    call_s = None if frontier.call_s is None or frontier.latency_s is None else frontier.call_s[rows, chosen]
    records = []
    for task in sorted(set(tasks)):
        here = np.asarray(tasks, dtype=object) == task
        gain = score[rows, chosen][here] - score[here, column]
        low, high = np.nan, np.nan
        if len(gain) >= LEAST_PROMPTS:
            weights = weights_on(frontier.rows(here), bootstrap_counts(len(gain), replicates))
            low, high = np.quantile(weighted_means(gain[:, None], weights), [0.025, 0.975])
        spent, reference_cost = paid[rows, chosen][here].mean(), cost[here, column].mean()
        records.append(
            {
                "task": task,
                "n_prompts": int(here.sum()),
                "score": score[rows, chosen][here].mean(),
                "cost_usd": spent,
                "reference_score": score[here, column].mean(),
                "difference": gain.mean(),
                "difference_low": low,
                "difference_high": high,
                "saving": float(share_saved(spent, reference_cost)),
                "most_used": frontier.models[np.bincount(chosen[here]).argmax()],
                **({} if call_s is None else {"latency_s": _mean_of_known(call_s[here])}),
            }
        )
    return pd.DataFrame(records)


def _mean_of_known(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def flips(frontier: Frontier, rate_before: float, rate_after: float, observed: Outcomes | None = None) -> pd.DataFrame:
    """One row per prompt that gets another model between two rates.

    ``observed`` are the recorded outcomes, given if those of the curve have estimates in place of gaps.
    Columns: prompt_id, model_before, model_after, score_before, score_after, cost_usd_before, cost_usd_after; NaN for
    an outcome that was not observed.
    """
    before, after = frontier.choices(rate_before), frontier.choices(rate_after)
    rows = np.flatnonzero(before != after)
    models, outcomes = np.array(frontier.models, dtype=object), observed or frontier.outcomes
    paid = frontier.paid_usd if frontier.estimates.cost_is_paid else outcomes.cost_usd
    return pd.DataFrame(
        {
            "prompt_id": np.array(outcomes.prompt_ids, dtype=object)[rows],
            "model_before": models[before[rows]],
            "model_after": models[after[rows]],
            "score_before": outcomes.score[rows, before[rows]],
            "score_after": outcomes.score[rows, after[rows]],
            "cost_usd_before": paid[rows, before[rows]],
            "cost_usd_after": paid[rows, after[rows]],
        }
    )


def flip_pairs(flips_table: pd.DataFrame) -> pd.DataFrame:
    """Number of flips by model before and model after, most first.

    Columns: model_before, model_after, n_prompts, better, worse (prompts whose score rose or fell),
    score_change, cost_change_usd (sums over the prompts).
    """
    change = flips_table["score_after"] - flips_table["score_before"]
    table = flips_table.assign(
        better=change > 0,
        worse=change < 0,
        score_change=change,
        cost_change_usd=flips_table["cost_usd_after"] - flips_table["cost_usd_before"],
    )
    counts = table.groupby(["model_before", "model_after"], sort=False).agg(
        n_prompts=("prompt_id", "size"),
        better=("better", "sum"),
        worse=("worse", "sum"),
        score_change=("score_change", "sum"),
        cost_change_usd=("cost_change_usd", "sum"),
    )
    return counts.reset_index().sort_values("n_prompts", ascending=False, ignore_index=True)


_BLOCKS = (
    ("routing_accuracy", HEADLINE, "aiq", "aiq_chosen", "audc", "qnc"),
    ("peak", "arena", "pareto_dist", "matched_saving", "cost_per_solved"),
    ("gap_oracle", "gain_best_single", "gain_random", "matched_score_difference"),
    ("apgr", "cpt_50", "cpt_80"),
)
_LATEX_METRICS = ("routing_accuracy", HEADLINE, "aiq", "aiq_chosen", "audc", "qnc", "arena")
_QUALITY = {"r2": "R²", "auc": "AUC", "brier": "Brier", "ece": "ECE", "usage_mae": "usage MAE"}


def tidy(result: Comparison) -> pd.DataFrame:
    """Figures and differences in one frame; ``against`` is "" if the figure is not a difference.

    Columns router, against, seed, metric, value, low, high, low_all, high_all.
    """
    both = pd.concat([result.figures.assign(against=""), result.differences], ignore_index=True)
    return both[["router", "against", "seed", "metric", "value", "low", "high", "low_all", "high_all"]]


def text(result: Comparison) -> str:
    """The comparison for a terminal: means over seeds, each with its 95 % interval."""
    lines = [_head_of(result)]
    for metrics in _BLOCKS:
        present = [name for name in metrics if (result.figures["metric"] == name).any()]
        cells = {
            router: [_over_seeds(result, router, metric) for metric in present]
            for router in result.routers
            if any(result.figure(router, metric) for metric in present)
        }
        lines += [block([_label(name) for name in present], cells)] if present else []
    lines += [_difference_block(result), _quality_block(result), _latency_block(result)]
    lines += [f"Not run: {router}. {why}" for router, why in result.skipped.items()]
    return "\n\n".join(line for line in lines if line)


def latex(result: Comparison, metrics: Sequence[str] = _LATEX_METRICS) -> str:
    """A table for a paper (booktabs): means over seeds with their 95 % intervals."""
    rows = [
        [escape(router), *(_latex_cell(result.figure(router, name)) for name in metrics)] for router in result.routers
    ]
    heads = ["router", *(escape(METRICS[name].label) for name in metrics)]
    return tabular(heads, rows, f"l{'c' * len(metrics)}", _head_of(result))


def transfer_text(transfer: TaskTransfer, metrics: Sequence[str] = (HEADLINE, "routing_accuracy")) -> str:
    """Figures on every task of a router that has never seen it, beside the router that has; means over seeds."""
    means = transfer.by_task[transfer.by_task["seed"] == MEAN]
    heads = [f"{METRICS[name].label}{part}" for name in metrics for part in ("", " - usual")]
    cells: dict[str, list[str]] = {}
    for row in means[means["metric"].isin(metrics)].to_dict("records"):
        paired = cell(Interval(row["difference"], row["low"], row["high"]), signed=True)
        cells.setdefault(f"{row['task']} ({row['n_prompts']:,})", []).extend([_number(row["left_out"]), paired])
    return block(heads, cells, "task left out (prompts)")


def cell(figure: Interval | None, signed: bool = False, *, in_usd: bool = False) -> str:
    """One figure with its interval; "never" if a score is not reached, "-" if there is no figure."""
    if figure is None or np.isnan(figure.value):
        return "-"
    value, low, high = (_number(bound, signed, in_usd) for bound in (figure.value, figure.low, figure.high))
    return value if np.isnan(figure.low) else f"{value} [{low}, {high}]"


def _over_seeds(result: Comparison, router: str, metric: str) -> str:
    """A mean over seeds; if infinite, the number of seeds on which the score was not reached."""
    mean = result.figure(router, metric)
    if mean is None or not np.isinf(mean.value):
        return cell(mean, in_usd=METRICS[metric].in_usd)
    each = [result.figure(router, metric, seed) for seed in result.seeds]
    never = sum(figure is not None and bool(np.isinf(figure.value)) for figure in each)
    return cell(mean) if never == len(each) else f"never on {never} of {len(each)} seeds"


def _number(value: float, signed: bool = False, in_usd: bool = False) -> str:
    if np.isinf(value):
        return "never"
    if in_usd:
        return money(value, signed=signed)
    return f"{value:{'+' if signed else ''}.4f}"


def _label(name: str) -> str:
    metric = METRICS[name]
    return metric.label + ("" if metric.higher_is_better else " (lower is better)")


def _head_of(result: Comparison) -> str:
    return head(result.benchmark, result.report_on, len(result.models), result.protocol, result.replicates)


def head(benchmark: str, report_on: str, n_models: int, protocol: pd.DataFrame, replicates: int = 0) -> str:
    """What was measured by which `Comparison.protocol`, and what to compare with: the best single model, the oracle."""
    sizes, numbers = protocol["n_judged"], list(map(str, protocol["seed"]))
    count = f"{sizes.min():,}" if sizes.nunique() == 1 else f"{sizes.min():,} to {sizes.max():,}"
    singles = ", ".join(dict.fromkeys(protocol["best_single"]))
    seeds = f"mean over seeds {', '.join(numbers)}" if len(numbers) > 1 else f"seed {numbers[0]}"
    folds = int(protocol["n_folds"].max())
    how = f"cross-fitted in {folds} folds, {seeds}" if folds else seeds
    drawn = f" ({replicates:,} replicates)" if replicates else ""
    return (
        f"{benchmark}, {report_on} prompts: {count} x {n_models} models, {how}, 95 % intervals over prompts{drawn}.\n"
        f"Best single model, the most accurate on {'each round’s ' if folds else ''}validation prompts: {singles}; "
        f"score {protocol['best_single_score'].mean():.4f}, "
        f"oracle {_oracle(protocol)}.{_luck(protocol)}"
    ) + "".join(f"\n{gaps_note(most)}" for most in [protocol["n_incomplete"].max()] if most)


def _oracle(protocol: pd.DataFrame) -> str:
    score = protocol["oracle_score"].mean()
    known = "not known, as no prompt has every outcome" if np.isnan(score) else f"{score:.4f}"
    if "oracle_least" not in protocol or not protocol["n_incomplete"].any():
        return known
    least, most = protocol["oracle_least"].mean(), protocol["oracle_most"].mean()
    return f"{known} ({least:.4f} if every gap is a failure, {most:.4f} if every gap is a success)"


def _luck(protocol: pd.DataFrame) -> str:
    """Sentence on how much of the oracle's score may be luck of single runs; "" if unknown."""
    if "oracle_luck" not in protocol:
        return ""
    return (
        f"\nUp to {protocol['oracle_luck'].mean():.4f} of the oracle's score is luck of single runs: so much it loses "
        "on samples that it did not choose by."
    )


def block(heads: Sequence[str], cells: Mapping[str, Sequence[str]], corner: str = "") -> str:
    """Cells in columns under their heads, with row names in front."""
    widths = [max(map(len, column)) for column in zip(heads, *cells.values(), strict=True)]
    first = max(map(len, [corner, *cells]))
    rows = [(corner, list(heads)), *cells.items()]
    return "\n".join(
        f"{name:{first}}" + "".join(f"  {value:>{width}}" for value, width in zip(row, widths, strict=True))
        for name, row in rows
    )


def _difference_block(result: Comparison) -> str:
    """Paired differences: corrected AIQ to other routers, accuracy at λ = 0 to the best single model."""
    columns = [(other, HEADLINE) for other in dict.fromkeys(result.differences["against"]) if other != BEST_SINGLE]
    columns.append((BEST_SINGLE, "routing_accuracy"))
    heads = [f"{METRICS[metric].label} - {other}" for other, metric in columns]
    cells = {
        router: [cell(result.difference(router, other, metric), signed=True) for other, metric in columns]
        for router in result.routers
    }
    return block(heads, cells, "paired difference")


def _quality_block(result: Comparison) -> str:
    """Mean over seeds of the pooled quality of routers that estimate the whole pool, beside the train means."""
    rows = result.quality.groupby("router", sort=False)["model"].transform("nunique")
    whole = (rows == len(result.models) + 1) & ~result.quality["router"].isin(UNFAIR)
    if not whole.any():
        return ""
    pooled = result.quality[whole & (result.quality["model"] == POOLED)].groupby("router", sort=False)
    means = pooled[[*_QUALITY, *(f"train_mean_{name}" for name in _QUALITY)]].mean()
    names = [name for name in _QUALITY if means[name].notna().any()]
    cells = {str(router): [f"{row[name]:.4g}" for name in names] for router, row in means.iterrows()}
    cells["(train means)"] = [f"{means[f'train_mean_{name}'].iloc[0]:.4g}" for name in names]
    return block([_QUALITY[name] for name in names], cells, "predictions, all models")


def _latency_block(result: Comparison) -> str:
    if result.latency.empty:
        return ""
    steps = [step for step in ("embed", "estimate", "choose", "total") if (result.latency["step"] == step).any()]
    both = {
        (row.router, row.step): f"{row.p50_ms:.2f} / {row.p95_ms:.2f}" for row in result.latency.itertuples(index=False)
    }
    cells = {router: [both.get((router, step), "-") for step in steps] for router in result.routers}
    return block(steps, cells, "ms per prompt, p50 / p95")


def _latex_cell(figure: Interval | None) -> str:
    if figure is None or np.isnan(figure.value):
        return "--"
    value, low, high = (_number(bound).lstrip("0") for bound in (figure.value, figure.low, figure.high))
    return value if np.isnan(figure.low) else rf"{value} {{\scriptsize [{low}, {high}]}}"


def estimates_frame(estimates: Estimates, outcomes: Outcomes) -> pd.DataFrame:
    """Long table, one row per prompt and model: estimates beside what was observed (NaN = not observed)."""
    actual = outcomes.pool(estimates.models)
    actual = actual.rows(positions(estimates.prompt_ids, actual.prompt_ids, "prompt"))
    n, m = estimates.shape
    return pd.DataFrame(
        {
            "prompt_id": np.repeat(np.array(estimates.prompt_ids, dtype=object), m),
            "model": np.tile(np.array(estimates.models, dtype=object), n),
            "est_score": estimates.score.ravel(),
            "est_cost_usd": estimates.cost_usd.ravel(),
            "score": actual.score.ravel(),
            "cost_usd": actual.cost_usd.ravel(),
        }
    )


def frontier_frame(frontier: ReadableCurve, cost_unit_usd: float) -> pd.DataFrame:
    """One row for each breakpoint, ascending from rate 0; a row holds from its rate up to the next row's."""
    rates = frontier.exchange_rate_per_usd
    return pd.DataFrame(
        {
            "exchange_rate_per_usd": rates,
            "lam": lam_of_rate(rates, cost_unit_usd),
            "cost_usd": frontier.cost_usd,
            "score": frontier.score,
        }
    )


LAMS = tuple(step / 20 for step in range(21))  # for tables that cannot hold every λ
