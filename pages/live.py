"""Live prompt: type a prompt and see which model answers, why, and for which λ it would be another."""

import streamlit as st

from carrot_core.dashboard import controls, links, live, shell
from carrot_core.dashboard.exhibits import models_note
from carrot_core.dashboard.live.batch import batch_panel

shell.guard(__file__)
st.title("Live prompt", anchor=False)

for_bench, for_router, for_options = st.columns([4, 4, 3], vertical_alignment="bottom")
with for_bench:
    info = controls.benchmark(shell.readable_benchmarks())
with for_router:
    router = live.router_of(info)
with for_options:
    options = live.decision_options(router, info)
task = live.task_of(router)

# Only the open tab is drawn: the page is redrawn at every answer.
one, many = links.tabs(["One prompt", "Many prompts"], "prompts")
with one:
    if one.open:
        live.one_prompt(info, router, options, task)
with many:
    if many.open:
        batch_panel(router, task=task, **vars(options))
live.note(info, router, options)
models_note(info)
