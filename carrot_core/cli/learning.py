"""``carrot learning-curve``: how many scored prompts a router needs, in all or of a new model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carrot_core.cli.common import TABLE, Result, json_option, open_store, progress, write
from carrot_core.cli.evaluate import Numbers
from carrot_core.cli.routers import bench_options, loaded, parameters

if TYPE_CHECKING:
    import pandas as pd

    from carrot_core.evaluation.learning import LearningCurve

_SHOWN = ("aiq", "routing_accuracy", "qnc")


@click.command("learning-curve")
@bench_options
@click.option("--seeds", type=Numbers(), default="0-4", show_default=True, help="Splits and parts: 0-4, or 0,2,7.")
@click.option("--sizes", type=Numbers(), help="Numbers of prompts (default: 100, 200, 400, … and all).")
@click.option("--new-model", metavar="MODEL", help="Only this model has few scored prompts; the others have all.")
@click.option("--csv", "csv_file", type=TABLE, help="Write every figure to a file: .csv, .parquet or .json.")
@json_option
def learning_curve(
    bench: str,
    router: str,
    params: tuple[str, ...],
    fit_on: str | None,
    pool: tuple[str, ...],
    seeds: tuple[int, ...],
    sizes: tuple[int, ...] | None,
    new_model: str | None,
    csv_file: Path | None,
) -> Result:
    """How a router on BENCH grows with the number of training prompts, or of scored prompts of a new model."""
    from carrot_core.evaluation import records
    from carrot_core.evaluation.learning import learning_curve as grow
    from carrot_core.evaluation.learning import new_model_curve
    from carrot_core.trials import settings_of

    store = open_store()
    judged, source = loaded(store, bench), None if fit_on is None else loaded(store, fit_on)
    settings = settings_of(store, judged, seeds, fit_on=source, pool=pool)
    chosen, given = sizes or (), parameters(params)
    with progress(f"Fitting {router}", " fits") as advance:
        if new_model is None:
            curve = grow(settings, router, chosen, params=given, progress=advance)
        else:
            curve = new_model_curve(settings, router, new_model, chosen, params=given, progress=advance)
    if csv_file is not None:
        write(curve.figures, csv_file)
    document = {
        "benchmark": bench,
        "router": router,
        "params": given,
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
    from carrot_core.metrics import METRICS

    what = "training prompts" if curve.new_model is None else f"scored prompts of {curve.new_model}"
    seeds = ", ".join(map(str, curve.comparison.seeds))
    shown = {
        f"{size:,}": [
            *(cell(curve.comparison.figure(str(size), metric)) for metric in _SHOWN),
            cell(curve.comparison.difference(str(size), str(curve.sizes[-1]), "aiq"), signed=True),
            _error(curve.quality, size, curve.new_model or "pooled"),
        ]
        for size in curve.sizes
    }
    heads = [*(METRICS[name].label for name in _SHOWN), "AIQ - with all", f"Brier, {curve.new_model or 'all models'}"]
    return f"{bench}, {curve.router}: mean over seeds {seeds}, 95 % intervals over prompts.\n" + block(
        heads, shown, what
    )


def _error(quality: pd.DataFrame, size: int, model: str) -> str:
    rows = quality[(quality["size"] == size) & (quality["model"] == model)]
    if rows.empty:
        return "-"
    return f"{rows['brier'].mean():.4f} (train mean {rows['train_mean_brier'].mean():.4f})"
