"""How cells of a table are written: numbers and their signs, true and false, words for nothing, scores."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import duckdb

from carrot_core.benchmarks.columns import literal, quote
from carrot_core.errors import DataError, Problem
from carrot_core.text import counted

_EXPONENT = "([eE][+-]?\\d+)?"
_POINTS = "[1-9]\\d{0,2}(\\.\\d{3})+"  # a whole number with points between its thousands
# A number with a decimal comma, points between its thousands; one with commas between its thousands, or, as in India,
# its hundreds; and one with a point that can only be a decimal point. "1,234" is of the first two kinds.
DECIMAL_COMMA = f"\\s*[+-]?(\\d*|{_POINTS}),\\d+{_EXPONENT}\\s*"
THOUSANDS = f"\\s*[+-]?([1-9]\\d{{0,2}}(,\\d{{3}})+|[1-9]\\d?(,\\d{{2}})+,\\d{{3}})(\\.\\d*)?{_EXPONENT}\\s*"
_OTHER_SIGNS = "'’ \u00a0\u2009\u202f"  # between thousands, as in 1'234.5 and 1 234,5
_MAY_HAVE_OTHER_SIGNS = "contains({0}, '''') or contains({0}, ' ') or strlen({0}) > length({0})"
_GROUPED = f"\\s*[+-]?[1-9]\\d{{0,2}}([{_OTHER_SIGNS}]\\d{{3}})+([.,]\\d*)?{_EXPONENT}\\s*"
_DECIMAL_POINT = f"\\s*[+-]?(\\d*\\.(\\d{{1,2}}|\\d{{4,}})|(0|\\d{{4,}})?\\.\\d+){_EXPONENT}\\s*"
_GERMAN = f"\\s*[+-]?(\\d*|{_POINTS})(,\\d+)?{_EXPONENT}\\s*"
_RANGE = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*\.\.\s*(-?\d+(?:\.\d+)?)\s*")
_WORDS = re.compile(r"\s*([^\s/()+*'\"]{1,20})\s*/\s*([^\s/()+*'\"]{1,20})\s*")
RIGHT_WORDS = (
    "true", "t", "yes", "y", "correct", "c", "pass", "passed", "success", "right", "win", "ok", "good", "solved",
    "resolved", "1", "wahr", "ja", "richtig", "vrai", "oui", "verdadero", "sí", "si", "vero", "sì", "✓", "✔", "✅",
)  # fmt: skip
# What tools and languages write for nothing; "nan" also with a sign.
_NOTHING = ("nan", "na", "n/a", "#n/a", "<na>", "null", "none")
_NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN")
PERCENT, FRACTION = "percent", "fraction"
MEASURES = {"score", "cost_usd", "input_tokens", "output_tokens", "latency_s"}  # that no name of a model is
_OF = r"\s*[0-9.,]+\s*/\s*[0-9.,]+\s*"  # a fraction
_SHOWN = 80  # characters of a cell in a note
EARLIEST, LATEST = "1990-01-01", "2100-01-01"  # of a time; seconds since 1970 lie there, years and durations do not


@dataclass(frozen=True)
class ScoreRule:
    """What makes 0 to 1 of a score.

    Attributes
    ----------
    text : as it is stated: "percent", "fraction" (3/5, and a number from 0 to 1 as it is), a range such as "1..10", two
        words such as "C/I", the first of which is 1 and the second 0, or an SQL expression over the columns.
    low, high : ends of a range; of percent 0 and 100.
    words : the two words in lower case.
    """

    text: str
    low: float = 0.0
    high: float = 1.0
    words: tuple[str, str] | None = None

    @property
    def is_expression(self) -> bool:
        """Whether it is an SQL expression."""
        return self.text not in (PERCENT, FRACTION) and self.words is None and not _RANGE.fullmatch(self.text)


def score_rule(text: str | None, names: Collection[str] = ()) -> ScoreRule | None:
    """The rule that a text states; None for none.

    Parameters
    ----------
    names : of the columns of the file: "a/b" with such names is an expression, not two words.

    Raises
    ------
    DataError
        A range that goes nowhere.
    """
    if text is None or not text.strip():
        return None
    if text.strip().casefold() == PERCENT:
        return ScoreRule(PERCENT, 0.0, 100.0)
    if text.strip().casefold() == FRACTION:
        return ScoreRule(FRACTION)
    if limits := _RANGE.fullmatch(text):
        low, high = float(limits[1]), float(limits[2])
        if low >= high:
            raise DataError("score", f"the range {text!r} must go from the lowest score to the highest")
        return ScoreRule(text.strip(), low, high)
    words = _WORDS.fullmatch(text)
    if words and not any(_is_number(word) or word in names for word in words.groups()):
        return ScoreRule(text.strip(), words=(words[1].casefold(), words[2].casefold()))
    return ScoreRule(text.strip())


def holds_numbers(kind: str) -> bool:
    """Whether DuckDB's type of a column is one of numbers, or of true and false."""
    return kind.removeprefix("U").startswith(_NUMERIC) and not kind.endswith("]")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Numbers:
    """How the numbers of a table are written.

    Attributes
    ----------
    decimal : "." or ",".
    thousands : whether commas stand between thousands.
    other_signs : whether apostrophes or spaces do in some numbers.
    score : the rule for scores; None if they are 0 to 1.
    """

    decimal: str = "."
    thousands: bool = False
    score: ScoreRule | None = None
    other_signs: bool = False

    def plain(self, text: str) -> str:
        """Expression for the number that an expression of text is; NULL if it is none."""
        text = _without_other_signs(text) if self.other_signs else text
        number = f"try_cast(if(contains({text}, '_'), null, {text}) as double)"  # DuckDB reads 1_0 as 10
        if self.decimal == ",":
            german = f"try_cast(replace(replace({text}, '.', ''), ',', '.') as double)"
            other = f"if(contains({text}, '.'), null, {number})"
            return f"if(regexp_full_match({text}, {literal(_GERMAN)}), {german}, {other})"
        if self.thousands:
            grouped = f"try_cast(replace({text}, ',', '') as double)"
            return f"if(regexp_full_match({text}, {literal(THOUSANDS)}), {grouped}, {number})"
        return number

    def scored(self, text: str, number: str) -> str:
        """Expression for a score from 0 to 1, of its text and its number: by the rule, or as it is."""
        words = self.score.words if self.score else ("true", "false")
        if words:
            word = f"lower(trim({text}))"
            case = f"case {word} when {literal(words[0])} then 1.0 when {literal(words[1])} then 0.0"
            return f"{case} else {'null' if self.score else number} end"
        if self.score is None or self.score.is_expression:
            return number
        if self.score.text == FRACTION:
            above, below = (self.plain(f"trim(split_part({text}, '/', {place}))") for place in (1, 2))
            return f"if(regexp_full_match({text}, {literal(_OF)}), {above} / nullif({below}, 0), {number})"
        if self.score.text == PERCENT:
            without_sign = self.plain(f"rtrim({text}, '% ')")
            return f"coalesce({number}, {without_sign}) / 100"
        return f"({number} - ({self.score.low!r})) / ({self.score.high!r} - ({self.score.low!r}))"


