"""Prompts by what is asked of them: all of them in a table, search, filters, and one prompt with its outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.errors import NotFoundError
from carrot_core.store.database import rows
from carrot_core.store.store import Store

RIGHT = 0.5  # a score from here on counts as right
PREVIEW = 240  # characters of a text in the table
_TABLE = f"""
with judged as (
    select prompt, count(*) as n_models, count(*) filter (score >= {RIGHT}) as n_right, avg(score) as mean_score
    from outcomes where benchmark = $benchmark group by prompt
)
select prompt_id, left(text, {PREVIEW}) as text, task, split::varchar as split, coalesce(n_right, 0) as n_right,
       coalesce(n_models, 0) as n_models, mean_score
from prompts left join judged using (prompt) where benchmark = $benchmark order by prompt
"""  # noqa: S608  fixed numbers only
# $text is lowered by DuckDB too, so that both sides fold the same way; `contains` knows no wildcards.
_WITH_TEXT = """
select prompt from prompts where benchmark = $benchmark and contains(lower(text), lower($text)) order by prompt
"""


@dataclass(frozen=True)
class Filter:
    """Which prompts; the default is all of them.

    Attributes
    ----------
    text : part of the prompt's text, letter by letter but for upper and lower case.
    task, split : exactly this one; None = any.
    disagree : only prompts that some models got right (score of 0.5 or more) and some wrong.
    """

    text: str = ""
    task: str | None = None
    split: str | None = None
    disagree: bool = False


@dataclass(frozen=True, eq=False)
class PromptView:
    """One prompt and what every model did on it.

    ``outcomes`` has one row a model of the benchmark, by name: ``model``, ``score``, ``input_tokens``,
    ``output_tokens``, ``cost_usd``; NaN where not observed or not recorded.
    """

    prompt_id: str
    text: str | None
    task: str
    family: str
    split: str
    outcomes: pd.DataFrame


def prompt_table(store: Store, name: str) -> pd.DataFrame:
    """Every prompt of a benchmark in a line, in the order of their ids; made to be kept while pages are turned.

    Columns ``prompt_id``, ``text`` (its beginning), ``task``, ``split``, ``n_right``, ``n_models``
    (how many were observed), ``mean_score``.
    """
    with store.reading(name) as (connection, number):
        return connection.execute(_TABLE, {"benchmark": number}).df()


def matching(store: Store, name: str, table: pd.DataFrame, chosen: Filter) -> npt.NDArray[np.intp]:
    """Rows of `prompt_table` that pass a filter, ascending; the database is asked only where text is searched."""
    passes = np.ones(len(table), dtype=bool)
    for column, wanted in (("task", chosen.task), ("split", chosen.split)):
        if wanted is not None:
            passes &= (table[column] == wanted).to_numpy()
    if chosen.disagree:
        passes &= ((table["n_right"] > 0) & (table["n_right"] < table["n_models"])).to_numpy()
    if chosen.text:
        passes &= np.isin(np.arange(len(table)), _with_text(store, name, chosen.text))
    return np.flatnonzero(passes)


def _with_text(store: Store, name: str, text: str) -> npt.NDArray[np.int32]:
    # A lone surrogate is in no text of the store, and no text that DuckDB takes.
    values = {"text": text.encode("utf-8", "replace").decode()}
    with store.reading(name) as (connection, number):
        found = connection.execute(_WITH_TEXT, values | {"benchmark": number}).fetchnumpy()
    return np.asarray(found["prompt"], dtype=np.int32)


def one_prompt(store: Store, name: str, prompt_id: str) -> PromptView:
    """A prompt with its whole text and every model's outcome.

    Raises
    ------
    NotFoundError
        The benchmark has no prompt of that id.
    """
    with store.reading(name) as (connection, number):
        found = rows(
            connection,
            "select prompt, prompt_id, text, task, family, split::varchar from prompts "
            "where benchmark = ? and prompt_id = ?",
            number,
            prompt_id,
        )
        if not found:
            raise NotFoundError(f"{name!r} has no prompt {prompt_id!r}.")
        number_of_prompt, found_id, text, task, family, split = found[0]
        outcomes = connection.execute(
            "select m.name as model, score, input_tokens, output_tokens, cost_usd from models m "
            "left join outcomes o on o.benchmark = m.benchmark and o.model = m.model and o.prompt = ? "
            "where m.benchmark = ? order by m.model",
            [number_of_prompt, number],
        ).df()
    return PromptView(found_id, text, task, family, split, outcomes)
