"""Browse a stored benchmark: a table of its prompts with search and filters, one prompt with its outcomes, and
small tables of its splits, models, coverage, scores and tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.number_formats import seconds
from carrot_core.outcomes import LATENCY_LEVEL, SPLITS
from carrot_core.store import Store
from carrot_core.store.database import rows
from carrot_core.store.info import recorded

RIGHT = 0.5  # a score from here on counts as right
PREVIEW = 240  # characters of a text in the table
_TABLE = f"""
with results as (
    select prompt, count(*) as n_models, count(*) filter (score >= {RIGHT}) as n_right, avg(score) as mean_score
    from outcomes group by prompt
)
select prompt_id, left(text, {PREVIEW}) as text, task, split::varchar as split, coalesce(n_right, 0) as n_right,
       coalesce(n_models, 0) as n_models, mean_score
from prompts left join results using (prompt) order by prompt
"""  # noqa: S608  fixed numbers only
# DuckDB lowers $text too, so that both sides fold case the same way; `contains` has no wildcards.
_WITH_TEXT = """
select prompt from prompts where contains(lower(text), lower($text)) order by prompt
"""

# Names of the levels that scores are counted in; 0 and 1 are levels of their own.
LEVELS = ("0", "up to ¼", "up to ½", "up to ¾", "below 1", "1")
_LEVEL = """
case when score = 0 then 0 when score <= 0.25 then 1 when score <= 0.5 then 2
     when score <= 0.75 then 3 when score < 1 then 4 else 5 end
"""


_SHORT = """
select task, text from prompts where length(text) between 1 and 800
qualify row_number() over (partition by task order by prompt) <= $1
order by row_number() over (partition by task order by prompt), task limit $1
"""


@dataclass(frozen=True)
class Filter:
    """Filter of prompts; the default passes all of them.

    Attributes
    ----------
    text : part of the prompt's text; case does not matter.
    task, split : the task or split of the prompt; None = any.
    disagree : only prompts that some models got right (score of 0.5 or more) and some wrong.
    """

    text: str = ""
    task: str | None = None
    split: str | None = None
    disagree: bool = False


@dataclass(frozen=True, eq=False)
class PromptView:
    """One prompt with the outcome of every model.

    ``messages`` are all messages of a chat, as JSON, and ``text`` is the part that is read; None if it is no chat.
    ``outcomes`` has one row per model of the benchmark, by name: ``model``, ``score``, ``input_tokens``,
    ``output_tokens``, ``cost_usd``; NaN where not observed or not recorded.
    """

    prompt_id: str
    text: str | None
    task: str
    family: str
    split: str
    messages: str | None
    outcomes: pd.DataFrame


def prompt_table(store: Store, name: str) -> pd.DataFrame:
    """One row per prompt, in the order of the ids. Compute it once and keep it while the user turns pages.

    Columns ``prompt_id``, ``text`` (its beginning), ``task``, ``split``, ``n_right``, ``n_models``
    (how many were observed), ``mean_score``.
    """
    return _frame(store, name, _TABLE)


def matching(store: Store, name: str, table: pd.DataFrame, chosen: Filter) -> npt.NDArray[np.intp]:
    """Rows of `prompt_table` that pass a filter, ascending; only a search for text queries the database."""
    passes = np.ones(len(table), dtype=bool)
    for column, value in (("task", chosen.task), ("split", chosen.split)):
        if value is not None:
            passes &= (table[column] == value).to_numpy()
    if chosen.disagree:
        passes &= ((table["n_right"] > 0) & (table["n_right"] < table["n_models"])).to_numpy()
    if chosen.text:
        passes &= np.isin(np.arange(len(table)), _with_text(store, name, chosen.text))
    return np.flatnonzero(passes)


def _with_text(store: Store, name: str, text: str) -> npt.NDArray[np.int32]:
    # DuckDB refuses lone surrogates; no stored text has one.
    values = {"text": text.encode("utf-8", "replace").decode()}
    with store.reading(name) as connection:
        columns = connection.execute(_WITH_TEXT, values).fetchnumpy()
    return np.asarray(columns["prompt"], dtype=np.int32)


def one_prompt(store: Store, name: str, prompt_id: str) -> PromptView:
    """A prompt with its whole text and every model's outcome.

    Raises
    ------
    NotFoundError
        The benchmark has no prompt of that id.
    """
    with store.reading(name) as connection:
        cursor = connection.execute(
            "select * replace (split::varchar as split) from prompts where prompt_id = ?", [prompt_id]
        )
        names = [column[0] for column in cursor.description or ()]
        matches = cursor.fetchall()
        if not matches:
            raise NotFoundError(f"{name!r} has no prompt {prompt_id!r}.")
        prompt = dict(zip(names, matches[0], strict=True))
        outcomes = connection.execute(
            "select m.name as model, score, input_tokens, output_tokens, cost_usd from models m "
            "left join outcomes o on o.model = m.model and o.prompt = ? order by m.model",
            [prompt["prompt"]],
        ).df()
    fields = {field: prompt[field] for field in ("prompt_id", "text", "task", "family", "split")}
    # A file of an older schema has no column of messages.
    return PromptView(**fields, messages=prompt.get("messages"), outcomes=outcomes)


def short_prompts(store: Store, name: str, most: int = 3) -> list[tuple[str, str]]:
    """Task and text of some short prompts, of as many tasks as there are."""
    with store.reading(name) as connection:
        return connection.execute(_SHORT, [most]).fetchall()


def _frame(store: Store, name: str, query: str) -> pd.DataFrame:
    with store.reading(name) as connection:
        return connection.execute(query).df()


def task_labels(store: Store, name: str) -> list[str]:
    """Task labels of a benchmark's prompts, each once, in order; "" stands for prompts without one."""
    with store.reading(name) as connection:
        return [label for (label,) in rows(connection, "select distinct task from prompts order by task")]


