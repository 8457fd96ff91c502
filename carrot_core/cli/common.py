"""Shared by commands: errors on one line, ``--json``, progress on standard error, how files of results are written."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from carrot_core.errors import CarrotError
from carrot_core.number_formats import without_nan
from carrot_core.text import SENTENCE, visible

if TYPE_CHECKING:
    import pandas as pd

    from carrot_core.benchmarks import Frames
    from carrot_core.store import Store

# What a command returns: the document for --json, the same for people, and the exit code where that is not 0.
Result = tuple[Any, str] | tuple[Any, str, int]
PORT = click.IntRange(1, 65535)
Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PLACES = click.argument("places", metavar="PATH...", nargs=-1, required=True)  # files, folders, patterns, addresses


class Group(click.Group):
    """Commands in the order of their use; a `CarrotError` becomes text and an exit code, not a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CarrotError as error:
            click.echo(f"Error: {visible(str(error), keep=SENTENCE)}", err=True)
            ctx.exit(error.exit_code)


def as_document(value: Any) -> str:
    """A document as ``--json`` prints it."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def as_line(value: Any) -> str:
    """A document as JSON on one line; unknown and infinite numbers become null."""
    return json.dumps(without_nan(value), ensure_ascii=False, allow_nan=False)


class Names(click.ParamType[tuple[str, ...]]):
    """Names, separated by commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(names):
            self.fail(f"{value!r} has an empty name: put one comma between two names", param, ctx)
        return names


def json_option(command: Callable[..., Result]) -> Callable[..., None]:
    """Add ``--json`` to a command, and print what it returns in the form asked for.

    The text may hold names from files, so control characters are made visible.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @functools.wraps(command)
    def printing(*args: Any, as_json: bool, **kwargs: Any) -> None:
        document, text, *code = command(*args, **kwargs)
        click.echo(as_document(document) if as_json else visible(text, keep=SENTENCE))
        if code:
            click.get_current_context().exit(code[0])

    return printing


@contextmanager
def progress(description: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A callback (done, total) that draws a bar with rate and ETA on standard error after a second."""
    from tqdm import tqdm

    with tqdm(desc=description, unit=unit, file=sys.stderr, delay=1.0, leave=False) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance


@contextmanager
def file_progress() -> Iterator[Callable[[int, int, str], None]]:
    """A callback (bytes done, bytes of the file, name) that draws one file's bar after the other."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, file=sys.stderr, delay=1.0, leave=False) as bar:
        current = ""

        def advance(done: int, total: int, name: str) -> None:
            nonlocal current
            if name != current:
                current = name
                bar.reset(total)
                bar.set_description(name)
            bar.update(done - bar.n)

        yield advance


def open_store() -> Store:
    """The store of ``CARROT_HOME``."""
    from carrot_core.store import Store

    return Store()


class OutFile(click.Path):
    """A file to write; refused before anything is computed if it cannot be written."""

    def __init__(self, *endings: str) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self._endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        out: Path = super().convert(value, param, ctx)  # type: ignore[assignment]  # as path_type says
        if self._endings and out.suffix.lower() not in self._endings:
            self.fail(f"{out.name!r} must end in {', '.join(self._endings)}", param, ctx)
        if not out.parent.is_dir():
            self.fail(f"there is no folder {str(out.parent)!r}", param, ctx)
        return out


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Callback of an option: a length of time above 0, typed as 2s, 800ms or 2, in seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(ms|s)?", value)
    length = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else 0.0
    if not 0 < length < float("inf"):
        raise click.BadParameter(f"{value!r} is not a length of time; write 2s or 800ms")
    return length


TABLE = OutFile(".parquet", ".csv", ".json")  # what `write` writes


def write(frame: pd.DataFrame, out: Path) -> None:
    """Write a frame in the format the ending of the file's name says, one of `TABLE`."""
    from carrot_core.csv_latex import write_csv

    writers: dict[str, Callable[[], object]] = {
        ".parquet": lambda: frame.to_parquet(out, index=False),
        ".csv": lambda: write_csv(frame, out),
        ".json": lambda: frame.to_json(out, orient="records", double_precision=15),
    }
    try:
        writers[out.suffix.lower()]()
    except OSError as error:
        raise CarrotError(f"Cannot write {out}: {error.strerror or error}.") from error


def column_option(command: Command) -> Command:
    """``--column prompt_id=id``, repeatable; the command gets ``columns``."""
    return click.option(
        "--column",
        "columns",
        multiple=True,
        metavar="NAME=COLUMN",
        callback=_mapping,
        help="Read NAME from the file's COLUMN, as in prompt_id=id; repeat for more.",
    )(command)


