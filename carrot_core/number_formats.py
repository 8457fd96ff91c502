"""Numbers as people read them and as JSON takes them: money, per cent, λ, what accuracy may cost, intervals.

The browser writes the same texts while λ moves (`dashboard/components/words.js`), where no Python runs;
``tests/number_cases.json`` holds both to the same answers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

CENT = 0.01  # costs from it on are written per call
CALL = "call"  # what one outcome is, unless a benchmark says otherwise (`carrot_core.paths.unit_of`)
NOT_KNOWN = "not known"
NO_END = "no end"  # of an interval that is open on one side
NOTHING_TO_SAVE = "nothing to save: it is free"
NOTHING_SOLVED = "nothing solved"
LEAST_USD = 1e-12  # smaller amounts are rounding errors

# Forms that Plotly and Streamlit fill in themselves. d3's "r" has no SI prefixes and no exponents.
MONEY_HOVER = "$,.3r"
LATENCY_POINT_HOVER = "%{y:.1f} % at %{x:,.3r} s"  # a point of accuracy in per cent over seconds
COUNT_HOVER = ",.3~r"
LAM_HOVER = ".4~f"
DOLLAR_AXIS = {"tickprefix": "$", "exponentformat": "none", "separatethousands": True}
PERCENT_COLUMN = "%.1f %%"
POINTS_COLUMN = "%+.1f"
SECONDS_COLUMN = "%.3g s"
PRICE_COLUMN = "$%.4g"  # of cells that are typed into, US dollars per million tokens


def money(usd: float | None, *, signed: bool = False, digits: int = 3) -> str:
    """Dollars to three significant digits, never in scientific notation: $0.00230, -$12.3, $1,230, $0.

    ``signed`` puts a plus before what is above 0.
    """
    if usd is None or math.isnan(usd):
        return NOT_KNOWN
    sign = "-" if usd < 0 else "+" if signed and usd > 0 else ""
    size = abs(usd)
    if size == 0 or math.isinf(size):
        return f"{sign}${'∞' if size else 0}"
    if size < LEAST_USD:
        return f"{sign}under $0.000000000001"
    rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(Decimal(float(size)))
    return f"{sign}${rounded:,.{max(0, digits - 1 - rounded.adjusted())}f}"


def money_tick(usd: float) -> str:
    """Dollars at a tick of an axis, without trailing zeros."""
    text = money(usd)
    return text.rstrip("0").rstrip(".") if "." in text else text


def same_decimals(usd: Iterable[float]) -> str:
    """Format of dollars in a column: all with as many decimals as `money` needs for any of them, at least two."""
    most = max([2, *(len(money_tick(amount).partition(".")[2]) for amount in usd if math.isfinite(amount))])
    return f"${{:,.{most}f}}"


def seconds(duration_s: float | None) -> str:
    """Seconds to three significant digits: 0.824 s, 12.4 s, 1,230 s; "not known" for None or NaN."""
    return NOT_KNOWN if duration_s is None or math.isnan(duration_s) else f"{money(duration_s)[1:]} s"


def apart(text: Callable[[float, int], str], one: float, other: float) -> tuple[str, str]:
    """Two numbers in words, with three digits or as many more as tell them apart; ``text`` takes value and digits."""
    for digits in range(3, 16):
        if text(one, digits) != text(other, digits):
            break
    return text(one, digits), text(other, digits)


@dataclass(frozen=True)
class CostBasis:
    """The unit that costs are written per: a number of ``calls``, or of the benchmark's tasks, in ``words``."""

    calls: int
    words: str

    @property
    def unit(self) -> str:
        """What one outcome is: a call, or a task."""
        return self.words.rpartition(" ")[2].removesuffix("s")

    @property
    def axis(self) -> str:
        """Title of an axis of costs."""
        return f"Cost {self.words} (US dollars)"

    @property
    def hover(self) -> str:
        """Format of a hover text for a point of accuracy in per cent over cost."""
        return f"%{{y:.1f}} % at %{{x:{MONEY_HOVER}}} {self.words}"

    @property
    def solved(self) -> CostBasis:
        """The basis per solved task in place of calls."""
        return CostBasis(
            self.calls, "per solved task" if self.calls == 1 else f"per {self.words.split()[1]} solved tasks"
        )

    def text(self, usd: float | None, low: float | None = None, high: float | None = None, **form: Any) -> str:
        """Mean cost of a call in words: $0.454 per call [$0.431, $0.477]; ``form`` is that of `money`.

        An interval by the normal law may start below 0, where it is cut off unless ``signed``.
        """
        value, *ends = (None if cost is None else self.calls * cost for cost in (usd, low, high))
        least = -math.inf if form.get("signed") else 0.0
        ends = [None if end is None else max(end, least) for end in ends]  # NaN stays
        amount, *interval = with_interval(partial(money, **form), value, *ends).split(" [")
        return amount if amount == NOT_KNOWN else " [".join([f"{amount} {self.words}", *interval])


