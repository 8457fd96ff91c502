"""The live frontier on a page: λ moves in the browser, and Python gets the new λ when the handle is released."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from math import isfinite
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.io as pio
import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from carrot_core.curve import thin, unbeaten
from carrot_core.dashboard.components import COMPONENT, install_plotly_js, slider_css
from carrot_core.errors import CarrotError
from carrot_core.figures.frontier import NAME_LETTERS, frontier_figure
from carrot_core.figures.scene import Scene, alt_text
from carrot_core.figures.theme import THEMES, counterparts, group_looks, line_styles, model_names, scene_looks
from carrot_core.frontier import FloatArray, ReadableCurve, lam_of_rate
from carrot_core.metrics import cost_per_solved
from carrot_core.number_formats import LATENCY_POINT_HOVER
from carrot_core.operating_point import rate_inside
from carrot_core.outcomes import positions
from carrot_core.promise import EVEN, cost_bounds, default_confidence, score_bounds
from carrot_core.text import visible
from carrot_core.verdict import Verdict

MAX_POINTS = 60_000  # breakpoints sent to the browser; above it the curve is thinned, and the page says so
_STRIDE = 256  # breakpoints between two counts of who answers
_THINNED_STRIDE = 16
_ROOM, _BRIEF_ROOM = 640, 520  # least height in pixels, reserved before it is drawn so that nothing below moves

_payloads: WeakKeyDictionary[Scene, dict[str, dict[str, Any]]] = WeakKeyDictionary()


def live_frontier(
    scene: Scene,
    *,
    lam: float,
    key: str,
    validation_label: str = "",
    verdict: Verdict | None = None,
    brief: bool = False,
    pins: Sequence[tuple[str, float]] = (),
    on_release: Callable[[float], None] | None = None,
) -> None:
    """Draw the live chart at λ.

    Parameters
    ----------
    scene : what to draw. Pass the same object at every rerun: its payload is built once for each object.
    lam : λ in [0, 1] to show. A new λ never redraws the chart.
    key : key of the component in the session.
    validation_label : name of the scene's ``chosen_on`` curve, in a word or two. With it, the budget and the target
        accuracy that a point promises by that curve are handles too; with "" only λ is.
    verdict : verdict on the point at λ; its figures replace the curve's there, with each prompt at a λ that was chosen
        without it, and with intervals.
    brief : three figures across the top and no others, and a lower chart.
    pins : points kept on the active curve, as name and λ in the scene's cost unit.
    on_release : called with the new λ, before the page runs, when the reader lets go of the handle.
    """

    def handle_release() -> None:
        if on_release is not None:
            on_release(check_lam(st.session_state[key]["released"]))

    chart, courier = _renderers()
    with st.container(gap=None):
        with st.container(horizontal=True, gap=None):
            st.container(width=1, height=_BRIEF_ROOM if brief else _ROOM, border=False)
            state = chart(
                key=key,
                data=_payload(scene, validation_label) | {"chart": key, "brief": brief},
                on_released_change=handle_release,
            )
        release = (state.get("released") or {}).get("name")
        point = None if verdict is None else _point(verdict)
        places = [{"name": visible(name), "lam": at} for name, at in pins]
        courier(key=f"{key}:lam", data={"chart": key, "lam": lam, "heard": release, "point": point, "pins": places})


def _point(verdict: Verdict) -> dict[str, Any]:
    """The figures of a verdict, with the ends of their intervals if known."""
    figures: dict[str, Any] = {"score": verdict.score.value, "cost": verdict.cost_usd.value}
    for name, interval in (("scoreEnds", verdict.score), ("costEnds", verdict.cost_usd)):
        if isfinite(interval.low):
            figures[name] = [interval.low, interval.high]
    return figures


def check_lam(message: dict[str, Any]) -> float:
    """λ of a message from the browser.

    Raises
    ------
    CarrotError
        It is not a number from 0 to 1.
    """
    lam = message["lam"]
    if not isinstance(lam, int | float) or not 0 <= lam <= 1:
        raise CarrotError(f"The browser sent λ = {lam!r}; a number from 0 to 1 was expected.")
    return float(lam)


@cache
def _renderers() -> tuple[ComponentRenderer, ComponentRenderer]:
    """The chart, and the component that sends it λ; registered once, at first use.

    Streamlit accepts components only while it runs, so not at import.
    """
    install_plotly_js()
    chart = st.components.v2.component(
        "carrot-core.frontier",
        html=(COMPONENT / "frontier.html").read_text(encoding="utf-8"),
        css=slider_css() + (COMPONENT / "frontier.css").read_text(encoding="utf-8"),
        js="frontier.js",
    )
    courier = st.components.v2.component("carrot-core.lam", js=(COMPONENT / "lam.js").read_text(encoding="utf-8"))
    return chart, courier


def _payload(scene: Scene, validation_label: str) -> dict[str, Any]:
    payloads = _payloads.setdefault(scene, {})
    if validation_label not in payloads:
        payloads[validation_label] = build_payload(scene, validation_label)
    return payloads[validation_label]


def build_payload(scene: Scene, validation_label: str = "") -> dict[str, Any]:
    """All data the browser needs for every λ; ``hash`` changes exactly when the rest does.

    ``points`` has one row for each breakpoint of the active curve (rate, score, cost in dollars per query, mean and
    95th percentile of latency in seconds where known, number of switches up to it). ``switches`` has one row for each
    switch (model before, model after). ``checkpoints`` has the number of prompts each model answers at every
    ``stride``-th breakpoint. A curve of more than `MAX_POINTS` breakpoints is thinned evenly and has no switches. With
    ``validation_label``, ``validation`` has the same columns, without switches, of what each point of the validation
    curve promises (of its means where it knows no errors, and ``promised`` is False), and ``budgets`` and ``targets``
    have the points that a budget and a target can take, ascending, each with its λ. ``perSolved`` and ``seconds`` have
    the traces' points on an axis of cost per solved task, and of mean latency.
    """
    frontier = scene.active_curve.frontier
    styles, light = line_styles([curve.name for curve in scene.curves]), THEMES["light"]
    figure = frontier_figure(scene)
    groups = {} if scene.grouping is None else group_looks(scene.grouping, "light")
    payload: dict[str, Any] = {
        "title": scene.title,
        "figure": json.loads(pio.to_json(figure)),
        "dark": counterparts(len(scene.shades), scene.grouping),
        "ground": light.ground,
        "muted": light.muted,
        "name": scene.active,
        "label": scene.active_curve.label,
        "active": light.curves[styles[scene.active].color],
        "models": [
            {
                "name": visible(name),
                "short": scene.short_names[name],
                "color": its.color,
                "hatch": its.hatch,
                "score": float(score),
                "cost": float(cost),
            }
            for name, its, score, cost in zip(
                scene.models,
                scene_looks(scene, "light"),
                scene.model_score,
                scene.model_cost_usd,
                strict=True,
            )
        ],
        "groups": [
            {"name": name, "models": columns, "color": trace.marker.color, "hatch": groups[name].hatch}
            for trace, (name, columns) in zip(
                _of_role(figure.data, "group"), scene.columns_by_group.items(), strict=True
            )
        ],
        "texts": model_names(scene.models, NAME_LETTERS),
        "labelOrder": _label_order(scene),
        "reference": scene.models.index(scene.reference),
        "best": scene.models.index(scene.best_single),
        "unit": scene.cost_unit_usd,
        "basis": asdict(scene.basis) | {"solved": scene.basis.solved.words, "hover": scene.basis.hover},
        "perSolved": _per_solved(figure.data),
        "seconds": _seconds(scene, figure.data),
        "prompts": frontier.n_prompts,
        "canLog": scene.can_log,
        "alt": alt_text(scene),
        **_curve(frontier, scene.models),
        "readOn": validation_label,
        **_validation(scene if validation_label else None),
    }
    return payload | {"hash": _digest(payload)}


def _per_solved(traces: tuple[Any, ...]) -> list[list[float]] | None:
    """Places of the traces' points on an axis of cost per solved task; None if some point solves nothing."""
    places = [cost_per_solved(trace.x, np.asarray(trace.y) / 100) for trace in traces]
    return [each.tolist() for each in places] if np.isfinite(np.concatenate(places)).all() else None


