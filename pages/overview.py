"""Overview: what routing saves on one benchmark, at a glance."""

import streamlit as st

from carrot_core.dashboard import controls, glossary, overview, shell, views
from carrot_core.dashboard.components.frontier_chart import live_frontier
from carrot_core.figures.scene import caption, drawn_baselines
from carrot_core.frontier import shortest_lam
from carrot_core.verdict import sentence

shell.guard(__file__)
for_title, for_bench = st.columns([3, 1], vertical_alignment="bottom")
with for_title:
    st.title("Send each prompt to the model that is worth its price", anchor=False)
    st.write(
        "CARROT predicts, for every prompt, what each model would score and cost, and takes the best bargain. The "
        "curve shows what that brings, beside every model alone."
    )
with for_bench:
    info = controls.benchmark(shell.readable_benchmarks())
    shell.kind_note(info)
view = views.view(info)
if not view.fitted:
    views.fit_button(info, "Below are the baselines.")
baselines = drawn_baselines([*view.fitted, *view.baselines])
active = controls.router_in_use(views.drawable(view) or tuple(baselines))
names = list(dict.fromkeys([active, *baselines]))
scene = view.scene(tuple(names), active)
unit = scene.cost_unit_usd
rate = controls.rate(views.opening_rate(view, active, unit), unit)
if view.fitted:  # a baseline has no verdict to headline
    verdict = view.verdict(active, rate)
    st.markdown(f"**{shell.plain(sentence(verdict))}**")
    accuracy, cost, saving = st.columns(3)
    overview.figures((accuracy, cost, saving), verdict, scene.basis)
live_frontier(
    scene,
    lam=shortest_lam(rate, unit),
    key="overview",
    validation_label="validation",
    on_release=lambda lam: controls.set_lam(lam, unit),
)
shell.doors()
st.subheader("Every router on every benchmark", anchor=False)
overview.leaderboard(shell.readable_benchmarks())
terms = glossary.see("verdict", "frontier", "lambda", "zero-router", "task-lookup", "cost-only", "oracle")
st.caption(f"{shell.plain(f'{shell.costs_note(info)} {caption(scene)}')} {terms}")
st.caption(shell.plain(f"Where the data come from: {shell.origin(info)}"))
