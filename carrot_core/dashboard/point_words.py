"""What an operating point says, in words and figures that fit on a card or in a cell."""

from __future__ import annotations

from carrot_core.figures.compose import label
from carrot_core.figures.scene import QUERIES, money, short_name
from carrot_core.serving.point import PointFigures, PointFile

NOT_MEASURED = "not measured"
_MOST_SHARES = 3


def accuracy(figures: PointFigures | None) -> str:
    """Accuracy with its interval, per cent."""
    if figures is None:
        return NOT_MEASURED
    ends = ""
    if figures.score_low is not None and figures.score_high is not None:
        ends = f" [{100 * figures.score_low:.1f}, {100 * figures.score_high:.1f}]"
    return f"{100 * figures.score:.1f} %{ends}"


def cost(figures: PointFigures | None) -> str:
    """Cost per 1k queries with its interval."""
    if figures is None:
        return NOT_MEASURED
    ends = ""
    if figures.cost_usd_low is not None and figures.cost_usd_high is not None:
        ends = f" [{money(QUERIES * max(figures.cost_usd_low, 0.0))}, {money(QUERIES * figures.cost_usd_high)}]"
    return f"{money(QUERIES * figures.cost_usd)}{ends}"


def answered_by(point: PointFile) -> str:
    """The models that answer most of the test prompts."""
    if point.shares is None:
        return NOT_MEASURED
    most = sorted(point.shares.items(), key=lambda item: -item[1])
    told = [f"{short_name(model)} {100 * share:.0f} %" for model, share in most[:_MOST_SHARES] if share >= 0.005]
    rest = len([share for _, share in most[_MOST_SHARES:] if share >= 0.005])
    return ", ".join(told) + (f" and {rest} more" if rest else "")


def rate(point: PointFile) -> str:
    """The exchange rate as people pay it: dollars for one accuracy point of one query."""
    if point.exchange_rate_per_usd is None:
        return "nothing: the cheapest model"
    if point.exchange_rate_per_usd == 0:
        return "any price"
    return f"up to {money(0.01 / point.exchange_rate_per_usd)}"


def prices(point: PointFile) -> str:
    """The dates of its prices."""
    if not point.prices:
        return "costs in dollars, as recorded"
    dates = sorted({price.as_of for price in point.prices.values()} - {""})
    if not dates:
        return "no date given"
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def made_of(point: PointFile) -> str:
    """Router, λ and benchmark in a line."""
    return f"{label(point.router)} at λ {point.lam:.4g} on {point.benchmark}"


def when(point: PointFile) -> str:
    """When it was made, to the minute."""
    return f"{point.created_at[:16].replace('T', ' ')} UTC"
