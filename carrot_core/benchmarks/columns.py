"""Which column of a file is which: guessed from common names, and what a name or a path in objects stands for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import duckdb

from carrot_core.errors import DataError, Problem, mapping_options
from carrot_core.text import names_listed

# The first name that a file has is used. Units are never guessed: a cost or latency says dollars or seconds.
_SYNONYMS = {
    "prompt_id": (
        "promptid", "id", "questionid", "sampleid", "queryid", "exampleid", "itemid", "docid", "uid", "key",
        "questionno", "questionnumber", "promptno", "promptnumber", "qid", "itemno",
        "frageid", "fragenr", "fragenummer", "anfrageid", "anfragenr", "anfragenummer", "aufgabenid", "aufgabennr",
    ),
    "model": ("model", "modelname", "modelid", "llm", "llmname", "engine", "modell", "modellname", "sprachmodell"),
    "score": (
        "score", "correct", "iscorrect", "accuracy", "acc", "performance", "exactmatch", "passed", "quality",
        "success", "isright", "right", "solved", "resolved", "pass", "punkte", "richtig", "bewertung", "rating",
        "grade"),
    "prompt": ("prompt", "prompttext", "messages", "question", "input", "query", "instruction", "inputtext", "text",
               "frage", "anfrage"),
    "task": ("task", "taskname", "subject", "category", "evalname", "subtask", "topic", "aufgabe", "kategorie",
             "thema"),
    "benchmark": ("benchmark", "benchmarkname", "dataset", "datasetname", "family", "suite"),
    "input_tokens": ("inputtokens", "numinputtokens", "prompttokens", "tokensin", "ninputtokens", "eingabetoken",
                     "eingabetokens"),
    "output_tokens": ("outputtokens", "numoutputtokens", "completiontokens", "tokensout", "noutputtokens",
                      "ausgabetoken", "ausgabetokens"),
    "cost_usd": ("costusd", "usd", "usdcost", "costinusd", "totalcostusd", "cost$", "costdollars", "dollars",
                 "priceusd", "usdprice", "priceinusd", "pricedollars", "costinusdollars", "totalusd",
                 "kostenusd", "kosteninusd", "kosten$", "kostendollar", "kostenindollar"),
    "cached_input_tokens": (
        "cachedinputtokens", "inputtokenscached", "cachedtokens", "cachereadinputtokens", "cachereadtokens",
    ),
    "split": ("split", "partition"), "reasoning_tokens": ("reasoningtokens", "outputreasoningtokens", "thinkingtokens"),
    "latency_s": ("latencys", "latencyseconds", "latencysec", "durations", "durationseconds", "elapsedseconds"),
    "sample": ("sample", "samplenumber", "epoch", "run", "trial", "repeat", "repetition", "attempt", "replicate"),
    "time": ("time", "timestamp", "datetime", "createdat", "starttime"),
}  # fmt: skip
_MODEL_PATHS = ("providerid", "providername", "providerlabel")  # of objects; a column of that name is no model
_ANY_OBJECT = ("id", "key", "uid", "text", "input", "prompt", "query", "time", "run")  # keys that alone tell nothing
_NEAR, _NEAR_LENGTH = 0.85, 5  # how alike, and how long, a name is that is probably a misspelt one
_NO_SCORE = re.compile("(is|was|has)?(in|un|no|by|dis|mis)|.*(fail|wrong|error|scorer)")  # its opposite, or whose
COLUMN_LEVELS = 3  # of objects in objects that are looked into
_APART = re.compile(r"[\s_\-.()\[\]]+")


def guess_columns(names: Collection[str], truths: Collection[str] = ()) -> dict[str, str]:
    """The file's own name of each recognised column that can be guessed, by the recognised name.

    Parameters
    ----------
    names : of the file's columns; case, spaces, hyphens and underscores do not matter.
    truths : columns that hold true and false; the only one is the score where no name is, and its own is no opposite.
    """
    guessed: dict[str, str] = {}
    plain = {_plain(name): name for name in reversed(list(names)) if name not in _SYNONYMS}
    for recognised, synonyms in _SYNONYMS.items():
        matches = [plain[synonym] for synonym in synonyms if synonym in plain]
        if recognised in names or matches:
            guessed[recognised] = recognised if recognised in names else matches[0]
    if "score" not in guessed and len(truths) == 1 and not _NO_SCORE.match(_plain(truth := next(iter(truths)))):
        guessed["score"] = truth
    return guessed


def guess_with_paths(names: Collection[str], paths: Collection[str], truths: Collection[str] = ()) -> dict[str, str]:
    """`guess_columns`, and for a name that no column has the path into objects that it probably stands for.

    An object is none of the columns that are `NEEDED`: one of its paths may be.
    """
    guessed = {
        name: own
        for name, own in guess_columns(names, truths).items()
        if name not in NEEDED or own == name or not any(path.startswith(f"{own}.") for path in paths)
    }
    of_paths = {name: path for name in _SYNONYMS if name not in guessed and (path := _guess_path(name, paths))}
    return guessed | of_paths


def _near(missing: str, names: Collection[str]) -> str | None:
    """The name that is nearly one of those of a recognised column, and is that of no other; None where none is."""
    plain = {_plain(name): name for name in names if not guess_columns([name])}
    long = [name for name in plain if len(name) >= _NEAR_LENGTH and not _NO_SCORE.match(name)]
    matches = (match for each in _SYNONYMS[missing] for match in get_close_matches(each, long, 1, _NEAR))
    return next((plain[match] for match in matches), None)


def pairs_of(names: Collection[str], of_model: Collection[str]) -> dict[str, str]:
    """Columns of models by what they hold: "m cost ($)", or "cost_usd_m", is "m|cost_usd"; "m score" is "m"."""
    known = set(guess_columns(names).values())
    plain = {_plain(name): name for name in names if name not in known}
    pairs: dict[str, str] = {}
    for own, name in plain.items():
        ends = [(what, end) for what in of_model for end in _SYNONYMS[what] if own.endswith(end) or own.startswith(end)]
        for what, end in sorted(ends, key=lambda each: -len(each[1])):
            first = not own.endswith(end)
            stem = (own.removeprefix(end) if first else own.removesuffix(end)).strip("|")
            alike = (word + stem if first else stem + word for word in ("", *_SYNONYMS["score"]))
            score = next((plain[each] for each in alike if each in plain), name)
            if stem and score != name:
                cuts = (score[-length:] if first else score[:length] for length in range(1, len(score) + 1))
                model = next(cut for cut in cuts if _plain(cut) == stem)
                pairs.setdefault(f"{model}|{what}", name)
                pairs.setdefault(model, score)
                break
    return {pair: name for pair, name in pairs.items() if pair not in names}


def _guess_path(missing: str, paths: Collection[str]) -> str | None:
    """The path that a recognised name probably stands for, by all its keys, the last two or the last."""
    synonyms = (*_SYNONYMS[missing], *(_MODEL_PATHS if missing == "model" else ()))
    for count in (0, 2, 1):  # of the last keys; 0 is all
        plain = {_plain(".".join(path.split(".")[-count:])): path for path in reversed(list(paths))}
        matches = [plain[name] for name in synonyms if name in plain and (count != 1 or name not in _ANY_OBJECT)]
        if matches:
            return matches[0]
    return None


def hint(missing: str, names: Collection[str], paths: Collection[str] = ()) -> str:
    """A sentence that names the column, or the path into objects, that is probably meant; "" if there is no guess."""
    source = guess_with_paths(names, paths).get(missing)
    if source is None and missing in NEEDED:
        source = _near(missing, [name for name in names if not any(path.startswith(f"{name}.") for path in paths)])
    return f" If {source!r} is meant: {mapping_options({missing: source})}" if source else ""


def _plain(name: str) -> str:
    return _APART.sub("", name).casefold()


_Kind = Any  # the stubs of DuckDB's types do not say what the children of one are

NEEDED = ("prompt_id", "model", "score")  # in every row of results
_PATHS_SHOWN = 12
OF_PYTHON = "json_of_python"  # the function of the connection that makes JSON of what Python writes


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : in the table; no two differ in case only.
    own : as the file has it, or the path into its objects.
    sql : expression over the columns that DuckDB reads from the file.
    kind : DuckDB's type.
    source : DuckDB's name of the column that is read; "" of a constant.
    """

    name: str
    own: str
    sql: str
    kind: str
    source: str = ""


