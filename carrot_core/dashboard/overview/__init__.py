"""The Overview page: figures with their intervals, and a sentence that sums them up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isfinite

from streamlit.delta_generator import DeltaGenerator

from carrot_core.bootstrap import Interval
from carrot_core.dashboard.glossary import see
from carrot_core.dashboard.shell import plain
from carrot_core.number_formats import NOTHING_TO_SAVE, percent, points
from carrot_core.operating_point import Point


def figure(
    place: DeltaGenerator, label: str, interval: Interval, text: Callable[[float], str], help: str | None = None
) -> None:
    """One number, formatted by ``text``, with its 95 % interval below it; ``help`` is a text of
    `carrot_core.dashboard.glossary.tip`."""
    value, low, high = (text(number) for number in (interval.value, interval.low, interval.high))
    place.metric(plain(label), value, help=help)
    place.caption(plain(f"95 % interval {low} to {high}"))


def saving(place: DeltaGenerator, point: Point, best: str, help: str) -> None:
    """The saving against the best single model; a dash if that model costs nothing."""
    name = f"Saving against {best}"
    if isfinite(point.saving.value):
        figure(place, name, point.saving, partial(percent, digits=0), help)
    else:
        place.metric(plain(name), "–", help=help)
        place.caption(plain(f"{NOTHING_TO_SAVE.capitalize()}."))


def how_sure(point: Point, best: str) -> str:
    """What the point promises of other prompts, in a plain sentence; Markdown."""
    if point.promise is None:
        return plain(
            f"λ is that at which the router was as good as {best} on validation, which new prompts keep about every "
            "second time. What this snapshot can promise is not known: it was made before that was measured."
        )
    times = percent(point.promise.confidence, digits=0)
    return plain(f"λ was chosen so that the router is as good as {best} on new prompts with {times} confidence.") + (
        f" {see('promise', 'confidence')}"
    )


def verdict(point: Point, best: str, n_prompts: int) -> str:
    """How the point compares with the best single model, as far as the interval allows; Markdown."""
    difference = point.score_difference
    apart = points(difference.value, difference.low, difference.high)
    if difference.high < 0:
        equal = f"It falls short of {best}: {apart}. The saving is not at equal score."
    elif difference.low > 0:
        equal = f"It scores higher than {best}: {apart}."
    else:
        equal = f"Its accuracy is not measurably different from {best}: {apart}."
    if isfinite(point.saving.value) and point.saving.low <= 0:
        equal += " The interval of the saving includes 0: there may be none."
    return plain(f"{equal} Judged on {n_prompts:,} prompts, each at a λ chosen on others.")
