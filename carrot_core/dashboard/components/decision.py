"""The box for a prompt, and the decision on it for every λ.

λ moves in the browser, and Python gets it when it is released. The box is a component of our own: Streamlit's text
area sends its text only when it loses focus.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from carrot_core import limits
from carrot_core.curve import SavedCurve, thin
from carrot_core.dashboard.components import COMPONENT, slider_css
from carrot_core.dashboard.components.frontier_chart import check_lam
from carrot_core.embedding import readable
from carrot_core.errors import CarrotError
from carrot_core.figures.scene import NOT_KNOWN, Grouping
from carrot_core.figures.theme import model_looks
from carrot_core.frontier import lam_of_rate
from carrot_core.number_formats import CostBasis, cost_basis, lam_text, percent
from carrot_core.serving.decision import Decisions, Explanation, in_words, ribbon
from carrot_core.text import SENTENCE, counted, short_names, visible

_KEY, _ENTRY, _START = "live:box", "live:typed", "live:start"


def prompt_box(examples: Mapping[str, str]) -> str | None:
    """The text as of the last pause in typing; None if it is longer than `limits.TYPED_CHARACTERS`.

    ``examples`` are texts by the name on the button that types one; a link (``?try=1``) opens with the first of them.
    """
    previous = st.session_state.get(_ENTRY, {"text": "", "length": 0})
    if _KEY not in st.session_state:
        if st.query_params.pop("try", None) and examples and not previous["text"]:
            first = next(iter(examples.values()))
            previous = {"text": first, "length": len(first)}
        # The text the box starts with when the page is opened. It stays the same at later reruns, so that the
        # server sends no text back while somebody types.
        st.session_state[_START] = previous["text"]
    data = {"text": st.session_state[_START], "limit": limits.TYPED_CHARACTERS, "examples": list(examples.items())}
    state = _box_renderer()(key=_KEY, data=data, on_typed_change=lambda: None)
    entry = st.session_state[_ENTRY] = _checked(state.get("typed") or previous)
    return None if entry["length"] > limits.TYPED_CHARACTERS else entry["text"]


def _checked(entry: Any) -> dict[str, Any]:
    match entry:
        case {"text": str(text), "length": int(length)}:
            return {"text": text, "length": max(length, len(text))}
    raise CarrotError("The browser sent something other than a text. Reload the page.")


@cache
def _box_renderer() -> ComponentRenderer:
    html, css, js = ((COMPONENT / f"prompt.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("carrot-core.prompt", html=html, css=css, js=js)


MAX_SHOWN = 600  # characters of a training prompt
_CELLS = {
    "score": "est_score", "scoreLow": "score_low", "scoreHigh": "score_high",
    "output": "est_output_tokens", "outputLow": "output_tokens_low", "outputHigh": "output_tokens_high",
    "cost": "est_cost_usd", "costLow": "cost_low_usd", "costHigh": "cost_high_usd",
    "input": "input_tokens",
}  # fmt: skip


def live_decision(
    explanation: Explanation,
    *,
    lam: float,
    key: str,
    text: str,
    unlike_from: float,
    about: Sequence[str] = (),
    curve: SavedCurve | None = None,
    palette: Sequence[str] = (),
    grouping: Grouping | None = None,
    basis: CostBasis | None = None,
    on_release: Callable[[float], None] | None = None,
) -> None:
    """Draw the decision at λ: sentence, ribbon with the handle on it, and the table of the models.

    Parameters
    ----------
    explanation : explanation of the decision on one prompt.
    lam : λ in [0, 1] to show.
    key : key of the component in the session.
    text : the prompt.
    unlike_from : percentile of the distance from which the prompt is unlike the training prompts.
    curve : the router's curve on test, whose cost at each λ is the axis; None if none fits, and then λ is the axis.
    about : lines below the table that explain the decision; plain text.
    palette : models of the benchmark from the cheapest to the most expensive, which gives each its colour.
    grouping : groups whose colours the models have instead.
    basis : of the benchmark's costs; by default that of the estimates.
    on_release : called with the new λ, before the page runs, when the reader lets go of the handle.
    """

    def handle_release() -> None:
        if on_release is not None:
            on_release(check_lam(st.session_state[key]["released"]))

    release = (st.session_state.get(key, {}).get("released") or {}).get("name")
    data = build_payload(explanation, palette, grouping, basis) | {
        "axis": axis_of(curve, explanation.decision.cost_unit_usd),
        "lam": lam,
        "heard": release,
        "about": [visible(line, SENTENCE) for line in about],
        "read": _part_read(explanation, text),
        "likeness": likeness(explanation.distance_percentile, unlike_from),
    }
    _renderer()(key=key, data=data, on_released_change=handle_release)


@cache
def _renderer() -> ComponentRenderer:
    return st.components.v2.component(
        "carrot-core.decision",
        html=(COMPONENT / "decision.html").read_text(encoding="utf-8"),
        css=slider_css() + (COMPONENT / "decision.css").read_text(encoding="utf-8"),
        js="decision.js",
    )


_AROUND, _MOST_READ = 160, 3000  # characters shown around a part, and of it


def _part_read(explanation: Explanation, text: str) -> list[str] | None:
    """The text before the part that was read, that part, and the text after it; None if all was read."""
    if len(explanation.parts) == 1:
        return None
    words = readable(text, len(text))
    start, end, _ = explanation.parts[explanation.part]
    pieces = words[max(start - _AROUND, 0) : start], words[start:end][:_MOST_READ], words[end : end + _AROUND]
    return [visible(piece, SENTENCE) for piece in pieces]


# Degrees of likeness from 4 down: in words, the percentile of the distance at which each ends, and what to do about it.
_DEGREES = (
    ("Much like the training prompts", 50.0, ""),
    ("Like the training prompts", 90.0, ""),
    ("Rather unlike the training prompts", 100.0, " Take these estimates with care."),
)
_UNLIKE = "Unlike the training prompts"
_GUESSES = " These estimates are little more than guesses; a fallback model can be set for such prompts."


def likeness(percentile: float | None, unlike_from: float) -> dict[str, Any] | None:
    """Likeness of a prompt to the training prompts: a ``degree`` from 1 (unlike) to 4, and words for it.

    None if the router has no distance to them.
    """
    if percentile is None:
        return None
    degree, word, caution = 1, _UNLIKE, _GUESSES
    if percentile < unlike_from:
        place = next(place for place, (_, end, _) in enumerate(_DEGREES) if percentile <= end)
        degree, (word, _, caution) = 4 - place, _DEGREES[place]
    rest = 100 - percentile
    others = "fewer than 1 is" if rest < 1 else f"{rest:.0f} are"
    return {"degree": degree, "words": f"{word}: of 100 prompts of the benchmark {others} less like them.{caution}"}


def build_payload(
    explanation: Explanation,
    palette: Sequence[str] = (),
    grouping: Grouping | None = None,
    basis: CostBasis | None = None,
) -> dict[str, Any]:
    """All data the browser needs for every λ; models that the palette lacks get the colours after it.

    ``models`` has one entry for each model, in the order of the estimates. ``segments`` says which model CARROT
    chooses in which range of λ. ``stretches`` says which model answers and which comes second, with a sentence.
    ``nearest`` are training prompts with each model's score.
    """
    decision = explanation.decision
    names = decision.estimates.models
    short = short_names(names)
    rows = {row["model"]: row for row in explanation.table.to_dict("records")}
    order = list(dict.fromkeys([*palette, *names]))
    light, dark = (model_looks(order, theme, grouping) for theme in ("light", "dark"))
    groups = {} if grouping is None else {model: group for group, of in grouping.groups for model in of}
    none = "" if grouping is None else NOT_KNOWN
    return {
        "models": [
            {
                "name": visible(name), "short": short[name], "light": light[name].color, "dark": dark[name].color,
                "hatch": light[name].hatch, "group": groups.get(name, none), **_cells(rows[name]),
            }
            for name in names
        ],
        "segments": [{"model": names.index(part.model), "from": part.lam_from, "to": part.lam_to}
                     for part in explanation.ribbon],
        "stretches": stretches(explanation, basis),
        "nearest": _nearest(explanation),
        "unit": decision.cost_unit_usd,
        "basis": asdict(basis or cost_basis(decision.estimates.cost_usd)),
        "fellBack": bool(decision.fell_back[0]),
        "alt": ribbon_text(explanation),
    }  # fmt: skip


def axis_of(curve: SavedCurve | None, cost_unit_usd: float) -> dict[str, Any]:
    """The place of each λ: ascending ``lam`` from 0 to 1 and ``place``, from 1 (most accurate) down to 0 (cheapest).

    A place is the logarithm of the curve's cost at that λ, or the cost itself if any of it is 0. Routers err, so cost
    may rise with λ: then the place stays the same, since a λ needs one place on the ribbon. If the cost never falls, or
    there is no curve, the place is that of λ itself.
    """
    at = slice(0) if curve is None else thin(curve, 1e-3)
    cost = np.zeros(1) if curve is None else np.minimum.accumulate(curve.cost_usd[at])
    if curve is None or cost[-1] == cost[0]:
        lams = np.linspace(0, 1, 101)
        return {"lam": lams.tolist(), "place": (1 - lams).tolist(), "words": "placed by λ"}
    lams = np.append(lam_of_rate(curve.exchange_rate_per_usd[at], cost_unit_usd), 1.0)
    size = np.log(cost) if cost[-1] > 0 else cost
    place = np.append((size - size[-1]) / float(np.ptp(size)), 0.0)
    lams, first = np.unique(lams, return_index=True)
    return {"lam": lams.tolist(), "place": place[first].tolist(), "words": "placed by the router's mean cost"}


def _cells(row: Mapping[Hashable, Any]) -> dict[str, float | None]:
    return {name: None if np.isnan(row[column]) else float(row[column]) for name, column in _CELLS.items()}


def _nearest(explanation: Explanation) -> list[dict[str, Any]]:
    if explanation.nearest is None:
        return []
    scores = explanation.nearest[list(explanation.decision.estimates.models)].to_numpy(np.float64)
    return [
        {
            "similarity": float(row["similarity"]),
            "task": visible(row["task"]),
            "text": _cut(row["prompt"]) if row["prompt"] else _scored(row["prompt_id"], observed),
            "scores": [None if np.isnan(score) else float(score) for score in observed],
        }
        for row, observed in zip(explanation.nearest.to_dict("records"), scores, strict=True)
    ]


def textless(explanation: Explanation, *, ships: bool) -> str:
    """Why the nearest training prompts are named by their ids; empty if any text is known.

    ``ships`` is whether their benchmark ships, whose texts are left out where they may not be passed on.
    """
    if explanation.nearest is None or explanation.nearest["prompt"].notna().any():
        return ""
    why = "texts of this benchmark are not passed on" if ships else "this benchmark has no texts"
    return f"The nearest training prompts are named by their ids, with the mean score of all models: {why}."


def _scored(prompt_id: str, scores: npt.NDArray[np.float64]) -> str:
    """A prompt without text: its id, and the mean score of the models there."""
    known = scores[~np.isnan(scores)]
    mean = f": {percent(known.mean(), digits=0)} on average over {counted(len(known), 'model')}" if len(known) else ""
    return f"{visible(prompt_id)}{mean}"


def _cut(text: str) -> str:
    return visible(text[:MAX_SHOWN], SENTENCE) + ("…" if len(text) > MAX_SHOWN else "")


def stretches(explanation: Explanation, basis: CostBasis | None = None) -> list[dict[str, Any]]:
    """Ranges of λ from 0 to 1 in which the same model answers and the same model comes second; exact."""
    decision, models = explanation.decision, explanation.decision.estimates.models
    fell_back = bool(decision.fell_back[0])
    segments = [(part.model, part.lam_from, part.lam_to) for part in explanation.ribbon]
    rows = []
    for winner, lam_from, lam_to in [(explanation.winner, 0.0, 1.0)] if fell_back else segments:
        for other, start in _seconds(decision, winner, lam_from, lam_to):
            first, second = models.index(winner), None if other is None else models.index(other)
            words = in_words(decision.estimates, first, second, fell_back=fell_back, basis=basis)
            sentence = visible(words, SENTENCE)
            rows.append({"from": start, "winner": first, "second": second, "sentence": sentence})
    return rows


def _seconds(decision: Decisions, winner: str, lam_from: float, lam_to: float) -> list[tuple[str | None, float]]:
    """The second-best model and the λ from which it is second, over the range in which ``winner`` answers."""
    others = [model for model in decision.estimates.models if model != winner]
    if not others:
        return [(None, lam_from)]
    parts = ribbon(decision.estimates.pool(others), decision.cost_unit_usd)
    inside = [part for part in parts if part.lam_to > lam_from and part.lam_from < lam_to]
    # A segment of length 0, at λ = 1, lies inside none of these parts.
    return [(part.model, max(part.lam_from, lam_from)) for part in inside] or [(parts[-1].model, lam_from)]


def ribbon_text(explanation: Explanation) -> str:
    """Describe the ribbon in words."""
    parts = explanation.ribbon
    text = "; ".join(
        f"{visible(part.model)} from λ {lam_text(part.lam_from)} to {lam_text(part.lam_to)}" for part in parts
    )
    return f"Which model is chosen for which λ: {text}."
