"""Overview: what routing saves on one benchmark, at a glance."""

import streamlit as st

from carrot_core.dashboard import controls, glossary, overview, shell, views
from carrot_core.dashboard.components.frontier_chart import live_frontier
from carrot_core.figures.scene import caption, drawn_baselines, label
from carrot_core.frontier import shortest_lam
from carrot_core.number_formats import lam_text, money, percent

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
    controls.fit_button(info, "Below are the baselines.")
names = list(dict.fromkeys([*view.fitted[:1], *drawn_baselines([*view.fitted, *view.baselines])]))
active = names[0]
scene = view.scene(tuple(names), active)
point = view.matching_point(active)

best = scene.short_names[scene.best_single]
if view.fitted and point is None:
    st.markdown(
        shell.plain(
            f"No point of {label(active)} can promise to be as good as {best}, the best single model, so there is no "
            "saving to show."
        )
    )
elif view.fitted and point is not None:  # a baseline has no saving to report
    st.markdown(
        f"**{shell.plain(f'{label(active)}, set to match {best} (the best single model) as cheaply as possible')}.** "
        f"{overview.verdict(point, best, scene.n_prompts)}"
    )
    accuracy, cost, saving = st.columns(3)
    overview.figure(
        accuracy, f"Accuracy at λ {lam_text(point.lam)}", point.score, percent, glossary.tip("accuracy", "lambda")
    )
    calls, words = scene.basis.calls, scene.basis.words
    overview.figure(
        cost, f"Cost {words}", point.cost_usd, lambda usd: money(calls * max(usd, 0.0)), glossary.tip("cost")
    )
    overview.saving(saving, point, best, glossary.tip("saving-at-equal-score", "95-interval"))
    st.caption(overview.how_sure(point, best))

unit = scene.cost_unit_usd
rate = controls.rate(views.opening_rate(view, active, unit), unit)
live_frontier(
    scene,
    lam=shortest_lam(rate, unit),
    key="overview",
    validation_label="validation",
    on_release=lambda lam: controls.set_lam(lam, unit),
)
shell.doors()
terms = glossary.see("frontier", "lambda", "zero-router", "task-lookup", "cost-only", "oracle")
st.caption(f"{shell.plain(caption(scene))} {terms}")
st.caption(shell.plain(f"Where the data come from: {shell.origin(info)}"))
