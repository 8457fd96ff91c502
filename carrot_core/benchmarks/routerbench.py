"""Reader of RouterBench (arXiv 2403.12031), published as pickled pandas DataFrames.

One row a prompt: ``sample_id``, ``prompt`` (its turns, as the text of a Python list), ``eval_name``, and for
each model a column of scores under its name and its dollars under ``<model>|total_cost``. There are no
tokens. ``<model>|model_response`` and ``oracle_model_to_route_to`` are not read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from carrot_core.benchmarks import NONE_STATED, Frames, Provenance
from carrot_core.benchmarks.costs import pricing_of, with_costs
from carrot_core.benchmarks.file_checks import lock_down, private_connection
from carrot_core.benchmarks.formats.head import Head, head_of
from carrot_core.benchmarks.formats.values import table_rows
from carrot_core.benchmarks.pickles import read_pickled_table
from carrot_core.benchmarks.value_checks import bounds_of
from carrot_core.errors import DataError, Problem, sql_mistake
from carrot_core.paths import file_sha256
from carrot_core.prices import Price

COST = "|total_cost"
_SHOWN = 80  # characters of a value in a message
_RESPONSE = "|model_response"
_TEXTS = ("sample_id", "prompt", "eval_name")
_FAMILIES = {"grade-school-math": "gsm8k"}
# A list of string literals as repr writes them; nothing nested, so its length is its cost.
_ESCAPE = r"\\(?:[\\'\"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"
_LITERAL = rf"'(?:[^'\\\n]++|{_ESCAPE})*+'" + "|" + rf'"(?:[^"\\\n]++|{_ESCAPE})*+"'
_TURN = re.compile(_LITERAL)
_TURNS = re.compile(rf"\[(?:{_LITERAL})(?:, (?:{_LITERAL}))*+\]")


def read_routerbench(
    path: Path,
    *,
    keep_chinese: bool = True,
    where: str | None = None,
    prices: Mapping[str, Price] | None = None,
    provenance: Provenance | None = None,
) -> Frames:
    """Read ``routerbench_0shot.pkl`` or ``routerbench_5shot.pkl``, also packed by gzip, or the same table as a CSV.

    A pool model is a column that has a ``|total_cost`` beside it. A cell without a score was not observed.
    An id that stands in several rows is left out, since nothing says which row is right.

    Parameters
    ----------
    path : the file; it is opened by `safe_pickle`.
    keep_chinese : False leaves out the tasks whose names begin with "chinese" in any case, as the authors
        of CARROT do: 16 tasks, 785 prompts, among them chinese_zodiac, which is asked in English.
    where : SQL predicate over the columns of the long format, see `choosing.choose`.
    prices : of no use here, as there are no tokens; a warning says so.
    provenance : where the file is from; by default its name and sha256, without a licence.

    Returns
    -------
    Frames without split; the task is the ``eval_name``, the family its first part (mmlu, mtbench, chinese).

    Raises
    ------
    NotFoundError
        No such file.
    DataError
        The pickle was refused, or is no RouterBench; each kind of problem with its first row and column.
    """
    table = _table(path)
    models = sorted(name.removesuffix(COST) for name in table.columns if name.endswith(COST))
    problems = _problems(table, models)
    if problems:
        raise DataError(path.name, problems)
    table, warnings = _unique(table)
    if not keep_chinese:
        chinese = table["eval_name"].map(is_chinese).to_numpy(dtype=bool)
        warnings.append(f"{chinese.sum():,} prompts of tasks named chinese… are left out.")
        table = table[~chinese].reset_index(drop=True)
    outcomes, priced, of_costs = with_costs(_outcomes(table, models), pricing_of(models, prices or {}))
    if outcomes.empty:
        raise DataError(path.name, "no model has a score on any prompt")
    frames = Frames(
        _prompts(table[table["sample_id"].isin(set(outcomes["prompt_id"]))]),
        priced,
        outcomes,
        replace(provenance or _provenance(path), rows=len(outcomes)),
        (*warnings, *of_costs),
    )
    return choose(frames, where) if where else frames


def is_routerbench(head: Head) -> bool:
    """The columns of its table, as a CSV."""
    return head.has(*_TEXTS) and any(name.endswith(COST) for name in head.columns)


def _table(path: Path) -> pd.DataFrame:
    """All columns but the responses, text as str and None; of a CSV numbers are text too."""
    if not path.is_file() or head_of(path).kind != "table":
        return read_pickled_table(path, lambda name: not name.endswith(_RESPONSE))
    rows = ({name: cell for name, cell in row.items() if not name.endswith(_RESPONSE)} for _, row in table_rows(path))
    table = pd.DataFrame.from_records(list(rows)).astype(object)
    return table.where(table.notna(), None)


def is_chinese(eval_name: str) -> bool:
    """Whether CARROT's authors drop a task of RouterBench as Chinese."""
    return eval_name.lower().startswith("chinese")


def family(eval_name: str) -> str:
    """Family of a task: 57 tasks are mmlu, three mtbench, 16 chinese; any other is its own family."""
    for name in ("mmlu", "mtbench", "chinese"):
        if re.match(rf"{name}(?![a-z])", eval_name.lower()):
            return name
    return _FAMILIES.get(eval_name, eval_name)


def turns_text(written: str) -> str:
    """The turns of a prompt, joined by blank lines; a text that is not a list of strings stays as it is."""
    if not _TURNS.fullmatch(written):
        return written
    turns = "\n\n".join(ast.literal_eval(turn) for turn in _TURN.findall(written))
    return written if any("\ud800" <= character <= "\udfff" for character in turns) else turns


