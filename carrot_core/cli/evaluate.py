"""``carrot evaluate`` and ``carrot learning-curve``: one router or several, and over sizes of training data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from carrot_core import limits
from carrot_core.cli.common import TABLE, Names, OutFile, Result, json_option, open_store, progress, write
from carrot_core.cli.fit import (
    bench_options,
    cell,
    load_benchmark,
    parameters,
    router_options,
    run_of,
    summary,
)
from carrot_core.errors import CarrotError
from carrot_core.number_formats import NOTHING_SOLVED, PER_CALL, CostBasis, cost_basis, money_interval
from carrot_core.paths import unit_of

if TYPE_CHECKING:
    import pandas as pd

    from carrot_core.evaluation import Comparison, Setting
    from carrot_core.evaluation.learning import LearningCurve
    from carrot_core.store import Run
    from carrot_core.verdict import Verdict

_LABELS = {
    "routing_accuracy": "accuracy at λ = 0",
    "aiq_corrected": "corrected AIQ",
    "aiq": "AIQ",
    "qnc": "QNC (lower is better)",
    "cost_per_solved": "least $ per solved task",
    "best_single": "best single",
    "oracle": "oracle",
}


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers and ranges: ``0-4``, ``0,2,7``."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        numbers: dict[int, None] = {}
        for part in value.split(","):
            ends = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII)
            first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
            if not first <= last < first + limits.NUMBERS:
                self.fail(f"{value!r} is not a list of numbers such as 0-4 or 0,2,7: check {part!r}", param, ctx)
            numbers |= dict.fromkeys(range(first, last + 1))
        return tuple(numbers)


@click.command()
@router_options
@click.option("--routers", type=Names(), help='Compare these routers: "all", or names separated by commas.')
@click.option("--seeds", type=Numbers(), help="Fit the routers with each of these seeds (0-4), and report the mean.")
@click.option("--leave-one-task-out", "transfer", is_flag=True, help="Judge each task with a router that never saw it.")
@click.option("--again", is_flag=True, help="Fit again what is stored.")
@click.option(
    "--csv", "csv_file", type=TABLE, help="Write every figure and difference to a file: .csv, .parquet or .json."
)
@click.option("--latex", "latex_file", type=OutFile(), help="Write the table for a paper, in LaTeX, to this file.")
@json_option
def evaluate(
    bench: str,
    routers: tuple[str, ...] | None,
    seeds: tuple[int, ...] | None,
    csv_file: Path | None,
    latex_file: Path | None,
    transfer: bool,
    **options: Any,
) -> Result:
    """Evaluate routers on BENCH beside the baselines.

    Without --routers it evaluates the one router of --router. Every prompt is judged by a router that never saw it
    (cross-fitting). If the source has a split of its own, that is used, unless you give --folds. Each router is stored
    when it is done, so an interrupted comparison continues where it stopped.
    """
    for one, several, values in (("router", "--routers", routers), ("seed", "--seeds", seeds)):
        if values is not None and _is_given(one):
            raise click.UsageError(f"Give --{one} or {several}, not both.")
    if transfer:
        if routers or latex_file or options["fit_on"]:
            raise click.BadParameter(
                "goes with one --router on one benchmark, and with --csv", param_hint="--leave-one-task-out"
            )
        if options["again"]:
            raise click.BadParameter(
                "has no effect: --leave-one-task-out stores nothing and always fits", param_hint="--again"
            )
        return _transfer(
            bench, seeds or (options["seed"],), csv_file, options["router"], options["params"], options["pool"],
            options["n_folds"],
        )  # fmt: skip
    if not (routers or seeds or csv_file or latex_file):
        from carrot_core.evaluation import setting_for
        from carrot_core.verdict import sentence

        run, benchmark, source = run_of(bench, **options)
        setting = setting_for(benchmark, source, run.pool, run.n_folds)
        verdict = _verdict(run, setting)
        return {**summary(run), "verdict": verdict.document()}, f"{results_table(run, setting)}\n\n{sentence(verdict)}"
    if options["params"] and len(routers or ()) > 1:
        raise click.BadParameter("belongs to one router; name one in --routers", param_hint="--param")
    result = _comparison(bench, routers or (options["router"],), seeds or (options["seed"],), **options)
    _write(result, csv_file, latex_file)
    from carrot_core.evaluation.tables import text

    return result.document(), text(result)


def _verdict(run: Run, setting: Setting) -> Verdict:
    """The verdict on the point that pages open at: as good as the best single model, as cheap as possible."""
    from carrot_core.evaluation.runs import tables_of
    from carrot_core.results.source import StoredResults
    from carrot_core.verdict import verdict_on

    results, best = StoredResults(run.benchmark, setting, {run.router: tables_of(run, setting)}), setting.best_single
    rate = results.match(run.router, best).exchange_rate_per_usd
    return verdict_on(results, run.router, results.point_at(run.router, rate), best)


def _is_given(parameter: str) -> bool:
    """Whether the command line names an option that has a default."""
    return click.get_current_context().get_parameter_source(parameter) is not ParameterSource.DEFAULT


def _comparison(
    bench: str,
    routers: Sequence[str],
    seeds: Sequence[int],
    *,
    params: Sequence[str],
    fit_on: str | None,
    pool: Sequence[str],
    n_folds: int | None,
    again: bool,
    **_: Any,
) -> Comparison:
    from carrot_core.evaluation.runs import compare_routers

    store = open_store()
    benchmark, source = load_benchmark(store, bench), None if fit_on is None else load_benchmark(store, fit_on)
    with progress("Fitting and evaluating", " steps") as advance:
        return compare_routers(
            store,
            benchmark,
            routers,
            seeds,
            params=parameters(params),
            fit_on=source,
            pool=pool,
            n_folds=n_folds,
            again=again,
            progress=advance,
        )


def _transfer(
    bench: str,
    seeds: Sequence[int],
    csv_file: Path | None,
    router: str,
    params: Sequence[str],
    pool: Sequence[str],
    n_folds: int | None,
) -> Result:
    from carrot_core.evaluation import records, setting_for
    from carrot_core.evaluation.learning import leave_one_task_out
    from carrot_core.evaluation.tables import text, transfer_text

    store = open_store()
    settings = dict.fromkeys(seeds, setting_for(load_benchmark(store, bench), None, pool, n_folds))
    with progress(f"Fitting {router}", " fits") as advance:
        transfer = leave_one_task_out(settings, router, params=parameters(params), progress=advance)
    if csv_file is not None:
        write(transfer.by_task, csv_file)
    document = {"router": router, "overall": transfer.overall.document(), "by_task": records(transfer.by_task)}
    return document, f"{text(transfer.overall)}\n\n{transfer_text(transfer)}"


def _write(result: Comparison, csv_file: Path | None, latex_file: Path | None) -> None:
    from carrot_core.evaluation.tables import latex, tidy

    if csv_file is not None:
        write(tidy(result), csv_file)
    if latex_file is not None:
        try:
            latex_file.write_text(latex(result), encoding="utf-8")
        except OSError as error:
            raise CarrotError(f"Cannot write {latex_file}: {error.strerror or error}.") from error


@click.command("learning-curve")
@bench_options
@click.option(
    "--seeds", type=Numbers(), default="0", show_default=True, help="Seeds of the subsets and the router, such as 0-4."
)
@click.option("--sizes", type=Numbers(), help="Numbers of prompts (default: 100, 200, 400, … and all).")
@click.option("--new-model", metavar="MODEL", help="Give few scored prompts to this model and all to the others.")
@click.option("--csv", "csv_file", type=TABLE, help="Write every figure to a file: .csv, .parquet or .json.")
@json_option
def learning_curve(
    bench: str,
    router: str,
    params: tuple[str, ...],
    fit_on: str | None,
    pool: tuple[str, ...],
    n_folds: int | None,
    seeds: tuple[int, ...],
    sizes: tuple[int, ...] | None,
    new_model: str | None,
    csv_file: Path | None,
) -> Result:
    """Measure how a router on BENCH improves with more prompts.

    With --new-model, the scored prompts of that model grow instead of the training prompts.
    """
    from carrot_core.evaluation import records, setting_for
    from carrot_core.evaluation.learning import learning_curve as grow
    from carrot_core.evaluation.learning import new_model_curve

    store = open_store()
    benchmark, source = load_benchmark(store, bench), None if fit_on is None else load_benchmark(store, fit_on)
    settings = dict.fromkeys(seeds, setting_for(benchmark, source, pool, n_folds))
    train_sizes, router_params = sizes or (), parameters(params)
    with progress(f"Fitting {router}", " fits") as advance:
        if new_model is None:
            curve = grow(settings, router, train_sizes, params=router_params, progress=advance)
        else:
            curve = new_model_curve(settings, router, new_model, train_sizes, params=router_params, progress=advance)
    if csv_file is not None:
        write(curve.figures, csv_file)
    document = {
        "benchmark": bench,
        "router": router,
        "params": router_params,
        "new_model": new_model,
        "seeds": list(seeds),
        "sizes": list(curve.sizes),
        "figures": records(curve.figures),
        "lost": records(curve.lost),
        "quality": records(curve.quality),
    }
    return document, _text(bench, curve)


def _text(bench: str, curve: LearningCurve) -> str:
    from carrot_core.evaluation.tables import block, cell
    from carrot_core.metrics import HEADLINE, METRICS

    metrics = (HEADLINE, "routing_accuracy", "qnc")
    what = "training prompts" if curve.new_model is None else f"scored prompts of {curve.new_model}"
    seeds = ", ".join(map(str, curve.comparison.seeds))
    cells = {
        f"{size:,}": [
            *(cell(curve.comparison.figure(str(size), metric)) for metric in metrics),
            cell(curve.comparison.difference(str(size), str(curve.sizes[-1]), HEADLINE), signed=True),
            _error(curve.quality, size, curve.new_model or "pooled"),
        ]
        for size in curve.sizes
    }
    labels = [METRICS[name].label for name in metrics]
    heads = [*labels, f"{METRICS[HEADLINE].label} - with all", f"Brier, {curve.new_model or 'all models'}"]
    return f"{bench}, {curve.router}: mean over seeds {seeds}, 95 % intervals over prompts.\n" + block(
        heads, cells, what
    )


def _error(quality: pd.DataFrame, size: int, model: str) -> str:
    rows = quality[(quality["size"] == size) & (quality["model"] == model)]
    if rows.empty:
        return "-"
    return f"{rows['brier'].mean():.4f} (train mean {rows['train_mean_brier'].mean():.4f})"


def results_table(run: Run, setting: Setting) -> str:
    """The figures of a run and its baselines, each with its 95 % interval."""
    from pandas import DataFrame

    from carrot_core.evaluation.comparison import facts
    from carrot_core.evaluation.measure import report_set
    from carrot_core.evaluation.tables import head

    figures = run.metrics[run.metrics["report_on"]]
    by_router = {run.router: figures, **run.metrics["baselines"]}
    width = max(len(name) for name in by_router) + 2
    costs = [single["cost_usd"] for single in run.metrics["single_models"].values()]
    basis = cost_basis(costs, unit_of(setting.test.name, setting.test.data_hash)).solved
    columns = {metric: label for metric, label in _LABELS.items() if metric in figures}  # older runs lack one
    columns = {metric: label.replace(PER_CALL.solved.words, basis.words) for metric, label in columns.items()}
    rows = {name: [_cell_of(metric, values, basis) for metric in columns] for name, values in by_router.items()}
    widths = [2 + max(map(len, column)) for column in zip(columns.values(), *rows.values(), strict=True)]
    protocol = DataFrame([{"seed": run.seed, **facts(setting, report_set(setting, setting.report_on, 1))}])
    lines = [head(run.benchmark, run.metrics["report_on"], len(run.metrics["models"]), protocol)]
    for name, cells in {"": columns.values(), **rows}.items():
        lines.append(f"{name:{width}}" + "".join(f"{text:>{wide}}" for text, wide in zip(cells, widths, strict=True)))
    if copies := run.metrics.get("n_copies"):
        lines.append(f"{copies:,} prompts of {run.fit_on} are left out of training, because their texts are evaluated.")
    return "\n".join(lines)


def _cell_of(metric: str, values: Mapping[str, Any], basis: CostBasis) -> str:
    if metric != "cost_per_solved":
        return cell(values[metric], values["intervals"][metric])
    value = values.get(metric)  # absent where some round solves no task
    if value is None:
        return NOTHING_SOLVED
    low, high = (None if end is None else basis.calls * end for end in values["intervals"][metric])
    return money_interval(basis.calls * value, low, high)
