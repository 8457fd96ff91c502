"""Plots 2 to 5 of CARROT (arXiv 2502.03261): routers beside their rivals, spectra, and their common parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from carrot_core.curve import thin
from carrot_core.errors import CarrotError
from carrot_core.figures.exhibit import Exhibit
from carrot_core.figures.frontier import frontier_figure, place_names
from carrot_core.figures.scene import Scene, alt_text, caption, label
from carrot_core.figures.theme import ThemeName, cut_names
from carrot_core.frontier import lam_of_rate
from carrot_core.number_formats import percent
from carrot_core.outcomes import pick
from carrot_core.results import Names, Results
from carrot_core.text import visible
from carrot_core.theory.dimension import spectra_exhibit

CARROT = ("carrot-knn", "carrot-mlp", "carrot-encoder", "carrot-released")
BINARY = ("routellm-mf", "routellm-bert", "rorf")
RULE = ("routerbench-knn", "routerbench-mlp")
TOLERANCE = 4e-3  # largest error of a drawn curve, as a share of its extent
_MARGIN = 0.05  # share of the cost interval, on both sides


class NotDrawnError(CarrotError):
    """This benchmark lacks what a figure needs; the message says what is missing and how to get it."""


def among(fitted: Sequence[str], kinds: Sequence[str]) -> Names:
    """Fitted routers of some kinds, with any parameters, in the order of the kinds."""
    return tuple(name for kind in kinds for name in fitted if name.partition(" ")[0] == kind)


def first_carrot(fitted: Sequence[str]) -> str:
    """The router a figure is about: CARROT-KNN, else another CARROT router, else any.

    Raises
    ------
    NotDrawnError
        No router is fitted.
    """
    ours = [*among(fitted, ["carrot-knn"]), *(name for name in fitted if name.startswith("carrot-")), *fitted]
    if not ours:
        raise NotDrawnError("No router is fitted on this benchmark yet (carrot fit BENCH fits CARROT-KNN).")
    return ours[0]


def analysis_of(results: Results, name: str, routers: Names) -> pd.DataFrame:
    """A table that a figure requires.

    Raises
    ------
    NotDrawnError
        A snapshot lacks it.
    """
    table = results.analysis(name, routers)
    if table is None or table.empty:
        raise NotDrawnError(f"This snapshot was made without the table {name!r}: load the benchmark itself.")
    return table


def binary_routers(results: Results, *, oracle: bool = False) -> Exhibit:
    """Plots 2 and 5: CARROT's routers against those that choose between two models."""
    rivals = among(results.fitted, BINARY)
    what = (
        "CARROT chooses among all models; RouteLLM and RoRF choose between a large and a small one, so their "
        "curves run from one of the two to the other."
    )
    return _exhibit(results, "binary-routers", "Against binary routers", (CARROT, rivals, BINARY), what, oracle)


def routerbench_rule(results: Results, *, oracle: bool = False) -> Exhibit:
    """Plot 3: CARROT's routers against RouterBench's, which take one mean cost for each model."""
    rivals = among(results.fitted, RULE)
    what = (
        "RouterBench's rule predicts the score of each prompt, as CARROT does, but takes the same cost for all "
        "prompts: the model's mean. What lies between the two is what predicting costs brings."
    )
    return _exhibit(results, "routerbench-rule", "Against RouterBench's rule", (CARROT, rivals, RULE), what, oracle)


def zero_router(results: Results, *, oracle: bool = False) -> Exhibit:
    """Plot 4: RouterBench's rule and the zero router, which knows nothing of the prompt, beside CARROT-KNN."""
    rivals = (*among(results.fitted, RULE), "zero")
    what = (
        "The zero router knows each model's mean score and cost and nothing of the prompt: a router below its "
        "line does worse than not looking."
    )
    ours = ("carrot-knn",)
    title = "RouterBench's rule and the zero router"
    return _exhibit(results, "zero-router", title, (ours, rivals, RULE), what, oracle)


def chart_exhibit(scene: Scene) -> Exhibit:
    """The chart of a scene, with everything drawn as data."""
    return Exhibit(
        "frontier",
        f"Accuracy against cost ({visible(scene.title)})",
        _words(scene),
        alt_text(scene),
        curve_table(scene),
        partial(deferral_figure, scene),
    )


def _exhibit(
    results: Results,
    name: str,
    title: str,
    kinds: tuple[Sequence[str], tuple[str, ...], Sequence[str]],
    what: str,
    oracle: bool,
) -> Exhibit:
    """Curves of CARROT's routers and of rivals; ``kinds`` are our kinds, the available rivals, and the rivals'
    kinds."""
    own_kinds, rivals, rival_kinds = kinds
    active = first_carrot(results.fitted)
    ours = tuple(dict.fromkeys((active, *among(results.fitted, own_kinds))))
    scene = results.scene((*ours, *rivals, *(("oracle",) if oracle else ())), active)
    if len(scene.models) < 2:
        raise NotDrawnError(f"There is one model, {visible(scene.models[0])}: nothing to route between, so no curve.")
    missing = [kind for kind in rival_kinds if not among(rivals, [kind])]
    sentences = [part for part in (what, _words(scene), _absent(missing)) if part]
    return Exhibit(
        name,
        f"{title} ({visible(scene.title)})",
        " ".join(sentences),
        alt_text(scene),
        curve_table(scene),
        partial(deferral_figure, scene),
    )


