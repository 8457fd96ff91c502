"""``carrot data``: bring results in, list them, embed them, remove them and bring them back."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core import limits
from carrot_core.cli.check import check, formats, leakage, rebuild, template, verify
from carrot_core.cli.common import (
    PLACES,
    Command,
    Group,
    Result,
    bring,
    file_progress,
    import_options,
    json_option,
    open_store,
    progress,
    read_frames,
    stated_of,
)
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.text import SENTENCE, counted, visible

if TYPE_CHECKING:
    from carrot_core.store import BenchmarkInfo

FILE_OR_FOLDER = click.Path(exists=True, path_type=Path)


def _store_options(command: Command) -> Command:
    """What becomes of results in the store."""
    options = (
        click.option(
            "--embeddings",
            type=FILE_OR_FOLDER,
            help="Existing vectors of the bundled MiniLM: Parquet with prompt_id and embedding, or a folder of such "
            "files.",
        ),
        click.option("--seed", default=0, show_default=True, help="Seed of the split into train, validation and test."),
        click.option("--replace", is_flag=True, help="Replace a benchmark of the same name."),
        click.option(
            "--shadow", is_flag=True, help="Use NAME for this benchmark, although other results ship under it."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Group)
def data() -> None:
    """Import, check, list and remove benchmarks."""


@data.command("import")
@PLACES
@click.option("--name", required=True, help="Name of the benchmark in the store.")
@import_options
@_store_options
@json_option
def import_(
    places: tuple[str, ...],
    name: str,
    seed: int,
    replace: bool,
    shadow: bool,
    embeddings: Path | None,
    **options: Any,
) -> Result:
    """Import results into the store as one benchmark.

    PATH is a file, a folder, a pattern in quotes, or an address: https://, s3://, gs://, hf://datasets/OWNER/NAME/…,
    postgres:CONNECTION#TABLE (also duckdb, mysql, sqlite), delta:PLACE, iceberg:CATALOG#NAMESPACE.TABLE.

    A long table has a row for each prompt and model. Required columns: prompt_id, model, score (0 to 1). Optional:
    prompt, task, benchmark, input_tokens, output_tokens, cost_usd, split, cached_input_tokens, reasoning_tokens,
    latency_s, time, and sample, which distinguishes several runs of a prompt and model.

    A wide table has a row for each prompt and, for each model, a column of its name with the scores beside
    <model>|cost_usd, <model>|output_tokens or <model>|input_tokens.

    Runs of evaluation tools are read as they are. A log of a gateway or an API has one model for each prompt: it is
    stored as a log, and `carrot point drift` compares points with it.

    `carrot data formats` lists all formats, `carrot data check PATH` lists every problem in a file, and
    `carrot data template` shows the long format.
    """
    from carrot_core.benchmarks.log_table import is_log, keep_log

    paths = bring(places)
    if is_log(paths, options["format"]):
        of_store = {"seed": seed, "shadow": shadow, "embeddings": embeddings}
        if stated := [each for each in stated_of(options | of_store) if each != "--format"]:
            raise CarrotError(f"A log is kept as it is: {stated[0]} cannot change it. `carrot point drift` reads it.")
        calls, notes = keep_log(name, paths, replace)
        drift = f"`carrot point drift POINT {name}` compares a point with it."
        lines = [f"Stored {counted(calls, 'call')} as the log {name!r}: {drift}"]
        return {"log": name, "calls": calls, "warnings": notes}, "\n".join(
            [*lines, *(f"Note: {each}" for each in notes)]
        )
    store = open_store()
    info = store.save_benchmark(name, read_frames(paths, **options), split_seed=seed, replace=replace, shadow=shadow)
    return _new(info, f"Imported {info.size_text} as {name!r}", embeddings)


def _new(info: BenchmarkInfo, what: str, embeddings: Path | None, *more: str) -> Result:
    """What is said of a benchmark that is new in the store, with vectors from files if there are any."""
    from carrot_core.embedding import BUNDLED

    lines = [f"{what}: {counted(info.n_outcomes, 'outcome')}."]
    if info.n_missing:
        lines.append(f"{counted(info.n_missing, 'cell')} of the table not observed.")
    if info.samples_text:
        lines.append(f"Scores and costs are means: {info.samples_text}.")
    with_vectors = 0
    if embeddings is not None:
        with_vectors = open_store().import_vectors(info.name, embeddings, BUNDLED)
        lines.append(f"Vectors for {counted(with_vectors, 'prompt')}.")
    warnings = _warnings(info)
    lines += [*(f"Note: {warning}" for warning in warnings), *more]
    return {**describe(info), "warnings": warnings, "n_with_vectors": with_vectors}, "\n".join(lines)


@data.command()
@click.argument("source")
@click.option("--name", help="Name of the benchmark in the store (default: that of the source).")
@click.option("--revision", help="Branch, tag or commit of the data set (default: the newest).")
@click.option("--config", help="hf:OWNER/NAME: only files with this word in their path.")
@click.option("--split", help="hf:OWNER/NAME: only files with this word after --config, such as test.")
@partial(import_options, split="--own-split")
@_store_options
@json_option
def pull(
    source: str,
    name: str | None,
    revision: str | None,
    config: str | None,
    split: str | None,
    seed: int,
    replace: bool,
    shadow: bool,
    embeddings: Path | None,
    **options: Any,
) -> Result:
    """Import a data set of the Hugging Face hub.

    SOURCE is sprout, sprout-o3mini, routerbench-0shot, routerbench-5shot, or hf:OWNER/NAME: any data set whose tables
    `carrot data import` can read (Parquet, else JSON lines, JSON, CSV), with the same options.

    Files stay in CARROT_HOME/hub. An interrupted pull continues where it stopped. If the hub cannot be reached, the
    files of an earlier pull are read, and a note says so. HF_ENDPOINT names another hub, HF_TOKEN is the token.
    """
    from carrot_core.store.intake import ANY
    from carrot_core.store.intake import pull as pull_source

    stated = [each for each in stated_of(options) if each != "--drop-chinese"]
    with file_progress() as advance:
        info = pull_source(
            open_store(), source, name, revision=revision, replace=replace, shadow=shadow, config=config, split=split,
            drop_chinese=options["drop_chinese"] and not source.startswith(ANY), split_seed=seed,
            read=partial(read_frames, **options) if stated or source.startswith(ANY) else None, progress=advance,
        )  # fmt: skip
    what = f"Pulled {info.size_text} as {info.name!r} from {info.source}"
    return _new(info, what, embeddings, f"`carrot data embed {info.name}` computes its vectors.")


def _warnings(info: BenchmarkInfo) -> list[str]:
    """Warnings of an import: those of the reader, of prompts without texts, and of results that ship under its name."""
    from carrot_core.routers.base import WITHOUT_TEXTS

    warnings = list(info.warnings)
    if not info.n_readable:
        warnings.append(WITHOUT_TEXTS)
    if open_store().shadows(info.name):
        warnings.append(f"Results that ship have the name {info.name!r} too. From now on it means your data.")
    return warnings


def describe(info: BenchmarkInfo) -> dict[str, Any]:
    """Description of a stored benchmark as plain JSON."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(info).items()}


