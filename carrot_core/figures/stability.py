"""The stability of an operating point, as pictures and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.bootstrap import Interval
from carrot_core.curve import thin
from carrot_core.evaluation.solve import Goal, SolvedGoal
from carrot_core.evaluation.stability import FEW, Stability
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.theme import THEMES, Theme, ThemeName, axis, layout, plotly_text, translucent, whiskers
from carrot_core.frontier import ReadableCurve
from carrot_core.number_formats import (
    DOLLAR_AXIS,
    LAM_HOVER,
    CostBasis,
    call_cost,
    cost_basis,
    lam_text,
    money,
    percent,
    solved_cost,
)
from carrot_core.text import visible

_SURE, _LIKELY = 0.9, 0.6  # shares of the samples
_ROW = 24  # pixels for each task


def goal_text(goal: Goal, basis: CostBasis | None = None) -> str:
    """The goal of a point in a few words; costs here and below are on a ``basis``, by default each on its own."""
    if goal.budget_usd is not None:
        return f"at most {call_cost(goal.budget_usd, basis=basis)}"
    if goal.target_score is not None:
        return f"at least {percent(goal.target_score, digits=2)} accuracy"
    if goal.match is not None:
        return f"as accurate as {visible(goal.match)} alone"
    if goal.per_solved_usd is not None:
        return f"at most {solved_cost(goal.per_solved_usd, basis=basis)}"
    if goal.least_per_solved:
        return "at most the cost per solved task that is promised"
    if goal.cap_usd is not None:
        return f"no query expected to cost more than {money(goal.cap_usd)}"
    return "this λ"


def verdict(stability: Stability, basis: CostBasis | None = None) -> str:
    """The stability of the point in one plain sentence."""
    if not stability.is_solved:
        return (
            "λ is set, so other prompts would not change it; what it does is known to "
            f"{_scores(stability.score_in_all)} and {_costs(stability.cost_usd_in_all, basis)} "
            "(95 % intervals)."
        )
    if stability.goal.least_per_solved and not stability.reached:
        return "No cost per solved task can be promised from these prompts, so there is none to keep."
    share = stability.success_share
    if share >= _SURE:
        how = "This point is sure to keep what was asked for"
    elif share >= _LIKELY:
        how = "This point will probably keep what was asked for"
    elif share > 1 - _LIKELY:
        how = "Whether this point keeps what was asked for is about even"
    else:
        how = "This point will probably miss what was asked for"
    samples = f"{percent(share, digits=0)} of {len(stability.samples):,} bootstrap samples"
    return f"{how}: {goal_text(stability.goal, basis)} holds on test in {samples}."


def detail(stability: Stability, basis: CostBasis | None = None) -> str:
    """The ranges of λ and the figures over the samples; empty for a λ that is set, not solved for."""
    if not stability.is_solved:
        return ""
    low, high = stability.lam_interval.low, stability.lam_interval.high
    text = (
        f"Chosen again on samples of the {stability.n_validation:,} validation prompts, λ is {_lams(low, high)} in "
        f"95 % of them (chosen: {lam_text(stability.lam)}). On the {stability.n_reported:,} test prompts these points "
        f"score {_scores(stability.score)} at {_costs(stability.cost_usd, basis)}; with the luck of the "
        f"test prompts counted in, {_scores(stability.score_in_all)} at {_costs(stability.cost_usd_in_all, basis)}."
    )
    if stability.reached < 1:
        text += f" In {percent(1 - stability.reached)} of the samples no point reaches it; there the nearest is taken."
    return text


def of_tasks(stability: Stability) -> str:
    """The choices of single tasks in a sentence; empty without tasks."""
    tasks = stability.tasks.dropna(subset=["lam_alone"]) if len(stability.tasks) else stability.tasks
    if not stability.is_solved or not len(tasks):
        return ""
    tasks = tasks.sort_values("lam_alone")
    first, last = tasks.iloc[0], tasks.iloc[-1]
    few = int((tasks["n_validation"] < FEW).sum())
    text = (
        f"Solved on each of {len(tasks)} tasks alone, λ would be {_lams(first['lam_alone'], last['lam_alone'])} "
        f"({_task(first['task'])} to {_task(last['task'])})."
    )
    have = "has" if few == 1 else "have"
    return text + (f" {few} of them {have} fewer than {FEW} validation prompts: that says little." if few else "")


def of_rounds(rounds: Sequence[SolvedGoal], basis: CostBasis | None = None) -> str:
    """The choices of the rounds of cross-fitting in a sentence; "" without rounds."""
    if not rounds:
        return ""
    lams = [solved.lam for solved in rounds]
    points = [solved.reported for solved in rounds]
    scores, costs = [point.score.value for point in points], [point.cost_usd.value for point in points]
    missed = sum(bool(solved.solution.shortfall) for solved in rounds)
    return (
        f"Solved in each of {len(rounds)} rounds of cross-fitting, λ is {_lams(min(lams), max(lams))}, on the prompts "
        f"that it was chosen without {percent(min(scores))} to {percent(max(scores))} at "
        f"{_costs(Interval(max(costs), min(costs), max(costs)), basis)}."
        + (f" In {missed} of them it cannot be reached." if missed else "")
    )


def _task(name: str) -> str:
    return visible(name)


def _lams(low: float, high: float) -> str:
    first, last = lam_text(low), lam_text(high)
    return first if first == last else f"{first} to {last}"


def _scores(interval: Interval) -> str:
    return f"{percent(interval.low)} to {percent(interval.high)}"


def _costs(interval: Interval, basis: CostBasis | None) -> str:
    basis = basis or cost_basis(interval.value)
    low, high = (money(basis.calls * max(end, 0.0)) for end in (interval.low, interval.high))
    return f"{low if low == high else f'{low} to {high}'} {basis.words}"


def stability_exhibit(
    stability: Stability,
    curve: ReadableCurve,
    rounds: Sequence[SolvedGoal] = (),
    name: str = "",
    basis: CostBasis | None = None,
) -> Exhibit:
    """A point over bootstrap samples, on the curve of the prompts reported on.

    Parameters
    ----------
    stability : the point.
    curve : its curve on the prompts reported on.
    rounds : the same goal solved in every round of cross-fitting.
    name : name of the exhibit's files.
    basis : of the costs; by default that of the point.
    """
    words = " ".join(part for part in (verdict(stability, basis), detail(stability, basis)) if part)
    cloud = "The cloud is where the point lies in each sample, the luck of the test prompts included."
    stretch = (
        " The thick stretch of the curve is where 95 % of the points chosen again lie." if stability.is_solved else ""
    )
    split = " Diamonds are the rounds of cross-fitting, each on its own prompts." if rounds else ""
    return Exhibit(
        name=name or "stability",
        title="How sure the point is",
        caption=f"{cloud}{stretch}{split}",
        alt=f"Accuracy against cost of one operating point over {len(stability.samples):,} bootstrap samples. {words}",
        table=stability.samples,
        draw=lambda theme: _cloud(stability, curve, rounds, theme, basis or cost_basis(stability.cost_usd.value)),
    )


def _cloud(
    stability: Stability, curve: ReadableCurve, rounds: Sequence[SolvedGoal], theme: ThemeName, basis: CostBasis
) -> go.Figure:
    look, samples = THEMES[theme], stability.samples
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=basis.calls * samples["cost_usd_drawn"], y=100 * samples["score_drawn"], mode="markers", name="Samples",
            marker={"color": translucent(look.curves[1], 0.35) if theme != "print" else look.hull, "size": 5},
            customdata=samples["lam"],
            hovertemplate=f"{basis.hover}<br>λ %{{customdata:{LAM_HOVER}}}<extra></extra>",
        )
    )  # fmt: skip
    line = {"color": look.hull if theme != "print" else look.ink, "width": 1.75}
    figure.add_trace(_stretch(curve, basis.calls, thin(curve), "Curve on test", line))
    if stability.is_solved:
        rates = samples["exchange_rate_per_usd"].quantile([0.025, 0.975], interpolation="nearest")
        within = range(curve.at(float(rates.iloc[0])), curve.at(float(rates.iloc[1])) + 1)
        figure.add_trace(
            _stretch(curve, basis.calls, within, "Chosen again, 95 %", {"color": look.curves[0], "width": 6})
        )
    if rounds:
        points = [solved.reported for solved in rounds]
        figure.add_trace(
            go.Scatter(
                x=[basis.calls * point.cost_usd.value for point in points],
                y=[100 * point.score.value for point in points],
                mode="markers+text", name="Every round", text=[f"round {number + 1}" for number in range(len(rounds))],
                textposition="top center", textfont={"color": look.muted, "size": 11},
                marker={"symbol": "diamond", "size": 9, "color": look.curves[2],
                        "line": {"color": look.ground, "width": 1}},
                hovertemplate=f"%{{text}}: {basis.hover}<extra></extra>",
            )
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[basis.calls * stability.cost_usd.value], y=[100 * stability.score.value], mode="markers",
            name="The point",
            marker={"symbol": "star", "size": 15, "color": look.ink, "line": {"color": look.ground, "width": 1}},
            hovertemplate=f"λ {lam_text(stability.lam)}: {basis.hover}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(_layout(look, height=380, left=56))
    figure.update_xaxes(title=basis.axis, **DOLLAR_AXIS, range=_span(figure, "x"))
    figure.update_yaxes(title="Accuracy (%)", range=_span(figure, "y"))
    return figure


def _stretch(curve: ReadableCurve, calls: int, points: Any, name: str, line: dict[str, Any]) -> go.Scatter:
    at = np.fromiter(points, dtype=np.intp)
    mode = "lines" if len(at) > 1 else "markers"
    return go.Scatter(
        x=calls * curve.cost_usd[at], y=100 * curve.score[at], mode=mode, line=line, name=name, hoverinfo="skip",
        marker={"color": line["color"], "size": 2 + line["width"]},
    )  # fmt: skip


def _span(figure: go.Figure, axis: str) -> list[float]:
    """Range of all points except the whole curve and the outermost samples, with room at both ends."""
    by_trace = {trace.name: np.asarray(trace[axis], dtype=float) for trace in figure.data}
    by_trace["Samples"] = np.quantile(by_trace["Samples"], [0.005, 0.995])
    values = np.concatenate([at for name, at in by_trace.items() if name != "Curve on test"])
    low, high = float(values.min()), float(values.max())
    room = 0.12 * (high - low) or 0.05 * abs(high) or 1.0
    return [max(low - room, 0.0) if axis == "x" else low - room, high + room]


def tasks_exhibit(stability: Stability, name: str = "") -> Exhibit | None:
    """Every task: the common point's accuracy there, and the λ that the task alone would choose; None without tasks."""
    if not len(stability.tasks):
        return None
    table = stability.tasks.sort_values("score", ascending=False, ignore_index=True)
    own = (
        " To the right, λ as each task alone would choose it; hollow where it has fewer than "
        f"{FEW} validation prompts, and the line is the common λ."
        if stability.is_solved
        else ""
    )
    return Exhibit(
        name=name or "stability-tasks",
        title="The point on every task",
        caption=f"Accuracy of the common point on each task's test prompts, with 95 % intervals.{own}",
        alt=f"One row for each of {len(table)} tasks. {of_tasks(stability)}".strip(),
        table=table,
        draw=lambda theme: _forest(stability, table, theme),
    )