def _problems(table: pd.DataFrame, models: list[str]) -> list[Problem]:
    lacking = [name for name in (*_TEXTS, *models) if name not in table.columns]
    if lacking:
        what = "the column is missing, or holds something else than text and numbers"
        return [Problem(what, "RouterBench has sample_id, prompt, eval_name and scores.", column=lacking[0])]
    if len(models) < 2:
        return [Problem(f"{len(models)} columns end in {COST}", "Routing needs two models or more.")]
    problems = []
    for name in _TEXTS:
        texts = table[name].map(lambda value: isinstance(value, str) and bool(value.strip("\0 "))).to_numpy(dtype=bool)
        bad = ~texts & (table[name].notna().to_numpy(dtype=bool) | (name != "prompt"))
        problems += _first(table[name], bad, "is empty or no text", "Every row names its prompt and its task.")
    for name in (*models, *(model + COST for model in models)):
        bounds = bounds_of("cost_usd" if name.endswith(COST) else "score")
        numbers = pd.to_numeric(table[name], errors="coerce")
        bad = (table[name].notna() & ~numbers.between(*bounds)).to_numpy(dtype=bool)
        what = f"must be a number from {bounds[0]:.0f} to {bounds[1]:,.0f}"
        problems += _first(table[name], bad, what, "Leave out what was not measured.")
    return problems


def _first(column: pd.Series, bad: np.ndarray[tuple[int], np.dtype[np.bool_]], what: str, remedy: str) -> list[Problem]:
    if not bad.any():
        return []
    row = int(bad.argmax())
    many = f" (first of {bad.sum():,} such rows)" if bad.sum() > 1 else ""
    value = column.iloc[row]
    text = repr(value) if isinstance(value, str) else str(value)
    return [Problem(what + many, remedy, row + 1, str(column.name), text[:_SHOWN])]


def _unique(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    twice = table["sample_id"].duplicated(keep=False).to_numpy(dtype=bool)
    if not twice.any():
        return table, []
    ids = table["sample_id"][twice].nunique()
    warning = f"{ids:,} sample_ids stand in several rows ({twice.sum():,} in all); these are left out."
    return table[~twice].reset_index(drop=True), [warning]


def _prompts(table: pd.DataFrame) -> pd.DataFrame:
    prompts = pd.DataFrame(
        {
            "prompt_id": table["sample_id"],
            "text": [None if written is None else turns_text(written) or None for written in table["prompt"]],
            "task": table["eval_name"],
            "family": table["eval_name"].map(family),
            "split": None,
        },
        dtype=object,
    )
    return prompts.sort_values("prompt_id", ignore_index=True)


def _outcomes(table: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    def numbers(suffix: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.concatenate([pd.to_numeric(table[model + suffix]).to_numpy(np.float64) for model in models])

    nothing = np.full(len(table) * len(models), np.nan)
    outcomes = pd.DataFrame(
        {
            "prompt_id": np.tile(table["sample_id"].to_numpy(dtype=object), len(models)),
            "model": np.repeat(np.array(models, dtype=object), len(table)),
            "score": numbers(""),
            "input_tokens": nothing,
            "output_tokens": nothing,
            "cost_usd": numbers(COST),
        }
    ).astype({"prompt_id": object, "model": object})
    return outcomes[outcomes["score"].notna()].reset_index(drop=True)


def _provenance(path: Path) -> Provenance:
    return Provenance(path.name, file_sha256(path), NONE_STATED)


_CELLS = """
create view cells as select outcomes.*, prompts.text as prompt, prompts.task, prompts.family as benchmark,
prompts.split from outcomes join prompts using (prompt_id)
"""


def choose(frames: Frames, where: str) -> Frames:
    """Keep the outcomes that satisfy a predicate, with their prompts and models.

    Parameters
    ----------
    frames : what a reader returned.
    where : SQL predicate over the columns of the long format: prompt_id, model, score, prompt, task,
        benchmark, split, input_tokens, output_tokens, cost_usd.

    Raises
    ------
    DataError
        The predicate cannot be evaluated, or keeps fewer than two models.
    """
    rows = _matching_rows(frames, where)
    outcomes = frames.outcomes.iloc[rows].reset_index(drop=True)
    prompts = frames.prompts[frames.prompts["prompt_id"].isin(set(outcomes["prompt_id"]))].reset_index(drop=True)
    models = frames.models[frames.models["model"].isin(set(outcomes["model"]))].reset_index(drop=True)
    if len(models) < 2:
        raise DataError(frames.provenance.source, f"the predicate {where!r} keeps {len(models)} models; two are needed")
    note = "; ".join(part for part in (frames.provenance.note, f"rows where {where}") if part)
    provenance = replace(frames.provenance, rows=len(outcomes), note=note)
    return replace(frames, prompts=prompts, models=models, outcomes=outcomes, provenance=provenance)


def _matching_rows(frames: Frames, where: str) -> list[int]:
    with private_connection() as connection:
        numbered = frames.outcomes.assign(row=range(len(frames.outcomes)))
        connection.register("given_outcomes", numbered)
        connection.register("given_prompts", frames.prompts)
        connection.execute("create table outcomes as from given_outcomes; create table prompts as from given_prompts")
        connection.execute(_CELLS)
        lock_down(connection)
        try:
            matches = connection.table("cells").filter(duckdb.SQLExpression(where)).project("row").fetchall()
        except (duckdb.Error, RuntimeError) as error:
            problem = sql_mistake(f"the predicate {where!r} cannot be used", str(error), where)
            raise DataError(frames.provenance.source, [problem]) from error
    return sorted(row for (row,) in matches)