def split_sizes(store: Store, name: str) -> dict[str, int]:
    """Number of prompts in each part of the split, train first; 0 if a part is absent."""
    with store.reading(name) as connection:
        sizes = rows(connection, "select split::varchar, count(*) from prompts group by split")
    return {side: dict(sizes).get(side, 0) for side in SPLITS}


def model_summary(store: Store, name: str) -> pd.DataFrame:
    """One row per model, by descending mean score.

    Columns ``model``, ``score``, ``cost_usd`` and ``output_tokens`` (means over what was observed),
    ``n_observed``, ``coverage`` (share of the prompts), ``input_usd_per_mtok``, ``output_usd_per_mtok``,
    ``as_of``, ``source`` of the price, ``latency_s`` and ``latency_p95_s`` (mean and 95th percentile of the seconds of
    a call) if any latency is recorded, and the `carrot_core.benchmarks.model_facts_arms.FACTS` that are known of any
    model.
    """
    with store.reading(name) as connection:
        latency = "latency_s" in recorded(connection)
    of_latency = f", avg(latency_s) as latency_s, quantile_cont(latency_s, {LATENCY_LEVEL}) as latency_p95_s"
    info = store.info(name)
    facts = pd.DataFrame([asdict(each) for each in info.facts], index=list(info.models) if info.facts else None)
    table = _frame(
        store,
        name,
        f"""
        select name as model, avg(score) as score, avg(cost_usd) as cost_usd, avg(output_tokens) as output_tokens,
               count(score) as n_observed,
               count(score) / (select count(*) from prompts) as coverage,
               any_value(input_usd_per_mtok) as input_usd_per_mtok,
               any_value(output_usd_per_mtok) as output_usd_per_mtok,
               any_value(as_of) as as_of, any_value(models.source) as source{of_latency if latency else ""}
        from models left join outcomes using (model) group by name order by score desc nulls last, name
        """,  # noqa: S608  fixed text only
    )
    return table.join(facts, on="model") if info.facts else table


def models_within(store: Store, name: str, latency_p95_s: float, pool: Sequence[str] = ()) -> tuple[str, ...]:
    """The models of a pool (by default the benchmark's) whose 95th percentile of latency is at most a cap.

    Models without a recorded latency are left out.

    Raises
    ------
    CarrotError
        The benchmark records no latency, or no model is left.
    """
    table = model_summary(store, name)
    if "latency_p95_s" not in table:
        raise CarrotError(f"{name!r} records no latency (a column latency_s), so it cannot be capped.")
    p95 = table.set_index("model")["latency_p95_s"].sort_index()
    p95 = p95[p95.index.isin(pool)] if pool else p95
    within = tuple(p95.index[p95 <= latency_p95_s])
    if not within:
        least = f"the fastest, {p95.idxmin()}, has {seconds(p95.min())}" if p95.notna().any() else "none is recorded"
        raise CarrotError(f"No model of {name!r} has a p95 latency of at most {seconds(latency_p95_s)}: {least}.")
    return within


def coverage(store: Store, name: str) -> pd.DataFrame:
    """Share of the prompts of a task that a model was observed on, for every model and task.

    Columns ``model``, ``task``, ``n_prompts``, ``n_observed``, ``share``.
    """
    return _frame(
        store,
        name,
        """
        with sizes as (
            select task, count(*) as n_prompts from prompts group by task
        ), seen as (
            select model, task, count(*) as n_observed from outcomes join prompts using (prompt) group by all
        )
        select name as model, task, n_prompts, coalesce(n_observed, 0) as n_observed,
               coalesce(n_observed, 0) / n_prompts as share
        from models cross join sizes left join seen using (model, task) order by model, task
        """,
    )


def score_levels(store: Store, name: str) -> pd.DataFrame:
    """Share of a model's scores at each of `LEVELS`: columns ``model``, ``level`` (0 to 5), ``n``, ``share``."""
    return _frame(
        store,
        name,
        f"""
        select name as model, {_LEVEL} as level, count(*) as n, n / sum(n) over (partition by name) as share
        from outcomes join models using (model) group by name, level order by name, level
        """,  # noqa: S608  fixed text only
    )


def token_spread(store: Store, name: str) -> pd.DataFrame:
    """Output tokens per call, for every model with recorded tokens.

    Columns ``model``, ``n``, ``mean`` and the quantiles ``p05``, ``p25``, ``p50``, ``p75``, ``p95``.
    """
    quantiles = ", ".join(
        f"quantile_cont(output_tokens, {percent / 100}) as p{percent:02}" for percent in (5, 25, 50, 75, 95)
    )
    return _frame(
        store,
        name,
        f"""
        select name as model, count(output_tokens) as n, avg(output_tokens) as mean, {quantiles}
        from outcomes join models using (model)
        where output_tokens is not null group by name order by p50, name
        """,  # noqa: S608  fixed text only
    )