def _seconds(scene: Scene, traces: tuple[Any, ...]) -> dict[str, Any] | None:
    """Places of the traces' points, and of the models, on an axis of mean latency; None if that is not known along
    the active curve or for some model. Traces without a latency (the band, a cascade) are left out."""
    along, alone, hull = scene.active_curve.frontier.latency_s, scene.model_latency_s, scene.hull_latency_s
    if along is None or alone is None or hull is None or np.isnan(along).any():
        return None
    curves = {curve.name: curve.frontier for curve in scene.curves}

    def place(trace: Any) -> list[float | None]:
        role, name = trace.meta["role"], trace.meta["name"]
        marks = {"best": scene.best_single, "reference": scene.reference}
        seconds = np.empty(0)
        if role == "curve" and (latency := curves[name].latency_s) is not None:
            seconds = latency[0, thin(curves[name])]
        elif role in marks:
            seconds = alone[0, [scene.models.index(marks[role])]]
        elif role in ("hull", "models"):
            seconds = hull if role == "hull" else alone[0]
        elif role == "group":
            seconds = alone[0, scene.columns_by_group[name]]
        return [None if math.isnan(value) else value for value in seconds.tolist()]

    places = [place(trace) for trace in traces]
    least = min(each for of in places for each in of if each is not None)
    return {"x": places, "models": alone[0].tolist(), "canLog": least > 0, "hover": LATENCY_POINT_HOVER}


