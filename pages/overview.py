"""Overview: what routing saves on one benchmark, at a glance."""

import streamlit as st

from carrot_core.dashboard import controls, glossary, overview, shell, views
from carrot_core.dashboard.components.frontier_chart import live_frontier
from carrot_core.dashboard.exhibits import models_note
from carrot_core.figures.scene import caption, drawn_baselines
from carrot_core.frontier import shortest_lam
from carrot_core.verdict import sentence

shell.guard(__file__)
with st.container(key="answer"):  # before anything is drawn, so that the page's style holds from the start
    for_words, for_choice = st.columns([3, 1])
with for_words:
    st.title("CARROT sends each prompt to the model worth its price", anchor=False)
with for_choice, st.container(horizontal=True, gap="xsmall", key="choice"):
    info = controls.benchmark(shell.readable_benchmarks())
    shell.kind_note(info)
    models_note(info)
    view = views.view(info)
    pool, grouping = controls.models_menu(view, info.facts_by_model)
if not view.fitted:
    views.fit_button(info, "Below are the baselines.")
baselines = drawn_baselines([*view.fitted, *view.baselines])
active = controls.router_in_use(views.drawable(view) or tuple(baselines))
names = list(dict.fromkeys([active, *baselines]))
scene = view.scene(tuple(names), active, pool, grouping=grouping)
unit = scene.cost_unit_usd
rate = controls.rate(views.opening_rate(view, active, unit, pool), unit, pool)
verdict = view.verdict(active, rate, pool=pool) if view.fitted else None  # a baseline has none to headline
with for_words:
    if verdict is not None:
        st.markdown(f"**{shell.plain(sentence(verdict))}**")
    shell.doors()
live_frontier(
    scene,
    lam=shortest_lam(rate, unit),
    key="overview",
    validation_label="validation",
    verdict=verdict,
    brief=True,
    on_release=lambda lam: controls.set_lam(lam, unit),
)
st.subheader("Every router on every benchmark", anchor=False)
with st.container(key="folding-leaderboard"):
    overview.leaderboard(shell.readable_benchmarks())
with st.expander("How to read the chart, and where the data come from"):
    terms = glossary.see("verdict", "frontier", "lambda", "zero-router", "task-lookup", "cost-only", "oracle")
    st.caption(f"{shell.plain(caption(scene))} {terms}")
    if verdict is not None:
        st.caption(
            "Accuracy and cost of a λ that was chosen to match a model count each prompt at the λ that its round chose "
            "without it. Where the curve at this λ for every prompt differs, its figure follows as “ring”."
        )
    st.caption(shell.plain(f"Where the data come from: {shell.origin(info)}"))
