"""The Frontier page: tables at the λ that is set, task by task and prompt by prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from carrot_core.dashboard.exhibits import priced
from carrot_core.dashboard.glossary import see, tip
from carrot_core.dashboard.shell import plain
from carrot_core.evaluation.tables import flip_pairs
from carrot_core.metrics import cost_per_solved
from carrot_core.number_formats import PERCENT_COLUMN, POINTS_COLUMN, call_cost, cost_basis, lam_text, points
from carrot_core.text import short_names, visible


def task_table(slices: pd.DataFrame, reference: str, models: Sequence[str]) -> None:
    """A row for each task at the current λ: difference to the reference model with its 95 % interval."""
    percents = {"Accuracy": "accuracy", "Reference": "reference", "Saving": "saving"}
    differences = {"Difference": "paired-difference", "95 % low": "95-interval", "95 % high": "95-interval"}
    basis = cost_basis(slices["cost_usd"])
    dollars, per_solved = f"$ {basis.words}", f"$ {basis.solved.words}"
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
            "Answered most by": slices["most_used"].map(short_names(models)),
        }
    )
    st.dataframe(
        priced(display, dollars, per_solved),
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
            "Answered most by": st.column_config.TextColumn(help=tip("share")),
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


def flip_table(flips: pd.DataFrame, n_prompts: int, lam: float, step: float, models: Sequence[str]) -> None:
    """Which prompts get another model when λ grows by ``step``, and how score and cost change."""
    upper = min(lam + step, 1.0)
    between = f"λ {lam_text(lam)} to {lam_text(upper)}"
    if flips.empty:
        st.write(f"From {between} no prompt changes its model.")
        return
    pairs, names = flip_pairs(flips), short_names(models)
    score, cost = pairs["score_change"].sum() / n_prompts, pairs["cost_change_usd"].sum() / n_prompts
    basis = cost_basis(np.r_[flips["cost_usd_before"], flips["cost_usd_after"]])
    change = f"accuracy {points(score, digits=2)}, cost {call_cost(cost, signed=True)}"
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