def _of_role(traces: tuple[Any, ...], role: str) -> list[Any]:
    return [trace for trace in traces if trace.meta["role"] == role]


def _label_order(scene: Scene) -> list[int]:
    """Order in which models get a label if not all labels fit: best single model, reference, then those that no other
    model beats, then by score."""
    first = [scene.models.index(scene.best_single), scene.models.index(scene.reference), *scene.front]
    return list(dict.fromkeys(first + [int(place) for place in np.argsort(-scene.model_score)]))


def _curve(curve: ReadableCurve, models: tuple[str, ...]) -> dict[str, Any]:
    rates, columns = curve.exchange_rate_per_usd, positions(curve.models, models)
    exact = curve.counted_switches if len(rates) <= MAX_POINTS else None
    indices = np.unique(np.linspace(0, len(rates) - 1, min(len(rates), MAX_POINTS)).astype(np.intp))
    stride = _STRIDE if exact else _THINNED_STRIDE
    counts = np.zeros((len(indices[::stride]), len(models)), dtype=np.int64)
    counts[:, columns] = np.rint(curve.shares(rates[indices[::stride]]) * curve.n_prompts)
    latency = {} if curve.latency_s is None else dict(zip(("latency", "p95"), curve.latency_s[:, indices], strict=True))
    payload: dict[str, Any] = {
        "points": {
            "rate": rates[indices],
            "score": curve.score[indices].astype(np.float32),
            "cost": curve.cost_usd[indices].astype(np.float32),
            **{name: seconds.astype(np.float32) for name, seconds in latency.items()},
        },
        "switches": None,
        "checkpoints": {"stride": stride, "counts": counts.tolist()},
        "note": "",
    }
    if exact:
        small = np.uint8 if len(models) <= 256 else np.uint16
        done = np.searchsorted(exact.rate, rates[indices], side="right")
        payload["points"]["switches"] = done.astype(np.uint32)
        ends = {"source": columns[exact.source], "target": columns[exact.target]}
        payload["switches"] = pd.DataFrame({name: column.astype(small) for name, column in ends.items()})
    else:
        how = ", evenly spaced" if len(indices) < len(rates) else ""
        if len(indices) < curve.n_points:
            payload["note"] = f"The curve is shown at {len(indices):,} of its {curve.n_points:,} points{how}."
    return payload | {"points": pd.DataFrame(payload["points"])}


def _validation(scene: Scene | None) -> dict[str, pd.DataFrame | bool | None]:
    if scene is None or scene.chosen_on is None:
        return {"validation": None, "budgets": None, "targets": None, "promised": False}
    curve, rates = scene.chosen_on, scene.chosen_on.exchange_rate_per_usd
    confidence = default_confidence(curve)
    least, most = score_bounds(curve, confidence).bound, cost_bounds(curve, confidence).bound
    indices = np.unique(np.linspace(0, len(rates) - 1, min(len(rates), MAX_POINTS)).astype(np.intp))
    small = {"score": least[indices].astype(np.float32), "cost": most[indices].astype(np.float32)}

    def steps(points: npt.NDArray[np.intp], values: FloatArray) -> pd.DataFrame:
        lams = [float(lam_of_rate(rate_inside(curve, int(point)), scene.cost_unit_usd)) for point in points]
        return pd.DataFrame({"lam": lams, "value": values[points]})

    return {
        "validation": pd.DataFrame({"rate": rates[indices], **small}),
        "budgets": steps(unbeaten(most, curve.score), most),
        "targets": steps(unbeaten(curve.cost_usd, least), least),
        "promised": confidence > EVEN,
    }


def _digest(payload: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, value in payload.items():
        digest.update(name.encode())
        if isinstance(value, pd.DataFrame):
            digest.update(pd.util.hash_pandas_object(value, index=False).to_numpy().tobytes())
        else:
            digest.update(json.dumps(value, sort_keys=True).encode())
    return digest.hexdigest()
