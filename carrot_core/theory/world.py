"""A simulated world with known expected scores and costs of every model on every prompt, and known noise; the local
estimate of them from nearest neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from carrot_core.errors import CarrotError

Breach = Literal["none", "no-margin", "rough", "thin"]
BREACHES: dict[Breach, str] = {
    "none": "none: all assumptions hold",
    "no-margin": "no margin: the best two models are all but tied too often",
    "rough": "rough: accuracy and cost change faster than the estimator takes for granted",
    "thin": "thin data: hardly any training prompts where the choice is close",
}


MAX_DIMENSION, MAX_MODELS = 4, 5
ROUGH = 0.3  # smoothness of the rough world
_SPREAD = 0.6  # most difference in utility between the first and the last model, over all steps
_FARTHEST = 0.9  # largest distance from a boundary, in height
_SHY = 0.5  # the gap below a boundary, as a share of that above
_TRADE = 0.3  # extra cost of the last model over the first, at the world's λ
_SWAY = 0.15  # how far the other coordinates move a boundary
_GRADES = 10  # a score is a whole number of tenths, as in SPROUT
_COST_SHAPE = 4.0  # shape of the gamma distribution of costs: standard deviation half the mean
_THIN = 3.0  # density of the thin world: |x - boundary| to this power


@dataclass(frozen=True)
class World:
    """Known functions Φ(x) = (score, cost) of every model on the cube [0, 1]^d, and draws from them.

    Attributes
    ----------
    dimension : d.
    smoothness : Hölder exponent γ of every score and cost, in [0.3, 1] or [1.25, 2].
    margin : α: the best two utilities are within t of each other on a share of the prompts like t^α.
    lam : λ of the rule, in [0, 1]; the margin is that of the λ-weighted utility.
    n_models : M, in [2, 5].
    breach : assumption that does not hold. ``no-margin``: the share falls slower than any power of t.
        ``rough``: γ is 0.3. ``thin``: training prompts have density 0 at the boundaries; test prompts are even.
    """

    dimension: int = 1
    smoothness: float = 1.0
    margin: float = 1.0
    lam: float = 0.5
    n_models: int = 2
    breach: Breach = "none"

    def __post_init__(self) -> None:
        if not 1 <= self.dimension <= MAX_DIMENSION or not 2 <= self.n_models <= MAX_MODELS:
            raise CarrotError(f"The simulation has 1 to {MAX_DIMENSION} dimensions and 2 to {MAX_MODELS} models.")
        if (
            not (ROUGH <= self.smoothness <= 1 or 1.25 <= self.smoothness <= 2)
            or not 0.25 <= self.margin <= 3
            or not 0 <= self.lam <= 1
        ):
            raise CarrotError(
                f"Smoothness goes from {ROUGH} to 1 and from 1.25 to 2, the margin from 0.25 to 3, λ from 0 to 1."
            )
        if self.breach not in BREACHES:
            raise CarrotError(f"Nothing is known of the breach {self.breach!r}: there are {', '.join(BREACHES)}.")
        if not possible(self.smoothness, self.margin):
            raise CarrotError(
                f"No function with smoothness {self.smoothness:g} crosses a boundary with margin {self.margin:g}: "
                "only a margin of 1, or smoothness × margin of at most 1, can be had here."
            )

    @property
    def truth(self) -> World:
        """The world that draws the outcomes: a different one if smoothness or margin is not as stated."""
        return replace(self, smoothness=ROUGH, margin=1.0) if self.breach == "rough" else self

    @property
    def boundaries(self) -> FloatArray:
        """(M - 1,) heights of `height` at which the best model changes."""
        steps = self.n_models - 1
        return 0.25 + 0.5 * (np.arange(steps) + 0.5) / steps

    def height(self, x: FloatArray) -> FloatArray:
        """(n,) the number that decides the best model, at (n, d) points; its density within 1/4 of a boundary is as on
        [0, 1].

        With two models it is exactly uniform there for γ ≤ 1, and between 2/3 and 2 for γ > 1; with more models in
        several dimensions the density varies.
        """
        coordinates = self._coordinate(x)
        height = coordinates[:, 0]
        if self.dimension > 1:
            height = height + _SWAY * (2 * coordinates[:, 1:] - 1).mean(axis=1)
        return height

    def _coordinate(self, x: FloatArray) -> FloatArray:
        """Map from [0, 1] to [0, 1], so rough that `steps`, which applies the gap, has the world's smoothness."""
        smoothness, margin = self.truth.smoothness, self.truth.margin
        if smoothness > 1:
            return 0.5 * x + zigzag_integral(x, smoothness - 1)
        return zigzag(x, min(1.0, smoothness * max(1.0, margin)))

    def steps(self, x: FloatArray) -> FloatArray:
        """(n, M - 1) utility of each model minus that of the one before."""
        away = (self.height(x)[:, None] - self.boundaries) / _FARTHEST
        size = np.abs(away)
        if self.breach == "no-margin":
            with np.errstate(divide="ignore"):
                gap = np.exp(1 - 1 / size)
        else:
            gap = size ** (1 / self.truth.margin)
        # Unequal on both sides, so that a mean over a ball around the boundary is biased and a Lipschitz gap is no
        # smoother.
        shy = 1.0 if self.truth.smoothness > 1 else _SHY
        signed: FloatArray = np.where(away < 0, -shy, 1.0) * gap
        return _SPREAD / (self.n_models - 1) * signed

    def phi(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Expected score and cost, both in [0, 1], each (n, M).

        A model's utility exceeds that of the one before by `steps`, in score and in cost alike; in addition, later
        models score and cost more, by amounts that cancel in the utility at this λ.
        """
        steps, trade = self.steps(x), _TRADE / (self.n_models - 1)
        return 0.5 + _centred(steps + self.lam * trade), 0.5 - _centred(steps - (1 - self.lam) * trade)

    def utility(self, score: FloatArray, cost: FloatArray) -> FloatArray:
        """(1 - λ)·score - λ·cost."""
        return (1 - self.lam) * score - self.lam * cost

    def true_utility(self, x: FloatArray) -> FloatArray:
        """(n, M) utilities, the largest of which the oracle rule chooses."""
        return self.utility(*self.phi(x))

    def fresh_prompts(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, d) prompts to test on, uniformly distributed."""
        return rng.random((n, self.dimension))

    def training_prompts(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, d) prompts to learn from: like fresh ones, except in the thin world."""
        x = self.fresh_prompts(n, rng)
        if self.breach == "thin":
            x[:, 0] = _thinned(x[:, 0], self.boundaries, rng)
        return x

    def outcomes(self, x: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Noisy score and cost of every model on every prompt, each (n, M), with the means of `phi`."""
        score, cost = self.phi(x)
        graded: NDArray[np.int64] = rng.binomial(_GRADES, score)
        return graded / _GRADES, cost * rng.gamma(_COST_SHAPE, 1 / _COST_SHAPE, cost.shape)


def possible(smoothness: float, margin: float) -> bool:
    """Whether `World` can have both: a crossing cannot be steeper than the smoothness allows."""
    return margin == 1 or smoothness * margin <= 1


def _centred(steps: FloatArray) -> FloatArray:
    """(n, M) from (n, M - 1) differences, with mean 0 over the models."""
    summed = np.cumsum(np.concatenate([np.zeros((len(steps), 1)), steps], axis=1), axis=1)
    centred: FloatArray = summed - summed.mean(axis=1, keepdims=True)
    return centred


def _thinned(x: FloatArray, boundaries: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Points moved away from their nearest boundary, within the same interval between halfway points and ends."""
    middles = (boundaries[1:] + boundaries[:-1]) / 2
    ends = np.concatenate([[0.0], middles, [1.0]])
    nearest = np.searchsorted(middles, x)
    centre = boundaries[nearest]
    reach = np.where(x < centre, ends[nearest], ends[nearest + 1]) - centre
    moved: FloatArray = centre + reach * ((x - centre) / reach) ** (1 / (1 + _THIN))
    return moved


FloatArray = NDArray[np.float64]

_LEAST = 0.25
_LEVELS = 16  # parts lower than 2^-16 are linear


@lru_cache(maxsize=64)
def strokes(exponent: float) -> tuple[int, ...]:
    """``k`` of every level, chosen so that the mean exponent after each level is as close as possible."""
    if not _LEAST <= exponent <= 1:
        raise ValueError(f"exponent must be between {_LEAST} and 1, not {exponent}")
    target, remainder, chosen = (1 / exponent - 1) * math.log(2), 0.0, []
    for _ in range(_LEVELS if exponent < 1 else 0):
        remainder += target
        chosen.append(2 * max(0, round((math.exp(remainder) - 1) / 2)) + 1)
        remainder -= math.log(chosen[-1])
    return tuple(chosen)


def zigzag(x: FloatArray, exponent: float) -> FloatArray:
    """Values in [0, 1] at points in [0, 1]; exponent 1 is the identity."""
    return _descend(x, exponent, integrated=False)


def zigzag_integral(x: FloatArray, exponent: float) -> FloatArray:
    """Integral of `zigzag` from 0: differentiable, with a derivative of exactly this Hölder exponent."""
    return _descend(x, exponent, integrated=True)


def _descend(x: FloatArray, exponent: float, integrated: bool) -> FloatArray:
    """Value or integral, digit by digit; below the last level the function is linear."""
    at = np.array(x, np.float64)
    integral = np.zeros_like(at)
    slope, width = np.ones_like(at), 1.0  # signed height and width of the piece that a point is in
    floor = np.zeros_like(at)  # the height at which it begins
    for k in strokes(exponent):
        at *= 2 * k
        part = np.minimum(np.floor(at), 2 * k - 1)
        at -= part
        upper = part >= k
        width /= 2 * k
        if integrated:
            # Integral of the whole parts before this one: the mean height of the lower half is 1/4, of the upper 3/4.
            integral += width * (floor * part + slope * (0.25 * part + 0.5 * np.maximum(part - k, 0)))
        slope *= 0.5
        down = (part - k * upper) % 2 == 1
        floor += slope * (1.0 * upper + down)
        slope[down] *= -1
    if integrated:
        return integral + width * (floor * at + slope * at**2 / 2)
    value: FloatArray = floor + slope * at
    return value


_GATHERED = 2_000_000  # neighbours in memory at once


def local_estimate(x: FloatArray, y: FloatArray, at: FloatArray, k: int, degree: int) -> FloatArray:
    """Value at the centre of the least-squares polynomial through the k nearest points, with equal weights.

    Parameters
    ----------
    x, y : (n, d) points and (n, m) values.
    at : (q, d) points to estimate at.
    degree : 0 is the mean of the k nearest, 1 fits a plane to them.

    Returns
    -------
    (q, m) estimates.
    """
    if x.shape[1] == 1:
        return _on_a_line(x[:, 0], y, at[:, 0], k, degree)
    tree, block = cKDTree(x, leafsize=64), max(1, _GATHERED // k)
    parts = []
    for first in range(0, len(at), block):
        here = at[first : first + block]
        nearest = tree.query(here, k)[1].reshape(len(here), k)
        mean = np.stack([column[nearest].mean(axis=1) for column in y.T], axis=1)
        parts.append(mean + _tilt(x[nearest] - here[:, None, :], y, nearest) if degree else mean)
    return np.concatenate(parts)


def _tilt(offset: FloatArray, y: FloatArray, nearest: NDArray[np.int64]) -> FloatArray:
    """(q, m) difference of the plane's height at the centre from the mean of its points."""
    middle = offset.mean(axis=1)
    spread = offset - middle[:, None, :]
    squares = np.einsum("qki,qkj->qij", spread, spread)
    lever = np.linalg.solve(squares, -middle[:, :, None])[:, :, 0]
    weight = np.einsum("qki,qi->qk", spread, lever)
    return np.stack([np.einsum("qk,qk->q", weight, column[nearest]) for column in y.T], axis=1)


def _on_a_line(x: FloatArray, y: FloatArray, at: FloatArray, k: int, degree: int) -> FloatArray:
    """`local_estimate` in one dimension, where neighbours are consecutive and one running sum serves every window."""
    order = np.argsort(x)
    x, y = x[order], y[order]
    first = _window(x, at, k)
    mean = _sums(y, first, k) / k
    if not degree:
        return mean
    centre = _sums(x[:, None], first, k) / k
    squares = _sums((x**2)[:, None], first, k) / k - centre**2
    slope = (_sums(x[:, None] * y, first, k) / k - centre * mean) / squares
    tilted: FloatArray = mean + slope * (at[:, None] - centre)
    return tilted


def _window(x: FloatArray, at: FloatArray, k: int) -> NDArray[np.int64]:
    """(q,) first of the k nearest in sorted points: the leftmost window that a step to the right would not bring
    nearer."""
    low, high = np.zeros(len(at), np.int64), np.full(len(at), len(x) - k)
    while (low < high).any():
        middle = np.minimum((low + high) // 2, len(x) - k - 1)
        onward = at - x[middle] > x[middle + k] - at
        low, high = np.where((low < high) & onward, middle + 1, low), np.where((low < high) & ~onward, middle, high)
    return low


def _sums(values: FloatArray, first: NDArray[np.int64], k: int) -> FloatArray:
    running = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    window: FloatArray = running[first + k] - running[first]
    return window
