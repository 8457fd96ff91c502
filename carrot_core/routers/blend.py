"""CARROT-blend: the weighted mean of a kernel ridge that reads the likely task, of task means, and of an MLP."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag
from scipy.optimize import nnls
from sklearn.base import _fit_context
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import normalize
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval

from carrot_core.errors import CarrotError
from carrot_core.outcomes import Benchmark, Estimates
from carrot_core.routers.base import VectorRouter, vectors_of
from carrot_core.routers.criteria import Costs, contrasts, observed_mean
from carrot_core.routers.inputs import TaskPrior, TextFeatures, left_out
from carrot_core.routers.linear import CarrotLinear
from carrot_core.routers.mlp import CarrotMLP
from carrot_core.routers.neighbours import FloatArray
from carrot_core.routers.regressor import ScoreAndUsage, TableRegressor


class CarrotBlend(TableRegressor):
    """Weighted mean of three estimates of every model's score, each by prompts it was not fitted on.

    1. A ridge on the similarities to some training prompts, beside the inferred probabilities of the tasks
       (`carrot_core.routers.blend`).
    2. The train means of each task, mixed by those probabilities (`carrot_core.routers.blend`). Task
       labels are read in training only; without any this part is left out.
    3. An ensemble of small networks (`carrot_core.routers.mlp`).

    Their errors differ, so the mean errs less than each of them, and it is close to the train means where they
    disagree. Usage is the mean of that of 1 and 3.

    Parameters
    ----------
    n_landmarks : int
        Training prompts that 1 compares with, at most.
    pull : float
        How strongly the weights are pulled to equal shares. Weights are at least 0 and have the least squared
        error of left-out contrasts between models, plus ``pull`` times the squared distance to equal shares
        (in units of the parts' mean sum of squares). At 0 the error alone decides; a large value is the
        plain mean.
    n_folds : int
        Folds, and networks of 3.
    seed : int
        Seed of landmarks, folds and networks.

    Attributes
    ----------
    parts_ : tuple of str
        Names of the parts, in the order of the weights.
    blend_weights_ : (P,)
        Weight of each part's deviation from the train means.
    means_ : (M,)
        Train mean of each model.
    n_features_in_ : int
        Width d of the vectors.
    feature_names_in_ : (d,) array of str
        Column names of X; only where X has them.

    Notes
    -----
    NaN cells of y and usage are "not observed".

    References
    ----------
    CARROT: A Cost Aware Rate Optimal Router, arXiv 2502.03261 (plug-in estimates); Breiman 1996, "Stacked
    regressions" (weights from left-out estimates, at least 0).
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_landmarks": [Interval(Integral, 1, None, closed="left")],
        "pull": [Interval(Real, 0, None, closed="left")],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "seed": [Interval(Integral, 0, 2**32 - 1, closed="both")],
    }

    def __init__(self, n_landmarks: int = 500, pull: float = 1.0, n_folds: int = 5, seed: int = 0) -> None:
        self.n_landmarks = n_landmarks
        self.pull = pull
        self.n_folds = n_folds
        self.seed = seed

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        usage: npt.ArrayLike | None = None,
        tasks: npt.ArrayLike | None = None,
        costs: Costs | None = None,
    ) -> Self:
        """Learn from scored prompts.

        Parameters
        ----------
        X : (n, d) prompt vectors; their length does not matter.
        y : (n,) or (n, M) scores, NaN = not observed.
        usage : (n, M) output tokens or US dollars, at least 0, NaN = not observed.
        tasks : (n,) task labels of the training prompts, from which the task of a new prompt is inferred.
        costs : costs of the prompts, by which the penalty of 1 is chosen, see `CarrotLinear`.

        Raises
        ------
        ValueError
            Shapes that disagree, values that are not finite or not legal, a model never observed, too few
            prompts.
        """
        labels = None if tasks is None else column_or_1d(tasks)
        check_consistent_length(X, labels)
        distinct, numbers = np.unique(labels if labels is not None else [], return_inverse=True)
        self._task_numbers = numbers if len(distinct) > 1 else None
        try:
            self._fit(X, y, usage, costs)
        finally:
            del self._task_numbers  # labels are used in the fit only
        return self

    def learn(
        self, X: FloatArray, score: FloatArray, usage: FloatArray | None, costs: Costs | None = None
    ) -> ScoreAndUsage:
        self._has_usage = usage is not None
        tasks = getattr(self, "_task_numbers", None)
        self.means_ = observed_mean(score)[0]
        inferred, by_task = np.empty((len(X), 0)), []
        self._prior = None
        if tasks is not None:
            inferred, task_estimate = left_out(X, tasks, score, self.n_folds, self.seed)
            self._prior, by_task = TaskPrior().fit(X, tasks, score), [task_estimate]
        self._kernel, self._mlp = KernelRidge(), CarrotMLP(n_networks=self.n_folds, seed=self.seed)
        pairs = [
            self._kernel.fit_left_out(X, inferred, score, usage, costs, n_landmarks=self.n_landmarks, seed=self.seed),
            self._mlp.learn(X, score, usage),
        ]
        self.parts_ = ("kernel", "mlp", "task")[: 2 + len(by_task)]
        parts = [estimate for estimate, _ in pairs] + by_task
        self.blend_weights_ = blend_weights(score, parts, self.means_, self.pull)
        return self._mixed(parts), _mean_usage([used for _, used in pairs])

    def estimate(self, X: FloatArray) -> ScoreAndUsage:
        inferred, by_task = np.empty((len(X), 0)), []
        if self._prior is not None:
            inferred = self._prior.probabilities(X)
            by_task = [inferred @ self._prior.means_]
        estimates = [self._kernel.estimate(X, inferred), self._mlp.estimate(X)]
        return self._mixed([score for score, _ in estimates] + by_task), _mean_usage([used for _, used in estimates])

    def _mixed(self, parts: list[FloatArray]) -> FloatArray:
        departures = np.array(parts) - self.means_
        mixed: FloatArray = self.means_ + np.tensordot(self.blend_weights_, departures, axes=1)
        return mixed