PLAIN = Numbers()


def _without_other_signs(text: str) -> str:
    """SQL for a text, without the apostrophes or spaces between its thousands if it is such a number."""
    plain = f"regexp_replace({text}, {literal(f'[{_OTHER_SIGNS}]')}, '', 'g')"
    return f"if(regexp_full_match({text}, {literal(_GROUPED)}), {plain}, {text})"


def numbers_of(
    source: str,
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    decimal: str | None,
    rule: ScoreRule | None,
) -> tuple[Numbers, list[str]]:
    """Find how the numbers in the text columns of the table ``file`` are written.

    Parameters
    ----------
    source : name of the file, for a message.
    columns : the columns of text that hold numbers.
    decimal : the decimal sign if it is stated.

    Returns
    -------
    How they are written, and notes on what was found.

    Raises
    ------
    DataError
        A comma, or a point in a count of tokens, may be a decimal sign or stand between thousands.
    """
    if not columns:
        return Numbers(decimal or ".", score=rule), []
    counts = [column for column in columns if column.endswith("_tokens")]
    tests = ("contains({}, ',')", columns), ("contains({}, '.')", counts), (_MAY_HAVE_OTHER_SIGNS, columns)
    has = (" or ".join(test.format(quote(column)) for column in some) or "false" for test, some in tests)
    query = f"select {', '.join(f'bool_or({each})' for each in has)} from file"  # noqa: S608
    comma, point, other = connection.execute(query).fetchall()[0]
    numbers, notes = Numbers(decimal or ".", score=rule), list[str]()
    if other:
        query = f"select min(v) from ({_values(columns)}) where regexp_full_match(v, {literal(_GROUPED)})"  # noqa: S608
        ((example,),) = connection.execute(query).fetchall()
        if example:
            numbers = replace(numbers, other_signs=True)
            notes.append(f"Apostrophes and spaces in numbers stand between thousands, as in {example!r}.")
    if decimal == "," or not (comma or point):
        return numbers, notes
    if not comma:
        return numbers, notes + _points_in_counts(source, connection, columns, counts, decimal)
    is_comma, is_thousands, is_point = (
        f"regexp_full_match(v, {literal(kind)})" for kind in (DECIMAL_COMMA, THOUSANDS, _DECIMAL_POINT)
    )
    commas, grouped, either, points, example = connection.execute(
        f"select count(*) filter ({is_comma} and not {is_thousands}), "  # noqa: S608
        f"count(*) filter ({is_thousands} and not {is_comma}), count(*) filter ({is_comma} and {is_thousands}), "
        f"count(*) filter ({is_point}), min(v) filter ({is_comma} and {is_thousands}) "
        f"from ({_values(columns, other_signs=numbers.other_signs)})"
    ).fetchall()[0]
    if decimal == ".":
        return replace(numbers, thousands=True), notes
    if commas and not grouped and not points:
        note = "Numbers have a decimal comma; --decimal . reads commas as thousands."
        return replace(numbers, decimal=","), [*notes, note]
    if commas or not (grouped or either):
        return numbers, notes  # each value that is then no number is told
    if not grouped and not points:
        remedy = "State it: --decimal , reads a decimal comma, --decimal . reads commas between thousands."
        message = "the comma in numbers may be a decimal comma or stand between thousands"
        column = _column_with(connection, columns, example, other_signs=numbers.other_signs)
        raise DataError(source, [Problem(message, remedy, column=column, value=repr(example))])
    return replace(numbers, thousands=True), [*notes, "Commas in numbers stand between thousands."]