def as_text(column: str, kind: str) -> str:
    """SQL text of a column (an identifier) of a DuckDB type: JSON of lists and objects, such as chat messages."""
    nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    return f"to_json({column})::varchar" if nested else f"{column}::varchar"


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def columns_of(
    source: str,
    described: Mapping[str, _Kind],
    names: Sequence[str],
    known: Collection[str],
    mapping: Mapping[str, str],
    *,
    text: bool,
    others: bool,
    model: str | None,
) -> tuple[list[Column], dict[str, str], list[str]]:
    """Choose the columns of a table.

    Parameters
    ----------
    source : name of the file, for a message.
    described : DuckDB's type of each column of the file, by DuckDB's name.
    names : as the file has them, as far as they are known, in the same order.
    known : the names that have a meaning.
    mapping : the file's own name of a known column, or the path to it, by the known name.
    text : whether the file is text: then known columns stay as they are written.
    others : choose the other columns too.
    model : the model of every row, where no column says it.

    Returns
    -------
    The columns, mapped ones first, then those of the file in their order; and DuckDB's type of each column that is not
    chosen, by the file's name; and notes on columns of objects that are not used.

    Raises
    ------
    DataError
        A mapped column is not there, or a known one holds objects.
    """
    own = dict(zip(described, _own_names(names, list(described)), strict=True))
    counts = Counter(own.values())
    by_name = {name: duck for duck, name in reversed(own.items())}
    columns = [] if model is None else [Column("model", "model", f"{literal(model)}::varchar", "VARCHAR")]
    problems = []
    for name, path in mapping.items():
        if name == "model" and model is not None:
            continue
        column = _mapped(name, path, by_name, described, text=text)
        if isinstance(column, Problem):
            problems.append(column)
        else:
            columns.append(column)
    in_use = {column.name for column in columns}
    first = [
        Column(name, name, quote(by_name[name]), str(described[by_name[name]]), by_name[name])
        for name in by_name
        if name in known and name not in in_use
    ]
    # An object under a name that is not needed is as good as no such column: its root may be mapped by a path.
    aside = {column.source: problem for column in first if column.name not in NEEDED and (problem := _objects(column))}
    first = [column for column in first if column.source not in aside]
    problems += [problem for column in [*columns, *first] if (problem := _objects(column))]
    if problems:
        raise DataError(source, problems)
    if text:
        columns, first = ([replace(column, kind="VARCHAR") for column in some] for some in (columns, first))
    chosen = {column.source: column for column in first}
    used = {name.casefold() for name in [*in_use, *(column.name for column in first)]}
    mapped, rest = {column.source for column in columns}, dict[str, str]()
    for duck, name in own.items():
        kind = "VARCHAR" if text and duck in mapped else str(described[duck])
        alias = name if name.casefold() not in used else duck
        if duck in aside:
            continue
        if duck in chosen:
            columns.append(chosen[duck])
        elif name in in_use:
            continue
        elif others and alias.casefold() not in used:
            used.add(alias.casefold())
            columns.append(Column(alias, name, quote(duck), kind, duck))
        elif duck not in mapped and duck == by_name[name]:
            rest[name] = kind
    unused = {own[duck]: problem for duck, problem in aside.items() if duck not in mapped}
    notes = [f"Column {name!r} is not used: it {problem.message}. {problem.remedy}" for name, problem in unused.items()]
    notes += [f"{count} columns are called {name!r}: the first is read." for name, count in counts.items() if count > 1]
    return columns, rest, notes


