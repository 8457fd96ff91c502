"""Results of a scenario: the moved operating point, shares of models, and the price at which each is worth using."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from carrot_core.benchmarks.model_facts_arms import ModelFacts
from carrot_core.dashboard import controls, links, shell, views
from carrot_core.dashboard.exhibits import MARK_COLUMN, folding_table, marked, priced, show
from carrot_core.dashboard.glossary import tip
from carrot_core.dashboard.stores import cached_by_version
from carrot_core.figures.scene import Grouping, Scene, label
from carrot_core.metrics import share_saved
from carrot_core.number_formats import (
    CALL,
    PERCENT_COLUMN,
    CostBasis,
    call_cost,
    cost_basis,
    fixed,
    lam_text,
    money,
    percent,
    with_interval,
)
from carrot_core.outcomes import pick
from carrot_core.routers.cascade import undominated, verified_cascades
from carrot_core.store import BenchmarkInfo
from carrot_core.text import short_names, visible
from carrot_core.whatif import BEFORE, MovedPoint, WhatIf, apply, whatif_scene
from carrot_core.whatif.repricing import Threshold, threshold_exhibit, worth_using
from carrot_core.whatif.scenario import Scenario, parse_scenario, scenario_json

_SOME = 0.1  # share of the queries from which a model counts as used


def router(info: BenchmarkInfo, view: views.View) -> str:
    """Choose the router (``?router=``). Without a router or prompts, the page says what to do and stops."""
    if not info.has_prompts:
        shell.kind_note(info)
        st.info(
            "A what-if computes every prompt's cost again, so it needs the prompts. Choose a benchmark whose data are "
            "here, or bring some: `carrot setup` stores those that ship, the Data page takes a file."
        )
        st.stop()
    tables = {name: view.estimates(name).values() for name in view.fitted}
    fitted = [name for name, of in tables.items() if of and not any(table.cost_is_paid for table in of)]
    if not fitted:
        links.check_parameter("router", links.among(()), "no router")
        views.fit_button(info)
        st.stop()
    controls.reset_if_stale("router", fitted[0])
    choice = str(st.selectbox("Router", fitted, format_func=label, key="router", bind="query-params"))
    links.check_parameter("router", links.among([label(name) for name in fitted]), label(choice))
    return choice


def apply_scenario(
    view: views.View, router: str, scenario: Scenario, grouping: Grouping | None = None
) -> tuple[WhatIf, Scene]:
    """The results of a scenario and its chart, in the colours of other pages; cached between reruns."""
    return _apply(view, router, scenario_json(scenario), grouping)


@cached_by_version(max_entries=8, show_spinner=False)
def _apply(view: views.View, router: str, scenario: str, grouping: Grouping | None) -> tuple[WhatIf, Scene]:
    result = apply(view.narrowed(), view.estimates(router), parse_scenario(scenario))
    scene = whatif_scene(result, f"{view.name} · what if", router)
    return result, replace(scene, palette=view.palette, grouping=grouping)


def show_notes(what_if: WhatIf) -> None:
    """Show the changes of the scenario, the limits of the data, and whether the best single model changes."""
    st.caption(shell.plain(in_words(what_if.scenario, what_if.basis.unit)))
    for note in what_if.notes:
        st.caption(f":material/info: {shell.plain(note)}")
    was, now = what_if.before.best_single, what_if.after.best_single
    if was != now:
        st.caption(shell.plain(f"The best single model on validation becomes {visible(now)}; it was {visible(was)}."))


def in_words(scenario: Scenario, unit: str = CALL) -> str:
    """A sentence that lists what a scenario changes; ``unit`` is what one outcome is."""
    counted: dict[str, Sized] = {
        "prices set": scenario.prices,
        "providers with a factor": scenario.provider_factors,
        "models with a factor": scenario.model_factors,
        "tasks weighted": scenario.task_weights,
        "models in the pool": scenario.pool,
        "hypothetical models": scenario.hypothetical,
    }
    parts = [f"all prices × {scenario.price_factor:g}"] if scenario.price_factor != 1 else []
    parts += [f"{name}: {len(what)}" for name, what in counted.items() if what]
    if scenario.output_token_factor != 1:
        parts.append(f"output tokens × {scenario.output_token_factor:g}")
    if scenario.input_factor != 1:
        parts.append(f"{100 * scenario.cached_share:g} % of the input cached")
    if scenario.call_usd:
        parts.append(f"{call_cost(scenario.call_usd, basis=cost_basis(scenario.call_usd, unit))} of the router")
    return f"Changed: {', '.join(parts)}." if parts else "Nothing is changed yet: both curves are the same."


def other_pages_note(view: views.View, router: str, base: MovedPoint, rate: float, basis: CostBasis) -> None:
    """Say why other pages show other figures of the point before the scenario; nothing if they agree."""
    everywhere = view.verdict(router, rate)
    here, there = (f"{percent(at.score.value)} at {basis.text(at.cost_usd.value)}" for at in (base, everywhere))
    if here != there:
        st.caption(
            shell.plain(
                f"The other pages say {there} of this point: λ was chosen to match the best single model, so there "
                "each prompt is at a λ chosen without it. Here all prompts are at the same λ, before and after."
            )
        )


def drift_table(points: Sequence[MovedPoint], basis: CostBasis) -> None:
    """Table of the moved operating point: at the same λ, and solved again. The first row is the point before; points
    that are the same are named below.
    """
    base = points[0]
    assert base.what == BEFORE
    still = [point for point in points[1:] if replace(point, what=BEFORE, shortfall="") == base]
    head = ["Point", "λ", "Accuracy", "Change in points", f"Cost {basis.words}", "Change of cost", "On validation"]
    rows = (list(map(shell.plain, _row(point, base, basis))) for point in points if point not in still)
    with st.container(key="folding-drift"):
        st.markdown(folding_table(head, rows))
    if still:
        st.caption(shell.plain(f"Where the point stays as it was: {', '.join(point.what for point in still)}."))
    st.caption(
        "The first row is the point as it is. Below it, what it does after the scenario: at the same λ, and solved "
        "again on validation for the same cost, accuracy, or the best single model's. All with 95 % intervals on "
        "prompts that the router had not seen; those of a change are paired, so one across 0 shows no difference."
    )
    for point in points:
        if point.shortfall:
            st.caption(shell.plain(f"{point.what}: {point.shortfall}. The nearest point is shown."))


def _row(point: MovedPoint, base: MovedPoint, basis: CostBasis) -> list[str]:
    score, cost, more, dearer = (
        (interval.value, interval.low, interval.high)
        for interval in (point.score, point.cost_usd, point.score_change, point.cost_change_usd)
    )
    share = -100 * float(share_saved(point.cost_usd.value, base.cost_usd.value))
    changes = ["", ""]
    if point is not base:
        in_points = with_interval(lambda part: fixed(100 * part, 1, signed=True), *more)
        in_dollars = with_interval(lambda usd: money(basis.calls * usd, signed=True), *dearer)
        changes = [in_points, f"{fixed(share, 1, signed=True)} %: {in_dollars}"]
    return [
        point.what,
        lam_text(point.lam),
        percent(*score),
        changes[0],
        with_interval(lambda usd: money(basis.calls * usd), *cost),
        changes[1],
        f"{percent(point.validation_score)}, {money(basis.calls * point.validation_cost_usd)}",
    ]


def share_table(what_if: WhatIf, scene: Scene, rate: float) -> None:
    """Shares of the models at the same λ before and after the scenario."""
    shares = [
        dict(zip(side.report_curve.models, side.report_curve.shares([rate])[0], strict=True))
        for side in (what_if.before, what_if.after)
    ]
    models = list(dict.fromkeys([*shares[0], *shares[1]]))
    table = pd.DataFrame(
        {
            "Model": models,
            "Before": [100 * shares[0].get(m, np.nan) for m in models],
            "After": [100 * shares[1].get(m, np.nan) for m in models],
        }
    )
    table = table.sort_values("After", ascending=False, na_position="last")
    models = table["Model"].tolist()
    percent = st.column_config.NumberColumn(format=PERCENT_COLUMN, help=tip("share"))
    st.dataframe(
        marked(table.assign(Model=table["Model"].map(visible)), models, scene.palette, scene.grouping),
        hide_index=True, column_config={"Before": percent, "After": percent, **MARK_COLUMN},
        alt="Share of the queries that each model answers at the same λ before and after the scenario.",
    )  # fmt: skip


def worth(what_if: WhatIf, scene: Scene, rate: float, facts: Mapping[str, ModelFacts]) -> None:
    """The price at which each model is worth using; one model in detail (``?candidate=``)."""
    curve = what_if.after.report_curve
    options, words = links.by_provider(pick(curve.models, curve.has_estimates), facts), links.model_words(facts)
    thresholds = {model: worth_using(curve, model, rate) for model in options}
    if rate > 0:
        _threshold_table(thresholds, scene)
    default = _default_model(thresholds)
    controls.reset_if_stale("candidate", options[default])
    links.open_at_models("candidate", options, options[default])
    model = str(st.selectbox("Model", options, format_func=words, key="candidate", persist_state="session"))
    links.keep_models("candidate", options, model, options[default], "")
    threshold = thresholds[model]
    st.write(shell.plain(describe_threshold(threshold)))
    if threshold.factor_for() is not None and rate > 0:
        show(threshold_exhibit(threshold, describe_threshold(threshold)), key="threshold")


def _default_model(thresholds: Mapping[str, Threshold]) -> int:
    """Index of the unused model that needs the smallest change of its price."""
    idle = {
        model: threshold.factor_for() or 0.0 for model, threshold in thresholds.items() if threshold.share_at(1.0) == 0
    }
    return list(thresholds).index(max(idle, key=lambda model: idle[model])) if idle else 0


def _threshold_table(thresholds: Mapping[str, Threshold], scene: Scene) -> None:
    rows = thresholds.values()
    factor = st.column_config.NumberColumn(format="× %.4g", help=tip("price-threshold"))
    some = f"{percent(_SOME, digits=0)} of the queries below"
    table = pd.DataFrame(
        {
            "Model": list(thresholds),
            "Share now": [100 * threshold.share_at(1.0) for threshold in rows],
            "First query below": [threshold.factor_for() for threshold in rows],
            some: [threshold.factor_for(_SOME) for threshold in rows],
        }
    ).sort_values("First query below", ascending=False, na_position="last")
    models = table["Model"].tolist()
    st.dataframe(
        marked(table.assign(Model=table["Model"].map(visible)), models, scene.palette, scene.grouping),
        hide_index=True, placeholder="never",
        column_config={
            "Share now": st.column_config.NumberColumn(format=PERCENT_COLUMN, help=tip("share")),
            "First query below": factor, some: factor, **MARK_COLUMN
        },
        alt="Factor on its price below which each model answers its first query, and a tenth of them; "
        "never if it would not even when free.",
    )  # fmt: skip


def cascades(what_if: WhatIf, basis: CostBasis) -> None:
    """Cascades of a cheap model, a verifier and an expensive model that no other beats, and the router at their costs.

    Two sliders set how good the verifier is (``?sensitivity=``, ``?specificity=``).
    """
    rates = verifier()
    after = what_if.after
    outcomes, curve = after.setting.test.outcomes, after.report_curve
    table = undominated(verified_cascades(outcomes, *rates))
    names, dollars, router = short_names(outcomes.models), f"$ {basis.words}", "Router"
    within = [curve.score[curve.cost_usd <= cost] for cost in table["cost_usd"]]
    n_complete = int(outcomes.complete.sum())
    display = pd.DataFrame(
        {
            "First": table["first"].map(names),
            "After a no": [names.get(model, "–") for model in table["then"]],
            "Accuracy": 100 * table["score"],
            router: [100 * score.max() if score.size else np.nan for score in within],
            dollars: basis.calls * table["cost_usd"],
            "Asked twice": 100 * table["passed_on"],
        }
    )
    if n_complete < len(outcomes.prompt_ids):
        display = display.drop(columns=router)  # its curve is on other prompts
    st.dataframe(
        priced(display, dollars),
        hide_index=True,
        column_config={
            "Accuracy": st.column_config.NumberColumn(format=PERCENT_COLUMN, help=tip("accuracy")),
            router: st.column_config.NumberColumn(format=PERCENT_COLUMN, help="The router's accuracy at this cost."),
            dollars: st.column_config.NumberColumn(help="Both calls, where both are made."),
            "Asked twice": st.column_config.NumberColumn(format=PERCENT_COLUMN, help="Prompts that go on."),
        },
        alt="Single models and cascades of two models that nothing cheaper equals, with accuracy and cost.",
    )
    st.caption(
        f"On the {n_complete:,} prompts with every outcome, after the scenario; the verifier itself is free. Pairs are "
        "chosen on the prompts they are shown on, and the router's points, too, so both are a little too good. A real "
        "verifier errs most where answers are hard to check."
    )


def verifier() -> tuple[float, float]:
    """Choose a verifier's sensitivity and specificity, side by side (``?sensitivity=``, ``?specificity=``)."""
    for_right, for_wrong = st.columns(2)
    return (
        _verifier_rate(
            for_right,
            "Right answers it accepts",
            "sensitivity",
            "Its sensitivity. The others go on to the expensive model.",
        ),
        _verifier_rate(
            for_wrong, "Wrong answers it rejects", "specificity", "Its specificity. The others are taken for right."
        ),
    )


