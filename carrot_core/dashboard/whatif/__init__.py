"""The What-if page: a scenario as widgets, as a file, and in the address."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from carrot_core import limits
from carrot_core.benchmarks.model_facts_arms import ModelFacts
from carrot_core.dashboard import controls, links
from carrot_core.dashboard.glossary import in_app, link, terms, tip
from carrot_core.dashboard.shell import plain
from carrot_core.dashboard.stores import upload_key
from carrot_core.errors import CarrotError
from carrot_core.evaluation import Setting
from carrot_core.figures.theme import cut_names
from carrot_core.number_formats import PER_1K, POINTS_COLUMN, PRICE_COLUMN
from carrot_core.paths import unit_of
from carrot_core.text import visible
from carrot_core.whatif.scenario import Scenario, parse_scenario, provider, scenario_json

_FACTOR = st.column_config.NumberColumn(
    "Factor", min_value=0.0, max_value=1000.0, format="%.4g", width=75, required=True
)
_INPUT, _OUTPUT = "In $/M", "Out $/M"
_NAME_LETTERS, _LETTER = 24, 8  # most letters of a name that can be cut, and pixels of a letter
_PRICE = {
    name: st.column_config.NumberColumn(
        min_value=0.0, max_value=1e6, format=PRICE_COLUMN, width=80, help=f"US dollars per million {what} tokens."
    )
    for name, what in ((_INPUT, "input"), (_OUTPUT, "output"))
}


def scenario_of(setting: Setting, facts: Mapping[str, ModelFacts], latency_p95_s: Mapping[str, float]) -> Scenario:
    """Choose what changes; the scenario is kept in the session and in the address (``?scenario=``).

    ``facts`` and ``latency_p95_s`` narrow the pool, as in `controls.pool`.
    """
    _start(setting)
    problem = st.session_state.pop("wi_refused", "")
    if problem:
        st.warning(plain(problem), icon=":material/upload_file:")
    with st.expander("Prices", expanded=True):
        fields = _prices(setting)
    with st.expander("Tokens, cache and the router's own cost"):
        fields |= _tokens(setting)
    with st.expander("Tasks"):
        fields["task_weights"] = _tasks(setting)
    with st.expander("Pool and hypothetical models"):
        fields["pool"] = controls.pool(setting.models, facts, latency_p95_s)
        controls.color_by(setting.models, facts)
        fields["hypothetical"] = _hypothetical(setting)
    try:
        scenario = parse_scenario(json.dumps(fields), "the scenario")
    except CarrotError as error:
        st.error(plain(f"{error} The scenario before it is shown."), icon=":material/error:")
        scenario = st.session_state["wi_scenario"]
    _file(setting, scenario)
    _tell_address(scenario)
    return scenario


def _start(setting: Setting) -> None:
    """Fill the widgets: from the address in a new session, from the session's scenario when the page is reopened."""
    state, here = st.session_state, (setting.test.name, setting.test.data_hash)
    if state.get("wi_of") != here:
        document = st.query_params.get("scenario", "") if "wi_of" not in state else ""
        _fill(setting, _scenario_of_link(setting, document) if document else Scenario())
        state["wi_of"] = here
    elif "wi_price_factor" not in state:
        _fill(setting, state["wi_scenario"])


def _scenario_of_link(setting: Setting, document: str) -> Scenario:
    """The scenario of the address; if it does not fit the data, an unchanged one and a notice on the page."""
    try:
        return _parse_for(setting, document, "The scenario")
    except CarrotError as error:
        links.refuse("scenario", str(error), "an unchanged scenario")
        return Scenario()


def _parse_for(setting: Setting, document: str | bytes, name: str) -> Scenario:
    scenario = parse_scenario(document, name)
    scenario.check(setting)
    return scenario


def _fill(setting: Setting, scenario: Scenario) -> None:
    state = st.session_state
    state["wi_price_factor"] = scenario.price_factor
    state["wi_output_factor"] = scenario.output_token_factor
    state["wi_cached"] = 100 * scenario.cached_share
    state["wi_cached_price"] = 100 * scenario.cached_price_factor
    state["wi_call"] = PER_1K.calls * scenario.call_usd
    state["wi_tables"] = {
        "models": _model_table(setting, scenario),
        "providers": _provider_table(setting, scenario),
        "tasks": pd.DataFrame(
            {
                "Task": map(_task_name, _tasks_of(setting)),
                "Weight": [scenario.task_weights.get(t, 1.0) for t in _tasks_of(setting)],
            }
        ),
        "hypothetical": _hypothetical_table(scenario),
    }
    state["wi_generation"] = state.get("wi_generation", 0) + 1  # an editor keeps its edits under its key
    state["wi_scenario"] = scenario


def _reset(setting: Setting) -> None:
    _fill(setting, Scenario())
    st.session_state.update(pool=[], **controls.NO_FILTERS)


def _load(setting: Setting, key: str) -> None:
    upload = st.session_state[key]
    if upload is None:
        return
    try:
        scenario = _parse_for(setting, upload.getvalue(), upload.name)
    except CarrotError as error:
        st.session_state["wi_refused"] = f"{error} It was left out."
    else:
        _fill(setting, scenario)
        st.session_state.update(pool=list(scenario.pool), **controls.NO_FILTERS)


