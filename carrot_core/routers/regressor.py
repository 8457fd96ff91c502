"""The base class of the estimators of scores and usage from prompt vectors, and models with few scored prompts.

The scores and usage of such a model on other prompts are predicted from those of other models there, by a ridge
regression of its cells on the other models' cells of the same prompts, besides the prompts' vectors. How much it
follows the mean of the other models, and how strongly its own weights are shrunk to that, is learned from the other
models: each in turn is treated as the new one, scored on as few prompts, and the strengths that predict the unscored
cells best on average are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import normalize
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from carrot_core.outcomes import SCORE_RANGE
from carrot_core.routers.criteria import Costs, UsageScale, observed_mean
from carrot_core.routers.neighbours import FloatArray, IntArray

ScoreAndUsage = tuple[FloatArray, FloatArray | None]

TARGET: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
FEW = 500  # most scored prompts of a new model, if they are fewer than half of all
_LEAST_OTHERS = 2  # fewest models to learn from, so that each can be treated as new
_TURNS, _TURN_PROMPTS = 6, 1000  # most other models treated as new, and most prompts they are judged on
_SHARES = (0.0, 0.5, 1.0)
_PENALTIES = (3.0, 10.0, 30.0, 100.0)
_VECTOR_PENALTIES = (1.0, 3.0, 10.0, 30.0, np.inf)


def check_table(name: str, table: FloatArray, shape: tuple[int, int]) -> None:
    """Raise ValueError unless the table has this shape and every model is observed somewhere."""
    if table.shape != shape:
        raise ValueError(f"{name} is {table.shape}; {shape[0]} prompts x {shape[1]} models expected.")
    never = np.isnan(table).all(axis=0)
    if never.any():
        raise ValueError(f"Column {never.argmax()} of {name} has no observed value: leave that model out.")


class TableRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """A scikit-learn estimator of (n, M) scores and usage from (n, d) vectors, NaN = not observed.

    A subclass has ``learn(X, score, usage, costs)``, which returns what `fit_left_out` does, and ``estimate(X)``,
    which gives scores and usage (None after a fit without); both get vectors of length 1 (a zero vector
    stays zero).
    """

    _fewest_prompts = 2
    _has_usage: bool

    def learn(
        self, X: FloatArray, score: FloatArray, usage: FloatArray | None, costs: Costs | None = None
    ) -> ScoreAndUsage:
        """`fit_left_out` on checked tables; sets ``_has_usage``."""
        raise NotImplementedError

    def estimate(self, X: FloatArray) -> ScoreAndUsage:
        """Scores and usage of checked vectors."""
        raise NotImplementedError

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, usage: npt.ArrayLike | None = None, costs: Costs | None = None
    ) -> Self:
        """Learn from scored prompts.

        Parameters
        ----------
        X : (n, d) prompt vectors; their length does not matter.
        y : (n,) or (n, M) scores, NaN = not observed.
        usage : (n, M) output tokens or US dollars, at least 0, NaN = not observed.
        costs : costs of the prompts, by which settings that affect the trade-off with cost are chosen.

        Raises
        ------
        ValueError
            Shapes that disagree, values that are not finite or not legal, a model never observed, too few
            prompts.
        """
        self._fit(X, y, usage, costs)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_left_out(self, X: npt.ArrayLike, y: npt.ArrayLike, usage: npt.ArrayLike | None = None) -> ScoreAndUsage:
        """Fit, and estimate the training prompts by fits that have not seen them.

        Returns
        -------
        (n, M) scores and (n, M) usage (None without), NaN where too little was observed to leave any out.
        """
        return self._fit(X, y, usage)

    def _fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, usage: npt.ArrayLike | None, costs: Costs | None = None
    ) -> ScoreAndUsage:
        vectors, target = validate_data(
            self,
            X,
            y,
            validate_separately=(
                {"dtype": np.float64, "ensure_min_samples": self._fewest_prompts},
                {**TARGET, "ensure_2d": False},
            ),
        )
        check_consistent_length(vectors, target)
        score = target.reshape(len(target), -1)
        check_table("y", score, score.shape)
        used = None if usage is None else check_array(usage, **TARGET, input_name="usage")
        if used is not None:
            check_table("usage", used, score.shape)
        self._y_ndim = target.ndim
        return self.learn(normalize(vectors), score, used, costs)

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Scores, (m,) or (m, M) as y was, for (m, d) vectors."""
        return self._both(X)[0]

    def predict_usage(self, X: npt.ArrayLike) -> FloatArray:
        """(m, M) usage, at least 0, in the unit it was fitted in, for (m, d) vectors."""
        return self.predict_with_usage(X)[1]

    def predict_with_usage(self, X: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Scores and usage at once."""
        score, usage = self._both(X)
        if usage is None:
            raise NotFittedError(f"This {type(self).__name__} was fitted without usage: pass usage= to fit.")
        return score, usage

    def _both(self, X: npt.ArrayLike) -> ScoreAndUsage:
        check_is_fitted(self)
        score, usage = self.estimate(normalize(validate_data(self, X, dtype=np.float64, reset=False)))
        return (score[:, 0] if self._y_ndim == 1 else score), usage


class Strength(NamedTuple):
    """How closely a new model's cells follow the other models' before its own few scores count.

    Attributes
    ----------
    share : part of the other models' mean deviation that the new one has before any of its cells is seen.
    penalty, vector_penalty : ridge penalties of its own weights on the other models and on the vectors.
    """

    share: float
    penalty: float
    vector_penalty: float


def with_new_models(
    score: FloatArray, usage: FloatArray | None, vectors: npt.NDArray[np.floating]
) -> tuple[FloatArray, FloatArray | None]:
    """The tables with the unobserved cells of new models filled in; observed cells do not change.

    A model is new in a table if it has at most `FEW` observed cells there, and fewer than half of all. Without a new
    one, or without two others to learn from, a table is returned unchanged.

    Parameters
    ----------
    score, usage : (n, M), NaN = not observed, a cell of every model observed; usage at least 0, or None.
    vectors : (n, d) of the prompts.
    """
    if not any(_is_new(table).any() for table in (score, usage) if table is not None):
        return score, usage
    unit = normalize(np.asarray(vectors, dtype=np.float64))
    score = _filled(score, _expected(score, unit).clip(*SCORE_RANGE))
    if usage is None:
        return score, None
    scale = UsageScale().fit(usage)
    logs = _expected(scale.logs(usage), unit)
    return score, _filled(usage, scale.correct(logs, usage).usage(logs))


def _is_new(table: FloatArray) -> npt.NDArray[np.bool_]:
    observed = (~np.isnan(table)).sum(axis=0)
    new: npt.NDArray[np.bool_] = (observed <= FEW) & (observed < len(table) / 2)
    return new


def _filled(table: FloatArray, expected: FloatArray) -> FloatArray:
    return np.where(np.isnan(table), expected, table)


def _expected(table: FloatArray, unit: FloatArray) -> FloatArray:
    """(n, M) expected cells of the new models; NaN in the columns of all others."""
    expected, new = np.full(table.shape, np.nan), _is_new(table)
    others = table[:, ~new] - observed_mean(table[:, ~new])
    others = np.where(np.isnan(others), 0.0, others)  # a gap counts as the model's mean
    if others.shape[1] < _LEAST_OTHERS:
        return expected
    for model in np.flatnonzero(new):
        scored = np.flatnonzero(~np.isnan(table[:, model]))
        strength = learned_strength(others, unit, len(scored))
        rows = np.arange(len(table))
        expected[:, model] = _regression(others, unit, scored, rows, table[scored, model], [strength])[0]
    return expected


def learned_strength(others: FloatArray, unit: FloatArray, n_scored: int) -> Strength:
    """The strength that predicts other models best, each in turn treated as new with as many scored prompts.

    Parameters
    ----------
    others : (n, K) deviations from each model's mean, without gaps; at least two models.
    unit : (n, d) vectors of length 1.
    """
    rng = np.random.default_rng(0)
    strengths = [Strength(*each) for each in product(_SHARES, _PENALTIES, _VECTOR_PENALTIES)]
    error = np.zeros(len(strengths))
    for model in rng.permutation(others.shape[1])[:_TURNS]:
        order = rng.permutation(len(others))
        scored, judged = order[:n_scored], order[n_scored:][:_TURN_PROMPTS]
        rest, own = np.delete(others, model, axis=1), others[:, model]
        predicted = _regression(rest, unit, scored, judged, own[scored], strengths)
        error += ((predicted - own[judged]) ** 2).mean(axis=1)
    return strengths[int(error.argmin())]


def _regression(
    others: FloatArray,
    unit: FloatArray,
    scored: IntArray,
    rows: IntArray,
    target: FloatArray,
    strengths: Sequence[Strength],
) -> FloatArray:
    """(S, r) expected cells of some rows from those of the scored ones, with each strength; the mean is not shrunk."""
    common, expected = others.mean(axis=1), np.empty((len(strengths), len(rows)))
    to_others, to_vectors = ([table[where] @ table[scored].T for where in (scored, rows)] for table in (others, unit))
    for place, (share, penalty, vector_penalty) in enumerate(strengths):
        own, across = (a / penalty + b / vector_penalty for a, b in zip(to_others, to_vectors, strict=True))
        centre = own.mean(axis=0)
        centred = own - centre - centre[:, None] + centre.mean()
        left = target - share * common[scored]
        weights = cho_solve(cho_factor(centred + np.eye(len(scored))), left - left.mean())
        expected[place] = left.mean() + (across - centre) @ weights + share * common[rows]
    return expected
