"""One typed prompt and its answer; only this fragment reruns while somebody types."""

from __future__ import annotations

import streamlit as st

from carrot_core import limits
from carrot_core.dashboard import controls, shell
from carrot_core.dashboard.components.decision import live_decision
from carrot_core.dashboard.components.prompt_box import prompt_box
from carrot_core.dashboard.exhibits import csv_button
from carrot_core.dashboard.glossary import see
from carrot_core.dashboard.live import DecisionOptions
from carrot_core.dashboard.shell import plain
from carrot_core.number_formats import percent
from carrot_core.serving.decision import Explanation
from carrot_core.serving.intervals import GROUP
from carrot_core.serving.profile import RouterProfile
from carrot_core.serving.router import CarrotRouter
from carrot_core.text import visible

_RERUN = "live:moved"


@st.fragment
def one_prompt(router: CarrotRouter, options: DecisionOptions, no_neighbours: str) -> None:
    """The prompt box with the answer below it.

    Parameters
    ----------
    no_neighbours : the text to show if the router has no nearest training prompts to show.
    """
    if st.session_state.pop(_RERUN, False):
        st.rerun()  # λ is shown outside this fragment too
    with shell.errors_as_text():
        text = prompt_box()
        if text is None:
            st.warning(
                f"The prompt is longer than {limits.TYPED_CHARACTERS:,} characters. Shorten it to get an answer."
            )
        elif not text.strip():
            st.info(
                "Type a prompt above, or click an example: which model should answer it, what each is expected to "
                "score and cost, and for which λ it would be another one.",
                icon=":material/edit_note:",
            )
        else:
            answer(router, text, options, no_neighbours)


def answer(router: CarrotRouter, text: str, options: DecisionOptions, no_neighbours: str) -> None:
    """The decision on one prompt, with the estimates it is based on."""
    explanation = router.explain(
        text, lam=options.lam, pool=options.pool, fallback=options.fallback, fallback_above=options.fallback_above
    )
    if explanation.unlike:
        st.warning(plain(_unlike(explanation, options)), icon=":material/travel_explore:")

    def set_lam(lam: float) -> None:
        controls.set_lam(lam, router.cost_unit_usd)
        st.session_state[_RERUN] = True

    # Texts that change with the prompt are part of the component, which is faster than Streamlit at redrawing them.
    about = [line for line in (_reading(explanation), _distance(explanation, options)) if line]
    live_decision(explanation, lam=options.lam, key="live:decision", about=about, on_release=set_lam)
    words = see("decision-ribbon", "utility", "margin", "conformal-interval", "distance-to-the-training-data")
    nearest = f"  \n{no_neighbours}" if explanation.nearest is None else ""
    st.caption(f"{plain(_intervals(router.profile))}  \n{words}{nearest}")
    csv_button("Download this decision (CSV)", lambda: explanation.table, f"{router.name}-decision")


def _unlike(explanation: Explanation, options: DecisionOptions) -> str:
    does = (
        f"The fallback, {visible(options.fallback)}, answers."
        if options.fallback
        else "A fallback can be chosen above."
    )
    far = f"{explanation.distance_percentile:.1f}th percentile"
    return f"Unlike anything in the training data: {far}. The estimates below are little more than guesses. {does}"


def _distance(explanation: Explanation, options: DecisionOptions) -> str:
    """How far the prompt is from the training data; empty if the router has no distance."""
    if explanation.distance_percentile is None:
        return ""
    return (
        f"Distance: farther from the training data than {explanation.distance_percentile:.1f} % of the validation "
        f"prompts; called unlike from {options.fallback_above:g} % on."
    )


def _reading(explanation: Explanation) -> str:
    """How many tokens of the prompt were read, and the time it took."""
    tokens, read = explanation.prompt_tokens, explanation.read_tokens
    rest = f"the encoder reads the first {read}, the rest counts for the cost only" if tokens > read else "all read"
    embed, decide = (1000 * explanation.seconds[name] for name in ("embed", "decide"))
    return (
        f"{tokens:,} tokens, {rest}. Answered in {embed + decide:.0f} ms: {embed:.0f} to read, {decide:.0f} to decide."
    )


def _intervals(profile: RouterProfile) -> str:
    """What the intervals mean and how often they held on test."""
    nominal, score, usage = (profile.coverage[name] for name in ("nominal", "score", "usage"))
    assert nominal is not None  # only usage may have no interval
    assert score is not None
    text = (
        f"Accuracy intervals: the mean score of {GROUP} prompts with such a prediction, in "
        f"{percent(nominal, digits=0)} of cases; on test {percent(score)} held."
    )
    if usage is None:
        return f"{text} Only the input is charged here, and no output tokens are recorded: the cost has no interval."
    what = (
        "Cost intervals (dollars are recorded, no tokens)"
        if profile.usage == "cost_usd"
        else "Token and cost intervals"
    )
    return f"{text} {what}: one answer, in {percent(nominal, digits=0)} of cases; on test {percent(usage)}."
