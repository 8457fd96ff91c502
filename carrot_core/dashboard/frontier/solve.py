"""Solve λ for a goal: a model to match, a monthly budget, solved tasks, a cap per query; or by budget and target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from carrot_core.benchmarks.model_facts_arms import ModelFacts
from carrot_core.dashboard import controls, links, views
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.shell import plain
from carrot_core.errors import CarrotError
from carrot_core.frontier import Frontier, ReadableCurve, lam_of_rate, shortest_lam
from carrot_core.number_formats import CostBasis, lam_text, money, percent, solved_cost
from carrot_core.operating_point import (
    Mix,
    Solution,
    mix_within_budget,
    solve_budget,
    solve_cap,
    solve_per_solved,
    solve_target,
)
from carrot_core.promise import CONFIDENCE, EVEN, cost_bounds, default_confidence, score_bounds
from carrot_core.results import Names
from carrot_core.text import short_names

MATCH, MONTH, CAP = "As good as a model", "A budget a month", "A cap per query"
SOLVED = "Least per solved task"
_VISIBLE_GAIN = 0.0005  # of the score; a smaller gain does not show in the rounded figures
_NOTICE = "solve:done"


def solve_popover(
    view: views.View, router: str, pool: Names, tasks: Names, cost_unit_usd: float, facts: Mapping[str, ModelFacts]
) -> None:
    """A button that opens the goals; `show_notice` shows the result of the last one."""
    with st.popover("Solve for …", icon=":material/function:"):
        wish = st.segmented_control(
            "What the point is for", [MATCH, MONTH, SOLVED, CAP], default=MATCH, key="solve:wish", required=True
        )
        ready = True
        if wish == MATCH:
            _model_box(view, pool, tasks, facts)
        elif wish == MONTH:
            _month_boxes()
        elif wish == SOLVED:
            st.caption(tip("cost-per-solved-task"))
        else:
            ready = _cap_box(view)
        st.button(
            "Set λ", type="primary", key="solve:set", disabled=not ready, on_click=_solve,
            args=(view, router, pool, tasks, cost_unit_usd),
            help="Chosen on validation; the page then shows what it does on prompts that the router had not seen.",
        )  # fmt: skip


def show_notice(
    view: views.View, router: str, pool: Names, tasks: Names, rate_per_usd: float, cost_unit_usd: float
) -> None:
    """Show the result of the last goal until the point or the settings change."""
    of, lines = st.session_state.get(_NOTICE, (None, []))
    if of == (view, router, pool, tasks, rate_per_usd, cost_unit_usd):
        for line in lines:
            st.caption(plain(line))


def matchable(view: views.View, models: Sequence[str]) -> Sequence[str]:
    """The models that can be matched; for a snapshot only the best single model."""
    return view.matchable(tuple(models))


def match(view: views.View, router: str, curve: ReadableCurve, model: str, cost_unit_usd: float) -> None:
    """Set λ to the cheapest point of a router's validation curve (whole pool, all tasks) that matches a model."""
    basis = view.basis
    _take(*_match(view.match(router, model), curve, model, basis), (view, router, (), ()), cost_unit_usd, basis)


def _model_box(view: views.View, pool: Names, tasks: Names, facts: Mapping[str, ModelFacts]) -> None:
    models = links.by_provider(matchable(view, pool or view.models), facts)
    if not view.has_prompts:
        st.caption("A snapshot keeps how to match the best single model only.")
    best = view.best_single(pool, tasks)
    controls.reset_if_stale("solve:model", best)
    st.selectbox(
        "Model to match", models, models.index(best), format_func=links.model_words(facts), key="solve:model",
        help=tip("matched-point", "confidence"),
    )  # fmt: skip


def _month_boxes() -> None:
    st.number_input("US dollars a month", 0.0, 1e9, 100.0, 10.0, format="%.2f", key="solve:dollars")
    st.number_input("Queries a month", 1, 10**12, 100_000, 10_000, key="solve:queries")


