"""What the figures that compare routers share: ground, names, colour scales, patterns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from carrot_core.figures import ground
from carrot_core.figures.compose import label
from carrot_core.figures.ground import axis, shortened, shown
from carrot_core.figures.scene import short_name
from carrot_core.figures.theme import THEMES, Theme, ThemeName
from carrot_core.metrics import METRICS
from carrot_core.text import visible

PATTERNS = ("", "/", ".", "x", "-", "|", "+", "\\")  # of areas and bars, told apart without colour
NO_TASK = "(no task)"
HUNDRED = "shown × 100 (downloads are not)"  # as pages and charts show what is at most 1


def layout(look: Theme, height: int, **more: Any) -> dict[str, Any]:
    """Ground, words, axes and legend that all of these figures have."""
    plain = axis(look, automargin=True, exponentformat="none")
    axes = {name: plain | more.pop(name, {}) for name in ("xaxis", "yaxis")}
    return ground.layout(look, height, **{"margin": {"l": 8, "r": 16, "t": 16, "b": 48}} | axes | more)


def each(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows of a frame, a column an attribute."""
    return iter(frame.itertuples())


def router_names(names: Sequence[str], most: int = 30) -> list[str]:
    """Different routers as Plotly may show them."""
    whole = [visible(label(name)) for name in names]
    return _apart([shortened(name, most) for name in whole], whole)


def model_names(names: Sequence[str], most: int = 30) -> list[str]:
    """Different models as Plotly may show them."""
    return _apart([shortened(short_name(name), most) for name in names], [visible(name) for name in names])


def _apart(short: list[str], whole: list[str]) -> list[str]:
    """Short names, whole ones where two would look the same: Plotly draws what has one name in one row."""
    return [shown(name if short.count(name) == 1 else other) for name, other in zip(short, whole, strict=True)]


def task_name(name: str, most: int = 26) -> str:
    """A task as Plotly may show it."""
    return shown(visible(name), most) if name else NO_TASK


def metric_name(metric: str) -> str:
    """A metric with the direction where lower is better."""
    known = METRICS[metric]
    return known.label if known.higher_is_better else f"{known.label} (lower is better)"


def diverging(theme: ThemeName) -> list[list[Any]]:
    """Colours from below 0 over the ground to above 0; in print grey by size, the sign stands in the cell."""
    low, high = (_toned(theme, color) for color in (1, 0))
    return [[0.0, low], [0.5, THEMES[theme].ground], [1.0, high]]


def rising(theme: ThemeName) -> list[list[Any]]:
    """Colours from the ground to the strongest."""
    return [[0.0, THEMES[theme].ground], [1.0, _toned(theme, 1)]]


def _toned(theme: ThemeName, color: int, strength: float = 0.55) -> str:
    """A colour of the theme on its ground, so light (or dark) that words in ink can be read on it."""
    look = THEMES[theme]
    ends = [[int(text[place : place + 2], 16) for place in (1, 3, 5)] for text in (look.ground, look.curves[color])]
    mixed = [round(ground + strength * (full - ground)) for ground, full in zip(*ends, strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def words_in_cells(theme: ThemeName, columns: int) -> dict[str, Any]:
    """Font of the words in a heat map's cells: as large as fits where there are many."""
    return {"color": THEMES[theme].ink} | ({"size": 10} if columns <= 8 else {})


def names_of(routers: pd.Series | list[str]) -> list[str]:
    """Routers of a column in the order they come, each once."""
    return list(dict.fromkeys(routers))
