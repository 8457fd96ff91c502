"""``carrot fit`` and ``carrot router``: routers fitted on a stored benchmark, described, saved and published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core.benchmarks.split import FOLDS, LEAST_FOLDS
from carrot_core.cli.common import TABLE, Command, Group, Result, json_option, open_store, progress, write
from carrot_core.errors import DataError
from carrot_core.number_formats import fixed, with_interval
from carrot_core.outcomes import SPLITS

if TYPE_CHECKING:
    from carrot_core.outcomes import Benchmark
    from carrot_core.store import Run, Store


OUT = click.option("--out", required=True, type=TABLE, help="File to write: .parquet, .csv or .json.")


def bench_options(command: Command) -> Command:
    """Options for BENCH, one router and its training data."""
    for option in (
        click.option(
            "--folds",
            "n_folds",
            type=click.IntRange(min=LEAST_FOLDS),
            help=f"Number of folds of cross-fitting (default: {FOLDS}, or the source's own split if it has one).",
        ),
        click.option("--fit-on", metavar="OTHER", help="Learn from all of OTHER; evaluate on all prompts of BENCH."),
        click.option("--pool", multiple=True, metavar="MODEL", help="Only this model; repeat for more (default: all)."),
        click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Parameter of the router."),
        click.option("--router", default="carrot-knn", show_default=True, help="Router by name."),
        click.argument("bench"),
    ):
        command = option(command)
    return command


def router_options(command: Command) -> Command:
    """Options shared by the commands about one router and one seed."""
    return bench_options(click.option("--seed", default=0, show_default=True, help="Seed of the router.")(command))


def parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs; values are read as JSON where they are JSON, else as text."""
    chosen: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--param")
        try:
            chosen[key] = json.loads(value)
        except json.JSONDecodeError:
            chosen[key] = value
    return chosen


def load_benchmark(store: Store, name: str) -> Benchmark:
    """A benchmark with its vectors, embedding what is missing under a progress bar."""
    from carrot_core.embedding import load_embedded

    with progress(f"Embedding {name}", " texts") as advance:
        return load_embedded(store, name, progress=advance)


def run_of(
    bench: str,
    router: str,
    seed: int,
    params: Sequence[str],
    fit_on: str | None,
    pool: Sequence[str],
    n_folds: int | None,
    again: bool = False,
) -> tuple[Run, Benchmark, Benchmark | None]:
    """The run, its benchmark, and the benchmark it was fitted on if that is another one."""
    from carrot_core.evaluation.runs import run_router

    store = open_store()
    benchmark, source = load_benchmark(store, bench), None if fit_on is None else load_benchmark(store, fit_on)
    with progress(f"Fitting and evaluating {router}", " steps") as advance:
        run = run_router(
            store,
            benchmark,
            router,
            seed=seed,
            params=parameters(params),
            fit_on=source,
            pool=pool,
            n_folds=n_folds,
            again=again,
            progress=advance,
        )
    return run, benchmark, source


def summary(run: Run) -> dict[str, Any]:
    """A run as one JSON document: the reported figures first, then the settings."""
    report = run.metrics["report_on"]
    return {
        "benchmark": run.benchmark,
        "router": run.router,
        "evaluated_on": report,
        "fit_on": run.fit_on or run.benchmark,
        **run.metrics[report],
        "best_single_model": run.best_single,
        "cost_unit_usd": run.cost_unit_usd,
        "baselines": run.metrics["baselines"],
        "validation": run.metrics["validation"],
        "single_models": run.metrics["single_models"],
        "models": list(run.metrics["models"]),
        "n_without_text": run.metrics["n_without_text"],
        "n_copies": run.metrics.get("n_copies", 0),
        "params": dict(run.params),
        "seed": run.seed,
        "folds": run.n_folds,
        "data_hash": run.data_hash,
        "versions": dict(run.versions),
        "created_at": run.created_at,
    }


@click.command()
@router_options
@json_option
def fit(bench: str, router: str, **options: Any) -> Result:
    """Fit a router on BENCH and store it with its estimates."""
    run, _, _ = run_of(bench, router, **options, again=True)
    return summary(run), f"Fitted {router} on {run.fit_on or bench!r}. `carrot evaluate` with these options judges it."


def cell(value: float | None, interval: Sequence[float | None], *, signed: bool = False) -> str:
    """One figure with its interval, or a word that says why there is none."""
    if value is None:
        return "never reached"
    return with_interval(lambda number: fixed(number, 4, signed=signed), value, *interval)


def split_option(command: Command) -> Command:
    choice = click.Choice([*SPLITS, "all"])
    return click.option("--split", type=choice, help="Prompts to use (default: those of the report).")(command)


@click.command()
@router_options
@split_option
@OUT
@json_option
def estimates(bench: str, router: str, split: str | None, out: Path, **options: Any) -> Result:
    """Write a router's estimates beside the outcomes.

    A row for each prompt and model: prompt_id, model, est_score, est_cost_usd, score, cost_usd (empty: not observed).
    """
    from carrot_core.evaluation import estimates_frame
    from carrot_core.evaluation.runs import estimates_on

    run, benchmark, source = run_of(bench, router, **options)
    split = split or run.metrics["report_on"]
    table = estimates_on(run, benchmark, split, source)
    frame = estimates_frame(table, benchmark.outcomes)
    write(frame, out)
    document = {"out": str(out), "rows": len(frame), "n_prompts": table.shape[0], "split": split, "router": router}
    learned = split in ("train", "all") and source is None and not run.n_folds
    note = " The router learned from the train prompts." if learned else ""
    return document, f"Wrote {len(frame):,} rows ({table.shape[0]:,} prompts, {split}) to {out}.{note}"


