"""Rules that a long table must satisfy: each finds its bad rows by SQL and reports the first one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import duckdb

from carrot_core import limits
from carrot_core.benchmarks.cell_numbers import (
    EARLIEST,
    FRACTION,
    LATEST,
    PERCENT,
    PLAIN,
    Numbers,
    decimal_sign,
    holds_numbers,
    is_nothing,
    numbers_of,
    score_remedy,
    score_rule,
    utc,
)
from carrot_core.benchmarks.columns import as_text, guess_with_paths, hint, pairs_of, quote
from carrot_core.benchmarks.reading import Reading, short
from carrot_core.benchmarks.run_table import split_word
from carrot_core.benchmarks.split import OTHER_SPLIT
from carrot_core.benchmarks.table_file import PER_MODEL, ROW, TableFile
from carrot_core.errors import DataError, Problem, mapping_options, sql_mistake
from carrot_core.outcomes import SCORE_RANGE
from carrot_core.text import counted, names_listed, prompt_text

IDS = ("prompt_id", "model")
TEXTS = ("prompt", "task", "benchmark", "split")
OF_RUN = ("sample", "time")  # texts of one answer, where the others are of its prompt
NUMBERS = (
    "score", "input_tokens", "output_tokens", "cost_usd", "cached_input_tokens", "reasoning_tokens", "latency_s",
)  # fmt: skip
REQUIRED, MISSING = ("prompt_id", "model", "score"), "the column is missing"
RECOGNISED = (*IDS, *TEXTS, *NUMBERS, *OF_RUN)
# A larger figure is a mistake and would make sums over a benchmark meaningless.
LARGEST = 1e12
_PATHS_SHOWN = 12
_DOLLARS = r"regexp_replace({text}, '^\s*(US)?\$\s*|\s*(\$|USD)\s*$', '', 'g')"
_CONVERTED = (*NUMBERS, "time")  # what a file writes in several ways
NO_USER_TEXT = "is a list of chat messages without any text of the user"
USER_TEXT_REMEDY = (
    "The last text of a message with the role 'user' is what is embedded: add it, or leave the prompt out."
)
_AT_A_TIME = 512  # prompts held in memory
# Whether cells may be repeated, and texts of one prompt differ: hashes tell that most tables need no look at the texts.
_ALIKE = "select 1 from cells where score is not null group by hash(prompt_id, model, sample) having count(*) > 1"
_TEXT = f"hash({', '.join(TEXTS)})"
_DIFFER = f"select 1 from cells group by prompt_id having min({_TEXT}) < max({_TEXT})"  # noqa: S608  fixed names


@dataclass(frozen=True)
class Rule:
    """Rows of the view ``cells`` for which ``bad`` holds must not exist."""

    column: str
    bad: str
    message: str
    remedy: str | Callable[[], str]


def create_views(table: TableFile) -> None:
    """Views ``cells``, for the reader, and ``choosable``, for a predicate.

    ``cells`` has every recognised column in its type, NULL where absent, ``raw_…``, the text of each number and
    time, ``row``, the row of the file, and ``cell``, another number for each cell, in the order of the file.
    ``choosable`` is the file with its recognised numbers as numbers.
    """
    typed = {name: typed_as(name, name, table.types.get(name), table.numbers) for name in RECOGNISED}
    columns = ", ".join(f"{kind} as {name}" for name, kind in typed.items())
    raw = ", ".join(f"{name if name in table.types else 'null'}::varchar as raw_{name}" for name in _CONVERTED)
    places = f"{quote(ROW)} as row, {quote(ROW)} as cell"
    table.connection.execute(f"create view cells as select {places}, {columns}, {raw} from file")  # noqa: S608
    numbers = ", ".join(f"{typed[name]} as {name}" for name in NUMBERS if name in table.types)
    replaced = f"replace ({numbers})" if numbers else ""
    table.connection.execute(f"create view choosable as select * {replaced} from file")  # noqa: S608


def with_numbers(table: TableFile, columns: Collection[str], reading: Reading) -> TableFile:
    """The table with how the numbers in some columns are written, as stated or found; a note says what was found.

    Raises
    ------
    DataError
        It cannot be told, or the rule for scores cannot be used.
    """
    texts = [name for name in columns if table.types.get(name) == "VARCHAR"]
    rule = score_rule(reading.score, table.types)
    numbers, notes = numbers_of(table.source, table.connection, texts, reading.decimal, rule)
    table = replace(table, numbers=numbers, notes=(*table.notes, *notes))
    return _with_expression(table, rule.text) if rule and rule.is_expression else table


def _with_expression(table: TableFile, rule: str) -> TableFile:
    """The table with the value of an expression over its columns as the score."""
    if "model" not in table.types:
        raise DataError(table.source, f"the rule {rule!r} is an expression for a table with a row for each model")
    names = [name for name in NUMBERS if name in table.types]
    number = {name: typed_as(name, name, table.types[name], replace(table.numbers, score=None)) for name in names}
    if "score" in number:
        words = f"raw <> '' and {number['score'].replace('score', 'raw')} is null"
        (words_too,) = table.connection.execute(
            f"select count(*) > 0 from (select score::varchar as raw from file) where {words}"  # noqa: S608
        ).fetchall()[0]
        if words_too:
            del number["score"]  # the expression says what its words mean
    typed = ", ".join(f"{sql} as {name}" for name, sql in number.items())
    if _is_constant(table.connection, rule):
        words = "Two words need a letter in each, as in C/I; an expression names a column, as in score / 100."
        raise DataError(table.source, [Problem(f"the rule {rule!r} gives every score one value", words)])
    try:
        rows = table.connection.sql(f"select * {f'replace ({typed})' if typed else ''} from file")  # noqa: S608
        others = duckdb.StarExpression(exclude=["score"] if "score" in table.types else [])
        rows.project(others, duckdb.SQLExpression(rule).cast("double").alias("score")).create("scored")
    except (duckdb.Error, RuntimeError) as error:
        raise DataError(table.source, [sql_mistake(f"the rule {rule!r} cannot be used", str(error), rule)]) from error
    table.connection.execute("drop table file; alter table scored rename to file")
    return replace(table, types=table.types | dict.fromkeys([*number, "score"], "DOUBLE"))


def _is_constant(connection: duckdb.DuckDBPyConnection, expression: str) -> bool:
    """Whether an expression can be evaluated without any column."""
    try:
        connection.sql("select 1").project(duckdb.SQLExpression(expression))
    except (duckdb.Error, RuntimeError):
        return False
    return True


def typed_as(name: str, column: str, kind: str | None, numbers: Numbers = PLAIN) -> str:
    """SQL that reads a recognised column, or the column (an identifier) that holds it, in its type."""
    if kind is None:
        return "null::double" if name in NUMBERS else "null::varchar"
    if name == "time":
        return utc(f"{column}::varchar")
    if name not in NUMBERS:
        text = f"nullif({as_text(column, kind)}, '')"
        text = split_word(text) if name == "split" else text
        return f"if(isnan({column}), null, {text})" if kind in ("FLOAT", "DOUBLE") else text
    numeric, text = holds_numbers(kind), f"{column}::varchar"
    number = f"{column}::double" if numeric else numbers.plain(text)
    if name == "cost_usd" and not numeric:  # a currency's sign says what the column's name says
        number = f"coalesce({number}, {numbers.plain(_DOLLARS.format(text=text))})"
    if name == "score" and (numbers.score or not numeric):
        number = numbers.scored(text, number)
    return f"if(isnan({number}), null, {number})"  # NaN is how most tools write "not recorded"


def bounds_of(number: str) -> tuple[float, float]:
    """Smallest and largest legal value of a column: a score, or dollars and tokens."""
    return SCORE_RANGE if number == "score" else (0.0, LARGEST)


def problems(table: TableFile) -> list[Problem]:
    """Everything wrong with the rows that were kept, one entry for each kind."""
    problems = [
        Problem(MISSING, _where_it_may_be(name, table), column=name) for name in REQUIRED if name not in table.types
    ]
    if len(problems) > 1 and (options := _options(table)):
        problems[-1] = replace(problems[-1], remedy=f"{problems[-1].remedy} All that is likely: {options}")
    for rule in (*broken(table, _rules_of_cells(table)), *_rules_across(table)):
        problems.extend(violations(table, rule))
    problems.extend(chat_problems(table, "cells", "row"))
    return problems or _of_the_whole(table)


def chat_problems(table: TableFile, view: str, row: str) -> list[Problem]:
    """Prompts of a view that are chats without any text of the user, in one problem; ``row`` is its column of rows."""
    cursor = table.connection.execute(
        rf"select min({row}), prompt from {view} where regexp_matches(prompt, '^\s*[\[{{]') group by prompt"  # noqa: S608
    )
    batches = iter(lambda: cursor.fetchmany(_AT_A_TIME), [])
    rows = [row for batch in batches for row, prompt in batch if prompt_text(prompt) is None]
    if not rows:
        return []
    several = f" (first of {len(rows):,} such prompts)" if len(rows) > 1 else ""
    return [Problem(f"{NO_USER_TEXT}{several}", USER_TEXT_REMEDY, min(rows), table.column_of("prompt", None))]


def _where_it_may_be(name: str, table: TableFile) -> str:
    """The columns there are, and where one that is missing may be."""
    own = _own_names(table)
    likely, text = hint(name, own, table.paths), hint("prompt", own, table.paths)
    if name == "prompt_id" and not likely and text:
        likely = f" Without one, equal texts are one prompt.{text}"
    inside = f" Inside its objects: {names_listed(table.paths, _PATHS_SHOWN)}." if table.paths and not likely else ""
    listed = f"The file has: {names_listed(own)}.{inside}{likely}"
    if len(own) == 1 and not own[0].isidentifier():
        return f"{listed} If that is a whole row, name the character between its values: --separator."
    if name == "model" and not likely and (pairs := pairs_of(own, PER_MODEL)):
        return f"{listed} If each model has a column of scores: {mapping_options(pairs)}"
    if name == "model" and not likely:
        listed += " If every file is of one model: --model-from file, folder, or its name."
        if "score" not in table.types and not hint("score", own, table.paths):
            listed += " If each model has a column of scores, one <model>|cost_usd, or of tokens, stands beside it,"
            listed += " or --cost-per-call MODEL USD says what a call of it costs."
    return listed


def _options(table: TableFile) -> str:
    """Options for the file's columns that are probably meant by recognised ones that it lacks."""
    likely = guess_with_paths(_own_names(table), table.paths).items()
    return mapping_options({name: own for name, own in likely if name not in table.types})