def _forest(stability: Stability, table: pd.DataFrame, theme: ThemeName) -> go.Figure:
    look = THEMES[theme]
    rows = [plotly_text(_task(task), 26) for task in table["task"]]
    place = list(range(len(rows)))
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=100 * table["score"], y=place, mode="markers", name="Accuracy at the common λ", customdata=rows,
            marker={"color": look.curves[1], "size": 8},
            error_x=whiskers(
                *(100 * table[name] for name in ("score", "score_low", "score_high")),
                color=look.curves[1], thickness=1.5, width=3,
            ),
            hovertemplate="%{customdata}: %{x:.1f} %<extra></extra>",
        )
    )  # fmt: skip
    if stability.is_solved:
        few = (table["n_validation"] < FEW).tolist()
        figure.add_trace(
            go.Scatter(
                x=table["lam_alone"], y=place, xaxis="x2", mode="markers", name="λ of the task alone",
                customdata=rows,
                marker={"symbol": ["square-open" if each else "square" for each in few], "color": look.curves[0],
                        "size": 8, "line": {"color": look.curves[0], "width": 1.5}},
                hovertemplate=f"%{{customdata}}: λ %{{x:{LAM_HOVER}}}<extra></extra>",
            )
        )  # fmt: skip
        figure.add_shape(
            type="line", xref="x2", yref="paper", x0=stability.lam, x1=stability.lam, y0=0, y1=1,
            line={"color": look.ink, "dash": "dot", "width": 1.5},
        )  # fmt: skip
    height = 110 + _ROW * len(rows)
    figure.update_layout(_layout(look, height=height, left=8))
    figure.update_layout(
        xaxis=axis(look, "Accuracy (%)", domain=[0.0, 0.62 if stability.is_solved else 1.0]),
        yaxis=axis(look, tickvals=place, ticktext=rows, autorange="reversed", automargin=True),
    )
    if stability.is_solved:
        figure.update_layout(xaxis2=axis(look, "λ", domain=[0.68, 1.0], range=[-0.03, 1.03]))
    return figure


def _layout(look: Theme, height: int, left: int) -> dict[str, Any]:
    plain = axis(look, exponentformat="none")
    return layout(look, height, margin={"l": left, "r": 16, "t": 16, "b": 50}, xaxis=plain, yaxis=plain)