@click.command()
@router_options
@split_option
@OUT
@json_option
def frontier(bench: str, router: str, split: str | None, out: Path, **options: Any) -> Result:
    """Write the exact frontier of a router.

    A row for each breakpoint, from rate 0: exchange_rate_per_usd, lam, cost_usd, score. It holds up to the next rate.
    """
    from carrot_core.evaluation import frontier_frame, setting_for
    from carrot_core.evaluation.missing import costless_note, gaps_note
    from carrot_core.evaluation.runs import estimates_on

    run, benchmark, source = run_of(bench, router, **options)
    split = split or run.metrics["report_on"]
    setting = setting_for(benchmark, source, run.pool, run.n_folds)
    part = setting.everything.part(split)
    curve = setting.curve(estimates_on(run, benchmark, split, source), part)
    n_incomplete = int((~part.outcomes.complete).sum())
    frame = frontier_frame(curve, run.cost_unit_usd)
    write(frame, out)
    document = {
        "out": str(out),
        "rows": len(frame),
        "split": split,
        "router": router,
        "n_prompts": curve.n_prompts,
        "n_incomplete": n_incomplete,
        "cost_unit_usd": run.cost_unit_usd,
    }
    note = f" {gaps_note(n_incomplete)}" if n_incomplete else ""
    note += f" {costless_note(setting.costless)}" if setting.costless else ""
    return document, f"Wrote {len(frame):,} breakpoints over {curve.n_prompts:,} {split} prompts to {out}.{note}"


FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.group(cls=Group)
def router() -> None:
    """Save a fitted router, and share it on the hub.

    HF_ENDPOINT names another Hugging Face hub, HF_TOKEN is the token (or log in with `hf auth login`).
    """


@router.command()
@click.argument("bench")
@FOLDER
@click.option("--router", "name", default="carrot-knn", show_default=True, help="Router by name.")
@click.option("--seed", default=0, show_default=True, help="Seed of the router.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Parameter of the router.")
@click.option("--pool", multiple=True, metavar="MODEL", help="Only this model; repeat for more (default: all).")
@json_option
def save(bench: str, folder: Path, name: str, seed: int, params: tuple[str, ...], pool: tuple[str, ...]) -> Result:
    """Write a router fitted on BENCH to FOLDER.

    This is the stored router, or a new fit if there is none. It learns from all prompts, or from the train prompts if
    the source has a split of its own. The files are JSON and safetensors. Reading them runs nothing.
    """
    from carrot_core.evaluation import versions
    from carrot_core.evaluation.runs import Trial, fitted_router
    from carrot_core.routers import SERVABLE
    from carrot_core.routers.saving import save_router
    from carrot_core.serving.profile import profile_of

    store = open_store()
    trial = Trial(load_benchmark(store, bench), name, seed, parameters(params), pool=pool)
    (fitted, estimates, setting), info = fitted_router(store, trial), store.info(bench)
    about: dict[str, Any] = {
        "benchmark": bench,
        "source": info.source,
        "licence": info.licence or "not stated",
        "data_hash": setting.train.data_hash,
        "fitted_on": f"{len(setting.train.prompt_ids)} {'' if setting.n_folds else 'train '}prompts",
        "cost_unit_usd": setting.cost_unit_usd,
        "best_single": setting.best_single,
        "seed": seed,
        "params": dict(trial.params),
        "versions": versions(),
    }
    used = getattr(fitted, "encoder_", None)
    profile = profile_of(setting, fitted, estimates) if name in SERVABLE else None
    save_router(fitted, folder, about, profile)
    with_encoder = f" with {used}" if used else ""
    return {**about, "router": name, "encoder": used, "folder": str(folder)}, f"Wrote {name}{with_encoder} to {folder}."


@router.command()
@FOLDER
@click.argument("repo")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--licence", default="", help="Licence to state on the page, such as apache-2.0 (default: none stated).")
@click.option(
    "--metrics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Output of `carrot evaluate BENCH --json`, for the figures on the page.",
)
@json_option
def push(folder: Path, repo: str, private: bool, licence: str, metrics: Path | None) -> Result:
    """Upload the router in FOLDER to REPO (owner/name), with a model card.

    The card states the models, the data, the figures and the limits, and never a prompt.
    """
    from carrot_core.routers.publishing import push as push_router

    figures = None if metrics is None else _figures(metrics)
    address = push_router(folder, repo, private=private, licence=licence, metrics=figures)
    return {"repo": repo, "address": address}, f"{folder} is at {address}."


@router.command()
@click.argument("repo")
@FOLDER
@click.option("--revision", help="Branch, tag or commit (default: the newest).")
@json_option
def pull(repo: str, folder: Path, revision: str | None) -> Result:
    """Download the router in REPO (owner/name) into FOLDER and check it."""
    from carrot_core.routers.publishing import pull as pull_router

    fitted = pull_router(repo, folder, revision=revision)
    document = {"repo": repo, "folder": str(folder), "router": fitted.name, "models": list(fitted.models_)}
    return document, f"{fitted.name} for {len(fitted.models_)} models is in {folder}."


def _figures(path: Path) -> dict[str, Any]:
    try:
        figures = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(str(path), "is no JSON document") from error
    if not isinstance(figures, dict):
        raise DataError(str(path), "is not what `carrot evaluate BENCH --json` prints")
    return figures
