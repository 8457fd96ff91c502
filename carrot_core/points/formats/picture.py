"""The curve and the point on it, drawn as SVG that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from carrot_core.curve import SavedCurve, thin
from carrot_core.figures.theme import THEMES, shortened
from carrot_core.frontier import FloatArray
from carrot_core.number_formats import cost_basis, money_tick
from carrot_core.serving.point import PointFigures
from carrot_core.text import visible

_LOOK = THEMES["light"]
_STYLE = {"validation": (_LOOK.curves[1], "6 4"), "test": (_LOOK.curves[0], "none")}
SIZE = (720, 380)  # pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 700.0, 40.0, 330.0
_Place = Callable[[float], float]


@dataclass(frozen=True)
class Single:
    """One model alone on the test prompts: means per query."""

    model: str
    score: float
    cost_usd: float


def picture(curves: Mapping[str, SavedCurve], figures: Mapping[str, PointFigures], single: Single | None) -> str:
    """Accuracy in per cent over US dollars (logarithmic where it can be).

    Parameters
    ----------
    curves, figures : by "validation" and "test".
    single : the reference; None where its figures are not known.
    """
    marks: list[Single | PointFigures] = [*([single] if single else []), *figures.values()]
    costs = [*(curve.cost_usd for curve in curves.values()), np.array([each.cost_usd for each in marks])]
    ends = [end for each in figures.values() for end in (each.score_low, each.score_high) if end is not None]
    scores = [*(curve.score for curve in curves.values()), np.array([*(each.score for each in marks), *ends])]
    basis = cost_basis(np.array([each.cost_usd for each in marks]))
    place, x_ticks = _cost_axis(basis.calls * np.concatenate(costs))

    def at_x(usd: float) -> float:
        return place(basis.calls * usd)

    at_y, y_ticks = _score_axis(100 * np.concatenate(scores))
    parts = [
        f'<svg viewBox="0 0 {SIZE[0]} {SIZE[1]}" role="img" '
        'aria-label="Accuracy over cost: the curves and the operating point">',
        *(_line(place(x), _TOP, place(x), _BOTTOM) + _text(place(x), _BOTTOM + 18, money_tick(x)) for x in x_ticks),
        *(_line(_LEFT, at_y(y), _RIGHT, at_y(y)) + _text(_LEFT - 8, at_y(y) + 4, f"{y:g}", "end") for y in y_ticks),
        _text((_LEFT + _RIGHT) / 2, _BOTTOM + 40, f"US dollars {basis.words}"),
        _text(_LEFT - 8, _TOP - 20, "accuracy, %", "start"),
        *(_curve(split, curve, at_x, at_y) for split, curve in curves.items()),
        "" if single is None else _reference(single, at_x, at_y),
        *(_point(split, each, at_x, at_y) for split, each in figures.items()),
        *(_legend(place, split) for place, split in enumerate(curves)),
        "</svg>",
    ]
    return "\n".join(parts)


def standalone(svg: str) -> str:
    """A picture as a file of its own: with its size, its ground and a font that every system has."""
    width, height = SIZE
    font = 'font-family="sans-serif" font-size="13"'
    own = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {font} '
    ground = f'<rect width="{width}" height="{height}" fill="{_LOOK.ground}"/>'
    head, body = svg.split(">", 1)
    return f"{head.replace('<svg ', own, 1)}>{ground}{body}\n"


def _cost_axis(costs: FloatArray) -> tuple[_Place, list[float]]:
    low, high = float(costs.min()), float(costs.max())
    if low <= 0 or low == high:
        low, high = min(low, 0.0), high if high > 0 else 1.0
        return lambda x: _LEFT + (_RIGHT - _LEFT) * (x - low) / (high - low), _even(low, high)
    low, high = low / 1.1, high * 1.1
    span = np.log(high / low)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [step * 10.0**power for power in powers for step in ((1, 2, 5) if high < 3000 * low else (1,))]
    return lambda x: _LEFT + (_RIGHT - _LEFT) * float(np.log(x / low)) / span, [x for x in ticks if low <= x <= high]


def _score_axis(scores: FloatArray) -> tuple[_Place, list[float]]:
    ticks = _even(float(scores.min()), float(scores.max()))
    low, high = min(ticks[0], float(scores.min())), max(ticks[-1], float(scores.max()))
    high += low == high
    return lambda y: _BOTTOM - (_BOTTOM - _TOP) * (y - low) / (high - low), ticks


def _even(low: float, high: float) -> list[float]:
    """Round numbers, five to ten where the ends differ."""
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-6) / 2))
    step = next(step * times for times in (0.2, 0.5, 1, 2) if (high - low) / (step * times) <= 10)
    return [float(step * n) for n in range(int(np.floor(low / step)), int(np.floor(high / step)) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, color: str = _LOOK.grid, width: float = 1) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{color}" stroke-width="{width:g}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_LOOK.ink}">{html.escape(text)}</text>'


def _curve(split: str, curve: SavedCurve, at_x: _Place, at_y: _Place) -> str:
    color, dash = _STYLE[split]
    points = " ".join(
        f"{at_x(float(curve.cost_usd[k])):.1f},{at_y(100 * float(curve.score[k])):.1f}" for k in thin(curve)
    )
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"/>'


def _point(split: str, figures: PointFigures, at_x: _Place, at_y: _Place) -> str:
    color, _ = _STYLE[split]
    x, y = at_x(figures.cost_usd), at_y(100 * figures.score)
    bar = ""
    if figures.score_low is not None and figures.score_high is not None:
        bar = _line(x, at_y(100 * figures.score_low), x, at_y(100 * figures.score_high), color, 2)
    fill = color if split == "test" else _LOOK.ground
    return f'{bar}<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{fill}" stroke="{color}" stroke-width="2"/>'


def _reference(single: Single, at_x: _Place, at_y: _Place) -> str:
    x, y = at_x(single.cost_usd), at_y(100 * single.score)
    mark = f'<path d="M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z" fill="{_LOOK.ink}"/>'
    # Down there nothing else is: what costs most is rarely the worst.
    return mark + _text(_RIGHT, _BOTTOM - 10, f"◆ {shortened(visible(single.model), 60)} alone, test", "end")


def _legend(place: int, split: str) -> str:
    color, dash = _STYLE[split]
    x, y = 250.0 + 230 * place, _TOP - 24
    line = f'<path d="M{x} {y}h30" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"/>'
    text = "validation, point hollow" if split == "validation" else "test, point filled"
    return line + _text(x + 38, y + 4, text, "start")
