"""Kernel ridge regression through a few landmarks, so that what is fitted stays small."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag
from sklearn.metrics.pairwise import rbf_kernel

from carrot_core.routers.linear import CarrotLinear
from carrot_core.routers.neighbours import FloatArray
from carrot_core.routers.tables import ScoreAndUsage

_GAMMA = 2.0
_TASK_WEIGHT = 0.5
# Directions of the landmarks' kernel below this share of the largest are rounding.
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
        n_landmarks : at most this many.
        seed : of the choice of landmarks.
        """
        rows = np.random.default_rng(seed).permutation(len(X))[:n_landmarks]
        self.landmarks_ = X[rows].astype(np.float16)
        variance, directions = np.linalg.eigh(self._similarity(self.landmarks_.astype(np.float64)))
        kept = variance > _NEGLIGIBLE * variance[-1]
        whiten = directions[:, kept] / np.sqrt(variance[kept])
        self.linear_ = CarrotLinear()
        features = np.hstack([self._similarity(X) @ whiten, _TASK_WEIGHT * tasks])
        left_out = self.linear_.learn(features, score, usage)
        self.linear_.fold(block_diag(whiten, _TASK_WEIGHT * np.eye(tasks.shape[1])))
        return left_out

    def estimate(self, X: FloatArray, tasks: FloatArray) -> ScoreAndUsage:
        """Scores and usage (None after a fit without) of (m, d) vectors with (m, K) task probabilities."""
        return self.linear_.estimate(np.hstack([self._similarity(X), tasks]))

    def _similarity(self, X: FloatArray) -> FloatArray:
        similarity: FloatArray = rbf_kernel(X, self.landmarks_.astype(np.float64), gamma=_GAMMA)
        return similarity
