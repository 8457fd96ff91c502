"""A page about an operating point, to read and to print, and its curve as SVG; neither loads anything from a host."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from carrot_core.curve import SavedCurve, thin
from carrot_core.errors import CarrotError
from carrot_core.evaluation import single_models
from carrot_core.figures.exhibit import image_of_svg
from carrot_core.figures.theme import THEMES, shortened
from carrot_core.frontier import FloatArray
from carrot_core.number_formats import CostBasis, lam_text, money, money_tick, pays, percent
from carrot_core.points import figures_of, measured
from carrot_core.results import shipped_snapshots
from carrot_core.results.snapshot import SnapshotResults, read
from carrot_core.results.source import StoredResults, stored_results
from carrot_core.serving import CarrotRouter
from carrot_core.serving.point import PointFigures, PointFile, promise_of
from carrot_core.store import Store
from carrot_core.text import SENTENCE, visible
from carrot_core.verdict import sentence, verdict_on

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
@page {{ margin: 16mm }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: #2f2d2b; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem }}
h1 {{ font-size: 1.5rem; margin-bottom: 0 }} h2 {{ font-size: 1.1rem; margin: 1.5rem 0 .4rem }}
h1, td, li, p {{ overflow-wrap: anywhere }}
svg {{ width: 100%; height: auto; font-size: 13px }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #e6e8eb; vertical-align: top }}
.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }}
@media print {{ body {{ font-size: 10pt; margin: 0; max-width: none }} svg, tr {{ break-inside: avoid }}
  h2 {{ break-after: avoid }} }}
</style></head><body>
"""
_LOOK = THEMES["light"]
_STYLE = {"validation": (_LOOK.curves[1], "6 4"), "test": (_LOOK.curves[0], "none")}
SIZE = (720, 380)  # pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 700.0, 40.0, 330.0
_Place = Callable[[float], float]
Measured = StoredResults | SnapshotResults
Figures = Mapping[str, PointFigures]  # by "validation" and "test"


def as_html(router: CarrotRouter, point: PointFile) -> bytes:
    """An HTML page: picture, figures with their intervals, shares, prices, provenance and caveats."""
    figures, single, verdict = _known(point)
    title = _escape(f"Operating point of {visible(point.router)} on {visible(point.benchmark)}")
    sections = [
        _HEAD.format(title=title),
        f"<h1>{title}</h1>",
        f"<p>λ {lam_text(point.lam, 6)} with a cost unit of {money(point.cost_unit_usd)}: it pays "
        f"{pays(point.exchange_rate_per_usd)}.</p>",
        f"<p>{_escape(point.note)}</p>" if point.note else "",
        *_expected(router, point, figures, single),
        f"<p>{_escape(verdict)}</p>",
        "<h2>Who answers, at which prices</h2>",
        _models(point),
        "<h2>Where it comes from</h2>",
        _table((), _provenance(point)),
        "<h2>What to keep in mind</h2>",
        f"<ul>{''.join(f'<li>{_escape(caveat)}</li>' for caveat in _caveats(router, point))}</ul>",
        "</body></html>\n",
    ]
    return "\n".join(filter(None, sections)).encode()


def _escape(text: str) -> str:
    """Escape text for HTML, since it may hold names from files."""
    return html.escape(visible(text, keep=SENTENCE))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A table of text cells; the last ``numbers`` of each row are numbers."""

    def cells(row: Sequence[str], tag: str) -> str:
        first = len(row) - numbers
        kinds = [' class="number"' if place >= first else "" for place in range(len(row))]
        return "".join(f"<{tag}{kind}>{_escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    top = f"<tr>{cells(head, 'th')}</tr>" if head else ""
    return f'<div class="wide"><table>{top}{body}</table></div>'


def as_svg(router: CarrotRouter, point: PointFile) -> bytes:
    """The curves on validation and test with the point on them, as a standalone picture.

    Raises
    ------
    CarrotError
        Nothing was measured on the point's pool and prices, so there is nothing to draw.
    """
    figures, single, _ = _known(point)
    if not figures:
        raise CarrotError("The pool or the prices of the point are its own: nothing was measured on them to draw.")
    return standalone(picture(router.profile.curves, figures, single, point.basis)).encode()


def as_image(kind: str, router: CarrotRouter, point: PointFile) -> bytes:
    """The same picture as PNG or PDF, drawn by the machine's browser."""
    return image_of_svg(as_svg(router, point), SIZE, kind)


def _expected(router: CarrotRouter, point: PointFile, figures: Figures, single: Single | None) -> list[str]:
    if not figures:
        return ["<p>Its pool or prices are its own: nothing was measured on them, so no figures can be given.</p>"]
    basis = point.basis
    rows = [[name, *_figures(each, basis)] for name, each in figures.items()]
    if single is not None:
        rows.append(
            [f"{visible(single.model)} alone, test", percent(single.score, digits=2), basis.text(single.cost_usd), ""]
        )
    head = ("", "accuracy (95 %)", "cost (95 %)", "prompts")
    promise = [f"<p>{_escape(promise_of(point.promise, basis))}</p>"] if point.promise else []
    drawn = picture(router.profile.curves, figures, single, basis)
    return [drawn, "<h2>What to expect</h2>", _table(head, rows, 3), *promise]


def _figures(figures: PointFigures, basis: CostBasis) -> list[str]:
    score = percent(figures.score, figures.score_low, figures.score_high, digits=2)
    cost = basis.text(figures.cost_usd, figures.cost_usd_low, figures.cost_usd_high)
    return [score, cost, f"{figures.n_prompts:,}"]


