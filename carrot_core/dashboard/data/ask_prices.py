"""Ask for what a file of results leaves open about prices: of models without dollars, and of models at 0."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from carrot_core.number_formats import PRICE_COLUMN
from carrot_core.prices import FREE, Price, shipped_prices
from carrot_core.text import visible


def ask_prices(models: Sequence[str], file_id: str) -> dict[str, Price]:
    """Ask for the prices of models without dollars in the file; returns those with both prices."""
    st.warning(
        f"The file has tokens and no dollars for {len(models)} of its models. What do they cost, in US dollars per "
        "million tokens? Nothing is assumed: without both prices a model cannot be loaded. A price with a date is "
        "from the project's table; correct it where you paid another.",
        icon=":material/payments:",
    )
    prices = shipped_prices()
    unknown = Price(math.nan, math.nan)
    priced = [prices.get(model, unknown) for model in models]
    form = pd.DataFrame(
        {
            "Model": [visible(name) for name in models],
            "Input": [price.input_usd_per_mtok for price in priced],
            "Output": [price.output_usd_per_mtok for price in priced],
            "As of": [price.as_of for price in priced],
        }
    )
    dollars = st.column_config.NumberColumn(min_value=0.0, format=PRICE_COLUMN, help="US dollars per million tokens.")
    answers = st.data_editor(
        form,
        hide_index=True,
        disabled=["Model", "As of"],
        column_config={"Input": dollars, "Output": dollars},
        key=f"prices:{file_id}",
        alt="One row for each model without a price, to be filled in.",
    )
    numbers = answers[["Input", "Output"]].to_numpy(dtype=float)
    return {
        model: price
        if [price.input_usd_per_mtok, price.output_usd_per_mtok] == [input_, output]
        else Price(input_, output, source="given at the upload")
        for model, price, (input_, output) in zip(models, priced, numbers.tolist(), strict=True)
        if math.isfinite(input_) and math.isfinite(output)
    }


def ask_free_models(models: Sequence[str], file_id: str) -> dict[str, Price]:
    """Ask which models with costs or tokens of 0 really cost nothing; returns their prices."""
    st.warning(
        f"{len(models)} of the models have costs or tokens of 0. Tools write 0 for what they do not know, so these "
        "count as not recorded, unless you say that a model is free. Then load the file again.",
        icon=":material/money_off:",
    )
    choice = st.multiselect(
        "Models that are free", models, format_func=visible, key=f"free:{file_id}", placeholder="None of them"
    )
    return dict.fromkeys(choice, FREE)
