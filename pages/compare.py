"""Compare: routers side by side, metric by metric, and in detail."""

import streamlit as st

from carrot_core.compare.gap import gap_exhibit
from carrot_core.compare.learnable_losses import learnable_exhibit, losses_exhibit
from carrot_core.compare.model_shares_agreement import agreement_exhibit, collapse_exhibit, shares_exhibit
from carrot_core.compare.predictions import ratios_exhibit, reliability_exhibit, usage_exhibit
from carrot_core.compare.ranking import (
    NOT_CORRECTED,
    across_exhibit,
    answer,
    is_corrected,
    matrix_exhibit,
    metric_exhibit,
    standing,
    table_exhibit,
)
from carrot_core.compare.studies import ROUTER, learning_exhibit, transfer_exhibit
from carrot_core.compare.task_curves import TASKS, tasks_exhibit
from carrot_core.dashboard import compare, controls, shell, views
from carrot_core.dashboard.compare import paper_figures, results
from carrot_core.dashboard.exhibits import gaps_menu, models_note, show
from carrot_core.dashboard.stores import labels
from carrot_core.evaluation.tables import LAMS
from carrot_core.figures.scene import label
from carrot_core.number_formats import lam_text
from carrot_core.text import visible

shell.guard(__file__)
st.title("Compare", anchor=False)

for_bench, for_routers, for_seeds = st.columns([1, 2, 1])
benchmarks = shell.readable_benchmarks()
with for_bench:
    info = controls.benchmark(benchmarks)
whole = views.view(info)
stored = whole.has_prompts
with for_routers:
    choice = compare.routers(whole.fitted, whole.baselines)
if not choice:
    st.info("Choose at least one router.")
    st.stop()
for_pool, for_rest = st.columns(2)
with for_pool, st.expander("Pool and tasks") if whole.can_filter else st.container():
    pool, tasks = controls.pool_and_tasks(whole.models, whole.tasks, info.facts_by_model, whole=not whole.can_filter)
view = whole.within(pool, tasks)
names = compare.usable(choice, (*view.fitted, *view.baselines))
all_seeds = view.seeds(names)
with for_seeds:
    seeds = compare.seeds(all_seeds, whole=not stored)
with for_rest, st.container(horizontal=True):
    shell.kind_note(info)
    models_note(info)
    gaps_menu(whole, pool, tasks)
    controls.pool_note(pool, whole.models)
    if stored:
        results.fit_panel(info, whole.fitted)
section = compare.section()
about = compare.part_words(info.name, pool, tasks, view.models)
over = compare.about(about, seeds, all_seeds)
if any(view.part) and section in compare.ON_WHOLE:
    st.caption("These figures are fitted anew, on all models and tasks: the pool above is for the other parts.")

if section == "Metrics":
    figures, pairs, seed = view.comparison(names, seeds)
    for_answer, for_metric = st.columns([3, 1])
    with for_metric:
        metric = compare.metric_alone(set(figures["metric"]))
    if words := answer(pairs, names, metric):
        for_answer.markdown(shell.plain(words))
    for_table = st.container()
    with st.popover("Columns, and what they mean", type="tertiary", icon=":material/view_column:"):
        metrics = compare.metrics(set(figures["metric"]))
        results.explain_columns(metrics, metric, view.basis)
    table = standing(figures, pairs, names, list(dict.fromkeys([metric, *metrics])), seed)
    exhibit = results.with_latency(table_exhibit(table, metrics, over), view, table["router"])
    with for_table:
        show(exhibit, key="c-metrics-of", table=lambda: results.metric_table(exhibit, metrics, metric, view.basis))
    with st.expander("Drawn with its intervals"):
        show(metric_exhibit(table, metric, over, view.basis), key="c-metric")
    if pairs.empty:
        st.caption("This snapshot keeps no paired differences of all routers, so there are no ranks.")
    elif not stored and len(seeds) == 1 and len(all_seeds) > 1:
        st.caption("A snapshot keeps paired differences of the mean over its seeds only: ranks are those of the mean.")
    if not (pairs.empty or is_corrected(pairs)):
        st.caption(NOT_CORRECTED)
    by_label = dict(zip(labels(benchmarks), benchmarks, strict=True))
    others = results.standings_elsewhere(
        compare.beside({name: it for name, it in by_label.items() if it != info}), names, metric
    )
    if others:
        (here,) = (name for name, it in by_label.items() if it == info)
        standings = {here: standing(figures, pairs, names, [metric], seed), **others}
        across = across_exhibit(standings, metric, view.basis)
        show(across, key="c-across", table=lambda: results.across_table(across, list(standings), metric, view.basis))

elif section == "Differences":
    figures, pairs, _ = view.comparison(names, seeds if stored else all_seeds)
    metric = compare.metric(set(figures["metric"]))
    if len(names) < 2:
        st.info("Choose at least two routers.")
    elif pairs.empty:
        st.info("This snapshot keeps no paired differences of all routers.")
    else:
        words = over if stored else compare.about(about, all_seeds, all_seeds)
        show(matrix_exhibit(pairs, names, metric, words, view.basis), key="c-matrix")
        if not is_corrected(pairs):
            st.caption(NOT_CORRECTED)

