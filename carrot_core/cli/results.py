"""``carrot figures``, ``results`` and ``theory``: the paper's figures, and the computed files that ship."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core.cli.common import Result, json_option, open_store, progress
from carrot_core.cli.evaluate import Names
from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.paths import IN_CHECKOUT, PACKAGE, SUMS, shipped, sums_of_shipped
from carrot_core.text import visible

if TYPE_CHECKING:
    from carrot_core.figures.exhibit import Exhibit
    from carrot_core.figures.theme import ThemeName
    from carrot_core.store import Store


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", multiple=True, metavar="NAME", help="Only this benchmark; repeat for more.")
@json_option
def results(folder: Path, only: tuple[str, ...]) -> Result:
    """Make what ships from the benchmarks' files in FOLDER.

    The command writes data/benchmarks, data/snapshots, data/heads and docs/results.md. It stores its runs in
    CARROT_HOME, so an interrupted run continues where it stopped.
    """
    from carrot_core.embedding import embed
    from carrot_core.results.build import compare_built_in, make, make_built_in, write_report
    from carrot_core.results.recipes import BUILT_IN_RECIPES, RECIPES

    if not IN_CHECKOUT:
        raise CarrotError(
            "`carrot results` needs a checkout of the project, because it writes the files of the project."
        )
    whole = {recipe.card.name: recipe for recipe in BUILT_IN_RECIPES}
    by_name = {recipe.name: recipe for recipe in RECIPES}
    names = [name for name in (*whole, *by_name) if not only or name in only]
    unknown = set(only) - {*names}
    if unknown:
        raise click.BadParameter(f"no benchmark {min(unknown)!r}", param_hint="--only")
    store, data, page = open_store(), shipped("."), PACKAGE.parent / "docs" / "results.md"
    for name in names:
        if name in whole:
            with progress(f"Embedding {name}", " texts") as advance:
                make_built_in(folder, data, whole[name], partial(embed, progress=advance))
            compare_built_in(store, data, whole[name], progress=progress)
    make(store, folder, data, [by_name[name] for name in names if name in by_name], progress=progress)
    write_report(data, page)
    shipped(SUMS).write_text(sums_of_shipped(), encoding="utf-8")
    return {"benchmarks": names, "report": str(page)}, f"Wrote {data} and {page}."


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the tables (default: data/theory)."
)
@json_option
def theory(folder: Path, out: Path | None) -> Result:
    """Make data/theory, the tables of the Theory page.

    They show how fast the rule approaches the oracle, and how many dimensions real prompts fill. FOLDER has the
    benchmarks' files, as for `carrot results`; only their vectors are read. This takes some minutes.
    """
    from carrot_core.results.recipes import RECIPES
    from carrot_core.theory import FOLDER, make

    files = {recipe.name: folder / recipe.embeddings for recipe in RECIPES if recipe.embeddings}
    vectors = {name: file for name, file in files.items() if file.exists()}
    if not vectors:
        raise NotFoundError(f"{folder} has none of the files of vectors: {', '.join(map(str, files.values()))}.")
    written = out or shipped(FOLDER)
    make(vectors, written, progress=progress)
    if out is None:
        shipped(SUMS).write_text(sums_of_shipped(), encoding="utf-8")
    return {"vectors": list(vectors), "folder": str(written)}, f"Wrote {written}."


_STYLES = ("light", "dark", "print")
_ENDINGS = ("svg", "pdf", "png", "html", "csv", "json", "tex")


@click.command()
@click.argument("benches", nargs=-1, metavar="[BENCH]...")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to; created if it does not exist."
)
@click.option(
    "--style",
    type=click.Choice(_STYLES),
    default="light",
    show_default=True,
    help="Style of the figures; print is black on white.",
)
@click.option(
    "--format",
    "endings",
    type=Names(),
    default=",".join(_ENDINGS),
    show_default=True,
    help="File formats, separated by commas.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this figure; repeat for more.")
@click.option("--router", metavar="NAME", help="Router of the spider (default: CARROT-KNN).")
@click.option("--oracle", is_flag=True, help="Draw the oracle's curve too.")
@click.option("--list", "listing", is_flag=True, help="List the figures and the benchmarks; draw nothing.")
@json_option
def figures(
    benches: tuple[str, ...],
    out: Path | None,
    style: ThemeName,
    endings: tuple[str, ...],
    only: tuple[str, ...],
    listing: bool,
    **options: Any,
) -> Result:
    """Draw the paper's figures of BENCH.

    BENCH is a benchmark in the store or a snapshot that ships (default: all). Each benchmark gets a folder. SVG, PDF
    and PNG need Chromium or Chrome; the other files need nothing.
    """
    from carrot_core.paper import PRESETS
    from carrot_core.results.source import result_names

    store = open_store()
    if listing:
        return _list_figures(result_names(store))
    if out is None:
        raise click.UsageError("Give a folder with --out, or use --list.")
    for choice, allowed, option in ((endings, _ENDINGS, "--format"), (only, tuple(PRESETS), "--only")):
        unknown = [name for name in choice if name not in allowed]
        if unknown:
            raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(allowed)}", param_hint=option)
    from carrot_core.figures.exhibit import write_exhibits

    names = list(dict.fromkeys(benches)) or result_names(store)
    with progress("Computing", " benchmarks") as advance:
        exhibits, missing = _exhibits(store, names, only or tuple(PRESETS), options, advance)
    if not exhibits:
        raise CarrotError("\n".join(["There is nothing to draw.", *missing.values()]))
    files = write_exhibits(exhibits, out, endings, style)
    document = {
        "out": str(out),
        "files": [path.as_posix() for path in files],
        "not_drawn": [{"benchmark": bench, "figure": figure, "why": why} for (bench, figure), why in missing.items()],
    }
    notes = [f"{visible(bench)}: no {figure}. {why}" for (bench, figure), why in missing.items()]
    return document, "\n".join([f"Wrote {len(files)} files to {out}.", *notes])


def _exhibits(
    store: Store,
    names: Sequence[str],
    only: Sequence[str],
    options: dict[str, Any],
    advance: Callable[[int, int], None],
) -> tuple[list[tuple[str, Exhibit]], dict[tuple[str, str], str]]:
    """Exhibits by benchmark, and the reasons for those that are missing."""
    from carrot_core.paper import PRESETS
    from carrot_core.results.source import open_results

    settings = {name: value for name, value in options.items() if value is not None}
    exhibits: list[tuple[str, Exhibit]] = []
    missing: dict[tuple[str, str], str] = {}
    for done, bench in enumerate(names, start=1):
        results = open_results(store, bench)
        for name in only:
            try:
                exhibits.append((bench, PRESETS[name].make(results, **settings)))
            except CarrotError as why:
                missing[bench, name] = str(why)
        advance(done, len(names))
    return exhibits, missing


def _list_figures(benches: list[str]) -> Result:
    from carrot_core.paper import PRESETS

    wide = max(map(len, PRESETS)) + 2
    lines = [f"{preset.name:{wide}}{preset.title}" for preset in PRESETS.values()]
    document = {"figures": {preset.name: preset.title for preset in PRESETS.values()}, "benchmarks": benches}
    return document, "\n".join([*lines, "", f"Benchmarks: {', '.join(map(visible, benches)) or 'none'}."])