def _own_names(names: Sequence[str], described: Sequence[str]) -> Iterator[str]:
    """The file's names of columns; DuckDB appends a number to one that differs from an earlier one in case only."""
    for place, duck in enumerate(described):
        name = names[place] if place < len(names) else ""
        duck = f"column{place}" if place < len(names) and not name else duck  # DuckDB pads the number
        stem, _, number = duck.rpartition("_")
        same = name == duck or (number.isdecimal() and name.casefold() == stem.casefold())
        yield name if name and same else duck


def _mapped(
    name: str, path: str, by_name: Mapping[str, str], described: Mapping[str, _Kind], *, text: bool
) -> Column | Problem:
    if path in by_name:
        duck = by_name[path]
        return Column(name, path, quote(duck), str(described[duck]), duck)
    steps = path.split(".")
    for length in range(len(steps) - 1, 0, -1):
        root = ".".join(steps[:length])
        if root in by_name:
            duck = by_name[root]
            expression = _follow(quote(duck), described[duck], steps[length:])
            if expression and text:  # the column is read as the JSON it is written in
                return Column(name, path, json_path(quote(duck), steps[length:]), "VARCHAR", duck)
            if expression:
                return Column(name, path, *expression, duck)
            paths = names_listed(list(_paths(root, described[duck])), _PATHS_SHOWN)
            there = f"The column {root!r} has: {paths}." if paths else f"The column {root!r} holds no objects."
            return Problem(f"there is no such path to take for {name}", there, column=path)
    listed = f"The file has: {names_listed(list(by_name))}."
    return Problem(f"there is no such column to take for {name}", listed, column=path)


