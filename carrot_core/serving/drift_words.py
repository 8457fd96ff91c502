"""What a drift check found, in words and as one table."""

from __future__ import annotations

from math import isnan

import pandas as pd

from carrot_core.serving.decision import dollars
from carrot_core.serving.drift import LEAST, SAME_PRICE, Compared, Drift
from carrot_core.text import visible
from carrot_core.uncertainty import Interval

_NAMED = 8  # models outside the pool
_ONCE = {
    "inside": "The logs agree with the point: what could be told is inside.",
    "outside": "The logs do not agree with the point: {}.",
    "too few": "The logs do not contradict the point, but they are too few to tell: {}.",
    "not known": "The logs hold nothing that could be compared.",
}


def headline(found: Drift) -> str:
    """The whole check in one sentence."""
    of_this = [one for one in (found.score, found.cost, found.unlike) if one and one.verdict == found.verdict]
    parts = [visible(one.what) for one in of_this]
    if found.of_shares == found.verdict:
        parts.append("the shares of the models")
    return _ONCE[found.verdict].format(", ".join(parts))


def told(one: Compared) -> str:
    """One figure: logged, promised, the difference, the verdict and what follows from it."""
    name = visible(one.what)
    if one.verdict == "not known":
        return f"{name}: not known, {one.why}."
    text = (
        f"{name}: {_amount(one, one.logged)} logged, {_amount(one, one.promised)} promised, "
        f"difference {_difference(one)}: {verdict(one)}"
    )
    return f"{text}."


def verdict(one: Compared) -> str:
    """The verdict on one figure, with what is needed where the logs are too few."""
    if one.verdict == "outside":
        return "outside" + (f", though by less than {_size(one, one.tolerance)}" if one.slight else "")
    if one.verdict != "too few":
        return one.verdict
    there = f"{one.n:,}"
    if round(one.n_even) < one.n:
        there += f", as good as {one.n_even:,.0f} sent equally often"
    if one.needed is not None:
        return f"too few prompts to tell ({there}; about {max(one.needed, LEAST):,} are needed)"
    if one.n_even < LEAST:
        return f"too few prompts to tell ({there}; {LEAST} at the very least)"
    return f"no number of prompts can tell {_size(one, one.tolerance)}: the test figure itself is not that sure"


def figures_of(found: Drift) -> pd.DataFrame:
    """One row a figure: what, unit, logged, promised, difference (with ends), tolerance, n_prompts, needed, verdict."""
    rows = []
    for one in found.compared:
        row: dict[str, object] = {"what": one.what, "unit": one.unit}
        for name, interval in (("logged", one.logged), ("promised", one.promised), ("difference", one.difference)):
            row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows.append(
            row | {"tolerance": one.tolerance, "n_prompts": one.n, "needed": one.needed, "verdict": one.verdict}
        )
    return pd.DataFrame(rows)


def about_models(found: Drift) -> list[str]:
    """Models outside the pool, and models whose calls cost other than the point's prices say."""
    rows = found.models.to_dict("records")
    strange = [f"{visible(row['model'])} ({row['calls']:,} calls)" for row in rows if not row["in_pool"]]
    more = f" and {len(strange) - _NAMED:,} more" if len(strange) > _NAMED else ""
    lines = [f"Not in the point's pool: {', '.join(strange[:_NAMED])}{more}."] if strange else []
    for row in rows:
        name = visible(row["model"])
        ratio = row["price_ratio"]
        if not isnan(ratio) and abs(ratio - 1) > SAME_PRICE:
            text = f"{name}: calls cost {ratio:.4g} times what the point's prices say"
            if not isnan(row["input_usd_per_mtok"]):
                text += (
                    f"; they show ${row['input_usd_per_mtok']:g} in and ${row['output_usd_per_mtok']:g} out per million"
                    " tokens"
                )
            lines.append(f"{text}.")
    return lines


def _amount(one: Compared, interval: Interval) -> str:
    if one.unit == "usd":
        value, low, high = (dollars(max(end, 0.0)) if not isnan(end) else "" for end in vars(interval).values())
        return f"{value} per 1k" + (f" [{low}, {high}]" if low else "")
    value, low, high = (100 * end for end in vars(interval).values())
    return f"{value:.1f} %" + ("" if isnan(low) else f" [{low:.1f}, {high:.1f}]")


def _difference(one: Compared) -> str:
    if one.unit == "usd":
        value, low, high = (_signed(end) for end in vars(one.difference).values())
        return f"{value} per 1k [{low}, {high}]"
    value, low, high = (f"{100 * end:+.1f}" for end in vars(one.difference).values())
    return f"{value} points [{low}, {high}]"


def _signed(usd: float) -> str:
    return f"{'-' if usd < 0 else '+'}{dollars(abs(usd))}"


def _size(one: Compared, amount: float) -> str:
    return f"{dollars(amount)} per 1k" if one.unit == "usd" else f"{100 * amount:.3g} points"