def _values(columns: Sequence[str], *, other_signs: bool = False) -> str:
    """SQL for the values of several columns, one below the other, as ``v``, without % and $."""
    values = [f"ltrim(rtrim({quote(column)}, '% $'), '$ ')" for column in columns]
    values = [_without_other_signs(value) for value in values] if other_signs else values
    return " union all ".join(f"select {value} as v from file" for value in values)  # noqa: S608


def _column_with(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], value: str, *, other_signs: bool = False
) -> str | None:
    """The first of some columns that has a value."""
    queries = {name: f"select 1 from ({_values([name], other_signs=other_signs)}) where v = $v" for name in columns}  # noqa: S608
    return next((name for name, query in queries.items() if connection.execute(query, {"v": value}).fetchone()), None)


def _points_in_counts(
    source: str,
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[str],
    counts: Sequence[str],
    decimal: str | None,
) -> list[str]:
    """A note on counts of tokens that are not whole, in a file without commas in its numbers.

    Raises a `DataError` where a point may stand between thousands: nothing states or shows a decimal point, and of
    the counts that have one, all have three digits behind it, not all of them 0 as a program would write them; or
    others have none, which a 0 and a word for nothing tell nothing of.
    """
    grouped = f"regexp_full_match(trim(v), {literal(_POINTS)})"
    number = "try_cast(v as double)"
    whole = f"not contains(v, '.') and isfinite({number}) and {number} <> 0"
    telling, fractions, example, fraction = connection.execute(
        f"select count(*) filter ({grouped} and not ends_with(rtrim(v), '.000') or {whole}), "  # noqa: S608
        f"count(*) filter (isfinite({number}) and {number} % 1 <> 0), min(v) filter ({grouped}), "
        f"min(v) filter (isfinite({number}) and {number} % 1 <> 0) from ({_values(counts)})"
    ).fetchall()[0]
    is_point = f"regexp_full_match(v, {literal(_DECIMAL_POINT)})"
    (points,) = connection.execute(
        f"select count(*) filter ({is_point}) from ({_values(columns)})"  # noqa: S608
    ).fetchall()[0]
    if example and telling and not (decimal or points):
        remedy = "State it: --decimal , reads points between thousands, --decimal . reads counts that are not whole."
        message = "the point in counts of tokens may be a decimal point or stand between thousands"
        column = _column_with(connection, counts, example)
        raise DataError(source, [Problem(message, remedy, column=column, value=repr(example))])
    counts_of_tokens = counted(fractions, "count of tokens is", "counts of tokens are")
    note = f"{counts_of_tokens} not whole, such as {fraction!r}: kept, as means and estimates are."
    return [note] if fractions else []


