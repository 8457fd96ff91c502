"""Frontier: every router's accuracy against its cost, with λ to drag."""

import streamlit as st

from carrot_core.breakdown import by_task, flips
from carrot_core.csv_out import safe_csv
from carrot_core.dashboard import controls, shell, tables, views
from carrot_core.dashboard.live import live_frontier
from carrot_core.evaluation import frontier_frame
from carrot_core.figures.scene import caption
from carrot_core.figures.shares import share_figure, share_text
from carrot_core.frontier import rate_of_lam

SMALL_STEP = 0.01

shell.guard(__file__)
st.title("Frontier")
benchmarks = shell.loaded_benchmarks()

for_bench, for_routers, for_reference = st.columns([1, 2, 1])
with for_bench:
    info = controls.benchmark(benchmarks)
version = views.version(info)
made, fitted = views.protocol(version, info.name), views.runs(version, info.name)
if not fitted:
    controls.fit_button(info)
with for_routers:
    shown = controls.routers(list(fitted))
if not shown:
    st.info("Choose at least one router to draw.")
    st.stop()
with st.expander("Pool, tasks and the curve λ moves along"):
    pool, tasks = controls.pool_and_tasks(made.models, sorted(set(made.test.tasks) - {""}))
    active = controls.along(shown)
narrowed = views.narrowed(version, info.name, pool, tasks)
with for_reference:
    reference = controls.reference(narrowed.models, narrowed.best_single)

scene = views.scene(version, info.name, tuple(shown), active, pool, tasks, reference)
frontier, unit = scene.active_curve.frontier, scene.cost_unit_usd
lam = controls.lam(views.opening_lam(version, info.name, active))
shell.simulated_note(info)
live_frontier(scene, lam=lam, key="frontier", on_release=controls.set_lam)
st.caption(shell.plain(caption(scene)))
controls.handles(views.validation_frontier(version, info.name, active, pool, tasks), unit)

rate = rate_of_lam(lam, unit)
by_share, by_slice, moved, curve = st.tabs(["Who answers", "By task", "What a small step changes", "Data"])
with by_share:
    st.plotly_chart(share_figure(scene, shell.theme()), key="shares", theme=None, alt=share_text(scene))
with by_slice:
    tables.task_table(by_task(frontier, views.task_labels(narrowed, frontier), rate, scene.reference), scene.reference)
with moved:
    after = rate_of_lam(min(lam + SMALL_STEP, 1.0), unit)
    tables.flip_table(flips(frontier, rate, after), frontier.n_prompts, lam, SMALL_STEP)
with curve:
    st.download_button(
        "Download the exact curve (CSV)",
        lambda: safe_csv(frontier_frame(frontier, unit)),
        f"{info.name}-{active}-frontier.csv",
        "text/csv",
    )
