"""The thirteen models of the simulated benchmark: what they cost, how much they write, what they can do.

They are invented. Prices and mean scores are spread as in published tables of real pools (cheapest to
dearest about a factor 100 in mean cost, mean scores from under 0.5 to about 0.85), with a few models
that are strong in one family only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FAMILIES = (
    "arithmetic", "logic", "code", "extraction", "rewriting", "open_questions", "classification", "summarising",
)  # fmt: skip
GRADED = frozenset({"extraction", "rewriting", "open_questions", "summarising"})  # tenths; the others 0 or 1
MEDIAN_OUTPUT_TOKENS = (190, 260, 280, 110, 85, 360, 22, 115)  # by family, for a model of verbosity 1


@dataclass(frozen=True)
class SimulatedModel:
    """One invented model; abilities are logits on a prompt of average difficulty, in the order of FAMILIES."""

    name: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    verbosity: float  # its output tokens over those of the average model
    tokenizer: float  # its input tokens over those of `count_tokens`
    steepness: float  # how much the difficulty of a prompt counts for it
    ability: tuple[float, ...]


MODELS = (
    #               name             in    out   verb  tok   steep  arith logic code  extr  rewr  open  class summ
    SimulatedModel("larch-ultra",   3.00, 15.00, 0.95, 1.08, 0.75, (2.1, 2.3, 3.3, 2.0, 2.7, 2.1, 1.9, 2.1)),
    SimulatedModel("alder-large",   2.50, 10.00, 1.05, 1.00, 0.80, (2.2, 2.0, 2.4, 2.2, 2.1, 2.4, 2.2, 2.3)),
    SimulatedModel("rowan-large",   3.50,  3.50, 0.90, 1.05, 0.90, (2.6, 1.9, 1.7, 1.7, 1.6, 1.7, 1.5, 1.8)),
    SimulatedModel("rowan-medium",  0.90,  0.90, 1.00, 1.05, 0.85, (2.4, 1.7, 1.7, 2.0, 1.7, 1.8, 2.1, 2.0)),
    SimulatedModel("hazel-medium",  0.80,  1.20, 0.80, 1.12, 0.90, (1.9, 2.0, 1.7, 2.3, 1.8, 1.9, 2.4, 2.5)),
    SimulatedModel("alder-small",   0.15,  0.60, 1.10, 1.00, 0.90, (2.0, 1.5, 1.9, 1.8, 1.8, 2.0, 1.8, 1.7)),
    SimulatedModel("yew-code",      0.30,  0.40, 1.15, 1.02, 1.15, (1.2, 1.1, 2.2, 1.4, 0.4, 0.5, 0.8, 0.6)),
    SimulatedModel("yew-medium",    0.60,  0.60, 1.20, 1.15, 1.25, (0.5, 0.3, 0.5, 0.8, 1.1, 0.9, 0.9, 0.9)),
    SimulatedModel("linden-pro",    0.50,  1.50, 0.90, 1.04, 1.30, (0.1, 0.2, 0.0, 0.7, 0.8, 0.8, 1.0, 0.9)),
    SimulatedModel("rowan-small",   0.20,  0.20, 1.30, 1.05, 1.20, (0.9, 0.3, 0.6, 1.0, 0.9, 1.0, 1.0, 1.0)),
    SimulatedModel("hazel-small",   0.20,  0.20, 0.75, 1.12, 1.20, (0.5, 0.2, 0.3, 1.3, 0.7, 0.7, 1.7, 1.2)),
    SimulatedModel("linden-mini",   0.10,  0.10, 0.85, 1.04, 1.35, (0.0, -0.2, -0.3, 0.6, 0.3, 0.3, 0.9, 0.5)),
    SimulatedModel("rowan-tiny",    0.06,  0.06, 1.60, 1.05, 1.50, (-0.4, -0.8, -0.6, 0.0, -0.3, 0.0, 0.3, 0.0)),
)  # fmt: skip


def effects(kind: str, label: str, spread: float) -> npt.NDArray[np.float64]:
    """(models,) logits by which models are better or worse with a label; theirs, hence the same for every seed."""
    if not label:
        return np.zeros(len(MODELS))
    rng = np.random.default_rng(list(f"{kind}:{label}".encode()))
    drawn = rng.normal(0.0, spread, len(MODELS))
    centred: npt.NDArray[np.float64] = drawn - drawn.mean()
    return centred