def _own_names(table: TableFile) -> list[str]:
    return list(dict.fromkeys([*(table.columns.get(column, column) for column in table.types), *table.named]))


def cell_rules(types: Mapping[str, str], numbers: Numbers = PLAIN) -> Iterator[Rule]:
    """Rules for ids and numbers, which hold for every file; each looks at one cell alone."""
    for name in [name for name in IDS if name in types]:
        empty = f"{name} is null or regexp_full_match({name}, '\\s*') or lower({name}) = 'nan'"
        yield Rule(name, empty, "is empty or nan", "Every row names both ids: unmerge cells, leave totals out.")
        yield Rule(name, f"contains({name}, chr(0))", "has a NUL character in it", "Remove it.")
    for name in [name for name in NUMBERS if name in types]:
        scale = numbers.score if name == "score" else None
        if scale is not None or not holds_numbers(types[name]):  # a number is one, and is not written as text to see it
            text = f"{name} is null and raw_{name} <> '' and not {is_nothing(f'raw_{name}')}"
            what = "is neither " + " nor ".join(scale.words) if scale and scale.words else "is not a number"
            what += " or a fraction such as 3/5, its second number above 0" if scale and scale.text == FRACTION else ""
            plain = "a plain number of US dollars" if name == "cost_usd" else "a plain number"
            yield Rule(name, text, what, f"Write {plain}, or nothing where none was recorded.")
        if scale and scale.text == PERCENT and not holds_numbers(types[name]):
            others = "(select bool_or(contains(raw_score, '%')) from cells)"
            unclear = f"score > 0 and score <= 0.01 and not contains(raw_score, '%') and {others}"
            yield Rule(name, unclear, "has no % sign, and others have", "Write it as a percentage, with the sign.")
        low, high = bounds_of(name)
        ends = f"{scale.low:g} to {scale.high:g}" if scale and not scale.is_expression else f"{low:.0f} to {high:,.0f}"
        yield Rule(name, f"not {name} between {low} and {high}", f"must be from {ends}", "Correct it or leave it out.")
    if "time" in types:
        text = f"time is null and raw_time <> '' and not {is_nothing('raw_time')}"
        remedy = "Write 2026-01-31T12:00:00Z or seconds since 1970; seconds that an answer took are latency_s."
        yield Rule("time", text, f"is not a time from {EARLIEST[:4]} to {LATEST[:4]}", remedy)