def _cap_box(view: views.View) -> bool:
    """Ask for a cap; returns False if there are no prompts to solve it on."""
    if not view.has_prompts:
        st.info(
            "A cap is kept prompt by prompt, and a snapshot holds no prompts. Bring the data on the Data page or with "
            "`carrot data import`."
        )
        return False
    st.number_input(
        "US dollars a query, at most", 0.0, 1e6, 0.01, 0.001, format="%.6g", key="solve:cap",
        help="No validation prompt's choice is expected to cost more. What it really costs may be more.",
    )  # fmt: skip
    return True


def _solve(view: views.View, router: str, pool: Names, tasks: Names, cost_unit_usd: float) -> None:
    """Solve for the chosen goal, set λ, and store the text of the notice."""
    curve, wish = view.curve(router, "validation", pool, tasks), st.session_state["solve:wish"]
    solution: Solution | None
    basis = view.within(pool, tasks).basis
    try:
        if wish == MATCH:
            model = str(st.session_state["solve:model"])
            solution, lines = _match(view.match(router, model, pool, tasks), curve, model, basis)
        elif wish == MONTH:
            solution, lines = _month(curve, cost_unit_usd)
        elif wish == SOLVED:
            solution, lines = _least_per_solved(curve, view.has_prompts, basis)
        else:
            solution, lines = _cap(view.exact_curve(router, "validation", pool, tasks), basis)
    except CarrotError as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    _take(solution, lines, (view, router, pool, tasks), cost_unit_usd, basis)


def _take(
    solution: Solution | None, lines: list[str], of: tuple[object, ...], cost_unit_usd: float, basis: CostBasis
) -> None:
    """Set λ and store the notice with the settings ``of`` its result."""
    if solution is None:
        st.toast(plain(lines[0]), icon=":material/info:")
        return
    rate = solution.exchange_rate_per_usd
    lam = lam_text(shortest_lam(rate, cost_unit_usd))
    if solution.shortfall:
        lines = [f"On validation {solution.on(basis).shortfall}: λ {lam} is the nearest, and not promised."]
    controls.set_rate(rate)
    st.session_state[_NOTICE] = ((*of, rate, cost_unit_usd), [line.replace("{lam}", lam) for line in lines])


def _month(curve: ReadableCurve, cost_unit_usd: float) -> tuple[Solution, list[str]]:
    dollars, queries = float(st.session_state["solve:dollars"]), int(st.session_state["solve:queries"])
    confidence = default_confidence(curve)
    solution = solve_budget(curve, dollars / queries, confidence)
    at, promise = curve.at(solution.exchange_rate_per_usd), solution.promise
    assert promise is not None
    lines = [
        f"λ {{lam}} is the most accurate point within {money(dollars)} a month{_sure(confidence)}: on validation "
        f"{percent(curve.score[at])}, and {queries:,} queries cost {money(float(queries * curve.cost_usd[at]))}."
    ]
    mix = mix_within_budget(curve, dollars / queries - (promise.bound - promise.value))
    if mix is not None and mix.score - curve.score[at] >= _VISIBLE_GAIN:
        lines.append(_mix_text(mix, float(curve.score[at]), cost_unit_usd))
    return solution, lines


def _least_per_solved(curve: ReadableCurve, has_prompts: bool, basis: CostBasis) -> tuple[Solution, list[str]]:
    confidence = CONFIDENCE if has_prompts else EVEN  # a snapshot keeps no errors of this ratio
    solution = solve_per_solved(curve, confidence=confidence)
    promise = solution.promise
    assert promise is not None
    most = solved_cost(promise.bound, basis=basis)
    sure = "" if confidence == EVEN else f", and promises at most {most} on new prompts"
    at = curve.at(solution.exchange_rate_per_usd)
    return solution, [
        f"λ {{lam}} has the least cost per solved task{sure}: on validation "
        f"{solved_cost(promise.value, basis=basis)}, at {percent(curve.score[at])} accuracy."
    ]


def _mix_text(mix: Mix, score: float, cost_unit_usd: float) -> str:
    cheap, expensive = (float(lam_of_rate(rate, cost_unit_usd)) for rate in mix.exchange_rates_per_usd)
    return (
        f"Two points mixed at random use the budget better: {percent(mix.second_share)} of the queries at λ "
        f"{lam_text(expensive)} and the others at λ {lam_text(cheap)} reach {percent(mix.score)} on validation in "
        f"place of {percent(score)}."
    )


