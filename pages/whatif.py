"""What-if: other prices, tokens, tasks or models, and where the frontier and the operating point go."""

import streamlit as st

from carrot_core.dashboard import controls, shell, views
from carrot_core.dashboard.components.frontier_chart import live_frontier
from carrot_core.dashboard.whatif import results, settings
from carrot_core.figures.scene import caption
from carrot_core.frontier import rate_of_lam

shell.guard(__file__)
st.title("What-if")

for_bench, for_router = st.columns(2)
with for_bench:
    info = controls.benchmark(shell.readable_benchmarks())
seen = views.view(info)
with for_router:
    router = results.router(info, seen)
shell.kind_note(info)

for_settings, for_result = st.columns([2, 3], gap="medium")
with for_settings:
    asked = settings.scenario_of(seen.narrowed())
with for_result, shell.errors_as_text():
    found, scene = results.changed(seen, router, asked)
    lam, unit = controls.lam(views.opening_lam(seen, router)), found.cost_unit_usd
    live_frontier(scene, lam=lam, key="whatif", wishes="validation, before", on_release=controls.set_lam)
    st.caption(shell.plain(caption(scene)))
    results.notes(found)
    rate = rate_of_lam(lam, unit)
    by_point, by_share, by_price = st.tabs(
        ["Where the point goes", "Who answers", "What would make a model worth using"]
    )
    with by_point:
        results.drift_table(found, rate)
    with by_share:
        results.share_table(found, rate)
    with by_price:
        results.worth(found, rate)