def _editor(name: str, alt: str, **how: Any) -> pd.DataFrame:
    state = st.session_state
    table: pd.DataFrame = st.data_editor(
        state["wi_tables"][name], key=f"wi_{name}_{state['wi_generation']}", hide_index=True, alt=alt, **how
    )
    return table


def _prices(setting: Setting) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "price_factor": st.number_input(
            "Factor on all prices", 0.0, 1000.0, step=0.1, format="%.4g", key="wi_price_factor"
        )
    }
    width = 20 + _LETTER * max(map(len, st.session_state["wi_tables"]["models"]["Model"]))
    table = _editor(
        "models",
        f"Prices and a factor on them for each of {len(setting.models)} models, to be changed.",
        disabled=["Model"],
        column_config={"Model": st.column_config.TextColumn(width=width, pinned=True), "Factor": _FACTOR, **_PRICE},
        height=min(38 + 35 * len(setting.models), 420),
    )
    recorded = setting.test.prices if setting.test.usage != "cost_usd" else {}
    fields["prices"] = _changed_prices(table, recorded, setting.models)
    fields["model_factors"] = _other_than_1(setting.models, table["Factor"])
    if recorded:
        dates = sorted({price.as_of for price in recorded.values()} - {""})
        st.caption("Prices " + plain(f"as of {', '.join(dates)}." if dates else "as recorded; no date is known."))
    else:
        st.caption("This benchmark records dollars and no prices: a factor multiplies a model's costs.")
    providers = _providers(setting)
    fields["provider_factors"] = {}
    if providers:
        alt = f"A factor on the prices of each of {len(providers)} providers, to be changed."
        factors = _editor("providers", alt, disabled=["Provider"], column_config={"Factor": _FACTOR})
        fields["provider_factors"] = _other_than_1(providers, factors["Factor"])
    return fields


def _tokens(setting: Setting) -> dict[str, Any]:
    usage, unit = setting.test.usage, unit_of(setting.test.name, setting.test.data_hash)
    output = st.number_input(
        "Factor on output tokens", 0.0, 1000.0, step=0.1, format="%.4g", key="wi_output_factor",
        disabled=usage != "output_tokens", help="Answers longer or shorter than recorded and predicted.",
    )  # fmt: skip
    cached_percent = st.slider(
        "Input tokens from a cache", 0.0, 100.0, step=1.0, format="%.0f %%", key="wi_cached",
        disabled=usage == "cost_usd", help=tip("cached-input"),
    )  # fmt: skip
    cached_price = st.number_input(
        "Price of a cached token, % of another", 0.0, 1000.0, step=5.0, format="%.4g", key="wi_cached_price",
        disabled=usage == "cost_usd",
    )  # fmt: skip
    call = st.number_input(
        f"Router's own cost, $ per 1k {unit}s", 0.0, 1e6, step=0.01, format="%.4g", key="wi_call",
        help="A fixed cost of each call of the router, on top of the model's.",
    )  # fmt: skip
    if usage != "output_tokens":
        st.caption("This benchmark records no output tokens, so what they cost cannot be changed.")
    return {
        "output_token_factor": output,
        "cached_share": cached_percent / 100,
        "cached_price_factor": cached_price / 100,
        "call_usd": call / PER_1K.calls,
    }


def _tasks(setting: Setting) -> dict[str, float]:
    st.caption(in_app(terms()["task-mix"].text))
    weight = st.column_config.NumberColumn(min_value=0.0, max_value=1e6, format="%.4g", required=True)
    alt = f"A weight for each of {len(_tasks_of(setting))} tasks, to be changed."
    table = _editor("tasks", alt, disabled=["Task"], column_config={"Weight": weight})
    return _other_than_1(_tasks_of(setting), table["Weight"])


def _hypothetical(setting: Setting) -> list[dict[str, Any]]:
    st.caption(f"{link('hypothetical-model')}: {in_app(terms()['hypothetical-model'].text)}")
    table = _editor(
        "hypothetical",
        "One row for each hypothetical model: name, base and what is different. Rows can be added.",
        num_rows="dynamic",
        column_config={
            "Base": st.column_config.SelectboxColumn(options=list(setting.models)),
            "Points": st.column_config.NumberColumn(
                min_value=-100.0,
                max_value=100.0,
                format=POINTS_COLUMN,
                help="Its accuracy minus the base's, in points.",
            ),
            "Tokens ×": st.column_config.NumberColumn(
                min_value=0.0, max_value=1000.0, format="%.4g", help="Its output tokens, compared to the base's."
            ),
            **_PRICE,
        },
    )
    if setting.test.usage == "cost_usd":
        table = table.assign(**{_INPUT: None, _OUTPUT: None})
    rows = table.to_dict("records")
    complete = [row for row in rows if _has_value(row["Base"]) and _has_value(row["Name"]) and row["Name"].strip()]
    if len(complete) < len(rows):
        st.caption("A hypothetical model needs a name and a base: rows without both are left out.")
    first = {row["Name"].strip(): row for row in reversed(complete)}
    if len(first) < len(complete):
        st.caption("Two hypothetical models have one name: only the first of them is counted.")
    return [_model_of(row, setting) for row in complete if first[row["Name"].strip()] is row]


