"""The Compare page: sortable tables, standings on other benchmarks, studies, and fitting more routers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

import numpy as np
import pandas as pd
import streamlit as st

from carrot_core import modes
from carrot_core.benchmarks.model_facts_arms import NOTHING, ModelFacts, arms_of_models
from carrot_core.compare.learnable_losses import REASONS, distances
from carrot_core.compare.ranking import standing
from carrot_core.compare.studies import ROUTER, make_study
from carrot_core.compare.task_curves import legend_of, task_figure
from carrot_core.dashboard import views, work
from carrot_core.dashboard.exhibits import MARK_COLUMN, chart, folding_table, marked, priced
from carrot_core.dashboard.glossary import metric_meaning, tip
from carrot_core.dashboard.shell import errors_as_text, not_here, plain, theme
from carrot_core.dashboard.stores import store_of
from carrot_core.embedding import BUNDLED, load_embedded
from carrot_core.evaluation import make_setting
from carrot_core.evaluation.runs import ALL, compare_routers
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.scene import Grouping, label
from carrot_core.figures.theme import NO_TASK, metric_label, metric_name, metric_text, metric_times, names_of
from carrot_core.frontier import rate_of_lam
from carrot_core.metrics import METRICS
from carrot_core.number_formats import PERCENT_COLUMN, POINTS_COLUMN, CostBasis, lam_text, seconds
from carrot_core.paper import ROWS
from carrot_core.results import Names
from carrot_core.roles_audit import Role
from carrot_core.store import BenchmarkInfo, Store
from carrot_core.text import SENTENCE, short_names, visible

_PROMPT_LETTERS = 400
_LATENCY = "Mean latency at λ = 0"
_ROW = 3
_HEADS = {
    "n_test": "Test prompts",
    "models": "Models",
    "binarised_accuracy": "Binarised accuracy",
    "score_mae": "Score MAE (lower is better)",
    "r2": "R²",
    "routing_accuracy": "Accuracy at λ = 0",
    "best_single": "Best single model",
    "oracle": "Oracle",
    "cost_mae_usd": "Cost MAE, US dollars (lower is better)",
    "output_tokens_mae": "Output tokens MAE (lower is better)",
}
_FORMATS = {"n_test": ",.0f", "models": ",.0f", "cost_mae_usd": ".6f", "output_tokens_mae": ",.1f"}


def with_latency(exhibit: Exhibit, view: views.View, routers: Sequence[str]) -> Exhibit:
    """The exhibit with the mean seconds of a call at λ = 0, if recorded; ``routers`` are those of its rows."""
    if view.has_prompts and not views.latency_p95_s(view):
        return exhibit
    curves = [view.curve(router).latency_s for router in routers]
    mean = [np.nan if latency is None else float(latency[0, 0]) for latency in curves]
    return exhibit if np.isnan(mean).all() else replace(exhibit, table=exhibit.table.assign(latency_s=mean))


def metric_table(exhibit: Exhibit, metrics: Sequence[str], tier_of: str, basis: CostBasis) -> None:
    """Metrics with intervals and ranks, and latency if the exhibit has it, a row for each router, in tiers of one
    metric."""
    table = exhibit.table
    columns = {}
    for metric in metrics:
        figures = zip(*(table[f"{metric}{end}"] for end in ("", "_low", "_high", "_rank")), strict=True)
        columns[metric_label(metric, basis)] = [
            _standing(metric, basis, value, low, high, None if metric == tier_of else rank)
            for value, low, high, rank in figures
        ]
    if "latency_s" in table:
        columns[_LATENCY] = [seconds(latency) for latency in table["latency_s"]]
    tiers = ["" if pd.isna(tier) else f"{tier:.0f}" for tier in table[f"{tier_of}_rank"]]
    rows = zip(map(plain, table["router"]), tiers, *columns.values(), strict=True)
    with st.container(key="folding-metrics"):
        st.markdown(folding_table(["Router", "Tier", *columns], rows))


def explain_columns(metrics: Sequence[str], tier_of: str, basis: CostBasis) -> None:
    """What the columns of `metric_table` mean."""
    meanings = [f"**{metric_name(metric, basis)}**: {metric_meaning(metric)}" for metric in metrics]
    st.caption("  \n".join([f"**Tier**: rank in {metric_name(tier_of)}.", *meanings]))


def _standing(metric: str, basis: CostBasis, value: float, low: float, high: float, rank: float | None) -> str:
    """A figure with its 95 % interval and its rank; Markdown."""
    if np.isnan(value):
        return "–"
    ends = [_end(metric, end, basis) for end in (low, high) if not np.isnan(end)]
    text = metric_text(metric, value, 2, basis=basis) if np.isfinite(value) else "never"
    interval = f" [{', '.join(ends)}]" if {*ends} - {"never"} else ""
    return plain(text + interval) + ("" if rank is None or pd.isna(rank) else f", rank {rank:.0f}")


def _end(metric: str, end: float, basis: CostBasis) -> str:
    return metric_text(metric, end, basis=basis) if np.isfinite(end) else "never"


def across_table(exhibit: Exhibit, benchmarks: Sequence[str], metric: str, basis: CostBasis) -> None:
    """One metric on several benchmarks, a column for each."""
    display, config = pd.DataFrame({"Router": exhibit.table["router"]}), {}
    for column in benchmarks:
        low, high = exhibit.table[f"{column} low"], exhibit.table[f"{column} high"]
        display[column] = metric_times(metric, basis) * exhibit.table[column]
        display[f"{column} 95 %"] = [
            "–" if np.isnan(a) else f"{_end(metric, a, basis)} to {_end(metric, b, basis)}"
            for a, b in zip(low, high, strict=True)
        ]
        display[f"{column} rank"] = exhibit.table[f"{column} rank"]
        form = None if METRICS[metric].in_usd else "%.2f"
        config[column] = st.column_config.NumberColumn(visible(column), format=form)
        config[f"{column} 95 %"] = st.column_config.TextColumn("95 %")
        config[f"{column} rank"] = st.column_config.NumberColumn("Rank")
    config["Router"] = st.column_config.TextColumn(pinned=True)
    written = priced(display, *benchmarks) if METRICS[metric].in_usd else display
    st.dataframe(written, hide_index=True, column_config=config, alt=exhibit.alt, placeholder="–", key="across-table")


def task_panels(exhibit: Exhibit, basis: CostBasis) -> None:
    """Small charts under one legend, three in a row, or one below the other on a narrow screen."""
    look, tasks = theme(), names_of(exhibit.table["task"])
    legend = legend_of(exhibit.table, look, basis)
    chart(legend, key="tasks-legend", alt=exhibit.alt)
    for first in range(0, len(tasks), _ROW):
        for column, task in zip(st.columns(_ROW), tasks[first : first + _ROW], strict=False):
            figure = task_figure(exhibit.table, task, look, basis)
            alt = f"Accuracy against cost on {visible(task) or NO_TASK}."
            with column:
                chart(figure, key=f"task-{task}", alt=alt)


def loss_table(exhibit: Exhibit, texts: Mapping[str, str | None], models: Sequence[str], basis: CostBasis) -> None:
    """The prompts with the largest losses, with expected and observed scores and costs."""
    rows, names = exhibit.table, short_names(models)

    def scores(side: str) -> list[str]:
        return [
            f"{score:.2g}" if np.isnan(expected) else f"{expected:.2f} → {score:.2g}"
            for expected, score in zip(rows[f"est_score_{side}"], rows[f"score_{side}"], strict=True)
        ]

    dollars = f"$ {basis.words}"
    display = pd.DataFrame(
        {
            "Prompt": [_start(texts.get(prompt), prompt) for prompt in rows["prompt_id"]],
            "Reason": rows["reason"],
            "Regret": 100 * rows["regret"],
            "Task": rows["task"].map(visible),
            "Chosen": rows["chosen"].map(names),
            "Score, expected → seen": scores("chosen"),
            f"{dollars}, expected": basis.calls * rows["est_cost_usd_chosen"],
            f"{dollars}, seen": basis.calls * rows["cost_usd_chosen"],
            "Best": rows["best"].map(names),
            "Its score, expected → seen": scores("best"),
            f"Its {dollars}, expected": basis.calls * rows["est_cost_usd_best"],
            f"Its {dollars}, seen": basis.calls * rows["cost_usd_best"],
            **{f"Of it: {words}": 100 * rows[name] for name, words in REASONS.items()},
        }
    )
    columns = list(map(str, display.columns))
    config = {name: st.column_config.NumberColumn(format=POINTS_COLUMN) for name in columns if name.startswith("Of it")}
    config["Prompt"] = st.column_config.TextColumn(width="medium")
    config |= {"Regret": st.column_config.NumberColumn(format="%.1f")}
    if "percentile" in rows and rows["percentile"].notna().any():
        display.insert(4, "Farther from training prompts than", rows["percentile"])
        config["Farther from training prompts than"] = st.column_config.NumberColumn(
            format="%.0f %%", help="Share of the validation prompts that lie nearer to their nearest training prompt."
        )
    st.dataframe(
        priced(display, *(name for name in columns if "$" in name)),
        hide_index=True,
        column_config=config,
        alt=exhibit.alt,
        placeholder="–",
        key="loss-table",
    )


def _start(text: str | None, prompt_id: str) -> str:
    beginning = visible((text or prompt_id)[:_PROMPT_LETTERS], SENTENCE)
    return beginning + " …" if text and len(text) > _PROMPT_LETTERS else beginning


def has_table(table: pd.DataFrame | None, what: str) -> TypeGuard[pd.DataFrame]:
    """Whether there is a table; if not, the page says that the snapshot has none."""
    if table is None:
        st.info(f"This snapshot keeps no {what}.")
    return table is not None


_SKIPPED = "compare:skipped"


def standings_elsewhere(others: Mapping[str, BenchmarkInfo], routers: Names, metric: str) -> dict[str, pd.DataFrame]:
    """`carrot_core.compare.ranking.standing` by one metric on other benchmarks, by label.

    A benchmark on which none of the routers is fitted is left out, and the page says so.
    """
    tables = {}
    for title, info in others.items():
        view = views.view(info)
        there = tuple(name for name in routers if name in (*view.fitted, *view.baselines))
        if not there:
            name = plain(visible(title))
            st.info(f"None of the routers shown is fitted on {name}: fit one there, or add a baseline.")
            continue
        with errors_as_text():
            figures, pairs, _ = view.comparison(there, (0,))
            tables[title] = standing(figures, pairs, there, [metric])
    return tables


def fit_panel(info: BenchmarkInfo, fitted: Sequence[str]) -> None:
    """Offer to fit all routers. Each is stored at once, so a second press continues the work."""
    if not modes.may(Role.EDITOR):
        return
    skipped: Mapping[str, str] = st.session_state.pop(_SKIPPED, {})
    for name, why in skipped.items():
        st.warning(plain(f"{label(name)} could not run. {why}"))
    with st.popover("Fit more routers", type="tertiary", icon=":material/model_training:"):
        st.write(
            f"Fitted: {plain(', '.join(map(label, fitted)) or 'none')}. Baselines are always there. All other routers "
            "that need no download can be fitted here, which takes minutes to hours. Every router is stored at once; "
            "pressing again continues where it stopped."
        )
        if st.button("Fit all routers", key="fit_all"):
            st.session_state[_SKIPPED] = _fit(info)
            st.rerun()


def _fit(info: BenchmarkInfo) -> Mapping[str, str]:
    store = store_of(info)
    with views.embedding_and_fitting() as (embedding, measuring):
        bench = load_embedded(store, info.name, progress=embedding)
        return compare_routers(store, bench, (ALL,), progress=measuring).skipped


@st.cache_resource(max_entries=16, show_spinner=False)
def _studies(path: str, name: str, data_hash: str) -> dict[str, pd.DataFrame]:
    """Tables of studies by name, of one version of a benchmark; `study` fills it."""
    return {}


def study(info: BenchmarkInfo, view: views.View, name: str, what: str) -> pd.DataFrame | None:
    """A table of `carrot_core.compare.studies`; None if there is none yet, with a message and a button to make it."""
    table = study_at_hand(info, view, name)
    if not view.has_prompts:
        if table is None:
            st.info(f"This snapshot has no {what}.")
        return table
    tables = _studies(str(store_of(info).path), info.name, info.data_hash)
    if name not in tables and not modes.may(Role.EDITOR):
        not_here(f"The {what} is made")
        return None
    if name not in tables:
        st.info(f"The {what} of {label(ROUTER)} is made by fitting it again several times: seconds to a few minutes.")
        if not st.button(f"Make the {what}", key=f"study:{name}", type="primary"):
            return None
        tables[name] = _make_study(info, name)
    if tables[name].empty:
        st.info("All prompts are of one task, so none can be left out.")
        return None
    return tables[name]


def study_at_hand(info: BenchmarkInfo, view: views.View, name: str) -> pd.DataFrame | None:
    """A table of `carrot_core.compare.studies` that was made before, in a snapshot or here; None without one."""
    if view.has_prompts:
        table = _studies(str(store_of(info).path), info.name, info.data_hash).get(name)
    else:
        table = view.analysis(name, (ROUTER,))
    return None if table is None or table.empty else table


def _make_study(info: BenchmarkInfo, name: str) -> pd.DataFrame:
    store = store_of(info)
    with work.progress("Reading the prompts …", "study:cancel") as show:

        def fitting(done: int, total: int) -> None:
            show(done / total, f"Fitting: {done} of {total}")

        return make_study(name, make_setting(load_embedded(store, info.name)), fitting)


@work.cached(max_entries=32, show_spinner="Looking for similar training prompts …")
def nearby(view: views.View, prompt_ids: Names) -> pd.DataFrame:
    """`carrot_core.compare.learnable_losses.distances` of some prompts; NaN if the benchmark has no vectors."""
    return distances(Store(Path(view.version.path)).load(view.name, encoder=BUNDLED), prompt_ids)


def effort_table(
    view: views.View, router: str, facts: Mapping[str, ModelFacts], grouping: Grouping | None, lam: float
) -> None:
    """Share of the prompts that each effort of a model answers, if a model of the pool has several efforts."""
    curve = view.curve(router)
    arms = arms_of_models(curve.models, facts)
    if not arms:
        return
    (row,) = curve.shares([rate_of_lam(lam, view.cost_unit_usd)])
    shares = dict(zip(curve.models, row, strict=True))
    table = pd.DataFrame(
        [
            (visible(base), visible(facts.get(arm, NOTHING).effort), 100 * shares[arm], visible(arm))
            for base, names in arms.items()
            for arm in names
        ],
        columns=["Model", "Effort", "Answers", "Arm"],
    )
    share = st.column_config.NumberColumn(format=PERCENT_COLUMN, help=tip("share"))
    st.dataframe(
        marked(table, [arm for names in arms.values() for arm in names], view.palette, grouping),
        hide_index=True,
        column_config={"Answers": share, **MARK_COLUMN},
        alt=f"Share of the prompts that each effort of {len(arms)} models answers at λ {lam_text(lam)}.",
    )
    st.caption(f"Models with several efforts, and the share of the prompts that each answers at λ {lam_text(lam)}.")


def accuracy_table(exhibit: Exhibit, key: str) -> None:
    """The table with a row for each figure, so that it fits on a narrow page."""
    rows = exhibit.table.set_index("row")
    cells = {
        head: [_cell(rows, row, name) for row in ROWS] for name, head in _HEADS.items() if name in exhibit.table.columns
    }
    table = pd.DataFrame.from_dict(cells, "index", columns=list(ROWS)).rename_axis("Figure").reset_index()
    display = pd.DataFrame({"Figure": table["Figure"], "Here": table[ROWS[0]]})
    display["95 % interval"] = [
        f"{low} to {high}" if low != high else "" for low, high in zip(table[ROWS[1]], table[ROWS[2]], strict=True)
    ]
    if ROWS[3] in rows.index:
        display["Published"] = table[ROWS[3]]
    st.dataframe(display, hide_index=True, alt=exhibit.alt, key=key, height="content")


def _cell(rows: pd.DataFrame, row: str, name: str) -> str:
    value = rows[name].get(row)
    return "" if value is None or pd.isna(value) else f"{float(value):{_FORMATS.get(name, '.4f')}}"