def _mapping(_context: click.Context, _parameter: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    for pair, (_, separator, column) in zip(pairs, split, strict=True):
        if not separator or not column:
            raise click.BadParameter(f"{pair!r} is not NAME=COLUMN")
    return {name: column for name, _, column in split}


def _reading_options(command: Command, split: str = "--split") -> Command:
    """How files are written, as far as it is stated; the command gets the fields of a `Reading`.

    ``split`` is the option for the files' own split.
    """
    options = (
        click.option("--separator", metavar="CHARACTER", help="Between the values of a row (default: detected)."),
        click.option("--decimal", type=click.Choice([".", ","]), help="Decimal sign (default: detected)."),
        click.option("--encoding", metavar="NAME", help="Encoding of text, such as cp1252 (default: detected)."),
        click.option(
            "--score",
            metavar="RULE",
            help="How to turn a score into 0 to 1: percent, fraction (3/5), a range (1..10), two words for 1 and 0 "
            "(C/I), or an SQL expression over the columns.",
        ),
        click.option(
            "--model-from",
            metavar="WHERE",
            help="Where the model's name is: column (default), file or folder; or the name of the one model.",
        ),
        click.option(
            split,
            "own_split",
            type=click.Choice(["keep", "derive"]),
            default="keep",
            show_default=True,
            callback=lambda _context, _parameter, choice: choice == "keep",
            help="Keep the file's own split (a missing validation part comes from train), or make a new one.",
        ),
        click.option(
            "--estimate-tokens",
            is_flag=True,
            help="If a tool records no tokens: count one for 4 characters of prompt and answer.",
        ),
        click.option(
            "--scorer",
            metavar="NAME",
            help="Which scorer, metric or filter of a tool to use (default: the first).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _model_options(command: Command) -> Command:
    """``--prices``, ``--list-prices``, ``--free`` and ``--models``; the command gets them by these names."""
    options = (
        click.option(
            "--prices", type=FILE,
            help="Prices of tokens: CSV with model, input_usd_per_mtok, output_usd_per_mtok, or LiteLLM's price map.",
        ),
        click.option(
            "--list-prices",
            is_flag=True,
            help="Models without dollars or a price get the list price that ships.",
        ),
        click.option(
            "--cost-per-call", "usd_per_call", multiple=True, metavar="MODEL USD", type=(str, float),
            help="What a call of MODEL costs on average, if the file has neither dollars nor tokens. Repeat for more.",
        ),
        click.option("--free", multiple=True, metavar="MODEL",
            help="MODEL is free: its costs of 0 are real. Otherwise they count as not recorded. Repeat for more.",
        ),
        click.option(
            "--models", type=FILE,
            help="CSV with model and any of provider, open_weights, release_date, context_tokens, effort, base_model.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def import_options(command: Command, split: str = "--split") -> Command:
    """What can be stated of results, in files or on the hub; the command gets what `read_frames` takes.

    ``split`` is as for `_reading_options`.
    """
    options = (
        click.option("--format", metavar="FORMAT", help="A name that `carrot data formats` lists (default: detected)."),
        click.option(
            "--where", metavar="PREDICATE", help="Keep these rows; SQL over the file's columns: kind = 'chat'."
        ),
        column_option,
        functools.partial(_reading_options, split=split),
        _model_options,
        click.option(
            "--drop-chinese", is_flag=True, help="RouterBench: leave out its Chinese tasks, as CARROT's authors do."
        ),
        click.option(
            "--arm",
            "arms",
            multiple=True,
            metavar="ARM",
            help="Add every model's best-of-2, majority-of-3 …; repeat for more.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def stated_of(options: Mapping[str, Any]) -> list[str]:
    """Options of `import_options` that differ from their defaults."""
    names = {"columns": "--column", "arms": "--arm", "own_split": "--split"}
    stated = [name for name, value in options.items() if (value is False if name == "own_split" else value)]
    return [names.get(name, f"--{name.replace('_', '-')}") for name in stated]


def read_frames(
    paths: Sequence[Path],
    *,
    prices: Path | None,
    list_prices: bool,
    usd_per_call: Sequence[tuple[str, float]],
    free: Sequence[str],
    models: Path | None,
    arms: Sequence[str],
    columns: dict[str, str],
    where: str | None,
    format: str | None,
    scorer: str | None,
    estimate_tokens: bool,
    drop_chinese: bool,
    **reading: Any,
) -> Frames:
    """`carrot_core.benchmarks.registry.read_any` with what `import_options` state."""
    from carrot_core.benchmarks.model_facts_arms import add_arms, read_model_facts, with_facts
    from carrot_core.benchmarks.reading import Reading
    from carrot_core.benchmarks.registry import read_any
    from carrot_core.prices.files import PriceList, read_prices, shipped_prices

    facts = {} if models is None else read_model_facts(models)
    price_list = PriceList({}) if prices is None else read_prices(prices)
    price_list.listed, price_list.usd_per_call = shipped_prices() if list_prices else {}, dict(usd_per_call)
    frames = read_any(
        paths,
        where=where,
        prices=price_list.with_free(free),
        format=format,
        columns=columns or None,
        drop_chinese=drop_chinese,
        reading=Reading(**reading),
        scorer=scorer,
        estimate_tokens=estimate_tokens,
    )
    frames = with_facts(frames, facts)
    return add_arms(frames, arms) if arms else frames


def bring(places: Sequence[str]) -> list[Path]:
    """Paths as they are, and what is at addresses as files here until the command ends."""
    from carrot_core.scale.warehouse import local_paths

    paths: list[Path] = click.get_current_context().with_resource(local_paths(places))
    return paths