PER_CALL, PER_1K = CostBasis(1, f"per {CALL}"), CostBasis(1000, f"per 1k {CALL}s")


def cost_basis(usd: npt.ArrayLike, unit: str = CALL) -> CostBasis:
    """The basis of costs side by side: per call if their median is a cent or more, else per 1,000 calls.

    ``usd`` are US dollars per call, or other ``unit`` of the benchmark; signs and NaN are ignored.
    """
    sizes = np.abs(np.asarray(usd, dtype=np.float64)).ravel()
    sizes = sizes[np.isfinite(sizes)]
    calls = (PER_CALL if len(sizes) and np.median(sizes) >= CENT else PER_1K).calls
    return CostBasis(calls, f"per {unit}" if calls == 1 else f"per 1k {unit}s")


def call_cost(
    usd: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    basis: CostBasis | None = None,
    **form: Any,
) -> str:
    """Mean cost of a call on a basis, by default the one that its size asks for (`CostBasis.text`)."""
    return (basis or cost_basis(math.nan if usd is None else usd)).text(usd, low, high, **form)


def solved_cost(usd: float | None, *, basis: CostBasis | None = None) -> str:
    """Cost per solved task on a basis, by default the one that its size asks for: $0.0434 per solved task."""
    if usd is not None and math.isinf(usd):
        return NOTHING_SOLVED
    return (basis or cost_basis(math.nan if usd is None else usd)).solved.text(usd)


def money_interval(usd: float, low: float | None, high: float | None) -> str:
    """Dollars with their interval if there is one."""
    return with_interval(money, usd, low, high)


def percent(
    share: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    digits: int = 1,
    unit: str = "%",
    signed: bool = False,
) -> str:
    """A part of 1 in per cent, with its interval if there is one: 81.2 % [79.0, 83.1]; ``unit`` may be points."""

    def number(end: float) -> str:
        return fixed(100 * end, digits, signed=signed)

    value, *ends = with_interval(number, share, low, high).split(" [")
    return value if value == NOT_KNOWN else " [".join([f"{value} {unit}", *ends])


def points(share: float | None, low: float | None = None, high: float | None = None, *, digits: int = 1) -> str:
    """A difference of accuracies, a part of 1, in points with its sign: +1.2 points [-0.3, +2.6]."""
    return percent(share, low, high, digits=digits, unit="points", signed=True)


def lam_text(lam: float, digits: int = 4) -> str:
    """λ with the digits it needs: ``digits`` decimals, two more near 0 and 1, where small changes matter."""
    decimals = digits + 2 if lam < 0.01 or lam > 0.99 else digits
    text = fixed(lam, decimals).rstrip("0").rstrip(".")
    if text == "0" and lam > 0:
        return f"under {fixed(10**-decimals, decimals)}"
    if text == "1" and lam < 1:
        return f"over {fixed(1 - 10**-decimals, decimals)}"
    return text


def pays(exchange_rate_per_usd: float | None) -> str:
    """An exchange rate (score per US dollar; None is infinite, λ = 1) as what one more accuracy point may cost.

    At rate r a point, 0.01 of the score, is bought up to 0.01/r dollars a query.
    """
    if exchange_rate_per_usd is None or math.isinf(exchange_rate_per_usd):
        price = "nothing"
    elif exchange_rate_per_usd == 0:
        price = "any price"
    else:
        price = f"up to {money(0.01 / exchange_rate_per_usd)} a query"
    return f"{price} for one more accuracy point"


def with_interval(
    text: Callable[[float], str], value: float | None, low: float | None = None, high: float | None = None
) -> str:
    """A figure in words, followed by its interval, "value [low, high]", if both ends are known (not None, not NaN)."""
    texts = [text(number) for number in (value, low, high) if number is not None and not math.isnan(number)]
    if value is None or math.isnan(value):
        return NOT_KNOWN
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if len(texts) == 3 else texts[0]


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number with so many decimals; halves away from 0, as the browser rounds them, and no sign at 0."""
    if math.isinf(value):
        return NO_END
    rounded = Decimal(float(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{rounded if rounded else abs(rounded):{'+' if signed and rounded else ''},f}"


def plain(value: float, digits: int = 4) -> str:
    """A number of a table with so many significant digits at most, never in scientific notation."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = f"{Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(Decimal(float(value))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def size_text(size: int) -> str:
    """Bytes in the largest binary unit that leaves at least 1, as in "1.5 GiB"."""
    power = min(3, max(0, size.bit_length() - 1) // 10)
    return f"{plain(size / (1 << 10 * power))} {('bytes', 'KiB', 'MiB', 'GiB')[power]}"


def without_nan(value: Any) -> Any:
    """NaN and infinity as None, since JSON has neither; of an interval its fields: {value, low, high}."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return without_nan(vars(value))
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return without_nan(value._asdict())
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