elif section == "Gap to oracle":
    table = view.analysis("decomposition", names)
    if results.has_table(table, "gap to the oracle"):
        lam = compare.lam_or_whole(LAMS, view)
        show(gap_exhibit(table, lam), key="c-gap")
    table = view.analysis("collapse", names)
    if table is None:
        st.caption("This snapshot has no figures of collapse and rare solvers.")
    else:
        for_collapse, for_rare = st.columns(2, gap="medium")
        with for_collapse:
            show(collapse_exhibit(table), key="c-collapse")
        with for_rare:
            if most := compare.rare(sorted(set(table["most"]) - {0})):
                show(collapse_exhibit(table, most), key="c-rare")

elif section == "Learnable":
    table = view.analysis("learnable", names)
    if results.has_table(table, "gains over knowing nothing"):
        if table.empty:
            st.info("Choose a router that learns from prompts: the baselines are what it is compared with.")
        else:
            lam = compare.lam_or_whole(LAMS, view)
            study = None if any(view.part) else results.study_at_hand(info, view, "learning")
            show(learnable_exhibit(table, lam, study), key="c-learnable")

elif section == "Who answers":
    table = view.analysis("agreement", names)
    lam = compare.lam(LAMS, view)
    if results.has_table(table, "agreement of choices"):
        exhibit = agreement_exhibit(table, lam)
        show(exhibit, key="c-agreement", table=None if exhibit.draw else lambda: None)  # its caption says why
    areas = compare.several("Shares of", names, "areas")
    grouping = controls.color_by(view.models, info.facts_by_model)
    for first in range(0, len(areas), 2):
        pair = areas[first : first + 2]
        for column, router in zip(st.columns(len(pair), gap="medium"), pair, strict=True):
            with column:
                st.markdown(f"**{shell.plain(visible(compare.label(router)))}**")
                show(shares_exhibit(view.scene((router,), router, grouping=grouping)), key=f"c-shares-{router}")
                results.effort_table(view, router, info.facts_by_model, grouping, lam)

elif section == "By task":
    table = view.analysis("task-curves", names)
    if results.has_table(table, "curves of single tasks"):
        if len(view.tasks) < 2:
            st.info("This benchmark has no tasks to tell apart: all prompts are in one picture.")
        exhibit = tasks_exhibit(table, view.basis)
        show(exhibit, key="c-tasks", table=lambda: results.task_panels(exhibit, view.basis))
        if len(view.tasks) > TASKS:
            st.caption(f"The Frontier page lists all {len(view.tasks)} tasks at one λ.")

elif section == "Where it loses":
    if stored:
        router, lam = compare.one(names), compare.lam(LAMS, view)
        rows = view.analysis("losses", (router,))
        rows = rows[rows["lam"] == lam]
        if rows.empty:
            st.info(f"At λ {lam_text(lam)} every choice of this router was the best there was.")
        else:
            ids = tuple(rows["prompt_id"])
            rows = rows.merge(results.nearby(view, ids), on="prompt_id", how="left")
            exhibit = losses_exhibit(rows, router, lam)
            test = view.narrowed().test
            texts = dict(zip(test.prompt_ids, test.texts, strict=True))
            show(exhibit, key="c-losses", table=lambda: results.loss_table(exhibit, texts, test.models, view.basis))
    else:
        st.info("Which prompts a router loses on is not in a snapshot: it holds no prompts.")

elif section == "Predictions":
    model = compare.model(view.models, info.facts_by_model)
    table = view.analysis("reliability", names)
    if results.has_table(table, "reliability diagrams"):
        if model in set(table["model"]):
            show(reliability_exhibit(table, model), key="c-reliability")
        else:
            st.info("None of the routers shown estimates this model.")
    usage = view.analysis("usage", names)
    if results.has_table(usage, "usage errors"):
        if usage.empty:
            st.info("None of the routers shown predicts output tokens or dollars here.")
        else:
            router = compare.one([name for name in names if name in set(usage["router"])])
            if model in set(usage.loc[usage["router"] == router, "model"]):
                show(usage_exhibit(usage, router, model, view.basis), key="c-usage")
            show(ratios_exhibit(usage, router), key="c-ratios")

elif section == "Learning":
    st.markdown(f"**{label(ROUTER)}**, fitted on more and more prompts")
    table = results.study(info, whole, "learning", "learning curve")
    if table is not None:
        show(learning_exhibit(table, compare.metric(sorted(set(table["metric"])))), key="c-learning")

elif section == "New tasks":
    st.markdown(f"**{label(ROUTER)}** on tasks it has never seen")
    table = results.study(info, whole, "transfer", "leave-one-task-out result")
    if table is not None:
        show(transfer_exhibit(table, compare.metric(sorted(set(table["metric"])))), key="c-transfer")

elif section == compare.PAPER:
    paper_figures(whole)
