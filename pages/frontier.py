"""Frontier: every router's accuracy against its cost, with λ to drag."""

import streamlit as st

from carrot_core.dashboard import controls, frontier, glossary, links, shell, views
from carrot_core.dashboard.components.frontier_chart import live_frontier
from carrot_core.dashboard.exhibits import csv_button, gaps_menu, models_note, show, take_away
from carrot_core.dashboard.frontier import solve, stability_panel
from carrot_core.dashboard.points import keep_button, pins
from carrot_core.dashboard.shell import plain
from carrot_core.evaluation import frontier_frame
from carrot_core.figures.scene import caption
from carrot_core.frontier import lam_of_rate, rate_of_lam, shortest_lam
from carrot_core.paper.curves import chart_exhibit
from carrot_core.verdict import sentence

SMALL_STEP = 0.01

shell.guard(__file__)
st.title("Frontier", anchor=False)

for_bench, for_routers, for_reference = st.columns([1, 2, 1])
with for_bench:
    info = controls.benchmark(shell.readable_benchmarks())
view = views.view(info)
if not view.fitted:
    views.fit_button(info, "Below are the baselines.")
with for_routers:
    names = controls.routers(views.drawable(view), view.baselines)
if not names:
    st.info("Choose at least one router to draw.")
    st.stop()
with st.expander("Pool, tasks, curve and colours"):
    pool, tasks = controls.pool_and_tasks(
        view.models, view.tasks, info.facts_by_model, views.latency_p95_s(view), whole=not view.can_filter
    )
    active = controls.along(names)
    grouping = controls.color_by(view.models, info.facts_by_model)
    verifier = frontier.verifier_of_cascades(view, pool, tasks)
with for_reference:
    reference = controls.reference(pool or view.models, view.best_single(pool, tasks), info.facts_by_model)

choices = names, active, pool, tasks, reference, verifier, grouping
scene = view.scene(*choices)
curve, unit = scene.active_curve.frontier, scene.cost_unit_usd
rate = controls.rate(views.opening_rate(view, active, unit, pool, tasks), unit, (*pool, *tasks))
lam = shortest_lam(rate, unit)
verdict = view.verdict(active, rate, reference, pool, tasks)
st.markdown(plain(sentence(verdict)))
with st.container(horizontal=True):
    solve.solve_popover(view, active, pool, tasks, unit, info.facts_by_model)
    keep_button(info, active, rate, whole=not (pool or tasks))
    shell.kind_note(info)
    models_note(info)
    gaps_menu(view, pool, tasks)
    controls.pool_note(pool, view.models)
solve.show_notice(view, active, pool, tasks, rate, unit)
live_frontier(
    scene,
    lam=lam,
    key="frontier",
    validation_label="validation",
    verdict=verdict,
    pins=() if pool or tasks else pins(info, active, unit),
    on_release=lambda lam: controls.set_lam(lam, unit),
)
with st.expander("How to read the chart"):
    terms = glossary.see("frontier", "exchange-rate", "zero-router", "task-lookup", "oracle")
    st.caption(f"{plain(caption(scene))} {terms}")

by_share, by_slice, by_step, by_sample, data = links.tabs(
    ["Who answers", "By task", "What a small step changes", "How sure the point is", "Data"], "detail"
)
# Only the open tab is drawn: the page is drawn again at every λ.
if by_share.open:
    with by_share:
        show(view.shares(*choices), key="shares")
if by_slice.open:
    with by_slice:
        slices, compared_to = view.by_task(active, rate, reference, pool, tasks)
        frontier.task_table(slices, compared_to, scene)
        if (nearest := view.task_rate(active, rate)) != rate:
            frontier.snapshot_rate_note(lam, float(lam_of_rate(nearest, unit)))
        csv_button("Download these tasks (CSV)", lambda: slices, f"{info.name}-{active}-tasks")
if by_step.open:
    with by_step:
        if view.has_prompts:
            after = rate_of_lam(min(lam + SMALL_STEP, 1.0), unit)
            flips = view.flips(active, rate, after, pool, tasks)
            frontier.flip_table(flips, curve.n_prompts, lam, SMALL_STEP, scene.models, scene.basis)
            csv_button("Download these prompts (CSV)", lambda: flips, f"{info.name}-{active}-flips")
        else:
            st.info("Which prompts change their model is not in a snapshot: it holds no prompts.")
if by_sample.open:
    with by_sample:
        stability_panel(view, active, rate, reference, pool, tasks, key="frontier:sure")
if data.open:
    with data:
        csv_button("Download the curve (CSV)", lambda: frontier_frame(curve, unit), f"{info.name}-{active}-frontier")
        take_away(chart_exhibit(scene), "Download the chart", key="chart")
