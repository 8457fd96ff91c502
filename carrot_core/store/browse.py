"""Prompts by what is asked of them: search, filters, one page at a time, and one prompt with its outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from carrot_core.errors import NotFoundError
from carrot_core.store.database import rows
from carrot_core.store.store import Store

RIGHT = 0.5  # a score from here on counts as right
PREVIEW = 240  # characters of a text on a page
# $text is lowered by DuckDB too, so that both sides fold the same way; `contains` knows no wildcards.
_WHERE = """
with judged as (
    select prompt, count(*) as n_models, count(*) filter (score >= $right) as n_right, avg(score) as mean_score
    from outcomes where benchmark = $benchmark group by prompt
)
select {wanted} from prompts left join judged using (prompt)
where benchmark = $benchmark and ($text = '' or contains(lower(text), lower($text)))
  and ($task is null or task = $task) and ($split is null or split::varchar = $split)
  and (not $disagree or (n_right > 0 and n_right < n_models))
"""
_SHOWN = f"""
prompt_id, left(text, {PREVIEW}) as text, task, split::varchar as split, coalesce(n_right, 0) as n_right,
coalesce(n_models, 0) as n_models, mean_score
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


def count_prompts(store: Store, name: str, chosen: Filter) -> int:
    """Number of prompts that pass a filter."""
    with store.reading(name) as (connection, number):
        cursor = connection.execute(_WHERE.format(wanted="count(*)"), _values(number, chosen))
        ((found,),) = cursor.fetchall()
    return int(found)


def page_of_prompts(store: Store, name: str, chosen: Filter, page: int, size: int) -> pd.DataFrame:
    """One page (from 1) of the prompts that pass a filter, in the order of their ids.

    Columns ``prompt_id``, ``text`` (its beginning), ``task``, ``split``, ``n_right``, ``n_models``
    (how many were observed), ``mean_score``.
    """
    query = f"{_WHERE.format(wanted=_SHOWN)} order by prompt limit $size offset $start"
    with store.reading(name) as (connection, number):
        values = _values(number, chosen) | {"size": size, "start": (page - 1) * size}
        return connection.execute(query, values).df()


def _values(number: int, chosen: Filter) -> dict[str, object]:
    return {
        "benchmark": number,
        "right": RIGHT,
        # A lone surrogate is in no text of the store, and no text that DuckDB takes.
        "text": chosen.text.encode("utf-8", "replace").decode(),
        "task": chosen.task,
        "split": chosen.split,
        "disagree": chosen.disagree,
    }


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


def tasks(store: Store, name: str) -> list[str]:
    """Task labels of a benchmark, sorted; without the empty one."""
    with store.reading(name) as (connection, number):
        found = rows(
            connection, "select distinct task from prompts where benchmark = ? and task <> '' order by task", number
        )
    return [task for (task,) in found]
