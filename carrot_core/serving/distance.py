"""How unlike the training prompts a prompt is, from its vector, without keeping any training prompt's."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_CENTRES = 64
_PROMPTS_A_CENTRE = 50
_LEAST_MEMBERS = 10  # a centre of fewer would tell much of single prompts' vectors
_LEAST_VARIANCE = 1e-6  # of a coordinate of a vector of length 1, for prompts that are all the same
_STEPS = 127  # of int8


class Distance:
    """Mahalanobis distance to the nearest of some cluster centres, as a percentile of validation prompts.

    Training vectors are clustered (k-means); what is left around the centres has one covariance, shrunk
    (Ledoit & Wolf, 2004), in whose units distances are taken. A prompt at the 99th percentile is farther
    away than 99 % of the validation prompts. Kept are means of at least ten different vectors, a covariance and the
    validation distances, about 125 kB.

    Attributes
    ----------
    root_ : (d(d + 1)/2,) int8, lower triangle of the Cholesky factor of the inverse covariance, in steps.
    step_ : (d,) one step of each of its columns.
    centres_ : (k, d) float16, centres times that factor.
    validation_ : (v,) float32, distances of validation prompts, ascending.
    """

    def fit(self, train_vectors: npt.NDArray[np.floating], validation_vectors: npt.NDArray[np.floating]) -> Self:
        """Learn from (n, d) and (v, d) vectors, n > 1, v > 0; rows of NaN (no text) are left out."""
        from sklearn.covariance import LedoitWolf  # slow to import, and not needed to measure

        train, validation = _known(train_vectors), _known(validation_vectors)
        centres = _centres(train)
        around = train - centres[_nearest(train, centres)[0]]
        covariance = LedoitWolf(store_precision=False, assume_centered=True).fit(around).covariance_
        inverse = np.linalg.inv(covariance + _LEAST_VARIANCE * np.eye(len(covariance)))
        root = np.linalg.cholesky(inverse)
        self.step_ = np.abs(root).max(axis=0) / _STEPS
        self.root_ = np.rint(root / self.step_)[np.tri(len(root), dtype=bool)].astype(np.int8)
        self.centres_ = (centres @ self._whitening()).astype(np.float16)
        self.validation_ = np.sort(self.distances(validation)).astype(np.float32)
        return self

    def distances(self, vectors: npt.NDArray[np.floating]) -> FloatArray:
        """(n,) squared distances of (n, d) vectors to their nearest centres."""
        white = vectors.astype(np.float64) @ self._whitening()
        return _nearest(white, self.centres_.astype(np.float64))[1]

    def percentile(self, vectors: npt.NDArray[np.floating]) -> FloatArray:
        """(n,) share of validation prompts, 0 to 100, that are nearer to the training data than each vector."""
        nearer = np.searchsorted(self.validation_, self.distances(vectors).astype(np.float32))
        percentile: FloatArray = 100.0 * nearer / len(self.validation_)
        return percentile

    def _whitening(self) -> FloatArray:
        """(d, d) matrix after which the covariance is the identity."""
        d = len(self.step_)
        matrix = np.zeros((d, d))
        matrix[np.tri(d, dtype=bool)] = self.root_
        whitening: FloatArray = matrix * self.step_
        return whitening


def _known(vectors: npt.NDArray[np.floating]) -> FloatArray:
    known: FloatArray = vectors[~np.isnan(vectors).any(axis=1)].astype(np.float64)
    return known


def _centres(vectors: FloatArray) -> FloatArray:
    """Means of at least `_LEAST_MEMBERS` different vectors, or the mean of all where there are too few for that."""
    from sklearn.cluster import KMeans

    different = np.unique(vectors, axis=0)
    count = int(np.clip(len(different) // _PROMPTS_A_CENTRE, 1, _CENTRES))
    clusters = KMeans(count, n_init=1, random_state=0).fit(different)
    members = np.bincount(clusters.labels_, minlength=count)
    centres: FloatArray = clusters.cluster_centers_[members >= min(_LEAST_MEMBERS, members.max())]
    return centres


def _nearest(vectors: FloatArray, centres: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Which centre is nearest to each vector, and its squared distance."""
    squared = (vectors**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * vectors @ centres.T
    nearest = squared.argmin(axis=1)
    return nearest, np.maximum(squared[np.arange(len(vectors)), nearest], 0.0)