def _model_of(row: Mapping[Any, Any], setting: Setting) -> dict[str, Any]:
    model: dict[str, Any] = {"name": row["Name"].strip(), "base": row["Base"]}
    if _has_value(row["Points"]):
        model["score_offset"] = row["Points"] / 100
    if _has_value(row["Tokens ×"]):
        model["token_factor"] = row["Tokens ×"]
    if _has_value(row[_INPUT]) or _has_value(row[_OUTPUT]):
        base = setting.test.prices[row["Base"]]
        model["price"] = {
            "input_usd_per_mtok": row[_INPUT] if _has_value(row[_INPUT]) else base.input_usd_per_mtok,
            "output_usd_per_mtok": row[_OUTPUT] if _has_value(row[_OUTPUT]) else base.output_usd_per_mtok,
        }
    return model


def _file(setting: Setting, scenario: Scenario) -> None:
    st.button(
        "Reset all", on_click=_reset, args=(setting,), icon=":material/restart_alt:", disabled=scenario == Scenario()
    )
    with st.expander("Save or load the scenario"):
        st.download_button(
            "Download the scenario", lambda: scenario_json(scenario) + "\n", f"{setting.test.name}-scenario.json",
            "application/json", icon=":material/download:",
        )  # fmt: skip
        key = upload_key(f"wi_file_{st.session_state['wi_generation']}")
        most = max(1, limits.SCENARIO_BYTES >> 20)
        st.file_uploader("Load a scenario", "json", max_upload_size=most, key=key, on_change=_load, args=(setting, key))


def _tell_address(scenario: Scenario) -> None:
    st.session_state["wi_scenario"] = scenario
    rest = scenario.model_copy(update={"pool": ()})  # the pool is in the address by itself
    text = scenario_json(rest, indent=None)
    if rest == Scenario():
        st.query_params.pop("scenario", None)
    elif len(text) > limits.ADDRESS_CHARACTERS:
        st.query_params.pop("scenario", None)
        st.caption("This scenario is too long for a link: download it to share it.")
    elif st.query_params.get("scenario") != text:
        st.query_params["scenario"] = text


def _model_table(setting: Setting, scenario: Scenario) -> pd.DataFrame:
    table = pd.DataFrame({"Model": cut_names(setting.models, _NAME_LETTERS, middle=True)})
    if setting.test.usage != "cost_usd":
        prices = [scenario.prices.get(model) or setting.test.prices[model] for model in setting.models]
        table[_INPUT] = [float(price.input_usd_per_mtok) for price in prices]
        if setting.test.usage == "output_tokens":
            table[_OUTPUT] = [float(price.output_usd_per_mtok) for price in prices]
    return table.assign(Factor=[scenario.model_factors.get(model, 1.0) for model in setting.models])


def _provider_table(setting: Setting, scenario: Scenario) -> pd.DataFrame:
    names = _providers(setting)
    factors = [scenario.provider_factors.get(name, 1.0) for name in names]
    return pd.DataFrame({"Provider": map(visible, names), "Factor": factors})


def _hypothetical_table(scenario: Scenario) -> pd.DataFrame:
    rows = [
        {
            "Name": model.name,
            "Base": model.base,
            "Points": 100 * model.score_offset,
            "Tokens ×": model.token_factor,
            _INPUT: model.price.input_usd_per_mtok if model.price else None,
            _OUTPUT: model.price.output_usd_per_mtok if model.price else None,
        }
        for model in scenario.hypothetical
    ]
    numbers = ["Points", "Tokens ×", _INPUT, _OUTPUT]
    table = pd.DataFrame(rows, columns=["Name", "Base", *numbers], dtype=object)
    return table.astype(dict.fromkeys(numbers, float))


def _changed_prices(table: pd.DataFrame, recorded: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    changes = {}
    for row, model in zip(table.to_dict("records"), models, strict=True):
        if model in recorded:
            was = (recorded[model].input_usd_per_mtok, recorded[model].output_usd_per_mtok)
            now = tuple(
                row[name] if _has_value(row.get(name)) else old
                for name, old in zip((_INPUT, _OUTPUT), was, strict=True)
            )
            if now != was:
                changes[model] = {"input_usd_per_mtok": now[0], "output_usd_per_mtok": now[1]}
    return changes


def _other_than_1(names: Sequence[str], values: Sequence[float] | pd.Series) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if _has_value(value) and value != 1}


def _has_value(value: Any) -> bool:
    """Whether a cell of an editor has a value."""
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


def _providers(setting: Setting) -> list[str]:
    return sorted({provider(model) for model in setting.models} - {""}, key=str.casefold)


def _tasks_of(setting: Setting) -> list[str]:
    return sorted({*setting.validation.tasks, *setting.test.tasks})


def _task_name(task: str) -> str:
    return visible(task) or "(no task)"
