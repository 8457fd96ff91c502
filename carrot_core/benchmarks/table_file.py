"""Table files in a private in-memory DuckDB without access to anything else.

Files and predicates come from strangers: the files are read first, then the connection is locked, then the
predicate is evaluated as one expression over the columns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from carrot_core import limits
from carrot_core.benchmarks import file_checks
from carrot_core.benchmarks.cell_numbers import PLAIN, Numbers
from carrot_core.benchmarks.columns import NEEDED, Column, columns_of, literal, quote
from carrot_core.benchmarks.parts import Part, Paths, check_alike, packed_by, parts_of, plain_part, source_of
from carrot_core.benchmarks.reading import FOUND, Reading
from carrot_core.errors import DataError, Problem, sql_mistake
from carrot_core.text import names_listed

# Columns each model of a wide file may have.
PER_MODEL = ("input_tokens", "output_tokens", "cost_usd", "cached_input_tokens", "reasoning_tokens", "latency_s")
ROW = "row of the file"  # 1-based position of a data row; a name no file is likely to use
_ROWS = "sample_size = -1, hive_partitioning = false"  # types are found by looking at every row
_CSV = f"header = true, quote = '\"', escape = '\"', comment = '', {_ROWS}"
_JSON = f"format = 'newline_delimited', records = true, map_inference_threshold = -1, {_ROWS}"
PARQUET = "read_parquet($path, binary_as_string = true, hive_partitioning = false)"


@dataclass(frozen=True, eq=False)
class TableFile:
    """The rows of one file or several as the table ``file`` of a locked connection.

    Attributes
    ----------
    source : name of the file, or of the files.
    connection : holds the table ``file``: the loaded columns and `ROW`.
    types : DuckDB type by name of each column of the file, in its order; a mapped column goes by its new name.
    named : names of the columns as they stand in the file; of JSON lines, in its first line.
    wide : whether a row has the cells of all models.
    columns : the file's own name of a column, by its name here, where it is another one.
    starts : name of each file and the rows before its first, where there are several.
    places : of each row in its file in words, where it is not its number alone.
    notes : how the files are read, where that is not as usual.
    numbers : how numbers are written.
    paths : to the single values inside objects, where a column that is needed is missing.
    stack : closes the connection; whoever takes it keeps the connection open.
    """

    source: str
    connection: duckdb.DuckDBPyConnection
    types: dict[str, str]
    named: tuple[str, ...] = ()
    wide: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    starts: tuple[tuple[str, int], ...] = ()
    places: Sequence[str] = ()
    notes: tuple[str, ...] = ()
    numbers: Numbers = PLAIN
    paths: tuple[str, ...] = ()
    stack: ExitStack = field(default_factory=ExitStack)

    def column_of(self, name: str, model: str | None) -> str:
        """The file's own name of a recognised column; in a wide file, of a model's column."""
        if self.wide and name not in self.columns and model is not None:
            name = {"score": model, "model": model}.get(name, f"{model}|{name}" if name in PER_MODEL else name)
        return self.columns.get(name, name)

    def located(self, problem: Problem) -> Problem:
        """A problem with the file and the place in it, where its row counts through several files or not all rows."""
        if problem.row is None:
            return problem
        before = [start for start in self.starts if start[1] < problem.row] if len(self.starts) > 1 else [(None, 0)]
        name, first = before[-1]
        place, row = self.places[problem.row - 1] if self.places else "", problem.row - first
        if place and not place.endswith(f" {row:,}"):
            return replace(problem, row=None, file=name, message=f"{place}: {problem.message}")
        return replace(problem, row=row, file=name)

    def keep(self, where: str, view: str) -> None:
        """Delete the rows that do not satisfy a predicate over the columns of a view of ``file``.

        Raises
        ------
        DataError
            The predicate is not one expression DuckDB can evaluate here; the message says what is wrong.
        """
        try:
            matches = self.connection.table(view).filter(duckdb.SQLExpression(where))
            matches.project(quote(ROW)).create("kept")
        except (duckdb.Error, RuntimeError) as error:
            problem = sql_mistake(f"the predicate {where!r} cannot be used", str(error), where)
            raise DataError(self.source, [problem]) from error
        self.connection.execute(f"delete from file where {quote(ROW)} not in (from kept)")  # noqa: S608


@contextmanager
def open_table(
    paths: Paths,
    text_columns: Collection[str],
    others: bool,
    columns: Mapping[str, str] | None = None,
    memory: str = limits.TABLE_MEMORY,
    reading: Reading = FOUND,
) -> Iterator[TableFile]:
    """Load files into a connection, one below the other, and lock the connection.

    Parameters
    ----------
    paths : one file or several.
    text_columns : columns to load where there are; in a text format their values stay as they are written, so
        that no id is taken for a date and a bad value can be shown.
    others : load the other columns as well, in the types their values have.
    columns : the file's own name of a known column, or the path into its objects, by the known name.
    memory : what DuckDB may use, as it writes it; below 512MiB a CSV may not load.
    reading : what is stated about the files.

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        Not a readable file, or one beyond `carrot_core.limits`.
    """
    with ExitStack() as stack:
        with tempfile.TemporaryDirectory(prefix="carrot-") as folder:
            stated = replace(reading, columns=tuple((columns or {}).values()))
            parts = parts_of(paths, Path(folder), stated)
            connection = stack.enter_context(file_checks.private_connection(memory=memory))
            unread, table = file_checks.read_python_objects(connection), None
            while table is None:
                unread.count = 0
                try:
                    table = _load(connection, source_of(paths), parts, text_columns, others, columns or {})
                except RefusedError as refusal:
                    plain = plain_part(refusal.part, Path(folder))
                    if plain is None:
                        raise DataError(refusal.part.source, [unreadable(refusal)]) from refusal
                    parts[parts.index(refusal.part)] = plain
        file_checks.lock_down(connection)
        yield replace(table, notes=(*table.notes, *unread.notes(connection, table.columns)), stack=stack)


@contextmanager
def open_rows(
    source: str, rows: pa.Table, starts: tuple[tuple[str, int], ...] = (), places: Sequence[str] = ()
) -> Iterator[TableFile]:
    """Load long rows that a reader made of other files into a locked connection, as `open_table` does with tables."""
    with ExitStack() as stack:
        connection = stack.enter_context(file_checks.private_connection())
        connection.register("rows", rows)
        connection.execute(f"create table file as select *, row_number() over () as {quote(ROW)} from rows")  # noqa: S608
        connection.unregister("rows")
        file_checks.lock_down(connection)
        described = connection.execute("describe from file").fetchall()
        types = {name: kind for name, kind, *_ in described if name != ROW}
        yield TableFile(source, connection, types, tuple(types), starts=starts, places=places, stack=stack)


def told_apart(table: TableFile) -> TableFile:
    """The long table with effort and provider in the names of models that answered a prompt several times by them.

    The model of ``effort`` high becomes ``<model>/high``, that of a provider ``<provider>/<model>``, and the name as it
    was their ``base_model`` where the file has none. Other models keep their names.
    """
    notes = list[str]()
    cell = [name for name in ("prompt_id", "model", "sample") if name in table.types]
    for fact in ("effort", "provider"):
        if not {"prompt_id", "model", fact} <= table.types.keys():
            continue
        text = f"nullif({fact}::varchar, '')"
        name = f"model || '/' || {text}" if fact == "effort" else f"{text} || '/' || model"
        several = f"select model from file group by {', '.join(cell)} having count(distinct {text}) > 1"  # noqa: S608
        models = [model for (model,) in table.connection.execute(f"select distinct * from ({several})").fetchall()]  # noqa: S608
        if not models:
            continue
        if "base_model" not in table.types:
            table.connection.execute("alter table file add column base_model varchar")
            table = replace(table, types=table.types | {"base_model": "VARCHAR"})
        table.connection.execute(
            f"update file set model = {name}, base_model = coalesce(base_model, model) "  # noqa: S608
            f"where list_contains($models, model) and {text} is not null",
            {"models": models},
        )
        notes.append(
            f"Models that answered a prompt once for each {fact} have it in their names: {names_listed(models, 5)}."
        )
    return replace(table, notes=(*table.notes, *notes))


class RefusedError(Exception):
    """DuckDB does not read a file."""

    def __init__(self, part: Part, error: Exception) -> None:
        self.part = part
        self.out_of_memory = isinstance(error, duckdb.OutOfMemoryException)
        super().__init__(str(error))


def unreadable(refusal: RefusedError) -> Problem:
    if refusal.out_of_memory:
        remedy = "Bring it in parts." if refusal.part.kind == ".parquet" else "Bring it as Parquet, or in parts."
        return Problem(f"cannot be read in {limits.TABLE_MEMORY} of memory", remedy)
    kind = {".parquet": "Parquet", ".csv": "a table of text"}.get(refusal.part.kind, "JSON lines")
    return Problem(f"cannot be read as {kind}", "Its end may be missing, or it is damaged: copy or write it again.")


def _load(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    parts: Sequence[Part],
    known: Collection[str],
    others: bool,
    mapping: Mapping[str, str],
) -> TableFile:
    """Create the table ``file``; raises `RefusedError` where DuckDB does not read a part."""
    sources = [_sources(connection, part, known, others, mapping) for part in parts]
    needed = [name for name in NEEDED if not (others and name == "score")]  # a rule may read it from other columns
    check_alike(source, parts, [[column.name for column in columns] for columns, *_ in sources], needed)
    kinds = _unified([columns for columns, *_ in sources])
    connection.execute("drop table if exists file")
    starts, rows = list[tuple[str, int]](), 0
    for part, (columns, _, types, *_) in zip(parts, sources, strict=True):
        by_name = {column.name: column for column in columns}
        selection = [f"{_as(by_name.get(name), kind)} as {quote(name)}" for name, kind in kinds.items()]
        selection.append(f"row_number() over () + {rows} as {quote(ROW)}")
        create = "insert into file" if starts else "create table file as"
        try:
            connection.execute(
                f"{create} select {', '.join(selection)} from {_reader(part, types)}",  # noqa: S608
                {"path": part.pattern},
            )
        except (duckdb.Error, RuntimeError) as error:
            raise RefusedError(part, error) from error
        starts.append((part.source, rows))
        (rows,) = connection.execute("select count(*) from file").fetchall()[0]
        if rows > limits.ROWS:
            file_checks.check_rows(part.path, rows)
    own = {column.name: column.own for columns, *_ in sources for column in columns if column.own != column.name}
    named = dict.fromkeys(name for *_, names in sources for name in names)
    twice = any(part.model is not None and "model" in each[2] for part, each in zip(parts, sources, strict=True))
    model = ["The column 'model' is not used: the model is stated."] if twice else []
    notes = [
        f"{part.source}: {note}" if len(parts) > 1 else note
        for part, (*_, of_columns, _) in zip(parts, sources, strict=True)
        for note in (*part.notes, *of_columns)
    ]
    return TableFile(
        source,
        connection,
        kinds | {name: kind for _, rest, *_ in sources for name, kind in rest.items() if name not in kinds},
        tuple(named) if len(parts) > 1 else tuple(sources[0][-1]),
        columns=own,
        starts=tuple(starts),
        notes=(*notes, *model),
    )


_Sources = tuple[list[Column], dict[str, str], dict[str, str], list[str], list[str]]


def _sources(
    connection: duckdb.DuckDBPyConnection,
    part: Part,
    known: Collection[str],
    others: bool,
    mapping: Mapping[str, str],
) -> _Sources:
    """Columns of a part, types of those that are not loaded, DuckDB's types for its reader, notes, the file's names."""
    try:
        relation = connection.sql(f"from {_reader(part)}", params={"path": part.pattern})
        described = dict(zip(relation.columns, relation.types, strict=True))
        names = _parquet_names(connection, part) if part.kind == ".parquet" else list(part.names)
        if part.kind == ".parquet":
            count = "select coalesce(sum(num_rows), 0) from parquet_file_metadata($path)"
            file_checks.check_rows(part.path, connection.execute(count, {"path": part.pattern}).fetchall()[0][0])
    except (duckdb.Error, RuntimeError) as error:
        raise RefusedError(part, error) from error
    file_checks.check_columns(part.path, len(described))
    text = part.kind != ".parquet"
    columns, rest, notes = columns_of(
        part.source, described, names, known, mapping, text=text, others=others, model=part.model
    )
    types = {name: str(kind) for name, kind in described.items()}
    types |= {column.source: column.kind for column in columns if column.source and text}
    return columns, rest, types, notes, names


def _as(column: Column | None, kind: str) -> str:
    """A column of a part in the type it has for all parts; NULL where the part has no such column."""
    if column is None:
        return f"null::{kind}"
    return column.sql if column.kind == kind else f"({column.sql})::{kind}"


def _reader(part: Part, types: Mapping[str, str] | None = None) -> str:
    """The call of DuckDB's reader for a part, with the types of its columns where they are known."""
    if part.kind == ".parquet":
        return PARQUET
    columns = ", ".join(f"{quote(name)}: {literal(kind)}" for name, kind in (types or {}).items())
    packing = f"compression = '{packed_by(part)}'"
    if part.dialect is None:
        types_text = f", columns = {{{columns}}}" if columns else ""
        most = f", maximum_object_size = {part.row_bytes + 1024}" if part.row_bytes > 1 << 24 else ""
        return f"read_json($path, {_JSON}, {packing}{types_text}{most})"
    types_text = f", types = {{{columns}}}" if columns else ""
    # A row longer than DuckDB's own limit comes after a pass that has measured it.
    most = (
        f", max_line_size = {part.row_bytes + 1024}, buffer_size = {2 * part.row_bytes + (1 << 25)}, parallel = false"
    )
    most = most if part.row_bytes > 1 << 20 else ""
    delimiter = literal(part.dialect.separator)
    return f"read_csv($path, delim = {delimiter}, skip = {part.dialect.skip_rows}, {_CSV}, {packing}{types_text}{most})"


def _parquet_names(connection: duckdb.DuckDBPyConnection, part: Part) -> list[str]:
    """Names of the columns as they stand in the file: DuckDB renames those that differ in case only."""
    # The schema is a tree written depth first; the columns are the children of its root.
    tree = iter(
        connection.execute(
            "select name, coalesce(num_children, 0) from parquet_schema($path)",
            {"path": part.pattern},
        ).fetchall()
    )
    names, open_branches = [], [next(tree)[1]]
    for name, children in tree:
        if len(open_branches) == 1:
            names.append(name)
        open_branches[-1] -= 1
        open_branches.append(children)
        while len(open_branches) > 1 and not open_branches[-1]:
            open_branches.pop()
    return names


def _unified(tables: Sequence[Sequence[Column]]) -> dict[str, str]:
    """Type of each column of several tables put one below the other, by name: text where they differ."""
    kinds: dict[str, str] = {}
    for columns in tables:
        for column in columns:
            kinds[column.name] = column.kind if kinds.get(column.name, column.kind) == column.kind else "VARCHAR"
    return kinds
