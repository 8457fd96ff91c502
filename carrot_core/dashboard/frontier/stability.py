"""How sure a point is: how far it moves over bootstrap samples, tasks and rounds of cross-fitting."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from carrot_core.dashboard import views
from carrot_core.dashboard.exhibits import file_stem, priced, show
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.shell import plain
from carrot_core.evaluation.solve import Goal, SolvedGoal, solve_rounds
from carrot_core.evaluation.stability import Stability, stability
from carrot_core.figures.stability import (
    detail,
    of_rounds,
    of_tasks,
    stability_exhibit,
    tasks_exhibit,
    verdict,
)
from carrot_core.frontier import ReadableCurve, lam_of_rate
from carrot_core.number_formats import PERCENT_COLUMN, cost_basis, lam_text
from carrot_core.promise import CONFIDENCE, cost_bounds, score_bounds
from carrot_core.results.source import Names

COST, ACCURACY, MATCH, AS_IS = "Its cost", "Its accuracy", "The reference's accuracy", "Nothing: λ is set"
ON_SNAPSHOT = (
    "How sure the point is cannot be told from a snapshot: solving it again on samples of the prompts, on single tasks "
    "or in single rounds needs the prompts. Its 95 % intervals over prompts are in the band of the chart and on the "
    "Operating points page. `carrot data import` or the Data page brings the data."
)


def stability_panel(
    view: views.View,
    router: str,
    rate_per_usd: float,
    reference: str,
    pool: Names = (),
    tasks: Names = (),
    *,
    key: str,
) -> None:
    """Solve a point's goal again on other prompts, and show how far the point moves.

    Parameters
    ----------
    view, router : the results, and the router on whose curve the point lies.
    rate_per_usd : the point's exchange rate, score per dollar.
    reference : model whose accuracy may be the goal.
    pool, tasks : models and tasks the page is limited to; empty for all.
    key : prefix of the keys of widgets and figures.
    """
    if not view.has_prompts:
        st.info(ON_SNAPSHOT, icon=":material/photo_camera:")
        return
    purpose = st.segmented_control(
        "What the point has to keep", [COST, ACCURACY, MATCH, AS_IS], default=COST, key=f"{key}:purpose", required=True,
        help=tip("stability", also="Solved for again is the cost or the accuracy that the point promises."),
    )  # fmt: skip
    validation = view.curve(router, "validation", pool, tasks)
    goal = _goal(str(purpose), validation, rate_per_usd, reference)
    result = _stability(view, router, pool, tasks, json.dumps(vars(goal)))
    set_to = lam_text(float(lam_of_rate(rate_per_usd, result.cost_unit_usd)))
    if purpose in (COST, ACCURACY) and lam_text(result.lam) != set_to:
        st.caption(
            plain(
                f"Solved for {str(purpose).lower()}, λ {lam_text(result.lam)} is at least as good as "
                f"λ {set_to}, which is set. The figures below are for λ {lam_text(result.lam)}."
            )
        )
    st.markdown(f"**{plain(verdict(result))}**")
    if text := detail(result):
        st.write(plain(text))
    rounds = _rounds(view, router, pool, tasks, json.dumps(vars(goal)))
    curve = view.exact_curve(router, "test", pool, tasks)
    show(stability_exhibit(result, curve, rounds, f"{file_stem(view.name)}-stability"), key=f"{key}:cloud")
    _round_table(rounds)
    exhibit = tasks_exhibit(result, f"{file_stem(view.name)}-stability-tasks")
    if exhibit is None:
        st.caption("The prompts have no task labels, so there are no single tasks to solve it on.")
    else:
        if text := of_tasks(result):
            st.write(plain(text))
        show(exhibit, key=f"{key}:tasks")


def _goal(purpose: str, validation: ReadableCurve, rate_per_usd: float, reference: str) -> Goal:
    at = validation.at(rate_per_usd)
    if purpose == COST:
        return Goal(budget_usd=float(cost_bounds(validation, CONFIDENCE).bound[at]))
    if purpose == ACCURACY:
        return Goal(target_score=max(float(score_bounds(validation, CONFIDENCE).bound[at]), 0.0))
    return Goal(match=reference) if purpose == MATCH else Goal(rate_per_usd=rate_per_usd)


@st.cache_resource(max_entries=16, show_spinner="Solving it again on 1,000 samples …")
def _stability(view: views.View, router: str, pool: Names, tasks: Names, goal: str) -> Stability:
    estimates = view.estimates(router, pool, tasks)
    return stability(view.narrowed(pool, tasks), estimates, Goal(**json.loads(goal)))


@st.cache_resource(max_entries=16, show_spinner="Solving it in every round …")
def _rounds(view: views.View, router: str, pool: Names, tasks: Names, goal: str) -> Sequence[SolvedGoal]:
    estimates = view.estimates(router, pool, tasks)
    return solve_rounds(view.narrowed(pool, tasks), estimates, Goal(**json.loads(goal)), replicates=200)


def _round_table(rounds: Sequence[SolvedGoal]) -> None:
    """The point in every round of cross-fitting; nothing where there are none."""
    if not rounds:
        return
    st.write(plain(of_rounds(rounds)))
    basis = cost_basis([solved.reported.cost_usd.value for solved in rounds])
    rows = [
        {
            "Round": number,
            "λ": solved.lam,
            "Accuracy": 100 * solved.reported.score.value,
            f"$ {basis.words}": basis.calls * solved.reported.cost_usd.value,
            "Reached": not solved.solution.shortfall,
        }
        for number, solved in enumerate(rounds, start=1)
    ]
    st.dataframe(
        priced(pd.DataFrame(rows), f"$ {basis.words}"), hide_index=True,
        column_config={
            "λ": st.column_config.NumberColumn(format="%.4f"),
            "Accuracy": st.column_config.NumberColumn(format=PERCENT_COLUMN),
        },
        alt=f"The point solved in each of {len(rounds)} rounds of cross-fitting, and what it does on the prompts that "
        "it was chosen without.",
    )  # fmt: skip