def _known(point: PointFile) -> tuple[dict[str, PointFigures], Single | None, str]:
    """Figures by "validation" and "test", the reference alone, and the verdict, from the results on this machine; if
    there are none, or none that can be read, from the point's file alone.
    """
    missing = f"How the point compares with its reference, {visible(point.reference)}, on test is not known here"
    test, single, verdict = point.test, None, f"{missing}."
    try:
        if (results := _results(point)) is not None:
            test, single = figures_of(point, results), _single(results, point)
            if (there := measured(point, results)) is not None:
                verdict = sentence(verdict_on(results, *there, point.reference))
    except CarrotError:
        verdict = f"{missing}, where the results of its benchmark cannot be read."
    both = {"validation": point.validation, "test": test}
    return {name: each for name, each in both.items() if each is not None}, single, verdict


def _results(point: PointFile) -> Measured | None:
    """The results on the prompts that the point was measured on, from a shipped snapshot or the store."""
    snapshot, store = _snapshot(point), Store()
    if snapshot is not None or point.test is None:
        return snapshot
    same = {info.name for info in store.benchmarks() if info.data_hash == point.data_hash}
    return stored_results(store, point.benchmark) if point.benchmark in same else None


def _snapshot(point: PointFile) -> SnapshotResults | None:
    folders = {info.data_hash: info.folder for info in shipped_snapshots()}
    if point.test is None or point.data_hash not in folders:
        return None
    snapshot = read(folders[point.data_hash])
    same = snapshot.document["n_prompts"] == point.test.n_prompts
    return snapshot if same and snapshot.document["cost_unit_usd"] == point.cost_unit_usd else None


def _single(results: Measured, point: PointFile) -> Single | None:
    if point.reference not in results.models:
        return None
    alone = (
        results.document["single_models"] if isinstance(results, SnapshotResults) else single_models(results.setting)
    )
    return Single(point.reference, alone[point.reference]["score"], alone[point.reference]["cost_usd"])


def _models(point: PointFile) -> str:
    shares = point.shares or {}
    rows = []
    for model in sorted(point.pool, key=lambda model: -shares.get(model, 0.0)):
        price = point.prices.get(model)
        paid = ["", "", "", ""] if price is None else [
            price.source, price.as_of or "not known", money(price.input_usd_per_mtok), money(price.output_usd_per_mtok)
        ]  # fmt: skip
        share = percent(shares[model]) if model in shares else "not measured"
        rows.append([visible(model), *paid, share])
    return _table(("model", "price from", "as of", "per M tokens in", "out", "share of test prompts"), rows, 3)


def _provenance(point: PointFile) -> list[tuple[str, str]]:
    fallback = f"{visible(point.fallback)}, from percentile {point.fallback_above:g}" if point.fallback else "none"
    return [
        ("Loads from", visible(point.source)),
        ("Router", visible(point.router)),
        ("sha256 of its numbers", point.artefact),
        ("Benchmark", visible(point.benchmark)),
        ("Hash of the data", point.data_hash),
        ("Fallback for prompts unlike the training data", fallback),
        ("Exported", f"{point.created_at} by carrot-core {point.carrot_version}"),
        ("sha256 of the point", point.sha256),
        ("This page", f"written by carrot-core {version('carrot-core')}"),
    ]


def _caveats(router: CarrotRouter, point: PointFile) -> list[str]:
    sentences = []
    if point.test is not None:
        sentences = [
            "Figures are means over the prompts of the benchmark. Prompts of another kind may fare differently.",
            "Intervals are 95 %, over prompts: how much another draw of the same kind of prompts would change. They do "
            "not cover changes of models, prices or prompts.",
            "Budgets, targets and the default λ are chosen on validation by promises; test is only reported.",
        ]
    if point.prices:
        sentences.append(
            "Costs are at the prices above. Providers change them; a price without a date has none on record."
        )
    if router.profile.usage == "input_only":
        sentences.append("The benchmark records no output tokens: costs are those of the input alone.")
    if router.profile.usage == "cost_usd":
        sentences.append("The benchmark records dollars, not tokens: costs are at the prices of that day.")
    if point.fallback and point.test is not None:
        sentences.append("The figures are those without the fallback.")
    return [*sentences, "The sha256 makes changes by hand show. It is no signature."]


@dataclass(frozen=True)
class Single:
    """One model alone on the test prompts: means per query."""

    model: str
    score: float
    cost_usd: float


def picture(curves: Mapping[str, SavedCurve], figures: Figures, single: Single | None, basis: CostBasis) -> str:
    """Draw accuracy in per cent over US dollars (logarithmic if all costs are above 0).

    Parameters
    ----------
    curves, figures : by "validation" and "test"; costs are written on the ``basis``.
    single : the reference; None if its figures are not known.
    """
    marks: list[Single | PointFigures] = [*([single] if single else []), *figures.values()]
    costs = [*(curve.cost_usd for curve in curves.values()), np.array([each.cost_usd for each in marks])]
    ends = [end for each in figures.values() for end in (each.score_low, each.score_high) if end is not None]
    scores = [*(curve.score for curve in curves.values()), np.array([*(each.score for each in marks), *ends])]
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
    """Make a picture a standalone file, with a size, a background and a font that every system has."""
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
    """Evenly spaced round numbers, five to ten if the ends differ."""
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
    # This corner is empty: the most expensive points are rarely the worst.
    return mark + _text(_RIGHT, _BOTTOM - 10, f"◆ {shortened(visible(single.model), 60)} alone, test", "end")


def _legend(place: int, split: str) -> str:
    color, dash = _STYLE[split]
    x, y = 250.0 + 230 * place, _TOP - 24
    line = f'<path d="M{x} {y}h30" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"/>'
    text = "validation, point hollow" if split == "validation" else "test, point filled"
    return line + _text(x + 38, y + 4, text, "start")
