"""A stored benchmark in a few small tables: splits, models, coverage, spread of scores and tokens."""

from __future__ import annotations

import pandas as pd

from carrot_core.outcomes import SPLITS
from carrot_core.store.database import rows
from carrot_core.store.store import Store

# Upper ends of the levels scores are counted in; 0 and 1 are levels of their own.
LEVELS = ("0", "up to ¼", "up to ½", "up to ¾", "below 1", "1")
_LEVEL = """
case when score = 0 then 0 when score <= 0.25 then 1 when score <= 0.5 then 2
     when score <= 0.75 then 3 when score < 1 then 4 else 5 end
"""


def _frame(store: Store, name: str, query: str) -> pd.DataFrame:
    with store.reading(name) as (connection, number):
        return connection.execute(query, {"benchmark": number}).df()


def split_sizes(store: Store, name: str) -> dict[str, int]:
    """Number of prompts on each side of the split, train first; 0 where a side is absent."""
    with store.reading(name) as (connection, number):
        found = rows(
            connection, "select split::varchar, count(*) from prompts where benchmark = ? group by split", number
        )
    return {side: dict(found).get(side, 0) for side in SPLITS}


def model_summary(store: Store, name: str) -> pd.DataFrame:
    """One row a model, by descending mean score.

    Columns ``model``, ``score``, ``cost_usd`` and ``output_tokens`` (means over what was observed),
    ``n_observed``, ``coverage`` (share of the prompts), ``input_usd_per_mtok``, ``output_usd_per_mtok``,
    ``as_of``, ``source`` of the price.
    """
    return _frame(
        store,
        name,
        """
        select name as model, avg(score) as score, avg(cost_usd) as cost_usd, avg(output_tokens) as output_tokens,
               count(score) as n_observed,
               count(score) / (select count(*) from prompts where benchmark = $benchmark) as coverage,
               any_value(input_usd_per_mtok) as input_usd_per_mtok,
               any_value(output_usd_per_mtok) as output_usd_per_mtok,
               any_value(as_of) as as_of, any_value(models.source) as source
        from models left join outcomes using (benchmark, model)
        where benchmark = $benchmark group by name order by score desc nulls last, name
        """,
    )


def coverage(store: Store, name: str) -> pd.DataFrame:
    """Share of its prompts that a model was observed on, for every model and task.

    Columns ``model``, ``task``, ``n_prompts``, ``n_observed``, ``share``.
    """
    return _frame(
        store,
        name,
        """
        with sizes as (
            select task, count(*) as n_prompts from prompts where benchmark = $benchmark group by task
        ), seen as (
            select model, task, count(*) as n_observed from outcomes join prompts using (benchmark, prompt)
            where benchmark = $benchmark group by all
        )
        select name as model, task, n_prompts, coalesce(n_observed, 0) as n_observed,
               coalesce(n_observed, 0) / n_prompts as share
        from models cross join sizes left join seen using (model, task)
        where benchmark = $benchmark order by model, task
        """,
    )


def score_levels(store: Store, name: str) -> pd.DataFrame:
    """Share of a model's scores at each of `LEVELS`: columns ``model``, ``level`` (0 to 5), ``n``, ``share``."""
    return _frame(
        store,
        name,
        f"""
        select name as model, {_LEVEL} as level, count(*) as n, n / sum(n) over (partition by name) as share
        from outcomes join models using (benchmark, model)
        where benchmark = $benchmark group by name, level order by name, level
        """,  # noqa: S608  fixed text only
    )


def token_spread(store: Store, name: str) -> pd.DataFrame:
    """Output tokens a call, for every model where they are recorded.

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
        from outcomes join models using (benchmark, model)
        where benchmark = $benchmark and output_tokens is not null group by name order by p50, name
        """,  # noqa: S608  fixed text only
    )