def _rules_of_cells(table: TableFile) -> Iterator[Rule]:
    for of_cell in cell_rules(table.types, table.numbers):
        stated = of_cell.column != "score" or table.numbers.score
        yield of_cell if stated else replace(of_cell, remedy=lambda: _score_remedy(table))


def _rules_across(table: TableFile) -> Iterator[Rule]:
    """Rules for splits, repeated cells and texts, most of which compare a cell with others."""
    types = table.types
    if "split" in types:
        remedy = f"Rename it, or leave its rows out: --where \"split <> 'unused'\". {OTHER_SPLIT}"
        yield Rule("split", "split not in ('train', 'validation', 'test')", "must be train, validation or test", remedy)
        partly = "split is null and (select count(split) from cells) > 0"
        yield Rule("split", partly, "is empty here and given elsewhere", f"Give every row its split. {OTHER_SPLIT}")
    if types.keys() >= set(REQUIRED) and table.connection.execute(f"{_ALIKE} limit 1").fetchall():
        twice = (
            "cell in (select cell from cells where score is not null "
            "qualify row_number() over (partition by prompt_id, model, sample order by cell) > 1)"
        )
        again = ", in this sample too" if "sample" in types else ""
        what = f"stands on an earlier row already{again}" if table.wide else f"has already answered this prompt{again}"
        yield Rule("prompt_id" if table.wide else "model", twice, what, lambda: _runs_remedy(table))
    some_differ = "prompt_id" in types and table.connection.execute(f"{_DIFFER} limit 1").fetchall()
    for name in [name for name in TEXTS if some_differ and name in types]:
        first = f"(select prompt_id, arg_min({name}, row) as first from cells group by prompt_id)"  # noqa: S608
        differs = f"row in (select row from cells join {first} using (prompt_id) where {name} <> first)"  # noqa: S608
        yield Rule(name, differs, "differs from an earlier row of the same prompt_id", "One id is one prompt.")


