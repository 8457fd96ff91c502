"""``carrot data check``, ``template``, ``leakage``: check files before import, find copies across a split.

``carrot doctor``: read all that is here already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from carrot_core.cli.common import TABLE, Result, as_document, json_option, open_store, progress, write
from carrot_core.errors import CarrotError, DataError, NotFoundError, StoreError
from carrot_core.paths import RESTORE, SUMS, damaged_files, home, shipped
from carrot_core.text import SENTENCE, visible

if TYPE_CHECKING:
    import pandas as pd

    from carrot_core.benchmarks import Frames


Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PLACES = click.argument("places", metavar="PATH...", nargs=-1, required=True)  # files, folders, patterns, addresses
TEMPLATE = "template.csv"


def column_option(command: Command) -> Command:
    """``--column prompt_id=id``, repeatable; the command gets ``columns``."""
    return click.option(
        "--column",
        "columns",
        multiple=True,
        metavar="NAME=COLUMN",
        callback=_mapping,
        help="The file's own COLUMN that is NAME, as in prompt_id=id; repeat for more.",
    )(command)


def _mapping(_context: click.Context, _parameter: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for pair, (_, separator, column) in zip(pairs, split, strict=True):
        if not separator or not column:
            raise click.BadParameter(f"{pair!r} is not NAME=COLUMN")
    return {name: column for name, _, column in split}


def reading_options(command: Command) -> Command:
    """How files are written, as far as it is stated; the command gets the fields of a `Reading`."""
    options = (
        click.option("--separator", metavar="CHARACTER", help="Between the values of a row (default: found)."),
        click.option("--decimal", type=click.Choice([".", ","]), help="Decimal sign (default: found)."),
        click.option("--encoding", metavar="NAME", help="Of text, as in cp1252 (default: found)."),
        click.option(
            "--score",
            metavar="RULE",
            help="What makes 0 to 1 of a score: percent, a range as in 1..10, two words as in C/I of which the "
            "first is 1, or an SQL expression over the columns.",
        ),
        click.option(
            "--model-from",
            metavar="WHERE",
            help="What names the model: column (the default), file, folder, or the name of the one there is.",
        ),
        click.option(
            "--split",
            "own_split",
            type=click.Choice(["keep", "derive"]),
            default="keep",
            show_default=True,
            callback=lambda _context, _parameter, choice: choice == "keep",
            help="Keep the file's own split, validation taken out of train where it has none; or leave it aside.",
        ),
        click.option(
            "--estimate-tokens",
            is_flag=True,
            help="Of a tool that records none: one for 4 characters of prompt and answer.",
        ),
        click.option(
            "--scorer",
            metavar="NAME",
            help="Of several scorers, metrics or filters of a tool, the one that counts.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def model_options(command: Command) -> Command:
    """``--prices``, ``--free`` and ``--models``; the command gets ``prices``, ``free`` and ``models``."""
    options = (
        click.option(
            "--prices",
            type=FILE,
            help="CSV of model, input_usd_per_mtok, output_usd_per_mtok, or LiteLLM's price map, for files of tokens.",
        ),
        click.option(
            "--free",
            multiple=True,
            metavar="MODEL",
            help="MODEL really costs nothing: its costs of 0 are meant. Without it they count as not recorded.",
        ),
        click.option(
            "--models",
            type=FILE,
            help="CSV of model, and any of provider, open_weights, release_date, context_tokens, effort, base_model.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_priced(
    paths: Sequence[Path], *, prices: Path | None, free: Sequence[str], models: Path | None, **options: Any
) -> Frames:
    """`carrot_core.benchmarks.registry.read_any` with what `model_options` name."""
    from carrot_core.benchmarks.model_facts import read_model_facts, with_facts
    from carrot_core.benchmarks.registry import read_any
    from carrot_core.prices.files import PriceList, read_prices

    facts = {} if models is None else read_model_facts(models)
    price_list = PriceList({}) if prices is None else read_prices(prices)
    return with_facts(read_any(paths, prices=price_list.with_free(free), **options), facts)


def bring(places: Sequence[str]) -> list[Path]:
    """Paths as they are, and what is at addresses as files here until the command ends."""
    from carrot_core.scale.warehouse import local_paths

    paths: list[Path] = click.get_current_context().with_resource(local_paths(places))
    return paths


@click.command()
@PLACES
@click.option("--format", metavar="FORMAT", help="long, wide or another known one (default: told by the file).")
@click.option("--where", metavar="PREDICATE", help="Check these rows only: SQL over the file's columns.")
@model_options
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="CSV to write the problems to.")
@column_option
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(
    context: click.Context,
    /,
    places: tuple[str, ...],
    format: str | None,
    where: str | None,
    prices: Path | None,
    free: tuple[str, ...],
    models: Path | None,
    out: Path | None,
    columns: dict[str, str],
    as_json: bool,
    scorer: str | None,
    estimate_tokens: bool,
    **reading: Any,
) -> None:
    """List every kind of problem in the files of PATH, each with row, column, value and remedy.

    Nothing is imported. The exit code is 0 where the files can be imported together and 4 where they cannot.
    """
    from carrot_core.benchmarks.parts import source_of
    from carrot_core.benchmarks.reading import Reading
    from carrot_core.csv_latex import problems_frame
    from carrot_core.store.content import content_of

    paths = bring(places)
    try:
        frames = read_priced(
            paths,
            prices=prices,
            free=free,
            models=models,
            where=where,
            format=format,
            columns=columns or None,
            reading=Reading(**reading),
            scorer=scorer,
            estimate_tokens=estimate_tokens,
        )
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
    size = f"{content.n_prompts:,} prompts x {len(frames.models)} models, {frames.provenance.rows:,} outcomes"
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
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write (default: printed).")
@json_option
def template(out: Path | None) -> Result:
    """Write a few example rows in the long format, to replace by your own results.

    The wide format has one row a prompt and, for each model, a column of its name with the scores beside
    <model>|cost_usd, <model>|output_tokens, <model>|input_tokens.
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
@click.argument("name")
@click.option("--cosine", default=0.98, show_default=True, help="Least cosine of vectors that counts as near.")
@click.option("--jaccard", default=0.8, show_default=True, help="Least share of common word triples that does.")
@click.option("--seed", type=int, help="Look at the split of this seed (default: the one that is stored).")
@click.option("--csv", "csv_file", type=TABLE, help="Write the pairs to a file: .csv, .parquet or .json.")
@json_option
def leakage(name: str, cosine: float, jaccard: float, seed: int | None, csv_file: Path | None) -> Result:
    """Find prompts of NAME with an exact or near copy on another side of the split."""
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
def doctor() -> Result:
    """Read all that ships and all of CARROT_HOME from end to end; say what is damaged, and what mends it.

    The exit code is 0 where everything is whole and 5 where something is damaged.
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