def is_nothing(text: str) -> str:
    """SQL for whether a text is a word for nothing."""
    return f"ltrim(lower(trim({text})), '+-') in ({', '.join(map(literal, _NOTHING))})"


def decimal_sign(cells: Iterable[str]) -> str:
    """The decimal sign that some cells show: a comma where a number has one and none has a point."""
    comma = False
    for cell in cells:
        cell = re.sub(f"[{_OTHER_SIGNS}]", "", cell) if re.fullmatch(_GROUPED, cell) else cell
        if re.fullmatch(_DECIMAL_POINT, cell):
            return "."
        comma = comma or bool(re.fullmatch(DECIMAL_COMMA, cell) and not re.fullmatch(THOUSANDS, cell))
    return "," if comma else "."


def score_remedy(low: float | None, high: float | None, words: Sequence[str]) -> str:
    """What to do about scores that are not 0 to 1.

    Parameters
    ----------
    low, high : the smallest and the largest score that is a number; None if none is.
    words : some of those that are none.
    """
    if words:
        plain = [word.strip() for word in words]
        if all(word.endswith("%") for word in plain):
            return "State the rule: --score percent."
        if (low is None or 0 <= low <= (high or 0) <= 1) and all(re.fullmatch(_OF, word) for word in plain):
            return "State the rule: --score fraction."
        if all(word.startswith("[") for word in plain):
            return "A cell is a list: name the item that counts, as in --column score=score.0."
        rule = score_rule("/".join(plain)) if len(plain) == 2 and low is None else None
        if rule and rule.words:
            first, second = sorted(plain, key=lambda word: (word.casefold() not in RIGHT_WORDS, word))
            if first.casefold() not in RIGHT_WORDS:
                return (
                    f"State which of the two is right by naming it first: --score {first}/{second} or {second}/{first}."
                )
            return f"If {first!r} is right and {second!r} is wrong, state the rule: --score {first}/{second}."
        if any(re.search(r"\d|^\W", word) for word in plain):
            return "Write a plain number from 0 to 1, or nothing where none was recorded."
        return (
            "Write a number from 0 to 1, or state a rule as an SQL expression: --score \"if(score = 'right', 1, 0)\"."
        )
    if low is None or high is None:
        return "Correct it or leave it out."
    span = f"The scores go from {low:g} to {high:g}"
    if low < 0:
        end = max(-low, high)
        return f"{span}: state the rule that makes 0 to 1 of them, such as --score {-end:g}..{end:g}."
    if high <= 1:
        return "Correct it or leave it out."
    if high <= 10:
        top = 5 if high <= 5 else 10
        return f"{span}: state their scale, such as --score 1..{top} or --score 0..{top}."
    if high <= 100:
        return f"{span}: if they are percentages, state the rule --score percent."
    return f"{span}: state the rule that makes 0 to 1 of them, such as --score 0..{high:g}."


def utc(text: str) -> str:
    """SQL that reads a time, ISO 8601 or a number since 1970, and writes it in UTC; NULL where it is neither."""
    number, has_zone = f"try_cast({text} as double)", f"regexp_matches({text}, ':[0-9]{{2}}.*(Z|[+-][0-9:]{{2,5}})$')"
    of_number = f"{number} * case when {number} < 1e11 then 1e6 when {number} < 1e14 then 1e3 else 1 end"
    # Without a zone it is UTC, not the zone of this machine.
    of_text, with_zone = (f"epoch_us(try_cast({text} as {kind}))" for kind in ("timestamp", "timestamptz"))
    microseconds = f"coalesce({of_number}, if({has_zone}, {with_zone}, {of_text}))"
    early, late = (f"epoch_us(timestamp '{day}')" for day in (EARLIEST, LATEST))
    inside = f"if({microseconds} between {early} and {late}, {microseconds}::bigint, null)"
    return f"strftime(make_timestamp({inside}), '%Y-%m-%dT%H:%M:%S.%fZ')"
