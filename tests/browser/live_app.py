"""The live chart on a page of its own: λ in a box, a count of the runs, nothing else."""

from dataclasses import replace

import streamlit as st

from carrot_core.dashboard.components.frontier_chart import live_frontier
from tests.scenes import MODELS, scene, timed

st.set_page_config(layout="wide")


@st.cache_resource
def build_scene(n, named, pool, with_latency):
    models = (MODELS[0], named, *MODELS[2:]) if named else MODELS
    chart = scene(n, models[:pool])
    return replace(timed(chart) if with_latency else chart, reference=chart.models[-3])


parameters = st.query_params
st.session_state.setdefault("runs", 0)
st.session_state.setdefault("lam", float(parameters.get("lam", 0.4)))
st.session_state.runs += 1
pool = st.selectbox("Pool", [len(MODELS), 9, 3])


def keep(lam):
    st.session_state.lam = lam


live_frontier(
    build_scene(int(parameters.get("n", 2000)), parameters.get("named"), pool, "timed" in parameters),
    lam=st.session_state.lam,
    key="live",
    validation_label=parameters.get("validation_label", ""),
    on_release=keep,
)
st.number_input("λ from elsewhere", 0.0, 1.0, key="lam", step=0.001, format="%.9f")
st.text(f"runs {st.session_state.runs} · λ {st.session_state.lam!r}")