def _has_hull(scene: Scene) -> bool:
    """Whether the zero router's hull is drawn; it equals its curve, which may already be there."""
    return "zero" not in {curve.name for curve in scene.curves}


def _words(scene: Scene) -> str:
    parts = (caption(scene, hull=_has_hull(scene)), "Names without room are in the hover text.", _below(scene))
    return " ".join(filter(None, parts))


def _below(scene: Scene) -> str:
    """Sentence on single models below the range of the axis."""
    low, _ = accuracy_range(scene)
    below = int((scene.model_score < low).sum())
    if not below:
        return ""
    verbs = ("single model stands", "is") if below == 1 else ("single models stand", "are")
    return f"{below} {verbs[0]} below {percent(low, digits=0)} and {verbs[1]} only in the data."


def _absent(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    return f"Not fitted on this benchmark, so not drawn: {', '.join(map(label, missing))}."


def deferral_figure(scene: Scene, theme: ThemeName) -> go.Figure:
    """The chart of a scene from its cheapest to its most expensive single model, and down to its lowest curve."""
    low, high = accuracy_range(scene)
    in_range = scene.model_score >= low
    view = replace(
        scene,
        models=pick(scene.models, in_range),
        reference=scene.best_single,  # the user's reference may be out of range; its mark is not drawn
        model_score=scene.model_score[in_range],
        model_cost_usd=scene.model_cost_usd[in_range],
        pool=scene.models,
    )
    figure = frontier_figure(view, theme=theme, tolerance=TOLERANCE)
    left_out = {"reference"} if _has_hull(scene) else {"reference", "hull"}
    figure.data = [trace for trace in figure.data if trace.meta["role"] not in left_out]
    ends = view.basis.calls * np.array([scene.model_cost_usd.min(), scene.model_cost_usd.max()])
    ends = np.log10(ends) if figure.layout.xaxis.type == "log" else ends
    room = _MARGIN * (float(np.ptp(ends)) or abs(float(ends[1])) or 1.0)
    ends += np.array([-room, room])
    figure.update_traces(legendrank=1, selector=lambda trace: trace.meta == {"role": "curve", "name": scene.active})
    figure.update_yaxes(range=[100 * low, 100 * high], ticksuffix=" %", title="Accuracy")
    figure.update_xaxes(range=list(ends))
    place_names(figure, _names(view))
    return figure


def accuracy_range(scene: Scene) -> tuple[float, float]:
    """Ends of the accuracy axis, 0 to 1: the range of routers, their hull and the best single model, with some room.

    Single models below it would press all curves into a strip.
    """
    lowest, highest = scene.model_cost_usd.min(), scene.model_cost_usd.max()
    curves = [(curve.frontier.cost_usd, curve.frontier.score) for curve in scene.curves]
    inside = [score[(cost >= lowest) & (cost <= highest)] for cost, score in curves]
    best = scene.model_score[[scene.models.index(scene.best_single)]]
    scores = np.concatenate([best, scene.hull_score, *inside])
    room = 0.08 * float(np.ptp(scores)) or 0.01
    band = scene.active_curve.band
    top = max(float(scores.max()), float(band.score_high.max()) if band is not None else 0.0)
    return float(scores.min()) - room, top + room


def _names(scene: Scene) -> list[str]:
    """Names beside the models' points, except for the best single model, which is in the legend."""
    pool = scene.pool or scene.models
    names = dict(zip(pool, cut_names(pool, 28), strict=True))
    return ["" if model == scene.best_single else names[model] for model in scene.models]


def curve_table(scene: Scene) -> pd.DataFrame:
    """All drawn points, one in each row.

    Columns kind ("router", "model", "hull", "cascade"), name, exchange_rate_per_usd and lam (of routers), cost_usd
    (mean per query), score (mean).
    """
    frames = []
    for curve in scene.curves:
        rows = thin(curve.frontier, TOLERANCE)
        rates = curve.frontier.exchange_rate_per_usd[rows]
        points = {"cost_usd": curve.frontier.cost_usd[rows], "score": curve.frontier.score[rows]}
        lams = {"exchange_rate_per_usd": rates, "lam": lam_of_rate(rates, scene.cost_unit_usd)}
        frames.append(pd.DataFrame({"kind": "router", "name": curve.name, **lams, **points}))
    singles = {"name": scene.models, "cost_usd": scene.model_cost_usd, "score": scene.model_score}
    hull = {"name": "zero router", "cost_usd": scene.hull_cost_usd, "score": scene.hull_score}
    frames += [pd.DataFrame({"kind": "model", **singles}), pd.DataFrame({"kind": "hull", **hull})]
    if scene.cascades is not None:
        then = scene.cascades["then"].map(lambda model: f", then {model}" if model else "")
        frames.append(scene.cascades[["cost_usd", "score"]].assign(kind="cascade", name=scene.cascades["first"] + then))
    return pd.concat(frames, ignore_index=True)


def embedding_dimension(results: Results) -> Exhibit:
    """Spectra of PCA, kernel PCA and Isomap.

    Raises
    ------
    NotDrawnError
        There are no vectors of these prompts, or too few, and no stored spectra.
    """
    table = results.spectra()
    if table is None:
        raise NotDrawnError(
            "Spectra need the vectors of some dozens of prompts. Those of this benchmark are not here (carrot fit "
            "makes them), and none of its spectra ship."
        )
    return replace(spectra_exhibit(table), name="embedding-dimension")
