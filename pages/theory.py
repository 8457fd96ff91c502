"""Theory: how fast the rule comes up to the oracle in a world where everything is known, and what real prompts say."""

from dataclasses import replace

import streamlit as st

from carrot_core.dashboard import controls, shell, theory, views
from carrot_core.dashboard.compare import results
from carrot_core.dashboard.exhibits import show
from carrot_core.dashboard.glossary import see
from carrot_core.dashboard.stores import labels
from carrot_core.theory import learning_exhibit, shipped_dimensions, shipped_spectra, slopes, slopes_exhibit
from carrot_core.theory.dimension import dimension_exhibit, spectra_exhibit
from carrot_core.theory.rates import rate_exhibit, slope_words

shell.guard(__file__)
st.title("Theory", anchor=False)
st.write(
    "The more prompts CARROT learns from, the less it loses against the **oracle rule**, which knows every model's "
    "expected score and cost. How fast? That is the question of the paper "
    "([arXiv 2502.03261](https://arxiv.org/abs/2502.03261)). Here it is simulated: prompts are points of a cube, "
    "scores and costs are known functions, and the rule sees noisy outcomes only."
)
part = theory.part()

if part == "Rate":
    world = theory.world()
    (curve,) = theory.curves(world)
    theory.readings(curve)
    for_world, for_others = st.columns(2, gap="medium")
    with for_world:
        st.header("In this world")
        show(rate_exhibit(curve), key="t-rate")
        st.write(shell.plain(slope_words(curve)))
    with for_others:
        st.header("Does it hold elsewhere?")
        show(slopes_exhibit(slopes()), key="t-slopes")
    st.caption(
        "The predicted slope is -γ(1 + α)/(2γ + d): known from the theory of plug-in classification (Audibert and "
        "Tsybakov 2007) and checked here, not quoted from the paper. With several metrics the bound is a λ-weighted "
        "sum of such terms; both metrics have the same γ here, so λ moves the height of the line and not its slope. "
        + see("excess-risk", "learning-rate", "holder-smoothness", "margin-exponent")
    )

elif part == "Decision boundary":
    world = theory.world()
    n = theory.training_prompts()
    if world.dimension != 2:
        st.caption(f"Drawn in two dimensions; the other controls are as set, and d = {world.dimension} is left aside.")
    show(theory.boundary(world, n), key="t-boundary")
    st.caption(see("plug-in-router"))

elif part == "Broken assumption":
    world = theory.world()
    broken = replace(world, breach=theory.breach())
    intact, curve = theory.curves(world, broken)
    show(rate_exhibit(curve, intact), key="t-broken")
    st.write("With the assumption broken: " + shell.plain(slope_words(curve)))
    st.markdown(
        "- **No margin.** Close calls do not get rare as the gap shrinks. Each costs little, but there are many. The "
        "law then holds with α = 0 only: slope -γ/(2γ + d).\n"
        "- **Rough.** Scores change faster from prompt to prompt (γ = 0.3) than the estimator takes for granted. It "
        "averages over too many neighbours, and the error of that does not shrink as promised.\n"
        "- **Thin data.** Prompts are asked evenly, but hardly any training prompts lie where the choice is close. "
        "The nearest neighbours are far away there, however many there are elsewhere."
    )

elif part == "Real prompts":
    st.header("How many dimensions do prompts fill?")
    with shell.errors_as_text():
        show(dimension_exhibit(shipped_dimensions()), key="t-dimension")
    with shell.errors_as_text():
        show(spectra_exhibit(shipped_spectra()), key="t-spectra")
    st.caption(see("intrinsic-dimension"))
    st.header("Learning curves of real benchmarks")
    curves = dict(theory.snapshot_learning())
    with st.expander("Add a benchmark of your own"):
        benchmarks = shell.readable_benchmarks()
        info = controls.benchmark(benchmarks)
        if not info.has_prompts:
            st.info("A snapshot is drawn below where it keeps a learning curve. Load a benchmark's data to make one.")
        elif (own := results.study(info, views.view(info), "learning", "learning curve")) is not None:
            curves[labels(benchmarks)[benchmarks.index(info)]] = own
    if curves:
        show(learning_exhibit(curves), key="t-learning")
    else:
        st.info("No snapshot here keeps a learning curve. Load a benchmark's data to make one.")

else:
    dimensions = shipped_dimensions()
    most = dimensions[(dimensions["estimator"] == "mle")].groupby("benchmark")["dimension"].last()
    low, high = round(most.min()), round(most.max())
    st.header("What is proved, and what is simulated")
    st.markdown(
        "- **Proved in the paper:** how fast the excess risk of plug-in routing falls for several metrics, and in what "
        "sense that is optimal. Its theorems and conditions are not repeated here: read them there.\n"
        "- **Known before:** for one metric and two classes, the rate n^(-γ(1 + α)/(2γ + d)) of plug-in rules.\n"
        "- **Simulated here:** that neighbours with the bandwidth the law asks for reach this slope in worlds whose γ "
        "and α are what the controls say. A simulation at n up to 100,000 proves nothing about all n, and constants "
        "are outside the law."
    )
    st.header("The assumptions, and what they mean in practice")
    st.markdown(
        "- **Smooth scores and costs (γ).** A model answers prompts with near vectors about equally well. A vector "
        "that misses what makes a prompt hard makes γ small.\n"
        "- **A margin (α).** Few prompts are close calls. A pool of alike models has many, but a wrong choice between "
        "equals costs little.\n"
        "- **Training prompts wherever prompts are asked.** A router knows nothing of prompts unlike its training "
        "data. The Live prompt page flags them.\n"
        f"- **d dimensions.** Twenty neighbours put the vectors of real prompts at {low} to {high} dimensions.\n"
        "- **γ is known.** The number of neighbours must fit it. CARROT-KNN chooses it by cross-validation instead.\n"
        "- **Independent prompts.** Templates and near copies count as fewer prompts than they are."
    )
    at = {d: theory.factor(-2 / (2 + d)) for d in (2, low, high)}
    st.write(
        "**What to expect.** With γ = 1 and α = 1, halving the excess takes "
        + ", ".join(f"{times} as many prompts in {d} dimensions" for d, times in at.items())
        + ". So on real prompts learning is slow by nature, and a vector that holds what matters in fewer "
        "dimensions is worth more than more data. The rates are about the worst world of each kind; a real one "
        "can be kinder."
    )
