"""The Frontier page: tables at the λ that is set, task by task and prompt by prompt, and how sure the point is."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from carrot_core.dashboard import links, views, work
from carrot_core.dashboard.exhibits import MARK_COLUMN, file_stem, marked, priced, show
from carrot_core.dashboard.glossary import see, tip
from carrot_core.dashboard.shell import plain
from carrot_core.dashboard.whatif.results import verifier
from carrot_core.evaluation.solve import Goal, SolvedGoal, solve_rounds
from carrot_core.evaluation.stability import Stability, stability
from carrot_core.evaluation.tables import flip_pairs
from carrot_core.figures.scene import Scene
from carrot_core.figures.stability import (
    detail,
    of_rounds,
    of_tasks,
    stability_exhibit,
    tasks_exhibit,
    verdict,
)
from carrot_core.frontier import ReadableCurve, lam_of_rate
from carrot_core.metrics import cost_per_solved
from carrot_core.number_formats import (
    PERCENT_COLUMN,
    POINTS_COLUMN,
    SECONDS_COLUMN,
    CostBasis,
    lam_text,
    points,
)
from carrot_core.promise import CONFIDENCE, cost_bounds, score_bounds
from carrot_core.results import Names
from carrot_core.text import short_names, visible

LATENCY = "Mean latency"
COST, ACCURACY, MATCH, AS_IS = "Its cost", "Its accuracy", "The reference's accuracy", "Nothing: λ is set"
ON_SNAPSHOT = (
    "How sure the point is cannot be told from a snapshot: solving it again on samples of the prompts, on single tasks "
    "or in single rounds needs the prompts. Its 95 % intervals over prompts are in the band of the chart and on the "
    "Operating points page. `carrot data import` or the Data page brings the data."
)


def verifier_of_cascades(view: views.View, pool: Names, tasks: Names) -> tuple[float, float] | None:
    """Choose whether cascades are drawn (``?cascades=``) and how good their verifier is; None if they are not, or
    no prompt here has every outcome."""
    if not view.has_prompts or not view.narrowed(pool, tasks).test.outcomes.complete.any():
        links.check_parameter("cascades", links.among([]), "no cascades")
        return None
    chosen = st.checkbox(
        "Cascades of two models", key="cascades", bind="query-params",
        help="A cheap model answers; where a verifier says no, an expensive one does, and both are paid.",
    )  # fmt: skip
    links.check_parameter("cascades", links.flag, str(chosen).lower())
    return verifier() if chosen else None


def task_table(slices: pd.DataFrame, reference: str, scene: Scene) -> None:
    """A row for each task at the current λ: difference to the reference model with its 95 % interval."""
    percents = {"Accuracy": "accuracy", "Reference": "reference", "Saving": "saving"}
    differences = {"Difference": "paired-difference", "95 % low": "95-interval", "95 % high": "95-interval"}
    basis = scene.basis
    dollars, per_solved, most = f"$ {basis.words}", f"$ {basis.solved.words}", "Answered most by"
    paid = pd.Series(cost_per_solved(slices["cost_usd"], slices["score"])).replace(np.inf, np.nan)
    display = pd.DataFrame(
        {
            "Task": slices["task"].replace("", "(no task)").map(visible),
            "Prompts": slices["n_prompts"],
            "Accuracy": 100 * slices["score"],
            dollars: basis.calls * slices["cost_usd"],
            per_solved: basis.calls * paid,
            "Reference": 100 * slices["reference_score"],
            "Difference": 100 * slices["difference"],
            "95 % low": 100 * slices["difference_low"],
            "95 % high": 100 * slices["difference_high"],
            "Saving": 100 * slices["saving"],
            **({LATENCY: slices["latency_s"]} if "latency_s" in slices else {}),
            most: slices["most_used"].map(short_names(scene.models)),
        }
    )
    st.dataframe(
        priced(marked(display, list(slices["most_used"]), scene.palette, scene.grouping, most), dollars, per_solved),
        hide_index=True,
        column_config={
            dollars: st.column_config.NumberColumn(help=tip("cost")),
            per_solved: st.column_config.NumberColumn(help=tip("cost-per-solved-task")),
            **{
                name: st.column_config.NumberColumn(format=PERCENT_COLUMN, help=tip(of))
                for name, of in percents.items()
            },
            **{
                name: st.column_config.NumberColumn(format=POINTS_COLUMN, help=tip(of))
                for name, of in differences.items()
            },
            LATENCY: st.column_config.NumberColumn(format=SECONDS_COLUMN, help=tip("latency")),
            most: st.column_config.TextColumn(help=tip("share")),
            **MARK_COLUMN,
        },
        alt=f"Accuracy, cost and difference to {visible(reference)} for each of {len(slices)} tasks at one λ.",
    )
    st.caption(
        f"Difference to {plain(visible(reference))} in accuracy points, with its 95 % interval over the task's "
        "prompts. Tasks of a few dozen prompts say little: an interval across 0 shows no difference."
    )


def snapshot_rate_note(lam: float, snapshot_lam: float) -> None:
    """Say which λ the tasks of a snapshot are for, if it is not the current one."""
    if lam_text(snapshot_lam) != lam_text(lam):
        st.caption(
            f"A snapshot keeps the tasks at a few points of the curve: these figures are of λ {lam_text(snapshot_lam)}."
        )


def flip_table(
    flips: pd.DataFrame, n_prompts: int, lam: float, step: float, models: Sequence[str], basis: CostBasis
) -> None:
    """The prompts that get another model when λ grows by ``step``, and the change of score and cost."""
    upper = min(lam + step, 1.0)
    between = f"λ {lam_text(lam)} to {lam_text(upper)}"
    if flips.empty:
        st.write(f"From {between} no prompt changes its model.")
        return
    pairs, names = flip_pairs(flips), short_names(models)
    score, cost = pairs["score_change"].sum() / n_prompts, pairs["cost_change_usd"].sum() / n_prompts
    change = f"accuracy {points(score, digits=2)}, cost {basis.text(cost, signed=True)}"
    st.write(plain(f"From {between}, {len(flips):,} of {n_prompts:,} prompts get another model: {change}."))
    st.caption(see("flip", "breakpoint"))
    st.dataframe(
        priced(
            pd.DataFrame(
                {
                    "From": pairs["model_before"].map(names),
                    "To": pairs["model_after"].map(names),
                    "Prompts": pairs["n_prompts"],
                    "Now better": pairs["better"],
                    "Now worse": pairs["worse"],
                    f"$ {basis.words} of these": basis.calls * pairs["cost_change_usd"] / pairs["n_prompts"],
                }
            ),
            f"$ {basis.words} of these",
            signed=True,
        ),
        hide_index=True,
        alt=f"Prompts that change from one model to another from {between}.",
    )
    with st.expander("Prompt by prompt"):
        st.dataframe(
            priced(
                pd.DataFrame(
                    {
                        "Prompt": flips["prompt_id"].map(visible),
                        "From": flips["model_before"].map(names),
                        "To": flips["model_after"].map(names),
                        "Score before": flips["score_before"],
                        "Score after": flips["score_after"],
                        f"$ {basis.words} before": basis.calls * flips["cost_usd_before"],
                        f"$ {basis.words} after": basis.calls * flips["cost_usd_after"],
                    }
                ),
                f"$ {basis.words} before",
                f"$ {basis.words} after",
            ),
            hide_index=True,
            column_config=dict.fromkeys(("Score before", "Score after"), st.column_config.NumberColumn(format="%.2f")),
            alt=f"The {len(flips)} prompts that change their model, with score and cost before and after.",
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
    basis = view.within(pool, tasks).basis
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
    st.markdown(f"**{plain(verdict(result, basis))}**")
    if text := detail(result, basis):
        st.write(plain(text))
    rounds = _rounds(view, router, pool, tasks, json.dumps(vars(goal)))
    curve = view.exact_curve(router, "test", pool, tasks)
    show(stability_exhibit(result, curve, rounds, f"{file_stem(view.name)}-stability", basis), key=f"{key}:cloud")
    _round_table(rounds, basis)
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


@work.cached(max_entries=16, show_spinner="Solving it again on 1,000 samples …")
def _stability(view: views.View, router: str, pool: Names, tasks: Names, goal: str) -> Stability:
    estimates = view.estimates(router, pool, tasks)
    return stability(view.narrowed(pool, tasks), estimates, Goal(**json.loads(goal)))


@work.cached(max_entries=16, show_spinner="Solving it in every round …")
def _rounds(view: views.View, router: str, pool: Names, tasks: Names, goal: str) -> Sequence[SolvedGoal]:
    estimates = view.estimates(router, pool, tasks)
    return solve_rounds(view.narrowed(pool, tasks), estimates, Goal(**json.loads(goal)), replicates=200)


def _round_table(rounds: Sequence[SolvedGoal], basis: CostBasis) -> None:
    """The point in every round of cross-fitting; nothing if there are none."""
    if not rounds:
        return
    st.write(plain(of_rounds(rounds, basis)))
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