def _runs_remedy(table: TableFile) -> str:
    """What to do about several answers of a model to a prompt: runs, or a prompt_id that is none."""
    counts = "select count(distinct prompt_id), count(distinct row) from cells"
    ids, rows = table.connection.execute(counts).fetchall()[0]
    own, others = table.column_of("prompt_id", None), [name for name in table.types if name != "sample"]
    return (
        f"Tell runs of one prompt apart by a column sample; else keep one row.{hint('sample', others)} "
        f"Or does another column tell the prompts apart? {own!r} has {counted(ids, 'value')} in {counted(rows, 'row')}."
    )


def broken(table: TableFile, rules: Iterable[Rule]) -> list[Rule]:
    """Those of the rules for single cells that some cell breaks, found in one pass: most files break none."""
    rules = list(rules)
    if not rules:
        return []
    flags = ", ".join(f"bool_or({rule.bad})" for rule in rules)
    (answers,) = table.connection.execute(f"select {flags} from cells").fetchall()  # noqa: S608
    return [rule for rule, answer in zip(rules, answers, strict=True) if answer]


def violations(table: TableFile, rule: Rule) -> Iterator[Problem]:
    """The rows that break a rule, in one problem; none where there are none."""
    column = f"raw_{rule.column}" if rule.column in _CONVERTED else rule.column
    count, row, first = table.connection.execute(
        f"select count(distinct row), min(row), arg_min({{'value': coalesce({column}, ''), 'model': model}}, cell) "  # noqa: S608
        f"from cells where {rule.bad}"
    ).fetchall()[0]
    if count:
        many = f"{rule.message} (first of {count:,} such rows)" if count > 1 else rule.message
        remedy, own = rule.remedy, table.column_of(rule.column, first["model"])
        if first["value"] == own:
            remedy = "The names of the columns stand here again: remove the row."
        elif rule.column in NUMBERS and decimal_sign([first["value"]]) == "," and not table.numbers.thousands:
            remedy = "It has a decimal comma, other numbers have a point: write all with one decimal sign."
        yield Problem(many, remedy if isinstance(remedy, str) else remedy(), row, own, short(first["value"]))


def _score_remedy(table: TableFile) -> str:
    """What to do about scores that are not from 0 to 1, by all the scores of the file."""
    number = table.numbers.plain("raw_score")
    low, high, words = table.connection.execute(
        f"select min(number) filter (isfinite(number)), max(number) filter (isfinite(number)), "  # noqa: S608
        f"(select list(word) from (select distinct raw_score as word from cells where {number} is null "
        f"and raw_score <> '' and not {is_nothing('raw_score')} order by word limit 3)) "
        f"from (select {number} as number from cells)"
    ).fetchall()[0]
    return score_remedy(low, high, words or [])


def _of_the_whole(table: TableFile) -> list[Problem]:
    rows, scored, prompts, models, model = table.connection.execute(
        "select (select count(*) from cells), count(*), count(distinct prompt_id), count(distinct model), "
        "any_value(model) from cells where score is not null"
    ).fetchall()[0]
    if not rows:
        return [Problem("there are no rows", "The file is empty, or no row satisfies the predicate.")]
    if not scored:
        return [Problem("no row has a score", " ".join(("A score from 0 to 1 is needed.", *table.notes)), 1, "score")]
    if models == 1:
        remedy = " ".join(("Routing needs two or more.", *table.notes))
        return [Problem(f"there is only one model, {model!r}", remedy, column="model")]
    samples = 1
    if "sample" in table.types:
        runs = "select count(*) as runs from cells where score is not null group by prompt_id, model"
        (samples,) = table.connection.execute(f"select max(runs) from ({runs})").fetchall()[0]  # noqa: S608  fixed text
    return size_problems(prompts, models, samples)


def size_problems(prompts: int, models: int, samples: int = 1) -> list[Problem]:
    """More cells than a table may have, in one problem."""
    if prompts * models * samples <= limits.CELLS:
        return []
    several = f" x {samples:,} samples" if samples > 1 else ""
    size = f"{prompts:,} prompts x {models:,} models{several} are more than {limits.CELLS:,} cells"
    return [Problem(size, "Were prompt_id and model mixed up? Else keep fewer with a predicate.")]
