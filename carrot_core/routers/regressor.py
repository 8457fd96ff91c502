"""The base class of the estimators of scores and usage from prompt vectors, and the checks of their tables."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import normalize
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from carrot_core.routers.criteria import Costs
from carrot_core.routers.neighbours import FloatArray

ScoreAndUsage = tuple[FloatArray, FloatArray | None]

TARGET: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}


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
        costs : what the prompts cost; settings that a trade-off with cost depends on are chosen by it.

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