def _mean_usage(tables: list[FloatArray | None]) -> FloatArray | None:
    present = [usage for usage in tables if usage is not None]
    return np.mean(present, axis=0) if present else None


def blend_weights(score: FloatArray, parts: list[FloatArray], means: FloatArray, pull: float) -> FloatArray:
    """(P,) weights, at least 0, of the deviations of left-out estimates (n, M) from the train means.

    They minimise |t - D w|² + pull · c · |w - 1/P|², with t and the columns of D the contrasts of the observed
    cells, and c the mean of |d|² over the columns. With a single model, scores take the place of contrasts.
    """
    mask = ~np.isnan(score + np.sum(parts, axis=0))
    tables = [np.where(mask, table - means, np.nan) for table in (score, *parts)]
    if score.shape[1] > 1:
        tables = [contrasts(table) for table in tables]
    target, *columns = (table[mask] for table in tables)
    departures = np.column_stack(columns)
    hold = np.sqrt(pull * np.mean(np.sum(departures**2, axis=0)))
    equal = np.full(len(parts), 1.0 / len(parts))
    weights: FloatArray = nnls(
        np.vstack([departures, hold * np.eye(len(parts))]), np.concatenate([target, hold * equal])
    )[0]
    return weights


_GAMMA = 2.0
_TASK_WEIGHT = 0.5


# Eigenvalues of the landmarks' kernel below this share of the largest are rounding errors.
_NEGLIGIBLE = 1e-8


class KernelRidge:
    """`CarrotLinear` on the Nyström features of an RBF kernel, beside the probabilities of the tasks.

    Landmarks are drawn from the training prompts (Williams and Seeger 2000); their map is folded into the
    weights.

    Attributes
    ----------
    landmarks_ : (L, d) float16
        Vectors that a prompt is compared with.
    linear_ : CarrotLinear
        From L similarities and K task probabilities to scores and usage.
    """

    def fit_left_out(
        self,
        X: FloatArray,
        tasks: FloatArray,
        score: FloatArray,
        usage: FloatArray | None,
        costs: Costs | None = None,
        *,
        n_landmarks: int,
        seed: int,
    ) -> ScoreAndUsage:
        """Fit, and estimate the training prompts by fits that have not seen them.

        Parameters
        ----------
        X : (n, d) vectors of length 1.
        tasks : (n, K) probabilities of the tasks, by fits that have not seen the prompt.
        score, usage : (n, M), NaN = not observed.
        costs : of `CarrotLinear.fit`.
        n_landmarks : at most this many.
        seed : of the choice of landmarks.
        """
        rows = np.random.default_rng(seed).permutation(len(X))[:n_landmarks]
        self.landmarks_ = X[rows].astype(np.float16)
        variance, directions = np.linalg.eigh(self._similarity(self.landmarks_.astype(np.float64)))
        strong = variance > _NEGLIGIBLE * variance[-1]
        whiten = directions[:, strong] / np.sqrt(variance[strong])
        self.linear_ = CarrotLinear()
        features = np.hstack([self._similarity(X) @ whiten, _TASK_WEIGHT * tasks])
        left_out = self.linear_.learn(features, score, usage, costs)
        self.linear_.fold(block_diag(whiten, _TASK_WEIGHT * np.eye(tasks.shape[1])))
        return left_out

    def estimate(self, X: FloatArray, tasks: FloatArray) -> ScoreAndUsage:
        """Scores and usage (None after a fit without) of (m, d) vectors with (m, K) task probabilities."""
        return self.linear_.estimate(np.hstack([self._similarity(X), tasks]))

    def _similarity(self, X: FloatArray) -> FloatArray:
        similarity: FloatArray = rbf_kernel(X, self.landmarks_.astype(np.float64), gamma=_GAMMA)
        return similarity


class CarrotBlendRouter(VectorRouter):
    """CARROT with a blend of estimates from a prompt's vector, its text and the task inferred from both.

    Task labels are read in training, to learn to infer the task, and at decision time only with ``use_task``. If the
    training prompts have vectors but no texts, only vectors are used.
    """

    name: ClassVar[str] = "carrot-blend"

    def __init__(self, seed: int = 0, use_task: bool = False, **params: Any) -> None:
        super().__init__(CarrotBlend(seed=seed, **params), use_task)

    def fit(self, train: Benchmark) -> Self:
        texts = [text for text in train.texts if text is not None]
        self.text_features_ = TextFeatures().fit(texts) if texts else None
        self.encoder_ = train.encoder
        return super().fit(self._with_text(train))

    def estimate(self, bench: Benchmark) -> Estimates:
        return super().estimate(self._with_text(bench))

    def _more_to_learn(self, train: Benchmark) -> dict[str, Any]:
        return {"tasks": np.array(train.tasks), "costs": Costs.of(train, self.usage_)}

    def _with_text(self, bench: Benchmark) -> Benchmark:
        vectors = vectors_of(bench, self.encoder_)
        if self.text_features_ is None:
            return bench
        texts = [text for text in bench.texts if text is not None]
        if len(texts) < len(bench.texts):
            raise CarrotError(
                f"{self.name} reads the text of a prompt beside its vector: leave out the prompts of "
                f"{bench.name!r} that have none."
            )
        beside = np.hstack([normalize(vectors), self.text_features_.transform(texts)])
        return replace(bench, vectors=beside.astype(np.float32))