def _verifier_rate(place: DeltaGenerator, title: str, key: str, help: str) -> float:
    percents = place.slider(
        title, 0.0, 100.0, 90.0, 1.0, format="%.0f %%", key=key, bind="query-params", help=help
    )  # fmt: skip
    links.check_parameter(key, links.between(0, 100), f"{percents:g}")
    return float(percents) / 100


def describe_threshold(threshold: Threshold) -> str:
    """The price threshold of a model in words."""
    name, first, some = threshold.name, threshold.factor_for(), threshold.factor_for(_SOME)
    if threshold.exchange_rate_per_usd == 0:
        return f"At λ = 0 no price counts: {name} answers {percent(threshold.share_at(1.0))} of the queries at any."
    if first is None:
        return f"No price makes {name} worth using here: even if it were free, it would answer no query."
    now = threshold.share_at(1.0)
    text = f"{name} answers {percent(now)} of the queries at its price after the scenario. "
    text += f"Its first query comes {_below(first)}"
    return text + (
        "; "
        + (
            f"{percent(_SOME, digits=0)} of them {_below(some)}."
            if some is not None
            else f"it would not answer {percent(_SOME, digits=0)} of them even if it were free."
        )
    )


def _below(factor: float) -> str:
    if np.isinf(factor):
        return "at any price"
    return f"below {factor:.4g} times that price ({100 * (factor - 1):+.1f} %)"
