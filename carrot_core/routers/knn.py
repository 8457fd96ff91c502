"""CARROT-KNN: scores and usage of a prompt are means over its nearest training prompts."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from carrot_core.routers.criteria import fold_r2, mean_over_folds, observed_mean
from carrot_core.routers.neighbours import FloatArray, IntArray, Vectors, nearest, search, unit_vectors
from carrot_core.routers.regressor import TARGET, check_table


class CarrotKNN(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Nearest-neighbour estimates of every model's score and usage on a prompt (CARROT-KNN).

    Cosine similarity, uniform weights. As the authors do, k is chosen by shuffled K-fold
    cross-validation, once for the scores and once for the usage; ties go to the smallest k. One
    neighbour search a fold serves all k, scores and usage together. Equally near prompts count in the
    order of the training rows.

    Some prompts are neighbours of many others, so the mean usage of neighbours is not the mean usage of the prompts.
    One factor for each model corrects that: it makes the mean of the cross-validation's held-out estimates equal the
    observed one.

    Parameters
    ----------
    n_neighbors : int or None
        k for scores and usage; None chooses both from ``candidates``.
    candidates : sequence of int
        Numbers of neighbours to choose from; those above the size of a training fold are dropped.
    n_folds : int
        Folds of the cross-validation.
    criterion : {"r2", "routing"}
        Criterion that k for the scores maximises, averaged over folds.

        - "r2": R² of each model's scores on the held-out fold, averaged over models.
        - "routing": R² of the **contrasts** between models, pooled over models. With O_i the models
          observed on held-out prompt i, the contrast of cell (i, m) is y_im minus the mean of y_i over
          O_i; the predicted contrast is ŷ_im minus the mean of ŷ_i over the same O_i; the contrast of the train means
          ȳ_m is the prediction without the prompt. The value of a fold is 1 - Σ (contrast - predicted)² / Σ (contrast -
          that of the train means)², sums over all its cells. How hard a prompt is for every model dominates the R² of
          raw scores, yet cancels in ``argmax ŝ - r·ĉ``: a router needs only the differences.

        k for the usage maximises the "r2" form under both: tokens are multiplied by different prices, so
        their shared part does not cancel.
    seed : int
        Seed of the folds.

    Attributes
    ----------
    n_neighbors_ : int
        k for the scores.
    n_neighbors_usage_ : int or None
        k for the usage; None after a fit without.
    usage_factor_ : (M,)
        Factor on the mean usage of the neighbours; 1 if k was given, and for a model whose usage is estimated as 0.
        Only after a fit with usage.
    cv_results_ : dict of arrays, or None if k was given
        ``n_neighbors`` (K,), ``mean_test_score`` (K,) and, after a fit with usage, ``mean_test_usage`` (K,).
    n_features_in_ : int
        Width d of the vectors.
    feature_names_in_ : (d,) array of str
        Column names of X; only where X has them.

    Notes
    -----
    NaN cells of y and usage are "not observed": a mean is taken over those of the k neighbours that have
    the cell, and is the train mean of that model if none has. R² is over observed cells; a model with
    fewer than two on a held-out fold, or none on the rest, is left out of that fold's average. A column
    that does not vary in a fold counts 1 if predicted exactly, else 0, as in scikit-learn.

    References
    ----------
    CARROT: A Cost Aware Rate Optimal Router, arXiv 2502.03261 (the procedure; "routing" is ours).

    Examples
    --------
    >>> import numpy as np
    >>> from carrot_core.routers.knn import CarrotKNN
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 4))
    >>> score = np.column_stack([X[:, 0] > 0, X[:, 0] < 0]).astype(float)
    >>> output_tokens = 100.0 + 50.0 * np.abs(X[:, :2])
    >>> knn = CarrotKNN(criterion="routing").fit(X, score, usage=output_tokens)
    >>> knn.predict(X[:5]).shape, knn.predict_usage(X[:5]).shape
    ((5, 2), (5, 2))
    >>> similarity, index = knn.kneighbors(X[:5], 3)
    >>> index[:, 0].tolist()
    [0, 1, 2, 3, 4]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "candidates": ["array-like"],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "criterion": [StrOptions({"r2", "routing"})],
        "seed": [Interval(Integral, 0, 2**32 - 1, closed="both")],
    }
    usage_factor_: FloatArray | float = 1.0  # for a router saved without it

    def __init__(
        self,
        n_neighbors: int | None = None,
        candidates: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512),
        n_folds: int = 5,
        criterion: str = "r2",
        seed: int = 0,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.candidates = candidates
        self.n_folds = n_folds
        self.criterion = criterion
        self.seed = seed

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, usage: npt.ArrayLike | None = None) -> Self:
        """Store the training prompts and choose k.

        Parameters
        ----------
        X : (n, d) prompt vectors; their length does not matter.
        y : (n,) or (n, M) scores, NaN = not observed.
        usage : (n, M) output tokens or US dollars, NaN = not observed.

        Raises
        ------
        ValueError
            Shapes that disagree, values that are not finite, a model never observed, too few prompts for
            the folds or for ``n_neighbors``, or criterion="routing" with fewer than two models.
        """
        X, y = self._check(X, y)
        self._y_ndim = y.ndim
        self._tables = [y.reshape(len(y), -1)]
        if usage is not None:
            self._tables.append(check_array(usage, **TARGET, input_name="usage", ensure_2d=True))
        for name, table in zip(("y", "usage"), self._tables, strict=False):
            check_table(name, table, self._tables[0].shape)
        if self.criterion == "routing" and (np.isfinite(self._tables[0]).sum(axis=1) < 2).all():
            raise ValueError('criterion="routing" needs two models observed on a prompt: contrasts are between models.')
        self._vectors = unit_vectors(X)
        chosen = self._choose()
        self.n_neighbors_ = chosen[0]
        self.n_neighbors_usage_ = chosen[1] if usage is not None else None
        return self

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Scores, (m,) or (m, M) as y was, for (m, d) vectors."""
        check_is_fitted(self)
        (score,) = self._means(X, [self.n_neighbors_])
        return self._shaped(score)

    def predict_usage(self, X: npt.ArrayLike) -> FloatArray:
        """(m, M) usage in the unit it was fitted in, for (m, d) vectors."""
        return self.predict_with_usage(X)[1]

    def predict_with_usage(self, X: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Scores and usage at once, in little more than the time of either."""
        check_is_fitted(self)
        if self.n_neighbors_usage_ is None:
            raise NotFittedError("This CarrotKNN was fitted without usage: pass usage= to fit.")
        score, usage = self._means(X, [self.n_neighbors_, self.n_neighbors_usage_])
        return self._shaped(score), usage * self.usage_factor_

    def kneighbors(self, X: npt.ArrayLike, n: int) -> tuple[FloatArray, IntArray]:
        """The n nearest training prompts of each vector, nearest first: cosine similarity and row, (m, n)."""
        check_is_fitted(self)
        queries = self._queries(X)
        _check_enough(n, len(self._vectors.exact))
        return nearest(queries, self._vectors, n)

    def _check(self, X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        fewest = 2 * self.n_folds if self.n_neighbors is None else 1
        vectors, scores = validate_data(
            self,
            X,
            y,
            validate_separately=(
                {"dtype": np.float64, "ensure_min_samples": fewest},
                {**TARGET, "ensure_2d": False},
            ),
        )
        check_consistent_length(vectors, scores)
        return vectors, scores

    def _choose(self) -> list[int]:
        """k of each table."""
        self.cv_results_ = None
        if len(self._tables) > 1:
            self.usage_factor_ = np.ones(self._tables[1].shape[1])
        if self.n_neighbors is not None:
            _check_enough(self.n_neighbors, len(self._vectors.exact))
            return [self.n_neighbors] * len(self._tables)
        ks = self._usable_candidates()
        contrasts = [self.criterion == "routing", False][: len(self._tables)]
        folds = KFold(self.n_folds, shuffle=True, random_state=self.seed)
        r2, sums = zip(
            *(
                fold_r2(self._vectors, self._tables, contrasts, ks, train, test)
                for train, test in folds.split(self._vectors.exact)
            ),
            strict=True,
        )
        means = [mean_over_folds(np.array(values)) for values in zip(*r2, strict=True)]
        self.cv_results_ = {"n_neighbors": ks} | dict(zip(("mean_test_score", "mean_test_usage"), means, strict=False))
        best = [int(mean.argmax()) for mean in means]
        if len(best) > 1:
            estimated = np.sum([of_tables[1][best[1]] for of_tables in sums], axis=0)
            observed = np.nansum(self._tables[1], axis=0)
            factor = np.ones(len(observed))
            self.usage_factor_ = np.divide(observed, estimated, out=factor, where=estimated > 0.0)
        return [int(ks[place]) for place in best]

    def _usable_candidates(self) -> IntArray:
        """Distinct candidates, ascending, that fit the smallest training fold."""
        ks = np.unique(check_array(self.candidates, ensure_2d=False, dtype=None, input_name="candidates"))
        if ks.dtype.kind not in "iu" or ks[0] < 1:
            raise ValueError(f"candidates must be whole numbers of at least 1, got {self.candidates!r}.")
        n = len(self._vectors.exact)
        fold = n - -(-n // self.n_folds)
        if ks[0] > fold:
            raise ValueError(f"Every candidate exceeds the {fold} prompts of a training fold (n_samples = {n}).")
        usable: IntArray = ks[ks <= fold].astype(np.intp)
        return usable

    def _means(self, X: npt.ArrayLike, ks: list[int]) -> list[FloatArray]:
        """Estimates for the first len(ks) tables, each with its own k."""
        tables, borders = self._tables[: len(ks)], np.unique(ks)
        targets = np.hstack(tables)
        neighbours = search(self._queries(X), self._vectors, borders, targets, observed_mean(targets)[0])
        means = np.concatenate([block.means for block in neighbours])
        parts = np.split(means, np.cumsum([table.shape[1] for table in tables])[:-1], axis=2)
        return [part[:, np.searchsorted(borders, k)] for part, k in zip(parts, ks, strict=True)]

    def _queries(self, X: npt.ArrayLike) -> Vectors:
        return unit_vectors(validate_data(self, X, dtype=np.float64, reset=False))

    def _shaped(self, score: FloatArray) -> FloatArray:
        return score[:, 0] if self._y_ndim == 1 else score


def _check_enough(k: int, n: int) -> None:
    if k > n:
        raise ValueError(f"{k} neighbours asked of {n} training prompts (n_samples = {n}).")
