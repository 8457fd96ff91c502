"""``carrot data check``, ``template``, ``formats``, ``leakage``: check files before import, find copies across a split.

``carrot data verify``, ``rebuild`` and ``carrot doctor``: read all that is here already; what is damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrot_core.cli.common import (
    PLACES,
    TABLE,
    Result,
    as_document,
    bring,
    import_options,
    json_option,
    open_store,
    progress,
    read_frames,
    write,
)
from carrot_core.errors import CarrotError, DataError, NotFoundError, StoreError
from carrot_core.paths import RESTORE, SUMS, damaged_files, home, shipped
from carrot_core.text import SENTENCE, counted, visible

if TYPE_CHECKING:
    import pandas as pd

    from carrot_core.store.maintenance import Finding

TEMPLATE = "template.csv"


@click.command()
@PLACES
@import_options
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the problems to this CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(context: click.Context, /, places: tuple[str, ...], out: Path | None, as_json: bool, **options: Any) -> None:
    """List every kind of problem in PATH, without importing.

    Each problem has row, column, value and remedy. The exit code is 0 if the files can be imported together, else 4.
    """
    from carrot_core.benchmarks.parts import source_of
    from carrot_core.csv_latex import problems_frame
    from carrot_core.store.content import content_of

    paths = bring(places)
    try:
        frames = read_frames(paths, **options)
    except DataError as error:
        problems = problems_frame(error)
        if out is not None:
            _write(problems, out)
        # Problems are the result of this command: they go to standard output, and the exit code says there are some.
        click.echo(
            as_document({"ok": False, "problems": problems.to_dict("records")})
            if as_json
            else visible(str(error), keep=SENTENCE)
        )
        context.exit(DataError.exit_code)
    content = content_of(frames, split_seed=0)  # what an import would say
    size = f"{counted(content.n_prompts, 'prompt')} x {counted(len(frames.models), 'model')}"
    size += f", {counted(frames.provenance.rows, 'outcome')}"
    warnings = content.warnings
    lines = [f"{source_of(paths)} can be imported: {size}.", *(f"Note: {warning}" for warning in warnings)]
    document = {"ok": True, "problems": [], "warnings": list(warnings)}
    click.echo(as_document(document) if as_json else visible("\n".join(lines), keep=SENTENCE))


def _write(problems: pd.DataFrame, out: Path) -> None:
    from carrot_core.csv_latex import write_csv

    try:
        write_csv(problems, out)
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write (default: print).")
@json_option
def template(out: Path | None) -> Result:
    """Write example rows in the long format.

    Replace them with your own results. The wide format has a row for each prompt and, for each model, a column of its
    name with the scores beside <model>|cost_usd, <model>|output_tokens or <model>|input_tokens.
    """
    text = shipped(TEMPLATE).read_text(encoding="utf-8")
    if out is None:
        return {"template": text}, text.rstrip("\n")
    try:
        with out.open("x", encoding="utf-8") as file:  # never over a file with results in it
            file.write(text)
    except FileExistsError as error:
        raise CarrotError(f"{out} is already there; choose another name.") from error
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error
    return {"out": str(out)}, f"Wrote {out}. `carrot data check {out}` says whether it can be imported."


@click.command()
@json_option
def formats() -> Result:
    """List the formats that can be imported, each with a command."""
    from carrot_core.benchmarks.registry import EXAMPLES

    width = max(len(name) for name in EXAMPLES)
    lines = [f"{name:{width}}  {title}\n{'':{width}}  {command}" for name, (title, command) in EXAMPLES.items()]
    document = [{"name": name, "title": title, "example": command} for name, (title, command) in EXAMPLES.items()]
    return document, "\n".join(lines)


@click.command()
@click.argument("name")
@click.option("--cosine", default=0.98, show_default=True, help="Vectors are near from this cosine on.")
@click.option(
    "--jaccard", default=0.8, show_default=True, help="Texts are near from this share of common word triples on."
)
@click.option("--seed", type=int, help="Use the split of this seed (default: the stored split).")
@click.option("--csv", "csv_file", type=TABLE, help="Write the pairs to a file: .csv, .parquet or .json.")
@json_option
def leakage(name: str, cosine: float, jaccard: float, seed: int | None, csv_file: Path | None) -> Result:
    """Find exact and near copies on two sides of the split of NAME."""
    from carrot_core.embedding import BUNDLED
    from carrot_core.evaluation import records, split_by_seed
    from carrot_core.evaluation.leakage import leaks, report

    bench = open_store().load(name, encoder=BUNDLED)
    with progress(f"Comparing {name}", " pairs of splits") as advance:
        benchmark = bench if seed is None else split_by_seed(bench, seed)
        leakage_report = leaks(benchmark, cosine=cosine, jaccard=jaccard, progress=advance)
    if csv_file is not None:
        write(leakage_report.pairs, csv_file)
    document = {
        "benchmark": name,
        "n_prompts": leakage_report.n_prompts,
        "cosine": leakage_report.cosine,
        "jaccard": leakage_report.jaccard,
        "counts": records(leakage_report.counts),
        "pairs": records(leakage_report.pairs),
    }
    return document, report(leakage_report)


@click.command()
@json_option
def verify() -> Result:
    """Read every benchmark and report damaged ones.

    The exit code is 5 if a benchmark is damaged. `carrot doctor` checks everything else too.
    """
    from carrot_core.store.maintenance import verify as verify_all

    with progress("Reading", " benchmarks") as advance:
        findings = verify_all(open_store(), advance)
    lines = [line for finding in findings for line in _finding_lines(finding)]
    document = [asdict(finding) for finding in findings]
    if not any(finding.data or finding.computed for finding in findings):
        return document, "\n".join(lines)
    lines.append("`carrot data rebuild` moves the damaged files into a folder beside the store.")
    return document, "\n".join(lines), StoreError.exit_code


def _finding_lines(finding: Finding) -> list[str]:
    if finding.data:
        return [f"{finding.benchmark}: damaged. {finding.data}"]
    if finding.computed:
        return [f"{finding.benchmark}: whole, but its vectors or fitted routers are damaged. {finding.computed}"]
    return [f"{finding.benchmark}: whole"]


@click.command()
@json_option
def rebuild() -> Result:
    """Move damaged files out of the store.

    Intact benchmarks stay as they are.
    """
    from carrot_core.store.maintenance import rebuild as rebuild_all

    store = open_store()
    with progress("Reading", " benchmarks") as advance:
        aside, findings = rebuild_all(store, advance)
    whole = [finding.benchmark for finding in findings if not finding.data]
    lost = [finding.benchmark for finding in findings if finding.data]
    again = [finding.benchmark for finding in findings if finding.computed and not finding.data]
    lines = [f"{store.path} has {', '.join(whole) or 'no benchmark'}."]
    lines.append("Nothing is damaged." if aside is None else f"The damaged files are now in {aside}.")
    if lost:
        lines.append(f"Damaged and moved: {', '.join(lost)}; import them again.")
    if again:
        lines.append(f"Embed and fit again: {', '.join(again)}.")
    return {
        "kept": whole,
        "lost": lost,
        "without_computed": again,
        "aside": None if aside is None else str(aside),
    }, "\n".join(lines)


@click.command()
@json_option
def doctor() -> Result:
    """Find damaged files, and say how to repair them.

    Reads everything that ships and all of CARROT_HOME. The exit code is 0 if everything is whole, else 5.
    """
    problems = [{"part": part, "problem": problem} for part, problem in _problems()]
    if not problems:
        return problems, f"Everything is whole: what ships, and {home()}."
    text = "\n".join(f"{each['part']}: {each['problem']}" for each in problems)
    return problems, text, StoreError.exit_code


def _problems() -> Iterator[tuple[str, str]]:
    """Every damaged part, and what is wrong with it."""
    from carrot_core.benchmarks.log_table import kept_logs, read_logs
    from carrot_core.points import shared_points
    from carrot_core.prices.files import own_prices_path, read_prices
    from carrot_core.routers.saving import load_saved
    from carrot_core.store.maintenance import verify

    for name, problem in damaged_files(shipped(SUMS)).items():
        yield f"data/{name}", f"{problem}. {RESTORE}"
    try:
        with progress("Reading", " benchmarks") as advance:
            findings = verify(open_store(), advance)
    except NotFoundError:  # nothing is stored yet
        findings = []
    except StoreError as error:
        yield "the store", str(error)
        findings = []
    for finding in findings:
        if problem := finding.data or finding.computed:
            yield f"benchmark {finding.benchmark}", problem
    for name, problem in shared_points().listing().damaged.items():
        yield f"operating point {name}", problem
    files: dict[str, Callable[[], object]] = {}
    for name, path in kept_logs().items():
        files[f"log {name}"] = partial(read_logs, path)
    if own_prices_path().exists():
        files["your prices"] = partial(read_prices, own_prices_path())
    for document in (home() / "routers").glob("*/*/router.json"):
        files[f"router {document.parent.relative_to(home() / 'routers')}"] = partial(load_saved, document.parent)
    for part, read in files.items():
        try:
            read()
        except CarrotError as error:
            yield part, str(error)
    for sums in (home() / "hub").glob("*/*/.*.sha256"):
        for name, problem in damaged_files(sums).items():
            yield f"hub/{sums.parent.parent.name}, {name}", f"{problem}. Pull it again."
