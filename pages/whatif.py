"""What-if: other prices, tokens, tasks or models, and where the frontier and the operating point go."""

import streamlit as st

from carrot_core.dashboard import controls, links, shell, views, whatif
from carrot_core.dashboard.components.frontier_chart import live_frontier
from carrot_core.dashboard.exhibits import models_note
from carrot_core.dashboard.whatif import results
from carrot_core.figures.scene import caption
from carrot_core.frontier import shortest_lam
from carrot_core.whatif import move_point

shell.guard(__file__)
st.title("What-if", anchor=False)

for_bench, for_router = st.columns(2)
with for_bench:
    info = controls.benchmark(shell.readable_benchmarks())
view = views.view(info)
with for_router:
    router = results.router(info, view)
with st.container(horizontal=True):
    shell.kind_note(info)
    models_note(info)

# A phone shows the figures first, then the settings, then the tables.
for_result, for_settings = st.columns([3, 2], gap="medium")
for_tables = st.container()
with for_settings, st.container(key="settings"):
    scenario = whatif.scenario_of(view.narrowed(), info.facts_by_model, views.latency_p95_s(view))
    grouping = controls.grouping_in_use(view.models, info.facts_by_model)
with for_result, shell.errors_as_text():
    what_if, scene = results.apply_scenario(view, router, scenario, grouping)
    unit = what_if.cost_unit_usd
    rate = controls.rate(views.opening_rate(view, router, unit, scenario.pool), unit, scenario.pool)
    live_frontier(
        scene,
        lam=shortest_lam(rate, unit),
        key="whatif",
        validation_label="validation, before",
        on_release=lambda lam: controls.set_lam(lam, unit),
    )
    results.show_notes(what_if)
    with for_tables:
        points = move_point(what_if, rate)
        by_point, by_share, by_price, by_verdict = links.tabs(
            ["Where the point goes", "Who answers", "What would make a model worth using", "Cascades with a verifier"],
            "result",
        )
        with by_point:
            results.drift_table(points, scene.basis)
            results.other_pages_note(view, router, points[0], rate, scene.basis)
        with by_share:
            results.share_table(what_if, scene, rate)
        with by_price:
            results.worth(what_if, scene, rate, info.facts_by_model)
        with by_verdict:
            results.cascades(what_if, scene.basis)
        with st.expander("How to read the chart"):
            st.caption(shell.plain(caption(scene)))