def _match(
    solution: Solution | None, curve: ReadableCurve, model: str, basis: CostBasis
) -> tuple[Solution | None, list[str]]:
    name = short_names((*curve.models, model))[model]
    if solution is None:
        return None, [f"No point of this router can promise to be as good as {name}: λ stays where it is."]
    at, known = curve.at(solution.exchange_rate_per_usd), solution.promise is not None
    return solution, [
        f"λ {{lam}} is the cheapest point as accurate as {name} alone{_sure(CONFIDENCE if known else EVEN)}: on "
        f"validation {percent(curve.score[at])} at {basis.text(curve.cost_usd[at])}."
    ]


def _sure(confidence: float) -> str:
    """How often new prompts keep a point's promise, as text before a colon; "" if not known."""
    return "" if confidence == EVEN else f", chosen so that new prompts keep that {round(10 * confidence)} times in 10"


def _cap(curve: Frontier, basis: CostBasis) -> tuple[Solution, list[str]]:
    cap = float(st.session_state["solve:cap"])
    solution = solve_cap(curve, cap)
    at = curve.at(solution.exchange_rate_per_usd)
    return solution, [
        f"From λ {{lam}} on no validation prompt is expected to cost more than {money(cap)}: "
        f"{percent(curve.score[at])} at {basis.text(curve.cost_usd[at])} there."
    ]


def handles(chosen_on: ReadableCurve, cost_unit_usd: float, basis: CostBasis) -> None:
    """λ, budget and target accuracy: three handles on one point of the validation curve.

    When one moves, the other two follow. Budget and target are the point's promises, or its means on a curve saved
    without errors.
    """
    at, confidence = chosen_on.at(st.session_state[controls.RATE]), default_confidence(chosen_on)
    most, least = cost_bounds(chosen_on, confidence).bound[at], score_bounds(chosen_on, confidence).bound[at]
    st.session_state["budget"] = float(f"{basis.calls * max(most, 0.0):.4g}")
    st.session_state["target"] = float(f"{100 * min(max(least, 0.0), 1.0):.2f}")
    where = "validation" if confidence == EVEN else "promised"
    for_lam, for_budget, for_target = st.columns([2, 1, 1])
    with for_lam:
        lam_slider(cost_unit_usd)
    for_budget.number_input(
        f"Budget, $ {basis.words} ({where})", 0.0, key="budget", format="%.4g", on_change=_spend,
        args=(chosen_on, basis), help=tip("budget", "promise"),
    )  # fmt: skip
    for_target.number_input(
        f"Target accuracy, % ({where})", 0.0, 100.0, key="target", format="%.2f", step=0.5, on_change=_reach,
        args=(chosen_on,), help=tip("target", "promise"),
    )  # fmt: skip


def lam_slider(cost_unit_usd: float) -> None:
    """A handle for λ alone, used without a validation curve."""
    st.session_state["lam_slider"] = shortest_lam(st.session_state[controls.RATE], cost_unit_usd)
    st.slider(
        "λ", 0.0, 1.0, step=0.001, format="%.3f", key="lam_slider", on_change=_slide,
        args=(cost_unit_usd,), help=tip("lambda"),
    )  # fmt: skip


def _slide(cost_unit_usd: float) -> None:
    controls.set_lam(st.session_state["lam_slider"], cost_unit_usd)


def _spend(frontier: ReadableCurve, basis: CostBasis) -> None:
    budget_usd = st.session_state["budget"] / basis.calls
    _go_to(solve_budget(frontier, budget_usd, default_confidence(frontier)).on(basis))


def _reach(frontier: ReadableCurve) -> None:
    _go_to(solve_target(frontier, st.session_state["target"] / 100, default_confidence(frontier)))


def _go_to(solution: Solution) -> None:
    if solution.shortfall:
        st.toast(plain(f"On validation {solution.shortfall}: took the nearest."))
    controls.set_rate(solution.exchange_rate_per_usd)