@data.command("list")
@json_option
def list_() -> Result:
    """List the benchmarks in the store, damaged ones too, and logs."""
    from carrot_core.benchmarks.log_table import kept_logs, size_of_log

    infos, damaged = open_store().benchmarks(), open_store().damaged()
    for name, reason in damaged.items():
        click.echo(visible(f"{name} is damaged. {reason}", keep=SENTENCE), err=True)
    lines = [
        f"{visible(info.name):24} {info.n_prompts:>8,} prompts  {info.n_models:>3} models  "
        f"{visible(info.source)}  {visible(info.note, keep=' ')}  {info.samples_text}".rstrip()
        for info in infos
    ]
    lines += [
        f"{visible(name):24} a log, {size_of_log(path)}; `carrot point drift POINT {name!r}` compares it"
        for name, path in kept_logs().items()
    ]
    if not lines and not damaged:
        lines = ["The store is empty: `carrot setup` stores the benchmarks that ship, `carrot data import` yours."]
    return [describe(info) for info in infos], "\n".join(lines)


@data.command()
@click.argument("name")
@json_option
def remove(name: str) -> Result:
    """Remove NAME and all computed from it; `restore` undoes it."""
    open_store().remove_benchmark(name)
    back = f"`carrot data restore {name}` brings it back within {limits.TRASH_DAYS} days."
    return {"removed": name}, f"Removed {name!r}. {back}"