def _follow(sql: str, kind: _Kind, steps: Sequence[str]) -> tuple[str, str] | None:
    """Expression and type of what a path leads to; None where it leads nowhere."""
    for place, step in enumerate(steps):
        if kind.id == "struct":
            fields = dict(kind.children)
            if step not in fields:
                return None
            sql, kind = f"struct_extract({sql}, {literal(step)})", fields[step]
        elif kind.id == "list" and step.isdecimal():
            sql, kind = f"list_extract({sql}, {int(step) + 1})", kind.children[0][1]
        elif kind.id == "map":
            sql, kind = f"map_extract_value({sql}, {literal(step)})", dict(kind.children)["value"]
        elif str(kind) in ("VARCHAR", "JSON"):
            return json_path(sql, steps[place:]), "VARCHAR"
        else:
            return None
    return sql, str(kind)


def json_path(sql: str, steps: Sequence[str]) -> str:
    """Expression for the text at a path of JSON, or of an object as Python writes it; NULL where there is no such path.

    `carrot_core.benchmarks.table_file` has what `OF_PYTHON` calls.
    """
    path = "".join(f"[{step}]" if step.isdecimal() else '."' + step.replace('"', '\\"') + '"' for step in steps)
    text = f"{sql}::varchar"
    document = f"if(json_valid({text}), {text}, {OF_PYTHON}({text}))"
    return f"json_extract_string({document}, {literal('$' + path)})"


def _objects(column: Column) -> Problem | None:
    """The problem of a known column that holds objects; a prompt may be a list of messages."""
    if column.name == "prompt" or not column.kind.startswith("STRUCT"):
        return None
    paths = list(_paths(column.own, duckdb.sqltype(column.kind)))
    remedy = f"Name one of its paths: --column {column.name}={paths[0]}. It has: " if paths else "Messages are a prompt"
    remedy += f"{names_listed(paths, _PATHS_SHOWN)}."
    return Problem(f"holds {'objects' if paths else 'lists'}, not single values", remedy, column=column.own)


def _paths(place: str, kind: _Kind, levels: int = COLUMN_LEVELS) -> Iterator[str]:
    """Paths to the single values of a column of objects; none of a column of single values."""
    if kind.id != "struct" or not levels:
        return
    for name, part in kind.children:
        inner = list(_paths(f"{place}.{name}", part, levels - 1))
        yield from inner or [f"{place}.{name}"]