@data.command()
@click.option("--empty", is_flag=True, help="Delete all of it for good, after a question.")
@click.option("--yes", is_flag=True, help="With --empty: do not ask.")
@json_option
def trash(empty: bool, yes: bool) -> Result:
    """List what was removed or replaced, or delete it for good."""
    from carrot_core.points import shared_points
    from carrot_core.store import trash

    there = [("benchmark", each.name, each.name, each.how, each.at) for each in trash.removals(open_store())]
    there += [("point", record.id, record.name, trash.REMOVED, at) for record, at in shared_points().deleted()]
    if empty:
        if not yes:
            click.confirm(f"Delete {len(there):,} benchmarks and points for good?", abort=True, err=True)
        trash.empty(open_store())
        shared_points().sweep(everything=True)
        return {"deleted": len(there)}, "The trash is empty."
    document = [
        {"kind": kind, "name": key, "title": title, "how": how, "removed_at": at.isoformat()}
        for kind, key, title, how, at in there
    ]
    lines = [
        f"{kind:9}  {visible(key)}{f'  {visible(title)}' if title != key else ''}  {how} {at:%Y-%m-%d %H:%M:%S} UTC"
        for kind, key, title, how, at in there
    ]
    lines.append(
        f"Within {limits.TRASH_DAYS} days `carrot data restore NAME` brings back the last of a name, `--at TIME` any."
        if there
        else "Nothing is there."
    )
    return document, "\n".join(lines)


@data.command()
@click.argument("name")
@click.option("--at", metavar="TIME", help="The one removed or replaced then, as `carrot data trash` shows the time.")
@json_option
def restore(name: str, at: str | None) -> Result:
    """Bring back what was removed or replaced.

    NAME is a benchmark, whose last version comes back unless --at chooses another, or the id of an operating point.
    """
    from carrot_core.points import shared_points
    from carrot_core.store.trash import find
    from carrot_core.store.trash import restore as restore_benchmark

    store, shelf = open_store(), shared_points()
    removal = find(store, name, at)
    if removal is not None:
        restore_benchmark(store, removal)
    elif at is None and name in (record.id for record, _ in shelf.deleted()):
        shelf.restore(name)
    else:
        time = "" if at is None else f" of {at!r}"
        raise NotFoundError(f"The trash has nothing called {name!r}{time}; `carrot data trash` lists its contents.")
    return {"restored": name}, f"{name!r} is back."


@data.command()
@click.argument("name")
@click.argument("arms", metavar="[ARM]...", nargs=-1)
@click.option("--remove", is_flag=True, help="Remove all arms.")
@click.option("--shadow", is_flag=True, help="As in `carrot data import`, if NAME ships.")
@json_option
def arms(name: str, arms: tuple[str, ...], remove: bool, shadow: bool) -> Result:
    """Add arms such as best-of-2 to NAME, or list its arms.

    An arm (best-of-2, majority-of-3 …) is a model that makes several calls, computed from the samples of every cell.
    A change removes the routers fitted before, since they do not know the arms; vectors stay.
    """
    from carrot_core.benchmarks.model_facts_arms import add_arms, arms_in, without_arms

    if remove and arms:
        raise click.UsageError("--remove removes all arms: name none with it.")
    store = open_store()
    info = store.info(name)
    if arms or remove:
        change = without_arms if remove else partial(add_arms, arms=arms)
        info = store.change_benchmark(name, change, shadow=shadow)
    there = arms_in(info.models)
    lines = [f"{arm}: {', '.join(map(visible, models))}" for arm, models in there.items()]
    shadowing = " --shadow" if info.ships else ""
    return {"name": name, "arms": there, "data_hash": info.data_hash}, "\n".join(
        lines or [f"{name!r} has no arms: `carrot data arms {name} best-of-2{shadowing}` adds some."]
    )


@data.command()
@click.argument("name")
@json_option
def embed(name: str) -> Result:
    """Compute the missing vectors of NAME.

    An interrupted run continues where it stopped. The vectors are those of the bundled MiniLM, which every command and
    page reads. For other encoders use Python: `carrot_core.embedding.embed_benchmark` and
    `Store.load(name, encoder=...)`.
    """
    from carrot_core.embedding import load_embedded

    with progress(f"Embedding {name}", " texts") as advance:
        bench = load_embedded(open_store(), name, progress=advance)
    if bench.vectors is None:
        return {"name": name, "encoder": None}, f"{name!r} has no prompt texts to embed."
    return {"name": name, "encoder": bench.encoder}, f"{name!r} has its vectors of {bench.encoder}."


for command in (formats, check, leakage, template, verify, rebuild):
    data.add_command(command)
